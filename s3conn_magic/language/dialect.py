"""Translate Upsolver's dialect in a query to DuckDB's: system columns, LET, arrays by `[]`, and the time of a run."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.language.job_values import DatePattern
from s3conn_magic.language.source import DOLLAR_QUOTED
from s3conn_magic.language.words import identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SYSTEM_COLUMNS = ("$event_time", "$event_date", "$commit_time", "$source")
"""System columns that a COPY writes."""
# Those of change data capture, which a table may have too.
_CAPTURED = (
    "$primary_key",
    "$is_delete",
    "$table_name",
    "$full_table_name",
    "$schema_name",
    "$database_name",
    "$operation",
)
_COLUMNS = frozenset((*SYSTEM_COLUMNS, *_CAPTURED))
_FUNCTIONS = {
    "FROM_UNIXTIME": "to_timestamp",
    "TO_UNIX_EPOCH_MILLIS": "epoch_ms",
    "TO_UNIX_EPOCH_SECONDS": "epoch",
    "ARRAY_SUM": "list_sum",
    "ARRAY_MAX": "list_max",
    "ARRAY_MIN": "list_min",
    "ARRAY_AVG": "list_avg",
    "ARRAY_JOIN": "array_to_string",
    "FORMAT_DATETIME": "strftime",
    "PARSE_DATETIME": "strptime",
}
"""Upsolver's functions with another name in DuckDB, and the same meaning."""
_BY_PATTERN = {"FORMAT_DATETIME", "PARSE_DATETIME"}
"""Functions whose last argument is a date pattern, such as `yyyy-MM-dd`."""
_TOKEN = re.compile(
    rf"""'(?:[^']|'')*+'|"(?:[^"]|"")*+"|{DOLLAR_QUOTED}|\$?[A-Za-z_][A-Za-z0-9_]*|[0-9][0-9A-Za-z_.]*|::|<>|[<>!]=|\|\||\S"""
)
_DIALECT = re.compile(
    r"(?i)\$(?:event_|commit_|source|primary_key|is_delete|table_name|full_table|schema_name|database_name|operation)"
    rf"|\bLET\b|\[\s*\]|\btime_filter\s*\(|\brun_(?:start|end)_time\s*\(|\b(?:{'|'.join(_FUNCTIONS)})\s*\(|\A[\s(]*UNNEST\b"
)
_OPEN, _CLOSE = {"(", "[", "{", "CASE"}, {")", "]", "}", "END"}
_CLAUSES = "WHERE GROUP HAVING ORDER LIMIT OFFSET UNION EXCEPT INTERSECT WINDOW QUALIFY LET"
_BREAKS = "AND OR NOT ON WHEN THEN ELSE SELECT FROM JOIN AS , ; ="
_BEFORE = "( [ DISTINCT BY CASE IN LIKE BETWEEN IS USING VALUES ALL ANY + - * / % < > <= >= <> != ||"
_NAMED = (
    "ARRAY BIGINT BIGNUM BINARY BIT BITSTRING BLOB BOOL BOOLEAN BPCHAR BYTEA CHAR DATE DATETIME DEC DECIMAL"
    " DOUBLE FLOAT FLOAT4 FLOAT8 GEOMETRY GUID HUGEINT INT INT1 INT128 INT16 INT2 INT32 INT4 INT64 INT8 INTEGER"
    " INTEGRAL INTERVAL JSON LOGICAL LONG NUMERIC NVARCHAR OID PARQUET_VARIANT REAL SHORT SIGNED SMALLINT STRING"
    " TEXT TIME TIMESTAMP TIMESTAMPTZ TIMESTAMPTZ_NS TIMESTAMP_MS TIMESTAMP_NS TIMESTAMP_S TIMESTAMP_US TIMETZ"
    " TIME_NS TINYINT UBIGINT UHUGEINT UINT128 UINT16 UINT32 UINT64 UINT8 UINTEGER USMALLINT UTINYINT UUID"
    " VARBINARY VARCHAR VARIANT VARINT ZONE"
)
_LEVEL = {*_CLAUSES.split()}
_ENDS = _LEVEL | {*_BREAKS.split()}
"""Words that end an operand of BETWEEN outside parentheses."""
_BEFORE_VALUE, _TYPES = _ENDS | {*_BEFORE.split()}, {*_NAMED.split()}
_RUN_TIMES = {"RUN_START_TIME", "RUN_END_TIME"}


