"""Targets for the engine's tests: signed over a socket, and a fake without one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3conn_magic.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    EndpointError,
    RegionError,
    S3ConnError,
)
from s3conn_magic.listing import xml
from s3conn_magic.transport import Query, Response, SignedRequest, Transport
from s3conn_magic.transport.wire import Wires

if TYPE_CHECKING:
    from synthetic import Bucket

_KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@dataclass
class SignedTarget:
    """A bucket of a server on this machine, by path-style addresses and signature version 4."""

    endpoint: str
    bucket: str = "bucket"
    ordered: bool = True
    transport: Transport = field(default_factory=lambda: Transport(connect_timeout=2, read_timeout=20))
    asked: list[Query] = field(default_factory=list)
    retried: int = 0
    ways: Wires = field(default_factory=Wires)
    waits: bool = False

    def sign(self, query: Query) -> SignedRequest:
        self.asked.append(query)
        encoded = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
        request = AWSRequest("GET", f"{self.endpoint}/{self.bucket}?{encoded}")
        S3SigV4Auth(_KEYS, "s3", "us-east-1").add_auth(request)
        return SignedRequest(request.url, dict(request.headers.items()))

    def send(self, query: Query) -> Response | None:
        del query

    def fault(self, response: Response, query: Query) -> Exception | None:
        del query
        code = xml.error_code(response.body) or str(response.status)
        if code == "ExpiredToken" or response.headers.get("x-amz-bucket-region"):
            self.retried += 1
            return None if self.retried < 2 else _KINDS.get(code, CredentialsError)(code, hint="Wait.")
        if code == "AccessDenied":
            return AccessDeniedError(code, action="s3:ListBucket", resource=self.bucket, hint="Ask.")
        return _KINDS.get(code, EndpointError)(code, hint="Wait.")

    def unreachable(self, error: Exception) -> Exception:
        return EndpointError(f"no answer: {type(error).__name__}", hint="Wait.")


_KINDS: dict[str, type[S3ConnError]] = {
    "NoSuchBucket": BucketNotFoundError,
    "PermanentRedirect": RegionError,
    "301": RegionError,
}


@dataclass
class FakeTarget:
    """A bucket in memory, without a socket."""

    contents: Bucket
    ordered: bool = True
    transport: Transport = field(default_factory=Transport)
    asked: list[Query] = field(default_factory=list)
    ways: Any = None
    waits: bool = False

    @property
    def bucket(self) -> str:
        return self.contents.name

    def sign(self, query: Query) -> SignedRequest:
        del query
        raise AssertionError("nothing is signed for a bucket in memory")

    def send(self, query: Query) -> Response:
        self.asked.append(query)
        return Response(200, {}, self.contents.page(dict(query)))

    def fault(self, response: Response, query: Query) -> Exception:
        del query
        return EndpointError(str(response.status), hint="Wait.")

    def unreachable(self, error: Exception) -> Exception:
        return EndpointError(type(error).__name__, hint="Wait.")
