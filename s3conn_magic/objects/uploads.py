"""Objects on their way in, and out of existence; refused before a request leaves where the connection is READ_ONLY."""

from __future__ import annotations

import atexit
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from s3conn_magic.connections.conditions import Removal, WriteCondition, etag_at, is_unmet
from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.guards import refusal
from s3conn_magic.errors import EndpointError, S3ConnError
from s3conn_magic.listing import Listing
from s3conn_magic.locations import Location, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from s3conn_magic.connections.conditions import Removed
    from s3conn_magic.connections.connection import Connection

PART = 8 * 1024 * 1024
"""Bytes up to which an object is sent by one request, and of a part of a larger one."""
BATCH = 1_000
"""Most keys of one DeleteObjects request."""
_MOST_PARTS = 10_000
# Without a size, parts double after so many of one size: ten doublings of a thousand parts are more than 5 TiB.
_PARTS_OF_A_SIZE = 1_000
_LARGEST = 5 * 1024**4
# XML 1.0 has no form for these, so a key with one cannot stand in the body of DeleteObjects.
NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\r\ud800-\udfff\ufffe\uffff]")


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


def _already_there() -> EndpointError:
    said = "an object of this name was written meanwhile: nothing was replaced"
    return EndpointError(said, hint="Look at what is there, and write it again.")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be deleted: one object, or with `is_prefix` everything below."""

    location: Location
    is_prefix: bool = False
    size: int | None = None
    etag: str | None = None


@dataclass(slots=True)
class Found:
    """The objects that a choice stands for, as they were seen.

    Attributes:
        keys: exact keys by bucket, each with its etag as far as the server gave one.
        bytes: sum of their sizes as far as these are known.
        complete: False when there are more than were looked for.
    """

    keys: dict[str, dict[str, str | None]] = field(default_factory=dict)
    bytes: int = 0
    complete: bool = True

    def __len__(self) -> int:
        return sum(map(len, self.keys.values()))

    def add(self, bucket: str, key: str, size: int, etag: str | None) -> None:
        """Note a key once, as it was seen first."""
        keys = self.keys.setdefault(bucket, {})
        self.bytes += 0 if key in keys else size
        keys.setdefault(key, etag)


def find(connection: Connection, chosen: Sequence[Chosen], *, most: int, cancelled: Callable[[], bool]) -> Found:
    """Every object of a choice, by listing the prefixes among it.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        IncompleteListingError, S3ConnError: a prefix could not be listed whole.
    """
    refuse_if_read_only(connection, "a deletion")
    found = Found()
    # What was shown of an object counts, and not what a listing tells of it only now.
    for one in sorted(chosen, key=lambda one: one.is_prefix):
        if one.is_prefix and not cancelled():
            _find_below(connection, one.location, found, most, cancelled)
        elif not one.is_prefix:
            found.add(one.location.bucket, one.location.key, one.size or 0, one.etag)
    return found


def _find_below(
    connection: Connection, location: Location, found: Found, most: int, cancelled: Callable[[], bool]
) -> None:
    with Listing(connection.target(location.bucket), location.key) as listing:
        for page in listing.pages(keep=False):
            columns = (page.objects.column(name).to_pylist() for name in ("key", "size", "etag"))
            for key, size, etag in zip(*columns, strict=True):
                found.add(location.bucket, key, size, etag)
            if len(found) > most:
                found.complete = False
            if cancelled() or not found.complete:
                return


@dataclass(frozen=True, slots=True)
class Deleted:
    """The outcome of one request: how many are gone, and the exact keys that are not, each with the server's code.

    Attributes:
        missing: how many were not there any more.
    """

    count: int
    failures: Mapping[str, str]
    missing: int = 0


def delete(
    connection: Connection, bucket: str, keys: Sequence[str], *, cancelled: Callable[[], bool]
) -> Iterator[Deleted]:
    """Delete exactly these keys, `BATCH` in a request.

    In a bucket with versioning each gets a delete marker, and its versions stay.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        S3ConnError: a whole request was refused; those before it are done.
    """
    refuse_if_read_only(connection, "a deletion")
    client = connection.internal_client(bucket)
    odd = [key for key in keys if NOT_IN_XML.search(key)]
    plain = [key for key in keys if not NOT_IN_XML.search(key)]
    steps: list[Callable[[], Deleted]] = [
        partial(_delete_batch, client, bucket, plain[at : at + BATCH]) for at in range(0, len(plain), BATCH)
    ]
    steps += [partial(_delete_one, client, bucket, key) for key in odd]
    for step in steps:
        if cancelled():
            return
        yield translated(step, resource=Location(bucket).arn)


class ExactDeletion:
    """Deletes objects of a bucket that still are what was seen of them; see `Removal`.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
    """

    def __init__(self, connection: Connection, bucket: str) -> None:
        refuse_if_read_only(connection, "a deletion")
        self._bucket = bucket
        self._removal = Removal(connection.internal_client(bucket))

    @property
    def lacking(self) -> str:
        """Why each object is looked at before it is deleted; empty where the server keeps the condition."""
        return self._removal.lacking

    def delete(self, key: str, etag: str, version: str = "") -> Removed:
        """Delete an object, or the version of it that is named.

        Raises:
            S3ConnError: the server refused; the object is there.
        """
        step = partial(self._removal.remove, self._bucket, key, etag, version)
        return translated(step, resource=Location(self._bucket, key).arn)


def _delete_batch(client: Any, bucket: str, keys: Sequence[str]) -> Deleted:
    wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": False}
    answer = client.delete_objects(Bucket=bucket, Delete=wanted)
    failures = {str(one.get("Key", "")): str(one.get("Code") or "refused") for one in answer.get("Errors", [])}
    gone = {one.get("Key") for one in answer.get("Deleted", [])}
    unsaid = {key: "the server did not say" for key in keys if key not in gone and key not in failures}
    return Deleted(len(keys) - len(failures) - len(unsaid), failures | unsaid)


def _delete_one(client: Any, bucket: str, key: str) -> Deleted:
    try:
        client.delete_object(Bucket=bucket, Key=key)
    except client.exceptions.ClientError as error:
        return Deleted(0, {key: str(error.response.get("Error", {}).get("Code") or "refused")})
    return Deleted(1, {})
