"""Send signed requests over sockets: aiohttp sessions set up with proxy, TLS and timeouts."""

from __future__ import annotations

import asyncio
import io
import math
import os
import re
import socket
import ssl
import sys
import time
import weakref
import zlib
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from aiohttp import helpers
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import set_exception, set_result
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from s3conn_magic.errors import EndpointError
from s3conn_magic.locations import visible
from s3conn_magic.runtime.background import LOOP, leave_to_parent, renew_in_child, run_in_background
from s3conn_magic.secrets import is_ours
from s3conn_magic.transport import Response, SignedRequest, Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_LARGEST, _READ, _LONG = 64 * 1024 * 1024, 1 << 20, 1 << 18
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
    elif whole is not None and _LONG <= (length := _length(headers)) <= upto:
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


def _length(headers: Mapping[str, str]) -> int:
    """Return the bytes of a body, or -1 if the headers don't say."""
    said = headers.get("content-length", "")
    return int(said) if said.isdigit() and "transfer-encoding" not in headers else -1


def _plain_headers(lines: bytes) -> dict[str, str]:
    """Return headers by name; none if one stands twice, or tells that the answer is not plain."""
    headers, count = {}, 0
    for line in lines.decode("ascii").removesuffix("\r\n").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" ")
        count += 1
    if len(headers) < count or headers.get("connection", "keep-alive").lower() != "keep-alive":
        return {}
    return {} if _NOT_PLAIN & headers.keys() else headers


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


_HEAD_END = b"\r\n\r\n"
_SHORT = 1 << 16
# A head that can be taken as it stands: every line a name and a value, of visible ASCII.
_PLAIN_HEAD = re.compile(rb"HTTP/1\.1 (20[06]) [ -~]*\r\n((?:[!#-'*+.^_`|~0-9A-Za-z-]+:[ -~]*\r\n)+)\r\n")
_NOT_PLAIN = {"transfer-encoding", "upgrade"}
_PARSERS = ("aiohttp._http_parser", "aiohttp.http_parser")


_Short = tuple[int, dict[str, str], bytes, float]
"""A short answer: status, headers, body, and when its first byte came."""


class _ShortAnswer:
    """A short answer on its way.

    Args:
        loop: the running loop.
        most: bytes that its body may have.

    Attributes:
        whole: the answer, or None where it is left to the parser.
        so_far: what has come of it.
        heard: when the last of that came.
    """

    __slots__ = ("_first", "_most", "_size", "heard", "so_far", "whole")

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self.whole: asyncio.Future[_Short | None] = loop.create_future()
        self.so_far, self.heard = b"", loop.time()
        self._first, self._size, self._most = 0.0, 0, most

    @property
    def has_more(self) -> bool:
        """Whether there are bytes behind it, which are no answer to anything."""
        return 0 < self._size < len(self.so_far)

    def take(self, data: bytes, now: float) -> bool:
        """Take what came; False if it is of another form than that of a short answer."""
        self._first, self.heard = self._first or now, now
        self.so_far = came = self.so_far + data if self.so_far else data
        if len(came) < self._size:
            return True
        head = _PLAIN_HEAD.match(came)
        headers = _plain_headers(head[2]) if head else {}
        length = _length(headers)
        if head is None or not 0 <= length <= self._most:
            return False
        self._size = head.end() + length
        if len(came) >= self._size:
            set_result(self.whole, (int(head[1]), headers, came[head.end() : self._size], self._first))
        return True


