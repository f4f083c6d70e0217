"""What the binder makes of statements, ready to execute; and the connections as it sees them, with their errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from s3conn_magic.errors import (
    ConnectionExistsError,
    ConnectionInUseError,
    ConnectionNotFoundError,
    JobExistsError,
    JobNotFoundError,
)
from s3conn_magic.language.words import listed, nearest
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from s3conn_magic.errors import Place
    from s3conn_magic.language.options import BoundOptions
    from s3conn_magic.language.reference import AnalyzeBy, CompareBy
    from s3conn_magic.language.source import Span
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
    """Make a connection, or replace the one of that name, which `or_replace` allows to be made until then, too.

    `where` has the place of each option that is given, and of each display filter by its URI.
    """

    name: str
    options: BoundOptions
    replace: bool
    validate: bool
    or_replace: bool = False
    where: Mapping[str, Where] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alter(Plan):
    """Give a connection these options, whole or not at all."""

    name: str
    options: BoundOptions
    changed: tuple[str, ...]
    validate: bool
    where: Mapping[str, Where] = field(default_factory=dict, compare=False, repr=False)


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
    """A tree of a connection, from a location or from its roots; `aside` wants it beside the notebook."""

    name: str
    location: Location | None
    aside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyze(Plan):
    """Objects and bytes below a location, by group; `depth` counts the folders of a group by PREFIX."""

    name: str
    location: Location
    by: AnalyzeBy
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeInventory(Plan):
    """The same by the report at `inventory`, of the whole bucket that it is about where `location` is None."""

    name: str
    inventory: Location
    location: Location | None
    by: AnalyzeBy
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Discover(Plan):
    """The datasets at a location, or by a report; without either those of the display filters or all buckets.

    `depth` counts the folders that are told apart, None for all; `looks` those into the objects of a dataset, None for
    the usual number; `exact` has all rows counted; `into_tables` wants statements in place of a frame.
    """

    name: str
    location: Location | None
    inventory: Location | None = None
    depth: int | None = None
    looks: int | None = None
    exact: bool = False
    into_tables: bool = False


class Compared(NamedTuple):
    """One side of COMPARE: a location, or the report at it, through a connection; `as_of` is of a bucket's versions."""

    name: str
    location: Location
    report: bool = False
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(Plan):
    """Two listings, key by key."""

    left: Compared
    right: Compared
    by: CompareBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Plan):
    """The beginning of an object, or of one version of it: so many rows of a table at most."""

    name: str
    location: Location
    limit: int
    version: str = ""


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
class DescribeRows(Query):
    """The columns of a query; of the objects at a location through a connection where there is one."""

    name: str = ""
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summarize(DescribeRows):
    """The same with what stands in each column, of a part of the rows where `percent` says so."""

    percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable(Plan):
    """Make a table, or replace the one of that name, which `or_replace` allows to be made until then, too.

    `in_file` is as of `Query`.

    `text` is a query or None; `location` that of files, read through the connection `connection`, or None.
    `storage` is where its own files are to lie, by connection and folder, or None, with its `options`, `partitions` as
    written and `keys`. `if_not_exists` takes the table that is there. `note` is what to say of options without effect.
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
    if_not_exists: bool = False
    storage: tuple[str, Location] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    partitions: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    note: str = ""


class Insertion(NamedTuple):
    """Which columns of a query go where.

    Attributes:
        by_name: whether they go into those of their names, and else by their places.
        columns: those that they go into, where these are named.
        without: columns that go nowhere.
        dates: whether times go into columns of dates as their dates.
        by_key: whether rows take the place of those of the same primary key.
    """

    by_name: bool = False
    columns: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    dates: bool = False
    by_key: bool = False

    @property
    def named(self) -> bool:
        """Whether what they are called, or are to be called, says where they go."""
        return self.by_name or bool(self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertInto(Query):
    """Put the rows of a query into a table."""

    name: str
    how: Insertion = Insertion()  # noqa: RUF009 - a tuple


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInto(Query):
    """Change a table by what stands behind its name in a MERGE INTO, in `text`."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterTable(Plan):
    """Change options of a table whose files are in S3."""

    name: str
    options: Mapping[str, Any]
    note: str = ""


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


JobKind = Literal["COPY", "INSERT", "INTO", "MERGE", "VIEW"]


