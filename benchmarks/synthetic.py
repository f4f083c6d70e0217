"""A synthetic S3 server for listings: pages are slices of text made beforehand, so that clients are what is measured.

    python benchmarks/synthetic.py --keys 100000 --layout hive --latency 30

prints its address and serves `bucket` until its standard input closes. `GET /-/stats` tells and resets its counts.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import re
import sys
import threading
from bisect import bisect_left, bisect_right
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote_plus, unquote
from xml.sax.saxutils import escape

from layouts import LAYOUTS, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_CLASSES = ("STANDARD",) * 17 + ("STANDARD_IA", "GLACIER", "INTELLIGENT_TIERING")
_LAST = "\U0010ffff"


def encoded(text: str) -> str:
    """Percent-encoding as AWS writes it: a space is a plus."""
    return quote_plus(text, safe="/*")


def xml_text(text: str) -> str:
    """A text inside an XML element; controls become references, as AWS writes them."""
    return "".join(f"&#x{ord(each):x};" if each < " " else each for each in escape(text))


@dataclass
class Rows:
    """The rows of all keys as one text, and where each begins."""

    text: bytes
    begins: list[int]

    @classmethod
    def of(cls, keys: Sequence[str], write: object, make: object = None) -> Rows:
        begins, pieces, at = [0], [], 0
        for number, key in enumerate(keys):
            piece = (make or row)(number, key, write(key))  # type: ignore[operator]
            pieces.append(piece)
            at += len(piece)
            begins.append(at)
        return cls(b"".join(pieces), begins)

    def slice(self, first: int, end: int) -> memoryview:
        return memoryview(self.text)[self.begins[first] : self.begins[end]]


def row(number: int, key: str, written: str) -> bytes:
    when = _EPOCH + timedelta(seconds=number % 31536000)
    return (
        f"<Contents><Key>{written}</Key><LastModified>{when:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        f"<ETag>&quot;{hashlib.md5(key.encode()).hexdigest()}&quot;</ETag><Size>{number * 7919 % 10000000}</Size>"
        f"<StorageClass>{_CLASSES[number % 20]}</StorageClass></Contents>"
    ).encode()


@dataclass
class Bucket:
    """Keys in order, listed as S3 lists them."""

    keys: list[str]
    name: str = "bucket"

    @cached_property
    def _encoded(self) -> Rows:
        return self.rows(lambda key: xml_text(encoded(key)))

    @cached_property
    def _plain(self) -> Rows:
        return self.rows(xml_text)

    def rows(self, write: object) -> Rows:
        """The rows of all keys."""
        return Rows.of(self.keys, write)

    def prepare(self) -> None:
        """Make the rows now instead of at the first request."""
        assert self._encoded
        assert self._plain

    def page(self, query: dict[str, str]) -> bytes:
        """The body of ListObjectsV2."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        most, start = min(1000, int(query.get("max-keys", "1000"))), self._start(query, prefix)
        end = bisect_left(self.keys, prefix + _LAST) if prefix else len(self.keys)
        if delimiter:
            runs, groups, stop, last = self._grouped(start, end, prefix, delimiter, most)
        else:
            stop = min(end, start + most)
            runs, groups, last = [(start, max(start, stop))], [], self.keys[stop - 1] if stop > start else ""
        return self._body(query, runs, groups, last if stop < end else None)

    def _start(self, query: dict[str, str], prefix: str) -> int:
        token = query.get("continuation-token")
        after = base64.urlsafe_b64decode(token).decode() if token else query.get("start-after", "")
        return max(bisect_left(self.keys, prefix), bisect_right(self.keys, after) if after else 0)

    def _grouped(
        self, at: int, end: int, prefix: str, delimiter: str, most: int
    ) -> tuple[list[tuple[int, int]], list[str], int, str]:
        runs: list[tuple[int, int]] = []
        groups: list[str] = []
        last, count = "", 0
        while at < end and count < most:
            key = self.keys[at]
            cut = key.find(delimiter, len(prefix))
            if cut < 0:
                runs.append((at, at + 1))
                at, last = at + 1, key
            else:
                group = key[: cut + len(delimiter)]
                groups.append(group)
                # The next page begins behind every key of the group.
                at, last = bisect_left(self.keys, group + _LAST), group + _LAST
            count += 1
        return runs, groups, at, last

    def _body(self, query: dict[str, str], runs: list[tuple[int, int]], groups: list[str], last: str | None) -> bytes:
        url = query.get("encoding-type") == "url"
        write = (lambda text: xml_text(encoded(text))) if url else xml_text
        rows = self._encoded if url else self._plain
        count = sum(end - begin for begin, end in runs) + len(groups)
        token = base64.urlsafe_b64encode(last.encode()).decode() if last is not None else ""
        head = [
            f"{_XML}<ListBucketResult {_SPACE}><Name>{self.name}</Name>",
            f"<Prefix>{write(query.get('prefix', ''))}</Prefix>",
            f"<NextContinuationToken>{token}</NextContinuationToken>" if token else "",
            f"<KeyCount>{count}</KeyCount><MaxKeys>{query.get('max-keys', '1000')}</MaxKeys>",
            f"<Delimiter>{write(query['delimiter'])}</Delimiter>" if query.get("delimiter") else "",
            "<EncodingType>url</EncodingType>" if url else "",
            f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>",
        ]
        tail = "".join(f"<CommonPrefixes><Prefix>{write(group)}</Prefix></CommonPrefixes>" for group in groups)
        slices = [rows.slice(begin, end) for begin, end in runs]
        return b"".join(["".join(head).encode(), *slices, tail.encode(), b"</ListBucketResult>"])


