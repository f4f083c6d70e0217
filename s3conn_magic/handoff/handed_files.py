"""The fsspec filesystem of a connection: atomic writes, and many files at once."""

from __future__ import annotations

import io
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from errno import ENOTEMPTY
from functools import partial, wraps
from importlib import import_module
from mimetypes import guess_type
from pathlib import Path as LocalPath
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.probe import roots
from s3conn_magic.errors import ObjectExistsError, ObjectNotFoundError, S3ConnError
from s3conn_magic.handoff.libraries import PROTOCOL, ConnectionReference, connection_of
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects import deleting, uploads
from s3conn_magic.objects.files import WritableFile
from s3conn_magic.objects.filesystem import ConnectionFileSystem
from s3conn_magic.objects.listed import Path, directory, first_bytes
from s3conn_magic.objects.ranged import save
from s3conn_magic.objects.requests import ask, presign
from s3conn_magic.objects.scope import QueryScope
from s3conn_magic.transport.exchange import GREATEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.objects.listed import ListedEntry

_COPIED_AT_ONCE = 5 * 1024**3
_SCHEMES = (f"{PROTOCOL}://", "s3://", "s3a://")
_LINKS: dict[str, Any] = {"get_object": "GET", "put_object": "PUT", "head_object": "HEAD"}
_Step = TypeVar("_Step", bound="Callable[..., None]")
_postponed: ContextVar[list[Callable[[], None]] | None] = ContextVar("s3conn_together", default=None)


_MAY_DELETE_HINT = "TEST CONNECTION … WITH WRITE says whether it may be deleted; then rm() it again."


def _postponable(step: _Step) -> _Step:
    """Postpone a step while `_in_parallel` collects steps."""

    @wraps(step)
    def now_or_later(*args: Any, **options: Any) -> None:
        if (steps := _postponed.get()) is None:
            step(*args, **options)
        else:
            steps.append(partial(step, *args, **options))

    return cast("_Step", now_or_later)


