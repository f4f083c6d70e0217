"""Text that is written plainly: what Arrow reads of it are the rows that DuckDB makes of it, or DuckDB is asked."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from corpora import some
from hypothesis import given, settings
from hypothesis import strategies as st

from s3conn_magic.errors import S3ConnError
from s3conn_magic.objects.formats import detect
from s3conn_magic.objects.scope import QueryScope
from s3conn_magic.query.failures import MARK
from s3conn_magic.query.line_rows import FILE, json_lines
from s3conn_magic.query.plain_rows import NOT_PLAIN, plain_rows
from s3conn_magic.query.text_rows import text_rows_of

GIVEN_UP = "given up"
REFUSED = "refused"


@pytest.fixture(scope="module")
def database() -> Any:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def both(
    database: duckdb.DuckDBPyConnection, path: Path, text: bytes, step: int = 1 << 20, **types: str
) -> tuple[Any, Any]:
    """The rows as Arrow and as DuckDB read them; or that they are refused, or given up."""
    path.write_bytes(text)
    detected = detect(path.name, text, whole=True)
    rows: Any = text_rows_of(str(path), detected)
    known = rows.learn(database, whole=not types)
    kinds = rows.types(known) | types
    plain = plain_rows(rows, known, kinds, detected)
    if plain is None:
        return GIVEN_UP, _rows(database, rows.select(known, kinds))
    database.register("plain", plain.reread(lambda: io.BytesIO(text), QueryScope(), step))
    return _rows(database, plain.select("plain")), _rows(database, rows.select(known, kinds))


def _rows(database: duckdb.DuckDBPyConnection, query: str) -> Any:
    try:
        relation = database.sql(query)
        return [*map(str, relation.types)], repr(relation.fetchall())
    except duckdb.Error as error:
        return GIVEN_UP if NOT_PLAIN in str(error) else REFUSED if MARK in str(error) else str(error)


PLAIN = {
    "numbers": b"n,x\n1,0.5\n-20,-1000.25\n9223372036854775807,512.3199999999999\n,\n",
    "moments": b"d,t\n2024-02-29,2024-01-01 10:00:00\n9999-12-31,2024-01-01T10:00:00.25\n",
    "truth": b"a,b\ntrue,x\nfalse,y\n",
    "quotes": b'a,b\n1,"x,y"\n2,"say ""so"""\n3,"two\nlines"\n4,""\n5,\n',
    "crlf": b"a,b\r\n1,x\r\n2,y\r\n",
    "a byte order mark": b"\xef\xbb\xbfa,b\n1,x\n",
    "no line end": b"a,b\n1,x\n2,y",
    "no header": b"1,x\n2,y\n",
    "logs": b"version account-id interface-id srcaddr dstaddr srcport action\n2 123456789012 eni-1 - 1.2.3.4 80 -\n",
    "json": b'{"n":1,"s":"x","f":0.5,"b":true}\n{"n":-2,"s":"\xc3\xa9, y: z","f":-1.25,"b":false}\n',
    "spaces": b'{"n": 1, "s": "x"}\n{"n": 2, "s": "y"}\n',
    "strings at the end": b'{"s": "x", "d": "2024-01-01", "t": "2024-01-01 10:00:00"}\n',
    "null": b'{"n":1,"m":null}\n{"n":null,"m":2}\n',
    "escapes": b'{"s":"a\\nb \\u00e9"}\n{"s":"c"}\n',
    "other orders": b'{"a":1,"b":"x"}\n{"b":"y","a":2}\n{"a":3}\n',
}


@pytest.mark.parametrize("step", [5, 1 << 20])
@pytest.mark.parametrize("name", PLAIN)
def test_what_is_written_plainly_is_not_given_up(database, tmp_path: Path, name: str, step: int):
    """Arrow's rows are DuckDB's, in value and type, wherever a text is cut into pieces."""
    arrow, own = both(database, tmp_path / ("x.json" if b"{" in PLAIN[name] else "x.csv"), PLAIN[name], step)
    assert arrow == own
    assert arrow not in (GIVEN_UP, REFUSED)


