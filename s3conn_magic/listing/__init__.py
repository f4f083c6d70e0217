"""Pages of a bucket turned into columns: `Listing` lists everything below a prefix, `fetch_page` one page."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.errors import IncompleteListingError, ListingInterrupted, S3ConnError
from s3conn_magic.listing.fetch import Fetcher
from s3conn_magic.listing.planner import RangePlanner, UntrustedOrderError
from s3conn_magic.listing.request import PAGE_KEYS, ListRequest, PageQuery, Tally
from s3conn_magic.listing.table import Page, assemble, unrepeated
from s3conn_magic.listing.xml import UnreadableError, look_ahead
from s3conn_magic.runtime.background import Background
from s3conn_magic.transport.exchange import GREATEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from s3conn_magic.listing.keyspace import Learned
    from s3conn_magic.listing.request import KeyRange, PageRequest, Progress
    from s3conn_magic.runtime.patterns import Glob
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
        stopped: whether to request no more pages, and leave the others.
        learned: what the listing that left its ranges has learned; once it stopped, what it has learned itself.
    """

    def __init__(self, target: Target, request: ListRequest, learned: Learned | None = None) -> None:
        self._target = target
        self._request = request
        self.tally = Tally()
        self.row_limit = RowLimit(request.limit)
        self.rest: tuple[KeyRange, ...] = ()
        self.stopped = False
        self.learned = learned

    async def __call__(self, background: Background) -> None:
        """Run the listing."""
        request = self._request
        more = {"at_first": self.learned.places} if self.learned else {}
        fetcher = Fetcher(self._target, request.connections, **more)
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
        self._ranges = RangePlanner(
            request.queries(), limit=request.limit, ranges=request.ranges, learned=engine.learned
        )
        self._left = request.pages
        self._under_way: set[asyncio.Task[None]] = set()
        self._resuming = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Request and report pages until nothing is left, or until the first error."""
        try:
            self._start_requests()
            await self._over
            if self._engine.stopped:
                self._engine.rest = tuple(self._ranges.rest())
                self._engine.learned = replace(self._ranges.learned, places=self._fetcher.pace.most)
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
            self._engine.stopped = self._engine.stopped or self._left == 0
            task = asyncio.create_task(self._fetch(page_request))
            self._under_way.add(task)
            task.add_done_callback(self._fetched)
        if not self._under_way and not self._over.done():
            self._over.set_result(None)

    def _may_start(self, most: int) -> bool:
        return not self._engine.row_limit.full and self._ranges.asked < most and not self._engine.stopped

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
            self._ranges.missed()
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


CONNECTIONS = GREATEST
"""Most requests under way in one listing; the actual number depends on the distance to the server."""


class Listing:
    """All keys of a bucket below a prefix, listed over many connections at once.

    Args:
        target: the bucket.
        prefix: the prefix of all keys.
        delimiter: group keys at its first occurrence after the prefix; None lists every key.
        versions: list versions and delete markers.
        matching: list only keys whose part after the prefix matches.
        limit: list only the first rows, in key order.
        connections: most requests under way.
        page_keys: rows to ask for per page, 1 to 1000.
        ranges: list only these, as from `rest` of another listing. If the server's order cannot be relied on, this
            raises an UntrustedOrderError.
        pages: stop after so many requests and leave the others in `rest`; not with a limit.
        learned: what the listing that left the ranges has learned.

    A listing runs once, by `pages` or `collect`. Used as a context manager, it is cancelled on leaving.
    """

    def __init__(
        self,
        target: Target,
        prefix: str = "",
        *,
        delimiter: str | None = None,
        versions: bool = False,
        matching: Glob | None = None,
        limit: int | None = None,
        connections: int = CONNECTIONS,
        page_keys: int = PAGE_KEYS,
        ranges: tuple[KeyRange, ...] = (),
        pages: int | None = None,
        learned: Learned | None = None,
    ) -> None:
        self._request = ListRequest(prefix, delimiter, versions, matching, limit, connections, page_keys, ranges, pages)
        self._target = target
        self._engine = ListingEngine(target, self._request, learned)
        self._background = Background(self._engine)
        self._arrived: list[Page] = []
        self._void: list[Page] = []

    @property
    def progress(self) -> Progress:
        """How far the listing is; can be read from any thread."""
        return self._engine.tally.snapshot()

    @property
    def truncated(self) -> bool:
        """Whether `limit` left rows out; certain once the listing is over."""
        return self._engine.row_limit.truncated

    @property
    def rest(self) -> tuple[KeyRange, ...]:
        """The ranges that `pages` or `stop` left out, in key order, once the listing is over."""
        return self._engine.rest

    @property
    def learned(self) -> Learned | None:
        """What it has learned, for listings of the rest, once it is over."""
        return self._engine.learned

    def stop(self) -> None:
        """Request no more pages, and leave the others in `rest`; from any thread, not with a limit."""
        self._engine.stopped = True

    def pages(
        self,
        *,
        keep: bool = True,
        every: Callable[[], None] | None = None,
        again: bool = False,
    ) -> Iterator[Page]:
        """Yield pages as they arrive; with a limit, in key order.

        Args:
            keep: keep the pages, so that an error can carry the rows so far; False for streams of any length, whose
                errors carry only the rows that were not yielded.
            every: called in this thread, a few times a second while nothing arrives; what it raises ends the listing.
            again: whether all pages may come again if the server turns out to list without an order; `table` then has
                only the later ones. False makes that an error.

        Raises:
            IncompleteListingError: the listing failed after its first page, or a page could not be trusted.
            ListingInterrupted: the user interrupted it.
            S3ConnError: it failed before anything arrived.
        """
        for report in self._watched(keep=keep, every=every):
            if isinstance(report, Page):
                yield report
            elif not again:
                raise self._failure(
                    UnreadableError("the server lists keys without an order, and rows were already returned")
                )
            else:
                self._arrived = []

    def collect(self, *, on_progress: Callable[[Progress], None] | None = None) -> pa.Table:
        """Return one table of all rows, sorted by key, with a column `is_prefix` if a delimiter was given.

        `on_progress` is called in this thread, several times a second.

        Raises:
            As `pages`.
        """
        report = None if on_progress is None else lambda: on_progress(self.progress)
        try:
            for arrived in self._watched(keep=True, every=report):
                if isinstance(arrived, Restart):
                    self._void, self._arrived = self._arrived, []
                if report is not None:
                    report()
        except KeyboardInterrupt:
            raise self._interrupted() from None
        rows = self.table()
        if self._void and not self.truncated and not _contains_all(rows, self._void):
            raise self._failure(
                UnreadableError("the server lists keys without an order, and not the same ones each time")
            )
        return rows

    def take(self) -> list[Page]:
        """Return the pages that have arrived and were kept, and keep them no longer; from any thread."""
        arrived = self._arrived
        pages = arrived[:]
        del arrived[: len(pages)]
        return pages

    def table(self) -> pa.Table:
        """Return a table, as from `collect`, of the rows that have arrived and were kept."""
        grouped = self._request.delimiter is not None
        return assemble(self._arrived, versions=self._request.versions, with_prefixes=grouped)

    def cancel(self) -> None:
        """Stop the listing, from any thread; its requests have ended when this returns, within a second."""
        self._background.stop()
        self._engine.tally.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def _watched(self, *, keep: bool, every: Callable[[], None] | None) -> Iterator[Page | Restart]:
        try:
            self._find_transport()
            self._background.start()
            for report in self._background.reports(every=every):
                if keep and isinstance(report, Page):
                    self._arrived.append(report)
                yield report
        except KeyboardInterrupt:
            raise self._interrupted() from None
        except (S3ConnError, UnreadableError) as error:
            raise self._failure(error) from None
        finally:
            self.cancel()

    def _find_transport(self) -> None:
        """Find region and credentials in this thread, where an interrupt ends the wait."""
        _ = self._target.transport

    def _interrupted(self) -> ListingInterrupted:
        self.cancel()
        self._arrived += [report for report in self._background.drain() if isinstance(report, Page)]
        rows = self.table()
        return ListingInterrupted(f"the listing was interrupted after {len(rows):,} rows", rows_so_far=rows)

    def _failure(self, error: Exception) -> S3ConnError:
        """Return an error before the first page unchanged; a later one means that the listing is incomplete."""
        if isinstance(error, S3ConnError) and not self._engine.tally.pages:
            return error
        reason = error.message if isinstance(error, S3ConnError) else str(error)
        rows = self.table()
        return IncompleteListingError(
            f"the listing is incomplete, {len(rows):,} rows had arrived: {reason}",
            rows_so_far=rows,
            reason=reason,
            hint=getattr(error, "hint", ""),
        )


def _contains_all(rows: pa.Table, pages: list[Page]) -> bool:
    """Whether every key of the pages is in the rows."""
    import pyarrow.compute as pc

    keys = rows.column("key")
    return all(pc.all(pc.is_in(page.objects.column(0), value_set=keys)).as_py() is not False for page in pages)


def fetch_page(
    target: Target,
    *,
    prefix: str = "",
    delimiter: str = "/",
    token: str | None = None,
    start_after: str | None = None,
    max_keys: int = PAGE_KEYS,
    every: Callable[[], None] | None = None,
) -> Page:
    """Return one page, complete and exact, by one request and its retries.

    `every` is called in this thread, a few times a second while waiting; what it raises ends the request.

    Raises:
        IncompleteListingError: no answer was a valid page.
        ListingInterrupted: the user interrupted it.
        S3ConnError: as the target explains an error answer, or that none came.
    """
    (page,) = fetch_pages(target, [PageQuery(prefix, delimiter, token, start_after, max_keys)], every=every)
    if isinstance(page, S3ConnError):
        raise page
    return page


def fetch_pages(
    target: Target, queries: Sequence[PageQuery], *, every: Callable[[], None] | None = None
) -> list[Page | S3ConnError]:
    """Return the result of each query, a page or an error as from `fetch_page`; the requests run side by side.

    Raises:
        ListingInterrupted: the user interrupted it.
        S3ConnError: no request could be made.
    """

    async def work(background: Background) -> None:
        fetcher = Fetcher(target, len(queries))
        await background.put(await asyncio.gather(*(_page_or_error(fetcher, query) for query in queries)))

    background = Background(work)
    try:
        _ = target.transport  # as in a listing
        background.start()
        return [page for pages in background.reports(every=every) for page in pages]
    except KeyboardInterrupt:
        raise ListingInterrupted("the request was interrupted", rows_so_far=assemble([])) from None
    finally:
        background.stop()


async def _page_or_error(fetcher: Fetcher, query: PageQuery) -> Page | S3ConnError:
    try:
        return await fetcher.page(query)
    except S3ConnError as error:
        return error
    except UnreadableError as error:
        message = f"the page cannot be trusted: {error}"
        return IncompleteListingError(message, rows_so_far=assemble([]), reason=str(error), hint=error.hint)
