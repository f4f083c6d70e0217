"""A range of keys that is listed page by page: where it stands, what it asks next, and what it may spend."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3conn_magic.listing.decode import LookAhead
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


class RequestBudget:
    """What requests there were, and so what others are worth.

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

    def count(self, full: float) -> None:
        """Note a page of a range: how much of a full page it gave."""
        self.pages += 1
        self.full += full
        self._wasted += 1 - full

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


class FolderIndex:
    """Where folders are known to begin, and how many rows they have."""

    def __init__(self) -> None:
        self._places: list[str] = []
        self._passed = self._passed_rows = 0

    def add(self, places: Iterable[str]) -> None:
        """Note the beginnings of folders."""
        self._places = sorted({*self._places, *places})

    def within(self, low: str, high: str | None) -> list[str]:
        """Return the places above `low` and below `high`, in key order."""
        return self._places[slice(*self._bounds(low, high))]

    def count(self, low: str, high: str | None) -> int:
        """Return how many places are above `low` and below `high`."""
        begin, end = self._bounds(low, high)
        return max(0, end - begin)

    def _bounds(self, low: str, high: str | None) -> tuple[int, int]:
        end = len(self._places) if high is None else bisect_left(self._places, high)
        return bisect_right(self._places, low), end

    def weigh(self, request: PageRequest, last: str | None, rows: int) -> None:
        """Learn how many rows a folder has, from a page that ends behind one."""
        end = min(last or "", request.range.high or last or "")
        passed = bisect_right(self._places, end) - bisect_right(self._places, request.low)
        if passed > 0:
            self._passed, self._passed_rows = self._passed + passed, self._passed_rows + rows

    @property
    def passed(self) -> int:
        """How many places the pages so far have passed."""
        return self._passed

    def rows_each(self, otherwise: float) -> float:
        """Return rows of a folder on average, or what is given while too few were passed."""
        return otherwise if self._passed < _FEW_FOLDERS else self._passed_rows / self._passed


_SLASH, _BEHIND_SLASH, _DEEP = "/", "0", 3
_HALF = 0.5
_RUNGS = 24
_DIGITS = "012345678"


_ANY = 1.0
_MOST_SURPRISES = 8


@dataclass(slots=True)
class Estimate:
    """How many rows a range has left.

    Attributes:
        left: rows, or None before the first page.
        keys: at how many rows of the range it was made; since then it was counted down.
        expected: what the keys seen made of it then.
        surprises: how often there was more than that.
    """

    left: float | None = None
    keys: int = 0
    expected: float = float("inf")
    surprises: int = 0

    def take(self, rows: int) -> None:
        """Count down the rows of a page."""
        self.left = _ANY if self.left is None else max(0.0, self.left - rows)

    def renew(self, keys: int, expected: float, *, page_keys: int, least: float) -> float:
        """Return the rows left after `keys` rows, at least `least`: more after a surprise, as `expected` fell short."""
        self.surprises += keys - self.keys >= self.expected
        self.keys, self.expected = keys, expected
        surprising = 2.0 ** min(self.surprises, _MOST_SURPRISES) * page_keys if self.surprises else 0.0
        self.left = max(expected, surprising, least)
        return self.left


@dataclass(slots=True, eq=False)
class ActiveRange:
    """Keys above `low` up to and including `high`, while they are listed.

    Attributes:
        query: the next page's query, or None at the end.
        low: every key listed so far is at or below it; it moves up as pages arrive.
        high: the last key that may belong to the range; None for the end of the prefix.
        start: where the range began.
        keys: rows so far.
        estimate: of the rows left.
        part: at which part of the rest to split next.
        folder: the folder that it lies in, as a look has shown.
        below: the range it was split from by a guess, until that is proven.
        held: pages that wait to be handed on in key order, each with whether rows certainly follow it.
        newest: the request that was made last.
        back: what was the lowest key before the page that was read last.
    """

    query: PageQuery | None
    low: str
    high: str | None
    start: str
    keys: int = 0
    estimate: Estimate = field(default_factory=Estimate)
    part: float = _HALF
    folder: str = ""
    below: ActiveRange | None = None
    held: list[tuple[Page, bool]] = field(default_factory=list)
    newest: PageRequest | None = None
    back: str = ""

    @property
    def asked(self) -> bool:
        """Whether its next page is asked for."""
        return self.newest is not None and self.newest.query is self.query

    @property
    def left(self) -> float | None:
        """Estimated rows left."""
        return self.estimate.left

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
class PageRequest:
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
    range: ActiveRange
    look: bool = False
    low: str = ""
    before: PageRequest | None = None
    foreseen: LookAhead | None = None
    void: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


def by_left(item: ActiveRange) -> float:
    """Return what to sort ranges by, so that the one with the most left comes first."""
    return -(item.left or 0.0)


def way_out(item: ActiveRange) -> str | None:
    """Return where a folder half way up from the lowest key ends: in a deep tree listed leaves first, half is above."""
    base = len(common(item.low, item.high, item.prefix))
    ends = [at for at in range(base, len(item.low)) if item.low[at] == _SLASH]
    middle = item.low[: ends[len(ends) // 2]] + _BEHIND_SLASH if len(ends) >= _DEEP else ""
    return middle if middle > item.low and (item.high is None or middle < item.high) else None


def rung(item: ActiveRange) -> str | None:
    """Return the farthest place in its folder that keys like the lowest reach by counting up one of their digits.

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
    """Return what both bounds of a range begin with, which is the prefix at least."""
    if high is None:
        return prefix
    end = next(
        (at for at, (left, right) in enumerate(zip(low, high, strict=False)) if left != right), min(len(low), len(high))
    )
    return high[: max(end, len(prefix))]
