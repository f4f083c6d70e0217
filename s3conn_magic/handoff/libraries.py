"""What other libraries get from a connection: current credentials, or a reference for fsspec and other processes."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, SupportsIndex, TypeVar, cast, get_args
from uuid import uuid4
from weakref import WeakValueDictionary

import fsspec

from s3conn_magic.connections import registry
from s3conn_magic.connections.bucket_target import Address, address_of
from s3conn_magic.connections.configuration import own_cas
from s3conn_magic.connections.credentials import session_triple
from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.guards import refuse_another_place
from s3conn_magic.errors import (
    ConnectionNotFoundError,
    CredentialsError,
    EndpointError,
    ReadOnlyConnectionError,
    S3ConnError,
    pip_install,
)
from s3conn_magic.language.binder import bind
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.help import saved_statement
from s3conn_magic.language.options import BoundValue
from s3conn_magic.language.plans import Create
from s3conn_magic.language.source import Source
from s3conn_magic.language.words import identifier, listed, literal
from s3conn_magic.secrets import MASK, Secret, SecretText, StorageOptions, keyring_password

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.language.options import Settings

# A library asks again after this time, and so follows an ALTER or a DROP.
_ASK_AGAIN = timedelta(seconds=60)


class Triple(NamedTuple):
    """Access key id, secret, token and, if they expire, the time in UTC."""

    access_key_id: str
    secret_access_key: SecretText
    token: SecretText | None
    expires_at: datetime | None


def triple(connection: Connection) -> Triple | None:
    """Return the current credentials, refreshed if necessary; None if anonymous.

    Raises:
        CredentialsError: there are none where the settings look for them.
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
    """Return when a library should ask for credentials again, in UTC."""
    soon = datetime.now(UTC) + _ASK_AGAIN
    return soon if credentials.expires_at is None else min(soon, credentials.expires_at)


def refuse_to_hand_out(connection: Connection, what: str) -> None:
    """Refuse to hand out what could write past the guards of a READ_ONLY connection.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY.
        ConnectionNotFoundError: the connection was dropped.
    """
    if connection.live_settings().read_only:
        raise ReadOnlyConnectionError(
            f"the connection {connection.name} is READ_ONLY: {what} was refused, because it could write",
            hint="fsspec() and pyarrow_filesystem() are given out: they read, and refuse to write by themselves.",
        )


_Connection = TypeVar("_Connection", bound="Connection")
Library = Literal["pandas", "polars", "fsspec", "deltalake", "dask", "pyiceberg"]
_TOKENS = ("AWS_SESSION_TOKEN", "AWS_TOKEN")
_ENCRYPTION = ("AWS_SERVER_SIDE_ENCRYPTION",)
_KMS_VARIABLES = ("AWS_SSE_BUCKET_KEY_ENABLED",)
_PROXY_VARIABLES = ("AWS_PROXY_URL", "AWS_ALLOW_INVALID_CERTIFICATES")
_DIRECTORY_BUCKET = "--x-s3"
_THROUGH_FSSPEC = {
    "pandas": {"protocol": "s3conn"},
    "dask": {"protocol": "s3conn"},
    "fsspec": {},
    "pyiceberg": {"py-io-impl": f"{__name__}.iceberg_io"},
}


def storage_options(connection: Connection, library: Library, bucket: str | None) -> StorageOptions:
    """Return the options for a library; see `Connection.storage_options`."""
    if library in _THROUGH_FSSPEC:
        connection.live_settings()
        return StorageOptions({**_THROUGH_FSSPEC[library], "connection": ConnectionReference.of(connection)})
    if library not in get_args(Library):
        raise S3ConnError(
            "there are no storage options for this library",
            hint=f"There are some for {listed(get_args(Library), 'and')}.",
        )
    refuse_to_hand_out(connection, f"storage_options for {library}")
    options = store_config(connection, bucket)
    _check_trust(library, connection)
    credentials = triple(connection)
    _refuse_environment(library, connection.settings, tokens=credentials is not None and credentials.token is None)
    if credentials is not None:
        options |= _signing(credentials)
    if library == "deltalake":
        return StorageOptions(
            {name.upper(): value for name, value in options.items()}, expires_at=credentials and credentials.expires_at
        )
    provider = None if credentials is None else polars_provider(connection)
    return StorageOptions(options, credential_provider=provider, expires_at=credentials and credentials.expires_at)


