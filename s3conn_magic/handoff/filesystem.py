"""One connection as an fsspec filesystem, and by a handle that storage options can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import WeakValueDictionary

import fsspec

from s3conn_magic.connections.probe import roots
from s3conn_magic.errors import ConnectionNotFoundError
from s3conn_magic.objects.filesystem import ConnectionFileSystem
from s3conn_magic.objects.listed import directory

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection

PROTOCOL = "s3conn"
"""Name of the filesystem, for the `protocol` of storage options."""

_handles: WeakValueDictionary[str, Connection] = WeakValueDictionary()


def handle_of(connection: Connection) -> str:
    """A text that names a connection in this process as long as it is there, and holds nothing of it."""
    fsspec.register_implementation(PROTOCOL, HandedFileSystem, clobber=True)
    found = next((handle for handle, one in _handles.items() if one is connection), None)
    if found is None:
        # No other process has the same, so that one cannot be taken for a connection of its own.
        found = uuid4().hex
        _handles[found] = connection
    return found


class HandedFileSystem(ConnectionFileSystem):
    """The files of one connection.

    Args:
        connection: its handle; see `handle_of`.

    Raises:
        ConnectionNotFoundError: at the first use, when the connection is gone, or is one of another process.
    """

    protocol = (PROTOCOL, "s3")  # type: ignore[assignment] # fsspec takes either

    def __init__(self, connection: str, **options: Any) -> None:
        super().__init__(self._named, **options)
        self._handle = connection
        self._kept: Connection | None = None

    @classmethod
    def of(cls, connection: Connection) -> HandedFileSystem:
        """The files of a connection, which stays as long as they do."""
        made = cls(handle_of(connection))
        made._kept = connection
        return made

    def _named(self, name: str | None) -> Connection:
        found = self._kept or _handles.get(self._handle)
        if found is None:
            raise ConnectionNotFoundError(
                "these storage options are of a connection that is gone, or of another process",
                hint="Ask the connection of this process for its storage options; threads share it.",
            )
        if name is not None and name.casefold() != found.name.casefold():
            raise ConnectionNotFoundError(
                f"this filesystem reaches the connection {found.name} alone",
                hint="Ask the other connection for a filesystem of its own.",
            )
        return found

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Without `s3://` or `s3conn://`, and without the slash that ends a folder's name.

        Libraries join that name and a file's by a slash of their own. Two slashes at the end stay what they are.
        """
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        found = str(path).removeprefix(f"{PROTOCOL}://").removeprefix("s3://")
        return found if found.endswith("//") else found.removesuffix("/")

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """As of every path; the one without a bucket is the folder of the buckets."""
        return super().info(path, **options) if self._strip_protocol(path) else directory("")

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """As of every path; without a bucket, the connection's display filters, or its buckets.

        Raises:
            AccessDeniedError: there are no filters, and the identity may not list buckets.
        """
        if self._strip_protocol(path):
            return super().ls(path, detail, **options)
        names = [self._strip_protocol(one.uri) for one in roots(self._named(None))]
        return [directory(name) for name in names] if detail else names

    def __repr__(self) -> str:
        found = self._kept or _handles.get(self._handle)
        return f"<files of the S3 connection {found.name if found else 'that is gone'}>"
