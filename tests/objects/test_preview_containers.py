"""Rows of ORC, Arrow, Avro and workbooks, and members of ZIP: exact, in every form, and bounded."""

from __future__ import annotations

import io
import struct
import zipfile
from datetime import UTC, date, datetime, time
from decimal import Decimal

import fastavro
import numpy as np
import openpyxl
import pyarrow as pa
import pytest
from damaged import archive, arrow_file, arrow_stream, avro_file, orc_file, table, workbook
from every_preview import shown_in_all_forms
from served import previewed, serving

from s3conn_magic.locations import Location
from s3conn_magic.objects import apart
from s3conn_magic.results.previews import ObjectPreview

MIB = 1024 * 1024


def values(found):
    return pa.Table.from_pandas(found.frame, preserve_index=False).to_pylist()


def shown(body, name="t"):
    """A preview that has been shown in every form."""
    with serving(body) as place:
        found = place.preview(name)
        shown_in_all_forms(ObjectPreview(place.connection, Location("bucket", name), found, 100))
    return found


WRITTEN = {
    "ORC": orc_file,
    "Arrow": lambda found: arrow_file(found, "zstd"),
    "Arrow stream": arrow_stream,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_rows_come_out_as_they_were_written(name):
    """Every type, nested ones too, whatever the object is called."""
    found = shown(WRITTEN[name](table(60)), "anything.csv")
    wanted = table(60).to_pylist()
    assert (found.kind, found.format, found.total_rows, found.truncated) == ("table", name, 60, False)
    assert values(found) == wanted
    assert found.notes == ()


COUNTS = {"ORC": (1_000, None), "Arrow": (None, 1_000), "Arrow stream": (None, 1_000)}


@pytest.mark.parametrize(("name", "counts"), COUNTS.items())
def test_the_first_rows_are_said_of_how_many(name, counts):
    """Exact where the format says it, and about as many by the size of the first ones where it does not."""
    found = previewed(WRITTEN[name](table(1_000)), rows=5)
    assert values(found) == table(5).to_pylist()
    assert found.total_rows == counts[0]
    assert found.about_rows == (None if counts[1] is None else pytest.approx(counts[1], rel=0.3))
    assert found.truncated


TICK = pa.array([-62135596800, 253402300799, 2**62], pa.int64())
KINDS = {
    "decimal256": pa.array([Decimal(10) ** 70, None], pa.decimal256(76, 2)),
    "months, days and nanoseconds": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    "dense union": pa.UnionArray.from_dense(
        pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([5]), pa.array(["x"])]
    ),
    "sparse union": pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([5, 6]), pa.array(["x", "y"])]),
    "run ends": pa.RunEndEncodedArray.from_arrays([3, 5], ["a", None]),
    "list view": pa.array([[1, 2], None, []], pa.list_view(pa.int64())),
    "large list view": pa.array([["a"], None], pa.large_list_view(pa.string())),
    "string view": pa.array(["a" * 20, None], pa.string_view()),
    "binary view": pa.array([b"\x00\xff" * 9, None], pa.binary_view()),
    "float16": pa.array([np.float16(1.5), None], pa.float16()),
    "seconds from year 1 on": TICK.cast(pa.timestamp("s")),
    "seconds with a zone": TICK.cast(pa.timestamp("s", "Europe/Berlin")),
    "nanoseconds at their ends": pa.array([-(2**63), 2**63 - 1], pa.timestamp("ns")),
    "an unknown zone": pa.array([0], pa.timestamp("us", "Mars/Olympus")),
    "dates": pa.array([-(2**31), 0, 2**31 - 1], pa.date32()),
    "dates in milliseconds": pa.array([-(2**62), 0], pa.int64()).view(pa.date64()),
    "not a number": pa.array([float("nan"), float("inf"), None]),
    "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "dictionary of lists": pa.DictionaryArray.from_arrays(pa.array([0, None, 0]), pa.array([[1, 2]])),
    "durations": pa.array([2**63 - 1, None], pa.duration("ns")),
    "long durations": pa.array([-(2**63) + 1, 2**62], pa.duration("us")),
    "durations of seconds": pa.array([2**62, None], pa.duration("s")),
    "nulls": pa.nulls(2),
    "fixed lists": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
    "fixed bytes": pa.array([b"ab", None], pa.binary(2)),
    "uuid": pa.array([b"0123456789abcdef", None], pa.uuid()),
    "json": pa.array(['{"a": 1}', None], pa.json_()),
    "tensor": pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2]], pa.list_(pa.int32(), 2))
    ),
    "struct without fields": pa.array([{}, None], pa.struct([])),
    "map of structs": pa.array(
        [[("k", {"x": [1]})], None], pa.map_(pa.string(), pa.struct([("x", pa.list_(pa.int8()))]))
    ),
    "no UTF-8": pa.Array.from_buffers(pa.string(), 2, pa.array([b"TREL\xd3", b"ok"]).buffers()),
}


