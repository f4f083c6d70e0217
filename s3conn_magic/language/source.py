"""The text of a cell: its tokens, whether its literals are delimited reliably, and places with an excerpt."""

from __future__ import annotations

import itertools
import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice, takewhile
from typing import TYPE_CHECKING, NamedTuple, overload

from s3conn_magic.errors import Place, StatementSyntaxError
from s3conn_magic.language.options import OPTION_NAMES, find_option
from s3conn_magic.language.reference import KEYWORDS, VOCABULARY
from s3conn_magic.language.words import literal, nearest
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_COMMENT = r"--[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/"
_DOLLAR_MARK = r"\$(?:[A-Za-z_][A-Za-z0-9_]*+)?\$"
# `$$text$$` and `$tag$text$tag$` of queries.
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
_LITERAL_OR_COMMENT = re.compile(f"{_LITERAL}|{_COMMENT}")
_APART = re.compile(rf"""(?:[\s;,=()$]++|{_COMMENT}|(?:{_LITERAL}|{_WORD})(?=[\s;,=()$]|--|/\*|\Z))*+""")
WHITE = " \t\r\n\f\v"
"""White space between words."""
_PLAIN = frozenset(map(chr, range(0x21, 0x7F))).difference("`").union(WHITE)


# Characters that word processors and web pages substitute for plain ones.
LOOKALIKES = {
    "\u00a0": ("a no-break space", "Type a plain space instead."),
    "\u202f": ("a narrow no-break space", "Type a plain space instead."),
    "\u2007": ("a figure space", "Type a plain space instead."),
    "\u3000": ("an ideographic space", "Type a plain space instead."),
    "\ufeff": ("a byte order mark", "Delete it."),
    "\u200b": ("a zero width space", "Delete it."),
    "\u2018": ("a curly quote", "Type a straight quote ' instead."),
    "\u2019": ("a curly quote", "Type a straight quote ' instead."),
    "\u201c": ("a curly quote", "Type a straight quote instead: ' around a value, \" around a name."),
    "\u201d": ("a curly quote", "Type a straight quote instead: ' around a value, \" around a name."),
    "\u2013": ("a dash", "Type a plain hyphen instead, or two to begin a comment."),
    "\u2014": ("a dash", "Type a plain hyphen instead, or two to begin a comment."),
    "\uff1b": ("a full-width semicolon", "Type a plain ; instead."),
    "\uff1d": ("a full-width equals sign", "Type a plain = instead."),
    "\uff0c": ("a full-width comma", "Type a plain , instead."),
    "`": ("a backtick", "Put double quotes around a name, single quotes around a value."),
}


class Span(NamedTuple):
    """Offsets in a cell: start, and end (exclusive)."""

    start: int
    end: int


class Token(NamedTuple):
    """A piece of the text; `kind` is space, comment, string, quoted, open, mark or word."""

    kind: str
    span: Span
    text: str


class Tokens(Sequence[Token]):
    """The tokens of a text, in order, without what follows an unclosed one.

    The text is read on demand, and tokens are created on access: a cell of 64 KiB can have 64 Ki of them.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._matches = _TOKEN.finditer(text)
        self._ends: list[int] = []
        self._kinds: list[int] = []

    def _read_past(self, offset: int) -> None:
        if self._ends and self._ends[-1] > offset:
            return
        for match in self._matches:
            self._ends.append(match.end())
            self._kinds.append(match.lastindex or 0)
            if match.lastindex == _OPEN:
                self._matches = iter(())
                return
            if match.end() > offset:
                return

    def has(self, index: int) -> bool:
        """Return whether there is a token at this index."""
        while (read := len(self._ends)) <= index:
            self._read_past(self._ends[-1] if read else 0)
            if len(self._ends) == read:
                return False
        return True

    def __len__(self) -> int:
        self._read_past(len(self._text))
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
        """Return the indices of a statement's tokens before an index."""
        start = index
        while start and not (self._kinds[start - 1] == _MARK and self._text[self._ends[start - 1] - 1] == ";"):
            start -= 1
        return range(start, index)

    def first_touch(self) -> Token | None:
        """Return the first literal directly followed by a word."""
        self._read_past(len(self._text))
        kinds = map(_KINDS.__getitem__, self._kinds)
        pairs = enumerate(itertools.pairwise(kinds))
        return next((self[at] for at, (kind, other) in pairs if kind in _LITERALS and other == "word"), None)

    def ending_after(self, offset: int) -> int:
        """Return the index of the first token that ends after an offset."""
        self._read_past(offset)
        return bisect_right(self._ends, offset)

    def among(self, indices: Iterable[int]) -> Iterator[Token]:
        """Yield the existing tokens at these indices, without space and comments."""
        existing = itertools.takewhile(self.has, indices)
        return (self[at] for at in existing if self._kinds[at] not in _BLANK)


