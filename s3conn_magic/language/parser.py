"""Text of a cell → statements, or one clear error that repeats nothing of the text but words of the language."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyparsing as pp

from s3conn_magic.language.diagnosis import diagnose
from s3conn_magic.language.grammar import parse_cell

if TYPE_CHECKING:
    from s3conn_magic.language.source import Source
    from s3conn_magic.language.statements import Statement


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
        raise diagnose(source, result.at, result.message)
    return result


def _attempt(code: str) -> list[Statement] | _Failure:
    try:
        return parse_cell(code)
    except pp.ParseBaseException as error:
        return _Failure(error.loc, error.msg)
