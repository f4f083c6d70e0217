"""EXPLAIN: what it tells is what the statement then requests, and it requests nothing itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from recording import Recorder, passing_to, recording
from statements import Statements, create

from s3conn_magic.errors import ConnectionNotFoundError, ReadOnlyConnectionError, S3ConnError
from s3conn_magic.sandbox import EMPTY, LAKE
from s3conn_magic.session.explain import GET_USD, LIST_USD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recording import Request

    from s3conn_magic.sandbox import Sandbox

CSV, PARQUET = f"s3://{LAKE}/sales/orders.csv", f"s3://{LAKE}/**/*.parquet"
TOLD = f"s3://{EMPTY}/told/"
STATEMENTS = (
    "SHOW BUCKETS",
    "LIST",
    f"LIST 's3://{LAKE}/'",
    f"LIST 's3://{LAKE}/' RECURSIVE",
    f"LIST 's3://{LAKE}/' RECURSIVE MATCHING '{{sales,events}}/**'",
    f"LIST 's3://{LAKE}/' VERSIONS",
    "LIST RECURSIVE",
    f"ANALYZE 's3://{LAKE}/'",
    f"PREVIEW '{CSV}'",
    "TEST CONNECTION lake",
    f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE",
    f"SELECT count(*) FROM '{CSV}'",
    f"SELECT count(*) FROM '{PARQUET}'",
    "SELECT count(*) FROM orders",
    f"SELECT count(*) FROM 's3://lake@{LAKE}/sales/orders.csv'",
    f"CREATE OR REPLACE TABLE again AS SELECT * FROM '{CSV}'",
    f"CREATE OR REPLACE TABLE again LOCATION '{CSV}'",
    f"CREATE OR REPLACE TABLE again LOCATION 's3://{LAKE}/sales/'",
    "ALTER S3 CONNECTION lake SET COMMENT = 'seen'",
    "EXPLORE ALL CONNECTIONS",
    f"CREATE JOB loads AS COPY FROM S3 lake LOCATION = '{CSV}' CONTENT_TYPE = CSV INTO loaded",
    f"CREATE JOB writes AS INSERT INTO S3 lake LOCATION = '{TOLD}' FILE_FORMAT = (TYPE = CSV) SELECT 1 AS one",
    "RUN JOB writes",
    "SHOW CONNECTIONS",
    "SET PROGRESS = FALSE",
    "HELP",
)


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> Iterator[Recorder]:
    """The sandbox, behind what keeps every request."""
    with recording(passing_to(sandbox.endpoint)) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def run(sandbox: Sandbox, server: Recorder) -> Iterator[Statements]:
    """A session with the connection `lake` and a table over a file."""
    statements = Statements()
    statements(create("lake", keys=sandbox.admin, ENDPOINT=server.endpoint))
    statements(f"CREATE TABLE orders LOCATION '{CSV}'")
    yield statements
    client = statements.connection("lake").client()
    for key in statements(f"LIST '{TOLD}' RECURSIVE").key:
        client.delete_object(Bucket=EMPTY, Key=key)


def _operation(request: Request) -> str:
    """The operation of a request, as S3's path style has it."""
    _, _, key = request.path.strip("/").partition("/")
    if request.method == "POST":
        return f"STS {request.form['Action']}"
    if key:
        return f"S3 {request.method.capitalize()}Object"
    if request.path == "/":
        return "S3 ListBuckets"
    if "uploads" in request.query:
        return "S3 ListMultipartUploads"
    return f"S3 {'ListObjectVersions' if 'versions' in request.query else 'ListObjectsV2'}"


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_requests_what_was_told_and_telling_requests_nothing(
    statement: str, run: Statements, server: Recorder
):
    """No request leaves for EXPLAIN; those of the statement are of the calls and numbers that it told."""
    before = len(server.requests)
    frame = run(f"EXPLAIN {statement}")
    assert len(server.requests) == before
    run(statement)
    sent = Counter(map(_operation, server.requests[before:]))
    assert set(sent) <= set(frame["call"])
    for call, requests, bound in zip(frame["call"], frame["requests"], frame["bound"], strict=True):
        assert _holds(sent[call], requests, bound), (call, sent[call], bound, requests)


