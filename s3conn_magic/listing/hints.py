"""Where folders that a look has found begin, and how many rows such a folder has."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3conn_magic.listing.steps import Step

_FEW_FOLDERS = 3


class Hints:
    """Places where keys are known to be."""

    def __init__(self) -> None:
        self._places: list[str] = []
        self._passed = self._passed_rows = 0

    def add(self, places: Iterable[str]) -> None:
        """Note the beginnings of folders."""
        self._places = sorted({*self._places, *places})

    def within(self, low: str, high: str | None) -> list[str]:
        """The places above `low` and below `high`, in key order."""
        return self._places[slice(*self._bounds(low, high))]

    def count(self, low: str, high: str | None) -> int:
        """How many places are above `low` and below `high`."""
        begin, end = self._bounds(low, high)
        return max(0, end - begin)

    def _bounds(self, low: str, high: str | None) -> tuple[int, int]:
        end = len(self._places) if high is None else bisect_left(self._places, high)
        return bisect_right(self._places, low), end

    def weigh(self, step: Step, last: str | None, rows: int) -> None:
        """Learn how many rows a folder has, from a page that ends behind one."""
        end = min(last or "", step.range.high or last or "")
        passed = bisect_right(self._places, end) - bisect_right(self._places, step.low)
        if passed > 0:
            self._passed, self._passed_rows = self._passed + passed, self._passed_rows + rows

    @property
    def passed(self) -> int:
        """How many places the pages so far have passed."""
        return self._passed

    def rows_each(self, otherwise: float) -> float:
        """Rows of a folder on average, or what is given while too few were passed."""
        return otherwise if self._passed < _FEW_FOLDERS else self._passed_rows / self._passed
