"""Evaluate the options of a statement, and check each value and combination."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from s3conn_magic.errors import BindError
from s3conn_magic.language import statements
from s3conn_magic.language.cautions import OPPOSED, contradiction
from s3conn_magic.language.options import (
    OPTION_NAMES,
    BoundOptions,
    BoundValue,
    Option,
    check_server,
    find_option,
    is_environment_name,
    opposite,
)
from s3conn_magic.language.plans import UNCHANGED, NoChange
from s3conn_magic.language.session_settings import LOCAL_FILES, REACH, SETTING_NAMES, find_setting
from s3conn_magic.language.words import listed, literal, nearest, related
from s3conn_magic.locations import Location, Pasted, location_meant, visible
from s3conn_magic.locations import pasted as read_pasted
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from s3conn_magic.errors import Place
    from s3conn_magic.language.session_settings import Setting
    from s3conn_magic.language.source import Source, Span
    from s3conn_magic.language.statements import Where

_S = TypeVar("_S", bound=statements.Statement)


class Inputs(Protocol):
    """Sources of values outside the text. Each method raises LookupError with the reason if it has none."""

    def variable(self, name: str) -> Any:
        """Return the value of a Python variable of the notebook."""

    def prompt(self, text: str) -> str:
        """Return what the user types, without an echo."""

    def keyring(self, service: str, user: str) -> str:
        """Return a password from the operating system's keyring."""


_PRIVATELY = (
    "Write ENV 'NAME', PROMPT 'text' or KEYRING 'service' 'user' instead, or AWS_PROFILE; or give a file the mode 0600."
)
# `'$name'` and `'{name}'`, where a variable was meant.
_QUOTED = re.compile(r"\$\{?[A-Za-z_]\w{0,30}\}?|\{\{? ?[A-Za-z_]\w{0,30} ?\}?\}")
_TEMPLATE = re.compile(r"[({\[$.]\s*\w*env\w*\W|\benv\w*\s*[(\[.]", re.IGNORECASE)
_NAMELESS, _ONE_VALUE = "this environment variable", "Keep one value, without parentheses."
_KEY_ID = re.compile(r"A[A-Z]{2}A[A-Z0-9]{12,17}")
_WRITTEN = statements.StringLiteral | statements.BooleanLiteral | statements.IntegerLiteral


class _Pending:
    """Placeholder for a value that the user has not been asked for yet."""


# A Python variable within a text.
_FIELD = re.compile(r"\$\{?([A-Za-z_]\w*)\}?|\{([A-Za-z_]\w*)\}")


