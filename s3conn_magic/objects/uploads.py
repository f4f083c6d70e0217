"""Uploads of objects, refused for READ_ONLY connections, and unfinished multipart uploads."""

from __future__ import annotations

import atexit
import dis
import os
import sys
import threading
from concurrent.futures import CancelledError, Future, wait
from contextlib import nullcontext, suppress
from functools import partial
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.signing import at_once
from s3conn_magic.connections.writes import WriteCondition, etag_at, is_unmet
from s3conn_magic.errors import EndpointError, ObjectExistsError, S3ConnError
from s3conn_magic.locations import Location, size_text
from s3conn_magic.objects.requests import by_client
from s3conn_magic.objects.unpacking import SeekableFile
from s3conn_magic.runtime.background import renew_in_child, run_in_background, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from s3conn_magic.connections.connection import Connection

PART = 8 * 1024 * 1024
"""Size up to which an object is one request, and of a part of a larger one."""
_MOST_PARTS = 10_000
# If the size is unknown, it doubles every thousand parts: ten doublings exceed 5 TiB.
_PARTS_OF_A_SIZE = 1_000
_LARGEST = 5 * 1024**4
_TOGETHER = 64 * 1024
_BLOCK = 512 * 1024
# Seconds to wait for parts of an aborted upload.
_PATIENCE = 0.8


class _UnderWay:
    """Parts being sent by all uploads of the process: a bounded number of bytes, or one part."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Start empty in a forked child."""
        self._free, self._bytes = threading.Condition(), 0

    def send(self, send: Callable[[Any], Any], body: bytes | FilePart) -> Future[Any]:
        """Send a part as soon as there is room."""
        with self._free:
            self._free.wait_for(lambda: not self._bytes or self._bytes + len(body) <= self._most)
            sent = _begun(partial(send, body))
            self._bytes += len(body)
        sent.add_done_callback(partial(self._sent, len(body)))
        return sent

    def _sent(self, size: int, _: Future[Any]) -> None:
        with self._free:
            self._bytes -= size
            self._free.notify_all()


