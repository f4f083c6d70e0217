"""Parse a query with DuckDB's parser, and resolve its names: tables, variables, paths."""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes import CAME, NEWEST
from s3conn_magic.language.words import identifier, table_text
from s3conn_magic.locations import visible
from s3conn_magic.objects.listed import Path
from s3conn_magic.query.failures import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    import duckdb

    from s3conn_magic.lakes import LakeRoot, Moment
    from s3conn_magic.lakes.managed import ManagedTable
    from s3conn_magic.lakes.snapshots import Snapshot
    from s3conn_magic.objects.filesystem import ConnectionFileSystem
    from s3conn_magic.objects.scope import QueryScope

_HALF = re.compile("[\ud800-\udfff]")
_JSON = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]|[^\s,:\[\]{}"]+')
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_PIVOTS = frozenset({"PIVOT", "PIVOT_WIDER"})
_OTHER_QUERY = frozenset({"UNION", "EXCEPT", "INTERSECT", ";"})
_AFTER_COLUMNS = frozenset({"USING", "GROUP", "ORDER", "LIMIT", "OFFSET", "FETCH"})
_OF_ONE = frozenset({"type", "select_list", "from_table", "aggregate_handling"})
_NOWHERE = 2**63


class SqlWord(NamedTuple):
    """A token: its bytes from `start` to `end`, and its text, in upper case unless quoted."""

    start: int
    end: int
    text: str
    is_name: bool = False


@dataclass(frozen=True, slots=True)
class QueryTree:
    """DuckDB's syntax tree of one query.

    Attributes:
        sql: the query.
        root: the statement, as in DuckDB's JSON.
        moved: insertions before parsing: byte and length.
    """

    sql: str
    root: dict[str, Any]
    moved: tuple[tuple[int, int], ...] = ()

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Yield every dict of the tree, outer ones first."""
        return nodes(self.root)

    def parameters(self) -> list[str]:
        """Return the names of `$name` parameters, with repetitions."""
        return [part["identifier"] for part in self.nodes() if part.get("class") == "PARAMETER"]

    def position(self, node: Any) -> int | None:
        """Return the byte of the query where a part of the tree begins, or None."""
        places = [part["query_location"] for part in nodes(node) if part.get("query_location", _NOWHERE) < _NOWHERE]
        if not places:
            return None
        at = int(min(places))
        for where, count in self.moved:
            at -= min(count, max(at - where, 0))
        return at


@dataclass(frozen=True, slots=True)
class Mentioned:
    """Names in a query.

    Attributes:
        tables: unqualified names of tables, as written, in order of first mention.
        placed: qualified names, as `table_text` writes them.
        parameters: names of `$name` parameters.
    """

    tables: tuple[str, ...]
    placed: tuple[str, ...]
    parameters: tuple[str, ...]


def mentioned(tree: QueryTree) -> Mentioned:
    """Return the names in a query, without tables as of another time; nothing is looked up or read."""
    parts = list(tree.nodes())
    every = [part for part in parts if part.get("type") == "BASE_TABLE" and not part.get("at_clause")]
    tables = [part["table_name"] for part in every if not part.get("schema_name")]
    paths = [part["qualified_name"]["path"] for part in every if part.get("schema_name")]
    placed = [table_text(path) for full in paths for path in (full, full[-2:])]
    return Mentioned(*(tuple(dict.fromkeys(names)) for names in (tables, placed, tree.parameters())))


def parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> QueryTree:
    """Parse a query; nothing is looked up or read.

    Raises:
        QueryError: it cannot be parsed, or is not exactly one query.
    """
    if (half := _HALF.search(sql)) is not None:
        before = sql[: half.start()].encode()
        raise refused(sql, "the query contains half a character (a lone surrogate)", len(before), "Delete it.")
    moved: tuple[tuple[int, int], ...] = ()
    answer = _serialized(connection, sql)
    if answer.get("error") and answer.get("error_type") != "parser":
        _check_query(connection, sql)
        answer, moved = _with_values(connection, sql)
    if answer.get("error"):
        raise refused(sql, str(answer.get("error_message")), answer.get("position"))
    if len(answer["statements"]) != 1:
        raise refused(sql, "more than one query", None, "Put each into its own cell, with `;` at the end.")
    return QueryTree(sql, answer["statements"][0], moved)


def _serialized(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """Return the JSON of DuckDB's parser: statements, or the error."""
    ((text,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    try:
        answer: dict[str, Any] = json.loads(text)
    except RecursionError:
        answer = _deep_json(text)
    return answer


def _check_query(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Check that a text is a query; MULTI is a PIVOT that looks up its values first."""
    import duckdb

    kinds = [duckdb.StatementType.SELECT, duckdb.StatementType.MULTI]
    # The parser reports some statements itself; Python's DuckDB lacks the type of some others.
    with suppress(duckdb.Error, ValueError):
        if [statement.type for statement in connection.extract_statements(sql)] in [[kind] for kind in kinds]:
            return
    raise _no_query(sql)


def _with_values(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[dict[str, Any], tuple[tuple[int, int], ...]]:
    """Parse a PIVOT without listed values by inserting some.

    DuckDB has no tree for such a query. After each column without a list one is inserted: `ON year` becomes `ON (year)
    IN ('')`, and a query of values is turned into one of them. All words stay in order, so the tree has them.
    """

    @cache
    def has_none(column: str) -> bool:
        return bool(_serialized(connection, f"PIVOT t ON {column}").get("error"))

    insertions = sorted(_inserted_lists(sql, has_none))
    text, at = bytearray(sql.encode()), 0
    for where, what in insertions:
        text[where + at : where + at] = what
        at += len(what)
    answer = _serialized(connection, text.decode())
    if answer.get("error"):
        raise _without_list(sql) if insertions else _no_query(sql)
    return answer, tuple((where, len(what)) for where, what in insertions)


def _no_query(sql: str) -> QueryError:
    hint = "It can't be part of another statement: end the one before it with `;`."
    return refused(sql, "only a query can be here: SELECT, WITH or FROM", None, hint)


def _without_list(sql: str) -> QueryError:
    hint = "List the values, as in PIVOT t ON year IN (2025, 2026) USING sum(price)."
    return refused(sql, "before it runs, it is unclear whether a PIVOT like this one only reads", None, hint)


def _inserted_lists(sql: str, has_none: Callable[[str], bool]) -> Iterator[tuple[int, bytes]]:
    """Yield what to insert where, for each column of a PIVOT without a list of values."""
    sequence, encoded = words(sql), sql.encode()
    for at, word in enumerate(sequence):
        if word.text in _PIVOTS:
            for column in _columns(sequence, at):
                start, end = column[0].start, column[-1].end
                if not has_none(encoded[start:end].decode()):
                    continue
                if [last.text for last in column[-3:]] == ["IN", "(", ")"]:  # the values come from a query
                    yield column[-2].start, b"('', EXISTS "
                    yield end, b")"
                else:
                    yield start, b"("
                    yield end, b") IN ('')"


def _columns(sequence: Sequence[SqlWord], at: int) -> Iterator[list[SqlWord]]:
    """Yield the columns of the PIVOT at a word, each as its words; an `ON` of a join may precede them."""
    level = list(_level(sequence, at + 1))
    on = max((place for place, word in enumerate(level) if word.text == "ON"), default=None)
    column: list[SqlWord] = []
    for word in level[on + 1 :] if on is not None else ():
        if word.text in _AFTER_COLUMNS:
            break
        if word.text != ",":
            column.append(word)
        elif column:
            yield column
            column = []
    if column:
        yield column


def _level(sequence: Sequence[SqlWord], at: int) -> Iterator[SqlWord]:
    """Yield the words from one on outside parentheses, and the outermost parentheses, up to the query's end."""
    depth = 0
    for word in islice(sequence, at, None):
        depth += word.text in _OPENING
        if depth <= 1 and (word.text in _OPENING or word.text in _CLOSING or not depth):
            if not depth and (word.text in _CLOSING or word.text in _OTHER_QUERY):
                return
            yield word
        depth -= word.text in _CLOSING


def words(sql: str) -> list[SqlWord]:
    """Return the tokens of a query, without comments; each parenthesis is one."""
    import duckdb

    encoded = sql.encode()
    tokens = duckdb.tokenize(sql)
    ends = [*(start for start, _ in tokens[1:]), len(encoded)]
    sequence: list[SqlWord] = []
    for (start, kind), end in zip(tokens, ends, strict=False):
        text = encoded[start:end].decode().rstrip()
        if kind == duckdb.token_type.operator:
            sequence += [
                SqlWord(start + at, start + at + 1, sign) for at, sign in enumerate(text) if not sign.isspace()
            ]
        elif kind != duckdb.token_type.comment:
            is_word = kind in {duckdb.token_type.keyword, duckdb.token_type.identifier} and text[:1] != '"'
            is_name = kind == duckdb.token_type.identifier
            sequence.append(SqlWord(start, start + len(text.encode()), text.upper() if is_word else text, is_name))
    return sequence


def is_one_group(text: str) -> bool:
    """Return whether a text is one parenthesized group."""
    depth, sequence = 0, words(text)
    for at, word in enumerate(sequence):
        depth += (word.text in _OPENING) - (word.text in _CLOSING)
        if depth <= 0 and at < len(sequence) - 1:
            return False
    return bool(sequence) and not depth


def is_one_expression(tree: QueryTree) -> bool:
    """Return whether a query is SELECT of one expression, and nothing else."""
    node = tree.root["node"]
    fields = {name: part for name, part in node.items() if name not in _OF_ONE}
    is_alone = node.get("from_table", {}).get("type") == "EMPTY" and len(node.get("select_list", ())) == 1
    return is_alone and not any(part not in (None, [], {"map": []}) for part in fields.values())


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict of a tree of any depth, outer ones first."""
    todo = [tree]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            yield part
        todo += reversed(list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else [])


def _deep_json(text: str) -> Any:
    """Parse JSON nested deeper than Python's parser allows."""
    open_: list[Any] = [[]]
    keys: list[Any] = [None]
    for match in _JSON.finditer(text):
        piece = match[0]
        if piece in _CLOSING:
            value = open_.pop()
            keys.pop()
        elif piece in _OPENING:
            open_.append({} if piece == "{" else [])
            keys.append(None)
            continue
        else:
            value = json.loads(piece)
        into = open_[-1]
        if isinstance(into, list):
            into.append(value)
        elif keys[-1] is None:
            keys[-1] = value
        else:
            into[keys[-1]], keys[-1] = value, None
    return open_[0][0]


_TABLES = """SELECT lower(database_name), lower(schema_name), lower(table_name) FROM duckdb_tables()
UNION ALL SELECT lower(database_name), lower(schema_name), lower(view_name) FROM duckdb_views()"""
_POLARS = {"DataFrame", "LazyFrame"}
_ARROW = {"Table", "RecordBatch", "RecordBatchReader", "Dataset", "Scanner", "FileSystemDataset", "InMemoryDataset"}


def known_tables(database: duckdb.DuckDBPyConnection) -> set[tuple[str, str, str]]:
    """Return database, schema and name of tables and views, in lower case; they precede variables and paths."""
    return set(database.execute(_TABLES).fetchall())


def frames(
    names: Iterable[str], tables: Collection[tuple[str, str, str]], variable_of: Callable[[str], Any]
) -> dict[str, Any]:
    """Return the Python frames among the names that are not tables."""
    by_name: dict[str, Any] = {}
    known = {name for *_, name in tables}
    for name in names:
        if name.lower() not in known and name.isidentifier():
            try:
                value = variable_of(name)
            except LookupError:
                continue
            frame = _frame(value)
            if frame is not None:
                by_name[name] = frame
    return by_name


def _frame(value: Any) -> Any:
    """Return an object by which DuckDB can read a variable, or None if it is not a frame."""
    pandas = sys.modules.get("pandas")  # an instance exists only if it was imported
    if pandas and isinstance(value, pandas.DataFrame):
        return pandas.DataFrame(value)  # DuckDB recognizes classes by name
    if pandas and isinstance(value, pandas.Series):
        return value.to_frame(name=value.name or "value")
    module, kind = type(value).__module__.partition(".")[0], type(value).__name__
    if module == "polars" and kind in _POLARS:
        return value.collect() if kind == "LazyFrame" else value
    return value if module == "pyarrow" and kind in _ARROW else None


def parameters(names: Iterable[str], variable_of: Callable[[str], Any]) -> dict[str, Any]:
    """Return the values of `$name` parameters: Python variables.

    Raises:
        QueryError: a variable is undefined, or a parameter is a number.
    """
    values = {}
    for name in names:
        try:
            value = variable_of(name)
        except LookupError as error:
            reason = str(error)
        else:
            values[name] = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
            continue
        raise QueryError(f"${name}: {reason}", hint="$name in a query is the value of a Python variable.")
    return values


_METADATA = re.compile(r"(?s)(.*/)(metadata/[^/]*\.metadata\.json(?:\.gz)?)")


class Mention(NamedTuple):
    """A path in a query, the time of its lake table, and a function for the session's own table there, if any."""

    path: str
    moment: Moment | None = None
    managed: Callable[[], ManagedTable] | None = None


def lake_query(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, name: str, mention: Mention
) -> str | None:
    """Return the query of the lake table at a path, or None if there is none.

    If the path may be a file, that is looked up first, unless it is metadata of an Iceberg table.

    Raises:
        S3ConnError: it cannot be read, the path is inside one, or the requested time does not exist.
    """
    from s3conn_magic.lakes.opening import open_snapshot

    path, moment, scope = mention.path, mention.moment, filesystem.scope
    if mention.managed is not None:
        with scope.noting():
            managed = mention.managed()
            snapshot = _pinned(scope, managed.reach.root, moment, managed.snapshot)
        return _registered(database, scope, name, snapshot)
    own, where = _METADATA.fullmatch(path), Path.parse(path)
    may_be = own or moment or not where.location.key or path.endswith("/") or not filesystem.glob(path[len("s3://") :])
    reach = filesystem.lake(own[1] if own else path) if may_be and not where.has_wildcard else None
    if reach is None:
        if moment and not (isinstance(moment.version, str) and where.location.key):
            reason = f"{visible(path)} is not a lake table, and has no earlier versions"
            raise QueryError(reason, hint="Of an object, AT (VERSION => 'id') takes an id of LIST with VERSIONS.")
        return None
    with scope.noting():
        snapshot = _pinned(
            scope,
            reach.root,
            moment or (NEWEST if own else None),
            lambda at: open_snapshot(reach, at, own[2] if own else ""),
        )
    for note in (f"{visible(reach.root.location.uri)} is read as {snapshot.badge}.", *snapshot.notes):
        scope.note(note)
    scope.missing = None
    return _registered(database, scope, name, snapshot)


def _pinned(scope: QueryScope, root: LakeRoot, moment: Moment | None, at: Callable[[Moment], Snapshot]) -> Snapshot:
    """Return the snapshot at a time; during a job the latest one when the run began to read."""
    if moment is None and scope.watermarks is not None:
        pinned: Snapshot = scope.watermarks.pin(root, lambda: at(NEWEST))
        return pinned
    return at(moment or NEWEST)


def _registered(database: duckdb.DuckDBPyConnection, scope: QueryScope, name: str, snapshot: Snapshot) -> str:
    """Register the rows of a snapshot, and return the query of them; late rows get the time of this run."""
    import pyarrow.dataset as ds

    from s3conn_magic.lakes.snapshots import LakeRows

    rows, state = LakeRows(snapshot, scope.noting), identifier(f"{name} (state)")
    database.register(f"{name} (state)", rows)
    late = scope.watermarks.late(snapshot) if scope.watermarks is not None else None
    if late is None or not rows.may_have((ds.field(CAME) > late[0]) & (ds.field(CAME) < late[1])):
        return f"FROM {state}"
    (low, high), came = (f"TIMESTAMP '{at.as_py():%Y-%m-%d %H:%M:%S.%f}'" for at in late), identifier(CAME)
    own = f"CASE WHEN {came} > {low} AND {came} < {high} THEN {high} ELSE {came} END"
    return f"SELECT * REPLACE ({own} AS {came}) FROM {state}"  # noqa: S608 - quoted names, and times
