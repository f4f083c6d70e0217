"""boto3 clients of a connection and the region of each bucket, safe to use in forked children.

A child gets its own locks, which nobody there would release, and its own sockets, which the parent reads from.
"""

from __future__ import annotations

import inspect
import io
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from s3conn_magic.connections.credentials import (
    DEFAULT_REGION,
    HandedCredentials,
    LiveCredentials,
    live_session,
    own_server,
)
from s3conn_magic.connections.faults import PARSERS, PARTITION, REGIONS, VERSIONED, translate, translated
from s3conn_magic.connections.guards import S3, Guards, presign_by_version_4
from s3conn_magic.connections.refusals import OF_PAGES, not_from_s3, region_named
from s3conn_magic.connections.signing import let_capture, remember, replaces_calls, stubbed
from s3conn_magic.errors import RegionError
from s3conn_magic.locations import Location
from s3conn_magic.runtime.background import new_lock, renew_in_child
from s3conn_magic.transport.exchange import NO_NEWER_LISTING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from botocore.credentials import Credentials

    from s3conn_magic.connections.configuration import Configuration
    from s3conn_magic.language.options import Settings
    from s3conn_magic.language.session_settings import Timeouts


_POOL = 32
_PARAMETERS = inspect.signature(Session.create_client)


class ConnectionSession(Session):  # type: ignore[misc] # botocore is not typed
    """A botocore session whose clients, whatever library makes them, use the connection's settings."""

    clients: Clients

    def create_client(self, *args: Any, **keys: Any) -> Any:
        """Return a client with the connection's endpoint, region, retries and guards.

        The caller's arguments take precedence: `region_name`, `endpoint_url`, keys, and each setting of `config`.
        """
        given = _PARAMETERS.bind(self, *args, **keys).arguments
        del given["self"]
        configs = [each for each in (self.get_default_client_config(), given.get("config")) if each is not None]
        client = super().create_client(**self.clients.completed(given, configs))
        self.clients.hold(client, knows_region=bool(given.get("region_name")))
        return client

    def register(self, event_name: str, handler: Any, unique_id: str | None = None, *args: Any, **keys: Any) -> None:
        """Register a handler; handlers of boto3 for classes only once, although its sessions share this one."""
        if unique_id is None and getattr(handler, "__module__", "") == "boto3.utils":
            unique_id = f"boto3-{event_name}"
        super().register(event_name, handler, unique_id, *args, **keys)


