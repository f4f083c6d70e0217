"""Bound options → the text of the statement that makes them again, without a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from s3conn_magic.language.binding import quoted
from s3conn_magic.language.grammar import RESERVED
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.locations import Location
from s3conn_magic.secrets import MASK, Secret

if TYPE_CHECKING:
    from s3conn_magic.language.plans import BoundOptions, BoundValue

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FROM_ELSEWHERE = ("$", "ENV ", "PROMPT", "KEYRING ")


def create_statement(name: str, options: BoundOptions) -> str:
    """`CREATE S3 CONNECTION …;`, runnable; a secret is the source it came from, or '<REDACTED>'."""
    lines = [f"CREATE S3 CONNECTION {name_text(name)}"]
    lines += [f"    {one.name} = {value_text(options[one.name])}" for one in OPTIONS if one.name in options]
    return "\n".join(lines) + ";"


def name_text(name: str) -> str:
    """A name as it must be written."""
    if _PLAIN_NAME.fullmatch(name) and name.upper() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def value_text(bound: BoundValue) -> str:
    """A value as it would be written; what came from a source is that source."""
    if bound.source.startswith(_FROM_ELSEWHERE):
        return bound.source
    value = bound.value
    if isinstance(value, Secret):
        return quoted(MASK)
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, tuple):
        return "(" + ", ".join(quoted(one.uri if isinstance(one, Location) else str(one)) for one in value) + ")"
    return quoted(str(value))
