"""LIST and ANALYZE on workers: ranges of keys are redistributed until none is left.

This process begins the listing and stops after a few requests; the remaining ranges are cut at folders or between known
keys. Each task lists its share. When a worker is idle, the task with the most left is stopped, and its rest is shared
out again. So wrong estimates even out.
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
from s3conn_magic.cluster.work import RangeResult, RangeTask, summary_of
from s3conn_magic.errors import IncompleteListingError, ListingInterrupted, S3ConnError
from s3conn_magic.listing import Listing
from s3conn_magic.listing.analysis import Scan
from s3conn_magic.listing.request import Progress
from s3conn_magic.listing.table import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.cluster.scheduler import Capacity, Cluster, Tasks
    from s3conn_magic.connections.bucket_target import BucketTarget
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.listing.request import KeyRange
    from s3conn_magic.locations import Location
    from s3conn_magic.runtime.patterns import Glob

    _Report = Callable[[Progress], None] | None

FIRST_PAGES = 64
"""Requests of the first look: a smaller listing is not worth a cluster."""
_PAGE, _PREPARE_FROM = 1000, 8
_PORTIONS, _FEW_SPANS = 2, 3
_LEAST_PAGES, _MOST_PAGES = 64, 640
# A task is not stopped for less: it takes a round to stop, and one to begin anew.
_WORTH_ROUNDS = 2
_PAGES_MARGIN, _SURPLUS = 1.5, 1.2
_LOOK = 0.25


class UnorderedError(Exception):
    """A worker found that the server's order of keys is unreliable."""


