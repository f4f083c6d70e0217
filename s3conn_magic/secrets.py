"""Hide texts: secrets, their masked form, and their sealed form on the way to a worker.

MASK               shown in place of a secret
Secret             a text that cannot be printed, serialised or looked into by accident
SecretText         a `str` for libraries, whose repr is another text; `StorageOptions`: a dict of them
keyring_password   a secret of the operating system's keyring
seal, unseal       encrypt secrets for a worker with a one-time pad
give, opened, …    the pads on a worker, each kept while its client sends signs of life
"""

from __future__ import annotations

import gc
import hmac
import json
import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self, SupportsIndex

from s3conn_magic.errors import pip_install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["MASK", "SecretText", "StorageOptions"]

MASK = "<REDACTED>"
"""Shown in place of a secret; no option accepts it as a value."""


class Secret:
    """A secret text.

    It has no printed, pickled or JSON form, compares in constant time, and gives its value only through `reveal()`.
    Copies are the object itself.
    """

    __slots__ = ("_open",)
    _open: Callable[[], str]

    def __init__(self, value: str) -> None:
        # A closure keeps the text out of the slots that debuggers and `inspect` walk.
        object.__setattr__(self, "_open", lambda: value)

    def reveal(self) -> str:
        """Return the secret itself, only for the library that signs with it."""
        return self._open()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(*(secret.reveal().encode("utf-8", "surrogatepass") for secret in (self, other)))

    def __hash__(self) -> int:
        return hash(Secret)

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return True

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def keyring_password(service: str, user: str) -> str:
    """Return a password of the keyring.

    Raises:
        LookupError: the keyring package or the password is missing.
    """
    try:
        import keyring
    except ImportError:
        reason = f"KEYRING needs the keyring package: {pip_install('keyring')}"
    else:
        password, reason = _password(keyring.get_password, service, user)
        if password is not None:
            return password
    raise LookupError(reason)


def _password(get: Callable[[str, str], str | None], service: str, user: str) -> tuple[str | None, str]:
    try:
        return get(service, user), "the keyring has no password of that service and user"
    except Exception as error:  # noqa: BLE001 - each backend has its own errors
        return None, f"the keyring cannot be read ({type(error).__name__})"


class SecretText(str):
    """A `str` for every library whose repr is another text; `str()` and `print` show the real one."""

    __slots__ = ("_shown",)
    _shown: str

    def __new__(cls, text: str, shown: str = MASK) -> Self:
        """Return the text, with `shown` as its repr."""
        instance = super().__new__(cls, text)
        instance._shown = shown
        return instance

    def __repr__(self) -> str:
        return self._shown

    def __reduce__(self) -> tuple[Any, ...]:
        return SecretText, (str.__str__(self), self._shown)


class StorageOptions(dict[str, Any]):
    """Options for a library's `storage_options`, whose printed form masks secrets.

    Attributes:
        credential_provider: for libraries that request credentials when they need them, or None.
        expires_at: UTC time at which the credentials in it expire; None if they do not, or if a provider gives them.
    """

    def __init__(self, options: Any = (), *, credential_provider: Any = None, expires_at: Any = None) -> None:
        super().__init__(options)
        self.credential_provider = credential_provider
        self.expires_at = expires_at

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {value!r}' for name, value in self.items())}}}"

    def copy(self) -> StorageOptions:
        """Return a copy."""
        return StorageOptions(self, credential_provider=self.credential_provider, expires_at=self.expires_at)

    def __reduce__(self) -> tuple[Any, ...]:
        # The provider refers to the connection, which is not pickled.
        return StorageOptions, (dict(self),)


LEASE = 60.0
"""Seconds that a worker keeps a pad after it last heard from its client."""


class NotGivenError(Exception):
    """This worker has no pad for a task: it is new, or its client was silent for too long."""


def seal(values: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return the values encrypted with a one-time pad, and the pad."""
    data = json.dumps(dict(values)).encode()
    pad = secrets.token_bytes(len(data))
    return _xor(data, pad), pad


def _xor(left: bytes, right: bytes) -> bytes:
    size = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(size, "big")


def unseal(sealed: bytes, pad: bytes) -> dict[str, Secret]:
    """Return the decrypted values."""
    return {name: Secret(value) for name, value in json.loads(_xor(sealed, pad)).items()}


class _Droppable(Protocol):
    def drop(self) -> None: ...


class _Given:
    """A pad on a worker, and the connection opened with it."""

    def __init__(self, mark: str, pad: bytes) -> None:
        self.pad = pad
        self._mark = mark
        self._connection: _Droppable | None = None
        self._users = 0
        self._leaving = False
        self._lock = threading.Lock()
        self.renew()

    def renew(self) -> None:
        """Start the lease again."""
        self._timer = threading.Timer(LEASE, _expire, (self._mark, self))
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """End the lease."""
        self._timer.cancel()

    @contextmanager
    def using(self, make: Callable[[bytes], _Droppable]) -> Iterator[_Droppable]:
        """Hold the connection, made at first use; it stays open while used, even if the lease ends."""
        with self._lock:
            self._connection = self._connection or make(self.pad)
            self._users += 1
            connection = self._connection
        try:
            yield connection
        finally:
            with self._lock:
                self._users -= 1
                over = self._leaving and not self._users
            if over:
                self.drop()

    def leave(self) -> None:
        """Drop the connection once nobody uses it."""
        with self._lock:
            self._leaving = True
            over = not self._users
        if over:
            self.drop()

    def drop(self) -> None:
        """Drop the connection, even if it is in use."""
        connection, self._connection, self.pad = self._connection, None, b""
        if connection is not None:
            connection.drop()


_given: dict[str, _Given] = {}
_lock = threading.Lock()


def give(pads: Sequence[tuple[str, bytes]]) -> None:
    """On a worker: keep pads by their marks; renew the lease of those already there."""
    with _lock:
        for mark, pad in pads:
            given = _given.get(mark)
            if given is None:
                _given[mark] = _Given(mark, pad)
            else:
                given.stop()
                given.renew()


def forget(marks: Sequence[str]) -> None:
    """On a worker: drop the pads and connections of these marks; tasks that still use them fail."""
    with _lock:
        given = [pad for mark in marks if (pad := _given.pop(mark, None)) is not None]
    for pad in given:
        pad.stop()
        pad.drop()
    if given:
        gc.collect()  # clients are in reference cycles


def _expire(mark: str, given: _Given) -> None:
    with _lock:
        if _given.get(mark) is given:
            del _given[mark]
    given.leave()


@contextmanager
def opened(mark: str, make: Callable[[bytes], _Droppable]) -> Iterator[Any]:
    """On a worker: hold the connection opened with a pad.

    Raises:
        NotGivenError: there is no pad.
    """
    with _lock:
        given = _given.get(mark)
    if given is None:
        raise NotGivenError
    with given.using(make) as connection:
        yield connection
