"""LIST and ANALYZE on workers: ranges of keys shared out again and again until none is left.

The first look is a listing of its own, here: it stops after some requests, and what it left are ranges whose bounds are
where folders begin, or where its keys say that others are. A task takes its share of them, stops as well, and gives
back what it left. So work is shared out again and again, in ever smaller portions, whatever the guesses were worth.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.cluster import work
from s3conn_magic.cluster.work import RangeTask, summary_of
from s3conn_magic.errors import IncompleteListingError, ListingInterrupted, S3ConnError
from s3conn_magic.listing.analysis import Scan
from s3conn_magic.listing.listing import Listing
from s3conn_magic.listing.request import Progress
from s3conn_magic.listing.table import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.cluster.scheduler import Capacity, Cluster, Tasks
    from s3conn_magic.cluster.work import RangeResult
    from s3conn_magic.connections.bucket_target import BucketTarget
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.listing.request import KeyRange
    from s3conn_magic.locations import Location
    from s3conn_magic.runtime.patterns import Glob

    _Report = Callable[[Progress], None] | None

FIRST_PAGES = 64
"""Requests of the first look: what takes fewer is not worth a cluster."""
_PAGE, _MANY = 1000, 8
_PORTIONS, _FEW_SPANS = 2, 3
_LEAST_PAGES, _MOST_PAGES, _ROUNDS = 64, 640, 6
_MORE, _SURPLUS = 1.5, 1.2


class UnorderedError(Exception):
    """A worker has found that the server's order cannot be relied on."""


