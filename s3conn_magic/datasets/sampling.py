"""Sample an object by reading a range: format, columns and number of rows; and compare columns."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pyarrow as pa

from s3conn_magic.errors import S3ConnError, StatementInterrupted
from s3conn_magic.language.words import counted
from s3conn_magic.locations import Location
from s3conn_magic.objects.apart import ContainerError, read_container
from s3conn_magic.objects.avro import AvroFile
from s3conn_magic.objects.files import BoundReachedError
from s3conn_magic.objects.formats import HEAD, PARQUET_MAGIC, by_content, by_name, compression_of
from s3conn_magic.objects.ranged import PinnedObject
from s3conn_magic.objects.requests import awaited
from s3conn_magic.objects.unpacking import SeekableFile, unpack
from s3conn_magic.preview.preview import decode
from s3conn_magic.preview.text_tables import read_table
from s3conn_magic.query.sql import scratch_database
from s3conn_magic.runtime.background import LightFuture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.datasets.layout import Example
    from s3conn_magic.objects.formats import Format
    from s3conn_magic.transport import Response

_TAIL = 64 * 1024
_MOST_UNPACKED = 1024 * 1024
_ROWS = 100_000
_UNKNOWN = "?"
"""Type of a text column without any value in the sample."""
_Value = TypeVar("_Value")
_NUMBERS = {"BIGINT", "DOUBLE", "HUGEINT", "INTEGER"}


class Sample(NamedTuple):
    """What one range of an object shows.

    Attributes:
        example: the object.
        format: `Parquet`, `CSV`, `JSON lines`, …; empty if unknown.
        compression: its compression, or None.
        columns: names and DuckDB types; None if it is not a table or could not be read.
        rows: number of rows, if certain.
        a_byte: rows per byte of the object, if known.
        note: why it could not be read.
        exact: whether the file contains the types; otherwise they were guessed from its first values.
        required: columns that, according to the file, have no missing values.
    """

    example: Example
    format: str = ""
    compression: str | None = None
    columns: tuple[tuple[str, str], ...] | None = None
    rows: int | None = None
    a_byte: float | None = None
    note: str = ""
    exact: bool = False
    required: frozenset[str] = frozenset()


def format_of(ending: str) -> Format | None:
    """Return the format for the ending of a name, ignoring that of a compression."""
    return by_name(f"x{ending}").format


class Sampler:
    """Samples objects of a bucket, each once.

    Args:
        connection: the connection to read with.
        bucket: name of the bucket.
        most: most bytes per sample.
    """

    def __init__(self, connection: Connection, bucket: str, most: int = HEAD) -> None:
        self.requests = 0
        self.bytes = 0
        self._connection, self._bucket, self._most = connection, bucket, most
        self._samples: dict[str, Sample] = {}

    def known(self, example: Example) -> Sample | None:
        """Return an object's sample from an earlier look, or None."""
        return self._samples.get(example.key)

    def look(self, examples: Iterable[Example]) -> list[Sample]:
        """Return the samples of some objects; the requests run side by side.

        Raises:
            StatementInterrupted: the user interrupted it.
        """
        every = list(examples)
        new = {each.key: each for each in every if each.key not in self._samples}
        for example, data in self._parts({key: (each, *self._range(each)) for key, each in new.items()}):
            self._samples[example.key] = data if isinstance(data, Sample) else self._read(example, data)
        return [self._samples[each.key] for each in every]

    def content(self, key: str, size: int) -> bytes:
        """Return all of a small object, or its first bytes.

        Raises:
            S3ConnError: it cannot be read.
        """
        ((_, data),) = self._parts({key: (_example(key, size), 0, min(size, self._most))})
        if isinstance(data, Sample):
            raise S3ConnError(data.note, hint="PREVIEW of the object says more.")
        return data

    def _range(self, example: Example) -> tuple[int, int]:
        by_ending = by_name(example.key)
        at_end = by_ending.format is not None and by_ending.format.type in {"PARQUET", "ORC"} and not by_ending.packed
        return (max(0, example.size - self._most), example.size) if at_end else (0, min(example.size, self._most))

    def _parts(self, wanted: Mapping[str, tuple[Example, int, int]]) -> Iterator[tuple[Example, bytes | Sample]]:
        futures: list[LightFuture[Response]] = [LightFuture() for _ in wanted]
        sent = []
        try:
            for (key, (example, start, stop)), answer in zip(wanted.items(), futures, strict=True):
                pinned = PinnedObject(self._connection, Location(self._bucket, key), example.size)
                if start < stop:
                    self.requests += 1
                    self.bytes += stop - start
                with suppress(S3ConnError):
                    begun = start < stop and pinned.begin(start, stop, answer)
                    sent.append((example, pinned, start, stop, answer if begun else None))
            for each in sent:
                yield each[0], self._answered(*each)
        finally:
            for answer in futures:
                answer.cancel()

    def _answered(
        self, example: Example, pinned: PinnedObject, start: int, stop: int, answer: LightFuture[Response] | None
    ) -> bytes | Sample:
        try:
            if start >= stop:
                return b""
            if answer is None:
                return pinned.get(start, stop)
            return pinned.body_of(awaited(self._connection, pinned.location, answer), start, stop)
        except StatementInterrupted:
            raise
        except S3ConnError as error:
            return Sample(example, note=error.message)

    def _read(self, example: Example, data: bytes) -> Sample:
        try:
            return read_sample(example, data)
        except S3ConnError as error:
            return Sample(example, note=error.message)
        except Exception as error:  # noqa: BLE001 - libraries raise all there is over damaged bytes
            return Sample(example, note=f"it cannot be read ({type(error).__name__})")


