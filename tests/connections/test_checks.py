"""TEST CONNECTION: what is tried, what is said, and that nothing is left."""

from __future__ import annotations

import base64
import signal
import threading

import pytest
from boto_clients import client
from recording import Reply, error, passing_to, recording
from statements import Statements, create
from vaults import answering

from s3conn_magic.errors import StatementInterrupted
from s3conn_magic.sandbox import ARCHIVE, EMPTY, LAKE

ACTIONS = ["identity", "list buckets", "list", "read", "write", "delete", "encryption"]
KEY = base64.b64encode(bytes(range(32))).decode()
KINDS = ("Versions", "DeleteMarkers")


@pytest.fixture
def wire(sandbox):
    """The sandbox behind a recorder."""
    with recording(passing_to(sandbox.endpoint)) as recorder:
        yield recorder


@pytest.fixture
def lake(wire, sandbox):
    """A session with the connection `lake` of the sandbox's admin."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, VALIDATE=False))
    return run


@pytest.fixture
def s3(sandbox):
    """The sandbox's admin, by boto3 alone."""
    return client("s3", sandbox.endpoint, sandbox.admin)


def rows(frame):
    """Action → (allowed, detail)."""
    values = zip(frame["action"], frame["allowed"].astype(object), frame["detail"], strict=True)
    return {action: (one if one is True or one is False else None, detail) for action, one, detail in values}


def written(wire):
    """Methods and keys of what was not read."""
    return [(one.method, one.path) for one in wire.requests if one.method not in {"GET", "POST", "HEAD"}]


