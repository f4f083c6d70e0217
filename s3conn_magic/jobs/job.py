"""A job, the objects that it selects and how each is read, one run of it, and what came of that."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes import TablesAround
from s3conn_magic.language.help import name_text
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.formats import detect
from s3conn_magic.objects.listed import escaped, private
from s3conn_magic.objects.scope import UNPACKED
from s3conn_magic.query.text_rows import text_rows_of
from s3conn_magic.runtime.patterns import RegularExpression, strings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.language.job_values import Moment
    from s3conn_magic.language.plans import CreateJob
    from s3conn_magic.listing.request import Progress
    from s3conn_magic.objects.formats import Detected
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.text_rows import TextRows

State = Literal["not run", "ok", "errors", "failed", "interrupted"]
OBJECT_COLUMN = "$object"
"""The column that a COPY FROM adds to its table: the `s3://` location of the object that a row is from."""


class RemoteReader(Protocol):
    """Fetches small objects in other processes."""

    def __call__(
        self, job: Job, candidates: Sequence[Candidate], check: Callable[[], None]
    ) -> Iterator[Mapping[Location, bytes | S3ConnError]] | None:
        """The bytes of groups of objects, or why there are none, in order; None where they are to be read here.

        Args:
            job: whose connection leads to them.
            candidates: the objects.
            check: called several times a second; what it raises ends the reading and is raised here.
        """


@dataclass(slots=True)
class Failure:
    """An object that was not loaded, or an output that was not written; resolved when it was later, or is gone."""

    run: int
    failed_at: datetime
    location: str
    etag: str
    error: str
    resolved: bool = False


@dataclass(slots=True)
class Outcome:
    """What one run did; a run that is stopped has done what it says so far.

    Attributes:
        objects: objects loaded or written.
        replaced: those among them that replaced the rows of an earlier version.
        rows: their rows.
        bytes: their bytes.
        written: the `s3://` location of what an INSERT wrote.
        failed: objects that failed.
        first_error: what the first of them failed of.
        connections: names of the connections that were read through.
        notes: what else to say.
        window: what run_start_time() and run_end_time() were, where the query has them.
        read: up to which commit it has read tables in S3, by their addresses.
        violations: rows that violated an expectation, by its name.
    """

    objects: int = 0
    replaced: int = 0
    rows: int = 0
    bytes: int = 0
    written: str = ""
    failed: int = 0
    first_error: str = ""
    connections: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    window: tuple[datetime, datetime] | None = None
    read: Mapping[str, datetime] = field(default_factory=dict)
    violations: Counter[str] = field(default_factory=Counter)

    def fail(self, failure: Failure) -> None:
        """Count a failure."""
        self.failed += 1
        self.first_error = self.first_error or f"{visible(failure.location)}: {failure.error}"


@dataclass(slots=True, eq=False)
class Job:
    """A job of the session.

    Attributes:
        plan: how it was created.
        through: the connection that it reads or writes through, or None; it follows ALTER, RENAME and OR REPLACE.
        created_at: UTC.
        state: of the last run.
        runs: how many there were.
        last_run: when the last one began, UTC.
        done_until: run_end_time() of the last run that was complete.
        read: as of its outcome.
        failures: what failed, the earliest first.
        violations: rows that violated an expectation, by its name.
        paused: whether it does not run until RESUME JOB.
        running: is held by the one run that is under way.
    """

    plan: CreateJob
    through: Connection | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: State = "not run"
    runs: int = 0
    last_run: datetime | None = None
    done_until: datetime | None = None
    read: Mapping[str, datetime] = field(default_factory=dict)
    objects: int = 0
    rows: int = 0
    bytes: int = 0
    failures: list[Failure] = field(default_factory=list)
    violations: Counter[str] = field(default_factory=Counter)
    paused: bool = False
    running: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        """As written when it was created."""
        return self.plan.name

    @property
    def connection(self) -> Connection:
        """The connection of a job that has one."""
        assert self.through is not None  # noqa: S101 - what reads or writes S3 has one
        return self.through

    @property
    def location(self) -> Location:
        """Where a job that reads or writes S3 does so."""
        assert self.plan.location is not None  # noqa: S101 - as above
        return self.plan.location

    @property
    def place(self) -> str:
        """What it loads or writes, as errors name it."""
        return self.plan.location.uri if self.plan.location else self.plan.table

    def option(self, name: str, default: Any = None) -> Any:
        """The value of an option, or the default."""
        return self.plan.options.get(name, default)

    def resolve(self, location: str) -> None:
        """Note that what failed at a location is settled."""
        for failure in self.failures:
            failure.resolved = failure.resolved or failure.location == location

    def add(self, outcome: Outcome) -> None:
        """Count what a run did."""
        self.objects += outcome.objects
        self.rows += outcome.rows
        self.bytes += outcome.bytes
        self.violations += outcome.violations


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its job, its number from 1 on, when it began, whom to tell how far it is, and who reads for it.

    `local` is whether its queries may read files of this machine.
    `loaded` notes the table that a COPY has loaded into; it is called at the end, whatever that is.
    """

    job: Job
    number: int
    began: datetime
    report: Callable[[Progress], None] | None = None
    elsewhere: RemoteReader | None = None
    local: bool = False
    loaded: Callable[[], None] = lambda: None


