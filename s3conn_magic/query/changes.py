"""What a filesystem over connections changes: objects written, copied and deleted."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path as LocalPath
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

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

        Args:
            path1: the object.
            path2: where the copy will be.
            options: as `copied`, a mapping that gets the path and the etag of what was copied.

        Raises:
            ReadOnlyConnectionError: the connection of the copy is READ_ONLY; nothing was sent.
            S3ConnError: the object was replaced meanwhile.
        """
        source, target = (Path.parse(self._strip_protocol(one)) for one in (path1, path2))
        connection = self._connection_of(target.connection)
        writing.refuse_if_read_only(connection, "a copy")
        there = self.info(path1)
        if there["type"] == "directory":  # it is where its objects are
            return
        if connection is not self._connection_of(source.connection) or there["size"] > _COPIED_AT_ONCE:
            self._copy_through(path1, path2)
        else:
            condition = {"CopySourceIfMatch": f'"{there["etag"]}"'} if there["etag"] else {}
            to = {"Bucket": target.location.bucket, "Key": target.location.key}
            origin = {"Bucket": source.location.bucket, "Key": source.location.key}
            ask(connection, target.location, "copy_object", CopySource=origin, **condition, **to)
        options.get("copied", {})[path1] = there["etag"]

    def _copy_through(self, path1: str, path2: str) -> None:
        with self.open(path1, "rb") as source, self.open(path2, "wb") as target:
            while piece := source.read(writing.PART):
                target.write(piece)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **options: Any) -> None:
        """Copy objects, and delete those that were copied and have not been replaced since.

        Raises:
            ReadOnlyConnectionError: one of the connections is READ_ONLY; nothing was sent.
            S3ConnError: one could not be copied, and none was deleted; or one was replaced meanwhile, and stays.
        """
        del options
        if path1 == path2:
            return
        for one in path1 if isinstance(path1, list) else [path1]:
            source = Path.parse(self._strip_protocol(one))
            writing.refuse_if_read_only(self._connection_of(source.connection), "a deletion")
        copied: dict[str, str] = {}
        self.copy(path1, path2, recursive=recursive, maxdepth=maxdepth, on_error="raise", copied=copied)
        replaced = [path for path, etag in copied.items() if self._remove(Path.parse(path), etag) == "changed"]
        if replaced:
            where = visible(Path.parse(replaced[0]).location.uri)
            raise S3ConnError(f"{where} was replaced while it was moved: it was copied as it had been, and stays")

    rename = move = mv

    def _remove(self, path: Path, etag: str) -> str:
        where = path.location
        return writing.ExactDeletion(self._connection_of(path.connection), where.bucket).delete(where.key, etag)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        """Write an object; by the mode `create` in place of none."""
        super().pipe_file(path, value, mode=mode, exclusive=mode == "create", **options)

    def put_file(
        self, lpath: Any, rpath: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **options: Any
    ) -> None:
        """Write a local file as an object; by the mode `create` in place of none."""
        super().put_file(lpath, rpath, callback=callback, mode=mode, exclusive=mode == "create", **options)

    def get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **options: Any
    ) -> None:
        """Copy an object to a local file, which is there whole or stays as it was.

        Raises:
            S3ConnError: the object cannot be read.
        """
        if outfile is not None or isfilelike(lpath) or self.isdir(rpath):
            super().get_file(rpath, lpath, callback=callback, outfile=outfile, **options)
            return
        target = LocalPath(lpath)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{uuid4().hex}.tmp")
        try:
            with beside.open("xb") as file:
                super().get_file(rpath, lpath, callback=callback, outfile=file, **options)
            beside.replace(target.resolve())
        finally:
            beside.unlink(missing_ok=True)

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
