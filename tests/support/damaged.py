"""Small files of every format that PREVIEW shows, and the same ones damaged: the same damage for the same number."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import random
import zipfile
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import fastavro
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from s3conn_magic.sandbox.data import bar_chart

if TYPE_CHECKING:
    from collections.abc import Callable

_ROWS = 60
AVRO = {
    "type": "record",
    "name": "one",
    "fields": [
        {"name": "id", "type": "int"},
        {"name": "text", "type": ["null", "string"]},
        {"name": "list", "type": {"type": "array", "items": "long"}},
        {"name": "map", "type": {"type": "map", "values": "double"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "of", "type": {"type": "record", "name": "inner", "fields": [{"name": "b", "type": "bytes"}]}},
    ],
}


def table(rows: int = _ROWS) -> pa.Table:
    """A column of each kind that all columnar formats have."""
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int32()),
            "text": [f"text {number % 7} é" for number in range(rows)],
            "x": [number / 3 for number in range(rows)],
            "list": [[number, number + 1] for number in range(rows)],
            "of": [{"a": number, "b": str(number)} for number in range(rows)],
            "at": pa.array([number * 10**9 for number in range(rows)], pa.timestamp("ns")),
            "money": pa.array(range(rows), pa.decimal128(20, 2)),
            "map": pa.array([[("k", number)] for number in range(rows)], pa.map_(pa.string(), pa.int64())),
            "yes": [number % 2 == 0 for number in range(rows)],
        }
    )


def arrow_file(found: pa.Table, compression: str | None = None, batch: int = 20) -> bytes:
    """Arrow's file format."""
    file = io.BytesIO()
    with pa.ipc.new_file(file, found.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(found, batch)
    return file.getvalue()


def arrow_stream(found: pa.Table) -> bytes:
    """Arrow's stream format."""
    file = io.BytesIO()
    with pa.ipc.new_stream(file, found.schema) as writer:
        writer.write_table(found, 20)
    return file.getvalue()


def orc_file(found: pa.Table, compression: str = "zlib") -> bytes:
    """ORC."""
    file = io.BytesIO()
    orc.write_table(found, file, compression=compression)
    return file.getvalue()


def parquet_file(found: pa.Table, **options: object) -> bytes:
    """Parquet."""
    file = io.BytesIO()
    pq.write_table(found, file, **options)
    return file.getvalue()


def avro_file(codec: str = "deflate", rows: int = _ROWS) -> bytes:
    """Avro."""
    records = (
        {
            "id": number,
            "text": None if number % 3 else "é" * number,
            "list": [number] * 3,
            "map": {"k": 1.5},
            "at": number * 10**9,
            "of": {"b": b"x" * number},
        }
        for number in range(rows)
    )
    file = io.BytesIO()
    fastavro.writer(file, AVRO, records, codec=codec)
    return file.getvalue()


def workbook(rows: int = _ROWS) -> bytes:
    """XLSX: numbers, texts and times, below their names."""
    book = openpyxl.Workbook()
    book.active.append(["id", "name", "at"])
    for number in range(rows):
        book.active.append([number, f"name {number}", datetime(2024, 1, 1 + number % 28)])  # noqa: DTZ001 - Excel has no zones
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def archive() -> bytes:
    """ZIP: ten members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for number in range(10):
            opened.writestr(f"folder/{number}.txt", f"text {number}" * 100)
    return file.getvalue()


def csv_text() -> bytes:
    """CSV with quotes and characters beyond ASCII."""
    return b"id,name,at\n" + b"".join(b'%d,"a ""b"", %s",2024-01-02\n' % (n, "é".encode()) for n in range(400))


def json_lines() -> bytes:
    """JSON lines."""
    lines = ({"id": n, "of": {"list": [n, None], "at": str(datetime.now(UTC).date())}} for n in range(400))
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


FORMATS: dict[str, Callable[[], bytes]] = {
    "plain.parquet": lambda: parquet_file(table(), compression="none"),
    "zstd.parquet": lambda: parquet_file(table(), compression="zstd", data_page_version="2.0"),
    "plain.orc": lambda: orc_file(table(), "uncompressed"),
    "zlib.orc": lambda: orc_file(table()),
    "plain.arrow": lambda: arrow_file(table()),
    "lz4.feather": lambda: arrow_file(table(), "lz4"),
    "stream.arrows": lambda: arrow_stream(table()),
    "null.avro": lambda: avro_file("null"),
    "deflate.avro": lambda: avro_file("deflate"),
    "book.xlsx": workbook,
    "some.zip": archive,
    "t.csv": csv_text,
    "t.csv.gz": lambda: gzip.compress(csv_text()),
    "t.csv.bz2": lambda: bz2.compress(csv_text()),
    "t.csv.zst": lambda: pa.compress(csv_text(), "zstd", asbytes=True),
    "t.jsonl": json_lines,
    "t.json": lambda: json.dumps([json.loads(line) for line in json_lines().splitlines()]).encode(),
    "p.png": lambda: bar_chart([1, 2, 3], 30, 40),
}


@cache
def whole(name: str) -> bytes:
    """The file of this name."""
    return FORMATS[name]()


def damaged(name: str, number: int) -> bytes:
    """The file of this name with one of many damages."""
    noise = random.Random(f"{name} {number}")
    return noise.choice([_cut, _flipped, _zeroed, _swapped, _inserted, _set])(whole(name), noise)


def _cut(data: bytes, noise: random.Random) -> bytes:
    return data[: noise.randrange(len(data))]


def _flipped(data: bytes, noise: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(noise.choice([1, 1, 3, 10, 50])):
        out[noise.randrange(len(out))] ^= 1 << noise.randrange(8)
    return bytes(out)


def _zeroed(data: bytes, noise: random.Random) -> bytes:
    at, length = noise.randrange(len(data)), noise.choice([1, 4, 16, 100, 1000])
    return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]


def _swapped(data: bytes, noise: random.Random) -> bytes:
    length = min(noise.choice([8, 64, 256]), len(data) // 2)
    one = noise.randrange(len(data) - length + 1)
    other = noise.randrange(len(data) - length + 1)
    out = bytearray(data)
    out[one : one + length], out[other : other + length] = data[other : other + length], data[one : one + length]
    return bytes(out)


def _inserted(data: bytes, noise: random.Random) -> bytes:
    at = noise.randrange(len(data))
    return data[:at] + noise.randbytes(noise.choice([1, 3, 17, 200])) + data[at:]


def _set(data: bytes, noise: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(noise.choice([1, 2, 4])):
        out[noise.randrange(len(out))] = noise.choice([0, 1, 127, 128, 255])
    return bytes(out)
