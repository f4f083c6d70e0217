"""The explorer without scripts of its own: plain ipywidgets where those cannot load, and snapshots in notebooks.

It uses 17 widget models, whatever it shows. The rows are the state of an ipywidgets `Select`, so a notebook saved with
its widgets' state contains the keys shown.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from html import escape
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Self

import ipywidgets
import numpy as np

from s3conn_magic.errors import BindError, S3ConnError, pip_install
from s3conn_magic.explorer.details import description_values, error_values, preview_values
from s3conn_magic.explorer.messages import crumbs, shown_name, summary, tail_text
from s3conn_magic.explorer.navigator import Navigator
from s3conn_magic.explorer.tree import NO_SIZE, NO_TIME
from s3conn_magic.locations import Location, pasted, size_text, visible
from s3conn_magic.results.cards import NOT_TYPESET, SNAPSHOT_STYLE, joined_styles, show_with_snapshot, snapshot_table
from s3conn_magic.runtime.background import Work
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

    from s3conn_magic.explorer import Children, ChildrenOf, ObjectAccess
    from s3conn_magic.explorer.tree import Folder, FolderTree, TreeLine

LINES_AT_MOST = 100
_HEADINGS = ("Name", "Size", "Modified (UTC)", "Storage class")


def _cells(line: TreeLine) -> tuple[str, str, str, str]:
    """Return name, size, date and storage class as shown; a line at a folder's end only has a text."""
    if line.row < 0:
        text, hint = tail_text(line)
        return (f"{text} {hint}".strip(), "", "", "")
    rows, row = line.folder.rows, line.row
    size, time = rows.sizes[row], rows.times[row]
    when = "" if time == NO_TIME else f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%d %H:%M}"
    weight = "" if size == NO_SIZE else size_text(size)
    return (shown_name(line.folder, row), weight, when, visible(rows.classes[row] or ""))


def _lines(tree: FolderTree) -> tuple[list[TreeLine], str]:
    """Return the first lines, and a note on the rest."""
    lines = [line for line in islice(tree.lines(0, LINES_AT_MOST), LINES_AT_MOST) if line.kind != "pad"]
    rest = len(tree) - LINES_AT_MOST
    return lines, f"{rest:,} more lines are not in this snapshot" if rest > 0 else ""


def heading(title: str, tree: FolderTree) -> str:
    """Return the title and the root's location."""
    where = f" · {tree.root.location.uri}" if tree.root.location else ""
    return visible(f"{title}{where}{tree.root.starting_with}")


def text_tree(title: str, tree: FolderTree) -> str:
    """Return the lines as a text tree."""
    lines, rest = _lines(tree)
    drawn = [f"{'│  ' * line.folder.depth}├─ {'  '.join(filter(None, _cells(line)))}" for line in lines]
    return "\n".join([heading(title, tree), *(drawn or ["├─ (not listed yet)"]), *([f"└─ {rest}"] if rest else [])])


def html_table(title: str, tree: FolderTree) -> str:
    """Return the lines as an HTML table inside `<details>`, without scripts and with every text escaped."""
    lines, rest = _lines(tree)
    return snapshot_table(heading(title, tree), _HEADINGS, map(_html_row, lines), rest, numbers={1})


def _html_row(line: TreeLine) -> tuple[str, ...]:
    name, *others = _cells(line)
    return ("\u2003" * line.folder.depth + name, *others)


def frame(tree: FolderTree) -> pd.DataFrame:
    """Return all loaded rows of all open folders, in display order.

    Returns:
        bucket, key (exact), size (bytes, Int64), last_modified (UTC), etag, storage_class, is_prefix.
    """
    import pandas as pd

    runs = [folder.rows.columns(rows) for folder, rows in tree.runs()]
    sizes = np.concatenate([run.sizes for run in runs])
    times = np.concatenate([run.times for run in runs])
    moments = np.where(times == NO_TIME, np.iinfo(np.int64).min, times).astype("datetime64[ms]")
    return pd.DataFrame(
        {
            "bucket": pd.Series(list(chain.from_iterable(run.buckets for run in runs)), dtype="str"),
            "key": pd.Series(list(chain.from_iterable(run.keys for run in runs)), dtype="str"),
            "size": pd.Series(pd.arrays.IntegerArray(sizes, sizes == NO_SIZE)),
            "last_modified": pd.Series(moments).dt.as_unit("us").dt.tz_localize("UTC"),
            "etag": pd.Series(list(chain.from_iterable(run.etags for run in runs)), dtype="str"),
            "storage_class": pd.Series(list(chain.from_iterable(run.classes for run in runs)), dtype="str"),
            "is_prefix": pd.Series(np.concatenate([run.prefixes for run in runs])),
        }
    )


_HIDING = f"<style>{joined_styles([SNAPSHOT_STYLE])}</style>"
_LOCATION_HINT = "Write s3://bucket/folder/."
_ROWS_AT_MOST = 5_000
_TEXT_AT_MOST = 4_000


