"""A DuckDB database per session, which reads objects through the session's connections only."""

from __future__ import annotations

import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from s3conn_magic.errors import QueryError
from s3conn_magic.locations import Pasted, pasted, visible
from s3conn_magic.objects.filesystem import ConnectionFileSystem
from s3conn_magic.objects.scope import QueryScope
from s3conn_magic.query import failures, judgement, names
from s3conn_magic.query.failures import by_all_records
from s3conn_magic.query.judgement import Definitions
from s3conn_magic.query.line_rows import listings
from s3conn_magic.query.names import Mentioned, QueryTree, is_one_expression, is_one_group, mentioned, parsed
from s3conn_magic.query.paths import check_forms, paths_of, views
from s3conn_magic.query.sql import OF_THE_SESSION, literal, of_the_session, travelling, with_other_names
from s3conn_magic.query.tables import QueryResult, Tables, attach_noted
from s3conn_magic.runtime.background import leave_to_parent, new_lock, renew_in_child
from s3conn_magic.runtime.temporary import new_folder, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.objects.listed import Path as S3Path

_Result = TypeVar("_Result")
_WAKE, _STOP_WITHIN = 0.1, 5.0
# No extensions from the network; Python variables are resolved by `names`.
_CONFIGURATION = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
_SETTINGS = (
    "SET GLOBAL errors_as_json = true; SET GLOBAL TimeZone = 'UTC'",
    # It identifies objects by modification time in seconds; our cache uses ETags.
    "SET GLOBAL enable_external_file_cache = false",
    "SET GLOBAL async_threads = 16",
    # Large ranges are requested at once, and split into several requests here.
    "SET GLOBAL external_file_cache_remote_max_block_size = 67108864",
)


@dataclass(frozen=True, slots=True)
class _Database:
    """An open database.

    Attributes:
        connection: parent of all cursors.
        definitions: macros, views and defaults of a database file.
        spill: folder for data that exceeds memory.
    """

    connection: duckdb.DuckDBPyConnection
    definitions: Definitions
    spill: Path | None

    def cursor(self) -> duckdb.DuckDBPyConnection | None:
        """Return a new cursor, or None if a defect of DuckDB has invalidated the database."""
        import duckdb

        cursor = self.connection.cursor()
        try:
            cursor.execute("SELECT 1").fetchall()
        except duckdb.FatalException:
            return None
        return cursor

    def close(self) -> None:
        self.connection.close()
        remove(self.spill)


class Turn:
    """One use of the database: its own cursor, created on demand, and what is read by it.

    Everything a cursor has begun ends with it: a transaction, and the frames and macros registered with it.

    Args:
        open_cursor: creates the cursor.
        alone: whether no other `alone` turn runs at the same time.
    """

    def __init__(self, open_cursor: Callable[[], duckdb.DuckDBPyConnection], *, alone: bool = True) -> None:
        self.alone = alone
        self.scope = QueryScope()
        self._open_cursor = open_cursor
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._settling = False
        self._stopping = threading.Lock()

    @property
    def database(self) -> duckdb.DuckDBPyConnection:
        """The cursor."""
        if self._cursor is None:
            self._cursor = self._open_cursor()
        return self._cursor

    def stop(self) -> None:
        """Interrupt what is running; called from another thread, without effect on other turns."""
        self.scope.stop()
        with self._stopping:
            if self._cursor is not None and not self._settling:
                self._cursor.interrupt()

    def settle(self) -> duckdb.DuckDBPyConnection:
        """Return the cursor for final notes of a stopped turn, which are not interrupted."""
        with self._stopping:
            self._settling = True
        with suppress(Exception):  # usually no transaction is open
            self.database.rollback()
        return self.database

    def close(self) -> None:
        """Roll back what was not committed."""
        with self._stopping:
            cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()


class _Own(threading.local):
    """What a thread is running."""

    turn: Turn | None = None
    watch: Callable[[QueryScope], None] | None = None


