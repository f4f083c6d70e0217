"""What a connection's clients refuse, and what they add to requests."""

from __future__ import annotations

import base64
import hashlib
import io
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import pytest
from boto3.s3.transfer import S3Transfer, TransferConfig
from botocore.model import OperationModel
from recording import Reply, listing, recording
from s3transfer.manager import TransferManager
from statements import Statements, create
from vaults import answering

from s3conn_magic.connections.guards import writes
from s3conn_magic.connections.probe import run_checks
from s3conn_magic.errors import ReadOnlyConnectionError
from s3conn_magic.locations import Location
from s3conn_magic.objects import deleting, uploads
from s3conn_magic.sandbox import LAKE, Keys
from s3conn_magic.secrets import Secret

KEYS = Keys("AKIAONE", Secret("one-secret"))
CUSTOMER_KEY = bytes(range(32))
KMS = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
MODEL = boto3.session.Session("a", "b", region_name="us-east-1").client("s3").meta.service_model
# By their names, not by their HTTP methods, which is what the guard goes by.
# CreateSession gets keys for a directory bucket, which every read of one begins with.
BY_OTHER_NAMES = {"SelectObjectContent", "CreateSession"}
READS = {name for name in MODEL.operation_names if name.startswith(("Get", "Head", "List"))} | BY_OTHER_NAMES
UPLOAD = Reply(200, {}, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")


@pytest.fixture
def wire():
    """A server that accepts everything, and encrypts as it is asked to."""

    def answer(one):
        return UPLOAD if "uploads" in one.target else Reply(200, {"ETag": '"e"'})

    with recording(answering(answer, "honours")) as recorder:
        yield recorder


def connect(wire, **options):
    """An unprobed connection to the server."""
    run = Statements()
    run(create("vault", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False, **options))
    return run.connection("vault")


def arguments(shape, depth=0):
    """The least that an operation's parameters must hold to be sent."""
    required = [*shape.required_members]
    return {name: _value(shape.members[name], depth) for name in required}


def _value(shape, depth):
    kinds = {"integer": 1, "long": 1, "boolean": True, "blob": b"x", "timestamp": 0, "list": [], "map": {}}
    if shape.type_name == "structure":
        return arguments(shape, depth + 1) if depth < 5 else {}
    return shape.enum[0] if getattr(shape, "enum", None) else kinds.get(shape.type_name, "abcdef")


def call(client, name):
    """Call an operation of the model by its name there."""
    method = next(one for one, operation in client.meta.method_to_api_mapping.items() if operation == name)
    return getattr(client, method)(**arguments(MODEL.operation_model(name).input_shape))


# READ_ONLY


def test_the_model_has_both_kinds():
    """The operations of the model that read and those that write are many, so that the next tests see some."""
    assert len(READS) > 50
    assert len(set(MODEL.operation_names) - READS) > 40


@pytest.fixture(scope="module")
def locked():
    """A read-only connection to a server that accepts everything."""
    with recording(lambda _: Reply(200, {"ETag": '"e"'})) as recorder:
        yield connect(recorder, READ_ONLY=True), recorder


@pytest.mark.parametrize("operation", sorted(set(MODEL.operation_names) - READS))
def test_read_only_refuses_every_write(locked, operation):
    """No operation that writes leaves a read-only connection's client; the error names connection and operation."""
    connection, wire = locked
    before = len(wire.requests)
    with pytest.raises(ReadOnlyConnectionError) as refused:
        call(connection.client("s3"), operation)
    assert "vault" in refused.value.message
    assert operation in refused.value.message
    assert len(wire.requests) == before


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "GET", "HEAD"])
def test_read_only_refuses_what_it_does_not_know(method):
    """An operation that S3 may get tomorrow is refused by default; by a method that reads, if its name says more."""
    description = {"name": "PurgeBucket", "http": {"method": method, "requestUri": "/{Bucket}"}}
    assert writes(OperationModel(description, MODEL, "PurgeBucket"))
    assert writes(OperationModel(description, MODEL, "GetRidOfBucket")) is (method not in {"GET", "HEAD"})


def test_what_reads_is_known_by_method_and_name():
    """Of today's model, exactly what reads is let pass, in a resource's or session's client too."""
    assert {name for name in MODEL.operation_names if not writes(MODEL.operation_model(name))} == READS