def _example(key: str, size: int) -> Example:
    from s3conn_magic.datasets.layout import Example

    return Example(key, size, 0)


def read_sample(example: Example, data: bytes) -> Sample:
    """Return the sample from an object's first bytes, or from its last ones if its format has a footer."""
    named = by_name(example.key)
    if not data:
        return Sample(example, named.format.name if named.format else "", rows=0 if example.size == 0 else None)
    if data.endswith(PARQUET_MAGIC) and (len(data) < example.size or data.startswith(PARQUET_MAGIC)):
        return _parquet(example, data)
    if named.format is not None and named.format.type == "ORC" and not named.packed:
        return _container(example, data, "ORC")
    whole, packed = len(data) == example.size, compression_of(data)
    plain, ended = data, whole
    if packed:
        unpacked = unpack(data, packed, limit=_MOST_UNPACKED, whole=whole)
        plain, ended = unpacked.data, unpacked.ended
    seen = by_content(plain)
    if seen is not None:
        kinds = {"AVRO": _avro, "ARROW": _arrow}
        read = kinds.get(seen.type)
        return read(example, plain, packed, ended) if read else Sample(example, seen.name, packed)
    share = len(plain) / len(data) if len(plain) < _MOST_UNPACKED else None
    return _text(example, plain, packed, whole=ended, share=share)


def _text(example: Example, plain: bytes, packed: str | None, *, whole: bool, share: float | None) -> Sample:
    """Sample a table of text, or another text; `share` is the number of uncompressed bytes per byte of the object."""
    format_ = by_name(example.key).format
    decoded = decode(plain, whole=whole) if plain else None
    if decoded is None:
        return Sample(example, format_.name if format_ else "", packed)
    # Event streams write objects with one line each, where a document would have several.
    alone = whole and "\n" not in decoded.text.strip()
    table = read_table(example.key, decoded.text, whole=whole, rows=_ROWS, alone=alone)
    if table is None or table.table is None:
        name = table.format if table else format_.name if format_ and format_.type else "text"
        return Sample(example, name, packed)
    rows = table.count if whole and not table.broken else None
    read = len(plain) if whole else max(plain.rfind(b"\n") + 1, 1)
    a_byte = table.count / read * share if share else None
    return Sample(example, table.format, packed, columns_of_table(table.table, guessed=True), rows, a_byte)


def _parquet(example: Example, data: bytes) -> Sample:
    import pyarrow.parquet as pq

    size = int.from_bytes(data[-8:-4], "little") + 8
    if size > len(data):
        return Sample(example, "Parquet", note=f"its footer has {counted(size, 'byte')}, more than a sample reads")
    file = pq.ParquetFile(pa.BufferReader(PARQUET_MAGIC + data[-size:]))
    rows = file.metadata.num_rows
    columns = columns_of_table(file.schema_arrow.empty_table())
    required = frozenset(field.name for field in file.schema_arrow if not field.nullable)
    return Sample(example, "Parquet", None, columns, rows, rows / example.size, exact=True, required=required)


