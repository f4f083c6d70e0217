"""Encryption that was asked for was done, or the write is an error and nothing is left: by every way to write."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from boto3.s3.transfer import TransferConfig
from boto_clients import client
from recording import Reply, passing_to, recording
from statements import Statements, create
from vaults import answering

from s3conn_magic.connections.writes import Encryption
from s3conn_magic.errors import EncryptionError
from s3conn_magic.locations import Location
from s3conn_magic.objects import uploads
from s3conn_magic.sandbox import ARCHIVE, EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.sandbox import Keys

KEY = base64.b64encode(bytes(range(32))).decode()
KMS = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OPTIONS = {"kms": {"ENCRYPTION_KMS_KEY": KMS}, "customer": {"ENCRYPTION_CUSTOMER_MANAGED_KEY": KEY}}
SMALL, LARGE = b"id\n1\n", b"0123456789abcdef" * (11 << 16)
PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
REFUSING = ("ignores", "other key", "other kind")


@dataclass
class Bucket:
    """An empty bucket and a connection to it that encrypts."""

    run: Statements
    plain: Any
    name: str = EMPTY

    @property
    def connection(self) -> Any:
        """The connection."""
        return self.run.connection("vault")

    @property
    def keys(self) -> list[str]:
        """What is there."""
        return [one["Key"] for one in self.plain.list_objects_v2(Bucket=self.name).get("Contents", [])]

    @property
    def unfinished(self) -> list[Any]:
        """Uploads that are neither complete nor aborted."""
        try:
            return list(self.plain.list_multipart_uploads(Bucket=self.name).get("Uploads", []))
        except self.plain.exceptions.NoSuchUpload:  # rclone's word for none
            return []

    def empty(self) -> None:
        """Delete what is there."""
        for key in self.keys:
            self.plain.delete_object(Bucket=self.name, Key=key)


def _upload(bucket: Bucket, body: bytes, **options: Any) -> None:
    upload = uploads.Upload(bucket.connection, Location(bucket.name, "new"), len(body), **options)
    upload.write(body)
    upload.finish()


def _copied(bucket: Bucket, copy: Callable[..., Any], **more: Any) -> None:
    """Copy an object that is under no key of the customer's."""
    bucket.plain.put_object(Bucket=bucket.name, Key="source", Body=LARGE if "Config" in more else SMALL)
    try:
        copy({"Bucket": bucket.name, "Key": "source"}, **more)
    finally:
        bucket.plain.delete_object(Bucket=bucket.name, Key="source")


def _job(bucket: Bucket, rows: int) -> None:
    bucket.run(
        f"CREATE JOB new AS INSERT INTO S3 vault LOCATION = 's3://{bucket.name}/' COMPRESSION = NONE"
        f" SELECT i, hash(i) AS h FROM range({rows}) t(i)"
    )


def _file(bucket: Bucket, body: bytes) -> None:
    with bucket.connection.fsspec().open(f"s3://{bucket.name}/new", "wb") as file:
        file.write(body)


def _resource(bucket: Bucket) -> Any:
    endpoint = bucket.connection.settings.endpoint
    return bucket.connection.session().resource("s3", endpoint_url=endpoint).Bucket(bucket.name)


