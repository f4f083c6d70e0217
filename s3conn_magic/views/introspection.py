"""Frames and messages of SHOW CONNECTIONS, DESCRIBE CONNECTION and HELP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.options import OPTION_NAMES, OPTIONS, Option, find_option
from s3conn_magic.language.reference import STATEMENTS, Reference, find_statement
from s3conn_magic.language.settings import SETTINGS, setting_text
from s3conn_magic.language.spelling import nearest
from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret
from s3conn_magic.views.cards import Message
from s3conn_magic.views.frames import S3Frame, frame_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.language.plans import BoundValue


def _columns(statement: str) -> Any:
    reference = find_statement(statement)
    return reference.columns if reference else ()


def connections_frame(connections: Sequence[Connection]) -> S3Frame:
    """One row a connection, in the order of their making."""
    return frame_of(_columns("SHOW CONNECTIONS"), [_connection_row(one) for one in connections])


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
    return frame_of(_columns("DESCRIBE CONNECTION"), rows)


def _option_row(option: Option, bound: BoundValue | None) -> tuple[Any, ...]:
    if bound is None:
        return option.name, None, f"default: {option.default}", option.mutable, option.help
    return option.name, _shown_value(bound), bound.source, option.mutable, option.help


def _shown_value(bound: BoundValue) -> str:
    value = bound.value
    if isinstance(value, Secret):
        return "set"
    if isinstance(value, tuple):
        return ", ".join(one.uri if isinstance(one, Location) else str(one) for one in value)
    return str(value).upper() if isinstance(value, bool) else str(value)


def settings_frame(settings: Mapping[str, Any]) -> S3Frame:
    """One row for each setting of the session."""
    rows = [(one.name, setting_text(settings[one.name]), one.takes, one.help) for one in SETTINGS]
    return frame_of(_columns("SHOW SETTINGS"), rows)


def help_on(topic: str) -> Any:
    """A frame of all statements and options, or the reference of one."""
    if not topic:
        return frame_of(_columns("HELP"), [*map(_statement_row, STATEMENTS), *map(_help_row, OPTIONS)])
    if option := find_option(topic):
        return Message(_option_text(option))
    if statement := find_statement(topic):
        return Message(_statement_text(statement))
    near = nearest(topic, [*OPTION_NAMES, *(one.name for one in STATEMENTS)])
    hint = f"Did you mean {near}?" if near else "HELP; lists them all."
    raise S3ConnError("there is no statement or option of that name", hint=hint)


def _statement_row(one: Reference) -> tuple[str, str, str]:
    return one.name, one.syntax, one.help


def _help_row(one: Option) -> tuple[str, str, str]:
    return one.name, f"{one.name} = {one.example}", one.help


def _statement_text(one: Reference) -> str:
    lines = [one.syntax, "", one.help, "", f"  {one.example}"]
    if one.columns:
        width = max(len(column.name) for column in one.columns)
        lines += ["", "Columns", *(f"  {column.name:<{width}}  {column.help}" for column in one.columns)]
    if one.name in {"CREATE S3 CONNECTION", "ALTER S3 CONNECTION"}:
        width = max(len(option.name) for option in OPTIONS)
        lines += ["", "Options", *(f"  {option.name:<{width}}  {option.help}" for option in OPTIONS)]
    return "\n".join(lines)


def _option_text(one: Option) -> str:
    facts = [f"takes {one.takes}", f"default: {one.default}"]
    facts += ["never shown again"] if one.secret else []
    facts += [] if one.mutable else ["cannot be altered"]
    facts += [f"needs {', '.join(one.requires)}"] if one.requires else []
    facts += [f"not with {', '.join(one.excludes)}"] if one.excludes else []
    facts += [f"also spelt {', '.join(one.aliases)}"] if one.aliases else []
    return "\n".join([f"{one.name} = {one.example}", "", one.help, "", *(f"  {fact}" for fact in facts)])
