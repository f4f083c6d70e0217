"""A connection: its settings, and its clients, which are made at first use."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import ConnectionNotFoundError, S3ConnError
from s3conn_magic.language.options import Settings
from s3conn_magic.language.session_settings import Timeouts
from s3conn_magic.runtime.background import ASKING, new_lock, renew_in_child
from s3conn_magic.runtime.interrupts import interruptible
from s3conn_magic.secrets import Secret, keep_out, let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from boto3.session import Session
    from botocore.credentials import Credentials

    from s3conn_magic.connections.bucket_target import BucketTarget
    from s3conn_magic.connections.clients import Clients, Regions
    from s3conn_magic.connections.configuration import Configuration
    from s3conn_magic.language.options import BoundOptions
    from s3conn_magic.locations import Location
    from s3conn_magic.transport.exchange import Exchange
    from s3conn_magic.transport.wire import Wires


class _State:
    """Everything that an ALTER replaces, in one object that is swapped as a whole."""

    def __init__(
        self, connection: Connection, settings: Settings, credentials: Iterable[Credentials | None] = ()
    ) -> None:
        self.settings = settings
        self._connection = connection
        self._lock = new_lock()
        self._credentials = [*credentials]
        self._configuration: Configuration | None = None
        self._clients: Clients | None = None
        self._regions: Regions | None = None
        self._wires: Wires | None = None
        self._exchanges: dict[str, Exchange] = {}
        self._keepers: set[Callable[[object], None]] = set()
        self._mark = object()
        renew_in_child(self)
        keep_out(self)

    def held(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return access key ids and secrets for logs to mask, without taking the lock."""
        secrets = {
            option.value.reveal() for option in self.settings.options.values() if isinstance(option.value, Secret)
        }
        ids = {self.settings.access_key_id or ""}
        for credentials in self._credentials:
            holder: Any = credentials
            while holder is not None:
                # Their properties would renew expired credentials.
                attributes = vars(holder)
                secrets |= {attributes.get(name) or "" for name in ("secret_key", "_secret_key", "token", "_token")}
                ids |= {attributes.get(name) or "" for name in ("access_key", "_access_key")}
                holder = attributes.get("source")
        return tuple(sorted(ids - {""})), tuple(sorted(secrets - {""}))

    def renew(self) -> None:
        """Free the locks in a forked child, where a thread of the parent may have been refreshing credentials."""
        from s3conn_magic.connections.credentials import renew_locks

        for credentials in self._credentials:
            renew_locks(credentials)

    def credentials(self) -> Credentials | None:
        from s3conn_magic.connections.credentials import find_credentials

        with self._lock:
            if not self._credentials:
                self._credentials.append(find_credentials(self.settings, self._connection.timeouts))
            return self._credentials[0]

    def configuration(self) -> Configuration:
        from s3conn_magic.connections.configuration import Configuration

        with self._lock:
            known = self._configuration or self._connection.resolved
            self._configuration = known or Configuration.of(self.settings)
            return self._configuration

    def clients(self) -> Clients:
        from s3conn_magic.connections.clients import Clients

        configuration = self.configuration()
        with self._lock:
            if self._clients is None:
                connection = self._connection
                self._clients = Clients(
                    self.settings,
                    configuration,
                    name=lambda: connection.name,
                    current=connection.live_settings,
                    credentials=connection.credentials,
                    timeouts=connection.timeouts,
                )
            return self._clients

    def regions(self) -> Regions:
        from s3conn_magic.connections.clients import Regions

        configuration, clients = self.configuration(), self.clients()
        with self._lock:
            self._regions = self._regions or Regions(configuration, clients)
            return self._regions

    def wires(self) -> Wires:
        from s3conn_magic.transport.wire import Wires

        with self._lock:
            self._wires = self._wires or Wires()
            return self._wires

    def exchange(self, bucket: str) -> Exchange:
        from s3conn_magic.transport.exchange import Exchange

        with self._lock:
            if bucket in self._exchanges:
                return self._exchanges[bucket]
        # Obtaining credentials, which may ask the user, takes the lock itself.
        wires, target = self.wires(), self._connection.target(bucket)
        with self._lock:
            if bucket not in self._exchanges:
                self._exchanges[bucket] = Exchange(target, wires, lambda: self._connection.timeouts().connections)
            return self._exchanges[bucket]

    def kept_by(self, forget: Callable[[object], None]) -> object:
        self._keepers.add(forget)
        return self._mark

    def obtained(self) -> tuple[Credentials | None, ...]:
        """Return the credentials, if they have been obtained."""
        with self._lock:
            return tuple(self._credentials)

    def close(self) -> None:
        """Close this package's sockets, and have everyone who keeps answers forget them."""
        let_go(self)
        for forget in self._keepers:
            forget(self._mark)
        if self._clients is not None:
            self._clients.close()
        if self._wires is not None:
            self._wires.close()


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of a probe.

    Attributes:
        identity: ARN from STS, or None if it gave none.
        buckets: number of buckets on the first page, or None if display filters were read instead.
        more: whether there are more buckets than that.
        filters: the display filters that were read.
        regions: regions that the answers named.
        reached: whether any request was answered; False for anonymous access without anything to look at.
    """

    identity: str | None = None
    buckets: int | None = None
    more: bool = False
    filters: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    reached: bool = True


@dataclass
class Connection:
    """A connection of the session, and its handle in Python.

    Attributes:
        name: as written when it was created.
        created_at: time of creation, UTC.
        findings: results of the last probe, or None after VALIDATE = FALSE.
        timeouts: returns the current timeouts, for new clients.
        resolved: the effective configuration if another process resolved it, or None.
    """

    name: str
    options: BoundOptions = field(repr=False)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    findings: Findings | None = None
    timeouts: Callable[[], Timeouts] = field(default=Timeouts, repr=False, compare=False)
    resolved: Configuration | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._state = _State(self, Settings(self.options))
        self._dropped = False

    @property
    def settings(self) -> Settings:
        """The current settings."""
        return self._state.settings

    def live_settings(self) -> Settings:
        """Return the current settings, for a request about to be sent.

        Raises:
            ConnectionNotFoundError: the connection was dropped.
        """
        self._alive()
        return self.settings

    def refuse_if_read_only(self, action: str) -> None:
        """Refuse a write before anything is sent.

        Raises:
            ReadOnlyConnectionError: the connection is READ_ONLY.
            ConnectionNotFoundError: it was dropped.
        """
        if self.live_settings().read_only:
            from s3conn_magic.connections.guards import refusal

            raise refusal(self.name, action)

    @property
    def identity(self) -> str | None:
        """ARN from STS at the last probe."""
        return self.findings.identity if self.findings else None

    def become(self, other: Connection) -> None:
        """Take over another's options and findings; clients already handed out follow at their next request."""
        before = self._state
        self.options, self.findings = other.options, other.findings
        # Keep the credentials that the probe obtained, which may have taken an AssumeRole or a code from the user.
        self._state = _State(self, Settings(other.options), other._state.obtained())
        before.close()

    def drop(self) -> None:
        """Refuse all further requests, and close the sockets."""
        self._dropped = True
        self._state.close()

    def credentials(self) -> Credentials | None:
        """Return the current credentials; None if anonymous.

        Raises:
            CredentialsError: there are none where the settings look for them.
            ConnectionNotFoundError: the connection was dropped.
        """
        self._alive()
        try:
            return self._state.credentials()
        except S3ConnError as error:
            error.of(f"the connection {self.name}")
            raise

    def frozen_credentials(self) -> Any:
        """Return a consistent triple of access key id, secret and token, refreshed if necessary."""
        from s3conn_magic.connections.credentials import frozen

        credentials = self.credentials()
        return frozen(credentials) if credentials else None

    def check_credentials(self) -> None:
        """Obtain the credentials now.

        Raises:
            CredentialsError: there are none, or they could not be obtained.
            AccessDeniedError: the role may not be assumed.
        """
        from s3conn_magic.connections.faults import translated

        translated(self.frozen_credentials, resource=self.settings.role or "", connection=self.name)

    def _alive(self) -> None:
        if self._dropped:
            raise ConnectionNotFoundError(
                f"the connection {self.name} was dropped", hint="Create it again, or use another."
            )

    @property
    def state_token(self) -> object:
        """An object that is replaced at each ALTER."""
        return self._state

    @property
    def configuration(self) -> Configuration:
        """Where and how requests go; resolved once.

        Raises:
            CredentialsError: the profile is not in the AWS configuration files, or these cannot be read.
            EndpointError: an endpoint or another setting in these or in the environment is invalid.
        """
        try:
            return self._state.configuration()
        except S3ConnError as error:
            error.of(f"the connection {self.name}")
            raise

    @property
    def shown_configuration(self) -> Configuration:
        """The configuration to show: if it cannot be resolved, only what the statement says."""
        from s3conn_magic.connections.configuration import Configuration

        try:
            return self.configuration
        except S3ConnError:
            return Configuration.stated(self.settings)

    @property
    def regions(self) -> Regions:
        """Finds the region of each bucket."""
        return self._state.regions()

    def arn(self, location: Location) -> str:
        """Return the ARN of a location, with its partition of AWS if that is known."""
        return location.arn_in(self._state.regions().known(location.bucket) or self.configuration.region.value)

    @interruptible
    def client(self, service: str = "s3", *, region: str | None = None) -> Any:
        """Return a boto3 client that signs each request with the connection's current credentials.

        With ENDPOINT, other services are asked there, too. For a READ_ONLY connection it refuses all but reads.

        Args:
            service: `s3` or another AWS service.
            region: region to sign for; the connection's by default.

        Raises:
            ConnectionNotFoundError: the connection was dropped.
        """
        self._alive()
        return self._state.clients().new_client(service, region=region)

    def internal_client(self, bucket: str | None = None, *, service: str = "s3", tries: int | None = None) -> Any:
        """Return the shared client for a bucket's region, which follows no redirects; only for this package."""
        self._alive()
        regions = self.regions
        region = regions.of(bucket) if bucket else regions.everywhere if service == "s3" else None
        return self._state.clients().client(service, region=region, tries=tries)

    @interruptible
    def session(self) -> Session:
        """Return a boto3 session whose clients and resources work as those from `client()`.

        For a READ_ONLY connection it gives out no credentials.

        Raises:
            ConnectionNotFoundError: the connection was dropped.
        """
        self._alive()
        return self._state.clients().session()

    def target(self, bucket: str) -> BucketTarget:
        """Return a bucket for the listing engine."""
        from s3conn_magic.connections.bucket_target import BucketTarget

        self._ask_now()
        return BucketTarget(self, bucket)

    def _ask_now(self) -> None:
        """Obtain credentials that need an answer from the user now, as background threads cannot ask."""
        asking = ASKING.get()
        settings = self.settings
        if asking is None or asking[0] != threading.get_ident() or settings.access_key_id or settings.anonymous:
            return
        credentials: Any = self.credentials()
        if getattr(getattr(credentials, "source", credentials), "asks", False) and credentials.refresh_needed():
            self.check_credentials()

    @property
    def wires(self) -> Wires:
        """Sockets that stay open between statements, until the next ALTER."""
        return self._state.wires()

    def kept_by(self, forget: Callable[[object], None]) -> object:
        """Return a token for the current state, for those who keep answers to its requests.

        Args:
            forget: called with the token at an ALTER, and when the connection is dropped.
        """
        return self._state.kept_by(forget)

    def exchange(self, bucket: str) -> Exchange:
        """Return the exchange that sends requests for a bucket's objects; sockets stay open between statements.

        Raises:
            ConnectionNotFoundError: the connection was dropped.
        """
        self._alive()
        return self._state.exchange(bucket)

    def __repr__(self) -> str:
        kind = self.settings.credentials_kind
        return f"<S3 connection {self.name}: {kind}{', read-only' if self.settings.read_only else ''}>"
