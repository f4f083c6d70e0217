"""Whether a query reads objects of connections only, and no file of this machine: where LOCAL_FILES is FALSE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3conn_magic.language.settings import REACH
from s3conn_magic.query.faults import pointed
from s3conn_magic.query.judgement import arguments, judged, named_by

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from s3conn_magic.errors import QueryError
    from s3conn_magic.query.parsing import Tree

_SCHEME = "s3://"
# DuckDB takes a name for a path where it ends like one: it has a dot then.
_OF_PATHS = frozenset("./\\:~")
_PATHS = frozenset({"", "path", "paths", "file", "pattern", "source"})
_LISTS = frozenset({"list_value", "list_pack", "array_value"})
_JOINS = frozenset({"||", "concat"})


def check(tree: Tree, tables: Collection[tuple[str, str, str]], parameters: Mapping[str, Any]) -> None:
    """Refuse a query that reads a file of this machine, or whose paths cannot be told before it runs.

    Args:
        tree: of the query.
        tables: database, schema and name of what is in the catalog, in lower case.
        parameters: values of `$name`.

    Raises:
        QueryError: what reads one; `offset` says where.
    """
    ctes = {str(one["key"]).lower() for node in tree.nodes() if "map" in node for one in node["map"]}
    for node in tree.nodes():
        kind = node.get("type")
        if kind == "BASE_TABLE" or (kind == "SHOW_REF" and node["show_type"] in {"SHOW", "DESCRIBE", "SUMMARY"}):
            if not _is_table(node, tables, ctes):
                raise _refused(tree, node, "this is no table, and as a path it is one of this machine")
        elif kind == "TABLE_FUNCTION":
            _check_call(tree, node, tables, parameters)


def _check_call(
    tree: Tree, node: Mapping[str, Any], tables: Collection[tuple[str, str, str]], parameters: Mapping[str, Any]
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
                tree, value, f"what {name}() reads is not written out as s3://…, so it may be of this machine"
            )


def _refused(tree: Tree, node: Any, what: str) -> QueryError:
    error = pointed(tree.sql, f"{what}, which LOCAL_FILES does not allow here", tree.position(node))
    error.hint = REACH
    return error


def _is_table(node: Mapping[str, Any], tables: Collection[tuple[str, str, str]], ctes: Collection[str] = ()) -> bool:
    """Whether a name is one of the catalog, an object's path, or can be no path."""
    path = [str(one) for one in node["qualified_name"]["path"]] or [node["table_name"]]
    whole = ".".join(path)
    if whole.startswith(_SCHEME) or not _OF_PATHS & set(whole):
        return True
    *within, name = (one.lower() for one in path)
    if within == ["recurring"] and name in ctes:  # what a recursive query with USING KEY has found so far
        return True
    return any(name == one[2] and _is_within(within, one) for one in tables)


def _is_within(path: list[str], table: tuple[str, str, str]) -> bool:
    """Whether a table is where the words before its name say: in a database, a schema, or one and the other."""
    if len(path) <= 1:
        return not path or path[0] in table[:2]
    return tuple(path) == table[:2]


def _is_name(value: Mapping[str, Any], tables: Collection[tuple[str, str, str]]) -> bool:
    path = named_by(value)
    return bool(path) and _is_table({"qualified_name": {"path": path}}, tables)


def _text(value: Mapping[str, Any]) -> str | None:
    return str(value["literal"]["text"]) if value["class"] == "CONSTANT" and "text" in value["literal"] else None


def _is_object(value: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether a path, or each of a list, begins as an object's does, whatever is put behind it."""
    if value["class"] == "PARAMETER":
        given = parameters.get(value["identifier"])
        paths = list(given) if isinstance(given, list | tuple) else [given]
        return bool(paths) and all(isinstance(one, str) and one.startswith(_SCHEME) for one in paths)
    if value["class"] == "CAST":
        return _is_object(value["child"], parameters)
    if value["class"] != "FUNCTION":
        return (_text(value) or "").startswith(_SCHEME)
    name, parts = value["function_name"].lower(), [one["expression"] for one in value["arguments"]]
    if name in _JOINS:
        return bool(parts) and _is_object(parts[0], parameters)
    return name in _LISTS and bool(parts) and all(_is_object(one, parameters) for one in parts)
