"""Requests signed: the template that botocore makes once, and a signature for each request after it."""

from __future__ import annotations

import hmac
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse

from s3conn_magic.connections.faults import translated
from s3conn_magic.locations import Location
from s3conn_magic.transport import SignedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NOT_KEPT = {
    "authorization",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-s3session-token",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "date",
}
_EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True, slots=True)
class Template:
    """A request as botocore made it: all but the query, and what its signature needs.

    `identity` gives the session credentials that a directory bucket's requests are signed with, renewed as they expire.
    """

    url: str
    headers: Mapping[str, str]
    region: str
    signing_name: str
    signature: Any
    identity: Callable[[], Any] | None = None


class _Kept(threading.local):
    """What this thread is capturing."""

    wanted = False
    signing: tuple[str, str, Any]
    asked: Mapping[str, Any]
    request: Any


_kept = _Kept()


class _Nothing:
    """A body for the answer to a request that was not sent."""

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>']


def _before_sign(request: Any, signing_name: str, region_name: str, signature_version: Any, **_: Any) -> None:
    if _kept.wanted:
        # What the endpoint asks for counts before what the client was made for: an ARN names its region and service.
        asked = request.context.get("signing", {})
        region, service = asked.get("region") or region_name, asked.get("signing_name") or signing_name
        # A directory bucket's session is put in by botocore's own handler, which comes after this one.
        _kept.signing, _kept.asked = (region, service, signature_version), asked


def _before_send(request: Any, **_: Any) -> AWSResponse | None:
    if not _kept.wanted:
        return None
    _kept.request = request
    return AWSResponse(request.url, 200, {}, _Nothing())


def let_capture(client: Any) -> None:
    """Prepare a new client. Done later, while other threads use it, botocore's cache of handlers may miss it."""
    client.meta.events.register("before-sign.s3.ListObjectsV2", _before_sign)
    client.meta.events.register_first("before-send.s3.ListObjectsV2", _before_send)


def capture(client: Any, bucket: str) -> Template:
    """Return the listing request that a client would send for a bucket.

    Raises:
        S3ConnError: it cannot be made, for want of credentials or because the name fits no endpoint.
    """
    _kept.wanted = True
    try:
        translated(lambda: client.list_objects_v2(Bucket=bucket), resource=Location(bucket).arn)
    finally:
        _kept.wanted = False
    url = _with_host_in_lower_case(_kept.request.url.partition("?")[0])
    headers = {name: _plain(value) for name, value in _kept.request.headers.items() if name.lower() not in _NOT_KEPT}
    headers["X-Amz-Content-SHA256"] = _EMPTY_SHA256
    return Template(url, headers, *_kept.signing, _identity(_kept.asked))


def _identity(asked: Mapping[str, Any]) -> Callable[[], Any] | None:
    sessions, key = asked.get("identity_cache"), asked.get("cache_key")
    return None if sessions is None else lambda: sessions.get_credentials(key).get_frozen_credentials()


def _with_host_in_lower_case(url: str) -> str:
    """Return the host as it is signed; not every HTTP library sends it so by itself."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.lower()}{slash}{path}"


def _plain(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else value


_ALGORITHM, _DATE, _PAYLOAD = "AWS4-HMAC-SHA256", "x-amz-date", "x-amz-content-sha256"
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key_id>[^/]+)/\d{{8}}/(?P<scope>[^,]+), SignedHeaders=(?P<names>[^,]+), "
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


class Signer:
    """Signs GET requests of one template with one set of credentials.

    Args:
        template: the request without its query.
        credentials: access key id, secret and token, frozen.
    """

    __slots__ = ("_credentials", "_headers", "_key", "_names", "_scope", "_template", "_values")

    def __init__(self, template: Template, credentials: Any) -> None:
        self._template = template
        self._credentials = credentials
        self._names: str | None = None
        self._headers: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._scope = ""
        self._key = ("", b"")

    def made_for(self, template: Template, credentials: Any) -> bool:
        """Whether it signs such requests with these credentials."""
        return template is self._template and credentials == self._credentials

    def sign(self, query: str) -> SignedRequest:
        """Sign a request with this query, which is percent-encoded."""
        if self._names is None:
            return self._first(query)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        authorization = f"{_ALGORITHM} Credential={self._credentials.access_key}/{stamp[:8]}/{self._scope}, "
        authorization += f"SignedHeaders={self._names}, Signature={self._signature(query, stamp)}"
        headers = self._headers | {"X-Amz-Date": stamp, "Authorization": authorization}
        return SignedRequest(f"{self._template.url}?{query}", headers)

    def _first(self, query: str) -> SignedRequest:
        template = self._template
        request = AWSRequest("GET", f"{template.url}?{query}", headers=dict(template.headers))
        request.context["payload_signing_enabled"] = False
        S3SigV4Auth(self._credentials, template.signing_name, template.region).add_auth(request)
        headers = dict(request.headers.items())
        self._learn(query, headers)
        return SignedRequest(request.url, headers)

    def _learn(self, query: str, headers: dict[str, str]) -> None:
        match = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
        values = {"host": urlsplit(self._template.url).netloc} | {name.lower(): text for name, text in headers.items()}
        names = match["names"].split(";") if match else []
        if match is None or not {*names, _DATE, _PAYLOAD} <= values.keys() or _DATE not in names:
            return
        self._scope = match["scope"]
        self._values = {name: " ".join(values[name].split()) for name in names}
        if hmac.compare_digest(self._signature(query, values[_DATE]), match["signature"]):
            self._headers, self._names = headers, match["names"]

    def _signature(self, query: str, stamp: str) -> str:
        values = self._values | {_DATE: stamp}
        headers = "".join(f"{name}:{value}\n" for name, value in values.items())
        parts = (
            "GET",
            urlsplit(self._template.url).path or "/",
            "&".join(sorted(query.split("&"), key=lambda pair: pair.partition("="))),
            headers,
        )
        request = "\n".join([*parts, ";".join(values), values[_PAYLOAD]])
        digest = sha256(request.encode()).hexdigest()
        text = "\n".join([_ALGORITHM, stamp, f"{stamp[:8]}/{self._scope}", digest])
        return hmac.new(self._signing_key(stamp[:8]), text.encode(), sha256).hexdigest()

    def _signing_key(self, day: str) -> bytes:
        if self._key[0] != day:
            start = f"AWS4{self._credentials.secret_key}".encode()
            steps = [day, *self._scope.split("/")]
            self._key = (day, reduce(lambda key, step: hmac.new(key, step.encode(), sha256).digest(), steps, start))
        return self._key[1]