DOUBTFUL = {
    "text behind a quote": b'a,b\n1,"x"y\n',
    "a blank behind a quote": b'a,b\n1,"x" \n',
    "a quote within": b'a,b\n1,x"y"\n',
    "an open quote": b'a,b\n1,"x\n',
    "an empty line": b"a,b\n1,x\n\n2,y\n",
    "carriage returns": b"a,b\r1,x\r2,y\r",
    "mixed line ends": b"a,b\r\n1,x\n2,y\r\n",
    "too few fields": b"a,b\n1\n",
    "too many fields": b"a,b\n1,2,3\n",
    "a NUL": b"a,b\n1,x\0y\n",
    "an array": b'[{"a":1},{"a":2}]',
    "records over lines": b'{\n"a":1}\n{\n"a":2}\n',
    "two records a line": b'{"a":1}{"a":2}\n{"a":3}\n',
    "nested": b'{"a":{"b":1}}\n{"a":{"b":2}}\n',
    "bytes that are not UTF-8": b"a,b\n1,\xe9\n",
    "strings that are not UTF-8": b'{"a":"x"}\n{"a":"\xe9"}\n',
    "a cut record": b'{"a":1}\n{"a":\n',
    "lines of JSON with carriage returns": b'{"a":1}\r\n{"a":2}\r\n',
    "a carriage return in place of a line end": b'{"a":1,"b":2}\r{"a":2,"b":3}\n',
    "a control character in a string": b'{"a":"x\x01","b":"y"}\n',
    "an empty line of JSON": b'{"a":1,"b":2}\n\n{"a":2,"b":3}\n',
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_two_parsers_may_read_differently_is_left_to_one(database, tmp_path: Path, name: str):
    """DuckDB reads it, or refuses it."""
    text = DOUBTFUL[name]
    try:
        arrow, _ = both(database, tmp_path / ("x.json" if b'"a":' in text else "x.csv"), text)
    except (S3ConnError, duckdb.Error):  # before anything is asked of either
        return
    assert arrow == GIVEN_UP


@pytest.mark.parametrize("step", [8, 1 << 20])
def test_a_byte_order_mark_within_is_text(database, tmp_path: Path, step: int):
    """Arrow would leave it out at the beginning of a piece."""
    arrow, own = both(database, tmp_path / "x.csv", b"a,b\nx,yy\n\xef\xbb\xbfx,yy\n", step)
    assert arrow in (own, GIVEN_UP)
    assert "\\ufeff" in ascii(own)


def test_pieces_are_put_together_to_parts_of_a_table(tmp_path: Path, database):
    """A batch has as many rows as a part of DuckDB's tables, which would write smaller ones twice; all rows come."""
    text = b"n\n" + b"".join(b"%d\n" % at for at in range(300_000))
    detected = detect("x.csv", text[:1000])
    (tmp_path / "x.csv").write_bytes(text)
    rows: Any = text_rows_of(str(tmp_path / "x.csv"), detected)
    plain = plain_rows(rows, rows.learn(database, whole=False), {"n": "BIGINT"}, detected)
    assert plain is not None
    stream = pa.RecordBatchReader.from_stream(plain.reread(lambda: io.BytesIO(text), QueryScope(), 400_000))
    batches = list(stream)
    assert [batch.num_rows >= 122_880 for batch in batches] == [True, True]
    assert pa.Table.from_batches(batches).column("n").to_pylist() == [*range(300_000)]


NUMBERS = [
    *("0", "-0", "00", "007", "-01", "+5", "1_000", "1.50", "5.", ".5", "-.5", "1e3", "1e400", "nan", "inf", "0x1F"),
    *("9223372036854775808", "0.1234567890123456", "9007199254740993", "1,5", "TRUE", "True", "t", "1"),
]
MOMENTS = [
    "2024-1-1",
    *("2024/01/01", "0000-01-01", "2024-02-30", " 020-01-01", "2020-01-1 ", "2024-01-01 24:00:00", "2024-01-01 10"),
    *("2024-01-01 10:00:60", "2024-01-01 10:00:00.1234567", "2024-01-01T10:00:00Z", "12:00"),
    *("0000-01-01 00:00:00", "2024-01-01 10:00:00."),
]
OTHERS = [" 1", "", "null", "-", "a", "\u00e9", "300", "-1", "1" * 40]
USUAL = {
    "BIGINT": "7",
    "UTINYINT": "7",
    "DOUBLE": "0.5",
    "BOOLEAN": "true",
    "DATE": "2024-01-01",
    "TIMESTAMP": "2024-01-01 10:00:00",
    "VARCHAR": "x",
    "DECIMAL(20,5)": "1.5",
    "TIME": "10:00:00",
}


@pytest.mark.parametrize("kind", USUAL)
def test_no_value_is_taken_for_another(database, tmp_path: Path, kind: str):
    """Of each value among usual ones Arrow makes what DuckDB's exact cast makes, or it is refused."""
    own_kind = MOMENTS if kind in {"DATE", "TIMESTAMP", "TIME"} else NUMBERS
    foreign = NUMBERS if own_kind is MOMENTS else MOMENTS
    for value in [*own_kind, *OTHERS, *some(foreign, 4)]:
        quoted = f'"{value}"' if "," in value or not value else value
        arrow, own = both(
            database, tmp_path / "x.csv", f"a,b\n{USUAL[kind]},x\n{quoted},y\n".encode(), a=kind, b="VARCHAR"
        )
        assert arrow == own, value
        if kind not in {"BIGINT", "DOUBLE", "TIMESTAMP", "VARCHAR"}:  # one of each way to prove a column
            continue
        line = json.dumps({"a": value, "b": "y"}, ensure_ascii=False)
        text = f'{{"a": "{USUAL[kind]}", "b": "x"}}\n{line}\n'
        arrow, own = both(database, tmp_path / "x.json", text.encode(), a=kind, b="VARCHAR")
        assert arrow == own, value


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(), st.floats(allow_nan=False), st.text(), st.booleans() | st.none()), min_size=1))
def test_any_records_come_back_the_same(tmp_path_factory, database, records):
    """Whatever is in records of JSON, both ways give the same rows or refuse them."""
    lines = [json.dumps(dict(zip("abcd", record, strict=True)), ensure_ascii=False) for record in records]
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    try:
        arrow, own = both(database, tmp_path_factory.mktemp("rows") / "x.json", text, 40)
    except (S3ConnError, duckdb.Error):
        return
    assert arrow in (own, GIVEN_UP)


