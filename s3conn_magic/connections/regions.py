"""The region of a bucket: one HEAD request, three at most, remembered."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from s3conn_magic.connections.credentials import DEFAULT_REGION
from s3conn_magic.connections.faults import translated
from s3conn_magic.errors import BucketNotFoundError, RegionError
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.connections.clients import Clients
    from s3conn_magic.connections.settings import Settings

_REQUESTS = 3
_HEADER = "x-amz-bucket-region"


class Regions:
    """Finds and remembers the region of each bucket of a connection."""

    def __init__(self, settings: Settings, clients: Clients) -> None:
        self._settings = settings
        self._clients = clients
        self._found: dict[str, str] = {}
        self._lock = threading.Lock()

    def of(self, bucket: str) -> str | None:
        """The region to sign for; None where the client's own will do (REGION or ENDPOINT is set).

        Raises:
            BucketNotFoundError: there is no such bucket.
            RegionError: the server does not say.
        """
        if self._settings.region or self._settings.endpoint:
            return None
        if bucket.startswith("arn:"):
            return bucket.split(":")[3] or None
        with self._lock:
            known = self._found.get(bucket)
        return known or self.learn(bucket, self._ask(bucket))

    def learn(self, bucket: str, region: str) -> str:
        """Remember what an answer said."""
        with self._lock:
            self._found[bucket] = region
        return region

    def _ask(self, bucket: str) -> str:
        region = DEFAULT_REGION
        for _ in range(_REQUESTS):
            headers, failure = self._head(bucket, region)
            if found := headers.get(_HEADER):
                return found
            if failure is None:
                return region
            if isinstance(failure, ClientError) and failure.response.get("Error", {}).get("Code") == "404":
                raise BucketNotFoundError(f"there is no bucket {bucket}")
            region = region_of(failure) or region
        raise RegionError(f"the region of {bucket} cannot be found", hint="Set REGION = 'eu-west-1', say.")

    def _head(self, bucket: str, region: str) -> tuple[Mapping[str, str], ClientError | None]:
        client = self._clients.client("s3", region=region)
        without_redirects(client)
        answer, failure = translated(lambda: _head_bucket(client, bucket), resource=Location(bucket).arn)
        if failure is None:
            return answer["ResponseMetadata"]["HTTPHeaders"], None
        return failure.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}), failure


def _head_bucket(client: Any, bucket: str) -> tuple[Any, ClientError | None]:
    """The answer, or the refusal: either may name the region."""
    try:
        return client.head_bucket(Bucket=bucket), None
    except ClientError as error:
        return None, error


def without_redirects(client: Any) -> None:
    """Keep botocore from following redirects itself: on a 301 without a region it recurses."""

    def mark(context: dict[str, Any], **_: Any) -> None:
        context.setdefault("s3_redirect", {})["redirected"] = True

    client.meta.events.register("before-call.s3", mark, unique_id="s3conn-no-redirect")


def region_of(failure: ClientError) -> str | None:
    """The region that an error answer names."""
    error = failure.response.get("Error", {})
    region = error.get("Region")
    return str(region) if region else None
