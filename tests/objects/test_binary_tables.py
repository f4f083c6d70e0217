"""ORC, Avro and Arrow: their rows exactly, in batches; damaged, they are told to be."""

from __future__ import annotations

import io
import random
import struct
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
import pytest
from pyarrow import orc

from s3conn_magic.errors import QueryError
from s3conn_magic.objects import apart
from s3conn_magic.objects.apart import Reread, record_batches
from s3conn_magic.objects.formats import detect

TABLE = pa.table(
    {
        "n": pa.array(range(3000), pa.int64()),
        "t": pa.array([f"käse {at}" for at in range(3000)]),
        "l": pa.array([[at, None] if at % 3 else None for at in range(3000)], pa.list_(pa.int32())),
        "d": pa.array([Decimal(at) / 100 for at in range(3000)], pa.decimal128(12, 2)),
        "s": pa.array([{"a": at, "b": str(at)} for at in range(3000)]),
    }
)
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - it is local


def _orc(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    orc.write_table(table, sink)
    return sink.getvalue()


def _arrow_file(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema, **options) as writer:
        writer.write_table(table, max_chunksize=1000)
    return sink.getvalue()


def _arrow_stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    return sink.getvalue()


def _avro(table: pa.Table, codec: str = "null") -> bytes:
    schema = {
        "type": "record",
        "name": "row",
        "fields": [
            {"name": "n", "type": "long"},
            {"name": "t", "type": ["null", "string"]},
            {"name": "l", "type": ["null", {"type": "array", "items": ["null", "int"]}]},
            {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
            {
                "name": "s",
                "type": {
                    "type": "record",
                    "name": "inner",
                    "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "string"}],
                },
            },
        ],
    }
    sink = io.BytesIO()
    fastavro.writer(sink, schema, table.to_pylist(), codec=codec, sync_interval=4000)
    return sink.getvalue()


MAKE = {
    "ORC": ("ORC", _orc),
    "Arrow file": ("ARROW", _arrow_file),
    "Arrow file, packed by LZ4": (
        "ARROW",
        lambda table: _arrow_file(table, options=pa.ipc.IpcWriteOptions(compression="lz4")),
    ),
    "Arrow stream": ("ARROW", _arrow_stream),
    **{
        f"Avro, {codec}": ("AVRO", lambda table, codec=codec: _avro(table, codec))
        for codec in ("null", "deflate", "snappy", "bzip2", "xz")
    },
}


def _read(kind: str, data: bytes, compression: str | None = None) -> pa.Table:
    return record_batches(kind, io.BytesIO(data), compression).read_all()


@pytest.mark.parametrize("name", ["x", "x.csv", "x.avro", "x.parquet"])
@pytest.mark.parametrize("made", MAKE)
def test_a_table_comes_back_and_is_told_by_its_content(made: str, name: str):
    """Whatever it is called; nested values and nulls, too."""
    kind, make = MAKE[made]
    data = make(TABLE)
    assert detect(name, data[:65536]).format.type == kind
    assert _read(kind, data).to_pylist() == TABLE.to_pylist()


@pytest.mark.parametrize("made", [made for made in MAKE if made != "ORC"])
def test_what_is_packed_as_a_whole_is_read_as_a_stream(made: str):
    """No seeking: gzip around an Arrow file."""
    import gzip

    kind, make = MAKE[made]
    found = detect("x", gzip.compress(make(TABLE))[:65536])
    assert (found.format.type, found.compression) == (kind, "gzip")
    assert _read(kind, gzip.compress(make(TABLE)), "gzip").to_pylist() == TABLE.to_pylist()


def test_batches_come_as_they_are_asked_for():
    """The first needs no more than its own block."""
    data = _avro(pa.concat_tables([TABLE] * 20))
    file = io.BytesIO(data)
    assert next(record_batches("AVRO", file)).num_rows
    assert file.tell() < len(data) / 10


@pytest.mark.parametrize("made", MAKE)
def test_what_is_cut_off_is_damaged(made: str):
    """Wherever it is, but behind a block of Avro or a batch of a stream: nobody knows how many follow."""
    kind, make = MAKE[made]
    data = make(TABLE)
    whole = TABLE.to_pylist()
    for cut in random.Random(made).sample(range(8, len(data) - 8), 20):
        try:
            found = _read(kind, data[:cut]).to_pylist()
        except QueryError as error:
            said = error.message
        else:
            assert found == whole[: len(found)]
            assert made.startswith(("Avro", "Arrow stream"))
            continue
        assert said.startswith("the object is damaged: ")


@pytest.mark.parametrize("codec", ["deflate", "snappy", "xz"])
def test_a_byte_of_avro_that_was_changed_is_damage(codec: str):
    """By a checksum, or by what does not fit; where neither tells, the rows are as many as before."""
    data = _avro(TABLE, codec)
    for at in random.Random(codec).sample(range(800, len(data)), 20):
        changed = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        try:
            said = str(_read("AVRO", changed).num_rows)
        except QueryError as error:
            said = error.message
        assert said == "3000" or said.startswith("the object is damaged: ")


def _record(kind: Any, values: list[Any]) -> bytes:
    sink = io.BytesIO()
    schema = {"type": "record", "name": "row", "fields": [{"name": "v", "type": kind}]}
    fastavro.writer(sink, schema, [{"v": value} for value in values])
    return sink.getvalue()


@pytest.mark.parametrize(
    ("kind", "values", "read"),
    [
        ("boolean", [True], pa.bool_()),
        ("int", [2**31 - 1, -(2**31)], pa.int32()),
        ("long", [2**63 - 1, -(2**63)], pa.int64()),
        ("float", [0.5], pa.float32()),
        ("double", [0.1], pa.float64()),
        ("bytes", [b"\x00\xff"], pa.binary()),
        ("string", ["é"], pa.string()),
        (["null", "long"], [None, 2**63 - 1], pa.int64()),
        (["int", "null", "long"], [5, None, 2**40], pa.int64()),
        ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, ["B"], pa.string()),
        ({"type": "fixed", "name": "f", "size": 3}, [b"abc"], pa.binary(3)),
        ({"type": "map", "values": ["null", "int"]}, [{"a": 1, "b": None}], pa.map_(pa.string(), pa.int32())),
        ({"type": "int", "logicalType": "date"}, [date(9999, 12, 31), date(1, 1, 1)], pa.date32()),
        ({"type": "int", "logicalType": "time-millis"}, [time(23, 59, 59, 999000)], pa.time32("ms")),
        ({"type": "long", "logicalType": "time-micros"}, [time(23, 59, 59, 999999)], pa.time64("us")),
        (
            {"type": "long", "logicalType": "local-timestamp-micros"},
            [MOMENT],
            pa.timestamp("us"),
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10},
            [Decimal("-1234567890123456789012345678.0123456789"), Decimal("0E-10")],
            pa.decimal128(38, 10),
        ),
        (
            {"type": "fixed", "name": "f", "size": 16, "logicalType": "decimal", "precision": 38},
            [Decimal(-(10**38) + 1), Decimal(10**38 - 1)],
            pa.decimal128(38, 0),
        ),
    ],
)
def test_types_of_avro_are_arrows_exactly(kind: Any, values: list[Any], read: pa.DataType):
    """At the ends of their ranges."""
    found = _read("AVRO", _record(kind, values))
    assert found.schema.field("v").type == read
    shown = [dict(value) if isinstance(value, list) else value for value in found["v"].to_pylist()]
    assert shown == values


