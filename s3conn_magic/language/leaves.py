"""Leaves of the syntax tree: names and values, each with its span."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import timedelta

    from s3conn_magic.language.source import Span
    from s3conn_magic.secrets import Secret


@dataclass(frozen=True, slots=True)
class Name:
    """Name of a connection or an option as written, compared without case."""

    text: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class StringLiteral:
    """Text in single quotes. Any may be a secret, so all are kept as one."""

    value: Secret
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class BooleanLiteral:
    """TRUE or FALSE."""

    value: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class WordLiteral:
    """A keyword that is a value, such as ALL; in upper case."""

    value: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class IntegerLiteral:
    """An unsigned integer."""

    value: int
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """`( value, … )`."""

    items: tuple[Value, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class VariableSource:
    """`$name`: the value of a Python variable."""

    name: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class EnvSource:
    """`ENV 'NAME'`: the value of an environment variable of the kernel."""

    name: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class PromptSource:
    """`PROMPT 'text'`: typed in without an echo when the cell runs."""

    text: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class KeyringSource:
    """`KEYRING 'service' 'user'`: kept by the operating system's keyring."""

    service: str
    user: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class SqlText:
    """Text for the query engine, without comments; kept as a secret because it may contain one."""

    value: Secret
    span: Span = field(compare=False)


Origin = VariableSource | EnvSource | PromptSource | KeyringSource
Scalar = StringLiteral | BooleanLiteral | IntegerLiteral | Origin
Value = Scalar | ListLiteral
LocationValue = StringLiteral | VariableSource


@dataclass(frozen=True, slots=True)
class OptionSetting:
    """`NAME = value`."""

    name: Name
    value: Value
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Interval:
    """`5 MINUTES`."""

    value: timedelta
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Group:
    """`( … )`: values, and settings `NAME = value`."""

    items: tuple[JobValue | JobSetting, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Expression:
    """An SQL expression as written; it may contain a secret."""

    value: Secret
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class TableName:
    """`table`, `schema.table` or `catalog.schema.table`."""

    parts: tuple[str, ...]
    span: Span = field(compare=False)


# A bare word, such as JSON or NOW, is a name.
JobValue: TypeAlias = (
    "StringLiteral | VariableSource | BooleanLiteral | IntegerLiteral | Interval | Name | Group | Expression"
)


@dataclass(frozen=True, slots=True)
class JobSetting:
    """`NAME = value`, or a switch `NAME`; then `value` is None."""

    name: Name
    value: JobValue | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Expectation:
    """`EXPECTATION name EXPECT predicate ON VIOLATION { DROP | WARN }`."""

    name: Name
    predicate: Expression
    violated: str
    span: Span = field(compare=False)
