"""SELECT and tables on two servers, through every layer."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from boto_clients import client
from pyarrow import feather, orc
from recording import error, passing_to, recording
from statements import Statements, create

from s3conn_magic.errors import (
    AccessDeniedError,
    BindError,
    BucketNotFoundError,
    ConnectionInUseError,
    ConnectionNotFoundError,
    ObjectNotFoundError,
    QueryError,
    S3ConnError,
)
from s3conn_magic.objects.scope import QueryScope
from s3conn_magic.query.failures import translate
from s3conn_magic.results.frames import S3Frame
from s3conn_magic.sandbox import EMPTY, LAKE

EVENTS = f"'s3://{LAKE}/events/year=2026/month=01/*/*.parquet'"
ONE = f"'s3://{LAKE}/events/year=2026/month=01/day=01/part-00000.parquet'"
MANY = pa.table(
    {"n": range(1000), "square": [at * at for at in range(1000)], "name": [f"name {at}" for at in range(1000)]}
)


@pytest.fixture(params=["sandbox", "rclone"])
def run(request):
    """A session with a connection to each of the two servers."""
    sandbox = request.param == "sandbox"
    server = request.getfixturevalue("sandbox" if sandbox else "rclone_server")
    found = Statements()
    found(create("lake", keys=server.admin if sandbox else server.keys, ENDPOINT=server.endpoint, VALIDATE=False))
    yield found
    found.session.close()


@pytest.fixture
def on_sandbox(sandbox):
    """A session with a connection to the sandbox."""
    found = Statements()
    found(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    yield found
    found.session.close()


@pytest.fixture
def bucket(sandbox):
    """Writes objects into a bucket that is empty afterwards."""
    upstream = client("s3", sandbox.endpoint, sandbox.admin)
    yield lambda key, body: upstream.put_object(Bucket=EMPTY, Key=key, Body=body)
    for one in upstream.list_objects_v2(Bucket=EMPTY).get("Contents", []):
        upstream.delete_object(Bucket=EMPTY, Key=one["Key"])


def rows(frame):
    return [tuple(row) for row in frame.itertuples(index=False)]


def test_partitioned_parquet_is_read_with_its_partitions(run):
    """A pattern over Hive folders gives their values as columns, and tells what it cost."""
    frame = run(f"SELECT year, month, count(DISTINCT day) AS days, count(*) AS n FROM {EVENTS} GROUP BY ALL")
    assert rows(frame[["year", "month", "days"]]) == [("2026", "01", 31)] or frame["days"][0] > 20
    assert frame.attrs["read"]["requests"] > frame["days"][0]
    assert frame.attrs["read"]["bytes"] > 10_000


def test_results_are_frames_of_arrow_types(run):
    """The frame is the package's own, its columns are Arrow's, and it travels as a plain one."""
    frame = run(f"SELECT * FROM {ONE} LIMIT 3")
    assert isinstance(frame, S3Frame)
    assert all(isinstance(kind, pd.ArrowDtype) for kind in frame.dtypes)
    assert type(pickle.loads(pickle.dumps(frame))) is pd.DataFrame


def _as_parquet(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


TEXT = "a,b\n" + "".join(f"{at},x{at}\n" for at in range(2000))
LINES = "".join(f'{{"a": {at}, "b": "x{at}"}}\n' for at in range(2000))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("t.csv", TEXT.encode()),
        ("t.csv.gz", gzip.compress(TEXT.encode())),
        ("t.csv.zst", pa.compress(TEXT.encode(), codec="zstd", asbytes=True)),
        ("t.tsv", TEXT.replace(",", "\t").encode()),
        ("t.json", LINES.encode()),
        ("t.ndjson.gz", gzip.compress(LINES.encode())),
        ("t.parquet", _as_parquet(pa.table({"a": range(2000), "b": [f"x{at}" for at in range(2000)]}))),
    ],
)
def test_formats_and_compressions(on_sandbox, bucket, name, body):
    """CSV, JSON and Parquet are read without an extension, compressed or not."""
    bucket(name, body)
    frame = on_sandbox(f"SELECT count(*) AS n, sum(a) AS s, max(b) AS m FROM 's3://{EMPTY}/{name}'")
    assert rows(frame) == [(2000, 1999 * 1000, "x999")]
    assert frame.attrs["read"]["bytes"] <= max(len(body), 256 * 1024)


@pytest.mark.parametrize("key", ["a//b.csv", "per%20.csv", "quest?ion.csv", "ha#sh.csv", "two words.csv", "it''s.csv"])
def test_keys_are_exact(on_sandbox, bucket, key):
    """No character of a key is anything but itself; `filename` says it."""
    exact = key.replace("''", "'")
    bucket(exact, b"a\n7\n")
    frame = on_sandbox(f"SELECT a, filename FROM read_csv('s3://{EMPTY}/{key}', filename = true)")
    assert rows(frame) == [(7, f"s3://{EMPTY}/{exact}")]


def test_nothing_is_looked_up_on_the_network_but_the_objects(on_sandbox):
    """No extension is installed or loaded by itself, and a place that is not of S3 is an error that says so."""
    settings = "SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%_known_extensions'"
    assert dict(rows(on_sandbox(settings))) == {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    failed = on_sandbox.fails("FROM 'https://example.com/x.parquet'", QueryError)
    assert "its host is neither Amazon S3's nor the ENDPOINT of a connection" in failed.message


def test_two_connections_in_one_query(on_sandbox, sandbox):
    """`name@` reads through that connection, and a path without a name through the session's own, or the oldest."""
    ask, seen = passing_to(sandbox.endpoint), []

    def noted(asked):
        seen.append(asked.path)
        return ask(asked)

    with recording(noted) as recorder:
        on_sandbox(create("other", keys=sandbox.admin, ENDPOINT=recorder.endpoint, VALIDATE=False))
        query = f"SELECT count(*) AS n FROM {ONE} JOIN {ONE.replace('s3://', 's3://other@')} USING (event_time)"
        assert on_sandbox(query)["n"][0] > 0
        first, seen[:] = len(seen), []
        on_sandbox("USE CONNECTION other; SET CACHE = 0")
        assert on_sandbox(query)["n"][0] > 0
        assert len(seen) > first > 0


