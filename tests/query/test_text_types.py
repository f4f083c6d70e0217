"""Types of text: what each column of values becomes, and that no cast changes a value."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, time
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3conn_magic.objects.dialects import unique_names
from s3conn_magic.query.sql import first_rows, literal
from s3conn_magic.query.text_rows import CsvRows, JsonRows
from s3conn_magic.query.text_types import (
    ISO,
    NULL,
    Evidence,
    Formats,
    cast,
    evidence,
    gathered,
    merged,
    shape_of,
    strict,
    usual_spelling,
)

if TYPE_CHECKING:
    from pathlib import Path

ZONED = "TIMESTAMP WITH TIME ZONE"
TEXT = "VARCHAR"
COLUMNS = [
    (["7", "8"], "BIGINT", [7, 8]),
    (["7", "007"], TEXT, None),
    (["7", "1_000"], TEXT, None),
    (["7", "+5"], TEXT, None),
    (["7", "0x10"], TEXT, None),
    (["7", "1,000"], TEXT, None),
    (["7", ""], TEXT, None),
    (["7", "true"], TEXT, None),
    (["7", "1.5"], "DOUBLE", [7.0, 1.5]),
    ([" 7", "8 "], "BIGINT", [7, 8]),
    (["1.50", ".5", "5."], "DOUBLE", [1.5, 0.5, 5.0]),
    (["-0"], "DOUBLE", [-0.0]),
    (["1", "9007199254740993", "1.5"], "DECIMAL(17,1)", [Decimal(1), Decimal(9007199254740993), Decimal("1.5")]),
    (["9223372036854775808"], "DECIMAL(19,0)", [Decimal(2**63)]),
    (["9" * 38], "DECIMAL(38,0)", [Decimal("9" * 38)]),
    (["9" * 39], TEXT, None),
    (["0.1234567890123456789"], "DECIMAL(20,19)", [Decimal("0.1234567890123456789")]),
    (["0.30000000000000004", "0.1"], "DOUBLE", [0.30000000000000004, 0.1]),
    (["1.7976931348623157e308", "5e-324"], "DOUBLE", [1.7976931348623157e308, 5e-324]),
    (["1e3", "2"], "DOUBLE", [1000.0, 2.0]),
    (["1e400"], TEXT, None),
    (["1e-400"], TEXT, None),
    (["inf", "1"], "DOUBLE", [float("inf"), 1.0]),
    (["inf", "nan"], TEXT, None),
    (["true", "False"], "BOOLEAN", [True, False]),
    (["t", "f"], TEXT, None),
    (["2024-01-31"], "DATE", [date(2024, 1, 31)]),
    (["2024-02-30"], TEXT, None),
    (["01/25/2024", "02/03/2024"], TEXT, None),
    (["2024-01-31", "infinity"], TEXT, None),
    (["2024-01-31", "2024-01-31 10:00:00"], "TIMESTAMP", [datetime(2024, 1, 31), datetime(2024, 1, 31, 10)]),  # noqa: DTZ001
    (["2024-01-31T10:00:00.123456"], "TIMESTAMP", [datetime(2024, 1, 31, 10, 0, 0, 123456)]),  # noqa: DTZ001
    (["2024-01-31T10:00:00.1234567"], TEXT, None),
    (["2024-01-31 24:00:00"], TEXT, None),
    (["2024-01-31T10:00:00Z", "2024-01-31T10:00:00+02:00"], ZONED, None),
    (["2024-01-31T10:00:00Z", "2024-01-31T10:00:00"], TEXT, None),
    (["10:00", "11:22:33.5"], "TIME", [time(10), time(11, 22, 33, 500_000)]),
    ([None, None], NULL, [None, None]),
    ([None, "1"], "BIGINT", [None, 1]),
]
DECLARED = [
    ("1.50", "BIGINT", None),
    ("007", "BIGINT", None),
    ("300", "UTINYINT", None),
    ("1.555", "DECIMAL(8,2)", None),
    ("1.550", "DECIMAL(8,2)", Decimal("1.55")),
    ("0.1", "FLOAT", 0.10000000149011612),
    ("0.123456789", "FLOAT", None),
    ("0.1234567890123456789", "DOUBLE", None),
    ("1", "BOOLEAN", None),
    ("\\xAA", "BLOB", b"\xaa"),
    ('{"a": 1, "b": [1.5]}', "STRUCT(a INTEGER, b DOUBLE[])", {"a": 1, "b": [1.5]}),
    ('{"a": "x"}', "STRUCT(a INTEGER)", None),
    ("[1, 2]", "INTEGER[]", [1, 2]),
    ("{x", "JSON", None),
    ("170141183460469231731687303715884105727", "HUGEINT", 2**127 - 1),
]
PLACES: Any = [
    (['{"c": 7}', '{"c": 1.5}'], {"c": "DOUBLE"}, [(7.0,), (1.5,)]),
    (['{"c": 7}', '{"c": true}'], {"c": "JSON"}, [("7",), ("true",)]),
    (['{"c": 7}', '{"c": "7"}'], {"c": "JSON"}, [("7",), ('"7"',)]),
    (['{"c": "x"}', '{"c": 1}', '{"c": {"b": 1}}'], {"c": "JSON"}, [('"x"',), ("1",), ('{"b":1}',)]),
    (['{"c": "007"}'], {"c": TEXT}, [("007",)]),
    (['{"c": "true"}'], {"c": TEXT}, [("true",)]),
    (['{"c": "2024-01-31"}'], {"c": "DATE"}, [(date(2024, 1, 31),)]),
    (['{"c": []}', '{"c": ["x"]}'], {"c": "VARCHAR[]"}, [([],), (["x"],)]),
    (['{"c": {}}', '{"c": {"b": 1}}'], {"c": 'STRUCT("b" BIGINT)'}, [({"b": None},), ({"b": 1},)]),
    (['{"c": {}}'], {"c": "JSON"}, [("{}",)]),
    (['{"c": [1, "x"]}'], {"c": "JSON"}, [('[1,"x"]',)]),
    (['{"c": [1.50, {"d": 2.0}]}', '{"c": []}'], {"c": "JSON"}, [('[1.50,{"d":2.0}]',), ("[]",)]),
    (['{"c": {"d": 1.50}}', '{"c": {"d": "x"}}'], {"c": "JSON"}, [('{"d":1.50}',), ('{"d":"x"}',)]),
    (
        ['{"c": {"x": 9007199254740993}}', '{"c": {"x": 1.5}}'],
        {"c": "JSON"},
        [('{"x":9007199254740993}',), ('{"x":1.5}',)],
    ),
    (['{"a": 1, "A": 2}'], {"a": "BIGINT", "A_1": "BIGINT"}, [(1, 2)]),
    (['{"": 1, "x/~\\"": 2}'], {"column0": "BIGINT", 'x/~"': "BIGINT"}, [(1, 2)]),
    (['{"a": {"A": 1, "a": 2}}'], {"a": "JSON"}, [('{"A":1,"a":2}',)]),
    ([f'{{"c": {"[" * 500}1.50{"]" * 500}}}'], {"c": "JSON"}, [(f"{'[' * 500}1.50{']' * 500}",)]),
    ([f'{{"c": {chr(123)}"d": {"[" * 90}{"]" * 90}{chr(125)}}}'], {"c": "JSON"}, [(f'{{"d":{"[" * 90}{"]" * 90}}}',)]),
    (["3", "[4]"], {"json": "JSON"}, [("3",), ("[4]",)]),
    (['{"a": 1}', '{"b": 2}'], {"a": "BIGINT", "b": "BIGINT"}, [(1, None), (None, 2)]),
    (['{"a": 12345678901234567890123}'], {"a": "DECIMAL(23,0)"}, [(Decimal(12345678901234567890123),)]),
    (['{"a": "x: 0.1234567890123456789"}'], {"a": TEXT}, [("x: 0.1234567890123456789",)]),
]


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    """A database of its own."""
    return duckdb.connect()


def typed(
    database: duckdb.DuckDBPyConnection, values: list[str | None], formats: Formats = ISO
) -> tuple[str, list[Any]]:
    """The type of a column of values, and what they become."""
    database.execute("CREATE OR REPLACE TEMP TABLE v AS SELECT unnest(?::VARCHAR[]) AS s", [values])
    counts = database.execute(evidence(["s"], "v", formats)).fetchall()
    kind = gathered(counts, ["s"])["s"].type()
    return kind, [value for (value,) in database.execute(f"SELECT {strict('s', kind, 's', formats)} FROM v").fetchall()]


@pytest.mark.parametrize(("values", "kind", "become"), COLUMNS)
def test_a_column_has_the_type_that_holds_every_value(database, values, kind, become):
    """What prints back as the same value is typed; what does not stays as it is written."""
    found, made = typed(database, values)
    assert found == kind
    if kind != ZONED:
        assert made == (values if become is None else become)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.text("0123456789+-.eE_ :TZ/", max_size=24), st.floats().map(repr)), min_size=1, max_size=6)
)
def test_no_value_is_lost_whatever_the_text(values):
    """Text stays as it is; a number is the number that Python reads, exactly where it has no exponent."""
    kind, made = typed(duckdb.connect(), values)
    for text, value in zip(values, made, strict=True):
        if kind == TEXT:
            assert value == text
        elif kind.startswith("DECIMAL") or kind == "BIGINT":
            assert Decimal(value) == Decimal(text)
        elif kind == "DOUBLE":
            assert value == float(text) or value != value  # noqa: PLR0124 - NaN


@pytest.mark.parametrize("quick", ["range(3)", "(SELECT error('no room') AS range FROM range(9))", "range(100, 200)"])
def test_the_first_rows_come_from_the_source_where_the_quick_way_fails_or_has_fewer(database, quick: str):
    """DuckDB fails at a long line of CSV, or passes over it, if it has little room."""
    with first_rows(database, quick, "range(40)", 20) as name:
        first = [number for (number,) in database.sql(f"FROM {name}").fetchall()]
    assert sorted(first) == [*(range(100, 120) if "200" in quick else range(20))]


def test_a_usual_spelling_of_a_double_is_exact(database):
    """Whatever stands beside each other, what is taken at the first look is the number that Python reads exactly."""
    parts = ["", "-", "+", "0", "00", "1", ".", "_", "e-3", "E5", "e-400", "e400", "400", "0x1", "inf", "nan", " ", "/"]
    texts = sorted({"".join(some) for some in product(parts, repeat=3)})
    made = "SELECT s, TRY_CAST(s AS DOUBLE) AS v FROM (SELECT unnest(?::VARCHAR[]) AS s)"
    taken = database.execute(f"FROM ({made}) WHERE {usual_spelling('s', 'DOUBLE', 'v')}", [texts]).fetchall()
    assert {"0", "0.0", "1.00", "-1", ".1", "1e-3"} <= {text for text, _ in taken}
    for text, value in taken:
        assert float(Decimal(text.strip())) == value
        assert not re.match(r"-?0[0-9]", text)


LAX = [
    ('"7"', "BIGINT"),
    ("7.5", "BIGINT"),
    ("7.0", "BIGINT"),
    ("true", "BIGINT"),
    ('" 7"', "BIGINT"),
    ("1", "BOOLEAN"),
    ('"true"', "BOOLEAN"),
    ("7", "VARCHAR"),
    ("true", "VARCHAR"),
    ('{"x":1}', "VARCHAR"),
    ('["7",7.5]', ["BIGINT"]),
    ('{"x":1,"y":2}', {"x": "BIGINT"}),
    ('{"x":1,"x":2}', {"x": "BIGINT"}),
    ("[9007199254740993]", ["DOUBLE"]),
]


@pytest.mark.parametrize(("value", "kind"), LAX)
def test_what_json_transform_would_change_does_not_print_back(database, value, kind):
    """It casts strings, rounds, and passes over fields; a record that it was lax about is looked at value by value."""
    record, structure = f'{{"c":{value}}}', json.dumps({"c": kind})
    query = f"SELECT to_json(json_transform(?::JSON, '{structure}'))::VARCHAR"
    ((back,),) = database.execute(query, [record]).fetchall()
    assert back not in {record, '{"c":null}'}


def test_evidence_of_objects_adds_up():
    """A type holds the values of all objects, in whatever order they come."""
    one, two, three = (Evidence(small=1), Evidence(plain=1, whole=1, scale=1), Evidence())
    assert one.joined(two).joined(three).type() == three.joined(two).joined(one).type() == "DOUBLE"
    assert one.joined(Evidence(texts=1)).type() == TEXT


@pytest.mark.parametrize(("text", "kind", "value"), DECLARED)
def test_a_declared_type_takes_what_it_holds_exactly(database, text, kind, value):
    """All else is an error that names the column, its type and what the record has, and not the value."""
    database.execute("CREATE OR REPLACE TEMP TABLE v AS SELECT ?::VARCHAR AS s", [text])
    query = f"SELECT {strict('s', kind, 'amount')} FROM v"
    if value is not None:
        assert database.execute(query).fetchall() == [(value,)]
        return
    with pytest.raises(duckdb.InvalidInputException, match=f"the column amount is {kind.split('(')[0]}") as failed:
        database.execute(query).fetchall()
    assert "a record has" in str(failed.value)
    assert text not in str(failed.value).partition("a record has")[2]


def test_formats_of_dates_and_times(database):
    """DATE_FORMAT and TIMESTAMP_FORMAT read what ISO 8601 does not, one way for all values."""
    formats = Formats("%d/%m/%Y", "%d/%m/%Y %H:%M")
    assert typed(database, ["31/12/2024", "1/2/2024"], formats) == ("DATE", [date(2024, 12, 31), date(2024, 2, 1)])
    assert typed(database, ["31/12/2024 10:00"], formats) == ("TIMESTAMP", [datetime(2024, 12, 31, 10)])  # noqa: DTZ001
    assert typed(database, ["12/31/2024"], formats)[0] == TEXT


@pytest.mark.parametrize(("records", "types", "become"), PLACES)
def test_fields_of_json_have_types_that_hold_every_value(database, tmp_path: Path, records, types, become):
    """Kinds that differ stay JSON, as they are written; what is empty fits all."""
    file = tmp_path / "x.json"
    file.write_text("\n".join(records), encoding="utf-8")
    rows = JsonRows(f"read_json_objects('{file}')")
    known = rows.learn(database, whole=True)
    assert rows.types(known) == types
    assert database.execute(rows.select(known, rows.types(known))).fetchall() == become


@pytest.mark.parametrize(
    ("first", "later", "said"),
    [
        ('{"a": 1}', '{"a": 1.5}', "the column a is BIGINT, and a record has a number"),
        ('{"a": 1}', '{"a": true}', "the column a is BIGINT, and a record has a truth value"),
        ('{"a": 1}', '{"a": "1"}', "the column a is BIGINT, and a record has a number"),
        ('{"a": "2024-01-31"}', '{"a": "soon"}', "the column a is DATE, and a record has text"),
        ('{"a": {"x": 1}}', '{"a": {"x": "1"}}', "and a record has an object"),
        ('{"a": [1]}', '{"a": [1.5]}', "and a record has a list"),
        ('{"a": 1}', '{"a": 1, "b": 2}', "a record has other fields than those before"),
        ('{"a": 1}', "[1]", "a record has no fields"),
        ('{"a": 1.5}', '{"a": 0.1234567890123456789}', "the column a is DOUBLE, and a record has a number"),
    ],
)
def test_what_the_first_records_do_not_show_is_an_error(database, tmp_path: Path, first, later, said):
    """The types of the first records are never forced on the others, with spaces and without; `misfit` finds it."""
    file = tmp_path / "x.json"
    for space in (" ", ""):
        start, end = (record.replace(": ", f":{space}").replace(", ", f",{space}") for record in (first, later))
        file.write_text(f"{start}\n" * 3, encoding="utf-8")
        rows = JsonRows(f"read_json_objects('{file}')")
        known = rows.learn(database, whole=True)
        file.write_text(f"{start}\n" * 3 + end, encoding="utf-8")
        with pytest.raises(duckdb.InvalidInputException, match=said):
            database.execute(rows.select(known, rows.types(known))).fetchall()
        assert rows.misfit(database, known, rows.types(known)).record == 4


LONG = "0." + "1234567890" * 3
WRITTEN = [
    (['{"a": 1.50}', '{"a": 2e0}'], "VARCHAR", ["1.50", "2e0"]),
    (['{"a": {"b": 1.50, "c": [-1E+2, "1.50"]}}'], "VARCHAR", ['{"b":1.50,"c":[-1E+2,"1.50"]}']),
    (['{"a": "x \\" 1.50"}', '{"a": 1.50}', '{"a": true}'], "VARCHAR", ['x " 1.50', "1.50", "true"]),
    (['{"a": "1.50"}', '{"a": 1.50}'], None, ['"1.50"', "1.50"]),
    (['{"a": 123456789012345678.5}', '{"a": 1}'], None, [Decimal("123456789012345678.5"), Decimal(1)]),
    ([f'{{"a": {LONG}}}', '{"a": -1.5}'], None, [Decimal(LONG), Decimal("-1.5")]),
    ([f'{{"a": {"9" * 38}}}'], None, [Decimal("9" * 38)]),
    ([f'{{"a": {"9" * 39}}}'], None, ["9" * 39]),
    ([f'{{"a": {LONG}{LONG[2:]}}}'], None, [LONG + LONG[2:]]),
    (['{"a": 123456789012345678901e3}'], None, ["123456789012345678901e3"]),
    ([f'{{"a": {{"b": [{LONG}, 1.50]}}}}'], None, [f'{{"b":[{LONG},1.50]}}']),
    (['{"a": {"b": 1}}', f'{{"a": {{"b": {"9" * 25}}}}}'], None, ['{"b":1}', f'{{"b":{"9" * 25}}}']),
    ([f'{{"a": {LONG}}}'], "DECIMAL(38,30)", [Decimal(LONG)]),
    ([f'{{"a": [1, {"9" * 38}]}}'], "HUGEINT[]", [[1, 10**38 - 1]]),
]


@pytest.mark.parametrize(("records", "kind", "values"), WRITTEN)
def test_numbers_of_json_keep_every_digit(database, tmp_path: Path, records, kind, values):
    """As decimals, or in text and JSON as they are written, at any depth; beside them is another column, as ever."""
    file = tmp_path / "x.json"
    file.write_text("\n".join(f'{record[:-1]}, "n": 1.50}}' for record in records), encoding="utf-8")
    rows = JsonRows(f"read_json_objects('{file}')")
    known = rows.learn(database, whole=True)
    types = rows.types(known) | ({"a": kind} if kind else {})
    assert database.execute(rows.select(known, types)).fetchall() == [(value, 1.5) for value in values]


@pytest.mark.parametrize(
    ("kind", "holds"), [("DECIMAL(38,30)[]", True), ("DOUBLE[]", False), ("DECIMAL(8,4)[]", False)]
)
def test_long_decimals_within_a_declared_type_are_exact_or_refused(database, tmp_path: Path, kind: str, holds: bool):
    """DuckDB's own cast would round them."""
    file = tmp_path / "x.json"
    file.write_text(f'{{"a": [{LONG}], "n": 1.50}}', encoding="utf-8")
    rows = JsonRows(f"read_json_objects('{file}')")
    known = rows.learn(database, whole=True)
    query = rows.select(known, rows.types(known) | {"a": kind})
    if holds:
        assert database.execute(query).fetchall() == [([Decimal(LONG)], 1.5)]
        return
    with pytest.raises(duckdb.InvalidInputException, match="and a record has a list"):
        database.execute(query).fetchall()


