from __future__ import annotations

import json
import pickle
import threading
from datetime import UTC, datetime

import numpy as np
import pytest
from made_up_buckets import HOSTILE, MadeUpBuckets
from page import Page

from s3conn_magic.errors import AccessDeniedError
from s3conn_magic.explorer import Children, TreeEntry
from s3conn_magic.explorer.basic import html_table, text_tree
from s3conn_magic.explorer.messages import FRONT, MESSAGE_AT_MOST, crumbs, row_messages, shown_name
from s3conn_magic.explorer.navigator import Navigator
from s3conn_magic.explorer.tree import Folder, FolderTree, Rows
from s3conn_magic.explorer.widget import Explorer
from s3conn_magic.locations import Location

LAKE = Location("lake")
NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


class Watched:
    """A navigator over the made-up buckets, and a way to wait for what it does in the background."""

    def __init__(self, location=None, children=None, first=None):
        self.buckets = children or MadeUpBuckets()
        self._news = threading.Condition()
        self.navigator = Navigator(self.buckets, self._changed, location, first)

    def _changed(self):
        with self._news:
            self._news.notify_all()

    def until(self, condition):
        """Wait for a condition."""
        with self._news:
            assert self._news.wait_for(condition, timeout=20)

    def settled(self):
        """Wait until nothing is listed any more."""
        self.until(lambda: not self.navigator.busy)
        return self

    @property
    def tree(self):
        """The tree of now."""
        return self.navigator.tree

    def shown(self):
        """The names of the lines; a line at the end of a folder by its kind."""
        lines = self.tree.lines(0, len(self.tree))
        return [shown_name(line.folder, line.row) if line.row >= 0 else f"({line.kind})" for line in lines]

    def place(self, name):
        """The place of the row with this shown name."""
        lines = self.tree.lines(0, len(self.tree))
        return next(each.place for each in lines if each.row >= 0 and shown_name(each.folder, each.row) == name)

    def open(self, *names):
        """Toggle these folders one after the other."""
        for name in names:
            self.navigator.toggle(self.place(name))
            self.settled()
        return self


@pytest.fixture
def roots():
    watched = Watched()
    watched.navigator.begin()
    return watched.settled()


@pytest.fixture
def lake():
    watched = Watched(LAKE)
    watched.navigator.begin()
    return watched.settled()


def test_rows_keep_entries_exactly():
    """A row comes back as the entry that it was, whatever its key."""
    at = Location("odd-keys")
    entries = [
        TreeEntry(Location("odd-keys", key), size=number, last_modified=NOW, etag='"e"', storage_class="GLACIER")
        for number, key in enumerate(HOSTILE)
    ]
    rows = Rows(at)
    rows.extend(entries)
    columns = rows.columns(np.arange(len(rows)))
    assert columns.keys == list(HOSTILE)
    assert [rows.location(row) for row in range(len(rows))] == [entry.location for entry in entries]
    assert columns.times.tolist() == [NOW.timestamp() * 1000] * len(rows)
    assert set(columns.etags) == {'"e"'}
    assert set(columns.classes) == {"GLACIER"}


def test_rows_refuse_what_lies_elsewhere():
    """An entry of another bucket or outside the prefix is refused, and `trusted` does not hold `trusted-evil`."""
    rows = Rows(Location("trusted", "a/"))
    for other in (Location("trusted-evil", "a/b"), Location("trusted", "b")):
        with pytest.raises(ValueError, match="outside the location"):
            rows.extend([TreeEntry(other)])


@pytest.mark.parametrize(
    ("by", "descending", "expected"),
    [
        ("name", False, ["d/", "e/", "a", "b", "c"]),
        ("name", True, ["e/", "d/", "c", "b", "a"]),
        ("size", True, ["d/", "e/", "c", "a", "b"]),
        ("size", False, ["d/", "e/", "b", "a", "c"]),
        ("date", True, ["d/", "e/", "b", "c", "a"]),
    ],
)
def test_order(by, descending, expected):
    """Rows are ordered with folders first, equal values in the order of their names."""
    rows = Rows(LAKE)
    dates = {"a": 1, "b": 9, "c": 5}
    sizes = {"a": 20, "b": 10, "c": 30}
    for name in ("a", "b", "d/", "c", "e/"):
        when = NOW.replace(hour=dates[name]) if name in dates else None
        rows.extend([TreeEntry(Location("lake", name), name.endswith("/"), sizes.get(name), when)])
    order = rows.order(by, descending)
    assert [rows.names[row] for row in order.tolist()] == expected


