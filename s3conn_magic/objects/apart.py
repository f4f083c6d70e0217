"""Rows of ORC, Avro, Arrow and other formats whose library may crash: read in a subprocess.

It serves the bytes that `containers` requests, and takes the result. Queries and jobs get all rows exactly, in batches,
or refuse the object; previews get the first rows.
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
"""Types of CONTENT_TYPE whose rows are read here."""

_NOT_READ = "PREVIEW shows what it is, and its bytes."
_PATIENCE = 30.0
_SECRET = ("AWS_", "S3CONN")
_FILES = 100


@dataclass(frozen=True, slots=True)
class Contents:
    """The first rows of a file.

    Attributes:
        format: of the file or its content, such as `XLSX` for a ZIP file.
        table: the rows; only the first columns if all are too large.
        schema: of the file.
        total: rows of the file, if it says so.
        about: otherwise their number estimated from the first ones.
        notes: what was left out or looks odd.
    """

    format: str
    table: pa.Table
    schema: pa.Schema
    total: int | None = None
    about: int | None = None
    notes: tuple[str, ...] = ()


def read_container(file: Any, name: str, *, size: int, rows: int) -> Contents:
    """Return the first rows of a file; `name` is a key of `containers.READERS`.

    Raises:
        ContainerError: it is damaged, or cannot be read here.
        BoundReachedError: the byte limit does not suffice for one column.
    """
    schema, last = pa.schema([]), {}
    batches: list[pa.RecordBatch] = []
    for kind, body in _messages(file, [name, size, rows, False]):
        if kind == SCHEMA:
            schema = body
        elif kind == BATCH:
            batches.append(body)
        else:
            last = body
    table = pa.Table.from_batches(batches) if batches else schema.empty_table()
    more = last.get("total"), last.get("about"), (*last.get("notes", ()), *_install(last.get("extra", "")))
    return Contents(last.get("format", name), table, schema, *more)


class Reread:
    """Rows that DuckDB can read repeatedly, a few batches in memory at a time.

    Args:
        schema: of the rows.
        begin: returns the rows from the first on; called in DuckDB's threads, also concurrently.
    """

    def __init__(self, schema: pa.Schema, begin: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        self.schema, self._begin = schema, begin

    def __arrow_c_schema__(self) -> object:
        """Return the schema, in Arrow's C interface."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows, in Arrow's C interface."""
        reader = pa.RecordBatchReader.from_batches(self.schema, self._begin())
        return reader.__arrow_c_stream__(requested_schema)


_PART, _MOST = 122_880, 8


def in_parts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches merged up to DuckDB's row groups: it writes smaller ones twice."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= _PART or len(waiting) == _MOST:
            yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
            waiting = []
    yield from waiting


def record_batches(kind: str, file: Any, compression: str | None = None, *, rows: int = ALL) -> pa.RecordBatchReader:
    """Return the rows of a file exactly, lazily.

    Args:
        kind: one of `KINDS`.
        file: open and seekable.
        compression: of the whole file, as `compression_of` names it; not for ORC.
        rows: 0 for the schema alone.

    Raises:
        QueryError: it is damaged, also while it is read, or has something unsupported; or a library is missing.
        S3ConnError: the object cannot be read.
    """
    with _as_query_errors(kind):
        opened = unpacked(file, compression) if compression else file
        if kind == "ARROW":
            schema, batches = _arrow(opened, seekable=compression is None)
        else:
            size = ALL if compression else file.seek(0, io.SEEK_END)
            schema, batches = _every_batch(opened, _NAMES[kind], size, rows)
        readable = pa.schema([pa.field(field.name, _readable(field.type), field.nullable) for field in schema])
    return pa.RecordBatchReader.from_batches(readable, _checked(kind, batches if rows else iter(()), readable))


_WRONG = (OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, NotImplementedError)


# PyArrow has no arrays of these types, and raises a KeyError with the number of one.
_INTERVALS = ((pa.lib.Type_INTERVAL_MONTHS,), (pa.lib.Type_INTERVAL_DAY_TIME,))


@contextmanager
def _as_query_errors(kind: str) -> Iterator[None]:
    try:
        yield
    except S3ConnError:
        raise
    except ContainerError as error:
        if error.extra or error.is_unread:
            raise QueryError(visible(str(error)), hint=_NOT_READ) from None
        message = str(error).removeprefix("it is damaged: ")
        raise damaged(f"its {_NAMES[kind]} cannot be read ({message})") from None
    except _WRONG as error:
        message = visible(" ".join(str(error).split())[:200])
        is_interval = isinstance(error, KeyError) and error.args in _INTERVALS
        message = "a column of intervals of months, or of days and milliseconds" if is_interval else message
        if is_interval or isinstance(error, NotImplementedError):
            raise QueryError(f"the object has something that cannot be read ({message})", hint=_NOT_READ) from None
        raise damaged(f"its {_NAMES[kind]} cannot be read ({message})") from None


def _checked(kind: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with _as_query_errors(kind):
        for batch in batches:
            if kind == "ARROW":  # others were validated in the subprocess
                batch.validate(full=True)  # consumers do not check offsets, and would read past the end
                _check_kept(batch)
            if batch.schema.equals(schema):
                yield batch
            else:
                columns = map(_converted, batch.columns, schema.types)
                yield pa.record_batch([*columns], schema=schema)


def _check_kept(batch: pa.RecordBatch) -> None:
    """Check that DuckDB's INTERVAL, which counts microseconds, would not truncate a duration.

    Raises:
        NotImplementedError: it would.
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
    """Yield the arrays of values within an array."""
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


