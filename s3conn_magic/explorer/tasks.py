"""Tasks beside the tree (transfers, deletions, restores), each with a line below the rows.

Every page sees a task's progress, but only the page that started it can answer its questions.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from s3conn_magic.explorer.details import error_values, moment_text, thaw_text
from s3conn_magic.explorer.messages import SEND_RATE
from s3conn_magic.language.words import counted
from s3conn_magic.locations import Location, size_text, visible
from s3conn_magic.runtime.background import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.explorer import ObjectAccess
    from s3conn_magic.explorer.panel import Subject
    from s3conn_magic.objects.deleting import Chosen, SeenObjects, Thaw
    from s3conn_magic.objects.description import Description, Version


class Restores:
    """Restores under way: of older versions, deleted objects, and archived objects.

    Args:
        objects: access to single objects.
        tasks: shows and confirms them.
        restored: called with a restored object, as it is then.
    """

    def __init__(
        self, objects: ObjectAccess, tasks: TaskList, restored: Callable[[Location, Description], None]
    ) -> None:
        self._objects = objects
        self._tasks = tasks
        self._restored = restored

    def version(self, page: str, id: str, subject: Subject, version: Version) -> None:  # noqa: A002 - the message's own name
        """Make a version the current one, after confirmation."""
        size = f", {size_text(version.size)}" if version.size is not None else ""
        question = (
            f"Restore the version of {moment_text(version.last_modified)}{size}, of {visible(subject.location.uri)}? A"
            " copy of it becomes the current version; what is current now stays as an older one."
        )
        self._begin(page, id, subject, (question, "Restore"), lambda task: self._copy(task, subject, version))

    def _copy(self, task: Task, subject: Subject, version: Version) -> str:
        self._restore(task, subject, version.version_id)
        return f"Restored the version of {moment_text(version.last_modified)}"

    def undelete(self, page: str, id: str, subject: Subject) -> None:  # noqa: A002 - as above
        """Undo a deletion, after confirmation."""
        question = (
            f"Bring {visible(subject.location.uri)} back? The marker of its deletion is deleted, and its newest version"
            " is the current one again."
        )
        self._begin(page, id, subject, (question, "Bring back"), lambda task: self._undelete(task, subject))

    def _undelete(self, task: Task, subject: Subject) -> str:
        self._restore(task, subject, None)
        return "Brought back"

    def _restore(self, task: Task, subject: Subject, version_id: str | None) -> None:
        def copied(done: int, total: int) -> None:
            self._tasks.change(task, done=done, total=total)

        self._objects.restore(subject.location, version_id, copied, task.stop.is_set)

    def thaw(self, page: str, id: str, subject: Subject, description: Description, tier: str) -> None:  # noqa: A002 - as above
        """Request a copy from the archive, after confirmation of its price."""
        thaw = next((each for each in self._objects.thaws(description) if each.tier == tier), None)
        if thaw is None:
            return
        question = f"Restore {visible(subject.location.uri)} from the archive? {thaw_text(thaw, description)}"
        task = self._tasks.begin(page, id, "restore", visible(subject.location.name), text="Looking")
        if task:
            work = Work[None](lambda _: self._thaw(task, subject, description, thaw, question))
            work.start(lambda _: None, lambda error: self._tasks.fail(task, error))

    def _thaw(self, task: Task, subject: Subject, description: Description, thaw: Thaw, question: str) -> None:
        if self._writable(task, subject) and self._tasks.ask(task, question, "Restore"):
            self._objects.thaw(subject.location, description, thaw.tier)
            current = self._objects.describe(subject.location, description.version_id)
            text = f"Asked for: it can be read in {thaw.takes.removeprefix('up to ')} at the latest"
            message = text if current.restore == "in progress" else f"{text}; the server does not say that it began"
            self._tasks.change(task, state="done", text=message)
            if not subject.version_id:
                self._restored(subject.location, current)

    def _begin(
        self,
        page: str,
        id: str,  # noqa: A002 - as above
        subject: Subject,
        question: tuple[str, str],
        do: Callable[[Task], str],
    ) -> None:
        task = self._tasks.begin(page, id, "restore", visible(subject.location.name), text="Looking")
        if task:
            work = Work[None](lambda _: self._run(task, subject, question, do))
            work.start(lambda _: None, lambda error: self._tasks.fail(task, error))

    def _run(self, task: Task, subject: Subject, question: tuple[str, str], do: Callable[[Task], str]) -> None:
        if self._writable(task, subject) and self._tasks.ask(task, *question):
            text = do(task)
            # Report what is there, not what was requested.
            current = self._objects.describe(subject.location, None)
            self._tasks.change(task, state="done", text=f"{text}, {size_text(current.size)}")
            self._restored(subject.location, current)

    def _writable(self, task: Task, subject: Subject) -> bool:
        reason = self._objects.refuses_writes(subject.location)
        if reason:
            self._tasks.change(task, state="failed", text=reason)
        return not reason


State = Literal["working", "asking", "done", "failed", "stopped"]
_ENDED = ("done", "failed", "stopped")
_VALUES = tuple("id kind name page state text hint confirm question done total credit".split())  # noqa: SIM905
_REPORT_EVERY = 0.1
"""Seconds between reports of mere progress."""
_ENDED_KEPT = 30
"""Ended tasks that keep their line; the oldest are removed first."""
DONE_FOR = 10.0
"""Seconds that the line of a successful task stays."""
ASKED_FOR = 600.0
"""Seconds until a question counts as declined: its page may be gone."""
_NAMES_IN_MESSAGE = 100_000
"""Characters of names in one message, unless a single name is longer."""


@dataclass(eq=False)
class Task:
    """One line.

    Attributes:
        id: given by the browser.
        kind: `upload`, `download`, `delete` or `restore`.
        name: what it is about, in its visible form.
        page: the page that started it.
        text: its status, or the question.
        confirm: label of the button that answers the question with yes.
        question: id of the question, so that an answer to an earlier one does not count.
        asked: everything that the question is about, in visible form.
        done: bytes or objects so far, of `total`.
        credit: number of pieces that the browser may have sent so far.
    """

    id: str
    kind: str
    name: str
    page: str = ""
    state: State = "working"
    text: str = ""
    hint: str = ""
    confirm: str = ""
    question: str = ""
    asked: tuple[str, ...] = ()
    done: int = 0
    total: int = 0
    credit: int = 0
    ended_at: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)

    def values(self) -> dict[str, Any]:
        """Return the values sent to the browser."""
        return {"count": len(self.asked), **{name: getattr(self, name) for name in _VALUES}}

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.state in _ENDED


class TaskList:
    """All lines, sent to the browser whenever one changes.

    Args:
        send: sends a message.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._lock = threading.RLock()
        self._all: dict[str, Task] = {}
        self._sent_at = 0.0

    def begin(self, page: str, id: str, kind: str, name: str, **values: Any) -> Task | None:  # noqa: A002 - the message's own name
        """Add a new line and return it, or None if the id exists."""
        with self._lock:
            if id in self._all:
                return None
            task = self._all[id] = Task(id, kind, name, page, **values)
            ended = [each for each in self._all.values() if each.ended]
            for old in ended[: max(len(ended) - _ENDED_KEPT, 0)]:
                del self._all[old.id]
            self.tell()
            return task

    def change(self, task: Task, **values: Any) -> None:
        """Change a line that has not ended."""
        with self._lock:
            if task.ended:
                return
            for name, value in values.items():
                setattr(task, name, value)
            task.ended_at = time.monotonic()
            if values.keys() - {"done"} or time.monotonic() - self._sent_at > _REPORT_EVERY:
                self.tell()

    def fail(self, task: Task, error: S3ConnError) -> None:
        """End a line with an error; remove it if the user stopped it."""
        if task.stop.is_set():
            self.call_off(task)
        else:
            values = error_values(error)
            self.change(task, state="failed", text=values["message"], hint=values["hint"], confirm="")

    def call_off(self, task: Task) -> None:
        """Remove the line of a task that was not carried out."""
        with self._lock:
            self._all.pop(task.id, None)
            self.tell()

    def ask(self, task: Task, text: str, confirm: str, asked: Sequence[str] = ()) -> bool:
        """Ask the user and wait for the answer; a timeout or a closed explorer counts as no."""
        with self._lock:
            task.answered.clear()
            task.question, task.asked = secrets.token_hex(8), tuple(asked)
        self._send_names(task)
        self.change(task, state="asking", text=text, confirm=confirm)
        yes = not task.stop.is_set() and task.answered.wait(ASKED_FOR) and not task.stop.is_set()
        with self._lock:
            task.question, task.asked = "", ()
            if yes:
                self.change(task, state="working", text="", confirm="")
            else:
                self.call_off(task)
        return yes

    def _send_names(self, task: Task) -> None:
        """Send everything that a question is about, in parts."""
        start = 0
        while start < len(task.asked):
            stop, room = start, _NAMES_IN_MESSAGE
            while stop < len(task.asked) and (stop == start or room >= len(task.asked[stop])):
                room -= len(task.asked[stop])
                stop += 1
            names = task.asked[start:stop]
            SEND_RATE.wait(sum(map(len, names)), task.stop.wait)
            self._send({"type": "asked", "page": task.page, "question": task.question, "from": start, "names": names})
            start = stop

    def confirm(self, page: str, id: str, question: str) -> bool:  # noqa: A002 - the message's own name
        """Answer a question of this page with yes; return False if it is no longer open."""
        with self._lock:
            task = self._all.get(id)
            asks = task is not None and task.state == "asking" and (task.page, task.question) == (page, question)
            if task and asks:
                task.answered.set()
            return asks

    def stop(self, page: str, id: str) -> None:  # noqa: A002 - the message's own name
        """Stop a task, answer its question with no, or remove its line if it has ended."""
        with self._lock:
            task = self._all.get(id)
            if task is None or (task.state == "asking" and task.page != page):
                return
            task.stop.set()
            task.answered.set()
            if task.ended:
                del self._all[id]
            self.tell()

    def stop_all(self) -> None:
        """Stop all tasks."""
        for id in list(self._all):  # noqa: A001 - as above
            task = self._all[id]
            task.stop.set()
            task.answered.set()

    def tell(self) -> None:
        """Send all lines to the browser."""
        with self._lock:
            self._sent_at = time.monotonic()
            over = [
                task.id
                for task in self._all.values()
                if task.state == "done" and self._sent_at > task.ended_at + DONE_FOR
            ]
            for id in over:  # noqa: A001 - as above
                del self._all[id]
            self._send({"type": "tasks", "tasks": [task.values() for task in self._all.values()]})


