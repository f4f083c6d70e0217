"""Cells changed at random: what people mistype, what editors do to text, and what nobody would write."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from corpora import read

from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.reference import KEYWORDS
from s3conn_magic.language.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

LARGEST = 65_536
"""Characters of the longest text."""
CELLS = tuple(case.cell for case in read("valid"))
"""The cells that are changed."""
_MARKS = ("'", '"', "''", '""', "--", "/*", "*/", ";", ",", "(", ")", "=", "$", "[", "{", "`", "\\", "//", "s3://b-c/")
_VALUES = ("'x'", "''", "0", "007", "9" * 18, "9" * 19, "-1", "1.5", "1e9", "TRUE", "NULL", "$count", "ENV 'HOME'")
_WORDS = (*sorted(KEYWORDS), *OPTION_NAMES, *_MARKS, *_VALUES, "lake", '"la ke"', "SELECT", "FROM")
_HOSTILE = (
    *"\x00\x01\x07\x08\x1b\x1c\x7f\x85\xa0\xad\u0130\u0131\u017f\u200b\u200e\u2018\u201d\u2028\u202e\u2066\u212a\u3000",
    *"\ufeff\uff1b\uff1d\ufffe\ud800\udfff\r\n\t\f\v\u0301\u00e9\u00df\ufb01\U0001f600\U000e0041",
    "\r\n",
)
_TOKENS = {cell: tuple(Source(cell).tokens[at].text for at in range(len(Source(cell).tokens))) for cell in CELLS}


def mutated(chance: Random, *, huge: float = 0.0) -> str:
    """A valid cell with one to four changes.

    Args:
        chance: decides all of it.
        huge: how likely one piece is repeated up to the largest text.
    """
    tokens = list(_TOKENS[chance.choice(CELLS)])
    text = ""
    for _ in range(chance.randint(1, 4)):
        if chance.random() < 0.5:
            chance.choice(_OF_TOKENS)(tokens, chance)
        text = "".join(tokens)
        if chance.random() < 0.5:
            text = chance.choice(_OF_TEXT)(text, chance)
            tokens = [text]
    return (_repeated(text, chance) if chance.random() < huge else text)[:LARGEST]


def _repeated(text: str, chance: Random) -> str:
    """A piece of the text, a word or a mark so many times that nothing more fits."""
    first, last = _stretch(text, chance)
    piece = chance.choice([text[first:last] or ";", chance.choice(_WORDS), chance.choice(_WORDS) + " ", text + ";"])
    return text[:first] + piece * (LARGEST // len(piece) + 1)


def _at(tokens: list[str], chance: Random) -> int:
    return chance.randrange(len(tokens) + 1)


def _stretch(text: str, chance: Random) -> tuple[int, int]:
    first = chance.randrange(len(text) + 1)
    return first, min(len(text), first + chance.randint(0, 12))


def _insert(tokens: list[str], chance: Random) -> None:
    tokens.insert(_at(tokens, chance), chance.choice(["", " "]) + chance.choice(_WORDS) + chance.choice(["", " "]))


def _delete(tokens: list[str], chance: Random) -> None:
    first = _at(tokens, chance)
    del tokens[first : first + chance.randint(1, 3)]


def _double(tokens: list[str], chance: Random) -> None:
    first = _at(tokens, chance)
    tokens[first:first] = [*tokens[first : first + chance.randint(1, 4)], chance.choice(["", " "])]


def _swap(tokens: list[str], chance: Random) -> None:
    if tokens:
        one, other = chance.randrange(len(tokens)), chance.randrange(len(tokens))
        tokens[one], tokens[other] = tokens[other], tokens[one]


def _replace(tokens: list[str], chance: Random) -> None:
    if tokens:
        tokens[chance.randrange(len(tokens))] = chance.choice(_WORDS)


def _recase(tokens: list[str], chance: Random) -> None:
    if tokens:
        at = chance.randrange(len(tokens))
        tokens[at] = chance.choice([str.lower, str.upper, str.swapcase, str.title])(tokens[at])


def _splice(tokens: list[str], chance: Random) -> None:
    other = _TOKENS[chance.choice(CELLS)]
    tokens[_at(tokens, chance) :] = [chance.choice(["", " ", ";", "\n"]), *other[chance.randrange(len(other) + 1) :]]


def _flip(text: str, chance: Random) -> str:
    first = chance.randrange(len(text) + 1)
    return text[:first] + chance.choice(string.printable) + text[first + chance.randint(0, 1) :]


def _cut(text: str, chance: Random) -> str:
    first = chance.randrange(len(text) + 1)
    return text[:first] if chance.random() < 0.7 else text[first:]


def _lose(text: str, chance: Random) -> str:
    first, last = _stretch(text, chance)
    return text[:first] + text[last:]


def _reverse(text: str, chance: Random) -> str:
    first, last = _stretch(text, chance)
    return text[:first] + text[first:last][::-1] + text[last:]


def _poison(text: str, chance: Random) -> str:
    first = chance.randrange(len(text) + 1)
    return text[:first] + chance.choice(_HOSTILE) + text[first:]


def _mark(text: str, chance: Random) -> str:
    first = chance.randrange(len(text) + 1)
    return text[:first] + chance.choice(_MARKS) + text[first:]


_OF_TOKENS: tuple[Callable[[list[str], Random], None], ...] = (
    _insert,
    _delete,
    _double,
    _swap,
    _replace,
    _recase,
    _splice,
)
_OF_TEXT: tuple[Callable[[str, Random], str], ...] = (_flip, _flip, _cut, _lose, _reverse, _poison, _mark)
