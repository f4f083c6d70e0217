"""Our own tables in S3, in Iceberg format: created, changed by single commits, compacted, and dropped."""

from __future__ import annotations

import importlib.util
import io as streams
import random
import time
import uuid
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pyarrow as pa

from s3conn_magic.errors import QueryError, S3ConnError, pip_install
from s3conn_magic.lakes import CAME, NEWEST, NOTES
from s3conn_magic.lakes.opening import open_snapshot
from s3conn_magic.lakes.shapes import (
    append,
    columns_of,
    deferred_properties,
    keys_of,
    shape_of,
    shaped,
    wanted_by,
    whole,
)
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from s3conn_magic.lakes import Moment, TableAccess
    from s3conn_magic.lakes.catalogs import AnyCatalog, ConnectionIO
    from s3conn_magic.lakes.shapes import Rows, TableShape
    from s3conn_magic.lakes.snapshots import Snapshot


_Result = TypeVar("_Result")
DATA = "data/"
LEDGER, RETENTION = "s3conn-magic.ledger", "s3conn-magic.retention-days"
"""Properties of a table: address of its ledger, and the days it keeps rows."""
PROPERTIES: Mapping[str, str] = {
    "COMPRESSION": "write.parquet.compression-codec",
    "TABLE_DATA_RETENTION": RETENTION,
    "COMMENT": "comment",
}
"""The Iceberg properties that hold the options of a table."""


