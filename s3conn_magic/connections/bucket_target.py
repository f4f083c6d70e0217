"""A bucket as the listing engine sees it: endpoint and signature from botocore, without a client's work per request."""

from __future__ import annotations

import os
import re
import ssl
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from botocore import UNSIGNED
from botocore.auth import AUTH_TYPE_MAPS, S3ExpressAuth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies

from s3conn_magic.connections.configuration import proxy_host
from s3conn_magic.connections.faults import from_code, translated, unreachable
from s3conn_magic.connections.refusals import OF_NO_S3, is_foreign, message_of, not_from_s3, region_named
from s3conn_magic.connections.signing import (
    Signer,
    Template,
    capture,
    has_others,
    object_answer,
    operation_of,
    replaces_calls,
    sends_otherwise,
    stand_in_answer,
    stands_in,
    stubbed,
)
from s3conn_magic.errors import EndpointError
from s3conn_magic.locations import Location
from s3conn_magic.runtime.background import new_lock
from s3conn_magic.transport import Query, Response, SignedRequest, Transport
from s3conn_magic.transport.exchange import ObjectRequest, error_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from s3conn_magic.connections.clients import Regions
    from s3conn_magic.connections.configuration import Configuration
    from s3conn_magic.language.options import Settings
    from s3conn_magic.language.session_settings import Timeouts
    from s3conn_magic.transport.wire import Wires

