"""What a forked child must have to itself: locks that nobody there would release, and sockets the parent reads from."""

from __future__ import annotations

import os
import threading
from typing import Protocol, Self
from weakref import WeakSet


class Renewed(Protocol):
    """Something that a forked child makes anew."""

    def renew(self) -> None:
        """Called in the child, before anything else uses it."""


class Lock:
    """A lock that is free in a forked child, though a thread of the parent held it."""

    def __init__(self) -> None:
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Begin with a free lock."""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()


# Weak, so that a connection that was dropped can go.
_living: WeakSet[Renewed] = WeakSet()


def renew_in_child(one: Renewed) -> None:
    """Have `renew` called in every forked child for as long as the object lives."""
    _living.add(one)


def _renew_all() -> None:
    for one in list(_living):
        one.renew()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew_all)