def _container(example: Example, data: bytes, name: str) -> Sample:
    try:
        contents = read_container(_Tail(data, example.size), name, size=example.size, rows=0)
    except (ContainerError, BoundReachedError) as error:
        return Sample(example, name, note=str(error))
    columns = columns_of_table(contents.schema.empty_table())
    a_byte = contents.total / example.size if contents.total is not None else None
    return Sample(example, name, None, columns, contents.total, a_byte, exact=True)


def _avro(example: Example, plain: bytes, packed: str | None, whole: bool) -> Sample:
    file = io.BytesIO(plain)
    records = AvroFile(file, exact=False)
    begin, count = file.tell(), 0
    with suppress(Exception):  # the last block is usually cut
        for batch in records.batches(_ROWS):
            count += len(batch)
    read = file.tell() - begin
    a_byte = count / read if count and read and not packed else None
    rows = count if whole and records.at_end else None
    return Sample(example, "Avro", packed, columns_of_table(records.schema.empty_table()), rows, a_byte, exact=True)


def _arrow(example: Example, plain: bytes, packed: str | None, whole: bool) -> Sample:
    del whole
    begin = 8 if plain.startswith(b"ARROW1") else 0
    schema = pa.ipc.read_schema(pa.BufferReader(plain[begin:]))
    return Sample(example, "Arrow", packed, columns_of_table(schema.empty_table()), exact=True)


class _Tail(SeekableFile):
    """The last bytes of a file, presented as the whole file."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(size)
        self._data = data

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            BoundReachedError: they are before the last bytes.
        """
        stop = self.size if size < 0 else min(self.at + size, self.size)
        begin = self.at - (self.size - len(self._data))
        if begin < 0:
            raise BoundReachedError("its footer is larger than a sample reads")
        data = self._data[begin : begin + stop - self.at]
        self.at = stop
        return data


def columns_of_table(table: pa.Table, *, guessed: bool = False) -> tuple[tuple[str, str], ...]:
    """Return the names and DuckDB types; with `guessed`, columns without a value have an unknown type."""
    names = table.column_names
    places = [f"c{at}" for at in range(len(names))]
    database = scratch_database()
    database.register("sampled", table.slice(0, 0).rename_columns(places))
    try:
        types = [row[1] for row in database.execute("DESCRIBE FROM sampled").fetchall()]
    finally:
        database.unregister("sampled")
    hollow = [guessed and column.null_count == len(column) for column in table.columns]
    return tuple(
        (name, _UNKNOWN if nothing else kind) for name, kind, nothing in zip(names, types, hollow, strict=True)
    )


# Comparing columns


def differences(before: Sample, after: Sample) -> list[str]:
    """Return the new, missing and changed columns of a sample, in a few words each."""
    old, new = dict(before.columns or ()), dict(after.columns or ())
    changes = [f"+{name}" for name in new if name not in old]
    changes += [f"-{name}" for name in old if name not in new]
    exact = before.exact and after.exact
    changed = [name for name in new if name in old and _differ(old[name], new[name], exact=exact)]
    return changes + [f"{name} {old[name]} → {new[name]}" for name in changed]


def _differ(old: str, new: str, *, exact: bool) -> bool:
    if old == new or _UNKNOWN in {old, new}:
        return False
    return exact or (not {old, new} <= _NUMBERS and "[" not in old + new and "STRUCT" not in old + new)


def equal(first: Sample, second: Sample) -> bool:
    """Whether two samples have the same columns, or both have none and the same format."""
    if first.columns is None or second.columns is None:
        return first.columns is second.columns and first.format == second.format
    return not differences(first, second)


def are_related(first: Sample, second: Sample) -> bool:
    """Whether one may have developed into the other: they share half of the columns of the smaller one."""
    if first.columns is None or second.columns is None:
        return first.columns is second.columns
    old, new = dict(first.columns), dict(second.columns)
    return len(old.keys() & new.keys()) * 2 >= min(len(old), len(new))


def spread(values: Sequence[_Value], count: int) -> list[_Value]:
    """Return `count` of the values, evenly spaced, including the first and the last."""
    if len(values) <= count:
        return list(values)
    if count <= 1:
        return list(values[-1:]) if count else []
    return [values[round(at * (len(values) - 1) / (count - 1))] for at in range(count)]


# Lake tables


