"""Retries, pace and concurrency of requests: as fast as the server allows, as many at once as its latency pays for.

A nearby server limits requests per second, which even one connection may exceed.
"""

from __future__ import annotations

import asyncio
import random
import re
from bisect import insort
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import aiohttp

from s3conn_magic.runtime.background import LOOP, LightFuture, new_lock, renew_in_child, run_in_background
from s3conn_magic.secrets import is_ours
from s3conn_magic.transport.wire import OversizedError, Wires

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from s3conn_magic.transport import Response, SignedRequest, Transport

TRIES = 5
"""Most requests for one response."""

_BASE, _LONGEST_WAIT = 0.1, 8.0
# After a refusal: the part of the rate so far to go on with, how much to add for each page, and the lowest rate.
_FEWER, _MORE, _SLOWEST = 0.8, 1.0, 2.0
# Pages in a row after which past refusals are forgotten.
_FORGIVEN_AFTER, _RATED_FROM = 50, 2
LEAST, GREATEST = 8, 128
"""Requests under way wherever the server is, and most requests under way at all."""
_MEASURED, _NEAR = 32, 4


class Pace:
    """Bounds the requests under way and per second, and pauses all of them when the server refuses.

    By Little's law as many as the latency pays for; additive increase, multiplicative decrease after refusals.

    Args:
        most: most requests under way, at first.
        work: seconds that this machine spends on a response, which bounds how many requests are worthwhile.

    Attributes:
        most: most requests under way.
        latency: seconds to the first byte of a response; 0 before the first.
    """

    def __init__(self, most: int, work: float) -> None:
        self.most = most
        self.latency = 0.0
        self._work = work
        self._latencies: list[float] = []
        self._window = float(most)
        self._under_way = 0
        self._epoch = 0
        self._pause_until = self._next = 0.0
        self._rate: float | None = None
        self._since, self._arrived = 0.0, 0
        self._refused = self._in_a_row = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def places(self) -> int:
        """Requests that may be under way."""
        return max(1, int(self._window))

    def answered(self, waited: float, most: int) -> None:
        """Note how long a response took, and allow as many requests as that pays for, up to `most`."""
        if len(self._latencies) < _MEASURED:
            # Only the first requests since there was none under way: later ones may have waited for this machine.
            # Some of these first made a connection, so a low quantile counts.
            insort(self._latencies, waited)
            self.latency = self._latencies[len(self._latencies) // _NEAR]
            self._set_most(max(1, min(max(LEAST, min(GREATEST, round(self.latency / self._work))), most)))

    async def __aenter__(self) -> int:
        """Wait for a place and the next moment; return the epoch to pass to `slow_down`."""
        clock = asyncio.get_running_loop().time
        self._since = self._since or clock()
        while self._under_way >= self.places:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # its turn had come: the next one's, then
                    self._wake_next()
                raise
        self._latencies = self._latencies if self._under_way else []
        self._under_way += 1
        try:
            # A pause may be extended during the sleep, and another request may go first, so check again.
            while (left := max(self._pause_until, self._next) - clock()) > 0:  # noqa: ASYNC110 - the clock is what is waited for
                await asyncio.sleep(left)
            self._next = clock() + 1 / self._rate if self._rate else 0.0
        except BaseException:
            await self.__aexit__()
            raise
        return self._epoch

    async def __aexit__(self, *_: object) -> None:
        self._under_way -= 1
        self._wake_next()

    def _wake_next(self) -> None:
        """Let the next request check whether there is a place."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def succeeded(self) -> None:
        """Note that a page arrived: one place more per window of pages, and a few more requests per second."""
        self._arrived += 1
        self._in_a_row += 1
        self._refused = self._refused if self._in_a_row < _FORGIVEN_AFTER else 0
        self._rate = self._rate and self._rate + _MORE
        if self._window < self.most:
            self._window = min(self.most, self._window + 1 / self._window)
            if self._under_way < self.places:
                self._wake_next()

    def _set_most(self, most: int) -> None:
        """Set how many requests may be under way; use all places at once if the server has not refused any."""
        if most == self.most:
            return
        self.most = most
        self._window = min(self._window, most) if self._epoch else float(most)
        for _ in range(int(self._window) - self._under_way):
            self._wake_next()

    def slow_down(self, epoch: int, tries: int) -> None:
        """Note a refusal: fewer places, once for all requests under way at that time, and a pause."""
        now = asyncio.get_running_loop().time()
        self._refused, self._in_a_row = self._refused + 1, 0
        first = epoch == self._epoch
        if first:
            self._epoch += 1
            self._window = max(1.0, self._window / 2)
        # A single refusal may be any server's bad moment, so the rate is bounded from the second on.
        if self._arrived and self._refused >= _RATED_FROM and (first or self._rate is None):
            arrived = self._arrived / max(now - self._since, 1e-3)
            self._rate = max(_SLOWEST, _FEWER * min(arrived, self._rate or arrived))
            self._since, self._arrived = now, 0
        self._pause_until = max(self._pause_until, now + backoff(tries) / 2)


def backoff(tries: int) -> float:
    """Return seconds to wait after so many tries: full jitter below a bound that doubles."""
    return random.uniform(0, min(_LONGEST_WAIT, _BASE * 2**tries))  # noqa: S311 - jitter is no secret


BUSY = frozenset({429, 503})
PASSING = frozenset({408, 429, 500, 502, 503, 504})
SLOW_DOWN = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "BandwidthLimitExceeded",
    }
)
PASSING_CODES = SLOW_DOWN | {"InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted"}
NO_NEWER_LISTING = {"NotImplemented", "InvalidArgument", "InvalidRequest", "UnsupportedOperation", "400", "501"}
"""How servers that only know ListObjects refuse ListObjectsV2."""
NETWORK = (aiohttp.ClientError, TimeoutError, OSError, OversizedError)


_SECONDS_PER_RESPONSE = 0.0005
_SLOWEST_BODY = 64 * 1024
_REFUSED = 300
_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,60})\s*</Code>")


def error_code(body: bytes) -> str:
    """Return the code of an error document; empty if it has none."""
    match = _CODE.search(body[:4096])
    return match[1].decode() if match else ""


@dataclass(frozen=True, slots=True)
class ObjectRequest:
    """A GET or HEAD of one object.

    Attributes:
        operation: `GetObject` or `HeadObject`.
        key: the exact key.
        headers: further headers, such as `Range`.
        version_id: the version; empty for the current one.
        size: most bytes of the body that are wanted; the rest is not waited for.
        least: bytes below which a body counts as cut short.
    """

    operation: str
    key: str
    headers: Mapping[str, str]
    version_id: str = ""
    size: int = 0
    least: int = 0


class ObjectTarget(Protocol):
    """A bucket as requests for its objects see it. All members can be used from any thread."""

    @property
    def transport(self) -> Transport:
        """Proxy, TLS and timeouts of requests."""

    def sign_objects(self, requests: Sequence[ObjectRequest]) -> list[SignedRequest]:
        """Sign requests of one operation with the current credentials; may wait for these."""

    def goes_by_client(self, operation: str) -> bool:
        """Whether an operation must go by the boto3 client and not by our sockets."""

    def has_stand_in(self, operation: str) -> bool:
        """Whether something in this process may answer in place of the server."""

    def stand_in(self, request: ObjectRequest) -> Response | None:
        """Return the answer of the stand-in, or None if it gives none."""

    def moved(self, response: Response) -> bool:
        """Whether the response named the region to sign for, so that another try is worthwhile."""


class UnansweredError(Exception):
    """No try was answered; `error` is why the last one failed."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Exchange:
    """Sends requests for objects of one bucket.

    Args:
        target: the bucket.
        wires: the sockets.
        most: returns the current bound on requests under way.
    """

    def __init__(self, target: ObjectTarget, wires: Wires, most: Callable[[], int]) -> None:
        self._target = target
        self._wires = wires
        self._most = most
        self._lock = new_lock()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Start afresh in a forked child; what is under way stays with the parent."""
        self._pace = Pace(LEAST, _SECONDS_PER_RESPONSE)
        self._queued: list[_Outgoing] = []
        self._scheduled = False
        self._waiting: deque[_Outgoing] = deque()
        self._senders = 0
        self._sending: dict[LightFuture[Response], asyncio.Task[None]] = {}

    @property
    def window(self) -> int:
        """How many requests are worth having under way."""
        return self._pace.most

    def goes_by_client(self, operation: str) -> bool:
        """Whether an operation must go by the boto3 client and not by our sockets."""
        return self._target.goes_by_client(operation)

    def send(self, requests: Sequence[ObjectRequest], futures: Sequence[LightFuture[Response]]) -> None:
        """Send requests of one operation; cancelling a future ends its request.

        Args:
            requests: what to send.
            futures: one for each request, made by the caller, whom an interrupt may reach before this returns. They
                give the responses, whatever their status, or raise `UnansweredError`.

        Raises:
            S3ConnError: they cannot be signed.
        """
        if self._target.has_stand_in(requests[0].operation):
            for request, future in zip(requests, futures, strict=True):
                if (answer := self._target.stand_in(request)) is not None:
                    future.set_result(answer)
        if left := [pair for pair in zip(requests, futures, strict=True) if not pair[1].done()]:
            signed, way = self._target.sign_objects([request for request, _ in left]), self._target.transport
            with self._lock:
                for (request, future), signed_request in zip(left, signed, strict=True):
                    future.on_cancel = self._cancelled
                    self._queued.append(_Outgoing(request, signed_request, way, future))
                scheduled, self._scheduled = self._scheduled, True
            if not scheduled:
                self._schedule()

    def _schedule(self) -> None:
        try:
            LOOP.call(self._begin)
        except BaseException:  # no loop can be made, as where a test suite forbids sockets
            with self._lock:
                self._queued, self._scheduled = [], False
            raise

    def _cancelled(self, future: LightFuture[Response]) -> None:
        LOOP.call(lambda: self._end(future))

    def _end(self, future: LightFuture[Response]) -> None:
        if (task := self._sending.pop(future, None)) is not None:
            task.cancel()

    def _begin(self) -> None:
        with self._lock:
            queued, self._queued, self._scheduled = self._queued, [], False
        self._waiting.extend(queued)
        self._send_more()

    def _send_more(self) -> None:
        """Have as many tasks as may send: one for each request would cost more than sending it."""
        for _ in range(min(self._pace.places - self._senders, len(self._waiting))):
            self._senders += 1
            asyncio.get_running_loop().create_task(self._send_waiting())

    async def _send_waiting(self) -> None:
        is_ours()
        try:
            while self._waiting:
                outgoing = self._waiting.popleft()
                if not outgoing.future.done():
                    await self._sent(outgoing, partial(self._first_try, outgoing))
                if self._waiting and self._senders < self._pace.places:
                    self._send_more()
        finally:
            self._senders -= 1

    async def _sent(self, outgoing: _Outgoing, send: Callable[[], Awaitable[Response | None]]) -> None:
        """Note a response when it comes, or why none does, unless it is None."""
        task: Any = asyncio.current_task()
        self._sending[outgoing.future] = task
        try:
            if (response := await send()) is not None:
                outgoing.future.set_result(response)
        except asyncio.CancelledError:
            if not outgoing.future.cancelled():
                outgoing.future.set_exception(UnansweredError(OSError("the loop ended")))
                raise
            task.uncancel()
        except Exception as error:  # noqa: BLE001 - raised where the future is read
            outgoing.future.set_exception(error)
        finally:
            if self._sending.get(outgoing.future) is task:
                del self._sending[outgoing.future]

    async def _first_try(self, outgoing: _Outgoing) -> Response | None:
        response, failure, wait = await self._try(outgoing, outgoing.signed, 1)
        if response is not None and wait is None:
            return response
        # Others need not wait for the pause.
        retrying = self._sent(outgoing, partial(self._send_again, outgoing, response, failure, wait))
        self._sending[outgoing.future] = asyncio.get_running_loop().create_task(retrying)
        return None

    async def _send_again(
        self, outgoing: _Outgoing, response: Response | None, failure: Exception | None, wait: float | None
    ) -> Response:
        tries = 1
        while wait is not None and tries < TRIES:
            await asyncio.sleep(wait)
            # Signing may wait for new credentials, so it is done off the loop.
            sign = partial(self._target.sign_objects, [outgoing.request])
            (signed,) = await asyncio.wrap_future(run_in_background(sign, name="s3conn-sign"))
            tries += 1
            response, failure, wait = await self._try(outgoing, signed, tries)
        if response is None:
            raise UnansweredError(failure or TimeoutError())
        return response if tries == 1 else replace(response, tries=tries)

    async def _try(
        self, outgoing: _Outgoing, signed: SignedRequest, tries: int
    ) -> tuple[Response | None, Exception | None, float | None]:
        """Return the response or why there is none, and seconds until the next try, or None if it is final."""
        request, way = outgoing.request, outgoing.transport
        within = way.connect_timeout + 2 * way.read_timeout + request.size / _SLOWEST_BODY
        try:
            async with self._pace as epoch:
                response = await self._wires.of(way).send(signed, upto=request.size, within=within)
                self._pace.answered(response.waited, self._most())
        except NETWORK as error:
            return None, error, backoff(tries)
        return response, None, self._until_next(request, response, epoch, tries)

    def _until_next(self, request: ObjectRequest, response: Response, epoch: int, tries: int) -> float | None:
        """Return seconds until the next try, or None if the response is final."""
        if response.status < _REFUSED:
            if len(response.body) < request.least:
                return backoff(tries)
            self._pace.succeeded()
            return None
        code = error_code(response.body)
        if response.status in BUSY or code in SLOW_DOWN:
            self._pace.slow_down(epoch, tries)
        if response.status in PASSING or code in PASSING_CODES:
            return backoff(tries)
        return 0.0 if self._target.moved(response) else None


class _Outgoing(NamedTuple):
    request: ObjectRequest
    signed: SignedRequest
    transport: Transport
    future: LightFuture[Response]
