"""LIMIT and MATCHING: the first rows in key order, a cut that is always known, and no request too many."""

from __future__ import annotations

import random
from itertools import compress

import pytest
from hostile_keys import HOSTILE
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, keys_of
from listing_targets import FakeTarget, SignedTarget
from synthetic import Bucket

from s3conn_magic.listing import Listing
from s3conn_magic.listing.table import assemble
from s3conn_magic.runtime.patterns import Glob


@pytest.mark.parametrize("limit", [1, 49, 50, 51, 999, 1000, 1001, 1999, 2000, 2001])
@pytest.mark.parametrize("layout", ["hive", "random", "skewed"])
def test_the_first_rows_in_key_order(limit, layout, serve):
    """A limit gives the first rows in key order, and says that it cut exactly when there are more."""
    keys = keys_of(layout, 2000)
    listing = Listing(SignedTarget(serve(Bucket(keys))), limit=limit, page_keys=50)
    assert listing.collect().column("key").to_pylist() == keys[:limit]
    assert listing.truncated is (limit < len(keys))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_limit_stops_requests(layout, serve):
    """A limit of a twentieth of the keys asks for far fewer than their five hundred pages."""
    keys = keys_of(layout, 10000)
    target = SignedTarget(serve(Bucket(keys)))
    listing = Listing(target, limit=500, page_keys=20)
    assert listing.collect().column("key").to_pylist() == keys[:500]
    assert len(target.asked) < 200


