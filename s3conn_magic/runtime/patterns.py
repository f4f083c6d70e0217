"""Patterns of users on names of others, in time that grows with the text and never with the ways to match it.

Wildcards (`LIKE`, EXCLUDE_COLUMNS) are matched here, without backtracking. Regular expressions and globs are RE2's, the
engine of Arrow and DuckDB: an automaton, which has no look-around and no back-references.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

_LONGEST = 10_000
# An automaton so many times as large is one that RE2 still takes: a text of 1 kB is then matched in under a second.
_SPARE = 16
# Bytes of text times the size of an expression that are matched at once, in some tenths of a second at worst: a call
# into RE2 hears of no interrupt.
_AT_ONCE = 10_000_000
# A counted repetition or a class of letters is far larger than its text.
_HIDDEN_SIZE = 4_096
_PIECE = re.compile(
    r"""(?P<verbatim>\\Q(?:[^\\]|\\(?!E))*+(?:\\E)?)
      | \\.
      | \[\^?+\]?+(?:\\.|\[:\^?\w++:\]|[^\]\\])*+(?:\]|\Z)
      | \(\?P?<(?P<name>\w++)>
      | (?P<group>\((?!\?))
      | .""",
    re.VERBOSE | re.DOTALL,
)
# What RE2 says of, or points at → what it is, and what does without.
_NOT_LINEAR = "could take time without end"
_REFUSED = (
    (r"\(\?<?[=!]", f"look-around, which {_NOT_LINEAR}; write what may stand there, as [^x] or (?:a|b)"),
    (r"\\[1-9k]|\(\?P=?$", f"a back-reference, which {_NOT_LINEAR}; write what it stands for once more"),
    (
        r"(?:[*+?]|\{.*\})\+|\(\?>",
        "a possessive or atomic group, which only backtracking needs; leave it out",
    ),
    (r"\\Z", r"`\Z`; the end of the text is `\z`, or `$`"),
    (r"\\[uU]", r"`\u`; a character by its number is `\x{20AC}`"),
    (r"\\[hHRX]", r"a class of Java's; `[ \t]` is a blank, `[\r\n]` a line break"),
    (r"\(\?\(", "a condition; write both cases, as (?:a|b)"),
    (r"\(\?#", "a comment; leave it out"),
    (r"\(\?P?<", "a group without a name; a name has letters, digits and underscores, as (?<name>x)"),
    (r"\(\?[a-zA-Z-]", "a flag that is none of i, m, s and U"),
)
_SHOWN = re.compile(r"[^\w\s]{1,3}|\\?\{\d+(?:,\d*)?\}|\\[A-Za-z0-9]|\(\?[^\w\s]{0,2}\w?")
EXPRESSION_EXAMPLE = r"'.*\.csv' is what ends in .csv"


def wild(text: str, pattern: str, *, many: str, single: str = "") -> bool:
    """Whether a text matches a pattern as a whole, in whatever case.

    Args:
        text: of a name.
        pattern: what it is compared with.
        many: the character that stands for any characters, or none.
        single: the character that stands for any one; empty where there is none.
    """
    letters = [letter.casefold() for letter in text]
    pieces = [[letter.casefold() for letter in piece] for piece in pattern.split(many)]

    def fits(piece: list[str], at: int) -> bool:
        there = letters[at : at + len(piece)]
        return len(there) == len(piece) and all(a in (b, single) for a, b in zip(piece, there, strict=True))

    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return len(letters) == len(first) and fits(first, 0)
    end = len(letters) - len(last)
    if len(first) > end or not fits(first, 0) or not fits(last, end):
        return False
    at = len(first)
    # The first place that fits is never worse than a later one.
    for piece in pieces[1:-1]:
        place = next((where for where in range(at, end - len(piece) + 1) if fits(piece, where)), None)
        if place is None:
            return False
        at = place + len(piece)
    return True


def like(pattern: str | None, text: str) -> bool:
    """Whether a text is like the pattern: `%` for any characters, `_` for one; None is like everything."""
    return pattern is None or wild(text, pattern, many="%", single="_")


@dataclass(frozen=True, slots=True)
class RegularExpression:
    """A regular expression as RE2 has it.

    Attributes:
        text: it; its groups have no names.
        groups: the names that they had, in order; None for one without.
    """

    text: str
    groups: tuple[str | None, ...] = ()

    @classmethod
    def parse(cls, written: str) -> RegularExpression:
        """Read what a user wrote; groups with names may be `(?<name>…)`.

        Raises:
            ValueError: it is wrong, too large, or has what only backtracking can match; the message says which.
        """
        if len(written) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST:,} characters")
        pieces = [*_PIECE.finditer(written)]
        groups = tuple(piece["name"] for piece in pieces if piece["name"] or piece["group"])
        names = [name for name in groups if name]
        if twice := next((b for a, b in pairwise(sorted(names)) if a == b), None):
            raise ValueError(f"two groups of it are called {twice}")
        expression = cls("".join(map(_as_re2, pieces)), groups)
        expression._check()
        return expression

    def _check(self) -> None:
        if reason := _refusal(self.text):
            raise ValueError(_explained(reason))
        if _refusal(self.text * _SPARE):
            raise ValueError("it is too large: repetitions within each other, or many classes of letters")

    def whole(self, texts: pa.Array) -> pa.Array:
        """Return which texts match as a whole, as booleans; a dot stands for line breaks, too."""
        counted = "{" in self.text or re.search(r"\\[pP]|\(\?i", self.text)
        return matching(texts, rf"(?s)\A(?:{self.text})\z", _HIDDEN_SIZE if counted else len(self.text))


def matching(texts: pa.Array, expression: str, size: int) -> pa.Array:
    """Return which texts have a match of RE2's, as booleans; `size` is of the expression, in characters."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = max(1, _AT_ONCE * len(texts) // max(1, texts.nbytes * max(1, size)))
    if rows >= len(texts):
        return pc.match_substring_regex(texts, expression)
    some = (texts.slice(at, rows) for at in range(0, len(texts), rows))
    return pa.concat_arrays([pc.match_substring_regex(each, expression) for each in some])


def strings(texts: Iterable[str]) -> pa.Array:
    """Return texts for a pattern; a character that is none, half of a pair, as `?`."""
    import pyarrow as pa

    there: Sequence[str] = [*texts]
    try:
        return pa.array(there, pa.string())
    except UnicodeEncodeError:
        return pa.array([each.encode(errors="replace").decode() for each in there], pa.string())


def _as_re2(piece: re.Match[str]) -> str:
    if piece["verbatim"] and not piece[0].endswith(r"\E"):
        # What is put behind it is no part of it.
        return rf"{piece[0]}\E"
    return "(" if piece["name"] else piece[0]


def _refusal(expression: str) -> str:
    """Return what RE2 says against an expression, or nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), expression)
    except pa.ArrowInvalid as error:
        return str(error).partition("expression: ")[2] or "it is wrong"
    except UnicodeEncodeError:
        return "it has half a character"
    return ""


def _explained(reason: str) -> str:
    """Return what is wrong, and what can be written instead; of the expression no more than an operator."""
    what, _, part = reason.partition(": ")
    if "too large" in what:
        return "it is too large: repetitions within each other, or many classes of letters"
    refused = next((cure for form, cure in _REFUSED if re.match(form, part)), None)
    if refused:
        return f"it has {refused}"
    if "repetition size" in what:
        return f"{part} is no repetition: 1,000 times are the most, also within each other, and the fewer come first"
    return f"{what}{f': {part}' if _SHOWN.fullmatch(part) else ''}; {EXPRESSION_EXAMPLE}"
