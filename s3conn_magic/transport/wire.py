"""Send signed requests over sockets: aiohttp sessions set up with proxy, TLS and timeouts."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
import time
import weakref
import zlib
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from s3conn_magic.errors import EndpointError
from s3conn_magic.locations import visible
from s3conn_magic.runtime.background import LOOP, leave_to_parent, renew_in_child, run_in_background
from s3conn_magic.secrets import is_ours
from s3conn_magic.transport import Response, SignedRequest, Transport
from s3conn_magic.transport.receiving import READ, LenientReader, length_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LARGEST, _LONG = 64 * 1024 * 1024, 1 << 18
_INTERIM, _FINAL = 100, 200
_READ_TIMEOUTS = 2.0
_REFUSED = 300
# Seconds that an idle socket is kept; that a server closes it sooner is noticed.
_KEPT_ALIVE = 60.0
# zlib's flag for gzip or zlib.
_GZIP_OR_ZLIB = 47


class OversizedError(Exception):
    """The body is larger than a page can be."""


class _Asking(NamedTuple):
    """A request on its way: as bytes, with what its answer may take."""

    route: aiohttp.ClientRequest
    request: SignedRequest
    sent: bytes
    limits: aiohttp.ClientTimeout
    began: float
    until: float
    upto: int | None


class Wire:
    """Sends signed requests."""

    def __init__(self, session: aiohttp.ClientSession, transport: Transport) -> None:
        self._session = session
        self._connector: Any = session.connector
        self._transport = transport
        self._route: tuple[str, ssl.SSLContext | bool, aiohttp.ClientRequest] | None = None
        self._held: list[tuple[aiohttp.ClientRequest, aiohttp.connector.Connection]] = []
        self._under_way = 0

    async def send(self, request: SignedRequest, *, upto: int | None = None, within: float | None = None) -> Response:
        """Return the response; raise aiohttp's errors, `TimeoutError`, `OSError` or `OversizedError`.

        Args:
            request: what to send.
            upto: bytes to read of a successful body; None for all.
            within: seconds for all of it; the session's by default.

        Raises:
            EndpointError: the CA bundle or client certificate of the transport cannot be read.
        """
        timeout = self._session.timeout if within is None else _timeout(self._transport, within)
        began = time.monotonic()
        if self._transport.proxy is not None:
            way: dict[str, Any] = {"proxy": self._transport.proxy, "ssl": self._tls(request.url), "timeout": timeout}
            url = URL(request.url, encoded=True)
            async with self._session.request(
                request.method, url, headers=request.headers, allow_redirects=False, **way
            ) as answer:
                return await _response(request, answer, answer.content, began, upto)
        return await self._direct(request, timeout, began, upto)

    async def _direct(
        self, request: SignedRequest, limits: aiohttp.ClientTimeout, began: float, upto: int | None
    ) -> Response:
        """Send by a socket of aiohttp's pool, past aiohttp's own requests, which would cost more than all the rest."""
        scheme, _, rest = request.url.partition("://")
        host, slash, path = rest.partition("/")
        route, first = self._route_to(f"{scheme}://{host}"), f"{request.method} {slash or '/'}{path} HTTP/1.1"
        lines = [first, f"Host: {route.headers['Host']}", "Accept-Encoding: identity"]
        head = "\0".join([*lines, *(f"{name}: {value}" for name, value in request.headers.items())])
        if "\r" in head or "\n" in head:
            raise ValueError("a header has an end of a line")
        sent = f"{head}\0\0".replace("\0", "\r\n").encode()
        until = began + (limits.total or math.inf)
        asking = _Asking(route, request, sent, limits, began, until, upto)
        self._under_way += 1
        try:
            try:
                return await self._once(asking)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                # The server may have closed it while it was idle.
                return await self._once(asking)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._let_go()

    async def _once(self, asking: _Asking) -> Response:
        route, request, sent, limits, began, until, upto = asking
        connection = await self._connection(route, limits, until)
        try:
            protocol: Any = connection.protocol
            protocol.limits, protocol.until = limits, until
            if upto is not None and request.method == "GET":
                if (short := await protocol.short_answer(sent, upto)) is not None:
                    self._held.append((route, connection))
                    status, headers, body, came = short
                    return Response(status, headers, body, came - began)
            else:
                protocol.ask(sent, request.method)
            async with asyncio.timeout_at(until):
                message, payload = await self._answer(protocol)
                whole = partial(protocol.whole, payload)
                response = await _response(request, message, payload, began, upto, whole=whole)
        except RuntimeError as error:
            closed = protocol.transport is None
            connection.close()
            if not closed:
                raise
            # So aiohttp says it where the session was closed between the head and the body.
            raise aiohttp.ServerDisconnectedError from error
        except BaseException:
            connection.close()
            raise
        if payload.is_eof():
            self._held.append((route, connection))
        else:
            connection.close()
        return response

    async def _connection(
        self, route: aiohttp.ClientRequest, limits: aiohttp.ClientTimeout, until: float
    ) -> aiohttp.connector.Connection:
        """Return a socket that another request has just used, or one of aiohttp's pool, which costs more."""
        while self._held:
            towards, connection = self._held.pop()
            protocol: Any = connection.protocol
            if towards is route and protocol.is_connected() and not protocol.should_close:
                return connection
            connection.release()
        async with asyncio.timeout_at(until):
            connected: aiohttp.connector.Connection = await self._connector.connect(route, [], limits)
            return connected

    def _let_go(self) -> None:
        """Give the sockets back to the pool, which closes those that nobody uses for long."""
        while self._held:
            self._held.pop()[1].release()

    async def _answer(self, protocol: Any) -> tuple[Any, aiohttp.StreamReader]:
        """Return the head of the answer, status with headers, and the stream of its body."""
        try:
            while True:
                message, payload = await protocol.read()
                if not _INTERIM <= message.code < _FINAL:
                    return message, payload
        except HttpProcessingError as error:
            raise aiohttp.ClientError(f"{error.code}, {error.message}") from None

    async def close(self) -> None:
        """Close the sockets."""
        self._let_go()
        await self._session.close()

    def _route_to(self, origin: str) -> aiohttp.ClientRequest:
        """Return the request by which aiohttp finds a socket for the origin."""
        tls = self._tls(origin)
        if self._route is None or self._route[:2] != (origin, tls):
            loop = asyncio.get_running_loop()
            self._route = (origin, tls, aiohttp.ClientRequest("GET", URL(origin), loop=loop, ssl=tls))
        return self._route[2]

    def _tls(self, url: str) -> ssl.SSLContext | bool:
        secure = "https" in (url.partition(":")[0], (self._transport.proxy or "").partition(":")[0])
        return self._context() if secure else True

    def _context(self) -> ssl.SSLContext | bool:
        verify, client_cert = self._transport.verify, self._transport.client_cert
        try:
            return _tls(verify, client_cert, _stamps(verify, client_cert), os.getpid())
        except OSError:  # including OpenSSL's errors about a file that is no certificate
            bundle = f"the CA bundle {visible(verify)}" if isinstance(verify, str) else "the client certificate"
        raise EndpointError(
            f"{bundle} cannot be read, or holds no certificate",
            hint="AWS_CA_BUNDLE, ca_bundle in the profile, or REQUESTS_CA_BUNDLE names it.",
        )


