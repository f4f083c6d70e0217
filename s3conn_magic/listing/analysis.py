"""ANALYZE: count objects and bytes by group while the pages of a listing arrive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol
from weakref import finalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.errors import IncompleteListingError, ListingInterrupted, S3ConnError
from s3conn_magic.listing import CONNECTIONS, Listing, Restart
from s3conn_magic.listing.table import texts_at
from s3conn_magic.listing.xml import UnreadableError
from s3conn_magic.locations import size_text
from s3conn_magic.runtime.temporary import new_folder, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from s3conn_magic.listing.keyspace import Learned
    from s3conn_magic.listing.request import KeyRange, Progress
    from s3conn_magic.transport import Target

_SLASH = ord("/")
_DAYS = (1, 7, 30, 90, 365, 3 * 365)
AGES = ("< 1 day", "< 1 week", "< 30 days", "< 90 days", "< 1 year", "< 3 years", "older")
"""Labels of the age ranges, youngest first; a year has 365 days."""
# Infrequent access classes bill 128 kB at least; one request can write or copy about 5 GB.
_SIZES = (1, 1_000, 128_000, 1_000_000, 100_000_000, 1_000_000_000, 5_000_000_000)
SIZES = ("0", *(f"< {size_text(size)}" for size in _SIZES[1:]), "more")
"""Labels of the size ranges, smallest first."""

_COMPRESSIONS = "gz|gzip|bz2|xz|zst|zstd|lz4|lzo|lzma|br|snappy|sz|deflate|z|zip|enc|gpg"
_FORMATS = "csv|tsv|txt|json|jsonl|ndjson|geojson|xml|log|tar|cpio|sql|dump|html|yaml|yml|parquet|avro|orc|arrow|cbor"
_FORMATS += "|vcf|fasta|fastq|fa|fq|bed|sam|nii|svg|warc|wet|wat|pb|nt|ttl|nq|rdf|dat|bin|img|iso|pcap|md|cef|pkl"
_CODECS = "snappy|gz|gzip|zstd|zst|lz4|lzo|brotli|br|deflate|bz2|bzip2|xz|zlib|uncompressed"
_COLUMNAR = "parquet|avro|orc|arrow|feather"
# With a letter at least: digits after the last dot belong to a time or a hash and are no extension.
_ANY = "[0-9]{0,3}[a-z][a-z0-9_+-]{0,11}"
_EXTENSION = rf"(?i)[^/.]\.*(?P<found>\.(?:{_FORMATS})\.(?:{_COMPRESSIONS})|\.(?:{_CODECS})\.(?:{_COLUMNAR})|\.{_ANY})$"


@dataclass(frozen=True, slots=True)
class Grouping:
    """How objects fall into groups.

    Attributes:
        labels: returns the label of each row of a record batch of schema `OBJECTS`.
        order: all possible labels in their natural order; empty where the groups are ordered by bytes.
    """

    labels: Callable[[pa.RecordBatch], pa.Array]
    order: tuple[str, ...] = ()


def grouping(by: str, *, prefix: str = "", depth: int = 1, now: datetime | None = None) -> Grouping:
    """Return the grouping of `ANALYZE … BY`.

    Args:
        by: PREFIX, STORAGE_CLASS, EXTENSION, AGE or SIZE.
        prefix: the prefix of all keys.
        depth: how many folders make a group BY PREFIX.
        now: the moment to count AGE from; the current time by default.
    """
    if by == "PREFIX":
        return by_prefix(prefix, depth)
    if by == "STORAGE_CLASS":
        return Grouping(_storage_classes)
    if by == "EXTENSION":
        return Grouping(_extensions)
    return by_age(now or datetime.now(UTC)) if by == "AGE" else by_size()


def by_prefix(prefix: str, depth: int, *, named: bool = False) -> Grouping:
    """Return the grouping by the first `depth` folders below the folder of a prefix; labels end with `/`.

    Objects directly in that folder are one group, ''; with `named`, each is a group of its own.
    """
    start = len(prefix[: prefix.rfind("/") + 1].encode())
    return Grouping(lambda objects: _leading_folders(objects.column("key"), start, depth, named=named))


_NO_AGE = "unknown"
"""Label of objects without a time."""


def by_age(now: datetime) -> Grouping:
    """Return the grouping by the time since the last modification; a time in the future counts as now."""
    moment = round(now.timestamp() * 1_000_000)
    edges = np.array([days * 86_400_000_000 for days in _DAYS])

    def labels(objects: pa.RecordBatch) -> pa.Array:
        times = objects.column("last_modified").cast(pa.int64())
        ages = _ranges(moment - times.fill_null(moment).to_numpy(), edges, AGES)
        return pc.if_else(times.is_null(), _NO_AGE, ages) if times.null_count else ages

    return Grouping(labels, AGES)


def by_size() -> Grouping:
    """Return the grouping by size."""
    return Grouping(lambda objects: _ranges(objects.column("size").to_numpy(), np.array(_SIZES), SIZES), SIZES)


def _ranges(values: npt.NDArray[np.int64], edges: npt.NDArray[np.int64], names: tuple[str, ...]) -> pa.Array:
    return pa.array(names).take(pa.array(np.searchsorted(edges, values, side="right")))


def _storage_classes(objects: pa.RecordBatch) -> pa.Array:
    return objects.column("storage_class").cast(pa.string()).fill_null("")


def _extensions(objects: pa.RecordBatch) -> pa.Array:
    extracted = pc.extract_regex(objects.column("key"), _EXTENSION)
    return pc.ascii_lower(pc.struct_field(extracted, "found")).fill_null("")


def _leading_folders(keys: pa.StringArray, start: int, depth: int, *, named: bool) -> pa.Array:
    """Return the part of each key from byte `start` through its `depth`-th slash from there, or its last one.

    A key without a slash from there gives an empty text, or with `named` all of that part.
    """
    _, offsets, data = keys.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(keys) + 1, 4 * keys.offset)
    # Keys of several pages may share a buffer.
    slashes = np.flatnonzero(np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]] == _SLASH) + bounds[0]
    begins = bounds[:-1].astype(np.int64) + start
    before, behind = np.searchsorted(slashes, begins), np.searchsorted(slashes, bounds[1:])
    folders = np.minimum(behind - before, depth)
    last = np.append(slashes, 0)[before + folders - 1]
    ends = np.where(folders > 0, last + 1, bounds[1:] if named else begins)
    return texts_at(data, begins, ends)


GROUPS = pa.schema(
    [
        ("group", pa.large_string()),
        ("objects", pa.int64()),
        ("bytes", pa.int64()),
        ("newest", pa.timestamp("us", tz="UTC")),
        ("oldest", pa.timestamp("us", tz="UTC")),
        ("usd_month", pa.float64()),
    ]
)
"""Label, number of objects, sum of their sizes, newest and oldest time, and dollars a month (NaN where the price of a
storage class is not known)."""
_SUMS = [("objects", "sum"), ("bytes", "sum"), ("newest", "max"), ("oldest", "min"), ("usd_month", "sum")]
STORAGE_USD = {
    "STANDARD": 0.023,
    "INTELLIGENT_TIERING": 0.023,
    "REDUCED_REDUNDANCY": 0.024,
    "STANDARD_IA": 0.0125,
    "ONEZONE_IA": 0.01,
    "GLACIER_IR": 0.004,
    "GLACIER": 0.0036,
    "DEEP_ARCHIVE": 0.00099,
}
"""Dollars a month per GB (2^30 bytes) by storage class, first tier: S3's list prices in us-east-1, 2025."""
GB = 2**30