def test_a_part_of_the_lines_is_the_same_as_in_the_whole(roots):
    """Any stretch of lines is what stands there in the whole list, and each line's position is its index."""
    roots.open("lake", "curated/", "orders/", "logs/", "odd-keys")
    roots.navigator.order("size", True)
    tree = roots.tree
    whole = list(tree.lines(0, len(tree)))
    assert len(whole) == len(tree) > 1_000
    for start, stop in [(0, 7), (5, 40), (17, 18), (990, 1_020), (len(whole) - 9, len(whole) + 5)]:
        assert list(tree.lines(start, stop)) == whole[start:stop]
    for index in (*range(40), *range(1_000, len(whole))):
        assert tree.position(whole[index].folder, whole[index].row) == index


def test_frame_and_lines_agree(roots):
    """The frame holds every loaded row of every open folder in the order of the lines, exactly."""
    roots.open("lake", "curated/", "odd-keys")
    explorer = Explorer(roots.buckets, title="t")
    explorer._navigator = roots.navigator
    frame = explorer.frame
    lines = [line for line in roots.tree.lines(0, len(roots.tree)) if line.row >= 0]
    locations = [line.folder.rows.location(line.row) for line in lines]
    assert list(frame.columns) == ["bucket", "key", "size", "last_modified", "etag", "storage_class", "is_prefix"]
    assert [Location(*pair) for pair in zip(frame["bucket"], frame["key"], strict=True)] == locations
    assert str(frame["last_modified"].dtype) == "datetime64[us, UTC]"
    assert frame.loc[frame["key"] == "README.md", "size"].item() == 5_271
    assert frame.loc[frame["key"] == "curated/", "size"].isna().all()


def test_an_empty_frame_has_every_column():
    """Before anything is listed the frame has no row and all of its columns."""
    frame = Explorer(MadeUpBuckets(), title="t").frame
    assert len(frame) == 0
    assert list(frame.columns)[-1] == "is_prefix"
    assert str(frame["size"].dtype) == "Int64"


def test_a_folder_is_listed_once(lake):
    """Closing and opening a folder again asks for nothing."""
    lake.open("curated/", "curated/", "curated/")
    assert [uri for uri, _, _ in lake.buckets.asked].count("s3://lake/curated/") == 1
    assert "orders/" in lake.shown()


def test_load_all_uses_each_token_once(lake):
    """Load all continues from the token and never lists a page again; the focus goes on from the folder's end."""
    lake.open("logs/")
    number = next(line.folder.number for line in lake.tree.lines(0, len(lake.tree)) if line.kind == "more")
    lake.navigator.at((number, -1))
    lake.navigator.more(number, every=True)
    lake.settled()
    assert [token for uri, token, _ in lake.buckets.asked if uri == "s3://lake/logs/"] == [None, "1000", "2000"]
    assert "(more)" not in lake.shown()
    assert lake.navigator.cursor.row == 1_000


def test_the_same_token_twice_is_an_error():
    """A server that answers with the token it was given is not followed for ever."""
    calls = []

    def stuck(_location, token, *, starting_with="", cancelled):  # noqa: ARG001 - the protocol's signature
        calls.append(token)
        return Children([TreeEntry(Location("lake", str(len(calls))))], "same")

    watched = Watched(LAKE, stuck)
    watched.navigator.begin()
    watched.settled()
    watched.navigator.more(watched.tree.root.number, every=True)
    watched.settled()
    assert calls == [None, "same"]
    assert watched.shown()[-3:] == ["(error)", "(pad)", "(pad)"]


def test_a_cancelled_listing_changes_nothing(lake):
    """What a cancelled listing brings is not taken, and the folder can be listed again."""
    lake.navigator.toggle(lake.place("slow/"))
    assert "(loading)" in lake.shown()
    lake.navigator.stop()
    assert "(stopped)" in lake.shown()
    lake.buckets.released.set()
    number = next(line.folder.number for line in lake.tree.lines(0, len(lake.tree)) if line.kind == "stopped")
    lake.navigator.more(number)
    lake.settled()
    assert "at-last.txt" in lake.shown()
    assert lake.shown().count("at-last.txt") == 1


def test_errors_stand_in_place(lake):
    """An error stands in its folder; an unforeseen one is shown without its values; the rest stays."""
    lake.open("finance/", "broken/")
    text = text_tree("t", lake.tree)
    assert "the action s3:ListBucket is missing" in text
    assert "failed with ValueError" in text
    assert "hunter2" not in text
    assert "README.md" in text


def test_a_failed_refresh_keeps_the_rows_and_their_token(lake):
    """A refresh that is stopped or fails leaves the rows, and still says that there is more."""
    lake.open("logs/")
    before = lake.shown()
    children, stop = lake.navigator._children, threading.Event()

    def failing(*_args, **_options):
        stop.wait(20)
        raise AccessDeniedError("no", action="a", resource="r", hint="Ask.")

    lake.navigator._children = failing
    lake.navigator.refresh()
    lake.navigator.stop()
    assert lake.shown() == before
    stop.set()
    lake.navigator.refresh()
    lake.settled()
    assert set(lake.shown()) - set(before) == {"(error)", "(pad)"}
    lake.navigator._children = children
    lake.navigator.refresh()
    lake.settled()
    assert lake.shown() == before


