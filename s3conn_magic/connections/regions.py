"""The region of a bucket: one HEAD request, two at most, remembered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from s3conn_magic.connections.clients import new_lock
from s3conn_magic.connections.credentials import DEFAULT_REGION
from s3conn_magic.connections.faults import translate, translated
from s3conn_magic.errors import RegionError
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.connections.clients import Clients
    from s3conn_magic.connections.settings import Settings

_HEADER = "x-amz-bucket-region"
_REDIRECTS = {301, 307}
# Who may not ask about a bucket may still list a prefix of it; and the listing's refusal says why.
_LEFT_TO_THE_LISTING = {400, 403}


class Regions:
    """Finds and remembers the region of each bucket of a connection."""

    def __init__(self, settings: Settings, clients: Clients) -> None:
        self._settings = settings
        self._clients = clients
        self._found: dict[str, str] = {}
        self._lock = new_lock()

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

    def knows(self, bucket: str) -> bool:
        """Whether the region is told without a request."""
        with self._lock:
            return bool(self._settings.region or self._settings.endpoint) or bucket in self._found

    def learn(self, bucket: str, region: str) -> str:
        """Remember what an answer said."""
        with self._lock:
            self._found[bucket] = region
        return region

    def _ask(self, bucket: str) -> str:
        """Ask where the client is first: a bucket of another partition is known there only."""
        for region in (None, DEFAULT_REGION):
            client = self._clients.client("s3", region=region)
            without_redirects(client)
            answer, failure = translated(partial(_head_bucket, client, bucket), resource=Location(bucket).arn)
            if found := answer.get("HTTPHeaders", {}).get(_HEADER):
                return str(found)
            if failure is None or answer.get("HTTPStatusCode") in _LEFT_TO_THE_LISTING:
                return str(client.meta.region_name)
            if answer.get("HTTPStatusCode") not in _REDIRECTS:
                raise translate(failure, resource=Location(bucket).arn)
        raise RegionError(
            f"the region of {bucket} cannot be found: the server says it is another, and not which",
            hint="Set REGION = 'eu-west-1', say.",
        )


def _head_bucket(client: Any, bucket: str) -> tuple[Mapping[str, Any], ClientError | None]:
    """What botocore tells of the answer, and the refusal: either may name the region."""
    try:
        return client.head_bucket(Bucket=bucket)["ResponseMetadata"], None
    except ClientError as error:
        return error.response.get("ResponseMetadata", {}), error


def without_redirects(client: Any) -> None:
    """Keep botocore from following redirects itself: on a 301 without a region it recurses."""

    def mark(context: dict[str, Any], **_: Any) -> None:
        context.setdefault("s3_redirect", {})["redirected"] = True

    client.meta.events.register("before-call.s3", mark, unique_id="s3conn-no-redirect")
