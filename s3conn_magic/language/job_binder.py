"""Bind statements about jobs, and clauses about tables in S3, to plans."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial, singledispatchmethod
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import BindError, ReadOnlyConnectionError
from s3conn_magic.language import plans, statements
from s3conn_magic.language.dialect import DialectError, duckdb_query
from s3conn_magic.language.job_options import JOB_OPTIONS, TABLE_OPTIONS, JobOption, Kind
from s3conn_magic.language.job_values import BareWord, Content, value_meant
from s3conn_magic.language.plans import job_exists, job_not_found, release
from s3conn_magic.language.source import Span
from s3conn_magic.language.statements import Name
from s3conn_magic.language.words import listed, pattern_meant, related, table_parts, table_text
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from s3conn_magic.language.evaluation import Binding
    from s3conn_magic.language.options import Option
    from s3conn_magic.language.plans import Known
    from s3conn_magic.language.statements import SqlText

_NAMES: Mapping[Kind, str] = {
    "COPY": "COPY FROM S3",
    "INSERT": "INSERT INTO S3",
    "INTO": "a job into a table",
    "TABLE": "CREATE TABLE",
}
_MENTIONED = re.compile(r"'s3://([^/@'\s]+)@")
_ONLY_PARQUET = "SNAPPY"


def _kinds_of_option(name: str) -> tuple[Kind, ...]:
    option = JOB_OPTIONS.get(name)
    return option.kinds if option else ()


def _options_of(kind: Kind | None) -> Mapping[str, JobOption]:
    return TABLE_OPTIONS if kind == "TABLE" else JOB_OPTIONS


def _names_of_kind(kind: Kind) -> list[str]:
    return [option.name for option in (*JOB_OPTIONS.values(), *TABLE_OPTIONS.values()) if kind in option.kinds]


class JobBinder:
    """Binds a cell's statements about jobs.

    Args:
        binding: reads values.
        known: the connections by folded name; a created job becomes a usage of its connections.
        existing: returns the connection of a name, or raises that there is none.
        tables: names of existing tables, including those that a job creates or loads, by folded name.
        jobs: names of existing jobs, by folded name.
    """

    def __init__(
        self,
        binding: Binding,
        known: dict[str, Known],
        existing: Callable[[Name], Known],
        tables: dict[str, str],
        jobs: dict[str, str],
    ) -> None:
        self._binding = binding
        self._known = known
        self._existing = existing
        self._tables = tables
        self._jobs = jobs

    @singledispatchmethod
    def bind(self, statement: statements.JobStatement) -> plans.Plan:
        """Return the plan of a statement.

        Raises:
            BindError, ConnectionNotFoundError, ReadOnlyConnectionError: with the place.
        """
        return self._binding.bound(statement)

    @bind.register
    def _copy(self, statement: statements.CreateCopyJob) -> plans.Plan:
        table = table_text(statement.into.parts)
        expectations = self._expectations(statement.expectations)
        plan = self._create(statement, "COPY", {"table": table, "expectations": expectations})
        if not isinstance(plan, plans.CreateJob):
            return plan
        self._tables.setdefault(table.casefold(), table)
        self._depend(plan.connection, plans.Usage("table", table))
        return plan

    def _expectations(self, written: Sequence[statements.Expectation]) -> tuple[plans.Predicate, ...]:
        names = set[str]()
        for each in written:
            if each.name.text.casefold() in names:
                message = f"there are two expectations {each.name.text}"
                raise self._binding.error(message, each.name.span, hint="Give one of them another name.")
            names.add(each.name.text.casefold())
        return tuple(
            plans.Predicate(each.name.text, each.predicate.value.reveal(), drops=each.violated == "DROP")
            for each in written
        )

    @bind.register
    def _into(self, statement: statements.CreateTableJob) -> plans.Plan:
        written = statement.merge or statement.query
        assert written is not None  # noqa: S101 - the grammar has one of the two
        kind: plans.JobKind = "VIEW" if statement.into is None else "MERGE" if statement.merge else "INTO"
        table = table_text(statement.into.parts) if statement.into else statement.name.text
        if kind == "VIEW" and statement.name.text.casefold() not in self._jobs and table.casefold() in self._tables:
            raise self._binding.error(f"there is a table {table}", statement.name.span, hint="Choose another name.")
        particular: dict[str, Any] = query_of(self._binding, written)
        particular |= {"table": table, "others": tuple(dict.fromkeys(self._mentioned(written)))}
        particular |= {"how": statements.Insertion.of(statement, dates=True), "body": written.value.reveal()}
        plan = self._create(statement, "INTO", particular, kind)
        if isinstance(plan, plans.CreateJob):
            self._tables.setdefault(table.casefold(), table)
        return plan

    @bind.register
    def _insert(self, statement: statements.CreateInsertJob) -> plans.Plan:
        query = statement.query
        particular = {"others": tuple(dict.fromkeys(self._mentioned(query))), "body": query.value.reveal()}
        return self._create(statement, "INSERT", particular | query_of(self._binding, query))

    def _mentioned(self, query: SqlText) -> Iterable[str]:
        """Return the connections named in a query's locations."""
        for match in _MENTIONED.finditer(query.value.reveal()):
            at = query.span.start + match.start(1)
            yield self._existing(Name(match[1], Span(at, at + len(match[1])))).name

    def _create(
        self, statement: Any, kind: Kind, particular: Mapping[str, Any], does: plans.JobKind | None = None
    ) -> plans.Plan:
        place, name = self._binding.beginning(statement), statement.name
        options, where = self._options(statement.settings, partial(self._option, kind))
        note = _without_effect(options)
        given: dict[str, Any] = {"kind": does or kind}
        if kind != "INTO":
            connection = self._existing(statement.connection)
            given |= {"connection": connection.name, "location": self._location(options, where, statement)}
            self._check_writing(connection, options, kind, statement.connection.span)
        self._check(options, where, kind)
        if old := self._jobs.get(name.text.casefold()):
            if statement.if_not_exists:
                return self._binding.no_change(statement, f"the job {old} already exists.")
            raise job_exists(old).at(self._binding.place(name.span))
        self._jobs[name.text.casefold()] = name.text
        for used in {given.get("connection", ""), *particular.get("others", ())} - {""}:
            self._depend(used, plans.Usage("job", name.text))
        return plans.CreateJob(
            place=place,
            name=name.text,
            options=options,
            note=note,
            in_file=self._binding.in_file,
            expressions=tuple(dict(options.get("COLUMN_TRANSFORMATIONS", ())).values()),
            written=self._written(statement.settings),
            **given,
            **particular,
        )

    def _depend(self, connection: str, usage: plans.Usage) -> None:
        known = self._known[connection.casefold()]
        if usage not in known.usages:
            self._known[connection.casefold()] = known._replace(usages=(*known.usages, usage))

    # Options

    def _options(
        self, settings: tuple[statements.JobSetting, ...], option_of: Callable[[Name], JobOption]
    ) -> tuple[dict[str, Any], dict[str, Span]]:
        """Return values by option, and the span of each option."""
        values: dict[str, Any] = {}
        where: dict[str, Span] = {}
        for setting in settings:
            option = option_of(setting.name)
            if option.name in where:
                first = self._binding.place(where[option.name])
                message = f"{option.name} is given twice: first in line {first.line}, column {first.column}"
                raise self._binding.error(message, setting.name.span, hint=f"Keep one {option.name}.")
            where[option.name] = setting.name.span
            values[option.name] = self._read(option, setting)
        return values, where

    def _option(self, kind: Kind, name: Name) -> JobOption:
        options = _options_of(kind)
        option = options.get(name.text.upper())
        if option is None:
            from s3conn_magic.language.words import book

            other_name = book()["jobs"].get(name.text.upper())
            names = [*_names_of_kind(kind), *["DELETE_DATA"] * (kind == "TABLE")]  # only of DROP TABLE
            near = other_name if other_name and kind in _kinds_of_option(other_name) else related(name.text, names)
            known = [option.name for option in options.values() if kind in option.kinds and option.effect]
            hint = f"Did you mean {near}?" if near else f"{_NAMES[kind]} takes {listed(known, 'and')}."
            of = "table" if kind == "TABLE" else "job"
            raise self._binding.error(f"unknown option of a {of}", name.span, hint=hint)
        if kind not in option.kinds:
            other = option.kinds[0]
            instead = {"FILE_FORMAT": "Did you mean CONTENT_TYPE?", "CONTENT_TYPE": "Did you mean FILE_FORMAT?"}
            message = f"{option.name} is an option of {_NAMES[other]}, not of {_NAMES[kind]}"
            raise self._binding.error(message, name.span, hint=instead.get(option.name, ""))
        return option

    def _read(self, option: JobOption, setting: statements.JobSetting) -> Any:
        if setting.value is None:
            return True
        raw = self._raw(setting.value)
        try:
            return option.read(raw)
        except ValueError as error:
            reason = str(error)
        is_pattern = option.takes == "a regular expression" and isinstance(raw, str)
        hint = pattern_meant(f"{option.name} =", "regular", raw) if is_pattern else ""
        if meant := value_meant(option.name, raw, datetime.now(UTC)):
            hint = f"Write {meant} instead."
        raise self._binding.error(f"{option.name} takes {option.takes}: {reason}", setting.value.span, hint=hint)

    def _raw(self, value: Any) -> Any:
        if isinstance(value, Name):
            return BareWord(value.text)
        if isinstance(value, statements.Expression):
            return value.value.reveal()
        if isinstance(value, statements.Interval):
            return value.value
        if not isinstance(value, statements.Group):
            read = self._binding.value(value)
            return tuple(read) if isinstance(read, list) else read
        if any(isinstance(item, statements.JobSetting) for item in value.items):
            return self._settings(value)
        return tuple(map(self._raw, value.items))

    def _settings(self, group: statements.Group) -> dict[str, Any]:
        """Return the settings of a group; column names of expressions stay as written."""
        options: dict[str, Any] = {}
        for setting in group.items:
            if not isinstance(setting, statements.JobSetting):
                message = "a value without a name is among settings NAME = value"
                raise self._binding.error(message, setting.span, hint="Write NAME = in front of it, or delete it.")
            name = setting.name.text if isinstance(setting.value, statements.Expression) else setting.name.text.upper()
            if name in options:
                raise self._binding.error("this is given twice", setting.name.span, hint="Keep one.")
            options[name] = self._raw(setting.value)
        return options

    def _location(self, options: dict[str, Any], where: Mapping[str, Span], statement: Any) -> Location:
        text, bucket = options.pop("LOCATION", None), options.pop("BUCKET", None)
        prefix = options.pop("PREFIX", None)
        if text is not None and (bucket is not None or prefix is not None):
            clash = "BUCKET" if bucket is not None else "PREFIX"
            raise self._binding.error(
                f"{clash} cannot be combined with LOCATION", where[clash], hint="Use only one of them."
            )
        if text is None and bucket is None:
            span = where.get("PREFIX", statement.connection.span)
            hint = "Add LOCATION = 's3://bucket/folder/' behind the connection's name."
            raise self._binding.error("a job needs a LOCATION, or a BUCKET", span, hint=hint)
        at = next(each for each in statement.settings if each.name.text.upper() in {"LOCATION", "BUCKET"})
        span = at.value.span if at.value else at.span
        if text is not None:
            return self._binding.place_in(text, span)
        return Location(bucket, (prefix or "").removeprefix("/"))

    def _check(self, options: Mapping[str, Any], where: Mapping[str, Span], kind: Kind) -> None:
        for name in options:
            option = _options_of(kind).get(name)
            missing = [required for required in option.requires if required not in where] if option else []
            if missing:
                hint = f"Add {' and '.join(f'{each} = …' for each in missing)}."
                raise self._binding.error(f"{name} needs {listed(missing, 'and')} too", where[name], hint=hint)
        content = options.get("FILE_FORMAT" if kind == "INSERT" else "CONTENT_TYPE")
        named = content.type if isinstance(content, Content) else "PARQUET"
        compression = options.get("COMPRESSION")
        if kind != "TABLE" and compression == _ONLY_PARQUET and named not in {"PARQUET", "AUTO"}:
            hint = "COMPRESSION = GZIP or ZSTD compress text."
            raise self._binding.error(f"SNAPPY cannot be combined with {named}", where["COMPRESSION"], hint=hint)
        start, end = options.get("START_FROM"), options.get("END_AT")
        if not isinstance(start, str | None) and not isinstance(end, str | None) and start >= end:
            hint = "Give a later one, or leave it out."
            raise self._binding.error("END_AT is not later than START_FROM", where["END_AT"], hint=hint)

    def _check_writing(self, connection: Known, options: Mapping[str, Any], kind: Kind, span: Span) -> None:
        action = "INSERT INTO S3" if kind == "INSERT" else "DELETE_FILES_AFTER_LOAD"
        if kind != "COPY" or options.get(action):
            check_writing(self._binding, connection, action, span)

    # The rest

    @bind.register
    def _about_job(self, statement: statements.AboutJob) -> plans.Plan:
        return self._binding.with_name(statement, self._job(statement.name))

    @bind.register
    def _alter(self, statement: statements.AlterJob) -> plans.Plan:
        options, _ = self._options(statement.settings, partial(self._mutable_option, statement.name.text))
        name = self._job(statement.name)
        written, note = self._written(statement.settings), _without_effect(options)
        place, added = self._binding.beginning(statement), self._expectations(statement.expectations)
        dropped = statement.dropped.text if statement.dropped else ""
        given: dict[str, Any] = {"options": options, "written": written, "note": note}
        return plans.AlterJob(place=place, name=name, added=added, dropped=dropped, **given)

    def _mutable_option(self, job: str, name: Name) -> JobOption:
        """Return an option that ALTER JOB can set."""
        from s3conn_magic.language.rules import name_text

        option = JOB_OPTIONS.get(name.text.upper())
        if option is None:
            near = related(name.text, [each.name for each in JOB_OPTIONS.values() if each.mutable])
            hint = f"Did you mean {near}?" if near else "HELP ALTER JOB; lists what it sets."
            raise self._binding.error("unknown option of a job", name.span, hint=hint)
        if not option.mutable:
            hint = f"SHOW CREATE JOB {name_text(job)}; shows the statement, to create a new job from."
            raise self._binding.error(f"{option.name} cannot be changed once the job is created", name.span, hint=hint)
        return option

    def _written(self, settings: tuple[statements.JobSetting, ...]) -> dict[str, str]:
        return {
            setting.name.text.upper(): self._binding.cell[slice(*setting.value.span)] if setting.value else ""
            for setting in settings
        }

    @bind.register
    def _drop(self, statement: statements.DropJob) -> plans.Plan:
        name = statement.name
        kind = "materialized view" if statement.view else "job"
        if statement.if_exists and name.text.casefold() not in self._jobs:
            return self._binding.no_change(statement, f"no {kind} {name.text}.")
        job = self._job(name)
        release(self._known, "job", job)
        del self._jobs[name.text.casefold()]
        if statement.view:
            self._tables.pop(job.casefold(), None)
        return self._binding.with_name(statement, job)

    def _job(self, name: Name) -> str:
        if job := self._jobs.get(name.text.casefold()):
            return job
        raise job_not_found(name.text, list(self._jobs.values())).at(self._binding.place(name.span))


