"""Which objects a COPY FROM takes: those at its location that its options choose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from s3conn_magic.listing import Listing
from s3conn_magic.locations import Location
from s3conn_magic.patterns import Expression

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from s3conn_magic.jobs.job import Job
    from s3conn_magic.language.job_values import Moment

_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object of the listing."""

    location: Location
    size: int
    etag: str
    last_modified: datetime


def candidates(job: Job, *, first_run: bool) -> list[Candidate]:
    """The objects to consider, in the order of their keys; folders (empty objects whose key ends with `/`) are none.

    Raises:
        S3ConnError: the location cannot be listed whole.
    """
    where = job.plan.location
    found = {one.location.key: one for one in _listed(job, where, job.option("FILE_PATTERN")) if _chosen(job, one)}
    if first_run and (job.option("INITIAL_LOAD_PREFIX") or job.option("INITIAL_LOAD_PATTERN")):
        initial = Location(where.bucket, job.option("INITIAL_LOAD_PREFIX", where.key))
        found |= {one.location.key: one for one in _listed(job, initial, job.option("INITIAL_LOAD_PATTERN"))}
    return sorted(found.values(), key=lambda one: one.location.key.encode("utf-8", "surrogatepass"))


def _listed(job: Job, where: Location, pattern: str | None) -> Iterator[Candidate]:
    """The objects at a location, of which the keys below it match as a whole."""
    with Listing(job.connection.target(where.bucket), where.key) as listing:
        for page in listing.pages(keep=False):
            columns = _matching(page.objects, len(where.key), pattern).to_pydict()
            for key, size, etag, changed in zip(
                *(columns[name] for name in ("key", "size", "etag", "last_modified")), strict=True
            ):
                if size or not key.endswith("/"):
                    yield Candidate(Location(where.bucket, key), size or 0, etag or "", changed)


def _matching(objects: pa.RecordBatch, start: int, pattern: str | None) -> pa.RecordBatch:
    if not pattern:
        return objects
    import pyarrow.compute as pc

    return objects.filter(Expression.parse(pattern).whole(pc.utf8_slice_codeunits(objects.column("key"), start)))


def _chosen(job: Job, one: Candidate) -> bool:
    below = one.location.key[len(job.plan.location.key) :]
    return below.endswith(job.option("FILE_SUFFIX", "")) and _in_time(job, one, below)


def _in_time(job: Job, one: Candidate, below: str) -> bool:
    """Whether it is of the time from START_FROM to END_AT: by the date of its key, else by when it was written.

    A key stands for as long as its date pattern is fine: an hour, a day. One that overlaps START_FROM is loaded.
    """
    start, end = (_moment(job, name) for name in ("START_FROM", "END_AT"))
    pattern = job.option("DATE_PATTERN")
    if pattern is None:
        return (start or _EARLIEST) <= one.last_modified < (end or _LATEST)
    date = pattern.found(below.removeprefix("/"))
    if date is None:
        return start is None and end is None
    return bool((start is None or date + pattern.step > start) and date < (end or _LATEST))


def _moment(job: Job, name: str) -> datetime | None:
    """The time of START_FROM or END_AT; NOW is when the job was created."""
    value: Moment | None = job.option(name)
    if isinstance(value, datetime):
        return value
    return job.created_at if value == "NOW" else None
