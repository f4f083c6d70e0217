"""Check that a query only reads, by an allow-list (`judged.toml`) over DuckDB's syntax tree."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.language.session_settings import REACH
from s3conn_magic.language.words import nearest
from s3conn_magic.locations import looks_pasted, visible
from s3conn_magic.query.failures import pointed
from s3conn_magic.query.names import nodes, parsed, words
from s3conn_magic.query.sql import REFUSED
from s3conn_magic.query.text_rows import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import duckdb

    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.names import QueryTree

_ANOTHER_WAY = "CREATE [OR REPLACE] TABLE … AS query; rebuilds a table."
_WRITES = {
    "COPY": "CREATE JOB … AS INSERT INTO S3 … query; writes the result of a query to S3.",
    "INSERT": "CREATE JOB … AS COPY FROM S3 … INTO table; loads a table. " + _ANOTHER_WAY,
    "UPDATE": _ANOTHER_WAY,
    "DELETE": _ANOTHER_WAY,
    "TRUNCATE": "DROP TABLE name; removes a table. " + _ANOTHER_WAY,
    "MERGE": _ANOTHER_WAY,
}
_NOTHING_RUN = "Nothing was run. Leave it out."
_NODE = "_QUERY_NODE"


class Functions(NamedTuple):
    """Judged functions of a kind, or names of their arguments.

    Attributes:
        reads: those that only read.
        refused: those that do not.
        instead: replacements for some of them.
    """

    reads: frozenset[str]
    refused: frozenset[str]
    instead: Mapping[str, str]


class Judged(NamedTuple):
    """Contents of `judged.toml`.

    Attributes:
        kinds: of nodes other than expressions.
        classes: of expressions.
        fields: of nodes.
        expressions: functions in expressions.
        tables: functions in FROM.
        arguments: of the functions in FROM.
        files: functions in FROM whose first argument is a path.
        named: those whose first argument is the name of a table or file.
    """

    kinds: frozenset[str]
    classes: frozenset[str]
    fields: frozenset[str]
    expressions: Functions
    tables: Functions
    arguments: Functions
    files: frozenset[str]
    named: frozenset[str]


@cache
def judged() -> Judged:
    """Return the judgements, read once."""
    tables = tomllib.loads(files(__package__).joinpath("judged.toml").read_text(encoding="utf-8"))
    node, table = tables["nodes"], tables["tables"]
    return Judged(
        kinds=_set_of(node["reads"]),
        classes=_set_of(node["expressions"]),
        fields=_set_of(node["fields"]),
        expressions=_functions(tables["expressions"], "reads", "ours"),
        tables=_functions(table, "reads", "files", "named", "ours"),
        arguments=_functions(tables["arguments"], "reads", "ours"),
        files=_set_of(table["files"]) | _set_of(table["ours"]),
        named=_set_of(table["named"]),
    )


def function_names() -> tuple[str, ...]:
    """Return the names of the functions that a query may call, without operators."""
    names = judged().expressions.reads | judged().tables.reads
    return tuple(sorted(name for name in names if name.isidentifier() and not name.startswith("_")))


def _set_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _functions(table: Mapping[str, Any], *reads: str) -> Functions:
    known = {name.lower() for each in reads for name in table[each].split()} | set(table.get("spaced", ()))
    return Functions(frozenset(known), _set_of(table["refused"]), table.get("instead", {}))


def check(tree: QueryTree, defined: Iterable[str] = ()) -> None:
    """Check that a query only reads.

    Args:
        tree: of the query.
        defined: functions that the database defines, in lower case; they are judged by their own trees.

    Raises:
        QueryError: a part of it is not known to only read; `offset` is its place.
    """
    known, own = judged(), frozenset(defined)
    of_tables: dict[int, Mapping[str, Any]] = {}
    for node in tree.nodes():
        _check_kind(tree, node, known)
        if node.get("type") == "TABLE_FUNCTION":
            of_tables[id(node["function"])] = node
            _check_arguments(tree, node, known)
        if "function_name" in node and node["function_name"].lower() not in own:
            around = of_tables.get(id(node))
            _check_function(tree, node, around or node, known.tables if around else known.expressions)


def _check_kind(tree: QueryTree, node: Mapping[str, Any], known: Judged) -> None:
    kind, of = node.get("type"), node.get("class")
    if of is not None and of not in known.classes:
        raise _unknown(tree, node, str(of))
    if of is None and isinstance(kind, str) and kind not in known.kinds:
        raise _statement_inside(tree, kind) if kind.endswith(_NODE) else _unknown(tree, node, kind)
    if more := node.keys() - known.fields:
        raise _unknown(tree, node, min(more))


def _unknown(tree: QueryTree, node: Any, part: str) -> QueryError:
    hint = "A query may only read, so it is refused."
    return pointed(tree.sql, f"{visible(part)} in a query may do more than read", tree.position(node), hint)


def _statement_inside(tree: QueryTree, kind: str) -> QueryError:
    """Return the error for a statement within a query, located by its first word: the tree has no place for it."""
    statement = kind.removesuffix(_NODE)
    wanted = {statement, "TRUNCATE"} if statement == "DELETE" else {statement}
    sequence = words(tree.sql)
    places = [after for before, after in pairwise(sequence) if before.text == "(" and after.text in wanted]
    word = places[0] if places else None
    shown = word.text if word else statement
    message = f"{shown} is inside the query, and a query may only read"
    return pointed(tree.sql, message, word.start if word else None, _WRITES.get(shown, _NOTHING_RUN))


def _check_function(tree: QueryTree, node: Mapping[str, Any], around: Mapping[str, Any], known: Functions) -> None:
    name = node["function_name"].lower()
    if name in known.reads:
        return
    where = tree.position(around)
    if name in known.refused:
        message = f"{visible(name)}() {REFUSED}"
        raise pointed(tree.sql, message, where, known.instead.get(name, _NOTHING_RUN))
    near = nearest(name, sorted(function for function in known.reads if function.isidentifier()))
    hint = f"Did you mean {near}?" if near else "FROM duckdb_functions() lists the functions."
    raise pointed(tree.sql, f"{visible(name)}() is not among the functions that only read", where, hint)


# Arguments of readers of others, as DuckDB calls them.
_MEANT = {"escapechar": "escape", "has_header": "header", "na_values": "nullstr", "quotechar": "quote"}
_MEANT |= dict.fromkeys(("skiprows", "skip_rows", "skip_lines"), "skip")


def _check_arguments(tree: QueryTree, node: Mapping[str, Any], known: Judged) -> None:
    function = node["function"]
    if function["function_name"].lower() not in known.tables.reads:
        return
    for (name, _), written in zip(arguments(function), function["arguments"], strict=True):
        if name and name not in known.arguments.reads:
            part = f"{visible(name)} of {visible(function['function_name'])}()"
            words_ = REFUSED if name in known.arguments.refused else "is not among the arguments that only read"
            near = _MEANT.get(name) or nearest(name, sorted(known.arguments.reads))
            hint = f"Did you mean {near}?" if near else "Leave it out, or look up what DuckDB calls it."
            hint = known.arguments.instead.get(name, hint)
            raise pointed(tree.sql, f"{part} {words_}", tree.position(written), hint)


def arguments(function: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a function in FROM: name in lower case (or empty) and value."""
    for argument in function["arguments"]:
        value = argument["expression"]
        if not argument["name"] and value["type"] == "COMPARE_EQUAL" and value["left"]["class"] == "COLUMN_REF":
            yield ".".join(value["left"]["column_names"]).lower(), value["right"]
        else:
            yield argument["name"].lower(), value


