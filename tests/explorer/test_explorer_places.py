"""Nobody loses their place: rows come and go where they are, trees come back, and what is cancelled is over."""

from __future__ import annotations

import threading
import time

import pytest
from page import Page
from test_explorer_pages import LAKE, Store, chosen, made, state  # noqa: F401 - pytest finds the fixture here

from s3conn_magic.errors import BindError
from s3conn_magic.explorer import Children, navigator
from s3conn_magic.explorer.details import CodeSubject, cells
from s3conn_magic.explorer.navigator import search_glob
from s3conn_magic.locations import Location
from s3conn_magic.runtime.patterns import Glob


class Long(Store):
    """A store that gives pages of ten, and everything at once where it is asked for that.

    Attributes:
        asked: tokens of pages that were asked for; `None` is the first.
        whole: how often everything was asked for at once.
    """

    def __init__(self, *keys):
        super().__init__(*keys)
        self.asked, self.whole = [], 0

    def __call__(self, location, token, *, starting_with="", cancelled):
        """List a page."""
        self.asked.append(token)
        entries = list(super().__call__(location, None, starting_with=starting_with, cancelled=cancelled).entries)
        begin = int(token or 0)
        end = begin + 10
        return Children(entries[begin:end], str(end) if end < len(entries) else None)


class Parallel(Long):
    """One that can list everything at once, in pages that come in any order."""

    def everything(self, location, *, starting_with="", matching="", cancelled):
        """Yield pages, the last first; of a search, what matches below."""
        self.whole += 1
        if matching:
            below = [key for key in sorted(self.objects) if key.startswith(location.key)]
            names = Glob.compile(matching).wants([key[len(location.key) :] for key in below])
            entries = [self.entry(key) for key, hit in zip(below, names, strict=True) if hit]
            yield Children(entries, seen=len(below))
            return
        entries = list(Store.__call__(self, location, None, starting_with=starting_with, cancelled=cancelled).entries)
        for at in range(len(entries) - len(entries) % 7, -1, -7):
            yield Children(entries[at : at + 7])


def numbers(count):
    return [f"{number:04}" for number in range(count)]


@pytest.mark.parametrize("kind", [Long, Parallel])
def test_a_refresh_keeps_as_many_rows_as_were_loaded(made, kind):  # noqa: F811
    """After Load more, Refresh shows as many rows as before, the focus where it was, and what is new among them."""
    store = kind(*numbers(45))
    explorer = made(store)
    for _ in range(2):
        explorer.do("more", number=explorer._navigator.tree.root.number)
        explorer.settled()
    explorer.do("at", place=explorer.place("0025"), page="a")
    store.objects["0005a"] = "new"
    explorer.do("refresh", page="a")
    explorer.settled()
    names = explorer.names()
    assert len(names) == 30
    assert names[5:7] == ["0005", "0005a"]
    assert chosen(explorer, "a") == ["s3://lake/0025"]
    assert state(explorer, "a")["focus"][2] == 26


def test_a_deleted_row_goes_where_it_is_and_the_next_has_the_focus(made):  # noqa: F811
    """Nothing is listed again, folders stay open, and the focus is on the row below, at the end on the one above."""
    store = Long(*numbers(25), "9/a", "9/b")
    explorer = made(store)
    for _ in range(2):
        explorer.do("more", number=explorer._navigator.tree.root.number)
        explorer.settled()
    explorer.enter("9/")
    before = list(store.asked)
    for victims, focus in ((["0007", "0008"], "0009"), (["9/b"], "a"), (["0024"], "0023")):
        names = [victim.rpartition("/")[2] for victim in victims]
        explorer.choose(*names, page="a")
        explorer.do("delete", id=victims[0], page="a")
        explorer.do("confirm", id=victims[0], page="a", question=explorer.task(victims[0], "asking")["question"])
        explorer.task(victims[0], "done")
        explorer.until(lambda _, gone=names: not set(gone) & set(explorer.names()))
        cursor = explorer._navigator.cursors["a"]
        assert cursor.folder.rows.names[cursor.row] == focus
        assert "a" in explorer.names()
    assert store.asked == before


