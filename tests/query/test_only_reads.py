"""A query only reads: what is refused before it runs, wherever a query may stand, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from offline import offline_session
from statements import Statements

from s3conn_magic.errors import QueryError, S3ConnError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each with the word that the error names and points at, and what its hint says to write.
WRITING = {
    "copy": ("WITH x AS (COPY (SELECT 1) TO '{there}') FROM x", "COPY", "INSERT INTO S3"),
    "delete": ("WITH x AS (DELETE FROM kept RETURNING *) FROM x", "DELETE", "CREATE [OR REPLACE] TABLE"),
    "truncate": ("WITH x AS (TRUNCATE kept) FROM x", "TRUNCATE", "DROP TABLE"),
    "insert": ("WITH x AS (INSERT INTO kept VALUES (2) RETURNING *) FROM x", "INSERT", "COPY FROM S3"),
    "update": ("WITH x AS (UPDATE kept SET a = 2 RETURNING *) FROM x", "UPDATE", "CREATE [OR REPLACE] TABLE"),
    "lower case": ('WITH "COPY" AS MATERIALIZED (copy kept to \'{there}\') FROM "COPY"', "copy", "INSERT INTO S3"),
    "in a comment's shadow": ("WITH x AS (/* ( */ COPY kept TO '{there}' -- )\n) FROM x", "COPY", "INSERT INTO S3"),
    "in FROM": ("FROM (WITH x AS (DELETE FROM kept RETURNING *) FROM x)", "DELETE", "TABLE"),
    "in an expression": ("SELECT (WITH x AS (DELETE FROM kept RETURNING a) FROM x)", "DELETE", "TABLE"),
    "in a condition": ("SELECT 1 WHERE EXISTS (WITH x AS (DELETE FROM kept RETURNING a) FROM x)", "DELETE", "TABLE"),
    "in LIMIT": ("SELECT 1 LIMIT (WITH x AS (DELETE FROM kept RETURNING a) FROM x)", "DELETE", "TABLE"),
    "in a set": ("SELECT 1 UNION (WITH x AS (DELETE FROM kept RETURNING a) FROM x)", "DELETE", "TABLE"),
    "deep": (
        "WITH a AS (WITH b AS (WITH c AS (DELETE FROM kept RETURNING a) FROM c) FROM b) FROM a",
        "DELETE",
        "TABLE",
    ),
    "in a recursion": (
        "WITH RECURSIVE r AS (SELECT 1 UNION ALL (WITH x AS (DELETE FROM kept RETURNING a) FROM x)) FROM r",
        "DELETE",
        "TABLE",
    ),
    "in a lateral join": (
        "FROM kept, LATERAL (WITH x AS (DELETE FROM kept RETURNING a) FROM x) AS y",
        "DELETE",
        "TABLE",
    ),
    "in a nearest join": (
        "FROM kept AS k JOIN kept AS l NEAREST 1 BY DISTANCE (WITH x AS (DELETE FROM kept RETURNING a) FROM x)",
        "DELETE",
        "TABLE",
    ),
    "in what pivots": (
        "FROM (PIVOT (WITH x AS (DELETE FROM kept RETURNING a) FROM x) ON a USING count(*))",
        "DELETE",
        "TABLE",
    ),
    "in values of a pivot": (
        "FROM (PIVOT kept ON a IN (WITH x AS (DELETE FROM kept RETURNING a) FROM x) USING count(*))",
        "DELETE",
        "TABLE",
    ),
    "a pivot's sequence": ("FROM (PIVOT kept ON a USING max(nextval('s')))", "nextval", "row_number()"),
    "sequence": ("SELECT nextval('s')", "nextval", "row_number()"),
    "its whole name": ("SELECT system.main.nextval('s')", "system.main.nextval", "row_number()"),
    "in quotes": ("SELECT \"NextVal\"('s')", '"NextVal"', "row_number()"),
    "as a method": ("SELECT 's'.nextval()", "'s'.nextval", "row_number()"),
    "in a lambda": ("SELECT list_transform([1], lambda x: x + nextval('s'))", "nextval", "row_number()"),
    "over a window": ("SELECT nextval('s') OVER ()", "nextval", "row_number()"),
    "in COLUMNS": ("SELECT COLUMNS(c -> nextval('s') > 0) FROM kept", "nextval", "row_number()"),
    "setval": ("SELECT setval('s', 7)", "setval", "row_number()"),
    "seed": ("SELECT setseed(0.5)", "setseed", "REPEATABLE"),
    "log": ("SELECT write_log('x')", "write_log", "Nothing was run."),
    "logging": (
        "FROM enable_logging(storage = 'file', storage_path = '{there}')",
        "enable_logging",
        "Nothing was run.",
    ),
    "profiling": ("FROM enable_profiling()", "enable_profiling", "EXPLAIN ANALYZE"),
    "checkpoint": ("FROM checkpoint()", "checkpoint", "Nothing was run."),
    "force_checkpoint": ("FROM force_checkpoint()", "force_checkpoint", "Nothing was run."),
    "text as SQL": ("FROM query('SELECT 1')", "query", "Write the query itself"),
    "names as text": ("FROM query_table('kept')", "query_table", "FROM name"),
    "JSON as SQL": ("FROM json_execute_serialized_sql('{{}}')", "json_execute_serialized_sql", "Write the query"),
    "plans of text": ("SELECT json_serialize_plan('FROM kept')", "json_serialize_plan", "Nothing was run."),
    "addresses": ("FROM pandas_scan(0)", "pandas_scan", "Nothing was run."),
    "grammar": ("FROM add_grammar_extension('x')", "add_grammar_extension", "Nothing was run."),
    "rejected lines": ("FROM read_csv('s3://b/k.csv', store_rejects = true)", "store_rejects", "ignore_errors"),
    "rejected lines by another sign": ("FROM read_csv('s3://b/k.csv', rejects_table := 'rejects')", "'rejects'", ""),
    "unknown": ("SELECT sume(1)", "sume", "Did you mean sum?"),
    "unknown argument": ("FROM range(3, hidden = 1)", "hidden", ""),
}
NO_QUERY = (
    "FROM kept; DROP TABLE kept",
    "FROM kept; FROM kept",
    "WITH x AS (SELECT 1) INSERT INTO kept FROM x",
    "WITH x AS (SELECT 1) DELETE FROM kept",
    "FROM kept; COPY kept TO 'x.csv'",
    "WITH x AS (COPY kept FROM 'x.csv') FROM x",
    "WITH x AS (MERGE INTO kept USING kept AS k USING (a) WHEN MATCHED THEN DELETE RETURNING *) FROM x",
    "WITH x AS (DROP TABLE kept) FROM x",
    "",
)
READING = (
    "SELECT 1 + 2 * 3 ^ 2, 'a' || 'b', 7 // 2, 5 % 3, ~1, 1 << 2, -(-3), 5!, @ -2",
    "SELECT a, count(*) FILTER (a > 1) FROM (VALUES (1), (2)) t(a) GROUP BY GROUPING SETS ((a), ()) ORDER BY ALL",
    "SELECT a, rank() OVER w FROM range(5) t(a) WINDOW w AS (ORDER BY a DESC) QUALIFY rank() OVER w < 3",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r",
    "WITH RECURSIVE t(k, v) USING KEY (k) AS (SELECT 1, 2 UNION SELECT k, v + 1 FROM recurring.t WHERE v < 4) FROM t",
    "SELECT * FROM range(3) a(x), LATERAL (SELECT x * 2 AS y)",
    "SELECT [x + 1 FOR x IN [1, 2, 3] IF x > 1], list_transform([1], lambda x: x + 1), {'a': 1}.a, MAP {'k': 2}['k']",
    "FROM (VALUES (1, 2)) a(t, v) ASOF JOIN (VALUES (0, 3)) b(t, w) USING (t)",
    "SELECT * FROM range(2) a POSITIONAL JOIN range(2) b",
    "FROM (PIVOT (VALUES (1, 'x'), (2, 'y')) t(a, b) ON b IN ('x', 'y') USING sum(a))",
    "FROM (UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b INTO NAME n VALUE v)",
    "SELECT json_extract('{\"a\": [1]}', '$.a[0]'), '{\"a\": 1}'::JSON ->> 'a', regexp_extract('ab12', '\\d+')",
    "SELECT now() AT TIME ZONE 'Europe/Berlin' IS NOT NULL, date_trunc('month', DATE '2026-01-31'), INTERVAL 3 DAYS",
    "SELECT CASE WHEN 1 IN (1, 2) THEN coalesce(NULL, 1) ELSE ifnull(NULL, 2) END, TRY(1 / 0), TRY_CAST('x' AS INT)",
    "SELECT * EXCLUDE (b) REPLACE (a + 1 AS a) RENAME (d AS c) FROM (SELECT 1 AS a, 2 AS b, 3 AS d)",
    "FROM (DESCRIBE SELECT 1 AS a)",
    "FROM (SUMMARIZE SELECT 1 AS a)",
    "FROM (SHOW TABLES)",
    "FROM range(100) USING SAMPLE 10 ROWS (reservoir, 42)",
    "SELECT table_name FROM information_schema.tables",
    "FROM duckdb_settings() SELECT name LIMIT 1",
    "SELECT unnest([1, 2]), generate_series(1, 3), current_date, random() < 2, uuid() IS NOT NULL, getvariable('x')",
    "SELECT " + "+".join(["1"] * 900),
    "FROM histogram('kept', a)",
)
PIVOTS = (
    "PIVOT cities ON year USING sum(population)",
    "PIVOT cities ON year, country || '!' USING sum(population) AS p, max(population) AS m GROUP BY city",
    "PIVOT cities ON year IN (SELECT max(year) FROM cities) USING sum(population)",
    "PIVOT (FROM cities c JOIN cities d ON c.city = d.city AND c.year = d.year SELECT c.*) ON (year) USING count(*)",
    "PIVOT cities ON year IN (2000, 2010), country USING sum(population) ORDER BY ALL LIMIT 1",
    "FROM (PIVOT (FROM (PIVOT cities ON year USING sum(population) GROUP BY country)) ON country USING count(*))",
    "PIVOT cities ON year USING sum(population) UNION ALL BY NAME SELECT 'é' AS city",
)


def _with_a_table() -> Iterator[Statements]:
    statements = Statements()
    statements("CREATE TABLE kept AS SELECT 1 AS a")
    yield statements
    statements.session.close()


run = pytest.fixture(_with_a_table)
"""A session with a table of one row."""


@pytest.fixture(scope="module")
def untouched() -> Iterator[Statements]:
    """The same, with a connection, for all statements of which nothing runs."""
    for statements in _with_a_table():
        statements("CREATE S3 CONNECTION lake AWS_PROFILE = 'x' VALIDATE = FALSE")
        yield statements


def _engine_of(run: Statements) -> duckdb.DuckDBPyConnection:
    return run.session.queries.engine.database


PLACES = {
    "SELECT": "{}",
    "CREATE TABLE": "CREATE TABLE made AS {}",
    "CREATE TABLE of columns": "CREATE TABLE made (a INT) AS {}",
    "CREATE OR REPLACE TABLE": "CREATE OR REPLACE TABLE kept AS {}",
    "EXPLAIN ANALYZE": "EXPLAIN ANALYZE {}",
    "EXPLAIN": "EXPLAIN {}",
    "INSERT INTO S3": "CREATE JOB j AS INSERT INTO S3 lake LOCATION = 's3://nowhere/' {}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", WRITING)
def test_what_does_more_than_read_is_refused_before_anything_runs(
    untouched: Statements, tmp_path: Path, case: str, place: str
):
    """The error names it, points at it and says what to write; nothing of the cell has run, nothing is written."""
    run = untouched
    written, word, hint = WRITING[case]
    query = written.format(there=tmp_path / "out.csv")
    text = PLACES[place].format(f"SELECT * FROM ({query})" if place == "INSERT INTO S3" else query)
    failure = run.fails(f"SET LIMIT = 7;\n{text}", QueryError)
    assert word.strip("\"'").split(".")[-1].casefold() in failure.message.casefold()
    assert hint in failure.hint
    assert failure.place is not None
    at = text.index(query) + query.rindex(word)
    line = text.count("\n", 0, at) + 2
    assert (failure.place.line, failure.place.column) == (line, at - (text.rfind("\n", 0, at) + 1) + 1)
    assert run.session.settings["LIMIT"] != 7
    assert _engine_of(run).execute("SELECT a FROM kept").fetchall() == [(1,)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("query", NO_QUERY)
def test_what_is_no_single_query_is_refused(run: Statements, query: str):
    """Statements of other kinds, and several of them in one text."""
    with pytest.raises(S3ConnError):
        run.session.queries.engine.query(query, local=True)
    assert _engine_of(run).execute("SELECT a FROM kept").fetchall() == [(1,)]


@pytest.mark.parametrize("query", READING)
def test_a_query_that_reads_gives_what_duckdb_gives(run: Statements, query: str):
    """Of every form that a query has: as many rows and columns as without the check."""
    plain = duckdb.connect()
    plain.execute("CREATE TABLE kept AS SELECT 1 AS a")
    expected = plain.execute(query)
    columns = len(expected.description or ())
    assert run(query).shape == (len(expected.fetchall()), columns)


@pytest.mark.parametrize("query", PIVOTS)
def test_a_pivot_whose_values_are_looked_for_is_checked_and_run(run: Statements, query: str):
    """DuckDB has no tree for it; the rows are those that it gives."""
    cities = """CREATE TABLE cities AS FROM (VALUES ('NL', 'A', 2000, 5), ('NL', 'A', 2010, 6), ('US', 'S', 2000, 7),
        ('US', 'N', 2010, 8)) t(country, city, year, population)"""
    run(cities)
    plain = duckdb.connect()
    plain.execute(cities)
    assert sorted(map(str, run.session.queries.engine.query(query).table.to_pylist())) == sorted(
        map(str, plain.sql(query).to_arrow_table().to_pylist())
    )


HIDDEN = {
    "SELECT * FROM hiding": "nextval()",
    "SELECT * FROM nested": "nextval()",
    "SELECT * FROM other.hiding": "nextval()",
    "SELECT hides(1)": "nextval()",
    "SELECT sum(1)": "nextval()",
    "FROM hides_in_from('x')": "nextval()",
    "SELECT a FROM computed": "write_log()",
    "FROM (DESCRIBE hiding)": "nextval()",
}


@pytest.mark.parametrize("query", HIDDEN)
def test_what_a_database_file_defines_is_looked_into(tmp_path: Path, query: str):
    """Views, macros, macros of a built-in function's name, computed columns; those that read are used."""
    file = tmp_path / "kept.duckdb"
    with duckdb.connect(str(file)) as made:
        made.execute("""
            CREATE SEQUENCE s; CREATE SCHEMA other;
            CREATE VIEW hiding AS SELECT nextval('s') AS n; CREATE VIEW nested AS FROM hiding;
            CREATE VIEW other.hiding AS SELECT nextval('s') AS n;
            CREATE MACRO hides(x) AS x + nextval('s'); CREATE MACRO sum(x) AS nextval('s');
            CREATE MACRO hides_in_from(x) AS TABLE SELECT nextval('s');
            CREATE TABLE computed (a INT, b VARCHAR AS (write_log('x'))); INSERT INTO computed VALUES (1);
            CREATE MACRO reads(x) AS x + 1; CREATE VIEW reading(n, "as") AS WITH x AS (SELECT 1, 2) FROM x;
            CREATE TABLE numbered (a INT DEFAULT nextval('s')); INSERT INTO numbered VALUES (7);
        """)
    run = Statements()
    run(f"SET DATABASE = '{file}'")
    failure = run.fails(query, QueryError)
    assert HIDDEN[query] in failure.message
    assert " of the database: " in failure.message
    assert run("SELECT reads(n) AS r FROM reading")["r"].tolist() == [2]
    assert run("SELECT a FROM numbered")["a"].tolist() == [7]
    ((value,),) = _engine_of(run).execute("SELECT nextval('s')").fetchall()
    assert value == 1
    run.session.close()


