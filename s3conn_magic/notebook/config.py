"""The session's settings as traits: `%config UpsqlMagic`, and `c.UpsqlMagic` of IPython's configuration files.

A trait keeps no value. It reads and changes the same table that `SET` does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from traitlets import TraitError, TraitType
from traitlets.config import Configurable

from s3conn_magic.language.settings import SETTING_NAMES, SETTINGS, Setting, SettingValues, find_setting
from s3conn_magic.language.words import listed, nearest

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import HasTraits
    from traitlets.config import Config

_SECTION = "UpsqlMagic"


class SettingTrait(TraitType[Any, Any]):
    """One setting of the session."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting.default, help=f"{setting.help} Takes {setting.takes}.", config=True)
        self.info_text = setting.takes
        self._setting = setting

    def get(self, obj: HasTraits, cls: type[Any] | None = None) -> Any:
        """The value now."""
        del cls
        return _values_of(obj)[self._setting.name]

    def set(self, obj: HasTraits, value: Any) -> None:
        """Read a value and keep it.

        Raises:
            TraitError: it is none that the setting takes.
        """
        values, name = _values_of(obj), self._setting.name
        before, after = values[name], self.read(value)
        values.change(name, after)
        if before != after:
            obj._notify_trait(str(self.name), before, after)  # noqa: SLF001 - as traitlets' own traits do

    def read(self, value: Any) -> Any:
        """A value as it is kept; a text that is a number or a boolean, as of a command line, is that."""
        try:
            return self._setting.read(_WORDS.get(value, value) if isinstance(value, str) else value)
        except ValueError as error:
            reason = str(error)
        raise TraitError(f"{_SECTION}.{self._setting.name.lower()} takes {self._setting.takes}: {reason}")


_WORDS: dict[str, Any] = {"True": True, "False": False, "TRUE": True, "FALSE": False}


def _values_of(obj: HasTraits) -> SettingValues:
    values: SettingValues = obj._values  # type: ignore[attr-defined] # noqa: SLF001 - of the class below
    return values


class _Configured(Configurable):
    """The settings of the `%%upsql` session, which SET changes too."""

    def __init__(self, values: SettingValues) -> None:
        self._values = values
        super().__init__()

    def update_config(self, config: Config) -> None:
        """Change what `%config` or a configuration file gives: all of it, or nothing.

        Raises:
            TraitError: a name is unknown, or a value is none that its setting takes.
        """
        given = config.get(_SECTION, {})
        for trait, value in [(self._known(name), value) for name, value in given.items()]:
            trait.read(value)
        for name, value in given.items():
            setattr(self, name, value)

    def _known(self, name: str) -> SettingTrait:
        if isinstance(found := self.traits().get(name), SettingTrait):
            return found
        names = [one.lower() for one in SETTING_NAMES]
        exact = find_setting(name)
        near = exact.name.lower() if exact else nearest(name, names)
        hint = f"Did you mean {_SECTION}.{near}?" if near else f"There are {listed(names, 'and')}."
        raise TraitError(f"unknown setting {_SECTION}.{name}. {hint}")


_TRAITS = {one.name.lower(): SettingTrait(one) for one in SETTINGS}
UpsqlMagic: type[_Configured] = type(_SECTION, (_Configured,), {"__doc__": _Configured.__doc__, **_TRAITS})
"""What `%config` shows and changes; a trait for each setting, by its name in lower case."""


def configured(shell: InteractiveShell) -> SettingValues:
    """The settings of a new session, which `%config UpsqlMagic` changes from here on.

    What IPython's configuration files say of them is read one by one; what is wrong there is told and left out.
    """
    values = SettingValues()
    made = UpsqlMagic(values)
    # IPython says that the list holds shells; it holds all that is configurable.
    there: list[Any] = shell.configurables
    there[:] = [one for one in there if type(one).__name__ != _SECTION] + [made]
    for name, value in shell.config.get(_SECTION, {}).items():
        try:
            made.update_config(type(shell.config)({_SECTION: {name: value}}))
        except TraitError as error:
            sys.stderr.write(f"{error}\n")
    return values