def test_python_frames_are_tables_by_their_names(on_sandbox):
    """pandas, Series and Arrow; a table of the session comes first, and what is no frame is said so."""
    on_sandbox.names |= {
        "people": pd.DataFrame({"id": [1, 2], "who": ["ann", "bob"]}),
        "ages": pa.table({"id": [2], "age": [30]}),
        "word": "no frame",
        "least": np.int64(1),
    }
    joined = "SELECT who, age FROM people JOIN ages USING (id)"
    assert rows(on_sandbox(joined)) == [("bob", 30)]
    assert rows(on_sandbox("WITH people AS (SELECT 5 AS id) SELECT id FROM people")) == [(5,)]
    assert rows(on_sandbox("SELECT who FROM people WHERE id > $least")) == [("bob",)]
    on_sandbox("CREATE TABLE people AS SELECT 9 AS id")
    assert rows(on_sandbox("FROM people")) == [(9,)]
    failed = on_sandbox.fails("SELECT 1 FROM word", QueryError)
    assert failed.hint == "The Python variable word is a str, which is not a table."
    assert "is not defined" in on_sandbox.fails("SELECT $nothing", QueryError).message
    assert "read_parquet($name)" in on_sandbox.fails("FROM $word", QueryError).hint


def test_polars_frames_are_tables_too(on_sandbox):
    """Where Polars is installed."""
    polars = pytest.importorskip("polars", reason="Polars is not installed")
    on_sandbox.names["frame"] = polars.DataFrame({"a": [1, 2]})
    on_sandbox.names["lazy"] = polars.LazyFrame({"b": [3]})
    assert rows(on_sandbox("SELECT sum(a), max(b) FROM frame, lazy")) == [(3, 3)]