def test_every_method_that_boto3_adds_is_known():
    """What boto3 puts into a client beside S3's operations is known to read, or is guarded."""
    client = boto3.session.Session("a", "b", region_name="us-east-1").client("s3")
    added = {name for name in dir(client) if not name.startswith("_") and callable(getattr(client, name))}
    added -= client.meta.method_to_api_mapping.keys()
    reads = {"can_paginate", "close", "download_file", "download_fileobj", "get_paginator", "get_waiter"}
    writing = {"copy", "upload_file", "upload_fileobj", "generate_presigned_post"}
    # A presigned URL passes by the same event as a request.
    assert added == reads | writing | {"generate_presigned_url"}


def test_a_session_with_a_directory_bucket_is_read_only(locked):
    """The keys that a read-only connection gets for a directory bucket can do no more, whatever is asked for."""
    connection, wire = locked
    session = b"<CreateSessionResult><Credentials><AccessKeyId>k</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
    session += b"<SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>"
    wire.answer = lambda _: Reply(200, {}, session + b"</CreateSessionResult>")
    try:
        connection.client("s3").create_session(Bucket="bucket", SessionMode="ReadWrite")
    finally:
        wire.answer = lambda _: Reply(200, {"ETag": '"e"'})
    assert wire.requests[-1].headers["x-amz-create-session-mode"] == "ReadOnly"


def test_handles_of_a_connection_that_becomes_read_only(wire, tmp_path):
    """Clients, resources and clients of other services, handed out before OR REPLACE made it so, write no more."""
    run = Statements()
    text = create("vault", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False)
    run(text)
    connection = run.connection("vault")
    session = connection.session()
    s3, queue = connection.client("s3"), connection.client("sqs", region="us-east-1")
    theirs = session.client("s3", endpoint_url=wire.endpoint)
    bucket = session.resource("s3", endpoint_url=wire.endpoint).Bucket("bucket")
    file = tmp_path / "file"
    file.write_bytes(b"x")
    run(text.replace("CREATE", "CREATE OR REPLACE") + " READ_ONLY = TRUE")
    before = len(wire.requests)
    for write in (
        lambda: s3.put_object(Bucket="bucket", Key="key"),
        lambda: theirs.put_object(Bucket="bucket", Key="key"),
        lambda: theirs.upload_file(str(file), "bucket", "key"),
        lambda: theirs.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "key"}),
        lambda: session.client("s3").generate_presigned_post("bucket", "key"),
        lambda: bucket.put_object(Key="key"),
        lambda: bucket.upload_file(str(file), "key"),
        lambda: bucket.Object("key").copy({"Bucket": "bucket", "Key": "other"}),
        lambda: bucket.Object("key").delete(),
        bucket.delete,
        lambda: queue.send_message(QueueUrl=wire.endpoint, MessageBody="x"),
        lambda: S3Transfer(theirs).upload_file(str(file), "bucket", "key"),
        lambda: TransferManager(theirs).delete("bucket", "key").result(),
    ):
        with pytest.raises(ReadOnlyConnectionError, match="vault"):
            write()
    assert len(wire.requests) == before


def test_statements_and_explorer_of_a_read_only_connection_write_nothing(locked):
    """TEST CONNECTION WITH WRITE, the explorer's upload and its deletions are refused before a request leaves."""
    connection, wire = locked
    place = Location("bucket", "key")
    before = len(wire.requests)
    for write in (
        lambda: uploads.Upload(connection, place, 1),
        lambda: deleting.find(connection, [deleting.Chosen(place)], most=1, cancelled=lambda: False),
        lambda: list(deleting.delete(connection, "bucket", ["key"], cancelled=lambda: False)),
    ):
        with pytest.raises(ReadOnlyConnectionError, match="vault"):
            write()
    assert len(wire.requests) == before
    checks = run_checks(connection, place, with_write=True)
    assert [one.allowed for one in checks if one.action in {"write", "delete"}] == [False, False]
    assert {one.method for one in wire.requests[before:]} <= {"GET", "HEAD", "POST"}
    assert {one.form.get("Action") for one in wire.requests[before:] if one.method == "POST"} == {"GetCallerIdentity"}


def test_read_only_lets_every_read_pass(locked):
    """No operation that reads is refused for READ_ONLY, whatever else its made-up parameters lead to."""
    connection, wire = locked
    client = connection.client("s3")
    before = len(wire.requests)
    for operation in sorted(READS):
        try:
            call(client, operation)
        except ReadOnlyConnectionError:
            pytest.fail(f"{operation} was refused")
        except Exception:  # noqa: BLE001 - a made-up answer to a made-up request
            continue
    assert len(wire.requests) - before > 50


def _of_a_resource(where):
    return {"bucket_name": where["Bucket"], "key": where["Key"]}


