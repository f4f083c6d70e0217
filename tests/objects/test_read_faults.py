"""Objects from a server whose answers go wrong: the bytes that are there, or an error, and never a wait without end."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import re
import signal
import threading
from contextlib import closing
from dataclasses import dataclass
from hashlib import md5
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from certificates import authority
from proxies import secured
from statements import Statements, create
from synthetic import Behaviour, ObjectConnection, StoredBucket

from s3conn_magic.datasets.sampling import Sampler
from s3conn_magic.errors import (
    AccessDeniedError,
    CredentialsError,
    EndpointError,
    ObjectNotFoundError,
    S3ConnError,
    StatementInterrupted,
    ThrottledError,
)
from s3conn_magic.locations import Location
from s3conn_magic.objects.ranged import PinnedObject, RangedObject
from s3conn_magic.objects.requests import ask, named
from s3conn_magic.objects.scope import BLOCKS, QueryScope
from s3conn_magic.runtime.interrupts import interruptible
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret
from s3conn_magic.transport import exchange, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEYS = Keys("AKIAFAULTS", Secret("faults-secret"))
BODY = bytes(range(256)) * 40
OTHER = bytes(reversed(BODY))
_DRIP = 0.02


@dataclass
class Fault:
    """What goes wrong with the first answers, and with how many of them."""

    answer: Callable[[Any, str, dict[str, str], bytes], None]
    times: int
    hits: int = 0


class FaultyObjects(ObjectConnection):
    """Answers as the synthetic server does, but for what the fault is about."""

    fault: Fault

    def given(self, method: str, key: str, asked: Mapping[str, str]) -> None:
        if method == "HEAD" or self.fault.hits >= self.fault.times:
            super().given(method, key, asked)
            return
        self.fault.hits += 1
        self.fault.answer(self, *self.object(key, asked))

    def drip(self, body: bytes, at: int = 0) -> None:
        """Send a body a byte at a time, for hours."""
        if not self._transport.is_closing() and at < len(body):
            self._transport.write(body[at : at + 1])
            asyncio.get_running_loop().call_later(_DRIP, self.drip, body, at + 1)

    def part(self, status: str, headers: dict[str, str], body: bytes) -> None:
        """Send the head and half of the body."""
        self.respond(status, headers | {"Content-Length": str(len(body))}, body[: len(body) // 2])


def _abort(wire: Any, *answer: Any) -> None:
    wire.part(*answer)
    wire._transport.abort()


def _close(wire: Any, *answer: Any) -> None:
    wire.part(*answer)
    wire._transport.close()


def _error(status: str, code: str, **headers: str) -> Callable[..., None]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return lambda wire, *_: wire.respond(status, named, body)


def _with(**changed: Any) -> Callable[..., None]:
    """The answer with other headers, another status or another body."""
    status_now, body_now = changed.pop("status", None), changed.pop("body", None)

    def answer(wire: Any, status: str, headers: dict[str, str], body: bytes) -> None:
        named = {name.replace("_", "-"): text for name, text in changed.items()}
        kept = {name: text for name, text in {**headers, **named}.items() if text is not None}
        wire.respond(status_now or status, kept, body if body_now is None else body_now(body))

    return answer


_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
_ALWAYS = 10**9
ONCE = {
    "reset before the answer": lambda wire, *_: wire._transport.abort(),
    "reset within the body": _abort,
    "closed within the body": _close,
    "not http": lambda wire, *_: wire._transport.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "500 InternalError": _error("500 Internal Server Error", "InternalError"),
    "502 of a proxy": lambda wire, *_: wire.respond("502 Bad Gateway", {}, _HTML),
    "503 SlowDown": _error("503 Slow Down", "SlowDown"),
    "429": _error("429 Too Many Requests", "TooManyRequests"),
    "400 RequestTimeout": _error("400 Bad Request", "RequestTimeout"),
    "a length that is too short": _with(body=lambda body: body[: len(body) // 2]),
    "301 to a region": _error("301 Moved", "PermanentRedirect", x_amz_bucket_region="eu-west-1"),
}
"""Passing faults: the bytes come all the same."""
LASTING: dict[str, tuple[Callable[..., None], type[S3ConnError]]] = {
    **{name: (answer, EndpointError) for name, answer in ONCE.items()},
    "503 SlowDown": (ONCE["503 SlowDown"], ThrottledError),
    "429": (ONCE["429"], ThrottledError),
    "301 to a region": (ONCE["301 to a region"], S3ConnError),
    "301 without a region": (_error("301 Moved", "PermanentRedirect"), S3ConnError),
    "302 to a page": (lambda wire, *_: wire.respond("302 Found", {"Location": "/"}, b""), S3ConnError),
    "204": (lambda wire, *_: wire.respond("204 No Content", {}, b""), S3ConnError),
    "403 AccessDenied": (_error("403 Forbidden", "AccessDenied"), AccessDeniedError),
    "400 ExpiredToken": (_error("400 Bad Request", "ExpiredToken"), CredentialsError),
    "404 NoSuchKey": (_error("404 Not Found", "NoSuchKey"), ObjectNotFoundError),
    "412": (_error("412 Precondition Failed", "PreconditionFailed"), S3ConnError),
    "another etag": (_with(ETag='"0123"', body=lambda body: OTHER[: len(body)]), S3ConnError),
    "another part": (_with(Content_Range=f"bytes 1-20/{len(BODY)}"), S3ConnError),
    "another size": (_with(Content_Range=f"bytes 0-9/{len(BODY) + 1}"), S3ConnError),
    "a part that is not named": (_with(Content_Range=None), S3ConnError),
    "a part as the whole": (_with(status="200 OK", Content_Range=None), S3ConnError),
    "200 and HTML": (lambda wire, *_: wire.respond("200 OK", {}, _HTML), S3ConnError),
    "200 and nothing": (lambda wire, *_: wire.respond("200 OK", {}, b""), S3ConnError),
}


@pytest.fixture
def reading(serve, monkeypatch):
    """What reads an object of a server with a fault."""
    monkeypatch.setattr(exchange, "_BASE", 0.0005)
    BLOCKS.shrink(0)
    run = Statements()

    def read(answer: Callable[..., None], times: int = _ALWAYS) -> RangedObject:
        kind = type("Faulty", (FaultyObjects,), {"fault": Fault(answer, times)})
        endpoint = serve(StoredBucket(bodies={"a.bin": BODY}), Behaviour(), kind)
        again = create("lake", keys=KEYS, ENDPOINT=endpoint, REGION="us-east-1", VALIDATE=False)
        run(again.replace("CREATE", "CREATE OR REPLACE", 1))
        pinned = PinnedObject(run.connection("lake"), Location("bucket", "a.bin"), len(BODY), md5(BODY).hexdigest())
        return RangedObject(pinned, QueryScope())

    read.run = run
    yield read
    run("DROP CONNECTION lake")


@pytest.mark.parametrize("long", [1, 1 << 20], ids=["where it stays", "through buffers"])
@pytest.mark.parametrize("name", ONCE)
def test_a_passing_fault_costs_another_try(reading, name, long, monkeypatch):
    """What goes wrong once is asked for again, and the bytes are those of the object, wherever they are received."""
    monkeypatch.setattr(wire, "_LONG", long)
    ranged = reading(ONCE[name], times=1)
    assert ranged.read(0, 10) == BODY[:10]
    assert ranged.read(5000, len(BODY)) == BODY[5000:]


@pytest.mark.parametrize("name", LASTING)
@pytest.mark.parametrize("start", [0, 7])
def test_a_lasting_fault_is_an_error_and_no_other_bytes(reading, name, start):
    """What goes wrong each time ends in the error of its kind, and nothing of it is taken for the object."""
    answer, kind = LASTING[name]
    ranged = reading(answer)
    with pytest.raises(kind) as failed:
        ranged.read(start, start + 3000)
    assert re.search(r"s3://|server|answer|proxy|credentials|access|region", failed.value.message)
    assert BLOCKS.held == 0


@pytest.mark.parametrize(
    "answer", [lambda wire, *said: wire.part(*said), lambda wire, *said: (wire.part(*said), wire.drip(said[2]))]
)
def test_an_interrupt_ends_the_wait_for_a_server_that_stalls(reading, answer):
    """SIGINT ends a read whose answer has stopped, or comes a byte at a time."""
    ranged = reading(answer)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(StatementInterrupted):
        interruptible(ranged.read)(0, 3000)


@pytest.mark.parametrize(
    "read",
    [
        lambda ranged: ranged.pinned.get(0, 3000),
        lambda ranged: ask(
            ranged.pinned.connection, ranged.pinned.location, "head_object", **named(ranged.pinned.location, None)
        ),
        lambda ranged: ranged.load([(0, 3000)]),
        lambda ranged: Sampler(ranged.pinned.connection, "bucket").content("a.bin", len(BODY)),
    ],
    ids=["a range", "a head", "a query", "a sample"],
)
def test_an_interrupt_as_a_request_is_sent_ends_it(reading, read, monkeypatch):
    """SIGINT between sending and waiting leaves no request under way: whoever sent it has what ends it already."""
    ranged = reading(lambda wire, *said: wire.part(*said))
    send, under_way = exchange.Exchange.send, []

    def interrupted(self, requests, futures):
        send(self, requests, futures)
        under_way.extend(futures)
        raise KeyboardInterrupt

    monkeypatch.setattr(exchange.Exchange, "send", interrupted)
    with pytest.raises(KeyboardInterrupt), closing(ranged._scope):
        read(ranged)
    assert [future.done() for future in under_way] == [True]


@pytest.mark.parametrize("by_tls", [False, True])
def test_a_long_body_is_received_whole(serve, by_tls, tmp_path, monkeypatch):
    """Bodies of megabytes come as they are, one behind the other on a socket, also by TLS."""
    tls, body = authority(tmp_path), os.urandom(3_000_001)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.bundle))
    endpoint = serve(StoredBucket(bodies={"a.bin": body}), Behaviour(), ObjectConnection)
    run = Statements()
    with secured(endpoint, tls.server) as address:
        endpoint = f"https://{address}" if by_tls else endpoint
        run(create("lake", keys=KEYS, ENDPOINT=endpoint, REGION="us-east-1", VALIDATE=False))
        pinned = PinnedObject(run.connection("lake"), Location("bucket", "a.bin"), len(body), md5(body).hexdigest())
        for start, stop in [(0, len(body)), (1, 300_000), (2_000_000, len(body)), (5, 9)]:
            assert pinned.get(start, stop) == body[start:stop]
        run("DROP CONNECTION lake")


def test_a_stop_ends_what_is_under_way(reading):
    """A query that is stopped raises in whoever waits, and asks for nothing more."""
    ranged = reading(lambda wire, *said: wire.part(*said))
    threading.Timer(0.2, ranged._scope.stop).start()
    with pytest.raises(StatementInterrupted):
        ranged.read(0, 3000)


def _chunked(wire: Any, status: str, headers: dict[str, str], body: bytes) -> None:
    """The body in chunks, whose length no header says."""
    named = {name: text for name, text in headers.items() if name.lower() != "content-length"}
    lines = "".join(f"{name}: {text}\r\n" for name, text in (named | {"Transfer-Encoding": "chunked"}).items())
    wire._transport.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode())
    for at in range(0, len(body), 1000):
        piece = body[at : at + 1000]
        wire._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    wire._transport.write(b"0\r\n\r\n")


def _old(wire: Any, status: str, headers: dict[str, str], body: bytes) -> None:
    """As a server of HTTP/1.0 answers: the body ends where the connection does."""
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items() if name.lower() != "content-length")
    wire._transport.write(f"HTTP/1.0 {status}\r\n{lines}\r\n".encode() + body)
    wire._transport.close()


WAYS = {
    **{f"encoding {name}": _with(Content_Encoding=name) for name in ("gzip", "deflate", "br", "zstd", "aws-chunked")},
    "chunked": _chunked,
    "http/1.0": _old,
    "closed without a word": lambda wire, *said: (wire.respond(*said), wire._transport.close()),
    "100 Continue before it": lambda wire, *said: (
        wire._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n"),
        wire.respond(*said),
    ),
}
"""Answers that are right, as servers write them."""


@pytest.mark.parametrize("name", WAYS)
def test_the_bytes_of_an_object_are_as_they_are_stored(reading, name):
    """However a server sends it, and whatever the object's Content-Encoding says, the bytes are those it has."""
    ranged = reading(WAYS[name])
    assert ranged.read(0, 10) == BODY[:10]
    assert ranged.read(5000, len(BODY)) == BODY[5000:]


