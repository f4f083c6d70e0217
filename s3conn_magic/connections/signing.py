"""Sign requests from templates that botocore makes once, and detect stand-ins for the server.

Mocks, stubs and recorders are asked as botocore asks them, so that a listing sends nothing where botocore would send
nothing. Handlers that botocore asks before sending answer with bytes, as a server does; if the call itself is
replaced, its result is written as the document that a server would send.
"""

from __future__ import annotations

import hmac
import os
import re
import sys
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit
from weakref import WeakSet
from xml.etree import ElementTree as ET

from botocore import awsrequest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.hooks import first_non_none_response
from botocore.serialize import RestXMLSerializer

from s3conn_magic.connections.faults import translated
from s3conn_magic.locations import Location
from s3conn_magic.runtime.background import new_lock
from s3conn_magic.transport import Response, SignedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.transport import Query

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
    """A request as botocore made it, without its query, and what signing needs.

    The `url` of a request for objects ends where the key begins. `identity` gives the session credentials for a
    directory bucket, renewed as they expire; older signatures are over `auth_path`.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)  # a customer's key is among them
    region: str
    signing_name: str
    signature: Any
    identity: Callable[[], Any] | None = None
    method: str = "GET"
    auth_path: str = ""

    def url_of(self, key: str, query: str) -> str:
        """Return the URL for a key and a query, both percent-encoded and possibly empty."""
        return f"{self.url}{key}?{query}" if query else f"{self.url}{key}"


class _Capture(threading.local):
    """The request being captured in this thread."""

    wanted = False
    signing: tuple[str, str, Any]
    asked: Mapping[str, Any]
    auth_path = ""
    request: Any


_capture = _Capture()


class _EmptyBody:
    """An empty body, for the answer to a request that was not sent."""

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>']


def _before_sign(request: Any, signing_name: str, region_name: str, signature_version: Any, **_: Any) -> None:
    if _capture.wanted:
        # The endpoint's own region and service take precedence over the client's: an ARN names them.
        asked = request.context.get("signing", {})
        region, service = asked.get("region") or region_name, asked.get("signing_name") or signing_name
        # The session of a directory bucket is added later, by botocore's own handler.
        _capture.signing, _capture.asked = (region, service, signature_version), asked
        _capture.auth_path = request.auth_path or ""


def _before_send(request: Any, **_: Any) -> AWSResponse | None:
    if not _capture.wanted:
        return None
    _capture.request = request
    return AWSResponse(request.url, 200, {}, _EmptyBody())


def let_capture(client: Any) -> None:
    """Prepare a new client; once threads use it, botocore's cache of handlers may miss new ones."""
    for operation in CAPTURED:
        client.meta.events.register(f"before-sign.s3.{operation}", _before_sign)
        client.meta.events.register_first(f"before-send.s3.{operation}", _before_send)


CAPTURED = ("ListObjectsV2", "GetObject", "HeadObject", "GetObjectTagging")
"""Operations whose requests are made from templates."""
_ANY_KEY = "any-key"


def capture(client: Any, bucket: str, operation: str = "ListObjectsV2") -> Template:
    """Return the request that a client would send for a bucket, or for an object in it.

    Raises:
        S3ConnError: it cannot be made, because there are no credentials or the name fits no endpoint.
    """
    _capture.wanted = True
    try:
        translated(lambda: _called_for(client, bucket, operation), resource=Location(bucket).arn)
    finally:
        _capture.wanted = False
    url, path = _with_host_in_lower_case(_capture.request.url.partition("?")[0]), _capture.auth_path
    if operation != "ListObjectsV2":
        url, path = url.removesuffix(_ANY_KEY), path.removesuffix(_ANY_KEY)
    headers = {name: _plain(value) for name, value in _capture.request.headers.items() if name.lower() not in _NOT_KEPT}
    headers["X-Amz-Content-SHA256"] = _EMPTY_SHA256
    return Template(url, headers, *_capture.signing, _identity(_capture.asked), _capture.request.method, path)


def _called_for(client: Any, bucket: str, operation: str) -> None:
    if operation == "ListObjectsV2":
        client.list_objects_v2(Bucket=bucket)
    elif operation == "GetObject":
        client.get_object(Bucket=bucket, Key=_ANY_KEY)
    elif operation == "GetObjectTagging":
        client.get_object_tagging(Bucket=bucket, Key=_ANY_KEY)
    else:
        client.head_object(Bucket=bucket, Key=_ANY_KEY)


def _identity(asked: Mapping[str, Any]) -> Callable[[], Any] | None:
    sessions, key = asked.get("identity_cache"), asked.get("cache_key")
    return None if sessions is None else lambda: sessions.get_credentials(key).get_frozen_credentials()


