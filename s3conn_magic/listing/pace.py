"""How many requests may be under way: fewer when the server asks to slow down, more while it does not."""

from __future__ import annotations

import asyncio
import random

TRIES = 5
"""Most requests for one page."""

_BASE, _LONGEST = 0.1, 8.0


class Pace:
    """Additive increase, multiplicative decrease of the requests under way, with a pause that all of them keep.

    Args:
        most: most requests under way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._window = float(most)
        self._under_way = 0
        self._epoch = 0
        self._pause_until = 0.0
        self._waiting: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> int:
        """Wait for a place; gives the epoch, to be handed back to `slow_down`."""
        while self._under_way >= max(1, int(self._window)):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._under_way += 1
        try:
            # A pause may be lengthened while it is slept through, so it is looked at again.
            while (left := self._pause_until - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110 - the clock is what is waited for
                await asyncio.sleep(left)
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
        """A page arrived: one place more for each window of pages."""
        if self._window < self._most:
            self._window = min(self._most, self._window + 1 / self._window)
            if self._waiting and not self._waiting[0].done() and self._under_way < int(self._window):
                self._waiting.pop(0).set_result(None)

    def slow_down(self, epoch: int, tries: int) -> None:
        """The server refused: halve the places, once for all requests that were under way together, and pause."""
        if epoch == self._epoch:
            self._epoch += 1
            self._window = max(1.0, self._window / 2)
        now = asyncio.get_running_loop().time()
        self._pause_until = max(self._pause_until, now + backoff(tries) / 2)


def backoff(tries: int) -> float:
    """Seconds to wait after so many tries: full jitter below a bound that doubles."""
    return random.uniform(0, min(_LONGEST, _BASE * 2**tries))  # noqa: S311 - jitter is no secret
