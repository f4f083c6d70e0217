"""The `%%upsql` magic: parse → bind → execute → render, and the one error boundary."""

from __future__ import annotations

import re
import sys
import threading
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from s3conn_magic.errors import (
    IncompleteListingError,
    ListingInterrupted,
    S3ConnError,
    without_frames,
)
from s3conn_magic.interrupts import Deferring
from s3conn_magic.notebook.config import configured
from s3conn_magic.notebook.files import file_given

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from s3conn_magic.language.settings import SettingValues
    from s3conn_magic.language.source import Source
    from s3conn_magic.session import Session

    Beside = Callable[[Callable[[], Any]], None]

_INTO = re.compile(r"\s*([A-Za-z_]\w*)\s*<<(.*)", re.DOTALL)
_MAGIC = "%%upsql"


def _overview() -> str:
    from s3conn_magic.language.help import overview

    return overview()


class _Showing(threading.local):
    """Whether results are shown of the statements that a thread runs: those that `execute` runs in others are not."""

    shown = False


@magics_class
class UpsqlMagics(Magics):
    """Holds the session of a kernel.

    Args:
        shell: the kernel's.
        make_session: makes the session from it, from what shows a chart beside a result, and from the settings.
    """

    def __init__(
        self, shell: InteractiveShell, make_session: Callable[[InteractiveShell, Beside, SettingValues], Session]
    ) -> None:
        super().__init__(shell)
        self._kernel = shell
        self._make_session = make_session
        self._session: Session | None = None
        self._settings = configured(shell)
        self._making = threading.RLock()
        self._own = _Showing()

    @property
    def session(self) -> Session:
        """The kernel's session, made at first use."""
        with self._making:
            if self._session is None:
                self._session = self._make_session(self._kernel, self._show_beside, self._settings)
            return self._session

    @property
    def session_so_far(self) -> Session | None:
        """The kernel's session, if it was used already."""
        return self._session

    def load_connections(self) -> None:
        """Make the connections of the files that the settings ask for; what is wrong with one is told, and no more.

        A project's come first, so that they win over the user's of the same name.
        """
        for name in ("LOAD_PROJECT_CONNECTIONS", "LOAD_USER_CONNECTIONS"):
            if self._settings[name]:
                try:
                    self.session.settings.change(name, value=True)
                except S3ConnError as error:
                    sys.stderr.write(f"{error.block()}\n")

    @property
    def _namespace(self) -> dict[str, Any]:
        names: dict[str, Any] = self._kernel.user_ns
        return names

    @no_var_expand
    @line_cell_magic
    def upsql(self, line: str, cell: str | None = None) -> Any:
        """Run statements for Amazon S3 connections: HELP; lists them.

        `%%upsql` runs the statements of a cell, `%upsql STATEMENT` those of a line; `%%upsql name <<` puts the last
        result into the variable `name` and shows nothing. `%upsql --file setup.usql` runs those of a file.
        """
        into, text = _destination(line, cell)
        results, failure = self._run(text, shown=into is None)
        if failure is not None:
            # The frame is kept with the error, and debuggers show its variables.
            del line, cell, text
            raise failure
        if into is None:
            return results
        self._namespace[into] = results
        return None

    # What `%upsql?` shows: IPython asks an object for this before it looks at its docstring.
    upsql.getdoc = _overview  # type: ignore[union-attr]

    def _run(self, text: str, *, shown: bool) -> tuple[Any, S3ConnError | None]:
        """The last result, or what went wrong; results before it are displayed. Every error leaves by here."""
        self._own.shown = shown
        try:
            with Deferring():
                return self._show_all_but_last(text, shown=shown), None
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - what it says may hold a secret
            failure = without_frames(error)
        finally:
            self._own.shown = False
        self._keep_rows(failure)
        return None, failure

    def _keep_rows(self, failure: S3ConnError) -> None:
        """Rows that had arrived are not lost: they are in `_`, labelled as partial."""
        if isinstance(failure, ListingInterrupted | IncompleteListingError):
            self._namespace["_"] = failure.rows_so_far
            failure.hint = f"The rows so far are in _, labelled as partial. {failure.hint}".rstrip()

    def _show_beside(self, make: Callable[[], Any]) -> None:
        """Display what `make` makes while a statement of a cell runs whose results are shown."""
        if self._own.shown:
            _display(make())

    def _show_all_but_last(self, text: str, *, shown: bool) -> Any:
        steps = self.session.steps(_script(text) or text)
        for step in steps[:-1]:
            result = step()
            if shown:
                _display(result)
        return steps[-1]() if steps else None


def _script(text: str) -> Source | None:
    """The file of `--file path`."""
    given = file_given(text)
    if given is None:
        return None
    from s3conn_magic.scripts import read_script

    return read_script(given.path)


def _display(result: Any) -> None:
    from IPython.display import display

    display(result)  # type: ignore[no-untyped-call] # IPython leaves it untyped


def _destination(line: str, cell: str | None) -> tuple[str | None, str]:
    """The variable of `name <<`, and the text, padded so that places are those of the cell."""
    found = _INTO.fullmatch(line)
    into, rest = (found[1], found[2]) if found else (None, line)
    if cell is None:
        return into, rest
    if not rest.strip():
        return into, f"\n{cell}"
    return into, " " * (len(_MAGIC) + 1 + len(line) - len(rest)) + f"{rest}\n{cell}"