def _usd(objects: pa.RecordBatch) -> pa.Array:
    """Return what each object costs a month; NaN where the price of its class is not known."""
    classes = objects.column("storage_class").dictionary_encode()
    prices = [STORAGE_USD.get(name or "", float("nan")) / GB for name in classes.dictionary.to_pylist()]
    each = pa.array(prices, pa.float64()).take(classes.indices)
    return pc.multiply(each.fill_null(float("nan")), objects.column("size").cast(pa.float64()))


_MOST_PARTS = 256
_MOST_ROWS = 8192


MOST_GROUPS = 100_000
"""Most rows of an analysis; the last one sums up all further groups, those with the fewest bytes."""
_CHUNK = 1024


class Summary:
    """Adds up the groups of record batches of schema `OBJECTS`, in bounded memory.

    Args:
        grouping: how objects fall into groups.
        most: most rows of the result; sums of many more groups go to disk. None for all groups, in memory.
    """

    def __init__(self, grouping: Grouping, most: int | None = MOST_GROUPS) -> None:
        self._grouping = grouping
        self._most = most
        # The sums so far and what is to be added, in one list: an interrupt finds either both or their total.
        self._parts = [GROUPS.empty_table()]
        self._waiting_rows = 0
        self._runs: tuple[Path, ...] = ()
        self._folder: Path | None = None
        self._before_restart: tuple[tuple[Path, ...], pa.Table] | None = None

    def add(self, objects: pa.RecordBatch) -> None:
        """Count the rows of a page."""
        if not objects.num_rows:
            return
        part = self._sums_of_page(objects)
        self._parts.append(part)
        self._waiting_rows += len(part)
        # Parts wait until there are enough, so that many groups do not cost a pass over all sums for each page.
        if len(self._parts) > _MOST_PARTS or self._waiting_rows > max(_MOST_ROWS, len(self._parts[0])):
            self._sums_in_memory()

    def merge(self, groups: pa.Table) -> None:
        """Add all groups of another summary of the same grouping, a table of schema `GROUPS`."""
        self._parts.append(groups)
        self._sums_in_memory()

    def _sums_of_page(self, objects: pa.RecordBatch) -> pa.Table:
        size, time = objects.column("size"), objects.column("last_modified")
        labels = self._grouping.labels(objects)
        return _summed(pa.table([labels, pa.repeat(1, len(size)), size, time, time, _usd(objects)], schema=_PAGE_SUMS))

    def _sums_in_memory(self) -> pa.Table:
        """Return the sums in memory; past twice the rows of the result they go to disk."""
        if len(self._parts) > 1:
            self._parts = [_summed(pa.concat_tables(self._parts))]
            self._waiting_rows = 0
            if self._most is not None and len(self._parts[0]) > 2 * self._most:
                run = self._write_run(self._parts[0].sort_by("group"))
                self._parts, self._runs = [GROUPS.empty_table()], (*self._runs, run)
        return self._parts[0]

    def _write_run(self, groups: pa.Table) -> Path:
        if self._folder is None:
            self._folder = new_folder("analysis")
            finalize(self, remove, self._folder)
        path = self._folder / token_hex(8)
        with pa.ipc.new_file(str(path), GROUPS) as file:
            file.write_table(groups, max_chunksize=_CHUNK)
        return path

    def _sums(self) -> tuple[tuple[Path, ...], pa.Table]:
        whole = self._sums_in_memory()
        return self._runs, whole

    def begin_again(self) -> None:
        """Forget the counts, since all pages come again."""
        self._before_restart, self._parts, self._runs = self._sums(), [GROUPS.empty_table()], ()

    def lacks_rows(self) -> bool:
        """Whether a group has fewer objects than before the restart."""
        if self._before_restart is None:
            return False
        void = [map(_negative, source) for source in _in_order(self._before_restart)]
        both = _joined([*_in_order(self._sums()), *void])
        return any(pc.any(pc.less(part["objects"], 0)).as_py() for part in both)

    def table(self) -> pa.Table:
        """Return the groups so far, of schema `GROUPS`: in the grouping's order, or most bytes first."""
        whole = self._sums_in_memory()
        if self._grouping.order:
            places = pc.index_in(whole["group"], pa.array(self._grouping.order, pa.large_string()))
            return whole.take(pc.sort_indices(places))
        if self._most is None or not (self._runs or len(whole) > self._most):
            return whole.sort_by(_BY_BYTES)
        return self._largest(self._most)

    def _largest(self, most: int) -> pa.Table:
        """Return the groups with the most bytes, and one row for all others."""
        kept, rest, left_out = GROUPS.empty_table(), GROUPS.empty_table(), 0
        for part in [*_joined(_in_order(self._sums())), None]:
            kept = kept if part is None else pa.concat_tables([kept, part])
            if len(kept) > 2 * most or part is None:
                kept = kept.sort_by(_BY_BYTES)
                others = kept.slice(most - 1)
                left_out += len(others)
                rest = _summed(pa.concat_tables([rest, others.set_column(0, "group", _filled("", len(others)))]))
                kept = kept.slice(0, most - 1).combine_chunks()
        return pa.concat_tables([kept, rest.set_column(0, "group", _filled(f"({left_out:,} more groups)", len(rest)))])