NEW = {"Bucket": EMPTY, "Key": "new"}
WAYS: dict[str, Callable[[Bucket], Any]] = {
    "put_object": lambda b: b.connection.client().put_object(**NEW, Body=SMALL),
    "put_object of nothing": lambda b: b.connection.client().put_object(**NEW),
    "create_multipart_upload": lambda b: b.connection.client().create_multipart_upload(**NEW)["UploadId"],
    "upload_fileobj": lambda b: b.connection.client().upload_fileobj(io.BytesIO(SMALL), EMPTY, "new"),
    "upload_fileobj in parts": lambda b: b.connection.client().upload_fileobj(
        io.BytesIO(LARGE), EMPTY, "new", Config=PARTS
    ),
    "copy_object": lambda b: _copied(b, lambda source: b.connection.client().copy_object(**NEW, CopySource=source)),
    "copy": lambda b: _copied(b, lambda source: b.connection.client().copy(source, EMPTY, "new")),
    "copy in parts": lambda b: _copied(
        b, lambda source, **more: b.connection.client().copy(source, EMPTY, "new", **more), Config=PARTS
    ),
    "resource put": lambda b: _resource(b).put_object(Key="new", Body=SMALL),
    "resource upload in parts": lambda b: _resource(b).upload_fileobj(io.BytesIO(LARGE), "new", Config=PARTS),
    "explorer": lambda b: _upload(b, SMALL),
    "explorer in parts": lambda b: _upload(b, LARGE),
    "explorer, replacing": lambda b: _upload(b, SMALL, overwrite=True),
    "job": lambda b: _job(b, 10),
    "job in parts": lambda b: _job(b, 700_000),
    "fsspec open": lambda b: _file(b, SMALL),
    "fsspec open in parts": lambda b: _file(b, LARGE),
    "fsspec pipe": lambda b: b.connection.fsspec().pipe_file(f"{EMPTY}/new", SMALL),
    "fsspec copy": lambda b: _copied(
        b, lambda source: b.connection.fsspec().cp_file(f"{EMPTY}/{source['Key']}", f"{EMPTY}/new")
    ),
    "arrow": lambda b: b.connection.pyarrow_filesystem().open_output_stream(f"{EMPTY}/new").close(),
}


def _bucket(endpoint: str, keys: Keys, kind: str, **options: Any) -> Bucket:
    run = Statements()
    run(create("vault", keys=keys, ENDPOINT=endpoint, REGION="us-east-1", VALIDATE=False, **OPTIONS[kind], **options))
    return Bucket(run, client("s3", endpoint, keys))


