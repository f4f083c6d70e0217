"""Bound options → the text of the statement that makes them again, without a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from s3conn_magic.language.binding import quoted
from s3conn_magic.language.grammar import RESERVED
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3conn_magic.language.options import Option
    from s3conn_magic.language.plans import BoundOptions, BoundValue

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FROM_ELSEWHERE = ("$", "ENV ", "PROMPT", "KEYRING ")


def create_statement(name: str, options: BoundOptions) -> str:
    """`CREATE S3 CONNECTION …;`, runnable; a secret is the source it came from, or a PROMPT that asks for it."""
    given = [(one.name, value_text(options[one.name], asking_for(one.name, name))) for one in _given(options)]
    return _statement(name, given)


def saved_statement(name: str, options: BoundOptions) -> str:
    """The statement for a file, which loads where the notebook's variables are not.

    What a Python variable held is written out, or asked for when it is secret.
    """
    given = [(one.name, _lasting(options[one.name], asking_for(one.name, name))) for one in _given(options)]
    return _statement(name, given)


def asking_for(option: str, name: str) -> str:
    """The source that asks for an option of a connection."""
    return f"PROMPT {quoted(f'{option} of {name}')}"


def _given(options: BoundOptions) -> Iterator[Option]:
    return (one for one in OPTIONS if one.name in options)


def _statement(name: str, given: Iterable[tuple[str, str]]) -> str:
    return "\n".join([f"CREATE S3 CONNECTION {name_text(name)}", *(f"    {one} = {text}" for one, text in given)]) + ";"


def _lasting(bound: BoundValue, asking: str) -> str:
    if not bound.source.startswith("$"):
        return value_text(bound, asking)
    return _written(bound.value, asking)


def name_text(name: str) -> str:
    """A name as it must be written."""
    if _PLAIN_NAME.fullmatch(name) and name.upper() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def value_text(bound: BoundValue, asking: str) -> str:
    """A value as it would be written; what came from a source is that source, any other secret `asking`."""
    if bound.source.startswith(_FROM_ELSEWHERE):
        return bound.source
    return _written(bound.value, asking)


def _written(value: Any, asking: str) -> str:
    if isinstance(value, Secret):
        return asking
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, tuple):
        return "(" + ", ".join(quoted(one.uri if isinstance(one, Location) else str(one)) for one in value) + ")"
    return quoted(str(value))
