"""LIST … RECURSIVE and ANALYZE on a real cluster give what one process gives, whatever becomes of a worker."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from urllib.parse import unquote

import pandas as pd
import pytest
from proxies import proxying
from statements import Statements, create

from s3conn_magic.cluster.scheduler import _reason
from s3conn_magic.cluster.work import lack_of, remedy, stop
from s3conn_magic.errors import BindError, ClusterError, ListingInterrupted, S3ConnError
from s3conn_magic.secrets import Secret

LIST = "LIST 's3://bucket/' RECURSIVE LIMIT ALL"
ANALYZE = "ANALYZE 's3://bucket/' BY PREFIX DEPTH 3"


def _same(found, expected) -> None:
    pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(expected))


@pytest.fixture(scope="module")
def here(slow, home):
    """What a session without a cluster finds."""
    del home
    run = Statements()
    run(slow.connect)
    return {"list": run(LIST), "analyze": run(ANALYZE)}


@pytest.fixture
def run(workers, slow, monkeypatch):
    """A session that goes to the cluster, with the connection `slow`; tasks are small, so that there are several."""
    monkeypatch.setattr("s3conn_magic.cluster.sweep._LEAST_PAGES", 16)
    monkeypatch.setattr("s3conn_magic.cluster.sweep._MOST_PAGES", 16)
    statements = workers.session(slow.connect)
    yield statements
    statements.session.close()


def test_the_frame_of_a_listing_is_that_of_one_process_though_a_worker_is_killed(run, workers, slow, here):
    """Rows, order and types are the same, and no key is missing or there twice; the worker dies amid its ranges."""
    before = len(workers.killed)
    thread = workers.kill_one(slow.asked(66))
    found = run(LIST)
    thread.join()
    assert len(workers.killed) == before + 1
    assert found["key"].is_unique
    _same(found, here["list"])


def test_an_analysis_is_that_of_one_process_though_a_worker_is_killed(run, workers, slow, here):
    """Every object counts once."""
    before = len(workers.killed)
    thread = workers.kill_one(slow.asked(66))
    found = run(ANALYZE)
    thread.join()
    assert len(workers.killed) == before + 1
    _same(found, here["analyze"])


def test_workers_do_most_of_a_listing(run, slow, here):
    """Tasks of the listing run in the workers' processes, and only the first look here."""
    seen = []
    cluster = run.session.scale.cluster()
    submit = cluster._client.submit
    cluster._client.submit = lambda *given, **options: (seen.append(options["key"]), submit(*given, **options))[1]
    asked = slow.behaviour.requests
    run(LIST)
    assert sum(key.startswith("s3conn-list_ranges-") for key in seen) >= 2
    assert slow.behaviour.requests - asked > 64
    # What the scheduler, its dashboard and its logs name tasks by tells nothing of what is read.
    assert all(re.fullmatch(r"s3conn-(list_ranges|prepare)-[0-9a-f]{32}", key) for key in seen)
    # Each worker opens its connection meanwhile, once, and none where the first look is all there is.
    assert sum(key.startswith("s3conn-prepare-") for key in seen) <= len(cluster.trusted())
    assert seen[0].startswith("s3conn-prepare-")
    seen.clear()
    folder = here["list"]["key"][0].rpartition("/")[0]
    assert len(run(f"LIST 's3://bucket/{folder}/' RECURSIVE LIMIT ALL")) > 0
    assert not seen


@pytest.mark.parametrize("statement", [LIST, ANALYZE])
def test_idle_workers_get_what_the_longest_task_has_left(run, here, monkeypatch, statement):
    """One worker has all ranges at first; it is stopped, and what it listed counts: each row is there once."""
    for name, value in {"FIRST_PAGES": 1, "_MOST_PAGES": 640, "_WORTH_ROUNDS": 1}.items():
        monkeypatch.setattr(f"s3conn_magic.cluster.sweep.{name}", value)
    run("SET CONNECTIONS = 2")
    cluster, asked = run.session.scale.cluster(), []
    ask = cluster.ask
    monkeypatch.setattr(cluster, "ask", lambda what, *given, **more: (asked.append(what), ask(what, *given, **more))[1])
    _same(run(statement), here["list" if statement == LIST else "analyze"])
    assert stop in asked


