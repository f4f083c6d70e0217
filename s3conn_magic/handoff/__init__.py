"""Connections handed on to other libraries: the handle that Python code works with, and every way to hand it on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3conn_magic.connections.connection import Connection as _Connection
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    from s3conn_magic.handoff.libraries import HandedFileSystem, Library
    from s3conn_magic.secrets import SecretText, StorageOptions


class Connection(_Connection):
    """A connection of the session.

    What it hands on carries its endpoint, region, addressing style, encryption, requester pays and anonymity. Each
    method says whether what it gives refreshes its credentials, and what it does of a READ_ONLY connection.
    """

    @interruptible
    def fsspec(self) -> HandedFileSystem:
        """Return an fsspec filesystem: `s3://bucket/key` and `bucket/key`.

        Every request is signed with the credentials of its moment. Of a READ_ONLY connection it reads, and refuses to
        write.

        Raises:
            ConnectionNotFoundError: the connection was dropped.
        """
        from s3conn_magic.handoff.libraries import HandedFileSystem

        self.live_settings()
        return HandedFileSystem.of(self)

    @interruptible
    def pyarrow_filesystem(self) -> Any:
        """Return a `pyarrow.fs.FileSystem` over `fsspec()`, with all that holds of it; paths are `bucket/key`.

        Arrow's own S3FileSystem would take one set of credentials, and keep it until it ends.
        """
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        return PyFileSystem(FSSpecHandler(self.fsspec()))

    @interruptible
    def storage_options(self, library: Library, bucket: str | None = None) -> StorageOptions:
        """Return options for `storage_options=` of a library; their printed form shows no secret.

        `pandas`, `dask` and `fsspec`: they name this connection, and hold no credentials; see `fsspec()`. They are
        valid in this process and its threads, as long as the connection is.

        `polars` and `deltalake` sign by themselves: the options hold the credentials of this moment, which end at
        `.expires_at`. Polars refreshes them with `credential_provider=options.credential_provider` beside
        `storage_options=options`.

        Args:
            library: which one.
            bucket: for polars and deltalake, the bucket whose region they need, where REGION is not set.

        Raises:
            ReadOnlyConnectionError: polars and deltalake could write past READ_ONLY.
            S3ConnError: the credentials cannot be had, or there is no such library.
        """
        from s3conn_magic.handoff.libraries import storage_options

        return storage_options(self, library, bucket)

    @interruptible
    def obstore(self, bucket: str, prefix: str | None = None) -> Any:
        """Return an `obstore.store.S3Store` of a bucket, or of what is below a prefix in it.

        It asks this connection for credentials at least once a minute while it is used, so it refreshes them, follows
        an ALTER, and ends with a DROP.

        Raises:
            ReadOnlyConnectionError: a store could write past READ_ONLY.
            S3ConnError: obstore is not installed, or the credentials cannot be had.
        """
        from s3conn_magic.handoff.libraries import store

        return store(self, bucket, prefix)

    @interruptible
    def duckdb_secret(self, bucket: str | None = None) -> SecretText:
        """Return the statement that lets a DuckDB with httpfs read as this connection does: `duckdb.sql(secret)`.

        It holds the credentials of this moment, in its text but not in its printed form; `print` shows them. Ask again
        when they end. The DuckDB of `%%upsql` needs none. Tried with the extension of DuckDB 1.5.

        Args:
            bucket: limits the secret to a bucket, whose region is found.

        Raises:
            ReadOnlyConnectionError: DuckDB could write past READ_ONLY.
            S3ConnError: the credentials cannot be had, or it would need a customer's key.
        """
        from s3conn_magic.handoff.libraries import secret_statement

        return secret_statement(self, bucket)
