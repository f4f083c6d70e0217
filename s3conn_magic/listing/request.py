"""What a listing asks for: the request, its ranges of keys page by page, the budget of requests, and the progress."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import TYPE_CHECKING

import pyarrow.compute as pc

if TYPE_CHECKING:
    from s3conn_magic.listing.table import Page
    from s3conn_magic.listing.xml import LookAhead
    from s3conn_magic.runtime.patterns import Glob
    from s3conn_magic.transport import Query

PAGE_KEYS = 1000
"""Most keys on a page of S3."""

_MARKERS, _KEY = "\0", "\1"


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The query for one page.

    Attributes:
        prefix: the prefix of all keys.
        delimiter: keys are grouped at its first occurrence after the prefix; empty for no grouping.
        token: continues after the page that gave it.
        start_after: the page begins after this key; not with a token.
        max_keys: most rows of the page.
        versions: ask for versions and delete markers.
        encoded: ask for percent-encoded keys, since XML cannot hold every key.
        older: ask by `marker`, for servers that only know ListObjects.
    """

    prefix: str = ""
    delimiter: str = ""
    token: str | None = None
    start_after: str | None = None
    max_keys: int = PAGE_KEYS
    versions: bool = False
    encoded: bool = True
    older: bool = False

    def parameters(self) -> Query:
        """Return the query parameters, in order."""
        query = [("versions", "")] if self.versions else [] if self._marker is not None else [("list-type", "2")]
        query += [("prefix", self.prefix)]
        query += [("delimiter", self.delimiter)] if self.delimiter else []
        query += [("max-keys", str(self.max_keys))]
        query += [("encoding-type", "url")] if self.encoded else []
        return query + self._position()

    @property
    def _marker(self) -> str | None:
        """The key after which the page begins, in a request by `marker`; None in one by list-type 2."""
        if self.token is not None and self.token.startswith(_MARKERS):
            return self.token[1:]
        return (self.start_after or "") if self.older and self.token is None else None

    def _position(self) -> list[tuple[str, str]]:
        if self.versions:
            return _version_markers(self.token)
        if self._marker is not None:
            return [("marker", self._marker)] if self._marker else []
        if self.token is not None and self.token.startswith(_KEY):
            return [("start-after", self.token[1:])]
        if self.token is not None:
            return [("continuation-token", self.token)]
        return [("start-after", self.start_after)] if self.start_after else []


def marker_token(marker: str) -> str:
    """Return a token that continues after a key by `marker`, for servers that give no token."""
    return f"{_MARKERS}{marker}"


def key_token(key: str) -> str:
    """Return a token that continues after a key by `start-after`, for servers that give no token."""
    return f"{_KEY}{key}"


def join_markers(key: str, version: str | None) -> str:
    """Return one token from the two markers that continue a listing of versions."""
    return f"{version or ''}{_MARKERS}{key}"


def split_markers(token: str) -> tuple[str, str]:
    """Return the key and version id of a token from `join_markers`."""
    version, _, key = token.partition(_MARKERS)
    return key, version


def _version_markers(token: str | None) -> list[tuple[str, str]]:
    if token is None:
        return []
    key, version = split_markers(token)
    return [("key-marker", key)] + ([("version-id-marker", version)] if version else [])


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys beginning with `prefix`, above `low` and up to and including `high`.

    Attributes:
        low: empty to begin with the prefix's first key.
        high: None to end with the prefix's last key.
        rows: estimated number of rows.
    """

    prefix: str
    low: str
    high: str | None
    rows: float = 0.0

    @property
    def edge(self) -> str:
        """The smallest text that may be a key in it."""
        return self.prefix if self.low < self.prefix else self.low + "\0"


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What to list.

    Attributes:
        prefix: the prefix of all keys.
        delimiter: where to group keys, or None.
        versions: list versions and delete markers.
        matching: list only keys that match below the prefix.
        limit: most rows.
        connections: most requests under way.
        page_keys: rows to ask for per page.
        ranges: list only these, separate and in key order, below the prefix; empty for all of it.
        pages: requests after which the rest is left, as ranges; None for no such bound.
    """

    prefix: str = ""
    delimiter: str | None = None
    versions: bool = False
    matching: Glob | None = None
    limit: int | None = None
    connections: int = 1
    page_keys: int = PAGE_KEYS
    ranges: tuple[KeyRange, ...] = ()
    pages: int | None = None

    def queries(self) -> list[PageQuery]:
        """Return the first query for each literal beginning of the keys, in key order."""
        if self.ranges:
            return [
                PageQuery(part.prefix, start_after=part.low or None, max_keys=self.page_keys) for part in self.ranges
            ]
        heads = self.matching.heads if self.matching else ("",)
        exact = self.limit is not None and self.matching is None
        keys = min(self.page_keys, max(1, self.limit or 1)) if exact else self.page_keys
        return [
            PageQuery(self.prefix + head, self.delimiter or "", max_keys=keys, versions=self.versions) for head in heads
        ]

    @property
    def pages_wanted(self) -> int:
        """Most requests worth having under way."""
        known = self.limit is not None and self.matching is None
        return 1 + (self.limit or 0) // self.page_keys if known else self.connections

    def select(self, page: Page) -> Page:
        """Return the page without rows that do not match."""
        if self.matching is None:
            return page
        objects = page.objects.filter(self.matching.mask(page.objects.column(0), self.prefix))
        below = [prefix[len(self.prefix) :] for prefix in page.prefixes]
        # A folder matches with or without its slash.
        wanted = zip(self.matching.wants(below), self.matching.wants([name.rstrip("/") for name in below]), strict=True)
        return replace(page, objects=objects, prefixes=tuple(compress(page.prefixes, map(any, wanted))))