def test_moments_of_avro_are_as_they_stand():
    """Out of reach of Python's, and in all units."""
    for logical, unit in [("millis", "ms"), ("micros", "us"), ("nanos", "ns")]:
        data = _record("long", [0, 2**62, -(2**62)])
        kind = b'{"type": "long", "logicalType": "timestamp-' + logical.encode() + b'"}'
        changed = _with_type(data, kind)
        found = _read("AVRO", changed)["v"]
        assert found.type == pa.timestamp(unit, "UTC")
        assert found.cast(pa.int64()).to_pylist() == [0, 2**62, -(2**62)]


def _with_type(data: bytes, kind: bytes) -> bytes:
    """A container whose only field, a long, is of another type."""
    sink = io.BytesIO()
    head = b"Obj\x01"
    schema = b'{"type": "record", "name": "row", "fields": [{"name": "v", "type": ' + kind + b"}]}"
    fields = [(b"avro.schema", schema), (b"avro.codec", b"null")]
    sink.write(head + _zigzag(len(fields)))
    for name, value in fields:
        sink.write(_zigzag(len(name)) + name + _zigzag(len(value)) + value)
    sync = data[-16:]
    first = data.index(sync) + 16
    sink.write(_zigzag(0) + sync + data[first:])
    return sink.getvalue()


def _zigzag(number: int) -> bytes:
    number <<= 1
    out = b""
    while number > 0x7F:
        out += struct.pack("B", number & 0x7F | 0x80)
        number >>= 7
    return out + struct.pack("B", number)


def test_a_schema_that_is_no_record_is_one_column():
    """Named types are known where they are named again; what holds itself is refused."""
    sink = io.BytesIO()
    fastavro.writer(sink, "string", ["a", "b"])
    assert _read("AVRO", sink.getvalue()).to_pylist() == [{"value": "a"}, {"value": "b"}]
    point = {"type": "record", "name": "n.point", "fields": [{"name": "x", "type": "int"}]}
    both = {
        "type": "record",
        "name": "n.line",
        "fields": [{"name": "a", "type": point}, {"name": "b", "type": ["null", "point"]}],
    }
    sink = io.BytesIO()
    fastavro.writer(sink, both, [{"a": {"x": 1}, "b": {"x": 2}}, {"a": {"x": 3}, "b": None}])
    assert _read("AVRO", sink.getvalue()).to_pylist() == [{"a": {"x": 1}, "b": {"x": 2}}, {"a": {"x": 3}, "b": None}]
    tree = {"type": "record", "name": "tree", "fields": [{"name": "next", "type": ["null", "tree"]}]}
    sink = io.BytesIO()
    fastavro.writer(sink, tree, [{"next": None}])
    with pytest.raises(QueryError, match="tree holds itself"):
        _read("AVRO", sink.getvalue())