def test_read_only_refuses_what_leaves_by_other_ways(locked, tmp_path):
    """Uploads, copies, presigned posts and presigned URLs of writes are refused; those of reads are not."""
    connection, wire = locked
    client = connection.client("s3")
    file = tmp_path / "file"
    file.write_bytes(b"x")
    before = len(wire.requests)
    where = {"Bucket": "bucket", "Key": "key"}
    refused = (
        lambda: client.upload_file(str(file), "bucket", "key"),
        lambda: client.upload_file(str(file), "bucket", "key", Config=TransferConfig(use_threads=False)),
        lambda: client.upload_file(str(file), "bucket", "key", Config=TransferConfig(preferred_transfer_client="crt")),
        lambda: client.upload_fileobj(io.BytesIO(b"x"), "bucket", "key"),
        lambda: client.copy(where, "bucket", "other"),
        lambda: client.generate_presigned_post("bucket", "key"),
        lambda: client.generate_presigned_url("put_object", Params=where),
        lambda: client.generate_presigned_url("delete_object", Params=where, HttpMethod="GET"),
        lambda: connection.client("sqs").send_message(QueueUrl="https://sqs.example/q", MessageBody="x"),
        lambda: connection.client("s3control").delete_public_access_block(AccountId="123456789012"),
        lambda: connection.session().client("s3").put_object(**where),
        lambda: connection.session().resource("s3").Object(**_of_a_resource(where)).delete(),
        connection.session().get_credentials().get_frozen_credentials,
    )
    for attempt in refused:
        with pytest.raises(ReadOnlyConnectionError, match="vault"):
            attempt()
    assert len(wire.requests) == before
    assert "X-Amz-Signature" in client.generate_presigned_url("get_object", Params=where)
    client.download_fileobj("bucket", "key", io.BytesIO())
    assert {one.method for one in wire.requests[before:]} <= {"GET", "HEAD"}


def test_read_only_holds_for_the_package_s_own_clients(locked):
    """The internal client refuses writes too."""
    connection, wire = locked
    before = len(wire.requests)
    with pytest.raises(ReadOnlyConnectionError):
        connection.internal_client("bucket").put_object(Bucket="bucket", Key="key")
    assert len(wire.requests) == before


def test_a_connection_that_may_write_writes(wire, tmp_path):
    """Without READ_ONLY uploads, posts and presigned writes work."""
    client = connect(wire).client("s3")
    (tmp_path / "file").write_bytes(b"content")
    client.upload_file(str(tmp_path / "file"), "bucket", "key")
    assert wire.seen() == [("PUT", "/bucket/key")]
    assert client.generate_presigned_post("bucket", "key")["url"] == f"{wire.endpoint}/bucket"
    assert "X-Amz-Signature" in client.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "key"})


def test_presigned_urls_open_without_the_connection(rclone_server):
    """A presigned URL is signed by version 4, which a server that is not AWS verifies."""
    run = Statements()
    run(create("lake", keys=rclone_server.keys, ENDPOINT=rclone_server.endpoint))
    where = {"Bucket": LAKE, "Key": "sales/orders.csv"}
    url = run.connection("lake").client("s3").generate_presigned_url("get_object", where)
    with urlopen(url, timeout=30) as answer:
        assert answer.read(9) == b"order_id,"
    with pytest.raises(HTTPError, match="403"):
        urlopen(url.replace("orders", "customers"), timeout=30)


# REQUESTER_PAYS and encryption


def test_requester_pays_is_on_every_request_that_knows_it(wire):
    """Reads, writes and listings, the engine's too, carry the header; a caller's own value stays."""
    connection = connect(wire, REQUESTER_PAYS=True)
    client = connection.client("s3")
    client.put_object(Bucket="bucket", Key="key", Body=b"x")
    client.get_object(Bucket="bucket", Key="key")
    client.head_object(Bucket="bucket", Key="key")
    wire.answer = lambda _: listing("bucket")
    client.list_objects_v2(Bucket="bucket")
    assert [one.headers.get("x-amz-request-payer") for one in wire.requests] == ["requester"] * 4
    signed = connection.target("bucket").sign([("list-type", "2")])
    headers = {name.lower(): value for name, value in signed.headers.items()}
    assert headers["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer" in headers["authorization"]


def kms(request):
    names = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
    return tuple(request.headers.get(name) for name in names)


def customer(request, *, source=False):
    prefix = f"x-amz-{'copy-source-' if source else ''}server-side-encryption-customer-"
    return tuple(request.headers.get(prefix + name) for name in ("algorithm", "key", "key-md5"))


SSE_C = (
    "AES256",
    base64.b64encode(CUSTOMER_KEY).decode(),
    base64.b64encode(hashlib.md5(CUSTOMER_KEY).digest()).decode(),
)
NO_SSE_C = (None, None, None)


def write_everyhow(client, tmp_path):
    """A put, a multipart upload and a copy."""
    client.put_object(Bucket="bucket", Key="key", Body=b"x")
    large = tmp_path / "large"
    large.write_bytes(b"x" * (6 << 20))
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    client.upload_file(str(large), "bucket", "large", Config=config)
    client.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "key"})


