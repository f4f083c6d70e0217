"""What one query reads: objects that stay the same for its length, what came of them, and how it is stopped."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import S3ConnError, StatementInterrupted
from s3conn_magic.runtime.background import new_lock, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from s3conn_magic.listing import Listing
    from s3conn_magic.locations import Location
    from s3conn_magic.transport import Response

AT_ONCE = 32
"""Most ranged GETs of one query under way, where a client sends them."""
KEPT = 256 * 1024 * 1024
"""Bytes of objects that a query keeps, so that what is read twice is received once."""


UNPACKED = "unpacked://"
"""In place of `s3://`, for objects of which a query's engine is to read the plain content, as a gzip file.

DuckDB wants the exact size of what it knows to be remote, which is not known of this before it is read.
"""


class AsPlain(NamedTuple):
    """How the plain content of an object is had: the arguments of `objects.unpacking.unpacked`."""

    compression: str | None
    encoding: str
    closing: bytes = b""
    skip: int = 0
    comment: bytes = b""


class ObjectVersion(NamedTuple):
    """What bytes are of: the same name for other bytes is impossible, or they are not kept.

    Attributes:
        owner: stands for the connection as it is; another one after each change of it.
        location: bucket and key.
        etag: without its quotes; never empty or weak.
        version_id: the version that was asked for, or None for the current one.
        size: bytes.
        second: when it was written, in whole seconds; None where that is not known.
    """

    owner: object
    location: Location
    etag: str
    version_id: str | None
    size: int
    second: int | None


_Several = tuple[tuple[str, ObjectVersion], ...]
_SMALL = 1024 * 1024
_REMEMBERED = 100_000


class Blocks:
    """Bytes of objects that outlive a query, in memory; those that were not used for the longest time go first.

    What is larger than 1 MiB, as parts of a large scan are, is kept from the second time on. Each connection says at
    each call how many bytes may be kept in all.
    """

    def __init__(self) -> None:
        self._lock = new_lock()
        self._of: dict[ObjectVersion, dict[int, bytes]] = {}
        self._order: OrderedDict[tuple[ObjectVersion, int], None] = OrderedDict()
        self._once: OrderedDict[tuple[ObjectVersion, int], None] = OrderedDict()
        self._names: Counter[tuple[object, Location]] = Counter()
        self._files: OrderedDict[_Several, Any] = OrderedDict()
        self._dropped: list[Any] = []
        self.held = 0

    @contextmanager
    def _removing(self) -> Iterator[None]:
        """Hold the lock; files that are let go of meanwhile are removed when it is free again, for it takes a while."""
        with self._lock:
            yield
            dropped, self._dropped = self._dropped, []
        for copies in dropped:
            copies.close()

    def put(self, version: ObjectVersion, start: int, data: bytes, most: int) -> None:
        """Keep bytes."""
        block = version, start
        with self._removing():
            if len(data) > _SMALL and block not in self._once:
                self._once[block] = None
                if len(self._once) > _REMEMBERED:
                    self._once.popitem(last=False)
                return
            if len(self._of.get(version, {}).get(start, b"")) >= len(data) or len(data) > most:
                return
            self._drop(block)
            self._of.setdefault(version, {})[start] = data
            self._order[block] = None
            self._names[version.owner, version.location] += 1
            self.held += len(data)
            self._shrink(most)

    def of(self, version: ObjectVersion) -> list[tuple[int, bytes]]:
        """What is kept of an object, by where it begins."""
        with self._lock:
            blocks = sorted(self._of.get(version, {}).items())
            for start, _ in blocks:
                self._order.move_to_end((version, start))
        return blocks

    def files(self, key: _Several) -> Any:
        """The `Copies` of several objects, whose caller says that it uses them; None where there are none."""
        with self._lock:
            if (copies := self._files.get(key)) is not None:
                self._files.move_to_end(key)
        return copies

    def keep_files(self, key: _Several, copies: Any, most: int) -> None:
        """Keep the `Copies` of several objects, which go before bytes do; they are closed then."""
        with self._removing():
            self._drop_files(key)
            self._files[key] = copies
            self.held += copies.size
            self._shrink(most)

    def _drop_files(self, key: _Several) -> None:
        if (copies := self._files.pop(key, None)) is not None:
            self.held -= copies.size
            self._dropped.append(copies)

    def knows(self, owner: object, location: Location) -> bool:
        """Whether anything is kept of an object, as it is or was."""
        with self._lock:
            return self._names[owner, location] > 0

    def shrink(self, most: int) -> None:
        """Let go of what is more than so many bytes."""
        with self._removing():
            self._shrink(most)

    def forget(self, owner: object) -> None:
        """Let go of all that came by a connection as it was."""
        with self._removing():
            for block in [block for block in self._order if block[0].owner is owner]:
                self._drop(block)
            for key in [key for key in self._files if any(version.owner is owner for _, version in key)]:
                self._drop_files(key)

    def _shrink(self, most: int) -> None:
        while self.held > most:
            if self._files:
                self._drop_files(next(iter(self._files)))
            else:
                self._drop(next(iter(self._order)))

    def _drop(self, block: tuple[ObjectVersion, int]) -> None:
        version, start = block
        if block in self._order:
            del self._order[block]
            self.held -= len(self._of[version].pop(start))
            if not self._of[version]:
                del self._of[version]
            self._names[version.owner, version.location] -= 1
            if not self._names[version.owner, version.location]:
                del self._names[version.owner, version.location]


BLOCKS = Blocks()


class QueryScope:
    """The reads of one query. All members may be used from any thread.

    Attributes:
        requests: requests about objects, and of listings, so far.
        bytes: bytes of bodies that came so far.
        failure: the first error of a request, for callers whose engine shows another instead.
        objects: those that were seen, a `RangedObject` by connection and location.
        named: those among them that a pattern matched, by the name that it gave.
        unpacked: how the plain content is had of objects that are opened by `UNPACKED`, by connection and location.
        all_records: whether types of text are told by all records, and not by the first.
        globs: what patterns matched, as `ListedEntry`.
        connections: names of the connections that were used.
        loose: whether files of lake tables may be read as any others, since that was looked at before.
        missing: the error for an object that is not there, where the engine looked for files and found none.
        notes: what to say of the query beside its result, such as what it has left out.
        checks: what is done when it has read what it wants; each may have it run again, by all records.
        text: of the query, where it says all that is asked of its objects.
        watermarks: of the job whose run it is, where that reads tables in S3 from where its last one ended.
        copies: `Copies` of objects that a pattern has matched, by the pattern's path; None where there can be none.
    """

    def __init__(self) -> None:
        self.requests = self.bytes = 0
        self.failure: S3ConnError | None = None
        self.missing: S3ConnError | None = None
        self.loose = False
        self.objects: dict[tuple[str, Location], Any] = {}
        self.named: dict[str, Any] = {}
        self.unpacked: dict[tuple[str, Location], AsPlain] = {}
        self.all_records = False
        self.globs: dict[str, Sequence[Any]] = {}
        self.connections: set[str] = set()
        self.notes: list[str] = []
        self.checks: list[Callable[[], None]] = []
        self.text = ""
        self.copies: dict[str, Any] = {}
        self.watermarks: Any = None
        self._kept: OrderedDict[tuple[int, int], tuple[int, Callable[[], None]]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._over = False
        self._listings: set[Listing] = set()
        self._under_way: set[Future[Response]] = set()
        self._pool: ThreadPoolExecutor | None = None

    def count(self, requests: int, received: int) -> None:
        """Add to the counts."""
        with self._lock:
            self.requests += requests
            self.bytes += received

    def asked(self, requests: int) -> None:
        """Count requests whose answers tell only where things are."""
        self.count(requests, 0)

    def failed(self, error: S3ConnError) -> None:
        """Note the first error."""
        with self._lock:
            self.failure = self.failure or error

    def note(self, text: str) -> None:
        """Have something said beside the result, once."""
        with self._lock:
            if text not in self.notes:
                self.notes.append(text)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note the error of a block, which goes on: an engine would show its own words instead."""
        try:
            yield
        except S3ConnError as error:
            self.failed(error)
            raise

    # Stopping

    @property
    def stopped(self) -> bool:
        """Whether the query was stopped."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End every read that is under way, or begins later."""
        self._stop.set()
        for listing in list(self._listings):
            listing.cancel()
        self.close()

    def check(self) -> None:
        """Raise when the query was stopped.

        Raises:
            StatementInterrupted: it was.
        """
        if self.stopped:
            raise StatementInterrupted("the query was stopped")

    def during(self, listing: Listing) -> Listing:
        """Have a listing cancelled when the query is stopped."""
        self._listings.add(listing)
        return listing

    def listed(self, listing: Listing) -> None:
        """Count the requests of a listing that is over."""
        self._listings.discard(listing)
        self.count(listing.progress.requests, listing.progress.received)

    # Requests at once

    def sent(self, send: Callable[[], Sequence[Future[Response]]]) -> Sequence[Future[Response]]:
        """Send requests that end when the query does.

        Raises:
            StatementInterrupted: the query was stopped, or is over.
            S3ConnError: as `send`.
        """
        self.check()
        if self._over:
            raise StatementInterrupted("the query is over")
        sent = send()
        with self._lock:
            self._under_way.update(sent)
        for each in sent:
            each.add_done_callback(self._arrived)
            if self._over:  # since a moment ago
                each.cancel()
        return sent

    def _arrived(self, sent: Future[Response]) -> None:
        with self._lock:
            self._under_way.discard(sent)

    def submit(self, call: Callable[[], bytes]) -> Future[bytes]:
        """Run a request in the background."""
        self.check()
        with self._lock:
            if self._over:
                raise StatementInterrupted("the query is over")
            if self._pool is None:
                self._pool = ThreadPoolExecutor(AT_ONCE, "s3conn-query")
            return self._pool.submit(call)

    def each(self, step: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """What a step gives for each, many at a time, and nothing but these in the query; the first error ends it.

        Raises:
            Exception: of a step, when none is under way any more.
        """
        items = list(items)
        if len(items) == 1:
            return [step(items[0])]
        under_way = [self.submit(partial(step, item)) for item in items]
        try:
            return [self.wait(each) for each in under_way]
        except Exception:
            self.close()
            wait(under_way)
            raise
        finally:
            self.close()

    def wait(self, future: Future[bytes]) -> bytes:
        """What a request gave.

        Raises:
            StatementInterrupted: the query was stopped meanwhile.
            S3ConnError: the request failed.
        """
        return wait_for(future, every=self.check)

    def close(self) -> None:
        """Give threads and memory back; nobody waits for what is under way."""
        with self._lock:
            pool, self._pool, self._over = self._pool, None, True
            self._kept.clear()
            under_way = list(self._under_way)
        for sent in under_way:
            sent.cancel()
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        while self.copies:
            if (copies := self.copies.popitem()[1]) is not None:
                copies.close()

    # Memory

    def keep(self, owner: int, start: int, size: int, drop: Callable[[], None]) -> None:
        """Count bytes that an object keeps, and have the oldest dropped beyond `KEPT`."""
        dropped = []
        with self._lock:
            self._kept[owner, start] = (size, drop)
            self._held += size
            while self._held > KEPT and len(self._kept) > 1:
                _, (less, oldest) = self._kept.popitem(last=False)
                self._held -= less
                dropped.append(oldest)
        for drop_oldest in dropped:
            drop_oldest()

    def touch(self, owner: int, start: int) -> None:
        """Note that kept bytes were used."""
        with self._lock:
            if (owner, start) in self._kept:
                self._kept.move_to_end((owner, start))