@pytest.mark.parametrize(("loaded", "shown"), [(1, False), (3, True)])
def test_an_uploaded_object_stands_where_it_belongs(made, loaded, shown):  # noqa: F811
    """It has a row among those that are loaded, and none twice; beyond them it waits until they are."""
    store = Long(*numbers(25))
    explorer = made(store)
    for _ in range(loaded - 1):
        explorer.do("more", number=explorer._navigator.tree.root.number)
        explorer.settled()
    store.objects["0015a"] = "new"
    explorer._navigator.put(LAKE, store.entry("0015a"))
    assert ("0015a" in explorer.names()) == shown
    for _ in range(3 - loaded):
        explorer.do("more", number=explorer._navigator.tree.root.number)
        explorer.settled()
    assert explorer.names() == sorted(store.objects)


@pytest.mark.parametrize("kind", [Long, Parallel])
def test_a_search_that_is_cleared_gives_the_tree_back(made, kind):  # noqa: F811
    """What was open is open, what was loaded is loaded, and the focus is where it was, after one search or several."""
    store = kind("+/1", "+/d/2", *numbers(15))
    explorer = made(store).enter("+/", "d/")
    explorer.do("more", number=explorer._navigator.tree.root.number)
    explorer.settled()
    explorer.do("at", place=explorer.place("0003"), page="a")
    before, asked = explorer.names(), len(store.asked)
    for text in ("00", "000"):
        explorer.do("search", text=text, page="a")
        explorer.settled()
        assert explorer.names() != before
        assert state(explorer, "a")["find"] == text
    searched = len(store.asked)
    explorer.do("clear", page="a")
    assert explorer.names() == before
    assert (len(store.asked), state(explorer, "a")["find"]) == (searched, "")
    assert searched == asked + (0 if kind is Parallel else 2)
    assert explorer._navigator.cursors["a"].folder.rows.names[explorer._navigator.cursors["a"].row] == "0003"


def test_up_keeps_what_was_open(made):  # noqa: F811
    """One folder further up, the folder that one comes from is open, with what was open in it, and has the focus."""
    store = Long("top/a/1", "top/a/d/2", "top/b", "x")
    explorer = made(store)
    explorer.do("go", text="s3://lake/top/", page="a")
    explorer.settled().enter("a/", "d/")
    explorer.do("up", page="a")
    explorer.settled()
    assert explorer.names() == ["top/", "a/", "d/", "2", "1", "b", "x"]
    cursor = explorer._navigator.cursors["a"]
    assert cursor.folder.rows.names[cursor.row] == "top/"


def test_load_all_asks_for_everything_at_once_and_shows_it_in_order(made):  # noqa: F811
    """Rows that are shown stay until all are there, each once and in their order, whatever order pages come in."""
    store = Parallel(*numbers(95))
    explorer = made(store)
    explorer.do("at", place=explorer.place("0005"), page="a")
    explorer.do("more", number=explorer._navigator.tree.root.number, every=True)
    explorer.settled()
    assert explorer.names() == numbers(95)
    assert (store.whole, store.asked) == (1, [None])
    assert chosen(explorer, "a") == ["s3://lake/0005"]


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("csv", ["a/b/one.CSV", "two.csv", "x csv/three"]),
        ("*.csv", ["two.csv"]),
        ("b/*", []),
        ("a/*/*", ["a/b/one.CSV"]),
        ("nothing", []),
        ("[", None),
    ],
)
def test_a_search_finds_below_and_says_where(made, text, hits):  # noqa: F811
    """Text is found anywhere below, in any case; a glob matches; each hit is named by its place."""
    store = Parallel("a/b/one.CSV", "two.csv", "x csv/three", "z")
    explorer = made(store)
    explorer.do("search", text=text, page="a")
    explorer.settled()
    if hits is None:
        assert "This is not a pattern" in state(explorer, "a")["said"][1]
        return
    assert explorer.names() == hits
    if hits:
        explorer.do("at", place=explorer.place(hits[0]), page="a")
        assert chosen(explorer, "a") == [f"s3://lake/{hits[0]}"]