def names_of(tree: Any) -> Iterator[tuple[str, str]]:
    """Yield what a tree names and a database may define: `function` or `table`, and the name in lower case."""
    for node in nodes(tree):
        if "function_name" in node:
            yield "function", node["function_name"].lower()
        if "table_name" in node:
            yield "table", node["table_name"].lower()
        if node.get("function_name", "").lower() in judged().named:
            yield from (("table", table.lower()) for _, value in arguments(node) for table in named_by(value))


def named_by(value: Mapping[str, Any]) -> list[str]:
    """Return the names in an argument that is a table, written as text or like a column."""
    if value["class"] == "CONSTANT":
        return [str(value["literal"].get("text", ""))]
    return [str(part) for part in value["column_names"]] if value["class"] == "COLUMN_REF" else []


_FUNCTIONS = """SELECT lower(function_name), function_type, macro_definition
FROM duckdb_functions() WHERE NOT internal"""
_VIEWS = "SELECT lower(view_name), sql FROM duckdb_views() WHERE NOT internal"
# Defaults are included: DuckDB does not distinguish them from generated columns.
_COMPUTED = """SELECT lower(c.table_name), c.column_default FROM duckdb_columns() AS c
JOIN duckdb_tables() AS t USING (database_oid, schema_oid, table_oid)
WHERE c.column_default IS NOT NULL AND contains(t.sql, 'GENERATED ALWAYS AS')"""


