"""EXPLAIN: forecast a statement's requests, and their cost at the list prices of one region.

Source: Amazon S3 pricing, "Requests & data retrievals", S3 Standard, US East (N. Virginia), as published in 2025.
Other regions and storage classes differ; storage, retrieval and data transfer are not included. DELETE and STS are
free.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from s3conn_magic.connections.configuration import Configuration
from s3conn_magic.connections.faults import right_of
from s3conn_magic.connections.probe import has_directory_buckets
from s3conn_magic.errors import S3ConnError
from s3conn_magic.language import plans, statements
from s3conn_magic.language.options import Settings
from s3conn_magic.language.plans import CreateJob
from s3conn_magic.language.result_columns import EXPLAIN_COLUMNS
from s3conn_magic.locations import Location, looks_pasted, partition_of, size_text, split_version, with_partition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.connections.registry import Registry
    from s3conn_magic.jobs.registry import Jobs
    from s3conn_magic.locations import Pasted
    from s3conn_magic.query.tables import Table
    from s3conn_magic.results.frames import S3Frame
    from s3conn_magic.session.queries import Queries

REGION = "us-east-1"
AS_OF = "2025"
LIST_USD = 0.005
"""US dollars per 1,000 PUT, COPY, POST or LIST requests."""
GET_USD = 0.0004
"""US dollars per 1,000 GET, HEAD and other requests."""
STATED = (
    f"Dollars are S3's list prices ({REGION}, S3 Standard, as of {AS_OF}) for requests alone: ${LIST_USD} per 1,000 of"
    f" LIST and PUT, ${GET_USD} per 1,000 of GET and HEAD. Retries are not counted."
)
_LISTS = frozenset(
    {
        "CreateMultipartUpload",
        "ListBuckets",
        "ListDirectoryBuckets",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjectsV2",
        "PutObject",
        "UploadPart",
    }
)
_FREE = frozenset({"AbortMultipartUpload", "AssumeRole", "DeleteObject", "DeleteObjects", "GetCallerIdentity"})


def usd(operation: str, requests: int) -> float:
    """Return the cost of requests in US dollars."""
    each = LIST_USD if operation in _LISTS else 0.0 if operation in _FREE else GET_USD
    return each * requests / 1000


Bound = Literal["exactly", "at least", "at most", "unknown"]
_ALL = "arn:aws:s3:::*"
_STS = frozenset({"AssumeRole", "GetCallerIdentity"})
_QUOTED = re.compile(r"'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"")
_LISTINGS = re.compile(r"(?i)\bobjects\s*\(\s*'([^']*)'")
_REPORTS = re.compile(r"(?i)\binventory\s*\(\s*'([^']*)'")
_KEYS, _BUCKETS = "one for 1,000 keys and folders", "one for 1,000 buckets"
_MORE = "one or more for each object that is read and not kept (SET CACHE)"


class Call(NamedTuple):
    """Requests of one operation; `requests` is None if their number is unknown."""

    operation: str
    resource: str
    requests: int | None
    bound: Bound
    detail: str = ""
    version: bool = False

    @property
    def row(self) -> tuple[Any, ...]:
        """The row for the frame."""
        service = "STS" if self.operation in _STS else "S3"
        dollars = None if self.requests is None else usd(self.operation, self.requests)
        action, resource = right_of(self.operation, self.resource, version=self.version)
        return (f"{service} {self.operation}", action, resource, self.requests, self.bound, dollars, self.detail)


def forecast_frame(forecast: Forecast, plan: plans.Plan) -> S3Frame:
    """Return one row for each kind of request; no rows for a plan that sends none.

    Raises:
        S3ConnError: the plan would be refused before its first request.
    """
    from s3conn_magic.results.frames import frame_of

    region = forecast.region(plan)
    calls = (call._replace(resource=with_partition(call.resource, partition_of(region))) for call in forecast.of(plan))
    return frame_of(EXPLAIN_COLUMNS, [call.row for call in calls])


def stated(frame: S3Frame) -> str:
    """Return the note that goes with the frame."""
    return STATED if len(frame) else "The statement sends no request."


class Forecast:
    """Predicts the requests of plans from the session's connections, tables and jobs."""

    def __init__(self, connections: Registry, queries: Queries, jobs: Jobs) -> None:
        self._connections = connections
        self._queries = queries
        self._jobs = jobs

    def region(self, plan: plans.Plan | statements.Statement) -> str:
        """Return the region of the connection that a plan uses, or an empty text."""
        if isinstance(plan, plans.Create | plans.Alter):
            return Settings(plan.options).region or ""
        oldest = next((connection.name for connection in self._connections), "")
        name = plan.through or self._connections.default or oldest
        return str(self._connections.get(name).shown_configuration.region.value) if name in self._connections else ""

    @singledispatchmethod
    def of(self, plan: plans.Plan | statements.Statement) -> list[Call]:
        """Return a plan's requests, in order: of its location or query, and of what it stores, if none are its own."""
        text, location, storage = (getattr(plan, clause, None) for clause in ("text", "location", "storage"))
        if location is not None:
            return self._table_over(self._connection(plan.through), location)
        return [*(self._read(text) if text else []), *(self._stored(*storage, filled=bool(text)) if storage else [])]

    @of.register
    def _create(self, plan: plans.Create | plans.Alter) -> list[Call]:
        settings = Settings(plan.options)
        nobody = settings.anonymous and not settings.display_filters
        if not plan.validate or (nobody and Configuration.of(settings).is_aws):
            return []
        who = [] if settings.anonymous else [*_assume_role(settings, "exactly"), _identity()]
        filters = settings.display_filters
        if not filters:
            return [*who, Call("ListBuckets", _ALL, 1, "exactly", "the first page")]
        pages = [
            Call("ListObjectsV2", _bucket(location), 1, "exactly", f"one key of {location.uri}") for location in filters
        ]
        return [*who, *_regions(settings, filters), *pages]

    def _reach(self, connection: Connection, *places: Location) -> list[Call]:
        """Return the requests to assume the role and to find the buckets' regions, which come before all others."""
        known = connection.regions.knows
        lost = [place for place in places if not known(place.bucket)]
        return [*_assume_role(connection.settings, "at most"), *_regions(connection.settings, lost)]

    def _connection(self, name: str) -> Connection:
        return self._connections.get(name)

    @of.register
    def _test(self, plan: statements.TestConnection) -> list[Call]:
        connection = self._connection(plan.through)
        settings = connection.settings
        where = plan.location or next(iter(settings.display_filters), None)
        places = [where] if where else []
        calls = [*self._reach(connection, *places), *([] if settings.anonymous else [_identity()]), _buckets()]
        for place in places:
            calls.append(Call("ListObjectsV2", _bucket(place), 2, "exactly", "ten keys at most"))
            calls.append(Call("GetObject", _objects(place), 1, "at most", "one byte of the first"))
            if plan.with_write and not settings.read_only:
                calls.append(Call("PutObject", _objects(place), 1, "exactly", "six bytes"))
                calls.append(Call("DeleteObject", _objects(place), 1, "at least", "of versions, too"))
                calls.append(Call("ListObjectVersions", _bucket(place), 1, "at most", "where an answer got lost"))
        return calls

    @of.register
    def _show_buckets(self, plan: statements.ShowBuckets) -> list[Call]:
        connection = self._connection(plan.name)
        filters = connection.settings.display_filters
        return [*self._reach(connection, *filters), *([] if filters else _all_buckets(connection))]

    @of.register
    def _list(self, plan: statements.ListObjects) -> list[Call]:
        connection = self._connection(plan.name)
        operation = "ListObjectVersions" if plan.versions else "ListObjectsV2"
        places = [plan.location] if plan.location else [*connection.settings.display_filters]
        if places:
            listed = [call for place in places for call in _listing_of(place, operation, plan.matching, plan.limit)]
            return [*self._reach(connection, *places), *listed]
        first = [*self._reach(connection), *_all_buckets(connection)]
        return [*first, *_each_bucket(connection, operation)] if plan.recursive else first

    @of.register
    def _list_inventory(self, plan: statements.ListInventory) -> list[Call]:
        return self._inventory(self._connection(plan.name), plan.location)

    def _inventory(self, connection: Connection, place: Location) -> list[Call]:
        from s3conn_magic.inventory import PART

        data = f"the manifest and its checksum; one for each {size_text(PART)} of data"
        calls = [
            Call("HeadObject", place.arn, None, "unknown", "one for each data file, and what finds the manifest"),
            Call("GetObject", _objects(Location(place.bucket)), 2, "at least", data),
        ]
        if not place.key.endswith(".json"):
            calls.insert(0, Call("ListObjectsV2", _bucket(place), 1, "at least", "for the newest report"))
        return [*self._reach(connection, place), *calls]

    @of.register
    def _explore(self, plan: statements.Explore) -> list[Call]:
        connection, place = self._connection(plan.name), plan.location
        later = Call("ListObjectsV2", _bucket(place) if place else _ALL, None, "unknown", "one for a folder opened")
        if place:
            return [*self._reach(connection, place), later._replace(requests=1, bound="at least")]
        if filters := connection.settings.display_filters:
            return [*self._reach(connection, *filters), later]
        return [*self._reach(connection), _buckets(), later]

    @of.register
    def _explore_all(self, plan: statements.ExploreAll) -> list[Call]:
        del plan
        what = "when a connection without display filters is opened"
        later = Call("ListObjectsV2", _ALL, None, "unknown", "one for a folder that is opened")
        return [Call("ListBuckets", _ALL, None, "unknown", what), later]

    @of.register
    def _analyze(self, plan: statements.Analyze) -> list[Call]:
        connection = self._connection(plan.name)
        if plan.inventory is not None:
            return self._inventory(connection, plan.inventory)
        assert plan.location is not None  # noqa: S101 - the grammar takes one of the two
        kinds = {"VERSIONS": "ListObjectVersions", "UPLOADS": "ListMultipartUploads"}
        calls = _listing_of(plan.location, kinds.get(plan.by, "ListObjectsV2"))
        if plan.by == "UPLOADS":
            calls.append(Call("ListParts", _objects(plan.location), None, "unknown", "one or more for each upload"))
        return [*self._reach(connection, plan.location), *calls]

    @of.register
    def _discover(self, plan: statements.Discover) -> list[Call]:
        from s3conn_magic.datasets import LOOKS

        connection, looks = self._connection(plan.name), LOOKS if plan.sample is None else plan.sample
        place = plan.location or plan.inventory
        if plan.inventory is not None:
            first = self._inventory(connection, plan.inventory)
        elif place is not None:
            first = [*self._reach(connection, place), *_listing_of(place)]
        else:
            first = [*self._reach(connection), _buckets(), *_each_bucket(connection, "ListObjectsV2")]
        each = f"at most {looks} of 66 kB for each dataset, and a few notes of each lake table"
        calls = [*first, Call("GetObject", _objects(plan.location) if plan.location else _ALL, None, "unknown", each)]
        if plan.exact:
            calls.append(Call("GetObject", calls[-1].resource, None, "unknown", "what counting the rows takes"))
        return calls if looks or plan.exact else first

    @of.register
    def _preview(self, plan: statements.Preview) -> list[Call]:
        connection, (place, version) = self._connection(plan.name), _split_version(plan.location)
        version = version or bool(plan.version)
        looks = Call("HeadObject", place.arn, 1, "at least", version=version)
        needs = "the ranges that it needs; none of an empty object"
        reads = Call("GetObject", place.arn, None, "unknown", needs, version)
        return [*self._reach(connection, place), looks, reads]

    @of.register
    def _compare(self, plan: statements.Compare) -> list[Call]:
        calls: list[Call] = []
        for side in (plan.left, plan.right):
            connection, place = self._connection(side.name), side.location
            operation = "ListObjectsV2" if side.as_of is None else "ListObjectVersions"
            listed = [*self._reach(connection, place), *_listing_of(place, operation)]
            calls += self._inventory(connection, place) if side.report else listed
        return calls

    @of.register(statements.DescribeRows)
    @of.register(statements.Summarize)
    def _describe(self, plan: statements.Rows) -> list[Call]:
        if plan.location is None:
            return [*self._read(plan.text)]
        connection = self._connection(plan.connection)
        return self._files(connection, _prefix_before_wildcard(plan.location) or plan.location)

    def _stored(self, name: str, place: Location, *, filled: bool) -> list[Call]:
        """Return the requests that create a table whose files are in S3."""
        data = _DATA if filled else []
        writes = [_listing(place, "whether there is anything"), *_puts(place, [*data, _NEWEST, _POINTER, *_TRIED])]
        return [*self._reach(self._connection(name), place), *writes]

    @of.register
    def _insert_into(self, plan: statements.InsertInto) -> list[Call]:
        return [*self._read(plan.text), *self._append(plan.name.text)]

    @of.register
    def _merge(self, plan: statements.MergeInto) -> list[Call]:
        rows = Call("GetObject", "", None, "unknown", "all of its rows, and those of the source")
        calls = self._append(plan.name.text)
        return [rows._replace(resource=calls[0].resource), *calls] if calls else []

    @of.register
    def _alter_table(self, plan: statements.AlterTable) -> list[Call]:
        return self._commit(plan.name.text, _STATE, [])

    @of.register
    def _optimize(self, plan: statements.OptimizeTable) -> list[Call]:
        several = self._commit(plan.name.text, (*_STATE, "each manifest, and each file that is put together"), _DATA)
        calls = [call._replace(bound="at least") for call in several]
        return [*calls, *(_listing(self._place(table), "its folders") for table in self._managed(plan.name.text))]

    @of.register
    def _snapshots(self, plan: statements.ShowSnapshots) -> list[Call]:
        return self._commit(plan.name.text, _STATE, None)

    @of.register
    def _drop_table(self, plan: statements.DropTable) -> list[Call]:
        if plan.delete_data is None or not plan.delete_data.value:
            return []
        return [
            call
            for table in self._managed(plan.name.text)
            for call in (
                _listing(self._place(table), "its folders")._replace(requests=2),
                Call("DeleteObject", _objects(self._place(table)), 1, "exactly", _POINTER),
                Call("DeleteObjects", _objects(self._place(table)), 1, "at least", "one for 1,000 objects"),
            )
        ]

    def _managed(self, name: str) -> list[Table]:
        """Return the table of this name if its files are in S3, otherwise an empty list."""
        return [
            each for each in self._queries.engine.tables if each.catalog and each.name.casefold() == name.casefold()
        ]

    @staticmethod
    def _place(table: Table) -> Location:
        assert table.location is not None  # noqa: S101 - a table whose files are in S3 has one
        return table.location

    def _append(self, name: str) -> list[Call]:
        return self._commit(name, _WITH_ROWS, _DATA)

    def _commit(self, name: str, read: Sequence[str], data: Sequence[str] | None) -> list[Call]:
        """Return what a change to a table reads and writes; `data` None means that it writes nothing."""
        calls: list[Call] = []
        for table in self._managed(name):
            place = self._place(table)
            written = [] if data is None else [*data, _NEWEST, _POINTER]
            calls += [
                *self._reach(self._connection(table.connections[0]), place),
                *_gets(place, read),
                *_puts(place, written),
            ]
        return calls

    def _files(self, connection: Connection, place: Location) -> list[Call]:
        """Return the requests for the files below a location."""
        reads = Call("GetObject", _objects(place), None, "unknown", _MORE)
        return [*self._reach(connection, place), *_listing_of(place), reads]

    def _object(self, connection: Connection, place: Location) -> list[Call]:
        """Return the requests for one object of a query; a table created over it looks at it twice."""
        place, version = _split_version(place)
        why = "for its size; Parquet tells it with the first read"
        looks = Call("HeadObject", place.arn, 2, "at most", why, version)
        ranges = "the ranges that the query needs and that are not kept (SET CACHE)"
        reads = Call("GetObject", place.arn, None, "unknown", ranges, version)
        return [*self._reach(connection, place), looks, reads]

    def _table_over(self, connection: Connection, place: Location) -> list[Call]:
        """Return the requests for a table's files: one object, a pattern, or a folder."""
        from s3conn_magic.objects.formats import is_told

        if beginning := _prefix_before_wildcard(place):
            return self._files(connection, beginning)
        return (self._object if is_told(place.key) else self._files)(connection, place)

    def _read(self, text: str) -> Iterator[Call]:
        """Yield the requests of a query, for the paths and the tables over files in it."""
        engine = self._queries.engine
        reports, listings = dict.fromkeys(_REPORTS.findall(text)), dict.fromkeys(_LISTINGS.findall(text))
        for path in dict.fromkeys(_paths(text, self._connections.pasted)):
            yield from self._path(path, report=path in reports, listing=path in listings)
        table_names = {name.casefold() for name in engine.mentioned(text).tables}
        for table in engine.tables:
            if table.location is None or table.name.casefold() not in table_names:
                continue
            if not table.catalog:
                yield from self._table_over(self._connection(table.connections[0]), table.location)
                continue
            yield from self._commit(table.name, _WITH_ROWS, None)
            detail = "one or two for each file that the query needs and that is not kept (SET CACHE)"
            yield Call("GetObject", _objects(table.location), None, "unknown", detail)

    def _path(self, text: str, *, report: bool, listing: bool) -> list[Call]:
        from s3conn_magic.objects.listed import Path

        try:
            path = Path.parse(text)
        except S3ConnError:
            return [Call("GetObject", _ALL, None, "unknown", "of a path that the query puts together")]
        place, registry = path.location, self._connections
        connection = registry.chosen(place) if path.connection is None else registry.get(path.connection)
        if report:
            return self._inventory(connection, place)
        if listing:
            return [*self._reach(connection, place), *_listing_of(place)]
        if beginning := _prefix_before_wildcard(place):
            return self._files(connection, beginning)
        return self._object(connection, place)

    @of.register
    def _job(self, plan: CreateJob) -> list[Call]:
        if plan.location is None:
            return self._fill_job(plan)
        connection, place = self._connection(plan.connection), plan.location
        return self._insert(plan, connection, place) if plan.kind == "INSERT" else self._copy(plan, connection, place)

    def _fill_job(self, plan: CreateJob) -> list[Call]:
        """Return what a job that fills a table reads."""
        from s3conn_magic.query.merging import Merge

        return [*self._read(Merge.of(plan.table, plan.text).reading if plan.kind == "MERGE" else plan.text)]

    @of.register
    def _run_job(self, plan: statements.RunJob) -> list[Call]:
        return self.of(self._jobs.get(plan.name.text).plan)

    @of.register
    def _run_jobs(self, plan: statements.RunJobs) -> list[Call]:
        del plan
        return [call for job in self._jobs.due() for call in self.of(job.plan)]

    def _copy(self, plan: CreateJob, connection: Connection, place: Location) -> list[Call]:
        calls = [*self._files(connection, place)]
        if plan.options.get("DELETE_FILES_AFTER_LOAD"):
            connection.refuse_if_read_only("DELETE_FILES_AFTER_LOAD")
            calls.append(Call("DeleteObject", _objects(place), None, "unknown", "one for each object that was loaded"))
        return calls

    def _insert(self, plan: CreateJob, connection: Connection, place: Location) -> list[Call]:
        connection.refuse_if_read_only("INSERT INTO S3")
        before = [
            Call("ListMultipartUploads", _bucket(place), 1, "at least", "what an earlier run left"),
            Call("HeadObject", _objects(place), 1, "at least", "whether it is there already, and what was written"),
            Call("ListObjectsV2", _bucket(place), None, "unknown", "where it is not, and for what earlier runs wrote"),
        ]
        write = Call("PutObject", _objects(place), 1, "at least", "one; of a large object one for each part, and two")
        back = Call("GetObject", _objects(place), None, "unknown", "what was written is read back")
        return [*self._reach(connection, place), *before, *self._read(plan.text), write, back]


