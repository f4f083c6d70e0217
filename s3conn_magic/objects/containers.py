"""Subprocess that reads rows of ORC, Arrow, Avro and workbooks, and members of ZIP; `apart` starts it.

Libraries for these formats can crash their process, or fill its memory, on damaged or malicious files. This process has
neither credentials nor network: it requests bytes of the file on its output and gets them on its input, one answer per
message. Heavy modules are imported only when a format needs them.
"""

from __future__ import annotations

import io
import json
import os
import struct
import threading
import zipfile
from contextlib import suppress
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from s3conn_magic.locations import size_text
from s3conn_magic.objects.avro import AvroFile, DamageError, UnreadError
from s3conn_magic.objects.unpacking import SeekableFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MESSAGE = struct.Struct("<cQ")
EXTENT = struct.Struct("<QQ")
JOB, READ, SCHEMA, BATCH, DONE, FAILED, DATA, BOUND = b"J", b"R", b"S", b"B", b"D", b"F", b"A", b"X"
"""Kinds of messages: a file, a requested range, the schema, a batch, the end, a failure; bytes, or no more bytes."""
_MEMORY = 4 * 1024**3
_AHEAD = 64 * 1024
_IDLE = 60.0
_AT_ONCE = 32_768
WORKBOOK_AT_MOST = 16 * 1024 * 1024
_PARTS = 64 * 1024 * 1024
_COLUMNS = 2_000
_TITLES = 20
ALL = 2**62
"""All rows of a file."""


class ContainerError(Exception):
    """A file is damaged, needs something missing, or takes too much; the message says which.

    Attributes:
        extra: of this package, whose libraries are missing; otherwise empty.
        is_unread: whether the file is valid, but has something unsupported.
    """

    def __init__(self, text: str, extra: str = "", *, is_unread: bool = False) -> None:
        super().__init__(text)
        self.extra, self.is_unread = extra, is_unread


def send(stream: IO[bytes], kind: bytes, body: bytes) -> None:
    """Write a message."""
    stream.write(MESSAGE.pack(kind, len(body)))
    stream.write(body)
    stream.flush()


