"""The beginning of a text as a table, with the columns and rows that SELECT and COPY give."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from s3conn_magic.errors import QueryError
from s3conn_magic.objects.dialects import MARK_OF_QUOTED, records, unique_names, without_lines
from s3conn_magic.objects.formats import HEAD, detect
from s3conn_magic.preview import COLUMNS_AT_MOST
from s3conn_magic.query.line_rows import Skipped, batches
from s3conn_magic.query.sql import (
    identifier,
    literal,
    number_text,
    numbers_as_written,
    plain_numbers,
    pointers,
    scratch_database,
    unsigned,
)
from s3conn_magic.query.text_rows import CsvRows, JsonRows
from s3conn_magic.query.text_types import DOCUMENT, NULL, cast, nulls_of, transformed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from s3conn_magic.objects.formats import Detected
    from s3conn_magic.query.text_rows import TextRows
    from s3conn_magic.query.text_types import JsonTypes


@dataclass(frozen=True, slots=True)
class TextTable:
    """The first rows of a text; `table` is None for a JSON document.

    `count` is the number of records in all of the text read; `broken` if unreadable ones follow.
    """

    table: pa.Table | None
    format: str
    count: int = 0
    notes: tuple[str, ...] = ()
    broken: bool = False


def read_table(key: str, text: str, *, whole: bool, rows: int, alone: bool = False) -> TextTable | None:
    """Return the first rows of a text, or None if it is not a table.

    Args:
        key: of the object.
        text: the beginning; if it is not `whole`, an incomplete last record is dropped.
        whole: whether the object ends here.
        rows: maximum.
        alone: whether a single JSON object is a row rather than a document.
    """
    head = text[:HEAD].encode("utf-8", "replace")
    try:
        detected = detect(key, head, compression="NONE", whole=whole and len(text) <= HEAD)
    except QueryError:
        return None
    if detected.format.reader == "read_json":
        return _json(text, detected, whole=whole, rows=rows, alone=alone)
    read = _delimited if detected.format.reader == "read_csv" else _log_lines if detected.log else None
    return read(text, detected, whole=whole, rows=rows) if read else None


# Delimited text


def _delimited(text: str, detected: Detected, *, whole: bool, rows: int) -> TextTable | None:
    settings, names = detected.settings, [*detected.names]
    body = without_lines(text, settings.get("SKIP_LINES", 0), settings.get("COMMENT_PREFIX", ""))
    nulls = {*nulls_of(settings)}
    # A null text within quotes is a value, except in logs.
    marked = () if detected.log or MARK_OF_QUOTED in body else nulls
    body, blank = "".join(body.splitlines(keepends=True)[detected.blank :]), len(names) == 1
    every = records(body, settings["DELIMITER"], whole=whole, most=None, marked=marked, blank=blank)
    every = every[int(settings["HEADER"]) :]
    # A trailing delimiter does not start another field, unless the last field of other records is empty.
    in_width = detected.trailing or any(len(record) == len(names) and not record[-1] for record in every)
    first_records = [
        record[:-1] if not in_width and record[len(names) :] == [""] else record for record in every[:rows]
    ]
    width = max(map(len, [names, *first_records]))
    if not 0 < width <= COLUMNS_AT_MOST:
        return None
    is_open = bool(first_records) and "\n" in first_records[-1][-1] and not body.rstrip().endswith('"')
    odd = [] if "ALWAYS" in settings else [at for at, each in enumerate(first_records, 1) if len(each) != len(names)]
    notes: tuple[str, ...] = (f"read {detected.said.partition(';')[0]}",) if detected.said else ()
    if odd:
        first = f"the first is record {odd[0]:,}, which has {len(first_records[odd[0] - 1]):,}"
        notes += (f"{len(odd):,} of {len(first_records):,} rows have not {len(names)} fields; {first}",)
    notes += ("the quote in the last record does not end",) if is_open and whole else ()
    names = unique_names([*names, *[""] * (width - len(names))])
    columns = [pa.array([_field(record, at, nulls) for record in every], pa.string()) for at in range(width)]
    # By index: a name may contain what SQL names may not, such as NUL.
    places = [f"c{at}" for at in range(width)]
    typed, _ = _with_types(CsvRows(_RECORDS, tuple(places)), pa.Table.from_arrays(columns, names=places), rows)
    return TextTable(typed.rename_columns(names), _format_name(detected), len(every), notes)


def _field(record: Sequence[str], at: int, nulls: set[str]) -> str | None:
    return record[at].removeprefix(MARK_OF_QUOTED) if at < len(record) and record[at] not in nulls else None


def _format_name(detected: Detected) -> str:
    delimiter = detected.settings["DELIMITER"]
    return detected.log or (detected.format.name if delimiter in ",\t" else f"CSV ({delimiter})")


def _log_lines(text: str, detected: Detected, *, whole: bool, rows: int) -> TextTable:
    lines = text if whole else text[: text.rfind("\n") + 1]
    skipped = Skipped()
    as_utf8 = detected._replace(encoding="utf-8")
    every = batches(as_utf8, io.BytesIO(lines.encode("utf-8", "replace")), skipped).read_all()
    notes = (f"read {detected.said}", *filter(None, [skipped.note()]))
    return TextTable(every.slice(0, rows), detected.log, len(every), notes)


# JSON

_BEFORE_RECORDS = re.compile(r"\s*\{\s*\"Records\"\s*:")
_GAP = re.compile(r"[\s,]*")
_WRONG = (ValueError, RecursionError)


def _json(text: str, detected: Detected, *, whole: bool, rows: int, alone: bool) -> TextTable | None:
    """Return JSON objects as rows (an array, lines, or concatenated); a single value is a document."""
    trail = _BEFORE_RECORDS.match(text) if detected.format.type == "CLOUDTRAIL" else None
    values, in_array, at = _values(text, trail.end() if trail else 0)
    objects = [*takewhile(lambda value: value.names is not None, values)]
    texts = pa.table({DOCUMENT: pa.array([value.text for value in objects], pa.string())})
    objects = objects[: _valid_count(texts)]
    ended = text[at:].strip() == ("]" if in_array else "") or bool(trail and text[at : at + 1] == "]")
    several = in_array or alone or len(objects) > 1 or not (ended or whole)
    if in_array and not ended and text[at : at + 1] == "]":  # there is more after the array
        several = False
    names = {name for value in objects for name in value.names or ()} if several else set()
    if not names or len(names) > COLUMNS_AT_MOST:
        notes: tuple[str, ...] = (f"{len(names):,} names are too many columns",) if names else ()
        return TextTable(None, "JSON", notes=notes) if ended or not whole or in_array else None
    form = detected.log or ("CloudTrail log" if trail else "JSON" if in_array else "JSON lines")
    broken = len(objects) < len(values) or (not ended and (whole or "\n{" in text[at:]))
    why = "is not a JSON object, or has a name twice" if len(objects) < len(values) else "is cut off, or is not JSON"
    notes = ()
    if broken:
        notes = (f"record {len(objects) + 1:,} {why}: neither it nor the rest is read",)
    table, kinds = _with_types(JsonRows(_RECORDS), texts.slice(0, len(objects)), rows)
    mixed = [name for name, kind in kinds.items() if kind == "JSON"]
    notes += (f"values of several types are their JSON text: {', '.join(mixed[:5])}",) if mixed else ()
    return TextTable(table, form, len(objects), notes, broken=broken)


@dataclass(frozen=True, slots=True)
class _Value:
    """A JSON value as written; `names` of an object's fields, None if it is not an object or a name appears twice."""

    text: str
    names: frozenset[str] | None


