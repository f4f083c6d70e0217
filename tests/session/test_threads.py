"""Several threads in one session: each has its own results, and what one does to a name is whole for the others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from statements import Statements, create
from threads import left, prepared

import s3conn_magic
from s3conn_magic.errors import (
    ConnectionExistsError,
    ConnectionInUseError,
    JobExistsError,
    QueryError,
    S3ConnError,
    StatementInterrupted,
)
from s3conn_magic.language.plans import Usage
from s3conn_magic.sandbox import Sandbox

SECONDS = float(os.environ.get("S3CONN_THREADS_SECONDS", "6"))
LONG = "SELECT count(*) AS n FROM range(400000000) AS a, range(50) AS b WHERE a.range + b.range > 0"
PAIR = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture
def run():
    """A session of its own."""
    found = Statements()
    yield found
    found.session.close()


@pytest.fixture
def of_the_process():
    """The session of `execute`, new and gone afterwards."""
    before = dict(s3conn_magic._sessions)
    s3conn_magic._sessions.clear()
    yield
    for one in s3conn_magic._sessions.values():
        one.close()
    s3conn_magic._sessions.clear()
    s3conn_magic._sessions.update(before)


@pytest.mark.usefixtures("of_the_process")
def test_sixteen_threads_get_right_results_or_hear_that_another_was_first(rclone_server):
    """Queries, tables, jobs, listings, connections: nothing is mixed up, stuck or broken, and all works afterwards."""
    crowd = prepared(rclone_server, SECONDS)
    crowd.run(16)
    assert crowd.wrong + left() == []
    assert sum(count for (_, outcome), count in crowd.seen.items() if outcome == "right") > 16


def _both(call, *arguments):
    """What each of two threads gets that begin at the same moment: a result, or an error of this package."""
    together = threading.Barrier(2)

    def one(argument):
        together.wait()
        try:
            return call(argument)
        except S3ConnError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, arguments))


def _one_of(found, kind):
    """The error of the one that came second."""
    assert sorted(isinstance(one, S3ConnError) for one in found) == [False, True]
    (error,) = [one for one in found if isinstance(one, S3ConnError)]
    assert isinstance(error, kind)
    return error


def _bound(run, *texts):
    """Statements that were bound before any of them is executed."""
    return [run.session.steps(text)[0] for text in texts]


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        (
            ("CREATE TABLE t AS SELECT 1 AS x", "CREATE TABLE t AS SELECT 2 AS x"),
            QueryError,
            "the table t already exists",
        ),
        (("CREATE TABLE t", "CREATE TABLE T (x INTEGER)"), QueryError, "already exists"),
        (
            (create("c", **PAIR, VALIDATE=False), create("C", **PAIR, VALIDATE=False)),
            ConnectionExistsError,
            "already exists",
        ),
        (
            ("ALTER S3 CONNECTION a RENAME TO c", "ALTER S3 CONNECTION b RENAME TO c"),
            ConnectionExistsError,
            "the connection c already exists",
        ),
        (
            tuple(f"CREATE JOB j AS INSERT INTO S3 a LOCATION = 's3://bucket/' SELECT {at} AS x" for at in range(2)),
            JobExistsError,
            "the job j already exists",
        ),
    ],
    ids=["tables", "empty tables", "connections", "new names", "jobs"],
)
def test_of_two_that_make_one_name_one_wins(run, texts, kind, message, monkeypatch):
    """Both were bound while the name was free; the second is told that it is taken, and changes nothing."""
    monkeypatch.setattr("s3conn_magic.jobs.registry.Jobs.run", lambda *_: time.sleep(0.2))
    monkeypatch.setattr("s3conn_magic.jobs.job.outcome_text", lambda *_, **__: "made")
    for name in ("a", "b"):
        run(create(name, **PAIR, VALIDATE=False))
    assert message in _one_of(_both(lambda step: step(), *_bound(run, *texts)), kind).message


def test_a_replacement_replaces_what_came_since_it_was_bound(run):
    """OR REPLACE does so, too, where the name was free when the statement was bound; the message says what was done."""
    first, second = _bound(run, "CREATE TABLE t AS SELECT 1 AS x", "CREATE OR REPLACE TABLE t AS SELECT 2 AS x")
    assert "created" in str(first())
    assert "replaced" in str(second())
    assert run("SELECT x FROM t")["x"].tolist() == [2]


def test_two_changes_of_a_connection_are_both_there(run):
    """What one altered is not taken back by another that was bound before it."""
    run(create("c", **PAIR, VALIDATE=False))
    steps = _bound(
        run,
        "ALTER S3 CONNECTION c SET COMMENT = 'x' VALIDATE = FALSE",
        "ALTER S3 CONNECTION c SET REGION = 'eu-west-1' VALIDATE = FALSE",
    )
    for step in steps:
        step()
    assert run.connection("c").settings.region == "eu-west-1"
    assert run.connection("c").options["COMMENT"].value == "x"


def test_a_change_that_another_overtakes_is_refused(run, monkeypatch):
    """A connection that was altered while another ALTER looked at the server stays as the first has left it."""
    run(create("c", **PAIR, VALIDATE=False))
    overtaking = _bound(run, "ALTER S3 CONNECTION c SET COMMENT = 'first' VALIDATE = FALSE")[0]
    monkeypatch.setattr("s3conn_magic.connections.probe.probe", lambda _: overtaking() and None)
    run.fails("ALTER S3 CONNECTION c SET COMMENT = 'second'", ConnectionExistsError)
    assert run.connection("c").options["COMMENT"].value == "first"


def test_a_connection_is_not_dropped_with_what_came_since_it_was_bound(run):
    """Without CASCADE, a table that another thread has made meanwhile keeps its connection."""
    run(create("c", **PAIR, VALIDATE=False))
    drop = _bound(run, "DROP CONNECTION c")[0]
    run.session.connections.depend("c", Usage("table", "t"))
    with pytest.raises(ConnectionInUseError):
        drop()
    assert run.connections == ["c"]


def test_two_threads_start_one_sandbox():
    """The second waits for the server of the first, and gets the same connection."""
    started = []

    def start():
        time.sleep(0.3)
        started.append(Sandbox.start())
        return started[-1]

    run = Statements()
    run.session._start_server = start
    try:
        found = _both(run, "START SANDBOX", "START SANDBOX")
        assert [type(one) for one in found if isinstance(one, S3ConnError)] == []
        assert len(started) == 1
    finally:
        run.session.close()


@pytest.mark.usefixtures("of_the_process")
def test_threads_that_come_first_share_one_session():
    """Of threads that call `execute` at once in a new process, none makes a session, or a database, of its own."""

    def made(number):
        s3conn_magic.execute(f"CREATE TABLE t{number} AS SELECT {number} AS x")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(made, range(8)))
    assert sorted(s3conn_magic.execute("SHOW TABLES")["name"]) == [f"t{at}" for at in range(8)]


def _broken(database):
    database.execute("BEGIN TRANSACTION; CREATE TABLE half AS SELECT 1 AS x")
    with pytest.raises(duckdb.Error):
        database.execute("SELECT 'x'::INTEGER")
    with pytest.raises(duckdb.Error, match="aborted"):
        database.execute("SELECT 1")


def _dies(engine):
    def work():
        engine.database.execute("BEGIN TRANSACTION; CREATE TABLE half AS SELECT 1 AS x")
        raise SystemExit

    with pytest.raises(SystemExit):
        engine.alone(work)


@pytest.mark.parametrize(
    "left_by",
    [
        lambda engine: engine.alone(lambda: engine.database.execute("BEGIN TRANSACTION")),
        lambda engine: engine.alone(lambda: _broken(engine.database)),
        lambda engine: engine.database.execute("BEGIN; CREATE TABLE half AS SELECT 1 AS x"),
        _dies,
    ],
    ids=["begun", "broken", "of the user", "of a thread that died"],
)
def test_a_transaction_ends_with_its_statement(run, left_by):
    """What is begun and not committed, or was broken, is rolled back before the next statement, which works."""
    run("CREATE TABLE t AS SELECT 1 AS x")
    left_by(run.session.queries.engine)
    assert run("SELECT x FROM t")["x"].tolist() == [1]
    run("CREATE TABLE u AS SELECT 2 AS x")
    assert sorted(run("SELECT table_name FROM duckdb_tables()")["table_name"]) == ["t", "u"]


def _interrupt_soon(wanted):
    """Press the stop button when a thing is so."""

    def press():
        while not wanted():
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), 2)

    threading.Thread(target=press, daemon=True).start()


@pytest.mark.usefixtures("of_the_process")
def test_an_interrupt_stops_the_main_thread_s_query_only():
    """A query of another thread, which waits for its turn meanwhile, gives its result."""
    s3conn_magic.execute("CREATE TABLE t AS SELECT 7 AS x")
    engine = s3conn_magic._current_session().queries.engine
    with ThreadPoolExecutor(1) as pool:

        def other():
            while not engine._turns.locked():
                time.sleep(0.01)
            return s3conn_magic.execute("SELECT x FROM t")["x"].tolist()

        waiting = pool.submit(other)
        _interrupt_soon(engine._turns.locked)
        with pytest.raises(StatementInterrupted):
            s3conn_magic.execute(LONG)
        assert waiting.result(30) == [7]


@pytest.mark.usefixtures("of_the_process")
def test_an_interrupt_while_another_thread_has_its_turn_leaves_that_alone():
    """The main thread stops to wait at once; the other's query goes on, and what was called off never runs."""
    s3conn_magic.execute("CREATE TABLE t AS SELECT 7 AS x")
    engine = s3conn_magic._current_session().queries.engine
    going = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(engine.alone, lambda: going.wait(30) and engine.database.execute("FROM t").fetchall())
        while not engine._turns.locked():
            time.sleep(0.01)
        _interrupt_soon(lambda: True)
        with pytest.raises(StatementInterrupted):
            s3conn_magic.execute("CREATE TABLE never AS SELECT 1 AS x")
        going.set()
        assert other.result(30) == [(7,)]
    assert s3conn_magic.execute("SHOW TABLES")["name"].tolist() == ["t"]


