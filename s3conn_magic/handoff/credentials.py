"""A connection's credentials of one moment, for libraries that sign by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.connections.faults import translated
from s3conn_magic.errors import ReadOnlyConnectionError
from s3conn_magic.handoff.masks import SecretText

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.connections.settings import Settings

# A library asks again when this is over, and so follows an ALTER or a DROP.
_ASK_AGAIN = timedelta(seconds=60)


class Triple(NamedTuple):
    """Access key id, secret, token and, where they end, when: UTC."""

    access_key_id: str
    secret_access_key: SecretText
    token: SecretText | None
    expires_at: datetime | None


def triple(connection: Connection) -> Triple | None:
    """The credentials of this moment, refreshed if they had to be; None for anonymous.

    Raises:
        CredentialsError: there are none where the settings say.
        ConnectionNotFoundError: the connection was dropped.
    """
    frozen = translated(
        connection.frozen_credentials, resource=connection.settings.role or "", connection=connection.name
    )
    if frozen is None:
        return None
    ends = getattr(connection.credentials(), "_expiry_time", None)
    token = SecretText(frozen.token) if frozen.token else None
    expires_at = ends.astimezone(UTC) if isinstance(ends, datetime) else None
    return Triple(frozen.access_key, SecretText(frozen.secret_key), token, expires_at)


def ask_again_at(found: Triple) -> datetime:
    """When a library should ask for credentials again: UTC."""
    soon = datetime.now(UTC) + _ASK_AGAIN
    return soon if found.expires_at is None else min(soon, found.expires_at)


def refuse_if_read_only(connection: Connection, what: str) -> None:
    """Keep back what could write past the guards of a READ_ONLY connection.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY.
        ConnectionNotFoundError: the connection was dropped.
    """
    if connection.live_settings().read_only:
        raise ReadOnlyConnectionError(
            f"the connection {connection.name} is READ_ONLY: {what} was refused, for it could write",
            hint="fsspec() and pyarrow_filesystem() are given out: they read, and refuse to write by themselves.",
        )


def path_style(settings: Settings) -> bool:
    """Whether buckets are in the path of URLs, and not in the host: as boto3 decides."""
    return settings.addressing_style == "path" or (
        settings.endpoint is not None and settings.addressing_style == "auto"
    )


def region_of(connection: Connection, bucket: str | None) -> str:
    """The region of a bucket, found by a request if need be; without one, the region that requests are signed for."""
    if bucket is not None and (found := connection.regions.of(bucket)):
        return found
    return str(connection.internal_client().meta.region_name)
