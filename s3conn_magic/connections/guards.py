"""Guards of every client of a connection: refuse writes, add payer and encryption, check the answers.

Event handlers complete the parameters and refuse by the operation's name. The decisive check comes when a request is
signed and sent, when method and host can no longer be changed by any hook.
"""

from __future__ import annotations

import base64
import copy
import functools
import hashlib
import inspect
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from botocore import UNSIGNED
from botocore.endpoint import Endpoint
from botocore.signers import RequestSigner

from s3conn_magic.connections.credentials import HandedCredentials
from s3conn_magic.connections.signing import in_turn
from s3conn_magic.connections.writes import (
    ENCRYPTION_FIELD,
    NotEncrypted,
    asked_at_the_end,
    asked_of,
    check_answer,
    undo_write,
)
from s3conn_magic.errors import CredentialsError, EndpointError, ReadOnlyConnectionError
from s3conn_magic.language.options import is_of_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.language.options import Settings

S3 = "s3"
_READING_METHODS = {"GET", "HEAD"}
_READING_NAMES = ("Get", "Head", "List")
# In other services a POST may read, too, so only the name tells.
_READING_NAMES_ELSEWHERE = (*_READING_NAMES, "Describe")
# The first only filters what it reads; the second begins each read of a directory bucket.
_READING_OPERATIONS = {"SelectObjectContent", "CreateSession"}
# Operations called Get that give out credentials or links, with which one could write past the guards, or that create
# what they return.
_GIVES_ACCESS = re.compile(
    r"Get\w*(Credential|Token|Password|AccessKeys|DataAccess|OpenId|(Upload|Embed|Login|Signed)\w*(U[rR][lL]|Link))"
)
_CREATES = {("cognito-identity", "GetId"), ("waf", "GetChangeToken"), ("waf-regional", "GetChangeToken")}
# Headers from which some servers and proxies take the method.
_OTHER_METHOD = {"x-http-method-override", "x-http-method", "x-method-override"}
_SESSION_MODE = "x-amz-create-session-mode"
_SELECT = {"select", "select-type", "x-id"}
_LABEL = re.compile(r"\{[^{}]*?(\+?)\}")
_OF_CBOR = re.compile(r"/service/[\w.]+/operation/(\w+)$")
_LONGEST_FORM = 1 << 20


def writes(operation: Any) -> bool:
    """Whether an operation of a botocore model could write, delete or give out credentials."""
    service, name = operation.service_model.service_name, operation.name
    if service != S3:
        named = name.startswith(_READING_NAMES_ELSEWHERE) and not _GIVES_ACCESS.match(name)
        by_method = operation.http.get("method") in {*_READING_METHODS, "POST"}
        return not (named and by_method) or (service, name) in _CREATES
    if name in _READING_OPERATIONS:
        return False
    return operation.http.get("method") not in _READING_METHODS or not name.startswith(_READING_NAMES)


