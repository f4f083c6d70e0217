"""The tree that the grammar makes: frozen dataclasses, each with its span in the cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from datetime import timedelta

    from s3conn_magic.language.reference import AnalyzeBy, CompareBy
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Base of the statements."""

    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateConnection(Statement):
    """`CREATE [OR REPLACE] S3 CONNECTION [IF NOT EXISTS] name { option }`."""

    name: Name
    settings: tuple[OptionSetting, ...] = ()
    or_replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterConnection(Statement):
    """`ALTER S3 CONNECTION [IF EXISTS] name SET … | UNSET … | RENAME TO …`; exactly one of the three is given."""

    name: Name
    settings: tuple[OptionSetting, ...] = ()
    unset: tuple[Name, ...] = ()
    rename_to: Name | None = None
    if_exists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DropConnection(Statement):
    """`DROP [S3] CONNECTION [IF EXISTS] name [CASCADE]`."""

    name: Name
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowConnections(Statement):
    """`SHOW CONNECTIONS [LIKE 'pattern']`."""

    like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutConnection(Statement):
    """Base of the statements about a connection that is there: a new one needs no method of the binder."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeConnection(AboutConnection):
    """`DESCRIBE CONNECTION name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCreate(AboutConnection):
    """`SHOW CREATE S3 CONNECTION name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestConnection(AboutConnection):
    """`TEST CONNECTION name [LOCATION 's3://…'] [WITH WRITE]`."""

    location: LocationValue | None = None
    with_write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UseConnection(AboutConnection):
    """`USE CONNECTION name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Help(Statement):
    """`HELP [topic]`."""

    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowBuckets(Statement):
    """`SHOW BUCKETS [USING name] [LIKE 'pattern']`."""

    using: Name | None = None
    like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListObjects(Statement):
    """`LIST …`; a `limit` of None stands for the session's default."""

    location: LocationValue | None = None
    using: Name | None = None
    recursive: bool = False
    versions: bool = False
    matching: StringLiteral | None = None
    limit: int | Literal["ALL"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListInventory(Statement):
    """`LIST FROM INVENTORY 's3://…/manifest.json' …`; a `limit` of None stands for the session's default."""

    location: LocationValue
    using: Name | None = None
    matching: StringLiteral | None = None
    limit: int | Literal["ALL"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explore(Statement):
    """`EXPLORE ['s3://…'] [USING name] [ASIDE]`."""

    location: LocationValue | None = None
    using: Name | None = None
    aside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyze(Statement):
    """`ANALYZE ['s3://…'] [FROM INVENTORY 's3://…/manifest.json'] [USING name] [BY …] [DEPTH n]`, one of the two."""

    location: LocationValue | None = None
    inventory: LocationValue | None = None
    using: Name | None = None
    by: AnalyzeBy = "PREFIX"
    depth: IntegerLiteral | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discover(Statement):
    """`DISCOVER ['s3://…'] [FROM INVENTORY …] [USING name] [DEPTH n] [SAMPLE n] [ROWS = EXACT] [INTO TABLES]`."""

    location: LocationValue | None = None
    inventory: LocationValue | None = None
    using: Name | None = None
    depth: IntegerLiteral | None = None
    sample: IntegerLiteral | None = None
    exact: bool = False
    into_tables: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSide:
    """`'s3://…' [FROM INVENTORY] [AS OF 'time'] [USING name]`, a part of COMPARE: a location, or the report at it."""

    location: LocationValue
    report: bool = False
    as_of: StringLiteral | None = None
    using: Name | None = None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(Statement):
    """`COMPARE side WITH side [BY …]`."""

    left: ComparedSide
    right: ComparedSide
    by: CompareBy = "ETAG"


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRows(Statement):
    """`DESCRIBE { 's3://…' [USING name] | table | query }`, one of the three."""

    location: LocationValue | None = None
    using: Name | None = None
    table: Name | None = None
    query: SqlText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summarize(Statement):
    """`SUMMARIZE { 's3://…' [USING name] | table | query } [SAMPLE n PERCENT]`, one of the three."""

    location: LocationValue | None = None
    using: Name | None = None
    table: Name | None = None
    query: SqlText | None = None
    percent: IntegerLiteral | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Statement):
    """`PREVIEW 's3://…' [VERSION 'id'] [USING name] [LIMIT n]`; a `limit` of None stands for the default."""

    location: LocationValue
    version: StringLiteral | None = None
    using: Name | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreAll(Statement):
    """`EXPLORE ALL CONNECTIONS [ASIDE]`."""

    aside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSetting(Statement):
    """`SET name = value`: a setting of the session."""

    name: Name
    value: Value | WordLiteral


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSettings(Statement):
    """`SHOW SETTINGS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSandbox(Statement):
    """`START SANDBOX`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSandbox(Statement):
    """`STOP SANDBOX`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Statement):
    """`SELECT …`, `WITH …` or `FROM …`, up to the `;`."""

    query: SqlText


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainAnalyze(Statement):
    """`EXPLAIN ANALYZE query`."""

    query: SqlText


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable(Statement):
    """`CREATE [OR REPLACE] [ICEBERG] TABLE [IF NOT EXISTS] name [(columns)]`, its clauses, and `[AS query]`.

    The clauses are `LOCATION 's3://…'` and `USING name`, or `PARTITIONED BY`, `PRIMARY KEY` and options.
    """

    name: Name
    or_replace: bool = False
    iceberg: bool = False
    if_not_exists: bool = False
    columns: SqlText | None = None
    location: LocationValue | None = None
    using: Name | None = None
    partitioned: tuple[Name, ...] = ()
    keys: tuple[Name, ...] = ()
    settings: tuple[JobSetting, ...] = ()
    query: SqlText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTable(Statement):
    """`DROP TABLE [IF EXISTS] name [DELETE_DATA = boolean]`."""

    name: Name
    if_exists: bool = False
    delete_data: BooleanLiteral | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterTable(Statement):
    """`ALTER TABLE name SET option = value …`."""

    name: Name
    settings: tuple[JobSetting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertInto(Statement):
    """`INSERT INTO name [MAP_COLUMNS_BY_NAME] query`."""

    name: Name
    query: SqlText
    by_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInto(Statement):
    """`MERGE INTO name …`: what stands behind the name is the engine's to read."""

    name: Name
    query: SqlText


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeTable(Statement):
    """`OPTIMIZE TABLE name`."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSnapshots(Statement):
    """`SHOW SNAPSHOTS name`."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCreateTable(Statement):
    """`SHOW CREATE TABLE name`."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTables(Statement):
    """`SHOW TABLES [LIKE 'pattern']`."""

    like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain(Statement):
    """`EXPLAIN statement`: what it would request."""

    statement: Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveConnections(Statement):
    """`SAVE [OR REPLACE] CONNECTIONS TO 'file'`."""

    path: LocationValue
    or_replace: bool = False


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
class AboutJob(JobStatement):
    """Base of the statements about a job that is there."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob(AboutJob):
    """`RUN JOB j`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJobs(JobStatement):
    """`RUN JOBS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterJob(AboutJob):
    """`ALTER JOB j SET option = value …`."""

    settings: tuple[JobSetting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseJob(AboutJob):
    """`PAUSE JOB j`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeJob(AboutJob):
    """`RESUME JOB j`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropJob(AboutJob):
    """`DROP JOB [IF EXISTS] j`."""

    if_exists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJobs(JobStatement):
    """`SHOW JOBS [LIKE 'pattern']`."""

    like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJobErrors(AboutJob):
    """`SHOW JOB j ERRORS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCreateJob(AboutJob):
    """`SHOW CREATE JOB j`."""