class Clients:
    """The clients for one state of a connection."""

    def __init__(
        self,
        settings: Settings,
        configuration: Configuration,
        *,
        name: Callable[[], str],
        current: Callable[[], Settings],
        credentials: Callable[[], Credentials | None],
        timeouts: Callable[[], Timeouts],
    ) -> None:
        self._settings = settings
        self._configuration = configuration
        self._name = name
        self._timeouts = timeouts
        self._guards = Guards(name, current, settings)
        self._handed = HandedCredentials(LiveCredentials(credentials), self._guards.keep_credentials)
        self._lock = new_lock()
        self._made: dict[tuple[Any, ...], Any] = {}
        self._handed_out: WeakSet[Any] = WeakSet()
        self.on_region: Callable[[str, str], Any] | None = None
        renew_in_child(self)

    def renew(self) -> None:
        """Leave the sockets to the parent, in a forked child; clients that were handed out open their own."""
        self._made = {}
        for client in self._handed_out:
            client.close()

    def close(self) -> None:
        """Close the sockets of the shared clients; those handed out belong to their owners."""
        with self._lock:
            made, self._made = self._made, {}
        for client in made.values():
            client.close()

    def session(self) -> boto3.session.Session:
        """Return a boto3 session that signs requests as the connection does; its clients use the connection's settings.

        Raises:
            CredentialsError: the profile is not in the AWS configuration files, or these cannot be read.
        """
        return translated(self._session, connection=self._name())

    def _session(self) -> boto3.session.Session:
        made = live_session(self._settings, self._handed, ConnectionSession, alone=self._configuration.elsewhere.value)
        made.clients = self
        self._guards.attach(made)
        session = boto3.session.Session(botocore_session=made)
        # Each boto3 session adds its folder to the loader, which all sessions share.
        paths = made.get_component("data_loader").search_paths
        paths[:] = dict.fromkeys(paths)
        return session

    def completed(self, given: dict[str, Any], configs: Iterable[Config]) -> dict[str, Any]:
        """Return the arguments for a client: those given, and the connection's settings for the rest.

        Raises:
            EndpointError: the connection was altered, and these clients belong to another place.
        """
        self._guards.same_place()
        service = given["service_name"]
        endpoint = given.get("endpoint_url") or self._own_endpoint(service)
        config = self._config(service, endpoint)
        for each in configs:
            # S3 settings that are not given stay the connection's.
            config = config.merge(each).merge(Config(s3={**(config.s3 or {}), **(each.s3 or {})}))
        bundle = self._configuration.ca_bundle.value if self._configuration.elsewhere.value else None
        trusted = {"verify": bundle} if bundle and given.get("verify") is None else {}
        return given | {"endpoint_url": endpoint, "config": config, **trusted}

    def _own_endpoint(self, service: str) -> str | None:
        """Return the endpoint of a service if the connection has its own server."""
        endpoint: str | None = (
            self._configuration.endpoint.value if service == S3 else self._settings.endpoint_of(service)
        )
        return endpoint

    def hold(self, client: Any, *, knows_region: bool) -> None:
        """Guard a new client."""
        service = client.meta.service_model.service_name
        self._guards.hold(client, has_own=self._own_endpoint(service) is not None)
        client.meta.events.register("after-call", partial(_note_origin, client.meta.partition), PARTITION)
        if service == S3 and (knows_region or not self._configuration.finds_regions):
            presign_by_version_4(client)
        remember(client)
        self._handed_out.add(client)

    def client(self, service: str = "s3", *, region: str | None = None, tries: int | None = None) -> Any:
        """Return the shared client for a service, which follows no redirects; `tries` includes the first one.

        If one that was handed out has a Stubber, that one is returned.
        """
        most = self._configuration.tries.value
        tries = most if tries is None else min(tries, most)
        key = (service, region, tries, self._timeouts()[:2])
        with self._lock:
            usual = self._made.get((service, region, most, key[-1]))
            if usual is not None and replaces_calls(usual):
                return usual  # its Stubber answers whatever is asked
            for client in stubbed():
                if client in self._handed_out and client.meta.service_model.service_name == service:
                    return client
            if key not in self._made:
                self._made[key] = translated(lambda: self._make(service, region, tries), connection=self._name())
                self._handed_out.discard(self._made[key])
                _without_redirects(self._made[key])
                _whole_parts(self._made[key])
                if service == S3 and not self._configuration.finds_regions and not self._settings.region:
                    self._made[key].meta.events.register_first("needs-retry.s3", self._sign_for_another)
            return self._made[key]

    def _sign_for_another(self, request_dict: dict[str, Any], response: Any, **_: Any) -> float | None:
        """Retry a request once, signed for the region that the user's own server names when it refuses."""
        error = response[1].get("Error", {}) if response is not None else {}
        context = request_dict["context"]
        if not error or context.get("s3conn_region"):
            return None
        region = (error.get("Region") if error.get("Code") in REGIONS else "") or region_named(
            error.get("Message") or ""
        )
        if not region:
            return None
        context["s3conn_region"] = region
        context.setdefault("signing", {})["region"] = region
        if self.on_region is not None:
            self.on_region("", region)
        return 0.0

    def new_client(self, service: str = "s3", *, region: str | None = None) -> Any:
        """Return a new client to hand out, so that its owner cannot change any other."""
        with self._lock:
            return translated(
                lambda: self._make(service, region, self._configuration.tries.value), connection=self._name()
            )

    def _make(self, service: str, region: str | None, tries: int) -> Any:
        client = self._session().client(service, region_name=region, config=Config(retries=_retries(tries)))
        if service == S3:
            let_capture(client)
            client._endpoint._response_parser_factory = PARSERS  # noqa: SLF001 - no public way for one service
        return client

    def _config(self, service: str, endpoint: str | None) -> Config:
        timeouts = self._timeouts()
        fixed = self._configuration.config() if service == S3 else own_server(endpoint)
        return fixed.merge(
            Config(
                connect_timeout=timeouts.connect,
                read_timeout=timeouts.read,
                max_pool_connections=_POOL,
                retries=_retries(self._configuration.tries.value),
                user_agent_extra="s3conn-magic",
            )
        )


def first_page(client: Any, **parameters: Any) -> Any:
    """Return one page of a listing, by ListObjects if the server knows only that.

    Raises:
        EndpointError: the answer is not a listing.
    """
    try:
        return said_by_s3(client.list_objects_v2(**parameters), _LISTING_FIELDS)
    except ClientError as error:
        if str(error.response.get("Error", {}).get("Code")) not in NO_NEWER_LISTING:
            raise
    return said_by_s3(client.list_objects(**parameters), _LISTING_FIELDS)


_LISTING_FIELDS = frozenset({"Name", "Prefix", "IsTruncated", "MaxKeys", "KeyCount", "Contents", "CommonPrefixes"})