class Sent(NamedTuple):
    """A request as it is signed or sent; its headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any

    @classmethod
    def of(cls, request: Any, base: str = "") -> Sent:
        """Read a request of botocore, prepared or not.

        Args:
            request: an AWSRequest or an AWSPreparedRequest.
            base: path of the endpoint, which precedes the operation's.
        """
        prepared = request.prepare() if hasattr(request, "prepare") else request
        url = urlsplit(prepared.url)
        headers = {_text(name).lower(): _text(value) for name, value in prepared.headers.items()}
        path = url.path.removeprefix(base.rstrip("/")) or "/"
        return cls(str(prepared.method).upper(), path, parse_qs(url.query, True), headers, prepared.body)


def request_writes(service: Any, sent: Sent) -> bool:
    """Whether a request could be one of a service's writing operations; one that fits no operation could.

    Args:
        service: botocore's model of the service.
        sent: the request.
    """
    if _OTHER_METHOD & sent.headers.keys():
        return True
    if service.service_name == S3:
        return _writes_to_s3(sent)
    known = set(service.operation_names)
    names = _by_path(service, sent) if _is_rest(service) else _by_name(sent)
    return not names or any(name not in known or writes(service.operation_model(name)) for name in names)


def _writes_to_s3(sent: Sent) -> bool:
    if sent.method in _READING_METHODS:
        # The session of a directory bucket, which may allow writing, is requested by a GET.
        return "session" in sent.query and sent.headers.get(_SESSION_MODE) != "ReadOnly"
    return sent.method != "POST" or not {"select", "select-type"} <= sent.query.keys() <= _SELECT


def _is_rest(service: Any) -> bool:
    return str(service.metadata.get("protocol", "")).startswith("rest")


def _by_name(sent: Sent) -> set[str]:
    """Return every operation named by a request: in a header, its query, form or path."""
    names = set(sent.query.get("Action", ()))
    if target := sent.headers.get("x-amz-target"):
        names.add(target.rpartition(".")[2])
    if match := _OF_CBOR.search(sent.path):
        names.add(match[1])
    if isinstance(sent.body, str | bytes) and len(sent.body) <= _LONGEST_FORM:
        names |= set(parse_qs(_text(sent.body), True).get("Action", ()))
    return names


class _Route(NamedTuple):
    name: str
    method: str
    path: re.Pattern[str]
    query: frozenset[str]
    literal: int


@lru_cache(maxsize=16)
def _routes(service: Any) -> tuple[_Route, ...]:
    operations = ((name, service.operation_model(name).http) for name in service.operation_names)
    return tuple(_route(name, http.get("method", ""), http.get("requestUri", "/")) for name, http in operations)


def _route(name: str, method: str, uri: str) -> _Route:
    path, _, query = uri.partition("?")
    written = _LABEL.split(path.rstrip("/"))
    # The parts split off are the plus signs of labels, which then may contain slashes.
    pattern = "".join((".+" if part else "[^/]+") if at % 2 else re.escape(part) for at, part in enumerate(written))
    literal = len(_LABEL.sub("", uri))
    return _Route(name, method, re.compile(pattern + "/?"), frozenset(parse_qs(query, True)), literal)


def _by_path(service: Any, sent: Sent) -> set[str]:
    """Return the operations whose method and path fit best, with the most literal text, as servers choose them."""
    fits = [route for route in _routes(service) if _fits(route, sent)]
    most = max((route.literal for route in fits), default=0)
    return {route.name for route in fits if route.literal == most}


def _fits(route: _Route, sent: Sent) -> bool:
    return route.method == sent.method and route.query <= sent.query.keys() and bool(route.path.fullmatch(sent.path))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def refusal(name: str, operation: str) -> ReadOnlyConnectionError:
    """Return the error for a write over a READ_ONLY connection."""
    return ReadOnlyConnectionError(
        f"the connection {name} is READ_ONLY: {operation} was refused, nothing was sent",
        hint="Use a connection that was created without READ_ONLY = TRUE.",
    )


# The first signs a policy, and the others may use another library: both bypass the events.
_WRITING_METHODS = {
    "generate_presigned_post": "a presigned POST",
    "upload_file": "an upload",
    "upload_fileobj": "an upload",
    "copy": "a copy",
}
_TRANSFERS = ("upload_file", "upload_fileobj", "download_file", "download_fileobj")
_PRESIGNED = {f"{name}-{how}": f"s3v4-{how}" for name in ("v4", "s3v4") for how in ("query", "presign-post")}
_ENCRYPTION = ("ServerSideEncryption", "SSE")
# It names the encryption of an object that it does not store.
_NOT_STORED = {"WriteGetObjectResponse"}
_REQUESTED_ENCRYPTION = "s3conn_magic_encryption"
"""Key in a request's context for the encryption it asked for."""


def no_link(name: str) -> CredentialsError:
    """Return the error for a presigned request if the encryption key must be sent with every request."""
    return CredentialsError(
        f"the connection {name} sends its encryption key with every request, which a link cannot do",
        hint="Download or upload the object instead.",
    )


def refuse_another_place(name: str, made_for: Settings, now: Settings, *holds: str) -> None:
    """Refuse to send the current credentials to a place from before an ALTER.

    Args:
        name: name of the connection.
        made_for: the settings then.
        now: the current settings.
        holds: names of further options that the object keeps as they were.

    Raises:
        EndpointError: the place has changed.
    """
    before, after = made_for.place(*holds), now.place(*holds)
    if before != after:
        other = [option for option, value in after.items() if value != before[option] and option.isupper()]
        raise EndpointError(
            f"the connection {name} was altered: this was made for another {' and '.join(other) or 'kind of keys'}, and"
            " nothing was sent",
            hint="Ask the connection for a new client, session or store.",
        )


