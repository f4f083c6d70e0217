"""What one page names is what it shows: two pages of one explorer, walked through at random without a browser."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest
from made_up_buckets import MadeUpBuckets
from page import Page

from s3conn_magic.explorer import Children, TreeEntry, tasks
from s3conn_magic.locations import Location
from s3conn_magic.objects.deleting import Deleted, SeenObjects

PAGES = ("a", "b")
LAKE = Location("lake")
STEPS = 150


class Store:
    """A bucket in memory: the children of its folders, and what the explorer does with its objects.

    Attributes:
        objects: the etag of each key.
        deleted: the keys that were deleted, in their order.
    """

    def __init__(self, *keys: str) -> None:
        self.objects = {key: f"{key}-1" for key in keys}
        self.deleted: list[str] = []

    def __call__(self, location, token, *, starting_with="", cancelled):
        """List a folder, whole."""
        del token, cancelled
        below = [key for key in sorted(self.objects) if key.startswith(location.key + starting_with)]
        entries = {}
        for key in below:
            head, slash, _ = key[len(location.key) :].partition("/")
            at = Location("lake", location.key + head + slash)
            entries[at] = TreeEntry(at, True) if slash else self.entry(key)
        return Children(list(entries.values()))

    def entry(self, key):
        """What a listing says of an object."""
        return TreeEntry(Location("lake", key), size=len(key), etag=self.objects[key])

    def refuses_writes(self, location):
        """Nothing is refused."""
        del location
        return ""

    def versioning(self, location):
        """It keeps no versions."""
        del location
        return ""

    def find(self, chosen, most, cancelled):
        """What lies below what was chosen."""
        del most, cancelled
        found = SeenObjects()
        for one in chosen:
            key = one.location.key
            for each in sorted(self.objects) if one.is_prefix else [key]:
                if each.startswith(key):
                    found.add("lake", each, 1, self.objects[each] if one.is_prefix else one.etag)
        return found

    def delete(self, found, near, cancelled):
        """Delete what is as it was found."""
        del near, cancelled
        for key, etag in found.keys["lake"].items():
            if self.objects.get(key) == etag:
                self.deleted.append(key)
                del self.objects[key]
                yield Deleted(1, {})
            else:
                yield Deleted(0, {key: "changed"})


@pytest.fixture
def made():
    """Makes explorers over a store, and closes them."""
    pages = []

    def make(store, **options):
        pages.append(Page(store, title="lake", location=LAKE, objects=store, **options))
        for name in PAGES:
            pages[-1].do("begin", page=name, seq=1)
        return pages[-1].settled()

    yield make
    for one in pages:
        one.close()


def state(explorer, page):
    """What a page was told last."""
    return [one for one in explorer.got if one["type"] == "state" and one["page"] == page][-1]


def shown(explorer):
    """The exact URI of each row that is shown, by the place that messages name it by."""
    tree = explorer._navigator.tree
    with explorer._navigator.lock:
        lines = [line for line in tree.lines(0, len(tree)) if line.row >= 0]
        return {f"{each.folder.number}:{each.row}": each.folder.rows.location(each.row).uri for each in lines}


def chosen(explorer, page):
    """The URIs that a page shows as chosen; whatever it is told to be chosen is shown."""
    rows = shown(explorer)
    return [rows[place] for place in state(explorer, page)["selected"]]


def below(store, uris):
    """The URIs of the objects that these stand for."""
    keys = [uri.removeprefix("s3://lake/") for uri in uris]
    found = {
        each for key in keys for each in store.objects if each == key or (key.endswith("/") and each.startswith(key))
    }
    return {f"s3://lake/{key}" for key in found}


class Walk:
    """One walk, step by step, through what two users can do with one explorer."""

    def __init__(self, explorer, store, seed):
        self.explorer, self.store, self.dice = explorer, store, random.Random(seed)
        self.asked = {}
        self.count = 0
        self.done = Counter()

    def act(self):
        """One step of one page."""
        page = self.dice.choice(PAGES)
        steps = ("choose", "choose", "more", "toggle", "toggle", "order", "refresh", "find", "clear", "change", "sift")
        step = self.dice.choice((*steps, "delete", "delete", "answer", "answer", "other"))
        self.done[step] += 1
        getattr(self, step)(page)
        self.explorer.settled()
        for each in PAGES:
            chosen(self.explorer, each)  # each of them is a row that is shown
        assert set(self.explorer.selection) <= set(shown(self.explorer).values())

    def place(self, only=None):
        """The place of some row."""
        rows = [each for each, uri in shown(self.explorer).items() if only is None or uri.endswith(only)]
        return [int(part) for part in self.dice.choice(rows).split(":")] if rows else [-1, 0]

    def choose(self, page):
        self.explorer.do("at", place=self.place(), mode=self.dice.choice(["one", "toggle", "range"]), page=page)

    def more(self, page):
        self.explorer.do("at", place=self.place(), mode="toggle", page=page)

    def toggle(self, page):
        self.explorer.do("toggle", place=self.place("/"), page=page)

    def order(self, page):
        self.explorer.do("order", by=self.dice.choice(["name", "size"]), descending=self.dice.random() < 0.5, page=page)

    def refresh(self, page):
        self.explorer.do("refresh", page=page)

    def find(self, page):
        if self.dice.random() < 0.3:
            self.explorer.do("go", text=self.dice.choice(["s3://lake/a/", "s3://lake/b", "s3://lake/"]), page=page)

    def clear(self, page):
        if self.dice.random() < 0.5:
            self.explorer.do("go", text="s3://lake/", page=page)

    def sift(self, page):
        self.explorer.do("filter", text=self.dice.choice(["", "", "1", "a", "B/"]), page=page)

    def change(self, page):
        """Somebody else adds an object, takes one away or replaces one."""
        del page
        key = self.dice.choice(sorted(self.store.objects) or ["a/1"])
        kind = self.dice.choice(["add", "take", "replace"])
        if kind == "take" and len(self.store.objects) > 4:
            del self.store.objects[key]
        elif kind == "replace":
            self.store.objects[key] = f"{key}-{self.count + 10}"
        else:
            self.store.objects[f"{self.dice.choice(['', 'a/', 'b/', 'b/c/'])}{self.dice.randint(0, 9)}"] = "new"

    def delete(self, page):
        self.count += 1
        task, rows = f"d{self.count}", chosen(self.explorer, page)
        self.explorer.do("delete", id=task, page=page)
        self.explorer.until(lambda _: self.line(task) is None or self.line(task)["state"] != "working")
        line = self.line(task)
        if line is None or line["state"] != "asking":
            # Nothing was chosen, or folders that are empty by now.
            assert not below(self.store, rows)
            return
        assert line["page"] == page
        named = self.explorer.asked(task)
        assert len(named) == len(set(named)) == line["count"]
        objects = {uri for uri in rows if not uri.endswith("/")}
        assert set(named) == objects | below(self.store, [uri for uri in rows if uri.endswith("/")])
        self.asked[task] = (page, named, line["question"])

    def line(self, task):
        return next((one for one in self.explorer.last("tasks")["tasks"] if one["id"] == task), None)

    def answer(self, page):
        """Answer a question; from another page, or to another question, it is none."""
        if not self.asked:
            return
        task = self.dice.choice(sorted(self.asked))
        asking, named, question = self.asked[task]
        before = len(self.store.deleted)
        if page != asking or self.dice.random() < 0.2:
            wrong = question if page != asking else "0" * 16
            self.explorer.do("confirm", id=task, page=page, question=wrong)
            self.explorer.do("halt", id=task, page=next(each for each in PAGES if each != asking))
            assert self.line(task)["state"] == "asking"
            assert len(self.store.deleted) == before
            return
        del self.asked[task]
        if self.dice.random() < 0.3:
            self.explorer.do("halt", id=task, page=page)
            self.explorer.gone(task)
            assert len(self.store.deleted) == before
            return
        there = set(self.store.objects)
        self.explorer.do("confirm", id=task, page=page, question=question)
        self.explorer.until(lambda _: self.line(task) is None or self.line(task)["state"] in {"done", "failed"})
        gone = [f"s3://lake/{key}" for key in self.store.deleted[before:]]
        assert set(gone) <= set(named)
        assert {f"s3://lake/{key}" for key in there - set(self.store.objects)} == set(gone)
        self.explorer.do("halt", id=task, page=page)

    def other(self, page):
        """A message about rows of before the last refresh names nothing."""
        place = self.place()
        self.explorer.do("refresh", page=page)
        self.explorer.settled()
        before = chosen(self.explorer, page)
        self.explorer.do("at", place=place, mode="toggle", page=page)
        assert chosen(self.explorer, page) == before


@pytest.mark.parametrize("seed", range(12))
def test_deleted_is_what_was_asked_and_asked_what_the_page_shows(made, seed):
    """Whatever is done in two pages, a question names what its page shows as chosen, and a yes deletes just that."""
    store = Store("a/1", "a/2", "a/d/3", "b/1", "b/c/1", "b/c/2", "x", "y", "z")
    walk = Walk(made(store), store, seed)
    for _ in range(STEPS):
        walk.act()
    assert walk.done["delete"] > 5
    assert walk.done["answer"] > 5


def test_closing_a_folder_drops_the_choice_inside(made):
    """What is chosen in a folder is not chosen any more once a page closes it, nor when it is opened again."""
    store = Store("a/1", "a/d/2", "x")
    for closing in PAGES:
        explorer = made(store).enter("a/", "d/")
        explorer.choose("2", "x", page="a")
        explorer.do("toggle", place=explorer.place("a/"), page=closing)
        assert chosen(explorer, "a") == ["s3://lake/x"]
        explorer.enter("a/")
        assert chosen(explorer, "a") == ["s3://lake/x"]
        explorer.do("delete", id="d", page="a")
        assert explorer.asked("d") == ["s3://lake/x"]


def test_a_choice_belongs_to_its_page(made):
    """Delete in one page takes nothing of the other's choice, and Python sees that of the page that acted last."""
    explorer = made(Store("x", "y"))
    explorer.choose("x", page="a")
    assert explorer.selection == ("s3://lake/x",)
    explorer.do("delete", id="none", page="b")
    assert "Choose the objects" in explorer.task("none", "failed")["text"]
    explorer.choose("y", page="b")
    assert (chosen(explorer, "a"), chosen(explorer, "b")) == (["s3://lake/x"], ["s3://lake/y"])
    assert explorer.selection == ("s3://lake/y",)
    explorer.do("delete", id="d", page="b")
    assert explorer.asked("d") == ["s3://lake/y"]