@pytest.mark.usefixtures("of_the_process")
def test_what_only_looks_waits_for_nobody():
    """While a query runs, another thread binds statements and sees the tables with their rows."""
    s3conn_magic.execute("CREATE TABLE t AS SELECT 7 AS x")
    session = s3conn_magic._current_session()
    going = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(session.queries.engine.alone, lambda: going.wait(60))
        try:
            assert s3conn_magic.execute("SHOW TABLES")["rows"].tolist() == [1]
            assert len(session.steps("SELECT x FROM t")) == 1
            assert not busy.done()
        finally:
            going.set()


def test_frames_of_one_name_are_those_of_their_own_query(run):
    """A frame that another cursor was given by the name is not seen."""
    run.names["df"] = pd.DataFrame({"x": [1]})
    other = run.session.queries.engine.database
    other.register("df", pd.DataFrame({"x": [2]}))
    assert run("SELECT x FROM df")["x"].tolist() == [1]
    assert other.execute("SELECT x FROM df").fetchall() == [(2,)]


@pytest.mark.usefixtures("of_the_process")
def test_coroutines_run_statements_in_threads():
    """`await asyncio.to_thread(execute, …)`, many at once, gives each its own result."""

    async def every():
        return await asyncio.gather(
            *(asyncio.to_thread(s3conn_magic.execute, f"SELECT 0 AS n; SELECT {at} AS n") for at in range(20))
        )

    assert [frame["n"][0] for frame in asyncio.run(every())] == list(range(20))


