"""Run the plans of queries, tables and jobs, and of statements about connections."""

from __future__ import annotations

import re
import time
from functools import singledispatch, singledispatchmethod
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import (
    JobFailedError,
    QueryError,
    S3ConnError,
    StatementSyntaxError,
)
from s3conn_magic.language import plans, statements
from s3conn_magic.language.cautions import selected_names
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.reference import columns_of
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.source import Source
from s3conn_magic.language.words import counted, listed, table_parts
from s3conn_magic.locations import through, visible
from s3conn_magic.results.cards import Message
from s3conn_magic.runtime.background import new_lock
from s3conn_magic.runtime.patterns import like
from s3conn_magic.session.inputs import IN_PATHS, in_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.connections.registry import Registry
    from s3conn_magic.datasets.portrait import Dataset
    from s3conn_magic.errors import Place
    from s3conn_magic.jobs.registry import Jobs
    from s3conn_magic.language.session_settings import SettingValues
    from s3conn_magic.listing.request import Progress
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.listed import Path
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.engine import QueryEngine
    from s3conn_magic.query.managing import ManagedTables
    from s3conn_magic.query.tables import Table
    from s3conn_magic.results.listings import Analysis

    _Report = Callable[[Progress], None] | None

QueryPlan = statements.Querying | statements.ShowTables
JobPlan = plans.CreateJob | plans.AlterJob | statements.JobStatement
AboutConnections = statements.ShowConnections | statements.AboutConnection | statements.TestConnection | statements.Help


_HAS_QUERY = (statements.Query, statements.Rows, statements.ExplainAnalyze, statements.InsertInto)
_ALL_OF = re.compile(r"\s*(?:SELECT\s+\*\s+)?FROM\s+'(s3://[^']+)'(?:\s+LIMIT\s+\d+)?\s*;?\s*", re.IGNORECASE)
_OTHER_CONNECTION = re.compile(r"^s3://[^/@]+@")
_MOST_SHOWN = 100


