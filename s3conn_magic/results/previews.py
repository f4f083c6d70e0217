"""The result of PREVIEW as the notebook shows it. Everything in an object is hostile text."""

from __future__ import annotations

import base64
import html
import itertools
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from s3conn_magic.errors import EndpointError, ObjectNotFoundError, ThrottledError
from s3conn_magic.lakes import tables_around
from s3conn_magic.lakes.opening import open_snapshot
from s3conn_magic.lakes.snapshots import LakeRows
from s3conn_magic.language.words import counted
from s3conn_magic.locations import size_text, split_version, visible, visible_lines
from s3conn_magic.objects.description import Description, with_tags_and_versions
from s3conn_magic.objects.filesystem import ConnectionFileSystem
from s3conn_magic.objects.listed import Path
from s3conn_magic.objects.requests import with_version
from s3conn_magic.preview import COLUMNS_AT_MOST, Preview, frame, replacements, rounded, schema_of, with_valid_texts
from s3conn_magic.preview.preview import ROWS_AT_MOST, preview
from s3conn_magic.results.cards import NOT_TYPESET, QUIET
from s3conn_magic.results.frames import NUMBERS, S3Frame, escaped
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.lakes import LakeRoot
    from s3conn_magic.locations import Location

_SHOWN_IMAGES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/x-icon", "image/avif"}
)
_SHOWN_CHARACTERS = 64 * 1024
_SHOWN_COLUMNS = 50
_CELL = 200
_PRE = "font-family:var(--jp-code-font-family,monospace);max-height:40em;overflow:auto;margin:4px 0;white-space:pre"
_NOTE = f"{QUIET};font-size:13px;margin:4px 0"


_OF_TABLES = frozenset({"Parquet", "ORC", "Avro"})
"""Formats of the data files of lake tables."""


def open_preview(connection: Connection, location: Location, rows: int, version: str = "") -> ObjectPreview:
    """Preview an object, a version of it, or the lake table whose folder a location is.

    Raises:
        S3ConnError: there is no such object, it may not be read, it changed meanwhile, or the server cannot be reached.
    """
    if version or split_version(location):
        return _version_preview(connection, location, rows, version)
    is_folder = not location.key or location.key.endswith("/")
    if is_folder and (table := _table_preview(connection, location, rows)):
        return table
    try:
        beginning = preview(connection, location, rows=rows)
    except ObjectNotFoundError:
        if not is_folder and (table := _table_preview(connection, location, rows)):
            return table
        raise
    if beginning.format in _OF_TABLES and (root := _enclosing_table(connection, location)):
        note = f"a file of {root.text}: some of its rows may be deleted; PREVIEW of the folder shows the current ones"
        beginning = replace(beginning, notes=(*beginning.notes, note))
    return ObjectPreview(connection, location, beginning, rows)


def _version_preview(connection: Connection, location: Location, rows: int, version: str) -> ObjectPreview:
    def look(place: Location, version_id: str | None) -> Preview:
        return preview(connection, place, rows=rows, version_id=version_id)

    if version:
        return ObjectPreview(connection, location, look(location, version), rows, of_version=True)
    wanted, beginning = with_version(location, look)
    return ObjectPreview(connection, wanted.location, beginning, rows, of_version=bool(wanted.version))


def _enclosing_table(connection: Connection, location: Location) -> LakeRoot | None:
    """Return the table that an object belongs to, or None, also if the server fails: it is only for a note."""
    try:
        return next(iter(tables_around(connection, location.bucket, [location.key])), None)
    except (EndpointError, ThrottledError):
        return None


