"""PyIceberg's access to our tables: their objects, and the pointer to the newest state.

All requests go over the connection. In a bucket the pointer is `metadata/version-hint.text` in the table's folder,
created with `If-None-Match` and replaced with `If-Match`. It contains the name of the newest metadata file, as readers
of a table by its folder expect.
"""

from __future__ import annotations

import io
import sqlite3
import uuid
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from botocore.exceptions import ClientError
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.exceptions import (
    BadRequestError,
    CommitFailedException,
    ForbiddenError,
    NoSuchTableError,
    UnauthorizedError,
)
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.io.fsspec import FsspecInputFile
from pyiceberg.serializers import FromInputFile, ToOutputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import AddSnapshotUpdate, update_table_metadata

from s3conn_magic.connections.faults import code_of, translate, translated
from s3conn_magic.connections.writes import LACKING, MISSING, UNMET
from s3conn_magic.errors import (
    EndpointError,
    ObjectNotFoundError,
    QueryError,
    S3ConnError,
    ThrottledError,
    pip_install,
)
from s3conn_magic.lakes import NOTES, OF_S3, SCHEME
from s3conn_magic.language.words import table_parts
from s3conn_magic.locations import Location, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from pyiceberg.partitioning import PartitionSpec

    from s3conn_magic.lakes import TableAccess

HINT = f"{NOTES}version-hint.text"
BUCKET, BESIDE = "bucket", "beside"
_END = ".metadata.json"
_NO_ETAG = '"00000000000000000000000000000000"'


class ConnectionIO(FileIO):
    """Reads by the filesystem of queries, with its cache and counts, and writes by a client of the connection.

    An object is written by one request, with the connection's encryption, when its file is closed without an error;
    until then nothing of it exists.

    Args:
        reach: access to the table.
        path_of: returns the filesystem's path for an address in the table's metadata.

    Attributes:
        written: addresses of the objects written, so that they can be deleted again.
    """

    def __init__(self, reach: TableAccess, path_of: Callable[[str], str] | None = None) -> None:
        super().__init__()
        self._reach = reach
        self._path_of = path_of or reach.resolved
        self.written: list[str] = []

    def new_input(self, location: str) -> InputFile:
        """Return an object to read."""
        kind = _WholeInput if location.endswith((".avro", ".json", ".json.gz")) else FsspecInputFile
        return kind(self._path_of(location), self._reach.filesystem)

    def fetch(self, locations: Iterable[str]) -> None:
        """Fetch objects that will be read as a whole in parallel, and keep them for the query."""
        self._reach.fetched(map(self._path_of, locations))

    def new_output(self, location: str) -> OutputFile:
        """Return an object to write, which must not exist yet."""
        return _Output(location, self)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete an object if it exists."""
        self.delete_all([location if isinstance(location, str) else location.location])

    def delete_all(self, locations: Iterable[str]) -> int:
        """Delete objects, many per request.

        Raises:
            S3ConnError: one cannot be deleted.
        """
        keys: dict[str, list[str]] = {}
        for place in map(self._place, locations):
            keys.setdefault(place.bucket, []).append(place.key)
        for bucket, each in keys.items():
            self._reach.remove(bucket, each)
        return sum(map(len, keys.values()))

    def write(self, location: str, body: bytes) -> None:
        """Write an object.

        Raises:
            S3ConnError: it cannot be written.
        """
        place = self._place(location)
        self._reach.connection.refuse_if_read_only("a change of a table")
        client = self._reach.connection.internal_client(place.bucket)
        self.written.append(location)
        self._reach.asked(1)
        translated(lambda: client.put_object(Bucket=place.bucket, Key=place.key, Body=body), resource=place.arn)

    def read(self, location: str) -> bytes:
        """Return the bytes of an object."""
        return self._reach.fetched([self._path_of(location)])[0]

    @staticmethod
    def _place(location: str) -> Location:
        match = SCHEME.fullmatch(location)
        if match is None or match[1] not in OF_S3:
            raise ValueError(f"{location} is not in S3")
        return Location(match[2], match[3])


class _WholeInput(FsspecInputFile):
    """An object that is read as a whole by one request."""

    def open(self, seekable: bool = True) -> Any:  # noqa: ARG002 - it is
        return io.BytesIO(self._fs.cat_file(self.location))


class _Output(OutputFile):
    def __init__(self, location: str, of: ConnectionIO) -> None:
        super().__init__(location)
        self._of = of
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def exists(self) -> bool:
        try:
            return len(self.to_input_file()) >= 0
        except ObjectNotFoundError:
            return False

    def to_input_file(self) -> InputFile:
        return self._of.new_input(self.location)

    def create(self, overwrite: bool = False) -> Any:  # noqa: ARG002 - its name is new
        """Return a file whose content becomes the object when it is closed."""
        return _Body(self)

    def made(self, body: bytes) -> None:
        self.size = len(body)
        self._of.write(self.location, body)


class _Body(io.BytesIO):
    """Becomes an object when it is closed, unless by an error."""

    def __init__(self, output: _Output) -> None:
        super().__init__()
        self._output: _Output | None = output

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._output = None
        self.close()

    def close(self) -> None:
        output, self._output = self._output, None
        if output is not None and not self.closed:
            output.made(self.getvalue())
        super().close()


class NoConditionsError(Exception):
    """The server does not honor conditions on writes."""


class Pointed(NamedTuple):
    """A pointer's content: the name of a metadata file, and the tag that a swap compares."""

    name: str
    tag: str