_RECORDS = st.sampled_from(
    [
        b'{"a":1}', b'{"a": "x, y"}', b'{"a":{"b":[1,2]}}', b'{"s":"\xc3\xa9"}', b'{"s":"}\\n{"}', b"{}",
        b'{"a":1} ', b" {}",
        b'{"a":1}{"a":2}', b'{"a":1} {"a":2}', b'{"a":\n1}', b'{"a":"x}\n{y"}', b'[{"a":1},{"a":2}]', b"1", b"", b"\r",
        b'{"a":1', b'{"a":"\xff"}', b"\xef\xbb\xbf{}", b'{"a":1,}', b'{"a":NaN}', b"{a}", b"{\x00}",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.lists(_RECORDS, max_size=4), st.booleans()), min_size=1, max_size=3))
def test_lines_of_many_objects_are_the_records_of_each(database, tmp_path_factory, objects):
    """Objects of JSON that are read as one text have the records that DuckDB reads of each, or DuckDB is asked."""
    folder = tmp_path_factory.mktemp("lines")
    named = {}
    for number, (records, ends) in enumerate(objects):
        named[str(folder / f"{number}.json")] = b"\n".join(records) + b"\n" * ends
    for name, text in named.items():
        Path(name).write_bytes(text)
    lines = json_lines(database, named.items())
    if lines is None:
        return
    for name in named:
        query = "SELECT json::VARCHAR FROM read_json_objects(?, format = 'auto')"
        by_duckdb = [record for (record,) in database.execute(query, [name]).fetchall()]
        ours = [row["json"] for row in lines.to_pylist() if row[FILE] == name]
        assert ours == by_duckdb


def test_lines_of_many_objects_that_are_plain_are_read_as_one(database):
    """Records on a line each are taken, whether or not the last line ends; an empty object has none."""
    lines = json_lines(database, [("a", b'{"n":1}\n{"n":2}\n'), ("b", b""), ("c", b'{"n":3}')])
    assert lines is not None
    assert [*lines.to_pydict().values()] == [['{"n":1}', '{"n":2}', '{"n":3}'], ["a", "a", "c"]]
