"""Paths of a query (`s3://bucket/key`, `s3://name@bucket/key`), the objects that they match, and what keys say."""

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
from s3conn_magic.lakes import among, with_marks, within
from s3conn_magic.locations import Location, split_version, visible
from s3conn_magic.objects.formats import is_parquet
from s3conn_magic.objects.scope import BLOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.lakes import LakeRoot
    from s3conn_magic.objects.ranged import PinnedObject
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.runtime.patterns import Glob

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
            PathError: it is none; the message says why.
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
        """Whether the key could be a pattern; `?versionId=…` behind one says that it is none."""
        return _GLOB.search(self.location.key) is not None and split_version(self.location) is None


def escaped(key: str) -> str:
    """A pattern that only this key matches."""
    return _SPECIAL.sub(lambda match: f"[{match[0]}]", key)


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


_UNKNOWN_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOST = 2**63


@dataclass(frozen=True, slots=True)
class Partition:
    """A column that folders write as `name=value`.

    Attributes:
        kind: DuckDB's type, which prints back every value as it is written: BIGINT, DATE, or else VARCHAR.
        values: by key, as written, without its percent-encoding; None is NULL. Every key has one.
    """

    kind: str
    values: Mapping[str, str | None]


def partitions(keys: Sequence[str], location: str) -> dict[str, Partition]:
    """The columns that the folders of objects write, as Hive and Spark name them: `dt=2024-01-31/`.

    The type of a column is decided by the values of all keys. `__HIVE_DEFAULT_PARTITION__` is NULL, and so is the value
    of a key without such a folder. Names are told apart without case, and spelled as they come first; of folders within
    each other that have one name, the innermost counts.

    Args:
        keys: exact keys.
        location: what they begin with; its whole folders write no column. Of other keys every folder counts.
    """
    location = _whole_folders(keys, location)
    names: dict[str, str] = {}
    values_of: dict[str, dict[str, str | None]] = {}
    for key in keys:
        for name, value in _written(key.removeprefix(location)):
            values_of.setdefault(names.setdefault(name.casefold(), name), {})[key] = value
    return {name: Partition(_kind(values.values()), dict.fromkeys(keys) | values) for name, values in values_of.items()}


def _whole_folders(keys: Sequence[str], location: str) -> str:
    """The folders of a location: one that ends within a name, as `sales/year=20`, is below them."""
    if location and all(key.startswith(f"{location}/") for key in keys):
        return f"{location}/"
    return location[: location.rfind("/") + 1]


def _written(below: str) -> Iterator[tuple[str, str | None]]:
    """Names and values of the folders of a key."""
    if "=" not in below:
        return
    for segment in below.split("/")[:-1]:
        name, equals, value = segment.partition("=")
        if name and equals:
            yield _decoded(name), None if value == _UNKNOWN_PARTITION else _decoded(value)


def _decoded(text: str) -> str:
    """Without percent-encoding; as it is where that would lose bytes."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _kind(values: Iterable[str | None]) -> str:
    there = {value for value in values if value is not None}
    for kind, fits in (("BIGINT", _is_whole_number), ("DATE", _is_day)):
        if there and all(map(fits, there)):
            return kind
    return "VARCHAR"


def _is_whole_number(text: str) -> bool:
    return _WHOLE_NUMBER.fullmatch(text) is not None and -_MOST <= int(text) < _MOST


def _is_day(text: str) -> bool:
    with suppress(ValueError):
        return _DAY.fullmatch(text) is not None and date.fromisoformat(text).isoformat() == text
    return False


_PRIVATE = re.compile(r"(?<![^/])(?:\.|_(?:[^/=]*(?:/|\Z)|[^/]*\Z))")
# A pattern that also matches a name with one of these at its beginning does not name the private one.
_ORDINARY = "x0X-~"


def said_of_private(locations: Sequence[Location], way_out: str) -> str:
    """A sentence about objects that are left out for their names, with how they are read after all; empty for none."""
    if not locations:
        return ""
    example = visible(locations[0].uri)
    if len(locations) == 1:
        return f"1 object whose name or folder begins with _ or . was left out, {example}; {way_out}."
    whose = "objects whose names or folders begin with _ or . were left out, such as"
    return f"{len(locations):,} {whose} {example}; {way_out}."


def private(
    keys: Sequence[str], start: int, wants: Callable[[Sequence[str]], Sequence[bool]] | None = None, pattern: str = ""
) -> list[bool]:
    """Which of the keys that a pattern wants it does not name: those that are somebody's work in progress or notes.

    Spark, Hive and Hadoop have files and folders that begin with `_` or `.` for themselves: what is half written, a
    marker, a checksum. A pattern means one that it writes in full, or where it would not match another character in
    place of the first. A folder `_name=value` is data.

    Args:
        keys: exact keys; the pattern wants all of them.
        start: of what the pattern sees of a key; what is before it was written in full.
        wants: which texts the pattern wants, of what it sees of a key; None for all, so that it names none.
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
    """Whether it stands in a glob or an expression, as a segment or one of several that there may be."""
    if segment not in (plain := pattern.replace("\\", "")):
        return False
    return re.search(rf"(?:\A|[/|({{,^]|\)\?){re.escape(segment)}(?:\Z|[/|)}},$])", plain) is not None


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
    from s3conn_magic.listing.listing import Listing

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


