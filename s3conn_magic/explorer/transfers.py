"""Uploads and downloads between browser and bucket, in pieces, through the kernel."""

from __future__ import annotations

import os
import queue
import re
import tempfile
import threading
import zipfile
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import AccessDeniedError, EndpointError, S3ConnError
from s3conn_magic.explorer.details import moment_text
from s3conn_magic.explorer.messages import SEND_RATE
from s3conn_magic.locations import Location, size_text, visible
from s3conn_magic.runtime.background import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from s3conn_magic.explorer import Incoming, ObjectAccess
    from s3conn_magic.explorer.panel import Subject
    from s3conn_magic.explorer.tasks import Task, TaskList
    from s3conn_magic.objects.deleting import Chosen, SeenObjects
    from s3conn_magic.objects.description import Description


DOWNLOAD_AT_MOST = 100_000_000
"""Bytes that a kernel sends to a page; the channel carries less than 1 MB/s."""
ZIP_AT_MOST = 10_000
TAKEN_WITHIN = 20.0
"""Seconds within which a page must confirm that it has a whole file."""
_PIECE = 512 * 1024
_NAME_AT_MOST = 150
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_OLDEST = (1980, 1, 1, 0, 0, 0)


class _File(NamedTuple):
    """A file to deliver: its name, type, size if known, and pieces."""

    name: str
    mime: str
    size: int
    pieces: Iterator[bytes]


