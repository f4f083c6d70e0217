"""Results as pandas frames, typed even when empty, whose printed form is safe and readable."""

from __future__ import annotations

import html
import re
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from s3conn_magic.language.result_columns import LISTING_COLUMNS, PREFIX_COLUMN, VERSION_COLUMNS, Column
from s3conn_magic.language.words import counted
from s3conn_magic.locations import size_text, visible
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa

_DTYPES: dict[str, Any] = {
    "string": pd.StringDtype("pyarrow"),
    "boolean": pd.BooleanDtype(),
    "integer": pd.Int64Dtype(),
    "count": np.dtype("int64"),
    "fraction": np.dtype("float64"),
    "amount": pd.Float64Dtype(),
    "timestamp": pd.DatetimeTZDtype("us", "UTC"),
    "category": pd.CategoricalDtype(),
    "list": object,
}
_SHOWN_ROWS = 20
_PANDAS_PADDING = 4
"""Characters of a cell's width that pandas uses itself."""
_USUAL_WIDTH = 50
_SORTED_ROWS = 100_000
_BYTES = frozenset({"size", "bytes"})
_PATHS = frozenset({"key", "location", "dataset"})
_LAST_COLUMNS = ("etag", "version_id")
_TOOLTIP = "\x1f"
"""Separates a cell's text from its tooltip; `visible` leaves none in a text."""
_LEFT, _RIGHT = "text-align: left; white-space: nowrap", "text-align: right; white-space: nowrap"
_LONG = "text-align: left; min-width: 40em; overflow-wrap: anywhere"
"""Style of a text so long that it would push the other columns out of sight."""
_LONG_FROM = 100
_READABLE = "text-align: left; vertical-align: top"


NUMBERS = "numbers"
"""Key in `.attrs`: indexes of columns whose texts are numbers."""


class S3Series(pd.Series):
    """A column or row of an S3Frame, printed as safely. It pickles as a plain Series."""

    @property
    def _constructor(self) -> type[S3Series]:
        return S3Series

    @property
    def _constructor_expanddim(self) -> type[S3Frame]:
        return S3Frame

    def __reduce__(self) -> Any:
        return pd.Series(self).__reduce_ex__(1)  # later protocols demand the class itself

    @interruptible
    def __repr__(self) -> str:
        return _visible_text(repr(pd.Series(self)))


