"""The rules of the statements about jobs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyparsing as pp

from s3conn_magic.language import statements
from s3conn_magic.language.rules import (
    WORD_END,
    AtMost,
    Node,
    ParseError,
    Terminal,
    builds,
    field,
    fields,
    flag,
    leaf,
    mark,
    words,
)
from s3conn_magic.language.statements import BooleanLiteral, IntegerLiteral, Name, StringLiteral, VariableSource
from s3conn_magic.language.suggestions import offering
from s3conn_magic.language.tokens import Span, unquoted
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_OPTIONS = 50
_MOST_VALUES = 1_000
_TOO_MANY = f"a job has at most {_MOST_OPTIONS} options"
_DEPTH = 3
_WORD, _QUOTED, _STRING = r"[A-Za-z_][A-Za-z0-9_]*", r'"(?:[^"]|"")++"', r"'(?:[^']|'')*+'"
_PART = rf"(?:{_WORD}|{_QUOTED})"
_UNITS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400, "WEEK": 604_800}
_NUMBER_END = "(?![A-Za-z0-9_.])"
_BEHIND = frozenset({"AS", "INTO", "SELECT", "WITH", "FROM"})
"""Words that end the options of a job."""


def _interval(text: str) -> timedelta:
    number, unit = text.split()
    return timedelta(seconds=int(number) * _UNITS[unit.upper().removesuffix("S")])


def _timestamp(text: str, at: int) -> StringLiteral:
    """`TIMESTAMP '…'` is the text alone."""
    begins = text.index("'")
    return StringLiteral(Secret(unquoted(text[begins:])), Span(at + begins, at + len(text)))


def _nested(depth: int) -> str:
    """A regular expression for SQL up to a comma or a closing parenthesis, with so many pairs of its own inside."""
    plain = rf"[^'\"(),;]|{_STRING}|{_QUOTED}"
    within = plain
    for _ in range(depth):
        within = rf"{plain}|\((?:{within}|,)*+\)"
    return rf"(?:{within})++"


def _sql(pattern: str, name: str) -> Terminal:
    def make(text: str, at: int) -> statements.Expression:
        written = text.rstrip()
        return statements.Expression(Secret(written), Span(at, at + len(written)))

    return Terminal(pattern, name, make)


def _word_but(taken: frozenset[str], name: str) -> Terminal:
    return leaf(rf"(?!(?ai:{'|'.join(sorted(taken))}){WORD_END}){_WORD}", name, Name, str)


# Values

string = leaf(_STRING, "text in single quotes", StringLiteral, lambda raw: Secret(unquoted(raw)))
timestamp = Terminal(rf"(?ai:TIMESTAMP)\s*{_STRING}", "a time", _timestamp)
variable = leaf(rf"\${_WORD}", "a Python variable", VariableSource, lambda raw: raw[1:])
boolean = leaf(rf"(?ai:TRUE|FALSE){WORD_END}", "TRUE or FALSE", BooleanLiteral, lambda raw: raw.upper() == "TRUE")
interval = leaf(
    rf"-?[0-9]{{1,6}}\s+(?ai:{'|'.join(_UNITS)})(?ai:S?){WORD_END}", "a length of time", statements.Interval, _interval
)
integer = leaf(rf"-?[0-9]{{1,18}}{_NUMBER_END}", "a whole number", IntegerLiteral, int)
word = leaf(rf"{_QUOTED}|{_WORD}(?:\.{_WORD})*", "a word", Name, unquoted)
_scalar = string | timestamp | variable | boolean | interval | integer | word


def _setting(name: pp.ParserElement, value: pp.ParserElement) -> pp.ParserElement:
    return Node(name - mark("=") - value, lambda found, span: statements.JobSetting(found[0], found[1], span))


def _group(item: pp.ParserElement) -> pp.ParserElement:
    more = AtMost(_MOST_VALUES - 1, mark(",") + item | item, f"a list has at most {_MOST_VALUES} values")
    rule = mark("(") - item - more - pp.Opt(mark(",")) - mark(")")
    return Node(rule, lambda found, span: statements.Group(tuple(found), span))


def _value(depth: int) -> pp.ParserElement:
    if depth == 0:
        return _scalar.set_name("a value")
    inner = _value(depth - 1)
    named = leaf(rf"{_WORD}(?=\s*=)", "a name", Name, str)
    return (_scalar | _group((_setting(named, inner) | inner).set_name("a value"))).set_name("a value")


value = _value(_DEPTH)
_transformed = leaf(_PART, "a column", Name, unquoted)
_expression = _sql(_nested(5), "an expression")
_transformations = Node(
    mark("(")
    - _setting(_transformed, _expression)
    - AtMost(_MOST_VALUES - 1, mark(",") + _setting(_transformed, _expression), "these are too many columns")
    - pp.Opt(mark(","))
    - mark(")"),
    lambda found, span: statements.Group(tuple(found), span),
)

# Options

_columns = leaf(rf"(?ai:COLUMN_TRANSFORMATIONS){WORD_END}", "an option", Name, str)
_switch = leaf(rf"(?ai:MAP_COLUMNS_BY_NAME){WORD_END}(?!\s*=)", "an option", Name, str)
option = (
    _setting(_columns, _transformations)
    | Node(_switch, lambda found, span: statements.JobSetting(found[0], None, span))
    | _setting(offering("job option", _word_but(_BEHIND | {"COLUMN_TRANSFORMATIONS"}, "an option")), value)
).set_name("an option")
options = fields("settings", option - AtMost(_MOST_OPTIONS - 1, mark(",") - option | option, _TOO_MANY))
table = leaf(
    rf"{_PART}(?:\s*\.\s*{_PART}){{0,2}}",
    "a table's name",
    statements.TableName,
    lambda raw: tuple(map(unquoted, re.findall(_PART, raw))),
)

# Statements


def _created(**given: Any) -> statements.JobStatement:
    if given.pop("or_replace", False):
        raise ParseError(
            given["span"].start, "a job is not replaced; DROP JOB forgets it, and CREATE JOB makes another"
        )
    kind: Callable[..., statements.JobStatement] = (
        statements.CreateCopyJob if "into" in given else statements.CreateInsertJob
    )
    return kind(**given)


def create(name: pp.ParserElement, reached: pp.ParserElement, query: pp.ParserElement) -> pp.ParserElement:
    """What follows CREATE; the rules are those of names, of names of connections, and of queries."""
    connection = field("connection", reached).set_name("a connection's name")
    copy = words("COPY FROM S3") - connection - pp.Opt(options) - words("INTO") - field("into", table)
    insert = words("INSERT INTO S3") - connection - pp.Opt(options) - field("query", query)
    return (
        (flag("sync", "SYNC") - words("JOB") | words("JOB"))
        - pp.Opt(flag("if_not_exists", "IF NOT EXISTS"))
        - field("name", name).set_name("a name")
        - pp.Opt(options)
        - words("AS")
        - (copy | insert).set_name("COPY FROM S3 or INSERT INTO S3")
    )


CREATED = _created
"""Makes the statement of what `create` gives."""


def run(name: pp.ParserElement) -> pp.ParserElement:
    """`RUN JOB j`."""
    return builds(statements.RunJob, words("RUN JOB") - field("name", name).set_name("a name"))