class Downloads:
    """Downloads to the browser or into the notebook's folder."""

    def __init__(self, objects: ObjectAccess, tasks: TaskList, send: Callable[..., None]) -> None:
        self._objects = objects
        self._tasks = tasks
        self._send = send
        self._receipts: dict[str, tuple[str, int, threading.Event]] = {}

    def one(self, page: str, id: str, subject: Subject, *, save: bool) -> None:  # noqa: A002 - the message's own name
        """Deliver an object in the version shown."""
        name = visible(subject.location.name)
        self._begin(page, id, name, lambda task: self._read(task, subject, save=save))

    def several(self, page: str, id: str, chosen: Sequence[Chosen], *, save: bool) -> None:  # noqa: A002 - as above
        """Deliver objects, and everything in folders, as a ZIP file."""
        if chosen:
            first = visible(chosen[0].location.name)
            name = first if len(chosen) == 1 else f"{first} and {len(chosen) - 1:,} more"
            self._begin(page, id, name, lambda task: self._pack(task, chosen, save=save))

    def taken(self, page: str, id: str, size: int) -> None:  # noqa: A002 - as above
        """Record that a page has received a whole file."""
        waiting = self._receipts.get(id)
        if waiting and waiting[:2] == (page, size):
            waiting[2].set()

    def _begin(self, page: str, id: str, name: str, do: Callable[[Task], None]) -> None:  # noqa: A002 - as above
        task = self._tasks.begin(page, id, "download", name)
        if task:
            work = Work[None](lambda _: do(task), task.stop)
            work.start(lambda _: None, lambda error: self._tasks.fail(task, error))

    def _read(self, task: Task, subject: Subject, *, save: bool) -> None:
        with closing(self._objects.download(subject.location, subject.version_id, subject.etag)) as outgoing:
            file = _File(subject.location.name, outgoing.content_type, outgoing.size, outgoing.pieces())
            self._deliver(task, file, save=save)

    def _pack(self, task: Task, chosen: Sequence[Chosen], *, save: bool) -> None:
        self._tasks.change(task, text="Counting…")
        counted = self._objects.below(chosen, ZIP_AT_MOST, task.stop.is_set)
        if not counted.complete:
            hint = "COPY INTO, or a script with the connection's files, has no such bound."
            raise S3ConnError(f"more than {ZIP_AT_MOST:,} objects are too many for one ZIP file", hint=hint)
        if not len(counted):
            self._tasks.change(task, state="done", text="There is nothing to download")
            return
        self._tasks.change(task, text="")
        members = member_names(counted)
        place = chosen[0].location
        name = f"{place.name.rstrip('/') or place.bucket}.zip" if len(chosen) == 1 else "objects.zip"
        with closing(self._zip_pieces(members, counted)) as pieces:
            self._deliver(task, _File(name, "application/zip", counted.bytes, pieces), save=save)

    def _zip_pieces(self, members: dict[Location, str], counted: SeenObjects) -> Generator[bytes]:
        sink = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:  # type: ignore[call-overload]
            for location, name in members.items():
                etag = counted.keys[location.bucket][location.key]
                with closing(self._objects.download(location, None, etag)) as outgoing:
                    about = zipfile.ZipInfo(name, _date(outgoing.last_modified))
                    about.compress_type = zipfile.ZIP_DEFLATED
                    with archive.open(about, "w", force_zip64=outgoing.size >= zipfile.ZIP64_LIMIT) as member:
                        for piece in outgoing.pieces():
                            member.write(piece)
                            yield from sink.full()
        yield sink.rest()

    def _deliver(self, task: Task, file: _File, *, save: bool) -> None:
        self._tasks.change(task, total=file.size)
        if not save and file.size > DOWNLOAD_AT_MOST:
            question = (
                f"{size_text(file.size)} are too large for a download through the kernel. Save it beside the notebook,"
                f" as {free_name(Path.cwd(), file.name).name}?"
            )
            if not self._tasks.ask(task, question, "Save"):
                return
            save = True
        (self._save if save else self._send_all)(task, file)

    def _send_all(self, task: Task, file: _File) -> None:
        """Send the file to its page; report success only once the page confirms that it has all of it."""
        event, head = threading.Event(), {"type": "piece", "id": task.id, "name": visible(file.name), "mime": file.mime}
        at = 0
        for piece in file.pieces:
            SEND_RATE.wait(len(piece), task.stop.wait)
            if task.stop.is_set():
                return self._tasks.call_off(task)
            self._send({**head, "at": at, "done": False}, [piece])
            at += len(piece)
            self._tasks.change(task, done=min(at, task.total) or at)
        self._receipts[task.id] = task.page, at, event
        try:
            self._send({**head, "at": at, "done": True}, [b""])
            self._wait(task, event)
        finally:
            del self._receipts[task.id]
        return self._tasks.change(task, state="done", text=f"Downloaded {size_text(at)}")

    def _wait(self, task: Task, event: threading.Event) -> None:
        waited, step = 0.0, 0.25
        while not (event.wait(step) or task.stop.is_set()):
            waited += step
            if waited > TAKEN_WITHIN:
                hint = "It was closed or loaded again: download it once more, or save it beside the notebook."
                raise EndpointError("the page did not take all of it: nothing was downloaded", hint=hint)

    def _save(self, task: Task, file: _File) -> None:
        path = saved(file, Path.cwd(), lambda size: self._tasks.change(task, done=size), task.stop.is_set)
        if path is None:
            return self._tasks.call_off(task)
        text = f"Saved {size_text(path.stat().st_size)} as {visible(str(path))}"
        return self._tasks.change(task, state="done", text=text)


class _Sink:
    """The output of `ZipFile`, from which pieces are taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no other buffer."""

    def full(self) -> Iterator[bytes]:
        if self._size >= _PIECE:
            yield self.rest()

    def rest(self) -> bytes:
        taken, self._parts, self._size = b"".join(self._parts), [], 0
        return taken


def _date(moment: datetime | None) -> tuple[int, int, int, int, int, int]:
    """Return a time as ZIP stores it, in UTC."""
    at = (moment or datetime.now(UTC)).astimezone(UTC)
    return (at.year, at.month, at.day, at.hour, at.minute, at.second) if at.year >= _OLDEST[0] else _OLDEST


