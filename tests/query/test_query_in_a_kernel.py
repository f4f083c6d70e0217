"""A query in a real kernel: frames of the notebook, errors, and the interrupt button."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from s3conn_magic.errors import StatementInterrupted, without_frames

if TYPE_CHECKING:
    from kernels import Kernel


@pytest.fixture
def ready(kernel: Kernel) -> Kernel:
    """A kernel with the extension loaded."""
    assert kernel.run("%load_ext s3conn_magic").status == "ok"
    return kernel


def test_frames_of_the_notebook_and_back(ready):
    """A DataFrame is a table by its name, and a result goes into a variable."""
    ready.run("import pandas as pd\nprices = pd.DataFrame({'item': ['a', 'b'], 'price': [1.5, 2.5]})\nlimit = 2")
    outcome = ready.run("%%upsql dear <<\nSELECT item FROM prices WHERE price > $limit")
    assert outcome.status == "ok", outcome.error
    assert ready.run("print(dear['item'].tolist())").stdout.strip() == "['b']"


def test_an_error_is_one_block(ready):
    """No traceback, the place, and the cell has failed."""
    outcome = ready.run("%%upsql\nSELECT 1 AS a;\nSELECT\n  nope FROM range(3)")
    assert outcome.status == "error"
    assert outcome.error["ename"] == "QueryError"
    text = "\n".join(outcome.error["traceback"])
    assert "line 4, column 3" in text
    assert "Traceback" not in text


def test_an_interrupt_ends_a_query_and_the_next_one_works(ready):
    """The stop button ends what DuckDB computes; the session goes on."""
    timer = threading.Timer(1.5, ready.interrupt)
    timer.start()
    outcome = ready.run("%upsql SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")
    timer.join()
    assert outcome.status == "error"
    assert outcome.error["ename"] == "StatementInterrupted", outcome.error
    assert ready.run("%upsql SELECT 1 AS a").status == "ok"


_STOPPED_WHILE_READ = """
import os, random, signal, threading, time
from s3conn_magic.query.engine import QueryEngine

engine, go, seen = QueryEngine(None, None), threading.Event(), set()
engine.mentioned("SELECT 1")


def press():
    for _ in range(40):
        go.wait()
        go.clear()
        time.sleep(random.random() / 1000)
        os.kill(os.getpid(), signal.SIGINT)


pressing = threading.Thread(target=press)
pressing.start()
for _ in range(40):
    try:
        go.set()
        while True:
            engine.mentioned("SELECT 1 AS a, 2 AS b")
    except BaseException as error:
        seen.add(type(error).__name__)
pressing.join()
print(*sorted(seen - {"KeyboardInterrupt"}))
"""


def test_an_interrupt_while_a_query_is_read_is_one_too():
    """The stop button ends a statement whose query DuckDB is still reading as it ends one that runs."""
    script = [sys.executable, "-c", _STOPPED_WHILE_READ]
    run = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["StatementInterrupted"]


def test_what_duckdb_makes_of_an_interrupt_is_one():
    """DuckDB's word for the stop button, which reaches it in the main thread, is no defect of ours."""
    assert type(without_frames(RuntimeError("Query interrupted"))) is StatementInterrupted
