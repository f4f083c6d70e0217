"""The open folders and their rows, stored in columns so that millions fit."""

from __future__ import annotations

import sys
from array import array
from bisect import insort
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from operator import le
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from s3conn_magic.explorer import Through

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.explorer import Children, FolderListing, TreeEntry
    from s3conn_magic.locations import Location

ROOTS = "s3://"
NO_SIZE = -1
NO_TIME = -(2**62)
Order = npt.NDArray[np.int64]
SortKey = Literal["name", "size", "date"]


def milliseconds(moment: datetime | None) -> int:
    """Return milliseconds since 1970 (UTC), or `NO_TIME`."""
    if moment is None:
        return NO_TIME
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def is_connection(location: Location | None) -> bool:
    """Whether a location is a connection itself."""
    return isinstance(location, Through) and not location.bucket


class FolderColumns(NamedTuple):
    """Rows of one folder, as columns."""

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
    """A folder's rows in order of arrival; a row's index there identifies it.

    A row's URI is exactly `base` plus its name, such as `s3://lake/logs/` and `2024/`.

    Attributes:
        rooted: whether the rows are buckets, display filters or connections.
        names: the rest of each row's URI after `base`.
        sizes: bytes, or `NO_SIZE`.
        times: milliseconds since 1970, or `NO_TIME`.
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
        self._deleted: set[str] = set()
        self._ascending = True
        self._orders: dict[tuple[SortKey, bool], Order | None] = {}
        self._filter_cache: tuple[str, npt.NDArray[np.bool_]] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def extend(self, entries: Iterable[TreeEntry]) -> None:
        """Add entries.

        Raises:
            ValueError: an entry is not below this location.
        """
        page = list(entries)
        names = self._names([entry.location for entry in page])
        sizes = [NO_SIZE if entry.size is None else entry.size for entry in page]
        joined = [*self.names[-1:], *names]
        self._ascending = self._ascending and all(map(le, joined, joined[1:]))
        self._orders.clear()
        self._filter_cache = None
        self.names += names
        self.sizes.extend(sizes)
        self.times.extend([milliseconds(entry.last_modified) for entry in page])
        self.classes += [sys.intern(entry.storage_class) if entry.storage_class else None for entry in page]
        self.etags += [entry.etag for entry in page]
        self._prefixes += bytes([entry.is_prefix for entry in page])
        self._deleted |= {name for name, entry in zip(names, page, strict=True) if entry.deleted}
        self.largest = max(self.largest, *sizes, 0)
        self.bytes += sum(size for size in sizes if size > 0)

    def take(self, page: Children) -> None:
        """Add a page, whether it has entries or columns.

        Raises:
            ValueError: an entry is not below this location.
        """
        columns = page.columns
        if columns is None:
            return self.extend(page.entries)
        cut = len(self._location.key) if self._location else 0
        names = [key[cut:] for key in columns.keys] if cut else columns.keys
        joined = [*self.names[-1:], *names]
        self._ascending = self._ascending and all(map(le, joined, joined[1:]))
        self.names += names
        self.sizes.frombytes(columns.sizes.tobytes())
        self.times.frombytes(columns.times.tobytes())
        self.etags += columns.etags
        self.classes += [sys.intern(each) if each else None for each in columns.classes]
        self._prefixes += columns.prefixes
        self.largest = max(self.largest, int(columns.sizes.max(initial=0)))
        self.bytes += int(columns.sizes[columns.sizes > 0].sum())
        self._orders.clear()
        self._filter_cache = None
        return None

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

    def is_deleted(self, row: int) -> bool:
        """Whether the row is a deleted object that still has versions."""
        return self.names[row] in self._deleted

    @property
    def prefix_count(self) -> int:
        """Number of rows that can be opened."""
        return self._prefixes.count(1)

    def location(self, row: int) -> Location:
        """Return the exact location of a row."""
        if self._location is None or self.rooted:
            return self._roots[row]
        return replace(self._location, key=self._location.key + self.names[row])

    def is_connection(self, row: int) -> bool:
        """Whether the row is a connection."""
        return self.rooted and is_connection(self._roots[row])

    def order(self, by: SortKey, descending: bool) -> Order | None:
        """Return the rows in display order, folders first, or None if that is the order of arrival."""
        if (by, descending) not in self._orders:
            self._orders[by, descending] = self._sorted(by, descending)
        return self._orders[by, descending]

    def _sorted(self, by: SortKey, descending: bool) -> Order | None:
        if by == "name" and not descending and self._ascending and self.prefix_count in {0, len(self)}:
            return None
        by_name = self._by_name()
        if by != "name":
            values = np.array(self.sizes if by == "size" else self.times, dtype=np.int64)[by_name]
            by_name = by_name[np.argsort(-values if descending else values, kind="stable")]
        folders = np.frombuffer(bytes(self._prefixes), dtype=np.bool_)[by_name]
        first, then = by_name[folders], by_name[~folders]
        if by == "name" and descending:
            first, then = first[::-1], then[::-1]
        order = np.concatenate([first, then])
        return None if np.array_equal(order, np.arange(len(order))) else order

    def _by_name(self) -> Order:
        if self._ascending:
            return np.arange(len(self))
        return np.array(sorted(range(len(self)), key=self.names.__getitem__), dtype=np.int64)

    def changed(self, gone: Collection[str], put: Sequence[TreeEntry] = ()) -> Rows:
        """Return a copy without the rows of these names, and with new or replaced entries."""
        rows = Rows(self._location)
        names = {*gone, *rows._names([entry.location for entry in put])}
        kept = [row for row, name in enumerate(self.names) if name not in names]
        rows.names = [self.names[row] for row in kept]
        rows.sizes = array("q", [self.sizes[row] for row in kept])
        rows.times = array("q", [self.times[row] for row in kept])
        rows.classes = [self.classes[row] for row in kept]
        rows.etags = [self.etags[row] for row in kept]
        rows._prefixes = bytearray(self._prefixes[row] for row in kept)
        rows._deleted = self._deleted - names
        rows._ascending = self._ascending
        rows.largest = max([*rows.sizes, 0])
        rows.bytes = sum(size for row, size in enumerate(rows.sizes) if size > 0 and not rows.is_prefix(row))
        rows.extend(put)
        return rows

    def fill(self, sizes: Mapping[str, int]) -> None:
        """Set the sizes of folders by name; `NO_SIZE` clears one."""
        named = self.find({name for name in sizes if name}) if sizes else {}
        rows = {row: sizes[name] for name, row in named.items() if self.is_prefix(row)}
        if not rows:
            return
        for row, size in rows.items():
            self.sizes[row] = size
        self.largest = max([*self.sizes, 0])
        self._orders.clear()

    def find(self, names: set[str]) -> dict[str, int]:
        """Return the rows by name, of the names found."""
        return {name: row for row, name in enumerate(self.names) if name in names}

    def containing(self, text: str) -> npt.NDArray[np.bool_]:
        """Return a mask of rows whose names contain a casefolded text; the last result is cached."""
        if self._filter_cache is None or self._filter_cache[0] != text or len(self._filter_cache[1]) != len(self):
            self._filter_cache = text, np.array([text in name.casefold() for name in self.names], dtype=np.bool_)
        return self._filter_cache[1]

    def columns(self, rows: Order) -> FolderColumns:
        """Return these rows as columns, with `NO_SIZE` and `NO_TIME` for missing values."""
        chosen = rows.tolist()
        at = self._location
        bucket, prefix = (at.bucket, at.key) if at else ("", "")
        return FolderColumns(
            [self._roots[row].bucket for row in chosen] if self.rooted else [bucket] * len(chosen),
            [self._roots[row].key for row in chosen] if self.rooted else [prefix + self.names[row] for row in chosen],
            np.array(self.sizes, dtype=np.int64)[rows],
            np.array(self.times, dtype=np.int64)[rows],
            [self.etags[row] for row in chosen],
            [self.classes[row] for row in chosen],
            np.frombuffer(bytes(self._prefixes), dtype=np.bool_)[rows],
        )


Kind = Literal["row", "loading", "error", "pad", "more", "cut", "empty", "stopped", "filtered"]
Place = tuple[int, int]
"""A line: folder number and row, or -1 for the folder's end."""
ERROR_LINES: tuple[Kind, ...] = ("error", "pad", "pad")
_numbers = count(1)


