"""Credentials on their way to a worker, in two parts that tell nothing apart from each other.

A task holds them under a pad: as many random bytes, used once. The pad goes to workers in a message of its own, and to
those only that were checked. There it is kept in memory until the statement ends, or until nothing was heard of its
client for a while. So no message shows them, and a worker that logs a task which it cannot read logs random bytes.
"""

from __future__ import annotations

import gc
import json
import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from s3conn_magic.connections.connection import Connection

LEASE = 60.0
"""Seconds that a worker keeps a pad without hearing of its client."""


class NotGivenError(Exception):
    """This worker has no pad for a task: it is new, or the client was silent for too long."""


def seal(values: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Values under a pad, and the pad."""
    data = json.dumps(dict(values)).encode()
    pad = secrets.token_bytes(len(data))
    return _joined(data, pad), pad


def _joined(left: bytes, right: bytes) -> bytes:
    size = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(size, "big")


def unseal(sealed: bytes, pad: bytes) -> dict[str, Secret]:
    """The values, each as a secret."""
    return {name: Secret(value) for name, value in json.loads(_joined(sealed, pad)).items()}


class _Given:
    """A pad on a worker, and the connection that was made with it."""

    def __init__(self, mark: str, pad: bytes) -> None:
        self.pad = pad
        self._mark = mark
        self._connection: Connection | None = None
        self._users = 0
        self._left = False
        self._lock = threading.Lock()
        self.renew()

    def renew(self) -> None:
        """Begin the lease anew."""
        self._timer = threading.Timer(LEASE, _lapse, (self._mark, self))
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """End the lease."""
        self._timer.cancel()

    @contextmanager
    def using(self, make: Callable[[bytes], Connection]) -> Iterator[Connection]:
        """The connection, made once; it lasts as long as it is used, though the lease ends meanwhile."""
        with self._lock:
            self._connection = self._connection or make(self.pad)
            self._users += 1
            connection = self._connection
        try:
            yield connection
        finally:
            with self._lock:
                self._users -= 1
                over = self._left and not self._users
            if over:
                self.drop()

    def leave(self) -> None:
        """Drop the connection as soon as nobody uses it."""
        with self._lock:
            self._left = True
            over = not self._users
        if over:
            self.drop()

    def drop(self) -> None:
        """Drop the connection, whoever uses it."""
        connection, self._connection, self.pad = self._connection, None, b""
        if connection is not None:
            connection.drop()


_given: dict[str, _Given] = {}
_lock = threading.Lock()


def give(pads: Sequence[tuple[str, bytes]]) -> None:
    """On a worker: keep pads, by the marks of what they open; of those that are there, the lease begins anew."""
    with _lock:
        for mark, pad in pads:
            found = _given.get(mark)
            if found is None:
                _given[mark] = _Given(mark, pad)
            else:
                found.stop()
                found.renew()


def forget(marks: Sequence[str]) -> None:
    """On a worker: keep nothing of them, and have what still runs with them fail."""
    with _lock:
        found = [one for mark in marks if (one := _given.pop(mark, None)) is not None]
    for one in found:
        one.stop()
        one.drop()
    if found:
        gc.collect()  # clients and what they were made of refer to each other


def _lapse(mark: str, found: _Given) -> None:
    with _lock:
        if _given.get(mark) is found:
            del _given[mark]
    found.leave()


@contextmanager
def opened(mark: str, make: Callable[[bytes], Connection]) -> Iterator[Any]:
    """On a worker: the connection that a pad opens.

    Raises:
        NotGivenError: there is no pad.
    """
    with _lock:
        found = _given.get(mark)
    if found is None:
        raise NotGivenError
    with found.using(make) as connection:
        yield connection
