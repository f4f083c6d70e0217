"""The tree of the statements about jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from s3conn_magic.language.statements import Name, Statement

if TYPE_CHECKING:
    from datetime import timedelta

    from s3conn_magic.language.source import Span
    from s3conn_magic.language.statements import BooleanLiteral, IntegerLiteral, SqlText, StringLiteral, VariableSource
    from s3conn_magic.secrets import Secret


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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatement(Statement):
    """Base of the statements about jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCopyJob(JobStatement):
    """`CREATE [SYNC] JOB [IF NOT EXISTS] j { option } AS COPY FROM S3 name { option } INTO t`."""

    name: Name
    connection: Name
    into: TableName
    settings: tuple[JobSetting, ...] = ()
    sync: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateInsertJob(JobStatement):
    """`CREATE [SYNC] JOB [IF NOT EXISTS] j { option } AS INSERT INTO S3 name { option } SELECT …`."""

    name: Name
    connection: Name
    query: SqlText
    settings: tuple[JobSetting, ...] = ()
    sync: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob(JobStatement):
    """`RUN JOB j`."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class DropJob(JobStatement):
    """`DROP JOB [IF EXISTS] j`."""

    name: Name
    if_exists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJobs(JobStatement):
    """`SHOW JOBS [LIKE 'pattern']`."""

    like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJobErrors(JobStatement):
    """`SHOW JOB j ERRORS`."""

    name: Name
