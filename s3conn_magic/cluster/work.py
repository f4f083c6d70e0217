"""What runs on a worker. A failure is a result as any other, so that a worker logs neither it nor its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3conn_magic import __version__
from s3conn_magic.errors import S3ConnError
from s3conn_magic.listing import Listing
from s3conn_magic.listing.analysis import Scan, Summary, grouping
from s3conn_magic.listing.planner import UntrustedOrderError
from s3conn_magic.locations import visible
from s3conn_magic.secrets import NotGivenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from s3conn_magic.cluster.access import Access
    from s3conn_magic.cluster.cluster import Cluster
    from s3conn_magic.connections.bucket_target import BucketTarget
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.jobs.job import Candidate, Job
    from s3conn_magic.jobs.loading import Parsed
    from s3conn_magic.language.statements import AnalyzeBy
    from s3conn_magic.listing import Glob, Progress
    from s3conn_magic.listing.request import Span

__all__ = ["Errand", "Failed", "Part", "Reading", "Unopened", "list_spans", "parse_objects", "version"]


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
class Part:
    """What a task has listed.

    Attributes:
        table: rows of schema `OBJECTS`, or groups of schema `GROUPS`.
        rest: what it left.
        progress: its counts.
        unordered: whether the server's order cannot be relied on; the table is of no use then.
    """

    table: pa.Table | None
    rest: tuple[Span, ...] = ()
    progress: Progress | None = None
    unordered: bool = False


@dataclass(frozen=True, slots=True)
class Errand:
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
    return __version__


def list_spans(access: Access, errand: Errand, spans: tuple[Span, ...], pages: int) -> Part | Failed | Unopened:
    """List ranges of keys, or add their groups up, by at most about so many requests."""
    abandoned = _abandoned()

    def check(_: Progress) -> None:
        if abandoned():
            raise AbandonedError

    try:
        with access.connection() as connection:
            return _listed(connection.target(access.bucket), errand, spans, pages, check)
    except NotGivenError:
        return Unopened()
    except UntrustedOrderError:
        return Part(None, unordered=True)
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
    target: BucketTarget, errand: Errand, spans: tuple[Span, ...], pages: int, check: Callable[[Progress], None]
) -> Part:
    most = errand.connections
    if errand.by is None:
        with Listing(
            target, errand.prefix, matching=errand.matching, connections=most, spans=spans, pages=pages
        ) as rows:
            return Part(rows.collect(on_progress=check), rows.rest, rows.progress)
    with Scan(target, errand.prefix, summary_of(errand), connections=most, spans=spans, pages=pages) as scan:
        return Part(scan.total(on_progress=check), scan.rest, scan.progress)


def summary_of(errand: Errand) -> Summary:
    """An empty summary for an analysis."""
    by = errand.by or "PREFIX"
    return Summary(grouping(by, prefix=errand.prefix, depth=errand.depth, now=errand.now))


@dataclass(frozen=True, slots=True)
class Reading:
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
    from s3conn_magic.query.engine import Engine

    abandoned = _abandoned()
    engine = Engine(lambda _: connection, _no_variable)
    found: list[Parsed | S3ConnError] = []
    try:
        with engine.turn() as turn:
            parser = Parser(Reading(connection, options), turn.database, turn.reading)
            parser.prefetch(group)
            for one in group:
                if abandoned():
                    raise AbandonedError
                found.append(parser.attempt(one))
    finally:
        engine.close()
    return found


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


_GROUP_BYTES, _GROUP_OBJECTS = 16 * 1024 * 1024, 64
_LARGEST = 256 * 1024 * 1024
_READ_BY = ("CONTENT_TYPE", "COMPRESSION")


@dataclass(frozen=True, slots=True)
class Groups:
    """Has groups of objects read by the workers of a cluster.

    Attributes:
        cluster: the cluster.
        note: is told why objects are read here all the same.
    """

    cluster: Cluster
    note: Callable[[str], None]

    def __call__(
        self, job: Job, ones: Sequence[Candidate], check: Callable[[], None]
    ) -> Iterator[Parsed | S3ConnError | None]:
        """As of `Elsewhere`; groups ahead of the one that is loaded are few, so that memory is bounded."""
        if job.connection.settings.customer_key:
            name = visible(job.connection.name)
            self.note(
                f"The key of {name}'s ENCRYPTION_CUSTOMER_MANAGED_KEY is sent to no worker: objects are read here."
            )
            yield from (None for _ in ones)
            return
        groups = _groups(ones)
        options = {name: value for name in _READ_BY if (value := job.option(name)) is not None}
        slots, sent = self.cluster.slots(), 0
        come: dict[int, list[Parsed | S3ConnError]] = {}
        with self.cluster.tasks(lambda: self.cluster.accesses.of(job.connection, job.plan.location)) as tasks:
            for number, group in enumerate(groups):
                while sent < min(len(groups), number + 2 * slots.tasks):
                    if _elsewhere(groups[sent]):
                        tasks.submit(sent, parse_objects, options, tuple(groups[sent]))
                    sent += 1
                while _elsewhere(group) and number not in come:
                    done, found = tasks.wait(check)
                    come[done] = found
                yield from come.pop(number, [None] * len(group))


def _elsewhere(group: Sequence[Candidate]) -> bool:
    """Whether a group is read by a worker: an empty object has nothing to read, a huge one is no table in memory."""
    return 0 < group[0].size <= _LARGEST


def _groups(ones: Sequence[Candidate]) -> list[list[Candidate]]:
    """Neighbours whose sizes are small together; objects that are read here stand alone."""
    groups: list[list[Candidate]] = []
    size = 0
    for one in ones:
        apart = not groups or not _elsewhere([one]) or not _elsewhere(groups[-1])
        if apart or size + one.size > _GROUP_BYTES or len(groups[-1]) >= _GROUP_OBJECTS:
            groups.append([])
            size = 0
        groups[-1].append(one)
        size += one.size
    return groups