COLUMNS = {
    "(a INT, b INT AS (nextval('s')))": None,
    "(a INT, b VARCHAR AS (write_log('x')))": "write_log()",
    "(a INT DEFAULT setseed(0.5))": "setseed()",
    "(a INT CHECK (write_log('x') IS NULL))": "write_log()",
}


@pytest.mark.parametrize("columns", COLUMNS)
def test_columns_of_a_table_only_read(run: Statements, columns: str):
    """What a column computes, checks or defaults to is judged as a query is; the table that there was stays."""
    failure = run.fails(f"CREATE OR REPLACE TABLE kept {columns}", QueryError)
    assert (COLUMNS[columns] or "s") in failure.message
    assert [name for (name,) in _engine_of(run).execute("SHOW TABLES").fetchall()] == ["kept"]
    assert run("SELECT a FROM kept")["a"].tolist() == [1]


def test_columns_are_one_list(run: Statements):
    """What would end the list, and begin another statement, is refused."""
    engine = run.session.queries.engine
    for columns in ("(a INT); DROP TABLE kept; CREATE TABLE x (a INT)", "(a INT) AS (SELECT 1)", "", "(a"):
        with pytest.raises(QueryError, match="one list in parentheses"):
            engine.define(columns, "CREATE TABLE made ")
    assert run("SELECT a FROM kept")["a"].tolist() == [1]


