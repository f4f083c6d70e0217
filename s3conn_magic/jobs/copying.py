"""A run of COPY FROM S3: the objects that are new or were changed, one after the other."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from s3conn_magic.errors import (
    EndpointError,
    JobFailedError,
    QueryError,
    S3ConnError,
    StatementInterrupted,
)
from s3conn_magic.jobs.job import OBJECT_COLUMN, Failure, Outcome, candidates
from s3conn_magic.jobs.loading import AHEAD, FATAL, Loader
from s3conn_magic.jobs.target_table import Ledger, TargetTable
from s3conn_magic.language.help import name_text
from s3conn_magic.language.words import counted
from s3conn_magic.listing.request import Progress
from s3conn_magic.locations import visible
from s3conn_magic.objects import uploads
from s3conn_magic.objects.deleting import ExactDeletion
from s3conn_magic.objects.listed import partitions, said_of_private
from s3conn_magic.query.failures import translate
from s3conn_magic.query.sql import PLACED, placed

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from s3conn_magic.jobs.job import Candidate, Parsed, Run
    from s3conn_magic.jobs.target_table import Loaded
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.engine import QueryEngine

# DuckDB's arguments of read_csv are not those of a job.
_ADVICE = re.compile(r"; (?:Possible (?:fix|solution)|file = ).*", re.IGNORECASE | re.DOTALL)
_MOST_UNREACHED = 3
_TAKEN = "FILE_PATTERN takes those that it names, as '(.*/)?_x/.*' names folders _x"
_REPLACED = "it was replaced after it was loaded: what is there now was not deleted"
_TRIGGERS = f"SELECT 1 FROM duckdb_triggers() WHERE {PLACED} LIMIT 1"  # noqa: S608


def run_copy(run: Run, engine: QueryEngine, outcome: Outcome) -> None:
    """Load what is new or changed; `outcome` says at any time what was done.

    Raises:
        QueryError: COLUMN_TRANSFORMATIONS do more than read; nothing was read.
        StatementInterrupted: the user stopped it; objects that were loaded stay, and none is there in part.
        JobFailedError: the table takes no rows, or has a trigger; nothing was read.
        S3ConnError: the location cannot be listed, or nothing can be reached any more.
    """
    held = {table.name.casefold(): table for table in engine.tables}.get(run.job.plan.table.casefold())
    if held is not None and held.is_view:
        hint, what = "Load into another table.", "over files" if held.location else "a view"
        raise JobFailedError(f"the table {visible(held.name)} is {what}, and takes no rows", hint=hint)
    if run.job.option("DELETE_FILES_AFTER_LOAD"):
        uploads.refuse_if_read_only(run.job.connection, "DELETE_FILES_AFTER_LOAD")
    engine.check_expressions(run.job.plan.expressions, local=run.local)
    if engine.look(lambda database: database.execute(_TRIGGERS, placed(run.job.plan.table)).fetchall()):
        hint = "Load into another table."
        raise JobFailedError(f"the table {visible(run.job.plan.table)} has a trigger, which may do anything", hint=hint)
    _Copying(run, engine, outcome).run()


class _Copying:
    def __init__(self, run: Run, engine: QueryEngine, outcome: Outcome) -> None:
        self._run, self._engine, self._outcome = run, engine, outcome
        self._deletion: ExactDeletion | None = None
        self._gone: set[str] = set()
        self._began = time.monotonic()
        self._unreached = self._size = 0
        self._passed: list[int] = []
        self._taken: Counter[str] = Counter()

    def run(self) -> None:
        job = self._run.job
        selection = candidates(job, first_run=self._run.number == 1)
        listed = selection.objects
        if said := said_of_private([candidate.location for candidate in selection.left_out], _TAKEN):
            self._outcome.notes.append(said)
        if not listed and self._run.number == 1 and not job.option("SKIP_VALIDATIONS"):
            where = visible(job.plan.location.uri)
            hint = "SKIP_VALIDATIONS = ('EMPTY_PATH') makes the job all the same; RUN JOB loads what comes later."
            raise JobFailedError(f"there is nothing to load at {where}", hint=hint, notes=tuple(self._outcome.notes))
        self._forget_gone({candidate.location.uri for candidate in listed})
        with self._engine.watched(self._report):
            self._engine.alone(lambda: self._loaded(listed))

    def _forget_gone(self, there: set[str]) -> None:
        """An object that is gone can't fail any more."""
        job = self._run.job
        for location in {failure.location for failure in job.failures if not failure.resolved} - there:
            job.resolve(location)

    def _loaded(self, listed: Sequence[Candidate]) -> None:
        try:
            self._load(listed)
        finally:
            self._run.loaded()

    def _load(self, listed: Sequence[Candidate]) -> None:
        self._engine.tables.prepare(self._run.job.plan.table)
        database = self._engine.database
        ledger = Ledger(database, self._run.job)
        table = TargetTable(database, self._run.job.plan.table)
        loaded = _still_there(ledger, table)
        if self._run.job.option("DELETE_FILES_AFTER_LOAD"):
            # A run that ended after it had deleted them did not come to forget them.
            self._retire(ledger, table, loaded.keys() - {candidate.location.key for candidate in listed})
            loaded = ledger.loaded()
        scope = self._engine.filesystem.scope
        scope.loose = True  # what is a lake table's was refused
        columns = partitions([candidate.location.key for candidate in listed], self._run.job.plan.location.key)
        loader = Loader(self._run.job, database, scope, self._run.job.plan.table, ledger, columns)
        todo = [candidate for candidate in listed if not _same(loaded.get(candidate.location.key), candidate)]
        left = [candidate for candidate in listed if _same(loaded.get(candidate.location.key), candidate)]
        self._size = sum(candidate.size for candidate in todo)
        loader.learn(todo)
        with closing(self._parsed(loader, todo)) as parsed:
            for candidate, rows in zip(todo, parsed, strict=True):
                self._take(loader, candidate, rows, replace=candidate.location.key in loaded)
                self._passed.append(candidate.size)
        # A run that ended before it could delete them, or was refused, has left them.
        for candidate in left:
            loader.scope.check()
            self._delete(candidate)
        self._retire(ledger, table, self._gone)
        self._say_how_deleted()
        self._say_how_taken()

    @staticmethod
    def _retire(ledger: Ledger, table: TargetTable, keys: AbstractSet[str]) -> None:
        if keys and OBJECT_COLUMN in table.columns():
            ledger.retire(keys, table.sql)

    def _parsed(self, loader: Loader, todo: Sequence[Candidate]) -> Generator[Parsed | S3ConnError | None]:
        """What was read elsewhere of each object; None for what is read here."""
        if self._run.elsewhere is not None:
            yield from self._run.elsewhere(self._run.job, todo, loader.scope.check)
            return
        for at in range(len(todo)):
            loader.prefetch(todo[at : at + AHEAD])
            yield None

    def _rows(self, loader: Loader, candidate: Candidate, parsed: Parsed | S3ConnError | None, *, replace: bool) -> int:
        import duckdb

        if isinstance(parsed, S3ConnError):
            raise parsed
        if parsed is not None:
            # What does not fit is told, or fits after all, when it is read with its table at hand.
            with suppress(duckdb.ConversionException, duckdb.InvalidInputException):
                return loader.insert(candidate, parsed, replace=replace)
        return loader.load(candidate, replace=replace)

    def _take(
        self, loader: Loader, candidate: Candidate, parsed: Parsed | S3ConnError | None, *, replace: bool
    ) -> None:
        scope = loader.scope
        try:
            scope.check()
            rows = self._rows(loader, candidate, parsed, replace=replace)
        except Exception as error:  # noqa: BLE001 - one bad object does not stop the others
            failure = translate(error, "", scope)
        else:
            self._taken[loader.taken] += 1
            self._done(candidate, rows, loader.skipped.note(), replace=replace)
            return
        finally:
            loader.release(candidate)
        if isinstance(failure, (StatementInterrupted, *FATAL)):
            raise failure
        scope.failure = None
        self._failed(candidate, failure)

    def _done(self, candidate: Candidate, rows: int, without: str, *, replace: bool) -> None:
        self._unreached = 0
        self._outcome.objects += 1
        self._outcome.replaced += replace
        self._outcome.rows += rows
        self._outcome.bytes += candidate.size
        if without:
            self._failed(candidate, QueryError(f"its rows were loaded, but not all of its lines: {without}"))
        else:
            self._run.job.resolve(candidate.location.uri)
            self._delete(candidate)

    def _delete(self, candidate: Candidate) -> None:
        """Delete an object that is loaded, where the job does so, and if it still is what was loaded."""
        job = self._run.job
        if not job.option("DELETE_FILES_AFTER_LOAD"):
            return
        if self._deletion is None:
            self._deletion = ExactDeletion(job.connection, candidate.location.bucket)
        try:
            left = self._why_left(candidate, self._deletion)
        except S3ConnError as error:
            left = error
        if left is not None:
            self._failed(candidate, left)
        else:
            self._gone.add(candidate.location.key)
            job.resolve(candidate.location.uri)

    def _why_left(self, candidate: Candidate, deletion: ExactDeletion) -> S3ConnError | None:
        """Delete it, or say why it stays."""
        if not candidate.etag:
            return S3ConnError("it was loaded, and not deleted: the server gives no ETag to tell it by")
        if deletion.delete(candidate.location.key, candidate.etag) == "changed":
            return S3ConnError(_REPLACED, hint=f"RUN JOB {name_text(self._run.job.name)}; loads it.")
        return None

    def _say_how_deleted(self) -> None:
        if self._deletion and (lacking := self._deletion.lacking):
            said = f"{lacking[0].upper()}{lacking[1:]}: each object was compared with what was loaded just before it."
            self._outcome.notes.append(said)

    def _say_how_taken(self) -> None:
        for said, count in self._taken.items():
            if said:
                self._outcome.notes.append(f"{counted(count, 'object')} {'was' if count == 1 else 'were'} read {said}.")

    def _failed(self, candidate: Candidate, error: S3ConnError) -> None:
        said = _ADVICE.sub("", error.message)
        said = f"{said.rstrip('.')}. {error.hint}" if error.hint else said
        failure = Failure(self._run.number, datetime.now(UTC), candidate.location.uri, candidate.etag, said)
        self._run.job.failures.append(failure)
        self._outcome.fail(failure)
        self._unreached += isinstance(error, EndpointError)
        if self._unreached >= _MOST_UNREACHED:
            raise error

    def _report(self, scope: QueryScope) -> None:
        """Tell how far it is: by the objects that are passed, and by what has come of those that are read."""
        if self._run.report:
            came = max(sum(self._passed), min(scope.bytes, self._size))
            part = came / self._size if self._size else None
            elapsed = time.monotonic() - self._began
            self._run.report(Progress(len(self._passed), came, scope.requests, elapsed, part, unit="objects"))


def _same(before: Loaded | None, candidate: Candidate) -> bool:
    return before is not None and (before.etag, before.size) == (candidate.etag, candidate.size)


def _still_there(ledger: Ledger, table: TargetTable) -> Mapping[str, Loaded]:
    """What was loaded into the table that is there now; one that was dropped, or made anew, begins anew."""
    loaded = ledger.loaded()
    if any(before.rows for before in loaded.values()) and OBJECT_COLUMN not in table.columns():
        ledger.clear()
        return {}
    return loaded
