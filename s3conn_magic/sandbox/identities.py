"""Users, role and policies of the sandbox, written as for AWS.

The keys are fixed examples that open nothing but a server on 127.0.0.1 with made-up data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret

ACCOUNT = "123456789012"
REGION = "us-east-1"

LAKE = "acme-lake"
LOGS = "acme-logs"
ARCHIVE = "acme-archive-eu"
ODD = "acme-odd-keys"
EMPTY = "acme-empty"
PUBLIC = "acme-public"

EXTERNAL_ID = "acme-external-id"
ROLE = "lake-reader"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
RESTRICTED_LOCATION = Location(LAKE, "sales/")

Policy = Mapping[str, Any]
"""An IAM policy document."""


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key pair."""

    access_key_id: str
    secret_access_key: Secret


ADMIN = Keys("AKIASANDBOXADMINEXAM", Secret("sandbox/admin/secret/EXAMPLE/0000000000"))
RESTRICTED = Keys("AKIASANDBOXSALESEXAM", Secret("sandbox/sales/secret/EXAMPLE/0000000000"))
ANONYMOUS = Keys("AKIASANDBOXNOBODYEXA", Secret("sandbox/nobody/secret/EXAMPLE/000000000"))


def _policy(*statements: Policy) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(actions: list[str], resources: list[str]) -> Policy:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _read_bucket(bucket: str) -> Policy:
    """Return the policy to read a whole bucket."""
    arn = Location(bucket).arn
    on_bucket = ["s3:ListBucket", "s3:HeadBucket", "s3:ListBucketVersions", "s3:GetBucketLocation"]
    on_objects = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging"]
    return _policy(_allow(on_bucket, [arn]), _allow(on_objects, [f"{arn}/*"]))


_ASSUME = _allow(["sts:AssumeRole"], [ROLE_ARN])

# `s3:HeadBucket` is not an action of AWS: moto asks for it where AWS asks for s3:ListBucket. AWS refuses HeadBucket to
# a user who may list only one prefix, too, so it is missing here.
_RESTRICTED = _policy(
    _allow(["s3:ListBucket"], [Location(LAKE).arn]),  # the gate adds the condition on s3:prefix, which moto ignores
    _allow(["s3:GetObject", "s3:GetObjectTagging"], [f"{RESTRICTED_LOCATION.arn}*"]),
    _ASSUME,
)


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user with its key pair and inline policy."""

    name: str
    keys: Keys
    policy: Policy

    @property
    def arn(self) -> str:
        """The user's ARN."""
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"


USERS = (
    User("admin", ADMIN, _policy(_allow(["*"], ["*"]))),
    User("sales", RESTRICTED, _RESTRICTED),
    User("anonymous", ANONYMOUS, _read_bucket(PUBLIC)),
)

ROLE_POLICY = _read_bucket(LAKE)
TRUST_POLICY = _policy(
    {
        "Effect": "Allow",
        "Principal": {"AWS": [user.arn for user in USERS if user.name != "anonymous"]},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
    }
)
