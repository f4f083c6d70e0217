"""DuckDB's function for a file, by the ending of its name."""

from __future__ import annotations

from s3conn_magic.locations import visible

_READERS = {
    "parquet": "read_parquet",
    "parq": "read_parquet",
    "pq": "read_parquet",
    "csv": "read_csv",
    "tsv": "read_csv",
    "json": "read_json",
    "jsonl": "read_json",
    "ndjson": "read_json",
}
_COMPRESSIONS = {"gz", "zst"}
_SLASHES_OF_SCHEME = 2
_BY_NAME = "FROM 's3://…' alone knows .parquet, .csv, .tsv, .json, .jsonl and .ndjson; of text also .gz and .zst of it."


def ending_of(name: str) -> str:
    """What the name of a file ends in, that of a compression included, such as `.csv.gz`; empty without a dot."""
    base = name.rpartition("/")[2]
    at = base.rfind(".")
    if base[at + 1 :].lower() in _COMPRESSIONS:
        at = max(base.rfind(".", 0, at), 0)
    return base[at:] if at >= 0 else ""


def reader_of(name: str) -> str | None:
    """DuckDB's function for a file of this name, or None."""
    return _READERS.get(ending_of(name)[1:].lower().partition(".")[0])


def how_to_read(path: str) -> str:
    """What to write in place of a path whose name does not tell the format.

    Args:
        path: with `s3://`; a file, a pattern or a folder.
    """
    if ending_of(path).lower() == ".orc":
        return "Queries do not read ORC. A job does: CREATE JOB … AS COPY FROM S3 … INTO a table."
    if reader := reader_of(path):
        return f"Name the function that reads it: FROM {reader}({_literal(path)})."
    if path.endswith("/") or path.count("/") == _SLASHES_OF_SCHEME:
        files = f"{path if path.endswith('/') else f'{path}/'}**/*.parquet"
        return f"A pattern reads the files below it, such as FROM {_literal(files)}. {_BY_NAME}"
    calls = ", ".join(f"{reader}({_literal(path)})" for reader in dict.fromkeys(_READERS.values()))
    return f"Name the function that reads it, one of {calls}. {_BY_NAME}"


def _literal(path: str) -> str:
    return "'" + visible(path).replace("'", "''") + "'"
