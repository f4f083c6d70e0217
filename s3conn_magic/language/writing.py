"""Statements → their text, which parses to the same statements.

The text holds every literal, so it is for the parser and for nobody's eyes. `render.py` writes what may be shown.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

from s3conn_magic.language import statements
from s3conn_magic.language.evaluation import source_text
from s3conn_magic.language.help import name_text
from s3conn_magic.language.jobs.writing import job_text
from s3conn_magic.language.statements import JobStatement
from s3conn_magic.language.words import literal

if TYPE_CHECKING:
    from collections.abc import Iterable


def cell_text(statements: Iterable[statements.Statement]) -> str:
    """The text of a cell, a statement to a line."""
    return "\n".join(f"{statement_text(one)};" for one in statements)


@singledispatch
def statement_text(statement: statements.Statement) -> str:
    """The text of a statement, without the `;` and without comments."""
    raise NotImplementedError(type(statement).__name__)


@statement_text.register
def _(one: statements.CreateConnection) -> str:
    head = _joined("CREATE", one.or_replace and "OR REPLACE", "S3 CONNECTION", one.if_not_exists and "IF NOT EXISTS")
    return _joined(head, name_text(one.name.text), _settings(one.settings))


@statement_text.register
def _(one: statements.AlterConnection) -> str:
    head = _joined("ALTER S3 CONNECTION", one.if_exists and "IF EXISTS", name_text(one.name.text))
    if one.rename_to:
        return f"{head} RENAME TO {name_text(one.rename_to.text)}"
    if one.unset:
        return f"{head} UNSET {', '.join(name.text for name in one.unset)}"
    return f"{head} SET {_settings(one.settings)}"


@statement_text.register
def _(one: statements.DropConnection) -> str:
    head = _joined("DROP S3 CONNECTION", one.if_exists and "IF EXISTS", name_text(one.name.text))
    return _joined(head, one.cascade and "CASCADE")


@statement_text.register
def _(one: statements.ShowConnections) -> str:
    return _joined("SHOW CONNECTIONS", _like(one.like))


@statement_text.register
def _(one: statements.DescribeConnection) -> str:
    return f"DESCRIBE CONNECTION {name_text(one.name.text)}"


@statement_text.register
def _(one: statements.ShowCreate) -> str:
    return f"SHOW CREATE S3 CONNECTION {name_text(one.name.text)}"


@statement_text.register
def _(one: statements.TestConnection) -> str:
    place = f"LOCATION {value_text(one.location)}" if one.location else ""
    return _joined(f"TEST CONNECTION {name_text(one.name.text)}", place, one.with_write and "WITH WRITE")


@statement_text.register
def _(one: statements.UseConnection) -> str:
    return f"USE CONNECTION {name_text(one.name.text)}"


@statement_text.register
def _(one: statements.Help) -> str:
    return _joined("HELP", one.topic)


@statement_text.register
def _(one: statements.ShowBuckets) -> str:
    return _joined("SHOW BUCKETS", _using(one.using), _like(one.like))


@statement_text.register
def _(one: statements.ListObjects) -> str:
    flags = _joined(one.recursive and "RECURSIVE", one.versions and "VERSIONS")
    matching = f"MATCHING {value_text(one.matching)}" if one.matching else ""
    return _joined("LIST", _value(one.location), _using(one.using), flags, matching, _limit(one.limit))


@statement_text.register
def _(one: statements.ListInventory) -> str:
    matching = f"MATCHING {value_text(one.matching)}" if one.matching else ""
    return _joined("LIST FROM INVENTORY", _value(one.location), _using(one.using), matching, _limit(one.limit))


@statement_text.register
def _(one: statements.Explore) -> str:
    return _joined("EXPLORE", _value(one.location), _using(one.using))


@statement_text.register
def _(_: statements.ExploreAll) -> str:
    return "EXPLORE ALL CONNECTIONS"


@statement_text.register
def _(one: statements.Analyze) -> str:
    by = one.by != "PREFIX" and f"BY {one.by}"
    depth = f"DEPTH {one.depth.value}" if one.depth else ""
    return _joined("ANALYZE", _value(one.location), _using(one.using), by, depth)


@statement_text.register
def _(one: statements.Preview) -> str:
    return _joined("PREVIEW", _value(one.location), _using(one.using), _limit(one.limit))


@statement_text.register
def _(one: statements.SetSetting) -> str:
    value = one.value.value if isinstance(one.value, statements.WordLiteral) else value_text(one.value)
    return f"SET {one.name.text} = {value}"


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
def _(one: JobStatement) -> str:
    return job_text(one)


@statement_text.register
def _(one: statements.Query) -> str:
    return one.query.value.reveal()


@statement_text.register
def _(one: statements.ExplainAnalyze) -> str:
    return f"EXPLAIN ANALYZE {one.query.value.reveal()}"


@statement_text.register
def _(one: statements.Explain) -> str:
    return f"EXPLAIN {statement_text(one.statement)}"


@statement_text.register
def _(one: statements.SaveConnections) -> str:
    return _joined("SAVE", one.or_replace and "OR REPLACE", f"CONNECTIONS TO {value_text(one.path)}")


@statement_text.register
def _(one: statements.CreateTable) -> str:
    head = _joined("CREATE", one.or_replace and "OR REPLACE", "TABLE", one.if_not_exists and "IF NOT EXISTS")
    place = f"LOCATION {value_text(one.location)}" if one.location else ""
    query = f"AS {one.query.value.reveal()}" if one.query else ""
    columns = one.columns.value.reveal() if one.columns else ""
    return _joined(head, name_text(one.name.text), columns, place, _using(one.using), query)


@statement_text.register
def _(one: statements.DropTable) -> str:
    return _joined("DROP TABLE", one.if_exists and "IF EXISTS", name_text(one.name.text))


@statement_text.register
def _(one: statements.ShowTables) -> str:
    return _joined("SHOW TABLES", _like(one.like))


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


def _joined(*parts: str | bool) -> str:
    """The parts that there are, with a blank between them."""
    return " ".join(part for part in parts if isinstance(part, str) and part)


def _settings(settings: tuple[statements.OptionSetting, ...]) -> str:
    return " ".join(f"{one.name.text} = {value_text(one.value)}" for one in settings)


def _value(value: statements.Value | None) -> str:
    return "" if value is None else value_text(value)


def _using(name: statements.Name | None) -> str:
    return f"USING {name_text(name.text)}" if name else ""


def _like(pattern: str | None) -> str:
    return "" if pattern is None else f"LIKE {literal(pattern)}"


def _limit(limit: int | str | None) -> str:
    return "" if limit is None else f"LIMIT {limit}"
