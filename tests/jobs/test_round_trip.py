"""What INSERT INTO S3 writes, COPY FROM S3 reads back equal, for every type and format; or it was refused."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import rows_of

from s3conn_magic.errors import JobFailedError
from s3conn_magic.query.sql import literal

if TYPE_CHECKING:
    from lakes import Lake
    from statements import Statements

# Type → its values, each as a text that DuckDB casts to it, or as an expression behind `=`.
VALUES = {
    "BOOLEAN": ("true", "false"),
    "TINYINT": ("-128", "127"),
    "SMALLINT": ("-32768", "32767"),
    "INTEGER": ("-2147483648", "2147483647"),
    "BIGINT": ("-9223372036854775808", "9223372036854775807"),
    "UTINYINT": ("0", "255"),
    "USMALLINT": ("65535",),
    "UINTEGER": ("4294967295",),
    "UBIGINT": ("18446744073709551615",),
    "HUGEINT": ("-99999999999999999999999999999999999999", "99999999999999999999999999999999999999", "5"),
    "UHUGEINT": ("99999999999999999999999999999999999999", "0"),
    "BIGNUM": ("123456789012345678901234567890123456789012345678901234567890", "-1"),
    "FLOAT": ("0.1", "nan", "inf", "-inf", "-0.0", "3.4028235e+38", "1e-45", "16777216", "0.3333333"),
    "DOUBLE": ("0.1", "nan", "inf", "-inf", "-0.0", "1e308", "5e-324", "0.1234567890123456789", "9007199254740993"),
    "DECIMAL(4,1)": ("1.5", "-0.1"),
    "DECIMAL(15,10)": ("12345.1234567890", "0.0000000001"),
    "DECIMAL(18,3)": ("1.500", "-0.001"),
    "DECIMAL(38,0)": ("99999999999999999999999999999999999999", "-1"),
    "DECIMAL(38,10)": ("12345.0123456789", "-0.0000000001", "1.5"),
    "VARCHAR": (
        *("a", "", "1", "007", "1.50", "1_000", "true", "TRUE", "NULL", "null", "2024-01-01", "01/03/2024"),
        *('{"a": 1}', "[1]", "a,b", "a;b", 'a"b', '"', '""', "'", "\\", "\\N", "a\nb", "a\rb", "a\r\nb", "a\tb", "\t"),
        *(
            " x ",
            " ",
            "nan",
            "1e5",
            "#x",
            "--",
            "\N{MUSICAL SYMBOL G CLEF}",
            "\0x",
            "\ufeffx",
            "{'a': 1}",
            "a=b",
            "%",
            "$",
        ),
    ),
    "BLOB": ("", "\\x00\\xFF", 'a"b,\\x5C', "123", "\\x0A"),
    "BIT": ("0101", "101", "1" * 70),
    "UUID": ("00000000-0000-0000-0000-000000000001", "ffffffff-ffff-4fff-bfff-ffffffffffff"),
    "DATE": ("2024-02-29", "infinity", "-infinity", "0044-03-15 (BC)", "9999-12-31", "12345-01-01"),
    "TIME": ("12:34:56.789012", "24:00:00", "00:00:00"),
    "TIME_NS": ("12:34:56.789012345", "00:00:00"),
    "TIMETZ": ("12:34:56.789012+00", "00:00:00+00"),
    "TIMETZ[]": ("=['12:34:56.789012+02:30'::TIMETZ, '00:00:00-15:59:59'::TIMETZ]",),
    "TIMESTAMP": (
        "2024-02-29 12:34:56.789012",
        "infinity",
        "-infinity",
        "0044-03-15 (BC) 01:00:00",
        "290000-01-01 00:00:00",
    ),
    "TIMESTAMP_S": ("2024-02-29 12:34:56", "infinity", "-infinity", "0044-03-15 (BC) 01:00:00"),
    "TIMESTAMP_MS": ("2024-02-29 12:34:56.789", "infinity", "-infinity"),
    "TIMESTAMP_NS": ("2024-02-29 12:34:56.789012345", "infinity", "-infinity", "1700-01-01 00:00:00"),
    "TIMESTAMPTZ": ("2024-02-29 12:34:56.789012+00", "infinity", "-infinity", "0044-03-15 (BC) 01:00:00+00"),
    "TIMESTAMPTZ_NS": ("2024-02-29 12:34:56.789012345+00",),
    "INTERVAL": ("1 year 2 months 3 days 04:05:06.789", "25:00:00", "00:00:00", "30 days", "1 month"),
    "ENUM('a', 'b c', '1', '')": ("a", "b c", "1", ""),
    "JSON": ('{"a": [1, 1.5, null, "x"]}', '"x"', "1", "[]", "true", '{"a": [1.50, 1e400, 123456789012345678.5]}'),
    "INTEGER[]": ("[1, NULL]", "[]", "[NULL]"),
    "VARCHAR[]": ("=['a', NULL, '', 'NULL', 'a,b', '[x]', '\"', chr(10), '\\', '1']", "[]"),
    "INTEGER[2]": ("[1, 2]", "[NULL, 2]"),
    "DOUBLE[]": ("[0.1, -0.0, 1e308]", "=['nan'::DOUBLE, 'inf'::DOUBLE]"),
    "FLOAT[]": ("[0.1, 1e-45]",),
    "HUGEINT[]": ("[99999999999999999999999999999999999999, -1]",),
    "DECIMAL(38,10)[]": ("[1.5, 12345.0123456789]",),
    "TIMESTAMP_NS[]": ("=['2024-02-29 12:34:56.789012345'::TIMESTAMP_NS]",),
    "DATE[][]": ("=[['2024-01-01'::DATE], [], NULL]",),
    "BLOB[]": ("=['\\x00\\xFF'::BLOB]",),
    "STRUCT(a INTEGER, b VARCHAR)": ("={'a': 1, 'b': 'x'}", "={'a': NULL, 'b': NULL}", "={'a': 1, 'b': ''}"),
    'STRUCT("A b" DATE, "q""" UUID, e ENUM(\'x\'))': ("={'A b': '2024-01-01', 'q\"': uuid(), 'e': 'x'}",),
    "STRUCT(a STRUCT(b TIMESTAMPTZ), c HUGEINT[])": ("={'a': {'b': '2024-01-01 00:00:00+00'}, 'c': [5]}",),
    "STRUCT(a INTEGER)[]": ("=[{'a': 1}, NULL]", "[]"),
    "MAP(VARCHAR, INTEGER)": ("=MAP {'a': 1, 'b': NULL}", "=MAP {}", "=MAP {'c': 2}"),
    "MAP(INTEGER, VARCHAR)": ("=MAP {1: 'a', 2: '{'}",),
    "MAP(DATE, DOUBLE[])": ("=MAP {DATE '2024-01-01': ['nan'::DOUBLE, 1.5]}",),
    "STRUCT(m MAP(VARCHAR, INTEGER))": ("={'m': MAP {'k': 1}}",),
    "UNION(i INTEGER, s VARCHAR)": ("=union_value(i := 1)", "=union_value(s := 'x')", "=union_value(s := NULL)"),
    "VARIANT": ("=1::VARIANT", "='x'::VARIANT", "=DATE '2024-01-01'::VARIANT", "={'a': 1}::VARIANT"),
    "TUPLE(INTEGER, VARCHAR)": ("=(1, 'a')",),
    "GEOMETRY": ("POINT (1 2)",),
}
REFUSED = {
    "PARQUET": {"TIMETZ[]", "TUPLE(INTEGER, VARCHAR)"},
    "CSV": {"VARIANT", "TUPLE(INTEGER, VARCHAR)"},
    "JSON": {
        *("VARIANT", "TUPLE(INTEGER, VARCHAR)", "UNION(i INTEGER, s VARCHAR)", "STRUCT(m MAP(VARCHAR, INTEGER))"),
        *(kind for kind in VALUES if kind.startswith("MAP")),
    },
}
REFUSED["TSV"] = REFUSED["CSV"]
NESTED = ("[]", "]", "STRUCT", "MAP", "UNION")


