"""Run the jobs that fill a table: an INSERT of the time since the last run, a MERGE, or a materialized view."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.jobs.target_table import SCHEMA
from s3conn_magic.lakes.snapshots import Watermarks
from s3conn_magic.listing.request import Progress
from s3conn_magic.query.managing import ManagedTables
from s3conn_magic.query.merging import Merge
from s3conn_magic.query.sql import identifier, placed, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from s3conn_magic.jobs.job import Job, Outcome, Run
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.engine import QueryEngine
    from s3conn_magic.query.tables import Table

EPOCH = datetime.fromtimestamp(0, UTC)
_NAMES = re.compile(r"\brun_(?:start|end)_time\s*\(", re.IGNORECASE)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
NOTHING_LEFT = "Everything between START_FROM and END_AT is already written."
_EVERY_TIME = (
    "The query has no run_start_time() and run_end_time(): each run takes all of its rows, those of earlier runs too."
)


class Window(NamedTuple):
    """The time range of a run: its start is included, its end is not.

    Attributes:
        start: run_start_time().
        end: run_end_time().
        first: run_start_time() of the first run.
    """

    start: datetime
    end: datetime
    first: datetime

    @property
    def empty(self) -> bool:
        """Whether the range is empty."""
        return self.start >= self.end


def has_window(query: str) -> bool:
    """Return whether a query calls run_start_time() or run_end_time()."""
    return bool(_NAMES.search(_LITERAL.sub("''", query)))


def window_of(job: Job, done: datetime | None, now: datetime) -> Window:
    """Return the window of a run that begins now, when earlier runs covered the time before `done`."""
    start, end = (
        job.created_at if job.option(name) == "NOW" else job.option(name) for name in ("START_FROM", "END_AT")
    )
    first = start if isinstance(start, datetime) else EPOCH
    return Window(done or first, min(now, end) if isinstance(end, datetime) else now, first)


def watermarks_text(marks: Mapping[str, datetime]) -> str:
    """Return the text that stores the commits up to which tables were read."""
    return json.dumps({address: at.isoformat() for address, at in marks.items()})


def marks_of(text: str | None) -> dict[str, datetime]:
    """Return the commits that such a text stores."""
    return {address: datetime.fromisoformat(at) for address, at in json.loads(text or "{}").items()}


@contextmanager
def times(
    engine: QueryEngine, window: Window | None, before: Mapping[str, datetime] | None = None
) -> Iterator[Watermarks]:
    """Define the functions of a run's time during a block; timestamps in UTC.

    Args:
        engine: within a turn.
        window: of the run.
        before: commit up to which the last run read each table.

    Yields:
        The commits up to which this run reads.
    """
    marks = Watermarks(before or {}, *(window or (EPOCH, EPOCH))[:2])
    if window is None:
        yield marks
        return
    functions = {
        f"run_{name}_time()": f"TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
        for name, moment in zip(("start", "end", "first"), window, strict=True)
    }
    functions["run_window(moment, low, high)"] = "moment >= low AND moment < high"
    engine.filesystem.scope.watermarks = marks
    for name, value in functions.items():
        engine.database.execute(f"CREATE OR REPLACE TEMP MACRO {name} AS {value}")
    try:
        yield marks
    finally:
        engine.filesystem.scope.watermarks = None
        for name in functions:
            engine.database.execute(f"DROP MACRO IF EXISTS {name.partition('(')[0]}")


class WatermarkStore:
    """Stores up to which time and commits a job has read, in the transaction of its rows.

    Args:
        engine: holds the table; within a turn.
        job: the job.
    """

    def __init__(self, engine: QueryEngine, job: Job) -> None:
        self._engine, self._of = engine, [job.name.casefold(), job.plan.table.casefold()]
        self._property, self._marks = (f"s3conn-magic.{each}.{job.name.casefold()}" for each in ("until", "read"))
        held = {table.name.casefold(): table for table in engine.tables}.get(self._of[1])
        self._managed = engine.tables.managed(held) if held is not None and held.catalog else None
        catalog, *_ = placed(job.plan.table)  # in the rows' database: a transaction of DuckDB writes to one
        schema = f"{identifier(catalog)}.{SCHEMA}" if catalog else SCHEMA
        self._name = f"{schema}.until"
        if self._managed is None:
            columns = "(job VARCHAR, target VARCHAR, until TIMESTAMP, read VARCHAR)"
            engine.database.execute(
                f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE IF NOT EXISTS {self._name} {columns};"
                f" ALTER TABLE {self._name} ADD COLUMN IF NOT EXISTS read VARCHAR"
            )

    def get(self) -> tuple[datetime | None, Mapping[str, datetime]]:
        """Return the end of the last run and the commits up to which it read tables; None and {} before the first."""
        if self._managed is not None:
            text, read = self._managed.commit(lambda transaction, _: self._stored_text(transaction))
            return (datetime.fromisoformat(text) if text else None), marks_of(read)
        sql = f"SELECT until, read FROM {self._name} WHERE job = ? AND target = ? ORDER BY until DESC LIMIT 1"  # noqa: S608 - names of our own
        rows = self._engine.database.execute(sql, self._of).fetchall()
        return (rows[0][0].replace(tzinfo=UTC), marks_of(rows[0][1])) if rows else (None, {})

    def _stored_text(self, transaction: Any) -> tuple[str, str]:
        properties = transaction.table_metadata.properties
        return properties.get(self._property, ""), properties.get(self._marks, "")

    def note(self, window: Window, marks: Watermarks, transaction: Any) -> None:
        """Record a run in the transaction of its rows.

        Raises:
            QueryError: another process has run the job in the meantime.
        """
        if transaction is None:
            self._forget()
            values = [*self._of, window.end.astimezone(UTC).replace(tzinfo=None), watermarks_text(marks.after)]
            self._engine.database.execute(f"INSERT INTO {self._name} VALUES (?, ?, ?, ?)", values)  # noqa: S608
            return
        text, _ = self._stored_text(transaction)
        if text and datetime.fromisoformat(text) != window.start:
            raise QueryError("another process has run the job meanwhile", hint="Nothing was changed; run it again.")
        noted = {self._property: window.end.isoformat(), self._marks: watermarks_text(marks.after)}
        transaction.set_properties(noted)

    def _forget(self) -> None:
        self._engine.database.execute(f"DELETE FROM {self._name} WHERE job = ? AND target = ?", self._of)  # noqa: S608

    def clear(self) -> None:
        """Delete the record; the rows stay."""
        if self._managed is None:
            with transaction(self._engine.database):
                self._forget()
        elif self.get()[0] is not None:
            self._managed.commit(lambda transaction, _: transaction.remove_properties(self._property, self._marks))


def run_filling(run: Run, engine: QueryEngine, outcome: Outcome) -> None:
    """Update the table of a job by its query.

    Raises:
        QueryError: the query was refused or failed, or its rows do not fit; nothing has changed.
        StatementInterrupted: the user stopped it; nothing has changed.
        S3ConnError: a table in S3 cannot be read or written; nothing has changed.
    """
    _Filling(run, engine, outcome).run()


class _Filling:
    def __init__(self, run: Run, engine: QueryEngine, outcome: Outcome) -> None:
        self._run, self._engine, self._outcome = run, engine, outcome
        self._plan, self._managing = run.job.plan, ManagedTables(engine)
        self._began = time.monotonic()

    @property
    def _query(self) -> str:
        """Return a query that reads all sources."""
        plan = self._plan
        return Merge.of(plan.table, plan.text).judged(plan.table) if plan.kind == "MERGE" else plan.text

    def run(self) -> None:
        """Run in one turn of the engine, so that rows that arrive meanwhile belong to the next run."""
        self._engine.check(self._query, local=self._run.local)
        with self._engine.watched(self._report):
            self._engine.alone(self._filled)

    def _report(self, scope: QueryScope) -> None:
        if self._run.report:
            self._run.report(Progress(0, scope.bytes, scope.requests, time.monotonic() - self._began, unit=""))

    def _filled(self) -> None:
        tables, plan = self._engine.tables, self._plan
        tables.prepare(plan.table)
        self._managing.add_system_columns(self._query)
        if plan.kind == "VIEW":
            self._view()
        else:
            if plan.table.casefold() not in {table.name.casefold() for table in tables}:
                tables.create_empty(plan.table)
            self._changed()
        self._outcome.connections.update(self._engine.filesystem.scope.connections)
        self._run.loaded()

    def _view(self) -> None:
        window = Window(EPOCH, datetime.now(UTC), EPOCH) if has_window(self._plan.text) else None
        with times(self._engine, window):
            made: Table = self._engine.tables.create_from(self._plan.table, self._plan.text, local=self._run.local)
        self._outcome.notes += [made.note] if made.note else []
        self._outcome.rows = self._engine.tables.rows(made) or 0

    def _changed(self) -> None:
        plan, until, noted = self._plan, WatermarkStore(self._engine, self._run.job), None
        done, before = until.get() if has_window(plan.text) else (None, {})
        window = window_of(self._run.job, done, datetime.now(UTC)) if has_window(plan.text) else None
        if window is not None and window.empty:
            self._outcome.notes.append(NOTHING_LEFT)
            return
        if window is None and plan.kind == "INTO":
            self._outcome.notes.append(_EVERY_TIME)
        with times(self._engine, window, before) as marks:
            if window is not None:
                noted = partial(until.note, window, marks)
            if plan.kind == "MERGE":
                rows = self._managing.merge(plan.table, plan.text, local=self._run.local, noted=noted)
            else:
                how = plan.how._replace(by_key=True)
                rows = self._managing.insert(plan.table, plan.text, how, local=self._run.local, noted=noted)
        self._outcome.rows, self._outcome.window = rows, window[:2] if window else None
