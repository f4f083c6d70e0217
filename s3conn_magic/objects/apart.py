"""Rows of ORC, Avro and Arrow, and of what else a library reads that may end its process: that is done in one apart.

What `containers` asks for of a file is given, and what becomes of it is told. Queries and jobs have all rows exactly,
in batches, or the object is refused; previews the first rows.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from s3conn_magic.errors import QueryError, S3ConnError, pip_install
from s3conn_magic.locations import visible
from s3conn_magic.objects import containers
from s3conn_magic.objects.containers import (
    ALL,
    BATCH,
    BOUND,
    DATA,
    DONE,
    EXTENT,
    JOB,
    MORE_BEHIND,
    READ,
    SCHEMA,
    ContainerError,
    received,
    send,
)
from s3conn_magic.objects.files import BoundReachedError
from s3conn_magic.objects.unpacking import damaged, unpacked
from s3conn_magic.runtime.background import run_in_background, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["KINDS", "ContainerError", "Contents", "Reread", "in_parts", "read_container", "record_batches"]

_NAMES = {"ORC": "ORC", "AVRO": "Avro", "ARROW": "Arrow"}
KINDS = set(_NAMES)
"""The types of CONTENT_TYPE whose rows are read here."""

_NOT_READ = "PREVIEW shows what it is, and its bytes."
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
    schema, last = pa.schema([]), {}
    batches: list[pa.RecordBatch] = []
    for kind, what in _messages(file, [name, size, rows, False]):
        if kind == SCHEMA:
            schema = what
        elif kind == BATCH:
            batches.append(what)
        else:
            last = what
    table = pa.Table.from_batches(batches) if batches else schema.empty_table()
    more = last.get("total"), last.get("about"), (*last.get("notes", ()), *_install(last.get("extra", "")))
    return Contents(last.get("format", name), table, schema, *more)


class Reread:
    """Rows that DuckDB asks for as often as it needs them, and of which there are but a few batches at a time.

    Args:
        schema: of the rows.
        begin: the rows, from the first on; called in DuckDB's threads, and several times at once.
    """

    def __init__(self, schema: pa.Schema, begin: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        self.schema, self._begin = schema, begin

    def __arrow_c_schema__(self) -> object:
        """The schema, in Arrow's C interface."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows, in Arrow's C interface."""
        reader = pa.RecordBatchReader.from_batches(self.schema, self._begin())
        return reader.__arrow_c_stream__(requested_schema)


_PART, _MOST = 122_880, 8


def in_parts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches put together, a few at most, to the rows of a part of DuckDB's tables: it writes smaller ones twice."""
    some: list[pa.RecordBatch] = []
    for batch in batches:
        some.append(batch)
        if sum(each.num_rows for each in some) >= _PART or len(some) == _MOST:
            yield from pa.Table.from_batches(some).combine_chunks().to_batches()
            some = []
    yield from some


def record_batches(kind: str, file: Any, compression: str | None = None, *, rows: int = ALL) -> pa.RecordBatchReader:
    """The rows of a file exactly, read as they are asked for.

    Args:
        kind: one of `KINDS`.
        file: it, open and seekable.
        compression: what all of it is packed by, as `compression_of` names it; not ORC.
        rows: 0 for the schema alone.

    Raises:
        QueryError: it is damaged, also while it is read, or has what is not read; a library is missing.
        S3ConnError: the object cannot be read.
    """
    with _telling(kind):
        opened = unpacked(file, compression) if compression else file
        if kind == "ARROW":
            schema, batches = _arrow(opened, seekable=compression is None)
        else:
            size = ALL if compression else file.seek(0, io.SEEK_END)
            schema, batches = _every_batch(opened, _NAMES[kind], size, rows)
        readable = pa.schema([pa.field(field.name, _readable(field.type), field.nullable) for field in schema])
    return pa.RecordBatchReader.from_batches(readable, _checked(kind, batches if rows else iter(()), readable))


_WRONG = (OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, NotImplementedError)


@contextmanager
def _telling(kind: str) -> Iterator[None]:
    """Have what a library raises as a QueryError."""
    try:
        yield
    except S3ConnError:
        raise
    except ContainerError as error:
        if error.extra or error.is_unread:
            raise QueryError(visible(str(error)), hint=_NOT_READ) from None
        said = str(error).removeprefix("it is damaged: ")
        raise damaged(f"its {_NAMES[kind]} cannot be read ({said})") from None
    except _WRONG as error:
        said = visible(" ".join(str(error).split())[:200])
        if isinstance(error, NotImplementedError):
            raise QueryError(f"the object has something that cannot be read ({said})", hint=_NOT_READ) from None
        raise damaged(f"its {_NAMES[kind]} cannot be read ({said})") from None


