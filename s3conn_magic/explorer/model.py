"""What the explorer asks for, and what it is given.

A plain function lists the children of a location (`ChildrenOf`). A second, small protocol looks at single objects,
moves their bytes and deletes them (`ObjectAccess`). The explorer never sees a connection.
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


_LOOK = 0.1
"""Seconds between two looks whether a listing was cancelled."""


@dataclass(frozen=True, slots=True, order=True)
class Through(Location):
    """A location and the connection that leads to it; without a bucket, the connection itself."""

    connection: str = ""

    @property
    def uri(self) -> str:
        """The exact `s3://` form; a connection is none of its own."""
        return Location(self.bucket, self.key).uri if self.bucket else "s3://"


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One row.

    Attributes:
        location: the exact place.
        is_prefix: a bucket or a folder, which can be opened.
        size: bytes, or None where there is none.
        last_modified: with a time zone; one without is taken as UTC.
        etag: as the server gave it.
        storage_class: such as `STANDARD`.
        deleted: an object that is there no more, whose versions are.
    """

    location: Location
    is_prefix: bool = False
    size: int | None = None
    last_modified: datetime | None = None
    etag: str | None = None
    storage_class: str | None = None
    deleted: bool = False


class EntryColumns(NamedTuple):
    """Entries of one folder as columns, for the many that everything at once brings.

    Attributes:
        keys: exact and whole.
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
    """One page of entries, and the token of the next page: None when there is no more.

    `badge` is what the folder is where that is more than a folder, such as `Delta, version 12`; `seen` is how many
    keys a search has looked at so far. `columns` holds entries, too, in place of `entries`.
    """

    entries: Sequence[TreeEntry]
    token: str | None = None
    badge: str = ""
    seen: int = 0
    columns: EntryColumns | None = None


class ChildrenOf(Protocol):
    """Lists one page of what lies directly below a location."""

    def __call__(
        self, location: Location | None, token: str | None, *, starting_with: str = "", cancelled: Callable[[], bool]
    ) -> Children:
        """List one page.

        Called in background threads, for several locations at once.

        Args:
            location: a bucket or a key prefix (with or without a trailing `/`: the key is the request's prefix as it
                is); None asks for the roots, which are the display filters or the buckets.
            token: None for the first page, else the token of the page before.
            starting_with: text that follows the location's key in every entry's key; for the roots, the beginning
                of the bucket's name. The server looks for it, and the delimiter counts only behind it.
            cancelled: true as soon as nobody waits for the answer; looked at between requests.

        Where the user asks for what was deleted, it is called with `deleted=True` as well.

        Returns:
            Entries whose key begins with the location's key and `starting_with`.

        Raises:
            S3ConnError: shown in place, with its hint. Anything else is shown as a defect, without its values.
        """


class Everything(Protocol):
    """What a `ChildrenOf` may have beside: `everything`, a whole folder by many requests at once, or a search below."""

    def __call__(
        self, location: Location, *, starting_with: str = "", matching: str = "", cancelled: Callable[[], bool]
    ) -> Iterator[Children]:
        """Yield pages as they come, in any order.

        Args:
            location: as above.
            starting_with: as above.
            matching: a glob for what follows the location's key; with it, objects at any depth are listed.
            cancelled: true as soon as nobody waits; then it ends, and its requests with it.
        """


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be listed.

    Attributes:
        location: of the folder.
        token: where to begin.
        starting_with: what the names begin with.
        matching: a glob; what matches is looked for at any depth.
        every: go on to the last page.
        at_least: go on until there are so many rows.
        deleted: show what was deleted, too.
    """

    location: Location | None
    token: str | None = None
    starting_with: str = ""
    matching: str = ""
    every: bool = False
    at_least: int = 0
    deleted: bool = False


class FolderListing(Work[None]):
    """One listing of a folder. Cancelled, it ends at once and leaves its slot to others, whatever its request does.

    Args:
        children: lists a page, or with `everything` all of them.
        wanted: what to list.
        slots: it begins when one is free.
        arrived: is given this object and each page, in the thread.

    Attributes:
        is_whole: all of it is listed by many requests at once.
        is_over: the page that arrives is the last one.
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
        while not self._slots.acquire(timeout=_LOOK):
            if self.cancelled():
                return
        try:
            # In a thread of its own, which is left alone when the user cancels: a server may never answer.
            future = run_in_background(self._all_at_once if self.is_whole else self._by_page, name="s3conn-listing")
            while not (self.cancelled() or _is_done(future)):
                pass
            if not self.cancelled():
                future.result()
        finally:
            self._slots.release()

    def _all_at_once(self) -> None:
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

    def _by_page(self) -> None:
        wanted, token, rows = self.wanted, self.wanted.token, 0
        # A plain function needs to know nothing of it.
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
    """Wait a moment, and return whether it is over."""
    with suppress(TimeoutError):
        future.exception(_LOOK)
    return future.done()


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code that reads a location, to paste into a cell; it holds no secret.

    Attributes:
        label: the library, such as `pandas`.
        code: Python, in ASCII whatever the key.
    """

    label: str
    code: str