def _paths(text: str, read: Callable[[str], Pasted]) -> Iterator[str]:
    for single, double in _QUOTED.findall(text):
        path = single.replace("''", "'") or double.replace('""', '"')
        if path.startswith("s3://"):
            yield path
        elif looks_pasted(path):
            with suppress(ValueError):
                yield read(path).uri


_NEWEST, _POINTER = "its new metadata", "which state is the newest"
_STATE = (_POINTER, "its metadata")
_WITH_ROWS = (_POINTER, "its metadata, and where it has rows their manifests")
_DATA = ["a file of rows, or several", "a manifest", "a list of manifests"]
_TRIED = ["two to see that the server keeps conditions"]


def _listing(place: Location, detail: str) -> Call:
    return Call("ListObjectsV2", _bucket(place), 1, "at least", detail)


def _gets(place: Location, read: Sequence[str]) -> list[Call]:
    return [Call("GetObject", _objects(place), len(read), "at least", "; ".join(read))] if read else []


def _puts(place: Location, written: Sequence[str]) -> list[Call]:
    count = len(written) + (written[-1:] == _TRIED)
    return [Call("PutObject", _objects(place), count, "at least", "; ".join(written))] if written else []


def _split_version(place: Location) -> tuple[Location, bool]:
    """Return the object, and whether the location names one of its versions."""
    versioned = split_version(place)
    return (versioned.location, True) if versioned else (place, False)