def test_everything_that_is_allowed(lake, wire, s3):
    """WITH WRITE every action is tried, one object is written and deleted, and nothing is left."""
    found = rows(lake(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/in/' WITH WRITE"))
    assert list(found) == ACTIONS
    assert {action: one for action, (one, _) in found.items()} == {
        **dict.fromkeys(ACTIONS, True),
        "read": None,
        "encryption": None,
    }
    assert found["identity"][1] == "arn:aws:iam::123456789012:user/admin"
    assert found["list buckets"][1] == "6 buckets"
    assert [method for method, _ in written(wire)] == ["PUT", "DELETE"]
    assert len({path for _, path in written(wire)}) == 1
    assert written(wire)[0][1].startswith(f"/{EMPTY}/in/")
    assert s3.list_objects_v2(Bucket=EMPTY)["KeyCount"] == 0


def test_without_with_write_nothing_is_written(lake, wire):
    """Without WITH WRITE the writes are not tried, and the frame says how to try them."""
    found = rows(lake(f"TEST CONNECTION lake LOCATION 's3://{LAKE}/sales/'"))
    assert found["read"] == (True, f"s3://{LAKE}/sales/customers.csv")
    assert found["list"] == (True, f"s3://{LAKE}/sales/: 2 keys seen")
    assert [found[action] for action in ("write", "delete")] == [(None, "tried only WITH WRITE")] * 2
    assert written(wire) == []


def test_without_a_location_only_the_account_is_tried(lake, wire):
    """Without a location and display filters there is nothing to list, and the frame asks for one."""
    found = rows(lake("TEST CONNECTION lake WITH WRITE"))
    assert {action for action, (one, _) in found.items() if one} == {"identity", "list buckets"}
    assert "LOCATION" in found["list"][1]
    assert "LOCATION" in found["write"][1]
    assert written(wire) == []


def test_the_first_display_filter_is_the_default_location(wire, sandbox):
    """With display filters the first one is where listing and reading are tried."""
    run = Statements()
    options = {"ENDPOINT": wire.endpoint, "PATH_DISPLAY_FILTERS": [sandbox.restricted_location]}
    run(create("sales", keys=sandbox.restricted, **options))
    found = rows(run("TEST CONNECTION sales"))
    assert found["read"] == (True, f"{sandbox.restricted_location}customers.csv")


def test_what_is_denied_names_the_action(wire, sandbox):
    """Each refusal names the IAM action that is missing; a refused write is not followed by a deletion."""
    run = Statements()
    run(create("sales", keys=sandbox.restricted, ENDPOINT=wire.endpoint, VALIDATE=False))
    found = rows(run(f"TEST CONNECTION sales LOCATION 's3://{LAKE}/events/' WITH WRITE"))
    assert found["identity"][0] is True
    assert found["list buckets"] == (False, "the connection sales: access denied: s3:ListAllMyBuckets is missing")
    assert found["list"] == (False, f"access denied: s3:ListBucket is missing on arn:aws:s3:::{LAKE}/events/")
    assert found["write"][0] is False
    assert "s3:PutObject" in found["write"][1]
    assert found["delete"] == (None, "nothing was written")
    assert [method for method, _ in written(wire)] == ["PUT"]


def test_a_write_that_cannot_be_deleted_is_said(wire, sandbox, lake):
    """An identity that may write but not delete is told so, by the action that is missing."""
    ask = passing_to(sandbox.endpoint)
    denied = Reply(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    wire.answer = lambda one: denied if one.method == "DELETE" else ask(one)
    found = rows(lake(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE"))
    [path] = {path for _, path in written(wire)}
    client("s3", sandbox.endpoint, sandbox.admin).delete_object(Bucket=EMPTY, Key=path.removeprefix(f"/{EMPTY}/"))
    assert found["write"][0] is True
    assert found["delete"][0] is False
    assert "s3:DeleteObject" in found["delete"][1]


def test_read_only_is_never_written_to(wire, sandbox):
    """A READ_ONLY connection refuses the writes without a request, and says why."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, READ_ONLY=True))
    found = rows(run(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE"))
    assert [found[action] for action in ("write", "delete")] == [(False, "the connection is READ_ONLY")] * 2
    assert written(wire) == []


def interrupt():
    """What Ctrl-C does."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("bucket", [EMPTY, ARCHIVE])
def test_an_interrupt_leaves_nothing(lake, wire, s3, bucket, method):
    """A statement that is stopped while its object is written or deleted leaves no version of it, and no mark."""
    ask, stops, before = wire.answer, [interrupt], s3.list_object_versions(Bucket=bucket)

    def stop(request):
        if request.method == method and stops:
            stops.pop()()
        return ask(request)

    wire.answer = stop
    with pytest.raises(StatementInterrupted):
        lake(f"TEST CONNECTION lake LOCATION 's3://{bucket}/' WITH WRITE")
    assert [method for method, _ in written(wire)][:2] == ["PUT", "DELETE"]
    after = s3.list_object_versions(Bucket=bucket)
    assert [after.get(kind) for kind in KINDS] == [before.get(kind) for kind in KINDS]


def test_an_interrupt_does_not_wait_for_a_server_that_has_stalled(lake, wire, s3, sandbox):
    """Where the server does not answer the write, the statement ends; once it does, its object is deleted."""
    ask, goes_on, deleted = passing_to(sandbox.endpoint), threading.Event(), threading.Event()

    def stall(request):
        if request.method == "PUT":
            interrupt()
            goes_on.wait(30)
        reply = ask(request)
        if request.method == "DELETE":
            deleted.set()
        return reply

    wire.answer = stall
    with pytest.raises(StatementInterrupted):
        lake(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE")
    assert not deleted.is_set()
    goes_on.set()
    assert deleted.wait(30)
    assert s3.list_objects_v2(Bucket=EMPTY)["KeyCount"] == 0


@pytest.mark.parametrize("bucket", [EMPTY, ARCHIVE])
def test_a_write_whose_answer_is_lost_leaves_nothing(lake, wire, s3, monkeypatch, bucket):
    """An object that was written though the server said it failed is deleted, with every version of it."""
    before = s3.list_object_versions(Bucket=bucket)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    ask = wire.answer

    def lose(request):
        reply = ask(request)
        return Reply(500) if request.method == "PUT" else reply

    wire.answer = lose
    found = rows(lake(f"TEST CONNECTION lake LOCATION 's3://{bucket}/' WITH WRITE"))
    assert found["write"][0] is False
    after = s3.list_object_versions(Bucket=bucket)
    assert [after.get(kind) for kind in KINDS] == [before.get(kind) for kind in KINDS]


def test_a_mark_without_its_version_stays(lake, wire, s3, sandbox, monkeypatch):
    """Where a lost version cannot be looked up, its delete marker stays: without it the object would be back."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    ask = passing_to(sandbox.endpoint)
    denied = Reply(403, {}, b"<Error><Code>AccessDenied</Code></Error>")

    def lose(request):
        reply = denied if "versions" in request.query else ask(request)
        return Reply(500) if request.method == "PUT" else reply

    wire.answer = lose
    lake(f"TEST CONNECTION lake LOCATION 's3://{ARCHIVE}/lost/' WITH WRITE")
    answer = s3.list_object_versions(Bucket=ARCHIVE, Prefix="lost/")
    for one in [*answer["Versions"], *answer["DeleteMarkers"]]:
        s3.delete_object(Bucket=ARCHIVE, Key=one["Key"], VersionId=one["VersionId"])
    assert [one["IsLatest"] for one in answer["DeleteMarkers"]] == [True]


def test_a_versioned_bucket_keeps_no_trace(lake, s3):
    """Where deleting only marks, the version that was written and its marker are deleted too."""
    before = s3.list_object_versions(Bucket=ARCHIVE)
    found = rows(lake(f"TEST CONNECTION lake LOCATION 's3://{ARCHIVE}/' WITH WRITE"))
    after = s3.list_object_versions(Bucket=ARCHIVE)
    assert found["delete"] == (True, "cleaned up")
    assert after["Versions"] == before["Versions"]
    assert after["DeleteMarkers"] == before["DeleteMarkers"]


def test_versions_that_cannot_be_deleted_are_said(lake, wire, s3, sandbox):
    """Without s3:DeleteObjectVersion the frame says what remains."""
    ask = passing_to(sandbox.endpoint)
    denied = Reply(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    wire.answer = lambda one: denied if "versionId" in one.query else ask(one)
    found = rows(lake(f"TEST CONNECTION lake LOCATION 's3://{ARCHIVE}/left/' WITH WRITE"))
    answer = s3.list_object_versions(Bucket=ARCHIVE, Prefix="left/")
    for one in [*answer["Versions"], *answer["DeleteMarkers"]]:
        s3.delete_object(Bucket=ARCHIVE, Key=one["Key"], VersionId=one["VersionId"])
    assert found["delete"][0] is True
    assert "s3:DeleteObjectVersion" in found["delete"][1]


def test_a_kms_key_is_tried_by_the_write(wire, sandbox):
    """With ENCRYPTION_KMS_KEY the write is encrypted with it, and the frame says so."""
    run = Statements()
    options = {"ENDPOINT": wire.endpoint, "ENCRYPTION_KMS_KEY": "alias/lake", "VALIDATE": False}
    run(create("lake", keys=sandbox.admin, **options))
    found = rows(run(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE"))
    [put] = [one for one in wire.requests if one.method == "PUT"]
    assert put.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/lake"
    said = "SSE-KMS: the server says that the write was encrypted with alias/lake"
    assert found["encryption"] == (True, said)


@pytest.mark.parametrize("option", [{"ENCRYPTION_KMS_KEY": "alias/lake"}, {"ENCRYPTION_CUSTOMER_MANAGED_KEY": KEY}])
def test_a_server_that_does_not_encrypt_is_said(rclone_server, option):
    """The write is allowed, the encryption is not done, and nothing is left; without WITH WRITE it is not tried."""
    run = Statements()
    run(create("disk", keys=rclone_server.keys, ENDPOINT=rclone_server.endpoint, **option))
    tried = rows(run("TEST CONNECTION disk LOCATION 's3://acme-empty/'"))
    assert tried["encryption"] == (None, "tried only WITH WRITE")
    found = rows(run("TEST CONNECTION disk LOCATION 's3://acme-empty/' WITH WRITE"))
    assert (found["write"][0], found["delete"][0], found["encryption"][0]) == (True, True, False)
    assert "tells of no encryption" in found["encryption"][1]
    assert list((rclone_server.root / "acme-empty").iterdir()) == []


def test_an_unencrypted_write_leaves_no_version(wire, sandbox, s3):
    """In a bucket with versions neither the version that was not encrypted nor a marker is left."""
    wire.answer = answering(passing_to(sandbox.endpoint), "ignores")
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, VALIDATE=False, ENCRYPTION_KMS_KEY="alias/lake"))
    found = rows(run(f"TEST CONNECTION lake LOCATION 's3://{ARCHIVE}/plain/' WITH WRITE"))
    assert (found["delete"][0], found["encryption"][0]) == (True, False)
    answer = s3.list_object_versions(Bucket=ARCHIVE, Prefix="plain/")
    assert not any(answer.get(one) for one in KINDS)


@pytest.mark.parametrize("code", ["NotImplemented", "InvalidArgument"])
def test_a_server_without_conditions_is_written_to_all_the_same(wire, lake, sandbox, code):
    """Where If-None-Match is refused, the object of a new name is written without it, and deleted."""
    ask = passing_to(sandbox.endpoint)
    wire.answer = lambda one: error(400, code) if "if-none-match" in one.headers else ask(one)
    found = rows(lake(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE"))
    assert (found["write"][0], found["delete"][0]) == (True, True)
    assert [method for method, _ in written(wire)] == ["PUT", "PUT", "DELETE"]


def test_a_kms_key_that_may_not_be_used_is_named(wire, sandbox):
    """A write that the key's policy refuses names the action on the key, not the one on the object."""
    ask = passing_to(sandbox.endpoint)
    message = "User: arn:aws:iam::1:user/u is not authorized to perform: kms:GenerateDataKey on resource: hidden-arn"
    denied = Reply(403, {}, f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>".encode())
    wire.answer = lambda one: denied if one.method == "PUT" else ask(one)
    run = Statements()
    options = {"ENDPOINT": wire.endpoint, "ENCRYPTION_KMS_KEY": "alias/lake", "VALIDATE": False}
    run(create("lake", keys=sandbox.admin, **options))
    found = rows(run(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE"))
    for action in ("write", "encryption"):
        assert found[action][0] is False
        assert "kms:GenerateDataKey is missing" in found[action][1]
        assert "hidden" not in found[action][1]


def test_a_customer_s_key_encrypts_what_is_written_and_read(wire, sandbox):
    """With ENCRYPTION_CUSTOMER_MANAGED_KEY both the written object and the byte that is read carry the key."""
    run = Statements()
    key = base64.b64encode(bytes(range(32))).decode()
    options = {"ENDPOINT": wire.endpoint, "ENCRYPTION_CUSTOMER_MANAGED_KEY": key, "VALIDATE": False}
    run(create("lake", keys=sandbox.admin, **options))
    run(f"TEST CONNECTION lake LOCATION 's3://{LAKE}/sales/'")
    run(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE")
    sent = [one for one in wire.requests if one.method == "PUT" or "range" in one.headers]
    assert [one.method for one in sent] == ["GET", "PUT"]
    assert {one.headers.get("x-amz-server-side-encryption-customer-key") for one in sent} == {key}


def test_an_empty_object_counts_as_read(lake):
    """Reading the first byte of an empty object is being allowed to read."""
    found = rows(lake(f"TEST CONNECTION lake LOCATION 's3://{LAKE}/drafts/'"))
    assert found["read"] == (True, f"s3://{LAKE}/drafts/")


def test_an_anonymous_connection_has_no_identity(sandbox):
    """Of anonymous access nobody is asked for an identity."""
    run = Statements()
    run(create("open", ANONYMOUS=True, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    found = rows(run("TEST CONNECTION open LOCATION 's3://acme-public/'"))
    assert found["identity"] == (None, "anonymous")
    assert found["list buckets"][0] is False
    assert found["read"] == (True, "s3://acme-public/README.txt")


def test_a_server_without_sts_has_no_identity(rclone_server):
    """Where there is no STS the identity is not tried, and the rest is."""
    run = Statements()
    run(create("disk", keys=rclone_server.keys, ENDPOINT=rclone_server.endpoint))
    found = rows(run("TEST CONNECTION disk LOCATION 's3://acme-empty/' WITH WRITE"))
    assert found["identity"][0] is None
    assert {action for action, (one, _) in found.items() if one} == {"list buckets", "list", "write", "delete"}
    assert list((rclone_server.root / "acme-empty").iterdir()) == []
