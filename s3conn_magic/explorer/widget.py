"""The kernel's end of the explorer: an anywidget whose rows travel as messages and never as state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from s3conn_magic.explorer.actions import MESSAGES, ObjectActions
from s3conn_magic.explorer.basic import frame, html_table, text_tree
from s3conn_magic.explorer.messages import row_messages, state_message
from s3conn_magic.explorer.navigator import Navigator
from s3conn_magic.locations import Location, visible
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    import pandas as pd

    from s3conn_magic.explorer.cursor import PageCursor
    from s3conn_magic.explorer.model import Children, ChildrenOf, ObjectAccess

SCRIPTS = ("explorer.js", "details.js", "lines.js", "treemap.js")
STYLES = ("explorer.css", "details.css", "treemap.css")
"""The browser's end, a file for each part of it; together they are one module and one style sheet."""
_HERE = Path(__file__).parent
_ROWS_AT_MOST = 1_000
_FIRST_ROWS = (0, 100)
_ACTIONS = frozenset(
    "begin toggle right left siblings more cancel stop refresh go crumb clear root up order at typed".split()  # noqa: SIM905
)


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


class Explorer(anywidget.AnyWidget):
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

    _esm = _joined(SCRIPTS)
    _css = _joined(STYLES)
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

    # For Python

    @property
    def frame(self) -> pd.DataFrame:
        """What is shown, as a frame.

        Every loaded row of every open folder, with the columns bucket, key (exact), size (bytes), last_modified (UTC),
        etag, storage_class and is_prefix.
        """
        with self._navigator.lock:
            return frame(self._navigator.tree)

    def to_frame(self, *, recursive: bool = False) -> pd.DataFrame:
        """List `location` now, whole, as LIST does; with `recursive` every object below it.

        Returns:
            bucket, key (exact), size (bytes), last_modified (UTC), etag, storage_class, is_prefix.

        Raises:
            S3ConnError: it cannot be listed.
            NotImplementedError: the explorer was made without `objects`.
        """
        if self._objects is None:
            raise NotImplementedError("this explorer knows a tree only")
        return self._objects.frame(self.location, recursive=recursive)

    def refresh(self) -> None:
        """List every open folder afresh, in the background."""
        self._navigator.refresh()

    def go(self, location: str | Location) -> None:
        """Begin the tree at a location, in the background; what follows its last `/` is the beginning of a name."""
        self._navigator.go(str(location))

    def close(self) -> None:
        """Stop everything that is under way and take the explorer off the page."""
        self._navigator.stop()
        if self._object_actions:
            self._object_actions.close()
        super().close()

    # For the browser

    def _receive(self, _widget: object, content: dict[str, Any], buffers: Any) -> None:
        message = dict(content)
        kind, seq, page = message.pop("type"), message.pop("seq", 0), message.pop("page", "")
        navigator, actions = self._navigator, self._object_actions
        if kind == "rows":
            self._send_rows(page, message["from"], message["to"])
        elif kind == "chunk" and actions:
            actions.chunk(**message, buffers=buffers)
        elif kind == "halt" and actions:
            # A page sends it of itself, too, so it is no sign of who acts.
            actions.halt(page, **message)
        elif kind in _ACTIONS:
            # Under the lock: no report of a listing may say that this message was seen before it has had its effect.
            with navigator.lock:
                self._page(page).seen = seq
                getattr(navigator, kind)(**message)
            if kind == "begin" and actions:
                actions.again(page)
        elif kind in MESSAGES and actions:
            with navigator.lock:
                self._page(page)
                getattr(actions, kind)(page, **message)

    def _page(self, name: str) -> PageCursor:
        """What a page has of its own; it acts, and is told of what is shown from now on."""
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
            location, selection = acting.location, acting.uris
        self.set_trait("location", location)
        self.set_trait("selection", selection)

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
            locked=visible(actions.locked(cursor.location)) if actions else "",
        )

    @interruptible
    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        with self._navigator.lock:
            tree = self._navigator.tree
            data["text/html"] = html_table(self._title, tree)
            data["text/plain"] = text_tree(self._title, tree)
        return data, metadata
