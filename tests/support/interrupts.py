"""Interrupts at every point of the statements that wait, in a real kernel, and what they leave behind.

    python tests/support/interrupts.py --count 100

interrupts 100 cells, each while the server (on 127.0.0.1, in this process) has stopped at the point, and prints for
each point how often, the longest time from the interrupt to the end of the cell, and what was left: threads, sockets,
files, processes, connections that the cell should not have made or changed, objects that it should have deleted. It
needs /proc, and so Linux.
"""

from __future__ import annotations

import argparse
import ast
import os
import socket
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "benchmarks")]

from kernels import Kernel, started
from recording import Recorder, recording
from slow_s3 import SlowS3, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 30.0
_SYN_SENT = "02"
_PAIR = "AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE' AWS_SECRET_ACCESS_KEY = 'example'"
_ROLE = "AWS_ROLE = 'arn:aws:iam::123456789012:role/reader'"
_SLOW = f"CREATE S3 CONNECTION slow {_PAIR} ENDPOINT = '{{address}}'"
_READY = f"{_SLOW} VALIDATE = FALSE"
_ALL = "LIST 's3://bucket/' RECURSIVE LIMIT ALL"
_TEST = "TEST CONNECTION slow LOCATION 's3://bucket/' WITH WRITE"
_LOOK = """
import gc, os, sys, tempfile, threading
def what_is_there():
    import s3conn_magic
    gc.collect()
    there = [f"thread {one.name}" for one in threading.enumerate()]
    for number in os.listdir("/proc/self/fd"):
        try:
            file = os.readlink("/proc/self/fd/" + number)
        except FileNotFoundError:  # the one that listed the folder
            continue
        there += [file] if file.startswith(("socket:", "pipe:", "anon_inode:", tempfile.gettempdir())) else []
    there += [f"file {one}" for one in os.listdir(tempfile.gettempdir())]
    for task in os.listdir("/proc/self/task"):
        there += [f"process {one}" for one in open(f"/proc/self/task/{task}/children").read().split()]
    return there
"""
_SHOW = "__import__('s3conn_magic').execute('SHOW CONNECTIONS')"
_NAMES = f"{_SHOW}['name'].tolist()"
_COMMENTS = f"{_SHOW}['comment'].dropna().tolist()"


def _action(name: str) -> Callable[..., bool]:
    return lambda request, _: request.form.get("Action") == name


def _buckets(request: object, _: object) -> bool:
    return request.path == "/" and request.method == "GET"


def _more_buckets(request: object, _: object) -> bool:
    return "continuation-token" in request.query and request.path == "/"


def _page(request: object, _: object) -> bool:
    return request.path == "/bucket" and request.method == "GET"


def _last_page(request: object, reply: object) -> bool:
    return _page(request, reply) and b"<IsTruncated>false" in reply.body and "delimiter" not in request.query


def _object(method: str) -> Callable[..., bool]:
    return lambda request, _: request.method == method and request.path.startswith("/bucket/")


def _bucket_head(request: object, _: object) -> bool:
    return request.method == "HEAD" and request.path.strip("/") == "bucket"


@dataclass(frozen=True)
class Point:
    """A cell, and where it is interrupted.

    Attributes:
        name: statement and phase.
        cell: statements; `{address}` is the server, `{deaf}` one that accepts no connection.
        stop: makes the stop of the server; None where the cell waits to connect, or for a process.
        before: statements before it, or a line magic.
        kept: names of the connections there are afterwards.
        answered: seconds from the interrupt after which the server goes on; None when the cell has ended.
        finishes: whether the request is not broken off: what it has begun is undone first.
        may_end: whether the cell may have come to its end before the interrupt reached it.
    """

    name: str
    cell: str
    stop: Callable[[], Stop] | None
    before: str = _READY
    kept: tuple[str, ...] = ("slow",)
    answered: float | None = None
    finishes: bool = False
    may_end: bool = False


