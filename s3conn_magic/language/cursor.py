"""A place in a cell: the statement before the cursor, and the word or opened literal that the cursor stands in."""

from __future__ import annotations

import re
import string
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from s3conn_magic.language import grammar
from s3conn_magic.language.expectations import Expected, expected_after
from s3conn_magic.language.source import Source
from s3conn_magic.language.tokens import statement_ends, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3conn_magic.language.source import Token

_WORD_LETTERS = f"{string.ascii_letters}{string.digits}_"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Cursor:
    """Where something is to be written.

    Args:
        text: the statements of a cell.
        at: offset of the cursor in it.

    Attributes:
        fragment: what is written of it: letters, `$` and letters, or a quote and all that follows it.
        quote: the quote that is open, or nothing.
        after: the text behind the cursor.
    """

    def __init__(self, text: str, at: int) -> None:
        first = max(statement_ends(text[:at]), default=0)
        before, self.after = text[first:at], text[at:]
        tokens = [*Source(before).tokens]
        opened = next((token for token in tokens if token.kind == "open"), None)
        self.quote = opened.text if opened else ""
        begun = opened.span.start if opened else len(before) - len(_last_word(before))
        self.fragment = before[begun:]
        last = tokens[-1] if tokens and not opened else None
        self.in_comment = self.quote == "/*" or bool(last and last.text.startswith("--"))
        self._tokens = _pieces(tokens, begun)

    @cached_property
    def code(self) -> str:
        """The statement up to the fragment, with comments as blanks."""
        return "".join(" " * len(text) if kind == "comment" else text for kind, text in self._tokens)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The statement's words before the fragment, in upper case."""
        return tuple(text.upper() for kind, text in self._tokens if kind == "word")

    @cached_property
    def expected(self) -> Expected:
        """What the grammar allows here."""
        return expected_after(grammar.statement, self.code)

    def read(self, kind: str) -> list[str]:
        """What stands in the statement where the grammar has that mark, in order."""
        return [self.code[start:end].strip() for start, end in sorted(self.expected.read.get(kind, ()))]

    @cached_property
    def connection(self) -> str | None:
        """The connection that the statement names, also if it does so behind the cursor."""
        named = self.read("connection")
        return unquoted(named[-1]) if named else _named_in(self._rest)

    @property
    def _rest(self) -> str:
        """What follows behind the literal that is being written, if that ends in this line."""
        line, _, _ = self.after.partition("\n")
        rest = self.after[line.index(self.quote) + 1 :] if self.quote and self.quote in line else self.after
        return rest[: next(statement_ends(rest), None)]


def _last_word(text: str) -> str:
    before = text.rstrip(_WORD_LETTERS).removesuffix("$")
    return text[len(before) :]


def _pieces(tokens: Iterable[Token], until: int) -> list[tuple[str, str]]:
    """Kinds and texts of the tokens before an offset, which may lie inside the last of them."""
    return [(token.kind, token.text[: until - token.span.start]) for token in tokens if token.span.start < until]


def _named_in(rest: str) -> str | None:
    solid = [token for token in Source(rest).tokens if token.kind not in {"space", "comment"}]
    for token, following in pairwise(solid):
        if token.text.upper() == "USING" and following.kind in {"word", "quoted"}:
            return unquoted(following.text)
    return None


def quoted(name: str) -> str:
    """A name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def written(name: str) -> str:
    """A name as it is written outside quotes, which some names need."""
    return name if _IDENTIFIER.fullmatch(name) and name.upper() not in grammar.RESERVED else quoted(name)
