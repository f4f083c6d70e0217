"""Paths in queries (`s3://bucket/key`, `s3://name@bucket/key`), the objects they match, and partitions in keys."""

from __future__ import annotations

import re
import sys
import threading
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import unquote

from s3conn_magic.errors import EndpointError, PathError, S3ConnError
from s3conn_magic.lakes import tables_among, tables_within, with_marks
from s3conn_magic.locations import Location, split_version, visible
from s3conn_magic.objects.formats import is_parquet
from s3conn_magic.objects.scope import BLOCKS
from s3conn_magic.runtime.background import LightFuture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.lakes import LakeRoot
    from s3conn_magic.objects.ranged import PinnedObject
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.runtime.patterns import Glob
    from s3conn_magic.transport import Response

_SCHEME = "s3://"
_GLOB = re.compile(r"[*?\[{]")
_SPECIAL = re.compile(r"[*?\[{}]")


@dataclass(frozen=True, slots=True)
class Path:
    """A location, and the name of its connection; None for the session's default."""

    connection: str | None
    location: Location

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a path, with or without `s3://`.

        Raises:
            PathError: it is not a path; the message says why.
        """
        rest = text.removeprefix(_SCHEME)
        bucket = rest.partition("/")[0]
        name, at, _ = bucket.rpartition("@")
        try:
            return cls(name if at else None, Location.parse(_SCHEME + rest[len(name) + len(at) :]))
        except ValueError as error:
            reason = str(error)
        raise PathError(
            f"a path is not an S3 location: {reason}", hint="s3://bucket/key, or s3://connection@bucket/key."
        )

    @property
    def text(self) -> str:
        """The path without `s3://`, as in fsspec."""
        return self.named(self.location.key)

    def named(self, key: str) -> str:
        """Return the text of another key's path in this bucket."""
        name = f"{self.connection}@" if self.connection is not None else ""
        return f"{name}{self.location.bucket}/{key}" if key else f"{name}{self.location.bucket}"

    def at(self, key: str) -> Path:
        """Return the path of another key in this bucket."""
        return Path(self.connection, Location(self.location.bucket, key))

    @property
    def exact(self) -> str:
        """The text of a path that only this object, or this version of one, matches."""
        key = self.location.key
        return self.named(key if split_version(self.location) else escaped(key))

    @property
    def has_wildcard(self) -> bool:
        """Whether the key may be a pattern; one that ends with `?versionId=…` is not."""
        return _GLOB.search(self.location.key) is not None and split_version(self.location) is None


def escaped(key: str) -> str:
    """Return a pattern that only this key matches."""
    return _SPECIAL.sub(lambda match: f"[{match[0]}]", key)


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """A row of a listing: an object, or a folder, which has neither size nor time nor ETag.

    Attributes:
        key: exact; a folder's ends with `/`.
        size: bytes, 0 for a folder.
        last_modified: UTC.
        etag: without quotes.
        is_folder: whether it is a common prefix.
    """

    key: str
    size: int = 0
    last_modified: datetime | None = None
    etag: str = ""
    is_folder: bool = False


_UNKNOWN_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOST = 2**63


@dataclass(frozen=True, slots=True)
class Partition:
    """A column from folders `name=value`.

    Attributes:
        kind: DuckDB's type, which prints every value as written: BIGINT, DATE, or else VARCHAR.
        values: by key, as written, percent-decoded; None is NULL. Every key has one.
    """

    kind: str
    values: Mapping[str, str | None]


def partitions(keys: Sequence[str], location: str) -> dict[str, Partition]:
    """Return the partition columns in objects' folders, as Hive and Spark name them: `dt=2024-01-31/`.

    All values of a column determine its type. `__HIVE_DEFAULT_PARTITION__` and a missing folder are NULL. Names are
    compared without case, and spelt as they first occur; of nested folders with one name, the innermost counts.

    Args:
        keys: exact keys.
        location: their prefix, whose complete folders are not columns. All folders of other keys count.
    """
    location = _whole_folders(keys, location)
    names: dict[str, str] = {}
    values_of: dict[str, dict[str, str | None]] = {}
    for key in keys:
        for name, value in _written(key.removeprefix(location)):
            values_of.setdefault(names.setdefault(name.casefold(), name), {})[key] = value
    return {name: Partition(_kind(values.values()), dict.fromkeys(keys) | values) for name, values in values_of.items()}


def _whole_folders(keys: Sequence[str], location: str) -> str:
    """Return the complete folders of a location: a partial name, as in `sales/year=20`, is below them."""
    if location and all(key.startswith(f"{location}/") for key in keys):
        return f"{location}/"
    return location[: location.rfind("/") + 1]


