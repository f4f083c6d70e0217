"""The explorer's widget: dispatches the messages of pages to the tree, the panel and the tasks."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from s3conn_magic.errors import S3ConnError
from s3conn_magic.explorer import TreeEntry
from s3conn_magic.explorer.basic import ForPython, html_table, text_tree
from s3conn_magic.explorer.details import RowOrder
from s3conn_magic.explorer.messages import ACTIONS, FRONT, row_messages, state_message, taken, where
from s3conn_magic.explorer.navigator import Navigator
from s3conn_magic.explorer.panel import Panel, Subject
from s3conn_magic.explorer.tasks import Deletions, Restores, TaskList
from s3conn_magic.explorer.transfers import Downloads, Uploads
from s3conn_magic.explorer.tree import NO_SIZE
from s3conn_magic.language.reference import find_statement
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.deleting import Chosen
from s3conn_magic.results.cards import SNAPSHOT_STYLE, joined_scripts, joined_styles
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from s3conn_magic.explorer import Children, ChildrenOf, ObjectAccess
    from s3conn_magic.explorer.cursor import PageCursor
    from s3conn_magic.explorer.tree import Folder, Place
    from s3conn_magic.objects.deleting import SeenObjects
    from s3conn_magic.objects.description import Description


_LINES_IN_MESSAGE = 100


class ObjectActions:
    """The actions on the panel and the tasks.

    Called with the acting page, while the navigator is locked and that page has the turn.

    Args:
        navigator: knows the rows.
        objects: access to single objects.
        send: sends a message, optionally with buffers.

    Attributes:
        panel: shows one object or folder.
        tasks: uploads, downloads, deletions and restores.
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
        """Send everything to a newly opened page."""
        del page  # panel and tasks are the same on all pages
        self.panel.again()
        self.tasks.tell()

    def close(self) -> None:
        """Stop everything; nothing half-written remains."""
        self.panel.hide()
        self.tasks.stop_all()

    def locked(self, location: Location | None) -> str:
        """Return why writing to a location is refused, or an empty text if it may be tried."""
        return self._objects.refuses_writes(location)

    def show(self, page: str, place: Place) -> None:
        """Show an object or folder in the panel."""
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
        if self._current_subject(page, serial):
            self.panel.version(id)

    def retry(self, page: str) -> None:
        """Load the panel again after an error."""
        del page
        self.panel.retry()

    def link(self, page: str, id: str, seconds: int, serial: int) -> None:  # noqa: A002
        """Create a link to the object in the panel."""
        if subject := self._current_subject(page, serial):
            self.panel.link(id, subject, seconds)

    def analyze(self, page: str, serial: int) -> None:
        """Analyze the folder in the panel."""
        if self._current_subject(page, serial):
            self.panel.analyze()

    def discover(self, page: str, serial: int) -> None:
        """Find the datasets of the folder in the panel."""
        if self._current_subject(page, serial):
            self.panel.discover()

    def properties(self, page: str, serial: int) -> None:
        """Read the properties of the bucket in the panel."""
        if self._current_subject(page, serial):
            self.panel.properties()

    def code(self, page: str, serial: int) -> None:
        """Find code that reads the folder in the panel."""
        if self._current_subject(page, serial):
            self.panel.code()

    def further(self, page: str, serial: int) -> None:
        """Read more rows of the preview in the panel."""
        if self._current_subject(page, serial):
            self.panel.further()

    def records(self, page: str, serial: int, id: str, **wanted: Any) -> None:  # noqa: A002
        """Send rows of the preview in the panel."""
        if self._current_subject(page, serial):
            order = RowOrder(wanted["by"], wanted["descending"], wanted["filter"])
            self.panel.records(page, id, wanted["from"], wanted["to"], order)

    def column(self, page: str, serial: int, id: str, at: int) -> None:  # noqa: A002
        """Send statistics of a column of the preview in the panel."""
        if self._current_subject(page, serial):
            self.panel.column(page, id, at)

    def descend(self, page: str, name: str, serial: int) -> None:
        """Show the tree from a folder below the one in the panel, or show an object; `name` is its key below that."""
        subject = self._current_subject(page, serial)
        if subject and subject.is_prefix:
            below = replace(subject.location, key=subject.location.key + name)
            if name.endswith("/"):
                self._navigator.visit(below)
            else:
                self.panel.show(Subject(below))

    def _current_subject(self, page: str, serial: int) -> Subject | None:
        """Return the panel's subject; if it has changed since the page's request, return None and say so."""
        del page
        subject = self.panel.shown(serial)
        if subject is None:
            self._navigator.say("The panel shows something else now: nothing was done")
        return subject

    def text(self, page: str, id: str, what: str, place: Place | None = None) -> None:  # noqa: A002
        """Send texts to copy, in parts: of the row at a place, or of every selected row."""
        tree = self._navigator.tree
        places = [place] if place else list(self._navigator.cursor.selected)
        rows = [_chosen(*row) for row in map(tree.row_at, places) if row]
        lines = [line for line in (self._text_of(each, what) for each in rows if each.location.bucket) if line]
        for start in range(0, max(len(lines), 1), _LINES_IN_MESSAGE):
            stop = start + _LINES_IN_MESSAGE
            part = {"id": id, "from": start, "done": stop >= len(lines), "lines": lines[start:stop]}
            self._send({"type": "text", "page": page, **part})

    def _text_of(self, chosen: Chosen, what: str) -> str:
        if what in {"uris", "arns"}:
            return chosen.location.uri if what == "uris" else self._objects.arn(chosen.location)
        return self._objects.cells(chosen.location, is_prefix=chosen.is_prefix).get(what, "")

    def download(self, page: str, id: str, serial: int, *, save: bool) -> None:  # noqa: A002
        """Send the object in the panel to the browser, or save it in the notebook's folder."""
        subject = self._current_subject(page, serial)
        if subject and not subject.is_prefix:
            self._downloads.one(page, id, subject, save=save)

    def zip(self, page: str, id: str, *, save: bool) -> None:  # noqa: A002
        """Send the page's selection as one file, or save it in the notebook's folder."""
        self._downloads.several(page, id, self._selected(), save=save)

    def taken(self, page: str, id: str, size: int) -> None:  # noqa: A002
        """Record that a page has received a whole file."""
        self._downloads.taken(page, id, size)

    def restore(self, page: str, id: str, serial: int, version: str | None) -> None:  # noqa: A002
        """Make a version of the object in the panel the current one; without one, undo its deletion."""
        subject = self._current_subject(page, serial)
        if subject is None:
            return
        if version is None:
            self._restores.undelete(page, id, subject)
        elif known := self.panel.known(version):
            self._restores.version(page, id, subject, known)

    def thaw(self, page: str, id: str, serial: int, tier: str) -> None:  # noqa: A002
        """Request a copy of the object in the panel from the archive."""
        subject = self._current_subject(page, serial)
        if subject and (description := self.panel.description):
            self._restores.thaw(page, id, subject, description, tier)

    def upload(self, page: str, id: str, *, name: str, size: int, mime: str, here: str) -> None:  # noqa: A002
        """Upload a file into the focused folder, which must be the page's `here`."""
        folder = self._navigator.cursor.location
        if folder is None or not folder.bucket or not name:
            self._navigator.say("Open a bucket or a folder first")
        elif where(folder) != here:
            self._navigator.say("Another folder is shown now: nothing was uploaded")
        else:
            self._uploads.begin(page, id, folder, name, size=size, mime=mime)

    def chunk(self, id: str, at: int, buffers: Sequence[Any]) -> None:  # noqa: A002
        """Take the next piece of an upload."""
        self._uploads.chunk(id, at, buffers)

    def delete(self, page: str, id: str) -> None:  # noqa: A002
        """Delete the page's selection, after confirmation."""
        self._deletions.begin(page, id, self._selected())

    def _selected(self) -> list[Chosen]:
        """Return the page's selection, without deleted objects."""
        places = map(self._navigator.tree.row_at, self._navigator.cursor.selected)
        chosen = [_chosen(*row) for row in places if row and not row[0].rows.is_deleted(row[1])]
        return [each for each in chosen if each.location.bucket]

    def confirm(self, page: str, id: str, question: str) -> None:  # noqa: A002
        """Answer a question with yes."""
        if not self.tasks.confirm(page, id, question):
            self._navigator.say("That question is no longer open: nothing was done")

    def halt(self, page: str, id: str) -> None:  # noqa: A002
        """Stop a task, answer its question with no, or remove its line; without an id, stop loading the panel."""
        if id:
            self.tasks.stop(page, id)
        else:
            self.panel.halt()

    def _restored(self, location: Location, description: Description) -> None:
        folder = replace(location, key=location.key[: location.key.rfind("/", 0, -1) + 1])
        self._uploaded(folder, location, description)

    def _uploaded(self, folder: Location, location: Location, description: Description) -> None:
        self.panel.replaced(location)
        entry = TreeEntry(
            location,
            size=description.size,
            last_modified=description.last_modified,
            etag=description.etag,
            storage_class=description.storage_class,
        )
        self._navigator.put(folder, entry)

    def _deleted(self, chosen: Sequence[Chosen], objects: SeenObjects, *, whole: bool) -> None:
        """Remove the rows of deleted objects; list the folders again if some may remain."""
        navigator = self._navigator
        subject = self.panel.subject
        if subject and subject.location.key in objects.keys.get(subject.location.bucket, ()):
            self.panel.forget(subject.location)
        if whole:
            removed = {bucket: set(keys) for bucket, keys in objects.keys.items()}
            for each in chosen:
                if each.is_prefix and self._is_empty(each):
                    removed.setdefault(each.location.bucket, set()).add(each.location.key)
            return navigator.drop(removed)
        with navigator.lock:
            folders = list(navigator.tree.root.family())
        touched = {each.location for each in folders if each.location and _holds(each.location, objects)}
        return navigator.relist(touched)

    def _is_empty(self, chosen: Chosen) -> bool:
        """Whether a folder is empty; objects added meanwhile stay."""
        with suppress(S3ConnError):
            return not len(self._objects.find([chosen], 1, lambda: False))
        return False


