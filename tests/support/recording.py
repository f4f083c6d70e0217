"""An HTTP server on 127.0.0.1 that keeps every request it gets, and answers as a test says or passes it on."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_NOT_PASSED_BACK = {"connection", "content-length", "transfer-encoding", "date", "server"}
_PATIENCE = 30.0


@dataclass(frozen=True)
class Request:
    """What came: `target` is the path with its query as it was sent; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int = 0
    """Port at the other end: the same for requests that came by one socket."""

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded; of a name given twice the first."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query, True).items()}

    @property
    def form(self) -> dict[str, str]:
        """The form in the body, as STS gets it."""
        return {name: values[0] for name, values in parse_qs(self.body.decode(errors="replace")).items()}

    @property
    def signed_by(self) -> str | None:
        """The access key id in the signature, or None when it is not signed."""
        found = self.headers.get("authorization", "").partition("Credential=")[2]
        return found.partition("/")[0] or None

    @property
    def signed_for(self) -> str | None:
        """The region in the signature, or None when it is not signed."""
        found = self.headers.get("authorization", "").partition("Credential=")[2]
        return found.split("/")[2] if found else None


@dataclass(frozen=True)
class Reply:
    """What to answer; `halfway` is called when half of the body was sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    halfway: Callable[[], object] = lambda: None


def error(status: int, code: str, **headers: str) -> Reply:
    """An answer with an error of S3; underscores in header names stand for hyphens."""
    body = f"<?xml version='1.0'?><Error><Code>{escape(code)}</Code><Message>as the test says</Message></Error>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"Content-Type": "application/xml", **named}, body.encode())


def listing(bucket: str, *keys: str) -> Reply:
    """One page of ListObjectsV2."""
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        f'<ETag>"d41d8cd98f00b204e9800998ecf8427e"</ETag><Size>3</Size><StorageClass>STANDARD</StorageClass></Contents>'
        for key in keys
    )
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket}</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>"
        f"<KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    )
    return Reply(200, {"Content-Type": "application/xml"}, body.encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    """Of those that connect at once: by the default of 5 the others try again after a second."""


class Recorder:
    """A running server; `requests` is what came so far, in order."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.requests: list[Request] = []
        self.answer = answer
        self.connections: set[int] = set()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"recorder": self}))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def seen(self) -> list[tuple[str, str]]:
        """Method and path of every request so far."""
        return [(one.method, one.path) for one in self.requests]

    def still_open(self, seconds: float = 5.0) -> int:
        """How many sockets are open that clients have not closed after so many seconds."""
        end = time.monotonic() + seconds
        while self.connections and time.monotonic() < end:
            time.sleep(0.02)
        return len(self.connections)

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_PATIENCE)


def passing_to(upstream: str) -> Callable[[Request], Reply]:
    """An answer that asks another server, with the request as it came, and so with its signature."""
    host = urlsplit(upstream).netloc

    def ask(request: Request) -> Reply:
        connection = HTTPConnection(host, timeout=_PATIENCE)
        try:
            headers = {name: value for name, value in request.headers.items() if name != "connection"}
            connection.request(request.method, request.target, request.body or None, headers)
            answer = connection.getresponse()
            body = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _NOT_PASSED_BACK}
            if request.method == "HEAD":
                kept["Content-Length"] = answer.getheader("Content-Length") or "0"
            return Reply(answer.status, kept, body)
        finally:
            connection.close()

    return ask


@contextmanager
def recording(answer: Callable[[Request], Reply]) -> Iterator[Recorder]:
    """A recorder for the length of a block."""
    server = Recorder(answer)
    try:
        yield server
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    recorder: Recorder
    protocol_version = "HTTP/1.1"

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def setup(self) -> None:
        super().setup()
        self.recorder.connections.add(self.client_address[1])

    def finish(self) -> None:
        self.recorder.connections.discard(self.client_address[1])
        super().finish()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, self.client_address[1])
        self.recorder.requests.append(request)
        # A client that is interrupted does not wait for its answer.
        with suppress(ConnectionError):
            self._send(self.recorder.answer(request))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        headers = {"Content-Length": str(len(reply.body)), **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            half = len(reply.body) // 2
            self.wfile.write(reply.body[:half])
            reply.halfway()
            self.wfile.write(reply.body[half:])

    def send_response(self, code: int, message: str | None = None) -> None:
        self.send_response_only(code, message)

    def log_message(self, *_: object) -> None:
        pass
