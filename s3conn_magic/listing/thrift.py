"""Which requests are worth making: counts those under way and what came of the others."""

from __future__ import annotations

# Requests under way for each full page that came, so that short listings cost few.
_RAMP, _RAMP_RISE = 2, 1.75
_WASTE, _WASTE_GROWTH, _WASTE_PART, _WASTE_LAST = 6, 36, 0.14, 12
# Pages that must be left in a range to make splitting it worth a request: more when the listing is long.
_WORTH_PAGES, _WORTH_MOST, _WORTH_RISE = 1.3, 2.5, 500
_WORTH_LEAST, _IDLE = 1.1, 1.5
_FIRST_PAGES = 6
_FEW_LOOKS, _LOOKS_PART = 8, 0.03


class Thrift:
    """What requests there were.

    Attributes:
        asked: requests under way.
        pages: pages of ranges that arrived.
        full: what of them was of use, in full pages.
    """

    def __init__(self) -> None:
        self.asked = self.pages = self._busiest = self._looks = self._looking = 0
        # Measured in full pages, too: the places of pages that stayed empty.
        self.full = self._wasted = 0.0

    def ask(self, *, look: bool = False) -> None:
        """Note that a request is made."""
        self.asked += 1
        self._busiest = max(self._busiest, self.asked)
        self._looks += look
        self._looking += look

    def looked(self) -> None:
        """Note that a look is over."""
        self._looking -= 1
        self._wasted += 1

    def count(self, full: float, empty: float) -> None:
        """Note a page of a range: how much of a full page it gave, and how much of what was asked stayed empty."""
        self.pages += 1
        self.full += full
        self._wasted += empty

    @property
    def ramped(self) -> bool:
        """Whether as many requests are under way as the pages so far allow."""
        return self.asked > _RAMP * float(self.full**_RAMP_RISE)

    @property
    def idle(self) -> bool:
        """Whether most connections have nothing to do, so that time is lost rather than requests."""
        return self.asked * _IDLE < self._busiest

    @property
    def worth(self) -> float:
        """Pages that must be left in a range to split it."""
        return _WORTH_LEAST if self.idle else min(_WORTH_MOST, _WORTH_PAGES + self.pages / _WORTH_RISE)

    @property
    def may_look(self) -> bool:
        """Whether there were few looks into folders for so many pages."""
        return self._looks <= _FEW_LOOKS + _LOOKS_PART * self.full

    @property
    def may_guess(self) -> bool:
        """Whether a range may be split where nothing is known to be; what the first looks find is worth more."""
        waste = _WASTE + min(self.full, _WASTE_GROWTH) + _WASTE_PART * self.full + _WASTE_LAST * self.idle
        return self._wasted <= waste and not (self._looking and self.pages <= _FIRST_PAGES)
