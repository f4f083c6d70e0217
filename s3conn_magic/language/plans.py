"""What the binder makes of statements: names found, values read, conflicts settled. Ready to execute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from s3conn_magic.errors import Place
    from s3conn_magic.language.job_options import Kind
    from s3conn_magic.language.options import BoundOptions
    from s3conn_magic.language.reference import AnalyzeBy
    from s3conn_magic.language.statements import Statement
    from s3conn_magic.locations import Location


Where = Callable[[], "Place"]
"""Finds a place when it is asked for."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Something that depends on a connection: a table or a job."""

    kind: Literal["table", "job"]
    name: str

    @property
    def dropped_by(self) -> str:
        """The statement that drops it."""
        return f"DROP {self.kind.upper()} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Base of the plans; `place()` is where its statement begins."""

    place: Where = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsWritten(Plan):
    """A statement that is executed as it is: at most its name was looked up, and is spelt as that of what was found."""

    statement: Statement


UNCHANGED = "Operation resulted in no change"
"""What a statement says that found nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoChange(Plan):
    """A statement that finds nothing to do."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Plan):
    """Make a connection, or replace the one of that name, which `or_replace` allows to be made until then, too."""

    name: str
    options: BoundOptions
    replace: bool
    validate: bool
    or_replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alter(Plan):
    """Give a connection these options, whole or not at all."""

    name: str
    options: BoundOptions
    changed: tuple[str, ...]
    validate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(Plan):
    """Give a connection another name."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Plan):
    """Forget a connection; with `cascade`, what depends on it too."""

    name: str
    cascade: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Test(Plan):
    """Try what a connection may do."""

    name: str
    location: Location | None
    with_write: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowBuckets(Plan):
    """The buckets of a connection whose name is like the pattern."""

    name: str
    like: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListObjects(Plan):
    """Objects below a location; without one, below the display filters or of all buckets.

    `limit` None stands for the session's.
    """

    name: str
    location: Location | None
    recursive: bool
    versions: bool
    matching: str | None
    matching_place: Where | None = field(compare=False, repr=False)
    limit: int | Literal["ALL"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListInventory(Plan):
    """Objects by the report whose manifest is at a location; `limit` None stands for the session's."""

    name: str
    location: Location
    matching: str | None
    matching_place: Where | None = field(compare=False, repr=False)
    limit: int | Literal["ALL"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explore(Plan):
    """A tree of a connection, from a location or from its roots."""

    name: str
    location: Location | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyze(Plan):
    """Objects and bytes below a location, by group; `depth` counts the folders of a group by PREFIX."""

    name: str
    location: Location
    by: AnalyzeBy
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Plan):
    """The beginning of an object: so many rows of a table at most."""

    name: str
    location: Location
    limit: int


Locate = Callable[[int], "Place"]
"""Finds the place of a character of a query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Plan):
    """The rows of a query; `in_file` is whether it stands in a file of statements."""

    text: str = field(repr=False)
    in_file: bool = False
    locate: Locate = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainQuery(Query):
    """What a query reads, by running it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable(Plan):
    """Make a table, or replace the one of that name, which `or_replace` allows to be made until then, too.

    `in_file` is as of `Query`.

    `text` is a query or None; `location` that of files, read through the connection `connection`, or None.
    """

    name: str
    replace: bool
    columns: str | None = None
    text: str | None = field(default=None, repr=False)
    in_file: bool = False
    locate: Locate | None = field(default=None, compare=False, repr=False)
    location: Location | None = None
    connection: str | None = None
    or_replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSetting(Plan):
    """Give a setting of the session a value that has been read."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain(Plan):
    """What a plan would request."""

    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveConnections(Plan):
    """Write the session's connections to a file; with `replace` in place of one that is there."""

    path: str
    replace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateJob(Plan):
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
        expressions: what a COPY makes columns of, in SQL.
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
    expressions: tuple[str, ...] = ()
