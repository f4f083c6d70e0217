"""EXPLORE: connections as the explorer sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from s3conn_magic.connections.probe import bucket_page
from s3conn_magic.listing import fetch_page
from s3conn_magic.locations import Location
from s3conn_magic.views.explorer.model import Children, Entry, Through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.connections.registry import Registry
    from s3conn_magic.listing import Page

ALL = "All connections"


def open_explorer(connections: Registry, name: str, location: Location | None, *, ui: str = "auto") -> Any:
    """An explorer whose first page is listed now, so that what is wrong with it is this statement's error.

    Args:
        connections: those of the session. Each request goes by the one that has the name then, so that an explorer
            goes on when its connection was dropped and made again.
        name: of the connection to list through.
        location: where the tree begins; None for the display filters or buckets.
        ui: `auto` for the widget, `basic` for plain ipywidgets.
    """
    from s3conn_magic.views.access import ConnectionObjects

    title = connections.get(name).name
    children = NamedChildren(connections, title)
    first = children(location, None, cancelled=lambda: False)
    objects = ConnectionObjects(lambda _: connections.get(title))
    return _kind(ui)(children, title=title, location=location, first=first, objects=objects)


def open_all(connections: Registry, *, ui: str = "auto") -> Any:
    """An explorer whose roots are the session's connections, as they are at each request."""
    from s3conn_magic.views.access import ConnectionObjects

    children = AllChildren(connections)
    first = children(None, None, cancelled=lambda: False)
    objects = ConnectionObjects(lambda location: connections.get(_through(location)))
    return _kind(ui)(children, title=ALL, first=first, objects=objects)


def _kind(ui: str) -> Any:
    if ui == "basic":
        from s3conn_magic.views.explorer.basic import BasicExplorer

        return BasicExplorer
    from s3conn_magic.views.explorer.widget import Explorer

    return Explorer


def _through(location: Location | None) -> str:
    return location.connection if isinstance(location, Through) else ""


class ConnectionChildren:
    """Lists the children of a location through a connection, as it is at each request."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(
        self, location: Location | None, token: str | None, *, starting_with: str = "", cancelled: Callable[[], bool]
    ) -> Children:
        """One page; see `explorer.model.ChildrenOf`."""
        del cancelled  # one request is all there is to wait for
        if location is None:
            return self._roots(token, starting_with)
        page = fetch_page(
            self._connection.target(location.bucket),
            prefix=location.key + starting_with,
            delimiter="/",
            token=token,
        )
        return Children(list(_entries(location, page)), page.next_token)

    def _roots(self, token: str | None, starting_with: str) -> Children:
        filters = self._connection.settings.display_filters
        if filters:
            return Children([Entry(one, is_prefix=True) for one in filters if one.bucket.startswith(starting_with)])
        buckets, following = bucket_page(self._connection, token)
        found = [Entry(Location(one.name), is_prefix=True, last_modified=one.created_at) for one in buckets]
        return Children([one for one in found if one.location.bucket.startswith(starting_with)], following)


class NamedChildren:
    """Lists the children of a location through whatever connection has a name at each request."""

    def __init__(self, connections: Registry, name: str) -> None:
        self._connections = connections
        self._name = name

    def __call__(
        self, location: Location | None, token: str | None, *, starting_with: str = "", cancelled: Callable[[], bool]
    ) -> Children:
        """One page; see `explorer.model.ChildrenOf`."""
        children = ConnectionChildren(self._connections.get(self._name))
        return children(location, token, starting_with=starting_with, cancelled=cancelled)


class AllChildren:
    """Lists the session's connections, and the children of a location through the connection that leads to it."""

    def __init__(self, connections: Registry) -> None:
        self._connections = connections

    def __call__(
        self, location: Location | None, token: str | None, *, starting_with: str = "", cancelled: Callable[[], bool]
    ) -> Children:
        """One page; see `explorer.model.ChildrenOf`."""
        name = _through(location)
        if not name:
            names = [one.name for one in self._connections if one.name.startswith(starting_with)]
            return Children([Entry(Through("", connection=one), is_prefix=True) for one in names])
        inside = location if location and location.bucket else None
        children = NamedChildren(self._connections, name)
        page = children(inside, token, starting_with=starting_with, cancelled=cancelled)
        entries = [replace(one, location=Through(one.location.bucket, one.location.key, name)) for one in page.entries]
        return Children(entries, page.token)


def _entries(parent: Location, page: Page) -> Iterator[Entry]:
    """Folders and objects of a page in key order; the marker of the folder itself is not its child."""
    folders = (Entry(Location(parent.bucket, prefix), is_prefix=True) for prefix in page.prefixes)
    found = [*folders, *_objects(parent, page)]
    yield from sorted((one for one in found if one.location.key != parent.key), key=lambda one: one.location.key)


def _objects(parent: Location, page: Page) -> Iterator[Entry]:
    for row in page.objects.to_pylist():
        yield Entry(
            Location(parent.bucket, row["key"]),
            size=row["size"],
            last_modified=row["last_modified"],
            etag=row["etag"],
            storage_class=row["storage_class"],
        )