class S3Frame(pd.DataFrame):
    """A DataFrame whose printed form shows hostile keys safely.

    Control, bidi and invisible characters are shown as symbols, and `$…$` is not typeset. The values are exact. It
    pickles as a plain DataFrame.
    """

    _has_index = True
    _cut = True  # whether pandas cuts long cells, and wraps wide lines of text

    @property
    def _constructor(self) -> type[S3Frame]:
        return S3Frame

    @property
    def _constructor_sliced(self) -> type[S3Series]:
        return S3Series

    def __reduce__(self) -> Any:
        return pd.DataFrame(self).__reduce_ex__(1)  # later protocols demand the class itself

    @interruptible
    def _repr_html_(self) -> str | None:
        if not pd.get_option("display.notebook_repr_html"):
            return None
        ordered = self._ordered()
        shown, layout = self._shown(ordered, page=True), self._layout()
        most = _max_width()
        widest = most + _PANDAS_PADDING if self._cut and most else None
        with pd.option_context("display.html.use_mathjax", False, "display.max_colwidth", widest):
            table = str(shown.to_html(notebook=True, index=self._has_index, **layout))
        table = _visible_text(_with_tooltips(_aligned(table, self._left_aligned(ordered))))
        rows, columns = self.shape
        shape = f"{counted(rows, 'row')} \u00d7 {counted(columns, 'column')}"
        table = table.replace("</table>", f"</table>\n<p>{shape}</p>")
        label = self._label()
        return f"<p><strong>{html.escape(label)}</strong></p>{table}" if label else table

    @interruptible
    def __repr__(self) -> str:
        ordered, layout = self._ordered(), self._layout()
        shown = _padded(self._shown(ordered, page=False), self._left_aligned(ordered))
        width = shutil.get_terminal_size((pd.get_option("display.width") or 120, 0)).columns
        # Texts are already cut; pandas would also cut those padded to the column's width.
        most = _max_width()
        layout |= {
            "max_cols": layout["max_cols"] or None,
            "max_colwidth": most + _PANDAS_PADDING if self._cut and most else None,
        }
        rows, columns = self.shape
        # pandas prints an empty frame as a word, without the column names.
        names = "  ".join(str(name).rstrip() for name in shown.columns)
        table = _visible_text(shown.to_string(line_width=width if self._cut else None, **layout) if rows else names)
        label = self._label()
        return "\n".join([*([label] if label else []), table, "", f"[{rows:,} rows x {columns} columns]"])

    def _label(self) -> str:
        """Return the heading of an incomplete listing's rows."""
        reason = self.attrs.get("partial")
        return f"partial: {visible(str(reason))}" if reason else ""

    def _layout(self) -> dict[str, Any]:
        return {
            "max_rows": self._row_limit(),
            "max_cols": pd.get_option("display.max_columns"),
            "show_dimensions": False,
            "na_rep": "",
        }

    def _row_limit(self) -> int | None:
        """Return the number of rows shown, or None for all."""
        most = pd.get_option("display.max_rows")
        return min(most, _SHOWN_ROWS) if most and len(self) > most else None

    def _ordered(self) -> pd.DataFrame:
        """Return a plain frame with all rows and columns in display order."""
        return pd.DataFrame(self)

    def _shown(self, ordered: pd.DataFrame, *, page: bool) -> pd.DataFrame:
        """Return a plain frame of the rows to show, plus one if some are left out, with a safe index."""
        few = self._row_limit()
        if few is not None:
            ordered = ordered.iloc[[*range(-(-few // 2) + 1), *range(len(ordered) - few // 2, len(ordered))]]
        if not pd.api.types.is_numeric_dtype(ordered.index.dtype):
            ordered = ordered.set_axis(ordered.index.map(_cell))
        columns = [self._written(str(name), column, page=page) for name, column in ordered.items()]
        # Joined frames may have two columns of the same name.
        return pd.DataFrame(dict(enumerate(columns)), ordered.index).set_axis(ordered.columns, axis=1)

    def _left_aligned(self, ordered: pd.DataFrame) -> list[bool]:
        """Return for each column whether it is left-aligned, as texts are unless they are numbers."""
        numbers = self.attrs.get(NUMBERS, ())
        return [_is_text(kind) and at not in numbers for at, kind in enumerate(ordered.dtypes)]

    def _written(self, name: str, column: pd.Series[Any], *, page: bool) -> pd.Series[Any]:
        """Return a column with its cells as safe texts; pandas formats numbers."""
        write = self._writer(name, column.dtype, page=page)
        return column if write is None else pd.Series([*map(write, column)], column.index, dtype=object)

    def _writer(self, name: str, kind: Any, *, page: bool) -> Callable[[Any], str] | None:
        del name, page
        missing = "<NA>" if isinstance(kind, pd.StringDtype | pd.ArrowDtype) else ""
        return partial(_cell, missing=missing) if _is_text(kind) else None


class StatementFrame(S3Frame):
    """A statement's rows about buckets, objects or jobs, formatted for reading.

    In HTML, sizes have units (the exact number in the tooltip), long keys keep their last segment, folders come before
    objects, and etags last. In text, numbers have thousands separators, and nothing is cut or wrapped. Values, columns
    and order of the frame itself do not change.
    """

    _cut = False

    @property
    def _constructor(self) -> type[S3Frame]:
        return StatementFrame

    def _ordered(self) -> pd.DataFrame:
        ordered = pd.DataFrame(self)
        names = [*map(str, ordered.columns)]
        if "is_prefix" in names and 0 < len(ordered) <= _SORTED_ROWS:
            folders = ordered.iloc[:, names.index("is_prefix")].fillna(value=False).to_numpy(bool)
            ordered = ordered if folders.all() else ordered.iloc[np.argsort(~folders, kind="stable")]
        return ordered.iloc[:, sorted(range(len(names)), key=lambda at: names[at] in _LAST_COLUMNS)]

    def _writer(self, name: str, kind: Any, *, page: bool) -> Callable[[Any], str] | None:
        if pd.api.types.is_integer_dtype(kind):
            return _size if page and name in _BYTES else _count
        if page and name in _PATHS and _is_text(kind):
            return _key
        if write := {"share": _share, "usd_month": _dollars}.get(name):
            return write if page else lambda value: write(value).partition(_TOOLTIP)[0]
        if not _is_text(kind) and not pd.api.types.is_bool_dtype(kind):
            return None
        most = _max_width()
        return _cell if page else partial(_cell, most=None if most == _USUAL_WIDTH else most)


class ReferenceFrame(S3Frame):
    """A reference to read, such as HELP: all rows, full texts, left-aligned.

    Frames derived from it, such as a slice, are plain S3Frames.
    """

    _has_index = False

    def _writer(self, name: str, kind: Any, *, page: bool) -> Callable[[Any], str] | None:
        return _cell if _is_text(kind) else super()._writer(name, kind, page=page)

    @interruptible
    def __repr__(self) -> str:
        with pd.option_context("display.max_rows", None, "display.max_colwidth", None):
            return super().__repr__()

    @interruptible
    def _repr_html_(self) -> str | None:
        with pd.option_context("display.max_rows", None, "display.max_colwidth", None):
            table = super()._repr_html_()
        # Cell texts are escaped, so these tags are always markup.
        return table and table.replace("<td>", f'<td style="{_READABLE}">').replace("<th>", f'<th style="{_READABLE}">')


def _visible_text(text: str) -> str:
    """Return a printed form with its lines made visible: column labels may be keys, after a pivot."""
    return "\n".join(visible(line).rstrip() for line in text.split("\n"))


def _max_width() -> int | None:
    """Return the maximum width of a cell in characters (a pandas option), or None."""
    most: int | None = pd.get_option("display.max_colwidth")
    return most


def _is_text(kind: Any) -> bool:
    """Whether a column's cells are texts, times or categories."""
    kinds = (pd.StringDtype, pd.CategoricalDtype, pd.DatetimeTZDtype)
    return isinstance(kind, kinds) or str(kind) in {"object", "string[pyarrow]", "large_string[pyarrow]"}


_AS_SET: Any = object()


def _cell(value: Any, most: int | None = _AS_SET, missing: str = "") -> str:
    most = _max_width() if most is _AS_SET else most
    if isinstance(value, list | tuple):
        return ", ".join(_cell(each, most) for each in value)
    if value is None or value is pd.NA or value is pd.NaT or value != value:  # noqa: PLR0124 - NaN is not itself
        return missing
    if isinstance(value, pd.Timestamp):
        return value.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
    text = visible(str(value))
    return text if not most or len(text) <= most else text[: most - 1] + "…"


def _count(value: Any) -> str:
    return "" if value is pd.NA or value is None else f"{value:,}"


def _size(value: Any) -> str:
    exact = _count(value)
    return f"{size_text(value)}{_TOOLTIP}{exact} bytes" if exact else ""


def _share(value: Any) -> str:
    return "" if value != value else f"{value:.1%}{_TOOLTIP}{value:.6f}"  # noqa: PLR0124 - NaN is not itself


def _dollars(value: Any) -> str:
    if value is pd.NA or not value:
        return "" if value is pd.NA else "0"
    return f"{'< 0.01' if value < _CENT else f'{value:,.2f}'}{_TOOLTIP}{value:.10f}"


_CENT = 0.01


def _key(value: Any) -> str:
    """Return a key with its middle segments left out if it is too long: keys of one folder differ at their ends.

    The last segment is kept whole; so is the first (with the bucket, in a location) if there is room.
    """
    text, most = _cell(value, None), _max_width()
    begin = text.find("/", len("s3://")) + 1 if text.startswith("s3://") else text.find("/") + 1
    last = text.rstrip("/").rfind("/") + 1
    if not most or len(text) <= most or last <= begin:
        return text
    head = text[:begin] if begin + len(text) - last + 2 <= most else ""
    while (before := text.rfind("/", 0, last - 1) + 1) >= begin and len(head) + len(text) - before + 2 <= most:
        last = before
    return f"{head}…/{text[last:]}{_TOOLTIP}{text}" if last > begin else text


def _padded(shown: pd.DataFrame, texts: Sequence[bool]) -> pd.DataFrame:
    """Return a frame with its texts left-aligned by padding, since pandas right-aligns every column."""
    columns, names = [], []
    for (name, column), text in zip(shown.items(), texts, strict=True):
        width = max([len(str(name)), *map(len, column)]) if text else 0
        columns.append(column.str.ljust(width) if width else column)
        names.append(str(name).ljust(width) if width else name)
    return pd.DataFrame(dict(enumerate(columns)), shown.index).set_axis(names or shown.columns, axis=1)


def _aligned(table: str, texts: Sequence[bool]) -> str:
    """Return an HTML table of pandas with texts left-aligned and numbers right-aligned.

    Cells are escaped, so tags are always markup. Rows with columns left out stay as they are.
    """
    styles = [_LEFT if text else _RIGHT for text in texts]
    return "<tr".join(_with_styles(_with_styles(row, "<th>", styles), "<td>", styles) for row in table.split("<tr"))


def _with_styles(row: str, tag: str, styles: Sequence[str]) -> str:
    before, *cells = row.split(tag)
    if tag == "<th>" and len(cells) == len(styles) + 1:  # the first cell is the index
        before, cells = f"{before}{tag}{cells[0]}", cells[1:]
    if len(cells) != len(styles):
        return row
    return before + "".join(
        f'{tag[:-1]} style="{_LONG if style == _LEFT and cell.find("<") > _LONG_FROM else style}">{cell}'
        for style, cell in zip(styles, cells, strict=True)
    )


def _with_tooltips(table: str) -> str:
    """Return an HTML table with the tooltips of its cells as `title` attributes."""
    return _TOOLTIP_CELL.sub(_with_tooltip, table)


_TOOLTIP_CELL = re.compile(f"<td([^>]*)>([^<{_TOOLTIP}]*){_TOOLTIP}([^<]*)</td>")


def _with_tooltip(cell: re.Match[str]) -> str:
    title = cell[3].replace('"', "&quot;")  # pandas escapes everything else
    return f'<td{cell[1]} title="{title}">{cell[2]}</td>'


def frame_of(columns: Sequence[Column], rows: Iterable[Sequence[Any]], kind: type[S3Frame] = StatementFrame) -> S3Frame:
    """Return a frame from rows of plain values, in the order of the columns; None is missing."""
    cells = list(zip(*rows, strict=True)) or [() for _ in columns]
    return kind({column.name: _series(column, values) for column, values in zip(columns, cells, strict=True)})


def _series(column: Column, values: Sequence[Any]) -> Any:
    if column.type == "timestamp":
        return pd.Series(pd.to_datetime(list(values), utc=True).as_unit("us"), dtype=_DTYPES[column.type])
    return pd.Series(list(values), dtype=_DTYPES[column.type])


def listing_columns(*, versions: bool) -> tuple[Column, ...]:
    """Return the columns of LIST, in order."""
    return (*LISTING_COLUMNS, *(VERSION_COLUMNS if versions else ()), PREFIX_COLUMN)


def listing_frame(tables: Sequence[tuple[str, pa.Table]], *, versions: bool = False) -> S3Frame:
    """Return the frame of LIST from the tables of one or more buckets.

    Args:
        tables: bucket name and the listing's table, which may lack some columns of the frame.
        versions: whether to include the version columns.

    Returns:
        shape (rows of all tables, 7 or 10 columns); Arrow strings, nullable integers and booleans, UTC timestamps,
        categorical storage class.
    """
    import pyarrow as pa

    columns, memory = listing_columns(versions=versions), pa.system_memory_pool()
    parts = [_complete(bucket, table, columns) for bucket, table in tables]
    whole = pa.concat_tables(parts).unify_dictionaries(memory) if parts else _arrow_schema(columns).empty_table()
    mapped = {kind: _DTYPES[name] for name, kind in _arrow_types().items() if name in {"string", "integer", "boolean"}}
    return StatementFrame(whole.to_pandas(types_mapper=mapped.get, self_destruct=True, memory_pool=memory))


def table_frame(columns: Sequence[Column], table: pa.Table) -> S3Frame:
    """Return a frame of the columns, in order, from a table that has them all by name."""
    whole = table.select([column.name for column in columns]).cast(_arrow_schema(columns))
    return StatementFrame({column.name: _arrow_series(column, whole[column.name]) for column in columns})


def _arrow_series(column: Column, values: pa.ChunkedArray) -> Any:
    kinds = {values.type: _DTYPES[column.type]} if column.type in {"string", "integer", "boolean", "amount"} else {}
    return values.to_pandas(types_mapper=kinds.get)


def _arrow_types() -> dict[str, Any]:
    import pyarrow as pa

    return {
        "string": pa.large_string(),
        "integer": pa.int64(),
        "count": pa.int64(),
        "fraction": pa.float64(),
        "amount": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", "UTC"),
        "category": pa.dictionary(pa.int32(), pa.string()),
    }


def _arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    import pyarrow as pa

    types = _arrow_types()
    return pa.schema([(column.name, types[column.type]) for column in columns])


def _complete(bucket: str, table: pa.Table, columns: Sequence[Column]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    schema, memory = _arrow_schema(columns), pa.system_memory_pool()
    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name == "bucket":
            arrays.append(pa.repeat(pa.scalar(bucket, kind), len(table), memory))
        elif name in table.column_names:
            arrays.append(pc.cast(table[name], kind, memory_pool=memory))
        else:
            missing = pa.scalar(False, kind) if name == "is_prefix" else pa.scalar(None, kind)
            arrays.append(pa.repeat(missing, len(table), memory))
    return pa.table(arrays, schema=schema)


def escaped(text: str) -> str:
    """Return a text in its visible form, escaped for HTML."""
    return html.escape(visible(text))
