"""TEST CONNECTION: what is tried, what is said, and that nothing is left."""

from __future__ import annotations

import pytest
from clients import client
from recording import Reply, passing_to, recording
from statements import Statements, create

from s3conn_magic.connections import checks
from s3conn_magic.sandbox.identities import ARCHIVE, EMPTY, LAKE

ACTIONS = ["identity", "list buckets", "list", "read", "write", "delete", "kms"]


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
        "kms": None,
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
    assert found["list buckets"] == (False, "access denied: s3:ListAllMyBuckets is missing")
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


@pytest.mark.parametrize("moment", ["before the deletion", "while writing"])
def test_an_interrupt_leaves_nothing(lake, wire, s3, monkeypatch, moment):
    """A statement that is stopped after its object was written deletes it on the way out."""
    real = checks._WriteChecks._delete if moment == "before the deletion" else checks._WriteChecks._ask
    name, stops = real.__name__, [True]

    def interrupted(self, *args, **keys):
        found = None if name == "_delete" and stops else real(self, *args, **keys)
        if stops:
            stops.clear()
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(checks._WriteChecks, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        lake(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE")
    assert [method for method, _ in written(wire)] == ["PUT", "DELETE"]
    assert s3.list_objects_v2(Bucket=EMPTY)["KeyCount"] == 0


def test_a_write_whose_answer_is_lost_leaves_nothing(lake, wire, s3, sandbox, monkeypatch):
    """An object that was written though the server said it failed is deleted."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    ask = passing_to(sandbox.endpoint)

    def lose(request):
        reply = ask(request)
        return Reply(500) if request.method == "PUT" else reply

    wire.answer = lose
    found = rows(lake(f"TEST CONNECTION lake LOCATION 's3://{EMPTY}/' WITH WRITE"))
    assert found["write"][0] is False
    assert s3.list_objects_v2(Bucket=EMPTY)["KeyCount"] == 0


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
    assert found["kms"] == (True, "the write was encrypted with alias/lake")


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
