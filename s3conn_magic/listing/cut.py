"""`LIMIT`: the first rows in key order, and whether there are more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from s3conn_magic.listing.table import Page


class Cut:
    """Lets the first `limit` rows of pages in key order through.

    Attributes:
        truncated: whether a row was left out; certain, not guessed.
    """

    def __init__(self, limit: int | None) -> None:
        self._left = limit
        self.truncated = False

    @property
    def full(self) -> bool:
        """Whether nothing more needs to be asked for."""
        return self.truncated

    def admit(self, page: Page, *, more: bool) -> Page:
        """The part of a page within the limit; `more` says that rows certainly follow the page."""
        if self._left is None:
            return page
        rows = len(page)
        kept = page if rows <= self._left else first_rows(page, self._left)
        self.truncated = self.truncated or rows > self._left or (more and rows == self._left)
        self._left -= len(kept)
        return kept


def first_rows(page: Page, count: int) -> Page:
    """The first rows of a page, objects and common prefixes together in key order."""
    if not page.prefixes:
        return replace(page, objects=page.objects.slice(0, count))
    names = sorted([*page.objects.column(0).to_pylist(), *page.prefixes])
    if count == 0:
        return replace(page, objects=page.objects.slice(0, 0), prefixes=())
    within = pc.less_equal(page.objects.column(0), pa.scalar(names[count - 1]))
    prefixes = tuple(prefix for prefix in page.prefixes if prefix <= names[count - 1])
    return replace(page, objects=page.objects.filter(within), prefixes=prefixes)
