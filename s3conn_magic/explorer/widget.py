"""The widget: messages of a page to what they mean, for the tree, the panel and the lines below the rows."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from s3conn_magic.errors import S3ConnError
from s3conn_magic.explorer.basic import ForPython, html_table, text_tree
from s3conn_magic.explorer.messages import ACTIONS, FRONT, row_messages, state_message, taken, where
from s3conn_magic.explorer.model import TreeEntry
from s3conn_magic.explorer.navigator import Navigator
from s3conn_magic.explorer.panel import Panel, Subject
from s3conn_magic.explorer.preview_table import RowOrder
from s3conn_magic.explorer.tasks import Deletions, Restores, TaskList
from s3conn_magic.explorer.transfers import Downloads, Uploads
from s3conn_magic.explorer.tree import NO_SIZE
from s3conn_magic.language.reference import find_statement
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.deleting import Chosen
from s3conn_magic.results.cards import SNAPSHOT_STYLE
from s3conn_magic.results.scripts import joined_scripts, joined_styles
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from s3conn_magic.explorer.cursor import PageCursor
    from s3conn_magic.explorer.model import Children, ChildrenOf, ObjectAccess
    from s3conn_magic.explorer.tree import Folder, Place
    from s3conn_magic.objects.deleting import SeenObjects
    from s3conn_magic.objects.description import Description


_LINES_IN_MESSAGE = 100


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
        self._send = send
        self.panel = Panel(objects, send, navigator.sized)
        self.tasks = TaskList(send)
        self._downloads = Downloads(objects, self.tasks, send)
        self._restores = Restores(objects, self.tasks, self._restored)
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
        """Return why nothing may be written at a location; empty where it may be tried."""
        return self._objects.refuses_writes(location)

    # The panel

    def show(self, page: str, place: Place) -> None:
        """Show an object or a folder in the panel."""
        del page
        row = self._navigator.tree.row_at(place)
        if row and row[0].rows.location(row[1]).bucket:
            chosen = _chosen(*row)
            deleted = row[0].rows.is_deleted(row[1])
            self.panel.show(Subject(chosen.location, chosen.is_prefix, chosen.size, etag=chosen.etag, deleted=deleted))

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

    def discover(self, page: str, serial: int) -> None:
        """Find the datasets of the folder in the panel."""
        if self._meant(page, serial):
            self.panel.discover()

    def properties(self, page: str, serial: int) -> None:
        """Look how the bucket in the panel is set up."""
        if self._meant(page, serial):
            self.panel.properties()

    def code(self, page: str, serial: int) -> None:
        """Look for code that reads the folder in the panel."""
        if self._meant(page, serial):
            self.panel.code()

    def further(self, page: str, serial: int) -> None:
        """Read more rows of the preview in the panel."""
        if self._meant(page, serial):
            self.panel.further()

    def records(self, page: str, serial: int, id: str, **wanted: Any) -> None:  # noqa: A002
        """Send rows of the preview in the panel."""
        if self._meant(page, serial):
            order = RowOrder(wanted["by"], wanted["descending"], wanted["filter"])
            self.panel.records(page, id, wanted["from"], wanted["to"], order)

    def column(self, page: str, serial: int, id: str, at: int) -> None:  # noqa: A002
        """Send what stands in a column of the preview in the panel."""
        if self._meant(page, serial):
            self.panel.column(page, id, at)

    def descend(self, page: str, name: str, serial: int) -> None:
        """Begin the tree at a folder below the one in the panel, or show an object; `name` follows in its key."""
        subject = self._meant(page, serial)
        if subject and subject.is_prefix:
            below = replace(subject.location, key=subject.location.key + name)
            if name.endswith("/"):
                self._navigator.visit(below)
            else:
                self.panel.show(Subject(below))

    def _meant(self, page: str, serial: int) -> Subject | None:
        """Return what the panel of a page shows; where that is something else by now, do nothing and say so."""
        del page
        subject = self.panel.shown(serial)
        if subject is None:
            self._navigator.say("The panel shows something else now: nothing was done")
        return subject

    def text(self, page: str, id: str, what: str, place: Place | None = None) -> None:  # noqa: A002
        """Send a text to copy: of the row at a place, else of every chosen row, a line each; in parts."""
        tree = self._navigator.tree
        places = [place] if place else list(self._navigator.cursor.selected)
        rows = [_chosen(*row) for row in map(tree.row_at, places) if row]
        lines = [line for line in (self._line(each, what) for each in rows if each.location.bucket) if line]
        for start in range(0, max(len(lines), 1), _LINES_IN_MESSAGE):
            stop = start + _LINES_IN_MESSAGE
            part = {"id": id, "from": start, "done": stop >= len(lines), "lines": lines[start:stop]}
            self._send({"type": "text", "page": page, **part})

    def _line(self, chosen: Chosen, what: str) -> str:
        if what in {"uris", "arns"}:
            return chosen.location.uri if what == "uris" else self._objects.arn(chosen.location)
        return self._objects.cells(chosen.location, is_prefix=chosen.is_prefix).get(what, "")

    # Bytes

    def download(self, page: str, id: str, serial: int, *, save: bool) -> None:  # noqa: A002
        """Send the object in the panel to the browser, or save it beside the notebook."""
        subject = self._meant(page, serial)
        if subject and not subject.is_prefix:
            self._downloads.one(page, id, subject, save=save)

    def zip(self, page: str, id: str, *, save: bool) -> None:  # noqa: A002
        """Send what is chosen in the page as one file, or save it beside the notebook."""
        self._downloads.several(page, id, self._selected(), save=save)

    def taken(self, page: str, id: str, size: int) -> None:  # noqa: A002
        """Note that a page has all of a file."""
        self._downloads.taken(page, id, size)

    def restore(self, page: str, id: str, serial: int, version: str | None) -> None:  # noqa: A002
        """Make a version of the object in the panel the current one; without one, take its deletion back."""
        subject = self._meant(page, serial)
        if subject is None:
            return
        if version is None:
            self._restores.undelete(page, id, subject)
        elif known := self.panel.known(version):
            self._restores.version(page, id, subject, known)

    def thaw(self, page: str, id: str, serial: int, tier: str) -> None:  # noqa: A002
        """Ask for a copy of the object in the panel out of the archive."""
        subject = self._meant(page, serial)
        if subject and (description := self.panel.description):
            self._restores.thaw(page, id, subject, description, tier)

    def upload(self, page: str, id: str, *, name: str, size: int, mime: str, here: str) -> None:  # noqa: A002
        """Take a file into the folder that has the focus, which the page calls `here`."""
        folder = self._navigator.cursor.location
        if folder is None or not folder.bucket or not name:
            self._navigator.say("Open a bucket or a folder first")
        elif where(folder) != here:
            self._navigator.say("Another folder is shown now: nothing was uploaded")
        else:
            self._uploads.begin(page, id, folder, name, size=size, mime=mime)

    def chunk(self, id: str, at: int, buffers: Sequence[Any]) -> None:  # noqa: A002
        """Take the next piece of a file."""
        self._uploads.chunk(id, at, buffers)

    def delete(self, page: str, id: str) -> None:  # noqa: A002
        """Delete what is chosen in the page, after a question."""
        self._deletions.begin(page, id, self._selected())

    def _selected(self) -> list[Chosen]:
        """Return what is chosen in the page, but for what was deleted already."""
        places = map(self._navigator.tree.row_at, self._navigator.cursor.selected)
        chosen = [_chosen(*row) for row in places if row and not row[0].rows.is_deleted(row[1])]
        return [each for each in chosen if each.location.bucket]

    def confirm(self, page: str, id: str, question: str) -> None:  # noqa: A002
        """Say yes to what a line asks."""
        if not self.tasks.confirm(page, id, question):
            self._navigator.say("That question is no longer open: nothing was done")

    def halt(self, page: str, id: str) -> None:  # noqa: A002
        """Stop a line, say no to what it asks, or take it away; without an id, stop what the panel waits for."""
        if id:
            self.tasks.stop(page, id)
        else:
            self.panel.halt()

    def _restored(self, location: Location, there: Description) -> None:
        folder = replace(location, key=location.key[: location.key.rfind("/", 0, -1) + 1])
        self._uploaded(folder, location, there)

    def _uploaded(self, folder: Location, location: Location, there: Description) -> None:
        self.panel.replaced(location)
        entry = TreeEntry(
            location,
            size=there.size,
            last_modified=there.last_modified,
            etag=there.etag,
            storage_class=there.storage_class,
        )
        self._navigator.put(folder, entry)

    def _deleted(self, chosen: Sequence[Chosen], objects: SeenObjects, *, whole: bool) -> None:
        """Take the rows of what is gone away, where they are; where that is not certain, look again."""
        navigator = self._navigator
        subject = self.panel.subject
        if subject and subject.location.key in objects.keys.get(subject.location.bucket, ()):
            self.panel.forget(subject.location)
        if whole:
            gone = {bucket: set(keys) for bucket, keys in objects.keys.items()}
            for each in chosen:
                if each.is_prefix and self._is_empty(each):
                    gone.setdefault(each.location.bucket, set()).add(each.location.key)
            return navigator.drop(gone)
        with navigator.lock:
            folders = list(navigator.tree.root.family())
        touched = {each.location for each in folders if each.location and _holds(each.location, objects)}
        return navigator.relist(touched)

    def _is_empty(self, chosen: Chosen) -> bool:
        """Look whether nothing is left in a folder; what came into it meanwhile stays."""
        with suppress(S3ConnError):
            return not len(self._objects.find([chosen], 1, lambda: False))
        return False


def _chosen(folder: Folder, row: int) -> Chosen:
    rows, size = folder.rows, folder.rows.sizes[row]
    return Chosen(rows.location(row), rows.is_prefix(row), None if size == NO_SIZE else size, rows.etags[row])


def _holds(location: Location, objects: SeenObjects) -> bool:
    """Whether any of the keys lies below a location."""
    return any(key.startswith(location.key) for key in objects.keys.get(location.bucket, ()))


STYLES = ("colours.css", "explorer.css", "details.css", "treemap.css")
_ROWS_AT_MOST = 1_000
_FIRST_ROWS = (0, 100)
_LOG = logging.getLogger(__name__)


class Explorer(ForPython, anywidget.AnyWidget):
    """A tree of buckets, folders and objects.

    Several pages may show it. What is open, how it is ordered and what the panel shows is one for all of them; focus,
    choice and what is asked belong to a page, which names itself in its messages.

    Args:
        children: lists the children of a location; called in background threads.
        title: what stands before the buckets, such as the connection's name.
        location: where the tree begins; None for the roots.
        first: the first page of that, where the caller has listed it already; otherwise it is listed when shown.
        objects: looks at single objects and moves their bytes; without it, the tree is all there is.

    Attributes:
        location: the open folder that has the focus, or the folder that holds the row that has it, in the page whose
            user acted last; observable.
        selection: the `s3://` URIs of the rows that are chosen in that page, all of which are shown; observable.
    """

    _esm = joined_scripts(FRONT / "explorer.js")
    _css = joined_styles([*(FRONT / name for name in STYLES), SNAPSHOT_STYLE])
    location = traitlets.Instance(Location, allow_none=True, read_only=True)
    selection = traitlets.Tuple(read_only=True)

    def __init__(
        self,
        children: ChildrenOf,
        *,
        title: str,
        location: Location | None = None,
        first: Children | None = None,
        objects: ObjectAccess | None = None,
    ) -> None:
        self._title = title
        self._navigator = Navigator(children, self._publish, location, first)
        self._objects = objects
        self._object_actions = ObjectActions(self._navigator, objects, self._tell) if objects else None
        super().__init__()
        self.set_trait("location", location)
        self.on_msg(self._receive)

    def select(self, uris: Iterable[str]) -> tuple[str, ...]:
        """Choose the rows of these `s3://` URIs, as far as they are shown, and nothing else.

        Returns:
            What is chosen now, as `selection` has it.
        """
        with self._navigator.lock:
            self._navigator.select(set(uris))
            return self._navigator.cursor.uris

    def close(self) -> None:
        """Stop everything that is under way and take the explorer off the page."""
        self._navigator.stop()
        if self._object_actions:
            self._object_actions.close()
        super().close()

    # For the browser

    def _receive(self, _widget: object, content: dict[str, Any], buffers: Any) -> None:
        try:
            kind, seq, page, message = taken(content)
        except ValueError as error:
            _LOG.warning("%s", error)
            return
        navigator, actions = self._navigator, self._object_actions
        if kind == "rows":
            self._send_rows(page, message["from"], message["to"])
        elif kind == "chunk" and actions:
            actions.chunk(**message, buffers=buffers)
        elif kind == "halt" and actions:
            # A page sends it of itself, too, so it is no sign of who acts.
            actions.halt(page, **message)
        elif kind in ACTIONS:
            # Under the lock: no report of a listing may say that this message was seen before it has had its effect.
            with navigator.lock:
                self._page(page).seen = seq
                getattr(navigator, kind)(**message)
            if kind == "begin" and actions:
                actions.again(page)
            elif kind == "refresh" and actions:
                actions.panel.retry()  # what the panel says was looked at, too
        elif actions:
            with navigator.lock:
                self._page(page)
                getattr(actions, kind)(page, **message)

    def _page(self, name: str) -> PageCursor:
        """Return what a page has of its own; it acts, and is told of what is shown from now on."""
        cursor = self._navigator.turn(name)
        cursor.window = cursor.window or _FIRST_ROWS
        return cursor

    def _tell(self, message: dict[str, Any], buffers: Any = None) -> None:
        """Send a message; as one text of ASCII, since a lone surrogate in a key would break the channel."""
        self.send({"json": json.dumps(message, separators=(",", ":"))}, buffers)

    def _send_rows(self, page: str, start: int, stop: int) -> None:
        navigator = self._navigator
        with navigator.lock:
            window = (max(start, 0), min(stop, start + _ROWS_AT_MOST))
            if cursor := navigator.cursors.get(page):
                cursor.window, cursor.version = window, navigator.version
            for message in row_messages(navigator.tree.lines(*window), window[0], navigator.version, page):
                self.send(message)

    def _publish(self) -> None:
        """Tell every page and Python what is now; to the page that acts, rows follow when they have changed."""
        navigator = self._navigator
        with navigator.lock:
            acting = navigator.cursor
            for page, cursor in navigator.cursors.items():
                if cursor.window is None:
                    continue
                follow = cursor is acting and cursor.version != navigator.version
                self.send(self._state(page, cursor, follow=follow))
                if follow:
                    self._send_rows(page, *cursor.window)
            traits = {"location": acting.location, "selection": acting.uris}
        for name, value in traits.items():
            try:
                self.set_trait(name, value)
            except Exception:  # noqa: BLE001 - what observers raise is theirs, and must not end a listing
                _LOG.exception("an observer of %s failed", name)

    def _state(self, page: str, cursor: PageCursor, *, follow: bool) -> dict[str, str]:
        navigator, actions = self._navigator, self._object_actions
        return state_message(
            navigator.tree,
            cursor,
            page=page,
            follow=follow,
            title=visible(self._title),
            version=navigator.version,
            busy=navigator.busy,
            acts=actions is not None,
            deleted=navigator.shows_deleted,
            discovers=actions is not None and find_statement("DISCOVER") is not None,
            locked=visible(actions.locked(cursor.location)) if actions else "",
        )

    @interruptible
    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        if snapshot := self._snapshot():
            return snapshot, {}
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        with self._navigator.lock:
            tree = self._navigator.tree
            data["text/html"] = html_table(self._title, tree)
            data["text/plain"] = text_tree(self._title, tree)
        return data, metadata
