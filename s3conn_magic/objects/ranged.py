"""Ranged GETs of one object as it was first seen, cached, for queries and previews.

PinnedObject    requests of one object, and no other in its place
RangedObject    the same within a query, each byte received once
"""

from __future__ import annotations

import io
import threading
from bisect import bisect_right, insort
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from s3conn_magic.connections.signing import at_once, etag_of, said_of
from s3conn_magic.errors import AccessDeniedError, EndpointError, S3ConnError, StatementInterrupted
from s3conn_magic.locations import split_version, visible
from s3conn_magic.objects.formats import is_parquet
from s3conn_magic.objects.requests import (
    answer_of,
    ask,
    awaited,
    by_client,
    cancelling,
    changed,
    named,
    received,
)
from s3conn_magic.objects.scope import BLOCKS, ObjectVersion, QueryScope
from s3conn_magic.runtime.background import LightFuture, run_in_background
from s3conn_magic.transport.exchange import ObjectRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location
    from s3conn_magic.transport import Response
    from s3conn_magic.transport.exchange import Exchange

__all__ = ["PART", "PinnedObject", "RangedObject", "ask_for", "save", "whole"]

_PARTIAL, _REFUSED = 206, 300
_GET = "GetObject"


@dataclass(frozen=True, slots=True)
class PinnedObject:
    """An object as it was first seen.

    Attributes:
        connection: the connection.
        location: bucket and key.
        size: bytes.
        etag: without quotes; empty if the server has none. Requests are conditional on it.
        last_modified: UTC, or None if unknown.
        version_id: version to read, or None for the current one.
        encryption: as in `Description`, for the hint of a refusal.
    """

    connection: Connection = field(repr=False)
    location: Location
    size: int
    etag: str = ""
    last_modified: datetime | None = None
    version_id: str | None = None
    encryption: str = "none"

    def get(self, start: int, stop: int, *, tries: int = 1, stopped: Callable[[], bool] = lambda: False) -> bytes:
        """Return the bytes from `start` to `stop`, both within the object.

        Args:
            start: first byte.
            stop: end, exclusive.
            tries: attempts for a truncated body from a boto3 client; the client retries refusals.
            stopped: returns whether the rest is no longer wanted.

        Raises:
            S3ConnError: the object was changed, the response was truncated, or the server cannot be reached.
        """
        begin, waiting = partial(self.begin, start, stop), partial(awaited, self.connection, self.location)
        if (answer := cancelling(lambda sent: waiting(sent) if begin(sent) else None)) is not None:
            return self.body_of(answer, start, stop)
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
        """Bucket and key to request, without a version's `?versionId=…`."""
        named_so = split_version(self.location) if self.version_id else None
        return named_so.location if named_so and named_so.version == self.version_id else self.location

    def version(self) -> ObjectVersion | None:
        """Cache key for other queries; None if the ETag does not identify the bytes."""
        if not self.etag or self.etag.startswith("W/"):
            return None
        owner = self.connection.kept_by(BLOCKS.forget)
        second = int(self.last_modified.timestamp()) if self.last_modified else None
        return ObjectVersion(owner, self.location, self.etag, self.version_id, self.size, second)

    @property
    def exchange(self) -> Exchange:
        """Sender of requests to its bucket."""
        return self.connection.exchange(self.location.bucket)

    def begin(self, start: int, stop: int, sent: LightFuture[Response]) -> bool:
        """Request bytes without waiting; return False if a boto3 client must do it. Cancelling `sent` ends it.

        Raises:
            S3ConnError: the request cannot be signed.
        """
        exchange = self.exchange
        if by_socket := not exchange.goes_by_client(_GET):
            exchange.send([self.request(start, stop)], [sent])
        return by_socket

    def request(self, start: int, stop: int) -> ObjectRequest:
        """Return the request for bytes."""
        condition, size = {"If-Match": f'"{self.etag}"'} if self.etag else {}, stop - start
        headers = {"Range": f"bytes={start}-{stop - 1}", **condition}
        return ObjectRequest(_GET, self.source.key, headers, self.version_id or "", size, size)

    def body_of(self, response: Response, start: int, stop: int) -> bytes:
        """Return the bytes in a response.

        Raises:
            S3ConnError: it is a refusal, of another object or range, or was truncated in all attempts.
        """
        if response.status >= _REFUSED:
            with self._noting_keys():
                answer_of(self.connection, self.source, "get_object", response, version=self.version_id)
        self._check(said_of(response), start, stop)
        if len(response.body) < stop - start:
            raise self._cut(len(response.body), stop - start)
        return response.body

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a range as they arrive by one request; if it breaks, the rest in parts."""
        with self._noting_keys():
            answer = by_client(self.connection, self.location, "get_object", **self._which(start, stop))
        with closing(answer["Body"]) as body:
            self._check(answer, start, stop)
            while start < stop and (piece := received(body, min(_WHOLE, stop - start))[0]):
                start += len(piece)
                yield piece
        while start < stop:
            yield self.get(start, min(start + PART, stop), tries=_TRIES)
            start += PART

    def _once(self, start: int, stop: int) -> tuple[bytes, S3ConnError | None]:
        """Return the body, and the error if it is incomplete."""
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

    def _cut(self, received: int, wanted: int) -> EndpointError:
        message = f"an answer was cut short: {received:,} of {wanted:,} bytes came"
        return EndpointError(message, hint="Run the statement again.")

    def _which(self, start: int, stop: int) -> dict[str, Any]:
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
        """Refuse a response about another object or range."""
        etag = etag_of(answer)
        if self.etag and etag and etag != self.etag:
            raise changed(self.location)
        # Some servers return a range with the status 200: the header counts.
        content_range = str(answer.get("ContentRange", ""))
        if content_range == f"bytes {start}-{stop - 1}/{self.size}":
            return
        if content_range.rpartition("/")[2] not in {"", "*", str(self.size)}:
            raise changed(self.location)
        partial_said = content_range or answer.get("ResponseMetadata", {}).get("HTTPStatusCode") == _PARTIAL
        # A chunked response has no length: then its ETag identifies it.
        if partial_said or start or answer.get("ContentLength", self.size if etag else None) != self.size:
            raise EndpointError(
                f"the server does not give ranges of {visible(self.location.uri)}",
                hint="Something between here and S3 may remove the Range header.",
            )
        # The whole object; what was requested is its beginning.


PART = 8 * 1024 * 1024
"""Size of each request when a large range is split."""
_WHOLE, _FOOTER = 1024 * 1024, 64 * 1024
_TRIES = 4


@dataclass(frozen=True, slots=True)
class _Segment:
    """A range that is received or requested."""

    start: int
    stop: int
    data: LightFuture[bytes]


class RangedObject:
    """One object for the length of a query.

    Args:
        pinned: as the query first saw it.
        scope: of the query, whose memory budget its objects share.
        tries: attempts for a truncated body.
        outlives: whether bytes may be cached for other queries.

    Attributes:
        listed: its listing, and its index there.
        version: cache key for other queries, or None.
        starts: offsets of requested parts.
        passing: whether it is read once sequentially, and what was read is dropped.
    """

    def __init__(self, pinned: PinnedObject, scope: QueryScope, *, tries: int = _TRIES, outlives: bool = True) -> None:
        self.pinned = pinned
        self.listed: tuple[Any, int] | None = None
        self.version = pinned.version() if outlives else None
        self.passing = False
        self._recalled = self.version is None
        self._scope = scope
        self._tries = tries
        self.starts: list[int] = []
        self._segments: dict[int, _Segment] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self.pinned.size

    @property
    def likely(self) -> tuple[int, int]:
        """The range that is usually read first: all of a small object, the footer of Parquet, or a beginning."""
        if self.size <= _WHOLE:
            return 0, self.size
        return (self.size - _FOOTER, self.size) if is_parquet(self.pinned.location.key) else (0, _WHOLE)

    @property
    def window(self) -> int:
        """Most useful number of concurrent requests."""
        return self.pinned.exchange.window

    def opened(self) -> None:
        """Prefetch it and the following objects of its listing, since it will be read."""
        if self.likely != (0, _WHOLE):  # of a large text, a few bytes may do
            self.prefetch([self.likely])
        if self.listed is not None:
            ahead, at = self.listed
            ahead.opened(at)

    def read(self, start: int, stop: int, *, ahead_to: int = 0) -> bytes:
        """Return the bytes of `pieces` as one."""
        pieces = [*self.pieces(start, stop, ahead_to=ahead_to)]
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], bytes) else b"".join(pieces)

    def pieces(self, start: int, stop: int, *, ahead_to: int = 0) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` to `stop`, fewer past the end, as they are cached.

        Args:
            start: first byte.
            stop: end, exclusive.
            ahead_to: end of a prefetch for the next read.

        Raises:
            S3ConnError: the object was changed, or cannot be read.
            StatementInterrupted: the query was stopped.
        """
        start, stop = min(start, self.size), min(stop, self.size)
        try:
            for segment in self._wanted(start, stop, min(max(stop, ahead_to), self.size)) if start < stop else ():
                data = self._scope.wait(segment.data)
                whole = segment.start >= start and segment.stop <= stop
                yield data if whole else memoryview(data)[max(start - segment.start, 0) : stop - segment.start]
                if self.passing and segment.stop <= stop:
                    self._drop(segment)
        except S3ConnError as error:
            self._scope.failed(error)
            raise

    def keep(self, start: int, data: bytes) -> None:
        """Add bytes received elsewhere."""
        with self._lock:
            self._fill(start, data)
        self._outlive(start, data)

    def _fill(self, start: int, data: bytes) -> None:
        """Add the missing parts of bytes: segments do not overlap."""
        for low, high in _missing(self._overlapping(start, start + len(data)), start, start + len(data)):
            done: LightFuture[bytes] = LightFuture()
            done.set_result(data if high - low == len(data) else data[low - start : high - start])
            self._add(_Segment(low, high, done))

    def _outlive(self, start: int, data: bytes) -> None:
        if self.version is not None and (most := self.pinned.connection.timeouts().cache):
            BLOCKS.put(self.version, start, data, most)

    def _recall(self) -> None:
        """Add what other queries have cached of the same object."""
        self._recalled = True
        if self.version is not None and self.pinned.connection.timeouts().cache:
            for start, data in BLOCKS.of(self.version):
                self._fill(start, data)

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Request ranges without waiting."""
        ask_for([(self, ranges)])

    def load(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Receive ranges, several at once.

        Raises:
            S3ConnError, StatementInterrupted: as in `read`.
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
        """Return whether a whole range is received or requested."""
        with self._lock:
            return not _missing(self._overlapping(start, stop), start, stop)

    # Segments

    def _wanted(self, start: int, stop: int, ahead_to: int, *, here: bool = True) -> list[_Segment]:
        """Return the segments of a range, requesting missing ones, the first in this thread."""
        existing, added = self._lacking(start, ahead_to)
        left = [each for each in added if self._ask(each, here=here and each is added[0] and each.start < stop)]
        for segment in left:
            self._fetch(segment)
        covering = [segment for segment in (*existing, *added) if segment.start < stop]
        return sorted(covering, key=lambda segment: segment.start)

    def _lacking(self, start: int, stop: int) -> tuple[list[_Segment], list[_Segment]]:
        """Return the existing segments of a range, and those to request."""
        self._scope.check()
        # Fast path: a small object is one segment.
        if (whole := self._segments.get(0)) is not None and whole.stop >= stop:
            self._scope.touch(id(self), 0)
            return [whole], []
        with self._lock:
            existing = self._overlapping(start, stop)
            added = [_Segment(low, high, LightFuture()) for low, high in _missing(existing, start, stop)]
            for segment in added:
                self._add(segment)
        return existing, added

    def _overlapping(self, start: int, stop: int) -> list[_Segment]:
        if not self._recalled:
            self._recall()
        at = max(0, bisect_right(self.starts, start) - 1)
        segments = []
        while at < len(self.starts) and self.starts[at] < stop:
            segment = self._segments[self.starts[at]]
            if segment.stop > start:
                segments.append(segment)
                self._scope.touch(id(self), segment.start)
            at += 1
        return segments

    def _add(self, segment: _Segment) -> None:
        if segment.start in self._segments:
            return
        insort(self.starts, segment.start)
        self._segments[segment.start] = segment

    def _drop(self, segment: _Segment) -> None:
        with self._lock:
            if self._segments.get(segment.start) is segment:
                del self._segments[segment.start]
                self.starts.remove(segment.start)

    def _ask(self, segment: _Segment, *, here: bool = False) -> bool:
        """Request a range without waiting; return True if a boto3 client is to do it `here`, in this thread."""
        try:
            exchange = self.pinned.exchange
            if not exchange.goes_by_client(_GET):
                _send(exchange, self._scope, [(self, segment)])
            elif here and at_once(2) > 1:
                return True
            else:
                self._scope.submit(partial(self._fetch, segment))
        except Exception as error:  # noqa: BLE001 - raised by whoever waits for it
            self._lost(segment, error)
        return False

    def _came(self, segment: _Segment, sent: LightFuture[Response]) -> None:
        """Process a response in the thread that received it; refusals are handled in another."""
        response = sent.result() if not sent.cancelled() and sent.exception() is None else None
        if response is not None and response.status < _REFUSED:
            self._take(segment, sent.result)
        elif sent.cancelled():
            self._lost(segment, StatementInterrupted("the query was stopped"))
        else:
            answer = partial(awaited, self.pinned.connection, self.pinned.location, sent)
            run_in_background(partial(self._take, segment, answer), name="s3conn-query")

    def _take(self, segment: _Segment, response: Callable[[], Response]) -> None:
        try:
            self._arrived(segment, self.pinned.body_of(response(), segment.start, segment.stop))
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits for it
            self._lost(segment, error)

    def _lost(self, segment: _Segment, error: BaseException) -> None:
        self._drop(segment)
        segment.data.set_exception(error)

    def _arrived(self, segment: _Segment, data: bytes) -> None:
        self._scope.count(0, len(data))
        segment.data.set_result(data)
        self._outlive(segment.start, data)
        if not self.passing:
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


_Asked = tuple[RangedObject, _Segment]


def ask_for(wanted: Iterable[tuple[RangedObject, Iterable[tuple[int, int]]]]) -> None:
    """Request ranges of some objects of a query, those of a bucket together, without waiting."""
    lacking: dict[Exchange, list[_Asked]] = {}
    for each, ranges in wanted:
        for start, stop in ranges:
            for segment in each._lacking(start, min(stop, each.size))[1]:  # noqa: SLF001 - its own module
                lacking.setdefault(each.pinned.exchange, []).append((each, segment))
    for exchange, asked in lacking.items():
        if exchange.goes_by_client(_GET):
            for each, segment in asked:
                each._ask(segment)  # noqa: SLF001 - as above
            continue
        try:
            _send(exchange, asked[0][0]._scope, asked)  # noqa: SLF001 - as above
        except Exception as error:  # noqa: BLE001 - as in `_ask`
            for each, segment in asked:
                each._lost(segment, error)  # noqa: SLF001 - as above


def _send(exchange: Exchange, scope: QueryScope, asked: Sequence[_Asked]) -> None:
    requests = [each.pinned.request(segment.start, segment.stop) for each, segment in asked]
    sent: list[LightFuture[Response]] = [LightFuture() for _ in requests]
    scope.sending(sent)
    exchange.send(requests, sent)
    scope.count(len(sent), 0)
    for (each, segment), future in zip(asked, sent, strict=True):
        future.add_done_callback(partial(each._came, segment))  # noqa: SLF001 - its own module


def _missing(segments: Sequence[_Segment], start: int, stop: int) -> list[tuple[int, int]]:
    """Return the ranges that no segment covers."""
    ranges, at = [], start
    for segment in segments:
        ranges += parts(at, segment.start)
        at = max(at, segment.stop)
    return ranges + parts(at, stop)


def parts(start: int, stop: int, size: float = PART) -> list[tuple[int, int]]:
    """Split a range into even parts of about a size."""
    if stop <= start:
        return []
    count = round((stop - start) / size)
    if count <= 1:
        return [(start, stop)]
    return list(pairwise(start + (stop - start) * at // count for at in range(count + 1)))


# Bytes worth another request; and most such requests, of an object and of the process.
_STREAM = 16 * 1024 * 1024
_MORE_STREAMS = 3
_STREAMS = threading.BoundedSemaphore(12)


def _pour(
    pinned: PinnedObject, start: int, into: Callable[[int, bytes], None], scope: QueryScope, *, stop: int, more: int
) -> None:
    """Pass on a range in pieces with offsets, by one request and at most so many more."""
    streams = [None for _ in range(min(more, (stop - start) // _STREAM)) if _STREAMS.acquire(blocking=False)]
    failed = threading.Event()

    def hand_on(low: int, high: int) -> bytes:
        for piece in pinned.stream(low, high):
            if failed.is_set():
                break
            into(low, piece)
            low += len(piece)
        return b""

    try:
        ranges = parts(start, stop, (stop - start) / (len(streams) + 1))
        for sent in [scope.submit(partial(hand_on, *each)) for each in ranges]:
            scope.wait(sent)
    except BaseException:
        failed.set()
        raise
    finally:
        for _ in streams:
            _STREAMS.release()


def whole(pinned: PinnedObject, first: bytes, start: int, stop: int, scope: QueryScope) -> bytes:
    """Return a large range whose first bytes are given, by a few concurrent requests.

    Raises:
        S3ConnError: the object was changed, or cannot be read.
    """
    buffer = io.BytesIO(bytes(stop - start))
    view = buffer.getbuffer()
    view[: len(first)] = first

    def put(at: int, piece: bytes) -> None:
        view[at - start : at - start + len(piece)] = piece

    _pour(pinned, start + len(first), put, scope, stop=stop, more=_MORE_STREAMS)
    view.release()
    return buffer.getvalue()


def save(
    pinned: PinnedObject, first: bytes, file: Any, scope: QueryScope, *, report: Callable[[int], Any], apart: bool
) -> None:
    """Write an object whose first bytes are given to a file, and report the bytes of each piece.

    If pieces may be written `apart`, because the file is seekable, a large object takes a few concurrent requests.

    Raises:
        S3ConnError: the object was changed, or cannot be read.
    """
    lock = threading.Lock()

    def write(at: int, piece: bytes) -> None:
        with lock:
            if apart:
                file.seek(at)
            file.write(piece)
            report(len(piece))

    write(0, first)
    _pour(pinned, len(first), write, scope, stop=pinned.size, more=_MORE_STREAMS if apart else 0)


def coalesced(ranges: Sequence[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Merge sorted ranges with gaps of at most `gap` bytes."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1] + gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
