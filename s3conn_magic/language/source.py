"""The text of a cell: its tokens, and places in it as line, column and an excerpt without literals."""

from __future__ import annotations

import itertools
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from s3conn_magic.errors import Place, StatementSyntaxError
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.reference import VOCABULARY
from s3conn_magic.language.spelling import nearest

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>--[^\n]*|/\*(?:[^*]|\*(?!/))*+\*/)
      | (?P<string>'(?:[^']|'')*+')
      | (?P<quoted>"(?:[^"]|"")*+")
      | (?P<open>/\*|'|")
      | (?P<mark>[;,=()$])
      | (?P<word>(?:[^\s'"=(),;$/-]|/(?!\*)|-(?!-))+)""",
    re.VERBOSE,
)
_UNCLOSED = {
    "'": "this text in single quotes does not end; a quote inside it is written ''",
    '"': 'this name in double quotes does not end; a quote inside it is written ""',
    "/*": "this comment does not end; close it with */",
}
# What word processors and web pages put where a plain character was meant.
_LOOKALIKES = {
    "\u00a0": ("a no-break space", "Type a plain space in its place."),
    "\u202f": ("a narrow no-break space", "Type a plain space in its place."),
    "\u2007": ("a figure space", "Type a plain space in its place."),
    "\u3000": ("an ideographic space", "Type a plain space in its place."),
    "\ufeff": ("a byte order mark", "Delete it."),
    "\u200b": ("a zero width space", "Delete it."),
    "\u2018": ("a curly quote", "Type a straight quote ' in its place."),
    "\u2019": ("a curly quote", "Type a straight quote ' in its place."),
    "\u201c": ("a curly quote", "Type a straight quote in its place: ' around a value, \" around a name."),
    "\u201d": ("a curly quote", "Type a straight quote in its place: ' around a value, \" around a name."),
    "\u2013": ("a dash", "Type a plain hyphen in its place, or two to begin a comment."),
    "\u2014": ("a dash", "Type a plain hyphen in its place, or two to begin a comment."),
    "\uff1b": ("a full-width semicolon", "Type a plain ; in its place."),
    "\uff1d": ("a full-width equals sign", "Type a plain = in its place."),
    "\uff0c": ("a full-width comma", "Type a plain , in its place."),
    "`": ("a backtick", "Put double quotes around a name, single quotes around a value."),
}
_UNSEEN = ("a character that cannot be seen", "Delete it, or type a plain space in its place.")
_WHITE = " \t\r\n\f\v"
_PLAIN = re.compile(rf"[!-_a-~{_WHITE}]*")
# Shorter words cannot hold as much of a secret as would matter; longer ones are shown only if they are ours.
_SHOWN_WORD = 8
_EXCERPT = 100
_NEIGHBOURS = 60
_MASKS = {"string": "'…'", "quoted": '"…"', "word": "…", "comment": ""}

BEFORE_NAME = frozenset({"CONNECTION", "EXISTS", "USING", "TO"})
"""Words that a connection's name follows."""
# An option's name is of letters, as hardly any secret is.
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LETTERS = re.compile(r"[A-Za-z_]{1,40}")


def _foreign(text: str) -> int | None:
    """Offset of the first character that looks like another, or like nothing."""
    if _PLAIN.fullmatch(text):
        return None
    odd = (at for at, one in enumerate(text) if one in _LOOKALIKES or (one not in _WHITE and _unseen(one)))
    return next(odd, None)


def _unseen(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}


class Span(NamedTuple):
    """Offsets into a cell: start, and end (exclusive)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; `kind` is space, comment, string, quoted, open, mark or word."""

    kind: str
    span: Span
    text: str


@dataclass(frozen=True)
class Source:
    """A cell's text. Its repr holds none of it."""

    text: str

    def __repr__(self) -> str:
        return f"Source({len(self.text)} characters)"

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """All of the text as tokens, in order."""
        return tuple(
            Token(str(found.lastgroup), Span(*found.span()), found.group()) for found in _TOKEN.finditer(self.text)
        )

    @cached_property
    def code(self) -> str:
        """The text with every comment as spaces, so that offsets stay what they are.

        Raises:
            StatementSyntaxError: a literal or comment does not end, or a character only looks like one of ours.
        """
        return "".join(self._code_of(token) for token in self.tokens)

    def _code_of(self, token: Token) -> str:
        if token.kind == "open":
            raise self.syntax_error(_UNCLOSED[token.text], token.span, hint=self._why_open(token))
        if token.kind in {"word", "space"} and (at := _foreign(token.text)) is not None:
            name, hint = _LOOKALIKES.get(token.text[at], _UNSEEN)
            start = token.span.start + at
            raise self.syntax_error(
                f"{name} (U+{ord(token.text[at]):04X}) is not part of the language", Span(start, start + 1), hint=hint
            )
        return re.sub(r"[^\n]", " ", token.text) if token.kind == "comment" else token.text

    def _why_open(self, opened: Token) -> str:
        """What may be the reason that something does not end: a quote too many, or none around a location."""
        before = self.token_before(opened.span.start)
        if opened.text == "/*" and before and before.text.startswith("s3://"):
            return "A location is written in single quotes: 's3://bucket/prefix'."
        pairs = itertools.pairwise(self.tokens)
        early = (a for a, b in pairs if a.kind in {"string", "quoted"} and b.kind == "word")
        first = next(early, None) if opened.text != "/*" else None
        if first is None:
            return ""
        line, column = self._line_and_column(first.span.end - 1)
        return f"Or the quote in line {line}, column {column} is one too many: a word follows right after it."

    def syntax_error(self, message: str, span: Span, *, hint: str = "") -> StatementSyntaxError:
        """A syntax error at a place of this text."""
        return StatementSyntaxError(message, hint=hint, place=self.place(span))

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer("\n", self.text))]

    @cached_property
    def _token_ends(self) -> list[int]:
        return [token.span.end for token in self.tokens]

    @cached_property
    def readable(self) -> bool:
        """Whether literals are where they seem to be: all of them end, and no word touches a quote."""
        touching = {"string", "quoted", "word"}
        kinds = [token.kind for token in self.tokens]
        return (
            "open" not in kinds
            and not any(a in touching and b in touching for a, b in itertools.pairwise(kinds))
            and all(_foreign(token.text) is None for token in self.tokens if token.kind in {"word", "space"})
        )

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def place(self, span: Span) -> Place:
        """Line and column of a span, and the masked line where the text can be read safely."""
        line, column = self._line_and_column(span.start)
        if not self.readable:
            return Place(line, column)
        excerpt, marker = self._excerpt(span, line)
        return Place(line, column, excerpt, marker)

    def _excerpt(self, span: Span, line: int) -> tuple[str, str]:
        start = self._line_starts[line - 1]
        end = self._line_starts[line] - 1 if line < len(self._line_starts) else len(self.text)
        shown, marker, after = "", "", 0
        for token in self._around(span, start, end):
            piece = self._masked(token, start, end)
            inside = token.span.start < span.end and span.start < token.span.end
            shown += piece
            marker += ("^" if inside else " ") * len(piece)
            after = len(shown) if token.span.end <= span.start else after
        if "^" not in marker:
            marker = " " * after + "^"
        return _cut(shown.rstrip(), marker.rstrip())

    def _around(self, span: Span, start: int, end: int) -> tuple[Token, ...]:
        """The tokens of a line, or of a long one those next to the span."""
        first, at, last = (
            bisect_right(self._token_ends, offset) for offset in (start, span.start, max(start, end - 1))
        )
        return self.tokens[max(first, at - _NEIGHBOURS) : min(last + 1, at + _NEIGHBOURS)] if start < end else ()

    def _masked(self, token: Token, start: int, end: int) -> str:
        if token.kind == "space":
            kept = token.text[max(0, start - token.span.start) : end - token.span.start]
            return " " * len(kept.replace("\n", "").replace("\r", ""))
        return token.text if token.kind in {"mark", "open"} else self.shown(token)

    def shown(self, token: Token) -> str:
        """A token as messages may show it: literals masked, and long words that are not of the language."""
        if token.kind == "word" and (len(token.text) < _SHOWN_WORD or self._is_name(token)):
            return token.text
        return _MASKS.get(token.kind, token.text)

    def _is_name(self, token: Token) -> bool:
        """Whether a long word is one of ours, or stands where a connection's or an option's name does."""
        if token.text.upper() in VOCABULARY or self._stands_as_name(token):
            return True
        return nearest(token.text, VOCABULARY) is not None

    def _stands_as_name(self, token: Token) -> bool:
        before, after = self.token_before(token.span.start), self.token_at(token.span.end)
        if before and before.text.upper() in BEFORE_NAME:
            return _IDENTIFIER.fullmatch(token.text) is not None
        unassigned = before is None or (before.text not in {"=", "("} and before.text.upper() not in OPTION_NAMES)
        return unassigned and after is not None and after.text == "=" and _LETTERS.fullmatch(token.text) is not None

    def token_at(self, offset: int) -> Token | None:
        """The first token at or after an offset that is neither space nor comment."""
        later = (self.tokens[index] for index in range(bisect_right(self._token_ends, offset), len(self.tokens)))
        return next((token for token in later if token.kind not in {"space", "comment"}), None)

    def token_before(self, offset: int) -> Token | None:
        """The last token that ends at or before an offset and is neither space nor comment."""
        for index in range(bisect_right(self._token_ends, offset) - 1, -1, -1):
            if self.tokens[index].kind not in {"space", "comment"}:
                return self.tokens[index]
        return None


def _cut(shown: str, marker: str) -> tuple[str, str]:
    """The part of a long line around the marker, without the line's indent."""
    indent = len(shown) - len(shown.lstrip())
    shown, marker = shown[indent:], marker[indent:]
    if max(len(shown), len(marker)) <= _EXCERPT:
        return shown, marker
    at, width = marker.index("^"), marker.count("^")
    first = max(
        0, min(at - _EXCERPT // 3, max(len(shown), at + 1) - _EXCERPT), at + min(width, _EXCERPT // 2) - _EXCERPT
    )
    left, right = ("…" if first else ""), ("…" if len(shown) > first + _EXCERPT else "")
    window = slice(first, first + _EXCERPT)
    return left + shown[window] + right, " " * len(left) + marker[window].rstrip()