def _holds(sent: int, told: int, bound: str) -> bool:
    if bound == "unknown":
        return True
    return {"exactly": sent == told, "at least": sent >= told, "at most": sent <= told}[bound]


def test_nothing_is_changed_or_asked_for(run: Statements, server: Recorder):
    """A connection that is only told of is not there for the next statement, and nobody types its secret."""
    before = len(server.requests)
    frame = run(f"EXPLAIN CREATE S3 CONNECTION other AWS_PROFILE = PROMPT ENDPOINT = '{server.endpoint}'")
    assert [*frame["call"]] == ["STS GetCallerIdentity", "S3 ListBuckets"]
    run.fails("EXPLAIN CREATE S3 CONNECTION other; LIST USING other", ConnectionNotFoundError)
    run("EXPLAIN DROP CONNECTION lake CASCADE; EXPLAIN SET LIMIT = 1")
    assert (run.connections, run.session.settings["LIMIT"]) == (["lake"], 1_000_000)
    assert len(server.requests) == before


def test_roles_filters_and_regions_are_told_of():
    """What assumes a role, finds a bucket's region and reads each display filter is in the frame, in that order."""
    run = Statements()
    role = "arn:aws:iam::123456789012:role/reader"
    frame = run(
        f"EXPLAIN CREATE S3 CONNECTION x AWS_ROLE = '{role}' PATH_DISPLAY_FILTERS = ('s3://one/a/', 's3://two/')"
    )
    assert [*zip(frame["call"], frame["action"], frame["resource"], strict=True)] == [
        ("STS AssumeRole", "sts:AssumeRole", role),
        ("STS GetCallerIdentity", "sts:GetCallerIdentity", "*"),
        ("S3 HeadBucket", "s3:ListBucket", "arn:aws:s3:::one"),
        ("S3 HeadBucket", "s3:ListBucket", "arn:aws:s3:::two"),
        ("S3 ListObjectsV2", "s3:ListBucket", "arn:aws:s3:::one"),
        ("S3 ListObjectsV2", "s3:ListBucket", "arn:aws:s3:::two"),
    ]
    assert len(run("EXPLAIN CREATE S3 CONNECTION x VALIDATE = FALSE")) == 0
    assert run.notes[-1] == "The statement sends no request."


def test_dollars_are_the_stated_prices(run: Statements):
    """A listing costs what 1,000 LIST requests do by its number, a read what GET requests do, STS nothing."""
    frame = run("EXPLAIN TEST CONNECTION lake LOCATION 's3://acme-lake/'").set_index("call")
    assert frame.usd["S3 ListObjectsV2"] == pytest.approx(2 * LIST_USD / 1000)
    assert frame.usd["S3 GetObject"] == pytest.approx(GET_USD / 1000)
    assert frame.usd["STS GetCallerIdentity"] == 0
    assert f"${LIST_USD} per 1,000" in run.notes[-1]


def test_what_would_be_refused_is_refused(sandbox: Sandbox, server: Recorder):
    """A write through a READ_ONLY connection, and a query that is none, fail as the statement would."""
    run = Statements()
    run(create("kept", keys=sandbox.admin, ENDPOINT=server.endpoint, READ_ONLY=True, VALIDATE=False))
    job = f"CREATE JOB w AS INSERT INTO S3 kept LOCATION = 's3://{EMPTY}/' FILE_FORMAT = (TYPE = CSV) SELECT 1"
    run.fails(f"EXPLAIN {job}", ReadOnlyConnectionError)
    assert run.fails("EXPLAIN SELECT FROM WHERE", S3ConnError).place.column > 1
