"""Jobs into tables: INSERT INTO, MERGE INTO and materialized views, exactly once by the time of each run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from s3conn_magic.errors import BindError, JobFailedError, QueryError

if TYPE_CHECKING:
    from pathlib import Path

    from lakes import Lake, Nursery

WINDOW = "BETWEEN run_start_time() AND run_end_time()"


def _orders(*ids: int) -> str:
    rows = [{"id": one, "kind": "A" if one % 2 else "B", "who": {"first": f"n{one}", "last": "x"}} for one in ids]
    return "\n".join(map(json.dumps, rows))


def _load(lake: Lake, table: str = "raw", more: str = "") -> str:
    return f"CREATE SYNC JOB load AS COPY FROM S3 lake LOCATION = 's3://{lake.bucket}/in/' INTO {table} {more};"


def _stored(lake: Lake, name: str, managed: bool, columns: str = "()") -> str:
    place = f" STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://{lake.bucket}/{name}/'" if managed else ""
    return f"CREATE TABLE {name} {columns}{place};"


def _ids(run: Any, table: str) -> list[int]:
    found: list[int] = run(f"SELECT id FROM {table} ORDER BY id")["id"].tolist()
    return found


@pytest.fixture
def run(moto_lake: Lake):
    """A session with two objects to load."""
    moto_lake.put(a__json=_orders(1, 2), b__json=_orders(3))
    return moto_lake.session()


@pytest.mark.parametrize("managed", [False, True])
@pytest.mark.parametrize("column", ["$event_time", "$commit_time"])
def test_jobs_feed_jobs_and_each_row_goes_through_once(moto_lake: Lake, run, managed: bool, column: str):
    """Raw rows go through two tables into S3, run by run: none twice, none lost, also of objects that are old."""
    began = datetime.now(UTC).replace(tzinfo=None)
    run(_stored(moto_lake, "raw", managed) + _stored(moto_lake, "clean", managed) + _load(moto_lake))
    if column == "$commit_time":  # to the microsecond: what came before the end of a run is not of the next one's time
        assert run('SELECT min("$commit_time") AS came FROM raw')["came"][0] >= began
    run(f"""CREATE SYNC JOB clean RUN_INTERVAL = 0 AS INSERT INTO clean MAP_COLUMNS_BY_NAME
        SELECT id, name, {column} AS at FROM raw LET name = who.first || ' ' || who.last WHERE {column} {WINDOW};
        CREATE SYNC JOB out AS INSERT INTO S3 lake LOCATION = 's3://{moto_lake.bucket}/out/' FILE_FORMAT = JSON
        SELECT id, name FROM clean WHERE $commit_time {WINDOW}""")
    assert _ids(run, "clean") == [1, 2, 3]
    for number in (4, 5):
        moto_lake.put(**{f"c{number}__json": _orders(number)})
        run("RUN JOBS")
        run("RUN JOBS")
    assert _ids(run, "clean") == [1, 2, 3, 4, 5]
    written = run(f"SELECT id, name FROM 's3://{moto_lake.bucket}/out/*.json' ORDER BY id")
    assert written["id"].tolist() == [1, 2, 3, 4, 5]
    assert written["name"][0] == "n1 x"
    kinds = run("SHOW JOBS")[["type", "table", "state"]].values.tolist()
    assert kinds[1] == ["INSERT INTO", "clean", "ok"]


def test_a_window_holds_its_beginning_and_not_its_end(run):
    """A row at the very end of a run's time is of the next run, whatever the precision of its column."""
    run("CREATE TABLE t AS SELECT 0 AS id, TIMESTAMP '2026-01-01' AS ts; CREATE TABLE u (id INTEGER)")
    run(f"""CREATE JOB j START_FROM = '2026-01-01' END_AT = '2026-02-01' AS INSERT INTO u
        SELECT id FROM t WHERE ts {WINDOW}""")
    assert _ids(run, "u") == [0]
    run("INSERT INTO t VALUES (1, TIMESTAMP '2026-02-01'), (2, TIMESTAMP '2026-01-31 23:59:59.999999')")
    assert "Everything between START_FROM and END_AT" in str(run("RUN JOB j"))
    run(f"""CREATE TABLE n AS SELECT 1 AS id, TIMESTAMP_NS '2026-01-31 23:59:59.999999999' AS ts;
        CREATE TABLE v (id INTEGER);
        CREATE JOB k START_FROM = '2026-01-01' END_AT = '2026-02-01' AS INSERT INTO v
        SELECT id FROM n WHERE ts {WINDOW} UNION ALL SELECT id + 10 FROM t WHERE NOT ts NOT {WINDOW}""")
    assert _ids(run, "v") == [1, 10, 12]