class _Pointer(Protocol):
    """Names the newest metadata file of a table."""

    def read(self) -> Pointed | None:
        """Return its content; None if there is no pointer."""

    def create(self, name: str) -> bool:
        """Create it; return whether there was none."""

    def swap(self, name: str, tag: str) -> bool:
        """Set another name if its tag is still the given one; return whether it was."""

    def drop(self) -> None:
        """Delete it."""


class BucketPointer:
    """A pointer in an object of the bucket."""

    def __init__(self, reach: TableAccess) -> None:
        self._reach = reach
        self._place = Location(reach.root.location.bucket, f"{reach.root.location.key}{HINT}")
        self._parameters = {"Bucket": self._place.bucket, "Key": self._place.key}

    @property
    def _client(self) -> Any:
        self._reach.asked(1)
        return self._reach.connection.internal_client(self._place.bucket)

    def read(self) -> Pointed | None:
        """Return its content, never from a cache."""
        client = self._client

        def read() -> Pointed | None:
            try:
                answer = client.get_object(**self._parameters)
            except ClientError as error:
                if code_of(error) in MISSING:
                    return None
                raise
            return Pointed(answer["Body"].read().decode("utf-8", "replace").strip(), str(answer["ETag"]))

        return translated(read, resource=self._place.arn)

    def create(self, name: str) -> bool:
        """Create it; return whether there was none.

        Raises:
            NoConditionsError: the server refuses or ignores the conditions.
        """
        if not self._put(name, IfNoneMatch="*"):
            return False
        # A server that ignores conditions would do both of these.
        if self._put(name, IfMatch=_NO_ETAG) or self._put(name, IfNoneMatch="*"):
            self.drop()
            raise NoConditionsError
        return True

    def swap(self, name: str, tag: str) -> bool:
        """Set another name if its tag is still the given one; return whether it was."""
        return self._put(name, IfMatch=tag)

    def _put(self, name: str, **condition: str) -> bool:
        try:
            self._client.put_object(**self._parameters, Body=name.encode(), **condition)
        except ClientError as error:
            if code_of(error) in UNMET or ("IfMatch" in condition and code_of(error) in MISSING):
                return False
            if code_of(error) in LACKING:
                raise NoConditionsError from None
            raise translate(error, resource=self._place.arn) from None
        except Exception as error:  # noqa: BLE001 - translated
            raise translate(error, resource=self._place.arn) from None
        return True

    def drop(self) -> None:
        """Delete it."""
        client = self._client
        translated(lambda: client.delete_object(**self._parameters), resource=self._place.arn)


