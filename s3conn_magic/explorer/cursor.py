"""What each page that shows the tree has of its own: the line that has the focus, and the rows that are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Collection

    from s3conn_magic.explorer.model import Children
    from s3conn_magic.explorer.tree import Folder, FolderTree, Place, Rows, TreeLine
    from s3conn_magic.locations import Location

SELECTED_AT_MOST = 1_000
SCANNED_AT_MOST = 100_000

Mode = Literal["one", "move", "toggle", "range"]


class PageCursor:
    """One page's focus and choice. A folder and a row name the focus; the row -1 is the folder's end.

    Only rows that are shown are chosen: those of a folder that is closed, or of another tree, are not any more.

    Attributes:
        selected: the chosen rows in the order in which they were chosen.
        said: how many messages were said to the user of this page so far, and the last one.
        seen: the number of the page's last message that has had its effect.
        window: the lines that the page looks at, from and up to; None for a page that has not spoken yet.
        version: of the lines that the page was told of.
    """

    def __init__(self, tree: FolderTree) -> None:
        self.selected: dict[Place, Location] = {}
        self.said = (0, "")
        self.seen = 0
        self.window: tuple[int, int] | None = None
        self.version = 0
        self._after: list[str] = []
        self.plant(tree)

    def plant(self, tree: FolderTree) -> None:
        """Go to the first line of another tree, and choose nothing."""
        self.tree = tree
        self.selected.clear()
        self.folder, self.row = tree.root, tree.at_rank(tree.root, 0)
        self._anchor = self.folder, self.row

    def say(self, text: str) -> None:
        """Say something to the user of this page."""
        if text:
            self.said = (self.said[0] + 1, text)

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

    def stand(self, folder: Folder, row: int, mode: Mode) -> str:
        """Give the focus to a line and choose as `choose` does; where it is gone meanwhile, the focus alone goes near.

        Returns:
            What has to be said, if anything.
        """
        self.move(folder, row)
        if self._is_shown(folder, row):
            return self.choose(mode)
        self.settle()
        return ""

    def choose(self, mode: Mode) -> str:
        """Choose the focused row alone, leave the choice (`move`), add or take away (`toggle`), or all rows up to it.

        Returns:
            What has to be said, if anything.
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
        """Choose every row.

        Returns:
            What has to be said, if anything.
        """
        return self._choose_range(0, len(self.tree) - 1)

    def select(self, uris: Collection[str]) -> None:
        """Choose the rows of these URIs that are shown, alone; the first one gets the focus."""
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
        """Return where a range begins: at the row that was chosen last, as long as it is shown."""
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
        """Move to the next row whose name begins with the text, in whatever case, from the top again at the end.

        Returns:
            What has to be said, if anything.
        """
        here = self.position + (len(text) == 1)
        line = self._named(text, here, min(len(self.tree), here + SCANNED_AT_MOST))
        line = line or self._named(text, 0, min(here, SCANNED_AT_MOST))
        if line is None:
            return f"No row near here begins with “{visible(text)}”"
        self.move(line.folder, line.row)
        return self.choose("one")

    def _named(self, text: str, start: int, stop: int) -> TreeLine | None:
        head = text.casefold()
        lines = (line for line in self.tree.lines(start, stop) if line.row >= 0)
        return next((each for each in lines if each.folder.rows.names[each.row].casefold().startswith(head)), None)

    def settle(self) -> None:
        """Leave lines that are not shown any more: the focus for the nearest one, the choice for good."""
        above: Folder | None = self.folder
        while above and above.parent:
            if above.parent.children.get(above.row) is not above:
                self.move(above.parent, self.tree.at_rank(above.parent, 0))
            elif not above.open:
                self.move(above.parent, above.row)
            above = above.parent
        if self.tree.filter:
            self._settle_among_shown()
        if self.row < 0 and not self.tree.tail(self.folder):
            self.row = self.tree.at_rank(self.folder, self.tree.count(self.folder) - 1)
            if self.row < 0 and self.folder.parent:  # the folder shows nothing of what is in it
                self.move(self.folder.parent, self.folder.row)
        if self.selected:
            self.selected = {place: each for place, each in self.selected.items() if self.tree.row_at(place)}

    def _settle_among_shown(self) -> None:
        """Leave a row, or a folder, that is filtered out."""
        above: Folder | None = self.folder
        while above and above.parent:
            if not self.tree.shows(above.parent, above.row):
                self.move(above.parent, self.tree.at_rank(above.parent, 0))
            above = above.parent
        if self.row >= 0 and not self.tree.shows(self.folder, self.row):
            self.row = self.tree.at_rank(self.folder, 0)

    def held(self, folder: Folder) -> dict[int, str]:
        """Return the folder's rows that have the focus, the anchor or are chosen, by their names."""
        self._after = self._neighbours() if self.folder is folder and self.row >= 0 else []
        rows = {row for number, row in self.selected if number == folder.number}
        rows |= {row for where, row in ((self.folder, self.row), self._anchor) if where is folder and row >= 0}
        return {row: folder.rows.names[row] for row in rows}

    def _neighbours(self) -> list[str]:
        """Return the names of the rows beside the one that has the focus: those below it, then those above."""
        folder, rank = self.folder, self.tree.rank(self.folder, self.row)
        below = range(rank + 1, min(rank + 1 + SELECTED_AT_MOST, self.tree.count(folder)))
        above = range(rank - 1, max(rank - 1 - SELECTED_AT_MOST, -1), -1)
        return [folder.rows.names[self.tree.at_rank(folder, each)] for each in (*below, *above)]

    def hold(self, folder: Folder, number: int, held: dict[int, str]) -> None:
        """Keep focus and choice with their rows in a folder whose rows were replaced; it had this number before."""
        rows = folder.rows.find(set(held.values())) if held else {}
        if self.folder is folder and self.row >= 0:
            after = folder.rows.find(set(self._after))
            near = [after[name] for name in self._after if name in after]
            self.row = rows.get(held[self.row], near[0] if near else self.tree.at_rank(folder, 0))
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
    """Add a page to a folder; who stood at its end goes on from there."""
    at_end = [cursor for cursor in cursors if (cursor.folder, cursor.row) == (folder, -1)]
    before = len(folder.rows)
    folder.add(page)
    for cursor in at_end:
        cursor.row = cursor.tree.at_rank(folder, before)


def swap(cursors: Collection[PageCursor], folder: Folder, rows: Rows) -> None:
    """Have other rows in a folder; focus and choice stay with their rows, or go to the next one that is there."""
    number = folder.number
    at_end = [cursor for cursor in cursors if (cursor.folder, cursor.row) == (folder, -1)]
    held = [(cursor, cursor.held(folder)) for cursor in cursors]
    folder.swap(rows)
    for cursor, names in held:
        cursor.hold(folder, number, names)
    for cursor in at_end:
        cursor.row = -1 if folder.tail() else cursor.tree.at_rank(folder, len(folder.rows) - 1)
