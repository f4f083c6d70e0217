"""Rows of plainly written text: Arrow reads a column if its values are proven exact, DuckDB reads the rest.

Arrow splits a text in less than half the CPU time of DuckDB's readers, and casts texts to numbers and dates for next to
nothing; but it takes `007` for 7. So each column of a piece of the text is checked as a whole, by its bytes and
lengths: if these prove its cast exact, it is used. Otherwise DuckDB casts its texts one by one, as `text_rows` says.
Text that the two might split differently is left to DuckDB alone.

JSON lines whose records all have the same fields in the same order are a table too. Its columns are the parts between
quotes or commas: names and separators, which must be equal in all lines, and values.
"""

from __future__ import annotations

import os
import re
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from s3conn_magic.objects.apart import Reread, in_parts
from s3conn_magic.query.failures import MARK
from s3conn_magic.query.sql import identifier
from s3conn_magic.query.text_rows import CsvRows
from s3conn_magic.query.text_types import NUMBERS, Formats, nulls_of, strict
from s3conn_magic.runtime.background import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from s3conn_magic.objects.formats import Detected
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.text_rows import JsonRows, TextRows

_STEP = 4 * 1024 * 1024
_AT_ONCE = min(4, os.cpu_count() or 1)
_LONGEST = 128 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DIGITS = 15  # preserved by every double
# The year 1 in Arrow's units, and the length of the text.
_YEAR_1 = {"DATE": -719_162, "TIMESTAMP": -719_162 * 86_400_000_000}
_LENGTHS = {"DATE": (10,), "TIMESTAMP": (19, *range(21, 27))}
_SPACE = 32
_ARROW = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.uint64(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}


NOT_PLAIN = "s3conn_magic text that is not plain"
"""Marks the error of a query that DuckDB must read alone."""


class NotPlainError(Exception):
    """A text that DuckDB must read alone; never leaves a query."""


def plain_rows(rows: TextRows, known: Any, types: Mapping[str, str], detected: Detected) -> PlainRows | None:
    """Return a reader of records that may be plain, or None if they are known not to be."""
    if rows.folders or not types:
        return None
    return _csv(rows, types, detected) if isinstance(rows, CsvRows) else _json(rows, known, types, detected)


class PlainRows(ABC):
    """Splits pieces of text into batches of typed columns.

    Args:
        types: of the columns, by name.
        formats: of dates and times.
    """

    def __init__(self, types: Mapping[str, str], formats: Formats) -> None:
        self.types, self.formats = types, formats
        # The query casts texts to other types.
        formatted = {"DATE": formats.date, "TIMESTAMP": formats.timestamp}
        self.proven = {name: kind for name, kind in types.items() if kind in _ARROW and not formatted.get(kind)}
        self._kinds = dict.fromkeys(types, "VARCHAR") | self.proven
        self.schema = pa.schema([(name, _ARROW[kind]) for name, kind in self._kinds.items()])
        self._own = threading.local()

    @staticmethod
    @abstractmethod
    def end(data: bytearray) -> int:
        """Return the end of the last complete record in some bytes, or 0."""

    def reread(self, file: Callable[[], Any], scope: QueryScope, step: int = _STEP) -> Reread:
        """Return the rows as DuckDB reads them."""

        def begin() -> Iterator[pa.RecordBatch]:
            # Arrow and numpy release the GIL, so pieces are processed in parallel.
            with scope.noting():
                spare: list[bytearray] = []
                pieces = enumerate(_pieces(file(), step, self.end, spare))
                batches = in_order(partial(self._batch, spare), pieces, _AT_ONCE, name="s3conn-text")
                yield from in_parts(batches)

        return Reread(self.schema, begin)

    def _batch(self, spare: list[bytearray], numbered: tuple[int, bytearray]) -> pa.RecordBatch:
        import duckdb

        at, piece = numbered
        if piece.startswith(_BYTE_ORDER_MARK):  # which Arrow skips in every piece
            raise NotPlainError(NOT_PLAIN)
        try:
            columns = self.columns(piece, first=not at)
        except (pa.ArrowInvalid, UnicodeDecodeError, NotPlainError) as error:
            raise NotPlainError(NOT_PLAIN) from error
        except duckdb.Error as error:
            if MARK in str(error):
                raise
            raise NotPlainError(NOT_PLAIN) from error
        with suppress(BufferError):  # something refers to it
            piece.append(0)
            spare.append(piece)
        return pa.record_batch([columns[name] for name in self.schema.names], schema=self.schema)

    def select(self, source: str) -> str:
        """Return the query of the rows in a FROM clause: each value exactly of its column's type, or an error."""
        columns = (
            identifier(name) if name in self.proven else strict(identifier(name), kind, name, self.formats)
            for name, kind in self.types.items()
        )
        named = (f"{column} AS {identifier(name)}" for column, name in zip(columns, self.types, strict=True))
        return f"SELECT {', '.join(named)} FROM {source}"  # noqa: S608 - quoted names

    @abstractmethod
    def columns(self, piece: bytearray, *, first: bool) -> Mapping[str, pa.Array]:
        """Return the columns of a piece, by name.

        Raises:
            NotPlainError, pyarrow.ArrowException, duckdb.Error: it must be read by DuckDB alone.
        """

    def asked(self, query: str, piece: pa.Table) -> pa.Table:
        """Run a query over a piece in DuckDB."""
        import duckdb

        if (database := getattr(self._own, "database", None)) is None:
            database = self._own.database = duckdb.connect(config={"threads": 1})
        database.register("piece", piece)
        return database.sql(query).to_arrow_table()


