"""Names of tables of one, two and three parts: never cut, and never merged."""

from __future__ import annotations

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from statements import Statements, create

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.words import table_parts, table_text

NAMES = [
    "t",
    "main2.t",
    "glue.dev.t",
    "glue.prod.t",
    '"a.b".t',
    "a.b.t",
    '"a.b.t"',
    'glue."odd name"."T.x"',
    "glue.main.t",
]


@pytest.fixture
def run(monkeypatch):
    """A session with a connection to a bucket in moto's own process, which has a file for each of some folders."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="names")
        for number in range(len(NAMES)):
            s3.put_object(Bucket="names", Key=f"{number}/a.csv", Body=f"n\n{number}\n".encode())
        session = Statements()
        session(create("lake", REGION="us-east-1", VALIDATE=False))
        yield session
        session.session.close()


def values(run, name: str) -> list[int]:
    return run(f"SELECT n FROM {name}")["n"].tolist()


@pytest.mark.parametrize(
    "make",
    [
        "CREATE TABLE {name} AS SELECT {number} AS n",
        "CREATE TABLE {name} LOCATION 's3://names/{number}/'",
        "CREATE JOB j{number} AS COPY FROM S3 lake LOCATION = 's3://names/{number}/' INTO {name}",
    ],
    ids=["AS", "LOCATION", "COPY"],
)
def test_every_name_is_a_table_of_its_own(run, make):
    """Tables whose names share parts stay apart, are shown as they are written, and dropped one by one."""
    for number, name in enumerate(NAMES):
        run(make.format(name=name, number=number))
    assert {name: values(run, name) for name in NAMES} == {name: [number] for number, name in enumerate(NAMES)}
    assert sorted(run("SHOW TABLES")["name"]) == sorted(NAMES)
    for name in NAMES[::2]:
        run(f"DROP TABLE {name}")
    assert {name: values(run, name) for name in NAMES[1::2]} == {name: [NAMES.index(name)] for name in NAMES[1::2]}
    run.fails("FROM glue.dev.t")


def test_a_name_alone_is_in_the_schema_main(run):
    """`t` and `main.t` are one table, in whatever case, and so is one behind the name of DuckDB's own database."""
    run("CREATE TABLE t AS SELECT 1 AS n")
    assert values(run, "Main.T") == values(run, "memory.main.t") == [1]
    assert "already exists" in run.fails("CREATE TABLE MAIN.T (n INTEGER)").message
    run("DROP TABLE main.t")
    run.fails("FROM t")


@pytest.mark.parametrize(
    "text",
    ["CREATE TABLE glue.x (a INTEGER)", "CREATE TABLE memory.main.x (a INTEGER)", "CREATE TABLE dev.x.y (a INTEGER)",
     "CREATE TABLE temp.a.x (a INTEGER)"],
)  # fmt: skip
def test_a_name_that_could_be_two_is_refused(run, text):
    """A schema and a catalog of one name, or DuckDB's own catalogs, would make one name stand for two tables."""
    run("CREATE TABLE glue.dev.t (a INTEGER); CREATE TABLE dev.t (a INTEGER)")
    run.fails(text, S3ConnError)


def test_tables_in_catalogs_are_there_for_the_next_kernel(run, tmp_path):
    """With SET DATABASE catalogs are files beside it; what a job has loaded into one is not loaded again."""
    copy = "CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://names/3/' INTO glue.prod.t"
    run(f"SET DATABASE = '{tmp_path}/x.duckdb'; {copy}")
    run("CREATE TABLE glue.dev.t LOCATION 's3://names/2/'")
    run.session.close()
    again = Statements()
    again(create("lake", REGION="us-east-1", VALIDATE=False))
    again(f"SET DATABASE = '{tmp_path}/x.duckdb'")
    assert sorted(again("SHOW TABLES")["name"]) == ["glue.dev.t", "glue.prod.t"]
    assert "nothing new" in str(again(copy))
    assert (values(again, "glue.prod.t"), values(again, "glue.dev.t")) == ([3], [2])
    again.session.close()


def test_an_object_that_changed_is_replaced_in_its_catalog(run):
    """Rows and the note of what is loaded change together, in the catalog of the table."""
    run("CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://names/3/' INTO glue.prod.t")
    boto3.client("s3", region_name="us-east-1").put_object(Bucket="names", Key="3/a.csv", Body=b"n\n30\n31\n")
    run("RUN JOB j")
    assert sorted(values(run, "glue.prod.t")) == [30, 31]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_a_name_is_one_text_and_back(parts):
    """Whatever is in its parts, the text of a name gives them again, but for the schema main."""
    again = table_parts(table_text(parts))
    assert again == (parts[1:] if len(parts) == 2 and parts[0].casefold() == "main" else parts)
