"""What a session is handed from outside: a server for the sandbox, and what shows how far a listing is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
