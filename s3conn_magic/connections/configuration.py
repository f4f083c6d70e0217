"""The options of a connection, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.language.plans import BoundOptions

_Value = TypeVar("_Value")
# What decides where a request goes: a client that was made for other values would send there what is not theirs.
_PLACE = ("ENDPOINT", "REGION", "ADDRESSING_STYLE", "AWS_PROFILE")
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


class Timeouts(NamedTuple):
    """Seconds until a server counts as unreachable, and without a byte until an answer is given up."""

    connect: int = 10
    read: int = 60

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Timeouts:
        """Return those of a session's settings at this moment."""
        return cls(settings["CONNECT_TIMEOUT"], settings["READ_TIMEOUT"])


class _Given(Generic[_Value]):
    """The value of an option, or what stands for it where it was not given."""

    def __init__(self, name: str, otherwise: Any = None) -> None:
        self._name = name
        self._otherwise = otherwise

    def __get__(self, settings: Settings, _: type[Settings]) -> _Value:
        bound = settings.options.get(self._name)
        value: _Value = bound.value if bound else self._otherwise
        return value


@dataclass(frozen=True, slots=True)
class Settings:
    """What a connection was told, as read by the binder; None where an option was not given."""

    options: BoundOptions

    role = _Given[str | None]("AWS_ROLE")
    """ARN of the role to assume."""
    external_id = _Given[str | None]("EXTERNAL_ID")
    """External id for assuming the role."""
    access_key_id = _Given[str | None]("AWS_ACCESS_KEY_ID")
    """Access key id of the key pair."""
    secret_access_key = _Given[Secret | None]("AWS_SECRET_ACCESS_KEY")
    """Secret of the key pair."""
    session_token = _Given[Secret | None]("AWS_SESSION_TOKEN")
    """Token of a temporary key pair."""
    profile = _Given[str | None]("AWS_PROFILE")
    """Profile of the AWS configuration files."""
    anonymous = _Given[bool]("ANONYMOUS", False)
    """Whether requests are unsigned."""
    region = _Given[str | None]("REGION")
    """Region to sign for."""
    endpoint = _Given[str | None]("ENDPOINT")
    """URL of an S3-compatible server."""
    addressing_style = _Given[str]("ADDRESSING_STYLE", "auto")
    """`auto`, `path` or `virtual`."""
    requester_pays = _Given[bool]("REQUESTER_PAYS", False)
    """Whether charges of requester-pays buckets are accepted."""
    read_only = _Given[bool]("READ_ONLY", False)
    """Whether everything that could write is refused."""
    kms_key = _Given[str | None]("ENCRYPTION_KMS_KEY")
    """KMS key for writes."""
    customer_key = _Given[Secret | None]("ENCRYPTION_CUSTOMER_MANAGED_KEY")
    """Base64 of the customer's key for writes and reads."""
    display_filters = _Given[tuple[Location, ...]]("PATH_DISPLAY_FILTERS", ())
    """What is shown; empty for all buckets."""
    comment = _Given[str | None]("COMMENT")
    """Free text."""

    def endpoint_of(self, service: str) -> str | None:
        """Return the URL at which a service is reached; None where it is AWS that is.

        A server of its own offers what it offers beside S3 at the same URL. An ENDPOINT of AWS, as one in a VPC, is
        that of S3 alone.
        """
        endpoint = self.endpoint
        if endpoint and service != "s3" and (urlsplit(endpoint).hostname or "").endswith(_AWS):
            return None
        return endpoint

    @property
    def place(self) -> dict[str, Any]:
        """Where requests go, by the names of the options that say it."""
        given = {name: self.options.get(name) for name in _PLACE}
        return {name: bound.value if bound else None for name, bound in given.items()} | {"explicit": self.explicit}

    @property
    def explicit(self) -> bool:
        """Whether the options name where credentials come from, and not the default chain."""
        return self.anonymous or bool(self.access_key_id or self.profile)

    @property
    def credentials_kind(self) -> str:
        """How requests are signed, in words."""
        if self.anonymous:
            return "anonymous"
        base = "key pair" if self.access_key_id else f"profile {self.profile}" if self.profile else "default chain"
        base += " with session token" if self.session_token else ""
        return f"role, assumed by {base}" if self.role else base

    @property
    def encrypts(self) -> bool:
        """Whether the options ask for an encryption of what is written."""
        return bool(self.kms_key or self.customer_key)

    @property
    def encryption(self) -> str:
        """The encryption that every write asks for, in words."""
        return "SSE-KMS" if self.kms_key else "SSE-C" if self.customer_key else "bucket default"