class TreeLine(NamedTuple):
    """One line: folder, row (-1 at the folder's end), kind, and rank (number of rows before it)."""

    folder: Folder
    row: int
    kind: Kind
    rank: int

    @property
    def place(self) -> Place:
        """Identifies the line until the folder is listed again."""
        return (self.folder.number, self.row)


class Sort(NamedTuple):
    """Order of rows."""

    by: SortKey = "name"
    descending: bool = False


@dataclass(eq=False)
class Folder:
    """A folder that was opened: its rows, subfolders, and the state of its listing.

    Attributes:
        token: of the next page; None if the listing is complete or has not begun.
        listed: whether a page has arrived.
        stopped: whether the user stopped the listing.
        cut: whether a search ended early because it found too much.
        collected: new rows that will replace all present ones when the listing ends.
        matching: a glob; the rows are the matching objects at any depth.
        sought: the text that the user typed for it.
        seen: number of keys that a search has looked at.
        token_at_end: the token that belongs to `collected`.
        children: opened folders by row, whether now open or closed.
        number: identifies the folder in messages; changes when its rows are replaced.
        badge: what it is besides a folder, such as a lake table.
    """

    location: Location | None
    starting_with: str = ""
    parent: Folder | None = None
    row: int = -1
    open: bool = True
    token: str | None = None
    listed: bool = False
    stopped: bool = False
    cut: bool = False
    collected: Rows | None = None
    matching: str = ""
    sought: str = ""
    seen: int = 0
    token_at_end: str | None = None
    error: S3ConnError | None = None
    listing: FolderListing | None = None
    children: dict[int, Folder] = field(default_factory=dict)
    number: int = field(default_factory=lambda: next(_numbers))
    replacing: bool = False
    badge: str = ""

    def __post_init__(self) -> None:
        self.rows = Rows(self.location)

    @property
    def depth(self) -> int:
        """Nesting level, from 0 at the root."""
        return self.parent.depth + 1 if self.parent else 0

    @property
    def busy(self) -> bool:
        """Whether a listing is running."""
        return self.listing is not None

    def add(self, page: Children) -> None:
        """Add a page."""
        self.rows.take(page)
        self.badge = page.badge or self.badge
        self.show_badge()
        self.token, self.listed, self.error = page.token, True, None
        self.seen = page.seen

    def show_badge(self) -> None:
        """Show the badge in the folder's own row, in the column of storage classes."""
        # After a folder has disappeared from its parent, its row number belongs to another row.
        if self.parent is not None and not self.parent.rows.rooted and self.parent.children.get(self.row) is self:
            self.parent.rows.classes[self.row] = self.badge or None

    def swap(self, rows: Rows) -> None:
        """Replace the rows; subfolders whose rows still exist stay as they are."""
        names = {self.rows.names[row]: child for row, child in self.children.items()}
        # A new number, so that messages about the old rows are not taken for these.
        self.number = next(_numbers)
        self.rows = rows
        self.children = {}
        for name, row in self.rows.find(set(names)).items():
            self.children[row] = names[name]
            names[name].row = row

    def child(self, row: int) -> Folder:
        """Return the folder of a row, created closed if it was never opened."""
        if row not in self.children:
            self.children[row] = Folder(self.rows.location(row), parent=self, row=row, open=False)
        return self.children[row]

    def tail(self) -> tuple[Kind, ...]:
        """Return the kinds of lines at the folder's end."""
        if self.error:
            return ERROR_LINES
        if self.busy and not (self.replacing and len(self.rows)):
            return ("loading",)
        if self.token is not None:
            return ("more",)
        if self.cut:
            return ("cut",)
        if not self.listed:
            return ("stopped",) if self.stopped else ()
        return () if len(self.rows) else ("empty",)

    def family(self) -> Iterator[Folder]:
        """Yield this folder and all open ones below it, unordered."""
        yield self
        for child in self.children.values():
            if child.open:
                yield from child.family()

    def everything(self) -> Iterator[Folder]:
        """Yield this folder and all below it that were ever opened."""
        yield self
        for child in self.children.values():
            yield from child.everything()


