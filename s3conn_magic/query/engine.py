"""One DuckDB for a session, which reads objects through the session's connections and nothing else of the network."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from s3conn_magic.errors import QueryError
from s3conn_magic.locations import visible
from s3conn_magic.query import judgement, reach, sources
from s3conn_magic.query.definitions import Definitions
from s3conn_magic.query.faults import interrupted, moved, told, translate, unknown_table, visible_lines
from s3conn_magic.query.filesystem import ConnectionFileSystem
from s3conn_magic.query.formats import how_to_read
from s3conn_magic.query.parsing import Mentioned, Tree, is_one_expression, is_one_group, mentioned, parsed
from s3conn_magic.query.tables import Tables
from s3conn_magic.temporary import new_folder, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.query.reading import Reading

_Result = TypeVar("_Result")
_WAKE = 0.1
_STOP_WITHIN = 5.0
# What DuckDB would load from the network, it does not look for; names of Python variables are looked up by `sources`.
_CONFIGURATION = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
_SETTINGS = (
    "SET errors_as_json = true",
    "SET enable_progress_bar = false",
    "SET TimeZone = 'UTC'",
    # It tells objects apart by their time in seconds; within a query ours keeps what was read, by etag.
    "SET enable_external_file_cache = false",
    "SET async_threads = 16",
    # Large ranges come in one piece, and are asked for by several requests here.
    "SET external_file_cache_remote_max_block_size = 67108864",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave, and what it read for it.

    Attributes:
        table: the rows.
        requests: requests to S3.
        bytes: bytes of bodies that came.
        connections: names of the connections that were used.
    """

    table: pa.Table
    requests: int
    bytes: int
    connections: tuple[str, ...]