class FilePointer:
    """The pointers of tables in a SQLite file, for servers without conditional writes."""

    def __init__(self, path: str, location: str) -> None:
        self._path, self._location = path, location

    def _execute(self, sql: str, *values: str) -> tuple[list[Any], int]:
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS pointers (location TEXT PRIMARY KEY, name TEXT NOT NULL)")
            cursor = database.execute(sql, values)
            return cursor.fetchall(), cursor.rowcount

    def read(self) -> Pointed | None:
        """Return its content; None if there is no pointer."""
        rows, _ = self._execute("SELECT name FROM pointers WHERE location = ?", self._location)
        return Pointed(rows[0][0], rows[0][0]) if rows else None

    def create(self, name: str) -> bool:
        """Create it; return whether there was none."""
        return self._execute("INSERT OR IGNORE INTO pointers VALUES (?, ?)", self._location, name)[1] == 1

    def swap(self, name: str, tag: str) -> bool:
        """Set another name if its tag is still the given one; return whether it was."""
        sql = "UPDATE pointers SET name = ? WHERE location = ? AND name = ?"
        return self._execute(sql, name, self._location, tag)[1] == 1

    def drop(self) -> None:
        """Delete it."""
        self._execute("DELETE FROM pointers WHERE location = ?", self._location)


class _SharedHistory(list[Any]):
    """A table's past states, which no change alters, so copies of the metadata share them.

    PyIceberg deep-copies the metadata some thirty times per commit.
    """

    def __add__(self, more: list[Any]) -> _SharedHistory:
        return _SharedHistory([*self, *more])

    def __deepcopy__(self, _: Any) -> _SharedHistory:
        return _SharedHistory(self)


def _with_shared_history(metadata: Any) -> Any:
    """Return metadata whose history is not copied with it."""
    history = ("snapshots", "snapshot_log", "metadata_log")
    return metadata.model_copy(update={name: _SharedHistory(getattr(metadata, name)) for name in history})


class UnknownOutcomeError(S3ConnError):
    """It is unknown whether a commit took effect: its swap had no answer, and the pointer cannot be read."""


def _unknown(root: str, reason: str) -> UnknownOutcomeError:
    return UnknownOutcomeError(
        f"it is not known whether the change of {visible(root)} is there: {visible(reason)}",
        hint="SHOW SNAPSHOTS shows it, if it is.",
    )


