"""Write the columns of an INSERT in forms that their format reads back unchanged, or refuse them.

A type that a format cannot represent is refused before the query runs. If only some of its values can be represented,
each value is checked as it is written, and the first that would change ends the query.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import JobFailedError, QueryError
from s3conn_magic.locations import visible
from s3conn_magic.query.failures import MARK
from s3conn_magic.query.sql import (
    JSON_STRING,
    SIGNED,
    identifier,
    literal,
    numbers_as_written,
    plain_numbers,
    scratch_database,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from duckdb.sqltypes import DuckDBPyType

_NESTED = {"list", "array", "struct", "map", "union"}
_EXACT_DIGITS = 15
"""Decimal digits that a double always preserves, since readers of JSON parse numbers as doubles."""
# By format: types that are never read back unchanged, and those that are only at the top level.
_LOST = {
    "PARQUET": {"tuple"},
    "CSV": {"variant", "tuple"},
    "TSV": {"variant", "tuple"},
    "JSON": {"variant", "tuple", "map", "union"},
}
_LOST_WITHIN = {
    "PARQUET": {"interval", "time with time zone"},
    "CSV": {"bit", "bignum"},
    "TSV": {"bit", "bignum"},
    "JSON": {"bit", "bignum"},
}
_AS_JSON = {"variant", "tuple", "map", "union"}
_ROWS = 10_000
_JSON_PARTS = re.compile(rf"{JSON_STRING}|-?(?:NaN|Infinity)")
_REFUSED = "has a value that is not read back from"


class Written(NamedTuple):
    """SQL around a query, so that its rows are written in forms that are read back unchanged.

    Attributes:
        opening, closing: SQL before and after the query.
        as_lines: whether the query then returns one column of finished lines.
    """

    opening: str = ""
    closing: str = ""
    as_lines: bool = False


def select(names: Sequence[str], kinds: Sequence[DuckDBPyType], format_: str) -> Written:
    """Return the SQL around a query.

    Raises:
        JobFailedError: two columns have one name, or the format cannot represent a type.
    """
    for at, name in enumerate(names):
        if name.casefold() in (earlier.casefold() for earlier in names[:at]):
            message = f"the query has two columns {visible(name)}, of which DuckDB would rename one"
            raise JobFailedError(message, hint=f"Name one of them: … AS {identifier(f'{name}_2')}.")
    columns = [identifier(f"c{at}") for at in range(len(names))]
    forms = [_form(name, kind, column, format_) for name, kind, column in zip(names, kinds, columns, strict=True)]
    closing = f"\n) AS written({', '.join(columns)})"
    if format_ == "JSON" and "JSON" in map(str, kinds):
        return Written(f"SELECT {_line(names, kinds, forms)} AS line FROM (", closing, as_lines=True)  # noqa: S608 - as below
    if forms == columns:
        return Written()
    items = ", ".join(f"{form} AS {identifier(name)}" for form, name in zip(forms, names, strict=True))
    return Written(f"SELECT {items} FROM (", closing)  # noqa: S608 - quoted names


def _line(names: Sequence[str], kinds: Sequence[DuckDBPyType], forms: Sequence[str]) -> str:
    """Return SQL for a record as JSON: DuckDB's writer turns 1.50 into 1.5, even if it is JSON already."""
    fields = [
        f"{literal(json.dumps(name, ensure_ascii=False) + ':')} || coalesce({form}::VARCHAR, 'null')"
        for name, kind, form in zip(names, kinds, forms, strict=True)
        for form in [form if str(kind) == "JSON" else f"to_json({form})"]
    ]
    text = " || ',' || ".join(fields)
    return f"'{{' || {text} || '}}'"


def refusal(error: QueryError) -> JobFailedError | None:
    """Return the error for a refused value, or None if the error is another one."""
    if _REFUSED not in error.message:
        return None
    message, _, hint = error.message.partition("; ")
    return JobFailedError(message, hint=hint)


def _form(name: str, kind: DuckDBPyType, column: str, format_: str) -> str:
    parts = [str(each.id) for each in _parts(kind)]
    lost = ({*parts} & _LOST[format_]) | ({*parts[1:]} & _LOST_WITHIN[format_])
    if lost:
        raise JobFailedError(f"{_title(name, kind)} is not read back from {format_}", hint=_hint(name, lost))
    form, carried = (_parquet if format_ == "PARQUET" else _json if format_ == "JSON" else _text)(kind, column)
    if not carried:
        return form
    message = f"{MARK}{_title(name, kind)} {_REFUSED} {format_}; {_hint(name, lost)}"
    return f"CASE WHEN {column} IS NULL THEN NULL WHEN {carried} THEN {form} ELSE error({literal(message)}) END"


def _title(name: str, kind: DuckDBPyType) -> str:
    return f"the column {visible(name)}, {visible(str(kind))},"


