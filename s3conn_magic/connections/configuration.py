"""The options of a connection, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.language.plans import BoundOptions
    from s3conn_magic.locations import Location
    from s3conn_magic.secrets import Secret

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


@dataclass(frozen=True, slots=True)
class Settings:
    """What a connection was told, as read by the binder; None where an option was not given."""

    options: BoundOptions

    def _get(self, name: str) -> Any:
        bound = self.options.get(name)
        return bound.value if bound else None

    @property
    def role(self) -> str | None:
        """ARN of the role to assume."""
        return self._get("AWS_ROLE")  # type: ignore[no-any-return] # the binder read it

    @property
    def external_id(self) -> str | None:
        """External id for assuming the role."""
        return self._get("EXTERNAL_ID")  # type: ignore[no-any-return]

    @property
    def access_key_id(self) -> str | None:
        """Access key id of the key pair."""
        return self._get("AWS_ACCESS_KEY_ID")  # type: ignore[no-any-return]

    @property
    def secret_access_key(self) -> Secret | None:
        """Secret of the key pair."""
        return self._get("AWS_SECRET_ACCESS_KEY")  # type: ignore[no-any-return]

    @property
    def session_token(self) -> Secret | None:
        """Token of a temporary key pair."""
        return self._get("AWS_SESSION_TOKEN")  # type: ignore[no-any-return]

    @property
    def profile(self) -> str | None:
        """Profile of the AWS configuration files."""
        return self._get("AWS_PROFILE")  # type: ignore[no-any-return]

    @property
    def anonymous(self) -> bool:
        """Whether requests are unsigned."""
        return bool(self._get("ANONYMOUS"))

    @property
    def region(self) -> str | None:
        """Region to sign for."""
        return self._get("REGION")  # type: ignore[no-any-return]

    @property
    def endpoint(self) -> str | None:
        """URL of an S3-compatible server."""
        return self._get("ENDPOINT")  # type: ignore[no-any-return]

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
        return {name: self._get(name) for name in _PLACE} | {"explicit": self.explicit}

    @property
    def addressing_style(self) -> str:
        """`auto`, `path` or `virtual`."""
        return self._get("ADDRESSING_STYLE") or "auto"

    @property
    def requester_pays(self) -> bool:
        """Whether charges of requester-pays buckets are accepted."""
        return bool(self._get("REQUESTER_PAYS"))

    @property
    def read_only(self) -> bool:
        """Whether everything that could write is refused."""
        return bool(self._get("READ_ONLY"))

    @property
    def kms_key(self) -> str | None:
        """KMS key for writes."""
        return self._get("ENCRYPTION_KMS_KEY")  # type: ignore[no-any-return]

    @property
    def customer_key(self) -> Secret | None:
        """Base64 of the customer's key for writes and reads."""
        return self._get("ENCRYPTION_CUSTOMER_MANAGED_KEY")  # type: ignore[no-any-return]

    @property
    def display_filters(self) -> tuple[Location, ...]:
        """What is shown; empty for all buckets."""
        return self._get("PATH_DISPLAY_FILTERS") or ()

    @property
    def comment(self) -> str | None:
        """Free text."""
        return self._get("COMMENT")  # type: ignore[no-any-return]

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
