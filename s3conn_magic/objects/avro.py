"""Read Avro containers as Arrow batches with exactly the stored values.

The container is parsed here, block by block. fastavro decodes records without logical types: dates, timestamps and
decimals are made from the stored integers, so that none is rounded or exceeds Python's range.
"""

from __future__ import annotations

import bz2
import codecs
import io
import json
import lzma
import zlib
from collections import Counter
from decimal import Decimal
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from s3conn_magic.objects.unpacking import unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    _Build = Callable[[list[Any]], pa.Array]

_MAGIC = b"Obj\x01"
_SYNC = 16
_AT_ONCE = 10_000
_BYTES_AT_ONCE = 8 * 1024 * 1024
_MOST_DIGITS = 38
_MOST_OF_ARROW = 76
_MOST_MEMBERS = 127
_LOST = "s3conn"


class UnreadError(Exception):
    """A file is valid, but has something that no column can hold exactly; the message says what."""


class DamageError(ValueError):
    """A file is damaged; the message says where."""


class AvroFile:
    """An Avro container.

    Attributes:
        schema: of its rows; one column `value` if it has no records.
        counted: records of the blocks read so far.
        at_end: whether all blocks were read.

    Args:
        file: open at its beginning, binary.
        exact: whether inexact values are refused; else invalid UTF-8 is replaced, and a recursive type is JSON text.

    Raises:
        UnreadError: a codec or type is unsupported.
        ValueError, LookupError, EOFError: the file is damaged; DamageError if found here.
        ImportError: fastavro is not installed.
    """

    def __init__(self, file: Any, *, exact: bool) -> None:
        from fastavro import parse_schema
        from fastavro.schema import SchemaParseException

        self.counted = 0
        self.at_end = False
        self._file, self._exact = file, exact
        self._texts = _Texts()
        if _read_exactly(file, len(_MAGIC)) != _MAGIC:
            raise DamageError("it does not begin as a container")
        header = _metadata(file)
        self._sync = _read_exactly(file, _SYNC)
        codec = header.get("avro.codec", b"null").decode()
        if codec not in _CODECS:
            raise UnreadError(f"Avro of the codec {codec} is not read; {', '.join(_CODECS)} are")
        self._unpack = _CODECS[codec]
        try:
            self._column = _Types(exact=exact).of(parse_schema(json.loads(header["avro.schema"])))
            self._stored = parse_schema(self._column.stored)
        except SchemaParseException as error:
            raise DamageError(str(error)) from None
        self._is_record = pa.types.is_struct(self._column.type)
        self.schema = pa.schema([*self._column.type] if self._is_record else [("value", self._column.type)])

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield at most so many rows, in batches of a few thousand rows or a few megabytes.

        Raises:
            ValueError, LookupError, EOFError, pa.ArrowException: as above.
        """
        for number, block in self._blocks():
            self.counted += number
            data = io.BytesIO(block)
            left = number
            while left and rows:
                values = self._values(data, min(left, rows, _AT_ONCE))
                left, rows = left - len(values), rows - len(values)
                if not left and data.read(1):
                    raise DamageError("a block has more bytes than its records")
                self.at_end = not left and not rows and self._is_at_end()
                structs = self._column.build(values)
                of_records = self._is_record
                yield (
                    pa.RecordBatch.from_struct_array(structs) if of_records else pa.record_batch([structs], self.schema)
                )
            if not rows:
                return
        self.at_end = True

    def notes(self) -> list[str]:
        """Return notes on invalid UTF-8."""
        return self._texts.notes()

    def _values(self, data: io.BytesIO, most: int) -> list[Any]:
        from fastavro import schemaless_reader

        options: dict[str, Any] = {"return_record_name": True, "return_record_name_override": True}
        if not self._exact:
            codecs.register_error(_LOST, self._texts.replaced)
            options["handle_unicode_errors"] = _LOST
        until = data.tell() + _BYTES_AT_ONCE
        values: list[Any] = []
        while len(values) < most and data.tell() <= until:
            values.append(schemaless_reader(data, self._stored, **options))
        return values

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        while (number := _varint(self._file, may_end=True)) is not None:
            size = _varint(self._file) or 0
            if number < 0 or size < 0:
                raise DamageError("a block is of a negative size")
            data = _read_exactly(self._file, size)
            if _read_exactly(self._file, _SYNC) != self._sync:
                raise DamageError("a block does not end where it should")
            yield number, self._unpack(data)

    def _is_at_end(self) -> bool:
        here = self._file.tell()
        ended = not self._file.read(1)
        self._file.seek(here)
        return ended


class _Texts:
    """Counts bytes of invalid UTF-8."""

    def __init__(self) -> None:
        self._count = 0

    def replaced(self, error: UnicodeError) -> tuple[str, int]:
        """Return the replacement character."""
        assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - nothing is encoded
        self._count += 1
        return "\N{REPLACEMENT CHARACTER}", error.end

    def notes(self) -> list[str]:
        """Return a note on them."""
        sign = "\N{REPLACEMENT CHARACTER}"
        return [f"not all texts are UTF-8; {sign} stands for what is not"] if self._count else []


# The container


def _read_exactly(file: Any, size: int) -> bytes:
    if size < 0:
        raise DamageError("a length is negative")
    data: bytes = file.read(size)
    if len(data) < size:
        raise DamageError("it is cut off")
    return data


def _varint(file: Any, *, may_end: bool = False) -> int | None:
    """Return a variable-length integer (7 bits per byte, lowest first); None at the end of the file."""
    number = shift = 0
    while True:
        byte: bytes = file.read(1)
        if not byte and may_end and not shift:
            return None
        if not byte or shift > 63:  # noqa: PLR2004 - of 64 bits
            raise DamageError("it is cut off")
        number |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:  # noqa: PLR2004 - the last byte
            return (number >> 1) ^ -(number & 1)


def _metadata(file: Any) -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    while number := _varint(file):
        if number < 0:  # followed by its size in bytes
            _varint(file)
        for _ in range(abs(number)):
            name = _read_exactly(file, _varint(file) or 0).decode()
            entries[name] = _read_exactly(file, _varint(file) or 0)
    return entries


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = stream.decompress(data)
    if not stream.eof:
        raise DamageError("a block is cut off")
    return plain


def _from_snappy(data: bytes) -> bytes:
    size = shift = 0
    for byte in data:  # uncompressed size
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the last byte
            break
    plain: bytes = pa.Codec("snappy").decompress(data[:-4], decompressed_size=size, asbytes=True)
    if zlib.crc32(plain) != int.from_bytes(data[-4:], "big"):
        raise DamageError("the checksum (CRC) of a block does not match")
    return plain


def _from_zstd(data: bytes) -> bytes:
    return unpacked(io.BytesIO(data), "zstd").read()


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _inflated,
    "snappy": _from_snappy,
    "zstandard": _from_zstd,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
}


# Types

_PLAIN = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_UNITS = {"millis": "ms", "micros": "us", "nanos": "ns"}
_LOGICAL = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    **{("long", f"timestamp-{name}"): pa.timestamp(unit, "UTC") for name, unit in _UNITS.items()},
    **{("long", f"local-timestamp-{name}"): pa.timestamp(unit) for name, unit in _UNITS.items()},
}
"""Logical types whose value is the stored number."""
_WIDENED = (({"int", "long"}, "long"), ({"float", "double"}, "double"), ({"int", "float", "double"}, "double"))
"""Members of a union, and the type that holds the values of all."""


class _Column(NamedTuple):
    """A column: Arrow's type, what converts fastavro's values to an array, and the schema for fastavro."""

    type: pa.DataType
    build: _Build
    stored: Any


class _Types:
    """Converts Avro's types to Arrow's.

    The schemas for fastavro have no logical types, and each member of a union becomes a record of one field, which is
    encoded like the field: fastavro returns the record's name, which it does for no other type.
    """

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact
        self._numbers = count()
        self._named: dict[str, _Column] = {}
        self._open: dict[str, str] = {}

    def of(self, schema: Any) -> _Column:
        """Return the column of a schema that fastavro has parsed."""
        if isinstance(schema, list):
            return self._union(schema)
        if isinstance(schema, str):
            return self._by_name(schema)
        kind = schema["type"]
        if kind in {"record", "error", "enum", "fixed"}:
            name = schema["name"]
            self._open[name] = f"t{next(self._numbers)}"
            made = self._record(schema) if kind in {"record", "error"} else self._leaf(schema)
            known = self._open.pop(name)
            self._named[name] = made._replace(stored=known)
            return made._replace(stored={"name": known, **made.stored})
        if kind == "array":
            return _array(self.of(schema["items"]))
        if kind == "map":
            return _map(self.of(schema["values"]))
        return self._leaf(schema) if isinstance(kind, str) and kind in _PLAIN else self.of(kind)

    def _by_name(self, name: str) -> _Column:
        if name in _PLAIN:
            return _Column(_PLAIN[name], _arrays(_PLAIN[name]), name)
        if name in self._open:
            if self._exact:
                raise UnreadError(f"the Avro type {name} holds itself, which no column can")
            return _Column(pa.string(), _json, self._open[name])
        return self._named[name]

    def _leaf(self, schema: Mapping[str, Any]) -> _Column:
        kind, logical = schema["type"], str(schema.get("logicalType"))
        if kind == "enum":
            return _Column(pa.string(), _arrays(pa.string()), {"type": kind, "symbols": schema["symbols"]})
        is_fixed = kind == "fixed"
        stored = {"type": kind, "size": schema["size"]} if is_fixed else kind
        if logical == "decimal" and kind in {"bytes", "fixed"} and (decimal := self._decimal(schema)):
            return _Column(*decimal, stored)
        made = pa.binary(schema["size"]) if is_fixed else _LOGICAL.get((kind, logical), _PLAIN[kind])
        return _Column(made, _arrays(made), stored)

    def _decimal(self, schema: Mapping[str, Any]) -> tuple[pa.DataType, _Build] | None:
        """Return the type of a valid decimal; None for an invalid one, which is read as bytes."""
        precision, scale = schema.get("precision", 0), schema.get("scale", 0)
        if not 0 <= scale <= precision or not precision:
            return None
        if precision > (_MOST_DIGITS if self._exact else _MOST_OF_ARROW):
            raise UnreadError(f"Avro with a decimal of {precision} digits is not read; at most {_MOST_DIGITS} are")
        made = (pa.decimal128 if precision <= _MOST_DIGITS else pa.decimal256)(precision, scale)

        def value(stored: bytes | None) -> Decimal | None:
            if stored is None:
                return None
            number = int.from_bytes(stored, "big", signed=True)
            return Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -scale))

        return made, lambda values: pa.array([value(stored) for stored in values], made)

    def _record(self, schema: Mapping[str, Any]) -> _Column:
        fields = {field["name"]: self.of(field["type"]) for field in schema["fields"]}
        made = pa.struct([(name, column.type) for name, column in fields.items()])

        def build(values: list[Any]) -> pa.Array:
            if not fields:
                return pa.array([None if value is None else {} for value in values], made)
            columns = [
                column.build([None if value is None else value[name] for value in values])
                for name, column in fields.items()
            ]
            missing = [value is None for value in values]
            # No mask unless needed: Arrow crashes if a union gets one.
            mask = pa.array(missing, pa.bool_()) if any(missing) else None
            return pa.StructArray.from_arrays(columns, fields=[*made], mask=mask)

        stored = [{"name": name, "type": column.stored} for name, column in fields.items()]
        return _Column(made, build, {"type": "record", "fields": stored})

    def _union(self, schema: list[Any]) -> _Column:
        kinds = [kind for kind in schema if kind != "null"]
        if len(kinds) > 1:
            plain = {kind for kind in kinds if isinstance(kind, str)}
            wider = next((wider for members, wider in _WIDENED if len(plain) == len(kinds) and plain <= members), "")
            if not wider:
                return self._union_column(schema, kinds)
            return _Column(_PLAIN[wider], _arrays(_PLAIN[wider]), schema)
        if not kinds:
            return self._by_name("null")
        column = self.of(kinds[0])
        return column._replace(stored=[column.stored if kind != "null" else kind for kind in schema])

    def _union_column(self, schema: list[Any], kinds: list[Any]) -> _Column:
        """Return a column of a union, each value with its type."""
        if len(kinds) > _MOST_MEMBERS:
            raise UnreadError(f"Avro with a union of {len(kinds)} types is not read; at most {_MOST_MEMBERS} are")
        members = [self.of(kind) for kind in kinds]
        records = [f"u{next(self._numbers)}" for _ in kinds]
        tags, names = {record: at for at, record in enumerate(records)}, _names(kinds)
        made = pa.sparse_union([pa.field(name, member.type) for name, member in zip(names, members, strict=True)])

        def build(values: list[Any]) -> pa.Array:
            which = [0 if value is None else tags[value[0]] for value in values]
            columns = [
                member.build(
                    [
                        value[1]["v"] if value is not None and tag == at else None
                        for tag, value in zip(which, values, strict=True)
                    ]
                )
                for at, member in enumerate(members)
            ]
            return pa.UnionArray.from_sparse(pa.array(which, pa.int8()), columns, names)

        wrapped = iter(
            {"type": "record", "name": record, "fields": [{"name": "v", "type": member.stored}]}
            for record, member in zip(records, members, strict=True)
        )
        return _Column(made, build, [kind if kind == "null" else next(wrapped) for kind in schema])


def _names(kinds: list[Any]) -> list[str]:
    """Return names of a union's members: their types, with the namespace only if needed."""
    full = [kind if isinstance(kind, str) else str(kind.get("name") or kind["type"]) for kind in kinds]
    short = [name.rpartition(".")[2] for name in full]
    times = Counter(name.casefold() for name in short)
    return [name if times[name.casefold()] == 1 else other for name, other in zip(short, full, strict=True)]


