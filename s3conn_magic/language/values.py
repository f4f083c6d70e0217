"""What an option's value must look like.

Each function takes the raw value of a statement (str, bool, int or a tuple of them) and gives the stored one.
It raises ValueError with what is wanted; the message never repeats the value, which may be a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import urlsplit

from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,576}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_KEY_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}"
_ALIAS = r"alias/[\w/-]{1,250}"
_KMS = re.compile(
    rf"(?:arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{{12}}:(?:key/(?:{_KEY_ID})|{_ALIAS}))|{_KEY_ID}|{_ALIAS}", re.ASCII
)
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_CUSTOMER_KEY_BYTES = 32


def text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("it takes text in single quotes")
    return value


def _filled(value: Any) -> str:
    if not text(value):
        raise ValueError("it must not be empty")
    return str(value)


def boolean(value: Any) -> bool:
    """TRUE or FALSE."""
    if isinstance(value, bool):
        return value
    raise ValueError("it takes TRUE or FALSE, without quotes")


def credential(value: Any) -> str:
    """A part of a credential: printable ASCII without white space, as HTTP headers need."""
    if any(character.isspace() for character in _filled(value)):
        raise ValueError("a credential has no white space; was a line break or blank copied with it?")
    if not value.isascii() or not value.isprintable():
        raise ValueError("a credential has only ASCII characters; was it copied from a formatted page?")
    return str(value)


def secret_credential(value: Any) -> Secret:
    """A credential that is never shown again."""
    return Secret(credential(value))


def role_arn(value: Any) -> str:
    """The ARN of a role."""
    if not _ROLE.fullmatch(_filled(value)):
        raise ValueError("a role looks like 'arn:aws:iam::123456789012:role/name'")
    return str(value)


def external_id(value: Any) -> str:
    """An external id as IAM allows it."""
    if not _EXTERNAL_ID.fullmatch(_filled(value)):
        raise ValueError("an external id has 2 to 1224 letters, digits or any of _+=,.@:/-")
    return str(value)


def kms_key(value: Any) -> str:
    """A KMS key's ARN, id or alias."""
    if not _KMS.fullmatch(_filled(value)):
        raise ValueError("a KMS key looks like 'arn:aws:kms:us-east-1:123456789012:key/…', a key's id, or 'alias/name'")
    return str(value)


def customer_key(value: Any) -> Secret:
    """The Base64 text of a 256-bit key."""
    try:
        size = len(base64.b64decode(_filled(value).encode(), validate=True))
    except (binascii.Error, UnicodeEncodeError):
        size = -1
    if size != _CUSTOMER_KEY_BYTES:
        raise ValueError("it takes the Base64 text of exactly 32 bytes (a 256-bit key)")
    return Secret(value)


def display_filters(value: Any) -> tuple[Location, ...]:
    """One or more `s3://` paths, duplicates dropped."""
    paths = value if isinstance(value, tuple | list) else (value,)
    if not paths:
        raise ValueError("it takes at least one s3:// path")
    return tuple(dict.fromkeys(Location.parse(_filled(path)) for path in paths))


def profile(value: Any) -> str:
    """A profile's name."""
    if not _filled(value).isprintable():
        raise ValueError("a profile's name has no control characters")
    return str(value)


def region(value: Any) -> str:
    """A region's code; S3-compatible servers have their own."""
    if not _REGION.fullmatch(_filled(value)):
        raise ValueError("a region looks like 'eu-west-1'")
    return str(value)


def addressing_style(value: Any) -> str:
    """How the bucket's name travels."""
    style = _filled(value).lower()
    if style not in {"auto", "path", "virtual"}:
        raise ValueError("it takes 'auto', 'path' or 'virtual'")
    return style


def endpoint(value: Any) -> str:
    """The URL of a server: no user info, path, query or fragment, any of which could hold a secret or be lost."""
    try:
        parts = urlsplit(_filled(value))
        port = parts.port
    except ValueError:
        raise ValueError("an endpoint looks like 'https://host:port'") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("an endpoint looks like 'https://host:port'")
    if "@" in parts.netloc:
        raise ValueError("an endpoint holds no user or password; give them by AWS_ACCESS_KEY_ID and its secret")
    if parts.path.strip("/") or parts.query or parts.fragment or any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("an endpoint is only http(s)://host[:port]; the bucket belongs into the s3:// location")
    return f"{parts.scheme}://{parts.netloc}"