class _Pieces:
    """Takes what is written in place of a transport."""

    def __init__(self) -> None:
        self.sent, self.closed = b"", False

    def write(self, data: bytes) -> None:
        self.sent += data

    def writelines(self, several: list[bytes]) -> None:
        self.sent += b"".join(several)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return False


def _in_pieces(answer: Callable[..., None], cuts: Callable[[int], list[int]]) -> Callable[..., None]:
    """An answer that is sent in pieces, one a moment behind the other."""

    def answered(wire: Any, *said: Any) -> None:
        transport, wire._transport = wire._transport, _Pieces()
        answer(wire, *said)
        taken, wire._transport = wire._transport, transport
        later, at = asyncio.get_running_loop().call_later, 0.0
        for start, stop in pairwise([0, *sorted(cuts(len(taken.sent))), len(taken.sent)]):
            later(at := at + 0.002, transport.write, taken.sent[start:stop])
        if taken.closed:
            later(at + 0.002, transport.close)

    return answered


def _repeated(wire: Any, status: str, headers: dict[str, str], body: bytes) -> None:
    lines = "".join(f"{name}: {text}\r\n" for name, text in [*headers.items(), ("Vary", "a"), ("Vary", "b")])
    wire._transport.write(f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)


FORMS = {
    **WAYS,
    "plain": lambda wire, *said: wire.respond(*said),
    "a header twice": _repeated,
    "a header of Latin-1": _with(X_Owner="M\u00fcller"),
    "no reason": lambda wire, status, headers, body: wire.respond(status.partition(" ")[0], headers, body),
    "to be closed": _with(Connection="close"),
    "kept alive": _with(Connection="Keep-Alive"),
    "a key in capitals": lambda wire, status, headers, body: wire.respond(
        status, {name.upper(): text for name, text in headers.items()}, body
    ),
}
CUTS = {
    "at once": lambda _: [],
    "within the head": lambda _: [random.randrange(1, 100)],
    "behind the head": lambda size: [size - len(BODY) + 5000],
    "in three": lambda size: random.sample(range(1, size), 2),
    "in thirty": lambda size: random.sample(range(1, size), 29),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_may_come_in_any_pieces(reading, form):
    """The bytes are those of the object in whatever form and pieces they come, one behind the other on a socket."""
    for cuts in CUTS.values():
        ranged = reading(_in_pieces(FORMS[form], cuts))
        assert ranged.read(5000, len(BODY)) == BODY[5000:]
        assert ranged.read(0, 10) == BODY[:10]


@pytest.mark.parametrize("more", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"])
def test_what_follows_an_answer_is_no_answer(reading, more):
    """Bytes behind an answer are not taken for the answer to the next request."""

    def answer(wire: Any, *said: Any) -> None:
        wire.respond(*said)
        wire._transport.write(more)

    ranged = reading(answer)
    for start in range(0, 200, 10):
        assert ranged.read(start, start + 10) == BODY[start : start + 10]


def test_what_cannot_be_sent_is_an_error_each_time(reading, monkeypatch):
    """Where no loop can be made, as a test suite that forbids sockets has it, no read waits; later ones work again."""

    def refuse(_function: Any) -> None:
        raise RuntimeError("no sockets here")

    ranged = reading(FORMS["plain"])
    with monkeypatch.context() as patched:
        patched.setattr(exchange.LOOP, "call", refuse)
        for read in (ranged.read, ranged.read, ranged.pinned.get):
            with pytest.raises(RuntimeError, match="no sockets"):
                read(0, 10)
    assert ranged.read(0, 10) == BODY[:10]


@pytest.mark.parametrize("drips", [False, True])
def test_an_answer_that_does_not_go_on_is_given_up(reading, drips, monkeypatch):
    """A server that stalls, before or within a body, or sends a byte at a time, ends in an error, and not in a wait."""
    monkeypatch.setattr(exchange, "TRIES", 1)
    reading.run("SET READ_TIMEOUT = 1; SET CONNECT_TIMEOUT = 1")
    ranged = reading(lambda wire, *said: (wire.part(*said), wire.drip(said[2])) if drips else wire.part(*said))
    with pytest.raises(EndpointError):
        ranged.read(0, 3000)


def test_packed_objects_with_an_encoding_have_all_their_rows(serve):
    """Objects of gzip whose Content-Encoding is gzip, too, are unpacked once, whole and in ranges."""
    text = b"n\n" + b"".join(b"%d\n" % number for number in range(3000))
    kind = type("Encoded", (FaultyObjects,), {"fault": Fault(_with(Content_Encoding="gzip"), _ALWAYS)})
    bodies = {"a.csv.gz": gzip.compress(text), "b.csv.gz": gzip.compress(text)}
    run = Statements()
    endpoint = serve(StoredBucket(bodies=bodies), Behaviour(), kind)
    run(create("lake", keys=KEYS, ENDPOINT=endpoint, REGION="us-east-1", VALIDATE=False))
    frame = run("SELECT count(*) AS rows, sum(n) AS sum FROM 's3://lake@bucket/*.csv.gz'")
    assert [int(frame[name][0]) for name in ("rows", "sum")] == [6000, 2 * sum(range(3000))]
    run("DROP CONNECTION lake")
