"""Guess where keys and folders lie, from the keys seen so far.

A key is read like a number whose digits are characters. Which characters may stand at a place is learned from what
followed the same characters at the same folder depth before: `month=` is followed by 0 or 1, a hash by sixteen digits.
A wrong guess costs a request and never a key, since guesses only choose where ranges begin.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from s3conn_magic.transport.exchange import LEAST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3conn_magic.listing.request import PageQuery, PageRequest
    from s3conn_magic.listing.table import Page

_LONGEST = 200
_BEHIND = 8
_FINEST = 1e-12
_TRUSTED = 8
_SKIPPED, _CLOSED = 0.1, 0.02
# Families of characters, and how many of one must be seen before the rest are expected.
_FAMILIES = (
    ("0123456789", 1),
    ("0123456789abcdef", 2),
    ("abcdefghijklmnopqrstuvwxyz", 4),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4),
)
# Servers disagree on the order above (UTF-8 or UTF-16), and control characters are risky in requests.
_LEAST, _GREATEST = " ", "\ud7ff"

_Context = tuple[int, str]
_Table = tuple[str, list[float]]


class Keyspace:
    """Learns from keys, and converts between keys and fractions of all keys."""

    def __init__(self) -> None:
        self._seen: dict[_Context, set[str]] = {}
        self._counts: dict[_Context, int] = {}
        self._closed: set[_Context] = set()
        self._tables: dict[_Context, _Table] = {}
        self._learned: list[str] = []

    def learn(self, key: str) -> None:
        """Learn which characters follow which, from where each segment differs from the last one at its depth."""
        segments, begin = key.split("/"), 0
        for depth, segment in enumerate(segments):
            learned = self._learned[depth] if depth < len(self._learned) else None
            if segment != learned:
                self._note(key, depth, begin, segment, learned)
            begin += len(segment) + 1
        self._learned = segments

    def _note(self, key: str, depth: int, begin: int, segment: str, learned: str | None) -> None:
        seen, start = self._seen, begin if learned is None else begin + len(_shared(segment, learned))
        end = min(len(key), begin + len(segment) + 1, start + (_LONGEST if learned is None else _BEHIND))
        for at in range(start, end):
            character = key[at]
            for context in ((depth, key[at - 3 if at > 3 else 0 : at]), (depth, key[at - 1 if at else 0 : at])):  # noqa: PLR2004
                known = seen.get(context)
                count = self._counts[context] = self._counts.get(context, 0) + 1
                if count in (8, 16):
                    self._tables.pop(context, None)
                if (known is None or character not in known) and _LEAST <= character <= _GREATEST:
                    seen[context] = {character} if known is None else known | {character}
                    self._tables.pop(context, None)

    def close(self, key: str, following: str) -> None:
        """Note that no key lies between two: the characters of the first after their common part are the last there."""
        shared = len(_shared(key, following))
        for character, *contexts in _places(key, shared + 1):
            for context in contexts:
                seen = self._seen.get(context)
                if seen and character == max(seen):
                    self._closed.add(context)
                    self._tables.pop(context, None)

    def locate(self, key: str, base: str) -> float:
        """Return the fraction of the keys beginning with `base` that are below the key: 0 to 1."""
        low, width = 0.0, 1.0
        for character, context, shorter in _places(key, len(base)):
            table = self._table(context) or self._table(shorter)
            if table is None:
                return low + width / 2
            characters, bounds = table
            index = bisect_right(characters, character)
            if index == 0 or characters[index - 1] != character:
                return low + width * bounds[index]
            low, width = low + width * bounds[index - 1], width * (bounds[index] - bounds[index - 1])
            if width < _FINEST:
                break
        return low

    def left(self, keys: int, start: str, low: str, high: str | None, base: str) -> float | None:
        """Estimate the keys above `low` up to `high` or the end of `base`, from `keys` above `start` up to `low`.

        None where the positions of the keys do not tell.
        """
        end = 1.0 if high is None else self.locate(high, base)
        place = self.locate(low, base)
        done = place - (self.locate(start, base) if start.startswith(base) else 0.0)
        return keys * max(0.0, end - place) / done if done > 0 else None

    def at(self, fraction: float, base: str, tolerance: float) -> str:
        """Return a text beginning with `base` that has about that fraction of its keys below it."""
        text, low, width, depth = base, 0.0, 1.0, base.count("/")
        while width > tolerance and len(text) < len(base) + _LONGEST:
            table = self._table((depth, text[-3:])) or self._table((depth, text[-1:]))
            if table is None:
                break
            characters, bounds = table
            index = max(0, min(bisect_right(bounds, (fraction - low) / width) - 1, len(characters) - 1))
            low, width = low + width * bounds[index], width * (bounds[index + 1] - bounds[index])
            text += characters[index]
            depth += characters[index] == "/"
        return text

    def between(self, low: str, high: str | None, prefix: str, part: float) -> str | None:
        """Return a text strictly between two keys, at a part of the way, or None where there is none.

        `high` is None for the end of the keys beginning with `prefix`.
        """
        base = _shared(low, high) if high is not None else prefix
        if not low.startswith(base):
            return None
        start, end = self.locate(low, base), 1.0 if high is None else self.locate(high, base)
        text = self.at(start + (end - start) * part, base, (end - start) / 50)
        return text if low < text and (high is None or text < high) else None

    def _table(self, context: _Context) -> _Table | None:
        table = self._tables.get(context)
        if table is None and (seen := self._seen.get(context)):
            likely = self._seen.get((context[0], context[1][-1:]), seen)
            table = self._tables[context] = _weigh(seen, likely, self._counts[context], closed=context in self._closed)
        return table


def _places(key: str, begin: int) -> Iterator[tuple[str, _Context, _Context]]:
    """Yield each character of a key with its two contexts: its depth and the three characters or the one before it."""
    depth = key.count("/", 0, begin)
    for at in range(begin, min(len(key), begin + _LONGEST)):
        character = key[at]
        yield character, (depth, key[at - 3 if at > 3 else 0 : at]), (depth, key[at - 1 if at else 0 : at])  # noqa: PLR2004
        depth += character == "/"


def _shared(left: str, right: str) -> str:
    """Return the common beginning of both."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if left.startswith(right[low:middle], low) else (low, middle - 1)
    return left[:low]


