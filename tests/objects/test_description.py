"""What an object is: facts of HEAD, tags and versions, and what is said where they cannot be had."""

from __future__ import annotations

import socketserver
import threading
from datetime import UTC, datetime

import pytest
from recording import Reply, error, passing_to, recording
from served import KEYS, Served, serving
from statements import Statements, create

from s3conn_magic.errors import AccessDeniedError, BucketNotFoundError, ObjectNotFoundError, S3ConnError
from s3conn_magic.locations import Location
from s3conn_magic.objects.description import describe, head
from s3conn_magic.objects.requests import ask
from s3conn_magic.preview.preview import preview
from s3conn_magic.sandbox import ARCHIVE, LAKE, ODD
from s3conn_magic.sandbox.data import ODD_KEYS

HERE = Location("bucket", "data")
KMS = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"


@pytest.fixture
def lake(sandbox):
    """A connection that may do everything in the sandbox."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    return run.connection("lake")


def described(**headers):
    """The description of an object whose HEAD has these headers."""
    with serving(b"hello", **headers) as place:
        return head(place.connection, HERE)


def test_an_object_is_described_whole(lake):
    """Size, time, etag, type, metadata, tags and its one version."""
    found = describe(lake, Location(LAKE, "sales/orders.csv"))
    assert (found.uri, found.arn) == (f"s3://{LAKE}/sales/orders.csv", f"arn:aws:s3:::{LAKE}/sales/orders.csv")
    assert found.last_modified == datetime(2026, 4, 2, 3, tzinfo=UTC)
    assert found.last_modified.tzinfo is UTC
    assert (found.content_type, found.storage_class, found.archived) == ("text/csv", "STANDARD", False)
    assert found.metadata == {"source": "shop-db", "rows": "1500"}
    assert found.tags == {}
    (version,) = found.versions
    assert (version.version_id, version.size, version.etag, version.is_latest) == ("null", found.size, found.etag, True)
    assert found.notes == ()


def test_tags_are_read(lake):
    """Names and values as they were set."""
    assert describe(lake, Location(LAKE, "README.txt")).tags == {"owner": "data-team"}


def test_versions_are_those_of_the_key_alone_newest_first(lake):
    """Each with its size; the one that is current says so."""
    found = describe(lake, Location(ARCHIVE, "contracts/supplier.txt"))
    assert [(one.size, one.is_latest) for one in found.versions] == [(30, True), (32, False)]
    assert found.version_id == found.versions[0].version_id
    first = describe(lake, Location(ARCHIVE, "contracts/supplier.txt"), version_id=found.versions[1].version_id)
    assert (first.size, first.version_id) == (32, found.versions[1].version_id)


def test_a_key_that_begins_as_another_has_its_own_versions(lake):
    """`a/b` does not have those of `a/b/`."""
    assert [one.size for one in describe(lake, Location(ODD, "a/b")).versions] == [15]


@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_every_key_can_be_described(lake, key):
    """A key that breaks careless code is found, with its one version."""
    found = describe(lake, Location(ODD, key))
    assert found.uri == f"s3://{ODD}/{key}"
    assert len(found.versions) == 1


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "none"),
        ({"x_amz_server_side_encryption": "AES256"}, "SSE-S3"),
        (
            {"x_amz_server_side_encryption": "aws:kms", "x_amz_server_side_encryption_aws_kms_key_id": KMS},
            f"SSE-KMS {KMS}",
        ),
        (
            {"x_amz_server_side_encryption": "aws:kms:dsse", "x_amz_server_side_encryption_aws_kms_key_id": KMS},
            f"DSSE-KMS {KMS}",
        ),
        ({"x_amz_server_side_encryption_customer_algorithm": "AES256"}, "SSE-C"),
    ],
)
def test_the_encryption_is_said_in_words(headers, text):
    """With the key where there is one."""
    assert described(**headers).encryption == text


@pytest.mark.parametrize(
    ("headers", "archived", "restore"),
    [
        ({}, False, None),
        ({"x_amz_storage_class": "STANDARD_IA"}, False, None),
        ({"x_amz_storage_class": "GLACIER_IR"}, False, None),
        ({"x_amz_storage_class": "GLACIER"}, True, None),
        ({"x_amz_storage_class": "DEEP_ARCHIVE", "x_amz_restore": 'ongoing-request="true"'}, True, "in progress"),
        (
            {
                "x_amz_storage_class": "GLACIER",
                "x_amz_restore": 'ongoing-request="false", expiry-date="Fri, 02 Jan 2026 00:00:00 GMT"',
            },
            False,
            "until 2026-01-02 00:00 UTC",
        ),
        (
            {"x_amz_storage_class": "GLACIER", "x_amz_restore": 'ongoing-request="false", expiry-date="whenever"'},
            False,
            "done",
        ),
        ({"x_amz_storage_class": "INTELLIGENT_TIERING"}, False, None),
        ({"x_amz_storage_class": "INTELLIGENT_TIERING", "x_amz_archive_status": "ARCHIVE_ACCESS"}, True, None),
        (
            {
                "x_amz_storage_class": "INTELLIGENT_TIERING",
                "x_amz_archive_status": "DEEP_ARCHIVE_ACCESS",
                "x_amz_restore": 'ongoing-request="true"',
            },
            True,
            "in progress",
        ),
    ],
)
def test_what_must_be_restored_first_is_known(headers, archived, restore):
    """By class, by archive tier, and by the state of a restore."""
    found = described(**headers)
    assert (found.archived, found.restore) == (archived, restore)


def test_checksums_are_named_by_algorithm():
    """Those that the HEAD gives."""
    found = described(x_amz_checksum_crc32="AAAAAA==", x_amz_checksum_sha256="BBBB", x_amz_checksum_type="FULL_OBJECT")
    assert found.checksums == {"CRC32": "AAAAAA==", "SHA256": "BBBB"}


def test_checksums_that_may_not_be_seen_do_not_hide_the_rest():
    """Where the right to decrypt is missing, the HEAD is asked for again without them."""

    def bend(asked, reply):
        return error(403, "AccessDenied") if "x-amz-checksum-mode" in asked.headers else reply

    with serving(Served(b"hello", bend=bend)) as place:
        assert head(place.connection, HERE).size == 5


def test_what_may_not_be_asked_is_a_note():
    """Without the rights for tags and versions there is a description, which names them."""

    def answer(request):
        return Served(b"hello").answer(request) if request.method == "HEAD" else error(403, "AccessDenied")

    with recording(answer) as recorder:
        run = Statements()
        run(create("place", keys=KEYS, ENDPOINT=recorder.endpoint, VALIDATE=False))
        found = describe(run.connection("place"), HERE)
    assert (found.size, found.tags, found.versions) == (5, None, ())
    assert found.notes == ("s3:GetObjectTagging is not allowed", "s3:ListBucketVersions is not allowed")


def test_a_server_without_tags_and_versions_has_a_description(rclone_server):
    """What it does not offer is a note."""
    run = Statements()
    run(create("other", keys=rclone_server.keys, ENDPOINT=rclone_server.endpoint, VALIDATE=False))
    found = describe(run.connection("other"), Location(LAKE, "sales/customers.csv"))
    assert found.size == (rclone_server.root / LAKE / "sales/customers.csv").stat().st_size
    assert found.tags in (None, {})
    assert found.notes
    assert all(note.startswith(("tags: ", "versions: ")) for note in found.notes)


@pytest.mark.parametrize(
    ("location", "message", "hint"),
    [
        (Location(LAKE, "nothing/here"), "there is no object s3://acme-lake/nothing/here", "'s3://acme-lake/nothing/'"),
        (Location(LAKE, "nothing"), "there is no object s3://acme-lake/nothing", "LIST 's3://acme-lake/';"),
        (Location(LAKE, "sales"), "s3://acme-lake/sales is a folder", "LIST 's3://acme-lake/sales/';"),
        (Location(LAKE, "sales/"), "s3://acme-lake/sales/ is a folder", "LIST 's3://acme-lake/sales/';"),
        (Location(LAKE), "s3://acme-lake/ is a bucket", "LIST 's3://acme-lake/';"),
        (Location(ARCHIVE, "contracts/expired.txt"), "expired.txt was deleted", "expired.txt' VERSIONS;"),
        (Location(LAKE, "it's"), "there is no object s3://acme-lake/it's", "LIST"),
        (Location(LAKE, "a\x1b[31m\u202eb"), "there is no object s3://acme-lake/a␛[31m⟨U+202E⟩b", "LIST"),
    ],
)
def test_what_is_no_object_is_one_clear_error(lake, location, message, hint):
    """It says what there is instead, and the statement to go on with."""
    with pytest.raises(S3ConnError) as failed:
        describe(lake, location)
    assert message in failed.value.message
    assert hint in failed.value.hint
    assert failed.value.__cause__ is None


def test_a_version_that_marks_a_deletion_is_no_object():
    """Its HEAD is refused; what it stands for is said."""
    with recording(lambda _: Reply(405, {"x-amz-delete-marker": "true"})) as recorder:
        run = Statements()
        run(create("place", keys=KEYS, ENDPOINT=recorder.endpoint, VALIDATE=False))
        with pytest.raises(S3ConnError, match="s3://bucket/data was deleted"):
            head(run.connection("place"), HERE, version_id="v2")


def test_more_versions_than_are_shown_are_said_to_be():
    """A hundred of them, and a note."""
    entry = (
        "<Version><Key>data</Key><VersionId>v{0}</VersionId><IsLatest>false</IsLatest><Size>1</Size>"
        '<LastModified>2026-01-01T00:00:00Z</LastModified><ETag>"e"</ETag></Version>'
    )
    versions = "".join(entry.format(number) for number in range(101))
    more = "<NextKeyMarker>data</NextKeyMarker><NextVersionIdMarker>v100</NextVersionIdMarker>"
    page = (
        f"<ListVersionsResult><Name>bucket</Name><IsTruncated>true</IsTruncated>{more}{versions}</ListVersionsResult>"
    )
    served = Served(b"hello")

    def answer(request):
        return Reply(body=page.encode()) if "versions" in request.target else served.answer(request)

    with recording(answer) as recorder:
        run = Statements()
        run(create("place", keys=KEYS, ENDPOINT=recorder.endpoint, VALIDATE=False))
        found = describe(run.connection("place"), HERE)
    assert [one.version_id for one in found.versions] == [f"v{number}" for number in range(100)]
    assert "only the newest 100 versions are shown" in found.notes


def test_a_bucket_that_is_not_there_is_said_to_be_missing(lake):
    """The HEAD of an object does not tell; one more request does."""
    with pytest.raises(BucketNotFoundError, match="no bucket acme-nowhere"):
        describe(lake, Location("acme-nowhere", "key"))


def test_an_object_that_may_not_be_read_is_denied(sandbox):
    """The error names the action."""
    run = Statements()
    run(create("lake", keys=sandbox.restricted, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    with pytest.raises(AccessDeniedError) as failed:
        describe(run.connection("lake"), Location(LAKE, "README.txt"))
    assert failed.value.action == "s3:GetObject"


@pytest.mark.parametrize("given", [False, True])
def test_a_customers_key_that_is_missing_or_wrong_is_named(given):
    """A HEAD that is refused without a reason points at the option."""
    options = {"ENCRYPTION_CUSTOMER_MANAGED_KEY": "A" * 43 + "="} if given else {}
    with recording(lambda _: Reply(400)) as recorder:
        run = Statements()
        run(create("place", keys=KEYS, ENDPOINT=recorder.endpoint, VALIDATE=False, **options))
        with pytest.raises(S3ConnError) as failed:
            describe(run.connection("place"), HERE)
    assert "ENCRYPTION_CUSTOMER_MANAGED_KEY" in failed.value.hint
    assert ("the connection's key" in failed.value.message) is given


@pytest.mark.parametrize("code", ["InvalidArgument", "InvalidRequest"])
def test_the_server_s_reason_stands_beside_the_key_that_may_be_missing(code):
    """A GET that is refused as of another customer's key repeats the server's code and words."""

    def answer(request):
        refused = f"<Error><Code>{code}</Code><Message>The object was stored using SSE</Message></Error>"
        return Reply(400, {"Content-Type": "application/xml"}, refused.encode() * (request.method == "GET"))

    with recording(answer) as recorder:
        run = Statements()
        run(create("place", keys=KEYS, ENDPOINT=recorder.endpoint, VALIDATE=False))
        with pytest.raises(S3ConnError) as failed:
            ask(run.connection("place"), HERE, "get_object")
    assert f"({code} The object was stored using SSE)" in failed.value.message
    assert "ENCRYPTION_CUSTOMER_MANAGED_KEY" in failed.value.hint


BEHIND_A_HEAD = {
    "the end of no chunks": b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a body": b"Content-Length: 3\r\n\r\nabc",
    "a page": b"\r\n<html>no</html>",
    "another answer": b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "nothing, after an interim answer": b"Content-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", BEHIND_A_HEAD)
def test_what_a_server_sends_behind_the_answer_to_a_head_is_left(name):
    """The answer counts as it is, and what comes next is asked for by a socket of its own."""

    class Answering(socketserver.StreamRequestHandler):
        def handle(self):
            while line := self.rfile.readline():
                while self.rfile.readline().strip():
                    pass
                if line.startswith(b"HEAD"):
                    before = b"HTTP/1.1 103 Early Hints\r\n\r\n" * ("interim" in name)
                    self.wfile.write(before + b"HTTP/1.1 404 Not Found\r\n" + BEHIND_A_HEAD[name])
                else:
                    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(listing), listing))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        run = Statements()
        run(create("place", keys=KEYS, ENDPOINT=f"http://127.0.0.1:{server.server_address[1]}", VALIDATE=False))
        for _ in range(3):
            with pytest.raises(ObjectNotFoundError):
                head(run.connection("place"), HERE)
        server.shutdown()


def test_requests_carry_what_the_connection_says():
    """The customer's key and the payer go with the HEAD and with the GET."""
    served = Served(b"hello")
    with recording(served.answer) as recorder:
        run = Statements()
        key = "A" * 43 + "="
        options = {"ENCRYPTION_CUSTOMER_MANAGED_KEY": key, "REQUESTER_PAYS": True}
        run(create("place", keys=KEYS, ENDPOINT=recorder.endpoint, VALIDATE=False, **options))
        assert preview(run.connection("place"), HERE, version_id="v1").text == "hello"
    assert [one.method for one in recorder.requests] == ["HEAD", "GET"]
    for one in recorder.requests:
        assert one.headers["x-amz-server-side-encryption-customer-key"] == key
        assert one.headers["x-amz-request-payer"] == "requester"
        assert one.query["versionId"] == "v1"


def test_a_description_takes_three_requests(sandbox):
    """HEAD, tags, versions."""
    with recording(passing_to(sandbox.endpoint)) as recorder:
        run = Statements()
        run(create("lake", keys=sandbox.admin, ENDPOINT=recorder.endpoint, VALIDATE=False))
        describe(run.connection("lake"), Location(LAKE, "README.txt"))
    assert [one.method for one in recorder.requests] == ["HEAD", "GET", "GET"]