@pytest.mark.parametrize(
    ("query", "kind", "said"),
    [
        (f"FROM 's3://{LAKE}/nothing.parquet'", ObjectNotFoundError, "there is no object"),
        (f"FROM 's3://{LAKE}/nothing*.csv'", ObjectNotFoundError, "no object matches"),
        ("FROM 's3://no-such-bucket-here/x.csv'", BucketNotFoundError, "no-such-bucket-here"),
        (f"FROM 's3://nobody@{LAKE}/x.csv'", ConnectionNotFoundError, "nobody"),
        (f"FROM 's3://nobody@{LAKE}/*.csv'", ConnectionNotFoundError, "nobody"),
        ("FROM 's3://a b/x.csv'", S3ConnError, "a bucket's name has no white space"),
        ("SELECT CAST('a secret' AS INT)", QueryError, "Could not convert string '…' to INT32"),
    ],
)
def test_an_error_keeps_its_class_and_no_literal(run, query, kind, said):
    """What S3 says comes through DuckDB as it is; what DuckDB says repeats no literal of the query."""
    failed = run.fails(query, kind)
    assert said in failed.message
    assert "secret" not in failed.block()


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("READ*", "Name the function that reads it, one of read_parquet('{0}'), read_csv('{0}'), read_json('{0}')"),
        ("sales/", "such as FROM '{0}**/*'"),
        ("README.txt", "read_text('{0}')"),
    ],
)
def test_a_name_that_tells_no_format_is_said_what_to_do_about(on_sandbox, path, hint):
    """A pattern, a folder or a file whose ending is unknown: the error points at it and names what reads it."""
    where = f"s3://{LAKE}/{path}"
    failed = on_sandbox.fails(f"SELECT *\nFROM '{where}'", QueryError)
    assert "does not show its format" in failed.message or "neither the name nor the content of" in failed.message
    assert hint.format(where) in failed.hint
    assert "*" in path or (failed.place.line, failed.place.column) == (2, 6)
    for written in re.findall(r"FROM '[^']*'|read_text\('[^']*'\)", failed.hint):
        assert len(on_sandbox(written if written.startswith("FROM") else f"FROM {written}"))


def test_rows_of_orc_avro_and_arrow_are_queried(on_sandbox, bucket):
    """By their content, several at once, and joined; one that is not there is said to be so."""
    sink, arrow = io.BytesIO(), io.BytesIO()
    orc.write_table(pa.table({"a": [1, 2]}), sink)
    feather.write_feather(pa.table({"a": [2], "b": ["x"]}), arrow, compression="uncompressed")
    for name, body in (("o/x.orc", sink.getvalue()), ("o/y.orc", sink.getvalue()), ("z", arrow.getvalue())):
        bucket(name, body)
    where = f"s3://{EMPTY}"
    assert sorted(on_sandbox(f"FROM '{where}/o/*.orc'")["a"]) == [1, 1, 2, 2]
    joined = on_sandbox(f"SELECT o.a, z.b FROM '{where}/o/x.orc' o JOIN '{where}/z' z USING (a)")
    assert joined.to_dict("list") == {"a": [2], "b": ["x"]}
    assert "there is no object" in on_sandbox.fails(f"FROM '{where}/none.orc'", ObjectNotFoundError).message
    bucket("cut.orc", sink.getvalue()[:-20])
    assert "damaged" in on_sandbox.fails(f"FROM '{where}/cut.orc'", QueryError).message


def test_a_table_over_files_takes_any_known_ending(on_sandbox, bucket):
    """LOCATION reads .pq, a pattern by what its files end in, and a folder by most of them, and says what is left."""
    for name, number in (("p/a.pq", 1), ("p/b.pq", 2), ("q/README", 3)):
        bucket(name, _as_parquet(pa.table({"a": [number]})))
    bucket("p/c.csv", b"a\n4\n")
    said = [
        str(on_sandbox(f"CREATE TABLE {table} LOCATION 's3://{EMPTY}/{location}'"))
        for table, location in (("one", "p/a.pq"), ("several", "p/?.p*"), ("folder", "p/"))
    ]
    assert said[2] == "The table folder was created. It reads the .pq files; 1 with another ending are left out."
    sums = [on_sandbox(f"SELECT sum(a) AS s FROM {table}")["s"][0] for table in ("one", "several", "folder")]
    assert sums == [1, 3, 3]
    on_sandbox(f"CREATE TABLE q LOCATION 's3://{EMPTY}/q/*'; CREATE TABLE readme LOCATION 's3://{EMPTY}/q/README'")
    assert [on_sandbox(f"SELECT a FROM {table}")["a"][0] for table in ("q", "readme")] == [3, 3]
    failed = on_sandbox.fails(f"CREATE TABLE none LOCATION 's3://{EMPTY}/none/'", QueryError)
    assert "there are no files at" in failed.message


