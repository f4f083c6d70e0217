"""Rows that another kernel commits to a table in S3 while a job's run reads it: each is of exactly one run."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from recording import Reply, Request, recording
from shelf import Shelf
from statements import Statements, create

from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLACE = "STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://bucket/{}/'"
WINDOW = "$commit_time BETWEEN run_start_time() AND run_end_time()"
PATIENCE = 30.0
META = ("x-amz-meta-s3conn-job", "x-amz-meta-s3conn-read")


class Gate:
    """A server that holds what one kernel commits, all but done, until another one's n-th request of a run."""

    def __init__(self) -> None:
        self._server, self._lock = Shelf({"bucket": {}}), threading.Lock()
        self._held, self._open, self._done = (threading.Event() for _ in range(3))
        self._holds, self._left, self._metadata = False, 0, dict[str, dict[str, str]]()

    def answer(self, request: Request) -> Reply:
        """Answer, perhaps later."""
        writes = self._holds and request.signed_by == "AKIAWRITER" and request.method == "PUT"
        if writes and request.path.endswith("version-hint.text"):
            self._held.set()
            assert self._open.wait(PATIENCE)
        elif self._left and request.signed_by == "AKIAREADER":
            self._left -= 1
            if not self._left:
                self._release()
        with self._lock:
            reply = self._server.answer(request)
            if request.method == "PUT":
                self._metadata[request.path] = {name: request.headers[name] for name in META if name in request.headers}
            return replace(reply, headers={**reply.headers, **self._metadata.get(request.path, {})})

    def _release(self) -> None:
        self._open.set()
        assert self._done.wait(PATIENCE)

    @contextmanager
    def holding(self, write: Any, at: int) -> Iterator[None]:
        """Have a write at its last request when the block begins, and done at the n-th request of the block."""
        for event in (self._held, self._open, self._done):
            event.clear()
        self._holds = True
        thread = threading.Thread(target=lambda: (write(), self._done.set()))
        thread.start()
        assert self._held.wait(PATIENCE)
        self._left = at
        yield
        self._left = 0
        self._release()
        thread.join(PATIENCE)
        self._holds = False


def _ids(run: Statements, source: str) -> list[int]:
    rows = run(f"SET RESULT = 'arrow'; SELECT id FROM {source} ORDER BY id")
    ids: list[int] = rows["id"].to_pylist()
    return ids


JOBS = {
    "a table in S3": (
        "clean",
        range(1, 13),
        f"INSERT INTO clean MAP_COLUMNS_BY_NAME SELECT id FROM raw WHERE {WINDOW}",
    ),
    "a merge": (
        "clean",
        range(2, 12, 3),
        f"""MERGE INTO clean USING (SELECT id FROM raw WHERE {WINDOW}) AS s ON (false)
        WHEN NOT MATCHED THEN INSERT VALUES (s.id)""",
    ),
    "a table of DuckDB": ("near", range(1, 9), f"INSERT INTO near SELECT id FROM raw WHERE {WINDOW}"),
    "objects": (
        "'s3://bucket/out/*.csv'",
        range(1, 13),
        f"""INSERT INTO S3 lake LOCATION = 's3://bucket/out/' FILE_FORMAT = CSV
        SELECT a.id FROM raw AS a SEMI JOIN raw AS b USING (id) WHERE a.{WINDOW}""",
    ),
}
"""Each with where its rows are, and the requests at which the other kernel's commit is done."""


@contextmanager
def _kernels(gate: Gate) -> Iterator[Callable[[str], Statements]]:
    """What gives a kernel with the tables `raw` and `clean` in S3, and `near`."""
    made: list[Statements] = []
    with recording(gate.answer) as wire:

        def session(key: str) -> Statements:
            made.append(run := Statements())
            keys = Keys(key, Secret("s"))
            run(create("lake", keys=keys, ENDPOINT=wire.endpoint, REGION="us-east-1", VALIDATE=False))
            for name, columns in (("raw", '(id BIGINT, "$commit_time" TIMESTAMP)'), ("clean", "(id BIGINT)")):
                run(f"CREATE TABLE IF NOT EXISTS {name} {columns} {PLACE.format(name)}")
            run("CREATE TABLE near (id BIGINT)")
            return run

        yield session
        for run in made:
            run.session.close()


@pytest.mark.parametrize("kind", JOBS)
def test_a_commit_in_the_midst_of_a_run_is_of_one_run(kind: str):
    """Whatever the request at which it is done, and whether the same kernel or a fresh one runs the job again."""
    gate, (target, points, job) = Gate(), JOBS[kind]
    with _kernels(gate) as session:
        writer, reader = session("AKIAWRITER"), session("AKIAREADER")
        writer("INSERT INTO raw (id) VALUES (0)")
        reader(f"CREATE JOB j AS {job}")
        for row, at in enumerate(points, 1):
            if fresh := target != "near" and row % 2 == 0:
                reader = session("AKIAREADER")
            with gate.holding(lambda row=row: writer(f"INSERT INTO raw (id) VALUES ({row})"), at):
                reader(f"CREATE JOB j AS {job}" if fresh else "RUN JOB j")
        for _ in range(2):
            reader("RUN JOB j")
            assert _ids(reader, target) == list(range(len(points) + 1))


def test_what_is_not_committed_yet_is_read_by_nobody():
    """By the name of a table, or by its folder, where the metadata of a commit is before that is done."""
    gate = Gate()
    with _kernels(gate) as session:
        writer, reader = session("AKIAWRITER"), session("AKIAREADER")
        writer("INSERT INTO raw (id) VALUES (0)")
        with gate.holding(lambda: writer("INSERT INTO raw (id) VALUES (1)"), 1_000):
            assert _ids(reader, "raw") == _ids(reader, "'s3://bucket/raw/'") == [0]
        assert _ids(reader, "raw") == _ids(reader, "'s3://bucket/raw/'") == [0, 1]