def _sql(kind: str, value: str) -> str:
    return f"CAST({value[1:] if value.startswith('=') else literal(value)} AS {kind})"


def _fill(run: Statements, kinds: list[str]) -> None:
    """The table `o`: a column of each type, with all of its values, and NULL."""
    rows = max(len(VALUES[kind]) for kind in kinds) + 1
    database = run.session.queries.engine.database
    columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(kinds))
    run(f"CREATE TABLE o (i INTEGER, {columns})")
    for row in range(rows):
        values = (_sql(kind, VALUES[kind][row]) if row < len(VALUES[kind]) else "NULL" for kind in kinds)
        database.execute(f"INSERT INTO o VALUES ({row}, {', '.join(values)})")


def _written(lake: Lake, run: Statements, options: str, query: str = "FROM o") -> str:
    return str(run(f"CREATE JOB w AS INSERT INTO S3 lake LOCATION = 's3://{lake.bucket}/out/' {options} {query}"))


def _copied(lake: Lake, run: Statements, table: str, options: str = "") -> None:
    said = str(
        run(f"CREATE JOB r{table} AS COPY FROM S3 lake LOCATION = 's3://{lake.bucket}/out/' {options} INTO {table}")
    )
    assert "failed" not in said, said


def _differing(run: Statements, kinds: list[str], table: str) -> list[str]:
    """The types of which a value of a table is another one than was written, with both."""
    database = run.session.queries.engine.database
    there = dict(
        database.execute(f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}'").fetchall()
    )
    wrong = []
    for at, kind in enumerate(kinds):
        found = f"t.c{at}"
        if there.get(f"c{at}") == "VARCHAR" and kind.endswith("]") | kind.startswith(NESTED[2:]):
            found = f"{found}::JSON"
        elif (
            table == "n"
            and (there.get(f"c{at}") != "JSON" or kind == "BIGNUM")
            and kind in {"BIT", "ENUM('a', 'b c', '1', '')", "BLOB", "BIGNUM", "INTERVAL"}
        ):
            found = f"{found}::VARCHAR"
        back = f"CAST({found} AS {kind})"
        same = f"{back} IS NOT DISTINCT FROM o.c{at}"
        if kind not in {"JSON", "VARIANT"}:
            same = f"({same} AND {back}::VARCHAR IS NOT DISTINCT FROM o.c{at}::VARCHAR)"
        if kind == "JSON":
            # But for spaces, as it is written: DuckDB would call 1.5 and 1.50 the same.
            same = f"replace({back}, ' ', '') IS NOT DISTINCT FROM replace(o.c{at}, ' ', '')"
        try:
            rows = database.execute(
                f"SELECT o.c{at}::VARCHAR, t.c{at}::VARCHAR FROM o LEFT JOIN {table} t ON o.i = t.i WHERE NOT ({same})"
            ).fetchall()
        except Exception as error:  # noqa: BLE001 - it is what the test shows
            rows = [str(error)[:200]]
        if rows:
            wrong.append(f"{kind} as {there.get(f'c{at}')}: {rows[:3]}")
    return wrong


