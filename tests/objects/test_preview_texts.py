"""Texts and tables of text: what is found in them, and what of them is read."""

from __future__ import annotations

import bz2
import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pytest
from served import previewed, serving

MIB = 1024 * 1024
PACKERS = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "zstd": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}
TABLE = "id,name\n1,Zoë\n2,José\n"


def rows_of(found):
    return [tuple(row.values()) for row in pa.Table.from_pandas(found.frame, preserve_index=False).to_pylist()]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "cp1252"]
)
def test_a_table_is_read_in_its_encoding(encoding):
    """With or without a byte order mark, the same rows come out, and a guess is said to be one."""
    found = previewed(TABLE.encode(encoding), "people.csv")
    told = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(encoding, encoding)
    assert (found.kind, found.format, found.encoding) == ("table", "CSV", told)
    assert rows_of(found) == [(1, "Zoë"), (2, "José")]
    assert found.notes == (("the encoding cp1252 is a guess",) if encoding == "cp1252" else ())


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp932", "これは日本語のテキストです。文字コードを判別します。"),
        ("cp1251", "Привет, мир. Это простой текст на русском языке."),
        ("cp1250", "Zażółć gęślą jaźń, wszystko w porządku, proszę bardzo"),
    ],
)
def test_other_encodings_are_guessed(encoding, text):
    """A text in an older encoding of its language is read, with a note."""
    found = previewed(text.encode(encoding))
    assert (found.kind, found.text, found.encoding) == ("text", text, encoding)
    assert found.notes == (f"the encoding {encoding} is a guess",)


def test_a_character_cut_by_the_bound_is_left_out():
    """Neither end of what is read makes an encoding look wrong."""
    found = previewed(("x" + "ö" * MIB).encode(), rows=1000)
    assert (found.kind, found.encoding, found.truncated) == ("text", "utf-8", True)
    assert set(found.text) == {"x", "ö"}


def test_few_damaged_bytes_do_not_make_another_encoding():
    """UTF-8 with one bad byte is shown as UTF-8, and the place counted."""
    found = previewed(("ü" * 50).encode() + b"\xff\n")
    assert (found.encoding, found.text[-2]) == ("utf-8", "\ufffd")
    assert found.notes == ("1 place that is not valid utf-8",)


@pytest.mark.parametrize(
    ("text", "name", "format_", "rows"),
    [
        ("a,b\n1,x\n2,y\n", "t.csv", "CSV", [(1, "x"), (2, "y")]),
        ("a;b\n1,5;x\n2,5;y\n", "t.csv", "CSV (;)", [("1,5", "x"), ("2,5", "y")]),
        ("a\tb\n1\tx, z\n2\ty\n", "t.tsv", "TSV", [(1, "x, z"), (2, "y")]),
        ("a|b\n1|x\n2|y\n", "t", "CSV (|)", [(1, "x"), (2, "y")]),
        ("a\r\n1\r\n2\r\n", "t.csv", "CSV", [(1,), (2,)]),
        ('a,b\n1,"two\nlines, ""quoted"""\n', "t.csv", "CSV", [(1, 'two\nlines, "quoted"')]),
        ('n,t\n1,"a"b\n2,"c,d"\n', "t.csv", "CSV", [(1, "ab"), (2, "c,d")]),
        ("1,2\n3,4\n", "t.csv", "CSV", [(1, 2), (3, 4)]),
        (",a\n0,x\n1,y\n", "t.csv", "CSV", [(0, "x"), (1, "y")]),
        ("zip\n01234\n99999\n", "t.csv", "CSV", [("01234",), ("99999",)]),
        ("a,b\n\n1,2\n\n3,\n", "t.csv", "CSV", [(1, 2), (3, None)]),
    ],
)
def test_a_delimited_text_is_a_table(text, name, format_, rows):
    """Delimiter, quotes, quoted line breaks and header are found; leading zeros stay."""
    found = previewed(text.encode(), name)
    assert (found.kind, found.format, found.truncated) == ("table", format_, False)
    assert rows_of(found) == rows


def test_types_of_a_delimited_text_are_those_of_all_its_values():
    """Numbers, booleans, dates and times become such; one value that is none makes the column text."""
    text = "n,f,b,d,t,z,mixed,empty\n1,1.5,true,2026-01-02,2026-01-02 03:04:05,2026-01-02T03:04:05Z,1,\n2,,,,,,x,\n"
    kinds = [kind for _, kind in previewed(text.encode(), "t.csv").schema]
    assert (
        kinds == ["int64", "double", "bool", "date32[day]", "timestamp[us]", "timestamp[us, tz=UTC]"] + ["string"] * 2
    )