class PointerCatalog(NoopCatalog):
    """A catalog of one table, whose newest metadata file is named by a pointer."""

    def __init__(self, pointer: _Pointer, reach: TableAccess, files: ConnectionIO) -> None:
        super().__init__("s3conn")
        self._pointer, self._io = pointer, files
        self._root = reach.root.location.uri.rstrip("/")
        self._seen: Pointed | None = None

    def load_table(self, identifier: Any = ("table",)) -> Table:
        """Return the newest state.

        Raises:
            NoSuchTableError: there is none.
        """
        self._seen = self._pointer.read()
        if self._seen is None:
            raise NoSuchTableError
        where = self._address(self._seen.name)
        metadata = FromInputFile.table_metadata(self._io.new_input(where))
        return Table(identifier, _with_shared_history(metadata), where, self._io, self)

    def newest(self) -> str:
        """Return the name of the newest metadata file, relative to the table's folder; empty if there is none."""
        seen = self._pointer.read()
        return f"{NOTES}{seen.name}{_END}" if seen else ""

    def _address(self, name: str) -> str:
        return f"{self._root}/{NOTES}{name}{_END}"

    def staged(self, schema: Any, spec: PartitionSpec, properties: Mapping[str, str], *, replacing: bool) -> Table:
        """Return a table that does not exist until its first commit, which creates it or replaces the existing one.

        Args:
            schema: a schema of PyIceberg or PyArrow.
            spec: its partitions.
            properties: properties of the table.
            replacing: whether it replaces one.
        """
        self._seen = self._pointer.read() if replacing else None
        made = new_table_metadata(schema, spec, UNSORTED_SORT_ORDER, self._root, dict(properties))
        return Table(("table",), made, "", self._io, self)

    def publish(self, table: Table) -> None:
        """Create a staged table without rows.

        Raises:
            NoConditionsError: the server refuses or ignores the conditions.
            CommitFailedException: the table exists already.
        """
        self._write(table, table.metadata)

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        """Commit a change, if the table is still in the state that the change was made from.

        Raises:
            CommitFailedException: it is in another state, and nothing of this change took effect.
            UnknownOutcomeError: it is unknown whether the change took effect.
        """
        for requirement in requirements:
            requirement.validate(table.metadata)
        updated = update_table_metadata(table.metadata, updates, metadata_location=table.metadata_location or None)
        return CommitTableResponse.model_construct(metadata=updated, metadata_location=self._write(table, updated))

    def _write(self, table: Table, metadata: Any) -> str:
        last, seen = table.metadata_location, self._seen
        number = int(last.rsplit("/", 1)[1].partition("-")[0]) + 1 if last else 0
        name = f"{number:05d}-{uuid.uuid4()}"
        where = self._address(name)
        ToOutputFile.table_metadata(metadata, self._io.new_output(where))
        made = self._swap_certainly(name, seen.tag) if seen else self._pointer.create(name)
        if not made:
            raise CommitFailedException
        self._io.written.clear()
        self._seen = None
        return where

    def _swap_certainly(self, name: str, tag: str) -> bool:
        """Swap the pointer; return whether it took effect, even if the answer was lost or came to a second try."""
        try:
            if self._pointer.swap(name, tag):
                return True
        except (EndpointError, ThrottledError) as error:
            failure: S3ConnError | None = error
        else:
            failure = None
        try:
            pointed = self._pointer.read()
            done = pointed is not None and (pointed.name == name or self._is_after(pointed.name, name))
        except S3ConnError as error:
            raise _unknown(self._root, error.message) from None
        if not done and failure is not None and pointed is not None and pointed.tag == tag:
            # The swap may still take effect, so what was written is kept.
            raise _unknown(self._root, failure.message)
        return done

    def _is_after(self, newest: str, name: str) -> bool:
        """Whether a state is one of those before the newest."""
        metadata = FromInputFile.table_metadata(self._io.new_input(self._address(newest)))
        return any(entry.metadata_file == self._address(name) for entry in metadata.metadata_log)

    def drop_table(self, identifier: Any = ("table",)) -> None:
        """Remove the table from the catalog; its files are kept."""
        del identifier
        self._pointer.drop()


_FILES_PROPERTY = "s3conn_magic_files"
_REFUSED = (CommitFailedException, NoSuchTableError, BadRequestError, ForbiddenError, UnauthorizedError, S3ConnError)
"""Errors after which nothing of a change took effect."""


def given_files(properties: Mapping[str, Any]) -> FileIO:
    """Return the FileIO for another catalog, which is among its properties."""
    files: FileIO = properties[_FILES_PROPERTY]
    return files