_FORKS = """
import os, sys
sys.path.insert(0, {root!r})
from s3conn_magic import execute
execute("CREATE TABLE t AS SELECT 7 AS x")
child = os.fork()
print(execute("SELECT 5 AS x")["x"][0], flush=True)
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_child_comes_to_its_end(tmp_path):
    """It ends as any process does: the parent's database, whose threads it does not have, is not closed in it."""
    (program := tmp_path / "forks.py").write_text(_FORKS.format(root=str(Path(s3conn_magic.__file__).parents[1])))
    command = [sys.executable, "-W", "ignore", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stderr, done.stdout.split()) == ("", ["5", "5", "0"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.usefixtures("of_the_process")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_database_of_its_own():
    """It is free though a thread of the parent had its turn, and without the parent's tables."""
    s3conn_magic.execute("CREATE TABLE t AS SELECT 7 AS x")
    engine, going = s3conn_magic._current_session().queries.engine, threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(engine.alone, lambda: going.wait(60))
        while not engine._turns.locked():
            time.sleep(0.01)
        child = os.fork()
        if not child:
            found = s3conn_magic.execute("SELECT 5 AS x")["x"].tolist() == [5]
            os._exit(0 if found and s3conn_magic.execute("SHOW TABLES").empty else 1)
        going.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert s3conn_magic.execute("SELECT x FROM t")["x"].tolist() == [7]