def _family(seen: set[str]) -> str:
    return next((family for family, least in _FAMILIES if seen <= set(family) and len(seen) >= least), "")


def _weigh(seen: set[str], likely: set[str], count: int, *, closed: bool) -> _Table:
    """Return the characters in order and the bounds of their shares.

    Keys arrive in order, so characters of the same family above all those seen are as likely as these, unless a key is
    known to be the last of its place; those that were passed over are unlikely.
    """
    greatest = max(seen)
    few = count < _TRUSTED
    likely = {text for text in likely if text.isalnum()} if few else set()
    names = {text for text in seen if text.isalnum()}
    family = (names or "") and (_family(names | likely) or _family(names))
    characters = "".join(sorted(seen | set(family) | {text for text in likely if text > greatest}))
    above = _CLOSED if closed else 1.0
    skipped = 1.0 if family[:1] == "0" else _SKIPPED
    weights = [1.0 if text in seen else above if text > greatest else skipped for text in characters]
    total = sum(weights)
    return characters, [0.0, *(bound / total for bound in accumulate(weights))]


_SLASH, _BEHIND_SLASH = "/", "0"
_DIGITS, _BEHIND_DIGITS, _BOTH = "0123456789", ":", 2
# Control characters are risky in requests, and servers disagree on the order far above.
_FIRST_PRINTABLE, _LAST_PRINTABLE = " ", "~"
_LEVELS = 5
_MOST_CUTS = 64
_WORTH_PAGES, _WORTH_LEVELS, _FEW = 2, 1, 8
_DISTANCES, _LONGEST_GUESS = (4, 32), 900


