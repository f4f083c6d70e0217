"""Reports of S3 Inventory as listings, for buckets too large to list: find a report and its files.

open_manifest    reads a report, given its manifest.json or a folder above
reading          its data files in batches, as in a listing or as a query asks for them
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final

from s3conn_magic.connections import signing
from s3conn_magic.errors import InventoryError, ObjectNotFoundError, S3ConnError, StatementInterrupted
from s3conn_magic.language.words import listed
from s3conn_magic.listing import fetch_page
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.ranged import PinnedObject
from s3conn_magic.objects.requests import ask, head_answer, received

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from typing import BinaryIO

    from s3conn_magic.connections.connection import Connection

COLUMNS: Final = {
    "key": "key",
    "size": "size",
    "lastmodifieddate": "last_modified",
    "etag": "etag",
    "storageclass": "storage_class",
    "versionid": "version_id",
    "islatest": "is_latest",
    "isdeletemarker": "is_delete_marker",
}
"""The fields that inventories share with listings, in lower case without underscores, and their names in listings."""

_VERSION_FIELDS = {"version_id", "is_latest", "is_delete_marker"}
_STRUCT = re.compile(r"\s*struct\s*<(.*)>\s*", re.DOTALL | re.IGNORECASE)
_MESSAGE = re.compile(r"\s*message\s+[\w.]+\s*\{(.*)\}\s*", re.DOTALL)
_OPENING, _CLOSING = "<({", ">)}"


def field_names(text: str, file_format: str) -> tuple[str, ...]:
    """Return the names in a manifest's `fileSchema`, in order, without nested ones.

    Args:
        text: names separated by commas for CSV, `struct<name:type,…>` for ORC, `message … { … }` for Parquet.
        file_format: CSV, ORC or Parquet.

    Raises:
        ValueError: it has another form; the message says which was expected.
    """
    if file_format == "CSV":
        names = [field.strip() for field in text.split(",")]
    elif file_format == "ORC":
        names = [field.partition(":")[0].strip().strip("`") for field in _cut(_inside(_STRUCT, text, "struct<…>"), ",")]
    else:
        names = [
            _parquet_name(field) for field in _cut(_inside(_MESSAGE, text, "message … { … }"), ";}") if field.strip()
        ]
    if not all(names):
        raise ValueError("a field has no name")
    return tuple(names)


def listing_names(names: Sequence[str]) -> dict[str, str]:
    """Return the fields shared with listings: the inventory's name by the listing's."""
    folded = {COLUMNS.get(name.replace("_", "").lower()): name for name in names}
    return {ours: theirs for ours, theirs in folded.items() if ours is not None}


def has_versions(names: Sequence[str]) -> bool:
    """Whether the inventory lists all versions."""
    return not _VERSION_FIELDS.isdisjoint(listing_names(names))


def _inside(pattern: re.Pattern[str], text: str, expected: str) -> str:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(f"{expected} was expected")
    return match[1]


def _cut(text: str, ends: str) -> Iterator[str]:
    """Yield the parts of a text that end at one of some characters outside all brackets, or at a closing bracket."""
    depth, begin = 0, 0
    for at, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0 and character in ends:
            yield text[begin:at]
            begin = at + 1
    if text[begin:].strip():
        yield text[begin:]


def _parquet_name(declared: str) -> str:
    """Return the name in `required binary key (UTF8)` or `optional group tags (LIST) { …`; empty if there is none."""
    words = declared.partition("{")[0].partition("(")[0].partition("=")[0].split()
    return words[-1] if len(words) > 2 else ""  # noqa: PLR2004 - repetition, type, name


_ADD_FIELD = "Choose that field in the bucket's inventory configuration: later reports have it. LIST needs no report."
_FORMATS = {"csv": "CSV", "orc": "ORC", "parquet": "Parquet"}
_BUCKET = re.compile(r"(?:arn:aws[a-z-]*:s3:::)?([A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9])")
_LARGEST_MANIFEST = 64 * 1024 * 1024
_MD5 = re.compile(r"[0-9a-fA-F]{32}")
WHAT = "Name the manifest.json of an S3 Inventory report, or the folder with its reports."
"""What to do if something is not a report."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file: location, size in bytes, and MD5 in hexadecimal or an empty text."""

    location: Location
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """An inventory report, as its manifest describes it.

    Attributes:
        location: location of the manifest.
        bucket: the bucket that was inventoried.
        made_at: UTC, or None if unknown.
        file_format: CSV, ORC or Parquet.
        names: names of the fields in the data files, in order, as written there.
        files: the data files.
        checked: whether it was checked against a manifest.checksum.
        notes: notes for the user on where it was found.
    """

    location: Location
    bucket: str
    made_at: datetime | None
    file_format: str
    names: tuple[str, ...]
    files: tuple[DataFile, ...]
    checked: bool = False
    notes: tuple[str, ...] = ()

    @property
    def versions(self) -> bool:
        """Whether the report lists all versions."""
        return has_versions(self.names)

    @property
    def as_of(self) -> str:
        """The note for every result from this report."""
        time = f"{self.made_at:%Y-%m-%d %H:%M} UTC" if self.made_at else "a time that it does not say"
        note = f"Inventory of {visible(self.bucket)} as of {time}: later changes are not in it."
        unchecked = () if self.checked else ("There is no manifest.checksum beside it to compare it with.",)
        return " ".join((note, *unchecked, *self.notes))

    def check_fields(self, *needed: str) -> None:
        """Check that the report has some fields, given by their names in listings.

        Raises:
            InventoryError: the report lacks one.
        """
        present = listing_names(self.names)
        for name in needed:
            if name not in present:
                raise InventoryError(
                    f"the inventory {visible(self.location.uri)} has no field for {name}, which is needed here",
                    hint=_ADD_FIELD,
                    notes=(f"It has {visible(', '.join(self.names))[:300]}.",),
                )


