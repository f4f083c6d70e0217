"""How many requests may be under way, and how many a second: fewer when the server asks to slow down, more while not.

A server that is near counts requests a second: one connection alone may be too fast for it.
"""

from __future__ import annotations

import asyncio
import random

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
