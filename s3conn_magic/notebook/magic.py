"""The magics `%%upsql` and `%upsql`, and their settings in `%config`.

A trait stores no value; it reads and changes the settings that SET changes.
"""

from __future__ import annotations

import re
import sys
import threading
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import TraitError, TraitType
from traitlets.config import Configurable

from s3conn_magic.errors import (
    IncompleteListingError,
    ListingInterrupted,
    S3ConnError,
    StatementSyntaxError,
)
from s3conn_magic.language.session_settings import SETTING_NAMES, SETTINGS, Setting, SettingValues, find_setting
from s3conn_magic.runtime.interrupts import outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import HasTraits
    from traitlets.config import Config

    from s3conn_magic.language.source import Source
    from s3conn_magic.session import Session

    Beside = Callable[[Callable[[], Any]], None]

_SECTION = "UpsqlMagic"


class SettingTrait(TraitType[Any, Any]):
    """One setting of the session."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting.default, help=f"{setting.help} Takes {setting.takes}.", config=True)
        self.info_text = setting.takes
        self._setting = setting

    def get(self, obj: HasTraits, cls: type[Any] | None = None) -> Any:
        """Return the setting's value."""
        del cls
        return _values_of(obj)[self._setting.name]

    def set(self, obj: HasTraits, value: Any) -> None:
        """Read and store a value.

        Raises:
            TraitError: the setting does not take it.
        """
        values, name = _values_of(obj), self._setting.name
        before, after = values[name], self.read(value)
        values.change(name, after)
        if before != after:
            obj._notify_trait(str(self.name), before, after)  # noqa: SLF001 - as traitlets' own traits do

    def read(self, value: Any) -> Any:
        """Return a value as it is stored; texts of numbers and booleans, as on a command line, are converted."""
        try:
            return self._setting.read(_BOOLEANS.get(value, value) if isinstance(value, str) else value)
        except ValueError as error:
            reason = str(error)
        raise TraitError(f"{_SECTION}.{self._setting.name.lower()} takes {self._setting.takes}: {reason}")


_BOOLEANS: dict[str, Any] = {"True": True, "False": False, "TRUE": True, "FALSE": False}


def _values_of(obj: HasTraits) -> SettingValues:
    values: SettingValues = obj._values  # type: ignore[attr-defined] # noqa: SLF001 - of the class below
    return values


class _Configured(Configurable):
    """The settings of the `%%upsql` session, which SET changes too."""

    def __init__(self, values: SettingValues) -> None:
        self._values = values
        super().__init__()

    def update_config(self, config: Config) -> None:
        """Apply `%config` or a configuration file, completely or not at all.

        Raises:
            TraitError: a name is unknown, or a setting does not take its value.
        """
        changes = config.get(_SECTION, {})
        for trait, value in [(self._known(name), value) for name, value in changes.items()]:
            trait.read(value)
        for name, value in changes.items():
            setattr(self, name, value)

    def _known(self, name: str) -> SettingTrait:
        if isinstance(trait := self.traits().get(name), SettingTrait):
            return trait
        from s3conn_magic.language.words import listed, nearest

        names = [setting.lower() for setting in SETTING_NAMES]
        exact = find_setting(name)
        near = exact.name.lower() if exact else nearest(name, names)
        hint = f"Did you mean {_SECTION}.{near}?" if near else f"There are {listed(names, 'and')}."
        raise TraitError(f"unknown setting {_SECTION}.{name}. {hint}")


_TRAITS = {setting.name.lower(): SettingTrait(setting) for setting in SETTINGS}
UpsqlMagic: type[_Configured] = type(_SECTION, (_Configured,), {"__doc__": _Configured.__doc__, **_TRAITS})
"""The object that `%config` shows and changes, with a trait for each setting."""


def configured(shell: InteractiveShell) -> SettingValues:
    """Return the settings of a new session, and let `%config UpsqlMagic` change them.

    Those in IPython's configuration files are applied one by one; invalid ones are reported and skipped.
    """
    values = SettingValues()
    traits = UpsqlMagic(values)
    # Typed as shells, but it holds everything configurable.
    entries: list[Any] = shell.configurables
    entries[:] = [configurable for configurable in entries if type(configurable).__name__ != _SECTION] + [traits]
    for name, value in shell.config.get(_SECTION, {}).items():
        try:
            traits.update_config(type(shell.config)({_SECTION: {name: value}}))
        except TraitError as error:
            sys.stderr.write(f"{error}\n")
    return values


