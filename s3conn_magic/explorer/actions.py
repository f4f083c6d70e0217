"""What a user can do with single objects: one method for each message of the panel and of the lines below the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s3conn_magic.explorer.messages import where
from s3conn_magic.explorer.panel import Panel, Subject
from s3conn_magic.explorer.tasks import Deletions, TaskList
from s3conn_magic.explorer.transfers import BrowserDownloads, Uploads
from s3conn_magic.explorer.tree import NO_SIZE
from s3conn_magic.objects.deleting import Chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3conn_magic.explorer.model import ObjectAccess
    from s3conn_magic.explorer.navigator import Navigator
    from s3conn_magic.explorer.tree import Folder, Place
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.deleting import Found

MESSAGES = frozenset(
    "show hide version retry link download upload chunk delete confirm halt analyze descend".split()  # noqa: SIM905
)


class ObjectActions:
    """The panel and the lines of what is under way.

    Called with the page whose user acts, while the navigator is locked and that page's turn is.

    Args:
        navigator: knows which rows are meant.
        objects: does it.
        send: sends a message, and buffers with it.

    Attributes:
        panel: shows one object or folder.
        tasks: uploads, downloads and deletions.
    """

    def __init__(self, navigator: Navigator, objects: ObjectAccess, send: Callable[..., None]) -> None:
        self._navigator = navigator
        self._objects = objects
        self.panel = Panel(objects, send)
        self.tasks = TaskList(send)
        self._downloads = BrowserDownloads(objects, self.tasks, send)
        self._uploads = Uploads(objects, self.tasks, self._uploaded)
        self._deletions = Deletions(objects, self.tasks, self._deleted)

    def again(self, page: str) -> None:
        """Tell a page that has just opened everything."""
        del page  # the panel and the lines are the same in every page
        self.panel.again()
        self.tasks.tell()

    def close(self) -> None:
        """Stop everything; nothing that was half written stays."""
        self.panel.hide()
        self.tasks.stop_all()

    def locked(self, location: Location | None) -> str:
        """Why nothing may be written at a location; empty where it may be tried."""
        return self._objects.refuses_writes(location)

    # The panel

    def show(self, page: str, place: Place) -> None:
        """Show an object or a folder in the panel."""
        del page
        row = self._navigator.tree.row_at(place)
        if row and row[0].rows.location(row[1]).bucket:
            one = _chosen(*row)
            self.panel.show(Subject(one.location, one.is_prefix, one.size, etag=one.etag))

    def hide(self, page: str) -> None:
        """Close the panel."""
        del page
        self.panel.hide()

    def version(self, page: str, id: str | None, serial: int) -> None:  # noqa: A002 - the message's own name
        """Show a version of the same object."""
        if self._meant(page, serial):
            self.panel.version(id)

    def retry(self, page: str) -> None:
        """Ask again for what the panel could not show."""
        del page
        self.panel.retry()

    def link(self, page: str, id: str, seconds: int, serial: int) -> None:  # noqa: A002
        """Make a link to the object in the panel."""
        if subject := self._meant(page, serial):
            self.panel.link(id, subject, seconds)

    def analyze(self, page: str, serial: int) -> None:
        """Sum up the folder in the panel."""
        if self._meant(page, serial):
            self.panel.analyze()

    def descend(self, page: str, name: str, serial: int) -> None:
        """Begin the tree at a folder below the one in the panel; `name` is what follows in its key."""
        subject = self._meant(page, serial)
        if subject and subject.is_prefix:
            self._navigator.visit(replace(subject.location, key=subject.location.key + name))

    def _meant(self, page: str, serial: int) -> Subject | None:
        """What the panel of a page shows; where it shows something else by now, nothing is done, and that is said."""
        del page
        subject = self.panel.shown(serial)
        if subject is None:
            self._navigator.say("The panel shows something else by now: nothing was done")
        return subject

    # Bytes

    def download(self, page: str, id: str, serial: int) -> None:  # noqa: A002
        """Send the object in the panel to the browser."""
        subject = self._meant(page, serial)
        if subject and not subject.is_prefix:
            self._downloads.begin(page, id, subject)

    def upload(self, page: str, id: str, *, name: str, size: int, mime: str, here: str) -> None:  # noqa: A002
        """Take a file into the folder that has the focus, which the page calls `here`."""
        folder = self._navigator.cursor.location
        if folder is None or not folder.bucket or not name:
            self._navigator.say("Open a bucket or a folder first")
        elif where(folder) != here:
            self._navigator.say("Another folder is shown by now: nothing was uploaded")
        else:
            self._uploads.begin(page, id, folder, name, size=size, mime=mime)

    def chunk(self, id: str, at: int, buffers: Sequence[Any]) -> None:  # noqa: A002
        """Take the next piece of a file."""
        self._uploads.chunk(id, at, buffers)

    def delete(self, page: str, id: str) -> None:  # noqa: A002
        """Delete what is chosen in the page, after a question."""
        places = [self._navigator.tree.row_at(place) for place in self._navigator.cursor.selected]
        chosen = [_chosen(*found) for found in places if found]
        self._deletions.begin(page, id, [each for each in chosen if each.location.bucket])

    def confirm(self, page: str, id: str, question: str) -> None:  # noqa: A002
        """Say yes to what a line asks."""
        if not self.tasks.confirm(page, id, question):
            self._navigator.say("That is not asked any more: nothing was done")

    def halt(self, page: str, id: str) -> None:  # noqa: A002
        """Stop a line, say no to what it asks, or take it away; without an id, stop what the panel waits for."""
        if id:
            self.tasks.stop(page, id)
        else:
            self.panel.halt()

    def _uploaded(self, folder: Location, location: Location) -> None:
        self.panel.replaced(location)
        self._navigator.relist({folder})

    def _deleted(self, found: Found) -> None:
        navigator = self._navigator
        subject = self.panel.subject
        if subject and subject.location.key in found.keys.get(subject.location.bucket, ()):
            self.panel.forget(subject.location)
        with navigator.lock:
            folders = list(navigator.tree.root.family())
        touched = {each.location for each in folders if each.location and _holds(each.location, found)}
        navigator.relist(touched)


def _chosen(folder: Folder, row: int) -> Chosen:
    rows, size = folder.rows, folder.rows.sizes[row]
    return Chosen(rows.location(row), rows.is_prefix(row), None if size == NO_SIZE else size, rows.etags[row])


def _holds(location: Location, found: Found) -> bool:
    """Whether any of the keys lies below a location."""
    return any(key.startswith(location.key) for key in found.keys.get(location.bucket, ()))
