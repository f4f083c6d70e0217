"""Match patterns in linear time: wildcards, globs and regular expressions.

Wildcards (`LIKE`, EXCLUDE_COLUMNS) are matched here, without backtracking. Regular expressions and globs use RE2, the
automaton of Arrow and DuckDB, which has no look-around and no back-references.

In a glob `*` matches within a segment, `**` across segments (`**/` also none at all), `?` one character of a segment,
`[a-z]` and `[!a-z]` one character of a class, `{a,b}` either. A backslash is an ordinary character, as in keys.
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
# RE2 must accept an automaton this many times as large; then a text of 1 kB is matched in under a second.
_HEADROOM = 16
# Bytes of text times size of the expression per call of RE2, at worst some tenths of a second: a call cannot be
# interrupted.
_WORK_PER_CALL = 10_000_000
# Size of the automaton assumed where counted repetitions or classes of letters make it larger than the text.
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
# What RE2 complains about, or points at → what it is, and what to write instead.
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


def matches_wildcards(text: str, pattern: str, *, many: str, single: str = "") -> bool:
    """Whether a text as a whole matches a pattern, ignoring case.

    Args:
        text: the text.
        pattern: the pattern.
        many: the wildcard for any number of characters.
        single: the wildcard for one character; empty if there is none.
    """
    letters = [letter.casefold() for letter in text]
    pieces = [[letter.casefold() for letter in piece] for piece in pattern.split(many)]

    def fits(piece: list[str], at: int) -> bool:
        characters = letters[at : at + len(piece)]
        return len(characters) == len(piece) and all(a in (b, single) for a, b in zip(piece, characters, strict=True))

    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return len(letters) == len(first) and fits(first, 0)
    end = len(letters) - len(last)
    if len(first) > end or not fits(first, 0) or not fits(last, end):
        return False
    at = len(first)
    # The first fit is never worse than a later one.
    for piece in pieces[1:-1]:
        place = next((where for where in range(at, end - len(piece) + 1) if fits(piece, where)), None)
        if place is None:
            return False
        at = place + len(piece)
    return True


def like(pattern: str | None, text: str) -> bool:
    """Whether a text matches a LIKE pattern: `%` for any characters, `_` for one; None matches everything."""
    return pattern is None or matches_wildcards(text, pattern, many="%", single="_")


@dataclass(frozen=True, slots=True)
class RegularExpression:
    """A regular expression for RE2.

    Attributes:
        text: the expression; its groups have no names.
        groups: the names of the groups as written, in order; None for a group without one.
    """

    text: str
    groups: tuple[str | None, ...] = ()

    @classmethod
    def parse(cls, written: str) -> RegularExpression:
        """Parse an expression; named groups may be written `(?<name>…)`.

        Raises:
            ValueError: it is invalid, too large, or needs backtracking; the message says which.
        """
        if len(written) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST:,} characters")
        pieces = [*_PIECE.finditer(written)]
        groups = tuple(piece["name"] for piece in pieces if piece["name"] or piece["group"])
        names = [name for name in groups if name]
        if repeated := next((b for a, b in pairwise(sorted(names)) if a == b), None):
            raise ValueError(f"two groups of it are called {repeated}")
        expression = cls("".join(map(_as_re2, pieces)), groups)
        expression._check()
        return expression

    def _check(self) -> None:
        if reason := _refusal(self.text):
            raise ValueError(_explanation(reason))
        if _refusal(self.text * _HEADROOM):
            raise ValueError("it is too large: repetitions within each other, or many classes of letters")

    def whole(self, texts: pa.Array) -> pa.Array:
        """Return a boolean array of which texts match as a whole; a dot also matches line breaks."""
        counted = "{" in self.text or re.search(r"\\[pP]|\(\?i", self.text)
        return matching(texts, rf"(?s)\A(?:{self.text})\z", _HIDDEN_SIZE if counted else len(self.text))


def matching(texts: pa.Array | pa.ChunkedArray, expression: str, size: int) -> pa.Array:
    """Return a boolean array of which texts contain a match; `size` is the expression's, in characters."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    rows = max(1, _WORK_PER_CALL * len(texts) // max(1, texts.nbytes * max(1, size)))
    if rows >= len(texts):
        return pc.match_substring_regex(texts, expression)
    slices = (texts.slice(at, rows) for at in range(0, len(texts), rows))
    return pa.concat_arrays([pc.match_substring_regex(each, expression) for each in slices])


