"""The engine runs the grammar's rules as pyparsing does."""

from __future__ import annotations

from typing import Any

import pyparsing as pp
import pytest
from corpora import read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated

from s3conn_magic.errors import StatementSyntaxError
from s3conn_magic.language.engine import ParseError, compiled
from s3conn_magic.language.grammar import cell, parse_cell
from s3conn_magic.language.parser import parse
from s3conn_magic.language.rules import Keyword, Terminal, words
from s3conn_magic.language.source import Source

CASES = [case for folder in ("valid", "malformed") for case in read(folder)]
# pyparsing's own elements do not take them for white space.
_PLAIN = str.maketrans("\f\v", "  ")


def _by_pyparsing(code: str) -> Any:
    try:
        return [*map(repr, cell.parse_string(code, parse_all=True))]
    except pp.ParseBaseException as error:
        return error.loc, error.msg


def _by_the_engine(code: str) -> Any:
    try:
        return [*map(repr, parse_cell(code))]
    except ParseError as error:
        return error.at, error.message


def _agree(text: str) -> None:
    try:
        code = Source(text).code.translate(_PLAIN)
    except StatementSyntaxError:
        return
    assert _by_the_engine(code) == _by_pyparsing(code)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_both_engines_agree_on_the_corpora(case: Any):
    """Every cell of the corpora has the same trees, spans included, or the same place and message."""
    _agree(case.cell)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_both_engines_agree_on_changed_cells(chance: Any):
    """The same holds for valid cells that were changed at random."""
    _agree(mutated(chance))


A, B = words("A"), Terminal("[0-9]+", "digits", lambda text, _: int(text))


@pytest.mark.parametrize(
    "rule",
    [
        A + B + pp.StringEnd(),
        A - B - pp.StringEnd(),
        pp.Opt(A + B) + pp.ZeroOrMore(Keyword("A")) + pp.StringEnd(),
        (A + B | A + Keyword("C") + B).set_name("either") + pp.StringEnd(),
        pp.OneOrMore(A + B).set_name("pairs") - pp.StringEnd(),
        A - (pp.Suppress(B + B).set_name("two") | B) - pp.StringEnd(),
    ],
    ids=str,
)
@pytest.mark.parametrize("text", ["", "A", "A 1", "a 1 2", "A C", "A C 1", "A A", "A 1 A", "A 1 A 2 B", "1", "B"])
def test_both_engines_agree_where_a_rule_gives_up(rule: pp.ParserElement, text: str):
    """Rules that begin, do not go on and leave it to another are run alike, too."""
    try:
        expected: Any = [*rule.parse_string(text)]
    except pp.ParseBaseException as error:
        expected = error.loc, error.msg
    try:
        found: Any = compiled(rule)(text)
    except ParseError as error:
        found = error.at, error.message
    assert found == expected


def test_an_element_that_the_engine_does_not_know_is_refused_at_once():
    """A rule of an unknown kind is an error when the grammar is made, not when a cell comes."""
    with pytest.raises(NotImplementedError, match="SkipTo"):
        compiled(pp.SkipTo("x"))


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
