"""Find Delta, Iceberg and Hudi tables by the keys of a listing, and reach their objects."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import EndpointError, QueryError, S3ConnError, StatementInterrupted, ThrottledError
from s3conn_magic.language.words import counted, listed, literal
from s3conn_magic.locations import Location, visible
from s3conn_magic.runtime.background import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.listing.request import PageQuery
    from s3conn_magic.listing.table import Page
    from s3conn_magic.runtime.patterns import Glob
    from s3conn_magic.transport import Target

    _Asked = Callable[[int], None]

LOG, NOTES, TIMELINE = "_delta_log/", "metadata/", ".hoodie/"
"""Folders in which Delta, Iceberg and Hudi tables keep their metadata."""
CAME = "$commit_time"
"""Column of our tables with the time at which a row was added."""
OWN_FOLDER = {"Delta": LOG, "Iceberg": NOTES, "Hudi": TIMELINE}
"""The folder that each format writes; if a folder has several, the first counts."""
_FILES = {
    "Delta": r"[0-9]{20}\.[^/]*",  # one listed key is to tell it: checksums and compacted commits come before commits
    "Iceberg": r"(?:[^/]*\.metadata\.json(?:\.gz)?|version-hint\.text)",
    "Hudi": r"hoodie\.properties",
}
_MARKS = {name: re.compile(f"(?s)((?:.*/)?){re.escape(folder)}{_FILES[name]}") for name, folder in OWN_FOLDER.items()}
_ANY_MARK = "|".join(f"(?:.*/)?{re.escape(folder)}{_FILES[name]}" for name, folder in OWN_FOLDER.items())
OWN_ENGINE = "Its own query engine reads it."
DAMAGED = f"{OWN_ENGINE[:-1]}, where that can repair it; LIST shows the objects that exist."
_SHOWN = 3
_PAGE = 1_000
_AT_ONCE = 32


def _ignore_count(requests: int) -> None:
    """Ignore the number of requests."""


def _refuse_removal(bucket: str, keys: Sequence[str]) -> None:
    """Refuse to delete: tables of others are only read."""
    raise NotImplementedError(bucket, keys)


@dataclass(frozen=True, slots=True)
class LakeRoot:
    """The folder of a table.

    Attributes:
        format: Delta, Iceberg or Hudi.
        location: the folder; its key is empty or ends with `/`.
        others: other formats with a table in the same folder.
    """

    format: str
    location: Location
    others: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The table in a sentence."""
        return f"the {self.format} table {visible(self.location.uri)}"

    def owns(self, keys: Iterable[str]) -> bool:
        """Whether keys, or their literal beginnings, are all in the table's own metadata folder."""
        return all(key.startswith(self.location.key + OWN_FOLDER[self.format]) for key in keys)


def tables_among(bucket: str, keys: Iterable[str]) -> dict[str, LakeRoot]:
    """Return the tables to whose metadata some keys belong, by the key of their folder."""
    formats: dict[str, set[str]] = {}
    for key in keys:
        for name, mark in _MARKS.items():
            match = mark.fullmatch(key)
            # Hudi keeps a metadata table within its table, which is part of it.
            if match and TIMELINE not in match[1] and LOG not in match[1]:
                formats.setdefault(match[1], set()).add(name)
    roots = {}
    for folder, names in formats.items():
        first, *others = (name for name in OWN_FOLDER if name in names)
        roots[folder] = LakeRoot(first, Location(bucket, folder), tuple(others))
    return roots


def among_column(bucket: str, keys: pa.ChunkedArray) -> dict[str, LakeRoot]:
    """Return the same as `tables_among`, for a column of a listing."""
    import pyarrow.compute as pc

    marks = pc.match_substring_regex(keys, rf"(?s)\A(?:{_ANY_MARK})\z")
    return tables_among(bucket, keys.filter(marks).to_pylist())


def with_marks(glob: Glob) -> Glob:
    """Return a pattern that also matches metadata of tables, so that these are found below the location."""
    return replace(glob, expression=f"{glob.expression}|{_ANY_MARK}")


