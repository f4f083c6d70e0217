"""Functions that run on a worker, and the short-lived access to a connection that they get.

A failure is returned, not raised, so that the worker logs neither it nor its arguments.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from s3conn_magic.connections.configuration import Effective, proxy_host
from s3conn_magic.connections.connection import Connection
from s3conn_magic.connections.credentials import session_triple
from s3conn_magic.errors import ClusterError, CredentialsError, S3ConnError, pip_install
from s3conn_magic.language.options import BoundValue
from s3conn_magic.language.session_settings import Timeouts
from s3conn_magic.listing import Listing, fetch_page
from s3conn_magic.listing.analysis import MOST_GROUPS, Scan, Summary, grouping
from s3conn_magic.listing.planner import UntrustedOrderError
from s3conn_magic.listing.table import assemble
from s3conn_magic.locations import visible
from s3conn_magic.objects.ranged import PinnedObject, RangedObject, ask_for
from s3conn_magic.objects.scope import QueryScope
from s3conn_magic.runtime import VERSION
from s3conn_magic.runtime.temporary import new_folder
from s3conn_magic.secrets import NotGivenError, Secret, opened, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    import pyarrow as pa

    from s3conn_magic.connections.bucket_target import BucketTarget
    from s3conn_magic.connections.configuration import Configuration
    from s3conn_magic.jobs.job import Candidate
    from s3conn_magic.language.reference import AnalyzeBy
    from s3conn_magic.listing.keyspace import Learned
    from s3conn_magic.listing.request import KeyRange, Progress
    from s3conn_magic.listing.table import Page
    from s3conn_magic.locations import Location
    from s3conn_magic.runtime.patterns import Glob

    Fetched = dict[Location, bytes | S3ConnError]

_OPEN = ("REGION", "ENDPOINT", "ADDRESSING_STYLE", "REQUESTER_PAYS", "ANONYMOUS")
_KEY_ID, _PROXY = "AWS_ACCESS_KEY_ID", "proxy"
_RENEW = 0.5


@dataclass(frozen=True, slots=True)
class Access:
    """A worker's access to one bucket, as a task carries it; useless without the pad, which is sent apart.

    Attributes:
        mark: random name of the pad.
        name: of the connection.
        bucket: the bucket.
        region: to sign for, or None if the options or the endpoint determine it.
        options: values by option, none of them secret.
        sealed: the key pair, the token and the URL of the proxy, encrypted.
        configuration: resolved on the machine of the statement.
        authorities: trusted CAs in PEM, if that machine has its own.
        timeouts: of the session; the number of connections is per worker.
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
        """Return this worker's read-only connection, made once.

        Raises:
            NotGivenError: the worker has not got the pad.
        """
        return opened(self.mark, self._connect)

    def _connect(self, pad: bytes) -> Connection:
        return _connect(self, unseal(self.sealed, pad))


def _connect(access: Access | Grant, keys: Mapping[str, Secret]) -> Connection:
    signed = {option: secret.reveal() if option == _KEY_ID else secret for option, secret in keys.items()}
    configuration, proxy = access.configuration, keys.get(_PROXY)
    signed.pop(_PROXY, None)
    values = {**access.options, **signed, "READ_ONLY": True}
    if configuration is not None and access.authorities:
        trusted = configuration.ca_bundle._replace(value=_file_of(access.authorities))
        configuration = configuration._replace(ca_bundle=trusted)
    if configuration is not None and proxy is not None:
        shown = Effective(proxy_host(proxy.reveal()), "the session")
        configuration = configuration._replace(proxy=shown, proxy_url=proxy)
    options = {option: BoundValue(value) for option, value in values.items()}
    connection = Connection(access.name, options, timeouts=lambda: access.timeouts, resolved=configuration)
    if access.region:
        connection.regions.learn(access.bucket, access.region)
    return connection


@cache
def _file_of(authorities: bytes) -> str:
    """Return a file of CAs, because botocore takes only a path."""
    path = new_folder("authorities") / "ca.pem"
    path.write_bytes(authorities)
    return str(path)


