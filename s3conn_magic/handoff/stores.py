"""A bucket of a connection as an obstore store."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.extras import pip_install
from s3conn_magic.handoff.credentials import refuse_if_read_only
from s3conn_magic.handoff.options import obstore_provider, store_config

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection

_DIRECTORY_BUCKET = "--x-s3"


def store(connection: Connection, bucket: str, prefix: str | None) -> Any:
    """The store; see `Connection.obstore`."""
    refuse_if_read_only(connection, "an obstore store")
    kind = _store_class()
    if bucket.startswith("arn:"):
        raise S3ConnError("obstore takes the name of a bucket, not an access point's ARN", hint="Use its alias.")
    config: dict[str, Any] = {name.removeprefix("aws_"): one for name, one in store_config(connection, bucket).items()}
    config["endpoint"] = config.pop("endpoint_url", None)
    allow_http = config.pop("allow_http", None) is not None
    if bucket.endswith(_DIRECTORY_BUCKET):
        config["s3_express"] = True
    return kind(
        bucket,
        prefix=prefix,
        config={name: one for name, one in config.items() if one is not None},
        client_options={"allow_http": allow_http, "user_agent": "s3conn-magic"},
        credential_provider=None if connection.settings.anonymous else obstore_provider(connection),
    )


def _store_class() -> Any:
    if find_spec("obstore") is None:
        raise S3ConnError("obstore is not installed", hint=f"Install it: {pip_install('obstore')}")
    from obstore.store import S3Store

    return S3Store