def read_manifest(connection: Connection, location: Location) -> Manifest:
    """Read a report's manifest and check it against the `manifest.checksum` beside it.

    Raises:
        InventoryError: it is not a manifest, its checksum differs, or the report has no keys.
        S3ConnError: it cannot be read.
    """
    text = _read(connection, location)
    checked = _check_checksum(connection, location, text)
    return _manifest(location, _json(location, text), checked=checked)


def _read(connection: Connection, location: Location) -> bytes:
    answer = ask(connection, location, "get_object", Bucket=location.bucket, Key=location.key)
    stream, size = answer["Body"], int(answer["ContentLength"])
    try:
        if size > _LARGEST_MANIFEST:
            raise _no_manifest(location, f"it has {size:,} bytes")
        body, failure = received(stream, size)
    finally:
        stream.close()
    if failure is not None:
        raise failure.of(visible(location.uri))
    if len(body) < size:
        raise InventoryError(f"{visible(location.uri)} was cut short in transit", hint="Run the statement again.")
    return body


def _check_checksum(connection: Connection, location: Location, text: bytes) -> bool:
    """Whether there is a checksum; raise an InventoryError if it differs."""
    folder, slash, name = location.key.rpartition("/")
    beside = Location(location.bucket, f"{folder}{slash}{name.removesuffix('.json')}.checksum")
    try:
        said = _read(connection, beside).decode("ascii", "replace").strip()
    except ObjectNotFoundError:
        return False
    if said.lower() != md5(text, usedforsecurity=False).hexdigest():
        raise InventoryError(
            f"{visible(location.uri)} does not have the MD5 that {visible(beside.name)} beside it says",
            hint="It was changed, or is being written: read another report.",
        )
    return True


def _json(location: Location, text: bytes) -> Mapping[str, Any]:
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict):
        raise _no_manifest(location, "it is not a JSON object")
    return manifest


def _no_manifest(location: Location, why: str) -> InventoryError:
    return InventoryError(f"{visible(location.uri)} is not the manifest of an inventory: {why}", hint=WHAT)


def _manifest(location: Location, manifest: Mapping[str, Any], *, checked: bool) -> Manifest:
    try:
        bucket = _bucket(_text(manifest, "sourceBucket"), "sourceBucket")
        file_format = _format(_text(manifest, "fileFormat"))
        names = field_names(_text(manifest, "fileSchema"), file_format)
        destination = _bucket(_text(manifest, "destinationBucket"), "destinationBucket")
        files = tuple(_file(destination, file) for file in _list(manifest, "files"))
    except ValueError as error:
        reason = str(error)
    else:
        if "key" not in listing_names(names):
            raise InventoryError(
                f"the inventory {visible(location.uri)} has no field Key, so it cannot be listed",
                hint=_ADD_FIELD,
                notes=(f"It has {visible(', '.join(names))[:300]}.",),
            )
        return Manifest(location, bucket, _time(manifest), file_format, names, files, checked)
    raise _no_manifest(location, reason)


def _text(manifest: Mapping[str, Any], name: str) -> str:
    value = manifest.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"it has no {name}")
    return value


def _list(manifest: Mapping[str, Any], name: str) -> list[Any]:
    value = manifest.get(name)
    if not isinstance(value, list):
        raise ValueError(f"it has no {name}")
    return value


def _bucket(text: str, name: str) -> str:
    match = _BUCKET.fullmatch(text)
    if match is None:
        raise ValueError(f"its {name} is not the name of a bucket")
    return match[1]


def _format(text: str) -> str:
    if text.lower() not in _FORMATS:
        raise ValueError("its fileFormat is neither CSV nor ORC nor Parquet")
    return _FORMATS[text.lower()]


