"""The table that a job loads, and its ledger, which is committed with the rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import QueryError
from s3conn_magic.jobs.job import OBJECT_COLUMN
from s3conn_magic.lakes import CAME
from s3conn_magic.language.words import table_parts, table_text
from s3conn_magic.query.sql import (
    PLACED,
    identifier,
    is_wider,
    kept_as,
    kept_rows,
    placed,
    qualified,
    transaction,
)
from s3conn_magic.query.tables import MAKING
from s3conn_magic.query.text_types import NULL, cast, is_nested, strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import timedelta

    import duckdb
    from duckdb.sqltypes import DuckDBPyType

    from s3conn_magic.jobs.job import Candidate, Job
    from s3conn_magic.query.engine import QueryEngine
    from s3conn_magic.query.tables import Table

SCHEMA = "s3conn_magic"
_COLUMNS_OF_LEDGER = """(
    job VARCHAR, source VARCHAR, target VARCHAR, key VARCHAR, etag VARCHAR, size BIGINT, rows BIGINT,
    loaded_at TIMESTAMP
)"""
# A replaced object is deleted and inserted in one transaction, which an index of DuckDB would refuse.
_OF = "job = ? AND source = ? AND target = ?"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded object."""

    etag: str
    size: int
    rows: int


class Ledger:
    """The objects that one job has loaded.

    Args:
        database: of the rows.
        job: a COPY, identified by its name, bucket and table.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection, job: Job) -> None:
        self._database = database
        self._of = [job.name.casefold(), job.location.bucket, job.plan.table.casefold()]
        catalog, *_ = placed(job.plan.table)  # in the rows' database: a transaction of DuckDB writes to one
        schema = f"{identifier(catalog)}.{SCHEMA}" if catalog else SCHEMA
        self._name = f"{schema}.loaded"
        database.execute(
            f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE IF NOT EXISTS {self._name} {_COLUMNS_OF_LEDGER}"
        )

    def loaded(self) -> Mapping[str, Loaded]:
        """Return the loaded objects by key."""
        rows = self._database.execute(
            f"SELECT key, etag, size, rows FROM {self._name} WHERE {_OF}",  # noqa: S608 - names of our own
            self._of,
        ).fetchall()
        return {key: Loaded(*rest) for key, *rest in rows}

    def note(self, candidate: Candidate, rows: int) -> None:
        """Record an object instead of its former version, in the caller's transaction."""
        self._forget([candidate.location.key])
        self._database.execute(
            f"INSERT INTO {self._name} VALUES (?, ?, ?, ?, ?, ?, ?, current_timestamp::TIMESTAMP)",  # noqa: S608
            [*self._of, candidate.location.key, candidate.etag, candidate.size, rows],
        )

    def note_all(self, loaded: Mapping[Candidate, int]) -> None:
        """Record new objects with their rows, in the caller's transaction."""
        self._forget(candidate.location.key for candidate in loaded)
        columns = [[candidate.location.key, candidate.etag, candidate.size, rows] for candidate, rows in loaded.items()]
        values = ", ".join(["unnest(?)"] * len(columns[0]))
        self._database.execute(
            f"INSERT INTO {SCHEMA}.loaded SELECT ?, ?, ?, {values}, current_timestamp::TIMESTAMP",
            [*self._of, *map(list, zip(*columns, strict=True))],
        )

    def _forget(self, keys: Iterable[str]) -> None:
        self._database.execute(
            f"DELETE FROM {self._name} WHERE {_OF} AND list_contains(?, key)",  # noqa: S608
            [*self._of, list(keys)],
        )

    def retire(self, keys: Iterable[str], table: str) -> None:
        """Remove objects that are gone, and keep their rows: another object of that name is loaded beside them.

        Args:
            keys: of the objects.
            table: of their rows, quoted; the object's ETag is appended to the location of each, so that they stay when
                a later object of that name is replaced.
        """
        origin, location = identifier(OBJECT_COLUMN), "'s3://' || source || '/' || key"
        with transaction(self._database):
            self._database.execute(
                f"UPDATE {table} AS target SET {origin} = {location} || '#' || etag FROM {self._name}"  # noqa: S608
                f" WHERE {_OF} AND list_contains(?, key) AND target.{origin} = {location}",
                [*self._of, retired := list(keys)],
            )
            self._forget(retired)

    def clear(self) -> None:
        """Remove all entries."""
        self._database.execute(f"DELETE FROM {self._name} WHERE {_OF}", self._of)  # noqa: S608


