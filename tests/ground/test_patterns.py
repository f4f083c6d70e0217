"""Patterns of users: what they match, in time that grows with the text, and what is refused."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3conn_magic.runtime.patterns import RegularExpression, like, matches_wildcards, strings

LETTERS = "aAb%_\n-/éÉßſ😀"
EVIL = [
    (r"(a+)+", "a"),
    (r"(a*)*b", "a"),
    (r"(a|aa?)*b", "a"),
    (r"([a-zA-Z]+)*", "a"),
    (r"(.*a){20}", "a"),
    (r"(.*,)+.+", ","),
    (r"^([\s\[\{\(]|#.*)*$", "#"),
    (r"^(?:\s+(?:\"(?:[^\"\\]|\\\\|\\.)+\"))?$", ' "\\\\'),
    (r"((\w|G)*)\"", "G"),
    (r"(([^a-z]|[^0-9])*)\"", "-"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a"),
    (
        r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|([a-z]{2,3}[.]{1}[a-z]{2,3}))$",
        "a",
    ),
    (r"(b|a?b)*c", "b"),
    (r"(.|\n)*!", "\n"),
]
"""Expressions that take Python's engine ages, with what to repeat: well-known ones, and those of libraries' reports."""


def plain_like(pattern: str, text: str) -> bool:
    """LIKE as a table: which beginnings of the text the pattern so far matches."""
    reached = [True] + [False] * len(text)
    for one in pattern:
        if one == "%":
            reached = [any(reached[: at + 1]) for at in range(len(reached))]
        else:
            fits = [one == "_" or one.casefold() == letter.casefold() for letter in text]
            reached = [False, *(before and fit for before, fit in zip(reached, fits, strict=False))]
    return reached[-1]


@given(st.text(st.sampled_from(LETTERS), max_size=9), st.text(st.sampled_from(LETTERS), max_size=12))
def test_like_is_what_its_definition_says(pattern, text):
    """`%` stands for any characters and `_` for one, whatever else is in pattern and text, in whatever case."""
    assert like(pattern, text) is plain_like(pattern, text)


def test_like_is_right_for_every_short_pattern_and_text():
    """All patterns of up to five signs, with all texts of up to five letters."""
    patterns = ["".join(one) for size in range(6) for one in product("%_a", repeat=size)]
    texts = ["".join(one) for size in range(6) for one in product("ab", repeat=size)]
    assert not [(p, t) for p in patterns for t in texts if like(p, t) is not plain_like(p, t)]


def test_wildcards_do_not_multiply():
    """Thousands of wildcards over a long name end at once."""
    assert not like("%a" * 30_000 + "%b", "a" * 1_000)
    assert not like("%-%-%-%-%-%-%-%.csv", "-" * 20_000)
    assert not matches_wildcards("-" * 20_000, "*-" * 9 + "*.csv", many="*")


def test_only_the_wildcards_that_were_named_are_some():
    """Where `*` alone is a wildcard, `?`, `[` and `%` are letters."""
    assert matches_wildcards("a?[x", "A?[*", many="*")
    assert not matches_wildcards("abx", "a?*", many="*")


@pytest.mark.parametrize(("expression", "piece"), EVIL, ids=lambda one: one[:30])
def test_what_makes_others_hang_ends_at_once(expression, piece):
    """An expression of the kind that backtracking never ends on is matched with a text that nearly matches."""
    text = piece * (20_000 // len(piece)) + "\0"
    assert RegularExpression.parse(expression).whole(strings([text, "x"])).to_pylist()[0] in {True, False}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("(?=a)b", "look-around"),
        ("(?!a)b", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "back-reference"),
        (r"(?P<q>a)(?P=q)", "back-reference"),
        (r"(?<q>a)\k<q>", "back-reference"),
        ("a++", "possessive or atomic"),
        ("a*+b", "possessive or atomic"),
        ("a{2}+", "possessive or atomic"),
        ("(?>a)", "possessive or atomic"),
        (r"a\Z", r"`\z`, or `$`"),
        (r"\u20AC", r"\x{20AC}"),
        (r"\h", "class of Java's"),
        ("(?(1)a|b)", "condition"),
        ("(?#no)a", "comment"),
        ("(?x) a", "flag"),
        ("(?P<>a)", "without a name"),
        ("(?<a>x)(?<a>y)", "two groups"),
        ("a{1001}", "1,000 times"),
        ("(a{1,1000}){1,1000}", "1,000 times"),
        (r"\p{L}{1000}", "too large"),
        (r"(\p{L}{30}x){30}", "too large"),
        ("a" * 10_001, "more than 10,000"),
        ("*.csv", r"'.*\.csv'"),
        ("[a", "missing ]"),
        ("(a", "missing )"),
        ("a)", "unexpected )"),
        ("\ud800", "half a character"),
    ],
)
def test_what_cannot_be_matched_is_refused_with_a_way_on(expression, said):
    """The error names what is wrong and what does without it, and quotes no more of the expression than an operator."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - looked at below
        RegularExpression.parse(expression)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("expression", "yes", "no"),
    [
        (r"(?<y>\d{4})/(?P<m>\d\d)", "2024/05", "2024/5"),
        (r".*\.csv", "a\nb.csv", "a.csv\n"),
        (r"^a$", "a", "a\n"),
        (r"a|bc", "bc", "ac"),
        (r"\w+", "abc_1", "é"),
        (r"\d+", "12", "١٢"),
        (r"[\p{L}]+", "éß", "é1"),
        (r"(?i)straße", "STRAßE", "strasse"),
        (r"\Qa.b", "a.b", "axb"),
        (r"[\]\[(?<x>]+", "[(?<x>]", "y"),
        (r"\(?<x>", "(<x>", "(?<x>"),
        (r"", "", "a"),
        (r".", "😀", "ab"),
        (r"[[:alpha:]]+", "ab", "a1"),
        (r"\x{e9}", "é", "e"),
    ],
)
def test_what_an_expression_matches_as_a_whole(expression, yes, no):
    """RE2's own meaning: ASCII classes, a dot for any character, groups named in either way, anchors at both ends."""
    assert RegularExpression.parse(expression).whole(strings([yes, no])).to_pylist() == [True, False]


def test_names_of_groups_are_kept_and_dropped_from_the_text():
    """Groups are told in order, those without a name too; brackets in classes and behind backslashes are none."""
    found = RegularExpression.parse(r"(?<a>x)(y)(?:z)\([(](?P<b>[)\]])")
    assert found.groups == ("a", None, "b")
    assert re.compile(found.text).groups == 3


@given(st.lists(st.text(st.sampled_from("ab\n\ud800é"), max_size=4), max_size=6))
def test_half_characters_are_no_error(texts):
    """A name with half of a pair can be asked, as every other."""
    assert len(RegularExpression.parse("a.*").whole(strings(texts))) == len(texts)


def test_long_columns_are_matched_in_pieces_that_make_the_whole():
    """However many texts and however large the expression, each text gets its own answer, in order."""
    texts = [f"{number:05}-{'x' * 90}" for number in range(3_000)]
    mask = RegularExpression.parse(r"\d{4}[02468]-x{1,90}").whole(strings(texts)).to_pylist()
    assert mask == [number % 2 == 0 for number in range(3_000)]
