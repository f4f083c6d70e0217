"""A range of keys that is listed page by page: where it stands, what it asks next, and what it may spend."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3conn_magic.listing.decode import Peek
    from s3conn_magic.listing.keyspace import Keyspace
    from s3conn_magic.listing.request import PageQuery
    from s3conn_magic.listing.table import Page

# Requests under way for each full page that came, so that short listings cost few.
_RAMP, _RAMP_RISE = 2, 1.75
_WASTE, _WASTE_GROWTH, _WASTE_PART, _WASTE_LAST = 6, 36, 0.14, 12
# Pages that must be left in a range to make splitting it worth a request: more when the listing is long.
_WORTH_PAGES, _WORTH_MOST, _WORTH_RISE = 1.3, 2.5, 500
_WORTH_LEAST, _IDLE = 1.1, 1.5
_FIRST_PAGES = 6
_FEW_LOOKS, _LOOKS_PART = 8, 0.03


class Thrift:
    """What requests there were.

    Attributes:
        asked: requests under way.
        pages: pages of ranges that arrived.
        full: what of them was of use, in full pages.
    """

    def __init__(self) -> None:
        self.asked = self.pages = self._busiest = self._looks = self._looking = 0
        # Measured in full pages, too: the places of pages that stayed empty.
        self.full = self._wasted = 0.0

    def ask(self, *, look: bool = False) -> None:
        """Note that a request is made."""
        self.asked += 1
        self._busiest = max(self._busiest, self.asked)
        self._looks += look
        self._looking += look

    def looked(self) -> None:
        """Note that a look is over."""
        self._looking -= 1
        self._wasted += 1

    def count(self, full: float, empty: float) -> None:
        """Note a page of a range: how much of a full page it gave, and how much of what was asked stayed empty."""
        self.pages += 1
        self.full += full
        self._wasted += empty

    @property
    def ramped(self) -> bool:
        """Whether as many requests are under way as the pages so far allow."""
        return self.asked > _RAMP * float(self.full**_RAMP_RISE)

    @property
    def idle(self) -> bool:
        """Whether most connections have nothing to do, so that time is lost rather than requests."""
        return self.asked * _IDLE < self._busiest

    @property
    def worth(self) -> float:
        """Pages that must be left in a range to split it."""
        return _WORTH_LEAST if self.idle else min(_WORTH_MOST, _WORTH_PAGES + self.pages / _WORTH_RISE)

    @property
    def may_look(self) -> bool:
        """Whether there were few looks into folders for so many pages."""
        return self._looks <= _FEW_LOOKS + _LOOKS_PART * self.full

    @property
    def may_guess(self) -> bool:
        """Whether a range may be split where nothing is known to be; what the first looks find is worth more."""
        waste = _WASTE + min(self.full, _WASTE_GROWTH) + _WASTE_PART * self.full + _WASTE_LAST * self.idle
        return self._wasted <= waste and not (self._looking and self.pages <= _FIRST_PAGES)


_FEW_FOLDERS = 3


class Hints:
    """Places where keys are known to be."""

    def __init__(self) -> None:
        self._places: list[str] = []
        self._passed = self._passed_rows = 0

    def add(self, places: Iterable[str]) -> None:
        """Note the beginnings of folders."""
        self._places = sorted({*self._places, *places})

    def within(self, low: str, high: str | None) -> list[str]:
        """The places above `low` and below `high`, in key order."""
        return self._places[slice(*self._bounds(low, high))]

    def count(self, low: str, high: str | None) -> int:
        """How many places are above `low` and below `high`."""
        begin, end = self._bounds(low, high)
        return max(0, end - begin)

    def _bounds(self, low: str, high: str | None) -> tuple[int, int]:
        end = len(self._places) if high is None else bisect_left(self._places, high)
        return bisect_right(self._places, low), end

    def weigh(self, step: Step, last: str | None, rows: int) -> None:
        """Learn how many rows a folder has, from a page that ends behind one."""
        end = min(last or "", step.range.high or last or "")
        passed = bisect_right(self._places, end) - bisect_right(self._places, step.low)
        if passed > 0:
            self._passed, self._passed_rows = self._passed + passed, self._passed_rows + rows

    @property
    def passed(self) -> int:
        """How many places the pages so far have passed."""
        return self._passed

    def rows_each(self, otherwise: float) -> float:
        """Rows of a folder on average, or what is given while too few were passed."""
        return otherwise if self._passed < _FEW_FOLDERS else self._passed_rows / self._passed


_SLASH, _BEHIND_SLASH, _DEEP = "/", "0", 3
_HALF = 0.5
_RUNGS = 24
_DIGITS = "012345678"


@dataclass(slots=True, eq=False)
class Range:
    """Keys above `low` up to and including `high`.

    Attributes:
        query: the next page's query, or None at the end.
        low: every key listed so far is at or below it; it moves up as pages arrive.
        high: the last key that may belong to the range; None for the end of the prefix.
        start: where the range began.
        keys: rows so far.
        bounded: whether keys are known to exist above `high`, so that it is no guess.
        left: estimated rows left, or None before the first page.
        estimated: at how many rows `left` was estimated anew; since then it was counted down.
        asked: whether a request is under way.
        expected: what the keys seen made of `left` then.
        part: at which part of the rest to split next.
        surprises: how often there was more than estimated.
        folder: the folder that it lies in, where a look has found one.
        below: the range it was split from by a guess, until that is proven.
        held: pages that wait to be handed on in key order, each with whether rows certainly follow it.
        newest: the request that was made last.
        back: what was the lowest key before the page that was read last.
        longer: whether it had more rows than were asked of what was to be its last page.
    """

    query: PageQuery | None
    low: str
    high: str | None
    start: str
    keys: int = 0
    bounded: bool = False
    left: float | None = None
    asked: bool = False
    estimated: int = 0
    expected: float = float("inf")
    part: float = _HALF
    surprises: int = 0
    folder: str = ""
    below: Range | None = None
    held: list[tuple[Page, bool]] = field(default_factory=list)
    newest: Step | None = None
    back: str = ""
    longer: bool = False

    @property
    def likely(self) -> tuple[str | None, str]:
        """Highest key and prefix of where its keys are likely: a range within a folder mostly ends with it."""
        if self.folder and self.low.startswith(self.folder) and not (self.high or "").startswith(self.folder):
            return None, self.folder
        return self.high, self.prefix

    @property
    def prefix(self) -> str:
        """The prefix of the request."""
        return "" if self.query is None else self.query.prefix


@dataclass(slots=True, eq=False)
class Step:
    """A request to make: a page of a range, or a look for folders.

    Attributes:
        query: what to ask.
        range: whose page it is.
        look: whether it is a look for folders.
        low: the page's keys are above it.
        before: the step whose page comes before this one and is not read yet.
        foreseen: where its page ends, once that is seen and the next one may be asked for.
        void: whether its page is of no use, because the page before is not what was foreseen.
        over: set when its page is read and noted.
    """

    query: PageQuery
    range: Range
    look: bool = False
    low: str = ""
    before: Step | None = None
    foreseen: Peek | None = None
    void: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


def by_left(item: Range) -> float:
    """What to sort ranges by, so that the one with the most left comes first."""
    return -(item.left or 0.0)


def way_out(item: Range) -> str | None:
    """Where a folder half way up from the lowest key ends: in a deep tree listed leaves first, half is above."""
    base = len(common(item.low, item.high, item.prefix))
    ends = [at for at in range(base, len(item.low)) if item.low[at] == _SLASH]
    middle = item.low[: ends[len(ends) // 2]] + _BEHIND_SLASH if len(ends) >= _DEEP else ""
    return middle if middle > item.low and (item.high is None or middle < item.high) else None


def rung(item: Range) -> str | None:
    """The farthest place in its folder that keys like the lowest reach by counting up one of their digits.

    Where nothing tells how far keys go, a look behind each such place finds the order of magnitude.
    """
    low = item.low
    base = max(len(common(item.low, item.high, item.prefix)), low.rfind(_SLASH) + 1)
    for at in range(base, min(base + _RUNGS, len(common(item.back, low, "")))):
        place = low[:at] + chr(ord(low[at]) + 1)
        if low[at] in _DIGITS and (item.high is None or place < item.high):
            return place
    return None


def common(low: str, high: str | None, prefix: str) -> str:
    """What both bounds of a range begin with, which is the prefix at least."""
    if high is None:
        return prefix
    end = next(
        (at for at, (left, right) in enumerate(zip(low, high, strict=False)) if left != right), min(len(low), len(high))
    )
    return high[: max(end, len(prefix))]


_NEAR, _SPARE, _MARGIN = 0.7, 0.05, 1.3
_FEW_SHORT, _SHORT_PART = 1, 0.1


class Ends:
    """Sizes of the pages of ranges.

    Args:
        page_keys: rows of a full page.
        keyspace: where keys stand.
    """

    def __init__(self, page_keys: int, keyspace: Keyspace) -> None:
        self._page_keys = page_keys
        self._keyspace = keyspace
        self._small = self._short = 0

    def page_keys(self, item: Range) -> int:
        """Rows to ask for in the next page of a range."""
        newest = item.newest
        if newest is not None and newest.query.max_keys < self._page_keys:
            item.longer = True
            self._short += 1
        trusted = self._short <= _FEW_SHORT + _SHORT_PART * self._small
        if newest is None or item.high is None or item.longer or not trusted:
            return self._page_keys
        keys = item.keys + (0 if newest.over.is_set() else newest.query.max_keys)
        base = common(item.start, item.high, item.prefix)
        left = self._keyspace.left(keys, item.start, item.low, item.high, base)
        if left is None or left >= _NEAR * self._page_keys:
            return self._page_keys
        self._small += 1
        return min(self._page_keys, int(left * _MARGIN + _SPARE * self._page_keys) + 1)
