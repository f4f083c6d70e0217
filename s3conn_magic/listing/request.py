"""What is listed, how a page of it is asked for, and how far a listing is."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING

import pyarrow.compute as pc

if TYPE_CHECKING:
    from s3conn_magic.listing.table import Page
    from s3conn_magic.runtime.patterns import Glob
    from s3conn_magic.transport import Query

PAGE_KEYS = 1000
"""Most keys that a page of S3 holds."""

_MARKERS, _KEY = "\0", "\1"


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What one page is asked for.

    Attributes:
        prefix: every key of the page begins with it.
        delimiter: keys are grouped at its first occurrence after the prefix; empty for no grouping.
        token: continues after the page that gave it.
        start_after: the page begins after this key; not with a token.
        max_keys: most rows of the page.
        versions: ask for versions and delete markers.
        encoded: ask for percent-encoded keys, which every key survives.
        older: ask as servers understand that know ListObjects alone, by `marker`.
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
        """Return the query parameters of the request, in order."""
        query = [("versions", "")] if self.versions else [] if self._marker is not None else [("list-type", "2")]
        query += [("prefix", self.prefix)]
        query += [("delimiter", self.delimiter)] if self.delimiter else []
        query += [("max-keys", str(self.max_keys))]
        query += [("encoding-type", "url")] if self.encoded else []
        return query + self._position()

    @property
    def _marker(self) -> str | None:
        """After which key the page begins in the older form; None where it is asked in the other."""
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
    """Return a token that continues after a key, for servers that give none: see `PageQuery.older`."""
    return f"{_MARKERS}{marker}"


def key_token(key: str) -> str:
    """Return a token that continues after a key, for servers that give none and know `start-after`."""
    return f"{_KEY}{key}"


def join_markers(key: str, version: str | None) -> str:
    """Return the two markers that continue a listing of versions, as one token."""
    return f"{version or ''}{_MARKERS}{key}"


def split_markers(token: str) -> tuple[str, str]:
    """Return key and version id of a token made by `join_markers`."""
    version, _, key = token.partition(_MARKERS)
    return key, version


def _version_markers(token: str | None) -> list[tuple[str, str]]:
    if token is None:
        return []
    key, version = split_markers(token)
    return [("key-marker", key)] + ([("version-id-marker", version)] if version else [])


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys that begin with `prefix`, above `low` and up to and including `high`.

    Attributes:
        low: empty for the first of the prefix.
        high: None for the last of the prefix.
        rows: estimated.
    """

    prefix: str
    low: str
    high: str | None
    rows: float = 0.0

    @property
    def edge(self) -> str:
        """The least text that may be a key of it."""
        return self.prefix if self.low < self.prefix else self.low + "\0"


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What is to be listed.

    Attributes:
        prefix: every key begins with it.
        delimiter: keys are grouped at it, or None.
        versions: list versions and delete markers.
        matching: only keys that match below the prefix.
        limit: most rows.
        connections: most requests under way.
        page_keys: most rows asked of a page.
        ranges: list only these, which lie apart and in key order, below the prefix; empty for all of it.
        pages: requests after which the rest is left, or None. What is left is ranges, too.
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
        """Return the first query of each literal beginning of the keys, in key order."""
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
        """More requests than this are never worth having under way."""
        known = self.limit is not None and self.matching is None
        return 1 + (self.limit or 0) // self.page_keys if known else self.connections

    def select(self, page: Page) -> Page:
        """Return the page without what does not match."""
        if self.matching is None:
            return page
        objects = page.objects.filter(self.matching.mask(page.objects.column(0), self.prefix))
        below = [prefix[len(self.prefix) :] for prefix in page.prefixes]
        # A folder matches with its slash or without.
        wanted = zip(self.matching.wants(below), self.matching.wants([name.rstrip("/") for name in below]), strict=True)
        return replace(page, objects=objects, prefixes=tuple(compress(page.prefixes, map(any, wanted))))


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a listing, of a job or of a query.

    Attributes:
        keys: rows that have arrived, common prefixes included; objects that a job has done with.
        bytes: sum of the sizes of these objects.
        requests: requests that have been answered, tries included.
        elapsed: seconds since the listing began.
        fraction: estimated part of the whole, 0 to 1, or None where there is nothing to go by.
        received: bytes of the answers' bodies.
        unit: what `keys` counts; empty where nothing is counted but bytes.
    """

    keys: int = 0
    bytes: int = 0
    requests: int = 0
    elapsed: float = 0.0
    fraction: float | None = None
    received: int = 0
    unit: str = "keys"


class Tally:
    """Counts what arrives. Written by the engine's thread, read by any."""

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
        """Note how many rows are still expected."""
        self.fraction = None if left is None else self.keys / (self.keys + left) if self.keys + left else 1.0

    def clear(self) -> None:
        """Forget the rows: the listing begins again."""
        self.keys = self.bytes = 0
        self.fraction = None

    def end(self) -> None:
        """Stop the clock."""
        self._ended = self._ended or time.monotonic()

    def snapshot(self) -> Progress:
        """Return the counts of this moment."""
        elapsed = (self._ended or time.monotonic()) - self._began
        return Progress(self.keys, self.bytes, self.requests, elapsed, self.fraction, self.received)
