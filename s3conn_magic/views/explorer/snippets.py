"""Code that reads a location, to paste into a cell: it names the connection and holds no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.language.evaluation import quoted
from s3conn_magic.language.help import name_text
from s3conn_magic.views.explorer.model import Snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3conn_magic.locations import Location

_COMPRESSIONS = (".gz", ".zst", ".bz2")
_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "json",
}
_PANDAS = {
    "parquet": "pd.read_parquet(body)",
    "csv": "pd.read_csv(body{compression})",
    "tsv": 'pd.read_csv(body, sep="\\t"{compression})',
    "lines": "pd.read_json(body, lines=True{compression})",
    "json": "pd.read_json(body{compression})",
}
_POLARS = {
    "parquet": "pl.read_parquet(body)",
    "csv": "pl.read_csv(body)",
    "tsv": 'pl.read_csv(body, separator="\\t")',
    "lines": "pl.read_ndjson(body)",
    "json": "pl.read_json(body)",
}


def snippets(connection: str, location: Location, *, is_prefix: bool, version_id: str | None = None) -> list[Snippet]:
    """Code for pandas, polars, DuckDB and boto3; for boto3 only where the name does not tell a format.

    Args:
        connection: name of the connection.
        location: an object, or with `is_prefix` a folder or bucket.
        is_prefix: whether to read what lies below.
        version_id: the version to read, the current one by default.
    """
    if is_prefix:
        return _for_prefix(connection, location)
    body = f"{_client(connection)}\n{_get(location, version_id)}"
    plain = Snippet("boto3", f"{_imports()}\n\n{body}\ndata = body.read()")
    form, compression = _form(location.key)
    return [*_tables(form, compression, f"{body}\nbody = io.BytesIO(body.read())"), plain] if form else [plain]


def _tables(form: str, compression: str, body: str) -> list[Snippet]:
    pandas = _PANDAS[form].format(compression=f', compression="{compression}"' if compression else "")
    opened = {"": "", "gzip": "\nbody = gzip.open(body)", "bz2": "\nbody = bz2.open(body)"}
    first = {"": ["io"], "gzip": ["gzip", "io"], "bz2": ["bz2", "io"]}
    polars = []
    if compression in opened:
        imports = _imports("polars as pl", first=first[compression])
        polars = [Snippet("polars", f"{imports}\n\n{body}{opened[compression]}\ndf = {_POLARS[form]}")]
    duckdb = f'{_imports("duckdb", "pandas as pd", first=["io"])}\n\n{body}\ndf = {pandas}\nduckdb.sql("FROM df")'
    return [
        Snippet("pandas", f"{_imports('pandas as pd', first=['io'])}\n\n{body}\ndf = {pandas}"),
        *polars,
        Snippet("DuckDB", duckdb),
    ]


def _imports(*names: str, first: Sequence[str] = ()) -> str:
    lines = [f"import {name}" for name in first] + ([""] if first else [])
    return "\n".join([*lines, *(f"import {name}" for name in (*names, "s3conn_magic"))])


def _form(key: str) -> tuple[str, str]:
    """What the name says that an object is, and how it is compressed; empty for neither."""
    lower = key.lower()
    packed = next((ending for ending in _COMPRESSIONS if lower.endswith(ending)), "")
    plain = lower.removesuffix(packed)
    form = next((form for ending, form in _FORMATS.items() if plain.endswith(ending)), "")
    return form, {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}.get(packed, "")


def _client(connection: str) -> str:
    return f's3 = s3conn_magic.connection({connection!a}).client("s3")'


def _get(location: Location, version_id: str | None) -> str:
    version = f", VersionId={version_id!a}" if version_id else ""
    return f'body = s3.get_object(Bucket={location.bucket!a}, Key={location.key!a}{version})["Body"]'


def _for_prefix(connection: str, location: Location) -> list[Snippet]:
    statement = ascii(f"LIST {quoted(location.uri)} USING {name_text(connection)} RECURSIVE")
    frame = f"df = s3conn_magic.execute({statement})"
    pages = (
        f"{_imports()}\n\n{_client(connection)}\n"
        'pages = s3.get_paginator("list_objects_v2").paginate'
        f"(Bucket={location.bucket!a}, Prefix={location.key!a})\n"
        'keys = [one["Key"] for page in pages for one in page.get("Contents", [])]'
    )
    return [
        Snippet("pandas", f"{_imports()}\n\n{frame}"),
        Snippet("polars", f"{_imports('polars as pl')}\n\n{frame}\ndf = pl.from_pandas(df)"),
        Snippet("DuckDB", f'{_imports("duckdb")}\n\n{frame}\nduckdb.sql("FROM df LIMIT 10")'),
        Snippet("boto3", pages),
    ]
