"""boto3 clients of the sandbox, as any program would make them."""

from __future__ import annotations

from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret


def client(service: str, endpoint: str, keys: Keys | None, **options: Any) -> Any:
    """A client that signs with `keys`, or does not sign when there are none."""
    config = Config(retries={"max_attempts": 1}) if keys else Config(signature_version=UNSIGNED)
    pair = (
        {"aws_access_key_id": keys.access_key_id, "aws_secret_access_key": keys.secret_access_key.reveal()}
        if keys
        else {}
    )
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", config=config, **pair, **options)


def assumed(endpoint: str, credentials: dict[str, Any]) -> Any:
    """An S3 client with what AssumeRole returned."""
    keys = Keys(credentials["AccessKeyId"], Secret(credentials["SecretAccessKey"]))
    return client("s3", endpoint, keys, aws_session_token=credentials["SessionToken"])