def _prefix_before_wildcard(place: Location) -> Location | None:
    """Return the prefix before the first wildcard, or None if there is none."""
    head, *rest = re.split(r"[*?\[{]", place.key, maxsplit=1)
    return Location(place.bucket, head) if rest else None


def _identity() -> Call:
    return Call("GetCallerIdentity", "*", 1, "exactly")


def _all_buckets(connection: Connection) -> list[Call]:
    more = Call("ListDirectoryBuckets", "*", 1, "at least", "those of the connection's region")
    return [_buckets(), *([more] if has_directory_buckets(connection) else [])]


def _buckets() -> Call:
    return Call("ListBuckets", _ALL, 1, "at least", _BUCKETS)


def _assume_role(settings: Settings, bound: Bound) -> list[Call]:
    """Return the request that assumes the role, if there is one."""
    detail = "" if bound == "exactly" else "where the role is not assumed yet, or its hour is over"
    return [Call("AssumeRole", settings.role, 1, bound, detail)] if settings.role else []


def _regions(settings: Settings, places: Iterable[Location]) -> list[Call]:
    """Return the requests for the buckets' regions; none with REGION or ENDPOINT, nor for ARNs."""
    if not Configuration.of(settings).finds_regions:
        return []
    buckets = dict.fromkeys(place.bucket for place in places if not place.bucket.startswith("arn:"))
    return [Call("HeadBucket", Location(bucket).arn, 2, "at most", "for its region") for bucket in buckets]


