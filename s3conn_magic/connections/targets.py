"""A bucket as the listing engine sees it: botocore's endpoint and signature, without a client's work per request."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore import UNSIGNED
from botocore.httpsession import ProxyConfiguration
from botocore.utils import get_environ_proxies

from s3conn_magic.connections.capture import Template, capture
from s3conn_magic.connections.faults import from_code, translated, unreachable
from s3conn_magic.connections.forks import Lock
from s3conn_magic.connections.regions import without_redirects
from s3conn_magic.connections.signing import Signer
from s3conn_magic.locations import Location
from s3conn_magic.wire import Query, Response, SignedRequest, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.connections.connection import Connection

_PLAIN_SIGNATURES = {"s3v4", "v4", UNSIGNED}
_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,60})\s*</Code>")
_REGION = re.compile(rb"<Region>\s*([a-z0-9-]{1,40})\s*</Region>")
_DIRECTORY_BUCKET = "--x-s3"
_OPERATIONS = {"versions": "ListObjectVersions"}


class BucketTarget:
    """One bucket of a connection, for the listing engine; it follows an ALTER at its next request."""

    def __init__(self, connection: Connection, bucket: str) -> None:
        self._connection = connection
        self._bucket = bucket
        self._lock = Lock()
        self._template: Template | None = None
        self._made_for: object = None
        self._signer: Signer | None = None
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
            ConnectionNotFoundError: the connection was dropped.
        """
        self._connection.live_settings()
        template = self._current()
        if template.signature not in _PLAIN_SIGNATURES:
            template = self._capture()
        encoded = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query)
        if template.signature is UNSIGNED:
            return SignedRequest(f"{template.url}?{encoded}", template.headers)
        return self._signer_for(template).sign(encoded)

    def _signer_for(self, template: Template) -> Signer:
        credentials = translated(self._connection.frozen_credentials, resource=self._connection.settings.role or "")
        signer = self._signer
        if signer is None or not signer.made_for(template, credentials):
            signer = self._signer = Signer(template, credentials)
        return signer

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

    def _current(self) -> Template:
        """The template, made anew after an ALTER or a redirect."""
        with self._lock:
            state = self._connection.state_token
            if self._template is None or self._made_for is not state:
                self._template, self._made_for = self._capture(), state
            return self._template

    def _client(self) -> Any:
        return self._connection.internal_client(self._bucket)

    def _capture(self) -> Template:
        """Let botocore make one listing request and keep it instead of sending it."""
        return capture(self._client(), self._bucket)


def _first(pattern: re.Pattern[bytes], body: bytes) -> str | None:
    found = pattern.search(body[:4096])
    return found[1].decode() if found else None


def _proxy(url: str, configured: Mapping[str, str] | None) -> str | None:
    proxies = get_environ_proxies(url) if configured is None else configured
    found: str | None = ProxyConfiguration(proxies).proxy_url_for(url)
    return found


def _verify(client: Any) -> bool | str:
    found = client._endpoint.http_session._verify if hasattr(client, "_endpoint") else None  # noqa: SLF001
    if isinstance(found, bool | str):
        return found
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("AWS_CA_BUNDLE") or True


__all__ = ["BucketTarget", "without_redirects"]