@dataclass(slots=True)
class Sweep:
    """Ranges of one statement that tasks list.

    Attributes:
        task: what to do with each range.
        waiting: ranges that no task has, in key order.
        under_way: ranges by task.
        before: counts of the first look.
        counted: counts by task.
        portions: rows of tasks that still list, by task: the mark of the run, and tables.
        looked_at: when the tasks were looked after last.
    """

    task: RangeTask
    waiting: list[KeyRange]
    before: Progress
    under_way: dict[int, tuple[KeyRange, ...]] = field(default_factory=dict)
    counted: dict[int, Progress] = field(default_factory=dict)
    portions: dict[int, tuple[str, list[pa.Table]]] = field(default_factory=dict)
    looked_at: float = field(default_factory=time.monotonic)

    def run(
        self,
        cluster: Cluster,
        tasks: Tasks,
        *,
        wanted: Callable[[], float | None],
        every: Callable[[], None] | None = None,
    ) -> Iterator[RangeResult]:
        """Yield results as tasks finish.

        Args:
            cluster: whose workers list.
            tasks: of the statement.
            wanted: returns the rows still wanted, in key order; None for all.
            every: called several times a second.

        Raises:
            UnorderedError: keys must be listed page by page.
            S3ConnError: a task failed.
        """
        capacity, number = cluster.capacity(), 0

        def check() -> None:
            self._look_after(tasks, capacity, collected=wanted() is None)
            if every is not None:
                every()

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
            done, part = tasks.wait(check)
            if part.unordered:
                raise UnorderedError
            del self.under_way[done]
            self.counted[done] = part.progress or Progress()
            self.waiting = sorted([*self.waiting, *part.rest], key=lambda each: each.edge)
            mark, tables = self.portions.pop(done, ("", []))
            yield from (RangeResult(table) for table in tables[: part.portions] if mark == part.mark)
            yield part

    def _look_after(self, tasks: Tasks, capacity: Capacity, *, collected: bool) -> None:
        """Stop a long task if a worker is idle, and fetch rows if all are collected; a few times a second."""
        if time.monotonic() - self.looked_at < _LOOK:
            return
        if len(tasks) < capacity.tasks and not self.waiting:
            tasks.stop_longest(_WORTH_ROUNDS * self._task_of(capacity).connections * _PAGE)
        if collected and self.task.by is None:
            self.receive(tasks)
        self.looked_at = time.monotonic()

    @property
    def received(self) -> dict[int, tuple[str, int]]:
        """For each task the run whose portions were received, and how many."""
        return {number: (mark, len(tables)) for number, (mark, tables) in self.portions.items()}

    def receive(self, tasks: Tasks) -> None:
        """Fetch rows while tasks list, so that little is left to send at the end."""
        for number, (mark, count, table) in tasks.next_portions(self.received).items():
            known, tables = self.portions.get(number, ("", []))
            if len(table):
                self.portions[number] = mark, [*(tables[:count] if mark == known else ()), table]

    def _task_of(self, capacity: Capacity) -> RangeTask:
        return replace(self.task, connections=max(1, self.task.connections // capacity.each))

    def _next(self, capacity: Capacity, wanted: float | None, under_way: int) -> tuple[tuple[KeyRange, ...], int]:
        """Return the ranges of the next task and its budget of requests; no ranges if it should wait."""
        if wanted is not None and sum(each.rows for each in self._left) > wanted:
            return self._neighbours(capacity, wanted)
        free = capacity.tasks - under_way
        if free < 1:
            return (), 0
        # Neighbours are alike in length, so each task gets a sample of all.
        group, self.waiting = self.waiting[::free], [each for at, each in enumerate(self.waiting) if at % free]
        return tuple(group), _MOST_PAGES

    def _neighbours(self, capacity: Capacity, wanted: float) -> tuple[tuple[KeyRange, ...], int]:
        """Return the same in key order, for a LIMIT."""
        left = self._within(wanted)
        portions = _PORTIONS * capacity.tasks
        share = max(_LEAST_PAGES * _PAGE, sum(each.rows for each in left) / portions)
        # The estimate of an untouched range may be far too low, so a task gets few of them.
        most = max(_FEW_SPANS, -(-len(left) // portions))
        rows, count = 0.0, 0
        for part in left[:most]:
            rows, count = rows + part.rows, count + 1
            if rows >= share:
                break
        group, self.waiting = self.waiting[:count], self.waiting[count:]
        return tuple(group), min(_MOST_PAGES, round(rows / _PAGE * _PAGES_MARGIN) + _LEAST_PAGES)

    def _within(self, wanted: float) -> list[KeyRange]:
        """Return the waiting ranges that may hold wanted rows, by the estimates of those before them."""
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
        """Least key that may still come, or None when all have."""
        return min((each.edge for each in self._left), default=None)

    def progress(self, elapsed: float) -> Progress:
        """Return the progress."""
        counts = [self.before, *self.counted.values()]
        keys = sum(each.keys for each in counts)
        left = sum(each.rows for each in self._left)
        return Progress(
            keys,
            sum(each.bytes for each in counts),
            sum(each.requests for each in counts),
            elapsed,
            keys / (keys + left) if keys + left else 1.0,
            sum(each.received for each in counts),
        )


_FEW_ROWS = FIRST_PAGES * _PAGE


class ClusterListing:
    """All keys below a location, listed by the workers of a cluster; `collect` as in `Listing`.

    Args:
        cluster: whose workers list.
        connection: of the bucket.
        where: bucket and prefix.
        matching: list only keys whose part after the prefix matches.
        limit: list only the first rows, in key order.
        connections: most concurrent requests of one worker.
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
        """Do nothing: `collect` leaves no task."""

    @property
    def progress(self) -> Progress:
        """Progress of the listing."""
        if self._sweep is not None:
            return self._sweep.progress(time.monotonic() - self._began)
        return self._local.progress if self._local else Progress()

    def collect(self, *, on_progress: _Report = None) -> pa.Table:
        """Return all rows, sorted by key, as `Listing.collect` does.

        Raises:
            IncompleteListingError, ListingInterrupted: `rows_so_far` has the rows that arrived.
            S3ConnError: it failed before any row arrived.
        """
        with self._cluster.tasks(lambda: self._cluster.accesses.of(self._connection, self._where)) as tasks:
            return self._collected(tasks, on_progress)

    def _collected(self, tasks: Tasks, on_progress: _Report) -> pa.Table:
        sweep = self._first_look(tasks, on_progress)
        if sweep is None:
            return self._limited(self._parts[0])
        try:
            self._sweep_rest(sweep, tasks, on_progress)
        except KeyboardInterrupt:
            rows = self._merged()
            message = f"the listing was interrupted after {len(rows):,} rows"
            failure: S3ConnError = ListingInterrupted(message, rows_so_far=rows)
        except UnorderedError:
            return self._one_by_one(on_progress)
        except S3ConnError as error:
            failure = _incomplete(self._rows_with(error), error)
        else:
            return self._limited(self._merged())
        raise failure

    def _first_look(self, tasks: Tasks, report: _Report) -> Sweep | None:
        """Return the ranges that the first look left, or None if it listed everything."""
        with self._listing(pages=FIRST_PAGES) as first:
            self._local = first
            self._parts = [first.collect(on_progress=_preparing(tasks, report))]
        if not first.rest:
            return None
        task = RangeTask(self._where.key, self._connections, first.learned, self._matching)
        return Sweep(task, list(first.rest), first.progress)

    def _listing(self, **more: Any) -> Listing:
        target: BucketTarget = self._connection.target(self._where.bucket)
        return Listing(target, self._where.key, matching=self._matching, connections=self._connections, **more)

    def _sweep_rest(self, sweep: Sweep, tasks: Tasks, report: _Report) -> None:
        self._sweep = sweep
        every = None if report is None else lambda: report(self.progress)
        for part in sweep.run(self._cluster, tasks, wanted=self._wanted, every=every):
            if part.table is not None:
                self._parts.append(part.table)
            if self._limit is not None and self._complete_rows() > self._limit:
                return

    def _wanted(self) -> float | None:
        return None if self._limit is None else float(self._limit - self._complete_rows() + 1)

    def _complete_rows(self) -> int:
        """Return how many rows come before the first key that may still arrive."""
        edge = self._sweep.edge if self._sweep else None
        if edge is None:
            return sum(map(len, self._parts))
        return sum(_count_below(table, edge) for table in self._parts)

    def _limited(self, rows: pa.Table) -> pa.Table:
        self.truncated = self._limit is not None and len(rows) > self._limit
        return rows if self._limit is None else rows.slice(0, self._limit)

    def _merged(self, *more: pa.Table) -> pa.Table:
        under_way = self._sweep.portions.values() if self._sweep else ()
        return in_key_order([*self._parts, *(table for _, tables in under_way for table in tables), *more])

    def _rows_with(self, error: S3ConnError) -> pa.Table:
        """Return the rows that arrived, with those of the failed task."""
        more = getattr(error, "rows_so_far", None)
        return self._merged(more) if isinstance(more, pa.Table) else self._merged()

    def _one_by_one(self, report: _Report) -> pa.Table:
        """List everything in this process, by the server's tokens."""
        self._sweep = None
        with self._listing(limit=self._limit) as local:
            self._local = local
            rows = local.collect(on_progress=report)
            self.truncated = local.truncated
            return rows


def _preparing(tasks: Tasks, report: _Report) -> Callable[[Progress], None]:
    """Report the first look's progress, and have workers prepare once it will not list everything."""

    def looked(progress: Progress) -> None:
        if progress.requests >= _PREPARE_FROM:
            tasks.prepare()
        if report is not None:
            report(progress)

    return looked


def _incomplete(rows: pa.Table, error: S3ConnError) -> IncompleteListingError:
    reason = error.reason if isinstance(error, IncompleteListingError) else error.message
    message = f"the listing is incomplete, {len(rows):,} rows had arrived: {reason}"
    return IncompleteListingError(message, rows_so_far=rows, reason=reason, hint=error.hint, notes=error.notes)


def _count_below(table: pa.Table, edge: str) -> int:
    """Return how many rows of a sorted table have a key below a text."""
    if not len(table) or table["key"][-1].as_py() < edge:
        return len(table)
    return pc.sum(pc.less(table["key"], pa.scalar(edge))).as_py() or 0


def in_key_order(tables: list[pa.Table]) -> pa.Table:
    """Merge tables, each in key order, into one in key order.

    The tables' ranges interleave: all rows below the first key of the others are taken at once.
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
    """Return a listing on the cluster, or a local one if a few requests suffice or the order is unreliable."""
    limit, grouped = given["limit"], given.pop("delimiter", None)
    versions = given.pop("versions", False)
    target = connection.target(where.bucket)
    if grouped or versions or not target.ordered or target.is_stood_in or (limit is not None and limit <= _FEW_ROWS):
        return Listing(target, where.key, delimiter=grouped, versions=versions, **given)
    return ClusterListing(cluster, connection, where, **given)


class ClusterScan:
    """Groups of all objects below a location, counted on workers; `total` as in `Scan`."""

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
        """Do nothing: `total` leaves no task."""

    def total(self, *, on_progress: _Report = None) -> pa.Table:
        """Return the groups of all objects, as `Scan.total` does.

        Raises:
            IncompleteListingError, ListingInterrupted: `rows_so_far` has the groups of what arrived.
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
            task = replace(self._task, learned=first.learned)
            self._sweep_rest(Sweep(task, list(first.rest), first.progress), tasks, on_progress)
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

    def _sweep_rest(self, sweep: Sweep, tasks: Tasks, report: _Report) -> None:
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
