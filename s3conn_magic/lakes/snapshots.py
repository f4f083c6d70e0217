"""A state of a lake table: its version, columns and files, and their rows as a dataset; one of Iceberg by PyIceberg.

PyIceberg reads through our filesystem.
"""

from __future__ import annotations

import importlib
import json
from contextlib import nullcontext
from dataclasses import dataclass
from dataclasses import field as of
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs

from s3conn_magic.connections.signing import at_once
from s3conn_magic.errors import QueryError, pip_install
from s3conn_magic.lakes import (
    CAME,
    NEWEST,
    OF_S3,
    OWN_ENGINE,
    SCHEME,
    Moment,
    iceberg_version,
    metadata_of,
    newest_metadata,
    telling,
)
from s3conn_magic.language.words import listed
from s3conn_magic.locations import visible
from s3conn_magic.runtime.background import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from s3conn_magic.lakes import LakeRoot, TableAccess
    from s3conn_magic.lakes.catalogs import ConnectionIO

_AT_ONCE, _MOST_HELD = 4, 64 * 1024 * 1024
"""Files read side by side, and the size in bytes above which a file's batches are not held."""
ORDERED = (pa.types.is_integer, pa.types.is_date32)
"""Types whose bounds are exact in every format."""


class LakeFile(NamedTuple):
    """A file of a table.

    Attributes:
        path: path for the filesystem.
        size: size in bytes.
        holds: what is true of all its rows; None if nothing is known.
        detail: data for its reader.
    """

    path: str
    size: int
    holds: Any
    detail: Any


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of a table.

    Attributes:
        root: the table.
        version: such as `version 12`.
        schema: its columns.
        files: its files.
        read: reads some columns of a file.
        notes: notes for the user.
        committed: latest `$commit_time` of its rows; rows of later commits have later ones.
    """

    root: LakeRoot
    version: str
    schema: pa.Schema
    files: Sequence[LakeFile]
    read: Callable[[LakeFile, Sequence[str]], Iterator[pa.RecordBatch]]
    notes: tuple[str, ...] = ()
    committed: datetime | None = None

    @property
    def badge(self) -> str:
        """Format and version, such as `Delta, version 12`."""
        return f"{self.root.format}, {self.version}"


def library(name: str, reach: TableAccess, version: Callable[[], str]) -> Any:
    """Return a package that reads tables.

    Raises:
        QueryError: it is not installed; says which table needs it, and how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        pass
    raise QueryError(
        f"{visible(reach.root.location.uri)} is of the table format {reach.root.format}, {version()}, which the package"
        f" {name} reads, and that is not installed",
        hint=f"{pip_install(name)}, and run it again.",
    )