def _refuse_environment(library: str, settings: Settings, *, tokens: bool) -> None:
    """Refuse if a library would add settings from the environment and cannot be told not to.

    Args:
        library: name of the library.
        settings: settings of the connection.
        tokens: whether it would add a session token.

    Raises:
        CredentialsError: it would add a setting.
    """
    added = [*(_TOKENS if tokens else ()), *(_PROXY_VARIABLES if library == "deltalake" else ())]
    added += _KMS_VARIABLES if settings.kms_key else () if settings.customer_key else _ENCRYPTION
    name = next((name for name in added if os.environ.get(name)), None)
    if name is not None:
        raise CredentialsError(
            f"{library} would use the {name} of the environment for this connection's requests",
            hint=f"Remove it, os.environ.pop('{name}'), or use fsspec() or pyarrow_filesystem().",
        )


_CA_FILE = "SSL_CERT_FILE"
# Where systems keep their trusted CAs, which these libraries trust anyway.
_SYSTEM_CAS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def _check_trust(library: Library, connection: Connection) -> None:
    """Check that a library whose options cannot name CAs trusts those of the connection.

    Raises:
        EndpointError: the connection trusts other CAs than the system's, and the library was not told; says how to.
    """
    configuration = connection.configuration
    bundle = configuration.ca_bundle.value
    plain = str(configuration.endpoint.value or "").startswith("http://")
    known = {Path(path).resolve() for path in (*_SYSTEM_CAS, own_cas(), os.environ.get(_CA_FILE)) if path}
    if bundle and not plain and Path(bundle).resolve() not in known:
        raise EndpointError(
            f"{library} takes no CA bundle with its options, and would not trust the {configuration.ca_bundle}",
            hint=f"Before it is first used: os.environ['{_CA_FILE}'] = {str(bundle)!r}. fsspec(), obstore() and"
            " pyarrow_filesystem() take it by themselves.",
        )


def store_config(connection: Connection, bucket: str | None) -> dict[str, str]:
    """Return the options besides credentials for the Rust object stores in obstore, polars and delta-rs."""
    settings, directory_bucket = connection.settings, (bucket or "").endswith(_DIRECTORY_BUCKET)
    address = address_of(connection, None if directory_bucket else bucket)
    endpoint, virtual = _rust_endpoint(connection, address, bucket)
    if directory_bucket and connection.configuration.is_aws:
        endpoint = None
    options: dict[str, str | None] = {
        "aws_region": _region_of(connection, bucket) if directory_bucket else address.region,
        "aws_endpoint_url": endpoint,
        "aws_allow_http": "true" if address.endpoint.startswith("http://") else None,
        "aws_virtual_hosted_style_request": "true" if virtual else "false",
        # These stores take missing options from the environment.
        "aws_skip_signature": "true" if settings.anonymous else "false",
        "aws_request_payer": "true" if settings.requester_pays else "false",
        "aws_s3_express": "true" if directory_bucket else "false",
        "aws_unsigned_payload": "false",
        "aws_conditional_put": "etag",
        "aws_server_side_encryption": _encryption(connection),
        "aws_sse_kms_key_id": settings.kms_key,
        "aws_sse_customer_key_base64": SecretText(settings.customer_key.reveal()) if settings.customer_key else None,
    }
    # Otherwise S3's own endpoint variable would take precedence.
    options["aws_endpoint_url_s3"] = options["aws_endpoint_url"]
    return {name: value for name, value in options.items() if value is not None}


def _encryption(connection: Connection) -> str | None:
    settings = connection.settings
    return "aws:kms" if settings.kms_key else "sse-c" if settings.customer_key else None


def _rust_endpoint(connection: Connection, address: Address, bucket: str | None) -> tuple[str | None, bool]:
    """Return the endpoint, with the bucket in its host if needed, and whether requests are virtual-hosted.

    Raises:
        S3ConnError: the bucket is needed in the host, and none is given.
    """
    if not (address.stated and address.virtual):
        return (address.endpoint if address.stated else None), address.virtual
    if bucket is not None:
        return address.with_bucket(bucket), True
    if connection.configuration.is_aws and not connection.configuration.accelerate.value:
        # AWS's other endpoints also take the bucket in the path.
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
    """Return a `credential_provider` for polars: credentials, and the Unix time in seconds to ask again."""
    made_for = connection.settings

    def provide() -> tuple[Mapping[str, str], int]:
        credentials = _live_triple(connection, made_for)
        return {name: str(value) for name, value in _signing(credentials).items()}, int(
            ask_again_at(credentials).timestamp()
        )

    return provide


