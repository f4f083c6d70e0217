"""A listing in the places it runs in: interrupted, cancelled, in a loop, after a fork, many at once, at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from layouts import keys_of
from listing_targets import FakeTarget, SignedTarget
from synthetic import Behaviour, Bucket

from s3conn_magic.errors import ListingInterrupted, S3ConnError
from s3conn_magic.listing import Listing, fetch_page
from s3conn_magic.runtime.background import LOOP

KEYS = keys_of("hive", 3000)
ROOT = Path(__file__).parents[2]


def _under_way() -> int:
    """Tasks in the loop of all requests."""
    tasks: Future[int] = Future()
    LOOP.call(lambda: tasks.set_result(len(asyncio.all_tasks())))
    return tasks.result(10)


@pytest.fixture
def slow(serve):
    """A server whose patience a test can try: it answers at once until the test says otherwise."""
    behaviour = Behaviour()
    target = SignedTarget(serve(Bucket(KEYS), behaviour))
    return target, behaviour


def test_an_interrupt_gives_the_rows_so_far(slow):
    """SIGINT ends a listing that waits for the server with the rows that had arrived; the next listing works."""
    target, behaviour = slow
    listing = Listing(target, page_keys=50, connections=4)
    stalls = threading.Thread(target=_stall_after, args=(listing, behaviour), daemon=True)
    stalls.start()
    with pytest.raises(ListingInterrupted) as caught:
        listing.collect()
    stalls.join()
    rows = caught.value.rows_so_far.column("key").to_pylist()
    assert 0 < len(rows) < len(KEYS)
    assert set(rows) < set(KEYS)
    assert _under_way() == 0
    behaviour.latency = 0
    assert Listing(target).collect().column("key").to_pylist() == KEYS


def _stall_after(listing: Listing, behaviour: Behaviour) -> None:
    while listing.progress.keys < 100:
        time.sleep(0.001)
    behaviour.latency = 60
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)


def _client_sockets(endpoint: str) -> int:
    """Established connections of this process to the server, by the kernel's table."""
    port = f"{int(endpoint.rpartition(':')[2]):04X}"
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2].endswith(f":{port}") and line.split()[3] == "01" for line in lines)


def test_an_interrupted_page(slow):
    """SIGINT ends the wait for a single page."""
    target, behaviour = slow
    behaviour.latency = 60
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(ListingInterrupted):
        fetch_page(target)
    assert _under_way() == 0


def test_an_interrupt_within_a_transport_that_blocks():
    """SIGINT returns although the target's own transport does not."""
    release = threading.Event()

    class Stuck(FakeTarget):
        waits = True

        def send(self, query):
            del query
            release.wait(30)

    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(ListingInterrupted):
        Listing(Stuck(Bucket(KEYS))).collect()
    assert not release.is_set()
    release.set()


def test_leaving_a_stream_ends_it(slow):
    """Who stops reading pages leaves no request behind."""
    target, _ = slow
    with Listing(target, page_keys=10) as listing:
        for page in listing.pages():
            assert len(page) == 10
            break
    assert _under_way() == 0


def test_sockets_stay_open_from_one_page_to_the_next(slow):
    """Pages asked for one after the other share a socket; it is closed when the connection's sockets are."""
    target, _ = slow
    sockets = {_client_sockets(target.endpoint) for _ in range(3) if fetch_page(target)}
    assert sockets == {1}
    target.ways.close()
    until = time.monotonic() + 10
    while _client_sockets(target.endpoint) and time.monotonic() < until:
        time.sleep(0.01)
    assert _client_sockets(target.endpoint) == 0


def test_cancel_from_another_thread(slow):
    """A listing that is cancelled while it waits ends without an error and with the pages that had come."""
    target, behaviour = slow
    behaviour.latency = 60
    listing = Listing(target)
    threading.Timer(0.3, listing.cancel).start()
    assert list(listing.pages()) == []
    assert _under_way() == 0


def test_within_a_running_loop(slow):
    """A thread whose own loop is running, as a kernel's is, can list."""
    target, _ = slow

    async def cell() -> int:
        return len(Listing(target).collect())

    assert asyncio.run(cell()) == len(KEYS)


def test_several_at_once(slow):
    """Listings in several threads do not disturb each other."""
    target, _ = slow
    found: list[list[str]] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(Listing(target, page_keys=100).collect().column("key").to_pylist())
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [KEYS] * 6


_SCRIPT = """
import sys
sys.path[:0] = {paths!r}
from listing_targets import SignedTarget
from s3conn_magic.listing import Listing
target = SignedTarget({endpoint!r})
"""


def _run(slow_target: SignedTarget, code: str) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT), str(ROOT / "tests" / "listing"), str(ROOT / "benchmarks")]
    script = _SCRIPT.format(paths=paths, endpoint=slow_target.endpoint) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_after_a_fork(slow):
    """A process that has listed can fork, and its child lists as well."""
    target, _ = slow
    code = (
        "import os\nfirst = len(Listing(target).collect())\nchild = os.fork()\n"
        "if child == 0:\n    os._exit(0 if len(Listing(target).collect()) == first else 1)\n"
        "print(first, os.waitpid(child, 0)[1])\n"
    )
    done = _run(target, code)
    assert done.stdout.split() == [str(len(KEYS)), "0"], done.stderr


def test_the_end_of_a_process_does_not_wait(slow):
    """A process whose listing still waits for the server ends when its work is done."""
    target, behaviour = slow
    behaviour.latency = 600
    code = "listing = Listing(target)\npages = listing.pages()\nlisting._background.start()\nprint('done')\n"
    done = _run(target, code)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_progress_goes_up_and_ends_at_the_total(slow):
    """Progress counts keys, bytes, requests and seconds, and its estimate stays between 0 and 1."""
    target, _ = slow
    seen = []
    listing = Listing(target, page_keys=30, connections=4)
    table = listing.collect(on_progress=seen.append)
    assert [each.keys for each in seen] == sorted(each.keys for each in seen)
    assert all(each.fraction is None or 0 <= each.fraction <= 1 for each in seen)
    end = listing.progress
    assert (end.keys, end.bytes) == (len(KEYS), sum(table.column("size").to_pylist()))
    assert end.requests == len(target.asked)
    assert end.received > 0
    assert end.elapsed == listing.progress.elapsed > 0


def test_a_server_that_is_not_there():
    """No answer at all is the target's error, not an empty listing."""
    with pytest.raises(S3ConnError, match="no answer"):
        Listing(SignedTarget("http://127.0.0.1:9")).collect()


def test_a_name_that_does_not_resolve():
    """A host without an address is the target's error."""
    with pytest.raises(S3ConnError, match="no answer"):
        Listing(SignedTarget("http://no-such-host.invalid")).collect()