def statement_ends(text: str, start: int = 0, end: int = sys.maxsize) -> Iterator[int]:
    """Yield the offset after each `;` between statements, without a look at the words between."""
    for match in _BETWEEN.finditer(text, start, end):
        if match["open"]:
            return
        if match["end"]:
            yield match.end()


class Lexed:
    """Where a text's comments are, and the first unclosed token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.comments: list[tuple[int, int]] = []
        self.open: int | None = None
        for match in _NOT_CODE.finditer(text):
            if match["open"]:
                self.open = match.start()
                break
            if match["comment"]:
                self.comments.append(match.span())

    @cached_property
    def odd(self) -> int | None:
        """Offset of the first look-alike character (no-break space, curly quote) before an unclosed token, or None."""
        text = self._text[: self.open]
        odd = "".join(filter(is_odd, set(_LITERAL_OR_COMMENT.sub("", text))))
        if not odd:
            return None
        matches = re.finditer(f"{_LITERAL_OR_COMMENT.pattern}|(?P<odd>[{re.escape(odd)}])", text)
        return next((match.start() for match in matches if match["odd"]), None)

    @cached_property
    def readable(self) -> bool:
        """Whether literals are delimited reliably: each is closed, and no word touches a quote."""
        return self.open is None and self.odd is None and _APART.fullmatch(self._text) is not None


def unquoted(written: str) -> str:
    """Return a text or name without its quotes, with doubled quotes inside as one."""
    quote = written[:1]
    return written[1:-1].replace(quote * 2, quote) if quote in {"'", '"'} else written


def is_odd(character: str) -> bool:
    """Return whether a character looks like another, or is invisible."""
    return character not in _PLAIN and (character in LOOKALIKES or _unseen(character))


def _unseen(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}


__all__ = ["BEFORE_NAME", "Source", "Span", "Token"]

_UNCLOSED = {
    "'": "this text in single quotes does not end; a quote inside it is written ''",
    '"': 'this name in double quotes does not end; a quote inside it is written ""',
    "/*": "this comment does not end; close it with */",
    "$": "this text between $…$ does not end; close it with the mark that begins it",
}
_FLAGS = re.compile(
    r"--(?:profile|region|endpoint(?:-url)?|no-sign-request|no-verify-ssl|human-readable|recursive|request-payer|output"
    r"|limit|query|page-size|max-items|delete|dry-?run|out|force|include|exclude|summarize|using|file"
    rf"|{'|'.join(OPTION_NAMES).replace('_', '-')})(?![\w-])[^\n]*",
    re.IGNORECASE,
)
_UNSEEN = ("a character that cannot be seen", "Delete it, or type a plain space instead.")
_SHOWN_WORD = 8  # shorter words hold too little of a secret to matter
# What people call a secret, in any language.
SECRET_NAME = re.compile(r"SECRET|TOKEN|PASS|PWD|KEY|CRED|AUTH", re.IGNORECASE)
# A part of a word as people write it; secrets alternate between capitals, small letters and digits.
_PART = re.compile(r"(?:[A-Z]+|[A-Z]?[a-z]+(?:[A-Z][a-z]{2,})*)?[0-9]{0,4}")
_SERVER = re.compile(r"https?://")
_LONGEST_WORD = 40
# Tokens before a word that are searched for the name of a secret.
_LOOKED_BACK = 24
_EXCERPT = 100
_NEIGHBOURS = 60
_MASKS = {"string": "'…'", "quoted": '"…"', "word": "…", "comment": ""}

# Keywords that end a value.
_ENDS_VALUE = KEYWORDS - {"ALL", "ENV", "FALSE", "KEYRING", "PROMPT", "TRUE"}

BEFORE_NAME = frozenset({"CONNECTION", "EXISTS", "INTO", "JOB", "TABLE", "TO", "USING"})
"""Keywords before the name of a connection, table or job."""
# Names of options are of letters, unlike most secrets.
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LETTERS = re.compile(r"[A-Za-z_]{1,40}")


@dataclass(frozen=True)
class Source:
    """The text of a cell or a file; its repr shows none of it.

    Attributes:
        text: all of it.
        file: name of the file, or empty.
        exposed: why nobody should write a secret into the file, or empty.
        connections: returns the connections' names, the default first, for the suggestions of errors.
    """

    text: str
    file: str = ""
    exposed: str = ""
    connections: Callable[[], Sequence[str]] = tuple

    def __repr__(self) -> str:
        return f"Source({len(self.text)} characters)"

    @cached_property
    def tokens(self) -> Tokens:
        """All tokens, in order."""
        return Tokens(self.text)

    @cached_property
    def _lexed(self) -> Lexed:
        return Lexed(self.text)

    @cached_property
    def code(self) -> str:
        """The text with comments blanked, so that offsets stay.

        Raises:
            StatementSyntaxError: a literal or comment is unclosed, or a character only looks like one of the syntax.
        """
        if (at := self._lexed.odd) is not None:
            raise self._lookalike_error(at)
        if (at := self._lexed.open) is not None:
            raise self._unclosed(at)
        pieces, at = [], 0
        for start, end in self._lexed.comments:
            pieces += [self.text[at:start], _blanked(self.text, start, end)]
            at = end
        return "".join([*pieces, self.text[at:]])

    @property
    def flag(self) -> Span | None:
        """The first comment after a statement that looks like flags of a command, such as `--profile x`."""
        spans = (Span(*span) for span in self._lexed.comments if _FLAGS.fullmatch(self.text, *span))
        return next((span for span in spans if self.token_before(span.start)), None)

    def _lookalike_error(self, at: int) -> StatementSyntaxError:
        name, hint = LOOKALIKES.get(self.text[at], _UNSEEN)
        message = f"{name} (U+{ord(self.text[at]):04X}) is not part of the language"
        return self.syntax_error(message, Span(at, at + 1), hint=hint)

    def _unclosed(self, at: int) -> StatementSyntaxError:
        opened = next((mark for mark in _UNCLOSED if self.text.startswith(mark, at)), "$")
        return self.syntax_error(_UNCLOSED[opened], Span(at, at + len(opened)), hint=self._why_open(opened, at))

    def _why_open(self, opened: str, at: int) -> str:
        """Return a likely reason for an unclosed token: a surplus quote, or a location without quotes."""
        before = self.token_before(at)
        if opened == "/*" and before and before.text.startswith("s3://"):
            return "A location is written in single quotes: 's3://bucket/prefix'."
        early = self.tokens.first_touch() if opened != "/*" else None
        if early is None:
            return ""
        line, column = self._line_and_column(early.span.end - 1)
        return f"Or the quote in line {line}, column {column} is one too many: a word follows right after it."

    def syntax_error(self, message: str, span: Span, *, hint: str = "") -> StatementSyntaxError:
        """Return a syntax error at a place of this text."""
        return StatementSyntaxError(message, hint=hint, place=self.place(span))

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    @property
    def readable(self) -> bool:
        """As `Lexed.readable`."""
        return self._lexed.readable

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def offset(self, place: Place | None) -> int:
        """Return the offset of a place of this text, or 0 if unknown."""
        return self._line_starts[place.line - 1] + place.column - 1 if place else 0

    def place(self, span: Span) -> Place:
        """Return line and column of a span, with the masked line, or only its beginning if literals are unreliable."""
        line, column = self._line_and_column(span.start)
        excerpt, marker = (self._excerpt if self._lexed.readable else self._masked_beginning)(span, line)
        return Place(line, column, excerpt, marker, self.file)

    def _masked_beginning(self, span: Span, line: int) -> tuple[str, str]:
        """Return a line up to a span; all but keywords may be parts of a secret, and are masked."""
        start, shown = self._line_starts[line - 1], ""
        for token in self._tokens_near(span, start, span.start):
            if token.kind == "space":
                shown += self._masked(token, start, span.start)
            elif token.kind == "mark" or token.text.upper() in VOCABULARY:
                shown += token.text
            else:
                shown = shown.removesuffix("…") + "…"
        at = self.text[span.start : span.end]
        piece = at if at.upper() in VOCABULARY or at in _UNCLOSED or (not at.isascii() and len(at) == 1) else "…"
        return _clipped(shown + visible(piece), " " * len(shown) + "^" * max(len(visible(piece)), 1))

    def _excerpt(self, span: Span, line: int) -> tuple[str, str]:
        start = self._line_starts[line - 1]
        end = self._line_starts[line] - 1 if line < len(self._line_starts) else len(self.text)
        shown, marker, after = "", "", 0
        for token in self._tokens_near(span, start, end):
            piece = self._masked(token, start, end)
            inside = token.span.start < span.end and span.start < token.span.end
            shown += piece
            marker += ("^" if inside else " ") * len(piece)
            after = len(shown) if token.span.end <= span.start else after
        if "^" not in marker:
            marker = " " * after + "^"
        return _clipped(shown.rstrip(), marker.rstrip())

    def _tokens_near(self, span: Span, start: int, end: int) -> Iterator[Token]:
        """Return the tokens of a line, or of a long one those near the span."""
        first, at = self.tokens.ending_after(start), self.tokens.ending_after(span.start)
        near = range(max(first, at - _NEIGHBOURS), at + _NEIGHBOURS)
        nearby = (self.tokens[index] for index in takewhile(self.tokens.has, near))
        return takewhile(lambda token: token.span.start < end, nearby)

    def _masked(self, token: Token, start: int, end: int) -> str:
        if token.kind == "space":
            shown = token.text[max(0, start - token.span.start) : end - token.span.start]
            return " " * len(shown.replace("\n", "").replace("\r", ""))
        return token.text if token.kind in {"mark", "open"} else self.shown(token)

    def shown(self, token: Token) -> str:
        """Return a token for messages, without literals and words that may be secret."""
        if token.kind == "word" and (
            self._is_name(token)
            or (is_plain(token.text) and not self._is_value(token) and not self._is_argument(token))
        ):
            return token.text
        return _MASKS.get(token.kind, token.text)

    def _is_name(self, token: Token) -> bool:
        """Return whether a word is a keyword, or placed like the name of a connection or an option."""
        if token.text.upper() in VOCABULARY or self._is_placed_as_name(token):
            return True
        return len(token.text) >= _SHOWN_WORD and nearest(token.text, VOCABULARY) is not None

    def _is_value(self, token: Token) -> bool:
        """Return whether a word may be part of a secret value: it follows the name of such an option.

        If literals are unreliable, every long word may be.
        """
        if not any(map(str.isalnum, token.text)):
            return False
        if not self.readable:
            return len(token.text) >= _SHOWN_WORD
        at = self.tokens.ending_after(token.span.start)
        before = self.tokens.among(range(at - 1, -1, -1))
        for earlier in islice(before, _LOOKED_BACK):
            if earlier.text == "=" or (earlier.text.upper() == "TO" and self._sets_secret(earlier)):
                return _may_hold_secret(next(before, None), token.text)
            if earlier.text == ";" or earlier.text.upper() in _ENDS_VALUE:
                return False
            if earlier.kind == "word" and (find_option(earlier.text) or SECRET_NAME.search(earlier.text)):
                return _may_hold_secret(earlier, token.text)
        return next(before, None) is not None

    def _is_argument(self, token: Token) -> bool:
        """Return whether a long word stands behind a server in a command, or a place in a call, as unnamed keys do."""
        if len(token.text) < _SHOWN_WORD:
            return False
        before = self.tokens.among(range(self.tokens.ending_after(token.span.start) - 1, -1, -1))
        later, closed = None, 0
        for earlier in islice(before, _LOOKED_BACK):
            closed += (earlier.text == ")") - (earlier.text == "(")
            if earlier.text == ";" or (earlier.kind == "word" and _SERVER.match(earlier.text)):
                return earlier.text != ";"
            if closed < 0:
                return later is not None and later.kind == "string" and "://" in later.text
            later = earlier
        return False

    def _sets_secret(self, to: Token) -> bool:
        """Return whether the word before a TO names a secret, as in others' SET access_key TO value."""
        before = self.token_before(to.span.start)
        return before is not None and SECRET_NAME.search(before.text) is not None

    def _is_placed_as_name(self, token: Token) -> bool:
        before, after = self.token_before(token.span.start), self.token_at(token.span.end)
        if before and before.text.upper() in BEFORE_NAME:
            secret = before.text.upper() == "TO" and self._sets_secret(before)
            return _IDENTIFIER.fullmatch(token.text) is not None and not secret
        unassigned = before is None or (before.text not in {"=", "("} and before.text.upper() not in OPTION_NAMES)
        return unassigned and after is not None and after.text == "=" and _LETTERS.fullmatch(token.text) is not None

    def token_at(self, offset: int) -> Token | None:
        """Return the first token at or after an offset, except space and comments."""
        return next(self.tokens.among(count(self.tokens.ending_after(offset))), None)

    def token_before(self, offset: int) -> Token | None:
        """Return the last token that ends at or before an offset, except space and comments."""
        return next(self.tokens.among(range(self.tokens.ending_after(offset) - 1, -1, -1)), None)

    def with_word(self, token: Token, word: str) -> str:
        """Return the text with a word in a token's place."""
        return self.text[: token.span.start] + word + self.text[token.span.end :]


