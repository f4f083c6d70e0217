"""A run of INSERT INTO S3: the result of a query as one object, which is there whole or not at all."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from s3conn_magic.errors import AccessDeniedError, EndpointError, S3ConnError
from s3conn_magic.jobs.output import OWNER, Names, OutputFileSystem, OutputFormat, Sink, abort_leftovers, own_etag
from s3conn_magic.listing import Progress
from s3conn_magic.objects import uploads
from s3conn_magic.objects.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3conn_magic.jobs.job import Outcome, Run
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.engine import QueryEngine

_WINDOW = re.compile(r"\brun_(?:start|end)_time\s*\(", re.IGNORECASE)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_EPOCH = datetime.fromtimestamp(0, UTC)


def run_insert(run: Run, engine: QueryEngine, outcome: Outcome) -> None:
    """Write the result of a job's query.

    Raises:
        ReadOnlyConnectionError: nothing was sent.
        QueryError: the query was refused, and nothing was sent, or it failed, and nothing was written.
        JobFailedError: an object of somebody else's is in the way.
        EndpointError: what was written could not be read back as it was; it was deleted.
        StatementInterrupted: the user stopped it; nothing was written.
    """
    uploads.refuse_if_read_only(run.job.connection, "INSERT INTO S3")
    engine.check(run.job.plan.text, local=run.local)
    _Inserting(run, engine, outcome).run()


class _Inserting:
    def __init__(self, run: Run, engine: QueryEngine, outcome: Outcome) -> None:
        self._run, self._engine, self._outcome = run, engine, outcome
        self._job, self._connection = run.job, run.job.connection
        self._format = OutputFormat.of(run.job)
        self._names = Names(run.job, self._format.suffix)
        self._query = run.job.plan.text
        self._began = time.monotonic()

    def run(self) -> None:
        """Clear up after earlier runs, write, read back."""
        self._clear_up()
        window = self._window()
        if window and window[0] >= window[1]:
            self._outcome.notes.append("There is nothing between START_FROM and END_AT that is not written.")
            return
        where = self._names.of(self._run.began, window)
        there = own_etag(self._connection, where, self._job.name)
        sink = self._sink(where, replaces=there)
        try:
            rows = self._write(sink, window)
            if window and not rows:
                sink.abort()
            else:
                self._finish(sink, where, rows)
        except BaseException:
            with suppress(S3ConnError):
                sink.abort()
            raise
        self._outcome.replaced += there is not None
        self._outcome.window = window

    def _clear_up(self) -> None:
        try:
            aborted = abort_leftovers(self._names)
        except AccessDeniedError as error:
            self._outcome.notes.append(f"Whether a killed run left parts of an upload is not known: {error.action}.")
        except S3ConnError:  # not every server lists uploads; what it does not list is never visible either
            return
        else:
            if aborted:
                self._outcome.notes.append(f"{aborted:,} unfinished uploads of killed runs were aborted.")

    def _window(self) -> tuple[datetime, datetime] | None:
        """What run_start_time() and run_end_time() are; None for a query that has neither."""
        if not _WINDOW.search(_LITERAL.sub("''", self._query)):
            return None
        done = self._job.done_until
        if self._job.state != "ok":  # a run of another kernel, or one that was stopped, may have written more
            done = max((one for one in (done, self._names.done_until()) if one), default=None)
        end = self._job.option("END_AT")
        end = self._job.created_at if end == "NOW" else end
        began = self._run.began
        return done or self._first(), min(began, end) if isinstance(end, datetime) else began

    def _first(self) -> datetime:
        start = self._job.option("START_FROM")
        if isinstance(start, datetime):
            return start
        return self._job.created_at if start == "NOW" else _EPOCH

    def _sink(self, where: Location, *, replaces: str | None) -> Sink:
        metadata = {OWNER: quote(self._job.name)}
        upload = Upload(
            self._connection,
            where,
            None,
            content_type=self._format.media,
            replaces=replaces,
            metadata=metadata,
        )
        return Sink(upload, self._wrote)

    def _wrote(self, size: int) -> None:
        self._outcome.bytes = size

    def _report(self, scope: QueryScope) -> None:
        """Tell what was written, and by how many requests it was read."""
        if self._run.report:
            elapsed = time.monotonic() - self._began
            self._run.report(Progress(0, self._outcome.bytes, scope.requests, elapsed, unit=""))

    def _write(self, sink: Sink, window: tuple[datetime, datetime] | None) -> int:
        """Have DuckDB write the result; gives the number of rows."""
        files = OutputFileSystem()
        files.sink = sink
        before, after = "COPY (", f"\n) TO '{files.path}' {self._format.sql}"
        rows: list[int] = []

        def work() -> None:
            sink.failed = self._engine.filesystem.scope.failed
            with _registered(self._engine, files), _times(self._engine, window):
                rows.append(self._engine.count(self._query, before, after, local=self._run.local))

        with self._engine.watched(self._report):
            answer = self._engine.run(self._query, before, work)
        self._outcome.connections.update(answer.connections)
        return rows[0]

    def _finish(self, sink: Sink, where: Location, rows: int) -> None:
        if said := sink.finish():
            self._outcome.notes.append(said)
        self._outcome.objects, self._outcome.rows, self._outcome.written = 1, rows, where.uri
        try:
            sink.verify(self._connection, where, self._job.name)
        except AccessDeniedError as error:
            self._outcome.notes.append(f"It could not be read back to compare it: {error.action} is missing.")
        except EndpointError as error:
            self._remove(sink, where, error)
            self._outcome.objects, self._outcome.rows, self._outcome.written = 0, 0, ""
            raise

    def _remove(self, sink: Sink, where: Location, error: EndpointError) -> None:
        try:
            error.notes += (sink.remove(self._connection, where),)
        except S3ConnError as failure:
            error.notes += (f"It could not be deleted: {failure.message}.",)


@contextmanager
def _registered(engine: QueryEngine, files: OutputFileSystem) -> Iterator[None]:
    # One that was interrupted may have had no turn to take its own away: DuckDB refuses where it is being interrupted.
    if files.protocol in engine.database.list_filesystems():
        engine.database.unregister_filesystem(files.protocol)
    engine.database.register_filesystem(files)
    try:
        yield
    finally:
        engine.database.unregister_filesystem(files.protocol)


@contextmanager
def _times(engine: QueryEngine, window: tuple[datetime, datetime] | None) -> Iterator[None]:
    """Have run_start_time() and run_end_time() for the length of a block: timestamps in UTC."""
    if window is None:
        yield
        return
    names = ("run_start_time", "run_end_time")
    for name, moment in zip(names, window, strict=True):
        literal = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        engine.database.execute(f"CREATE OR REPLACE TEMP MACRO {name}() AS TIMESTAMP '{literal}'")
    try:
        yield
    finally:
        for name in names:
            engine.database.execute(f"DROP MACRO IF EXISTS {name}")
