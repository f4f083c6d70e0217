"""Pygments' lexer, which the terminal's prompt uses, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pygments.lexer import Lexer
from pygments.token import Token, _TokenType

from s3conn_magic.language.highlighting import KINDS, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKENS = dict(
    zip(
        KINDS,
        (
            Token.Text.Whitespace,
            Token.Keyword.Pseudo,
            Token.Name.Variable,
            Token.Keyword,
            Token.Name.Attribute,
            Token.Keyword.Constant,
            Token.Name.Builtin,
            Token.Name,
            Token.Literal.String.Symbol,
            Token.Literal.String.Single,
            Token.Name.Variable.Global,
            Token.Literal.Number,
            Token.Operator,
            Token.Punctuation,
            Token.Comment,
        ),
        strict=True,
    )
)


class UpsqlLexer(Lexer):
    """Tokens of the kinds that Pygments' styles colour; `pieces` says what is what."""

    name = "Upsolver SQL for S3 connections"
    aliases: ClassVar = ["upsql"]
    filenames: ClassVar = ["*.usql"]
    mimetypes: ClassVar = ["text/x-upsql"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Yield offset, token type and text of every piece."""
        at = 0
        for kind, part in pieces(text):
            yield at, _TOKENS[kind], part
            at += len(part)
