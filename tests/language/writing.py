"""Statements → their text, which parses to the same statements.

The text holds every literal, so it is for the parser and for nobody's eyes; `help.py` writes what may be shown.
"""

from __future__ import annotations

from datetime import timedelta
from functools import singledispatch
from typing import TYPE_CHECKING

from s3conn_magic.language import statements
from s3conn_magic.language.evaluation import source_text
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.words import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterable


def cell_text(statements: Iterable[statements.Statement]) -> str:
    """The text of a cell, a statement to a line."""
    return "\n".join(f"{statement_text(statement)};" for statement in statements)


@singledispatch
def statement_text(statement: statements.Statement) -> str:
    """The text of a statement, without the `;` and without comments."""
    raise NotImplementedError(type(statement).__name__)


@statement_text.register
def _(statement: statements.CreateConnection) -> str:
    head = _joined(
        "CREATE", statement.or_replace and "OR REPLACE", "S3 CONNECTION", statement.if_not_exists and "IF NOT EXISTS"
    )
    return _joined(head, name_text(statement.name.text), _settings(statement.settings))


@statement_text.register
def _(statement: statements.AlterConnection) -> str:
    head = _joined("ALTER S3 CONNECTION", statement.if_exists and "IF EXISTS", name_text(statement.name.text))
    if statement.rename_to:
        return f"{head} RENAME TO {name_text(statement.rename_to.text)}"
    if statement.unset:
        return f"{head} UNSET {', '.join(name.text for name in statement.unset)}"
    return f"{head} SET {_settings(statement.settings)}"


@statement_text.register
def _(statement: statements.DropConnection) -> str:
    head = _joined("DROP S3 CONNECTION", statement.if_exists and "IF EXISTS", name_text(statement.name.text))
    return _joined(head, statement.cascade and "CASCADE")


@statement_text.register
def _(statement: statements.ShowConnections) -> str:
    return _joined("SHOW CONNECTIONS", _like(statement.like))


@statement_text.register
def _(statement: statements.DescribeConnection) -> str:
    return f"DESCRIBE CONNECTION {name_text(statement.name.text)}"


@statement_text.register
def _(statement: statements.ShowCreate) -> str:
    return f"SHOW CREATE S3 CONNECTION {name_text(statement.name.text)}"


@statement_text.register
def _(statement: statements.TestConnection) -> str:
    place = f"LOCATION {value_text(statement.location)}" if statement.location else ""
    return _joined(f"TEST CONNECTION {name_text(statement.name.text)}", place, statement.with_write and "WITH WRITE")


@statement_text.register
def _(statement: statements.UseConnection) -> str:
    return f"USE CONNECTION {name_text(statement.name.text)}"


@statement_text.register
def _(statement: statements.Help) -> str:
    return _joined("HELP", statement.topic)


@statement_text.register
def _(statement: statements.ShowBuckets) -> str:
    return _joined("SHOW BUCKETS", _using(statement.using), _like(statement.like))


@statement_text.register
def _(statement: statements.ListObjects) -> str:
    flags = _joined(statement.recursive and "RECURSIVE", statement.versions and "VERSIONS")
    matching = f"MATCHING {value_text(statement.matching)}" if statement.matching else ""
    return _joined(
        "LIST", _value(statement.location), _using(statement.using), flags, matching, _limit(statement.limit)
    )


@statement_text.register
def _(statement: statements.ListInventory) -> str:
    matching = f"MATCHING {value_text(statement.matching)}" if statement.matching else ""
    return _joined(
        "LIST FROM INVENTORY", _value(statement.location), _using(statement.using), matching, _limit(statement.limit)
    )


@statement_text.register
def _(statement: statements.Explore) -> str:
    return _joined("EXPLORE", _value(statement.location), _using(statement.using), "ASIDE" * statement.aside)


@statement_text.register
def _(statement: statements.ExploreAll) -> str:
    return _joined("EXPLORE ALL CONNECTIONS", "ASIDE" * statement.aside)