@dataclass
class StoredBucket(Bucket):
    """A bucket whose objects can be read, and replaced; listed as they are now.

    Attributes:
        bodies: what is in each object, by key.
    """

    keys: list[str] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = sorted(self.bodies)

    def put(self, key: str, body: bytes) -> None:
        """Have an object, in place of another one."""
        self.bodies[key] = body
        self.keys = sorted(self.bodies)
        for rows in ("_encoded", "_plain"):
            self.__dict__.pop(rows, None)

    def etag(self, key: str) -> str:
        """The digest of an object's bytes, without quotes."""
        return hashlib.md5(self.bodies[key]).hexdigest()

    def rows(self, write: object) -> Rows:
        """The rows of all objects as they are."""
        return Rows.of(self.keys, write, self.row)

    def row(self, _number: int, key: str, written: str) -> bytes:
        """The row of one object."""
        return (
            f"<Contents><Key>{written}</Key><LastModified>{_EPOCH:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
            f"<ETag>&quot;{self.etag(key)}&quot;</ETag><Size>{len(self.bodies[key])}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        ).encode()


@dataclass
class Behaviour:
    """How the server behaves.

    Attributes:
        latency: seconds before an answer.
        rate: requests a second above which it answers 503, or 0.
    """

    latency: float = 0.0
    rate: float = 0.0
    requests: int = 0
    refused: int = 0
    _tokens: float = field(default=0.0)
    _filled: float = field(default=0.0)

    def admits(self, now: float) -> bool:
        """Whether a request is within the rate: a bucket that holds a tenth of a second."""
        if not self.rate:
            return True
        most = max(1.0, self.rate / 10)
        self._tokens = min(most, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        return True


class Connection(asyncio.Protocol):
    """One client's connection, kept alive; requests have no body."""

    def __init__(self, bucket: Bucket, behaviour: Behaviour) -> None:
        self._bucket = bucket
        self._behaviour = behaviour
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def abort(self) -> None:
        """Close the socket at once."""
        if hasattr(self, "_transport"):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
            self._behaviour.requests += not target.startswith("/-/")
            self._later(*self.answer(method, target))

    def _later(self, status: str, body: bytes) -> None:
        if self._behaviour.latency:
            asyncio.get_running_loop().call_later(self._behaviour.latency, self._send, status, body)
        else:
            self._send(status, body)

    def _send(self, status: str, body: bytes) -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.writelines([head.encode(), body])

    def answer(self, method: str, target: str) -> tuple[str, bytes]:
        """Status line and body."""
        path, _, query = target.partition("?")
        if path == "/-/stats":
            return "200 OK", self._stats()
        if not self._behaviour.admits(asyncio.get_running_loop().time()):
            return "503 Slow Down", f"{_XML}<Error><Code>SlowDown</Code><Message>Slow down</Message></Error>".encode()
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if path.strip("/") != self._bucket.name:
            return "404 Not Found", f"{_XML}<Error><Code>NoSuchKey</Code></Error>".encode()
        if method == "HEAD" or "location" in asked:
            return "200 OK", b"" if method == "HEAD" else f"{_XML}<LocationConstraint {_SPACE}/>".encode()
        return "200 OK", self._bucket.page(asked)

    def _stats(self) -> bytes:
        counts = {"requests": self._behaviour.requests, "refused": self._behaviour.refused}
        self._behaviour.requests = self._behaviour.refused = 0
        return json.dumps(counts).encode()


_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class ObjectConnection(Connection):
    """One client's connection to a `StoredBucket`: objects whole, by ranges and on conditions, and listings."""

    _bucket: StoredBucket

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ", 2)
            asked = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
            self._behaviour.requests += not target.startswith("/-/")
            key = unquote(target.partition("?")[0]).removeprefix(f"/{self._bucket.name}").removeprefix("/")
            if key and not target.startswith("/-/") and self._behaviour.admits(asyncio.get_running_loop().time()):
                self.deferred(self.given, method, key, asked)
            else:
                self._later(*self.answer(method, target))

    def deferred(self, answer: Callable[..., None], *args: object) -> None:
        """Answer after the latency."""
        if self._behaviour.latency:
            asyncio.get_running_loop().call_later(self._behaviour.latency, answer, *args)
        else:
            answer(*args)

    def given(self, method: str, key: str, asked: Mapping[str, str]) -> None:
        """Answer a GET or HEAD of an object."""
        self.respond(*self.object(key, asked), with_body=method != "HEAD")

    def object(self, key: str, asked: Mapping[str, str]) -> tuple[str, dict[str, str], bytes]:
        """Status, headers and body for what is asked of an object."""
        if key not in self._bucket.bodies:
            return "404 Not Found", {}, f"{_XML}<Error><Code>NoSuchKey</Code></Error>".encode()
        body, etag = self._bucket.bodies[key], f'"{self._bucket.etag(key)}"'
        headers = {"ETag": etag, "Last-Modified": f"{_EPOCH:%a, %d %b %Y %H:%M:%S} GMT", "Accept-Ranges": "bytes"}
        if asked.get("if-match", etag) != etag:
            return "412 Precondition Failed", {}, f"{_XML}<Error><Code>PreconditionFailed</Code></Error>".encode()
        if (matched := _RANGE.fullmatch(asked.get("range", ""))) is None:
            return "200 OK", headers, body
        first, last = matched.groups()
        start = int(first) if first else max(0, len(body) - int(last))
        stop = min(int(last) + 1, len(body)) if first and last else len(body)
        if start >= stop:
            return "416 Range Not Satisfiable", {}, f"{_XML}<Error><Code>InvalidRange</Code></Error>".encode()
        return (
            "206 Partial Content",
            headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"},
            body[start:stop],
        )

    def respond(self, status: str, headers: Mapping[str, str], body: bytes, *, with_body: bool = True) -> None:
        """Send an answer; what is said of the body's length counts in `headers` before what it is."""
        if not self._transport.is_closing():
            lines = {"Content-Length": str(len(body)), **headers}
            head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
            self._transport.writelines([f"HTTP/1.1 {status}\r\n{head}\r\n".encode(), body if with_body else b""])


@contextmanager
def serving(bucket: Bucket, behaviour: Behaviour | None = None, connection: type = Connection) -> Iterator[str]:
    """Serve a bucket from a thread of this process; gives the address."""
    behaviour, loop = behaviour or Behaviour(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    connections: list[Connection] = []

    def accept() -> Connection:
        connections.append(connection(bucket, behaviour))
        return connections[-1]

    start = loop.create_server(accept, "127.0.0.1", 0)
    server = asyncio.run_coroutine_threadsafe(start, loop).result(10)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(server.close)
        for each in connections:
            loop.call_soon_threadsafe(each.abort)
        # Aborted transports close their sockets in the loop's next round.
        loop.call_soon_threadsafe(loop.call_soon, loop.call_soon, loop.stop)
        thread.join(10)
        loop.close()


def main() -> None:
    """Serve until the standard input closes."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--keys", type=int, default=100000)
    options.add_argument("--layout", choices=LAYOUTS, default="hive")
    options.add_argument("--latency", type=float, default=0.0, help="milliseconds")
    options.add_argument("--rate", type=float, default=0.0, help="requests a second above which it answers 503")
    chosen = options.parse_args()
    bucket = Bucket(keys_of(chosen.layout, chosen.keys))
    bucket.prepare()
    with serving(bucket, Behaviour(chosen.latency / 1000, chosen.rate)) as address:
        print(address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
