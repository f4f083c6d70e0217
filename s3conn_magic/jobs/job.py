"""A job, the objects it selects and how each is read, one run, and its outcome."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes import TablesAround
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.words import counted
from s3conn_magic.locations import Location, size_text, visible
from s3conn_magic.objects.formats import detect
from s3conn_magic.objects.listed import escaped, private_keys
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
"""Column that COPY FROM adds to its table: the `s3://` location of the row's object."""


class RemoteReader(Protocol):
    """Fetches small objects in other processes."""

    def __call__(
        self, job: Job, candidates: Sequence[Candidate], check: Callable[[], None]
    ) -> Iterator[Mapping[Location, bytes | S3ConnError]] | None:
        """Yield the contents of groups of objects, or the error of each, in order; None to read them in this process.

        Args:
            job: whose connection is used.
            candidates: the objects.
            check: called several times a second; what it raises ends the reading and is raised here.
        """


@dataclass(slots=True)
class Failure:
    """An object that was not loaded, or an output that was not written; resolved once it was, or is gone."""

    run: int
    failed_at: datetime
    location: str
    etag: str
    error: str
    resolved: bool = False


@dataclass(slots=True)
class Outcome:
    """What one run did, or has done so far.

    Attributes:
        objects: objects loaded or written.
        replaced: those that replaced the rows of an earlier version.
        rows: their rows.
        bytes: their bytes.
        written: the `s3://` location that an INSERT wrote.
        failed: objects that failed.
        first_error: of the first that failed.
        connections: names of the connections that were read.
        notes: further notes for the user.
        window: run_start_time() and run_end_time(), if the query uses them.
        read: commit up to which it read tables in S3, by address.
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
        through: the connection that it reads or writes, or None; it follows ALTER, RENAME and OR REPLACE.
        created_at: UTC.
        state: of the last run.
        runs: number of runs.
        last_run: start of the last one, UTC.
        done_until: run_end_time() of the last complete run.
        read: as in its outcome.
        failures: earliest first.
        violations: rows that violated an expectation, by its name.
        paused: whether it does not run until RESUME JOB.
        running: lock held by a run.
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
        """Name as written at its creation."""
        return self.plan.name

    @property
    def connection(self) -> Connection:
        """Connection of a job that has one."""
        assert self.through is not None  # noqa: S101 - what reads or writes S3 has one
        return self.through

    @property
    def location(self) -> Location:
        """Location that the job reads or writes."""
        assert self.plan.location is not None  # noqa: S101 - as above
        return self.plan.location

    @property
    def place(self) -> str:
        """What it loads or writes, as errors name it."""
        return self.plan.location.uri if self.plan.location else self.plan.table

    def option(self, name: str, default: Any = None) -> Any:
        """Return the value of an option, or the default."""
        return self.plan.options.get(name, default)

    def resolve(self, location: str) -> None:
        """Mark failures at a location as resolved."""
        for failure in self.failures:
            failure.resolved = failure.resolved or failure.location == location

    def add(self, outcome: Outcome) -> None:
        """Add up what a run did."""
        self.objects += outcome.objects
        self.rows += outcome.rows
        self.bytes += outcome.bytes
        self.violations += outcome.violations


def outcome_text(job: Job, outcome: Outcome, *, created: bool = False) -> str:
    """Return what a run did, in a few sentences."""
    head = f"The job {job.name} was created. " if created else ""
    describe = {"COPY": _loaded, "INSERT": _written}.get(job.plan.kind, _changed)
    lines = [head + describe(job, outcome)]
    lines += [
        f"The expectation {name} was violated by {counted(rows, 'row')}." for name, rows in outcome.violations.items()
    ]
    if outcome.failed:
        lines.append(f"{counted(outcome.failed, 'object')} failed, the first: {outcome.first_error}")
        lines.append(f"SHOW JOB {job.name} ERRORS; lists them. RUN JOB {job.name}; tries them again.")
    if created and (interval := job.plan.written.get("RUN_INTERVAL")):
        lines.append(f"RUN JOBS runs it again once {interval.lower()} have passed; nothing runs by itself.")
    return "\n".join([*lines, *outcome.notes])


def _loaded(job: Job, outcome: Outcome) -> str:
    if not outcome.objects and outcome.failed:
        return f"Nothing was loaded into {job.plan.table}."
    if not outcome.objects:
        return f"There was nothing new to load into {job.plan.table}."
    replaced = f", of which {outcome.replaced:,} replaced an earlier version" if outcome.replaced else ""
    what = (
        f"{counted(outcome.objects, 'object')}{replaced} ({counted(outcome.rows, 'row')}, {size_text(outcome.bytes)})"
    )
    deletes = job.option("DELETE_FILES_AFTER_LOAD") and not outcome.failed
    return f"Loaded {what} into {job.plan.table}{', and deleted them in S3' if deletes else ''}."


def _changed(job: Job, outcome: Outcome) -> str:
    did = {"INTO": "went into", "MERGE": "changed in"}.get(job.plan.kind, "are in")
    return f"{counted(outcome.rows, 'row')} {did} {job.plan.table}."


def _written(job: Job, outcome: Outcome) -> str:
    del job
    if not outcome.objects:
        return "There were no new rows, and nothing was written."
    did = "Replaced" if outcome.replaced else "Wrote"
    return f"{did} {outcome.written} ({counted(outcome.rows, 'row')}, {size_text(outcome.bytes)})."


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its job, number (from 1), start, callback for progress, and remote reader.

    `local` is whether its queries may read files of this machine. `loaded` registers the table of a COPY at the end,
    whatever the outcome.
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
    """A listed object."""

    location: Location
    size: int
    etag: str
    last_modified: datetime | None


@dataclass(slots=True)
class Selection:
    """Objects of a run, by key.

    Attributes:
        objects: those it loads, in key order.
        left_out: those whose names are private (`private_keys`) and not named by a pattern.
    """

    objects: list[Candidate]
    left_out: list[Candidate]

    @classmethod
    def of(cls, objects: Iterable[Candidate], left_out: Iterable[Candidate]) -> Selection:
        """Return a selection with each object once; one in both arguments is loaded."""
        loaded = {candidate.location.key: candidate for candidate in objects}
        skipped = {candidate.location.key: candidate for candidate in left_out}
        order = sorted(loaded, key=lambda key: key.encode("utf-8", "surrogatepass"))
        return cls([loaded[key] for key in order], [skipped[key] for key in sorted(skipped.keys() - loaded)])


def candidates(job: Job, *, first_run: bool) -> Selection:
    """Return the objects to consider, without folders (empty objects whose key ends with `/`).

    Raises:
        S3ConnError: the location cannot be listed completely.
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
    """Selects objects below a location by name, compared from the character `start` on."""

    start: int
    pattern: str | None = None
    suffix: str = ""

    def mask(self, names: pa.Array) -> pa.Array:
        """Return which names are selected, as booleans."""
        import pyarrow.compute as pc

        matches = pc.ends_with(names, self.suffix)
        return pc.and_(matches, RegularExpression.parse(self.pattern).whole(names)) if self.pattern else matches