EXPRESSIONS = {
    "nextval('s')": "nextval()",
    "1) FROM read_text('/etc/passwd') WHERE (true": "one expression",
    "1), (2": "one expression",
    "1) UNION SELECT (2": "one expression",
    "1) FROM a; DROP TABLE kept; SELECT (1": "SELECT, WITH or FROM",
    "(WITH x AS (DELETE FROM kept RETURNING a) FROM x)": "DELETE",
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_of_a_job_only_reads(run: Statements, expression: str):
    """What COLUMN_TRANSFORMATIONS make of an object's columns is one expression, and judged as a query is."""
    with pytest.raises(QueryError) as failed:
        run.session.queries.engine.check_expressions([expression], local=True)
    assert EXPRESSIONS[expression] in failed.value.message
    run.session.queries.engine.check_expressions(["upper(a) || 'x' -- as a comment", "(SELECT max(a) FROM kept)"])


def test_the_expressions_of_a_job_are_looked_at_when_it_is_bound():
    """Before the job is made or a request is sent, with the place of the statement."""
    session = offline_session("lake")
    job = "CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://acme-lake/x/' COLUMN_TRANSFORMATIONS = (n = {}) INTO t"
    with pytest.raises(QueryError, match="nextval") as failed:
        list(session.run(job.format("nextval('s')")))
    assert failed.value.place is not None
    assert list(session.jobs) == []


def test_nothing_changes_the_engines_settings(run: Statements):
    """Should something get past the check, DuckDB itself refuses."""
    with pytest.raises(duckdb.Error, match="configuration has been locked"):
        _engine_of(run).execute("SET threads = 1")


def test_a_name_of_a_function_says_what_is_meant(run: Statements) -> None:
    """`obj.function()` and a function that nobody knows are told apart from what DuckDB would say of a column."""
    failure: Any = run.fails("SELECT regexp_extrakt('a', 'b')", QueryError)
    assert failure.hint == "Did you mean regexp_extract?"
