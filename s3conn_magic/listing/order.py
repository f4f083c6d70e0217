"""What is to be listed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING

from s3conn_magic.listing.query import PAGE_KEYS, PageQuery

if TYPE_CHECKING:
    from s3conn_magic.listing.glob import Glob
    from s3conn_magic.listing.table import Page


@dataclass(frozen=True, slots=True)
class Span:
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
class Order:
    """What is to be listed.

    Attributes:
        prefix: every key begins with it.
        delimiter: keys are grouped at it, or None.
        versions: list versions and delete markers.
        matching: only keys that match below the prefix.
        limit: most rows.
        connections: most requests under way.
        page_keys: most rows asked of a page.
        spans: list only these, which lie apart and in key order, below the prefix; empty for all of it.
        pages: requests after which the rest is left, or None. What is left is spans, too.
    """

    prefix: str = ""
    delimiter: str | None = None
    versions: bool = False
    matching: Glob | None = None
    limit: int | None = None
    connections: int = 32
    page_keys: int = PAGE_KEYS
    spans: tuple[Span, ...] = ()
    pages: int | None = None

    def queries(self) -> list[PageQuery]:
        """The first query of each literal beginning of the keys, in key order."""
        if self.spans:
            return [PageQuery(one.prefix, start_after=one.low or None, max_keys=self.page_keys) for one in self.spans]
        heads = self.matching.heads if self.matching else ("",)
        exact = self.limit is not None and self.matching is None
        keys = min(self.page_keys, max(1, self.limit or 1)) if exact else self.page_keys
        return [
            PageQuery(self.prefix + head, self.delimiter or "", max_keys=keys, versions=self.versions) for head in heads
        ]

    def select(self, page: Page) -> Page:
        """The page without what does not match."""
        if self.matching is None:
            return page
        objects = page.objects.filter(self.matching.mask(page.objects.column(0), self.prefix))
        below = [prefix[len(self.prefix) :] for prefix in page.prefixes]
        # A folder matches with its slash or without.
        wanted = zip(self.matching.wants(below), self.matching.wants([one.rstrip("/") for one in below]), strict=True)
        return replace(page, objects=objects, prefixes=tuple(compress(page.prefixes, map(any, wanted))))
