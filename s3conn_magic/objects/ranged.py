"""Ranged GETs of one object that has to stay the one that it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError

from s3conn_magic.connections.faults import unreachable
from s3conn_magic.errors import AccessDeniedError, EndpointError, S3ConnError
from s3conn_magic.locations import visible
from s3conn_magic.objects.asking import ask, changed, named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location

_PARTIAL = 206


def _no_stop() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Pinned:
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
            tries: how often a body that ends early is asked for; refusals have the tries of the client.
            stopped: whether nobody wants the rest any more.

        Raises:
            S3ConnError: the object was changed, the answer was cut short, or the server cannot be reached.
        """
        failure: S3ConnError | None = None
        for _ in range(tries):
            body, failure = self._once(start, stop)
            if failure is None or stopped():
                break
        if failure is not None:
            raise failure
        return body

    def _once(self, start: int, stop: int) -> tuple[bytes, S3ConnError | None]:
        """The body, or why it did not come whole."""
        answer = self._answer(start, stop)
        stream = answer["Body"]
        try:
            self._check(answer, start, stop)
            body, failure = received(stream, stop - start)
        finally:
            stream.close()
        if failure is not None:
            failure.of(visible(self.location.uri))
        if failure is None and len(body) < stop - start:
            failure = EndpointError(
                f"an answer was cut short: {len(body):,} of {stop - start:,} bytes came",
                hint="Run the statement again.",
            )
        return body, failure

    def _answer(self, start: int, stop: int) -> Mapping[str, Any]:
        condition = {"IfMatch": f'"{self.etag}"'} if self.etag else {}
        which = {"Range": f"bytes={start}-{stop - 1}", **condition, **named(self.location, self.version_id)}
        try:
            return ask(self.connection, self.location, "get_object", **which)
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
        if said or start or answer["ResponseMetadata"]["HTTPStatusCode"] == _PARTIAL:
            raise EndpointError(
                f"the server does not give ranges of {visible(self.location.uri)}",
                hint="Something between here and S3 may drop the Range header.",
            )
        # It is the whole of it, with what was asked for at its beginning.


def etag_of(answer: Mapping[str, Any]) -> str:
    """The etag of an answer, without its quotes."""
    return str(answer.get("ETag", "")).strip('"')


def received(stream: Any, count: int) -> tuple[bytes, EndpointError | None]:
    """At most `count` bytes of a body, or why they did not come."""
    try:
        return bytes(stream.read(count)), None
    except (BotoCoreError, OSError) as error:
        return b"", unreachable(error)