@pytest.mark.parametrize("managed", [False, True])
def test_a_merge_job_upserts_by_key(moto_lake: Lake, run, managed: bool):
    """MERGE INTO as a job adds the columns that the table lacks, replaces, deletes, and takes each row once."""
    run(_stored(moto_lake, "raw", False) + _load(moto_lake))
    run(_stored(moto_lake, "last", managed, "(id BIGINT) PRIMARY KEY id"))
    run(f"""CREATE SYNC JOB m ADD_MISSING_COLUMNS = TRUE AS MERGE INTO last target
        USING (SELECT id % 2 AS id, max(id) AS newest, bool_or(id = 9) AS gone FROM raw WHERE $event_time {WINDOW}
        GROUP BY 1) source ON target.id = source.id
        WHEN MATCHED AND gone THEN DELETE WHEN MATCHED THEN REPLACE
        WHEN NOT MATCHED THEN INSERT MAP_COLUMNS_BY_NAME EXCEPT source.gone""")
    assert run("FROM last ORDER BY id").values.tolist() == [[0, 2], [1, 3]]
    moto_lake.put(c__json=_orders(4))
    run("RUN JOBS; RUN JOBS")
    assert run("FROM last ORDER BY id").values.tolist() == [[0, 4], [1, 3]]
    moto_lake.put(d__json=_orders(9))
    run("RUN JOBS")
    assert run("FROM last ORDER BY id").values.tolist() == [[0, 4]]
    assert str(run("SHOW CREATE JOB m")).startswith(
        "CREATE JOB m\n    ADD_MISSING_COLUMNS = TRUE\nAS MERGE INTO last\n"
    )


@pytest.mark.parametrize("columns", ["(id BIGINT, part VARCHAR, n BIGINT)", "()"])
def test_an_insert_job_replaces_rows_of_the_same_primary_key(moto_lake: Lake, run, columns: str):
    """Of several rows of one key the last stays; columns that a run does not have stay as they are, new ones come."""
    place = f"STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://{moto_lake.bucket}/last/'"
    run(f"CREATE TABLE last {columns} PARTITIONED BY part PRIMARY KEY id, part {place}; CREATE TABLE raw () ")
    run("CREATE OR REPLACE TABLE raw AS FROM (VALUES (1, 'a', 10), (2, 'a', 20), (1, 'a', 11)) AS v(id, part, n)")
    run("CREATE JOB j AS INSERT INTO last MAP_COLUMNS_BY_NAME SELECT id::BIGINT AS id, part, n::BIGINT AS n FROM raw")
    assert run("FROM last ORDER BY ALL").values.tolist() == [[1, "a", 11], [2, "a", 20]]
    run("CREATE OR REPLACE TABLE raw AS FROM (VALUES (1, 'b', 12), (2, 'a', NULL), (3, 'a', 30)) AS v(id, part, n)")
    run("RUN JOB j")
    found = run("SET RESULT = 'arrow'; FROM last ORDER BY id, part").to_pylist()
    assert [tuple(row.values()) for row in found] == [(1, "a", 11), (1, "b", 12), (2, "a", None), (3, "a", 30)]
    run("CREATE JOB k AS INSERT INTO last MAP_COLUMNS_BY_NAME SELECT id, part, 'x' AS more FROM raw WHERE id > 2")
    found = run("FROM last WHERE id > 2").to_pylist()
    assert [tuple(row.values()) for row in found] == [(3, "a", 30, "x")]
    with pytest.raises(QueryError, match="lack part of the primary key"):
        run("CREATE JOB l AS INSERT INTO last MAP_COLUMNS_BY_NAME SELECT id FROM raw")
    with pytest.raises(QueryError, match="PRIMARY KEY"):
        run("CREATE JOB m AS INSERT INTO last MAP_COLUMNS_BY_NAME SELECT id, NULL AS part FROM raw")
    run("INSERT INTO last (id, part) VALUES (3, 'a')")  # by hand it appends, as everywhere
    assert run("FROM last WHERE id = 3").num_rows == 2


@pytest.mark.parametrize("said", ["MAP_COLUMNS_BY_NAME SELECT id, 'x' AS who", "SELECT id, 'x'"])
def test_first_rows_get_the_times_that_their_table_is_partitioned_by(moto_lake: Lake, run, said: str):
    """A table without columns takes those of the first rows of a job, with the date of their coming."""
    place = f"STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://{moto_lake.bucket}/dated/'"
    run(f"CREATE TABLE dated () PARTITIONED BY $event_date {place}; CREATE TABLE raw AS SELECT 1 AS id")
    run(f"CREATE JOB j AS INSERT INTO dated {said} FROM raw; RUN JOB j")
    found = run("SELECT id, $event_date = current_date AS today FROM dated")
    assert found.values.tolist() == [[1, True], [1, True]]
    with pytest.raises(QueryError, match="partitioned"):
        run(f"CREATE TABLE u () PARTITIONED BY nothing {place.replace('dated', 'u')}; INSERT INTO u SELECT 1 AS id")


