"""One page: asked for, tried again, at the pace that the server allows.

A server that is near counts requests a second: one connection alone may be too fast for it.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp

from s3conn_magic.errors import EndpointError, ThrottledError
from s3conn_magic.listing import xml
from s3conn_magic.listing.decode import AmbiguousPlusError, UndecodableError, settle_plus
from s3conn_magic.listing.pages import Reader, key_texts, warm_up
from s3conn_magic.listing.table import Page
from s3conn_magic.listing.xml import UnreadableError, parse
from s3conn_magic.transport.wire import OversizedError, Wire, open_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from s3conn_magic.listing.request import PageQuery
    from s3conn_magic.transport import Response, Target

TRIES = 5
"""Most requests for one page."""

_BASE, _LONGEST = 0.1, 8.0
# Of the pages a second that came, how many to ask for after a refusal; how many more for each page that comes.
_FEWER, _MORE, _SLOWEST = 0.8, 1.0, 2.0
# Pages in a row after which earlier refusals are forgotten.
_CALM, _TWICE = 50, 2


class Pace:
    """Additive increase, multiplicative decrease, of requests under way and of those a second; a pause that all keep.

    Args:
        most: most requests under way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._window = float(most)
        self._under_way = 0
        self._epoch = 0
        self._pause_until = self._next = 0.0
        self._rate: float | None = None
        self._since, self._came = 0.0, 0
        self._refused = self._calm = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> int:
        """Wait for a place and a moment; gives the epoch, to be handed back to `slow_down`."""
        clock = asyncio.get_running_loop().time
        self._since = self._since or clock()
        while self._under_way >= max(1, int(self._window)):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._under_way += 1
        try:
            # A pause may be lengthened while it is slept through, and another may be first, so it is looked at again.
            while (left := max(self._pause_until, self._next) - clock()) > 0:  # noqa: ASYNC110 - the clock is what is waited for
                await asyncio.sleep(left)
            self._next = clock() + 1 / self._rate if self._rate else 0.0
        except BaseException:
            await self.__aexit__()
            raise
        return self._epoch

    async def __aexit__(self, *_: object) -> None:
        self._under_way -= 1
        while self._waiting and self._waiting[0].done():
            self._waiting.pop(0)
        if self._waiting:
            self._waiting.pop(0).set_result(None)

    def succeeded(self) -> None:
        """A page arrived: one place more for each window of pages, and a few more a second."""
        self._came += 1
        self._calm += 1
        self._refused = self._refused if self._calm < _CALM else 0
        self._rate = self._rate and self._rate + _MORE
        if self._window < self._most:
            self._window = min(self._most, self._window + 1 / self._window)
            if self._waiting and not self._waiting[0].done() and self._under_way < int(self._window):
                self._waiting.pop(0).set_result(None)

    def slow_down(self, epoch: int, tries: int) -> None:
        """The server refused: fewer places, once for all requests that were under way together, and a pause."""
        now = asyncio.get_running_loop().time()
        self._refused, self._calm = self._refused + 1, 0
        first = epoch == self._epoch
        if first:
            self._epoch += 1
            self._window = max(1.0, self._window / 2)
        # One refusal may be any server's bad moment; a rate is counted from the second on.
        if self._came and self._refused >= _TWICE and (first or self._rate is None):
            came = self._came / max(now - self._since, 1e-3)
            self._rate = max(_SLOWEST, _FEWER * min(came, self._rate or came))
            self._since, self._came = now, 0
        self._pause_until = max(self._pause_until, now + backoff(tries) / 2)


def backoff(tries: int) -> float:
    """Seconds to wait after so many tries: full jitter below a bound that doubles."""
    return random.uniform(0, min(_LONGEST, _BASE * 2**tries))  # noqa: S311 - jitter is no secret


_OK = 200
_ON_ITS_WAY = 0.006
_BUSY = frozenset({429, 503})
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_SLOW_DOWN = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "BandwidthLimitExceeded",
    }
)
_PASSING_CODES = _SLOW_DOWN | {"InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted"}
_NETWORK = (aiohttp.ClientError, TimeoutError, OSError, OversizedError)


