"""A listing as one coroutine: pages in sequence or ranges side by side, up to the LIMIT."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.errors import S3ConnError
from s3conn_magic.listing.decode import look_ahead
from s3conn_magic.listing.fetch import Fetcher
from s3conn_magic.listing.planner import RangePlanner, UntrustedOrderError
from s3conn_magic.listing.request import Tally
from s3conn_magic.listing.table import unrepeated
from s3conn_magic.listing.xml import UnreadableError

if TYPE_CHECKING:
    from s3conn_magic.listing.keyrange import PageRequest
    from s3conn_magic.listing.request import KeyRange, ListRequest, PageQuery
    from s3conn_magic.listing.table import Page
    from s3conn_magic.runtime.background import Background
    from s3conn_magic.transport import Target


class RowLimit:
    """Lets the first `limit` rows through; pages must come in key order.

    Attributes:
        truncated: whether rows were left out; certain, not guessed.
    """

    def __init__(self, limit: int | None) -> None:
        self._left = limit
        self.truncated = False

    @property
    def full(self) -> bool:
        """Whether no more rows are needed."""
        return self.truncated

    def admit(self, page: Page, *, more: bool) -> Page:
        """Return the part of a page within the limit; `more` says that rows certainly follow it."""
        if self._left is None:
            return page
        rows = len(page)
        kept = page if rows <= self._left else first_rows(page, self._left)
        self.truncated = self.truncated or rows > self._left or (more and rows == self._left)
        self._left -= len(kept)
        return kept


def first_rows(page: Page, count: int) -> Page:
    """Return the first rows of a page, objects and common prefixes merged in key order."""
    if not page.prefixes:
        return replace(page, objects=page.objects.slice(0, count))
    names = sorted([*page.objects.column(0).to_pylist(), *page.prefixes])
    if count == 0:
        return replace(page, objects=page.objects.slice(0, 0), prefixes=())
    within = pc.less_equal(page.objects.column(0), pa.scalar(names[count - 1]))
    prefixes = tuple(prefix for prefix in page.prefixes if prefix <= names[count - 1])
    return replace(page, objects=page.objects.filter(within), prefixes=prefixes)


_MOST_EMPTY_PAGES = 1000


class TokenPager:
    """The state of a listing page by page.

    Args:
        first: the query of the first page.
    """

    def __init__(self, first: PageQuery) -> None:
        self.next: PageQuery | None = first
        self._seen: set[object] = set()
        self._empty = 0

    def arrived(self, page: Page) -> None:
        """Note a page and set the query of the next one.

        Raises:
            UnreadableError: the server's pages go round in a circle.
        """
        if self.next is None:
            return
        token = page.next_token
        self._empty = 0 if len(page) else self._empty + 1
        if token is not None and (token in self._seen or self._repeats(page) or self._empty > _MOST_EMPTY_PAGES):
            raise UnreadableError("the server's pages go round in a circle")
        self._seen.add(token)
        self.next = None if token is None else replace(self.next, token=token, start_after=None)

    def _repeats(self, page: Page) -> bool:
        """Whether the same rows came before, under another token."""
        if not page.objects.num_rows:
            return False
        rows = page.objects.slice(0, 1).to_pylist() + page.objects.slice(page.objects.num_rows - 1).to_pylist()
        mark = tuple(tuple(row.values()) for row in rows)
        repeated = mark in self._seen
        self._seen.add(mark)
        return repeated


class Restart:
    """Reported when all pages so far are void, because the server's order cannot be relied on."""


