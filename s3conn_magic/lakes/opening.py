"""Open a table at a moment. Libraries for Delta and Hudi get only its log, in a local folder.

So all requests go over the connection, with its credentials, encryption and guards.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes import DAMAGED, LOG, NEWEST, OWN_ENGINE, TIMELINE, iceberg_version, telling
from s3conn_magic.lakes.snapshots import (
    LakeFile,
    Snapshot,
    all_of,
    bound_conditions,
    iceberg,
    library,
    parquet_rows,
    physical_name,
)
from s3conn_magic.language.words import listed
from s3conn_magic.locations import size_text, visible
from s3conn_magic.runtime.temporary import new_folder, remove

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from s3conn_magic.lakes import Moment, TableAccess


def open_snapshot(reach: TableAccess, moment: Moment = NEWEST, metadata: str = "") -> Snapshot:
    """Return a state of a table.

    Args:
        reach: access to it.
        moment: which state.
        metadata: for Iceberg, a metadata file relative to the root; by default the newest.

    Raises:
        QueryError: there is no such state, it is damaged or uses unsupported features, or a package is missing.
        S3ConnError: its objects cannot be read.
    """
    others = {"Delta": delta, "Hudi": hudi}
    try:
        with telling(reach.root):
            of_name = others.get(reach.root.format) if not metadata else None
            snapshot = of_name(reach, moment) if of_name else iceberg(reach, moment, metadata)
    except QueryError as error:
        raise error.of(reach.root.text) if reach.root.text not in error.message else error from None
    if reach.root.others:
        other = listed(reach.root.others, "and")
        note = f"{visible(reach.root.location.uri)} is a table of {other}, too: it is read as {reach.root.format}."
        return replace(snapshot, notes=(note,))
    return snapshot


def newest_version(reach: TableAccess) -> str:
    """Return the version of a table, without the package that reads it.

    Raises:
        As `open_snapshot`.
    """
    told_by = {"Delta": _delta_version, "Iceberg": iceberg_version, "Hudi": _hudi_version}[reach.root.format]
    with telling(reach.root):
        return told_by(reach)


_MOST_BYTES = 1_000_000_000
"""Most bytes of a log to fetch."""


@contextmanager
def _mirror(
    reach: TableAccess, names: Sequence[str], sizes: Mapping[str, int], empty: Sequence[str] = ()
) -> Iterator[Path]:
    """Yield a local folder with some of a table's objects, and empty files in place of others.

    Raises:
        QueryError: they are too large.
    """
    total = sum(sizes[name] for name in names)
    if total > _MOST_BYTES:
        message = f"its log has {size_text(total)}, and at most {size_text(_MOST_BYTES)} of one are read"
        raise QueryError(message, hint="A checkpoint that its own engine writes makes what is to be read short.")
    folder = new_folder("lake")
    try:
        for name, data in chain(zip(names, reach.content(names), strict=True), ((name, b"") for name in empty)):
            file = folder.joinpath("table", *name.split("/"))
            if not file.resolve().is_relative_to(folder.resolve()):
                message = f"its log has a name that cannot be one of a file: {visible(name)}"
                raise QueryError(message, hint=OWN_ENGINE)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        yield folder / "table"
    finally:
        remove(folder)


def _with_constants(
    batch: pa.RecordBatch, columns: Sequence[str], schema: pa.Schema, constants: Mapping[str, pa.Scalar]
) -> pa.RecordBatch:
    """Return a batch with columns, some of which have one value in all rows."""
    made = [pa.repeat(constants[name], batch.num_rows) if name in constants else batch.column(name) for name in columns]
    return pa.RecordBatch.from_arrays(made, schema=pa.schema([schema.field(name) for name in columns]))


# Delta

_COMMIT = re.compile(r"([0-9]{20})\.json")
_CHECKPOINT = re.compile(r"([0-9]{20})\.checkpoint(?:\.[0-9]{10}\.([0-9]{10})|\.[0-9a-f-]+)?\.(?:parquet|json)")
_SUPPORTED = {"deletionVectors", "columnMapping", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "typeWidening"}
_IN_FOLDER = "_sidecars/"


class _Log:
    """The log of a Delta table: commits and checkpoints by version.

    Raises:
        QueryError: there is no log.
    """

    def __init__(self, reach: TableAccess) -> None:
        self._reach = reach
        self.rows = {row["key"]: row for row in reach.below(LOG)}
        self.commits: dict[int, str] = {}
        checkpoints: dict[tuple[int, int], list[str]] = {}
        for name in self.rows:
            if match := _COMMIT.fullmatch(name):
                self.commits[int(match[1])] = name
            elif match := _CHECKPOINT.fullmatch(name):
                checkpoints.setdefault((int(match[1]), int(match[2] or 1)), []).append(name)
        self.checkpoints = {version: names for (version, parts), names in checkpoints.items() if len(names) >= parts}
        if not self.commits and not self.checkpoints:
            raise QueryError("its log has neither a commit nor a whole checkpoint", hint=DAMAGED)

    @property
    def newest(self) -> int:
        return max([*self.commits, *self.checkpoints])

    @property
    def oldest(self) -> int:
        """The oldest version still in the log."""
        return 0 if 0 in self.commits else min(self.checkpoints, default=min(self.commits))

    def version(self, moment: Moment) -> int:
        """Return the version at a moment.

        Raises:
            QueryError: the log does not have it.
        """
        if moment.time is not None:
            versions = [version for version in sorted(self.commits) if version >= self.oldest]
            at = bisect_right(versions, moment.time, key=self._written)
            if not at:
                raise QueryError(
                    f"its log tells no version as old as {moment.time:%Y-%m-%d %H:%M:%S} UTC",
                    hint=f"The oldest is version {self.oldest}, of {self._written(versions[0]):%Y-%m-%d %H:%M:%S} UTC."
                    if versions
                    else "Name one by AT (VERSION => …).",
                )
            return versions[at - 1]
        if moment.version is None:
            return self.newest
        version = int(moment.version) if str(moment.version).isdigit() else -1
        if not self.oldest <= version <= self.newest:
            hint = f"It has the versions {self.oldest} to {self.newest}."
            raise QueryError(f"it has no version {visible(str(moment.version))}", hint=hint)
        return version

    def _written(self, version: int) -> datetime:
        """Return when a version was written: the time in its commit, otherwise that of its object."""
        name = self.commits[version]
        (data,) = self._reach.content([LOG + name])
        for line in data.splitlines()[:1]:
            if (time := json.loads(line).get("commitInfo", {}).get("inCommitTimestamp")) is not None:
                return datetime.fromtimestamp(time / 1000, UTC)
        written: datetime = self.rows[name]["last_modified"]
        return written

    def needed(self, version: int) -> list[str]:
        """Return the names of the log's files for a version, relative to the log.

        Raises:
            QueryError: one of them is missing.
        """
        base = max((each for each in self.checkpoints if each <= version), default=-1)
        missing = [each for each in range(base + 1, version + 1) if each not in self.commits]
        if missing:
            raise QueryError(f"its log is damaged: the commit of version {missing[0]} is missing", hint=DAMAGED)
        names = list(self.checkpoints.get(base, []))
        if any(not re.fullmatch(r"[0-9]{20}\.checkpoint(\.[0-9]{10}\.[0-9]{10})?\.parquet", name) for name in names):
            names += [name for name in self.rows if name.startswith(_IN_FOLDER)]
        return names + [self.commits[each] for each in range(base + 1, version + 1)]


def _delta_version(reach: TableAccess) -> str:
    """Return the newest version of a Delta table, without the deltalake package."""
    return f"version {_Log(reach).newest}"


def delta(reach: TableAccess, moment: Moment = NEWEST) -> Snapshot:
    """Return a version of a Delta table."""
    log = _Log(reach)
    library("deltalake", reach, lambda: f"version {log.newest}")
    from deltalake import DeltaTable

    version = log.version(moment)
    names = log.needed(version)
    sizes = {LOG + name: log.rows[name]["size"] for name in names}
    with _mirror(reach, list(sizes), sizes) as folder:
        table = DeltaTable(folder)
        features = _check_protocol(table)
        adds = pa.table(table.get_add_actions())
        schema, partitions = pa.schema(table.schema()), table.metadata().partition_columns
    deleted = _deleted(reach, list(sizes), sizes) if "deletionVectors" in features else {}
    mapped = {field.name: physical_name(field) for field in schema}

    def read(file: LakeFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        constants, keep = file.detail
        fields = [schema.field(name) for name in columns if name not in constants]
        for batch in parquet_rows(reach, file, fields, mapped, keep):
            yield _with_constants(batch, columns, schema, constants)

    files = [_delta_file(reach, row, _Columns(schema, partitions, mapped), deleted) for row in _rows_of(adds)]
    return Snapshot(reach.root, f"version {version}", _plain(schema), files, read)


def _rows_of(adds: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table; structs stay Arrow values, which know their types."""
    for at in range(adds.num_rows):
        yield {name: adds.column(name)[at] for name in adds.column_names}


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return the columns without Delta's metadata."""
    return pa.schema([pa.field(field.name, field.type, field.nullable) for field in schema])


