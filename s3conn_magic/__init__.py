"""Amazon S3 connections, listings and a bucket explorer in SQL, as an IPython cell magic.

`%load_ext s3conn_magic` adds `%%upsql`; `execute` runs the same statements from Python.
"""

from __future__ import annotations

from _thread import allocate_lock
from typing import TYPE_CHECKING, Any, cast

from s3conn_magic.runtime import VERSION

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.handoff import Connection
    from s3conn_magic.session import Session

__all__ = [
    "Connection",
    "S3ConnError",
    "Session",
    "connection",
    "execute",
    "load_ipython_extension",
    "unload_ipython_extension",
]
__version__ = VERSION

_HOMES = {"Connection": "handoff", "S3ConnError": "errors", "Session": "session"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the `%%upsql` magic, its completion, help and colours to a kernel, and keep its secrets out of the history.

    Loading it again keeps the session.
    """
    from s3conn_magic.notebook.history import keep_secrets_out
    from s3conn_magic.notebook.magic import UpsqlMagics
    from s3conn_magic.notebook.tab import add_completion, add_inspection, colour_prompt

    keep_secrets_out(shell)
    magics = shell.magics_manager.registry.get(UpsqlMagics.__name__) or UpsqlMagics(
        shell,
        lambda kernel, beside, settings: _new_session(
            lambda: kernel.user_ns, shell=kernel, beside=beside, settings=settings
        ),
    )
    shell.register_magics(magics)
    magics.load_connections()
    add_completion(shell, lambda: magics.session_so_far)
    add_inspection(shell)
    colour_prompt(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo `load_ipython_extension`, except the redaction of the history. The session stays for a later load."""
    from s3conn_magic.notebook.tab import remove_completion, remove_inspection, restore_prompt

    remove_completion(shell)
    remove_inspection(shell)
    restore_prompt(shell)
    for functions in shell.magics_manager.magics.values():
        functions.pop("upsql", None)


def execute(text: str) -> Any:
    """Run statements as `%%upsql` does.

    In a kernel with the extension loaded they run in its session, elsewhere in one session for the process. Any number
    of threads may call it: each gets its own results, and an interrupt ends only the main thread's statement.

    Args:
        text: one or more statements.

    Returns:
        The result of the last statement: a DataFrame, an explorer, a card, a message, or None.

    Raises:
        S3ConnError: a statement failed; those after it did not run. StatementInterrupted if the user stopped it.
    """
    from s3conn_magic.runtime.interrupts import outcome

    last, failure = outcome(_last_result, text)
    if failure is None:
        return last
    del text
    raise failure


def _last_result(text: str) -> Any:
    last = None
    for result in _current_session().run(text):
        last = result
    return last


def connection(name: str) -> Connection:
    """Return a connection of the session: `.client("s3")`, `.storage_options("pandas")`, `.fsspec()`, ….

    Raises:
        ConnectionNotFoundError: no connection has this name.
    """
    from s3conn_magic.runtime.interrupts import interruptible

    return cast("Connection", interruptible(lambda: _current_session().connections.get(name))())  # always this class


def _current_session() -> Session:
    """Return the kernel's session if the extension is loaded, otherwise the one of this process."""
    return _kernel_session() or _process_session()


def _kernel_session() -> Session | None:
    import sys

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    magics = shell.magics_manager.registry.get("UpsqlMagics") if shell else None
    session: Session | None = magics.session if magics else None
    return session


def _process_session() -> Session:
    import __main__

    with _making:
        if "process" not in _sessions:
            _sessions["process"] = _new_session(lambda: vars(__main__))
        return _sessions["process"]


# A script has no magic to hold its session.
_sessions: dict[str, Session] = {}
_making = allocate_lock()


def _new_session(namespace: Any, shell: Any = None, beside: Any = None, settings: Any = None) -> Session:
    """Create a session; this is the only function that knows all layers."""
    from s3conn_magic.connections import registry
    from s3conn_magic.results.cards import NotebookProgress, TerminalProgress
    from s3conn_magic.sandbox import Sandbox
    from s3conn_magic.session import Session
    from s3conn_magic.session.inputs import KernelInputs

    registry.of_process = lambda: _current_session().connections
    # A kernel's front end can update a display in place; a terminal writes over its line.
    in_notebook = getattr(shell, "kernel", None) is not None
    progress: Any = NotebookProgress if in_notebook else TerminalProgress
    beside = beside if in_notebook else None
    return Session(
        KernelInputs(namespace), start_server=Sandbox.start, progress=progress, beside=beside, settings=settings
    )
