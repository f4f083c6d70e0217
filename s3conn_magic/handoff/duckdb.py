"""A connection as a secret of a DuckDB elsewhere, which reads by its own httpfs extension."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from s3conn_magic.errors import S3ConnError
from s3conn_magic.handoff.credentials import path_style, refuse_if_read_only, region_of, triple
from s3conn_magic.handoff.masks import MASK, SecretText
from s3conn_magic.language.evaluation import quoted

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection


def secret_statement(connection: Connection, bucket: str | None) -> SecretText:
    """`CREATE OR REPLACE TEMPORARY SECRET …`; see `Connection.duckdb_secret`."""
    refuse_if_read_only(connection, "a secret for DuckDB")
    if connection.settings.customer_key:
        raise S3ConnError(
            "DuckDB's httpfs sends no customer's key, so it could not read what this connection wrote",
            hint="SELECT in %%upsql, fsspec() and pyarrow_filesystem() send it.",
        )
    parts, hidden = _parts(connection, bucket)
    name = '"' + connection.name.replace('"', '""') + '"'
    shown = [f"{option} {quoted(MASK) if option in hidden else value}" for option, value in parts.items()]
    written = [f"{option} {value}" for option, value in parts.items()]
    head = f"CREATE OR REPLACE TEMPORARY SECRET {name} "
    return SecretText(f"{head}({', '.join(written)});", f"{head}({', '.join(shown)});")


def _parts(connection: Connection, bucket: str | None) -> tuple[dict[str, str], set[str]]:
    """The options of the secret as they are written, and the names of those that are secret."""
    settings, found = connection.settings, triple(connection)
    parts = {"TYPE": "s3", "PROVIDER": "config", "REGION": quoted(region_of(connection, bucket))}
    if found is not None:
        parts |= {"KEY_ID": quoted(found.access_key_id), "SECRET": quoted(found.secret_access_key)}
        parts |= {"SESSION_TOKEN": quoted(found.token)} if found.token else {}
    if settings.endpoint:
        parts |= {"ENDPOINT": quoted(urlsplit(settings.endpoint).netloc)}
        parts |= {"USE_SSL": "false"} if settings.endpoint.startswith("http://") else {}
    parts["URL_STYLE"] = "'path'" if path_style(settings) else "'vhost'"
    parts |= {"KMS_KEY_ID": quoted(settings.kms_key)} if settings.kms_key else {}
    parts |= {"REQUESTER_PAYS": "true"} if settings.requester_pays else {}
    parts |= {"SCOPE": quoted(f"s3://{bucket}")} if bucket else {}
    return parts, {"SECRET", "SESSION_TOKEN"}
