"""Objects on their way out: links that others can open, and downloads in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.guards import no_link
from s3conn_magic.errors import EndpointError, S3ConnError
from s3conn_magic.locations import visible
from s3conn_magic.objects.ranged import etag_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location

PIECE = 512 * 1024
"""Bytes of a piece of a download; the last one is shorter."""
LONGEST_LINK = 7 * 24 * 3600
"""Seconds after which the longest link of S3 ends."""


@dataclass(frozen=True, slots=True, repr=False)
class Link:
    """A URL that opens an object without credentials.

    Attributes:
        url: as good as the object itself to whoever has it.
        ends: UTC, or None where it never does.
        note: what else ends it.
    """

    url: str
    ends: datetime | None
    note: str = ""


def presign(connection: Connection, location: Location, seconds: int, *, version_id: str | None = None) -> Link:
    """A link to an object, or to one version of it. No request is sent, but to learn the bucket's region.

    Raises:
        ValueError: it would last less than a second or more than seven days.
        CredentialsError: objects of the connection cannot be read by a URL alone.
        S3ConnError: the credentials or the bucket's region cannot be had.
    """
    if not 1 <= seconds <= LONGEST_LINK:
        raise ValueError("a link lasts from one second to seven days")
    if connection.settings.customer_key:
        raise no_link(connection.name)
    client = connection.internal_client(location.bucket)
    url = translated(
        lambda: client.generate_presigned_url("get_object", Params=_named(location, version_id), ExpiresIn=seconds),
        resource=location.arn,
    )
    if connection.settings.anonymous:
        return Link(url, None, "The connection is anonymous: this is the object's own address.")
    return Link(url, datetime.now(UTC) + timedelta(seconds=seconds), _ends_with_credentials(connection))


def _ends_with_credentials(connection: Connection) -> str:
    """What is said when the credentials may end before the link does."""
    frozen = translated(connection.frozen_credentials, connection=connection.name)
    if frozen is None or not frozen.token:
        return ""
    ends = getattr(connection.credentials(), "_expiry_time", None)
    when = f", at {ends.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if isinstance(ends, datetime) else ""
    return f"The connection's credentials are temporary: the link ends with them{when}, if that is sooner."


def _named(location: Location, version_id: str | None) -> dict[str, Any]:
    named = {"Bucket": location.bucket, "Key": location.key}
    return named | ({"VersionId": version_id} if version_id else {})


class Download:
    """An object that is read once, from its beginning.

    Args:
        connection: the connection to read through.
        location: bucket and key.
        version_id: one of its versions; the current one by default.
        etag: of the object that is meant, so that another one in its place is not taken for it.

    Attributes:
        size: bytes.
        content_type: as the server says.
    """

    def __init__(
        self, connection: Connection, location: Location, *, version_id: str | None = None, etag: str | None = None
    ) -> None:
        client = connection.internal_client(location.bucket)
        self._arn = location.arn
        answer = translated(lambda: client.get_object(**_named(location, version_id)), resource=self._arn)
        self._body = answer["Body"]
        # The answer says of itself what it is, so that no condition is needed, which not every server knows.
        if etag and etag_of(answer) not in {"", etag}:
            self.close()
            raise S3ConnError(
                f"{visible(location.uri)} has changed since it was shown: nothing was downloaded",
                hint="Refresh, and download it again.",
            )
        self.size = int(answer["ContentLength"])
        self.content_type = str(answer.get("ContentType") or "application/octet-stream")

    def pieces(self) -> Iterator[bytes]:
        """The bytes in pieces of `PIECE`.

        Raises:
            EndpointError: the connection broke, or fewer bytes came than were announced.
        """
        left = self.size
        while left:
            piece = translated(lambda: self._body.read(min(PIECE, left)), resource=self._arn)  # noqa: B023 - used at once
            if not piece:
                raise EndpointError("the object ended before its announced size", hint="Try again.")
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """Let go of the connection; a body that was not read to its end is not waited for."""
        self._body.close()