class DialectError(Exception):
    """An unsupported part of a query, and its offset."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message, self.at = message, at


class _Word(NamedTuple):
    """A token of a query: its text (in upper case for a word), offset, and depth in parentheses."""

    text: str
    start: int
    end: int
    depth: int


class Rewritten(NamedTuple):
    """A query for DuckDB.

    Attributes:
        text: the query.
        edits: offset and length of each replacement, and the original span.
    """

    text: str
    edits: tuple[tuple[int, int, int, int], ...] = ()

    def written_at(self, at: int) -> int:
        """Return the original offset of a character."""
        index = bisect_right([edit[0] for edit in self.edits], at) - 1
        if index < 0:
            return at
        start, length, old_start, old_end = self.edits[index]
        return old_start if at < start + length else at - (start + length) + old_end


def duckdb_query(text: str, is_variable: Callable[[str], bool] = lambda _: False) -> Rewritten:
    """Return Upsolver's query translated for DuckDB; a query for DuckDB stays.

    Args:
        text: the query.
        is_variable: returns whether a name after `$` is a Python variable, which precedes a column of that name.

    Raises:
        DialectError: a part has no counterpart.
    """
    if _DIALECT.search(text) is None:
        return Rewritten(text)
    edits = _Query(text, is_variable).edits()
    pieces, made, at, length = list[str](), list[tuple[int, int, int, int]](), 0, 0
    for start, end, new in sorted(edits):
        pieces += [text[at:start], new]
        length += start - at
        made.append((length, len(new), start, end))
        length += len(new)
        at = end
    return Rewritten("".join([*pieces, text[at:]]), tuple(made))


_Edit = tuple[int, int, str]


class _Query:
    def __init__(self, text: str, is_variable: Callable[[str], bool]) -> None:
        self._text, self._is_variable = text, is_variable
        self._words = list(_words(text))
        self._numbers = count(1)
        self._edits: list[_Edit] = []

    def edits(self) -> list[_Edit]:
        """Return the replacements; none overlap."""
        apart = self._unwrap()
        self._expand_arrays(apart=apart)
        self._set_windows()
        self._expand_lets()
        for edit in self._names(0, len(self._words)):
            if not _is_within(edit, self._edits):
                self._edits.append(edit)
        return self._edits

    def _replace(self, start: int, end: int, new: str) -> None:
        """Replace a span, including earlier replacements in it."""
        self._edits = [edit for edit in self._edits if not (start <= edit[0] and edit[1] <= end and start < end)]
        self._edits.append((start, end, new))

    def _unwrap(self) -> bool:
        """Remove `UNNEST( … )` around a query; return whether there was one."""
        words = self._words
        first = next((at for at, word in enumerate(words) if word.text != "("), 0)
        if len(words) <= first + 1 or (words[first].text, words[first + 1].text) != ("UNNEST", "("):
            return False
        end = self._closing(first + 1)
        self._replace(words[first].start, words[first + 1].end, "")
        self._replace(words[end].start, words[end].end, "")
        return True

    def _closing(self, at: int) -> int:
        depth = self._words[at].depth
        return next(
            (end for end in range(at + 1, len(self._words)) if self._words[end].depth <= depth), len(self._words) - 1
        )

    def _written(self, start: int, end: int) -> str:
        """Return the text between two words, with the replacements so far."""
        if start >= end:
            return ""
        at, last = self._words[start].start, self._words[end - 1].end
        inner = [edit for edit in self._edits if at <= edit[0] and edit[1] <= last]
        inner += [edit for edit in self._names(start, end) if not _is_within(edit, inner)]
        pieces = list[str]()
        for begins, ends, new in sorted(inner):
            pieces += [self._text[at:begins], new]
            at = ends
        return "".join([*pieces, self._text[at:last]])

    # Columns and functions

    def _names(self, start: int, end: int) -> Iterator[_Edit]:
        for at in range(start, end):
            if new := self._column(self._words[at]) or self._function(at) or self._pattern(at):
                yield self._words[at].start, self._words[at].end, new

    def _column(self, word: _Word) -> str:
        name = word.text.lower()
        return identifier(name) if name in _COLUMNS and not self._is_variable(name[1:]) else ""

    def _function(self, at: int) -> str:
        words = self._words
        called = at + 1 < len(words) and words[at + 1].text == "("
        if called and words[at].text in _BY_PATTERN and words[self._closing(at + 1) - 1].text[0] != "'":
            raise DialectError(f"{words[at].text} takes a pattern of times in quotes", words[at].start)
        return _FUNCTIONS.get(self._words[at].text, "") if called and self._before(at) != "." else ""

    def _pattern(self, at: int) -> str:
        """Return the pattern in a quoted word for strftime()."""
        words, word = self._words, self._words[at]
        if word.text[0] != "'" or at + 1 == len(words) or words[at + 1].text != ")":
            return ""
        opening = next((each for each in range(at, 0, -1) if words[each].depth < word.depth), 0)
        if not opening or words[opening - 1].text not in _BY_PATTERN:
            return ""
        try:
            pattern = DatePattern.parse(self._text[word.start + 1 : word.end - 1].replace("''", "'")).format
        except (ValueError, KeyError) as error:
            reason = error if isinstance(error, ValueError) else f"{error} is not a field of a time"
            raise DialectError(f"this is not a pattern of times: {reason}", word.start) from None
        return "'" + pattern.replace("'", "''") + "'"

    def _before(self, at: int) -> str:
        return self._words[at - 1].text if at else ""

    # Time of a run

    def _set_windows(self) -> None:
        for at, word in enumerate(self._words):
            if word.text == "TIME_FILTER" and at + 1 < len(self._words) and self._words[at + 1].text == "(":
                end = self._closing(at + 1)
                self._replace(word.start, self._words[end].end, self._filter(at + 1, end))
            elif word.text == "BETWEEN":
                self._between(at)

    def _filter(self, start: int, end: int) -> str:
        words = [word.text for word in self._words[start + 1 : end]]
        column = words[2].lower() if words[:2] == ["TIMECOLUMN", "="] and len(words) == 3 else ""  # noqa: PLR2004
        if words and column not in {"$event_time", "$commit_time"}:
            message = "time_filter() takes neither windowSize nor windowEndTime here: its window is that of the run"
            raise DialectError(message, self._words[start].start)
        return _window("", column or "$event_time", "run_start_time()", "run_end_time()")

    def _between(self, at: int) -> None:
        """Make a BETWEEN on the time of a run include the start and exclude the end."""
        words, depth = self._words, self._words[at].depth
        middle = next(
            (end for end in range(at + 1, len(words)) if words[end].text == "AND" and words[end].depth == depth), 0
        )
        if not middle:
            return
        end = self._operand_end(middle + 1, depth)
        if not _RUN_TIMES & {word.text for word in words[at + 1 : end]}:
            return
        negated = self._before(at) == "NOT"
        last = at - negated
        first = self._operand_start(last - 1, depth)
        low, high = self._written(at + 1, middle), self._written(middle + 1, end)
        column = words[last - 1].text.lower()
        if column in SYSTEM_COLUMNS and not self._is_variable(column[1:]) and self._is_chain(first, last):
            condition = _window(self._text[words[first].start : words[last - 1].start], column, low, high)
        else:
            condition = f"run_window({self._written(first, last)}, {low}, {high})"
        self._replace(words[first].start, words[end - 1].end, f"NOT {condition}" if negated else condition)

    def _is_chain(self, first: int, last: int) -> bool:
        """Return whether words are a column, possibly qualified."""
        return (
            all((at - first) % 2 == 0 or self._words[at].text == "." for at in range(first, last))
            and (last - first) % 2 == 1
        )

    def _operand_start(self, at: int, depth: int) -> int:
        while at >= 0 and not self._ends(at, depth, _ENDS):
            at -= 1
        return at + 1

    def _operand_end(self, at: int, depth: int, ends: set[str] = _ENDS) -> int:
        while at < len(self._words) and not self._ends(at, depth, ends):
            at += 1
        return at

    def _ends(self, at: int, depth: int, ends: set[str]) -> bool:
        """Return whether parentheses of a depth end at a word: by closing, or by a word of that depth."""
        word = self._words[at]
        return word.depth < depth or (word.depth == depth and word.text in ends)

    # LET

    def _expand_lets(self) -> None:
        for at, word in enumerate(self._words):
            if word.text == "LET" and self._is_let(at):
                end = self._operand_end(at + 1, word.depth, _LEVEL)
                named = [*self._named(at + 1, end)]
                select, clauses = self._select_of(at)
                if "GROUP" in clauses:
                    self._replace(word.start, self._words[end - 1].end, "")
                    self._substituted(select, named, (at, end))
                    continue
                columns = ", ".join(f"{self._written(first, last)} AS {name}" for name, first, last in named)
                subquery = f", LATERAL (SELECT {columns}) AS let_{next(self._numbers)}"
                # The expansion of arrays precedes it.
                self._replace(word.start, self._words[end - 1].end, subquery)

    def _is_let(self, at: int) -> bool:
        following = [word.text for word in self._words[at + 1 : at + 3]]
        named = len(following) == 2 and following[1] == "="  # noqa: PLR2004
        return named and self._before(at) not in _BEFORE_VALUE and "FROM" in self._select_of(at)[1]

    def _select_of(self, at: int) -> tuple[int, set[str]]:
        """Return where the SELECT of a clause begins, and the words of its level before the clause."""
        depth, words = self._words[at].depth, set[str]()
        for before in range(at - 1, -1, -1):
            word = self._words[before]
            if word.depth < depth:
                break
            if word.depth == depth:
                words.add(word.text)
            if word.depth == depth and word.text == "SELECT":
                return before, words
        return 0, words

    def _named(self, at: int, end: int) -> Iterator[tuple[str, int, int]]:
        """Yield the names of a LET, with the first and last word of their expressions."""
        depth = self._words[at].depth
        starts = [
            at,
            *(
                comma + 1
                for comma in range(at, end)
                if self._words[comma].text == "," and self._words[comma].depth == depth
            ),
        ]
        for first, following in zip(starts, [*(start - 1 for start in starts[1:]), end], strict=True):
            word = self._words[first]
            yield self._text[word.start : word.end], first + 2, following

    def _substituted(self, select: int, named: Sequence[tuple[str, int, int]], but: tuple[int, int]) -> None:
        """Replace the names of a LET with aggregates by their expressions."""
        depth = self._words[select].depth
        values = {name.upper(): (name, self._written(first, last)) for name, first, last in named}
        for at in range(select, self._statement_end(select, depth)):
            word = self._words[at]
            if but[0] <= at < but[1] or word.text not in values or self._before(at) in {".", "AS"}:
                continue
            name, value = values[word.text]
            following = self._words[at + 1].text if at + 1 < len(self._words) else ""
            alone = self._before(at) in {"SELECT", ","} and following in {",", "FROM"}
            self._replace(word.start, word.end, f"({value}) AS {name}" if alone else f"({value})")

    def _statement_end(self, at: int, depth: int) -> int:
        return next((end for end in range(at, len(self._words)) if self._words[end].depth < depth), len(self._words))

    # Arrays

    def _expand_arrays(self, *, apart: bool) -> None:
        """Expand `path[]`: into a row per element within UNNEST( … ), else into a list."""
        known: dict[tuple[int, str], str] = {}
        at = 0
        while at < len(self._words) - 1:
            if self._is_path(at):
                first, last = self._chain(at)
                path = self._rows(first, last, known) if apart else self._list(first, last)
                self._replace(self._words[first].start, self._words[last - 1].end, path)
                at = last
            at += 1

    def _is_path(self, at: int) -> bool:
        """Return whether `[]` at a word follows a path: not that of a type, nor an empty list."""
        if (self._words[at].text, self._words[at + 1].text) != ("[", "]") or not at:
            return False
        first, _ = self._chain(at)
        head = self._words[first].text
        is_name = head[0].isalpha() or head[0] in '_"'
        # AS is followed by a type or an alias.
        is_value = not first or (self._before(first) in _BEFORE_VALUE and self._before(first) != "AS")
        return is_name and is_value and head not in _BEFORE_VALUE | _TYPES

    def _chain(self, at: int) -> tuple[int, int]:
        """Return the first and last word of a path with `[]`, by its first opening bracket."""
        first, last = at - 1, at + 2
        while first >= 2 and self._words[first - 1].text == ".":  # noqa: PLR2004
            first -= 2
        while last < len(self._words) and (
            self._words[last].text == "."
            or self._before(last) == "."
            or (
                self._words[last].text == "[" and self._words[last + 1 : last + 2] and self._words[last + 1].text == "]"
            )
            or self._before(last) == "["
        ):
            last += 1
        return first, last

    def _parts(self, first: int, last: int) -> list[str]:
        """Return a path split at its `[]`."""
        text = self._text[self._words[first].start : self._words[last - 1].end]
        return [part.strip().removeprefix(".").strip() for part in re.split(r"\[\s*\]", text)]

    def _rows(self, first: int, last: int, known: dict[tuple[int, str], str]) -> str:
        select, _ = self._select_of(first)
        head, *rest = self._parts(first, last)
        path = head
        for part in rest:
            if (select, path) not in known:
                known[select, path] = name = f"each_{next(self._numbers)}"
                place = self._from_end(select)
                self._replace(place, place, f", LATERAL (SELECT unnest({path}) AS {name}) AS of_{name}")
            path = f"{known[select, path]}.{part}" if part else known[select, path]
        return path

    def _from_end(self, select: int) -> int:
        """Return where the FROM of a SELECT ends."""
        depth = self._words[select].depth
        start = next(
            (
                at
                for at in range(select, len(self._words))
                if self._words[at].text == "FROM" and self._words[at].depth == depth
            ),
            select,
        )
        return self._words[self._operand_end(start + 1, depth, _LEVEL) - 1].end

    def _list(self, first: int, last: int) -> str:
        head, *rest = self._parts(first, last)
        path = head
        for at, part in enumerate(rest):
            if part and at == 0:
                path = f"list_transform({path}, lambda each: each.{part})"
            elif part:
                path = f"list_transform(flatten({path}), lambda each: each.{part})"
            elif at:
                path = f"flatten({path})"
        return path


def _is_within(edit: _Edit, others: Iterable[_Edit]) -> bool:
    return any(start <= edit[0] < end for start, end, _ in others)


def _window(prefix: str, column: str, low: str, high: str) -> str:
    """Return the condition that a row arrived during a run; with `$event_time` also not before START_FROM."""
    arrived, happened = f'{prefix}"$commit_time"', f'{prefix}"$event_time"'
    if column == "$commit_time":
        return f"run_window(coalesce({arrived}, TIMESTAMP '1970-01-01'), {low}, {high})"
    moment = f"coalesce({arrived}, {happened}, TIMESTAMP '1970-01-01')"
    return f"(run_window({moment}, {low}, {high}) AND coalesce({happened} >= run_first_time(), true))"


def _words(text: str) -> Iterator[_Word]:
    depth = 0
    for match in _TOKEN.finditer(text):
        written = match.group()
        word = written.upper() if written[0].isalpha() or written[0] in "_$" else written
        depth -= word in _CLOSE
        yield _Word(word, match.start(), match.end(), depth)
        depth += word in _OPEN


def system_columns_of(query: str) -> list[str]:
    """Return the system columns in a query for DuckDB."""
    return [name for name in SYSTEM_COLUMNS if identifier(name) in query]
