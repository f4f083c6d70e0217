"""Read the data files of a report in batches, with the columns of a listing or all of the report's."""

from __future__ import annotations

import re
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from s3conn_magic.connections.signing import at_once
from s3conn_magic.errors import IncompleteListingError, InventoryError, ListingInterrupted, S3ConnError
from s3conn_magic.inventory import ReportDownloads, listing_names
from s3conn_magic.listing import Listing
from s3conn_magic.listing.request import Progress
from s3conn_magic.listing.table import OBJECTS, VERSIONS, UndecodableError, checked_utf8, percent_column
from s3conn_magic.locations import visible
from s3conn_magic.objects.formats import compression_of
from s3conn_magic.runtime.background import wait_for
from s3conn_magic.runtime.temporary import new_folder, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.inventory import DataFile, Manifest
    from s3conn_magic.listing.analysis import Counting
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.runtime.patterns import Glob
    from s3conn_magic.transport import Target

_BLOCK = 1024 * 1024
_ROWS = 131_072
_BUCKET = pa.field("bucket", pa.string())
_TYPES = {"is_multipart_uploaded": pa.bool_(), "object_lock_retain_until_date": pa.timestamp("us", tz="UTC")}
"""Fields that are not in listings and are not text."""
_WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class UnreadableFileError(ValueError):
    """A data file is not as its manifest says; the message says why, without quoting the file."""


def schema_of(manifest: Manifest) -> pa.Schema:
    """Return the columns of a report in a query: bucket, the columns of a listing, then the report's others."""
    listed = VERSIONS if manifest.versions else OBJECTS
    others = [pa.field(name, _TYPES.get(name, pa.string())) for name in _other_fields(manifest.names)]
    return pa.schema([_BUCKET, *(_plain(field) for field in listed), *others])


def _plain(field: pa.Field) -> pa.Field:
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _other_fields(names: Sequence[str]) -> dict[str, str]:
    """Return the fields that are not in listings: the inventory's name by column name, such as `encryption_status`."""
    known = {*listing_names(names).values()}
    others = {_WORD_BEGINS.sub("_", name).lower(): name for name in names if name not in known}
    return {ours: theirs for ours, theirs in others.items() if ours not in {*VERSIONS.names, "bucket"}}


def report_batches(path: Path, manifest: Manifest, schema: pa.Schema, rows: int = _ROWS) -> Iterator[pa.Table]:
    """Yield the rows of a data file in its order; fields that the report lacks are null.

    Args:
        path: the file.
        manifest: manifest of its report.
        schema: the wanted columns, named as in a listing or in `schema_of`.
        rows: most rows of a batch, as far as the format allows.

    Raises:
        UnreadableFileError: the file is damaged, or lacks fields that the manifest names.
    """
    fields = listing_names(manifest.names) | _other_fields(manifest.names)
    wanted = {ours: theirs for ours, theirs in fields.items() if ours in schema.names}
    wanted = wanted or {"key": fields["key"]}
    try:
        for batch in _READERS[manifest.file_format](path, manifest.names, wanted, rows):
            yield _in_columns(batch, schema, wanted, manifest)
    except UnreadableFileError:
        raise
    except UndecodableError as error:
        reason = str(error)
    except (pa.ArrowException, ValueError, OSError) as error:
        kind = type(error).__name__
        reason = f"it cannot be read as {manifest.file_format} with the fields of the manifest ({kind})"
    else:
        return
    raise UnreadableFileError(reason)


