"""Option settings of a statement → values that have been read, with every pair and conflict checked."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Protocol

from s3conn_magic.errors import BindError
from s3conn_magic.language import statements as tree
from s3conn_magic.language.options import OPTION_NAMES, Option, find_option
from s3conn_magic.language.plans import BoundOptions, BoundValue
from s3conn_magic.language.spelling import listed, nearest
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from s3conn_magic.errors import Place
    from s3conn_magic.language.source import Source, Span


class Inputs(Protocol):
    """Where values that are not in the text come from. Each raises LookupError, saying why, when it has none."""

    def variable(self, name: str) -> Any:
        """The value of a Python variable of the notebook."""

    def prompt(self, text: str) -> str:
        """What the user types, without an echo."""

    def keyring(self, service: str, user: str) -> str:
        """A password of the operating system's keyring."""


_ENVIRONMENT_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class _Pending:
    """Stands for a value that the user has not been asked for yet."""


class Binding:
    """Reads the values of one cell.

    A cell is bound twice when it has prompts: first without asking, so that nobody types a secret for a cell with
    an error in it, then asking. Values are fetched once.
    """

    def __init__(self, source: Source, inputs: Inputs) -> None:
        self._source = source
        self._inputs = inputs
        self._fetched: dict[Span, Any] = {}
        self.asking = False
        self.prompts = 0

    def place(self, span: Span) -> Place:
        """Where a span is in the cell."""
        return self._source.place(span)

    def beginning(self, statement: tree.Statement) -> Place:
        """Where a statement begins: its first word."""
        start = statement.span.start
        token = self._source.token_at(start)
        return self._source.place(token.span if token else statement.span)

    def error(self, message: str, span: Span, *, hint: str = "") -> BindError:
        """A bind error at a place of the cell."""
        return BindError(message, hint=hint, place=self._source.place(span))

    def options(self, settings: Iterable[tree.OptionSetting]) -> dict[str, BoundValue]:
        """The settings by canonical name.

        Raises:
            BindError: an unknown option, one given twice, or a value of the wrong type or form.
        """
        found: dict[str, tree.OptionSetting] = {}
        for setting in settings:
            option = self.option(setting.name)
            if option.name in found:
                raise self._twice(option, found[option.name], setting)
            found[option.name] = setting
        return {name: self._read(self.option(setting.name), setting.value) for name, setting in found.items()}

    def option(self, name: tree.Name) -> Option:
        """The option of that name."""
        if option := find_option(name.text):
            return option
        near = nearest(name.text, OPTION_NAMES)
        hint = f"Did you mean {near}?" if near else "HELP CREATE S3 CONNECTION lists the options."
        raise self.error(f"unknown option {self._shown(name)}".rstrip(), name.span, hint=hint)

    def _shown(self, name: tree.Name) -> str:
        token = self._source.token_at(name.span.start)
        return self._source.shown(token).strip("…") if token else ""

    def _twice(self, option: Option, first: tree.OptionSetting, second: tree.OptionSetting) -> BindError:
        place = self._source.place(first.span)
        spelling = "" if first.name.folded == second.name.folded else f", as {first.name.text.upper()}"
        message = f"{second.name.text.upper()} is given twice: first in line {place.line}{spelling}"
        return self.error(message, second.span, hint=f"Keep one {option.name}.")

    def _read(self, option: Option, value: tree.Value) -> BoundValue:
        if isinstance(value, tree.ListLiteral) and option.name != "PATH_DISPLAY_FILTERS":
            raise self.error(f"{option.name} takes {option.takes}, not a list", value.span)
        if isinstance(value, tree.PromptSource) and not self.asking:
            self.prompts += 1
            return BoundValue(_Pending(), source_text(value))
        raw, origin = self._raw(value)
        # The error is made after the except block, so that no context of it holds the value.
        try:
            return BoundValue(option.read(raw), origin)
        except ValueError as error:
            reason = str(error)
        raise self.error(f"{option.name} takes {option.takes}: {reason}", value.span)

    def _raw(self, value: tree.Value) -> tuple[Any, str]:
        """The plain value and its source."""
        if isinstance(value, tree.ListLiteral):
            return tuple(self._raw(item)[0] for item in value.items), "statement"
        if isinstance(value, tree.StringLiteral):
            return value.value.reveal(), "statement"
        if isinstance(value, tree.BooleanLiteral | tree.IntegerLiteral):
            return value.value, "statement"
        found = self._look_up(value)
        return found.reveal() if isinstance(found, Secret) else found, source_text(value)

    def _look_up(self, value: tree.Origin) -> Any:
        try:
            if value.span not in self._fetched:
                self._fetched[value.span] = self._fetch(value)
            return self._fetched[value.span]
        except LookupError as error:
            reason = str(error.args[0]) if error.args else "it has no value"
        raise self.error(reason, value.span)

    def _fetch(self, value: tree.Origin) -> Any:
        if isinstance(value, tree.VariableSource):
            return self._inputs.variable(value.name)
        if isinstance(value, tree.KeyringSource):
            return self._inputs.keyring(value.service, value.user)
        if isinstance(value, tree.PromptSource):
            return self._inputs.prompt(value.text)
        if value.name in os.environ:
            return os.environ[value.name]
        # What is not written like a variable's name may be the secret itself.
        name = f" {value.name}" if _ENVIRONMENT_NAME.fullmatch(value.name) else ""
        raise LookupError(f"the environment variable{name} is not set in the kernel")

    def text(self, value: tree.LocationValue) -> str:
        """A literal, or the text of a Python variable."""
        raw, _ = self._raw(value)
        if not isinstance(raw, str):
            raise self.error(f"the variable holds {type(raw).__name__}, but text was expected", value.span)
        return raw

    def check(self, options: BoundOptions, where: Mapping[str, Span], otherwise: Span) -> None:
        """Refuse options that lack a partner or do not go together.

        Args:
            options: all that the connection would have.
            where: spans of those that this statement gives.
            otherwise: the place to name for the others.
        """
        given = {name for name, bound in options.items() if bound.value is not False}
        for name in options:
            if name not in given:
                continue
            option = find_option(name)
            span = where.get(name, otherwise)
            if option and (missing := [one for one in option.requires if one not in given]):
                raise self.error(f"{name} needs {listed(missing, 'and')} too", span)
            if option and (clash := [one for one in option.excludes if one in given]):
                place = where.get(name) or where.get(clash[0]) or otherwise
                raise self.error(f"{name} does not go with {clash[0]}", place, hint="Give one of the two.")


def source_text(value: tree.Origin) -> str:
    """A secret source as it is written."""
    if isinstance(value, tree.VariableSource):
        return f"${value.name}"
    if isinstance(value, tree.EnvSource):
        return f"ENV {quoted(value.name)}"
    if isinstance(value, tree.KeyringSource):
        return f"KEYRING {quoted(value.service)} {quoted(value.user)}"
    return f"PROMPT {quoted(value.text)}" if value.text else "PROMPT"


def quoted(text: str) -> str:
    """A text as a literal of the language."""
    return "'" + text.replace("'", "''") + "'"
