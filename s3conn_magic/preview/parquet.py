"""The beginning of a Parquet file: footer and first pages; damage and encryption become notes.

PyArrow would report these, too, but its column metadata crashes the process if a column is encrypted or its statistics
are damaged. So the footer is parsed here, and PyArrow is used only for schema and values.
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from s3conn_magic.locations import size_text
from s3conn_magic.objects.files import BLOCK, BoundReachedError
from s3conn_magic.objects.formats import PARQUET_MAGIC
from s3conn_magic.preview import COLUMNS_AT_MOST, frame, replacements, schema_of, with_valid_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from s3conn_magic.objects.files import RangeReader
    from s3conn_magic.preview import Preview

    _Groups = Mapping[int, "RowGroup"]

    _Extent = tuple[int, int]

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_DICTIONARY_PAGE = 2
_VALUES_IN = {0: 5, 2: 7, 3: 8}
_DEEPEST = 16
_INVALID_THRIFT = (IndexError, ValueError, KeyError, AttributeError, TypeError)


@dataclass(frozen=True, slots=True)
class PageHeader:
    """A page: bytes of its header, of its body as stored and as unpacked, and its number of values."""

    header: int
    stored: int
    unpacked: int
    values: int
    is_dictionary: bool


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """Byte range of a column in a row group; unknown if it is encrypted."""

    start: int
    stop: int
    encrypted: bool


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group: its rows, and its leaf columns in schema order."""

    rows: int
    columns: list[ColumnChunk]


