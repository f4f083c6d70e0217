"""What aiohttp's sockets receive: short answers as they stand, long bodies where they stay, the rest by its parser."""

from __future__ import annotations

import asyncio
import io
import math
import re
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import helpers
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import set_exception, set_result

if TYPE_CHECKING:
    from collections.abc import Mapping

READ = 1 << 20
"""Bytes that are received at once at most."""
_HEAD_END = b"\r\n\r\n"
_SHORT = 1 << 16
# A head that can be taken as it stands: every line a name and a value, of visible ASCII.
_PLAIN_HEAD = re.compile(rb"HTTP/1\.1 (20[06]) [ -~]*\r\n((?:[!#-'*+.^_`|~0-9A-Za-z-]+:[ -~]*\r\n)+)\r\n")
_NOT_PLAIN = {"transfer-encoding", "upgrade"}
_PARSERS = ("aiohttp._http_parser", "aiohttp.http_parser")


def length_of(headers: Mapping[str, str]) -> int:
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


_Short = tuple[int, dict[str, str], bytes, float]
"""A short answer: status, headers, body, and when its first byte came."""


class ShortAnswer:
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
        length = length_of(headers)
        if head is None or not 0 <= length <= self._most:
            return False
        self._size = head.end() + length
        if len(came) >= self._size:
            set_result(self.whole, (int(head[1]), headers, came[head.end() : self._size], self._first))
        return True


class LenientReader(ResponseHandler, asyncio.BufferedProtocol):
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
    _short: ShortAnswer | None = None
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
            read_bufsize=READ,
        )

    async def short_answer(self, sent: bytes, upto: int) -> _Short | None:
        """Send a GET and return its answer, of up to some bytes; None if `read` gives it, in parts."""
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        if self._tail:  # which is no answer to this
            self.ask(sent, "GET")
            return None
        short = self._short = ShortAnswer(self._loop, min(upto, _SHORT))
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

    def _leave_to_parser(self, short: ShortAnswer) -> None:
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