def is_plain(word: str) -> bool:
    """Return whether a word looks like one that people write, or is too short to matter."""
    if len(word) < _SHOWN_WORD:
        return True
    return len(word) <= _LONGEST_WORD and all(map(_PART.fullmatch, re.split(r"[_.-]", word)))


def _may_hold_secret(owner: Token | None, word: str) -> bool:
    """Return whether a word after an option may be secret: the option is, or it is unknown and the word long."""
    if owner is None or owner.text.upper() in VOCABULARY:
        option = find_option(owner.text) if owner else None
        return option is not None and option.secret
    return len(word) >= _SHOWN_WORD or SECRET_NAME.search(owner.text) is not None


def _blanked(text: str, start: int, end: int) -> str:
    if text.find("\n", start, end) < 0:
        return " " * (end - start)
    return "\n".join(" " * len(line) for line in text[start:end].split("\n"))


def _clipped(shown: str, marker: str) -> tuple[str, str]:
    """Return the part of a long line around the marker, without indentation."""
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


# Statements of any system in a text

MOST = 4_000
"""Most characters considered in another system's statement."""
QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
_PIECE = re.compile(rf"{QUOTED}|\$\$.*?\$\$|--(?=\s|$)[^\n]*|(?<!\S)/\*.*?\*/|(?P<end>;)", re.DOTALL)
COMMENT = re.compile(rf"({QUOTED}|\$\$.*?\$\$)|--(?=\s|$)[^\n]*|(?<!\S)/\*.*?\*/|(?<!\S)#[^\n]*", re.DOTALL)


