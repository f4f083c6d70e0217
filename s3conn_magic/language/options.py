"""The one table of the options of an S3 connection.

Grammar, binder, `HELP`, `DESCRIBE CONNECTION`, completion and the generated reference all read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3conn_magic.language import values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        name: the canonical spelling.
        read: turns a raw value (text, bool, int or tuple) into the stored one; raises ValueError without the value.
        takes: what is written after `=`, for messages and help.
        help: one sentence.
        default: what holds when it is not given, in words.
        example: a value as one would write it.
        origin: `Upsolver` for the published language, `s3conn_magic` for what this project adds.
        secret: whether the value is never shown again.
        mutable: whether `ALTER` may set it.
        stored: whether the connection keeps it.
        requires: options that must be there too.
        excludes: options that must not be there too.
        aliases: other spellings.
        takes_list: whether a list of values may be written; `read` then gives a tuple.
        offers: what completion offers inside its quotes: location, profile or region.
    """

    name: str
    read: Callable[[Any], Any]
    takes: str
    help: str
    default: str
    example: str
    origin: str = "s3conn_magic"
    secret: bool = False
    mutable: bool = True
    stored: bool = True
    requires: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    takes_list: bool = False
    offers: str = ""


_UPSOLVER = "Upsolver"
_IDENTITY = (
    "AWS_ROLE",
    "EXTERNAL_ID",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
)

OPTIONS: tuple[Option, ...] = (
    Option(
        "AWS_ROLE",
        values.role_arn,
        takes="the ARN of an IAM role",
        help="Role to assume through STS; its credentials refresh by themselves.",
        default="the default credentials chain",
        example="'arn:aws:iam::123456789012:role/my_s3_role'",
        origin=_UPSOLVER,
    ),
    Option(
        "EXTERNAL_ID",
        values.external_id,
        takes="text",
        help="External id that the role's trust policy asks for; sent on every AssumeRole.",
        default="none",
        example="'12345678'",
        origin=_UPSOLVER,
        requires=("AWS_ROLE",),
    ),
    Option(
        "AWS_ACCESS_KEY_ID",
        values.credential,
        takes="text",
        help="Access key id of the key pair; with AWS_ROLE too, the pair is what assumes the role.",
        default="the default credentials chain",
        example="ENV 'MY_ACCESS_KEY_ID'",
        origin=_UPSOLVER,
        requires=("AWS_SECRET_ACCESS_KEY",),
        excludes=("AWS_PROFILE",),
    ),
    Option(
        "AWS_SECRET_ACCESS_KEY",
        values.secret_credential,
        takes="a secret text",
        help="Secret access key of the key pair.",
        default="the default credentials chain",
        example="ENV 'MY_SECRET_ACCESS_KEY'",
        origin=_UPSOLVER,
        secret=True,
        requires=("AWS_ACCESS_KEY_ID",),
        excludes=("AWS_PROFILE",),
    ),
    Option(
        "PATH_DISPLAY_FILTERS",
        values.display_filters,
        takes="one s3:// path or a list of them",
        help="What SHOW BUCKETS, EXPLORE and LIST without a location show. Display only: it grants and denies nothing.",
        default="all buckets",
        example="('s3://bucket1/', 's3://bucket2/folder/')",
        origin=_UPSOLVER,
        aliases=("PATH_DISPLAY_FILTER",),
        takes_list=True,
        offers="location",
    ),
    Option(
        "READ_ONLY",
        values.boolean,
        takes="TRUE or FALSE",
        help="Refuse, before any request, everything that could write or delete through this connection.",
        default="FALSE",
        example="TRUE",
        origin=_UPSOLVER,
        mutable=False,
    ),
    Option(
        "ENCRYPTION_KMS_KEY",
        values.kms_key,
        takes="the ARN, id or alias of a KMS key",
        help="Encrypt every object written with this KMS key (SSE-KMS); what the server does not confirm is undone.",
        default="the bucket's default encryption",
        example="'arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab'",
        origin=_UPSOLVER,
        excludes=("ENCRYPTION_CUSTOMER_MANAGED_KEY",),
    ),
    Option(
        "ENCRYPTION_CUSTOMER_MANAGED_KEY",
        values.customer_key,
        takes="the Base64 text of a 256-bit key",
        help="Encrypt every object written, and decrypt every object read, with this key of yours (SSE-C); a write that"
        " the server does not confirm is undone.",
        default="the bucket's default encryption",
        example="KEYRING 's3' 'customer-key'",
        origin=_UPSOLVER,
        secret=True,
        excludes=("ENCRYPTION_KMS_KEY",),
    ),
    Option(
        "COMMENT",
        values.text,
        takes="text",
        help="Free text shown with the connection.",
        default="none",
        example="'reads the events lake'",
        origin=_UPSOLVER,
    ),
    Option(
        "AWS_SESSION_TOKEN",
        values.secret_credential,
        takes="a secret text",
        help="Session token that goes with a temporary key pair.",
        default="none",
        example="ENV 'AWS_SESSION_TOKEN'",
        secret=True,
        requires=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        excludes=("AWS_PROFILE",),
    ),
    Option(
        "AWS_PROFILE",
        values.profile,
        takes="the name of a profile",
        help="Profile of the AWS configuration files: SSO, web identity, process, whatever it says.",
        default="none",
        example="'analytics'",
        offers="profile",
        excludes=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ),
    Option(
        "ANONYMOUS",
        values.boolean,
        takes="TRUE or FALSE",
        help="Send unsigned requests, for public buckets.",
        default="FALSE",
        example="TRUE",
        excludes=_IDENTITY,
    ),
    Option(
        "REGION",
        values.region,
        takes="the code of a region",
        help="Region to sign for; without it each bucket's region is found.",
        default="found per bucket",
        example="'eu-west-1'",
        offers="region",
    ),
    Option(
        "ENDPOINT",
        values.endpoint,
        takes="a URL, http(s)://host[:port]",
        help="S3-compatible server to talk to; roles are assumed there too.",
        default="AWS",
        example="'http://127.0.0.1:9000'",
    ),
    Option(
        "ADDRESSING_STYLE",
        values.addressing_style,
        takes="'auto', 'path' or 'virtual'",
        help="Whether the bucket's name goes into the path or the host of a request.",
        default="'auto'",
        example="'path'",
    ),
    Option(
        "REQUESTER_PAYS",
        values.boolean,
        takes="TRUE or FALSE",
        help="Accept the charges of requests to requester-pays buckets.",
        default="FALSE",
        example="TRUE",
    ),
    Option(
        "VALIDATE",
        values.boolean,
        takes="TRUE or FALSE",
        help="FALSE skips the probe of CREATE and ALTER; not kept.",
        default="TRUE",
        example="FALSE",
        stored=False,
    ),
)

_BY_NAME: Mapping[str, Option] = {spelling: option for option in OPTIONS for spelling in (option.name, *option.aliases)}
OPTION_NAMES: tuple[str, ...] = tuple(_BY_NAME)


def find_option(name: str) -> Option | None:
    """The option of that name or alias, in whatever case."""
    return _BY_NAME.get(name.upper())
