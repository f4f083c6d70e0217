"""Parquet by its footer and the first pages of its columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from s3conn_magic.objects.columns import COLUMNS_AT_MOST, frame, schema_of
from s3conn_magic.objects.pages import pages
from s3conn_magic.objects.ranges import BLOCK, BoundReachedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from s3conn_magic.objects.content import Preview
    from s3conn_magic.objects.ranges import RangeReader

MAGIC = b"PAR1"
_ENCRYPTED = b"PARE"
_TAIL = 8
FOOTER_AT_MOST = 16 * 1024 * 1024
DATA_AT_MOST = 8 * 1024 * 1024
_WHOLE_GROUPS = 2 * 1024 * 1024
_PAGE_AT_MOST = 64 * 1024 * 1024
_GROUPS_AT_MOST = 64
_AHEAD = 24 * 1024  # pyarrow looks up to 16 KiB ahead for the next page's header
_WRONG = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, MemoryError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A column chunk: where it lies, and whether its values are rows."""

    start: int
    stop: int
    flat: bool


def read_parquet(reader: RangeReader, blank: Preview, rows: int) -> Preview | None:
    """Schema, counts and first rows; None where the end is not a Parquet file's."""
    tail = reader.part(max(reader.size - _TAIL, 0), reader.size)
    if tail.endswith(_ENCRYPTED):
        return replace(blank, format="Parquet", notes=("the footer is encrypted",))
    if reader.size < _TAIL + len(MAGIC) or not tail.endswith(MAGIC):
        return None
    footer = int.from_bytes(tail[:4], "little")
    if footer > min(FOOTER_AT_MOST, reader.size):
        return replace(blank, format="Parquet", notes=(f"the footer says that it has {footer:,} bytes",))
    reader.part(reader.size - _TAIL - footer, reader.size)
    file = _opened(reader)
    if file is None:
        return replace(blank, format="Parquet", notes=("the footer is damaged",))
    return _first_rows(reader, file, _with_schema(blank, file), rows)


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


def _first_rows(reader: RangeReader, file: Any, found: Preview, rows: int) -> Preview:
    reader.limit = reader.received + DATA_AT_MOST
    groups = _groups(file, rows)
    spans = _spans(file.schema_arrow)
    whole = [(one.start, one.stop) for group in groups for one in _chunks(file, group, range(sum(spans)))]
    if len(reader.missing(whole)) * BLOCK <= _WHOLE_GROUPS:
        reader.prefetch(whole)
    else:
        groups = groups[:1]
    columns = _columns(reader, file, groups, spans, rows)
    lines = max(map(len, columns.values()), default=0)
    kept = {at: one for at, one in columns.items() if len(one) == lines}
    left = [name for at, (name, _) in enumerate(found.schema) if at not in kept]
    schema = file.schema_arrow
    schema = pa.schema([schema.field(at) for at in kept])
    return replace(
        found,
        frame=frame(pa.Table.from_arrays([*kept.values()], schema=schema)) if kept else None,
        truncated=bool(left) or lines < file.metadata.num_rows,
        notes=(*found.notes, *_left_out(left)),
    )


