"""The cluster: its workers, the tasks of a statement, and groups of objects fetched for a COPY."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from s3conn_magic.cluster import work
from s3conn_magic.cluster.work import (
    ANOTHER,
    START_ONE,
    Access,
    Accesses,
    Grant,
    distributed_version,
    is_of_this_machine,
    lack_of,
    proof,
    remedy,
)
from s3conn_magic.errors import ClusterError, CredentialsError, S3ConnError, pip_install
from s3conn_magic.locations import visible
from s3conn_magic.runtime.background import run_in_background, wait_for
from s3conn_magic.secrets import LEASE, forget, give

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future as Look
    from contextlib import AbstractContextManager

    from distributed import Client, Future

    from s3conn_magic.cluster.work import Fetched
    from s3conn_magic.jobs.job import Candidate, Job

_CONNECT_TIMEOUT, _WORKERS_TIMEOUT, _ANSWER_TIMEOUT = 4.5, 5.0, 10.0
_GREETING_TIMEOUT = 0.2
# A worker loads this package at its first task.
_LOAD, _OTHERS_TIMEOUT = 60.0, 3.0
_POLL, _REFRESH, _RENEW = 0.1, 0.25, 0.3
# Who is asked which task takes longest answers at once or is left alone.
_PROGRESS_TIMEOUT = 1.0
_TRIES = 3
_NO_WORKERS_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many tasks a cluster can run at once.

    Attributes:
        workers: number of workers.
        tasks: tasks that run at once.
        each: most tasks that one worker runs at once.
    """

    workers: int
    tasks: int
    each: int