def _written(below: str) -> Iterator[tuple[str, str | None]]:
    """Yield names and values of the folders in a key."""
    if "=" not in below:
        return
    for segment in below.split("/")[:-1]:
        name, equals, value = segment.partition("=")
        if name and equals:
            yield _decoded(name), None if value == _UNKNOWN_PARTITION else _decoded(value)


def _decoded(text: str) -> str:
    """Percent-decode a text, unless that would lose bytes."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _kind(values: Iterable[str | None]) -> str:
    present = {value for value in values if value is not None}
    for kind, fits in (("BIGINT", _is_whole_number), ("DATE", _is_day)):
        if present and all(map(fits, present)):
            return kind
    return "VARCHAR"


def _is_whole_number(text: str) -> bool:
    return _WHOLE_NUMBER.fullmatch(text) is not None and -_MOST <= int(text) < _MOST


def _is_day(text: str) -> bool:
    with suppress(ValueError):
        return _DAY.fullmatch(text) is not None and date.fromisoformat(text).isoformat() == text
    return False


_PRIVATE = re.compile(r"(?<![^/])(?:\.|_(?:[^/=]*(?:/|\Z)|[^/]*\Z))")
# A pattern that also matches one of these as the first character does not name the private key.
_ORDINARY = "x0X-~"


def said_of_private(locations: Sequence[Location], way_out: str) -> str:
    """Return a sentence about objects left out for their names, with a way to read them; empty for none."""
    if not locations:
        return ""
    example = visible(locations[0].uri)
    if len(locations) == 1:
        return f"1 object whose name or folder begins with _ or . was left out, {example}; {way_out}."
    whose = "objects whose names or folders begin with _ or . were left out, such as"
    return f"{len(locations):,} {whose} {example}; {way_out}."


def private_keys(
    keys: Sequence[str], start: int, wants: Callable[[Sequence[str]], Sequence[bool]] | None = None, pattern: str = ""
) -> list[bool]:
    """Return which keys are private and matched by a pattern only by its wildcards.

    Spark, Hive and Hadoop use files and folders that begin with `_` or `.` for themselves: unfinished files, markers,
    checksums. A pattern names one explicitly if it has it in full, or would not match another character instead of the
    first. A folder `_name=value` is data.

    Args:
        keys: exact keys; the pattern matches all of them.
        start: where the matched part of a key begins; what is before was given in full.
        wants: returns which texts the pattern matches; None if it matches all.
        pattern: its text.
    """
    if wants is None:
        return [_PRIVATE.search(key, start) is not None for key in keys]
    others: list[str] = []
    owners: list[int] = []
    for row, key in enumerate(keys):
        for match in _PRIVATE.finditer(key, start):
            at = match.start()
            if not _is_written(key[at:].partition("/")[0], pattern):
                others += [key[start:at] + other + key[at + 1 :] for other in _ORDINARY]
                owners += [row] * len(_ORDINARY)
    hidden = {row for row, wanted in zip(owners, wants(others) if others else (), strict=True) if wanted}
    return [row in hidden for row in range(len(keys))]


def _is_written(segment: str, pattern: str) -> bool:
    """Return whether a pattern contains a segment literally, also as an alternative."""
    if segment not in (plain := pattern.replace("\\", "")):
        return False
    return re.search(rf"(?:\A|[/|({{,^]|\)\?){re.escape(segment)}(?:\Z|[/|)}},$])", plain) is not None


def directory(name: str) -> dict[str, Any]:
    """Return fsspec's entry of a folder."""
    return {"name": name, "size": 0, "type": "directory"}


def below(
    connection: Connection, path: Path, scope: QueryScope, *, recursive: bool, matching: Glob | None = None
) -> list[ListedEntry]:
    """Return the objects below a prefix, and its folders unless it is recursive, in key order.

    Empty objects whose keys end with `/`, as consoles create for folders, are left out.

    Raises:
        S3ConnError: it could not be listed completely.
    """
    from s3conn_magic.listing import Listing
    from s3conn_magic.listing.table import python_columns

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
        entry
        for entry in _entries(python_columns(table))
        if entry.is_folder or entry.size or not entry.key.endswith("/")
    ]


