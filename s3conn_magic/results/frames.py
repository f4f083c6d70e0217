"""Results as pandas frames with the columns of the reference table, typed also when empty."""

from __future__ import annotations

import html
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from s3conn_magic.language.reference import LISTING_COLUMNS, PREFIX_COLUMN, VERSION_COLUMNS, Column
from s3conn_magic.locations import visible
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
_READABLE = "text-align: left; vertical-align: top"


class S3Series(pd.Series):
    """A column or a row of an S3Frame, whose printed form is as safe. It pickles as a plain Series."""

    @property
    def _constructor(self) -> type[S3Series]:
        return S3Series

    @property
    def _constructor_expanddim(self) -> type[S3Frame]:
        return S3Frame

    def __reduce__(self) -> Any:
        return pd.Series(self).__reduce_ex__(1)  # a later protocol demands the class itself

    @interruptible
    def __repr__(self) -> str:
        return _lines(repr(pd.Series(self)))


class S3Frame(pd.DataFrame):
    """A DataFrame whose printed form shows hostile keys safely.

    Control, bidi and invisible characters are shown as visible symbols, and `$…$` is not typeset. The values are
    exact. It pickles as a plain DataFrame.
    """

    _numbered = True

    @property
    def _constructor(self) -> type[S3Frame]:
        return S3Frame

    @property
    def _constructor_sliced(self) -> type[S3Series]:
        return S3Series

    def __reduce__(self) -> Any:
        return pd.DataFrame(self).__reduce_ex__(1)  # a later protocol demands the class itself

    @interruptible
    def _repr_html_(self) -> str | None:
        if not pd.get_option("display.notebook_repr_html"):
            return None
        with pd.option_context("display.html.use_mathjax", False):
            table = _lines(str(self._shown().to_html(notebook=True, index=self._numbered, **self._layout())))
        label = self._label()
        return f"<p><strong>{html.escape(label)}</strong></p>{table}" if label else table

    @interruptible
    def __repr__(self) -> str:
        width = shutil.get_terminal_size((pd.get_option("display.width") or 120, 0)).columns
        layout = self._layout() | {
            "max_cols": pd.get_option("display.max_columns") or None,
            "max_colwidth": pd.get_option("display.max_colwidth"),
        }
        table = _lines(str(self._shown().to_string(line_width=width, **layout)))
        label = self._label()
        return f"{label}\n{table}" if label else table

    def _label(self) -> str:
        """Return what an incomplete listing's rows are headed by."""
        partial = self.attrs.get("partial")
        return f"partial: {visible(str(partial))}" if partial else ""

    def _layout(self) -> dict[str, Any]:
        most = pd.get_option("display.max_rows")
        few = min(most or _SHOWN_ROWS, _SHOWN_ROWS)
        return {
            "max_rows": few if most and len(self) > most else most,
            "max_cols": pd.get_option("display.max_columns"),
            "show_dimensions": True,
            "formatters": self._formatters(),
            "na_rep": "",
        }

    def _shown(self) -> pd.DataFrame:
        """Return a plain frame with a safe index; columns are made safe cell by cell, only where they are shown."""
        shown = pd.DataFrame(self)
        if not pd.api.types.is_numeric_dtype(shown.index.dtype):
            shown = shown.set_axis(shown.index.map(_cell))
        return shown

    def _formatters(self) -> dict[Any, Callable[[Any], str]]:
        kinds = (pd.StringDtype, pd.CategoricalDtype, pd.DatetimeTZDtype)
        texts = {"object", "string[pyarrow]", "large_string[pyarrow]"}
        return {name: _cell for name, kind in self.dtypes.items() if isinstance(kind, kinds) or str(kind) in texts}


class ReferenceFrame(S3Frame):
    """A frame that is there to be read: a notebook shows every row of it, and every text whole, from left to right.

    What is made of it, such as a part of its rows, is an S3Frame like any other.
    """

    _numbered = False

    @interruptible
    def _repr_html_(self) -> str | None:
        with pd.option_context("display.max_rows", None, "display.max_colwidth", None):
            table = super()._repr_html_()
        # Texts of cells are escaped, so that this is markup wherever it stands.
        return table and table.replace("<td>", f'<td style="{_READABLE}">').replace("<th>", f'<th style="{_READABLE}">')


def _lines(text: str) -> str:
    """Return a printed form without what labels may have brought into it: columns may be keys after a pivot."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_cell(each) for each in value)
    if value is None or value is pd.NA or value is pd.NaT or value != value:  # noqa: PLR0124 - NaN is not itself
        return ""
    if isinstance(value, pd.Timestamp):
        return value.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
    text = visible(str(value))
    most = pd.get_option("display.max_colwidth")
    return text if not most or len(text) <= most else text[: most - 1] + "…"


def frame_of(columns: Sequence[Column], rows: Iterable[Sequence[Any]], kind: type[S3Frame] = S3Frame) -> S3Frame:
    """Return a frame of the columns, in their order, from rows of plain values; None is missing."""
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
        tables: name of the bucket and the engine's table, whose columns may be fewer than the frame's.
        versions: whether the version columns are part of it.

    Returns:
        shape (rows of all tables, 7 or 10 columns); Arrow strings, nullable integers and booleans, UTC timestamps,
        categorical storage class.
    """
    import pyarrow as pa

    columns, memory = listing_columns(versions=versions), pa.system_memory_pool()
    parts = [_complete(bucket, table, columns) for bucket, table in tables]
    whole = pa.concat_tables(parts).unify_dictionaries(memory) if parts else _arrow_schema(columns).empty_table()
    mapped = {kind: _DTYPES[name] for name, kind in _arrow_types().items() if name in {"string", "integer", "boolean"}}
    return S3Frame(whole.to_pandas(types_mapper=mapped.get, self_destruct=True, memory_pool=memory))


def table_frame(columns: Sequence[Column], table: pa.Table) -> S3Frame:
    """Return a frame of the columns, in their order, from a table that has them all under their names."""
    whole = table.select([column.name for column in columns]).cast(_arrow_schema(columns))
    return S3Frame({column.name: _arrow_series(column, whole[column.name]) for column in columns})


def _arrow_series(column: Column, values: pa.ChunkedArray) -> Any:
    kinds = {values.type: _DTYPES[column.type]} if column.type in {"string", "integer", "boolean"} else {}
    return values.to_pandas(types_mapper=kinds.get)


def _arrow_types() -> dict[str, Any]:
    import pyarrow as pa

    return {
        "string": pa.large_string(),
        "integer": pa.int64(),
        "count": pa.int64(),
        "fraction": pa.float64(),
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
    """Return a text as HTML that shows it, and nothing else."""
    return html.escape(visible(text))
