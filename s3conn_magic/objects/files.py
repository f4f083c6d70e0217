"""An object as a file: to read, by several threads at once, or to write, completely or not at all."""

from __future__ import annotations

import atexit
import io
import sys
import threading
import weakref
from contextlib import suppress
from functools import cache, partial
from typing import IO, TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

from s3conn_magic.errors import EndpointError, S3ConnError
from s3conn_magic.locations import visible
from s3conn_magic.objects.description import head
from s3conn_magic.objects.ranged import PART, PinnedObject, RangedObject, ask_for, coalesced
from s3conn_magic.objects.scope import QueryScope
from s3conn_magic.objects.unpacking import SeekableFile
from s3conn_magic.objects.uploads import leaves_by, made_by_a_close

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.description import Description
    from s3conn_magic.objects.uploads import Upload

_FIRST_WINDOW, _LARGEST_WINDOW = 64 * 1024, 32 * 1024 * 1024
_LARGEST_STEP = 1024 * 1024
BLOCK = 64 * 1024


class ReadableFile(SeekableFile):
    """A file over ranged GETs.

    DuckDB seeks and reads in two calls, from several threads on one file. So each thread's seek applies to its own next
    read; a read without a seek continues where the last read ended, by whichever thread. Sequential small reads are
    prefetched in growing windows; others are requested exactly.

    Attributes:
        size: bytes of the object.
        path: name of the file, without `s3://`.
    """

    def __init__(self, source: RangedObject, path: str, *, closed: Callable[[], None] = lambda: None) -> None:
        super().__init__(source.size)
        self._source = source
        self._closed = closed
        self._lock = threading.Lock()
        self._positions: dict[int, int] = {}
        self._expected = 0
        self._window = self._asked = 0
        self.path = path

    def tell(self) -> int:
        """Return the position of this thread's next read."""
        self._checkClosed()
        with self._lock:
            return self._positions.get(threading.get_ident(), self.at)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Seek; nothing is requested."""
        self._checkClosed()
        with self._lock:
            here = self._positions.get(threading.get_ident(), self.at)
            self._positions[threading.get_ident()] = self.at = self.after(here, offset, whence)
            return self.at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, all for -1; fewer only at the end.

        Raises:
            S3ConnError: the object was changed, or cannot be read.
        """
        start, stop, ahead_to = self._step(-1 if size is None else size)
        return self._source.read(start, stop, ahead_to=ahead_to)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer; less at the end."""
        view, at = memoryview(buffer).cast("B"), 0
        start, stop, ahead_to = self._step(len(view))
        for piece in self._source.pieces(start, stop, ahead_to=ahead_to):
            view[at : at + len(piece)] = piece
            at += len(piece)
        return at

    def readall(self) -> bytes:
        """Return all that is left."""
        return self.read(-1)

    def peek(self, size: int = 0, /) -> bytes:
        """Return the next bytes without moving, for reading lines."""
        start = self.tell()
        return self._source.read(start, min(start + max(size, _FIRST_WINDOW), self.size))

    def cat_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return several ranges, requested together."""
        self._checkClosed()
        self._source.prefetch(ranges)
        return [self._source.read(start, stop) for start, stop in ranges]

    def _step(self, size: int) -> tuple[int, int, int]:
        """Return the range of the next read, and the end of the prefetch after it."""
        self._checkClosed()
        with self._lock:
            start = self._positions.pop(threading.get_ident(), None)
            if start is None:
                start = self.at
                self._positions.clear()
            stop = self.size if size < 0 else min(start + size, self.size)
            self.at = max(start, stop)
            ahead_to = self._ahead(start, stop)
        return start, stop, ahead_to

    def _ahead(self, start: int, stop: int) -> int:
        # A stream starts at the beginning: reads of adjacent Parquet columns are not one.
        self._expected = stop if start in {0, self._expected} else -1
        # A reader of large pieces may stop after two, for example for a LIMIT.
        large = stop - start > _LARGEST_STEP and start < 2 * (stop - start)
        if self._expected < 0 or large:
            self._window, self._asked = 0, stop
        elif not start:
            self._window, self._asked = _FIRST_WINDOW, stop + _FIRST_WINDOW
        elif stop > self._asked - self._window // 2:
            # The next window is requested while the second half of this one is read.
            self._window = min(max(2 * self._window, stop - start, _FIRST_WINDOW), _LARGEST_WINDOW)
            self._asked = max(self._asked, stop) + self._window
        return self._asked

    def write(self, *_: Any) -> int:
        """Raise OSError: the file is read-only."""
        raise io.UnsupportedOperation("the file is open for reading")

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            super().close()
            self._closed()


