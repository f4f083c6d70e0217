"""A proxy on 127.0.0.1 that keeps what it is asked: it passes plain requests on and opens tunnels for the others."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from select import select
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

_PATIENCE = 30.0
_NOT_PASSED = {"connection", "content-length", "date", "proxy-authorization", "server", "transfer-encoding"}


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        upstream: `host:port` of the one server that it leads to, whatever it is asked for.
        wants: `user:password` without which it refuses.
        refuses: status of its answer to everything, or None.
        asked: method and target of every request, in order.
        headers: the headers of each, by names in lower case.
    """

    upstream: str
    wants: str | None = None
    refuses: int | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    address: str = ""

    @property
    def authorizations(self) -> set[str | None]:
        """`user:password` of the requests, None for one without."""
        given = {one.get("proxy-authorization") for one in self.headers}
        return {one and base64.b64decode(one.removeprefix("Basic ")).decode() for one in given}

    def refusal(self, headers: dict[str, str]) -> int | None:
        """Status of the refusal, or None for a request that is let through."""
        if self.refuses is not None:
            return self.refuses
        wanted = self.wants and f"Basic {base64.b64encode(self.wants.encode()).decode()}"
        return None if wanted is None or headers.get("proxy-authorization") == wanted else 407


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy
    context: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        if self.context is not None:
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, *_: object) -> None:
        """A client that hangs up, or that does not trust the certificate, is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.proxy.asked.append((self.command, self.path))
        self.server.proxy.headers.append(headers)
        status = self.server.proxy.refusal(headers)
        if status is not None:
            self._answer(status, [], b"")
        elif self.command == "CONNECT":
            self._tunnel()
        else:
            self._pass_on(urlsplit(self.path))

    def _pass_on(self, where: SplitResult) -> None:
        upstream = HTTPConnection(self.server.proxy.upstream, timeout=_PATIENCE)
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED}
            upstream.request(self.command, f"{where.path or '/'}?{where.query}".rstrip("?"), body or None, kept)
            answer = upstream.getresponse()
            self._answer(answer.status, answer.getheaders(), answer.read())
        finally:
            upstream.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _NOT_PASSED:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _tunnel(self) -> None:
        host, _, port = self.server.proxy.upstream.partition(":")
        with socket.create_connection((host, int(port)), _PATIENCE) as upstream:
            self.send_response(200, "Connection established")
            self.end_headers()
            _join(self.connection, upstream)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class _Tunnel(_Handler):
    """Leads on at once, whatever is said."""

    def handle(self) -> None:
        host, _, port = self.server.proxy.upstream.partition(":")
        with socket.create_connection((host, int(port)), _PATIENCE) as upstream:
            _join(self.connection, upstream)


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until either side hangs up."""
    to = {one: other, other: one}
    while True:
        pending = getattr(one, "pending", int)()
        for source in [one] if pending else select([one, other], [], [], _PATIENCE)[0]:
            data = source.recv(1 << 16)
            if not data:
                return
            to[source].sendall(data)


@contextmanager
def proxying(upstream: str, *, tls: ssl.SSLContext | None = None, **behaviour: object) -> Iterator[Proxy]:
    """A proxy to the server with this URL, spoken to by TLS where a context is given."""
    proxy = Proxy(urlsplit(upstream).netloc, **behaviour)
    with _serving(proxy, _Handler, tls):
        yield proxy


@contextmanager
def secured(upstream: str, context: ssl.SSLContext) -> Iterator[str]:
    """The address of a server that takes TLS off and passes the rest on to the one with this URL."""
    proxy = Proxy(urlsplit(upstream).netloc)
    with _serving(proxy, _Tunnel, context):
        yield proxy.address


@contextmanager
def _serving(proxy: Proxy, handler: type[_Handler], context: ssl.SSLContext | None) -> Iterator[None]:
    server = _Server(("127.0.0.1", 0), handler)
    server.context, server.proxy = context, proxy
    proxy.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_PATIENCE)