def test_a_string_that_looks_like_the_mark_of_a_number_is_kept_or_refused(database, tmp_path: Path):
    """It is never taken for a number."""
    file = tmp_path / "x.json"
    text = '{"a": "\\u0001#1.5", "n": 1}'
    for line, said in [(text, ""), (text.replace("1}", "1.50}"), "a control character that marks numbers here")]:
        file.write_text(line, encoding="utf-8")
        rows = JsonRows(f"read_json_objects('{file}')")
        known = rows.learn(database, whole=True)
        if said:
            with pytest.raises(duckdb.InvalidInputException, match=said):
                database.execute(rows.select(known, rows.types(known))).fetchall()
        else:
            assert database.execute(rows.select(known, rows.types(known))).fetchall() == [("\x01#1.5", 1)]


def test_a_field_that_stands_twice_is_refused(database, tmp_path: Path):
    """None of both values is taken for the other."""
    file = tmp_path / "x.json"
    file.write_text('{"a": 1, "a": 2}', encoding="utf-8")
    rows = JsonRows(f"read_json_objects('{file}')")
    known = rows.learn(database, whole=True)
    with pytest.raises(duckdb.InvalidInputException, match="or one twice"):
        database.execute(rows.select(known, rows.types(known))).fetchall()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b", "c d"]),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-(2**70), 2**70)
                | st.text(max_size=5)
                | st.sampled_from([1.5, 0.1]),
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2)
                ),
                max_leaves=5,
            ),
            min_size=1,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_json_comes_back_as_it_was(tmp_path_factory, records):
    """Written by Python, read and written as JSON again, every value is there; fields that were not are null."""
    file = tmp_path_factory.mktemp("json") / "x.json"
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    database, rows = duckdb.connect(), JsonRows(f"read_json_objects('{file}')")
    known = rows.learn(database, whole=True)
    found = database.execute(f"SELECT to_json(r)::VARCHAR FROM ({rows.select(known, rows.types(known))}) r").fetchall()
    for record, (text,) in zip(records, found, strict=True):
        assert _without_nulls(json.loads(text)) == _without_nulls(record)