class FileOfFilesystem(ReadableFile):
    """A readable file with its filesystem, as users of fsspec expect: unpickling reopens it.

    Attributes:
        fs: the filesystem.
        blocksize: bytes of a block for block caches.
    """

    fs: Any = None
    closed = property(io.RawIOBase.closed.__get__, lambda file, _: file.close())  # caches set it
    blocksize = 5 * 1024 * 1024
    cache = None

    @property
    def loc(self) -> int:
        """Position of the next read."""
        return self.tell()

    @property
    def details(self) -> dict[str, Any]:
        """As `info` of the filesystem."""
        return {"name": self.path, "size": self.size, "type": "file"}

    def info(self) -> dict[str, Any]:
        """Return the same."""
        return self.details

    @property
    def full_name(self) -> str:
        """Name with its scheme."""
        return str(self.fs.unstrip_protocol(self.path))

    def readuntil(self, char: bytes = b"\n", blocks: int | None = None) -> bytes:
        """Return the bytes through a delimiter, or to the end."""
        return bytes(AbstractBufferedFile.readuntil(self, char, blocks))

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._source.read(start, end)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.fs, self.path, self.tell())


def _reopened(files: Any, path: str, at: int) -> Any:
    file = files.open(path)
    file.seek(at)
    return file


class BoundReachedError(Exception):
    """The limit of received bytes would be exceeded; never leaves this layer."""


class RangeReader(SeekableFile):
    """An object as a file for a preview, with a limit of received bytes.

    Ranges are extended to blocks of 64 KiB. Requests are conditional on the ETag of the description, so that a change
    of the object is noticed.

    Attributes:
        size: bytes of the object.
        limit: most bytes received in total.
    """

    def __init__(self, connection: Connection, location: Location, description: Description, *, limit: int) -> None:
        super().__init__(description.size)
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
        self.limit = limit

    @property
    def received(self) -> int:
        """Bytes received so far."""
        return self._scope.bytes

    @property
    def requests(self) -> int:
        """Ranged GETs so far."""
        return self._scope.requests

    @property
    def failure(self) -> S3ConnError | None:
        """First error of a request, for libraries that replace it."""
        return self._scope.failure

    def end(self) -> None:
        """Release threads and memory; `close` is called by libraries too early."""
        self._scope.close()

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer; less at the end."""
        view = memoryview(buffer).cast("B")
        data = self.part(self.at, self.at + len(view))
        view[: len(data)] = data
        self.at += len(data)
        return len(data)

    # Ranges

    def part(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, which may be past the end.

        Raises:
            BoundReachedError: the limit would be exceeded; nothing was requested.
            S3ConnError: the object was changed, the response was truncated, or the server cannot be reached.
        """
        self.prefetch([(start, stop)])
        return self._object.read(start, stop)

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Request the missing parts of ranges, adjacent ones together, several at once.

        Raises:
            BoundReachedError: the limit would be exceeded; nothing was requested.
            S3ConnError: as in `part`.
        """
        missing = self._runs(ranges)
        if self.received + sum(stop - start for start, stop in missing) > self.limit:
            raise BoundReachedError
        self._object.load(missing)

    def missing(self, ranges: Iterable[tuple[int, int]]) -> set[int]:
        """Return the numbers of the missing blocks of ranges."""
        wanted: set[int] = set()
        for start, stop in ranges:
            wanted.update(range(start // BLOCK, -(-min(stop, self.size) // BLOCK)))
        return {at for at in wanted if not self._object.has(at * BLOCK, min((at + 1) * BLOCK, self.size))}

    def _runs(self, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the missing parts of ranges, adjacent ones together, as byte ranges of whole blocks."""
        blocks = ((at * BLOCK, min((at + 1) * BLOCK, self.size)) for at in self.missing(ranges))
        return coalesced([*blocks], 0)


