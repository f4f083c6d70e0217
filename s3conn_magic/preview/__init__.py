"""Previews: the beginning of an object as a table, text, image or bytes; and frames that can show any Arrow column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3conn_magic.objects.description import Description

Kind = Literal["table", "text", "image", "binary", "empty", "archived", "deleted"]


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of an object. Fields that do not apply to its kind are None or empty.

    Attributes:
        kind: how it is shown; an `archived` object, which must be restored first, and a `deleted` one are not read.
        description: the answer of HeadObject; with tags and versions only if the caller passed them.
        format: `Parquet`, `CSV`, `TSV`, `JSON lines`, `JSON`, `text`, `PNG`, … or `binary`.
        frame: the first rows of a table, with Arrow types.
        text: the exact decoded text; escape it and make control characters visible before showing it.
        layout: a short, complete JSON document with one line for each value, values exactly as written.
        schema: name and type of each column, including those that `frame` leaves out.
        total_rows: rows of the whole object, if its format says so or all of it was read.
        about_rows: estimated rows of the object, from the size of the first ones, if the exact number is unknown.
        row_groups: number of row groups of a Parquet file.
        image: the bytes of an image that is not too large.
        mime: media type of the image, such as `image/png`; an `image/svg+xml` text may contain scripts, so show it only
            where they cannot run.
        width: pixels.
        height: pixels.
        hex_dump: offset, bytes and characters of the first bytes, if it is not a table, text or image.
        encoding: of texts and tables in text formats, such as `utf-8`.
        compression: `gzip`, `zstd` or `bz2`, or None.
        truncated: whether the object has more than is shown.
        bytes_read: bytes received of the object.
        requests: requests sent for this preview.
        notes: what was left out or looked odd, and why.
    """

    kind: Kind
    description: Description
    format: str = "binary"
    frame: pd.DataFrame | None = None
    text: str | None = None
    layout: str | None = None
    schema: tuple[tuple[str, str], ...] = ()
    total_rows: int | None = None
    about_rows: int | None = None
    row_groups: int | None = None
    image: bytes | None = field(default=None, repr=False)
    mime: str | None = None
    width: int | None = None
    height: int | None = None
    hex_dump: str | None = None
    encoding: str | None = None
    compression: str | None = None
    truncated: bool = False
    bytes_read: int = 0
    requests: int = 0
    notes: tuple[str, ...] = ()


def rounded(count: int) -> int:
    """Return an estimate rounded to two significant digits."""
    return int(float(f"{count:.2g}"))


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
    for at, column in enumerate(table.columns):
        named = table.schema.field(at)
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            try:
                values = column.cast(_bytes_type(named.type)).to_pylist()
                clean = pa.array([_decoded(value, named.type) for value in values], named.type)
            except _UNFIT:
                continue
            table = table.set_column(at, named, clean)
            changed.append(named.name)
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
