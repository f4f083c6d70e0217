"""Run a listing: its pages as they arrive, or one table of all rows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from s3conn_magic.errors import IncompleteListingError, ListingInterrupted, S3ConnError
from s3conn_magic.listing.engine import ListingEngine, Restart
from s3conn_magic.listing.fetch import Fetcher
from s3conn_magic.listing.request import PAGE_KEYS, ListRequest, PageQuery
from s3conn_magic.listing.table import Page, assemble
from s3conn_magic.listing.xml import UnreadableError
from s3conn_magic.runtime.background import Background
from s3conn_magic.transport.exchange import GREATEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from s3conn_magic.listing.request import KeyRange, Progress
    from s3conn_magic.runtime.patterns import Glob
    from s3conn_magic.transport import Target

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
    ) -> None:
        self._request = ListRequest(prefix, delimiter, versions, matching, limit, connections, page_keys, ranges, pages)
        self._target = target
        self._engine = ListingEngine(target, self._request)
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
        """The ranges that `pages` left out, in key order, once the listing is over."""
        return self._engine.rest

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
