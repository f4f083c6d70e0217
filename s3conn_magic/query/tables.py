"""The tables of a session, and the comment in which the database keeps metadata of each for the next kernel."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path as LocalPath
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import quote

from s3conn_magic.errors import QueryError, S3ConnError
from s3conn_magic.lakes import LakeRoot, TableAccess, refusal, tables_among, tables_within
from s3conn_magic.lakes.managed import ManagedTable
from s3conn_magic.language.help import table_name
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.words import table_parts, table_text
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.deleting import delete
from s3conn_magic.objects.formats import ending_of, is_told
from s3conn_magic.objects.listed import Path, escaped, private_keys
from s3conn_magic.query.sql import PLACED, behind, identifier, literal, placed, qualified, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import duckdb
    import pyarrow as pa

    from s3conn_magic.objects.filesystem import ConnectionFileSystem


MAKING = " (being made)"
"""Suffix of a table's name until it is complete."""
_OURS = "s3conn_magic: "
_ALL_TABLES = """
    SELECT CASE WHEN database_name = current_database() THEN [schema_name, table_name]
        ELSE [database_name, schema_name, table_name] END, false, coalesce(comment, ''), table_oid FROM duckdb_tables()
    WHERE NOT internal AND NOT temporary AND schema_name <> 's3conn_magic' AND NOT ends_with(table_name, ?)
    UNION ALL SELECT CASE WHEN database_name = current_database() THEN [schema_name, view_name]
        ELSE [database_name, schema_name, view_name] END, true, coalesce(comment, ''), view_oid FROM duckdb_views()
    WHERE NOT internal AND NOT temporary ORDER BY 2, 4
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the session.

    Attributes:
        name: as written at its creation.
        connections: names of the connections that it depends on.
        location: of its files, or None if DuckDB holds its rows.
        files: pattern of files whose types are detected when they are read; empty if DuckDB holds its rows.
        declared: whether it has no columns until rows are loaded.
        is_view: whether every query reads it again: it is over files, or is a view of the database.
        catalog: catalog of a table whose files are in S3; else empty.
        comment: the database's comment apart from our metadata.
        created_at: UTC.
        note: for the user, at its creation.
    """

    name: str
    connections: tuple[str, ...] = ()
    location: Location | None = None
    files: str = ""
    declared: bool = False
    is_view: bool = False
    catalog: str = ""
    comment: str = ""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    note: str = field(default="", compare=False)

    @property
    def kind(self) -> str:
        """Its kind in SQL."""
        return "VIEW" if self.is_view else "TABLE"

    def noted(self) -> str:
        """Return the SQL that stores its metadata in the database."""
        if self.comment or self.declared:
            return ""
        metadata = {"connections": self.connections, "location": self.location.uri if self.location else None}
        metadata |= {"files": self.files} if self.files else {}
        metadata |= {"catalog": self.catalog} if self.catalog else {}
        text = literal(_OURS + json.dumps(metadata)) if self.connections else "NULL"
        return f"COMMENT ON {self.kind} {qualified(self.name)} IS {text}"


def tables_of(database: duckdb.DuckDBPyConnection) -> list[Table]:
    """Return the tables of a database, then its views."""
    return [_read(*row) for *row, _ in database.execute(_ALL_TABLES, [MAKING]).fetchall()]


_CATALOGS = """SELECT lower(current_database()),
    (SELECT coalesce(list(lower(database_name)), []) FROM duckdb_databases()
        WHERE NOT internal AND database_name <> current_database()),
    (SELECT list(lower(schema_name)) FROM duckdb_schemas() WHERE database_name = current_database())"""
_NOTED = "s3conn_magic.catalogs"


def attach(database: duckdb.DuckDBPyConnection, catalog: str, path: str) -> None:
    """Attach a database for a catalog: in memory, or in a file beside the session's, which records it.

    Args:
        database: of the session.
        catalog: its name.
        path: of the session's file; empty for memory.
    """
    file = f"{path}.{quote(catalog, safe='')}" if path else ":memory:"
    database.execute(f"ATTACH {literal(file)} AS {identifier(catalog)} (TYPE duckdb)")
    if path:
        database.execute("CREATE SCHEMA IF NOT EXISTS s3conn_magic")
        database.execute(f"CREATE TABLE IF NOT EXISTS {_NOTED} (name VARCHAR)")
        database.execute(f"INSERT INTO {_NOTED} SELECT $1 WHERE $1 NOT IN (FROM {_NOTED})", [catalog])