class Predicate(NamedTuple):
    """A predicate that rows are to hold, in SQL, and whether those that do not are left out."""

    name: str
    predicate: str
    drops: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateJob(Plan):
    """Make a job and run it.

    Attributes:
        name: of the job, as written.
        kind: what it does: from S3, INSERT to S3, INTO a table, MERGE into one, or it keeps a VIEW.
        connection: name of the connection that a COPY or INSERT goes through.
        others: names of the connections that its query names.
        location: where a COPY reads, or an INSERT writes.
        options: what was given, by name; LOCATION, BUCKET and PREFIX are in `location`.
        table: name of the table; none of an INSERT.
        text: the query, or what stands behind the table of a MERGE, as DuckDB reads it; none of a COPY.
        body: the same as it was written.
        how: which of its columns go where, INTO a table.
        expectations: of a COPY.
        locate: where a character of the query is in the cell.
        note: what to say of options that have no effect here, or empty.
        in_file: whether it stands in a file of statements.
        expressions: what a COPY makes columns of, in SQL.
        written: the text of each value that was given, by the option's name, the location's options too.
    """

    name: str
    kind: JobKind
    connection: str = ""
    others: tuple[str, ...] = ()
    location: Location | None = None
    options: Mapping[str, Any]
    table: str = ""
    text: str = field(default="", repr=False)
    body: str = field(default="", compare=False, repr=False)
    how: Insertion = Insertion()  # noqa: RUF009 - a tuple
    expectations: tuple[Predicate, ...] = ()
    locate: Callable[[int], Place] | None = field(default=None, compare=False)
    note: str = ""
    in_file: bool = False
    expressions: tuple[str, ...] = ()
    written: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def merged(self) -> str:
        """The table of a MERGE; empty of what is none."""
        return self.table if self.kind == "MERGE" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterJob(Plan):
    """Give a job other values of options; `written` has the text of each, `note` is about those without effect.

    Or expectations more, or one less.
    """

    name: str
    added: tuple[Predicate, ...] = ()
    dropped: str = ""
    options: Mapping[str, Any]
    written: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Translation:
    """What a statement of another system is here, which EXPLAIN only tells; among the statements of its cell."""

    text: str
    span: Span = field(compare=False)


# The connections that there are, as the binder sees them, and the errors about their names

# So many names are named in a message, and looked through for one that may be meant.
_LISTED, _COMPARED = 20, 500
SHOWN_NAME = re.compile(r"[\w .-]{1,63}")
"""A name that may be shown; what is written otherwise may be anything."""


class Known(NamedTuple):
    """A connection as the binder sees it."""

    name: str
    options: BoundOptions
    usages: tuple[Usage, ...] = ()


DEFAULT_S3 = "default_s3_connection"
"""The connection of the default credentials chain, which the first statement that needs one makes."""
SANDBOX = "sandbox"
SANDBOX_SOURCE = "START SANDBOX"
"""Where the values of its options come from."""
TO_BE_STARTED = Known(SANDBOX, {})
"""Its options are known when the server runs."""


def is_sandbox(known: Known) -> bool:
    """Whether START SANDBOX made the connection."""
    return known is TO_BE_STARTED or any(option.source == SANDBOX_SOURCE for option in known.options.values())


class Catalog(Protocol):
    """The connections there are when the cell begins."""

    def known(self) -> Iterable[Known]:
        """Return all connections, the oldest first."""

    @property
    def default(self) -> str | None:
        """The one that USE CONNECTION set."""

    def fallback(self) -> str | None:
        """Return the connection that is made when one is needed and there is none, or None where it cannot be."""

    def endpoints(self) -> Mapping[str, str | None]:
        """Return the server of each connection by its name, whatever says so; None for AWS."""

    def taken(self, choice: Meant) -> str:
        """Return the name of a connection that is meant; where nothing but its age speaks for it, that is said once."""


def there_are(names: Sequence[str]) -> str:
    """Return the connections that there are, as a sentence; of many their number."""
    if len(names) > _LISTED:
        return f"There are {len(names)}; SHOW CONNECTIONS; lists them."
    return f"There are {listed(names, 'and')}." if len(names) > 1 else f"There is {names[0]}." if names else ""


