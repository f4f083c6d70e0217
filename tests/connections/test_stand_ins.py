"""What stands in for S3 within a process answers every statement: mocks, stubs, recorded answers."""

from __future__ import annotations

import io
import socket
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch
from uuid import uuid4

import boto3
import pandas as pd
import pyarrow.parquet as pq
import pytest
import vcr
from botocore import xform_name
from botocore.awsrequest import AWSHTTPSConnection, AWSHTTPSConnectionPool, AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from inventories import FOLDER, Report, row
from moto import mock_aws
from moto.core.models import botocore_stubber
from servers import moto_server
from statements import Statements, create

from s3conn_magic.cluster import Workers
from s3conn_magic.errors import AccessDeniedError, BucketNotFoundError, EndpointError
from s3conn_magic.listing import fetch
from s3conn_magic.notebook.candidates import KernelSurroundings, offered
from s3conn_magic.objects.scope import BLOCKS
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

PAIR = Keys("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
ODD = "odd/ä +%\x01&<'.csv"
THEN = datetime(2024, 1, 2, tzinfo=UTC)
COUNT = 30
REPORT = f"s3://reports/{FOLDER}/manifest.json"
OBJECTS = {f"n/{number:04}.json": b'{"n":%d}' % number for number in range(COUNT)} | {ODD: b"a,b\n1,2\n"}


@pytest.fixture
def leaving(monkeypatch):
    """Where requests wanted to go that left this process; none of them got there."""
    return _without_network(monkeypatch)


def _without_network(monkeypatch):
    hosts = []

    def refuse(*args, **_keys):
        hosts.append(args)
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return hosts


@pytest.fixture(scope="module")
def filled():
    """A bucket in moto, which is over."""
    mock = mock_aws()
    mock.start()
    client = boto3.client("s3", region_name="us-east-1")
    for bucket in ("lake", "reports", "tables"):
        client.create_bucket(Bucket=bucket)
    Report([[row("a", 1), row("b", 2)]], kept_in="reports").put(client)
    for key, body in OBJECTS.items():
        client.put_object(Bucket="lake", Key=key, Body=body)
    mock.stop(remove_data=False)
    yield mock
    mock.start()
    mock.stop()


@pytest.fixture
def run(filled, leaving):
    """A session within the mock, with a connection that was looked at."""
    del leaving
    filled.start(reset=False)
    statements = Statements()
    statements(create("lake", keys=PAIR, REGION="us-east-1"))
    yield statements
    filled.stop(remove_data=False)


STATEMENTS = {
    "LIST 's3://lake/n/' LIMIT ALL": lambda frame: len(frame) == COUNT and frame["key"].is_monotonic_increasing,
    "LIST 's3://lake/'": lambda frame: frame["key"].tolist() == ["n/", "odd/"],
    "LIST 's3://lake/odd/'": lambda frame: frame["key"].tolist() == [ODD],
    "LIST 's3://lake/n/' VERSIONS LIMIT 25": lambda frame: len(frame) == 25 and frame["is_latest"].all(),
    "LIST 's3://lake/' MATCHING 'n/*7.json'": lambda frame: len(frame) == 3,
    "ANALYZE 's3://lake/'": lambda frame: (
        dict(zip(frame["group"], frame["objects"], strict=True)) == {"n/": COUNT, "odd/": 1}
    ),
    "SELECT count(*) AS c, sum(n) AS s FROM 's3://lake/n/000*.json'": lambda frame: (
        frame.to_numpy().tolist() == [[10, 45]]
    ),
    "CREATE TABLE t LOCATION = 's3://lake/odd/'; SELECT a + b AS s FROM t": lambda frame: (
        frame.to_numpy().tolist() == [[3]]
    ),
    "CREATE JOB c AS COPY FROM S3 lake LOCATION = 's3://lake/n/' FILE_PATTERN = '000..json' INTO loaded;"
    "SELECT sum(n) AS s FROM loaded": lambda frame: frame.to_numpy().tolist() == [[45]],
    "CREATE JOB i AS INSERT INTO S3 lake LOCATION = 's3://tables/{far}/' FILE_FORMAT = (TYPE = PARQUET) SELECT 7 AS a;"
    "SELECT a FROM 's3://tables/{far}/*'": lambda frame: frame.to_numpy().tolist() == [[7]],
    "PREVIEW 's3://lake/n/0007.json'": lambda preview: '"n": 7' in str(preview) or "7" in str(preview),
    "TEST CONNECTION lake LOCATION 's3://lake/n/'": lambda frame: frame.set_index("action")["allowed"]["list"],
    "SHOW BUCKETS": lambda frame: frame["bucket"].tolist() == ["lake", "reports", "tables"],
    "EXPLORE 's3://lake/n/'": lambda explorer: "0007.json" in explorer._repr_mimebundle_()[0]["text/plain"],
    "DISCOVER 's3://lake/n/'": lambda frame: frame["objects"].sum() == COUNT,
    "COMPARE 's3://lake/n/' WITH 's3://lake/odd/'": lambda frame: len(frame) == COUNT + 1,
    "DESCRIBE SELECT * FROM 's3://lake/n/*.json'": lambda frame: frame.iloc[:, 0].tolist() == ["n"],
    "SUMMARIZE SELECT * FROM 's3://lake/n/*.json'": lambda frame: "29" in str(frame),
    "SELECT count(*) AS c FROM objects('s3://lake/n/')": lambda frame: frame["c"][0] == COUNT,
    "ANALYZE 's3://lake/' BY EXTENSION": lambda frame: set(frame["objects"]) == {COUNT, 1},
    "CREATE TABLE far (n BIGINT) STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://tables/{far}/';"
    "INSERT INTO far SELECT 4; INSERT INTO far SELECT 5; SELECT sum(n) AS s FROM far": lambda frame: frame["s"][0] == 9,
    "CREATE TABLE far (n BIGINT) STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://tables/{far}/';"
    "CREATE JOB c AS COPY FROM S3 lake LOCATION = 's3://lake/n/' INTO far; RUN JOBS; OPTIMIZE TABLE far;"
    "MERGE INTO far USING (SELECT 3 AS n) s ON far.n = s.n WHEN MATCHED THEN DELETE; SELECT sum(n) AS s FROM far": (
        lambda frame: frame["s"][0] == sum(range(COUNT)) - 3
    ),
    "CREATE TABLE far (n BIGINT) STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://tables/{far}/';"
    "INSERT INTO far SELECT 4; SHOW SNAPSHOTS far": lambda frame: len(frame) >= 1,
    f"LIST FROM INVENTORY '{REPORT}'": lambda frame: frame["key"].tolist() == ["a", "b"],
    f"ANALYZE FROM INVENTORY '{REPORT}'": lambda frame: frame["objects"].sum() == 2,
    f"SELECT count(*) AS c FROM inventory('{REPORT}')": lambda frame: frame["c"][0] == 2,
}


def _completed(session, text):
    """The paths that are offered at the end of a text, once they have come."""
    around = KernelSurroundings(SimpleNamespace(user_ns={}), lambda: session.session)
    until = time.monotonic() + 10
    while not (names := [text for text, _ in offered(text, len(text), around)[1]]) and time.monotonic() < until:
        time.sleep(0.01)
    return names


def _several(session):
    """Many objects at once, by the filesystem that is handed on."""
    files = session.connection("lake").fsspec()
    bodies = files.cat([f"lake/{key}" for key in OBJECTS])
    return {key.removeprefix("lake/"): body for key, body in bodies.items()} == OBJECTS


def _large(session):
    """An object of several parts, written and read."""
    files, body = session.connection("lake").fsspec(), bytes(range(256)) * (40 * 4096)
    files.pipe_file("tables/large.bin", body)
    with files.open("tables/large.bin", block_size=2**20) as file:
        return file.read() == body


def _table(session):
    """A frame written by pandas and read by PyArrow."""
    options = session.connection("lake").storage_options("pandas")
    pd.DataFrame({"a": [1, 2]}).to_parquet("s3://tables/a.parquet", storage_options=options)
    filesystem = session.connection("lake").pyarrow_filesystem()
    return pq.read_table("tables/a.parquet", filesystem=filesystem)["a"].to_pylist() == [1, 2]


# What is asked of S3 besides statements.
USES = {
    "completion of a bucket": lambda session: _completed(session, "LIST 's3://lak") == ["s3://lake/"],
    "completion of a folder": lambda session: (
        _completed(session, "LIST 's3://lake/n/000")
        == [key.removeprefix("n/") for key in OBJECTS if key.startswith("n/000")]
    ),
    "several objects": _several,
    "an object of several parts": _large,
    "a table": _table,
}
EVERYTHING = [*STATEMENTS, *USES]
# Tables in S3 give their files new names each time, and PyIceberg writes several at once.
REPEATABLE = [each for each in EVERYTHING if "STORAGE_LOCATION" not in each]


def _ran(run, statement, folder=""):
    """What a statement or another use gives; each has a folder of its own for its table."""
    if statement in USES:
        return USES[statement](run)
    return STATEMENTS[statement](run(statement.replace("{far}", folder or uuid4().hex)))


@pytest.mark.parametrize("statement", EVERYTHING)
def test_every_statement_works_in_a_mock(run, leaving, statement):
    """Under `mock_aws()` each statement gives what is in the mock, and nothing leaves the process."""
    assert _ran(run, statement)
    assert leaving == []


@pytest.mark.parametrize("statement", EVERYTHING)
def test_every_statement_works_where_botocore_s_sending_is_replaced(alone, filled, statement):
    """What records or replays answers in its place sends each request of a statement, and nothing else does."""

    def send(_session, request):
        filled.start(reset=False)
        try:
            return botocore_stubber("before-send", request)
        finally:
            filled.stop(remove_data=False)

    with patch("botocore.httpsession.URLLib3Session.send", send):
        assert _ran(alone, statement)


@pytest.fixture(scope="module")
def endpoint(filled):
    """A server of moto's over the same buckets."""
    del filled
    with moto_server() as address:
        yield address


@pytest.mark.parametrize("statement", [each for each in REPEATABLE if USES.get(each) is not _large])
def test_what_vcrpy_recorded_of_a_statement_answers_it_again(endpoint, statement, tmp_path, monkeypatch):
    """A statement is recorded whole, also where it asks in several threads, and replayed without a server."""
    recorder, folder = vcr.VCR(match_on=["method", "scheme", "host", "port", "path", "query"]), uuid4().hex

    def ran():
        BLOCKS.shrink(0)
        with recorder.use_cassette(str(tmp_path / "recorded.yaml")):
            statements = Statements()
            statements(create("lake", keys=PAIR, REGION="us-east-1", ENDPOINT=endpoint))
            return _ran(statements, statement, folder)

    assert ran()
    hosts = _without_network(monkeypatch)
    assert ran()
    assert hosts == []


@pytest.mark.parametrize(
    "statement",
    [
        "LIST 's3://lake/n/' RECURSIVE LIMIT ALL",
        "ANALYZE 's3://lake/'",
        "CREATE JOB c AS COPY FROM S3 lake LOCATION = 's3://lake/n/' INTO loaded; SELECT * FROM loaded",
    ],
)
def test_a_cluster_is_not_asked_for_what_is_in_a_mock(run, leaving, statement, monkeypatch):
    """Its workers are other processes, in which there is no mock: they would ask AWS."""
    monkeypatch.setattr(Workers, "cluster", lambda _: object())
    run.session.settings["ENGINE"] = "dask"
    assert len(run(statement)) in {COUNT, 2}
    assert leaving == []


def test_a_mock_s_refusal_is_the_statement_s(run):
    """A bucket that the mock lacks is said to be none."""
    run.fails("LIST 's3://nowhere/'", BucketNotFoundError)


def test_outside_of_the_mock_the_network_is_asked(run, filled, leaving):
    """When the mock is over, a listing goes to the network as any request does."""
    filled.stop(remove_data=False)
    run.fails("LIST 's3://lake/'", EndpointError)
    filled.start(reset=False)
    assert leaving


@pytest.fixture
def alone(leaving):
    """A session without a network and without a mock."""
    statements = Statements()
    statements(create("lake", keys=PAIR, REGION="us-east-1", VALIDATE=False))
    yield statements
    assert leaving == []


def answers(_client, operation, parameters):
    """What a test writes in place of botocore's calls: two pages, versions, and a refusal."""
    if parameters["Bucket"] == "secret":
        told = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(told, operation)
    row = {"Size": 3, "LastModified": THEN, "ETag": '"abc"', "StorageClass": "GLACIER"}
    if operation == "ListObjectVersions":
        marker = {"Key": "gone", "VersionId": "v2", "IsLatest": True, "LastModified": THEN}
        versions = [{"Key": ODD, "VersionId": "v1", "IsLatest": False, **row}]
        return {"Versions": versions, "DeleteMarkers": [marker], "CommonPrefixes": [{"Prefix": "a +/"}]}
    if "ContinuationToken" in parameters:
        return {"Contents": [{"Key": "z", **row}]}
    return {"Contents": [{"Key": ODD, **row}], "IsTruncated": True, "NextContinuationToken": "more & more"}


def test_calls_that_are_replaced_are_asked(alone):
    """Where `_make_api_call` is another's, listings are what it gives: every page, versions, and refusals."""
    with patch.object(BaseClient, "_make_api_call", answers):
        frame = alone("LIST 's3://lake/' RECURSIVE LIMIT ALL")
        versions = alone("LIST 's3://lake/' VERSIONS")
        alone.fails("LIST 's3://secret/'", AccessDeniedError)
    assert frame["key"].tolist() == [ODD, "z"]
    assert frame.loc[0, ["size", "etag", "storage_class", "last_modified"]].tolist() == [3, "abc", "GLACIER", THEN]
    assert versions["key"].tolist() == ["a +/", "gone", "odd/"]
    assert versions["is_delete_marker"].tolist()[1] is True


def test_a_stubber_is_asked(alone):
    """A Stubber on the client that is asked answers a listing, once."""
    with Stubber(alone.connection("lake").internal_client("lake")) as stubber:
        stubber.add_response("list_objects_v2", {"Contents": [{"Key": "a", "Size": 1, "LastModified": THEN}]})
        assert alone("LIST 's3://lake/'")["key"].tolist() == ["a"]
        stubber.assert_no_pending_responses()
        stubber.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
        alone.fails("LIST 's3://lake/'", AccessDeniedError)


def test_a_stubber_is_not_asked_for_a_region(alone):
    """Nothing is signed for it: what botocore would not ask, it need not answer."""
    alone(create("anywhere", keys=PAIR, VALIDATE=False))
    with Stubber(alone.connection("anywhere").client("s3")) as stubber:
        stubber.add_response("list_objects_v2", {"Contents": [{"Key": "a", "Size": 1}]})
        assert alone("LIST 's3://lake/' USING anywhere")["key"].tolist() == ["a"]


def test_a_stubber_on_a_connection_s_client_answers_for_all_of_its_clients(alone):
    """Those of fewer tries, too; an answer without metadata is read, and one that is not there is named."""
    told = {"ContentLength": 8, "ETag": '"abc"', "LastModified": THEN}
    with Stubber(alone.connection("lake").internal_client("lake")) as stubber:
        stubber.add_response("list_buckets", {"Buckets": [{"Name": "lake"}]})
        stubber.add_response("list_directory_buckets", {"Buckets": [{"Name": "near--use1-az4--x-s3"}]})
        assert alone("SHOW BUCKETS")["bucket"].tolist() == ["lake", "near--use1-az4--x-s3"]
        stubber.add_response("head_object", told)
        stubber.add_response("get_object", told | {"Body": StreamingBody(io.BytesIO(b"a,b\n1,2\n"), 8)})
        assert "1" in str(alone("PREVIEW 's3://lake/x.csv'"))
        assert "no answer for HeadObject" in alone.fails("PREVIEW 's3://lake/y.csv'", EndpointError).message
        assert "no answer for ListObjectsV2" in alone.fails("LIST 's3://lake/'", EndpointError).message


def _recorded(use, monkeypatch):
    """The calls that something makes, in their order: service, method, and what answers it."""
    calls, ask = [], BaseClient._make_api_call

    def asked(client, operation, parameters):
        try:
            answer = ask(client, operation, parameters)
        except ClientError as error:
            calls.append((client.meta.service_model.service_name, xform_name(operation), error.response))
            raise
        if "Body" in answer:
            answer["Body"] = answer["Body"].read()
        answer.pop("EncodingType", None)  # botocore has decoded it
        calls.append((client.meta.service_model.service_name, xform_name(operation), answer))
        return _afresh(answer)

    with monkeypatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", asked)
        assert use()
    return calls


def _afresh(answer):
    """An answer whose body, if it has one, was not read."""
    body = answer.get("Body")
    return answer if body is None else answer | {"Body": StreamingBody(io.BytesIO(body), len(body))}


def _add(stubber, method, answer):
    if "Error" in answer:
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        stubber.add_client_error(method, answer["Error"]["Code"], http_status_code=status)
    else:
        stubber.add_response(method, _afresh(answer))


@pytest.fixture
def over(filled):
    """Ends the mock until the test is over."""
    yield partial(filled.stop, remove_data=False)
    filled.start(reset=False)


@pytest.mark.parametrize("statement", REPEATABLE)
def test_stubbers_on_clients_that_were_handed_out_answer_a_statement(run, over, leaving, statement, monkeypatch):
    """Answers are given in their order: what is asked side by side elsewhere is asked one after the other."""
    folder = uuid4().hex
    calls = _recorded(lambda: _ran(run, statement, folder), monkeypatch)
    over()
    BLOCKS.shrink(0)
    statements = Statements()
    statements(create("lake", keys=PAIR, REGION="us-east-1", VALIDATE=False))
    with ExitStack() as stack:
        services = {service for service, _, _ in calls}
        stubbers = {name: stack.enter_context(Stubber(statements.connection("lake").client(name))) for name in services}
        for service, method, answer in calls:
            _add(stubbers[service], method, answer)
        assert _ran(statements, statement, folder)
        for stubber in stubbers.values():
            stubber.assert_no_pending_responses()
    assert calls
    assert leaving == []


def test_what_a_cassette_lacks_is_asked_of_nobody_else(leaving, tmp_path):
    """What vcrpy raises is named, and the server that it stands for is not tried for another protocol."""
    lake = create("lake", keys=PAIR, REGION="us-east-1", ENDPOINT="http://127.0.0.1:1")
    with vcr.VCR(record_mode="none").use_cassette(str(tmp_path / "none.yaml")):
        failure = Statements().fails(lake, EndpointError)
    assert "CannotOverwriteExistingCassetteException" in failure.message
    assert leaving == []


class _Body:
    def __init__(self, body):
        self._body = body

    def stream(self, *_args, **_keys):
        yield self._body


def test_a_sender_that_is_replaced_sends(alone):
    """Where botocore's sending is another's, it gets the signed request of a listing, and its bytes are the page."""
    sent = []
    page = (
        b"<ListBucketResult><Name>lake</Name><Prefix></Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>"
        b"<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated><Contents><Key>a%20b</Key>"
        b"<LastModified>2024-01-02T00:00:00.000Z</LastModified><Size>1</Size></Contents></ListBucketResult>"
    )

    def send(_session, request):
        sent.append(request)
        return AWSResponse(request.url, 200, {}, _Body(page))

    with patch("botocore.httpsession.URLLib3Session.send", send):
        assert alone("LIST 's3://lake/'")["key"].tolist() == ["a b"]
    assert sent[0].url.startswith("https://lake.s3.amazonaws.com/?list-type=2&prefix=")
    assert sent[0].headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/")


def test_a_recorder_s_connections_are_used_while_it_records(alone, monkeypatch):
    """Where botocore's class of connections is another's for a while, requests go through it, and not afterwards."""
    opened = []

    class Recorder(AWSHTTPSConnection):
        def connect(self):
            opened.append(self.host)
            raise ConnectionRefusedError

    monkeypatch.setattr(fetch, "TRIES", 1)
    with patch.object(AWSHTTPSConnectionPool, "ConnectionCls", Recorder):
        alone.fails("LIST 's3://lake/'", EndpointError)
        alone.fails("PREVIEW 's3://lake/a.csv'", EndpointError)
    assert set(opened) == {"lake.s3.amazonaws.com"}
    before = len(opened)
    with patch.object(BaseClient, "_make_api_call", answers):
        assert len(alone("LIST 's3://lake/'")) == 2
    assert len(opened) == before
