"""Hand connections on to other libraries: the `Connection` that Python code works with."""

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

    What it hands on uses its endpoint, region, addressing style, encryption, requester pays and anonymity. Each method
    says whether its result refreshes credentials, and what it does with a READ_ONLY connection.

    When pickled, as by dask, joblib or multiprocessing, the connection and whatever refers to it (`fsspec()`, options
    for fsspec, pandas and dask) are made anew in the other process by the statement that created it, if its secrets
    come from a role, a profile, the default chain, ENV or KEYRING. Others are refused; see `portable`.

    Attributes:
        ends: UTC, when the short-lived credentials from `portable` expire; otherwise None.
    """

    ends: datetime | None = None

    @interruptible
    def portable(self, minutes: int = 15) -> Connection:
        """Return a copy of this connection with short-lived credentials, which can be sent to other processes.

        Its pickled form contains the credentials. They expire without renewal, and an ALTER does not change the copy.

        Args:
            minutes: lifetime, 15 to 720 minutes; credentials of a role keep their own.

        Raises:
            CredentialsError: the server gives none, or the connection has none.
            ValueError: STS gives none of that lifetime.
        """
        from s3conn_magic.handoff.libraries import portable

        return portable(self, minutes)

    @interruptible
    def presign(self, location: str, method: LinkMethod = "GET", *, seconds: int = 3600) -> Link:
        """Return a link that reads (GET, HEAD) or writes (PUT, POST) an object without credentials.

        Args:
            location: `s3://bucket/key`.
            method: HTTP method; a PUT is sent with `.headers`, a POST as a form with `.fields`.
            seconds: lifetime, at most seven days; with temporary credentials it ends when they do.

        Raises:
            ReadOnlyConnectionError: the link could write, and the connection is READ_ONLY.
            CredentialsError: the connection's encryption key would have to be sent with the link.
            ValueError: there is no such method or lifetime.
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
        """Return an fsspec filesystem for `s3://bucket/key` and `bucket/key`.

        Each request is signed with the current credentials. For a READ_ONLY connection it refuses to write.

        Raises:
            ConnectionNotFoundError: the connection was dropped.
        """
        from s3conn_magic.handoff.handed_files import HandedFileSystem

        self.live_settings()
        return HandedFileSystem.of(self)

    @interruptible
    def pyarrow_filesystem(self) -> Any:
        """Return a `pyarrow.fs.FileSystem` over `fsspec()`, with the same properties; paths are `bucket/key`.

        Arrow's own S3FileSystem would keep one set of credentials until they expire.
        """
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        return PyFileSystem(FSSpecHandler(self.fsspec()))

    @interruptible
    def storage_options(self, library: Library, bucket: str | None = None) -> StorageOptions:
        """Return options for `storage_options=` of a library; their printed form shows no secrets.

        For `pandas`, `dask`, `fsspec` and `pyiceberg` (for a catalog or a table) they name this connection and contain
        no credentials; see `fsspec()`. They are valid in this process as long as the connection is.

        `polars` and `deltalake` sign requests themselves: the options contain the current credentials, which expire at
        `.expires_at`. Polars refreshes them if `credential_provider=options.credential_provider` is passed as well as
        `storage_options=options`.

        Args:
            library: name of the library.
            bucket: for polars and deltalake, the bucket whose region they need if REGION is not set.

        Raises:
            ReadOnlyConnectionError: polars and deltalake could write although the connection is READ_ONLY.
            S3ConnError: the credentials cannot be obtained, or there is no such library.
        """
        from s3conn_magic.handoff.libraries import storage_options

        return storage_options(self, library, bucket)

    @interruptible
    def obstore(self, bucket: str, prefix: str | None = None) -> Any:
        """Return an `obstore.store.S3Store` for a bucket, or for a prefix in it.

        While in use it asks this connection for credentials at least once a minute, so it refreshes them, follows an
        ALTER, and ends with a DROP.

        Raises:
            ReadOnlyConnectionError: a store could write although the connection is READ_ONLY.
            S3ConnError: obstore is not installed, or the credentials cannot be obtained.
        """
        from s3conn_magic.handoff.libraries import store

        return store(self, bucket, prefix)

    @interruptible
    def duckdb_secret(self, bucket: str | None = None) -> SecretText:
        """Return the statement that lets a DuckDB with httpfs read as this connection does: `duckdb.sql(secret)`.

        Its text contains the current credentials, but its printed form does not; `print` shows them. Call this again
        when they expire. The DuckDB of `%%upsql` does not need it. Tested with the extension of DuckDB 1.5.

        Args:
            bucket: limits the secret to a bucket, whose region is looked up.

        Raises:
            ReadOnlyConnectionError: DuckDB could write although the connection is READ_ONLY.
            S3ConnError: the credentials cannot be obtained, or a customer's key would be needed.
        """
        from s3conn_magic.handoff.libraries import secret_statement

        return secret_statement(self, bucket)