def test_the_focus_leaves_a_closed_folder(lake):
    """Closing a folder gives the focus to its own row."""
    lake.open("curated/", "orders/")
    lake.navigator.at(lake.place("003.parquet"))
    assert lake.navigator.cursor.location == Location("lake", "curated/orders/")
    lake.navigator.left(lake.place("curated/"))
    assert lake.navigator.cursor.place == lake.place("curated/")


@pytest.mark.parametrize(
    ("text", "location", "starting_with"),
    [
        ("s3://lake/logs/2024-1", Location("lake", "logs/"), "2024-1"),
        ("s3://lake", Location("lake"), ""),
        ("ev", Location("lake"), "ev"),
        ("", None, ""),
    ],
)
def test_go(lake, text, location, starting_with):
    """A location begins the tree there, what follows its last slash is searched for, other text searches here."""
    lake.navigator.go(text)
    lake.settled()
    root = lake.tree.root
    assert (root.location, root.starting_with) == (location, starting_with)


def test_go_says_what_is_wrong(lake):
    """Text that is no location changes nothing and is answered."""
    root = lake.tree.root
    lake.navigator.go("http://lake/logs/")
    assert lake.tree.root is root
    assert lake.navigator.said == (1, "Its host is neither Amazon S3's nor the ENDPOINT of a connection")


def test_up_goes_to_the_roots(lake):
    """One folder up of a bucket are the roots, of a folder its parent."""
    lake.navigator.go("s3://lake/events/year=2024/")
    lake.settled().navigator.up()
    assert lake.settled().tree.root.location == Location("lake", "events/")
    lake.navigator.up()
    lake.settled().navigator.up()
    assert next(name for name in lake.settled().shown() if "/" not in name) == "lake"
    assert lake.shown()[-2:] == ["media-archive", "odd-keys"]


def test_a_range_is_chosen_up_to_a_limit(lake):
    """A range takes at most 1,000 rows and says when it is cut."""
    lake.open("logs/")
    lake.navigator.at(lake.place("broken/"))
    lake.navigator.at(lake.place("schema.avsc"), "range")
    assert len(lake.navigator.cursor.selected) <= 1_000
    assert lake.navigator.said[1] == "Only the first 1,000 rows are chosen"


def decoded(messages):
    return [json.loads(message["json"]) for message in messages]


