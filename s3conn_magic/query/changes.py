"""What a filesystem over connections changes: objects written, copied and deleted."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem

from s3conn_magic.errors import S3ConnError
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects import writing
from s3conn_magic.objects.asking import ask
from s3conn_magic.query.paths import Path
from s3conn_magic.query.writable import WritableFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.query.reading import Reading

_COPIED_AT_ONCE = 5 * 1024**3


class ChangingFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The writing half of `ConnectionFileSystem`. READ_ONLY connections refuse before anything is sent."""

    _connection_of: Callable[[str | None], Connection]

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Reading]:
        """The query that is under way, or one for a single call."""

    def _writable(self, path: Path, *, overwrite: bool, autocommit: bool) -> WritableFile:
        if not path.location.key:
            raise S3ConnError(f"s3://{visible(path.text)} is a bucket, not an object")
        with self._reading() as reading:
            try:
                upload = writing.Upload(self._connection_of(path.connection), path.location, None, overwrite=overwrite)
            except S3ConnError as error:
                reading.failed(error)
                raise
            return WritableFile(upload, path.text, reading, autocommit=autocommit)

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy an object; by the server where both are of one connection.

        Raises:
            ReadOnlyConnectionError: the connection of the copy is READ_ONLY; nothing was sent.
        """
        del options
        source, target = (Path.parse(self._strip_protocol(one)) for one in (path1, path2))
        connection = self._connection_of(target.connection)
        writing.refuse_if_read_only(connection, "a copy")
        size = self.info(path1)["size"]
        if connection is not self._connection_of(source.connection) or size > _COPIED_AT_ONCE:
            self._copy_through(path1, path2)
            return
        to = {"Bucket": target.location.bucket, "Key": target.location.key}
        origin = {"Bucket": source.location.bucket, "Key": source.location.key}
        ask(connection, target.location, "copy_object", CopySource=origin, **to)

    def _copy_through(self, path1: str, path2: str) -> None:
        with self.open(path1, "rb") as source, self.open(path2, "wb") as target:
            while piece := source.read(writing.PART):
                target.write(piece)

    def rm_file(self, path: str) -> None:
        """Delete one object.

        Raises:
            ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        """
        self._delete([Path.parse(self._strip_protocol(path))])

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects, and everything below when it is recursive.

        Raises:
            ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
            S3ConnError: some could not be deleted; the first of them is named.
        """
        paths = [Path.parse(self._strip_protocol(one)) for one in (path if isinstance(path, list) else [path])]
        for one in paths:
            writing.refuse_if_read_only(self._connection_of(one.connection), "a deletion")
        if recursive:
            paths = [Path.parse(found) for one in paths for found in self.find(one.text, maxdepth=maxdepth)]
        self._delete(paths)

    def _delete(self, paths: Sequence[Path]) -> None:
        groups: dict[tuple[str | None, str], list[str]] = {}
        for one in paths:
            groups.setdefault((one.connection, one.location.bucket), []).append(one.location.key)
        for (name, bucket), keys in groups.items():
            connection = self._connection_of(name)
            for done in writing.delete(connection, bucket, keys, cancelled=lambda: False):
                if done.failures:
                    key, code = next(iter(done.failures.items()))
                    raise S3ConnError(f"{visible(Location(bucket, key).uri)} was not deleted ({code})")

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Nothing: folders are there when something is in them."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing: folders are there when something is in them."""

    def rmdir(self, path: str) -> None:
        """Nothing: folders are gone when nothing is in them."""
