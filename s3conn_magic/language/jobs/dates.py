"""Date patterns of the language, which are Java's: `yyyy/MM/dd/HH/mm`, text of its own in single quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

# Java's letters, as many as digits stand there in a key, and Python's code.
_FIELDS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "dd": "%d",
    "DDD": "%j",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
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
        parts: fields and the texts between them, in order, each with whether it is a field.
    """

    written: str
    format: str
    parts: tuple[tuple[str, bool], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pattern.

        Raises:
            ValueError: it has letters that are none of the fields.
        """
        pieces = list(_PIECE.finditer(text))
        if "".join(piece.group() for piece in pieces) != text:
            raise ValueError("a quote in it does not end")
        parts = tuple(map(_part, pieces))
        codes = (_FIELDS[part] if is_field else part.replace("%", "%%") for part, is_field in parts)
        return cls(text, "".join(codes), parts)

    def of(self, moment: datetime) -> str:
        """The date of a moment as a part of a key."""
        return moment.astimezone(UTC).strftime(self.format)

    def found(self, key: str) -> datetime | None:
        """The date at the beginning of a key, UTC; None where none is there."""
        found: dict[str, str] = {}
        for part, is_field in self.parts:
            there, key = key[: len(part)], key[len(part) :]
            if len(there) < len(part) or (there != found.setdefault(part, there) if is_field else there != part):
                return None
        return _date(found)

    @property
    def expression(self) -> str:
        """A regular expression for what it makes, in which nothing is repeated without a bound."""
        return "".join(rf"\d{{{len(part)}}}" if is_field else re.escape(part) for part, is_field in self.parts)

    @property
    def step(self) -> timedelta:
        """Upper bound of the time that one date of this pattern stands for."""
        return next((step for code, step in _STEPS if code in self.format), timedelta(days=366))


def _date(fields: dict[str, str]) -> datetime | None:
    """The moment that fields say, or None where they are no date."""
    if not all(digits.isascii() and digits.isdecimal() for digits in fields.values()):
        return None
    codes = {name: _FIELDS[name] for name in fields}
    try:
        return datetime.strptime(" ".join(fields.values()), " ".join(codes.values())).replace(tzinfo=UTC)
    except ValueError:
        return None


def _part(piece: re.Match[str]) -> tuple[str, bool]:
    if letters := piece["letters"]:
        if letters not in _FIELDS:
            raise ValueError(f"it is made of {', '.join(_FIELDS)}; other letters stand in quotes")
        return letters, True
    return piece.group() if piece["mark"] else piece["text"].replace("''", "'") or "'", False