def obstore_provider(connection: Connection) -> Callable[[], dict[str, Any]]:
    """Return a `credential_provider` for obstore: credentials, and the time to ask again."""
    made_for = connection.settings

    def provide() -> dict[str, Any]:
        credentials = _live_triple(connection, made_for)
        token = {"token": str(credentials.token)} if credentials.token else {}
        signing = {"access_key_id": credentials.access_key_id, "secret_access_key": str(credentials.secret_access_key)}
        return {**signing, **token, "expires_at": ask_again_at(credentials)}

    return provide


_FIXED_OPTIONS = ("ENCRYPTION_KMS_KEY", "ENCRYPTION_CUSTOMER_MANAGED_KEY", "REQUESTER_PAYS")
"""Options that these libraries are told only once, so that they cannot follow an ALTER."""


def _live_triple(connection: Connection, made_for: Settings) -> Triple:
    """Return the current credentials for an object made earlier.

    Raises:
        EndpointError: the connection was altered, and the object would still use its former place or options.
        ReadOnlyConnectionError: the connection has become READ_ONLY.
        S3ConnError: it has become anonymous, was dropped, or has no credentials.
    """
    refuse_another_place(connection.name, made_for, connection.live_settings(), *_FIXED_OPTIONS)
    refuse_to_hand_out(connection, "a signature for another library")
    credentials = triple(connection)
    if credentials is None:
        raise S3ConnError(f"the connection {connection.name} is anonymous now", hint="Ask it for a new store.")
    return credentials


def store(connection: Connection, bucket: str, prefix: str | None) -> Any:
    """Return an obstore store; see `Connection.obstore`."""
    refuse_to_hand_out(connection, "an obstore store")
    kind = _store_class()
    _refuse_environment("obstore", connection.settings, tokens=False)
    if bucket.startswith("arn:"):
        raise S3ConnError("obstore takes the name of a bucket, not an access point's ARN", hint="Use its alias.")
    config: dict[str, Any] = {
        name.removeprefix("aws_"): value for name, value in store_config(connection, bucket).items()
    }
    config["endpoint"] = config.pop("endpoint_url", None)
    # Under this name it is read from the environment and takes precedence.
    config["aws_endpoint_url_s3"] = config.pop("endpoint_url_s3", None)
    allow_http = config.pop("allow_http", None) is not None
    return kind(
        bucket,
        prefix=prefix,
        config={name: value for name, value in config.items() if value is not None},
        client_options={"allow_http": allow_http, "user_agent": "s3conn-magic", **_ca_options(connection)},
        credential_provider=None if connection.settings.anonymous else obstore_provider(connection),
    )


def _ca_options(connection: Connection) -> dict[str, Any]:
    """Return the CAs to trust, if any were set."""
    bundle = connection.configuration.ca_bundle.value
    return {"root_certificate": Path(bundle).read_bytes()} if bundle and Path(bundle).is_file() else {}


def _store_class() -> Any:
    if find_spec("obstore") is None:
        raise S3ConnError("obstore is not installed", hint=f"Install it: {pip_install('obstore')}")
    from obstore.store import S3Store

    return S3Store


def secret_statement(connection: Connection, bucket: str | None) -> SecretText:
    """Return `CREATE OR REPLACE TEMPORARY SECRET …`; see `Connection.duckdb_secret`."""
    refuse_to_hand_out(connection, "a secret for DuckDB")
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
    """Return the options of the secret as written, and the names of those to hide."""
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
"""Scheme of URLs of handed connections, and the `protocol` of storage options."""
_FILES = "s3conn_magic.handoff.handed_files"
_handles: WeakValueDictionary[str, Connection] = WeakValueDictionary()
_arrived: dict[str, Connection] = {}


