"""The first look at an object of a query: one request that tells its size and etag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import EndpointError
from s3conn_magic.objects.asking import ask, head_answer
from s3conn_magic.objects.ranged import Pinned, etag_of, received

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location

TAIL = 256 * 1024
"""Bytes that the first look at a Parquet file brings along: its footer, as a rule."""
_PARQUET = (".parquet", ".parq", ".pq")
_TOTAL = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def first_look(connection: Connection, location: Location) -> tuple[Pinned, bytes]:
    """An object as it is now, and its last bytes where it looks like a Parquet file.

    Raises:
        ObjectNotFoundError: there is none.
        S3ConnError: it may not be read, or the server cannot be reached.
    """
    if location.key.lower().endswith(_PARQUET) and (found := _by_tail(connection, location)):
        return found
    return by_head(connection, location), b""


def by_head(connection: Connection, location: Location) -> Pinned:
    """An object as it is now, by HeadObject."""
    answer = head_answer(connection, location, None)
    return _pinned(connection, location, answer, int(answer["ContentLength"]))


def _by_tail(connection: Connection, location: Location) -> tuple[Pinned, bytes] | None:
    """By one GetObject of the last bytes; None where the server does not give these."""
    try:
        answer = ask(
            connection, location, "get_object", Bucket=location.bucket, Key=location.key, Range=f"bytes=-{TAIL}"
        )
    except EndpointError:  # an empty object has no last bytes
        return None
    stream = answer["Body"]
    try:
        told = _TOTAL.fullmatch(str(answer.get("ContentRange", "")))
        if told is None:
            return None
        start, last, size = map(int, told.groups())
        body, failure = received(stream, last + 1 - start)
    finally:
        stream.close()
    if failure or len(body) != last + 1 - start or last + 1 != size:
        return None
    return _pinned(connection, location, answer, size), body


def _pinned(connection: Connection, location: Location, answer: Mapping[str, Any], size: int) -> Pinned:
    return Pinned(connection, location, size, etag_of(answer), answer.get("LastModified"))