SPELLINGS = (
    '{"i":1,"d":1.5,"t":"é: a, b","m":"2024-01-31 10:00:00","n":{"x":[1,2]},"f":true}',
    '{"i": 1, "d": 1.5, "t": "é: a, b", "m": "2024-01-31 10:00:00", "n": {"x": [1, 2]}, "f": true}',
    '{ "i":1,"d":1.50,"t":"\\u00e9: a, b","m":"2024-01-31T10:00:00","n":{"x":[1,2]},"f":true }',
    '{"f":true,"n":{"x":[1,2]},"m":"2024-01-31 10:00:00","t":"é: a, b","d":15e-1,"i":1}',
)
EMPTY = ('{"i":null,"d":null,"t":null,"m":null,"n":null,"f":null}', '{"i": null}', '{"f":null}')
PARTS = ('{"i":2,"d":2,"t":""}', '{"i": 2, "d": 2.0, "t": "", "n": {}}', '{"t":"","d":2,"i":2}')
MOMENT = datetime(2024, 1, 31, 10)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("records", "become"),
    [
        (SPELLINGS, {(1, 1.5, "é: a, b", MOMENT, "[1, 2]", True)}),
        (EMPTY, {(None, None, None, None, None, None)}),
        (PARTS, {(2, 2.0, "", None, None, None)}),
    ],
)
def test_how_a_record_is_spelt_changes_nothing(database, tmp_path: Path, records, become):
    """Spaces, escapes, the order of fields, zeros, exponents and fields left out: the values are the same."""
    file = tmp_path / "x.json"
    file.write_text("\n".join([*SPELLINGS, *records]), encoding="utf-8")
    rows = JsonRows(f"read_json_objects('{file}')")
    known = rows.learn(database, whole=True)
    found = database.execute(f"SELECT i, d, t, m, n.x::VARCHAR, f FROM ({rows.select(known, rows.types(known))})")
    assert set(found.fetchall()[len(SPELLINGS) :]) == become


