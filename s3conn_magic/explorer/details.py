"""What the panel shows of an object (limited, all texts visible), the table of its preview, and code that reads it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.datasets.summaries import column_summary
from s3conn_magic.explorer import Snippet
from s3conn_magic.language.reference import find_statement
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.words import counted, literal
from s3conn_magic.locations import size_text, visible, visible_lines
from s3conn_magic.objects.deleting import THAWED_DAYS
from s3conn_magic.objects.formats import by_name
from s3conn_magic.preview import rounded
from s3conn_magic.preview.preview import ROWS_AT_MOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.deleting import Thaw
    from s3conn_magic.objects.description import Description, Version
    from s3conn_magic.preview import Preview


@dataclass(frozen=True, slots=True)
class CodeSubject:
    """What a snippet reads.

    Attributes:
        connection: its name.
        location: an object, a folder or a bucket.
        version_id: of the object; None for the current version.
        ending: the usual ending of object names in a folder or bucket, empty if unknown; None for an object.
    """

    connection: str
    location: Location
    version_id: str | None = None
    ending: str | None = None

    @property
    def is_prefix(self) -> bool:
        """Whether it is a folder or a bucket."""
        return self.ending is not None

    @property
    def form(self) -> str:
        """The format that the name suggests, or an empty text if no library here reads it."""
        suggested = by_name(f"x{self.ending}" if self.is_prefix else self.location.key).format
        return suggested.name if suggested and suggested.name in _READERS else ""

    @property
    def compression(self) -> str:
        """The compression that the name suggests, or an empty text."""
        return by_name(f"x{self.ending}" if self.is_prefix else self.location.key).compression or ""

    @property
    def is_plain(self) -> bool:
        """Whether every library reads the same location from its URI."""
        uri = self.location.uri
        return uri.isprintable() and uri.isascii() and not set("*?[]{}@#%+\\'\"& ") & set(uri) and "::" not in uri

    @property
    def pattern(self) -> str:
        """Bucket and key; for a folder, with a glob for its objects."""
        below = f"**/*{self.ending or ''}" if self.is_prefix else ""
        return f"{self.location.bucket}/{self.location.key}{below}"


@dataclass(frozen=True, slots=True)
class _Reader:
    """How each library reads a format; empty if it cannot."""

    pandas: str
    polars: str
    duckdb: str


_READERS = {
    "Parquet": _Reader("read_parquet({})", "scan_parquet", "read_parquet"),
    "CSV": _Reader("read_csv({})", "scan_csv", "read_csv"),
    "TSV": _Reader('read_csv({}, sep="\\t")', "scan_csv", "read_csv"),
    "JSON lines": _Reader("read_json({}, lines=True)", "scan_ndjson", "read_json"),
    "JSON": _Reader("read_json({})", "", "read_json"),
    "ORC": _Reader("read_orc({})", "", ""),
    "Arrow": _Reader("read_feather({})", "scan_ipc", ""),
}
_PANDAS_CODECS = {"gzip", "bz2", "xz", "zstd"}
_POLARS_CODECS = {"gzip", "zstd"}
_DUCKDB_CODECS = {"gzip", "zstd"}


def usual_ending(keys: Iterable[str]) -> str:
    """Return the commonest ending of names whose format is known, or an empty text."""
    counts = Counter[str]()
    for key in keys:
        name = by_name(key)
        if name.format and name.format.name in _READERS:
            counts[name.ending + name.packed] += 1
    return counts.most_common(1)[0][0] if counts else ""


def snippets(what: CodeSubject, *, read_only: bool = False) -> list[Snippet]:
    """Return a query, and code for pandas, polars, DuckDB and boto3, for those that can read it.

    The code does not load a whole object into memory before parsing it, unless the library has to.

    Args:
        what: the object, folder or bucket.
        read_only: whether the connection is READ_ONLY, and so gives no credentials to libraries.
    """
    statements = cells(what)
    query = "query" if what.form or not what.is_prefix else "list"
    queries = [Snippet("%%upsql", statements[query])] if query in statements and not what.version_id else []
    tables = [*_pandas(what), *_polars(what, read_only=read_only), *_duckdb(what)] if what.form else []
    boto3 = _list_folder(what) if what.is_prefix else _read_object(what)
    # For what may not be a table, plain reading comes first.
    return [*queries, *tables, boto3] if what.form or what.is_prefix else [boto3, *queries]


def cells(what: CodeSubject) -> dict[str, str]:
    """Return `%%upsql` cells about a location by name: `query`, and for folders `list`, `analyze` and `discover`.

    Cells are left out if the name is unprintable, which no statement can hold, or contains pattern characters, which a
    query would take as a pattern.
    """
    location = what.location
    if not location.uri.isprintable():
        return {}
    using = f"USING {name_text(what.connection)}"
    is_plain = name_text(what.connection) == what.connection and not set("*?[{@") & set(location.uri)
    path = literal(f"s3://{what.connection}@{what.pattern}")
    below = {
        "list": f"LIST {literal(location.uri)} {using} RECURSIVE",
        "analyze": f"ANALYZE {literal(location.uri)} {using}",
        **({"discover": f"DISCOVER {literal(location.uri)} {using}"} if find_statement("DISCOVER") else {}),
    }
    statements = {
        **({"query": f"SELECT *\nFROM {path}\nLIMIT 100"} if is_plain and (location.key or what.ending) else {}),
        **(below if what.is_prefix else {}),
    }
    return {name: f"%%upsql\n{text};" for name, text in statements.items()}


def _code(what: CodeSubject, imports: Iterable[str], *lines: str) -> str:
    import_lines = "\n".join(f"import {each}" for each in (*imports, "s3conn_magic"))
    return "\n".join([import_lines, "", f"lake = s3conn_magic.connection({what.connection!a})", *lines])


def _open_call(what: CodeSubject) -> str:
    """Return the expression that opens the object through the connection, which takes any key and version."""
    version = f"?versionId={what.version_id}" if what.version_id else ""
    return f"lake.fsspec().open({what.pattern + version!a})"


def _pandas(what: CodeSubject) -> list[Snippet]:
    if what.compression and what.compression not in _PANDAS_CODECS:
        return []
    packed = f", compression={what.compression!a}" if what.compression and what.form not in {"Parquet", "ORC"} else ""
    read, options = _READERS[what.form].pandas, 'storage_options=lake.storage_options("pandas")'

    def call(argument: str) -> str:
        return f"pd.{read.format(argument + packed)}"

    if what.is_prefix:
        lines = [
            f"paths = lake.fsspec().glob({what.pattern!a})",
            f"df = pd.concat([{call('lake.fsspec().open(path)')} for path in paths], ignore_index=True)",
        ]
        if what.form == "Parquet" and what.is_plain:
            lines = [f"df = {call(f'{what.location.uri!a}, {options}')}"]
    elif what.is_plain and not what.version_id and what.form not in {"Arrow", "ORC"}:
        lines = [f"df = {call(f'{what.location.uri!a}, {options}')}"]
    else:
        lines = [f"with {_open_call(what)} as file:", f"    df = {call('file')}"]
    return [Snippet("pandas", _code(what, ["pandas as pd"], *lines))]


def _polars(what: CodeSubject, *, read_only: bool) -> list[Snippet]:
    scan = _READERS[what.form].polars
    packed = what.compression and (what.compression not in _POLARS_CODECS or scan != "scan_csv")
    if not scan or packed or not what.is_plain or what.version_id or read_only:
        return []
    more = ', separator="\\t"' if what.form == "TSV" else ""
    lines = [
        f'options = lake.storage_options("polars", bucket={what.location.bucket!a})',
        f"df = pl.{scan}(",
        f"    {'s3://' + what.pattern!a}{more},",
        "    storage_options=options,",
        "    credential_provider=options.credential_provider,",
        ").collect()",
    ]
    return [Snippet("polars", _code(what, ["polars as pl"], *lines))]


def _duckdb(what: CodeSubject) -> list[Snippet]:
    read = _READERS[what.form].duckdb
    packed = what.compression and what.compression not in _DUCKDB_CODECS
    if not read or packed or not what.is_plain or what.version_id:
        return []
    query = f"FROM {read}({literal('s3conn://' + what.pattern)})"
    lines = [
        "database = duckdb.connect()",
        "database.register_filesystem(lake.fsspec())",
        f"df = database.sql({query!a}).df()",
    ]
    return [Snippet("DuckDB", _code(what, ["duckdb"], *lines))]


def _read_object(what: CodeSubject) -> Snippet:
    version = f", VersionId={what.version_id!a}" if what.version_id else ""
    where = f"Bucket={what.location.bucket!a}, Key={what.location.key!a}{version}"
    lines = ['s3 = lake.client("s3")', f'data = s3.get_object({where})["Body"].read()']
    return Snippet("boto3", _code(what, [], *lines))


def _list_folder(what: CodeSubject) -> Snippet:
    where = f"Bucket={what.location.bucket!a}, Prefix={what.location.key!a}"
    lines = [
        's3 = lake.client("s3")',
        f'pages = s3.get_paginator("list_objects_v2").paginate({where})',
        'keys = [one["Key"] for page in pages for one in page.get("Contents", [])]',
    ]
    return Snippet("boto3", _code(what, [], *lines))


TEXT_AT_MOST = 100_000
_PAIRS_AT_MOST = 200


def moment_text(moment: datetime | None) -> str:
    """Return a time in UTC, to the second because that can distinguish versions, or an empty text."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def exact_size(size: int) -> str:
    """Return a size in decimal units, from 1 kB on also in bytes."""
    return size_text(size) if size < 1_000 else f"{size_text(size)} ({size:,} bytes)"  # noqa: PLR2004