def _arrays(kind: pa.DataType) -> _Build:
    return lambda values: pa.array(values, kind)


def _offsets(values: list[Any]) -> pa.Array:
    """Return the offset of each list in all elements, with the end of the last; null lists have none."""
    ends = accumulate((len(value or ()) for value in values), initial=0)
    return pa.array(
        [end if value is not None else None for end, value in zip(ends, [*values, ()], strict=True)], pa.int32()
    )


def _array(item: _Column) -> _Column:
    def build(values: list[Any]) -> pa.Array:
        return pa.ListArray.from_arrays(
            _offsets(values), item.build([each for value in values for each in value or ()])
        )

    return _Column(pa.list_(item.type), build, {"type": "array", "items": item.stored})


def _map(item: _Column) -> _Column:
    def build(values: list[Any]) -> pa.Array:
        names = pa.array([name for value in values for name in value or ()], pa.string())
        items = item.build([each for value in values for each in (value or {}).values()])
        return pa.MapArray.from_arrays(_offsets(values), names, items)

    return _Column(pa.map_(pa.string(), item.type), build, {"type": "map", "values": item.stored})


def _json(values: list[Any]) -> pa.Array:
    """Return bytes in Avro's JSON encoding."""
    texts = [
        None
        if value is None
        else json.dumps(_untagged(value), ensure_ascii=False, default=lambda data: data.decode("latin-1"))
        for value in values
    ]
    return pa.array(texts, pa.string())


def _untagged(value: Any) -> Any:
    """Return a value without the records that mark union members."""
    if isinstance(value, tuple):
        return _untagged(value[1]["v"])
    if isinstance(value, dict):
        return {name: _untagged(each) for name, each in value.items()}
    return [_untagged(each) for each in value] if isinstance(value, list) else value
