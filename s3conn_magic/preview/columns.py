"""Convert Arrow columns to a pandas frame that can always be shown, whatever their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLUMNS_AT_MOST = 2_000
_UNFIT = (pa.ArrowException, NotImplementedError, ValueError, TypeError, OverflowError, LookupError)


def _replace_surrogates(text: str | None) -> str | None:
    return text and text.encode("utf-8", "replace").decode()


def schema_of(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    """Return name and type of each column."""
    return tuple((field.name, str(field.type)) for field in schema)


def with_valid_texts(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Return the table with invalid UTF-8 replaced, and the names of the columns that had any.

    Formats declare texts to be UTF-8, and libraries trust them: Arrow and pandas fail when such a value is used, with a
    different error each time.
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
    """Yield a note on the columns with replaced bytes."""
    if names:
        yield f"not all texts of {', '.join(names)} are UTF-8; \N{REPLACEMENT CHARACTER} stands for what is not"


def _bytes_type(kind: pa.DataType) -> pa.DataType:
    """Return the type with binary in place of string, at every depth."""
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
    """Convert a value of `_bytes_type(kind)` to one of `kind`."""
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
    """Return a frame with Arrow types; columns with values that Python or pandas cannot hold become text."""
    columns = [_series(column) for column in table.columns]
    rows = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(len(table)))
    return rows.set_axis(table.column_names, axis=1)


def _series(column: pa.ChunkedArray) -> pd.Series[Any]:
    try:
        plain = _storage(column)
        if "_view<" in str(plain.type):  # pandas can hold such lists but not show them
            return pd.Series(pd.arrays.ArrowExtensionArray(texts(column)))
        plain.to_pylist()  # fails for a year beyond 9999, which would otherwise fail when shown
        series = pd.Series(pd.arrays.ArrowExtensionArray(plain))
        if pa.types.is_temporal(plain.type):
            list(series.array)  # fails for a time beyond those of pandas
        if not pa.types.is_primitive(plain.type):
            series.head(2).to_string()
    except _UNFIT:
        return pd.Series(pd.arrays.ArrowExtensionArray(texts(column)))
    return series


def _storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the column without its extension type, whose values only its own library can show."""
    kind = column.type
    return column.cast(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else column


def texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as text: Arrow's text of the values, or their stored numbers, or `?` for each value."""
    for through in (None, pa.int64(), pa.int32()):
        try:
            return (column.cast(through) if through else column).cast(pa.string())
        except pa.ArrowException:
            continue
    try:
        return pa.chunked_array([pa.array([_text(value) for value in column], pa.string())])
    except _UNFIT:  # PyArrow has no scalars of some types, such as month intervals
        missing = pc.is_null(column).to_pylist()
        return pa.chunked_array([pa.array([None if each else "?" for each in missing], pa.string())])


def _text(value: pa.Scalar) -> str | None:
    try:
        return _replace_surrogates(str(value)) if value.is_valid else None
    except _UNFIT:
        return "?"