def attach_noted(database: duckdb.DuckDBPyConnection, path: str) -> None:
    """Attach the catalogs that a database file records.

    Raises:
        QueryError: the file of a catalog is missing.
    """
    query = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 's3conn_magic' AND table_name = 'catalogs'"
    for (catalog,) in database.execute(f"FROM {_NOTED}").fetchall() if database.execute(query).fetchall() else ():
        file = f"{path}.{quote(catalog, safe='')}"
        if not LocalPath(file).exists():
            message = f"the catalog {visible(catalog)} is in {file}, which does not exist"
            raise QueryError(message, hint="Put the file back beside its database, or SET DATABASE = 'other.duckdb';.")
        attach(database, catalog, path)


def _read(parts: Sequence[str], is_view: bool, comment: str) -> Table:
    name = table_text(parts)
    try:
        metadata = json.loads(comment.removeprefix(_OURS)) if comment.startswith(_OURS) else None
        location = Location.parse(metadata["location"]) if metadata and metadata["location"] else None
        connections = tuple(map(str, metadata["connections"])) if metadata else ()
        files, catalog = (str(metadata.get(name, "")) if metadata else "" for name in ("files", "catalog"))
    except (ValueError, KeyError, TypeError):  # edited by hand
        return Table(name, is_view=is_view, comment=comment)
    comment = "" if metadata else comment
    return Table(name, connections, location, files, is_view=is_view, catalog=catalog, comment=comment)


_COLUMNS = f"SELECT column_name, data_type FROM duckdb_columns() WHERE {PLACED} ORDER BY column_index"  # noqa: S608