def member_names(counted: SeenObjects) -> dict[Location, str]:
    """Return the names of objects in a ZIP file: relative to their common folder, without duplicates."""
    places = [Location(bucket, key) for bucket, keys in counted.keys.items() for key in keys]
    first, last = min(place.uri for place in places), max(place.uri for place in places)
    same = next((at for at, (mine, other) in enumerate(zip(first, last, strict=False)) if mine != other), len(first))
    cut = first.rfind("/", 0, same) + 1
    names: dict[Location, str] = {}
    used: set[str] = set()
    for place in places:
        if place.key.endswith("/"):  # a folder's marker
            continue
        parts = [_safe(part) for part in place.uri[cut:].split("/")]
        name, number = "/".join(parts), 1
        while name.casefold() in used:
            number += 1
            name = "/".join([*parts[:-1], _numbered(parts[-1], number)])
        used.add(name.casefold())
        names[place] = name
    return names


def _safe(name: str) -> str:
    """Return a name that is valid for files on every system."""
    safe_name = _NOT_IN_NAMES.sub("_", visible(name)).rstrip(". ")
    return safe_name if safe_name.strip(".") else "_"


def _numbered(name: str, number: int) -> str:
    stem, dot, ending = name.rpartition(".")
    return f"{stem} ({number}){dot}{ending}" if stem else f"{name} ({number})"


def free_name(folder: Path, name: str) -> Path:
    """Return an unused path for a file of this name, with a number added if needed."""
    safe_name, number = _safe(name), 1
    stem, dot, ending = safe_name.rpartition(".")
    safe_name = f"{stem[:_NAME_AT_MOST]}{dot}{ending}"[-_NAME_AT_MOST:] if stem else safe_name[:_NAME_AT_MOST]
    path = folder / safe_name
    while path.exists():
        number += 1
        path = folder / _numbered(safe_name, number)
    return path