@dataclass(slots=True)
class Sweep:
    """The ranges of one statement.

    Attributes:
        task: what is done with them.
        waiting: ranges that nobody lists at present, in key order.
        under_way: those of each task.
        before: counts of the first look.
        counted: counts of the tasks, by number.
    """

    task: RangeTask
    waiting: list[KeyRange]
    before: Progress
    under_way: dict[int, tuple[KeyRange, ...]] = field(default_factory=dict)
    counted: dict[int, Progress] = field(default_factory=dict)

    def run(
        self,
        cluster: Cluster,
        tasks: Tasks,
        *,
        wanted: Callable[[], float | None],
        every: Callable[[], None] | None = None,
    ) -> Iterator[RangeResult]:
        """Report parts as they come.

        Args:
            cluster: whose workers list.
            tasks: of the statement.
            wanted: rows that are wanted beyond those that are there, in key order; None for all.
            every: called several times a second.

        Raises:
            UnorderedError: it has to be listed page by page.
            S3ConnError: a task failed.
        """
        capacity, number = cluster.capacity(), 0
        while True:
            while len(tasks) < capacity.tasks + capacity.workers:
                group, pages = self._next(capacity, wanted(), len(tasks))
                if not group:
                    break
                number += 1
                self.under_way[number] = group
                tasks.submit(number, work.list_ranges, self._task_of(capacity), group, pages)
            if not self.under_way:
                return
            done, part = tasks.wait(every)
            if part.unordered:
                raise UnorderedError
            del self.under_way[done]
            self.counted[done] = part.progress or Progress()
            self.waiting = sorted([*self.waiting, *part.rest], key=lambda each: each.edge)
            yield part

    def _task_of(self, capacity: Capacity) -> RangeTask:
        return replace(self.task, connections=max(1, self.task.connections // capacity.each))

    def _next(self, capacity: Capacity, wanted: float | None, under_way: int) -> tuple[tuple[KeyRange, ...], int]:
        """Return the next ranges of one task, and the requests after which it stops; no ranges while it is to wait."""
        left = sum(each.rows for each in self._left)
        if wanted is not None and left > wanted:
            return self._neighbours(capacity, wanted)
        free = capacity.tasks - under_way
        if free < 1:
            return (), 0
        # Neighbours are as long as each other, so each task has some from everywhere.
        group, self.waiting = self.waiting[::free], [each for at, each in enumerate(self.waiting) if at % free]
        # It stops early enough that what it leaves can be shared out again.
        pages = max(_LEAST_PAGES, _ROUNDS * self._task_of(capacity).connections, left / _PAGE / capacity.tasks / 1.5)
        return tuple(group), round(min(_MOST_PAGES, pages))

    def _neighbours(self, capacity: Capacity, wanted: float) -> tuple[tuple[KeyRange, ...], int]:
        """The same in key order, where fewer rows are wanted than there are."""
        left = self._within(wanted)
        portions = _PORTIONS * capacity.tasks
        share = max(_LEAST_PAGES * _PAGE, sum(each.rows for each in left) / portions)
        # Of ranges that nobody has begun, the estimate may be far too low: nobody takes most of them.
        most = max(_FEW_SPANS, -(-len(left) // portions))
        rows, count = 0.0, 0
        for part in left[:most]:
            rows, count = rows + part.rows, count + 1
            if rows >= share:
                break
        group, self.waiting = self.waiting[:count], self.waiting[count:]
        return tuple(group), min(_MOST_PAGES, round(rows / _PAGE * _MORE) + _LEAST_PAGES)

    def _within(self, wanted: float) -> list[KeyRange]:
        """Return the waiting ranges that may hold rows that are wanted, by what is estimated of those before them."""
        if not self.waiting:
            return []
        under_way = chain.from_iterable(self.under_way.values())
        ahead = sum(each.rows for each in under_way if each.edge < self.waiting[0].edge)
        wanted_ranges: list[KeyRange] = []
        for part in self.waiting:
            if ahead > wanted * _SURPLUS and (wanted_ranges or self.under_way):
                break
            wanted_ranges.append(part)
            ahead += part.rows
        return wanted_ranges

    @property
    def _left(self) -> list[KeyRange]:
        return [*self.waiting, *chain.from_iterable(self.under_way.values())]

    @property
    def edge(self) -> str | None:
        """The least text that may be a key which is still to come; None when all are there."""
        return min((each.edge for each in self._left), default=None)

    def progress(self, elapsed: float) -> Progress:
        """Return how far it is."""
        all_of = [self.before, *self.counted.values()]
        keys = sum(each.keys for each in all_of)
        left = sum(each.rows for each in self._left)
        return Progress(
            keys,
            sum(each.bytes for each in all_of),
            sum(each.requests for each in all_of),
            elapsed,
            keys / (keys + left) if keys + left else 1.0,
            sum(each.received for each in all_of),
        )


_FEW_ROWS = FIRST_PAGES * _PAGE


class ClusterListing:
    """All keys below a location, listed by the workers of a cluster; used as a `Listing` is, by `collect`.

    Args:
        cluster: whose workers list.
        connection: the bucket's.
        where: bucket and prefix.
        matching: list only keys whose part after the prefix matches.
        limit: list only the first rows, in key order.
        connections: most requests of one worker under way.
    """

    def __init__(
        self,
        cluster: Cluster,
        connection: Connection,
        where: Location,
        *,
        matching: Glob | None = None,
        limit: int | None = None,
        connections: int,
    ) -> None:
        self._cluster = cluster
        self._connection = connection
        self._where = where
        self._matching = matching
        self._limit = limit
        self._connections = connections
        self._began = time.monotonic()
        self._parts: list[pa.Table] = []
        self._sweep: Sweep | None = None
        self._local: Listing | None = None
        self.truncated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays: `collect` leaves no task."""

    @property
    def progress(self) -> Progress:
        """How far the listing is."""
        if self._sweep is not None:
            return self._sweep.progress(time.monotonic() - self._began)
        return self._local.progress if self._local else Progress()

    def collect(self, *, on_progress: _Report = None) -> pa.Table:
        """Return one table of all rows, sorted by key, as `Listing.collect` gives it.

        Raises:
            IncompleteListingError, ListingInterrupted: `rows_so_far` are those that had arrived.
            S3ConnError: it failed before anything arrived.
        """
        with self._cluster.tasks(lambda: self._cluster.accesses.of(self._connection, self._where)) as tasks:
            return self._collected(tasks, on_progress)

    def _collected(self, tasks: Tasks, on_progress: _Report) -> pa.Table:
        left = self._first(tasks, on_progress)
        if left is None:
            return self._cut(self._parts[0])
        try:
            self._swept(left, tasks, on_progress)
        except KeyboardInterrupt:
            rows = self._joined()
            message = f"the listing was interrupted after {len(rows):,} rows"
            failure: S3ConnError = ListingInterrupted(message, rows_so_far=rows)
        except UnorderedError:
            return self._one_by_one(on_progress)
        except S3ConnError as error:
            failure = _incomplete(self._rows_with(error), error)
        else:
            return self._cut(self._joined())
        raise failure

    def _first(self, tasks: Tasks, report: _Report) -> Sweep | None:
        """Return the first look; None when that was all."""
        with self._listing(pages=FIRST_PAGES) as first:
            self._local = first
            self._parts = [first.collect(on_progress=_preparing(tasks, report))]
        if not first.rest:
            return None
        task = RangeTask(self._where.key, self._connections, self._matching)
        return Sweep(task, list(first.rest), first.progress)

    def _listing(self, **more: Any) -> Listing:
        target: BucketTarget = self._connection.target(self._where.bucket)
        return Listing(target, self._where.key, matching=self._matching, connections=self._connections, **more)

    def _swept(self, sweep: Sweep, tasks: Tasks, report: _Report) -> None:
        self._sweep = sweep
        every = None if report is None else lambda: report(self.progress)
        for part in sweep.run(self._cluster, tasks, wanted=self._wanted, every=every):
            if part.table is not None:
                self._parts.append(part.table)
            if self._limit is not None and self._complete() > self._limit:
                return

    def _wanted(self) -> float | None:
        return None if self._limit is None else float(self._limit - self._complete() + 1)

    def _complete(self) -> int:
        """Return rows before the first key that may still come."""
        edge = self._sweep.edge if self._sweep else None
        if edge is None:
            return sum(map(len, self._parts))
        return sum(_below(table, edge) for table in self._parts)

    def _cut(self, rows: pa.Table) -> pa.Table:
        self.truncated = self._limit is not None and len(rows) > self._limit
        return rows if self._limit is None else rows.slice(0, self._limit)

    def _joined(self) -> pa.Table:
        return in_key_order(self._parts)

    def _rows_with(self, error: S3ConnError) -> pa.Table:
        """Return what had arrived, rows of the task that failed among them."""
        more = getattr(error, "rows_so_far", None)
        return in_key_order([*self._parts, more] if isinstance(more, pa.Table) else self._parts)

    def _one_by_one(self, report: _Report) -> pa.Table:
        """Return the whole of it from here: only the server's own tokens can be relied on."""
        self._sweep = None
        with self._listing(limit=self._limit) as local:
            self._local = local
            rows = local.collect(on_progress=report)
            self.truncated = local.truncated
            return rows


def _preparing(tasks: Tasks, report: _Report) -> Callable[[Progress], None]:
    """Report on a first look, and have workers prepare as soon as it is seen not to be all."""

    def looked(progress: Progress) -> None:
        if progress.requests >= _MANY:
            tasks.prepare()
        if report is not None:
            report(progress)

    return looked


def _incomplete(rows: pa.Table, error: S3ConnError) -> IncompleteListingError:
    reason = error.reason if isinstance(error, IncompleteListingError) else error.message
    message = f"the listing is incomplete, {len(rows):,} rows had arrived: {reason}"
    return IncompleteListingError(message, rows_so_far=rows, reason=reason, hint=error.hint, notes=error.notes)


def _below(table: pa.Table, edge: str) -> int:
    """Return rows of a table in key order whose key is below a text."""
    if not len(table) or table["key"][-1].as_py() < edge:
        return len(table)
    return pc.sum(pc.less(table["key"], pa.scalar(edge))).as_py() or 0


def in_key_order(tables: list[pa.Table]) -> pa.Table:
    """Return one table of all rows, each of the tables being in key order.

    Their ranges lie between each other: of each, all that is below the first key of the others is taken at once.
    """
    filled = [table for table in tables if len(table)]
    columns = [table["key"] for table in filled]
    heads = [(column[0].as_py(), number, 0) for number, column in enumerate(columns)]
    heapify(heads)
    runs = []
    while heads:
        _, number, at = heappop(heads)
        keys = columns[number]
        stop = bisect_left(keys, heads[0][0], at + 1, key=lambda key: key.as_py()) if heads else len(keys)
        runs.append(filled[number].slice(at, stop - at))
        if stop < len(keys):
            heappush(heads, (keys[stop].as_py(), number, stop))
    return pa.concat_tables(runs).unify_dictionaries() if runs else OBJECTS.empty_table()


def open_listing(cluster: Cluster, connection: Connection, where: Location, **given: Any) -> Listing | ClusterListing:
    """Return a listing by the cluster, or one from here where it is a few requests or must go page by page."""
    limit, grouped = given["limit"], given.pop("delimiter", None)
    versions = given.pop("versions", False)
    target = connection.target(where.bucket)
    if grouped or versions or not target.ordered or target.is_stood_in or (limit is not None and limit <= _FEW_ROWS):
        return Listing(target, where.key, delimiter=grouped, versions=versions, **given)
    return ClusterListing(cluster, connection, where, **given)


class ClusterScan:
    """Everything below a location in groups; used as a `Scan` is, by `total`."""

    def __init__(self, cluster: Cluster, connection: Connection, where: Location, task: RangeTask) -> None:
        self._cluster = cluster
        self._connection = connection
        self._where = where
        self._task = task
        self._groups = summary_of(task)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays: `total` leaves no task."""

    def total(self, *, on_progress: _Report = None) -> pa.Table:
        """Return the groups of all objects, as `Scan.total` gives them.

        Raises:
            IncompleteListingError, ListingInterrupted: `rows_so_far` are the groups of what had arrived.
            S3ConnError: it failed before anything arrived.
        """
        with self._cluster.tasks(lambda: self._cluster.accesses.of(self._connection, self._where)) as tasks:
            return self._total(tasks, on_progress)

    def _total(self, tasks: Tasks, on_progress: _Report) -> pa.Table:
        target = self._connection.target(self._where.bucket)
        most = self._task.connections
        with Scan(target, self._where.key, self._groups, connections=most, pages=FIRST_PAGES) as first:
            groups = first.total(on_progress=_preparing(tasks, on_progress))
        if not first.rest:
            return groups
        try:
            self._swept(Sweep(self._task, list(first.rest), first.progress), tasks, on_progress)
        except KeyboardInterrupt:
            message = f"the analysis was interrupted after {self._keys():,} keys"
            failure: S3ConnError = ListingInterrupted(message, rows_so_far=self._groups.table())
        except UnorderedError:
            with Scan(target, self._where.key, summary_of(self._task), connections=most) as scan:
                return scan.total(on_progress=on_progress)
        except S3ConnError as error:
            failure = self._failure(error)
        else:
            return self._groups.table()
        raise failure

    def _swept(self, sweep: Sweep, tasks: Tasks, report: _Report) -> None:
        every = None if report is None else lambda: report(sweep.progress(time.monotonic() - self._began))
        for part in sweep.run(self._cluster, tasks, wanted=lambda: None, every=every):
            if part.table is not None:
                self._groups.merge(part.table)

    def _keys(self) -> int:
        return int(pc.sum(self._groups.table()["objects"]).as_py() or 0)

    def _failure(self, error: S3ConnError) -> IncompleteListingError:
        if isinstance(error, IncompleteListingError) and isinstance(error.rows_so_far, pa.Table):
            self._groups.merge(error.rows_so_far)
        reason = error.reason if isinstance(error, IncompleteListingError) else error.message
        message = f"the analysis is incomplete, {self._keys():,} keys had arrived: {reason}"
        return IncompleteListingError(
            message, rows_so_far=self._groups.table(), reason=reason, hint=error.hint, notes=error.notes
        )