def test_a_search_ends_when_it_has_found_too_much(made, monkeypatch):  # noqa: F811
    """It shows what it has found and says that it is not all."""
    monkeypatch.setattr(navigator, "HITS_AT_MOST", 5)
    explorer = made(Parallel(*numbers(30)))
    explorer.do("search", text="0", page="a")
    explorer.settled()
    line = list(explorer._navigator.tree.lines(0, 100))[-1]
    assert line.kind == "cut"


@pytest.mark.parametrize(
    ("text", "glob"), [("a1", "**[aA]1**"), ("*.x", "**/*.x"), ("d/*.x", "d/*.x"), ("é.", "**é.**")]
)
def test_what_is_sought(text, glob):
    """Text becomes a glob that contains it in any case of ASCII; what has wildcards is one."""
    assert search_glob(text) == glob


def test_a_cancelled_listing_leaves_its_slot_at_once():
    """Listings that hang and are cancelled keep nobody waiting, and what they bring later is not shown."""
    hang, begun = threading.Event(), []

    class Hanging(Store):
        def __call__(self, location, token, *, starting_with="", cancelled):
            if location.key.startswith("hang"):
                begun.append(location.key)
                hang.wait(20)
            return super().__call__(location, token, starting_with=starting_with, cancelled=cancelled)

    store = Hanging(*(f"hang{number}/x" for number in range(6)), "ok/y")
    explorer = Page(store, title="lake", location=LAKE, objects=store)
    try:
        explorer.do("begin")
        explorer.settled()
        for number in range(6):
            explorer.do("toggle", place=explorer.place(f"hang{number}/"))
        end = time.monotonic() + 20
        while len(begun) < navigator.AT_ONCE and time.monotonic() < end:
            time.sleep(0.01)
        for number in range(6):
            explorer.do("cancel", number=explorer._navigator.tree.find(LAKE.__class__("lake", f"hang{number}/")).number)
        began = time.monotonic()
        explorer.enter("ok/")
        assert "y" in explorer.names()
        assert time.monotonic() - began < 15  # not until the others are over
        hang.set()
        assert "x" not in explorer.names()
    finally:
        hang.set()
        explorer.close()


def test_what_is_typed_filters_what_is_loaded(made):  # noqa: F811
    """Rows with the text in their names are shown, and open folders that hold one; nothing is asked of the server."""
    store = Long("b/one.csv", "b/two.txt", "c/x", "Csv", "other", "z.CSV")
    explorer = made(store).enter("b/", "c/")
    asked = len(store.asked)
    explorer.do("filter", text="CSV", page="a")
    assert explorer.names() == ["b/", "one.csv", "Csv", "z.CSV"]
    assert state(explorer, "a")["total"] == 4
    assert "1 have “csv” in their names" in state(explorer, "a")["summary"]
    explorer.do("filter", text="nothing", page="a")
    assert [line.kind for line in explorer._navigator.tree.lines(0, 9)] == ["filtered"]
    explorer.do("clear", page="a")
    assert len(explorer.names()) == 8
    assert len(store.asked) == asked


def test_what_is_filtered_out_is_not_chosen_and_has_no_focus(made):  # noqa: F811
    """Choice and focus leave rows that are not shown any more, in both pages; a range takes what is seen."""
    store = Long("b/1", "b/2", *numbers(8))
    explorer = made(store).enter("b/")
    for page, name in (("a", "0003"), ("b", "1")):
        explorer.do("at", place=explorer.place(name), page=page)
    explorer.do("filter", text="2", page="a")
    assert explorer.names() == ["b/", "2", "0002"]
    for page in ("a", "b"):
        assert chosen(explorer, page) == []
        cursor = explorer._navigator.cursors[page]
        assert cursor.tree.shows(cursor.folder, cursor.row)
    explorer.do("all", page="a")
    assert explorer.selection == ("s3://lake/b/", "s3://lake/b/2", "s3://lake/0002")
    explorer.do("filter", text="", page="a")
    assert explorer.selection == ("s3://lake/b/", "s3://lake/b/2", "s3://lake/0002")