def _check_protocol(table: Any) -> set[str]:
    """Return the features that reading a table requires.

    Raises:
        QueryError: one of them is not supported.
    """
    protocol, configuration = table.protocol(), table.metadata().configuration
    features = set(protocol.reader_features or ())
    unknown = sorted(features - _SUPPORTED - {f"{name}-preview" for name in _SUPPORTED})
    if unknown:
        raise QueryError(f"its feature {listed(unknown, 'and')} is not read", hint=OWN_ENGINE)
    if configuration.get("delta.columnMapping.mode") == "id":
        message = "its columns are mapped by ids (delta.columnMapping.mode = id), which is not read"
        raise QueryError(message, hint=OWN_ENGINE)
    return features


class _Columns(NamedTuple):
    """The columns of a Delta table: schema, partition columns, and the names in its files."""

    schema: pa.Schema
    partitions: Sequence[str]
    mapped: Mapping[str, str]


def _delta_file(
    reach: TableAccess, row: Mapping[str, Any], columns: _Columns, deleted: Mapping[str, pa.Array]
) -> LakeFile:
    schema, partitions, mapped = columns
    written = str(row["path"])
    absolute = re.match(r"[a-z0-9]+:", written)
    key = unquote(written)
    path = reach.resolved(key) if absolute else reach.path(f"{reach.root.location.key}{key}")
    values = row.get("partition")
    constants = {name: _constant(values, name, mapped[name], schema.field(name).type) for name in partitions}
    holds = [
        ds.field(name) == value if value.is_valid else ds.field(name).is_null() for name, value in constants.items()
    ]
    for field in schema:
        least, most, nulls = (_stat(row.get(kind), mapped[field.name]) for kind in ("min", "max", "null_count"))
        holds += bound_conditions(field, least, most, nulls)
    return LakeFile(path, row["size_bytes"].as_py() or 0, all_of(holds), (constants, deleted.get(key)))


