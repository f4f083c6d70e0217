"""Pieces of SQL for DuckDB: quoted texts and names, a block that is done whole, and tables as of another time."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes import Moment
from s3conn_magic.language.words import identifier, literal, table_parts, table_text
from s3conn_magic.locations import looks_pasted
from s3conn_magic.query.names import nodes, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import duckdb

    from s3conn_magic.query.names import QueryTree, SqlWord

__all__ = ["identifier", "literal", "transaction"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


PLACED = """database_name = coalesce(?, current_database())
AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)"""
"""Which rows of DuckDB's views of columns and the like are of a table; `placed` gives the values."""


def qualified(table: str) -> str:
    """A table's name in a statement, by the text that `table_text` makes of it."""
    return ".".join(identifier(part) for part in placed(table) if part is not None)


def behind(table: str) -> str:
    """The name of the view that reads the files of a table over files, which no other table's name is."""
    return f"{table} (files)" if "." in table else table


def placed(table: str) -> list[str | None]:
    """The catalog (None for the database itself), the schema and the name of a table."""
    *within, name = table_parts(table)
    schema = within[-1] if within else "main"
    return [within[0] if len(within) > 1 else None, schema, name]


@contextmanager
def transaction(database: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All that a block does, or nothing of it."""
    import duckdb

    database.execute("BEGIN TRANSACTION")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # An interrupt may hit the roll-back, too; what was not committed is rolled back in any case.
        for _ in range(3):
            with suppress(duckdb.Error):
                database.execute("ROLLBACK")
                break
        raise


class TimeTravel(NamedTuple):
    """A table with `AT (VERSION => …)` or `AT (TIMESTAMP => …)` in a query.

    Attributes:
        table: its name or path; names behind a schema or a catalog in full.
        path: its name as it is, where it stands alone.
        start: the byte that its name begins at.
        end: the byte behind the clause.
        alias: what else stands there: its alias as written, or one that is its name.
        is_time: whether a time is wanted.
        expression: the version or time, in SQL.
        parameters: names of `$name` in that.
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
    """The tables that a query wants as of another time."""
    sequence, encoded = words(tree.sql), tree.sql.encode()
    made = []
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
        given = tuple(part["identifier"] for part in nodes(clause) if part.get("class") == "PARAMETER")
        is_time = clause["unit"].upper() == "TIMESTAMP"
        made.append(TimeTravel(table_text(parts), path, start, own[-1].end, alias, is_time, expression, given))
    return made


def _clause(own: Sequence[SqlWord]) -> tuple[int, int]:
    """Where `AT` stands among the words of a table, and the end of the `=>` behind it."""
    at = max(place for place, word in enumerate(own[:-1]) if word.text == "AT" and own[place + 1].text == "(")
    return at, next(place for place in range(at, len(own)) if own[place].text == ">")


class Travel(NamedTuple):
    """A table that a query wants as of another time: what is written, the name that stands in its place, the time."""

    written: TimeTravel
    stands: str
    moment: Moment


def travelling(database: duckdb.DuckDBPyConnection, tree: QueryTree, parameters: Mapping[str, Any]) -> list[Travel]:
    """What a query wants by `AT (VERSION => …)` and `AT (TIMESTAMP => …)`.

    Raises:
        QueryError: a version is no number or text.
        duckdb.Error: it cannot be worked out.
    """
    travels = []
    for at, part in enumerate(time_travels(tree)):
        given = {name: parameters[name] for name in part.parameters}
        value = f"epoch_us(({part.expression}\n)::TIMESTAMPTZ)" if part.is_time else f"({part.expression}\n)"
        ((answer,),) = database.execute(f"SELECT {value}", given or None).fetchall()
        if not isinstance(answer, int | str):
            raise QueryError("AT takes a VERSION, which is a number or a text, or a TIMESTAMP")
        moment = Moment(time=_EPOCH + timedelta(microseconds=int(answer))) if part.is_time else Moment(answer)
        travels.append(Travel(part, f"at {at}", moment))
    return travels


def without_times(
    tree: QueryTree, travels: Iterable[Travel], parameters: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """A query with other names in place of tables as of another time, of the same length; and its parameters."""
    text, left = bytearray(tree.sql.encode()), Counter(tree.parameters())
    for written, stands, _ in travels:
        name = f'"{stands}"{written.alias}'.encode()
        text[written.start : written.end] = name.ljust(written.end - written.start)
        left.subtract(written.parameters)
    return text.decode(), {name: value for name, value in parameters.items() if left[name]}
