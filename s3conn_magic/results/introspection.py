"""Frames and messages about queries, tables, jobs, connections, settings and HELP."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.errors import BindError, S3ConnError
from s3conn_magic.language.help import broken, help_page, overview, topic_text
from s3conn_magic.language.options import OPTION_NAMES, OPTIONS, Option
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS, Reference, columns_of
from s3conn_magic.language.result_columns import DESCRIPTION_COLUMNS, TABLE_COLUMNS
from s3conn_magic.language.session_settings import SETTING_NAMES, SETTINGS, setting_literal, setting_text
from s3conn_magic.language.words import nearest
from s3conn_magic.locations import Location, size_text, visible
from s3conn_magic.preview import texts
from s3conn_magic.results.cards import NOT_TYPESET, SNAPSHOT_STYLE, Message, joined_styles, show_with_snapshot
from s3conn_magic.results.frames import ReferenceFrame, S3Frame, StatementFrame, frame_of
from s3conn_magic.runtime.interrupts import interruptible
from s3conn_magic.runtime.patterns import like
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from s3conn_magic.connections.configuration import Configuration
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.datasets.portrait import Dataset
    from s3conn_magic.jobs.job import Job
    from s3conn_magic.language.options import BoundValue
    from s3conn_magic.query.tables import QueryResult, Tables

# Lists and structs may hold dates, too; no more rows are checked than will be shown.
_CHECKED_ROWS = 1_000


def query_frame(answer: QueryResult) -> S3Frame:
    """Return the rows with Arrow types; `.attrs["read"]` has the numbers of requests and bytes."""
    table = answer.table
    series: list[Any] = [pd.Series(pd.arrays.ArrowExtensionArray(_representable(column))) for column in table.columns]
    rows = pd.concat(series, axis=1) if series else pd.DataFrame(index=range(len(table)))
    frame = S3Frame(rows.set_axis(table.column_names, axis=1))
    frame.attrs["read"] = {"requests": answer.requests, "bytes": answer.bytes}
    return frame


def in_form(result: Any, form: str) -> Any:
    """Return a frame in the form of SET RESULT, with the same columns and values.

    Args:
        result: of a statement; anything but a frame of rows, and HELP's frame, is returned unchanged.
        form: `polars`, `arrow` or `grid` (shown as a grid in notebooks).

    Raises:
        BindError: two columns have the same name, which Polars does not allow.
    """
    if not isinstance(result, S3Frame) or isinstance(result, ReferenceFrame):
        return result
    if form == "grid":
        return (StatementGrid if isinstance(result, StatementFrame) else QueryGrid)(result)
    names = [*map(str, result.columns)]
    table = pa.Table.from_arrays([_arrow_array(column) for _, column in result.items()], names)
    if form == "arrow":
        return table
    import polars as pl

    if twice := next((name for at, name in enumerate(names) if name in names[:at]), None):
        raise BindError(
            f"two columns are called {visible(twice)}, which a frame of Polars does not allow",
            hint="Rename one with AS, or SET RESULT = 'arrow'.",
        )
    return pl.from_arrow(table)


class _Grid:
    """Shown as an interactive grid in a notebook; elsewhere an ordinary frame, as are frames derived from it."""

    def _plain(self: Any) -> pd.DataFrame:
        """Return all rows with safe texts; numbers stay numbers, so that they sort as numbers."""
        columns = [
            column if pd.api.types.is_numeric_dtype(column.dtype) else self._written(str(name), column, page=False)
            for name, column in self._ordered().items()
        ]
        return pd.DataFrame(dict(enumerate(columns))).set_axis([visible(str(name)) for name in self._ordered()], axis=1)

    def _ipython_display_(self: Any) -> None:
        rows, columns = self.shape
        show_with_snapshot(self._bundle, f"{rows:,} rows x {columns} columns")

    def _bundle(self: Any) -> dict[str, Any]:
        grid = _grid_widget()(
            self._plain(),
            maxBytes=_GRID_BYTES,
            showIndex=False,
            classes=f"display compact nowrap {NOT_TYPESET}",
            allow_html=False,
        )
        return {**grid._repr_mimebundle_()[0], "text/html": self._repr_html_() or "", "text/plain": repr(self)}


class StatementGrid(_Grid, StatementFrame):
    """A statement's frame, shown as a grid."""


class QueryGrid(_Grid, S3Frame):
    """A query's frame, shown as a grid."""


_GRID_BYTES = "512KB"
"""Beyond this a grid shows the first and last rows, and says so: a server drops messages above 1 MB/s."""


@lru_cache(maxsize=1)
def _grid_widget() -> Any:
    """Return the grid's widget class, whose style also hides snapshots."""
    from itables.widget import ITable

    style = f"{ITable._css}\n{joined_styles([SNAPSHOT_STYLE])}"  # noqa: SLF001 - where anywidget keeps it
    return type("Grid", (ITable,), {"_css": style})


