"""The connections that there are, as the binder sees them, and the errors about their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from s3conn_magic.errors import (
    ConnectionExistsError,
    ConnectionInUseError,
    ConnectionNotFoundError,
    JobExistsError,
    JobNotFoundError,
)
from s3conn_magic.language.words import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from s3conn_magic.language import plans
    from s3conn_magic.language.options import BoundOptions

# So many names are named in a message, and looked through for one that may be meant.
_LISTED, _COMPARED = 20, 500
SHOWN_NAME = re.compile(r"[\w .-]{1,63}")
"""A name that may be shown; what is written otherwise may be anything."""


class Known(NamedTuple):
    """A connection as the binder sees it."""

    name: str
    options: BoundOptions
    usages: tuple[plans.Usage, ...] = ()


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


def there_are(names: Sequence[str]) -> str:
    """Return the connections that there are, as a sentence; of many their number."""
    if len(names) > _LISTED:
        return f"There are {len(names)}; SHOW CONNECTIONS; lists them."
    return f"There are {listed(names, 'and')}." if len(names) > 1 else f"There is {names[0]}." if names else ""


def not_found(name: str, names: Sequence[str]) -> ConnectionNotFoundError:
    """Return the error for a name that no connection has."""
    near = nearest(name, names[:_COMPARED])
    hint = f"Did you mean {near}?" if near else there_are(names) or "CREATE S3 CONNECTION name; makes one."
    shown = f" {name}" if SHOWN_NAME.fullmatch(name) else " of that name"
    return ConnectionNotFoundError(f"there is no connection{shown}", hint=hint)


def several_or_none(names: Sequence[str]) -> ConnectionNotFoundError:
    """Return the error where a path names no connection, and it is not clear which is meant."""
    if not names:
        hint = "CREATE S3 CONNECTION name; makes one, START SANDBOX; one to try things with."
        return ConnectionNotFoundError("there is no connection yet", hint=hint)
    hint = f"Write 's3://name@bucket/key', or USE CONNECTION name first. There are {listed(names, 'and')}."
    return ConnectionNotFoundError("several connections could be meant", hint=hint)


def exists(name: str) -> ConnectionExistsError:
    """Return the error for making a connection whose name is taken."""
    hint = "CREATE OR REPLACE S3 CONNECTION replaces it; CREATE S3 CONNECTION IF NOT EXISTS keeps it."
    return ConnectionExistsError(f"the connection {name} exists already", hint=hint)


def changed(name: str) -> ConnectionExistsError:
    """Return the error for a change of what another thread has changed meanwhile."""
    hint = "Nothing was altered by this statement. Run it again, if it is still wanted."
    return ConnectionExistsError(f"the connection {name} was altered by another statement meanwhile", hint=hint)


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
    hint = f"Did you mean {near}?" if near else there_are(names) or "CREATE JOB name … makes one."
    return JobNotFoundError(f"there is no job{shown}", hint=hint)


def job_exists(name: str) -> JobExistsError:
    """Return the error for making a job whose name is taken."""
    hint = f"RUN JOB {name}; runs it again, DROP JOB {name}; forgets it, CREATE JOB IF NOT EXISTS keeps it."
    return JobExistsError(f"the job {name} exists already", hint=hint)


def release(known: dict[str, Known], kind: str, name: str) -> None:
    """Have no connection depend on a table or job that is dropped."""
    for key, connection in known.items():
        usages = tuple(
            usage for usage in connection.usages if (usage.kind, usage.name.casefold()) != (kind, name.casefold())
        )
        known[key] = connection._replace(usages=usages)
