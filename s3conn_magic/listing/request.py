"""What a listing asks for: the request, the query of each page, and the progress."""

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
