"""Tables of catalogs that others share, and what other programs read of tables that are written here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from pyiceberg.catalog import load_catalog
from recording import recording
from rest_catalog import RestCatalog
from statements import Statements

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes.catalogs import UnknownOutcomeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONNECT = """CREATE S3 CONNECTION lake AWS_ACCESS_KEY_ID = 'testing' AWS_SECRET_ACCESS_KEY = 'testing'
    REGION = 'us-east-1' VALIDATE = FALSE"""
_AWS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def run() -> Iterator[Statements]:
    """A session in moto, with the bucket `warehouse`."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        for name, value in _AWS.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="warehouse")
        made = Statements()
        made(_CONNECT)
        yield made
        made.session.close()


def _rows(run: Statements, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in run(f"SET RESULT = 'arrow'; {query}").to_pylist()]


def _filled(run: Statements, setting: str) -> None:
    run(f"SET CATALOG = '{setting}'")
    where = "STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://warehouse/t'"
    run(f"CREATE ICEBERG TABLE sales.t (id BIGINT, name VARCHAR) PARTITIONED BY bucket(2, id) {where}")
    run("INSERT INTO sales.t VALUES (1, 'a'), (2, 'b')")
    run("""MERGE INTO sales.t AS t USING (SELECT 2 AS id, 'c' AS name UNION ALL SELECT 3, 'd') AS s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name)""")


@pytest.fixture
def rest() -> Iterator[tuple[RestCatalog, str]]:
    """A catalog of REST, and its address."""
    catalog = RestCatalog()
    with recording(catalog.answer) as server:
        yield catalog, server.endpoint


@pytest.fixture(params=["sql", "glue", "rest"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, rest: tuple[RestCatalog, str]) -> tuple[str, dict[str, str]]:
    """What SET CATALOG takes, and what PyIceberg takes for the same catalog."""
    address = f"sqlite:///{tmp_path}/catalog.db"
    return {
        "sql": (f"sql:{address}", {"type": "sql", "uri": address}),
        "glue": ("glue", {"type": "glue"}),
        "rest": (f"rest:{rest[1]}", {"type": "rest", "uri": rest[1]}),
    }[request.param]


def test_a_table_of_a_shared_catalog_is_read_by_whoever_asks_that(run: Statements, kind: tuple[str, dict[str, str]]):
    """Rows, changes and the end of a table are those of the catalog: PyIceberg alone finds them there."""
    setting, options = kind
    _filled(run, setting)
    rows = [(1, "a"), (2, "c"), (3, "d")]
    assert _rows(run, "SELECT * FROM sales.t ORDER BY id") == rows
    theirs = load_catalog("default", **options)
    assert theirs.list_tables("sales") == [("sales", "t")]
    other = Statements()
    other(_CONNECT)
    other(f"SET CATALOG = '{setting}'")
    other("CREATE TABLE IF NOT EXISTS sales.t() STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://warehouse/t'")
    assert _rows(other, "SELECT * FROM sales.t ORDER BY id") == rows
    other("OPTIMIZE TABLE sales.t")
    assert _rows(run, "SELECT * FROM sales.t ORDER BY id") == rows
    printed = str(other("SHOW CREATE TABLE sales.t"))
    other("DROP TABLE sales.t; SET CATALOG = 'bucket'")
    other(printed)
    assert _rows(other, "SELECT * FROM sales.t ORDER BY id") == rows
    other.session.close()
    run("DROP TABLE sales.t DELETE_DATA = TRUE")
    assert theirs.list_tables("sales") == []


def test_a_commit_whose_answer_a_catalog_lost_is_there_once(run: Statements, rest: tuple[RestCatalog, str]):
    """The catalog is asked whether the rows are there: they are neither put in again, nor are their files deleted."""
    catalog, address = rest
    run(f"SET CATALOG = 'rest:{address}'")
    run("CREATE TABLE sales.t (a INTEGER) STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://warehouse/t'")
    catalog.lost = 1
    run("INSERT INTO sales.t VALUES (1)")
    assert _rows(run, "FROM sales.t") == [(1,)]
    assert catalog.commits == 1


def test_a_commit_of_which_a_catalog_says_nothing_keeps_its_files(run: Statements, rest: tuple[RestCatalog, str]):
    """Where the catalog does not answer afterwards either, nobody knows, and what was written stays where it is."""
    catalog, address = rest
    run(f"SET CATALOG = 'rest:{address}'")
    run("CREATE TABLE sales.t (a INTEGER) STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://warehouse/t'")
    catalog.silent_after = 1
    with pytest.raises(UnknownOutcomeError, match="not known whether"):
        run("INSERT INTO sales.t VALUES (1)")
    catalog.silent_after = 0
    assert _rows(run, "FROM sales.t") == [(1,)]


def test_a_catalog_that_is_not_there_is_said(run: Statements):
    """A catalog of which nothing answers makes no table, and nothing of it lies in the bucket."""
    with pytest.raises(QueryError):
        _filled(run, "sql:sqlite:////nowhere/at/all/catalog.db")
    assert boto3.client("s3").list_objects_v2(Bucket="warehouse")["KeyCount"] == 0
    assert run("SHOW TABLES")["name"].tolist() == []
