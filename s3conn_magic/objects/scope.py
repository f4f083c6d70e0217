"""The scope of a query: pinned objects, counts, and cancellation."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import S3ConnError, StatementInterrupted
from s3conn_magic.runtime.background import LightFuture, new_lock, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from s3conn_magic.listing import Listing
    from s3conn_magic.locations import Location
    from s3conn_magic.transport import Response

AT_ONCE = 32
"""Most ranged GETs of one query under way, if boto3 clients send them."""
KEPT = 256 * 1024 * 1024
"""Bytes of objects that a query caches, so that repeated reads are received once."""


UNPACKED = "unpacked://"
"""Replaces `s3://` for objects whose decoded content the engine reads, as a gzip file.

DuckDB requires the exact size of remote files, which is unknown before decoding.
"""


class AsPlain(NamedTuple):
    """How to decode an object: the arguments of `objects.unpacking.unpacked`; `last` is for DuckDB's reader of CSV."""

    compression: str | None
    encoding: str
    closing: bytes = b""
    skip: int = 0
    comment: bytes = b""
    last: int = 0


class ObjectVersion(NamedTuple):
    """Key of cached bytes; only for objects that cannot change under it.

    Attributes:
        owner: token of the connection's state; it changes with the connection.
        location: bucket and key.
        etag: without quotes; never empty or weak.
        version_id: requested version, or None for the current one.
        size: bytes.
        second: modification time in whole seconds, or None.
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
    """Bytes of objects cached in memory across queries; least recently used ones are evicted first.

    Pieces above 1 MiB, as in large scans, are cached at their second use. Each connection passes the total bound with
    each call.
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
        """Hold the lock; evicted files are deleted after its release, because that is slow."""
        with self._lock:
            yield
            dropped, self._dropped = self._dropped, []
        for copies in dropped:
            copies.close()

    def put(self, version: ObjectVersion, start: int, data: bytes, most: int) -> None:
        """Cache bytes."""
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
        """Return the cached bytes of an object, with offsets."""
        with self._lock:
            blocks = sorted(self._of.get(version, {}).items())
            for start, _ in blocks:
                self._order.move_to_end((version, start))
        return blocks

    def files(self, key: _Several) -> Any:
        """Return the cached `Copies` of objects, which the caller must mark as used, or None."""
        with self._lock:
            if (copies := self._files.get(key)) is not None:
                self._files.move_to_end(key)
        return copies

    def keep_files(self, key: _Several, copies: Any, most: int) -> None:
        """Cache the `Copies` of objects, which are evicted before bytes and then closed."""
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
        """Return whether anything of an object, in any version, is cached."""
        with self._lock:
            return self._names[owner, location] > 0

    def shrink(self, most: int) -> None:
        """Evict down to a number of bytes."""
        with self._removing():
            self._shrink(most)

    def forget(self, owner: object) -> None:
        """Evict everything of a connection's former state."""
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
    """The reads of one query; thread-safe.

    Attributes:
        requests: requests about objects, and of listings, so far.
        bytes: bytes received so far.
        failure: first error of a request, for engines that replace it.
        objects: `RangedObject` by connection and location.
        named: those that a pattern matched, by name.
        unpacked: how to decode objects opened by `UNPACKED`, by connection and location.
        by_content: whether a name does not tell that a file is Parquet.
        wide: whether there is room for records of more than 16 MiB of text.
        all_records: whether types are determined by all records, not only the first.
        globs: matches of patterns, as `ListedEntry`.
        connections: names of the connections used.
        loose: whether files of lake tables may be read like others, since that was checked before.
        missing: error for a missing object, when the engine looked for files and found none.
        notes: for the user, for example about what was left out.
        checks: called after reading; each may have the query run again with all records.
        text: of the query, if it determines all reads.
        watermarks: of the running job, if it reads tables in S3 incrementally.
        copies: `Copies` by a pattern's path; None if there can be none.
    """

    def __init__(self) -> None:
        self.requests = self.bytes = 0
        self.failure: S3ConnError | None = None
        self.missing: S3ConnError | None = None
        self.loose = False
        self.objects: dict[tuple[str, Location], Any] = {}
        self.named: dict[str, Any] = {}
        self.unpacked: dict[tuple[str, Location], AsPlain] = {}
        self.all_records = self.wide = self.by_content = False
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
        self._under_way: list[Sequence[LightFuture[Response]]] = []
        self._pool: ThreadPoolExecutor | None = None

    def count(self, requests: int, received: int) -> None:
        """Add to the counts."""
        with self._lock:
            self.requests += requests
            self.bytes += received

    def asked(self, requests: int) -> None:
        """Count requests for metadata."""
        self.count(requests, 0)

    def failed(self, error: S3ConnError) -> None:
        """Record the first error."""
        with self._lock:
            self.failure = self.failure or error

    def note(self, text: str) -> None:
        """Add a note for the user, once."""
        with self._lock:
            if text not in self.notes:
                self.notes.append(text)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Record an error of a block and raise it: an engine may replace its message."""
        try:
            yield
        except S3ConnError as error:
            self.failed(error)
            raise

    # Cancellation

    @property
    def stopped(self) -> bool:
        """Whether the query was stopped."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Cancel current and future reads."""
        self._stop.set()
        for listing in list(self._listings):
            listing.cancel()
        self.close()

    def check(self) -> None:
        """Check whether the query was stopped.

        Raises:
            StatementInterrupted: it was.
        """
        if self.stopped:
            raise StatementInterrupted("the query was stopped")

    def during(self, listing: Listing) -> Listing:
        """Cancel a listing when the query is stopped."""
        self._listings.add(listing)
        return listing

    def listed(self, listing: Listing) -> None:
        """Count the requests of a finished listing."""
        self._listings.discard(listing)
        self.count(listing.progress.requests, listing.progress.received)

    # Concurrent requests

    def sending(self, futures: Sequence[LightFuture[Response]]) -> None:
        """Make requests that are about to be sent end with the query.

        Raises:
            StatementInterrupted: the query was stopped, or has ended.
        """
        self.check()
        with self._lock:
            if self._over:
                raise StatementInterrupted("the query is over")
            self._under_way = [several for several in self._under_way if not all(each.done() for each in several)]
            self._under_way.append(futures)

    def submit(self, call: Callable[[], bytes]) -> Future[bytes]:
        """Run a request in the background."""
        self.check()
        with self._lock:
            if self._over:
                raise StatementInterrupted("the query is over")
            if self._pool is None:
                from s3conn_magic.connections.signing import at_once

                self._pool = ThreadPoolExecutor(at_once(AT_ONCE), "s3conn-query")
            return self._pool.submit(call)

    def each(self, step: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Return the results of a step for each item, run concurrently; the first error ends it.

        Raises:
            Exception: of a step, after all have ended.
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

    def wait(self, future: Future[bytes] | LightFuture[bytes]) -> bytes:
        """Return the result of a request.

        Raises:
            StatementInterrupted: the query was stopped meanwhile.
            S3ConnError: the request failed.
        """
        return wait_for(future, every=self.check)

    def close(self) -> None:
        """Release threads and memory; pending requests are abandoned."""
        with self._lock:
            pool, self._pool, self._over = self._pool, None, True
            self._kept.clear()
            under_way, self._under_way = self._under_way, []
        for several in under_way:
            for sent in several:
                sent.cancel()
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        while self.copies:
            if (copies := self.copies.popitem()[1]) is not None:
                copies.close()

    # Memory

    def keep(self, owner: int, start: int, size: int, drop: Callable[[], None]) -> None:
        """Count cached bytes of an object, and drop the oldest beyond `KEPT`."""
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
        """Mark cached bytes as used."""
        with self._lock:
            if (owner, start) in self._kept:
                self._kept.move_to_end((owner, start))