def _pieces(file: Any, step: int, end: Callable[[bytearray], int], spare: list[bytearray]) -> Iterator[bytearray]:
    """Yield pieces of a text that end with a record, without a byte order mark.

    Args:
        file: the text, open.
        step: bytes per read.
        end: returns the end of the last complete record in some bytes, or 0.
        spare: earlier pieces whose memory may be reused.

    Raises:
        NotPlainError: a record is too long.
    """
    left, first, size = b"", True, step
    while True:
        # Read in place: joining and cutting pieces would copy them twice more, and fresh memory costs as much again.
        data = spare.pop() if spare else bytearray()
        data += bytes(max(len(left) + size - len(data), 0))
        del data[len(left) + size :]
        data[: len(left)] = left
        size = file.readinto(memoryview(data)[len(left) :])
        del data[len(left) + size :]
        if not size:
            break
        if first and len(data) >= len(_BYTE_ORDER_MARK):
            data, first = data.removeprefix(_BYTE_ORDER_MARK), False
        cut = 0 if first else end(data)
        left, size = bytes(memoryview(data)[cut:]), step
        del data[cut:]
        if data:
            yield data
        if len(left) > _LONGEST:
            raise NotPlainError(NOT_PLAIN)
    if left:
        yield bytearray(left)


def _end_of_lines(data: bytearray) -> int:
    return data.rfind(b"\n") + 1


def _end_of_records(data: bytearray) -> int:
    """Return the offset after the last newline outside quotes."""
    cut = _end_of_lines(data)
    if cut and b'"' in data and data.count(b'"', 0, cut) % 2:
        quotes = _places(data, b'"')
        while cut and (before := int(np.searchsorted(quotes, cut))) % 2:
            cut = data.rfind(b"\n", 0, int(quotes[before - 1])) + 1
    return cut


def _places(data: bytearray, byte: bytes) -> Any:
    return np.flatnonzero(np.frombuffer(data, np.uint8) == byte[0])


