"""The label of a row, and rows added up page by page, against loops over plain values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hostile_keys import HOSTILE
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain_groups import COMPOUND, NOW, Item, age, extension, folder, groups, size_range

from s3conn_magic.listing.analysis import AGES, GROUPS, SIZES, Summary, grouping
from s3conn_magic.listing.table import OBJECTS

KEYS = st.text(st.sampled_from("ab/.é🎉\n \0Z"), min_size=1, max_size=12)
NAMES = st.text(st.sampled_from("aZ/.é1_- "), max_size=9)
ENDINGS = st.sampled_from(
    ["", ".", *sorted(COMPOUND), ".CSV.gz", ".csv.txt", ".7z", ".1", ".0a", ".1234a", ".a" + "b" * 12]
)
SECONDS = st.integers(-(10**6), 5 * 10**8)
LIMITS = [day * 86400 + side for day in (1, 7, 30, 90, 365, 1095) for side in (-1, 0, 1)]
_EDGES = (1, 10**3, 128 * 10**3, 10**6, 100 * 10**6, 10**9, 5 * 10**9)
SIZE_LIMITS = [size + side for size in _EDGES for side in (-1, 0, 1)]


def batch(items):
    """A page's rows."""
    columns = [
        pa.array([item.key for item in items], pa.string()),
        pa.array([item.size for item in items], pa.int64()),
        pa.array([item.time for item in items], OBJECTS.field("last_modified").type),
        pa.array(["e"] * len(items), pa.string()),
        pa.array([item.storage or None for item in items], pa.string()).dictionary_encode(),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=OBJECTS)


def of_keys(keys):
    return batch([Item(key, 1, NOW) for key in keys])


def labels(by, objects, **options):
    return grouping(by, **options).labels(objects).to_pylist()


@settings(deadline=None)
@given(st.lists(KEYS, min_size=1), st.sampled_from(["", "a/", "a/b", "ab/é/", "/", "//", "🎉"]), st.integers(1, 4))
def test_a_folder_is_that_of_the_key(keys, location, depth):
    """BY PREFIX the label is the first folders below the location's, whatever the keys and wherever the page is cut."""
    below = [location + key for key in keys]
    expected = [folder(key, location, depth) for key in below]
    assert labels("PREFIX", of_keys(below), prefix=location, depth=depth) == expected
    middle = len(keys) // 2
    if keys[middle:]:
        assert labels("PREFIX", of_keys(below).slice(middle), prefix=location, depth=depth) == expected[middle:]


@pytest.mark.parametrize("depth", [1, 2, 40, 10**17])
def test_hostile_folders(depth):
    """Every hostile key is in the folder that it says, at any depth."""
    keys = sorted(HOSTILE.values())
    assert labels("PREFIX", of_keys(keys), depth=depth) == [folder(key, "", depth) for key in keys]


EXTENSIONS = {
    "a.csv": ".csv",
    "a.CSV.GZ": ".csv.gz",
    "a/b.d/c": "",
    "a.b/c.tar.gz": ".tar.gz",
    "part-00000-c000.snappy.parquet": ".snappy.parquet",
    "part.c000.json.zst": ".json.zst",
    "README": "",
    ".hidden": "",
    "..hidden": "",
    ".hidden.txt": ".txt",
    "a..txt": ".txt",
    "a.": "",
    "a.txt/": "",
    "archive.7z": ".7z",
    "app.log.1": "",
    "x.2024-01-01T00:00:00.123456": "",
    "d41d8cd9.8f00b204e9800998ecf8427e": "",
    "song.mp3\n": "",
    "a\nb.mp3": ".mp3",
    "a.<b>": "",
    "a.данные": "",
    ".tar.gz": ".gz",
}


@pytest.mark.parametrize("key", EXTENSIONS)
def test_an_extension(key):
    """What stands behind the last dot, or the last two where they are known to go together; in lower case."""
    assert labels("EXTENSION", of_keys([key])) == [EXTENSIONS[key]]


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES, ENDINGS).map("".join).filter(bool), min_size=1))
def test_any_extension(keys):
    """Whatever a key is made of, its extension is that of the plain rule."""
    assert labels("EXTENSION", of_keys(keys)) == [extension(key) for key in keys]


def test_hostile_extensions():
    """Every hostile key has the extension of the plain rule."""
    keys = sorted(HOSTILE.values())
    assert labels("EXTENSION", of_keys(keys)) == [extension(key) for key in keys]


@settings(deadline=None)
@given(st.lists(SECONDS | st.sampled_from(LIMITS), min_size=1), st.integers(0, 999_999))
def test_an_age_is_counted_from_the_clock(seconds, micro):
    """Ages fall into their ranges to the microsecond; a time that is yet to come is less than a day."""
    items = [Item("k", 1, NOW - timedelta(seconds=one, microseconds=micro)) for one in seconds]
    assert labels("AGE", batch(items), now=NOW) == [age(item.time) for item in items]


def test_the_clock_may_be_of_any_zone():
    """The same moment in another time zone gives the same ages."""
    items = [Item("k", 1, NOW - timedelta(seconds=one)) for one in LIMITS]
    there = NOW.astimezone(tz=None)
    assert labels("AGE", batch(items), now=there) == labels("AGE", batch(items), now=NOW)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**45) | st.sampled_from(SIZE_LIMITS), min_size=1))
def test_a_size_is_in_its_range(sizes):
    """Sizes fall into their ranges to the byte."""
    assert labels("SIZE", batch([Item("k", size, NOW) for size in sizes])) == [size_range(size) for size in sizes]


