"""SQL fragments for DuckDB: quoting, JSON text, transactions, types, and time travel."""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes import Moment
from s3conn_magic.language.words import identifier, literal, table_parts, table_text
from s3conn_magic.locations import looks_pasted, visible
from s3conn_magic.query.names import nodes, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from s3conn_magic.query.names import QueryTree, SqlWord

__all__ = ["identifier", "literal", "transaction"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


PLACED = """database_name = coalesce(?, current_database())
AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)"""
"""Condition on DuckDB's catalog views that selects a table; `placed` returns the values."""


def qualified(table: str) -> str:
    """Return the SQL name of a table, from its `table_text`."""
    return ".".join(identifier(part) for part in placed(table) if part is not None)


def behind(table: str) -> str:
    """Return the name of the view that reads the files of a table; no other table can have it."""
    return f"{table} (files)" if "." in table else table


def placed(table: str) -> list[str | None]:
    """Return catalog (None for the session's), schema and name of a table."""
    *within, name = table_parts(table)
    schema = within[-1] if within else "main"
    return [within[0] if len(within) > 1 else None, schema, name]


@contextmanager
def transaction(database: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Run a block in a transaction."""
    import duckdb

    database.execute("BEGIN TRANSACTION")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # An interrupt may hit the rollback too; what is not committed is rolled back in any case.
        for _ in range(3):
            with suppress(duckdb.Error):
                database.execute("ROLLBACK")
                break
        raise


_FIRST = "s3conn_magic_first_rows"


@contextmanager
def first_rows(database: duckdb.DuckDBPyConnection, quick: str, source: str, count: int) -> Iterator[str]:
    """Yield the name of a table of the first rows, in batches that all of DuckDB's threads process.

    Args:
        database: reads them.
        quick: their FROM clause, which may fail or lack some.
        source: the one that counts then.
        count: how many.

    Raises:
        duckdb.Error: they cannot be read.
    """
    import duckdb
    import pyarrow as pa

    rows, first = pa.table({}), f"SELECT * FROM {{}} LIMIT {count}"  # noqa: S608 - readers, and a number
    with suppress(duckdb.InvalidInputException, duckdb.NotImplementedException):
        rows = database.sql(first.format(quick)).to_arrow_table()
    if rows.num_rows < count:
        rows = database.sql(first.format(source)).to_arrow_table()
    batches = rows.combine_chunks().to_batches(max_chunksize=-(-count // 8))
    database.register(_FIRST, pa.Table.from_batches(batches, rows.schema))
    try:
        yield _FIRST
    finally:
        database.unregister(_FIRST)


class TimeTravel(NamedTuple):
    """A table with `AT (VERSION => …)` or `AT (TIMESTAMP => …)` in a query.

    Attributes:
        table: its name or path; in full if qualified.
        path: its unqualified name as written.
        start: byte where its name begins.
        end: byte after the clause.
        alias: as written, or one that is its name.
        is_time: whether the clause has a time.
        expression: version or time, as SQL.
        parameters: names of `$name` in it.
    """

    table: str
    path: str
    start: int
    end: int
    alias: str
    is_time: bool
    expression: str
    parameters: tuple[str, ...]


def time_travels(tree: QueryTree) -> list[TimeTravel]:
    """Return the tables of a query as of another time."""
    sequence, encoded = words(tree.sql), tree.sql.encode()
    travels = []
    for node in tree.nodes():
        if node.get("type") != "BASE_TABLE" or not (clause := node.get("at_clause")):
            continue
        start = tree.position({"query_location": node["query_location"]}) or 0
        own = [word for word in sequence if start <= word.start < start + node["query_location_length"]]
        (at, arrow) = _clause(own)
        name_end = next(place for place in range(0, len(own), 2) if own[place + 1].text != ".")
        between = encoded[own[name_end].end : own[at].start].decode().rstrip()
        named = f" AS {encoded[own[name_end].start : own[name_end].end].decode()}"
        parts = node["qualified_name"]["path"]
        path = str(parts[-1]) if len(parts) == 1 else ""
        alias = between or ("" if path.startswith("s3://") or looks_pasted(path) else named)
        expression = encoded[own[arrow].end : own[-1].start].decode()
        parameters = tuple(part["identifier"] for part in nodes(clause) if part.get("class") == "PARAMETER")
        is_time = clause["unit"].upper() == "TIMESTAMP"
        travels.append(TimeTravel(table_text(parts), path, start, own[-1].end, alias, is_time, expression, parameters))
    return travels


def _clause(own: Sequence[SqlWord]) -> tuple[int, int]:
    """Return the position of `AT` among the words of a table, and the end of its `=>`."""
    at = max(place for place, word in enumerate(own[:-1]) if word.text == "AT" and own[place + 1].text == "(")
    return at, next(place for place in range(at, len(own)) if own[place].text == ">")


class TableOfAnotherTime(NamedTuple):
    """A table as of another time: as written, its substitute name, and the time."""

    written: TimeTravel
    stands: str
    moment: Moment


def travelling(
    database: duckdb.DuckDBPyConnection, tree: QueryTree, parameters: Mapping[str, Any]
) -> list[TableOfAnotherTime]:
    """Evaluate the `AT` clauses of a query.

    Raises:
        QueryError: a version is neither a number nor a text.
        duckdb.Error: an expression failed.
    """
    travels = []
    for at, part in enumerate(time_travels(tree)):
        given = {name: parameters[name] for name in part.parameters}
        value = f"epoch_us(({part.expression}\n)::TIMESTAMPTZ)" if part.is_time else f"({part.expression}\n)"
        ((answer,),) = database.execute(f"SELECT {value}", given or None).fetchall()
        if not isinstance(answer, int | str):
            hint = "Write AT (VERSION => 3), or AT (TIMESTAMP => TIMESTAMP '2026-11-30 12:00:00')."
            raise QueryError("AT takes a VERSION, which is a number or a text, or a TIMESTAMP", hint=hint)
        moment = Moment(time=_EPOCH + timedelta(microseconds=int(answer))) if part.is_time else Moment(answer)
        travels.append(TableOfAnotherTime(part, f"at {at}", moment))
    return travels


REFUSED = "does more than read, and a query may only read"
"""Message for a known function or argument that is refused."""
OF_THE_SESSION = {
    "system.information_schema.connections": "$connections",
    "system.information_schema.jobs": "$jobs",
    "system.information_schema.tables": "$tables",
    "system.information_schema.columns": "$columns",
    "system.monitoring.jobs": "$jobs",
    "system.monitoring.expectations": "$expectations",
}
"""Tables about the session, and the name by which a query finds each."""


class _Named(NamedTuple):
    """A table about the session in a query: its substitute, and the bytes of its name."""

    stands: str
    alias: str
    start: int
    end: int


def of_the_session(tree: QueryTree) -> list[_Named]:
    """Return the tables of `OF_THE_SESSION` that a query reads."""
    sequence, tables = words(tree.sql), []
    for node in tree.nodes():
        path: list[str] = node["qualified_name"]["path"] if node.get("type") == "BASE_TABLE" else []
        if (substitute := OF_THE_SESSION.get(".".join(map(str, path)).lower())) is not None:
            start = tree.position({"query_location": node["query_location"]}) or 0
            own = [word for word in sequence if word.start >= start][: 2 * len(path) - 1]
            alias = "" if node.get("alias") else f" AS {path[-1]}"
            tables.append(_Named(substitute, alias, own[0].start, own[-1].end))
    return tables


def with_other_names(
    tree: QueryTree, travels: Iterable[TableOfAnotherTime], parameters: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """Return a query with substitute names, of the same length, for those tables, and its parameters."""
    text, left = bytearray(tree.sql.encode()), Counter(tree.parameters())
    for substitute, alias, start, end in of_the_session(tree):
        text[start:end] = f'"{substitute}"{alias}'.encode().ljust(end - start)
    for written, substitute, _ in travels:
        name = f'"{substitute}"{written.alias}'.encode()
        text[written.start : written.end] = name.ljust(written.end - written.start)
        left.subtract(written.parameters)
    return text.decode(), {name: value for name, value in parameters.items() if left[name]}


# Values outside the session's database


def scratch_database() -> duckdb.DuckDBPyConnection:
    """Return a connection to an empty DuckDB without access to files or the network, for values in memory."""
    return _empty(os.getpid()).cursor()


@cache
def _empty(process: int) -> duckdb.DuckDBPyConnection:  # noqa: ARG001 - a process that was forked has its own
    import duckdb

    database = duckdb.connect(config={"threads": 1, "enable_external_access": False})
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    return database


def answered(query: str, **tables: pa.Table) -> pa.Table:
    """Run a query over tables in memory, in such a database.

    Raises:
        QueryError: it failed, for example for a type that DuckDB lacks.
    """
    import duckdb

    database = scratch_database()
    try:
        for name, table in tables.items():
            database.register(name, table)
        return database.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise QueryError(str(error), hint="Leave that column out.") from None


# JSON

DIGITS = 15
"""Decimal digits that every double preserves."""
JSON_STRING = r'"(?:[^"\\]|\\.)*"'
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
# More digits than a double preserves; DuckDB's JSON parser keeps integers up to 19.
_MANY = "|".join(
    [
        *(rf"[1-9][0-9]{{{front - 1}}}\.[0-9]{{{DIGITS + 1 - front}}}" for front in range(1, DIGITS + 1)),
        rf"0\.0*[1-9][0-9]{{{DIGITS}}}",
        *(rf"[1-9][0-9]{{{DIGITS},}}{behind}" for behind in (r"\.[0-9]", "[eE][+-]?[0-9]")),
        "[1-9][0-9]{19}",
    ]
)
_LONG_NUMBER = rf"-?(?:{_MANY})[0-9]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_LONG_INTEGER = r"[:\[,]\s*-?[0-9]{16}"
_BETWEEN, _SIGN = "\x01", "#"
SIGNED = rf"\u0001{_SIGN}"
"""Prefix of the string that represents a number as written, in JSON text."""


def numbers_as_written(document: str) -> str:
    """Return SQL of a JSON document with numbers as `SIGNED` strings: DuckDB's parser writes 1.50 as 1.5.

    Args:
        document: SQL of its text, which must not contain `SIGNED`.
    """
    return _signed(document, _NUMBER, "")


def long_numbers_as_written(document: str) -> str:
    """Return the same for only the numbers that DuckDB's parser would round, which are rare."""
    looks = rf"[:\[,]\s*{_LONG_NUMBER}"
    signed = _signed(document, _LONG_NUMBER, _NUMBER)
    # Most numbers of 16 and 17 digits are the text of a double, and survive the parser.
    changed = f"{without_spaces(f'json({document})')} <> {without_spaces(document)}"
    return f"CASE WHEN regexp_matches({document}, {literal(looks)}) AND {changed} THEN {signed} ELSE {document} END"


def without_spaces(document: str) -> str:
    """Return SQL of JSON text without the spaces after commas and colons that Python, for one, writes."""
    return f"replace(replace({document}::VARCHAR, ', ', ','), ': ', ':')"


def _signed(document: str, number: str, other: str) -> str:
    """Return SQL that replaces numbers; it matches strings and other numbers as a whole to skip their contents."""
    passed = rf"{JSON_STRING}|{other}" if other else JSON_STRING
    matched = rf"{_BETWEEN}\1{_BETWEEN}\2"
    pattern = f"({number})|({passed})"
    between = f"regexp_replace({document}, {literal(pattern)}, {literal(matched)}, 'g')"
    bare = f"replace({between}, {literal(_BETWEEN * 2)}, '')"
    signed = rf'"\\u0001{_SIGN}\1"'
    return f"regexp_replace({bare}, {literal(f'{_BETWEEN}([^{_BETWEEN}]*){_BETWEEN}')}, {literal(signed)}, 'g')"


def unsigned(text: str) -> str:
    """Return SQL of JSON text with `SIGNED` strings as numbers again."""
    return rf"""regexp_replace({text}, '"\\u0001{_SIGN}([^"]*)"', '\1', 'g')"""


def number_text(string: str) -> str:
    """Return SQL of the number in a `SIGNED` string; any other text stays."""
    return f"ltrim({string}, chr(1) || '{_SIGN}')"


def has_long_integer(value: str) -> str:
    """Return SQL that tests whether a JSON value may have an integer that no double holds."""
    return f"regexp_matches({value}::VARCHAR, {literal(_LONG_INTEGER)})"


def is_there(value: str) -> str:
    """Return SQL that tests whether a JSON value exists and is not null."""
    return f"({value} IS NOT NULL AND {value}::VARCHAR <> 'null')"


def is_string(value: str) -> str:
    """Return SQL that tests whether a JSON value is a string, not a `SIGNED` number."""
    text = f"{value}::VARCHAR"
    return f"(starts_with({text}, {literal(chr(34))}) AND NOT starts_with({text}, {literal(chr(34) + SIGNED)}))"


def plain_numbers(value: str) -> str:
    """Return SQL of a JSON value with plain numbers."""
    return f"{unsigned(f'{value}::VARCHAR')}::JSON"


def pointers(names: Iterable[str]) -> str:
    """Return JSON pointers (RFC 6901) of fields."""
    paths = ("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    return f"[{', '.join(map(literal, paths))}]"


def names_once(value: str, shape: Any, deep: int = 0) -> str:
    """Return whether no object in a JSON value has a name twice, of which DuckDB keeps the first; empty if none can."""
    if isinstance(shape, list):
        inner = names_once(f"e{deep}", shape[0], deep + 1)
        return f"len(list_filter(json_extract({value}, '$[*]'), lambda e{deep}: NOT {inner})) = 0" if inner else ""
    if not isinstance(shape, dict) or not shape:
        return ""
    keys = f"json_keys({value})"
    parts = (names_once(f"json_extract({value}, {pointers([name])}[1])", part, deep) for name, part in shape.items())
    return f"coalesce({' AND '.join([f'list_unique({keys}) = len({keys})', *filter(None, parts)])}, true)"


def names_twice(database: duckdb.DuckDBPyConnection, document: str, rows: str, shapes: Mapping[str, Any]) -> list[str]:
    """Return the fields of JSON records that hold an object with a name twice."""
    once = {name: names_once(f"fields[{at}]", shape) for at, (name, shape) in enumerate(shapes.items(), 1)}
    asked = {name: f"bool_and({text})" for name, text in once.items() if text}
    fields = f"SELECT json_extract({document}, {pointers(shapes)}) AS fields FROM {rows}"  # noqa: S608
    values = database.execute(f"SELECT {', '.join(asked.values())} FROM ({fields})").fetchall() if asked else [()]  # noqa: S608
    return [name for name, is_once in zip(asked, values[0], strict=True) if is_once is False]


# Types

_WHOLE_DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 20, "hugeint": 39}
_TIMES = ("date", "timestamp_s", "timestamp_ms", "timestamp", "timestamp with time zone", "timestamp_ns")


def holds_all_of(wide: Any, kind: Any) -> bool:
    """Return whether a type holds each value of another unchanged, at any depth, or fails out of range."""
    if wide == kind or kind.id == "null" or wide.id == "varchar":
        return True
    if kind.id in ("list", "array", "struct", "map") and wide.id == kind.id:
        parts, own = ({name.casefold(): part for name, part in each.children} for each in (wide, kind))
        return all(part == parts.get(name) or holds_all_of(parts[name], part) for name, part in own.items())
    if wide.id in _TIMES and kind.id in _TIMES:
        return _TIMES.index(wide.id) >= _TIMES.index(kind.id)
    digits = _digits_of(kind)
    if wide.id in ("float", "double"):
        return kind.id == "float" or digits in ([(3, 0), (5, 0), (10, 0)] if wide.id == "double" else [(3, 0), (5, 0)])
    room = _digits_of(wide)
    return digits is not None and room is not None and digits[0] <= room[0] and digits[1] <= room[1]


def _digits_of(kind: Any) -> tuple[int, int] | None:
    """Return the digits of a type before and after the point, or None."""
    if kind.id == "decimal":
        sizes = dict(kind.children)
        return sizes["precision"] - sizes["scale"], sizes["scale"]
    whole = _WHOLE_DIGITS.get(kind.id.removeprefix("u"))
    return None if whole is None else (whole, 0)


def check_widened(
    database: duckdb.DuckDBPyConnection, common: str, alike: Iterable[tuple[str, str]], hint: Callable[[str], str]
) -> None:
    """Check that no value changes in the type common to all files.

    Args:
        database: reads them.
        common: query over one file of each schema.
        alike: for each schema, a FROM item for one file and one for all files.
        hint: returns the hint for the type that a column would get.

    Raises:
        QueryError: a value would change.
    """
    all_ = database.sql(common)
    wider = dict(zip(map(str.casefold, all_.columns), all_.types, strict=True))
    for file, source in alike:
        own = database.sql(f"FROM {file}")
        for name, kind in zip(own.columns, own.types, strict=True):
            wide, column = wider[name.casefold()], identifier(name)
            changed = f"{column} IS DISTINCT FROM TRY_CAST(TRY_CAST({column} AS {wide}) AS {kind})"
            changed = f"{column} IS NOT NULL" if _counts_truth(wide, kind) else changed
            query = f"SELECT 1 FROM {source} WHERE {changed} LIMIT 1"  # noqa: S608 - quoted names
            if not holds_all_of(wide, kind) and database.execute(query).fetchall():
                said = (
                    f"the column {visible(name)} is {kind} in some files, and has values there that {wide} would change"
                )
                raise QueryError(said, hint=hint(str(wide)))


def _counts_truth(wide: Any, kind: Any) -> bool:
    """Return whether booleans would become numbers, at any depth."""
    if kind.id in ("list", "array", "struct", "map") and wide.id == kind.id:
        parts, own = ({name.casefold(): part for name, part in each.children} for each in (wide, kind))
        return any(_counts_truth(parts[name], part) for name, part in own.items() if hasattr(part, "id"))
    return bool(kind.id == "boolean" and wide.id not in ("boolean", "varchar"))


_KEPT = {
    **dict.fromkeys(
        ("boolean", "integer", "bigint", "float", "double", "varchar", "blob", "date", "time", "timestamp")
    ),
    **dict.fromkeys(("tinyint", "smallint", "utinyint", "usmallint", "null"), "INTEGER"),
    **dict.fromkeys(("timestamp_s", "timestamp_ms"), "TIMESTAMP"),
    **dict.fromkeys(("hugeint", "uhugeint"), "DECIMAL(38,0)"),
    **dict.fromkeys(("enum", "uuid"), "VARCHAR"),
    "uinteger": "BIGINT",
    "ubigint": "DECIMAL(20,0)",
    "timestamp with time zone": "TIMESTAMPTZ",
}
"""Iceberg's lossless type for each of DuckDB's; None for the same."""


_WIDER = {("INTEGER", "BIGINT"), ("FLOAT", "DOUBLE")}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def is_wider(kind: str, than: str) -> bool:
    """Return whether Iceberg can widen a column from one type to the other without loss."""
    new, old = _DECIMAL.fullmatch(kind), _DECIMAL.fullmatch(than)
    return (than, kind) in _WIDER or bool(new and old and new[2] == old[2] and int(new[1]) > int(old[1]))


def kept_as(kind: Any, column: str) -> str:
    """Return the type of Iceberg, named as in DuckDB, that holds each value of a type unchanged, at any depth.

    Raises:
        QueryError: there is none.
    """
    if kind.id in _KEPT:
        return _KEPT[kind.id] or kind.id.upper()
    if kind.id == "decimal":
        return str(kind)
    parts = [(name, part) for name, part in getattr(kind, "children", ()) if not isinstance(part, int)]
    if kind.id in {"list", "array"}:
        return f"{kept_as(parts[0][1], column)}[]"
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{identifier(name)} {kept_as(part, column)}' for name, part in parts)})"
    if kind.id == "map":
        return f"MAP({', '.join(kept_as(part, column) for _, part in parts)})"
    raise QueryError(
        f"the column {visible(column)} is {kind}, which Iceberg has no type for",
        hint=_INSTEAD.get(kind.id, f"{identifier(column)}::VARCHAR has its values as text."),
    )


_INSTEAD = {"timestamp_ns": "A cast to TIMESTAMP keeps microseconds; to VARCHAR all of it."}


def kept_rows(
    database: duckdb.DuckDBPyConnection, source: str, casts: Mapping[str, str] | None = None, more: Iterable[str] = ()
) -> str:
    """Return a query of a source's rows in Iceberg's types.

    Args:
        database: has the source.
        source: SQL of a table or a parenthesized query.
        casts: SQL of columns that need something other than a cast.
        more: SQL of further columns.

    Raises:
        QueryError: Iceberg has no type for a column or a value.
    """
    relation = database.sql(f"FROM {source}")
    parts = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        kept, column = kept_as(kind, name), identifier(name)
        parts.append((casts or {}).get(name, f"{column}::{kept} AS {column}"))
        if kind.id in _TIMES and database.execute(f"SELECT 1 FROM {source} WHERE isinf({column}) LIMIT 1").fetchall():  # noqa: S608
            message = f"the column {visible(name)} has an infinite date, which Iceberg does not have"
            raise QueryError(message, hint="Leave those rows out by WHERE isfinite(…), or make them NULL.")
    return f"SELECT {', '.join([*parts, *more])} FROM {source}"  # noqa: S608 - quoted names
