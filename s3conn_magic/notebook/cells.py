"""Mask the secrets of statements in a cell, as typed or as IPython transformed it to Python.

A cell is read once, in time linear in its length. A cell longer than anybody types is kept as it is or, if it might
hold a secret, not at all. In the lines and cells of our magic everything that may be a secret is masked. Elsewhere (in
other magics, strings and comments) a statement is recognised by its form, and masked if it sets a secret option.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.language.redaction import SECRET_GIVEN, SECRET_NAMES, Redaction, redactions
from s3conn_magic.language.source import Span, statement_ends
from s3conn_magic.notebook.literals import Literals, Text, tokens_and
from s3conn_magic.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_LENGTH = 32_768
# A cell in a call in a cell in a call; each is shorter than its container.
_MAX_DEPTH = 4
# Nobody writes more lines of statements among Python.
_MAX_STATEMENTS = 500

# `upsql` and its likely misspellings.
_NAME = r"\w{0,2}upsql\w{0,2}(?!\w)"
_INTO = r"(?:[^\S\n]*+[a-z_]\w*+[^\S\n]*+<<)?+"
_MAGICS = rf"""
    (?P<body>^[^\S\n]*+%%{_NAME}{_INTO})
  | (?P<late>\brun_line_magic\(\s*['"]%{_NAME}['"][^\n]*+)
  | (?P<within>(?<![^\s=(,;:])%{{1,2}}{_NAME}{_INTO})
  | (?P<bare>^[^\S\n]*+upsql[^\S\n]++(?=[a-z/]|--)(?!(?:and|else|if|in|is|not|or)\b){_INTO})
"""
_CALL = re.compile(r"\brun_(?:cell|line)_magic\(\s*(['\"])%?(?P<name>\w+)\1")


def _statement_regex(gap: str, start: str = r"\b") -> str:
    """Return a regex for the beginning of a CREATE or ALTER CONNECTION, its words separated by `gap`."""
    verb = rf"{start}(?:CREATE|ALTER){gap}(?:OR{gap}REPLACE{gap})?+"
    return rf"(?:{verb}(?:S3\b(?:{gap}CONNECTION\b)?|(?:\w++{gap})?CONNECTION\b)|{start}S3{gap}CONNECTION\b)"


_COMMENT = r"--[^\n]{0,80}\n|/\*[^*]{0,80}\*/"
_STATEMENT = _statement_regex(rf"(?:\s|{_COMMENT})++")
_EXACT_STATEMENT = re.compile(r"\b(?:CREATE|ALTER)\b.*\bS3\b.*\bCONNECTION\Z", re.IGNORECASE | re.ASCII | re.DOTALL)
_BEGIN = re.compile(rf"{_STATEMENT}|{SECRET_GIVEN.pattern}", re.IGNORECASE | re.ASCII)
_STATEMENT_REGEX = re.compile(_STATEMENT, re.IGNORECASE | re.ASCII)
_TOKENS = tokens_and(f"{_MAGICS}|(?P<shape>{_STATEMENT})")
_EMPTY_LINE = re.compile(r"\n[^\S\n]*+\n")
_ASSIGNED = re.compile(r"\w\s*+=\s*+['\"]")

# For text that is not parsed: words may also be in strings that are joined, and lines end with escapes.
# Backslashes are matched all at once; one by one, each would scan to the end of them.
_FAR = rf"(?:\\++[nrt]?+|{_COMMENT}|[^\w\\])++"
_FAR_START = r"(?:\b|(?<=\\[nrt]))"
_FAR_SHAPE = re.compile(_statement_regex(_FAR, _FAR_START), re.IGNORECASE | re.ASCII)
_FAR_WHOLE = re.compile(
    rf"{_FAR_START}(?:CREATE|ALTER){_FAR}(?:OR{_FAR}REPLACE{_FAR})?+S3{_FAR}CONNECTION\b", re.IGNORECASE | re.ASCII
)
_FAR_OURS = re.compile(r"(?:%|(?:^|\n)[ \t]*+|magic\(\s*+['\"])\w{0,2}upsql\w{0,2}\b")
_FAR_ASSIGNED = re.compile(r"\w(?:\\++[nrt]?+|\s)*+=(?:\\++[nrt]?+|\s)*+['\"$]")


class _TooMuchError(Exception):
    """The cell has too many statements to be worth the time."""


class _Change(NamedTuple):
    start: int
    end: int
    text: str
    noted: bool = False


def redacted(cell: str) -> str:
    """Return a cell, as typed or as IPython transformed it, with the secrets of its statements masked.

    A statement that cannot be parsed is masked completely. The number of lines stays the same.
    """
    pieces, at = [], 0
    for start, end, text, _ in _changes(cell):
        pieces += [cell[at:start], text]
        at = end
    return "".join([*pieces, cell[at:]]) if pieces else cell


def keeps_secret(cell: str) -> bool:
    """Whether a statement in a cell, valid or not, has a literal for a secret option."""
    return any(change.noted for change in _changes(cell))


def _changes(cell: str) -> list[_Change]:
    if not _names_ours(cell):
        return []
    # Storing a cell must never fail; in doubt it is not kept.
    with contextlib.suppress(Exception):
        if len(cell) <= _MAX_LENGTH:
            return _without_nested(_Cell(cell).changes)
    return [_Change(0, len(cell), f"# {MASK}" + "\n" * cell.count("\n"))] if _could_hold(cell) else []


def _names_ours(cell: str) -> bool:
    """Whether a cell names our magic, or has text that looks like a statement with a secret."""
    lowered = cell.lower()
    if "upsql" in lowered:
        return True
    if "s3" not in lowered and "connection" not in lowered:
        return False
    return _has_statement(cell, lowered) or _gives_secret(cell, lowered)


def _has_statement(cell: str, lowered: str) -> bool:
    return "connection" in lowered and "s3" in lowered and _FAR_WHOLE.search(cell) is not None


def _gives_secret(cell: str, lowered: str) -> bool:
    has_name = any(name.lower() in lowered for name in SECRET_NAMES)
    return has_name and ("s3conn" in lowered or _FAR_SHAPE.search(cell) is not None)


def _could_hold(cell: str) -> bool:
    """Whether an unparsed cell may hold one of our secrets."""
    lowered = cell.lower()
    begun = ("upsql" in lowered and _FAR_OURS.search(lowered)) or _has_statement(cell, lowered)
    return _gives_secret(cell, lowered) or (bool(begun) and _FAR_ASSIGNED.search(cell) is not None)


def _without_nested(changes: Iterable[_Change]) -> list[_Change]:
    """Return the changes in order, without those inside others."""
    apart: list[_Change] = []
    for change in sorted(changes, key=lambda change: (change.start, -change.end)):
        if not apart or change.start >= apart[-1].end:
            apart.append(change)
        elif change.noted:
            apart[-1] = apart[-1]._replace(noted=True)
    return apart


class _Cell:
    """Finds what to mask in a cell: in statements, and in the strings and comments of the Python between them.

    Attributes:
        changes: what to mask, unordered.
    """

    def __init__(self, code: str, depth: int = 0) -> None:
        self.changes: list[_Change] = []
        self._code = code
        self._depth = depth
        self._texts: list[Text] = []
        self._lost = len(code)
        self._statements = 0
        self._shaped = "upsql" in code.lower() or "s3conn" in code.lower()
        at = 0
        while at < len(code):
            read = Literals(code, at, _TOKENS)
            for line in read.lines:
                self._read_line(line.start, line.end, line.texts)
            self._texts += read.comments
            if read.stopped is None:
                break
            at = self._read_stopped(read.stopped)
        if self._shaped or any(_STATEMENT_REGEX.search(text.value) for text in self._texts):
            for text in self._texts:
                self._read_text(text)

    def _read_stopped(self, match: re.Match[str]) -> int:
        """Mask the statements from here on; return where they end."""
        self._statements += 1
        if self._statements > _MAX_STATEMENTS:
            raise _TooMuchError
        self._shaped = True
        start, end = match.end(), len(self._code)
        if match["shape"]:
            start = match.start()
            line = self._code[self._code.rfind("\n", 0, start) + 1 : start].lstrip()
            if not line.startswith("%%") and ("%" in line or "!" in line):
                end = self._logical_end(start)
            self._change(start, _statements(self._code[start:end]))
            return end
        if not match["body"] and not match["late"] and not self._code.startswith("%%", match.start()):
            end = self._logical_end(start)
        self._change(start, redactions(self._code[start:end]))
        return end

    def _logical_end(self, at: int) -> int:
        """Return the end of a line, including continuation lines."""
        while (end := self._code.find("\n", at)) >= 0:
            if not self._code[at:end].rstrip().endswith("\\"):
                return end
            at = end + 1
        return len(self._code)

    def _change(self, start: int, masked: Iterable[Redaction]) -> None:
        self.changes += [
            _Change(start + redaction.span.start, start + redaction.span.end, redaction.text, redaction.noted)
            for redaction in masked
        ]

    def _change_text(self, text: Text, span: Span, replacement: str, *, noted: bool) -> None:
        self.changes += [_Change(*change, noted) for change in text.in_code(self._code, span, replacement)]

    def _read_line(self, start: int, end: int, texts: list[Text]) -> None:
        call = _CALL.search(self._code, start, end)
        for text in texts:
            if call is None or text.start < call.end():
                self._texts.append(text)
            elif "upsql" in call["name"].lower():
                self._mask(text, redactions(text.value))
            else:
                self._read_cell(text)

    def _read_cell(self, text: Text) -> None:
        """Mask a cell passed to a call, as IPython makes of `%%time` and the like."""
        if self._depth == _MAX_DEPTH and _could_hold(text.value):
            self._change_text(text, Span(0, len(text.value)), MASK, noted=False)
        elif self._depth < _MAX_DEPTH and _names_ours(text.value):
            inner = _Cell(text.value, self._depth + 1)
            for start, end, replacement, noted in _without_nested(inner.changes):
                self._change_text(text, Span(start, end), replacement, noted=noted)

    def _read_text(self, text: Text) -> None:
        value = text.value
        start_match = _BEGIN.search(value)
        if start_match is None:
            return
        if all(piece.whole for piece in text.pieces):
            self._mask(text, _statements(value, template=True))
        else:
            # Not a Python string, or one that never ends: after its apparent end the statement may continue.
            start = text.place(start_match.start())
            if start < self._lost:
                self._lost = start
                self._change(start, _statements(self._code[start:]))

    def _mask(self, text: Text, masked: Iterable[Redaction]) -> None:
        for redaction in masked:
            self._change_text(text, redaction.span, redaction.text, noted=redaction.noted)


def _statements(text: str, *, template: bool = False) -> Iterator[Redaction]:
    """Yield what to mask in those of a text's statements that look like ours and hold a secret."""
    at, empty = 0, -1
    while match := _BEGIN.search(text, at):
        start = match.start()
        if empty < start:
            line = _EMPTY_LINE.search(text, match.end())
            empty = line.start() if line else len(text)
        at = max(match.end(), next(statement_ends(text, start, empty), empty))
        statement = text[start:at]
        masked = redactions(statement, template=template)
        if _holds_secret(statement, masked, whole=_EXACT_STATEMENT.match(match[0]) is not None):
            for redaction in masked:
                yield redaction._replace(span=Span(start + redaction.span.start, start + redaction.span.end))


def _holds_secret(statement: str, masked: list[Redaction], *, whole: bool) -> bool:
    """Whether a masked part is a secret, rather than just a word unknown to the language.

    Args:
        statement: the text that may be a statement.
        masked: what is masked in it.
        whole: whether it begins exactly like our statements, rather than similarly.
    """
    if any(redaction.of_secret_option for redaction in masked):
        return True
    literals = [redaction for redaction in masked if redaction.literal]
    if len(masked) == 1 and masked[0].span == (0, len(statement)):
        return whole and _ASSIGNED.search(statement) is not None
    has_name = any(name in statement.upper() for name in SECRET_NAMES)
    return bool(literals) and (has_name or (whole and any(redaction.owner for redaction in literals)))
