"""What a READ_ONLY connection lets pass: operations that read, and requests that are such an operation's.

This is the one list of them. Names and methods are those of botocore's service models, so an operation that a service
gets tomorrow is refused until its name says that it reads.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from s3conn_magic.errors import ReadOnlyConnectionError

if TYPE_CHECKING:
    from collections.abc import Mapping

S3 = "s3"
_READING_METHODS = {"GET", "HEAD"}
_READING_NAMES = ("Get", "Head", "List")
# Elsewhere a POST may read, too: the method says nothing there, the name all.
_READING_NAMES_ELSEWHERE = (*_READING_NAMES, "Describe")
# The first only filters what it reads; the second begins every read of a directory bucket.
_READING_OPERATIONS = {"SelectObjectContent", "CreateSession"}
# What names itself Get and gives out credentials, or a link, by which something could be written past the guards; or
# makes what it gets.
_GIVES_A_WAY = re.compile(
    r"Get\w*(Credential|Token|Password|AccessKeys|DataAccess|OpenId|(Upload|Embed|Login|Signed)\w*(U[rR][lL]|Link))"
)
_MAKES = {("cognito-identity", "GetId"), ("waf", "GetChangeToken"), ("waf-regional", "GetChangeToken")}
# Some servers and proxies take the method from here.
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
        named = name.startswith(_READING_NAMES_ELSEWHERE) and not _GIVES_A_WAY.match(name)
        by_method = operation.http.get("method") in {*_READING_METHODS, "POST"}
        return not (named and by_method) or (service, name) in _MAKES
    if name in _READING_OPERATIONS:
        return False
    return operation.http.get("method") not in _READING_METHODS or not name.startswith(_READING_NAMES)


class Sent(NamedTuple):
    """A request as it is signed or sent; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any

    @classmethod
    def of(cls, request: Any, base: str = "") -> Sent:
        """Read botocore's request, whether prepared or not.

        Args:
            request: an AWSRequest or an AWSPreparedRequest.
            base: path of the endpoint, before that of the operation.
        """
        prepared = request.prepare() if hasattr(request, "prepare") else request
        url = urlsplit(prepared.url)
        headers = {_text(name).lower(): _text(value) for name, value in prepared.headers.items()}
        path = url.path.removeprefix(base.rstrip("/")) or "/"
        return cls(str(prepared.method).upper(), path, parse_qs(url.query, True), headers, prepared.body)


def request_writes(service: Any, sent: Sent) -> bool:
    """Whether a request could be one of a service's operations that write; one that fits no operation could.

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
        # A session that may write is one for a directory bucket, asked for by a GET.
        return "session" in sent.query and sent.headers.get(_SESSION_MODE) != "ReadOnly"
    return sent.method != "POST" or not {"select", "select-type"} <= sent.query.keys() <= _SELECT


def _is_rest(service: Any) -> bool:
    return str(service.metadata.get("protocol", "")).startswith("rest")


def _by_name(sent: Sent) -> set[str]:
    """Every operation that the request names: in a header, in its query, its form or its path."""
    names = set(sent.query.get("Action", ()))
    if target := sent.headers.get("x-amz-target"):
        names.add(target.rpartition(".")[2])
    if found := _OF_CBOR.search(sent.path):
        names.add(found[1])
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
    http = ((name, service.operation_model(name).http) for name in service.operation_names)
    return tuple(_route(name, one.get("method", ""), one.get("requestUri", "/")) for name, one in http)


def _route(name: str, method: str, uri: str) -> _Route:
    path, _, query = uri.partition("?")
    written = _LABEL.split(path.rstrip("/"))
    # What was split off are the labels' pluses: such a label may hold slashes.
    pattern = "".join((".+" if part else "[^/]+") if at % 2 else re.escape(part) for at, part in enumerate(written))
    literal = len(_LABEL.sub("", uri))
    return _Route(name, method, re.compile(pattern + "/?"), frozenset(parse_qs(query, True)), literal)


def _by_path(service: Any, sent: Sent) -> set[str]:
    """The operations whose method and path fit best: those with the most that is written out, as servers choose."""
    fits = [route for route in _routes(service) if _fits(route, sent)]
    most = max((route.literal for route in fits), default=0)
    return {route.name for route in fits if route.literal == most}


def _fits(route: _Route, sent: Sent) -> bool:
    return route.method == sent.method and route.query <= sent.query.keys() and bool(route.path.fullmatch(sent.path))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def refusal(name: str, operation: str) -> ReadOnlyConnectionError:
    """The error for a write through a READ_ONLY connection."""
    return ReadOnlyConnectionError(
        f"the connection {name} is READ_ONLY: {operation} was refused, nothing was sent",
        hint="Use a connection that was created without READ_ONLY = TRUE.",
    )
