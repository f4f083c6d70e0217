"""EXPLORE: a connection as the explorer sees it, which is one function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.connections.probe import bucket_page
from s3conn_magic.listing import fetch_page
from s3conn_magic.locations import Location
from s3conn_magic.views.explorer.model import Children, Entry
from s3conn_magic.views.explorer.widget import Explorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.listing import Page


def open_explorer(connection: Connection, location: Location | None) -> Explorer:
    """An explorer whose first page is listed now, so that what is wrong with it is this statement's error."""
    children = ConnectionChildren(connection)
    first = children(location, None, cancelled=lambda: False)
    return Explorer(children, title=connection.name, location=location, first=first)


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