class Fetcher:
    """Fetches pages of one bucket.

    Attributes:
        in_process: whether the target answers by itself, one request at a time, without a socket.
    """

    def __init__(self, target: Target, wire: Wire, pace: Pace) -> None:
        self._target = target
        self._wire = wire
        self._pace = pace
        self._reader = Reader(target.bucket)
        self._plus: bool | None = None
        self.in_process = False

    async def page(self, query: PageQuery, *, came: Callable[[bytes], None] | None = None) -> Page:
        """Return the page, complete and exact.

        Args:
            query: which.
            came: called with each body that may be the page, before it is read.

        Raises:
            UnreadableError: no try gave an answer that is a page; the message says why.
            S3ConnError: what the target says of the answers, or of their absence.
        """
        problem: Exception | None = None
        for tries in range(1, TRIES + 1):
            page = await self._try(query, tries, came)
            if isinstance(page, Page):
                self._pace.succeeded()
                return page if tries == 1 else replace(page, requests=page.requests + tries - 1)
            problem = page.error or problem
            if tries < TRIES:
                await asyncio.sleep(backoff(tries) if page.wait else 0)
        raise problem or EndpointError("the server kept redirecting the request")

    async def _try(self, query: PageQuery, tries: int, came: Callable[[bytes], None] | None) -> Page | _Retry:
        epoch = 0
        try:
            async with self._pace as epoch:
                response = await self._answer(query)
            if came is not None and response.status == _OK and not self.in_process:
                came(response.body)
            return await self._read(response, query)
        except _NETWORK as error:
            return _Retry(self._target.unreachable(error))
        except UnreadableError as error:
            return _Retry(error)
        except _RefusedError as refused:
            if refused.busy:
                self._pace.slow_down(epoch, tries)
            return refused.retry

    async def _answer(self, query: PageQuery) -> Response:
        parameters = query.parameters()
        response = self._target.send(parameters)
        self.in_process = response is not None
        return response or await self._wire.get(self._target.sign(parameters))

    async def _read(self, response: Response, query: PageQuery) -> Page:
        code = xml.error_code(response.body)
        if response.status != _OK or code is not None:
            raise self._refusal(response, query, code or "")
        requests = 1
        try:
            page = await self._reader.page(response.body, query, plus=self._plus)
        except AmbiguousPlusError:
            await self._settle_plus(key_texts(parse(response.body)), query)
            requests += 1
            page = await self._reader.page(response.body, query, plus=self._plus)
        return replace(page, received=len(response.body), requests=requests)

    async def _settle_plus(self, encoded: set[str], query: PageQuery) -> None:
        """Ask for the same page without encoding, once in a listing, to learn what `+` stands for."""
        response = await self._answer(replace(query, encoded=False))
        if response.status != _OK or xml.error_code(response.body) is not None:
            raise self._refusal(response, query, xml.error_code(response.body) or "")
        try:
            self._plus = settle_plus(encoded, key_texts(parse(response.body)))
        except UndecodableError as error:
            raise UnreadableError(str(error)) from None

    def _refusal(self, response: Response, query: PageQuery, code: str) -> Exception:
        """Return what to do about an answer that is no page: wait and try again, try again at once, or give up."""
        busy = response.status in _BUSY or code in _SLOW_DOWN
        fault = _throttled() if busy else self._target.fault(response, query.parameters())
        if response.status in _PASSING or code in _PASSING_CODES:
            return _RefusedError(_Retry(fault), busy=busy)
        return fault or _RefusedError(_Retry(None, wait=False), busy=False)


def _throttled() -> ThrottledError:
    hint = "Try again later, or with fewer connections."
    return ThrottledError("the server asked to slow down until the tries were used up", hint=hint, attempts=TRIES)


class _Retry:
    """A try that failed: the error to raise when it was the last, and whether to wait before the next."""

    def __init__(self, error: Exception | None, *, wait: bool = True) -> None:
        self.error = error
        self.wait = wait


class _RefusedError(Exception):
    """The server answered, and not with a page."""

    def __init__(self, retry: _Retry, *, busy: bool) -> None:
        super().__init__()
        self.retry = retry
        self.busy = busy


@asynccontextmanager
async def open_fetcher(target: Target, connections: int) -> AsyncIterator[Fetcher]:
    """A fetcher with that many connections at most; its sockets are closed on leaving."""
    # While the first request travels, there is time.
    asyncio.get_running_loop().call_later(_ON_ITS_WAY, warm_up)
    async with open_wire(target.transport, connections) as wire:
        yield Fetcher(target, wire, Pace(connections))
