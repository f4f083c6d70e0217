"""The kernel's end of the explorer: an anywidget whose rows travel as messages and never as state."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from s3conn_magic.interrupts import interruptible
from s3conn_magic.locations import Location, visible
from s3conn_magic.views.explorer.actions import MESSAGES, ObjectActions
from s3conn_magic.views.explorer.navigator import Navigator
from s3conn_magic.views.explorer.snapshot import frame, html_table, text_tree
from s3conn_magic.views.explorer.wire import row_messages, state_message

if TYPE_CHECKING:
    import pandas as pd

    from s3conn_magic.views.explorer.model import Children, ChildrenOf, Objects

SCRIPTS = ("explorer.js", "details.js", "lines.js", "treemap.js")
STYLES = ("explorer.css", "details.css", "treemap.css")
"""The browser's end, a file for each part of it; together they are one module and one style sheet."""
_HERE = Path(__file__).parent
_ROWS_AT_MOST = 1_000
_ACTIONS = frozenset(
    "begin toggle right left siblings more cancel stop refresh go crumb clear root up order at typed".split()  # noqa: SIM905
)


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


class Explorer(anywidget.AnyWidget):
    """A tree of buckets, folders and objects.

    Args:
        children: lists the children of a location; called in background threads.
        title: what stands before the buckets, such as the connection's name.
        location: where the tree begins; None for the roots.
        first: the first page of that, where the caller has listed it already; otherwise it is listed when shown.
        objects: looks at single objects and moves their bytes; without it, the tree is all there is.

    Attributes:
        location: the open folder that has the focus, or the folder that holds the row that has it; observable.
        selection: the `s3://` URIs of the chosen rows; observable.
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
        objects: Objects | None = None,
    ) -> None:
        self._title = title
        self._window = (0, 100)
        self._seen = 0
        self._publishing = threading.Lock()
        self._navigator = Navigator(children, self._publish, location, first)
        self._objects = objects
        self._object_actions = ObjectActions(self._navigator, objects, self._tell) if objects else None
        self._sent = 0
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
        kind, seq = message.pop("type"), message.pop("seq", 0)
        if kind == "rows":
            self._send_rows(message["from"], message["to"])
        elif kind in _ACTIONS:
            # Under the lock: no report of a listing may say that this message was seen before it has had its effect.
            with self._navigator.lock:
                self._seen = seq
                getattr(self._navigator, kind)(**message)
            if kind == "begin" and self._object_actions:
                self._object_actions.again()
        elif kind in MESSAGES and self._object_actions:
            more = {"buffers": buffers} if kind == "chunk" else {}
            getattr(self._object_actions, kind)(**message, **more)

    def _tell(self, message: dict[str, Any], buffers: Any = None) -> None:
        """Send a message; as one text of ASCII, since a lone surrogate in a key would break the channel."""
        self.send({"json": json.dumps(message, separators=(",", ":"))}, buffers)

    def _send_rows(self, start: int, stop: int) -> None:
        with self._navigator.lock:
            self._window = (max(start, 0), min(stop, start + _ROWS_AT_MOST))
            lines = self._navigator.tree.lines(*self._window)
            for message in row_messages(lines, self._window[0], self._navigator.version):
                self.send(message)

    def _publish(self) -> None:
        """Tell the browser and Python what is now; rows follow when they have changed."""
        navigator = self._navigator
        with navigator.lock:
            fresh, self._sent = navigator.version != self._sent, navigator.version
            cursor = navigator.cursor
            location, selection = cursor.location, cursor.uris
            self.send(self._state())
            if fresh:
                self._send_rows(*self._window)
        self.set_trait("location", location)
        self.set_trait("selection", selection)

    def _state(self) -> dict[str, str]:
        navigator = self._navigator
        return state_message(
            navigator.tree,
            navigator.cursor,
            title=visible(self._title),
            version=navigator.version,
            seq=self._seen,
            busy=navigator.busy,
            said=navigator.said,
            acts=self._object_actions is not None,
            locked=visible(self._object_actions.locked()) if self._object_actions else "",
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