def _values(text: str, start: int) -> tuple[list[_Value], bool, int]:
    """Return the values of an array or of concatenated JSON, whether it is an array, and the offset of their end."""
    # DuckDB converts the numbers: Python limits the digits of integers.
    decoder = json.JSONDecoder(object_pairs_hook=_names, parse_int=len, parse_float=len)
    values = list[_Value]()
    at = _skip_gap(text, start)
    in_array = text[at : at + 1] == "["
    at = _skip_gap(text, at + in_array)
    while at < len(text) and not (in_array and text[at] == "]"):
        try:
            names, end = decoder.raw_decode(text, at)
        except _WRONG:
            break
        values.append(_Value(text[at:end], names if isinstance(names, frozenset) else None))
        at = _skip_gap(text, end)
    return values, in_array, at


def _names(pairs: list[tuple[str, Any]]) -> frozenset[str] | None:
    """Return the names of fields, or None if one appears twice, so that no value is lost silently."""
    names = frozenset(name for name, _ in pairs)
    return names if len(names) == len(pairs) else None


def _skip_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


_RECORDS = "records"


def _with_types(rows: TextRows, texts: pa.Table, most: int) -> tuple[pa.Table, dict[str, str]]:
    """Return the first records, each column in the type that fits all of them, and the types in SQL."""
    database = scratch_database()
    database.register(_RECORDS, texts)
    known: Any = rows.learn(database, whole=True)
    types = {name: "VARCHAR" if kind == NULL else kind for name, kind in rows.types(known).items()}
    values = _json_columns(known, types) if isinstance(rows, JsonRows) else _field_columns(types)
    source = f"(SELECT {numbers_as_written(DOCUMENT)} AS {DOCUMENT} FROM {_RECORDS})"  # noqa: S608 - names of our own
    query = f"SELECT {', '.join(values)} FROM {source if isinstance(rows, JsonRows) else _RECORDS} LIMIT {most}"  # noqa: S608 - as above
    return database.sql(query).to_arrow_table(), types


