"""The beginning of CSV, TSV, JSON lines or a JSON array as a table."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from s3conn_magic.preview.columns import COLUMNS_AT_MOST, inferred, looks_typed, table, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

__all__ = ["Records", "read_records"]

_WRONG = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class JsonTable:
    """JSON as a table, or with `table` None as what cannot be one.

    `complete` when every object is in it; `total` and `share` as of `Records`.
    """

    table: pa.Table | None
    format: str
    complete: bool
    notes: tuple[str, ...] = ()
    total: int | None = None
    share: float = 0.0


def read_json(text: str, *, whole: bool, rows: int) -> JsonTable | None:
    """The first objects of a text, or None where it is no JSON.

    Args:
        text: the beginning; where it is not `whole`, the last line may be cut and is left out.
        whole: whether nothing follows.
        rows: at most.
    """
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    return _lines(text, whole, rows) or (_document(text, rows) if whole else None) or _cut(text, whole)


def _lines(text: str, whole: bool, rows: int) -> JsonTable | None:
    """One object a line, two lines at least: a single one is a document."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not whole and not text.endswith("\n"):
        lines.pop()
    if len(lines) < 2 and (whole or not lines):  # noqa: PLR2004
        return None
    objects, notes = _parsed(lines[:rows])
    if objects is None:
        return None
    taken = sum(len(line) + 1 for line in lines[: len(objects)])
    found = _objects(objects, "JSON lines", complete=whole and len(lines) <= rows, notes=notes)
    return replace(found, share=_share(text, len(objects), taken))


def _share(text: str, records: int, taken: int) -> float:
    """How much of a record a character is: by the lines of all the text where it has any, since first ones are short.

    Args:
        text: all that was read.
        records: that were taken of it.
        taken: its characters that these take.
    """
    lines, ends = text.count("\n", 0, taken), text.count("\n")
    return records / lines * ends / len(text) if lines else records / max(taken, 1)


def _parsed(lines: Sequence[str]) -> tuple[list[Any] | None, tuple[str, ...]]:
    """The lines up to the first that is no object; that must not be one of the first two."""
    objects: list[Any] = []
    for line in lines:
        try:
            found = json.loads(line)
        except _WRONG:
            found = None
        if not isinstance(found, dict):
            return (objects, (f"line {len(objects) + 1:,} is not a JSON object",)) if len(objects) > 1 else (None, ())
        objects.append(found)
    return objects, ()


def _document(text: str, rows: int) -> JsonTable | None:
    try:
        found = json.loads(text)
    except _WRONG:
        return None
    if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
        return replace(_objects(found[:rows], "JSON", complete=len(found) <= rows), total=len(found))
    return JsonTable(None, "JSON", complete=True)


def _cut(text: str, whole: bool) -> JsonTable | None:
    """What begins like JSON and goes on behind what was read."""
    if whole:
        return None
    head = text.lstrip()
    likely = head[1:].lstrip()[:1] in ({'"'} if head[0] == "{" else set('{["-0123456789tfn'))
    return JsonTable(None, "JSON", complete=False) if likely else None


_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s"\[\]{},:]+')
_STEP = "  "
_DEEPEST = 40
_OPENING, _CLOSING = {"[", "{"}, {"]", "}"}


def laid_out(text: str) -> str:
    """A JSON document with a line for each value, and every value as it is written."""
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


def _objects(objects: Sequence[dict[str, Any]], name: str, *, complete: bool, notes: tuple[str, ...] = ()) -> JsonTable:
    """A column for every name that any of the objects has, in the order they come."""
    names = list(dict.fromkeys(key for one in objects for key in one))
    if not names or len(names) > COLUMNS_AT_MOST:
        notes += (f"{len(names):,} names are too many columns",) if names else ()
        return JsonTable(None, name, complete=complete, notes=notes)
    columns = [inferred([one.get(key) for one in objects]) for key in names]
    mixed = [key for key, (_, as_text) in zip(names, columns, strict=True) if as_text]
    notes += (f"values of several types are their JSON text: {', '.join(mixed[:5])}",) if mixed else ()
    return JsonTable(table(names, (column for column, _ in columns)), name, complete=complete, notes=notes)