_BY_BYTES = [("bytes", "descending"), ("objects", "descending"), ("group", "ascending")]


def _filled(label: str, rows: int) -> pa.Array:
    return pa.array([label] * rows, pa.large_string())


def _negative(groups: pa.RecordBatch) -> pa.RecordBatch:
    return groups.set_column(1, "objects", pc.negate(groups["objects"]))


def _in_order(sums: tuple[tuple[Path, ...], pa.Table]) -> list[Iterator[pa.RecordBatch]]:
    """Return the written sums and those in memory, each sorted by group and in batches."""
    runs, whole = sums

    def read(path: Path) -> Iterator[pa.RecordBatch]:
        with pa.ipc.open_file(pa.memory_map(str(path))) as file:
            yield from map(file.get_batch, range(file.num_record_batches))

    return [*map(read, runs), iter(whole.sort_by("group").to_batches(_CHUNK))]


def _joined(sources: list[Iterator[pa.RecordBatch]]) -> Iterator[pa.Table]:
    """Yield the groups of several sorted sources, each group once."""
    heads = {source: head for source in sources if (head := next(source, None)) is not None}
    while heads:
        # Up to the smallest of the last groups, each group is complete.
        bound = min(head["group"][-1].as_py() for head in heads.values())
        ready = []
        for source, head in list(heads.items()):
            count = pc.sum(pc.less_equal(head["group"], pa.scalar(bound, pa.large_string()))).as_py()
            ready.append(head.slice(0, count))
            rest = head.slice(count) if count < len(head) else next(source, None)
            if rest is None:
                del heads[source]
            else:
                heads[source] = rest
        yield _summed(pa.Table.from_batches(ready, GROUPS))


