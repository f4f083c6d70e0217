"""Requests under way together: tried again, at the pace that the server allows, as many as its distance pays for.

A server that is near counts requests a second: one connection alone may be too fast for it.
"""

from __future__ import annotations

import asyncio
import random
import re
from bisect import insort
from collections import deque
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import aiohttp

from s3conn_magic.errors import S3ConnError
from s3conn_magic.runtime.background import LOOP, new_lock, renew_in_child, run_in_background
from s3conn_magic.runtime.logs import is_ours
from s3conn_magic.transport.wire import OversizedError, Wires

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from s3conn_magic.transport import Response, SignedRequest, Transport

TRIES = 5
"""Most requests for one answer."""

_BASE, _LONGEST = 0.1, 8.0
# Of the pages a second that came, how many to ask for after a refusal; how many more for each page that comes.
_FEWER, _MORE, _SLOWEST = 0.8, 1.0, 2.0
# Pages in a row after which earlier refusals are forgotten.
_CALM, _TWICE = 50, 2
LEAST, GREATEST = 8, 128
"""Requests that are under way wherever the server is, and that never are more."""
_MEASURED, _NEAR = 32, 4


class Pace:
    """How many requests are under way, and how many a second; a pause that all keep.

    As many as the distance pays for, by Little's law; additive increase and multiplicative decrease where the server
    refuses.

    Args:
        most: most requests under way, at first.
        work: seconds of this machine that an answer takes: more requests under way than come in that time bring
            nothing.

    Attributes:
        most: most requests under way.
        latency: seconds until an answer begins to come; 0 before the first.
    """

    def __init__(self, most: int, work: float) -> None:
        self.most = most
        self.latency = 0.0
        self._work = work
        self._waits: list[float] = []
        self._window = float(most)
        self._under_way = 0
        self._epoch = 0
        self._pause_until = self._next = 0.0
        self._rate: float | None = None
        self._since, self._came = 0.0, 0
        self._refused = self._calm = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def places(self) -> int:
        """Requests that may be under way."""
        return max(1, int(self._window))

    def answered(self, waited: float, most: int) -> None:
        """Note how long an answer was waited for, and allow what that pays for: `most` at most."""
        if len(self._waits) < _MEASURED:
            # Only the first since nothing was under way: later ones may have waited for this machine. Some made their
            # connection first, so the near ones count.
            insort(self._waits, waited)
            self.latency = self._waits[len(self._waits) // _NEAR]
            self._allow(max(1, min(max(LEAST, min(GREATEST, round(self.latency / self._work))), most)))

    async def __aenter__(self) -> int:
        """Wait for a place and a moment; gives the epoch, to be handed back to `slow_down`."""
        clock = asyncio.get_running_loop().time
        self._since = self._since or clock()
        while self._under_way >= self.places:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # its turn had come: the next one's, then
                    self._wake()
                raise
        self._waits = self._waits if self._under_way else []
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
        self._wake()

    def _wake(self) -> None:
        """Let the next one look whether there is a place."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def succeeded(self) -> None:
        """A page arrived: one place more for each window of pages, and a few more a second."""
        self._came += 1
        self._calm += 1
        self._refused = self._refused if self._calm < _CALM else 0
        self._rate = self._rate and self._rate + _MORE
        if self._window < self.most:
            self._window = min(self.most, self._window + 1 / self._window)
            if self._under_way < self.places:
                self._wake()

    def _allow(self, most: int) -> None:
        """Have another number of requests under way; all of them at once, where the server has not refused any."""
        if most == self.most:
            return
        self.most = most
        self._window = min(self._window, most) if self._epoch else float(most)
        for _ in range(int(self._window) - self._under_way):
            self._wake()

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
"""How servers that know ListObjects alone refuse ListObjectsV2, if they do."""
NETWORK = (aiohttp.ClientError, TimeoutError, OSError, OversizedError)


_WORK = 0.0005
_SLOWEST_BODY = 64 * 1024
_REFUSED = 300
_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,60})\s*</Code>")


def error_code(body: bytes) -> str:
    """The code of an error's document; empty where it has none."""
    match = _CODE.search(body[:4096])
    return match[1].decode() if match else ""


@dataclass(frozen=True, slots=True)
class ObjectRequest:
    """A GET or HEAD of one object.

    Attributes:
        operation: `GetObject` or `HeadObject`.
        key: exact.
        headers: beside those of every request, as `Range`.
        version_id: the version that is meant; empty for the current one.
        size: bytes of the body that are wanted at most; what comes behind them is not waited for.
        least: bytes without which a body counts as cut short.
    """

    operation: str
    key: str
    headers: Mapping[str, str]
    version_id: str = ""
    size: int = 0
    least: int = 0


class ObjectTarget(Protocol):
    """A bucket, as requests of its objects see it. All members may be used from any thread."""

    @property
    def transport(self) -> Transport:
        """How requests travel."""

    def sign_objects(self, requests: Sequence[ObjectRequest]) -> list[SignedRequest]:
        """Sign requests of one operation afresh; it may wait for credentials."""

    def goes_by_client(self, operation: str) -> bool:
        """Whether an operation is not to be sent by a socket of ours."""

    def has_stand_in(self, operation: str) -> bool:
        """Whether something within this process may stand in for the server."""

    def stand_in(self, request: ObjectRequest) -> Response | None:
        """Its answer; None where there is none."""

    def moved(self, response: Response) -> bool:
        """Whether an answer named the region to sign for, so that another try is worth it."""


class UnansweredError(Exception):
    """No answer came in all of the tries; `error` is why the last one failed."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Exchange:
    """Requests of one bucket's objects.

    Args:
        target: the bucket.
        wires: what they travel by.
        most: most requests under way, at this moment.
    """

    def __init__(self, target: ObjectTarget, wires: Wires, most: Callable[[], int]) -> None:
        self._target = target
        self._wires = wires
        self._most = most
        self._lock = new_lock()
        self._leaving: list[tuple[_Parcel, Future[Response]]] = []
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Leave what is under way to the parent."""
        self._pace = Pace(LEAST, _WORK)
        self._leaving = []
        self._awake = False

    @property
    def window(self) -> int:
        """How many requests are worth having under way."""
        return self._pace.most

    def goes_by_client(self, operation: str) -> bool:
        """As the target's."""
        return self._target.goes_by_client(operation)

    def send(self, requests: Sequence[ObjectRequest]) -> list[Future[Response]]:
        """Send requests of one operation; whoever cancels a future ends its request.

        The futures give the answers, whatever their status, or raise `UnansweredError`.

        Raises:
            S3ConnError: they cannot be signed.
        """
        futures: list[Future[Response]] = [Future() for _ in requests]
        leaving = list(zip(requests, futures, strict=True))
        if self._target.has_stand_in(requests[0].operation):
            for request, future in leaving:
                if (answer := self._target.stand_in(request)) is not None:
                    future.set_result(answer)
            leaving = [(request, future) for request, future in leaving if not future.done()]
        if leaving:
            signed, way = self._target.sign_objects([request for request, _ in leaving]), self._target.transport
            with self._lock:
                for (request, future), each in zip(leaving, signed, strict=True):
                    self._leaving.append((_Parcel(request, each, way), future))
                awake, self._awake = self._awake, True
            if not awake:
                LOOP.call(self._begin)
        return futures

    def _begin(self) -> None:
        with self._lock:
            leaving, self._leaving, self._awake = self._leaving, [], False
        loop = asyncio.get_running_loop()
        for parcel, future in leaving:
            if not future.done():
                task = loop.create_task(self._answered(parcel))
                task.add_done_callback(partial(_settle, future))
                future.add_done_callback(partial(_end, loop, task))

    async def _answered(self, parcel: _Parcel) -> Response:
        is_ours()
        tries, signed = 0, parcel.signed
        while True:
            tries += 1
            response: Response | None = None
            failure: Exception | None = None
            epoch = 0
            try:
                async with self._pace as epoch:
                    response = await self._sent(parcel, signed)
            except S3ConnError:
                raise
            except NETWORK as error:
                failure = error
            wait = backoff(tries) if response is None else self._until_next(parcel.request, response, epoch, tries)
            if wait is None or tries == TRIES:
                break
            await asyncio.sleep(wait)
            # Credentials that have expired meanwhile are waited for elsewhere.
            sign = partial(self._target.sign_objects, [parcel.request])
            (signed,) = await asyncio.wrap_future(run_in_background(sign, name="s3conn-sign"))
        if response is None:
            raise UnansweredError(failure or TimeoutError())
        return response if tries == 1 else replace(response, tries=tries)

    async def _sent(self, parcel: _Parcel, signed: SignedRequest) -> Response:
        way, size = parcel.transport, parcel.request.size
        within = way.connect_timeout + 2 * way.read_timeout + size / _SLOWEST_BODY
        response = await self._wires.of(way).send(signed, upto=size, within=within)
        self._pace.answered(response.waited, self._most())
        return response

    def _until_next(self, request: ObjectRequest, response: Response, epoch: int, tries: int) -> float | None:
        """Seconds after which to try again; None where the answer is what there is."""
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


class _Parcel(NamedTuple):
    """A request on its way."""

    request: ObjectRequest
    signed: SignedRequest
    transport: Transport


def _settle(future: Future[Response], task: asyncio.Task[Response]) -> None:
    error = UnansweredError(OSError("the loop ended")) if task.cancelled() else task.exception()
    with suppress(InvalidStateError):
        future.set_exception(error) if error is not None else future.set_result(task.result())


def _end(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Response], future: Future[Response]) -> None:
    """End the request of a future that was cancelled."""
    if future.cancelled():
        with suppress(RuntimeError):  # the loop may have ended
            loop.call_soon_threadsafe(task.cancel)