class Outgoing(Protocol):
    """An object that is being read; see `objects.requests.Download`."""

    size: int
    content_type: str
    last_modified: datetime | None

    def pieces(self) -> Iterator[bytes]:
        """Return its bytes in order, at most 1 MiB at once."""

    def close(self) -> None:
        """Let go of it."""


class Incoming(Protocol):
    """An object that is being written, whole or not at all; see `objects.writing.Upload`."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""

    def finish(self) -> None:
        """Put the object in place."""

    def abort(self) -> None:
        """Leave nothing behind."""


class ObjectAccess(Protocol):
    """What can be done with single objects. All members are called in background threads but the first four.

    Every method but these raises `S3ConnError`, shown in place with its hint; anything else is shown as a defect, and
    without its values.
    """

    def refuses_writes(self, location: Location | None) -> str:
        """Return why nothing may be written at a location; empty where it may be tried."""

    def snippets(
        self, location: Location, version_id: str | None, *, is_prefix: bool, ending: str = ""
    ) -> Sequence[Snippet]:
        """Return code that reads an object, or the objects below a prefix whose names end so."""

    def thaws(self, description: Description) -> Sequence[Thaw]:
        """Return the ways to have an object out of the archive."""

    def arn(self, location: Location) -> str:
        """Return the ARN of an object, a prefix or a bucket."""

    def cells(self, location: Location, *, is_prefix: bool) -> Mapping[str, str]:
        """Return cells that query, analyze or discover it, as far as they can."""

    def describe(self, location: Location, version_id: str | None) -> Description:
        """Return what an object is."""

    def describe_deleted(self, location: Location, version_id: str | None) -> Description:
        """Return what is left of an object that was deleted."""

    def preview(self, location: Location, description: Description, version_id: str | None, rows: int = 100) -> Preview:
        """Return what is in it, by reading its beginning only."""

    def ending(self, location: Location, cancelled: Callable[[], bool]) -> str:
        """Return how the names of most objects below a prefix end; empty where none says what is in it."""

    def bucket(self, location: Location) -> Mapping[str, str]:
        """Return how a bucket is set up, each property or why it cannot be seen."""

    def presign(self, location: Location, seconds: int, version_id: str | None) -> Link:
        """Return a link to it that lasts so long."""

    def download(self, location: Location, version_id: str | None, etag: str | None) -> Outgoing:
        """Begin to read it, if it still is the one of this etag."""

    def look(self, location: Location) -> Description | None:
        """Return what is there now; None where there is no object. An `AccessDeniedError` where nobody may know."""

    def upload(
        self, location: Location, size: int, content_type: str, *, overwrite: bool, replaces: str | None
    ) -> Incoming:
        """Begin to write an object of `size` bytes; `replaces` is the etag of the one that it may replace."""

    def find(self, chosen: Sequence[Chosen], most: int, cancelled: Callable[[], bool]) -> SeenObjects:
        """Return every object that a deletion of these would delete, up to `most` and one page."""

    def delete(self, objects: SeenObjects, near: Location, cancelled: Callable[[], bool]) -> Iterator[Deleted]:
        """Delete exactly these keys as they were found, batch by batch, through the connection that leads to `near`."""

    def below(self, chosen: Sequence[Chosen], most: int, cancelled: Callable[[], bool]) -> SeenObjects:
        """Return every object that these stand for, up to `most` and one page."""

    def restore(
        self,
        location: Location,
        version_id: str | None,
        copied: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Make a version the current one; None takes the object's deletion back."""

    def thaw(self, location: Location, description: Description, tier: str) -> None:
        """Ask for a copy of an object out of the archive."""

    def versioning(self, location: Location) -> str | None:
        """`Enabled`, `Suspended`, or empty where the bucket never kept versions; None where nobody may know."""

    def frame(self, location: Location | None, *, recursive: bool) -> pd.DataFrame:
        """Return the frame of LIST at a location; None stands for the roots."""

    def analyze(
        self, location: Location, report: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> Mapping[str, object]:
        """Return what lies below a location as `data`, and bytes by the exact URI of a folder as `sizes`.

        `data` is as `treemap.js` draws it; in it, `below` is the way down to where there is more than one folder or
        object, and `shown_below` its visible form. `report` gets the objects and bytes so far.
        """

    def discover(
        self, location: Location, report: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> Mapping[str, object]:
        """Return the datasets below a location as `found`, and `notes`; `report` as above."""