def at(
    connection: Connection, location: Location, asked: _Asked = _ignore_count, page: Page | None = None
) -> LakeRoot | None:
    """Return the table in the folder at a location, with or without a final `/`.

    Args:
        connection: the connection to list with.
        location: a folder, or a bucket.
        asked: called with the number of requests.
        page: the folder's first page from a listing by `/` just made; None to request it.

    Raises:
        S3ConnError: there was no answer, or it cannot be trusted.
    """
    key = location.key
    folder = key if not key or key.endswith("/") else f"{key}/"
    seen = {} if page is None else {folder: page}
    return next(iter(_roots_of(connection, location.bucket, [folder], asked, seen)), None)


def tables_around(
    connection: Connection, bucket: str, keys: Iterable[str], asked: _Asked = _ignore_count
) -> list[LakeRoot]:
    """Return the tables that contain some objects or folders, given by exact keys; the innermost first.

    Looks into all folders above the keys.

    Raises:
        As `at`.
    """
    return _roots_of(connection, bucket, sorted(_folders_around(keys), key=len, reverse=True), asked, {})


def _folders_around(keys: Iterable[str]) -> set[str]:
    return {key[:end] for key in keys for end in (0, *(match.end() for match in re.finditer("/", key)))}


def _roots_of(
    connection: Connection, bucket: str, folders: Sequence[str], asked: _Asked, seen: Mapping[str, Page | None]
) -> list[LakeRoot]:
    """Return the tables in some folders: first find their metadata folders, then what is in these."""
    from s3conn_magic.listing.request import PageQuery

    target = connection.target(bucket)
    pages = partial(_pages, target, asked)
    unseen = [folder for folder in folders if folder not in seen]
    seen = {**seen, **dict(zip(unseen, pages([PageQuery(folder, "/") for folder in unseen]), strict=True))}
    few = 1 if target.ordered else _PAGE
    begins = [
        (own, f"{folder}{own}{begin}")
        for folder in folders
        for own, begin in ((LOG, "0"), (NOTES, ""), (TIMELINE, "hoodie.properties"))
        if _may_hold(seen[folder], f"{folder}{own}", ordered=target.ordered)
    ]
    first = pages([PageQuery(begin, max_keys=_PAGE if own == NOTES else few) for own, begin in begins])
    keys = [_keys(page) for page in first]
    # Manifests may sort before the files that identify a table.
    more = [
        PageQuery(f"{begin}v")
        for (own, begin), page, known in zip(begins, first, keys, strict=True)
        if own == NOTES and page is not None and page.next_token is not None and not tables_among("", known)
    ]
    keys += [_keys(page) for page in pages(more)]
    roots = tables_among(bucket, (key for some in keys for key in some))
    return [roots[folder] for folder in folders if folder in roots]


def _pages(target: Target, asked: _Asked, queries: Sequence[PageQuery]) -> list[Page | None]:
    """Return the first pages of listings; None for one that is forbidden or cannot be made."""
    from s3conn_magic.listing import fetch_pages

    if not queries:
        return []
    asked(len(queries))
    pages: list[Page | None] = []
    for page in fetch_pages(target, queries):
        if isinstance(page, EndpointError | ThrottledError | StatementInterrupted):
            raise page
        pages.append(None if isinstance(page, S3ConnError) else page)
    return pages


def _may_hold(page: Page | None, folder: str, *, ordered: bool) -> bool:
    """Whether a folder may exist in another, by the first page of that: the page contains it or ends before it."""
    if page is None or folder in page.prefixes:
        return True
    if page.next_token is None:
        return False
    return not (ordered and page.ascending) or folder > max([*_keys(page)[-1:], *page.prefixes[-1:]], default="")


def _keys(page: Page | None) -> list[str]:
    return [] if page is None else list(page.objects.column("key").to_pylist())


def named(roots: Iterable[LakeRoot]) -> str:
    """Return some tables in a sentence, with only the first few named."""
    ordered = sorted(roots, key=lambda root: root.location.key)
    shown = [f"{visible(root.location.uri)} ({root.format})" for root in ordered[:_SHOWN]]
    return listed([*shown, f"{counted(len(ordered) - _SHOWN, 'other')}"] if len(ordered) > _SHOWN else shown, "and")


def tables_within(roots: Iterable[LakeRoot], keys: Iterable[str]) -> list[LakeRoot]:
    """Return the tables in whose folders the keys are."""
    folders = {root.location.key: root for root in roots}
    if not folders:
        return []
    return [folders[folder] for folder in sorted(folders.keys() & _folders_around(keys), key=len, reverse=True)]


