"""Types of text: the one of DuckDB that holds every value of a column exactly, and casts that refuse any change.

A cast is exact if the value prints back as written, or as another spelling of the same value: `1.50` and 1.5,
`2026-01-01T10:00` and `2026-01-01 10:00:00`. `007`, `1_000`, and a number with more digits than its type has are not;
nor is a date in any order but year-month-day, unless a format says how to read it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.objects.dialects import unique_names
from s3conn_magic.query.failures import MARK
from s3conn_magic.query.sql import (
    DIGITS,
    identifier,
    is_string,
    is_there,
    literal,
    number_text,
    numbers_as_written,
    plain_numbers,
    pointers,
    unsigned,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from duckdb.sqltypes import DuckDBPyType

NULL = '"NULL"'
"""Type of a column without values, compatible with every other."""
USUAL = {"BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP"}
"""Types that have a `usual` spelling."""
_WHOLE = r"-?(0|[1-9][0-9]*)"
_PLAIN = rf"({_WHOLE}(\.[0-9]*)?|-?\.[0-9]+)"
_ISO_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ISO_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{0,%d}0*)?)?"
_ZONE = r"( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))"
_DIGITS_OF_FLOAT = 6
_MOST_DIGITS = 38
_FRACTION = {"TIMESTAMP_S": 0, "TIMESTAMP_MS": 3, "TIMESTAMP_NS": 9}
_INTEGER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER")
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_TIMESTAMP = re.compile(r"TIMESTAMP(_S|_MS|_NS)?")
_NESTED = re.compile(r".*\[\d*\]|(?:STRUCT|MAP|UNION)\(.*\)", re.DOTALL)
_KINDS = (
    (_PLAIN, "a number"),
    (_ISO_DATE, "a date"),
    (rf"{_ISO_DATE}[ T].*", "a time"),
    ("(?i:true|false)", "a truth value"),
)


class Formats(NamedTuple):
    """Formats of dates and times, in strftime's codes; empty for ISO 8601 only."""

    date: str = ""
    timestamp: str = ""


ISO = Formats()
"""Dates and times in ISO 8601 only."""


class Cast(NamedTuple):
    """A cast of a text, as SQL.

    Attributes:
        value: the value, or NULL if the text has none.
        exact: whether the value is what was written.
    """

    value: str
    exact: str


def cast(text: str, kind: str, formats: Formats = ISO) -> Cast:
    """Return the exact cast of a text, given as SQL and not NULL, to a type."""
    value, trimmed = f"TRY_CAST({text} AS {kind})", f"trim({text})"
    same = f"{value}::VARCHAR = {text}"
    if kind == "VARCHAR":
        return Cast(text, "true")
    if kind == "BOOLEAN":
        return Cast(f"({text} = 'true' OR lower({trimmed}) = 'true')", f"lower({trimmed}) IN ('true', 'false')")
    if _INTEGER.fullmatch(kind):
        return Cast(value, f"({same} OR {value}::VARCHAR = {trimmed})")
    if kind in {"DOUBLE", "FLOAT"}:
        return _floating(text, kind)
    if decimal := _DECIMAL.fullmatch(kind):
        form = rf"({_WHOLE}?(\.[0-9]{{0,{decimal[2]}}}0*)?)"
        # With so few digits, no two numbers are the same double.
        double, power = f"TRY_CAST({text} AS DOUBLE)", rf"-?[0-9](\.[0-9]{{0,{DIGITS - 1}}})?[eE][+-]?[0-9]+"
        same = f"({_matches(text, power)} AND {value}::DOUBLE = {double} AND abs({double}) > 1e-300)"
        return Cast(value, f"({value} IS NOT NULL AND ({_matches(text, form)} OR {same}))")
    return _temporal(text, kind, formats) or _other(text, kind)


