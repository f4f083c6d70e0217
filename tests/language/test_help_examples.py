"""The examples of HELP, run by somebody who tries all of them in one session."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inventories import Report, row
from moto import mock_aws
from statements import Statements

from s3conn_magic.errors import ConnectionInUseError
from s3conn_magic.language.reference import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = {reference.name: reference.example for reference in STATEMENTS}
# The sandbox is a server of its own, which the quickstart's tests start; within a mock nobody reaches it.
ELSEWHERE = {"START SANDBOX", "STOP SANDBOX"}
IN_S3 = ("ALTER TABLE", "OPTIMIZE TABLE", "SHOW SNAPSHOTS")
"""Of the table `clicks`, whose files are in S3, which a connection that is READ_ONLY cannot have."""
INVENTORY = "acme-lake/daily/2026-01-01T01-00Z/manifest.json"
_WITH_ROWS = {"LIST", "LIST FROM INVENTORY", "ANALYZE", "SELECT", "SHOW BUCKETS", "SHOW CONNECTIONS"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Statements]:
    """A session where the profile and the buckets of the examples are."""
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text("[profile analytics]\nregion = us-east-1\n", encoding="utf-8")
    credentials.write_text(
        "[analytics]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = made-up\n", encoding="utf-8"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.chdir(tmp_path)
    with mock_aws():
        _fill()
        statements = Statements()
        yield statements
        statements.session.close()


def _fill() -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    for bucket in ("bucket", "reports"):
        s3.create_bucket(Bucket=bucket)
    table = io.BytesIO()
    pq.write_table(pa.table({"price": [1.5, 2.5], "name": ["a", "b"]}), table)
    for key in ("folder/data.parquet", "folder/2026/more.parquet", "sales.parquet"):
        s3.put_object(Bucket="bucket", Key=key, Body=table.getvalue())
    for key in ("orders/1.csv", "sales/1.csv"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"id,price\n1,2.5\n")
    report = Report([[row("a.csv", 1)]], kept_in="reports")
    for name, body in report.objects.items():
        s3.put_object(Bucket="reports", Key=name, Body=body)
        if name.endswith("manifest.json"):
            s3.put_object(Bucket="reports", Key=INVENTORY, Body=body)


def test_the_examples_of_help_run_one_after_the_other(run: Statements) -> None:
    """In the order in which HELP has them, what drops their connection at last: each does what it says."""
    names = [name for name in EXAMPLES if name not in {*ELSEWHERE, *IN_S3, "DROP CONNECTION"}]
    given = {name: run(EXAMPLES[name]) for name in names}
    assert [name for name in _WITH_ROWS if not len(given[name])] == []
    assert run("SELECT * FROM orders")["price"].tolist() == [2.5]
    # The table that the job has loaded depends on it.
    assert "DROP TABLE orders;" in run.fails(EXAMPLES["DROP CONNECTION"], ConnectionInUseError).block()
    run("DROP TABLE orders")
    run(EXAMPLES["DROP CONNECTION"])
    assert [*run.session.connections] == []


def test_the_examples_about_tables_in_s3_run(run: Statements) -> None:
    """Each does what it says to a table that was made through a connection that writes."""
    run("CREATE S3 CONNECTION writer AWS_PROFILE = 'analytics'")
    run("CREATE TABLE clicks (id BIGINT) STORAGE_CONNECTION = writer STORAGE_LOCATION = 's3://bucket/clicks/'")
    run("INSERT INTO clicks VALUES (1)")
    for name in IN_S3:
        run(EXAMPLES[name])
    assert len(run(EXAMPLES["SHOW SNAPSHOTS"])) == 1