_INTO = r"\s*([A-Za-z_]\w*)\s*<<(.*)"
_MAGIC = "%%upsql"


def _overview() -> str:
    from s3conn_magic.language.help import overview

    return overview()


class _Showing(threading.local):
    """Whether to show results of the current thread's statements; not for threads that call `execute`."""

    shown = False


@magics_class
class UpsqlMagics(Magics):
    """The magics, with the kernel's session.

    Args:
        shell: the kernel's shell.
        make_session: creates the session from the shell, a function that shows charts, and the settings.
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
        self._thread = _Showing()

    @property
    def session(self) -> Session:
        """The kernel's session, created at first use."""
        with self._making:
            if self._session is None:
                self._session = self._make_session(self._kernel, self._show_beside, self._settings)
            return self._session

    @property
    def session_so_far(self) -> Session | None:
        """The kernel's session, or None before its first use."""
        return self._session

    def load_connections(self) -> None:
        """Create the connections of the files named in the settings; errors are only reported.

        The project's file comes first, so that its connections win over the user's with the same names.
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
        if (refused := _unknown_flag(line)) is not None:
            del line, cell, text
            raise refused
        results, failure = self._run(text, shown=into is None)
        if failure is not None:
            # The frame is kept with the error, and debuggers show its variables.
            del line, cell, text
            raise failure
        if into is None:
            return results
        self._namespace[into] = results
        return None

    # `%upsql?` asks for this before the docstring.
    upsql.getdoc = _overview  # type: ignore[union-attr]

    def _run(self, text: str, *, shown: bool) -> tuple[Any, S3ConnError | None]:
        """Run statements; display all results but the last. Return the last or the error; all errors pass here."""
        self._thread.shown = shown
        try:
            return outcome(self._show_all_but_last, text, shown, kept=self._keep_rows)
        finally:
            self._thread.shown = False

    def _keep_rows(self, failure: S3ConnError) -> None:
        """Keep the rows that had arrived in `_`, labelled as partial."""
        if isinstance(failure, ListingInterrupted | IncompleteListingError):
            self._namespace["_"] = failure.rows_so_far
            failure.hint = f"The rows so far are in _, labelled as partial. {failure.hint}".rstrip()

    def _show_beside(self, make: Callable[[], Any]) -> None:
        """Display what `make` creates, but only while a cell's statement runs whose results are shown."""
        if self._thread.shown:
            _display(make())

    def _show_all_but_last(self, text: str, shown: bool) -> Any:
        steps = self.session.steps(_script(text) or text)
        for step in steps[:-1]:
            result = step()
            if shown:
                _display(result)
        return steps[-1]() if steps else None


# A flag on the first line, without the blank of a comment; `--file` is our only one.
_FLAG = re.compile(r"\s*(?:\w+\s*<<\s*)?--?(?!file\b)([A-Za-z][\w-]*)")


def _unknown_flag(line: str) -> S3ConnError | None:
    """Return the error for an unknown flag, which would otherwise be a comment."""
    match = _FLAG.match(line)
    if match is None or not match[1].strip("-"):
        return None
    from s3conn_magic.language.words import nearest

    near = nearest(match[1], ["file"])
    hint = (
        "Did you mean --file?"
        if near
        else "%%upsql name << puts the last result into a variable; a comment is `-- text`."
    )
    return StatementSyntaxError(f"there is no flag --{match[1]}", hint=hint)


def _script(text: str) -> Source | None:
    """Return the file of `--file path`, or None."""
    from s3conn_magic.notebook.candidates import file_given

    file = file_given(text)
    if file is None:
        return None
    from s3conn_magic.session.inputs import read_script

    return read_script(file.path)


def _display(result: Any) -> None:
    from IPython.display import display

    display(result)  # type: ignore[no-untyped-call] # IPython leaves it untyped


def _destination(line: str, cell: str | None) -> tuple[str | None, str]:
    """Return the variable in `name <<` and the text, padded so that positions match the cell."""
    match = re.fullmatch(_INTO, line, re.DOTALL)
    into, rest = (match[1], match[2]) if match else (None, line)
    if cell is None:
        return into, rest
    if not rest.strip():
        return into, f"\n{cell}"
    return into, " " * (len(_MAGIC) + 1 + len(line) - len(rest)) + f"{rest}\n{cell}"