def test_every_range_is_met_by_its_limits():
    """No range of age or size is empty for ever."""
    ages = batch([Item("k", 1, NOW - timedelta(seconds=one)) for one in LIMITS])
    assert set(labels("AGE", ages, now=NOW)) == set(AGES)
    assert set(labels("SIZE", batch([Item("k", size, NOW) for size in SIZE_LIMITS]))) == set(SIZES)


def test_a_missing_storage_class_is_a_group_of_its_own():
    """A server that names no class gives the group ''."""
    assert labels("STORAGE_CLASS", batch([Item("a", 1, NOW, ""), Item("b", 1, NOW, "GLACIER")])) == ["", "GLACIER"]


ITEMS = st.builds(
    Item,
    key=KEYS,
    size=st.integers(0, 2**50),
    time=st.datetimes(datetime(2010, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    storage=st.sampled_from(["STANDARD", "GLACIER", ""]),
)
BY = st.sampled_from(["PREFIX", "STORAGE_CLASS", "EXTENSION", "AGE", "SIZE"])


def plain(table):
    names = ("group", "objects", "bytes", "newest", "oldest")
    return [tuple(row[name] for name in names) for row in table.to_pylist()]


@settings(deadline=None)
@given(st.lists(st.lists(ITEMS, max_size=20), max_size=8), BY, st.integers(1, 3))
def test_pages_add_up_to_the_whole(pages, by, depth):
    """However rows are cut into pages, the groups are those of all of them, in their order."""
    summary = Summary(grouping(by, depth=depth, now=NOW))
    for page in pages:
        summary.add(batch(page))
    every = groups([item for page in pages for item in page], by, depth=depth)
    order = {"AGE": AGES, "SIZE": SIZES}.get(by)
    ordered = sorted(
        every.values(), key=lambda one: order.index(one.name) if order else (-one.size, -one.objects, one.name)
    )
    assert summary.table().schema.equals(GROUPS)
    assert plain(summary.table()) == [(one.name, one.objects, one.size, one.newest, one.oldest) for one in ordered]


def test_what_is_kept_does_not_grow_with_the_keys():
    """After a million rows of three groups, less memory is held than ten of their pages take."""
    items = [Item(f"{'abc'[number % 3]}/{number}", number, NOW) for number in range(1000)]
    page, summary = batch(items), Summary(grouping("PREFIX"))
    before = pa.total_allocated_bytes()
    for _ in range(1000):
        summary.add(page)
    assert pa.total_allocated_bytes() - before < 10 * page.nbytes
    assert sorted(summary.table()["objects"].to_pylist(), reverse=True) == [334_000, 333_000, 333_000]


def test_many_groups_are_added_up_too():
    """Groups by the ten thousand, each met in two pages, are whole."""
    keys = [f"{number:05d}/x" for number in range(20_000)]
    summary = Summary(grouping("PREFIX"))
    for at in range(0, len(keys), 500):
        summary.add(of_keys(keys[at : at + 1000]))
    counts = summary.table()["objects"].to_pylist()
    assert len(counts) == 20_000
    assert counts.count(2) == 19_500


def test_what_comes_once_more_is_counted_once():
    """After beginning again only the second time counts; a group with fewer objects than before is noticed."""
    summary = Summary(grouping("PREFIX"))
    summary.add(of_keys(["a/1", "b/1", "b/2"]))
    assert not summary.lacks_rows()
    summary.begin_again()
    summary.add(of_keys(["a/1", "b/1"]))
    assert summary.lacks_rows()
    summary.add(of_keys(["b/2", "c/1"]))
    assert not summary.lacks_rows()
    assert {row["group"]: row["objects"] for row in summary.table().to_pylist()} == {"a/": 1, "b/": 2, "c/": 1}


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 10**6)), min_size=1), max_size=12), st.integers(2, 9)
)
@example([[(0, 1), (1, 0), (2, 0), (3, 0), (4, 0)], [(0, 1)], [(0, 3)]], 2)
def test_groups_beyond_the_bound_are_one_row_and_the_others_stay_exact(pages, most):
    """Those with the most bytes are as without a bound, wherever they were kept meanwhile; the rest is added up."""
    few, every = Summary(grouping("PREFIX"), most), Summary(grouping("PREFIX"), None)
    for page in pages:
        objects = batch([Item(f"{folder}/x", size, NOW) for folder, size in page])
        few.add(objects)
        every.add(objects)
        few.merge(GROUPS.empty_table())
    rows, expected = few.table().to_pylist(), every.table().to_pylist()
    for row in expected:
        # A sum of fractions depends on their order in its last digit.
        row["usd_month"] = pytest.approx(row["usd_month"], rel=1e-12)
    if len(expected) <= most:
        assert rows == expected
        return
    rest = expected[most - 1 :]
    assert rows[:-1] == expected[: most - 1]
    assert rows[-1]["group"] == f"({len(rest)} more groups)"
    assert [rows[-1][name] for name in ("objects", "bytes")] == [
        sum(row[name] for row in rest) for name in ("objects", "bytes")
    ]


def test_what_began_again_is_compared_with_what_was_put_aside():
    """Rows that came before a new beginning and not after it are missed, though the disk held them."""
    summary = Summary(grouping("PREFIX"), 2)
    for name in range(20):
        summary.add(of_keys([f"{name}/x"]))
        summary.merge(GROUPS.empty_table())
    summary.begin_again()
    for name in range(20):
        assert summary.lacks_rows()
        summary.add(of_keys([f"{name}/x"]))
    assert not summary.lacks_rows()
