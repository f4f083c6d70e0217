"""`manifest.json`: which data files a report has, and what is in them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import InventoryError, ObjectNotFoundError
from s3conn_magic.inventory.schema import field_names, has_versions, listing_names
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.ranged import received
from s3conn_magic.objects.requests import ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.connections.connection import Connection

_FORMATS = {"csv": "CSV", "orc": "ORC", "parquet": "Parquet"}
_BUCKET = re.compile(r"(?:arn:aws[a-z-]*:s3:::)?([A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9])")
_LARGEST = 64 * 1024 * 1024
_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_WHAT = "LIST FROM INVENTORY takes the manifest.json of an S3 Inventory report."


@dataclass(frozen=True, slots=True)
class DataFile:
    """One data file: where it is, its bytes, and its MD5 in hexadecimal or an empty text."""

    location: Location
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a report says of itself.

    Attributes:
        location: of the manifest.
        bucket: the bucket that the report is about.
        made_at: UTC, or None where it does not say.
        file_format: CSV, ORC or Parquet.
        names: the fields of the data files, in order, as they are written there.
        files: the data files.
        checked: whether a manifest.checksum was there; it agreed.
    """

    location: Location
    bucket: str
    made_at: datetime | None
    file_format: str
    names: tuple[str, ...]
    files: tuple[DataFile, ...]
    checked: bool = False

    @property
    def versions(self) -> bool:
        """Whether the report is of all versions."""
        return has_versions(self.names)


def read_manifest(connection: Connection, location: Location) -> Manifest:
    """Read a report's manifest and compare it with the `manifest.checksum` beside it.

    Raises:
        InventoryError: it is no manifest, its checksum is another one, or the report has no keys.
        S3ConnError: it cannot be read.
    """
    text = _read(connection, location)
    checked = _check(connection, location, text)
    return _manifest(location, _json(location, text), checked=checked)


def _read(connection: Connection, location: Location) -> bytes:
    answer = ask(connection, location, "get_object", Bucket=location.bucket, Key=location.key)
    stream, size = answer["Body"], int(answer["ContentLength"])
    try:
        if size > _LARGEST:
            raise _not_one(location, f"it has {size:,} bytes")
        body, failure = received(stream, size)
    finally:
        stream.close()
    if failure is not None:
        raise failure.of(visible(location.uri))
    if len(body) < size:
        raise InventoryError(f"{visible(location.uri)} was cut short on its way", hint="Run the statement again.")
    return body


def _check(connection: Connection, location: Location, text: bytes) -> bool:
    """Whether there is a checksum; one that disagrees is an error."""
    folder, slash, name = location.key.rpartition("/")
    beside = Location(location.bucket, f"{folder}{slash}{name.removesuffix('.json')}.checksum")
    try:
        told = _read(connection, beside).decode("ascii", "replace").strip()
    except ObjectNotFoundError:
        return False
    if told.lower() != md5(text, usedforsecurity=False).hexdigest():
        raise InventoryError(
            f"{visible(location.uri)} does not have the MD5 that {visible(beside.name)} beside it says",
            hint="It was changed, or is being written: read another report.",
        )
    return True


def _json(location: Location, text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _not_one(location, "it is no JSON object")
    return found


def _not_one(location: Location, why: str) -> InventoryError:
    return InventoryError(f"{visible(location.uri)} is not the manifest of an inventory: {why}", hint=_WHAT)


def _manifest(location: Location, found: Mapping[str, Any], *, checked: bool) -> Manifest:
    try:
        bucket = _bucket(_text(found, "sourceBucket"), "sourceBucket")
        file_format = _format(_text(found, "fileFormat"))
        names = field_names(_text(found, "fileSchema"), file_format)
        kept = _bucket(_text(found, "destinationBucket"), "destinationBucket")
        files = tuple(_file(kept, one) for one in _list(found, "files"))
    except ValueError as error:
        reason = str(error)
    else:
        if "key" not in listing_names(names):
            raise InventoryError(
                f"the inventory {visible(location.uri)} has no field Key, so it cannot be listed",
                notes=(f"It has {visible(', '.join(names))[:300]}.",),
            )
        return Manifest(location, bucket, _time(found), file_format, names, files, checked)
    raise _not_one(location, reason)


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"it has no {name}")
    return value


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    if not isinstance(value, list):
        raise ValueError(f"it has no {name}")
    return value


def _bucket(text: str, name: str) -> str:
    found = _BUCKET.fullmatch(text)
    if found is None:
        raise ValueError(f"its {name} is not the name of a bucket")
    return found[1]


def _format(text: str) -> str:
    if text.lower() not in _FORMATS:
        raise ValueError("its fileFormat is neither CSV nor ORC nor Parquet")
    return _FORMATS[text.lower()]


def _file(bucket: str, found: Any) -> DataFile:
    told = found if isinstance(found, dict) else {}
    key, size, digest = told.get("key"), told.get("size"), told.get("MD5checksum") or ""
    if not isinstance(key, str) or not key or type(size) is not int or size < 0:
        raise ValueError("one of its files lacks a key or a size")
    if not isinstance(digest, str) or (digest and not _MD5.fullmatch(digest)):
        raise ValueError("the MD5checksum of one of its files is none")
    return DataFile(Location(bucket, key), size, digest.lower())


def _time(found: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(found["creationTimestamp"]) / 1000, UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
