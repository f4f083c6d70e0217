"""ALTER, PAUSE, RESUME and RUN JOBS, SHOW CREATE, and the session's tables of jobs and connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3conn_magic.errors import BindError, JobFailedError, JobNotFoundError, QueryError

if TYPE_CHECKING:
    from lakes import Lake


def _copy(lake: Lake, name: str, table: str, options: str = "") -> str:
    return f"CREATE JOB {name} {options} AS COPY FROM S3 lake LOCATION = 's3://{lake.bucket}/in/' INTO {table}"


@pytest.fixture
def run(moto_lake: Lake):
    """A session with one object to load."""
    moto_lake.put(a__csv="a,b\n1,x\n2,y\n")
    return moto_lake.session()


def test_a_job_is_shown_as_the_statement_that_makes_it(moto_lake: Lake, run):
    """SHOW CREATE JOB gives what was written, with its options, and that makes the same job again."""
    run.names["where"] = f"s3://{moto_lake.bucket}/in/"
    run("""CREATE JOB "my job" COMMENT = 'it''s', RUN_PARALLELISM = 4 AS COPY FROM S3 lake LOCATION = $where
        CONTENT_TYPE = (TYPE = CSV DELIMITER = ',') COLUMN_TRANSFORMATIONS = (c = upper(b)) INTO demo."o t" """)
    statement = str(run('SHOW CREATE JOB "my job"'))
    assert statement == (
        'CREATE JOB "my job"\n'
        "    COMMENT = 'it''s'\n"
        "    RUN_PARALLELISM = 4\n"
        "    CONTENT_TYPE = (TYPE = CSV DELIMITER = ',')\n"
        "    COLUMN_TRANSFORMATIONS = (c = upper(b))\n"
        "AS COPY FROM S3 lake\n"
        "    LOCATION = $where\n"
        'INTO demo."o t";'
    )
    run('DROP JOB "my job"; DROP TABLE demo."o t"')
    run(statement)
    assert str(run('SHOW CREATE JOB "my job"')) == statement
    assert run('SELECT c FROM demo."o t" ORDER BY a')["c"].tolist() == ["X", "Y"]


def test_a_job_that_inserts_is_shown_with_its_query(moto_lake: Lake, run):
    """SHOW CREATE JOB of INSERT INTO S3 ends with the query, and follows a connection that was renamed."""
    query = "SELECT 1 AS a, ';' AS b"
    where = f"BUCKET = '{moto_lake.bucket}' PREFIX = 'out/'"
    run(f"CREATE JOB j MAP_COLUMNS_BY_NAME AS INSERT INTO S3 lake {where} {query}")
    run("ALTER S3 CONNECTION lake RENAME TO sea")
    expected = ["CREATE JOB j", "    MAP_COLUMNS_BY_NAME", "AS INSERT INTO S3 sea"]
    expected += [f"    BUCKET = '{moto_lake.bucket}'", "    PREFIX = 'out/'", f"{query};"]
    assert str(run("SHOW CREATE JOB j")).split("\n") == expected


def test_alter_job_sets_what_holds_for_the_next_runs(moto_lake: Lake, run):
    """COMMENT, END_AT, RUN_INTERVAL are set, with those that have no effect here; the rest stays, and is refused."""
    run(_copy(moto_lake, "j", "t", "COMMENT = 'old' RUN_INTERVAL = 1 HOUR"))
    assert str(run("RUN JOBS")) == "No job is due."
    said = str(run("alter job J set comment = 'new' run_interval = 0, COMPUTE_CLUSTER = x"))
    assert said == "The job j was altered. COMPUTE_CLUSTER: accepted, without effect on one machine."
    assert run("SHOW JOBS")["comment"].tolist() == ["new"]
    assert str(run("RUN JOBS")) == "j: There was nothing new to load into t."
    run("ALTER JOB j SET END_AT = '2026-01-01'")
    moto_lake.put(b__csv="a,b\n3,z\n")
    assert str(run("RUN JOB j")) == "There was nothing new to load into t."


@pytest.mark.parametrize(
    ("setting", "said", "hint"),
    [
        ("LOCATION = 's3://other/'", "LOCATION cannot be changed once the job is created", "SHOW CREATE JOB j;"),
        ("CONTENT_TYPE = CSV", "CONTENT_TYPE cannot be changed once the job is created", "SHOW CREATE JOB j;"),
        ("COMENT = 'x'", "unknown option of a job", "Did you mean COMMENT?"),
        ("END_AT = 5", "END_AT takes NOW or a time", ""),
        ("COMMENT = 'a' COMMENT = 'b'", "COMMENT is given twice", "Keep one COMMENT."),
    ],
)
def test_what_alter_job_does_not_set_is_refused_where_it_stands(moto_lake: Lake, run, setting: str, said: str, hint):
    """Nothing changes when an option is not one that a job lets be set."""
    run(_copy(moto_lake, "j", "t", "COMMENT = 'old'"))
    with pytest.raises(BindError) as caught:
        run(f"ALTER JOB j SET RUN_INTERVAL = 5 MINUTES {setting}")
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert "RUN_INTERVAL" not in str(run("SHOW CREATE JOB j"))


def test_a_paused_job_does_not_run(moto_lake: Lake, run):
    """RUN JOB refuses it with the statement that helps, RUN JOBS passes it over, and SHOW JOBS says it."""
    run(_copy(moto_lake, "j", "t"))
    assert str(run("PAUSE JOB j")).startswith("The job j was paused")
    assert str(run("PAUSE JOB j")).startswith("Operation resulted in no change")
    with pytest.raises(JobFailedError, match="paused") as caught:
        run("RUN JOB j")
    assert run("SHOW JOBS")["state"].tolist() == ["paused"]
    assert str(run("RUN JOBS")) == "No job is due."
    run(caught.value.hint.split(";")[0])
    assert run("SHOW JOBS")["state"].tolist() == ["ok"]
    assert str(run("RESUME JOB j")).startswith("Operation resulted in no change")
    assert "Loaded" not in str(run("RUN JOB j"))
    with pytest.raises(JobNotFoundError):
        run("PAUSE JOB nope")


def test_run_jobs_runs_what_feeds_others_first(moto_lake: Lake, run):
    """A job that reads a table runs after the one that loads it, though it was made before; a failure stops none."""
    run("CREATE TABLE raw.t (a BIGINT, b VARCHAR)")
    out = f"LOCATION = 's3://{moto_lake.bucket}"
    run(f"CREATE JOB reader AS INSERT INTO S3 lake {out}/out/' SELECT count(*) AS n FROM raw.t")
    run("CREATE TABLE gone AS SELECT 1 AS a")
    run(f"CREATE JOB broken AS INSERT INTO S3 lake {out}/broken/' FROM gone")
    run("DROP TABLE gone")
    run(_copy(moto_lake, "loader", "raw.t"))
    moto_lake.put(b__csv="a,b\n3,z\n")
    with pytest.raises(JobFailedError, match="1 job failed: broken: ") as caught:
        run("RUN JOBS")
    (note,) = caught.value.notes
    assert [line.partition(":")[0] for line in note.split("\n")] == ["loader", "reader"]
    assert run(f"FROM 's3://{moto_lake.bucket}/out/reader.parquet'")["n"].tolist() == [3]
    calls = run("EXPLAIN RUN JOBS")["call"].tolist()
    assert {"S3 ListObjectsV2", "S3 PutObject"} <= {*calls}


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        ("CREATE TABLE t (a INTEGER NOT NULL, b VARCHAR DEFAULT 'x')", "CREATE TABLE t (a INTEGER NOT NULL, b VARCHAR"),
        ("CREATE TABLE t ()", "CREATE TABLE t ();"),
        ('CREATE TABLE "a b" AS SELECT 1 AS "c d"', 'CREATE TABLE "a b" ("c d" INTEGER);'),
        ("CREATE TABLE s.t AS SELECT 1 AS a", "CREATE TABLE s.t (a INTEGER);"),
        ("CREATE TABLE c.s.t AS SELECT DATE '2026-01-01' AS a", "CREATE TABLE c.s.t (a DATE);"),
    ],
)
def test_a_table_is_shown_as_the_statement_that_makes_it(run, made: str, shown: str):
    """SHOW CREATE TABLE gives a statement that makes a table of the same columns, under any name."""
    run(made)
    (name,) = run("SHOW TABLES")["name"].tolist()
    name = f'"{name}"' if " " in name else name
    statement = str(run(f"SHOW CREATE TABLE {name}"))
    assert statement.startswith(shown)
    run(f"DROP TABLE {name}")
    run(statement)
    assert str(run(f"SHOW CREATE TABLE {name}")) == statement


def test_a_loaded_table_and_one_over_files_are_shown_without_what_is_ours(moto_lake: Lake, run):
    """The column of a COPY is left out, which adds it again; a table over files has its location and connection."""
    run(_copy(moto_lake, "j", "t"))
    assert str(run("SHOW CREATE TABLE t")) == "CREATE TABLE t (a BIGINT, b VARCHAR);"
    run(f"CREATE TABLE over LOCATION 's3://{moto_lake.bucket}/in/'")
    assert str(run("SHOW CREATE TABLE over")) == f"CREATE TABLE over LOCATION 's3://{moto_lake.bucket}/in/' USING lake;"
    with pytest.raises(BindError, match="no table of that name"):
        run("SHOW CREATE TABLE nope")


def test_jobs_and_connections_are_tables_of_queries(moto_lake: Lake, run):
    """`system.information_schema` and `system.monitoring.jobs` are read in any query, by alias or by their own name."""
    run(_copy(moto_lake, "j", "t", "COMMENT = 'hourly'"))
    jobs = run("SELECT job, comment, \"rows\" FROM System.information_schema.JOBS WHERE jobs.state = 'ok'")
    assert jobs.to_dict("records") == [{"job": "j", "comment": "hourly", "rows": 2}]
    query = """SELECT c.name, count(*) AS n FROM system.information_schema.connections AS c
        JOIN system.monitoring.jobs ON jobs.connection = c.name JOIN t ON true GROUP BY ALL"""
    assert run(query).to_dict("records") == [{"name": "lake", "n": 2}]
    tables = run("SELECT table_name AS name FROM system.information_schema.tables WHERE table_schema = 'main'")
    assert tables["name"].tolist() == ["t"]
    with pytest.raises(QueryError, match="nope does not exist") as caught:
        run("SELECT 1 FROM system.information_schema.connections, nope")
    assert caught.value.place is not None
    assert caught.value.place.column == len("SELECT 1 FROM system.information_schema.connections, ") + 1