def test_an_error_of_a_query_points_into_the_cell(on_sandbox):
    """Line and column are those of the cell, behind comments, other statements and letters of several bytes."""
    failed = on_sandbox.fails("SHOW TABLES; -- ä;\nSELECT 'ü' AS \"ö\",\n  nope FROM range(3)", QueryError)
    assert (failed.place.line, failed.place.column) == (3, 3)
    assert on_sandbox.fails("CREATE TABLE t AS SELECT\n  nope", QueryError).place.line == 2
    assert on_sandbox.fails("CREATE TABLE t (a int,\n  b intt)", QueryError).place.line == 2


def test_a_wrong_query_keeps_its_cell_from_running(on_sandbox):
    """Syntax is checked before the first statement runs."""
    on_sandbox.fails("CREATE TABLE t AS SELECT 1; SELECT 1 1", QueryError)
    assert len(on_sandbox("SHOW TABLES")) == 0


def test_access_that_is_denied_is_denied_in_a_query(on_sandbox, sandbox):
    """The IAM action that is missing is named."""
    ask = passing_to(sandbox.endpoint)
    with recording(lambda one: error(403, "AccessDenied") if "range" in one.headers else ask(one)) as recorder:
        on_sandbox(create("shut", keys=sandbox.admin, ENDPOINT=recorder.endpoint, VALIDATE=False))
        failed = on_sandbox.fails(f"FROM {ONE.replace('s3://', 's3://shut@')}", AccessDeniedError)
    assert failed.action == "s3:GetObject"


def test_one_column_is_read_and_no_more(on_sandbox, bucket):
    """Of a file of many columns, a query takes the footer and the column; EXPLAIN ANALYZE says so."""
    noise = np.random.default_rng(1)
    body = _as_parquet(pa.table({f"c{at}": noise.random(40_000) for at in range(10)}))
    bucket("wide.parquet", body)
    query = f"SELECT sum(c4) FROM 's3://{EMPTY}/wide.parquet'"
    read = on_sandbox(query).attrs["read"]
    assert read["requests"] == 2
    assert read["bytes"] < 1.2 * (len(body) / 10 + 256 * 1024)
    on_sandbox("SET CACHE = 0")
    explanation = str(on_sandbox(f"EXPLAIN ANALYZE {query}"))
    on_sandbox("SET CACHE = '512 MB'")
    assert explanation.startswith(f"Read from S3: 2 requests, {read['bytes']:,} bytes")
    assert "Row Groups Scanned" in explanation


def test_values_that_pandas_cannot_hold_are_text(on_sandbox):
    """Intervals, years beyond 9999, before 1, and columns of one name are shown."""
    frame = on_sandbox(
        "SELECT INTERVAL 3 DAY AS a, TIMESTAMP '290000-01-01' AS b, 1 AS c, 2 AS c, [1, 2] AS d, NULL AS e"
    )
    assert list(frame.columns) == ["a", "b", "c", "c", "d", "e"]
    assert "290000" in repr(frame) or "out of range" in repr(frame)
    assert frame._repr_html_()


# Tables