def test_a_materialized_view_is_made_anew_by_its_job(moto_lake: Lake, run):
    """It is a table that queries read, RUN JOBS renews it behind what it reads, and DROP ends both."""
    run(_stored(moto_lake, "raw", False) + _load(moto_lake))
    run("CREATE MATERIALIZED VIEW db.counts AS SELECT kind, count(*) AS n FROM raw GROUP BY kind")
    assert run("FROM db.counts ORDER BY kind")["n"].tolist() == [2, 1]
    moto_lake.put(c__json=_orders(5))
    run("RUN JOBS")
    assert run("FROM db.counts ORDER BY kind")["n"].tolist() == [3, 1]
    assert run("SHOW JOBS")["type"].tolist() == ["COPY FROM S3", "MATERIALIZED VIEW"]
    statement = str(run("SHOW CREATE JOB db.counts"))
    assert statement.startswith("CREATE MATERIALIZED VIEW db.counts\nAS SELECT kind")
    with pytest.raises(JobFailedError, match="not a materialized view"):
        run("DROP MATERIALIZED VIEW load")
    run("DROP MATERIALIZED VIEW db.counts")
    assert run("SHOW TABLES")["name"].tolist() == ["raw"]
    run(statement)
    with pytest.raises(BindError, match="there is a table raw"):
        run("CREATE MATERIALIZED VIEW raw AS SELECT 1 AS a")
    assert str(run("DROP MATERIALIZED VIEW IF EXISTS nope")).endswith("no materialized view nope.")


def test_system_columns_are_written_by_a_copy(moto_lake: Lake, run):
    """A table made without columns has the time of each object, its date, when it came, and where it is."""
    before = run("SELECT now()::TIMESTAMP AS now")["now"][0]
    run(_stored(moto_lake, "raw", False) + _load(moto_lake))
    rows = run("SELECT id, $event_time, $event_date, $commit_time, $source FROM raw ORDER BY id")
    written = {
        one["Key"]: one["LastModified"].replace(tzinfo=None)
        for one in moto_lake.client.list_objects_v2(Bucket=moto_lake.bucket)["Contents"]
    }
    assert rows["$source"].tolist() == [f"s3://{moto_lake.bucket}/in/{key}.json" for key in "aab"]
    assert [one.to_pydatetime() for one in rows["$event_time"]] == [written[f"in/{key}.json"] for key in "aab"]
    assert [str(one)[:10] for one in rows["$event_date"]] == [str(one)[:10] for one in rows["$event_time"]]
    assert (rows["$commit_time"] >= before).all()
    run.names["source"] = f"s3://{moto_lake.bucket}/in/b.json"
    assert _ids(run, 'raw WHERE "$source" = $source') == [3]


def test_a_table_that_was_loaded_before_gets_the_times_that_are_known_of_it(moto_lake: Lake, run):
    """A job that goes by $commit_time has a table without the column take it from what was loaded when."""
    run(_load(moto_lake, "plain") + "CREATE TABLE t (id BIGINT)")
    assert "$commit_time" not in run("FROM plain").columns
    run(f"CREATE JOB j AS INSERT INTO t SELECT id FROM plain WHERE $commit_time {WINDOW}")
    moto_lake.put(c__json=_orders(4))
    run("RUN JOBS; RUN JOBS")
    assert _ids(run, "t") == [1, 2, 3, 4]


def test_expectations_drop_rows_or_count_them(moto_lake: Lake, run):
    """DROP leaves out what is false, WARN only counts, NULL violates nothing; ALTER JOB adds and ends them."""
    moto_lake.put(c__json='{"id": null, "kind": "B"}\n{"id": 7, "kind": "A"}')
    said = str(
        run(
            _load(
                moto_lake,
                "raw",
                """WITH EXPECTATION odd EXPECT id % 2 = 1 ON VIOLATION DROP
            WITH EXPECTATION "a kind" EXPECT kind = 'A' AND length(kind) > 0 ON VIOLATION WARN""",
            )
        )
    )
    assert "The expectation odd was violated by 1 row." in said
    assert "The expectation a kind was violated by 2 rows." in said
    assert run("SELECT id FROM raw ORDER BY id")["id"].dropna().tolist() == [1, 3, 7]
    assert run("SELECT count(*) AS n FROM raw")["n"].tolist() == [4]
    assert run("SHOW JOBS")["violations"].tolist() == [3]
    known = run("SELECT expectation, action, violations FROM system.monitoring.expectations ORDER BY ALL")
    assert known.values.tolist() == [["a kind", "warn", 2], ["odd", "drop", 1]]
    run("ALTER JOB load DROP EXPECTATION odd; ALTER JOB load ADD EXPECTATION small EXPECT id < 5 ON VIOLATION DROP")
    moto_lake.put(d__json=_orders(4, 6))
    run("RUN JOB load")
    assert run("SELECT id FROM raw ORDER BY id")["id"].dropna().tolist() == [1, 3, 4, 7]
    assert "EXPECTATION small EXPECT id < 5 ON VIOLATION DROP;" in str(run("SHOW CREATE JOB load"))
    with pytest.raises(JobFailedError, match="has no expectation odd"):
        run("ALTER JOB load DROP EXPECTATION odd")
    with pytest.raises(QueryError, match="does more than read"):
        run("ALTER JOB load ADD EXPECTATION bad EXPECT nextval('s') > 0 ON VIOLATION WARN")
    with pytest.raises(JobFailedError, match="already has an expectation SMALL"):
        run("ALTER JOB load ADD EXPECTATION SMALL EXPECT id < 6 ON VIOLATION WARN")