class StorageBinder(JobBinder):
    """Binds the storage clauses of a table whose files are in S3."""

    def options_of(self, settings: tuple[statements.JobSetting, ...]) -> tuple[dict[str, Any], str]:
        """Return the options of a table, and a note on those without effect.

        Raises:
            BindError: one is unknown, has an invalid value, or requires a missing one.
        """
        options, where = self._options(settings, partial(self._option, "TABLE"))
        self._check(options, where, "TABLE")
        note = _without_effect(options, "TABLE")
        if "STORAGE_LOCATION" in options:
            given = {each.name.text.upper(): each.value.span for each in settings if each.value}
            options["STORAGE_LOCATION"] = self._binding.place_in(options["STORAGE_LOCATION"], given["STORAGE_LOCATION"])
            name = Name(options["STORAGE_CONNECTION"], given["STORAGE_CONNECTION"])
            options["STORAGE_CONNECTION"] = self._existing(name).name
        return options, note

    def altered(self, settings: tuple[statements.JobSetting, ...]) -> tuple[dict[str, Any], str]:
        """Return the mutable options, as `options_of`."""
        fixed = next((setting for setting in settings if setting.name.text.upper().startswith("STORAGE_")), None)
        if fixed is not None:
            hint = "CREATE TABLE … AS SELECT creates a table elsewhere."
            raise self._binding.error("a table cannot be moved", fixed.span, hint=hint)
        return self.options_of(settings)

    def stored(self, statement: statements.CreateTable, default: Sequence[str]) -> dict[str, Any]:
        """Return where to store a table's files, its options, and a note on those without effect.

        Args:
            statement: as written.
            default: DEFAULT_STORAGE, a connection's name and a location, or nothing.

        Raises:
            BindError: an option is wrong, or an ICEBERG TABLE has no location.
            ReadOnlyConnectionError: the connection is READ_ONLY.
        """
        options, note = self.options_of(statement.settings)
        name, location = options.pop("STORAGE_CONNECTION", ""), options.pop("STORAGE_LOCATION", None)
        if statement.location:
            return {}
        at = statement.name.span
        if not name and default:
            name, base = default[0], self._binding.place_in(default[1], at)
            folder = "/".join(table_parts(statement.name.text))
            location = replace(base, key=f"{base.key.rstrip('/')}/{folder}".lstrip("/"))
        if not name or location is None:
            return {"note": " ".join(filter(None, [note, self._duckdb_note(statement, options)]))}
        known = self._existing(Name(name, at))
        check_writing(self._binding, known, "CREATE TABLE … STORAGE_LOCATION", at)
        if location.key and not location.key.endswith("/"):
            location = replace(location, key=f"{location.key}/")
        self._depend(known.name, plans.Usage("table", statement.name.text))
        return {
            "storage": (known.name, location),
            "options": options,
            "note": note,
        }

    def _duckdb_note(self, statement: statements.CreateTable, options: Mapping[str, Any]) -> str:
        """Return a note on clauses without effect for a table in DuckDB."""
        if statement.iceberg:
            hint = "Add STORAGE_CONNECTION = … STORAGE_LOCATION = 's3://…', or SET DEFAULT_STORAGE for all tables."
            raise self._binding.error("an ICEBERG TABLE needs a place for its files", statement.name.span, hint=hint)
        given = [*options, *(["PARTITIONED BY"] if statement.partitioned else [])]
        given += ["PRIMARY KEY"] if statement.keys else []
        return f"{listed(given, 'and')}: only for tables whose files are in S3 (SET DEFAULT_STORAGE)." if given else ""