def _points() -> Iterator[Point]:
    created = {"before": "", "kept": ()}
    yield Point("CREATE, connecting", _SLOW.replace("address", "deaf"), None, **created)
    yield Point("CREATE, identity", _SLOW, lambda: Stop(_action("GetCallerIdentity")), **created)
    yield Point("CREATE, role", f"{_SLOW} {_ROLE}", lambda: Stop(_action("AssumeRole")), **created)
    yield Point("CREATE, buckets awaited", _SLOW, lambda: Stop(_buckets), **created)
    yield Point("CREATE, buckets half read", _SLOW, lambda: Stop(_buckets, how="half"), **created)
    filters = f"{_SLOW} PATH_DISPLAY_FILTERS = ('s3://bucket/')"
    yield Point("CREATE, display filter", filters, lambda: Stop(_page), **created)
    yield Point("ALTER, buckets", "ALTER S3 CONNECTION slow SET COMMENT = 'x'", lambda: Stop(_buckets))
    yield Point("SHOW BUCKETS, second page", "SHOW BUCKETS", lambda: Stop(_more_buckets))
    yield Point("LIST, connecting", _ALL, None, before=_READY.replace("address", "deaf"))
    yield Point("LIST, role at first use", _ALL, lambda: Stop(_action("AssumeRole")), before=f"{_READY} {_ROLE}")
    yield Point("LIST, first page", _ALL, lambda: Stop(_page))
    yield Point("LIST, middle page awaited", _ALL, lambda: Stop(_page, 10))
    yield Point("LIST, middle page half read", _ALL, lambda: Stop(_page, 10, how="half"))
    yield Point("LIST, last page", _ALL, lambda: Stop(_last_page))
    yield Point("LIST, collecting", _ALL, lambda: Stop(_last_page, how="sent"), may_end=True)
    yield Point("LIST, slowed down", _ALL, lambda: Stop(_page, 5, how="refused"))
    many = f"{_READY}; SET CONNECTIONS = 16"
    yield Point("LIST, 16 requests awaited", _ALL, lambda: Stop(_page, 12, every=True), before=many)
    yield Point("LIST VERSIONS, second page", "LIST 's3://bucket/' VERSIONS RECURSIVE", lambda: Stop(_page, 2))
    yield Point("LIST MATCHING, second page", "LIST 's3://bucket/' RECURSIVE MATCHING '**/*7*'", lambda: Stop(_page, 2))
    yield Point("ANALYZE, fifth page", "ANALYZE 's3://bucket/'", lambda: Stop(_page, 5))
    csv, parquet = (f"PREVIEW 's3://bucket/made/table.{kind}'" for kind in ("csv", "parquet"))
    yield Point("PREVIEW, head", csv, lambda: Stop(_object("HEAD")))
    yield Point("PREVIEW, range awaited", csv, lambda: Stop(_object("GET")))
    yield Point("PREVIEW, range half read", csv, lambda: Stop(_object("GET"), how="half"))
    yield Point("PREVIEW, columns of Parquet", parquet, lambda: Stop(_object("GET"), 2))
    yield Point("EXPLORE, first page", "EXPLORE 's3://bucket/'", lambda: Stop(_page))
    for phase, at in {
        "identity": _action("GetCallerIdentity"),
        "buckets": _more_buckets,
        "list": _page,
        "read": _object("GET"),
    }.items():
        yield Point(f"TEST CONNECTION, {phase}", _TEST, lambda at=at: Stop(at))
    yield Point("TEST CONNECTION, write", _TEST, lambda: Stop(_object("PUT")), answered=0.3, finishes=True)
    yield Point("TEST CONNECTION, write that stalls", _TEST, lambda: Stop(_object("PUT")), finishes=True)
    yield Point("TEST CONNECTION, delete", _TEST, lambda: Stop(_object("DELETE")), answered=0.3, finishes=True)
    several = f"{_READY}; SHOW BUCKETS; {_ALL}; DROP CONNECTION slow"
    yield Point("several statements, the third", several, lambda: Stop(_page, 3), before="")
    # A server that a variable names is taken for AWS, which has regions.
    aws = "from s3conn_magic.connections.configuration import Configuration as C; C.is_aws = C.finds_regions = True"
    place = f"{aws}\n%env AWS_ENDPOINT_URL_S3={{address}}"
    by_region = _READY.replace("ENDPOINT = '{address}'", "")
    yield Point("LIST, the bucket's region", _ALL, lambda: Stop(_bucket_head), before=f"{place}\n{by_region}")
    yield Point("START SANDBOX", "START SANDBOX", None, **created)


