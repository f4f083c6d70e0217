"""The line that has the focus and the rows that are chosen, in one tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from s3conn_magic.locations import Location
    from s3conn_magic.views.explorer.model import Children
    from s3conn_magic.views.explorer.tree import Folder, Line, Place, Tree

SELECTED_AT_MOST = 1_000
SCANNED_AT_MOST = 100_000

Mode = Literal["one", "move", "toggle", "range"]


class Cursor:
    """Focus and choice. A folder and a row name the focus; the row -1 is the folder's end.

    Attributes:
        selected: the chosen rows in the order in which they were chosen.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.selected: dict[Place, Location] = {}
        self.folder, self.row = tree.root, tree.at_rank(tree.root, 0)
        self._anchor = 0

    @property
    def place(self) -> Place:
        """The line that has the focus."""
        return self.folder.number, self.row

    @property
    def position(self) -> int:
        """Which line, counted from the top, has the focus."""
        return self.tree.position(self.folder, self.row)

    @property
    def uris(self) -> tuple[str, ...]:
        """The exact URIs of the chosen rows; a connection has none."""
        return tuple(each.uri for each in self.selected.values() if each.bucket)

    @property
    def location(self) -> Location | None:
        """The open folder that has the focus, or the folder that holds the line that has it."""
        child = self.folder.children.get(self.row)
        return child.location if child and child.open else self.folder.location

    def move(self, folder: Folder, row: int) -> None:
        """Give the focus to a line."""
        self.folder, self.row = folder, row

    def choose(self, mode: Mode) -> str:
        """Choose the focused row alone, leave the choice (`move`), add or take away (`toggle`), or all rows up to it.

        Returns:
            What has to be said, if anything.
        """
        if mode == "range":
            return self._choose_range(self._anchor, self.position)
        if mode != "move":
            self._anchor = self.position
        if mode == "one":
            self.selected.clear()
        if mode in {"one", "toggle"} and self.row >= 0 and self.selected.pop(self.place, None) is None:
            self.selected[self.place] = self.folder.rows.location(self.row)
        return ""

    def _choose_range(self, one: int, other: int) -> str:
        start, stop = min(one, other), max(one, other) + 1
        lines = self.tree.lines(start, min(stop, start + SELECTED_AT_MOST))
        self.selected = {line.place: line.folder.rows.location(line.row) for line in lines if line.row >= 0}
        return f"Only the first {SELECTED_AT_MOST:,} rows are chosen" if stop - start > SELECTED_AT_MOST else ""

    def typed(self, text: str) -> str:
        """Move to the next row whose name begins with the text, in whatever case, from the top again at the end.

        Returns:
            What has to be said, if anything.
        """
        here = self.position + (len(text) == 1)
        found = self._named(text, here, min(len(self.tree), here + SCANNED_AT_MOST))
        found = found or self._named(text, 0, min(here, SCANNED_AT_MOST))
        if found is None:
            return f"No row near here begins with “{visible(text)}”"
        self.move(found.folder, found.row)
        return self.choose("one")

    def _named(self, text: str, start: int, stop: int) -> Line | None:
        head = text.casefold()
        lines = (line for line in self.tree.lines(start, stop) if line.row >= 0)
        return next((each for each in lines if each.folder.rows.names[each.row].casefold().startswith(head)), None)

    def settle(self) -> None:
        """Move a focus whose line is gone to the nearest line that is still shown."""
        above: Folder | None = self.folder
        while above and above.parent:
            if above.parent.children.get(above.row) is not above:
                self.move(above.parent, self.tree.at_rank(above.parent, 0))
            elif not above.open:
                self.move(above.parent, above.row)
            above = above.parent
        if self.row < 0 and not self.folder.tail():
            self.row = self.tree.at_rank(self.folder, len(self.folder.rows) - 1)

    def take(self, folder: Folder, page: Children) -> None:
        """Add a page to a folder; focus and choice stay with their rows, or go on from the folder's end."""
        held = self._held(folder) if folder.replacing else {}
        before = 0 if folder.replacing else len(folder.rows)
        folder.add(page)
        self._hold(folder, held)
        if (self.folder, self.row) == (folder, -1):
            self.row = self.tree.at_rank(folder, before)

    def _held(self, folder: Folder) -> dict[Place, str]:
        places = [place for place in (self.place, *self.selected) if place[0] == folder.number and place[1] >= 0]
        return {place: folder.rows.names[place[1]] for place in places}

    def _hold(self, folder: Folder, held: dict[Place, str]) -> None:
        rows = folder.rows.find(set(held.values())) if held else {}
        if self.place in held:
            self.row = rows.get(held[self.place], self.tree.at_rank(folder, 0))
        chosen = {place: self.selected.pop(place) for place in held if place in self.selected}
        for place, location in chosen.items():
            if held[place] in rows:
                self.selected[folder.number, rows[held[place]]] = location
