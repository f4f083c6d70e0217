"""Connect the explorer to connections: list folders, and read, write and delete objects."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.connections.probe import bucket_page
from s3conn_magic.errors import ConnectionNotFoundError, ObjectNotFoundError, S3ConnError, StatementInterrupted
from s3conn_magic.explorer import Children, EntryColumns, Through, TreeEntry, connection_name
from s3conn_magic.explorer.details import ROWS_AT_FIRST, CodeSubject, cells, snippets, usual_ending
from s3conn_magic.explorer.tree import NO_SIZE, NO_TIME
from s3conn_magic.lakes import OWN_FOLDER, at
from s3conn_magic.language.options import check_server
from s3conn_magic.language.words import sentence
from s3conn_magic.listing import CONNECTIONS, Listing, fetch_page, fetch_pages
from s3conn_magic.listing.analysis import MOST_GROUPS
from s3conn_magic.listing.request import PageQuery
from s3conn_magic.locations import Location, pasted, through, visible
from s3conn_magic.objects import uploads
from s3conn_magic.objects.deleting import (
    Chosen,
    Deleted,
    SeenObjects,
    copy_version,
    delete_as_seen,
    objects_below,
    thaw,
    thaws,
    undelete,
    versioning,
)
from s3conn_magic.objects.deleting import find as objects_of
from s3conn_magic.objects.description import Description, bucket_properties, describe, describe_deleted, head
from s3conn_magic.objects.files import Download
from s3conn_magic.objects.requests import Link, presign
from s3conn_magic.preview.preview import Preview, preview
from s3conn_magic.runtime.patterns import Glob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    import pandas as pd

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.connections.registry import Registry
    from s3conn_magic.explorer import Snippet
    from s3conn_magic.listing.request import Progress
    from s3conn_magic.listing.table import Page
    from s3conn_magic.objects.deleting import Thaw
    from s3conn_magic.transport import Target

_DEPTHS = 30
"""Limit of nested folders that are each the only child; each costs a request."""


class ConnectionObjects:
    """Access to objects through the connection of each location; see `explorer.ObjectAccess`.

    Args:
        connection_of: returns the connection of a location.
    """

    def __init__(self, connection_of: Callable[[Location | None], Connection]) -> None:
        self._of = connection_of

    def refuses_writes(self, location: Location | None) -> str:
        """Return a reason if the connection is READ_ONLY."""
        if location is None or not location.bucket:
            return "Open a bucket first"
        try:
            connection = self._of(location)
        except ConnectionNotFoundError as error:
            return sentence(error.message)
        return f"The connection {connection.name} is READ_ONLY" if connection.settings.read_only else ""

    def arn(self, location: Location) -> str:
        """Return the ARN, in the partition of the connection's region."""
        try:
            return self._of(location).arn(location)
        except S3ConnError:
            return location.arn

    def snippets(
        self, location: Location, version_id: str | None, *, is_prefix: bool, ending: str = ""
    ) -> Sequence[Snippet]:
        """Return code that reads it."""
        try:
            connection = self._of(location)
            what = CodeSubject(connection.name, location, version_id, ending if is_prefix else None)
            return snippets(what, read_only=connection.settings.read_only)
        except ConnectionNotFoundError:
            return []

    def cells(self, location: Location, *, is_prefix: bool) -> Mapping[str, str]:
        """Return cells with statements about it."""
        try:
            return cells(CodeSubject(self._of(location).name, location, ending="" if is_prefix else None))
        except ConnectionNotFoundError:
            return {}

    def describe(self, location: Location, version_id: str | None) -> Description:
        """Send HeadObject, and requests for tags and versions."""
        return describe(self._of(location), location, version_id=version_id)

    def describe_deleted(self, location: Location, version_id: str | None) -> Description:
        """Send ListObjectVersions."""
        del version_id
        return describe_deleted(self._of(location), location)

    def preview(
        self, location: Location, description: Description, version_id: str | None, rows: int = ROWS_AT_FIRST
    ) -> Preview:
        """Return the beginning of an object's content."""
        return preview(self._of(location), location, rows=rows, version_id=version_id, description=description)

    def ending(self, location: Location, cancelled: Callable[[], bool]) -> str:
        """Return the usual ending of names on the first page of all objects below."""
        target = self._of(location).target(location.bucket)
        page = fetch_page(target, prefix=location.key, delimiter="", every=ending(cancelled))
        return usual_ending(page.objects["key"].to_pylist())

    def bucket(self, location: Location) -> Mapping[str, str]:
        """Return the properties of a bucket, from six requests."""
        return bucket_properties(self._of(location), location.bucket)

    def thaws(self, description: Description) -> Sequence[Thaw]:
        """Return the restore options with list prices."""
        return thaws(description)

    def restore(
        self,
        location: Location,
        version_id: str | None,
        copied: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Send CopyObject, or a multipart copy; for a deleted object, DeleteObject of its markers."""
        if version_id is None:
            undelete(self._of(location), location)
        else:
            copy_version(self._of(location), location, version_id, copied=copied, cancelled=cancelled)

    def thaw(self, location: Location, description: Description, tier: str) -> None:
        """Send RestoreObject."""
        thaw(self._of(location), location, description, tier)

    def presign(self, location: Location, seconds: int, version_id: str | None) -> Link:
        """Return a presigned URL."""
        return presign(self._of(location), location, seconds, version_id=version_id)

    def download(self, location: Location, version_id: str | None, etag: str | None) -> Download:
        """Send GetObject, and return its stream."""
        return Download(self._of(location), location, version_id=version_id, etag=etag)

    def look(self, location: Location) -> Description | None:
        """Send HeadObject; return None for a missing object."""
        try:
            return head(self._of(location), location)
        except ObjectNotFoundError:
            return None

    def upload(
        self, location: Location, size: int, content_type: str, *, overwrite: bool, replaces: str | None
    ) -> uploads.Upload:
        """Begin a PutObject or multipart upload."""
        return uploads.Upload(
            self._of(location), location, size, content_type=content_type, overwrite=overwrite, replaces=replaces
        )

    def find(self, chosen: Sequence[Chosen], most: int, cancelled: Callable[[], bool]) -> SeenObjects:
        """List the prefixes recursively; all must be of one connection."""
        return objects_of(self._common_connection(chosen), chosen, most=most, cancelled=cancelled)

    def below(self, chosen: Sequence[Chosen], most: int, cancelled: Callable[[], bool]) -> SeenObjects:
        """Do the same, but not for a deletion."""
        return objects_below(self._common_connection(chosen), chosen, most=most, cancelled=cancelled)

    def _common_connection(self, chosen: Sequence[Chosen]) -> Connection:
        connections = {id(connection): connection for connection in (self._of(each.location) for each in chosen)}
        if len(connections) != 1:
            raise S3ConnError("these are in several connections", hint="Choose the objects of one.")
        return next(iter(connections.values()))

    def delete(self, objects: SeenObjects, near: Location, cancelled: Callable[[], bool]) -> Iterator[Deleted]:
        """Send DeleteObjects, bucket by bucket, for objects that are unchanged."""
        for bucket, seen in objects.keys.items():
            yield from delete_as_seen(self._of(near), bucket, seen, cancelled=cancelled)

    def versioning(self, location: Location) -> str | None:
        """Send GetBucketVersioning."""
        return versioning(self._of(location), location.bucket)

    def frame(self, location: Location | None, *, recursive: bool) -> pd.DataFrame:
        """Return the frame of LIST, without a limit."""
        from s3conn_magic.results.listings import ListOptions, list_frame

        connection = self._of(location)
        folder = Location(location.bucket, location.key) if location and location.bucket else None
        return list_frame(connection, folder, ListOptions(None, CONNECTIONS, recursive=recursive))[0]

    def analyze(
        self, location: Location, report: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> Mapping[str, object]:
        """Return objects and bytes by folder and object, starting where there is more than one."""
        from s3conn_magic.results.charts import chart_data
        from s3conn_magic.results.listings import Analysis, analysis_frame

        tell = _progress_callback(report, cancelled)
        connection = self._of(location)
        target = connection.target(location.bucket)
        place = _only_folder_below(target, location.key, ending(cancelled))
        at_place = Location(location.bucket, place)
        frame = analysis_frame(target, Analysis(at_place, "PREFIX"), connections=CONNECTIONS, report=tell, named=True)
        if len(frame) == MOST_GROUPS:
            frame.loc[len(frame) - 1, "group"] = ""  # all others, which have no common name
        below = place[len(location.key) :]
        data = chart_data(frame, by="PREFIX", title=visible(at_place.uri))
        labels = {"label": "folder or object", "below": below, "shown_below": visible(below)}
        return {"data": {**data, **labels}, "sizes": _sizes(frame, location, place)}

    def discover(
        self, location: Location, report: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> Mapping[str, object]:
        """Return what DISCOVER finds below a location."""
        from s3conn_magic.results.cards import dataset_lines
        from s3conn_magic.results.listings import ListOptions, datasets_of

        connection = self._of(location)
        folder = Location(location.bucket, location.key)

        def named(place: Location) -> str:
            return through(place.uri, connection.name)

        options = ListOptions(None, CONNECTIONS, _progress_callback(report, cancelled))
        discovery, note = datasets_of(connection, folder, options, named)
        return {"found": [dataset_lines(each) for each in discovery.datasets], "notes": [note] if note else []}


def _progress_callback(report: Callable[[int, int], None], cancelled: Callable[[], bool]) -> Callable[[Progress], None]:
    """Return a progress callback that reports, and raises StatementInterrupted once cancelled."""

    def tell(progress: Progress) -> None:
        if cancelled():
            raise StatementInterrupted("it was stopped")
        report(progress.keys, progress.bytes)

    return tell


def ending(cancelled: Callable[[], bool]) -> Callable[[], None]:
    """Return a function that raises StatementInterrupted once cancelled, and so ends a wait and its requests."""

    def look() -> None:
        if cancelled():
            raise StatementInterrupted("nobody waits for it")

    return look


def _only_folder_below(target: Target, key: str, every: Callable[[], None]) -> str:
    """Follow a prefix down while it has a single folder and nothing else; return the last one."""
    for _ in range(_DEPTHS):
        page = fetch_page(target, prefix=key, delimiter="/", every=every)
        if len(page.prefixes) != 1 or page.next_token or any(each != key for each in page.objects["key"].to_pylist()):
            break
        key = page.prefixes[0]
    return key


def _sizes(frame: pd.DataFrame, location: Location, place: str) -> dict[str, int]:
    total = int(frame["bytes"].sum())
    ends = [at for at, letter in enumerate(place, 1) if letter == "/" and at >= len(location.key)]
    whole = {replace(location, key=place[:end]).uri: total for end in {len(location.key), *ends}}
    at = replace(location, key=place).uri
    return whole | {
        f"{at}{name}": size for name, size in zip(frame["group"], frame["bytes"], strict=True) if name[-1:] == "/"
    }


ALL = "All connections"


def open_explorer(
    connections: Registry, name: str, location: Location | None, *, ui: str = "auto", aside: bool = False
) -> Any:
    """Return an explorer. Its first page is listed here, so that a failure is an error of the statement.

    Args:
        connections: of the session. Each request looks up the connection by name, so the explorer survives when its
            connection is dropped and created again.
        name: of the connection.
        location: the root; None for the display filters or buckets.
        ui: `auto` for the widget, `basic` for plain ipywidgets.
        aside: whether to show it beside the notebook.
    """
    title = connections.get(name).name
    children = ConnectionChildren(partial(connections.get, title))
    first = children(location, None, cancelled=lambda: False)
    objects = ConnectionObjects(lambda _: connections.get(title))
    explorer = _kind(ui)(children, title=title, location=location, first=first, objects=objects)
    return explorer.show_aside(location.uri if location else title) if aside else explorer


def open_all(connections: Registry, *, ui: str = "auto", aside: bool = False) -> Any:
    """Return an explorer whose roots are the session's connections, looked up at each request."""
    children = AllChildren(connections)
    first = children(None, None, cancelled=lambda: False)
    objects = ConnectionObjects(lambda location: connections.get(connection_name(location)))
    explorer = _kind(ui)(children, title=ALL, first=first, objects=objects)
    return explorer.show_aside(ALL) if aside else explorer


def _kind(ui: str) -> Any:
    if ui == "basic":
        from s3conn_magic.explorer.basic import BasicExplorer

        return BasicExplorer
    from s3conn_magic.explorer.widget import Explorer

    return Explorer


class ConnectionChildren:
    """Lists the children of a location.

    Args:
        connection: returns the connection to use; called for each request.
    """

    def __init__(self, connection: Callable[[], Connection]) -> None:
        self._connection = connection

    def pasted(self, text: str, near: Location | None) -> Location:
        """Parse a location in any of its forms.

        Raises:
            NotALocationError: it is not one, or is a URL of another server.
        """
        del near
        connection = self._connection()
        endpoint = connection.shown_configuration.endpoint.value
        place = pasted(text, [endpoint] if endpoint else [])
        check_server(place, connection.name, endpoint)
        return place.location

    def __call__(
        self,
        location: Location | None,
        token: str | None,
        *,
        starting_with: str = "",
        cancelled: Callable[[], bool],
        deleted: bool = False,
    ) -> Children:
        """Return one page; see `explorer.ChildrenOf`."""
        connection = self._connection()
        if location is None:
            return _roots(connection, token, starting_with)
        if deleted:
            return _with_deleted(connection, location, token, starting_with, cancelled)
        page = fetch_page(
            connection.target(location.bucket),
            prefix=location.key + starting_with,
            delimiter="/",
            token=token,
            every=ending(cancelled),
        )
        whole = token is None and not starting_with
        return Children(
            list(_entries(location, page)), page.next_token, _badge(connection, location, page, whole=whole)
        )

    def everything(
        self, location: Location, *, starting_with: str = "", matching: str = "", cancelled: Callable[[], bool]
    ) -> Iterator[Children]:
        """Yield all pages or all matches; see `explorer.Everything`."""
        glob = Glob.compile(matching) if matching else None
        listing = Listing(
            self._connection().target(location.bucket),
            location.key + starting_with,
            delimiter=None if glob else "/",
            matching=glob,
        )
        # Matches are shown as they arrive, so the listing cannot start again.
        for page in listing.pages(keep=not glob, every=ending(cancelled), again=not glob):
            columns = _columns(location, page.objects, page.prefixes) if glob else None
            yield Children([], seen=listing.progress.keys, columns=columns if columns and columns.keys else None)
        if not glob:
            rows = listing.table()
            yield Children([], seen=len(rows), columns=_columns(location, rows))


def _with_deleted(
    connection: Connection, location: Location, token: str | None, starting_with: str, cancelled: Callable[[], bool]
) -> Children:
    """Return one page of a version listing, with the newest version of each object, deleted or not."""
    query = PageQuery(location.key + starting_with, "/", token, versions=True)
    (page,) = fetch_pages(connection.target(location.bucket), [query], every=ending(cancelled))
    if isinstance(page, S3ConnError):
        raise page
    newest = replace(page, objects=page.objects.filter(page.objects["is_latest"]))
    return Children(list(_entries(location, newest)), page.next_token)


def _columns(parent: Location, objects: pa.RecordBatch | pa.Table, prefixes: Sequence[str] = ()) -> EntryColumns:
    """Return folders and objects in columns, without the folder's own marker.

    Args:
        parent: the folder.
        objects: of a page, or all rows of a listing, with folders marked in `is_prefix`.
        prefixes: folders of a page.
    """
    rows = objects.filter(pc.not_equal(objects["key"], parent.key)) if parent.key.endswith("/") else objects
    count = len(prefixes)
    times = pc.fill_null(rows["last_modified"].cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()), NO_TIME)
    folders = rows["is_prefix"].to_numpy(zero_copy_only=False) if "is_prefix" in rows.schema.names else len(rows)
    return EntryColumns(
        [*prefixes, *rows["key"].to_pylist()],
        np.concatenate([np.full(count, NO_SIZE), pc.fill_null(rows["size"], NO_SIZE).to_numpy(zero_copy_only=False)]),
        np.concatenate([np.full(count, NO_TIME), times.to_numpy(zero_copy_only=False)]),
        [None] * count + rows["etag"].to_pylist(),
        # As texts: a row of a dictionary array takes a microsecond.
        [None] * count + rows["storage_class"].cast(pa.string()).to_pylist(),
        bytes([1]) * count + (bytes(folders) if isinstance(folders, int) else folders.astype(np.uint8).tobytes()),
    )