def test_tables_are_made_shown_and_dropped(run):
    """From a query, from columns, over files; rows, columns and connections are told."""
    run(f"CREATE TABLE kept AS SELECT * FROM {ONE}; CREATE TABLE empty (a INT, b VARCHAR); CREATE TABLE later")
    run(f"CREATE TABLE files LOCATION 's3://{LAKE}/events/year=2026/month=01/'; CREATE TABLE plain AS SELECT 1 AS a")
    shown = run("SHOW TABLES").set_index("name")
    assert list(shown.index) == ["kept", "empty", "later", "files", "plain"]
    assert shown["rows"].fillna(-1).tolist()[1:] == [0, 0, -1, 1]
    assert shown["rows"]["kept"] == run(f"SELECT count(*) AS n FROM {ONE}")["n"][0]
    assert shown["connections"].tolist() == [["lake"], [], [], ["lake"], []]
    assert shown["columns"]["empty"] == ["a INTEGER", "b VARCHAR"]
    assert shown["location"]["files"] == f"s3://{LAKE}/events/year=2026/month=01/"
    assert run("SELECT count(*) AS n FROM files")["n"][0] > shown["rows"]["kept"]
    run("DROP TABLE kept; DROP TABLE files; DROP TABLE IF EXISTS kept; DROP TABLE later")
    assert list(run("SHOW TABLES LIKE '%n'")["name"]) == ["plain"]
    run.fails("DROP TABLE kept", BindError)
    run.fails("FROM files", QueryError)


def test_a_table_is_replaced_whole_or_not_at_all(on_sandbox):
    """A query that fails leaves the table that was there."""
    on_sandbox("CREATE TABLE t AS SELECT 1 AS a")
    on_sandbox.fails("CREATE TABLE t AS SELECT 2", BindError)
    assert "no change" in str(on_sandbox("CREATE TABLE IF NOT EXISTS t AS SELECT 2"))
    on_sandbox.fails("CREATE OR REPLACE TABLE t AS SELECT CAST('x' AS INT)", QueryError)
    on_sandbox.fails(f"CREATE OR REPLACE TABLE t LOCATION 's3://{LAKE}/reports/'", QueryError)
    assert rows(on_sandbox("FROM t")) == [(1,)]
    on_sandbox(f"CREATE OR REPLACE TABLE T LOCATION 's3://{LAKE}/sales/orders.csv'")
    assert on_sandbox("SHOW TABLES")["connections"].tolist() == [["lake"]]
    on_sandbox("CREATE OR REPLACE TABLE t (a INT)")
    assert on_sandbox("SHOW TABLES")["connections"].tolist() == [[]]
    on_sandbox("DROP CONNECTION lake")


def test_a_query_fills_columns_that_are_declared(on_sandbox):
    """Names alone, or names with types, before AS; a value that does not fit leaves no table."""
    assert str(on_sandbox("CREATE TABLE order AS SELECT 1")).endswith('In queries it is written "order".')
    on_sandbox("DROP TABLE order")
    on_sandbox(
        'CREATE TABLE named (x, "y z") AS SELECT 1, 2; CREATE TABLE typed (x BIGINT, y VARCHAR(9)) AS SELECT 1, 2'
    )
    assert on_sandbox("SHOW TABLES")["columns"].tolist() == [["x INTEGER", "y z INTEGER"], ["x BIGINT", "y VARCHAR"]]
    assert rows(on_sandbox("FROM typed")) == [(1, "2")]
    failed = on_sandbox.fails("CREATE OR REPLACE TABLE typed (x INT) AS\nSELECT 'no' || 'ne'", QueryError)
    assert "Could not convert" in failed.message
    on_sandbox.fails("CREATE TABLE other (x INTT) AS SELECT 1", QueryError)
    assert rows(on_sandbox("FROM typed")) == [(1, "2")]
    assert rows(on_sandbox("SELECT table_name FROM duckdb_tables() ORDER BY 1")) == [("named",), ("typed",)]


def test_a_connection_with_tables_is_not_dropped(on_sandbox):
    """The refusal names them; CASCADE drops them, too; a table without a connection stays."""
    on_sandbox(f"CREATE TABLE b LOCATION 's3://{LAKE}/sales/orders.csv'; CREATE TABLE a AS SELECT * FROM {ONE}")
    on_sandbox("CREATE TABLE free AS SELECT 1 AS a")
    failed = on_sandbox.fails("DROP CONNECTION lake", ConnectionInUseError)
    assert failed.message == "Cannot delete connection due to usages: b a"
    assert failed.notes == ("table b: DROP TABLE b;", "table a: DROP TABLE a;")
    on_sandbox("DROP CONNECTION lake CASCADE; CREATE TABLE a AS SELECT 1")
    assert list(on_sandbox("SHOW TABLES")["name"]) == ["free", "a"]