@pytest.mark.parametrize("record", ['{"a,b":7}', '{"a, b":7,"a,b":7}', '{"a, b": "7"}', '{"a, b": 7.0}', '{"A, b": 7}'])
def test_spaces_that_are_passed_over_hide_no_other_field(database, tmp_path: Path, record):
    """A name, or a kind of value, that differs from that of the other records is an error, however it is spaced."""
    file = tmp_path / "x.json"
    file.write_text('{"a, b": 7}', encoding="utf-8")
    rows = JsonRows(f"read_json_objects('{file}')")
    known = rows.learn(database, whole=True)
    file.write_text(record, encoding="utf-8")
    with pytest.raises(duckdb.InvalidInputException, match="a record has"):
        database.execute(rows.select(known, rows.types(known))).fetchall()


def _without_nulls(value: Any) -> Any:
    """A value without fields that are null, or become so when they are left out: times keep their text."""
    if isinstance(value, dict):
        return {name: each for name, one in value.items() if (each := _without_nulls(one)) not in (None, {})}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def test_shapes_are_merged_without_loss():
    """An empty object fits an object; what differs in kind is JSON for good."""
    assert merged(merged("VARCHAR", "BIGINT"), {"a": "BIGINT"}) == "JSON"
    assert merged(shape_of('"JSON"'), {"a": "BIGINT"}) == {"a": "BIGINT"}
    assert merged(shape_of('["JSON"]'), [{"a": "BIGINT"}]) == ["JSON"]
    assert merged({"a": "NULL"}, {"b": ["NULL"]}) == {"a": "NULL", "b": ["NULL"]}