@statement_text.register
def _(statement: statements.Analyze) -> str:
    by = statement.by != "PREFIX" and f"BY {statement.by}"
    depth = f"DEPTH {statement.depth.value}" if statement.depth else ""
    report = f"FROM INVENTORY {_value(statement.inventory)}" if statement.inventory else ""
    return _joined("ANALYZE", _value(statement.location), report, _using(statement.using), by, depth)


@statement_text.register
def _(statement: statements.Discover) -> str:
    report = f"FROM INVENTORY {_value(statement.inventory)}" if statement.inventory else ""
    depth = f"DEPTH {statement.depth.value}" if statement.depth else ""
    sample = f"SAMPLE {statement.sample.value}" if statement.sample else ""
    rest = [statement.exact and "ROWS = EXACT", statement.into_tables and "INTO TABLES"]
    place = _value(statement.location)
    return _joined("DISCOVER", place, report, _using(statement.using), depth, sample, *rest)


def _side(statement: statements.ComparedSide) -> str:
    as_of = f"AS OF {value_text(statement.as_of)}" if statement.as_of else ""
    report = statement.report and "FROM INVENTORY"
    return _joined("", _value(statement.location), report, as_of, _using(statement.using)).strip()


@statement_text.register
def _(statement: statements.Compare) -> str:
    by = statement.by != "ETAG" and f"BY {statement.by}"
    return _joined("COMPARE", _side(statement.left), "WITH", _side(statement.right), by)


def _subject(statement: statements.DescribeRows | statements.Summarize) -> str:
    if statement.query is not None:
        return statement.query.value.reveal()
    if statement.table is not None:
        return name_text(statement.table.text)
    return _joined("", _value(statement.location), _using(statement.using)).strip()


@statement_text.register
def _(statement: statements.DescribeRows) -> str:
    return _joined("DESCRIBE", _subject(statement))


@statement_text.register
def _(statement: statements.Summarize) -> str:
    percent = f"SAMPLE {statement.percent.value} PERCENT" if statement.percent else ""
    return _joined("SUMMARIZE", _subject(statement), percent)


@statement_text.register
def _(statement: statements.Preview) -> str:
    version = f"VERSION {_value(statement.version)}" if statement.version else ""
    return _joined("PREVIEW", _value(statement.location), version, _using(statement.using), _limit(statement.limit))


@statement_text.register
def _(statement: statements.SetSetting) -> str:
    value = (
        statement.value.value if isinstance(statement.value, statements.WordLiteral) else value_text(statement.value)
    )
    return f"SET {statement.name.text} = {value}"


@statement_text.register
def _(_: statements.ShowSettings) -> str:
    return "SHOW SETTINGS"


@statement_text.register
def _(_: statements.StartSandbox) -> str:
    return "START SANDBOX"


@statement_text.register
def _(_: statements.StopSandbox) -> str:
    return "STOP SANDBOX"


@statement_text.register
def _(statement: statements.CreateCopyJob | statements.CreateInsertJob) -> str:
    head = _joined("CREATE", statement.sync and "SYNC", "JOB", statement.if_not_exists and "IF NOT EXISTS")
    head = f"{head} {name_text(statement.name.text)} AS"
    settings = " ".join(map(_job_setting, statement.settings))
    connection = name_text(statement.connection.text)
    if isinstance(statement, statements.CreateCopyJob):
        expected = " ".join(f"WITH {_expectation(each)}" for each in statement.expectations)
        return f"{head} COPY FROM S3 {connection} {settings} INTO {_parts(statement.into)} {expected}"
    return f"{head} INSERT INTO S3 {connection} {settings} {statement.query.value.reveal()}"


def _parts(table: statements.TableName) -> str:
    return ".".join(map(identifier, table.parts))


def _expectation(written: statements.Expectation) -> str:
    name, predicate = name_text(written.name.text), written.predicate.value.reveal()
    return f"EXPECTATION {name} EXPECT {predicate} ON VIOLATION {written.violated}"