@pytest.mark.parametrize("step", ["find", "elsewhere", "up"])
def test_another_tree_has_nothing_chosen(made, step):
    """After a search, a jump or a step up, nothing is chosen in any page."""
    explorer = made(Store("a/1", "x")).enter("a/")
    explorer.choose("1", page="a")
    message = {"find": ("go", {"text": "x"}), "elsewhere": ("go", {"text": "s3://lake/b/"}), "up": ("up", {})}[step]
    explorer.do(message[0], page="b", **message[1])
    explorer.settled()
    assert state(explorer, "a")["selected"] == []
    assert explorer.selection == ()


def test_order_and_refresh_keep_the_rows_that_are_chosen(made):
    """The chosen rows stay chosen by their names; one that is gone is not chosen any more."""
    store = Store("x", "yy", "zzz")
    explorer = made(store)
    explorer.choose("x", "zzz", page="a")
    explorer.do("order", by="size", descending=True, page="b")
    assert chosen(explorer, "a") == ["s3://lake/x", "s3://lake/zzz"]
    store.objects.pop("x")
    store.objects["a"] = "new"
    explorer.do("refresh", page="b")
    explorer.settled()
    assert chosen(explorer, "a") == ["s3://lake/zzz"]


@pytest.mark.parametrize("kind", ["at", "show", "toggle", "root"])
def test_a_message_about_rows_of_before_a_refresh_names_nothing(made, kind):
    """A click that was on its way while the rows were replaced does not fall on another row."""
    store = Store("b/1", "c/1")
    explorer = made(store)
    place = explorer.place("b/")
    store.objects["a/1"] = "new"
    explorer.do("refresh", page="b")
    explorer.settled()
    before = explorer._navigator.tree
    explorer.do(kind, place=place, page="a")
    assert explorer._navigator.tree is before
    assert not [one for one in explorer.got if one["type"] == "panel" and one["open"]]
    assert chosen(explorer, "a") == []
    assert sorted(explorer.names()) == ["a/", "b/", "c/"]