class Queries:
    """The query engine, created at the first query, and the connections that its tables depend on.

    Args:
        connections: the session's connections.
        variable_of: returns the value of a Python variable; raises LookupError if there is none.
        settings: the session's settings.
        note: shows a short note beside a result.
    """

    def __init__(
        self,
        connections: Registry,
        variable_of: Callable[[str], Any],
        settings: SettingValues,
        note: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._note = note
        self._connections = connections
        self._variable_of = variable_of
        self._engine: QueryEngine | None = None
        self._making = new_lock()
        self.shown: Mapping[str, Callable[[], Any]] = {}
        self._shown: dict[str, list[str]] = {}

    @property
    def engine(self) -> QueryEngine:
        """The engine; creating it loads DuckDB."""
        from s3conn_magic.query.engine import QueryEngine

        with self._making:
            if self._engine is None:
                self._engine = QueryEngine(self._connection_of, self._variable_of)
                self._engine.pasted = self._connections.pasted
                self._engine.shown = self.shown
            return self._engine

    def use_database(self, path: str) -> None:
        """Keep tables in a database file from now on, or in memory if the path is empty; load the tables in it."""
        self.engine.alone(lambda: self._switch_database(path))

    def _switch_database(self, path: str) -> None:
        before = self.table_names()
        self.engine.use(path)
        for name in before:
            self._connections.release(plans.Usage("table", name))
        for table in self.engine.tables:
            self.depends(table)

    def _connection_of(self, path: Path) -> Connection:
        """Return the connection named in a path, or chosen for it."""
        if path.connection is not None:
            return self._connections.get(path.connection)
        return self._connections.chosen(path.location)

    def table_names(self) -> list[str]:
        """Return the names of the tables."""
        return [table.name for table in self._engine.tables] if self._engine else []

    def columns_of(self, source: str) -> list[str]:
        """Return the columns of a table, or of a path that a statement has shown, without a request."""
        if columns := self._shown.get(_OTHER_CONNECTION.sub("s3://", source)):
            return columns
        names = {name.casefold(): name for name in self.table_names()}
        if self._engine is None or source.casefold() not in names:
            return []
        name = table_parts(names[source.casefold()])[-1]
        query = "SELECT column_name FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index"
        return [column for (column,) in self._engine.look(lambda database: database.execute(query, [name]).fetchall())]

    def note_columns(self, path: str, columns: Iterable[object]) -> None:
        """Remember the columns of a result for Tab."""
        if len(self._shown) >= _MOST_SHOWN:
            self._shown.pop(next(iter(self._shown)))
        self._shown[_OTHER_CONNECTION.sub("s3://", path)] = [str(column) for column in columns]

    def check(self, plan: statements.Querying | plans.CreateJob) -> None:
        """Refuse a text that is not a query or does more than read, before any statement runs.

        Raises:
            QueryError: with its place in the cell.
        """
        text = plan.text
        if isinstance(plan, statements.MergeInto) or (isinstance(plan, plans.CreateJob) and plan.kind == "MERGE"):
            merged = plan.name.text if isinstance(plan, statements.MergeInto) else plan.table
            self._at_place(plan, lambda: self.managing.check_merge(merged, text))
        elif text:
            self._at_place(plan, lambda: self.engine.mentioned(text))
        if isinstance(plan, plans.CreateJob):
            expressions = (*plan.expressions, *(each.predicate for each in plan.expectations))
            self._at_place(plan, lambda: self.engine.check_expressions(expressions, local=True))

    def also_here(self, source: Source, error: QueryError, place: Place) -> str:
        """Return a hint for a query in another system's dialect: our version of it, if that query only reads."""
        from s3conn_magic.language.answers import answer

        translation = answer(source.text, source.offset(error.place or place), source.connections(), self._reads)
        if translation is None or not translation.ours:
            return translation.note if translation and translation.whose else ""
        return translation.hint if self._reads(translation.ours) else ""

    def _reads(self, text: str) -> bool:
        """Whether a text has statements of our language only, whose queries only read."""
        try:
            for statement in parse(Source(text)):
                if isinstance(statement, _HAS_QUERY) and statement.query is not None:
                    self.engine.mentioned(statement.query.value.reveal())
        except (QueryError, StatementSyntaxError):
            return False
        return True

    def _at_place(self, plan: Any, call: Callable[[], Any]) -> Any:
        """Return the result of a call; errors of the query point to their place in the cell."""
        try:
            return call()
        except (QueryError, *IN_PATHS) as error:
            at, locate = error.offset if isinstance(error, QueryError) else self._in_query(error, plan), plan.locate
            failure: S3ConnError = error.at(plan.place() if at is None or locate is None else locate(at))
        failure.__cause__ = failure.__context__ = None
        raise failure

    def _in_query(self, error: S3ConnError, plan: Any) -> int | None:
        return in_query(error, getattr(plan, "text", None) or "", self._connections)

    def run(self, plan: QueryPlan, report: Callable[[Progress], None] | None) -> Any:
        """Run a plan and return its result; `report` gets what its query reads."""
        if report is None or (not plan.through and not getattr(plan, "text", "")):
            return self.execute(plan)
        from s3conn_magic.listing.request import Progress

        began = time.monotonic()

        def watch(scope: QueryScope) -> None:
            report(Progress(0, scope.bytes, scope.requests, time.monotonic() - began, unit=""))

        with self.engine.watched(watch):
            return self.execute(plan)

    @singledispatchmethod
    def execute(self, plan: QueryPlan) -> Any:
        """Run a plan and return its result."""
        raise NotImplementedError(type(plan).__name__)

    @execute.register
    def _query(self, plan: statements.Query) -> Any:
        from s3conn_magic.results.introspection import query_frame

        answer = self._at_place(plan, lambda: self.engine.query(plan.text, local=self._local(plan)))
        for text in answer.notes:
            self._note(text)
        frame = query_frame(answer)
        if match := _ALL_OF.fullmatch(plan.text):
            self.note_columns(match[1], frame.columns)
        return frame

    @execute.register
    def _describe(self, plan: statements.DescribeRows) -> Any:
        from s3conn_magic.results.introspection import description_frame

        source, dataset = self._source(plan)
        return description_frame(*self._columns(plan, source, 1), dataset)

    @execute.register
    def _summarize(self, plan: statements.Summarize) -> Any:
        from s3conn_magic.datasets import summaries
        from s3conn_magic.language.result_columns import SUMMARY_COLUMNS
        from s3conn_magic.results.frames import frame_of

        source, dataset = self._source(plan)
        columns, _ = self._columns(plan, source, 0)
        answer, statistics = None, {}
        if plan.percent is None or plan.percent:
            query = summaries.summary_query(columns, source, plan.percent)
            answer = self._at_place(plan, lambda: self.engine.query(query, local=self._local(plan))).table
        if plan.percent is not None and dataset is not None and dataset.format == "Parquet" and dataset.kind == "files":
            query = summaries.statistics_query(dataset.named, columns)
            statistics = summaries.known_of(self.engine.query(query).table) if query else {}
        if plan.percent:
            self._note(f"Of about {plan.percent} percent of the rows, except for what Parquet statistics say exactly.")
        return frame_of(SUMMARY_COLUMNS, summaries.summary_rows(columns, answer, statistics))

    def added_up(self, name: str, analysis: Analysis) -> Any:
        """Return the frame of ANALYZE BY duplicates, versions or unfinished uploads."""
        from s3conn_magic.datasets.summaries import added_up_query
        from s3conn_magic.results.listings import analysis_of_rows, uploads_table

        connection, place = self._connections.get(name), analysis.location
        if analysis.by == "UPLOADS":
            return analysis_of_rows(uploads_table(connection, place))
        query = added_up_query(analysis.by, through(place.uri, connection.name))
        return analysis_of_rows(self.engine.query(query).table)

    def _source(self, plan: statements.Rows) -> tuple[str, Dataset | None]:
        """Return the query for the rows, and their dataset if they are objects at a location."""
        from s3conn_magic.results.listings import described

        if plan.location is None:
            return plan.text, None
        connection = self._connections.get(plan.connection)
        written, most = f"s3://{connection.name}@", self._settings["CONNECTIONS"]
        dataset = described(connection, plan.location, lambda at: at.uri.replace("s3://", written, 1), most)
        return dataset.query, dataset

    def _columns(self, plan: statements.Rows, source: str, rows: int) -> tuple[list[tuple[str, str]], Any]:
        """Return names and types of the columns, and the first rows."""
        from s3conn_magic.datasets.sampling import columns_of_table

        first = f"SELECT * FROM ({source}\n) LIMIT {rows}"  # noqa: S608 - a query that was judged
        table = self._at_place(plan, lambda: self.engine.query(first, local=self._local(plan))).table
        return list(columns_of_table(table)), table

    @execute.register
    def _explain(self, plan: statements.ExplainAnalyze) -> Message:
        from s3conn_magic.results.introspection import explanation

        local, analyze = self._local(plan), "EXPLAIN ANALYZE "
        return explanation(self._at_place(plan, lambda: self.engine.execute(plan.text, analyze, local=local)))

    @execute.register
    def _create(self, plan: statements.CreateTable) -> Message:
        table, replaced = self._at_place(plan, lambda: self.engine.alone(lambda: self._create_table(plan)))
        notes = [f"The table {table.name} was {'replaced' if replaced else 'created'}."]
        notes += [each for each in (table.note, plan.note) if each]
        notes += [f'In queries it is written "{table.name}".'] if self.engine.tables.is_reserved(table.name) else []
        return Message(" ".join(notes))

    def _create_table(self, plan: statements.CreateTable) -> tuple[Table, bool]:
        """Create the table and record its connections in one step; also return whether it replaced another."""
        tables, name = self.engine.tables, plan.name.text
        if not plan.or_replace:
            tables.check_free(name)
        before = name.casefold() in {table.name.casefold() for table in tables}
        if plan.storage is not None:
            made = self.managing.create(
                name, self._storage(plan), plan.text or None, plan.columns, local=self._local(plan)
            )
        elif plan.text:
            made = tables.create_from(name, plan.text, plan.columns, local=self._local(plan))
        elif plan.location is not None:
            made = tables.create_over(name, plan.location, plan.connection)
        else:
            made = tables.create_empty(name, plan.columns)
        self.depends(made)
        return made, before

    def _storage(self, plan: statements.CreateTable) -> Any:
        from s3conn_magic.query.managing import Storage

        assert plan.storage is not None  # noqa: S101 - the caller has looked
        return Storage(
            *plan.storage,
            catalog=self._settings["CATALOG"],
            partitions=tuple(part.text for part in plan.partitioned),
            keys=tuple(key.text for key in plan.keys),
            options=plan.options,
            replace=plan.or_replace,
            take=plan.if_not_exists,
        )

    @property
    def managing(self) -> ManagedTables:
        """What changes the tables whose files are in S3."""
        from s3conn_magic.query.managing import ManagedTables

        return ManagedTables(self.engine)

    @execute.register
    def _insert(self, plan: statements.InsertInto) -> Message:
        insert, local, name = self.managing.insert, self._local(plan), plan.name.text
        how, before = statements.Insertion.of(plan), self.columns_of(name)
        rows = self._at_place(plan, lambda: insert(name, plan.text, how, local=local))
        self._record_connections(name)
        new = [each for each in self.columns_of(name) if each not in before] if before else []
        added = f" It has {counted(len(new), 'new column')}: {visible(listed(new, 'and'))}." if new else ""
        named = selected_names(plan.text) if not (how.by_name or how.columns) else []
        swapped = [each.lower() for each in before] not in ([], named) and {*named} == {each.lower() for each in before}
        added += " Its columns were filled by place: MAP_COLUMNS_BY_NAME goes by their names." * swapped
        return Message(f"{counted(rows, 'row')} went into {name}.{added}")

    @execute.register
    def _merge(self, plan: statements.MergeInto) -> Message:
        name = plan.name.text
        rows = self._at_place(plan, lambda: self.managing.merge(name, plan.text, local=self._local(plan)))
        self._record_connections(name)
        return Message(f"{counted(rows, 'row')} of {name} changed.")

    def _record_connections(self, name: str) -> None:
        self.depends(self.engine.tables.get(name))

    @execute.register
    def _snapshots(self, plan: statements.ShowSnapshots) -> Any:
        from s3conn_magic.results.frames import frame_of

        return frame_of(columns_of("SHOW SNAPSHOTS"), self.managing.history(plan.name.text))

    @execute.register
    def _optimize(self, plan: statements.OptimizeTable) -> Message:
        return Message(self.managing.optimize(plan.name.text))

    @execute.register
    def _alter(self, plan: statements.AlterTable) -> Message:
        self.managing.alter(plan.name.text, plan.options)
        return Message(" ".join(filter(None, [f"The table {plan.name.text} was altered.", plan.note])))

    def _local(self, plan: statements.Querying) -> bool:
        """Whether a plan's query may read local files under the current setting."""
        return self._settings.local_files(in_file=plan.in_file)

    def depends(self, table: Table) -> None:
        """Record the connections that a table now depends on."""
        self._connections.depend_only(table.connections, plans.Usage("table", table.name))

    @execute.register
    def _drop(self, plan: statements.DropTable) -> Message:
        name, deleted = plan.name.text, 0
        if plan.delete_data is not None and plan.delete_data.value and self.engine.tables.get(name).location:
            deleted = self.managing.delete(name)
        self.forget(plans.Usage("table", name))
        gone = f", and {counted(deleted, 'object')} of it deleted" if deleted else ""
        return Message(f"The table {name} was dropped{gone}.")

    def forget(self, usage: plans.Usage) -> None:
        """Drop a table, on its own or together with a connection."""
        if usage.kind == "table":
            self.engine.alone(lambda: self._drop_table(usage))

    def _drop_table(self, usage: plans.Usage) -> None:
        if usage.name in self.table_names():
            self.engine.tables.drop(usage.name)
        self._connections.release(usage)

    @execute.register
    def _show(self, plan: statements.ShowTables) -> Any:
        from s3conn_magic.results.introspection import tables_frame

        if (engine := self._engine) is None:
            return tables_frame(None, plan.like)
        return engine.look(lambda _: tables_frame(engine.tables, plan.like))

    @execute.register
    def _show_create(self, plan: statements.ShowCreateTable) -> Message:
        return Message(self.managing.create_statement(plan.name.text))

    def renamed(self, old: str, new: str) -> None:
        """Rename a connection in the tables that depend on it."""
        if self._engine is not None:
            self._engine.tables.rename_connection(old, new)

    def close(self) -> None:
        """Close the engine and its tables."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


def discovered(
    connections: Registry, queries: Queries, plan: statements.Discover, most: int, report: _Report
) -> tuple[list[Dataset], list[str]]:
    """Return the datasets of DISCOVER, and notes on them; `most` limits concurrent requests."""
    from s3conn_magic.connections.probe import roots
    from s3conn_magic.datasets.summaries import count_rows
    from s3conn_magic.results.listings import ListOptions, datasets_of, report_bucket

    connection, several = connections.get(plan.name), sum(1 for _ in connections) > 1
    datasets, notes = list[Any](), list[str]()

    def named(place: Location) -> str:
        return through(place.uri, connection.name) if several else place.uri

    places = [plan.location] if plan.location else [report_bucket(connection, plan.inventory)] if plan.inventory else []
    for place in places or roots(connection):
        discovery, note = datasets_of(
            connection,
            place,
            ListOptions(None, most, report),
            named,
            report=plan.inventory,
            depth=plan.depth,
            looks=plan.sample,
        )
        datasets += discovery.datasets
        notes += [note] if note else []
    for dataset in datasets if plan.exact else ():
        if dataset.columns is not None and dataset.bound != "exact":
            count_rows(queries.engine, dataset)
    return datasets, notes


def about_jobs(jobs: Jobs, plan: JobPlan, *, report: _Report, note: Callable[[str], None]) -> Any:
    """Run a plan of jobs and return its result: a frame or a message."""
    if isinstance(plan, plans.CreateJob) and plan.note:
        note(plan.note)
    return _result(plan, jobs, report)


@singledispatch
def _result(plan: JobPlan, jobs: Jobs, report: _Report) -> Any:
    raise NotImplementedError(type(plan).__name__, jobs, report)


@_result.register(plans.CreateJob)
def _(plan: plans.CreateJob, jobs: Jobs, report: _Report) -> Message:
    from s3conn_magic.jobs.job import outcome_text

    try:
        outcome = jobs.create(plan, report)
    except QueryError as error:
        if error.offset is not None and plan.locate is not None:
            error.at(plan.locate(error.offset))
        raise
    return Message(outcome_text(jobs.get(plan.name), outcome, created=True))


@_result.register(statements.RunJob)
def _(plan: statements.RunJob, jobs: Jobs, report: _Report) -> Message:
    from s3conn_magic.jobs.job import outcome_text

    return Message(outcome_text(jobs.get(plan.name.text), jobs.run(plan.name.text, report)))


@_result.register(statements.RunJobs)
def _(plan: statements.RunJobs, jobs: Jobs, report: _Report) -> Message:
    from s3conn_magic.jobs.job import outcome_text

    del plan
    done, failed = jobs.run_due(report)
    lines = [f"{job.name}: {outcome_text(job, outcome)}" for job, outcome in done]
    message = Message("\n".join(lines) or ("No job is due." if any(True for _ in jobs) else "There are no jobs."))
    if failed:
        said = "; ".join(f"{job.name}: {error.message}" for job, error in failed)
        again = f"RUN JOB {name_text(failed[0][0].name)}; runs one again."
        raise JobFailedError(f"{counted(len(failed), 'job')} failed: {said}", hint=again, notes=(message.text,))
    return message


@_result.register(plans.AlterJob)
def _(plan: plans.AlterJob, jobs: Jobs, report: _Report) -> Message:
    del report
    return Message(" ".join(filter(None, [f"The job {jobs.alter(plan).name} was altered.", plan.note])))


@_result.register(statements.PauseJob)
@_result.register(statements.ResumeJob)
def _(plan: statements.PauseJob | statements.ResumeJob, jobs: Jobs, report: _Report) -> Message:
    del report
    pausing = isinstance(plan, statements.PauseJob)
    job, changed = jobs.pause(plan.name.text, paused=pausing)
    if not changed:
        return Message(f"{plans.UNCHANGED}: the job {job.name} is {'paused already' if pausing else 'not paused'}.")
    until = f"it does not run until RESUME JOB {name_text(job.name)};"
    return Message(f"The job {job.name} was {f'paused: {until}' if pausing else 'resumed.'}")


@_result.register(statements.ShowCreateJob)
def _(plan: statements.ShowCreateJob, jobs: Jobs, report: _Report) -> Message:
    from s3conn_magic.language.help import create_job_statement

    del report
    job = jobs.get(plan.name.text)
    return Message(create_job_statement(job.plan, job.through.name if job.through else ""))


@_result.register(statements.DropJob)
def _(plan: statements.DropJob, jobs: Jobs, report: _Report) -> Message:
    del report
    job = jobs.drop(plan.name.text, view=plan.view)
    kept = f"the table {job.plan.table}" if job.plan.table else "what it wrote"
    said = f"materialized view {job.name} was dropped" if plan.view else f"job {job.name} was dropped; {kept} stays"
    return Message(f"The {said}.")


@_result.register(statements.ShowJobs)
def _(plan: statements.ShowJobs, jobs: Jobs, report: _Report) -> Any:
    from s3conn_magic.results.introspection import jobs_frame

    del report
    return jobs_frame(jobs, plan.like)


@_result.register(statements.ShowJobErrors)
def _(plan: statements.ShowJobErrors, jobs: Jobs, report: _Report) -> Any:
    from s3conn_magic.results.introspection import errors_frame

    del report
    return errors_frame(jobs.get(plan.name.text))


@singledispatch
def about_connections(plan: AboutConnections, connections: Registry) -> Any:
    """Run a statement about connections, or HELP, and return its result."""
    raise NotImplementedError(type(plan).__name__, connections)


@about_connections.register(statements.ShowConnections)
def _(plan: statements.ShowConnections, connections: Registry) -> Any:
    from s3conn_magic.results.introspection import connections_frame

    return connections_frame([connection for connection in connections if like(plan.like, connection.name)])


@about_connections.register(statements.DescribeConnection)
def _(plan: statements.DescribeConnection, connections: Registry) -> Any:
    from s3conn_magic.results.introspection import options_frame

    return options_frame(connections.get(plan.name.text))


@about_connections.register(statements.ShowCreate)
def _(plan: statements.ShowCreate, connections: Registry) -> Message:
    from s3conn_magic.language.help import create_statement

    connection = connections.get(plan.name.text)
    return Message(create_statement(connection.name, connection.options, connection.shown_configuration.besides()))


@about_connections.register(statements.TestConnection)
def _(plan: statements.TestConnection, connections: Registry) -> Any:
    from s3conn_magic.connections.probe import run_checks
    from s3conn_magic.results.frames import frame_of

    checks = run_checks(connections.get(plan.name.text), plan.location, with_write=plan.with_write)
    return frame_of(columns_of("TEST CONNECTION"), checks)


@about_connections.register(statements.Help)
def _(plan: statements.Help, connections: Registry) -> Any:
    from s3conn_magic.results.introspection import help_on

    del connections
    return help_on(plan.topic)
