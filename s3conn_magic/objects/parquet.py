"""Parquet by its footer and the first pages of its columns."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from s3conn_magic.objects.columns import COLUMNS_AT_MOST, frame, schema_of, with_valid_texts
from s3conn_magic.objects.ranges import BLOCK, BoundReachedError
from s3conn_magic.objects.thrift import ColumnChunk, RowGroup, pages, row_groups
from s3conn_magic.sizes import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from s3conn_magic.objects.content import Preview
    from s3conn_magic.objects.ranges import RangeReader

    _Groups = Mapping[int, RowGroup]
    _Extent = tuple[int, int]

_PLAIN = b"PAR1"
_ENCRYPTED = b"PARE"
MAGIC = (_PLAIN, _ENCRYPTED)
_TAIL = 8
FOOTER_AT_MOST = 16 * 1024 * 1024
DATA_AT_MOST = 64_000_000
_WHOLE_GROUPS = 2 * 1024 * 1024
_PAGE_AT_MOST = 64 * 1024 * 1024
_GROUPS_AT_MOST = 64
_AHEAD = 24 * 1024  # pyarrow looks up to 16 KiB ahead for the next page's header
_AHEAD_AT_MOST = 4 * 1024 * 1024
_WRONG = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, MemoryError, NotImplementedError)


def read_parquet(reader: RangeReader, blank: Preview, rows: int) -> Preview | None:
    """Schema, counts and first rows; None where the end is not a Parquet file's."""
    tail = reader.part(max(reader.size - _TAIL, 0), reader.size)
    if tail.endswith(_ENCRYPTED):
        return replace(blank, format="Parquet", notes=("the footer is encrypted",))
    if reader.size < _TAIL + len(_PLAIN) or not tail.endswith(_PLAIN):
        return None
    footer = int.from_bytes(tail[:4], "little")
    if footer > min(FOOTER_AT_MOST, reader.size):
        return replace(blank, format="Parquet", notes=(f"the footer says that it has {footer:,} bytes",))
    meta = reader.part(reader.size - _TAIL - footer, reader.size - _TAIL)
    file, groups = _opened(reader), row_groups(meta, rows=rows, most=_GROUPS_AT_MOST)
    if file is None or groups is None:
        return replace(blank, format="Parquet", notes=("the footer is damaged",))
    return _first_rows(reader, file, dict(enumerate(groups)) if rows else {}, _with_schema(blank, file), rows)


def _opened(reader: RangeReader) -> Any:
    try:
        file = pq.ParquetFile(pa.PythonFile(reader, mode="r"), buffer_size=4096, pre_buffer=False)
        schema_of(file.schema_arrow)
    except BoundReachedError:
        return None
    except _WRONG:
        if reader.failure:
            raise reader.failure from None
        return None
    return file


def _with_schema(blank: Preview, file: Any) -> Preview:
    meta = file.metadata
    return replace(
        blank,
        kind="table",
        format="Parquet",
        schema=schema_of(file.schema_arrow),
        total_rows=meta.num_rows,
        row_groups=meta.num_row_groups,
    )


def _first_rows(reader: RangeReader, file: Any, groups: _Groups, found: Preview, rows: int) -> Preview:
    reader.limit = reader.received + DATA_AT_MOST
    groups = {number: group for number, group in groups.items() if group.rows}
    spans = _spans(file.schema_arrow)[:COLUMNS_AT_MOST]
    leaves = [range(end - span, end) for end, span in zip(accumulate(spans), spans, strict=True)]
    encrypted = {at for at, one in enumerate(leaves) if any(_encrypted(group, one) for group in groups.values())}
    wanted = {at: one for at, one in enumerate(leaves) if at not in encrypted}
    whole = [extent for group in groups.values() for leaf in wanted.values() for extent in _extents_in(group, leaf)]
    if len(reader.missing(whole)) * BLOCK <= _WHOLE_GROUPS:
        reader.prefetch(whole)
    else:
        groups = dict([*groups.items()][:1])
    columns, too_large = _columns(reader, file, groups, wanted, rows)
    lines = max(map(len, columns.values()), default=0)
    kept = {at: one for at, one in columns.items() if len(one) == lines}
    names = file.schema_arrow.names
    damaged = wanted.keys() - kept.keys() - too_large
    schema = pa.schema([file.schema_arrow.field(at) for at in kept])
    table, replaced = with_valid_texts(pa.Table.from_arrays([*kept.values()], schema=schema))
    left_out = _left_out(names, encrypted, too_large, damaged)
    return replace(
        found,
        frame=frame(table) if kept else None,
        truncated=len(kept) < len(names) or lines < file.metadata.num_rows,
        notes=(*found.notes, *left_out, *_replacements(replaced)),
    )


