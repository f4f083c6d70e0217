"""A bucket of a connection as an obstore store."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.extras import pip_install
from s3conn_magic.handoff.credentials import refuse_if_read_only
from s3conn_magic.handoff.options import obstore_provider, store_config

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection

_VARIABLE = "AWS_ENDPOINT_URL_S3"


def store(connection: Connection, bucket: str, prefix: str | None) -> Any:
    """The store; see `Connection.obstore`."""
    refuse_if_read_only(connection, "an obstore store")
    kind = _store_class()
    if bucket.startswith("arn:"):
        raise S3ConnError("obstore takes the name of a bucket, not an access point's ARN", hint="Use its alias.")
    config: dict[str, Any] = {name.removeprefix("aws_"): one for name, one in store_config(connection, bucket).items()}
    config["endpoint"] = config.pop("endpoint_url", None)
    _refuse_another_endpoint(config.pop("endpoint_url_s3", None))
    allow_http = config.pop("allow_http", None) is not None
    return kind(
        bucket,
        prefix=prefix,
        config={name: one for name, one in config.items() if one is not None},
        client_options={"allow_http": allow_http, "user_agent": "s3conn-magic"},
        credential_provider=None if connection.settings.anonymous else obstore_provider(connection),
    )


def _refuse_another_endpoint(endpoint: str | None) -> None:
    """Keep the environment from leading the store elsewhere: obstore reads this variable and takes no such option.

    Raises:
        S3ConnError: it would.
    """
    named = os.environ.get(_VARIABLE)
    if endpoint and named and named != endpoint:
        raise S3ConnError(
            f"obstore would send requests to the {_VARIABLE} of the environment, and not to this connection's ENDPOINT",
            hint=f"Remove it, os.environ.pop('{_VARIABLE}'), or use fsspec() or pyarrow_filesystem().",
        )


def _store_class() -> Any:
    if find_spec("obstore") is None:
        raise S3ConnError("obstore is not installed", hint=f"Install it: {pip_install('obstore')}")
    from obstore.store import S3Store

    return S3Store