class _Thrift:
    """Reads Thrift's compact protocol. Raises IndexError or ValueError for truncated or invalid data."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    def byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while shift < 64:  # noqa: PLR2004 - bits
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the top bit says that more bytes follow
                return value
            shift += 7
        raise ValueError("a number is too long")

    def integer(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and kind of each field of a struct; the caller must read or skip its value before the next."""
        field = 0
        while head := self.byte():
            field = field + (head >> 4) if head >> 4 else self.integer()
            yield field, head & 0x0F

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return integers and structs by field number, None for fields of other kinds."""
        return {field: self.value(kind, depth + 1) for field, kind in self.fields()}

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in {_I16, _I32, _I64}:
            return self.integer()
        if kind == _STRUCT:
            if depth > _DEEPEST:
                raise ValueError("structs are nested too deeply")
            return self.struct(depth)
        self._skip(kind, depth)
        return None

    def _skip(self, kind: int, depth: int) -> None:
        if kind == _BINARY:
            self._step(self.varint())
        elif kind in {_BYTE, _DOUBLE}:
            self._step(1 if kind == _BYTE else 8)
        elif kind in {_LIST, _SET}:
            for item in self.items():
                self.value(_BYTE if item in {_TRUE, _FALSE} else item, depth + 1)
        elif kind not in {_TRUE, _FALSE}:
            raise ValueError("Parquet has no field of this kind")

    def _step(self, length: int) -> None:
        self.at += length
        if self.at > len(self._data):
            raise IndexError("a value is cut short")

    def items(self) -> Iterator[int]:
        """Yield the kind of each item of a list; the caller must read or skip it before the next."""
        head = self.byte()
        count = head >> 4 if head >> 4 < 15 else self.varint()  # noqa: PLR2004 - four bits
        return itertools.repeat(head & 0x0F, count)


def row_groups(footer: bytes, *, rows: int, most: int) -> list[RowGroup] | None:
    """Return the first row groups that together have enough rows, or None if the footer is damaged.

    Args:
        footer: the `FileMetaData`.
        rows: rows needed.
        most: maximum number of row groups, including empty ones.
    """
    reader, groups = _Thrift(footer), []
    try:
        for field, kind in reader.fields():
            if field != 4 or kind != _LIST:  # noqa: PLR2004 - FileMetaData.row_groups
                reader.value(kind)
                continue
            for _ in itertools.islice(reader.items(), most):
                groups.append(_row_group(reader))
                if sum(group.rows for group in groups) >= rows:
                    break
            return groups
    except _INVALID_THRIFT:
        return None
    return groups


def _row_group(reader: _Thrift) -> RowGroup:
    rows, columns = 0, []
    for field, kind in reader.fields():
        if field == 1 and kind == _LIST:
            columns = [_column_chunk(reader.struct()) for _ in reader.items()]
        else:
            value = reader.value(kind)
            rows = value if field == 3 else rows  # noqa: PLR2004 - RowGroup.num_rows
    if rows < 0:
        raise ValueError("a row group has a negative number of rows")
    return RowGroup(rows, columns)


def _column_chunk(chunk: dict[int, Any]) -> ColumnChunk:
    """Parse a `ColumnChunk`: field 3 metadata, 8 encryption; in the metadata 7 size, 9 and 11 page offsets."""
    meta = chunk.get(3)
    if 8 in chunk or meta is None:  # noqa: PLR2004
        return ColumnChunk(0, 0, encrypted=True)
    start = min((offset for offset in (meta.get(9), meta.get(11)) if offset and offset > 0), default=0)
    return ColumnChunk(start, start + max(meta[7], 0), encrypted=False)


def pages(data: bytes) -> Iterator[PageHeader]:
    """Yield the pages of a column chunk whose headers lie within `data`, its beginning."""
    at = 0
    while page := _page(data, at):
        yield page
        at += page.header + page.stored


def _page(data: bytes, at: int) -> PageHeader | None:
    reader = _Thrift(data, at)
    try:
        header = reader.struct()
        kind, unpacked, stored = header[1], header[2], header[3]
        values = header.get(_VALUES_IN.get(kind, 0), {}).get(1, 0)
        if min(unpacked, stored, values) < 0:
            return None
    except _INVALID_THRIFT:
        return None
    return PageHeader(reader.at - at, stored, unpacked, values, kind == _DICTIONARY_PAGE)


ENCRYPTED_MAGIC = b"PARE"
_TAIL = 8
FOOTER_AT_MOST = 16 * 1024 * 1024
DATA_AT_MOST = 64_000_000
_WHOLE_GROUPS = 2 * 1024 * 1024
_PAGE_AT_MOST = 64 * 1024 * 1024
_GROUPS_AT_MOST = 64
_AHEAD = 24 * 1024  # PyArrow reads up to 16 KiB ahead for the next page header
_AHEAD_AT_MOST = 4 * 1024 * 1024
_FAILURES = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, MemoryError, NotImplementedError)


def read_parquet(reader: RangeReader, blank: Preview, rows: int) -> Preview | None:
    """Return schema, counts and first rows, or None if the object does not end like a Parquet file."""
    tail = reader.part(max(reader.size - _TAIL, 0), reader.size)
    if tail.endswith(ENCRYPTED_MAGIC):
        return replace(blank, format="Parquet", notes=("the footer is encrypted",))
    if reader.size < _TAIL + len(PARQUET_MAGIC) or not tail.endswith(PARQUET_MAGIC):
        return None
    footer = int.from_bytes(tail[:4], "little")
    if footer > min(FOOTER_AT_MOST, reader.size):
        return replace(blank, format="Parquet", notes=(f"the footer says that it has {footer:,} bytes",))
    meta = reader.part(reader.size - _TAIL - footer, reader.size - _TAIL)
    file, groups = _parquet_file(reader), row_groups(meta, rows=rows, most=_GROUPS_AT_MOST)
    if file is None or groups is None:
        return replace(blank, format="Parquet", notes=("the footer is damaged",))
    return _first_rows(reader, file, dict(enumerate(groups)) if rows else {}, _with_schema(blank, file), rows)


def _parquet_file(reader: RangeReader) -> Any:
    try:
        # As DuckDB reads it: times of INT96 may be of years that nanoseconds do not reach.
        file = pq.ParquetFile(
            pa.PythonFile(reader, mode="r"), buffer_size=4096, pre_buffer=False, coerce_int96_timestamp_unit="us"
        )
        schema_of(file.schema_arrow)
    except BoundReachedError:
        return None
    except _FAILURES:
        if reader.failure:
            raise reader.failure from None
        return None
    return file


def _with_schema(blank: Preview, file: Any) -> Preview:
    meta, leaves = file.metadata, file.schema
    cut = any(leaves.column(at).physical_type == "INT96" for at in range(len(leaves)))
    return replace(
        blank,
        kind="table",
        notes=("times of INT96 are shown to the microsecond",) if cut else (),
        format="Parquet",
        schema=schema_of(file.schema_arrow),
        total_rows=meta.num_rows,
        row_groups=meta.num_row_groups,
    )


def _first_rows(reader: RangeReader, file: Any, groups: _Groups, seen: Preview, rows: int) -> Preview:
    reader.limit = reader.received + DATA_AT_MOST
    groups = {number: group for number, group in groups.items() if group.rows}
    spans = _leaf_counts(file.schema_arrow)[:COLUMNS_AT_MOST]
    leaves = [range(end - span, end) for end, span in zip(accumulate(spans), spans, strict=True)]
    encrypted = {at for at, leaf in enumerate(leaves) if any(_encrypted(group, leaf) for group in groups.values())}
    wanted = {at: leaf for at, leaf in enumerate(leaves) if leaf and at not in encrypted}
    whole = [extent for group in groups.values() for leaf in wanted.values() for extent in _extents_in(group, leaf)]
    if len(reader.missing(whole)) * BLOCK <= _WHOLE_GROUPS:
        reader.prefetch(whole)
    else:
        groups = dict([*groups.items()][:1])
    columns, too_large = _columns(reader, file, groups, wanted, rows)
    lines = max(map(len, columns.values()), default=0)
    readable = {at: column for at, column in columns.items() if len(column) == lines}
    names = file.schema_arrow.names
    damaged = wanted.keys() - readable.keys() - too_large
    schema = pa.schema([file.schema_arrow.field(at) for at in readable])
    table, replaced = with_valid_texts(pa.Table.from_arrays([*readable.values()], schema=schema))
    hollow = {at for at, leaf in enumerate(leaves) if not leaf}
    left_out = _omissions(names, encrypted, too_large, damaged, hollow)
    return replace(
        seen,
        frame=frame(table) if readable else None,
        truncated=len(readable) < len(names) or lines < file.metadata.num_rows,
        notes=(*seen.notes, *left_out, *replacements(replaced)),
    )


def _omissions(
    names: Sequence[str], encrypted: set[int], too_large: set[int], damaged: set[int], hollow: set[int]
) -> Iterator[str]:
    """Yield notes on the columns left out, and why."""
    if encrypted:
        yield f"{_columns_text(names, encrypted)} encrypted"
    if too_large:
        bound = f"the first pages of the columns take more than {size_text(DATA_AT_MOST)}"
        yield f"{_columns_text(names, too_large)} left out, since {bound}"
    if damaged:
        yield f"{_columns_text(names, damaged)} damaged or cannot be decoded here"
    if hollow:
        yield f"{_columns_text(names, hollow)} without any field"
    if len(names) > COLUMNS_AT_MOST:
        yield f"the first {COLUMNS_AT_MOST:,} of {len(names):,} columns are shown"


def _columns_text(names: Sequence[str], places: set[int]) -> str:
    listed = ", ".join(names[at] for at in sorted(places)[:5]) + (", …" if len(places) > 5 else "")  # noqa: PLR2004
    return f"the column {listed} is" if len(places) == 1 else f"{len(places):,} columns ({listed}) are"


def _leaf_counts(schema: pa.Schema) -> list[int]:
    """Return the number of leaf columns of each field of the schema."""
    return [_leaves(field.type) for field in schema]


def _leaves(kind: Any) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _leaves(kind.storage_type)
    if pa.types.is_dictionary(kind) or not (kind.num_fields or pa.types.is_struct(kind)):
        return 1
    return sum(_leaves(kind.field(at).type) for at in range(kind.num_fields))


def _chunks(group: RowGroup, leaves: range) -> list[ColumnChunk]:
    """Return the existing chunks of a field's leaf columns."""
    return group.columns[leaves.start : leaves.stop]


