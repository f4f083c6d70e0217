"""Objects on their way in; refused before a request leaves where the connection is READ_ONLY."""

from __future__ import annotations

import atexit
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.guards import refusal
from s3conn_magic.connections.writes import WriteCondition, etag_at, is_unmet
from s3conn_magic.errors import EndpointError, ObjectExistsError, S3ConnError
from s3conn_magic.locations import Location, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.connections.connection import Connection

PART = 8 * 1024 * 1024
"""Bytes up to which an object is sent by one request, and of a part of a larger one."""
_MOST_PARTS = 10_000
# Without a size, parts double after so many of one size: ten doublings of a thousand parts are more than 5 TiB.
_PARTS_OF_A_SIZE = 1_000
_LARGEST = 5 * 1024**4


def refuse_if_read_only(connection: Connection, what: str) -> None:
    """Refuse a write before anything is sent.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY.
        ConnectionNotFoundError: it was dropped.
    """
    if connection.live_settings().read_only:
        raise refusal(connection.name, what)


class Upload:
    """An object that is written in pieces and is there whole at the end, or not at all.

    Up to `PART` bytes go by one request, more by a multipart upload, which is aborted when anything fails, and when the
    process ends in an orderly way. What replaces an object under a connection that encrypts is always a multipart
    upload: by its beginning the server says whether it encrypts, and the object is there until its end.

    Args:
        connection: the connection to write through.
        location: bucket and key.
        size: bytes that will come; None where that is not known, for at most 5 TiB.
        content_type: kept with the object; empty for the server's default.
        overwrite: whether any object that is there may be replaced.
        replaces: etag of the one object that may be replaced.
        metadata: kept with the object; ASCII.

    Attributes:
        version: id of the version that was made, where the server told it.
        lacking: the code by which the server refused the condition that nothing else be replaced. It was made after a
            look then; otherwise empty.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        ValueError: more bytes than an object of S3 can have.
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
    ) -> None:
        refuse_if_read_only(connection, "an upload")
        if size is not None and not 0 <= size <= _LARGEST:
            raise ValueError(f"an object has at most {size_text(_LARGEST)}")
        self._client = connection.internal_client(location.bucket)
        self._connection, self._location, self._replaces = connection, location, replaces
        self._named = {"Bucket": location.bucket, "Key": location.key}
        self._arn = location.arn
        self._about: dict[str, Any] = {"ContentType": content_type} if content_type else {}
        if metadata:
            self._about["Metadata"] = dict(metadata)
        self._overwrites = overwrite
        self._place = WriteCondition(self._client, location.bucket, location.key, replaces)
        self._encrypts = connection.settings.encrypts
        self.version = self.lacking = ""
        self._size, self._taken = size, 0
        self._waiting = bytearray()
        self._id = ""
        self._parts: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        """Take the next bytes; a part is sent when it is full.

        Raises:
            S3ConnError: the server refused; the upload is aborted.
        """
        self._taken += len(data)
        self._waiting += data
        if self._size is None or self._size > PART:
            # One request is enough for what is no more than a part, so a full one waits for what comes after it.
            while len(self._waiting) > (part := self._part_size()):
                self._send(part)

    def _part_size(self) -> int:
        """Bytes of the next part, so that all of them are no more than S3 takes."""
        if self._size is None:
            return PART << len(self._parts) // _PARTS_OF_A_SIZE
        return max(PART, -(-self._size // _MOST_PARTS))

    def finish(self) -> None:
        """Send the rest; the object is there when this returns.

        Raises:
            S3ConnError: the server refused, or the bytes are not as many as announced; the upload is aborted.
        """
        if self._size is not None and self._taken != self._size:
            self.abort()
            raise EndpointError(f"{self._taken:,} bytes came instead of {self._size:,}: nothing was written")
        if not self._id and len(self._waiting) <= PART and not self._could_lose_another():
            answer = self._make(self._client.put_object, Body=bytes(self._waiting), **self._about)
        else:
            if self._waiting or not self._parts:
                self._send(len(self._waiting))
            parts = {"Parts": self._parts}
            answer = self._make(self._client.complete_multipart_upload, UploadId=self._id, MultipartUpload=parts)
        self.version = str(answer.get("VersionId", ""))
        self._id = ""
        atexit.unregister(self._leave)
        self._waiting.clear()

    def _could_lose_another(self) -> bool:
        """Whether the object would take the place of another before the server has said how it encrypts."""
        replaces = self._overwrites or self._place.replaces is not None
        look = partial(etag_at, self._client, self._place.bucket, self._place.key)
        try:
            return self._encrypts and replaces and translated(look, resource=self._arn) is not None
        except S3ConnError:  # it may not look, or what is there has another key
            return True

    def _make(self, operation: Callable[..., Any], **parameters: Any) -> Any:
        if self._overwrites:
            return self._call(operation, **self._named, **parameters)
        answer, self.lacking = self._call(self._place.write, operation, **parameters)
        return answer

    def _leave(self) -> None:
        """Abort when the kernel ends in an orderly way."""
        with suppress(S3ConnError):
            self.abort()

    def abort(self) -> None:
        """Leave nothing behind; harmless when there is nothing to abort.

        Raises:
            S3ConnError: the server refused to drop the parts that it holds.
        """
        self._waiting.clear()
        begun, self._id = self._id, ""
        atexit.unregister(self._leave)
        if begun:
            translated(partial(self._abort, begun), resource=self._arn)

    def _abort(self, begun: str) -> None:
        # One that the server does not know is gone already.
        with suppress(self._client.exceptions.NoSuchUpload):
            self._client.abort_multipart_upload(UploadId=begun, **self._named)

    def _send(self, size: int) -> None:
        if not self._id:
            self._id = self._call(self._client.create_multipart_upload, **self._named, **self._about)["UploadId"]
            atexit.register(self._leave)
        number, body = len(self._parts) + 1, bytes(self._waiting[:size])
        del self._waiting[:size]
        part = {"UploadId": self._id, "PartNumber": number, "Body": body}
        answer = self._call(self._client.upload_part, **self._named, **part)
        checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksums})

    def _call(self, *operation: Any, **parameters: Any) -> Any:
        try:
            return translated(partial(self._unless_unmet, *operation, **parameters), resource=self._arn)
        except S3ConnError as error:
            failure = error
        self._abort_quietly(failure)
        raise failure

    def _unless_unmet(self, operation: Callable[..., Any], *given: Any, **parameters: Any) -> Any:
        try:
            return operation(*given, **parameters)
        except self._client.exceptions.ClientError as error:
            if not is_unmet(error):
                raise
        raise _already_there()

    def _abort_quietly(self, failure: S3ConnError) -> None:
        try:
            self.abort()
        except S3ConnError as error:
            failure.notes += (f"Its parts could not be dropped: {error.message}.",)


def _already_there() -> ObjectExistsError:
    said = "an object of this name was written meanwhile: nothing was replaced"
    return ObjectExistsError(said, hint="Look at what is there, and write it again.")