def said_by_s3(answer: dict[str, Any], fields: Container[str]) -> dict[str, Any]:
    """Return an answer if it is one of S3's; from HTML or nothing botocore makes an empty one.

    Args:
        answer: the answer as botocore parsed it.
        fields: fields of which an answer of S3 has at least one.

    Raises:
        EndpointError: the answer is not one of S3's.
    """
    metadata = answer.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders", {})
    is_said = any(name in fields for name in answer) or headers.get("content-length", "0") != "0"
    if is_said and not OF_PAGES.search(headers.get("content-type", "")):
        return answer
    raise not_from_s3(int(metadata.get("HTTPStatusCode", 0)), str(headers.get("server", "")))


def _retries(tries: int) -> dict[str, Any]:
    return {"mode": "standard", "total_max_attempts": tries}


def _note_origin(partition: str, parsed: dict[str, Any], http_response: Any, **_: Any) -> None:
    """Note in an error the partition of its ARNs, and whether a version was asked for."""
    if "Error" in parsed:
        url = str(getattr(http_response, "url", ""))
        parsed.setdefault("ResponseMetadata", {}).update({PARTITION: partition, VERSIONED: "versionId=" in url})


_HEADER = "x-amz-bucket-region"
_REDIRECTS = {301, 307}
# Those who may not ask about a bucket may still list a prefix of it, and a refused listing tells why.
_ASK_BY_LISTING = {400, 403}


class Regions:
    """Finds and remembers the region of each bucket of a connection.

    `everywhere` is the region that the user's own server asked to sign for; None until it does.
    """

    def __init__(self, configuration: Configuration, clients: Clients) -> None:
        self._asks = configuration.finds_regions
        self._stated = configuration.region.source == "statement"
        self._clients = clients
        self.everywhere: str | None = None
        clients.on_region = self.learn
        self._by_bucket: dict[str, str] = {}
        self._lock = new_lock()

    def of(self, bucket: str) -> str | None:
        """Return the region to sign for; None if the client's own will do (REGION, an endpoint or a Stubber is set).

        Raises:
            BucketNotFoundError: there is no such bucket.
            RegionError: the server does not tell the region.
        """
        if not self._asks:
            return self.everywhere
        if bucket.startswith("arn:"):
            return bucket.split(":")[3] or None
        with self._lock:
            known = self._by_bucket.get(bucket)
        if known or self._clients.client("s3") in stubbed():
            return known
        return self.learn(bucket, self._ask(bucket))

    def known(self, bucket: str) -> str | None:
        """Return the region of a bucket if an answer has told it."""
        with self._lock:
            return self._by_bucket.get(bucket)

    def knows(self, bucket: str) -> bool:
        """Whether the region is known without a request."""
        with self._lock:
            return not self._asks or bucket in self._by_bucket

    def learn(self, bucket: str, region: str) -> str:
        """Remember a region from an answer; a REGION in the statement is kept."""
        with self._lock:
            self._by_bucket[bucket] = region
            if not self._asks and not self._stated:
                self.everywhere = region
        return region

    def _ask(self, bucket: str) -> str:
        """Ask in the client's region first: a bucket of another partition is known only there."""
        for region in (None, DEFAULT_REGION):
            client = self._clients.client("s3", region=region)
            answer, failure = translated(partial(_head_bucket, client, bucket), resource=Location(bucket).arn)
            if named := answer.get("HTTPHeaders", {}).get(_HEADER):
                return str(named)
            if failure is None or answer.get("HTTPStatusCode") in _ASK_BY_LISTING:
                return str(client.meta.region_name)
            if answer.get("HTTPStatusCode") not in _REDIRECTS:
                raise translate(failure, resource=Location(bucket).arn)
        raise RegionError(
            f"the region of {bucket} cannot be found: the server says that it is another one, but not which",
            hint="Set REGION, for example REGION = 'eu-west-1'.",
        )


def _head_bucket(client: Any, bucket: str) -> tuple[Mapping[str, Any], ClientError | None]:
    """Return botocore's metadata of the answer, and the refusal if any: either may name the region."""
    try:
        return client.head_bucket(Bucket=bucket).get("ResponseMetadata", {}), None
    except ClientError as error:
        return error.response.get("ResponseMetadata", {}), error


def _without_redirects(client: Any) -> None:
    """Keep botocore from following redirects itself, as it recurses on a 301 without a region."""

    def mark(context: dict[str, Any], **_: Any) -> None:
        context.setdefault("s3_redirect", {})["redirected"] = True

    client.meta.events.register("before-call.s3", mark, unique_id="s3conn-no-redirect")


def _whole_parts(client: Any) -> None:
    """Hash and send parts of uploads as bytes: botocore wraps them in files and reads these in pieces."""

    def whole(request: Any, **_: Any) -> None:
        if isinstance(request.data, io.BytesIO):
            request.data = request.data.getvalue()

    client.meta.events.register("before-sign.s3.UploadPart", whole)