def _split(
    piece: bytearray, names: Sequence[str], delimiter: str, convert: Any, *, quotes: bool, skip: bool, empty: bool
) -> pa.Table:
    """Return the fields of the lines of a piece; `empty` lines make no record."""
    return pyarrow.csv.read_csv(
        pa.py_buffer(piece),
        pyarrow.csv.ReadOptions(
            use_threads=False, block_size=len(piece) + 1, column_names=names, skip_rows_after_names=int(skip)
        ),
        pyarrow.csv.ParseOptions(
            delimiter=delimiter, quote_char=quotes and '"', newlines_in_values=quotes, ignore_empty_lines=empty
        ),
        convert,
    )


def _of(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


# CSV


class _PlainCsv(PlainRows):
    """Tables of CSV.

    Args:
        types: as in `PlainRows`.
        rows: the records.
        detected: how they are written.
    """

    def __init__(self, types: Mapping[str, str], rows: CsvRows, detected: Detected) -> None:
        super().__init__(types, rows.formats)
        self._names, self._header = rows.names, bool(detected.settings.get("HEADER"))
        self._delimiter = str(detected.settings.get("DELIMITER") or ",")
        kinds = (pa.string() if self._kinds.get(name) == "VARCHAR" else pa.binary() for name in rows.names)
        self._convert = pyarrow.csv.ConvertOptions(
            # Proven values are ASCII, so only text needs validation as UTF-8.
            column_types=dict(zip(rows.names, kinds, strict=True)),
            include_columns=list(types),
            null_values=nulls_of(detected.settings),
            strings_can_be_null=True,
            quoted_strings_can_be_null=bool(detected.log),  # "" is text, but "-" of a log is none
        )

    end = staticmethod(_end_of_records)

    def columns(self, piece: bytearray, *, first: bool) -> Mapping[str, pa.Array]:
        """Return the columns of a piece."""
        records, skip = self._records(piece), first and self._header
        quotes = b'"' in piece
        texts = _split(piece, self._names, self._delimiter, self._convert, quotes=quotes, skip=skip, empty=True)
        if texts.num_rows + skip != records:
            raise NotPlainError
        return {name: self._column(name, _of(texts, name)) for name in self.types}

    def _records(self, piece: bytearray) -> int:
        """Return the number of records in a piece whose quotes and line ends delimit them without doubt."""
        # bytes.count takes twice as long with many matches.
        lines = int(np.count_nonzero(np.frombuffer(piece, np.uint8) == ord("\n"))) + (not piece.endswith(b"\n"))
        if b"\0" in piece or (b"\r" in piece and not piece.count(b"\r") == piece.count(b"\r\n") == piece.count(b"\n")):
            raise NotPlainError
        if b'"' not in piece:
            return lines
        quotes = _places(piece, b'"')
        opening, closing = quotes[::2], quotes[1::2]
        if len(opening) != len(closing):
            raise NotPlainError
        text = np.frombuffer(b"\n" + piece + b"\n", np.uint8)
        separators = np.zeros(256, bool)
        separators[[*self._delimiter.encode(), *b"\r\n"]] = True
        # Doubled quotes within a text: the first closes it, and the second reopens it.
        again = np.zeros(len(opening) + 1, bool)
        again[1:-1] = opening[1:] == closing[:-1] + 1
        if not (separators[text[opening]] | again[:-1]).all() or not (separators[text[closing + 2]] | again[1:]).all():
            raise NotPlainError
        within = np.searchsorted(quotes, _places(piece, b"\n")) % 2
        return lines - int(within.sum())

    def _column(self, name: str, texts: pa.Array) -> pa.Array:
        kind = self._kinds[name]
        values = proven_values(texts.view(pa.string()), kind)
        if values is None:
            query = f"SELECT {strict('text', kind, name, self.formats)} AS value FROM piece"  # noqa: S608 - see `sql`
            piece = pa.table({"text": texts.cast(pa.string())})
            values = _of(self.asked(query, piece), "value").cast(_ARROW[kind])
        return values


def _csv(rows: CsvRows, types: Mapping[str, str], detected: Detected) -> PlainRows | None:
    settings = detected.settings
    delimiter = str(settings.get("DELIMITER") or ",")
    strange = len(delimiter.encode()) > 1 or delimiter in '"\r\n' or settings.get("QUOTE_ESCAPE_CHAR", '"') != '"'
    if strange or detected.blank:
        return None
    return _PlainCsv({name: types[name] for name in rows.names if name in types}, rows, detected)


# JSON


class _Field(NamedTuple):
    """A value in each line: the part that has it, and the text before and after it there.

    Attributes:
        at: index of the part.
        before, behind: equal in all lines.
    """

    at: int
    before: bytes = b""
    behind: bytes = b""


_SCALAR = re.compile(rb"( *: *)([^\s,:{}\[\]]+)( *[,}] *)")
_MEMBER = re.compile(rb'( *\{? *"([^"\\]*)" *: *)(?:(")[^"\\]*(" *\}? *)|[^\s:{}\[\]"]+( *\}? *))')


class _PlainJson(PlainRows):
    """Lines of one JSON record each.

    Args:
        types: as in `PlainRows`.
        rows: the records.
        known: what is known of their values.
    """

    def __init__(self, types: Mapping[str, str], rows: JsonRows, known: Any) -> None:
        super().__init__(types, rows.formats)
        self._strings = {name: known.shape[key] == "VARCHAR" for key, name in known.columns.items()}
        self._names = {key.encode(): name for key, name in known.columns.items() if name in types}
        self._one_by_one = replace(rows, source="piece").select(known, self._kinds)

    end = staticmethod(_end_of_lines)

    def columns(self, piece: bytearray, *, first: bool) -> Mapping[str, pa.Array]:  # noqa: ARG002 - as of `PlainRows`
        """Return the columns of a piece."""
        if b"\r" in piece:
            raise NotPlainError
        if b"\\" not in piece:
            line = bytes(piece[:at] if (at := piece.find(b"\n")) >= 0 else piece)
            # A comma in a string adds a part, and a quote ends it.
            for delimiter in (b",", b'"'):
                if columns := self._split(piece, line.split(delimiter), delimiter):
                    return columns
        return self._by_records(piece)

    def _by_records(self, piece: bytearray) -> Mapping[str, pa.Array]:
        texts = pa.array(piece.decode().removesuffix("\n").split("\n"), pa.string())
        if np.count_nonzero(np.frombuffer(piece, np.uint8) < _SPACE) != len(texts) - (not piece.endswith(b"\n")):
            raise NotPlainError
        made = self.asked(self._one_by_one, pa.table({"json": texts}))
        if made.num_rows != len(texts):
            raise NotPlainError
        return {name: _of(made, name).cast(self.schema.field(name).type) for name in self.types}

    def _split(self, piece: bytearray, parts: Sequence[bytes], delimiter: bytes) -> Mapping[str, pa.Array] | None:
        """Split by commas or quotes; None if a line has other fields than the first, or a value is not proven."""
        fields = self._between_commas(parts) if delimiter == b"," else self._between_quotes(parts)
        if fields is None:
            return None
        names = [str(at) for at in range(len(parts))]
        written = {str(field.at): pa.string() for name, field in fields.items() if self._kinds[name] == "VARCHAR"}
        convert = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary()) | written)
        try:
            texts = _split(piece, names, delimiter.decode(), convert, quotes=False, skip=False, empty=False)
        except pa.ArrowInvalid:
            return None
        varying = {field.at for field in fields.values()}
        same = (
            _is_always(_of(texts, name), part)
            for at, (name, part) in enumerate(zip(names, parts, strict=True))
            if at not in varying
        )
        if not all(same):
            return None
        columns = {}
        for name in self.types:
            column = (
                self._value(name, _of(texts, str(fields[name].at)), fields[name])
                if name in fields
                else pa.nulls(texts.num_rows, self.schema.field(name).type)
            )
            if column is None:
                return None
            columns[name] = column
        return columns

    def _between_commas(self, parts: Sequence[bytes]) -> Mapping[str, _Field] | None:
        """Return the values in the first line, or None if it is not one record of known columns."""
        fields: dict[str, _Field] = {}
        for at, part in enumerate(parts):
            match = _MEMBER.fullmatch(part)
            name = self._names.get(match[2]) if match else None
            if match is None or name is None or name in fields or bool(match[3]) != self._strings[name]:
                return None
            field = _Field(at, match[1] + (match[3] or b""), match[4] or match[5] or b"")
            if (b"{" in field.before[: match.start(2)]) == bool(at) or (b"}" in field.behind) == (at + 1 < len(parts)):
                return None
            fields[name] = field
        return fields

    def _between_quotes(self, parts: Sequence[bytes]) -> Mapping[str, _Field] | None:
        """Return the same for parts between quotes."""
        fields: dict[str, _Field] = {}
        if parts[0].strip(b" ") != b"{" or len(parts) % 2 == 0:
            return None
        at = 1
        while at < len(parts):
            name = self._names.get(parts[at])
            if name is None or name in fields:
                return None
            behind, last = parts[at + 1], at + 2 == len(parts)
            if behind.strip(b" ") == b":" and not last:
                field, at = _Field(at + 2), at + 2
                end, is_string = parts[at + 1].strip(b" "), True
            elif match := _SCALAR.fullmatch(behind):
                field, is_string, end = _Field(at + 1, match[1], match[3]), False, match[3].strip(b" ")
            else:
                return None
            at += 2
            if is_string != self._strings[name] or end != (b"," if at < len(parts) else b"}"):
                return None
            fields[name] = field
        return fields

    def _value(self, name: str, texts: pa.Array, field: _Field) -> pa.Array | None:
        is_string, kind = self._strings[name], self._kinds[name]
        if kind == "BOOLEAN":
            true, false = (pc.equal(texts, field.before + word + field.behind) for word in (b"true", b"false"))
            if pc.all(pc.or_(true, false)).as_py():
                return true
        bare = _bare(texts, field, 0 if is_string else 1)
        if bare is None or (kind in _LENGTHS and not is_string) or (kind == "VARCHAR" and not _is_bare(bare)):
            return None
        if kind == "DOUBLE" and not is_string and _are_strange(bare):
            return None
        if (values := proven_values(bare, kind)) is None and not is_string:
            null = pc.equal(bare, "null")
            values = proven_values(pc.if_else(null, pa.scalar(None, pa.string()), bare), kind)
        return values


