"""Frames of SHOW BUCKETS and LIST."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.connections.probe import Bucket, all_buckets
from s3conn_magic.errors import IncompleteListingError, ListingInterrupted
from s3conn_magic.language.patterns import like
from s3conn_magic.language.reference import find_statement
from s3conn_magic.listing import Glob, Listing
from s3conn_magic.locations import Location
from s3conn_magic.views.frames import S3Frame, frame_of, listing_columns, listing_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.language.plans import ListObjects


def buckets_frame(connection: Connection, pattern: str | None) -> S3Frame:
    """One row a bucket; with display filters one row a filter, and no ListBuckets request."""
    reference = find_statement("SHOW BUCKETS")
    rows = [
        (one.name, where.uri, one.region, one.created_at)
        for one, where in _buckets(connection)
        if like(pattern, one.name)
    ]
    return frame_of(reference.columns if reference else (), rows)


def _buckets(connection: Connection) -> list[tuple[Bucket, Location]]:
    filters = connection.settings.display_filters
    if filters:
        return [(Bucket(one.bucket, connection.regions.of(one.bucket), None), one) for one in filters]
    return [(one, Location(one.name)) for one in all_buckets(connection)]


def list_frame(connection: Connection, plan: ListObjects) -> tuple[S3Frame, bool]:
    """The frame of LIST, and whether LIMIT left rows out.

    Raises:
        IncompleteListingError, ListingInterrupted: `rows_so_far` is a frame of this shape.
    """
    filters = connection.settings.display_filters
    if plan.location is None and not filters and not plan.recursive:
        return _bucket_rows(connection, plan)
    places = (
        [plan.location] if plan.location else filters or tuple(Location(one.name) for one in all_buckets(connection))
    )
    return _Rows(connection, plan).of(_apart(places) if plan.recursive else places)


def _bucket_rows(connection: Connection, plan: ListObjects) -> tuple[S3Frame, bool]:
    """Without a location the buckets themselves are the folders."""
    names = [one.name for one in all_buckets(connection)]
    if plan.matching is not None:
        glob = Glob.compile(plan.matching)
        names = [name for name in names if glob.matches(name)]
    shown = names if plan.limit is None else names[: plan.limit]
    columns = listing_columns(versions=plan.versions)
    blank = dict.fromkeys((column.name for column in columns), None)
    rows = [tuple({**blank, "bucket": name, "key": "", "is_prefix": True}.values()) for name in shown]
    return frame_of(columns, rows), len(shown) < len(names)


def _apart(places: Sequence[Location]) -> list[Location]:
    """The places without those that another covers, so that no key is listed twice."""
    return [one for one in places if not any(other != one and other.covers(one) for other in places)]


class _Rows:
    """The rows of several places, one after the other, up to the limit."""

    def __init__(self, connection: Connection, plan: ListObjects) -> None:
        self._connection = connection
        self._plan = plan
        self._tables: list[tuple[str, pa.Table]] = []
        self._cut = False

    def of(self, places: Sequence[Location]) -> tuple[S3Frame, bool]:
        for place in places:
            left = None if self._plan.limit is None else self._plan.limit - sum(len(table) for _, table in self._tables)
            try:
                self._list(place, left)
            except (IncompleteListingError, ListingInterrupted) as error:
                self._tables.append((place.bucket, error.rows_so_far))
                error.rows_so_far = self._frame()
                raise
        return self._frame(), self._cut

    def _list(self, place: Location, left: int | None) -> None:
        plan = self._plan
        with Listing(
            self._connection.target(place.bucket),
            place.key,
            delimiter=None if plan.recursive else "/",
            versions=plan.versions,
            matching=Glob.compile(plan.matching) if plan.matching is not None else None,
            limit=left,
        ) as listing:
            self._tables.append((place.bucket, listing.collect()))
            self._cut = self._cut or listing.truncated

    def _frame(self) -> S3Frame:
        return listing_frame(self._tables, versions=self._plan.versions)
