"""What runs on a worker. A failure is a result as any other, so that a worker logs neither it nor its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.listing import Listing
from s3conn_magic.listing.analysis import Scan, Summary, grouping
from s3conn_magic.listing.planner import UntrustedOrderError
from s3conn_magic.runtime import VERSION
from s3conn_magic.secrets import NotGivenError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from s3conn_magic.cluster.access import Access
    from s3conn_magic.connections.bucket_target import BucketTarget
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.jobs.job import Candidate, Parsed
    from s3conn_magic.language.reference import AnalyzeBy
    from s3conn_magic.listing import Glob, Progress
    from s3conn_magic.listing.request import KeyRange

__all__ = [
    "Failed",
    "RangeResult",
    "RangeTask",
    "RemoteReadOptions",
    "Unopened",
    "list_ranges",
    "parse_objects",
    "version",
]


class AbandonedError(Exception):
    """Nobody waits for the result any more."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that failed."""

    error: S3ConnError


@dataclass(frozen=True, slots=True)
class Unopened:
    """A task whose worker could not open what it carries: it is to be told, and asked again."""


@dataclass(frozen=True, slots=True)
class RangeResult:
    """What a task has listed.

    Attributes:
        table: rows of schema `OBJECTS`, or groups of schema `GROUPS`.
        rest: what it left.
        progress: its counts.
        unordered: whether the server's order cannot be relied on; the table is of no use then.
    """

    table: pa.Table | None
    rest: tuple[KeyRange, ...] = ()
    progress: Progress | None = None
    unordered: bool = False


@dataclass(frozen=True, slots=True)
class RangeTask:
    """What is to be done with keys, the same in each task of a statement.

    Attributes:
        prefix: of all keys.
        connections: most requests of one task under way.
        matching: only keys that match, in a listing.
        by: what to group by in an analysis; None for a listing.
        depth: of folders that make a group.
        now: the moment that ages are counted from.
    """

    prefix: str
    connections: int
    matching: Glob | None = None
    by: AnalyzeBy | None = None
    depth: int = 1
    now: datetime | None = None


def version() -> str:
    """The version of this package."""
    return VERSION


def list_ranges(
    access: Access, task: RangeTask, ranges: tuple[KeyRange, ...], pages: int
) -> RangeResult | Failed | Unopened:
    """List ranges of keys, or add their groups up, by at most about so many requests."""
    abandoned = _abandoned()

    def check(_: Progress) -> None:
        if abandoned():
            raise AbandonedError

    try:
        with access.connection() as connection:
            return _listed(connection.target(access.bucket), task, ranges, pages, check)
    except NotGivenError:
        return Unopened()
    except UntrustedOrderError:
        return RangeResult(None, unordered=True)
    except S3ConnError as error:
        return _failed(error)


def _failed(error: S3ConnError) -> Failed:
    """A failure, and where it was: a worker's network and environment are its own."""
    error.notes += (f"That was on the worker {_address()}, whose own network and environment count there.",)
    return Failed(error)


def _address() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except (ValueError, AttributeError):
        return "in this process"


def _listed(
    target: BucketTarget, task: RangeTask, ranges: tuple[KeyRange, ...], pages: int, check: Callable[[Progress], None]
) -> RangeResult:
    most = task.connections
    if task.by is None:
        with Listing(target, task.prefix, matching=task.matching, connections=most, ranges=ranges, pages=pages) as rows:
            return RangeResult(rows.collect(on_progress=check), rows.rest, rows.progress)
    with Scan(target, task.prefix, summary_of(task), connections=most, ranges=ranges, pages=pages) as scan:
        return RangeResult(scan.total(on_progress=check), scan.rest, scan.progress)


def summary_of(task: RangeTask) -> Summary:
    """An empty summary for an analysis."""
    by = task.by or "PREFIX"
    return Summary(grouping(by, prefix=task.prefix, depth=task.depth, now=task.now))


@dataclass(frozen=True, slots=True)
class RemoteReadOptions:
    """How a job reads objects, as a worker knows it."""

    connection: Any
    options: Mapping[str, Any]

    def option(self, name: str, default: Any = None) -> Any:
        """The value of an option, or the default."""
        return self.options.get(name, default)


def parse_objects(
    access: Access, options: Mapping[str, Any], group: Sequence[Candidate]
) -> list[Parsed | S3ConnError] | Failed | Unopened:
    """The rows of each object, or why there are none."""
    try:
        with access.connection() as connection:
            return _parsed(connection, options, group)
    except NotGivenError:
        return Unopened()
    except S3ConnError as error:
        return _failed(error)


def _parsed(
    connection: Connection, options: Mapping[str, Any], group: Sequence[Candidate]
) -> list[Parsed | S3ConnError]:
    from s3conn_magic.jobs.loading import Parser
    from s3conn_magic.query.engine import QueryEngine

    abandoned = _abandoned()
    engine = QueryEngine(lambda _: connection, _no_variable)
    rows: list[Parsed | S3ConnError] = []
    try:
        with engine.turn() as turn:
            parser = Parser(RemoteReadOptions(connection, options), turn.database, turn.scope)
            parser.prefetch(group)
            for each in group:
                if abandoned():
                    raise AbandonedError
                rows.append(parser.attempt(each))
    finally:
        engine.close()
    return rows


def _no_variable(name: str) -> Any:
    raise LookupError(name)


def _abandoned() -> Callable[[], bool]:
    """Tells whether the task of this thread was cancelled; outside of a worker it never is."""
    from distributed import get_worker

    try:
        worker = get_worker()
        key = worker.get_current_task()
    except (ValueError, AttributeError):
        return lambda: False

    def check() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return check