def test_records_of_another_length_are_kept_and_counted():
    """A short record is filled, a long one gives another column, and a note says how many there are."""
    found = previewed(b"a,b\n1,2\n3\n4,5,6\n7,8\n9,10\n", "t.csv")
    assert found.frame.columns.tolist() == ["a", "b", "column2"]
    assert len(found.frame) == 5
    assert found.notes == ("2 of 5 rows have not 2 fields; the first is record 2, which has 1",)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Dear all,\n\nthis, that, and more.\nYours\n", "letter"),
        ("# a,b\n# c,d\n# e,f\n", "notes.md"),
        ("<html><body>a,b</body>\n</html>\n", "page.csv"),
        ('10.0.0.1 - - [01/Jan/2026] "GET / HTTP/1.1" 200 5\n' * 5, "access.log"),
        ("x = 1\n", "setup.py"),
    ],
)
def test_prose_is_no_table(text, name):
    """What only holds commas stays text, whatever it is called."""
    found = previewed(text.encode(), name)
    assert (found.kind, found.text) == ("text", text)


@pytest.mark.parametrize(
    ("text", "format_", "rows"),
    [
        ('{"a": 1}\n{"b": "x", "a": 2}\n', "JSON lines", [{"a": 1, "b": None}, {"a": 2, "b": "x"}]),
        ('[{"a": 1}, {"a": null}]', "JSON", [{"a": 1}, {"a": None}]),
        ('{"a": {"b": [1]}}\n{"a": {"b": []}}', "JSON lines", [{"a": {"b": [1]}}, {"a": {"b": []}}]),
        ('{"a": 1}\n{"a": "x"}\n', "JSON lines", [{"a": "1"}, {"a": '"x"'}]),
        ('{"a": 99999999999999999999}\n{"a": 1}\n', "JSON lines", [{"a": Decimal(99999999999999999999)}, {"a": 1}]),
        ('{"a": 1.50}\n{"a": "x"}\n', "JSON lines", [{"a": "1.50"}, {"a": '"x"'}]),
        ('{"a": 1e400}\n{"a": {"b": [1.50, "x"]}}\n', "JSON lines", [{"a": "1e400"}, {"a": '{"b":[1.50,"x"]}'}]),
    ],
)
def test_json_is_a_table(text, format_, rows):
    """Objects become rows with every name that any of them has; values of no one type are their JSON."""
    found = previewed(text.encode())
    assert (found.kind, found.format) == ("table", format_)
    assert pa.Table.from_pandas(found.frame, preserve_index=False).to_pylist() == rows


@pytest.mark.parametrize("text", ['{"a": 1}', "[1, 2, 3]", '{"a":\n {"b": 1}}', "[]"])
def test_one_json_value_is_a_text(text):
    """A single document that is no list of objects is shown as it is."""
    found = previewed(text.encode(), "x.json")
    assert (found.kind, found.format, found.text) == ("text", "JSON", text)


def test_an_object_too_deep_to_read_is_a_text():
    """Brackets without end are text."""
    assert previewed(b'{"a": ' + b"[" * 50_000).kind == "text"


@pytest.mark.parametrize("packed", PACKERS)
def test_a_packed_table_is_opened(packed):
    """Compression is found by the content and named; the table in it is read."""
    found = previewed(PACKERS[packed](TABLE.encode()), "people.csv")
    assert (found.kind, found.format, found.compression) == ("table", "CSV", packed)
    assert rows_of(found) == [(1, "Zoë"), (2, "José")]


def test_packed_streams_one_behind_the_other_are_one():
    """`cat a.gz b.gz` is what gzip makes of both."""
    found = previewed(gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"a": 2}\n'))
    assert found.frame["a"].tolist() == [1, 2]


@pytest.mark.parametrize("packed", PACKERS)
def test_a_bomb_stops_at_the_bound(packed):
    """What unpacks to twenty times the bound is opened no further than the bound."""
    found = previewed(PACKERS[packed](b"bomb,bomb\n" * (2 * MIB)), "b.csv", rows=10_000)
    assert (found.kind, len(found.frame), found.truncated) == ("table", 10_000, True)
    text = previewed(PACKERS[packed](b"x" * (20 * MIB)))
    assert (text.kind, len(text.text), text.truncated) == ("text", MIB, True)