class Binding:
    """Reads the values of one cell.

    A cell with prompts is bound twice: first without asking, so that nobody types a secret for a cell with an error,
    then asking. Values are fetched once.
    """

    def __init__(self, source: Source, inputs: Inputs, clauses: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
        self._read_clause = clauses
        self._source, self.cell = source, source.text
        self._inputs = inputs
        self._fetched: dict[Span, Any] = {}
        self.asking = False
        self.prompts = 0
        self.endpoints: Callable[[], Mapping[str, str | None]] = dict
        self._pastes: list[tuple[Pasted, Span]] = []
        self._never_asks = False

    @contextlib.contextmanager
    def asking_nobody(self) -> Iterator[None]:
        """Ask neither the user nor the keyring, for a statement that is only explained."""
        before, self._never_asks = self._never_asks, True
        try:
            yield
        finally:
            self._never_asks = before

    @property
    def in_file(self) -> bool:
        """Whether the statements are in a file."""
        return bool(self._source.file)

    def place(self, span: Span) -> Place:
        """Return the place of a span in the cell."""
        return self._source.place(span)

    def where(self, span: Span) -> Where:
        """Return a function for the place of a span, since finding it takes longer than binding most statements."""
        return partial(self._source.place, span)

    def place_within(self, span: Span, offset: int) -> Place:
        """Return the place of the token at an offset in a span."""
        token = self._source.token_at(span.start + offset)
        return self._source.place(token.span if token and token.span.start < span.end else span)

    def beginning(self, statement: statements.Statement | statements.Name) -> Where:
        """Return a function for the place of a statement's first word."""
        return partial(self._first_word, statement.span)

    def at_location(self, statement: Any) -> Where:
        """Return a function for the place of a statement's location, or of its first word if it has none."""
        location = getattr(statement, "location", None)
        return self.where(location.span) if location else self.beginning(statement)

    def bound(self, statement: _S, /, **given: Any) -> _S:
        """Return a statement with `given`, and with what its other clauses stand for."""
        return replace(statement, place=self.at_location(statement), **{**self.clauses(statement, given), **given})

    def clauses(self, node: Any, given: Container[str] = ()) -> dict[str, Any]:
        """Return what the clauses of a statement, or of a part of one, stand for, by field, but for those `given`."""
        values: dict[str, Any] = {}
        fields = node.__dataclass_fields__
        for name, read in self._read_clause.items():
            if name in fields and name not in given and (written := getattr(node, name)) is not None:
                values |= read(self, node, written)
        return values

    def no_change(self, statement: statements.Statement, reason: str) -> NoChange:
        """Return the plan of a statement that has nothing to do."""
        place = self.beginning(statement)
        return NoChange(span=statement.span, place=place, message=f"{UNCHANGED}: {reason}")

    def with_name(self, statement: Any, name: str) -> statements.Statement:
        """Return a statement about an existing object, spelt as when that was created."""
        bound: statements.Statement = self.bound(statement, name=replace(statement.name, text=name))
        return bound

    def _first_word(self, span: Span) -> Place:
        return self._source.place(token.span if (token := self._source.token_at(span.start)) else span)

    def error(self, message: str, span: Span, *, hint: str = "") -> BindError:
        """Return a bind error at a place of the cell."""
        return BindError(message, hint=hint, place=self._source.place(span))

    def said_here(self, span: Span, *, whole: bool = False) -> str:
        """Return our equivalent of the statement at a span, by the phrase book; with `whole`, only a complete one."""
        from s3conn_magic.language.answers import answer

        translation = answer(self._source.text, span.start, self._source.connections())
        return translation.hint if translation and (translation.ours or not whole) else ""

    def options(self, settings: Iterable[statements.OptionSetting], *, used: bool = True) -> dict[str, BoundValue]:
        """Return the values by canonical option name.

        Args:
            settings: as written.
            used: False for a statement that changes nothing, so that nobody is asked for its values.

        Raises:
            BindError: an option is unknown or set twice, or a value has the wrong type or form.
        """
        given: dict[str, tuple[Option, statements.OptionSetting]] = {}
        unknown: list[statements.OptionSetting] = []
        again: list[tuple[Option, statements.OptionSetting]] = []
        for setting in settings:
            option = find_option(setting.name.text)
            if option is None:
                unknown.append(setting)
            elif option.name in given:
                again.append((option, setting))
            else:
                given[option.name] = option, setting
        if unknown:
            raise self._unknown(unknown)
        for option, setting in again:
            error = self._given_twice(option, given[option.name][1].name, setting.name)
            if given[option.name][1].value == setting.value:
                error.hint, error.place = "Delete it.", self._source.place(setting.span)
            raise error
        return {name: self._read(option, setting.value, used=used) for name, (option, setting) in given.items()}

    def places_of(
        self, settings: Iterable[statements.OptionSetting], unset: Iterable[statements.Name] = ()
    ) -> dict[str, Where]:
        """Return the place of each option that is set or unset, and of each display filter by its URI."""
        places = {option.name: self.where(name.span) for name in unset if (option := find_option(name.text))}
        for setting in settings:
            option = self.option(setting.name)
            places[option.name] = self.where(setting.span)
            if option.name == "PATH_DISPLAY_FILTERS" and isinstance(setting.value, statements.ListLiteral):
                for item in setting.value.items:
                    for location in self._read_one(option, item).value if isinstance(item, _WRITTEN) else ():
                        places.setdefault(location.uri, self.where(item.span))
        return places

    def removed(self, names: Iterable[statements.Name]) -> tuple[str, ...]:
        """Return the canonical names of options to unset.

        Raises:
            BindError: an option is unknown, or given twice.
        """
        written: dict[str, statements.Name] = {}
        for name in names:
            option = self.option(name)
            if option.name in written:
                raise self._given_twice(option, written[option.name], name)
            written[option.name] = name
        return tuple(written)

    def option(self, name: statements.Name) -> Option:
        """Return the option of that name."""
        if option := find_option(name.text):
            return option
        from s3conn_magic.language.option_names import name_meant

        near = name_meant(name.text)
        raise self._no_option(name, f"Did you mean {near}?" if near else "")

    def _no_option(self, name: statements.Name, hint: str) -> BindError:
        near = None if hint else related(name.text, OPTION_NAMES)
        hint = hint or (f"Did you mean {near}?" if near else "HELP CREATE S3 CONNECTION lists the options.")
        return self.error(f"unknown option {self._shown(name)}".rstrip(), name.span, hint=hint)

    def _unknown(self, unknown: Sequence[statements.OptionSetting]) -> BindError:
        """Return the error for unknown options: a suggestion for one of them, or for the whole statement."""
        from s3conn_magic.language.option_names import option_meant, synonym

        first = unknown[0]
        if (other := opposite(first.name.text)) and isinstance(first.value, statements.BooleanLiteral):
            hint = f"Write {other} = {str(not first.value.value).upper()} instead."
            return self.error(f"unknown option {self._shown(first.name)}".rstrip(), first.span, hint=hint)
        meant, near = option_meant(first.name.text), nearest(first.name.text, OPTION_NAMES)
        option = meant or find_option(near or "")
        entry = synonym(first.name.text, kinds=False)
        # Where a value means another one, the name alone would say something else.
        same = entry is None or str(self._written(first.value)).lower() not in entry.values
        if option and same and len(unknown) == 1 and self._takes(option, first.value):
            return self._no_option(first.name, f"Did you mean {meant.name if meant else near}?")
        nobodys = option is None and len(unknown) == 1 and synonym(first.name.text) is None
        if nobodys and related(first.name.text, OPTION_NAMES):
            return self._no_option(first.name, "")
        if (entry := next((synonym(setting.name.text) for setting in unknown if _unset(setting)), None)) is not None:
            return self._no_option(first.name, f"It has no counterpart: {entry.difference}.")
        return self._no_option(first.name, self.said_here(first.name.span))

    def _written(self, value: statements.Value) -> Any:
        return self._raw(value)[0] if isinstance(value, _WRITTEN) else ""

    def _takes(self, option: Option, value: statements.Value) -> bool:
        if not isinstance(value, _WRITTEN):
            return not isinstance(value, statements.ListLiteral) or option.takes_list
        try:
            option.read(self._raw(value)[0])
        except ValueError:
            return False
        return True

    def setting(self, name: statements.Name, value: statements.Value | statements.WordLiteral) -> tuple[str, Any]:
        """Return a setting's canonical name and its value.

        Raises:
            BindError: the setting is unknown, or does not take the value.
        """
        setting = find_setting(name.text)
        if setting is None:
            near = nearest(name.text, SETTING_NAMES)
            hint = f"Did you mean {near}?" if near else f"There are {listed(SETTING_NAMES, 'and')}."
            hint = self.said_here(name.span) or hint
            raise self.error(f"unknown setting {self._shown(name)}".rstrip(), name.span, hint=hint)
        if isinstance(value, statements.ListLiteral) and not setting.takes_list:
            raise self.error(f"{setting.name} takes {setting.takes}, not a list", value.span, hint=_ONE_VALUE)
        raw = value.value if isinstance(value, statements.WordLiteral) else self.value(value)
        try:
            read = setting.read(raw)
        except ValueError as error:
            reason = str(error)
        else:
            if setting.name == LOCAL_FILES and read is not False and self.in_file:
                raise self.error(
                    "a file of statements cannot give itself access to files on this machine", value.span, hint=REACH
                )
            return setting.name, read
        raise self.error(f"{setting.name} takes {setting.takes}: {reason}", value.span, hint=self._cure(setting, raw))

    def _shown(self, name: statements.Name) -> str:
        token = self._source.token_at(name.span.start)
        return self._source.shown(token).strip("…") if token else ""

    def _given_twice(self, option: Option, first: statements.Name, second: statements.Name) -> BindError:
        place = self._source.place(first.span)
        spelling = "" if first.text.casefold() == second.text.casefold() else f" as {first.text.upper()}"
        message = f"{second.text.upper()} is given twice: first in line {place.line}, column {place.column}{spelling}"
        return self.error(message, second.span, hint=f"Keep one {option.name}.")

    def _read(self, option: Option, value: statements.Value, *, used: bool) -> BoundValue:
        if isinstance(value, statements.ListLiteral):
            return self._read_list(option, value, used=used)
        if not used and not isinstance(value, _WRITTEN):
            return BoundValue(_Pending(), source_text(value))
        if self._never_asks and isinstance(value, statements.PromptSource | statements.KeyringSource):
            return BoundValue(_Pending(), source_text(value))
        if isinstance(value, statements.PromptSource) and not self.asking:
            self.prompts += 1
            return BoundValue(_Pending(), source_text(value))
        return self._read_one(option, value)

    def _read_list(self, option: Option, value: statements.ListLiteral, *, used: bool) -> BoundValue:
        if not option.takes_list:
            raise self.error(f"{option.name} takes {option.takes}, not a list", value.span, hint=_ONE_VALUE)
        items = [self._read(option, item, used=used) for item in value.items]
        if any(isinstance(item.value, _Pending) for item in items):
            return BoundValue(_Pending())
        return BoundValue(tuple(dict.fromkeys(value for item in items for value in item.value)))

    def _read_one(self, option: Option, value: statements.Scalar) -> BoundValue:
        if option.secret and self._source.exposed and isinstance(value, statements.StringLiteral):
            message = f"{option.name} is in plain text in a file that is not private: {self._source.exposed}"
            raise self.error(message, value.span, hint=_PRIVATELY)
        raw, origin = self._raw(value)
        if option.name != "COMMENT" and isinstance(value, statements.StringLiteral) and _QUOTED.fullmatch(str(raw)):
            name = str(raw).strip("${} ")
            message = f"{option.name} is given the name of a variable in quotes, not its value"
            raise self.error(message, value.span, hint=f"Write ${name} instead.")
        if isinstance(value, statements.StringLiteral) and (name := _environment(str(raw))):
            message = f"{option.name} is given the name of an environment variable in quotes, not its value"
            raise self.error(message, value.span, hint=f"Write ENV '{name}' instead.")
        # The error is created after the except block, so that its context does not hold the value.
        try:
            return BoundValue(option.read(raw), origin)
        except ValueError as error:
            reason, hint = str(error), getattr(error, "hint", "")
        raise self.error(
            f"{option.name} takes {option.takes}: {reason}",
            value.span,
            hint=hint or self._cure(option, raw) or self._with_key_pair(option, raw, value.span),
        )

    def _with_key_pair(self, option: Option, raw: object, span: Span) -> str:
        return self.said_here(span) if option.name == "ENDPOINT" and "@" in str(raw) else ""

    @staticmethod
    def _cure(takes: Option | Setting, raw: object) -> str:
        from s3conn_magic.language.diagnosis import cure

        return cure(takes, raw)

    def _raw(self, value: statements.Scalar) -> tuple[Any, str]:
        if isinstance(value, statements.StringLiteral):
            return value.value.reveal(), "statement"
        if isinstance(value, statements.BooleanLiteral | statements.IntegerLiteral):
            return value.value, "statement"
        raw = self._look_up(value)
        return raw.reveal() if isinstance(raw, Secret) else raw, source_text(value)

    def _look_up(self, value: statements.Origin) -> Any:
        try:
            if value.span not in self._fetched:
                self._fetched[value.span] = self._fetch(value)
            return self._fetched[value.span]
        except LookupError as error:
            reason = str(error.args[0]) if error.args else "it has no value"
        raise self.error(reason, value.span, hint=self._of_other_case(value) or _elsewhere(value))

    def _of_other_case(self, value: statements.Origin) -> str:
        """Return a hint with a variable whose name differs by case only."""
        names = {value.name.lower(), value.name.upper()} if isinstance(value, statements.VariableSource) else set()
        for name in sorted(names - {getattr(value, "name", "")}):
            with contextlib.suppress(LookupError):
                self._fetch(statements.VariableSource(name, value.span))
                return f"Did you mean ${name}?"
        return ""

    def _fetch(self, value: statements.Origin) -> Any:
        if isinstance(value, statements.VariableSource):
            return self._inputs.variable(value.name)
        if isinstance(value, statements.KeyringSource):
            return self._inputs.keyring(value.service, value.user)
        if isinstance(value, statements.PromptSource):
            return self._inputs.prompt(value.text)
        # A name that the operating system cannot encode is not set either.
        with contextlib.suppress(KeyError, ValueError):
            return os.environ[value.name]
        name = f"the environment variable {value.name}" if is_environment_name(value.name) else _NAMELESS
        raise LookupError(f"{name} is not set in the kernel")

    def text(self, value: statements.LocationValue) -> str:
        """Return the text of a literal or a Python variable."""
        raw, _ = self._raw(value)
        if not isinstance(raw, str):
            message = f"the variable holds {type(raw).__name__}, but text was expected"
            raise self.error(message, value.span, hint="Make it text in a Python cell, by str(…).")
        return raw

    def place_of(self, value: statements.LocationValue) -> Location:
        """Return the given location.

        Raises:
            BindError: it is not a location, or names a version of an object.
        """
        return self.place_in(self.text(value), value.span)

    def place_in(self, text: str, span: Span) -> Location:
        """Return the location in a text; raises as `place_of`."""
        location, version, _ = self.pasted(text, span)
        if not version:
            return location
        hint = f"Write {literal(visible(location.uri))} for all of them; PREVIEW and SELECT read a version."
        raise self.error("this names one version of an object", span, hint=hint)

    def pasted(self, text: str, span: Span) -> Pasted:
        """Return the location, version and server in a text; raises as `place_of`."""
        try:
            place = read_pasted(text, filter(None, self.endpoints().values()))
        except ValueError as error:
            reason, hint = str(error), getattr(error, "hint", "")
        else:
            self._pastes.append((place, span))
            return place
        from s3conn_magic.language.source import BLANK, harmless

        meant = "" if hint else location_meant(text)
        if (filled := _FIELD.sub(lambda match: f"{{{match[1] or match[2]}}}", text)) != text or _FIELD.search(text):
            hint = f"Write $place instead, and place = f{literal(filled)} in a Python cell before it."
        elif re.fullmatch(r"[a-z]+/", text):
            hint = f"Write {literal(f's3://{BLANK}/{text}')} with the bucket's name; SHOW BUCKETS lists them."
        hint = f"Write {literal(meant)} instead." if meant and not hint else hint
        raise self.error(f"this is not a location: {reason}", span, hint=hint if harmless(hint) else "")

    def check_servers(self, name: str) -> None:
        """Check that URLs of the statement have the server of a connection.

        Raises:
            BindError: one has not.
        """
        pastes, self._pastes = self._pastes, []
        endpoints = self.endpoints() if pastes else {}
        for place, span in pastes if name in endpoints else ():
            try:
                check_server(place, name, endpoints[name])
            except ValueError as error:
                reason, hint = str(error), getattr(error, "hint", "")
            else:
                continue
            raise self.error(reason, span, hint=hint)

    def value(self, value: statements.Value) -> Any:
        """Return the plain value of a literal, a Python variable or a list."""
        return tuple(map(self.value, value.items)) if isinstance(value, statements.ListLiteral) else self._raw(value)[0]

    def check(self, options: BoundOptions, where: Mapping[str, Span], otherwise: Span) -> None:
        """Check that options have those they require, and can be combined.

        Args:
            options: all that the connection would have.
            where: spans of those in this statement.
            otherwise: the place to report for the others.
        """
        if span := where.get("AWS_SECRET_ACCESS_KEY"):
            self._check_pair(options, span)
        if not where.keys().isdisjoint(OPPOSED) and (wrong := contradiction(options, where)):
            raise self.error(wrong.message, next(where[name] for name in OPPOSED if name in where), hint=wrong.hint)
        given = {name for name, bound in options.items() if bound.value is not False}
        for name in options:
            if name not in given:
                continue
            option = find_option(name)
            span = where.get(name, otherwise)
            if option and (missing := [other for other in option.requires if other not in given]):
                raise self._incomplete(name, missing, span, add=name in where)
            if option and (clash := [other for other in option.excludes if other in given]):
                raise self._conflict(name, clash[0], where, otherwise)

    def _check_pair(self, options: BoundOptions, span: Span) -> None:
        pair = [options.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
        key, secret = (
            str(bound.value.reveal() if isinstance(bound.value, Secret) else bound.value) if bound else ""
            for bound in pair
        )
        names = [bound.source.upper() if bound else "" for bound in pair]
        named = "SECRET" in names[0] and "SECRET" not in names[1] and "KEY" in names[1]
        if named or (_KEY_ID.fullmatch(secret) and not _KEY_ID.fullmatch(key)):
            hint = self.said_here(span, whole=True) or "Give each of them the other's value."
            raise self.error("the access key id and the secret access key are swapped", span, hint=hint)

    def _incomplete(self, name: str, missing: list[str], span: Span, *, add: bool) -> BindError:
        example = " ".join(f"{other} = PROMPT '{other}'" for other in missing)
        hint = f"Add {example}." if add else f"UNSET {name}, too."
        if add and missing == ["AWS_ROLE"]:
            hint = f"Give the role that asks for it, AWS_ROLE = 'arn:…', or leave {name} out."
        return self.error(f"{name} needs {listed(missing, 'and')} too", span, hint=hint)

    def _conflict(self, name: str, other: str, where: Mapping[str, Span], otherwise: Span) -> BindError:
        first, second = sorted((name, other), key=lambda option: where.get(option, (-1,)))
        hint = "Use only one of them." if first in where else f"The connection has {first}: UNSET it first."
        return self.error(f"{second} cannot be combined with {first}", where.get(second, otherwise), hint=hint)


def _environment(text: str) -> str:
    """Return the environment variable that a text refers to in the syntax of templates or shells."""
    if not _TEMPLATE.search(text):
        return ""
    from s3conn_magic.language.given import environment_meant

    return environment_meant(text)


def _unset(setting: statements.OptionSetting) -> bool:
    from s3conn_magic.language.option_names import synonym

    entry, value = synonym(setting.name.text), setting.value
    if entry is None or not isinstance(value, statements.StringLiteral | statements.BooleanLiteral):
        return entry is not None and entry.values.get("*") == "!"
    raw = str(value.value.reveal() if isinstance(value.value, Secret) else value.value).lower()
    return "!" in {entry.values.get(raw), entry.values.get("*")}


def _elsewhere(value: statements.Origin) -> str:
    """Return a hint where a missing value is: in the environment, or under a similar name."""
    if isinstance(value, statements.VariableSource):
        is_set = is_environment_name(value.name) and value.name in os.environ
        return f"Write ENV '{value.name}' instead." if is_set else f"{value.name} = … in a Python cell sets it."
    if not isinstance(value, statements.EnvSource):
        return "ENV 'NAME' reads it from the environment of the kernel."
    if not is_environment_name(value.name):
        return "The name of a variable has capital letters, digits and underscores, such as ENV 'MY_SECRET'."
    near = nearest(value.name, [name for name in os.environ if is_environment_name(name)])
    return f"Write ENV '{near}' instead." if near else f"%env {value.name}=… in its own cell sets it."


def source_text(value: statements.Origin) -> str:
    """Return a source of a secret as it is written."""
    if isinstance(value, statements.VariableSource):
        return f"${value.name}"
    if isinstance(value, statements.EnvSource):
        return f"ENV {literal(value.name)}"
    if isinstance(value, statements.KeyringSource):
        return f"KEYRING {literal(value.service)} {literal(value.user)}"
    return f"PROMPT {literal(value.text)}" if value.text else "PROMPT"


def split(options: dict[str, BoundValue]) -> tuple[BoundOptions, bool]:
    """Return the options to keep, and whether to probe."""
    return options, (validate := options.pop("VALIDATE", None)) is None or bool(validate.value)
