"""The beginning of a text as a table, by what `detect` says of it: the columns and rows that SELECT and COPY have."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import QueryError
from s3conn_magic.objects.dialects import MARK_OF_QUOTED, records, unique_names, without_lines
from s3conn_magic.objects.formats import HEAD, detect
from s3conn_magic.preview.columns import COLUMNS_AT_MOST, inferred, table, typed
from s3conn_magic.query.line_rows import Skipped, batches
from s3conn_magic.query.text_types import nulls_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from s3conn_magic.objects.formats import Detected


@dataclass(frozen=True, slots=True)
class TextTable:
    """The first rows of a text; `table` is None for a document of JSON, which is none.

    `count` is how many records all of the text has that was read; `broken` when others follow that cannot be read.
    """

    table: pa.Table | None
    format: str
    count: int = 0
    notes: tuple[str, ...] = ()
    broken: bool = False


def read_table(key: str, text: str, *, whole: bool, rows: int) -> TextTable | None:
    """The first rows of a text, or None where it is no table.

    Args:
        key: of the object.
        text: the beginning; where it is not `whole`, the last record may be cut and is left out.
        whole: whether nothing follows.
        rows: at most.
    """
    head = text[:HEAD].encode("utf-8", "replace")
    try:
        detected = detect(key, head, compression="NONE", whole=whole and len(text) <= HEAD)
    except QueryError:
        return None
    if detected.format.reader == "read_json":
        return _json(text, detected, whole=whole, rows=rows)
    read = _delimited if detected.format.reader == "read_csv" else _by_pattern if detected.log else None
    return read(text, detected, whole=whole, rows=rows) if read else None


# Records of fields


def _delimited(text: str, detected: Detected, *, whole: bool, rows: int) -> TextTable | None:
    settings, names = detected.settings, [*detected.names]
    plain = without_lines(text, settings.get("SKIP_LINES", 0), settings.get("COMMENT_PREFIX", ""))
    nulls = {*nulls_of(settings)}
    # Within quotes a text that stands for no value is one, but not in logs.
    marked = () if detected.log or MARK_OF_QUOTED in plain else nulls
    every = records(plain, settings["DELIMITER"], whole=whole, most=None, marked=marked)[int(settings["HEADER"]) :]
    # As in DuckDB, a delimiter behind the last field begins no other.
    shown = [record[:-1] if record[len(names) :] == [""] else record for record in every[:rows]]
    width = max(map(len, [names, *shown]))
    if not 0 < width <= COLUMNS_AT_MOST:
        return None
    is_open = bool(shown) and "\n" in shown[-1][-1] and not plain.rstrip().endswith('"')
    odd = sum(len(record) != len(names) for record in shown)
    notes: tuple[str, ...] = (f"read {detected.said.partition(';')[0]}",) if detected.said else ()
    notes += (f"{odd:,} of {len(shown):,} rows have not {len(names)} fields",) if odd else ()
    notes += ("the quote in the last record does not end",) if is_open and whole else ()
    columns = [typed([_field(record, at, nulls) for record in shown]) for at in range(width)]
    names = unique_names([*names, *[""] * (width - len(names))])
    return TextTable(table(names, columns), _name_of(detected), len(every), notes)


def _field(record: Sequence[str], at: int, nulls: set[str]) -> str | None:
    return record[at].removeprefix(MARK_OF_QUOTED) if at < len(record) and record[at] not in nulls else None


def _name_of(detected: Detected) -> str:
    delimiter = detected.settings["DELIMITER"]
    return detected.log or (detected.format.name if delimiter in ",\t" else f"CSV ({delimiter})")


def _by_pattern(text: str, detected: Detected, *, whole: bool, rows: int) -> TextTable:
    lines = text if whole else text[: text.rfind("\n") + 1]
    skipped = Skipped()
    plain = detected._replace(encoding="utf-8")
    every = batches(plain, io.BytesIO(lines.encode("utf-8", "replace")), skipped).read_all()
    notes = (f"read {detected.said}", *filter(None, [skipped.note()]))
    return TextTable(every.slice(0, rows), detected.log, len(every), notes)


# JSON

_BEFORE_RECORDS = re.compile(r"\s*\{\s*\"Records\"\s*:")
_GAP = re.compile(r"[\s,]*")
_WRONG = (ValueError, RecursionError)


def _json(text: str, detected: Detected, *, whole: bool, rows: int) -> TextTable | None:
    """Objects as rows: of an array, of lines, or one behind the other; a single value is a document."""
    trail = _BEFORE_RECORDS.match(text) if detected.format.type == "CLOUDTRAIL" else None
    values, in_array, at = _values(text, trail.end() if trail else 0)
    objects = [*takewhile(lambda value: isinstance(value, dict), values)]
    ended = text[at:].strip() == ("]" if in_array else "") or bool(trail and text[at : at + 1] == "]")
    several = in_array or len(objects) > 1 or not (ended or whole)
    if in_array and not ended and text[at : at + 1] == "]":  # more stands behind it
        several = False
    names = [*dict.fromkeys(name for value in objects[:rows] for name in value)] if several else []
    if not names or len(names) > COLUMNS_AT_MOST:
        notes = (f"{len(names):,} names are too many columns",) if names else ()
        return TextTable(None, "JSON", notes=notes) if ended or not whole or in_array else None
    form = detected.log or ("CloudTrail log" if trail else "JSON" if in_array else "JSON lines")
    broken = len(objects) < len(values) or (not ended and (whole or "\n{" in text[at:]))
    said = "is not a JSON object, or has a name twice" if len(objects) < len(values) else "is cut off, or is no JSON"
    notes = (f"record {len(objects) + 1:,} {said}: neither it nor what follows is read",) if broken else ()
    return _objects(objects, names, rows, TextTable(None, form, len(objects), notes, broken=broken))


def _values(text: str, start: int) -> tuple[list[Any], bool, int]:
    """The values of an array, or of those that stand one behind the other; whether it is one, and where they end."""
    decoder, values = json.JSONDecoder(object_pairs_hook=_object), list[Any]()
    at = _behind(text, start)
    in_array = text[at : at + 1] == "["
    at = _behind(text, at + in_array)
    while at < len(text) and not (in_array and text[at] == "]"):
        try:
            value, at = decoder.raw_decode(text, at)
        except _WRONG:
            break
        values.append(value)
        at = _behind(text, at)
    return values, in_array, at


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """None where a name stands twice, so that no value of it is lost without a word."""
    made = dict(pairs)
    return made if len(made) == len(pairs) else None


def _behind(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _objects(objects: Sequence[dict[str, Any]], names: Sequence[str], rows: int, seen: TextTable) -> TextTable:
    """A column for every name that any of the objects has, in the order they come."""
    columns = [inferred([value.get(name) for value in objects[:rows]]) for name in names]
    mixed = [name for name, (_, as_text) in zip(names, columns, strict=True) if as_text]
    notes = (f"values of several types are their JSON text: {', '.join(mixed[:5])}",) if mixed else ()
    made = table(unique_names(names), (column for column, _ in columns))
    return replace(seen, table=made, notes=seen.notes + notes)


_PIECES = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[\]{},:]|[^\s"\[\]{},:]+')
_STEP = "  "
_DEEPEST = 40
_OPENING, _CLOSING = {"[", "{"}, {"]", "}"}


def laid_out(text: str) -> str:
    """A JSON document with a line for each value, and every value as it is written; it may be cut."""
    parts: list[str] = []
    depth, before = 0, ""
    for piece in _PIECES.findall(text):
        closes, opened = piece in _CLOSING, before in _OPENING
        depth -= closes
        if before == "," or (closes != opened):
            parts.append("\n" + _STEP * min(depth, _DEEPEST))
        parts.append(": " if piece == ":" else piece)
        depth += piece in _OPENING
        before = piece
    return "".join(parts)