SYSTEM = {
    "$event_time": "TIMESTAMP",
    "$event_date": "DATE",
    "$commit_time": "TIMESTAMP",
    "$source": "VARCHAR",
}
"""Upsolver's system columns, which COPY fills if the table has them or is new."""


def system_values(names: Iterable[str], written: str, source: str) -> list[str]:
    """Return the values of system columns, from when objects were written and where they are, as SQL."""
    values = {"$event_time": written, "$event_date": f"{written}::DATE", "$source": source}
    values["$commit_time"] = "current_timestamp::TIMESTAMP"
    return [f"{values[name]} AS {identifier(name)}" for name in names]


def moment_literal(moment: datetime | None) -> str:
    """Return a UTC time, or NULL, as a TIMESTAMP in SQL."""
    return "NULL::TIMESTAMP" if moment is None else f"TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"


_OBJECTS = "s3conn_magic_objects"


class Landing:
    """Collects the rows of a run for a table in S3, and commits them with the ledger at once.

    Args:
        engine: holds the rows in a table of its own, which is dropped afterwards, or replaced if a process was killed.
        job: a COPY.
        table: the one in S3.

    Attributes:
        job: the same, loading into the waiting rows.
    """

    def __init__(self, engine: QueryEngine, job: Job, table: Table) -> None:
        *within, last = table_parts(table.name)
        self._engine, self._table = engine, table
        self._managed = engine.tables.managed(table)
        self._of = (job.name.casefold(), job.location.bucket)
        self.job = replace(job, plan=replace(job.plan, table=table_text([*within, f"{last}{MAKING}"])))

    @property
    def _sql(self) -> str:
        return qualified(self.job.plan.table)

    def begin(self) -> None:
        """Start without rows, with the table's current columns."""
        database, schema = self._engine.database, self._managed.schema()
        self.end()
        if schema.names:
            database.register(_OBJECTS, schema.empty_table())
            database.execute(f"CREATE TABLE {self._sql} AS FROM {_OBJECTS}")
            database.unregister(_OBJECTS)
            for name in schema.names:
                database.execute(f"COMMENT ON COLUMN {self._sql}.{identifier(name)} IS '{_KEPT}'")

    def end(self) -> None:
        """Drop the rows."""
        database = self._engine.database
        database.execute(f"DROP TABLE IF EXISTS {self._sql}")
        Ledger(database, self.job).clear()

    def loaded(self) -> dict[str, Loaded]:
        """Return what the job has loaded into the table, by key, from the table's latest metadata."""
        rows = self._managed.loaded()
        return {row.key: Loaded(row.etag, row.size, row.rows) for row in rows if (row.job, row.source) == self._of}

    def forget(self) -> None:
        """Remove the job's ledger from the table; the rows stay."""

        def change(transaction: Any, files: Any) -> None:
            rows = self._managed.ledger(transaction, files)
            left = [row for row in rows if (row.job, row.source) != self._of]
            if len(left) < len(rows):
                self._managed.note(transaction, files, left)

        self._managed.commit(change)

    def commit(
        self, times: Mapping[str, datetime | None], *, apart: bool, once: tuple[Sequence[str], timedelta] | None
    ) -> int:
        """Add the rows to the table instead of those of earlier versions of their objects, with the ledger.

        Objects that another process has loaded meanwhile are left out.

        Args:
            times: when each object was written, by key.
            apart: whether the rows of a replaced object stay.
            once: columns and a period: a row equal in them to one of the table within it is left out.

        Returns:
            Rows left out.

        Raises:
            S3ConnError: nothing was committed.
        """
        new = Ledger(self._engine.database, self.job).loaded()

        def change(transaction: Any, files: Any) -> int:
            from s3conn_magic.lakes.managed import LedgerRow, delete_rows, rows_since
            from s3conn_magic.lakes.shapes import append

            ledger = {(row.job, row.source, row.key): row for row in self._managed.ledger(transaction, files)}
            before = {key: row for (job, source, key), row in ledger.items() if (job, source) == self._of}
            mine = {
                key: loaded
                for key, loaded in new.items()
                if key not in before or (before[key].etag, before[key].size) != (loaded.etag, loaded.size)
            }
            if not mine:
                return 0
            replaced = [key for key in mine if key in before and before[key].rows]
            if replaced and not apart:
                delete_rows(transaction, OBJECT_COLUMN, map(self._uri, replaced))
            left_out = 0
            if any(loaded.rows for loaded in mine.values()):
                rows = self._rows(transaction, mine, times, apart=apart)
                if once is not None:
                    there = rows_since(transaction, datetime.now(UTC) - once[1], once[0])
                    every_row, rows = len(rows), self._without(rows, there)
                    left_out = every_row - len(rows)
                append(transaction, rows)
            ledger |= {
                (*self._of, key): LedgerRow(*self._of, key, loaded.etag, loaded.size, loaded.rows)
                for key, loaded in mine.items()
            }
            self._managed.note(transaction, files, list(ledger.values()))
            return left_out

        left_out = self._managed.commit(change)
        self._engine.tables.see_managed(self._table, self._managed.committed)
        return left_out

    def _without(self, rows: Any, others: Any) -> Any:
        """Return the rows that do not occur in other rows, compared by the columns that both have."""
        database, names = self._engine.database, {"rows": rows, "there": others}
        for name, table in names.items():
            database.register(f"{_OBJECTS}_{name}", table)
        same = " AND ".join(
            f"there.{each} IS NOT DISTINCT FROM rows.{each}" for each in map(identifier, others.column_names)
        )
        query = f"FROM {_OBJECTS}_rows AS rows WHERE NOT EXISTS (FROM {_OBJECTS}_there AS there WHERE {same})"
        left = database.sql(query).to_arrow_table()
        for name in names:
            database.unregister(f"{_OBJECTS}_{name}")
        return left.cast(rows.schema)

    def _uri(self, key: str) -> str:
        return f"s3://{self._of[1]}/{key}"

    def _rows(
        self, transaction: Any, mine: Mapping[str, Loaded], times: Mapping[str, datetime | None], *, apart: bool
    ) -> Any:
        """Return the rows of some objects in Iceberg's types, with the wanted system columns."""
        import pyarrow as pa

        from s3conn_magic.lakes.shapes import wanted_by
        from s3conn_magic.lakes.snapshots import new_commit

        database = self._engine.database
        columns = database.sql(f"FROM {self._sql} LIMIT 0").columns
        names = [self._uri(key) for key in mine]
        marks = [f"{self._uri(key)}#{mine[key].etag}" if apart else self._uri(key) for key in mine]
        written = [(times.get(key) or _NEVER).replace(tzinfo=None) for key in mine]
        objects = pa.table({"object": names, "mark": marks, "written": pa.array(written, pa.timestamp("us"))})
        database.register(_OBJECTS, objects)
        values = {"$event_time": "written", "$event_date": "written::DATE", "$source": "object"}
        taken = [name for name in SYSTEM if name in columns or name in wanted_by(transaction.table_metadata)]
        if CAME in taken:
            values[CAME] = moment_literal(new_commit(transaction))
        plain = [f"rows.{identifier(name)}" for name in columns if name not in {*SYSTEM, OBJECT_COLUMN}]
        more = [f"({values[name]})::{SYSTEM[name]} AS {identifier(name)}" for name in taken]
        items = ", ".join([*plain, *more, f"mark AS {identifier(OBJECT_COLUMN)}"])
        joined = f"{self._sql} AS rows JOIN {_OBJECTS} ON rows.{identifier(OBJECT_COLUMN)} = object"
        query = kept_rows(database, f"(SELECT {items} FROM {joined})")  # noqa: S608 - quoted names
        rows = database.sql(query).to_arrow_table()
        database.unregister(_OBJECTS)
        return rows


