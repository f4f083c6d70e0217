"""What a query mentions, as DuckDB's own parser reads it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3conn_magic.query.faults import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Mentioned:
    """Names in a query.

    Attributes:
        tables: names of tables without a schema, as written, in the order of their first mention.
        parameters: names of `$name` parameters.
    """

    tables: tuple[str, ...]
    parameters: tuple[str, ...]


def mentioned(connection: duckdb.DuckDBPyConnection, sql: str) -> Mentioned:
    """The names in a query; nothing is looked up or read.

    Raises:
        QueryError: it cannot be parsed, is no query, or more than one.
    """
    if (half := _HALF.search(sql)) is not None:
        before = sql[: half.start()].encode()
        raise refused(sql, "half a character (a lone surrogate) is in the query", len(before))
    ((told,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    tree = json.loads(told)
    if tree.get("error"):
        return _without_tree(connection, sql, tree)
    if len(tree["statements"]) != 1:
        raise refused(sql, "more than one query", None)
    nodes = list(_nodes(tree))
    tables = [one["table_name"] for one in nodes if one.get("type") == "BASE_TABLE" and not one.get("schema_name")]
    parameters = [one["identifier"] for one in nodes if one.get("class") == "PARAMETER"]
    return Mentioned(tuple(dict.fromkeys(tables)), tuple(dict.fromkeys(parameters)))


def _without_tree(connection: duckdb.DuckDBPyConnection, sql: str, told: dict[str, Any]) -> Mentioned:
    """Some queries (those that pivot) have no tree; any of their words could be a table then."""
    if told.get("error_type") == "parser":
        raise refused(sql, str(told.get("error_message")), told.get("position"))
    import duckdb

    statements = connection.extract_statements(sql)
    kinds = {duckdb.StatementType.SELECT, duckdb.StatementType.MULTI}
    if len(statements) != 1 or statements[0].type not in kinds:
        raise refused(sql, "only a query may stand here: SELECT, WITH or FROM", None)
    words = _words(sql)
    return Mentioned(tuple(words), tuple(sorted(statements[0].named_parameters)))


def _words(sql: str) -> list[str]:
    import duckdb

    encoded = sql.encode()
    tokens = duckdb.tokenize(sql)
    ends = [start for start, _ in tokens[1:]] + [len(encoded)]
    words = [
        encoded[start:end].decode().strip().strip('"')
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind == duckdb.token_type.identifier
    ]
    return list(dict.fromkeys(words))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(inner)