@pytest.mark.parametrize("limit", [90_000, 120_000])
def test_a_limit_gives_the_first_rows_and_says_whether_there_are_more(run, here, limit):
    """Rows in key order, and the note only where something was left out."""
    run.notes.clear()
    found = run(f"LIST 's3://bucket/' RECURSIVE LIMIT {limit}")
    _same(found, here["list"].head(limit))
    assert any(note.startswith("LIMIT") for note in run.notes) == (limit < 120_000)


def test_a_pattern_is_matched_on_the_workers(run, here):
    """MATCHING gives the rows that match, in order."""
    found = run("LIST 's3://bucket/' RECURSIVE MATCHING 'lake/*/year=*/month=0[1-9]/**' LIMIT ALL")
    month = here["list"]["key"].str.contains(r"/month=0[1-9]/", regex=True)
    _same(found, here["list"][month].reset_index(drop=True))


def test_an_interrupt_keeps_the_rows_and_cancels_the_tasks(run, slow):
    """The listing ends with what had arrived, and the workers stop asking."""
    reached = slow.asked(70)

    def interrupt() -> None:
        until = time.monotonic() + 20
        while not reached() and time.monotonic() < until:
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    failure = run.fails(LIST, ListingInterrupted)
    thread.join()
    rows = failure.rows_so_far
    assert 0 < len(rows) < 120_000
    assert rows["key"].is_unique
    assert "partial" in rows.attrs
    client = run.session.scale.cluster()._client
    assert not client.futures


def test_local_is_back_in_this_process(run, workers, here):
    """SET ENGINE = 'local' leaves the scheduler; the cluster is not asked again."""
    run("SET ENGINE = 'local'")
    assert run.session.scale.cluster() is None
    _same(run(LIST), here["list"])
    assert set(run("SHOW SETTINGS").query("setting in ['ENGINE', 'SCHEDULER']")["value"]) == {"local", workers.address}


def test_a_scheduler_that_is_not_there_is_one_clear_error(run, workers, monkeypatch):
    """The setting is refused and stays as it was."""
    monkeypatch.setattr("s3conn_magic.cluster.scheduler._CONNECT_TIMEOUT", 0.5)
    run("SET PROGRESS = FALSE")
    failure = run.fails("SET SCHEDULER = 'tcp://127.0.0.1:9'", ClusterError)
    assert "the scheduler tcp://127.0.0.1:9 cannot be reached" in failure.message
    assert run.session.settings["SCHEDULER"] == workers.address


def test_a_port_that_is_no_scheduler_is_an_error_soon(run, workers, slow):
    """A web server, such as the dashboard or S3, gives no answer that a scheduler would give: that is said."""
    address = slow.endpoint.replace("http:", "tcp:")
    began = time.monotonic()
    failure = run.fails(f"SET SCHEDULER = '{address}'", ClusterError)
    assert time.monotonic() - began < 30
    assert f"the scheduler {address} cannot be reached" in failure.message
    failure = run.fails(f"SET SCHEDULER = '{address.replace('tcp:', 'tls:')}'", ClusterError)
    assert "certificates" in failure.message
    assert run.session.settings["SCHEDULER"] == workers.address


LACKING = {
    ("1.2", "2026.1"): "has s3conn_magic 1.2, not ",
    "text": "does not answer (str)",
    ModuleNotFoundError("No module named 's3conn_magic'"): "does not have s3conn_magic ",
    ModuleNotFoundError("import of s3conn_magic halted; None in sys.modules"): "does not have s3conn_magic ",
    ModuleNotFoundError("No module named 's3conn_magic.cluster'"): "does not have s3conn_magic ",
    AttributeError("Can't get attribute 'versions' on <module 's3conn_magic.cluster.work'>"): "does not have ",
    ModuleNotFoundError("No module named 'botocore'"): "lacks the package botocore, ",
    Exception("ModuleNotFoundError(\"No module named 'dask._task_spec'\")"): "has another version of distributed ",
    TimeoutError(): "does not answer (TimeoutError)",
}


@pytest.mark.parametrize("answer", LACKING, ids=str)
def test_why_a_worker_or_scheduler_cannot_be_used_is_told_by_its_answer(answer):
    """No package, another version, a package that it needs and another distributed are told from one another."""
    assert lack_of(answer).startswith(LACKING[answer])
    assert "None" not in remedy(lack_of(answer), "the workers run")


