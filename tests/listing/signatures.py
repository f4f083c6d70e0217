"""Signature version 4 checked from what came over the wire, after AWS's description of it and without botocore.

See "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import reduce
from typing import TYPE_CHECKING

from recording import Reply, Request, error

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.sandbox import Keys

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<scope>[^,]+), SignedHeaders=(?P<names>[^,]+),"
    r" Signature=(?P<signature>[0-9a-f]{64})"
)
_ALWAYS_SIGNED = {"host", "x-amz-date", "x-amz-content-sha256"}


def is_signed(request: Request, keys: Keys) -> bool:
    """Whether the request is signed by the key pair: its path, its query, its host and every `x-amz-` header."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if found is None or found["id"] != keys.access_key_id:
        return False
    names = found["names"].split(";")
    if not _ALWAYS_SIGNED | {name for name in request.headers if name.startswith("x-amz-")} <= {*names}:
        return False
    digest = hashlib.sha256(_canonical(request, names).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], found["scope"], digest])
    secret = keys.secret_access_key.reveal()
    key = reduce(_hmac, found["scope"].split("/"), f"AWS4{secret}".encode())
    return hmac.compare_digest(_hmac(key, text).hex(), found["signature"])


def _canonical(request: Request, names: list[str]) -> str:
    address = re.sub(r"^https?://[^/?]+", "", request.target)
    path, _, query = address.partition("?")
    pairs = sorted(tuple(one.partition("=")[::2]) for one in query.split("&"))
    headers = [f"{name}:{' '.join(request.headers[name].split())}" for name in names]
    body = hashlib.sha256(request.body).hexdigest()
    assert request.headers["x-amz-content-sha256"] in {body, "UNSIGNED-PAYLOAD"}
    listed = "&".join(f"{name}={value}" for name, value in pairs)
    parts = [
        request.method,
        path or "/",
        listed,
        *headers,
        "",
        ";".join(names),
        request.headers["x-amz-content-sha256"],
    ]
    return "\n".join(parts)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def verifying(answer: Callable[[Request], Reply], keys: Keys) -> Callable[[Request], Reply]:
    """The answer to requests that the key pair has signed, and to others what S3 says."""

    def reply(request: Request) -> Reply:
        return answer(request) if is_signed(request, keys) else error(403, "SignatureDoesNotMatch")

    return reply