_DELIMITERS = ",\t;|"
_SAMPLE = 200
_MOSTLY, _BARELY = 0.9, 0.5
_FEWEST_RECORDS = 3
_NAME_AT_MOST = 100
_FIGURES = re.compile(r"[\d\s.,:/+-]+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How records are written, and how many of those looked at have the usual number of fields.

    `sure` when all quotes stand where they must and close.
    """

    delimiter: str
    quoting: int
    sure: bool
    width: int
    share: float
    records: int

    @property
    def format(self) -> str:
        """CSV, TSV, or by what the fields are separated."""
        return {",": "CSV", "\t": "TSV"}.get(self.delimiter, f"CSV ({self.delimiter})")


@dataclass(frozen=True, slots=True)
class Records:
    """A delimited text as a table; `complete` when every record is in it.

    `total` is how many records there are, where the text is whole; `share` is what a character has of one.
    """

    table: pa.Table
    format: str
    complete: bool
    notes: tuple[str, ...] = ()
    total: int | None = None
    share: float = 0.0


def read_records(text: str, *, whole: bool, rows: int, named: str | None) -> Records | None:
    """The first records of a text, or None where it is no table.

    Args:
        text: the beginning; where it is not `whole`, the last record may be cut and is left out.
        whole: whether nothing follows.
        rows: at most.
        named: the delimiter that name or content type promise: then one column is enough, and records that differ
            in their number of fields are forgiven.
    """
    dialect = _dialect(text, whole, named)
    if dialect is None or dialect.width > COLUMNS_AT_MOST:
        return None
    lines = io.StringIO(text, newline="")
    found = _records(lines, dialect.delimiter, dialect.quoting, whole=whole)
    try:
        first = list(islice(found, rows + 1))
        # One record more was read than given.
        share = _share(text, len(first) + 1, lines.tell())
        header = _has_header(first, named)
        records = first[1:] if header else first[:rows]
        total = len(first) - header + sum(1 for _ in found) if whole else None
        complete = total == len(records)
    except csv.Error:
        return None
    made = _made(first[0] if header else [], records, dialect, complete=complete)
    return made and replace(made, total=total, share=share)


def _made(header: list[str], records: list[list[str]], dialect: Dialect, *, complete: bool) -> Records | None:
    width = max(map(len, [header, *records]))
    if width > COLUMNS_AT_MOST:
        return None
    usual = len(header) or dialect.width
    odd = sum(len(one) != usual for one in records)
    notes = (f"{odd:,} of {len(records):,} rows have not {usual} fields",) if odd else ()
    names = [(header[at] if at < len(header) else "") or f"column_{at + 1}" for at in range(width)]
    columns = [typed([one[at] or None if at < len(one) else None for one in records]) for at in range(width)]
    return Records(table(names, columns), dialect.format, complete, notes)


def _dialect(text: str, whole: bool, named: str | None) -> Dialect | None:
    found = [one for each in _DELIMITERS for one in _tries(text, each, whole)]
    best = max(found, key=lambda one: _fit(one, named))
    if named is None:
        certain = best.width > 1 and best.share == 1 and best.records >= _FEWEST_RECORDS
        return best if certain else None
    if best.width > 1 and best.share >= _BARELY:
        return best
    return next((one for one in found if one.delimiter == named and one.width == 1 and one.share >= _MOSTLY), None)


def _fit(one: Dialect, named: str | None) -> tuple[Any, ...]:
    """More is better. Quotes that all close hold delimiters, which would only look like more fields.

    A quote that opens by mistake swallows records: as many as can be is the last criterion.
    """
    return one.width > 1, round(one.share, 1), one.delimiter == named, one.sure, one.width, one.share, one.records


def _tries(text: str, delimiter: str, whole: bool) -> Iterator[Dialect]:
    for quoting, strict in ((csv.QUOTE_MINIMAL, True), (csv.QUOTE_MINIMAL, False), (csv.QUOTE_NONE, False)):
        sample = _sample(text, delimiter, quoting, whole=whole, strict=strict)
        (width, count), *_ = Counter(map(len, sample)).most_common(1) or [(1, 0)]
        closed = strict and bool(whole or _sample(text, delimiter, quoting, whole=True, strict=True))
        yield Dialect(delimiter, quoting, closed and bool(sample), width, count / max(len(sample), 1), len(sample))


def _sample(text: str, delimiter: str, quoting: int, *, whole: bool, strict: bool) -> list[list[str]]:
    try:
        return list(
            islice(_records(io.StringIO(text, newline=""), delimiter, quoting, whole=whole, strict=strict), _SAMPLE)
        )
    except csv.Error:
        return []


def _records(
    lines: io.StringIO, delimiter: str, quoting: int, *, whole: bool, strict: bool = False
) -> Iterator[list[str]]:
    """Records but blank ones; of a text that goes on, all but the last."""
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=strict)  # type: ignore[arg-type]
    held: list[str] | None = None
    try:
        for record in reader:
            if held is not None:
                yield held
            held = record or None
    except csv.Error as error:
        # A quote that is open where the text was cut belongs to the record that is left out.
        if whole or "unexpected end" not in str(error):
            raise
        whole = True
    if held is not None and whole:
        yield held


def _has_header(records: Sequence[list[str]], named: str | None) -> bool:
    """Whether the first record names the columns: short texts, all different, none of them a value."""
    if not records or (len(records) == 1 and named is None):
        return False
    names = records[0]
    filled = [name for name in names if name.strip()]
    # Only the first may lack a name: frames are written with an index.
    good = filled in (names, names[1:]) and filled and len(set(filled)) == len(filled)
    return bool(good) and all(len(name) <= _NAME_AT_MOST and not _is_value(name) for name in filled)


def _is_value(text: str) -> bool:
    return looks_typed(text) or bool(_FIGURES.fullmatch(text))
