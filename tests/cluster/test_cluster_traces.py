"""A cluster of processes of their own that log everything: what is in their logs, and in their memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from certificates import authority
from proxies import proxying, secured
from statements import Statements, create

import s3conn_magic

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "kJ8sQv2xWm5bTn9cRz4gYh7pLd3fEa6u"
LIST = "LIST 's3://bucket/' RECURSIVE LIMIT ALL"
_ROOT = str(Path(s3conn_magic.__file__).parents[1])
_LOGGED = "logging.basicConfig(level=logging.DEBUG, stream=sys.stderr); logging.disable(logging.NOTSET)"
_WORKER = """
import asyncio, logging, sys
{lacking}
import dask; dask.config.set({{"logging.distributed": "debug", "distributed.worker.use-file-locking": False}})
from distributed import {kind} as Kind
{logged}
async def main():
    async with Kind({given}) as one:
        print(one.address, flush=True)
        await one.finished()
if __name__ == "__main__":
    asyncio.run(main())
"""
# What a process of its own knows nothing of, whenever it starts.
_OF_SESSION = {"HTTP_PROXY", "HTTPS_PROXY", "AWS_CA_BUNDLE"}
_LACKING = "sys.modules['s3conn_magic'] = None"


# Of `__main__`, functions travel whole: the processes do not import what holds the secret.
_THERE: dict[str, Any] = {"__name__": "__main__"}
exec(
    """
def kept():
    from s3conn_magic import secrets
    return len(secrets._given), len(secrets._holders)

def tasks(dask_scheduler):
    return sum(key.startswith("s3conn-") for key in dask_scheduler.tasks)
""",
    _THERE,
)


@dataclass
class Processes:
    """A scheduler and workers, each a process whose log is a file."""

    folder: Path
    scheduler: str = ""
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, kind: str, given: str, *, lacking: bool = False) -> subprocess.Popen[str]:
        """Start one, and wait until it has an address."""
        code = _WORKER.format(kind=kind, given=given, logged=_LOGGED, lacking=_LACKING if lacking else "")
        program = self.folder / f"{len(self.running)}.py"
        program.write_text(code, encoding="utf-8")
        log = (self.folder / f"{len(self.running)}.log").open("wb")
        child = subprocess.Popen(
            [sys.executable, program],
            env={**{name: value for name, value in os.environ.items() if name not in _OF_SESSION}, "PYTHONPATH": _ROOT},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        self.running.append(child)
        address = child.stdout.readline().strip()
        assert address, self.logs()[-3000:]
        self.scheduler = self.scheduler or address
        return child

    def worker(self, *, lacking: bool = False) -> subprocess.Popen[str]:
        """Start a worker."""
        return self.start("Worker", f"{self.scheduler!r}, nthreads=1, dashboard=False", lacking=lacking)

    def logs(self) -> str:
        """Everything that was logged."""
        return "".join(one.read_text(errors="replace") for one in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        """End them all."""
        for child in self.running:
            child.kill()
            child.communicate()


@pytest.fixture(scope="module")
def processes(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """A scheduler and one worker; more come later."""
    del home
    made = Processes(tmp_path_factory.mktemp("cluster"))
    try:
        made.start("Scheduler", "host='127.0.0.1', port=0, dashboard=False")
        made.worker()
        yield made
    finally:
        made.stop()


@pytest.fixture
def run(processes: Processes, slow, monkeypatch) -> Iterator[Statements]:
    """A session that goes to the cluster."""
    monkeypatch.setattr("s3conn_magic.cluster.sweep._LEAST_PAGES", 16)
    monkeypatch.setattr("s3conn_magic.cluster.sweep._MOST_PAGES", 16)
    statements = Statements()
    keys = {"AWS_ACCESS_KEY_ID": "AKIATRACES", "AWS_SECRET_ACCESS_KEY": SECRET}
    statements(create("slow", **keys, ENDPOINT=slow.endpoint, REGION="us-east-1", VALIDATE=False))
    statements(f"SET ENGINE = 'dask'; SET SCHEDULER = '{processes.scheduler}'")
    yield statements
    statements.session.close()


def _in_memory(pid: int) -> int:
    """How often the secret is in a process's memory, what is not used any more among it."""
    found = 0
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if area:
                start, end = (int(one, 16) for one in area.groups())
                memory.seek(start)
                found += memory.read(end - start).count(SECRET.encode())
    return found


