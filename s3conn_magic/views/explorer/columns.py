"""The loaded rows of one folder as columns, so that a million of them fit."""

from __future__ import annotations

import sys
from array import array
from dataclasses import replace
from datetime import UTC, datetime
from operator import le
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from s3conn_magic.views.explorer.model import Through

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3conn_magic.locations import Location
    from s3conn_magic.views.explorer.model import Entry

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


def is_connection(location: Location | None) -> bool:
    """Whether a location is a connection and nothing in it."""
    return isinstance(location, Through) and not location.bucket


class Columns(NamedTuple):
    """Rows of one folder, a column each."""

    buckets: list[str]
    keys: list[str]
    sizes: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    etags: list[str | None]
    classes: list[str | None]
    prefixes: npt.NDArray[np.bool_]


def _root_name(location: Location) -> str:
    return location.connection if isinstance(location, Through) and not location.bucket else location.uri[len(ROOTS) :]


class Rows:
    """Rows in the order in which they came; a row is named by its place in it.

    A row's URI is `base` and its name, exactly: `s3://lake/logs/` and `2024/`.

    Attributes:
        rooted: whether the rows are buckets, display filters or connections.
        names: what follows `base` in a row's URI.
        sizes: bytes, `NO_SIZE` for none.
        times: milliseconds since 1970, `NO_TIME` for none.
    """

    def __init__(self, location: Location | None) -> None:
        self.rooted = location is None or is_connection(location)
        self.base = location.uri if location and not self.rooted else ROOTS
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
        page = list(entries)
        names = self._names([entry.location for entry in page])
        sizes = [NO_SIZE if entry.size is None else entry.size for entry in page]
        joined = [*self.names[-1:], *names]
        self._ascending = self._ascending and all(map(le, joined, joined[1:]))
        self._orders.clear()
        self.names += names
        self.sizes.extend(sizes)
        self.times.extend([milliseconds(entry.last_modified) for entry in page])
        self.classes += [sys.intern(entry.storage_class) if entry.storage_class else None for entry in page]
        self.etags += [entry.etag for entry in page]
        self._prefixes += bytes([entry.is_prefix for entry in page])
        self.largest = max(self.largest, *sizes, 0)
        self.bytes += sum(size for size in sizes if size > 0)

    def _names(self, locations: list[Location]) -> list[str]:
        at = self._location
        if at is None or self.rooted:
            self._roots += locations
            return [_root_name(location) for location in locations]
        if not all(location.bucket == at.bucket and location.key.startswith(at.key) for location in locations):
            raise ValueError("an entry lies outside the location that was listed")
        cut = len(at.key)
        return [location.key[cut:] for location in locations]

    def is_prefix(self, row: int) -> bool:
        """Whether the row can be opened."""
        return bool(self._prefixes[row])

    @property
    def prefix_count(self) -> int:
        """How many of the rows can be opened."""
        return self._prefixes.count(1)

    def location(self, row: int) -> Location:
        """The exact place of a row."""
        if self._location is None or self.rooted:
            return self._roots[row]
        return replace(self._location, key=self._location.key + self.names[row])

    def is_connection(self, row: int) -> bool:
        """Whether the row is a connection."""
        return self.rooted and is_connection(self._roots[row])

    def order(self, by: SortKey, descending: bool) -> Order | None:
        """Rows in the order in which they are shown, folders first; None where that is the order they came in."""
        if (by, descending) not in self._orders:
            self._orders[by, descending] = self._sorted(by, descending)
        return self._orders[by, descending]

    def _sorted(self, by: SortKey, descending: bool) -> Order | None:
        if by == "name" and not descending and self._ascending and self.prefix_count in {0, len(self)}:
            return None
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
        if self._ascending:
            return np.arange(len(self))
        return np.array(sorted(range(len(self)), key=self.names.__getitem__), dtype=np.int64)

    def find(self, names: set[str]) -> dict[str, int]:
        """The rows that have these names."""
        return {name: row for row, name in enumerate(self.names) if name in names}

    def columns(self, rows: Order) -> Columns:
        """These rows, a column each; `NO_SIZE` and `NO_TIME` stand for none."""
        chosen = rows.tolist()
        at = self._location
        bucket, prefix = (at.bucket, at.key) if at else ("", "")
        return Columns(
            [self._roots[row].bucket for row in chosen] if self.rooted else [bucket] * len(chosen),
            [self._roots[row].key for row in chosen] if self.rooted else [prefix + self.names[row] for row in chosen],
            np.array(self.sizes, dtype=np.int64)[rows],
            np.array(self.times, dtype=np.int64)[rows],
            [self.etags[row] for row in chosen],
            [self.classes[row] for row in chosen],
            np.frombuffer(bytes(self._prefixes), dtype=np.bool_)[rows],
        )
