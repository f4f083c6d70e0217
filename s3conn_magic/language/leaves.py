"""The leaves of the tree that the grammar makes: names, values and what is written of them, each with its span."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import timedelta

    from s3conn_magic.language.source import Span
    from s3conn_magic.secrets import Secret


@dataclass(frozen=True, slots=True)
class Name:
    """A connection's name, or an option's, as written; compared without case."""

    text: str
    span: Span = field(compare=False)

    @property
    def folded(self) -> str:
        """The form that names are compared by."""
        return self.text.casefold()


@dataclass(frozen=True, slots=True)
class StringLiteral:
    """Text in single quotes. Any of them may be a secret, so all are kept as one."""

    value: Secret
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class BooleanLiteral:
    """TRUE or FALSE."""

    value: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class WordLiteral:
    """A word of the language that stands for a value, such as ALL; in upper case."""

    value: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class IntegerLiteral:
    """Digits."""

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
    """Text for the query engine, without comments; kept as a secret, for its literals may be one."""

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
    """An expression of SQL as written. It may hold a literal that is a secret."""

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
    """`NAME = value`, or a `NAME` alone that is a switch; then `value` is None."""

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
