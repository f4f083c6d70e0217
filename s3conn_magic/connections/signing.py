"""Signature version 4 of many requests that differ in query and time only.

botocore signs the first one. Where its signature can be computed again from what that request shows, the later ones are
signed here, with the signing key kept for its day: a fifth of the work. Otherwise botocore signs them all.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from functools import reduce
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from s3conn_magic.transport import SignedRequest

if TYPE_CHECKING:
    from s3conn_magic.connections.capture import Template

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
        found = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
        values = {"host": urlsplit(self._template.url).netloc} | {name.lower(): text for name, text in headers.items()}
        names = found["names"].split(";") if found else []
        if found is None or not {*names, _DATE, _PAYLOAD} <= values.keys() or _DATE not in names:
            return
        self._scope = found["scope"]
        self._values = {name: " ".join(values[name].split()) for name in names}
        if hmac.compare_digest(self._signature(query, values[_DATE]), found["signature"]):
            self._headers, self._names = headers, found["names"]

    def _signature(self, query: str, stamp: str) -> str:
        values = self._values | {_DATE: stamp}
        told = "".join(f"{name}:{value}\n" for name, value in values.items())
        parts = (
            "GET",
            urlsplit(self._template.url).path or "/",
            "&".join(sorted(query.split("&"), key=lambda pair: pair.partition("="))),
            told,
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