def test_a_small_limit_is_one_small_request():
    """A limit within a page asks for no more rows than wanted, once."""
    target = FakeTarget(Bucket(keys_of("hive", 3000)))
    listing = Listing(target, limit=5)
    assert len(listing.collect()) == 5
    assert listing.truncated
    assert [dict(query)["max-keys"] for query in target.asked] == ["5"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_a_limit_counts_folders(limit):
    """Folders and objects count alike and are cut in key order."""
    listing = Listing(FakeTarget(Bucket(["a/1", "b", "c/1", "c/2", "d"])), delimiter="/", limit=limit, page_keys=3)
    assert listing.collect().column("key").to_pylist() == ["a/", "b", "c/", "d"][:limit]
    assert listing.truncated is (limit < 4)


@pytest.mark.parametrize("limit", [2, 3, 4])
def test_a_limit_on_matching_rows_is_certain(limit):
    """With a pattern, rows are only said to be left out where one more that matches was found."""
    keys = sorted([f"{number:04d}.log" for number in range(300)] + ["0100.csv", "0200.csv", "0250.csv"])
    listing = Listing(FakeTarget(Bucket(keys)), matching=Glob.compile("*.csv"), limit=limit, page_keys=10)
    assert listing.collect().column("key").to_pylist() == ["0100.csv", "0200.csv", "0250.csv"][:limit]
    assert listing.truncated is (limit < 3)


def test_a_limit_of_a_few_pages_is_listed_page_by_page():
    """Where three pages are enough, nothing is asked for at a guess."""
    target = FakeTarget(Bucket(keys_of("random", 3000)))
    assert len(Listing(target, limit=60, page_keys=20).collect()) == 60
    assert len(target.asked) == 3


def test_pages_of_a_limited_stream_come_in_key_order(serve):
    """Where a limit is set, pages are handed out in key order."""
    keys = keys_of("hive", 3000)
    pages = list(Listing(SignedTarget(serve(Bucket(keys))), limit=1200, page_keys=20).pages())
    assert [key for page in pages for key in page.objects.column("key").to_pylist()] == keys[:1200]
    assert assemble(pages).column("key").to_pylist() == keys[:1200]


MATCHES = {
    "*.csv": (["a.csv", ".csv"], ["a/b.csv", "a.csv.gz", "a.CSV", "a.csv\n"]),
    "**.csv": (["a.csv", "a/b.csv", "a/b/c.csv"], ["a.csv/x"]),
    "**/*.csv": (["a.csv", "a/b.csv", "a/b/c.csv"], ["a.csvx"]),
    "a/**/b": (["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
    "a?c": (["abc", "a.c", "aüc", "a🎉c", "a\nc"], ["ac", "a/c", "abbc"]),
    "[a-c]x": (["ax", "bx", "cx"], ["dx", "Ax", "x", "-x"]),
    "[!a-c]x": (["dx", "-x", "🎉x"], ["ax", "/x"]),
    "[]]": (["]"], ["[", "x"]),
    "[a-]": (["a", "-"], ["b"]),
    "[^a]": (["b"], ["a", "/"]),
    "{a,b}": (["a", "b"], ["c", "ab", ""]),
    "{a,b/{c,d}}*": (["a", "ax", "b/c", "b/dx"], ["b", "b/x"]),
    "{,x}y": (["y", "xy"], ["xxy"]),
    "2024-{01,02}/**": (["2024-01/x", "2024-02/y/z", "2024-01/"], ["2024-03/x", "2024-01"]),
    "a.b+c(d)$": (["a.b+c(d)$"], ["aXb+c(d)$", "a.bbc(d)"]),
    "back\\slash": (["back\\slash"], ["backslash"]),
    "nul\x01": (["nul\x01"], ["nul"]),
    "": ([""], ["a"]),
    "**": (["", "a", "a/b\nc"], []),
}


@pytest.mark.parametrize("pattern", MATCHES)
def test_what_a_pattern_matches(pattern):
    """A pattern matches what it should and nothing else, alike for one key and for a column of keys."""
    import pyarrow as pa

    glob = Glob.compile(pattern)
    yes, no = MATCHES[pattern]
    assert [*glob.wants(yes + no)] == [True] * len(yes) + [False] * len(no)
    column = pa.array(["p+.(/" + key for key in yes + no], pa.string())
    assert glob.mask(column, "p+.(/").to_pylist() == [True] * len(yes) + [False] * len(no)
    assert all(any(key.startswith(head) for head in glob.heads) for key in yes)


@pytest.mark.parametrize(
    ("pattern", "heads"),
    [
        ("2024/*.csv", ("2024/",)),
        ("{a,b}/x*", ("a/x", "b/x")),
        ("{a,ab}*", ("a",)),
        ("x/{1,2}{3,4}.csv", ("x/13.csv", "x/14.csv", "x/23.csv", "x/24.csv")),
        ("*", ("",)),
        ("exact", ("exact",)),
        ("a[bc]d", ("a",)),
    ],
)
def test_the_literal_heads_of_a_pattern(pattern, heads):
    """The literal beginning of a pattern, with its alternatives, is what the server is asked for."""
    assert Glob.compile(pattern).heads == heads


@pytest.mark.parametrize("pattern", ["[a", "{a", "a}", "[]", "[z-a]", "{a,{b}"])
def test_a_broken_pattern_is_refused(pattern):
    """A pattern that is not closed, or a range the wrong way round, is an error."""
    with pytest.raises(ValueError, match=r"closed|has no|wrong way"):
        Glob.compile(pattern)


@pytest.mark.parametrize("pattern", ["{a," * 20_000, "{" * 17 + "}" * 17, "a" * 4_097, "[a]" * 1_366])
def test_a_pattern_with_too_much_of_something_is_refused(pattern):
    """Length and depth have a bound, far from what anyone writes."""
    with pytest.raises(ValueError, match="more than"):
        Glob.compile(pattern)


def test_alternatives_do_not_multiply():
    """Four braces of 300 alternatives each have one literal beginning, not 300 to the power of four."""
    assert Glob.compile(("x/{" + ",".join("ab" * 150) + "}") * 4 + "*").heads == ("x/",)


@given(st.text(st.sampled_from("ab/*?[]{},-!\\."), max_size=12), st.text(st.sampled_from("ab/.,-"), max_size=8))
def test_heads_never_lose_a_match(pattern, key):
    """Whatever a pattern matches begins with one of its heads, and both ways of matching agree."""
    import pyarrow as pa

    try:
        glob = Glob.compile(pattern)
    except ValueError:
        return
    (matched,) = glob.wants([key])
    assert not matched or key.startswith(glob.heads)
    assert glob.mask(pa.array([key])).to_pylist() == [matched]


@pytest.mark.parametrize("pattern", ["**", "a*", "*/*", "{control,folder}/**", "punctuation/?key?", "**.png", "[A-Z]*"])
def test_a_filtered_listing(pattern, serve):
    """A listing with a pattern holds exactly the keys that match it, below a prefix or not."""
    glob, keys = Glob.compile(pattern), sorted(HOSTILE.values())
    found = Listing(SignedTarget(serve(Bucket(keys))), matching=glob, page_keys=7).collect().column("key").to_pylist()
    assert found == [*compress(keys, glob.wants(keys))]


def test_alternatives_ask_for_their_prefixes_only(serve):
    """`{a,b}` at the head asks for both prefixes and not for what lies between."""
    target = SignedTarget(serve(Bucket(keys_of("hive", 4000))))
    glob = Glob.compile("lake/{events,users}/year=2024/month=02/**.parquet")
    found = Listing(target, matching=glob).collect()
    assert len(found) == sum("year=2024/month=02" in key for key in keys_of("hive", 4000))
    assert {dict(query)["prefix"] for query in target.asked} == set(glob.heads)


def test_folders_that_match():
    """In a listing by delimiter, folders are matched by their name with and without the slash."""
    keys = random.Random(1).sample(["logs/1", "logs-old/1", "data/1", "log.txt"], 4)
    found = Listing(FakeTarget(Bucket(sorted(keys))), delimiter="/", matching=Glob.compile("log*")).collect()
    assert found.column("key").to_pylist() == ["log.txt", "logs-old/", "logs/"]


@pytest.mark.parametrize(
    ("prefix", "delimiter"), [("d1", None), ("d1", "/"), ("a/b", None), ("a/b", "/"), ("a/", None), ("", "/")]
)
def test_a_bucket_that_takes_folders_as_prefixes_only(prefix, delimiter):
    """Where keys come in no order, what is asked for ends in a slash, and what was meant is what comes."""
    keys = ["a/b", "a/b1/x", "a/b2", "a/c", "d1/x", "d1/y/z", "d10", "d2/x"]
    target, plain = (FakeTarget(Bucket(keys), ordered=ordered) for ordered in (False, True))
    listed = [Listing(each, prefix, delimiter=delimiter, page_keys=2).collect() for each in (target, plain)]
    assert listed[0] == listed[1]
    assert all(dict(query)["prefix"].endswith("/") or not dict(query)["prefix"] for query in target.asked)
