"""What an object is, without reading it: HeadObject, GetObjectTagging and ListObjectVersions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object, or the marker of its deletion, which has neither size nor etag."""

    version_id: str
    last_modified: datetime | None
    size: int | None
    is_latest: bool
    is_delete_marker: bool
    storage_class: str | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of an object.

    Attributes:
        uri: the exact `s3://` location.
        arn: its Amazon resource name.
        size: bytes as stored.
        last_modified: UTC.
        etag: without its quotes.
        version_id: the version that was looked at, or None in a bucket without versions.
        storage_class: `STANDARD` where the server does not say.
        content_type: as uploaded.
        content_encoding: as uploaded, such as `gzip`.
        encryption: `SSE-S3`, `SSE-KMS <key's ARN>`, `DSSE-KMS <key's ARN>`, `SSE-C` or `none`.
        metadata: user metadata, names in lower case.
        tags: None where they were not asked for or could not be read; `notes` says which.
        versions: newest first, at most 100; empty where they were not asked for or could not be read.
        checksums: by algorithm, such as `{"CRC32": "…"}`, in Base64.
        archived: whether it must be restored before it can be read.
        restore: `in progress`, `until 2026-01-02 00:00 UTC`, or None where no restore was asked for.
        archive_status: `ARCHIVE_ACCESS` or `DEEP_ARCHIVE_ACCESS` for an archive tier of INTELLIGENT_TIERING.
        notes: what could not be found out, and why.
    """

    uri: str
    arn: str
    size: int
    last_modified: datetime | None = None
    etag: str = ""
    version_id: str | None = None
    storage_class: str = "STANDARD"
    content_type: str | None = None
    content_encoding: str | None = None
    encryption: str = "none"
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None
    versions: tuple[Version, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    archived: bool = False
    restore: str | None = None
    archive_status: str | None = None
    notes: tuple[str, ...] = ()


def head(connection: Connection, location: Location, *, version_id: str | None = None) -> Description:
    """What HeadObject says: one request, no tags and no versions.

    Raises:
        S3ConnError: there is no such object, it may not be read, or the server cannot be reached.
    """
    raise NotImplementedError


def describe(connection: Connection, location: Location, *, version_id: str | None = None) -> Description:
    """What HeadObject, GetObjectTagging and ListObjectVersions say: three requests.

    Tags or versions that cannot be read are a note, not a failure.

    Raises:
        S3ConnError: there is no such object, it may not be read, or the server cannot be reached.
    """
    raise NotImplementedError