def _inserting(statement: statements.InsertInto | statements.CreateTableJob) -> str:
    columns = f"({', '.join(map(identifier, statement.columns))})" if statement.columns else ""
    without = f"EXCEPT {', '.join(identifier(name.text) for name in statement.without)}" if statement.without else ""
    return _joined(columns, statement.by_name and f"MAP_COLUMNS_BY_NAME {without}")


@statement_text.register
def _(statement: statements.CreateTableJob) -> str:
    settings = " ".join(map(_job_setting, statement.settings))
    not_there = statement.if_not_exists and "IF NOT EXISTS"
    written = statement.merge or statement.query
    assert written is not None
    if statement.into is None:
        head = _joined("CREATE MATERIALIZED VIEW", not_there, _table_text(statement.name), settings)
        return f"{head} AS {written.value.reveal()}"
    head = _joined("CREATE", statement.sync and "SYNC", "JOB", not_there, name_text(statement.name.text), settings)
    does = "MERGE" if statement.merge else "INSERT"
    return _joined(f"{head} AS {does} INTO {_parts(statement.into)}", _inserting(statement), written.value.reveal())


@statement_text.register
def _(statement: statements.RunJob) -> str:
    return f"RUN JOB {name_text(statement.name.text)}"


@statement_text.register
def _(_: statements.RunJobs) -> str:
    return "RUN JOBS"


@statement_text.register
def _(statement: statements.AlterJob) -> str:
    head = f"ALTER JOB {name_text(statement.name.text)}"
    if statement.expectations:
        return f"{head} ADD {_expectation(statement.expectations[0])}"
    if statement.dropped:
        return f"{head} DROP EXPECTATION {name_text(statement.dropped.text)}"
    return f"{head} SET {' '.join(map(_job_setting, statement.settings))}"


@statement_text.register
def _(statement: statements.PauseJob | statements.ResumeJob) -> str:
    return f"{'PAUSE' if isinstance(statement, statements.PauseJob) else 'RESUME'} JOB {name_text(statement.name.text)}"


@statement_text.register
def _(statement: statements.ShowCreateJob) -> str:
    return f"SHOW CREATE JOB {name_text(statement.name.text)}"


@statement_text.register
def _(statement: statements.ShowCreateTable) -> str:
    return f"SHOW CREATE TABLE {_table_text(statement.name)}"


@statement_text.register
def _(statement: statements.DropJob) -> str:
    what = "DROP MATERIALIZED VIEW" if statement.view else "DROP JOB"
    data = f"DELETE_DATA = {value_text(statement.delete_data)}" if statement.delete_data else ""
    return _joined(what, statement.if_exists and "IF EXISTS", name_text(statement.name.text), data)


@statement_text.register
def _(statement: statements.ShowJobs) -> str:
    return _joined("SHOW JOBS", _like(statement.like))


@statement_text.register
def _(statement: statements.ShowJobErrors) -> str:
    return f"SHOW JOB {name_text(statement.name.text)} ERRORS"


@statement_text.register
def _(statement: statements.Query) -> str:
    return statement.query.value.reveal()


@statement_text.register
def _(statement: statements.ExplainAnalyze) -> str:
    return f"EXPLAIN ANALYZE {statement.query.value.reveal()}"


@statement_text.register
def _(statement: statements.Explain) -> str:
    return f"EXPLAIN {statement_text(statement.statement)}"


@statement_text.register
def _(statement: statements.SaveConnections) -> str:
    return _joined("SAVE", statement.or_replace and "OR REPLACE", f"CONNECTIONS TO {value_text(statement.path)}")