def query_of(binding: Binding, written: SqlText) -> dict[str, Any]:
    """Return the text of a query for DuckDB, and a function for the place of a character in it.

    Raises:
        BindError: it uses a feature of Upsolver's that is not supported.
    """

    def is_variable(name: str) -> bool:
        try:
            binding.value(statements.VariableSource(name, written.span))
        except BindError:
            return False
        return True

    try:
        read = duckdb_query(written.value.reveal(), is_variable)
    except DialectError as error:
        message, at = error.message, written.span.start + error.at
    else:
        return {"text": read.text, "locate": lambda at: binding.place_within(written.span, read.written_at(at))}
    raise binding.error(message, Span(at, at + 1))


def check_writing(binding: Binding, connection: Known, action: str, span: Span) -> None:
    """Check that a connection can write.

    Raises:
        ReadOnlyConnectionError: it is READ_ONLY.
    """
    read_only = connection.options.get("READ_ONLY")
    if read_only is not None and read_only.value:
        raise ReadOnlyConnectionError(
            f"the connection {connection.name} is READ_ONLY: {action} was refused, nothing was sent",
            hint="Use a connection that was created without READ_ONLY = TRUE.",
            place=binding.place(span),
        )


def _without_effect(options: dict[str, Any], kind: Kind | None = None) -> str:
    """Remove the options without effect, and return a note on them."""
    names = [name for name in options if (option := _options_of(kind).get(name)) is not None and not option.effect]
    for name in names:
        del options[name]
    return f"{listed(names, 'and')}: accepted, without effect on one machine." if names else ""


