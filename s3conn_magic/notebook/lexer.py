"""Colours: Pygments' lexer, and the terminal's prompt."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pygments.lexer import Lexer
from pygments.token import Token, _TokenType

from s3conn_magic.language.highlighting import KINDS, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

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
        """Offset, token type and text of every piece."""
        at = 0
        for kind, part in pieces(text):
            yield at, _TOKENS[kind], part
            at += len(part)


_OPTIONS = "_extra_prompt_options"
_MAGIC = "upsql"


def colour_prompt(shell: InteractiveShell) -> None:
    """Lex what is typed after `%%upsql` as our language; nothing where the shell is no terminal's."""
    if not hasattr(shell, _OPTIONS) or _OPTIONS in vars(shell):
        return
    plain = getattr(shell, _OPTIONS)

    # IPython makes a new lexer for every prompt, and has no place to register one.
    def options() -> dict[str, Any]:
        found: dict[str, Any] = plain()
        getattr(found.get("lexer"), "magic_lexers", {})[_MAGIC] = _Lexer
        return found

    setattr(shell, _OPTIONS, options)


def restore_prompt(shell: InteractiveShell) -> None:
    """Undo `colour_prompt`."""
    vars(shell).pop(_OPTIONS, None)


class _Lexer:
    """Loads Pygments and the tables at the first `%%upsql`, not at the first prompt."""

    @staticmethod
    def lex_document(document: Any) -> Any:
        """Gives a function from a line's number to its fragments, as prompt_toolkit wants it."""
        return _loaded().lex_document(document)


@cache
def _loaded() -> Any:
    from prompt_toolkit.lexers import PygmentsLexer

    # Every line is lexed from the first: a literal may have begun there.
    return PygmentsLexer(UpsqlLexer, sync_from_start=True)
