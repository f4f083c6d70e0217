"""ENCRYPTION_KMS_KEY and ENCRYPTION_CUSTOMER_MANAGED_KEY on every way an object is written, copied and read.

The server refuses every request that does not carry, signed, exactly the headers that AWS wants there.
"""

from __future__ import annotations

import base64
import io

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from statements import Statements, create
from vaults import Vault, customer_headers, kms_headers, locked

from s3conn_magic.errors import CredentialsError, S3ConnError
from s3conn_magic.locations import Location
from s3conn_magic.objects import uploads
from s3conn_magic.objects.description import describe
from s3conn_magic.objects.files import Download
from s3conn_magic.objects.requests import presign
from s3conn_magic.preview.preview import preview
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

KEYS = Keys("AKIAONE", Secret("one-secret"))
KMS = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
SMALL, LARGE = b"id,name\n1,a\n2,b\n", b"0123456789abcdef" * (11 << 16)
PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
WHERE = {"Bucket": "bucket", "Key": "small.csv"}
OPTIONS = {
    "kms": {"ENCRYPTION_KMS_KEY": KMS},
    "customer": {"ENCRYPTION_CUSTOMER_MANAGED_KEY": base64.b64encode(KEY).decode()},
}


def vault_for(kind):
    """A vault for connections of that kind."""
    if kind == "kms":
        return Vault(begins=kms_headers(KMS))
    headers = customer_headers(KEY)
    return Vault(begins=headers, parts=headers, reads=headers, sources=customer_headers(KEY, source=True))


@pytest.fixture(params=OPTIONS)
def kind(request):
    """Which of the two options is set."""
    return request.param


@pytest.fixture
def vault(kind):
    """What is stored."""
    return vault_for(kind)


@pytest.fixture
def wire(vault):
    """Its server."""
    with locked(vault) as recorder:
        yield recorder


@pytest.fixture
def run(wire, kind):
    """A session with the connection `vault`."""
    statements = Statements()
    statements(create("vault", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False, **OPTIONS[kind]))
    return statements


@pytest.fixture
def connection(run):
    """The connection."""
    return run.connection("vault")


@pytest.fixture
def file(tmp_path):
    """A large file."""
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    return str(path)


def test_clients_write_copy_and_read(connection, vault, file, tmp_path):
    """Puts, uploads in one piece and in parts, copies of both kinds, and every read of a handed-out client pass."""
    client = connection.client("s3")
    client.put_object(**WHERE, Body=SMALL)
    client.upload_file(file, "bucket", "large", Config=PARTS)
    client.upload_fileobj(io.BytesIO(SMALL), "bucket", "from-memory")
    client.upload_fileobj(io.BytesIO(LARGE), "bucket", "parts-from-memory", Config=PARTS)
    client.copy_object(Bucket="bucket", Key="copy", CopySource=WHERE)
    client.copy(WHERE, "bucket", "managed-copy")
    client.copy({"Bucket": "bucket", "Key": "large"}, "bucket", "copy-in-parts", Config=PARTS)
    small = [vault.objects[f"/bucket/{name}"] for name in ("small.csv", "from-memory", "copy", "managed-copy")]
    large = [vault.objects[f"/bucket/{name}"] for name in ("large", "parts-from-memory", "copy-in-parts")]
    assert small == [SMALL] * 4
    assert large == [LARGE] * 3
    assert client.head_object(**WHERE)["ContentLength"] == len(SMALL)
    assert client.get_object(**WHERE)["Body"].read() == SMALL
    assert client.get_object(**WHERE, Range="bytes=3-6")["Body"].read() == SMALL[3:7]
    client.download_file("bucket", "large", str(tmp_path / "down"), Config=PARTS)
    assert (tmp_path / "down").read_bytes() == LARGE
    assert vault.refused == []


def test_sessions_write_copy_and_read(connection, wire, vault, file):
    """Clients and resources of a handed-out session do as the connection's own clients do."""
    session = connection.session()
    client = session.client("s3", endpoint_url=wire.endpoint)
    bucket = session.resource("s3", endpoint_url=wire.endpoint).Bucket("bucket")
    client.put_object(**WHERE, Body=SMALL)
    bucket.upload_file(file, "large", Config=PARTS)
    bucket.Object("copy").copy({"Bucket": "bucket", "Key": "large"}, Config=PARTS)
    bucket.put_object(Key="put", Body=SMALL)
    assert [one.key for one in bucket.objects.all()] == ["copy", "large", "put", "small.csv"]
    assert bucket.Object("put").get()["Body"].read() == SMALL
    assert bucket.Object("copy").content_length == len(LARGE)
    assert vault.refused == []


