"""Fetch one page: sent, retried, and paced as the server allows."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from s3conn_magic.errors import EndpointError, S3ConnError, ThrottledError
from s3conn_magic.listing import xml
from s3conn_magic.listing.pages import Reader, key_texts, warm_up
from s3conn_magic.listing.request import marker_token
from s3conn_magic.listing.table import AmbiguousError, Escapes, Page, UndecodableError, percent_text, settle_plus
from s3conn_magic.listing.xml import UnreadableError, parse
from s3conn_magic.runtime.background import run_in_background
from s3conn_magic.transport import Response
from s3conn_magic.transport.exchange import (
    BUSY,
    LEAST,
    NETWORK,
    NO_NEWER_LISTING,
    PASSING,
    PASSING_CODES,
    SLOW_DOWN,
    TRIES,
    Pace,
    backoff,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.listing.request import PageQuery
    from s3conn_magic.transport import Query, Sends, SignedRequest, Target, Ways

_OK = 200
_SECONDS_OF_TRAVEL = 0.006
# Seconds of a core that a page of a thousand keys takes.
_SECONDS_PER_PAGE = 0.001


class Fetcher:
    """Fetches pages of one bucket; made and used within the loop of all requests.

    Args:
        target: the bucket.
        connections: most requests under way.
        at_first: as many before the latency is known.

    Attributes:
        pace: how many requests may be under way, and how long answers take.
        in_process: whether the target answers without a socket, one request at a time.
    """

    def __init__(self, target: Target, connections: int, *, at_first: int = LEAST) -> None:
        # There is time for it while the first request travels.
        asyncio.get_running_loop().call_later(_SECONDS_OF_TRAVEL, warm_up)
        self._target = target
        self._way: tuple[Ways, Sends] | None = None
        self._connections = connections
        self.pace = Pace(min(connections, at_first), _SECONDS_PER_PAGE)
        self._reader = Reader(target.bucket)
        self._escapes = Escapes()
        self._by_marker = False
        self._waiting = asyncio.Lock()
        self.in_process = False

    async def page(self, query: PageQuery, *, came: Callable[[bytes], None] | None = None) -> Page:
        """Return the page, complete and exact.

        Args:
            query: what to ask.
            came: called with each body that may be the page, before it is read.

        Raises:
            UnreadableError: no answer was a valid page; the message says why.
            S3ConnError: as the target explains an error answer, or that none came.
        """
        folder = query.prefix[: query.prefix.rfind("/") + 1]
        if not self._target.ordered and folder != query.prefix:
            # Directory buckets only take prefixes that end with a slash.
            return _beginning_with(await self.page(replace(query, prefix=folder), came=came), query.prefix)
        problem: Exception | None = None
        for tries in range(1, TRIES + 1):
            page = await self._try_once(query, tries, came)
            if isinstance(page, Page):
                self.pace.succeeded()
                return page if tries == 1 else replace(page, requests=page.requests + tries - 1)
            problem = page.error or problem
            if tries < TRIES:
                await asyncio.sleep(backoff(tries) if page.wait else 0)
        raise problem or EndpointError(
            "the server kept redirecting the request",
            hint="Set REGION = 'eu-west-1', for example, or another ENDPOINT.",
        )

    async def _try_once(self, query: PageQuery, tries: int, came: Callable[[bytes], None] | None) -> Page | _Retry:
        epoch = 0
        try:
            async with self.pace as epoch:
                response = await self._send(query)
            if came is not None and response.status == _OK and not self.in_process:
                came(response.body)
            return await self._read(response, query)
        except S3ConnError:
            raise
        except NETWORK as error:
            return _Retry(self._target.unreachable(error))
        except UnreadableError as error:
            return _Retry(error)
        except _RefusedError as refused:
            if refused.busy:
                self.pace.slow_down(epoch, tries)
            return refused.retry

    async def _send(self, query: PageQuery) -> Response:
        query = replace(query, older=self._by_marker and not query.versions)
        ask = partial(_answered_or_signed, self._target, query.parameters())
        # Signing may wait for credentials, and the loop serves all requests. A stand-in's answers may have an order.
        if self._target.waits:
            async with self._waiting:
                reply = await asyncio.wrap_future(run_in_background(ask, name="s3conn-sign"))
        else:
            reply = ask()
        self.in_process = isinstance(reply, Response)
        if isinstance(reply, Response):
            return reply
        response = await self._wire().send(reply)
        self.pace.answered(response.waited, self._connections)
        return response

    def _wire(self) -> Sends:
        ways = self._target.ways
        if self._way is None or self._way[0] is not ways:
            self._way = ways, ways.of(self._target.transport)
        return self._way[1]

    async def _read(self, response: Response, query: PageQuery) -> Page:
        code = xml.error_code(response.body)
        if response.status != _OK or code is not None:
            raise self._refusal(response, query, code or "")
        if xml.is_foreign(response.body):
            raise _RefusedError(_Retry(self._target.fault(response, query.parameters())), busy=False)
        requests = 1
        try:
            page = await self._reader.page(response.body, query, self._escapes)
        except AmbiguousError:
            requests += await self._learn_escapes(parse(response.body), query)
            page = await self._reader.page(response.body, query, self._escapes)
        self._by_marker = self._by_marker or (page.next_token or "").startswith(marker_token(""))
        return replace(page, received=len(response.body), requests=requests)

    async def _learn_escapes(self, answer: xml.ListDocument, query: PageQuery) -> int:
        """Learn how the server escapes, once in a listing, and return how many requests it took."""
        texts = key_texts(answer)
        if answer.fields.get("EncodingType"):
            await self._learn_plus(texts, query)
            return 1
        # A text with `+` also tells what `+` stands for.
        sample, requests = max((text for text in texts if "+" in text or "%" in text), key=lambda text: "+" in text), 0
        first = replace(query, delimiter="", token=None, start_after=None, max_keys=1)
        for wanted, plus in _readings(sample).items():
            if wanted.startswith(query.prefix):
                requests += 1
                if any(text.startswith(sample) for text in await self._texts(replace(first, prefix=wanted))):
                    self._escapes = Escapes(plus if "+" in sample else None, unsaid=True)
                    return requests
        self._escapes = Escapes(unsaid=False)
        return requests

    async def _learn_plus(self, encoded: set[str], query: PageQuery) -> None:
        """Ask for the same page without encoding to learn what `+` stands for."""
        try:
            plus = settle_plus(encoded, await self._texts(replace(query, encoded=False)))
        except UndecodableError as error:
            raise UnreadableError(str(error)) from None
        self._escapes = self._escapes._replace(plus=plus)

    async def _texts(self, query: PageQuery) -> set[str]:
        """Return the keys and common prefixes of a page as they stand in the answer."""
        response = await self._send(query)
        if response.status != _OK or xml.error_code(response.body) is not None:
            raise self._refusal(response, query, xml.error_code(response.body) or "")
        return key_texts(parse(response.body))

    def _refusal(self, response: Response, query: PageQuery, code: str) -> Exception:
        """Return what to do about an error answer: retry after a wait, retry at once, or give up."""
        busy = response.status in BUSY or code in SLOW_DOWN
        # Errors with another code keep it, as from a server that is starting up.
        slow = busy and code in {*SLOW_DOWN, "", "ServiceUnavailable"}
        fault = _throttled() if slow else self._target.fault(response, query.parameters())
        if (
            fault
            and not (self._by_marker or query.versions or query.token)
            and (code or str(response.status)) in NO_NEWER_LISTING
        ):
            self._by_marker = True
            return _RefusedError(_Retry(fault, wait=False), busy=False)
        if response.status in PASSING or code in PASSING_CODES:
            return _RefusedError(_Retry(fault), busy=busy)
        return fault or _RefusedError(_Retry(None, wait=False), busy=False)


def _readings(text: str) -> dict[str, bool]:
    """Return what an escaped text may stand for, each with whether `+` is a space in it."""
    readings: dict[str, bool] = {}
    with suppress(UndecodableError):
        for plus in (True, False):
            readings.setdefault(percent_text(text, plus=plus), plus)
    return readings


def _answered_or_signed(target: Target, query: Query) -> Response | SignedRequest:
    return target.send(query) or target.sign(query)


def _beginning_with(page: Page, prefix: str) -> Page:
    """Return the rows of a page whose keys begin with a prefix."""
    objects = page.objects.filter(pc.starts_with(page.objects.column(0), prefix))
    return replace(page, objects=objects, prefixes=tuple(each for each in page.prefixes if each.startswith(prefix)))


def _throttled() -> ThrottledError:
    hint = "Try again later, or with fewer connections."
    return ThrottledError("the server kept asking to slow down until all tries were used", hint=hint, attempts=TRIES)


class _Retry:
    """A failed try: the error to raise if it was the last, and whether to wait before the next."""

    def __init__(self, error: Exception | None, *, wait: bool = True) -> None:
        self.error = error
        self.wait = wait


class _RefusedError(Exception):
    """The server answered with something other than a page."""

    def __init__(self, retry: _Retry, *, busy: bool) -> None:
        super().__init__()
        self.retry = retry
        self.busy = busy
