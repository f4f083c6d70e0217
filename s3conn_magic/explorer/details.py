"""A description, a preview and snippets as the panel shows them: bounded values, every text in its visible form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from s3conn_magic.explorer.model import Snippet
from s3conn_magic.language.help import name_text
from s3conn_magic.language.reference import find_statement
from s3conn_magic.language.words import counted, literal
from s3conn_magic.locations import size_text, visible, visible_lines
from s3conn_magic.objects.formats import by_name
from s3conn_magic.preview import rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.description import Description, Version
    from s3conn_magic.preview import Preview

TEXT_AT_MOST = 100_000
_COLUMNS_AT_MOST = 50
_CELL_AT_MOST = 200
_TABLE_AT_MOST = 150_000
_PAIRS_AT_MOST = 200
_KEPT = {"\n": "\n", "\t": "\t"}


def moment_text(moment: datetime | None) -> str:
    """Return a time in UTC to the second, as versions of one minute are told apart by it; empty for none."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def exact_size(size: int) -> str:
    """Return a size in decimal units, and in bytes where that says more."""
    return size_text(size) if size < 1_000 else f"{size_text(size)} ({size:,} bytes)"  # noqa: PLR2004


def error_values(error: S3ConnError) -> dict[str, str]:
    """Return what is said of an error in its place."""
    return {"message": visible(error.message), "hint": visible(" ".join([*error.notes, error.hint]).strip())}


def description_values(description: Description) -> dict[str, Any]:
    """Return the facts of an object, its metadata, tags and versions."""
    return {
        "facts": [[label, visible(value)] for label, value in _facts(description) if value],
        "metadata": _pairs(description.metadata),
        "tags": None if description.tags is None else _pairs(description.tags),
        "versions": [_version(each) for each in description.versions],
        "notes": [visible(note) for note in description.notes],
    }


def _facts(description: Description) -> list[tuple[str, str]]:
    return [
        ("Size", exact_size(description.size)),
        ("Modified", moment_text(description.last_modified)),
        ("Storage class", description.storage_class),
        ("Archive", archive_text(description)),
        ("Type", description.content_type or ""),
        ("Content encoding", description.content_encoding or ""),
        ("Encryption", description.encryption),
        ("Version", description.version_id or ""),
        ("ETag", description.etag),
        *((f"{name} checksum", value) for name, value in description.checksums.items()),
    ]


def archive_text(description: Description) -> str:
    """Return how an archived object stands; empty for one that can be read at any time."""
    if not (description.archived or description.restore):
        return ""
    tier = f" ({description.archive_status})" if description.archive_status else ""
    state = f"restored {description.restore}" if description.restore else "not restored"
    restore = "restore in progress" if description.restore == "in progress" else state
    return f"{'archived' if description.archived else 'in an archive class'}{tier}, {restore}"


def _pairs(values: Any) -> list[list[str]]:
    return [[visible(str(name)), visible(str(value))] for name, value in list(values.items())[:_PAIRS_AT_MOST]]


def _version(version: Version) -> dict[str, Any]:
    return {
        "id": version.version_id,
        "when": moment_text(version.last_modified),
        "size": "" if version.size is None else size_text(version.size),
        "storage": version.storage_class or "",
        "latest": version.is_latest,
        "marker": version.is_delete_marker,
    }


def preview_values(preview: Preview) -> dict[str, Any]:
    """Return what is shown of an object's content; an image's bytes travel apart."""
    return {
        "kind": preview.kind,
        "summary": " · ".join(_summary(preview)),
        "notes": [visible(note) for note in preview.notes],
        "table": _table(preview.frame) if preview.frame is not None else None,
        "schema": [[visible(name), visible(kind)] for name, kind in preview.schema[:1_000]],
        **_text(preview),
        "document": preview.text is not None and preview.layout is not None,
        "image": _image(preview),
    }


def _summary(preview: Preview) -> list[str]:
    form = [preview.format, preview.encoding, preview.compression]
    rows = [] if preview.total_rows is None else [f"{preview.total_rows:,} rows"]
    rows += [f"about {rounded(preview.about_rows):,} rows"] if preview.about_rows else []
    groups = [counted(preview.row_groups, "row group")] if preview.row_groups else []
    pixels = [f"{preview.width:,} × {preview.height:,} pixels"] if preview.width and preview.height else []  # noqa: RUF001 - as it is written
    requests = counted(preview.requests, "request")
    return [*filter(None, form), *rows, *groups, *pixels, f"read {size_text(preview.bytes_read)} in {requests}"]


def _image(preview: Preview) -> dict[str, Any] | None:
    if preview.image is None:
        return None
    return {"mime": preview.mime, "width": preview.width, "height": preview.height, "size": len(preview.image)}