def _with_host_in_lower_case(url: str) -> str:
    """Return the URL with its host as it is signed, since not every HTTP library lowers it."""
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


_NONE: Mapping[str, str] = MappingProxyType({})


class Signer:
    """Signs requests from one template with one set of credentials.

    Args:
        template: the request without its query.
        credentials: access key id, secret and token, frozen.
    """

    __slots__ = ("_credentials", "_headers", "_key", "_lines", "_names", "_path_at", "_scope", "_template", "_values")

    def __init__(self, template: Template, credentials: Any) -> None:
        self._template = template
        self._credentials = credentials
        self._names: str | None = None
        self._headers: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._scope = ""
        self._key = ("", b"")
        self._lines: dict[tuple[str, ...], tuple[str, list[tuple[str, str]]]] = {}
        scheme, _, rest = template.url.partition("://")
        self._path_at = len(scheme) + len("://") + len(rest.partition("/")[0])

    def made_for(self, template: Template, credentials: Any) -> bool:
        """Whether it signs requests from this template with these credentials."""
        return template is self._template and credentials == self._credentials

    def sign(self, query: str = "", key: str = "", headers: Mapping[str, str] = _NONE) -> SignedRequest:
        """Sign a request.

        Args:
            query: query, percent-encoded.
            key: key of the object, percent-encoded.
            headers: headers in addition to the template's.
        """
        url = self._template.url_of(key, query)
        if self._names is None:
            return self._first(url, headers)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        names, signature = self._signature(url, stamp, headers)
        authorization = f"{_ALGORITHM} Credential={self._credentials.access_key}/{stamp[:8]}/{self._scope}, "
        authorization += f"SignedHeaders={names}, Signature={signature}"
        sent = {**self._headers, **headers, "X-Amz-Date": stamp, "Authorization": authorization}
        return SignedRequest(url, sent, self._template.method)

    def _first(self, url: str, headers: Mapping[str, str]) -> SignedRequest:
        template = self._template
        request = AWSRequest(template.method, url, headers={**template.headers, **headers})
        request.context["payload_signing_enabled"] = False
        S3SigV4Auth(self._credentials, template.signing_name, template.region).add_auth(request)
        signed = dict(request.headers.items())
        self._learn(url, signed, headers)
        return SignedRequest(request.url, signed, template.method)

    def _learn(self, url: str, signed: dict[str, str], own: Mapping[str, str]) -> None:
        match = _AUTHORIZATION.fullmatch(signed.get("Authorization", ""))
        values = {"host": urlsplit(self._template.url).netloc} | {name.lower(): text for name, text in signed.items()}
        names = match["names"].split(";") if match else []
        if match is None or not {*names, _DATE, _PAYLOAD} <= values.keys() or _DATE not in names:
            return
        self._scope = match["scope"]
        others = {name.lower() for name in own}
        self._values = {name: " ".join(values[name].split()) for name in names if name not in others}
        same_names, signature = self._signature(url, values[_DATE], own)
        if same_names == match["names"] and hmac.compare_digest(signature, match["signature"]):
            self._headers = {name: text for name, text in signed.items() if name.lower() not in others}
            self._names = ";".join(self._values)

    def _signature(self, url: str, stamp: str, headers: Mapping[str, str]) -> tuple[str, str]:
        """Return the names of the signed headers, and the signature."""
        names, headings = self._headings(tuple(headers))
        address, _, query = url.partition("?")
        own = {_DATE: stamp, **headers} if headers else {_DATE: stamp}
        request = "\n".join(
            (
                self._template.method,
                address[self._path_at :] or "/",
                "&".join(sorted(query.split("&"), key=lambda pair: pair.partition("="))) if "&" in query else query,
                "".join(text if name == "" else f"{text}{' '.join(own[name].split())}\n" for name, text in headings),
                names,
                self._values[_PAYLOAD],
            )
        )
        digest = sha256(request.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{stamp}\n{stamp[:8]}/{self._scope}\n{digest}"
        return names, hmac.digest(self._signing_key(stamp[:8]), text.encode(), "sha256").hex()

    def _headings(self, own: tuple[str, ...]) -> tuple[str, list[tuple[str, str]]]:
        """Return the names of all headers, and their lines: complete, or up to a value that varies by request."""
        if own not in self._lines:
            mine = {name.lower(): name for name in own} | {_DATE: _DATE}
            names = sorted(self._values.keys() | mine.keys())
            lines = [
                (mine[name], f"{name}:") if name in mine else ("", f"{name}:{self._values[name]}\n") for name in names
            ]
            self._lines[own] = (";".join(names), lines)
        return self._lines[own]

    def _signing_key(self, day: str) -> bytes:
        if self._key[0] != day:
            start = f"AWS4{self._credentials.secret_key}".encode()
            steps = [day, *self._scope.split("/")]
            self._key = (day, reduce(lambda key, step: hmac.digest(key, step.encode(), "sha256"), steps, start))
        return self._key[1]


_OURS = ("botocore.", "boto3.", "s3conn_magic.")
_STUB = "botocore.stub"
_BOTOCORE = os.path.dirname(awsrequest.__file__)  # noqa: PTH120 - as code names its file
_PARAMETERS = {
    "prefix": "Prefix",
    "delimiter": "Delimiter",
    "max-keys": "MaxKeys",
    "continuation-token": "ContinuationToken",
    "start-after": "StartAfter",
    "key-marker": "KeyMarker",
    "version-id-marker": "VersionIdMarker",
}
# Texts of an answer that are keys or parts of keys: percent-encoded, since XML cannot hold every key.
_KEY_FIELDS = {"Prefix", "Delimiter", "StartAfter", "Key", "KeyMarker", "NextKeyMarker"}


def operation_of(query: Query) -> str:
    """Return the operation that a query of a bucket stands for."""
    return "ListObjectVersions" if any(name == "versions" for name, _ in query) else "ListObjectsV2"


def replaces_calls(client: Any, operation: str = "ListObjectsV2") -> bool:
    """Whether a client's calls are answered before a request is made: by a patch, a Stubber, a recorder."""
    call = BaseClient._make_api_call  # noqa: SLF001 - what others replace
    return _replaced(call) or has_others(client, f"before-call.s3.{operation}")


_CLIENTS: WeakSet[Any] = WeakSet()
_REMEMBERING = new_lock()


def remember(client: Any) -> None:
    """Remember a client, as long as somebody holds it, for `stubbed`."""
    with _REMEMBERING:
        _CLIENTS.add(client)


def stubbed() -> list[Any]:
    """Return the clients, of any connection, that have a Stubber."""
    if _STUB not in sys.modules:
        return []
    with _REMEMBERING:
        clients = [*_CLIENTS]
    return [client for client in clients if _listeners(client, "before-call.s3.ListObjectsV2").stub]


def at_once(most: int) -> int:
    """Return how many requests may be under way: one where calls are replaced, as a Stubber's answers have an order."""
    replaced = _replaced(BaseClient._make_api_call)  # noqa: SLF001 - what others replace
    return 1 if replaced or stubbed() else most


def stand_in_answer(client: Any, bucket: str, query: Query, sign: Callable[[], SignedRequest]) -> Response | None:
    """Return the answer of a stand-in for the server; None if there is none and the request goes by socket.

    Args:
        client: the client that botocore would send with.
        bucket: its name, or an access point's ARN.
        query: query of the request.
        sign: makes the request, if it is needed.

    Raises:
        S3ConnError: the stand-in failed in a way that a server does not.
    """
    operation = operation_of(query)
    if replaces_calls(client, operation):
        return _answer_of_call(client, operation, bucket, query)
    event, http_session = f"before-send.s3.{operation}", client._endpoint.http_session  # noqa: SLF001
    sends = _replaced(type(http_session).send) or _connects_elsewhere()
    if not sends and not has_others(client, event):
        return None
    request, answer = _asked_before(client, event, sign())
    if answer is None and sends:
        answer = translated(lambda: in_turn(http_session.send, request), resource=Location(bucket).arn)
    return None if answer is None else _plain_response(answer)


def _asked_before(client: Any, event: str, signed: SignedRequest) -> tuple[Any, Any]:
    """Return a request as botocore has it before sending, and the answer of an event's handlers to it."""
    request = AWSRequest(signed.method, signed.url, headers=dict(signed.headers)).prepare()
    return request, first_non_none_response(client.meta.events.emit(event, request=request))


def _plain_response(answer: Any) -> Response:
    headers = {name.lower(): text for name, text in answer.headers.items()}
    return Response(answer.status_code, headers, answer.content)


def object_answer(client: Any, operation: str, sign: Callable[[], SignedRequest]) -> Response | None:
    """Return the answer to a request for an object by handlers asked before sending, such as a mock; None if none."""
    event = f"before-send.s3.{operation}"
    if not has_others(client, event):
        return None
    _, answer = _asked_before(client, event, sign())
    return None if answer is None else _plain_response(answer)


def said_of(response: Response) -> dict[str, Any]:
    """Return what a response says of its object and range, as botocore would."""
    headers = response.headers
    return {
        "ContentLength": int(headers.get("content-length", len(response.body))),
        "ContentRange": headers.get("content-range", ""),
        "ETag": headers.get("etag", ""),
        "ResponseMetadata": {"HTTPStatusCode": response.status},
    }


def etag_of(answer: Mapping[str, Any]) -> str:
    """Return the etag in a result of botocore's, without quotes; empty if it has none."""
    return str(answer.get("ETag", "")).strip('"')


def stands_in(client: Any, operation: str) -> bool:
    """Whether something in this process may answer requests of an operation."""
    return has_others(client, f"before-send.s3.{operation}") or sends_otherwise(client, operation)


def sends_otherwise(client: Any, operation: str) -> bool:
    """Whether a client's calls, or the way it sends them, were replaced."""
    if replaces_calls(client, operation):
        return True
    return _replaced(type(client._endpoint.http_session).send) or _connects_elsewhere()  # noqa: SLF001


def _replaced(function: Any) -> bool:
    """Whether a function of botocore was replaced."""
    code = getattr(function, "__code__", None)
    return code is None or not code.co_filename.startswith(_BOTOCORE)


def _connects_elsewhere() -> bool:
    """Whether the class of botocore's connections was replaced, as recorders of requests do."""
    pools = (awsrequest.AWSHTTPConnectionPool, awsrequest.AWSHTTPSConnectionPool)
    with _SENDING:
        return any(pool.ConnectionCls.__module__ != awsrequest.__name__ for pool in pools)


_SENDING = new_lock()
"""Held while a request is sent by replaced connections: vcrpy puts botocore's own back for moments, for all threads."""


def in_turn(send: Callable[[Any], Any], request: Any) -> Any:
    """Send a botocore request, one at a time where the class of its connections was replaced."""
    with _SENDING if _connects_elsewhere() else nullcontext():
        return send(request)


_KNOWN = "_s3conn_magic_listeners"


class _Listeners(NamedTuple):
    others: bool
    stub: bool


def has_others(client: Any, event: str) -> bool:
    """Whether other handlers than botocore's listen to a client's event."""
    return _listeners(client, event).others


def _listeners(client: Any, event: str) -> _Listeners:
    """Return who listens to a client's event.

    Cached on the emitter as long as it keeps its own cache of handlers, which changes with each new handler.
    """
    emitter = getattr(client.meta.events, "_emitter", client.meta.events)
    stamp = getattr(emitter, "_lookup_cache", None)
    kept: tuple[object, dict[str, _Listeners]] = getattr(emitter, _KNOWN, (None, {}))
    before, known = kept
    if stamp is None or before is not stamp:
        known = {}
        setattr(emitter, _KNOWN, (stamp, known))
    if event not in known:
        handlers = emitter._handlers.prefix_search(event)  # noqa: SLF001 - no public way
        modules = [getattr(handler, "__module__", None) or type(handler).__module__ for handler in handlers]
        stub = _STUB in modules
        known[event] = _Listeners(stub or not all(module.startswith(_OURS) for module in modules), stub)
    return known[event]


def _answer_of_call(client: Any, operation: str, bucket: str, query: Query) -> Response:
    """Return the answer of the client's own call, as a document."""
    kwargs: dict[str, Any] = {_PARAMETERS[name]: text for name, text in query if name in _PARAMETERS}
    kwargs["MaxKeys"] = int(kwargs["MaxKeys"])
    call = client.list_object_versions if operation == "ListObjectVersions" else client.list_objects_v2

    def attempt() -> tuple[Mapping[str, Any], ClientError | None]:
        try:
            return call(Bucket=bucket, **kwargs), None
        except ClientError as error:
            return {}, error

    answer, refusal = translated(attempt, resource=Location(bucket).arn)
    if refusal is not None:
        return _refusal(refusal)
    shape = client.meta.service_model.operation_model(operation).output_shape
    whole = {"Name": bucket, "Prefix": kwargs["Prefix"], "MaxKeys": kwargs["MaxKeys"], "IsTruncated": False, **answer}
    known = {name: _encoded(name, value) for name, value in whole.items() if name in shape.members}
    root = ET.Element("root")
    written = known | {"EncodingType": "url"}
    RestXMLSerializer()._serialize(shape, written, root, "ListBucketResult")  # noqa: SLF001 - no public way
    return Response(200, {}, ET.tostring(root[0]))


def _encoded(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _encoded(key, each) for key, each in value.items()}
    if isinstance(value, list):
        return [_encoded(name, each) for each in value]
    return quote(value, safe="/") if name in _KEY_FIELDS and isinstance(value, str) else value


def _refusal(refusal: ClientError) -> Response:
    metadata = refusal.response.get("ResponseMetadata", {})
    error = ET.Element("Error")
    ET.SubElement(error, "Code").text = str(refusal.response.get("Error", {}).get("Code", ""))
    return Response(int(metadata.get("HTTPStatusCode", 400)), dict(metadata.get("HTTPHeaders", {})), ET.tostring(error))