def _chosen(folder: Folder, row: int) -> Chosen:
    rows, size = folder.rows, folder.rows.sizes[row]
    return Chosen(rows.location(row), rows.is_prefix(row), None if size == NO_SIZE else size, rows.etags[row])


def _holds(location: Location, objects: SeenObjects) -> bool:
    """Whether any of the keys is below a location."""
    return any(key.startswith(location.key) for key in objects.keys.get(location.bucket, ()))


STYLES = ("colours.css", "explorer.css", "details.css", "treemap.css")
_ROWS_AT_MOST = 1_000
_FIRST_ROWS = (0, 100)
_LOG = logging.getLogger(__name__)


class Explorer(ForPython, anywidget.AnyWidget):
    """A tree of buckets, folders and objects.

    Several pages may show it. Open folders, order and panel are shared by all; focus, selection and questions belong to
    a page, which names itself in its messages.

    Args:
        children: lists the children of a location; called in background threads.
        title: shown before the buckets, such as the connection's name.
        location: the root; None for the buckets.
        first: the first page of the root, if already listed; otherwise it is listed when shown.
        objects: access to single objects; without it there is only the tree.

    Attributes:
        location: the open folder that has the focus, or the folder of the focused row, on the page whose user acted
            last; observable.
        selection: the `s3://` URIs of the rows selected on that page; observable.
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
        self._object_actions = ObjectActions(self._navigator, objects, self._send_json) if objects else None
        super().__init__()
        self.set_trait("location", location)
        self.on_msg(self._receive)

    def select(self, uris: Iterable[str]) -> tuple[str, ...]:
        """Select exactly the shown rows with these `s3://` URIs.

        Returns:
            The new selection.
        """
        with self._navigator.lock:
            self._navigator.select(set(uris))
            return self._navigator.cursor.uris

    def close(self) -> None:
        """Stop everything and remove the explorer from the page."""
        self._navigator.stop()
        if self._object_actions:
            self._object_actions.close()
        super().close()

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
            # Pages also send it on their own, so it does not show who acts.
            actions.halt(page, **message)
        elif kind in ACTIONS:
            # Under the lock: no update may mark this message as seen before it has taken effect.
            with navigator.lock:
                self._acting_page(page).seen = seq
                getattr(navigator, kind)(**message)
            if kind == "begin" and actions:
                actions.again(page)
            elif kind == "refresh" and actions:
                actions.panel.retry()  # the panel's content is refreshed, too
        elif actions:
            with navigator.lock:
                self._acting_page(page)
                getattr(actions, kind)(page, **message)

    def _acting_page(self, name: str) -> PageCursor:
        """Make a page the acting one; it gets updates from now on."""
        cursor = self._navigator.turn(name)
        cursor.window = cursor.window or _FIRST_ROWS
        return cursor

    def _send_json(self, message: dict[str, Any], buffers: Any = None) -> None:
        """Send a message as ASCII text, since a lone surrogate in a key would break the channel."""
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
        """Send the state to all pages and to Python; the acting page also gets rows if they changed."""
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
            except Exception:  # noqa: BLE001 - exceptions of observers must not end a listing
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
