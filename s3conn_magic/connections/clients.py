"""The one factory of clients: boto3, made once per service and region, under a lock, and again after a fork."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import boto3
from botocore.config import Config

from s3conn_magic.connections.capture import let_capture
from s3conn_magic.connections.credentials import DEFAULT_REGION, LiveCredentials, live_session
from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.forks import new_lock, renew_in_child
from s3conn_magic.connections.guards import guard, presign_by_version_4

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.credentials import Credentials

    from s3conn_magic.connections.settings import Settings, Timeouts

_POOL = 32


class Clients:
    """Clients for one state of a connection."""

    def __init__(
        self,
        settings: Settings,
        *,
        name: Callable[[], str],
        current: Callable[[], Settings],
        credentials: Callable[[], Credentials | None],
        timeouts: Callable[[], Timeouts],
    ) -> None:
        self._settings = settings
        self._name = name
        self._current = current
        self._timeouts = timeouts
        self._live = LiveCredentials(credentials)
        self._lock = new_lock()
        self._made: dict[tuple[Any, ...], Any] = {}
        self._handed_out: WeakSet[Any] = WeakSet()
        renew_in_child(self)

    def renew(self) -> None:
        """Leave the parent's sockets to the parent; a client that was handed out opens its own."""
        self._made = {}
        for client in self._handed_out:
            client.close()

    def close(self) -> None:
        """Close the sockets of the shared clients; those that were handed out are their owners'."""
        with self._lock:
            made, self._made = self._made, {}
        for client in made.values():
            client.close()

    def session(self) -> boto3.session.Session:
        """A boto3 session that signs as the connection does at every request.

        Raises:
            CredentialsError: the profile is not in the AWS configuration files, or these cannot be read.
        """
        return translated(self._session)

    def _session(self) -> boto3.session.Session:
        live = live_session(self._settings, self._live)
        # The guard comes first: of the handlers that choose a signer, the first with an answer counts.
        guard(live, self._name, self._current)
        session = boto3.session.Session(botocore_session=live)
        # Each boto3 session adds its folder to the loader that all of them share.
        paths = live.get_component("data_loader").search_paths
        paths[:] = dict.fromkeys(paths)
        return session

    def client(self, service: str = "s3", *, region: str | None = None, tries: int = 5) -> Any:
        """The client for a service; `tries` counts the first one too."""
        key = (service, region, tries, self._timeouts())
        with self._lock:
            if key not in self._made:
                self._made[key] = translated(lambda: self._make(service, region, tries))
            return self._made[key]

    def new_client(self, service: str = "s3", *, region: str | None = None) -> Any:
        """A client of its own, to hand out: what its owner does to it changes no other."""
        with self._lock:
            client = translated(lambda: self._make(service, region, 5))
            self._handed_out.add(client)
            return client

    def _make(self, service: str, region: str | None, tries: int) -> Any:
        session = self._session()
        client = session.client(
            service,
            region_name=region or self._settings.region or session.region_name or DEFAULT_REGION,
            endpoint_url=self._settings.endpoint if service in {"s3", "sts"} else None,
            config=self._config(tries),
        )
        if service == "s3":
            if region or self._settings.region or self._settings.endpoint:
                presign_by_version_4(client)
            let_capture(client)
        return client

    def _config(self, tries: int) -> Config:
        timeouts = self._timeouts()
        # Servers other than S3 reject the checksums that botocore would add to every request.
        checksums = "when_required" if self._settings.endpoint else "when_supported"
        return Config(
            connect_timeout=timeouts.connect,
            read_timeout=timeouts.read,
            max_pool_connections=_POOL,
            retries={"mode": "standard", "total_max_attempts": tries},
            s3={"addressing_style": self._settings.addressing_style},
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
            user_agent_extra="s3conn-magic",
        )