class FolderTree:
    """The root folder, and the order of all lines.

    Attributes:
        filter: casefolded text; rows whose names do not contain it are hidden, except open folders with matching rows.
    """

    def __init__(self, root: Folder, sort: Sort | None = None) -> None:
        self.root = root
        self.sort = sort or Sort()
        self.filter = ""

    def __len__(self) -> int:
        return self.height(self.root)

    def folder(self, number: int) -> Folder | None:
        """Return the open folder with this number."""
        return next((folder for folder in self.root.family() if folder.number == number), None)

    def row_at(self, place: Place) -> tuple[Folder, int] | None:
        """Return folder and row of a place, or None if it is not shown."""
        folder = self.folder(place[0])
        if folder is None or not 0 <= place[1] < len(folder.rows) or not self.shows(folder, place[1]):
            return None
        return folder, place[1]

    def shows(self, folder: Folder, row: int) -> bool:
        """Whether a row of an open folder passes the filter."""
        return not self.filter or bool(self._filter_mask(folder)[row])

    def _filter_mask(self, folder: Folder) -> npt.NDArray[np.bool_]:
        mask = folder.rows.containing(self.filter).copy()
        for row, child in folder.children.items():
            mask[row] |= child.open and bool(self._filter_mask(child).any())
        return mask

    def count(self, folder: Folder) -> int:
        """Return the number of rows of a folder that are shown."""
        return int(self._filter_mask(folder).sum()) if self.filter else len(folder.rows)

    def order(self, folder: Folder) -> Order | None:
        """Return a folder's rows in display order, or None if all are shown in order of arrival."""
        order = folder.rows.order(*self.sort)
        if not self.filter:
            return order
        whole = np.arange(len(folder.rows)) if order is None else order
        return whole[self._filter_mask(folder)[whole]]

    def tail(self, folder: Folder) -> tuple[Kind, ...]:
        """Return the kinds of lines at a folder's end."""
        tail = folder.tail()
        return tail or (("filtered",) if self.filter and folder is self.root and not self.count(folder) else ())

    def height(self, folder: Folder) -> int:
        """Return the number of lines of a folder's content."""
        inner = sum(height for _, height, _ in self._open_subfolders(folder))
        return self.count(folder) + inner + len(self.tail(folder))

    def rank(self, folder: Folder, row: int) -> int:
        """Return the number of the folder's rows shown before this one."""
        order = self.order(folder)
        return row if order is None else int((order == row).argmax())

    def at_rank(self, folder: Folder, rank: int) -> int:
        """Return the folder's row at a rank, or -1 (the folder's end) if there is none."""
        order = self.order(folder)
        if not 0 <= rank < (len(folder.rows) if order is None else len(order)):
            return -1
        return rank if order is None else int(order[rank])

    def _open_subfolders(self, folder: Folder) -> list[tuple[int, int, Folder]]:
        """Return rank, height and folder of each open subfolder, in order."""
        opened: list[tuple[int, int, Folder]] = []
        for row, child in folder.children.items():
            if child.open and self.shows(folder, row):
                insort(opened, (self.rank(folder, row), self.height(child), child), key=lambda each: each[0])
        return opened

    def lines(self, start: int, stop: int) -> Iterator[TreeLine]:
        """Yield the lines from index `start` up to `stop`."""
        yield from self._lines_below(self.root, start, stop)

    def _lines_below(self, folder: Folder, start: int, stop: int) -> Iterator[TreeLine]:
        at, rank = 0, 0
        for last, height, child in self._open_subfolders(folder):
            yield from self._rows_between(folder, rank, last + 1, start - at, stop - at)
            at, rank = at + last + 1 - rank, last + 1
            if at < stop and at + height > start:
                yield from self._lines_below(child, start - at, stop - at)
            at += height
        count = self.count(folder)
        yield from self._rows_between(folder, rank, count, start - at, stop - at)
        at += count - rank
        tail = self.tail(folder)
        for kind in tail[max(start - at, 0) : max(stop - at, 0)]:
            yield TreeLine(folder, -1, kind, count)

    def _rows_between(self, folder: Folder, first: int, end: int, start: int, stop: int) -> Iterator[TreeLine]:
        """Yield consecutive rows without an open folder in between; `start` and `stop` count from `first`."""
        order = self.order(folder)
        for rank in range(first + max(start, 0), min(first + max(stop, 0), end)):
            yield TreeLine(folder, rank if order is None else int(order[rank]), "row", rank)

    def runs(self, folder: Folder | None = None) -> Iterator[tuple[Folder, Order]]:
        """Yield the rows of all open folders in consecutive runs, in display order."""
        folder = folder or self.root
        order, rank = self.order(folder), 0
        order = np.arange(len(folder.rows)) if order is None else order
        for last, _, child in self._open_subfolders(folder):
            yield folder, order[rank : last + 1]
            yield from self.runs(child)
            rank = last + 1
        yield folder, order[rank:]

    def position(self, folder: Folder, row: int) -> int:
        """Return the line index of a row in an open folder, or of the folder's end (row -1)."""
        top = self.position(folder.parent, folder.row) + 1 if folder.parent else 0
        if row < 0:
            return top + max(self.height(folder) - max(len(self.tail(folder)), 1), 0)
        rank = self.rank(folder, row)
        before = sum(height for above, height, _ in self._open_subfolders(folder) if above < rank)
        return top + rank + before

    def find(self, location: Location) -> Folder | None:
        """Return the open folder at a location."""
        same = (each for each in self.root.family() if each.location == location and not each.starting_with)
        return next(same, None)