def properties_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the Iceberg properties for some options."""
    properties = {PROPERTIES[name]: str(value) for name, value in options.items()}
    codec = PROPERTIES["COMPRESSION"]
    return properties | ({codec: properties[codec].lower()} if codec in properties else {})


_PROPERTIES = {
    "commit.retry.num-retries": "0",  # a lost commit is checked before it is repeated
    "commit.manifest-merge.enabled": "true",
    "write.target-file-size-bytes": str(128 * 1024 * 1024),
}
_TRIES = 60
_LONGEST_WAIT = 2.0
_KEEP_SNAPSHOTS, _KEEP_ORPHANS = timedelta(days=5), timedelta(days=1)
_SMALL_FILE = 32 * 1024 * 1024
"""Bytes below which files are compacted."""


def check_installed() -> None:
    """Check that PyIceberg is installed.

    Raises:
        QueryError: it is not; says how to install it.
    """
    if importlib.util.find_spec("pyiceberg") is None:
        raise QueryError(
            "tables whose files are in S3 need the package pyiceberg, which is not installed",
            hint=f"{pip_install('tables')}, and run it again.",
        )


class LedgerRow(NamedTuple):
    """An object loaded by a job."""

    job: str
    source: str
    key: str
    etag: str
    size: int
    rows: int


class Tidied(NamedTuple):
    """What OPTIMIZE TABLE did."""

    compacted: int
    into: int
    expired: int
    deleted: int
    rows_gone: bool


@dataclass(slots=True)
class ManagedTable:
    """A table of the session with its files in a folder in S3.

    Attributes:
        reach: access to the folder.
        name: name of the table.
        catalog: setting as for `catalogs.opened`.
        beside: path of the catalog file for `beside`.
        committed: the columns as of this object's last commit.
        keys: the primary key, as last read.
        wanted: the columns by which it is to be partitioned once it has them, as last read.
    """

    reach: TableAccess
    name: str
    catalog: str
    beside: str = ""
    committed: pa.Schema | None = None
    keys: Sequence[str] = ()
    wanted: AbstractSet[str] = frozenset()
    _loaded_state: tuple[tuple[AnyCatalog, ConnectionIO], Any] | None = None

    def _opened(self) -> tuple[AnyCatalog, ConnectionIO]:
        check_installed()
        from s3conn_magic.lakes.catalogs import ConnectionIO, opened

        files = ConnectionIO(self.reach)
        return opened(self.catalog, self.name, self.reach, files, self.beside), files

    @contextmanager
    def _raising_query_errors(self, done: str = "changed") -> Iterator[None]:
        from pyiceberg.exceptions import CommitFailedException, NoSuchTableError

        from s3conn_magic.lakes.catalogs import NoConditionsError

        try:
            yield
        except (S3ConnError, CommitFailedException, NoConditionsError):
            raise
        except NoSuchTableError:
            raise self._missing_error() from None
        except Exception as error:  # noqa: BLE001 - the library has errors of its own, and of others
            message = visible(" ".join(str(error).split()))[:400] or type(error).__name__
            hint = "Nothing of it was changed: run it again, or look at its states by SHOW SNAPSHOTS."
            raise QueryError(f"the table {visible(self.name)} cannot be {done}: {message}", hint=hint) from None

    def _missing_error(self) -> QueryError:
        message = f"the table {visible(self.name)} is not at {visible(self.reach.root.location.uri)} any more"
        return QueryError(message, hint=f"DROP TABLE {self.name}; forgets it.")

    # Reading

    def newest(self) -> str:
        """Return the name of the newest metadata file, relative to the folder; empty if there is no table."""
        from pyiceberg.exceptions import NoSuchTableError

        with self._raising_query_errors("read"):
            catalog, _ = self._opened()
            try:
                return catalog.newest()
            except NoSuchTableError:
                return ""

    def snapshot(self, moment: Moment = NEWEST) -> Snapshot:
        """Return a state of the table.

        Raises:
            QueryError: there is none.
        """
        check_installed()
        if not (name := self.newest()):
            raise self._missing_error()
        return open_snapshot(self.reach, moment, name)

    def schema(self, *, to_change: bool = False) -> pa.Schema:
        """Return its columns; with `to_change` the next commit starts from this state, if it is still the newest."""
        with self._raising_query_errors("read"):
            opened = self._opened()
            table = opened[0].load_table()
            self._loaded_state = (opened, table) if to_change else None
            self.keys, self.wanted = keys_of(table), wanted_by(table.metadata)
            return columns_of(table)

    def shape(self) -> TableShape:
        """Return its shape, as `create` takes it."""
        with self._raising_query_errors("read"):
            return shape_of(self._opened()[0].load_table())

    def history(self) -> list[tuple[Any, ...]]:
        """Return its snapshots, newest first: id, time, operation, total rows and bytes, and whether it is current."""
        with self._raising_query_errors("read"):
            table = self._opened()[0].load_table()
        current = table.metadata.current_snapshot_id
        rows = []
        for snapshot in reversed(table.metadata.snapshots):
            summary = snapshot.summary.additional_properties if snapshot.summary else {}
            total = [int(summary[name]) if name in summary else None for name in _TOTALS]
            time = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
            operation = snapshot.summary.operation.value if snapshot.summary else None
            rows.append((str(snapshot.snapshot_id), time, operation, *total, snapshot.snapshot_id == current))
        return rows

    # Creating

    def create(self, wanted: TableShape, rows: Callable[[], Rows] | None = None, *, replace: bool = False) -> None:
        """Create the table; with rows, table and rows appear at once.

        Args:
            wanted: its shape.
            rows: returns its rows.
            replace: whether to replace an existing table with all of its rows.

        Raises:
            QueryError: it cannot be created.
            NoConditionsError: the server has no conditional writes.
        """
        from pyiceberg.exceptions import CommitFailedException

        catalog, files = self._opened()
        try:
            with self._raising_query_errors("made"):
                schema, spec = shaped(wanted)
                properties = {**_PROPERTIES, **wanted.properties, **deferred_properties(wanted)}
                table = catalog.staged(schema, spec, properties, replacing=replace)
                if rows is None:
                    catalog.publish(table)
                else:
                    transaction = table.transaction()
                    append(transaction, rows())
                    table = transaction.commit_transaction()
                self.committed = columns_of(table)
        except CommitFailedException:
            self._delete_written(files)
            message = f"there is already a table at {visible(self.reach.root.location.uri)}"
            raise QueryError(message, hint="Give another STORAGE_LOCATION, or read what is there by SELECT.") from None
        except BaseException:
            self._delete_written(files)
            raise

    @staticmethod
    def _delete_written(files: ConnectionIO) -> None:
        """Delete what a failed commit wrote; OPTIMIZE TABLE sweeps what cannot be deleted now."""
        with suppress(S3ConnError):
            files.delete_all(files.written)
        files.written.clear()

    def commit(self, change: Callable[[Any, ConnectionIO], _Result]) -> _Result:
        """Make a change by one commit; if another writer was first, make it again.

        Args:
            change: adds the change to a transaction of PyIceberg, based on the table's current state.

        Raises:
            QueryError: it cannot be made, or others were first again and again; nothing of it took effect.
            UnknownOutcomeError: it is unknown whether it took effect.
        """
        from pyiceberg.exceptions import CommitFailedException, ValidationException

        from s3conn_magic.lakes.catalogs import UnknownOutcomeError

        self.reach.connection.refuse_if_read_only(f"a change of the table {self.name}")
        for attempt in range(_TRIES):
            (catalog, files), seen = self._loaded_state or (self._opened(), None)
            self._loaded_state = None
            try:
                with self._raising_query_errors():
                    try:
                        transaction = (seen or catalog.load_table()).transaction()
                        result = change(transaction, files)
                        self.committed = columns_of(transaction.commit_transaction())
                    except ValidationException as error:
                        raise CommitFailedException from error
                    return result
            except CommitFailedException:
                self._delete_written(files)
                time.sleep(random.uniform(0, min(0.05 * 2**attempt, _LONGEST_WAIT)))  # noqa: S311 - no secret
            except UnknownOutcomeError:
                raise
            except BaseException:
                self._delete_written(files)
                raise
        raise QueryError(
            f"the table {visible(self.name)} was changed by others {_TRIES} times before this could be committed",
            hint="None of it was committed; run it again when they are done.",
        )

    # The ledger of jobs

    def ledger(self, transaction: Any, files: ConnectionIO) -> list[LedgerRow]:
        """Return the objects loaded by jobs, according to the state that a transaction starts from."""
        import pyarrow.parquet as pq

        address = transaction.table_metadata.properties.get(LEDGER)
        if not address:
            return []
        table = pq.read_table(streams.BytesIO(files.read(address)))
        return [LedgerRow(*row.values()) for row in table.select(list(LedgerRow._fields)).to_pylist()]

    def loaded(self) -> list[LedgerRow]:
        """Return the objects loaded by jobs so far."""
        catalog, files = self._opened()
        with self._raising_query_errors("read"):
            return self.ledger(catalog.load_table().transaction(), files)

    def note(self, transaction: Any, files: ConnectionIO, rows: Sequence[LedgerRow]) -> None:
        """Add a ledger to a transaction."""
        import pyarrow.parquet as pq

        columns = [pa.array([row[at] for row in rows], kind) for at, kind in enumerate(_LEDGER)]
        body = streams.BytesIO()
        pq.write_table(pa.table(columns, list(LedgerRow._fields)), body, compression="zstd")
        address = f"{self.reach.root.location.uri.rstrip('/')}/{NOTES}ledger-{uuid.uuid4()}.parquet"
        files.write(address, body.getvalue())
        transaction.set_properties({LEDGER: address})

    # Compacting

    def optimize(self, now: datetime) -> Tidied:
        """Compact small files, delete rows past retention, and delete objects that no state needs."""
        rows_gone = self.commit(lambda transaction, _: _expire_rows(transaction, now))
        compacted, into = self.commit(_compact)
        before = self._files()
        expired = self.commit(lambda transaction, _: _expire_snapshots(transaction, now))
        return Tidied(compacted, into, expired, self._sweep(before, now), rows_gone)

    def _files(self) -> set[str]:
        """Return the addresses of all objects that some state needs."""
        catalog, files = self._opened()
        with self._raising_query_errors("read"):
            table = catalog.load_table()
            metadata = table.metadata
            needed = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)}
            needed |= {metadata.properties[LEDGER]} if LEDGER in metadata.properties else set()
            seen: set[str] = set()
            for snapshot in metadata.snapshots:
                needed.add(snapshot.manifest_list)
                for manifest in snapshot.manifests(files):
                    if manifest.manifest_path not in seen:
                        seen.add(manifest.manifest_path)
                        entries = manifest.fetch_manifest_entry(files, discard_deleted=True)
                        needed |= {entry.data_file.file_path for entry in entries}
            return needed | seen

    def _sweep(self, before: set[str], now: datetime) -> int:
        """Delete objects needed `before` but no longer, and old ones that never were; return the number."""
        needed, root = self._files(), self.reach.root.location.uri.rstrip("/")
        gone = []
        for folder in (DATA, NOTES):
            for row in self.reach.below(folder):
                address = f"{root}/{folder}{row['key']}"
                old = now - row["last_modified"] > _KEEP_ORPHANS
                if address not in needed and (address in before or (old and row["key"] != "version-hint.text")):
                    gone.append(address)
        return self._opened()[1].delete_all(gone)

    def set_properties(self, properties: Mapping[str, str]) -> None:
        """Change properties."""
        self.commit(lambda transaction, _: transaction.set_properties(dict(properties)))

    def drop(self, *, delete_data: bool) -> int:
        """Drop it from its catalog, delete its objects and return their number; without `delete_data` do nothing.

        Raises:
            S3ConnError: an object cannot be deleted; the table is already dropped.
        """
        from pyiceberg.exceptions import NoSuchTableError

        if not delete_data:
            return 0
        self.reach.connection.refuse_if_read_only("DROP TABLE … DELETE_DATA")
        catalog, files = self._opened()
        with suppress(NoSuchTableError), self._raising_query_errors("dropped"):
            catalog.drop_table()
        root = self.reach.root.location.uri.rstrip("/")
        return files.delete_all(
            f"{root}/{folder}{row['key']}" for folder in (DATA, NOTES) for row in self.reach.below(folder)
        )


_TOTALS = ("added-records", "deleted-records", "total-records", "total-data-files", "total-files-size")
_LEDGER = (pa.string(), pa.string(), pa.string(), pa.string(), pa.int64(), pa.int64())


# Rewriting


def replace_files(transaction: Any, files: ConnectionIO, old: Iterable[Any], rows: Rows | None) -> int:
    """Replace some files by others with other rows; return the number of new files."""
    from pyiceberg.io.pyarrow import _dataframe_to_data_files

    metadata = transaction.table_metadata
    made: list[Any] = [] if rows is None else list(_dataframe_to_data_files(metadata, whole(transaction, rows), files))
    with transaction.update_snapshot().overwrite() as overwrite:
        for file in old:
            overwrite.delete_data_file(file)
        for file in made:
            overwrite.append_data_file(file)
    return len(made)


def delete_rows(transaction: Any, column: str, values: Iterable[str]) -> None:
    """Add to a transaction the deletion of rows with one of some values; there may be none."""
    from pyiceberg.expressions import In

    _delete(transaction, In(column, set(values)))  # type: ignore[call-arg, arg-type] # what it takes, by place


def _delete(transaction: Any, gone: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transaction.delete(gone)


def rows_since(transaction: Any, moment: datetime, columns: Iterable[str]) -> pa.Table:
    """Return some columns of the rows added since a moment; columns that the table lacks are NULL."""
    from pyiceberg.expressions import GreaterThanOrEqual

    own = {field.name.casefold(): field.name for field in transaction.table_metadata.schema().fields}
    present = [own[name.casefold()] for name in columns if name.casefold() in own]
    if CAME not in own:
        rows = pa.table({name: pa.nulls(0) for name in columns})
    else:
        since = GreaterThanOrEqual(CAME, f"{moment:%Y-%m-%dT%H:%M:%S.%f}")  # type: ignore[call-arg, arg-type] # as above
        rows = transaction._scan(since).select(*present, CAME).to_arrow().select(present)  # noqa: SLF001 - as below
    for name in columns:
        if name.casefold() not in own:
            rows = rows.append_column(name, pa.nulls(len(rows)))
    return rows


def rows_of(transaction: Any, files: ConnectionIO, tasks: Sequence[Any]) -> pa.Table:
    """Return the rows of files in the table's current schema."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow

    metadata = transaction.table_metadata
    schema = schema_to_pyarrow(metadata.schema(), include_field_ids=False)
    if not tasks:
        return schema.empty_table()
    return ArrowScan(metadata, files, metadata.schema(), AlwaysTrue()).to_table(tasks).cast(schema)


