"""Did-you-mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.words import counted, edits, listed, nearest, related


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("", "", 0),
        ("a", "a", 0),
        ("ab", "ba", 1),
        ("abc", "abd", 1),
        ("abc", "ab", 1),
        ("abc", "abcd", 1),
        ("abcd", "badc", 2),
        ("abc", "xyz", 3),
        ("abc", "abcdefgh", 3),
        ("kitten", "sitting", 3),
    ],
)
def test_edits_count_insertions_deletions_changes_and_swaps(one: str, other: str, distance: int):
    """The distance is the same both ways, and everything beyond two is three."""
    assert edits(one, other) == edits(other, one) == distance


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_edits_are_what_the_whole_table_says(one: str, other: str):
    """All shortcuts taken together give what filling the whole table gives."""
    assert edits(one, other) == min(_table(one, other), 3)


def _table(one: str, other: str) -> int:
    rows = [[*range(len(other) + 1)]]
    for i in range(1, len(one) + 1):
        rows.append([i])
        for j in range(1, len(other) + 1):
            costs = [rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (one[i - 1] != other[j - 1])]
            if i > 1 and j > 1 and one[i - 2] + one[i - 1] == other[j - 1] + other[j - 2]:
                costs.append(rows[i - 2][j - 2] + 1)
            rows[i].append(min(costs))
    return rows[-1][-1]


def test_a_long_word_is_near_to_nothing():
    """Words longer than any name of ours are not compared, however near they are."""
    assert nearest("a" * 65, ["a" * 65]) is None


@pytest.mark.parametrize("word", ["", "X", "PASSWORD", "STORAGE_INTEGRATION", "s3://bucket"])
def test_nothing_is_suggested_for_what_is_not_near(word: str):
    """A word that is unlike every option has no suggestion."""
    assert nearest(word, OPTION_NAMES) is None
    assert related(word, OPTION_NAMES) is None


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("aws_secret_access_key_id", "AWS_SECRET_ACCESS_KEY"),
        ("KEY_ID", "AWS_ACCESS_KEY_ID"),
        ("KMS_KEY", "ENCRYPTION_KMS_KEY"),
        ("PROFILE", "AWS_PROFILE"),
        ("AWS_REGION", "REGION"),
        ("ENDPOINT_URL", "ENDPOINT"),
        ("COMENT", "COMMENT"),
    ],
)
def test_a_part_of_an_option_or_more_than_it_finds_the_option(word: str, meant: str):
    """Names of other products that hold ours, or are held by them, are told ours."""
    assert related(word, OPTION_NAMES) == meant


def test_names_are_listed_as_a_phrase():
    """One, two and three names read as one would say them."""
    assert [listed(names) for names in ([], ["A"], ["A", "B"], ["A", "B", "C"])] == ["", "A", "A or B", "A, B or C"]
    assert listed(["A", "B"], "and") == "A and B"


def test_a_number_stands_with_its_noun():
    """One thing is named in the singular, all others in the plural, thousands with their comma."""
    assert [counted(number, "row") for number in (0, 1, 2, 1234)] == ["0 rows", "1 row", "2 rows", "1,234 rows"]
