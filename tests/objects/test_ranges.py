"""A file over ranged GETs: what it gives, what it refuses, and what it counts."""

from __future__ import annotations

import io
import random
from dataclasses import replace as changed_by

import pytest
from recording import Reply, error
from served import Served, serving

from s3conn_magic.errors import (
    AccessDeniedError,
    CredentialsError,
    EndpointError,
    RegionError,
    S3ConnError,
)
from s3conn_magic.locations import Location
from s3conn_magic.objects.description import head
from s3conn_magic.objects.files import BLOCK, BoundReachedError, RangeReader

BODY = random.Random(5).randbytes(5 * BLOCK + 123)
HERE = Location("bucket", "data")


def opened(place, limit=1024 * 1024):
    return RangeReader(place.connection, HERE, head(place.connection, HERE), limit=limit)


@pytest.fixture
def place():
    """A server of `BODY`."""
    with serving(BODY) as found:
        yield found


def test_it_reads_as_a_file_does(place):
    """Any sequence of seeks and reads gives what the same on the bytes themselves gives."""
    file, plain, noise = opened(place), io.BytesIO(BODY), random.Random(9)
    for _ in range(200):
        whence = noise.choice((io.SEEK_SET, io.SEEK_END, io.SEEK_CUR))
        offset = noise.randrange(len(BODY) + 100) if whence == io.SEEK_SET else -noise.randrange(plain.tell() + 1)
        assert file.seek(offset, whence) == plain.seek(offset, whence)
        count = noise.choice((0, 1, 100, BLOCK, 3 * BLOCK, -1))
        assert file.read(count) == plain.read(count)
        assert file.tell() == plain.tell()
    assert place.served.sent == file.received == len(BODY)


def test_nothing_is_received_twice(place):
    """Blocks are kept; neighbours are asked for together."""
    file = opened(place)
    assert file.part(10, 20) == BODY[10:20]
    assert file.part(0, BLOCK + 1) == BODY[: BLOCK + 1]
    assert file.part(0, len(BODY) + 99) == BODY
    assert file.part(len(BODY), len(BODY) + 5) == b""
    bounds = [(0, BLOCK), (BLOCK, 2 * BLOCK), (2 * BLOCK, len(BODY))]
    assert place.ranges == [f"bytes={start}-{stop - 1}" for start, stop in bounds]
    assert (file.requests, file.received) == (3, len(BODY))


def test_ranges_apart_are_asked_for_at_once(place):
    """Each run of blocks is one request."""
    file = opened(place)
    file.prefetch([(0, 1), (BLOCK, BLOCK + 1), (4 * BLOCK, 4 * BLOCK + 1)])
    assert sorted(place.ranges) == [f"bytes=0-{2 * BLOCK - 1}", f"bytes={4 * BLOCK}-{5 * BLOCK - 1}"]


def test_the_bound_is_kept_before_a_request_is_sent(place):
    """What would go beyond it is not asked for at all."""
    file = opened(place, limit=2 * BLOCK)
    file.part(0, BLOCK)
    with pytest.raises(BoundReachedError):
        file.part(0, 3 * BLOCK)
    assert len(place.ranges) == 1
    assert file.part(BLOCK, BLOCK + 5) == BODY[BLOCK : BLOCK + 5]


def test_every_request_asks_for_the_object_that_was_described(place):
    """The etag of the HEAD is a condition of each GET."""
    opened(place).part(0, 1)
    asked, got = place.recorder.requests
    assert asked.method == "HEAD"
    assert got.headers["if-match"].strip('"')


def test_an_object_that_was_written_meanwhile_is_noticed(place):
    """Another etag at the next request is an error that says so, whether the server heeds the condition or not."""
    file = opened(place)
    file.part(0, 1)
    place.served.body = BODY[::-1]
    place.recorder.answer = place.served.answer
    with pytest.raises(S3ConnError, match="s3://bucket/data was changed while it was read"):
        file.part(3 * BLOCK, 3 * BLOCK + 1)


