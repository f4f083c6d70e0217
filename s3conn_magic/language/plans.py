"""Plans, which the binder makes of statements; and connections as the binder sees them, with their errors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from s3conn_magic.errors import (
    ConnectionExistsError,
    ConnectionInUseError,
    ConnectionNotFoundError,
    JobExistsError,
    JobNotFoundError,
)
from s3conn_magic.language.statements import Insertion, Statement
from s3conn_magic.language.words import listed, nearest
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from s3conn_magic.errors import Place
    from s3conn_magic.language.options import BoundOptions
    from s3conn_magic.language.statements import Where
    from s3conn_magic.locations import Location


@dataclass(frozen=True, slots=True)
class Usage:
    """A table or job that depends on a connection."""

    kind: Literal["table", "job"]
    name: str

    @property
    def dropped_by(self) -> str:
        """The statement that drops it."""
        return f"DROP {self.kind.upper()} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Base of the plans that are no statements; `place()` is where its statement begins."""

    place: Where = field(compare=False, repr=False)
    name: str = ""

    through = property(attrgetter("name"), doc="Name of the connection that it is about or reads through, or nothing.")


Plan = Planned | Statement
UNCHANGED = "Operation resulted in no change"
"""Result of a statement that had nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoChange(Statement):
    """A statement that has nothing to do."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Planned):
    """Create a connection, or with `or_replace` replace one, which `replaces` names as it was written.

    `where` returns the place of each option, and of each display filter by its URI.
    """

    name: str
    options: BoundOptions
    validate: bool
    or_replace: bool = False
    replaces: str = ""
    where: Callable[[], Mapping[str, Where]] = field(default=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alter(Planned):
    """Set or unset options of a connection, all or none."""

    name: str
    options: BoundOptions
    changed: tuple[str, ...]
    validate: bool
    where: Callable[[], Mapping[str, Where]] = field(default=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(Planned):
    """Rename a connection."""

    name: str
    new_name: str


JobKind = Literal["COPY", "INSERT", "INTO", "MERGE", "VIEW"]


class Predicate(NamedTuple):
    """An SQL predicate of an expectation, and whether rows that violate it are dropped."""

    name: str
    predicate: str
    drops: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateJob(Planned):
    """Create a job and run it.

    Attributes:
        name: of the job, as written.
        kind: COPY from S3, INSERT to S3, INTO a table, MERGE into a table, or VIEW.
        connection: of a COPY or INSERT.
        others: connections that its query names.
        location: where a COPY reads, or an INSERT writes.
        options: by name, without LOCATION, BUCKET and PREFIX, which make `location`.
        table: name of the table; empty for an INSERT.
        text: the query, or what follows the table of a MERGE, for DuckDB; empty for a COPY.
        body: the same as written.
        how: how columns map, for INTO.
        expectations: of a COPY.
        locate: finds the place of a character of the query.
        note: about options without effect, or empty.
        in_file: whether it is in a file of statements.
        expressions: SQL of the columns that a COPY computes.
        written: the text of each value by option, including the location's options.
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
    through = property(attrgetter("connection"), doc="Name of the connection that it is about, or nothing.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterJob(Planned):
    """Change options of a job, or add or drop expectations.

    `written` has the text of each value, `note` is about options without effect.
    """

    name: str
    added: tuple[Predicate, ...] = ()
    dropped: str = ""
    options: Mapping[str, Any]
    written: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation(Statement):
    """Translation of another system's statement, which EXPLAIN shows; has a place among the statements of its cell."""

    text: str


# Connections as the binder sees them, and the errors about their names

# Bounds of the names in a message, and of those searched for a similar one.
_LISTED, _COMPARED = 20, 500
SHOWN_NAME = re.compile(r"[\w .-]{1,63}")
"""A name that may be shown; any other may hold a secret."""


class Known(NamedTuple):
    """A connection as the binder sees it."""

    name: str
    options: BoundOptions
    usages: tuple[Usage, ...] = ()


DEFAULT_S3 = "default_s3_connection"
"""Connection of the default credentials chain, created by the first statement that needs one."""
SANDBOX = "sandbox"
SANDBOX_SOURCE = "START SANDBOX"
"""Source of the sandbox's options."""
TO_BE_STARTED = Known(SANDBOX, {})
"""Its options are known once the server runs."""


def is_sandbox(known: Known) -> bool:
    """Return whether START SANDBOX created the connection."""
    return known is TO_BE_STARTED or any(option.source == SANDBOX_SOURCE for option in known.options.values())


class Catalog(Protocol):
    """The connections when the cell begins."""

    def known(self) -> Iterable[Known]:
        """Return all connections, the oldest first."""

    @property
    def default(self) -> str | None:
        """Return the connection set by USE CONNECTION."""

    def fallback(self) -> str | None:
        """Return the connection that would be created when one is needed and none exists, or None."""

    def endpoints(self) -> Mapping[str, str | None]:
        """Return the server of each connection by name, from whatever source; None for AWS."""

    def taken(self, choice: Meant) -> str:
        """Return the name of a chosen connection; note once if it was chosen by age alone."""


def there_are(names: Sequence[str]) -> str:
    """Return a sentence with the connections, or with their number if they are many."""
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
    """Return the connection for a statement that names none.

    It is the one whose display filters hold the location, else the oldest.

    Args:
        known: the connections, the oldest first.
        location: what to reach, or None.
        hint: returns how to name one of several, for the error.

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
    filters = known.options.get("PATH_DISPLAY_FILTERS")
    return any(place.covers(location) for place in filters.value) if filters else False


class Meant(NamedTuple):
    """The connection chosen for a statement that names none, and whether only its age decided."""

    name: str
    by_age: bool


def exists(name: str) -> ConnectionExistsError:
    """Return the error for creating a connection whose name is taken."""
    hint = "CREATE OR REPLACE S3 CONNECTION replaces it; CREATE S3 CONNECTION IF NOT EXISTS keeps it."
    return ConnectionExistsError(f"the connection {name} already exists", hint=hint)


def changed(name: str) -> ConnectionExistsError:
    """Return the error for a change of what another thread has changed meanwhile."""
    hint = "Nothing was altered by this statement. Run it again if it is still needed."
    return ConnectionExistsError(f"the connection {name} was altered by another statement in the meantime", hint=hint)


def in_use(known: Known) -> ConnectionInUseError:
    """Return the error for dropping a connection with dependent tables or jobs."""
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
    """Return the error for creating a job whose name is taken."""
    hint = f"RUN JOB {name}; runs it again, DROP JOB {name}; removes it, CREATE JOB IF NOT EXISTS keeps it."
    return JobExistsError(f"the job {name} already exists", hint=hint)


def release(known: dict[str, Known], kind: str, name: str) -> None:
    """Remove a dropped table or job from the usages of all connections."""
    for key, connection in known.items():
        usages = tuple(
            usage for usage in connection.usages if (usage.kind, usage.name.casefold()) != (kind, name.casefold())
        )
        known[key] = connection._replace(usages=usages)
