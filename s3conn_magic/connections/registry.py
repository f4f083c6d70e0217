"""The session's connections, and what depends on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.language.catalog import Known, not_found, several_or_none
from s3conn_magic.language.settings import SettingValues

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.language.plans import Usage


class Registry:
    """Connections by name without case, in the order of their making.

    Args:
        settings: DEFAULT_CONNECTION of these is the name of the default; it need not be there yet.
    """

    def __init__(self, settings: SettingValues | None = None) -> None:
        self._connections: dict[str, Connection] = {}
        self._usages: dict[str, list[Usage]] = {}
        self._settings = SettingValues() if settings is None else settings

    @property
    def _default(self) -> str:
        name: str = self._settings["DEFAULT_CONNECTION"]
        return name.casefold()

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._connections.values())

    def __contains__(self, name: str) -> bool:
        return name.casefold() in self._connections

    def get(self, name: str) -> Connection:
        """The connection of that name.

        Raises:
            ConnectionNotFoundError: there is none; the message names the nearest.
        """
        found = self._connections.get(name.casefold())
        if found is None:
            raise not_found(name, [one.name for one in self])
        return found

    def put(self, connection: Connection) -> Connection:
        """Keep a connection; one of the same name becomes it, so that its handles and dependents go on."""
        old = self._connections.get(connection.name.casefold())
        if old is None:
            self._connections[connection.name.casefold()] = connection
            return connection
        old.become(connection)
        old.name, old.created_at = connection.name, connection.created_at
        return old

    def rename(self, name: str, new_name: str) -> None:
        """Give a connection another name; it keeps its place, its dependents and its handles."""
        old, new = name.casefold(), new_name.casefold()
        self.get(name).name = new_name
        self._connections = {(new if key == old else key): one for key, one in self._connections.items()}
        self._usages[new] = [*self._usages.pop(new, ()), *self._usages.pop(old, ())]
        if self._default == old:
            self._settings["DEFAULT_CONNECTION"] = new_name

    def drop(self, name: str) -> tuple[Usage, ...]:
        """Forget a connection; the caller drops what depended on it, which is returned."""
        key = name.casefold()
        self.get(name).drop()
        del self._connections[key]
        if self._default == key:
            self._settings["DEFAULT_CONNECTION"] = ""
        return tuple(self._usages.pop(key, ()))

    def depend(self, name: str, usage: Usage) -> None:
        """Record that a table or job depends on a connection, which may be yet to come."""
        usages = self._usages.setdefault(name.casefold(), [])
        if usage not in usages:
            usages.append(usage)

    def release(self, usage: Usage) -> None:
        """Forget a table or job that was dropped."""
        gone = (usage.kind, usage.name.casefold())
        for usages in self._usages.values():
            usages[:] = [one for one in usages if (one.kind, one.name.casefold()) != gone]

    def usages(self, name: str) -> tuple[Usage, ...]:
        """What depends on a connection."""
        return tuple(self._usages.get(name.casefold(), ()))

    @property
    def default(self) -> str | None:
        """The connection that USE CONNECTION set."""
        return self._connections[self._default].name if self._default in self._connections else None

    def use(self, name: str) -> None:
        """Make a connection the default."""
        self._settings["DEFAULT_CONNECTION"] = self.get(name).name

    def chosen(self) -> Connection:
        """The connection that statements go through which name none.

        Raises:
            ConnectionNotFoundError: there is none, or several could be meant.
        """
        if self.default is not None:
            return self.get(self.default)
        if len(self._connections) == 1:
            return next(iter(self))
        raise several_or_none([one.name for one in self])

    def known(self) -> list[Known]:
        """The connections as the binder sees them."""
        return [Known(one.name, one.options, self.usages(one.name)) for one in self]
