from __future__ import annotations

import io
import threading
from contextlib import nullcontext

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from botocore.exceptions import ReadTimeoutError
from recording import Reply, recording
from statements import Statements, create

from s3conn_magic.errors import BindError, IncompleteListingError
from s3conn_magic.listing.request import Progress
from s3conn_magic.results.cards import TerminalProgress, progress_bar, progress_html, progress_text
from s3conn_magic.sandbox import LOGS


@pytest.fixture
def run(sandbox):
    """A session with the connection `lake` to the sandbox."""
    statements = Statements()
    statements(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    return statements


def test_settings_are_shown_as_they_are_set(run):
    """SHOW SETTINGS names every setting with its value now."""
    run("SET PROGRESS = FALSE; SET limit = 7; SET CONNECTIONS = 3; SET explorer_ui = 'Basic'")
    frame = run("SHOW SETTINGS")
    shown = {"PROGRESS": "FALSE", "LIMIT": "7", "CONNECTIONS": "3", "EXPLORER_UI": "basic", "DATABASE": ""}
    shown |= {"CACHE": "512 MB", "GRID": "FALSE"}
    shown |= {"RESULT": "pandas", "DIALECT": "off", "DEFAULT_STORAGE": "", "CATALOG": ""}
    shown |= {"ENGINE": "local", "SCHEDULER": "", "LOCAL_FILES": "cells"}
    shown |= {"CONNECT_TIMEOUT": "10", "READ_TIMEOUT": "60", "DEFAULT_CONNECTION": ""}
    shown |= {"LOAD_USER_CONNECTIONS": "FALSE", "LOAD_PROJECT_CONNECTIONS": "FALSE"}
    assert dict(zip(frame.setting, frame.value, strict=True)) == shown


def test_the_limit_of_the_session_holds_for_a_list_without_its_own(run):
    """SET LIMIT cuts a LIST of the same cell and says so; LIMIT ALL of the statement wins."""
    assert len(run(f"SET LIMIT = 3; LIST 's3://{LOGS}/' RECURSIVE")) == 3
    assert "LIMIT 3" in run.notes[-1]
    assert len(run(f"LIST 's3://{LOGS}/' RECURSIVE LIMIT ALL")) == 2400
    assert len(run.notes) == 1


@pytest.mark.parametrize(("form", "kind"), [("arrow", pa.Table), ("polars", pl.DataFrame), ("pandas", pd.DataFrame)])
def test_rows_come_as_result_asks_for_them(run, form, kind):
    """With the same columns, typed also without a row, and the same values."""
    statements = [f"LIST 's3://{LOGS}/' RECURSIVE LIMIT 9", "SHOW TABLES", "SHOW JOBS", "SHOW BUCKETS"]
    statements.append("SELECT 12345678901234567890 AS h, [1.50] AS l, {'a': DATE '2026-01-02'} AS s, NULL AS n")
    for text in statements:
        plain, given = run(text), run(f"SET RESULT = '{form}'; {text}")
        run("SET RESULT = 'pandas'")
        assert isinstance(given, kind), text
        assert [*map(str, plain.columns)] == list(given.column_names if form == "arrow" else given.columns), text
        table = given if form == "arrow" else pa.Table.from_pandas(given) if form == "pandas" else given.to_arrow()
        assert form == "pandas" or pa.null() not in table.schema.types[:3]
        assert table.to_pylist() == pa.Table.from_pandas(plain).to_pylist(), text


def test_frames_as_grids_are_the_same_frames(run):
    """Their values, columns and what is made of them are as without, and no terminal sees a grid."""
    for text in (f"LIST 's3://{LOGS}/' RECURSIVE LIMIT 9", "SELECT 1 AS a, 'x' AS b"):
        plain, grid = run(f"SET GRID = FALSE; {text}"), run(f"SET GRID = TRUE; {text}")
        pd.testing.assert_frame_equal(pd.DataFrame(plain), pd.DataFrame(grid))
        assert type(grid.head(1)) is type(plain.head(1))
        assert type(grid).__name__.endswith("Grid")
        assert repr(grid) == repr(plain)
        with pytest.raises(NotImplementedError):
            grid._ipython_display_()
    assert not type(run("SET GRID = TRUE; HELP")).__name__.endswith("Grid")
    assert isinstance(run("SET RESULT = 'arrow'; SELECT 1 AS a"), pa.Table)


def test_a_setting_that_needs_a_package_says_which(run, monkeypatch):
    """Without it the setting stays as it was, and the hint installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for text, package in (("GRID = TRUE", "itables"), ("RESULT = 'polars'", "polars")):
        failure = run.fails(f"SET {text}", BindError)
        assert (package in failure.message, failure.hint) == (True, f"pip install {package}")
    assert not run.session.settings["GRID"]


def test_polars_has_no_two_columns_of_one_name(run):
    """The error says which, and what to do; PyArrow's table has both."""
    failure = run.fails("SET RESULT = 'polars'; SELECT 1 AS a, 2 AS a", BindError)
    assert "two columns are called a" in failure.message
    assert run("SET RESULT = 'arrow'; SELECT 1 AS a, 2 AS a").column_names == ["a", "a"]


def test_a_bad_setting_changes_nothing(run):
    """A cell with a setting that is refused runs none of its statements."""
    run.fails("SET LIMIT = 3; SET CONNECTIONS = 0", BindError)
    assert run.session.settings["LIMIT"] == 1_000_000


def test_timeouts_reach_every_request(run):
    """The clients and listings of a connection have those of this moment, the ones that were made before, too."""
    connection = run.connection("lake")
    target = connection.target(LOGS)
    assert (target.transport.connect_timeout, target.transport.read_timeout) == (10, 60)
    run("SET CONNECT_TIMEOUT = 3; SET READ_TIMEOUT = 7")
    assert (target.transport.connect_timeout, target.transport.read_timeout) == (3, 7)
    config = connection.client().meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 7)
    run.fails("SET READ_TIMEOUT = 0", BindError)