def matched(
    connection: Connection, path: Path, scope: QueryScope, *, all_names: bool = True
) -> tuple[list[ListedEntry], list[LakeRoot]]:
    """The objects whose keys match the pattern that a path's key is, and the lake tables below where it looks.

    `*` matches within a segment, `**` across segments, `?` one character, `[a-z]` one of a class, `{a,b}` either.
    `[*]`, `[?]`, `[[]` and `[{]` stand for the characters themselves.

    Args:
        connection: leads to them.
        path: its key is the pattern.
        scope: is told of what is left out.
        all_names: whether wildcards match names that are `private`, too.

    Raises:
        ValueError: it is no pattern.
        S3ConnError: the bucket could not be listed whole.
    """
    from s3conn_magic.runtime.patterns import Glob

    folder, pattern = _split(path.location.key)
    glob, recursive = Glob.compile(pattern), "/" in pattern or "**" in pattern
    entries = below(connection, path.at(folder), scope, recursive=recursive, matching=with_marks(glob))
    roots = among(path.location.bucket, (entry.key for entry in entries))
    wanted = glob.wants([entry.key[len(folder) :] for entry in entries])
    objects = [entry for entry, is_wanted in zip(entries, wanted, strict=True) if is_wanted and not entry.is_folder]
    if all_names:
        return objects, []
    hidden = private([entry.key for entry in objects], len(folder), glob.wants, pattern)
    left_out = [path.at(entry.key).location for entry, out in zip(objects, hidden, strict=True) if out]
    if said := said_of_private(left_out, "a pattern that has the character instead, such as _*, matches them"):
        scope.note(said)
    shown = [entry for entry, out in zip(objects, hidden, strict=True) if not out]
    return shown, within(roots.values(), (entry.key for entry in shown))


def beginnings(key: str) -> list[str]:
    """What all keys begin with that match the pattern which a key is; itself, where it is none."""
    from s3conn_magic.runtime.patterns import Glob

    folder, pattern = _split(key)
    try:
        return [folder + head for head in Glob.compile(pattern).heads]
    except ValueError:
        return [key]


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


_AHEAD = 128 * 1024 * 1024
# Objects ahead of the second, how many times as many with each that is opened, and of what is worth having under way.
_FIRST_AHEAD, _FASTER, _DEEP = 8, 4, 2


class Followed(Protocol):
    """An object that is asked for before it is opened."""

    @property
    def likely(self) -> tuple[int, int]:
        """The range that is read first, as a rule: all of a small object."""

    @property
    def window(self) -> int:
        """How many requests are worth having under way."""

    def has(self, start: int, stop: int) -> bool:
        """Whether all of a range is here, or under way."""

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Ask for ranges, and do not wait."""


class Ahead:
    """Objects that a listing has in this order: while they are opened one after the other, the next are asked for.

    An engine that leaves out most of them, as of partitions that a filter takes away, has none asked for ahead.

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
        """Note that an object was opened, and ask for what comes next."""
        with self._lock:
            following = self._next(at)
        for each in following:
            with suppress(S3ConnError):  # it comes again where it is read
                self._objects[each].prefetch([self._objects[each].likely])

    def _next(self, at: int) -> range:
        if at <= self._front:
            if self._objects[at].has(*self._objects[at].likely):
                return range(0)
            self._opened = 0  # they are read once more, and what was kept is gone
        if not self._opened:
            self._first = self._front = self._asked = at
        self._opened += 1
        self._front, self._asked = max(self._front, at), max(self._asked, at)
        # The first may be all that is looked at, for its columns.
        if self._opened == 1 or self._opened * _DEEP <= self._front - self._first:
            return range(0)
        count = min(_FIRST_AHEAD * _FASTER ** min(self._opened - 2, _FIRST_AHEAD), _DEEP * self._objects[at].window)
        until = bisect_right(self._bytes, self._bytes[self._front] + _AHEAD) - 1
        until = min(self._front + 1 + count, until, len(self._objects))
        following = range(self._asked + 1, until)
        self._asked = max(self._asked, until - 1)
        return following


