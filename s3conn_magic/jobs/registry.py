"""The session's jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import JobFailedError, S3ConnError, StatementInterrupted
from s3conn_magic.jobs.job import Failure, Job, Outcome, Run
from s3conn_magic.language.plans import Usage, job_exists, job_not_found
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.words import listed
from s3conn_magic.locations import visible
from s3conn_magic.runtime.interrupts import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.connections.registry import Registry
    from s3conn_magic.jobs.job import RemoteReader
    from s3conn_magic.language.plans import AlterJob, CreateJob, Predicate
    from s3conn_magic.language.session_settings import SettingValues
    from s3conn_magic.listing.request import Progress
    from s3conn_magic.query.engine import QueryEngine
    from s3conn_magic.query.tables import Table

    _Report = Callable[[Progress], None] | None


class Jobs:
    """Jobs by name (case-insensitive), in order of creation.

    Args:
        engine_of: returns the engine that runs them.
        connections: of the session; each job counts as a usage of those it needs.
        depends: is called with each table that got rows.
        elsewhere_of: returns the remote reader of a COPY, or None if this process reads.
        settings: of the session.
    """

    def __init__(
        self,
        engine_of: Callable[[], QueryEngine],
        connections: Registry,
        depends: Callable[[Table], None],
        elsewhere_of: Callable[[], RemoteReader | None],
        settings: SettingValues,
    ) -> None:
        self._settings = settings
        self._engine_of = engine_of
        self._depends = depends
        self._elsewhere_of = elsewhere_of
        self._connections = connections
        self._jobs: dict[str, Job] = {}

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def names(self) -> list[str]:
        """Return the names."""
        return [job.name for job in self]

    def __contains__(self, name: str) -> bool:
        return name.casefold() in self._jobs

    def get(self, name: str) -> Job:
        """Return the job of that name.

        Raises:
            JobNotFoundError: there is none.
        """
        job = self._jobs.get(name.casefold())
        if job is None:
            raise job_not_found(name, [other.name for other in self])
        return job

    def create(self, plan: CreateJob, report: _Report = None) -> Outcome:
        """Create a job and run it.

        Raises:
            StatementInterrupted: the user stopped it; the job exists, and RUN JOB continues it.
            S3ConnError: the run failed as a whole; there is no job.
        """
        job = Job(plan, self._connections.get(plan.connection) if plan.connection else None)
        self._keep(job)
        needed = [name for name in (plan.connection, *plan.others) if name]
        self._connections.depend_only(tuple(needed), Usage("job", plan.name))
        try:
            return self.run(plan.name, report)
        except StatementInterrupted as error:
            error.hint = f"The job {plan.name} was created: RUN JOB {plan.name}; continues it."
            raise
        except BaseException:
            self.forget(plan.name)
            raise

    @whole
    def _keep(self, job: Job) -> None:
        """Add a job.

        Raises:
            JobExistsError: another thread created one of that name since the statement was bound.
        """
        if self._jobs.setdefault(job.name.casefold(), job) is not job:
            raise job_exists(self.get(job.name).name)

    def run(self, name: str, report: _Report = None) -> Outcome:
        """Run a job, after any run of it in another thread.

        Raises:
            S3ConnError: the run failed as a whole, or was stopped; what it did before still counts.
        """
        job = self.get(name)
        with job.running:
            if job.paused:
                hint = f"RESUME JOB {name_text(job.name)}; lets it run again."
                raise JobFailedError(f"the job {job.name} is paused, and was not run", hint=hint)
            return self._ran(job, report)

    def run_due(self, report: _Report = None) -> tuple[list[tuple[Job, Outcome]], list[tuple[Job, S3ConnError]]]:
        """Run the jobs that are due, those that load a table before those that read it.

        A failed run does not prevent the others: the rows it would have loaded are as before.

        Returns:
            Jobs that were run, and those that failed as a whole.

        Raises:
            StatementInterrupted: the user stopped it; the jobs before it have run.
        """
        done: list[tuple[Job, Outcome]] = []
        failed: list[tuple[Job, S3ConnError]] = []
        for job in self.due():
            try:
                done.append((job, self.run(job.name, report)))
            except StatementInterrupted:
                raise
            except S3ConnError as error:
                failed.append((job, error))
        return done, failed

    def due(self) -> list[Job]:
        """Return the jobs that RUN JOBS runs, in order: not paused, and never run or RUN_INTERVAL ago."""
        now = datetime.now(UTC)
        return [
            job
            for job in self._in_order()
            if not job.paused
            and (job.last_run is None or job.last_run + job.option("RUN_INTERVAL", timedelta()) <= now)
        ]

    def _in_order(self) -> list[Job]:
        """Return the jobs, those that load a table before those that read it, else in order of creation."""
        jobs, order = list(self), list[Job]()
        reads = {job.name: self._sources_of(job) for job in jobs}
        writes = {job.name: job.plan.table.casefold() for job in jobs if job.plan.table}

        def take(job: Job, above: frozenset[str]) -> None:
            if job in order or job.name in above:
                return
            for other in jobs:
                if writes.get(other.name, "") in reads[job.name] and other is not job:
                    take(other, above | {job.name})
            order.append(job)

        for job in jobs:
            take(job, frozenset())
        return order

    def _sources_of(self, job: Job) -> set[str]:
        if not job.plan.text:
            return set()
        from s3conn_magic.query.merging import Merge

        plan, engine = job.plan, self._engine_of()
        uses = engine.mentioned(plan.text if plan.kind != "MERGE" else Merge.of(plan.table, plan.text).reading)
        return {name.casefold() for name in (*uses.tables, *uses.placed)}

    def alter(self, plan: AlterJob) -> Job:
        """Change options of a job, after any run under way.

        Raises:
            JobNotFoundError: there is none of that name.
            JobFailedError: an added expectation exists already, or a dropped one does not.
            QueryError: an expression does more than read.
        """
        job, options = self.get(plan.name), dict(plan.options)
        if plan.added:
            self._engine_of().check_expressions([each.predicate for each in plan.added])
        if options.get("END_AT") == "NOW":
            options["END_AT"] = datetime.now(UTC)
        with job.running:
            changed: dict[str, Any] = {
                "written": {**job.plan.written, **plan.written},
                "options": {**job.plan.options, **options},
            }
            job.plan = replace(job.plan, expectations=_expected(job, plan), **changed)
        return job

    def pause(self, name: str, *, paused: bool) -> tuple[Job, bool]:
        """Pause or resume a job; return it, and whether that changed it.

        Raises:
            JobNotFoundError: there is none of that name.
        """
        job = self.get(name)
        before, job.paused = job.paused, paused
        return job, before is not paused

    def _ran(self, job: Job, report: _Report) -> Outcome:
        here = job.plan.kind != "COPY" or self._settings.engine_is_local
        elsewhere = None if here else self._elsewhere_of()
        job.runs += 1
        job.last_run = datetime.now(UTC)
        local = self._settings.local_files(in_file=job.plan.in_file)
        outcome, loaded = Outcome(), partial(self._note_table, job)
        run = Run(job, job.runs, job.last_run, report, elsewhere, local, loaded)
        try:
            self._steps(job)(run, self._engine_of(), outcome)
        except StatementInterrupted as error:
            job.state = "interrupted"
            error.notes += (_so_far(job, outcome),)
            raise
        except S3ConnError as error:
            job.state = "failed"
            _note(run, error)
            raise
        except KeyboardInterrupt:
            job.state = "interrupted"
            failure = StatementInterrupted(f"the job {job.name} was interrupted", notes=(_so_far(job, outcome),))
        except BaseException:
            job.state = "failed"
            raise
        else:
            job.state = "errors" if outcome.failed else "ok"
            self._settle(job, outcome)
            return outcome
        finally:
            job.add(outcome)
        raise failure

    def _note_table(self, job: Job) -> None:
        """Register the table of a COPY, if it exists by now; within the turn of the run."""
        from s3conn_magic.jobs.target_table import TargetTable

        engine = self._engine_of()
        if job.through is None:
            self._depends(engine.tables.get(job.plan.table))
        elif TargetTable(engine.settle(), job.plan.table).columns():
            self._depends(engine.tables.loaded(job.plan.table, (job.through.name,)))

    def _steps(self, job: Job) -> Callable[[Run, QueryEngine, Outcome], None]:
        if job.plan.kind == "COPY":
            from s3conn_magic.jobs.copying import run_copy

            return run_copy
        if job.plan.kind == "INSERT":
            from s3conn_magic.jobs.inserting import run_insert

            return run_insert
        from s3conn_magic.jobs.filling import run_filling

        return run_filling

    def _settle(self, job: Job, outcome: Outcome) -> None:
        if outcome.window:
            job.done_until, job.read = outcome.window[1], outcome.read
        if job.plan.kind != "COPY":
            job.resolve(job.place)
        for name in outcome.connections:
            if name in self._connections:
                self._connections.depend(name, Usage("job", job.name))

    def drop(self, name: str, *, view: bool = False) -> Job:
        """Drop a job and its ledger; tables and objects stay, except the table of a materialized view.

        Raises:
            JobNotFoundError: there is none.
            JobFailedError: a view should be dropped, and the job is not one.
        """
        job = self.get(name)
        if view and job.plan.kind != "VIEW":
            hint = f"DROP JOB {name_text(job.name)}; forgets it."
            raise JobFailedError(f"the job {job.name} is not a materialized view", hint=hint)
        if job.plan.kind == "COPY":
            from s3conn_magic.jobs.target_table import Landing, Ledger

            engine = self._engine_of()
            held = next((each for each in engine.tables if each.name.casefold() == job.plan.table.casefold()), None)
            if held is not None and held.catalog:
                engine.alone(lambda: Landing(engine, job, held).forget())
            else:
                engine.alone(lambda: Ledger(engine.database, job).clear())
        elif job.plan.table:
            from s3conn_magic.jobs.filling import WatermarkStore

            engine = self._engine_of()
            engine.alone(lambda: WatermarkStore(engine, job).clear())
            if view and job.plan.table.casefold() in {table.name.casefold() for table in engine.tables}:
                engine.tables.drop(job.plan.table)
                self._connections.release(Usage("table", job.plan.table))
        self.forget(name)
        return job

    def forget(self, name: str) -> None:
        """Remove a job from the session."""
        job = self._jobs.pop(name.casefold(), None)
        if job is not None:
            self._connections.release(Usage("job", job.name))


def _expected(job: Job, plan: AlterJob) -> tuple[Predicate, ...]:
    """Return the expectations of a job after ALTER."""
    names, held = {each.name.casefold() for each in job.plan.expectations}, job.plan.expectations
    if plan.added and job.plan.kind != "COPY":
        message = f"the job {job.name} is not a COPY FROM S3, and has no expectations"
        raise JobFailedError(message, hint="A WHERE in its query leaves rows out.")
    if twice := [each.name for each in plan.added if each.name.casefold() in names]:
        raise JobFailedError(f"the job {job.name} already has an expectation {twice[0]}", hint="Drop it first.")
    if plan.dropped and plan.dropped.casefold() not in names:
        hint = f"It has {listed([each.name for each in held], 'and')}." if held else "It has none."
        raise JobFailedError(f"the job {job.name} has no expectation {plan.dropped}", hint=hint)
    return (*(each for each in held if each.name.casefold() != plan.dropped.casefold()), *plan.added)


def _so_far(job: Job, outcome: Outcome) -> str:
    if job.plan.kind not in {"COPY", "INSERT"}:
        return f"The table {job.plan.table} is as it was."
    if job.plan.kind == "INSERT":
        return f"{visible(outcome.written)} was written completely." if outcome.written else "Nothing was written."
    return f"{outcome.objects:,} objects were loaded completely ({outcome.rows:,} rows), and none partially."


def _note(run: Run, error: S3ConnError) -> None:
    job = run.job
    job.failures.append(Failure(run.number, datetime.now(UTC), job.place, "", error.message))