def test_a_kms_key_is_on_every_write(wire, tmp_path):
    """A put, the beginning of a multipart upload and a copy name the KMS key; parts and reads don't."""
    client = connect(wire, ENCRYPTION_KMS_KEY=KMS).client("s3")
    write_everyhow(client, tmp_path)
    client.get_object(Bucket="bucket", Key="key")
    begins = [one for one in wire.requests if one.headers.get("x-amz-server-side-encryption")]
    assert {kms(one) for one in begins} == {("aws:kms", KMS)}
    assert sorted(one.path for one in begins) == ["/bucket/copy", "/bucket/key", "/bucket/large"]
    assert kms(wire.requests[-1]) == (None, None)


def test_a_customer_key_is_on_every_write_and_read(wire, tmp_path):
    """A put, each part of an upload, a copy with its source, and reads carry the customer's key and its digest."""
    client = connect(wire, ENCRYPTION_CUSTOMER_MANAGED_KEY=base64.b64encode(CUSTOMER_KEY).decode()).client("s3")
    write_everyhow(client, tmp_path)
    client.get_object(Bucket="bucket", Key="key")
    client.head_object(Bucket="bucket", Key="key")
    assert {customer(one) for one in wire.requests} == {SSE_C}
    assert len([one for one in wire.requests if one.query.get("partNumber")]) == 2
    [copied] = [one for one in wire.requests if one.path == "/bucket/copy"]
    assert customer(copied, source=True) == SSE_C
    wire.answer = lambda _: listing("bucket")
    client.list_objects_v2(Bucket="bucket")
    assert customer(wire.requests[-1]) == NO_SSE_C


@pytest.mark.parametrize("ours", ["ENCRYPTION_KMS_KEY", "ENCRYPTION_CUSTOMER_MANAGED_KEY"])
@pytest.mark.parametrize(
    "given",
    [
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/theirs"},
        {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32},
    ],
)
def test_the_caller_s_own_encryption_counts_whole(wire, ours, given):
    """What a caller says of the encryption is sent as it is, with nothing of the connection's mixed in."""
    value = KMS if ours == "ENCRYPTION_KMS_KEY" else base64.b64encode(CUSTOMER_KEY).decode()
    connect(wire, **{ours: value}).client("s3").put_object(Bucket="bucket", Key="key", Body=b"x", **given)
    plain = boto3.client(
        "s3", endpoint_url=wire.endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    plain.put_object(Bucket="bucket", Key="key", Body=b"x", **given)
    ours_sent, theirs_sent = (
        {name: value for name, value in one.headers.items() if "server-side" in name} for one in wire.requests
    )
    assert ours_sent == theirs_sent


def test_an_altered_encryption_is_on_the_next_write(wire):
    """A client handed out before an ALTER encrypts its next write as altered."""
    run = Statements()
    run(create("vault", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False))
    client = run.connection("vault").client("s3")
    client.put_object(Bucket="bucket", Key="key")
    run("ALTER S3 CONNECTION vault SET ENCRYPTION_KMS_KEY = 'alias/ours' VALIDATE = FALSE")
    client.put_object(Bucket="bucket", Key="key")
    assert [kms(one)[1] for one in wire.requests] == [None, "alias/ours"]


def test_a_demanded_checksum_is_md5_where_the_server_is_no_aws_s():
    """Deleting several by one request carries Content-MD5, which many servers know alone; another where asked for."""
    answer = b"<DeleteResult><Deleted><Key>a</Key></Deleted></DeleteResult>"
    with recording(lambda _: Reply(200, {"Content-Type": "application/xml"}, answer)) as recorder:
        run = Statements()
        run(create("lake", keys=KEYS, ENDPOINT=recorder.endpoint, VALIDATE=False))
        client = run.connection("lake").client("s3")
        client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "a"}]})
        client.put_object(Bucket="bucket", Key="a", Body=b"1")
        client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "a"}]}, ChecksumAlgorithm="SHA256")
    deletion, put, chosen = recorder.requests
    assert not [name for one in (deletion, put) for name in one.headers if "checksum" in name]
    assert "x-amz-checksum-sha256" in chosen.headers
    assert deletion.headers["content-md5"] == base64.b64encode(hashlib.md5(deletion.body).digest()).decode()
    assert "content-md5" not in put.headers