def _field_columns(types: Mapping[str, str]) -> Iterator[str]:
    """Yield the columns in SQL. The casts need no check: each type was chosen because it holds all values."""
    for name, kind in types.items():
        yield f"{cast(identifier(name), kind).value} AS {identifier(name)}"


def _json_columns(known: JsonTypes, types: Mapping[str, str]) -> Iterator[str]:
    """Yield the columns of JSON records in SQL, numbers as written."""
    values = f"json_extract({DOCUMENT}, {pointers(known.names)})"
    for at, (field, name) in enumerate(known.columns.items(), 1):
        value, kind, shape = f"{values}[{at}]", types[name], known.shape[field]
        if kind == "JSON":
            converted = f"nullif({unsigned(f'{value}::VARCHAR')}, 'null')"
        elif isinstance(shape, (dict, list)):
            converted = f"json_transform({plain_numbers(value)}, {literal(json.dumps(transformed(shape)))})::{kind}"
        else:
            converted = cast(number_text(f"({value} ->> '$')"), kind).value
        yield f"{converted} AS {identifier(name)}"


def _valid_count(texts: pa.Table) -> int:
    """Return the number of records before the first that is not JSON to SELECT and COPY."""
    database = scratch_database()
    database.register(_RECORDS, texts)
    numbered = f"SELECT row_number() OVER () - 1 AS number, * FROM {_RECORDS}"  # noqa: S608 - a name of our own
    query = f"SELECT min(number) FROM ({numbered}) WHERE NOT json_valid({DOCUMENT})"  # noqa: S608 - as above
    ((first,),) = database.execute(query).fetchall()
    return len(texts) if first is None else int(first)


_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[\]{},:]|[^\s"\[\]{},:]+')
_STEP = "  "
_DEEPEST = 40
_OPENING, _CLOSING = {"[", "{"}, {"]", "}"}


def laid_out(text: str) -> str:
    """Return JSON documents with one line for each value and every value as written; the last may be truncated."""
    parts: list[str] = []
    depth, before = 0, ""
    for piece in _TOKENS.findall(text):
        closes, opened = piece in _CLOSING, before in _OPENING
        depth -= closes
        follows = before not in {*_OPENING, ",", ":", ""} and piece not in {*_CLOSING, ",", ":"}
        if before == "," or closes != opened or follows:
            parts.append("\n" + _STEP * min(depth, _DEEPEST))
        parts.append(": " if piece == ":" else piece)
        depth += piece in _OPENING
        before = piece
    return "".join(parts)
