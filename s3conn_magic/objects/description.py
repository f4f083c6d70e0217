"""What an object is, without reading it: HeadObject, GetObjectTagging and ListObjectVersions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote_plus

from s3conn_magic.connections.writes import ENCRYPTION_METHODS
from s3conn_magic.errors import AccessDeniedError, EndpointError
from s3conn_magic.objects.requests import ask, head_answer, named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location

_Found = TypeVar("_Found")
_VERSIONS = 100
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ARCHIVE_CLASSES = {"GLACIER", "DEEP_ARCHIVE"}
_CHECKSUMS = {f"Checksum{name}" for name in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")}
_RESTORE = re.compile(r'\s*ongoing-request="(true|false)"(?:\s*,\s*expiry-date="([^"]*)")?')


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
    description = _description(location, head_answer(connection, location, version_id))
    description = replace(description, arn=connection.arn(location))
    return replace(description, version_id=description.version_id or (version_id if version_id != "null" else None))


def describe(connection: Connection, location: Location, *, version_id: str | None = None) -> Description:
    """What HeadObject, GetObjectTagging and ListObjectVersions say: three requests.

    Tags or versions that cannot be read are a note, not a failure.

    Raises:
        S3ConnError: there is no such object, it may not be read, or the server cannot be reached.
    """
    return with_tags_and_versions(connection, location, head(connection, location, version_id=version_id))


def with_tags_and_versions(connection: Connection, location: Location, description: Description) -> Description:
    """The same description with tags and versions, by two requests; a refusal is a note.

    Raises:
        S3ConnError: the connection was dropped, or the server cannot be reached.
    """
    tags, no_tags = _unless_refused("tags", lambda: _tags(connection, location, description.version_id))
    versions, no_versions = _unless_refused("versions", lambda: _versions(connection, location))
    cut = (f"only the newest {_VERSIONS} versions are shown",) if versions and len(versions) > _VERSIONS else ()
    notes = (*description.notes, *no_tags, *no_versions, *cut)
    return replace(description, tags=tags, versions=tuple(versions or ())[:_VERSIONS], notes=notes)


def _description(location: Location, answer: Mapping[str, Any]) -> Description:
    storage_class = answer.get("StorageClass") or "STANDARD"
    status, restore = answer.get("ArchiveStatus"), _RESTORE.match(answer.get("Restore") or "")
    restored = bool(restore and restore[1] == "false")
    return Description(
        uri=location.uri,
        arn=location.arn,
        size=int(answer["ContentLength"]),
        last_modified=_utc(answer.get("LastModified")),
        etag=str(answer.get("ETag", "")).strip('"'),
        version_id=answer.get("VersionId"),
        storage_class=storage_class,
        content_type=answer.get("ContentType"),
        content_encoding=answer.get("ContentEncoding"),
        encryption=_encryption(answer),
        metadata=dict(answer.get("Metadata") or {}),
        checksums={name[8:]: text for name, text in answer.items() if name in _CHECKSUMS},
        archived=bool(status or storage_class in _ARCHIVE_CLASSES) and not restored,
        restore=_restore(restore),
        archive_status=status,
    )


def _utc(moment: datetime | None) -> datetime | None:
    """Botocore's times are in the zone of this machine, or of the server."""
    return moment and moment.astimezone(UTC)


def _encryption(answer: Mapping[str, Any]) -> str:
    if answer.get("SSECustomerAlgorithm"):
        return "SSE-C"
    method = str(answer.get("ServerSideEncryption") or "")
    return f"{ENCRYPTION_METHODS.get(method, method)} {answer.get('SSEKMSKeyId') or ''}".strip() or "none"


def _restore(restore: re.Match[str] | None) -> str | None:
    if restore is None or restore[1] == "true":
        return restore and "in progress"
    try:
        return f"until {parsedate_to_datetime(restore[2] or ''):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return "done"


def _unless_refused(what: str, call: Callable[[], _Found]) -> tuple[_Found | None, tuple[str, ...]]:
    """What was found, or a note of the refusal; `EndpointError` stands for servers that do not have it, too."""
    try:
        return call(), ()
    except AccessDeniedError as error:
        return None, (f"{error.action} is not allowed",)
    except EndpointError as error:
        return None, (f"{what}: {error.message}",)


def _tags(connection: Connection, location: Location, version_id: str | None) -> Mapping[str, str]:
    answer = ask(connection, location, "get_object_tagging", **named(location, version_id))
    return {str(tag["Key"]): str(tag["Value"]) for tag in answer.get("TagSet", ())}


def _versions(connection: Connection, location: Location) -> list[Version]:
    """The versions of exactly this key: of all keys that begin so it is the first."""
    keys = {location.key, unquote_plus(location.key)}  # botocore decodes also what the server did not encode
    answer = ask(
        connection,
        location,
        "list_object_versions",
        Bucket=location.bucket,
        Prefix=location.key,
        MaxKeys=_VERSIONS + 1,
    )
    versions = [_version(version, marker=False) for version in answer.get("Versions", ()) if version["Key"] in keys]
    versions += [
        _version(version, marker=True) for version in answer.get("DeleteMarkers", ()) if version["Key"] in keys
    ]
    return sorted(versions, key=lambda version: (version.is_latest, version.last_modified or _LONG_AGO), reverse=True)


def _version(version: Mapping[str, Any], *, marker: bool) -> Version:
    return Version(
        version_id=str(version.get("VersionId", "null")),
        last_modified=_utc(version.get("LastModified")),
        size=None if marker else version.get("Size"),
        is_latest=bool(version.get("IsLatest")),
        is_delete_marker=marker,
        storage_class=None if marker else version.get("StorageClass"),
        etag=None if marker else str(version.get("ETag", "")).strip('"'),
    )
