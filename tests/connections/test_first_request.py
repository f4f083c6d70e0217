"""The first request of a connection, whichever statement sends it."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws
from statements import Statements

from s3conn_magic.runtime.background import run_in_background, wait_for

_FIRST = ("LIST 's3://bucket/'", "PREVIEW 's3://bucket/a.csv'", "FROM 's3://bucket/a.csv'", "ANALYZE 's3://bucket/'")
_JOBS = (
    "COPY FROM S3 lake LOCATION = 's3://bucket/' INTO t",
    "INSERT INTO S3 lake LOCATION = 's3://bucket/out/' SELECT 1",
)


@pytest.mark.parametrize("statement", [*_FIRST, *(f"CREATE JOB j AS {job}" for job in _JOBS)])
def test_credentials_of_the_chain_are_obtained_by_the_first_statement_that_needs_them(statement: str):
    """Where nothing was asked before, each statement obtains them itself, and comes to an end."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="a.csv", Body=b"a,b\n1,2\n")
        run = Statements()
        run("CREATE S3 CONNECTION lake REGION = 'us-east-1' VALIDATE = FALSE")
        ended = run_in_background(lambda: run(statement), name="statement")
        assert wait_for(ended, within=60) is not None
