"""A listing whose rows are added up and let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from s3conn_magic.errors import IncompleteListingError, ListingInterrupted, S3ConnError
from s3conn_magic.listing import Listing
from s3conn_magic.listing.answer import UnreadableError
from s3conn_magic.listing.engine import Restart
from s3conn_magic.listing.listing import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from s3conn_magic.analysis.summary import Summary
    from s3conn_magic.listing import Progress
    from s3conn_magic.listing.order import Span
    from s3conn_magic.listing.target import Target


class Scan(Listing):
    """Everything below a prefix, in groups.

    Args:
        target: the bucket.
        prefix: every key counted begins with it.
        summary: counts them.
        connections: most requests under way.
        spans, pages: as of a `Listing`.

    It runs once, by `total`. As a context manager it is cancelled on leaving.
    """

    def __init__(
        self,
        target: Target,
        prefix: str,
        summary: Summary,
        *,
        connections: int = CONNECTIONS,
        spans: tuple[Span, ...] = (),
        pages: int | None = None,
    ) -> None:
        super().__init__(target, prefix, connections=connections, spans=spans, pages=pages)
        self._summary = summary

    def total(self, *, on_progress: Callable[[Progress], None] | None = None) -> pa.Table:
        """The groups of all objects, of schema `GROUPS`.

        `on_progress` is called in this thread, several times a second. What it raises ends the scan and is raised here.

        Raises:
            IncompleteListingError: it failed after its first page, or a page could not be trusted; `rows_so_far` are
                the groups of what had arrived, a table of this shape.
            ListingInterrupted: the user interrupted it; `rows_so_far` as above.
            S3ConnError: it failed before anything arrived.
        """
        try:
            self._count(None if on_progress is None else lambda: on_progress(self.progress))
        except (ListingInterrupted, IncompleteListingError) as error:
            raise _renamed(error) from None
        return self.table()

    def _count(self, report: Callable[[], None] | None) -> None:
        try:
            for arrived in self._watched(keep=False, every=report):
                if isinstance(arrived, Restart):
                    self._summary.begin_again()
                else:
                    self._summary.add(arrived.objects)
                if report is not None:
                    report()
        except KeyboardInterrupt:
            raise self._interrupted() from None
        if self._summary.lacks_rows():
            raise self._failure(UnreadableError("the server lists keys in no order, and not the same ones twice"))

    def table(self) -> pa.Table:
        """The groups of what has arrived, pages that an interrupt left behind among them."""
        while self._arrived:
            self._summary.add(self._arrived.pop().objects)
        return self._summary.table()


def _renamed(error: ListingInterrupted | IncompleteListingError) -> S3ConnError:
    """The error in terms of keys: its rows are groups."""
    groups = error.rows_so_far
    keys = f"{pc.sum(groups['objects']).as_py() or 0:,} keys"
    if isinstance(error, ListingInterrupted):
        return ListingInterrupted(f"the analysis was interrupted after {keys}", rows_so_far=groups)
    message = f"the analysis is incomplete, {keys} had arrived: {error.reason}"
    return IncompleteListingError(message, rows_so_far=groups, reason=error.reason, hint=error.hint)