def usual_spelling(text: str, kind: str, value: str, formats: Formats = ISO) -> str:
    """Return SQL that tests for the usual spelling, whose cast is exact; it costs less than `cast`.

    Args:
        text: SQL of the text.
        kind: DuckDB's name of the type.
        value: SQL of its TRY_CAST to the type.
        formats: of dates and times.
    """
    if kind == "BOOLEAN":
        return f"{text} IN ('true', 'false')"
    if kind == "DOUBLE":
        # Few digits, no letters or leading + or 0 (inf, +1, 01), and no underflow to 0 or overflow to infinity.
        few = f"strlen({text}) <= {DIGITS} AND {text} >= '-' AND {text} < ':' AND NOT contains({text}, '_')"
        front = f"NOT ({text} >= '00' AND {text} < '0:') AND NOT ({text} >= '-00' AND {text} < '-0:')"
        return f"{few} AND {front} AND (abs({value}) BETWEEN 1e-300 AND 1e300 OR {text} IN ('0', '0.0', '0.00'))"
    formatted = {"DATE": formats.date, "TIMESTAMP": formats.timestamp}.get(kind)
    return f"{value}::VARCHAR = {text}" if kind in USUAL and not formatted else "false"


def _matches(text: str, form: str) -> str:
    pattern = rf"\s*{form}\s*"
    return f"regexp_full_match({text}, {literal(pattern)})"


def _floating(text: str, kind: str) -> Cast:
    value = f"TRY_CAST({text} AS {kind})"
    digits = DIGITS if kind == "DOUBLE" else _DIGITS_OF_FLOAT
    few = f"(strlen({text}) <= {digits} AND {_matches(text, _PLAIN)} AND {value} IS NOT NULL)"
    number = f"replace(lower(trim({text})), 'e+', 'e')"
    same = f"coalesce(replace({value}::VARCHAR, 'e+', 'e') = {number}, false)"
    # Spelt as C's %.17g writes a double; or with an exponent, without underflow or overflow.
    as_c = f"coalesce(replace(format('{{:.17g}}', {value}::DOUBLE), 'e+', 'e') = {number}, false)"
    scientific = rf"-?[0-9](\.[0-9]{{0,{digits - 1}}})?[eE][+-]?[0-9]+"
    power = (
        f"(strlen({text}) <= {digits + 7} AND {_matches(text, scientific)}"
        f" AND coalesce(abs({value}) > 1e-300 AND isfinite({value}), false))"
    )
    words = f"(lower(trim({text})) IN ('nan', 'inf', '-inf', 'infinity', '-infinity') AND {value} IS NOT NULL)"
    if kind == "FLOAT":  # JSON has the double's digits
        as_c = f"coalesce({value}::DOUBLE = TRY_CAST({text} AS DOUBLE) AND {_floating(text, 'DOUBLE').exact}, false)"
    # As JavaScript writes it: 0.00005 and 5e-7, in the digits of the shortest spelling.
    bare = "trim(replace(replace(split_part({}, 'e', 1), '.', ''), '-', ''), '0')"
    script = r"-?(0?\.0[0-9]*|[1-9](\.[0-9]+)?[eE][+-]?[0-9]+)"
    as_script = (
        f"({_matches(text, script)} AND coalesce({bare.format(f'{value}::VARCHAR')} = {bare.format(number)}, false))"
    )
    return Cast(value, f"({few} OR {same} OR {power} OR {words} OR {as_c} OR {as_script})")


def _temporal(text: str, kind: str, formats: Formats) -> Cast | None:
    value, form = f"TRY_CAST({text} AS {kind})", ""
    if kind == "DATE" and formats.date:
        return _formatted(text, kind, formats.date)
    if _TIMESTAMP.fullmatch(kind) or kind == "TIMESTAMP WITH TIME ZONE":
        if formats.timestamp:
            return _formatted(text, kind, formats.timestamp)
        form = f"{_ISO_DATE}([ T]{_ISO_TIME % _FRACTION.get(kind, 6)})?"
        form += _ZONE if kind == "TIMESTAMP WITH TIME ZONE" else ""
    elif kind == "TIME":
        form = _ISO_TIME % 6
    elif kind != "DATE":
        return None
    same = f"coalesce({value}::VARCHAR = {text}, false)"
    return Cast(value, f"({same} OR ({value} IS NOT NULL AND {_matches(text, form)}))" if form else same)