def test_tables_follow_their_connection(on_sandbox, sandbox):
    """OR REPLACE, ALTER and RENAME keep a table over files working, and another default changes nothing for it."""
    on_sandbox(f"CREATE TABLE orders LOCATION 's3://{LAKE}/sales/orders.csv'")
    count = on_sandbox("SELECT count(*) AS n FROM orders")["n"][0]
    on_sandbox("ALTER S3 CONNECTION lake RENAME TO pond")
    on_sandbox(
        create("lake", keys=sandbox.admin, ENDPOINT="http://127.0.0.1:9", VALIDATE=False) + "; USE CONNECTION lake"
    )
    assert on_sandbox("SELECT count(*) AS n FROM orders")["n"][0] == count
    assert on_sandbox.fails("DROP CONNECTION pond", ConnectionInUseError).usages == ("orders",)
    replacing = create("pond", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False)
    on_sandbox(replacing.replace("CREATE", "CREATE OR REPLACE"))
    assert on_sandbox("SELECT count(*) AS n FROM orders")["n"][0] == count


def test_a_connection_is_renamed_while_its_tables_cannot_be_read(on_sandbox, sandbox):
    """RENAME reads nothing, and tables over files are read by the new name."""
    ask, shut = passing_to(sandbox.endpoint), []
    with recording(lambda one: error(403, "AccessDenied") if shut else ask(one)) as recorder:
        on_sandbox(create("door", keys=sandbox.admin, ENDPOINT=recorder.endpoint, VALIDATE=False))
        for name in ("orders", "customers"):
            on_sandbox(f"CREATE TABLE {name} LOCATION 's3://{LAKE}/events/year=2026/month=01/' USING door")
        shut.append(True)
        on_sandbox("ALTER S3 CONNECTION door RENAME TO gate")
        on_sandbox.fails("FROM orders LIMIT 3", AccessDeniedError)
        shut.clear()
        assert on_sandbox.connections == ["lake", "gate"]
        assert len(on_sandbox("FROM orders LIMIT 3")) == len(on_sandbox("FROM customers LIMIT 3")) == 3
        assert on_sandbox.fails("DROP CONNECTION gate", ConnectionInUseError).usages == ("orders", "customers")


def test_tables_of_a_file_are_there_in_the_next_kernel(on_sandbox, sandbox, tmp_path):
    """With SET DATABASE tables keep their files' place and their connections; a view of somebody else is left alone."""
    file = tmp_path / "tables.duckdb"
    with duckdb.connect(str(file)) as database:
        database.execute("CREATE VIEW theirs AS SELECT 5 AS five; COMMENT ON VIEW theirs IS 'mine'")
    on_sandbox(f"SET DATABASE = '{file}'; CREATE TABLE kept AS SELECT * FROM {ONE}")
    on_sandbox(f"CREATE TABLE orders LOCATION 's3://{LAKE}/sales/orders.csv'; CREATE TABLE plain AS SELECT 1 AS a")
    on_sandbox("ALTER S3 CONNECTION lake RENAME TO pond")
    on_sandbox.session.close()
    run = Statements()
    run(f"SET DATABASE = '{file}'")
    shown = run("SHOW TABLES").set_index("name")
    assert shown["connections"].to_dict() == {"theirs": [], "kept": ["pond"], "orders": ["pond"], "plain": []}
    assert shown["location"].dropna().to_dict() == {"orders": f"s3://{LAKE}/sales/orders.csv"}
    run(create("pond", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    assert set(run.fails("DROP CONNECTION pond", ConnectionInUseError).usages) == {"kept", "orders"}
    assert run("SELECT count(*) AS n FROM orders JOIN theirs ON true")["n"][0] == 1500
    run("CREATE OR REPLACE TABLE orders AS SELECT 2 AS b; DROP CONNECTION pond CASCADE")
    assert set(run("SHOW TABLES")["name"]) == {"plain", "orders", "theirs"}
    run.session.close()


def _ending_duckdb():
    """A table of Arrow that DuckDB 1.5 fails on within itself: dictionaries of dictionaries within lists."""
    structs = pa.StructArray.from_arrays([pa.array(["a", "b"]).dictionary_encode()], ["d"])
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), structs)
    return pa.table({"c": pa.ListArray.from_arrays(pa.array([0, 1, 3]), twice)})


