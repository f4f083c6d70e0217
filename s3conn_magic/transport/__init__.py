"""Signed requests and responses, shared by listings and objects.

Target    what the listing engine needs to know about a bucket: a small protocol, not a connection
wire      sends signed requests over sockets
receiving what these receive: short answers, long bodies, and all others
exchange  retries, pace, and requests for objects under way together

The connections layer implements the protocol with botocore's endpoints and signers; tests use 20-line fakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Query = Sequence[tuple[str, str]]
"""Query parameters in order, before percent-encoding: `[("list-type", "2"), ("prefix", "a b/")]`."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request without a body, ready to send: the URL is percent-encoded exactly as it was signed."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Response:
    """A response.

    Attributes:
        status: HTTP status.
        headers: by name, in lower case.
        body: all of it, or as much as was wanted.
        waited: seconds until the first byte.
        tries: how many requests it took.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    waited: float = 0.0
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Transport:
    """Proxy, TLS and timeouts of requests.

    Attributes:
        proxy: URL of the proxy, or None.
        verify: True, False, or the path of a CA bundle.
        connect_timeout: seconds.
        read_timeout: seconds without a byte.
        client_cert: path of a client certificate, or a pair of certificate and key, or None.
    """

    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    verify: bool | str = True
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    client_cert: str | tuple[str, str] | None = field(default=None, repr=False)


class Sends(Protocol):
    """Sends signed requests."""

    async def send(self, request: SignedRequest) -> Response:
        """Return the complete response."""


class Ways(Protocol):
    """Keeps sockets open, by transport."""

    def of(self, transport: Transport) -> Sends:
        """Return what sends requests by this transport; call it within the loop of all requests."""


class Target(Protocol):
    """A bucket as the listing engine sees it. All members can be used from any thread."""

    @property
    def bucket(self) -> str:
        """Name of the bucket, or an access point's ARN."""

    @property
    def ordered(self) -> bool:
        """False if keys come in no order and `start-after` has no meaning, as in directory buckets."""

    @property
    def transport(self) -> Transport:
        """Proxy, TLS and timeouts of requests."""

    @property
    def ways(self) -> Ways:
        """The sockets of the connection, another object after each ALTER."""

    @property
    def waits(self) -> bool:
        """Whether `send` or `sign` may have to wait: for credentials, a region, or a stand-in for the server."""

    def sign(self, query: Query) -> SignedRequest:
        """Sign `GET /bucket?query` with the current credentials; called for every try."""

    def send(self, query: Query) -> Response | None:
        """Send the request without a socket and wait; None if it should be signed and sent by a socket."""

    def fault(self, response: Response, query: Query) -> Exception | None:
        """Return the error for a response that is not a page.

        None asks for another signed try, as after a redirect to the region named in the response.
        """

    def unreachable(self, error: Exception) -> Exception:
        """Return the error to raise when no try was answered."""
