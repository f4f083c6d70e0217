"""`s3://bucket/key` and `s3://name@bucket/key`: the second is read through the connection `name`. Keys are exact."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from s3conn_magic.errors import S3ConnError
from s3conn_magic.locations import Location

_SCHEME = "s3://"
_GLOB = re.compile(r"[*?\[{]")
_SPECIAL = re.compile(r"[*?\[{}]")


@dataclass(frozen=True, slots=True)
class Path:
    """A location, and the name of the connection to reach it through; None for the session's own."""

    connection: str | None
    location: Location

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a path, with or without `s3://`.

        Raises:
            S3ConnError: it is none; the message says why.
        """
        rest = text.removeprefix(_SCHEME)
        bucket = rest.partition("/")[0]
        name, at, _ = bucket.rpartition("@")
        try:
            return cls(name if at else None, Location.parse(_SCHEME + rest[len(name) + len(at) :]))
        except ValueError as error:
            reason = str(error)
        raise S3ConnError(
            f"a path is not an S3 location: {reason}", hint="s3://bucket/key, or s3://connection@bucket/key."
        )

    @property
    def text(self) -> str:
        """The path without `s3://`, as fsspec names it."""
        return self.named(self.location.key)

    def named(self, key: str) -> str:
        """The path of another key of this bucket."""
        name = f"{self.connection}@" if self.connection is not None else ""
        return f"{name}{self.location.bucket}/{key}" if key else f"{name}{self.location.bucket}"

    def at(self, key: str) -> Path:
        """Another key of this bucket."""
        return Path(self.connection, Location(self.location.bucket, key))

    @property
    def has_wildcard(self) -> bool:
        """Whether the key could be a pattern."""
        return _GLOB.search(self.location.key) is not None


def escaped(key: str) -> str:
    """A pattern that only this key matches."""
    return _SPECIAL.sub(lambda found: f"[{found[0]}]", key)
