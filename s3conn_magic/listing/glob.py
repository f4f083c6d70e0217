"""`MATCHING 'glob'`: literal heads to ask the server for, and an exact filter of the keys that come.

`*` matches within a segment, `**` across segments (`**/` also none at all), `?` one character of a segment, `[a-z]` and
`[!a-z]` one character of a class, `{a,b}` either. A backslash is an ordinary character, as it is in a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s3conn_magic.runtime.patterns import matching, strings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_MOST_HEADS, _MOST_BRACES = 16, 4
_LONGEST, _DEEPEST, _MOST_WILDCARDS = 4_096, 16, 128
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
        if len(pattern) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST} characters")
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
