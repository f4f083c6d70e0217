"""One signed request and its answer, as the connections make them and the listing sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Query = Sequence[tuple[str, str]]
"""Query parameters in order, not yet percent-encoded: `[("list-type", "2"), ("prefix", "a b/")]`."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """One GET request, ready to send: the URL is percent-encoded exactly as it was signed."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer: status, headers in lower case, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