def _json(rows: JsonRows, known: Any, types: Mapping[str, str], detected: Detected) -> PlainRows | None:
    if not isinstance(known.shape, dict) or detected.array or detected.format.type != "JSON":
        return None
    for key, name in known.columns.items():
        shape, kind = known.shape[key], types.get(name, "VARCHAR")
        flat = shape == "VARCHAR" or (shape in (*NUMBERS, "BOOLEAN") and kind in _ARROW and kind != "VARCHAR")
        if name in types and not flat:
            return None
    return _PlainJson(types, rows, known)


def _is_always(texts: pa.Array, text: bytes) -> bool:
    places, data = _buffers(texts)
    return data.tobytes() == text * len(texts) and bool((np.diff(places) == len(text)).all())


def _bare(texts: pa.Array, field: _Field, shortest: int) -> pa.Array | None:
    """Return values without the text before and after them, which must be equal in all lines, else None."""
    if not field.before:
        return texts.view(pa.string())
    before, behind = len(field.before), len(field.behind)
    same = pc.all(pc.starts_with(texts, field.before)).as_py() and pc.all(pc.ends_with(texts, field.behind)).as_py()
    if not same or int(np.diff(_buffers(texts)[0]).min(initial=_LONGEST)) < before + behind + shortest:
        return None
    return pc.binary_slice(texts.view(pa.binary()), before, -behind or _LONGEST).view(pa.string())


