"""Delimited text → a table: delimiter, quotes and header by what fits the records."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from s3conn_magic.objects.columns import COLUMNS_AT_MOST, looks_typed, table, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

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
    """A delimited text as a table; `complete` when every record is in it."""

    table: pa.Table
    format: str
    complete: bool
    notes: tuple[str, ...] = ()


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
    found = _records(text, dialect.delimiter, dialect.quoting, whole=whole)
    try:
        first = list(islice(found, rows + 1))
        header = _has_header(first, named)
        records = first[1:] if header else first[:rows]
        complete = whole and len(records) == len(first) - header and next(found, None) is None
    except csv.Error:
        return None
    return _made(first[0] if header else [], records, dialect, complete=complete)


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
    """More is better. A quote that opens by mistake swallows records: as many as can be is the last criterion."""
    return one.width > 1, round(one.share, 1), one.delimiter == named, one.width, one.share, one.sure, one.records


def _tries(text: str, delimiter: str, whole: bool) -> Iterator[Dialect]:
    for quoting, strict in ((csv.QUOTE_MINIMAL, True), (csv.QUOTE_MINIMAL, False), (csv.QUOTE_NONE, False)):
        sample = _sample(text, delimiter, quoting, whole=whole, strict=strict)
        (width, count), *_ = Counter(map(len, sample)).most_common(1) or [(1, 0)]
        closed = strict and bool(whole or _sample(text, delimiter, quoting, whole=True, strict=True))
        yield Dialect(delimiter, quoting, closed and bool(sample), width, count / max(len(sample), 1), len(sample))


def _sample(text: str, delimiter: str, quoting: int, *, whole: bool, strict: bool) -> list[list[str]]:
    try:
        return list(islice(_records(text, delimiter, quoting, whole=whole, strict=strict), _SAMPLE))
    except csv.Error:
        return []


def _records(text: str, delimiter: str, quoting: int, *, whole: bool, strict: bool = False) -> Iterator[list[str]]:
    """Records but blank ones; of a text that goes on, all but the last."""
    lines = io.StringIO(text, newline="")
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


__all__ = ["Records", "read_records"]