def _stamps(*files: bool | str | tuple[str, str] | None) -> tuple[int, ...]:
    """Return when the files were changed, so that a CA added to a bundle counts at the next listing."""
    names = [name for file in files for name in (file if isinstance(file, tuple) else (file,)) if isinstance(name, str)]
    return tuple(Path(name).stat().st_mtime_ns for name in names)


async def _response(
    request: SignedRequest,
    answer: Any,
    content: aiohttp.StreamReader,
    began: float,
    upto: int | None,
    *,
    whole: Callable[[int], Awaitable[bytes]] | None = None,
) -> Response:
    """Return the response with its body, or as much as is wanted; `whole` receives one of a known length."""
    waited = time.monotonic() - began
    status = answer.status if isinstance(answer, aiohttp.ClientResponse) else answer.code
    headers = {name.lower(): value for name, value in answer.headers.items()}
    refused = status >= _REFUSED
    if upto is None or refused or request.method == "HEAD":
        body = await _body(content)
    elif whole is not None and _LONG <= (length := length_of(headers)) <= upto:
        body = await whole(length)
    else:
        body = await _first_bytes(content, headers.get("content-length", ""), upto)
    # For an object the encoding tells how to read its bytes, which are wanted as stored.
    if (upto is None or refused) and (encoding := headers.get("content-encoding")):
        body = _decoded(body, encoding)
    return Response(status, headers, body, waited)


