"""One page after the other, by the server's own tokens: for what has no order to rely on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from s3conn_magic.listing.answer import UnreadableError

if TYPE_CHECKING:
    from s3conn_magic.listing.query import PageQuery
    from s3conn_magic.listing.table import Page

_MOST_EMPTY = 1000


class Sequence:
    """The state of a listing that goes page by page.

    Args:
        first: the first page's query.
    """

    def __init__(self, first: PageQuery) -> None:
        self.next: PageQuery | None = first
        self._seen: set[object] = set()
        self._empty = 0

    def arrived(self, page: Page) -> None:
        """Note a page and decide on the next one.

        Raises:
            UnreadableError: the server goes round in a circle.
        """
        if self.next is None:
            return
        token = page.next_token
        self._empty = 0 if len(page) else self._empty + 1
        if token is not None and (token in self._seen or self._repeats(page) or self._empty > _MOST_EMPTY):
            raise UnreadableError("the server's pages go round in a circle")
        self._seen.add(token)
        self.next = None if token is None else replace(self.next, token=token, start_after=None)

    def _repeats(self, page: Page) -> bool:
        """Whether the same rows came before, under whatever token."""
        if not page.objects.num_rows:
            return False
        rows = page.objects.slice(0, 1).to_pylist() + page.objects.slice(page.objects.num_rows - 1).to_pylist()
        mark = tuple(tuple(row.values()) for row in rows)
        repeated = mark in self._seen
        self._seen.add(mark)
        return repeated
