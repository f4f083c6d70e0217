"""Rows of ORC, Avro and Arrow in batches of Arrow, for queries and jobs: exact, or refused as damaged.

Avro's containers are read here, block by block, with a record's bytes left to fastavro; values of logical types are
made of the integers that stand there, so that no moment is rounded or out of reach of Python's.
"""

from __future__ import annotations

import bz2
import io
import json
import lzma
import struct
import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import QueryError, S3ConnError, pip_install
from s3conn_magic.locations import visible
from s3conn_magic.objects.containers import ContainerError
from s3conn_magic.objects.unpacking import damaged, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

    _Change = Callable[[Any], Any]

KINDS = {"ORC", "AVRO", "ARROW"}
"""The types of CONTENT_TYPE that are read here."""
_AT_ONCE = 10_000


def record_batches(kind: str, file: Any, compression: str | None = None) -> pa.RecordBatchReader:
    """The rows of a file, read as they are asked for.

    Args:
        kind: one of `KINDS`.
        file: it, open and seekable.
        compression: what all of it is packed by, as `compression_of` names it; not ORC.

    Raises:
        QueryError: it is damaged, also while it is read, or has what is not read; a library is missing.
        S3ConnError: the object cannot be read.
    """
    import pyarrow as pa

    open_ = {"ORC": _orc, "AVRO": _avro, "ARROW": _arrow}[kind]
    try:
        schema, batches = open_(unpacked(file, compression) if compression else file, compression is None)
        plain = pa.schema([pa.field(field.name, _readable(field.type), field.nullable) for field in schema])
    except S3ConnError:
        raise
    except _WRONG as error:
        raise _damage(kind, error) from None
    return pa.RecordBatchReader.from_batches(plain, _told(kind, batches, plain))


_WRONG = (
    *(OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, NotImplementedError),
    *(zlib.error, lzma.LZMAError, struct.error, ContainerError),
)


def _damage(kind: str, error: BaseException) -> QueryError:
    said = visible(" ".join(str(error).split())[:200])
    if isinstance(error, NotImplementedError) or "is out of range for" in said:
        return QueryError(f"the object has what is not read of {kind} ({said})")
    return damaged(f"its {kind if kind == 'ORC' else kind.capitalize()} cannot be read{f' ({said})' if said else ''}")