class Folders:
    """Plans looks into folders, and chooses which of the folders found begin ranges.

    Args:
        page_keys: rows of a full page.
        ahead: whether to guess folders farther down a chain.
    """

    def __init__(self, page_keys: int, *, ahead: bool = True) -> None:
        self._page_keys = page_keys
        self._distances = _DISTANCES if ahead else ()
        self._looks: list[PageQuery] = []
        self._looked: set[str] = set()
        self._children: dict[str, int] = {}
        self._below: dict[str, int] = {}
        self._behind: dict[str, str] = {}
        self._root = ""
        self._next_names: dict[str, str] = {}
        self._guesses: set[str] = set()

    def begin(self, query: PageQuery, page: Page) -> None:
        """Plan looks into the folders above the first page's last key."""
        keys = page.objects.column(0).to_pylist()
        path = _path(query.prefix, keys[-1]) if keys else []
        self._root = query.prefix
        for level, folder in enumerate(path[:_LEVELS], 1):
            self._children[folder] = _children(keys, folder)
            self._below[folder] = len(path) - level
            self._looked.add(folder)
            self._looks.append(replace(query, prefix=folder, delimiter=_SLASH, start_after=keys[-1], token=None))

    def into(self, folder: str, query: PageQuery, low: str) -> PageQuery | None:
        """Return a look into a folder, behind the lowest key of a range in it; None if there was one before."""
        if not folder or folder in self._looked:
            return None
        self._looked.add(folder)
        return replace(query, prefix=folder, delimiter=_SLASH, start_after=max(low, folder), token=None)

    def run(self, query: PageQuery, first: str, last: str) -> None:
        """Plan a look behind the files of a folder, where they fill a page from its first to its last key.

        Folders whose names sort after those of the files stay hidden until all the files are listed, however many.
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

    def _follow_chain(self, query: PageQuery, folder: str, behind: str) -> None:
        """Plan looks down a chain: folders with files of the same names, each with one folder behind these.

        Where names repeat or count up, folders farther down are guessed, at growing distances.
        """
        *_, above, name = f"/{folder}".rstrip(_SLASH).split(_SLASH)
        self._next_names[above] = name
        if folder not in self._behind:
            self._look_behind(query, folder, behind)
        for distance in range(1, 1 if self._guesses else max(self._distances, default=0) + 1):
            above, name = name, self._next_names.get(name) or _counted_on(above, name)
            folder += name + _SLASH
            if not name or len(folder) > _LONGEST_GUESS:
                return
            if folder not in self._behind and distance in self._distances:
                self._guesses.add(folder)
                self._look_behind(query, folder, behind)

    def next(self) -> PageQuery | None:
        """Return the next planned look, or None."""
        return self._looks.pop(0) if self._looks else None

    def cuts(self, query: PageQuery, page: Page) -> list[str]:
        """Return the folders on a look's page where ranges should begin, few enough to keep their pages full.

        Few folders that hold folders of folders, as their sister does, are looked into, too.
        """
        folders = [prefix for prefix in page.prefixes if prefix > (query.start_after or "")]
        below = self._below.get(query.prefix, 0) - 1
        for folder in folders if below >= _WORTH_LEVELS and len(folders) <= _FEW else ():
            self._below[folder] = below
            self._looked.add(folder)
            self._looks.append(replace(query, prefix=folder, start_after=folder))
        self._guesses.discard(query.prefix)
        if folders and (behind := self._behind.get(query.prefix)):
            self._follow_chain(query, folders[0], behind)
            # The guess was right, so every folder around it exists, too.
            return [*_path(self._root, folders[0])[1:], *folders]
        per_child = self._page_keys / self._children.get(query.prefix, 1)
        stride = max(1, round(_WORTH_PAGES * self._page_keys / per_child) if per_child < self._page_keys else 1)
        stride = max(stride, -(-len(folders) // _MOST_CUTS))
        return folders[stride - 1 :: stride]


def _behind(first: str, last: str) -> str:
    """Return a name behind all names that differ from these two only in their numbers, or an empty text."""
    shared = next((at for at, (left, right) in enumerate(zip(first, last, strict=False)) if left != right), 0)
    # One number may be shorter: `log9.txt` is followed by `log97.txt`.
    differing = sum(name[shared : shared + 1] in tuple(_DIGITS) for name in (first, last))
    if differing + (first[max(0, shared - 1) : shared] in tuple(_DIGITS)) < _BOTH:
        return ""
    stem = first[:shared].rstrip(_DIGITS)
    if stem:
        return stem[:-1] + chr(ord(stem[-1]) + 1) if _FIRST_PRINTABLE <= stem[-1] < _LAST_PRINTABLE else ""
    numbers = all(name.partition(".")[0].strip(_DIGITS) == "" for name in (first, last))
    return _BEHIND_DIGITS if numbers else ""


def _counted_on(above: str, name: str) -> str:
    """Return the next name where two count up by one, or an empty text."""
    stem = name.rstrip(_DIGITS)
    before, number = above[len(stem) :], name[len(stem) :]
    if not (number and above.startswith(stem) and before.isdigit() and before.isascii()):
        return ""
    return stem + str(int(number) + 1).zfill(len(number)) if int(number) == int(before) + 1 else ""


def _children(keys: list[str], folder: str) -> int:
    """Return the number of folders and objects directly in a folder, from keys in order; 1 at least."""
    at, count = bisect_left(keys, folder), 0
    while at < len(keys) and keys[at].startswith(folder):
        end = keys[at].find(_SLASH, len(folder))
        at = at + 1 if end < 0 else bisect_left(keys, keys[at][:end] + _BEHIND_SLASH, at)
        count += 1
    return max(1, count)


def _path(prefix: str, key: str) -> list[str]:
    """Return the folders from the prefix down to the key, the prefix first; empty where the key lies directly in it."""
    ends = [at + 1 for at in range(len(prefix), len(key)) if key[at] == _SLASH]
    return [prefix, *(key[:end] for end in ends)][: len(ends)]


_FEW_FOLDERS = 3


class FolderIndex:
    """The keys where folders are known to begin, and how many rows a folder has."""

    def __init__(self) -> None:
        self._places: list[str] = []
        self._passed = self._passed_rows = 0

    def add(self, places: Iterable[str]) -> None:
        """Add keys where folders begin."""
        self._places = sorted({*self._places, *places})

    def within(self, low: str, high: str | None) -> list[str]:
        """Return the folders above `low` and below `high`, in key order."""
        return self._places[slice(*self._bounds(low, high))]

    def count(self, low: str, high: str | None) -> int:
        """Return the number of folders above `low` and below `high`."""
        begin, end = self._bounds(low, high)
        return max(0, end - begin)

    def _bounds(self, low: str, high: str | None) -> tuple[int, int]:
        end = len(self._places) if high is None else bisect_left(self._places, high)
        return bisect_right(self._places, low), end

    def weigh(self, request: PageRequest, last: str | None, rows: int) -> None:
        """Learn how many rows a folder has from a page that ends after one."""
        end = min(last or "", request.range.high or last or "")
        passed = bisect_right(self._places, end) - bisect_right(self._places, request.low)
        if passed > 0:
            self._passed, self._passed_rows = self._passed + passed, self._passed_rows + rows

    @property
    def passed(self) -> int:
        """How many folders the pages so far have passed."""
        return self._passed

    def rows_each(self, otherwise: float) -> float:
        """Return the average rows of a folder, or `otherwise` while too few were passed."""
        return otherwise if self._passed < _FEW_FOLDERS else self._passed_rows / self._passed


@dataclass(slots=True)
class Learned:
    """What a listing has learned, for those that list what it left.

    Attributes:
        keyspace: which characters follow which.
        folders: where folders begin.
        places: requests under way that the latency pays for.
    """

    keyspace: Keyspace = field(default_factory=Keyspace)
    folders: FolderIndex = field(default_factory=FolderIndex)
    places: int = LEAST
