"""Data files on their way to the disk: parts by several requests at once, compared with the manifest."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING

from s3conn_magic.errors import InventoryError, StatementInterrupted
from s3conn_magic.locations import visible
from s3conn_magic.objects.ranged import Pinned, etag_of
from s3conn_magic.objects.requests import head_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from typing import BinaryIO

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.inventory.manifest import DataFile

PART = 8 * 1024 * 1024
"""Bytes of one request; the last one of a file is for less."""
_AHEAD, _TRIES = 4, 4
_AGAIN = "It was changed, or is being written: read another report."


@dataclass
class Counts:
    """What the downloads of one statement took so far."""

    requests: int = 0
    received: int = 0
    began: float = 0.0


class Downloads:
    """Data files of one statement. All members may be used from any thread.

    Args:
        connection: what they are read through.
        at_once: most requests under way.
    """

    def __init__(self, connection: Connection, at_once: int) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(at_once, "s3conn-inventory-parts")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.counts = Counts(began=time.monotonic())

    def stop(self) -> None:
        """End what is under way; nobody waits for it."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def fetch(self, file: DataFile, into: BinaryIO) -> None:
        """Write a data file's bytes.

        Raises:
            InventoryError: it has another size or MD5 than the manifest says.
            StatementInterrupted: it was stopped.
            S3ConnError: it cannot be read.
        """
        digest = md5(usedforsecurity=False)
        for part in self._parts(file):
            digest.update(part)
            into.write(part)
        if file.md5 and digest.hexdigest() != file.md5:
            name = visible(file.location.uri)
            raise InventoryError(f"the data file {name} does not have the MD5 that the manifest says", hint=_AGAIN)

    def _parts(self, file: DataFile) -> Iterator[bytes]:
        """The bytes in order; a few parts ahead of the one that is waited for are under way."""
        pinned = self._pinned(file)
        under_way: deque[Future[bytes]] = deque()
        for start in range(0, file.size, PART):
            if len(under_way) == _AHEAD:
                yield under_way.popleft().result()
            self._check()
            under_way.append(self._pool.submit(self._part, pinned, start, min(start + PART, file.size)))
        while under_way:
            yield under_way.popleft().result()

    def _pinned(self, file: DataFile) -> Pinned:
        self._check()
        self._count(1, 0)
        answer = head_answer(self._connection, file.location, None)
        size = int(answer["ContentLength"])
        if size != file.size:
            name = visible(file.location.uri)
            told = f"{size:,} bytes, not the {file.size:,} that the manifest says"
            raise InventoryError(f"the data file {name} has {told}", hint=_AGAIN)
        return Pinned(self._connection, file.location, size, etag_of(answer))

    def _part(self, pinned: Pinned, start: int, stop: int) -> bytes:
        self._check()
        body = pinned.get(start, stop, tries=_TRIES, stopped=self._stop.is_set)
        self._count(1, len(body))
        return body

    def _count(self, requests: int, received: int) -> None:
        with self._lock:
            self.counts.requests += requests
            self.counts.received += received

    def _check(self) -> None:
        if self._stop.is_set():
            raise StatementInterrupted("the statement was stopped")
