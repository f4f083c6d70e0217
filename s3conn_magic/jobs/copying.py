"""Run COPY FROM S3: load the objects that are new or have changed."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from s3conn_magic.errors import (
    EndpointError,
    JobFailedError,
    QueryError,
    S3ConnError,
    StatementInterrupted,
)
from s3conn_magic.jobs.job import OBJECT_COLUMN, Failure, Outcome, candidates, text_rows, together
from s3conn_magic.jobs.loading import AHEAD, FATAL, SMALL, Loader, fitting
from s3conn_magic.jobs.target_table import SYSTEM, Landing, Ledger, TargetTable, moment_literal, system_values
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.words import counted, pattern_meant, pattern_note, sentence
from s3conn_magic.language.words import listed as listed_names
from s3conn_magic.listing.request import Progress
from s3conn_magic.locations import visible
from s3conn_magic.objects.deleting import ExactDeletion
from s3conn_magic.objects.filesystem import Copies
from s3conn_magic.objects.listed import partitions, said_of_private
from s3conn_magic.objects.requests import note_of_nothing
from s3conn_magic.query.failures import translate
from s3conn_magic.query.line_rows import FILE
from s3conn_magic.query.parquet_paths import NARROWED, alike_in
from s3conn_magic.query.sql import PLACED, identifier, literal, placed, transaction
from s3conn_magic.query.text_rows import with_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from s3conn_magic.jobs.job import Candidate, Job, ObjectSource, Run
    from s3conn_magic.jobs.target_table import Loaded
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.engine import QueryEngine
    from s3conn_magic.query.text_rows import TextRows

# Advice of DuckDB names arguments of read_csv, which jobs do not have.
_ADVICE = re.compile(r"; (?:Possible (?:fix|solution)|file = ).*", re.IGNORECASE | re.DOTALL)
_MOST_UNREACHED = 3
_TAKEN = "FILE_PATTERN takes those that it names, as '(.*/)?_x/.*' names folders _x"
_REPLACED = "it was replaced after it was loaded: the new object was not deleted"
_TRIGGERS = f"SELECT 1 FROM duckdb_triggers() WHERE {PLACED} LIMIT 1"  # noqa: S608


def run_copy(run: Run, engine: QueryEngine, outcome: Outcome) -> None:
    """Load new and changed objects; `outcome` is always up to date.

    Raises:
        QueryError: COLUMN_TRANSFORMATIONS do more than read; nothing was read.
        StatementInterrupted: the user stopped it; each object is loaded completely or not at all.
        JobFailedError: the table takes no rows, or has a trigger; nothing was read.
        S3ConnError: the location cannot be listed, or the connection is lost.
    """
    held = {table.name.casefold(): table for table in engine.tables}.get(run.job.plan.table.casefold())
    if held is not None and held.is_view and not held.catalog:
        hint, kind = "Load into another table.", "over files" if held.location else "a view"
        raise JobFailedError(f"the table {visible(held.name)} is {kind}, and cannot take rows", hint=hint)
    if run.job.option("DELETE_FILES_AFTER_LOAD"):
        run.job.connection.refuse_if_read_only("DELETE_FILES_AFTER_LOAD")
    predicates = [each.predicate for each in run.job.plan.expectations]
    engine.check_expressions([*run.job.plan.expressions, *predicates], local=run.local)
    if engine.look(lambda database: database.execute(_TRIGGERS, placed(run.job.plan.table)).fetchall()):
        hint = "Load into another table."
        raise JobFailedError(
            f"the table {visible(run.job.plan.table)} has a trigger, which could do anything", hint=hint
        )
    _Copying(run, engine, outcome).run()


def _left_out(job: Job, *, certain: bool) -> str:
    """Return why there is nothing to load: what the options leave out, or what was meant by the location."""
    names = ("FILE_PATTERN", "FILE_SUFFIX", *(("START_FROM", "END_AT") if certain else ()))
    if given := [name for name in names if job.option(name)]:
        return f"No object there passes {listed_names(given, 'and')}."
    return note_of_nothing(job.connection, job.location, "{place}")


def _whole_key(pattern: str) -> str:
    """Return a hint for a FILE_PATTERN of another kind, or of a part of keys; empty for any other."""
    if (hint := pattern_meant("FILE_PATTERN =", "regular", pattern)) or not pattern or ".*" in pattern:
        return hint
    whole = literal(f".*{pattern.removeprefix('^').removesuffix('$')}.*")
    return f"FILE_PATTERN matches the whole key below the location: write FILE_PATTERN = {visible(whole)}."


class _Copying:
    def __init__(self, run: Run, engine: QueryEngine, outcome: Outcome) -> None:
        self._run, self._engine, self._outcome = run, engine, outcome
        self._deletion: ExactDeletion | None = None
        self._gone: set[str] = set()
        self._began = time.monotonic()
        self._unreached = self._size = 0
        self._passed: list[int] = []
        self._taken: Counter[str] = Counter()
        self._landing: Landing | None = None
        self._deleted_later: list[Candidate] = []

    def run(self) -> None:
        job = self._run.job
        selection = candidates(job, first_run=self._run.number == 1)
        listed = selection.objects
        if note := said_of_private([candidate.location for candidate in selection.left_out], _TAKEN):
            self._outcome.notes.append(note)
        skips = job.option("SKIP_ALL_VALIDATIONS") or {"ALL", "EMPTY_PATH"} & {*job.option("SKIP_VALIDATIONS", ())}
        exact = "" if listed else pattern_note(job.location, "LOCATION = {place} FILE_PATTERN = {expression}.")
        why = "" if listed or exact or self._run.number > 1 else _left_out(job, certain=not skips)
        if skips and (exact or why):
            self._outcome.notes.append(exact or why)
        if not listed and self._run.number == 1 and not skips:
            where = visible(job.location.uri)
            hint = "SKIP_VALIDATIONS = ('EMPTY_PATH') makes the job anyway; RUN JOB loads what comes later."
            hint = _whole_key(job.option("FILE_PATTERN") or "") or exact or f"{why} {hint}".strip()
            raise JobFailedError(f"there is nothing to load at {where}", hint=hint, notes=tuple(self._outcome.notes))
        self._forget_gone({candidate.location.uri for candidate in listed})
        with self._engine.watched(self._report):
            self._engine.alone(lambda: self._loaded(listed))

    def _forget_gone(self, keys: set[str]) -> None:
        """Resolve failures of objects that are gone."""
        job = self._run.job
        for location in {failure.location for failure in job.failures if not failure.resolved} - keys:
            job.resolve(location)

    def _loaded(self, listed: Sequence[Candidate]) -> None:
        try:
            self._load(listed)
        finally:
            self._run.loaded()

    def _load(self, listed: Sequence[Candidate]) -> None:
        self._engine.tables.prepare(self._run.job.plan.table)
        database, job = self._engine.database, self._run.job
        held = next((each for each in self._engine.tables if each.name.casefold() == job.plan.table.casefold()), None)
        if held is not None and held.catalog:
            self._landing = Landing(self._engine, job, held)
            job = self._landing.job
            self._landing.begin()
        ledger = Ledger(database, job)
        table = TargetTable(database, job.plan.table)
        loaded = self._landing.loaded() if self._landing else _loaded_before(ledger, table)
        if job.option("DELETE_FILES_AFTER_LOAD") and self._landing is None:
            # A run may have ended after it deleted objects and before it removed them from the ledger.
            self._retire(ledger, table, loaded.keys() - {candidate.location.key for candidate in listed})
            loaded = ledger.loaded()
        scope = self._engine.filesystem.scope
        scope.loose = True  # objects of lake tables were refused before
        columns = partitions([candidate.location.key for candidate in listed], self._run.job.location.key)
        system = self._system(table, declared=held is not None and held.declared)
        loader = Loader(job, database, scope, job.plan.table, ledger, columns, system, job.plan.expectations)
        todo = [candidate for candidate in listed if not _same(loaded.get(candidate.location.key), candidate)]
        unchanged = [candidate for candidate in listed if _same(loaded.get(candidate.location.key), candidate)]
        self._size = sum(candidate.size for candidate in todo)
        with loader.fetched(self._run.elsewhere, todo):
            self._take_all(loader, todo, loaded.keys())
        self._commit(todo)
        # A run ended before it could delete them, or was not allowed to.
        for candidate in unchanged:
            loader.scope.check()
            self._delete(candidate)
        if self._landing is None:
            self._retire(ledger, table, self._gone)
        self._note_deletion()
        self._note_formats()
        if loader.of_no_column and self._outcome.objects:
            names = listed_names(map(visible, sorted(loader.of_no_column)), "and")
            self._outcome.notes.append(f"EXCLUDE_COLUMNS: no object has a column {names}.")

    def _system(self, table: TargetTable, *, declared: bool) -> tuple[str, ...]:
        """Return the system columns that get values: all of a new table, else those it has."""
        columns, deduplicates = table.columns(), self._run.job.option("DEDUPLICATE_WITH") is not None
        return tuple(
            name
            for name in SYSTEM
            if (declared and not columns) or name in columns or (deduplicates and name == "$commit_time")
        )

    def _commit(self, todo: Sequence[Candidate]) -> None:
        """Commit waiting rows to a table in S3 at once, and only then delete the objects."""
        if self._landing is None:
            return
        times, job = {candidate.location.key: candidate.last_modified for candidate in todo}, self._run.job
        try:
            apart = bool(job.option("DELETE_FILES_AFTER_LOAD"))
            self._outcome.rows -= self._landing.commit(times, apart=apart, once=job.option("DEDUPLICATE_WITH"))
        except BaseException:
            outcome = self._outcome
            outcome.objects = outcome.rows = outcome.bytes = outcome.replaced = 0
            raise
        finally:
            self._landing.end()
        for candidate in self._deleted_later:
            self._delete(candidate)

    @staticmethod
    def _retire(ledger: Ledger, table: TargetTable, keys: AbstractSet[str]) -> None:
        if keys and OBJECT_COLUMN in table.columns():
            ledger.retire(keys, table.sql)

    def _take_all(self, loader: Loader, todo: Sequence[Candidate], replaced: AbstractSet[str]) -> None:
        loader.learn(todo)
        together = BatchLoader(loader, todo, replaced)
        for at, candidate in enumerate(todo):
            loader.prefetch(todo[at : at + AHEAD])
            if (loaded := together.take(candidate)) is not None:
                loader.release(candidate)
                self._taken[loaded.said] += 1
                self._done(candidate, loaded.rows, "", replace=False)
            else:
                self._take(loader, candidate, replace=candidate.location.key in replaced)
            self._passed.append(candidate.size)

    def _take(self, loader: Loader, candidate: Candidate, *, replace: bool) -> None:
        scope = loader.scope
        try:
            scope.check()
            rows = loader.load(candidate, replace=replace)
        except Exception as error:  # noqa: BLE001 - one bad object does not stop the others
            failure = translate(error, "", scope, self._engine.is_alive)
        else:
            self._taken[loader.taken] += 1
            without = loader.skipped.note() if loader.skipped.count else ""
            self._done(candidate, rows, without, replace=replace, violated=loader.violated)
            return
        finally:
            loader.release(candidate)
        if isinstance(failure, (StatementInterrupted, *FATAL)):
            raise failure
        scope.failure = None
        self._failed(candidate, failure)

    def _done(
        self, candidate: Candidate, rows: int, without: str, *, replace: bool, violated: Mapping[str, int] | None = None
    ) -> None:
        self._unreached = 0
        self._outcome.objects += 1
        self._outcome.replaced += replace
        self._outcome.rows += rows
        self._outcome.bytes += candidate.size
        self._outcome.violations.update(violated or {})
        if without:
            message = f"its rows were loaded, but not all of its lines: {without}"
            self._failed(candidate, QueryError(message, hint="PREVIEW of the object shows the others."))
        else:
            self._run.job.resolve(candidate.location.uri)
            self._deleted_later.append(candidate) if self._landing else self._delete(candidate)

    def _delete(self, candidate: Candidate) -> None:
        """Delete a loaded object if the job does so and it has not changed."""
        job = self._run.job
        if not job.option("DELETE_FILES_AFTER_LOAD"):
            return
        if self._deletion is None:
            self._deletion = ExactDeletion(job.connection, candidate.location.bucket)
        try:
            failure = self._why_left(candidate, self._deletion)
        except S3ConnError as error:
            failure = error
        if failure is not None:
            self._failed(candidate, failure)
        else:
            self._gone.add(candidate.location.key)
            job.resolve(candidate.location.uri)

    def _why_left(self, candidate: Candidate, deletion: ExactDeletion) -> S3ConnError | None:
        """Delete it, or return why it stays."""
        if not candidate.etag:
            message = "it was loaded, and not deleted: the server gives no ETag to tell it by"
            return S3ConnError(message, hint="Leave DELETE_FILES_AFTER_LOAD out with this server.")
        if deletion.delete(candidate.location.key, candidate.etag) == "changed":
            return S3ConnError(_REPLACED, hint=f"RUN JOB {name_text(self._run.job.name)}; loads it.")
        return None

    def _note_deletion(self) -> None:
        if self._deletion and (lacking := self._deletion.lacking):
            note = f"{sentence(lacking)}: each object was compared with what was loaded just before it."
            self._outcome.notes.append(note)

    def _note_formats(self) -> None:
        for how, count in self._taken.items():
            if how:
                self._outcome.notes.append(f"{counted(count, 'object')} {'was' if count == 1 else 'were'} read {how}.")

    def _failed(self, candidate: Candidate, error: S3ConnError) -> None:
        message = _ADVICE.sub("", error.message)
        message = f"{message.rstrip('.')}. {error.hint}" if error.hint else message
        failure = Failure(self._run.number, datetime.now(UTC), candidate.location.uri, candidate.etag, message)
        self._run.job.failures.append(failure)
        self._outcome.fail(failure)
        self._unreached += isinstance(error, EndpointError)
        if self._unreached >= _MOST_UNREACHED:
            raise error

    def _report(self, scope: QueryScope) -> None:
        """Report progress: objects passed, and bytes of those being read."""
        if self._run.report:
            received = max(sum(self._passed), min(scope.bytes, self._size))
            part = received / self._size if self._size else None
            elapsed = time.monotonic() - self._began
            self._run.report(Progress(len(self._passed), received, scope.requests, elapsed, part, unit="objects"))


_BATCH = "s3conn_magic_batch"
_MOST_TOGETHER, _BYTES_TOGETHER = 500, 16 * 1024 * 1024
_HALVED = 50


_Each = TypeVar("_Each")


class _Taken(NamedTuple):
    """An object loaded with others: its rows, and the format detected."""

    rows: int
    said: str


class BatchLoader:
    """Loads small objects of one format by one query and commits them with the ledger in one transaction.

    All rows of an object are loaded or none. If a batch does not fit, nothing of it is loaded and each half is tried;
    objects of a small batch are loaded one by one, which finds the faulty ones and their errors.

    Args:
        loader: of the run; the types it has learned apply, as for one object.
        todo: the objects in the order in which `take` is called.
        replaced: keys of those loaded before, which are loaded one by one.
    """

    def __init__(self, loader: Loader, todo: Sequence[Candidate], replaced: AbstractSet[str]) -> None:
        self._loader, self._todo, self._replaced = loader, todo, replaced
        self._taken: dict[Candidate, _Taken] = {}
        self._at = self._tried = 0
        options = ("COLUMN_TRANSFORMATIONS", "EXCLUDE_COLUMNS", "DEDUPLICATE_WITH")
        apart = loader.partitions or loader.expectations
        self._plain = not apart and not any(loader.job.option(name) for name in options)

    def take(self, candidate: Candidate) -> _Taken | None:
        """Return the rows of an object after loading it and those behind it; None if it must be loaded by itself."""
        if self._plain and self._at == self._tried:
            self._try_next()
        self._at += 1
        return self._taken.pop(candidate, None)

    def _try_next(self) -> None:
        batch: list[Candidate] = []
        size = 0
        for candidate in self._todo[self._at : self._at + _MOST_TOGETHER]:
            size += candidate.size
            if size > _BYTES_TOGETHER and batch:
                break
            batch.append(candidate)
        self._tried = self._at + len(batch)
        small = [each for each in batch if 0 < each.size <= SMALL and each.location.key not in self._replaced]
        if len(small) > 1:
            self._loader.prefetch(self._todo[self._at : self._tried + AHEAD], now=len(batch))
            self._load(small)

    def _load(self, small: Sequence[Candidate]) -> None:
        texts: list[TextRows] = []
        sources: list[ObjectSource] = []
        whose: dict[int, ObjectSource] = {}
        for candidate in small:
            with self._unless_refused():
                source = self._loader.source(candidate)
                rows = text_rows(source, self._loader.scope)
                if rows is None and source.detected.format.type == "PARQUET":
                    sources.append(source)
                elif rows is not None and getattr(rows, "names", True):
                    texts.append(rows)
                    whose[id(rows)] = source
        learnt = self._loader.learnt
        of = [(whose[id(rows)].candidate, rows) for rows in texts]
        self._loader.learn_together([each for each in of if each[0].location not in learnt])
        texts = [rows for candidate, rows in of if candidate.location in learnt]
        for _, parts in together(texts):
            self._halved([(rows, whose[id(rows)]) for rows in parts], self._load_text)
        self._halved(sources, self._load_parquet)

    def _halved(self, several: Sequence[_Each], load: Callable[[Sequence[_Each]], bool]) -> None:
        """Load some together; if that fails, each half of them, down to a few."""
        self._loader.scope.check()
        if len(several) > 1 and not load(several) and len(several) > _HALVED:
            middle = len(several) // 2
            self._halved(several[:middle], load)
            self._halved(several[middle:], load)

    @contextmanager
    def _unless_refused(self) -> Iterator[None]:
        """Ignore an error: loading one by one raises it again."""
        try:
            yield
        except Exception:  # noqa: BLE001 - as said
            self._loader.scope.failure = None

    def _load_parquet(self, sources: Sequence[ObjectSource]) -> bool:
        of, copies = {_name(source): source for source in sources}, None
        with self._unless_refused():
            copies = Copies.of({path: self._loader.pin(each.candidate) for path, each in of.items()})
        paths, whose = {f"s3://{path}": each.path for path, each in of.items()}, {f"s3://{path}": path for path in of}
        if copies is not None:
            paths, whose = {file: file for file in copies.names}, dict(copies.names)

        def load(files: Sequence[str]) -> bool:
            options = f"hive_partitioning = false, filename = {literal(FILE)}"
            read = f"read_parquet([{', '.join(literal(paths[file]) for file in files)}], {options})"
            return self._commit(f"SELECT * FROM {_numbered(files, read)}", [of[whose[file]] for file in files], None)  # noqa: S608

        try:
            alike: list[Any] = []
            with self._unless_refused():
                # Those are checked one by one.
                having = f"HAVING NOT bool_or(coalesce({NARROWED}, false))"
                query = alike_in(map(literal, paths.values()), ", repetition_type, type_length", having=having)
                alike = self._loader.database.execute(query).fetchall()
            for (files,) in alike:
                self._halved(files, load)
            return bool(alike)
        finally:
            if copies is not None:
                copies.close()

    def _load_text(self, several: Sequence[tuple[TextRows, ObjectSource]]) -> bool:
        ((group, _),), sources = together(rows for rows, _ in several), [source for _, source in several]
        with self._unless_refused():
            known: Any = self._loader.known[type(group)]
            table = self._loader.target()
            types = fitting(group.types(known), table.columns(), {})
            with self._loader.in_memory(group, [source.candidate for source in sources]) as rows:
                self._loader.check_fields(sources)
                named = rows.source
                if rows is group:
                    # DuckDB names a file by the path in the filesystem, after any scheme.
                    bare = f"substr({identifier(FILE)}, instr({identifier(FILE)}, '://') + 3)"
                    named = _numbered(map(_name, sources), with_files(rows, FILE), bare)
                query = replace(rows, source=named, folders=(FILE,)).select(known, types)
                return self._commit(query, sources, types)
        return False

    def _commit(self, query: str, sources: Sequence[ObjectSource], known: Mapping[str, str] | None) -> bool:
        """Load the rows of a query, whose `FILE` is the number of each source (from 1); all of them or none."""
        database, formats = self._loader.database, {source.candidate: source.detected.said for source in sources}
        with self._unless_refused():
            with transaction(database):
                database.execute(f"CREATE TEMP TABLE {_BATCH} AS {query}")
                counts = self._insert(sources, known)
                database.execute(f"DROP TABLE temp.{_BATCH}")
                self._loader.ledger.note_all(counts)
            self._taken |= {candidate: _Taken(rows, formats[candidate]) for candidate, rows in counts.items()}
            return True
        return False

    def _insert(self, sources: Sequence[ObjectSource], known: Mapping[str, str] | None) -> dict[Candidate, int]:
        """Insert the rows, and count them by object.

        Raises:
            LookupError: a row has no known object, or the objects have columns named like ours.
        """
        database, file, origin = self._loader.database, identifier(FILE), identifier(OBJECT_COLUMN)
        rows_of = dict(database.execute(f"SELECT {file}, count(*) FROM temp.{_BATCH} GROUP BY 1").fetchall())  # noqa: S608
        rows = f"(SELECT * EXCLUDE ({file}) FROM temp.{_BATCH})"  # noqa: S608 - names of our own
        described = database.execute(f"DESCRIBE {rows}").fetchall()
        columns = {name: kind for name, kind, *_ in described}
        numbers = {number: source.candidate for number, source in enumerate(sources, 1)}
        system = self._loader.system
        if (
            not rows_of.keys() <= numbers.keys()
            or {OBJECT_COLUMN, *system} & columns.keys()
            or "GEOMETRY" in str(columns)
        ):
            raise LookupError
        table = self._loader.target()
        columns = dict(known) if known is not None else columns
        table.fit(columns, rows, system)
        values = table.taken(columns)
        replaced = f" REPLACE ({', '.join(values)})" if values else ""
        where = f"[{', '.join(literal(candidate.location.uri) for candidate in numbers.values())}][{file}]"
        written = f"[{', '.join(moment_literal(candidate.last_modified) for candidate in numbers.values())}][{file}]"
        ours = "".join(f", {value}" for value in system_values(system, written, where))
        select = f"SELECT * EXCLUDE ({file}){replaced}, {where} AS {origin}{ours} FROM temp.{_BATCH}"  # noqa: S608 - as above
        database.execute(f"INSERT INTO {table.sql} BY NAME {select}")
        return {candidate: rows_of.get(number, 0) for number, candidate in numbers.items()}


def _numbered(names: Iterable[str], source: str, name: str = identifier(FILE)) -> str:
    """Return a FROM clause for rows whose `FILE` gets its position among the names, from 1 on.

    DuckDB computes it once per file, and numbers are cheaper to group and look up than paths.
    """
    place = f"list_position([{', '.join(map(literal, names))}], {name})::INTEGER"
    return f"(SELECT * REPLACE ({place} AS {identifier(FILE)}) FROM {source})"  # noqa: S608 - quoted names


def _name(source: ObjectSource) -> str:
    """Return the path of an object in the engine's filesystem."""
    where = source.candidate.location
    return f"{source.connection}@{where.bucket}/{where.key}"


def _same(before: Loaded | None, candidate: Candidate) -> bool:
    return before is not None and (before.etag, before.size) == (candidate.etag, candidate.size)


def _loaded_before(ledger: Ledger, table: TargetTable) -> Mapping[str, Loaded]:
    """Return the objects loaded into the current table; empty if it was dropped or recreated."""
    loaded = ledger.loaded()
    if any(before.rows for before in loaded.values()) and OBJECT_COLUMN not in table.columns():
        ledger.clear()
        return {}
    return loaded
