"""Plans of the statements about jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from s3conn_magic.language.plans import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.errors import Place
    from s3conn_magic.language.jobs.options import Kind
    from s3conn_magic.locations import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan(Plan):
    """Base of the plans about jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateJob(JobPlan):
    """Make a job and run it.

    Attributes:
        name: of the job, as written.
        kind: COPY or INSERT.
        connection: name of the connection that it reads or writes through.
        others: names of the connections that its query names.
        location: where it reads or writes.
        options: what was given, by name; LOCATION, BUCKET and PREFIX are in `location`.
        table: name of the table, of a COPY.
        text: the query, of an INSERT.
        locate: where a character of the query is in the cell.
        note: what to say of options that have no effect here, or empty.
        in_file: whether it stands in a file of statements.
    """

    name: str
    kind: Kind
    connection: str
    others: tuple[str, ...] = ()
    location: Location
    options: Mapping[str, Any]
    table: str = ""
    text: str = field(default="", repr=False)
    locate: Callable[[int], Place] | None = field(default=None, compare=False)
    note: str = ""
    in_file: bool = False

    @property
    def expressions(self) -> tuple[str, ...]:
        """What a COPY makes columns of, in SQL."""
        return tuple(dict(self.options.get("COLUMN_TRANSFORMATIONS", ())).values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob(JobPlan):
    """Run a job."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropJob(JobPlan):
    """Forget a job."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJobs(JobPlan):
    """The jobs whose name is like the pattern."""

    like: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJobErrors(JobPlan):
    """What failed in a job."""

    name: str