@statement_text.register
def _(statement: statements.CreateTable) -> str:
    kind = "ICEBERG TABLE" if statement.iceberg else "TABLE"
    head = _joined("CREATE", statement.or_replace and "OR REPLACE", kind, statement.if_not_exists and "IF NOT EXISTS")
    partitions = ", ".join(name.text for name in statement.partitioned)
    keys = ", ".join(identifier(name.text) for name in statement.keys)
    clauses = _joined(
        partitions and f"PARTITIONED BY ({partitions})",
        keys and f"PRIMARY KEY ({keys})",
        " ".join(map(_job_setting, statement.settings)),
    )
    place = f"LOCATION {value_text(statement.location)}" if statement.location else ""
    query = f"AS {statement.query.value.reveal()}" if statement.query else ""
    columns = statement.columns.value.reveal() if statement.columns else ""
    return _joined(head, _table_text(statement.name), columns, clauses, place, _using(statement.using), query)


@statement_text.register
def _(statement: statements.DropTable) -> str:
    data = f"DELETE_DATA = {value_text(statement.delete_data)}" if statement.delete_data else ""
    rest = " ".join(map(_job_setting, statement.settings))
    return _joined("DROP TABLE", statement.if_exists and "IF EXISTS", _table_text(statement.name), data, rest)


def _table_text(name: statements.Name) -> str:
    return name.text if "." in name.text else name_text(name.text)


@statement_text.register
def _(statement: statements.AlterTable) -> str:
    return f"ALTER TABLE {_table_text(statement.name)} SET {' '.join(map(_job_setting, statement.settings))}"


@statement_text.register
def _(statement: statements.InsertInto) -> str:
    query = statement.query.value.reveal()
    return _joined("INSERT INTO", _table_text(statement.name), _inserting(statement), query)


@statement_text.register
def _(statement: statements.MergeInto) -> str:
    return f"MERGE INTO {_table_text(statement.name)} {statement.query.value.reveal()}"


@statement_text.register
def _(statement: statements.OptimizeTable) -> str:
    return f"OPTIMIZE TABLE {_table_text(statement.name)}"


@statement_text.register
def _(statement: statements.ShowSnapshots) -> str:
    return f"SHOW SNAPSHOTS {_table_text(statement.name)}"


@statement_text.register
def _(statement: statements.ShowTables) -> str:
    return _joined("SHOW TABLES", _like(statement.like))


def value_text(value: statements.Value) -> str:
    """A value as it is written, secrets too."""
    if isinstance(value, statements.StringLiteral):
        return literal(value.value.reveal())
    if isinstance(value, statements.BooleanLiteral):
        return str(value.value).upper()
    if isinstance(value, statements.IntegerLiteral):
        return str(value.value)
    if isinstance(value, statements.ListLiteral):
        return f"({', '.join(map(value_text, value.items))})"
    return source_text(value)


def _job_setting(statement: statements.JobSetting) -> str:
    if statement.value is None:
        return statement.name.text
    name = (
        identifier(statement.name.text) if isinstance(statement.value, statements.Expression) else statement.name.text
    )
    return f"{name} = {_job_value(statement.value)}"


def _job_value(value: statements.JobValue) -> str:
    if isinstance(value, statements.Group):
        items = (
            _job_setting(statement) if isinstance(statement, statements.JobSetting) else _job_value(statement)
            for statement in value.items
        )
        return f"({', '.join(items)})"
    if isinstance(value, statements.Expression):
        return value.value.reveal()
    if isinstance(value, statements.Interval):
        return f"{value.value // timedelta(seconds=1)} SECONDS"
    return identifier(value.text) if isinstance(value, statements.Name) else value_text(value)


def _joined(*parts: str | bool) -> str:
    """The parts that there are, with a blank between them."""
    return " ".join(part for part in parts if isinstance(part, str) and part)


def _settings(settings: tuple[statements.OptionSetting, ...]) -> str:
    return " ".join(f"{statement.name.text} = {value_text(statement.value)}" for statement in settings)


def _value(value: statements.Value | None) -> str:
    return "" if value is None else value_text(value)


def _using(name: statements.Name | None) -> str:
    return f"USING {name_text(name.text)}" if name else ""


def _like(pattern: str | None) -> str:
    return "" if pattern is None else f"LIKE {literal(pattern)}"


def _limit(limit: int | str | None) -> str:
    return "" if limit is None else f"LIMIT {limit}"
