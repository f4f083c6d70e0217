"""Uploads and downloads: bytes between the browser and the bucket, in pieces, through the kernel."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import AccessDeniedError, EndpointError, S3ConnError
from s3conn_magic.explorer.details import moment_text
from s3conn_magic.explorer.messages import SEND_RATE
from s3conn_magic.locations import size_text, visible
from s3conn_magic.runtime.background import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from s3conn_magic.explorer.model import Incoming, ObjectAccess, Outgoing
    from s3conn_magic.explorer.panel import Subject
    from s3conn_magic.explorer.tasks import Task, TaskList
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.description import Description

DOWNLOAD_AT_MOST = 100_000_000
PIECE = 1024 * 1024
"""Bytes of a piece of an upload; the last one is shorter."""
_AHEAD = 4
"""Pieces of an upload that may be under way."""
_AT_ONCE = 3
_SILENCE = 60.0
"""Seconds after which a page that sends nothing is taken to be gone."""


class BrowserDownloads:
    """Objects on their way to the browser."""

    def __init__(self, objects: ObjectAccess, tasks: TaskList, send: Callable[..., None]) -> None:
        self._objects = objects
        self._tasks = tasks
        self._send = send

    def begin(self, page: str, id: str, subject: Subject) -> None:  # noqa: A002 - the message's own name
        """Send an object, as it was shown, to the page that asked by this id."""
        task = self._tasks.begin(page, id, "download", visible(subject.location.name))
        if task:
            work = Work[None](lambda _: self._read(task, subject))
            work.start(lambda _: None, lambda error: self._tasks.fail(task, error))

    def _read(self, task: Task, subject: Subject) -> None:
        outgoing = self._objects.download(subject.location, subject.version_id, subject.etag)
        try:
            if outgoing.size > DOWNLOAD_AT_MOST:
                raise EndpointError(
                    f"{size_text(outgoing.size)} are too much for a download through the kernel",
                    hint="Copy a link, or a snippet that reads the object in Python.",
                )
            self._tasks.change(task, total=outgoing.size)
            self._send_all(task, outgoing)
        finally:
            outgoing.close()

    def _send_all(self, task: Task, outgoing: Outgoing) -> None:
        head = {"type": "piece", "id": task.id, "name": task.name, "total": outgoing.size}
        at = 0
        for piece in _at_least_one(outgoing.pieces()):
            SEND_RATE.wait(len(piece), task.stop.wait)
            if task.stop.is_set():
                return self._tasks.call_off(task)
            self._send({**head, "mime": outgoing.content_type, "at": at}, [piece])
            at += len(piece)
            self._tasks.change(task, done=at)
        return self._tasks.change(task, state="done", text=f"Downloaded {size_text(at)}")


def _at_least_one(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield an object without bytes is one empty piece."""
    yield next(pieces, b"")
    yield from pieces


class Uploads:
    """Files on their way from the browser.

    Args:
        objects: writes them.
        tasks: where they are shown.
        written: called after each object that was written, with the folder, the object's location, and what is seen
            there.
    """

    def __init__(
        self, objects: ObjectAccess, tasks: TaskList, written: Callable[[Location, Location, Description], None]
    ) -> None:
        self._objects = objects
        self._tasks = tasks
        self._written = written
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._coming: dict[str, queue.SimpleQueue[bytes]] = {}

    def begin(self, page: str, id: str, folder: Location, name: str, *, size: int, mime: str) -> None:  # noqa: A002
        """Take a file that the browser announces, into a folder."""
        head, slash, _ = folder.key.rpartition("/")
        location = replace(folder, key=head + slash + name)
        task = self._tasks.begin(page, id, "upload", visible(location.name), total=size, text="Waiting")
        if task:
            self._coming[id] = queue.SimpleQueue()
            work = Work[None](lambda _: self._run(task, folder, location, size, mime))
            work.start(lambda _: self._ended(task), lambda error: self._failed(task, error))

    def chunk(self, id: str, at: int, buffers: Sequence[Any]) -> None:  # noqa: A002
        """Take the next piece, which begins at byte `at` of the file."""
        del at  # pieces of one comm come in the order in which they were sent
        if id in self._coming and buffers:
            self._coming[id].put(bytes(buffers[0]))

    def _run(self, task: Task, folder: Location, location: Location, size: int, mime: str) -> None:
        if reason := self._objects.refuses_writes(location):
            self._tasks.change(task, state="failed", text=reason)
            return
        try:
            there, known = self._objects.look(location), True
        except AccessDeniedError:
            there, known = None, False
        if (there or not known) and not self._tasks.ask(task, _question(location, there), "Replace"):
            return
        with self._slots:
            if not task.stop.is_set():
                replaces = there.etag if there else None
                made = self._objects.upload(location, size, mime, overwrite=not known, replaces=replaces)
                self._write(task, made, size, lambda: self._look(task, folder, location))
        if task.stop.is_set():
            self._tasks.call_off(task)

    def _look(self, task: Task, folder: Location, location: Location) -> None:
        """Say that it is there when it was seen there; where nobody may look, that it was sent."""
        try:
            there = self._objects.look(location)
        except AccessDeniedError:
            self._tasks.change(
                task, state="done", done=task.total, text=f"Sent {size_text(task.total)}: it cannot be seen"
            )
            return
        if there is None or there.size != task.total:
            raise EndpointError("the server took the file, but what is there now is not it", hint="Refresh, and look.")
        self._tasks.change(task, state="done", done=task.total, text=f"Uploaded {size_text(there.size)}")
        self._written(folder, location, there)

    def _write(self, task: Task, incoming: Incoming, size: int, look: Callable[[], None]) -> None:
        try:
            whole = self._take(task, incoming, size)
            if whole:
                incoming.finish()
        except BaseException:
            _abort(incoming)
            raise
        if not whole:
            incoming.abort()
        else:
            look()

    def _take(self, task: Task, incoming: Incoming, size: int) -> bool:
        """Hand the pieces on as they come; False when the user stops it."""
        taken, credit = 0, _AHEAD
        self._tasks.change(task, credit=credit, text="")
        while taken < size:
            piece = self._next(task)
            if piece is None:
                return False
            incoming.write(piece)
            taken, credit = taken + len(piece), credit + 1
            self._tasks.change(task, credit=credit, done=taken)
        return not task.stop.is_set()

    def _next(self, task: Task) -> bytes | None:
        waited, step = 0.0, 0.25
        while not task.stop.is_set():
            try:
                return self._coming[task.id].get(timeout=step)
            except queue.Empty:
                waited += step
            if waited > _SILENCE:
                raise EndpointError("the page stopped sending the file: nothing was written", hint="Upload it again.")
        return None

    def _ended(self, task: Task) -> None:
        self._coming.pop(task.id, None)

    def _failed(self, task: Task, error: S3ConnError) -> None:
        self._coming.pop(task.id, None)
        self._tasks.fail(task, error)


def _question(location: Location, there: Description | None) -> str:
    if there is None:
        return f"{visible(location.uri)} may already exist: the connection may not look. Replace it?"
    when = f" of {moment_text(there.last_modified)}" if there.last_modified else ""
    return f"{visible(location.uri)} already exists: {size_text(there.size)}{when}. Replace it?"


def _abort(incoming: Incoming) -> None:
    """Leave nothing behind, whatever the server says: the first failure is the one to show."""
    try:
        incoming.abort()
    except S3ConnError:
        return
