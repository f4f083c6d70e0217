"""Plan which ranges of keys to list side by side: cut at folders, split where most is left.

A range is `(low, high]`. Its first page is requested by `start-after`, the next ones by the server's tokens. So every
request returns a page of the listing, and a wrong guess of where keys are costs one request. All ranges stay within
the prefix of the request. Where keys are grouped by a delimiter, no range begins within a group, so that each common
prefix is a row of one range.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from s3conn_magic.listing.keyspace import Folders, Learned
from s3conn_magic.listing.request import (
    ActiveRange,
    KeyRange,
    PageRequest,
    RequestBudget,
    beyond,
    common,
    rung,
    way_out,
)
from s3conn_magic.listing.table import Page, first_key, last_key, sample, up_to
from s3conn_magic.listing.xml import UnreadableError

if TYPE_CHECKING:
    from s3conn_magic.listing.request import PageQuery
    from s3conn_magic.listing.xml import LookAhead

_LEARN_PAGES, _FEW_PAGES = 64, 3
_UNKNOWN_PAGES, _OPEN_PAGES = 100.0, 8.0
_SURPLUS = 1.2
_LEAP_PART = 0.25
_LEAST, _NEAR, _HALF = 0.01, 0.25, 0.5
# An estimate is believed up to so many times the rows that have come; past so many pages it is absurd.
_BELIEVED, _BEYOND_BELIEF = 16, 10_000


class UntrustedOrderError(Exception):
    """The server's keys come in no order, or not after the key given: only its own tokens can be relied on."""