def _told(kind: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    try:
        for batch in batches:
            batch.validate(full=True)  # who is given them looks at no offset, and reads what lies behind the end
            yield batch if batch.schema.equals(schema) else batch.cast(schema)
    except S3ConnError:
        raise
    except _WRONG as error:
        raise _damage(kind, error) from None


def _readable(kind: pa.DataType) -> pa.DataType:
    """A type that DuckDB has: half a float as a float, which holds each of its values."""
    import pyarrow as pa

    return pa.float32() if pa.types.is_float16(kind) else kind


_Opened = tuple["pa.Schema", "Iterator[pa.RecordBatch]"]


def _orc(file: Any, _: bool) -> _Opened:
    """In a process apart, which ORC's library may end over a damaged file."""
    from s3conn_magic.objects.apart import every_batch

    return every_batch(file, "ORC", size=file.seek(0, io.SEEK_END))


_ARROW_FILE = b"ARROW1\x00\x00"


def _arrow(file: Any, seekable: bool) -> _Opened:
    import pyarrow as pa

    head = file.read(len(_ARROW_FILE))
    if head == _ARROW_FILE and seekable:
        file.seek(0)
        opened = pa.ipc.open_file(pa.PythonFile(file, mode="r"))
        return opened.schema, (opened.get_batch(at) for at in range(opened.num_record_batches))
    if head != _ARROW_FILE:  # behind those bytes a file is a stream
        file.seek(0)
    stream = pa.ipc.open_stream(pa.PythonFile(file, mode="r"))
    return stream.schema, iter(stream)


# Avro

_AVRO = b"Obj\x01"
_SYNC = 16


def _avro(file: Any, _: bool) -> _Opened:
    import pyarrow as pa

    try:
        from fastavro import parse_schema, schemaless_reader
        from fastavro.schema import SchemaParseException
    except ImportError:
        raise QueryError("Avro needs the library fastavro", hint=f"Install it: {pip_install('avro')}") from None
    if _exactly(file, len(_AVRO)) != _AVRO:
        raise ValueError("it does not begin as a container")
    header = _metadata(file)
    sync = _exactly(file, _SYNC)
    written = json.loads(header["avro.schema"])
    codec = header.get("avro.codec", b"null").decode()
    if codec not in _BLOCKS:
        raise QueryError(f"Avro of the codec {codec} is not read", hint=f"These are: {', '.join(_BLOCKS)}.")
    try:
        kind, change = _Types().of(parse_schema(written))
        raw = parse_schema(_without_logical(written))
    except SchemaParseException as error:
        raise ValueError(str(error)) from None
    is_record = pa.types.is_struct(kind)
    whole = kind if is_record else pa.struct([("value", kind)])
    change = change or _same

    def batches() -> Iterator[pa.RecordBatch]:
        for count, block in _blocks(file, sync, _BLOCKS[codec]):
            data = io.BytesIO(block)
            for at in range(0, count, _AT_ONCE):
                rows = [change(schemaless_reader(data, raw)) for _ in range(min(_AT_ONCE, count - at))]
                found = pa.array(rows if is_record else [{"value": row} for row in rows], whole)
                yield pa.RecordBatch.from_struct_array(found)
            if data.read(1):
                raise ValueError("a block has more bytes than its records")

    return pa.schema(list(whole)), batches()


def _same(value: Any) -> Any:
    return value


def _exactly(file: Any, size: int) -> bytes:
    if size < 0:
        raise ValueError("a length is negative")
    data: bytes = file.read(size)
    if len(data) < size:
        raise EOFError("it is cut off")
    return data


def _long(file: Any, *, may_end: bool = False) -> int | None:
    """A number of seven bits a byte, the lowest first; None at the end of the file."""
    found = shift = 0
    while True:
        byte: bytes = file.read(1)
        if not byte and may_end and not shift:
            return None
        if not byte or shift > 63:  # noqa: PLR2004 - of 64 bits
            raise EOFError("it is cut off")
        found |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:  # noqa: PLR2004 - the last byte
            return (found >> 1) ^ -(found & 1)


def _metadata(file: Any) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while count := _long(file):
        if count < 0:  # its size in bytes follows
            _long(file)
        for _ in range(abs(count)):
            name = _exactly(file, _long(file) or 0).decode()
            found[name] = _exactly(file, _long(file) or 0)
    return found


def _blocks(file: Any, sync: bytes, unpack: Callable[[bytes], bytes]) -> Iterator[tuple[int, bytes]]:
    while (count := _long(file, may_end=True)) is not None:
        size = _long(file) or 0
        if count < 0 or size < 0:
            raise ValueError("a block is of a negative size")
        data = _exactly(file, size)
        if _exactly(file, _SYNC) != sync:
            raise ValueError("a block does not end where it should")
        yield count, unpack(data)


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    found = stream.decompress(data)
    if not stream.eof:
        raise EOFError("a block is cut off")
    return found


def _from_snappy(data: bytes) -> bytes:
    import pyarrow as pa

    size = shift = 0
    for byte in data:  # its first bytes are the size of what it becomes
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the last byte
            break
    found: bytes = pa.Codec("snappy").decompress(data[:-4], decompressed_size=size, asbytes=True)
    if zlib.crc32(found) != int.from_bytes(data[-4:], "big"):
        raise ValueError("the checksum (CRC) of a block does not match")
    return found


def _from_zstd(data: bytes) -> bytes:
    return unpacked(io.BytesIO(data), "zstd").read()


_BLOCKS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _inflated,
    "snappy": _from_snappy,
    "zstandard": _from_zstd,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
}