@dataclass(frozen=True, slots=True)
class Definitions:
    """SQL of defined names, by kind (`function`, `table`) and name in lower case; empty if it is not SQL."""

    texts: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, database: duckdb.DuckDBPyConnection) -> Definitions:
        """Return the definitions of a database."""
        definitions = cls()
        for name, kind, text in database.execute(_FUNCTIONS).fetchall():
            definitions._add("function", name, text if kind == "table_macro" else text and f"SELECT ({text})")
        for name, sql in database.execute(_VIEWS).fetchall():
            definitions._add("table", name, _query_of(sql))
        for name, text in database.execute(_COMPUTED).fetchall():
            definitions._add("table", name, f"SELECT ({text})")
        return definitions

    def _add(self, kind: str, name: str, text: str | None) -> None:
        self.texts.setdefault((kind, name), []).append(text or "")

    @property
    def functions(self) -> frozenset[str]:
        """Names of the defined functions."""
        return frozenset(name for kind, name in self.texts if kind == "function")

    def behind(self, database: duckdb.DuckDBPyConnection, tree: QueryTree) -> Iterator[tuple[str, QueryTree]]:
        """Yield the definitions that a query uses, directly or not: name and tree.

        Raises:
            QueryError: a definition cannot be inspected.
        """
        todo, visited = [tree], set[tuple[str, str]]()
        while todo:
            for name in set(names_of(todo.pop().root)) & self.texts.keys() - visited:
                visited.add(name)
                for text in self.texts[name]:
                    used = _tree(database, name[1], text)
                    todo.append(used)
                    yield name[1], used


def _tree(database: duckdb.DuckDBPyConnection, name: str, text: str) -> QueryTree:
    try:
        return parsed(database, text)
    except QueryError:
        pass
    message = f"{visible(name)} of the database cannot be inspected, and may do more than read"
    raise QueryError(message, hint="Create it again with CREATE OR REPLACE, or leave it out of the query.")


def _query_of(sql: str) -> str:
    depth = 0
    for word in words(sql):
        depth += (word.text in {"(", "["}) - (word.text in {")", "]"})
        if word.text == "AS" and not depth and not word.is_name:
            return sql.encode()[word.end :].decode().rstrip().rstrip(";")
    return ""


_SCHEME = "s3://"
# Characters of paths: DuckDB takes a name that ends like a file for a path, so a dot is one.
_OF_PATHS = frozenset("./\\:~")
_PATHS = frozenset({"", "path", "paths", "file", "pattern", "source"})
_LISTS = frozenset({"list_value", "list_pack", "array_value"})
_JOINS = frozenset({"||", "concat"})


def check_reach(tree: QueryTree, tables: Collection[tuple[str, str, str]], parameters: Mapping[str, Any]) -> None:
    """Check that a query reads no file of this machine and that its paths are known before it runs.

    Args:
        tree: of the query.
        tables: database, schema and name of what is in the catalog, in lower case.
        parameters: values of `$name`.

    Raises:
        QueryError: a part may read a file; `offset` is its place.
    """
    ctes = {str(entry["key"]).lower() for node in tree.nodes() if "map" in node for entry in node["map"]}
    for node in tree.nodes():
        kind = node.get("type")
        if kind == "BASE_TABLE" or (kind == "SHOW_REF" and node["show_type"] in {"SHOW", "DESCRIBE", "SUMMARY"}):
            if not _is_table(node, tables, ctes):
                raise _refused(tree, node, "this is not a table, and as a path it is on this machine")
        elif kind == "TABLE_FUNCTION":
            _check_call(tree, node, tables, parameters)