def _formatted(text: str, kind: str, format_: str) -> Cast:
    read = f"try_strptime({text}, {literal(format_)})"
    value = f"{read}::{kind}"
    # Another spelling, such as 1/2/2026 for %m/%d/%Y, must parse to the same value.
    again = f"try_strptime(strftime({value}, {literal(format_)}), {literal(format_)})"
    return Cast(value, f"coalesce({again} = {read}, false)")


def _other(text: str, kind: str) -> Cast:
    """Return the cast to any other type: exact if it prints back; nested values are JSON."""
    value = f"TRY_CAST({text} AS {kind})"
    if kind == "JSON":
        return Cast(f"CASE WHEN json_valid({text}) THEN {text}::JSON END", f"json_valid({text})")
    if kind == "UUID":
        return Cast(value, f"coalesce({value}::VARCHAR = lower({text}), false)")
    same = f"coalesce({value}::VARCHAR = {text}, false)"
    if not is_nested(kind):
        return Cast(value, same)
    made = cast_json(f"{numbers_as_written(f'CASE WHEN json_valid({text}) THEN {text} END')}::JSON", kind)
    return Cast(f"CASE WHEN {made.exact} THEN {made.value} ELSE {value} END", f"({made.exact} OR {same})")


def cast_json(value: str, kind: str) -> Cast:
    """Return the exact cast of a JSON value to a nested type: by parts, text and JSON as written."""
    import duckdb

    made = _part(value, duckdb.sqltype(kind), 1)
    return Cast(made.value, f"({value} IS NOT NULL AND coalesce({made.exact}, false))")


def _part(value: str, kind: DuckDBPyType, depth: int) -> Cast:
    if kind.id in ("list", "array", "map", "struct"):
        parts = {"map": _map_part, "struct": _struct_part}.get(kind.id, _list_part)(value, kind, depth)
    elif str(kind) == "JSON":
        parts = Cast(plain_numbers(value), "true")
    elif kind.id == "varchar":
        parts = Cast(
            f"CASE WHEN {is_string(value)} THEN {value} ->> '$' ELSE {unsigned(f'{value}::VARCHAR')} END", "true"
        )
    elif is_nested(str(kind)):  # UNION
        made = f"TRY_CAST({plain_numbers(value)} AS {kind})"
        parts = Cast(made, f"to_json({made})::VARCHAR = {plain_numbers(value)}::VARCHAR")
    else:
        parts = cast(number_text(f"({value} ->> '$')"), str(kind))
    exists = is_there(value)
    return Cast(f"CASE WHEN {exists} THEN {parts.value} END", f"CASE WHEN {exists} THEN {parts.exact} ELSE true END")


def _list_part(value: str, kind: DuckDBPyType, depth: int) -> Cast:
    name, children = f"part{depth}", dict[str, Any](kind.children)
    element, values = _part(name, children["child"], depth + 1), f"json_extract({value}, '$[*]')"
    equal = f"list_bool_and(list_transform({values}, lambda {name}: coalesce({element.exact}, false)))"
    size = f" AND len({values}) = {children['size']}" if "size" in children else ""
    exact = f"json_type({value}) = 'ARRAY' AND coalesce({equal}, true){size}"
    return Cast(f"TRY_CAST(list_transform({values}, lambda {name}: {element.value}) AS {kind})", exact)