def _without_logical(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    left = {name: one for name, one in schema.items() if name != "logicalType"}
    for name in ("type", "items", "values"):
        if name in left:
            left[name] = _without_logical(left[name])
    if "fields" in left:
        left["fields"] = [{**field, "type": _without_logical(field["type"])} for field in left["fields"]]
    return left


class _Types:
    """Avro's types → Arrow's, each with what makes its values of those that stand in the file, where that is needed."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[pa.DataType, _Change | None]] = {}
        self._open: set[str] = set()

    def of(self, schema: Any) -> tuple[pa.DataType, _Change | None]:
        """The type of a schema that fastavro has parsed."""
        if isinstance(schema, list):
            return self._union(schema)
        if isinstance(schema, str):
            if schema in self._open:
                raise QueryError(f"the Avro type {schema} holds itself, which no column can")
            return self._named[schema] if schema in self._named else (_plain(schema), None)
        kind = schema["type"]
        if kind in {"record", "error", "enum", "fixed"}:
            self._open.add(schema["name"])
            found = self._named[schema["name"]] = self._composed(kind, schema)
            self._open.discard(schema["name"])
            return found
        return self._composed(kind, schema)

    def _composed(self, kind: Any, schema: Mapping[str, Any]) -> tuple[pa.DataType, _Change | None]:
        import pyarrow as pa

        if kind in {"record", "error"}:
            return self._record(schema)
        if kind == "enum":
            return pa.string(), None
        if kind == "array":
            item, change = self.of(schema["items"])
            each = change or _same
            return pa.list_(item), (lambda value: [each(one) for one in value]) if change else None
        if kind == "map":
            item, change = self.of(schema["values"])
            each = change or _same
            return pa.map_(pa.string(), item), lambda value: [(name, each(one)) for name, one in value.items()]
        if not isinstance(kind, str) or kind in self._named:
            return self.of(kind)
        return _logical(kind, schema)

    def _record(self, schema: Mapping[str, Any]) -> tuple[pa.DataType, _Change | None]:
        import pyarrow as pa

        found = {field["name"]: self.of(field["type"]) for field in schema["fields"]}
        changes = {name: change for name, (_, change) in found.items() if change}
        kind = pa.struct([(name, one) for name, (one, _) in found.items()])
        if not changes:
            return kind, None
        return kind, lambda value: {**value, **{name: change(value[name]) for name, change in changes.items()}}

    def _union(self, schema: list[Any]) -> tuple[pa.DataType, _Change | None]:
        import pyarrow as pa

        members = [self.of(one) for one in schema if one != "null"]
        if not members:
            return pa.null(), None
        if len(members) > 1:
            if all(pa.types.is_integer(kind) for kind, _ in members):
                return pa.int64(), None
            raise QueryError("Avro with a union of several types is not read")
        kind, change = members[0]
        if change is None:
            return kind, None
        made = change
        return kind, lambda value: None if value is None else made(value)


def _plain(name: str) -> pa.DataType:
    import pyarrow as pa

    kinds = {
        "null": pa.null(),
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "long": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "bytes": pa.binary(),
        "string": pa.string(),
    }
    return kinds[name]


def _logical(kind: str, schema: Mapping[str, Any]) -> tuple[pa.DataType, _Change | None]:
    import pyarrow as pa

    stored = pa.binary(schema["size"]) if kind == "fixed" else _plain(kind)
    logical = str(schema.get("logicalType"))
    if logical == "decimal" and kind in {"bytes", "fixed"}:
        precision, scale = schema["precision"], schema.get("scale", 0)
        if precision > 38:  # noqa: PLR2004 - what DuckDB has
            raise QueryError(f"Avro with a decimal of {precision} digits is not read; 38 are the most")
        return pa.decimal128(precision, scale), lambda value: _decimal(value, scale)
    kinds = {
        ("int", "date"): pa.date32(),
        ("int", "time-millis"): pa.time32("ms"),
        ("long", "time-micros"): pa.time64("us"),
        ("long", "timestamp-millis"): pa.timestamp("ms", "UTC"),
        ("long", "timestamp-micros"): pa.timestamp("us", "UTC"),
        ("long", "timestamp-nanos"): pa.timestamp("ns", "UTC"),
        ("long", "local-timestamp-millis"): pa.timestamp("ms"),
        ("long", "local-timestamp-micros"): pa.timestamp("us"),
        ("long", "local-timestamp-nanos"): pa.timestamp("ns"),
    }
    return kinds.get((kind, logical), stored), None


def _decimal(value: bytes, scale: int) -> Decimal:
    number = int.from_bytes(value, "big", signed=True)
    return Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -scale))
