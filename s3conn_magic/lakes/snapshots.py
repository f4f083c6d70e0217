"""One state of a table of others: what it is called, its columns, its files, and the rows that they hold in it."""

from __future__ import annotations

import importlib
import json
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs

from s3conn_magic.errors import QueryError, pip_install
from s3conn_magic.lakes import (
    NEWEST,
    OF_S3,
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

    from s3conn_magic.lakes import LakeRoot, Reach
    from s3conn_magic.lakes.catalogs import ConnectionIO

_AT_ONCE, _HELD = 4, 64 * 1024 * 1024
"""Files that are read side by side, and the bytes of one above which its batches are not held."""
_ORDERED = (pa.types.is_integer, pa.types.is_date32)
_EXACT = (*_ORDERED, pa.types.is_timestamp)
"""Types whose bounds are never rounded; those of times are by some writers of Delta."""


class LakeFile(NamedTuple):
    """A file of a table.

    Attributes:
        path: for the filesystem.
        size: bytes.
        holds: what is true of all of its rows; None for nothing that is known.
        detail: what the one who reads it needs to know.
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
        version: what it is called, such as `version 12`.
        schema: its columns.
        files: those that have its rows.
        read: the rows of one of them, of these columns.
        notes: what to say of it.
    """

    root: LakeRoot
    version: str
    schema: pa.Schema
    files: Sequence[LakeFile]
    read: Callable[[LakeFile, Sequence[str]], Iterator[pa.RecordBatch]]
    notes: tuple[str, ...] = ()

    @property
    def badge(self) -> str:
        """Its format and version, as `Delta, version 12`."""
        return f"{self.root.format}, {self.version}"


def library(name: str, reach: Reach, version: Callable[[], str]) -> Any:
    """A package that reads tables.

    Raises:
        QueryError: it is not installed; the error says what the table is, and how it is installed.
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
    """The rows of a state of a table, as DuckDB asks for them: columns and filters come with the question.

    Args:
        snapshot: the state.
        during: is entered while files are read, and sees what fails of that.
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
        """The rows that a filter takes, of some columns; files that have none are not read."""
        columns = list(self.schema.names if columns is None else columns)
        needed = (
            columns if filter is None else [name for name in self.schema.names if self._needs(name, columns, filter)]
        )
        schema = pa.schema([self.schema.field(name) for name in needed])
        kept = [self._snapshot.files[int(part.path)] for part in self._index.get_fragments(filter)]
        return ds.Scanner.from_batches(
            self._batches(kept, needed, schema), schema=schema, columns=columns, filter=filter
        )

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
        """The rows of files in their order; of small ones several are read at once."""

        def rows(file: LakeFile) -> Iterator[pa.RecordBatch]:
            with self._during(), telling(self._snapshot.root):
                for batch in self._snapshot.read(file, columns):
                    yield batch.select(columns).cast(schema)

        def held(file: LakeFile) -> Iterable[pa.RecordBatch]:
            return list(rows(file)) if file.size <= _HELD else rows(file)

        for batches in in_order(held, files, _AT_ONCE, name="s3conn-lake"):
            yield from batches


def parquet_rows(
    reach: Reach, file: LakeFile, fields: Sequence[pa.Field], names: Mapping[str, str], keep: pa.Array | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, of these columns; those that it lacks are NULL.

    Args:
        reach: opens it.
        file: its path.
        fields: the columns, with the types that they become.
        names: what the file calls a column, where that is not its name.
        keep: which rows, from the first on; those behind them stay.
    """
    format_ = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit="us"))
    with reach.filesystem.open(file.path, "rb") as opened:
        fragment = format_.make_fragment(opened)
        there = fragment.physical_schema.names
        spelled = {name.casefold(): name for name in there}
        stored = [names.get(field.name, field.name) for field in fields]
        stored = [name if name in there else spelled.get(name.casefold(), name) for name in stored]
        physical = pa.schema([_physical(field, name) for field, name in zip(fields, stored, strict=True)])
        logical = pa.schema(list(fields))
        at = 0
        for batch in ds.Scanner.from_fragment(fragment, schema=physical, columns=stored).to_batches():
            count = batch.num_rows
            taken = batch if keep is None else batch.filter(_mask(keep, at, count))
            at += count
            yield pa.record_batch(_Renamed(taken, logical)) if stored else _without_columns(taken.num_rows)


def _physical(field: pa.Field, name: str) -> pa.Field:
    """A column as a file has it, with the names that column mapping gives to what is in it."""
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
    """What the files of a Delta table call a column: by its column mapping, else its name."""
    name = (field.metadata or {}).get(_PHYSICAL, field.name.encode()).decode()
    return str(json.loads(name)) if name.startswith('"') else str(name)


class _Renamed:
    """A batch with other names, at any depth: its columns are the same bytes."""

    def __init__(self, batch: pa.RecordBatch, schema: pa.Schema) -> None:
        self._batch, self._schema = batch, schema

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """Schema and values, in Arrow's C interface."""
        return self._schema.__arrow_c_schema__(), self._batch.__arrow_c_array__()[1]


def _without_columns(rows: int) -> pa.RecordBatch:
    return pa.record_batch([pa.nulls(rows)], ["rows"]).select([])


def _mask(keep: pa.Array, at: int, count: int) -> pa.Array:
    part = keep.slice(at, count)
    return pa.concat_arrays([part, pa.repeat(pa.scalar(True), count - len(part))]) if len(part) < count else part


def all_of(conditions: Sequence[Any]) -> Any:
    """Conditions as one; None for none."""
    whole = None
    for condition in conditions:
        whole = condition if whole is None else whole & condition
    return whole


def bounds(field: pa.Field, least: Any, most: Any, nulls: int | None) -> list[Any]:
    """What the bounds of a column say of its rows; nothing of types whose bounds may be rounded, or beside NULL."""
    if nulls != 0 or least is None or most is None or not any(is_such(field.type) for is_such in _ORDERED):
        return []
    column = ds.field(field.name)
    return [column >= pa.scalar(least, field.type), column <= pa.scalar(most, field.type)]


# Iceberg


def iceberg(reach: Reach, moment: Moment, name: str = "") -> Snapshot:
    """A state of an Iceberg table, by its newest metadata file.

    Args:
        reach: leads to it.
        moment: which state.
        name: of a metadata file below the root, in place of the newest.
    """
    name = name or newest_metadata(reach)
    library("pyiceberg", reach, lambda: iceberg_version(reach, name))
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
    from pyiceberg.schema import index_by_id
    from pyiceberg.table import StaticTable
    from pyiceberg.table.metadata import TableMetadataUtil

    content = metadata_of(reach.content([name])[0], name)
    metadata = TableMetadataUtil.parse_obj(content)
    io = _file_io(reach, metadata)
    table = StaticTable(("table",), metadata, name, io, NoopCatalog("none"))
    snapshot = _iceberg_snapshot(table, moment)
    # The current state has the columns of the table, which may be newer than its snapshot.
    scan = table.scan() if snapshot is None or moment == NEWEST else table.scan(snapshot_id=snapshot.snapshot_id)
    columns = scan.projection()
    inner = [field for field in index_by_id(columns).values() if field not in columns.fields]
    if any(field.initial_default is not None for field in inner):
        raise QueryError("a field within a column has a default for the rows before it, which is not read")
    schema = schema_to_pyarrow(columns, include_field_ids=False)
    if snapshot:
        io.fetch(manifest.manifest_path for manifest in snapshot.manifests(io))
    tasks = list(scan.plan_files()) if snapshot else []

    def read(file: LakeFile, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        from pyiceberg.expressions import AlwaysTrue

        wanted = columns.select(*names)
        yield from ArrowScan(metadata, io, wanted, AlwaysTrue()).to_record_batches([file.detail])

    holds = _iceberg_holds(metadata, columns, schema)
    files = [LakeFile(task.file.file_path, task.file.file_size_in_bytes, holds(task.file), task) for task in tasks]
    state = f"snapshot {snapshot.snapshot_id}" if snapshot else "no snapshot"
    return Snapshot(reach.root, f"format {metadata.format_version}, {state}", schema, files, read)


def _iceberg_snapshot(table: Any, moment: Moment) -> Any:
    if moment.time is not None:
        snapshot = table.snapshot_as_of_timestamp(int(moment.time.timestamp() * 1000))
        if snapshot is None:
            raise QueryError(f"it has no snapshot as old as {moment.time:%Y-%m-%d %H:%M:%S} UTC")
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


def _iceberg_holds(metadata: Any, columns: Any, schema: pa.Schema) -> Callable[[Any], Any]:
    """What tells what holds of all rows of a file: by the bounds in its manifest, and by texts that it is parted by."""
    from pyiceberg.conversions import from_bytes
    from pyiceberg.transforms import IdentityTransform
    from pyiceberg.types import StringType

    fields = dict(zip((column.field_id for column in columns.fields), schema, strict=True))
    ordered = [
        (column.field_id, column.field_type, fields[column.field_id])
        for column in columns.fields
        if any(is_such(fields[column.field_id].type) for is_such in _EXACT)
    ]
    texts = {column.field_id for column in columns.fields if isinstance(column.field_type, StringType)}
    parted = {
        number: [
            (at, ds.field(fields[part.source_id].name))
            for at, part in enumerate(spec.fields)
            if part.source_id in texts and isinstance(part.transform, IdentityTransform)
        ]
        for number, spec in metadata.specs().items()
    }

    def holds(file: Any) -> Any:
        conditions = []
        for number, kind, field in ordered:
            least, most = ((of or {}).get(number) for of in (file.lower_bounds, file.upper_bounds))
            nulls = (file.null_value_counts or {}).get(number)
            if nulls == 0 and least is not None and most is not None:
                least, most = (pa.scalar(from_bytes(kind, value), field.type) for value in (least, most))
                conditions += [ds.field(field.name) >= least, ds.field(field.name) <= most]
        for at, column in parted[file.spec_id]:
            value = file.partition[at]
            conditions.append(column.is_null() if value is None else column == value)
        return all_of(conditions)

    return holds


def _location(metadata: Any) -> str:
    """The folder of a table as its files are named by: some say where it was made from, and name them without."""
    return str(metadata.location).rstrip("/").removeprefix("./")


def _file_io(reach: Reach, metadata: Any) -> ConnectionIO:
    """PyIceberg's view of the filesystem; files below the table's own location are looked for below its folder."""
    from s3conn_magic.lakes.catalogs import ConnectionIO

    own, root = _location(metadata), reach.root.location

    def below_root(location: str) -> str:
        inside = location.startswith(f"{own}/")
        return reach.path(f"{root.key}{location[len(own) + 1 :]}") if inside else reach.resolved(location)

    return ConnectionIO(reach, below_root if _is_moved(reach, metadata) else None)


def _is_moved(reach: Reach, metadata: Any) -> bool:
    """Whether the table was copied to where it is: its files are below its folder, and not where they say."""
    root, own = reach.root.location, _location(metadata)
    match = SCHEME.fullmatch(own)
    if match and match[1] in OF_S3 and (match[2], f"{match[3]}/".lstrip("/")) == (root.bucket, root.key):
        return False
    manifests = next((each.manifest_list for each in metadata.snapshots[-1:]), None)
    if manifests is None or not manifests.startswith(f"{own}/"):
        return False
    return bool(reach.below(manifests[len(own) + 1 :]))