def _map_part(value: str, kind: DuckDBPyType, depth: int) -> Cast:
    children = dict[str, Any](kind.children)
    name, key, child = f"part{depth}", children["key"], children["value"]
    keys, pointer = f"json_keys({value})", f"'/' || replace(replace({name}, '~', '~0'), '/', '~1')"
    element, own = _part(f"json_extract({value}, {pointer})", child, depth + 1), cast(name, str(key))
    equal = f"list_bool_and(list_transform({keys}, lambda {name}: coalesce({element.exact} AND {own.exact}, false)))"
    made = (f"list_transform({keys}, lambda {name}: {each})" for each in (own.value, element.value))
    exact = f"json_type({value}) = 'OBJECT' AND list_unique({keys}) = len({keys}) AND coalesce({equal}, true)"
    return Cast(f"map({', '.join(made)})", exact)


def _struct_part(value: str, kind: DuckDBPyType, depth: int) -> Cast:
    children = dict[str, Any](kind.children)
    names, keys = [*children], f"json_keys({value})"
    parts = [_part(f"json_extract({value}, {pointers([name])}[1])", part, depth + 1) for name, part in children.items()]
    made = ", ".join(f"{identifier(name)} := {part.value}" for name, part in zip(names, parts, strict=True))
    known = f"list_has_all([{', '.join(map(literal, names))}], {keys}) AND list_unique({keys}) = len({keys})"
    exact = " AND ".join([f"json_type({value}) = 'OBJECT' AND {known}", *(part.exact for part in parts)])
    return Cast(f"CASE WHEN json_type({value}) = 'OBJECT' THEN struct_pack({made})::{kind} END", exact)


def strict(text: str, kind: str, name: str, formats: Formats = ISO, hint: str = "", *, value: str = "") -> str:
    """Return the SQL of a value that is exactly what a text says, or an error.

    Args:
        text: SQL of the text.
        kind: DuckDB's name of the type.
        name: of the column, for the error.
        formats: of dates and times.
        hint: for the error.
        value: SQL of its TRY_CAST, if that is computed already.
    """
    if kind == "VARCHAR":
        return text
    made = Cast("NULL", "false") if kind == NULL else cast(text, kind, formats)
    said = literal(f"{MARK}the column {name} is {kind}, and a record has ")
    failure = f"error({said} || {kind_of(text)} || {literal(f'; {hint}' if hint else '')})::{kind}"
    value = value or f"TRY_CAST({text} AS {kind})"
    exact = f"WHEN {usual_spelling(text, kind, value, formats)} THEN {value} WHEN {made.exact} THEN {made.value}"
    return f"CASE WHEN {text} IS NULL THEN NULL {exact} ELSE {failure} END"


def kind_of(text: str) -> str:
    """Return SQL that describes a text in words, without repeating it."""
    cases = " ".join(f"WHEN regexp_full_match({text}, {literal(form)}) THEN {literal(words)}" for form, words in _KINDS)
    return f"CASE {cases} ELSE 'text' END"


class Evidence(NamedTuple):
    """How many values of a column are of each kind; for several objects, the sum.

    Attributes:
        texts: values that no other type holds exactly.
        booleans: true and false.
        small: integers that a double also holds.
        large: other integers of 64 bits.
        plain: other numbers without an exponent that a double holds.
        floats: numbers with an exponent.
        specials: nan and inf.
        exact: numbers without an exponent that a double does not hold.
        dates, timestamps, zoned, times: in ISO 8601, or the format; `zoned` have an offset.
        whole: most digits before the point of numbers without an exponent.
        scale: most digits after it, without trailing zeros.
    """

    texts: int = 0
    booleans: int = 0
    small: int = 0
    large: int = 0
    plain: int = 0
    floats: int = 0
    specials: int = 0
    exact: int = 0
    dates: int = 0
    timestamps: int = 0
    zoned: int = 0
    times: int = 0
    whole: int = 0
    scale: int = 0

    def joined(self, other: Evidence) -> Evidence:
        """Return the evidence of both."""
        counts = [mine + theirs for mine, theirs in zip(self[:_COUNTS], other[:_COUNTS], strict=True)]
        return Evidence(*[*counts, max(self.whole, other.whole), max(self.scale, other.scale)])

    def type(self, *, decimals: bool = False) -> str:
        """Return the type that holds all values; prefer `decimals` to DOUBLE if both do."""
        values = sum(self[:_COUNTS])
        digits = self.small + self.plain + self.floats
        plain = self.small + self.large + self.plain + self.exact
        ladder = [
            (NULL, 0),
            ("BOOLEAN", self.booleans),
            ("BIGINT", self.small + self.large),
            ("DATE", self.dates),
            ("TIMESTAMP", self.dates + self.timestamps),
            ("TIMESTAMP WITH TIME ZONE", self.zoned),
            ("TIME", self.times),
            ("DOUBLE", digits + self.specials if digits else 0),
        ]
        if self.whole + self.scale <= _MOST_DIGITS:
            place = len(ladder) - decimals
            ladder.insert(place, (f"DECIMAL({max(self.whole + self.scale, 1)},{self.scale})", plain))
        return next((kind for kind, count in ladder if count == values), "VARCHAR")