@pytest.mark.parametrize("packed", PACKERS)
def test_damaged_packed_data_are_said_to_be(packed):
    """A stream that ends too early gives what came out of it, with a note, and never an error."""
    lines = b"".join(b'{"n": %d, "x": "%d"}\n' % (number, number * 7919 % 10007) for number in range(6_000))
    found = previewed(PACKERS[packed](lines)[:-300])
    assert found.notes == (f"the {packed} data are damaged or cut",)
    assert found.kind == ("binary" if packed == "bz2" and found.frame is None else "table")


def test_an_empty_packed_text_is_empty():
    """A gzip of nothing holds nothing."""
    found = previewed(gzip.compress(b""))
    assert (found.kind, found.compression) == ("empty", "gzip")


def test_what_is_packed_and_no_text_is_binary():
    """A packed archive is named, and its bytes are those inside."""
    found = previewed(gzip.compress(b"PK\x03\x04" + bytes(100)), "x.gz")
    assert (found.kind, found.format, found.compression) == ("binary", "ZIP", "gzip")
    assert found.hex_dump.startswith("00000000  50 4b 03 04")


def test_no_more_is_read_than_the_rows_need():
    """One block for a hundred rows of a large table, and the last, cut row is not among those shown."""
    body = b"id,text\n" + b"".join(b"%d,%s\n" % (number, b"x" * 40) for number in range(200_000))
    with serving(body) as place:
        assert len(place.preview("t.csv").frame) == 100
        assert place.ranges == ["bytes=0-65535"]
        more = place.preview("t.csv", rows=10_000)
    assert place.served.sent <= MIB + 64 * 1024
    assert len(more.frame) == 10_000
    assert more.frame["text"].str.len().unique().tolist() == [40]


def test_a_cut_last_record_is_dropped():
    """Of rows longer than what is read together, only whole ones are shown."""
    lines = [json.dumps({"n": number, "x": "y" * 100_000}) for number in range(30)]
    found = previewed("\n".join(lines).encode())
    assert found.frame["n"].tolist() == [*range(10)]
    assert found.truncated
    assert found.bytes_read == MIB


def test_an_array_of_json_that_goes_on_is_its_first_rows():
    """One that ends behind what is read, and one that does not end where the object does, which is said."""
    body = json.dumps([{"n": number} for number in range(200_000)]).encode()
    found = previewed(body)
    assert (found.kind, found.format, found.truncated, len(found.frame)) == ("table", "JSON", True, 100)
    assert 190_000 < found.about_rows < 260_000
    cut = previewed(b'[{"id": 1}, {"id": 2},')
    assert cut.frame["id"].tolist() == [1, 2]
    assert cut.notes == ("record 3 is cut off, or is not JSON: neither it nor the rest is read",)


@pytest.mark.parametrize(
    ("text", "kind", "note"),
    [
        ('{"a": 1}\n{"a": 2}\n{"a": 3, "a": 4}\n', "table", "record 3 is not a JSON object, or has a name twice"),
        ('{"a": 3, "a": 4}', "text", ""),
        ('[{"a": 1}]\n[{"a": 2}]\n', "text", ""),
        ('n\tt\n1\t"open\n2\tb\n', "table", "the quote in the last record does not end"),
    ],
)
def test_what_select_refuses_is_said_or_left_a_text(text, kind, note):
    """A name that appears twice, arrays behind each other, a quote that does not end: nothing is lost silently."""
    found = previewed(text.encode(), "x.tsv" if text.startswith("n") else "x.json")
    assert (found.kind, [said[: len(note)] for said in found.notes]) == (kind, [note] if note else [])


def test_a_document_of_json_that_goes_on_is_laid_out_as_far_as_it_is_read():
    """A line for each value, whole or cut."""
    found = previewed(json.dumps({"a": {"b": "x" * 2 * MIB}}).encode())
    assert (found.kind, found.format, found.truncated) == ("text", "JSON", True)
    assert found.layout.startswith('{\n  "a": {\n    "b": "xxx')


def test_documents_of_json_one_behind_the_other_are_laid_out_apart():
    """Each begins a line of its own, a number too."""
    assert previewed(b"[1, 2]\n[3]\n", "x").layout == "[\n  1,\n  2\n]\n[\n  3\n]"
    assert previewed(b'"a"\n1\n2\n', "x.json").layout == '"a"\n1\n2'


def test_rows_beyond_the_most_are_refused_with_a_note():
    """A preview is no download."""
    found = previewed(b"n\n" + b"1\n" * 20_000, "t.csv", rows=15_000)
    assert len(found.frame) == 10_000
    assert found.notes == ("a preview has at most 10,000 rows",)
