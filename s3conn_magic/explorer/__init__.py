"""The explorer: `widget.Explorer` shows the tree that a `ChildrenOf` lists.

The widget never sees a connection. Data flow: this module (requests and answers) → `tree` (rows of the open folders, in
columns, as one list of lines) → `messages` (lines as messages of limited size) → `widget` (the kernel's side) →
`front/` (the browser's side, with the messages of `front/protocol.json`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from s3conn_magic.errors import IncompleteListingError
from s3conn_magic.locations import Location
from s3conn_magic.runtime.background import Work, run_in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from datetime import datetime
    from threading import Semaphore

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from s3conn_magic.objects.deleting import Chosen, Deleted, SeenObjects, Thaw
    from s3conn_magic.objects.description import Description
    from s3conn_magic.objects.requests import Link
    from s3conn_magic.preview import Preview


_CHECK_SECONDS = 0.1
"""Seconds between checks whether a listing was cancelled."""


@dataclass(frozen=True, slots=True, order=True)
class Through(Location):
    """A location with the connection to it; without a bucket, the connection itself."""

    connection: str = ""

    @property
    def uri(self) -> str:
        """The exact `s3://` form; a connection alone has no location."""
        return Location(self.bucket, self.key).uri if self.bucket else "s3://"


def connection_name(location: Location | None) -> str:
    """Return the name of a location's connection, or an empty text if there is only one connection."""
    return location.connection if isinstance(location, Through) else ""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One row.

    Attributes:
        location: bucket and exact key.
        is_prefix: whether it is a bucket or folder, which can be opened.
        size: bytes, or None.
        last_modified: with a time zone; one without is taken as UTC.
        etag: as the server gave it.
        storage_class: such as `STANDARD`.
        deleted: whether it is a deleted object that still has versions.
    """

    location: Location
    is_prefix: bool = False
    size: int | None = None
    last_modified: datetime | None = None
    etag: str | None = None
    storage_class: str | None = None
    deleted: bool = False


class EntryColumns(NamedTuple):
    """Entries of one folder as columns, for large numbers of them.

    Attributes:
        keys: exact and complete.
        sizes: bytes; -1 for none.
        times: milliseconds since 1970; `tree.NO_TIME` for none.
        etags: as the server gave them.
        classes: storage classes.
        prefixes: 1 for a folder, 0 for an object.
    """

    keys: list[str]
    sizes: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    etags: list[str | None]
    classes: list[str | None]
    prefixes: bytes


@dataclass(frozen=True, slots=True)
class Children:
    """One page of entries, and the token of the next page, or None.

    `badge` says what the folder is besides a folder, such as `Delta, version 12`; `seen` is the number of keys that a
    search has looked at so far. `columns` holds entries instead of `entries`.
    """

    entries: Sequence[TreeEntry]
    token: str | None = None
    badge: str = ""
    seen: int = 0
    columns: EntryColumns | None = None


class ChildrenOf(Protocol):
    """Lists one page of the direct children of a location."""

    def __call__(
        self, location: Location | None, token: str | None, *, starting_with: str = "", cancelled: Callable[[], bool]
    ) -> Children:
        """List one page.

        Called in background threads, for several locations at once, and with `deleted=True` if the user asked for
        deleted objects.

        Args:
            location: a bucket or key prefix (its key is the request's prefix, with or without a trailing `/`); None for
                the roots, which are the display filters or the buckets.
            token: None for the first page, else the token from the page before.
            starting_with: text that follows the location's key in every entry's key; for the roots, the beginning of
                the bucket's name. The server searches for it, and the delimiter only counts after it.
            cancelled: returns true once nobody waits for the answer; checked between requests.

        Returns:
            Entries whose key begins with the location's key and `starting_with`.

        Raises:
            S3ConnError: shown in place, with its hint. Any other exception is shown as a defect, without its values.
        """


class Everything(Protocol):
    """An optional method of a `ChildrenOf`: lists a whole folder with concurrent requests, or searches below it."""

    def __call__(
        self, location: Location, *, starting_with: str = "", matching: str = "", cancelled: Callable[[], bool]
    ) -> Iterator[Children]:
        """Yield pages as they arrive, in any order.

        Args:
            location: as for `ChildrenOf`.
            starting_with: as for `ChildrenOf`.
            matching: a glob for the rest of the key; if given, objects at any depth are listed.
            cancelled: returns true once nobody waits; the listing and its requests then end.
        """


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to list.

    Attributes:
        location: of the folder.
        token: of the page to begin with.
        starting_with: beginning of the names.
        matching: a glob; matches are searched at any depth.
        every: whether to list all pages.
        at_least: number of rows to list at least.
        deleted: whether to include deleted objects.
    """

    location: Location | None
    token: str | None = None
    starting_with: str = ""
    matching: str = ""
    every: bool = False
    at_least: int = 0
    deleted: bool = False


class FolderListing(Work[None]):
    """One listing of a folder. When cancelled it ends and frees its slot at once, even if its request goes on.

    Args:
        children: lists one page, or all with `everything`.
        wanted: what to list.
        slots: limits the listings at once.
        arrived: called with this object and each page, in the listing's thread.

    Attributes:
        is_whole: whether everything is listed with concurrent requests.
        is_over: whether the page passed to `arrived` is the last.
    """

    def __init__(
        self,
        children: ChildrenOf,
        wanted: Wanted,
        slots: Semaphore,
        arrived: Callable[[FolderListing, Children], None],
    ) -> None:
        super().__init__(lambda _: self._list())
        in_bucket = wanted.location is not None and bool(wanted.location.bucket)
        every = (wanted.every and not wanted.deleted) or bool(wanted.matching)
        self.is_whole = in_bucket and every and hasattr(children, "everything")
        self.wanted = wanted
        self.is_over = False
        self._children = children
        self._slots = slots
        self._arrived = arrived

    def _list(self) -> None:
        while not self._slots.acquire(timeout=_CHECK_SECONDS):
            if self.cancelled():
                return
        try:
            # In a separate thread, abandoned when the user cancels: a server may never answer.
            future = run_in_background(self._list_all if self.is_whole else self._list_pages, name="s3conn-listing")
            while not (self.cancelled() or _is_done(future)):
                pass
            if not self.cancelled():
                future.result()
        finally:
            self._slots.release()

    def _list_all(self) -> None:
        wanted = self.wanted
        everything: Everything = self._children.everything  # type: ignore[attr-defined]
        pages = everything(
            wanted.location,  # type: ignore[arg-type] # there is one, as `is_whole` says
            starting_with=wanted.starting_with,
            matching=wanted.matching,
            cancelled=self.cancelled,
        )
        for page in pages:
            if self.cancelled():
                return
            self._arrived(self, page)

    def _list_pages(self) -> None:
        wanted, token, rows = self.wanted, self.wanted.token, 0
        # Only passed if needed: a plain function need not know it.
        more: dict[str, Any] = {"deleted": True} if wanted.deleted else {}
        while not self.cancelled():
            page = self._children(
                wanted.location, token, starting_with=wanted.starting_with, cancelled=self.cancelled, **more
            )
            if page.token is not None and page.token == token:
                message = "the server gave the same token twice"
                hint = "LIST shows the folder whole, or says what the server does."
                raise IncompleteListingError(message, rows_so_far=None, reason="token", hint=hint)
            token, rows = page.token, rows + len(page.entries)
            self.is_over = token is None or not (wanted.every or rows < wanted.at_least)
            self._arrived(self, page)
            if self.is_over:
                return


def _is_done(future: Future[None]) -> bool:
    """Wait a moment, and return whether it is done."""
    with suppress(TimeoutError):
        future.exception(_CHECK_SECONDS)
    return future.done()


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code that reads a location, to paste into a cell; without secrets.

    Attributes:
        label: the library, such as `pandas`.
        code: Python in ASCII, whatever the key.
    """

    label: str
    code: str


class Outgoing(Protocol):
    """An object that is being read; see `objects.requests.Download`."""

    size: int
    content_type: str
    last_modified: datetime | None

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes in order, at most 1 MiB at a time."""

    def close(self) -> None:
        """Close it."""


class Incoming(Protocol):
    """An object that is being written, completely or not at all; see `objects.uploads.Upload`."""

    def write(self, data: bytes) -> None:
        """Write the next bytes."""

    def finish(self) -> None:
        """Complete the object."""

    def abort(self) -> None:
        """Abort, and leave nothing behind."""


class ObjectAccess(Protocol):
    """Access to single objects. All methods but the first five are called in background threads.

    Those may raise `S3ConnError`, shown in place with its hint; any other exception is shown as a defect, without its
    values.
    """

    def refuses_writes(self, location: Location | None) -> str:
        """Return why writing to a location is refused, or an empty text if it may be tried."""

    def snippets(
        self, location: Location, version_id: str | None, *, is_prefix: bool, ending: str = ""
    ) -> Sequence[Snippet]:
        """Return code that reads an object, or the objects below a prefix with this ending."""

    def thaws(self, description: Description) -> Sequence[Thaw]:
        """Return the options to restore an object from the archive."""

    def arn(self, location: Location) -> str:
        """Return the ARN of an object, prefix or bucket."""

    def cells(self, location: Location, *, is_prefix: bool) -> Mapping[str, str]:
        """Return cells that query, analyze or discover it, if they can."""

    def describe(self, location: Location, version_id: str | None) -> Description:
        """Return an object's metadata, tags and versions."""

    def describe_deleted(self, location: Location, version_id: str | None) -> Description:
        """Return the versions of a deleted object."""

    def preview(self, location: Location, description: Description, version_id: str | None, rows: int = 100) -> Preview:
        """Return the beginning of its content."""

    def ending(self, location: Location, cancelled: Callable[[], bool]) -> str:
        """Return the usual ending of object names below a prefix, or an empty text."""

    def bucket(self, location: Location) -> Mapping[str, str]:
        """Return a bucket's properties, or why each cannot be read."""

    def presign(self, location: Location, seconds: int, version_id: str | None) -> Link:
        """Return a link to it, valid for this many seconds."""

    def download(self, location: Location, version_id: str | None, etag: str | None) -> Outgoing:
        """Start reading it, if it still has this etag."""

    def look(self, location: Location) -> Description | None:
        """Return what is there now, or None; raise `AccessDeniedError` if that may not be looked up."""

    def upload(
        self, location: Location, size: int, content_type: str, *, overwrite: bool, replaces: str | None
    ) -> Incoming:
        """Start writing an object of `size` bytes; `replaces` is the etag of the object that it may replace."""

    def find(self, chosen: Sequence[Chosen], most: int, cancelled: Callable[[], bool]) -> SeenObjects:
        """Return the objects that a deletion would delete, up to `most` and one page."""

    def delete(self, objects: SeenObjects, near: Location, cancelled: Callable[[], bool]) -> Iterator[Deleted]:
        """Delete these keys if unchanged, batch by batch, through the connection of `near`."""

    def below(self, chosen: Sequence[Chosen], most: int, cancelled: Callable[[], bool]) -> SeenObjects:
        """Return the objects selected, directly or in folders, up to `most` and one page."""

    def restore(
        self,
        location: Location,
        version_id: str | None,
        copied: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Make a version the current one; None undoes the object's deletion."""

    def thaw(self, location: Location, description: Description, tier: str) -> None:
        """Request a temporary copy of an object from the archive."""

    def versioning(self, location: Location) -> str | None:
        """Return `Enabled`, `Suspended`, or an empty text if never enabled; None if it may not be read."""

    def frame(self, location: Location | None, *, recursive: bool) -> pd.DataFrame:
        """Return the frame of LIST at a location; None for the roots."""

    def analyze(
        self, location: Location, report: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> Mapping[str, object]:
        """Return the contents below a location as `data`, and the bytes of folders by URI as `sizes`.

        `data` is in the form that `treemap.js` draws; its `below` is the path down to where there is more than one
        folder or object, and `shown_below` its visible form. `report` is called with the objects and bytes so far.
        """

    def discover(
        self, location: Location, report: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> Mapping[str, object]:
        """Return the datasets below a location as `found`, and `notes`; `report` as for `analyze`."""