_COUNTS = Evidence._fields.index("whole")
_NO_TEXT = r"\s*(-?\.?[0-9]|(?i:true|false|nan|-?inf))"


def evidence(texts: Sequence[str], rows: str, formats: Formats = ISO, *, strings: bool = False) -> str:
    """Return the query of the `Evidence` of some columns: a row for each, with its index first.

    All values are classified by one expression: with one per column, DuckDB takes seconds to plan many columns.

    Args:
        texts: SQL of a value of each column.
        rows: their FROM clause.
        formats: of dates and times.
        strings: whether they are strings of JSON, which are neither numbers nor booleans.
    """
    values = f"SELECT unnest(range({len(texts)})) AS place, unnest([{', '.join(texts)}]) AS value FROM {rows}"  # noqa: S608
    judged = f"SELECT place, value, {_kind('value', formats, strings=strings)} AS kind FROM ({values})"  # noqa: S608
    number = "kind IN ('small', 'large', 'plain', 'exact')"
    front = "strlen(replace(split_part(trim(value), '.', 1), '-', ''))"
    behind = "strlen(rtrim(split_part(trim(value), '.', 2), '0'))"
    counted = [f"count(*) FILTER (kind = {literal(name)})" for name in Evidence._fields[:_COUNTS]]
    counted += [f"coalesce(max(CASE WHEN {number} THEN {digits} END), 0)" for digits in (front, behind)]
    return f"SELECT place, {', '.join(counted)} FROM ({judged}) GROUP BY place"  # noqa: S608 - see `sql`


def _kind(text: str, formats: Formats, *, strings: bool) -> str:
    """Return SQL of a value's kind, a field of `Evidence`; cheap tests first."""
    exact = {kind: cast(text, kind, formats).exact for kind in ("BIGINT", "DOUBLE", "TIMESTAMP", "TIME")}
    zoned = cast(text, "TIMESTAMP WITH TIME ZONE", ISO).exact
    date = f"{cast(text, 'DATE', formats).exact}{'' if formats.date else f' AND {_matches(text, _ISO_DATE)}'}"
    plain = (
        f"CASE WHEN {exact['BIGINT']} THEN CASE WHEN strlen({text}) <= {DIGITS} THEN 'small' WHEN {exact['DOUBLE']}"
        f" THEN 'small' ELSE 'large' END WHEN {exact['DOUBLE']} THEN 'plain' ELSE 'exact' END"
    )
    cases = [f"WHEN {text} IS NULL THEN NULL"]
    if not any(formats):
        cases.append(f"WHEN NOT regexp_matches({text}, {literal(f'^{_NO_TEXT}')}) THEN 'texts'")
    if not strings:
        cases += [f"WHEN {_matches(text, _PLAIN)} THEN {plain}", f"WHEN {cast(text, 'BOOLEAN').exact} THEN 'booleans'"]
    moment = f"{exact['TIMESTAMP']} AND {_matches(text, '.*[0-9].*')}"
    cases += [f"WHEN {date} THEN 'dates'", f"WHEN {moment} THEN 'timestamps'"]
    cases += [f"WHEN {zoned} THEN 'zoned'", f"WHEN {exact['TIME']} THEN 'times'"]
    if not strings:
        special = f"CASE WHEN regexp_matches({text}, '[0-9]') THEN 'floats' ELSE 'specials' END"
        cases.append(f"WHEN {exact['DOUBLE']} THEN {special}")
    return f"CASE {' '.join(cases)} ELSE 'texts' END"


