"""A value that cannot be printed, serialised or looked into by accident."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NoReturn, Self, SupportsIndex

if TYPE_CHECKING:
    from collections.abc import Callable

MASK = "<REDACTED>"
"""Stands for a secret; no option takes it as one."""


class Secret:
    """A secret text.

    It has no printed, pickled or JSON form, compares in constant time, and gives its value only by `reveal()`.
    Copies are the object itself.
    """

    __slots__ = ("_open",)
    _open: Callable[[], str]

    def __init__(self, value: str) -> None:
        # A closure keeps the text out of the slots that debuggers and `inspect` walk.
        object.__setattr__(self, "_open", lambda: value)

    def reveal(self) -> str:
        """The secret itself, to hand to the library that signs with it and to nothing else."""
        return self._open()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(*(one.reveal().encode("utf-8", "surrogatepass") for one in (self, other)))

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
