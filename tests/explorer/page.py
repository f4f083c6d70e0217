"""An explorer without a browser: what a page would send and get."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from s3conn_magic.explorer.messages import ANSWERS, REQUESTS, fault, shown_name, where
from s3conn_magic.explorer.widget import Explorer

if TYPE_CHECKING:
    from collections.abc import Callable


class Page(Explorer):
    """An explorer that keeps its messages.

    Attributes:
        got: every message so far, each with its buffers under `buffers`.
        wrong: what of them is not as the table of messages says.
        takes: whether it says that it has all of a file, as a page does that is not closed.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.got: list[dict[str, Any]] = []
        self.wrong: list[str] = []
        self.takes = True
        self._news = threading.Condition()
        self._serial = 0
        super().__init__(*args, **options)

    def send(self, content: Any, buffers: Any = None) -> None:
        """Keep a message."""
        message = json.loads(content["json"])
        fields = {name: value for name, value in message.items() if name != "type"}
        with self._news:
            if wrong := fault(fields, ANSWERS[message["type"]]):
                self.wrong.append(f"{message['type']}: {wrong}")
            self.got.append({**message, "buffers": buffers or []})
            if self.got[-1]["type"] == "panel":
                self._serial = self.got[-1]["serial"]
            self._news.notify_all()
        if message["type"] == "piece" and message["done"] and self.takes:
            self.do("taken", id=message["id"], size=message["at"])

    def do(self, type: str, *buffers: bytes, **what: Any) -> None:  # noqa: A002 - the message's own name
        """Send what a page would send; what it would name of what it shows is named as it is now, if not given."""
        if "serial" in REQUESTS.get(type, {}):
            what = {"serial": self._serial, **what}
        if type in {"download", "zip"}:
            what = {"save": False, **what}
        if type == "at":
            what = {"mode": "one", **what}
        if type == "upload":
            what = {"here": where(self._navigator.cursor.location), **what}
        if type == "confirm" and "question" not in what:
            what["question"] = self.task(what["id"], "asking")["question"]
        self._receive(self, {"type": type, **what}, list(buffers))

    def until(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first message of that kind, when it has come."""
        with self._news:
            assert self._news.wait_for(lambda: any(map(wanted, self.got)), timeout=20), self.got[-3:]
            assert not self.wrong
            return next(filter(wanted, self.got))

    def part(self, name: str) -> dict[str, Any]:
        """What the panel was last told under a name, when nothing more is looked for."""
        return self.until(lambda one: one["type"] == name and not one.get("busy"))

    def last(self, type: str) -> dict[str, Any]:  # noqa: A002
        """The latest message of a type."""
        return [message for message in self.got if message["type"] == type][-1]

    def place(self, name: str) -> list[int]:
        """The place of the row with this shown name."""
        tree = self._navigator.tree
        with self._navigator.lock:
            lines = [line for line in tree.lines(0, len(tree)) if line.row >= 0]
        return list(next(line.place for line in lines if shown_name(line.folder, line.row) == name))

    def names(self) -> list[str]:
        """The shown names of all rows."""
        tree = self._navigator.tree
        with self._navigator.lock:
            return [shown_name(line.folder, line.row) for line in tree.lines(0, len(tree)) if line.row >= 0]

    def shows(self, *names: str) -> bool:
        """Whether the shown names of all rows become these, in any order."""
        # Not in `until`: with the news at hand one must not wait for the tree, nor the other way round.
        deadline = time.monotonic() + 20
        while sorted(self.names()) != sorted(names) and time.monotonic() < deadline:
            with self._news:
                self._news.wait(0.05)
        return sorted(self.names()) == sorted(names)

    def settled(self) -> Page:
        """Wait until nothing is listed any more."""
        self.until(lambda _: not self._navigator.busy)
        return self

    def enter(self, *names: str) -> Page:
        """Open these folders, one after the other."""
        for name in names:
            self.do("toggle", place=self.place(name))
            with self._news:
                assert self._news.wait_for(lambda: not self._navigator.busy, timeout=20)
        return self

    def show(self, name: str) -> Page:
        """Show a row in the panel, and wait until everything about it is there."""
        self.got.clear()
        self.do("show", place=self.place(name))
        self.until(lambda one: one["type"] == "preview" and not one.get("busy"))
        return self

    def choose(self, *names: str, page: str = "") -> Page:
        """Choose these rows."""
        for at, name in enumerate(names):
            self.do("at", place=self.place(name), mode="toggle" if at else "one", page=page)
        return self

    def asked(self, id: str) -> list[str]:  # noqa: A002
        """Everything that the line of that id asks about, as a page would show it."""
        question = self.task(id, "asking")["question"]
        parts = [one for one in self.got if one["type"] == "asked" and one["question"] == question]
        names = [name for one in parts for name in one["names"]]
        assert [one["from"] for one in parts] == [
            sum(len(each["names"]) for each in parts[:at]) for at in range(len(parts))
        ]
        return names

    def gone(self, id: str) -> None:  # noqa: A002
        """Wait until there is no line of that id any more."""
        with self._news:
            assert self._news.wait_for(
                lambda: id not in [each["id"] for each in self.last("tasks")["tasks"]], timeout=20
            )

    def task(self, id: str, state: str) -> dict[str, Any]:  # noqa: A002
        """The line of that id, when it is in that state."""

        def found(one: dict[str, Any]) -> list[Any]:
            lines = one.get("tasks", [])
            return [line for line in lines if line["id"] == id and line["state"] == state]

        return found(self.until(found))[0]

    def upload(self, id: str, name: str, data: bytes, piece: int = 1024 * 1024) -> None:  # noqa: A002
        """Send a file as a page does: no more pieces than there is credit for."""
        self.do("upload", id=id, name=name, size=len(data), mime="text/plain")
        for number, at in enumerate(range(0, len(data), piece)):
            self.until(lambda one, n=number: any(t["id"] == id and t["credit"] > n for t in one.get("tasks", [])))
            self.do("chunk", data[at : at + piece], id=id, at=at)