def _arrow_array(column: pd.Series[Any]) -> pa.ChunkedArray:
    # Lists of names: an empty column does not tell its type.
    schema = pa.schema([("", pa.list_(pa.string()))]) if column.dtype == object else None
    return pa.Table.from_pandas(column.to_frame(""), schema, preserve_index=False).column(0)


def _representable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the column, as text if pandas or Python lack its values: intervals, and years outside 1 to 9999."""
    if pa.types.is_interval(column.type):
        return texts(column)
    if pa.types.is_temporal(column.type) and not pa.types.is_time(column.type):
        ends = pc.min_max(column)
        return column if _is_python(ends) else texts(column)
    return column if pa.types.is_primitive(column.type) or _is_python(column[:_CHECKED_ROWS]) else texts(column)


def _is_python(values: Any) -> bool:
    try:
        values.to_pylist() if isinstance(values, pa.ChunkedArray) else values.as_py()
    except (ValueError, OverflowError, TypeError, pa.ArrowException):
        return False
    return True


def description_frame(columns: Sequence[tuple[str, str]], first: pa.Table, dataset: Dataset | None) -> S3Frame:
    """Return the frame of DESCRIBE: one row for each column.

    Args:
        columns: names and types.
        first: the first row, or an empty table.
        dataset: the objects described; None for a table or query.
    """
    hive = {str(each).split(" ", 1)[0] for each in dataset.partitions} if dataset and "=" in dataset.location else set()
    where, _, changes = dataset.drift.partition(": ") if dataset else ("", "", "")
    since = {change[1:] for change in changes.split(", ") if change.startswith("+")}
    rows = []
    for at, (name, kind) in enumerate(columns):
        column = first.column(at)
        is_scalar = len(first) and not pa.types.is_nested(column.type)
        value = texts(column)[0].as_py() if is_scalar else str(column[0]) if len(first) and column[0].is_valid else None
        appears = None if dataset is None else f"from {where} on" if name in since else "in all that were looked at"
        nullable = dataset is None or name not in dataset.required
        rows.append((name, kind, nullable, name in hive, value, appears))
    return frame_of(DESCRIPTION_COLUMNS, rows)


def explanation(answer: QueryResult) -> Message:
    """Return what a query read, and DuckDB's profile of it."""
    through = f" through {', '.join(answer.connections)}" if answer.connections else ""
    read = f"Read from S3: {answer.requests:,} requests, {answer.bytes:,} bytes ({size_text(answer.bytes)}){through}."
    return Message("\n".join([read, *answer.notes, *map(str, answer.table.column(0).to_pylist())]))


def tables_frame(tables: Tables | None, pattern: str | None) -> S3Frame:
    """Return one row for each table."""
    rows = [
        (table.name, *counts, list(table.connections), table.location.uri if table.location else None, table.created_at)
        for table in tables or ()
        if tables is not None and like(pattern, table.name) and (counts := tables.looked_at(table))
    ]
    return frame_of(TABLE_COLUMNS, rows)


_TYPES = {
    "COPY": "COPY FROM S3",
    "INSERT": "INSERT INTO S3",
    "INTO": "INSERT INTO",
    "MERGE": "MERGE INTO",
    "VIEW": "MATERIALIZED VIEW",
}


def jobs_frame(jobs: Iterable[Job], pattern: str | None) -> S3Frame:
    """Return one row for each job, the oldest first."""
    return frame_of(columns_of("SHOW JOBS"), [_row(job) for job in jobs if like(pattern, job.name)])


def _row(job: Job) -> tuple[Any, ...]:
    return (
        job.name,
        _TYPES[job.plan.kind],
        job.through.name if job.through else None,
        job.plan.location.uri if job.plan.location else None,
        job.plan.table or None,
        "paused" if job.paused else job.state,
        job.runs,
        job.objects,
        job.rows,
        job.bytes,
        len({failure.location for failure in job.failures if not failure.resolved}),
        job.violations.total(),
        job.last_run,
        job.created_at,
        job.option("COMMENT"),
    )


_CATALOG_QUERIES = {
    "$tables": """SELECT *, table_catalog AS "catalog", table_schema AS "schema", table_name AS "name",
        NULL::VARCHAR AS created_by, NULL::VARCHAR AS "comment" FROM information_schema.tables""",
    "$columns": """SELECT *, table_catalog AS "catalog", table_schema AS "schema", table_name AS "table",
        column_name AS "name" FROM information_schema.columns""",
}
_EXPECTATIONS = ("job", "expectation", "predicate", "action", "violations", "job_name", "expectation_name")


def session_table(name: str, connections: Iterable[Connection], jobs: Iterable[Job], database: Any) -> Any:
    """Return the session's table that a name such as `$jobs` stands for in a query.

    It has our column names, SQL's and Upsolver's.
    """
    if name in _CATALOG_QUERIES:
        return database.sql(_CATALOG_QUERIES[name]).to_arrow_table()
    if name == "$connections":
        return in_form(connections_frame(list(connections)), "arrow")
    if name == "$jobs":
        table = in_form(jobs_frame(jobs, None), "arrow")
        return table.append_column("name", table["job"]).append_column("job_name", table["job"])
    rows = [
        (job.name, each.name, each.predicate, "drop" if each.drops else "warn", job.violations[each.name])
        for job in jobs
        for each in job.plan.expectations
    ]
    texts_ = [pa.array([row[at] for row in rows], pa.string()) for at in range(4)]
    counts = pa.array([row[4] for row in rows], pa.int64())
    return pa.table([*texts_, counts, *texts_[:2]], list(_EXPECTATIONS))


