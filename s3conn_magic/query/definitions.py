"""What a database file defines that a query may use without showing it: views, macros, columns that are computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s3conn_magic.errors import QueryError
from s3conn_magic.locations import visible
from s3conn_magic.query.judgement import names_of
from s3conn_magic.query.parsing import parsed, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from s3conn_magic.query.parsing import Tree

_FUNCTIONS = """SELECT lower(function_name), function_type, macro_definition
FROM duckdb_functions() WHERE NOT internal"""
_VIEWS = "SELECT lower(view_name), sql FROM duckdb_views() WHERE NOT internal"
# Defaults are there, too: DuckDB does not tell them from columns that are computed whenever they are read.
_COMPUTED = """SELECT lower(c.table_name), c.column_default FROM duckdb_columns() AS c
JOIN duckdb_tables() AS t USING (database_oid, schema_oid, table_oid)
WHERE c.column_default IS NOT NULL AND contains(t.sql, 'GENERATED ALWAYS AS')"""


@dataclass(frozen=True, slots=True)
class Definitions:
    """The texts behind names, by kind (`function`, `table`) and name in lower case; empty for what is not in SQL."""

    texts: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, database: duckdb.DuckDBPyConnection) -> Definitions:
        """Those of a database."""
        made = cls()
        for name, kind, text in database.execute(_FUNCTIONS).fetchall():
            made._add("function", name, text if kind == "table_macro" else text and f"SELECT ({text})")
        for name, sql in database.execute(_VIEWS).fetchall():
            made._add("table", name, _query_of(sql))
        for name, text in database.execute(_COMPUTED).fetchall():
            made._add("table", name, f"SELECT ({text})")
        return made

    def _add(self, kind: str, name: str, text: str | None) -> None:
        self.texts.setdefault((kind, name), []).append(text or "")

    @property
    def functions(self) -> frozenset[str]:
        """Names of functions."""
        return frozenset(name for kind, name in self.texts if kind == "function")

    def behind(self, database: duckdb.DuckDBPyConnection, tree: Tree) -> Iterator[tuple[str, Tree]]:
        """What a query uses, and what that uses: each name with the tree behind it.

        Raises:
            QueryError: one of them cannot be looked into.
        """
        todo, seen = [tree], set[tuple[str, str]]()
        while todo:
            for name in set(names_of(todo.pop().root)) & self.texts.keys() - seen:
                seen.add(name)
                for text in self.texts[name]:
                    found = _tree(database, name[1], text)
                    todo.append(found)
                    yield name[1], found


def _tree(database: duckdb.DuckDBPyConnection, name: str, text: str) -> Tree:
    try:
        return parsed(database, text)
    except QueryError:
        pass
    raise QueryError(f"{visible(name)} of the database cannot be looked into, and may do more than read")


def _query_of(sql: str) -> str:
    """The query of a view, by the statement that makes it."""
    depth = 0
    for word in words(sql):
        depth += (word.text in {"(", "["}) - (word.text in {")", "]"})
        if word.text == "AS" and not depth and not word.is_name:
            return sql.encode()[word.end :].decode().rstrip().rstrip(";")
    return ""
