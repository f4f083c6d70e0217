"""A listing in a time of its own: the real engine over a fake wire, on a loop whose clock runs only while it waits."""

from __future__ import annotations

import asyncio
import random
import selectors
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from listing_targets import FakeTarget

from s3conn_magic.listing import ListingEngine
from s3conn_magic.listing.request import ListRequest
from s3conn_magic.transport import Query, Response

if TYPE_CHECKING:
    from synthetic import Bucket

    from s3conn_magic.listing.keyspace import Learned
    from s3conn_magic.listing.request import KeyRange
    from s3conn_magic.transport import Transport


class _Selector(selectors.SelectSelector):
    """Waits for nothing: the clock goes on instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("the listing waits for nothing")
        self.now += max(0.0, timeout)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = _Selector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


class _Far(FakeTarget):
    """A bucket whose requests travel."""

    def sign(self, query: Query) -> Any:
        return query

    def send(self, query: Query) -> Any:
        del query


@dataclass
class Simulation:
    """Lists a bucket whose answers take `latency` seconds, by a machine that takes `work` seconds for each.

    It stops after `stop_at` seconds if more than `least` rows are expected then.

    Attributes:
        seconds: how long it took.
        left: rows that were still expected at `stop_at`.
        engine: what listed.
        requests: how many there were.
        keys: in the order in which they came.
        rest: what `pages` left.
        busy: at moments in their order: the moment, requests under way, keys so far.
    """

    bucket: Bucket
    latency: float
    page_keys: int
    connections: int = 128
    work: float = 0.001
    spread: float = 0.05
    delimiter: str | None = None
    prefix: str = ""
    ranges: tuple[KeyRange, ...] = ()
    pages: int | None = None
    learned: Learned | None = None
    stop_at: float | None = None
    least: float = 0.0
    rest: tuple[KeyRange, ...] = ()
    seconds: float = 0.0
    left: float = 0.0
    engine: ListingEngine | None = None
    requests: int = 0
    keys: list[str] = field(default_factory=list)
    busy: list[tuple[float, int, int]] = field(default_factory=list)

    def run(self) -> Simulation:
        """List it."""
        self._chance, self._under_way, self._loop = random.Random(4), 0, _Loop()

        parts = {"ranges": self.ranges, "pages": self.pages}
        request = ListRequest(
            self.prefix, self.delimiter, connections=self.connections, page_keys=self.page_keys, **parts
        )
        engine = ListingEngine(_Far(self.bucket, ways=self), request, self.learned)
        if self.stop_at is not None:
            self._loop.call_at(self.stop_at, self._stop, engine)
        try:
            self._loop.run_until_complete(engine(self))
            self.seconds, self.rest, self.engine = self._loop.time(), engine.rest, engine
        finally:
            self._loop.close()
        return self

    def _stop(self, engine: ListingEngine) -> None:
        self.left = engine.tally.snapshot().left or 0.0
        engine.stopped = engine.stopped or self.left > self.least

    def of(self, transport: Transport) -> Simulation:
        """As of sockets."""
        del transport
        return self

    async def send(self, query: Query) -> Response:
        """As of a wire."""
        self.requests += 1
        began = self._note(1)
        await asyncio.sleep(self.latency * self._chance.uniform(1 - self.spread, 1 + self.spread))
        self._loop.clock.now += self.work
        waited = self._note(-1) - began
        return replace(Response(200, {}, self.bucket.page(dict(query))), waited=waited)

    async def put(self, report: Any) -> None:
        """As of a background."""
        self.keys += [*report.objects.column(0).to_pylist(), *report.prefixes]

    def _note(self, more: int) -> float:
        self._under_way += more
        self.busy.append((now := self._loop.time(), self._under_way, len(self.keys)))
        return now

    def most(self) -> int:
        """Most requests that were under way."""
        return max(under_way for _, under_way, _ in self.busy)

    def occupancy(self, of: int, *, rounds: float) -> float:
        """Return the mean share of so many connections that was busy.

        It counts from `rounds` latencies after the beginning, while twice as many pages remain as connections.
        """
        begin, enough = rounds * self.latency, len(self.bucket.keys) - 2 * of * self.page_keys
        spans = [
            (after - now, under_way)
            for (now, under_way, keys), (after, *_) in pairwise(self.busy)
            if now >= begin and keys <= enough
        ]
        return sum(span * min(of, under_way) for span, under_way in spans) / of / sum(span for span, _ in spans)
