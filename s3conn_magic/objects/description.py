"""Description of an object without reading it (HeadObject, GetObjectTagging, ListObjectVersions), and of a bucket."""

from __future__ import annotations

import re
import time
from concurrent.futures import wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from s3conn_magic.connections.signing import at_once, etag_of
from s3conn_magic.connections.writes import ENCRYPTION_METHODS
from s3conn_magic.errors import (
    AccessDeniedError,
    EndpointError,
    IncompleteListingError,
    ObjectNotFoundError,
    S3ConnError,
)
from s3conn_magic.listing import fetch_pages
from s3conn_magic.listing.request import PageQuery
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.requests import ask, by_client, head_answer, named
from s3conn_magic.runtime.background import run_in_background, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from s3conn_magic.connections.connection import Connection

_Found = TypeVar("_Found")
_VERSIONS = 100
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ARCHIVE_CLASSES = {"GLACIER", "DEEP_ARCHIVE"}
_CHECKSUMS = {f"Checksum{name}" for name in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")}
_RESTORE = re.compile(r'\s*ongoing-request="(true|false)"(?:\s*,\s*expiry-date="([^"]*)")?')


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an object, or a delete marker, which has neither size nor ETag."""

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
        etag: without quotes.
        version_id: None in a bucket without versioning.
        storage_class: `STANDARD` if the server does not name one.
        content_type: as uploaded.
        content_encoding: as uploaded, such as `gzip`.
        encryption: `SSE-S3`, `SSE-KMS <key's ARN>`, `DSSE-KMS <key's ARN>`, `SSE-C` or `none`.
        metadata: user metadata, names in lower case.
        tags: None if not requested or unreadable, as `notes` says.
        versions: newest first, at most 100; empty if not requested or unreadable.
        checksums: by algorithm, such as `{"CRC32": "…"}`, in Base64.
        archived: whether it must be restored before it can be read.
        restore: `in progress`, `until 2026-01-02 00:00 UTC`, or None without a restore.
        archive_status: `ARCHIVE_ACCESS` or `DEEP_ARCHIVE_ACCESS` for an archive tier of INTELLIGENT_TIERING.
        notes: what could not be read, and why.
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
    """Return the result of HeadObject: one request, without tags and versions.

    Raises:
        S3ConnError: the object does not exist, may not be read, or the server cannot be reached.
    """
    description = _description(location, head_answer(connection, location, version_id))
    description = replace(description, arn=connection.arn(location))
    return replace(description, version_id=description.version_id or (version_id if version_id != "null" else None))


def describe(connection: Connection, location: Location, *, version_id: str | None = None) -> Description:
    """Return the results of HeadObject, GetObjectTagging and ListObjectVersions: three requests.

    Unreadable tags or versions are a note, not a failure.

    Raises:
        S3ConnError: the object does not exist, may not be read, or the server cannot be reached.
    """
    described = head(connection, location, version_id=version_id)
    return with_tags_and_versions(connection, location, described, of_version=version_id is not None)


def with_tags_and_versions(
    connection: Connection, location: Location, description: Description, *, of_version: bool
) -> Description:
    """Return the description with tags and versions, by two requests; a refusal is a note.

    Args:
        connection: the connection.
        location: bucket and key.
        description: result of HeadObject.
        of_version: whether it is of a given version; tags of the current one need no permission for versions.

    Raises:
        S3ConnError: the connection was dropped, or the server cannot be reached.
    """
    version = description.version_id if of_version else None
    tags, no_tags = _unless_refused("tags", lambda: tags_of(connection, location, version))
    versions, no_versions = _unless_refused("versions", lambda: versions_of(connection, location))
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
        etag=etag_of(answer),
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


def _unless_refused(name: str, call: Callable[[], _Found]) -> tuple[_Found | None, tuple[str, ...]]:
    """Return the result of a call, or a note of its refusal; servers without the feature raise `EndpointError`."""
    try:
        return call(), ()
    except AccessDeniedError as error:
        return None, (f"{error.action} is not allowed",)
    except (EndpointError, IncompleteListingError) as error:
        return None, (f"{name}: {error.message}",)


def tags_of(connection: Connection, location: Location, version_id: str | None) -> Mapping[str, str]:
    """Return the tags of an object or of one of its versions.

    Raises:
        S3ConnError: they may not be read, or the server does not support them.
    """
    answer = ask(connection, location, "get_object_tagging", **named(location, version_id))
    return {str(tag["Key"]): str(tag["Value"]) for tag in answer.get("TagSet", ())}


def versions_of(connection: Connection, location: Location) -> list[Version]:
    """Return the versions of exactly this key, newest first, at most one more than 100.

    Raises:
        S3ConnError: they cannot be listed.
    """
    # The key comes first among those that begin with it.
    query = PageQuery(location.key, max_keys=_VERSIONS + 1, versions=True)
    (page,) = fetch_pages(connection.target(location.bucket), [query])
    if isinstance(page, S3ConnError):
        raise page
    versions = [_version(row) for row in page.objects.to_pylist() if row["key"] == location.key]
    # Some servers list all versions before all markers.
    return sorted(versions, key=lambda version: (version.is_latest, version.last_modified or _LONG_AGO), reverse=True)


def _version(row: Mapping[str, Any]) -> Version:
    known = {name: row[name] for name in ("last_modified", "size", "storage_class", "etag")}
    return Version(row["version_id"], is_latest=row["is_latest"], is_delete_marker=row["is_delete_marker"], **known)


def describe_deleted(connection: Connection, location: Location) -> Description:
    """Return the versions of a deleted object.

    Raises:
        ObjectNotFoundError: there are none.
        S3ConnError: they cannot be listed.
    """
    versions = versions_of(connection, location)[:_VERSIONS]
    if not versions:
        raise ObjectNotFoundError(
            f"nothing is left of {visible(location.uri)}", hint="Refresh shows the current state."
        )
    newest = versions[0]
    return Description(
        location.uri,
        connection.arn(location),
        newest.size or 0,
        newest.last_modified,
        storage_class="",
        versions=tuple(versions),
    )


# A bucket


def bucket_properties(connection: Connection, bucket: str) -> dict[str, str]:
    """Return the properties of a bucket in words, or why each cannot be read; requested in parallel.

    Raises:
        S3ConnError: the connection was dropped.
    """
    looks, end = [], time.monotonic() + _PATIENCE
    for each in _BUCKET:
        looks.append(run_in_background(partial(_property, connection, bucket, each), name="s3conn-bucket"))
        wait(looks if at_once(2) == 1 else ())
    return {each.name: _seen(look, end) for each, look in zip(_BUCKET, looks, strict=True)}


_TRIES = 1
"""Requests are not retried, since nobody may wait for their threads any more."""
_PATIENCE = 20.0
"""Seconds after which missing answers are given up."""


def _seen(look: Future[str], end: float) -> str:
    try:
        return wait_for(look, within=max(0.0, end - time.monotonic()))
    except TimeoutError:
        return f"no answer within {_PATIENCE:.0f} seconds"


class _Property(NamedTuple):
    """A property of a bucket: its request, its wording, and the error codes that mean it is not set."""

    name: str
    operation: str
    said: Callable[[Mapping[str, Any]], str]
    absent: frozenset[str] = frozenset()
    none: str = "none"


def _property(connection: Connection, bucket: str, which: _Property) -> str:
    try:
        place = Location(bucket)
        answer = by_client(connection, place, which.operation, absent=which.absent, tries=_TRIES, Bucket=bucket)
    except AccessDeniedError as error:
        return f"{error.action} is not allowed"
    except EndpointError as error:
        return f"cannot be seen: {error.message}"
    return which.said(answer) if answer else which.none


def _encryption_of_bucket(answer: Mapping[str, Any]) -> str:
    rules = answer["ServerSideEncryptionConfiguration"].get("Rules", [])
    texts = []
    for rule in rules:
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        method = str(default.get("SSEAlgorithm") or "")
        name = f"{ENCRYPTION_METHODS.get(method, method)} {default.get('KMSMasterKeyID') or ''}".strip()
        texts.append(f"{name}{', with a bucket key' if rule.get('BucketKeyEnabled') else ''}")
    return "; ".join(texts) or "none"


def _public_access(answer: Mapping[str, Any]) -> str:
    blocks = answer["PublicAccessBlockConfiguration"]
    off = [name for name in _BLOCKS if not blocks.get(name)]
    return "blocked" if not off else f"not blocked by {', '.join(off)}"


_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def _lifecycle(answer: Mapping[str, Any]) -> str:
    rules = [each for each in answer.get("Rules", []) if each.get("Status") == "Enabled"]
    return "; ".join(map(_rule, rules)) or "no rule is enabled"


def _rule(rule: Mapping[str, Any]) -> str:
    chosen = rule.get("Filter") or {}
    chosen = chosen.get("And", chosen)
    of = chosen.get("Prefix") or rule.get("Prefix") or "everything"
    done = [f"to {each.get('StorageClass')} {_when(each)}" for each in rule.get("Transitions", [])]
    expiry = rule.get("Expiration", {})
    done += [f"deleted {_when(expiry)}"] if {"Days", "Date"} & expiry.keys() else []
    done += ["lone delete markers go"] if expiry.get("ExpiredObjectDeleteMarker") else []
    old = rule.get("NoncurrentVersionExpiration", {})
    done += [f"old versions deleted after {old['NoncurrentDays']} days"] if "NoncurrentDays" in old else []
    unfinished = rule.get("AbortIncompleteMultipartUpload", {})
    done += [f"unfinished uploads ended after {unfinished['DaysAfterInitiation']} days"] if unfinished else []
    tagged = " with certain tags" if "Tag" in chosen or chosen.get("Tags") else ""
    return f"{of}{tagged}: {', '.join(done) or 'nothing'}"


def _when(step: Mapping[str, Any]) -> str:
    return f"after {step['Days']} days" if "Days" in step else f"on {step.get('Date', ''):%Y-%m-%d}"


_BUCKET = (
    _Property("Region", "get_bucket_location", lambda answer: str(answer.get("LocationConstraint") or "us-east-1")),
    _Property("Versioning", "get_bucket_versioning", lambda answer: str(answer.get("Status") or "never kept versions")),
    _Property(
        "Encryption",
        "get_bucket_encryption",
        _encryption_of_bucket,
        frozenset({"ServerSideEncryptionConfigurationNotFoundError"}),
    ),
    _Property(
        "Public access",
        "get_public_access_block",
        _public_access,
        frozenset({"NoSuchPublicAccessBlockConfiguration"}),
        "not blocked for this bucket; the account may block it",
    ),
    _Property(
        "Lifecycle",
        "get_bucket_lifecycle_configuration",
        _lifecycle,
        frozenset({"NoSuchLifecycleConfiguration"}),
    ),
    _Property(
        "Policy",
        "get_bucket_policy_status",
        lambda answer: "public" if answer.get("PolicyStatus", {}).get("IsPublic") else "not public",
        frozenset({"NoSuchBucketPolicy"}),
    ),
)