def test_every_key_of_a_long_question_is_named(made):
    """Thousands of keys are told in parts, whole and in their order, with their count, in messages of bounded size."""
    keys = [f"a/{number:04}-{'é' * 200}" for number in range(3_000)]
    explorer = made(Store(*keys))
    explorer.choose("a/", page="a")
    explorer.do("delete", id="d", page="a")
    assert explorer.asked("d") == [f"s3://lake/{key}" for key in keys]
    assert explorer.task("d", "asking")["count"] == 3_000
    assert max(sum(map(len, one["names"])) for one in explorer.got if one["type"] == "asked") <= 100_000


def test_a_question_that_nobody_answers_ends_with_no(made, monkeypatch):
    """A question whose page is gone waits for a bounded time; nothing is deleted, and nothing of it stays."""
    monkeypatch.setattr(tasks, "ASKED_FOR", 0.2)
    store = Store("x")
    explorer = made(store)
    explorer.choose("x", page="a")
    explorer.do("delete", id="d", page="a")
    question = explorer.task("d", "asking")["question"]
    explorer.gone("d")
    explorer.do("confirm", id="d", page="a", question=question)
    assert state(explorer, "a")["said"][1] == "That question is no longer open: nothing was done"
    assert store.deleted == []


def test_lines_of_what_is_done_go_after_a_while(made, monkeypatch):
    """A line that has succeeded is not among those that are told later; one that failed stays."""
    monkeypatch.setattr(tasks, "DONE_FOR", 0.2)
    explorer = made(Store("x", "y"))
    explorer.do("delete", id="bad", page="b")
    explorer.task("bad", "failed")
    explorer.choose("x", page="a")
    explorer.do("delete", id="d", page="a")
    explorer.do("confirm", id="d", page="a")
    explorer.task("d", "done")
    time.sleep(0.3)
    explorer.do("begin", page="c", seq=1)
    explorer.gone("d")
    assert [one["id"] for one in explorer.last("tasks")["tasks"]] == ["bad"]