def refusal(roots: Sequence[LakeRoot], location: Location, spelled: Callable[[str], str]) -> QueryError:
    """Return the error for reading files of tables one by one.

    Args:
        roots: the tables; at least one.
        location: what was to be read.
        spelled: returns a key of the bucket as a path in the query.
    """
    first = roots[0]
    read = f"FROM {literal(visible(spelled(first.location.key)))} reads"
    where = visible(location.uri)
    if location.key.startswith(first.location.key):
        what = "is" if location.key == first.location.key else "is in"
        return QueryError(
            f"{where} {what} {first.text}, whose files are not read one by one: some of their rows may be deleted",
            hint=f"{read} its current snapshot.",
        )
    return QueryError(
        f"{where} has files of tables, which are not read one by one: {named(roots)}",
        hint=f"{read} the current snapshot of one; a narrower pattern leaves their folders out.",
    )


class Moment(NamedTuple):
    """A state of a table, by version or time; the newest if neither is given.

    Attributes:
        version: a number for Delta; a snapshot's id or the name of a branch or tag for Iceberg; an instant for Hudi.
        time: with time zone; the state of the table at that time.
    """

    version: int | str | None = None
    time: datetime | None = None


NEWEST = Moment()


SCHEME = re.compile(r"([a-z0-9]+)://([^/]*)/?(.*)", re.DOTALL)
OF_S3 = {"s3", "s3a", "s3n"}


class TableAccess(NamedTuple):
    """Access to the objects of a table.

    Attributes:
        connection: lists the objects.
        filesystem: opens them.
        root: the table.
        asked: called with the number of requests for listings.
        remove: deletes keys of a bucket; refuses for tables of others.
    """

    connection: Connection
    filesystem: Any
    root: LakeRoot
    asked: _Asked = _ignore_count
    remove: Callable[[str, Sequence[str]], None] = _refuse_removal

    def path(self, key: str, bucket: str = "") -> str:
        """Return the path of a key for the filesystem."""
        return f"{self.connection.name}@{bucket or self.root.location.bucket}/{key}"

    def below(self, folder: str) -> list[dict[str, Any]]:
        """Return the objects in a folder of the table: key relative to it, size and last_modified, in key order."""
        from s3conn_magic.listing import Listing

        prefix = f"{self.root.location.key}{folder}"
        with Listing(self.connection.target(self.root.location.bucket), prefix) as listing:
            rows: list[dict[str, Any]] = listing.collect().select(["key", "size", "last_modified"]).to_pylist()
            self.asked(listing.progress.requests)
        return [{**row, "key": row["key"].removeprefix(prefix)} for row in rows]

    def content(self, names: Sequence[str]) -> list[bytes]:
        """Return the bytes of objects by their keys relative to the root."""
        return self.fetched([self.path(f"{self.root.location.key}{name}") for name in names])

    def fetched(self, paths: Iterable[str]) -> list[bytes]:
        """Return the bytes of objects by their paths, each by one request."""
        from s3conn_magic.connections.signing import at_once

        return list(in_order(self.filesystem.cat_file, paths, at_once(_AT_ONCE), name="s3conn-lake"))

    def resolved(self, uri: str) -> str:
        """Return the path of an object that a table names by URI.

        Raises:
            QueryError: it is not in S3.
        """
        match = SCHEME.fullmatch(uri)
        if match is None or match[1] not in OF_S3:
            raise QueryError(
                f"it names a file that is not in S3: {visible(uri)}", hint="Its own query engine reads it there."
            )
        return self.path(match[3], match[2])


@contextmanager
def telling(root: LakeRoot) -> Iterator[None]:
    """Raise errors of a library as QueryErrors."""
    try:
        yield
    except S3ConnError:
        raise
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        message = visible(" ".join(str(error).split()))[:300] or type(error).__name__
        raise QueryError(f"{root.text} cannot be read: {message}", hint=DAMAGED) from None


_NUMBER = re.compile(r"v?([0-9]+)\D.*", re.DOTALL)


