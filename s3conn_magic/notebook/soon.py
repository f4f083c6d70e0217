"""Answers that may take long: what has come in time is given, what comes late is kept for the next time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_MOST_KEPT = 500
_MOST_UNDER_WAY = 8


class _Answer:
    """One that is under way, or has come."""

    def __init__(self) -> None:
        self.asked_at = time.monotonic()
        self.came_at: float | None = None
        self.come = threading.Event()
        self.value: Any = None
        self.failed = False

    def find(self, work: Callable[[], Any]) -> None:
        try:
            self.value = work()
        except BaseException:  # noqa: BLE001 - whatever it is, there is nothing to offer
            self.failed = True
        self.came_at = time.monotonic()
        self.come.set()


class Soon:
    """Runs work in daemon threads, and waits for each answer for a moment only.

    Args:
        wait: seconds from the beginning of the work in which its answer is waited for.
        keep: seconds an answer is good for.
        keep_failure: seconds until work that failed is tried again.
    """

    def __init__(self, *, wait: float = 0.2, keep: float = 60.0, keep_failure: float = 10.0) -> None:
        self._wait = wait
        self._keep = keep
        self._keep_failure = keep_failure
        self._answers: dict[Hashable, _Answer] = {}
        self._lock = threading.Lock()

    def kept(self, key: Hashable) -> Any:
        """The answer, if it is there already; else None."""
        answer = self._answers.get(key)
        return answer.value if answer and answer.come.is_set() and not self._is_old(answer) else None

    def ask(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """The answer, if it is there or comes in time; else None. Work on the same key is not begun twice."""
        with self._lock:
            answer = self._answers.get(key)
            if answer is None or self._is_old(answer):
                answer = self._begin(key, work)
        if answer is None:
            return None
        answer.come.wait(max(0.0, answer.asked_at + self._wait - time.monotonic()))
        return answer.value if answer.come.is_set() else None

    def _is_old(self, answer: _Answer) -> bool:
        keep = self._keep_failure if answer.failed else self._keep
        return answer.came_at is not None and time.monotonic() > answer.came_at + keep

    def _begin(self, key: Hashable, work: Callable[[], Any]) -> _Answer | None:
        """Begin the work, unless too much is under way."""
        self._forget()
        if sum(not one.come.is_set() for one in self._answers.values()) >= _MOST_UNDER_WAY:
            return None
        answer = self._answers[key] = _Answer()
        threading.Thread(target=answer.find, args=(work,), name="s3conn_magic completion", daemon=True).start()
        return answer

    def _forget(self) -> None:
        """Let go of what is old, and of the oldest of too many."""
        for key in [key for key, one in self._answers.items() if self._is_old(one)]:
            del self._answers[key]
        for key in [*self._answers][: max(0, len(self._answers) - _MOST_KEPT)]:
            del self._answers[key]
