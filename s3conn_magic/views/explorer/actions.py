"""What a user can do with single objects: one method for each message of the panel and of the lines below the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s3conn_magic.objects.writing import Chosen
from s3conn_magic.views.explorer.columns import NO_SIZE
from s3conn_magic.views.explorer.deletion import Deletions
from s3conn_magic.views.explorer.panel import Panel, Subject
from s3conn_magic.views.explorer.tasks import Tasks
from s3conn_magic.views.explorer.transfers import Downloads, Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3conn_magic.locations import Location
    from s3conn_magic.objects.writing import Found
    from s3conn_magic.views.explorer.model import Objects
    from s3conn_magic.views.explorer.navigator import Navigator
    from s3conn_magic.views.explorer.tree import Place

MESSAGES = frozenset(
    "show hide version retry link download upload chunk delete confirm halt analyze descend".split()  # noqa: SIM905
)


class ObjectActions:
    """The panel and the lines of what is under way.

    Args:
        navigator: knows which rows are meant.
        objects: does it.
        send: sends a message, and buffers with it.

    Attributes:
        panel: shows one object or folder.
        tasks: uploads, downloads and deletions.
    """

    def __init__(self, navigator: Navigator, objects: Objects, send: Callable[..., None]) -> None:
        self._navigator = navigator
        self._objects = objects
        self.panel = Panel(objects, send)
        self.tasks = Tasks(send)
        self._downloads = Downloads(objects, self.tasks, send)
        self._uploads = Uploads(objects, self.tasks, lambda folder: navigator.relist({folder}))
        self._deletions = Deletions(objects, self.tasks, self._deleted)

    def again(self) -> None:
        """Tell a page that has just opened everything."""
        self.panel.again()
        self.tasks.tell()

    def close(self) -> None:
        """Stop everything; nothing that was half written stays."""
        self.panel.hide()
        self.tasks.stop_all()

    def locked(self) -> str:
        """Why nothing may be written where the focus is; empty where it may be tried."""
        return self._objects.refuses_writes(self._navigator.cursor.location)

    # The panel

    def show(self, place: Place) -> None:
        """Show an object or a folder in the panel."""
        with self._navigator.lock:
            found = self._navigator.tree.row_at(place)
            subject = Subject(*_row(*found)) if found else None
        if subject and subject.location.bucket:
            self.panel.show(subject)

    def hide(self) -> None:
        """Close the panel."""
        self.panel.hide()

    def version(self, id: str | None) -> None:  # noqa: A002 - the message's own name
        """Show a version of the same object."""
        self.panel.version(id)

    def retry(self) -> None:
        """Ask again for what the panel could not show."""
        self.panel.retry()

    def link(self, id: str, seconds: int) -> None:  # noqa: A002
        """Make a link to the object in the panel."""
        self.panel.link(id, seconds)

    def analyze(self) -> None:
        """Sum up the folder in the panel."""
        self.panel.analyze()

    def descend(self, name: str) -> None:
        """Begin the tree at a folder below the one in the panel; `name` is what follows in its key."""
        if (subject := self.panel.subject) and subject.is_prefix:
            self._navigator.visit(replace(subject.location, key=subject.location.key + name))

    # Bytes

    def download(self, id: str) -> None:  # noqa: A002
        """Send the object in the panel to the browser."""
        if (subject := self.panel.subject) and not subject.is_prefix:
            self._downloads.begin(id, subject)

    def upload(self, id: str, name: str, size: int, mime: str) -> None:  # noqa: A002
        """Take a file into the folder that has the focus."""
        folder = self._navigator.cursor.location
        if folder is None or not folder.bucket or not name:
            self._navigator.say("Open a bucket or a folder first")
            return
        head, slash, _ = folder.key.rpartition("/")
        self._uploads.begin(id, folder, replace(folder, key=head + slash + name), size, mime)

    def chunk(self, id: str, at: int, buffers: Sequence[Any]) -> None:  # noqa: A002
        """Take the next piece of a file."""
        self._uploads.chunk(id, at, buffers)

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete what is chosen, after a question."""
        with self._navigator.lock:
            places = [self._navigator.tree.row_at(place) for place in self._navigator.cursor.selected]
            chosen = [Chosen(*_row(*found)) for found in places if found]
        self._deletions.begin(id, [one for one in chosen if one.location.bucket])

    def confirm(self, id: str) -> None:  # noqa: A002
        """Say yes to what a line asks."""
        self.tasks.confirm(id)

    def halt(self, id: str) -> None:  # noqa: A002
        """Stop a line, say no to what it asks, or take it away; without an id, stop what the panel waits for."""
        if id:
            self.tasks.stop(id)
        else:
            self.panel.halt()

    def _deleted(self, found: Found) -> None:
        navigator = self._navigator
        subject = self.panel.subject
        if subject and subject.location.key in found.keys.get(subject.location.bucket, ()):
            self.panel.forget(subject.location)
        with navigator.lock:
            folders = list(navigator.tree.root.family())
        touched = {each.location for each in folders if each.location and _holds(each.location, found)}
        navigator.relist(touched)


def _row(folder: Any, row: int) -> tuple[Location, bool, int | None]:
    size = folder.rows.sizes[row]
    return folder.rows.location(row), folder.rows.is_prefix(row), None if size == NO_SIZE else size


def _holds(location: Location, found: Found) -> bool:
    """Whether any of the keys lies below a location."""
    return any(key.startswith(location.key) for key in found.keys.get(location.bucket, ()))