class ConnectionReference(str):
    """A text that refers to a connection in this process as long as it exists, without containing any of it.

    Pickled, it becomes the statement that makes the connection in another process; see `travelling`.
    """

    __slots__ = ()

    @classmethod
    def of(cls, connection: Connection) -> ConnectionReference:
        """Return the reference of a connection."""
        register()
        reference = next((handle for handle, other in _handles.items() if other is connection), None)
        if reference is None:
            # Unique across processes, so that another process cannot take it for one of its own.
            reference = cls(uuid4().hex)
            _handles[reference] = connection
        return cls(reference)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return arrived, travelling(connection_of(self))


def register() -> None:
    """Register the filesystem of handed connections with fsspec, and for `s3://` with `connection=`."""
    fsspec.register_implementation(PROTOCOL, f"{_FILES}.HandedFileSystem", clobber=True)
    for protocol in ("s3", "s3a"):
        fsspec.register_implementation(protocol, f"{_FILES}.S3FileSystem", clobber=True)


def iceberg_io(properties: Mapping[str, Any]) -> Any:
    """Return PyIceberg's FileIO over the connection named in its properties.

    Raises:
        ConnectionNotFoundError: the connection is gone, or belongs to another process.
    """
    from pyiceberg.io.pyarrow import PyArrowFileIO

    files = cast("Any", connection_of(properties.get("connection"))).pyarrow_filesystem()

    class OfAConnection(PyArrowFileIO):
        def _initialize_fs(self, scheme: str, netloc: str | None = None) -> Any:
            del scheme, netloc
            return files

        def __reduce__(self) -> tuple[Any, ...]:
            return iceberg_io, (self.properties,)

    return OfAConnection(dict(properties))


def connection_of(handle: str | None, name: str | None = None, kept: Connection | None = None) -> Connection:
    """Return the connection of a reference or of a name in this process's session, or the session's default.

    Args:
        handle: the `connection` of storage options.
        name: the connection named in a path, which must be the same.
        kept: the connection, if it is already known.

    Raises:
        ConnectionNotFoundError: there is none, or the path names another.
    """
    known = kept or _handles.get(handle or "")
    if known is None and registry.of_process is not None and not _HANDLE.fullmatch(handle or ""):
        connections, named = registry.of_process(), handle or name
        known = connections.get(named) if named else connections.chosen()
    if known is None:
        raise ConnectionNotFoundError(
            "these storage options belong to a connection that no longer exists, or to another process",
            hint="Ask the connection of this process for its storage options; threads share it. Pickle the"
            " options or the filesystem for other processes, do not pass on what they print.",
        )
    if name is not None and name.casefold() != known.name.casefold():
        raise ConnectionNotFoundError(
            f"this filesystem reaches the connection {known.name} alone",
            hint="Ask the other connection for its own filesystem.",
        )
    return known


_HANDLE = re.compile("[0-9a-f]{32}")
_FROM_ELSEWHERE = ("ENV ", "KEYRING ")


def travelling(connection: _Connection) -> tuple[str, str | S3ConnError, type[_Connection]]:
    """Return what makes a connection anew in another process: its reference, a statement, and its class.

    The statement contains the connection's place, whatever the environment says there, and secrets only by their
    source, unless the connection is `portable`. If the connection cannot be sent, the error takes the statement's
    place, since much is pickled without being sent, such as what dask hashes.

    Raises:
        ConnectionNotFoundError: it was dropped.
    """
    connection.live_settings()
    try:
        options = {**_place_options(connection), **connection.options}
    except S3ConnError as error:
        return str(ConnectionReference.of(connection)), error, type(connection)
    literal_names = [
        name
        for name, bound in options.items()
        if isinstance(bound.value, Secret) and not bound.source.startswith(_FROM_ELSEWHERE)
    ]
    portable = getattr(connection, "ends", None) is not None
    if literal_names and not portable:
        refusal = CredentialsError(
            f"the connection {connection.name} cannot be sent to another process: its statement has"
            f" {listed(literal_names, 'and')} in it",
            hint="connection.portable(minutes=15) can be sent, with short-lived credentials in it; so can a"
            " connection with AWS_ROLE, AWS_PROFILE, ENV 'NAME' or KEYRING.",
        )
        return str(ConnectionReference.of(connection)), refusal, type(connection)
    if portable:
        options = {name: BoundValue(_revealed(bound.value)) for name, bound in options.items()}
    return str(ConnectionReference.of(connection)), saved_statement(connection.name, options), type(connection)