class FilePart(SeekableFile):
    """A part of a local file, read as it is hashed and sent, so that a large file needs little memory.

    Args:
        file: open; it is read independently of its position, and even after it is closed.
        start: first byte.
        size: bytes.
    """

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        super().__init__(size)
        self._descriptor = os.dup(file.fileno())
        self._start = start

    def __len__(self) -> int:
        return self.size

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes: a whole block, since HTTP clients ask for few at a time.

        Raises:
            OSError: the file has become shorter.
        """
        left = self.size - self.at
        piece = os.pread(self._descriptor, min(left, max(size, _BLOCK)) if size >= 0 else left, self._start + self.at)
        if left and size and not piece:
            raise OSError("the file was cut while it was sent")
        self.at += len(piece)
        return piece

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._descriptor)
            super().close()


def _begun(step: Callable[[], Any]) -> Future[Any]:
    try:
        return run_in_background(step, name="s3conn-part")
    except RuntimeError:  # at exit no thread can be started
        done: Future[Any] = Future()
        try:
            done.set_result(step())
        except Exception as error:  # noqa: BLE001 - raised where the part is waited for
            done.set_exception(error)
        return done


_UNDER_WAY = _UnderWay(12 * PART)


class Upload:
    """Writes an object in pieces; it exists completely at the end, or not at all.

    Up to `PART` bytes are one request, more are a multipart upload with concurrent parts, which is aborted on any
    failure and at a regular exit. With a connection that encrypts, an object that may replace another is always a
    multipart upload: the server tells at its start whether it encrypts, and the other stays until its end.

    Args:
        connection: the connection to write through.
        location: bucket and key.
        size: of the object; None if unknown, for at most 5 TiB.
        content_type: stored with the object; empty for the server's default.
        overwrite: whether any existing object may be replaced.
        replaces: ETag of the one object that may be replaced.
        metadata: stored with the object, as of its first bytes; ASCII.
        about: further parameters of S3.

    Attributes:
        version: id of the new version, if the server returns it.
        lacking: code with which the server refused the condition against replacing; then a check before the request
            replaced it. Otherwise empty.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        ValueError: the object would be larger than S3 allows.
    """

    def __init__(
        self,
        connection: Connection,
        location: Location,
        size: int | None,
        *,
        content_type: str = "",
        overwrite: bool = False,
        replaces: str | None = None,
        metadata: Mapping[str, str] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        connection.refuse_if_read_only("an upload")
        if size is not None and not 0 <= size <= _LARGEST:
            raise ValueError(f"an object has at most {size_text(_LARGEST)}")
        self._client = connection.internal_client(location.bucket)
        self._connection, self._location = connection, location
        self._key = {"Bucket": location.bucket, "Key": location.key}
        self._arn = location.arn
        self._about: dict[str, Any] = {"ContentType": content_type} if content_type else {}
        if metadata:
            self._about["Metadata"] = metadata
        self._about |= about or {}
        self._overwrites = overwrite
        self._place = WriteCondition(self._client, location.bucket, location.key, replaces)
        self._encrypts = connection.settings.encrypts
        self.version = self.lacking = ""
        self._size, self._accepted = size, 0
        # Bytes not sent yet: at most a part, in small pieces.
        self._waiting: list[bytes | bytearray] = []
        self._id = ""
        self._parts: list[Future[dict[str, Any]]] = []
        self._failures: list[Exception] = []
        atexit.register(self._abort_at_exit)

    def write(self, data: bytes) -> None:
        """Buffer bytes; send each full part.

        Raises:
            S3ConnError: the server refused this part or an earlier one; the upload is aborted.
        """
        self._accepted += len(data)
        rest = memoryview(data)
        if self._size is None or self._size > PART:
            # A full part waits for more bytes, because an object of one part needs only one request.
            while len(rest) > (lacks := self._part_size() - sum(map(len, self._waiting))):
                # A single piece is sent without a copy.
                self._send(b"".join([*self._waiting, rest[:lacks]] if lacks else self._waiting))
                self._waiting, rest = [], rest[lacks:]
        small = len(rest) < _TOGETHER
        if small and self._waiting and isinstance(self._waiting[-1], bytearray):
            self._waiting[-1] += rest
        elif rest:
            self._waiting.append(bytearray(rest) if small else data if len(rest) == len(data) else bytes(rest))

    def send(self, file: IO[bytes], size: int, sent: Callable[[int], Any]) -> None:
        """Upload a whole local file, whose parts are read as they are sent.

        Args:
            file: open; nothing else was written.
            size: its bytes.
            sent: called with the bytes of each part as it is sent.

        Raises:
            S3ConnError: as in `write`.
        """
        while size - self._accepted > 0:
            part = FilePart(file, self._accepted, min(self._part_size(), size - self._accepted))
            self._send(part)
            self._accepted += len(part)
            sent(len(part))

    def _part_size(self) -> int:
        """Return the size of the next part, so that S3's number of parts suffices."""
        if self._size is None:
            return PART << len(self._parts) // _PARTS_OF_A_SIZE
        return max(PART, -(-self._size // _MOST_PARTS))

    def finish(self) -> None:
        """Send the rest, and create the object.

        Raises:
            S3ConnError: the server refused, or the size is not as announced; the upload is aborted.
        """
        if self._size is not None and self._accepted != self._size:
            self.abort()
            message = f"{self._accepted:,} bytes came instead of {self._size:,}: nothing was written"
            raise EndpointError(message, hint="Upload the file again.")
        body, self._waiting = b"".join(self._waiting), []
        if not self._id and len(body) <= PART and not self._could_lose_another():
            answer = self._create(self._client.put_object, Body=body, **self._about)
        else:
            if body or not self._parts:
                self._send(body)
            parts = {"Parts": [self._call(self._finished_part, sent) for sent in self._parts]}
            answer = self._create(self._client.complete_multipart_upload, UploadId=self._id, MultipartUpload=parts)
        self.version = str(answer.get("VersionId", ""))
        self._id = ""
        atexit.unregister(self._abort_at_exit)

    def _could_lose_another(self) -> bool:
        """Return whether the object would replace another before the server has said how it encrypts."""
        replaces = self._overwrites or self._place.replaces is not None
        look = partial(etag_at, self._client, self._place.bucket, self._place.key)
        try:
            return self._encrypts and replaces and translated(look, resource=self._arn) is not None
        except S3ConnError:  # may not look, or the object has another customer key
            return True

    def _create(self, operation: Callable[..., Any], **parameters: Any) -> Any:
        if self._overwrites:
            return self._call(operation, **self._key, **parameters)
        answer, self.lacking = self._call(self._place.write, operation, **parameters)
        return answer

    def _abort_at_exit(self) -> None:
        with suppress(S3ConnError):
            self.abort()

    def abort(self) -> None:
        """Abort the upload, if there is one.

        Raises:
            S3ConnError: the server refused to delete the parts.
        """
        self._waiting.clear()
        begun, self._id = self._id, ""
        atexit.unregister(self._abort_at_exit)
        if not begun:
            return
        late = wait(self._parts, _PATIENCE).not_done
        translated(partial(self._abort, begun), resource=self._arn)
        if late:  # their parts are deleted when they end
            with suppress(RuntimeError):  # at exit, they end with the process
                run_in_background(partial(self._abort, begun, late), name="s3conn-part")

    def _abort(self, begun: str, late: Iterable[Future[Any]] = ()) -> None:
        wait(late)
        # The upload is gone already.
        with suppress(self._client.exceptions.NoSuchUpload):
            self._client.abort_multipart_upload(UploadId=begun, **self._key)

    def _send(self, body: bytes | FilePart) -> None:
        if not self._id:
            self._id = self._call(self._client.create_multipart_upload, **self._key, **self._about)["UploadId"]
        self._call(self._check)
        self._parts.append(_UNDER_WAY.send(partial(self._part, self._id, len(self._parts) + 1), body))
        if at_once(2) == 1:
            self._call(self._finished_part, self._parts[-1])

    def _part(self, begun: str, number: int, body: bytes | FilePart) -> dict[str, Any]:
        if self._id != begun or self._failures:
            raise CancelledError
        try:
            with body if isinstance(body, FilePart) else nullcontext():
                answer = self._client.upload_part(UploadId=begun, PartNumber=number, Body=body, **self._key)
        except Exception as error:
            self._failures.append(error)
            raise
        checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        return {"PartNumber": number, "ETag": answer["ETag"], **checksums}

    def _finished_part(self, sent: Future[dict[str, Any]]) -> dict[str, Any]:
        """Wait for a part, and raise the first failure of any."""
        try:
            return wait_for(sent, every=self._check)
        finally:
            self._check()

    def _check(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _call(self, *operation: Any, **parameters: Any) -> Any:
        try:
            return translated(partial(self._unless_unmet, *operation, **parameters), resource=self._arn)
        except S3ConnError as error:
            failure = error
        self._abort_quietly(failure)
        raise failure

    def _unless_unmet(self, operation: Callable[..., Any], *args: Any, **parameters: Any) -> Any:
        try:
            return operation(*args, **parameters)
        except self._client.exceptions.ClientError as error:
            if not is_unmet(error):
                raise
        raise _conflict()

    def _abort_quietly(self, failure: S3ConnError) -> None:
        try:
            self.abort()
        except S3ConnError as error:
            failure.notes += (f"Its parts could not be dropped: {error.message}.",)


def _conflict() -> ObjectExistsError:
    message = "an object of this name was written in the meantime: nothing was replaced"
    return ObjectExistsError(message, hint="Check what is there, and write it again.")


class Unfinished(NamedTuple):
    """An unfinished multipart upload: bytes of its parts, and when it began."""

    key: str
    size: int
    begun: datetime
    storage_class: str


_MARKERS = {
    "NextKeyMarker": "KeyMarker",
    "NextUploadIdMarker": "UploadIdMarker",
    "NextPartNumberMarker": "PartNumberMarker",
}


def unfinished(connection: Connection, place: Location) -> Iterator[Unfinished]:
    """Yield the unfinished uploads below a location; parts are listed for each.

    Raises:
        S3ConnError: they may not be listed.
    """
    for upload in _entries(connection, place, "list_multipart_uploads", "Uploads", Prefix=place.key):
        which = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
        size = sum(part["Size"] for part in _entries(connection, place, "list_parts", "Parts", **which))
        yield Unfinished(upload["Key"], size, upload["Initiated"], upload.get("StorageClass", "STANDARD"))


def _entries(connection: Connection, place: Location, operation: str, name: str, **given: Any) -> Iterator[Any]:
    more: dict[str, Any] = {}
    while True:
        answer = by_client(connection, place, operation, Bucket=place.bucket, **given, **more)
        yield from answer.get(name, ())
        if not answer.get("IsTruncated"):
            return
        more = {ours: answer[theirs] for theirs, ours in _MARKERS.items() if answer.get(theirs)}


_HANDLED = "POP_EXCEPT"
_ENDS_OF_HANDLERS = {_HANDLED, "RERAISE", "RAISE_VARARGS"}
# FOR_ITER ends a loop: its body comes before.
_JUMPS = {"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "FOR_ITER"}


def leaves_by(error: BaseException | None) -> bool:
    """Return whether an error being handled propagates: out of a `with` block, by `finally`, or raised again.

    Writers that wrap a file close it in either case, without telling it of the error.
    """
    trace = error.__traceback__ if error is not None else None
    if trace is None:
        return error is not None
    # The first frame of the trace handles it: follow its bytecode to the end of the handler.
    frame, passed = trace.tb_frame, set[int]()
    steps = {step.offset: step for step in dis.get_instructions(frame.f_code)}
    following = dict(pairwise(steps))
    at = next((offset for offset in steps if offset > frame.f_lasti), -1)
    while at in steps and at not in passed:
        passed.add(at)
        if steps[at].opname in _ENDS_OF_HANDLERS:
            return steps[at].opname != _HANDLED
        jumps = steps[at].opname in _JUMPS and steps[at].argval not in passed
        at = steps[at].argval if jumps else following.get(at, -1)
    return True


def made_by_a_close() -> bool:
    """Return whether an error is closing another file that writes only on close, as fsspec's caches do."""
    error = sys.exception()
    handled_in = error.__traceback__.tb_frame if error is not None and error.__traceback__ is not None else None
    frame = sys._getframe() if leaves_by(error) else None  # noqa: SLF001 - there is no other way
    while frame is not None and frame is not handled_in:
        if frame.f_code.co_name in {"close", "__exit__"} and hasattr(frame.f_locals.get("self"), "write"):
            return True
        frame = frame.f_back
    return False
