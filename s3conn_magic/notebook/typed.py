"""The statements in a cell: of `%%upsql`, or of the line with `%upsql` that the cursor stands in."""

from __future__ import annotations

import re

# Possessive, so that a line of blanks takes no more time than one of words.
_INTO = r"(?:[ \t]*+[A-Za-z_]\w*+[ \t]*+<<)?"
_CELL = re.compile(rf"\s*+%%upsql(?!\w){_INTO}")
_LINE = re.compile(rf"[ \t]*+(?:[^%'\"#\n]*=[ \t]*+)?%upsql(?!\w){_INTO}")


def statements_at(cell: str, cursor: int) -> str | None:
    """The cell with all but its statements as blanks, so that places are the same; None where there are none.

    Args:
        cell: its text, as typed.
        cursor: offset into it.
    """
    start, end = 0, len(cell)
    found = _CELL.match(cell)
    if found is None:
        start = cell.rfind("\n", 0, cursor) + 1
        end = min(at for at in (cell.find("\n", cursor), len(cell)) if at >= 0)
        found = _LINE.match(cell, start, end)
    if found is None or cursor < found.end() or cell[:cursor].endswith("%upsql"):
        return None
    return _blank(cell[: found.end()]) + cell[found.end() : end] + _blank(cell[end:])


def _blank(text: str) -> str:
    return "\n".join(" " * len(line) for line in text.split("\n"))