def _listed(job: Job, where: Location, names: _Names, tables: TablesAround) -> Iterator[Candidate]:
    """Yield the objects at a location that the job selects by name, and note lake tables there."""
    import pyarrow.compute as pc

    from s3conn_magic.listing import Listing
    from s3conn_magic.listing.table import python_columns

    with Listing(job.connection.target(where.bucket), where.key) as listing:
        for page in listing.pages(keep=False):
            tables.see(page.objects.column("key"))
            mask = names.mask(pc.utf8_slice_codeunits(page.objects.column("key"), names.start))
            columns = python_columns(page.objects.filter(mask))
            for key, size, etag, changed in zip(
                *(columns[name] for name in ("key", "size", "etag", "last_modified")), strict=True
            ):
                if size or not key.endswith("/"):
                    yield Candidate(Location(where.bucket, key), size or 0, etag or "", changed)


def _shown(listed: Sequence[Candidate], names: _Names) -> Selection:
    keys = [candidate.location.key for candidate in listed]
    hidden = private_keys(keys, names.start, lambda texts: names.mask(strings(texts)).to_pylist(), names.pattern or "")
    sides = [[each for each, out in zip(listed, hidden, strict=True) if out == wanted] for wanted in (False, True)]
    return Selection.of(*sides)


def _in_time(job: Job, candidate: Candidate, below: str) -> bool:
    """Return whether an object falls between START_FROM and END_AT, by the date in its key or its last change.

    A dated key covers the unit of its pattern, an hour or a day; one that overlaps START_FROM is loaded.
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
    """Return the time of START_FROM or END_AT; NOW is the creation of the job."""
    value: Moment | None = job.option(name)
    if isinstance(value, datetime):
        return value
    return job.created_at if value == "NOW" else None


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """An object and how to read it.

    Attributes:
        connection: name of its connection.
        candidate: the object.
        path: in the engine's filesystem, with wildcards escaped.
        detected: format, from its first bytes and the job's options.
    """

    connection: str
    candidate: Candidate
    path: str
    detected: Detected

    @property
    def text_path(self) -> str:
        """Return the path of its plain text."""
        return self.path.replace("s3://", UNPACKED, 1) if self.detected.as_plain() else self.path


def source_of(job: Job, candidate: Candidate, head: bytes) -> ObjectSource:
    """Return how to read an object with these first bytes.

    Raises:
        QueryError: its format or compression is unknown or cannot be read.
    """
    whole = len(head) >= candidate.size
    content, compression = job.option("CONTENT_TYPE"), job.option("COMPRESSION", "AUTO")
    detected = detect(candidate.location.key, head, content, compression, whole=whole)
    where = candidate.location
    path = f"s3://{job.connection.name}@{where.bucket}/{escaped(where.key)}"
    return ObjectSource(job.connection.name, candidate, path, detected)


def text_rows(source: ObjectSource, scope: QueryScope) -> TextRows | None:
    """Return the records of a CSV or JSON object as text; None for other formats."""
    detected, where = source.detected, source.candidate.location
    if detected.format.reader not in {"read_csv", "read_json"}:
        return None
    _check_header(detected)
    if how := detected.as_plain():
        scope.unpacked[source.connection, where] = how
    return text_rows_of(source.text_path, detected)


_PATH = re.compile(r"(?<=read_csv\()'(?:[^']|'')*'|(?<=read_json_objects\()'(?:[^']|'')*'")


def together(rows: Iterable[TextRows]) -> list[tuple[TextRows, list[TextRows]]]:
    """Merge records of objects that are read alike, since a query for each costs more; return them with their parts."""
    groups: dict[TextRows, list[TextRows]] = {}
    for each in rows:
        groups.setdefault(replace(each, source=_PATH.sub("?", each.source, count=1)), []).append(each)
    merged = []
    for group in groups.values():
        paths = [path[0] for each in group if (path := _PATH.search(each.source))]
        before, after = _PATH.split(group[0].source, maxsplit=1)
        merged.append((replace(group[0], source=f"{before}[{', '.join(paths)}]{after}"), group))
    return merged


def _check_header(detected: Detected) -> None:
    """Check the header for duplicate names and too many columns, unless the options allow them."""
    most, names = detected.settings.get("MAX_COLUMNS"), [name.casefold() for name in detected.names]
    if most is not None and len(names) > most:
        message = f"there are {len(names):,} columns, and MAX_COLUMNS is {most:,}"
        raise QueryError(message, hint=f"Set MAX_COLUMNS = {len(names)}, or leave it out.")
    if detected.settings.get("ALLOW_DUPLICATE_HEADERS") is False and len(set(names)) < len(names):
        raise QueryError("a name of a column appears twice in the header", hint="ALLOW_DUPLICATE_HEADERS = TRUE")
