"""The kernel's end of the explorer: an anywidget whose rows travel as messages and never as state."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from s3conn_magic.locations import Location, visible
from s3conn_magic.views.explorer.navigator import Navigator
from s3conn_magic.views.explorer.snapshot import frame, html_table, text_tree
from s3conn_magic.views.explorer.wire import row_messages, state_message

if TYPE_CHECKING:
    import pandas as pd

    from s3conn_magic.views.explorer.model import Children, ChildrenOf

_HERE = Path(__file__).parent
_ROWS_AT_MOST = 1_000
_ACTIONS = frozenset(
    "begin toggle right left siblings more cancel stop refresh go clear root up order at typed".split()  # noqa: SIM905
)


class Explorer(anywidget.AnyWidget):
    """A tree of buckets, folders and objects.

    Args:
        children: lists the children of a location; called in background threads.
        title: what stands before the buckets, such as the connection's name.
        location: where the tree begins; None for the roots.
        first: the first page of that, where the caller has listed it already; otherwise it is listed when shown.

    Attributes:
        location: the open folder that has the focus, or the folder that holds the row that has it; observable.
        selection: the `s3://` URIs of the chosen rows; observable.
    """

    _esm = _HERE / "explorer.js"
    _css = _HERE / "explorer.css"
    location = traitlets.Instance(Location, allow_none=True, read_only=True)
    selection = traitlets.Tuple(read_only=True)

    def __init__(
        self, children: ChildrenOf, *, title: str, location: Location | None = None, first: Children | None = None
    ) -> None:
        self._title = title
        self._window = (0, 100)
        self._seen = 0
        self._publishing = threading.Lock()
        self._navigator = Navigator(children, self._publish, location, first)
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

    def refresh(self) -> None:
        """List every open folder afresh, in the background."""
        self._navigator.refresh()

    def go(self, location: str | Location) -> None:
        """Begin the tree at a location, in the background; what follows its last `/` is the beginning of a name."""
        self._navigator.go(str(location))

    def close(self) -> None:
        """Stop every listing and take the explorer off the page."""
        self._navigator.stop()
        super().close()

    # For the browser

    def _receive(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        message = dict(content)
        kind, seq = message.pop("type"), message.pop("seq", 0)
        if kind == "rows":
            self._send_rows(message["from"], message["to"])
        elif kind in _ACTIONS:
            # Under the lock: no report of a listing may say that this message was seen before it has had its effect.
            with self._navigator.lock:
                self._seen = seq
                getattr(self._navigator, kind)(**message)

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
            location, selection = cursor.location, tuple(each.uri for each in cursor.selected.values())
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
        )

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
