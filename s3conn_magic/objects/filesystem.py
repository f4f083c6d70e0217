"""An fsspec filesystem over the session's connections, for reading: exact keys, pinned objects."""

from __future__ import annotations

import io
import os
import re
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem

from s3conn_magic.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ObjectNotFoundError,
    QueryError,
    S3ConnError,
)
from s3conn_magic.lakes import TableAccess, at, refusal, tables_around, tables_within
from s3conn_magic.listing import fetch_page
from s3conn_magic.locations import visible
from s3conn_magic.objects.files import FileOfFilesystem, ReadableFile, bounds, cat_ranges
from s3conn_magic.objects.formats import may_be_of_table
from s3conn_magic.objects.listed import (
    ListedEntry,
    ListingPrefetch,
    Path,
    about,
    beginnings,
    below,
    below_of,
    by_head,
    entry_of,
    first_bytes,
    first_look,
    folder_at,
    folders_between,
    matched,
)
from s3conn_magic.objects.ranged import PART, PinnedObject, RangedObject, ask_for, whole
from s3conn_magic.objects.scope import BLOCKS, UNPACKED, QueryScope
from s3conn_magic.objects.unpacking import WIDE, Stream, as_gzip, unpacked
from s3conn_magic.runtime.background import new_lock
from s3conn_magic.runtime.temporary import memory_free, new_folder, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.lakes import LakeRoot
    from s3conn_magic.objects.scope import AsPlain


class ConnectionFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Files `s3://bucket/key`, and `s3://name@bucket/key` through the connection `name`.

    Keys are exact: nothing is normalised, decoded or stripped. Within `query()`, an object stays as it was first seen,
    or an error says that it was changed; what is read is counted. Writing is delegated to `handoff.handed_files`.

    Args:
        connection_of: returns the connection of a path, named or not. Raises ConnectionNotFoundError.

    Errors are those of this package; `ObjectNotFoundError` is a FileNotFoundError, too.
    """

    protocol: tuple[str, ...] = ("s3", UNPACKED.removesuffix("://"))
    root_marker = ""
    cachable = False

    def __init__(self, connection_of: Callable[[Path], Connection], **options: Any) -> None:
        super().__init__(**options)
        self._connection_of = connection_of
        self._scope: QueryScope | None = None

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Return a path without `s3://`, otherwise unchanged."""
        if isinstance(path, list):
            return [cls._strip_protocol(name) for name in path]
        return str(path).removeprefix("s3://")

    def unstrip_protocol(self, name: str) -> str:
        """Return the path with its scheme."""
        return name if name.startswith(UNPACKED) else f"s3://{self._strip_protocol(name)}"

    @property
    def scope(self) -> QueryScope:
        """The query in progress.

        Raises:
            RuntimeError: there is none.
        """
        if self._scope is None:
            raise RuntimeError("no query is under way")
        return self._scope

    @contextmanager
    def query(self, scope: QueryScope | None = None) -> Iterator[QueryScope]:
        """Count what is read in a block, and pin each object when it is first seen."""
        scope, before = scope or QueryScope(), self._scope
        self._scope = scope
        try:
            yield scope
        finally:
            self._scope = before
            scope.close()

    def _path(self, text: str) -> Path:
        with (self._scope or QueryScope()).noting():
            return Path.parse(self._strip_protocol(text).removeprefix(UNPACKED))

    def through(self, path: Path, scope: QueryScope) -> Connection:
        """Return the connection of a path, on which the query then depends."""
        with scope.noting():
            connection = self._connection_of(path)
        scope.connections.add(connection.name)
        return connection

    # Reading

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open an object; within the matches of a pattern, prefetch the next ones."""
        if mode == "rb" and not options.get("compression") and (ranged := self._matched(path)) is not None:
            ranged.opened()
            return ReadableFile(ranged, path.removeprefix("s3://"))
        return super().open(path, mode, **options)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        del options
        where = self._path(path)
        if mode == "rb":
            return self._plain(where) if path.startswith(UNPACKED) else self._readable(where)
        raise io.UnsupportedOperation("a query reads objects: the mode is rb")

    def _readable(self, path: Path) -> ReadableFile:
        scope = self._scope or QueryScope()
        with scope.noting():
            ranged = self._object(path, scope)
        made = FileOfFilesystem(ranged, path.text, closed=(lambda: None) if self._scope else scope.close)
        made.fs = self
        return made

    def _matched(self, text: str) -> RangedObject | None:
        """Return the object of a pattern's match in this query."""
        return self._scope.named.get(text.removeprefix("s3://")) if self._scope is not None else None

    def copies(self, path: str, entries: Sequence[str]) -> Copies | None:
        """Return the cached `Copies` of a pattern's matches in this query."""
        scope = self.scope
        kept, named = scope.copies, scope.named
        if path not in kept:
            every = all(entry in named for entry in entries)
            with scope.noting():
                copied = {entry: named[entry] for entry in entries} if every else None
                kept[path] = None if copied is None else Copies.of(copied, outlive=True)
        copies: Copies | None = kept[path]
        return copies

    def bodies(self, entries: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of small objects, requested together."""
        objects = [self._matched(entry) or self._object(self._path(entry), self.scope) for entry in entries]
        ask_for([(each, [(0, each.size)]) for each in objects])
        for entry, each in zip(entries, objects, strict=True):
            yield entry, each.read(0, each.size)

    def read_as_plain(self, path: str, how: AsPlain) -> None:
        """Register how to decode an object that is read by `UNPACKED`."""
        where = self._path(path)
        self.scope.unpacked[self._connection_of(where).name, where.location] = how

    def _plain(self, path: Path) -> Stream:
        """Return the decoded content of an object as a gzip file of unknown size."""
        file, scope = self._readable(path), self.scope
        how = scope.unpacked[self._connection_of(path).name, path.location]
        how = how._replace(last=how.last * (WIDE if scope.wide else 1))

        @contextmanager
        def noting() -> Iterator[None]:
            with scope.noting():
                try:
                    yield
                except QueryError as error:
                    raise error.of(visible(path.location.uri)) from None

        content = unpacked(file, **how._asdict())
        return as_gzip(content, during=noting, closed=file.close)

    def _object(self, path: Path, scope: QueryScope) -> RangedObject:
        """Return the object of a path as the query first saw it."""
        connection = self.through(path, scope)
        seen: RangedObject | None = scope.objects.get((connection.name, path.location))
        if seen is not None:
            return seen
        scope.check()
        scope.count(1, 0)
        if BLOCKS.knows(connection.kept_by(BLOCKS.forget), path.location):
            pinned, tail = by_head(connection, path.location), b""
        else:
            pinned, tail = first_look(connection, path.location)
        scope.count(0, len(tail))
        return self._pin(pinned, scope, tail)

    def _pin(self, pinned: PinnedObject, scope: QueryScope, tail: bytes = b"") -> RangedObject:
        made = RangedObject(pinned, scope)
        if tail:
            made.keep(pinned.size - len(tail), tail)
        kept: RangedObject = scope.objects.setdefault((pinned.connection.name, pinned.location), made)
        return kept

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """Return the bytes of an object between slice bounds."""
        del options
        with self._scoped() as scope:
            return self._request(path, start, end, scope)()

    def _request(self, path: str, start: int | None, end: int | None, scope: QueryScope) -> Callable[[], bytes]:
        """Request bytes of an object; the returned function waits for them."""
        where = self._path(path)
        connection = self.through(where, scope)
        seen: RangedObject | None = scope.objects.get((connection.name, where.location))
        if seen is not None:
            return lambda: seen.read(*bounds(seen.size, start, end))
        scope.check()
        return partial(self._bytes, first_bytes(connection, where.location, start, end, scope), start, end, scope)

    def _bytes(self, received: Callable[[], Any], start: int | None, end: int | None, scope: QueryScope) -> bytes:
        pinned, begin, body = received()
        scope.count(1, len(body))
        low, high = bounds(pinned.size, start, end)
        if begin == low and len(body) == PART and high - low >= 2 * PART:
            return whole(pinned, body, low, high, scope)
        ranged = self._pin(pinned, scope)
        ranged.keep(begin, body)
        return ranged.read(low, high)

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Return ranges of files, requested together; gaps up to `max_gap` bytes are read too."""
        del options
        with self._scoped() as scope:
            return cat_ranges(
                lambda path: self._object(self._path(path), scope),
                paths,
                starts,
                ends,
                max_gap=max_gap,
                on_error=on_error,
            )

    @contextmanager
    def _scoped(self) -> Iterator[QueryScope]:
        if self._scope is not None:
            yield self._scope
            return
        scope = QueryScope()
        try:
            yield scope
        finally:
            scope.close()

    # Metadata

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return name, size, type, etag and last_modified of a path.

        Raises:
            ObjectNotFoundError: it does not exist.
        """
        del options
        if (ranged := self._matched(path)) is not None:
            return about(path.removeprefix("s3://"), entry_of(ranged.pinned))
        where = self._path(path)
        with self._scoped() as scope:
            if not where.location.key:
                return self._folder(where, scope)
            try:
                return self._info_of(where, self._entry(where, scope))
            except ObjectNotFoundError as error:
                if not error.is_folder:
                    raise
        return folder_at(where)

    def _entry(self, path: Path, scope: QueryScope) -> ListedEntry:
        connection = self.through(path, scope)
        pinned = scope.objects.get((connection.name, path.location))
        if pinned is None and self._scope is not None:
            pinned = self._object(path, scope)
        if pinned is not None:
            return entry_of(pinned.pinned)
        scope.count(1, 0)
        return entry_of(by_head(connection, path.location))

    def _folder(self, path: Path, scope: QueryScope) -> dict[str, Any]:
        scope.count(1, 0)
        fetch_page(self.through(path, scope).target(path.location.bucket), max_keys=1)
        return folder_at(path)

    def _info_of(self, path: Path, entry: ListedEntry) -> dict[str, Any]:
        if entry.is_folder:
            return folder_at(path.at(entry.key))
        return about(path.named(entry.key), entry)

    def exists(self, path: str, **options: Any) -> bool:
        """Return whether an object, a folder or a bucket exists.

        Raises:
            S3ConnError: it may not be known, or the server cannot be reached.
        """
        try:
            self.info(path, **options)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: str) -> bool:
        """Return whether an object exists."""
        return self._kind(path) == "file"

    def isdir(self, path: str) -> bool:
        """Return whether a path is a bucket or has objects below, even if it is an object too."""
        where = below_of(self._path(path)) if self._scope is None and self._strip_protocol(path) else None
        if where is None or not where.location.key:
            return self._kind(path) == "directory"
        try:
            with self._scoped() as scope:
                target = self.through(where, scope).target(where.location.bucket)
                return len(fetch_page(target, prefix=where.location.key, max_keys=1)) > 0
        except BucketNotFoundError:
            return False
        except AccessDeniedError:  # without permission to list, a look at the object may be allowed
            return self._kind(path) == "directory"

    def _kind(self, path: str) -> str:
        try:
            return str(self.info(path)["type"])
        except FileNotFoundError:
            return ""

    def modified(self, path: str) -> datetime:
        """Return when an object was written, UTC; 1970 if unknown, since DuckDB needs a time."""
        about = self.info(path)
        if about["type"] == "directory":
            raise IsADirectoryError(f"s3://{visible(about['name'])} is a folder, and folders have no time")
        return about["last_modified"] or datetime.fromtimestamp(0, UTC)

    def ukey(self, path: str) -> str:
        """Return the ETag of an object, or the name of a folder."""
        about = self.info(path)
        return str(about.get("etag", about["name"]))

    # Listing

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """Return the objects and folders directly below a path, or the object itself.

        Raises:
            ObjectNotFoundError: it does not exist.
        """
        del options
        where = self._path(path)
        with self._scoped() as scope:
            connection = self.through(where, scope)
            infos = [
                self._info_of(where, entry) for entry in below(connection, below_of(where), scope, recursive=False)
            ]
        if not infos and where.location.key and not where.location.key.endswith("/"):
            infos = [info for info in (self.info(path),) if info["type"] == "file"]  # or an empty folder
        return infos if detail else [info["name"] for info in infos]

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **options: Any
    ) -> Any:
        """Return every object below a path, by a concurrent recursive listing; or the object itself."""
        where = self._path(path)
        prefix = str(options.get("prefix", ""))
        inside = below_of(where)
        with self._scoped() as scope:
            connection = self.through(where, scope)
            start = inside.at(inside.location.key + prefix)
            entries = below(connection, start, scope, recursive=True)
        rows = {row["name"]: row for row in (self._info_of(where, entry) for entry in entries)}
        if not rows and where.location.key and self.isfile(path):
            rows = {where.text: self.info(path)}
        base = len(where.named(inside.location.key))
        if withdirs:
            rows |= folders_between(rows, base)
        if maxdepth is not None:
            rows = {name: row for name, row in rows.items() if name[base:].rstrip("/").count("/") < maxdepth}
        rows = dict(sorted(rows.items()))
        return rows if detail else list(rows)

    def glob(self, path: str, maxdepth: int | None = None, **options: Any) -> Any:
        """Return the objects that match a pattern of MATCHING; a path without wildcards matches itself.

        Without a match, an object whose key is the pattern itself matches; `[*]` always stands for `*`. In a query,
        wildcards do not match private names.
        """
        del maxdepth
        where = self._path(path)
        with self._scoped() as scope:
            entries = scope.globs.get(where.text)
            if entries is None and (ranged := self._matched(where.text)) is not None:
                entries = scope.globs[where.text] = [entry_of(ranged.pinned)]
            if entries is None:
                entries, roots = self._matches(where, scope)
                entries = entries or self._own_entry(where, scope)
                if entries and self._scope is not None and not scope.loose:
                    self._refuse_loose(where, entries, roots, scope)
                scope.globs[where.text] = entries
            if scope.by_content:  # empty files are not Parquet
                entries = [entry for entry in entries if entry.size] or entries
        scheme = UNPACKED if path.startswith(UNPACKED) else ""
        if not options.get("detail"):
            return [scheme + where.named(entry.key) for entry in entries]
        return {scheme + where.named(entry.key): self._info_of(where, entry) for entry in entries}

    def lake(self, path: str) -> TableAccess | None:
        """Return how to reach the lake table in a folder, or None.

        Raises:
            QueryError: the folder is within a table.
        """
        where = self._path(path)
        inside = below_of(where).location
        with self._scoped() as scope:
            connection = self.through(where, scope)
            with scope.noting():
                if root := at(connection, inside, scope.asked):
                    return TableAccess(connection, self, root, scope.asked)
                if roots := tables_around(connection, inside.bucket, [inside.key], scope.asked):
                    raise refusal(roots, where.location, lambda key: f"s3://{where.named(key)}")
        return None

    def _refuse_loose(
        self, path: Path, entries: Sequence[ListedEntry], roots: Sequence[LakeRoot], scope: QueryScope
    ) -> None:
        """Refuse files of lake tables that a listing has found, or that contain the path."""
        keys, begin = [entry.key for entry in entries], beginnings(path.location.key)
        if may_be_of_table(path.location.key) and any(map(may_be_of_table, keys)):
            with scope.noting():
                around_them = tables_around(self.through(path, scope), path.location.bucket, begin)
            roots = [*roots, *tables_within(around_them, keys)]
        if roots := [root for root in roots if not root.owns(begin)]:
            with scope.noting():
                raise refusal(roots, path.location, lambda key: f"s3://{path.named(key)}")

    def _matches(self, path: Path, scope: QueryScope) -> tuple[Sequence[ListedEntry], Sequence[LakeRoot]]:
        if not path.has_wildcard:
            return [], []
        connection = self.through(path, scope)
        try:
            entries, roots = matched(connection, path, scope, all_names=self._scope is None)
        except ValueError:  # an unclosed bracket: a key, not a pattern
            return [], []
        listed = []
        for entry in entries:
            where = path.at(entry.key).location
            listed.append(
                self._pin(PinnedObject(connection, where, entry.size, entry.etag, entry.last_modified), scope)
            )
        ahead = ListingPrefetch(listed)
        for number, (entry, ranged) in enumerate(zip(entries, listed, strict=True)):
            ranged.listed = (ahead, number)
            if self._scope is not None:
                scope.named[path.named(entry.key)] = ranged
        return entries, roots

    def _own_entry(self, path: Path, scope: QueryScope) -> list[ListedEntry]:
        if not path.location.key:
            return []
        try:
            return [self._entry(path, scope)]
        except ObjectNotFoundError as error:
            scope.missing = scope.missing or (_no_match(path, scope) if path.has_wildcard else error)
        except S3ConnError as error:
            scope.failed(error)
            raise
        return []


def _no_match(path: Path, scope: QueryScope) -> ObjectNotFoundError:
    hint = " ".join([*scope.notes, "[*] and [?] stand for the characters themselves."])
    return ObjectNotFoundError(f"no object matches {visible(path.location.uri)}", hint=hint)


_LARGEST, _MOST = 1024 * 1024, 128 * 1024 * 1024
_PARTITION = re.compile(r"[^/=]+=[^/]*")


class Copies:
    """Small objects as files in memory, in order, below folders that encode their partition columns.

    DuckDB opens a file of Python by a dozen calls, each of which waits for the interpreter, which dominates the cost.
    It reads memory files by itself. They exist while somebody uses them.

    Attributes:
        folder: their folder; the seven characters after its slash are the object's number.
        pattern: matches all files.
        names: the object's path by file.
        size: bytes of all files.
        alike: facts that a query found out, for later ones; None before.
    """

    def __init__(self, folder: File, pattern: str, names: Mapping[str, str], size: int) -> None:
        self.folder, self.pattern, self.names, self.size = folder, pattern, names, size
        self.alike: Any = None
        self._process, self._users, self._lock = os.getpid(), 1, new_lock()

    @classmethod
    def of(cls, objects: Mapping[str, RangedObject], *, outlive: bool = False) -> Copies | None:
        """Return copies of objects by path, or None if they are too many, or memory is short.

        With `outlive` they are kept for other queries of the same objects, within the cache's bound.

        Raises:
            S3ConnError: an object was changed, or cannot be read.
            StatementInterrupted: the query was stopped.
        """
        size = sum(each.size for each in objects.values())
        fits = size <= min(_MOST, memory_free() // 2) and all(each.size <= _LARGEST for each in objects.values())
        if not fits or any("\\" in path for path in objects):  # which DuckDB takes for a path separator
            return None
        versions = [each.version for each in objects.values()] if outlive else []
        named = [(path, version) for path, version in zip(objects, versions, strict=False) if version is not None]
        key = tuple(named) if len(named) == len(objects) else None
        kept: Copies | None = BLOCKS.files(key) if key else None
        if kept is not None and kept.used():
            return kept
        ask_for([(each, [(0, each.size)]) for each in objects.values()])
        bodies = [each.read(0, each.size) for each in objects.values()]
        with suppress(OSError, ValueError):
            folder = new_folder("copies", in_memory=True)
            try:
                copies = cls._written(folder, list(objects), bodies)
            except BaseException:
                remove(folder)
                raise
            if key and copies.used():
                most = min(each.pinned.connection.timeouts().cache for each in objects.values())
                BLOCKS.keep_files(key, copies, most)
            return copies
        return None

    @classmethod
    def _written(cls, folder: File, paths: Sequence[str], bodies: Sequence[bytes]) -> Copies:
        names, nested = {}, False
        for number, (path, body) in enumerate(zip(paths, bodies, strict=True)):
            within = "/".join(part for part in path.split("/")[1:-1] if _PARTITION.fullmatch(part))
            file = f"{folder}/{number:07}"
            if within:
                nested = True
                file = f"{file}/{within}/0"
                File(file).parent.mkdir(parents=True)
            file = f"{file}.parquet"
            _write(file, body)
            names[file] = path
        return cls(folder, f"{folder}/{'**/' if nested else ''}*.parquet", names, sum(map(len, bodies)))

    def named(self, message: str) -> str:
        """Return a message with the objects' paths instead of the files'."""
        if str(self.folder) not in message:
            return message
        for file, path in self.names.items():
            message = message.replace(file, f"s3://{path}")
        return message

    def used(self) -> bool:
        """Register a user; return whether the files exist: not after a fork, nor once removed."""
        with self._lock:
            there = self._users > 0 and self._process == os.getpid() and self.folder.is_dir()
            self._users += there
        return there

    def close(self) -> None:
        """Release a user; the last one removes the files."""
        with self._lock:
            self._users -= 1
            last = self._users == 0 and self._process == os.getpid()
        if last:
            remove(self.folder)


def _write(file: str, body: bytes) -> None:
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if os.write(opened, body) < len(body):
            raise OSError("there is no room")
    finally:
        os.close(opened)