@dataclass(frozen=True, slots=True)
class Grant:
    """What workers may know of a connection, unencrypted in this process; equal if the contents are.

    Attributes:
        name: of the connection.
        bucket: the bucket.
        region: as in `Access`.
        options: as in `Access`.
        keys: access key id, secret and token (none for unsigned requests), and the URL of the proxy.
        configuration, authorities, timeouts: as in `Access`.
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
        """Return the access for tasks, and the pad that decrypts it."""
        sealed, pad = seal({name: secret.reveal() for name, secret in self.keys.items()})
        mark = secrets.token_hex(16)
        more = self.configuration, self.authorities, self.timeouts
        return Access(mark, self.name, self.bucket, self.region, self.options, sealed, *more), pad

    def connection(self) -> Connection:
        """Return a connection in this process like a worker's."""
        return _connect(self, self.keys)


class Accesses:
    """Makes grants for connections, and caches their session tokens.

    Args:
        note: shows the user a warning when a permanent key pair is sent.
        way: how the keys travel, in words.
        here: whether the workers are on this machine.
    """

    def __init__(self, note: Callable[[str], None], way: str, *, here: bool = False) -> None:
        self._note = note
        self._way = way
        self._here = here
        self._tokens: WeakKeyDictionary[Any, tuple[float, Any]] = WeakKeyDictionary()
        self._proxies: WeakSet[Any] = WeakSet()

    def of(self, connection: Connection, where: Location) -> Grant:
        """Return the grant that a worker needs to read at a location.

        Raises:
            S3ConnError: the credentials or the region cannot be obtained.
        """
        region = connection.regions.of(where.bucket)
        options, configuration = _open_options(connection, region), connection.configuration
        unsigned = Grant(
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
            return unsigned
        connection.check_credentials()
        triple = connection.frozen_credentials()
        if not triple.token:
            triple = self._short_lived(connection, where, unsigned, triple)
        return replace(unsigned, keys={**unsigned.keys, **_keys(triple)})

    def _proxy(self, connection: Connection, where: Location) -> dict[str, Secret]:
        """Return the proxy that the bucket's requests use here, unless workers cannot reach it."""
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

    def _short_lived(self, connection: Connection, where: Location, unsigned: Grant, pair: Any) -> Any:
        """Return session credentials for the pair, or the pair itself if the server gives none that it accepts."""
        state = connection.state_token
        until, known = self._tokens.get(state, (0.0, None))
        if time.monotonic() < until:
            return known
        credentials, seconds = session_triple(connection.settings, pair, connection.timeouts), float("inf")
        if credentials is not None and connection.configuration.endpoint.value:
            # Other servers than AWS may answer STS and refuse its tokens for S3.
            trial = replace(unsigned, keys={**unsigned.keys, **_keys(credentials)})
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
    """Return whether the host of a URL is a loopback address."""
    host = urlsplit(url).hostname or ""
    return bool(re.fullmatch(r"localhost|127(\.\d+){3}|::1|0\.0\.0\.0", host))


def _authorities(configuration: Configuration) -> bytes:
    """Return the CAs that a connection trusts, if they are not botocore's.

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
    """Return the options that are not secret, including those of the environment or a profile."""
    options = {name: bound.value for name in _OPEN if (bound := connection.options.get(name)) is not None}
    return {**connection.configuration.as_options(region=region), **options}


def _is_taken(trial: Grant, where: Location) -> bool:
    connection = trial.connection()
    try:
        fetch_page(connection.target(where.bucket), prefix=where.key, max_keys=1)
    except CredentialsError:
        return False
    except S3ConnError:
        return True  # the listing reports any other error
    finally:
        connection.drop()
    return True


def _keys(triple: Any) -> dict[str, Secret]:
    keys = {_KEY_ID: triple.access_key, "AWS_SECRET_ACCESS_KEY": triple.secret_key}
    keys |= {"AWS_SESSION_TOKEN": triple.token} if triple.token else {}
    return {name: Secret(str(value)) for name, value in keys.items()}


__all__ = [
    "Failed",
    "Portions",
    "RangeResult",
    "RangeTask",
    "Unopened",
    "fetch_objects",
    "list_ranges",
    "next_portions",
    "prepare",
    "rows_left",
    "stop",
    "versions",
]


class AbandonedError(Exception):
    """Nobody waits for the result any more."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that failed."""

    error: S3ConnError


@dataclass(frozen=True, slots=True)
class Unopened:
    """A task whose worker lacked the pad: send it and submit the task again."""


@dataclass(frozen=True, slots=True)
class RangeResult:
    """Rows or groups that a task listed.

    Attributes:
        table: rows of schema `OBJECTS`, or groups of schema `GROUPS`.
        rest: ranges not listed.
        progress: its counts.
        unordered: whether the server's order is unreliable, which makes the table useless.
        mark: of the run whose portions come before the table.
        portions: how many of them.
    """

    table: pa.Table | None
    rest: tuple[KeyRange, ...] = ()
    progress: Progress | None = None
    unordered: bool = False
    mark: str = ""
    portions: int = 0


@dataclass(frozen=True, slots=True)
class RangeTask:
    """What tasks of a statement do with ranges.

    Attributes:
        prefix: of all keys.
        connections: most concurrent requests of one task.
        learned: what the first look has learned.
        matching: list only keys that match.
        by: what an analysis groups by; None for a listing.
        depth: folders that make a group.
        now: reference time of ages.
    """

    prefix: str
    connections: int
    learned: Learned | None = field(default=None, repr=False)
    matching: Glob | None = None
    by: AnalyzeBy | None = None
    depth: int = 1
    now: datetime | None = None


START_ONE = "Start one by `dask scheduler` and `dask worker tcp://…`, or SET ENGINE = 'local'."
_INSTALL = f"Install the same version where {{}}, and there: {pip_install('dask', here=False)}"
ANOTHER = "another version of distributed than this session, whose tasks it does not understand"


def versions(*_: object) -> tuple[str, str]:
    """Return the versions of this package and of distributed; arguments only show that they can be unpickled here."""
    return VERSION, distributed_version()


def distributed_version() -> str:
    """Return the version of distributed here."""
    from distributed import __version__

    return str(__version__)


def proof() -> tuple[Any, ...]:
    """Return a task as distributed sends them: unpickling it shows whether a worker's version knows them, unharmed."""
    try:
        from dask._task_spec import Task
    except ImportError:
        return ()
    return (Task("s3conn-proof", versions),)


def lack_of(answer: Any) -> str:
    """Return why a scheduler or worker with this answer to `versions` cannot be used; empty if it can."""
    if isinstance(answer, tuple):
        return "" if answer[0] == VERSION else f"has s3conn_magic {answer[0]}, not {VERSION}"
    # An exception that could not be unpickled here is an `Exception` of its text.
    named = re.findall(r"(?:No module named|import of) '?([\w]+)", str(answer))
    package = named[0] if named else ""
    if package in {"dask", "distributed"}:
        return f"has {ANOTHER}"
    if package and package != "s3conn_magic":
        return f"lacks the package {package}, which s3conn_magic needs"
    if package or "s3conn_magic" in str(answer):
        return f"does not have s3conn_magic {VERSION}"
    return f"does not answer ({type(answer).__name__})"


def remedy(lack: str, where: str) -> str:
    """Return the hint for something that lacks this."""
    if ANOTHER in lack:
        command = pip_install(f"distributed=={distributed_version()}", here=False)
        return f"Install one version everywhere. This session's is: {command}"
    return _INSTALL.format(where) if where and "does not answer" not in lack else START_ONE


def prepare(access: Access) -> None:
    """Open the connection; errors are left to the first task."""
    with suppress(NotGivenError, S3ConnError), access.connection() as connection:
        connection.target(access.bucket).sign(())


def list_ranges(
    access: Access, task: RangeTask, ranges: tuple[KeyRange, ...], pages: int
) -> RangeResult | Failed | Unopened:
    """List ranges of keys, or count their groups, within about this many requests or until `stop`."""
    try:
        with access.connection() as connection:
            return _listed(connection.target(access.bucket), task, ranges, pages)
    except NotGivenError:
        return Unopened()
    except UntrustedOrderError:
        return RangeResult(None, unordered=True)
    except S3ConnError as error:
        return _failed(error)


def _failed(error: S3ConnError) -> Failed:
    """Return a failure that names its worker, whose network and environment are its own."""
    error.notes += (f"This happened on the worker {_address()}, which has its own network and environment.",)
    return Failed(error)


def _address() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except (ValueError, AttributeError):
        return "in this process"


def _listed(target: BucketTarget, task: RangeTask, ranges: tuple[KeyRange, ...], pages: int) -> RangeResult:
    part: dict[str, Any] = {"ranges": ranges, "pages": pages, "learned": task.learned}
    most, check = task.connections, _check_wanted()
    if task.by is None:
        listing = Listing(target, task.prefix, matching=task.matching, connections=most, **part)
        with _running(listing) as portions:
            for _ in listing.pages(every=check):
                check()
        mark, received, table = portions.after()
        return RangeResult(table, listing.rest, listing.progress, mark=mark, portions=received)
    scan = Scan(target, task.prefix, summary_of(task, None), connections=most, **part)
    with _running(scan):
        return RangeResult(scan.total(on_progress=lambda _: check()), scan.rest, scan.progress)


class Portions:
    """The rows of one run of a task, handed out while it lists.

    Attributes:
        listing: what lists.
        mark: random name of the run; one that repeats it, because its worker was lost, has another.
        received: portions that have certainly arrived.
    """

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.mark = secrets.token_hex(8)
        self.received = 0
        self._sent: list[Page] = []
        self._lock = threading.Lock()

    def after(self, mark: str = "", received: int = 0) -> tuple[str, int, pa.Table]:
        """Return the mark, how many portions of it have arrived, and the rows after them."""
        with self._lock:
            if mark == self.mark and received > self.received:
                self.received, self._sent = received, []
            self._sent += self.listing.take()
            # One chunk is sent ten times as fast: each chunk of each column is pickled by itself.
            return self.mark, self.received, assemble(self._sent).unify_dictionaries().combine_chunks()


def _check_wanted() -> Callable[[], None]:
    """Return a check that ends the task once nobody waits for it."""
    abandoned = _abandoned()

    def check() -> None:
        if abandoned():
            raise AbandonedError

    return check


_UNDER_WAY: dict[str, Portions] = {}
"""What lists on this worker, by the key of the task."""


@contextmanager
def _running(listing: Listing) -> Iterator[Portions]:
    """Yield the portions of a listing, which the functions below can reach."""
    _, key = _current_task()
    with listing:
        portions = _UNDER_WAY[key] = Portions(listing)
        try:
            yield portions
        finally:
            _UNDER_WAY.pop(key, None)


def rows_left() -> dict[str, float]:
    """Return how many rows are still expected by each task that lists on this worker, by its key."""
    return {key: portions.listing.progress.left or 0.0 for key, portions in list(_UNDER_WAY.items())}


def stop(key: str) -> None:
    """Have a task return what it has listed, and leave the rest to others."""
    if (portions := _UNDER_WAY.get(key)) is not None:
        portions.listing.stop()


def next_portions(received: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int, pa.Table]]:
    """Return the next portion of each listing task on this worker, by its key.

    Args:
        received: for each key the mark of the run whose portions have arrived, and how many.
    """
    under_way = {key: portions for key in received if (portions := _UNDER_WAY.get(key)) is not None}
    return {key: portions.after(*received[key]) for key, portions in under_way.items()}


