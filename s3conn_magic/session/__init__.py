"""The session: runs the statements of a kernel or script, each by one method."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial, singledispatchmethod
from typing import TYPE_CHECKING, Any

from s3conn_magic.cluster import Workers
from s3conn_magic.connections.registry import Registry
from s3conn_magic.errors import (
    CredentialsError,
    QueryError,
    S3ConnError,
    rest_of_cell,
)
from s3conn_magic.handoff import Connection
from s3conn_magic.jobs.registry import Jobs
from s3conn_magic.language import plans, statements
from s3conn_magic.language.binder import bind
from s3conn_magic.language.cautions import of_key, of_plan
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.plans import DEFAULT_S3, SANDBOX
from s3conn_magic.language.reference import BY_QUERY
from s3conn_magic.language.session_settings import SettingValues, Timeouts, setting_text
from s3conn_magic.language.source import Source
from s3conn_magic.language.words import counted, pattern_note
from s3conn_magic.query.sql import OF_THE_SESSION, REFUSED
from s3conn_magic.results.cards import Message, connection_card
from s3conn_magic.runtime.background import asking, new_lock
from s3conn_magic.runtime.interrupts import deferred, outcome
from s3conn_magic.runtime.temporary import sweep
from s3conn_magic.session.inputs import (
    check_installed,
    connection_plans,
    found_nothing,
    note_of_pattern,
    nothing_at,
    project_file,
    read_script,
    sandbox_options,
    say_bucket,
    shrink_cache,
    user_file,
)
from s3conn_magic.session.queries import AboutConnections, JobPlan, Queries, QueryPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from s3conn_magic.datasets.portrait import Dataset
    from s3conn_magic.language.evaluation import Inputs
    from s3conn_magic.language.options import BoundOptions
    from s3conn_magic.language.statements import Statement, Where
    from s3conn_magic.listing.request import Progress
    from s3conn_magic.locations import Location
    from s3conn_magic.results.listings import Analysis
    from s3conn_magic.session.inputs import ProgressView, Server


_NOTHING = "Nothing was created"
_PREVIEW_ROWS = 100
_FOLDER = "ANALYZE {place}; is of all that is there, LIST {place} RECURSIVE MATCHING {glob}; of what it matches."


class Session:
    """The connections, tables and jobs of a kernel or script, and the statements that use them.

    Args:
        inputs: source of `$name`, PROMPT and KEYRING values.
        start_server: starts the embedded S3.
        note: shows a short note beside a result, such as that a listing was cut off.
        progress: creates the progress display of a running statement; None shows none.
        beside: shows what the function passed to it creates, such as a chart, beside a result; None shows nothing.
        settings: initial values, which others may change too.
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        start_server: Callable[[], Server],
        note: Callable[[str], None] = print,
        progress: Callable[[], ProgressView] | None = None,
        beside: Callable[[Callable[[], Any]], None] | None = None,
        settings: SettingValues | None = None,
    ) -> None:
        sweep()
        self.settings = SettingValues() if settings is None else settings
        self.connections = Registry(self.settings)
        self.connections.offer, self.connections.made_by_default = self._chain_connection, self._say_default
        self.connections.chosen_by_age = self._say_oldest
        self.queries = Queries(self.connections, inputs.variable, self.settings, note)
        self._progress = progress
        self._beside = beside
        self._inputs = inputs
        self._start_server = start_server
        self._server: Server | None = None
        self._starting = new_lock()
        self._note = note
        self.scale = Workers(self.settings, note)
        self.jobs = Jobs(
            lambda: self.queries.engine, self.connections, self.queries.depends, self.scale.elsewhere, self.settings
        )
        self.queries.shown = {name: partial(self._session_table, name) for name in OF_THE_SESSION.values()}
        self.settings.on_change |= {
            "DATABASE": self.queries.use_database,
            "CACHE": shrink_cache,
            "RESULT": lambda form: check_installed("polars", form == "polars"),
            "GRID": lambda wanted: check_installed("itables", wanted),
            "LOAD_USER_CONNECTIONS": lambda wanted: self._load(user_file(), wanted=wanted),
            "LOAD_PROJECT_CONNECTIONS": lambda wanted: self._load(project_file(), wanted=wanted),
        }
        if path := self.settings["DATABASE"]:
            self.queries.use_database(path)

    def _session_table(self, name: str) -> Any:
        from s3conn_magic.results.introspection import session_table

        return session_table(name, self.connections, self.jobs, self.queries.engine.database)

    def _chain_connection(self) -> Connection | None:
        """Return a connection with the default credentials chain, or None if the chain finds no credentials."""
        from s3conn_magic.connections.faults import NOTHING_FOUND

        connection = Connection(DEFAULT_S3, {}, timeouts=partial(Timeouts.of, self.settings))
        try:
            connection.check_credentials()
        except CredentialsError as error:
            if not error.message.endswith(NOTHING_FOUND):
                raise
            return None
        return connection

    def _say_oldest(self, name: str) -> None:
        self._note(
            f"Without USING, and outside every display filter, {name} is used, because it was created first. USE"
            f" CONNECTION chooses another."
        )

    def _say_default(self) -> None:
        self._note(
            f"There was no connection, so {DEFAULT_S3} was created from the default credentials chain. CREATE S3"
            " CONNECTION creates others; %config UpsqlMagic.default_connection = False turns that off."
        )

    def __repr__(self) -> str:
        names = [connection.name for connection in self.connections]
        return f"<s3conn_magic session: {', '.join(names) or 'no connections'}>"

    def run(self, text: str | Source) -> Iterator[Any]:
        """Run the statements of a text or file one by one, each when its result is requested.

        All of them are parsed and bound before the first one runs.

        Yields:
            The result of each statement: a frame, an explorer, a card or a message.

        Raises:
            S3ConnError: a statement failed; those before it are done, those after it do not run.
        """
        steps, failure = outcome(self.steps, text)
        # Debuggers show this frame's variables, so none may hold a statement when it fails.
        del text
        while steps:
            result, failure = outcome(steps.pop(0))
            if failure is not None:
                break
            yield result
            del result
        del steps
        if failure is not None:
            raise failure

    def run_file(self, path: str) -> Iterator[Any]:
        """Run the statements of a file, as `run` does; errors name the file."""
        return self.run(read_script(path))

    def _load(self, path: Path, *, wanted: bool) -> None:
        """Create the connections of a file, if it exists: all, or none if it has an error."""
        if wanted and path.exists():
            for plan in connection_plans(path, self.connections, self._inputs):
                self.execute(plan)

    @deferred
    def steps(self, text: str | Source) -> list[Callable[[], Any]]:
        """Return the bound statements of a text, as functions to call in turn.

        Raises:
            S3ConnError: a statement is wrong.
        """
        source = replace(Source(text) if isinstance(text, str) else text, connections=self._names)
        try:
            todo = self._bound(*self._parsed(source))
        except S3ConnError as error:
            from s3conn_magic.language.meant import repair

            repair(error, source, self._bound)
            raise
        return [partial(self._run_step, plan, index, len(todo), source) for index, plan in enumerate(todo, 1)]

    def _parsed(self, source: Source) -> tuple[list[Statement], Source]:
        if self.settings["DIALECT"] == "accept" and not source.file:
            from s3conn_magic.language.answers import accepted

            return accepted(source, self._note, parse)
        return parse(source), source

    def _bound(self, parsed: list[Statement], source: Source) -> list[plans.Plan]:
        """Return the plans of a text, once each of them could be run."""
        with asking(self._inputs.prompt):
            todo = bind(parsed, source, self.connections, self._inputs, self.queries.table_names, jobs=self.jobs.names)
        for plan in todo:
            try:
                self._check(plan.statement if isinstance(plan, statements.Explain) else plan)
            except QueryError as error:
                if not error.message.endswith(REFUSED):  # about a function of DuckDB, whose hint is another
                    error.hint = self.queries.also_here(source, error, plan.place()) or error.hint
                raise
        return todo

    def _names(self) -> list[str]:
        """Return the names of the connections, the default one first."""
        default = self.connections.default
        return sorted((connection.name for connection in self.connections), key=lambda name: name != default)

    def _check(self, plan: plans.Plan) -> None:
        """Refuse invalid queries, which the parser cannot check, before any statement runs."""
        if isinstance(plan, statements.Querying | plans.CreateJob):
            self.queries.check(plan)

    @deferred
    def _run_step(self, plan: plans.Plan, index: int, count: int, source: Source) -> Any:
        try:
            with asking(self._inputs.prompt):
                self._say(*of_plan(plan))
                result = self.execute(plan)
                if isinstance(plan, statements.Statement) and found_nothing(result):
                    self._say(note_of_pattern(plan, self.connections))
                return self._in_form(result)
        except S3ConnError as error:
            failure = self._clearer_error(plan, error).at(plan.place())
            if isinstance(plan, QueryPlan | statements.Preview | statements.ListObjects):
                from s3conn_magic.language.meant import repair_run

                repair_run(failure, source, self._bound)
        if count > 1:
            failure.notes += (f"Statement {index} of {count} failed; {rest_of_cell(index, count)}.",)
        # The cause may quote headers, keys or tokens, and a script's traceback would print it.
        failure.__cause__ = failure.__context__ = None
        raise failure

    def _clearer_error(self, plan: plans.Plan, failure: S3ConnError) -> S3ConnError:
        """Return the error, or a clearer one if the server expects https instead of http, or the reverse."""
        from s3conn_magic.connections.probe import explained

        say_bucket(failure, getattr(plan, "location", None), plan.through, self.connections)
        connections = [each for each in self.connections if each.name == plan.through] or self.connections
        return failure if isinstance(plan, plans.Create | plans.Alter) else explained(failure, connections)

    def _in_form(self, result: Any) -> Any:
        """Return a result's rows in the form of SET RESULT; other results unchanged."""
        form = "grid" if self.settings["RESULT"] == "pandas" and self.settings["GRID"] else self.settings["RESULT"]
        if form == "pandas":
            return result
        from s3conn_magic.results.introspection import in_form

        return in_form(result, form)

    @singledispatchmethod
    def execute(self, plan: plans.Plan | statements.Statement) -> Any:
        """Run a plan and return its result."""
        raise NotImplementedError(type(plan).__name__)

    @execute.register
    def _queries(self, plan: QueryPlan) -> Any:
        with self._progress_view() as report:
            return self.queries.run(plan, report)

    @execute.register
    def _no_change(self, plan: plans.NoChange) -> Message:
        return Message(plan.message)

    @execute.register
    def _create(self, plan: plans.Create) -> Any:
        there = plan.name in self.connections
        kept = f"The connection {plan.name} stays as it was" if there else _NOTHING
        with self._probed(plan.name, plan.options, kept, validate=plan.validate, where=plan.where) as candidate:
            connection, before = self.connections.put(candidate, replace=plan.or_replace)
        return connection_card(connection, "replaced" if before else "created")

    @execute.register
    def _alter(self, plan: plans.Alter) -> Any:
        connection = self.connections.get(plan.name)
        before, kept = connection.state_token, connection.options
        options = {name: value for name, value in kept.items() if name not in plan.changed}
        options |= {name: value for name, value in plan.options.items() if name in plan.changed}
        unchanged = f"The connection {plan.name} stays as it was"
        with self._probed(plan.name, options, unchanged, validate=plan.validate, where=plan.where) as candidate:
            connection = self.connections.change(plan.name, before, candidate)
        return connection_card(connection, "altered")

    def _say(self, *notes: str) -> None:
        for note in filter(None, notes):
            self._note(note)

    @contextmanager
    def _probed(
        self, name: str, options: BoundOptions, kept: str, *, validate: bool, where: Callable[[], Mapping[str, Where]]
    ) -> Iterator[Connection]:
        """Yield a candidate connection; close it unless it becomes one of the session's.

        If the probe fails, the hint begins with `kept`, and the error points at the option at fault, by its place in
        `where`.
        """
        candidate = Connection(name, options, timeouts=partial(Timeouts.of, self.settings))
        try:
            from s3conn_magic.connections.probe import cautions_on, probe

            self._say(*cautions_on(candidate, where(), probed=validate))
            if validate:
                from s3conn_magic.connections.refusals import to_blame

                try:
                    candidate.findings = probe(candidate)
                except S3ConnError as error:
                    if blamed := to_blame(error, places := where()):
                        error.at(places[blamed]())
                    raise error.of(f"the connection {name}").before_hint(kept) from None
            yield candidate
        finally:
            if all(connection is not candidate for connection in self.connections):
                candidate.drop()

    @execute.register
    def _rename(self, plan: plans.Rename) -> Message:
        self.connections.rename(plan.name, plan.new_name)
        try:
            self.queries.renamed(plan.name, plan.new_name)
        except BaseException:
            self.connections.rename(plan.new_name, plan.name)
            raise
        return Message(f"The connection {plan.name} is now {plan.new_name}.")

    @execute.register
    def _drop(self, plan: statements.DropConnection) -> Message:
        name = plan.name.text
        dropped = dict.fromkeys(self.connections.droppable(name, cascade=plan.cascade))
        for usage in dropped:
            self._drop_usage(usage)
        # Last, so that whatever an interrupt leaves still has its connection.
        for usage in self.connections.drop(name, cascade=plan.cascade):
            dropped[usage] = None
            self._drop_usage(usage)
        too = f" with {', '.join(f'{usage.kind} {usage.name}' for usage in dropped)}" if dropped else ""
        return Message(f"The connection {name} was dropped{too}.")

    def _drop_usage(self, usage: plans.Usage) -> None:
        if usage.kind == "job" and usage.name in self.jobs:
            self.jobs.drop(usage.name)
        self.queries.forget(usage)

    @execute.register
    def _use(self, plan: statements.UseConnection) -> Message:
        self.connections.use(plan.name.text)
        return Message(f"Statements without USING now use {plan.name.text}.")

    @execute.register
    def _introspection(self, plan: AboutConnections) -> Any:
        from s3conn_magic.session.queries import about_connections

        return about_connections(plan, self.connections)

    @execute.register
    def _show_buckets(self, plan: statements.ShowBuckets) -> Any:
        from s3conn_magic.results.listings import buckets_frame

        return buckets_frame(self.connections.get(plan.name), plan.like)

    @execute.register
    def _list(self, plan: statements.ListObjects) -> Any:
        from s3conn_magic.results.listings import ListOptions, list_frame, open_here, table_notes

        connection, most = self.connections.get(plan.name), self._most(plan)
        with self._progress_view() as report:
            opened = None if self.settings.engine_is_local else self.scale.opened()
            kinds: dict[str, Any] = {each: getattr(plan, each) for each in ("recursive", "versions", "matching")}
            options = ListOptions(most, self.settings["CONNECTIONS"], report, opened or open_here, **kinds)
            frame, cut = list_frame(connection, plan.location, options)
        self._say(*table_notes(connection, plan.location, frame), nothing_at(self.connections, plan, frame))
        return self._note_limit(frame, most, cut=cut)

    @execute.register
    def _list_inventory(self, plan: statements.ListInventory) -> Any:
        from s3conn_magic.results.listings import ListOptions, inventory_frame

        connection, most = self.connections.get(plan.name), self._most(plan)
        with self._progress_view() as report:
            options = ListOptions(most, self.settings["CONNECTIONS"], report, matching=plan.matching)
            frame, cut, note = inventory_frame(connection, plan.location, options)
        self._note(note)
        return self._note_limit(frame, most, cut=cut)

    def _most(self, plan: statements.ListObjects | statements.ListInventory) -> int | None:
        limit = self.settings["LIMIT"] if plan.limit is None else plan.limit
        return None if limit == "ALL" else int(limit)

    def _note_limit(self, frame: Any, most: int | None, *, cut: bool) -> Any:
        if cut:
            self._note(f"LIMIT {most:,}: there is more than the {len(frame):,} rows shown. LIMIT ALL lists all.")
        return frame

    def _progress_view(self) -> AbstractContextManager[Callable[[Progress], None] | None]:
        return self._progress() if self._progress and self.settings["PROGRESS"] else nullcontext()

    @execute.register
    def _explore(self, plan: statements.Explore) -> Any:
        from s3conn_magic.explorer.connections import open_explorer

        if plan.location and (pattern_note(plan.location) or of_key(plan.location, "")):
            from s3conn_magic.objects.requests import note_if_nothing

            clause = _FOLDER.replace("ANALYZE", "EXPLORE")
            self._say(note_if_nothing(self.connections.get(plan.name), plan.location, clause))
        ui = self.settings["EXPLORER_UI"]
        return open_explorer(self.connections, plan.name, plan.location, ui=ui, aside=plan.aside)

    @execute.register
    def _explore_all(self, plan: statements.ExploreAll) -> Any:
        from s3conn_magic.explorer.connections import open_all

        if not any(True for _ in self.connections):
            self.connections.chosen()
        return open_all(self.connections, ui=self.settings["EXPLORER_UI"], aside=plan.aside)

    @execute.register
    def _analyze(self, plan: statements.Analyze) -> Any:
        from s3conn_magic.results.listings import Analysis, analysis_frame, table_notes

        if plan.inventory is not None:
            return self._analyze_inventory(plan, plan.inventory)
        assert plan.location is not None  # noqa: S101 - the grammar takes one of the two
        analysis = Analysis(plan.location, plan.by, plan.depth or 1)
        if plan.by in BY_QUERY:
            return self._with_chart(self.queries.added_up(plan.name, analysis), analysis)
        connection, connections = self.connections.get(plan.name), self.settings["CONNECTIONS"]
        with self._progress_view() as report:
            scan, target = self.scale.scan(connection, *analysis, connections), connection.target(plan.location.bucket)
            frame = analysis_frame(target, analysis, connections=connections, report=report, scan=scan)
        self._say(*table_notes(connection, plan.location), nothing_at(self.connections, plan, frame, _FOLDER))
        return self._with_chart(frame, analysis)

    def _analyze_inventory(self, plan: statements.Analyze, place: Location) -> Any:
        from s3conn_magic.results.listings import ListOptions, inventory_analysis

        connection, depth = self.connections.get(plan.name), plan.depth or 1
        with self._progress_view() as report:
            options = ListOptions(None, self.settings["CONNECTIONS"], report)
            answer = inventory_analysis(connection, place, options, where=plan.location, by=plan.by, depth=depth)
        frame, analysis, note = answer
        self._note(note)
        return self._with_chart(frame, analysis)

    def _with_chart(self, frame: Any, analysis: Analysis) -> Any:
        if len(frame) and (rest := str(frame["group"].iloc[-1])).endswith(" more groups)"):
            self._note(
                f"{rest[1:-1]} with the fewest bytes are combined in the last row. A longer location has fewer groups."
            )
        if self._beside is not None:
            from s3conn_magic.results.charts import analysis_chart

            self._beside(partial(analysis_chart, frame, analysis.by, analysis.location))
        return frame

    @execute.register
    def _discover(self, plan: statements.Discover) -> Any:
        from s3conn_magic.session.queries import discovered

        with self._progress_view() as report:
            datasets, notes = discovered(self.connections, self.queries, plan, self.settings["CONNECTIONS"], report)
        self._say(*notes, nothing_at(self.connections, plan, datasets, _FOLDER.replace("ANALYZE", "DISCOVER")))
        return self._shown_datasets(datasets, plan)

    def _shown_datasets(self, datasets: list[Dataset], plan: statements.Discover) -> Any:
        from s3conn_magic.results.cards import datasets_card, tables_of_datasets
        from s3conn_magic.results.listings import datasets_frame

        if plan.into_tables:
            several = sum(1 for _ in self.connections) > 1
            return Message(tables_of_datasets(datasets, plan.name if several else ""))
        if self._beside is not None:
            self._beside(partial(datasets_card, datasets))
        return datasets_frame(datasets)

    @execute.register
    def _compare(self, plan: statements.Compare) -> Any:
        from s3conn_magic.results.listings import Compared, ListOptions, comparison

        both = (plan.left, plan.right)
        sides = [Compared(self.connections.get(side.name), side.location, side.report, side.as_of) for side in both]
        with self._progress_view() as report:
            frame, note = comparison(sides, plan.by, ListOptions(None, self.settings["CONNECTIONS"], report))
        self._say(note, *(pattern_note(side.location, _FOLDER.replace("ANALYZE ", "")) for side in both))
        return frame

    @execute.register
    def _preview(self, plan: statements.Preview) -> Any:
        from s3conn_magic.results.previews import open_preview

        preview = open_preview(
            self.connections.get(plan.name),
            plan.location,
            _PREVIEW_ROWS if plan.limit is None else plan.limit,
            plan.version or "",
        )
        if preview.frame is not None:
            self.queries.note_columns(plan.location.uri, preview.frame.columns)
        return preview

    @execute.register
    def _about_jobs(self, plan: JobPlan) -> Any:
        from s3conn_magic.session.queries import about_jobs

        with self._progress_view() as report:
            return about_jobs(self.jobs, plan, report=report, note=self._note)

    @execute.register
    def _explain(self, plan: statements.Explain) -> Any:
        from s3conn_magic.session.explain import Forecast, forecast_frame, stated

        frame = forecast_frame(Forecast(self.connections, self.queries, self.jobs), plan.statement)
        self._note(stated(frame))
        return frame

    @execute.register
    def _translation(self, statement: plans.Translation) -> Message:
        return Message(statement.text)

    @execute.register
    def _save(self, plan: statements.SaveConnections) -> Message:
        from s3conn_magic.session.inputs import save_connections

        path, count = save_connections(self.connections, plan.path, replace=plan.or_replace)
        return Message(f"{counted(count, 'connection')} saved to {path}, without a secret.")

    @execute.register
    def _set(self, plan: statements.SetSetting) -> Message:
        name = plan.name.text
        self.settings.change(name, plan.value)
        if name == "DEFAULT_CONNECTION" and plan.value and plan.value not in self.connections:
            self._note(f"The connection {plan.value} is still to be created.")
        file = {"LOAD_USER_CONNECTIONS": user_file, "LOAD_PROJECT_CONNECTIONS": project_file}.get(name)
        if file and plan.value and not file().exists():
            self._note(f"There is no file {file()}, so no connection was created.")
        if name in {"GRID", "RESULT"} and self.settings["GRID"] and self.settings["RESULT"] != "pandas":
            self._note("GRID has no effect on other frames than pandas's.")
        return Message(f"{name} = {setting_text(plan.value)}")

    @execute.register
    def _show_settings(self, plan: statements.ShowSettings) -> Any:
        from s3conn_magic.results.introspection import settings_frame

        del plan
        return settings_frame(self.settings)

    @execute.register
    def _start_sandbox(self, plan: statements.StartSandbox) -> Any:
        del plan
        with self._starting:
            if self._server is None:
                self._server = self._start_server()
            options = sandbox_options(self._server)
        with self._probed(SANDBOX, options, _NOTHING, validate=True, where=dict) as candidate:
            connection, _ = self.connections.put(candidate)
        return connection_card(connection, "created")

    @execute.register
    def _stop_sandbox(self, plan: statements.StopSandbox) -> Message:
        del plan
        if SANDBOX in self.connections:
            self.connections.drop(SANDBOX, cascade=False)
        return Message("The sandbox was stopped." if self._end_server() else "The sandbox is not running.")

    def close(self) -> None:
        """Stop what the session started, and close its tables."""
        self.queries.close()
        self.scale.close()
        self._end_server()

    def _end_server(self) -> bool:
        """Stop the server; return whether there was one."""
        with self._starting:
            server, self._server = self._server, None
        if server is not None:
            server.stop()
        return server is not None
