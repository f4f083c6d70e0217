"""Signed requests over sockets: one aiohttp session for one listing, set up as the target's transport says."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import asynccontextmanager
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from s3conn_magic.errors import EndpointError
from s3conn_magic.locations import visible
from s3conn_magic.runtime.background import run_in_background
from s3conn_magic.runtime.logs import is_ours
from s3conn_magic.transport import Response, SignedRequest, Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LARGEST = 64 * 1024 * 1024
_DEADLINE = 2.0


class OversizedError(Exception):
    """The body is larger than any page can be."""


class Wire:
    """Sends signed requests."""

    def __init__(self, session: aiohttp.ClientSession, transport: Transport) -> None:
        self._session = session
        self._transport = transport

    async def get(self, request: SignedRequest) -> Response:
        """Return the complete answer; raises aiohttp's errors, `TimeoutError`, `OSError` or `OversizedError`.

        Raises:
            EndpointError: there is no CA bundle or client certificate where the transport says.
        """
        url = URL(request.url, encoded=True)
        way: dict[str, Any] = {"proxy": self._transport.proxy, "ssl": self._tls(url), "allow_redirects": False}
        async with self._session.get(url, headers=request.headers, **way) as answer:
            body = await _body(answer)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status, headers, body)

    def _tls(self, url: URL) -> ssl.SSLContext | bool:
        secure = "https" in (url.scheme, (self._transport.proxy or "").partition(":")[0])
        return self._context if secure else True

    @cached_property
    def _context(self) -> ssl.SSLContext | bool:
        verify, client_cert = self._transport.verify, self._transport.client_cert
        try:
            return _tls(verify, client_cert, _stamps(verify, client_cert), os.getpid())
        except OSError:  # among them what OpenSSL says of a file that is no certificate
            bundle = f"the CA bundle {visible(verify)}" if isinstance(verify, str) else "the client certificate"
        raise EndpointError(
            f"{bundle} cannot be read, or holds no certificate",
            hint="AWS_CA_BUNDLE, ca_bundle in the profile, or REQUESTS_CA_BUNDLE names it.",
        )


def _stamps(*files: bool | str | tuple[str, str] | None) -> tuple[int, ...]:
    """When the files were changed, so that a CA that is added to a bundle counts at the next listing."""
    names = [name for file in files for name in (file if isinstance(file, tuple) else (file,)) if isinstance(name, str)]
    return tuple(Path(name).stat().st_mtime_ns for name in names)


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in answer.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > _LARGEST:
            raise OversizedError
    return b"".join(chunks)


@asynccontextmanager
async def open_wire(transport: Transport, connections: int) -> AsyncIterator[Wire]:
    """Hold a session with that many connections; it is closed with all its sockets on leaving."""
    is_ours()
    connector = aiohttp.TCPConnector(limit=connections, resolver=_Resolver())
    timeout = aiohttp.ClientTimeout(
        total=transport.connect_timeout + _DEADLINE * transport.read_timeout,
        sock_connect=transport.connect_timeout,
        sock_read=transport.read_timeout,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        skip_auto_headers=("User-Agent",),
        read_bufsize=1 << 20,
    ) as session:
        yield Wire(session, transport)


@lru_cache(maxsize=8)
def _tls(
    verify: bool | str, client_cert: str | tuple[str, str] | None, _stamps: tuple[int, ...], _process: int
) -> ssl.SSLContext | bool:
    """Return the TLS context, kept per process: reading the system's certificates takes tens of milliseconds."""
    if verify is False and not client_cert:
        return False
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    # Python 3.13 begins to ask for extensions that the CAs of many companies lack; botocore does not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if verify is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if client_cert:
        context.load_cert_chain(*((client_cert,) if isinstance(client_cert, str) else client_cert))
    return context


class _Resolver(AbstractResolver):
    """Names resolved in a daemon thread: a name server that does not answer must not keep a process from exiting."""

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
        """Nothing is kept."""
