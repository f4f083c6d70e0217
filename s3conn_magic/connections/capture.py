"""The listing request that botocore would send, kept instead of sent."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse

from s3conn_magic.connections.faults import translated
from s3conn_magic.locations import Location

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
    """The listing request that a client would send for a bucket.

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
    """The host as it is signed; not every HTTP library sends it so by itself."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.lower()}{slash}{path}"


def _plain(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else value