def nested(depth):
    found = pa.array([1, 2])
    for _ in range(depth):
        found = pa.StructArray.from_arrays([found], ["x"])
    return found


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("form", ["file", "stream"])
def test_every_type_of_arrow_is_shown_in_every_form(name, form):
    """A column of a type that Python or pandas cannot hold is its text; it never ends the preview."""
    found = pa.table([KINDS[name], pa.array([*range(len(KINDS[name]))])], ["odd", "plain"])
    seen = shown(arrow_file(found) if form == "file" else arrow_stream(found))
    assert (seen.kind, len(seen.frame)) == ("table", len(found))
    assert seen.frame["plain"].tolist() == [*range(len(found))]
    assert [kind for _, kind in seen.schema] == [str(field.type) for field in found.schema]
    assert seen.notes == (
        ("not all texts of odd are UTF-8; \N{REPLACEMENT CHARACTER} stands for what is not",) if "UTF-8" in name else ()
    )


@pytest.mark.parametrize(
    "found",
    [
        pa.table({}),
        pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())}),
        pa.table([pa.array([1]), pa.array([2]), pa.array([3])], ["a", "a", ""]),
        pa.table({"deep": nested(40)}),
        pa.table({f"c{number}": [number] for number in range(600)}),
    ],
    ids=["no columns", "no rows", "one name twice", "deep", "wide"],
)
@pytest.mark.parametrize("make", [arrow_file, arrow_stream], ids=["file", "stream"])
def test_tables_of_every_shape_are_shown(found, make):
    """No columns, no rows, the same name twice, structs in structs, many columns."""
    seen = shown(make(found))
    assert seen.kind == "table"
    assert seen.frame.shape == found.shape
    assert [*seen.frame.columns] == found.column_names
    assert seen.notes == ()


AVRO = {
    "date": ({"type": "int", "logicalType": "date"}, date(9999, 12, 31)),
    "time": ({"type": "long", "logicalType": "time-micros"}, time(1, 2, 3, 4)),
    "moment": ({"type": "long", "logicalType": "timestamp-micros"}, datetime(2024, 1, 2, 3, tzinfo=UTC)),
    "local": ({"type": "long", "logicalType": "local-timestamp-millis"}, datetime(1, 1, 1)),  # noqa: DTZ001 - it is local
    "decimal": (
        {"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 3},
        Decimal("-" + "9" * 57 + ".125"),
    ),
    "fixed": ({"type": "fixed", "name": "f", "size": 2}, b"ab"),
    "enum": ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, "B"),
    "map": ({"type": "map", "values": ["null", "long"]}, {"k": 1, "n": None}),
    "list": ({"type": "array", "items": {"type": "array", "items": "boolean"}}, [[True], []]),
    "null": ("null", None),
}


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_avro_comes_out_as_it_was_written(codec):
    """Each type of Avro is Arrow's, exact at every depth."""
    schema = {
        "type": "record",
        "name": "r",
        "fields": [{"name": name, "type": kind} for name, (kind, _) in AVRO.items()],
    }
    file = io.BytesIO()
    fastavro.writer(file, schema, [{name: value for name, (_, value) in AVRO.items()}], codec=codec)
    found = shown(file.getvalue(), "t.avro")
    (row,) = values(found)
    assert {**row, "map": dict(row["map"])} == {name: value for name, (_, value) in AVRO.items()}
    assert (found.total_rows, found.notes) == (1, ())


def test_avro_of_several_types_is_of_each_and_what_holds_itself_is_json():
    """A union of two types within the JSON, too."""
    node = {
        "type": "record",
        "name": "n",
        "fields": [{"name": "v", "type": ["null", "long", "string"]}, {"name": "next", "type": ["null", "n"]}],
    }
    file = io.BytesIO()
    fastavro.writer(file, node, [{"v": 1, "next": {"v": "é", "next": None}}])
    assert values(shown(file.getvalue())) == [{"v": "1", "next": '{"v": "é", "next": null}'}]


