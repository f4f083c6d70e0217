"""`%%upsql` cells in colour at the prompt of a terminal's IPython."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

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

    from s3conn_magic.notebook.lexer import UpsqlLexer

    # Every line is lexed from the first: a literal may have begun there.
    return PygmentsLexer(UpsqlLexer, sync_from_start=True)
