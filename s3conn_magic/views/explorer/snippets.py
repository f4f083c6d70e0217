"""Code that reads a location, to paste into a cell: it names the connection and holds no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.language.binding import quoted
from s3conn_magic.language.render import name_text
from s3conn_magic.views.explorer.model import Snippet

if TYPE_CHECKING:
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


def snippets(connection: str, location: Location, *, is_prefix: bool) -> list[Snippet]:
    """Code for pandas, polars, DuckDB and boto3; what a library cannot read directly goes through pandas.

    Args:
        connection: name of the connection.
        location: an object, or with `is_prefix` a folder or bucket.
        is_prefix: whether to read what lies below.
    """
    if is_prefix:
        return _for_prefix(connection, location)
    form, compression = _form(location.key)
    body = _body(connection, location)
    found = [Snippet("boto3", f"import s3conn_magic\n\n{_client(connection)}\n{_get(location)}\ndata = body.read()")]
    if form:
        pandas = _PANDAS[form].format(compression=f', compression="{compression}"' if compression else "")
        found = [
            Snippet("pandas", f"import pandas as pd\n{body}\ndf = {pandas}"),
            *_polars(form, compression, body),
            Snippet("DuckDB", f'import duckdb\nimport pandas as pd\n{body}\ndf = {pandas}\nduckdb.sql("FROM df")'),
            *found,
        ]
    return found


def _polars(form: str, compression: str, body: str) -> list[Snippet]:
    opened = {"": "", "gzip": "\nimport gzip\nbody = gzip.open(body)", "bz2": "\nimport bz2\nbody = bz2.open(body)"}
    if compression not in opened:
        return []
    return [Snippet("polars", f"import polars as pl\n{body}{opened[compression]}\ndf = {_POLARS[form]}")]


def _form(key: str) -> tuple[str, str]:
    """What the name says that an object is, and how it is compressed; empty for neither."""
    lower = key.lower()
    packed = next((ending for ending in _COMPRESSIONS if lower.endswith(ending)), "")
    plain = lower.removesuffix(packed)
    form = next((form for ending, form in _FORMATS.items() if plain.endswith(ending)), "")
    return form, {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}.get(packed, "")


def _client(connection: str) -> str:
    return f's3 = s3conn_magic.connection({connection!a}).client("s3")'


def _get(location: Location) -> str:
    return f'body = s3.get_object(Bucket={location.bucket!a}, Key={location.key!a})["Body"]'


def _body(connection: str, location: Location) -> str:
    lines = [
        "import io",
        "import s3conn_magic",
        "",
        _client(connection),
        _get(location),
        "body = io.BytesIO(body.read())",
    ]
    return "\n".join(lines)


def _for_prefix(connection: str, location: Location) -> list[Snippet]:
    statement = ascii(f"LIST {quoted(location.uri)} USING {name_text(connection)} RECURSIVE")
    frame = f"import s3conn_magic\n\ndf = s3conn_magic.execute({statement})"
    pages = (
        f"import s3conn_magic\n\n{_client(connection)}\n"
        'pages = s3.get_paginator("list_objects_v2").paginate'
        f"(Bucket={location.bucket!a}, Prefix={location.key!a})\n"
        'keys = [one["Key"] for page in pages for one in page.get("Contents", [])]'
    )
    return [
        Snippet("pandas", frame),
        Snippet("polars", f"import polars as pl\n{frame}\ndf = pl.from_pandas(df)"),
        Snippet("DuckDB", f'import duckdb\n{frame}\nduckdb.sql("FROM df LIMIT 10")'),
        Snippet("boto3", pages),
    ]