_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object of the listing."""

    location: Location
    size: int
    etag: str
    last_modified: datetime | None


@dataclass(slots=True)
class Selection:
    """What a run considers, by key.

    Attributes:
        objects: what it loads, in the order of the keys.
        left_out: what the options take, too, but whose names are `private`, and not named by a pattern.
    """

    objects: list[Candidate]
    left_out: list[Candidate]

    @classmethod
    def of(cls, objects: Iterable[Candidate], left_out: Iterable[Candidate]) -> Selection:
        """Each object once; what is among both is loaded."""
        there = {candidate.location.key: candidate for candidate in objects}
        others = {candidate.location.key: candidate for candidate in left_out}
        order = sorted(there, key=lambda key: key.encode("utf-8", "surrogatepass"))
        return cls([there[key] for key in order], [others[key] for key in sorted(others.keys() - there)])


def candidates(job: Job, *, first_run: bool) -> Selection:
    """The objects to consider; folders (empty objects whose key ends with `/`) are none.

    Raises:
        S3ConnError: the location cannot be listed whole.
    """
    where, table = job.location, job.plan.table
    tables = TablesAround(job.connection, where, table if "." in table else name_text(table))
    names = _Names(len(where.key), job.option("FILE_PATTERN"), job.option("FILE_SUFFIX", ""))
    timely = [
        candidate
        for candidate in _listed(job, where, names, tables)
        if _in_time(job, candidate, candidate.location.key[names.start :])
    ]
    selection = _shown(timely, names)
    if first_run and (job.option("INITIAL_LOAD_PREFIX") or job.option("INITIAL_LOAD_PATTERN")):
        initial = Location(where.bucket, job.option("INITIAL_LOAD_PREFIX", where.key))
        names = _Names(len(initial.key), job.option("INITIAL_LOAD_PATTERN"))
        tables.look_around(initial)
        more = _shown(list(_listed(job, initial, names, tables)), names)
        selection = Selection.of(selection.objects + more.objects, selection.left_out + more.left_out)
    tables.check(candidate.location.key for candidate in selection.objects)
    return selection


@dataclass(frozen=True, slots=True)
class _Names:
    """Which objects below a location a job takes, by their names: what stands behind the first `start` characters."""

    start: int
    pattern: str | None = None
    suffix: str = ""

    def mask(self, names: pa.Array) -> pa.Array:
        """Which names it takes, as booleans."""
        import pyarrow.compute as pc

        taken = pc.ends_with(names, self.suffix)
        return pc.and_(taken, RegularExpression.parse(self.pattern).whole(names)) if self.pattern else taken


def _listed(job: Job, where: Location, names: _Names, tables: TablesAround) -> Iterator[Candidate]:
    """The objects at a location whose names a job takes; lake tables that are there are noted."""
    import pyarrow.compute as pc

    from s3conn_magic.listing.listing import Listing

    with Listing(job.connection.target(where.bucket), where.key) as listing:
        for page in listing.pages(keep=False):
            tables.see(page.objects.column("key"))
            mask = names.mask(pc.utf8_slice_codeunits(page.objects.column("key"), names.start))
            columns = page.objects.filter(mask).to_pydict()
            for key, size, etag, changed in zip(
                *(columns[name] for name in ("key", "size", "etag", "last_modified")), strict=True
            ):
                if size or not key.endswith("/"):
                    yield Candidate(Location(where.bucket, key), size or 0, etag or "", changed)


def _shown(listed: Sequence[Candidate], names: _Names) -> Selection:
    keys = [candidate.location.key for candidate in listed]
    hidden = private(keys, names.start, lambda texts: names.mask(strings(texts)).to_pylist(), names.pattern or "")
    sides = [[each for each, out in zip(listed, hidden, strict=True) if out == wanted] for wanted in (False, True)]
    return Selection.of(*sides)


def _in_time(job: Job, candidate: Candidate, below: str) -> bool:
    """Whether it is of the time from START_FROM to END_AT: by the date of its key, else by when it was written.

    A key stands for as long as its date pattern is fine: an hour, a day. One that overlaps START_FROM is loaded.
    """
    start, end = (_moment(job, name) for name in ("START_FROM", "END_AT"))
    pattern = job.option("DATE_PATTERN")
    if pattern is None and (written := candidate.last_modified) is not None:
        return (start or _EARLIEST) <= written < (end or _LATEST)
    date = None if pattern is None else pattern.date_of(below.removeprefix("/"))
    if date is None:
        return start is None and end is None
    return bool((start is None or date + pattern.step > start) and date < (end or _LATEST))


def _moment(job: Job, name: str) -> datetime | None:
    """The time of START_FROM or END_AT; NOW is when the job was created."""
    value: Moment | None = job.option(name)
    if isinstance(value, datetime):
        return value
    return job.created_at if value == "NOW" else None


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """An object and how to read it.

    Attributes:
        connection: the name of what it is read through.
        candidate: the object.
        path: of the engine's filesystem, with wildcards escaped.
        detected: what its first bytes, and the job's options, say.
    """

    connection: str
    candidate: Candidate
    path: str
    detected: Detected


def source_of(job: Job, candidate: Candidate, head: bytes) -> ObjectSource:
    """How to read an object whose first bytes these are.

    Raises:
        QueryError: its format or compression cannot be told, or not be read.
    """
    whole = len(head) >= candidate.size
    content, compression = job.option("CONTENT_TYPE"), job.option("COMPRESSION", "AUTO")
    detected = detect(candidate.location.key, head, content, compression, whole=whole)
    where = candidate.location
    path = f"s3://{job.connection.name}@{where.bucket}/{escaped(where.key)}"
    return ObjectSource(job.connection.name, candidate, path, detected)


def text_rows(source: ObjectSource, scope: QueryScope) -> TextRows | None:
    """The records of an object of CSV or JSON, all of them text; None of any other format."""
    detected, where = source.detected, source.candidate.location
    if detected.format.reader not in {"read_csv", "read_json"}:
        return None
    _check_header(detected)
    path = source.path
    if how := detected.as_plain():
        scope.unpacked[source.connection, where] = how
        path = path.replace("s3://", UNPACKED, 1)
    return text_rows_of(path, detected)


_PATH = re.compile(r"(?<=read_csv\()'(?:[^']|'')*'|(?<=read_json_objects\()'(?:[^']|'')*'")


def together(rows: Iterable[TextRows]) -> list[tuple[TextRows, list[TextRows]]]:
    """Records of objects that are read alike, as one, with those that it is made of: a query for each costs more."""
    groups: dict[TextRows, list[TextRows]] = {}
    for each in rows:
        groups.setdefault(replace(each, source=_PATH.sub("?", each.source, count=1)), []).append(each)
    made = []
    for alike in groups.values():
        paths = [path[0] for each in alike if (path := _PATH.search(each.source))]
        before, after = _PATH.split(alike[0].source, maxsplit=1)
        made.append((replace(alike[0], source=f"{before}[{', '.join(paths)}]{after}"), alike))
    return made


def _check_header(detected: Detected) -> None:
    """Refuse names of columns that stand twice, and too many columns, where the options do not allow them."""
    most, names = detected.settings.get("MAX_COLUMNS"), [name.casefold() for name in detected.names]
    if most is not None and len(names) > most:
        said = f"there are {len(names):,} columns, and MAX_COLUMNS is {most:,}"
        raise QueryError(said, hint=f"Set MAX_COLUMNS = {len(names)}, or leave it out.")
    if detected.settings.get("ALLOW_DUPLICATE_HEADERS") is False and len(set(names)) < len(names):
        raise QueryError("a name of a column appears twice in the header", hint="ALLOW_DUPLICATE_HEADERS = TRUE")
