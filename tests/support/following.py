"""A hint followed to the letter: what a reader would have in the cell after doing what it says, and no more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from s3conn_magic.language.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.errors import Place, S3ConnError

_WHOLE = re.compile(r"(?:^|\s)Here: (?P<ours>[A-Z].*;)", re.DOTALL)
_MEANT = re.compile(r"^Did you mean (?P<word>.+?)\?")
_INSTEAD = re.compile(r"Write (?P<text>.+?) instead")
_ADD = re.compile(r"^Add (?P<text>.+?)\.?$")
_QUOTE = re.compile(
    r"Add (?P<quote>['\"]) at the end of line (?P<end>\d+)"
    r"|Delete the quote in line (?P<line>\d+), column (?P<column>\d+)"
)

# Where the message says what is right, and a hint would say it again.
_SAID_IN_MESSAGES = (
    r" takes ",  # an option, a setting or a clause, and which value it takes
    r"this is not a location: ",  # and what makes it one
    r"does not end; close it with",
    r"a quote inside it is written",
    r"DROP JOB removes it, then CREATE JOB",
)
_TYPE = re.compile(r"Type a (plain space|straight quote|plain [;=,])")
_DELETE = re.compile(r"^Delete (?:it|this line)|Delete this line\.$")


def has_way_on(message: str, hint: str) -> bool:
    """Whether an error says what to do."""
    return bool(hint) or any(re.search(said, message) for said in _SAID_IN_MESSAGES)


def followed(cell: str, error: S3ConnError, blanks: Mapping[str, str] | None = None) -> str | None:
    """The cell after the hint was followed; None where it says nothing that could be done to the letter."""
    text = _followed(cell, error)
    for blank, value in (blanks or {}).items():
        text = text and text.replace(blank, value)
    return text


def _followed(cell: str, error: S3ConnError) -> str | None:
    hint = error.hint
    start, end = _marked(cell, error.place) if error.place else (0, 0)
    if match := _WHOLE.search(hint):
        return match["ours"]
    if match := _MEANT.match(hint) or _INSTEAD.search(hint):
        return cell[:start] + match[1] + cell[end:]
    if _DELETE.search(hint):
        return cell[:start] + cell[end:] if "line" not in hint else _without_line(cell, error.place)
    return _mended(cell, start, hint)


def _mended(cell: str, start: int, hint: str) -> str | None:
    """The cell with the mark or the character that is asked for."""
    if hint.startswith("End the previous statement with `;`"):
        return f"{cell[:start]};\n{cell[start:]}"
    if match := _QUOTE.search(hint):
        return _quoted(cell, match)
    if match := _TYPE.search(hint):
        typed = {"plain space": " ", "straight quote": "'", "plain ;": ";", "plain =": "=", "plain ,": ","}[match[1]]
        odd = {"\u2018", "\u2019", "\u201c", "\u201d"} if "quote" in match[1] else {cell[start]}
        return "".join(typed if character in odd else character for character in cell)
    if match := _ADD.match(hint):
        return _added(cell, start, match["text"])
    return None


def _quoted(cell: str, match: re.Match[str]) -> str:
    lines = cell.split("\n")
    number = int(match["end"] or match["line"]) - 1
    line = lines[number]
    bare = line.rstrip("; \t\r")
    column = int(match["column"] or 0)
    lines[number] = f"{bare}{match['quote']}{line[len(bare) :]}" if match["end"] else line[: column - 1] + line[column:]
    return "\n".join(lines)


def _marked(cell: str, place: Place) -> tuple[int, int]:
    """Where the carets are in the cell; they are as many as the masked tokens above them have characters."""
    source = Source(cell)
    start = end = sum(len(line) + 1 for line in cell.split("\n")[: place.line - 1]) + place.column - 1
    carets, inside = place.marker.count("^"), False
    for token in source.tokens:
        inside = inside or token.span.start <= start < token.span.end
        if inside and carets > 0 and not (token.kind == "space" and end == start):
            masked = token.text if token.kind in {"mark", "open", "space"} else source.shown(token)
            carets, end = carets - len(masked), token.span.end
    return start, end


def _without_line(cell: str, place: Place | None) -> str:
    lines = cell.split("\n")
    del lines[(place.line if place else 1) - 1]
    return "\n".join(lines)


def _added(cell: str, start: int, text: str) -> str:
    end = cell.find(";", start)
    end = len(cell) if end < 0 else end
    return f"{cell[:end].rstrip()} {text}{cell[end:]}"