class Deleting(Protocol):
    """Callback after a deletion."""

    def __call__(self, chosen: Sequence[Chosen], objects: SeenObjects, *, whole: bool) -> None:
        """Handle it; `whole` is true if all objects are gone, false if some may remain."""


DELETE_AT_MOST = 10_000
_NAMED = 3
_FAILURES_SHOWN = 20


class Deletions:
    """Deletions under way.

    Args:
        objects: access to single objects.
        tasks: shows and confirms them.
        deleted: called after each deletion.
    """

    def __init__(self, objects: ObjectAccess, tasks: TaskList, deleted: Deleting) -> None:
        self._objects = objects
        self._tasks = tasks
        self._deleted = deleted

    def begin(self, page: str, id: str, chosen: Sequence[Chosen]) -> None:  # noqa: A002 - the message's own name
        """Count the selected objects, ask for confirmation, and delete them."""
        task = self._tasks.begin(page, id, "delete", _names(chosen), text="Counting…")
        if task:
            work = Work[None](lambda _: self._run(task, chosen))
            work.start(lambda _: None, lambda error: self._tasks.fail(task, error))

    def _run(self, task: Task, chosen: Sequence[Chosen]) -> None:
        if refusal := self._refusal(chosen):
            self._tasks.change(task, state="failed", text=refusal)
            return
        objects = self._objects.find(chosen, DELETE_AT_MOST, task.stop.is_set)
        if task.stop.is_set():
            self._tasks.call_off(task)
        elif not objects.complete:
            text = f"More than {DELETE_AT_MOST:,} objects: nothing was deleted"
            hint = "So many are better deleted by a lifecycle rule, or by a script that can be repeated."
            self._tasks.change(task, state="failed", text=text, hint=hint)
        elif not len(objects):
            self._tasks.change(task, state="done", text="There is nothing to delete")
        elif self._ask(task, chosen, objects):
            self._delete(task, chosen, objects)

    def _ask(self, task: Task, chosen: Sequence[Chosen], objects: SeenObjects) -> bool:
        versioning = {self._objects.versioning(replace(chosen[0].location, bucket=bucket)) for bucket in objects.keys}
        uris = [Location(bucket, key).uri for bucket, keys in objects.keys.items() for key in keys]
        text = f"{_question(chosen, objects)} {_consequences(versioning, len(objects))}"
        return self._tasks.ask(task, text, f"Delete {counted(len(objects), 'object')}", [visible(uri) for uri in uris])

    def _refusal(self, chosen: Sequence[Chosen]) -> str:
        if not chosen:
            return "Choose the objects or folders to delete"
        if any(not each.location.key for each in chosen):
            return "A whole bucket is not deleted here: choose objects or folders"
        return next(filter(None, (self._objects.refuses_writes(each.location) for each in chosen)), "")

    def _delete(self, task: Task, chosen: Sequence[Chosen], objects: SeenObjects) -> None:
        near = chosen[0].location
        total, deleted, missing = len(objects), 0, 0
        failures: dict[str, str] = {}
        self._tasks.change(task, total=total)
        try:
            for outcome in self._objects.delete(objects, near, task.stop.is_set):
                deleted, missing = deleted + outcome.count, missing + outcome.missing
                failures |= outcome.failures
                self._tasks.change(task, done=deleted)
        finally:
            self._deleted(chosen, objects, whole=deleted + missing == total and not failures)
        if failures:
            text = f"Deleted {deleted:,} of {counted(total, 'object')}"
            self._tasks.change(task, state="failed", text=text, hint=_failures(failures))
        elif deleted + missing == total:
            others = f"; {missing:,} {'was' if missing == 1 else 'were'} not there any more" if missing else ""
            self._tasks.change(task, state="done", text=f"Deleted {counted(deleted, 'object')}{others}")
        elif deleted:
            self._tasks.change(
                task, state="stopped", text=f"Stopped: {deleted:,} of {counted(total, 'object')} were deleted"
            )
        else:
            self._tasks.call_off(task)