LISTING = "ListObjectsV2"
_QUERY_OF_OPERATION = {"GetObjectTagging": "tagging"}
"""The beginning of an operation's query."""
# Signatures that are made here, by botocore's names.
_OURS = (UNSIGNED, "v4", "s3v4", "v4-s3express", "v4a-s3express", "v4-unsigned-body")
_VERSION_4 = ("v4", "s3v4", "v4-unsigned-body")
_REGION = re.compile(rb"<Region>\s*([a-z0-9-]{1,40})\s*</Region>")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_WAYS = (*_PROXIES, *map(str.upper, _PROXIES), "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_DIRECTORY_BUCKET = "--x-s3"
_PROXY_WANTS_CREDENTIALS = 407
# Why OpenSSL rejects a certificate, other than for an unknown issuer.
_CERTIFICATES = {10: "has expired", 62: "is for another host", 64: "is for another host"}


class _Connection(Protocol):
    """What a bucket needs from its connection."""

    name: str

    @property
    def settings(self) -> Settings: ...
    @property
    def state_token(self) -> object: ...
    @property
    def timeouts(self) -> Callable[[], Timeouts]: ...
    @property
    def regions(self) -> Regions: ...
    @property
    def configuration(self) -> Configuration: ...
    @property
    def wires(self) -> Wires: ...
    def live_settings(self) -> Settings: ...
    def credentials(self) -> Any: ...
    def frozen_credentials(self) -> Any: ...
    def internal_client(self, bucket: str | None = None) -> Any: ...


class BucketTarget:
    """A bucket of a connection, for the listing engine; after an ALTER its next request follows the new settings."""

    def __init__(self, connection: _Connection, bucket: str) -> None:
        self._connection = connection
        self._bucket = bucket
        self._lock = new_lock()
        self._templates: dict[str, tuple[object, Template]] = {}
        self._sender: tuple[object, Any] | None = None
        self._signers: dict[str, Signer] = {}
        self._redirects = 0
        self._way: tuple[tuple[Any, ...], Transport] | None = None

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
        state = (self._connection.state_token, self._connection.timeouts()[:2], *map(os.environ.get, _WAYS))
        if self._way is None or self._way[0] != state:
            client = self._client()
            if replaces_calls(client):
                return Transport()
            self._way = (state, self._transport(client))
        return self._way[1]

    def _transport(self, client: Any) -> Transport:
        url, config = self._template(LISTING).url, client.meta.config
        return Transport(
            proxy=_proxy(url, config.proxies),
            verify=_verify(client),
            connect_timeout=float(config.connect_timeout),
            read_timeout=float(config.read_timeout),
            client_cert=config.client_cert,
        )

    @property
    def ways(self) -> Wires:
        """The connection's sockets."""
        return self._connection.wires

    @property
    def waits(self) -> bool:
        """Whether a request may have to wait: for credentials, a stand-in, or a template that takes long to make."""
        made_for, _ = self._templates.get(LISTING, (None, None))
        if made_for is not self._connection.state_token or stands_in(self._sending_client(), LISTING):
            return True
        due: Callable[[], bool] = getattr(self._connection.credentials(), "refresh_needed", lambda: False)
        return due()

    def sign(self, query: Query) -> SignedRequest:
        """Sign a GET of the bucket with the current credentials.

        Raises:
            S3ConnError: the credentials cannot be obtained, or the bucket's region cannot be found.
            ConnectionNotFoundError: the connection was dropped.
        """
        return self._signing(LISTING)("&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in query))

    def sign_objects(self, requests: Sequence[ObjectRequest]) -> list[SignedRequest]:
        """Sign requests for objects, all of one operation, with the current credentials; raises as `sign`."""
        sign, own = self._signing(requests[0].operation), _QUERY_OF_OPERATION.get(requests[0].operation, "")
        return [
            sign(
                f"{own}{'&' if own else ''}versionId={quote(each.version_id, safe='-_.~')}" if each.version_id else own,
                quote(each.key, safe="/-_.~"),
                each.headers,
            )
            for each in requests
        ]

    def _signing(self, operation: str) -> Callable[..., SignedRequest]:
        """Return the function that signs requests of an operation now; arguments as for `Signer.sign`."""
        self._connection.live_settings()
        template = self._template(operation)
        if template.signature is not UNSIGNED and template.identity is None:
            if template.signature in _VERSION_4:
                return self._signer_for(operation, template).sign
            return partial(_sign_with_botocore, template, self._frozen())
        if template.identity is None:
            return partial(_unsigned, template)
        return partial(_sign_with_session, template, translated(template.identity, resource=Location(self._bucket).arn))

    def goes_by_client(self, operation: str) -> bool:
        """Whether the client must send an operation: it is replaced, in whole or in part, or signs in another way."""
        return sends_otherwise(self._sending_client(), operation) or self._template(operation).signature not in _OURS

    def _frozen(self) -> Any:
        return translated(
            self._connection.frozen_credentials,
            resource=self._connection.settings.role or "",
            connection=self._connection.name,
        )

    def stand_in(self, request: ObjectRequest) -> Response | None:
        """Return the answer of a stand-in for the server, such as a mock; None if there is none."""
        return object_answer(self._sending_client(), request.operation, lambda: self.sign_objects([request])[0])

    def has_stand_in(self, operation: str) -> bool:
        """Whether there may be a stand-in for the server."""
        return has_others(self._sending_client(), f"before-send.s3.{operation}")

    @property
    def is_stood_in(self) -> bool:
        """Whether something in this process answers for the server: other processes would ask the server itself."""
        if sends_otherwise(self._sending_client(), LISTING):
            return True
        return self.has_stand_in(LISTING) and self.send((("list-type", "2"), ("max-keys", "1"))) is not None

    def _signer_for(self, operation: str, template: Template) -> Signer:
        credentials = self._frozen()
        signer = self._signers.get(operation)
        if signer is None or not signer.made_for(template, credentials):
            signer = self._signers[operation] = Signer(template, credentials)
        return signer

    def send(self, query: Query) -> Response | None:
        """Return the answer of a stand-in for the server, such as a mock; None if there is none."""
        self._connection.live_settings()
        return stand_in_answer(self._sending_client(), self._bucket, query, lambda: self.sign(query))

    def fault(self, response: Response, query: Query) -> Exception | None:
        """Return the error for a response; None after a redirect that named the region, so that it is signed anew."""
        if response.status == _PROXY_WANTS_CREDENTIALS and (proxy := self._proxy_host()):
            return _refused_by(proxy, response.status).of(Location(self._bucket).uri)
        if self.moved(response):
            return None
        code, date = error_code(response.body) or str(response.status), response.headers.get("date", "")
        kind = response.headers.get("content-type", "")
        if code.isdigit() and (is_foreign(response.body, kind) or response.status in OF_NO_S3):
            return not_from_s3(response.status, response.headers.get("server", ""), response.body).of(
                Location(self._bucket).uri
            )
        region = self._connection.regions.known(self._bucket) or self._connection.configuration.region.value
        failure = from_code(
            code,
            operation=operation_of(query),
            resource=Location(self._bucket).arn_in(region),
            connection=self._connection.name,
            status=response.status,
            date=date,
            region=_region_in(response),
            said=message_of(response.body),
            endpoint=message_of(response.body, "Endpoint"),
        )
        missing = response.status == _NOT_FOUND
        return self._connection.configuration.with_hint(failure, self._bucket, missing=missing)

    def moved(self, response: Response) -> bool:
        """Whether a response named the region to sign for, which is then remembered; only once."""
        region = _region_in(response)
        if not region or response.status not in {301, 307, 400} or self._redirects:
            return False
        self._redirects += 1
        self._connection.regions.learn(self._bucket, region)
        self._templates, self._sender = {}, None
        return True

    def unreachable(self, error: Exception) -> Exception:
        """Return the error for a request without any answer."""
        failure = self._no_answer(error).of(Location(self._bucket).uri)
        return self._connection.configuration.with_hint(failure, self._bucket)

    def _no_answer(self, error: Exception) -> EndpointError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return _untrusted(error)
        proxy = self._proxy_host()
        return unreachable(error) if proxy is None else _no_answer_through(proxy, error)

    def _proxy_host(self) -> str | None:
        proxy = self.transport.proxy
        return None if proxy is None else proxy_host(proxy)

    def _template(self, operation: str) -> Template:
        """Return the template; made anew after an ALTER or a redirect."""
        state = self._connection.state_token
        with self._lock:
            made_for, template = self._templates.get(operation, (None, None))
            if template is None or made_for is not state:
                template = capture(self._client(), self._bucket, operation)
                self._templates[operation] = (state, template)
            return template

    def _sending_client(self) -> Any:
        """Return the client that botocore would send with; cached, since every page asks for it."""
        if stubbed():
            return self._client()
        sender, state = self._sender, self._connection.state_token
        if sender is None or sender[0] is not state:
            sender = self._sender = (state, self._client())
        return sender[1]

    def _client(self) -> Any:
        return self._connection.internal_client(self._bucket)


@lru_cache(maxsize=64)
def _encoded(text: str) -> str:
    """Percent-encode a text for a signature; cached, since most texts are the same in all requests of a listing."""
    return quote(text, safe="-_.~")


def _region_in(response: Response) -> str:
    region = response.headers.get("x-amz-bucket-region") or _first_match(_REGION, response.body)
    return region or region_named(message_of(response.body))


_NONE: Mapping[str, str] = MappingProxyType({})


def _unsigned(template: Template, query: str, key: str = "", headers: Mapping[str, str] = _NONE) -> SignedRequest:
    return SignedRequest(template.url_of(key, query), {**template.headers, **headers}, template.method)


def _sign_with_botocore(
    template: Template, credentials: Any, query: str, key: str = "", headers: Mapping[str, str] = _NONE
) -> SignedRequest:
    """Sign a request as botocore does with another version of signatures; arguments as for `Signer`.

    Raises:
        S3ConnError: the library for it is not installed.
    """
    sent = {name: text for name, text in template.headers.items() if name != "X-Amz-Content-SHA256"} | dict(headers)
    url = template.url_of(key, query)
    request = AWSRequest(template.method, url, headers=sent, auth_path=f"{template.auth_path}{key}")
    kind = AUTH_TYPE_MAPS[template.signature]
    scope = (template.signing_name, template.region) if kind.REQUIRES_REGION else ()
    translated(lambda: kind(credentials, *scope).add_auth(request))
    return SignedRequest(
        request.url,
        {name: value.decode("ascii") if isinstance(value, bytes) else value for name, value in request.headers.items()},
        template.method,
    )


def _sign_with_session(
    template: Template, session: Any, query: str, key: str = "", headers: Mapping[str, str] = _NONE
) -> SignedRequest:
    """Sign for a directory bucket with the credentials of a session for it."""
    unsigned = _unsigned(template, query, key, headers)
    request = AWSRequest(template.method, unsigned.url, headers=dict(unsigned.headers))
    request.context["payload_signing_enabled"] = False
    S3ExpressAuth(session, template.signing_name, template.region, identity_cache=None).add_auth(request)
    return SignedRequest(request.url, dict(request.headers.items()), template.method)


def _first_match(pattern: re.Pattern[bytes], body: bytes) -> str | None:
    match = pattern.search(body[:4096])
    return match[1].decode() if match else None


def _proxy(url: str, configured: Mapping[str, str] | None) -> str | None:
    proxies = get_environ_proxies(url) if configured is None else configured
    proxy: str | None = ProxyConfiguration(proxies).proxy_url_for(url)
    return proxy


def _no_answer_through(proxy: str, error: Exception) -> EndpointError:
    """Return the error for no answer through a proxy; of its cause only the kind, as it may quote the password."""
    kind = type(error).__name__
    if "Proxy" in kind and (status := getattr(error, "status", 0)):
        return _refused_by(proxy, status)
    if "Proxy" in kind:
        return EndpointError(f"the proxy {proxy} cannot be reached", hint="See HTTPS_PROXY, HTTP_PROXY and NO_PROXY.")
    what = "in time" if "imeout" in kind else f"({kind})"
    return EndpointError(
        f"the server cannot be reached through the proxy {proxy} {what}",
        hint="Check ENDPOINT, and HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
    )


def _refused_by(proxy: str, status: int) -> EndpointError:
    if status == _PROXY_WANTS_CREDENTIALS:
        hint = "Put them into HTTPS_PROXY or HTTP_PROXY: http://user:password@host:port, percent-encoded."
        return EndpointError(f"the proxy {proxy} wants another user or password ({status})", hint=hint)
    return EndpointError(
        f"the proxy {proxy} refused to forward to the server ({status})",
        hint="See HTTPS_PROXY; NO_PROXY lists hosts that are reached without it.",
    )


def _untrusted(error: ssl.SSLCertVerificationError) -> EndpointError:
    code = getattr(getattr(error, "certificate_error", error), "verify_code", 0)
    if code in _CERTIFICATES:
        return EndpointError(f"the TLS certificate of the server {_CERTIFICATES[code]}", hint="Check ENDPOINT.")
    return EndpointError("the TLS certificate of the server is not trusted", hint="Set AWS_CA_BUNDLE to the CA's file.")


def _verify(client: Any) -> bool | str:
    verify = client._endpoint.http_session._verify if hasattr(client, "_endpoint") else None  # noqa: SLF001
    if verify is True:
        # The CAs of botocore: some Pythons find none on the system, and listings must trust the same ones as clients.
        return str(get_cert_path(verify))
    if isinstance(verify, bool | str):
        return verify
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("AWS_CA_BUNDLE") or True


_NOT_FOUND = 404
_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class Address(NamedTuple):
    """Where requests for a bucket go.

    Attributes:
        endpoint: URL of the server, without the bucket.
        virtual: whether the bucket is part of the host rather than of the path.
        region: region to sign for.
        stated: whether a library must be told, since its own default would differ.
    """

    endpoint: str
    virtual: bool
    region: str
    stated: bool

    def with_bucket(self, bucket: str) -> str:
        """Return the endpoint with the bucket in its host."""
        scheme, _, host = self.endpoint.partition("://")
        return f"{scheme}://{bucket}.{host}"


# Stands for a bucket if none is named.
_ANY_BUCKET = "any-bucket"


def address_of(connection: _Connection, bucket: str | None) -> Address:
    """Return where requests for a bucket go; finding its region may take a request.

    Raises:
        S3ConnError: the credentials or the region cannot be obtained.
    """
    name = bucket or _ANY_BUCKET
    template = capture(connection.internal_client(bucket), name)
    parts = urlsplit(template.url)
    virtual = parts.netloc.startswith(f"{name}.")
    host = parts.netloc.removeprefix(f"{name}.") if virtual else parts.netloc
    path = parts.path.rstrip("/") if virtual else parts.path.rstrip("/").removesuffix(f"/{quote(name)}")
    configuration = connection.configuration
    unusual = (configuration.endpoint, configuration.fips, configuration.dualstack, configuration.accelerate)
    stated = bucket is not None or any(setting.value for setting in unusual)
    stated = stated or any(variable in os.environ for variable in _VARIABLES)
    return Address(f"{parts.scheme}://{host}{path}", virtual, template.region, stated)
