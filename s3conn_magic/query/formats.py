"""DuckDB's function for a file, by the ending of its name."""

from __future__ import annotations

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
