"""Python variables in queries: frames as tables, and values of `$name`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    import duckdb

_TABLES = """SELECT lower(database_name), lower(schema_name), lower(table_name) FROM duckdb_tables()
UNION ALL SELECT lower(database_name), lower(schema_name), lower(view_name) FROM duckdb_views()"""
_POLARS = {"DataFrame", "LazyFrame"}
_ARROW = {"Table", "RecordBatch", "RecordBatchReader", "Dataset", "Scanner", "FileSystemDataset", "InMemoryDataset"}


def known_tables(database: duckdb.DuckDBPyConnection) -> set[tuple[str, str, str]]:
    """Database, schema and name of tables and views, in lower case: they come before Python variables and paths."""
    return set(database.execute(_TABLES).fetchall())


def frames(
    names: Iterable[str], tables: Collection[tuple[str, str, str]], variable_of: Callable[[str], Any]
) -> dict[str, Any]:
    """The Python frames among some names that are no tables."""
    found: dict[str, Any] = {}
    known = {name for *_, name in tables}
    for name in names:
        if name.lower() not in known and name.isidentifier():
            try:
                value = variable_of(name)
            except LookupError:
                continue
            frame = _frame(value)
            if frame is not None:
                found[name] = frame
    return found


def _frame(value: Any) -> Any:
    """What DuckDB can read a variable through, or None when it is no frame."""
    pandas = sys.modules.get("pandas")  # where it was not imported, nothing is of it
    if pandas and isinstance(value, pandas.DataFrame):
        return pandas.DataFrame(value)  # DuckDB knows classes by their names
    if pandas and isinstance(value, pandas.Series):
        return value.to_frame(name=value.name or "value")
    module, kind = type(value).__module__.partition(".")[0], type(value).__name__
    if module == "polars" and kind in _POLARS:
        return value.collect() if kind == "LazyFrame" else value
    return value if module == "pyarrow" and kind in _ARROW else None


def parameters(names: Iterable[str], variable_of: Callable[[str], Any]) -> dict[str, Any]:
    """The values of `$name` parameters: Python variables.

    Raises:
        QueryError: a variable is not defined, or a parameter has a number in place of a name.
    """
    found = {}
    for name in names:
        try:
            value = variable_of(name)
        except LookupError as error:
            reason = str(error)
        else:
            found[name] = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
            continue
        raise QueryError(f"${name}: {reason}", hint="$name in a query is the value of a Python variable.")
    return found