class Cluster:
    """A scheduler and its workers; only workers with the same version of this package get tasks.

    Args:
        address: `tcp://host:port` or `tls://host:port`.
        note: shows the user a message.

    Raises:
        ClusterError: the package `distributed` is missing, the scheduler cannot be reached, there is no worker, or the
            scheduler or all workers lack this version of the package.
    """

    def __init__(self, address: str, note: Callable[[str], None]) -> None:
        self.address = address
        self._note = note
        self._client = _connected(address)
        self._checks: dict[str, Look[Any]] = {}
        self._had_workers = False
        encrypted = address.startswith("tls:")
        way = f"over the connection to the scheduler only{'' if encrypted else ', which is not encrypted'}"
        self.accesses = Accesses(note, way, here=is_of_this_machine(address))
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        try:
            answer = self._client.sync(self._client.run_on_scheduler, work.versions, *proof(), callback_timeout=_LOAD)
        except Exception as error:  # noqa: BLE001 - distributed raises many kinds
            answer = error
        if lack := lack_of(answer):
            raise ClusterError(f"the scheduler {visible(self.address)} {lack}", hint=remedy(lack, "the scheduler runs"))
        with suppress(TimeoutError):
            self._client.wait_for_workers(1, timeout=_WORKERS_TIMEOUT)
        self.capacity()
        self._try_versions(answer[1])
        if left_out := len(self._checks) - len(self.trusted()):
            self._note(f"{left_out} of {len(self._checks)} workers get no work: {self._lacks()}.")

    def _try_versions(self, scheduler: str) -> None:
        """Run a task where the scheduler or a worker has another version of distributed, which may not understand it.

        Raises:
            ClusterError: it does not.
        """
        others = {worker: self._checks[worker].result()[1] for worker in self.trusted()}
        tried = [worker for worker, version in others.items() if {scheduler, version} != {distributed_version()}]
        with suppress(Exception):
            for worker in tried:
                self.submit(work.versions, workers=[worker]).result(timeout=_WORKERS_TIMEOUT)
            return
        lack = f"has distributed {scheduler}, and workers {', '.join(sorted({*others.values()}))}: {ANOTHER}"
        raise ClusterError(f"the scheduler {visible(self.address)} {lack}", hint=remedy(lack, ""))

    def _lacks(self) -> str:
        """Return why workers get no work, each reason with the first worker that has it."""
        reasons = {lack_of(look.result()): worker for worker, look in reversed(self._checks.items()) if look.done()}
        reasons.pop("", None)
        return "; ".join(f"{worker} {lack}" for lack, worker in sorted(reasons.items())) or "none has answered yet"

    def submit(self, function: Callable[..., Any], *args: Any, workers: Iterable[str]) -> Future:
        """Submit a task for these workers only, under a name that tells nothing but the function."""
        key = f"s3conn-{function.__name__}-{uuid4().hex}"
        # Otherwise dask sends the source of the calling cell along.
        with dask_settings({"distributed.diagnostics.computations.nframes": 0}):
            return self._client.submit(
                function, *args, key=key, pure=False, workers=sorted(workers), allow_other_workers=False
            )

    def ask(
        self, function: Callable[..., Any], *args: Any, workers: Iterable[str], within: float = _ANSWER_TIMEOUT
    ) -> dict[str, Any]:
        """Call a function on workers; return each one's result, or the exception if it failed or timed out."""

        async def every(addresses: list[str]) -> dict[str, Any]:
            results = await asyncio.gather(*(self._ask(each, within, function, *args) for each in addresses))
            return dict(zip(addresses, results, strict=True))

        addressed = list(workers)
        answers: dict[str, Any] = self._client.sync(every, addressed) if addressed else {}
        return answers

    async def _ask(self, worker: str, within: float, function: Callable[..., Any], *args: Any) -> Any:
        answers = self._client.run(function, *args, workers=[worker], on_error="return")
        try:
            return (await asyncio.wait_for(answers, within)).get(worker)
        except Exception as error:  # noqa: BLE001 - distributed raises many kinds
            return error

    def trusted(self) -> dict[str, int]:
        """Return how many tasks each checked worker runs at once; begin to check new workers.

        Raises:
            ClusterError: the scheduler is gone.
        """
        threads = self._threads()
        self._checks = {
            worker: look for worker, look in self._checks.items() if worker in threads and not _unanswered(look)
        }
        loop = self._client.loop.asyncio_loop
        for worker in threads.keys() - self._checks.keys():
            self._checks[worker] = asyncio.run_coroutine_threadsafe(
                self._ask(worker, _LOAD, work.versions, *proof()), loop
            )
        return {
            worker: n
            for worker, n in threads.items()
            if (look := self._checks[worker]).done() and not lack_of(look.result())
        }

    def doubt(self) -> None:
        """Check every worker again."""
        self._checks = {}

    def capacity(self) -> Capacity:
        """Return the current capacity.

        Raises:
            ClusterError: no worker can be used, or the scheduler is gone.
        """
        began = time.monotonic()
        while not (threads := list(self.trusted().values())) or time.monotonic() - began < _OTHERS_TIMEOUT:
            if all(look.done() for look in self._checks.values()) or time.monotonic() - began > _LOAD:
                break
            time.sleep(_POLL)
        if not threads and self._checks:
            message = f"no worker of {visible(self.address)} can be used: {(lacks := self._lacks())}"
            raise ClusterError(message, hint=remedy(lacks, "the workers run"))
        if not threads:
            hint = "Their logs say why they ended." if self._had_workers else START_ONE
            now = "has no workers any more" if self._had_workers else "has no workers"
            raise ClusterError(f"the scheduler {visible(self.address)} {now}", hint=hint)
        self._had_workers = True
        return Capacity(len(threads), sum(threads), max(threads))

    def _threads(self) -> dict[str, int]:
        try:
            workers: dict[str, int] = self._client.nthreads()
        except Exception:  # noqa: BLE001 - distributed raises many kinds
            workers = {}
            lost = True
        else:
            lost = False
        if lost or self._client.status != "running":
            raise ClusterError(f"the scheduler {visible(self.address)} is gone", hint=START_ONE)
        return workers

    @property
    def alive(self) -> bool:
        """Whether the scheduler still answers."""
        return bool(self._client.status == "running")

    @contextmanager
    def tasks(self, grant_of: Callable[[], Grant]) -> Iterator[Tasks]:
        """Yield the tasks of one statement; at the end, cancel the remaining ones and make workers forget the keys."""
        tasks = Tasks(self, self._client, grant_of)
        try:
            yield tasks
        finally:
            tasks.cancel()

    def close(self) -> None:
        """Disconnect from the scheduler."""
        with suppress(Exception):
            self._client.close(timeout=2)


