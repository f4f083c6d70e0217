"""How many rows to ask for: where a range is about to end, hardly more than it is likely to have.

What a page holds beyond the end of its range is read by the next range once more. Keys whose places tell nothing make
such pages fall short, which costs a request each; then they are asked for whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.listing.steps import common

if TYPE_CHECKING:
    from s3conn_magic.listing.keyspace import Keyspace
    from s3conn_magic.listing.steps import Range

_NEAR, _SPARE, _MARGIN = 0.7, 0.05, 1.3
_FEW_SHORT, _SHORT_PART = 1, 0.1


class Ends:
    """Sizes of the pages of ranges.

    Args:
        page_keys: rows of a full page.
        keyspace: where keys stand.
    """

    def __init__(self, page_keys: int, keyspace: Keyspace) -> None:
        self._page_keys = page_keys
        self._keyspace = keyspace
        self._small = self._short = 0

    def page_keys(self, item: Range) -> int:
        """Rows to ask for in the next page of a range."""
        newest = item.newest
        if newest is not None and newest.query.max_keys < self._page_keys:
            item.longer = True
            self._short += 1
        trusted = self._short <= _FEW_SHORT + _SHORT_PART * self._small
        if newest is None or item.high is None or item.longer or not trusted:
            return self._page_keys
        keys = item.keys + (0 if newest.over.is_set() else newest.query.max_keys)
        base = common(item.start, item.high, item.prefix)
        left = self._keyspace.left(keys, item.start, item.low, item.high, base)
        if left is None or left >= _NEAR * self._page_keys:
            return self._page_keys
        self._small += 1
        return min(self._page_keys, int(left * _MARGIN + _SPARE * self._page_keys) + 1)
