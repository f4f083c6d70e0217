"""The focus and selection of one page that shows the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Collection

    from s3conn_magic.explorer import Children
    from s3conn_magic.explorer.tree import Folder, FolderTree, Place, Rows, TreeLine
    from s3conn_magic.locations import Location

SELECTED_AT_MOST = 1_000
SCANNED_AT_MOST = 100_000

Mode = Literal["one", "move", "toggle", "range"]


class PageCursor:
    """One page's focus and selection. The focus is a folder and a row; row -1 is the folder's end.

    Only rows that are shown can be selected: not those of closed folders or of another tree.

    Attributes:
        selected: the selected rows, in the order of selection.
        said: number of messages shown to this page's user so far, and the last one.
        seen: number of the page's last message that has taken effect.
        window: first line (inclusive) and last line (exclusive) that the page shows; None until its first message.
        version: version of the lines last sent to the page.
    """

    def __init__(self, tree: FolderTree) -> None:
        self.selected: dict[Place, Location] = {}
        self.said = (0, "")
        self.seen = 0
        self.window: tuple[int, int] | None = None
        self.version = 0
        self._neighbour_names: list[str] = []
        self.plant(tree)

    def plant(self, tree: FolderTree) -> None:
        """Move to the first line of another tree and clear the selection."""
        self.tree = tree
        self.selected.clear()
        self.folder, self.row = tree.root, tree.at_rank(tree.root, 0)
        self._anchor = self.folder, self.row

    def say(self, text: str) -> None:
        """Show a message to this page's user."""
        if text:
            self.said = (self.said[0] + 1, text)

    @property
    def place(self) -> Place:
        """The focused line."""
        return self.folder.number, self.row

    @property
    def position(self) -> int:
        """Index of the focused line, from the top."""
        return self.tree.position(self.folder, self.row)

    @property
    def uris(self) -> tuple[str, ...]:
        """The exact URIs of the selected rows; a connection has none."""
        return tuple(each.uri for each in self.selected.values() if each.bucket)

    @property
    def location(self) -> Location | None:
        """The focused folder if it is open, otherwise the folder of the focused line."""
        child = self.folder.children.get(self.row)
        return child.location if child and child.open else self.folder.location

    def move(self, folder: Folder, row: int) -> None:
        """Move the focus to a line."""
        self.folder, self.row = folder, row

    def stand(self, folder: Folder, row: int, mode: Mode) -> str:
        """Focus a line and select as `choose` does; if the line is gone, only move the focus close to it.

        Returns:
            A message for the user, or an empty text.
        """
        self.move(folder, row)
        if self._is_shown(folder, row):
            return self.choose(mode)
        self.settle()
        return ""

    def choose(self, mode: Mode) -> str:
        """Select only the focused row, keep the selection (`move`), `toggle` the row, or select the range up to it.

        Returns:
            A message for the user, or an empty text.
        """
        if mode == "range":
            return self._choose_range(self._anchor_position(), self.position)
        if mode != "move":
            self._anchor = self.folder, self.row
        if mode == "one":
            self.selected.clear()
        if mode in {"one", "toggle"} and self.row >= 0 and self.selected.pop(self.place, None) is None:
            self.selected[self.place] = self.folder.rows.location(self.row)
        return ""

    def choose_all(self) -> str:
        """Select all rows.

        Returns:
            A message for the user, or an empty text.
        """
        return self._choose_range(0, len(self.tree) - 1)

    def select(self, uris: Collection[str]) -> None:
        """Select exactly the shown rows with these URIs, and focus the first."""
        self.selected = {}
        for folder in self.tree.root.family():
            base = folder.rows.base
            names = {uri[len(base) :] for uri in uris if uri.startswith(base)}
            for row in folder.rows.find(names).values():
                self.selected[folder.number, row] = folder.rows.location(row)
                if len(self.selected) == 1:
                    self.move(folder, row)
                    self._anchor = folder, row

    def _anchor_position(self) -> int:
        """Return the start of a range: the row selected last if it is still shown."""
        folder, row = self._anchor
        return self.tree.position(folder, row) if self._is_shown(folder, row) else self.position

    def _is_shown(self, folder: Folder, row: int) -> bool:
        if row < 0:
            return self.tree.folder(folder.number) is folder and bool(self.tree.tail(folder))
        return self.tree.row_at((folder.number, row)) is not None

    def _choose_range(self, first: int, other: int) -> str:
        start, stop = min(first, other), max(first, other) + 1
        lines = self.tree.lines(start, min(stop, start + SELECTED_AT_MOST))
        self.selected = {line.place: line.folder.rows.location(line.row) for line in lines if line.row >= 0}
        return f"Only the first {SELECTED_AT_MOST:,} rows are chosen" if stop - start > SELECTED_AT_MOST else ""

    def typed(self, text: str) -> str:
        """Focus the next row whose name begins with the text (ignoring case), wrapping around at the end.

        Returns:
            A message for the user, or an empty text.
        """
        here = self.position + (len(text) == 1)
        line = self._find_prefix(text, here, min(len(self.tree), here + SCANNED_AT_MOST))
        line = line or self._find_prefix(text, 0, min(here, SCANNED_AT_MOST))
        if line is None:
            return f"No row near here begins with “{visible(text)}”"
        self.move(line.folder, line.row)
        return self.choose("one")

    def _find_prefix(self, text: str, start: int, stop: int) -> TreeLine | None:
        head = text.casefold()
        lines = (line for line in self.tree.lines(start, stop) if line.row >= 0)
        return next((each for each in lines if each.folder.rows.names[each.row].casefold().startswith(head)), None)

    def settle(self) -> None:
        """Leave lines that are no longer shown: move the focus to the nearest line, and deselect them."""
        above: Folder | None = self.folder
        while above and above.parent:
            if above.parent.children.get(above.row) is not above:
                self.move(above.parent, self.tree.at_rank(above.parent, 0))
            elif not above.open:
                self.move(above.parent, above.row)
            above = above.parent
        if self.tree.filter:
            self._leave_filtered()
        if self.row < 0 and not self.tree.tail(self.folder):
            self.row = self.tree.at_rank(self.folder, self.tree.count(self.folder) - 1)
            if self.row < 0 and self.folder.parent:  # the folder shows none of its rows
                self.move(self.folder.parent, self.folder.row)
        if self.selected:
            self.selected = {place: each for place, each in self.selected.items() if self.tree.row_at(place)}

    def _leave_filtered(self) -> None:
        """Move the focus out of rows and folders that are filtered out."""
        above: Folder | None = self.folder
        while above and above.parent:
            if not self.tree.shows(above.parent, above.row):
                self.move(above.parent, self.tree.at_rank(above.parent, 0))
            above = above.parent
        if self.row >= 0 and not self.tree.shows(self.folder, self.row):
            self.row = self.tree.at_rank(self.folder, 0)

    def held(self, folder: Folder) -> dict[int, str]:
        """Return the names of the folder's rows that are focused, selected or the anchor, by row."""
        self._neighbour_names = self._neighbours() if self.folder is folder and self.row >= 0 else []
        rows = {row for number, row in self.selected if number == folder.number}
        rows |= {row for where, row in ((self.folder, self.row), self._anchor) if where is folder and row >= 0}
        return {row: folder.rows.names[row] for row in rows}

    def _neighbours(self) -> list[str]:
        """Return the names of the rows near the focused one: those below it, then those above."""
        folder, rank = self.folder, self.tree.rank(self.folder, self.row)
        below = range(rank + 1, min(rank + 1 + SELECTED_AT_MOST, self.tree.count(folder)))
        above = range(rank - 1, max(rank - 1 - SELECTED_AT_MOST, -1), -1)
        return [folder.rows.names[self.tree.at_rank(folder, each)] for each in (*below, *above)]

    def hold(self, folder: Folder, number: int, held: dict[int, str]) -> None:
        """Restore focus and selection by name in a folder whose rows were replaced; `number` is its old number."""
        rows = folder.rows.find(set(held.values())) if held else {}
        if self.folder is folder and self.row >= 0:
            after = folder.rows.find(set(self._neighbour_names))
            neighbours = [after[name] for name in self._neighbour_names if name in after]
            self.row = rows.get(held[self.row], neighbours[0] if neighbours else self.tree.at_rank(folder, 0))
        if self._anchor[0] is folder:
            self._anchor = folder, rows.get(held.get(self._anchor[1], ""), self.row)
        chosen = self.selected
        self.selected = {}
        for place, location in chosen.items():
            if place[0] != number:
                self.selected[place] = location
            elif held[place[1]] in rows:
                self.selected[folder.number, rows[held[place[1]]]] = location


def take(cursors: Collection[PageCursor], folder: Folder, page: Children) -> None:
    """Add a page to a folder; a focus at the folder's end moves to the first new row."""
    at_end = [cursor for cursor in cursors if (cursor.folder, cursor.row) == (folder, -1)]
    before = len(folder.rows)
    folder.add(page)
    for cursor in at_end:
        cursor.row = cursor.tree.at_rank(folder, before)


def swap(cursors: Collection[PageCursor], folder: Folder, rows: Rows) -> None:
    """Replace a folder's rows; focus and selection follow their rows by name, or move to the next one."""
    number = folder.number
    at_end = [cursor for cursor in cursors if (cursor.folder, cursor.row) == (folder, -1)]
    names_held = [(cursor, cursor.held(folder)) for cursor in cursors]
    folder.swap(rows)
    for cursor, names in names_held:
        cursor.hold(folder, number, names)
    for cursor in at_end:
        cursor.row = -1 if folder.tail() else cursor.tree.at_rank(folder, len(folder.rows) - 1)