_SLASH, _BEHIND_SLASH, _DEEP = "/", "0", 3
_HALF = 0.5
_RUNGS = 24
_DIGITS = "0123456789"
_FAMILIES = (_DIGITS, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_STEPS = (1, 3, 7, 15)


_ANY = 1.0
_MOST_SURPRISES, _SURPRISE = 8, 1.5


@dataclass(slots=True)
class Estimate:
    """How many rows a range has left.

    Attributes:
        left: rows, or None before the first page.
        keys: the range's rows when the estimate was made; since then it was counted down.
        expected: rows left at that time by the keys seen.
        surprises: how often more came.
    """

    left: float | None = None
    keys: int = 0
    expected: float = float("inf")
    surprises: int = 0

    def take(self, rows: int) -> None:
        """Count down the rows of a page."""
        self.left = _ANY if self.left is None else max(0.0, self.left - rows)

    def renew(self, keys: int, expected: float, *, page_keys: int, least: float, most: float) -> float:
        """Set and return the rows left after `keys` rows; after a surprise more than expected, which fell short."""
        came = keys - self.keys
        self.surprises += came >= self.expected or came + expected >= _SURPRISE * self.expected
        self.keys, self.expected = keys, expected
        surprising = max(keys, 2.0 ** min(self.surprises, _MOST_SURPRISES) * page_keys) if self.surprises else 0.0
        self.left = max(min(expected, most), surprising, least)
        return self.left


@dataclass(slots=True, eq=False)
class ActiveRange:
    """Keys above `low` up to and including `high`, while they are listed.

    Attributes:
        query: the next page's query, or None at the end.
        low: the last key listed so far; moves up as pages arrive.
        high: the last key that may belong to the range; None for the end of the prefix.
        start: where the range began.
        keys: rows so far.
        estimate: estimate of the rows left.
        part: at which part of the rest to split next.
        folder: the folder that it lies in, as a look has shown.
        below: the range it was split from by a guess, until that has proved right.
        held: pages that wait to be handed on in key order, each with whether rows certainly follow it.
        newest: the latest request.
        back: `low` before the latest page.
        ahead: keys far ahead to try; None before they are computed.
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
    ahead: list[str] | None = None

    @property
    def asked(self) -> bool:
        """Whether the next page has been requested."""
        return self.newest is not None and self.newest.query is self.query

    @property
    def left(self) -> float | None:
        """Estimated rows left."""
        return self.estimate.left

    @property
    def likely(self) -> tuple[str | None, str]:
        """Upper bound and prefix of where its keys likely are: a range within a folder mostly ends with the folder."""
        if self.folder and self.low.startswith(self.folder) and not (self.high or "").startswith(self.folder):
            return None, self.folder
        return self.high, self.prefix

    @property
    def prefix(self) -> str:
        """The prefix of its query."""
        return "" if self.query is None else self.query.prefix


@dataclass(slots=True, eq=False)
class PageRequest:
    """A request for a page of a range, or for the folders at a place (a look).

    Attributes:
        query: what to ask.
        range: the range of the page.
        look: whether it is a look for folders.
        low: the keys of the page are above it.
        before: the request for the page before this one, while that is not read yet.
        foreseen: the end of its page, once that is seen and the next page may be requested.
        void: whether its page is useless, because the page before did not end as foreseen.
        over: set when the page has been read and noted.
    """

    query: PageQuery
    range: ActiveRange
    look: bool = False
    low: str = ""
    before: PageRequest | None = None
    foreseen: LookAhead | None = None
    void: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


def way_out(item: ActiveRange) -> str | None:
    """Return the end of the folder half way up from the lowest key: a deep tree lists leaves first, half is above."""
    base = len(common(item.low, item.high, item.prefix))
    ends = [at for at in range(base, len(item.low)) if item.low[at] == _SLASH]
    middle = item.low[: ends[len(ends) // 2]] + _BEHIND_SLASH if len(ends) >= _DEEP else ""
    return middle if middle > item.low and (item.high is None or middle < item.high) else None


def beyond(item: ActiveRange) -> list[str]:
    """Return keys to try far behind those of an unbounded range, the farthest last.

    The first characters seen say little about the others. So the distance from the first character doubles, up to the
    end of its family, the digits or letters.
    """
    first = item.low[len(item.prefix) : len(item.prefix) + 1]
    last = next((family[-1] for family in _FAMILIES if first and first in family), "")
    if not last or item.high is not None:
        return []
    letters = [chr(ord(first) + step) for step in _STEPS if last != _DIGITS[-1] and ord(first) + step <= ord(last)]
    return [item.prefix + each for each in (*letters, chr(ord(last) + 1))]


def rung(item: ActiveRange) -> str | None:
    """Return the farthest key in its folder that is reached from the lowest key by counting up one digit.

    Where nothing tells how far keys go, trying such keys finds the order of magnitude.
    """
    low = item.low
    # A folder's name includes its slash.
    base = max(len(common(item.low, item.high, item.prefix)), low.rfind(_SLASH, 0, len(low) - 1) + 1)
    for at in range(base, min(base + _RUNGS, len(common(item.back, low, "")))):
        place = low[:at] + chr(ord(low[at]) + 1)
        if low[at] in _DIGITS[:-1] and (item.high is None or place < item.high):
            return place
    return None


def common(low: str, high: str | None, prefix: str) -> str:
    """Return the common beginning of a range's bounds, the prefix at least."""
    if high is None:
        return prefix
    end = next(
        (at for at, (left, right) in enumerate(zip(low, high, strict=False)) if left != right), min(len(low), len(high))
    )
    return high[: max(end, len(prefix))]


# Requests under way per full page that has arrived, so that short listings cost few.
_RAMP, _RAMP_FAR, _RAMP_RISE = 2, 12, 1.75
_WASTE, _WASTE_GROWTH, _WASTE_PART, _WASTE_LAST = 6, 36, 0.14, 12
# Where answers take this many seconds, an idle connection costs more than a wasted request.
_FAR = 0.1
_WASTE_FAR, _WASTE_IDLE, _WASTE_END = 0.3, 0.45, 48
_ROUNDS_AHEAD, _QUARTERS = 2, 4
# Pages that must be left in a range to make a split worth a request; more in long listings.
_WORTH_PAGES, _WORTH_MOST, _WORTH_RISE = 1.3, 2.5, 500
_WORTH_LEAST, _WORTH_SHARE, _IDLE = 1.1, 10.0, 1.5
_LONG = 2.0
_FIRST_PAGES = 6
_FEW_LOOKS, _LOOKS_PART = 8, 0.03
_MEMORY, _BOLD = 0.8, 0.6


class RequestBudget:
    """Counts the requests so far to decide which further ones are worthwhile.

    Attributes:
        asked: requests under way.
        places: most requests that may be under way.
        far: whether answers take so long that wasted requests are cheaper than idle connections.
        pages: pages of ranges that arrived.
        full: the rows of these that were of use, in full pages.
        left: pages still expected.
    """

    def __init__(self) -> None:
        self.asked = self.pages = self._looks = self._looking = 0
        self.places, self.far = 1, False
        # In full pages, too: the unused rows of pages that came.
        self.full = self._wasted = self.left = 0.0
        self._right = 0.5

    def allow(self, places: int, latency: float) -> None:
        """Note how many requests may be under way, and how many seconds an answer takes."""
        self.places, self.far = places, latency >= _FAR

    def ask(self, *, look: bool = False) -> None:
        """Note that a request was made."""
        self.asked += 1
        self._looks += look
        self._looking += look

    def looked(self) -> None:
        """Note that a look is over."""
        self._looking -= 1
        self._wasted += 1

    def count(self, full: float) -> None:
        """Note a page of a range by its part of a full page."""
        self.pages += 1
        self.full += full
        self._wasted += 1 - full

    def guessed(self, *, right: bool) -> None:
        """Note whether a range that was split by a guess had keys there."""
        self._right = _MEMORY * self._right + (1 - _MEMORY) * right

    @property
    def bold(self) -> bool:
        """Whether guesses have been right, so that a guessed range may be split again before its first page."""
        return self.far and self._right > _BOLD

    @property
    def ramped(self) -> bool:
        """Whether as many requests are under way as the pages so far justify."""
        return self.asked > (_RAMP_FAR if self.far else _RAMP) * float(self.full**_RAMP_RISE)

    @property
    def idle(self) -> bool:
        """Whether most connections are idle, so that time is lost rather than requests."""
        return self.asked * _IDLE < self.places

    @property
    def worth(self) -> float:
        """Pages that must be left in a range to make a split worthwhile."""
        least = _WORTH_LEAST if self.idle else min(_WORTH_MOST, _WORTH_PAGES + self.pages / _WORTH_RISE)
        return max(least, min(_WORTH_SHARE, self.left / self.places)) if self.far else least

    @property
    def long(self) -> float:
        """Pages in a range that would keep one connection busy after all others are done."""
        return max(_WORTH_MOST, _LONG * self.left / self.places)

    @property
    def may_look(self) -> bool:
        """Whether another look into a folder is justified by the pages so far."""
        return self._looks <= _FEW_LOOKS + _LOOKS_PART * self.full

    @property
    def may_guess(self) -> bool:
        """Whether a range may be split without knowing a key; the first looks come first, as they find more."""
        return self._wasted <= self._waste and not (self._looking and self.pages <= _FIRST_PAGES)

    @property
    def _waste(self) -> float:
        """Pages that may be wasted: a share of those that came and, while connections are idle, of those to come."""
        waste = _WASTE + min(self.full, _WASTE_GROWTH) + _WASTE_LAST * self.idle
        if not self.idle or not (self.far or self.left > self.places):
            return waste + (_WASTE_FAR if self.far else _WASTE_PART) * self.full
        last = _WASTE_END if self.asked * _QUARTERS <= self.places else 0
        return waste + last + _WASTE_IDLE * (self.full + min(self.left, _ROUNDS_AHEAD * self.places))


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a listing, a job or a query.

    Attributes:
        keys: rows that have arrived, including common prefixes; for a job, objects done.
        bytes: sum of the sizes of these objects.
        requests: requests answered, including retries.
        elapsed: seconds since the listing began.
        fraction: estimated part done, 0 to 1, or None if there is no estimate.
        received: bytes of the answers' bodies.
        unit: what `keys` counts; empty if only bytes are counted.
    """

    keys: int = 0
    bytes: int = 0
    requests: int = 0
    elapsed: float = 0.0
    fraction: float | None = None
    received: int = 0
    unit: str = "keys"

    @property
    def left(self) -> float | None:
        """Rows still expected, or None if unknown."""
        return self.keys * (1 / self.fraction - 1) if self.fraction else None


class Tally:
    """Counts what arrives. Written by the engine's thread, read by any thread."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._ended: float | None = None
        self.pages = self.keys = self.bytes = self.requests = self.received = 0
        self.fraction: float | None = None

    def count(self, page: Page) -> None:
        """Count an answer."""
        self.pages += 1
        self.requests += page.requests
        self.received += page.received

    def add(self, page: Page) -> None:
        """Count the rows of a page that are part of the listing."""
        self.keys += len(page)
        self.bytes += pc.sum(page.objects.column(1)).as_py() or 0

    def estimate(self, left: float | None) -> None:
        """Note how many rows are still expected, or None if unknown."""
        self.fraction = None if left is None else self.keys / (self.keys + left) if self.keys + left else 1.0

    def clear(self) -> None:
        """Forget the rows, since the listing begins again."""
        self.keys = self.bytes = 0
        self.fraction = None

    def end(self) -> None:
        """Stop the clock."""
        self._ended = self._ended or time.monotonic()

    def snapshot(self) -> Progress:
        """Return the current counts."""
        elapsed = (self._ended or time.monotonic()) - self._began
        return Progress(self.keys, self.bytes, self.requests, elapsed, self.fraction, self.received)