def _place_options(connection: Connection) -> dict[str, BoundValue]:
    """Return the place of a connection as options, since another process could not know it.

    Raises:
        S3ConnError: it uses FIPS, dual-stack or accelerated endpoints, and its region is only found by requests.
    """
    configuration = connection.configuration
    options = configuration.as_options()
    unusual = [name for name in ("fips", "dualstack", "accelerate") if getattr(configuration, name).value]
    if unusual and configuration.finds_regions:
        raise S3ConnError(
            f"the connection {connection.name} cannot be sent to another process: it is at {listed(unusual, 'and')}"
            " endpoints of each bucket's own region",
            hint=f"ALTER S3 CONNECTION {identifier(connection.name)} SET REGION = 'eu-west-1'; names one, for example.",
        )
    if unusual:
        address = address_of(connection, None)
        options |= {"ENDPOINT": address.endpoint, "REGION": address.region}
        options |= {"ADDRESSING_STYLE": "virtual"} if address.virtual else {}
    return {name: BoundValue(value) for name, value in options.items()}


def _revealed(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def arrived(handle: str, statement: str | S3ConnError, kind: type[Connection]) -> ConnectionReference:
    """Return the reference of a connection from another process; in its own process, of the connection itself.

    Raises:
        CredentialsError: the statement that made the connection contains a secret.
        BindError: a variable of the environment or a password in the keyring is missing here.
    """
    if handle not in _handles:
        if isinstance(statement, S3ConnError):
            raise statement
        source = Source(statement)
        (plan,) = bind(parse(source), source, registry.Registry(), _NoUser())
        if not isinstance(plan, Create):
            raise TypeError("a connection travels as the statement that makes it")
        _arrived[handle] = _handles[handle] = kind(plan.name, plan.options)
    register()
    return ConnectionReference(handle)


def portable(connection: _Connection, minutes: int) -> _Connection:
    """Return a connection with short-lived credentials; see `Connection.portable`."""
    if not 15 <= minutes <= _LONGEST_MINUTES:  # noqa: PLR2004 - of STS
        raise ValueError("short-lived credentials last from 15 minutes to 12 hours")
    settings = connection.live_settings()
    options, ends = dict(connection.options), datetime.now(UTC) + timedelta(minutes=minutes)
    connection.check_credentials()
    frozen = connection.frozen_credentials()
    if frozen is not None:
        if not frozen.token:
            frozen = session_triple(settings, frozen, connection.timeouts, seconds=minutes * 60)
        if frozen is None:
            raise CredentialsError(
                f"the server of the connection {connection.name} gives no short-lived credentials",
                hint="ENV 'NAME' or KEYRING instead of the secret can be sent to other processes, as can AWS_ROLE.",
            )
        known = getattr(connection.credentials(), "_expiry_time", None)
        ends = min(ends, known.astimezone(UTC)) if isinstance(known, datetime) else ends
        for name in ("AWS_ROLE", "EXTERNAL_ID", "AWS_PROFILE"):
            options.pop(name, None)
        keys = (frozen.access_key, Secret(frozen.secret_key), Secret(frozen.token))
        options |= {name: BoundValue(value) for name, value in zip(_KEYS, keys, strict=True)}
    options = _place_options(connection) | options
    made: Any = type(connection)(connection.name, options, findings=connection.findings, timeouts=connection.timeouts)
    made.ends = ends
    return cast("_Connection", made)


_LONGEST_MINUTES = 12 * 60
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def arrived_connection(handle: str, statement: str | S3ConnError, kind: type[Connection]) -> Connection:
    """Return the connection for `arrived`'s reference."""
    return connection_of(arrived(handle, statement, kind))


class _NoUser:
    """Inputs of a statement in another process: the keyring, but no Python variables and no user."""

    def variable(self, name: str) -> Any:
        raise LookupError(f"the Python variable {name} is of another process")

    def prompt(self, text: str) -> str:
        raise LookupError(f"nobody can be asked here: {text}")

    def keyring(self, service: str, user: str) -> str:
        return keyring_password(service, user)