class ListingEngine:
    """Lists a target and reports its pages to the background it runs in.

    Attributes:
        tally: counts of what has arrived.
        row_limit: the LIMIT.
        rest: ranges that were left, once the listing is over.
    """

    def __init__(self, target: Target, request: ListRequest) -> None:
        self._target = target
        self._request = request
        self.tally = Tally()
        self.row_limit = RowLimit(request.limit)
        self.rest: tuple[KeyRange, ...] = ()

    async def __call__(self, background: Background) -> None:
        """Run the listing."""
        request = self._request
        fetcher = Fetcher(self._target, request.connections)
        if request.versions or not self._target.ordered:
            await self._list_in_sequence(fetcher, background)
            return
        try:
            await _RangeLister(self, fetcher, background).run()
        except UntrustedOrderError:
            if request.ranges:
                raise
            self.tally.clear()
            self.row_limit = RowLimit(request.limit)
            await background.put(Restart())
            await self._list_in_sequence(fetcher, background)

    async def _list_in_sequence(self, fetcher: Fetcher, background: Background) -> None:
        for first in self._request.queries():
            pager = TokenPager(first)
            while pager.next is not None and not self.row_limit.full:
                page = await fetcher.page(pager.next)
                pager.arrived(page)
                selected = self._request.select(page)
                self.tally.count(page)
                self.tally.add(selected)
                await background.put(self.admit(selected, more=page.next_token is not None))

    def admit(self, selected: Page, *, more: bool) -> Page:
        """Return the part of a page within the limit; `more` says that its prefix goes on after it."""
        return self.row_limit.admit(selected, more=more and self._request.matching is None)

    @property
    def request(self) -> ListRequest:
        """The request."""
        return self._request


class _RangeLister:
    """Lists many ranges side by side."""

    def __init__(self, engine: ListingEngine, fetcher: Fetcher, background: Background) -> None:
        self._engine = engine
        self._fetcher = fetcher
        self._background = background
        request = engine.request
        self._ranges = RangePlanner(request.queries(), limit=request.limit, ranges=request.ranges)
        self._left = request.pages
        self._under_way: set[asyncio.Task[None]] = set()
        self._resuming = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Request and report pages until nothing is left, or until the first error."""
        try:
            self._start_requests()
            await self._over
            self._engine.rest = tuple(self._ranges.rest()) if self._left == 0 else ()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _start_requests(self) -> None:
        """Start as many requests as are worthwhile; with none to start and none under way, the listing is over."""
        pace = self._fetcher.pace
        most = 1 if self._fetcher.in_process else min(pace.places, self._engine.request.pages_wanted)
        self._ranges.allow(most, pace.latency)
        while self._may_start(most) and (page_request := self._ranges.next()) is not None:
            self._left = None if self._left is None else self._left - 1
            task = asyncio.create_task(self._fetch(page_request))
            self._under_way.add(task)
            task.add_done_callback(self._fetched)
        if not self._under_way and not self._over.done():
            self._over.set_result(None)

    def _may_start(self, most: int) -> bool:
        return not self._engine.row_limit.full and self._ranges.asked < most and self._left != 0

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._over.done():
            return
        if error is not None:
            self._over.set_exception(error)
        elif self._engine.row_limit.full:
            self._over.set_result(None)
        elif not self._resuming:
            # Pages that were parsed together are handled together.
            self._resuming = True
            asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        """Ask for more, passing on any error: raised in a callback it would be lost and the listing would hang."""
        self._resuming = False
        if self._over.done():
            return
        try:
            self._start_requests()
        except Exception as error:  # noqa: BLE001 - raised by `run`
            self._over.set_exception(error)

    async def _fetch(self, page_request: PageRequest) -> None:
        try:
            page = await self._fetcher.page(page_request.query, came=partial(self._request_ahead, page_request))
        except (S3ConnError, UnreadableError):
            if not page_request.look:
                raise
            # A policy may forbid delimiters; the ranges do without the look.
            self._ranges.missed(page_request)
            return
        self._ranges.serial = self._fetcher.in_process
        if page_request.before is not None:
            await page_request.before.over.wait()
        page = unrepeated(page, page_request.low)
        await self._report(page_request, self._ranges.arrived(page_request, page), page)

    def _request_ahead(self, page_request: PageRequest, body: bytes) -> None:
        """Request the next page of a range before this one is read."""
        seen = look_ahead(body)
        if seen is not None and not self._over.done() and self._ranges.foresee(page_request, seen):
            self._resume()

    async def _report(self, page_request: PageRequest, kept: Page | None, page: Page) -> None:
        tally = self._engine.tally
        tally.count(page)
        if kept is None:
            return
        selected = self._engine.request.select(kept)
        tally.add(selected)
        tally.estimate(self._ranges.keys_left)
        more = page.next_token is not None or len(kept) < len(page)
        for ready, follows in self._ranges.release(page_request.range, selected, more=more):
            await self._background.put(self._engine.admit(ready, more=follows))
