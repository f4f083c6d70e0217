"""A bucket as the listing engine sees it: botocore's endpoint and signature, without a client's work per request."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse

from s3conn_magic.connections.faults import from_code, translated, unreachable
from s3conn_magic.connections.regions import without_redirects
from s3conn_magic.locations import Location
from s3conn_magic.wire import Query, Response, SignedRequest, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.connections.connection import Connection

_PLAIN_SIGNATURES = {"s3v4", "v4", UNSIGNED}
_NOT_KEPT = {"authorization", "x-amz-date", "x-amz-security-token", "amz-sdk-invocation-id", "amz-sdk-request", "date"}
_EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,60})\s*</Code>")
_REGION = re.compile(rb"<Region>\s*([a-z0-9-]{1,40})\s*</Region>")
_DIRECTORY_BUCKET = "--x-s3"
_OPERATIONS = {"versions": "ListObjectVersions"}


@dataclass(frozen=True, slots=True)
class _Template:
    """A request as botocore made it: all but the query, and what its signature needs."""

    url: str
    headers: Mapping[str, str]
    region: str
    signing_name: str
    signature: Any


class BucketTarget:
    """One bucket of a connection, for the listing engine; it follows an ALTER at its next request."""

    def __init__(self, connection: Connection, bucket: str) -> None:
        self._connection = connection
        self._bucket = bucket
        self._lock = threading.Lock()
        self._template: _Template | None = None
        self._made_for: object = None
        self._redirects = 0

    @property
    def bucket(self) -> str:
        """Name of the bucket, or an access point's ARN."""
        return self._bucket

    @property
    def ordered(self) -> bool:
        """False for directory buckets, whose keys come in no order."""
        return not self._bucket.endswith(_DIRECTORY_BUCKET)

    @property
    def transport(self) -> Transport:
        """Proxy, certificates and timeouts, as botocore resolves them."""
        url, client = self._current().url, self._client()
        config = client.meta.config
        return Transport(
            proxy=_proxy(url, config.proxies),
            verify=_verify(client),
            connect_timeout=float(config.connect_timeout),
            read_timeout=float(config.read_timeout),
            client_cert=config.client_cert,
        )

    def sign(self, query: Query) -> SignedRequest:
        """Sign a GET of the bucket afresh.

        Raises:
            S3ConnError: the credentials cannot be had, or the bucket's region cannot be found.
        """
        template = self._current()
        if template.signature not in _PLAIN_SIGNATURES:
            template = self._capture()
        encoded = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query)
        request = AWSRequest("GET", f"{template.url}?{encoded}", headers=dict(template.headers))
        if template.signature is not UNSIGNED:
            self._authorize(request, template)
        return SignedRequest(request.url, dict(request.headers.items()))

    def _authorize(self, request: AWSRequest, template: _Template) -> None:
        request.context["payload_signing_enabled"] = False
        credentials = translated(self._connection.frozen_credentials, resource=self._connection.settings.role or "")
        S3SigV4Auth(credentials, template.signing_name, template.region).add_auth(request)

    def send(self, query: Query) -> Response | None:
        """None: every bucket of a connection is reached by a socket."""
        del query
        return None

    def fault(self, response: Response, query: Query) -> Exception | None:
        """The error that an answer stands for; None after a redirect that told the region, to sign anew."""
        found = _CODE.search(response.body[:4096])
        code = found[1].decode() if found else str(response.status)
        region = response.headers.get("x-amz-bucket-region") or _first(_REGION, response.body)
        if region and response.status in {301, 307, 400} and self._redirects == 0:
            self._redirects += 1
            self._connection.regions.learn(self._bucket, region)
            self._template = None
            return None
        operation = next((_OPERATIONS[name] for name, _ in query if name in _OPERATIONS), "ListObjectsV2")
        return from_code(code, operation=operation, resource=Location(self._bucket).arn, status=response.status)

    def unreachable(self, error: Exception) -> Exception:
        """The error for no answer at all."""
        return unreachable(error)

    def _current(self) -> _Template:
        """The template, made anew after an ALTER or a redirect."""
        with self._lock:
            state = self._connection.state_token
            if self._template is None or self._made_for is not state:
                self._template, self._made_for = self._capture(), state
            return self._template

    def _client(self) -> Any:
        return self._connection.internal_client(self._bucket)

    def _capture(self) -> _Template:
        """Let botocore make one listing request and keep it instead of sending it."""
        return capture(self._client(), self._bucket)


class _Nothing:
    """A body for the answer to a request that was not sent."""

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>']


def capture(client: Any, bucket: str) -> _Template:
    """The listing request that a client would send for a bucket.

    Raises:
        S3ConnError: it cannot be made, for want of credentials or because the name fits no endpoint.
    """
    kept = threading.local()

    def before_sign(signing_name: str, region_name: str, signature_version: Any, **_: Any) -> None:
        kept.signing = (region_name, signing_name, signature_version)

    def before_send(request: Any, **_: Any) -> AWSResponse | None:
        if not getattr(kept, "wanted", False):
            return None
        kept.request = request
        return AWSResponse(request.url, 200, {}, _Nothing())

    events = client.meta.events
    with _capturing:
        events.register("before-sign.s3.ListObjectsV2", before_sign)
        events.register_first("before-send.s3.ListObjectsV2", before_send)
        kept.wanted = True
        try:
            translated(lambda: client.list_objects_v2(Bucket=bucket), resource=Location(bucket).arn)
        finally:
            events.unregister("before-sign.s3.ListObjectsV2", before_sign)
            events.unregister("before-send.s3.ListObjectsV2", before_send)
    url = kept.request.url.partition("?")[0]
    headers = {name: _plain(value) for name, value in kept.request.headers.items() if name.lower() not in _NOT_KEPT}
    headers["X-Amz-Content-SHA256"] = _EMPTY_SHA256
    return _Template(url, headers, *kept.signing)


# Handlers are added to a client that other threads use too; one capture at a time keeps them apart.
_capturing = threading.Lock()


def _plain(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else value


def _first(pattern: re.Pattern[bytes], body: bytes) -> str | None:
    found = pattern.search(body[:4096])
    return found[1].decode() if found else None


def _proxy(url: str, configured: Mapping[str, str] | None) -> str | None:
    parts = urlsplit(url)
    proxies = configured if configured is not None else getproxies()
    if configured is None and parts.hostname and proxy_bypass(parts.hostname):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def _verify(client: Any) -> bool | str:
    found = client._endpoint.http_session._verify if hasattr(client, "_endpoint") else None  # noqa: SLF001
    if isinstance(found, bool | str):
        return found
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("AWS_CA_BUNDLE") or True


__all__ = ["BucketTarget", "without_redirects"]
