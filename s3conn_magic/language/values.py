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
from s3conn_magic.secrets import MASK, Secret

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,576}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_KEY_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}"
_ALIAS = r"alias/[\w/-]{1,250}"
_KMS = re.compile(
    rf"(?:arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{{12}}:(?:key/(?:{_KEY_ID})|{_ALIAS}))|{_KEY_ID}|{_ALIAS}", re.ASCII
)
_ENVIRONMENT_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_CUSTOMER_KEY_BYTES = 32
_ENDPOINT_FORM = "it looks like 'https://host:port'"


def is_environment_name(text: str) -> bool:
    """Whether a text is written like the name of an environment variable; what is not may be the secret itself."""
    return _ENVIRONMENT_NAME.fullmatch(text) is not None


def text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError(f"this is {_kind(value)}; text stands in single quotes")
    return value


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", int: "a number", tuple: "a list", list: "a list", type(None): "None"}
    return kinds.get(type(value), f"of type {type(value).__name__}")


def _filled(value: Any) -> str:
    if not text(value):
        raise ValueError("it must not be empty")
    return str(value)


def boolean(value: Any) -> bool:
    """TRUE or FALSE."""
    if isinstance(value, bool):
        return value
    raise ValueError("this is text; leave out the quotes" if isinstance(value, str) else f"this is {_kind(value)}")


def credential(value: Any) -> str:
    """A part of a credential: printable ASCII without white space, as HTTP headers need."""
    if any(character.isspace() for character in _filled(value)):
        raise ValueError("a credential has no white space; was a line break or blank copied with it?")
    if not value.isascii() or not value.isprintable():
        raise ValueError("a credential has only ASCII characters; was it copied from a formatted page?")
    return str(value)


def secret_credential(value: Any) -> Secret:
    """A credential that is never shown again."""
    return Secret(credential(_given(value)))


def _given(value: Any) -> Any:
    """A secret that is there: what SHOW CREATE and the history of inputs have in its place is none."""
    if value == MASK:
        raise ValueError("this only stands for a secret that was not kept; give the secret itself")
    return value


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
    size = _decoded_size(_filled(_given(value)))
    if size is None:
        raise ValueError("this is not Base64; a 256-bit key has 44 characters of it, the last one =")
    if size != _CUSTOMER_KEY_BYTES:
        raise ValueError(f"this is Base64 of {size} bytes, where 32 are needed")
    return Secret(value)


def _decoded_size(encoded: str) -> int | None:
    try:
        return len(base64.b64decode(encoded.encode(), validate=True))
    except (binascii.Error, UnicodeEncodeError):
        return None


def display_filters(value: Any) -> tuple[Location, ...]:
    """One or more `s3://` paths, duplicates dropped."""
    paths = value if isinstance(value, tuple | list) else (value,)
    if not paths:
        raise ValueError("this list is empty")
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
        raise ValueError("this is none of them")
    return style


def endpoint(value: Any) -> str:
    """The URL of a server: no user info, path, query or fragment, any of which could hold a secret or be lost."""
    if "@" in _filled(value):
        raise ValueError("it holds no user or password; give them by AWS_ACCESS_KEY_ID and its secret")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(_ENDPOINT_FORM) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError(_ENDPOINT_FORM)
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("it has no white space")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("nothing follows the host and port; the bucket belongs into the s3:// location")
    return f"{parts.scheme}://{parts.netloc}"