def _left_out(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    few = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")  # noqa: PLR2004
    columns = "a column is" if len(names) == 1 else f"{len(names):,} columns are"
    return (f"{columns} left out, too large to begin or damaged: {few}",)


def _groups(file: Any, rows: int) -> list[int]:
    """The first row groups that hold enough rows."""
    found, there = [], 0
    for at in range(min(file.metadata.num_row_groups, _GROUPS_AT_MOST)):
        count = file.metadata.row_group(at).num_rows
        if there < rows and count > 0:
            found.append(at)
            there += count
    return found


def _spans(schema: pa.Schema) -> list[int]:
    """How many columns of the file each column of the schema is made of."""
    return [_leaves(field.type) for field in schema]


def _leaves(kind: Any) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _leaves(kind.storage_type)
    if pa.types.is_dictionary(kind) or not kind.num_fields:
        return 1
    return sum(_leaves(kind.field(at).type) for at in range(kind.num_fields))


def _chunks(file: Any, group: int, leaves: Iterable[int]) -> Iterator[_Chunk]:
    """Column chunks of a row group that lie where they can."""
    meta, size = file.metadata, file.metadata.row_group(group).num_columns
    for at in leaves:
        if at >= size:
            return
        column = meta.row_group(group).column(at)
        offsets = [one for one in (column.dictionary_page_offset, column.data_page_offset) if one and one > 0]
        start, length = min(offsets, default=0), column.total_compressed_size
        if start > 0 and length > 0:
            yield _Chunk(start, start + length, file.schema.column(at).max_repetition_level == 0)


def _columns(reader: RangeReader, file: Any, groups: list[int], spans: list[int], rows: int) -> dict[int, Any]:
    """First rows of each column that fits the bound, by its place in the schema."""
    if not groups or not rows:
        return dict(enumerate(file.schema_arrow.empty_table().columns[:COLUMNS_AT_MOST]))
    ends = [*accumulate(spans)][:COLUMNS_AT_MOST]
    leaves = [range(end - span, end) for end, span in zip(ends, spans, strict=False)]
    fitting = _fetched(reader, [[*_chunks(file, groups[0], one)] for one in leaves], rows)
    paths = [[file.schema.column(leaf).path for leaf in one] for one in leaves]
    together = _read(reader, file, groups, [path for at in fitting for path in paths[at]], rows)
    if together is not None and together.num_columns == len(fitting):
        return dict(zip(fitting, together.columns, strict=True))
    alone = {at: _read(reader, file, groups, paths[at], rows) for at in fitting}
    return {at: column for at, one in alone.items() if one is not None and (column := _own(one, paths, at)) is not None}


def _fetched(reader: RangeReader, columns: Sequence[Sequence[_Chunk]], rows: int) -> list[int]:
    """The columns, by place, whose first pages are here now: heads first, then what their pages take."""
    heads = [[(one.start, min(one.stop, one.start + BLOCK)) for one in chunks] for chunks in columns]
    begun = _within(reader, dict(enumerate(heads)))
    extents = {at: _extents(reader, columns[at], rows) for at in begun}
    return _within(reader, {at: found for at, found in extents.items() if found is not None})


def _within(reader: RangeReader, wanted: dict[int, list[tuple[int, int]]]) -> list[int]:
    """Fetch all of what the bound allows, in order, by one set of requests."""
    taken: list[int] = []
    blocks: set[int] = set()
    for at, ranges in wanted.items():
        with_it = blocks | reader.missing(ranges)
        if reader.received + len(with_it) * BLOCK <= reader.limit:
            taken, blocks = [*taken, at], with_it
    reader.prefetch(one for at in taken for one in wanted[at])
    return taken


def _extents(reader: RangeReader, chunks: Sequence[_Chunk], rows: int) -> list[tuple[int, int]] | None:
    """The byte ranges of the pages that hold the first rows; None where a page unpacks to too much."""
    found = []
    for one in chunks:
        end = values = 0
        for page in pages(reader.part(one.start, min(one.stop, one.start + BLOCK))):
            if page.unpacked > _PAGE_AT_MOST:
                return None
            end += page.header + page.stored
            values += 0 if page.is_dictionary else page.values
            if values >= rows:
                break
        found.append((one.start, min(one.stop, one.start + end + _AHEAD)))
    return found


def _own(found: pa.Table, paths: Sequence[list[str]], at: int) -> Any:
    """The column itself. Names may repeat and hold dots, so that asking for one may give others with it."""
    asked = {*paths[at]}
    given = [each for each, one in enumerate(paths) if any(_asked_for(path, asked) for path in one)]
    return found.column(given.index(at)) if found.num_columns == len(given) else None


def _asked_for(path: str, asked: set[str]) -> bool:
    return path in asked or any(path.startswith(f"{one}.") for one in asked)


def _read(reader: RangeReader, file: Any, groups: list[int], paths: Sequence[str], rows: int) -> pa.Table | None:
    """The first rows of some columns; None where they are damaged or go beyond the bound."""
    try:
        return pa.Table.from_batches(_batches(file, groups, paths, rows)).slice(0, rows)
    except BoundReachedError:
        return None
    except _WRONG:
        if reader.failure:
            raise reader.failure from None
        return None


def _batches(file: Any, groups: list[int], paths: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Batches until there are enough rows, so that no page behind them is read."""
    there = 0
    for batch in file.iter_batches(rows, row_groups=groups, columns=paths, use_threads=False):
        yield batch
        there += len(batch)
        if there >= rows:
            return
