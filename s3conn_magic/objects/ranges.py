"""A seekable file over ranged GETs of one object, in blocks that are kept, with a bound on what it may receive."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.objects.ranged import Pinned

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.description import Description

BLOCK = 64 * 1024
_AT_ONCE = 8


class BoundReachedError(Exception):
    """More of the object would have to be read than was allowed; never leaves this layer."""


class RangeReader(io.RawIOBase):
    """An object as a file that can be read and sought in.

    What was received is kept in blocks of 64 KiB. Every request asks for the etag of the description, so that an
    object that is written meanwhile is noticed.

    Attributes:
        size: bytes of the object.
        limit: bytes that may be received in all.
        received: bytes of the object that came so far.
        requests: ranged GETs so far.
        failure: the error of a request, for callers whose library shows another in its place.
    """

    def __init__(self, connection: Connection, location: Location, description: Description, *, limit: int) -> None:
        super().__init__()
        self._object = Pinned(
            connection,
            location,
            description.size,
            description.etag,
            version_id=description.version_id,
            encryption=description.encryption,
        )
        self._blocks: dict[int, bytes] = {}
        self._at = 0
        self._lock = threading.Lock()
        self.size = description.size
        self.limit = limit
        self.received = 0
        self.requests = 0
        self.failure: S3ConnError | None = None

    # A file

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; nothing is requested."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("a position is not negative")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer from here on, less at the end."""
        view = memoryview(buffer).cast("B")
        found = self.part(self._at, self._at + len(view))
        view[: len(found)] = found
        self._at += len(found)
        return len(found)

    # Ranges

    def part(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`, which may lie behind the end.

        Raises:
            BoundReachedError: it would exceed the limit; nothing was requested.
            S3ConnError: the object was changed, the answer was cut short, or the server cannot be reached.
        """
        start, stop = min(start, self.size), min(stop, self.size)
        self.prefetch([(start, stop)])
        first = start // BLOCK
        joined = b"".join(self._blocks[at] for at in range(first, -(-stop // BLOCK)))
        return joined[start - first * BLOCK : stop - first * BLOCK] if stop > start else b""

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Request what is not there yet of some ranges, neighbours together, several at once.

        Raises:
            BoundReachedError: it would exceed the limit; nothing was requested.
            S3ConnError: as for `part`.
        """
        missing = self._runs(ranges)
        if self.received + sum(stop - start for start, stop in missing) > self.limit:
            raise BoundReachedError
        if len(missing) <= 1:
            for one in missing:
                self._fetch(*one)
            return
        pool = ThreadPoolExecutor(min(_AT_ONCE, len(missing)), "s3conn-ranges")
        try:
            for done in [pool.submit(self._fetch, *one) for one in missing]:
                done.result()
        finally:
            # After an error or an interrupt nobody waits for the others.
            pool.shutdown(wait=False, cancel_futures=True)

    def missing(self, ranges: Iterable[tuple[int, int]]) -> set[int]:
        """Numbers of the blocks that would have to be received for some ranges."""
        wanted: set[int] = set()
        for start, stop in ranges:
            wanted.update(range(start // BLOCK, -(-min(stop, self.size) // BLOCK)))
        return wanted - self._blocks.keys()

    def _runs(self, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """What is not there of some ranges, neighbours together, as byte ranges of whole blocks."""
        runs: list[tuple[int, int]] = []
        for at in sorted(self.missing(ranges)):
            begin, end = at * BLOCK, min((at + 1) * BLOCK, self.size)
            if runs and runs[-1][1] == begin:
                begin = runs.pop()[0]
            runs.append((begin, end))
        return runs

    def _fetch(self, start: int, stop: int) -> None:
        with self._lock:
            self.requests += 1
        try:
            body = self._object.get(start, stop)
        except S3ConnError as error:
            self.failure = error
            raise
        with self._lock:
            self.received += len(body)
            for at in range(start, stop, BLOCK):
                self._blocks[at // BLOCK] = body[at - start : at - start + BLOCK]


__all__ = ["BLOCK", "BoundReachedError", "RangeReader"]