def _names(chosen: Sequence[Chosen]) -> str:
    names = [f"{visible(each.location.name)}" for each in chosen[:_NAMED]]
    more = len(chosen) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def _question(chosen: Sequence[Chosen], objects: SeenObjects) -> str:
    folders = sum(each.is_prefix for each in chosen)
    inside = f", counted in {counted(folders, 'folder')}" if folders else ""
    size = f", {size_text(objects.bytes)}" if objects.bytes else ""
    return f"Delete {counted(len(objects), 'object')}{size}{inside}?"


def _consequences(versioning: set[str | None], count: int) -> str:
    """Return the consequences of deleting in buckets with these versioning states."""
    them, each = ("it", "it gets") if count == 1 else ("them", "each gets")
    if versioning == {"Enabled"}:
        return f"The bucket keeps versions: {each} a delete marker, and can be brought back."
    if versioning == {""}:
        return f"The bucket keeps no versions: nothing can bring {them} back."
    if "Suspended" in versioning:
        return "The bucket keeps no new versions: what was written since then is lost, older versions stay."
    return f"Whether the bucket keeps versions cannot be seen: only one that does can bring {them} back."


def _failures(failures: dict[str, str]) -> str:
    lines = [f"{visible(key)}: {visible(code)}" for key, code in list(failures.items())[:_FAILURES_SHOWN]]
    more = len(failures) - len(lines)
    return "Not deleted: " + "; ".join(lines) + (f" and {more:,} more" if more else "")