@pytest.mark.parametrize("format_", ["PARQUET", "CSV", "TSV", "JSON"])
def test_a_type_that_a_format_does_not_give_back_is_refused(moto_lake: Lake, format_: str):
    """Before a byte is written, with the column, its type and a query that writes it."""
    run = moto_lake.session()
    for kind in sorted(REFUSED[format_]):
        query = f'SELECT 1 AS a, {_sql(kind, VALUES[kind][0])} AS "the x"'
        _refused(moto_lake, run, format_, query, kind)


# Format → types, and a value of each that it does not give back.
BEYOND = {
    "PARQUET": (
        ("HUGEINT", "170141183460469231731687303715884105727"),
        ("UHUGEINT", "340282366920938463463374607431768211455"),
        ("HUGEINT[]", "[1, 170141183460469231731687303715884105727]"),
        ("STRUCT(a MAP(VARCHAR, HUGEINT[2]))", "={'a': MAP {'k': [1, 100000000000000000000000000000000000000]}}"),
        ("UNION(a HUGEINT, b VARCHAR)", "=union_value(a := 100000000000000000000000000000000000000)"),
        ("TIMETZ", "12:00:00+01"),
        ("TIMETZ", "24:00:00+00"),
        ("INTERVAL", "00:00:00.000001"),
        ("INTERVAL", "-1 month"),
        ("INTERVAL", "1193:02:48"),
        ("INTERVAL[]", "=[INTERVAL '1 day']"),
    ),
    "CSV": (("BIT[]", "=['01'::BIT]"), ("STRUCT(v VARIANT)", "={'v': 1::VARIANT}")),
    "JSON": (
        ("DECIMAL(18,3)", "123456789012345.678"),
        ("DECIMAL(38,10)", "1234567890123456789012345678.0123456789"),
        ("DECIMAL(38,38)[]", "=[0.12345678901234567890123456789012345678]"),
        ("STRUCT(d DECIMAL(38,10))", "={'d': 1234567890123456789012345678.0123456789}"),
        ("JSON", "null"),
        ("STRUCT(j JSON)", "={'j': '1.50'::JSON}"),
        ("BIGNUM[]", "=['1'::BIGNUM]"),
        ("MAP(VARCHAR, INTEGER)[]", "=[MAP {'a': 1}]"),
    ),
}