def _text(preview: Preview) -> dict[str, Any]:
    """Return the text or hex dump, cut with a word."""
    text = preview.hex_dump if preview.text is None else preview.layout or preview.text
    if text is None:
        return {"text": None, "cut": ""}
    shown = text[:TEXT_AT_MOST]
    cut = f"The first {TEXT_AT_MOST:,} characters are shown" if len(shown) < len(text) else ""
    return {"text": visible_lines(shown), "cut": cut or ("There is more than is shown" if preview.truncated else "")}


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    """Return columns and rows as text, as many as fit, and what is left out."""
    names = [visible(str(name))[:_CELL_AT_MOST] for name in frame.columns[:_COLUMNS_AT_MOST]]
    numeric = [kind.kind in "iuf" for kind in frame.dtypes[:_COLUMNS_AT_MOST]]
    rows: list[list[str | None]] = []
    room = _TABLE_AT_MOST
    for values in frame.iloc[:, :_COLUMNS_AT_MOST].itertuples(index=False, name=None):
        row = [_cell(value) for value in values]
        room -= sum(len(cell or "") + 4 for cell in row)
        if room < 0 and rows:
            break
        rows.append(row)
    left = [f"{len(frame.columns) - len(names):,} more columns"] if len(frame.columns) > len(names) else []
    left += [f"{len(frame) - len(rows):,} more rows"] if len(frame) > len(rows) else []
    return {"columns": names, "numeric": numeric, "rows": rows, "left": " and ".join(left)}


def _cell(value: Any) -> str | None:
    """Return a value as text; None for a missing one."""
    if value is None or (isinstance(value, float) and value != value) or str(value) in {"<NA>", "NaT"}:  # noqa: PLR0124 - NaN is not itself
        return None
    text = visible(str(value))
    return text if len(text) <= _CELL_AT_MOST else text[: _CELL_AT_MOST - 1] + "…"


_PANDAS = {
    "Parquet": "pd.read_parquet(body)",
    "CSV": "pd.read_csv(body{compression})",
    "TSV": 'pd.read_csv(body, sep="\\t"{compression})',
    "JSON lines": "pd.read_json(body, lines=True{compression})",
    "JSON": "pd.read_json(body{compression})",
}
_POLARS = {
    "Parquet": "pl.read_parquet(body)",
    "CSV": "pl.read_csv(body)",
    "TSV": 'pl.read_csv(body, separator="\\t")',
    "JSON lines": "pl.read_ndjson(body)",
    "JSON": "pl.read_json(body)",
}


def snippets(connection: str, location: Location, *, is_prefix: bool, version_id: str | None = None) -> list[Snippet]:
    """Return a query, and code for pandas, polars and DuckDB; for boto3 only where the name does not tell a format.

    Args:
        connection: name of the connection.
        location: an object, or with `is_prefix` a folder or bucket.
        is_prefix: whether to read what lies below.
        version_id: the version to read, the current one by default.
    """
    statements = cells(connection, location, is_prefix=is_prefix)
    query = [Snippet("%%upsql", statements["query"])] if "query" in statements and not version_id else []
    python = _for_python(connection, location, is_prefix=is_prefix, version_id=version_id)
    # What may be no table is read as it is in the first place.
    return query + python if is_prefix or _form(location.key)[0] else python + query


def cells(connection: str, location: Location, *, is_prefix: bool) -> dict[str, str]:
    """Return cells of `%%upsql` by what they do with a location: `query`, `analyze` and `discover`, as far as they can.

    A name that is no printable text can't stand in a statement, and the pattern characters of a key mean others there.
    """
    if not location.uri.isprintable():
        return {}
    using = f"USING {name_text(connection)}"
    is_plain = name_text(connection) == connection and not set("*?[{@") & set(location.uri)
    path = literal(f"s3://{connection}@{location.bucket}/{location.key}{'**/*' if is_prefix else ''}")
    below = {
        "analyze": f"ANALYZE {literal(location.uri)} {using}",
        **({"discover": f"DISCOVER {literal(location.uri)} {using}"} if find_statement("DISCOVER") else {}),
    }
    statements = {
        **({"query": f"SELECT *\nFROM {path}\nLIMIT 100"} if is_plain and location.key else {}),
        **(below if is_prefix else {}),
    }
    return {name: f"%%upsql\n{text};" for name, text in statements.items()}


def _for_python(connection: str, location: Location, *, is_prefix: bool, version_id: str | None) -> list[Snippet]:
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
    """Return what the name says that an object is, and how it is compressed; empty for neither."""
    said = by_name(key)
    return said.format.name if said.format and said.format.name in _PANDAS else "", said.compression or ""


def _client(connection: str) -> str:
    return f's3 = s3conn_magic.connection({connection!a}).client("s3")'


def _get(location: Location, version_id: str | None) -> str:
    version = f", VersionId={version_id!a}" if version_id else ""
    return f'body = s3.get_object(Bucket={location.bucket!a}, Key={location.key!a}{version})["Body"]'


def _for_prefix(connection: str, location: Location) -> list[Snippet]:
    statement = ascii(f"LIST {literal(location.uri)} USING {name_text(connection)} RECURSIVE")
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