INNER = {"type": "record", "name": "n.a", "fields": [{"name": "x", "type": "int"}]}
OTHER = {"type": "record", "name": "n.b", "fields": [{"name": "x", "type": ["int", "string"]}]}


@pytest.mark.parametrize(
    ("kind", "values", "become", "read"),
    [
        (["int", "long"], [1, 2**63 - 1], "BIGINT", [1, 2**63 - 1]),
        (["float", "null", "double"], [0.5, None, 0.1], "DOUBLE", [0.5, None, 0.1]),
        (["int", "double"], [2**31 - 1, 0.1], "DOUBLE", [2.0**31 - 1, 0.1]),
        (["long", "double"], [2**53 + 1, 0.5], 'UNION(long BIGINT, "double" DOUBLE)', [2**53 + 1, 0.5]),
        (["long", "float"], [2**53 + 1, 0.5], 'UNION(long BIGINT, "float" FLOAT)', [2**53 + 1, 0.5]),
        (["int", "null", "string"], [1, None, "1"], 'UNION("int" INTEGER, string VARCHAR)', [1, None, "1"]),
        (["bytes", "string"], [b"a", "a"], "UNION(bytes BLOB, string VARCHAR)", [b"a", "a"]),
        (
            ["null", INNER, OTHER],
            [None, ("n.b", {"x": 1}), ("n.a", {"x": 1}), ("n.b", {"x": "1"})],
            'UNION(a STRUCT(x INTEGER), b STRUCT(x UNION("int" INTEGER, string VARCHAR)))',
            [None, {"x": 1}, {"x": 1}, {"x": "1"}],
        ),
        (
            ["null", INNER, {"type": "map", "values": "int"}],
            [("n.a", {"x": 1}), {"x": 1}],
            'UNION(a STRUCT(x INTEGER), "map" MAP(VARCHAR, INTEGER))',
            [{"x": 1}, {"x": 1}],
        ),
        (
            ["null", {"type": "array", "items": ["int", "null", "boolean"]}],
            [None, [1, None, True], []],
            'UNION("int" INTEGER, "boolean" BOOLEAN)[]',
            [None, [1, None, True], []],
        ),
        (
            ["string", {"type": "int", "logicalType": "date"}],
            ["x", date(2024, 1, 2)],
            'UNION(string VARCHAR, "int" DATE)',
            ["x", date(2024, 1, 2)],
        ),
    ],
)
def test_unions_of_avro_are_exact(kind: Any, values: list[Any], become: str, read: list[Any]):
    """Widened where that loses nothing; else a UNION, in which each value has the type that it was written as."""
    data = _record(kind, values)
    schema = record_batches("AVRO", io.BytesIO(data), rows=0).schema
    with duckdb.connect() as database:
        database.register("rows", Reread(schema, lambda: iter(record_batches("AVRO", io.BytesIO(data)))))
        database.execute("CREATE TABLE t AS FROM rows")
        found = database.execute("SELECT v, typeof(v) FROM t").fetchall()
    assert found == [(value, become) for value in read]
    assert [type(value) for value, _ in found] == [type(value) for value in read]


def test_endless_avro_is_refused_and_the_kernel_lives(monkeypatch: pytest.MonkeyPatch):
    """A list of more nulls than any memory holds, and a schema that is deeper than any stack."""
    monkeypatch.setattr(apart, "_PATIENCE", 3.0)
    data = _record({"type": "array", "items": "null"}, [[]])
    sync = data[-16:]
    block = _zigzag(2**60) + b"\x00"
    deep = b'{"type": "array", "items": ' * 100_000
    for body in (data.split(sync)[0] + sync + _zigzag(1) + _zigzag(len(block)) + block + sync, _with_type(data, deep)):
        with pytest.raises(QueryError, match="the object is damaged: its Avro cannot be read"):
            _read("AVRO", body)
    assert _read("AVRO", data).num_rows == 1


def test_half_a_float_is_read_as_one():
    """DuckDB has none of 16 bits."""
    table = pa.table({"h": pa.array([0.5, 65504.0], pa.float32()).cast(pa.float16())})
    found = _read("ARROW", _arrow_file(table))
    assert found.schema.field("h").type == pa.float32()
    assert found["h"].to_pylist() == [0.5, 65504.0]


def test_names_of_columns_that_are_no_text_are_damage():
    """Never a traceback."""
    data = _arrow_stream(pa.table({"name": [1]})).replace(b"name", b"na\x8c\xc8")
    with pytest.raises(QueryError, match="the object is damaged: its Arrow cannot be read"):
        _read("ARROW", data)


def test_a_moment_that_arrow_cannot_hold_is_refused_and_not_called_damage():
    """ORC is read in nanoseconds."""
    data = _orc(pa.table({"t": pa.array([datetime(9999, 1, 1)], pa.timestamp("us"))}))  # noqa: DTZ001 - it is local
    with pytest.raises(QueryError, match=r"has something that cannot be read \(ORC timestamp .* is out of range"):
        _read("ORC", data)