class RangePlanner:
    """Decides what to request next.

    Args:
        firsts: the first query of each prefix, in key order.
        limit: rows wanted, in key order; None for all.
        ranges: the end and estimated rows of each query's range; empty if all go to the end.
        learned: what the listing that left the ranges has learned.

    Attributes:
        learned: that, and what this one learns.
        serial: whether to request one page after the other within each range and begin no further ranges.
    """

    def __init__(
        self,
        firsts: list[PageQuery],
        *,
        limit: int | None = None,
        ranges: tuple[KeyRange, ...] = (),
        learned: Learned | None = None,
    ) -> None:
        self.ranges = [ActiveRange(first, first.start_after or "", None, first.start_after or "") for first in firsts]
        for item, known in zip(self.ranges, ranges, strict=False):
            # What another listing left keeps its estimate.
            item.high, item.estimate.left = known.high, known.rows or None
        self.serial = False
        self._limit = limit
        self._few = limit is not None and limit <= _FEW_PAGES * firsts[0].max_keys
        self._released = 0
        self._page_keys, self._delimiter = firsts[0].max_keys, firsts[0].delimiter
        self.learned = deepcopy(learned) or Learned()
        self._keyspace, self._index = self.learned.keyspace, self.learned.folders
        self._folders = Folders(self._page_keys, ahead=limit is None)
        self._budget = RequestBudget()
        self._greatest: dict[str, str] = {}

    @property
    def asked(self) -> int:
        """Requests under way."""
        return self._budget.asked

    @property
    def keys_left(self) -> float | None:
        """Estimated rows still to come, or None where nothing is known yet."""
        open_ranges = [item for item in self.ranges if item.query is not None]
        known = [item.left for item in open_ranges if item.left is not None and (item.estimate.keys or not item.keys)]
        return sum(known) * len(open_ranges) / len(known) if known else None if open_ranges else 0.0

    def allow(self, places: int, latency: float) -> None:
        """Note how many requests may be under way, and how many seconds an answer takes."""
        # With a limit, requests far ahead are wasted however distant the server is.
        self._budget.allow(places, latency if self._limit is None else 0.0)

    def rest(self) -> list[KeyRange]:
        """Return what is left, cut at known folders; not while requests are under way."""
        return [part for item in self.ranges if item.query is not None for part in self._cut_at_folders(item)]

    def _cut_at_folders(self, item: ActiveRange) -> list[KeyRange]:
        places = [folder for folder in self._index.within(item.low, item.high) if folder.startswith(item.prefix)]
        each = min(self._estimate(item) or 1.0, _UNKNOWN_PAGES * self._page_keys) / (len(places) + 1)
        if places or not item.keys:
            # Most of it is unseen: the folders that were passed tell more than a share of a guess.
            pages = min(2 * _OPEN_PAGES, self._budget.full / (self._index.passed + 1))
            each = max(each, pages * self._page_keys)
        bounds = zip([item.low, *places], [*places, item.high], strict=True)
        return [KeyRange(item.prefix, low, high, each) for low, high in bounds]

    def next(self) -> PageRequest | None:
        """Return the next request, or None while none is worthwhile."""
        wanted = self._wanted()
        waiting = [item for item in wanted if item.query is not None and not item.asked]
        if waiting and self._limit is not None:
            return self._ask(waiting[0])
        if waiting:
            return self._split_long() or self._ask(max(waiting, key=_left))
        if self._few or self.serial or all(item.query is None for item in wanted):
            return None
        look = self._folders.next()
        if look is not None:
            return self._look(look)
        return None if self._budget.ramped else self._split_most(wanted)

    def arrived(self, request: PageRequest, page: Page) -> Page | None:
        """Note a page; return those of its rows that belong to the range, or None for a look.

        Raises:
            UntrustedOrderError: the page is not in order, or does not begin where it was asked to.
            UnreadableError: the server says that a range ends where it cannot.
        """
        self._budget.asked -= request.foreseen is None
        self._learn(page)
        request.over.set()
        if request.void:
            return None
        if request.look:
            self._budget.looked()
            self._index.add(self._folders.cuts(request.query, page))
            return None
        return self._advance(request, page)

    def foresee(self, request: PageRequest, seen: LookAhead) -> bool:
        """Advance the range beyond a page that is not read yet; return whether this was done.

        Only one page ahead, and not with a limit, so that no requests are made beyond it.
        """
        item = request.range
        early = request.void or (request.before is not None and not request.before.over.is_set())
        if request.look or self.serial or self._limit is not None or early or item.query is not request.query:
            return False
        if seen.last <= item.low or (item.high is not None and seen.last >= item.high):
            return False
        self._budget.asked -= 1
        request.foreseen, item.low = seen, seen.last
        item.query = replace(request.query, token=seen.token, start_after=None)
        return True

    def missed(self) -> None:
        """Note that a look failed; the ranges do without it."""
        self._budget.asked -= 1
        self._budget.looked()

    def release(self, item: ActiveRange, page: Page, *, more: bool) -> list[tuple[Page, bool]]:
        """Return pages to hand on, each with whether rows certainly follow it; with a limit, in key order."""
        if self._limit is None:
            return [(page, more)]
        item.held.append((page, more))
        ready: list[tuple[Page, bool]] = []
        while self.ranges:
            ready += self.ranges[0].held
            self.ranges[0].held = []
            if self.ranges[0].query is not None:
                break
            self.ranges.pop(0)
        self._released += sum(len(page) for page, _ in ready)
        return ready

    def _wanted(self) -> list[ActiveRange]:
        """Return the ranges that may hold rows within the limit, judging by the rows of those before them."""
        if self._limit is None:
            return self.ranges
        before, wanted, alive = float(self._released), [], False
        for item in self.ranges:
            if before > self._limit * _SURPLUS and alive:
                break
            wanted.append(item)
            alive = alive or item.query is not None
            before += sum(len(page) for page, _ in item.held) + ((item.left or 0.0) if item.query is not None else 0.0)
        return wanted

    def _ask(self, item: ActiveRange) -> PageRequest:
        self._budget.ask()
        assert item.query is not None  # noqa: S101
        before = item.newest if item.newest is not None and not item.newest.over.is_set() else None
        item.newest = PageRequest(item.query, item, low=item.low, before=before)
        return item.newest

    def _advance(self, request: PageRequest, page: Page) -> Page:
        item, first, last = request.range, first_key(page), last_key(page)
        ascending = page.ascending and all(left < right for left, right in pairwise(page.prefixes))
        if not ascending or (first is not None and request.low and first <= request.low):
            raise UntrustedOrderError
        self._check_end(item, page, last)
        kept = up_to(page, item.high)
        self._index.weigh(request, last, len(kept))
        if not item.keys and first is not None:
            # A range that was split by a guess is empty up to its first key.
            item.start = first
        item.keys += len(kept)
        item.back = request.low
        self._count(item, kept)
        if request.foreseen is None or request.foreseen != (last, page.next_token):
            self._set_next(request, page, last)
        if item.query is not None:
            item.estimate.take(len(kept))
            if self._budget.far:
                # A range that turns out to be long is split while others still have work.
                self._estimate(item)
            if not self._delimiter:
                self._plan_looks(request, page, full=len(kept) == self._page_keys < item.keys)
        return kept

    def _plan_looks(self, request: PageRequest, page: Page, *, full: bool) -> None:
        """Plan looks for folders; grouped listings have these as rows and need none."""
        first, last = first_key(page), last_key(page)
        if request.query.token is None and request.query.start_after is None and not self.serial:
            self._folders.begin(request.query, page)
        if first is not None and last is not None and full:
            self._folders.run(request.query, first, last)

    def _check_end(self, item: ActiveRange, page: Page, last: str | None) -> None:
        greatest = self._greatest.get(item.prefix, "")
        if page.next_token is None and (last or "") < greatest and item.low < greatest:
            raise UnreadableError("the server says that there are no more keys, but there are")
        self._greatest[item.prefix] = max(greatest, last or "")

    def _count(self, item: ActiveRange, kept: Page) -> None:
        self._budget.count(len(kept) / self._page_keys)
        if item.below is None:
            return
        self._budget.guessed(right=len(kept) > 0)
        if len(kept):
            item.below = None
        else:
            item.below.part = max(_LEAST, item.below.part / 2)

    def _set_next(self, request: PageRequest, page: Page, last: str | None) -> None:
        """Note where the range goes on after a page; a request foreseen by an earlier try of the page is void."""
        item = request.range
        if item.newest is not None and item.newest is not request:
            item.newest.void = True
        item.low = last or request.low
        ended = page.next_token is None or (item.high is not None and item.low >= item.high)
        item.query = None if ended else replace(request.query, token=page.next_token, start_after=None)
        if ended and self._limit is None:
            self.ranges.remove(item)

    def _estimate(self, item: ActiveRange, least: float = 0.0) -> float:
        """Estimate the rows left from where the keys so far lie in the range; one of at most `least` is not refined."""
        if self._budget.far and (places := self._index.count(item.low, item.high)):
            # Each known folder holds something, whatever the keys so far suggest.
            item.estimate.left = max(item.left or 0.0, places * self._index.rows_each(float(self._page_keys)))
        if item.left is None or item.estimate.keys == item.keys:
            left = item.left or 0.0
            return self._by_folders(item) if left > least and item.keys == 0 and item.folder else left
        high, prefix = item.likely
        known = self._keyspace.left(item.keys, item.start, item.low, high, common(item.start, high, prefix))
        left = float(_UNKNOWN_PAGES * self._page_keys) if known is None else known
        if high != item.high:
            left += self._index.count(item.low, item.high) * self._index.rows_each(item.keys + left)
        most = _BELIEVED * max(item.keys, self._page_keys) if self._budget.far else left
        least = 0.0 if item.high is not None else _OPEN_PAGES * self._page_keys
        return item.estimate.renew(item.keys, left, page_keys=self._page_keys, least=least, most=most)

    def _by_folders(self, item: ActiveRange) -> float:
        """Estimate the rows of a range without any rows so far from the folders in it."""
        left = item.left or 0.0
        if item.high is None:
            return left
        return min(left, _SURPLUS * (self._index.count(item.low, item.high) + 1) * self._index.rows_each(left))

    def _learn(self, page: Page) -> None:
        if self.serial:
            return
        for key in sample(page, 3 if self._budget.pages < _LEARN_PAGES else 1):
            self._keyspace.learn(key)
        if page.prefixes and page.next_token is None:
            self._keyspace.close(page.prefixes[-1], "")

    def _split_long(self) -> PageRequest | None:
        """Split the range with the most left if it would outlast all the others."""
        if not self._budget.far or self._few or self.serial or self._budget.ramped:
            return None
        self._budget.left = sum(map(_left, self.ranges)) / self._page_keys
        longest = max(self.ranges, key=_left)
        return self._split_most([longest]) if _left(longest) > self._budget.long * self._page_keys else None

    def _split_most(self, wanted: list[ActiveRange]) -> PageRequest | None:
        self._budget.left = sum(map(_left, self.ranges)) / self._page_keys
        # Where a folder begins there are keys, so only guesses can be wasted.
        may_guess, worth = self._budget.may_guess, self._budget.worth * self._page_keys
        candidates = [item for item in wanted if item.query is not None and self._estimate(item, worth) > worth]
        for item in sorted(candidates, key=_left, reverse=True):
            split = self._split_at_folder(item)
            if split is None and (look := self._look_into(item)) is not None:
                return look
            split = split or (self._split_at_guess(item) if may_guess else None)
            if split is not None:
                return self._ask(split)
            item.estimate.left = worth if may_guess else item.left
        return None

    def _look_into(self, item: ActiveRange) -> PageRequest | None:
        """Return a look for the folders within the folder that a range lies in."""
        if not self._budget.may_look or item.query is None:
            return None
        look = self._folders.into(item.folder, item.query, item.low)
        return None if look is None else self._look(look)

    def _look(self, query: PageQuery) -> PageRequest:
        self._budget.ask(look=True)
        return PageRequest(query, self.ranges[0], look=True)

    def _split_at_folder(self, item: ActiveRange) -> ActiveRange | None:
        """Split at a known folder, as near to the middle of those known as can be."""
        folders = [folder for folder in self._index.within(item.low, item.high) if folder.startswith(item.prefix)]
        if not folders:
            return None
        middle = (len(folders) - 1) // 2
        upper = self._split(item, folders[middle], (middle + 1) / (len(folders) + 1))
        upper.folder = folders[middle]
        left = (item.left or 0) * (len(folders) - middle) / (middle + 1)
        # Nothing is known about what follows the last folder found.
        upper.estimate.left = left if upper.high is not None else max(left, _OPEN_PAGES * self._page_keys)
        upper.below = None
        return upper

    def _split_at_guess(self, item: ActiveRange) -> ActiveRange | None:
        middle, part = self._place_to_split(item)
        if middle is not None and self._delimiter:
            middle = _behind_group(middle, item, self._delimiter)
        return None if middle is None else self._split(item, middle, part)

    def _place_to_split(self, item: ActiveRange) -> tuple[str | None, float]:
        """Return where to split a range, and which part of the rows left is below that."""
        part = _NEAR if item.high is None and self._budget.pages < _FEW_PAGES else item.part
        part = part * _LEAP_PART if item.part < _HALF else part
        if self._budget.far and (place := self._beyond(item)) is not None:
            return place, 1.0
        lost = item.estimate.surprises > 0 or part < _NEAR or self._absurd(item)
        middle = way_out(item) if lost else None
        if middle is None and lost and (place := rung(item)) is not None:
            # The keys are tried side by side: as much may lie below one as above it.
            return place, 1.0
        return middle or self._keyspace.between(item.low, *item.likely, part), part

    def _beyond(self, item: ActiveRange) -> str | None:
        """Return the next key to try far behind those of a range, each once."""
        if item.ahead is None and item.keys:
            item.ahead = beyond(item)
        while item.ahead:
            place = item.ahead.pop()
            if item.low < place and (item.high is None or place < item.high):
                return place
        return None

    def _absurd(self, item: ActiveRange) -> bool:
        """Whether the estimate is so large that its numbers must have more digits than are in use."""
        return self._budget.far and item.keys > 0 and item.estimate.expected > _BEYOND_BELIEF * self._page_keys

    def _split(self, item: ActiveRange, middle: str, part: float) -> ActiveRange:
        assert item.query is not None  # noqa: S101
        query = replace(item.query, token=None, start_after=middle)
        # Keys tried side by side, each for all that is left, say nothing about how good guesses are.
        guessed = part < 1.0
        upper = ActiveRange(query, middle, item.high, middle, below=item if guessed else None, folder=item.folder)
        item.high = middle
        if guessed and self._budget.bold and item.left is not None:
            upper.estimate.left = item.left * (1 - part)
        item.estimate.left = None if item.left is None else item.left * part
        self.ranges.insert(self.ranges.index(item) + 1, upper)
        return upper


def _behind_group(place: str, item: ActiveRange, delimiter: str) -> str | None:
    """Return a key, or the end of the group that it lies in; None if that is not within the range."""
    end = place.find(delimiter, len(item.prefix))
    behind = place if end < 0 else place[:end] + chr(ord(delimiter) + 1)
    return behind if item.low < behind and (item.high is None or behind < item.high) else None


def _left(item: ActiveRange) -> float:
    return item.left or 0.0