def pieces(text: str) -> Iterator[Span]:
    """Yield the statements of a text, including foreign ones, without the `;`."""
    start = 0
    for match in _PIECE.finditer(text):
        if match["end"]:
            yield trimmed(text, start, match.start())
            start = match.end()
    yield trimmed(text, start, len(text))


def trimmed(text: str, start: int, end: int) -> Span:
    """Return a span without surrounding white space and comments."""
    while match := re.compile(r"\s+|--(?=\s|$)[^\n]*|/\*.*?\*/", re.DOTALL).match(text, start, end):
        start = match.end()
    return Span(start, max(start, start + len(text[start:end].rstrip())))


def lines_of(text: str, span: Span) -> Iterator[Span]:
    """Yield the lines of a statement, for languages with one statement per line."""
    if "\n" in text[slice(*span)] and len(text) <= MOST:
        for match in re.finditer(r"[^\n]+", text[slice(*span)]):
            if match.group().strip():
                yield trimmed(text, span.start + match.start(), span.start + match.end())


def head_of(text: str, span: Span) -> Span:
    """Return the first word of a statement."""
    match = re.compile(r"[^\s('\"=;,]+").match(text, span.start)
    return Span(span.start, match.end() if match else span.end)


def spaced(text: str) -> str:
    """Return a statement with single spaces and without its `;`, for comparison."""
    return " ".join(text.split()).rstrip("; ")


