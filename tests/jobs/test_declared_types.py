"""A declared column and what is loaded into it: each value stays what it was, by Python's decimals, or is refused."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from lakes import rows_of

from s3conn_magic.errors import QueryError
from s3conn_magic.jobs.target_table import TargetTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakes import Lake

# Type → values at the ends of what it holds, and small ones.
VALUES = {
    **{
        f"{'U' if low == 0 else ''}{name}": (str(low), "1", str(high))
        for name, bits in {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}.items()
        for low, high in [(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1), (0, 2**bits - 1)]
    },
    "DECIMAL(4,1)": ("1.5", "-999.9"),
    "DECIMAL(8,4)": ("1.2345", "-9999.9999"),
    "DECIMAL(18,3)": ("1.125", "999999999999999.999"),
    "DECIMAL(38,0)": ("1", "99999999999999999999999999999999999999"),
    "DECIMAL(38,2)": ("1.25", "999999999999999999999999999999999999.99"),
    "DECIMAL(38,20)": ("1.00000000000000000001", "-2"),
    "FLOAT": ("0.5", "16777216"),
    "DOUBLE": ("0.1", "1.5", "1e300", "9007199254740992"),
}
FLOATING = ("FLOAT", "DOUBLE")


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def _loaded(
    database: duckdb.DuckDBPyConnection, declared: str, before: str, incoming: str, value: str
) -> tuple[str, list[Any]] | None:
    """The type of the column and its values; None where the second one was refused."""
    database.execute(f"CREATE OR REPLACE TABLE t AS SELECT '{before}'::{declared} AS v, '' AS \"$object\"")
    table = TargetTable(database, "t")
    rows = f"(SELECT '{value}'::{incoming} AS v)"
    try:
        table.fit({"v": incoming}, rows)
    except QueryError:
        assert table.columns()["v"] == declared
        return None
    database.execute(f"INSERT INTO t BY NAME SELECT * FROM {rows}")
    return table.columns()["v"], [made for (made,) in database.execute("SELECT v FROM t").fetchall()]


def _is(made: Any, text: str, kind: str) -> bool:
    """Whether a value is exactly what a text says, or of base 2 the one that prints so."""
    printed = str(np.float32(made) if kind == "FLOAT" else made)
    return Decimal(text) in {Decimal(made), Decimal(printed)}


@pytest.mark.parametrize("declared", VALUES)
def test_a_declared_column_is_widened_exactly_or_the_object_is_refused(database, declared: str):
    """Whatever comes: both values are what they were, and decimals never become numbers of base 2."""
    before = VALUES[declared][-1]
    for incoming, values in VALUES.items():
        for value in values:
            loaded = _loaded(database, declared, before, incoming, value)
            if loaded is None:
                continue
            kind, made = loaded
            assert _is(made[0], before, kind), (incoming, loaded)
            assert _is(made[1], value, kind), (incoming, loaded)
            assert not (declared.startswith("DECIMAL") and kind in FLOATING), (incoming, loaded)


@pytest.mark.parametrize(
    ("declared", "incoming", "value", "become"),
    [
        ("DECIMAL(8,4)", "DECIMAL(9,6)", "1.234567", "DECIMAL(10,6)"),
        ("DECIMAL(8,4)", "BIGINT", "9223372036854775807", "DECIMAL(23,4)"),
        ("DECIMAL(8,4)", "HUGEINT", "12345678901234567890123456789", "DECIMAL(38,4)"),
        ("DECIMAL(38,2)", "DECIMAL(8,4)", "1.2345", "DECIMAL(38,4)"),
        ("DECIMAL(8,4)", "DOUBLE", "1.25", "DECIMAL(8,4)"),
        ("DECIMAL(8,4)", "DOUBLE", "1.23456", None),
        ("DECIMAL(8,4)", "FLOAT", "1e10", None),
        ("DOUBLE", "DECIMAL(38,20)", "1.00000000000000000001", None),
        ("DOUBLE", "DECIMAL(8,4)", "1.2345", "DOUBLE"),
        ("UHUGEINT", "TINYINT", "-1", "HUGEINT"),
        ("UBIGINT", "INTEGER", "-1", "HUGEINT"),
        ("UINTEGER", "SMALLINT", "-1", "BIGINT"),
        ("BIGINT", "DOUBLE", "1.5", "DOUBLE"),
        ("FLOAT", "INTEGER", "16777217", "DOUBLE"),
        ("INTEGER", "HUGEINT", "12345678901234567890", "HUGEINT"),
    ],
)
def test_the_type_of_a_widened_column(database, declared: str, incoming: str, value: str, become: str | None):
    """The least that holds both; None where there is none."""
    loaded = _loaded(database, declared, "1", incoming, value)
    assert (loaded and loaded[0]) == become


@pytest.mark.parametrize(
    ("declared", "incoming"),
    [
        ("STRUCT(a DECIMAL(8,4))", "STRUCT(a DOUBLE)"),
        ("STRUCT(a DECIMAL(8,4))", "STRUCT(b DECIMAL(8,4), A FLOAT)"),
        ("DECIMAL(8,4)[]", "DOUBLE[]"),
        ("MAP(VARCHAR, DECIMAL(8,4)[])", "MAP(VARCHAR, DOUBLE[])"),
        ("STRUCT(a BIGINT)", "STRUCT(a VARCHAR)"),
        ("MAP(VARCHAR, BOOLEAN[])", "MAP(VARCHAR, VARCHAR[])"),
    ],
)
def test_values_within_values_become_no_others(declared: str, incoming: str):
    """At any depth: neither decimals others, nor anything text."""
    with duckdb.connect() as database, pytest.raises(QueryError, match="neither fits the other"):
        TargetTable(database, "t").wider("v", declared, incoming)


@pytest.mark.parametrize("text", ["v\n1.5\n1.23456\n", '{"v": 1.5}\n{"v": 1.23456}\n'])
def test_a_declared_decimal_is_widened_by_the_digits_of_text(moto_lake: Lake, text: str):
    """As 1.23456 in a DECIMAL(8,4): a DOUBLE, before."""
    run = moto_lake.session()
    moto_lake.put(**{"a__csv" if text.startswith("v") else "a__json": text})
    run("CREATE TABLE t (v DECIMAL(8,4))")
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO t")
    assert rows_of(run, what="v, typeof(v)") == [(Decimal(text), "DECIMAL(9,5)") for text in ("1.23456", "1.50000")]


# Declared type → what a record has, and what is in the table then.
AS_WRITTEN: dict[str, tuple[str, Any]] = {
    "JSON": ('{"a":[1.50,1e400]}', '{"a":[1.50,1e400]}'),
    "JSON[]": ('[{"a": 1.50}, 1e400, 1.0, "x", null]', ['{"a":1.50}', "1e400", "1.0", '"x"', None]),
    "JSON[][]": ("[[1.0], [2.00, null], null]", [["1.0"], ["2.00", None], None]),
    "JSON[2]": ('[1.50, {"a": 12345678901234567890.50}]', ("1.50", '{"a":12345678901234567890.50}')),
    "VARCHAR[]": ('[1.50, "2.50", true, {"a": 1.50}, null]', ["1.50", "2.50", "true", '{"a":1.50}', None]),
    "STRUCT(a JSON, b DOUBLE)": ('{"a": [1.50], "b": 1}', {"a": "[1.50]", "b": 1.0}),
    "STRUCT(a VARCHAR, b DATE)[]": (
        '[{"a": 1.0}, {"b": "2026-01-02"}]',
        [{"a": "1.0", "b": None}, {"a": None, "b": date(2026, 1, 2)}],
    ),
    "MAP(VARCHAR, JSON)": ('{"x": 1.50, "y~/": {"z": 1.0}}', {"x": "1.50", "y~/": '{"z":1.0}'}),
    "STRUCT(m MAP(VARCHAR, VARCHAR[]))": ('{"m": {"k": [1.50, "a"]}}', {"m": {"k": ["1.50", "a"]}}),
}


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_text_and_json_within_a_declared_type_stay_as_they_are_written(moto_lake: Lake, ending: str):
    """At any depth: DuckDB's own casts write 1.50 as 1.5, and 1e400 as Infinity."""
    run, texts = moto_lake.session(), [text for text, _ in AS_WRITTEN.values()]
    if ending == "json":
        body = "{" + ", ".join(f'"c{at}": {text}' for at, text in enumerate(texts)) + "}\n"
    else:
        names = ",".join(f"c{at}" for at in range(len(texts)))
        body = names + "\n" + ",".join('"' + text.replace('"', '""') + '"' for text in texts) + "\n"
    moto_lake.put(**{f"a__{ending}": body})
    run(f"CREATE TABLE t ({', '.join(f'c{at} {kind}' for at, kind in enumerate(AS_WRITTEN))})")
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO t")
    assert rows_of(run, order="1") == [tuple(value for _, value in AS_WRITTEN.values())]


# Declared type → what its parts do not hold exactly.
BEYOND = {
    "STRUCT(a JSON, b DOUBLE)": '{"a": 1, "b": 0.1234567890123456789}',
    "STRUCT(a JSON, b BIGINT)": '{"a": 1, "b": "x"}',
    "MAP(VARCHAR, STRUCT(a JSON, b BOOLEAN))": '{"x": {"a": 1, "b": "yes"}}',
    "JSON[2]": "[1]",
    "JSON[]": '{"a": 1}',
}


@pytest.mark.parametrize("declared", BEYOND)
def test_what_a_part_of_a_declared_type_does_not_hold_is_refused(moto_lake: Lake, declared: str):
    """And nothing is in the table."""
    run = moto_lake.session()
    moto_lake.put(a__json=f'{{"v": {BEYOND[declared]}}}\n')
    run(f"CREATE TABLE t (v {declared})")
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO t")
    assert "A table whose column is VARCHAR takes every value" in str(run("SHOW JOB j ERRORS")["error"][0])
    assert rows_of(run, what="count(*)") == [(0,)]