def _constant(values: Any, name: str, physical: str, kind: pa.DataType) -> pa.Scalar:
    known = values.as_py() if values is not None else {}
    at = name if name in known else physical
    return values[at].cast(kind)


def _stat(values: Any, name: str) -> Any:
    return (values.as_py() or {}).get(name) if values is not None else None


def _deleted(reach: TableAccess, names: Sequence[str], sizes: Mapping[str, int]) -> dict[str, pa.Array]:
    """Return which rows of files are left, by the file's key relative to the root."""
    from deltalake import DeltaTable

    vectors = reach.below("deletion_vector_")
    more = {f"deletion_vector_{row['key']}": row["size"] for row in vectors}
    with _mirror(reach, [*names, *more], {**sizes, **more}) as folder:
        left = {}
        for row in pa.table(DeltaTable(folder).deletion_vectors()).to_pylist():
            name = unquote(row["filepath"]).rpartition("/table/")[2]
            left[name] = pa.array(row["selection_vector"], pa.bool_())
    return left


# Hudi

_INSTANT = re.compile(r"(?:timeline/)?([0-9]{14,17})(?:_([0-9]{14,17}))?\.(?:commit|deltacommit|replacecommit)")
_NOT_READ = re.compile(r"(?:metadata/)?(?:\.temp|\.aux|archived|\.heartbeat|\.bucket_index)/.*", re.DOTALL)