class ForPython:
    """The Python interface of both explorers."""

    location: Any
    _title: str
    _navigator: Navigator
    _objects: ObjectAccess | None
    _is_aside = False

    def show_aside(self, title: str) -> Self:
        """Show the explorer beside the notebook, in JupyterLab; its cell then shows only a note.

        Raises:
            S3ConnError: the sidecar library is not installed.
        """
        try:
            from sidecar import Sidecar
        except ImportError:
            hint = f"{pip_install('aside')}, load JupyterLab's page again, and run it again."
            raise S3ConnError("ASIDE needs the library sidecar", hint=hint) from None
        bundle = self._repr_mimebundle_()  # type: ignore[attr-defined] # every widget has it
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        beside = Sidecar(title=visible(title), anchor="split-right")
        beside.outputs = ({"output_type": "display_data", "data": data, "metadata": metadata},)
        self._is_aside = True
        return self

    def _snapshot(self) -> dict[str, Any] | None:
        """Return, once, the note that the cell shows for an explorer beside the notebook; otherwise None."""
        if not self._is_aside:
            return None
        self._is_aside = False
        with self._navigator.lock:
            tree = self._navigator.tree
            note = "It is shown beside the notebook."
            return {"text/html": f"<p>{note}</p>", "text/plain": f"{note}\n{text_tree(self._title, tree)}"}

    @property
    def frame(self) -> pd.DataFrame:
        """The rows shown, as a frame.

        All loaded rows of all open folders, with the columns bucket, key (exact), size (bytes), last_modified (UTC),
        etag, storage_class and is_prefix.
        """
        with self._navigator.lock:
            return frame(self._navigator.tree)

    def to_frame(self, *, recursive: bool = False) -> pd.DataFrame:
        """List `location` completely, as LIST does; with `recursive`, every object below it.

        Returns:
            The columns of `frame`.

        Raises:
            S3ConnError: it cannot be listed.
            NotImplementedError: the explorer was made without `objects`.
        """
        if self._objects is None:
            raise NotImplementedError("this explorer knows a tree only")
        return self._objects.frame(self.location, recursive=recursive)

    def refresh(self) -> None:
        """List all open folders again, in the background."""
        self._navigator.refresh()

    def go(self, location: str | Location) -> None:
        """Show the tree from a location, in the background; text after the last `/` filters by the beginning of names.

        Raises:
            BindError: it is not a location.
        """
        text = location.uri if isinstance(location, Location) else location
        if "://" not in text and not text.startswith("arn:"):
            raise BindError(f"a location begins with s3://, not {visible(text)[:40]!r}", hint=_LOCATION_HINT)
        try:
            pasted(text)
        except ValueError as error:
            raise BindError(str(error), hint=_LOCATION_HINT) from None
        self._navigator.go(text)

    def _ipython_display_(self) -> None:
        if self._is_aside:
            raise NotImplementedError  # the cell shows no widget
        with self._navigator.lock:
            title = heading(self._title, self._navigator.tree)
        show_with_snapshot(self._repr_mimebundle_, title)  # type: ignore[attr-defined] # every widget has it


