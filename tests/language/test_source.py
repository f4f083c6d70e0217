"""Places in a cell: line, column, and an excerpt that shows no literal."""

from __future__ import annotations

import re

import pytest

from s3conn_magic.errors import StatementSyntaxError
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.source import Source, Span

LONG = "CREATE S3 CONNECTION lake COMMENT = 'x' " + "READ_ONLY = TRUE " * 40


def _place(text: str, part: str):
    at = text.index(part)
    return Source(text).place(Span(at, at + len(part)))


def test_a_place_is_counted_from_one():
    """The first character of a cell is line 1, column 1."""
    place = _place("SHOW CONNECTIONS", "SHOW")
    assert (place.line, place.column, place.excerpt, place.marker) == (1, 1, "SHOW CONNECTIONS", "^^^^")


def test_a_place_counts_characters_not_bytes():
    """Letters outside ASCII and tabs count as one column each."""
    assert _place("/* \u65e5\u672c\t */ SHOW", "SHOW").column == 11


def test_an_excerpt_masks_every_literal_and_keeps_the_carets_aligned():
    """Carets stand under the word they mean, although the text before it is masked."""
    place = _place("SET A = 'very long text' B = \"name\" WRONG", "WRONG")
    assert place.excerpt == "SET A = '…' B = \"…\" WRONG"
    assert place.excerpt[place.marker.index("^") :] == "WRONG"


def test_an_excerpt_leaves_the_indent_out():
    """An indented line is shown from its first word on."""
    assert _place("SHOW\n\t   CONNECTIONS", "CONNECTIONS").marker == "^" * 11


def test_a_line_inside_a_literal_shows_the_mask_only():
    """The lines of a text in quotes are not shown, whichever of them is meant."""
    place = _place("X = 'one\ntwo three four five\nsix' Y", "three")
    assert place.excerpt == "'…'"


@pytest.mark.parametrize("part", ["CREATE", "lake", "COMMENT"])
def test_a_long_line_is_cut_at_its_end(part: str):
    """The head of a long line is shown as it is, with an ellipsis where it was cut."""
    place = _place(LONG, part)
    assert place.excerpt.startswith("CREATE S3")
    assert place.excerpt.endswith("…")
    assert place.excerpt[place.marker.index("^") :].startswith(part)


def test_a_long_line_is_cut_on_both_sides_of_its_middle():
    """A place in the middle of a long line is shown with an ellipsis on both sides, and its carets stay below it."""
    place = Source(LONG).place(Span(at := LONG.index("READ_ONLY", 300), at + len("READ_ONLY")))
    assert place.excerpt[0] == place.excerpt[-1] == "…"
    assert len(place.excerpt) <= 102
    assert place.excerpt[place.marker.index("^") :].startswith("READ_ONLY")
    assert place.marker.count("^") == len("READ_ONLY")


def test_the_end_of_a_long_line_can_be_meant():
    """A place after the last word of a long line has its caret after that word."""
    place = Source(LONG.rstrip()).place(Span(len(LONG.rstrip()), len(LONG.rstrip())))
    assert place.excerpt.startswith("…")
    assert place.marker == " " * len(place.excerpt) + "^"


@pytest.mark.parametrize(
    ("text", "excerpt", "marker"),
    [
        ("LIST x = 'a", "LIST … = '", "         ^"),
        ("LIST 'a'b'c", "LIST …'", "      ^"),
        ('x READ_ONLY = "a', '… READ_ONLY = "', "              ^"),
        ("x = \u2018a\u2019", "… = \u2018", "    ^"),
        ("hunter2 = 'a' /* b", "… = … /*", "      ^^"),
        ("one\n two;  TRUE /*", "…;  TRUE /*", "         ^^"),
    ],
)
def test_of_text_that_cannot_be_read_safely_words_of_ours_are_shown(text: str, excerpt: str, marker: str):
    """Where a literal may not end where it seems to, keywords and marks before the place are shown, the rest masked."""
    with pytest.raises(StatementSyntaxError) as caught:
        _ = Source(text).code
    place = caught.value.place
    assert (place.excerpt, place.marker) == (excerpt, marker)


def test_a_word_within_text_that_cannot_be_read_safely_is_masked():
    """Neither it, nor what follows it, is shown."""
    place = Source("LIST hunter2 'a' 'b").place(Span(5, 12))
    assert (place.excerpt, place.marker) == ("LIST …", "     ^")


def test_a_source_says_nothing_of_its_text():
    """The repr of a cell's text holds its size only."""
    assert repr(Source("secret")) == "Source(6 characters)"


