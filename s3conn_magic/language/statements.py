"""The syntax tree: frozen dataclasses, each with its span in the cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from s3conn_magic.language.leaves import (
    BooleanLiteral,
    EnvSource,
    Expectation,
    Expression,
    Group,
    IntegerLiteral,
    Interval,
    JobSetting,
    JobValue,
    KeyringSource,
    ListLiteral,
    LocationValue,
    Name,
    OptionSetting,
    Origin,
    PromptSource,
    Scalar,
    SqlText,
    StringLiteral,
    TableName,
    Value,
    VariableSource,
    WordLiteral,
)

if TYPE_CHECKING:
    from datetime import datetime

    from s3conn_magic.errors import Place
    from s3conn_magic.language.reference import AnalyzeBy, CompareBy
    from s3conn_magic.language.source import Span
    from s3conn_magic.locations import Location

__all__ = [
    "BooleanLiteral",
    "EnvSource",
    "Expectation",
    "Expression",
    "Group",
    "IntegerLiteral",
    "Interval",
    "JobSetting",
    "JobValue",
    "KeyringSource",
    "ListLiteral",
    "LocationValue",
    "Name",
    "OptionSetting",
    "Origin",
    "PromptSource",
    "Scalar",
    "SqlText",
    "StringLiteral",
    "TableName",
    "Value",
    "VariableSource",
    "WordLiteral",
]


Where = Callable[[], "Place"]
"""Finds a place on demand."""
Locate = Callable[[int], "Place"]
"""Finds the place of a character of a query."""


def _unbound() -> Place:
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Base of the statements, each of which is its own plan.

    The parser leaves in `location`, `query` and other clauses what is written there; the binder puts in its place what
    it stands for, which is the type that the field has. `place()` is where a bound statement begins.
    """

    span: Span = field(compare=False)
    place: Where = field(default=_unbound, compare=False, repr=False)

    through = property(lambda _: "", doc="Name of the connection that a bound statement is about or reads through.")
    loadable: ClassVar[bool] = False
    """Whether a file of connections, which `%load_ext` reads, may have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateConnection(Statement):
    """`CREATE [OR REPLACE] S3 CONNECTION [IF NOT EXISTS] name { option }`."""

    loadable = True
    name: Name
    settings: tuple[OptionSetting, ...] = ()
    or_replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterConnection(Statement):
    """`ALTER S3 CONNECTION [IF EXISTS] name SET … | UNSET … | RENAME TO …`, one of the three."""

    name: Name
    settings: tuple[OptionSetting, ...] = ()
    unset: tuple[Name, ...] = ()
    rename_to: Name | None = None
    if_exists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowConnections(Statement):
    """`SHOW CONNECTIONS [LIKE 'pattern']`."""

    like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutConnection(Statement):
    """Base of the statements about an existing connection, most of which need no method of the binder."""

    name: Name

    through = property(attrgetter("name.text"), doc="Its name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DropConnection(AboutConnection):
    """`DROP [S3] CONNECTION [IF EXISTS] name [CASCADE]`."""

    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Statement):
    """Base of the statements that read through a connection, which need no method of the binder.

    `name` is the connection that the binder found: the one of USING, or the one for the location.
    """

    using: Name | None = None
    name: str = ""

    through = property(attrgetter("name"), doc="Its name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeConnection(AboutConnection):
    """`DESCRIBE CONNECTION name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCreate(AboutConnection):
    """`SHOW CREATE S3 CONNECTION name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestConnection(AboutConnection):
    """`TEST CONNECTION name [LOCATION 's3://…'] [WITH WRITE]`."""

    location: Location | None = None
    with_write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UseConnection(AboutConnection):
    """`USE CONNECTION name`."""

    loadable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Help(Statement):
    """`HELP [topic]`."""

    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowBuckets(Reading):
    """`SHOW BUCKETS [USING name] [LIKE 'pattern']`."""

    like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListObjects(Reading):
    """`LIST …`; a `limit` of None is the session's."""

    location: Location | None = None
    recursive: bool = False
    versions: bool = False
    matching: str | None = None
    limit: int | Literal["ALL"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListInventory(Reading):
    """`LIST FROM INVENTORY 's3://…/manifest.json' …`; a `limit` of None is the session's."""

    location: Location
    matching: str | None = None
    limit: int | Literal["ALL"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explore(Reading):
    """`EXPLORE ['s3://…'] [USING name] [ASIDE]`."""

    location: Location | None = None
    aside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyze(Reading):
    """`ANALYZE ['s3://…'] [FROM INVENTORY 's3://…/manifest.json'] [USING name] [BY …] [DEPTH n]`, one of the two.

    `depth` is the number of folders that make a group BY PREFIX; None is one.
    """

    location: Location | None = None
    inventory: Location | None = None
    by: AnalyzeBy = "PREFIX"
    depth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discover(Reading):
    """`DISCOVER ['s3://…'] [FROM INVENTORY …] [USING name] [DEPTH n] [SAMPLE n] [ROWS = EXACT] [INTO TABLES]`.

    Without a location or report, below the display filters or in all buckets. `depth` counts the folders that tell
    datasets apart, None for all; `sample` the objects read of a dataset, None for the default.
    """

    location: Location | None = None
    inventory: Location | None = None
    depth: int | None = None
    sample: int | None = None
    exact: bool = False
    into_tables: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSide:
    """`'s3://…' [FROM INVENTORY] [AS OF 'time'] [USING name]`, a side of COMPARE; `as_of` selects versions."""

    location: Location
    report: bool = False
    as_of: datetime | None = None
    using: Name | None = None
    name: str = ""
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(Statement):
    """`COMPARE side WITH side [BY …]`."""

    left: ComparedSide
    right: ComparedSide
    by: CompareBy = "ETAG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Querying(Statement):
    """Base of the statements with a query, which need no method of the binder.

    The binder gives its `text` for DuckDB, whether it is `in_file`, and what finds the place of a character of it.
    """

    query: SqlText | None = None
    text: str = field(default="", repr=False)
    in_file: bool = False
    locate: Locate | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows(Querying):
    """Base of the statements about the rows of a query, or of a location, which is read through `connection`."""

    location: Location | None = None
    using: Name | None = None
    connection: str = ""

    through = property(attrgetter("connection"), doc="The connection.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRows(Rows):
    """`DESCRIBE { 's3://…' [USING name] | table | query }`, one of the three."""

    table: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summarize(Rows):
    """`SUMMARIZE { 's3://…' [USING name] | table | query } [SAMPLE n PERCENT]`, one of the three."""

    table: Name | None = None
    percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Reading):
    """`PREVIEW 's3://…' [VERSION 'id'] [USING name] [LIMIT n]`; a `limit` of None is the default."""

    location: Location
    version: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreAll(Statement):
    """`EXPLORE ALL CONNECTIONS [ASIDE]`."""

    aside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSetting(Statement):
    """`SET name = value`."""

    name: Name
    value: Any


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
class Query(Querying):
    """`SELECT …`, `WITH …` or `FROM …`, up to the `;`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainAnalyze(Querying):
    """`EXPLAIN ANALYZE query`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable(Rows):
    """`CREATE [OR REPLACE] [ICEBERG] TABLE [IF NOT EXISTS] name [(columns)]`, its clauses, and `[AS query]`.

    The clauses are `LOCATION 's3://…'` and `USING name`, or `PARTITIONED BY`, `PRIMARY KEY` and options. The binder
    gives `storage`, the connection and folder for the table's own files, its `options`, and a `note` on those without
    effect.
    """

    name: Name
    or_replace: bool = False
    iceberg: bool = False
    if_not_exists: bool = False
    columns: str | None = None
    partitioned: tuple[Name, ...] = ()
    keys: tuple[Name, ...] = ()
    settings: tuple[JobSetting, ...] = ()
    storage: tuple[str, Location] | None = None
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutTable(Querying):
    """Base of the statements about an existing table; `note` is on `options`, of `settings`, without effect."""

    name: Name
    settings: tuple[JobSetting, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTable(AboutTable):
    """`DROP TABLE [IF EXISTS] name [DELETE_DATA = boolean]`; other options have no effect."""

    if_exists: bool = False
    delete_data: BooleanLiteral | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterTable(AboutTable):
    """`ALTER TABLE name SET option = value …`."""


class Insertion(NamedTuple):
    """How columns of a query map to those of a table.

    Attributes:
        by_name: whether by name, else by position.
        columns: target columns, if they are named.
        without: columns that are left out.
        dates: whether timestamps go into date columns as their dates.
        by_key: whether rows replace those with the same primary key.
    """

    by_name: bool = False
    columns: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    dates: bool = False
    by_key: bool = False

    @classmethod
    def of(cls, statement: InsertInto | CreateTableJob, *, dates: bool = False) -> Insertion:
        """Return how they map in a statement."""
        return cls(statement.by_name, statement.columns, tuple(each.text for each in statement.without), dates)

    @property
    def named(self) -> bool:
        """Whether column names decide."""
        return self.by_name or bool(self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertInto(AboutTable):
    """`INSERT INTO name [(columns)] [MAP_COLUMNS_BY_NAME [EXCEPT column, …]] query`."""

    columns: tuple[str, ...] = ()
    by_name: bool = False
    without: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInto(AboutTable):
    """`MERGE INTO name …`; the engine parses the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeTable(AboutTable):
    """`OPTIMIZE TABLE name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSnapshots(AboutTable):
    """`SHOW SNAPSHOTS name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCreateTable(AboutTable):
    """`SHOW CREATE TABLE name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTables(Statement):
    """`SHOW TABLES [LIKE 'pattern']`."""

    like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain(Statement):
    """`EXPLAIN statement`."""

    statement: Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveConnections(Statement):
    """`SAVE [OR REPLACE] CONNECTIONS TO 'file'`."""

    path: str
    or_replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatement(Statement):
    """Base of the statements about jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCopyJob(JobStatement):
    """`CREATE [SYNC] JOB [IF NOT EXISTS] j { option } AS COPY FROM S3 name { option } INTO t { expectation }`."""

    name: Name
    connection: Name
    into: TableName
    settings: tuple[JobSetting, ...] = ()
    expectations: tuple[Expectation, ...] = ()
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
class CreateTableJob(JobStatement):
    """`CREATE [SYNC] JOB j { option } AS INSERT INTO t … query`, `… AS MERGE INTO t …`, or a materialized view.

    `merge` follows the table of a MERGE, instead of a query; a view has no `into`.
    """

    name: Name
    into: TableName | None = None
    query: SqlText | None = None
    merge: SqlText | None = None
    columns: tuple[str, ...] = ()
    by_name: bool = False
    without: tuple[Name, ...] = ()
    settings: tuple[JobSetting, ...] = ()
    sync: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutJob(JobStatement):
    """Base of the statements about an existing job."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob(AboutJob):
    """`RUN JOB j`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJobs(JobStatement):
    """`RUN JOBS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterJob(AboutJob):
    """`ALTER JOB j { SET option = value … | ADD EXPECTATION … | DROP EXPECTATION e }`; one of the three."""

    settings: tuple[JobSetting, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    dropped: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseJob(AboutJob):
    """`PAUSE JOB j`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeJob(AboutJob):
    """`RESUME JOB j`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropJob(AboutJob):
    """`DROP JOB [IF EXISTS] j`, or with `view` `DROP MATERIALIZED VIEW [IF EXISTS] j [DELETE_DATA = boolean]`."""

    if_exists: bool = False
    view: bool = False
    delete_data: BooleanLiteral | None = None


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
