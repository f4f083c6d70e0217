"""A table of text by its first lines: what separates the fields, and whether the first line names them.

Whether there is a header is decided by these rules, the first that fits:

    1   a name is empty for all columns, or one is data (a number, a date, a time, TRUE, NULL, a UUID): no
    2   a column is named, and all of its values below are numbers, dates or booleans: yes
    3   all names are there, differ, look like names, and none stands among the values below it: yes, by its look alone
    4   otherwise: no
"""

from __future__ import annotations

import csv
import re
from io import StringIO
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_DELIMITERS = ",;\t|"
_CERTAIN = "\t|;,"
_RECORDS = 20
_LOOKED_AT = 1000
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
# Logs write so the milliseconds of each line.
_MILLISECONDS = re.compile(r"(?<=\d:\d\d),(?=\d{3}(?!\d))")
_NUMBER = re.compile(
    r"[-+]?[$€£]?(?:\d[\d.,_ ']*|\.\d+)(?:[eE][-+]?\d+)?\s?%?|[-+]?(?:inf|infinity|nan)|0[xX][\da-fA-F]+"
)
_TIME = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?[AaPp][Mm])?(?:\s?(?:Z|UTC|[-+]\d\d:?\d\d|[-+]\d\d))?"
_DATE = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,4}[-/ ][A-Za-z]{3}[-/ ]\d{1,4}|[A-Za-z]{3}\.? \d{1,2}, ?\d{4}"
_MOMENT = re.compile(rf"(?:{_DATE})(?:[T :]\s?{_TIME})?|{_TIME}")
_BOOLEAN = re.compile(r"true|false", re.IGNORECASE)
_NULL = re.compile(r"null|none|n/?a|nan|nil|\\N|--?", re.IGNORECASE)
_UUID = re.compile(r"[\da-fA-F]{8}-?(?:[\da-fA-F]{4}-?){3}[\da-fA-F]{12}")
_NAME = re.compile(r"[^\W\d][\w .()/%#:$+-]{0,63}")


class Header(NamedTuple):
    """Whether the first record names the columns, and whether more than its look says so."""

    there: bool
    sure: bool


def records(text: str, delimiter: str, *, whole: bool, escape: str = '"') -> list[list[str]]:
    """The first records of a text; the last is left out where it may be cut.

    Args:
        text: the beginning.
        delimiter: between the fields; of one character or more.
        whole: whether nothing follows.
        escape: stands before a quote in a quoted field.
    """
    if len(delimiter) > 1:
        found = [line.split(delimiter) for line in text.splitlines()]
    else:
        doubled = escape == '"'
        reader = csv.reader(
            StringIO(text, newline=""), delimiter=delimiter, doublequote=doubled, escapechar=None if doubled else escape
        )
        found = list(islice(_readable(reader), _LOOKED_AT + 1))
    cut = not whole and len(found) <= _LOOKED_AT and len(found) > 1
    return [record for record in (found[:-1] if cut else found) if record]


def _readable(reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error:
        return


def certain_delimiter(text: str, *, whole: bool) -> str | None:
    """The delimiter that every record of a text has equally often, at least two records; None where there is none.

    Args:
        text: the beginning.
        whole: whether nothing follows.
    """
    masked = _MILLISECONDS.sub(".", text)
    for delimiter in _CERTAIN:
        if delimiter not in masked:
            continue
        found = records(masked, delimiter, whole=whole)
        widths = {len(record) for record in found}
        if len(found) > 1 and len(widths) == 1 and widths != {1} and not _is_prose(found):
            return delimiter
    return None


def _is_prose(found: Sequence[Sequence[str]]) -> bool:
    """Whether the fields are the parts of sentences: a space before each, and no number in any."""
    spaced = all(field.startswith(" ") for record in found for field in record[1:])
    return spaced and not any(_is_typed(field.strip()) for record in found for field in record)


def likely_delimiter(text: str) -> str:
    """By what the fields of the first records are separated: what most of them have as often as the first has it.

    DuckDB would rather find one column, or skip records at the beginning, than an error in records that are uneven.
    """
    lines = [line for line in _QUOTED.sub('""', text).splitlines() if line][:_RECORDS]
    counts = {each: [line.count(each) for line in lines] for each in _DELIMITERS}
    scores = {each: _evenness(counts[each]) for each in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda each: scores[each])
    if scores[best][1] and best == "," and not any("," in _DECIMAL_COMMA.sub("", line) for line in lines):
        # 1,5;2,5
        best = max(";\t|,", key=lambda each: scores[each][0])
    return best


def _evenness(counts: Sequence[int]) -> tuple[float, int]:
    if not counts or not counts[0]:
        return 0.0, 0
    return counts.count(counts[0]) / len(counts), counts[0]


def header_of(found: Sequence[Sequence[str]], nulls: Collection[str] = ()) -> Header:
    """Whether the first of some records is a header.

    Args:
        found: the first records.
        nulls: texts that stand for no value.
    """
    if not found:
        return Header(there=True, sure=True)
    names = [cell.strip() for cell in found[0]]
    if not any(names) or any(_is_value(name, nulls) for name in names if name):
        return Header(there=False, sure=True)
    below = [_there(column, nulls) for column in zip_longest(*found[1:], fillvalue="")]
    if any(name and values and all(map(_is_typed, values)) for name, values in zip(names, below, strict=False)):
        return Header(there=True, sure=True)
    folded = [name.casefold() for name in names]
    named = all(map(_NAME.fullmatch, names)) and len(set(folded)) == len(folded)
    again = any(name in map(str.casefold, values) for name, values in zip(folded, below, strict=False))
    return Header(named and not again, sure=False)


def _there(column: Sequence[str], nulls: Collection[str]) -> list[str]:
    return [cell.strip() for cell in column if cell.strip() and cell not in nulls and not _NULL.fullmatch(cell.strip())]


def _is_typed(cell: str) -> bool:
    return any(pattern.fullmatch(cell) for pattern in (_NUMBER, _MOMENT, _BOOLEAN))


def _is_value(cell: str, nulls: Collection[str]) -> bool:
    return cell in nulls or _is_typed(cell) or bool(_NULL.fullmatch(cell) or _UUID.fullmatch(cell))


def without_lines(text: str, skipped: int, comment: str) -> str:
    """A text without its first lines, and without those that are comments."""
    lines = text.splitlines(keepends=True)[skipped:]
    return "".join(line for line in lines if not line.startswith(comment)) if comment else "".join(lines)