class WritableFile(io.RawIOBase):
    """A file over an upload.

    The object exists after `close`, or in a transaction of the filesystem after `commit`. A failed write, or an error
    that leaves the block in which the file is closed (by whatever wrapper), leaves no object. A file that is
    garbage-collected without `close` is completed, as any file of Python, unless an error is propagating or nothing was
    written. One that is open at exit is not completed, since a wrapper may hold the rest.

    Args:
        upload: the upload.
        path: name of the file, without `s3://`.
        scope: records the errors.
        autocommit: False to wait for `commit` after `close`.
    """

    mode = "wb"

    def __init__(self, upload: Upload, path: str, scope: QueryScope, *, autocommit: bool = True) -> None:
        super().__init__()
        self._upload = upload
        self._scope = scope
        self._autocommit = autocommit
        self._failed = self._done = self._ends_by_error = False
        self._at = 0
        # An error handled before the file was opened does not concern it.
        self._handled = None if made_by_a_close() else sys.exception()
        self.path = path
        self._at_exit = partial(_warn_open, weakref.ref(self))
        atexit.register(self._at_exit)

    def writable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, *_: Any) -> int:
        """Raise OSError: the file is write-only."""
        raise io.UnsupportedOperation("the file is open for writing")

    def __reduce__(self) -> Any:
        raise TypeError("a file that is being written cannot be pickled")

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._at

    def write(self, data: Any, /) -> int:
        """Buffer bytes, and upload each full part.

        Raises:
            S3ConnError: the server refused; there will be no object.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if self._failed:
            raise EndpointError("the object cannot be written any more", hint="An earlier write failed.")
        self._ends_by_error = self._is_left_by_error()
        with memoryview(data).cast("B") as view:
            size = len(view)
            self._try(lambda: self._upload.write(data if type(data) is bytes else bytes(view)))
        self._at += size
        return size

    def send(self, file: IO[bytes], size: int, sent: Callable[[int], Any]) -> None:
        """Upload a local file, before any write; see `Upload.send`.

        Raises:
            S3ConnError: the server refused; there will be no object.
        """
        self._try(lambda: self._upload.send(file, size, sent))
        self._at += size

    def _is_left_by_error(self) -> bool:
        error = sys.exception()
        return error is not None and error is not self._handled and leaves_by(error)

    def close(self) -> None:
        """Create the object, unless a write failed, an error propagates, or a transaction decides.

        Raises:
            S3ConnError: the server refused; there is no object.
        """
        if self.closed:
            return
        super().close()
        if self._failed or self._is_left_by_error():
            self.discard()
        elif self._autocommit:
            self.commit()

    def commit(self) -> None:
        """Create the object now.

        Raises:
            S3ConnError: the server refused; there is no object.
        """
        if not self._done and not self._failed:
            self._try(self._upload.finish)
            self._done = True
            self._release()

    def discard(self) -> None:
        """Abort the upload.

        Raises:
            S3ConnError: the server refused to delete the parts.
        """
        self._failed = True
        self._release()
        if not self._done:
            self._done = True
            self._upload.abort()
        super().close()

    def _release(self) -> None:
        self._handled = None
        atexit.unregister(self._at_exit)

    def _try(self, step: Any) -> None:
        try:
            step()
        except S3ConnError as error:
            self._failed = True
            self._scope.failed(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        if self.closed:
            if not self._done:
                self.discard()
        elif self._failed or self._ends_by_error or self._is_left_by_error():
            self.discard()
        elif self._at:
            self.close()
        else:
            self.discard()
            message = f"nothing was written to s3://{visible(self.path)}, and it was not closed"
            raise EndpointError(message, hint=_CLOSE)


_CLOSE = "Close it, or open it by `with`, so that what is written counts."


def _warn_open(reference: weakref.ref[WritableFile]) -> None:
    if (file := reference()) is not None:
        file.discard()
        message = f"s3://{visible(file.path)} was not closed before the process ended: nothing was written"
        raise EndpointError(message, hint=_CLOSE)


_GAP = 8 * 1024


def cat_ranges(
    object_of: Callable[[str], RangedObject],
    paths: Sequence[str],
    starts: Any,
    ends: Any,
    *,
    max_gap: int | None,
    on_error: str,
) -> list[Any]:
    """Return the bytes of each range; unless `on_error` is `raise`, an error instead of bytes that could not be read.

    Raises:
        S3ConnError: a range could not be read.
        ValueError: the numbers of bounds and paths differ.
    """
    starts = starts if isinstance(starts, list) else [starts] * len(paths)
    ends = ends if isinstance(ends, list) else [ends] * len(paths)
    wanted = list(zip(paths, starts, ends, strict=True))
    object_of = cache(object_of)
    _prefetch(object_of, wanted, _GAP if max_gap is None else max_gap)
    return [_read_range(object_of, *bounds, on_error) for bounds in wanted]


def _prefetch(object_of: Callable[[str], RangedObject], wanted: Sequence[tuple[str, Any, Any]], gap: int) -> None:
    by_path: dict[str, list[tuple[int, int]]] = {}
    for path, start, end in wanted:
        with suppress(S3ConnError):  # reading the range raises it again
            by_path.setdefault(path, []).append(bounds(object_of(path).size, start, end))
    ask_for([(object_of(path), coalesced(ranges, gap)) for path, ranges in by_path.items() if ranges])


def _read_range(object_of: Callable[[str], RangedObject], path: str, start: Any, end: Any, on_error: str) -> Any:
    try:
        ranged = object_of(path)
        return ranged.read(*bounds(ranged.size, start, end))
    except S3ConnError as error:
        if on_error == "raise":
            raise
        return error


def bounds(size: int, start: int | None, end: int | None) -> tuple[int, int]:
    """Return bounds as of a slice."""
    low, high, _ = slice(start, end).indices(size)
    return low, max(low, high)


PIECE = 512 * 1024
"""Bytes of a piece of a download; the last one is shorter."""


class Download:
    """An object that is read once, from the beginning.

    Args:
        connection: the connection to read through.
        location: bucket and key.
        version_id: a version; the current one by default.
        etag: of the expected object, so that a replacement is refused.

    Attributes:
        size: bytes.
        content_type: from the server.
        last_modified: UTC.
    """

    def __init__(
        self, connection: Connection, location: Location, *, version_id: str | None = None, etag: str | None = None
    ) -> None:
        known = head(connection, location, version_id=version_id)
        if etag and known.etag not in {"", etag}:
            raise S3ConnError(
                f"{visible(location.uri)} has changed since it was shown: nothing was downloaded",
                hint="Refresh, and download it again.",
            )
        self.size = known.size
        self.content_type = known.content_type or "application/octet-stream"
        self.last_modified = known.last_modified
        self._scope = QueryScope()
        pinned = PinnedObject(connection, location, known.size, known.etag, version_id=known.version_id)
        self._object = RangedObject(pinned, self._scope, outlives=False)

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes in pieces of `PIECE`, receiving the next one meanwhile.

        Raises:
            S3ConnError: the object was changed, or cannot be read completely.
        """
        for start in range(0, self.size, PIECE):
            at = start // PART * PART
            yield self._object.read(start, min(start + PIECE, self.size), ahead_to=min(at + 2 * PART, self.size))

    def close(self) -> None:
        """Stop the download."""
        self._scope.close()
