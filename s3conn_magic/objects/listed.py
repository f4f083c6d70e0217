"""Paths of a query (`s3://bucket/key`, `s3://name@bucket/key`) and the objects that they match. Keys are exact."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from s3conn_magic.errors import S3ConnError
from s3conn_magic.listing import Glob, Listing
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.objects.scope import QueryScope

_SCHEME = "s3://"
_GLOB = re.compile(r"[*?\[{]")
_SPECIAL = re.compile(r"[*?\[{}]")


@dataclass(frozen=True, slots=True)
class Path:
    """A location, and the name of the connection to reach it through; None for the session's own."""

    connection: str | None
    location: Location

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a path, with or without `s3://`.

        Raises:
            S3ConnError: it is none; the message says why.
        """
        rest = text.removeprefix(_SCHEME)
        bucket = rest.partition("/")[0]
        name, at, _ = bucket.rpartition("@")
        try:
            return cls(name if at else None, Location.parse(_SCHEME + rest[len(name) + len(at) :]))
        except ValueError as error:
            reason = str(error)
        raise S3ConnError(
            f"a path is not an S3 location: {reason}", hint="s3://bucket/key, or s3://connection@bucket/key."
        )

    @property
    def text(self) -> str:
        """The path without `s3://`, as fsspec names it."""
        return self.named(self.location.key)

    def named(self, key: str) -> str:
        """The path of another key of this bucket."""
        name = f"{self.connection}@" if self.connection is not None else ""
        return f"{name}{self.location.bucket}/{key}" if key else f"{name}{self.location.bucket}"

    def at(self, key: str) -> Path:
        """Another key of this bucket."""
        return Path(self.connection, Location(self.location.bucket, key))

    @property
    def has_wildcard(self) -> bool:
        """Whether the key could be a pattern."""
        return _GLOB.search(self.location.key) is not None


def escaped(key: str) -> str:
    """A pattern that only this key matches."""
    return _SPECIAL.sub(lambda found: f"[{found[0]}]", key)


@dataclass(frozen=True, slots=True)
class ListedEntry:
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
    connection: Connection, path: Path, scope: QueryScope, *, recursive: bool, matching: Glob | None = None
) -> list[ListedEntry]:
    """The objects below a prefix, and its folders where it is not recursive, in key order.

    Empty objects whose keys end with `/`, as consoles make them for folders, are left out.

    Raises:
        S3ConnError: it could not be listed whole.
    """
    scope.check()
    try:
        with Listing(
            connection.target(path.location.bucket),
            path.location.key,
            delimiter=None if recursive else "/",
            matching=matching,
        ) as listing:
            try:
                table = scope.during(listing).collect()
            finally:
                scope.listed(listing)
    except S3ConnError as error:
        scope.failed(error)
        raise
    scope.check()
    return [
        entry for entry in _entries(table.to_pydict()) if entry.is_folder or entry.size or not entry.key.endswith("/")
    ]


def matched(connection: Connection, path: Path, scope: QueryScope) -> list[ListedEntry]:
    """The objects whose keys match the pattern that a path's key is.

    `*` matches within a segment, `**` across segments, `?` one character, `[a-z]` one of a class, `{a,b}` either.
    `[*]`, `[?]`, `[[]` and `[{]` stand for the characters themselves.

    Raises:
        ValueError: it is no pattern.
        S3ConnError: the bucket could not be listed whole.
    """
    folder, pattern = _split(path.location.key)
    entries = below(
        connection,
        path.at(folder),
        scope,
        recursive="/" in pattern or "**" in pattern,
        matching=Glob.compile(pattern),
    )
    return [entry for entry in entries if not entry.is_folder]


def _split(pattern: str) -> tuple[str, str]:
    """The folders before the first wildcard, and the rest."""
    head = min((at for at in (pattern.find(wildcard) for wildcard in "*?[{") if at >= 0), default=len(pattern))
    end = pattern.rfind("/", 0, head) + 1
    return pattern[:end], pattern[end:]


def _entries(columns: dict[str, list[object]]) -> Iterator[ListedEntry]:
    folders = columns.get("is_prefix") or [False] * len(columns["key"])
    for key, size, changed, etag, is_folder in zip(
        columns["key"], columns["size"], columns["last_modified"], columns["etag"], folders, strict=True
    ):
        yield ListedEntry(str(key), int(size or 0), changed, str(etag or ""), bool(is_folder))  # type: ignore[arg-type, call-overload]