def _left_out(names: Sequence[str], encrypted: set[int], too_large: set[int], damaged: set[int]) -> Iterator[str]:
    """What is not shown of the columns, and why."""
    if encrypted:
        yield f"{_columns_text(names, encrypted)} encrypted"
    if too_large:
        bound = f"the first pages of the columns take more than {size_text(DATA_AT_MOST)}"
        yield f"{_columns_text(names, too_large)} left out, since {bound}"
    if damaged:
        yield f"{_columns_text(names, damaged)} damaged or cannot be decoded here"
    if len(names) > COLUMNS_AT_MOST:
        yield f"the first {COLUMNS_AT_MOST:,} of {len(names):,} columns are shown"


def _columns_text(names: Sequence[str], places: set[int]) -> str:
    few = ", ".join(names[at] for at in sorted(places)[:5]) + (", …" if len(places) > 5 else "")  # noqa: PLR2004
    return f"the column {few} is" if len(places) == 1 else f"{len(places):,} columns ({few}) are"


def _replacements(names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"not all texts of {', '.join(names)} are UTF-8; \N{REPLACEMENT CHARACTER} stands for what is not"


def _spans(schema: pa.Schema) -> list[int]:
    """How many columns of the file each column of the schema is made of."""
    return [_leaves(field.type) for field in schema]


def _leaves(kind: Any) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _leaves(kind.storage_type)
    if pa.types.is_dictionary(kind) or not kind.num_fields:
        return 1
    return sum(_leaves(kind.field(at).type) for at in range(kind.num_fields))


def _chunks(group: RowGroup, leaves: range) -> list[ColumnChunk]:
    """The chunks of a column that are there."""
    return group.columns[leaves.start : leaves.stop]


def _encrypted(group: RowGroup, leaves: range) -> bool:
    return any(chunk.encrypted for chunk in _chunks(group, leaves))


def _extents_in(group: RowGroup, leaves: range) -> list[_Extent]:
    """Where the chunks of a column lie, of those that lie where they can."""
    return [(chunk.start, chunk.stop) for chunk in _chunks(group, leaves) if 0 < chunk.start < chunk.stop]


def _columns(
    reader: RangeReader, file: Any, groups: _Groups, wanted: dict[int, range], rows: int
) -> tuple[dict[int, Any], set[int]]:
    """First rows of each column that can be read, by its place in the schema, and the places that are too large."""
    if not groups:
        empty = file.schema_arrow.empty_table().columns
        return {at: empty[at] for at in wanted}, set()
    first = next(iter(groups.values()))
    fitting = _fetched(reader, {at: _extents_in(first, one) for at, one in wanted.items()}, rows)
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
    return {at: one.column(0) for at, one in alone.items() if one is not None and one.num_columns}, too_large


def _fetched(reader: RangeReader, columns: dict[int, list[_Extent]], rows: int) -> list[int]:
    """The columns, by place, whose first pages are here now: heads first, then what their pages take."""
    heads = {at: [(start, min(stop, start + BLOCK)) for start, stop in chunks] for at, chunks in columns.items()}
    begun = _within(reader, heads)
    extents = {at: _extents(reader, columns[at], rows) for at in begun}
    return _within(reader, {at: found for at, found in extents.items() if found is not None})


def _within(reader: RangeReader, wanted: dict[int, list[_Extent]]) -> list[int]:
    """Fetch all of what the bound allows, in order, by one set of requests."""
    taken: list[int] = []
    blocks: set[int] = set()
    for at, ranges in wanted.items():
        with_it = blocks | reader.missing(ranges)
        if reader.received + len(with_it) * BLOCK <= reader.limit:
            taken, blocks = [*taken, at], with_it
    reader.prefetch(one for at in taken for one in wanted[at])
    return taken


def _extents(reader: RangeReader, chunks: Iterable[_Extent], rows: int) -> list[_Extent] | None:
    """The byte ranges of the pages that hold the first rows; None where a page unpacks to too much."""
    found = []
    for start, stop in chunks:
        end = values = 0
        for page in pages(reader.part(start, min(stop, start + BLOCK))):
            if page.unpacked > _PAGE_AT_MOST:
                return None
            end += page.header + page.stored
            values += 0 if page.is_dictionary else page.values
            if values >= rows:
                break
        found.append((start, min(stop, start + end + _AHEAD)))
    return found


def _read(reader: RangeReader, file: Any, groups: _Groups, leaves: Iterable[int], rows: int) -> pa.Table | None:
    """The first rows of some columns; None where they are damaged.

    Raises:
        BoundReachedError: they take more than may be received.
    """
    try:
        return pa.Table.from_batches(_batches(file, groups, leaves, rows)).slice(0, rows)
    except _WRONG:
        if reader.failure:
            raise reader.failure from None
        return None


def _batches(file: Any, groups: _Groups, leaves: Iterable[int], rows: int) -> Iterator[pa.RecordBatch]:
    """Batches until there are enough rows, so that no page behind them is read."""
    there = 0
    # By number: names may repeat and hold dots, so that asking for one may give others with it.
    places = [*leaves]
    for batch in file.reader.iter_batches(rows, row_groups=[*groups], column_indices=places, use_threads=False):
        yield batch
        there += len(batch)
        if there >= rows:
            return