_NEVER = datetime(1970, 1, 1)  # noqa: DTZ001 - a column without a zone


_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)")
_TIME = re.compile(r"DATE|TIMESTAMP( WITH TIME ZONE|_S|_MS|_NS)?")
_NESTED = re.compile(r".*\[\d*\]|(?:STRUCT|MAP|UNION)\(.*\)", re.DOTALL)
_EXACT = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL\(.*\)")
_GEOMETRY = re.compile(r"GEOMETRY(\(.*\))?")
_FAMILIES = (_NUMBER, _TIME, _NESTED, _GEOMETRY)
TEXTS = {"VARCHAR", "JSON"}
_COLUMNS = f"SELECT column_name, data_type FROM duckdb_columns() WHERE {PLACED} ORDER BY column_index"  # noqa: S608


def _family(kind: str) -> re.Pattern[str] | None:
    return next((family for family in _FAMILIES if family.fullmatch(kind)), None)


class TargetTable:
    """A table as the database has it.

    Args:
        database: the one with the table.
        name: as written.
        new: whether the column of a name was added by this run, so that later objects of the run may change its type.
    """

    def __init__(
        self, database: duckdb.DuckDBPyConnection, name: str, new: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._database, self._new = database, new
        self._without_values: set[str] = set()
        self.name = name

    @property
    def sql(self) -> str:
        """Quoted name."""
        return qualified(self.name)

    def columns(self) -> dict[str, str]:
        """Return types by column name; empty if there is no such table."""
        return dict(self._database.execute(_COLUMNS, placed(self.name)).fetchall())

    def fit(self, wanted: Mapping[str, str], rows: str, system: Iterable[str] = ()) -> None:
        """Create the table, or widen it to take rows of these columns without loss.

        Args:
            wanted: types by column name.
            rows: SQL of the rows.
            system: columns of `SYSTEM` to add if they are missing.

        Raises:
            QueryError: values of a column do not fit into the table's column of that name.
        """
        current = self.columns()
        wanted = {**wanted, OBJECT_COLUMN: "VARCHAR"} | {name: SYSTEM[name] for name in system if name not in current}
        if not current:
            self._make(wanted)
            return
        names = {name.casefold(): name for name in current}
        for name, kind in wanted.items():
            if (old := names.get(name.casefold())) is None:
                if self._is_landing:
                    kept_as(self._database.sql(f"SELECT NULL::{kind}").types[0], name)
                self._alter(f"ADD COLUMN {identifier(name)} {kind}")
                continue
            if self._holds(rows, name, kind, current[old]):
                continue
            if _family(current[old]) != _family(kind) and not self._may_have_values(rows, name):
                self._without_values.add(name)
                continue
            if kind == "VARCHAR" and current[old] not in {*TEXTS, NULL}:
                self._fit_text(rows, name, current[old])
                continue
            wider = self.wider(old, current[old], kind)
            if kind not in {wider, NULL} and wider not in TEXTS:
                self._check_exact(rows, name, kind, wider)
            if wider != current[old]:
                self._check_exact(self.sql, old, current[old], wider)
                self._widen(old, current[old], wider)

    @property
    def _is_landing(self) -> bool:
        return self.name.endswith(MAKING)

    def _widen(self, name: str, current: str, wider: str) -> None:
        """Change a column to a wider type; in a table in S3 only as Iceberg allows.

        Raises:
            QueryError: Iceberg does not allow it.
        """
        of = [*placed(self.name), name]
        comments = self._database.execute(_COMMENT, of).fetchall() if self._is_landing else []
        if any(comment == _KEPT for (comment,) in comments):
            first, second = (
                kept_as(kind, name) for kind in self._database.sql(f"SELECT NULL::{current}, NULL::{wider}").types
            )
            if first != second and not is_wider(second, first):
                hint = (
                    "Iceberg widens INTEGER to BIGINT, FLOAT to DOUBLE, and the digits of a DECIMAL. CREATE OR REPLACE"
                )
                hint += " TABLE … AS SELECT with a cast rebuilds the table."
                raise QueryError(
                    f"the column {name} is {current} in the table, and {wider} would hold the object", hint=hint
                )
            self._alter(f"ALTER COLUMN {identifier(name)} SET DATA TYPE {wider}")
            self._database.execute(f"COMMENT ON COLUMN {self.sql}.{identifier(name)} IS '{_KEPT}'")
            return
        self._alter(f"ALTER COLUMN {identifier(name)} SET DATA TYPE {wider}")

    def _holds(self, rows: str, name: str, kind: str, current: str) -> bool:
        """Return whether the table's type holds every value of the object unchanged, despite another type."""
        import duckdb

        if kind == current or _family(kind) is None or _family(kind) != _family(current):
            return False
        # Casting to a struct with other fields is an error, and an error ends the transaction.
        if _NESTED.fullmatch(kind) and not _has_fields(
            *self._database.sql(f"SELECT NULL::{current}, NULL::{kind}").types
        ):
            return False
        if current.startswith("UNION("):  # Parquet has only its tag and members, which do not become a UNION again
            return True
        try:
            self._check_exact(rows, name, kind, current)
        except (QueryError, duckdb.Error):  # the types may have no cast
            return False
        return True

    def _fit_text(self, rows: str, name: str, current: str) -> None:
        """Make a new column VARCHAR if its type does not hold every value of a text column exactly.

        Raises:
            QueryError: the column is not new.
        """
        column = identifier(name)
        query = f"SELECT 1 FROM {rows} WHERE {column} IS NOT NULL AND NOT {cast(column, current).exact} LIMIT 1"  # noqa: S608
        if not self._database.execute(query).fetchall():
            return
        if not self._new(name) or (_family(current) not in (_NUMBER, _TIME) and current != "BOOLEAN"):
            raise QueryError(
                f"the column {name} is {current} in the table, and has text in the object that is not",
                hint=_AS_TEXT,
            )
        self._widen(name, current, "VARCHAR")

    def _may_have_values(self, rows: str, name: str) -> bool:
        query = f"SELECT 1 FROM {rows} WHERE {identifier(name)} IS NOT NULL LIMIT 1"  # noqa: S608 - a quoted name
        return bool(self._database.execute(query).fetchall())

    def taken(self, columns: Mapping[str, str]) -> list[str]:
        """Return the SQL of columns, cast to the table's types: nested values to JSON for text, and text exactly."""
        current = {name.casefold(): kind for name, kind in self.columns().items()}
        parts = []
        for name, kind in columns.items():
            own, column = current.get(name.casefold(), kind), identifier(name)
            if is_nested(kind) and own in TEXTS:
                parts.append(f"to_json({column}) AS {column}")
            elif name in self._without_values:
                parts.append(f"NULL::{own} AS {column}")
            elif kind == "VARCHAR" and own not in TEXTS:
                parts.append(f"{strict(column, own, name)} AS {column}")
        return parts

    def _check_exact(self, rows: str, name: str, kind: str, wider: str) -> None:
        """Check that no value changes in the wider type, at any depth."""
        if kind == NULL:
            return
        column = identifier(name)
        changed = f"{column} IS DISTINCT FROM TRY_CAST(TRY_CAST({column} AS {wider}) AS {kind})"
        if self._database.execute(f"SELECT 1 FROM {rows} WHERE {changed} LIMIT 1").fetchall():  # noqa: S608
            raise QueryError(
                f"the column {name} has values of {kind}, and others of {wider}, which would change them",
                hint=_AS_TEXT,
            )

    def _make(self, wanted: Mapping[str, str]) -> None:
        columns = ", ".join(f"{identifier(name)} {kind}" for name, kind in wanted.items())
        self._database.execute(f"CREATE TABLE {self.sql} ({columns})")

    def _alter(self, change: str) -> None:
        self._database.execute(f"ALTER TABLE {self.sql} {change}")

    def wider(self, name: str, current: str, kind: str) -> str:
        """Return the type that holds the values of both."""
        if kind in {current, NULL} or current == "VARCHAR":
            return current
        if current == NULL:
            return kind
        if {current, kind} <= TEXTS:
            return "VARCHAR"
        if "JSON" in {current, kind}:
            return current
        if _family(current) is None or _family(current) != _family(kind):
            raise QueryError(f"the column {name} is {kind} in the object, and {current} in the table", hint=_AS_TEXT)
        if _clash(*self._database.sql(f"SELECT NULL::{current}, NULL::{kind}").types, new=self._new(name)):
            raise QueryError(
                f"the column {name} is {kind} in the object, and {current} in the table, and neither fits the other",
                hint=_AS_TEXT,
            )
        if _EXACT.fullmatch(current) and _EXACT.fullmatch(kind):
            return _wider_exact(current, kind)
        ((_, wider, *_),) = self._database.execute(
            f"DESCRIBE SELECT NULL::{current} AS x UNION ALL SELECT NULL::{kind}"
        ).fetchall()
        return "DOUBLE" if wider == "FLOAT" and {current, kind} != {"FLOAT"} else str(wider)


_AS_TEXT = "A table whose column is VARCHAR takes every value as it is written."
_KEPT = "in the table"
_COMMENT = f"SELECT comment FROM duckdb_columns() WHERE {PLACED} AND column_name = ?"  # noqa: S608
_MOST_DIGITS = 38
_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
# Digits before the decimal point; DuckDB's common type of two may be narrower than both.
_WHOLE = dict(zip([*_SIGNED, *(f"U{name}" for name in _SIGNED)], (3, 5, 10, 19, 39, 3, 5, 10, 20, 39), strict=True))


def _wider_exact(first: str, second: str) -> str:
    """Return the integer or decimal type that holds most values of both; the caller checks them."""
    digits = [_digits(kind) for kind in (first, second)]
    whole, scale = (max(sizes) for sizes in zip(*digits, strict=True))
    if not {first, second} <= _WHOLE.keys():
        return f"DECIMAL({min(whole + scale, _MOST_DIGITS)},{min(scale, _MOST_DIGITS)})"
    signed = [kind for kind in (first, second) if kind in _SIGNED]
    if len(signed) != 1:  # both signed or both unsigned
        return first if _WHOLE[first] > _WHOLE[second] else second
    # The next larger signed type holds the values of an unsigned one.
    (other,) = {first, second} - {*signed}
    larger = _SIGNED[min(_SIGNED.index(other[1:]) + 1, len(_SIGNED) - 1)]
    return max(signed[0], larger, key=_SIGNED.index)


def _digits(kind: str) -> tuple[int, int]:
    """Return the digits of an integer or decimal type before and after the point."""
    if kind in _WHOLE:
        return _WHOLE[kind], 0
    precision, scale = map(int, re.findall(r"[0-9]+", kind))
    return precision - scale, scale


def _has_fields(there: DuckDBPyType, kind: DuckDBPyType) -> bool:
    """Return whether a nested type has all fields of another, at any depth."""
    if there.id == "union" or kind.id not in {"list", "array", "struct", "map"}:
        return True
    own: dict[str, Any] = {name.casefold(): part for name, part in getattr(there, "children", ())}
    return there.id == kind.id and all(
        name.casefold() in own and (isinstance(part, (int, list)) or _has_fields(own[name.casefold()], part))
        for name, part in kind.children
    )


_FLOATING = {"float", "double"}
_NOT_TEXT = {"list", "array", "struct", "map", "union", "blob", "bit"}


def _clash(first: DuckDBPyType, second: DuckDBPyType, *, new: bool) -> bool:
    """Return whether two types must not be merged, at any depth.

    That is if one is decimal and the other a binary float, or if only the second is text: it would make the values of a
    column text that is not `new`.
    """
    ids = {first.id, second.id}
    if "decimal" in ids and ids & _FLOATING:
        return True
    if second.id == "varchar" and first.id not in {"varchar", "null"}:
        return not new or first.id in _NOT_TEXT
    if len(ids) > 1 or first.id not in {"list", "array", "struct", "map"}:
        return False
    others: dict[str, Any] = {name.casefold(): part for name, part in second.children if not isinstance(part, int)}
    parts: list[tuple[str, Any]] = [
        (name.casefold(), part) for name, part in first.children if not isinstance(part, int)
    ]
    return any(_clash(part, others[name], new=new) for name, part in parts if name in others)