def summary_of(task: RangeTask, most: int | None = MOST_GROUPS) -> Summary:
    """Return an empty summary of an analysis, limited to `most` groups."""
    by = task.by or "PREFIX"
    return Summary(grouping(by, prefix=task.prefix, depth=task.depth, now=task.now), most)


def fetch_objects(access: Access, group: Sequence[Candidate]) -> Fetched | Failed | Unopened:
    """Return the contents of small objects, or the error of each."""
    try:
        with access.connection() as connection:
            return _fetched(connection, group)
    except NotGivenError:
        return Unopened()
    except S3ConnError as error:
        return _failed(error)


def _fetched(connection: Connection, group: Sequence[Candidate]) -> Fetched:
    abandoned, scope = _abandoned(), QueryScope()
    contents: Fetched = {}
    pinned = [PinnedObject(connection, each.location, each.size, each.etag, each.last_modified) for each in group]
    objects = [RangedObject(each, scope, outlives=False) for each in pinned]
    try:
        ask_for([(each, [(0, each.size)]) for each in objects])
        for each, ranged in zip(group, objects, strict=True):
            if abandoned():
                raise AbandonedError
            try:
                contents[each.location] = ranged.read(0, each.size)
            except CredentialsError:
                raise
            except S3ConnError as error:
                contents[each.location] = _failed(error).error
    finally:
        scope.close()
    return contents


def _current_task() -> tuple[Any, str]:
    """Return this thread's worker and the key of its task; nothing outside of a worker."""
    from distributed import get_worker

    try:
        worker = get_worker()
        return worker, worker.get_current_task()
    except (ValueError, AttributeError):
        return None, ""


def _abandoned() -> Callable[[], bool]:
    """Return a check whether this thread's task was cancelled; False outside of a worker."""
    worker, key = _current_task()

    def check() -> bool:
        if worker is None:
            return False
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return check