POINTS = tuple(_points())


@dataclass
class Outcome:
    """What came of one interrupt: seconds until the cell had ended, and what was left behind."""

    seconds: float
    left: list[str] = field(default_factory=list)


class Stage:
    """A kernel, a server, and one that accepts no connection."""

    def __init__(self, kernel: Kernel, slow: SlowS3, recorder: Recorder, deaf: socket.socket) -> None:
        self._kernel = kernel
        self._slow = slow
        self._recorder = recorder
        self._deaf = deaf
        self._addresses = {"address": recorder.endpoint, "deaf": f"http://127.0.0.1:{deaf.getsockname()[1]}"}
        self._python(f"%load_ext s3conn_magic\n{_LOOK}")
        # Libraries that load at first use open files and start threads that stay.
        for cell in dict.fromkeys(point.cell for point in POINTS if point.stop and point.before == _READY):
            self._begin(_READY)
            self._run(cell)
            self._clear()
        self._there = set(self._look())

    def interrupt(self, point: Point) -> Outcome:
        """Run a point's cell, interrupt it there, and look around."""
        self._prepare(point)
        stop = self._slow.stop = point.stop() if point.stop else None
        times: list[float] = []
        beside = threading.Thread(target=self._stop_at, args=(point, stop, times), daemon=True)
        beside.start()
        status = self._run(point.cell)
        ended = time.perf_counter()
        beside.join(_PATIENCE)
        if stop:
            stop.go.set()
        self._slow.stop = None
        outcome = Outcome(ended - times[0] if times else 0.0)
        outcome.left += [] if times else ["the point was not reached"]
        outcome.left += self._left(point, status, stop)
        return outcome

    def _stop_at(self, point: Point, stop: Stop | None, times: list[float]) -> None:
        reached = stop.reached.wait(_PATIENCE) if stop else self._waits(point)
        if reached:
            times.append(time.perf_counter())
            self._kernel.interrupt()
        if stop and point.answered is not None:
            time.sleep(point.answered)
            stop.go.set()

    def _waits(self, point: Point) -> bool:
        """Whether the kernel comes to wait for a connection, or has started a process."""
        looks = self._starts if "SANDBOX" in point.cell else self._connects
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if looks():
                return True
            time.sleep(0.01)
        return False

    def _connects(self) -> bool:
        # One of its queue's own clients waits, too, for as long as the system has it try: the kernel's sockets count.
        port, sockets = f":{self._deaf.getsockname()[1]:04X}", set()
        for descriptor in Path(f"/proc/{self._kernel.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                sockets.add(str(descriptor.readlink()))
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(
            remote.endswith(port) and state == _SYN_SENT and f"socket:[{inode}]" in sockets
            for _, _, remote, state, _, _, _, _, _, inode, *_ in lines
        )

    def _starts(self) -> bool:
        for task in Path(f"/proc/{self._kernel.pid}/task").iterdir():
            # A thread that has ended meanwhile has started nothing.
            with suppress(FileNotFoundError, ProcessLookupError):
                if (task / "children").read_text().split():
                    return True
        return False

    def _left(self, point: Point, status: str, stop: Stop | None) -> list[str]:
        left = [] if status == "error" or point.may_end else [f"the cell ended with {status}"]
        names = ast.literal_eval(self._python(f"print({_NAMES})"))
        left += [f"connection {name}" for name in names if name not in point.kept]
        left += [f"no connection {name}" for name in point.kept if name not in names]
        left += [f"a comment {text}" for text in ast.literal_eval(self._python(f"print({_COMMENTS})"))]
        left += self._next_cell(point)
        end = time.monotonic() + 5
        while (found := self._still(point, stop)) and time.monotonic() < end:
            time.sleep(0.02)
        self._clear()
        new = set(self._look()) - self._there
        self._there |= new
        return left + found + sorted(new)

    def _next_cell(self, point: Point) -> list[str]:
        if "deaf" in point.before or "slow" not in point.kept:
            return [] if self._run("SHOW CONNECTIONS") == "ok" else ["a kernel whose next cell fails"]
        return [] if self._run("LIST 's3://bucket/' LIMIT 10") == "ok" else ["a connection whose next listing fails"]

    def _still(self, point: Point, stop: Stop | None) -> list[str]:
        """What the server still sees: the socket that was interrupted, and what was written."""
        cut = stop is not None and stop.how in {"held", "half"} and not point.finishes
        waits = ["the interrupted request's socket"] if cut and stop.port in self._recorder.connections else []
        return waits + [f"object {path}" for path in self._slow.written]

    def _prepare(self, point: Point) -> None:
        line, _, rest = point.before.rpartition("\n")
        if line:
            self._python(line.format(**self._addresses))
        self._begin(rest)

    def _begin(self, statements: str) -> None:
        assert self._run(f"SET CONNECTIONS = 1; SET PROGRESS = FALSE; {statements}") == "ok"

    def _clear(self) -> None:
        self._python("import os; _ = os.environ.pop('AWS_ENDPOINT_URL_S3', None)")
        for name in ast.literal_eval(self._python(f"print({_NAMES})")):
            assert self._run(f"DROP CONNECTION {name}") == "ok"

    def _look(self) -> list[str]:
        there: list[str] = ast.literal_eval(self._python("print(what_is_there())"))
        return there

    def _run(self, text: str) -> str:
        return self._kernel.run(f"%%upsql\n{text.format(**self._addresses)}", timeout=2 * _PATIENCE).status

    def _python(self, text: str) -> str:
        outcome = self._kernel.run(text)
        assert outcome.status == "ok", outcome.error
        return outcome.stdout.strip()


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """A stage for the length of a block; the kernel's temporary files go below the folder."""
    temporary = folder / "temporary"
    temporary.mkdir()
    slow, before = SlowS3(), os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(temporary)
    try:
        with started(folder) as kernel, recording(slow.answer) as recorder, _deaf() as deaf:
            yield Stage(kernel, slow, recorder, deaf)
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before


@contextmanager
def _deaf() -> Iterator[socket.socket]:
    """A server whose queue is full: connecting to it takes for ever."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server


def main() -> None:
    """Interrupt, and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--count", type=int, default=100)
    count = options.parse_args().count
    outcomes: dict[str, list[Outcome]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(HOME=folder, AWS_EC2_METADATA_DISABLED="true")
        with staged(Path(folder)) as stage:
            for number in range(count):
                point = POINTS[number % len(POINTS)]
                outcomes.setdefault(point.name, []).append(stage.interrupt(point))
    for name, found in outcomes.items():
        left = ", ".join(dict.fromkeys(one for outcome in found for one in outcome.left)) or "nothing"
        print(f"{name:36} {len(found):3}  {max(one.seconds for one in found):6.3f} s  left: {left}")
    every = [one for found in outcomes.values() for one in found]
    worst, left = max(one.seconds for one in every), sum(bool(one.left) for one in every)
    print(f"{len(every)} interrupts at {len(outcomes)} points: worst {worst:.3f} s, {left} left something behind")
    sys.exit(worst > 1 or left > 0)


if __name__ == "__main__":
    main()
