"""A secret on its way to a worker. A `Secret` refuses to be pickled; this is the one place that lets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3conn_magic.secrets import Secret

_MASK = "<REDACTED>"


class Sealed:
    """A secret that may travel over a scheduler's connection. No form of it but the pickled one shows it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def open(self) -> Secret:
        """The secret."""
        return self._secret

    def __repr__(self) -> str:
        return _MASK

    def __reduce__(self) -> tuple[Any, ...]:
        return (_sealed, (self._secret.reveal(),))


def _sealed(text: str) -> Sealed:
    from s3conn_magic.secrets import Secret

    return Sealed(Secret(text))
