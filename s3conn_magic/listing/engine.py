"""The coroutine of a listing: which page to ask for next, until all is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.listing.cut import Cut
from s3conn_magic.listing.fetch import Fetcher, open_fetcher
from s3conn_magic.listing.progress import Tally
from s3conn_magic.listing.sequence import Sequence

if TYPE_CHECKING:
    from s3conn_magic.listing.background import Background
    from s3conn_magic.listing.order import Order
    from s3conn_magic.listing.query import PageQuery
    from s3conn_magic.listing.table import Page
    from s3conn_magic.listing.target import Target


class Engine:
    """Lists a target as ordered, and reports its pages to the background it runs in.

    Attributes:
        tally: what has arrived.
        cut: what the limit lets through.
    """

    def __init__(self, target: Target, order: Order) -> None:
        self._target = target
        self._order = order
        self.tally = Tally()
        self.cut = Cut(order.limit)

    async def __call__(self, background: Background) -> None:
        """Run to the end."""
        async with open_fetcher(self._target, self._order.connections) as fetcher:
            queries = self._order.queries()
            for _index, first in enumerate(queries):
                await self._sequential(fetcher, first, background)

    async def _sequential(self, fetcher: Fetcher, first: PageQuery, background: Background) -> None:
        sequence = Sequence(first)
        while sequence.next is not None and not self.cut.full:
            page = await fetcher.page(sequence.next)
            sequence.arrived(page)
            await self._report(page, background)

    async def _report(self, page: Page, background: Background) -> None:
        selected = self._order.select(page)
        certain = page.next_token is not None and self._order.matching is None
        kept = self.cut.admit(selected, more=certain)
        self.tally.add(kept)
        await background.put(kept)
