"""A state of an Iceberg table, read by PyIceberg through our filesystem, and the commit time of rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes import NEWEST, OF_S3, OWN_ENGINE, SCHEME, Moment, iceberg_version, metadata_of, newest_metadata
from s3conn_magic.lakes.snapshots import ORDERED, LakeFile, Snapshot, all_of, library
from s3conn_magic.language.words import listed
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from s3conn_magic.lakes import TableAccess
    from s3conn_magic.lakes.catalogs import ConnectionIO

_EXACT_BOUNDS = (*ORDERED, pa.types.is_timestamp)
"""Types whose bounds are exact; some writers of Delta round those of times."""
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
    now = max(datetime.now(UTC), committed_of(transaction.table_metadata) + timedelta(microseconds=1))
    transaction.set_properties({_COMMITTED: now.isoformat()})
    return now


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
