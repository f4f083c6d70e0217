"""What runs on a worker, and what that is told of a connection, which lasts no longer than it must.

A failure is a result as any other, so that a worker logs neither it nor its arguments.
"""

from __future__ import annotations

import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from s3conn_magic.connections.configuration import Effective, proxy_host
from s3conn_magic.connections.connection import Connection
from s3conn_magic.connections.credentials import session_triple
from s3conn_magic.errors import ClusterError, CredentialsError, S3ConnError
from s3conn_magic.language.options import BoundValue
from s3conn_magic.language.session_settings import Timeouts
from s3conn_magic.listing.analysis import MOST_GROUPS, Scan, Summary, grouping
from s3conn_magic.listing.listing import Listing, fetch_page
from s3conn_magic.listing.planner import UntrustedOrderError
from s3conn_magic.locations import visible
from s3conn_magic.objects.ranged import PinnedObject, RangedObject, ask_for
from s3conn_magic.objects.scope import QueryScope
from s3conn_magic.runtime import VERSION
from s3conn_magic.runtime.temporary import new_folder
from s3conn_magic.secrets import NotGivenError, Secret, opened, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    import pyarrow as pa

    from s3conn_magic.connections.bucket_target import BucketTarget
    from s3conn_magic.connections.configuration import Configuration
    from s3conn_magic.jobs.job import Candidate
    from s3conn_magic.language.reference import AnalyzeBy
    from s3conn_magic.listing.request import KeyRange, Progress
    from s3conn_magic.locations import Location
    from s3conn_magic.runtime.patterns import Glob

    Fetched = dict[Location, bytes | S3ConnError]

_OPEN = ("REGION", "ENDPOINT", "ADDRESSING_STYLE", "REQUESTER_PAYS", "ANONYMOUS")
_KEY_ID, _PROXY = "AWS_ACCESS_KEY_ID", "proxy"
_RENEW = 0.5


@dataclass(frozen=True, slots=True)
class Access:
    """How a worker reaches one bucket, as a task carries it: of no use without its pad, which is not in it.

    Attributes:
        mark: random; names the pad.
        name: of the connection.
        bucket: the bucket.
        region: to sign for, or None where the options or the endpoint say.
        options: values by the name of the option, none of them secret.
        sealed: the key pair, the token, and the URL of the proxy.
        configuration: what counts besides the options, as it was resolved where the statement runs.
        authorities: the CAs that are trusted, in PEM, where the statement's machine has its own.
        timeouts: of the session; its number of connections is each worker's.
    """

    mark: str
    name: str
    bucket: str
    region: str | None
    options: Mapping[str, Any] = field(repr=False)
    sealed: bytes = field(repr=False)
    configuration: Configuration | None = field(default=None, repr=False)
    authorities: bytes = field(default=b"", repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)

    def connection(self) -> AbstractContextManager[Connection]:
        """Return the connection of this worker for it, made once; READ_ONLY.

        Raises:
            NotGivenError: its pad is not here.
        """
        return opened(self.mark, self._made)

    def _made(self, pad: bytes) -> Connection:
        return _made(self, unseal(self.sealed, pad))


def _made(way: Access | Grant, keys: Mapping[str, Secret]) -> Connection:
    signed = {option: secret.reveal() if option == _KEY_ID else secret for option, secret in keys.items()}
    configuration, proxy = way.configuration, keys.get(_PROXY)
    signed.pop(_PROXY, None)
    values = {**way.options, **signed, "READ_ONLY": True}
    if configuration is not None and way.authorities:
        trusted = configuration.ca_bundle._replace(value=_file_of(way.authorities))
        configuration = configuration._replace(ca_bundle=trusted)
    if configuration is not None and proxy is not None:
        seen = Effective(proxy_host(proxy.reveal()), "the session")
        configuration = configuration._replace(proxy=seen, proxy_url=proxy)
    options = {option: BoundValue(value) for option, value in values.items()}
    connection = Connection(way.name, options, timeouts=lambda: way.timeouts, resolved=configuration)
    if way.region:
        connection.regions.learn(way.bucket, way.region)
    return connection