def test_a_scheduler_of_another_distributed_is_tried_with_a_task(run, monkeypatch):
    """Where its tasks are understood it is used; where not, both versions are named at once, and what to install."""
    cluster, tried = run.session.scale.cluster(), []
    monkeypatch.setattr("s3conn_magic.cluster.scheduler.distributed_version", lambda: "2024.1.0")
    submit = cluster.submit
    cluster.submit = lambda *given, workers: (tried.extend(workers), submit(*given, workers=workers))[1]
    cluster._check()
    assert sorted(tried) == sorted(cluster.trusted())
    cluster.submit = lambda *_, **_options: 1 / 0
    with pytest.raises(ClusterError, match=r"has distributed 20.*another version of distributed than this") as raised:
        cluster._check()
    assert "pip install distributed==20" in raised.value.hint
    # An older scheduler refuses the client's first call.
    refused = _reason(cluster.address, TypeError("Scheduler.identity() got an unexpected keyword argument"))
    assert refused.startswith("it runs another version of distributed")


def test_workers_that_are_lost_are_not_said_to_have_been_none(run, monkeypatch):
    """A cluster that had workers and has them no more sends one to their logs."""
    cluster = run.session.scale.cluster()
    monkeypatch.setattr(cluster, "_threads", dict)
    with pytest.raises(ClusterError, match="has no workers any more") as raised:
        cluster.capacity()
    assert "logs" in raised.value.hint


def test_dask_without_a_scheduler_says_what_to_set(slow):
    """ENGINE may be set first; a statement that would go to the cluster then names SCHEDULER."""
    run = Statements()
    run(f"{slow.connect}; SET ENGINE = 'DASK'")
    assert "SET SCHEDULER = 'tcp://" in run.fails(LIST, ClusterError).hint


def test_dask_that_is_not_installed_is_named(monkeypatch):
    """The error says which extra to install, and the setting stays as it was."""
    monkeypatch.setattr("s3conn_magic.cluster.scheduler.find_spec", lambda _: None)
    run = Statements()
    assert "pip install distributed" in run.fails("SET ENGINE = 'dask'", ClusterError).hint
    assert run.session.settings["ENGINE"] == "local"


@pytest.mark.parametrize("value", ["http://h:1", "tcp://user:pw@h:1", "tcp://h", "h:8786", "tcp://h:1/x"])
def test_a_scheduler_is_an_address(value):
    """Anything else is refused when it is bound."""
    Statements().fails(f"SET SCHEDULER = '{value}'", BindError)


@pytest.mark.parametrize("password", ["", "user:pass%2Fword@"])
def test_workers_go_through_the_proxy_of_the_session(workers, slow, here, monkeypatch, password):
    """As its own requests do, password and all, though their environment knows no proxy, nor they the server's name."""
    wants = unquote(password.rstrip("@")) or None
    with proxying(slow.endpoint, wants=wants) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{password}{proxy.address}")
        run = workers.session()
        keys = {"AWS_ACCESS_KEY_ID": "AKIAWORKERS", "AWS_SECRET_ACCESS_KEY": "the-secret-of-workers"}
        run(create("slow", **keys, ENDPOINT="http://only.the.proxy.invalid", REGION="us-east-1", VALIDATE=False))
        _same(run(LIST), here["list"])
        run.session.close()
    assert {target.partition("?")[0] for method, target in proxy.asked if method == "GET"} == {
        "http://only.the.proxy.invalid/bucket"
    }
    assert proxy.authorizations == {wants}


def test_a_proxy_that_workers_cannot_reach_is_named_with_the_worker(workers, slow, monkeypatch):
    """The first look goes through; then the proxy is gone for the workers."""
    run = workers.session(slow.connect)
    accesses = run.session.scale.cluster().accesses
    monkeypatch.setattr(accesses, "_proxy", lambda *_: {"proxy": Secret("http://user:pw@127.0.0.1:1")})
    error = run.fails(LIST, S3ConnError)
    assert "the proxy 127.0.0.1:1 cannot be reached" in error.message
    assert any("This happened on the worker tcp://" in note for note in error.notes)
    assert "pw" not in f"{error} {error.notes}"
    run.session.close()