def not_found(name: str, names: Sequence[str]) -> ConnectionNotFoundError:
    """Return the error for a name that no connection has."""
    near = nearest(name, names[:_COMPARED])
    hint = f"Did you mean {near}?" if near else there_are(names) or "CREATE S3 CONNECTION name; creates one."
    shown = f" {name}" if SHOWN_NAME.fullmatch(name) else " of that name"
    return ConnectionNotFoundError(f"there is no connection{shown}", hint=hint)


def none_yet() -> ConnectionNotFoundError:
    """Return the error where there is no connection."""
    hint = "CREATE S3 CONNECTION name; creates one, START SANDBOX; creates one to try things with."
    return ConnectionNotFoundError("there is no connection yet", hint=hint)


def meant(known: Iterable[Known], location: Location | None, hint: Callable[[Sequence[str], Location], str]) -> Meant:
    """Return the connection that is meant where none is named.

    It is the one whose display filters hold the location, or else the one that was made first.

    Args:
        known: the connections that there are, the oldest first.
        location: what is to be reached; None for no place of its own.
        hint: how one of several is named there, for the error.

    Raises:
        ConnectionNotFoundError: there is none, or the filters of several hold the location.
    """
    everything = list(known)
    if not everything:
        raise none_yet()
    holding = [each.name for each in everything if location is not None and _holds(each, location)]
    if len(holding) > 1 and location is not None:
        message = f"the display filters of {listed(holding, 'and')} hold {visible(location.uri)}"
        raise ConnectionNotFoundError(message, hint=hint(holding, location))
    if holding:
        return Meant(holding[0], by_age=False)
    return Meant(everything[0].name, by_age=len(everything) > 1)


def _holds(known: Known, location: Location) -> bool:
    """Whether one of a connection's display filters holds a location."""
    filters = known.options.get("PATH_DISPLAY_FILTERS")
    return any(place.covers(location) for place in filters.value) if filters else False


class Meant(NamedTuple):
    """A connection that nobody named, and whether it is meant only because it is the oldest of several."""

    name: str
    by_age: bool


def exists(name: str) -> ConnectionExistsError:
    """Return the error for making a connection whose name is taken."""
    hint = "CREATE OR REPLACE S3 CONNECTION replaces it; CREATE S3 CONNECTION IF NOT EXISTS keeps it."
    return ConnectionExistsError(f"the connection {name} already exists", hint=hint)


def changed(name: str) -> ConnectionExistsError:
    """Return the error for a change of what another thread has changed meanwhile."""
    hint = "Nothing was altered by this statement. Run it again if it is still needed."
    return ConnectionExistsError(f"the connection {name} was altered by another statement in the meantime", hint=hint)


def in_use(known: Known) -> ConnectionInUseError:
    """Return the error for dropping what tables or jobs depend on."""
    names = " ".join(usage.name for usage in known.usages)
    return ConnectionInUseError(
        f"Cannot delete connection due to usages: {names}",
        usages=tuple(usage.name for usage in known.usages),
        notes=tuple(f"{usage.kind} {usage.name}: {usage.dropped_by};" for usage in known.usages),
        hint=f"Drop them first, or DROP CONNECTION {known.name} CASCADE;",
    )


def job_not_found(name: str, names: Sequence[str]) -> JobNotFoundError:
    """Return the error for a name that no job has."""
    near = nearest(name, names[:_COMPARED])
    shown = f" {name}" if SHOWN_NAME.fullmatch(name) else " of that name"
    hint = f"Did you mean {near}?" if near else there_are(names) or "CREATE JOB name … creates one."
    return JobNotFoundError(f"there is no job{shown}", hint=hint)


def job_exists(name: str) -> JobExistsError:
    """Return the error for making a job whose name is taken."""
    hint = f"RUN JOB {name}; runs it again, DROP JOB {name}; removes it, CREATE JOB IF NOT EXISTS keeps it."
    return JobExistsError(f"the job {name} already exists", hint=hint)


def release(known: dict[str, Known], kind: str, name: str) -> None:
    """Have no connection depend on a table or job that is dropped."""
    for key, connection in known.items():
        usages = tuple(
            usage for usage in connection.usages if (usage.kind, usage.name.casefold()) != (kind, name.casefold())
        )
        known[key] = connection._replace(usages=usages)