def test_a_record_of_csv_that_does_not_fit_is_found(database, tmp_path: Path):
    """Its number, the column, its type, and what it has in words."""
    file = tmp_path / "x.csv"
    file.write_text("a,b\n1,x\n2,y\n1.5,z\n", encoding="utf-8")
    columns = "{'a': 'VARCHAR', 'b': 'VARCHAR'}"
    rows = CsvRows(f"read_csv('{file}', auto_detect = false, header = true, columns = {columns})", ("a", "b"))
    assert rows.misfit(database, rows.learn(database, whole=True), {"a": "BIGINT", "b": TEXT}) == (
        3,
        "a",
        "BIGINT",
        "a number",
    )


def test_names_of_columns_differ_without_case():
    """What is empty or there already gets a number."""
    assert unique_names(["a", "A", "", "a_1", "a"]) == ["a", "A_1", "column2", "a_1_1", "a_2"]


def test_the_values_of_all_columns_are_judged_by_one_expression():
    """Of a hundred columns the query of the evidence is no longer than of one, but for their names."""
    names = [f"c{number}" for number in range(100)]
    assert len(evidence(names, "v")) == len(evidence(["c"], "v")) + len(", ".join(names)) - 1 + len("100") - 1


NUMBERS_OF_JSON = [
    (["0.8444218515250481", "2.5"], "DOUBLE"),
    (["5.551115123125783e-17", "0.30000000000000004"], "DOUBLE"),
    (["1.1234567890123456", "2.5"], "DECIMAL(17,16)"),
    (["12345678901234567.5", "2"], "DECIMAL(18,1)"),
    (["0.1234567890123456789", "1"], "DECIMAL(20,19)"),
    (["1.1234567890123456", "1e300"], "JSON"),
]