@pytest.mark.parametrize("managed", [False, True])
def test_equal_rows_are_loaded_once_within_the_window(moto_lake: Lake, run, managed: bool):
    """DEDUPLICATE_WITH goes by its columns, within an object and against what was loaded before."""
    moto_lake.put(c__json=_orders(3, 4, 4))
    run(_stored(moto_lake, "raw", managed))
    run(f"""CREATE JOB load DEDUPLICATE_WITH = (COLUMNS = (id, kind) WINDOW = 4 HOURS)
        AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO raw""")
    assert _ids(run, "raw") == [1, 2, 3, 4]
    moto_lake.put(d__json=_orders(1, 5))
    run("RUN JOB load")
    assert _ids(run, "raw") == [1, 2, 3, 4, 5]
    moto_lake.put(d__json=_orders(1, 5, 6))
    run("RUN JOB load")
    assert _ids(run, "raw") == [1, 2, 3, 4, 5, 6]
    assert run("SHOW JOBS")["rows"][0] == 7


def test_lists_are_taken_apart_by_unnest(run):
    """Each element gets a row, those of one list stay together, two lists give every pair; outside they are lists."""
    run("""CREATE TABLE t AS SELECT 1 AS id, {'items': [{'k': 1, 'q': 'a'}, {'k': 2, 'q': 'b'}]} AS data,
        ['x', 'y'] AS tags""")
    rows = run("UNNEST(SELECT id, data.items[].k AS k, data.items[].q AS q FROM t)")
    assert rows.values.tolist() == [[1, 1, "a"], [1, 2, "b"]]
    pairs = run("UNNEST(SELECT data.items[].k AS k, tags[] AS tag FROM t WHERE id = 1)")
    assert sorted(map(tuple, pairs.values.tolist())) == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert run(
        "SELECT list_sum(data.items[].k) AS n, [] AS none, id::INTEGER[] IS NULL AS c FROM t LET c = 1 LIMIT 0"
    ).empty
    assert run("SELECT data.items[].k AS ks FROM t")["ks"][0] == [1, 2]


def test_an_insert_job_without_a_time_says_that_it_repeats_rows(run):
    """What a query does not bound is inserted by each run, and that is said."""
    run("CREATE TABLE t AS SELECT 1 AS id; CREATE TABLE u (id INTEGER)")
    assert "each run takes all of its rows" in str(run("CREATE JOB j AS INSERT INTO u SELECT id FROM t"))
    run("RUN JOB j")
    assert _ids(run, "u") == [1, 1]


@pytest.mark.parametrize("managed", [False, True])
def test_a_killed_run_neither_doubles_nor_loses_rows(moto_lake: Lake, nursery: Nursery, tmp_path: Path, managed: bool):
    """A kernel that dies before or behind the commit of a job has all rows of its time there, or none of them."""
    setup = f"SET DATABASE = '{tmp_path / 'tables.db'}';"
    moto_lake.put(a__json=_orders(1, 2))
    first = moto_lake.session(setup.rstrip(";"))
    first(_stored(moto_lake, "raw", False) + _stored(moto_lake, "clean", managed) + _load(moto_lake))
    first.session.close()
    moto_lake.sessions.clear()
    job = f"CREATE JOB clean AS INSERT INTO clean MAP_COLUMNS_BY_NAME SELECT id FROM raw WHERE $commit_time {WINDOW}"
    for point in [("until", 1), ("request", 3), ("request", 6), ("end", 0), ("end", 0)]:
        nursery.kill(setup + moto_lake.connect, job, *point)
    run = moto_lake.session(setup.rstrip(";"))
    run(job)
    assert _ids(run, "clean") == [1, 2]