@cache
def _file_of(authorities: bytes) -> str:
    """Return the path of a file of CAs, which botocore takes by its path alone."""
    path = new_folder("authorities") / "ca.pem"
    path.write_bytes(authorities)
    return str(path)


@dataclass(frozen=True, slots=True)
class Grant:
    """What may be told of a connection to workers, while it is here; two are equal if they say the same.

    Attributes:
        name: of the connection.
        bucket: the bucket.
        region: as of `Access`.
        options: as of `Access`.
        keys: access key id, secret and token, none where requests are not signed; and the URL of the proxy.
        configuration, authorities, timeouts: as of `Access`.
    """

    name: str
    bucket: str
    region: str | None
    options: Mapping[str, Any]
    keys: Mapping[str, Secret]
    configuration: Configuration | None = None
    authorities: bytes = b""
    timeouts: Timeouts = field(default_factory=Timeouts)

    def sealed(self) -> tuple[Access, bytes]:
        """Return what tasks carry, and the pad that opens it."""
        sealed, pad = seal({name: secret.reveal() for name, secret in self.keys.items()})
        mark = secrets.token_hex(16)
        more = self.configuration, self.authorities, self.timeouts
        return Access(mark, self.name, self.bucket, self.region, self.options, sealed, *more), pad

    def connection(self) -> Connection:
        """Return a connection of this process, as a worker's would be."""
        return _made(self, self.keys)


class Accesses:
    """Makes what is told of connections, and remembers the session tokens that were asked for.

    Args:
        note: is told where a key pair that lasts is sent.
        way: how what is sent travels, in words.
        here: whether the workers are on this machine.
    """

    def __init__(self, note: Callable[[str], None], way: str, *, here: bool = False) -> None:
        self._note = note
        self._way = way
        self._here = here
        self._tokens: WeakKeyDictionary[Any, tuple[float, Any]] = WeakKeyDictionary()
        self._proxies: WeakSet[Any] = WeakSet()

    def of(self, connection: Connection, where: Location) -> Grant:
        """Return what a worker needs to read at a location.

        Raises:
            S3ConnError: the credentials or the region cannot be had.
        """
        region = connection.regions.of(where.bucket)
        options, configuration = _open_options(connection, region), connection.configuration
        nobody = Grant(
            connection.name,
            where.bucket,
            region,
            options,
            self._proxy(connection, where),
            configuration._replace(proxy=Effective(), elsewhere=Effective(True)),
            _authorities(configuration),
            connection.timeouts()._replace(cache=0),
        )
        if connection.settings.anonymous:
            return nobody
        connection.check_credentials()
        triple = connection.frozen_credentials()
        if not triple.token:
            triple = self._short_lived(connection, where, nobody, triple)
        return replace(nobody, keys={**nobody.keys, **_keys(triple)})

    def _proxy(self, connection: Connection, where: Location) -> dict[str, Secret]:
        """Return the proxy that requests of a bucket go through here, unless workers have no way to it."""
        url = connection.target(where.bucket).transport.proxy
        if url is None:
            return {}
        reached = self._here or not is_of_this_machine(url)
        if not reached and connection.state_token not in self._proxies:
            self._proxies.add(connection.state_token)
            self._note(
                f"The proxy {proxy_host(url)} is on this machine alone: workers reach {visible(connection.name)} as"
                " their own HTTPS_PROXY, HTTP_PROXY and NO_PROXY say."
            )
        return {_PROXY: Secret(url)} if reached else {}

    def _short_lived(self, connection: Connection, where: Location, nobody: Grant, pair: Any) -> Any:
        """Return credentials of a session of the pair, or the pair where the server gives none that it takes itself."""
        state = connection.state_token
        until, known = self._tokens.get(state, (0.0, None))
        if time.monotonic() < until:
            return known
        credentials, seconds = session_triple(connection.settings, pair, connection.timeouts), float("inf")
        if credentials is not None and connection.configuration.endpoint.value:
            # AWS takes what its STS gives; other servers may answer STS and know nothing of it when S3 is asked.
            trial = replace(nobody, keys={**nobody.keys, **_keys(credentials)})
            credentials = credentials if _is_taken(trial, where) else None
        if credentials is None:
            credentials = pair
            self._note(
                f"The server of the connection {visible(connection.name)} gives no session token: its key pair itself"
                f" is sent to the workers, {self._way}. With AWS_ROLE, only short-lived credentials are sent."
            )
        else:
            seconds = credentials.seconds * _RENEW
        self._tokens[state] = (time.monotonic() + seconds, credentials)
        return credentials


