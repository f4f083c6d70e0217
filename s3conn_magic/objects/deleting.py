"""Delete objects only if they are as the user saw them; and restore them.

A condition checked by the server is best, but some servers ignore or refuse it. So each object is checked right before
its request, with the condition if the server may support it.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlencode

from s3conn_magic.connections.clients import first_page
from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.signing import at_once
from s3conn_magic.connections.writes import DENIED, LACKING, MISSING, UNMET, Removal
from s3conn_magic.errors import ObjectNotFoundError, S3ConnError, StatementInterrupted
from s3conn_magic.listing import Listing
from s3conn_magic.listing.analysis import GB, STORAGE_USD
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.description import tags_of, versions_of
from s3conn_magic.objects.requests import ask, head_answer, named
from s3conn_magic.runtime.background import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.connections.writes import Removed
    from s3conn_magic.objects.description import Description


BATCH = 1_000
"""Most keys of one DeleteObjects request."""
_LOOKED_AT = 200
"""Objects checked and then deleted by one request: few, so that little time passes between."""
# XML 1.0 cannot represent these, so a key with one cannot be in the body of DeleteObjects.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\r\ud800-\udfff\ufffe\uffff]")
CHANGED = "changed since it was shown"
_LOOKS_AT_ONCE = 16
_UNKNOWN = LACKING | {"MalformedXML"}
"""Codes for an unsupported condition."""
_NOT_TOGETHER = _UNKNOWN | {"MissingContentMD5", "InvalidDigest", "BadDigest", "NotSupported", "411", "404"}
"""Codes for an unsupported DeleteObjects, or boto3's checksum of it."""
_UNSEEN = DENIED | {"400"}
Standing = Literal["same", "listed", "changed", "missing"]
"""`listed`: equal as far as a listing shows, because HeadObject is not possible or conclusive."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What to delete: one object, or with `is_prefix` everything below."""

    location: Location
    is_prefix: bool = False
    size: int | None = None
    etag: str | None = None


@dataclass(slots=True)
class SeenObjects:
    """Objects of a choice, as they were seen.

    Attributes:
        keys: exact keys by bucket, with ETags if the server returned them.
        bytes: sum of the known sizes.
        complete: False if there are more than `most`.
    """

    keys: dict[str, dict[str, str | None]] = field(default_factory=dict)
    bytes: int = 0
    complete: bool = True

    def __len__(self) -> int:
        return sum(map(len, self.keys.values()))

    def add(self, bucket: str, key: str, size: int, etag: str | None) -> None:
        """Add a key, unless it was seen before."""
        keys = self.keys.setdefault(bucket, {})
        self.bytes += 0 if key in keys else size
        keys.setdefault(key, etag)


def find(connection: Connection, chosen: Sequence[Chosen], *, most: int, cancelled: Callable[[], bool]) -> SeenObjects:
    """Return every object of a choice, by listing its prefixes.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        IncompleteListingError, S3ConnError: a prefix could not be listed completely.
    """
    connection.refuse_if_read_only("a deletion")
    return objects_below(connection, chosen, most=most, cancelled=cancelled)


def objects_below(
    connection: Connection, chosen: Sequence[Chosen], *, most: int, cancelled: Callable[[], bool]
) -> SeenObjects:
    """Return every object of a choice, for any purpose; raises as `find`."""
    seen = SeenObjects()
    # An object counts as it was shown, not as it is listed now.
    for choice in sorted(chosen, key=lambda choice: choice.is_prefix):
        if choice.is_prefix and not cancelled():
            _find_below(connection, choice.location, seen, most, cancelled)
        elif not choice.is_prefix:
            seen.add(choice.location.bucket, choice.location.key, choice.size or 0, choice.etag)
    return seen


def _find_below(
    connection: Connection, location: Location, seen: SeenObjects, most: int, cancelled: Callable[[], bool]
) -> None:
    with Listing(connection.target(location.bucket), location.key) as listing:
        for page in listing.pages(keep=False):
            columns = (page.objects.column(name).to_pylist() for name in ("key", "size", "etag"))
            for key, size, etag in zip(*columns, strict=True):
                seen.add(location.bucket, key, size, etag)
            if len(seen) > most:
                seen.complete = False
            if cancelled() or not seen.complete:
                return


