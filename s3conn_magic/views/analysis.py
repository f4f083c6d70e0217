"""ANALYZE: the frame, and the chart beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.errors import IncompleteListingError, ListingInterrupted
from s3conn_magic.language.reference import ANALYSIS_COLUMNS
from s3conn_magic.listing.analysis import Scan, Summary, grouping
from s3conn_magic.views.frames import S3Frame, table_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.cluster.listing import ClusterScan
    from s3conn_magic.language.plans import Analyze
    from s3conn_magic.listing import Progress
    from s3conn_magic.listing.target import Target
    from s3conn_magic.views.charts import AnalysisChart


def analysis_frame(
    target: Target,
    plan: Analyze,
    *,
    connections: int,
    report: Callable[[Progress], None] | None = None,
    now: datetime | None = None,
    scan: Callable[[datetime], ClusterScan] | None = None,
) -> S3Frame:
    """The frame of ANALYZE.

    Args:
        target: the bucket of the plan's location.
        plan: what is analyzed, and by what.
        connections: most requests under way.
        report: called with how far the listing is, several times a second, in this thread.
        now: the moment that ages are counted from; this one where none is given.
        scan: makes the scan for such a moment; by this process where none is given.

    Returns:
        shape (groups, 6): group, objects, bytes, share (0 to 1, 0 where there is no byte), newest, oldest (UTC);
        the most bytes first, ages and sizes in their natural order.

    Raises:
        IncompleteListingError, ListingInterrupted: `rows_so_far` is a frame of this shape, labelled as partial.
    """
    moment = now or datetime.now(UTC)
    groups = Summary(grouping(plan.by, prefix=plan.location.key, depth=plan.depth, now=moment))
    here = partial(Scan, target, plan.location.key, groups, connections=connections)
    with scan(moment) if scan else here() as scanning:
        try:
            return _frame(scanning.total(on_progress=report))
        except (IncompleteListingError, ListingInterrupted) as error:
            error.rows_so_far = _frame(error.rows_so_far)
            error.rows_so_far.attrs["partial"] = error.message
            raise


def _frame(groups: pa.Table) -> S3Frame:
    sizes = groups["bytes"].cast(pa.float64())
    shares = pc.divide(sizes, max(pc.sum(sizes).as_py() or 0.0, 1.0))
    return table_frame(ANALYSIS_COLUMNS, groups.append_column("share", shares))


def analysis_chart(frame: S3Frame, plan: Analyze) -> AnalysisChart:
    """The chart of a frame of ANALYZE."""
    from s3conn_magic.views.charts import AnalysisChart

    return AnalysisChart(frame, by=plan.by, location=plan.location)
