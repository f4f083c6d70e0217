"""A file read in a process of its own: what `containers` asks for is given, and what becomes of it is told."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from s3conn_magic.errors import pip_install
from s3conn_magic.objects import containers
from s3conn_magic.objects.containers import BATCH, BOUND, DATA, DONE, EXTENT, JOB, READ, ContainerError, received, send
from s3conn_magic.objects.ranged import BoundReachedError
from s3conn_magic.runtime.background import run_in_background, wait_for

__all__ = ["ContainerError", "Contents", "read_container"]

_PATIENCE = 30.0
_SECRET = ("AWS_", "S3CONN")
_FILES = 100


@dataclass(frozen=True, slots=True)
class Contents:
    """The first rows of a file.

    Attributes:
        format: its name, or that of what it holds, such as `XLSX` of a ZIP file.
        table: the rows; fewer columns than the schema has, the first ones, where all of them take too much.
        schema: of the file.
        total: rows of the file, where it says so.
        about: rows that it may have by the size of the first ones, where it does not.
        notes: what was left out or looked odd.
    """

    format: str
    table: pa.Table
    schema: pa.Schema
    total: int | None = None
    about: int | None = None
    notes: tuple[str, ...] = ()


def read_container(file: Any, name: str, *, size: int, rows: int) -> Contents:
    """The first rows of a file.

    Args:
        file: open, bytes; with `seek` and `read`.
        name: of the format, a key of `containers.READERS`.
        size: bytes of the file.
        rows: at most.

    Raises:
        ContainerError: it is damaged, or cannot be read here.
        BoundReachedError: the file gives no more bytes, and what it gave is not enough for one column.
    """
    job = json.dumps([name, size, rows]).encode()
    reader = _idle.pop() if _idle else _Reader()
    if reader.served:
        try:
            return _read(reader, file, name, job)
        except _EndedError:  # perhaps over what it had read before
            reader = _Reader()
    try:
        return _read(reader, file, name, job)
    except _EndedError:
        raise ContainerError("its reader ended over it") from None


class _EndedError(Exception):
    """The process is gone."""


def _read(reader: _Reader, file: Any, name: str, job: bytes) -> Contents:
    kept = False
    try:
        said, batches = reader.run(file, job)
        kept = True
    except ContainerError:
        kept = reader.alive
        raise
    finally:
        if kept and reader.served < _FILES and not _idle:
            _idle.append(reader)
        else:
            reader.end()
    schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(said["schema"])))
    table = pa.Table.from_batches(batches) if batches else schema.empty_table()
    more = said.get("total"), said.get("about"), (*said.get("notes", ()), *_install(said.get("extra", "")))
    return Contents(said.get("format", name), table, schema, *more)


def _install(extra: str) -> list[str]:
    return [f"install it: {pip_install(extra)}"] if extra else []


class _Reader:
    """A process that reads one file after the other; `served` counts them, `alive` until it is ended."""

    def __init__(self) -> None:
        self.served = 0
        self.alive = True
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, file: Any, job: bytes) -> tuple[dict[str, Any], list[pa.RecordBatch]]:
        """What the process says at its end, and the batches that it gave before."""
        if self._process is None:
            wait_for(run_in_background(self._begin, name="s3conn-reader"))
        batches: list[pa.RecordBatch] = []
        bound = False
        self.served += 1
        self._answer(JOB, job)
        while True:
            kind, body = self._next()
            if kind == READ:
                bound |= self._give(file, *EXTENT.unpack(body)) == BOUND
            elif kind == BATCH:
                batches += pa.ipc.open_stream(body)
                self._answer(DATA)
            elif kind == DONE:
                return json.loads(body), batches
            elif bound:
                raise BoundReachedError
            else:
                text, extra = json.loads(body)
                raise ContainerError("; ".join([text, *_install(extra)]))

    def end(self) -> None:
        """End the process."""
        self.alive = False
        if self._process:
            _end(self._process)

    def _begin(self) -> None:
        """In a thread, which no interrupt reaches between the process and the note of it."""
        root = str(Path(__file__).parents[2])
        paths = json.dumps([*(path for path in sys.path if path), root])
        begin = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {} import main; main()"
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            # No settings of the environment, and no look at all that is installed: the paths are those of this process.
            [sys.executable, "-I", "-S", "-c", begin.format(containers.__name__), paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith(_SECRET)},
            start_new_session=True,
        )
        if not self.alive:
            _end(self._process)

    def _next(self) -> tuple[bytes, bytes]:
        assert self._process is not None  # noqa: S101 - begun above
        assert self._process.stdout is not None  # noqa: S101 - asked for
        stream = self._process.stdout
        try:
            found = wait_for(run_in_background(lambda: received(stream), name="s3conn-reader"), within=_PATIENCE)
        except TimeoutError:
            self.end()
            raise ContainerError(f"reading it took longer than {_PATIENCE:.0f} seconds") from None
        if found is None:
            self.end()
            raise _EndedError
        return found

    def _give(self, file: Any, start: int, stop: int) -> bytes:
        try:
            file.seek(start)
            data = file.read(stop - start)
        except BoundReachedError:
            self._answer(BOUND)
            return BOUND
        self._answer(DATA, data)
        return DATA

    def _answer(self, kind: bytes, body: bytes = b"") -> None:
        assert self._process is not None  # noqa: S101 - begun above
        assert self._process.stdin is not None  # noqa: S101 - asked for
        with suppress(OSError):  # it ended, which the next message says
            send(self._process.stdin, kind, body)


_idle: list[_Reader] = []
"""One at most: who looks through many files waits for one start."""


@atexit.register
def _leave() -> None:
    while _idle:
        _idle.pop().end()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    # The pipes of the parent's process are the parent's.
    os.register_at_fork(after_in_child=_idle.clear)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            with suppress(OSError):
                stream.close()
