"""Text of a cell → statements, or one clear error that repeats nothing of the text but words of the language."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyparsing as pp

from s3conn_magic.language.grammar import parse_cell
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS
from s3conn_magic.language.source import Source, Span
from s3conn_magic.language.spelling import listed, nearest

if TYPE_CHECKING:
    from s3conn_magic.errors import StatementSyntaxError
    from s3conn_magic.language.source import Token
    from s3conn_magic.language.statements import Statement

_STARTS = tuple(dict.fromkeys(reference.name.split()[0] for reference in STATEMENTS))


class _Failure(NamedTuple):
    """What is worth keeping of a parser's exception, which holds the whole text."""

    at: int
    message: str


def parse(source: Source) -> list[Statement]:
    """The statements of a cell, in order; none for a blank one.

    Raises:
        StatementSyntaxError: with the place of the first thing that does not fit, and what was expected.
    """
    code = source.code
    result = _attempt(code)
    if isinstance(result, _Failure):
        raise _diagnose(source, result)
    return result


def _attempt(code: str) -> list[Statement] | _Failure:
    try:
        return parse_cell(code)
    except pp.ParseBaseException as error:
        return _Failure(error.loc, error.msg)


def _diagnose(source: Source, failure: _Failure) -> StatementSyntaxError:
    found, before = source.token_at(failure.at), source.token_before(failure.at)
    if found and found.kind == "word" and found.span.start < failure.at:
        return source.syntax_error(
            "a name has letters, digits and underscores", found.span, hint="Write any other name in double quotes."
        )
    expected = failure.message.removeprefix("Expected ")
    if expected == failure.message:
        return source.syntax_error(failure.message, found.span if found else _end(source))
    expected, hint = _statement_end(source, found, before) if expected == "end of text" else (expected, "")
    message = f"expected {expected}" + (f" after {_naming(before, source)}" if before else "")
    message += f", but found {source.shown(found)}" if found else ", but the text ends here"
    hint = _order(source, found, before) or hint or _hint(expected, found, before)
    return source.syntax_error(message, found.span if found else _end(source), hint=hint)


def _end(source: Source) -> Span:
    size = len(source.text.rstrip())
    return Span(size, size)


def _naming(token: Token, source: Source) -> str:
    return "the value" if token.kind == "string" else source.shown(token)


def _statement_end(source: Source, found: Token | None, before: Token | None) -> tuple[str, str]:
    """What was expected where a statement could end or begin, and a hint."""
    word = found.text if found and found.kind == "word" else ""
    if before is None or before.text == ";":
        near = nearest(word, _STARTS) if word else None
        return "a statement", f"Did you mean {near}?" if near else f"A statement begins with {listed(_STARTS)}."
    if found and found.kind in {"word", "quoted"} and found.text.lstrip('"').startswith("s3://"):
        return "a location", "A location is written in single quotes: 's3://bucket/prefix'."
    if word.upper() in _STARTS:
        return "`;`", f"End the statement before with `;` to begin another with {word.upper()}."
    near = nearest(word, KEYWORDS | set(OPTION_NAMES)) if word else None
    if near and near != word.upper():
        return "the end of the statement", f"Did you mean {near}?"
    first = _first_word(source, found)
    reference = next((one for one in STATEMENTS if one.name.startswith(first)), None) if first else None
    return "the end of the statement", f"The statement is: {reference.syntax}" if reference else ""


def _first_word(source: Source, until: Token | None) -> str:
    """The word that begins the statement which `until` stands in."""
    first = ""
    for token in source.tokens:
        if until is not None and token.span.start >= until.span.start:
            break
        if token.text == ";":
            first = ""
        elif token.kind == "word" and not first:
            first = token.text.upper()
    return first


def _order(source: Source, found: Token | None, before: Token | None) -> str:
    """The right order for `CREATE CONNECTION S3 x` and its like."""
    if not found or not before or before.text.upper() not in {"CREATE", "ALTER", "REPLACE", "SHOW"}:
        return ""
    if found.text.upper() != "CONNECTION":
        return ""
    rest = [token for token in source.tokens if token.span.start >= found.span.end and token.kind in {"word", "quoted"}]
    names = [source.shown(token) for token in rest if token.text.upper() != "S3"]
    verb = before.text.upper() if before.text.upper() != "REPLACE" else "CREATE OR REPLACE"
    return f"Write {verb} S3 CONNECTION {names[0] if names else 'name'}."


def _hint(expected: str, found: Token | None, before: Token | None) -> str:
    if found is None:
        return ""
    if found.kind == "quoted" and expected in {"a value", "text in single quotes", "an s3:// location"}:
        return "Text is written in single quotes; double quotes are for names."
    if expected == "a value" and found.kind == "word":
        return "Text is written in single quotes: 'text'."
    if expected == "a name":
        return _name_hint(found)
    if expected == "`=`" and found.kind == "string":
        return f"Write {before.text.upper() if before else 'OPTION'} = '…'." if before and before.kind == "word" else ""
    near = nearest(found.text, [word for word in expected.replace(",", " ").split() if word.isupper()])
    return f"Did you mean {near}?" if near else ""


def _name_hint(found: Token) -> str:
    if found.kind == "string":
        return "A name is written without quotes, or in double quotes."
    word = found.text.upper()
    if word in OPTION_NAMES:
        return "The connection's name stands before its options."
    if word in KEYWORDS:
        return f'{word} is a word of the language; as a name it is written "{found.text}".'
    return "A name has letters, digits and underscores; any other is written in double quotes."
