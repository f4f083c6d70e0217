"""The data files of a report → batches in the columns of a listing."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from s3conn_magic.errors import InventoryError, ListingInterrupted
from s3conn_magic.inventory.manifest import ReportDownloads, listing_names
from s3conn_magic.listing.decode import UndecodableError, checked_utf8, percent_column
from s3conn_magic.listing.request import Progress
from s3conn_magic.listing.table import OBJECTS, VERSIONS
from s3conn_magic.locations import visible
from s3conn_magic.objects.unpacking import compression_of
from s3conn_magic.runtime.background import wait_for
from s3conn_magic.runtime.temporary import new_folder, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.inventory.manifest import DataFile, Manifest
    from s3conn_magic.listing.glob import Glob

_BLOCK = 4 * 1024 * 1024
_ROWS = 131_072


class UnreadableFileError(ValueError):
    """A data file is not what its manifest says; the message says why and quotes nothing of it."""


def listing_batches(path: Path, file_format: str, names: Sequence[str], *, versions: bool) -> Iterator[pa.Table]:
    """Yield the rows of a data file as they stand in it, in the columns of a listing; what the report lacks is null.

    Args:
        path: the file.
        file_format: CSV, ORC or Parquet.
        names: its fields, in order.
        versions: whether the version columns are part of it.

    Raises:
        UnreadableFileError: the file is damaged, or lacks fields that the manifest names.
    """
    schema = VERSIONS if versions else OBJECTS
    wanted = {ours: theirs for ours, theirs in listing_names(names).items() if ours in schema.names}
    try:
        for batch in _READERS[file_format](path, names, wanted):
            yield _in_columns(batch, schema, wanted, encoded=file_format == "CSV")
    except UnreadableFileError:
        raise
    except UndecodableError as error:
        reason = str(error)
    except (pa.ArrowException, ValueError, OSError) as error:
        reason = f"it cannot be read as {file_format} with the fields of the manifest ({type(error).__name__})"
    else:
        return
    raise UnreadableFileError(reason)


def _csv(path: Path, names: Sequence[str], wanted: dict[str, str]) -> Iterator[Any]:
    from pyarrow import csv

    with pa.OSFile(str(path)) as file:
        packed = compression_of(file.read(16)) == "gzip"
        file.seek(0)
        # A report of nothing has a data file of nothing, which the reader takes for an error.
        stream = pa.CompressedInputStream(file, "gzip") if packed else file
        if not stream.read(1):
            return
    with pa.OSFile(str(path)) as file:
        yield from csv.open_csv(
            pa.CompressedInputStream(file, "gzip") if packed else file,
            read_options=csv.ReadOptions(column_names=list(names), block_size=_BLOCK),
            convert_options=csv.ConvertOptions(
                include_columns=list(wanted.values()),
                column_types={theirs: _csv_type(ours) for ours, theirs in wanted.items()},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )


def _csv_type(name: str) -> pa.DataType:
    kind = VERSIONS.field(name).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _orc(path: Path, names: Sequence[str], wanted: dict[str, str]) -> Iterator[Any]:
    from pyarrow import orc

    del names
    file = orc.ORCFile(str(path))
    _check_fields(file.schema.names, wanted)
    for stripe in range(file.nstripes):
        yield file.read_stripe(stripe, columns=list(wanted.values()))


def _parquet(path: Path, names: Sequence[str], wanted: dict[str, str]) -> Iterator[Any]:
    from pyarrow import parquet

    del names
    with parquet.ParquetFile(str(path)) as file:
        _check_fields(file.schema_arrow.names, wanted)
        yield from file.iter_batches(_ROWS, columns=list(wanted.values()))


def _check_fields(there: Sequence[str], wanted: dict[str, str]) -> None:
    if missing := sorted(set(wanted.values()) - set(there)):
        raise UnreadableFileError(f"it has no field {missing[0]}, which the manifest names")


_READERS = {"CSV": _csv, "ORC": _orc, "Parquet": _parquet}


def _in_columns(batch: Any, schema: pa.Schema, wanted: dict[str, str], *, encoded: bool) -> pa.Table:
    columns_of = {ours: batch.column(theirs) for ours, theirs in wanted.items()}
    if columns_of["key"].null_count:
        raise UnreadableFileError("a row has no key")
    columns = [_column(columns_of.get(field.name), field, len(batch), encoded=encoded) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(values: Any, wanted: pa.Field, rows: int, *, encoded: bool) -> Any:
    if values is None:
        return pa.nulls(rows, wanted.type)
    if wanted.name == "key":
        return _keys(values, encoded=encoded)
    if wanted.name == "etag":
        import pyarrow.compute as pc

        return pc.utf8_trim(values.cast(pa.string()), '"')
    if pa.types.is_dictionary(wanted.type):
        return values.cast(pa.string()).dictionary_encode()
    # Times without a zone are UTC.
    return values.cast(wanted.type, safe=not pa.types.is_timestamp(wanted.type))


def _keys(values: Any, *, encoded: bool) -> Any:
    """Return exact keys. Reports in CSV percent-encode them as forms do, a space as `+`."""
    keys = pa.concat_arrays([values.cast(pa.string())])
    return checked_utf8(percent_column(keys, plus=True) if encoded else keys)


_FILES_AT_ONCE = 8
_BYTES_AHEAD = 1024**3


class Inventory:
    """The rows of a report.

    Args:
        connection: what its data files are read through.
        manifest: which they are.
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
        matching: Glob | None = None,
        limit: int | None = None,
        connections: int = 32,
    ) -> None:
        self._manifest = manifest
        self._matching = matching
        self._limit = limit
        self._downloads = ReportDownloads(connection, connections)
        self._tables: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._total = sum(file.size for file in manifest.files)
        self.truncated = False

    @property
    def progress(self) -> Progress:
        """How far it is."""
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
        """Return one table of all rows, sorted by key, with the newest version of a key first.

        `on_progress` is called in this thread, several times a second.

        Raises:
            InventoryError: a data file is not the one that the manifest names.
            ListingInterrupted: the user interrupted it.
            S3ConnError: a data file cannot be read.
        """

        def report() -> None:
            if on_progress is not None:
                on_progress(self.progress)

        folder = new_folder("inventory")
        try:
            self._collect(folder, report)
        except KeyboardInterrupt:
            rows = self.table()
            message = f"the inventory was interrupted after {len(rows):,} rows"
            raise ListingInterrupted(message, rows_so_far=rows) from None
        finally:
            self._downloads.stop()
            remove(folder)
        return self.table()

    def table(self) -> pa.Table:
        """Return the rows that were read so far, as `collect` gives them."""
        import pyarrow.compute as pc

        schema = VERSIONS if self._manifest.versions else OBJECTS
        # Keys of many files together may be more than two gigabytes.
        large = schema.set(0, pa.field("key", pa.large_string()))
        table = pa.concat_tables([part.cast(large) for part in self._tables] or [large.empty_table()])
        table = table.unify_dictionaries()
        return table.take(pc.sort_indices(table, sort_keys=_ORDER[: 3 if self._manifest.versions else 1]))

    def _collect(self, folder: Path, report: Callable[[], None]) -> None:
        pool = ThreadPoolExecutor(_FILES_AT_ONCE, "s3conn-inventory")
        try:
            for done in self._under_way(pool, folder):
                self._take(wait_for(done, every=report))
                report()
                if self.truncated:
                    return
        finally:
            self._downloads.stop()
            pool.shutdown(wait=False, cancel_futures=True)

    def _under_way(self, pool: ThreadPoolExecutor, folder: Path) -> Iterator[Future[pa.Table]]:
        """Yield the files in order; the next ones are read meanwhile, as far as the disk should hold."""
        waiting: deque[tuple[Future[pa.Table], int]] = deque()
        for at, file in enumerate(self._manifest.files):
            while waiting and (
                len(waiting) == _FILES_AT_ONCE or sum(size for _, size in waiting) + file.size > _BYTES_AHEAD
            ):
                yield waiting.popleft()[0]
            waiting.append((pool.submit(self._file, file, folder / str(at)), file.size))
        while waiting:
            yield waiting.popleft()[0]

    def _take(self, table: pa.Table) -> None:
        import pyarrow.compute as pc

        if self._limit is not None and self._rows + len(table) > self._limit:
            table, self.truncated = table.slice(0, self._limit - self._rows), True
        self._tables.append(table)
        self._rows += len(table)
        self._bytes += pc.sum(table["size"]).as_py() or 0

    def _file(self, file: DataFile, path: Path) -> pa.Table:
        try:
            with path.open("wb") as into:
                self._downloads.fetch(file, into)
            return self._matching_rows(path)
        except UnreadableFileError as error:
            reason = str(error)
        finally:
            path.unlink(missing_ok=True)
        raise InventoryError(f"the data file {visible(file.location.uri)} is not as its manifest says: {reason}")

    def _matching_rows(self, path: Path) -> pa.Table:
        """Return the rows of a file, no more than show that the limit was passed."""
        manifest, rows, tables = self._manifest, 0, []
        for batch in listing_batches(path, manifest.file_format, manifest.names, versions=manifest.versions):
            kept = batch if self._matching is None else batch.filter(self._matching.mask(batch["key"]))
            tables.append(kept)
            rows += len(kept)
            if self._limit is not None and rows > self._limit:
                break
        schema = VERSIONS if manifest.versions else OBJECTS
        return pa.concat_tables(tables) if tables else schema.empty_table()


_ORDER = [("key", "ascending"), ("is_latest", "descending"), ("last_modified", "descending")]