def is_of_this_machine(url: str) -> bool:
    """Whether the host of a URL is one that each machine calls itself by."""
    host = urlsplit(url).hostname or ""
    return bool(re.fullmatch(r"localhost|127(\.\d+){3}|::1|0\.0\.0\.0", host))


def _authorities(configuration: Configuration) -> bytes:
    """Return the CAs that a connection trusts, where they are not botocore's.

    Raises:
        ClusterError: they are a folder, or cannot be read.
    """
    bundle = configuration.ca_bundle
    try:
        return Path(bundle.value).read_bytes() if bundle.value else b""
    except OSError as error:
        reason = type(error).__name__
    raise ClusterError(
        f"the CAs {bundle} cannot be sent to the workers ({reason})",
        hint="Name one file of them in PEM: AWS_CA_BUNDLE.",
    )


def _open_options(connection: Connection, region: str | None) -> dict[str, Any]:
    """Return the options that are no secret, with what the environment or a profile says here."""
    options = {name: bound.value for name in _OPEN if (bound := connection.options.get(name)) is not None}
    return {**connection.configuration.as_options(region=region), **options}


def _is_taken(trial: Grant, where: Location) -> bool:
    connection = trial.connection()
    try:
        fetch_page(connection.target(where.bucket), prefix=where.key, max_keys=1)
    except CredentialsError:
        return False
    except S3ConnError:
        return True  # whatever else is wrong, the listing will say
    finally:
        connection.drop()
    return True


def _keys(triple: Any) -> dict[str, Secret]:
    keys = {_KEY_ID: triple.access_key, "AWS_SECRET_ACCESS_KEY": triple.secret_key}
    keys |= {"AWS_SESSION_TOKEN": triple.token} if triple.token else {}
    return {name: Secret(str(value)) for name, value in keys.items()}


__all__ = [
    "Failed",
    "RangeResult",
    "RangeTask",
    "Unopened",
    "fetch_objects",
    "list_ranges",
    "prepare",
    "version",
]


class AbandonedError(Exception):
    """Nobody waits for the result any more."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that failed."""

    error: S3ConnError


@dataclass(frozen=True, slots=True)
class Unopened:
    """A task whose worker could not open what it carries: it is to be told, and asked again."""


@dataclass(frozen=True, slots=True)
class RangeResult:
    """What a task has listed.

    Attributes:
        table: rows of schema `OBJECTS`, or groups of schema `GROUPS`.
        rest: what it left.
        progress: its counts.
        unordered: whether the server's order cannot be relied on; the table is of no use then.
    """

    table: pa.Table | None
    rest: tuple[KeyRange, ...] = ()
    progress: Progress | None = None
    unordered: bool = False


@dataclass(frozen=True, slots=True)
class RangeTask:
    """What is to be done with keys, the same in each task of a statement.

    Attributes:
        prefix: of all keys.
        connections: most requests of one task under way.
        matching: only keys that match, in a listing.
        by: what to group by in an analysis; None for a listing.
        depth: of folders that make a group.
        now: the moment that ages are counted from.
    """

    prefix: str
    connections: int
    matching: Glob | None = None
    by: AnalyzeBy | None = None
    depth: int = 1
    now: datetime | None = None