def test_tokens_are_a_sequence_of_all_of_the_text():
    """Tokens can be counted, indexed from both ends, cut and walked, and put together they are the text."""
    text = "LIST 's3://b/' /* all */ LIMIT 5;"
    tokens = Source(text).tokens
    assert "".join(token.text for token in tokens) == text
    assert (len(tokens), tokens[0].text, tokens[-1].text) == (10, "LIST", ";")
    assert [token.kind for token in tokens[2:5]] == ["string", "space", "comment"]
    with pytest.raises(IndexError):
        tokens[10]


def test_tokens_end_at_what_does_not_end():
    """After a quote that opens and does not end, nothing can be told apart."""
    assert [token.text for token in Source("LIST 'a b").tokens] == ["LIST", " ", "'"]


def test_comments_become_blanks_of_the_same_size():
    """The text that is parsed has every offset and every line break of the cell's."""
    text = "SHOW -- one\n/* two\nthree */ CONNECTIONS"
    code = Source(text).code
    assert (len(code), code.count("\n")) == (len(text), text.count("\n"))
    assert code.split() == ["SHOW", "CONNECTIONS"]
    assert code.index("CONNECTIONS") == text.index("CONNECTIONS")


def test_a_long_cell_in_one_line_is_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch):
    """An error in a line of 64 KiB looks at the words around it, not at all of them."""
    looked: list[str] = []
    shown = Source.shown
    monkeypatch.setattr(Source, "shown", lambda self, token: looked.append(token.kind) or shown(self, token))
    with pytest.raises(StatementSyntaxError):
        parse(Source("anything_else " * 4_700))
    assert 0 < len(looked) < 200


def test_deep_brackets_end_in_an_error():
    """Any number of brackets is one clear error, not a recursion."""
    with pytest.raises(StatementSyntaxError, match="expected a value after `\\(`"):
        parse(Source("CREATE S3 CONNECTION x PATH_DISPLAY_FILTERS = " + "(" * 20_000))


SHOWN = {
    "SHOW DATABASES": "DATABASES",
    "SHOW EXTERNAL LOCATIONS": "EXTERNAL",
    "CREATE WAREHOUSE lake": "WAREHOUSE",
    "FROBNICATE x": "FROBNICATE",
    "CREATE S3 CONNECTION x ENDPOINT = localhost": "localhost",
    "LIST mybucketname": "mybucketname",
    "SHOW information_schema.tables": "information_schema.tables",
    "DROP MaterializedView x": "MaterializedView",
}
"""Statements, each with a bare word that its error shows."""


@pytest.mark.parametrize("text", SHOWN)
def test_a_word_that_is_no_literal_is_shown(text: str):
    """What was found is named as it was written, in the message and in the excerpt."""
    with pytest.raises(StatementSyntaxError, match=f"found {re.escape(SHOWN[text])}") as failed:
        parse(Source(text))
    assert SHOWN[text] in failed.value.place.excerpt


AWS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PLACES = [
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY = {}",
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY {}",
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY => {}",
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY == {}",
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY = two {}",
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY = 'two' {}",
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY = ('two', {})",
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY = $two {}",
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEYS = {}",
    "CREATE S3 CONNECTION x SECRETT = {}",
    "CREATE S3 CONNECTION x NOTHING_KNOWN = {}",
    "CREATE S3 CONNECTION x PASSWORD {}",
    "CREATE S3 CONNECTION x password: {}",
    "CREATE S3 CONNECTION x AWS_SESSION_TOKEN TRUE {}",
    "ALTER S3 CONNECTION x SET ENCRYPTION_CUSTOMER_MANAGED_KEY = {}",
    "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY = 'open {}",
    "export AWS_SECRET_ACCESS_KEY={}",
]


@pytest.mark.parametrize("secret", [AWS_KEY, "minioadmin", "CorrectHorse", "correct_horse_battery"])
@pytest.mark.parametrize("place", PLACES)
def test_a_word_where_a_secret_may_stand_is_masked(place: str, secret: str):
    """Behind an option that holds a secret, or one that is unknown, no word is shown, with `=` or without."""
    with pytest.raises(StatementSyntaxError) as failed:
        parse(Source(place.format(secret)))
    assert secret not in failed.value.block()
    assert AWS_KEY[:8] not in failed.value.block()


@pytest.mark.parametrize("secret", [AWS_KEY, "AKIAIOSFODNN7EXAMPLE", "qK7wZp3VnX"])
def test_a_word_that_looks_like_a_secret_is_never_shown(secret: str):
    """Capitals, small letters and digits in turn are no word that people write, wherever they stand."""
    with pytest.raises(StatementSyntaxError) as failed:
        parse(Source(f"SHOW {secret}"))
    assert secret not in failed.value.block()
