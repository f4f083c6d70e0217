"""Connections handed on to other libraries: the handle that Python code works with, and every way to hand it on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3conn_magic.connections.connection import Connection as _Connection
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    from datetime import datetime

    from s3conn_magic.handoff.handed_files import HandedFileSystem
    from s3conn_magic.handoff.libraries import Library
    from s3conn_magic.objects.requests import Link, LinkMethod
    from s3conn_magic.secrets import SecretText, StorageOptions


class Connection(_Connection):
    """A connection of the session.

    What it hands on carries its endpoint, region, addressing style, encryption, requester pays and anonymity. Each
    method says whether what it gives refreshes its credentials, and what it does of a READ_ONLY connection.

    Pickled, as by dask, joblib or multiprocessing, the connection and what names it (`fsspec()`, options for fsspec,
    pandas and dask) are made anew in the other process, by the statement that made it: where its secrets are those of a
    role, a profile, the default chain, ENV or KEYRING. Another one is refused; see `portable`.

    Attributes:
        ends: UTC, when the short-lived credentials end that it was made of by `portable`; otherwise None.
    """

    ends: datetime | None = None

    @interruptible
    def portable(self, minutes: int = 15) -> Connection:
        """Return this connection with short-lived credentials in it, which go along to other processes.

        What is pickled of it holds them. They end, and nothing renews them; nor does it follow an ALTER.

        Args:
            minutes: how long they last, from 15 to 720; those of a role last as they do.

        Raises:
            CredentialsError: the server gives none, or the connection has none.
            ValueError: STS gives none of that length.
        """
        from s3conn_magic.handoff.libraries import portable

        return portable(self, minutes)

    @interruptible
    def presign(self, location: str, method: LinkMethod = "GET", *, seconds: int = 3600) -> Link:
        """Return a link by which an object is read (GET, HEAD) or written (PUT, POST) without credentials.

        Args:
            location: `s3://bucket/key`.
            method: which; a PUT is sent with `.headers`, a POST as a form with `.fields`.
            seconds: how long it lasts, seven days at most; temporary credentials end it with them.

        Raises:
            ReadOnlyConnectionError: it could write, and the connection is READ_ONLY.
            CredentialsError: the connection's encryption key would have to travel with the link.
            ValueError: there is no such method or length.
        """
        from s3conn_magic.locations import Location
        from s3conn_magic.objects.requests import presign

        return presign(self, Location.parse(location), seconds, method=method)

    def __reduce__(self) -> tuple[Any, ...]:
        from s3conn_magic.handoff.libraries import arrived_connection, travelling

        return arrived_connection, travelling(self)

    def __repr__(self) -> str:
        ends = f", short-lived credentials until {self.ends:%Y-%m-%d %H:%M} UTC>" if self.ends else ">"
        return super().__repr__().removesuffix(">") + ends

    @interruptible
    def fsspec(self) -> HandedFileSystem:
        """Return an fsspec filesystem: `s3://bucket/key` and `bucket/key`.

        Every request is signed with the credentials of its moment. Of a READ_ONLY connection it reads, and refuses to
        write.

        Raises:
            ConnectionNotFoundError: the connection was dropped.
        """
        from s3conn_magic.handoff.handed_files import HandedFileSystem

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

        `pandas`, `dask`, `fsspec` and `pyiceberg` (for a catalog or a table): they name this connection, and hold no
        credentials; see `fsspec()`. They are valid in this process and its threads, as long as the connection is.

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
