"""MATCHING: the glob equals its definition on every key, and takes no time that its wildcards multiply."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listing_targets import FakeTarget
from synthetic import Bucket

from s3conn_magic.listing import Listing
from s3conn_magic.runtime.patterns import Glob

# Stands where a brace was: wildcards on both sides of it are two, each by itself.
SEAM = "\0"
ALPHABET = "ab-/\n.é😀\\"
HYPHENS = "-" * 900


def alternatives(pattern: str) -> list[str]:
    """The patterns without braces that one with braces stands for."""
    at = pattern.find("{")
    bracket = pattern.find("[")
    if at < 0:
        return [pattern]
    if 0 <= bracket < at:
        # What stands in a class is no brace.
        end = pattern.index("]", bracket + 2 + pattern.startswith(("!", "^"), bracket + 1)) + 1
        return [pattern[:end] + rest for rest in alternatives(pattern[end:])] if end > at else _expanded(pattern, at)
    return _expanded(pattern, at)


def _expanded(pattern: str, at: int) -> list[str]:
    depth, begin, branches = 0, at + 1, []
    for index in range(at, len(pattern)):
        depth += (pattern[index] == "{") - (pattern[index] == "}")
        if (pattern[index] == "," and depth == 1) or depth == 0:
            branches.append(pattern[begin:index])
            begin = index + 1
        if depth == 0:
            tails = alternatives(pattern[index + 1 :])
            found = [one for branch in branches for one in alternatives(branch)]
            return [SEAM.join((pattern[:at], one, tail)) for one in found for tail in tails]
    raise AssertionError(pattern)


def matches(pattern: str, key: str) -> bool:
    """One pattern without braces, by a table: which beginnings of the key the pattern so far matches."""
    reached, at = {0}, 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            reached |= {end + 1 for end in range(len(key)) if key[end] == "/" and min(reached, default=9**9) <= end}
            at += 3
        elif pattern[at] == SEAM:
            at += 1
        elif pattern.startswith("**", at):
            reached = set(range(min(reached), len(key) + 1)) if reached else reached
            at += 2
        elif pattern[at] == "*":
            reached = {end for one in reached for end in range(one, len(key) + 1) if "/" not in key[one:end]}
            at += 1
        else:
            one, at = _one(pattern, at)
            reached = {begin + 1 for begin in reached if begin < len(key) and one(key[begin])}
    return len(key) in reached


def _one(pattern: str, at: int):
    """Whether a character is the one that stands at a place of the pattern, and the place behind it."""
    if pattern[at] == "?":
        return lambda letter: letter != "/", at + 1
    if pattern[at] != "[":
        return lambda letter: letter == pattern[at], at + 1
    negated = pattern.startswith(("!", "^"), at + 1)
    begin = at + 1 + negated
    end = pattern.index("]", begin + 1)
    members = re.findall(r".-.|.", pattern[begin:end], re.DOTALL)

    def is_one(letter: str) -> bool:
        there = any(one[0] <= letter <= one[-1] for one in members)
        return not there and letter != "/" if negated else there

    return is_one, end + 1


WILD = st.sampled_from(["*", "**", "**/", "/**/", "?", "[ab]", "[!a]", "[^-b]", "[a-é]", "[]-a]"])
TEXTS = st.text(st.sampled_from(ALPHABET), max_size=3)
FLAT = st.lists(WILD | TEXTS, max_size=6).map("".join)
NESTED = st.recursive(
    FLAT, lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda one: f"{{{','.join(one)}}}")
)
PATTERNS = st.lists(NESTED | FLAT, max_size=3).map("".join)


@settings(max_examples=400)
@given(PATTERNS, st.lists(st.text(st.sampled_from(ALPHABET), max_size=8), max_size=5), TEXTS)
def test_a_glob_is_its_definition(pattern, keys, prefix):
    """Random patterns on random keys, with line breaks, slashes and characters beyond ASCII, below a prefix or not."""
    import pyarrow as pa

    glob, flat = Glob.compile(pattern), alternatives(pattern)
    expected = [any(matches(one, key) for one in flat) for key in keys]
    assert glob.wants(keys) == expected
    assert glob.mask(pa.array([prefix + key for key in keys], pa.string()), prefix).to_pylist() == expected


def test_the_definition_knows_what_a_glob_is():
    """The reference of the test above is right where anyone can see it."""
    assert [one.replace(SEAM, "") for one in alternatives("a{b,c{d,}}[{]x")] == ["ab[{]x", "acd[{]x", "ac[{]x"]
    assert matches("**/a*", "x/y/ab")
    assert matches("**/a*", "a")
    assert not matches("*a", "x/a")
    assert not matches("[!a]", "/")


@pytest.mark.parametrize(
    "pattern",
    [
        "*-*-*-*.csv",
        "*-*-*-*-*-*-*-*-*-*-*-*-*-*-*-*.csv",
        "{a,b}" * 40,
        "{-,--}" * 40 + "x",
        "{a,{b,{c,{d,-}}}}" * 40,
        "**/" * 1_365 + "x",
        "*" * 4_000 + "x",
        "**-" * 60 + "x",
        "{*-,*--}" * 40 + "x",
        "{" + ",".join(["*-*"] * 60) + "}x",
    ],
    ids=lambda one: f"{one[:20]}…{len(one)}",
)
def test_wildcards_and_braces_do_not_multiply(pattern):
    """Patterns that a backtracking matcher never ends on are matched with long keys at once, and bind at once."""
    glob = Glob.compile(pattern)
    assert glob.wants([HYPHENS, HYPHENS + "/" + HYPHENS, "-/" * 450]) == [False] * 3


@pytest.mark.parametrize("pattern", ["*-" * 200, "?" * 200, "[a]" * 200, "*a" + "?" * 1_000])
def test_more_wildcards_than_anyone_writes_are_refused(pattern):
    """An automaton takes a step for each of them at every character, so their number is bounded."""
    with pytest.raises(ValueError, match="more than 128 wildcards"):
        Glob.compile(pattern)


def test_folders_of_hyphens_are_filtered_at_once():
    """`LIST … MATCHING '*-*-*-*.csv'` over folders that are named by 900 hyphens ends."""
    keys = [*sorted(f"{'-' * (900 - number)}/k" for number in range(50)), "a-b-c-d.csv"]
    glob = Glob.compile("*-*-*-*.csv")
    found = Listing(FakeTarget(Bucket(sorted(keys))), delimiter="/", matching=glob).collect()
    assert found.column("key").to_pylist() == ["a-b-c-d.csv"]
