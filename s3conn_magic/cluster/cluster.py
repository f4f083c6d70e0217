"""The connection to a scheduler, and the tasks of one statement."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from s3conn_magic import __version__
from s3conn_magic.cluster import work
from s3conn_magic.cluster.access import Access, Accesses
from s3conn_magic.errors import ClusterError, CredentialsError
from s3conn_magic.extras import pip_install
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client, Future

_REACH, _WORKERS = 5.0, 5.0
_WAKE = 0.1
_ALONE = 60.0
_HINT = "Start one by `dask scheduler` and `dask worker tcp://…`, or SET ENGINE = 'local'."


@dataclass(frozen=True, slots=True)
class Slots:
    """What a cluster can do at once.

    Attributes:
        workers: its workers.
        tasks: tasks that run at once.
        each: most tasks of one worker that do.
    """

    workers: int
    tasks: int
    each: int


class Cluster:
    """A scheduler and its workers.

    Args:
        address: `tcp://host:port` or `tls://host:port`.
        note: is told what the user should know of what is sent.

    Raises:
        ClusterError: the package `distributed` is missing, the scheduler cannot be reached, there is no worker, or
            the workers lack this package in this version.
    """

    def __init__(self, address: str, note: Callable[[str], None]) -> None:
        self.address = address
        self._client = _connected(address)
        encrypted = address.startswith("tls:")
        way = f"over the connection to the scheduler only{'' if encrypted else ', which is not encrypted'}"
        self.accesses = Accesses(note, way)
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        with suppress(TimeoutError):
            self._client.wait_for_workers(1, timeout=_WORKERS)
        self.slots()
        try:
            versions = set(self._client.run(work.version).values())
        except Exception:  # noqa: BLE001 - whatever a worker says of it, what is missing is missing
            versions = {"none"}
        if versions != {__version__}:
            raise ClusterError(
                f"the workers of {visible(self.address)} do not have s3conn_magic {__version__}",
                hint=f"Install the same version where the workers run, and {pip_install('dask', here=False)} there.",
            )

    def slots(self) -> Slots:
        """What there is now.

        Raises:
            ClusterError: there is no worker, or the scheduler is gone.
        """
        threads = list(self._threads().values())
        if not threads:
            raise ClusterError(f"the scheduler {visible(self.address)} has no workers", hint=_HINT)
        return Slots(len(threads), sum(threads), max(threads))

    def _threads(self) -> dict[str, int]:
        try:
            found: dict[str, int] = self._client.nthreads()
        except Exception:  # noqa: BLE001 - distributed raises many kinds
            found = {}
            lost = True
        else:
            lost = False
        if lost or self._client.status != "running":
            raise ClusterError(f"the scheduler {visible(self.address)} is gone", hint=_HINT)
        return found

    @property
    def alive(self) -> bool:
        """Whether the scheduler still answers."""
        return bool(self._client.status == "running")

    @contextmanager
    def tasks(self, access_of: Callable[[], Access]) -> Iterator[Tasks]:
        """Tasks of one statement; those that are left when the block ends are cancelled."""
        tasks = Tasks(self._client, access_of, self._threads)
        try:
            yield tasks
        finally:
            tasks.cancel()

    def close(self) -> None:
        """Leave the scheduler."""
        with suppress(Exception):
            self._client.close(timeout=2)


def check_installed() -> None:
    """Refuse to go on without the package.

    Raises:
        ClusterError: `distributed` is not installed.
    """
    if find_spec("distributed") is None:
        raise ClusterError("ENGINE = 'dask' needs the package distributed", hint=f"Install it: {pip_install('dask')}")


def _connected(address: str) -> Client:
    check_installed()
    try:
        from distributed import Client

        with _quiet():
            return Client(address, timeout=_REACH, set_as_default=False, asynchronous=False, name="s3conn-magic")
    except Exception as error:  # noqa: BLE001 - distributed raises many kinds
        kind = type(error).__name__
    raise ClusterError(f"the scheduler {visible(address)} cannot be reached ({kind})", hint=_HINT)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep distributed from logging what is told as an error."""
    log = logging.getLogger("distributed.client")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


@dataclass(slots=True)
class _Task:
    """A task as it was submitted."""

    future: Future
    function: Callable[..., Any]
    access: Access
    rest: tuple[Any, ...]
    again: bool = False


class Tasks:
    """Submits tasks and gives their results as they come, each once.

    The scheduler runs a task again when its worker is lost, with what it had done. Keys of tasks say nothing of what is
    read, and the representations of their arguments no secret.
    """

    def __init__(self, client: Client, access_of: Callable[[], Access], threads: Callable[[], dict[str, int]]) -> None:
        self._client = client
        self._access_of = access_of
        self._threads = threads
        self._tasks: dict[int, _Task] = {}
        self._done: SimpleQueue[int] = SimpleQueue()
        self._alone_since: float | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def submit(self, number: int, function: Callable[..., Any], *rest: Any) -> None:
        """Have a function called on a worker with the access of this moment and what else is given."""
        self._submit(number, function, self._access_of(), rest, again=False)

    def _submit(
        self, number: int, function: Callable[..., Any], access: Access, rest: tuple[Any, ...], *, again: bool
    ) -> None:
        key = f"s3conn-{function.__name__}-{uuid4().hex}"
        future = self._client.submit(function, access, *rest, key=key, pure=False)
        self._tasks[number] = _Task(future, function, access, rest, again)
        future.add_done_callback(partial(self._note, number))

    def _note(self, number: int, _: Future) -> None:
        self._done.put(number)

    def wait(self, every: Callable[[], None] | None = None) -> tuple[int, Any]:
        """The number of a task that is over, and its result.

        Args:
            every: called in this thread, several times a second; what it raises is raised here.

        Raises:
            ClusterError: the scheduler is gone, or there has been no worker for a minute, or tasks kill workers.
            S3ConnError: what the task failed of.
        """
        while True:
            if every is not None:
                every()
            try:
                number = self._done.get(timeout=_WAKE)
            except Empty:
                self._watch()
                continue
            if number not in self._tasks:
                continue
            task = self._tasks.pop(number)
            result = _result(task.future)
            if not isinstance(result, work.Failed):
                return number, result
            if not self._renewed(number, task, result):
                raise result.error

    def _renewed(self, number: int, task: _Task, result: work.Failed) -> bool:
        """Whether credentials that have expired on the way were replaced, and the task submitted again."""
        if task.again or not isinstance(result.error, CredentialsError):
            return False
        access = self._access_of()
        if access == task.access:
            return False
        self._submit(number, task.function, access, task.rest, again=True)
        return True

    def _watch(self) -> None:
        if self._threads():
            self._alone_since = None
            return
        self._alone_since = self._alone_since or time.monotonic()
        if time.monotonic() - self._alone_since > _ALONE:
            raise ClusterError("the cluster has had no workers for a minute", hint=_HINT)

    def cancel(self) -> None:
        """Have nothing more of them run."""
        left, self._tasks = [one.future for one in self._tasks.values()], {}
        if left:
            with suppress(Exception):
                self._client.cancel(left, force=True)


def _result(future: Future) -> Any:
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001 - distributed raises many kinds, and a worker whatever it likes
        kind = type(error).__name__
    if kind == "KilledWorker":
        message = "workers were lost, one after the other, at the same task"
        raise ClusterError(message, hint="They may lack memory; their logs say why they ended.")
    raise ClusterError(f"a task was lost or failed on its worker ({kind})", hint="The worker's log says more.")