def saved(file: _File, folder: Path, report: Callable[[int], None], stopped: Callable[[], bool]) -> Path | None:
    """Save a file in a folder, completely or not at all, without replacing another; None if it was stopped."""
    handle, temporary = tempfile.mkstemp(prefix=".s3conn-", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as out:
            for piece in file.pieces:
                if stopped():
                    return None
                out.write(piece)
                report(out.tell())
        return _move_into(Path(temporary), folder, file.name)
    except OSError as error:
        if isinstance(error, S3ConnError):
            raise
        message = f"it cannot be saved in {visible(str(folder))}: {error.strerror or error}"
        raise S3ConnError(message, hint="Save it in another folder, or make room in this one.") from None
    finally:
        with suppress(OSError):
            Path(temporary).unlink()


def _move_into(temporary: Path, folder: Path, name: str) -> Path:
    while True:
        path = free_name(folder, name)
        try:
            os.link(temporary, path)
        except FileExistsError:  # created since we looked
            continue
        except OSError:  # a file system without hard links
            with path.open("xb"):
                pass
            temporary.replace(path)
        return path


PIECE = 1024 * 1024
"""Bytes of each piece of an upload but the last."""
_PIECES_AHEAD = 4
"""Pieces of an upload that may be in flight."""
_AT_ONCE = 3
_SILENCE = 60.0
"""Seconds of silence after which a page counts as gone."""


class Uploads:
    """Uploads from the browser.

    Args:
        objects: access to single objects.
        tasks: shows them.
        written: called after each upload with the folder, the object's location, and its description.
    """

    def __init__(
        self, objects: ObjectAccess, tasks: TaskList, written: Callable[[Location, Location, Description], None]
    ) -> None:
        self._objects = objects
        self._tasks = tasks
        self._written = written
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._queues: dict[str, queue.SimpleQueue[bytes]] = {}

    def begin(self, page: str, id: str, folder: Location, name: str, *, size: int, mime: str) -> None:  # noqa: A002
        """Start the upload of a file that the browser announces, into a folder."""
        head, slash, _ = folder.key.rpartition("/")
        location = replace(folder, key=head + slash + name)
        task = self._tasks.begin(page, id, "upload", visible(location.name), total=size, text="Waiting")
        if task:
            self._queues[id] = queue.SimpleQueue()
            work = Work[None](lambda _: self._run(task, folder, location, size, mime))
            work.start(lambda _: self._ended(task), lambda error: self._failed(task, error))

    def chunk(self, id: str, at: int, buffers: Sequence[Any]) -> None:  # noqa: A002
        """Take the next piece, which begins at byte `at`."""
        del at  # the pieces of one comm arrive in order
        if id in self._queues and buffers:
            self._queues[id].put(bytes(buffers[0]))

    def _run(self, task: Task, folder: Location, location: Location, size: int, mime: str) -> None:
        if reason := self._objects.refuses_writes(location):
            self._tasks.change(task, state="failed", text=reason)
            return
        try:
            existing, readable = self._objects.look(location), True
        except AccessDeniedError:
            existing, readable = None, False
        if (existing or not readable) and not self._tasks.ask(task, _question(location, existing), "Replace"):
            return
        with self._slots:
            if not task.stop.is_set():
                replaces = existing.etag if existing else None
                upload = self._objects.upload(location, size, mime, overwrite=not readable, replaces=replaces)
                self._write(task, upload, size, lambda: self._report_upload(task, folder, location))
        if task.stop.is_set():
            self._tasks.call_off(task)

    def _report_upload(self, task: Task, folder: Location, location: Location) -> None:
        """Report what is there after the upload; if that may not be read, only that it was sent."""
        try:
            description = self._objects.look(location)
        except AccessDeniedError:
            self._tasks.change(
                task, state="done", done=task.total, text=f"Sent {size_text(task.total)}, but it cannot be read back"
            )
            return
        if description is None or description.size != task.total:
            raise EndpointError("the server took the file, but something else is there now", hint="Refresh to see it.")
        self._tasks.change(task, state="done", done=task.total, text=f"Uploaded {size_text(description.size)}")
        self._written(folder, location, description)

    def _write(self, task: Task, incoming: Incoming, size: int, look: Callable[[], None]) -> None:
        try:
            whole = self._write_pieces(task, incoming, size)
            if whole:
                incoming.finish()
        except BaseException:
            _abort(incoming)
            raise
        if not whole:
            incoming.abort()
        else:
            look()

    def _write_pieces(self, task: Task, incoming: Incoming, size: int) -> bool:
        """Write the pieces as they arrive; return False if the user stopped it."""
        received, credit = 0, _PIECES_AHEAD
        self._tasks.change(task, credit=credit, text="")
        while received < size:
            piece = self._next(task)
            if piece is None:
                return False
            incoming.write(piece)
            received, credit = received + len(piece), credit + 1
            self._tasks.change(task, credit=credit, done=received)
        return not task.stop.is_set()

    def _next(self, task: Task) -> bytes | None:
        waited, step = 0.0, 0.25
        while not task.stop.is_set():
            try:
                return self._queues[task.id].get(timeout=step)
            except queue.Empty:
                waited += step
            if waited > _SILENCE:
                raise EndpointError("the page stopped sending the file: nothing was written", hint="Upload it again.")
        return None

    def _ended(self, task: Task) -> None:
        self._queues.pop(task.id, None)

    def _failed(self, task: Task, error: S3ConnError) -> None:
        self._queues.pop(task.id, None)
        self._tasks.fail(task, error)


def _question(location: Location, existing: Description | None) -> str:
    if existing is None:
        return f"{visible(location.uri)} may already exist: the connection may not look. Replace it?"
    when = f" of {moment_text(existing.last_modified)}" if existing.last_modified else ""
    return f"{visible(location.uri)} already exists: {size_text(existing.size)}{when}. Replace it?"


def _abort(incoming: Incoming) -> None:
    """Abort, and ignore errors: the first failure is the one to show."""
    try:
        incoming.abort()
    except S3ConnError:
        return