def test_a_defect_of_duckdb_is_one_sentence():
    """What DuckDB was doing, and neither its stack nor the JSON that both come in, whatever stands behind that."""
    said = json.dumps({"exception_type": "INTERNAL", "exception_message": "no stats", "stack_trace": "\n/x/y.so(_Z1)"})
    for text in (
        said,
        f"INTERNAL Error: {said}\nThis error signals an assertion failure within DuckDB.",
        "no stats\n\nStack",
    ):
        error = translate(duckdb.InternalException(text), "", QueryScope())
        assert error.message == "DuckDB failed internally, and was restarted: no stats"
        alive = translate(duckdb.InternalException(text), "", QueryScope(), lambda: True)
        assert alive.message == "DuckDB failed internally: no stats"
        assert alive.hint.startswith("All tables are as they were.")


@pytest.mark.parametrize("where", ["memory", "file"])
def test_a_defect_of_duckdb_ends_one_statement_and_not_the_session(tmp_path, where):
    """The statement says that DuckDB failed; the next ones work, and tables in a file are still there."""
    run = Statements(bad=_ending_duckdb())
    if where == "file":
        run(f"SET DATABASE = '{tmp_path / 'tables.duckdb'}'")
    run("CREATE TABLE kept AS SELECT 1 AS a")
    error = run.fails("SELECT * FROM bad", QueryError)
    assert error.message.startswith("DuckDB failed internally, and was restarted: ")
    assert "Stack Trace" not in error.message
    assert run("SELECT 2 AS a")["a"].tolist() == [2]
    if where == "file":
        assert run("SELECT a FROM kept")["a"].tolist() == [1]
    else:
        run.fails("SELECT a FROM kept", QueryError)
        run("CREATE TABLE kept AS SELECT 3 AS a")
        assert run("SELECT a FROM kept")["a"].tolist() == [3]


def test_a_table_over_files_that_are_gone_says_so(on_sandbox, sandbox):
    """Without files at its location a table is an error, by its name and behind a schema, and no table of no rows."""
    store = client("s3", sandbox.endpoint, sandbox.admin)
    store.put_object(Bucket=LAKE, Key="passing/rows.csv", Body=b"a,b\n1,2\n")
    on_sandbox(f"CREATE TABLE passing LOCATION 's3://{LAKE}/passing/'")
    assert on_sandbox("SELECT a FROM main.passing")["a"].tolist() == [1]
    assert on_sandbox("SELECT a FROM passing, (SELECT b FROM main.passing)")["a"].tolist() == [1]
    store.delete_object(Bucket=LAKE, Key="passing/rows.csv")
    for name in ("passing", "main.passing"):
        on_sandbox.fails(f"SELECT a FROM {name}", S3ConnError)


def test_columns_of_other_order_are_said_to_be_filled_by_place(on_sandbox):
    """INSERT goes by place as in SQL; names that would fit in another order are told, and others are not."""
    on_sandbox("CREATE TABLE towns (name text, city text)")
    swapped = on_sandbox("INSERT INTO towns SELECT 'Oslo' AS city, 'Ada' AS name")
    assert "MAP_COLUMNS_BY_NAME goes by their names" in str(swapped)
    for query in ("SELECT 'Ada' AS name, 'Oslo' AS city", "SELECT 'Ada', 'Oslo'", "SELECT 'Ada' AS n, 'Oslo' AS name"):
        assert "by place" not in str(on_sandbox(f"INSERT INTO towns {query}"))
    assert "by place" not in str(on_sandbox("INSERT INTO towns MAP_COLUMNS_BY_NAME SELECT 'Oslo' city, 'Ada' AS name"))
