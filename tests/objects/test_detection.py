"""What an object is: by what the user says, then by its content where that is certain, then by its name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from itertools import product

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s3conn_magic.errors import QueryError
from s3conn_magic.language.job_values import Content
from s3conn_magic.objects.dialects import Header, header_of, likely_delimiter, records
from s3conn_magic.objects.formats import HEAD, detect

ROWS = [(1, "käse"), (2, "brot, salz")]
TABLES = {
    "CSV": 'a,b\n1,käse\n2,"brot, salz"\n',
    "TSV": "a\tb\n1\tkäse\n2\tbrot, salz\n",
    "CSV (|)": "a|b\n1|käse\n2|brot, salz\n",
    "CSV (;)": "a;b\n1;käse\n2;brot, salz\n",
    "JSON": '[{"a": 1, "b": "käse"}, {"a": 2, "b": "brot, salz"}]\n',
    "JSON lines": '{"a": 1, "b": "käse"}\n{"a": 2, "b": "brot, salz"}\n',
}
DELIMITERS = {"CSV": ",", "TSV": "\t", "CSV (|)": "|", "CSV (;)": ";"}
NAMES = ["x", "x.csv", "x.tsv", "x.tab", "x.psv", "x.json", "x.ndjson", "x.parquet", "x.log", "x.txt", "x.zip", "x.gz"]
NAMES += ["x.csv.gz", "x.json.zst", "folder.csv/part-00000"]
CODECS = {None: bytes, "gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
ENCODINGS = {"utf-8": "utf-8", "utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-16-le": "utf-16-le"}
ENCODINGS |= {"utf-16-be": "utf-16-be"}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_text_is_told_whatever_its_name_codec_and_encoding(table: str):
    """Names that are right, wrong and missing; packed and not; UTF-8 and UTF-16, with marks or without."""
    kind = table.partition(" ")[0]
    for name, codec, encoding in product(NAMES, CODECS, ENCODINGS):
        found = detect(name, CODECS[codec](TABLES[table].encode(encoding)), whole=True)
        told = (found.format.type, found.compression, found.encoding)
        assert told == (kind, codec, ENCODINGS[encoding]), (name, codec, encoding)
        if kind != "JSON":
            assert (found.settings["DELIMITER"], found.settings["HEADER"]) == (DELIMITERS[table], True), name


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), sink)
    return sink.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_binary_formats_are_told_by_their_content(name: str):
    """Whatever they are called."""
    assert detect(name, _parquet(), whole=True).format.type == "PARQUET"
    assert detect(name, b"ORC\x0a\x03\x00\x00\x00", whole=True).format.type == "ORC"


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("x", b"Dear Madam,\nhow are you?\n", "neither the name nor the content"),
        ("x.txt", b"Well, hello there\nYes, it is\n", "neither the name nor the content"),
        (
            "x.log",
            b"2026-01-01 10:00:00,123 INFO one\n2026-01-01 10:00:01,456 INFO two\n",
            "neither the name nor the content",
        ),
        ("x.log", b"[2026-01-01, 10:00:00 UTC] {task.py:1} INFO - one\n" * 3, "neither the name nor the content"),
        ("x", b"[1] starting\n[2] done\n", "neither the name nor the content"),
        ("x.log", b"started, now\nand, then, over\n", "neither the name nor the content"),
        ("x", b"a\n1\n2\n", "neither the name nor the content"),
        ("x", b"a,b\n", "neither the name nor the content"),
        ("x", b"a,b\n1,2\n3\n", "neither the name nor the content"),
        ("x.ini", b"[section]\nkey = 1\n", "neither the name nor the content"),
        ("x", b"[section]\nkey = 1\n", "neither the name nor the content"),
        ("x.py", b"def f(a, b):\n    g(a, b)\n", "neither the name nor the content"),
        ("x.md", b"a,b\n1,2\n", "neither the name nor the content"),
        ("x.yaml", b"a: 1\nb: 2\n", "neither the name nor the content"),
        ("x", bytes(range(256)), "neither the name nor the content"),
        ("x.csv", b"<!DOCTYPE html>\n<html>", "format HTML"),
        ("x", b"<?xml version='1.0'?>\n<a/>", "format XML"),
        ("x.csv", b"PK\x03\x04\x14\x00\x00", "format ZIP"),
        ("x.json", b"%PDF-1.7\n\x00", "format PDF"),
        ("x.parquet.gz", gzip.compress(_parquet()), "packed by gzip"),
    ],
)
def test_what_is_not_certain_is_refused_with_the_way_out(name: str, body: bytes, said: str):
    """Never are lines of a text taken for rows, or its first line for names."""
    with pytest.raises(QueryError, match=said) as caught:
        detect(name, body, whole=True)
    assert "CONTENT_TYPE" in caught.value.hint or "Unpack it" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("x.csv", '{"a": 1},5\n{"a": 2},6\n', "CSV"),  # JSON in a column
        ("x.csv", "{", "CSV"),
        ("x.csv", "[a],b\n1,2\n", "CSV"),
        ("x.csv", "PAR1,PAR2\n1,2\n", "CSV"),
        ("x.csv", "OggS,GIF8\n1,2\n", "CSV"),
        ("x.json", "", "JSON"),
        ("x.json", '"a"\n"b"\n', "JSON"),
        ("x.json", "1\n2\n", "JSON"),
        ("x.json", '[{"id":1},{"id":2},', "JSON"),
        ("x", '[{"id":1},{"id":2},', "JSON"),
        ("x", "[\n  {\n", "JSON"),
        ("x", "[1, 2]\n[2, 3]\n", "JSON"),
        ("x.json", "[2026-01-01] no JSON", "JSON"),
        ("x.csv", "", "CSV"),
        ("x.csv", "hello\n", "CSV"),
        ("x.tsv", "hello\n", "TSV"),
        ("x.log", "2024-01-01 10:00:00,INFO,start\n2024-01-01 10:00:01,INFO,two\n", "CSV"),
    ],
)
def test_names_are_believed_where_the_content_is_not_certain(name: str, body: str, kind: str):
    """And content that is certain needs no name."""
    assert detect(name, body.encode(), whole=True).format.type == kind


def test_a_record_that_is_longer_than_the_beginning_is_told():
    """JSON in one long line or a list that goes on, and a table whose first line does not end."""
    numbers = b"[\n" + b"  12,\n" * HEAD
    assert detect("x", numbers[:HEAD]).format.type == "JSON"
    long = b'{"a": "' + b"x" * HEAD
    assert detect("x.csv", long[:HEAD]).format.type == "JSON"
    assert detect("x.csv", (b"name," * HEAD)[:HEAD]).settings["DELIMITER"] == ","


HEADERS = {
    "numbers below": ("id,name\n1,x\n2,y\n", Header(True, True)),
    "dates below": ("day,name\n2024-01-01,x\n01/02/2024,y\n", Header(True, True)),
    "booleans below": ("ok,name\ntrue,x\nFALSE,y\n", Header(True, True)),
    "nulls below": ("v,name\nNULL,x\n,y\n7,z\n", Header(True, True)),
    "an index of pandas": (",a,b\n0,1,2\n", Header(True, True)),
    "names that recur, over numbers": ("a,a\n1,2\n", Header(True, True)),
    "text only": ("name,city\nann,paris\nbob,rome\n", Header(True, False)),
    "a header only": ("name,city\n", Header(True, False)),
    "a header only, one column": ("name\n", Header(True, False)),
    "one column of numbers": ("v\n1\n2\n", Header(True, True)),
    "nothing": ("", Header(True, True)),
    "one line of data": ("ann,30\n", Header(False, True)),
    "numbers": ("1,2\n3,4\n", Header(False, True)),
    "numbers as names": ("2019,2020\n1,2\n", Header(False, True)),
    "numbers as names beside one": ("country,2019\nFR,2\n", Header(False, True)),
    "a moment": ("2024-01-01 10:00:00,INFO,start\n2024-01-01 10:00:01,INFO,two\n", Header(False, True)),
    "the form of AWS's times": ("2024-01-01T10:00:00.123Z,a\n2024-01-01T10:00:01Z,b\n", Header(False, True)),
    "a null": ("NULL,x\n1,y\n", Header(False, True)),
    "a boolean": ("true,x\nfalse,y\n", Header(False, True)),
    "a UUID": ("a1b2c3d4-1111-2222-3333-444455556666,x\nb,y\n", Header(False, True)),
    "a name that is empty, over text": ("a,\nx,y\n", Header(False, False)),
    "names that recur, over text": ("a,A\nx,y\n", Header(False, False)),
    "a value that recurs": ("paris,ann\nrome,bob\nparis,eve\n", Header(False, False)),
    "mail addresses": ("ann@x.com,a\nbob@x.com,b\n", Header(False, False)),
    "addresses": ("10.0.0.1 x,a\n10.0.0.2 y,b\n", Header(False, False)),
    "no names at all": (",,\n1,2,3\n", Header(False, True)),
    "one line of one number": ("7\n", Header(False, True)),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_is_looked_at_and_not_assumed(case: str):
    """Names that are no data, by the rules of `dialects`."""
    text, header = HEADERS[case]
    assert header_of(records(text, ",", whole=True)) == header


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({"HEADER": True}, {"DELIMITER": ",", "HEADER": True}),
        ({"HEADER": False}, {"DELIMITER": ",", "HEADER": False}),
        ({"HEADER": ("x", "y")}, {"DELIMITER": ",", "HEADER": False, "HEADER_LINE": ("x", "y")}),
        ({"HEADER_LINE": ("x", "y")}, {"DELIMITER": ",", "HEADER": False, "HEADER_LINE": ("x", "y")}),
        ({"DELIMITER": ";"}, {"DELIMITER": ";", "HEADER": True}),
        ({"NULL_VALUE": "a"}, {"DELIMITER": ",", "HEADER": False, "NULL_VALUE": "a"}),
        ({"SKIP_LINES": 1}, {"DELIMITER": ",", "HEADER": False, "SKIP_LINES": 1}),
        ({"COMMENT_PREFIX": "a"}, {"DELIMITER": ",", "HEADER": False, "COMMENT_PREFIX": "a"}),
    ],
)
def test_what_the_user_says_holds_and_the_rest_is_filled_in(given, settings):
    """DELIMITER and HEADER are there in any case."""
    assert detect("x.json", b"a,b\n1,2\n", Content("CSV", given), whole=True).settings == settings


def test_what_was_taken_is_said():
    """No header, or one by its look alone; nothing where it is plain."""
    assert detect("x.csv", b"1,2\n", whole=True).said.startswith("without a header: names are column0, …")
    assert detect("x.csv", b"a,b\nx,y\n", whole=True).said.startswith("with a header, judging by its content")
    assert not detect("x.csv", b"a,b\n1,y\n", whole=True).said


def test_a_type_that_is_given_is_not_looked_for():
    """Whatever the content is."""
    for kind in ("CSV", "TSV", "JSON", "PARQUET", "ORC", "SPLIT_LINES", "REGEX", "FIXED_WIDTH"):
        assert detect("x", b"hello\n", Content(kind, {}), whole=True).format.type == kind


def test_a_compression_that_is_given_is_not_looked_for():
    """NONE has the bytes as they are; what is not packed so is refused."""
    assert detect("x.csv", gzip.compress(b"a\n1\n"), compression="NONE", whole=True).compression is None
    assert detect("x.csv", gzip.compress(b"a\n1\n"), compression="GZIP", whole=True).compression == "gzip"
    with pytest.raises(QueryError, match="the object is not packed by gzip"):
        detect("x.csv", b"a\n1\n", compression="GZIP", whole=True)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n", ";"),
        ("1,5;2,5\n3,1;4,2\n", ";"),
        ("1,2\n3,4\n", ","),
        ("1,a;b\n2,c;d\n", ","),
        ('a\n"x,y"\n', ","),
        ("", ","),
        ("hello\n", ","),
    ],
)
def test_the_delimiter_is_what_the_records_have_evenly(text: str, delimiter: str):
    """A comma between digits may be of a number."""
    assert likely_delimiter(text) == delimiter


def test_what_cannot_be_unpacked_is_damaged_and_not_unknown():
    """Where nothing of it comes out, too."""
    with pytest.raises(QueryError, match=r"the checksum \(CRC\) of its gzip data does not match"):
        detect("x", gzip.compress(b"a,b\n1,2\n")[:-8] + bytes(8), whole=True)
    with pytest.raises(QueryError, match="cut off"):
        detect("x", gzip.compress(b"a,b\n1,2\n")[:-9], whole=True)