class Guards:
    """The guards of a connection's clients; they read the current settings at every request.

    Args:
        name: returns the name of the connection.
        settings: returns the current settings.
        made_for: the settings that the clients are made for.
    """

    def __init__(self, name: Callable[[], str], settings: Callable[[], Settings], made_for: Settings) -> None:
        self._name = name
        self._settings = settings
        self._made_for = made_for
        self._encrypted_by_caller: set[str] = set()

    def attach(self, session: Any) -> None:
        """Guard every client made from a botocore session."""
        events = session.get_component("event_emitter")
        # Guards come first: among handlers that choose a signer, the first answer counts.
        events.register_first("provide-client-params", self.before)
        events.register_first("choose-signer.s3", self.choose_signer)
        events.register_last("before-call.s3", self.sent)
        events.register_last("before-call.s3", _use_md5)
        events.register_first("after-call.s3.CreateMultipartUpload", self.begun)
        events.register_last("after-call.s3", self.answered)
        events.register_first("before-call.s3-control", self.at_one_host)
        events.register_last("creating-client-class", self.without_crt)
        # boto3 adds its methods first.
        events.register_last("creating-client-class.s3", self.wrap)

    def hold(self, client: Any, *, has_own: bool) -> None:
        """Check what a client signs and sends after every hook.

        Args:
            client: a new client.
            has_own: whether its endpoint is the connection's own, which it must not leave.
        """
        signer, endpoint, service = client._request_signer, client._endpoint, client.meta.service_model  # noqa: SLF001
        own = client.meta.endpoint_url if has_own else None
        look = functools.partial(self._look, service, own, urlsplit(client.meta.endpoint_url).path)
        signer.__class__, signer.look = _GuardedSigner, look
        endpoint.__class__, endpoint.look = _GuardedEndpoint, look

    def same_place(self) -> Settings:
        """Return the current settings, if clients made earlier still fit them.

        Raises:
            EndpointError: they would send the current credentials to an earlier place.
            ConnectionNotFoundError: the connection was dropped.
        """
        now = self._settings()
        refuse_another_place(self._name(), self._made_for, now)
        return now

    def keep_credentials(self) -> None:
        """Refuse to give out the credentials of a READ_ONLY connection.

        Raises:
            ReadOnlyConnectionError: it is READ_ONLY.
            EndpointError: the connection was altered, and they belong to another place.
        """
        if self.same_place().read_only:
            raise ReadOnlyConnectionError(
                f"the connection {self._name()} is READ_ONLY: its session gives out no credentials, because others"
                " could write with them",
                hint="Clients and resources of the session read, and refuse to write.",
            )

    def _look(self, service: Any, own: str | None, base: str, request: Any) -> None:
        now = self.same_place()
        if own is not None and not _is_at(request.url, own):
            raise EndpointError(
                f"the connection {self._name()} has its own ENDPOINT: a request of {service.service_name} for"
                f" {urlsplit(request.url).hostname} was refused, nothing was sent",
                hint="If its credentials are meant for that host, make a client with endpoint_url='https://…'.",
            )
        if now.read_only and request_writes(service, Sent.of(request, base)):
            raise refusal(self._name(), f"a {str(request.method).upper()} of {service.service_name}")

    def at_one_host(self, params: dict[str, Any], **_: Any) -> None:
        """Remove the account from the host on servers other than AWS; a header names it, too."""
        url, own = params["url"], self._made_for.endpoint_of("s3control")
        if own is not None and _is_at(url, own):
            params["url"] = urlsplit(url)._replace(netloc=urlsplit(own).netloc).geturl()

    @staticmethod
    def without_crt(class_attributes: dict[str, Any], **_: Any) -> None:
        """Keep boto3 from passing credentials to the C runtime, which knows neither ENDPOINT nor guards."""
        class_attributes["_get_credentials"] = lambda _client: None

    def before(self, params: dict[str, Any], model: Any, context: Any, **_: Any) -> dict[str, Any] | None:
        """Refuse an operation or complete its parameters: in place, except the parameters of a link."""
        now, service = self.same_place(), model.service_model.service_name
        if now.read_only and writes(model):
            raise refusal(self._name(), model.name if service == S3 else f"{model.name} of {service}")
        if service != S3:
            return None
        completed = dict(params) if context.get("is_presign_request") else params
        if now.read_only and model.name == "CreateSession":
            completed["SessionMode"] = "ReadOnly"
        self._complete(completed, model, now, context)
        return completed

    def _complete(self, params: dict[str, Any], model: Any, now: Settings, context: Any) -> None:
        members = model.input_shape.members if model.input_shape else {}
        for begins, defaults in _defaults(now):
            # The caller's encryption counts as a whole: S3 refuses parts of it mixed with the connection's.
            if begins is _ENCRYPTION and self._is_chosen_by_caller(params, model):
                context["encrypted_by_caller"] = True
            elif not any(parameter.startswith(begins) for parameter in params):
                params.update({key: value for key, value in defaults.items() if key in members})
                if context.get("is_presign_request") and "SSECustomerKey" in defaults.keys() & members.keys():
                    raise no_link(self._name())

    def _is_chosen_by_caller(self, params: dict[str, Any], model: Any) -> bool:
        """Whether the caller chose the encryption, either here or when the upload of this part began."""
        upload = params.get("UploadId")
        if upload in self._encrypted_by_caller:
            if model.name in {"CompleteMultipartUpload", "AbortMultipartUpload"}:
                self._encrypted_by_caller.discard(upload)
            return True
        return model.name in _NOT_STORED or any(parameter.startswith(_ENCRYPTION) for parameter in params)

    def begun(self, parsed: Any, context: Any, **_: Any) -> None:
        """Remember an upload whose encryption the caller chose, as its parts do not name it again."""
        if context.get("encrypted_by_caller") and (upload := parsed.get("UploadId")):
            self._encrypted_by_caller.add(upload)

    def sent(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        """Note which encryption the answer to a write must confirm."""
        if model.http.get("method") in _READING_METHODS:
            return
        kms_key = self._settings().kms_key
        if model.name == "CompleteMultipartUpload" and kms_key and not context.get("encrypted_by_caller"):
            context[_REQUESTED_ENCRYPTION] = asked_at_the_end(kms_key)
        else:
            context[_REQUESTED_ENCRYPTION] = asked_of(params, model)

    @staticmethod
    def answered(http_response: Any, parsed: Any, model: Any, context: Any, **_: Any) -> None:
        """Check that the answer to a write confirms the encryption."""
        if asked := context.get(_REQUESTED_ENCRYPTION):
            check_answer(asked, http_response, parsed, model.name)

    def choose_signer(self, **_: Any) -> Any:
        """Leave requests unsigned if the connection is anonymous."""
        return UNSIGNED if self._settings().anonymous else None

    def wrap(self, class_attributes: dict[str, Any], base_classes: list[type], **_: Any) -> None:
        """Replace the methods that bypass the events, and add a class that undoes writes which an event refused."""
        base_classes.insert(0, _undoing(self._name))
        for method in _TRANSFERS:
            class_attributes[method] = _by_this_client(class_attributes[method])
        class_attributes["generate_presigned_post"] = self._encrypting(class_attributes["generate_presigned_post"])
        for method, what in _WRITING_METHODS.items():
            class_attributes[method] = self._refusing(class_attributes[method], what)

    def _refusing(self, method: Callable[..., Any], what: str) -> Any:
        @functools.wraps(method)
        def refuse_or_call(*args: Any, **keys: Any) -> Any:
            if self._settings().read_only:
                raise refusal(self._name(), what)
            return method(*args, **keys)

        return refuse_or_call

    def _encrypting(self, presigned_post: Callable[..., Any]) -> Any:
        @functools.wraps(presigned_post)
        def encrypt_and_call(*args: Any, **keys: Any) -> Any:
            call = inspect.signature(presigned_post).bind(*args, **keys)
            now, fields = self._settings(), dict(call.arguments.get("Fields") or {})
            if now.customer_key:
                raise no_link(self._name())
            if now.kms_key and not any(name.lower().startswith(ENCRYPTION_FIELD) for name in fields):
                ours = {ENCRYPTION_FIELD: "aws:kms", f"{ENCRYPTION_FIELD}-aws-kms-key-id": now.kms_key}
                conditions = [*(call.arguments.get("Conditions") or []), *({name: ours[name]} for name in ours)]
                call.arguments.update(Fields=fields | ours, Conditions=conditions)
            return presigned_post(*call.args, **call.kwargs)

        return encrypt_and_call


def _use_md5(params: dict[str, Any], model: Any, **_: Any) -> None:
    """Send Content-MD5 in place of CRC32 where a checksum is required and the server is not AWS.

    Many servers do not know the newer checksums, and some, such as Backblaze's, refuse them.
    """
    demanded, body = (model.http_checksum or {}).get("requestChecksumRequired"), params["body"]
    if demanded and isinstance(body, bytes) and not is_of_aws(params["url"]):
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        params["headers"].setdefault("Content-MD5", base64.b64encode(digest).decode())
        checksum = params["context"].get("checksum", {})
        # botocore uses CRC32 unless another is chosen.
        if (checksum.get("request_algorithm") or {}).get("algorithm") == "crc32":
            del checksum["request_algorithm"]
            params["headers"].pop("x-amz-sdk-checksum-algorithm", None)


def _undoing(name: Callable[[], str]) -> type:
    """Return a base class for clients that undoes a write that was not encrypted as requested."""

    class Undoing:
        def _make_api_call(self, operation_name: str, api_params: Mapping[str, Any]) -> Any:
            try:
                return super()._make_api_call(operation_name, api_params)  # type: ignore[misc] # of botocore's class
            except NotEncrypted as failure:
                refused = failure
            raise undo_write(self, name(), operation_name, api_params, refused)

    return Undoing


class _GuardedSigner(RequestSigner):  # type: ignore[misc] # botocore is not typed
    """Checks each request with the guard when it is signed, after every hook."""

    look: Callable[[Any], None]

    def get_auth_instance(self, *args: Any, **keys: Any) -> Any:
        """Return what signs a request, link or POST, using the credentials that a session does not give out."""
        call = _AUTH.bind(self, *args, **keys)
        if isinstance(self._credentials, HandedCredentials) and not call.arguments.get("request_credentials"):
            call.arguments["request_credentials"] = self._credentials.live
        auth = super().get_auth_instance(*call.args[1:], **call.kwargs)
        add = auth.add_auth

        def look_and_add(request: Any, *args: Any, **keys: Any) -> Any:
            self.look(request)
            return add(request, *args, **keys)

        auth.add_auth = look_and_add
        return auth

    get_auth = get_auth_instance

    def sign(self, operation_name: str, request: Any, *args: Any, **keys: Any) -> None:
        """Sign, and check again: for an ALTER meanwhile, and for requests that need no signature."""
        super().sign(operation_name, request, *args, **keys)
        self.look(request)


class _GuardedEndpoint(Endpoint):  # type: ignore[misc] # botocore is not typed
    """Checks each request with the guard when it is sent, after every hook."""

    look: Callable[[Any], None]

    def _send(self, request: Any) -> Any:
        self.look(request)
        return in_turn(super()._send, request)


_AUTH = inspect.signature(RequestSigner.get_auth_instance)


def _is_at(url: str, endpoint: str) -> bool:
    """Whether a URL is at an endpoint or at a host below it, such as a bucket's."""
    requested, own = urlsplit(url), urlsplit(endpoint)
    host, home = (requested.hostname or ""), (own.hostname or "")
    return (requested.scheme, requested.port) == (own.scheme, own.port) and (host == home or host.endswith(f".{home}"))


def _by_this_client(transfer: Callable[..., Any]) -> Any:
    """Return a transfer by the client itself: boto3 may choose a library that knows neither guards nor ALTER."""

    @functools.wraps(transfer)
    def call_with_classic(*args: Any, **keys: Any) -> Any:
        from boto3.s3.transfer import TransferConfig

        call = inspect.signature(transfer).bind(*args, **keys)
        config = copy.copy(call.arguments.get("Config") or TransferConfig())
        config.preferred_transfer_client = "classic"
        call.arguments["Config"] = config
        return transfer(*call.args, **call.kwargs)

    return call_with_classic


def presign_by_version_4(client: Any) -> None:
    """Keep botocore from presigning by version 2, which most other servers, newer regions and KMS keys refuse.

    Only for a client that knows its region, since a signature of version 4 is valid for just one.
    """

    def keep(signature_version: Any, **_: Any) -> Any:
        return _PRESIGNED.get(str(signature_version))

    client.meta.events.register_first("choose-signer.s3", keep)


def _defaults(settings: Settings) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Return the parameters to add to every operation that has them.

    Each group comes with prefixes of parameter names; if the caller gives such a parameter, the group is not added.
    """
    defaults: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    if settings.requester_pays:
        defaults.append((("RequestPayer",), {"RequestPayer": "requester"}))
    if settings.kms_key:
        defaults.append((_ENCRYPTION, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.kms_key}))
    if settings.customer_key:
        key = base64.b64decode(settings.customer_key.reveal())
        defaults.append((_ENCRYPTION, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}))
        source = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": key}
        defaults.append((("CopySourceSSE",), source))
    return defaults