@pytest.mark.parametrize("format_", BEYOND)
def test_a_value_that_a_format_does_not_give_back_is_refused(moto_lake: Lake, format_: str):
    """However late it comes, nothing is left; of the same type other values are written."""
    run = moto_lake.session()
    for kind, value in BEYOND[format_]:
        query = f'SELECT CASE WHEN i = 9999 THEN {_sql(kind, value)} END AS "the x" FROM range(10_000) t(i) ORDER BY i'
        _refused(moto_lake, run, format_, query, kind)


def _refused(lake: Lake, run: Statements, format_: str, query: str, kind: str) -> None:
    statement = f"CREATE JOB w AS INSERT INTO S3 lake LOCATION = 's3://{lake.bucket}/out/' FILE_FORMAT = {format_} "
    error = run.fails(statement + query, JobFailedError)
    ((exact,),) = run.session.queries.engine.database.execute(f"SELECT typeof(NULL::{kind})").fetchall()
    assert error.message.startswith(f"the column the x, {exact}, ")
    assert error.message.endswith(f" is not read back from {format_}")
    assert not lake.keys_below()
    assert not lake.unfinished
    written = error.hint.removesuffix(", where … is the query.").rpartition(" writes it as ")[0]
    run(statement + written.replace("(…)", f"({query})"))
    assert len(lake.keys_below()) == 1
    run("DROP JOB w")
    lake.client.delete_object(Bucket=lake.bucket, Key=lake.keys_below()[0])


@pytest.mark.parametrize("format_", ["PARQUET", "CSV", "TSV", "JSON"])
def test_values_of_every_type_come_back(moto_lake: Lake, format_: str):
    """Into a table that is declared with the types as they were, and into a new one so that a cast gives them back."""
    kinds = [kind for kind in VALUES if kind not in REFUSED[format_]]
    run = moto_lake.session()
    _fill(run, kinds)
    _written(moto_lake, run, f"FILE_FORMAT = {format_}")
    run(f"CREATE TABLE d (i INTEGER, {', '.join(f'c{at} {kind}' for at, kind in enumerate(kinds))})")
    _copied(moto_lake, run, "n")
    assert not (wrong := _differing(run, kinds, "n")), "\n".join(wrong)
    _copied(moto_lake, run, "d")
    assert not (wrong := _differing(run, kinds, "d")), "\n".join(wrong)


COMPRESSIONS = [
    *(("PARQUET", packed) for packed in ("NONE", "GZIP", "ZSTD", "SNAPPY")),
    *((format_, packed) for format_ in ("CSV", "TSV", "JSON") for packed in ("GZIP", "ZSTD")),
]


@pytest.mark.parametrize(("format_", "packed"), COMPRESSIONS)
def test_every_type_comes_back_by_every_compression(moto_lake: Lake, format_: str, packed: str):
    """Into a table of these types; and texts alone in a column, whatever they look like, and a column of nulls."""
    run = moto_lake.session()
    kinds = [kind for kind in VALUES if kind not in REFUSED[format_]]
    _fill(run, kinds)
    texts = {f"t{at}": _sql("VARCHAR", text) for at, text in enumerate(VALUES["VARCHAR"])}
    columns = ", ".join(f"CASE WHEN i > 0 THEN {text} END AS {name}" for name, text in texts.items())
    query = f"SELECT *, {columns}, NULL::INT n FROM o"
    _written(moto_lake, run, f"FILE_FORMAT = {format_} COMPRESSION = {packed}", query)
    declared = [f"c{at} {kind}" for at, kind in enumerate(kinds)] + [f"{name} VARCHAR" for name in texts]
    run(f"CREATE TABLE d (i INTEGER, {', '.join(declared)}, n INTEGER)")
    _copied(moto_lake, run, "d")
    assert not (wrong := _differing(run, kinds, "d")), "\n".join(wrong)
    same = f"SELECT i, {columns}, NULL::INT n FROM o EXCEPT SELECT i, {', '.join(texts)}, n FROM d"
    assert not run.session.queries.engine.database.execute(same).fetchall()