def _checked(kind: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with _telling(kind):
        for batch in batches:
            if kind == "ARROW":  # others were looked through where they were made
                batch.validate(full=True)  # who is given them looks at no offset, and reads what lies behind the end
                _check_kept(batch)
            if batch.schema.equals(schema):
                yield batch
            else:
                columns = map(_given_as, batch.columns, schema.types)
                yield pa.record_batch([*columns], schema=schema)


def _check_kept(batch: pa.RecordBatch) -> None:
    """Refuse spans of time that DuckDB's INTERVAL, which counts microseconds, would cut.

    Raises:
        NotImplementedError: there is one.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for leaf in _leaves(column):
            if leaf.type == pa.duration("ns"):
                finer = any(each % 1000 for each in leaf.cast(pa.int64()).drop_null().to_pylist())
            else:
                finer = leaf.type == pa.month_day_nano_interval() and any(
                    each.nanoseconds % 1000 for each in leaf.drop_null().to_pylist()
                )
            if finer:
                raise NotImplementedError(f"the column {name} has spans of time that are finer than a microsecond")


def _leaves(column: pa.Array) -> Iterator[pa.Array]:
    """The arrays of values that are in one."""
    kind = column.type
    if pa.types.is_map(kind):
        parts = [column.keys, column.items]
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        parts = [column.flatten()]
    elif pa.types.is_struct(kind):
        parts = column.flatten()
    else:
        yield column
        return
    for part in parts:
        yield from _leaves(part)


def _given_as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    while pa.types.is_dictionary(column.type) and column.type != kind:
        column = column.dictionary_decode()
    return column if column.type == kind else column.cast(kind)


def _readable(kind: pa.DataType) -> pa.DataType:
    """A type that DuckDB has: half a float as a float, which holds each of its values.

    A dictionary of nested values ends DuckDB's database for good, so it is given as its values.

    Raises:
        NotImplementedError: one of them with another in it stands within other values, where it cannot be taken apart.
    """
    if any(_is_dictionary_twice(kind.field(at).type) for at in range(kind.num_fields)):
        raise NotImplementedError("a dictionary of a dictionary within other values")
    if pa.types.is_dictionary(kind) and pa.types.is_nested(kind.value_type):
        return _readable(kind.value_type)
    return pa.float32() if pa.types.is_float16(kind) else kind


def _is_dictionary_twice(kind: pa.DataType, *, within: bool = False) -> bool:
    if not pa.types.is_dictionary(kind):
        return any(_is_dictionary_twice(kind.field(at).type, within=within) for at in range(kind.num_fields))
    return within or _is_dictionary_twice(kind.value_type, within=True)


_ARROW_FILE = b"ARROW1\x00\x00"


def _arrow(file: Any, *, seekable: bool) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    head = file.read(len(_ARROW_FILE))
    if head == _ARROW_FILE and seekable:
        file.seek(0)
        opened = pa.ipc.open_file(pa.PythonFile(file, mode="r"))
        return opened.schema, (opened.get_batch(at) for at in range(opened.num_record_batches))
    if head != _ARROW_FILE:  # behind those bytes a file is a stream
        file.seek(0)
    stream = pa.ipc.open_stream(pa.PythonFile(file, mode="r"))
    return stream.schema, iter(stream) if head == _ARROW_FILE else _to_the_end(stream, file)


def _to_the_end(stream: pa.RecordBatchReader, file: Any) -> Iterator[pa.RecordBatch]:
    yield from stream
    if file.read(1):
        raise NotImplementedError(MORE_BEHIND)


def _every_batch(file: Any, name: str, size: int, rows: int) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    messages = _messages(file, [name, size, rows, True])
    _, schema = next(messages)
    if not rows:
        for _ in messages:  # to its end, so that its process is kept for the rows
            pass
    return schema, (what for kind, what in messages if kind == BATCH)


def _messages(file: Any, what: list[Any]) -> Iterator[tuple[bytes, Any]]:
    """What a process says of a file: its schema, its batches, and the rest.

    Args:
        file: open, bytes.
        what: the name of its format, its bytes, rows at most, and whether they are exact or the file is refused.
    """
    job = json.dumps(what).encode()
    try:
        reader = _idle.pop()  # which another thread may have taken
    except IndexError:
        reader = _Reader()
    begun = False
    try:
        for message in reader.messages(file, job):
            begun = True
            yield message
    except _EndedError:
        if begun or reader.served <= 1:
            raise ContainerError("its reader crashed on it") from None
    else:
        return
    # Perhaps over what it had read before.
    try:
        yield from _Reader().messages(file, job)
    except _EndedError:
        raise ContainerError("its reader crashed on it") from None


class _EndedError(Exception):
    """The process is gone."""


def _install(extra: str) -> list[str]:
    return [f"install it: {pip_install(extra)}"] if extra else []


class _Reader:
    """A process that reads one file after the other; `served` counts them, `alive` until it is ended."""

    def __init__(self) -> None:
        self.served = 0
        self.alive = True
        self._process: subprocess.Popen[bytes] | None = None

    def messages(self, file: Any, job: bytes) -> Iterator[tuple[bytes, Any]]:
        """What the process says of a file; it is ended, or kept for the next one."""
        kept = False
        try:
            if self._process is None:
                wait_for(run_in_background(self._begin, name="s3conn-reader"))
            self.served += 1
            self._answer(JOB, job)
            yield from self._said(file)
            kept = True
        except ContainerError:
            kept = self.alive
            raise
        finally:
            if kept and self.served < _FILES and not _idle:
                _idle.append(self)
            else:
                self.end()

    def _said(self, file: Any) -> Iterator[tuple[bytes, Any]]:
        bound = False
        while True:
            kind, body = self._next()
            if kind == READ:
                bound |= self._give(file, *EXTENT.unpack(body)) == BOUND
            elif kind == SCHEMA:
                yield SCHEMA, pa.ipc.read_schema(pa.py_buffer(body))
                self._answer(DATA)
            elif kind == BATCH:
                for batch in pa.ipc.open_stream(body):
                    yield BATCH, batch
                self._answer(DATA)
            elif kind == DONE:
                yield DONE, json.loads(body)
                return
            elif bound:
                raise BoundReachedError
            else:
                text, extra, is_unread = json.loads(body)
                raise ContainerError("; ".join([text, *_install(extra)]), extra, is_unread=is_unread)

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
            message = wait_for(run_in_background(lambda: received(stream), name="s3conn-reader"), within=_PATIENCE)
        except TimeoutError:
            self.end()
            raise ContainerError(f"reading it took longer than {_PATIENCE:.0f} seconds") from None
        if message is None:
            self.end()
            raise _EndedError
        return message

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