def test_the_explorer_uploads_reads_and_deletes(connection, vault):
    """Its uploads, in one piece and in parts, descriptions, previews and downloads pass."""
    for name, body in (("small.csv", SMALL), ("large", LARGE)):
        upload = uploads.Upload(connection, Location("bucket", name), len(body))
        upload.write(body)
        upload.finish()
        download = Download(connection, Location("bucket", name))
        assert b"".join(download.pieces()) == body
    assert vault.objects == {"/bucket/small.csv": SMALL, "/bucket/large": LARGE}
    assert describe(connection, Location("bucket", "small.csv")).size == len(SMALL)
    assert list(preview(connection, Location("bucket", "small.csv"), rows=10).frame["name"]) == ["a", "b"]
    assert describe(connection, Location("bucket", "large")).size == len(LARGE)
    assert {one.query.keys() & {"tagging", "versions"} != set() for one in vault.refused} <= {True}


def test_statements_write_and_read(run, vault):
    """TEST CONNECTION writes and reads, PREVIEW reads, LIST lists."""
    vault.objects["/bucket/small.csv"] = SMALL
    found = run("TEST CONNECTION vault LOCATION 's3://bucket/' WITH WRITE")
    allowed = dict(zip(found["action"], found["allowed"].astype(object), strict=True))
    assert [allowed[action] for action in ("list", "read", "write", "delete")] == [True] * 4
    assert len(run("PREVIEW 's3://bucket/small.csv'").frame) == 2
    assert list(run("LIST 's3://bucket/'")["key"]) == ["small.csv"]
    assert vault.objects == {"/bucket/small.csv": SMALL}


def test_without_the_key_nothing_passes(wire, vault, kind):
    """A connection without the option, or with another key, is refused: the server does look."""
    run = Statements()
    wrong = {"kms": {"ENCRYPTION_KMS_KEY": "alias/other"}, "customer": {}}[kind]
    wrong |= {"ENCRYPTION_CUSTOMER_MANAGED_KEY": base64.b64encode(OTHER_KEY).decode()} if kind == "customer" else {}
    for name, options in (("none", {}), ("wrong", wrong)):
        run(create(name, keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False, **options))
        client = run.connection(name).client("s3")
        for write in (
            lambda: client.put_object(**WHERE),  # noqa: B023 - used at once
            lambda: client.copy_object(**WHERE, CopySource=WHERE),  # noqa: B023
            lambda: client.create_multipart_upload(**WHERE),  # noqa: B023
        ):
            with pytest.raises(client.exceptions.ClientError, match="InvalidRequest"):
                write()
    assert vault.objects == {}
    assert len(vault.refused) == 6


@pytest.mark.parametrize("kind", ["customer"], indirect=True)
def test_another_key_reads_nothing(wire, vault):
    """Reads with another customer's key, or none, are refused in the words of this package."""
    vault.objects["/bucket/small.csv"] = SMALL
    run = Statements()
    other = base64.b64encode(OTHER_KEY).decode()
    options = {"ENCRYPTION_CUSTOMER_MANAGED_KEY": other, "ENDPOINT": wire.endpoint, "VALIDATE": False}
    run(create("other", keys=KEYS, **options))
    run(create("none", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False))
    for name in ("other", "none"):
        error = run.fails(f"PREVIEW 's3://bucket/small.csv' USING {name}", S3ConnError)
        assert "ENCRYPTION_CUSTOMER_MANAGED_KEY" in error.hint
        assert other not in error.block()


# Links


@pytest.mark.parametrize("region", [{}, {"REGION": "us-east-1"}])
def test_no_link_carries_a_customer_s_key(region):
    """Links of every kind are refused, to read and to write, whatever the signature's version; none holds the key."""
    run = Statements()
    run(create("vault", keys=KEYS, VALIDATE=False, **OPTIONS["customer"], **region))
    connection = run.connection("vault")
    client, session = connection.client("s3"), connection.session().client("s3")
    params = dict(WHERE)
    for link in (
        lambda: client.generate_presigned_url("get_object", Params=params),
        lambda: client.generate_presigned_url("head_object", Params=params),
        lambda: client.generate_presigned_url("put_object", Params=params),
        lambda: session.generate_presigned_url("get_object", Params=params),
        lambda: client.generate_presigned_post("bucket", "key"),
        lambda: presign(connection, Location("bucket", "key"), 60),
    ):
        with pytest.raises(CredentialsError, match="which a link cannot do"):
            link()
    assert params == WHERE
    assert "Signature" in client.generate_presigned_url("list_objects_v2", Params={"Bucket": "bucket"})


