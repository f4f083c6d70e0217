"""Ranges of one object for several readers: what is there or under way is not asked for again."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from s3conn_magic.errors import S3ConnError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from s3conn_magic.objects.ranged import Pinned
    from s3conn_magic.query.reading import Reading

PART = 8 * 1024 * 1024
"""Bytes of one request when a large range is asked for by several at once."""
_TRIES = 4


@dataclass(frozen=True, slots=True)
class _Segment:
    """A range that is there, or under way."""

    start: int
    stop: int
    data: Future[bytes]


class RangedObject:
    """One object for the length of a query.

    Args:
        pinned: the object as it was when the query first saw it.
        reading: the query.
    """

    def __init__(self, pinned: Pinned, reading: Reading) -> None:
        self.pinned = pinned
        self._reading = reading
        self._starts: list[int] = []
        self._segments: dict[int, _Segment] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self.pinned.size

    def read(self, start: int, stop: int, *, ahead_to: int = 0) -> bytes:
        """The bytes from `start` to `stop`, less behind the end.

        Args:
            start: first byte.
            stop: behind the last byte.
            ahead_to: where what will probably be wanted next ends; asked for, and not waited for.

        Raises:
            S3ConnError: the object was changed, or cannot be read.
            StatementInterrupted: the query was stopped.
        """
        start, stop = min(start, self.size), min(stop, self.size)
        if stop <= start:
            return b""
        try:
            return self._joined(self._wanted(start, stop, min(max(stop, ahead_to), self.size)), start, stop)
        except S3ConnError as error:
            self._reading.failed(error)
            raise

    def keep(self, start: int, data: bytes) -> None:
        """Take bytes that came another way."""
        done: Future[bytes] = Future()
        done.set_result(data)
        with self._lock:
            self._add(_Segment(start, start + len(data), done))

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Ask for ranges, and do not wait."""
        for start, stop in ranges:
            if start < (end := min(stop, self.size)):
                self._wanted(start, end, end, here=False)

    # What is there, and what is asked for

    def _wanted(self, start: int, stop: int, ahead_to: int, *, here: bool = True) -> list[_Segment]:
        """The segments that cover a range; what is missing is asked for, the first of it in this thread."""
        self._reading.check()
        with self._lock:
            found = self._overlapping(start, ahead_to)
            added = [_Segment(low, high, Future()) for low, high in _missing(found, start, ahead_to)]
            for one in added:
                self._add(one)
        here = here and bool(added) and added[0].start < stop
        for one in added[1:] if here else added:
            self._in_background(one)
        if here:
            self._fetch(added[0])
        covering = [one for one in (*found, *added) if one.start < stop]
        return sorted(covering, key=lambda one: one.start)

    def _overlapping(self, start: int, stop: int) -> list[_Segment]:
        at = max(0, bisect_right(self._starts, start) - 1)
        found = []
        while at < len(self._starts) and self._starts[at] < stop:
            one = self._segments[self._starts[at]]
            if one.stop > start:
                found.append(one)
                self._reading.touch(id(self), one.start)
            at += 1
        return found

    def _add(self, one: _Segment) -> None:
        if one.start in self._segments:
            return
        insort(self._starts, one.start)
        self._segments[one.start] = one

    def _drop(self, one: _Segment) -> None:
        with self._lock:
            if self._segments.get(one.start) is one:
                del self._segments[one.start]
                self._starts.remove(one.start)

    def _in_background(self, one: _Segment) -> None:
        try:
            self._reading.submit(partial(self._fetch, one))
        except S3ConnError as error:  # the query was stopped, or is over
            self._drop(one)
            one.data.set_exception(error)

    def _fetch(self, one: _Segment) -> bytes:
        try:
            self._reading.check()
            self._reading.count(1, 0)
            data = self.pinned.get(one.start, one.stop, tries=_TRIES, stopped=lambda: self._reading.stopped)
        except BaseException as error:
            self._drop(one)
            one.data.set_exception(error)
            if isinstance(error, S3ConnError):
                return b""
            raise
        self._reading.count(0, len(data))
        one.data.set_result(data)
        self._reading.keep(id(self), one.start, len(data), partial(self._drop, one))
        return data

    def _joined(self, segments: Sequence[_Segment], start: int, stop: int) -> bytes:
        pieces = []
        for one in segments:
            data = self._reading.wait(one.data)
            whole = one.start >= start and one.stop <= stop
            pieces.append(data if whole else memoryview(data)[max(start - one.start, 0) : stop - one.start])
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], bytes) else b"".join(pieces)


def _missing(found: Sequence[_Segment], start: int, stop: int) -> list[tuple[int, int]]:
    """Requests for what no segment covers."""
    ranges, at = [], start
    for one in found:
        ranges += _parts(at, one.start)
        at = max(at, one.stop)
    return ranges + _parts(at, stop)


def _parts(start: int, stop: int) -> list[tuple[int, int]]:
    """A range, cut into even parts when it is large."""
    if stop <= start:
        return []
    count = max(1, round((stop - start) / PART))
    return list(pairwise(start + (stop - start) * at // count for at in range(count + 1)))


__all__ = ["PART", "RangedObject"]