# Display of another system's statement

# Characters that look like those of the syntax, to the same length; and the prompt of a shell.
AS_MARKS = str.maketrans("\u2018\u2019\u201c\u201d\u00a0\u202f\u2007\u3000\uff1b\uff1d\uff0c", "''\"\"    ;=,")
PROMPT = re.compile(
    r"\A\s*(?:[!$>](?=\s*(?:aws|s5cmd|rclone|mc|ls|cat|head|du|rm|cp)\b)"
    r"|[\w@-]+(?:\s+[(\[]{1,2}[\w.-]+[)\]]{1,2}|:[\w.]+|=[#>])?[>#](?=\s+[A-Za-z]))"
)
BLANK = "…"
"""Placeholder for the user to fill in."""
KEY_ID = re.compile(r"A[A-Z]{2}A[A-Z0-9]{12,17}")
ARN = re.compile(r"arn:aws[a-z-]*:(?:iam|kms|sts)::?[a-z0-9-]*:?\d{12}:[\w+=,.@/-]+")
# Shorter words hold too little of a secret to matter.
_SHORT = 8


def harmless(text: str) -> bool:
    """Return whether no word can be a secret: those mix capitals, small letters and digits."""
    words = re.split(r"[^A-Za-z0-9+]+", text)
    return all(len(word) < _SHORT or is_plain(word) or word in {word.lower(), word.upper()} for word in words)


_SHOWN = re.compile(r"arn:aws[a-z-]*:[a-z]+:[\w:+=,.@/-]*|'(?:[^']|'')*'|[^\s']+")


def masked(statement: str) -> str:
    """Return a statement with possible secrets masked."""
    return _SHOWN.sub(_shown, statement)


def _shown(match: re.Match[str]) -> str:
    piece = match.group()
    inner = piece.strip("'")
    if harmless(inner) or ARN.fullmatch(inner) or KEY_ID.fullmatch(inner):
        return piece
    if piece.startswith("'s3://"):
        return (
            literal(f"s3://{inner[5:].split('/')[0]}/{BLANK}") if harmless(inner.split("/")[2]) else f"'s3://{BLANK}/'"
        )
    return f"'{BLANK}'" if piece.startswith("'") else BLANK
