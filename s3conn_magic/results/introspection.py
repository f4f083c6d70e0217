"""Frames and messages of SHOW CONNECTIONS, DESCRIBE CONNECTION and HELP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.help import overview, topic_text
from s3conn_magic.language.options import OPTION_NAMES, OPTIONS, Option
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS, Reference, find_statement
from s3conn_magic.language.session_settings import SETTING_NAMES, SETTINGS, setting_literal, setting_text
from s3conn_magic.language.words import nearest
from s3conn_magic.locations import Location
from s3conn_magic.results.cards import Message
from s3conn_magic.results.frames import ReferenceFrame, S3Frame, frame_of
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.language.plans import BoundValue


def _columns(statement: str) -> Any:
    reference = find_statement(statement)
    return reference.columns if reference else ()


def connections_frame(connections: Sequence[Connection]) -> S3Frame:
    """One row a connection, in the order of their making."""
    return frame_of(_columns("SHOW CONNECTIONS"), [_connection_row(connection) for connection in connections])


def _connection_row(one: Connection) -> tuple[Any, ...]:
    settings = one.settings
    return (
        one.name,
        "S3",
        settings.credentials_kind,
        one.identity,
        settings.region,
        settings.endpoint,
        settings.read_only,
        settings.encryption,
        [location.uri for location in settings.display_filters],
        settings.comment,
        one.created_at,
        "ok" if one.findings else "not probed",
    )


def options_frame(connection: Connection) -> S3Frame:
    """One row for each option a connection can keep."""
    rows = [_option_row(option, connection.options.get(option.name)) for option in OPTIONS if option.stored]
    return frame_of(_columns("DESCRIBE CONNECTION"), rows, ReferenceFrame)


def _option_row(option: Option, bound: BoundValue | None) -> tuple[Any, ...]:
    if bound is None:
        return option.name, None, f"default: {option.default}", option.mutable, option.help
    return option.name, _shown_value(bound), bound.source, option.mutable, option.help


def _shown_value(bound: BoundValue) -> str:
    value = bound.value
    if isinstance(value, Secret):
        return "set"
    if isinstance(value, tuple):
        return ", ".join(each.uri if isinstance(each, Location) else str(each) for each in value)
    return str(value).upper() if isinstance(value, bool) else str(value)


def settings_frame(settings: Mapping[str, Any]) -> S3Frame:
    """One row for each setting of the session."""
    rows = [(setting.name, setting_text(settings[setting.name]), setting.takes, setting.help) for setting in SETTINGS]
    return frame_of(_columns("SHOW SETTINGS"), rows, ReferenceFrame)


class HelpFrame(ReferenceFrame):
    """The frame of HELP, which a terminal has no room for: it shows the overview."""

    def __repr__(self) -> str:
        return overview()


def help_on(topic: str) -> Any:
    """A frame of all statements, options and settings, or the entry of one.

    Raises:
        S3ConnError: there is nothing of that name.
    """
    if not topic:
        rows = [*map(_statement_row, STATEMENTS), *_option_rows(), *_setting_rows()]
        return frame_of(_columns("HELP"), rows, HelpFrame)
    if text := topic_text(topic):
        return Message(text)
    near = nearest(topic, [*OPTION_NAMES, *SETTING_NAMES, *(statement.name for statement in STATEMENTS), *KEYWORDS])
    hint = f"Did you mean {near}?" if near else "HELP; lists them all."
    raise S3ConnError("there is no statement, option or setting of that name", hint=hint)


def _statement_row(one: Reference) -> tuple[str, str, str]:
    return one.name, one.syntax, one.help


def _option_rows() -> Iterator[tuple[str, str, str]]:
    return ((option.name, f"{option.name} = {option.example}", option.help) for option in OPTIONS)


def _setting_rows() -> Iterator[tuple[str, str, str]]:
    return (
        (setting.name, f"SET {setting.name} = {setting_literal(setting.default)}", setting.help) for setting in SETTINGS
    )
