"""The user's actions on the tree: one method each, all safe to call from any thread."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from s3conn_magic.explorer import FolderListing, Through, Wanted, connection_name
from s3conn_magic.explorer.cursor import Mode, PageCursor, swap, take
from s3conn_magic.explorer.messages import ancestors
from s3conn_magic.explorer.tree import NO_SIZE, Folder, FolderTree, Place, Rows, Sort
from s3conn_magic.language.words import sentence
from s3conn_magic.locations import Location, pasted
from s3conn_magic.runtime.patterns import Glob

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.explorer import Children, ChildrenOf, TreeEntry
    from s3conn_magic.explorer.tree import SortKey

_P = ParamSpec("_P")
OPENED_AT_ONCE = 50
AT_ONCE = 4
"""Concurrent listings."""
NEWS_EVERY = 0.2
"""Seconds between reports of a listing that loads everything."""
HITS_AT_MOST = 10_000
"""Matches after which a search ends."""
_PAGE = 1_000
_LETTERS_AT_MOST = 60
PAGES_AT_MOST = 8
"""Pages that get updates; closed or reloaded pages never sign off."""


_WILDCARDS = frozenset("*?[{")


def search_glob(text: str) -> str:
    """Return the glob for a search below a folder: anything but a pattern matches as a substring, ignoring case."""
    if _WILDCARDS & set(text):
        return text if "/" in text else f"**/{text}"
    letters = (f"[{each.lower()}{each.upper()}]" if each.isascii() and each.isalpha() else each for each in text)
    exact = sum(each.isalpha() for each in text) > _LETTERS_AT_MOST
    return f"**{text if exact else ''.join(letters)}**"


def _changes_lines(method: Callable[Concatenate[Navigator, _P], None]) -> Callable[Concatenate[Navigator, _P], None]:
    """Make a method change the tree under the lock, and notify all pages afterwards."""

    @wraps(method)
    def called(self: Navigator, /, *args: _P.args, **keys: _P.kwargs) -> None:
        with self.lock:
            method(self, *args, **keys)
        self.restructured()

    return called


class Navigator:
    """The tree, and the focus and selection of each page that shows it.

    Attributes:
        version: incremented with every change of the lines.
        shows_deleted: whether folders include deleted objects.
        cursors: by page; last the page whose user acted last.
    """

    def __init__(
        self, children: ChildrenOf, changed: Callable[[], None], location: Location | None, first: Children | None
    ) -> None:
        self.lock = threading.RLock()
        self.version = 1
        self.shows_deleted = False
        self._children = children
        self._changed = changed
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._sent_at = 0.0
        root = Folder(location)
        if first is not None:
            root.add(first)
        self.tree = FolderTree(root)
        self.cursors = {"": PageCursor(self.tree)}
        # The tree before a search, with each page's focused line; and the folder left by a step up, which stays open.
        self._before: tuple[FolderTree, dict[str, tuple[Folder, int]]] | None = None
        self._left_folder: Folder | None = None

    @property
    def cursor(self) -> PageCursor:
        """Focus and selection of the page whose user acted last."""
        return next(reversed(self.cursors.values()))

    @property
    def said(self) -> tuple[int, str]:
        """Number of messages shown to that page's user so far, and the last one."""
        return self.cursor.said

    def turn(self, page: str) -> PageCursor:
        """Make a page the acting one; a new page takes over the last one's focus, without its selection."""
        with self.lock:
            cursor = self.cursors.get(page)
            if cursor is None:
                cursor = PageCursor(self.tree)
                cursor.move(self.cursor.folder, self.cursor.row)
            others = [(name, other) for name, other in self.cursors.items() if name != page]
            self.cursors = dict([*others[1 - PAGES_AT_MOST :], (page, cursor)])
            return cursor

    @property
    def busy(self) -> bool:
        """Whether a listing is running."""
        return any(folder.busy for folder in self.tree.root.family())

    @_changes_lines
    def begin(self) -> None:
        """Handle a newly opened page: list the root unless that was done, and send everything."""
        root = self.tree.root
        if not (root.listed or root.busy or root.stopped or root.error):
            self._list(root)

    @_changes_lines
    def toggle(self, place: Place) -> None:
        """Open a closed folder, or close an open one."""
        if line := self._row(place):
            child = line[0].child(line[1])
            self.cursor.move(*line)
            (self._close if child.open else self._open)(child)

    @_changes_lines
    def right(self, place: Place) -> None:
        """Open the folder, or move into an open one."""
        line = self._row(place)
        child = line[0].child(line[1]) if line else None
        if child and child.open:
            self.cursor.move(child, self.tree.at_rank(child, 0))
            self.cursor.choose("one")
        elif child:
            self._open(child)

    @_changes_lines
    def left(self, place: Place) -> None:
        """Close the folder, or move to the enclosing one."""
        folder, row = self.tree.folder(place[0]), place[1]
        child = folder.children.get(row) if folder else None
        if child and child.open:
            self._close(child)
        elif folder and folder.parent:
            self.cursor.move(folder.parent, folder.row)
            self.cursor.choose("one")

    @_changes_lines
    def siblings(self, place: Place) -> None:
        """Open all folders in the folder of this line, up to a limit."""
        if folder := self.tree.folder(place[0]):
            rows = [row for row in range(len(folder.rows)) if folder.rows.is_prefix(row)]
            for row in rows[:OPENED_AT_ONCE]:
                self._open(folder.child(row))
            if len(rows) > OPENED_AT_ONCE:
                self.cursor.say(f"Opened the first {OPENED_AT_ONCE} of {len(rows):,} folders")

    def _open(self, folder: Folder) -> None:
        folder.open = True
        if not folder.listed and not folder.busy:
            self._list(folder)

    def _close(self, folder: Folder) -> None:
        for each in folder.family():
            self._cancel(each)
        folder.open = False

    @_changes_lines
    def more(self, number: int, every: bool = False) -> None:
        """List the folder's next page, or with `every` all remaining ones; after an error, the failed page again."""
        folder = self.tree.folder(number)
        if folder and not folder.busy:
            self._list(folder, every=every)

    @_changes_lines
    def cancel(self, number: int) -> None:
        """Stop the listing of a folder; rows that have arrived stay."""
        if folder := self.tree.folder(number):
            self._cancel(folder)

    @_changes_lines
    def stop(self) -> None:
        """Stop all listings."""
        for folder in self.tree.root.family():
            self._cancel(folder)

    @_changes_lines
    def refresh(self) -> None:
        """List all open folders again; old rows stay until the new ones are complete."""
        self._refresh(list(self.tree.root.family()))

    @_changes_lines
    def deleted(self, shown: bool) -> None:
        """Show or hide deleted objects in all open folders."""
        if shown != self.shows_deleted:
            self.shows_deleted = shown
            for folder in self.tree.root.everything():
                folder.token, folder.listed = None, folder.listed and folder.open
            self._refresh(list(self.tree.root.family()))

    @_changes_lines
    def relist(self, locations: Collection[Location | None]) -> None:
        """List those of these folders that are open again."""
        self._refresh([each for each in self.tree.root.family() if each.location in locations])

    def _refresh(self, folders: list[Folder]) -> None:
        for folder in folders:
            self._cancel(folder)
            folder.replacing = True
            self._list(folder, every=folder.token is None and len(folder.rows) > _PAGE)

    def _list(self, folder: Folder, *, every: bool = False) -> None:
        folder.error, folder.stopped, folder.cut = None, False, False
        wanted = Wanted(
            folder.location,
            None if folder.replacing else folder.token,
            folder.starting_with,
            folder.matching,
            every,
            len(folder.rows) if folder.replacing else 0,
            self.shows_deleted and folder.location is not None and bool(folder.location.bucket),
        )
        listing = FolderListing(
            self._children, wanted, self._slots, lambda which, page: self._arrived(folder, which, page)
        )
        folder.listing = listing
        # The rows shown stay until all that replace them are there.
        collects = folder.replacing or (listing.is_whole and not folder.matching)
        folder.collected = Rows(folder.location) if collects else None
        listing.start(lambda _: self._ended(folder, listing, None), lambda error: self._ended(folder, listing, error))

    def _cancel(self, folder: Folder) -> None:
        if folder.listing:
            folder.listing.cancel()
            folder.listing, folder.collected, folder.stopped, folder.replacing = None, None, True, False

    def _arrived(self, folder: Folder, listing: FolderListing, page: Children) -> None:
        with self.lock:
            if folder.listing is not listing:
                return
            if folder.collected is not None:
                folder.collected.take(page)
                folder.token_at_end, folder.badge = page.token, page.badge or folder.badge
            elif page.entries or page.columns or not folder.matching:
                take(self.cursors.values(), folder, page)
                self._reattach(folder)
                if listing.is_over:
                    folder.listing = None
            folder.seen = page.seen
            if folder.matching and len(folder.rows) >= HITS_AT_MOST:
                self._cancel(folder)
                folder.cut = True
            now = time.monotonic()
            quiet = (listing.is_whole or folder.collected is not None) and now - self._sent_at < NEWS_EVERY
        if not quiet:
            self._sent_at = now
            self.restructured()

    def _ended(self, folder: Folder, listing: FolderListing, error: S3ConnError | None) -> None:
        collected = folder.collected
        if collected is not None and error is None:
            collected.order(*self.tree.sort)  # without the lock: a million names take a while
        with self.lock:
            if folder.listing is not listing:
                return
            if error is None and collected is not None:
                swap(self.cursors.values(), folder, collected)
                folder.token = folder.token_at_end
                folder.show_badge()
                self._reattach(folder)
            folder.listing, folder.error, folder.collected, folder.replacing = None, error, None, False
            folder.listed = folder.listed or error is None
        self.restructured()

    def _reattach(self, folder: Folder) -> None:
        """Reattach the folder that a step up came from, with its open folders, once its row is listed."""
        child = self._left_folder
        if child is None or child.location is None or folder is not self.tree.root:
            return
        name = child.location.uri.removeprefix(folder.rows.base)
        row = folder.rows.find({name}).get(name)
        if row is None or not folder.rows.is_prefix(row):
            return
        self._left_folder = None
        child.parent, child.row, child.open = folder, row, True
        folder.children[row] = child
        for cursor in self.cursors.values():
            if cursor.folder is folder:
                cursor.move(folder, row)

    @_changes_lines
    def drop(self, keys: Mapping[str, Collection[str]]) -> None:
        """Remove the rows of these keys by bucket, wherever they are loaded."""
        for bucket, gone_there in keys.items():
            self._forget_sizes(bucket, gone_there)
        for folder in self.tree.root.everything():
            at = folder.location
            if at is not None and at.bucket in keys:
                base = len(at.key)
                names = {key[base:] for key in keys[at.bucket] if key.startswith(at.key)}
                if folder.rows.find(names):
                    swap(self.cursors.values(), folder, folder.rows.changed(names))

    @_changes_lines
    def put(self, folder: Location, entry: TreeEntry) -> None:
        """Add or update the row of an object written to a folder, unless it belongs to pages not loaded yet."""
        self._forget_sizes(folder.bucket, [entry.location.key])
        for each in self.tree.root.everything():
            if each.location != folder or not each.listed or each.matching:
                continue
            name = entry.location.key[len(folder.key) :]
            is_loaded = each.token is None or (bool(len(each.rows)) and name <= max(each.rows.names))
            if is_loaded and name.startswith(each.starting_with):
                swap(self.cursors.values(), each, each.rows.changed([], [entry]))

    @_changes_lines
    def sized(self, at: Location, sizes: Mapping[str, int]) -> None:
        """Set the sizes of folders by URI, wherever they are loaded through the same connection."""
        for folder in self.tree.root.everything():
            base = folder.rows.base
            if connection_name(folder.location) == connection_name(at) and not folder.matching:
                folder.rows.fill({uri[len(base) :]: size for uri, size in sizes.items() if uri.startswith(base)})

    def _forget_sizes(self, bucket: str, keys: Collection[str]) -> None:
        """Remove the sizes of all folders that contain changed keys."""
        uris = {Location(bucket, key[:end]).uri for key in keys for end, each in enumerate(f"/{key}") if each == "/"}
        for folder in self.tree.root.everything():
            base = folder.rows.base
            folder.rows.fill({uri[len(base) :]: NO_SIZE for uri in uris if uri.startswith(base)})

    def go(self, text: str) -> None:
        """Show the tree from an `s3://` location; any other text filters the current folder by the beginning of names.

        An empty text shows the roots.
        """
        try:
            location, starting_with = self._target(text)
        except ValueError as error:
            self.cursor.say(sentence(str(error)))
            return self._changed()
        return self.visit(location, starting_with)

    def crumb(self, index: int) -> None:
        """Show the location of a breadcrumb; the first one shows the roots."""
        places = [None, *ancestors(self.cursor.location)]
        if 0 <= index < len(places):
            self.visit(places[index])

    @_changes_lines
    def visit(self, location: Location | None, starting_with: str = "") -> None:
        """Focus a folder that is open, or else show the tree from it; None for the roots."""
        shown = None if starting_with else self.tree.find(location) if location else None
        if shown:
            self.cursor.move(*((shown.parent, shown.row) if shown.parent else (shown, self.tree.at_rank(shown, 0))))
        else:
            if starting_with and location == self.cursor.location:
                self._remember()
            self._show_root(location, starting_with)

    def _target(self, text: str) -> tuple[Location | None, str]:
        if "://" not in text:
            return (self.cursor.location, text) if text else (None, "")
        # The listing function may know which server a URL must belong to.
        read = getattr(self._children, "pasted", lambda text, _: pasted(text).location)
        location = self._with_connection(read(text, self.cursor.location))
        head, slash, tail = location.key.rpartition("/")
        return replace(location, key=head + slash), tail

    def _with_connection(self, location: Location) -> Location:
        """Return a typed location with the focused connection, if there are several."""
        place, root = self.cursor.location, self.tree.root
        if place is None and len(root.rows) and root.rows.is_connection(0):
            place = root.rows.location(self.cursor.row) if self.cursor.folder is root and self.cursor.row >= 0 else None
            if place is None:
                raise ValueError("open a connection first: there are several")
        return Through(location.bucket, location.key, place.connection) if isinstance(place, Through) else location

    def search(self, text: str) -> None:
        """Go to an `s3://` location; search any other text, or a glob, below the current folder.

        If searching is impossible, filter by the beginning of names.
        """
        here = self.cursor.location
        if "://" in text or not text or here is None or not here.bucket or not hasattr(self._children, "everything"):
            return self.go(text)
        try:
            Glob.compile(glob := search_glob(text))
        except ValueError as error:
            return self.say(f"This is not a pattern: {error}")
        return self._search(here, text, glob)

    @_changes_lines
    def filter(self, text: str) -> None:
        """Show only loaded rows whose name contains a text, ignoring case; all rows if it is empty."""
        self.tree.filter = text.casefold()

    @_changes_lines
    def _search(self, here: Location, text: str, glob: str) -> None:
        self.tree.filter = ""
        self._remember()
        self._show_root(here, matching=glob)
        self.tree.root.sought = text

    def _remember(self) -> None:
        """Remember the tree before a search; for successive searches, that before the first."""
        root = self.tree.root
        if not (root.matching or root.starting_with):
            self._before = self.tree, {page: (each.folder, each.row) for page, each in self.cursors.items()}

    @_changes_lines
    def clear(self) -> None:
        """Restore the tree from before the search, with its open folders."""
        before, self._before, self.tree.filter = self._before, None, ""
        root = self.tree.root
        if before is None:
            return self._show_root(root.location) if root.matching or root.starting_with else None
        self._cancel(self.tree.root)
        self.tree, focused = before
        for page, cursor in self.cursors.items():
            cursor.plant(self.tree)
            cursor.move(*focused.get(page, (self.tree.root, self.tree.at_rank(self.tree.root, 0))))
        return None

    @_changes_lines
    def root(self, place: Place) -> None:
        """Show the tree from this folder."""
        if line := self._row(place):
            self._show_root(line[0].rows.location(line[1]))

    @_changes_lines
    def up(self, *, stay_open: bool = True) -> None:
        """Show the tree from the parent folder; by default the folders open now stay open."""
        root = self.tree.root
        if root.location:
            key = root.location.key if root.starting_with else root.location.key[:-1]
            head, slash, _ = key.rpartition("/")
            above = replace(root.location, key=head + slash) if root.location.key else None
            old_root = root if stay_open and not (root.starting_with or root.matching) else None
            self._show_root(above or next(iter(ancestors(root.location)[-2:-1]), None))
            self._left_folder = old_root

    def _show_root(self, location: Location | None, starting_with: str = "", matching: str = "") -> None:
        for folder in self.tree.root.family():
            self._cancel(folder)
        if not (starting_with or matching):
            self._before = None
        self._left_folder = None
        self.tree = FolderTree(Folder(location, starting_with, matching=matching), self.tree.sort)
        self._list(self.tree.root, every=bool(matching))
        for cursor in self.cursors.values():
            cursor.plant(self.tree)

    @_changes_lines
    def order(self, by: SortKey, descending: bool) -> None:
        """Set the order of rows in all folders."""
        self.tree.sort = Sort(by, descending)

    def at(self, place: Place, mode: Mode = "one") -> None:
        """Focus a line, and change the selection according to the mode."""
        with self.lock:
            folder = self.tree.folder(place[0])
            if folder and -1 <= place[1] < len(folder.rows):
                self.cursor.say(self.cursor.stand(folder, place[1], mode))
        self._changed()

    def select(self, uris: Collection[str]) -> None:
        """Select exactly the shown rows with these URIs, and focus the first."""
        with self.lock:
            self.cursor.select(uris)
        self.restructured()

    def all(self) -> None:
        """Select all rows shown, up to a limit."""
        with self.lock:
            self.cursor.say(self.cursor.choose_all())
        self._changed()

    def typed(self, text: str) -> None:
        """Focus the next row whose name begins with the text."""
        with self.lock:
            self.cursor.say(self.cursor.typed(text))
        self._changed()

    def say(self, text: str) -> None:
        """Show a message to the user of the acting page."""
        self.cursor.say(text)
        self._changed()

    def restructured(self) -> None:
        """Record that the lines have changed, and notify."""
        with self.lock:
            self.version += 1
            for cursor in self.cursors.values():
                cursor.settle()
        self._changed()

    def _row(self, place: Place) -> tuple[Folder, int] | None:
        """Return folder and row of a place, if it is shown and can be opened."""
        row = self.tree.row_at(place)
        return row if row and row[0].rows.is_prefix(row[1]) else None