def matched(
    connection: Connection, path: Path, scope: QueryScope, *, all_names: bool = True
) -> tuple[list[ListedEntry], list[LakeRoot]]:
    """Return the objects whose keys match a path's key as a pattern, and the lake tables below its prefix.

    `*` matches within a segment, `**` across segments, `?` one character, `[a-z]` one of a class, `{a,b}` either.
    `[*]`, `[?]`, `[[]` and `[{]` stand for the characters themselves.

    Args:
        connection: the connection.
        path: its key is the pattern.
        scope: gets a note on what is left out.
        all_names: whether wildcards also match private names (`private_keys`).

    Raises:
        ValueError: it is not a valid pattern.
        S3ConnError: the bucket could not be listed completely.
    """
    from s3conn_magic.runtime.patterns import Glob

    folder, pattern = _split(path.location.key)
    glob, recursive = Glob.compile(pattern), "/" in pattern or "**" in pattern
    entries = below(connection, path.at(folder), scope, recursive=recursive, matching=with_marks(glob))
    roots = tables_among(path.location.bucket, (entry.key for entry in entries))
    wanted = glob.wants([entry.key[len(folder) :] for entry in entries])
    objects = [entry for entry, is_wanted in zip(entries, wanted, strict=True) if is_wanted and not entry.is_folder]
    if all_names:
        return objects, []
    hidden = private_keys([entry.key for entry in objects], len(folder), glob.wants, pattern)
    left_out = [path.at(entry.key).location for entry, out in zip(objects, hidden, strict=True) if out]
    if note := said_of_private(left_out, "a pattern that has the character instead, such as _*, matches them"):
        scope.note(note)
    shown = [entry for entry, out in zip(objects, hidden, strict=True) if not out]
    return shown, tables_within(roots.values(), (entry.key for entry in shown))


def beginnings(key: str) -> list[str]:
    """Return prefixes of all keys that match a pattern; of another key, itself."""
    from s3conn_magic.runtime.patterns import Glob

    folder, pattern = _split(key)
    try:
        return [folder + head for head in Glob.compile(pattern).heads]
    except ValueError:
        return [key]


def _split(pattern: str) -> tuple[str, str]:
    """Split a pattern at the folder of its first wildcard."""
    head = min((at for at in (pattern.find(wildcard) for wildcard in "*?[{") if at >= 0), default=len(pattern))
    end = pattern.rfind("/", 0, head) + 1
    return pattern[:end], pattern[end:]


def _entries(columns: dict[str, list[object]]) -> Iterator[ListedEntry]:
    folders = columns.get("is_prefix") or [False] * len(columns["key"])
    for key, size, changed, etag, is_folder in zip(
        columns["key"], columns["size"], columns["last_modified"], columns["etag"], folders, strict=True
    ):
        yield ListedEntry(str(key), int(size or 0), changed, str(etag or ""), bool(is_folder))  # type: ignore[arg-type, call-overload]


_AHEAD = 128 * 1024 * 1024
# Objects prefetched at first, the growth factor per object opened, and the bound in useful windows.
_FIRST_AHEAD, _FASTER, _DEEP = 8, 4, 2