def test_messages_hold_every_row_and_stay_small():
    """Rows of 1,024 hostile bytes are split over messages of at most 256 kB, without loss."""
    at = Location("odd-keys", "\u202e/" * 100)
    root = Folder(at)
    keys = [at.key + f"{number:03}" + "\u200b" * 200 + '"\\\x1b' for number in range(500)]
    root.add(Children([TreeEntry(Location("odd-keys", key)) for key in keys]))
    tree = FolderTree(root)
    messages = list(row_messages(tree.lines(0, len(tree)), 0, 7))
    assert max(len(json.dumps(message)) for message in messages) <= MESSAGE_AT_MOST
    assert len(messages) > 1
    parts = decoded(messages)
    assert [part["done"] for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [part["from"] for part in parts] == np.cumsum([0, *(len(part["rows"]) for part in parts[:-1])]).tolist()
    exact = [part["folders"][str(row[0])][0] + row[-1] for part in parts for row in part["rows"]]
    assert exact == [Location("odd-keys", key).uri for key in keys]


def test_messages_are_ascii_even_for_broken_text():
    """A lone surrogate travels as an escape, as raw text would break the channel."""
    root = Folder(LAKE)
    root.add(Children([TreeEntry(Location("lake", "a\udc80b"))]))
    (message,) = row_messages(FolderTree(root).lines(0, 1), 0, 1)
    assert message["json"].isascii()
    assert decoded([message])[0]["rows"][0][-1] == "a\udc80b"


def test_crumbs_add_up_to_the_exact_uri():
    """The segments of the breadcrumb, put together, are the location's URI, empty segments too."""
    location = Location("odd-keys", "a//\u202eb/\n/c")
    assert "s3://" + "".join(exact for _, exact in crumbs(location)) == location.uri
    assert [shown for shown, _ in crumbs(location)] == ["odd-keys", "a", "(empty)", "⟨U+202E⟩b", "␊", "c"]


def test_the_snapshot_is_escaped_and_cut_with_a_word():
    """The snapshot escapes every key, is left alone by MathJax, and says how much it leaves out."""
    buckets = MadeUpBuckets()
    at = Location("odd-keys")
    odd = Watched(at, buckets, buckets(at, None, cancelled=lambda: False)).tree
    page = html_table("<b>title</b>", odd)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;b&gt;title&lt;/b&gt;" in page
    assert "mathjax_ignore" in page
    assert "\x1b" not in page + text_tree("t", odd)
    logs = Location("lake", "logs/")
    cut = Watched(logs, buckets, buckets(logs, None, cancelled=lambda: False)).tree
    assert "901 more lines are not in this snapshot" in text_tree("t", cut)
    assert "901 more lines are not in this snapshot" in html_table("t", cut)


def test_the_widget_keeps_keys_out_of_its_state():
    """No trait that is synced, and so saved in a notebook, holds a location or a key."""
    buckets = MadeUpBuckets()
    at = Location("lake", "curated/")
    explorer = Explorer(buckets, title="secret-title", location=at, first=buckets(at, None, cancelled=lambda: False))
    explorer._receive(
        explorer, {"type": "at", "seq": 1, "mode": "one", "place": list(explorer._navigator.cursor.place)}, None
    )
    assert explorer.selection == ("s3://lake/curated/customers/",)
    state = repr({name: value for name, value in explorer.get_state().items() if name not in {"_esm", "_css"}})
    assert "curated" not in state
    assert "secret-title" not in state


def test_location_and_selection_are_observable_from_python():
    """Moving the focus notifies who observes the traits, and neither can be set."""
    buckets = MadeUpBuckets()
    explorer = Explorer(buckets, title="t", first=buckets(None, None, cancelled=lambda: False))
    seen = []
    explorer.observe(lambda change: seen.append(change["new"]), ["location", "selection"])
    number = explorer._navigator.tree.root.number
    explorer._receive(explorer, {"type": "at", "seq": 1, "place": [number, 1], "mode": "one"}, None)
    assert seen == [("s3://media-archive/",)]
    explorer._receive(explorer, {"type": "toggle", "seq": 2, "place": [number, 1]}, None)
    assert seen[1:] == [Location("media-archive")]
    with pytest.raises(Exception, match="read-only"):
        explorer.location = None


def test_an_observer_that_fails_is_logged_and_stops_nothing(caplog):
    """Its traceback is in the log, the other trait is told of, and the folder is listed."""
    explorer, seen = Page(MadeUpBuckets(), title="lab"), []

    def fails(_):
        raise ValueError("of the user")

    explorer.observe(fails, "location")
    explorer.observe(lambda change: seen.append(change["new"]), "selection")
    explorer.do("begin", seq=1)
    explorer.settled().enter("lake")
    explorer.choose("README.md")
    assert seen[-1] == ("s3://lake/README.md",)
    assert "an observer of location failed" in caplog.text
    assert "ValueError: of the user" in caplog.text
    explorer.close()


def test_stale_and_unknown_messages_change_nothing():
    """A message about a folder or row that is gone, or of an unknown kind, is ignored."""
    buckets = MadeUpBuckets()
    explorer = Explorer(buckets, title="t", first=buckets(None, None, cancelled=lambda: False))
    before = text_tree("t", explorer._navigator.tree)
    for kind in ("toggle", "right", "left", "root", "at"):
        explorer._receive(explorer, {"type": kind, "place": [-1, 99]}, None)
        explorer._receive(explorer, {"type": kind, "place": [explorer._navigator.tree.root.number, 99]}, None)
    explorer._receive(explorer, {"type": "more", "number": -1}, None)
    explorer._receive(explorer, {"type": "__class__"}, None)
    assert text_tree("t", explorer._navigator.tree) == before


def test_the_browser_end_is_small():
    """Each module and style sheet stays under 25 kB, and all of them together under 160 kB."""
    files = [file for file in FRONT.iterdir() if file.suffix in {".js", ".css"}]
    assert [file.name for file in files if file.stat().st_size > 25_000] == []
    assert len(str(Explorer._esm)) + len(str(Explorer._css)) < 160_000


def test_the_browser_end_is_safe_under_a_strict_policy():
    """The script writes no markup, evaluates no text, sets no style attribute and loads nothing."""
    script = str(Explorer._esm)
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch("):
        assert forbidden not in script
    assert 'setAttribute("style"' not in script
    assert [line for line in script.splitlines() if "http" in line and "www.w3.org/2000/svg" not in line] == []
    assert "url(" not in str(Explorer._css)
    assert "@import" not in str(Explorer._css)


def test_entries_travel_between_processes():
    """An entry can be pickled."""
    entry = TreeEntry(LAKE, is_prefix=True)
    assert pickle.loads(pickle.dumps(entry)) == entry
