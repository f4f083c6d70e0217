"""What is under way beside the tree: uploads, downloads and deletions, each with a line of its own below the rows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from s3conn_magic.views.explorer.details import error_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.errors import S3ConnError

State = Literal["working", "asking", "done", "failed", "stopped"]
_ENDED = ("done", "failed", "stopped")
_NEWS_EVERY = 0.1
"""Seconds between two reports of mere progress."""
_KEPT = 30
"""Lines of tasks that have ended, the oldest of which go first."""


@dataclass(eq=False)
class Task:
    """One line.

    Attributes:
        id: given by the browser.
        kind: `upload`, `download` or `delete`.
        name: of what, in its visible form.
        text: how it stands, or what is asked.
        confirm: the label of the button that answers what is asked.
        done: bytes or objects so far, of `total`.
        credit: pieces that the browser may have sent so far.
    """

    id: str
    kind: str
    name: str
    state: State = "working"
    text: str = ""
    hint: str = ""
    confirm: str = ""
    done: int = 0
    total: int = 0
    credit: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)

    def values(self) -> dict[str, Any]:
        """What the browser is told."""
        names = ("id", "kind", "name", "state", "text", "hint", "confirm", "done", "total", "credit")
        return {name: getattr(self, name) for name in names}

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in _ENDED


class Tasks:
    """All lines, told to the browser whenever one changes.

    Args:
        send: sends a message.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._lock = threading.RLock()
        self._all: dict[str, Task] = {}
        self._told = 0.0

    def begin(self, id: str, kind: str, name: str, **values: Any) -> Task | None:  # noqa: A002 - the message's own name
        """A new line; None when there is one of that id."""
        with self._lock:
            if id in self._all:
                return None
            task = self._all[id] = Task(id, kind, name, **values)
            ended = [each for each in self._all.values() if each.ended]
            for old in ended[: max(len(ended) - _KEPT, 0)]:
                del self._all[old.id]
            self.tell()
            return task

    def find(self, id: str) -> Task | None:  # noqa: A002 - the message's own name
        """The line of that id."""
        return self._all.get(id)

    def change(self, task: Task, **values: Any) -> None:
        """Change a line that has not ended."""
        with self._lock:
            if task.ended:
                return
            for name, value in values.items():
                setattr(task, name, value)
            if values.keys() - {"done"} or time.monotonic() - self._told > _NEWS_EVERY:
                self.tell()

    def fail(self, task: Task, error: S3ConnError) -> None:
        """End a line with an error, or as stopped when that is why."""
        if task.stop.is_set():
            self.change(task, state="stopped", text="Stopped")
        else:
            said = error_values(error)
            self.change(task, state="failed", text=said["message"], hint=said["hint"], confirm="")

    def ask(self, task: Task, text: str, confirm: str) -> bool:
        """Ask the user, and wait for the answer; False also when the explorer is closed."""
        task.answered.clear()
        self.change(task, state="asking", text=text, confirm=confirm)
        task.answered.wait()
        if task.stop.is_set():
            self.change(task, state="stopped", text="Not done")
            return False
        self.change(task, state="working", text="", confirm="")
        return True

    # What the user does

    def confirm(self, id: str) -> None:  # noqa: A002 - the message's own name
        """Say yes to what a line asks."""
        task = self._all.get(id)
        if task and task.state == "asking":
            task.answered.set()

    def stop(self, id: str) -> None:  # noqa: A002 - the message's own name
        """Stop a line, say no to what it asks, or take one that has ended away."""
        with self._lock:
            if task := self._all.get(id):
                task.stop.set()
                task.answered.set()
                if task.ended:
                    del self._all[id]
                self.tell()

    def stop_all(self) -> None:
        """Stop everything."""
        for id in list(self._all):  # noqa: A001 - as above
            task = self._all[id]
            task.stop.set()
            task.answered.set()

    def tell(self) -> None:
        """Tell the browser."""
        with self._lock:
            self._told = time.monotonic()
            self._send({"type": "tasks", "tasks": [task.values() for task in self._all.values()]})
