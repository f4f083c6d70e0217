"""Temporary files: the user's alone, gone with the process, and swept away where it was killed."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from statements import Statements

from s3conn_magic.runtime import temporary

SPILLING = """
import os, sys, threading
os.umask(0)
from s3conn_magic.session import Session
from s3conn_magic.session.inputs import KernelInputs
from s3conn_magic.query import engine
engine._SETTINGS += ("SET GLOBAL memory_limit = '64MB'",)
session = Session(KernelInputs(dict), start_server=None)
database = session.queries.engine.database
threading.Thread(target=sys.stdin.readline, daemon=True).start()
print("ready", flush=True)
rows = "SELECT i, hash(i) AS h, repeat('x', 200) || i AS s FROM range(60000000) r(i)"
database.execute(f"CREATE TABLE t AS {rows} ORDER BY h")
"""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files, which this process has not used yet."""
    folder = tmp_path / "it's tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(temporary._ours, "path", None)
    monkeypatch.setattr(temporary._ours, "lock", -1)
    return folder


def _files(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.name.startswith("duckdb_temp")]


def _spilling(system: Path) -> subprocess.Popen[str]:
    """A process that has spilled rows."""
    root = Path(temporary.__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", SPILLING],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not _files(system) and child.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    assert _files(system)
    return child


def test_spilled_rows_are_the_user_s_alone_and_swept_after_a_kill(system: Path):
    """Whatever the umask, folders are 0700 and files 0600; the next session removes what a killed process has left."""
    child = _spilling(system)
    try:
        there = [one for one in system.rglob("*") if one.exists()]
        wrong = {one.name: oct(mode) for one in there if (mode := stat.S_IMODE(one.stat().st_mode)) & 0o077}
        assert not wrong
        Statements()
        assert _files(system), "a living process's files were swept"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert _files(system)
    Statements()
    assert not list(system.iterdir())


def test_a_session_leaves_nothing_of_its_queries(system: Path):
    """A closed session's folder is gone, and the process's with the process."""
    run = Statements()
    run("SELECT 1")
    (ours,) = system.iterdir()
    assert re.fullmatch(rf"s3conn-{os.getpid()}-\w{{8}}", ours.name)
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700
    run.session.close()
    assert [one.name for one in ours.iterdir()] == ["lock"]
    temporary._ours.remove()
    assert not list(system.iterdir())


def test_a_folder_that_is_not_provably_ours_is_left(system: Path, tmp_path: Path):
    """Links, folders that others may write to, other names, files, and what was begun a moment ago stay as they are."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "kept").mkdir(parents=True)
    elsewhere.chmod(0o700)
    (system / "s3conn-99999-aaaaaaaa").symlink_to(elsewhere)
    for name, mode in (("s3conn-99999-bbbbbbbb", 0o777), ("s3conn-99999-cccccccc", 0o700), ("s3conn-mine", 0o700)):
        (system / name).mkdir()
        (system / name).chmod(mode)
    (system / "s3conn-99999-dddddddd").write_text("a file")
    inside = system / "s3conn-99999-eeeeeeee"
    inside.mkdir(mode=0o700)
    (inside / "lock").symlink_to(elsewhere / "lock")
    before = sorted(one.name for one in system.iterdir())
    temporary.sweep()
    assert sorted(one.name for one in system.iterdir()) == before
    assert (elsewhere / "kept").exists()
    assert not (elsewhere / "lock").exists()
    long_ago = time.time() - 3600
    os.utime(system / "s3conn-99999-cccccccc", (long_ago, long_ago))
    temporary.sweep()
    assert sorted({*before} - {one.name for one in system.iterdir()}) == ["s3conn-99999-cccccccc"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder to another user"
)
def test_another_user_s_folder_is_not_touched(system: Path):
    """Whoever owns a folder of such a name decides what becomes of it."""
    theirs = system / "s3conn-99999-aaaaaaaa"
    theirs.mkdir(mode=0o700)
    (theirs / "lock").touch()
    os.chown(theirs, 12345, 12345)
    temporary.sweep()
    assert (theirs / "lock").exists()


@pytest.mark.usefixtures("system")
def test_a_forked_child_has_a_folder_of_its_own():
    """What the child makes and removes is its own; the parent's folder stays, and is free when the parent has gone."""
    ours = temporary.new_folder("test").parent
    child = os.fork()
    if child == 0:
        theirs = temporary.new_folder("test").parent
        temporary._ours.remove()
        os._exit(0 if theirs != ours and not theirs.exists() and ours.exists() else 1)
    assert os.waitpid(child, 0)[1] == 0
    temporary.sweep()
    assert ours.exists()


def test_threads_share_one_folder(system: Path):
    """Folders of one process lie side by side, whoever is first."""
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(temporary.new_folder("test"))) for _ in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len({one.parent for one in made}) == 1
    assert len(set(made)) == 16
    assert len(list(system.iterdir())) == 1


def test_queries_work_where_nothing_can_be_written(system: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a folder for temporary files a query runs in memory."""

    def refused(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    run = Statements()
    assert run("SELECT 42 AS n").loc[0, "n"] == 42
    assert not list(system.iterdir())