_HINT, _OUR_METADATA = "version-hint.text", re.compile(r"[0-9]{5,}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def newest_metadata(reach: TableAccess) -> str:
    """Return the name of the newest metadata file of an Iceberg table, relative to its root.

    Raises:
        QueryError: the newest file cannot be determined.
    """
    names = [row["key"] for row in reach.below(NOTES)]
    if _HINT in names:  # our tables may have metadata that is not committed yet, or never will be
        state = reach.content([f"{NOTES}{_HINT}"])[0].decode("utf-8", "replace").strip()
        if _OUR_METADATA.fullmatch(state):
            return f"{NOTES}{state}.metadata.json"
    files = [name for name in names if re.fullmatch(r"[^/]*\.metadata\.json(\.gz)?", name)]
    numbers: dict[int, list[str]] = {}
    for name in files:
        match = _NUMBER.fullmatch(name)
        numbers.setdefault(int(match[1]) if match else -1, []).append(name)
    if not numbers:
        raise QueryError("it has no metadata file", hint="LIST shows what exists.")
    # A file without a number may be newer than all numbered ones.
    latest = [name for number in {max(numbers), -1} for name in numbers.get(number, ())]
    doubtful = sorted({*latest, *(name for same in numbers.values() if len(same) > 1 for name in same)})
    if len(doubtful) > 1:
        _check_one_table(reach, doubtful, latest)
    return f"{NOTES}{latest[0]}"


def _check_one_table(reach: TableAccess, names: Sequence[str], latest: Sequence[str]) -> None:
    """Refuse a folder with the metadata of several tables, or with several newest states."""
    where = f"{reach.root.location.uri}{NOTES}"
    contents = reach.content([f"{NOTES}{name}" for name in names])
    tables = {metadata_of(data, name).get("table-uuid") for name, data in zip(names, contents, strict=True)}
    said = "has the metadata of several tables" if len(tables) > 1 else "has several metadata files that are the newest"
    if len(tables) > 1 or len(latest) > 1:
        raise QueryError(
            f"{visible(where)} {said}, and only its catalog knows the current one:"
            f" {listed(map(visible, names), 'and')}",
            hint=f"FROM '{visible(where)}{visible(latest[-1])}' reads that one.",
        )


def metadata_of(data: bytes, name: str) -> dict[str, Any]:
    """Return the content of a metadata file.

    Raises:
        QueryError: it is damaged.
    """
    try:
        content: dict[str, Any] = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (ValueError, OSError):
        content = {}
    if not isinstance(content, dict) or "format-version" not in content:
        raise QueryError(f"its metadata file {visible(name)} is damaged", hint=DAMAGED)
    return content


def iceberg_version(reach: TableAccess, name: str = "") -> str:
    """Return the newest state of an Iceberg table, without PyIceberg."""
    name = name or newest_metadata(reach)
    content = metadata_of(reach.content([name])[0], name)
    current = content.get("current-snapshot-id")
    state = "no snapshot" if current in {None, -1} else f"snapshot {current}"
    return f"format {content['format-version']}, {state}"


class TablesAround:
    """Lake tables around and below a location that is read object by object; their files are refused.

    Args:
        connection: the connection to list with.
        location: what is read.
        into: name of the target table, as a statement writes it.

    Raises:
        QueryError: the location is in a table, or is its folder.
    """

    def __init__(self, connection: Connection, location: Location, into: str) -> None:
        self._connection, self._location, self._into = connection, location, into
        self._below: dict[str, LakeRoot] = {}
        self.look_around(location)

    def look_around(self, location: Location) -> None:
        """Refuse a location in a table."""
        self._refuse(tables_around(self._connection, location.bucket, [location.key]), location)

    def see(self, keys: pa.ChunkedArray) -> None:
        """Note the tables whose metadata is among the keys of a listing."""
        self._below |= among_column(self._location.bucket, keys)

    def check(self, keys: Iterable[str]) -> None:
        """Refuse objects that are files of a table."""
        self._refuse(tables_within(self._below.values(), keys), self._location)

    def _refuse(self, roots: Sequence[LakeRoot], location: Location) -> None:
        if roots:
            error, where = refusal(roots, location, str), roots[0].location
            rows = f"FROM {literal(visible(f's3://{self._connection.name}@{where.bucket}/{where.key}'))};"
            error.hint = (
                f"CREATE TABLE {self._into} AS SELECT * {rows} loads its current snapshot, and"
                f" CREATE JOB … AS INSERT INTO S3 … SELECT * {rows} writes that to other files."
            )
            raise error