def _table_preview(connection: Connection, location: Location, rows: int) -> TablePreview | None:
    """Return the first rows of the lake table whose folder a location is, or None."""
    filesystem = ConnectionFileSystem(lambda _: connection)
    with filesystem.query() as scope:
        if (reach := filesystem.lake(Path(connection.name, location).text)) is None:
            return None
        snapshot = open_snapshot(reach)
        shown = snapshot.schema.names[:COLUMNS_AT_MOST]
        table = LakeRows(snapshot).scanner(shown).head(min(rows, ROWS_AT_MOST) + 1)
    few, replaced = with_valid_texts(table.slice(0, min(rows, ROWS_AT_MOST)))
    total = len(snapshot.schema)
    note = (f"the first {len(shown):,} of {total:,} columns are shown",) if len(shown) < total else ()
    where = reach.root.location
    beginning = Preview(
        "table",
        Description(where.uri, where.arn, sum(file.size for file in snapshot.files), storage_class=""),
        format=snapshot.badge,
        frame=frame(few),
        schema=schema_of(snapshot.schema),
        truncated=len(few) < len(table),
        bytes_read=scope.bytes,
        requests=scope.requests,
        notes=(*snapshot.notes, *note, *replacements(replaced)),
    )
    return TablePreview(connection, where, beginning, rows)


class ObjectPreview:
    """The result of PREVIEW.

    Attributes:
        preview: everything that was read; see `s3conn_magic.preview.Preview`.
    """

    def __init__(
        self, connection: Connection, location: Location, preview: Preview, rows: int, *, of_version: bool = False
    ) -> None:
        self.preview = preview
        self._connection = connection
        self._location = location
        self._rows = rows
        self._of_version = of_version

    @cached_property
    def frame(self) -> S3Frame | None:
        """The first rows of a table, with exact values and Arrow types; None if it is not a table."""
        return None if self.preview.frame is None else S3Frame(self.preview.frame)

    @property
    def text(self) -> str | None:
        """The exact text that was read, which may be more than is shown; None if it is not a text."""
        return self.preview.text

    @property
    def schema(self) -> tuple[tuple[str, str], ...]:
        """Name and type of each column of a table."""
        return self.preview.schema

    @cached_property
    def description(self) -> Description:
        """Metadata, tags, versions and so on; tags and versions are requested at first access.

        Raises:
            S3ConnError: the connection was dropped, or the server cannot be reached.
        """
        of_version, description = self._of_version, self.preview.description
        return with_tags_and_versions(self._connection, self._location, description, of_version=of_version)

    def __repr__(self) -> str:
        body = self._plain_body()
        return "\n".join([" · ".join(self._facts()), *([body] if body else []), *self._notes()])

    @interruptible
    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    @interruptible
    def _repr_html_(self) -> str:
        name, *facts = map(escaped, self._facts())
        head = f'<div style="margin:4px 0"><strong>{name}</strong> · {" · ".join(facts)}</div>'
        notes = "".join(f'<div style="{_NOTE}">{escaped(note)}</div>' for note in self._notes())
        return f'<div class="{NOT_TYPESET}">{head}{self._html_body()}{notes}</div>'

    def _facts(self) -> list[str]:
        """Return the parts of the headline: name, size, format and so on."""
        preview, known = self.preview, self.preview.description
        read = f"read {size_text(preview.bytes_read)} in {counted(preview.requests, 'request')}"
        facts = [
            visible(self._location.name),
            size_text(known.size),
            _format(preview),
            *([preview.encoding] if preview.encoding else []),
            *([preview.compression] if preview.compression else []),
            *_counts(preview),
            known.storage_class,
            *([read] if preview.requests else []),
        ]
        return [fact for fact in facts if fact]

    def _notes(self) -> list[str]:
        notes = [*self.preview.notes]
        cut = self._truncation()
        return [cut, *notes] if cut else notes

    def _truncation(self) -> str:
        """Return a note on what is not shown."""
        preview = self.preview
        if preview.frame is not None and preview.truncated and preview.total_rows is None:
            return _first_rows(len(preview.frame), preview.about_rows)
        if preview.frame is not None and preview.truncated and len(preview.frame) < (preview.total_rows or 0):
            return f"The first {len(preview.frame):,} of {preview.total_rows:,} rows."
        if preview.text is not None and (preview.truncated or len(self._shown_text()) < len(self._laid_out())):
            return f"The beginning of the text: {counted(len(self._shown_text().splitlines()), 'line')}."
        return ""

    def _laid_out(self) -> str:
        return self.preview.layout or self.preview.text or ""

    def _shown_text(self) -> str:
        lines = itertools.islice(self._laid_out().splitlines(keepends=True), self._rows)
        return "".join(lines)[:_SHOWN_CHARACTERS]

    def _plain_body(self) -> str:
        preview = self.preview
        if preview.frame is not None:
            return repr(shown_frame(preview.frame))
        if preview.kind == "table":
            return _schema_text(preview.schema)
        return visible_lines(self._shown_text()).removesuffix("\n") or preview.hex_dump or ""

    def _html_body(self) -> str:
        preview = self.preview
        if preview.frame is not None:
            return shown_frame(preview.frame)._repr_html_() or _pre(self._plain_body())
        if preview.image and preview.mime in _SHOWN_IMAGES:
            data = base64.b64encode(preview.image).decode()
            style = "max-width:100%;max-height:40em"
            return f'<img src="data:{preview.mime};base64,{data}" alt="{escaped(self._location.name)}" style="{style}">'
        body = self._plain_body()
        return _pre(body) if body else ""


