"""Values → Arrow columns → a pandas frame of Arrow types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLUMNS_AT_MOST = 2_000
_UNFIT = (pa.ArrowException, NotImplementedError, ValueError, TypeError, OverflowError, LookupError)


def _valid(text: str | None) -> str | None:
    return text and text.encode("utf-8", "replace").decode()


def schema_of(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    """Name and type of each column."""
    return tuple((field.name, str(field.type)) for field in schema)


def with_valid_texts(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """The table with a replacement sign for every byte of a text that is no UTF-8, and the columns where one stood.

    Formats declare texts to be UTF-8, and libraries believe them: Arrow and pandas fail whenever such a value is looked
    at, and the error is another one each time.
    """
    changed = []
    for at, field in enumerate(table.schema):
        column = table.column(at)
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            try:
                values = column.cast(_bytes_type(field.type)).to_pylist()
                clean = pa.array([_decoded(value, field.type) for value in values], field.type)
            except _UNFIT:
                continue
            table = table.set_column(at, field, clean)
            changed.append(field.name)
    return table, changed


def replacements(names: Sequence[str]) -> Iterator[str]:
    """What is said of such columns."""
    if names:
        yield f"not all texts of {', '.join(names)} are UTF-8; \N{REPLACEMENT CHARACTER} stands for what is not"


def _bytes_type(kind: pa.DataType) -> pa.DataType:
    """The same type with bytes where it has texts, at every depth."""
    if pa.types.is_dictionary(kind):
        return _bytes_type(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _bytes_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_bytes_type(kind.key_type), _bytes_type(kind.item_type))
    return pa.list_(_bytes_type(kind.value_type)) if _is_list(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    return any(is_it(kind) for is_it in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _decoded(value: Any, kind: pa.DataType) -> Any:
    """A value of `_bytes_type(kind)` as one of `kind`."""
    if value is None:
        return None
    if pa.types.is_dictionary(kind):
        return _decoded(value, kind.value_type)
    if pa.types.is_map(kind):
        return [(_decoded(key, kind.key_type), _decoded(item, kind.item_type)) for key, item in value]
    if pa.types.is_struct(kind):
        return {field.name: _decoded(value[field.name], field.type) for field in kind}
    if _is_list(kind):
        return [_decoded(item, kind.value_type) for item in value]
    return value.decode("utf-8", "replace") if _bytes_type(kind) == pa.large_binary() != kind else value


def frame(table: pa.Table) -> pd.DataFrame:
    """A frame with the same types; a column with values that Python or pandas cannot hold is their text."""
    columns = [_series(column) for column in table.columns]
    made = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(len(table)))
    return made.set_axis(table.column_names, axis=1)


def _series(column: pa.ChunkedArray) -> pd.Series[Any]:
    try:
        plain = _plain(column)
        if "_view<" in str(plain.type):  # pandas holds lists of that kind and cannot show them
            return pd.Series(pd.arrays.ArrowExtensionArray(texts(column)))
        plain.to_pylist()  # a year beyond 9999 is no Python value, and would fail when it is shown
        series = pd.Series(pd.arrays.ArrowExtensionArray(plain))
        if pa.types.is_temporal(plain.type):
            list(series.array)  # so would a time that is none of pandas'
        if not pa.types.is_primitive(plain.type):
            series.head(2).to_string()
    except _UNFIT:
        return pd.Series(pd.arrays.ArrowExtensionArray(texts(column)))
    return series


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without extension types, whose values only their own library can show."""
    kind = column.type
    return column.cast(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else column


def texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as text: as Arrow writes values, or the numbers that they are stored as, or only that they are there."""
    for through in (None, pa.int64(), pa.int32()):
        try:
            return (column.cast(through) if through else column).cast(pa.string())
        except pa.ArrowException:
            continue
    try:
        return pa.chunked_array([pa.array([_text(value) for value in column], pa.string())])
    except _UNFIT:  # PyArrow has no values of the type, such as intervals of months
        gone = pc.is_null(column).to_pylist()
        return pa.chunked_array([pa.array([None if each else "?" for each in gone], pa.string())])


def _text(value: pa.Scalar) -> str | None:
    try:
        return _valid(str(value)) if value.is_valid else None
    except _UNFIT:
        return "?"
