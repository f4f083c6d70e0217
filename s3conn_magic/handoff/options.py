"""`storage_options` of other libraries, from a connection."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, get_args

from s3conn_magic.connections.guards import refuse_another_place
from s3conn_magic.errors import CredentialsError, S3ConnError
from s3conn_magic.handoff.credentials import Triple, ask_again_at, path_style, refuse_if_read_only, region_of, triple
from s3conn_magic.handoff.masks import SecretText, StorageOptions
from s3conn_magic.language.words import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.connections.settings import Settings

Library = Literal["pandas", "polars", "fsspec", "deltalake", "dask"]
_TOKENS = ("AWS_SESSION_TOKEN", "AWS_TOKEN")
_DIRECTORY_BUCKET = "--x-s3"
_THROUGH_FSSPEC = {"pandas", "fsspec", "dask"}


def storage_options(connection: Connection, library: Library, bucket: str | None) -> StorageOptions:
    """The options of a library; see `Connection.storage_options`."""
    if library in _THROUGH_FSSPEC:
        from s3conn_magic.handoff.filesystem import PROTOCOL, handle_of

        connection.live_settings()
        return StorageOptions({"protocol": PROTOCOL, "connection": handle_of(connection)})
    if library not in get_args(Library):
        raise S3ConnError(
            "there are no storage options for this library",
            hint=f"There are some for {listed(get_args(Library), 'and')}.",
        )
    refuse_if_read_only(connection, f"storage_options for {library}")
    options = store_config(connection, bucket)
    found = triple(connection)
    if found is not None:
        _refuse_a_mix(library, found)
        options |= _signing(found)
    if library == "deltalake":
        return StorageOptions(
            {name.upper(): one for name, one in options.items()}, expires_at=found and found.expires_at
        )
    provider = None if found is None else polars_provider(connection)
    return StorageOptions(options, credential_provider=provider, expires_at=found and found.expires_at)


def _refuse_a_mix(library: Library, found: Triple) -> None:
    """Keep the environment's token from being sent with a pair that has none: these libraries would add it.

    Raises:
        CredentialsError: they would.
    """
    name = next((one for one in _TOKENS if os.environ.get(one)), None)
    if name is not None and found.token is None:
        raise CredentialsError(
            f"{library} would send the {name} of the environment with this connection's key pair",
            hint=f"Remove it, os.environ.pop('{name}'), or use fsspec(), pyarrow_filesystem() or obstore().",
        )


def store_config(connection: Connection, bucket: str | None) -> dict[str, str]:
    """What the object stores of Rust, under obstore, polars and delta-rs, are told beside credentials."""
    settings = connection.settings
    told: dict[str, str | None] = {
        "aws_region": region_of(connection, bucket),
        "aws_endpoint_url": settings.endpoint,
        "aws_allow_http": "true" if (settings.endpoint or "").startswith("http://") else None,
        "aws_virtual_hosted_style_request": "false" if path_style(settings) else "true",
        # What is left out, these stores take from the environment.
        "aws_skip_signature": "true" if settings.anonymous else "false",
        "aws_request_payer": "true" if settings.requester_pays else "false",
        "aws_s3_express": "true" if (bucket or "").endswith(_DIRECTORY_BUCKET) else "false",
        "aws_server_side_encryption": _encryption(connection),
        "aws_sse_kms_key_id": settings.kms_key,
        "aws_sse_customer_key_base64": SecretText(settings.customer_key.reveal()) if settings.customer_key else None,
    }
    if not path_style(settings) and settings.endpoint is not None:
        told["aws_endpoint_url"] = _with_bucket(settings.endpoint, bucket)
    # The variable of S3's own endpoint would count before that of all services.
    told["aws_endpoint_url_s3"] = told["aws_endpoint_url"]
    return {name: value for name, value in told.items() if value is not None}


def _encryption(connection: Connection) -> str | None:
    settings = connection.settings
    return "aws:kms" if settings.kms_key else "sse-c" if settings.customer_key else None


def _with_bucket(endpoint: str, bucket: str | None) -> str:
    """Where the bucket is part of the host, these stores want it in the endpoint."""
    if bucket is None:
        raise S3ConnError(
            "with ADDRESSING_STYLE = 'virtual' and an ENDPOINT, these options are those of one bucket",
            hint="Name it: storage_options(library, bucket='…').",
        )
    scheme, _, host = endpoint.partition("://")
    return f"{scheme}://{bucket}.{host}"


def _signing(found: Triple) -> dict[str, str]:
    token = {"aws_session_token": found.token} if found.token else {}
    return {"aws_access_key_id": found.access_key_id, "aws_secret_access_key": found.secret_access_key, **token}


def polars_provider(connection: Connection) -> Callable[[], tuple[Mapping[str, str], int]]:
    """A `credential_provider` of polars: credentials, and in seconds of the epoch when to ask again."""
    made_for = connection.settings

    def provide() -> tuple[Mapping[str, str], int]:
        found = _signed(connection, made_for)
        return {name: str(one) for name, one in _signing(found).items()}, int(ask_again_at(found).timestamp())

    return provide


def obstore_provider(connection: Connection) -> Callable[[], dict[str, Any]]:
    """A `credential_provider` of obstore: credentials, and as an aware time when to ask again."""
    made_for = connection.settings

    def provide() -> dict[str, Any]:
        found = _signed(connection, made_for)
        token = {"token": str(found.token)} if found.token else {}
        signing = {"access_key_id": found.access_key_id, "secret_access_key": str(found.secret_access_key)}
        return {**signing, **token, "expires_at": ask_again_at(found)}

    return provide


def _signed(connection: Connection, made_for: Settings) -> Triple:
    """The credentials of this moment, for what was made to sign.

    Raises:
        EndpointError: the connection was altered, and what was made would send them to its former place.
        ReadOnlyConnectionError: the connection has become READ_ONLY.
        S3ConnError: it has become anonymous, was dropped, or has no credentials.
    """
    refuse_another_place(connection.name, made_for, connection.live_settings())
    refuse_if_read_only(connection, "a signature for another library")
    found = triple(connection)
    if found is None:
        raise S3ConnError(f"the connection {connection.name} is anonymous now", hint="Ask it for a new store.")
    return found
