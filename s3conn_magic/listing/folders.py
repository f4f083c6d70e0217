"""Looks for folders: one request by delimiter gives the places where many ranges may begin."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3conn_magic.listing.query import PageQuery
    from s3conn_magic.listing.table import Page

_SLASH, _BEHIND_SLASH = "/", "0"
_DIGITS, _BEHIND_DIGITS, _BOTH = "0123456789", ":", 2
# Controls are risky in requests, and servers disagree on the order of what lies far above.
_LEAST, _GREATEST = " ", "~"
_LEVELS = 5
_MOST_CUTS = 64
_WORTH_PAGES, _WORTH_LEVELS, _FEW = 2, 1, 8


class Folders:
    """Which folders to look into, and which of what was found to begin a range at.

    Args:
        page_keys: rows of a full page.
    """

    def __init__(self, page_keys: int) -> None:
        self._page_keys = page_keys
        self._looks: list[PageQuery] = []
        self._looked: set[str] = set()
        self._children: dict[str, int] = {}
        self._below: dict[str, int] = {}
        self._behind: dict[str, str] = {}

    def begin(self, query: PageQuery, page: Page) -> None:
        """Plan looks along the path of the first page's last key."""
        keys = page.objects.column(0).to_pylist()
        path = _path(query.prefix, keys[-1]) if keys else []
        for level, folder in enumerate(path[:_LEVELS], 1):
            self._children[folder] = _children(keys, folder)
            self._below[folder] = len(path) - level
            self._looked.add(folder)
            self._looks.append(replace(query, prefix=folder, delimiter=_SLASH, start_after=keys[-1], token=None))

    def into(self, folder: str, query: PageQuery, low: str) -> PageQuery | None:
        """The look into a folder, behind the lowest key of a range in it; None if one was taken before."""
        if not folder or folder in self._looked:
            return None
        self._looked.add(folder)
        return replace(query, prefix=folder, delimiter=_SLASH, start_after=max(low, folder), token=None)

    def run(self, query: PageQuery, first: str, last: str) -> None:
        """Plan a look behind the files of a folder that fill a page from its first key to its last.

        Folders whose names come behind those of the files are hidden until all the files are passed, however many.
        """
        folder = last[: last.rfind(_SLASH) + 1]
        whole = first.startswith(folder) and _SLASH not in first[len(folder) :] and folder.startswith(query.prefix)
        if whole and folder not in self._behind:
            self._look_behind(
                replace(query, max_keys=self._page_keys, delimiter=_SLASH, token=None),
                folder,
                _behind(first[len(folder) :], last[len(folder) :]),
            )

    def _look_behind(self, query: PageQuery, folder: str, behind: str) -> None:
        self._behind[folder] = behind
        if behind:
            self._looks.append(replace(query, prefix=folder, start_after=folder + behind))

    def next(self) -> PageQuery | None:
        """The next look to take, or None."""
        return self._looks.pop(0) if self._looks else None

    def cuts(self, query: PageQuery, page: Page) -> list[str]:
        """The folders of a look's page to begin ranges at: not so many that their pages would be mostly empty.

        Where they are few and hold folders of folders, as their sister does, looks into them are planned, too.
        """
        found = [prefix for prefix in page.prefixes if prefix > (query.start_after or "")]
        below = self._below.get(query.prefix, 0) - 1
        for folder in found if below >= _WORTH_LEVELS and len(found) <= _FEW else ():
            self._below[folder] = below
            self._looked.add(folder)
            self._looks.append(replace(query, prefix=folder, start_after=folder))
        if found and found[0] not in self._behind and (behind := self._behind.get(query.prefix)):
            # Such folders come in chains: files of the same names, and the next folder behind them.
            self._look_behind(query, found[0], behind)
        per_child = self._page_keys / self._children.get(query.prefix, 1)
        stride = max(1, round(_WORTH_PAGES * self._page_keys / per_child) if per_child < self._page_keys else 1)
        stride = max(stride, -(-len(found) // _MOST_CUTS))
        return found[stride - 1 :: stride]


def _behind(first: str, last: str) -> str:
    """What comes behind all names that differ from these two in their numbers only; empty where nothing tells."""
    shared = next((at for at, (left, right) in enumerate(zip(first, last, strict=False)) if left != right), 0)
    # One number may be shorter: `log9.txt` is followed by `log97.txt`.
    differing = sum(name[shared : shared + 1] in tuple(_DIGITS) for name in (first, last))
    if differing + (first[max(0, shared - 1) : shared] in tuple(_DIGITS)) < _BOTH:
        return ""
    stem = first[:shared].rstrip(_DIGITS)
    if stem:
        return stem[:-1] + chr(ord(stem[-1]) + 1) if _LEAST <= stem[-1] < _GREATEST else ""
    numbers = all(name.partition(".")[0].strip(_DIGITS) == "" for name in (first, last))
    return _BEHIND_DIGITS if numbers else ""


def _children(keys: list[str], folder: str) -> int:
    """How many folders and objects lie directly in a folder, among keys in order; 1 at least."""
    at, count = bisect_left(keys, folder), 0
    while at < len(keys) and keys[at].startswith(folder):
        end = keys[at].find(_SLASH, len(folder))
        at = at + 1 if end < 0 else bisect_left(keys, keys[at][:end] + _BEHIND_SLASH, at)
        count += 1
    return max(1, count)


def _path(prefix: str, key: str) -> list[str]:
    """The folders from the prefix down to the key; the prefix itself first, where folders lie below it."""
    ends = [at + 1 for at in range(len(prefix), len(key)) if key[at] == _SLASH]
    return [prefix, *(key[:end] for end in ends)][: len(ends)]