class Engine:
    """DuckDB, made at the first query, and the tables in it (`tables`).

    Args:
        connection_of: the connection of a name, or the session's own for None.
        variable_of: the value of a Python variable; raises LookupError when there is none.
    """

    def __init__(self, connection_of: Callable[[str | None], Connection], variable_of: Callable[[str], Any]) -> None:
        self.filesystem = ConnectionFileSystem(connection_of)
        self._variable_of = variable_of
        self._database: duckdb.DuckDBPyConnection | None = None
        self._definitions = Definitions()
        self._path = ""
        self._spill: Path | None = None
        self._lock = threading.RLock()
        self._opening = threading.Lock()
        self._watch: Callable[[Reading], None] | None = None
        self.tables = Tables(self)

    @property
    def database(self) -> duckdb.DuckDBPyConnection:
        """The connection to DuckDB."""
        with self._opening:  # the other lock is held by the thread that waits for a query
            if self._database is None:
                self._database = self._open()
            return self._database

    def use(self, path: str) -> None:
        """Keep tables in a file from here on, or in memory for an empty path.

        Raises:
            QueryError: tables are in memory only and would be lost, or the file cannot be opened.
        """
        with self._lock:
            if path == self._path:
                return
            if self._database is not None and not self._path:
                self._check_empty(self._database)
            before, self._path = self._path, path
            old, self._database = self._database, None
            spill, self._spill = self._spill, None
            failure = self._unopened()
            if failure is not None:
                remove(self._spill)
                self._path, self._database, self._spill = before, old, spill
                raise failure
            self.tables.discover()
        if old is not None:
            old.close()
        remove(spill)

    def _check_empty(self, database: duckdb.DuckDBPyConnection) -> None:
        query = "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND schema_name <> 's3conn_magic' ORDER BY 1"
        if names := [visible(name) for (name,) in database.execute(query).fetchall()]:
            raise QueryError(
                f"these tables are in memory only, and would be lost: {', '.join(names)}",
                hint="Drop them first, or set DATABASE before anything is loaded.",
            )

    def _unopened(self) -> QueryError | None:
        """Why the database cannot be opened, if it can't."""
        import duckdb

        try:
            self._database = self._open()
        except duckdb.Error as error:
            said = visible_lines(str(told(error)["exception_message"]))
            return QueryError(f"the file cannot be used as a database: {said}")
        return None

    def _open(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        database = duckdb.connect(self._path or ":memory:", config=dict(_CONFIGURATION))
        for setting in _SETTINGS:
            database.execute(setting)
        with suppress(OSError):  # an empty name has DuckDB spill nothing
            self._spill = new_folder("duckdb")
        spill = str(self._spill or "").replace("'", "''")
        database.execute(f"SET temp_directory = '{spill}'")
        database.register_filesystem(self.filesystem)
        database.execute("SET lock_configuration = true")  # should anything get past the check of queries
        # What a session makes itself is judged when it is made.
        self._definitions = Definitions.of(database) if self._path else Definitions()
        return database

    def mentioned(self, sql: str) -> Mentioned:
        """The names in a query, which is not run.

        Raises:
            QueryError: it cannot be parsed, is no query, or does more than read.
            StatementInterrupted: the user interrupted it.
        """
        with self._lock, self.filesystem.query() as reading:
            return mentioned(self._guarded(lambda: self._judged(sql)[0], sql, "", reading))

    def check(self, sql: str, *, local: bool) -> None:
        """Refuse a query that `query` would refuse before it runs.

        Raises:
            As `query`.
        """

        def check() -> None:
            with self._registered(sql, local=local):
                pass

        with self._lock, self.filesystem.query() as reading:
            self._guarded(check, sql, "", reading)

    def check_expressions(self, texts: Iterable[str], *, local: bool = False) -> None:
        """Refuse texts that are not one expression each, or do more than read; `local` as of `query`.

        Raises:
            As `mentioned`.
        """

        def check() -> None:
            for text in texts:
                # A line of its own: a comment may end the text.
                sql = f"SELECT ({text}\n)"
                if not is_one_expression(self._judged(sql)[0]):
                    raise QueryError("this is not one expression")
                with self._registered(sql, local=local):
                    pass

        with self._lock, self.filesystem.query() as reading:
            self._guarded(check, "", "", reading)

    def query(self, sql: str, *, local: bool = False) -> Answer:
        """Run a query.

        Args:
            sql: the query.
            local: whether it may read files of this machine.

        Raises:
            QueryError: it does more than read, or DuckDB refused it or failed in it; `offset` says where.
            StatementInterrupted: the user interrupted it.
            S3ConnError: what it reads could not be read.
        """
        return self.run(sql, "", lambda: self._table(sql, local=local))

    def execute(self, sql: str, before: str, *, local: bool = False) -> Answer:
        """Run a query as the last part of a statement that begins otherwise, such as `CREATE TABLE t AS`.

        Raises:
            As `query`; offsets are those in `sql`.
        """
        return self.run(sql, before, lambda: self._done(sql, before, local=local))

    def define(self, columns: str, before: str) -> None:
        """Run a statement whose last part is a list of columns, as of CREATE TABLE, in its parentheses.

        Raises:
            As `query`.
        """
        self.run(columns, before, lambda: self._defined(columns, before))

    def explain(self, sql: str, *, local: bool = False) -> Answer:
        """Run a query and say where its time went: a table whose only column is DuckDB's profile.

        Raises:
            As `query`.
        """
        before = "EXPLAIN ANALYZE "
        return self.run(sql, before, lambda: self._done(sql, before, local=local))

    def run(self, sql: str, before: str, work: Callable[[], Any]) -> Answer:
        """Do some work with the database in the scope of one query.

        Args:
            sql: the query whose errors are told.
            before: what stands before it in what is executed.
            work: does it, in another thread.

        Raises:
            As `query`.
        """
        with self._lock, self.filesystem.query() as reading:
            table = self._guarded(work, sql, before, reading)
            return Answer(table, reading.requests, reading.bytes, tuple(sorted(reading.connections)))

    @contextmanager
    def watched(self, watch: Callable[[Reading], None] | None) -> Iterator[None]:
        """Have `watch` told several times a second, in the thread that waits, what a query in the block has read."""
        before, self._watch = self._watch, watch
        try:
            yield
        finally:
            self._watch = before

    def close(self) -> None:
        """Let go of the database and its tables."""
        with self._lock:
            database, self._database = self._database, None
            spill, self._spill = self._spill, None
        if database is not None:
            database.close()
        remove(spill)

    # Running

    def _judged(self, sql: str) -> tuple[Tree, list[tuple[str, Tree]]]:
        """The tree of a query that only reads, and those of what it uses that the database defines, by its name.

        Raises:
            QueryError: it does more than read.
        """
        found = parsed(self.database, sql)
        judgement.check(found, self._definitions.functions)
        behind = list(self._definitions.behind(self.database, found))
        for name, tree in behind:
            with _within(name):
                judgement.check(tree, self._definitions.functions)
        return found, behind

    def _table(self, sql: str, *, local: bool) -> pa.Table:
        with self._registered(sql, local=local) as parameters:
            relation = self.database.sql(sql, params=dict(parameters) or None)
            return relation.to_arrow_table()

    def _done(self, sql: str, before: str, *, local: bool) -> pa.Table:
        import pyarrow as pa

        with self._registered(sql, local=local) as parameters:
            rows = self.database.execute(before + sql, dict(parameters) or None).fetchall()
        return pa.table({"result": [str(row[-1]) for row in rows]})

    def _defined(self, columns: str, before: str) -> None:
        if not is_one_group(columns):
            raise QueryError("the columns are not one list in parentheses")
        self.database.execute(before + columns)

    def count(self, sql: str, before: str, after: str, *, local: bool = False) -> int:
        """Execute a statement around a query, within `run`: the number of rows that DuckDB says it was.

        Raises:
            duckdb.Error, S3ConnError: as it comes; `run` translates them.
        """
        with self._registered(sql, local=local) as parameters:
            ((count, *_),) = self.database.execute(f"{before}{sql}{after}", dict(parameters) or None).fetchall()
        return int(count)

    @contextmanager
    def _registered(self, sql: str, *, local: bool) -> Iterator[Mapping[str, Any]]:
        """Have the Python frames that a query mentions as tables for the length of a block; gives its parameters.

        Raises:
            QueryError: it does more than read, or reads files of this machine and is not `local`.
        """
        query, behind = self._judged(sql)
        found, known = mentioned(query), sources.known_tables(self.database)
        frames = sources.frames(found.tables, known, self._variable_of)
        parameters = sources.parameters(found.parameters, self._variable_of)
        if not local:
            reach.check(query, known, parameters)
            for name, tree in behind:
                with _within(name):
                    reach.check(tree, known, parameters)
        made: list[str] = []
        try:
            for name, frame in frames.items():
                self.database.register(name, frame)
                made.append(name)
            yield parameters
        finally:
            for name in made:
                self.database.unregister(name)

    def _guarded(self, work: Callable[[], _Result], sql: str, before: str, reading: Reading) -> _Result:
        """Do it in a thread of its own, so that the interrupt button works; errors are those of this package."""
        try:
            return self._interruptible(work, reading)
        except KeyboardInterrupt:
            failure: S3ConnError = interrupted()
        except Exception as error:  # noqa: BLE001 - this is the boundary to DuckDB
            failure = translate(moved(self._placed(error, sql, reading), len(before.encode())), sql, reading)
        if (name := unknown_table(failure)) and name.startswith("s3://"):
            failure = _untold(name, sql, failure)
        elif name:
            failure.hint = self._advice(name)
        raise failure

    def _advice(self, name: str) -> str:
        """What to do about a name that is no table."""
        if any(one.declared and one.name.casefold() == name.casefold() for one in self.tables):
            return f"The table {name} has no columns yet: they come with what is loaded into it."
        try:
            value = self._variable_of(name)
        except LookupError:
            return "SHOW TABLES; shows the tables. DataFrames, Polars frames and Arrow tables are found by their names."
        return f"The Python variable {name} is a {type(value).__name__}, which is no table."

    def _interruptible(self, work: Callable[[], _Result], reading: Reading) -> _Result:
        done: Future[_Result] = Future()
        try:
            threading.Thread(target=_into, args=(done, work), name="s3conn-duckdb", daemon=True).start()
            while not done.done():
                with suppress(TimeoutError):
                    done.exception(_WAKE)
                if self._watch is not None:
                    self._watch(reading)
        except BaseException:
            if not done.cancel():
                self._stop(done, reading)
            raise
        return done.result()

    def _stop(self, done: Future[Any], reading: Reading) -> None:
        reading.stop()
        for _ in range(round(_STOP_WITHIN / _WAKE)):
            self.database.interrupt()
            with suppress(TimeoutError):
                done.exception(_WAKE)
            if done.done():
                return

    def _placed(self, error: Exception, sql: str, reading: Reading) -> Exception:
        """The same error with its place: DuckDB's relations leave it out of what they say while binding."""
        import duckdb

        unplaced = isinstance(error, duckdb.Error) and "position" not in told(error)
        if not unplaced or reading.failure or reading.stopped:
            return error
        try:
            with self._registered(sql, local=True) as parameters:
                self.database.execute(f"EXPLAIN {sql}", dict(parameters) or None).fetchall()
        except duckdb.Error as again:
            found = moved(again, len("EXPLAIN "))
            return found if told(found)["exception_message"] == told(error)["exception_message"] else error
        except Exception:  # noqa: BLE001 - the first error counts
            return error
        return error


@contextmanager
def _within(name: str) -> Iterator[None]:
    """Have an error name the definition that it is in, in place of a place."""
    try:
        yield
    except QueryError as error:
        failure = error
    else:
        return
    failure.offset, failure.message = None, f"in {visible(name)} of the database: {failure.message}"
    raise failure


def _untold(name: str, sql: str, failure: S3ConnError) -> QueryError:
    """The error for a path that DuckDB knows no function for."""
    error = QueryError(f"the name of {name} does not tell what format it has", hint=how_to_read(name))
    at = sql.find(f"'{name}'")
    error.offset = at if at >= 0 else getattr(failure, "offset", None)
    return error


def _into(done: Future[_Result], work: Callable[[], _Result]) -> None:
    """What work gives or raises, unless it is called off before it begins."""
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised where the future is read
        done.set_exception(error)
