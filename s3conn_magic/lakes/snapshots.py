"""One state of a table of others: what it is called, its columns, its files, and the rows that they hold in it."""

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

from s3conn_magic.errors import QueryError, pip_install
from s3conn_magic.lakes import CAME, telling
from s3conn_magic.locations import visible
from s3conn_magic.runtime.background import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from s3conn_magic.lakes import LakeRoot, Reach

_AT_ONCE, _HELD = 4, 64 * 1024 * 1024
"""Files that are read side by side, and the bytes of one above which its batches are not held."""
ORDERED = (pa.types.is_integer, pa.types.is_date32)
"""Types whose bounds no format rounds."""


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
        committed: the latest time that its rows have as `$commit_time`, where those of later commits have later ones.
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

    def may_have(self, filter: Any) -> bool:  # noqa: A002 - as above
        """Whether a row may be one that a filter takes, by what is known of the files."""
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
        """The rows of files in their order; of small ones several are read at once."""

        def rows(file: LakeFile) -> Iterator[pa.RecordBatch]:
            with self._during(), telling(self._snapshot.root):
                for batch in self._snapshot.read(file, columns):
                    yield batch.select(columns).cast(schema)

        def held(file: LakeFile) -> Iterable[pa.RecordBatch]:
            return list(rows(file)) if file.size <= _HELD else rows(file)

        for batches in in_order(held, files, _AT_ONCE, name="s3conn-lake"):
            yield from batches


_NEXT = timedelta(microseconds=1)


@dataclass(slots=True)
class Watermarks:
    """Up to which commit the last run of a job has read each of its tables in S3, and up to which this one does.

    A commit that was under way while the last run read is not in the state that it read, and may be of before its end.

    Attributes:
        before: of the last run, by the address of the table.
        start: of the time that this run is about.
        end: of it.
        pinned: the states that this run reads.
    """

    before: Mapping[str, datetime]
    start: datetime
    end: datetime
    pinned: dict[str, Snapshot] = of(default_factory=dict)

    def pin(self, root: LakeRoot, newest: Callable[[], Snapshot]) -> Snapshot:
        """The state of a table that this run reads, however often."""
        if (address := _address(root)) not in self.pinned:
            self.pinned[address] = newest()
        return self.pinned[address]

    @property
    def after(self) -> dict[str, datetime]:
        """Of this run."""
        states = {address: state.committed for address, state in self.pinned.items()}
        return {address: min(at, self.end - _NEXT) for address, at in states.items() if at is not None}

    def late(self, snapshot: Snapshot) -> tuple[pa.Scalar, pa.Scalar] | None:
        """Between which times, without these, the rows came that the last run would have had to read."""
        seen = self.before.get(_address(snapshot.root))
        if seen is None or CAME not in snapshot.schema.names or seen + _NEXT >= self.start:
            return None
        kind = snapshot.schema.field(CAME).type
        return tuple(pa.scalar(at, pa.timestamp("us", "UTC")).cast(kind) for at in (seen, self.start))


def _address(root: LakeRoot) -> str:
    return root.location.uri.rstrip("/")


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
    if nulls != 0 or least is None or most is None or not any(is_such(field.type) for is_such in ORDERED):
        return []
    column = ds.field(field.name)
    return [column >= pa.scalar(least, field.type), column <= pa.scalar(most, field.type)]
