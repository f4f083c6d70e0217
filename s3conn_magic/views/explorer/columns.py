"""The loaded rows of one folder as columns, so that a million of them fit."""

from __future__ import annotations

import sys
from array import array
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from s3conn_magic.locations import Location
from s3conn_magic.views.explorer.model import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOTS = "s3://"
NO_SIZE = -1
NO_TIME = -(2**62)
Order = npt.NDArray[np.int64]
SortKey = Literal["name", "size", "date"]


def milliseconds(moment: datetime | None) -> int:
    """Milliseconds since 1970 in UTC, `NO_TIME` for none."""
    if moment is None:
        return NO_TIME
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


class Rows:
    """Rows in the order in which they came; a row is named by its place in it.

    A row's URI is `base` and its name, exactly: `s3://lake/logs/` and `2024/`.

    Attributes:
        names: what follows `base` in a row's URI.
        sizes: bytes, `NO_SIZE` for none.
        times: milliseconds since 1970, `NO_TIME` for none.
    """

    def __init__(self, location: Location | None) -> None:
        self.base = location.uri if location else ROOTS
        self.names: list[str] = []
        self.sizes = array("q")
        self.times = array("q")
        self.classes: list[str | None] = []
        self.etags: list[str | None] = []
        self.largest = 0
        self.bytes = 0
        self._location = location
        self._roots: list[Location] = []
        self._prefixes = bytearray()
        self._ascending = True
        self._orders: dict[tuple[SortKey, bool], Order | None] = {}

    def __len__(self) -> int:
        return len(self.names)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Add a page's entries.

        Raises:
            ValueError: an entry does not lie below this location.
        """
        self._orders.clear()
        for entry in entries:
            self._add(entry, self._name(entry.location))

    def _name(self, location: Location) -> str:
        at = self._location
        if at is None:
            return location.uri[len(ROOTS) :]
        if not at.covers(location):
            raise ValueError("an entry lies outside the location that was listed")
        return location.key[len(at.key) :]

    def _add(self, entry: Entry, name: str) -> None:
        self._ascending = self._ascending and (not self.names or self.names[-1] <= name)
        if self._location is None:
            self._roots.append(entry.location)
        size = NO_SIZE if entry.size is None else entry.size
        self.largest = max(self.largest, size)
        self.bytes += max(size, 0)
        self.names.append(name)
        self.sizes.append(size)
        self.times.append(milliseconds(entry.last_modified))
        self.classes.append(sys.intern(entry.storage_class) if entry.storage_class else None)
        self.etags.append(entry.etag)
        self._prefixes.append(entry.is_prefix)

    def is_prefix(self, row: int) -> bool:
        """Whether the row can be opened."""
        return bool(self._prefixes[row])

    @property
    def prefix_count(self) -> int:
        """How many of the rows can be opened."""
        return self._prefixes.count(1)

    def location(self, row: int) -> Location:
        """The exact place of a row."""
        if self._location is None:
            return self._roots[row]
        return Location(self._location.bucket, self._location.key + self.names[row])

    def order(self, by: SortKey, descending: bool) -> Order | None:
        """Rows in the order in which they are shown, folders first; None where that is the order they came in."""
        if (by, descending) not in self._orders:
            self._orders[by, descending] = self._sorted(by, descending)
        return self._orders[by, descending]

    def _sorted(self, by: SortKey, descending: bool) -> Order | None:
        named = self._named()
        if by != "name":
            values = np.array(self.sizes if by == "size" else self.times, dtype=np.int64)[named]
            named = named[np.argsort(-values if descending else values, kind="stable")]
        folders = np.frombuffer(bytes(self._prefixes), dtype=np.bool_)[named]
        first, then = named[folders], named[~folders]
        if by == "name" and descending:
            first, then = first[::-1], then[::-1]
        order = np.concatenate([first, then])
        return None if np.array_equal(order, np.arange(len(order))) else order

    def _named(self) -> Order:
        rows = range(len(self))
        return np.array(rows if self._ascending else sorted(rows, key=self.names.__getitem__), dtype=np.int64)

    def find(self, names: set[str]) -> dict[str, int]:
        """The rows that have these names."""
        return {name: row for row, name in enumerate(self.names) if name in names}

    def entries(self) -> Iterator[Entry]:
        """The rows as entries, in the order in which they came."""
        return map(self.entry, range(len(self)))

    def entry(self, row: int) -> Entry:
        """One row as an entry."""
        size, time = self.sizes[row], self.times[row]
        return Entry(
            self.location(row),
            is_prefix=self.is_prefix(row),
            size=None if size == NO_SIZE else size,
            last_modified=None if time == NO_TIME else datetime.fromtimestamp(time / 1000, UTC),
            etag=self.etags[row],
            storage_class=self.classes[row],
        )