def tasks_of(transaction: Any) -> list[Any]:
    """Return the files of a table, each with its deletes."""
    return list(transaction._scan().plan_files())  # noqa: SLF001 - the state of the transaction has no other way


def _compact(transaction: Any, files: ConnectionIO) -> tuple[int, int]:
    groups: dict[str, list[Any]] = {}
    for task in tasks_of(transaction):
        if task.file.file_size_in_bytes < _SMALL_FILE or task.delete_files:
            groups.setdefault(repr((task.file.spec_id, task.file.partition)), []).append(task)
    taken = [task for tasks in groups.values() if len(tasks) > 1 or tasks[0].delete_files for task in tasks]
    if not taken:
        return 0, 0
    file_count = replace_files(transaction, files, [task.file for task in taken], rows_of(transaction, files, taken))
    return len(taken), file_count


def _expire_rows(transaction: Any, now: datetime) -> bool:
    """Delete rows past the table's retention, by the first partition with a time; return whether any were."""
    from pyiceberg.expressions import LessThan
    from pyiceberg.types import DateType, TimestampType, TimestamptzType

    metadata = transaction.table_metadata
    days = int(metadata.properties.get(RETENTION, "0"))
    for field in metadata.spec().fields if days else ():
        column = metadata.schema().find_field(field.source_id)
        end = now - timedelta(days=days)
        if isinstance(column.field_type, DateType):
            limit = f"{end:%Y-%m-%d}"
        elif isinstance(column.field_type, TimestampType | TimestamptzType):
            zone = "+00:00" if isinstance(column.field_type, TimestamptzType) else ""
            limit = f"{end:%Y-%m-%dT%H:%M:%S}{zone}"
        else:
            continue
        before = metadata.current_snapshot_id
        _delete(transaction, LessThan(column.name, limit))  # type: ignore[call-arg, arg-type] # as above
        return bool(transaction.table_metadata.current_snapshot_id != before)
    return False


def _expire_snapshots(transaction: Any, now: datetime) -> int:
    """Expire snapshots that are older than five days or the table's retention."""
    metadata = transaction.table_metadata
    days = int(metadata.properties.get(RETENTION, "0"))
    stay = min(_KEEP_SNAPSHOTS, timedelta(days=days)) if days else _KEEP_SNAPSHOTS
    stay = timedelta(milliseconds=int(metadata.properties.get("history.expire.max-snapshot-age-ms", stay / _MS)))
    kept = {ref.snapshot_id for ref in metadata.refs.values()}
    end = (now - stay).timestamp() * 1000
    gone = [each.snapshot_id for each in metadata.snapshots if each.snapshot_id not in kept and each.timestamp_ms < end]
    if gone:
        from pyiceberg.table.update.snapshot import ExpireSnapshots

        with ExpireSnapshots(transaction) as expiry:
            expiry.by_ids(gone)
    return len(gone)


_MS = timedelta(milliseconds=1)