class TablePreview(ObjectPreview):
    """The result of PREVIEW of a lake table's folder."""

    @property
    def description(self) -> Description:
        """The folder, with the total size of the table's files."""
        return self.preview.description


def _format(preview: Preview) -> str:
    if preview.width and preview.height:
        return f"{preview.format}, {preview.width:,} by {preview.height:,}"
    return preview.format


def _counts(preview: Preview) -> Iterator[str]:
    rows = preview.total_rows
    if rows is None and preview.frame is not None and not preview.truncated:
        rows = len(preview.frame)
    if rows is not None:
        yield counted(rows, "row")
    if preview.row_groups:
        yield counted(preview.row_groups, "row group")
    if preview.schema:
        yield counted(len(preview.schema), "column")


def _first_rows(shown: int, about: int | None) -> str:
    if not about or about <= shown:
        return f"The first {counted(shown, 'row')}; there are more."
    return f"The first {shown:,} of about {rounded(about):,} rows."


def _pre(text: str) -> str:
    return f'<pre style="{_PRE}">{html.escape(text)}</pre>'


def _schema_text(schema: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{visible(name)}: {kind}" for name, kind in schema)


def shown_frame(frame: pd.DataFrame) -> S3Frame:
    """Return a frame with short visible texts of the cells, and of many columns only the first."""
    few = frame.iloc[:, :_SHOWN_COLUMNS]
    columns = [_shown_column(few.iloc[:, at]) for at in range(few.shape[1])]
    texts = pd.DataFrame(dict(enumerate(columns)), index=few.index, dtype=object)
    shown = S3Frame(texts.set_axis([visible(str(name))[:_CELL] for name in few.columns], axis=1))
    shown.attrs[NUMBERS] = tuple(at for at, kind in enumerate(few.dtypes) if _is_number(kind))
    return shown


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    if isinstance(kind, pd.ArrowDtype):  # pandas has no Python class for some Arrow types
        arrow = kind.pyarrow_dtype
        return bool(types.is_integer(arrow) or types.is_floating(arrow) or types.is_decimal(arrow))
    return bool(pd.api.types.is_numeric_dtype(kind))


def _shown_column(column: pd.Series[Any]) -> list[str]:
    import pyarrow as pa

    values = column.array.__arrow_array__() if hasattr(column.array, "__arrow_array__") else pa.array(column)
    return [_shown_value(value) for value in values]


def _shown_value(value: Any) -> str:
    text = str(value.as_py()) if value.is_valid else ""
    return visible(text[: _CELL + 1] if len(text) <= _CELL else text[: _CELL - 1] + "…")
