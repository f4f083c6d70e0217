"""Texts and mappings that hold a secret, and do not show it by their printed form."""

from __future__ import annotations

from typing import Any, Self

MASK = "<REDACTED>"


class SecretText(str):
    """A text whose printed form is another one. It is a `str` for every library; `str()` and `print` give it away."""

    __slots__ = ("_shown",)
    _shown: str

    def __new__(cls, text: str, shown: str = MASK) -> Self:
        """A text, and what its printed form is."""
        made = super().__new__(cls, text)
        made._shown = shown
        return made

    def __repr__(self) -> str:
        return self._shown

    def __reduce__(self) -> tuple[Any, ...]:
        return SecretText, (str.__str__(self), self._shown)


class StorageOptions(dict[str, Any]):
    """Options for a library's `storage_options`, whose printed form masks what is secret.

    Attributes:
        credential_provider: for libraries that ask for credentials when they need them, or None.
        expires_at: UTC, when the credentials in it end, or None where they do not, or are asked for.
    """

    def __init__(self, options: Any = (), *, credential_provider: Any = None, expires_at: Any = None) -> None:
        super().__init__(options)
        self.credential_provider = credential_provider
        self.expires_at = expires_at

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {value!r}' for name, value in self.items())}}}"

    def copy(self) -> StorageOptions:
        """The same options."""
        return StorageOptions(self, credential_provider=self.credential_provider, expires_at=self.expires_at)

    def __reduce__(self) -> tuple[Any, ...]:
        # The provider leads to the connection, which stays where it is.
        return StorageOptions, (dict(self),)


__all__ = ["MASK", "SecretText", "StorageOptions"]