def errors_frame(job: Job) -> S3Frame:
    """Return one row for each failure, the latest first."""
    rows = [
        (failure.run, failure.failed_at, failure.location, failure.etag or None, failure.error, failure.resolved)
        for failure in reversed(job.failures)
    ]
    return frame_of(columns_of("SHOW JOB"), rows)


def connections_frame(connections: Sequence[Connection]) -> S3Frame:
    """Return one row for each connection, the oldest first."""
    return frame_of(columns_of("SHOW CONNECTIONS"), [_connection_row(connection) for connection in connections])


def _connection_row(connection: Connection) -> tuple[Any, ...]:
    settings, configuration = connection.settings, connection.shown_configuration
    return (
        connection.name,
        "S3",
        settings.credentials_kind,
        connection.identity,
        configuration.signed_region,
        configuration.endpoint.value,
        settings.read_only,
        settings.encryption,
        [location.uri for location in settings.display_filters],
        settings.comment,
        connection.created_at,
        "ok" if connection.findings else "not probed",
    )


def options_frame(connection: Connection) -> S3Frame:
    """Return a row for each option that a connection keeps, and for every other setting that affects its requests."""
    configuration = connection.shown_configuration
    rows = [
        _option_row(option, connection.options.get(option.name), configuration) for option in OPTIONS if option.stored
    ]
    rows += [
        (name, None if setting.value is None else str(setting.value), setting.source, False, meaning)
        for name, setting, meaning in configuration.rows()
    ]
    return frame_of(columns_of("DESCRIBE CONNECTION"), rows, ReferenceFrame)


def _option_row(option: Option, bound: BoundValue | None, configuration: Configuration) -> tuple[Any, ...]:
    if bound is None:
        value, source = configuration.of_option(option.name)
        source = source if value is not None else f"default: {option.default}"
        return option.name, value, source, option.mutable, option.help
    return option.name, _shown_value(bound), bound.source, option.mutable, option.help


def _shown_value(bound: BoundValue) -> str:
    value = bound.value
    if isinstance(value, Secret):
        return "set"
    if isinstance(value, tuple):
        return ", ".join(each.uri if isinstance(each, Location) else str(each) for each in value)
    return str(value).upper() if isinstance(value, bool) else str(value)


def settings_frame(settings: Mapping[str, Any]) -> S3Frame:
    """Return one row for each setting of the session."""
    rows = [(setting.name, setting_text(settings[setting.name]), setting.takes, setting.help) for setting in SETTINGS]
    return frame_of(columns_of("SHOW SETTINGS"), rows, ReferenceFrame)


@dataclass(frozen=True, slots=True, repr=False)
class HelpPage(Message):
    """An entry of HELP: text in a terminal; in a notebook a page whose words link to their entries."""

    page: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return broken(Message.__repr__(self), _terminal_width())

    @interruptible
    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.page}


class HelpFrame(ReferenceFrame):
    """The frame of HELP; a terminal, which has no room for it, shows the overview."""

    def __repr__(self) -> str:
        return broken(overview(), _terminal_width())


def _terminal_width() -> int:
    return min(shutil.get_terminal_size((_HELP_WIDTH, 0)).columns, _HELP_WIDTH)


_HELP_WIDTH = 120


def help_on(topic: str) -> Any:
    """Return a frame of all statements, options and settings, or the entry of one.

    Raises:
        S3ConnError: there is no such entry.
    """
    if not topic:
        rows = [*map(_statement_row, STATEMENTS), *_option_rows(), *_setting_rows()]
        return frame_of(columns_of("HELP"), rows, HelpFrame)
    if text := topic_text(topic):
        return HelpPage(text, help_page(topic) or "")
    names = [statement.name for statement in STATEMENTS]
    near = nearest(topic, [*OPTION_NAMES, *SETTING_NAMES, *names, *KEYWORDS])
    asked = {*topic.upper().split()}
    near = near or max(names, key=lambda name: len(asked & {*name.split()}))
    near = near if asked & {*near.split()} or nearest(topic, [near]) else None
    hint = f"Here: HELP {near};" if near else "HELP; lists them all."
    raise S3ConnError("there is no statement, option or setting of that name", hint=hint)


def _statement_row(statement: Reference) -> tuple[str, str, str]:
    return statement.name, statement.syntax, statement.help


def _option_rows() -> Iterator[tuple[str, str, str]]:
    return ((option.name, f"{option.name} = {option.example}", option.help) for option in OPTIONS)


def _setting_rows() -> Iterator[tuple[str, str, str]]:
    return (
        (setting.name, f"SET {setting.name} = {setting_literal(setting.default)}", setting.help) for setting in SETTINGS
    )