def _readable(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/mem").open("rb"):
            return True
    except OSError:
        return False


def _joins_midway(run: Statements, processes: Processes, *, lacking: bool) -> None:
    """Have a worker join when the first task was submitted."""
    cluster = run.session.scale.cluster()
    client = cluster._client
    submit, joined = client.submit, []

    def submitted(*given, **options):
        if not joined:
            joined.append(processes.worker(lacking=lacking))
            until = time.monotonic() + 60
            cluster.trusted()
            while not all(look.done() for look in cluster._checks.values()) and time.monotonic() < until:
                time.sleep(0.05)
        return submit(*given, **options)

    client.submit = submitted


def test_no_process_of_a_cluster_logs_the_key_though_a_worker_without_the_package_joins(run, processes):
    """The rows are exact, the newcomer is given nothing, all logs are clean, and the scheduler never knew the key."""
    _joins_midway(run, processes, lacking=True)
    rows = run(LIST)
    assert rows["key"].is_unique
    assert len(rows) == 120_000
    newcomer = (processes.folder / "2.log").read_text(errors="replace")
    assert "Register" in newcomer or "Start worker" in newcomer
    assert "s3conn-list_ranges" not in newcomer
    logs = processes.logs()
    assert len(logs) > 10_000
    assert SECRET not in logs
    assert "AKIATRACES" not in logs
    scheduler = processes.running[0].pid
    if not _readable(scheduler):
        pytest.skip("the memory of other processes cannot be read here")
    assert _in_memory(scheduler) == 0
    assert _in_memory(processes.running[2].pid) == 0


def test_a_worker_that_joins_midway_is_looked_at_and_works(run, processes):
    """It is told what opens the tasks, and does some of them."""
    _joins_midway(run, processes, lacking=False)
    assert len(run(LIST)) == 120_000
    log = (processes.folder / f"{len(processes.running) - 1}.log").read_text(errors="replace")
    assert "Run out-of-band function 'give'" in log
    assert "Run out-of-band function 'forget'" in log
    assert SECRET not in processes.logs()


@pytest.mark.parametrize("way", ["a proxy", "a private CA"])
def test_a_worker_that_joins_midway_goes_the_way_of_the_session(run, processes, slow, monkeypatch, way):
    """It is told the proxy or the CA, which its own environment does not know, and does some tasks."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIATRACES", "AWS_SECRET_ACCESS_KEY": SECRET}
    with ExitStack() as servers:
        if way == "a proxy":
            proxy = servers.enter_context(proxying(slow.endpoint))
            monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
            endpoint = "http://only.the.proxy.invalid"
        else:
            ca = authority(processes.folder / "ca")
            endpoint = f"https://{servers.enter_context(secured(slow.endpoint, ca.server))}"
            monkeypatch.setenv("AWS_CA_BUNDLE", str(ca.bundle))
        run(create("behind", **keys, ENDPOINT=endpoint, REGION="us-east-1", VALIDATE=False))
        _joins_midway(run, processes, lacking=False)
        rows = run(LIST.replace(" RECURSIVE", " USING behind RECURSIVE"))
        run("DROP CONNECTION behind")
    assert len(rows) == 120_000
    log = (processes.folder / f"{len(processes.running) - 1}.log").read_text(errors="replace")
    assert "s3conn-list_ranges" in log
    assert SECRET not in processes.logs()


def test_nothing_of_the_key_is_left_on_the_workers(run, processes):
    """After a statement no worker keeps a pad or a connection, and the scheduler knows no task."""
    run(LIST)
    client = run.session.scale.cluster()._client
    kept = run.session.scale.cluster().ask(_THERE["kept"], workers=run.session.scale.cluster().trusted())
    assert set(kept.values()) == {(0, 0)}
    until = time.monotonic() + 30
    while client.run_on_scheduler(_THERE["tasks"]) and time.monotonic() < until:
        time.sleep(0.1)
    assert client.run_on_scheduler(_THERE["tasks"]) == 0
    run("DROP CONNECTION slow")
    assert SECRET not in processes.logs()


def test_a_worker_that_is_killed_leaves_its_task_to_the_others(run, processes, slow):
    """The tasks go on elsewhere, and nobody logs them."""
    processes.worker()
    reached = slow.asked(70)
    victim = processes.running[1]

    def killed() -> None:
        if reached() and victim.poll() is None:
            victim.send_signal(signal.SIGKILL)

    cluster = run.session.scale.cluster()
    look = cluster.trusted
    cluster.trusted = lambda: (killed(), look())[1]
    assert len(run(LIST)) == 120_000
    assert victim.poll() is not None
    assert SECRET not in processes.logs()