@pytest.fixture(params=OPTIONS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two options is set."""
    return str(request.param)


@pytest.fixture
def on_moto(sandbox, upstream, kind: str) -> Iterator[Callable[[str], Bucket]]:
    """A bucket of moto, whose answers tell of the encryption as a test says."""
    del upstream
    with recording(passing_to(sandbox.endpoint)) as wire:

        def made(how: str) -> Bucket:
            wire.answer = answering(passing_to(sandbox.endpoint), how)
            return _bucket(wire.endpoint, sandbox.admin, kind)

        yield made


@pytest.mark.parametrize("way", WAYS)
def test_what_was_encrypted_is_written(on_moto, way: str):
    """A server that tells of the encryption keeps what was written, and no upload is left."""
    bucket = on_moto("honours")
    found = WAYS[way](bucket)
    if way == "create_multipart_upload":
        bucket.plain.abort_multipart_upload(**NEW, UploadId=found)
    else:
        assert [key.partition(".")[0] for key in bucket.keys] == ["new"]
    assert bucket.unfinished == []


# Each request that is answered by an encryption once for each answer, and every way to send them for the usual one.
_REFUSED = [(way, "ignores") for way in WAYS] + [
    (way, how)
    for way in ("put_object", "create_multipart_upload", "copy_object", "job in parts", "fsspec pipe")
    for how in ("other key", "other kind")
]


@pytest.mark.parametrize(("way", "how"), _REFUSED)
def test_what_was_not_encrypted_is_refused_and_gone(on_moto, way: str, how: str):
    """A server that tells of nothing, of another key or another encryption: one error, no object and no upload."""
    bucket = on_moto(how)
    with pytest.raises(EncryptionError) as failed:
        WAYS[way](bucket)
    assert (bucket.keys, bucket.unfinished) == ([], [])
    _assert_clear(failed.value, bucket)


@pytest.mark.parametrize("way", [way for way in WAYS if "copy" not in way])
def test_on_a_server_that_knows_no_encryption_nothing_is_left(rclone_server, kind: str, way: str):
    """Rclone takes the headers of both kinds, and encrypts nothing: every way is refused, and nothing is left."""
    bucket = _bucket(rclone_server.endpoint, rclone_server.keys, kind)
    with pytest.raises(EncryptionError) as failed:
        WAYS[way](bucket)
    assert (bucket.keys, bucket.unfinished) == ([], [])
    assert list((rclone_server.root / EMPTY).iterdir()) == []
    _assert_clear(failed.value, bucket)


def _assert_clear(error: EncryptionError, bucket: Bucket) -> None:
    """It names the object, the connection, what was asked and what came, and no secret; its hint is a statement."""
    said = error.block()
    assert f"s3://{EMPTY}/new" in error.message
    assert "through the connection vault" in error.message
    assert KEY not in said
    asked = KMS if bucket.connection.settings.kms_key else "SSE-C"
    assert asked in error.message
    assert (error.__cause__, error.__context__) == (None, None)
    statement = error.hint.partition(";")[0]
    assert "encryption" in list(bucket.run(statement)["action"])


# What was there before


@pytest.mark.parametrize("how", REFUSING)
@pytest.mark.parametrize("way", ["explorer, replacing", "fsspec open", "fsspec open in parts", "fsspec pipe"])
def test_an_object_that_was_there_before_stays(on_moto, way: str, how: str):
    """Whoever replaces an object learns from the beginning of an upload whether it is encrypted, and loses nothing."""
    bucket = on_moto(how)
    bucket.plain.put_object(**NEW, Body=b"before")
    with pytest.raises(EncryptionError):
        WAYS[way](bucket)
    assert bucket.plain.get_object(**NEW)["Body"].read() == b"before"


def test_a_replaced_object_is_encrypted_and_whole(on_moto):
    """Where the server does encrypt, the new one takes the old one's place; an empty one, too."""
    bucket = on_moto("honours")
    for body in (SMALL, b"", LARGE):
        bucket.plain.put_object(**NEW, Body=b"before")
        _upload(bucket, body, overwrite=True)
        assert bucket.plain.get_object(**NEW)["Body"].read() == body
    assert bucket.unfinished == []


def test_of_versions_the_one_that_was_written_is_deleted(sandbox, kind: str):
    """In a bucket with versions the earlier ones stay, with no marker of a deletion above them."""
    plain, at = client("s3", sandbox.endpoint, sandbox.admin), {"Bucket": ARCHIVE, "Key": "encrypted/new"}
    first = plain.put_object(**at, Body=b"before")["VersionId"]
    with recording(answering(passing_to(sandbox.endpoint), "ignores")) as wire:
        bucket = _bucket(wire.endpoint, sandbox.admin, kind)
        with pytest.raises(EncryptionError, match="earlier ones are still there"):
            bucket.connection.client().put_object(**at, Body=SMALL)
    answer = plain.list_object_versions(Bucket=ARCHIVE, Prefix=at["Key"])
    plain.delete_object(**at, VersionId=first)
    assert [one["VersionId"] for one in answer["Versions"]] == [first]
    assert "DeleteMarkers" not in answer


def test_what_somebody_else_wrote_meanwhile_stays(sandbox, upstream, kind: str):
    """The object that is deleted is the one that was written, and no other that has taken its place."""
    ask = answering(passing_to(sandbox.endpoint), "ignores")

    def answer(request):
        reply = ask(request)
        if request.method == "PUT":
            upstream.put_object(**NEW, Body=b"theirs")
        return reply

    with recording(answer) as wire:
        bucket = _bucket(wire.endpoint, sandbox.admin, kind)
        with pytest.raises(EncryptionError, match="has another ETag"):
            bucket.connection.client().put_object(**NEW, Body=SMALL)
    assert upstream.get_object(**NEW)["Body"].read() == b"theirs"


def test_what_cannot_be_deleted_is_said_to_be_there(sandbox, upstream, kind: str):
    """Without s3:DeleteObject the error says that the object is there, and what is missing."""
    ask = answering(passing_to(sandbox.endpoint), "ignores")
    denied = Reply(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    with recording(lambda one: denied if one.method == "DELETE" else ask(one)) as wire:
        bucket = _bucket(wire.endpoint, sandbox.admin, kind)
        with pytest.raises(EncryptionError, match=r"could not be deleted: .*s3:DeleteObject is missing"):
            bucket.connection.client().put_object(**NEW, Body=SMALL)
    assert upstream.get_object(**NEW)["Body"].read() == SMALL


# Several requests that make one object


@pytest.mark.parametrize("kind", ["customer"], indirect=True)
def test_a_part_that_was_not_encrypted_ends_the_upload(sandbox, upstream, kind: str):
    """An upload that began well and has a part without the customer's key is aborted."""
    honest, silent = (answering(passing_to(sandbox.endpoint), how) for how in ("honours", "ignores"))
    with recording(lambda one: (silent if "partNumber" in one.query else honest)(one)) as wire:
        bucket = _bucket(wire.endpoint, sandbox.admin, kind)
        for way in ("explorer in parts", "upload_fileobj in parts", "fsspec open in parts", "job in parts"):
            with pytest.raises(EncryptionError) as failed:
                WAYS[way](bucket)
            assert failed.value.notes[0] == "Its parts were dropped, and nothing was written."
            assert (bucket.keys, bucket.unfinished) == ([], [])
    del upstream


@pytest.mark.parametrize("kind", ["kms"], indirect=True)
def test_an_end_that_tells_of_another_key_is_refused(sandbox, upstream, kind: str):
    """The answer that completes an upload need not tell of the encryption; what it tells must not contradict."""
    ask = answering(passing_to(sandbox.endpoint), "honours")
    said = {"x-amz-server-side-encryption": "AES256"}

    def answer(request):
        reply = ask(request)
        ends = request.method == "POST" and "uploadId" in request.query
        return Reply(reply.status, {**reply.headers, **said}, reply.body) if ends else reply

    with recording(answer) as wire:
        bucket = _bucket(wire.endpoint, sandbox.admin, kind)
        for way in ("explorer in parts", "upload_fileobj in parts"):
            with pytest.raises(EncryptionError, match="tells of SSE-S3"):
                WAYS[way](bucket)
        assert (bucket.keys, bucket.unfinished) == ([], [])
        said.clear()
        WAYS["explorer in parts"](bucket)
        assert bucket.keys == ["new"]
    del upstream


def test_data_is_sent_only_after_the_answer_to_the_beginning(sandbox, upstream, kind: str):
    """Of an upload in parts a server that ignores the headers is sent no byte."""
    with recording(answering(passing_to(sandbox.endpoint), "ignores")) as wire:
        bucket = _bucket(wire.endpoint, sandbox.admin, kind)
        with pytest.raises(EncryptionError, match="Nothing was sent of it"):
            _upload(bucket, LARGE)
        assert sum(len(one.body) for one in wire.requests) == 0
    del upstream


# What the caller asks for


@pytest.mark.parametrize("kind", ["kms"], indirect=True)
def test_what_a_caller_asks_for_is_checked_too(on_moto):
    """An encryption that the caller names, of a connection with or without the option, must be told of as well."""
    bucket = on_moto("ignores")
    bucket.run("ALTER S3 CONNECTION vault UNSET ENCRYPTION_KMS_KEY")
    bucket.connection.client().put_object(**NEW, Body=SMALL)
    assert bucket.keys == ["new"]
    with pytest.raises(EncryptionError, match="SSE-S3 was asked for"):
        bucket.connection.client().put_object(**NEW, Body=SMALL, ServerSideEncryption="AES256")
    assert bucket.keys == []


_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
SAME = [
    (KMS, KMS, True),
    (KMS, KMS[:-1] + "c", False),
    (KMS, KMS.replace("us-east-1", "us-east-2"), False),
    (_ID, KMS, True),
    (_ID, KMS[:-1] + "c", False),
    (KMS, _ID, True),
    ("alias/lake", KMS, True),
    ("alias/lake", "alias/lake", True),
    ("alias/lake", "arn:aws:kms:us-east-1:123456789012:alias/lake", True),
    ("alias/lake", "alias/lakes", False),
    ("arn:aws:kms:us-east-1:123456789012:alias/lake", KMS, True),
    ("mrk-1", "arn:aws:kms:mrk-1", True),
    (KMS, "", True),
]


@pytest.mark.parametrize(("asked", "said", "same"), SAME)
def test_keys_are_compared_as_far_as_their_names_tell(asked: str, said: str, same: bool):
    """ARN, id and alias of a key are the same key where nothing says that they are not."""
    wanted = Encryption(algorithm="aws:kms", kms_key=asked)
    assert wanted.is_done_by(Encryption(algorithm="aws:kms", kms_key=said)) is same
    assert not wanted.is_done_by(Encryption(algorithm="AES256", kms_key=said))
    assert not wanted.is_done_by(Encryption())


# Reading


def test_reading_is_no_failure(rclone_server, kind: str):
    """What a server without encryption has, a connection that asks for one reads: nothing can be harmed by that."""
    bucket = _bucket(rclone_server.endpoint, rclone_server.keys, kind)
    assert len(bucket.run("PREVIEW 's3://acme-lake/sales/orders.csv' LIMIT 2").frame) == 2