def strings(texts: Iterable[str]) -> pa.Array:
    """Return an array of texts, with `?` for half a surrogate pair."""
    import pyarrow as pa

    list_of_texts: Sequence[str] = [*texts]
    try:
        return pa.array(list_of_texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([each.encode(errors="replace").decode() for each in list_of_texts], pa.string())


def _as_re2(piece: re.Match[str]) -> str:
    if piece["verbatim"] and not piece[0].endswith(r"\E"):
        # A `\Q` at the end must not quote what is appended.
        return rf"{piece[0]}\E"
    return "(" if piece["name"] else piece[0]


def _refusal(expression: str) -> str:
    """Return RE2's complaint about an expression, or an empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), expression)
    except pa.ArrowInvalid as error:
        return str(error).partition("expression: ")[2] or "it is wrong"
    except UnicodeEncodeError:
        return "it has half a character"
    return ""


def _explanation(reason: str) -> str:
    """Return what is wrong and what to write instead, quoting no more of the expression than an operator."""
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
    """A compiled glob for keys below a location.

    Attributes:
        pattern: the glob as written.
        heads: literal beginnings, one of which begins every match; none begins with another.
        expression: the glob as an RE2 expression, without anchors.
    """

    pattern: str
    heads: tuple[str, ...] = field(repr=False)
    expression: str = field(repr=False)

    @classmethod
    def compile(cls, pattern: str) -> Glob:
        """Compile a glob.

        Raises:
            ValueError: a bracket or brace is not closed, a class is empty, or it is too long or complex; the message
                says which.
        """
        if len(pattern) > _LONGEST_GLOB:
            raise ValueError(f"it has more than {_LONGEST_GLOB} characters")
        expression, rest = _alternatives(pattern, 0)
        if rest != len(pattern):
            raise ValueError("a } has no {")
        # Each wildcard costs the automaton a step at every character.
        if expression.count("[") + expression.count(".*") > _MOST_WILDCARDS:
            raise ValueError(f"it has more than {_MOST_WILDCARDS} wildcards")
        return cls(pattern, _heads(pattern), expression)

    def wants(self, names: Sequence[str]) -> list[bool]:
        """Return for each name, relative to the location, whether it matches."""
        return list(self.mask(strings(names)).to_pylist()) if names else []

    def mask(self, keys: pa.Array, prefix: str = "") -> pa.Array:
        """Return a boolean array of which keys match; `prefix` is their common beginning, not part of the pattern."""
        expression = rf"(?s)\A{_literal(prefix)}(?:{self.expression})\z"
        return matching(keys, expression, len(expression))


def _literal(text: str) -> str:
    return _PUNCTUATION.sub(lambda match: rf"\x{ord(match[0]):02x}" if match[0].isascii() else match[0], text)


def _alternatives(text: str, at: int, nested: int = 0) -> tuple[str, int]:
    """Return the expression for the text from `at` to its end, or to the closing brace, and the index after that."""
    if nested > _DEEPEST:
        raise ValueError(f"it has more than {_DEEPEST} {{ within each other")
    expression = ""
    while at < len(text):
        character = text[at]
        if nested and character in ",}":
            if character == "}":
                return expression, at + 1
            expression, at = expression + "|", at + 1
        elif character == "}":
            return expression, at
        else:
            piece, at = _piece(text, at, nested)
            expression += piece
    if nested:
        raise ValueError("a { is not closed")
    return expression, at


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
    """Return the literal beginnings with braces expanded, each with whether it is the whole pattern."""
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
