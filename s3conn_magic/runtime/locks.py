"""Locks, and what else a forked child makes anew."""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Renewed(Protocol):
    """Something that a forked child makes anew."""

    def renew(self) -> None:
        """Called in the child, before anything else uses it."""


def new_lock() -> threading.Lock:
    """A lock that is free in a forked child, though a thread of the parent held it.

    It is Python's own, which no interrupt finds between taken and noted: one with methods of ours would stay taken.
    """
    lock = threading.Lock()
    _locks.add(lock)
    return lock


# Weak, so that a connection that was dropped can go.
_living: WeakSet[Renewed] = WeakSet()
_locks: WeakSet[threading.Lock] = WeakSet()


def renew_in_child(one: Renewed) -> None:
    """Have `renew` called in every forked child for as long as the object lives."""
    _living.add(one)


def _renew_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - as the standard library's own do
    for each in list(_living):
        each.renew()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew_all)
