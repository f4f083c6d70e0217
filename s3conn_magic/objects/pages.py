"""Where the first pages of a Parquet column chunk end, and what they unpack to, from their headers.

Headers are Thrift's compact protocol; of a `PageHeader` these fields matter: 1 type, 2 uncompressed size, 3 compressed
size, and field 1, the number of values, of the header of its type (5, 7 or 8).
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_DICTIONARY_PAGE = 2
_VALUES_IN = {0: 5, 2: 7, 3: 8}
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Page:
    """A page: bytes of its header, of its body as stored and unpacked, and how many values it holds."""

    header: int
    stored: int
    unpacked: int
    values: int
    is_dictionary: bool


class _Thrift:
    """Reads values of Thrift's compact protocol; what is cut or no such protocol is an IndexError or ValueError."""

    def __init__(self, data: bytes, at: int) -> None:
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

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Integers and structs by field; everything else is skipped."""
        if depth > _DEEPEST:
            raise ValueError("structs are nested too deeply")
        found: dict[int, Any] = {}
        field = 0
        while head := self.byte():
            field = field + (head >> 4) if head >> 4 else self.integer()
            found[field] = self.value(head & 0x0F, depth)
        return found

    def value(self, kind: int, depth: int) -> Any:
        if kind in {_I16, _I32, _I64}:
            return self.integer()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind == _BINARY:
            length = self.varint()
            self.at += length
        elif kind not in {_TRUE, _FALSE}:
            raise ValueError("a page's header has no such field")
        return None


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
    except (IndexError, ValueError, KeyError, AttributeError):
        return None
    if min(unpacked, stored, values) < 0:
        return None
    return Page(reader.at - at, stored, unpacked, values, kind == _DICTIONARY_PAGE)
