"""The text of a cell cut into tokens, and whether its literals are where they seem to be."""

from __future__ import annotations

import itertools
import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, overload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_COMMENT = r"--[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/"
_DOLLAR_MARK = r"\$(?:[A-Za-z_][A-Za-z0-9_]*+)?\$"
# `$$text$$` and `$tag$text$tag$`, as queries may have it.
DOLLAR_QUOTED = r"\$(?P<tag>[A-Za-z_][A-Za-z0-9_]*+|)\$(?s:.*?)\$(?P=tag)\$"
_LITERAL = rf"""'(?:[^']|'')*+'|"(?:[^"]|"")*+\"|{DOLLAR_QUOTED}"""
_WORD = r"""(?:[^\s'"=(),;$/-]|/(?!\*)|-(?!-))++"""
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
      | (?P<comment>{_COMMENT})
      | (?P<string>'(?:[^']|'')*+'|{DOLLAR_QUOTED})
      | (?P<quoted>"(?:[^"]|"")*+")
      | (?P<open>/\*|'|"|{_DOLLAR_MARK})
      | (?P<mark>[;,=()$])
      | (?P<word>{_WORD})""",
    re.VERBOSE,
)
_KINDS = ("", *_TOKEN.groupindex)
_BLANK = (_KINDS.index("space"), _KINDS.index("comment"))
_LITERALS = {"string", "quoted"}
_MARK = _KINDS.index("mark")
_OPEN = _KINDS.index("open")
_OPENS = rf"""['"]|/\*|{_DOLLAR_MARK}"""
_NOT_CODE = re.compile(rf"""{_LITERAL}|(?P<comment>{_COMMENT})|(?P<open>{_OPENS})""")
_BETWEEN = re.compile(rf"""{_LITERAL}|{_COMMENT}|(?P<open>{_OPENS})|(?P<end>;)""")
_HELD = re.compile(f"{_LITERAL}|{_COMMENT}")
_APART = re.compile(rf"""(?:[\s;,=()$]++|{_COMMENT}|(?:{_LITERAL}|{_WORD})(?=[\s;,=()$]|--|/\*|\Z))*+""")
WHITE = " \t\r\n\f\v"
"""The characters that may stand between words."""
_PLAIN = frozenset(map(chr, range(0x21, 0x7F))).difference("`").union(WHITE)


# What word processors and web pages put where a plain character was meant.
LOOKALIKES = {
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


class Span(NamedTuple):
    """Offsets into a cell: start, and end (exclusive)."""

    start: int
    end: int


class Token(NamedTuple):
    """A piece of the text; `kind` is space, comment, string, quoted, open, mark or word."""

    kind: str
    span: Span
    text: str


class Tokens(Sequence[Token]):
    """All of a text as tokens, in order; what follows something that does not end is left out.

    The text is read as far as it is asked for, and a token made when it is: a cell of 64 KiB can have as many.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = _TOKEN.finditer(text)
        self._ends: list[int] = []
        self._kinds: list[int] = []

    def _read(self, offset: int) -> None:
        """Read on until a token ends after the offset."""
        if self._ends and self._ends[-1] > offset:
            return
        for found in self._found:
            self._ends.append(found.end())
            self._kinds.append(found.lastindex or 0)
            if found.lastindex == _OPEN:
                self._found = iter(())
                return
            if found.end() > offset:
                return

    def has(self, index: int) -> bool:
        """Whether there are so many tokens that one has this index."""
        while (read := len(self._ends)) <= index:
            self._read(self._ends[-1] if read else 0)
            if len(self._ends) == read:
                return False
        return True

    def __len__(self) -> int:
        self._read(len(self._text))
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Token: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Token, ...]: ...
    def __getitem__(self, index: int | slice) -> Token | tuple[Token, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        at = index if index >= 0 else index + len(self)
        if at < 0 or not self.has(at):
            raise IndexError(index)
        span = Span(self._ends[at - 1] if at else 0, self._ends[at])
        return Token(_KINDS[self._kinds[at]], span, self._text[slice(*span)])

    def __iter__(self) -> Iterator[Token]:
        start = 0
        for at in itertools.takewhile(self.has, itertools.count()):
            end = self._ends[at]
            yield Token(_KINDS[self._kinds[at]], Span(start, end), self._text[start:end])
            start = end

    def statement(self, index: int) -> range:
        """The indices of the tokens of a statement that come before an index."""
        start = index
        while start and not (self._kinds[start - 1] == _MARK and self._text[self._ends[start - 1] - 1] == ";"):
            start -= 1
        return range(start, index)

    def first_touch(self) -> Token | None:
        """The first literal that a word follows right after."""
        self._read(len(self._text))
        kinds = map(_KINDS.__getitem__, self._kinds)
        pairs = enumerate(itertools.pairwise(kinds))
        return next((self[at] for at, (one, other) in pairs if one in _LITERALS and other == "word"), None)

    def ending_after(self, offset: int) -> int:
        """The index of the first token that ends after an offset."""
        self._read(offset)
        return bisect_right(self._ends, offset)

    def among(self, indices: Iterable[int]) -> Iterator[Token]:
        """The tokens at these indices, as long as there are some, that are neither space nor comment."""
        there = itertools.takewhile(self.has, indices)
        return (self[at] for at in there if self._kinds[at] not in _BLANK)


def statement_ends(text: str, start: int = 0, end: int = sys.maxsize) -> Iterator[int]:
    """Offsets behind each `;` between statements, found without a look at the words between them."""
    for found in _BETWEEN.finditer(text, start, end):
        if found["open"]:
            return
        if found["end"]:
            yield found.end()


class Lexed:
    """Where a text's comments are, and the first thing that opens and does not end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.comments: list[tuple[int, int]] = []
        self.open: int | None = None
        for found in _NOT_CODE.finditer(text):
            if found["open"]:
                self.open = found.start()
                break
            if found["comment"]:
                self.comments.append(found.span())

    @cached_property
    def odd(self) -> int | None:
        """Offset of the first character, before what does not end, that is not one of ours though it may look so."""
        text = self._text[: self.open]
        odd = "".join(filter(is_odd, set(_HELD.sub("", text))))
        if not odd:
            return None
        found = re.finditer(f"{_HELD.pattern}|(?P<odd>[{re.escape(odd)}])", text)
        return next((one.start() for one in found if one["odd"]), None)

    @cached_property
    def readable(self) -> bool:
        """Whether literals are where they seem to be: all of them end, and no word touches a quote."""
        return self.open is None and self.odd is None and _APART.fullmatch(self._text) is not None


def unquoted(written: str) -> str:
    """A text or name without the quotes that it may stand in, with each doubled quote in it as one."""
    quote = written[:1]
    return written[1:-1].replace(quote * 2, quote) if quote in {"'", '"'} else written


def is_odd(character: str) -> bool:
    """Whether a character looks like another, or like nothing."""
    return character not in _PLAIN and (character in LOOKALIKES or _unseen(character))


def _unseen(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
