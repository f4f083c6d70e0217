"""The connections of a session, and the tables and jobs that depend on them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.options import check_server
from s3conn_magic.language.plans import DEFAULT_S3, Known, Meant, changed, exists, in_use, meant, not_found
from s3conn_magic.language.session_settings import SettingValues
from s3conn_magic.language.words import literal
from s3conn_magic.locations import pasted
from s3conn_magic.runtime.background import new_lock
from s3conn_magic.runtime.interrupts import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.language.plans import Usage
    from s3conn_magic.locations import Location, Pasted


def _in_path(names: Sequence[str], location: Location) -> str:
    rest = location.uri.removeprefix("s3://")
    return f"Write {', or '.join(literal(f's3://{name}@{rest}') for name in names)}."


class Registry:
    """Connections by name, ignoring case, in order of creation.

    All members can be used from any thread. Another thread may have created, changed or dropped a connection since a
    statement was bound, so each change checks again, in one step with the change.

    Args:
        settings: their DEFAULT_CONNECTION names the default, which need not exist yet.

    Attributes:
        offer: makes a connection from the default credentials chain, or returns None if that has no credentials.
        made_by_default: called when such a connection was added.
        chosen_by_age: called with the name of the oldest connection, when it is first chosen only for being the oldest.
    """

    def __init__(self, settings: SettingValues | None = None) -> None:
        self._connections: dict[str, Connection] = {}
        self._usages: dict[str, list[Usage]] = {}
        self._settings = SettingValues() if settings is None else settings
        self._lock = new_lock()
        self.offer: Callable[[], Connection | None] | None = None
        self.made_by_default: Callable[[], None] = lambda: None
        self.chosen_by_age: Callable[[str], None] = lambda _: None
        self._said_by_age = False
        self._offered: Connection | None = None

    @property
    def _default(self) -> str:
        name: str = self._settings["DEFAULT_CONNECTION"] or ""
        return name.casefold()

    @property
    def storage(self) -> tuple[str, str] | tuple[()]:
        """Return DEFAULT_STORAGE."""
        value: tuple[str, str] | tuple[()] = self._settings["DEFAULT_STORAGE"]
        return value

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._connections.values()))

    def __contains__(self, name: str) -> bool:
        return name.casefold() in self._connections

    def get(self, name: str) -> Connection:
        """Return the connection of that name.

        Raises:
            ConnectionNotFoundError: there is none; the message names the most similar one.
        """
        connection = self._connections.get(name.casefold())
        if connection is None and name == DEFAULT_S3 and self.fallback():
            return self._by_default()
        if connection is None:
            raise not_found(name, [each.name for each in self])
        return connection

    def fallback(self) -> str | None:
        """Return the name of the connection made if there is none, or None if it cannot be made.

        Raises:
            CredentialsError: the default credentials chain is broken.
        """
        if self._connections or self.offer is None or self._settings["DEFAULT_CONNECTION"] is False:
            return None
        self._offered = self._offered or self.offer()
        return DEFAULT_S3 if self._offered is not None else None

    def _by_default(self) -> Connection:
        """Make and return the connection from the default credentials chain."""
        offered, self._offered = self._offered, None
        if offered is None:
            return self.get(DEFAULT_S3)
        connection, _ = self.put(offered)
        self.made_by_default()
        return connection

    @whole
    def put(self, connection: Connection, *, replace: bool = True) -> tuple[Connection, bool]:
        """Add a connection; an existing one of its name takes it over, so that handles and dependents stay valid.

        Returns:
            The connection now registered, and whether it existed before.

        Raises:
            ConnectionExistsError: one of the name exists and must not be replaced.
        """
        with self._lock:
            old = self._connections.get(connection.name.casefold())
            if old is None:
                self._connections[connection.name.casefold()] = connection
                return connection, False
            if not replace:
                raise exists(old.name)
            old.become(connection)
            old.name, old.created_at = connection.name, connection.created_at
            return old, True

    @whole
    def change(self, name: str, before: object, candidate: Connection) -> Connection:
        """Replace a connection's settings, if it is still in the state from which the candidate was made.

        Raises:
            ConnectionNotFoundError: it no longer exists.
            ConnectionExistsError: it has changed since.
        """
        with self._lock:
            connection = self.get(name)
            if connection.state_token is not before:
                raise changed(connection.name)
            connection.become(candidate)
            return connection

    @whole
    def rename(self, name: str, new_name: str) -> None:
        """Rename a connection; its place, dependents and handles stay.

        Raises:
            ConnectionNotFoundError: it no longer exists.
            ConnectionExistsError: the new name is taken.
        """
        old, new = name.casefold(), new_name.casefold()
        self.get(name)  # as in `use`
        with self._lock:
            connection = self.get(name)
            if old != new and new in self._connections:
                raise exists(self._connections[new].name)
            connection.name = new_name
            self._connections = {(new if key == old else key): each for key, each in self._connections.items()}
            self._usages[new] = [*self._usages.pop(new, ()), *self._usages.pop(old, ())]
            if self._default == old:
                self._settings["DEFAULT_CONNECTION"] = new_name

    def droppable(self, name: str, *, cascade: bool) -> tuple[Usage, ...]:
        """Return what depends on a connection about to be dropped.

        Raises:
            ConnectionNotFoundError: it does not exist.
            ConnectionInUseError: something depends on it, and `cascade` is False.
        """
        connection, usages = self.get(name), self.usages(name)
        if usages and not cascade:
            raise in_use(Known(connection.name, connection.options, usages))
        return usages

    @whole
    def drop(self, name: str, *, cascade: bool = True) -> tuple[Usage, ...]:
        """Remove a connection; the caller drops its dependents, which are returned.

        Raises:
            ConnectionNotFoundError: it no longer exists.
            ConnectionInUseError: something depends on it, and `cascade` is False.
        """
        key = name.casefold()
        with self._lock:
            connection = self.get(name)
            self.droppable(name, cascade=cascade)
            del self._connections[key]
            if self._default == key:
                self._settings["DEFAULT_CONNECTION"] = ""
            dropped = tuple(self._usages.pop(key, ()))
        connection.drop()
        return dropped

    @whole
    def depend(self, name: str, usage: Usage) -> None:
        """Record that a table or job depends on a connection, which need not exist yet."""
        with self._lock:
            self._depend(name, usage)

    def _depend(self, name: str, usage: Usage) -> None:
        usages = self._usages.setdefault(name.casefold(), [])
        if usage not in usages:
            usages.append(usage)

    @whole
    def depend_only(self, names: Iterable[str], usage: Usage) -> None:
        """Record that a table or job depends on these connections and no others."""
        with self._lock:
            self._release(usage)
            for name in names:
                self._depend(name, usage)

    @whole
    def release(self, usage: Usage) -> None:
        """Forget a table or job that was dropped."""
        with self._lock:
            self._release(usage)

    def _release(self, usage: Usage) -> None:
        gone = (usage.kind, usage.name.casefold())
        for usages in self._usages.values():
            usages[:] = [each for each in usages if (each.kind, each.name.casefold()) != gone]

    def usages(self, name: str) -> tuple[Usage, ...]:
        """Return the tables and jobs that depend on a connection."""
        return tuple(self._usages.get(name.casefold(), ()))

    @property
    def default(self) -> str | None:
        """The connection set by USE CONNECTION."""
        connection = self._connections.get(self._default)
        return connection.name if connection is not None else None

    @whole
    def use(self, name: str) -> None:
        """Make a connection the default."""
        self.get(name)  # makes the default chain's connection, if that is meant
        with self._lock:
            self._settings["DEFAULT_CONNECTION"] = self.get(name).name

    def chosen(self, location: Location | None = None) -> Connection:
        """Return the connection for a path without one, or for a statement.

        Raises:
            ConnectionNotFoundError: there is none, or the display filters of several contain the location.
        """
        if (connection := self._connections.get(self._default)) is not None:
            return connection
        if self.fallback():
            return self._by_default()
        return self.get(self.taken(meant(self.known(), location, _in_path)))

    def taken(self, choice: Meant) -> str:
        """Return the name of the chosen connection; if only its age speaks for it, report that once."""
        if choice.by_age and not self._said_by_age:
            self._said_by_age = True
            self.chosen_by_age(choice.name)
        return choice.name

    def endpoints(self) -> dict[str, str | None]:
        """Return the server of each connection by name; None for AWS."""
        servers = {}
        for connection in self:
            with suppress(S3ConnError):
                servers[connection.name] = connection.configuration.endpoint.value
        return servers

    def pasted(self, text: str) -> Pasted:
        """Read a location in any form, for a statement that names no connection.

        Raises:
            NotALocationError: it is not a location, or a URL of another server than it would be read from.
        """
        servers = self.endpoints()
        place = pasted(text, filter(None, servers.values()))
        if place.server:
            connection = self.chosen(place.location)
            check_server(place, connection.name, servers.get(connection.name))
        return place

    @whole
    def known(self) -> list[Known]:
        """Return the connections for the binder."""
        with self._lock:
            return [Known(each.name, each.options, self.usages(each.name)) for each in self]


of_process: Callable[[], Registry] | None = None
"""Returns the registry of this process's session, for names given in Python; None before there is a session."""