@dataclass(frozen=True, slots=True)
class Deleted:
    """Result of one request: number deleted, and the keys that failed with the server's codes.

    Attributes:
        missing: how many did not exist any more.
    """

    count: int
    failures: Mapping[str, str]
    missing: int = 0


def versioning(connection: Connection, bucket: str) -> str | None:
    """Return `Enabled`, `Suspended`, or empty for a bucket that never had versioning; None if unknown."""
    try:
        answer = ask(connection, Location(bucket), "get_bucket_versioning", Bucket=bucket)
    except S3ConnError:
        return None
    return str(answer.get("Status") or "")


def delete(
    connection: Connection, bucket: str, keys: Sequence[str], *, cancelled: Callable[[], bool]
) -> Iterator[Deleted]:
    """Delete keys in their current state, `BATCH` per request.

    With versioning each gets a delete marker, and its versions stay.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        S3ConnError: a whole request was refused; earlier ones took effect.
    """
    connection.refuse_if_read_only("a deletion")
    client = connection.internal_client(bucket)
    for at in range(0, len(keys), BATCH):
        if cancelled():
            return
        conditions = dict.fromkeys(keys[at : at + BATCH], "")
        failures = translated(partial(_delete_keys, client, bucket, conditions), resource=Location(bucket).arn)
        yield Deleted(len(conditions) - len(failures), failures)


def delete_as_seen(
    connection: Connection, bucket: str, seen: Mapping[str, str | None], *, cancelled: Callable[[], bool]
) -> Iterator[Deleted]:
    """Delete keys that still have the ETag that was seen, `_LOOKED_AT` per request.

    With versioning each gets a delete marker, and its versions stay.

    Args:
        connection: of the bucket.
        bucket: of the keys.
        seen: ETag by key, or None if the server gave none: such an object is deleted in any state.
        cancelled: checked between requests.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        S3ConnError: a whole request was refused; earlier ones took effect.
    """
    connection.refuse_if_read_only("a deletion")
    client, keys = connection.internal_client(bucket), list(seen)
    with ThreadPoolExecutor(at_once(_LOOKS_AT_ONCE)) as pool:
        for at in range(0, len(keys), _LOOKED_AT):
            batch = {key: _etag(seen[key]) for key in keys[at : at + _LOOKED_AT]}
            if cancelled():
                return
            yield translated(partial(_delete_batch, pool, client, bucket, batch), resource=Location(bucket).arn)


def _delete_batch(pool: ThreadPoolExecutor, client: Any, bucket: str, batch: Mapping[str, str]) -> Deleted:
    standings = pool.map(partial(_standing, client, bucket), batch, batch.values())
    return _delete(client, bucket, batch, dict(zip(batch, standings, strict=True)))


def _etag(text: str | None) -> str:
    return (text or "").removeprefix("W/").strip('"')


def _standing(client: Any, bucket: str, key: str, etag: str) -> Standing:
    """Return whether an object has changed.

    If HeadObject is not permitted, needs a customer key, or returns another ETag than listings (as some servers always
    do), a listing of the key decides.
    """
    if not etag:
        return "listed"
    try:
        answer = client.head_object(Bucket=bucket, Key=key)
    except client.exceptions.ClientError as error:
        if _code(error) in MISSING:
            return "missing"
        if _code(error) not in _UNSEEN:
            raise
    else:
        if _etag(answer.get("ETag")) == etag:
            return "same"
    page = first_page(client, Bucket=bucket, Prefix=key, MaxKeys=1)
    listed = next((entry for entry in page.get("Contents", []) if entry["Key"] == key), None)
    if listed is None:
        return "missing"
    return "listed" if _etag(listed.get("ETag")) == etag else "changed"


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code") or "refused")