def _encrypted(group: RowGroup, leaves: range) -> bool:
    return any(chunk.encrypted for chunk in _chunks(group, leaves))


def _extents_in(group: RowGroup, leaves: range) -> list[_Extent]:
    """Return the byte ranges of a field's chunks, without impossible ones."""
    return [(chunk.start, chunk.stop) for chunk in _chunks(group, leaves) if 0 < chunk.start < chunk.stop]


def _columns(
    reader: RangeReader, file: Any, groups: _Groups, wanted: dict[int, range], rows: int
) -> tuple[dict[int, Any], set[int]]:
    """Return the first rows of each readable field by its index in the schema, and the indexes of those too large."""
    if not groups:
        empty = file.schema_arrow.empty_table().columns
        return {at: empty[at] for at in wanted}, set()
    first = next(iter(groups.values()))
    fitting = _fetch_first_pages(reader, {at: _extents_in(first, chunk) for at, chunk in wanted.items()}, rows)
    reader.limit += _AHEAD_AT_MOST
    too_large = wanted.keys() - fitting
    with suppress(BoundReachedError):
        together = _read(reader, file, groups, [leaf for at in fitting for leaf in wanted[at]], rows)
        if together is not None and together.num_columns == len(fitting):
            return dict(zip(fitting, together.columns, strict=True)), too_large
    alone = {}
    for at in fitting:
        try:
            alone[at] = _read(reader, file, groups, wanted[at], rows)
        except BoundReachedError:
            too_large.add(at)
    return {at: chunk.column(0) for at, chunk in alone.items() if chunk is not None and chunk.num_columns}, too_large


