"""Deleting objects as they were seen: one that was replaced since then stays, and is told.

A condition that the server checks is best, but not every server does: some ignore it, some refuse it. So each object is
looked at right before its request, and the condition goes along where the server may know it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from s3conn_magic.connections.conditions import DENIED, LACKING, MISSING, UNMET
from s3conn_magic.connections.faults import translated
from s3conn_magic.errors import S3ConnError
from s3conn_magic.locations import Location
from s3conn_magic.objects.requests import ask
from s3conn_magic.objects.uploads import NOT_IN_XML, Deleted, refuse_if_read_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from s3conn_magic.connections.connection import Connection

BATCH = 200
"""Objects that are looked at and then deleted by one request: few, so that little time lies in between."""
CHANGED = "changed since it was shown"
_LOOKS_AT_ONCE = 16
_UNKNOWN = LACKING | {"MalformedXML"}
"""How a server refuses a condition that it does not know."""
_UNSEEN = DENIED | {"400"}
Standing = Literal["same", "listed", "changed", "missing"]
"""`listed`: the same as far as a listing tells, which is all that the identity, or the server, gives."""


def versioning(connection: Connection, bucket: str) -> str | None:
    """`Enabled`, `Suspended`, or empty for a bucket that never kept versions; None where that cannot be known."""
    try:
        answer = ask(connection, Location(bucket), "get_bucket_versioning", Bucket=bucket)
    except S3ConnError:
        return None
    return str(answer.get("Status") or "")


def delete_as_seen(
    connection: Connection, bucket: str, seen: Mapping[str, str | None], *, cancelled: Callable[[], bool]
) -> Iterator[Deleted]:
    """Delete exactly these keys where their etag still is the one that was seen, `BATCH` in a request.

    In a bucket with versioning each gets a delete marker, and its versions stay.

    Args:
        connection: leads to the bucket.
        bucket: where the keys are.
        seen: the etag of each key, or None where the server gave none: such an object is deleted as it is.
        cancelled: looked at between requests.

    Raises:
        ReadOnlyConnectionError: the connection is READ_ONLY; nothing was sent.
        S3ConnError: a whole request was refused; those before it are done.
    """
    refuse_if_read_only(connection, "a deletion")
    client, keys = connection.internal_client(bucket), list(seen)
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        for at in range(0, len(keys), BATCH):
            batch = {key: _etag(seen[key]) for key in keys[at : at + BATCH]}
            if cancelled():
                return
            yield translated(partial(_step, pool, client, bucket, batch), resource=Location(bucket).arn)


def _step(pool: ThreadPoolExecutor, client: Any, bucket: str, batch: Mapping[str, str]) -> Deleted:
    standings = pool.map(partial(_standing, client, bucket), batch, batch.values())
    return _delete(client, bucket, batch, dict(zip(batch, standings, strict=True)))


def _etag(text: str | None) -> str:
    return (text or "").removeprefix("W/").strip('"')


def _standing(client: Any, bucket: str, key: str, etag: str) -> Standing:
    """How an object stands now.

    Where the identity may not look at it, or its key is a customer's, and where the etag is another one than was
    listed, as with some servers it always is, a listing of the key decides.
    """
    if not etag:
        return "listed"
    try:
        answer = client.head_object(Bucket=bucket, Key=key)
    except client.exceptions.ClientError as error:
        if _code(error) in MISSING:
            return "missing"
        if _code(error) not in _UNSEEN:
            raise
    else:
        if _etag(answer.get("ETag")) == etag:
            return "same"
    page = client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    found = next((one for one in page.get("Contents", []) if one["Key"] == key), None)
    if found is None:
        return "missing"
    return "listed" if _etag(found.get("ETag")) == etag else "changed"


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code") or "refused")


def _delete(client: Any, bucket: str, batch: Mapping[str, str], standings: Mapping[str, Standing]) -> Deleted:
    failures = {key: CHANGED for key, standing in standings.items() if standing == "changed"}
    missing = sum(standing == "missing" for standing in standings.values())
    there = [key for key in batch if standings[key] in {"same", "listed"}]
    conditions = {key: f'"{batch[key]}"' if standings[key] == "same" else "" for key in there}
    together = [key for key in there if not NOT_IN_XML.search(key)]
    if together:
        failures |= _delete_together(client, bucket, together, conditions)
    for key in there:
        if NOT_IN_XML.search(key):
            failures |= _delete_one(client, bucket, key, conditions[key])
    return Deleted(len(batch) - len(failures) - missing, failures, missing)


def _delete_together(client: Any, bucket: str, keys: Sequence[str], conditions: Mapping[str, str]) -> dict[str, str]:
    """The keys that are not deleted, and why."""
    wanted = [{"Key": key} | ({"ETag": conditions[key]} if conditions[key] else {}) for key in keys]
    try:
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": wanted, "Quiet": False})
    except client.exceptions.ClientError as error:
        if _code(error) not in _UNKNOWN or not any(conditions[key] for key in keys):
            raise
        return _delete_together(client, bucket, keys, dict.fromkeys(keys, ""))
    refused = {str(one.get("Key", "")): str(one.get("Code") or "refused") for one in answer.get("Errors", [])}
    gone = {one.get("Key") for one in answer.get("Deleted", [])}
    unsaid = {key: "the server did not say" for key in keys if key not in gone and key not in refused}
    unknown = [key for key, code in refused.items() if code in _UNKNOWN and conditions.get(key)]
    again = _delete_together(client, bucket, unknown, dict.fromkeys(unknown, "")) if unknown else {}
    left = {key: CHANGED if code in UNMET else code for key, code in refused.items() if key not in unknown}
    return {**left, **unsaid, **again}


def _delete_one(client: Any, bucket: str, key: str, condition: str) -> dict[str, str]:
    """A key that XML cannot hold, by a request of its own."""
    try:
        client.delete_object(Bucket=bucket, Key=key, **({"IfMatch": condition} if condition else {}))
    except client.exceptions.ClientError as error:
        code = _code(error)
        if code in _UNKNOWN and condition:
            return _delete_one(client, bucket, key, "")
        return {key: CHANGED if code in UNMET else code}
    return {}