async def _body(content: aiohttp.StreamReader) -> bytes:
    chunks, size = [], 0
    async for chunk in content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > _LARGEST:
            raise OversizedError
    return b"".join(chunks)


def _decoded(body: bytes, encoding: str) -> bytes:
    """Return the document from a body that a proxy compressed unasked; other encodings stay.

    Raises:
        OversizedError: it is larger than a page can be.
        aiohttp.ClientPayloadError: it is damaged.
    """
    if not body or encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return body
    unpacked = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        document = unpacked.decompress(body, _LARGEST + 1)
    except zlib.error as error:
        raise aiohttp.ClientPayloadError(str(error)) from None
    if len(document) > _LARGEST:
        raise OversizedError
    if not unpacked.eof:
        raise aiohttp.ClientPayloadError("the packed body is cut short")
    return document


async def _first_bytes(content: aiohttp.StreamReader, length: str, size: int) -> bytes:
    """Return up to `size` bytes of a body; if more are left, the socket is closed."""
    if length.isdigit() and int(length) <= size:
        return await content.read()
    chunks, left = [], size
    while left > 0 and (chunk := await content.read(left)):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


@lru_cache(maxsize=64)
def _timeout(transport: Transport, within: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=within, sock_connect=transport.connect_timeout, sock_read=transport.read_timeout)


def _open_wire(transport: Transport) -> Wire:
    is_ours()
    # The callers bound how many requests there are.
    connector = aiohttp.TCPConnector(limit=0, resolver=_Resolver(), keepalive_timeout=_KEPT_ALIVE)
    # One room for all of them: what is there is taken out before another one is asked where its bytes are to stand.
    handler: Any = partial(LenientReader, memoryview(bytearray(READ)), loop=asyncio.get_running_loop())
    connector._factory = handler  # noqa: SLF001 - there is no other way
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=_timeout(transport, transport.connect_timeout + _READ_TIMEOUTS * transport.read_timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
        skip_auto_headers=("User-Agent",),
        read_bufsize=READ,
    )
    return Wire(session, transport)


class Wires:
    """Keeps sessions whose sockets stay open from one statement to the next, until this object is dropped."""

    def __init__(self) -> None:
        self._begin()
        renew_in_child(self)

    def _begin(self) -> None:
        self._open: dict[Transport, Wire] = {}
        self._closing = weakref.finalize(self, _close, self._open)
        self._closing.atexit = False

    def renew(self) -> None:
        """Leave the sockets to the parent, in a forked child."""
        self._closing.detach()
        leave_to_parent(self._open)
        self._begin()

    def of(self, transport: Transport) -> Wire:
        """Return the session for a transport; call it within the loop."""
        if transport not in self._open:
            self._open[transport] = _open_wire(transport)
        return self._open[transport]

    def close(self) -> None:
        """Close all sockets, including those of requests under way."""
        _close(self._open)


def _close(wires: dict[Transport, Wire]) -> None:
    closing = [wires.pop(transport) for transport in [*wires]]
    if closing:
        LOOP.call(lambda: [asyncio.ensure_future(wire.close()) for wire in closing])


@lru_cache(maxsize=8)
def _tls(
    verify: bool | str, client_cert: str | tuple[str, str] | None, _stamps: tuple[int, ...], _process: int
) -> ssl.SSLContext | bool:
    """Return the TLS context, cached per process: reading the system's certificates takes tens of milliseconds."""
    if verify is False and not client_cert:
        return False
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    # Python 3.13 requires extensions that many companies' CAs lack; botocore does not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if verify is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if client_cert:
        context.load_cert_chain(*((client_cert,) if isinstance(client_cert, str) else client_cert))
    return context


class _Resolver(AbstractResolver):
    """Resolves names in a daemon thread, so that a name server that does not answer cannot keep a process alive."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        look_up = partial(socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM)
        answer: asyncio.Future[Any] = asyncio.wrap_future(run_in_background(look_up, name="s3conn-resolver"))
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, protocol, _, address in await answer
        ]

    async def close(self) -> None:
        """Do nothing, as nothing is kept open."""