def _fetch_first_pages(reader: RangeReader, columns: dict[int, list[_Extent]], rows: int) -> list[int]:
    """Fetch the first pages of fields: their beginnings, then the rest of the pages. Return the indexes that fit."""
    heads = {at: [(start, min(stop, start + BLOCK)) for start, stop in chunks] for at, chunks in columns.items()}
    started = _fetch_within_limit(reader, heads)
    extents = {at: _extents(reader, columns[at], rows) for at in started}
    return _fetch_within_limit(reader, {at: ranges for at, ranges in extents.items() if ranges is not None})


def _fetch_within_limit(reader: RangeReader, wanted: dict[int, list[_Extent]]) -> list[int]:
    """Fetch, in one batch, the ranges of each field in order that fits within the limit. Return their indexes."""
    fitting: list[int] = []
    blocks: set[int] = set()
    for at, ranges in wanted.items():
        with_it = blocks | reader.missing(ranges)
        if reader.received + len(with_it) * BLOCK <= reader.limit:
            fitting, blocks = [*fitting, at], with_it
    reader.prefetch(extent for at in fitting for extent in wanted[at])
    return fitting


def _extents(reader: RangeReader, chunks: Iterable[_Extent], rows: int) -> list[_Extent] | None:
    """Return the byte ranges of the pages with the first rows, or None if a page unpacks to too much."""
    extents = []
    for start, stop in chunks:
        end = values = 0
        for page in pages(reader.part(start, min(stop, start + BLOCK))):
            if page.unpacked > _PAGE_AT_MOST:
                return None
            end += page.header + page.stored
            values += 0 if page.is_dictionary else page.values
            if values >= rows:
                break
        extents.append((start, min(stop, start + end + _AHEAD)))
    return extents


def _read(reader: RangeReader, file: Any, groups: _Groups, leaves: Iterable[int], rows: int) -> pa.Table | None:
    """Return the first rows of some columns, or None if they are damaged.

    Raises:
        BoundReachedError: they need more bytes than may be received.
    """
    try:
        return pa.Table.from_batches(_batches(file, groups, leaves, rows)).slice(0, rows)
    except _FAILURES:
        if reader.failure:
            raise reader.failure from None
        return None


def _batches(file: Any, groups: _Groups, leaves: Iterable[int], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches until there are enough rows, so that no later page is read."""
    count = 0
    # By index: names may repeat and contain dots, so a name could select other columns, too.
    places = [*leaves]
    for batch in file.reader.iter_batches(rows, row_groups=[*groups], column_indices=places, use_threads=False):
        yield batch
        count += len(batch)
        if count >= rows:
            return
