"""Shift-Tab in a cell of statements: the entry of the reference for what the cursor stands in.

A kernel hands its cell to nothing that could be registered for this, so its `do_inspect` is asked through ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3conn_magic.interrupts import interruptible
from s3conn_magic.notebook.typed import statements_at

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_PLAIN = "s3conn_magic_plain"
_NAME = "do_inspect"


def add_inspection(shell: InteractiveShell) -> None:
    """Answer a kernel's inspection requests in cells of statements; all others go where they went before."""
    kernel: Any = getattr(shell, "kernel", None)
    if not hasattr(kernel, _NAME):
        return
    remove_inspection(shell)
    plain = kernel.do_inspect

    def do_inspect(code: str, cursor_pos: int, *args: Any, **options: Any) -> Any:
        text = statements_at(code, cursor_pos)
        return plain(code, cursor_pos, *args, **options) if text is None else _answer(text, cursor_pos)

    setattr(do_inspect, _PLAIN, plain)
    setattr(kernel, _NAME, do_inspect)


def remove_inspection(shell: InteractiveShell) -> None:
    """Let the kernel answer all of them, unless somebody else has put an answer before ours."""
    kernel: Any = getattr(shell, "kernel", None)
    plain = getattr(getattr(kernel, _NAME, None), _PLAIN, None)
    if plain is None:
        return
    delattr(kernel, _NAME)
    if kernel.do_inspect != plain:
        setattr(kernel, _NAME, plain)


@interruptible
def _answer(text: str, at: int) -> dict[str, Any]:
    from s3conn_magic.language.help import help_at

    return {"status": "ok", "found": True, "data": {"text/plain": help_at(text, at)}, "metadata": {}}