def _check_call(
    tree: QueryTree, node: Mapping[str, Any], tables: Collection[tuple[str, str, str]], parameters: Mapping[str, Any]
) -> None:
    name, known = node["function"]["function_name"].lower(), judged()
    if name not in known.files | known.named:
        return
    for at, (argument, value) in enumerate(arguments(node["function"])):
        if argument not in _PATHS or (at and not argument):
            continue
        if name in known.named and _is_name(value, tables):
            continue
        if not _is_object(value, parameters):
            raise _refused(
                tree, value, f"what {name}() reads is not written out as s3://…, so it may be on this machine"
            )


def _refused(tree: QueryTree, node: Any, reason: str) -> QueryError:
    return pointed(tree.sql, f"{reason}, which LOCAL_FILES does not allow here", tree.position(node), REACH)


def _is_table(node: Mapping[str, Any], tables: Collection[tuple[str, str, str]], ctes: Collection[str] = ()) -> bool:
    """Return whether a name is in the catalog, the path of an object, or cannot be a path."""
    path = [str(part) for part in node["qualified_name"]["path"]] or [node["table_name"]]
    text = ".".join(path)
    if text.startswith(_SCHEME) or looks_pasted(text) or not _OF_PATHS & set(text):
        return True
    *within, name = (part.lower() for part in path)
    if within == ["recurring"] and name in ctes:  # previous rows of a recursive query with USING KEY
        return True
    return any(name == table[2] and _is_within(within, table) for table in tables)


def _is_within(path: list[str], table: tuple[str, str, str]) -> bool:
    """Return whether a table is in the database, the schema, or both that precede its name."""
    if len(path) <= 1:
        return not path or path[0] in table[:2]
    return tuple(path) == table[:2]


def _is_name(value: Mapping[str, Any], tables: Collection[tuple[str, str, str]]) -> bool:
    path = named_by(value)
    return bool(path) and _is_table({"qualified_name": {"path": path}}, tables)


def constant(value: Mapping[str, Any]) -> str | None:
    """Return the text of an argument that is a literal, else None."""
    return str(value["literal"]["text"]) if value["class"] == "CONSTANT" and "text" in value["literal"] else None


def _is_object(value: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Return whether a path, or each of a list, has an object's prefix whatever is appended to it."""
    if value["class"] == "PARAMETER":
        parameter = parameters.get(value["identifier"])
        paths = list(parameter) if isinstance(parameter, list | tuple) else [parameter]
        return bool(paths) and all(isinstance(part, str) and part.startswith(_SCHEME) for part in paths)
    if value["class"] == "CAST":
        return _is_object(value["child"], parameters)
    if value["class"] != "FUNCTION":
        return (constant(value) or "").startswith(_SCHEME)
    name, parts = value["function_name"].lower(), [part["expression"] for part in value["arguments"]]
    if name in _JOINS:
        return bool(parts) and _is_object(parts[0], parameters)
    return name in _LISTS and bool(parts) and all(_is_object(part, parameters) for part in parts)


_SAMPLING = {"read_csv", "read_json", "read_ndjson"}
_SURE = {"sample_size", "columns", "types", "all_varchar", "dtypes", "column_types"}


def note_samples(tree: QueryTree, scope: QueryScope) -> None:
    """Note the limits of samples for calls of DuckDB's own readers."""
    for node in tree.nodes():
        if node.get("type") == "TABLE_FUNCTION":
            name = str(node["function"]["function_name"]).lower().removesuffix("_auto")
            if name in _SAMPLING and not _SURE & {argument for argument, _ in arguments(node["function"])}:
                scope.note(
                    f"{name} tells types by the first {SAMPLE:,} records, and may change or skip later ones that"
                    f" differ; FROM 's3://…' by itself reads all of them exactly, or says where it cannot."
                )