def _hint(name: str, lost: set[str]) -> str:
    target = "JSON" if lost & _AS_JSON else "VARCHAR"
    written = identifier(name)
    query = f"SELECT * REPLACE (CAST({written} AS {target}) AS {written}) FROM (…)"  # noqa: S608 - a hint
    return f"{query} writes it as {target}, where … is the query."


def _parts(kind: DuckDBPyType) -> Iterator[DuckDBPyType]:
    """Yield a type and those nested in it."""
    yield kind
    for _, part in _members(kind):
        yield from _parts(part)


def _members(kind: DuckDBPyType) -> list[tuple[str, Any]]:
    return [(name, part) for name, part in kind.children if not isinstance(part, int)] if kind.id in _NESTED else []


def _parquet(kind: DuckDBPyType, column: str) -> tuple[str, str]:
    """Return the SQL of a column, and the condition of a value that survives; empty if all do."""
    if kind.id == "interval":
        # Parquet stores whole milliseconds in 32 bits, unsigned.
        return column, f"(NOT regexp_matches({column}::VARCHAR, '-|[.][0-9]{{4}}') AND hour({column}) < 1193)"
    if kind.id == "time with time zone":  # stored as UTC
        return column, f"(ends_with({column}::VARCHAR, '+00') AND NOT starts_with({column}::VARCHAR, '24'))"
    stored = _stored(kind)
    if stored == str(kind):
        return column, ""
    form = f"TRY_CAST({column} AS {stored})"
    return form, f"CAST({form} AS {kind}) IS NOT DISTINCT FROM {column}"


def _stored(kind: DuckDBPyType) -> str:
    """Return the type that Parquet stores: DuckDB writes integers of 128 bits as DOUBLE."""
    if kind.id in {"hugeint", "uhugeint"}:
        return "DECIMAL(38,0)"
    members = [(name, _stored(part)) for name, part in _members(kind)]
    if all(stored == str(part) for (_, stored), (_, part) in zip(members, _members(kind), strict=True)):
        return str(kind)
    if kind.id == "list":
        return f"{members[0][1]}[]"
    if kind.id == "array":
        return f"{members[0][1]}[{dict(kind.children)['size']}]"
    if kind.id == "map":
        return f"MAP({members[0][1]}, {members[1][1]})"
    named = ", ".join(f"{identifier(name)} {stored}" for name, stored in members if name)
    return f"{kind.id.upper()}({named})"


def _text(kind: DuckDBPyType, column: str) -> tuple[str, str]:
    """Return the same for CSV, with nested values as JSON."""
    if kind.id not in _NESTED:
        return column, ""
    form = f"to_json({column})"
    return form, _is_back(form, kind, column)


def _json(kind: DuckDBPyType, column: str) -> tuple[str, str]:
    """Return the same for JSON."""
    if str(kind) == "JSON":
        form = plain_numbers(f"json({numbers_as_written(f'{column}::VARCHAR')})")
        return form, f"({form}::VARCHAR <> 'null' AND NOT contains({column}::VARCHAR, {literal(SIGNED)}))"
    if kind.id == "float":  # its own digits, not those of the double it would become
        return f"CAST({column}::VARCHAR AS DOUBLE)", ""
    if kind.id in _NESTED or (kind.id == "decimal" and _precision(kind) > _EXACT_DIGITS):
        form = f"json(to_json({column}))"
        return form, _is_back(form, kind, column)
    return column, ""


def _precision(kind: DuckDBPyType) -> int:
    sizes: Mapping[str, Any] = dict(kind.children)
    return int(sizes["precision"])


def _is_back(document: str, kind: DuckDBPyType, column: str) -> str:
    return f"CAST({document} AS {kind}) IS NOT DISTINCT FROM {column}"


def texts_of(table: pa.Table, form: str = "CAST({} AS VARCHAR)") -> Iterator[tuple[str | None, ...]]:
    """Yield the rows of a table as DuckDB writes them; times are in UTC.

    Args:
        table: of any types.
        form: SQL of a column, with `{}` for its name.
    """
    if not table.num_columns:
        return
    names = [f"c{at}" for at in range(table.num_columns)]
    with scratch_database() as database:
        database.register("answer", table.rename_columns(names))
        database.execute(f"SELECT {', '.join(map(form.format, names))} FROM answer")  # noqa: S608 - names of our own
        while part := database.fetchmany(_ROWS):
            yield from part


def documents(table: pa.Table) -> Iterator[str]:
    """Yield each row as a JSON object. Numbers are exact; those that JSON lacks, such as NaN, are strings."""
    names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
    for row in texts_of(table, "to_json({})"):
        values = (_JSON_PARTS.sub(_as_json, "null" if text is None else text) for text in row)
        yield f"{{{', '.join(f'{name}: {value}' for name, value in zip(names, values, strict=True))}}}"


def _as_json(part: re.Match[str]) -> str:
    return part[0] if part[0].startswith('"') else f'"{part[0]}"'