@pytest.mark.parametrize("codec", ["snappy", "zstandard"])
def test_codecs_of_avro_need_no_more_packages(codec):
    """Blocks of Snappy and Zstandard, written by hand, are read; a checksum that does not match is damage."""
    plain = avro_file("null", 3)
    sync = plain[-16:]
    head, block = plain.split(sync, 1)
    count, data = block[:1], block[:-16][2:] if block[1] < 0x80 else block[:-16][3:]
    packed = pa.compress(data, {"snappy": "snappy", "zstandard": "zstd"}[codec], asbytes=True)
    packed += zipfile.crc32(data).to_bytes(4, "big") if codec == "snappy" else b""
    head = head.replace(b"\x08null", bytes([len(codec) * 2]) + codec.encode())
    length = (len(packed) * 2 & 0x7F) | 0x80, len(packed) * 2 >> 7
    body = head + sync + count + bytes(length) + packed + sync
    assert values(previewed(body)) == values(previewed(plain))
    if codec == "snappy":
        (note,) = previewed(body[:-18] + b"\x00\x00" + sync).notes
        assert "the checksum (CRC) of a block does not match" in note


def _number(value):
    """A count or length as Avro has it."""
    value *= 2
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def self_holding(depth):
    """A record that holds itself so deep that the library ends its process."""
    node = {"type": "record", "name": "n", "fields": [{"name": "next", "type": ["null", "n"]}]}
    file = io.BytesIO()
    fastavro.writer(file, node, [{"next": None}])
    sync = file.getvalue()[-16:]
    body = b"\x02" * depth + b"\x00"
    return file.getvalue().split(sync)[0] + sync + _number(1) + _number(len(body)) + body + sync


def nothing_often():
    """An array of as many nulls as a number can say, in a few bytes."""
    file = io.BytesIO()
    kind = {"type": "record", "name": "n", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}
    fastavro.writer(file, kind, [{"a": []}])
    sync = file.getvalue()[-16:]
    body = _number(2**60) + b"\x00"
    return file.getvalue().split(sync)[0] + sync + _number(1) + _number(len(body)) + body + sync


def test_a_library_that_ends_its_process_ends_no_kernel():
    """The bytes are shown and why no rows are; the next file is read as if nothing had been."""
    found = shown(self_holding(1_000_000), "t.avro")
    assert (found.kind, found.format) == ("binary", "Avro")
    assert found.notes == ("its rows are not shown: its reader crashed on it",)
    assert previewed(avro_file()).notes == ()


def test_what_fills_the_memory_is_stopped(monkeypatch):
    """A few bytes that stand for an endless list take no more than their process may have, or the time that it may."""
    monkeypatch.setattr(apart, "_PATIENCE", 3.0)
    found = shown(nothing_often(), "t.avro")
    assert found.kind == "binary"
    (note,) = found.notes
    assert "too much memory" in note or "took longer" in note
    assert previewed(avro_file()).notes == ()


def test_a_workbook_is_its_first_sheet():
    """Names, numbers, texts, times and empty cells; the count of the rest is about right."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Figures"
    sheet.append([])
    sheet.append(["id", "name", "mixed", "at", "yes"])
    for number in range(30):
        sheet.append([number, f"n{number}" if number else None, number or "none", datetime(2024, 1, 1), number > 3])  # noqa: DTZ001 - Excel has no zones
    book.create_sheet("Other")
    file = io.BytesIO()
    book.save(file)
    found = shown(file.getvalue(), "t.xlsx")
    assert (found.format, found.total_rows, found.frame.shape) == ("XLSX", 30, (30, 5))
    assert found.notes == ("the sheet Figures, the first of 2",)
    assert values(found)[1] == {"id": 1, "name": "n1", "mixed": "1", "at": datetime(2024, 1, 1), "yes": False}  # noqa: DTZ001 - as above
    few = previewed(file.getvalue(), rows=5)
    assert (len(few.frame), few.total_rows, few.about_rows) == (5, None, 30)


def test_a_sheet_of_two_cells_far_apart_is_small():
    """The first and the last cell that there can be do not make a table of all between them."""
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = 1, 2
    file = io.BytesIO()
    book.save(file)
    found = shown(file.getvalue(), "t.xlsx")
    assert found.frame.shape == (100, 1)


def test_a_zip_file_without_members_is_a_table_without_rows():
    """No damage: it is 22 bytes, which end before the place where a larger one is asked for."""
    file = io.BytesIO()
    zipfile.ZipFile(file, "w").close()
    seen = previewed(file.getvalue(), "x.zip")
    assert (seen.kind, seen.total_rows, seen.notes) == ("table", 0, ())


def test_a_zip_file_is_a_table_of_its_members():
    """Name, size and time of each, by ranges of its end, however large it is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("big.bin", bytes(8 * MIB))
        opened.writestr(zipfile.ZipInfo("é/\u202ehostile.txt", (2024, 5, 6, 7, 8, 10)), b"x")
        opened.writestr(zipfile.ZipInfo("odd", (1980, 0, 0, 0, 0, 0)), b"")
    with serving(file.getvalue()) as place:
        found = place.preview("data.docx")
        assert place.served.sent < MIB
    assert (found.format, found.total_rows) == ("ZIP", 3)
    rows = values(found)
    assert [(row["name"], row["size"]) for row in rows] == [
        ("big.bin", 8 * MIB),
        ("é/\u202ehostile.txt", 1),
        ("odd", 0),
    ]
    assert (rows[1]["modified"], rows[2]["modified"]) == (datetime(2024, 5, 6, 7, 8, 10), None)  # noqa: DTZ001 - ZIP has no zones