def _csv(path: Path, names: Sequence[str], wanted: dict[str, str], rows: int) -> Iterator[Any]:
    from pyarrow import csv

    del rows
    with pa.OSFile(str(path)) as file:
        packed = compression_of(file.read(16)) == "gzip"
        file.seek(0)
        # A report without rows has an empty data file, which the CSV reader rejects.
        stream = pa.CompressedInputStream(file, "gzip") if packed else file
        if not stream.read(1):
            return
    with pa.OSFile(str(path)) as file:
        yield from csv.open_csv(
            pa.CompressedInputStream(file, "gzip") if packed else file,
            # Without threads it does not read ahead.
            read_options=csv.ReadOptions(column_names=list(names), block_size=_BLOCK, use_threads=False),
            convert_options=csv.ConvertOptions(
                include_columns=list(wanted.values()),
                column_types={theirs: _csv_type(ours) for ours, theirs in wanted.items()},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )


def _csv_type(name: str) -> pa.DataType:
    return _plain(VERSIONS.field(name)).type if name in VERSIONS.names else _TYPES.get(name, pa.string())


def _orc(path: Path, names: Sequence[str], wanted: dict[str, str], rows: int) -> Iterator[Any]:
    del names
    # `ORCFile` gives a stripe whole, which can be millions of rows. A scan that is left reads on to its end, unless its
    # file is closed.
    with pa.OSFile(str(path)) as file:
        fragment = ds.OrcFileFormat().make_fragment(file)
        _check_fields(fragment.physical_schema.names, wanted)
        scanner = fragment.scanner(columns=[*wanted.values()], batch_size=rows, batch_readahead=0, use_threads=False)
        batches = scanner.to_reader()
        for batch in batches:  # noqa: UP028 - `yield from` would close the scan before the file
            yield batch


def _parquet(path: Path, names: Sequence[str], wanted: dict[str, str], rows: int) -> Iterator[Any]:
    from pyarrow import parquet

    del names
    # With a buffer, pages are read one by one rather than a row group's columns as a whole.
    with parquet.ParquetFile(str(path), buffer_size=_BLOCK, pre_buffer=False) as file:
        _check_fields(file.schema_arrow.names, wanted)
        yield from file.iter_batches(rows, columns=list(wanted.values()), use_threads=False)


def _check_fields(present: Sequence[str], wanted: dict[str, str]) -> None:
    if missing := sorted(set(wanted.values()) - set(present)):
        raise UnreadableFileError(f"it has no field {missing[0]}, which the manifest names")


_READERS = {"CSV": _csv, "ORC": _orc, "Parquet": _parquet}


def _in_columns(batch: Any, schema: pa.Schema, wanted: dict[str, str], manifest: Manifest) -> pa.Table:
    columns_of = {ours: batch.column(theirs) for ours, theirs in wanted.items()}
    if "key" in columns_of and columns_of["key"].null_count:
        raise UnreadableFileError("a row has no key")
    columns = [
        pa.repeat(manifest.bucket, len(batch))
        if field.equals(_BUCKET)
        else _column(columns_of.get(field.name), field, len(batch), encoded=manifest.file_format == "CSV")
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(values: Any, wanted: pa.Field, rows: int, *, encoded: bool) -> Any:
    if values is None:
        return pa.nulls(rows, wanted.type)
    if wanted.name == "key":
        return _keys(values, encoded=encoded)
    if wanted.name == "etag":
        return pc.utf8_trim(values.cast(pa.string()), '"')
    if pa.types.is_dictionary(wanted.type):
        return values.cast(pa.string()).dictionary_encode()
    if pa.types.is_list(values.type):  # names, such as those of checksums
        return pc.binary_join(values.cast(pa.list_(pa.string())), ",")
    # Times without a zone are UTC.
    return values.cast(wanted.type, safe=not pa.types.is_timestamp(wanted.type))


def _keys(values: Any, *, encoded: bool) -> Any:
    """Return the exact keys. CSV reports percent-encode them as forms do, with `+` for a space."""
    keys = pa.concat_arrays([values.cast(pa.string())])
    return checked_utf8(percent_column(keys, plus=True) if encoded else keys)


_FILES_AT_ONCE = 8
_BYTES_AHEAD = 1024**3
_PARTS_AT_ONCE = 16


class Inventory:
    """The rows of a report: data files are downloaded, checked and read in batches while the next ones arrive.

    Args:
        connection: the connection to read with.
        manifest: manifest of the report.
        prefix: take only keys beginning with it.
        matching: take only keys that match.
        limit: take only so many rows, in the order of the report.
        connections: most requests under way.

    Attributes:
        truncated: whether `limit` left rows out; certain once `collect` has returned.
    """

    def __init__(
        self,
        connection: Connection,
        manifest: Manifest,
        *,
        prefix: str = "",
        matching: Glob | None = None,
        limit: int | None = None,
        connections: int = 32,
    ) -> None:
        self._manifest = manifest
        self._prefix = prefix
        self._matching = matching
        self._limit = limit
        self._downloads = ReportDownloads(connection, connections)
        self._tables: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._total = sum(file.size for file in manifest.files)
        self.truncated = False

    @property
    def progress(self) -> Progress:
        """The progress so far."""
        counts = self._downloads.counts
        return Progress(
            keys=self._rows,
            bytes=self._bytes,
            requests=counts.requests,
            elapsed=time.monotonic() - counts.began,
            fraction=counts.received / self._total if self._total else None,
            received=counts.received,
        )

    def collect(self, *, on_progress: Callable[[Progress], None] | None = None) -> pa.Table:
        """Return one table of all rows, sorted by key, and the newest version of a key first.

        `on_progress` is called in this thread, several times a second.

        Raises:
            InventoryError: a data file is not the one that the manifest names.
            ListingInterrupted: the user interrupted it.
            S3ConnError: a data file cannot be read.
        """
        try:
            with closing(self.batches(self._schema, self._reporter(on_progress))) as batches:
                for batch in batches:
                    self._add_rows(batch if self._matching is None else batch.filter(self._matching.mask(batch["key"])))
                    if self.truncated:
                        break
        except KeyboardInterrupt:
            rows = self.table()
            message = f"the inventory was interrupted after {len(rows):,} rows"
            raise ListingInterrupted(message, rows_so_far=rows) from None
        return self.table()

    def total(self, summary: Counting, *, on_progress: Callable[[Progress], None] | None = None) -> pa.Table:
        """Return the groups of the objects, as `Scan.total` does; old versions do not count.

        Raises:
            IncompleteListingError, ListingInterrupted: `rows_so_far` are the groups of the rows read so far.
            InventoryError, S3ConnError: it failed before anything was read.
        """
        try:
            with closing(self.batches(self._schema, self._reporter(on_progress))) as batches:
                for batch in batches:
                    objects = batch.filter(_CURRENT) if self._manifest.versions else batch
                    for part in objects.select(OBJECTS.names).combine_chunks().to_batches():
                        summary.add(part)
                    self._count(objects)
        except KeyboardInterrupt:
            said = f"the analysis was interrupted after {self._rows:,} keys"
            failure: S3ConnError = ListingInterrupted(said, rows_so_far=summary.table())
        except S3ConnError as error:
            if not self._rows:
                raise
            said = f"the analysis is incomplete, {self._rows:,} keys had been read: {error.message}"
            failure = IncompleteListingError(
                said, rows_so_far=summary.table(), reason=error.message, hint=error.hint, notes=error.notes
            )
        else:
            return summary.table()
        raise failure

    def _reporter(self, on_progress: Callable[[Progress], None] | None) -> Callable[[], None]:
        return lambda: None if on_progress is None else on_progress(self.progress)

    @property
    def _schema(self) -> pa.Schema:
        return VERSIONS if self._manifest.versions else OBJECTS

    def table(self) -> pa.Table:
        """Return a table, as from `collect`, of the rows read so far."""
        schema = self._schema
        # The keys of many files together may exceed two gigabytes.
        large = schema.set(0, pa.field("key", pa.large_string()))
        table = pa.concat_tables([part.cast(large) for part in self._tables] or [large.empty_table()])
        table = table.unify_dictionaries()
        return table.take(pc.sort_indices(table, sort_keys=_ORDER[: 3 if self._manifest.versions else 1]))

    def batches(self, schema: pa.Schema, every: Callable[[], None] = lambda: None) -> Generator[pa.Table, None, None]:
        """Yield the rows in the order of the report, holding only a few batches at a time.

        Args:
            schema: the columns, as for `report_batches`; must include `key` if there is a prefix.
            every: called in this thread, several times a second; what it raises is raised here.

        Raises:
            As `collect`.
        """
        rows = _ROWS if self._limit is None else min(_ROWS, self._limit + 1)
        folder = new_folder("inventory")
        pool = ThreadPoolExecutor(at_once(_FILES_AT_ONCE), "s3conn-inventory")
        try:
            for file, path, done in self._under_way(pool, folder):
                wait_for(done, every=every)
                try:
                    for batch in report_batches(path, self._manifest, schema, rows):
                        yield batch.filter(pc.starts_with(batch["key"], self._prefix)) if self._prefix else batch
                        every()
                except UnreadableFileError as error:
                    name = visible(file.location.uri)
                    said = f"the data file {name} is not as its manifest says: {error}"
                    raise InventoryError(
                        said, hint="Take the report of another day, or list the bucket itself."
                    ) from None
                path.unlink()
        finally:
            self._downloads.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            remove(folder)

    def _under_way(self, pool: ThreadPoolExecutor, folder: Path) -> Iterator[tuple[DataFile, Path, Future[None]]]:
        """Yield the files in order while the next ones are downloaded, as far as the disk should hold them.

        Only one file is fetched at first, as a LIMIT may need no more; then two, and so on.
        """
        waiting: deque[tuple[DataFile, Path, Future[None]]] = deque()
        at_once = 1
        for at, file in enumerate(self._manifest.files):
            while waiting and (
                len(waiting) == at_once or sum(other.size for other, *_ in waiting) + file.size > _BYTES_AHEAD
            ):
                yield waiting.popleft()
                at_once = min(_FILES_AT_ONCE, 2 * at_once)
            path = folder / str(at)
            waiting.append((file, path, pool.submit(self._download, file, path, max(2, _PARTS_AT_ONCE // at_once))))
        yield from waiting

    def _download(self, file: DataFile, path: Path, ahead: int) -> None:
        with path.open("wb") as into:
            self._downloads.fetch(file, into, ahead)

    def _add_rows(self, table: pa.Table) -> None:
        if self._limit is not None and self._rows + len(table) > self._limit:
            table, self.truncated = table.slice(0, self._limit - self._rows), True
        self._tables.append(table)
        self._count(table)

    def _count(self, table: pa.Table) -> None:
        self._rows += len(table)
        self._bytes += pc.sum(table["size"]).as_py() or 0


_CURRENT = pc.field("is_latest") & ~pc.coalesce(pc.field("is_delete_marker"), pc.scalar(False))
_ORDER = [("key", "ascending"), ("is_latest", "descending"), ("last_modified", "descending")]


class StreamedRows(ds.Dataset):  # type: ignore[misc] # PyArrow has no types
    """The rows of a report or listing for a query: the columns it wants, batch by batch.

    Args:
        open_rows: opens the rows anew for each scan.
        schema: all of the columns.
        scope: the query that reads them.
    """

    def __init__(self, open_rows: Callable[[], Inventory | ListedRows], schema: pa.Schema, scope: QueryScope) -> None:
        self._open, self._schema, self._scope = open_rows, schema, scope

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> _RowReader:  # noqa: A002 - Arrow's own name
        """Return the rows that pass a filter, with some columns."""
        wanted = self._schema if columns is None else pa.schema([self._schema.field(name) for name in columns])
        # A filter does not tell which columns it needs.
        return _RowReader(wanted, self._batches(wanted if filter is None else self._schema, wanted, filter))

    def _batches(self, read: pa.Schema, wanted: pa.Schema, taken: Any) -> Iterator[pa.RecordBatch]:
        source = self._open()
        try:
            with self._scope.noting(), closing(source.batches(read, self._scope.check)) as batches:
                for batch in batches:
                    rows = batch if taken is None else batch.filter(taken)
                    yield from rows.select(wanted.names).to_batches()
        finally:
            self._scope.count(source.progress.requests, source.progress.received)


class _RowReader(NamedTuple):
    """Takes the place of Arrow's scanner, whose threads read ahead beyond any LIMIT."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the rows, read in the calling thread."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches)


def listed_schema(*, versions: bool) -> pa.Schema:
    """Return the columns of a listing in a query: those of LIST RECURSIVE, with VERSIONS if wanted."""
    return pa.schema([_BUCKET, *map(_plain, VERSIONS if versions else OBJECTS)])


class ListedRows:
    """The objects below a location, or their versions, as they are listed; pages are not kept.

    Args:
        target: the bucket.
        place: location whose key is the prefix.
        versions: whether to list versions and delete markers.
        scope: the query, which can stop the listing.
    """

    def __init__(self, target: Target, place: Location, versions: bool, scope: QueryScope) -> None:
        self._listing = Listing(target, place.key, versions=versions)
        self._bucket, self._scope = place.bucket, scope

    @property
    def progress(self) -> Progress:
        """The progress so far."""
        return self._listing.progress

    def batches(self, schema: pa.Schema, every: Callable[[], None]) -> Generator[pa.Table, None, None]:
        """Yield the rows of each page.

        Args:
            schema: the wanted columns of `listed_schema`.
            every: called for each page.

        Raises:
            S3ConnError: it could not be listed completely.
        """
        with self._scope.during(self._listing) as listing:
            for page in listing.pages(keep=False):
                every()
                rows = page.objects
                columns = [
                    pa.repeat(self._bucket, len(rows)) if field.equals(_BUCKET) else rows.column(field.name)
                    for field in schema
                ]
                yield pa.table(
                    [column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
                )