def _bucket(place: Location) -> str:
    return Location(place.bucket).arn


def _objects(place: Location) -> str:
    return f"{place.arn}*" if place.key else f"{place.arn}/*"


def _listing_of(
    place: Location, operation: str = "ListObjectsV2", matching: str | None = None, limit: int | str | None = None
) -> list[Call]:
    """Return the requests of a listing, which is split by the prefixes that a glob's matches have."""
    from s3conn_magic.runtime.patterns import Glob

    heads = Glob.compile(matching).heads if matching is not None else ("",)
    bound: Bound = "at most" if limit == 0 else "at least"
    prefixes = [f"{place.key}{head}" for head in heads]
    detail = f"{_KEYS}; prefix '{prefixes[0]}'" if len(prefixes) == 1 else f"{_KEYS}; {len(prefixes)} prefixes"
    return [Call(operation, _bucket(place), len(prefixes), bound, detail)]


def _each_bucket(connection: Connection, operation: str) -> list[Call]:
    """Return the listing of each bucket; the last probe may know their number."""
    findings = connection.findings
    count = findings.buckets if findings else None
    regions: list[Call] = []
    if connection.configuration.finds_regions:
        regions = [Call("HeadBucket", _ALL, None, "unknown", "for the region of each bucket, two at most")]
    if count is None:
        return [*regions, Call(operation, _ALL, None, "unknown", f"{_KEYS}, of each bucket")]
    return [*regions, Call(operation, _ALL, count, "at least", f"{_KEYS}, of each bucket")]