def _file(bucket: str, written: Any) -> DataFile:
    entry = written if isinstance(written, dict) else {}
    key, size, digest = entry.get("key"), entry.get("size"), entry.get("MD5checksum") or ""
    if not isinstance(key, str) or not key or type(size) is not int or size < 0:
        raise ValueError("one of its files lacks a key or a size")
    if not isinstance(digest, str) or (digest and not _MD5.fullmatch(digest)):
        raise ValueError("the MD5checksum of one of its files is not a checksum")
    return DataFile(Location(bucket, key), size, digest.lower())


def _time(manifest: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(manifest["creationTimestamp"]) / 1000, UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


PART = 8 * 1024 * 1024
"""Bytes per request; the last request for a file may be smaller."""
_PART_TRIES = 4
_AGAIN = "It was changed, or is being written: read another report."


@dataclass
class Counts:
    """Totals of one statement's downloads so far."""

    requests: int = 0
    received: int = 0
    began: float = 0.0


class ReportDownloads:
    """Downloads the data files of one statement. All members can be used from any thread.

    Args:
        connection: the connection to read with.
        at_once: most requests under way.
    """

    def __init__(self, connection: Connection, at_once: int) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(signing.at_once(at_once), "s3conn-inventory-parts")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.counts = Counts(began=time.monotonic())

    def stop(self) -> None:
        """Stop all downloads, without waiting for them to end."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def fetch(self, file: DataFile, into: BinaryIO, ahead: int) -> None:
        """Write the bytes of a data file.

        Args:
            file: the data file.
            into: where to write.
            ahead: most requests for it under way.

        Raises:
            InventoryError: its size or MD5 is not the one in the manifest.
            StatementInterrupted: it was stopped.
            S3ConnError: it cannot be read.
        """
        digest = md5(usedforsecurity=False)
        for part in self._parts(file, ahead):
            digest.update(part)
            into.write(part)
        if file.md5 and digest.hexdigest() != file.md5:
            name = visible(file.location.uri)
            raise InventoryError(f"the data file {name} does not have the MD5 that the manifest says", hint=_AGAIN)

    def _parts(self, file: DataFile, ahead: int) -> Iterator[bytes]:
        """Yield the bytes in order, with some requests ahead of the part that is awaited."""
        pinned = self._pinned(file)
        under_way: deque[Future[bytes]] = deque()
        for start in range(0, file.size, PART):
            if len(under_way) == ahead:
                yield under_way.popleft().result()
            self._check_running()
            under_way.append(self._pool.submit(self._part, pinned, start, min(start + PART, file.size)))
        while under_way:
            yield under_way.popleft().result()

    def _pinned(self, file: DataFile) -> PinnedObject:
        self._check_running()
        self._count(1, 0)
        answer = head_answer(self._connection, file.location, None)
        size = int(answer["ContentLength"])
        if size != file.size:
            name = visible(file.location.uri)
            sizes = f"{size:,} bytes, not the {file.size:,} that the manifest says"
            raise InventoryError(f"the data file {name} has {sizes}", hint=_AGAIN)
        return PinnedObject(self._connection, file.location, size, signing.etag_of(answer))

    def _part(self, pinned: PinnedObject, start: int, stop: int) -> bytes:
        self._check_running()
        body = pinned.get(start, stop, tries=_PART_TRIES, stopped=self._stop.is_set)
        self._count(1, len(body))
        return body

    def _count(self, requests: int, received: int) -> None:
        with self._lock:
            self.counts.requests += requests
            self.counts.received += received

    def _check_running(self) -> None:
        if self._stop.is_set():
            raise StatementInterrupted("the statement was stopped")


def open_manifest(connection: Connection, location: Location) -> Manifest:
    """Return the report of a manifest, or the newest report below a folder, with its files located.

    Raises:
        InventoryError: as `read_manifest`; or there is no report below the folder, or there are several inventories.
        S3ConnError: it cannot be read.
    """
    if location.key and not location.key.endswith("/"):
        try:
            return _with_files(connection, read_manifest(connection, location))
        except ObjectNotFoundError:
            if location.key.endswith(_ENDINGS):
                raise
        location = Location(location.bucket, f"{location.key}/")
    where = _newest(connection, location)
    manifest = read_manifest(connection, where)
    note = f"The newest report below {visible(location.uri)} is {visible(where.uri)}."
    return _with_files(connection, replace(manifest, notes=(note,)))


_ENDINGS = (".json", ".checksum", ".txt", ".gz", ".csv", ".orc", ".parquet")
_REPORT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}Z/")
_MANIFEST = "manifest.json"
_NO_REPORTS = ("data/", "hive/")
_MOST_LEVELS, _MOST_FOLDERS, _MOST_NAMED = 4, 100, 5
"""Depth to search for reports below a folder, folders to search per level, and inventories to name in the error."""


def _newest(connection: Connection, folder: Location) -> Location:
    """Return the manifest of the newest report below a folder, judging by S3's names for the folders of reports."""
    level = [folder.key]
    for _ in range(_MOST_LEVELS):
        below = {key: _folders(connection, folder.bucket, key) for key in level}
        for key, names in below.items():
            if _MANIFEST in names:
                return Location(folder.bucket, f"{key}{_MANIFEST}")
        inventories = {key: dated for key in below if (dated := sorted(filter(_REPORT.fullmatch, below[key])))}
        if len(inventories) == 1:
            ((key, dated),) = inventories.items()
            reports = [Location(folder.bucket, f"{key}{name}{_MANIFEST}") for name in reversed(dated)]
            # A report that is being written or copied has no manifest yet.
            return next((report for report in reports if not _is_missing(connection, report)), reports[0])
        if inventories:
            names = [visible(Location(folder.bucket, key).uri) for key in sorted(inventories)[:_MOST_NAMED]]
            message = f"there are reports of {len(inventories)} inventories below {visible(folder.uri)}"
            raise InventoryError(message, hint=f"Name the folder of one: {listed(names, 'or')}.")
        level = [f"{key}{name}" for key in below for name in below[key] if name not in _NO_REPORTS][:_MOST_FOLDERS]
    message = f"there is no report of S3 Inventory within {_MOST_LEVELS} folders below {visible(folder.uri)}"
    raise InventoryError(message, hint=WHAT)


def _folders(connection: Connection, bucket: str, key: str) -> list[str]:
    """Return the names of the folders in a folder, or only the manifest's name if it is there."""
    target, token = connection.target(bucket), None
    names: list[str] = []
    while True:
        page = fetch_page(target, prefix=key, delimiter="/", token=token)
        names += [name.removeprefix(key) for name in page.prefixes]
        if f"{key}{_MANIFEST}" in page.objects.column(0).to_pylist():
            return [_MANIFEST]
        token = page.next_token
        if token is None:
            return names


def _with_files(connection: Connection, manifest: Manifest) -> Manifest:
    """Return a manifest with the locations of its data files: as it says, or beside it if the report was copied.

    Raises:
        S3ConnError: the first file is in neither place; the error is that of the place in the manifest.
    """
    if not manifest.files or _is_in_place(manifest):
        return manifest
    first = manifest.files[0]
    try:
        head_answer(connection, first.location, None)
    except S3ConnError as error:
        missing = error
    else:
        return manifest
    sizes = {folder: _size(connection, folder.of(first.location)) for folder in _candidate_folders(manifest)}
    # Where none has the manifest's size, the size of the one that is there is the error.
    there = [folder for folder, size in sizes.items() if size is not None]
    for folder in sorted(there, key=lambda folder: sizes[folder] != first.size)[:1]:
        where = visible(Location(manifest.location.bucket, folder.key).uri)
        note = f"The report was copied: its data files are read from {where}, beside its manifest."
        files = tuple(replace(file, location=folder.of(file.location)) for file in manifest.files)
        return replace(manifest, files=files, notes=(*manifest.notes, note))
    missing.notes += ("The data files are not beside the manifest either.",)
    raise missing


def _is_in_place(manifest: Manifest) -> bool:
    """Whether the manifest is where S3 puts it, two folders below the folder of the data files' folder."""
    first, own = manifest.files[0].location, manifest.location
    return first.bucket == own.bucket and _parent(_parent(first.key)) == _parent(_parent(own.key))


def _parent(key: str) -> str:
    folder, slash, _ = key.removesuffix("/").rpartition("/")
    return folder + slash


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to which data files may have been copied; with `whole`, they keep their full keys below it."""

    bucket: str
    key: str
    whole: bool = False

    def of(self, before: Location) -> Location:
        name = before.key if self.whole else before.key.rpartition("/")[2]
        return Location(self.bucket, f"{self.key}{name}")


def _candidate_folders(manifest: Manifest) -> list[_Folder]:
    """Return where data files may be: under the same keys, in `data/` of inventory or report, or with the manifest."""
    bucket, folder = manifest.location.bucket, _parent(manifest.location.key)
    near = [_Folder(bucket, key) for key in (f"{_parent(folder)}data/", f"{folder}data/", folder)]
    return [_Folder(bucket, "", whole=True), *near]


def _is_missing(connection: Connection, location: Location) -> bool:
    try:
        head_answer(connection, location, None)
    except ObjectNotFoundError:
        return True
    except S3ConnError:
        return False  # reading it raises this
    return False


def _size(connection: Connection, location: Location) -> int | None:
    """Return the size of an object, or None if it cannot be read."""
    try:
        return int(head_answer(connection, location, None)["ContentLength"])
    except S3ConnError:
        return None
