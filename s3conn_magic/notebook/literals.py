"""Find the strings and comments in Python code, each with the offset of every character.

The code may be invalid, or of another Python version: it is scanned once from left to right, only for what opens and
closes strings, so the time is always linear. Adjacent strings, and those joined by `+`, form one text. In an f-string
or t-string a field becomes `{}`, and the strings inside the field are texts of their own.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left, bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3conn_magic.language.source import Span

_PARTS = r"""
    (?P<comment>\#[^\r\n]*+)
  | (?P<string>(?:\b(?P<prefix>[A-Za-z]{1,2}))?(?P<quote>\"\"\"|'''|"|'))
  | (?P<line>\r\n|[\r\n;])
  | (?P<joined>\\(?:\r\n|[\r\n]))
  | (?P<opened>[(\[{])
  | (?P<closed>[)\]}])
  | (?P<colon>:)
"""
_PREFIXES = {"r", "u", "b", "br", "rb", "f", "fr", "rf", "t", "tr", "rt"}
# Deeper ones, which nobody writes, are read as plain strings.
_MAX_DEPTH = 8
_JOINT = re.compile(r"(?:[\s\\()+]|#[^\r\n]*+)*+")
_CONCATENATION = re.compile(r"\s*+\+.*\+\s*", re.DOTALL)
_FIELD = "{}"
# A field that contains a string, which may be its value.
_FIELD_OF_TEXT = "{~}"
# A Python string is never directly followed by such a character.
_CONTINUES = re.compile(r"[\w/$@]")
_ESCAPE = re.compile(
    r"\\(?:\r\n|[0-7]{1,3}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[\s\S])",
)
_ESCAPE_OR_BRACE = re.compile(rf"{_ESCAPE.pattern}|\{{\{{|\}}\}}")
_BRACE = re.compile(r"\{\{|\}\}")
_MEANING = {**dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True)), "\r": "", "\n": ""}


def _bodies(quote: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return regexes for the text between quotes: of a plain string, of one with fields, and of a field's format."""
    mark = quote[0]
    short = len(quote) == 1
    ends = r"\r\n" if short else ""
    alone = "" if short else rf"|{mark}(?!{mark}{mark})"
    plain = rf"(?:[^{mark}\\{ends}]++|\\(?:\r\n|[\s\S]){alone})*+"
    with_fields = rf"(?:[^{mark}\\{{}}{ends}]++|\\(?:\r\n|[^{{}}]|(?=[{{}}])){alone}|\{{\{{|\}}\}})*+"
    return re.compile(plain), re.compile(with_fields), re.compile(rf"(?:[^{mark}{{}}{ends}]++{alone})*+")


_BODIES = {quote: _bodies(quote) for quote in ("'", '"', "'''", '"""')}


class PythonLiteral(NamedTuple):
    """One string or comment of a text.

    Attributes:
        at: offset in the text.
        value: its text.
        offsets: offset of each character in the code, and of the end.
        quote: its quotes; empty for a comment.
        whole: whether it is terminated, and nothing directly follows it.
    """

    at: int
    value: str
    offsets: Sequence[int]
    quote: str
    whole: bool


class Text:
    """A string or comment, or several joined.

    Attributes:
        pieces: the strings or comments.
    """

    def __init__(self) -> None:
        self.pieces: list[PythonLiteral] = []
        self._parts: list[str] = []
        self._length = 0

    def add(self, between: str, piece: PythonLiteral) -> None:
        """Append a piece."""
        self.pieces.append(piece._replace(at=self._length + len(between)))
        self._parts += [between, piece.value]
        self._length += len(between) + len(piece.value)

    @cached_property
    def value(self) -> str:
        """The joined text, with `{}` for the code between pieces."""
        return "".join(self._parts)

    @property
    def start(self) -> int:
        """Offset of the first piece's content in the code."""
        return self.pieces[0].offsets[0]

    def place(self, offset: int) -> int:
        """Return the offset in the code of a character of the value; for joints, the end of the piece before."""
        piece = self.pieces[bisect_right(self.pieces, offset, key=lambda piece: piece.at) - 1]
        return piece.offsets[min(offset - piece.at, len(piece.value))]

    def in_code(self, code: str, span: Span, instead: str) -> Iterator[tuple[int, int, str]]:
        """Yield a change of the value as changes of the code that keep lines and quotes intact."""
        first = max(0, bisect_right(self.pieces, span.start, key=lambda piece: piece.at) - 1)
        for index in range(first, bisect_left(self.pieces, span.end, key=lambda piece: piece.at)):
            piece = self.pieces[index]
            low, high = (min(max(0, offset - piece.at), len(piece.value)) for offset in span)
            if low < high:
                begins, ends = piece.offsets[low], piece.offsets[high]
                yield begins, ends, _in_quotes(instead, piece.quote, code.count("\n", begins, ends))
                instead = ""


def _in_quotes(text: str, quote: str, lines: int) -> str:
    joined = "\\\n" if len(quote) == 1 else "\n"
    return text.replace("\n", "").replace(quote[:1] or "\n", "") + joined * lines


class PythonStatement(NamedTuple):
    """A Python statement: its start and end, and the strings in it."""

    start: int
    end: int
    texts: list[Text]


class _Level:
    """State where strings may be joined: at the level of code, or in a field."""

    def __init__(self) -> None:
        self.text: Text | None = None
        self.end = 0


class _OpenString(_Level):
    """An f-string or t-string being read; `depth` counts open brackets in the current field."""

    def __init__(self, start: int, prefix: str, quote: str) -> None:
        super().__init__()
        self.start = start
        self.quote = quote
        self.escape = _BRACE if "r" in prefix else _ESCAPE_OR_BRACE
        self.depth = 0
        self.field = 0
        self.of_text = False
        self.values: list[str] = []
        self.offsets: list[int] = []


class Literals:
    """The strings and comments in code, up to a match of `stop` outside of them.

    Attributes:
        lines: statements that contain strings.
        comments: adjacent ones are one text.
        stopped: the match of `stop`, or None.
    """

    def __init__(self, code: str, start: int, token: re.Pattern[str]) -> None:
        self.lines: list[PythonStatement] = []
        self.comments: list[Text] = []
        self.stopped: re.Match[str] | None = None
        self._code = code
        self._line = start
        self._depth = 0
        self._texts: list[Text] = []
        self._top_level = _Level()
        self._comments = _Level()
        self._open: list[_OpenString] = []
        at = start
        while match := token.search(code, at):
            kind = str(match.lastgroup)
            if kind == "stop":
                self.stopped = match
                break
            at = getattr(self, f"_read_{kind}")(match)
        while self._open:
            self._close(len(code), whole=False)
        self._end_line(match.start() if match else len(code))

    def _read_comment(self, match: re.Match[str]) -> int:
        start, end = match.start() + 1, match.end()
        between = self._code[self._comments.end : match.start()]
        if self._comments.text is None or not between.isspace():
            self._comments.text = Text()
            self.comments.append(self._comments.text)
        self._comments.text.add("\n", PythonLiteral(0, self._code[start:end], range(start, end + 1), "", whole=True))
        self._comments.end = end
        return end

    def _read_string(self, match: re.Match[str]) -> int:
        prefix, quote = (match["prefix"] or "").lower(), match["quote"]
        if prefix not in _PREFIXES:
            prefix = ""
        if {"f", "t"}.intersection(prefix) and len(self._open) < _MAX_DEPTH:
            self._open.append(_OpenString(match.start(), prefix, quote))
            return self._read_on(match.end())
        start = match.end()
        end = _BODIES[quote][0].match(self._code, start).end()  # type: ignore[union-attr] # it also matches nothing
        whole = self._code.startswith(quote, end)
        after = end + len(quote) if whole else end
        value, offsets = _decoded(self._code, start, end, None if "r" in prefix else _ESCAPE)
        whole = whole and not _CONTINUES.match(self._code, after)
        self._add(PythonLiteral(0, value, offsets, quote, whole), match.start(), after)
        return after

    def _read_on(self, at: int) -> int:
        """Continue in the innermost f-string, up to its end or the next field."""
        top = self._open[-1]
        body = _BODIES[top.quote][1]
        while True:
            end = body.match(self._code, at).end()  # type: ignore[union-attr]
            value, offsets = _decoded(self._code, at, end, top.escape)
            top.values.append(value)
            top.offsets += offsets[:-1]
            if self._code.startswith("{", end):
                top.field, top.depth, top.of_text, top.text = end, 0, False, None
                return end + 1
            if not self._code.startswith("}", end):
                break
            top.values.append("}")
            top.offsets.append(end)
            at = end + 1
        whole = self._code.startswith(top.quote, end)
        return self._close(end, whole=whole)

    def _close(self, end: int, *, whole: bool) -> int:
        top = self._open.pop()
        after = end + len(top.quote) if whole else end
        whole = whole and not _CONTINUES.match(self._code, after)
        self._add(PythonLiteral(0, "".join(top.values), [*top.offsets, end], top.quote, whole), top.start, after)
        return after

    def _add(self, piece: PythonLiteral, start: int, end: int) -> None:
        inside = self._open[-1] if self._open else None
        here = inside or self._top_level
        says = piece.value.replace(_FIELD, "") and not self._code.startswith("[", start - 1)
        if inside is not None and says:
            inside.of_text = True
        joint = _joint(self._code[here.end : start]) if here.text else None
        if here.text is None or joint is None:
            here.text, joint = Text(), ""
            self._texts.append(here.text)
        here.text.add(joint, piece)
        here.end = end

    def _read_line(self, match: re.Match[str]) -> int:
        if not self._open and not self._depth:
            self._end_line(match.end())
        return match.end()

    def _end_line(self, end: int) -> None:
        if self._texts:
            self.lines.append(PythonStatement(self._line, end, self._texts))
            self._texts = []
        self._line = end
        self._top_level.text = None

    def _read_opened(self, match: re.Match[str]) -> int:
        if self._open:
            self._open[-1].depth += 1
        else:
            self._depth += 1
        return match.end()

    def _read_closed(self, match: re.Match[str]) -> int:
        if not self._open:
            self._depth = max(0, self._depth - 1)
            return match.end()
        top = self._open[-1]
        if top.depth or match[0] != "}":
            top.depth = max(0, top.depth - 1)
            return match.end()
        field = _FIELD_OF_TEXT if top.of_text else _FIELD
        top.values.append(field)
        top.offsets += [top.field] * len(field)
        return self._read_on(match.end())

    def _read_colon(self, match: re.Match[str]) -> int:
        if self._open and not self._open[-1].depth:
            return _BODIES[self._open[-1].quote][2].match(self._code, match.end()).end()  # type: ignore[union-attr]
        return match.end()

    def _read_joined(self, match: re.Match[str]) -> int:
        return match.end()


def tokens_and(stop: str) -> re.Pattern[str]:
    """Return the regex for `Literals`; `stop` is a verbose, case-insensitive one."""
    return re.compile(rf"(?P<stop>{stop}) | {_PARTS}", re.VERBOSE | re.IGNORECASE | re.MULTILINE | re.ASCII)


def _joint(between: str) -> str | None:
    """Return the text for the code between two strings that are joined, or None if they are not."""
    if _JOINT.fullmatch(between):
        return ""
    return _FIELD if _CONCATENATION.fullmatch(between) else None


def _decoded(code: str, start: int, end: int, escape: re.Pattern[str] | None) -> tuple[str, Sequence[int]]:
    """Return the value of part of a string, and the offset of each character."""
    first = None if escape is None else escape.search(code, start, end)
    if escape is None or first is None:
        return code[start:end], range(start, end + 1)
    values: list[str] = []
    offsets: list[int] = []
    at = start
    for match in escape.finditer(code, start, end):
        value = _unescaped(match[0])
        values += [code[at : match.start()], value]
        offsets += [*range(at, match.start()), *[match.start()] * len(value)]
        at = match.end()
    return "".join([*values, code[at:end]]), [*offsets, *range(at, end + 1)]


def _unescaped(written: str) -> str:
    """Return the value of an escape; an invalid one unchanged."""
    mark = written[1]
    if written[0] in "{}":
        return mark
    if mark in _MEANING:
        return _MEANING[mark]
    digits, base = (written[1:], 8) if mark in "01234567" else (written[2:], 16)
    number = int(digits, base) if mark in "01234567xuU" and digits else None
    return chr(number) if number is not None and number <= sys.maxunicode else written
