"""Did-you-mean."""

from __future__ import annotations

import random
import string

import pytest

from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.spelling import edits, listed, nearest, related


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


def test_every_typo_of_one_edit_finds_its_option():
    """At least nine of ten misspellings by one edit are told the option that was meant."""
    chance = random.Random(7)
    typos = [(name, _typo(name, chance)) for name in OPTION_NAMES for _ in range(50)]
    meant = sum(nearest(typo, OPTION_NAMES) == name for name, typo in typos)
    assert meant >= 0.9 * len(typos)


def _typo(word: str, chance: random.Random) -> str:
    at, letter = chance.randrange(len(word) - 1), chance.choice(string.ascii_uppercase)
    head, tail = word[:at], word[at:]
    return chance.choice(
        [head + tail[1:], head + letter + tail, head + letter + tail[1:], head + tail[1] + tail[0] + tail[2:]]
    )


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