EXPRESSIONS = f"""SELECT column_default FROM duckdb_columns()
WHERE {PLACED} AND column_default IS NOT NULL
UNION ALL SELECT expression FROM duckdb_constraints()
WHERE {PLACED} AND expression IS NOT NULL"""  # noqa: S608 - names of DuckDB's own
_RESERVED = """SELECT 1 FROM duckdb_keywords()
WHERE keyword_name = lower(?) AND keyword_category IN ('reserved', 'type_function')"""
_MADE = f"SELECT sql FROM duckdb_tables() WHERE {PLACED}"  # noqa: S608 - as above
# The column that COPY FROM will add again.
_ORIGIN = re.compile(r', "\$object" VARCHAR(?=[,)])')
NAMES = re.compile(r'\s*\(\s*(?:\w+|"[^"]*")(?:\s*,\s*(?:\w+|"[^"]*"))*\s*\)\s*')


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Result of a query, and what it read.

    Attributes:
        table: the rows.
        requests: requests to S3.
        bytes: bytes received.
        connections: names of the connections used.
        notes: for the user, for example about what was left out.
    """

    table: pa.Table
    requests: int
    bytes: int
    connections: tuple[str, ...]
    notes: tuple[str, ...] = ()


_Result = TypeVar("_Result")


class _Engine(Protocol):
    filesystem: ConnectionFileSystem
    path: str

    @property
    def database(self) -> duckdb.DuckDBPyConnection: ...
    def alone(self, work: Callable[[], _Result]) -> _Result: ...
    def look(self, work: Callable[[duckdb.DuckDBPyConnection], _Result]) -> _Result: ...
    def columns(self, sql: str) -> tuple[list[str], list[Any]]: ...
    def execute(self, sql: str, before: str, *, local: bool = False) -> QueryResult: ...
    def define(self, columns: str, before: str) -> None: ...
    def check_expressions(self, texts: Iterable[str]) -> None: ...


class Tables:
    """Tables of a session by name (case-insensitive), in order of creation.

    Changes hold the engine's turn from check to end: of two threads that create a table of one name, one finds it
    taken.
    """

    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._tables: dict[str, Table] = {}

    def __iter__(self) -> Iterator[Table]:
        return iter(list(self._tables.values()))

    def discover(self, database: duckdb.DuckDBPyConnection) -> None:
        """Register the tables and views of a database instead of the current ones."""
        self._tables = {table.name.casefold(): table for table in tables_of(database)}

    def clear(self) -> None:
        """Remove all."""
        self._tables = {}

    def get(self, name: str) -> Table:
        """Return the table of that name.

        Raises:
            QueryError: there is none.
        """
        if table := self._tables.get(name.casefold()):
            return table
        raise QueryError(f"there is no table {visible(name)}", hint="SHOW TABLES; lists those that exist.")

    def check_free(self, name: str) -> None:
        """Check that a name is free; within a turn, so that it stays free.

        Raises:
            QueryError: it is taken.
        """
        if table := self._tables.get(name.casefold()):
            hint = "CREATE OR REPLACE TABLE replaces it; CREATE TABLE IF NOT EXISTS keeps it."
            raise QueryError(f"the table {visible(table.name)} already exists", hint=hint)

    def create_from(self, name: str, sql: str, columns: str | None = None, *, local: bool = False) -> Table:
        """Create a table from a query; it replaces one of that name if the query succeeds.

        Args:
            name: of the table.
            sql: the query.
            columns: names of the columns in parentheses, either all or none with types.
            local: whether the query may read files of this machine.

        Raises:
            As `QueryEngine.query`.
        """
        return self._engine.alone(lambda: self._created_from(name, sql, columns, local=local))

    def _created_from(self, name: str, sql: str, columns: str | None, *, local: bool) -> Table:
        self.prepare(name)
        made = _temporary_name(name)
        if columns is None or NAMES.fullmatch(columns):
            before = f"CREATE OR REPLACE TABLE {qualified(made)} {columns or ''} AS "
            answer = self._engine.execute(sql, before, local=local)
        else:
            answer = self._typed(made, sql, columns, local=local)
        return self._replace(Table(name, answer.connections, note=" ".join(answer.notes)), made)

    def _typed(self, made: str, sql: str, columns: str, *, local: bool) -> QueryResult:
        """Create a table with typed columns, and insert a query's rows: DuckDB has no single statement for it."""
        try:
            self._defined(made, columns)
        except QueryError as error:
            error.offset = None  # its place is in the columns, not in the query
            raise
        try:
            return self._engine.execute(sql, f"INSERT INTO {qualified(made)} ", local=local)
        except BaseException:
            self._engine.database.execute(f"DROP TABLE {qualified(made)}")
            raise

    def create_empty(self, name: str, columns: str | None = None) -> Table:
        """Create a table without rows, and without columns if none are given.

        Raises:
            QueryError: the columns are invalid.
        """
        return self._engine.alone(lambda: self._created_empty(name, columns))

    def _created_empty(self, name: str, columns: str | None) -> Table:
        self.prepare(name)
        if columns is None:
            self._forget(name)
            return self._register(Table(name, declared=True))
        made = _temporary_name(name)
        self._defined(made, columns)
        return self._replace(Table(name), made)

    def _defined(self, made: str, columns: str) -> None:
        """Create a table without rows; its defaults and generated columns may only read, as queries.

        Raises:
            QueryError: the columns are invalid; there is no table.
        """
        self._engine.define(columns, f"CREATE OR REPLACE TABLE {qualified(made)} ")
        try:
            expressions = self._engine.database.execute(EXPRESSIONS, [*placed(made), *placed(made)]).fetchall()
            self._engine.check_expressions(text for (text,) in expressions)
        except BaseException:
            self._engine.database.execute(f"DROP TABLE {qualified(made)}")
            raise

    def create_over(self, name: str, location: Location, connection: str) -> Table:
        """Create a table over the files at a location.

        Raises:
            QueryError: no file can be read.
            S3ConnError: it could not be listed or read.
        """
        return self._engine.alone(lambda: self._created_over(name, location, connection))

    def _created_over(self, name: str, location: Location, connection: str) -> Table:
        self.prepare(name)
        where, note = self._files(Path(connection, location))
        columns = self._engine.columns(f"FROM {literal(where)}")
        note = " ".join(filter(None, [note, *self._engine.filesystem.scope.notes]))
        with transaction(self._engine.database):
            self._forget(name)
            self._view_files(name, *columns)
        return self._note(Table(name, (connection,), location, where, is_view=True, note=note))

    def _view_files(self, name: str, columns: Sequence[str], types: Sequence[Any]) -> None:
        """Create a view of the view of the files, which exists only during queries of the table."""
        database, own = self._engine.database, identifier(behind(name))
        rows = ", ".join(f"NULL::{kind} AS {identifier(each)}" for each, kind in zip(columns, types, strict=True))
        steps = (
            f"CREATE OR REPLACE TEMP VIEW {own} AS SELECT {rows}",
            f"CREATE VIEW {qualified(name)} AS FROM temp.main.{own}",
        )
        for step in (*steps, f"DROP VIEW temp.main.{own}"):
            database.execute(step)

    def managed(self, table: Table) -> ManagedTable:
        """Return the reader and writer of a table whose files are in S3; within a turn.

        Raises:
            QueryError: its files are not its own.
        """
        if not table.catalog or table.location is None:
            hint = "CREATE TABLE … STORAGE_CONNECTION = … STORAGE_LOCATION = 's3://…' creates one."
            raise QueryError(f"the table {visible(table.name)} has no own files in S3", hint=hint)
        filesystem = self._engine.filesystem
        connection = filesystem.through(Path.parse(table.files), filesystem.scope)
        scope = filesystem.scope

        def remove(bucket: str, keys: Sequence[str]) -> None:
            for done in delete(connection, bucket, keys, cancelled=lambda: scope.stopped):
                scope.asked(1)
                for key, code in done.failures.items():
                    message = f"{visible(Location(bucket, key).uri)} was not deleted ({code})"
                    raise S3ConnError(message, hint="The identity needs s3:DeleteObject there: run it again then.")

        reach = TableAccess(connection, filesystem, LakeRoot("Iceberg", table.location), scope.asked, remove)
        return ManagedTable(reach, table.name, table.catalog, f"{self._engine.path}.catalog")

    def see_managed(self, table: Table, schema: pa.Schema | None = None) -> Table:
        """Register a table whose files are in S3, with the given or its current columns; within a turn."""
        schema = self.managed(table).schema() if schema is None else schema
        database = self._engine.database
        with transaction(database):
            self._forget(table.name)
            if schema.names:
                relation = database.from_arrow(schema.empty_table())
                self._view_files(table.name, relation.columns, relation.types)
            seen = replace(table, is_view=bool(schema.names), declared=not schema.names)
            if noted := seen.noted():  # the view's metadata was replaced with it
                database.execute(noted)
        return self._register(seen)

    def prepare(self, name: str) -> None:
        """Create the schema and catalog of a table if needed; in a turn, outside transactions.

        Raises:
            QueryError: a catalog of that name is DuckDB's own, or a schema and a catalog would have one name.
        """
        database = self._engine.database
        catalog, schema, last = placed(name)
        own, attached, schemas = database.execute(_CATALOGS).fetchall()[0]
        if catalog is None and str(schema).casefold() in attached:
            hint = f"Write three parts, such as {schema}.main.{last}."
            raise QueryError(f"{visible(str(schema))} is the name of a catalog", hint=hint)
        if catalog is not None and catalog.casefold() in {own, "main", "temp", "system"}:
            hint = f"Write {schema}.{last} for a table of the session's own catalog."
            raise QueryError(f"the catalog {visible(catalog)} is DuckDB's own", hint=hint)
        if catalog is not None and catalog.casefold() in schemas:
            message = f"{visible(catalog)} is the name of a schema, so it cannot be a catalog"
            raise QueryError(message, hint=f"Write {schema}.{last}, or another name in front of it.")
        if catalog is not None and catalog.casefold() not in attached:
            attach(database, catalog, self._engine.path)
        within = f"{identifier(catalog)}.{identifier(str(schema))}" if catalog else identifier(str(schema))
        database.execute(f"CREATE SCHEMA IF NOT EXISTS {within}")

    def drop(self, name: str) -> Table:
        """Remove a table.

        Raises:
            QueryError: there is none of that name.
        """
        return self._engine.alone(lambda: self._dropped(name))

    def _dropped(self, name: str) -> Table:
        table = self.get(name)
        self._forget(table.name)
        del self._tables[table.name.casefold()]
        return table

    def loaded(self, name: str, connections: tuple[str, ...]) -> Table:
        """Note that a table has got columns, and rows from more connections; within a turn."""
        old = self._tables.get(name.casefold()) or Table(name)
        together = tuple(dict.fromkeys((*old.connections, *connections)))
        return self._note(replace(old, connections=together, declared=False))

    def rename_connection(self, old: str, new: str) -> None:
        """Rename a connection in the tables that depend on it."""
        self._engine.alone(lambda: self._connection_renamed(old, new))

    def _connection_renamed(self, old: str, new: str) -> None:
        renamed = [
            replace(
                table,
                connections=tuple(new if name == old else name for name in table.connections),
                files=table.files.replace(f"s3://{old}@", f"s3://{new}@", 1),
            )
            for table in self
            if old in table.connections
        ]
        with transaction(self._engine.database):
            for table in renamed:
                self._engine.database.execute(table.noted())
        for table in renamed:
            self._register(table)

    def rows(self, table: Table) -> int | None:
        """Return how many rows DuckDB holds; None for a table over files or a view."""
        if table.is_view:
            return None
        if table.declared:
            return 0
        sql = f"FROM {qualified(table.name)} SELECT count(*)"
        ((count,),) = self._engine.look(lambda database: database.execute(sql).fetchall())
        return int(count)

    def looked_at(self, table: Table) -> tuple[int | None, list[str]] | None:
        """Return row count and columns of a table, or None if another thread has dropped it."""
        try:
            return self.rows(table), self.columns(table)
        except QueryError:
            if table.name.casefold() in self._tables:
                raise
        return None

    def create_statement(self, name: str) -> str:
        """Return the statement that creates a table like it, without its rows.

        Raises:
            QueryError: there is none of that name, or no statement creates such a view.
        """
        table = self.get(name)
        head = f"CREATE TABLE {table_name(table.name)}"
        if table.location is not None:
            return f"{head} LOCATION {literal(table.location.uri)} USING {name_text(table.connections[0])};"
        if table.is_view:
            message = f"{visible(table.name)} is a view of the database's file, and no statement here creates one"
            raise QueryError(message, hint="CREATE TABLE … AS SELECT * FROM it copies what it shows.")
        if table.declared:
            return f"{head} ();"
        made = self._engine.look(lambda database: database.execute(_MADE, placed(table.name)).fetchall())[0][0]
        columns = made[made.index("(", len("CREATE TABLE ")) :].rstrip("; ")
        return f"{head} {_ORIGIN.sub('', columns)};"

    def is_reserved(self, name: str) -> bool:
        """Return whether a name is a keyword of SQL, which queries must quote."""
        return bool(self._engine.look(lambda database: database.execute(_RESERVED, [name]).fetchall()))

    def columns(self, table: Table) -> list[str]:
        """Return name and type of each column."""
        columns = self._engine.look(lambda database: database.execute(_COLUMNS, placed(table.name)).fetchall())
        return [f"{name} {kind}" for name, kind in columns]

    def _replace(self, table: Table, made: str) -> Table:
        """Rename a completed table to its final name, and drop the one that had it, in one transaction."""
        database = self._engine.database
        with transaction(database):
            self._forget(table.name)
            name = identifier(table_parts(table.name)[-1])
            database.execute(f"ALTER TABLE {qualified(made)} RENAME TO {name}; {table.noted()}")
        return self._register(table)

    def _forget(self, name: str) -> None:
        old = self._tables.get(name.casefold()) or Table(name)
        self._engine.database.execute(f"DROP {old.kind} IF EXISTS {qualified(old.name)}")

    def _note(self, table: Table) -> Table:
        if table != self._tables.get(table.name.casefold()) and (noted := table.noted()):
            self._engine.database.execute(noted)
        return self._register(table)

    def _register(self, table: Table) -> Table:
        self._tables[table.name.casefold()] = table
        return table

    def _files(self, path: Path) -> tuple[str, str]:
        """Return the path or pattern of the files at a location, and a note on the files it excludes.

        In a folder these are files with the most frequent ending that determines a format; all if there is none.
        """
        where, key = f"s3://{path.text}", path.location.key
        if path.has_wildcard or is_told(key):
            return where, ""
        folder = path.text if path.text.endswith("/") else f"{path.text}/"
        if self._engine.filesystem.lake(folder) is not None:
            return f"s3://{folder}", ""
        names = self._engine.filesystem.find(folder)
        roots = tables_among(path.location.bucket, (Path.parse(name).location.key for name in names))
        names = [name for name, out in zip(names, private_keys(names, len(folder)), strict=True) if not out]
        if not names and key and not key.endswith("/"):
            return where, ""
        if not names:
            raise QueryError(f"there are no files at {visible(path.location.uri)}", hint="LIST shows what exists.")
        if holding := tables_within(roots.values(), (Path.parse(name).location.key for name in names)):
            raise refusal(holding, path.location, lambda key: f"s3://{path.named(key)}")
        endings = Counter(ending_of(name) for name in names if is_told(name))
        ((ending, count),) = endings.most_common(1) or [("", len(names))]
        left = len(names) - count
        note = f"It reads the {ending} files; {left:,} with another ending are left out." if left else ""
        return f"s3://{path.named(escaped(key.rstrip('/')))}/**/*{ending}", note


def _temporary_name(name: str) -> str:
    *within, last = table_parts(name)
    return table_text([*within, f"{last}{MAKING}"])