def error_values(error: S3ConnError) -> dict[str, str]:
    """Return message and hint of an error."""
    return {"message": visible(error.message), "hint": visible(" ".join([*error.notes, error.hint]).strip())}


def description_values(description: Description, thaws: Sequence[Thaw] = ()) -> dict[str, Any]:
    """Return facts, metadata, tags, versions and restore options of an object."""
    return {
        "facts": [[label, visible(value)] for label, value in _facts(description) if value],
        "metadata": _pairs(description.metadata),
        "tags": None if description.tags is None else _pairs(description.tags),
        "versions": [_version(each) for each in description.versions],
        "thaws": [{"tier": each.tier, "text": thaw_text(each, description)} for each in thaws],
        "deleted": bool(description.versions) and description.versions[0].is_delete_marker,
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
    """Return the archive state of an object, or an empty text if it can always be read."""
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


def preview_values(preview: Preview, table: PreviewTable | None = None) -> dict[str, Any]:
    """Return what is shown of an object's content; image bytes and further rows are sent separately."""
    table = table or (None if preview.frame is None else PreviewTable(preview))
    return {
        "kind": preview.kind,
        "summary": " · ".join(_summary(preview)),
        "notes": [visible(note) for note in preview.notes],
        "table": table.values() if table else None,
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
    read = [f"read {size_text(preview.bytes_read)} in {requests}"] if preview.requests else []
    return [*filter(None, form), *rows, *groups, *pixels, *read]


def _image(preview: Preview) -> dict[str, Any] | None:
    if preview.image is None:
        return None
    return {"mime": preview.mime, "width": preview.width, "height": preview.height, "size": len(preview.image)}


def _text(preview: Preview) -> dict[str, Any]:
    """Return the text or hex dump, with a note if it is cut."""
    text = preview.hex_dump if preview.text is None else preview.layout or preview.text
    if text is None:
        return {"text": None, "cut": ""}
    start = text[:TEXT_AT_MOST]
    cut = f"The first {TEXT_AT_MOST:,} characters are shown" if len(start) < len(text) else ""
    return {"text": visible_lines(start), "cut": cut or ("There is more than is shown" if preview.truncated else "")}


def bucket_facts(properties: Mapping[str, str]) -> list[list[str]]:
    """Return a bucket's properties as the panel shows them."""
    return [[name, visible(value)] for name, value in properties.items()]


def thaw_text(thaw: Thaw, description: Description) -> str:
    """Return time and cost of restoring an object from the archive, in words."""
    size = size_text(description.size)
    if description.archive_status:
        return f"{size}, {thaw.takes}. It costs nothing, and the object comes back for good."
    cost = "nothing" if not thaw.usd else _dollars(thaw.usd)
    copy_cost = f"{_dollars(thaw.usd_kept)} for a copy of {counted(THAWED_DAYS, 'day')}"
    return f"{size}, {thaw.takes}. It costs {cost}, and {copy_cost}, by S3's list prices of us-east-1, 2025."


def _dollars(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 0.005 else "less than a cent"  # noqa: PLR2004 - half a cent


COLUMNS_AT_MOST = 50
CELL_AT_MOST = 200
ROWS_AT_FIRST = 100
_ROWS_IN_PART = 500
_PART_AT_MOST = 150_000
"""Characters of rows in one message, unless a single row is longer."""
_STEP = 10
_LABELS = {
    "min": "Least",
    "max": "Greatest",
    "approx_unique": "Different values, about",
    "avg": "Mean",
    "std": "Standard deviation",
    "q25": "A quarter is below, about",
    "q50": "Half is below, about",
    "q75": "Three quarters are below, about",
    "null_share": "Missing",
    "frequent": "Most frequent, about",
    "histogram": "From least to greatest",
}
_Rows = npt.NDArray[np.int64]


class RowOrder(NamedTuple):
    """Order and filter: a column index (-1 for the original order), and a text that rows must contain."""

    by: int = -1
    descending: bool = False
    filter: str = ""


@dataclass(slots=True)
class PreviewTable:
    """The loaded rows of a preview.

    Attributes:
        preview: of a table.
        asked: the number of rows requested for it.
    """

    preview: Preview
    asked: int = ROWS_AT_FIRST
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _texts: list[str] | None = None
    _last: tuple[RowOrder, _Rows] | None = None

    @property
    def frame(self) -> pd.DataFrame:
        """The rows, with Arrow types."""
        assert self.preview.frame is not None  # noqa: S101 - it is of a table
        return self.preview.frame

    @property
    def further(self) -> int:
        """The number of rows to request next; 0 if there are no more, or no more can be loaded."""
        total, next_count = self.preview.total_rows, min(self.asked * _STEP, ROWS_AT_MOST)
        ended = not self.preview.truncated or (total is not None and len(self.frame) >= total)
        return 0 if ended or next_count <= self.asked else next_count

    def loaded(self) -> dict[str, Any]:
        """Return the number of loaded rows, and whether more can be loaded."""
        return {"loaded": len(self.frame), "said": self._said(), "more": bool(self.further)}

    def _said(self) -> str:
        preview, here = self.preview, len(self.frame)
        if preview.total_rows is None and not preview.truncated:
            return f"All {counted(here, 'row')}"
        if preview.total_rows is not None and here >= preview.total_rows:
            return f"All {counted(here, 'row')}"
        estimate = preview.about_rows or 0
        about = f"about {rounded(estimate):,}" if estimate > here else ""
        of = f"{preview.total_rows:,}" if preview.total_rows is not None else about
        text = f"The first {here:,} of {of} rows" if of else f"The first {counted(here, 'row')}, there are more"
        return text if self.further else f"{text}: a query reads the others"

    def values(self) -> dict[str, Any]:
        """Return the columns and first rows, and a note on columns left out."""
        columns = self.frame.columns[:COLUMNS_AT_MOST]
        more = len(self.frame.columns) - len(columns)
        return {
            "columns": [visible(str(name))[:CELL_AT_MOST] for name in columns],
            "numeric": [kind.kind in "iuf" for kind in self.frame.dtypes[:COLUMNS_AT_MOST]],
            "rows": self.part(RowOrder(), 0, ROWS_AT_FIRST)["rows"],
            "left": f"{more:,} more columns are not shown" if more else "",
            **self.loaded(),
        }

    def part(self, order: RowOrder, start: int, stop: int) -> dict[str, Any]:
        """Return as many of these rows as fit into a message, and the total in this order."""
        rows = self._rows(order)
        start = max(start, 0)
        chosen = rows[start : min(stop, start + _ROWS_IN_PART)]
        lines: list[list[str | None]] = []
        room = _PART_AT_MOST
        for values in self.frame.iloc[chosen, :COLUMNS_AT_MOST].itertuples(index=False, name=None):
            line = [cell(value) for value in values]
            room -= sum(len(each or "") + 4 for each in line)
            if room < 0 and lines:
                break
            lines.append(line)
        return {"from": start, "count": len(rows), "rows": lines}

    def _rows(self, order: RowOrder) -> _Rows:
        with self._lock:
            if self._last is None or self._last[0] != order:
                rows = self._sorted(order.by, descending=order.descending)
                self._last = order, rows[self._contains(order.filter.casefold())[rows]] if order.filter else rows
            return self._last[1]

    def _sorted(self, by: int, *, descending: bool) -> _Rows:
        """Return the rows sorted by a column (stable), those without a value last."""
        if not 0 <= by < min(self.frame.shape[1], COLUMNS_AT_MOST):
            return np.arange(len(self.frame))
        keys = [("column", "descending" if descending else "ascending")]
        try:
            order = pc.sort_indices(pa.table({"column": _arrow(self.frame, by)}), sort_keys=keys)
        except (pa.ArrowException, NotImplementedError):  # structs are sorted as texts
            texts = pa.array([cell(value) for value in self.frame.iloc[:, by]], pa.string())
            order = pc.sort_indices(pa.table({"column": texts}), sort_keys=keys)
        return np.asarray(order, dtype=np.int64)

    def _contains(self, text: str) -> npt.NDArray[np.bool_]:
        if self._texts is None:
            rows = self.frame.iloc[:, :COLUMNS_AT_MOST].itertuples(index=False, name=None)
            self._texts = ["\n".join(visible(str(value)) for value in values).casefold() for values in rows]
        return np.array([text in each for each in self._texts], dtype=np.bool_)

    def statistics(self, at: int) -> dict[str, Any]:
        """Return statistics of a column over the loaded rows."""
        if not 0 <= at < self.frame.shape[1]:
            return {"facts": [], "said": ""}
        summary = column_summary(_arrow(self.frame, at))
        summary["approx_unique"] = min(summary["approx_unique"], len(self.frame))
        facts = [(label, _fact(name, summary[name])) for name, label in _LABELS.items()]
        return {
            "facts": [[label, text] for label, text in facts if text],
            "said": f"Of {'all' if self._said().startswith('All') else 'the first'} {counted(len(self.frame), 'row')}",
        }


def _arrow(frame: pd.DataFrame, at: int) -> pa.ChunkedArray:
    values = frame.iloc[:, at].array
    array = values.__arrow_array__() if hasattr(values, "__arrow_array__") else pa.array(values)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _fact(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "null_share":
        return f"{value:.1%}" if value else "none"
    if name == "frequent":
        return ", ".join(_cut(visible(str(each)), 40) for each in value if each is not None)
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else _cut(visible(str(value)), CELL_AT_MOST)


def cell(value: Any) -> str | None:
    """Return a value as text, or None if it is missing."""
    if value is None or (isinstance(value, float) and value != value) or str(value) in {"<NA>", "NaT"}:  # noqa: PLR0124 - NaN is not itself
        return None
    return _cut(visible(str(value)), CELL_AT_MOST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
