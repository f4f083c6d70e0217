"""The text of a cell: its tokens, and places in it as line, column and an excerpt without literals."""

from __future__ import annotations

import itertools
import re
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
    "\u00a0": ("a no-break space", "a plain space"),
    "\u202f": ("a narrow no-break space", "a plain space"),
    "\u2007": ("a figure space", "a plain space"),
    "\u3000": ("an ideographic space", "a plain space"),
    "\ufeff": ("a byte order mark", "nothing"),
    "\u200b": ("a zero width space", "nothing"),
    "\u2018": ("a curly quote", "the straight quote '"),
    "\u2019": ("a curly quote", "the straight quote '"),
    "\u201c": ("a curly quote", "a straight quote"),
    "\u201d": ("a curly quote", "a straight quote"),
    "\u2013": ("a dash", "a plain hyphen"),
    "\u2014": ("a dash", "two plain hyphens, if a comment was meant"),
    "\uff1b": ("a full-width semicolon", "a plain ;"),
    "\uff1d": ("a full-width equals sign", "a plain ="),
    "`": ("a backtick", "double quotes around a name, or single quotes around a value"),
}
_LOOKALIKE = re.compile("[" + "".join(_LOOKALIKES) + "]")
# Shorter words cannot hold as much of a secret as would matter; longer ones are shown only if they are ours.
_SHOWN_WORD = 8
_EXCERPT = 100
_MASKS = {"string": "'…'", "quoted": '"…"', "word": "…", "comment": ""}


# A connection's name follows these; an option's name is of letters, as hardly any secret is.
_BEFORE_NAME = {"CONNECTION", "EXISTS", "USING", "TO"}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LETTERS = re.compile(r"[A-Za-z_]{1,40}")


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
            raise self.syntax_error(_UNCLOSED[token.text], token.span)
        if token.kind in {"word", "space"} and (found := _LOOKALIKE.search(token.text)):
            name, instead = _LOOKALIKES[found.group()]
            start = token.span.start + found.start()
            raise self.syntax_error(
                f"{name} (U+{ord(found.group()):04X}) is not part of the language",
                Span(start, start + 1),
                hint=f"Type {instead} in its place.",
            )
        return re.sub(r"[^\n]", " ", token.text) if token.kind == "comment" else token.text

    def syntax_error(self, message: str, span: Span, *, hint: str = "") -> StatementSyntaxError:
        """A syntax error at a place of this text."""
        return StatementSyntaxError(message, hint=hint, place=self.place(span))

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer("\n", self.text))]

    @cached_property
    def _readable(self) -> bool:
        """Whether literals are where they seem to be: all of them end, and no word touches a quote."""
        touching = {"string", "quoted", "word"}
        kinds = [token.kind for token in self.tokens]
        return (
            "open" not in kinds
            and not any(a in touching and b in touching for a, b in itertools.pairwise(kinds))
            and not any(t.kind in {"word", "space"} and _LOOKALIKE.search(t.text) for t in self.tokens)
        )

    def place(self, span: Span) -> Place:
        """Line and column of a span, and the masked line where the text can be read safely."""
        line = bisect_right(self._line_starts, span.start)
        column = span.start - self._line_starts[line - 1] + 1
        if not self._readable:
            return Place(line, column)
        excerpt, marker = self._excerpt(span, line)
        return Place(line, column, excerpt, marker)

    def _excerpt(self, span: Span, line: int) -> tuple[str, str]:
        start = self._line_starts[line - 1]
        end = self._line_starts[line] - 1 if line < len(self._line_starts) else len(self.text)
        shown, marker = "", ""
        for token in self.tokens:
            if token.span.end <= start or token.span.start >= end:
                continue
            piece = self._masked(token, start, end)
            inside = token.span.start < span.end and span.start < token.span.end
            shown += piece
            marker += ("^" if inside else " ") * len(piece)
        if "^" not in marker:
            marker = " " * len(shown) + "^"
        first = len(shown) - len(shown.lstrip())
        cut = max(first, marker.index("^") - _EXCERPT // 2)
        return shown[cut : cut + _EXCERPT].rstrip(), marker[cut : cut + _EXCERPT].rstrip()

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
        if nearest(token.text, VOCABULARY):
            return True
        before, after = self.token_before(token.span.start), self.token_at(token.span.end)
        if before and before.text.upper() in _BEFORE_NAME:
            return _IDENTIFIER.fullmatch(token.text) is not None
        unassigned = before is None or (before.text not in {"=", "("} and before.text.upper() not in OPTION_NAMES)
        return unassigned and after is not None and after.text == "=" and _LETTERS.fullmatch(token.text) is not None

    def token_at(self, offset: int) -> Token | None:
        """The first token at or after an offset that is neither space nor comment."""
        return next((t for t in self.tokens if t.span.end > offset and t.kind not in {"space", "comment"}), None)

    def token_before(self, offset: int) -> Token | None:
        """The last token that ends at or before an offset and is neither space nor comment."""
        before = (t for t in reversed(self.tokens) if t.span.end <= offset and t.kind not in {"space", "comment"})
        return next(before, None)
