"""Work that is waited for only a moment."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
from statements import Statements

from s3conn_magic.notebook.candidates import BriefLookups, KernelSurroundings

LONG = 60.0


class Work:
    """Work that waits to be let go, and counts how often it was begun."""

    def __init__(self):
        self.begun = 0
        self.go = threading.Event()

    def __call__(self):
        self.begun += 1
        assert self.go.wait(LONG)
        return "answer"


def _fails():
    raise SystemExit


def _until(condition):
    """Wait for what another thread does."""
    pause = threading.Event()
    assert any(condition() or pause.wait(0.01) for _ in range(1000))


def test_an_answer_that_comes_in_time_is_given_and_kept():
    """The second asking begins no work."""
    soon, work = BriefLookups(wait=LONG), Work()
    work.go.set()
    assert [soon.ask("key", work), soon.ask("key", work), soon.kept("key")] == ["answer"] * 3
    assert work.begun == 1


def test_an_answer_that_comes_late_is_kept_for_the_next_asking():
    """Meanwhile there is none, and no second work on the same key."""
    soon, work = BriefLookups(wait=0.01), Work()
    assert [soon.ask("key", work), soon.ask("key", work), soon.kept("key")] == [None] * 3
    work.go.set()
    _until(lambda: soon.kept("key") == "answer")
    assert work.begun == 1


def test_what_is_under_way_is_not_waited_for_twice():
    """The wait counts from the beginning of the work, so that a server that is silent costs one wait."""
    soon, work = BriefLookups(wait=0.01), Work()
    soon.ask("key", work)
    soon._wait = 0.0
    assert soon.ask("key", work) is None
    work.go.set()


def test_an_answer_is_good_for_its_time_only():
    """Then the work is done again."""
    soon, work = BriefLookups(wait=LONG, keep=0.0), Work()
    work.go.set()
    soon.ask("key", work)
    assert soon.ask("key", work) == "answer"
    assert work.begun == 2


def test_work_that_fails_gives_nothing_and_is_left_alone_for_a_while():
    """Whatever it raises, also what ends a process."""
    soon, work = BriefLookups(wait=LONG), Work()
    assert soon.ask("key", _fails) is None
    assert soon.ask("key", work) is None
    assert work.begun == 0
    again = BriefLookups(wait=LONG, keep_failure=0.0)
    work.go.set()
    assert [again.ask("key", _fails), again.ask("key", work)] == [None, "answer"]


def test_work_under_way_is_bounded():
    """A server that is silent does not gather threads."""
    soon, work = BriefLookups(wait=0.0), Work()
    for number in range(30):
        soon.ask(number, work)
    _until(lambda: work.begun == 8)
    assert sum(one.name == "s3conn_magic completion" for one in threading.enumerate()) <= 8
    work.go.set()
    _until(lambda: all(soon.kept(number) for number in range(8)))
    soon._wait = LONG
    assert soon.ask("another", work) == "answer"


def test_answers_that_are_kept_are_bounded():
    """The oldest go first."""
    soon, work = BriefLookups(wait=LONG), Work()
    work.go.set()
    for number in range(600):
        soon.ask(number, work)
    assert soon.kept(0) is None
    assert soon.kept(599) == "answer"
    assert len(soon._answers) <= 501


def test_columns_are_those_of_tables_frames_and_of_what_was_shown(sandbox):
    """A location has columns once a PREVIEW or a query has shown them; nothing is asked for."""
    run = Statements(secret=sandbox.admin.secret_access_key)
    run(
        f"CREATE S3 CONNECTION lake AWS_ACCESS_KEY_ID = '{sandbox.admin.access_key_id}' AWS_SECRET_ACCESS_KEY = $secret"
        f" ENDPOINT = '{sandbox.endpoint}'; CREATE TABLE sales AS SELECT 1 AS n, 'x' AS \"two words\""
    )

    class Odd:
        @property
        def columns(self):
            raise AssertionError("asked for")

    names = {"frame": pd.DataFrame({"a": [1]}), "arrow": pa.table({"b": [1]}), "odd": Odd(), "text": "x"}
    around = KernelSurroundings(SimpleNamespace(user_ns=names, user_ns_hidden={}), lambda: run.session)
    around._folders = BriefLookups(wait=LONG, keep=0.0)
    around._soon = BriefLookups(wait=LONG)
    assert sorted(around.names("frame")) == ["arrow", "frame"]
    place = "s3://acme-lake/sales/orders.csv"
    columns = {
        each: list(around.names(f"columns of {each}")) for each in ("sales", "SALES", "frame", "arrow", "odd", place)
    }
    assert columns == {
        "sales": ["n", "two words"],
        "SALES": ["n", "two words"],
        "frame": ["a"],
        "arrow": ["b"],
        "odd": [],
        place: [],
    }
    shown = run(f"PREVIEW '{place}'").frame
    assert list(around.names(f"columns of {place}")) == list(shown.columns)
    assert list(around.names(f"columns of {place.replace('//', '//lake@')}")) == list(shown.columns)
    assert {"sum", "strftime", "read_parquet"} <= {*around.names("function")}
