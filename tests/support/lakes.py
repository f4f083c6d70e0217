"""Buckets for jobs, on moto and on `rclone serve s3`, and sessions with a connection `lake` to one of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from statements import Statements, create

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import RcloneServer

    from s3conn_magic.sandbox import Keys, Sandbox

_NUMBERS = count(1)


@dataclass
class Lake:
    """A bucket of its own on a server, and sessions that reach it through the connection `lake`."""

    endpoint: str
    keys: Keys
    region: str
    bucket: str = field(default_factory=lambda: f"jobs-{next(_NUMBERS)}")
    sessions: list[Statements] = field(default_factory=list)

    @property
    def connect(self) -> str:
        """The statement that makes the connection."""
        return create("lake", keys=self.keys, ENDPOINT=self.endpoint, REGION=self.region, VALIDATE=False)

    def session(self, *more: str) -> Statements:
        """A new session, as after a restart of the kernel."""
        run = Statements()
        self.sessions.append(run)
        run("; ".join([*more, self.connect]))
        return run

    @property
    def client(self) -> Any:
        """A client of its own."""
        if not self.sessions:
            self.session()
        return self.sessions[0].connection("lake").client("s3")

    def put(self, **objects: str | bytes) -> None:
        """Write objects below `in/`; `__` in a name stands for a dot."""
        for name, body in objects.items():
            data = body.encode() if isinstance(body, str) else body
            self.client.put_object(Bucket=self.bucket, Key=f"in/{name.replace('__', '.')}", Body=data)

    def keys_below(self, prefix: str = "out/") -> list[str]:
        """The keys that are visible."""
        answer = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [one["Key"] for one in answer.get("Contents", [])]

    def body(self, key: str) -> bytes:
        """The bytes of an object."""
        data: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return data

    @property
    def unfinished(self) -> list[str]:
        """Keys of multipart uploads that are neither complete nor aborted."""
        answer = self.client.list_multipart_uploads(Bucket=self.bucket)
        return [one["Key"] for one in answer.get("Uploads", [])]


class Nursery:
    """A process whose children run cells, and kill themselves at a point."""

    def __init__(self) -> None:
        here = Path(__file__).parents[1]
        self._child = subprocess.Popen(
            [sys.executable, str(here / "jobs" / "nursery.py")],
            env={"PYTHONPATH": f"{here.parent}:{here / 'support'}", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill(self, before: str, cell: str, kind: str, at: int) -> None:
        """Run statements and then a cell in a kernel of its own, which kills itself at the point: see `nursery.py`."""
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(json.dumps({"before": before, "cell": cell, "point": [kind, at]}) + "\n")
        self._child.stdin.flush()
        assert self._child.stdout.readline().strip() == str(-signal.SIGKILL)

    def stop(self) -> None:
        """End it."""
        self._child.communicate(timeout=30)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One for all tests of a worker."""
    found = Nursery()
    yield found
    found.stop()


def rows_of(run: Statements, table: str = "t", what: str = '* EXCLUDE ("$object")', order: str = "ALL") -> list[Any]:
    """The rows of a table of a session."""
    return run.session.queries.engine.database.execute(f"SELECT {what} FROM {table} ORDER BY {order}").fetchall()


@pytest.fixture(params=["moto", "rclone"])
def lake(request: pytest.FixtureRequest) -> Iterator[Lake]:
    """A bucket on each of the servers."""
    yield from _lake(request, request.param)


@pytest.fixture
def moto_lake(request: pytest.FixtureRequest) -> Iterator[Lake]:
    """A bucket on moto."""
    yield from _lake(request, "moto")


@pytest.fixture
def rclone_lake(request: pytest.FixtureRequest) -> Iterator[Lake]:
    """A bucket on rclone."""
    yield from _lake(request, "rclone")


def _lake(request: pytest.FixtureRequest, server: str) -> Iterator[Lake]:
    if server == "moto":
        sandbox: Sandbox = request.getfixturevalue("sandbox")
        found = Lake(sandbox.endpoint, sandbox.admin, sandbox.region)
    else:
        rclone: RcloneServer = request.getfixturevalue("rclone_server")
        found = Lake(rclone.endpoint, rclone.keys, rclone.region)
    found.client.create_bucket(Bucket=found.bucket)
    yield found
    for one in found.sessions:
        one.session.close()
    # A test that lets no request leave is over.
    request.getfixturevalue("monkeypatch").undo()
    _remove(found)


def _remove(found: Lake) -> None:
    """Other tests count the buckets of the server."""
    client, bucket = found.client, {"Bucket": found.bucket}
    if keys := [{"Key": one["Key"]} for one in client.list_objects_v2(**bucket).get("Contents", [])]:
        client.delete_objects(**bucket, Delete={"Objects": keys})
    # rclone has no list of uploads where there never was one.
    with suppress(client.exceptions.NoSuchUpload):
        for one in client.list_multipart_uploads(**bucket).get("Uploads", []):
            client.abort_multipart_upload(**bucket, Key=one["Key"], UploadId=one["UploadId"])
    client.delete_bucket(**bucket)
