"""Deleting what is chosen: count first, ask by naming each key, and delete exactly what was asked about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from s3conn_magic.locations import Location, visible
from s3conn_magic.sizes import size_text
from s3conn_magic.views.explorer.background import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3conn_magic.objects.uploads import Chosen, Found
    from s3conn_magic.views.explorer.model import Objects
    from s3conn_magic.views.explorer.tasks import Task, Tasks

DELETE_AT_MOST = 10_000
_NAMED = 3
_FAILURES_SHOWN = 20


class Deletions:
    """Deletions under way.

    Args:
        objects: finds and deletes.
        tasks: where they are shown and confirmed.
        deleted: called with what is gone.
    """

    def __init__(self, objects: Objects, tasks: Tasks, deleted: Callable[[Found], None]) -> None:
        self._objects = objects
        self._tasks = tasks
        self._deleted = deleted

    def begin(self, page: str, id: str, chosen: Sequence[Chosen]) -> None:  # noqa: A002 - the message's own name
        """Count what these stand for, ask, and delete it."""
        task = self._tasks.begin(page, id, "delete", _names(chosen), text="Counting…")
        if task:
            work = Work[None](lambda _: self._run(task, chosen))
            work.start(lambda _: None, lambda error: self._tasks.fail(task, error))

    def _run(self, task: Task, chosen: Sequence[Chosen]) -> None:
        if refusal := self._refusal(chosen):
            self._tasks.change(task, state="failed", text=refusal)
            return
        found = self._objects.find(chosen, DELETE_AT_MOST, task.stop.is_set)
        if task.stop.is_set():
            self._tasks.call_off(task)
        elif not found.complete:
            text = f"More than {DELETE_AT_MOST:,} objects: nothing was deleted"
            hint = "So many are better deleted by a lifecycle rule, or by a script that can be repeated."
            self._tasks.change(task, state="failed", text=text, hint=hint)
        elif not len(found):
            self._tasks.change(task, state="done", text="There is nothing to delete")
        elif self._ask(task, chosen, found):
            self._delete(task, found, chosen[0].location)

    def _ask(self, task: Task, chosen: Sequence[Chosen], found: Found) -> bool:
        kept = {self._objects.versioning(replace(chosen[0].location, bucket=bucket)) for bucket in found.keys}
        uris = [Location(bucket, key).uri for bucket, keys in found.keys.items() for key in keys]
        text = f"{_question(chosen, found)} {_meaning(kept, len(found))}"
        return self._tasks.ask(task, text, f"Delete {_objects(len(found))}", [visible(uri) for uri in uris])

    def _refusal(self, chosen: Sequence[Chosen]) -> str:
        if not chosen:
            return "Choose the objects or folders to delete"
        if any(not one.location.key for one in chosen):
            return "A whole bucket is not deleted here: choose objects or folders"
        return next(filter(None, (self._objects.refuses_writes(one.location) for one in chosen)), "")

    def _delete(self, task: Task, found: Found, near: Location) -> None:
        total, gone, missing = len(found), 0, 0
        failures: dict[str, str] = {}
        self._tasks.change(task, total=total)
        try:
            for outcome in self._objects.delete(found, near, task.stop.is_set):
                gone, missing = gone + outcome.count, missing + outcome.missing
                failures |= outcome.failures
                self._tasks.change(task, done=gone)
        finally:
            self._deleted(found)
        if failures:
            text = f"Deleted {gone:,} of {_objects(total)}"
            self._tasks.change(task, state="failed", text=text, hint=_failures(failures))
        elif gone + missing == total:
            others = f"; {missing:,} {'was' if missing == 1 else 'were'} not there any more" if missing else ""
            self._tasks.change(task, state="done", text=f"Deleted {_objects(gone)}{others}")
        elif gone:
            self._tasks.change(task, state="stopped", text=f"Stopped: {gone:,} of {_objects(total)} were deleted")
        else:
            self._tasks.call_off(task)


def _objects(count: int) -> str:
    return f"{count:,} object{'' if count == 1 else 's'}"


def _names(chosen: Sequence[Chosen]) -> str:
    names = [f"{visible(one.location.name)}" for one in chosen[:_NAMED]]
    more = len(chosen) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def _question(chosen: Sequence[Chosen], found: Found) -> str:
    folders = sum(one.is_prefix for one in chosen)
    inside = f", counted in {folders:,} folder{'' if folders == 1 else 's'}" if folders else ""
    size = f", {size_text(found.bytes)}" if found.bytes else ""
    return f"Delete {_objects(len(found))}{size}{inside}?"


def _meaning(versioning: set[str | None], count: int) -> str:
    """What it means to delete in buckets that keep versions like this."""
    them, each = ("it", "it gets") if count == 1 else ("them", "each gets")
    if versioning == {"Enabled"}:
        return f"The bucket keeps versions: {each} a delete marker, and what there was can be brought back."
    if versioning == {""}:
        return f"The bucket keeps no versions: nothing can bring {them} back."
    if "Suspended" in versioning:
        return "The bucket keeps no new versions: what was written since then is lost, older versions stay."
    return f"Whether the bucket keeps versions cannot be seen: only one that does can bring {them} back."


def _failures(failures: dict[str, str]) -> str:
    shown = [f"{visible(key)}: {visible(code)}" for key, code in list(failures.items())[:_FAILURES_SHOWN]]
    more = len(failures) - len(shown)
    return "Not deleted: " + "; ".join(shown) + (f" and {more:,} more" if more else "")
