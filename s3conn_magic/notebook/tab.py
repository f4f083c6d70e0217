"""Editing a cell: completion (Tab), inspection (Shift-Tab), and colours in the terminal."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from s3conn_magic.runtime.interrupts import Deferring, interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from s3conn_magic.notebook.candidates import KernelSurroundings
    from s3conn_magic.session import Session

# Possessive, so that lines of blanks take no longer than lines of words.
_INTO = r"(?:[ \t]*+[A-Za-z_]\w*+[ \t]*+<<)?"
_CELL = rf"\s*+%%upsql(?!\w){_INTO}"
_LINE = rf"[ \t]*+(?:[^%'\"#\n]*=[ \t]*+)?%upsql(?!\w){_INTO}"


def statements_at(cell: str, cursor: int) -> str | None:
    """Return the cell with everything but its statements blanked out (offsets stay), or None if it has no statements.

    Args:
        cell: its text, as typed.
        cursor: offset in it.
    """
    start, end = 0, len(cell)
    match = re.match(_CELL, cell)
    if match is None:
        start = cell.rfind("\n", 0, cursor) + 1
        end = min(at for at in (cell.find("\n", cursor), len(cell)) if at >= 0)
        match = re.compile(_LINE).match(cell, start, end)
    if match is None or cursor < match.end() or cell[:cursor].endswith("%upsql"):
        return None
    return _blank(cell[: match.end()]) + cell[match.end() : end] + _blank(cell[end:])


def _blank(text: str) -> str:
    return "\n".join(" " * len(line) for line in text.split("\n"))


_ORIGINAL = "s3conn_magic_plain"
_METHOD = "do_inspect"


def add_inspection(shell: InteractiveShell) -> None:
    """Answer a kernel's inspection requests in cells of statements, and pass all others on."""
    kernel: Any = getattr(shell, "kernel", None)
    if not hasattr(kernel, _METHOD):
        return
    remove_inspection(shell)
    original = kernel.do_inspect

    def do_inspect(code: str, cursor_pos: int, *args: Any, **options: Any) -> Any:
        text = statements_at(code, cursor_pos)
        return original(code, cursor_pos, *args, **options) if text is None else _inspect_reply(text, cursor_pos)

    setattr(do_inspect, _ORIGINAL, original)
    setattr(kernel, _METHOD, do_inspect)


def remove_inspection(shell: InteractiveShell) -> None:
    """Undo `add_inspection`, unless somebody else has replaced the method since."""
    kernel: Any = getattr(shell, "kernel", None)
    original = getattr(getattr(kernel, _METHOD, None), _ORIGINAL, None)
    if original is None:
        return
    delattr(kernel, _METHOD)
    if kernel.do_inspect != original:
        setattr(kernel, _METHOD, original)


@interruptible
def _inspect_reply(text: str, at: int) -> dict[str, Any]:
    from s3conn_magic.language.help import help_at

    return {"status": "ok", "found": True, "data": {"text/plain": help_at(text, at)}, "metadata": {}}


MATCHER = "s3conn_magic.upsql_matcher"
"""The matcher's identifier, for `%config IPCompleter.disable_matchers`."""
# Ahead of IPython's own matchers, so that none of them runs in vain.
_PRIORITY = 10_000


class _NoCompletions:
    """No completions, not even from other matchers: an empty result cannot suppress those."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[SimpleCompletion]:
        return iter(())


def add_completion(shell: InteractiveShell, session: Callable[[], Session | None]) -> None:
    """Add the matcher to the shell's completer, replacing that of an earlier load.

    Args:
        shell: the kernel's shell.
        session: returns its session, or None if there is none yet.
    """
    remove_completion(shell)

    @cache
    def around() -> KernelSurroundings:
        from s3conn_magic.notebook.candidates import KernelSurroundings

        return KernelSurroundings(shell, session)

    @context_matcher(identifier=MATCHER, priority=_PRIORITY)  # type: ignore[untyped-decorator] # IPython's
    def upsql_matcher(context: CompletionContext) -> SimpleMatcherResult:
        # IPython would print an exception into the notebook.
        try:
            with Deferring():
                return _completions(context, around)
        except (Exception, KeyboardInterrupt):  # noqa: BLE001
            return SimpleMatcherResult(completions=[])

    shell.Completer.custom_matchers.append(upsql_matcher)


def remove_completion(shell: InteractiveShell) -> None:
    """Remove the matcher; those of others stay."""
    matchers: list[Any] = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "matcher_identifier", None) != MATCHER]


def _completions(context: CompletionContext, around: Callable[[], KernelSurroundings]) -> SimpleMatcherResult:
    at = _offset(context)
    text = statements_at(context.full_text, at)
    if text is None:
        return SimpleMatcherResult(completions=[])
    from s3conn_magic.notebook.candidates import offered

    start, items = offered(text, at, around())
    completions: Any = [SimpleCompletion(text, type=kind) for text, kind in items] or _NoCompletions()
    return SimpleMatcherResult(
        completions=completions, matched_fragment=context.full_text[start:at], suppress=True, ordered=True
    )


def _offset(context: CompletionContext) -> int:
    """Return the cursor's offset in the cell, from its line and column."""
    lines = context.full_text.split("\n")
    return sum(len(line) + 1 for line in lines[: context.cursor_line]) + context.cursor_position


_PROMPT_OPTIONS = "_extra_prompt_options"
_MAGIC = "upsql"


def colour_prompt(shell: InteractiveShell) -> None:
    """Colour what is typed after `%%upsql`; does nothing unless the shell is a terminal's."""
    if not hasattr(shell, _PROMPT_OPTIONS) or _PROMPT_OPTIONS in vars(shell):
        return
    original = getattr(shell, _PROMPT_OPTIONS)

    # IPython makes a new lexer for every prompt, and has no way to register one.
    def options() -> dict[str, Any]:
        prompt_options: dict[str, Any] = original()
        getattr(prompt_options.get("lexer"), "magic_lexers", {})[_MAGIC] = _Lexer
        return prompt_options

    setattr(shell, _PROMPT_OPTIONS, options)


def restore_prompt(shell: InteractiveShell) -> None:
    """Undo `colour_prompt`."""
    vars(shell).pop(_PROMPT_OPTIONS, None)


class _Lexer:
    """Loads Pygments and the tables at the first `%%upsql`, not at the first prompt."""

    @staticmethod
    def lex_document(document: Any) -> Any:
        """Return a function from line number to fragments, for prompt_toolkit."""
        return _pygments_lexer().lex_document(document)


@cache
def _pygments_lexer() -> Any:
    from prompt_toolkit.lexers import PygmentsLexer

    from s3conn_magic.notebook.lexer import UpsqlLexer

    # Lex every line from the top: a literal may have begun there.
    return PygmentsLexer(UpsqlLexer, sync_from_start=True)