@pytest.mark.parametrize(("numbers", "kind"), NUMBERS_OF_JSON)
def test_numbers_of_json_are_doubles_where_each_prints_back(database, tmp_path, numbers, kind):
    """What a double is written as stays one, of whatever many digits; what no double holds is exact in another type."""
    (tmp_path / "rows.json").write_text("\n".join(f'{{"a": {number}, "b": {{"c": {number}}}}}' for number in numbers))
    rows = JsonRows(f"read_json_objects({literal(str(tmp_path / 'rows.json'))})")
    known = rows.learn(database, None, whole=True)
    types = rows.types(known)
    assert types["a"] == kind
    assert types["b"] == ('STRUCT("c" DOUBLE)' if kind == "DOUBLE" else "JSON")
    values = [row[0] for row in database.execute(f"SELECT a::VARCHAR FROM ({rows.select(known, types)})").fetchall()]
    assert [Decimal(value) for value in values] == [Decimal(number) for number in numbers]


def test_a_double_as_javascript_writes_it_is_exact():
    """Small ones without an exponent, and exponents without zeros in front; a digit that would be lost is not."""
    exact = {"0.0000997788185410981", "9.338315158455877e-7", "-0.000012", "0.05000", "5e-7"}
    others = {"00.00005", "0.0_5", "0.000012345678901234567890", "9.0071992547409931e15", "1.5e-400"}
    query = f"SELECT text FROM (SELECT unnest(?) AS text) WHERE {cast('text', 'DOUBLE').exact}"
    assert {text for (text,) in duckdb.execute(query, [[*exact, *others]]).fetchall()} == exact
