"""Signed requests and their answers, as the connections make them, for listings and for objects.

Target    what the listing engine needs to know of a bucket: a small protocol, not a connection
wire      sends signed requests over sockets
exchange  tries, pace, and requests of objects under way together

The connections layer implements the protocol with botocore's endpoints and signers; a test's 20-line fake does as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Query = Sequence[tuple[str, str]]
"""Query parameters in order, not yet percent-encoded: `[("list-type", "2"), ("prefix", "a b/")]`."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """One request without a body, ready to send: the URL is percent-encoded exactly as it was signed."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
        body: all of it, or as much as was wanted.
        waited: seconds until its first byte came.
        tries: how often it was asked for.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    waited: float = 0.0
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Transport:
    """How requests travel.

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
    """What signed requests leave by."""

    async def send(self, request: SignedRequest) -> Response:
        """Return the complete answer."""


class Ways(Protocol):
    """Sockets that stay open, by how requests travel."""

    def of(self, transport: Transport) -> Sends:
        """What requests of a way leave by; to be called within the loop of all requests."""


class Target(Protocol):
    """One bucket, as the engine sees it. All members may be used from any thread."""

    @property
    def bucket(self) -> str:
        """Name of the bucket, or an access point's ARN."""

    @property
    def ordered(self) -> bool:
        """False where keys come in no order and `start-after` has no meaning, as in directory buckets."""

    @property
    def transport(self) -> Transport:
        """How requests travel."""

    @property
    def ways(self) -> Ways:
        """The sockets of the connection as it is: another object after each ALTER."""

    @property
    def waits(self) -> bool:
        """Whether `send` or `sign` may wait now: for credentials, a region, or what stands in for the server."""

    def sign(self, query: Query) -> SignedRequest:
        """Sign `GET /bucket?query` afresh with the credentials of this moment; called for every try."""

    def send(self, query: Query) -> Response | None:
        """Send the request by a transport without a socket and wait; None where `sign` and a socket will do."""

    def fault(self, response: Response, query: Query) -> Exception | None:
        """Return the error that an answer other than a page stands for.

        None asks for another signed try, as after a redirect to the region that the answer named.
        """

    def unreachable(self, error: Exception) -> Exception:
        """Return the error to raise when no answer came in all of the tries."""
