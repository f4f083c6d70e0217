"""Ranged GETs of one object as it was first seen, what was received of it kept, for queries and previews alike.

PinnedObject    requests of one object, and no other in its place
RangedObject    the same within a query, each byte received once
RangeReader     the same as a file for a preview, with a bound
"""

from __future__ import annotations

import io
import threading
from bisect import bisect_right, insort
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError

from s3conn_magic.connections.faults import unreachable
from s3conn_magic.errors import AccessDeniedError, EndpointError, S3ConnError, StatementInterrupted
from s3conn_magic.locations import split_version, visible
from s3conn_magic.objects.formats import is_parquet
from s3conn_magic.objects.requests import answer_of, ask, awaited, begin, by_client, changed, etag_of, named
from s3conn_magic.objects.scope import BLOCKS, ObjectVersion, QueryScope
from s3conn_magic.runtime.background import run_in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.description import Description
    from s3conn_magic.objects.listed import Ahead
    from s3conn_magic.transport import Response

__all__ = ["BLOCK", "PART", "BoundReachedError", "RangeReader", "RangedObject"]

_PARTIAL, _REFUSED = 206, 300


def _no_stop() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class PinnedObject:
    """An object as it was when it was first seen.

    Attributes:
        connection: what it is read through.
        location: bucket and key.
        size: bytes.
        etag: without its quotes; empty where the server has none. Every request is made on this condition.
        last_modified: UTC, or None where the server does not say.
        version_id: the version to read, or None for the current one.
        encryption: as of `Description`, for the hint of a refusal.
    """

    connection: Connection = field(repr=False)
    location: Location
    size: int
    etag: str = ""
    last_modified: datetime | None = None
    version_id: str | None = None
    encryption: str = "none"

    def get(self, start: int, stop: int, *, tries: int = 1, stopped: Callable[[], bool] = _no_stop) -> bytes:
        """The bytes from `start` to `stop`, neither behind the end.

        Args:
            start: first byte.
            stop: behind the last byte.
            tries: how often a body that ends early is asked for, where it comes by a client; refusals have its tries.
            stopped: whether nobody wants the rest any more.

        Raises:
            S3ConnError: the object was changed, the answer was cut short, or the server cannot be reached.
        """
        if (sent := self.begin(start, stop)) is not None:
            return self.body_of(awaited(self.connection, self.location, sent), start, stop)
        failure: S3ConnError | None = None
        for _ in range(tries):
            body, failure = self._once(start, stop)
            if failure is None or stopped():
                break
        if failure is not None:
            raise failure
        return body

    @property
    def source(self) -> Location:
        """The bucket and key that are asked for: without a version's `?versionId=…`, which names it."""
        named_so = split_version(self.location) if self.version_id else None
        return named_so.location if named_so and named_so.version == self.version_id else self.location

    def version(self) -> ObjectVersion | None:
        """What its bytes are kept as for other queries; None where its etag does not tell them from others."""
        if not self.etag or self.etag.startswith("W/"):
            return None
        owner = self.connection.kept_by(BLOCKS.forget)
        second = int(self.last_modified.timestamp()) if self.last_modified else None
        return ObjectVersion(owner, self.location, self.etag, self.version_id, self.size, second)

    @property
    def window(self) -> int:
        """How many requests of its bucket are worth having under way."""
        return self.connection.exchange(self.location.bucket).window

    def begin(self, start: int, stop: int) -> Future[Response] | None:
        """Ask for the bytes, and do not wait; None where they come by a client.

        Raises:
            S3ConnError: the request cannot be signed.
        """
        which, size = self._which(start, stop), stop - start
        return begin(self.connection, self.source, "get_object", size=size, least=size, **which)

    def body_of(self, response: Response, start: int, stop: int) -> bytes:
        """The bytes that an answer has.

        Raises:
            S3ConnError: it is a refusal, of another object or part, or was cut short in all of the tries.
        """
        with self._noting_keys():
            answer = answer_of(self.connection, self.source, "get_object", response, version=self.version_id)
        self._check(answer, start, stop)
        if len(response.body) < stop - start:
            raise self._cut(len(response.body), stop - start)
        return response.body

    def stream(self, start: int) -> Iterator[bytes]:
        """The bytes from `start` on, as they come by one request; where it breaks, the rest in parts."""
        with self._noting_keys():
            answer = by_client(self.connection, self.location, "get_object", **self._which(start, self.size))
        with closing(answer["Body"]) as body:
            self._check(answer, start, self.size)
            while start < self.size and (piece := received(body, min(_WHOLE, self.size - start))[0]):
                start += len(piece)
                yield piece
        while start < self.size:
            yield self.get(start, min(start + PART, self.size), tries=_TRIES)
            start += PART

    def _once(self, start: int, stop: int) -> tuple[bytes, S3ConnError | None]:
        """The body, or why it did not come whole."""
        with self._noting_keys():
            answer = ask(self.connection, self.source, "get_object", **self._which(start, stop))
        stream = answer["Body"]
        try:
            self._check(answer, start, stop)
            body, failure = received(stream, stop - start)
        finally:
            stream.close()
        if failure is not None:
            failure.of(visible(self.location.uri))
        return body, failure or (self._cut(len(body), stop - start) if len(body) < stop - start else None)

    def _cut(self, came: int, wanted: int) -> EndpointError:
        message = f"an answer was cut short: {came:,} of {wanted:,} bytes came"
        return EndpointError(message, hint="Run the statement again.")

    def _which(self, start: int, stop: int) -> dict[str, str]:
        condition = {"IfMatch": f'"{self.etag}"'} if self.etag else {}
        return {"Range": f"bytes={start}-{stop - 1}", **condition, **named(self.source, self.version_id)}

    @contextmanager
    def _noting_keys(self) -> Iterator[None]:
        try:
            yield
        except AccessDeniedError as error:
            if "KMS" in self.encryption:
                error.notes = (f"It is encrypted by {self.encryption}: kms:Decrypt on that key is needed, too.",)
            raise

    def _check(self, answer: Mapping[str, Any], start: int, stop: int) -> None:
        """Refuse an answer about another object, or another part of this one."""
        etag = etag_of(answer)
        if self.etag and etag and etag != self.etag:
            raise changed(self.location)
        # Some servers give a range under the status 200: what the header says counts.
        said = str(answer.get("ContentRange", ""))
        if said == f"bytes {start}-{stop - 1}/{self.size}":
            return
        if said.rpartition("/")[2] not in {"", "*", str(self.size)}:
            raise changed(self.location)
        partial_said = said or answer["ResponseMetadata"]["HTTPStatusCode"] == _PARTIAL
        # Sent in chunks it has no length: its etag says that it is this object then.
        if partial_said or start or answer.get("ContentLength", self.size if etag else None) != self.size:
            raise EndpointError(
                f"the server does not give ranges of {visible(self.location.uri)}",
                hint="Something between here and S3 may drop the Range header.",
            )
        # It is the whole of it, with what was asked for at its beginning.