@pytest.mark.parametrize(
    "bend",
    [
        lambda reply: changed_by(reply, headers={**reply.headers, "ETag": '"other"'}),
        lambda reply: changed_by(reply, headers={**reply.headers, "Content-Range": f"bytes 0-65535/{len(BODY) + 1}"}),
    ],
)
def test_an_answer_about_another_object_is_refused(bend):
    """A server that ignores If-Match is seen through by the etag and by the size."""

    def bent(asked, reply):
        return bend(reply) if asked.method == "GET" else reply

    with serving(Served(BODY, bend=bent)) as place, pytest.raises(S3ConnError, match="was changed while it was read"):
        opened(place).part(0, 1)


def test_an_answer_that_ends_early_is_an_error():
    """Fewer bytes than the range has are never taken for it."""

    def cut(asked, reply):
        return reply if asked.method == "HEAD" else changed_by(reply, body=reply.body[:1000])

    with serving(Served(BODY, bend=cut)) as place, pytest.raises(EndpointError, match="1,000 of 65,536 bytes came"):
        opened(place).part(0, 1)


def test_a_connection_that_breaks_within_a_body_is_an_error():
    """The server announces more than it sends."""

    def broken(asked, reply):
        if asked.method == "HEAD":
            return reply
        return Reply(206, {**reply.headers, "Content-Length": str(len(reply.body)), "Connection": "close"}, b"abc")

    with serving(Served(BODY, bend=broken)) as place, pytest.raises(EndpointError) as failed:
        opened(place).part(0, 1)
    assert failed.value.__cause__ is None


def test_a_server_without_ranges_is_read_from_the_beginning_only():
    """Where the whole comes for a range, its beginning will do, and no more of it is received than was asked for."""

    def whole(asked, reply):
        return reply if asked.method == "HEAD" else Reply(200, {"ETag": reply.headers["ETag"]}, BODY)

    with serving(Served(BODY, bend=whole)) as place:
        file = opened(place)
        assert file.part(0, 5) == BODY[:5]
        assert file.received == BLOCK
        with pytest.raises(EndpointError, match="does not give ranges"):
            file.part(2 * BLOCK, 2 * BLOCK + 5)


def test_a_refusal_of_an_object_under_a_kms_key_names_the_other_right():
    """The right to read is not all that it takes."""

    def refuse(asked, reply):
        return reply if asked.method == "HEAD" else error(403, "AccessDenied")

    headers = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "arn:key"}
    with serving(Served(BODY, headers, refuse)) as place, pytest.raises(AccessDeniedError) as failed:
        opened(place).part(0, 1)
    assert failed.value.notes == ("It is encrypted by SSE-KMS arn:key: kms:Decrypt on that key is needed, too.",)


def test_an_object_that_was_archived_meanwhile_is_said_to_be():
    """The error says what to do, and not which code there was."""

    def refuse(asked, reply):
        return reply if asked.method == "HEAD" else error(403, "InvalidObjectState")

    with serving(Served(BODY, bend=refuse)) as place, pytest.raises(S3ConnError, match="must be restored before"):
        opened(place).part(0, 1)


def test_the_first_error_of_several_requests_is_the_one_raised():
    """Others that are under way are not waited for."""

    def refuse(asked, reply):
        return reply if asked.method == "HEAD" or "bytes=0-" in asked.headers["range"] else error(403, "AccessDenied")

    with serving(Served(BODY, bend=refuse)) as place:
        file = opened(place)
        with pytest.raises(AccessDeniedError):
            file.prefetch([(0, 1), (2 * BLOCK, 2 * BLOCK + 1), (4 * BLOCK, 4 * BLOCK + 1)])
    assert isinstance(file.failure, AccessDeniedError)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", AccessDeniedError),
        (403, "InvalidAccessKeyId", CredentialsError),
        (400, "ExpiredToken", CredentialsError),
        (301, "PermanentRedirect", RegionError),
        (418, "Teapot", EndpointError),
    ],
)
def test_refusals_are_the_errors_of_this_package(status, code, kind):
    """A GET that is refused fails as every other request of a connection does, with nothing chained to it."""

    def refuse(asked, reply):
        return reply if asked.method == "HEAD" else error(status, code)

    with serving(Served(BODY, bend=refuse)) as place, pytest.raises(kind) as failed:
        opened(place).part(0, 1)
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None