def test_files_go_where_the_page_says_or_nowhere(made):
    """An upload that names another folder than the one that has the focus by now is refused, and that is said."""
    explorer = made(Store("a/1", "x")).enter("a/")
    explorer.choose("1", page="a")
    here = state(explorer, "a")["here"]
    assert here == " s3://lake/a/"
    explorer.do("toggle", place=explorer.place("a/"), page="b")
    explorer.do("upload", id="u", name="f", size=1, mime="", here=here, page="a")
    assert state(explorer, "a")["said"][1] == "Another folder is shown now: nothing was uploaded"
    assert [one for one in explorer.got if one["type"] == "tasks" and one["tasks"]] == []


def test_each_page_is_told_its_own_focus_and_asks_for_its_own_rows(made):
    """A page that does not act is told that the lines have changed, and gets those that it looks at when it asks."""
    explorer = made(Store(*(f"{number:04}" for number in range(400))))
    explorer.do("rows", **{"from": 300, "to": 350}, page="b")
    explorer.do("at", place=explorer.place("0003"), page="a")
    explorer.got.clear()
    explorer.do("order", by="name", descending=True, page="a")
    assert {one["page"] for one in explorer.got if one["type"] == "rows"} == {"a"}
    assert (state(explorer, "a")["follow"], state(explorer, "b")["follow"]) == (True, False)
    assert state(explorer, "a")["focus"] != state(explorer, "b")["focus"]
    explorer.do("rows", **{"from": 300, "to": 350}, page="b")
    rows = explorer.last("rows")
    assert (rows["page"], rows["from"], len(rows["rows"])) == ("b", 300, 50)


def test_pages_that_are_gone_are_forgotten(made):
    """However often a page is loaded again, only a few are told what is shown."""
    explorer = made(Store("x"))
    for number in range(30):
        explorer.do("begin", page=f"p{number}", seq=1)
    explorer.got.clear()
    explorer.refresh()
    explorer.settled()
    assert 1 < len({one["page"] for one in explorer.got if one["type"] == "state"}) <= 8


def test_a_range_begins_at_the_row_and_not_at_its_line():
    """When another page opens a folder above, a range still begins at the row that was chosen last."""
    buckets = MadeUpBuckets()
    explorer = Page(buckets, title="t", location=LAKE, first=buckets(LAKE, None, cancelled=lambda: False))
    explorer.do("at", place=explorer.place("LICENSE"), page="a")
    explorer.do("toggle", place=explorer.place("curated/"), page="b")
    explorer.settled()
    explorer.do("at", place=explorer.place("README.md"), mode="range", page="a")
    assert chosen(explorer, "a") == ["s3://lake/LICENSE", "s3://lake/README.md"]
    explorer.close()


def test_threads_of_listings_and_pages_meet_without_a_fault(made):
    """Pages that act while listings arrive are told of rows that are there."""
    store = Store(*(f"a/{number}" for number in range(50)), "x")
    explorer = made(store).enter("a/")
    stop = threading.Event()

    def refreshing():
        while not stop.is_set():
            explorer.refresh()
            explorer.settled()

    thread = threading.Thread(target=refreshing)
    thread.start()
    for number in range(200):
        explorer.do("at", place=explorer.place("x"), mode="one", page=PAGES[number % 2])
    stop.set()
    thread.join()
    explorer.settled()
    assert all(set(chosen(explorer, page)) <= {"s3://lake/x"} for page in PAGES)