class LakeRows(ds.Dataset):  # type: ignore[misc] # PyArrow has no types
    """The rows of a table's state as DuckDB asks for them, with columns and filters.

    Args:
        snapshot: the state.
        during: entered while files are read, so that it sees their errors.
    """

    def __init__(self, snapshot: Snapshot, during: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._snapshot, self._during = snapshot, during
        format_, nowhere = ds.ParquetFileFormat(), pyarrow.fs.LocalFileSystem()
        fragments = [
            format_.make_fragment(str(at), nowhere, partition_expression=file.holds)
            for at, file in enumerate(snapshot.files)
        ]
        self._index = ds.FileSystemDataset(fragments, snapshot.schema, format_, nowhere)

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._snapshot.schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> ds.Scanner:  # noqa: A002 - Arrow's own name
        """Return the rows that pass a filter, with some columns; files without such rows are not read."""
        columns = list(self.schema.names if columns is None else columns)
        needed = (
            columns if filter is None else [name for name in self.schema.names if self._needs(name, columns, filter)]
        )
        schema = pa.schema([self.schema.field(name) for name in needed])
        kept = [self._snapshot.files[int(part.path)] for part in self._index.get_fragments(filter)]
        return ds.Scanner.from_batches(
            self._batches(kept, needed, schema), schema=schema, columns=columns, filter=filter
        )

    def may_have(self, filter: Any) -> bool:  # noqa: A002 - as above
        """Whether any row may pass a filter, by what is known about the files."""
        return any(True for _ in self._index.get_fragments(filter))

    def _needs(self, name: str, columns: Sequence[str], filter: Any) -> bool:  # noqa: A002 - as above
        if name in columns:
            return True
        others = pa.schema([field for field in self.schema if field.name != name]).empty_table()
        try:
            ds.InMemoryDataset(others).to_table(filter=filter, columns=[])
        except pa.ArrowInvalid:
            return True
        return False

    def _batches(
        self, files: Sequence[LakeFile], columns: Sequence[str], schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of files in their order; several small files are read at once."""

        def rows(file: LakeFile) -> Iterator[pa.RecordBatch]:
            with self._during(), telling(self._snapshot.root):
                for batch in self._snapshot.read(file, columns):
                    yield batch.select(columns).cast(schema)

        def held(file: LakeFile) -> Iterable[pa.RecordBatch]:
            return list(rows(file)) if file.size <= _MOST_HELD else rows(file)

        for batches in in_order(held, files, at_once(_AT_ONCE), name="s3conn-lake"):
            yield from batches


_STEP = timedelta(microseconds=1)
_COMMITTED = "s3conn-magic.committed"


def committed_of(metadata: Any) -> datetime:
    """Return the time of an Iceberg table's latest commit as its rows have it, or a later one."""
    time = metadata.properties.get(_COMMITTED)
    return datetime.fromisoformat(time) if time else datetime.fromtimestamp(metadata.last_updated_ms / 1000, UTC)


def new_commit(transaction: Any) -> datetime:
    """Return the time for the rows of a commit, later than that of all commits before, and record it.

    Commits replace the table's pointer one after the other, so the rows of a state are never later than its latest
    commit, whatever the clocks of the kernels, and however long a commit takes.
    """
    now = max(datetime.now(UTC), committed_of(transaction.table_metadata) + _STEP)
    transaction.set_properties({_COMMITTED: now.isoformat()})
    return now


@dataclass(slots=True)
class Watermarks:
    """The commits up to which a job has read its tables in S3, in its last run and in this one.

    A commit under way during the last run is not in the state that it read, although its time may be before its end.

    Attributes:
        before: those of the last run, by address of the table.
        start: start of the time that this run covers.
        end: end of that time.
        pinned: the states that this run reads.
    """

    before: Mapping[str, datetime]
    start: datetime
    end: datetime
    pinned: dict[str, Snapshot] = of(default_factory=dict)

    def pin(self, root: LakeRoot, newest: Callable[[], Snapshot]) -> Snapshot:
        """Return the state of a table that this run reads, the same each time."""
        if (address := _address(root)) not in self.pinned:
            self.pinned[address] = newest()
        return self.pinned[address]

    @property
    def after(self) -> dict[str, datetime]:
        """The commit times up to which this run has read, by address of the table."""
        states = {address: state.committed for address, state in self.pinned.items()}
        return {address: min(at, self.end - _STEP) for address, at in states.items() if at is not None}

    def late(self, snapshot: Snapshot) -> tuple[pa.Scalar, pa.Scalar] | None:
        """Return the times between which, both exclusive, rows were added that the last run should have read."""
        seen = self.before.get(_address(snapshot.root))
        if seen is None or CAME not in snapshot.schema.names or seen + _STEP >= self.start:
            return None
        kind = snapshot.schema.field(CAME).type
        return tuple(pa.scalar(at, pa.timestamp("us", "UTC")).cast(kind) for at in (seen, self.start))


def _address(root: LakeRoot) -> str:
    return root.location.uri.rstrip("/")


def parquet_rows(
    reach: TableAccess,
    file: LakeFile,
    fields: Sequence[pa.Field],
    names: Mapping[str, str],
    keep: pa.Array | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield some columns of the rows of a Parquet file; columns that it lacks are NULL.

    Args:
        reach: opens it.
        file: its path.
        fields: the columns, with their target types.
        names: the file's name of a column, if it differs.
        keep: which rows to keep, from the first on; rows after these are all kept.
    """
    format_ = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit="us"))
    with reach.filesystem.open(file.path, "rb") as opened:
        fragment = format_.make_fragment(opened)
        stored_names = fragment.physical_schema.names
        spelled = {name.casefold(): name for name in stored_names}
        stored = [names.get(field.name, field.name) for field in fields]
        stored = [name if name in stored_names else spelled.get(name.casefold(), name) for name in stored]
        physical = pa.schema([_physical(field, name) for field, name in zip(fields, stored, strict=True)])
        logical = pa.schema(list(fields))
        at = 0
        for batch in ds.Scanner.from_fragment(fragment, schema=physical, columns=stored).to_batches():
            count = batch.num_rows
            taken = batch if keep is None else batch.filter(_mask(keep, at, count))
            at += count
            yield pa.record_batch(_Renamed(taken, logical)) if stored else _without_columns(taken.num_rows)


def _physical(field: pa.Field, name: str) -> pa.Field:
    """Return a column as in a file, with the nested names of column mapping."""
    return pa.field(name, _physical_type(field.type))


def _physical_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([_physical(each, physical_name(each)) for each in kind])
    if pa.types.is_list(kind):
        return pa.list_(_physical(kind.value_field, kind.value_field.name))
    if pa.types.is_map(kind):
        return pa.map_(_physical_type(kind.key_type), _physical_type(kind.item_type))
    return kind


_PHYSICAL = b"delta.columnMapping.physicalName"


def physical_name(field: pa.Field) -> str:
    """Return the name of a column in the files of a Delta table: from its column mapping, otherwise its own."""
    name = (field.metadata or {}).get(_PHYSICAL, field.name.encode()).decode()
    return str(json.loads(name)) if name.startswith('"') else str(name)


class _Renamed:
    """A batch with other names at any depth, over the same bytes."""

    def __init__(self, batch: pa.RecordBatch, schema: pa.Schema) -> None:
        self._batch, self._schema = batch, schema

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """Return schema and values for Arrow's C interface."""
        return self._schema.__arrow_c_schema__(), self._batch.__arrow_c_array__()[1]


def _without_columns(rows: int) -> pa.RecordBatch:
    return pa.record_batch([pa.nulls(rows)], ["rows"]).select([])


def _mask(keep: pa.Array, at: int, count: int) -> pa.Array:
    part = keep.slice(at, count)
    return pa.concat_arrays([part, pa.repeat(pa.scalar(True), count - len(part))]) if len(part) < count else part


def all_of(conditions: Sequence[Any]) -> Any:
    """Return the conjunction of conditions; None if there are none."""
    condition_of_all = None
    for condition in conditions:
        condition_of_all = condition if condition_of_all is None else condition_of_all & condition
    return condition_of_all


def bound_conditions(field: pa.Field, least: Any, most: Any, nulls: int | None) -> list[Any]:
    """Return the conditions in a column's bounds; none if the bounds may be rounded or there are NULLs."""
    if nulls != 0 or least is None or most is None or not any(is_such(field.type) for is_such in ORDERED):
        return []
    column = ds.field(field.name)
    return [column >= pa.scalar(least, field.type), column <= pa.scalar(most, field.type)]


_EXACT_BOUNDS = (*ORDERED, pa.types.is_timestamp)
"""Types whose bounds are exact; some writers of Delta round those of times."""


def iceberg(reach: TableAccess, moment: Moment, name: str = "") -> Snapshot:
    """Return a state of an Iceberg table.

    Args:
        reach: access to it.
        moment: which state.
        name: metadata file relative to the root; by default the newest.
    """
    name = name or newest_metadata(reach)
    library("pyiceberg", reach, lambda: iceberg_version(reach, name))
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
    from pyiceberg.manifest import clear_manifest_cache
    from pyiceberg.schema import index_by_id
    from pyiceberg.table import ManifestGroupPlanner, StaticTable
    from pyiceberg.table.metadata import TableMetadataUtil

    content = metadata_of(reach.content([name])[0], name)
    metadata = TableMetadataUtil.parse_obj(_with_one_state(content) if moment == NEWEST else content)
    io = _file_io(reach, metadata)
    table = StaticTable(("table",), metadata, name, io, NoopCatalog("none"))
    snapshot = _iceberg_snapshot(table, moment)
    # The current state has the columns of the table, which may be newer than those of its snapshot.
    scan = table.scan() if snapshot is None or moment == NEWEST else table.scan(snapshot_id=snapshot.snapshot_id)
    columns = scan.projection()
    inner = [field for field in index_by_id(columns).values() if field not in columns.fields]
    if any(field.initial_default is not None for field in inner):
        message = "a field within a column has a default for the rows before it, which is not read"
        raise QueryError(message, hint=OWN_ENGINE)
    schema = schema_to_pyarrow(columns, include_field_ids=False)
    clear_manifest_cache()  # its keys are addresses, which tables on several servers may share
    # Manifests of a rewrite contain only deleted files.
    manifests = [each for each in snapshot.manifests(io) if _has_files(each)] if snapshot else []
    io.fetch(manifest.manifest_path for manifest in manifests)
    tasks = list(ManifestGroupPlanner(metadata, io).plan_files(manifests))

    def read(file: LakeFile, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        from pyiceberg.expressions import AlwaysTrue

        wanted = columns.select(*names)
        yield from ArrowScan(metadata, io, wanted, AlwaysTrue()).to_record_batches([file.detail])

    holds = _conditions_of(metadata, columns, schema)
    files = [LakeFile(task.file.file_path, task.file.file_size_in_bytes, holds(task.file), task) for task in tasks]
    state = f"snapshot {snapshot.snapshot_id}" if snapshot else "no snapshot"
    badge, committed = f"format {metadata.format_version}, {state}", committed_of(metadata)
    return Snapshot(reach.root, badge, schema, files, read, committed=committed)


def _with_one_state(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metadata file's content with only the current state, as validating a thousand others takes long."""
    left_out = {"snapshot-log", "metadata-log", "statistics", "partition-statistics", "refs"}
    fields = {name: value for name, value in content.items() if name not in left_out}
    current, states = content.get("current-snapshot-id"), content.get("snapshots") or ()
    return {**fields, "snapshots": [each for each in states if each.get("snapshot-id") == current]}


def _has_files(manifest: Any) -> bool:
    return bool(manifest.has_added_files() or manifest.has_existing_files())


def _iceberg_snapshot(table: Any, moment: Moment) -> Any:
    if moment.time is not None:
        snapshot = table.snapshot_as_of_timestamp(int(moment.time.timestamp() * 1000))
        if snapshot is None:
            times = [datetime.fromtimestamp(each.timestamp_ms / 1000, UTC) for each in table.metadata.snapshots]
            oldest = f"The oldest is of {min(times):%Y-%m-%d %H:%M:%S} UTC." if times else "It has none."
            raise QueryError(f"it has no snapshot as old as {moment.time:%Y-%m-%d %H:%M:%S} UTC", hint=oldest)
        return snapshot
    if moment.version is None:
        return table.current_snapshot()
    version = moment.version
    snapshot = table.snapshot_by_name(version) if isinstance(version, str) and not version.isdigit() else None
    snapshot = snapshot or (table.snapshot_by_id(int(version)) if str(version).isdigit() else None)
    if snapshot is None:
        known = [str(each.snapshot_id) for each in table.metadata.snapshots[-5:]]
        hint = f"The latest are {listed(known, 'and')}." if known else "It has none."
        raise QueryError(f"it has no snapshot {visible(str(version))}", hint=hint)
    return snapshot


def _conditions_of(metadata: Any, columns: Any, schema: pa.Schema) -> Callable[[Any], Any]:
    """Return what is true of all rows of a file, by the bounds in its manifest and by partitions with a text."""
    from pyiceberg.conversions import from_bytes
    from pyiceberg.transforms import IdentityTransform
    from pyiceberg.types import StringType

    fields = dict(zip((column.field_id for column in columns.fields), schema, strict=True))
    ordered = {
        column.field_id: (column.field_type, fields[column.field_id])
        for column in columns.fields
        if any(is_such(fields[column.field_id].type) for is_such in _EXACT_BOUNDS)
    }
    texts = {column.field_id for column in columns.fields if isinstance(column.field_type, StringType)}
    parted = {
        number: [
            (at, ds.field(fields[part.source_id].name))
            for at, part in enumerate(spec.fields)
            if part.source_id in texts and isinstance(part.transform, IdentityTransform)
        ]
        for number, spec in metadata.specs().items()
    }

    @cache  # many files have the same bounds
    def between(number: int, *bounds: bytes) -> Any:
        kind, field = ordered[number]
        least, most = (pa.scalar(from_bytes(kind, value), field.type) for value in bounds)
        return (ds.field(field.name) >= least) & (ds.field(field.name) <= most)

    def holds(file: Any) -> Any:
        conditions = []
        for number in ordered:
            least, most = ((of or {}).get(number) for of in (file.lower_bounds, file.upper_bounds))
            nulls = (file.null_value_counts or {}).get(number)
            if nulls == 0 and least is not None and most is not None:
                conditions.append(between(number, least, most))
        for at, column in parted[file.spec_id]:
            value = file.partition[at]
            conditions.append(column.is_null() if value is None else column == value)
        return all_of(conditions)

    return holds


def _location(metadata: Any) -> str:
    """Return the folder that begins the table's file names, in which a leading `./` is left out."""
    return str(metadata.location).rstrip("/").removeprefix("./")


def _file_io(reach: TableAccess, metadata: Any) -> ConnectionIO:
    """Return PyIceberg's view of the filesystem; files below the table's own location are read below its folder."""
    from s3conn_magic.lakes.catalogs import ConnectionIO

    own, root = _location(metadata), reach.root.location

    def below_root(location: str) -> str:
        inside = location.startswith(f"{own}/")
        return reach.path(f"{root.key}{location[len(own) + 1 :]}") if inside else reach.resolved(location)

    return ConnectionIO(reach, below_root if _is_moved(reach, metadata) else None)


def _is_moved(reach: TableAccess, metadata: Any) -> bool:
    """Whether the table was copied: its files are below its folder, and not at the addresses in its metadata."""
    root, own = reach.root.location, _location(metadata)
    match = SCHEME.fullmatch(own)
    if match and match[1] in OF_S3 and (match[2], f"{match[3]}/".lstrip("/")) == (root.bucket, root.key):
        return False
    manifests = next((each.manifest_list for each in metadata.snapshots[-1:]), None)
    if manifests is None or not manifests.startswith(f"{own}/"):
        return False
    return bool(reach.below(manifests[len(own) + 1 :]))