def _is_bare(texts: pa.Array) -> bool:
    """Return whether no text has a quote or a control character, which JSON strings must escape."""
    bytes_ = _buffers(texts)[1]
    return bool(bytes_.min(initial=_SPACE) >= _SPACE and not (bytes_ == ord('"')).any())


def _are_strange(texts: pa.Array) -> bool:
    """Return whether some texts are .5, 5. or -.5, which are not numbers of JSON, or -0, whose type is ambiguous."""
    places, bytes_ = _buffers(texts)
    begins, ends, point = places[:-1], places[1:], ord(".")
    first = bytes_[begins]
    negative = begins[first == ord("-")]
    padded = np.append(bytes_, np.zeros(2, np.uint8)) if len(negative) else bytes_
    second, third = padded[negative + 1], padded[negative + 2]
    return bool(
        (first == point).any()
        or (bytes_[ends - 1] == point).any()
        or (second == point).any()
        or ((second == ord("0")) & (third != point)).any()
    )


# Values


def _buffers(texts: pa.Array) -> tuple[Any, Any]:
    """Return offsets and bytes of texts."""
    _, places, data = texts.buffers()
    offsets = np.frombuffer(places, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    bytes_ = np.frombuffer(data, np.uint8)[first:last] if data is not None else np.zeros(0, np.uint8)
    return offsets - first if first else offsets, bytes_


def proven_values(texts: pa.Array, kind: str) -> pa.Array | None:
    """Return texts as values if all are proven to be exactly these, else None."""
    if kind == "VARCHAR":
        return texts
    if len(texts) == texts.null_count:
        return pa.nulls(len(texts), _ARROW[kind])
    if kind == "BOOLEAN":
        true, false = pc.equal(texts, "true"), pc.equal(texts, "false")
        return true if pc.all(pc.or_(true, false)).as_py() else None
    lengths = _LENGTHS.get(kind)
    if not (_is_long(texts, lengths) if lengths else _is_number(texts, kind)):
        return None
    try:
        values = pc.cast(texts, _ARROW[kind])
    except pa.ArrowInvalid:
        return None
    # DuckDB formats the year 0 as 1 BC.
    return None if lengths and pc.min(values).value < _YEAR_1[kind] else values


def _is_long(texts: pa.Array, lengths: Sequence[int]) -> bool:
    """Return whether each text has one of these lengths, the first of which is the usual one."""
    sizes = np.diff(_buffers(texts)[0])
    there = int(len(texts) - texts.null_count)
    return int((sizes == lengths[0]).sum()) == there or int(np.isin(sizes, lengths).sum()) == there


def _print_back(texts: pa.Array) -> bool:
    """Return whether Arrow formats the doubles of texts as the texts."""
    try:
        return bool(pc.all(pc.equal(pc.cast(pc.cast(texts, pa.float64()), pa.string()), texts)).as_py())
    except pa.ArrowInvalid:
        return False


def _is_number(texts: pa.Array, kind: str) -> bool:
    """Return whether each text is a number with at most its type's digits, and without leading zeros."""
    places, bytes_ = _buffers(texts)
    sizes = np.diff(places)
    # Bytes from - to 9: Arrow itself refuses a point in an integer, and a slash.
    if (bytes_ - ord("-")).max(initial=0) > ord("9") - ord("-"):
        return False
    if kind == "DOUBLE" and sizes.max() > _DIGITS and not _print_back(texts.filter(pa.array(sizes > _DIGITS))):
        return False
    if texts.null_count or not sizes.all():
        starts, ends = places[:-1][sizes > 0], places[1:][sizes > 0]
    else:
        starts, ends = places[:-1], places[1:]
    first = bytes_[starts]
    if (negative := first == ord("-")).any():
        if (starts[negative] + 1 == ends[negative]).any():
            return False
        starts = starts + negative
        first = bytes_[starts]
    zero = first == ord("0")
    if not zero.any():
        return True
    alone = starts[zero] + 1 == ends[zero]
    if kind != "DOUBLE":
        return bool(alone.all()) and not (zero & negative).any()
    return bool((bytes_[starts[zero][~alone] + 1] == ord(".")).all())