class HandedFileSystem(ConnectionFileSystem):
    """The files of a connection, as `s3conn://bucket/key`, `s3://bucket/key` or `bucket/key`.

    It works like s3fs, except: a written file exists once it is closed without an error, or not at all; with
    `with fs.transaction:` all files exist or none; `rm` refuses a folder without `recursive`; and `rm` of a whole
    bucket keeps the bucket, which `rmdir` deletes.

    Several files are read, written, copied and deleted in parallel. Errors are this package's, which also are
    FileNotFoundError, PermissionError, FileExistsError or OSError.

    Args:
        connection: the `connection` of `storage_options("fsspec")`, or the name of a connection in this process's
            session; by default the one that statements use without a name.

    Raises:
        ConnectionNotFoundError: at first use, if the connection is gone or belongs to another process.
    """

    protocol: tuple[str, ...] = (PROTOCOL, "s3", "s3a")
    _scheme = PROTOCOL

    def __init__(self, connection: str | None = None, **options: Any) -> None:
        super().__init__(lambda path: self._named(path.connection), **options)
        self._handle = connection
        self._kept: Connection | None = None

    @classmethod
    def of(cls, connection: Connection) -> HandedFileSystem:
        """Return the filesystem of a connection and keep the connection alive."""
        files = cls(connection=ConnectionReference.of(connection))
        files._kept = connection
        return files

    def _named(self, name: str | None) -> Connection:
        return connection_of(self._handle, name, self._kept)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Return a path without its scheme and without the slash at the end of a folder's name.

        Libraries join the names of folders and files with a slash. Two slashes at the end are kept.
        """
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text = str(path)
        scheme = next((scheme for scheme in _SCHEMES if text.startswith(scheme)), "")
        known = text.removeprefix(scheme)
        return known if known.endswith("//") else known.removesuffix("/")

    def unstrip_protocol(self, name: str) -> str:
        """Return the path with the scheme under which fsspec found it, or the connection's own, which always works."""
        return f"{self._scheme}://{self._strip_protocol(name)}"

    # Listing

    def _info_of(self, path: Path, entry: ListedEntry) -> dict[str, Any]:
        """Return the info of a path, with s3fs's names in addition."""
        about = super()._info_of(path, entry)
        if entry.is_folder:
            return about
        s3fs_names = {"Key": about["name"], "Size": entry.size, "LastModified": entry.last_modified}
        return about | s3fs_names | {"ETag": f'"{entry.etag}"'}

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return the info of a path; the empty path is the folder of the buckets."""
        return super().info(path, **options) if self._strip_protocol(path) else directory("")

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """Return the entries of a folder; of the empty path, the connection's display filters or buckets.

        Raises:
            AccessDeniedError: there are no filters, and the identity may not list buckets.
            ObjectNotFoundError: nothing is there.
        """
        if self._strip_protocol(path):
            infos = sorted(super().ls(path, **options), key=lambda info: str(info["name"]))
        else:
            infos = [directory(self._strip_protocol(root.uri)) for root in roots(self._named(None))]
        return infos if detail else [info["name"] for info in infos]

    def sizes(self, paths: Iterable[str]) -> list[Any]:
        """Return the sizes in bytes."""
        return QueryScope().each(self.size, paths)

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **options: Any
    ) -> Any:
        """Return every object below a path, with `withdirs` also the folders; or the path itself if it is an object.

        With `maxdepth` folders are listed one by one, otherwise all keys over many connections.
        """
        name = self._strip_protocol(path)
        if name and maxdepth is None:
            rows = super().find(path, None, withdirs, detail=True, **options)
        else:
            rows = self._find_by_folder(name, maxdepth, withdirs=withdirs)
        if withdirs and rows and name and name not in rows:
            rows = {name: directory(name), **rows}
        return rows if detail else list(rows)

    def _find_by_folder(self, path: str, maxdepth: int | None, *, withdirs: bool) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        level, depth = [path], 0
        while level and (maxdepth is None or depth < maxdepth):
            entries = [entry for listing in QueryScope().each(self._ls_or_none, level) for entry in listing]
            rows |= {entry["name"]: entry for entry in entries if withdirs or entry["type"] == "file"}
            level = [entry["name"] for entry in entries if entry["type"] == "directory"]
            depth += 1
        return dict(sorted(rows.items()))

    def _ls_or_none(self, path: str) -> list[Any]:
        try:
            return self.ls(path)
        except FileNotFoundError:
            return []

    def glob(self, path: str, maxdepth: int | None = None, **options: Any) -> Any:
        """Return the objects and folders that match, by fsspec's rules; `[*]` stands for a literal `*`."""
        return AbstractFileSystem.glob(self, path, maxdepth, **options)

    def sign(self, path: str, expiration: int = 100, **options: Any) -> str:
        """Return a URL that reads an object without credentials, valid for so many seconds.

        With `client_method="put_object"` it writes the object.

        Raises:
            CredentialsError: the connection's objects cannot be read by a URL alone.
            ReadOnlyConnectionError: the URL could write.
        """
        where, method = self._path(path), str(options.get("client_method", "get_object"))
        if method not in _LINKS:
            raise ValueError("a link is of get_object, put_object or head_object")
        return presign(self._named(where.connection), where.location, expiration, method=_LINKS[method]).url

    def url(self, path: str, expires: int = 3600, client_method: str = "get_object", **_: Any) -> str:
        """Return the same as `sign`, under s3fs's name and arguments."""
        return self.sign(path, expires, client_method=client_method)

    # Several at once

    def _read_all(self, wanted: Iterable[tuple[str, Any, Any]], on_error: str) -> list[Any]:
        """Return the bytes of ranges of many objects; unless `on_error` is `raise`, errors take their places."""
        waiting, bodies = deque[Any](), list[Any]()
        with self._scoped() as scope:
            for bounds in wanted:
                asked = _result_or_error(partial(self._request, *bounds, scope), on_error)
                waiting.append(partial(_result_or_error, asked, on_error))
                if len(waiting) > GREATEST:
                    bodies.append(waiting.popleft()())
            return [*bodies, *(came() for came in waiting)]

    @contextmanager
    def _in_parallel(self) -> Iterator[None]:
        """Run the steps that fsspec takes one by one in the block in parallel at its end."""
        steps: list[Callable[[], None]] = []
        before = _postponed.set(steps)
        try:
            yield
        finally:
            _postponed.reset(before)
        QueryScope().each(lambda step: step(), steps)

    def get(self, rpath: Any, lpath: Any, *args: Any, **options: Any) -> None:
        """Copy objects to local files; each file is written completely or not at all."""
        with self._in_parallel():
            super().get(rpath, lpath, *args, **options)

    def put(self, lpath: Any, rpath: Any, *args: Any, **options: Any) -> None:
        """Write local files as objects."""
        self._refuse_if_read_only(rpath, "an upload")
        with self._in_parallel():
            super().put(lpath, rpath, *args, **options)

    def pipe(self, path: Any, value: Any = None, **options: Any) -> None:
        """Write bytes as an object, or each value of a mapping as one."""
        self._refuse_if_read_only(list(path) if isinstance(path, dict) else path, "an upload")
        with self._in_parallel():
            super().pipe(path, value, **options)

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: Any = None,
        on_error: Any = None,
        **options: Any,
    ) -> None:
        """Copy objects on the server."""
        self._refuse_if_read_only(path2, "a copy")
        missing = (on_error or ("ignore" if recursive else "raise")) != "raise"
        with self._in_parallel():
            super().copy(path1, path2, recursive, maxdepth, "raise", missing_ok=missing, **options)

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **options: Any) -> Any:
        """Return the bytes of an object, or of several by name: for a list, a pattern, or `recursive`.

        Args:
            path: one path or several.
            recursive: whether folders stand for all objects below.
            on_error: `raise`, `omit`, or `return` to give the error in place of the bytes.
            options: as for `cat_file`.
        """
        names = self.expand_path(path)
        if recursive:
            below = [name for inside in QueryScope().each(self.find, names) for name in inside]
            if not below:
                self.info(names[0])  # or it is missing
            names = sorted({*below, *filter(self.isfile, names)})
        if isinstance(path, str) and names == [self._strip_protocol(path)]:
            return self.cat_file(names[0], **options)
        bounds = options.get("start"), options.get("end")
        bodies = zip(names, self._read_all([(name, *bounds) for name in names], on_error), strict=True)
        return {name: body for name, body in bodies if on_error != "omit" or not isinstance(body, Exception)}

    # Reading

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Any,
        ends: Any,
        max_gap: Any = None,
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Return ranges of files, requested in parallel; with `on_error="return"` errors take their places."""
        if len(set(paths)) < len(paths):
            return super().cat_ranges(paths, starts, ends, max_gap, on_error, **options)
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        return self._read_all(zip(paths, starts, ends, strict=True), on_error)

    @_postponable
    def get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **options: Any
    ) -> None:
        """Copy an object to a local file, which is written completely or not at all.

        Raises:
            S3ConnError: the object cannot be read.
        """
        del options
        outfile = lpath if outfile is None and isfilelike(lpath) else outfile
        if outfile is not None:
            self._download(rpath, outfile, callback)
            return
        target = LocalPath(lpath)
        if not self._has_key(rpath):
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{uuid4().hex}.tmp")
        try:
            with beside.open("xb") as file:
                self._download(rpath, file, callback, apart=True)
            beside.replace(target.resolve())
        except ObjectNotFoundError as error:
            if not error.is_folder:
                raise
            target.mkdir(parents=True, exist_ok=True)
        finally:
            beside.unlink(missing_ok=True)

    def _download(self, path: str, file: Any, callback: Any, *, apart: bool = False) -> None:
        """Write an object into a file; with `apart`, parts are written as they arrive if the file can seek."""
        where = self._path(path)
        with self._scoped() as scope:
            seen = first_bytes(self.through(where, scope), where.location, 0, uploads.PART, scope)()
            callback.set_size(seen[0].size)
            first = self._bytes(lambda: seen, 0, uploads.PART, scope)
            save(seen[0], first, file, scope, report=callback.relative_update, apart=apart)

    # Writing

    def _has_key(self, path: str) -> bool:
        """Whether the path has a key; raise if it is a bucket that does not exist."""
        return bool(self._path(path).location.key or not self.info(path))

    def _refuse_if_read_only(self, path: Any, what: str) -> None:
        """Refuse a write over a READ_ONLY connection, before anything is requested."""
        for written in path if isinstance(path, list) else [path]:
            self._named(Path.parse(self._strip_protocol(written)).connection).refuse_if_read_only(what)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode == "rb":
            return super()._open(path, mode)
        if mode not in {"wb", "xb", "ab"}:
            raise io.UnsupportedOperation("an object is read, written whole, or appended to: rb, wb, xb or ab")
        where = self._path(path)
        if not where.location.key:
            raise S3ConnError(f"s3://{visible(where.text)} is a bucket, not an object", hint="Name an object in it.")
        self._refuse_if_read_only(path, "an upload")
        exclusive = mode == "xb" or bool(options.get("exclusive"))
        if exclusive and self.isfile(path):
            message = f"there is an object {visible(where.location.uri)}: nothing was replaced"
            raise ObjectExistsError(message, hint="Mode 'wb' replaces it; another name leaves it.")
        before = self.info(path) if mode == "ab" and self.isfile(path) else None
        with self._scoped() as scope, scope.noting():
            upload = uploads.Upload(
                self._named(where.connection),
                where.location,
                None,
                overwrite=not exclusive and before is None,
                replaces=before["etag"] if before else None,
                about=_of_s3(options),
            )
            file = WritableFile(upload, where.text, scope, autocommit=bool(options.get("autocommit", True)))
        if before is not None:
            self._download(path, file, DEFAULT_CALLBACK)
        return file

    @_postponable
    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        """Write an object; with the mode `create` only if there is none."""
        with self.open(path, "xb" if mode == "create" else "wb", **options) as file:
            file.write(value)

    @_postponable
    def put_file(
        self, lpath: Any, rpath: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **options: Any
    ) -> None:
        """Write a local file as an object; with the mode `create` only if there is none."""
        source = LocalPath(lpath)
        if source.is_dir():
            return
        if guessed := guess_type(source)[0]:
            options.setdefault("ContentType", guessed)
        with source.open("rb") as file, self.open(rpath, "xb" if mode == "create" else "wb", **options) as target:
            size = source.stat().st_size
            callback.set_size(size)
            if size > uploads.PART:
                target.send(file, size, callback.relative_update)
            else:
                callback.relative_update(target.write(file.read()))

    @_postponable
    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy an object on the server.

        Args:
            path1: the object.
            path2: path of the copy.
            options: parameters of S3; `copied`, a dict that gets path and etag; `missing_ok` to skip missing objects.

        Raises:
            ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
            S3ConnError: the object was replaced meanwhile.
        """
        source, target = (Path.parse(self._strip_protocol(name)) for name in (path1, path2))
        connection = self._named(target.connection)
        connection.refuse_if_read_only("a copy")
        try:
            original = self.info(path1)
        except ObjectNotFoundError:
            if options.get("missing_ok"):
                return
            raise
        if original["type"] == "directory":  # it exists as long as its objects do
            return
        origin = {"Bucket": source.location.bucket, "Key": source.location.key}
        to = {"Bucket": target.location.bucket, "Key": target.location.key}
        parameters = _of_s3(options) | ({"CopySourceIfMatch": f'"{original["etag"]}"'} if original["etag"] else {})
        if original["size"] > _COPIED_AT_ONCE:
            client = connection.internal_client(target.location.bucket)
            translated(lambda: client.copy(origin, *to.values(), ExtraArgs=parameters), resource=target.location.arn)
        else:
            ask(connection, target.location, "copy_object", CopySource=origin, **parameters, **to)
        options.get("copied", {})[path1] = original["etag"]

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **options: Any) -> None:
        """Copy objects, and delete the originals unless they were replaced since.

        Raises:
            ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
            S3ConnError: a copy failed, and nothing was deleted; or an original was replaced meanwhile, and was kept.
        """
        del options
        if path1 == path2:
            return
        self._refuse_if_read_only(path1, "a deletion")
        copied: dict[str, str] = {}
        self.copy(path1, path2, recursive=recursive, maxdepth=maxdepth, on_error="raise", copied=copied)
        if not copied and not recursive:
            raise IsADirectoryError("there are folders only, which recursive=True moves")
        for path, code in self._delete(copied):
            if code == deleting.CHANGED:
                raise S3ConnError(
                    f"{visible(path)} was replaced while it was moved: its copy is of before, and it stays",
                    hint="Move it again to have the new one there.",
                )
            raise S3ConnError(f"{visible(path)} was copied, and could not be deleted ({code})", hint=_MAY_DELETE_HINT)

    rename = move = mv

    def rm_file(self, path: str) -> None:
        """Delete one object."""
        if not self._has_key(path):
            raise IsADirectoryError(f"s3://{visible(path)} is a bucket: rmdir deletes an empty one")
        self._delete_or_raise([self._strip_protocol(path)])

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects, those that match a pattern, and with `recursive` everything below.

        Raises:
            ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
            FileNotFoundError: a pattern matches nothing, or there is nothing to delete recursively.
            IsADirectoryError: it is a folder, and `recursive` is False.
            S3ConnError: some could not be deleted; the first of them is named.
        """
        self._refuse_if_read_only(path, "a deletion")
        names = self.expand_path(path, maxdepth=None) if not recursive or maxdepth is None else []
        if recursive:
            names = self.expand_path(path, recursive=True, maxdepth=maxdepth) if maxdepth else self._all_below(names)
        elif len(names) == 1 and not self.isfile(names[0]) and (self.isdir(names[0]) or not self._has_key(names[0])):
            raise IsADirectoryError(f"s3://{visible(names[0])} is a folder: recursive=True deletes what is below it")
        self._delete_or_raise(names)

    def _all_below(self, names: Iterable[str]) -> list[str]:
        """Return every key at and below each path, including the empty objects that mark folders."""
        below = []
        for name in names:
            where = Path.parse(name)
            keys = deleting.all_below(self._named(where.connection), where.location)
            below += [where.named(key) for key in keys]
            if where.location.key and self.isfile(name):
                below.append(name)
            elif not keys and where.location.key:
                raise ObjectNotFoundError(f"there is nothing at s3://{visible(name)}", hint="ls() lists what exists.")
        return below

    def _delete_or_raise(self, names: Iterable[str]) -> None:
        for path, code in self._delete(dict.fromkeys(names)):
            raise S3ConnError(f"{visible(path)} was not deleted ({code})", hint=_MAY_DELETE_HINT)

    def _delete(self, names: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
        """Delete objects, those with an etag only if they still have it; yield the ones kept and the reasons."""
        groups: dict[tuple[str | None, str], dict[str, str | None]] = {}
        for name, etag in names.items():
            path = Path.parse(name)
            if path.location.key:
                groups.setdefault((path.connection, path.location.bucket), {})[path.location.key] = etag
        for (named, bucket), seen in groups.items():
            for key, code in deleting.delete_unchanged(self._named(named), bucket, seen):
                yield Location(bucket, key).uri, code

    # Buckets

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Create a bucket; below a bucket do nothing, since folders exist once something is in them.

        Raises:
            FileExistsError: there is a bucket of that name.
            ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        """
        del create_parents, options
        if (where := self._path(path)).location.key:
            return
        self._refuse_if_read_only(path, "a new bucket")
        if self.exists(path):
            raise FileExistsError(f"there is a bucket {where.location.bucket}")
        connection = self._named(where.connection)
        region = connection.configuration.region.value
        place = {} if region in {None, "us-east-1"} else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        client = connection.internal_client()
        translated(lambda: client.create_bucket(Bucket=where.location.bucket, **place), resource=where.location.arn)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Create a bucket as `mkdir`; with `exist_ok` it may exist."""
        if not exist_ok or self._path(path).location.key or not self.exists(path):
            self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Delete an empty bucket; below a bucket, the empty object that may mark an empty folder.

        Raises:
            OSError: it is not empty.
        """
        where = self._path(path)
        if where.location.key:
            if self.find(path):
                raise OSError(ENOTEMPTY, "the folder is not empty", path)
            self._delete_or_raise([f"{self._strip_protocol(path).removesuffix('/')}/"])
            return
        self._refuse_if_read_only(path, "the deletion of a bucket")
        client = self._named(where.connection).internal_client(where.location.bucket)
        translated(lambda: client.delete_bucket(Bucket=where.location.bucket), resource=where.location.arn)

    def __repr__(self) -> str:
        try:
            name = self._named(None).name
        except S3ConnError:
            name = "that is gone"
        return f"<files of the S3 connection {name}>"


def _result_or_error(step: Callable[[], Any] | Exception, on_error: str) -> Any:
    """Return the result of a step, or its error unless that is to be raised; return an error as it is."""
    if isinstance(step, Exception):
        return step
    try:
        return step()
    except Exception as error:
        if on_error == "raise":
            raise
        return error


def _of_s3(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return S3's own parameters among options, such as `ContentType` and `Metadata`."""
    return {name: value for name, value in options.items() if name[:1].isupper()}


class S3FileSystem(HandedFileSystem):
    """fsspec's filesystem for `s3://`: a handed connection's files with `connection=`, otherwise s3fs's."""

    protocol = ("s3", "s3a", PROTOCOL)
    _scheme = "s3"

    def __new__(cls, connection: str | None = None, **options: Any) -> Any:
        """Return the filesystem of a connection, or s3fs's."""
        if connection is not None:
            return super().__new__(cls)
        try:
            theirs = import_module("s3fs").S3FileSystem
        except ImportError:
            raise ImportError("s3:// without connection= needs s3fs, which is not installed") from None
        return theirs(**options)
