"""Objects of a COPY FROM S3 read by workers, in groups; they are loaded here, in the order of their keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3conn_magic.cluster import work
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from s3conn_magic.cluster.scheduler import Cluster
    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.jobs.job import Candidate, Job, Parsed

_GROUP_BYTES, _GROUP_OBJECTS = 16 * 1024 * 1024, 64
_LARGEST = 256 * 1024 * 1024
_READ_BY = ("CONTENT_TYPE", "COMPRESSION")


@dataclass(frozen=True, slots=True)
class GroupReader:
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
        """As of `RemoteReader`; groups ahead of the one that is loaded are few, so that memory is bounded."""
        if job.connection.settings.customer_key:
            name = visible(job.connection.name)
            self.note(
                f"The key of {name}'s ENCRYPTION_CUSTOMER_MANAGED_KEY is sent to no worker: objects are read here."
            )
            yield from (None for _ in ones)
            return
        groups = _groups(ones)
        options = {name: value for name in _READ_BY if (value := job.option(name)) is not None}
        capacity, sent = self.cluster.capacity(), 0
        come: dict[int, list[Parsed | S3ConnError]] = {}
        with self.cluster.tasks(lambda: self.cluster.accesses.of(job.connection, job.plan.location)) as tasks:
            for number, group in enumerate(groups):
                while sent < min(len(groups), number + 2 * capacity.tasks):
                    if _elsewhere(groups[sent]):
                        tasks.submit(sent, work.parse_objects, options, tuple(groups[sent]))
                    sent += 1
                while _elsewhere(group) and number not in come:
                    done, parsed = tasks.wait(check)
                    come[done] = parsed
                yield from come.pop(number, [None] * len(group))


def _elsewhere(group: Sequence[Candidate]) -> bool:
    """Whether a group is read by a worker: an empty object has nothing to read, a huge one is no table in memory."""
    return 0 < group[0].size <= _LARGEST


def _groups(ones: Sequence[Candidate]) -> list[list[Candidate]]:
    """Neighbours whose sizes are small together; objects that are read here stand alone."""
    groups: list[list[Candidate]] = []
    size = 0
    for each in ones:
        apart = not groups or not _elsewhere([each]) or not _elsewhere(groups[-1])
        if apart or size + each.size > _GROUP_BYTES or len(groups[-1]) >= _GROUP_OBJECTS:
            groups.append([])
            size = 0
        groups[-1].append(each)
        size += each.size
    return groups
