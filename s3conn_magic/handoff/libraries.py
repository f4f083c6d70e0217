"""A connection for other libraries: its credentials of one moment, or an fsspec filesystem that signs for them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args
from uuid import uuid4
from weakref import WeakValueDictionary

import fsspec

from s3conn_magic.connections.bucket_target import Address, address_of
from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.guards import refuse_another_place
from s3conn_magic.connections.probe import roots
from s3conn_magic.errors import (
    ConnectionNotFoundError,
    CredentialsError,
    ReadOnlyConnectionError,
    S3ConnError,
    pip_install,
)
from s3conn_magic.language.words import identifier, listed, literal
from s3conn_magic.objects.filesystem import ConnectionFileSystem
from s3conn_magic.objects.listed import directory
from s3conn_magic.secrets import MASK, SecretText, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.language.options import Settings

# A library asks again when this is over, and so follows an ALTER or a DROP.
_ASK_AGAIN = timedelta(seconds=60)


class Triple(NamedTuple):
    """Access key id, secret, token and, where they end, when: UTC."""

    access_key_id: str
    secret_access_key: SecretText
    token: SecretText | None
    expires_at: datetime | None


def triple(connection: Connection) -> Triple | None:
    """Return the credentials of this moment, refreshed if they had to be; None for anonymous.

    Raises:
        CredentialsError: there are none where the settings say.
        ConnectionNotFoundError: the connection was dropped.
    """
    frozen = translated(
        connection.frozen_credentials, resource=connection.settings.role or "", connection=connection.name
    )
    if frozen is None:
        return None
    ends = getattr(connection.credentials(), "_expiry_time", None)
    token = SecretText(frozen.token) if frozen.token else None
    expires_at = ends.astimezone(UTC) if isinstance(ends, datetime) else None
    return Triple(frozen.access_key, SecretText(frozen.secret_key), token, expires_at)


def ask_again_at(credentials: Triple) -> datetime:
    """When a library should ask for credentials again: UTC."""
    soon = datetime.now(UTC) + _ASK_AGAIN
    return soon if credentials.expires_at is None else min(soon, credentials.expires_at)


def refuse_if_read_only(connection: Connection, what: str) -> None:
    """Keep back what could write past the guards of a READ_ONLY connection.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY.
        ConnectionNotFoundError: the connection was dropped.
    """
    if connection.live_settings().read_only:
        raise ReadOnlyConnectionError(
            f"the connection {connection.name} is READ_ONLY: {what} was refused, for it could write",
            hint="fsspec() and pyarrow_filesystem() are given out: they read, and refuse to write by themselves.",
        )


Library = Literal["pandas", "polars", "fsspec", "deltalake", "dask"]
_TOKENS = ("AWS_SESSION_TOKEN", "AWS_TOKEN")
_DIRECTORY_BUCKET = "--x-s3"
_THROUGH_FSSPEC = {"pandas", "fsspec", "dask"}


def storage_options(connection: Connection, library: Library, bucket: str | None) -> StorageOptions:
    """Return the options of a library; see `Connection.storage_options`."""
    if library in _THROUGH_FSSPEC:
        connection.live_settings()
        return StorageOptions({"protocol": PROTOCOL, "connection": handle_of(connection)})
    if library not in get_args(Library):
        raise S3ConnError(
            "there are no storage options for this library",
            hint=f"There are some for {listed(get_args(Library), 'and')}.",
        )
    refuse_if_read_only(connection, f"storage_options for {library}")
    options = store_config(connection, bucket)
    credentials = triple(connection)
    if credentials is not None:
        _refuse_a_mix(library, credentials)
        options |= _signing(credentials)
    if library == "deltalake":
        return StorageOptions(
            {name.upper(): value for name, value in options.items()}, expires_at=credentials and credentials.expires_at
        )
    provider = None if credentials is None else polars_provider(connection)
    return StorageOptions(options, credential_provider=provider, expires_at=credentials and credentials.expires_at)


def _refuse_a_mix(library: Library, credentials: Triple) -> None:
    """Keep the environment's token from being sent with a pair that has none: these libraries would add it.

    Raises:
        CredentialsError: they would.
    """
    name = next((token for token in _TOKENS if os.environ.get(token)), None)
    if name is not None and credentials.token is None:
        raise CredentialsError(
            f"{library} would send the {name} of the environment with this connection's key pair",
            hint=f"Remove it, os.environ.pop('{name}'), or use fsspec(), pyarrow_filesystem() or obstore().",
        )


def store_config(connection: Connection, bucket: str | None) -> dict[str, str]:
    """Return what the object stores of Rust, under obstore, polars and delta-rs, are told beside credentials."""
    settings, directory_bucket = connection.settings, (bucket or "").endswith(_DIRECTORY_BUCKET)
    address = address_of(connection, None if directory_bucket else bucket)
    endpoint, virtual = _of_rust(connection, address, bucket)
    if directory_bucket and connection.configuration.is_aws:
        endpoint = None
    options: dict[str, str | None] = {
        "aws_region": _region_of(connection, bucket) if directory_bucket else address.region,
        "aws_endpoint_url": endpoint,
        "aws_allow_http": "true" if address.endpoint.startswith("http://") else None,
        "aws_virtual_hosted_style_request": "true" if virtual else "false",
        # What is left out, these stores take from the environment.
        "aws_skip_signature": "true" if settings.anonymous else "false",
        "aws_request_payer": "true" if settings.requester_pays else "false",
        "aws_s3_express": "true" if directory_bucket else "false",
        "aws_server_side_encryption": _encryption(connection),
        "aws_sse_kms_key_id": settings.kms_key,
        "aws_sse_customer_key_base64": SecretText(settings.customer_key.reveal()) if settings.customer_key else None,
    }
    # The variable of S3's own endpoint would count before that of all services.
    options["aws_endpoint_url_s3"] = options["aws_endpoint_url"]
    return {name: value for name, value in options.items() if value is not None}


def _encryption(connection: Connection) -> str | None:
    settings = connection.settings
    return "aws:kms" if settings.kms_key else "sse-c" if settings.customer_key else None


def _of_rust(connection: Connection, address: Address, bucket: str | None) -> tuple[str | None, bool]:
    """Return the endpoint, which has the bucket in its host where it belongs there, and whether it does.

    Raises:
        S3ConnError: it does, and no bucket is named.
    """
    if not (address.stated and address.virtual):
        return (address.endpoint if address.stated else None), address.virtual
    if bucket is not None:
        return address.with_bucket(bucket), True
    if connection.configuration.is_aws and not connection.configuration.accelerate.value:
        # Every other server of AWS takes the bucket in the path as well.
        return address.endpoint, False
    raise S3ConnError(
        "with ADDRESSING_STYLE = 'virtual' and an ENDPOINT, these options are those of one bucket",
        hint="Name it: storage_options(library, bucket='…').",
    )


def _region_of(connection: Connection, bucket: str | None) -> str:
    return str(connection.internal_client(bucket).meta.region_name)


def _signing(credentials: Triple) -> dict[str, str]:
    token = {"aws_session_token": credentials.token} if credentials.token else {}
    return {
        "aws_access_key_id": credentials.access_key_id,
        "aws_secret_access_key": credentials.secret_access_key,
        **token,
    }


def polars_provider(connection: Connection) -> Callable[[], tuple[Mapping[str, str], int]]:
    """Return a `credential_provider` of polars: credentials, and in seconds of the epoch when to ask again."""
    made_for = connection.settings

    def provide() -> tuple[Mapping[str, str], int]:
        credentials = _signed(connection, made_for)
        return {name: str(value) for name, value in _signing(credentials).items()}, int(
            ask_again_at(credentials).timestamp()
        )

    return provide


def obstore_provider(connection: Connection) -> Callable[[], dict[str, Any]]:
    """Return a `credential_provider` of obstore: credentials, and as an aware time when to ask again."""
    made_for = connection.settings

    def provide() -> dict[str, Any]:
        credentials = _signed(connection, made_for)
        token = {"token": str(credentials.token)} if credentials.token else {}
        signing = {"access_key_id": credentials.access_key_id, "secret_access_key": str(credentials.secret_access_key)}
        return {**signing, **token, "expires_at": ask_again_at(credentials)}

    return provide


def _signed(connection: Connection, made_for: Settings) -> Triple:
    """Return the credentials of this moment, for what was made to sign.

    Raises:
        EndpointError: the connection was altered, and what was made would send them to its former place.
        ReadOnlyConnectionError: the connection has become READ_ONLY.
        S3ConnError: it has become anonymous, was dropped, or has no credentials.
    """
    refuse_another_place(connection.name, made_for, connection.live_settings())
    refuse_if_read_only(connection, "a signature for another library")
    credentials = triple(connection)
    if credentials is None:
        raise S3ConnError(f"the connection {connection.name} is anonymous now", hint="Ask it for a new store.")
    return credentials


def store(connection: Connection, bucket: str, prefix: str | None) -> Any:
    """Return the store; see `Connection.obstore`."""
    refuse_if_read_only(connection, "an obstore store")
    kind = _store_class()
    if bucket.startswith("arn:"):
        raise S3ConnError("obstore takes the name of a bucket, not an access point's ARN", hint="Use its alias.")
    config: dict[str, Any] = {
        name.removeprefix("aws_"): value for name, value in store_config(connection, bucket).items()
    }
    config["endpoint"] = config.pop("endpoint_url", None)
    # The name with which it is read from the environment, and counts before the other.
    config["aws_endpoint_url_s3"] = config.pop("endpoint_url_s3", None)
    allow_http = config.pop("allow_http", None) is not None
    return kind(
        bucket,
        prefix=prefix,
        config={name: value for name, value in config.items() if value is not None},
        client_options={"allow_http": allow_http, "user_agent": "s3conn-magic", **_trusted(connection)},
        credential_provider=None if connection.settings.anonymous else obstore_provider(connection),
    )


def _trusted(connection: Connection) -> dict[str, Any]:
    """Return the CAs that are trusted, where somebody named them."""
    bundle = connection.configuration.ca_bundle.value
    return {"root_certificate": Path(bundle).read_bytes()} if bundle and Path(bundle).is_file() else {}


def _store_class() -> Any:
    if find_spec("obstore") is None:
        raise S3ConnError("obstore is not installed", hint=f"Install it: {pip_install('obstore')}")
    from obstore.store import S3Store

    return S3Store


def secret_statement(connection: Connection, bucket: str | None) -> SecretText:
    """`CREATE OR REPLACE TEMPORARY SECRET …`; see `Connection.duckdb_secret`."""
    refuse_if_read_only(connection, "a secret for DuckDB")
    if connection.settings.customer_key:
        raise S3ConnError(
            "DuckDB's httpfs sends no customer's key, so it could not read what this connection wrote",
            hint="SELECT in %%upsql, fsspec() and pyarrow_filesystem() send it.",
        )
    parts, hidden = _parts(connection, bucket)
    name = identifier(connection.name)
    shown = [f"{option} {literal(MASK) if option in hidden else value}" for option, value in parts.items()]
    written = [f"{option} {value}" for option, value in parts.items()]
    head = f"CREATE OR REPLACE TEMPORARY SECRET {name} "
    return SecretText(f"{head}({', '.join(written)});", f"{head}({', '.join(shown)});")


def _parts(connection: Connection, bucket: str | None) -> tuple[dict[str, str], set[str]]:
    """Return the options of the secret as they are written, and the names of those that are secret."""
    settings, credentials, address = connection.settings, triple(connection), address_of(connection, bucket)
    parts = {"TYPE": "s3", "PROVIDER": "config", "REGION": literal(address.region)}
    if credentials is not None:
        parts |= {"KEY_ID": literal(credentials.access_key_id), "SECRET": literal(credentials.secret_access_key)}
        parts |= {"SESSION_TOKEN": literal(credentials.token)} if credentials.token else {}
    scheme, _, host = address.endpoint.partition("://")
    if host.startswith("s3.dualstack."):
        host += ":443"  # DuckDB would make AWS's usual host of it, which is named the same but for the port.
    parts |= {"ENDPOINT": literal(host)} if address.stated else {}
    parts |= {"USE_SSL": "false"} if scheme == "http" else {}
    parts["URL_STYLE"] = "'vhost'" if address.virtual else "'path'"
    parts |= {"KMS_KEY_ID": literal(settings.kms_key)} if settings.kms_key else {}
    parts |= {"REQUESTER_PAYS": "true"} if settings.requester_pays else {}
    parts |= {"SCOPE": literal(f"s3://{bucket}")} if bucket else {}
    return parts, {"SECRET", "SESSION_TOKEN"}


PROTOCOL = "s3conn"
"""Name of the filesystem, for the `protocol` of storage options."""

_handles: WeakValueDictionary[str, Connection] = WeakValueDictionary()


def handle_of(connection: Connection) -> str:
    """Return a text that names a connection in this process as long as it is there, and holds nothing of it."""
    fsspec.register_implementation(PROTOCOL, HandedFileSystem, clobber=True)
    known = next((handle for handle, other in _handles.items() if other is connection), None)
    if known is None:
        # No other process has the same, so that one cannot be taken for a connection of its own.
        known = uuid4().hex
        _handles[known] = connection
    return known


class HandedFileSystem(ConnectionFileSystem):
    """The files of one connection.

    Args:
        connection: its handle; see `handle_of`.

    Raises:
        ConnectionNotFoundError: at the first use, when the connection is gone, or is one of another process.
    """

    protocol = (PROTOCOL, "s3")

    def __init__(self, connection: str, **options: Any) -> None:
        super().__init__(self._named, **options)
        self._handle = connection
        self._kept: Connection | None = None

    @classmethod
    def of(cls, connection: Connection) -> HandedFileSystem:
        """Return the files of a connection, which stays as long as they do."""
        made = cls(handle_of(connection))
        made._kept = connection
        return made

    def _named(self, name: str | None) -> Connection:
        known = self._kept or _handles.get(self._handle)
        if known is None:
            raise ConnectionNotFoundError(
                "these storage options are of a connection that is gone, or of another process",
                hint="Ask the connection of this process for its storage options; threads share it.",
            )
        if name is not None and name.casefold() != known.name.casefold():
            raise ConnectionNotFoundError(
                f"this filesystem reaches the connection {known.name} alone",
                hint="Ask the other connection for a filesystem of its own.",
            )
        return known

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Return a path without `s3://` or `s3conn://`, and without the slash that ends a folder's name.

        Libraries join that name and a file's by a slash of their own. Two slashes at the end stay what they are.
        """
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        known = str(path).removeprefix(f"{PROTOCOL}://").removeprefix("s3://")
        return known if known.endswith("//") else known.removesuffix("/")

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
        names = [self._strip_protocol(root.uri) for root in roots(self._named(None))]
        return [directory(name) for name in names] if detail else names

    def __repr__(self) -> str:
        known = self._kept or _handles.get(self._handle)
        return f"<files of the S3 connection {known.name if known else 'that is gone'}>"