def test_the_matrix_has_every_type_of_duckdb():
    """One that is new would come back as something else without a word."""
    types = {kind.lower() for (kind,) in duckdb.execute("SELECT DISTINCT logical_type FROM duckdb_types()").fetchall()}
    # A column without a type, and that of types, which no column of a table can have.
    assert types - {duckdb.sqltype(kind).id for kind in VALUES} == {"null", "type"}


@pytest.mark.parametrize("format_", ["PARQUET", "CSV", "TSV", "JSON"])
def test_one_column_with_nulls_comes_back(moto_lake: Lake, format_: str):
    """A line that is empty is a row whose only value is NULL; one with two quotes has the empty text."""
    run = moto_lake.session()
    run("CREATE TABLE o AS FROM (VALUES (1, NULL), (2, ''), (3, NULL), (4, 'x'), (5, NULL)) t(i, t)")
    run("CREATE TABLE d (t VARCHAR)")
    _written(moto_lake, run, f"FILE_FORMAT = {format_}", "SELECT t FROM o ORDER BY i")
    _copied(moto_lake, run, "d")
    assert rows_of(run, "d", order="rowid") == [(None,), ("",), (None,), ("x",), (None,)]
    _copied(moto_lake, run, "n")
    assert rows_of(run, "n", order="rowid") == [(None,), ("",), (None,), ("x",), (None,)]


@pytest.mark.parametrize("format_", ["PARQUET", "CSV", "TSV", "JSON"])
def test_columns_without_values_and_results_without_rows_come_back(moto_lake: Lake, format_: str):
    """As nulls of every type, and as no rows."""
    kinds = [kind for kind in VALUES if kind not in REFUSED[format_]]
    columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(kinds))
    run = moto_lake.session()
    run(f"CREATE TABLE o (i INTEGER, {columns}); CREATE TABLE d (i INTEGER, {columns})")
    _written(moto_lake, run, f"FILE_FORMAT = {format_}")
    _copied(moto_lake, run, "d", "SKIP_VALIDATIONS = ALL")
    assert rows_of(run, "d", what="i") == []
    run.session.queries.engine.database.execute("INSERT INTO o (i) VALUES (1), (2)")
    assert "Replaced" in str(run("RUN JOB w"))
    said = str(run("RUN JOB rd"))
    assert "failed" not in said, said
    assert rows_of(run, "d") == [(1, *[None] * len(kinds)), (2, *[None] * len(kinds))]


# Type of a declared column → texts of a Parquet file that it takes, and one that it does not.
TAKEN = {
    "BIGINT": (["7", "-1"], "007"),
    "DOUBLE": (["1.50", "1e5"], "9007199254740993"),
    "DATE": (["2024-02-29", "infinity"], "01/03/2024"),
    "ENUM('a')": (["a", None], "b"),
    "BIGNUM": (["123456789012345678901234567890123456789012345"], "x"),
    "INTEGER[]": (["[1,2]", "[]"], "[1.5]"),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_text_of_parquet_is_cast_exactly(moto_lake: Lake, kind: str):
    """To the type of the table's column, which Parquet may not have; or the object is refused."""
    texts, other = TAKEN[kind]
    run = moto_lake.session()
    for table, values in (("d", texts), ("e", [*texts, other])):
        sink = io.BytesIO()
        pq.write_table(pa.table({"c": values}), sink)
        moto_lake.put(a__parquet=sink.getvalue())
        run(f"CREATE TABLE {table} (c {kind})")
        said = str(
            run(f"CREATE JOB {table} AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO {table}")
        )
        if table == "d":
            expected = ", ".join(f"({literal(text) if text else 'NULL'}::{kind})" for text in texts)
            rows = run.session.queries.engine.database.execute(
                f"SELECT c FROM d EXCEPT ALL VALUES {expected}"
            ).fetchall()
            assert (rows, len(rows_of(run, "d"))) == ([], len(texts))
        else:
            assert "in the table, and has text in the object that is not" in said


def test_a_column_of_parquet_without_values_fits_every_type(moto_lake: Lake):
    """Whatever type the file gives it."""
    run = moto_lake.session()
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array([None], pa.int32()), "b": pa.array([None], pa.binary()), "n": [1]}), sink)
    moto_lake.put(a__parquet=sink.getvalue())
    run("CREATE TABLE d (a DATE, b STRUCT(x INTEGER), n INTEGER)")
    said = str(run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO d"))
    assert "Loaded 1 object (1 row" in said
    assert rows_of(run, "d") == [(None, None, 1)]
