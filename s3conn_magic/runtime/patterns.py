"""Patterns of users on names of others, in time that grows with the text and never with the ways to match it.

Wildcards (`LIKE`, EXCLUDE_COLUMNS) are matched here, without backtracking. Regular expressions and globs are RE2's, the
engine of Arrow and DuckDB: an automaton, which has no look-around and no back-references.

In a glob `*` matches within a segment, `**` across segments (`**/` also none at all), `?` one character of a segment,
`[a-z]` and `[!a-z]` one character of a class, `{a,b}` either. A backslash is an ordinary character, as it is in a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
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
    (r"\(\?<?[=!]", f"look-around, which {_NOT_LINEAR}; write what may be there, as [^x] or (?:a|b)"),
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
    (r"\(\?[a-zA-Z-]", "a flag other than i, m, s and U"),
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
        return f"{part} is not a repetition: 1,000 times are the most, also within each other, and the fewer come first"
    return f"{what}{f': {part}' if _SHOWN.fullmatch(part) else ''}; {EXPRESSION_EXAMPLE}"


_MOST_HEADS, _MOST_BRACES = 16, 4
_LONGEST_GLOB, _DEEPEST, _MOST_WILDCARDS = 4_096, 16, 128
_SPECIAL = re.compile(r"[*?\[{]")
_PUNCTUATION = re.compile(r"[^\w]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Glob:
    """A compiled pattern for keys below a location.

    Attributes:
        pattern: the text it was made from.
        heads: literal beginnings, none a beginning of another; every match begins with one of them.
        expression: the pattern as RE2's, without anchors.
    """

    pattern: str
    heads: tuple[str, ...] = field(repr=False)
    expression: str = field(repr=False)

    @classmethod
    def compile(cls, pattern: str) -> Glob:
        """Compile a pattern.

        Raises:
            ValueError: a bracket or brace is not closed, a class is empty, or there is too much of something; the
                message says which.
        """
        if len(pattern) > _LONGEST_GLOB:
            raise ValueError(f"it has more than {_LONGEST_GLOB} characters")
        expression, rest = _alternatives(pattern, 0)
        if rest != len(pattern):
            raise ValueError("a } has no {")
        # An automaton takes a step for each of them at every character.
        if expression.count("[") + expression.count(".*") > _MOST_WILDCARDS:
            raise ValueError(f"it has more than {_MOST_WILDCARDS} wildcards")
        return cls(pattern, _heads(pattern), expression)

    def wants(self, names: Sequence[str]) -> list[bool]:
        """Return which names match, below the location."""
        return list(self.mask(strings(names)).to_pylist()) if names else []

    def mask(self, keys: pa.Array, prefix: str = "") -> pa.Array:
        """Return which keys match, as booleans; `prefix` is what they all begin with and the pattern does not see."""
        expression = rf"(?s)\A{_literal(prefix)}(?:{self.expression})\z"
        return matching(keys, expression, len(expression))


def _literal(text: str) -> str:
    return _PUNCTUATION.sub(lambda match: rf"\x{ord(match[0]):02x}" if match[0].isascii() else match[0], text)


def _alternatives(text: str, at: int, nested: int = 0) -> tuple[str, int]:
    """Return the expression of the text from `at` up to its end, or to the brace that closes it."""
    if nested > _DEEPEST:
        raise ValueError(f"it has more than {_DEEPEST} {{ within each other")
    out = ""
    while at < len(text):
        character = text[at]
        if nested and character in ",}":
            if character == "}":
                return out, at + 1
            out, at = out + "|", at + 1
        elif character == "}":
            return out, at
        else:
            piece, at = _piece(text, at, nested)
            out += piece
    if nested:
        raise ValueError("a { is not closed")
    return out, at


def _piece(text: str, at: int, nested: int) -> tuple[str, int]:
    if text.startswith("**/", at) and (at == 0 or text[at - 1] == "/"):
        while text.startswith("**/", at):
            at += 3
        return "(?:.*/)?", at
    if text.startswith("**", at):
        return ".*", len(text) - len(text[at:].lstrip("*"))
    if text[at] == "{":
        inner, end = _alternatives(text, at + 1, nested + 1)
        return f"(?:{inner})", end
    if text[at] == "[":
        return _class(text, at)
    return {"*": "[^/]*", "?": "[^/]"}.get(text[at]) or _literal(text[at]), at + 1


def _class(text: str, at: int) -> tuple[str, int]:
    negated = text.startswith(("!", "^"), at + 1)
    begin = at + 1 + negated
    end = text.find("]", begin + 1)
    if end < 0:
        raise ValueError("a [ is not closed")
    members = re.sub(r".-.|.", lambda match: _range(match[0]), text[begin:end], flags=re.DOTALL)
    return (f"[^/{members}]" if negated else f"[{members}]"), end + 1


def _range(text: str) -> str:
    if len(text) == 3 and text[0] > text[2]:  # noqa: PLR2004 - a, hyphen, z
        raise ValueError("a range in [ ] is the wrong way round")
    return f"{_literal(text[0])}-{_literal(text[2])}" if len(text) == 3 else _literal(text)  # noqa: PLR2004


def _heads(pattern: str) -> tuple[str, ...]:
    heads = {head for head, _ in _expand(pattern)}
    return tuple(sorted(head for head in heads if not any(head != other and head.startswith(other) for other in heads)))


def _expand(pattern: str) -> list[tuple[str, bool]]:
    """Literal beginnings with braces expanded, each with whether it is the whole pattern."""
    special = _SPECIAL.search(pattern)
    if special is None:
        return [(pattern, True)]
    head, at = pattern[: special.start()], special.start()
    if special[0] != "{" or pattern.count("{") > _MOST_BRACES:
        return [(head, False)]
    branches, end = _branches(pattern, at)
    patterns: list[tuple[str, bool]] = []
    for branch in branches:
        patterns += _expand(branch + pattern[end:])
        if len(patterns) > _MOST_HEADS:
            return [(head, False)]
    return [(head + text, whole) for text, whole in patterns]


def _branches(pattern: str, at: int) -> tuple[list[str], int]:
    depth, begin, branches = 0, at + 1, []
    for index in range(at, len(pattern)):
        character = pattern[index]
        depth += (character == "{") - (character == "}")
        if (character == "," and depth == 1) or depth == 0:
            branches.append(pattern[begin:index])
            begin = index + 1
        if depth == 0:
            return branches, index + 1
    raise ValueError("a { is not closed")