TAIL = 256 * 1024
"""Bytes that the first look at a Parquet file brings along: its footer, as a rule."""
_TOTAL = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def first_look(connection: Connection, location: Location) -> tuple[PinnedObject, bytes]:
    """An object as it is now, and its last bytes where it looks like a Parquet file.

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
    """Ask for an object as it is now, and for what lies between bounds, or begins there; what is returned waits for it.

    It gives the object, and where the bytes begin that came with it, if any.

    Raises:
        ObjectNotFoundError: there is none.
        S3ConnError: it may not be read, or the server cannot be reached.
    """
    from s3conn_magic.objects.ranged import PART

    low, high = start or 0, sys.maxsize if end is None else end
    known = BLOCKS.knows(connection.kept_by(BLOCKS.forget), location)
    if low < 0 or high <= low or known or split_version(location):
        return lambda: (by_head(connection, location), 0, b"")
    seen = _by_range(connection, location, f"bytes={low}-{min(high, low + PART) - 1}", scope)
    return lambda: seen() or (by_head(connection, location), 0, b"")


def by_head(connection: Connection, location: Location) -> PinnedObject:
    """An object as it is now, by HeadObject; where none has a key with `?versionId=…`, that version of one."""
    from s3conn_magic.objects.requests import head_answer, with_version

    wanted, answer = with_version(location, lambda place, version: head_answer(connection, place, version))
    pinned = _pinned(connection, location, answer, int(answer["ContentLength"]))
    return replace(pinned, version_id=wanted.version or None)


def _by_range(
    connection: Connection, location: Location, which: str, scope: QueryScope | None = None
) -> Callable[[], tuple[PinnedObject, int, bytes] | None]:
    """Ask by one GetObject for some bytes; what is returned gives None where the server does not give these."""
    from s3conn_magic.objects.requests import asked, begin

    given: dict[str, Any] = {"Bucket": location.bucket, "Key": location.key, "Range": which}
    sent = begin(connection, location, "get_object", **given)
    if scope is not None and sent is not None:
        under_way = [sent]
        scope.sent(lambda: under_way)
    return partial(_seen, connection, location, partial(asked, connection, location, "get_object", sent, **given))


def _seen(
    connection: Connection, location: Location, wait: Callable[[], Mapping[str, Any]]
) -> tuple[PinnedObject, int, bytes] | None:
    from s3conn_magic.objects.ranged import received

    try:
        answer = wait()
    except EndpointError:  # an empty object has none of them
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
    from s3conn_magic.objects.ranged import PinnedObject
    from s3conn_magic.objects.requests import etag_of

    return PinnedObject(connection, location, size, etag_of(answer), answer.get("LastModified"))


def below_of(path: Path) -> Path:
    """The prefix of what is below a path."""
    key = path.location.key
    return path if not key or key.endswith("/") else path.at(f"{key}/")


def folder_at(path: Path) -> dict[str, Any]:
    """What fsspec is told of a folder: its name without a slash; `a//` keeps both, for `a/` is another folder."""
    key = path.location.key
    return directory(path.named(key if key.endswith("//") else key.removesuffix("/")))


def about(name: str, entry: ListedEntry) -> dict[str, Any]:
    """What fsspec is told of an object."""
    details = {"size": entry.size, "type": "file", "etag": entry.etag, "last_modified": entry.last_modified}
    return {"name": name, **details}


def folders_between(names: Any, base: int) -> dict[str, Any]:
    """The folders that lie between a path and the objects below it."""
    folders = {}
    for name in names:
        at = name.find("/", base)
        while at >= 0:
            folder = name[: at + 1] if name[at - 1] == "/" else name[:at]
            folders[folder] = directory(folder)
            at = name.find("/", at + 1)
    return folders


def entry_of(pinned: PinnedObject) -> ListedEntry:
    """An object that was looked at, as a listing has it."""
    return ListedEntry(pinned.location.key, pinned.size, pinned.last_modified, pinned.etag)
