"""Values → Arrow columns → a pandas frame of Arrow types."""

from __future__ import annotations

import json
import re
from datetime import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

COLUMNS_AT_MOST = 2_000
_DEPTH_AT_MOST = 16
_UNFIT = (pa.ArrowException, NotImplementedError, ValueError, TypeError, OverflowError, LookupError)
_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,17})")
# Of no more digits than every double has.
_NUMBER = re.compile(r"-?(?=[\d.]{1,16}(?![\d.]))(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?")
_SPECIAL = re.compile(rf"{_NUMBER.pattern}|nan|-?inf(?:inity)?", re.IGNORECASE)
_BOOLEAN = re.compile(r"true|false", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?")
_TIME = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?")
_ZONED = re.compile(rf"{_MOMENT.pattern}(?:Z|[+-]\d\d:?\d\d)")


def _types() -> tuple[tuple[re.Pattern[str], pa.DataType], ...]:
    return (
        (_WHOLE, pa.int64()),
        (_NUMBER, pa.float64()),
        (_SPECIAL, pa.float64()),
        (_BOOLEAN, pa.bool_()),
        *_moments(),
    )


def _moments() -> tuple[tuple[re.Pattern[str], pa.DataType], ...]:
    return (
        (_DATE, pa.date32()),
        (_MOMENT, pa.timestamp("us")),
        (_ZONED, pa.timestamp("us", "UTC")),
        (_TIME, pa.time64("us")),
    )


def typed(values: Sequence[str | None], *, strings: bool = False) -> pa.Array:
    """A column of texts as what all of them look like; a number with leading zeros is none, so `007` stays.

    Args:
        values: the texts.
        strings: whether they are strings of JSON, which are neither numbers nor truth values.
    """
    texts = pa.array([_valid(value) for value in values], pa.string())
    given = [value for value in values if value is not None]
    for pattern, kind in (_moments() if strings else _types()) if given else ():
        numbers = pattern is not _SPECIAL or any(map(_NUMBER.fullmatch, given))
        if numbers and all(pattern.fullmatch(value) for value in given):
            try:
                return _times(values) if pattern is _TIME else texts.cast(kind)
            except (pa.ArrowException, ValueError):  # 2026-02-30 looks like a date
                return texts
    return texts


def _times(values: Sequence[str | None]) -> pa.Array:
    return pa.array([value and time.fromisoformat(value) for value in values], pa.time64("us"))


def inferred(values: Sequence[Any]) -> tuple[pa.Array, bool]:
    """A column of JSON values, and whether they fit no one type, so that each is its JSON text."""
    if all(_depth(value) <= _DEPTH_AT_MOST for value in values):
        try:
            column = pa.array(values)
            column.validate(full=True)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            pass
        else:
            column = column.cast(pa.string()) if pa.types.is_null(column.type) else column
            return (typed(values, strings=True) if pa.types.is_string(column.type) else column), False
    return pa.array([None if value is None else _json(value) for value in values], pa.string()), True


def _depth(value: Any, reached: int = 1) -> int:
    """How deep lists and objects are nested, looked at no further than matters."""
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if reached > _DEPTH_AT_MOST:
        return reached
    return max((_depth(item, reached + 1) for item in inner), default=reached)


def _json(value: Any) -> str:
    """Escapes keep what is no valid Unicode."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text == _valid(text) else json.dumps(value)


def _valid(text: str | None) -> str | None:
    return text and text.encode("utf-8", "replace").decode()


def table(names: Iterable[str], columns: Iterable[pa.Array]) -> pa.Table:
    """A table; names may repeat."""
    return pa.Table.from_arrays([*columns], names=[_valid(name) or "" for name in names])


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