def anew(old: Known, read_only: statements.Value | None = None) -> str:
    """Return the statement that recreates a connection, READ_ONLY or not, on one line without `;`."""
    from s3conn_magic.language.help import create_statement

    options = {name: bound for name, bound in old.options.items() if name != "READ_ONLY"}
    sql = create_statement(old.name, options).replace("\n   ", "").rstrip(";").replace("CREATE", "CREATE OR REPLACE", 1)
    is_read_only = isinstance(read_only, statements.BooleanLiteral) and read_only.value
    return f"{sql} READ_ONLY = TRUE" if is_read_only else sql


def mutable(binding: Binding, name: statements.Name, *, may_be_transient: bool, anew: str = "") -> Option:
    """Return the option of an ALTER; `anew` is the statement that would recreate the connection with all options.

    Raises:
        BindError: it is unknown, cannot be altered, or is not kept and so cannot be unset.
    """
    option = binding.option(name)
    if not option.mutable:
        raise binding.error(
            f"{option.name} cannot be altered: it is fixed when a connection is created",
            name.span,
            hint=f"Here: {anew};" if anew else "CREATE OR REPLACE S3 CONNECTION creates a new one.",
        )
    if not option.stored and not may_be_transient:
        raise binding.error(f"{option.name} is not stored, so it cannot be unset", name.span, hint="Leave it out.")
    return option
