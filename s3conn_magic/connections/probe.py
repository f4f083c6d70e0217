"""What CREATE and ALTER try before a connection counts, and the buckets that a connection shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import boto3

from s3conn_magic.connections.connection import Connection, Findings
from s3conn_magic.connections.faults import translate, translated
from s3conn_magic.errors import CredentialsError, S3ConnError
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_PAGE = 1000
# A person waits for the probe; a wrong endpoint should not take a minute to say so.
_TRIES = 2


class ListedBucket(NamedTuple):
    """A bucket as the server lists it."""

    name: str
    region: str | None
    created_at: datetime | None


def probe(connection: Connection) -> Findings:
    """Ask who the connection is, and list its buckets or each of its display filters: one page each.

    Raises:
        S3ConnError: what could not be reached or is not allowed, by the IAM action that is missing.
    """
    identity = None if connection.settings.anonymous else find_identity(connection)
    filters = connection.settings.display_filters
    if filters:
        return Findings(identity, filters=_read_filters(connection, filters), regions=_regions(connection, filters))
    if connection.settings.anonymous and connection.configuration.is_aws:
        # Nobody may list the buckets of AWS unsigned, so there is nothing to ask.
        return Findings(reached=False)
    return _first_buckets(connection, identity)


def find_identity(connection: Connection) -> str | None:
    """Return the ARN that STS names, or None where it cannot say, as on servers without STS.

    Raises:
        CredentialsError: there are no credentials, or they could not be obtained.
        AccessDeniedError: the role may not be assumed.
    """
    connection.check_credentials()
    try:
        answer = connection.internal_client(service="sts", tries=1).get_caller_identity()
    except Exception:  # noqa: BLE001 - best effort: the listing that follows tells what matters
        return None
    arn = answer.get("Arn")
    return str(arn) if arn else None


def _first_buckets(connection: Connection, identity: str | None) -> Findings:
    buckets, token = bucket_page(connection, None, tries=_TRIES)
    regions = tuple(dict.fromkeys(bucket.region for bucket in buckets if bucket.region))
    return Findings(identity, buckets=len(buckets), more=token is not None, regions=regions)


def roots(connection: Connection) -> tuple[Location, ...]:
    """Return locations where looking around begins: the display filters, or the buckets.

    Raises:
        AccessDeniedError: there are no filters, and `s3:ListAllMyBuckets` is missing.
    """
    filters = connection.settings.display_filters
    return filters or tuple(Location(bucket.name) for bucket in all_buckets(connection))


def all_buckets(connection: Connection) -> Iterator[ListedBucket]:
    """Yield every bucket that the connection may list, page by page.

    Raises:
        AccessDeniedError: `s3:ListAllMyBuckets` is missing.
    """
    token: str | None = None
    while True:
        buckets, token = bucket_page(connection, token)
        yield from buckets
        if token is None:
            return


def bucket_page(
    connection: Connection, token: str | None, tries: int | None = None
) -> tuple[list[ListedBucket], str | None]:
    """Return one page of buckets and the token of the next.

    Raises:
        AccessDeniedError: `s3:ListAllMyBuckets` is missing.
    """
    # Only with a page size does AWS name the regions; other servers may not know the parameter.
    paging: dict[str, Any] = {"MaxBuckets": _PAGE} if connection.configuration.is_aws else {}
    if token:
        paging["ContinuationToken"] = token
    client = connection.internal_client(tries=tries)
    answer = translated(lambda: client.list_buckets(**paging), connection=connection.name)
    buckets = [
        ListedBucket(each["Name"], each.get("BucketRegion"), each.get("CreationDate"))
        for each in answer.get("Buckets", [])
    ]
    return buckets, answer.get("ContinuationToken") or None


def _read_filters(connection: Connection, filters: tuple[Location, ...]) -> tuple[str, ...]:
    failures = [(location, failure) for location in filters if (failure := _read(connection, location))]
    if not failures:
        return tuple(location.uri for location in filters)
    first = failures[0][1]
    if len(failures) > 1 and not isinstance(first, CredentialsError):
        first.notes = tuple(f"{location.uri}: {failure.message}" for location, failure in failures)
    first.hint = f"{first.hint} VALIDATE = FALSE skips this check.".strip()
    raise first


def _read(connection: Connection, location: Location) -> S3ConnError | None:
    """Return one page of a display filter; never of the bucket's root when a prefix was given."""
    try:
        client = connection.internal_client(location.bucket, tries=_TRIES)
        client.list_objects_v2(Bucket=location.bucket, Prefix=location.key, Delimiter="/", MaxKeys=1)
    except Exception as error:  # noqa: BLE001 - translated, and raised by the caller
        return translate(error, resource=location.arn, connection=connection.name)
    return None


def _regions(connection: Connection, filters: tuple[Location, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(region for place in filters if (region := connection.regions.of(place.bucket))))


# More than one looks through, and each key takes botocore a tenth of a millisecond to read.
_MOST = 250


class Below(NamedTuple):
    """Names below a folder, those of folders with their `/`, and whether these are all that there are."""

    names: tuple[str, ...]
    complete: bool


def buckets(connection: Connection) -> tuple[str, ...]:
    """Return locations of the buckets, as far as one page of them goes.

    Raises:
        S3ConnError: they may not be listed, or cannot be.
    """
    page, _ = bucket_page(connection, None, tries=1)
    return tuple(Location(each.name).uri for each in page)


def below(connection: Connection, folder: Location, beginning: str) -> Below:
    """Return what lies directly below a folder and begins so, in one page. Its region may take a request.

    Raises:
        S3ConnError, botocore's errors: it may not be listed, or cannot be.
    """
    client = connection.internal_client(folder.bucket, tries=1)
    prefix = folder.key + beginning
    answer = client.list_objects_v2(Bucket=folder.bucket, Prefix=prefix, Delimiter="/", MaxKeys=_MOST)
    keys = [each["Prefix"] for each in answer.get("CommonPrefixes", [])] + [
        each["Key"] for each in answer.get("Contents", [])
    ]
    names = sorted(key[len(folder.key) :] for key in keys if key != folder.key)
    return Below(tuple(names), not answer.get("IsTruncated"))


def profiles() -> tuple[str, ...]:
    """Return profiles of the AWS configuration files."""
    return tuple(boto3.session.Session().available_profiles)


def regions() -> tuple[str, ...]:
    """Return regions of every partition that botocore knows S3 in."""
    session = boto3.session.Session()
    partitions = session.get_available_partitions()
    return tuple(sorted({region for name in partitions for region in session.get_available_regions("s3", name)}))