def test_bombs_are_not_unpacked():
    """A workbook whose texts unpack to gigabytes, and an archive of such, are members and the sizes that they say."""
    body = io.BytesIO(workbook(3))
    with zipfile.ZipFile(body, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("xl/more.xml", bytes(65 * MIB))
    found = shown(body.getvalue(), "t.xlsx")
    assert found.format == "ZIP"
    assert found.notes == ("its sheets are not shown: its texts unpack to more than 67.1 MB",)
    assert shown(archive()).frame["size"].sum() == 6_000


def test_an_orc_file_of_large_stripes_is_read_in_part():
    """The first rows of 12 MB take a fraction of them."""
    noise = np.random.default_rng(1)
    found = pa.table({"x": noise.random(500_000), "y": noise.random(500_000), "z": noise.random(500_000)})
    with serving(orc_file(found)) as place:
        seen = place.preview("t.orc", rows=10)
        assert values(seen) == found.slice(0, 10).to_pylist()
        assert place.served.sent < 2 * MIB < len(place.served.body)


def test_columns_that_take_too_much_are_left_out_with_a_word(monkeypatch):
    """Of a wide batch of Arrow as many of the first columns are shown as the bound allows."""
    monkeypatch.setattr("s3conn_magic.preview.preview.CONTAINER_AT_MOST", 3 * MIB)
    noise = np.random.default_rng(1)
    found = pa.table({f"c{number}": noise.random(100_000) for number in range(8)})
    seen = shown(arrow_file(found, batch=100_000), "t.arrow")
    assert [*seen.frame.columns] == ["c0", "c1"]
    assert seen.notes == ("the first 2 of 8 columns are shown",)
    monkeypatch.setattr("s3conn_magic.preview.preview.CONTAINER_AT_MOST", MIB // 4)
    (note,) = shown(arrow_file(found, batch=100_000), "t.arrow").notes
    assert note == "its rows are not shown: the first ones take more than 262 kB"


def test_a_document_of_json_has_a_line_for_each_value():
    """Numbers, names that stand twice and escapes stay as they are written; only spaces change."""
    text = '{"a":[1e400,{"b":"\\u0041, {]"}],"a":-0,"c":{},"d":[ ]}'
    found = shown(text.encode(), "t.json")
    assert found.text == text
    assert found.layout == (
        '{\n  "a": [\n    1e400,\n    {\n      "b": "\\u0041, {]"\n    }\n  ],\n  "a": -0,\n  "c": {},\n  "d": []\n}'
    )


def test_the_process_apart_has_no_credentials(monkeypatch):
    """Its environment holds nothing of AWS's."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setattr(apart, "_idle", [])
    seen = []
    begin = apart.subprocess.Popen
    began = lambda *given, **more: seen.append(more["env"]) or begin(*given, **more)  # noqa: E731 - short
    monkeypatch.setattr(apart.subprocess, "Popen", began)
    assert previewed(avro_file()).notes == ()
    (env,) = seen
    assert "planted" not in env.values()


def test_an_arrow_sign_alone_is_no_stream():
    """Four bytes that could begin one, and noise behind them."""
    found = shown(struct.pack("<IiI", 0xFFFFFFFF, 64, 16) + bytes(range(64)))
    assert found.kind == "binary"
