"""What Parquet says in Thrift's compact protocol, as far as a preview needs it: where columns lie, where pages end.

PyArrow tells the first, too, but its metadata of a column ends the process where the column is encrypted, or where
its statistics are damaged. So the footer is read here, and PyArrow is asked for nothing but schema and values.
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_DICTIONARY_PAGE = 2
_VALUES_IN = {0: 5, 2: 7, 3: 8}
_DEEPEST = 16
_WRONG = (IndexError, ValueError, KeyError, AttributeError, TypeError)


@dataclass(frozen=True, slots=True)
class Page:
    """A page: bytes of its header, of its body as stored and unpacked, and how many values it holds."""

    header: int
    stored: int
    unpacked: int
    values: int
    is_dictionary: bool


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """Where a column of a row group lies in the file; nothing can be told of an encrypted one."""

    start: int
    stop: int
    encrypted: bool


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group: its rows, and its columns in the schema's order, leaves only."""

    rows: int
    columns: list[ColumnChunk]


class _Thrift:
    """Reads values of Thrift's compact protocol; what is cut or no such protocol is an IndexError or ValueError."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    def byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while shift < 64:  # noqa: PLR2004 - bits
            one = self.byte()
            value |= (one & 0x7F) << shift
            if one < 0x80:  # noqa: PLR2004 - the top bit says that more follow
                return value
            shift += 7
        raise ValueError("a number is too long")

    def integer(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and kind of each field of a struct; the caller reads or skips its value before the next one."""
        field = 0
        while head := self.byte():
            field = field + (head >> 4) if head >> 4 else self.integer()
            yield field, head & 0x0F

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Integers and structs by field, None for everything else."""
        return {field: self.value(kind, depth + 1) for field, kind in self.fields()}

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in {_I16, _I32, _I64}:
            return self.integer()
        if kind == _STRUCT:
            if depth > _DEEPEST:
                raise ValueError("structs are nested too deeply")
            return self.struct(depth)
        self._skip(kind, depth)
        return None

    def _skip(self, kind: int, depth: int) -> None:
        if kind == _BINARY:
            self._step(self.varint())
        elif kind in {_BYTE, _DOUBLE}:
            self._step(1 if kind == _BYTE else 8)
        elif kind in {_LIST, _SET}:
            for item in self.items():
                self.value(_BYTE if item in {_TRUE, _FALSE} else item, depth + 1)
        elif kind not in {_TRUE, _FALSE}:
            raise ValueError("Parquet has no field of this kind")

    def _step(self, length: int) -> None:
        self.at += length
        if self.at > len(self._data):
            raise IndexError("a value is cut short")

    def items(self) -> Iterator[int]:
        """The kind of each item of a list; the caller reads or skips it before the next one."""
        head = self.byte()
        count = head >> 4 if head >> 4 < 15 else self.varint()  # noqa: PLR2004 - four bits
        return itertools.repeat(head & 0x0F, count)


def row_groups(footer: bytes, *, rows: int, most: int) -> list[RowGroup] | None:
    """The first row groups of a file, up to the one that has as many rows as are wanted; None in a damaged footer.

    Args:
        footer: the `FileMetaData` alone.
        rows: how many rows are wanted.
        most: row groups that are looked at, with rows or without.
    """
    reader, found = _Thrift(footer), []
    try:
        for field, kind in reader.fields():
            if field != 4 or kind != _LIST:  # noqa: PLR2004 - FileMetaData.row_groups
                reader.value(kind)
                continue
            for _ in itertools.islice(reader.items(), most):
                found.append(_row_group(reader))
                if sum(group.rows for group in found) >= rows:
                    break
            return found
    except _WRONG:
        return None
    return found


def _row_group(reader: _Thrift) -> RowGroup:
    rows, columns = 0, []
    for field, kind in reader.fields():
        if field == 1 and kind == _LIST:
            columns = [_column_chunk(reader.struct()) for _ in reader.items()]
        else:
            value = reader.value(kind)
            rows = value if field == 3 else rows  # noqa: PLR2004 - RowGroup.num_rows
    if rows < 0:
        raise ValueError("a row group has fewer than no rows")
    return RowGroup(rows, columns)


def _column_chunk(found: dict[int, Any]) -> ColumnChunk:
    """Of a `ColumnChunk`: 3 its metadata, 8 how it is encrypted; of the metadata: 7 its size, 9 and 11 where it is."""
    meta = found.get(3)
    if 8 in found or meta is None:  # noqa: PLR2004
        return ColumnChunk(0, 0, encrypted=True)
    start = min((offset for offset in (meta.get(9), meta.get(11)) if offset and offset > 0), default=0)
    return ColumnChunk(start, start + max(meta[7], 0), encrypted=False)


def pages(data: bytes) -> Iterator[Page]:
    """The pages of a column chunk whose headers lie within `data`, which begins where the chunk does."""
    at = 0
    while page := _page(data, at):
        yield page
        at += page.header + page.stored


def _page(data: bytes, at: int) -> Page | None:
    reader = _Thrift(data, at)
    try:
        found = reader.struct()
        kind, unpacked, stored = found[1], found[2], found[3]
        values = found.get(_VALUES_IN.get(kind, 0), {}).get(1, 0)
        if min(unpacked, stored, values) < 0:
            return None
    except _WRONG:
        return None
    return Page(reader.at - at, stored, unpacked, values, kind == _DICTIONARY_PAGE)
