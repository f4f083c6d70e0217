"""Where a key stands among all the keys there may be: a guess learned from the keys that were seen.

A key is read like a number whose digits are characters. Which characters may stand at a place is learned from what
followed the same characters at the same depth of folders before, so that `month=` is followed by 0 or 1 and a hash by
sixteen digits. A wrong guess costs a request and never a key: the guesses only choose where ranges begin.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 200
_BEHIND = 8
_FINEST = 1e-12
_SKIPPED, _CLOSED = 0.1, 0.02
# Families of characters, and how many of one must be seen before the others are expected.
_FAMILIES = (
    ("0123456789", 1),
    ("0123456789abcdef", 2),
    ("abcdefghijklmnopqrstuvwxyz", 4),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4),
)
# Servers disagree on the order of what lies above (UTF-8 or UTF-16), and controls are risky in requests.
_LEAST, _GREATEST = " ", "\ud7ff"

_Context = tuple[int, str]
_Table = tuple[str, list[float]]


class Keyspace:
    """Learns from keys, and turns keys into fractions and back."""

    def __init__(self) -> None:
        self._seen: dict[_Context, set[str]] = {}
        self._closed: set[_Context] = set()
        self._tables: dict[_Context, _Table] = {}
        self._learned: list[str] = []

    def learn(self, key: str) -> None:
        """Note which characters follow which, where a segment begins to differ from the one learned before it."""
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
                if (known is None or character not in known) and _LEAST <= character <= _GREATEST:
                    seen[context] = {character} if known is None else known | {character}
                    self._tables.pop(context, None)

    def close(self, key: str, following: str) -> None:
        """Note that no key lies between two: where the first goes on alone, its characters are the last there."""
        shared = len(_shared(key, following))
        for character, *contexts in _places(key, shared + 1):
            for context in contexts:
                seen = self._seen.get(context)
                if seen and character == max(seen):
                    self._closed.add(context)
                    self._tables.pop(context, None)

    def locate(self, key: str, base: str) -> float:
        """The part of all keys that begin with `base` which is below the key: 0 to 1."""
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
        """Keys above `low` and up to `high`, or to the end of `base`, where so many lie above `start` and up to `low`.

        None where the keys' places do not tell.
        """
        end = 1.0 if high is None else self.locate(high, base)
        place = self.locate(low, base)
        done = place - (self.locate(start, base) if start.startswith(base) else 0.0)
        return keys * max(0.0, end - place) / done if done > 0 else None

    def at(self, fraction: float, base: str, tolerance: float) -> str:
        """A text that begins with `base` and has about that fraction of its keys below it."""
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
        """A text strictly between two keys, at a part of the way, or None where none can be found.

        `high` is None for the end of the keys that begin with `prefix`.
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
            table = self._tables[context] = _weigh(seen, closed=context in self._closed)
        return table


def _places(key: str, begin: int, most: int = _LONGEST) -> Iterator[tuple[str, _Context, _Context]]:
    """Each character of a key with what stands before it: its depth and three characters, its depth and one."""
    depth = key.count("/", 0, begin)
    for at in range(begin, min(len(key), begin + most)):
        character = key[at]
        yield character, (depth, key[at - 3 if at > 3 else 0 : at]), (depth, key[at - 1 if at else 0 : at])  # noqa: PLR2004
        depth += character == "/"


def _shared(left: str, right: str) -> str:
    """The characters that both begin with."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if left.startswith(right[low:middle], low) else (low, middle - 1)
    return left[:low]


def _weigh(seen: set[str], *, closed: bool) -> _Table:
    """Characters in order and the bounds of their shares.

    Keys arrive in order, so relatives above all that was seen are as likely as what was seen, unless a key is known to
    have been the last of its place; relatives that were passed over are unlikely.
    """
    family = next((family for family, least in _FAMILIES if seen <= set(family) and len(seen) >= least), "")
    characters, greatest = "".join(sorted(seen | set(family))), max(seen)
    above = _CLOSED if closed else 1.0
    weights = [1.0 if text in seen else above if text > greatest else _SKIPPED for text in characters]
    total = sum(weights)
    return characters, [0.0, *(bound / total for bound in accumulate(weights))]