class BasicExplorer(ForPython, ipywidgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """The explorer made of breadcrumbs, a list and buttons.

    Args:
        children: lists the children of a location; called in background threads.
        title: shown before the buckets, such as the connection's name.
        location: the root; None for the buckets.
        first: the first page of the root, if already listed.
        objects: looks at single objects; without it only folders can be opened.
    """

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
        self._objects = objects
        self._showing = threading.RLock()
        self._work: Work[str] | None = None
        self._shown: tuple[Folder | None, dict[int, str]] = (None, {})
        self._navigator = Navigator(children, self._show, location, first)
        self._build()
        super().__init__([self._crumbs, self._bar, self._rows, self._buttons, self._about], layout=self._wide)
        self.add_class("s3x-told")
        self._navigator.begin()

    def _build(self) -> None:
        self._wide = ipywidgets.Layout(width="100%")
        narrow = ipywidgets.Layout(width="auto")
        style = ipywidgets.ButtonStyle()
        self._crumbs = ipywidgets.HTML(layout=self._wide)
        self._about = ipywidgets.HTML(layout=self._wide, style=self._crumbs.style)
        self._rows = ipywidgets.Select(options=[], rows=14, layout=self._wide)
        self._find = ipywidgets.Text(placeholder="Begins with… or s3://…", continuous_update=False, layout=narrow)

        def button(label: str, act: Callable[[], None]) -> Any:
            control = ipywidgets.Button(description=label, layout=narrow, style=style)
            control.on_click(lambda _: act())
            return control

        self._more = button("Load more", lambda: self._navigator.more(self._navigator.tree.root.number))
        bar = [button("Up", lambda: self._navigator.up(stay_open=False)), self._find, button("Refresh", self.refresh)]
        self._bar = ipywidgets.HBox(bar, layout=self._wide)
        self._buttons = ipywidgets.HBox([button("Open", self._open), self._more], layout=self._wide)
        self._find.observe(lambda change: self._navigator.go(change["new"]), "value")

    @property
    def location(self) -> Location | None:
        """The folder shown."""
        return self._navigator.tree.root.location

    @property
    def selection(self) -> tuple[str, ...]:
        """The exact `s3://` URI of the selected row."""
        with self._navigator.lock:
            row, root = self._rows.value, self._navigator.tree.root
            chosen = [] if row is None or row >= len(root.rows) else [root.rows.location(row)]
        return tuple(each.uri for each in chosen if each.bucket)

    def close(self) -> None:
        """Stop all listings and remove the explorer from the page."""
        self._navigator.stop()
        super().close()

    def _show(self) -> None:
        """Show the current folder; called in any thread that has changed it."""
        with self._showing, self._navigator.lock:
            root = self._navigator.tree.root
            most = min(len(root.rows), _ROWS_AT_MOST)
            rows = [line.row for line in self._navigator.tree.lines(0, most)]
            options = [(_label(root, row), row) for row in rows]
            names = {row: root.rows.names[row] for row in rows}
            if (root, names) != self._shown:
                chosen = self._selected_row(root, names)
                self._shown = root, names
                self._rows.options = options
                self._rows.value = chosen
            self._crumbs.value = self._heading()
            self._more.disabled = root.busy or (root.token is None and root.error is None)

    def _selected_row(self, root: Folder, names: dict[int, str]) -> int | None:
        """Return the current row of the selected name, or None if it is gone; initially the first row."""
        before, old = self._shown
        if before is not root or not old:
            return next(iter(names), None)
        name = old.get(self._rows.value)
        return next((row for row, each in names.items() if each == name), None)

    def _heading(self) -> str:
        navigator = self._navigator
        root = navigator.tree.root
        path = " / ".join([visible(self._title), *(label for label, _ in crumbs(root.location))])
        tails = [line for line in navigator.tree.lines(len(root.rows), len(root.rows) + 1) if line.row < 0]
        text = " ".join(part for line in tails for part in tail_text(line) if part)
        text = text or summary(navigator.cursor) or navigator.said[1]
        cut = f" The first {_ROWS_AT_MOST:,} are shown." if len(root.rows) > _ROWS_AT_MOST else ""
        return _html([("b", path), ("div", text + cut)]) + _HIDING

    def _open(self) -> None:
        """Open the selected folder, or describe the selected object."""
        with self._navigator.lock:
            row, root = self._rows.value, self._navigator.tree.root
            if row is None or row >= len(root.rows):
                return
            if not root.rows.is_prefix(row):
                self._describe(root.rows.location(row))
                return
        self._about.value = ""
        self._navigator.root((root.number, row))

    def _describe(self, location: Location) -> None:
        objects = self._objects
        if objects is None:
            return
        if self._work:
            self._work.cancel()
        self._about.value = _html([("i", f"Reading {visible(location.name)}…")])
        work = self._work = Work[str](lambda _: _about(objects, location))
        work.start(lambda text: self._show_note(work, text), lambda error: self._show_note(work, _problem(error)))

    def _show_note(self, work: Work[str], text: str) -> None:
        if work is self._work:
            self._about.value = text

    @interruptible
    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if snapshot := self._snapshot():
            return snapshot
        data = super()._repr_mimebundle_(**kwargs)
        with self._navigator.lock:
            tree = self._navigator.tree
            return {**data, "text/html": html_table(self._title, tree), "text/plain": text_tree(self._title, tree)}


def _label(folder: Any, row: int) -> str:
    size = folder.rows.sizes[row]
    weight = "" if size == NO_SIZE else f"  ({size_text(size)})"
    return f"{'▸ ' if folder.rows.is_prefix(row) else '   '}{shown_name(folder, row)}{weight}"


def _about(objects: ObjectAccess, location: Location) -> str:
    """Return what an object is, and the beginning of its content."""
    description = objects.describe(location, None)
    preview = objects.preview(location, description, None)
    facts, content = description_values(description), preview_values(preview)
    parts = [("b", visible(location.uri)), *(("div", f"{name}: {value}") for name, value in facts["facts"])]
    parts += [("div", note) for note in (*facts["notes"], *content["notes"])] + [("i", content["summary"])]
    table = content["table"]
    if table:
        lines = [table["columns"], *([cell or "" for cell in row] for row in table["rows"][:20])]
        return _html([*parts, ("pre", "\n".join("  ".join(line) for line in lines))])
    return _html([*parts, ("pre", (content["text"] or "")[:_TEXT_AT_MOST])])


def _problem(error: S3ConnError) -> str:
    values = error_values(error)
    return _html([("b", values["message"]), ("div", values["hint"])])


def _html(parts: Iterable[tuple[str, str]]) -> str:
    inner = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in parts if text)
    return f'<div class="{NOT_TYPESET}">{inner}</div>'