def _delete(client: Any, bucket: str, batch: Mapping[str, str], standings: Mapping[str, Standing]) -> Deleted:
    replaced = {key: CHANGED for key, standing in standings.items() if standing == "changed"}
    missing = sum(standing == "missing" for standing in standings.values())
    unchanged = [key for key in batch if standings[key] in {"same", "listed"}]
    conditions = {key: f'"{batch[key]}"' if standings[key] == "same" else "" for key in unchanged}
    failures = replaced | _delete_keys(client, bucket, conditions)
    return Deleted(len(batch) - len(failures) - missing, failures, missing)


def _delete_keys(client: Any, bucket: str, conditions: Mapping[str, str]) -> dict[str, str]:
    """Delete keys on their conditions (if any); return those that failed, with the reason."""
    together = [key for key in conditions if not _NOT_IN_XML.search(key)]
    failures = _delete_together(client, bucket, together, conditions) if together else {}
    apart = [key for key in conditions if _NOT_IN_XML.search(key)]
    return failures | _delete_each(client, bucket, apart, conditions)


def _delete_together(client: Any, bucket: str, keys: Sequence[str], conditions: Mapping[str, str]) -> dict[str, str]:
    """Return the keys that were not deleted, with the reason."""
    wanted = [{"Key": key} | ({"ETag": conditions[key]} if conditions[key] else {}) for key in keys]
    try:
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": wanted, "Quiet": False})
    except client.exceptions.ClientError as error:
        if _code(error) in _UNKNOWN | UNMET and any(conditions[key] for key in keys):
            return _delete_together(client, bucket, keys, dict.fromkeys(keys, ""))
        if _code(error) not in _NOT_TOGETHER:
            raise
        return _delete_each(client, bucket, keys, conditions)
    refused = {str(error.get("Key", "")): str(error.get("Code") or "refused") for error in answer.get("Errors", [])}
    deleted_keys = {deleted.get("Key") for deleted in answer.get("Deleted", [])}
    unsaid = {key: "the server did not say" for key in keys if key not in deleted_keys and key not in refused}
    unknown = [
        key
        for key, code in refused.items()
        if conditions.get(key)
        and (code in _UNKNOWN or (code in UNMET and _is_met(client, bucket, key, conditions[key])))
    ]
    again = _delete_together(client, bucket, unknown, dict.fromkeys(unknown, "")) if unknown else {}
    left = {key: CHANGED if code in UNMET else code for key, code in refused.items() if key not in unknown}
    return {**left, **unsaid, **again}


def _delete_each(client: Any, bucket: str, keys: Sequence[str], conditions: Mapping[str, str]) -> dict[str, str]:
    """Return the same, with a request for each key."""
    failures: dict[str, str] = {}
    for key in keys:
        failures |= _delete_one(client, bucket, key, conditions[key])
    return failures


def _is_met(client: Any, bucket: str, key: str, condition: str) -> bool:
    """Return whether a condition holds that the server calls unmet: some compare ETags with and without quotes."""
    return _standing(client, bucket, key, _etag(condition)) in {"same", "listed"}


def _delete_one(client: Any, bucket: str, key: str, condition: str) -> dict[str, str]:
    try:
        client.delete_object(Bucket=bucket, Key=key, **({"IfMatch": condition} if condition else {}))
    except client.exceptions.ClientError as error:
        code = _code(error)
        if condition and (code in _UNKNOWN or (code in UNMET and _is_met(client, bucket, key, condition))):
            return _delete_one(client, bucket, key, "")
        return {key: CHANGED if code in UNMET else code}
    return {}


def all_below(connection: Connection, folder: Location) -> list[str]:
    """Return every key below a bucket or a folder, including folder markers.

    Raises:
        ReadOnlyConnectionError, S3ConnError: as in `find`.
    """
    inside = Location(folder.bucket, f"{folder.key.rstrip('/')}/" if folder.key else "")
    seen = find(connection, [Chosen(inside, is_prefix=True)], most=2**63, cancelled=lambda: False)
    return [key for keys in seen.keys.values() for key in keys]


