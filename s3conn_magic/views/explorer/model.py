"""What the explorer asks for, and what it is given: a plain function lists the children of a location."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from s3conn_magic.locations import Location


@dataclass(frozen=True, slots=True)
class Entry:
    """One row.

    Attributes:
        location: the exact place.
        is_prefix: a bucket or a folder, which can be opened.
        size: bytes, or None where there is none.
        last_modified: with a time zone; one without is taken as UTC.
        etag: as the server gave it.
        storage_class: such as `STANDARD`.
    """

    location: Location
    is_prefix: bool = False
    size: int | None = None
    last_modified: datetime | None = None
    etag: str | None = None
    storage_class: str | None = None


@dataclass(frozen=True, slots=True)
class Children:
    """One page of entries, and the token of the next page: None when there is no more."""

    entries: Sequence[Entry]
    token: str | None = None


class ChildrenOf(Protocol):
    """Lists one page of what lies directly below a location."""

    def __call__(
        self, location: Location | None, token: str | None, *, starting_with: str = "", cancelled: Callable[[], bool]
    ) -> Children:
        """List one page.

        Called in background threads, for several locations at once.

        Args:
            location: a bucket or a key prefix (with or without a trailing `/`: the key is the request's prefix as it
                is); None asks for the roots, which are the display filters or the buckets.
            token: None for the first page, else the token of the page before.
            starting_with: text that follows the location's key in every entry's key; for the roots, the beginning
                of the bucket's name. The server looks for it, and the delimiter counts only behind it.
            cancelled: true as soon as nobody waits for the answer; looked at between requests.

        Returns:
            Entries whose key begins with the location's key and `starting_with`.

        Raises:
            S3ConnError: shown in place, with its hint. Anything else is shown as a defect, without its values.
        """