@pytest.mark.parametrize("kind", ["kms"], indirect=True)
def test_links_to_write_name_the_kms_key(connection):
    """A presigned PUT must be sent with the key's headers; a presigned POST holds them in its fields and its policy."""
    client, params = connection.client("s3"), dict(WHERE)
    url = client.generate_presigned_url("put_object", Params=params)
    assert "x-amz-server-side-encryption-aws-kms-key-id" in url.partition("X-Amz-SignedHeaders=")[2].partition("&")[0]
    assert params == WHERE
    post = client.generate_presigned_post("bucket", "key", Fields={"acl": "private"}, Conditions=[{"acl": "private"}])
    assert kms_headers(KMS).items() <= post["fields"].items()
    policy = base64.b64decode(post["fields"]["policy"]).decode()
    assert KMS in policy
    assert '"acl": "private"' in policy
    theirs = {"x-amz-server-side-encryption": "AES256"}
    assert (
        client.generate_presigned_post("bucket", "key", Fields=theirs, Conditions=[theirs])["fields"].keys()
        & {"x-amz-server-side-encryption-aws-kms-key-id"}
        == set()
    )


# The caller's own


THEIRS = {
    "SSE-S3": ({"ServerSideEncryption": "AES256"}, {"x-amz-server-side-encryption": "AES256"}, {}),
    "SSE-KMS": ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/theirs"}, kms_headers("alias/theirs"), {}),
    "SSE-C": (
        {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": OTHER_KEY},
        customer_headers(OTHER_KEY),
        customer_headers(OTHER_KEY),
    ),
}


@pytest.mark.parametrize("theirs", THEIRS)
@pytest.mark.parametrize("ours", OPTIONS)
def test_a_caller_s_own_encryption_counts_for_the_whole_upload(theirs, ours, file):
    """An upload that the caller begins with an encryption of its own has none of the connection's in its parts."""
    given, begins, parts = THEIRS[theirs]
    vault = Vault(begins=begins, parts=parts, reads=parts)
    with locked(vault) as wire:
        run = Statements()
        run(create("vault", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False, **OPTIONS[ours]))
        client = run.connection("vault").client("s3")
        for name in ("first", "second"):
            client.upload_file(file, "bucket", name, ExtraArgs=given, Config=PARTS)
    assert vault.objects == {"/bucket/first": LARGE, "/bucket/second": LARGE}
    assert vault.refused == []


# Transfers


@pytest.fixture
def with_crt(monkeypatch):
    """boto3 as it is on a machine where it prefers its C runtime, which fails here."""

    def elsewhere(*_):
        raise AssertionError("handed to another library")

    monkeypatch.setattr(
        "boto3.s3.transfer._should_use_crt", lambda config: config.preferred_transfer_client != "classic"
    )
    monkeypatch.setattr("boto3.s3.transfer.create_crt_transfer_manager", elsewhere, raising=False)


@pytest.mark.usefixtures("with_crt")
@pytest.mark.parametrize("chosen", [None, "auto", "crt"])
def test_transfers_never_leave_by_another_library(connection, vault, file, tmp_path, chosen):
    """Where boto3 would hand a transfer to its C runtime, which sends no key, the client sends it itself."""
    config = TransferConfig(preferred_transfer_client=chosen) if chosen else None
    client = connection.client("s3")
    client.upload_file(file, "bucket", "large", Config=config)
    client.upload_fileobj(io.BytesIO(SMALL), "bucket", "small", None, None, config)
    client.download_file("bucket", "large", str(tmp_path / "down"), Config=config)
    client.download_fileobj(Bucket="bucket", Key="small", Fileobj=io.BytesIO(), Config=config)
    assert vault.refused == []
    assert chosen is None or config.preferred_transfer_client == chosen


def test_what_a_plain_client_sends_is_refused(wire, vault):
    """A client that is not the connection's is refused by the same server."""
    client = boto3.client(
        "s3", endpoint_url=wire.endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    with pytest.raises(client.exceptions.ClientError, match="InvalidRequest"):
        client.put_object(**WHERE)
    assert vault.objects == {}