def delete_unchanged(connection: Connection, bucket: str, seen: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Delete objects, those with an ETag only if they still have it; yield those that stay, with the reason.

    Raises:
        ReadOnlyConnectionError, S3ConnError: as in `delete`.
    """
    exact = any(etag is not None for etag in seen.values())
    step: Any = delete_as_seen if exact else delete
    for done in step(connection, bucket, seen if exact else list(seen), cancelled=lambda: False):
        yield from done.failures.items()


class ExactDeletion:
    """Deletes objects of a bucket that are still as they were seen; see `Removal`.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
    """

    def __init__(self, connection: Connection, bucket: str) -> None:
        connection.refuse_if_read_only("a deletion")
        self._bucket = bucket
        self._removal = Removal(connection.internal_client(bucket))

    @property
    def lacking(self) -> str:
        """Why each object is checked before its deletion; empty if the server supports the condition."""
        return self._removal.lacking

    def delete(self, key: str, etag: str, version: str = "") -> Removed:
        """Delete an object, or one version of it.

        Raises:
            S3ConnError: the server refused; the object still exists.
        """
        step = partial(self._removal.remove, self._bucket, key, etag, version)
        return translated(step, resource=Location(self._bucket, key).arn)


# Restoring

_COPIED_AT_ONCE = 5 * 1024**3
_COPIED_PART, _PARTS_AT_MOST, _PARTS_AT_ONCE = 256 * 1024**2, 10_000, 8
_DAYS_IN_MONTH = 30
THAWED_DAYS = 7
"""Days that a restored copy lasts."""


def copy_version(
    connection: Connection,
    location: Location,
    version_id: str,
    *,
    copied: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> None:
    """Make a version current by copying it with metadata and tags; existing versions stay.

    Args:
        connection: the connection.
        location: bucket and key.
        version_id: the version.
        copied: called with the bytes copied and the total, if several requests are needed.
        cancelled: checked between requests.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        S3ConnError: the version does not exist, the copy was cancelled or refused; the current version stays.
    """
    connection.refuse_if_read_only("a restore")
    answer = head_answer(connection, location, version_id)
    storage, size = answer.get("StorageClass"), int(answer["ContentLength"])
    about = {name: answer[name] for name in _NEVER_COPIED if answer.get(name)}
    about |= {"StorageClass": storage} if storage in _KEPT_CLASSES else {}
    origin = {"Bucket": location.bucket, "Key": location.key, "VersionId": version_id}
    if size <= _COPIED_AT_ONCE:
        ask(connection, location, "copy_object", CopySource=origin, **about, **named(location, None))
        return
    about |= {name: answer[name] for name in _COPIED_WHOLE if answer.get(name)}
    # Read before copying, so that no copy without tags becomes current.
    if tags := tags_of(connection, location, version_id):
        about["Tagging"] = urlencode(tags)

    def step(done: int) -> None:
        copied(done, size)
        if cancelled():
            raise StatementInterrupted("the copy was stopped")

    copy = partial(_copy_in_parts, connection.internal_client(location.bucket), origin, size, about, step)
    translated(copy, resource=location.arn)


_KEPT_CLASSES = STORAGE_USD.keys() - {"STANDARD", "GLACIER", "DEEP_ARCHIVE"}
"""An archived version is copied to an immediately readable class."""
_NEVER_COPIED = ("WebsiteRedirectLocation",)
_COPIED_WHOLE = (
    *("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage"),
    *("ContentType", "Expires", "Metadata"),
)
"""What CopyObject copies by itself, and a copy in parts does not."""


def _copy_in_parts(
    client: Any, origin: Mapping[str, str], size: int, about: Mapping[str, Any], step: Callable[[int], None]
) -> None:
    to = {name: origin[name] for name in ("Bucket", "Key")}
    each = max(_COPIED_PART, -(-size // _PARTS_AT_MOST))
    begun = {**to, "UploadId": client.create_multipart_upload(**to, **about)["UploadId"]}

    def copy(start: int) -> dict[str, Any]:
        step(start)
        which = {"PartNumber": start // each + 1, "CopySourceRange": f"bytes={start}-{min(start + each, size) - 1}"}
        part = client.upload_part_copy(**begun, **which, CopySource=origin)["CopyPartResult"]
        tags = {name: text for name, text in part.items() if name == "ETag" or name.startswith("Checksum")}
        return {"PartNumber": which["PartNumber"], **tags}

    try:
        parts = [*in_order(copy, range(0, size, each), at_once(_PARTS_AT_ONCE), name="s3conn-copy")]
        step(size)
        client.complete_multipart_upload(**begun, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(client.exceptions.NoSuchUpload):
            client.abort_multipart_upload(**begun)
        raise


def undelete(connection: Connection, location: Location) -> None:
    """Restore a deleted object by deleting the markers that hide its newest version.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        ObjectNotFoundError: no version is left.
        S3ConnError: the server refused.
    """
    connection.refuse_if_read_only("a restore")
    versions = versions_of(connection, location)
    if all(each.is_delete_marker for each in versions):
        raise ObjectNotFoundError(f"no version of {visible(location.uri)} is left", hint="It cannot be brought back.")
    # Only the server knows the order of two written in the same second.
    while versions and versions[0].is_delete_marker:
        which = {"Bucket": location.bucket, "Key": location.key, "VersionId": versions[0].version_id}
        ask(connection, location, "delete_object", **which)
        versions = versions_of(connection, location)


Tier = Literal["Bulk", "Standard", "Expedited"]


class _Price(NamedTuple):
    """Dollars per GB and per request, and the time it takes."""

    gb: float
    request: float
    takes: str


_PRICES: Mapping[tuple[str, Tier], _Price] = {
    ("GLACIER", "Bulk"): _Price(0.0, 0.0, "5 to 12 hours"),
    ("GLACIER", "Standard"): _Price(0.01, 0.05 / 1000, "3 to 5 hours"),
    ("GLACIER", "Expedited"): _Price(0.03, 10 / 1000, "1 to 5 minutes"),
    ("DEEP_ARCHIVE", "Bulk"): _Price(0.0025, 0.025 / 1000, "up to 48 hours"),
    ("DEEP_ARCHIVE", "Standard"): _Price(0.02, 0.10 / 1000, "up to 12 hours"),
}
"""S3's list prices of us-east-1, 2025, as `STORAGE_USD`."""


@dataclass(frozen=True, slots=True)
class Thaw:
    """A possible restore from the archive.

    Attributes:
        tier: speed.
        takes: duration, in words.
        usd: dollars for the request.
        usd_kept: dollars for the copy while it lasts.
    """

    tier: Tier
    takes: str
    usd: float
    usd_kept: float


def thaws(description: Description) -> list[Thaw]:
    """Return the possible restores of an archived object with their prices; empty if it needs none.

    From an archive tier of INTELLIGENT_TIERING the object itself is restored, which is free unless expedited.
    """
    if not description.archived or description.restore == "in progress":
        return []
    gb = description.size / GB
    if description.archive_status:
        deep = description.archive_status == "DEEP_ARCHIVE_ACCESS"
        kind = "DEEP_ARCHIVE" if deep else "GLACIER"
        free = [(tier, price.takes) for (archive, tier), price in _PRICES.items() if archive == kind]
        return [Thaw(tier, takes, 0.0, 0.0) for tier, takes in free]
    kept = STORAGE_USD["STANDARD"] * gb * THAWED_DAYS / _DAYS_IN_MONTH
    known = [(tier, price) for (storage, tier), price in _PRICES.items() if storage == description.storage_class]
    return [Thaw(tier, price.takes, price.gb * gb + price.request, kept) for tier, price in known]


def thaw(connection: Connection, location: Location, description: Description, tier: str) -> None:
    """Request a readable copy of an archived object for `THAWED_DAYS`.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        S3ConnError: the server refused.
    """
    connection.refuse_if_read_only("a restore")
    request: dict[str, Any] = {"GlacierJobParameters": {"Tier": tier}}
    if not description.archive_status:
        request["Days"] = THAWED_DAYS
    version = {"VersionId": description.version_id} if description.version_id else {}
    which = {"Bucket": location.bucket, "Key": location.key, **version}
    ask(connection, location, "restore_object", RestoreRequest=request, **which)
