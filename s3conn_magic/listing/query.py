"""One request of a listing: what is asked, and the parameters that ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3conn_magic.listing.target import Query

PAGE_KEYS = 1000
"""Most keys that a page of S3 holds."""

_MARKERS = "\0"


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What one page is asked for.

    Attributes:
        prefix: every key of the page begins with it.
        delimiter: keys are grouped at its first occurrence after the prefix; empty for no grouping.
        token: continues after the page that gave it.
        start_after: the page begins after this key; not with a token.
        max_keys: most rows of the page.
        versions: ask for versions and delete markers.
        encoded: ask for percent-encoded keys, which every key survives.
    """

    prefix: str = ""
    delimiter: str = ""
    token: str | None = None
    start_after: str | None = None
    max_keys: int = PAGE_KEYS
    versions: bool = False
    encoded: bool = True

    def parameters(self) -> Query:
        """The query parameters of the request, in order."""
        query = [("versions", "")] if self.versions else [("list-type", "2")]
        query += [("prefix", self.prefix)]
        query += [("delimiter", self.delimiter)] if self.delimiter else []
        query += [("max-keys", str(self.max_keys))]
        query += [("encoding-type", "url")] if self.encoded else []
        return query + self._position()

    def _position(self) -> list[tuple[str, str]]:
        if self.versions:
            return _version_markers(self.token)
        if self.token is not None:
            return [("continuation-token", self.token)]
        return [("start-after", self.start_after)] if self.start_after else []


def join_markers(key: str, version: str | None) -> str:
    """The two markers that continue a listing of versions, as one token."""
    return f"{version or ''}{_MARKERS}{key}"


def split_markers(token: str) -> tuple[str, str]:
    """Key and version id of a token made by `join_markers`."""
    version, _, key = token.partition(_MARKERS)
    return key, version


def _version_markers(token: str | None) -> list[tuple[str, str]]:
    if token is None:
        return []
    key, version = split_markers(token)
    return [("key-marker", key)] + ([("version-id-marker", version)] if version else [])