def received(stream: Any, count: int) -> tuple[bytes, EndpointError | None]:
    """At most `count` bytes of a body, or why they did not come."""
    try:
        return bytes(stream.read(count)), None
    except (BotoCoreError, OSError) as error:
        return b"", unreachable(error)


PART = 8 * 1024 * 1024
"""Bytes of one request when a large range is asked for by several at once."""
_WHOLE, _FOOTER = 1024 * 1024, 64 * 1024
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
        scope: the query, whose budget of memory all its objects share.
        tries: how often a body that ends early is asked for.
        outlives: whether what is received may be kept for other queries.

    Attributes:
        listed: what it was listed with, and where it stands among these.
    """

    def __init__(self, pinned: PinnedObject, scope: QueryScope, *, tries: int = _TRIES, outlives: bool = True) -> None:
        self.pinned = pinned
        self.listed: tuple[Ahead, int] | None = None
        self._version = pinned.version() if outlives else None
        self._recalled = self._version is None
        self._scope = scope
        self._tries = tries
        self._starts: list[int] = []
        self._segments: dict[int, _Segment] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self.pinned.size

    @property
    def likely(self) -> tuple[int, int]:
        """The range that is read first, as a rule: all of a small object, the footer of Parquet, or a beginning."""
        if self.size <= _WHOLE:
            return 0, self.size
        return (self.size - _FOOTER, self.size) if is_parquet(self.pinned.location.key) else (0, _WHOLE)

    @property
    def window(self) -> int:
        """How many requests are worth having under way."""
        return self.pinned.window

    def opened(self) -> None:
        """Note that it is about to be read: that is asked for, and what is listed behind it."""
        if self.likely != (0, _WHOLE):  # of a large text a few bytes may do
            self.prefetch([self.likely])
        if self.listed is not None:
            ahead, at = self.listed
            ahead.opened(at)

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
            self._scope.failed(error)
            raise

    def keep(self, start: int, data: bytes) -> None:
        """Take bytes that came another way."""
        with self._lock:
            self._fill(start, data)
        self._outlive(start, data)

    def _fill(self, start: int, data: bytes) -> None:
        """Take what is missing of some bytes: segments do not overlap."""
        for low, high in _missing(self._overlapping(start, start + len(data)), start, start + len(data)):
            done: Future[bytes] = Future()
            done.set_result(data if high - low == len(data) else data[low - start : high - start])
            self._add(_Segment(low, high, done))

    def _outlive(self, start: int, data: bytes) -> None:
        if self._version is not None and (most := self.pinned.connection.timeouts().cache):
            BLOCKS.put(self._version, start, data, most)

    def _recall(self) -> None:
        """Take what other queries have received of the same object."""
        self._recalled = True
        if self._version is not None and self.pinned.connection.timeouts().cache:
            for start, data in BLOCKS.of(self._version):
                self._fill(start, data)

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Ask for ranges, and do not wait."""
        for start, stop in ranges:
            if start < (end := min(stop, self.size)):
                self._wanted(start, end, end, here=False)

    def load(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Have ranges here, several of them asked for at once.

        Raises:
            S3ConnError, StatementInterrupted: as of `read`.
        """
        segments = [
            segment for start, stop in ranges for segment in self._wanted(start, stop, stop, here=len(ranges) == 1)
        ]
        try:
            for segment in segments:
                self._scope.wait(segment.data)
        except S3ConnError as error:
            self._scope.failed(error)
            raise

    def has(self, start: int, stop: int) -> bool:
        """Whether all of a range is here, or under way."""
        with self._lock:
            return not _missing(self._overlapping(start, stop), start, stop)

    # What is there, and what is asked for

    def _wanted(self, start: int, stop: int, ahead_to: int, *, here: bool = True) -> list[_Segment]:
        """The segments that cover a range; what is missing is asked for, the first of it in this thread."""
        self._scope.check()
        with self._lock:
            there = self._overlapping(start, ahead_to)
            added = [_Segment(low, high, Future()) for low, high in _missing(there, start, ahead_to)]
            for segment in added:
                self._add(segment)
        for segment in added[1:]:
            self._ask(segment)
        if added:
            self._ask(added[0], here=here and added[0].start < stop)
        covering = [segment for segment in (*there, *added) if segment.start < stop]
        return sorted(covering, key=lambda segment: segment.start)

    def _overlapping(self, start: int, stop: int) -> list[_Segment]:
        if not self._recalled:
            self._recall()
        at = max(0, bisect_right(self._starts, start) - 1)
        segments = []
        while at < len(self._starts) and self._starts[at] < stop:
            segment = self._segments[self._starts[at]]
            if segment.stop > start:
                segments.append(segment)
                self._scope.touch(id(self), segment.start)
            at += 1
        return segments

    def _add(self, segment: _Segment) -> None:
        if segment.start in self._segments:
            return
        insort(self._starts, segment.start)
        self._segments[segment.start] = segment

    def _drop(self, segment: _Segment) -> None:
        with self._lock:
            if self._segments.get(segment.start) is segment:
                del self._segments[segment.start]
                self._starts.remove(segment.start)

    def _ask(self, segment: _Segment, *, here: bool = False) -> None:
        """Ask for a range and do not wait, unless a client does so `here`, in this thread."""
        try:
            sent = self._scope.sent(lambda: self.pinned.begin(segment.start, segment.stop))
            if sent is not None:
                self._scope.count(1, 0)
                sent.add_done_callback(partial(self._came, segment))
            elif not here:
                self._scope.submit(partial(self._fetch, segment))
        except S3ConnError as error:  # the query was stopped, or is over
            self._lost(segment, error)
        else:
            if sent is None and here:
                self._fetch(segment)

    def _came(self, segment: _Segment, sent: Future[Response]) -> None:
        """Take an answer, in the thread that it came to; what it refuses is looked into in another."""
        response = sent.result() if not sent.cancelled() and sent.exception() is None else None
        if response is not None and response.status < _REFUSED:
            self._take(segment, response)
        elif sent.cancelled():
            self._lost(segment, StatementInterrupted("the query was stopped"))
        else:
            run_in_background(partial(self._refused, segment, sent), name="s3conn-query")

    def _take(self, segment: _Segment, response: Response) -> None:
        try:
            self._arrived(segment, self.pinned.body_of(response, segment.start, segment.stop))
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits for it
            self._lost(segment, error)

    def _refused(self, segment: _Segment, sent: Future[Response]) -> None:
        try:
            self._take(segment, awaited(self.pinned.connection, self.pinned.location, sent))
        except BaseException as error:  # noqa: BLE001 - as in `_take`
            self._lost(segment, error)

    def _lost(self, segment: _Segment, error: BaseException) -> None:
        self._drop(segment)
        segment.data.set_exception(error)

    def _arrived(self, segment: _Segment, data: bytes) -> None:
        self._scope.count(0, len(data))
        segment.data.set_result(data)
        self._outlive(segment.start, data)
        self._scope.keep(id(self), segment.start, len(data), partial(self._drop, segment))

    def _fetch(self, segment: _Segment) -> bytes:
        try:
            self._scope.check()
            self._scope.count(1, 0)
            data = self.pinned.get(segment.start, segment.stop, tries=self._tries, stopped=lambda: self._scope.stopped)
        except BaseException as error:
            self._lost(segment, error)
            if isinstance(error, S3ConnError):
                return b""
            raise
        self._arrived(segment, data)
        return data

    def _joined(self, segments: Sequence[_Segment], start: int, stop: int) -> bytes:
        pieces = []
        for segment in segments:
            data = self._scope.wait(segment.data)
            whole = segment.start >= start and segment.stop <= stop
            pieces.append(data if whole else memoryview(data)[max(start - segment.start, 0) : stop - segment.start])
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], bytes) else b"".join(pieces)


def _missing(segments: Sequence[_Segment], start: int, stop: int) -> list[tuple[int, int]]:
    """Requests for what no segment covers."""
    ranges, at = [], start
    for segment in segments:
        ranges += _parts(at, segment.start)
        at = max(at, segment.stop)
    return ranges + _parts(at, stop)


def _parts(start: int, stop: int) -> list[tuple[int, int]]:
    """A range, cut into even parts when it is large."""
    if stop <= start:
        return []
    count = max(1, round((stop - start) / PART))
    return list(pairwise(start + (stop - start) * at // count for at in range(count + 1)))


BLOCK = 64 * 1024


class BoundReachedError(Exception):
    """More of the object would have to be read than was allowed; never leaves this layer."""


class RangeReader(io.RawIOBase):
    """An object as a file for a preview, which receives no more than a bound.

    What is asked for is widened to blocks of 64 KiB. Every request asks for the etag of the description, so that an
    object that is written meanwhile is noticed.

    Attributes:
        size: bytes of the object.
        limit: bytes that may be received in all.
    """

    def __init__(self, connection: Connection, location: Location, description: Description, *, limit: int) -> None:
        super().__init__()
        pinned = PinnedObject(
            connection,
            location,
            description.size,
            description.etag,
            version_id=description.version_id,
            encryption=description.encryption,
        )
        self._scope = QueryScope()
        self._object = RangedObject(pinned, self._scope, tries=1)
        self._at = 0
        self.size = description.size
        self.limit = limit

    @property
    def received(self) -> int:
        """Bytes of the object that came so far."""
        return self._scope.bytes

    @property
    def requests(self) -> int:
        """Ranged GETs so far."""
        return self._scope.requests

    @property
    def failure(self) -> S3ConnError | None:
        """The first error of a request, for callers whose library shows another in its place."""
        return self._scope.failure

    def end(self) -> None:
        """Give threads and memory back; libraries call `close` when they are done with it, too."""
        self._scope.close()

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
        data = self.part(self._at, self._at + len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    # Ranges

    def part(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`, which may lie behind the end.

        Raises:
            BoundReachedError: it would exceed the limit; nothing was requested.
            S3ConnError: the object was changed, the answer was cut short, or the server cannot be reached.
        """
        self.prefetch([(start, stop)])
        return self._object.read(start, stop)

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Request what is not there yet of some ranges, neighbours together, several at once.

        Raises:
            BoundReachedError: it would exceed the limit; nothing was requested.
            S3ConnError: as for `part`.
        """
        missing = self._runs(ranges)
        if self.received + sum(stop - start for start, stop in missing) > self.limit:
            raise BoundReachedError
        self._object.load(missing)

    def missing(self, ranges: Iterable[tuple[int, int]]) -> set[int]:
        """Numbers of the blocks that would have to be received for some ranges."""
        wanted: set[int] = set()
        for start, stop in ranges:
            wanted.update(range(start // BLOCK, -(-min(stop, self.size) // BLOCK)))
        return {at for at in wanted if not self._object.has(at * BLOCK, min((at + 1) * BLOCK, self.size))}

    def _runs(self, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """What is not there of some ranges, neighbours together, as byte ranges of whole blocks."""
        blocks = ((at * BLOCK, min((at + 1) * BLOCK, self.size)) for at in self.missing(ranges))
        return coalesced([*blocks], 0)


def coalesced(ranges: Sequence[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Ranges in order, those together that lie no more than `gap` bytes apart."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1] + gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
