"""What completion offers of a connection and of the AWS configuration: one request at most, never tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import boto3

from s3conn_magic.connections.probe import bucket_page
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection

# More than one looks through, and each key takes botocore a tenth of a millisecond to read.
_MOST = 250


class Below(NamedTuple):
    """Names below a folder, those of folders with their `/`, and whether these are all that there are."""

    names: tuple[str, ...]
    complete: bool


def buckets(connection: Connection) -> tuple[str, ...]:
    """Locations of the buckets, as far as one page of them goes.

    Raises:
        S3ConnError: they may not be listed, or cannot be.
    """
    found, _ = bucket_page(connection, None, tries=1)
    return tuple(Location(one.name).uri for one in found)


def below(connection: Connection, folder: Location, beginning: str) -> Below:
    """What lies directly below a folder and begins so, in one page. The bucket's region may take a request before.

    Raises:
        S3ConnError, botocore's errors: it may not be listed, or cannot be.
    """
    client = connection.internal_client(folder.bucket, tries=1)
    prefix = folder.key + beginning
    answer = client.list_objects_v2(Bucket=folder.bucket, Prefix=prefix, Delimiter="/", MaxKeys=_MOST)
    keys = [one["Prefix"] for one in answer.get("CommonPrefixes", [])] + [
        one["Key"] for one in answer.get("Contents", [])
    ]
    names = sorted(key[len(folder.key) :] for key in keys if key != folder.key)
    return Below(tuple(names), not answer.get("IsTruncated"))


def profiles() -> tuple[str, ...]:
    """Profiles of the AWS configuration files."""
    return tuple(boto3.session.Session().available_profiles)


def regions() -> tuple[str, ...]:
    """Regions of every partition that botocore knows S3 in."""
    session = boto3.session.Session()
    partitions = session.get_available_partitions()
    return tuple(sorted({one for name in partitions for one in session.get_available_regions("s3", name)}))