class QueryEngine:
    """DuckDB, opened at the first query, and its tables (`tables`).

    DuckDB is called only in this engine's threads, which get no interrupts, each with its own cursor. Whatever changes
    tables or reads objects takes turns, because DuckDB's reader threads do not say for which cursor they read. Looking
    at the database does not wait.

    Args:
        connection_of: returns the connection of a path, named or not.
        variable_of: returns the value of a Python variable, or raises LookupError.
    """

    def __init__(self, connection_of: Callable[[S3Path], Connection], variable_of: Callable[[str], Any]) -> None:
        self.filesystem = ConnectionFileSystem(connection_of)
        self._variable_of = variable_of
        self.pasted: Callable[[str], Pasted] = pasted
        self.shown: Mapping[str, Callable[[], pa.Table]] = {}
        self._database: _Database | None = None
        self.path = ""
        self._turns = new_lock()
        self._opening = new_lock()
        self._own = _Own()
        self.tables = Tables(self)
        renew_in_child(self)

    def renew(self) -> None:
        """Abandon the parent's database after a fork: its threads do not exist in the child."""
        if self._database is not None:
            # It must never be closed here, not even at exit, which would wait for those threads.
            leave_to_parent(self._database)
        self._database = None
        self._own = _Own()
        self.tables.clear()

    @property
    def database(self) -> duckdb.DuckDBPyConnection:
        """The cursor of this thread's turn; outside of one, a new cursor for the caller."""
        return self._own.turn.database if self._own.turn is not None else self._cursor()

    def settle(self) -> duckdb.DuckDBPyConnection:
        """Return the same as `Turn.settle`, for this thread's turn.

        Raises:
            RuntimeError: it has none.
        """
        if self._own.turn is None:
            raise RuntimeError("the database is used outside of a turn")
        return self._own.turn.settle()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        database = self._opened_database()
        if (cursor := database.cursor()) is not None:
            return cursor
        with self._opening:
            if self._database is database:
                database.close()
                self._database = self._open(self.path)
                self.tables.discover(self._database.connection)
        return self._opened_database().connection.cursor()

    def is_alive(self) -> bool:
        """Return whether the database still answers after a defect of DuckDB."""
        return self._opened_database().cursor() is not None

    def _opened_database(self) -> _Database:
        with self._opening:
            if self._database is None:
                self._database = self._open(self.path)
            return self._database

    @contextmanager
    def turn(self, turn: Turn | None = None) -> Iterator[Turn]:
        """Take a turn in this thread, with the database and its filesystem; the thread gets no interrupts."""
        with self._turns, self._having(turn or Turn(self._cursor)) as own, self.filesystem.query(own.scope):
            yield own

    @contextmanager
    def _having(self, turn: Turn) -> Iterator[Turn]:
        self._own.turn = turn
        try:
            yield turn
        finally:
            self._own.turn = None
            turn.close()

    def use(self, path: str) -> None:
        """Keep tables in a file from now on, or in memory for an empty path.

        Raises:
            QueryError: tables in memory would be lost, or the file cannot be opened.
        """
        self.alone(lambda: self._used(path))

    def _used(self, path: str) -> None:
        if path == self.path:
            return
        if self._database is not None and not self.path:
            self._check_empty(self.database)
        if isinstance(opened := self._opened(path), QueryError):
            raise opened
        self.tables.discover(opened.connection)
        with self._opening:
            old, self._database, self.path = self._database, opened, path
        if old is not None:
            old.close()

    def _check_empty(self, database: duckdb.DuckDBPyConnection) -> None:
        query = "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND schema_name <> 's3conn_magic' ORDER BY 1"
        if names := [visible(name) for (name,) in database.execute(query).fetchall()]:
            raise QueryError(
                f"these tables are only in memory, and would be lost: {', '.join(names)}",
                hint="Drop them first, or set DATABASE before anything is loaded.",
            )

    def _opened(self, path: str) -> _Database | QueryError:
        """Return an open database, or the error."""
        import duckdb

        try:
            return self._open(path)
        except duckdb.Error as error:
            message = failures.visible_lines(str(failures.details_of(error)["exception_message"]))
        return QueryError(f"the file cannot be used as a database: {message}", hint="SET DATABASE takes another one.")

    def _open(self, path: str) -> _Database:
        import duckdb

        database = duckdb.connect(path or ":memory:", config=dict(_CONFIGURATION))
        for setting in _SETTINGS:
            database.execute(setting)
        folder: Path | None = None
        with suppress(OSError):  # with an empty name, DuckDB does not spill
            folder = new_folder("duckdb")
        database.execute(f"SET temp_directory = {literal(str(folder or ''))}")
        database.register_filesystem(self.filesystem)
        if path:
            attach_noted(database, path)
        database.execute("SET lock_configuration = true")  # in case something passes the check of queries
        # Definitions of the session are checked when they are created.
        return _Database(database, Definitions.of(database) if path else Definitions(), folder)

    def mentioned(self, sql: str) -> Mentioned:
        """Return the names in a query without running it.

        Raises:
            QueryError: it cannot be parsed, is not a query, or does more than read.
            StatementInterrupted: the user interrupted it.
        """
        return self.look(lambda _: mentioned(self._judged(sql)[0]), sql)

    def check(self, sql: str, *, local: bool) -> None:
        """Check a query as `query` would before running it.

        Raises:
            As `query`.
        """
        self.look(lambda _: self._checked(sql, local=local), sql)

    def check_expressions(self, texts: Iterable[str], *, local: bool = False) -> None:
        """Check that texts are one expression each, and only read; `local` as in `query`.

        Raises:
            As `mentioned`.
        """
        for text in texts:
            # On its own line, because a comment may end the text.
            self.look(partial(self._checked_expression, f"SELECT ({text}\n)", local=local))

    def query(self, sql: str, *, local: bool = False) -> QueryResult:
        """Run a query.

        Args:
            sql: the query.
            local: whether it may read files of this machine.

        Raises:
            QueryError: it does more than read, or DuckDB refused it or failed; `offset` is the place.
            StatementInterrupted: the user interrupted it.
            S3ConnError: its sources could not be read.
        """
        return self.run(sql, "", lambda: self._table(sql, local=local))

    def execute(self, sql: str, before: str, *, local: bool = False) -> QueryResult:
        """Run a statement that ends with a query, such as `CREATE TABLE t AS`.

        Raises:
            As `query`; offsets are those in `sql`.
        """
        return self.run(sql, before, lambda: self._done(sql, before, local=local))

    def define(self, columns: str, before: str) -> None:
        """Run a statement that ends with a parenthesized list of columns, as CREATE TABLE does.

        Raises:
            As `query`.
        """
        self.run(columns, before, lambda: self._defined(columns, before))

    def run(self, sql: str, before: str, work: Callable[[], Any]) -> QueryResult:
        """Run work on the database in the scope of a query.

        Args:
            sql: query that errors refer to.
            before: text before it in the executed statement.
            work: runs in another thread.

        Raises:
            As `query`.
        """
        return self.alone(partial(self._answered, work), sql, before)

    def _answered(self, work: Callable[[], Any]) -> QueryResult:
        scope, table = self.filesystem.scope, work()
        return QueryResult(table, scope.requests, scope.bytes, tuple(sorted(scope.connections)), tuple(scope.notes))

    def alone(self, work: Callable[[], _Result], sql: str = "", before: str = "") -> _Result:
        """Return the result of work within a turn, which nested work shares. Arguments as in `run`.

        Raises:
            As `query`.
        """
        if self._own.turn is not None:
            if not self._own.turn.alone:
                raise RuntimeError("what only looks changes nothing")
            return self._translated(work, sql, before, self._own.turn)
        turn = Turn(self._cursor)
        return self._interruptible(lambda: self._translated(work, sql, before, turn), turn, self.turn)

    def look(self, work: Callable[[duckdb.DuckDBPyConnection], _Result], sql: str = "") -> _Result:
        """Return the result of work that changes nothing and reads no object, without waiting for a turn.

        Raises:
            As `query`.
        """
        turn = self._own.turn or Turn(self._cursor, alone=False)
        attempt = partial(self._translated, lambda: work(turn.database), sql, "", turn)
        return attempt() if turn is self._own.turn else self._interruptible(attempt, turn, self._having)

    @contextmanager
    def watched(self, watch: Callable[[QueryScope], None] | None) -> Iterator[None]:
        """During a block, call `watch` several times a second, in the waiting thread, with the scope of the query."""
        before, self._own.watch = self._own.watch, watch
        try:
            yield
        finally:
            self._own.watch = before

    def close(self) -> None:
        """Close the database."""
        with self._opening:
            database, self._database = self._database, None
        if database is not None:
            database.close()

    # Running

    def _judged(self, sql: str) -> tuple[QueryTree, list[tuple[str, QueryTree]]]:
        """Return the tree of a query that only reads, and those of the definitions it uses, by name.

        Raises:
            QueryError: it does more than read.
        """
        database, definitions = self.database, self._opened_database().definitions
        tree = parsed(database, sql)
        judgement.check(tree, definitions.functions)
        used = list(definitions.behind(database, tree))
        for name, other in used:
            with failures.naming_definition(name):
                judgement.check(other, definitions.functions)
        return tree, used

    def _checked(self, sql: str, *, local: bool) -> None:
        with self._registered(sql, local=local, reads=False):
            pass

    def _checked_expression(self, sql: str, _: duckdb.DuckDBPyConnection, *, local: bool) -> None:
        if not is_one_expression(self._judged(sql)[0]):
            raise QueryError("this is not one expression", hint="Write one condition, such as total > 0.")
        self._checked(sql, local=local)

    def _table(self, sql: str, *, local: bool) -> pa.Table:
        return by_all_records(self.filesystem.scope, lambda: self._table_once(sql, local=local))

    def _table_once(self, sql: str, *, local: bool) -> pa.Table:
        with self._registered(sql, local=local) as (text, parameters):
            return self.database.sql(text, params=dict(parameters) or None).to_arrow_table()

    def _done(self, sql: str, before: str, *, local: bool) -> pa.Table:
        return by_all_records(self.filesystem.scope, lambda: self._done_once(sql, before, local=local))

    def _done_once(self, sql: str, before: str, *, local: bool) -> pa.Table:
        import pyarrow as pa

        with self._registered(sql, before, local=local) as (text, parameters):
            rows = self.database.execute(before + text, dict(parameters) or None).fetchall()
        return pa.table({"result": [str(row[-1]) for row in rows]})

    def _defined(self, columns: str, before: str) -> None:
        if not is_one_group(columns):
            raise QueryError("the columns are not one list in parentheses", hint="Write (id BIGINT, name VARCHAR).")
        self.database.execute(before + columns)

    def columns(self, sql: str, *, local: bool = False) -> tuple[list[str], list[Any]]:
        """Return names and DuckDB's types of a query's columns, within `run`; it is bound, but not executed."""

        def bound() -> tuple[list[str], list[Any]]:
            with self._registered(sql, local=local) as (text, parameters):
                relation = self.database.sql(text, params=dict(parameters) or None)
                return relation.columns, relation.types

        return by_all_records(self.filesystem.scope, bound)

    def count(self, sql: str, before: str, after: str, *, local: bool = False) -> int:
        """Execute a statement around a query, within `run`; return DuckDB's number of rows.

        Raises:
            duckdb.Error, S3ConnError: untranslated; `run` translates them.
        """
        with self._registered(sql, local=local) as (text, parameters):
            ((count, *_),) = self.database.execute(f"{before}{text}{after}", dict(parameters) or None).fetchall()
        return int(count)

    @contextmanager
    def _registered(self, sql: str, before: str = "", *, local: bool, reads: bool = True) -> Iterator[tuple[str, Any]]:
        """Register what a query mentions during a block; yield the query to run, and its parameters.

        Python frames are registered by name, and paths of formats that DuckDB does not detect become views.

        Args:
            sql: the query.
            before: as in `run`.
            local: whether it may read files of this machine.
            reads: whether it is run in the block; otherwise objects are not inspected.

        Raises:
            QueryError: it does more than read, or reads files of this machine without `local`.
        """
        query, used = self._judged(sql)
        uses, known = mentioned(query), names.known_tables(self.database)
        frames = names.frames(uses.tables, known, self._variable_of)
        parameters = names.parameters(uses.parameters, self._variable_of)
        check_forms(query, self.pasted)
        if not local:
            judgement.check_reach(query, known, parameters)
            for name, tree in used:
                with failures.naming_definition(name):
                    judgement.check_reach(tree, known, parameters)
        if reads:
            judgement.note_samples(query, self.filesystem.scope)
            self.filesystem.scope.text = "\n".join([before + sql, *(tree.sql for _, tree in used)])
        registered: list[str] = []
        try:
            frames |= {table.stands: self.shown[table.stands]() for table in of_the_session(query)}
            for name, frame in frames.items():
                self.database.register(name, frame)
                registered.append(name)
            travels = travelling(self.database, query, parameters) if reads else ()
            paths = paths_of(uses, self.tables, travels, self.pasted) if reads else {}
            of_listings = listings(self.database, self.filesystem, query if reads else None, parameters)
            with views(self.database, self.filesystem, paths), of_listings:
                yield with_other_names(query, travels, parameters)
        finally:
            for name in registered:
                self.database.unregister(name)

    def _translated(self, work: Callable[[], _Result], sql: str, before: str, turn: Turn) -> _Result:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - this is the boundary to DuckDB
            placed = self._placed(error, sql, turn.scope)
            moved = failures.moved_error(placed, len(before.encode()))
            failure = failures.translate(moved, sql, turn.scope, self.is_alive)
        if (name := failures.unknown_table(failure)) and name.startswith("s3://"):
            failure = failures.unknown_format(name, sql, failure)
        elif name and not failure.hint.startswith("Did you mean"):
            failure.hint = failures.session_table(sql, failure, OF_THE_SESSION) or self._advice(name)
        elif failure.subject and isinstance(failure, QueryError) and failure.offset is None:
            failure.offset = failures.place_of(sql, failure.subject)
        raise failure

    def _advice(self, name: str) -> str:
        """Return a hint for a name that is not a table."""
        if any(table.declared and table.name.casefold() == name.casefold() for table in self.tables):
            return f"The table {name} has no columns yet: they come with what is loaded into it."
        try:
            value = self._variable_of(name)
        except LookupError:
            return "SHOW TABLES; shows the tables. DataFrames, Polars frames and Arrow tables are found by their names."
        return f"The Python variable {name} is a {type(value).__name__}, which is not a table."

    def _interruptible(
        self, work: Callable[[], _Result], turn: Turn, having: Callable[[Turn], AbstractContextManager[Turn]]
    ) -> _Result:
        """Run work in its own thread, so that interrupts work and DuckDB never gets them."""
        done: Future[_Result] = Future()

        def run() -> None:
            # The turn ends, and its resources are released, before the result is visible.
            try:
                with having(turn):
                    result = work() if done.set_running_or_notify_cancel() else None
            except BaseException as error:  # noqa: BLE001 - raised where the future is read
                _end(done, error=error)
            else:
                _end(done, result)

        try:
            threading.Thread(target=run, name="s3conn-duckdb", daemon=True).start()
            while not done.done():
                with suppress(TimeoutError):
                    done.exception(_WAKE)
                if self._own.watch is not None:
                    self._own.watch(turn.scope)
        except KeyboardInterrupt:
            self._stop(done, turn)
        except BaseException:
            self._stop(done, turn)
            raise
        else:
            if self._own.watch is not None:  # also for quick queries
                self._own.watch(turn.scope)
            return done.result()
        raise failures.interrupted()

    def _stop(self, done: Future[Any], turn: Turn) -> None:
        """Cancel work; if it has begun, wait a few seconds for its end."""
        if done.cancel():
            return
        for _ in range(round(_STOP_WITHIN / _WAKE)):
            turn.stop()
            with suppress(TimeoutError):
                done.exception(_WAKE)
            if done.done():
                return

    def _placed(self, error: Exception, sql: str, scope: QueryScope) -> Exception:
        """Return the error with its place, which DuckDB's relations omit while binding."""
        import duckdb

        unplaced = isinstance(error, duckdb.Error) and "position" not in failures.details_of(error)
        if not unplaced or scope.failure or scope.stopped:
            return error
        try:
            with self._registered(sql, local=True) as (text, parameters):
                self.database.execute(f"EXPLAIN {text}", dict(parameters) or None).fetchall()
        except duckdb.Error as again:
            placed = failures.moved_error(again, len("EXPLAIN "))
            message, first = (failures.details_of(each)["exception_message"] for each in (placed, error))
            return placed if message == first else error
        except Exception:  # noqa: BLE001 - the first error counts
            return error
        return error


def _end(done: Future[Any], result: Any = None, error: BaseException | None = None) -> None:
    """Set the result of a future that was not cancelled."""
    if not done.cancelled():
        with suppress(InvalidStateError):
            done.set_exception(error) if error is not None else done.set_result(result)
