"""Tables of a session whose files are in S3: created from and changed by rows of DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes import CAME
from s3conn_magic.lakes.managed import (
    PROPERTIES,
    check_installed,
    properties_of,
    replace_files,
    rows_of,
    tasks_of,
)
from s3conn_magic.lakes.shapes import TableShape, add_columns, append
from s3conn_magic.lakes.snapshots import new_commit
from s3conn_magic.language.dialect import system_columns_of
from s3conn_magic.language.help import table_name
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.statements import Insertion
from s3conn_magic.language.words import counted, literal
from s3conn_magic.listing import fetch_page
from s3conn_magic.locations import visible
from s3conn_magic.objects.listed import Path
from s3conn_magic.query.merging import STAGED, TARGET, Merge, last_of_each
from s3conn_magic.query.sql import PLACED, identifier, is_wider, kept_as, kept_rows, placed, qualified, transaction
from s3conn_magic.query.tables import EXPRESSIONS, NAMES, Table
from s3conn_magic.query.text_types import NULL, cast, strict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    import duckdb

    from s3conn_magic.lakes.managed import ManagedTable
    from s3conn_magic.locations import Location
    from s3conn_magic.query.engine import QueryEngine

_OWN = {"bucket", "beside"}
Note = Callable[[Any], None]
"""Writes a record in the transaction of the rows: PyIceberg's, or None for DuckDB's open one."""
_TYPES = {"$event_time": "TIMESTAMP", "$event_date": "DATE", "$commit_time": "TIMESTAMP", "$source": "VARCHAR"}
_OBJECT = "$object"
_SYSTEM = (*_TYPES, _OBJECT)
_BEFORE, _AFTER = "s3conn_magic_before", "s3conn_magic_after"
_ROW, _FILE = "s3conn_magic row", "s3conn_magic file"


class Storage(NamedTuple):
    """Where and how to store the files of a new table.

    Attributes:
        connection: name of the connection that writes them.
        location: their folder.
        catalog: catalog that tracks the table's metadata.
        partitions: as written.
        keys: its primary key.
        options: COMPRESSION, TABLE_DATA_RETENTION and COMMENT, if given.
        replace: whether an existing table is replaced.
        take: whether an existing table is kept.
    """

    connection: str
    location: Location
    catalog: str = ""
    partitions: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}
    replace: bool = False
    take: bool = False


def _times_now() -> dict[str, str]:
    """Return the SQL of the system columns with the time of rows that arrive now."""
    now = f"TIMESTAMP '{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}'"
    return {"$event_time": now, "$event_date": f"{now}::DATE", CAME: now}


class ManagedTables:
    """Statements on tables of an engine whose files are in S3.

    Args:
        engine: holds the tables.
    """

    def __init__(self, engine: QueryEngine) -> None:
        self._engine, self._tables = engine, engine.tables
        self._arrival_columns = set[str]()

    @property
    def _database(self) -> duckdb.DuckDBPyConnection:
        return self._engine.database

    def create(
        self, name: str, storage: Storage, sql: str | None, columns: str | None, *, local: bool = False
    ) -> Table:
        """Create a table whose files are in S3, from a query or empty; or keep the existing one.

        Raises:
            QueryError: something else is there, or Iceberg has no type for a column.
            S3ConnError: it cannot be written.
        """
        return self._engine.alone(lambda: self._created(name, storage, sql, columns, local=local))

    def _created(self, name: str, storage: Storage, sql: str | None, columns: str | None, *, local: bool) -> Table:
        check_installed()
        self._tables.prepare(name)
        path = Path(storage.connection, storage.location)
        table = Table(
            name, (storage.connection,), storage.location, f"s3://{path.text}", catalog=storage.catalog or "bucket"
        )
        exists = self._exists(table, storage)
        note = f"The existing table at {visible(storage.location.uri)} was used."
        if not (exists and storage.take):
            rows = self._staged(name, sql, columns, local=local)
            schema = self._database.sql(rows).limit(0).to_arrow_table().schema if rows else pa.schema(())
            nullable = {field: nullable for field, nullable in self._nullable() if not nullable}
            keys = {key.casefold() for key in storage.keys}
            fields = [
                field.with_nullable(field.name not in nullable and field.name.casefold() not in keys)
                for field in schema
            ]
            wanted = TableShape(pa.schema(fields), storage.partitions, storage.keys, properties_of(storage.options))
            made, table, note = self._made_managed(table, wanted, rows if sql else "", exists=exists)
            return self._tables.see_managed(replace(table, note=note), made.committed)
        return self._tables.see_managed(replace(table, note=note))

    def _nullable(self) -> list[tuple[str, bool]]:
        sql = "SELECT column_name, is_nullable FROM duckdb_columns() WHERE database_name = 'temp' AND table_name = ?"
        rows: list[tuple[str, bool]] = self._database.execute(sql, [STAGED]).fetchall()
        return rows

    def _staged(self, name: str, sql: str | None, columns: str | None, *, local: bool) -> str:
        """Return the query of a new table's first rows in Iceberg's types; empty without columns."""
        database, made = self._database, f"CREATE OR REPLACE TEMP TABLE {STAGED} "
        if columns is not None and not NAMES.fullmatch(columns):
            self._engine.define(columns, made)
            values = [STAGED] * 2
            if database.execute(
                EXPRESSIONS.replace(PLACED, "database_name = 'temp' AND table_name = ?"), values
            ).fetchall():
                message = f"the table {visible(name)} is in S3, and has no DEFAULT, CHECK or computed columns"
                raise QueryError(message, hint="A query that fills it computes them.")
            if sql is not None:
                self._engine.execute(sql, f"INSERT INTO temp.{STAGED} ", local=local)
        elif sql is not None:
            self._engine.execute(sql, f"{made} {columns or ''} AS ", local=local)
        else:
            return ""
        return kept_rows(database, f"temp.{STAGED}")

    def _exists(self, table: Table, storage: Storage) -> bool:
        """Return whether the table to create exists already.

        Raises:
            QueryError: something else is there, or a table that is neither replaced nor kept.
        """
        where, managed = storage.location, self._tables.managed(table)
        page = fetch_page(managed.reach.connection.target(where.bucket), prefix=where.key, max_keys=1)
        managed.reach.asked(1)
        in_use = bool(len(page.objects) or page.prefixes)
        there = in_use or table.catalog != "bucket"
        if there and managed.newest():
            if storage.replace or storage.take:
                return True
            hint = "CREATE TABLE IF NOT EXISTS uses it as it is; CREATE OR REPLACE TABLE replaces it."
            raise QueryError(f"there is a table at {visible(where.uri)} already", hint=hint)
        if in_use:
            hint = "A table needs its own folder; LOCATION reads files and tables that already exist."
            raise QueryError(f"there are objects at {visible(where.uri)} already", hint=hint)
        return False

    def _made_managed(
        self, table: Table, wanted: TableShape, rows: str, *, exists: bool
    ) -> tuple[ManagedTable, Table, str]:
        from s3conn_magic.lakes.catalogs import BESIDE, NoConditionsError

        database, note = self._database, ""
        give = (lambda: database.sql(rows).to_arrow_reader()) if rows else None
        managed = self._tables.managed(table)
        try:
            managed.create(wanted, give, replace=exists)
        except NoConditionsError:
            if not self._engine.path:
                hint = "SET DATABASE = 'file'; keeps that beside the file; SET CATALOG names an Iceberg catalog."
                message = "the server has no conditional writes, which keep track of a table's newest state"
                raise QueryError(message, hint=hint) from None
            table = replace(table, catalog=BESIDE)
            managed = self._tables.managed(table)
            managed.create(wanted, give, replace=exists)
            note = f"The server has no conditional writes: {self._engine.path}.catalog knows the table's newest state."
        return managed, table, note

    def create_statement(self, name: str) -> str:
        """Return the statement that creates a table like it; files in S3 are used where they are."""
        table = self._tables.get(name)
        if not table.catalog:
            return self._engine.look(lambda _: self._tables.create_statement(name))
        return self._engine.alone(lambda: self._create_statement(table))

    def _create_statement(self, table: Table) -> str:
        shape, location = self._tables.managed(table).shape(), table.location
        assert location is not None  # noqa: S101 - a table of ours has one
        types, keys = self._types(shape.schema), {key.casefold() for key in shape.keys}
        filled = {field.name for field in shape.schema if not field.nullable and field.name.casefold() not in keys}
        named = {name: identifier(name) if self._tables.is_reserved(name) else name_text(name) for name in types}
        columns = [f"{named[name]} {kind}{' NOT NULL' * (name in filled)}" for name, kind in types.items()]
        lines = [f"CREATE TABLE IF NOT EXISTS {table_name(table.name)} ({', '.join(columns)})"]
        lines += [f"    PARTITIONED BY {', '.join(shape.partitions)}"] if shape.partitions else []
        lines += [f"    PRIMARY KEY {', '.join(map(name_text, shape.keys))}"] if shape.keys else []
        lines += [f"    STORAGE_CONNECTION = {name_text(table.connections[0])}"]
        lines += [f"    STORAGE_LOCATION = {literal(location.uri)}"]
        written = {"TABLE_DATA_RETENTION": "{} DAYS".format, "COMPRESSION": str.upper, "COMMENT": literal}
        given = {name: shape.properties.get(own) for name, own in PROPERTIES.items()}
        lines += [f"    {name} = {written[name](value)}" for name, value in given.items() if value is not None]
        catalog = "" if table.catalog in _OWN else f"SET CATALOG = {literal(table.catalog)};\n"
        return catalog + "\n".join(lines) + ";"

    def history(self, name: str) -> list[tuple[Any, ...]]:
        """Return the snapshots of a table, as `ManagedTable` does."""
        return self._engine.alone(lambda: self._tables.managed(self._tables.get(name)).history())

    def alter(self, name: str, options: Mapping[str, Any]) -> None:
        """Change options of a table."""
        self._engine.alone(lambda: self._tables.managed(self._tables.get(name)).set_properties(properties_of(options)))

    def delete(self, name: str) -> int:
        """Delete the objects of a table, which must be dropped next; return how many."""
        return self._engine.alone(lambda: self._tables.managed(self._tables.get(name)).drop(delete_data=True))

    def optimize(self, name: str) -> str:
        """Optimize a table; return a sentence about what was done."""
        tidied = self._engine.alone(lambda: self._tables.managed(self._tables.get(name)).optimize(datetime.now(UTC)))
        done = []
        if tidied.compacted:
            done.append(f"{counted(tidied.compacted, 'file')} became {tidied.into:,}")
        done += ["rows beyond the retention were deleted"] if tidied.rows_gone else []
        done += [f"{counted(tidied.expired, 'snapshot')} expired"] if tidied.expired else []
        done += [f"{counted(tidied.deleted, 'object')} that no snapshot uses were deleted"] if tidied.deleted else []
        return f"The table {name}: {', '.join(done)}." if done else f"The table {name} needed no tidying."

    def insert(self, name: str, sql: str, how: Insertion, *, local: bool = False, noted: Note | None = None) -> int:
        """Insert the rows of a query into a table; return how many.

        Args:
            name: of the table.
            sql: the query.
            how: how columns map.
            local: whether it may read files of this machine.
            noted: writes a record in the transaction of the rows.

        Raises:
            QueryError: the rows do not fit, or would change; nothing has changed.
        """
        return self._engine.alone(lambda: self._inserted(name, sql, how, local=local, noted=noted))

    def _inserted(self, name: str, sql: str, how: Insertion, *, local: bool, noted: Note | None) -> int:
        (table, managed), database = self._writable(name), self._database
        self._engine.execute(sql, f"CREATE OR REPLACE TEMP TABLE {STAGED} AS ", local=local)
        all_columns = self._columns(table, managed)
        target = self._complete(all_columns, how)
        if managed is not None and not all_columns:
            self._add_times(managed.wanted)
        casts = self._fitted(table, target, how)
        ((count,),) = database.execute(f"SELECT count(*) FROM temp.{STAGED}").fetchall()  # noqa: S608 - a name of our own
        if managed is None:
            self._into_duckdb(table, target, casts, noted)
            return int(count)
        staged = {name.casefold() for name in database.sql(f"FROM temp.{STAGED}").columns}
        lacking = [
            f"NULL::{kind} AS {identifier(each)}" for each, kind in all_columns.items() if each.casefold() not in staged
        ]
        keys = managed.keys if how.by_key else ()
        rows = kept_rows(database, f"temp.{STAGED}", casts, [] if keys else lacking)
        if keys:
            self._restage(last_of_each(rows, keys, staged))

        def change(transaction: Any, files: Any) -> None:
            if CAME in self._arrival_columns:
                self._stamp(transaction)
            if keys and count:
                self._upsert(transaction, files, keys)
            elif count or noted is None:
                append(transaction, database.sql(rows).to_arrow_reader())
            if noted is not None:
                noted(transaction)

        managed.commit(change)
        self._tables.see_managed(table, managed.committed)
        return int(count)

    def _stamp(self, transaction: Any) -> None:
        """Set the time of the staged rows to that of their commit."""
        moment = f"TIMESTAMP '{new_commit(transaction):%Y-%m-%d %H:%M:%S.%f}'"
        self._database.execute(f"UPDATE temp.{STAGED} SET {identifier(CAME)} = {moment}")  # noqa: S608 - a time

    def _upsert(self, transaction: Any, files: Any, keys: Sequence[str]) -> None:
        """Replace rows by the staged ones with the same primary key."""
        staged = self._database.sql(f"FROM temp.{STAGED}")
        add_columns(transaction, staged.limit(0).to_arrow_table().schema)
        names = [field.name for field in transaction.table_metadata.schema().fields]
        self._rewrite(transaction, files, Merge.by_key(keys).sql(names, staged.columns), names)

    def _complete(self, target: Mapping[str, Any], how: Insertion) -> dict[str, Any]:
        """Drop excluded columns of the staged rows, and add the table's columns of arrival times.

        Returns:
            The types of the target columns, by name.

        Raises:
            QueryError: their number differs from that of the named columns.
        """
        staged = list(self._database.sql(f"FROM temp.{STAGED}").columns)
        if how.columns:
            if len(staged) != len(how.columns):
                message = f"{counted(len(how.columns), 'column')} are named, and the rows have {len(staged)}"
                raise QueryError(message, hint=f"The rows have {visible(', '.join(staged))[:300]}.")
            self._rename(staged, how.columns)
            staged = list(how.columns)
        own, values = {name.casefold() for name in target}, _times_now()
        left_out = {name.rpartition(".")[2].casefold() for name in how.without}
        if how.named:
            left_out |= {CAME, *(name for name in _SYSTEM if name not in own)}
        remaining = [name for name in staged if name.casefold() not in left_out]
        plain = {name: kind for name, kind in target.items() if name not in _SYSTEM}
        added: list[str] = []
        if how.named or len(remaining) == len(plain) < len(target):
            added = [name for name in values if name in own and name not in remaining]
        self._arrival_columns = set(added)
        if added or len(remaining) < len(staged):
            items = [*map(identifier, remaining), *(f"{values[name]} AS {identifier(name)}" for name in added)]
            self._restage(f"SELECT {', '.join(items)} FROM temp.{STAGED}")  # noqa: S608 - quoted names
        return dict(target) if how.named or not added else {**plain, **{name: target[name] for name in added}}

    def _add_times(self, wanted: AbstractSet[str]) -> None:
        """Add the arrival times by which a new table is partitioned."""
        staged, values = set(self._database.sql(f"FROM temp.{STAGED}").columns), _times_now()
        if added := [name for name in values if name in wanted and name not in staged]:
            self._arrival_columns = set(added)
            items = ", ".join(f"{values[name]} AS {identifier(name)}" for name in added)
            self._restage(f"SELECT *, {items} FROM temp.{STAGED}")  # noqa: S608 - quoted names

    def _restage(self, query: str) -> None:
        self._database.execute(
            f"CREATE OR REPLACE TEMP TABLE {STAGED}_named AS {query}; DROP TABLE temp.{STAGED};"
            f" ALTER TABLE temp.{STAGED}_named RENAME TO {STAGED}"
        )

    def check_merge(self, name: str, text: str) -> None:
        """Check before it runs that a merge reads only what it names.

        Raises:
            QueryError: it does more, or cannot be parsed.
        """
        self._engine.mentioned(Merge.of(name, text).judged(name))

    def merge(self, name: str, text: str, *, local: bool = False, noted: Note | None = None) -> int:
        """Run MERGE INTO as one change; return how many rows it changed; `noted` as in `insert`.

        Raises:
            QueryError: it failed; nothing has changed.
        """
        self.check_merge(name, text)
        self._engine.check(Merge.of(name, text).judged(name), local=local)
        return self._engine.alone(lambda: self._merged(name, Merge.of(name, text), local=local, noted=noted))

    def _merged(self, name: str, merge: Merge, *, local: bool, noted: Note | None) -> int:
        (table, managed), database = self._writable(name), self._database
        self._engine.execute(merge.reading, f"CREATE OR REPLACE TEMP TABLE {STAGED} AS ", local=local)
        target = self._complete(self._columns(table, managed), Insertion(by_name=True))
        new = self._new_columns(merge, target)
        names = [*target, *new]
        sql = merge.sql(names, database.sql(f"FROM temp.{STAGED}").columns)
        if managed is not None:

            def change(transaction: Any, files: Any) -> int:
                if new:
                    rows = kept_rows(database, f"(SELECT {', '.join(map(identifier, new))} FROM temp.{STAGED})")  # noqa: S608
                    add_columns(transaction, database.sql(rows).limit(0).to_arrow_table().schema)
                if CAME in self._arrival_columns:
                    self._stamp(transaction)
                count = self._rewrite(transaction, files, sql, names)
                if noted is not None:
                    noted(transaction)
                return count

            count = managed.commit(change)
            if new:
                self._tables.see_managed(table, managed.committed)
            return count
        with transaction(database):
            self._add_columns(table, new, is_new=bool(target))
            count = self._executed(sql.replace(TARGET, qualified(table.name), 1))
            if noted is not None:
                noted(None)
        if not target:
            self._tables.loaded(table.name, tuple(sorted(self._engine.filesystem.scope.connections)))
        return count

    def _new_columns(self, merge: Merge, target: Mapping[str, Any]) -> dict[str, Any]:
        """Return the source's columns that a merge adds to the table; the others must fit."""
        staged, new = self._database.sql(f"FROM temp.{STAGED}"), dict[str, Any]()
        without, own = {name.casefold() for name in merge.left_out}, {name.casefold(): target[name] for name in target}
        for column, kind in zip(staged.columns, staged.types, strict=True):
            wanted = own.get(column.casefold())
            if wanted is None and column.casefold() not in without and (merge.adds or not target):
                new[column] = kind
            elif merge.by_name and wanted is not None and wanted != kind:
                self._cast(column, kind, wanted, widens=False)
        return new

    def _add_columns(self, table: Table, new: Mapping[str, Any], *, is_new: bool) -> None:
        """Add columns to a table of DuckDB, or create it with them."""
        name = qualified(table.name)
        if not is_new:
            columns = ", ".join(f"{identifier(each)} {kind}" for each, kind in new.items())
            self._database.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
            return
        for each, kind in new.items():
            self._database.execute(f"ALTER TABLE {name} ADD COLUMN {identifier(each)} {kind}")

    def _executed(self, sql: str) -> int:
        ((count, *_),) = self._database.execute(sql).fetchall()
        return int(count)

    def _rewrite(self, transaction: Any, files: Any, sql: str, names: Sequence[str]) -> int:
        """Merge into a copy of the rows, and rewrite the files with changed rows."""
        database, tasks = self._database, tasks_of(transaction)
        row, file = (identifier(column) for column in (_ROW, _FILE))
        columns = ", ".join(map(identifier, names))
        parts = [rows_of(transaction, files, [task]) for task in tasks] or [rows_of(transaction, files, [])]
        numbered = [part.append_column(_FILE, pa.array([at] * len(part), pa.int64())) for at, part in enumerate(parts)]
        all_rows = pa.concat_tables(numbered)
        database.register(_BEFORE, all_rows.append_column(_ROW, pa.array(range(len(all_rows)), pa.int64())))
        try:
            database.execute(f"CREATE OR REPLACE TEMP TABLE {_AFTER} AS FROM {_BEFORE}")
            count = self._executed(sql.replace(TARGET, f"temp.{_AFTER}", 1))
            same = " AND ".join(f"old.{each} IS NOT DISTINCT FROM new.{each}" for each in map(identifier, names))
            changed = database.execute(
                f"SELECT DISTINCT old.{file} FROM {_BEFORE} AS old LEFT JOIN temp.{_AFTER} AS new USING ({row})"  # noqa: S608
                f" WHERE new.{row} IS NULL OR NOT ({same})"
            ).fetchall()
            stale = [at for (at,) in changed]
            rows = database.sql(
                f"SELECT {columns} FROM temp.{_AFTER} WHERE {row} IS NULL OR list_contains({stale}::BIGINT[], {file})"  # noqa: S608
            ).to_arrow_table()
        finally:
            database.unregister(_BEFORE)
        if stale or len(rows):
            replace_files(transaction, files, [tasks[at].file for at in stale], rows if len(rows) else None)
        return count

    def _writable(self, name: str) -> tuple[Table, ManagedTable | None]:
        """Return a table that takes rows, and its writer if its files are in S3.

        Raises:
            QueryError: it does not exist, is over files, or is a view.
            ReadOnlyConnectionError: its connection is READ_ONLY.
        """
        table = self._tables.get(name)
        if table.is_view and not table.catalog:
            kind = "over files" if table.location else "a view"
            raise QueryError(
                f"the table {visible(table.name)} is {kind}, and cannot take rows", hint="Name another table."
            )
        if not table.catalog:
            return table, None
        check_installed()
        managed = self._tables.managed(table)
        managed.reach.connection.refuse_if_read_only(f"a change of the table {table.name}")
        return table, managed

    def _columns(self, table: Table, managed: ManagedTable | None) -> dict[str, Any]:
        """Return DuckDB's types of a table's current columns, by name."""
        if managed is not None:
            return self._types(managed.schema(to_change=True))
        if table.declared:
            return {}
        relation = self._database.sql(f"FROM {qualified(table.name)} LIMIT 0")
        return dict(zip(relation.columns, relation.types, strict=True))

    def _types(self, schema: pa.Schema) -> dict[str, Any]:
        relation = self._database.from_arrow(schema.empty_table()) if schema.names else None
        return dict(zip(relation.columns, relation.types, strict=True)) if relation is not None else {}

    def _fitted(self, table: Table, target: Mapping[str, Any], how: Insertion) -> dict[str, str]:
        """Rename the staged columns to those of the table, and return the SQL of each.

        Raises:
            QueryError: a column or a value does not fit.
        """
        columns = list((staged := self._database.sql(f"FROM temp.{STAGED}")).columns)
        if target and not how.named:
            if len(columns) != len(target):
                hint = "MAP_COLUMNS_BY_NAME after the table's name matches columns by name."
                counts = f"{counted(len(columns), 'column')}, and {visible(table.name)} has {len(target)}"
                raise QueryError(f"the rows have {counts}", hint=hint)
            names = list(target)
        else:
            own = {name.casefold(): name for name in target}
            names = [own.get(name.casefold(), name) for name in columns]
        self._rename(columns, names)
        casts = {}
        for name, kind in zip(names, staged.types, strict=True):
            wanted = target.get(name)
            if how.dates and str(wanted) == "DATE" and str(kind).startswith("TIMESTAMP"):
                casts[name] = f"{identifier(name)}::DATE AS {identifier(name)}"
            elif wanted is not None and kind != wanted:
                casts[name] = f"{self._cast(name, kind, wanted, widens=bool(table.catalog))} AS {identifier(name)}"
        return casts

    def _rename(self, columns: Sequence[str], names: Sequence[str]) -> None:
        if list(columns) != list(names):
            aliases = ", ".join(identifier(name) for name in names)
            self._restage(f"SELECT * FROM temp.{STAGED} AS staged({aliases})")  # noqa: S608 - quoted names

    def _cast(self, name: str, kind: Any, wanted: Any, *, widens: bool) -> str:
        """Return the SQL of a column cast to the table's type: exactly, or to a wider type that the table can take."""
        column, own = identifier(name), str(wanted)
        if str(kind) == "VARCHAR" and own not in {"VARCHAR", "JSON"}:
            exact = cast(column, own).exact
            wrong = f"{column} IS NOT NULL AND NOT coalesce({exact}, false)"
            made = strict(column, own, name)
        elif str(kind) == NULL:
            return f"NULL::{own}"
        else:
            wrong = f"{column} IS DISTINCT FROM TRY_CAST(TRY_CAST({column} AS {own}) AS {kind})"
            made = f"{column}::{own}"
        if not self._database.execute(f"SELECT 1 FROM temp.{STAGED} WHERE {wrong} LIMIT 1").fetchall():  # noqa: S608
            return made
        if widens and is_wider(kept_as(kind, name), kept_as(wanted, name)):
            return f"{column}::{kind}"
        raise QueryError(
            f"the column {visible(name)} is {own} in the table, and has values of {kind} that {own} does not hold",
            hint="Cast them in the query.",
        )

    def _into_duckdb(
        self, table: Table, target: Mapping[str, Any], casts: Mapping[str, str], noted: Note | None
    ) -> None:
        database = self._database
        staged = database.sql(f"FROM temp.{STAGED}")
        with transaction(database):
            new = {name: kind for name, kind in zip(staged.columns, staged.types, strict=True) if name not in target}
            self._add_columns(table, new, is_new=bool(target))
            values = ", ".join(casts.get(name, identifier(name)) for name in staged.columns)
            database.execute(f"INSERT INTO {qualified(table.name)} BY NAME SELECT {values} FROM temp.{STAGED}")  # noqa: S608
            if noted is not None:
                noted(None)
        self._tables.loaded(table.name, tuple(sorted(self._engine.filesystem.scope.connections)))

    def add_system_columns(self, sql: str) -> None:
        """Add system columns that a query names to its first table, if none of its tables has them."""
        wanted = system_columns_of(sql)
        uses = self._engine.mentioned(sql) if wanted else None
        read = [name.casefold() for name in (*uses.tables, *uses.placed)] if uses else []
        tables = [table for name in read for table in self._tables if table.name.casefold() == name]
        changed = [table for table in tables if (table.catalog or not table.is_view) and not table.declared]
        if not changed:
            return
        having = {column.casefold() for table in tables for column in self._visible_columns(table)}
        for name in (name for name in wanted if name in _TYPES and name not in having):
            self._add_system_column(changed[0], name)

    def _visible_columns(self, table: Table) -> dict[str, Any]:
        managed = self._tables.managed(table) if table.catalog else None
        return self._types(managed.schema()) if managed is not None else self._columns(table, None)

    def _add_system_column(self, table: Table, name: str) -> None:
        kind, database = _TYPES[name], self._database
        if table.catalog:
            empty = database.sql(f"SELECT NULL::{kind} AS {identifier(name)}").limit(0).to_arrow_table()
            (managed := self._tables.managed(table)).commit(
                lambda transaction, _: add_columns(transaction, empty.schema)
            )
            self._tables.see_managed(table, managed.committed)
            return
        database.execute(f"ALTER TABLE {qualified(table.name)} ADD COLUMN {identifier(name)} {kind}")
        if _OBJECT not in self._visible_columns(table):
            return
        if name == "$source":
            database.execute(f"UPDATE {qualified(table.name)} SET {identifier(name)} = {identifier(_OBJECT)}")  # noqa: S608
            return
        catalog, *_ = placed(table.name)  # ledgers are in the database of the rows
        ledger = f"{identifier(catalog)}.s3conn_magic.loaded" if catalog else "s3conn_magic.loaded"
        database.execute(
            f"UPDATE {qualified(table.name)} SET {identifier(name)} = loaded_at::{kind} FROM {ledger}"  # noqa: S608
            f" WHERE target = ? AND {identifier(_OBJECT)} = 's3://' || source || '/' || key",
            [table.name.casefold()],
        )
