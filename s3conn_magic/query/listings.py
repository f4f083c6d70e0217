"""Keys below a path, through the listing engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.listing import Glob, Listing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.query.paths import Path
    from s3conn_magic.query.reading import Reading


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a listing: an object, or a folder, which has neither size nor time nor etag.

    Attributes:
        key: exact; a folder's ends with `/`.
        size: bytes, 0 of a folder.
        last_modified: UTC.
        etag: without its quotes.
        is_folder: whether it is a common prefix.
    """

    key: str
    size: int = 0
    last_modified: datetime | None = None
    etag: str = ""
    is_folder: bool = False


def directory(name: str) -> dict[str, Any]:
    """What fsspec is told of a folder."""
    return {"name": name, "size": 0, "type": "directory"}


def below(
    connection: Connection, path: Path, reading: Reading, *, recursive: bool, matching: Glob | None = None
) -> list[Entry]:
    """The objects below a prefix, and its folders where it is not recursive, in key order.

    Empty objects whose keys end with `/`, as consoles make them for folders, are left out.

    Raises:
        S3ConnError: it could not be listed whole.
    """
    reading.check()
    try:
        with Listing(
            connection.target(path.location.bucket),
            path.location.key,
            delimiter=None if recursive else "/",
            matching=matching,
        ) as listing:
            try:
                table = reading.during(listing).collect()
            finally:
                reading.listed(listing)
    except S3ConnError as error:
        reading.failed(error)
        raise
    reading.check()
    return [one for one in _entries(table.to_pydict()) if one.is_folder or one.size or not one.key.endswith("/")]


def matched(connection: Connection, path: Path, reading: Reading) -> list[Entry]:
    """The objects whose keys match the pattern that a path's key is.

    `*` matches within a segment, `**` across segments, `?` one character, `[a-z]` one of a class, `{a,b}` either.
    `[*]`, `[?]`, `[[]` and `[{]` stand for the characters themselves.

    Raises:
        ValueError: it is no pattern.
        S3ConnError: the bucket could not be listed whole.
    """
    folder, pattern = _split(path.location.key)
    found = below(
        connection,
        path.at(folder),
        reading,
        recursive="/" in pattern or "**" in pattern,
        matching=Glob.compile(pattern),
    )
    return [one for one in found if not one.is_folder]


def _split(pattern: str) -> tuple[str, str]:
    """The folders before the first wildcard, and the rest."""
    head = min((at for at in (pattern.find(one) for one in "*?[{") if at >= 0), default=len(pattern))
    end = pattern.rfind("/", 0, head) + 1
    return pattern[:end], pattern[end:]


def _entries(columns: dict[str, list[object]]) -> Iterator[Entry]:
    folders = columns.get("is_prefix") or [False] * len(columns["key"])
    for key, size, changed, etag, is_folder in zip(
        columns["key"], columns["size"], columns["last_modified"], columns["etag"], folders, strict=True
    ):
        yield Entry(str(key), int(size or 0), changed, str(etag or ""), bool(is_folder))  # type: ignore[arg-type, call-overload]
