"""Writers in processes of their own, some of them killed, on one table in S3. S3CONN_WRITERS=4x25 runs the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from s3conn_magic.errors import QueryError

if TYPE_CHECKING:
    from lakes import Lake
    from statements import Statements

WRITERS, COMMITS = (int(number) for number in os.environ.get("S3CONN_WRITERS", "2x3").split("x"))
SECONDS = 60 * WRITERS * COMMITS
WRITER = """
import sys
from statements import Statements
begin, writer, commits = sys.argv[1:]
run = Statements()
run(begin)
run("SET RESULT = 'arrow'")
there = run(f"SELECT commit FROM t WHERE writer = {writer}").column(0).to_pylist()
for commit in range(len(there), int(commits)):
    run(f"INSERT INTO t VALUES ({writer}, {commit})")
    print(commit, flush=True)
"""


class Writer:
    """A process that commits one row after the other, from the first of its rows that the table lacks."""

    def __init__(self, begin: str, number: int) -> None:
        support = str(Path(__file__).parent.parent / "support")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([support, *sys.path])}
        command = [sys.executable, "-c", WRITER, begin, str(number), str(COMMITS)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.said: list[int] = []

    def kill_after(self, commits: int) -> None:
        """Kill it in what it does after so many commits."""
        assert self._process.stdout is not None
        for _ in range(commits):
            self.said.append(int(self._process.stdout.readline()))
        self._process.kill()
        self.end()

    def end(self) -> int:
        """Wait for its end."""
        self.said += map(int, self._process.communicate(timeout=SECONDS)[0].split())
        return self._process.returncode


def _rows(run: Statements, writer: int) -> list[int]:
    table = run(f"SET RESULT = 'arrow'; SELECT commit FROM t WHERE writer = {writer} ORDER BY commit")
    commits: list[int] = table.column(0).to_pylist()
    return commits


def test_a_server_without_conditions_needs_a_file_or_a_catalog(rclone_lake: Lake, tmp_path: Any):
    """Without either, the error says so; with SET DATABASE the newest state is beside it, for the next kernel, too."""
    storage = f"STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://{rclone_lake.bucket}/t'"
    with pytest.raises(QueryError, match="no conditional writes") as caught:
        rclone_lake.session()(f"CREATE TABLE t (writer INTEGER, commit INTEGER) {storage}")
    assert "SET DATABASE" in caught.value.hint
    assert rclone_lake.keys_below("t/") == []
    begin = f"SET DATABASE = '{tmp_path}/tables.duckdb'"
    run = rclone_lake.session(begin)
    assert "tables.duckdb.catalog" in str(run(f"CREATE TABLE t (writer INTEGER, commit INTEGER) {storage}"))
    run("INSERT INTO t VALUES (0, 1); INSERT INTO t VALUES (0, 2)")
    run.session.close()
    again = rclone_lake.session(begin)
    again("INSERT INTO t VALUES (0, 3)")
    assert _rows(again, 0) == [1, 2, 3]


@pytest.mark.timeout(SECONDS)
def test_rows_are_those_of_the_commits_that_succeeded(lake: Lake, tmp_path: Any):
    """No writer's row is lost or doubled; one that was killed had at most one commit more than it had said.

    Where the server keeps no conditions, a catalog that all of them share does.
    """
    storage = f"STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://{lake.bucket}/t'"
    catalog = "SET CATALOG = 'bucket'"
    run = lake.session()
    made = f"CREATE TABLE t (writer INTEGER, commit INTEGER) {storage}"
    try:
        run(made)
    except QueryError as error:
        if "no conditional writes" not in error.message:
            raise
        catalog = f"SET CATALOG = 'sql:sqlite:///{tmp_path}/catalog.db'"
        run(f"{catalog}; {made}")
    begin = f"{lake.connect}; {catalog}; CREATE TABLE IF NOT EXISTS t() {storage}"
    writers = [Writer(begin, number) for number in range(WRITERS)]
    random, killed = Random(1), list(range((WRITERS + 1) // 2))
    for number in killed:
        writers[number].kill_after(random.randint(1, max(1, COMMITS // 2)))
        there = _rows(run, number)
        assert there == list(range(len(there)))
        assert len(writers[number].said) <= len(there) <= len(writers[number].said) + 1
        writers[number] = Writer(begin, number)
    assert [writer.end() for writer in writers] == [0] * WRITERS
    assert [_rows(run, number) for number in range(WRITERS)] == [list(range(COMMITS))] * WRITERS
    assert all(writers[number].said == list(range(COMMITS)) for number in range(WRITERS) if number not in killed)