def nulls_of(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the texts that mean null."""
    return ("", *filter(None, (settings.get("NULL_VALUE"), *(settings.get("NULL_VALUES") or ()))))


def gathered(rows: Iterable[Sequence[int]], names: Sequence[str]) -> dict[str, Evidence]:
    """Return the evidence by column name, from the rows of the query."""
    return {names[place]: Evidence(*counts) for place, *counts in rows}


def misfits(texts: Iterable[tuple[str, str, str]], rows: str, formats: Formats = ISO) -> str:
    """Return the query of the first record that a strict cast refuses: number, column, type and description.

    Args:
        texts: SQL, type, and name of each column.
        rows: their FROM clause.
        formats: of dates and times.
    """
    parts = []
    for text, kind, name in texts:
        if kind not in {"VARCHAR", NULL}:
            bad = f"{text} IS NOT NULL AND NOT coalesce({cast(text, kind, formats).exact}, false)"
            parts.append(f"WHEN {bad} THEN [{literal(name)}, {literal(kind)}, {kind_of(text)}]")
    misfit = f"CASE {' '.join(parts)} END" if parts else "NULL::VARCHAR[]"
    return (
        f"SELECT number, found[1], found[2], found[3] FROM (SELECT row_number() OVER () AS number, {misfit} AS found"  # noqa: S608
        f" FROM {rows}) WHERE found IS NOT NULL ORDER BY number LIMIT 1"
    )


class Misfit(NamedTuple):
    """A value that its column's type does not hold exactly.

    Attributes:
        record: its number, from 1.
        column: empty for the whole record.
        type: of the column.
        has: description of the value.
    """

    record: int
    column: str
    type: str
    has: str


def misfit_of(rows: Sequence[tuple[Any, ...]]) -> Misfit | None:
    """Return the result of the query of `misfits`, or None."""
    return Misfit(*rows[0]) if rows else None


Shape = Any
"""Shape of a JSON value: the name of a type, a list of one shape, or shapes by field.

`NULL` is unknown and fits all others; `JSON` differs from value to value.
"""
NUMBERS = ("BIGINT", "DOUBLE")
"""Shapes of numbers."""
DOCUMENT = "json"
"""Column of the whole record."""
MIXED = "JSON"
"""Shape of values that differ."""
_MOST_FIELDS = 200
_DEEPEST = 64
"""Levels of nesting with types; deeper values stay JSON."""


def merged(first: Shape, second: Shape) -> Shape:
    """Return the shape of values of either shape."""
    if "NULL" in (first, second) or first == second:
        return second if first == "NULL" else first
    if isinstance(first, dict) and isinstance(second, dict):
        return {name: merged(first.get(name, "NULL"), second.get(name, "NULL")) for name in {**first, **second}}
    if isinstance(first, list) and isinstance(second, list):
        return [merged(first[0], second[0])]
    return "DOUBLE" if first in NUMBERS and second in NUMBERS else MIXED


def shape_of(structure: str) -> Shape:
    """Return the shape in the notation of DuckDB's json_structure."""
    try:
        return _shape(json.loads(structure), _DEEPEST)
    except RecursionError:
        return MIXED


def _shape(written: Any, deeper: int, *, in_list: bool = False) -> Shape:
    if isinstance(written, (dict, list)) and not deeper:
        return MIXED
    if isinstance(written, dict):
        return {name: _shape(each, deeper - 1, in_list=in_list) for name, each in written.items()}
    if isinstance(written, list):
        return [_shape(written[0], deeper - 1, in_list=True)]
    if written == "JSON":
        # "JSON" is an empty object, or the differing elements of a list.
        return MIXED if in_list else {}
    return "BIGINT" if written == "UBIGINT" else written


def is_nested(kind: str) -> bool:
    """Return whether a type is a list, struct, map or union."""
    return _NESTED.fullmatch(kind) is not None


def type_of(shape: Shape) -> str:
    """Return DuckDB's type of a shape; objects with arbitrary keys are a MAP."""
    if isinstance(shape, list):
        return f"{type_of(shape[0])}[]"
    if not isinstance(shape, dict):
        return NULL if shape == "NULL" else str(shape)
    if not shape or "" in shape or len({name.casefold() for name in shape}) < len(shape):
        return "JSON"
    if len(shape) > _MOST_FIELDS:
        value = type_of(reduce(merged, shape.values()))
        return f"MAP(VARCHAR, {value})"
    return f"STRUCT({', '.join(f'{identifier(name)} {type_of(each)}' for name, each in shape.items())})"


def _is_mixed(shape: Shape) -> bool:
    """Return whether a shape has differing values at any depth."""
    parts = shape.values() if isinstance(shape, dict) else shape if isinstance(shape, list) else ()
    return shape == MIXED or any(map(_is_mixed, parts))


def transformed(shape: Shape) -> Shape:
    """Return the structure by which json_transform makes values of a shape."""
    if isinstance(shape, list):
        return [transformed(shape[0])]
    if isinstance(shape, dict):
        kind = type_of(shape)
        return {name: transformed(each) for name, each in shape.items()} if kind.startswith("STRUCT") else kind
    return shape


@dataclass(frozen=True, slots=True)
class CsvTypes:
    """What is known of the values of columns, by name without case."""

    columns: Mapping[str, Evidence] = field(default_factory=dict)

    def joined(self, more: Mapping[str, Evidence]) -> CsvTypes:
        """Return the same with more values."""
        columns = dict(self.columns)
        for name, other in more.items():
            columns[name.casefold()] = columns.get(name.casefold(), Evidence()).joined(other)
        return CsvTypes(columns)

    def type(self, name: str, *, decimals: bool = False) -> str:
        """Return the type of a column."""
        return self.columns.get(name.casefold(), Evidence()).type(decimals=decimals)


@dataclass(frozen=True, slots=True)
class JsonTypes:
    """What is known of JSON values.

    Attributes:
        shape: of the records; a dict if all are objects.
        shapes: every shape of each column's objects and lists, as DuckDB writes it.
        long: nested columns with an integer that a double may not hold.
        longer: nested columns with a number that DuckDB's parser would round; they stay JSON, as written.
        strings: evidence of columns of strings.
        numbers: evidence of columns of numbers.
    """

    shape: Shape = "NULL"
    shapes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    long: frozenset[str] = frozenset()
    longer: frozenset[str] = frozenset()
    strings: Mapping[str, Evidence] = field(default_factory=dict)
    numbers: Mapping[str, Evidence] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Fields of the records; the whole record if not all are objects."""
        return tuple(self.shape) if isinstance(self.shape, dict) else (DOCUMENT,)

    @property
    def columns(self) -> dict[str, str]:
        """Column names of the fields: unique without case, and not empty, as in SQL."""
        return dict(zip(self.names, unique_names(self.names), strict=True))

    def type(self, name: str, *, decimals: bool = False) -> str:
        """Return DuckDB's type of a column."""
        if not isinstance(self.shape, dict):
            return "JSON"
        shape = self.shape.get(name, "NULL")
        if shape == "VARCHAR":
            return self.strings.get(name, Evidence()).type()
        if shape in NUMBERS:
            kind = self.numbers.get(name, Evidence()).type(decimals=decimals)
            return "JSON" if kind == "VARCHAR" else kind
        kind = type_of(shape)
        # DuckDB rewrites numbers within JSON: only a whole value can be kept as written.
        as_written = name in self.longer or _is_mixed(shape) or (name in self.long and "DOUBLE" in kind)
        return "JSON" if as_written else kind
