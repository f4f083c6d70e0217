"""What S3 asks for requests, as a stated constant: the list prices of S3 Standard in one region.

Source: Amazon S3 pricing, "Requests & data retrievals", S3 Standard, US East (N. Virginia), as published in 2025. Other
regions and storage classes have other prices; storage, retrieval and transfer of bytes are not in them. DELETE and STS
are free.
"""

from __future__ import annotations

REGION = "us-east-1"
AS_OF = "2025"
LIST_USD = 0.005
"""Dollars for 1,000 PUT, COPY, POST or LIST requests."""
GET_USD = 0.0004
"""Dollars for 1,000 GET, HEAD and other requests."""
STATED = (
    f"Dollars are S3's list prices ({REGION}, S3 Standard, as of {AS_OF}) for requests alone: ${LIST_USD} per 1,000 of"
    f" LIST and PUT, ${GET_USD} per 1,000 of GET and HEAD. Retries are not counted."
)
_LISTS = frozenset(
    {
        "CreateMultipartUpload",
        "ListBuckets",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjectsV2",
        "PutObject",
        "UploadPart",
    }
)
_FREE = frozenset({"AbortMultipartUpload", "AssumeRole", "DeleteObject", "GetCallerIdentity"})


def usd(operation: str, requests: int) -> float:
    """Dollars for so many requests of an operation."""
    each = LIST_USD if operation in _LISTS else 0.0 if operation in _FREE else GET_USD
    return each * requests / 1000