def version() -> str:
    """Return the version of this package."""
    return VERSION


def prepare(access: Access) -> None:
    """Make the connection ready; what is wrong with it the first task says."""
    with suppress(NotGivenError, S3ConnError), access.connection() as connection:
        connection.target(access.bucket).sign(())


def list_ranges(
    access: Access, task: RangeTask, ranges: tuple[KeyRange, ...], pages: int
) -> RangeResult | Failed | Unopened:
    """List ranges of keys, or add their groups up, by at most about so many requests."""
    abandoned = _abandoned()

    def check(_: Progress) -> None:
        if abandoned():
            raise AbandonedError

    try:
        with access.connection() as connection:
            return _listed(connection.target(access.bucket), task, ranges, pages, check)
    except NotGivenError:
        return Unopened()
    except UntrustedOrderError:
        return RangeResult(None, unordered=True)
    except S3ConnError as error:
        return _failed(error)


def _failed(error: S3ConnError) -> Failed:
    """Return a failure, and where it was: a worker's network and environment are its own."""
    error.notes += (f"That was on the worker {_address()}, whose own network and environment count there.",)
    return Failed(error)


def _address() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except (ValueError, AttributeError):
        return "in this process"


def _listed(
    target: BucketTarget, task: RangeTask, ranges: tuple[KeyRange, ...], pages: int, check: Callable[[Progress], None]
) -> RangeResult:
    most = task.connections
    if task.by is None:
        with Listing(target, task.prefix, matching=task.matching, connections=most, ranges=ranges, pages=pages) as rows:
            table = rows.collect(on_progress=check)
            # A table of one chunk is sent in a tenth of the time: each chunk of each column is pickled by itself.
            return RangeResult(table.unify_dictionaries().combine_chunks(), rows.rest, rows.progress)
    with Scan(target, task.prefix, summary_of(task, None), connections=most, ranges=ranges, pages=pages) as scan:
        return RangeResult(scan.total(on_progress=check), scan.rest, scan.progress)


def summary_of(task: RangeTask, most: int | None = MOST_GROUPS) -> Summary:
    """Return an empty summary for an analysis, of so many groups at most; that of a task has all of its own."""
    by = task.by or "PREFIX"
    return Summary(grouping(by, prefix=task.prefix, depth=task.depth, now=task.now), most)


def fetch_objects(access: Access, group: Sequence[Candidate]) -> Fetched | Failed | Unopened:
    """Return the bytes of small objects, or why there are none."""
    try:
        with access.connection() as connection:
            return _fetched(connection, group)
    except NotGivenError:
        return Unopened()
    except S3ConnError as error:
        return _failed(error)


def _fetched(connection: Connection, group: Sequence[Candidate]) -> Fetched:
    abandoned, scope = _abandoned(), QueryScope()
    came: Fetched = {}
    pinned = [PinnedObject(connection, each.location, each.size, each.etag, each.last_modified) for each in group]
    objects = [RangedObject(each, scope, outlives=False) for each in pinned]
    try:
        ask_for(objects, scope)
        for each, ranged in zip(group, objects, strict=True):
            if abandoned():
                raise AbandonedError
            try:
                came[each.location] = ranged.read(0, each.size)
            except CredentialsError:
                raise
            except S3ConnError as error:
                came[each.location] = _failed(error).error
    finally:
        scope.close()
    return came


def _abandoned() -> Callable[[], bool]:
    """Tells whether the task of this thread was cancelled; outside of a worker it never is."""
    from distributed import get_worker

    try:
        worker = get_worker()
        key = worker.get_current_task()
    except (ValueError, AttributeError):
        return lambda: False

    def check() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return check