class NamedCatalog:
    """A table in another catalog, with the interface of a `PointerCatalog`.

    Args:
        setting: the value of SET CATALOG: `glue`, `rest:https://…` or `sql:sqlite:///…`.
        table: name of the table; its schema is the namespace, and its first part, if there are three, the catalog.
        reach: access to its files.
        files: reads and writes them.

    Raises:
        QueryError: the catalog cannot be opened.
    """

    def __init__(self, setting: str, table: str, reach: TableAccess, files: ConnectionIO) -> None:
        kind, _, address = setting.partition(":")
        *within, name = table_parts(table)
        called = within[0] if len(within) > 1 else "default"
        ours: dict[str, Any] = {"py-io-impl": f"{__name__}.{given_files.__name__}", _FILES_PROPERTY: files}
        try:
            catalog: Any = (
                _glue(called, reach.connection.internal_client(service="glue"), ours)
                if kind == "glue"
                else load_catalog(called, type=kind, uri=address, **ours)
            )
        except ImportError as error:
            said = f"the catalog {kind} needs a package that is not installed: {error.name}"
            raise QueryError(said, hint=f"{pip_install(error.name or 'pyiceberg')}, and run it again.") from None
        catalog._load_file_io = lambda *_, **__: files  # noqa: SLF001 - each of its tables has one of its own
        self._catalog = catalog
        self._identifier = (within[-1] if within else "default", name)
        self._io, self._root = files, reach.root.location.uri.rstrip("/")

    def load_table(self, identifier: Any = None) -> Table:
        """Return the newest state."""
        return self._ours(self._catalog.load_table(identifier or self._identifier))

    def _ours(self, table: Table) -> Table:
        table.io, table.catalog = self._io, self  # type: ignore[assignment] # all that a table asks of one
        table.metadata = _with_shared_history(table.metadata)
        return table

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        """Commit a change; if there is no clear answer, check whether it took effect."""
        try:
            done: CommitTableResponse = self._catalog.commit_table(table, requirements, updates)
        except _REFUSED:
            raise
        except Exception as error:  # noqa: BLE001 - whatever kept the answer away
            return self._check_outcome(updates, error)
        return done

    def _delete_old_metadata(self, *states: Any) -> None:
        """Delete metadata files that the table does not keep, if its properties say so."""
        self._catalog._delete_old_metadata(*states)  # noqa: SLF001 - a table asks its catalog for it by this name

    def _check_outcome(self, updates: Any, error: Exception) -> CommitTableResponse:
        """Return the state if it has the change whose answer was lost; raise UnknownOutcomeError otherwise."""
        added = [update.snapshot.snapshot_id for update in updates if isinstance(update, AddSnapshotUpdate)]
        with suppress(Exception):
            now = self.load_table()
            if added and all(now.snapshot_by_id(each) for each in added):
                return CommitTableResponse.model_construct(
                    metadata=now.metadata, metadata_location=now.metadata_location
                )
        raise _unknown(self._root, " ".join(str(error).split())) from None

    def newest(self) -> str:
        """Return the name of the newest metadata file, relative to the table's folder; empty if it is elsewhere."""
        where = self.load_table().metadata_location
        return where.removeprefix(f"{self._root}/") if where.startswith(f"{self._root}/") else ""

    def staged(self, schema: Any, spec: PartitionSpec, properties: Mapping[str, str], *, replacing: bool) -> Table:
        """Create a table without rows, at once."""
        if replacing:
            self.drop_table()
        self._catalog.create_namespace_if_not_exists(self._identifier[:1])
        made: Table = self._catalog.create_table(
            self._identifier, schema, self._root, spec, properties=dict(properties)
        )
        return self._ours(made)

    def publish(self, table: Table) -> None:
        """Do nothing, as the table already exists."""

    def drop_table(self, _: Any = None) -> None:
        """Remove the table from the catalog; its files are kept."""
        self._catalog.drop_table(self._identifier)


def _glue(name: str, client: Any, properties: Mapping[str, Any]) -> Any:
    from pyiceberg.catalog.glue import GlueCatalog

    return GlueCatalog(name, client=client, **properties)


AnyCatalog = PointerCatalog | NamedCatalog


def opened(setting: str, table: str, reach: TableAccess, files: ConnectionIO, beside: str = "") -> AnyCatalog:
    """Return the catalog of a table.

    Args:
        setting: `bucket`, `beside` (a file beside the session's database), or another catalog.
        table: name of the table.
        reach: access to its files.
        files: reads and writes them.
        beside: path of the file for `beside`.
    """
    if setting == BUCKET:
        return PointerCatalog(BucketPointer(reach), reach, files)
    if setting == BESIDE:
        return PointerCatalog(FilePointer(beside, reach.root.location.uri), reach, files)
    return NamedCatalog(setting, table, reach, files)
