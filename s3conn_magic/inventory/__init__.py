"""Reports of S3 Inventory as listings, for buckets too large to list: find a report and its files.

open_manifest    reads a report, given its manifest.json or a folder above
reading          its data files in batches, as in a listing or as a query asks for them
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from s3conn_magic.errors import InventoryError, ObjectNotFoundError, S3ConnError
from s3conn_magic.inventory.manifest import WHAT, read_manifest
from s3conn_magic.language.words import listed
from s3conn_magic.listing.listing import fetch_page
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.requests import head_answer

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.inventory.manifest import DataFile, Manifest


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
        inventories = {key: max(dated) for key in below if (dated := [*filter(_REPORT.fullmatch, below[key])])}
        if len(inventories) == 1:
            ((key, name),) = inventories.items()
            return Location(folder.bucket, f"{key}{name}{_MANIFEST}")
        if inventories:
            names = [visible(Location(folder.bucket, key).uri) for key in sorted(inventories)[:_MOST_NAMED]]
            message = f"there are reports of {len(inventories)} inventories below {visible(folder.uri)}"
            raise InventoryError(message, hint=f"Name the folder of one: {listed(names, 'or')}.")
        level = [f"{key}{name}" for key in below for name in below[key] if name not in _NO_REPORTS][:_MOST_FOLDERS]
    raise InventoryError(f"there is no report of S3 Inventory below {visible(folder.uri)}", hint=WHAT)


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
    for folder in _candidate_folders(manifest):
        if _exists(connection, replace(first, location=folder.of(first.location))):
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


def _exists(connection: Connection, file: DataFile) -> bool:
    try:
        return int(head_answer(connection, file.location, None)["ContentLength"]) == file.size
    except S3ConnError:
        return False