class Followed(Protocol):
    """An object that is requested before it is opened."""

    @property
    def likely(self) -> tuple[int, int]:
        """The range that is usually read first: all of a small object."""

    @property
    def window(self) -> int:
        """Most useful number of concurrent requests."""

    def has(self, start: int, stop: int) -> bool:
        """Return whether a range is received, or requested."""

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Request ranges without waiting."""


class ListingPrefetch:
    """Prefetches objects of a listing while they are opened in order.

    If most are skipped, for example by a filter on partitions, nothing is prefetched.

    Args:
        objects: in the order of the listing.
    """

    def __init__(self, objects: Sequence[Followed]) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        self._first = self._front = self._asked = -1
        self._opened = 0
        self._bytes = [0, *accumulate(stop - start for start, stop in (each.likely for each in objects))]

    def opened(self, at: int) -> None:
        """Prefetch after an object was opened."""
        with self._lock:
            following = self._next(at)
        for each in following:
            with suppress(S3ConnError):  # reading it raises it again
                self._objects[each].prefetch([self._objects[each].likely])

    def _next(self, at: int) -> range:
        if at <= self._front:
            if self._objects[at].has(*self._objects[at].likely):
                return range(0)
            self._opened = 0  # they are read again after they were evicted
        if not self._opened:
            self._first = self._front = self._asked = at
        self._opened += 1
        self._front, self._asked = max(self._front, at), max(self._asked, at)
        # Perhaps only the first is opened, for its columns.
        if self._opened == 1 or self._opened * _DEEP <= self._front - self._first:
            return range(0)
        count = min(_FIRST_AHEAD * _FASTER ** min(self._opened - 2, _FIRST_AHEAD), _DEEP * self._objects[at].window)
        until = bisect_right(self._bytes, self._bytes[self._front] + _AHEAD) - 1
        until = min(self._front + 1 + count, until, len(self._objects))
        following = range(self._asked + 1, until)
        self._asked = max(self._asked, until - 1)
        return following


TAIL = 256 * 1024
"""Bytes from the end of a Parquet file requested first, usually with its footer."""
_TOTAL = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def first_look(connection: Connection, location: Location) -> tuple[PinnedObject, bytes]:
    """Return an object in its current state, and its last bytes if it looks like a Parquet file.

    Raises:
        ObjectNotFoundError: there is none.
        S3ConnError: it may not be read, or the server cannot be reached.
    """
    ends = is_parquet(location.key) and not split_version(location)
    if ends and (seen := _by_range(connection, location, f"bytes=-{TAIL}")()):
        pinned, start, tail = seen
        if start + len(tail) == pinned.size:
            return pinned, tail
    return by_head(connection, location), b""


def first_bytes(
    connection: Connection, location: Location, start: int | None, end: int | None, scope: QueryScope
) -> Callable[[], tuple[PinnedObject, int, bytes]]:
    """Request an object in its current state with the bytes between bounds, or from one; return a function that waits.

    It returns the object, and the offset of the bytes received with it, if any.

    Raises:
        ObjectNotFoundError: there is none.
        S3ConnError: it may not be read, or the server cannot be reached.
    """
    from s3conn_magic.objects.ranged import PART

    low, high = start or 0, sys.maxsize if end is None else end
    known = BLOCKS.knows(connection.kept_by(BLOCKS.forget), location)
    if low < 0 or high <= low or known or split_version(location):
        return lambda: (by_head(connection, location), 0, b"")
    part = _by_range(connection, location, f"bytes={low}-{min(high, low + PART) - 1}", scope)
    return lambda: part() or (by_head(connection, location), 0, b"")


def by_head(connection: Connection, location: Location) -> PinnedObject:
    """Return an object in its current state by HeadObject; `?versionId=…` in a missing key selects a version."""
    from s3conn_magic.objects.requests import head_answer, with_version

    wanted, answer = with_version(location, lambda place, version: head_answer(connection, place, version))
    pinned = _pinned(connection, location, answer, int(answer["ContentLength"]))
    return replace(pinned, version_id=wanted.version or None)


def _by_range(
    connection: Connection, location: Location, which: str, scope: QueryScope | None = None
) -> Callable[[], tuple[PinnedObject, int, bytes] | None]:
    """Request bytes by one GetObject; the function returned gives None if the server does not send these."""
    from s3conn_magic.objects.requests import ask, asked, begin

    parameters: dict[str, Any] = {"Bucket": location.bucket, "Key": location.key, "Range": which}
    wait = partial(ask, connection, location, "get_object", **parameters)
    if scope is not None:
        sent: LightFuture[Response] = LightFuture()
        scope.sending([sent])
        if begin(connection, location, "get_object", sent, **parameters):
            wait = partial(asked, connection, location, "get_object", sent, **parameters)
    return partial(_seen, connection, location, wait)


def _seen(
    connection: Connection, location: Location, wait: Callable[[], Mapping[str, Any]]
) -> tuple[PinnedObject, int, bytes] | None:
    from s3conn_magic.objects.requests import received

    try:
        answer = wait()
    except EndpointError:  # an empty object has no bytes
        return None
    stream = answer["Body"]
    try:
        matched = _TOTAL.fullmatch(str(answer.get("ContentRange", "")))
        if matched is None:
            return None
        start, last, size = map(int, matched.groups())
        body, failure = received(stream, last + 1 - start)
    finally:
        stream.close()
    if failure or len(body) != last + 1 - start:
        return None
    return _pinned(connection, location, answer, size), start, body


def _pinned(connection: Connection, location: Location, answer: Mapping[str, Any], size: int) -> PinnedObject:
    from s3conn_magic.connections.signing import etag_of
    from s3conn_magic.objects.ranged import PinnedObject

    return PinnedObject(connection, location, size, etag_of(answer), answer.get("LastModified"))


def below_of(path: Path) -> Path:
    """Return the prefix of what is below a path."""
    key = path.location.key
    return path if not key or key.endswith("/") else path.at(f"{key}/")


def folder_at(path: Path) -> dict[str, Any]:
    """Return fsspec's entry of a folder: its name without a slash; `a//` keeps both, because `a/` is another folder."""
    key = path.location.key
    return directory(path.named(key if key.endswith("//") else key.removesuffix("/")))


def about(name: str, entry: ListedEntry) -> dict[str, Any]:
    """Return fsspec's entry of an object."""
    details = {"size": entry.size, "type": "file", "etag": entry.etag, "last_modified": entry.last_modified}
    return {"name": name, **details}


def folders_between(names: Any, base: int) -> dict[str, Any]:
    """Return the folders between a path and the objects below it."""
    folders = {}
    for name in names:
        at = name.find("/", base)
        while at >= 0:
            folder = name[: at + 1] if name[at - 1] == "/" else name[:at]
            folders[folder] = directory(folder)
            at = name.find("/", at + 1)
    return folders


def entry_of(pinned: PinnedObject) -> ListedEntry:
    """Return an inspected object as an entry of a listing."""
    return ListedEntry(pinned.location.key, pinned.size, pinned.last_modified, pinned.etag)
