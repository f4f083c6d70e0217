"""What the listing engine needs to know of a bucket: a small protocol, not a connection.

The connections layer implements it with botocore's endpoints and signers; a test's 20-line fake does as well.
"""

from __future__ import annotations

from typing import Protocol

from s3conn_magic.transport import Query, Response, SignedRequest, Transport

__all__ = ["Query", "Response", "SignedRequest", "Target", "Transport"]


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

    def sign(self, query: Query) -> SignedRequest:
        """Sign `GET /bucket?query` afresh with the credentials of this moment; called for every try."""

    def send(self, query: Query) -> Response | None:
        """Send the request by a transport without a socket and wait; None where `sign` and a socket will do."""

    def fault(self, response: Response, query: Query) -> Exception | None:
        """The error that an answer other than a page stands for.

        None asks for another signed try, as after a redirect to the region that the answer named.
        """

    def unreachable(self, error: Exception) -> Exception:
        """The error to raise when no answer came in all of the tries."""
