"""Frames of SHOW BUCKETS, LIST, ANALYZE, COMPARE and DISCOVER, also from inventory reports."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.connections.probe import ListedBucket, all_buckets, roots
from s3conn_magic.datasets import LOOKS, find
from s3conn_magic.datasets.comparing import Side, differences_of
from s3conn_magic.datasets.layout import Layout
from s3conn_magic.datasets.sampling import Sampler
from s3conn_magic.errors import (
    IncompleteListingError,
    InventoryError,
    ListingInterrupted,
    QueryError,
    S3ConnError,
    StatementInterrupted,
)
from s3conn_magic.inventory import open_manifest
from s3conn_magic.inventory.reading import Inventory
from s3conn_magic.lakes import OWN_FOLDER, TableAccess, among_column, at, tables_around
from s3conn_magic.lakes.opening import newest_version
from s3conn_magic.language.reference import columns_of
from s3conn_magic.language.result_columns import ANALYSIS_COLUMNS, COMPARISON_COLUMNS, DATASET_COLUMNS
from s3conn_magic.language.words import counted, literal
from s3conn_magic.listing import Listing
from s3conn_magic.listing.analysis import GB, GROUPS, STORAGE_USD, Scan, Summary, by_prefix, grouping
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.filesystem import ConnectionFileSystem
from s3conn_magic.objects.listed import Path, escaped
from s3conn_magic.objects.uploads import unfinished
from s3conn_magic.results.frames import S3Frame, frame_of, listing_columns, listing_frame, table_frame
from s3conn_magic.runtime.patterns import Glob, like

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3conn_magic.cluster.sweep import ClusterListing, ClusterScan
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.datasets import Discovery
    from s3conn_magic.datasets.portrait import Dataset
    from s3conn_magic.inventory import Manifest
    from s3conn_magic.lakes import LakeRoot
    from s3conn_magic.language.reference import AnalyzeBy
    from s3conn_magic.listing.request import Progress
    from s3conn_magic.transport import Target


def buckets_frame(connection: Connection, pattern: str | None) -> S3Frame:
    """Return one row for each bucket; with display filters, one for each filter, without a ListBuckets request."""
    rows = [
        (bucket.name, where.uri, bucket.region, bucket.created_at)
        for bucket, where in _buckets(connection)
        if like(pattern, bucket.name)
    ]
    return frame_of(columns_of("SHOW BUCKETS"), rows)


def _buckets(connection: Connection) -> list[tuple[ListedBucket, Location]]:
    filters = connection.settings.display_filters
    if filters:
        return [(ListedBucket(place.bucket, connection.regions.of(place.bucket), None), place) for place in filters]
    return [(bucket, Location(bucket.name)) for bucket in all_buckets(connection)]


def open_here(connection: Connection, place: Location, **options: Any) -> Listing:
    """Return a listing that runs in this process."""
    return Listing(connection.target(place.bucket), place.key, **options)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """How a listing runs.

    Attributes:
        limit: maximum rows, or None.
        connections: maximum concurrent requests.
        report: called with the progress several times a second, or None.
        opened: creates the listing of a connection's location, with a listing's keyword arguments.
        recursive: whether folders are opened.
        versions: whether each version is a row.
        matching: a glob of the keys below the location, or None.
    """

    limit: int | None
    connections: int
    report: Callable[[Progress], None] | None = None
    opened: Callable[..., Listing | ClusterListing] = open_here
    recursive: bool = False
    versions: bool = False
    matching: str | None = None

    @property
    def glob(self) -> Glob | None:
        """The glob, compiled."""
        return None if self.matching is None else Glob.compile(self.matching)


def list_frame(connection: Connection, location: Location | None, options: ListOptions) -> tuple[S3Frame, bool]:
    """Return the frame of LIST, and whether the limit left rows out.

    Raises:
        IncompleteListingError, ListingInterrupted: `rows_so_far` is such a frame, labelled as partial.
    """
    filters = connection.settings.display_filters
    if location is None and not filters and not options.recursive:
        return _bucket_rows(connection, options)
    places = [location] if location else roots(connection)
    return _PlaceLister(connection, options).of(_without_nested(places) if options.recursive else places)


def _bucket_rows(connection: Connection, options: ListOptions) -> tuple[S3Frame, bool]:
    """Return a row for each bucket: without a location, the buckets are the folders."""
    names = [bucket.name for bucket in all_buckets(connection)]
    if (glob := options.glob) is not None:
        names = [*compress(names, glob.wants(names))]
    listed = names[: options.limit]
    columns = listing_columns(versions=options.versions)
    blank = dict.fromkeys((column.name for column in columns), None)
    rows = [tuple({**blank, "bucket": name, "key": "", "is_prefix": True}.values()) for name in listed]
    return frame_of(columns, rows), len(listed) < len(names)


def _without_nested(places: Sequence[Location]) -> list[Location]:
    """Return the places without those covered by another, so that no key is listed twice."""
    return [place for place in places if not any(other != place and other.covers(place) for other in places)]


class _PlaceLister:
    """Lists several places one after the other, up to the limit."""

    def __init__(self, connection: Connection, options: ListOptions) -> None:
        self._connection = connection
        self._options = options
        self._tables: list[tuple[str, pa.Table]] = []
        self._totals = (0, 0, 0, 0.0)
        self._truncated = False

    def of(self, places: Sequence[Location]) -> tuple[S3Frame, bool]:
        for place in places:
            try:
                self._list(place, alone=len(places) == 1)
            except (IncompleteListingError, ListingInterrupted) as error:
                self._tables.append((place.bucket, error.rows_so_far))
                self._label(error)
                raise
            except S3ConnError as error:
                if not self._tables:
                    raise
                incomplete = self._incomplete(place, error)
                self._label(incomplete)
                raise incomplete from None
        return self._report_frame(), self._truncated

    def _remaining(self) -> int | None:
        limit = self._options.limit
        return None if limit is None else limit - sum(len(table) for _, table in self._tables)

    def _list(self, place: Location, *, alone: bool) -> None:
        options = self._options
        with options.opened(
            self._connection,
            place,
            delimiter=None if options.recursive else "/",
            versions=options.versions,
            matching=options.glob,
            limit=self._remaining(),
            connections=options.connections,
        ) as listing:
            table = listing.collect(on_progress=None if options.report is None else self._reporter(alone=alone))
            self._tables.append((place.bucket, table))
            self._truncated = self._truncated or listing.truncated
            self._totals = self._totals_with(listing.progress)

    def _reporter(self, *, alone: bool) -> Callable[[Progress], None]:
        report = self._options.report

        def sum_up(progress: Progress) -> None:
            keys, size, requests, elapsed = self._totals_with(progress)
            fraction = progress.fraction if alone else None
            if report is not None:
                report(replace(progress, keys=keys, bytes=size, requests=requests, elapsed=elapsed, fraction=fraction))

        return sum_up

    def _totals_with(self, progress: Progress) -> tuple[int, int, int, float]:
        keys, size, requests, elapsed = self._totals
        return keys + progress.keys, size + progress.bytes, requests + progress.requests, elapsed + progress.elapsed

    def _incomplete(self, place: Location, error: S3ConnError) -> IncompleteListingError:
        return IncompleteListingError(
            f"the listing is incomplete, it failed at {visible(place.uri)}: {error.message}",
            rows_so_far=None,
            reason=error.message,
            hint=error.hint,
        )

    def _label(self, error: IncompleteListingError | ListingInterrupted) -> None:
        error.rows_so_far = self._report_frame()
        error.rows_so_far.attrs["partial"] = error.message

    def _report_frame(self) -> S3Frame:
        return listing_frame(self._tables, versions=self._options.versions)


def inventory_frame(connection: Connection, report: Location, options: ListOptions) -> tuple[S3Frame, bool, str]:
    """Return the frame of LIST FROM INVENTORY, whether the limit left rows out, and a note on the report's date.

    Raises:
        InventoryError: the report is damaged, or is not one.
        ListingInterrupted: `rows_so_far` is such a frame, labelled as partial.
        S3ConnError: it cannot be read.
    """
    manifest = open_manifest(connection, report)
    inventory = Inventory(
        connection,
        manifest,
        matching=options.glob,
        limit=options.limit,
        connections=options.connections,
    )
    try:
        frame = _report_frame(manifest, inventory.collect(on_progress=options.report))
    except ListingInterrupted as error:
        error.rows_so_far = _report_frame(manifest, error.rows_so_far)
        error.rows_so_far.attrs["partial"] = error.message
        raise
    return frame, inventory.truncated, manifest.as_of


def _report_frame(manifest: Manifest, rows: pa.Table) -> S3Frame:
    return listing_frame([(manifest.bucket, rows)], versions=manifest.versions)


class Analysis(NamedTuple):
    """What ANALYZE counts: objects below a location by group, of `depth` folders if it is a PREFIX."""

    location: Location
    by: AnalyzeBy
    depth: int = 1


def analysis_frame(
    target: Target,
    analysis: Analysis,
    *,
    connections: int,
    report: Callable[[Progress], None] | None = None,
    now: datetime | None = None,
    scan: Callable[[datetime], ClusterScan] | None = None,
    named: bool = False,
) -> S3Frame:
    """Return the frame of ANALYZE.

    Args:
        target: the bucket of the location.
        analysis: what is counted.
        connections: maximum concurrent requests.
        report: called with the progress several times a second, in this thread.
        now: the time that ages are counted from; by default the current time.
        scan: creates the scan for that time; by default one in this process.
        named: whether BY PREFIX gives each object directly in the folder a group of its own.

    Returns:
        The columns of ANALYZE, one row for each group, with times in UTC and `share` from 0 to 1 (0 if there are no
        bytes); most bytes first, but ages and sizes in their natural order.

    Raises:
        IncompleteListingError, ListingInterrupted: `rows_so_far` is such a frame, labelled as partial.
    """
    moment = now or datetime.now(UTC)
    key, depth = analysis.location.key, analysis.depth
    groups = Summary(
        by_prefix(key, depth, named=True) if named else grouping(analysis.by, prefix=key, depth=depth, now=moment)
    )
    here = partial(Scan, target, key, groups, connections=connections)
    with scan(moment) if scan else here() as scanning:
        return _groups_or_partial(lambda: scanning.total(on_progress=report))


_NEEDED = {"STORAGE_CLASS": ("storage_class",), "AGE": ("last_modified",)}


def inventory_analysis(
    connection: Connection,
    report: Location,
    options: ListOptions,
    *,
    where: Location | None,
    by: AnalyzeBy,
    depth: int,
    now: datetime | None = None,
) -> tuple[S3Frame, Analysis, str]:
    """Return the frame of ANALYZE … FROM INVENTORY, the equivalent analysis, and a note on the report.

    Without a location, the whole bucket of the report is counted.

    Raises:
        InventoryError: the report is damaged, not one, about another bucket, or lacks a needed field.
        IncompleteListingError, ListingInterrupted: `rows_so_far` is such a frame, labelled as partial.
        S3ConnError: it cannot be read.
    """
    manifest = open_manifest(connection, report)
    where = where or Location(manifest.bucket)
    if where.bucket != manifest.bucket:
        raise _wrong_bucket(manifest, where)
    manifest.check_fields("size", *_NEEDED.get(by, ()), *(("is_latest",) if manifest.versions else ()))
    summary = Summary(grouping(by, prefix=where.key, depth=depth, now=now or datetime.now(UTC)))
    rows = Inventory(connection, manifest, prefix=where.key, connections=options.connections)
    frame = _groups_or_partial(lambda: rows.total(summary, on_progress=options.report))
    more = " Of its versions, the current ones count." if manifest.versions else ""
    return frame, Analysis(where, by, depth), f"{manifest.as_of}{more}"


def _wrong_bucket(manifest: Manifest, where: Location) -> InventoryError:
    return InventoryError(
        f"the report is about the bucket {visible(manifest.bucket)}, and not about {visible(where.bucket)}",
        hint="Leave the location out, or name the report of that bucket.",
    )


def _groups_or_partial(total: Callable[[], pa.Table]) -> S3Frame:
    try:
        return _groups_frame(total())
    except (IncompleteListingError, ListingInterrupted) as error:
        error.rows_so_far = _groups_frame(error.rows_so_far)
        error.rows_so_far.attrs["partial"] = error.message
        raise


def _groups_frame(groups: pa.Table) -> S3Frame:
    sizes = groups["bytes"].cast(pa.float64())
    shares = pc.divide(sizes, max(pc.sum(sizes).as_py() or 0.0, 1.0))
    dollars = groups["usd_month"]
    groups = groups.set_column(
        groups.column_names.index("usd_month"), "usd_month", pc.if_else(pc.is_nan(dollars), None, dollars)
    )
    return table_frame(ANALYSIS_COLUMNS, groups.append_column("share", shares))


def analysis_of_rows(rows: pa.Table) -> S3Frame:
    """Return the frame of ANALYZE from groups that a query has added up, with the columns of `GROUPS`."""
    return _groups_frame(rows.cast(GROUPS).sort_by([("bytes", "descending"), ("group", "ascending")]))


def uploads_table(connection: Connection, place: Location) -> pa.Table:
    """Return the sizes of unfinished uploads by key, as a table of schema `GROUPS`.

    Raises:
        S3ConnError: they may not be listed.
    """
    uploads = list(unfinished(connection, place))
    prices = [STORAGE_USD.get(upload.storage_class, float("nan")) * upload.size / GB for upload in uploads]
    times = pa.array([upload.begun for upload in uploads], GROUPS.field("newest").type)
    columns = [[upload.key for upload in uploads], [1] * len(uploads), [upload.size for upload in uploads]]
    return pa.Table.from_arrays([*map(pa.array, columns), times, times, pa.array(prices)], names=GROUPS.names)


def datasets_of(
    connection: Connection,
    place: Location,
    options: ListOptions,
    named: Callable[[Location], str],
    *,
    report: Location | None = None,
    depth: int | None = None,
    looks: int | None = None,
) -> tuple[Discovery, str]:
    """Return the datasets below a location, and a note on the inventory report, if one was used.

    Args:
        connection: lists and reads them.
        place: the location.
        options: how the listing runs.
        named: returns a location as a query writes it.
        report: an inventory report to read instead of listing.
        depth: how many folders tell datasets apart; None for all.
        looks: how many objects of each dataset to look into; None for the default.

    Raises:
        IncompleteListingError, ListingInterrupted: `rows_so_far` is the frame that the keys listed so far give,
            labelled as partial.
        InventoryError: the report is damaged, not one, or lacks a needed field.
        S3ConnError: nothing can be listed.
    """
    layout, note = Layout(place.bucket, place.key, depth), ""
    looks = LOOKS if looks is None else looks
    write, sampler = lambda key: named(Location(place.bucket, key)), Sampler(connection, place.bucket)
    try:
        if report is None:
            with Scan(connection.target(place.bucket), place.key, layout, connections=options.connections) as scan:
                scan.total(on_progress=options.report)
        else:
            note = _add_report(connection, report, place, layout, options)
        return find(layout, sampler, looks, write), note
    except (IncompleteListingError, ListingInterrupted) as error:
        error.rows_so_far = datasets_frame(find(layout, sampler, 0, write).datasets)
        error.rows_so_far.attrs["partial"] = error.message
        raise
    except (StatementInterrupted, KeyboardInterrupt):
        message, rows = (
            "the search for datasets was interrupted",
            datasets_frame(find(layout, sampler, 0, write).datasets),
        )
    rows.attrs["partial"] = message
    raise ListingInterrupted(message, rows_so_far=rows)


class _MatchingLayout:
    """A layout that counts only objects matching a pattern."""

    def __init__(self, layout: Layout, glob: Glob, folder: str) -> None:
        self._layout, self._glob, self._start = layout, glob, len(folder)
        self.begin_again, self.lacks_rows, self.table = layout.begin_again, layout.lacks_rows, layout.table

    def add(self, objects: pa.RecordBatch) -> None:
        """Count the matching rows of a page."""
        keys = [key[self._start :] for key in objects.column("key").to_pylist()]
        self._layout.add(objects.filter(pa.array(self._glob.wants(keys), pa.bool_())))


def described(connection: Connection, place: Location, named: Callable[[Location], str], most: int) -> Dataset:
    """Return the dataset at a location: an object, the matches of a pattern, or a folder's contents.

    Args:
        connection: lists and reads it.
        place: the object, pattern or folder.
        named: returns a location as a query writes it.
        most: maximum concurrent requests.

    Raises:
        QueryError: there is no dataset, or a folder holds several.
        S3ConnError: it cannot be listed.
    """
    path = Path(None, place)
    folder = place.key
    if path.has_wildcard:
        folder = folder[: min(folder.find(sign) % (len(folder) + 1) for sign in "*?[{")]
        folder = folder[: folder.rfind("/") + 1]
    layout = Layout(place.bucket, folder)
    counting: Any = layout
    if path.has_wildcard:
        counting = _MatchingLayout(layout, Glob.compile(place.key[len(folder) :]), folder)
    with Scan(connection.target(place.bucket), folder, counting, connections=most) as scan:
        scan.total()
    write = lambda key: named(Location(place.bucket, key))  # noqa: E731 - as in `datasets_of`
    datasets = find(layout, Sampler(connection, place.bucket), LOOKS, write).datasets
    exact = [each for each in datasets if each.location == Location(place.bucket, escaped(place.key)).uri]
    holds = [each for each in exact or datasets if each.columns is not None]
    if path.has_wildcard and holds:
        source = named(place)
        return replace(max(holds, key=lambda each: each.objects), named=source, query=f"FROM {literal(source)}")
    if len(holds) == 1:
        return replace(holds[0], query=holds[0].query.removesuffix(" LIMIT 100"))
    where = visible(place.uri)
    if not holds:
        raise QueryError(f"there is no table at {where}", hint="DISCOVER shows the datasets, PREVIEW one object.")
    uris = [visible(each.location) for each in holds[:3]]
    raise QueryError(f"{where} holds {counted(len(holds), 'dataset')}", hint=f"Name one of them, such as {uris[0]}.")


class Compared(NamedTuple):
    """A side of COMPARE: a location, or the report at it; `as_of` selects versions of the bucket."""

    connection: Connection
    location: Location
    report: bool = False
    as_of: datetime | None = None


def comparison(sides: Sequence[Compared], by: str, options: ListOptions) -> tuple[S3Frame, str]:
    """Return the frame of COMPARE, and a note on it.

    Raises:
        InventoryError: a report is damaged, or is not one.
        IncompleteListingError, ListingInterrupted, S3ConnError: a side could not be listed completely.
    """
    left, right = (_rows_of_side(side, options) for side in sides)
    differences = differences_of(left[0], right[0], (left[1], right[1]), by)
    keys = [side.location.key for side in sides]
    same = " Both sides are the same." * (sides[0] == sides[1])
    if all(keys) and keys[0].endswith("/") != keys[1].endswith("/"):
        same = " Keys are compared behind the locations: end both with /, or neither."
    elif before := differences.other_level:
        same = f" Keys of one side have {visible(before)} before those of the other: compare that folder."
    return table_frame(COMPARISON_COLUMNS, differences.table), differences.note(by) + same


def _rows_of_side(side: Compared, options: ListOptions) -> tuple[pa.Table, str]:
    connection, place = side.connection, side.location
    if side.report:
        manifest = open_manifest(connection, place)
        manifest.check_fields("size", "etag", "last_modified", *(("is_latest",) if manifest.versions else ()))
        report = Inventory(connection, manifest, connections=options.connections)
        rows = report.collect(on_progress=options.report)
        if manifest.versions:
            deleted = pc.fill_null(rows["is_delete_marker"], False)
            rows = rows.filter(pc.and_(rows["is_latest"], pc.invert(deleted)))
        return rows.sort_by("key"), ""

    def listing() -> Listing:
        target, versions = connection.target(place.bucket), side.as_of is not None
        return Listing(target, place.key, versions=versions, connections=options.connections)

    return Side(listing, place.key, side.as_of).rows(options.report), place.key


def _add_report(connection: Connection, report: Location, place: Location, layout: Layout, options: ListOptions) -> str:
    manifest = open_manifest(connection, report)
    if place.bucket != manifest.bucket:
        raise _wrong_bucket(manifest, place)
    manifest.check_fields("size", "last_modified", *(("is_latest",) if manifest.versions else ()))
    rows = Inventory(connection, manifest, prefix=place.key, connections=options.connections)
    rows.total(layout, on_progress=options.report)
    return manifest.as_of


def report_bucket(connection: Connection, report: Location) -> Location:
    """Return the bucket that an inventory report is about.

    Raises:
        S3ConnError: there is no report.
    """
    return Location(open_manifest(connection, report).bucket)


def datasets_frame(datasets: Sequence[Dataset]) -> S3Frame:
    """Return the frame of DISCOVER: one row for each dataset, the largest first."""
    return frame_of(DATASET_COLUMNS, [_dataset_row(dataset) for dataset in datasets])


def _dataset_row(dataset: Dataset) -> tuple[Any, ...]:
    columns = None if dataset.columns is None else [f"{name} {kind}" for name, kind in dataset.columns]
    times = [
        None if time is None else pd.Timestamp(time, unit="us", tz="UTC") for time in (dataset.oldest, dataset.newest)
    ]
    return (
        dataset.location,
        dataset.kind,
        dataset.format or None,
        dataset.compression or None,
        [str(partition) for partition in dataset.partitions],
        dataset.objects,
        dataset.bytes,
        dataset.rows,
        dataset.bound,
        columns,
        dataset.drift or None,
        *times,
        dataset.small / dataset.objects if dataset.objects else 0.0,
        dataset.query or None,
        dataset.reason,
    )


_BADGES_AT_MOST = 3


def table_notes(connection: Connection, location: Location | None, frame: S3Frame | None = None) -> list[str]:
    """Return notes on lake tables: the one that contains or is at a location, and those among listed rows.

    Args:
        connection: looks up their versions.
        location: what was listed; None for buckets.
        frame: of the listing; without one, the folders around the location are looked up.
    """
    if location is None:
        return []
    with suppress(S3ConnError):
        if frame is None:
            roots = tables_around(connection, location.bucket, [location.key])[:1]
        else:
            is_table = frame["key"].isin([location.key + folder for folder in OWN_FOLDER.values()]).any()
            here = at(connection, location) if is_table else None
            roots = [here] if here else list(among_column(location.bucket, pa.array(frame["key"])).values())
        badges = [f"{visible(root.location.uri)} is {badge(connection, root)}." for root in roots[:_BADGES_AT_MOST]]
        if (more := len(roots) - _BADGES_AT_MOST) > 0:
            badges.append(f"{counted(more, 'more table')} of such formats.")
        return badges
    return []


def badge(connection: Connection, root: LakeRoot) -> str:
    """Return format and newest version of a lake table, such as `Delta, version 12`; if damaged, only the format."""
    filesystem = ConnectionFileSystem(lambda _: connection)
    try:
        with filesystem.query():
            return f"{root.format}, {newest_version(TableAccess(connection, filesystem, root))}"
    except S3ConnError:
        return root.format