def _hudi_version(reach: TableAccess) -> str:
    """Return the newest commit of a Hudi table, without the hudi package."""
    instants = _instants([row["key"] for row in reach.below(TIMELINE)])
    return f"commit {instants[-1]}" if instants else "no commit"


def _instants(names: Sequence[str]) -> list[str]:
    """Return the completed commits, in order."""
    return sorted({match[1] for name in names if (match := _INSTANT.fullmatch(name))})


def hudi(reach: TableAccess, moment: Moment = NEWEST) -> Snapshot:
    """Return a commit of a Hudi table whose rows are all in base files."""
    rows = {row["key"]: row["size"] for row in reach.below("")}
    own = [name for name in rows if name.startswith(TIMELINE)]
    instants = _instants([name.removeprefix(TIMELINE) for name in own])
    newest = f"commit {instants[-1]}" if instants else "no commit"
    library("hudi", reach, lambda: newest)
    from hudi import HudiReadOptions, HudiTable

    wanted = _instant_at(moment, instants)
    partitions = [name for name in rows if name.rpartition("/")[2] == ".hoodie_partition_metadata"]
    mirrored = [name for name in own if not _NOT_READ.fullmatch(name.removeprefix(TIMELINE))] + partitions
    names_only = [name for name in rows if name not in {*own, *partitions}]
    with _mirror(reach, mirrored, rows, names_only) as folder:
        table = HudiTable(str(folder))
        options = HudiReadOptions().with_as_of_timestamp(wanted) if wanted else HudiReadOptions()
        slices = table.get_file_slices(options)
        properties = dict(table.hudi_options())
        has_own = properties.get("hoodie.populate.meta.fields", "true") != "false"
        schema = pa.schema(table.get_schema_with_meta_fields() if has_own else table.get_schema())
    _check_slices(slices, properties)

    def read(file: LakeFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from parquet_rows(reach, file, [schema.field(name) for name in columns], {})

    key = reach.root.location.key
    files = [
        LakeFile(reach.path(f"{key}{(name := each.base_file_relative_path())}"), rows[name], None, None)
        for each in slices
    ]
    return Snapshot(reach.root, f"commit {wanted}" if wanted else newest, schema, files, read)


def _instant_at(moment: Moment, instants: Sequence[str]) -> str:
    """Return the commit at a moment; empty for the newest."""
    if moment.time is not None:
        moment_text = f"{moment.time:%Y%m%d%H%M%S}{moment.time.microsecond // 1000:03}"
        if not instants or moment_text < instants[0]:
            oldest = f"The oldest is {instants[0]}." if instants else "It has none."
            raise QueryError(f"it has no commit as old as {moment.time:%Y-%m-%d %H:%M:%S} UTC", hint=oldest)
        return [instant for instant in instants if instant <= moment_text][-1]
    if moment.version is None:
        return ""
    if str(moment.version) not in instants:
        hint = f"The latest are {listed(instants[-5:], 'and')}." if instants else "It has none."
        raise QueryError(f"it has no commit {visible(str(moment.version))}", hint=hint)
    return str(moment.version)


def _check_slices(slices: Sequence[Any], properties: Mapping[str, str]) -> None:
    """Refuse rows outside Parquet base files."""
    if any(each.has_log_files() for each in slices):
        raise QueryError(
            "some of its rows are in log files (MERGE_ON_READ), which are not read",
            hint="A compaction of the table writes them into base files.",
        )
    other = next((each for each in slices if not each.base_file_name.endswith(".parquet")), None)
    if other is not None:
        raise QueryError(f"its base files are not Parquet: {visible(other.base_file_name)}", hint=OWN_ENGINE)
    if properties.get("hoodie.datasource.write.drop.partition.columns", "false") == "true":
        message = "its files lack the columns of its partitions (drop.partition.columns), which is not read"
        raise QueryError(message, hint=OWN_ENGINE)