def _badge(connection: Connection, location: Location, page: Page, *, whole: bool) -> str:
    """Return format and version if a page shows that the folder is a lake table, else an empty text.

    Args:
        connection: used for requests.
        location: the folder.
        page: of its listing.
        whole: whether the page is the first of an unfiltered listing.
    """
    from s3conn_magic.results.listings import badge

    if not {location.key + folder for folder in OWN_FOLDER.values()} & set(page.prefixes):
        return ""
    with suppress(S3ConnError):
        if root := at(connection, location, page=page if whole else None):
            return badge(connection, root)
    return ""


def _roots(connection: Connection, token: str | None, starting_with: str) -> Children:
    filters = connection.settings.display_filters
    if filters:
        return Children(
            [TreeEntry(place, is_prefix=True) for place in filters if place.bucket.startswith(starting_with)]
        )
    buckets, following = bucket_page(connection, token)
    entries = [TreeEntry(Location(bucket.name), is_prefix=True, last_modified=bucket.created_at) for bucket in buckets]
    return Children([each for each in entries if each.location.bucket.startswith(starting_with)], following)


class AllChildren:
    """Lists the session's connections, and the children of a location through its connection."""

    def __init__(self, connections: Registry) -> None:
        self._connections = connections

    def __call__(
        self,
        location: Location | None,
        token: str | None,
        *,
        starting_with: str = "",
        cancelled: Callable[[], bool],
        deleted: bool = False,
    ) -> Children:
        """Return one page; see `explorer.ChildrenOf`."""
        name = connection_name(location)
        if not name:
            names = [connection.name for connection in self._connections if connection.name.startswith(starting_with)]
            return Children([TreeEntry(Through("", connection=each), is_prefix=True) for each in names])
        inside = location if location and location.bucket else None
        children = ConnectionChildren(partial(self._connections.get, name))
        page = children(inside, token, starting_with=starting_with, cancelled=cancelled, deleted=deleted)
        return _with_connection(page, name)

    def everything(
        self, location: Location, *, starting_with: str = "", matching: str = "", cancelled: Callable[[], bool]
    ) -> Iterator[Children]:
        """Yield all pages or all matches; see `explorer.Everything`."""
        name = connection_name(location)
        children = ConnectionChildren(partial(self._connections.get, name))
        for page in children.everything(location, starting_with=starting_with, matching=matching, cancelled=cancelled):
            yield _with_connection(page, name)

    def pasted(self, text: str, near: Location | None) -> Location:
        """Parse a location; see `ConnectionChildren.pasted`."""
        name = connection_name(near)
        if name not in self._connections:
            return pasted(text).location
        return ConnectionChildren(partial(self._connections.get, name)).pasted(text, near)


def _with_connection(page: Children, name: str) -> Children:
    """Return the page with the connection added to each entry's location."""
    entries = [
        replace(entry, location=Through(entry.location.bucket, entry.location.key, name)) for entry in page.entries
    ]
    return replace(page, entries=entries)


def _entries(parent: Location, page: Page) -> Iterator[TreeEntry]:
    """Yield a page's folders and objects in key order, without the folder's own marker."""
    folders = (TreeEntry(Location(parent.bucket, prefix), is_prefix=True) for prefix in page.prefixes)
    entries = [*folders, *_objects(parent, page)]
    yield from sorted((each for each in entries if each.location.key != parent.key), key=lambda each: each.location.key)


def _objects(parent: Location, page: Page) -> Iterator[TreeEntry]:
    for row in page.objects.to_pylist():
        yield TreeEntry(
            Location(parent.bucket, row["key"]),
            size=row["size"],
            last_modified=row["last_modified"],
            etag=row["etag"],
            storage_class=row["storage_class"],
            deleted=row.get("is_delete_marker", False),
        )
