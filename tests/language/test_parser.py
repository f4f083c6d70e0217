"""How a cell is read: what may stand between words, what repeats, and that nothing of the text stays behind."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys

import pytest

from s3conn_magic.errors import StatementSyntaxError
from s3conn_magic.language.grammar import parse, parse_cell
from s3conn_magic.language.rules import ParseError
from s3conn_magic.language.source import Source

PACKRAT = """
import sys
import gc
import pyparsing
pyparsing.ParserElement.enable_packrat()
from s3conn_magic.language.grammar import parse_cell
text = " ".join(["CREATE S3 CONNECTION x COMMENT = 'a comment'; LIST 's3://b/' LIMIT", "1"])
before = sys.getrefcount(text)
assert len(parse_cell(text)) == 2
gc.collect()
assert sys.getrefcount(text) == before
"""


@pytest.mark.parametrize("white", [*" \t\r\n\f\v"])
def test_any_white_space_stands_between_words(white: str):
    """A form feed and a vertical tab are white space as a blank is, before `;` and at the end, too."""
    text = "LIST 's3://b/' LIMIT 1 ; SHOW CONNECTIONS "
    assert parse(Source(text.replace(" ", white))) == parse(Source(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("HELP;" * 2_501, "a cell has at most 2500 statements"),
        ("CREATE S3 CONNECTION x COMMENT = (" + "''," * 5_001 + ")", "a list has at most 5000 values"),
        ("CREATE S3 CONNECTION x" + " COMMENT = 'x'" * 51, "a statement has at most 50 options"),
        ("ALTER S3 CONNECTION x" + " SET COMMENT = 'x'" * 51, "a statement has at most 50 options"),
        ("ALTER S3 CONNECTION x UNSET COMMENT" + ", COMMENT" * 50, "a statement has at most 50 options"),
    ],
)
def test_there_is_a_bound_to_everything_that_repeats(text: str, message: str):
    """Far more than anyone writes is an error, and as much as the bound is none."""
    with pytest.raises(StatementSyntaxError, match=message):
        parse(Source(text))


def test_as_much_as_the_bound_is_read():
    """The last of what is allowed is read."""
    assert len(parse(Source("HELP;" * 2_500))) == 2_500
    (alter,) = parse(Source("ALTER S3 CONNECTION x UNSET COMMENT" + ", COMMENT" * 49))
    assert len(alter.unset) == 50


@pytest.mark.parametrize(
    "opening", ["(", "CREATE S3 CONNECTION x COMMENT = (", "CREATE JOB j CONTENT_TYPE = (", "EXPLAIN "]
)
def test_deep_brackets_are_an_error_of_the_language(opening: str):
    """However deep a text nests, it ends in an error with a place, not in one of Python's recursion."""
    for text in (opening * 3_000, opening + "(" * 60_000):
        with pytest.raises(StatementSyntaxError):
            parse(Source(text))


def test_packrat_of_another_library_changes_nothing_and_keeps_nothing():
    """Where another library turned pyparsing's cache on, statements are read alike, and the text is not kept."""
    done = subprocess.run([sys.executable, "-c", PACKRAT], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("end", ["", "x"])
def test_nothing_of_the_text_stays_behind(end: str):
    """Neither pyparsing's rules nor its errors hold the text when the cell is read."""
    text = f"LIST 's3://b/' {end}"
    before = sys.getrefcount(text)
    with contextlib.suppress(ParseError):
        parse_cell(text)
    gc.collect()
    assert sys.getrefcount(text) == before
