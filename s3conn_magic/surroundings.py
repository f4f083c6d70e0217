"""What a session is handed from outside: a server for the sandbox, and what shows how far a listing is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from s3conn_magic.language.catalog import SANDBOX_SOURCE
from s3conn_magic.language.plans import BoundOptions, BoundValue

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from s3conn_magic.listing import Progress
    from s3conn_magic.secrets import Secret


class Keys(Protocol):
    """A key pair."""

    @property
    def access_key_id(self) -> str:
        """Its id."""

    @property
    def secret_access_key(self) -> Secret:
        """Its secret."""


class Server(Protocol):
    """The embedded S3, as the session sees it."""

    @property
    def endpoint(self) -> str:
        """Its URL."""

    @property
    def region(self) -> str:
        """The region it says it is in."""

    @property
    def admin(self) -> Keys:
        """Keys that may do everything."""

    def stop(self) -> None:
        """End it."""


class ProgressView(Protocol):
    """Shows snapshots of a listing while it runs."""

    def __enter__(self) -> Callable[[Progress], None]:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """End, in whatever way."""


def sandbox_options(server: Server) -> BoundOptions:
    """The options of the connection to the embedded S3."""
    values = {
        "AWS_ACCESS_KEY_ID": server.admin.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.admin.secret_access_key,
        "ENDPOINT": server.endpoint,
        "REGION": server.region,
        "COMMENT": "the embedded S3 with sample data",
    }
    return {name: BoundValue(value, SANDBOX_SOURCE) for name, value in values.items()}