def _converted(column: pa.Array, kind: pa.DataType) -> pa.Array:
    while pa.types.is_dictionary(column.type) and column.type != kind:
        column = column.dictionary_decode()
    return column if column.type == kind else column.cast(kind)


def _readable(kind: pa.DataType) -> pa.DataType:
    """Return a type that DuckDB has: float for half float, without loss.

    A dictionary of nested values would crash DuckDB's database, so it is decoded.

    Raises:
        NotImplementedError: one is nested in other values, where it cannot be decoded.
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
    if head != _ARROW_FILE:  # a file has a stream after these bytes
        file.seek(0)
    stream = pa.ipc.open_stream(pa.PythonFile(file, mode="r"))
    return stream.schema, iter(stream) if head == _ARROW_FILE else _drained(stream, file)


def _drained(stream: pa.RecordBatchReader, file: Any) -> Iterator[pa.RecordBatch]:
    yield from stream
    if file.read(1):
        raise NotImplementedError(MORE_BEHIND)


def _every_batch(file: Any, name: str, size: int, rows: int) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    messages = _messages(file, [name, size, rows, True])
    _, schema = next(messages)
    if not rows:
        for _ in messages:  # read to its end, so that the process stays usable
            pass
    return schema, (body for kind, body in messages if kind == BATCH)


def _messages(file: Any, request: list[Any]) -> Iterator[tuple[bytes, Any]]:
    """Yield the messages of a subprocess about a file: schema, batches, and the rest.

    Args:
        file: open, binary.
        request: format, size, most rows, and whether rows must be exact.
    """
    job = json.dumps(request).encode()
    try:
        reader = _idle.pop()  # another thread may have taken it
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
    # It may have ended because of an earlier file.
    try:
        yield from _Reader().messages(file, job)
    except _EndedError:
        raise ContainerError("its reader crashed on it") from None


class _EndedError(Exception):
    """The process is gone."""


def _install(extra: str) -> list[str]:
    return [f"install it: {pip_install(extra)}"] if extra else []


class _Reader:
    """A subprocess that reads one file after the other; `served` counts them, `alive` until it ends."""

    def __init__(self) -> None:
        self.served = 0
        self.alive = True
        self._process: subprocess.Popen[bytes] | None = None

    def messages(self, file: Any, job: bytes) -> Iterator[tuple[bytes, Any]]:
        """Yield its messages about a file; then end it, or keep it for the next one."""
        kept = False
        try:
            if self._process is None:
                wait_for(run_in_background(self._begin, name="s3conn-reader"))
            self.served += 1
            self._answer(JOB, job)
            yield from self._answers(file)
            kept = True
        except ContainerError:
            kept = self.alive
            raise
        finally:
            if kept and self.served < _FILES and not _idle:
                _idle.append(self)
            else:
                self.end()

    def _answers(self, file: Any) -> Iterator[tuple[bytes, Any]]:
        bound = False
        while True:
            kind, body = self._next()
            if kind == READ:
                bound |= self._send_range(file, *EXTENT.unpack(body)) == BOUND
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
        """Start in a thread, so that no interrupt can come between the process and its registration."""
        root = str(Path(__file__).parents[2])
        paths = json.dumps([*(path for path in sys.path if path), root])
        begin = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {} import main; main()"
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            # Isolated from the environment and installed packages; it gets this process's paths.
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

    def _send_range(self, file: Any, start: int, stop: int) -> bytes:
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
        with suppress(OSError):  # it ended, as the next message shows
            send(self._process.stdin, kind, body)


_idle: list[_Reader] = []
"""At most one, so that reading many files takes one start."""


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    # A child must not use the parent's pipes.
    os.register_at_fork(after_in_child=_idle.clear)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            with suppress(OSError):
                stream.close()