class _LenientReader(ResponseHandler, asyncio.BufferedProtocol):
    """Accepts what real servers send: a repeated header, which `python -X dev` refuses, and bytes after a HEAD.

    By HTTP nothing follows the response to a HEAD. aiohttp takes extra bytes for the next response and then drops
    both; here the extra bytes are dropped and the socket is closed.

    A long body is received into the memory where it stays, past aiohttp's buffers, which copy it twice. A short answer
    of the usual form is taken as it stands; aiohttp's parser gets every other one, from its first byte on.

    Args:
        came: memory for all other bytes, which are taken out at once.
        loop: the running loop.
    """

    _head: bytes | None = None
    """The head of a response to HEAD so far; None once it is complete, and for other requests."""
    _rest: memoryview | None = None
    """Room for what is to come of a long body."""
    limits: aiohttp.ClientTimeout
    """Of the request under way."""
    until: float
    """When all of its answer is to be here."""
    _short: _ShortAnswer | None = None
    """What has come of a short answer, as long as it is waited for."""
    _watching: asyncio.TimerHandle | None = None

    def __init__(self, came: memoryview, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._came = came
        self._filled: asyncio.Future[None] | None = None

    def ask(self, sent: bytes, method: str) -> None:
        """Send a request, whose answer `read` gives."""
        self._begin_parsing(method)
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        self.transport.write(sent)
        self.start_timeout()

    def _begin_parsing(self, method: str = "GET") -> None:
        self.set_response_params(
            timer=helpers.TimerNoop(),
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self.limits.sock_read,
            read_bufsize=_READ,
        )

    async def short_answer(self, sent: bytes, upto: int) -> _Short | None:
        """Send a GET and return its answer, of up to some bytes; None if `read` gives it, in parts."""
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        if self._tail:  # which is no answer to this
            self.ask(sent, "GET")
            return None
        short = self._short = _ShortAnswer(self._loop, min(upto, _SHORT))
        self.transport.write(sent)
        if self._watching is None:
            self._watch()
        try:
            return await short.whole
        finally:
            self._short = None

    def _watch(self) -> None:
        """End an answer that does not go on. A timer that looks again costs less than one for each request."""
        self._watching = None
        if self._short is None:
            return
        due = min(self._short.heard + (self.limits.sock_read or math.inf), self.until)
        if self._loop.time() < due:
            self._watching = self._loop.call_at(due, self._watch) if due < math.inf else None
        else:
            self.set_exception(late := aiohttp.SocketTimeoutError("Timeout on reading data from socket"))
            set_exception(self._short.whole, late)

    def _leave_to_parser(self, short: _ShortAnswer) -> None:
        self._short = None
        self._begin_parsing()
        self.start_timeout()
        if short.so_far:
            self.data_received(short.so_far)
        set_result(short.whole, None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that no more comes."""
        if self._short is not None and not self._short.whole.done():
            self._leave_to_parser(self._short)
        if self._watching is not None:
            self._watching.cancel()
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop only guesses it
        """Where the next bytes are to stand."""
        return self._came if self._rest is None else self._rest

    def buffer_updated(self, nbytes: int) -> None:
        """Take what stands there now."""
        if self._short is not None:
            short = self._short
            if short.whole.done():  # of which nothing is left to come
                self.force_close()
            elif not short.take(bytes(self._came[:nbytes]), self._loop.time()):
                self._leave_to_parser(short)
            elif short.has_more:
                self.force_close()
            return
        if self._rest is None:
            self.data_received(bytes(self._came[:nbytes]))
            return
        self._reschedule_timeout()
        self._rest = self._rest[nbytes:] or None
        if self._rest is None and self._filled is not None:
            set_result(self._filled, None)

    async def whole(self, content: aiohttp.StreamReader, length: int) -> bytes:
        """A body of which that many bytes are to come."""
        made = io.BytesIO(bytes(length))
        with made.getbuffer() as view:
            at = 0
            while at < length and (chunk := content.read_nowait()):
                view[at : at + len(chunk)] = chunk
                at += len(chunk)
            if at < length:
                self._rest, self._filled = view[at:], self._loop.create_future()
                try:
                    await self._filled
                finally:
                    self._rest = self._filled = None
                content.feed_eof()
        return made.getvalue()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Note why no more comes, also for who waits for a long body."""
        super().set_exception(exc, *cause)
        if self._filled is not None:
            cut = aiohttp.ClientPayloadError(f"Response payload is not completed: {exc!r}")
            set_exception(self._filled, exc if isinstance(exc, TimeoutError) else cut)

    def set_response_params(self, *, skip_payload: bool = False, **params: Any) -> None:
        """Prepare for the next response; the parser reads its module's DEBUG once, when it is made."""
        self._head = b"" if skip_payload else None
        names = _PARSERS if helpers.DEBUG else ()
        before = [(module, module.DEBUG) for name in names if (module := sys.modules.get(name)) is not None]
        for module, _ in before:
            module.DEBUG = False  # type: ignore[attr-defined]
        try:
            super().set_response_params(skip_payload=skip_payload, **params)
        finally:
            for module, debug in before:
                module.DEBUG = debug  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Pass the bytes of the response to the parser."""
        if self._head is None:
            super().data_received(data)
            return
        before, self._head = len(self._head), self._head + data
        size = self._head.find(_HEAD_END) + len(_HEAD_END)
        if size < len(_HEAD_END):
            super().data_received(data)
            return
        interim = re.match(rb"HTTP/1\.\d 1\d\d", self._head)
        self._head = b"" if interim else None
        super().data_received(data[: size - before])
        if rest := data[size - before :]:
            if interim:
                self.data_received(rest)
            else:
                self.force_close()


def _open_wire(transport: Transport) -> Wire:
    is_ours()
    # The callers bound how many requests there are.
    connector = aiohttp.TCPConnector(limit=0, resolver=_Resolver(), keepalive_timeout=_KEPT_ALIVE)
    # One room for all of them: what is there is taken out before another one is asked where its bytes are to stand.
    handler: Any = partial(_LenientReader, memoryview(bytearray(_READ)), loop=asyncio.get_running_loop())
    connector._factory = handler  # noqa: SLF001 - there is no other way
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=_timeout(transport, transport.connect_timeout + _READ_TIMEOUTS * transport.read_timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
        skip_auto_headers=("User-Agent",),
        read_bufsize=_READ,
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