def lake_columns(read: Callable[[str, int], bytes], format_: str, notes: Sequence[Example]) -> Sample:
    """Return a sample from the metadata of a lake table: its columns, and its rows if they are counted there.

    Args:
        read: returns the bytes of a small object by key and size.
        format_: Delta, Iceberg or Hudi.
        notes: the table's metadata objects.
    """
    newest = max(notes, key=lambda each: each.key)
    sample = Sample(newest, format_)
    try:
        if format_ == "Delta":
            return _delta(read, sample, notes)
        return _iceberg(read, sample, notes) if format_ == "Iceberg" else sample
    except (S3ConnError, ValueError, KeyError, TypeError) as error:
        return sample._replace(note=getattr(error, "message", "its metadata cannot be read"))


_COMMITS = 4


def _delta(read: Callable[[str, int], bytes], sample: Sample, notes: Sequence[Example]) -> Sample:
    """Sample a Delta table by its commits if they are few, otherwise by the first and the last."""
    commits = sorted(each for each in notes if each.key.endswith(".json") and each.key.rpartition("/")[2][:1] == "0")
    few = len(commits) <= _COMMITS and not any("checkpoint" in each.key for each in notes)
    rows, columns, counted_ = dict[str, int | None](), None, few
    for commit in commits if few else [commits[0], commits[-1]]:
        for line in read(commit.key, commit.size).decode().splitlines():
            action = json.loads(line)
            if schema := action.get("metaData", {}).get("schemaString"):
                columns = [(each["name"], _delta_type(each["type"])) for each in json.loads(schema)["fields"]]
            if add := action.get("add"):
                rows[add["path"]] = json.loads(add.get("stats") or "{}").get("numRecords")
                counted_ = counted_ and not add.get("deletionVector")
            if remove := action.get("remove"):
                rows.pop(remove["path"], None)
    known = [count for count in rows.values() if count is not None]
    total = sum(known) if counted_ and len(known) == len(rows) else None
    return sample._replace(columns=tuple(columns) if columns else None, rows=total, exact=True)


_DELTA_TYPES = {"long": "BIGINT", "integer": "INTEGER", "short": "SMALLINT", "byte": "TINYINT", "string": "VARCHAR"}
_ICEBERG_TYPES = {"long": "BIGINT", "int": "INTEGER", "string": "VARCHAR", "timestamptz": "TIMESTAMP WITH TIME ZONE"}
_COMMON_TYPES = {"double": "DOUBLE", "float": "FLOAT", "boolean": "BOOLEAN", "binary": "BLOB", "date": "DATE"}


def _delta_type(kind: object) -> str:
    if not isinstance(kind, str):
        return str(kind.get("type", "STRUCT")).upper() if isinstance(kind, dict) else "STRUCT"
    named = {**_COMMON_TYPES, **_DELTA_TYPES, "timestamp": "TIMESTAMP WITH TIME ZONE", "timestamp_ntz": "TIMESTAMP"}
    return named.get(kind, kind.upper())


def _iceberg(read: Callable[[str, int], bytes], sample: Sample, notes: Sequence[Example]) -> Sample:
    from s3conn_magic.lakes import metadata_of

    files = [each for each in notes if ".metadata.json" in each.key]
    newest = max(files, key=lambda each: (each.time, each.key))
    content = metadata_of(read(newest.key, newest.size), newest.key)
    schemas = {each.get("schema-id"): each for each in content.get("schemas", [])}
    schema = schemas.get(content.get("current-schema-id")) or content.get("schema") or {"fields": []}
    columns = tuple((each["name"], _iceberg_type(each["type"])) for each in schema["fields"])
    current = content.get("current-snapshot-id")
    summary: dict[str, str] = next(
        (each["summary"] for each in content.get("snapshots", []) if each["snapshot-id"] == current), {}
    )
    deletes = int(summary.get("total-position-deletes", 0)) or int(summary.get("total-equality-deletes", 0))
    rows = int(summary["total-records"]) if "total-records" in summary and not deletes else None
    return sample._replace(columns=columns, rows=rows, exact=True)


def _iceberg_type(kind: object) -> str:
    if not isinstance(kind, str):
        return str(kind.get("type", "STRUCT")).upper() if isinstance(kind, dict) else "STRUCT"
    return {**_COMMON_TYPES, **_ICEBERG_TYPES}.get(kind, kind.upper())