def received(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Return the next message, or None at the end."""
    try:
        kind, length = MESSAGE.unpack(stream.read(MESSAGE.size))
        body = stream.read(length)
    except (struct.error, OSError, ValueError):
        return None
    return (kind, body) if len(body) == length else None


class _Remote(SeekableFile):
    """The file as the subprocess sees it: ranges that it requests."""

    def __init__(self, size: int, answers: IO[bytes], questions: IO[bytes], *, exact: bool) -> None:
        super().__init__(size)
        self.exact = exact
        self.bound = False
        self.ended = False
        self._answers, self._questions = answers, questions
        self._lock = threading.Lock()

    def readinto(self, buffer: Any, /) -> int:
        if self.ended:  # libraries read ahead in their own threads
            raise OSError("enough of the file is read")
        view = memoryview(buffer).cast("B")
        start, stop = min(self.at, self.size), min(self.at + len(view), self.size)
        data = self.ask(READ, EXTENT.pack(start, stop)) if start < stop else b""
        view[: len(data)] = data
        self.at += len(data)
        return len(data)

    def ask(self, kind: bytes, body: bytes) -> bytes:
        """Send a message and return the answer.

        Raises:
            OSError: the bound of the file is reached.
        """
        with self._lock:
            send(self._questions, kind, body)
            message = received(self._answers)
        if message is None:
            os._exit(1)  # the parent is gone
        if message[0] == BOUND:
            self.bound = True
            raise OSError("no more of the file is given")
        return message[1]


class _Contents(NamedTuple):
    """Result of a reader: lazy batches, and facts about the file."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    more: Mapping[str, Any]


def main() -> None:
    """Read the files that the parent names, and send their rows."""
    answers, questions = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Output of libraries must not mix with messages.
    os.dup2(2, 1)
    _limit_memory()
    while message := _next_file(answers):
        name, size, rows, exact = json.loads(message[1])
        kind, body = _read(_Remote(size, answers, questions, exact=exact), name, rows)
        send(questions, kind, body)


def _next_file(answers: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Return the next file; exit after a while without one."""
    idle = threading.Timer(_IDLE, os._exit, [0])
    idle.daemon = True
    idle.start()
    message = received(answers)
    idle.cancel()
    return message


def _read(remote: _Remote, name: str, rows: int) -> tuple[bytes, bytes]:
    """Return the last message about a file."""
    try:
        return DONE, json.dumps(_send_batches(remote, READERS[name](remote, rows), rows)).encode()
    except BaseException as error:  # noqa: BLE001 - libraries raise all there is, and the other side is told
        failure = _failure(error)
        return FAILED, json.dumps([str(failure), failure.extra, failure.is_unread]).encode()


def _limit_memory() -> None:
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _failure(error: BaseException) -> ContainerError:
    if isinstance(error, ContainerError):
        return error
    if isinstance(error, UnreadError | DamageError):
        is_unread = isinstance(error, UnreadError)
        return ContainerError(str(error) if is_unread else f"it is damaged: {error}", is_unread=is_unread)
    if isinstance(error, MemoryError):
        return ContainerError("it takes too much memory")
    if isinstance(error, ImportError):
        return ContainerError(f"{error.name or 'a library'} is not installed")
    text = " ".join(str(error).split())[:200]
    if isinstance(error, NotImplementedError) or "is out of range for" in text:
        return ContainerError(f"the object has something that cannot be read ({text})", is_unread=True)
    return ContainerError("it is damaged, or written in a way that cannot be read here")


def _send_batches(remote: _Remote, contents: _Contents, rows: int) -> dict[str, Any]:
    """Send batches until there are enough rows."""
    remote.ask(SCHEMA, contents.schema.serialize().to_pybytes())
    sent = 0
    for batch in contents.batches:
        some = batch.slice(0, rows - sent)
        sent += len(some)
        remote.ended = sent >= rows
        sink = pa.BufferOutputStream()
        # Damaged values are detected here, not where they are used.
        some.validate(full=remote.exact)
        with pa.ipc.new_stream(sink, some.schema) as writer:
            writer.write_batch(some)
        remote.ask(BATCH, sink.getvalue().to_pybytes())
        if sent >= rows:
            break
    return dict(contents.more)


def _with_fewer_columns(
    remote: _Remote, count: int, read: Callable[[int], Iterator[pa.RecordBatch]]
) -> Iterator[pa.RecordBatch]:
    """Yield batches of as many leading columns as the byte limit allows."""
    while True:
        remote.bound = False
        begun = False
        try:
            for batch in read(count):
                begun = True
                yield batch
        except (pa.ArrowException, OSError):
            if not remote.bound:
                raise
        if begun or not remote.bound:
            return
        if count <= 1:
            raise OSError
        count //= 2


def _orc(remote: _Remote, rows: int) -> _Contents:
    """Read by the dataset scanner, which reads a stripe a few rows at a time."""
    import pyarrow.dataset as ds
    from pyarrow import orc

    file = pa.PythonFile(remote, mode="r")
    opened = orc.ORCFile(file)

    def read(count: int) -> Iterator[pa.RecordBatch]:
        fragment = ds.OrcFileFormat().make_fragment(file)
        scanner = fragment.scanner(
            columns=opened.schema.names[:count] if count < len(opened.schema) else None,
            batch_size=min(max(rows, 1), _AT_ONCE),
            batch_readahead=0,
            fragment_readahead=0,
            use_threads=False,
        )
        yield from scanner.to_batches()

    wanted = iter(()) if not rows or not opened.nrows else _with_fewer_columns(remote, len(opened.schema), read)
    return _Contents(opened.schema, wanted, {"total": opened.nrows})


def _arrow(remote: _Remote, rows: int) -> _Contents:
    file = pa.PythonFile(remote, mode="r")
    opened = pa.ipc.open_file(file)
    schema, count = opened.schema, opened.num_record_batches
    more: dict[str, Any] = {} if count else {"total": 0}

    def read(columns: int) -> Iterator[pa.RecordBatch]:
        options = pa.ipc.IpcReadOptions(included_fields=[*range(columns)], use_threads=False)
        chosen = pa.ipc.open_file(file, options=options) if columns < len(schema) else opened
        there = 0
        for at in range(count):
            batch = chosen.get_batch(at)
            there += len(batch)
            more["total" if at + 1 == count else "about"] = there * count // (at + 1)
            yield batch

    return _Contents(schema, _with_fewer_columns(remote, len(schema), read) if rows else iter(()), more)


def _arrow_stream(remote: _Remote, rows: int) -> _Contents:
    opened = pa.ipc.open_stream(pa.PythonFile(remote, mode="r"))
    more: dict[str, Any] = {}

    def read() -> Iterator[pa.RecordBatch]:
        count = 0
        begun = remote.at
        with suppress(StopIteration):
            while True:
                batch = opened.read_next_batch()
                count += len(batch)
                more["about"] = _estimate(count, remote.at - begun, remote.size - begun)
                yield batch
        more["total"] = count
        if remote.at < remote.size:
            more["notes"] = [MORE_BEHIND]

    return _Contents(opened.schema, read() if rows else iter(()), more)


MORE_BEHIND = "its stream of Arrow ends, and more follows"


def is_arrow_stream(head: bytes) -> bool:
    """Return whether the first bytes may be an Arrow stream: marker, length, and start of the metadata."""
    sign, length, root = struct.unpack_from("<IiI", head) if len(head) >= 12 else (0, 0, 0)  # noqa: PLR2004
    return bool(sign == 0xFFFFFFFF and 0 < length < 2**26 and length % 8 == 0 and root < length)  # noqa: PLR2004


def _estimate(rows: int, used: int, size: int) -> int:
    return round(rows * size / max(used, 1))


# Avro


def _avro(remote: _Remote, rows: int) -> _Contents:
    file = io.BufferedReader(remote, _AHEAD)
    try:
        opened = AvroFile(file, exact=remote.exact)
    except ImportError:
        raise ContainerError("the library fastavro is not installed", extra="avro") from None
    more: dict[str, Any] = {}

    def read() -> Iterator[pa.RecordBatch]:
        begun = file.tell()
        for batch in opened.batches(rows):
            about = _estimate(opened.counted, file.tell() - begun, remote.size - begun)
            more.update({"total": opened.counted} if opened.at_end else {"about": about}, notes=opened.notes())
            yield batch
        if opened.at_end:
            more["total"] = opened.counted

    return _Contents(opened.schema, read() if rows else iter(()), more)


# Workbooks, and other ZIP files


def _zip(remote: _Remote, rows: int) -> _Contents:
    """Read the first sheet of a workbook, or list the members."""
    with zipfile.ZipFile(remote) as opened:
        members = opened.infolist()
    notes: list[str] = []
    extra = ""
    if any(member.filename == "xl/workbook.xml" for member in members):
        try:
            return _sheet(remote, rows, {member.filename: member.file_size for member in members})
        except ContainerError as error:
            notes.append(f"its sheets are not shown: {error}")
            extra = error.extra
        except Exception:  # noqa: BLE001 - whatever a library raises over a damaged file
            notes.append("its sheets are damaged, or written in a way that cannot be read here")
    if secret := sum(member.flag_bits & 1 for member in members):
        notes.append(f"{secret:,} of its members are encrypted")
    shown = members[:rows]
    columns = {
        "name": pa.array([member.filename for member in shown], pa.string()),
        "size": pa.array([member.file_size for member in shown], pa.uint64()),
        "modified": pa.array([_modified(member) for member in shown], pa.timestamp("s")),
    }
    batch = pa.record_batch(columns)
    return _Contents(batch.schema, iter([batch]), {"total": len(members), "notes": notes, "extra": extra})


def _modified(member: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*member.date_time)  # noqa: DTZ001 - ZIP has no zones
    except ValueError:
        return None


def _sheet(remote: _Remote, rows: int, members: Mapping[str, int]) -> _Contents:
    if remote.size > WORKBOOK_AT_MOST:
        raise ContainerError(f"it is larger than {size_text(WORKBOOK_AT_MOST)}")
    if sum(size for name, size in members.items() if "/worksheets/" not in name and name.endswith(".xml")) > _PARTS:
        raise ContainerError(f"its texts unpack to more than {size_text(_PARTS)}")
    try:
        import openpyxl
    except ImportError:
        raise ContainerError("the library openpyxl is not installed", extra="excel") from None
    book = openpyxl.load_workbook(remote, read_only=True, data_only=True, keep_links=False)
    if not book.worksheets:
        raise ContainerError("it has no sheet with cells")
    sheet = book.worksheets[0]
    claimed = sheet.max_row
    sheet.reset_dimensions()  # some programs write wrong ones
    lines = [[*line] for line in sheet.iter_rows(max_row=rows + _TITLES, max_col=_COLUMNS, values_only=True)]
    names, values, above = _with_header(lines, rows)
    more: dict[str, Any] = {
        "format": "XLSX",
        "notes": [f"the sheet {sheet.title}, the first of {len(book.sheetnames):,}"],
    }
    if len(lines) < rows + _TITLES and len(lines) - above <= rows:
        more["total"] = len(values)
    elif claimed:
        more["about"] = max(claimed - above, len(values))
    columns = [_cells([line[at] for line in values]) for at in range(len(names))]
    batch = pa.RecordBatch.from_arrays(columns, names=names)
    return _Contents(batch.schema, iter([batch] if rows else ()), more)


def _with_header(lines: list[list[Any]], rows: int) -> tuple[list[str], list[list[Any]], int]:
    """Return the column names, the rows below, and the number of lines above."""
    width = max((at + 1 for line in lines for at, value in enumerate(line) if value is not None), default=0)
    padded = [(line + [None] * width)[:width] for line in lines]
    blank = next((at for at, line in enumerate(padded) if any(value is not None for value in line)), len(padded))
    below = padded[blank:]
    first = below[0] if below else []
    if first and all(isinstance(value, str) and value.strip() for value in first) and len({*first}) == len(first):
        return first, below[1:][:rows], blank + 1
    from openpyxl.utils import get_column_letter

    return [get_column_letter(at + 1) for at in range(width)], below[:rows], blank


def _cells(values: list[Any]) -> pa.Array:
    """Return a column of cells: of one type, or as text."""
    try:
        column = pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


READERS: dict[str, Callable[[_Remote, int], _Contents]] = {
    "ORC": _orc,
    "Arrow": _arrow,
    "Arrow stream": _arrow_stream,
    "Avro": _avro,
    "ZIP": _zip,
    "OpenDocument": _zip,
}
"""Readers by format."""
