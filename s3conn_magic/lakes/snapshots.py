"""A state of a lake table: its version, columns and files, and their rows as a dataset."""

from __future__ import annotations

import importlib
import json
from contextlib import nullcontext
from dataclasses import dataclass
from dataclasses import field as of
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs

from s3conn_magic.connections.signing import at_once
from s3conn_magic.errors import QueryError, pip_install
from s3conn_magic.lakes import CAME, telling
from s3conn_magic.locations import visible
from s3conn_magic.runtime.background import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from s3conn_magic.lakes import LakeRoot, TableAccess

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