@pytest.mark.parametrize(("text", "names"), [("c", ["c"]), ("a/2", [])])
def test_a_range_begins_where_a_row_is_shown(made, text, names):  # noqa: F811
    """Where the row to begin at is filtered out, also with all of its folder, it is the focused row alone."""
    explorer = made(Long("a/1", "b", "c", "d")).enter("a/")
    explorer.choose("b" if names else "1", page="a")
    explorer.do("filter", text=text, page="a")
    (line,) = explorer._navigator.tree.lines(0, 1)
    explorer.do("at", place=list(line.place), mode="range", page="a")
    assert chosen(explorer, "a") == [f"s3://lake/{name}" for name in names]


def test_a_folder_that_is_gone_says_nothing_of_the_rows_in_its_place(made):  # noqa: F811
    """What a listing still says of a folder, when a refresh of the one above has taken it away, is on no other row."""
    explorer = made(Long("a/1", "b")).enter("a/")
    root = explorer._navigator.tree.root
    gone = root.children[0]
    root.swap(root.rows.changed(["a/"]))
    for row in (0, 5):
        gone.badge, gone.row = "Delta, version 1", row
        gone.show_badge()
    assert root.rows.classes == [None]


def test_the_focus_leaves_an_open_folder_of_which_nothing_is_shown(made):  # noqa: F811
    """Where a filter shows a folder by its own name and nothing in it, the focus goes to the folder."""
    explorer = made(Long("a/1", "a/2", "b/3")).enter("a/")
    explorer.choose("2", page="a")
    explorer.do("filter", text="a", page="b")
    assert explorer.names() == ["a/"]
    assert [state(explorer, page)["focus"][2] for page in ("a", "b")] == [0, 0]


@pytest.mark.parametrize("place", ["end", "filtered out", "loading"])
def test_a_click_on_what_is_gone_by_then_leaves_the_focus_on_what_is_shown(made, place):  # noqa: F811
    """A row that was filtered out meanwhile, or the line of a listing that is over, is not chosen; one near has it."""
    explorer = made(Long("a/1", "b", "c")).enter("a/")
    folder = explorer._navigator.tree.root.children[0]
    there = {"end": [folder.number, -1], "filtered out": explorer.place("c"), "loading": [folder.number, -1]}[place]
    explorer.do("filter", text="a" if place == "loading" else "b", page="a")
    explorer.do("at", place=there, mode="one", page="a")
    at, shown = state(explorer, "a")["focus"], list(explorer._navigator.tree.lines(0, 9))
    assert list(shown[at[2]].place) == at[:2]
    assert chosen(explorer, "a") == []


def test_python_chooses_rows_and_goes_to_locations_only(made):  # noqa: F811
    """`select` chooses what is shown of some URIs, alone; `go` refuses what is no location, with a way to write one."""
    explorer = made(Long("b/1", "x", "y")).enter("b/")
    explorer.do("at", place=explorer.place("y"), page="a")
    assert explorer.select(["s3://lake/x", "s3://lake/b/1", "s3://lake/gone", "s3://other/x"]) == explorer.selection
    assert set(explorer.selection) == {"s3://lake/x", "s3://lake/b/1"}
    for text in ("a/b", "", "http://"):
        with pytest.raises(BindError, match=r"s3://bucket/folder/"):
            explorer.go(text)
    explorer.go(Location("lake", "b/"))
    explorer.settled()
    assert explorer.location == Location("lake", "b/")


def test_texts_to_copy_are_exact_and_cells_run_as_printed(made):  # noqa: F811
    """URIs come for every chosen row, in parts that come in order; a cell is of `%%upsql`, where the key allows one."""
    explorer = made(Long(*numbers(5)))
    explorer.do("all", page="a")
    explorer.do("text", id="t", what="uris", page="a")
    answer = explorer.until(lambda message: message["type"] == "text")
    assert (answer["lines"], answer["done"]) == ([f"s3://lake/{name}" for name in numbers(5)], True)
    query = cells(CodeSubject("lake", Location("b", "a b/"), ending=""))["query"]
    assert query == "%%upsql\nSELECT *\nFROM 's3://lake@b/a b/**/*'\nLIMIT 100;"
    assert cells(CodeSubject("my lake", Location("b", "it's"))) == {}
    assert "query" not in cells(CodeSubject("lake", Location("b", "a[1]")))
    assert "'s3://b/it''s/'" in cells(CodeSubject("my lake", Location("b", "it's/"), ending=""))["analyze"]