def test_an_answer_that_does_not_come_is_given_up_after_the_read_timeout(sandbox):
    """A server that takes the request and says nothing ends a listing and a read in an error."""
    statements = Statements()
    silent = threading.Event()
    with recording(lambda _: (silent.wait(30), Reply(500))[1]) as server:
        statements("SET READ_TIMEOUT = 1")
        options = {"ENDPOINT": server.endpoint, "VALIDATE": False}
        statements(create("mute", keys=sandbox.admin, **options))
        client = statements.connection("mute").internal_client(tries=1)
        with pytest.raises(ReadTimeoutError):
            client.list_buckets()
        silent.set()


def test_the_default_connection_is_a_setting(run):
    """USE CONNECTION sets it; it may be named before it is made, and follows RENAME and DROP."""
    run("SET DEFAULT_CONNECTION = 'later'; CREATE S3 CONNECTION other AWS_PROFILE = 'p' VALIDATE = FALSE")
    run("CREATE S3 CONNECTION Later AWS_PROFILE = 'p' VALIDATE = FALSE; USE CONNECTION lake")
    assert run.session.settings["DEFAULT_CONNECTION"] == "lake"
    run("SET DEFAULT_CONNECTION = 'LATER'")
    assert run.session.connections.chosen().name == "Later"
    run("ALTER S3 CONNECTION later RENAME TO last")
    assert run.session.settings["DEFAULT_CONNECTION"] == "last"
    run("DROP CONNECTION last")
    assert run.session.settings["DEFAULT_CONNECTION"] == ""


class _Seen:
    """Keeps the snapshots that a listing reports."""

    def __init__(self) -> None:
        self.snapshots: list[Progress] = []

    def __call__(self):
        return nullcontext(self.snapshots.append)


def test_progress_is_reported_unless_it_is_off(run):
    """A listing reports keys that only grow, up to all of them; after SET PROGRESS = FALSE it reports nothing."""
    seen = run.session._progress = _Seen()
    run(f"LIST 's3://{LOGS}/' RECURSIVE")
    keys = [snapshot.keys for snapshot in seen.snapshots]
    assert keys == sorted(keys)
    assert keys[-1] == 2400
    seen.snapshots.clear()
    run(f"SET PROGRESS = FALSE; LIST 's3://{LOGS}/' RECURSIVE")
    assert seen.snapshots == []


def test_rows_of_places_before_a_failure_are_kept_and_labelled(sandbox):
    """A listing of two display filters whose second fails is an error that holds the first's rows, labelled partial."""
    run = Statements()
    filters = f"('{sandbox.restricted_location}', 's3://{LOGS}/')"
    run(
        create("sales", keys=sandbox.restricted, ENDPOINT=sandbox.endpoint)
        + f" PATH_DISPLAY_FILTERS = {filters} VALIDATE = FALSE"
    )
    error = run.fails("LIST USING sales RECURSIVE", IncompleteListingError)
    assert list(error.rows_so_far.key) == ["sales/customers.csv", "sales/orders.csv"]
    assert "s3:ListBucket" in error.reason
    assert repr(error.rows_so_far).startswith("partial: the listing is incomplete")
    assert "partial: the listing is incomplete" in error.rows_so_far._repr_html_()


def test_the_line_says_what_came_and_how_far_it_is():
    """Keys, bytes, rate, requests and seconds; a bar and a part only where the whole can be estimated."""
    progress = Progress(keys=250_000, bytes=3_210_000_000, requests=260, elapsed=2.0, fraction=0.25)
    assert progress_text(progress) == "about 25% · 250,000 keys · 3.21 GB · 125,000 keys/s · 260 requests · 2.0 s"
    assert progress_text(progress, done=True).startswith("250,000 keys")
    assert progress_bar(progress) == "█" * 5 + "░" * 15 + " "
    assert 'role="progressbar"' in progress_html(progress)
    job = Progress(keys=3, bytes=2048, requests=9, elapsed=1.0, fraction=0.5, unit="objects")
    assert progress_text(job) == "about 50% · 3 objects · 2.05 kB · 9 requests · 1.0 s"
    assert progress_text(Progress(bytes=1, elapsed=1.0, unit="")) == "1 B · 1.0 s"
    unknown = Progress(keys=1, elapsed=1.0)
    assert progress_bar(unknown) == ""
    assert "progressbar" not in progress_html(unknown)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_quiet_for_half_a_second_and_keeps_the_last_line():
    """Nothing is written for a young listing; later snapshots write over one line, which ends as the summary."""
    young, old = _Terminal(), _Terminal()
    with TerminalProgress(young) as line:
        line(Progress(keys=1, elapsed=0.4))
    assert young.getvalue() == ""
    with TerminalProgress(old) as line:
        line(Progress(keys=10, elapsed=0.6, fraction=0.5))
        line(Progress(keys=11, elapsed=0.65))
        line(Progress(keys=20, elapsed=1.0))
    assert "10 keys" in old.getvalue()
    assert "11 keys" not in old.getvalue()
    assert old.getvalue().endswith("1.0 s\n")
    assert old.getvalue().count("\n") == 1


def test_what_is_no_terminal_gets_no_progress():
    """A log file or a pipe is not written to."""
    stream = io.StringIO()
    with TerminalProgress(stream) as line:
        line(Progress(keys=10, elapsed=5.0))
    assert stream.getvalue() == ""
