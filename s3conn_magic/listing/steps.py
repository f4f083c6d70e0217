"""A range of keys that is listed by itself, and one request of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3conn_magic.listing.peek import Peek
    from s3conn_magic.listing.query import PageQuery
    from s3conn_magic.listing.table import Page

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
