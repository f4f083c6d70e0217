"""Text of a cell → statements, or one clear error that repeats nothing of the text but words of the language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.language.diagnosis import diagnose
from s3conn_magic.language.engine import ParseError
from s3conn_magic.language.grammar import parse_cell

if TYPE_CHECKING:
    from s3conn_magic.language.source import Source
    from s3conn_magic.language.statements import Statement


def parse(source: Source) -> list[Statement]:
    """The statements of a cell, in order; none for a blank one.

    Raises:
        StatementSyntaxError: with the place of the first thing that does not fit, and what was expected.
    """
    # The error is made after the except block, so that it has no context.
    try:
        return parse_cell(source.code)
    except ParseError as error:
        at, message = error.at, error.message
    raise diagnose(source, at, message)
