"""Date patterns of the language, which are Java's: `yyyy/MM/dd/HH/mm`, text of its own in single quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

# Java's letters with the number of them, Python's code, and what stands there in a key.
_FIELDS = {
    "yyyy": ("%Y", r"\d{4}"),
    "yy": ("%y", r"\d{2}"),
    "MM": ("%m", r"\d{2}"),
    "dd": ("%d", r"\d{2}"),
    "DDD": ("%j", r"\d{3}"),
    "HH": ("%H", r"\d{2}"),
    "mm": ("%M", r"\d{2}"),
    "ss": ("%S", r"\d{2}"),
}
_PIECE = re.compile(r"'(?P<text>(?:[^']|'')*)'|(?P<letters>([A-Za-z])\3*)|(?P<mark>[^A-Za-z'])")
_STEPS = (
    ("%S", timedelta(seconds=1)),
    ("%M", timedelta(minutes=1)),
    ("%H", timedelta(hours=1)),
    ("%d", timedelta(days=1)),
    ("%j", timedelta(days=1)),
    ("%m", timedelta(days=31)),
)


@dataclass(frozen=True, slots=True)
class DatePattern:
    """A date as a part of keys; all dates are UTC.

    Attributes:
        written: as in the statement.
        format: the same for `strftime`.
        expression: a regular expression for what it makes.
    """

    written: str
    format: str
    expression: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pattern.

        Raises:
            ValueError: it has letters that are none of the fields.
        """
        pieces = list(_PIECE.finditer(text))
        if "".join(piece.group() for piece in pieces) != text:
            raise ValueError("a quote in it does not end")
        parts = [_part(piece) for piece in pieces]
        return cls(text, "".join(code for code, _ in parts), "".join(match for _, match in parts))

    def of(self, moment: datetime) -> str:
        """The date of a moment as a part of a key."""
        return moment.astimezone(UTC).strftime(self.format)

    def found(self, key: str) -> datetime | None:
        """The date at the beginning of a key, UTC; None where none is there."""
        match = re.match(self.expression, key)
        if match is None:
            return None
        try:
            return datetime.strptime(match.group(), self.format).replace(tzinfo=UTC)
        except ValueError:
            return None

    @property
    def step(self) -> timedelta:
        """Upper bound of the time that one date of this pattern stands for."""
        return next((step for code, step in _STEPS if code in self.format), timedelta(days=366))


def _part(piece: re.Match[str]) -> tuple[str, str]:
    if letters := piece["letters"]:
        if letters not in _FIELDS:
            raise ValueError(f"it is made of {', '.join(_FIELDS)}; other letters stand in quotes")
        return _FIELDS[letters]
    text = piece.group() if piece["mark"] else piece["text"].replace("''", "'") or "'"
    return text.replace("%", "%%"), re.escape(text)