# The labels of one page fit into 2 GB; those of the whole need not.
_PAGE_SUMS = GROUPS.set(0, pa.field("group", pa.string()))


def _summed(rows: pa.Table) -> pa.Table:
    """Return one row for each group, of schema `GROUPS`."""
    summed = rows.group_by("group", use_threads=False).aggregate(_SUMS)
    names = {"group": "group", **{f"{name}_{function}": name for name, function in _SUMS}}
    named = summed.rename_columns([names[name] for name in summed.column_names])
    return named.select(GROUPS.names).cast(GROUPS)


class Counting(Protocol):
    """Counts the pages of a scan, as `Summary` does."""

    def add(self, objects: pa.RecordBatch) -> None:
        """Count the rows of a page."""

    def begin_again(self) -> None:
        """Forget the counts, since all pages come again."""

    def lacks_rows(self) -> bool:
        """Whether less came the second time."""

    def table(self) -> pa.Table:
        """Return the counts, with a column `objects`."""


class Scan(Listing):
    """Counts everything below a prefix.

    Args:
        target: the bucket.
        prefix: the prefix of all keys.
        summary: counts the pages.
        connections: most requests under way.
        ranges, pages, learned: as for a `Listing`.

    Runs once, by `total`. Used as a context manager, it is cancelled on leaving.
    """

    def __init__(
        self,
        target: Target,
        prefix: str,
        summary: Counting,
        *,
        connections: int = CONNECTIONS,
        ranges: tuple[KeyRange, ...] = (),
        pages: int | None = None,
        learned: Learned | None = None,
    ) -> None:
        super().__init__(target, prefix, connections=connections, ranges=ranges, pages=pages, learned=learned)
        self._summary = summary

    def total(self, *, on_progress: Callable[[Progress], None] | None = None) -> pa.Table:
        """Return the groups of all objects, of schema `GROUPS`.

        `on_progress` is called in this thread, several times a second; what it raises ends the scan.

        Raises:
            IncompleteListingError: the scan failed after its first page, or a page could not be trusted; `rows_so_far`
                has the groups of what had arrived, a table like the result.
            ListingInterrupted: the user interrupted it; `rows_so_far` as above.
            S3ConnError: it failed before anything arrived.
        """
        try:
            self._count(None if on_progress is None else lambda: on_progress(self.progress))
        except (ListingInterrupted, IncompleteListingError) as error:
            raise _renamed(error) from None
        return self.table()

    def _count(self, report: Callable[[], None] | None) -> None:
        try:
            for arrived in self._watched(keep=False, every=report):
                if isinstance(arrived, Restart):
                    self._summary.begin_again()
                else:
                    self._summary.add(arrived.objects)
                if report is not None:
                    report()
        except KeyboardInterrupt:
            raise self._interrupted() from None
        if self._summary.lacks_rows():
            raise self._failure(
                UnreadableError("the server lists keys without an order, and not the same ones each time")
            )

    def table(self) -> pa.Table:
        """Return the groups of what has arrived, including pages that were pending at an interrupt."""
        while self._arrived:
            self._summary.add(self._arrived.pop().objects)
        return self._summary.table()


def _renamed(error: ListingInterrupted | IncompleteListingError) -> S3ConnError:
    """Return the error with its message counting keys, since its rows are groups."""
    groups = error.rows_so_far
    keys = f"{pc.sum(groups['objects']).as_py() or 0:,} keys"
    if isinstance(error, ListingInterrupted):
        return ListingInterrupted(f"the analysis was interrupted after {keys}", rows_so_far=groups)
    message = f"the analysis is incomplete, {keys} had arrived: {error.reason}"
    return IncompleteListingError(message, rows_so_far=groups, reason=error.reason, hint=error.hint)