def dask_settings(values: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return a context manager that applies settings of dask."""
    from dask import config

    block: AbstractContextManager[Any] = config.set(dict(values))
    return block


def check_installed() -> None:
    """Check that `distributed` is installed.

    Raises:
        ClusterError: it is not.
    """
    if find_spec("distributed") is None:
        raise ClusterError("ENGINE = 'dask' needs the package distributed", hint=f"Install it: {pip_install('dask')}")


def _connected(address: str) -> Client:
    """Return a client, made in a thread: distributed waits for ever if something other than a scheduler listens."""
    check_installed()
    from distributed import Client  # loading it must not count towards the timeout

    def connect() -> Client:
        with _quiet():
            return Client(address, timeout=_CONNECT_TIMEOUT, set_as_default=False, name="s3conn-magic")

    client = run_in_background(connect, name="s3conn-scheduler")
    try:
        return wait_for(client, within=_CONNECT_TIMEOUT)
    except KeyboardInterrupt:
        client.add_done_callback(_close_late)
        raise
    except BaseException as error:  # noqa: BLE001 - distributed raises many kinds
        client.add_done_callback(_close_late)
        why = _reason(address, error)
    raise ClusterError(f"the scheduler {visible(address)} cannot be reached ({why})", hint=remedy(why, ""))


def _close_late(client: Look[Client]) -> None:
    """Close a client that connected after nobody waited any more."""
    if client.exception() is None:
        client.result().close(timeout=2)


def _reason(address: str, error: BaseException) -> str:
    if address.startswith("tls:") and isinstance(error, TypeError | ssl.SSLError | RuntimeError):
        return "tls:// needs the certificates that dask's configuration names, distributed.comm.tls"
    if isinstance(error, TypeError):
        return f"it runs {ANOTHER}"
    if isinstance(error, OSError):
        return _listener(address) or "what answers there is not a scheduler"
    return type(error).__name__


def _listener(address: str) -> str:
    """Return what listens at an address instead of a scheduler (which sends first); empty if unknown."""
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_GREETING_TIMEOUT) as connection:
            with suppress(TimeoutError):
                return (
                    "it does not use TLS: its address begins with tcp://"
                    if connection.recv(1) and scheme == "tls"
                    else ""
                )
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            received = connection.recv(5)
    except socket.gaierror:
        return f"the host {visible(host)} is not known"
    except ConnectionRefusedError:
        return "nothing listens there"
    except OSError:
        return ""
    if received == b"HTTP/":
        return "a web server answers there, such as the dashboard; the scheduler's own port is another, usually 8786"
    return "it speaks TLS: its address begins with tls://" if received[:2] == b"\x15\x03" else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep distributed from logging what is raised as an error."""
    log = logging.getLogger("distributed.client")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _unanswered(look: Look[Any]) -> bool:
    """Return whether the check of a worker failed for a reason that may pass."""
    answer = look.result() if look.done() else None
    return isinstance(answer, TimeoutError | OSError) and not isinstance(answer, S3ConnError)


@dataclass(slots=True)
class _Task:
    future: Future | None
    function: Callable[..., Any]
    grant: Grant
    rest: tuple[Any, ...]
    workers: frozenset[str]
    tries: int = 1


class Tasks:
    """Submits tasks and yields their results as they come, each once.

    When a worker is lost, the scheduler runs its tasks again on another checked worker. Keys of tasks reveal nothing of
    what is read, and their arguments cannot be decrypted without the pad that workers got in another message.
    """

    def __init__(self, cluster: Cluster, client: Client, grant_of: Callable[[], Grant]) -> None:
        self._cluster = cluster
        self._client = client
        self._grant_of = grant_of
        self._tasks: dict[int, _Task] = {}
        self._done: SimpleQueue[tuple[int, Future]] = SimpleQueue()
        self._prepared: list[Future] = []
        self._sealed: list[tuple[Grant, Access, bytes]] = []
        self._workers: dict[str, float] = {}
        self._informed: set[str] = set()
        self._refreshed_at = 0.0
        self._alone_since: float | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def submit(self, number: int, function: Callable[..., Any], *rest: Any) -> None:
        """Submit a call of a function with the current access and the given arguments."""
        self._submit(number, function, self._grant_of(), rest)

    def _submit(
        self, number: int, function: Callable[..., Any], grant: Grant, rest: tuple[Any, ...], tries: int = 1
    ) -> None:
        access = self._access(grant)
        workers = frozenset(self._workers)
        if not workers:  # with none, the scheduler would use any worker
            self._tasks[number] = _Task(None, function, grant, rest, workers, tries)
            return
        future = self._cluster.submit(function, access, *rest, workers=workers)
        self._tasks[number] = _Task(future, function, grant, rest, workers, tries)
        future.add_done_callback(partial(self._note, number))

    def prepare(self) -> None:
        """Have each worker open its connection, which takes half a second, without waiting."""
        if not self._prepared:
            with suppress(S3ConnError):  # the first task raises it
                access = self._access(self._grant_of())
                self._prepared = [
                    self._cluster.submit(work.prepare, access, workers=[worker]) for worker in self._workers
                ]

    def _access(self, grant: Grant) -> Access:
        """Return the access that tasks carry; its workers have its pad."""
        carried = next((access for known, access, _ in self._sealed if known == grant), None)
        if carried is None:
            carried, pad = grant.sealed()
            self._sealed.append((grant, carried, pad))
            self._send_pads([])
        if not self._workers:
            self._refresh()
        return carried

    def _refresh(self) -> None:
        """Refresh the workers, and send the pads to new ones."""
        self._refreshed_at = time.monotonic()
        trusted = self._cluster.trusted()
        self._workers = {worker: since for worker, since in self._workers.items() if worker in trusted}
        new = [worker for worker in trusted if worker not in self._workers]
        due = [worker for worker, since in self._workers.items() if self._refreshed_at - since > LEASE * _RENEW]
        self._send_pads([*new, *due])

    def _send_pads(self, workers: list[str]) -> None:
        """Send the pads to workers; to all known ones if none are named."""
        addressed = workers or list(self._workers)
        pads = [(access.mark, pad) for _, access, pad in self._sealed]
        self._informed |= {*addressed}
        answers = self._cluster.ask(give, pads, workers=addressed)
        self._workers |= {worker: time.monotonic() for worker, reason in answers.items() if reason is None}
        for worker, reason in answers.items():
            if reason is not None:
                self._workers.pop(worker, None)

    def _note(self, number: int, future: Future) -> None:
        self._done.put((number, future))

    def wait(self, every: Callable[[], None] | None = None) -> tuple[int, Any]:
        """Return the number and the result of the next finished task.

        Args:
            every: called in this thread several times a second; what it raises is raised here.

        Raises:
            ClusterError: the scheduler is gone, there has been no worker for a minute, or tasks kill workers.
            S3ConnError: the task failed.
        """
        while True:
            if every is not None:
                every()
            if time.monotonic() - self._refreshed_at > _REFRESH:
                self._watch()
            try:
                number, future = self._done.get(timeout=_POLL)
            except Empty:
                continue
            task = self._tasks.get(number)
            if task is None or task.future is not future:
                continue
            del self._tasks[number]
            result = self._result(task, future)
            if not isinstance(result, work.Failed | work.Unopened):
                return number, result
            if not self._resubmitted(number, task, result):
                raise result.error if isinstance(result, work.Failed) else _lost("its worker got no answer")

    def _result(self, task: _Task, future: Future) -> Any:
        try:
            return future.result()
        except Exception as error:  # noqa: BLE001 - distributed raises many kinds, and a worker whatever it likes
            failure = self._failure(error)
        if failure is not None and task.tries >= _TRIES:
            raise failure
        if failure is None:
            message = "workers were lost, one after the other, at the same task"
            raise ClusterError(message, hint="They may lack memory; their logs say why they ended.")
        # Another worker may have started at a known address.
        self._cluster.doubt()
        return work.Unopened()

    def _failure(self, error: Exception) -> ClusterError | None:
        """Return why a task has no result, or None if its workers were lost."""
        if not self._cluster.alive:
            raise ClusterError(f"the scheduler {visible(self._cluster.address)} is gone", hint=START_ONE)
        kind = type(error).__name__
        return None if kind == "KilledWorker" else _lost(kind)

    def _resubmitted(self, number: int, task: _Task, result: work.Failed | work.Unopened) -> bool:
        """Return whether the task was resubmitted: its credentials had expired, or its worker lacked the pad."""
        if task.tries >= _TRIES:
            return False
        if isinstance(result, work.Failed):
            grant = self._grant_of() if isinstance(result.error, CredentialsError) else task.grant
            if grant == task.grant:
                return False
            self._submit(number, task.function, grant, task.rest, _TRIES)
            return True
        self._workers = {}
        self._refresh()
        self._submit(number, task.function, task.grant, task.rest, task.tries + 1)
        return True

    def _watch(self) -> None:
        self._refresh()
        if not self._workers:
            self._alone_since = self._alone_since or time.monotonic()
            if time.monotonic() - self._alone_since > _NO_WORKERS_TIMEOUT:
                raise ClusterError("the cluster has had no workers for a minute", hint=START_ONE)
            return
        self._alone_since = None
        for number, task in list(self._tasks.items()):
            if not task.workers & self._workers.keys():
                if task.future is not None:
                    self._client.cancel([task.future], force=True)
                self._submit(number, task.function, task.grant, task.rest, task.tries)

    def stop_longest(self, least: float) -> None:
        """Have the task with the most rows left return what it has, if these are more than `least`."""
        left = self._told(work.rows_left)
        longest = max(self._numbers.keys() & left.keys(), key=lambda key: left[key], default="")
        if left.get(longest, 0.0) > least:
            self._told(work.stop, longest)

    def next_portions(self, received: Mapping[int, tuple[str, int]]) -> dict[int, tuple[str, int, Any]]:
        """Return the next portions of tasks by their numbers; see `work.next_portions`."""
        known = {key: received.get(number, ("", 0)) for key, number in self._numbers.items()}
        return {self._numbers[key]: portion for key, portion in self._told(work.next_portions, known).items()}

    @property
    def _numbers(self) -> dict[str, int]:
        return {task.future.key: number for number, task in self._tasks.items() if task.future is not None}

    def _told(self, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        answers = self._cluster.ask(function, *args, workers=self._workers, within=_PROGRESS_TIMEOUT).values()
        return {key: value for answer in answers if isinstance(answer, dict) for key, value in answer.items()}

    def cancel(self) -> None:
        """Cancel what is left, and have workers forget the pads."""
        futures = [*self._prepared, *(task.future for task in self._tasks.values() if task.future is not None)]
        self._prepared, self._tasks = [], {}
        with suppress(Exception):
            if futures:
                self._client.cancel(futures, force=True)
        marks, self._sealed = [access.mark for _, access, _ in self._sealed], []
        with suppress(Exception):
            self._cluster.ask(forget, marks, workers=self._informed)


def _lost(why: str) -> ClusterError:
    return ClusterError(f"a task was lost or failed on its worker ({why})", hint="The worker's log says more.")


_GROUP_BYTES, _GROUP_OBJECTS = 16 * 1024 * 1024, 500


@dataclass(frozen=True, slots=True)
class GroupReader:
    """Fetches groups of objects on the workers of a cluster.

    Attributes:
        cluster: the cluster.
        note: shows the user why objects are read here instead.
    """

    cluster: Cluster
    note: Callable[[str], None]

    def __call__(
        self, job: Job, candidates: Sequence[Candidate], check: Callable[[], None]
    ) -> Iterator[Fetched] | None:
        """Implement `RemoteReader`."""
        if job.connection.settings.customer_key:
            name = visible(job.connection.name)
            self.note(
                f"The key of {name}'s ENCRYPTION_CUSTOMER_MANAGED_KEY is not sent to workers: objects are read here."
            )
            return None
        if job.connection.target(job.location.bucket).is_stood_in:
            return None
        return self._fetched(job, _groups(candidates), check)

    def _fetched(self, job: Job, groups: Sequence[Sequence[Candidate]], check: Callable[[], None]) -> Iterator[Fetched]:
        """Fetch few groups ahead, so that memory is bounded."""
        capacity, sent = self.cluster.capacity(), 0
        come: dict[int, Fetched] = {}
        with self.cluster.tasks(lambda: self.cluster.accesses.of(job.connection, job.location)) as tasks:
            for number in range(len(groups)):
                while number not in come:
                    while sent < min(len(groups), number + capacity.tasks + capacity.workers):
                        tasks.submit(sent, work.fetch_objects, tuple(groups[sent]))
                        sent += 1
                    done, group = tasks.wait(check)
                    come[done] = group
                yield come.pop(number)


def _groups(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Return neighbours whose sizes add up to little."""
    groups: list[list[Candidate]] = []
    size = 0
    for each in candidates:
        size += each.size
        if not groups or size > _GROUP_BYTES or len(groups[-1]) >= _GROUP_OBJECTS:
            groups.append([])
            size = each.size
        groups[-1].append(each)
    return groups
