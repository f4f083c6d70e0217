"""A real cluster of three processes, and a bucket that answers late."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from distributed import LocalCluster
from lakes import moto_lake, rclone_lake  # noqa: F401 - pytest finds them here
from layouts import keys_of
from statements import Statements, create
from synthetic import Behaviour, Bucket, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEYS = 120_000
_WORKERS = 3
_PATIENCE = 30.0


@dataclass
class Workers:
    """The cluster of the tests: its address, and the processes that the fixture has started."""

    cluster: Any
    killed: list[int] = field(default_factory=list)

    @property
    def address(self) -> str:
        """What SCHEDULER is set to."""
        return self.cluster.scheduler_address

    def _busy(self) -> list[int]:
        """The processes of workers that have a task."""
        with_tasks = {name for name, one in list(self.cluster.scheduler.workers.items()) if one.processing}
        return [one.pid for one in self.cluster.workers.values() if one.worker_address in with_tasks and one.pid]

    def kill_one(self, when: Callable[[], bool]) -> threading.Thread:
        """Have a worker that has a task killed as soon as something is so; give up after a while."""

        def kill() -> None:
            until = time.monotonic() + _PATIENCE
            while not when() or not (busy := self._busy()):
                if time.monotonic() > until:
                    return
                time.sleep(0.002)
            pid = busy[0]
            os.kill(pid, signal.SIGKILL)
            self.killed.append(pid)

        thread = threading.Thread(target=kill)
        thread.start()
        return thread

    def session(self, *statements: str) -> Statements:
        """A session that goes to the cluster."""
        run = Statements()
        run("; ".join([*statements, f"SET ENGINE = 'dask'; SET SCHEDULER = '{self.address}'"]))
        return run


@pytest.fixture(scope="module")
def workers(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Three worker processes, whose lost ones are replaced as on any cluster.

    A cluster that is idle takes a sixth of a processor, and so none outlives its module.
    """
    del home
    with LocalCluster(
        n_workers=_WORKERS,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("dask")),
        silence_logs=50,
    ) as cluster:
        yield Workers(cluster)


@dataclass(frozen=True)
class Slow:
    """A server whose answers come after 30 ms, and how often it was asked."""

    endpoint: str
    behaviour: Behaviour

    @property
    def connect(self) -> str:
        """The statement that makes a connection to it."""
        keys = {"AWS_ACCESS_KEY_ID": "AKIAWORKERS", "AWS_SECRET_ACCESS_KEY": "the-secret-of-workers"}
        return create("slow", **keys, ENDPOINT=self.endpoint, REGION="us-east-1", VALIDATE=False)

    def asked(self, count: int) -> Callable[[], bool]:
        """Whether it was asked so many times from now on."""
        before = self.behaviour.requests
        return lambda: self.behaviour.requests - before >= count


@pytest.fixture(scope="session")
def slow() -> Iterator[Slow]:
    """120,000 keys of a Hive layout."""
    behaviour = Behaviour(0.03)
    with serving(Bucket(keys_of("hive", KEYS)), behaviour) as endpoint:
        yield Slow(endpoint, behaviour)
