"""Words: quoting, lists in prose, the nearest known name, and patterns of LIKE, MATCHING and FILE_PATTERN."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from s3conn_magic.locations import WILD, Location, split_version, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WITHIN = 2
_SHORT = 4
# Longer than any known name.
_LONG = 64


def edits(word: str, other: str) -> int:
    """Return the edit distance of two words, with swaps of neighbours as one edit; 3 if it is above 2."""
    # One edit changes at most two letters that only one of the words has.
    if abs(len(word) - len(other)) > _WITHIN or len(set(word) ^ set(other)) > 2 * _WITHIN:
        return _WITHIN + 1
    word, other = _differing_parts(word, other)
    above = _WITHIN + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(word, 1):
        older, before, row = before, row, [above] * (len(other) + 1)
        row[0] = i
        # Cells further from the diagonal exceed the bound.
        for j in range(max(1, i - _WITHIN), min(len(other), i + _WITHIN) + 1):
            b = other[j - 1]
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and (word[i - 2], a) == (b, other[j - 2]):
                cost = min(cost, older[j - 2] + 1)
            row[j] = cost
        if min(row) > _WITHIN:
            break
    return min(row[-1], above)


def _differing_parts(word: str, other: str) -> tuple[str, str]:
    """Return two words without their common prefix and suffix."""
    start = _common_prefix(word, other)
    word, other = word[start:], other[start:]
    end = _common_prefix(word[::-1], other[::-1])
    return word[: len(word) - end], other[: len(other) - end]


def _common_prefix(word: str, other: str) -> int:
    """Return the length of the common prefix of two words."""
    at, most = 0, min(len(word), len(other))
    while at < most and word[at] == other[at]:
        at += 1
    return at


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name within two edits of `word` (one for short words), the closest first, in any case."""
    if len(word) > _LONG:
        return None
    word = word.upper()
    within = 1 if len(word) <= _SHORT else _WITHIN
    ranked = sorted((edits(word, name.upper()), name) for name in known)
    return ranked[0][1] if ranked and ranked[0][0] <= within else None


def related(word: str, known: Iterable[str]) -> str | None:
    """Return the nearest known name, else the closest in length that contains the word or is in it, as `KEY_ID`."""
    names, word = [*known], word[: _LONG + 1].upper()
    parts = [name for name in names if len(word) > _SHORT and (word in name or name in word)]
    return nearest(word, names) or min(parts, key=lambda name: abs(len(name) - len(word)), default=None)


def listed(names: Iterable[str], last: str = "or") -> str:
    """Return names as a phrase: `A`, `A or B`, `A, B or C`."""
    *head, tail = [*names] or [""]
    return f"{', '.join(head)} {last} {tail}" if head else tail


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 object`, `1,234 objects`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def sentence(text: str) -> str:
    """Return a text with its first letter capitalized."""
    return text[:1].upper() + text[1:]


def literal(text: str) -> str:
    """Return a text as a string literal, for both our language and DuckDB."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name in double quotes, for both our language and DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def plainly(name: str) -> str:
    """Return a name, quoted only if it needs to be."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else identifier(name)


def filter_note(filters: Iterable[Location]) -> str:
    """Return a note on display filters if one looks like a pattern or a list; otherwise empty."""
    for place in filters:
        if "*" in place.key or "s3://" in place.key:
            plain = Location(place.bucket, place.key.partition("*")[0].partition(",")[0]).uri
            return (
                f"The filter {visible(place.uri)} is the beginning of keys, not a pattern or a list:"
                f" PATH_DISPLAY_FILTERS = {literal(visible(plain))} shows what is below it, and several are a list."
            )
    return ""


_GLOB = re.compile(r"\*\*|\*|\?|\{|\}|,|.", re.DOTALL)
_AS_EXPRESSION = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


def pattern_note(location: Location | None, clause: str = "LIST {place}{deep} MATCHING {glob};") -> str:
    """Return a note on an empty location that looks like a pattern or a version; otherwise empty.

    Args:
        location: as given; its key was taken literally.
        clause: template of the statement with a pattern: `place`, `deep` for folders below, `glob`, and `expression`
            for a regular expression.
    """
    if location is None or not (match := WILD.search(location.key)):
        return ""
    if versioned := split_version(location):
        return f"PREVIEW {literal(visible(location.uri))}; shows that version of {visible(versioned.location.uri)}."
    folder = location.key[: location.key.rfind("/", 0, match.start()) + 1]
    glob = location.key[len(folder) :]
    expression = "".join(_AS_EXPRESSION.get(part, re.escape(part)) for part in _GLOB.findall(glob))
    deep = " RECURSIVE" if "/" in glob else ""
    fields = {"place": Location(location.bucket, folder).uri, "glob": glob, "expression": expression}
    written = clause.format(**{name: literal(visible(text)) for name, text in fields.items()}, deep=deep)
    return f"A location is exact, not a pattern: {written}"


Kind: TypeAlias = Literal["glob", "like", "regular"]
"""MATCHING takes globs, LIKE has its own patterns, and FILE_PATTERN is a regular expression."""
_WRITTEN: dict[Kind, tuple[str, str]] = {"glob": ("*", "?"), "like": ("%", "_"), "regular": (".*", ".")}
_PIECES: dict[Kind, re.Pattern[str]] = {
    "glob": re.compile(r"(?P<any>\*\*/?|\*)|(?P<one>\?)|(?P<other>[\[\]{}])|(?P<text>.)", re.DOTALL),
    "like": re.compile(r"(?P<any>%+)|(?P<text>.)", re.DOTALL),
    "regular": re.compile(
        r"(?P<any>(?:\.|\\[dwS]|\[\^/\])[*+]\??)|\[(?P<class>[^\w\]\\^])\]|\\(?P<escaped>[^A-Za-z0-9])|(?P<other>[()|+*?\[\]{}^$\\])"
        r"|(?P<text>.)",
        re.DOTALL,
    ),
}
_TELLING: dict[Kind, re.Pattern[str]] = {
    "regular": re.compile(r"\.[*+]|\\[.dwsS/]|^\^|\$$|\([^)]*\||\[\.\]"),
    "like": re.compile(r"%"),
    "glob": re.compile(r"(?:^|[^.\])}\\])\*|\*\*|^\?"),
}
_TAKES: dict[Kind, tuple[str, str]] = {
    "glob": ("a glob", "a glob"),
    "like": ("% for any text and _ for one character", "a pattern of LIKE"),
    "regular": ("a regular expression", "a regular expression"),
}


def pattern_as(taken: Kind, pattern: str, kind: Kind) -> str:
    """Return a pattern converted to another kind, or empty if that is not simple."""
    plain = pattern.removeprefix("^").removesuffix("$") if kind == "regular" else pattern
    matches = [*_PIECES[kind].finditer(plain)]
    if any(match.groupdict().get("other") for match in matches):
        return ""
    written, kept = _WRITTEN[taken], re.escape if taken == "regular" else str
    special = {"any": written[0], "one": written[1]}
    new = "".join(special.get(match.lastgroup or "") or kept(match[match.lastgroup or 0]) for match in matches)
    return f"**/{new}" if (taken, kind) == ("glob", "regular") and new.startswith("*") and "/" not in new else new


# A pattern that begins with its bucket, or like a path.
_PLACED = re.compile(r"(s3://)[^/]*/?|/(?=.)()|(?=[\w-]+/\Z)()", re.IGNORECASE)


def pattern_meant(clause: str, taken: Kind, pattern: str) -> str:
    """Return a note on a pattern that matches nothing and looks like another kind; otherwise empty."""
    if not pattern and taken == "like":
        return f"No name matches {clause} '': leave it out."
    if taken != "regular" and (placed := _PLACED.match(pattern)):
        bare = pattern[placed.end() :] if taken == "glob" else pattern[placed.end(1) :].split("/", maxsplit=1)[0]
        bare += "**" * (taken == "glob" and (bare.endswith("/") or not bare))
        what = "keys below the location" if taken == "glob" else "names"
        return f"{clause.rstrip(' =')} is of {what}: write {clause} {literal(visible(bare))}."
    if taken == "glob" and (parts := re.split(r"[|,]", pattern))[1:] and not re.search(r"[\[\]{}()\\]", pattern):
        return f"Several globs are one in braces: write {clause} {literal(visible('{' + ','.join(parts) + '}'))}."
    tells = _TELLING if taken != "like" else {**_TELLING, "glob": re.compile(r"[*?]")}
    kinds: tuple[Kind, ...] = ("regular", "like", "glob")
    if tells[taken].search(pattern) and not (taken == "glob" and tells["regular"].search(pattern)):
        return ""
    kind = next((kind for kind in kinds if kind != taken and tells[kind].search(pattern)), None)
    if kind is None:
        return ""
    meant = pattern_as(taken, pattern, kind)
    deep = "RECURSIVE " if taken == "glob" and "/" in meant else ""
    write = f": write {deep}{clause} {literal(visible(meant))}" if meant else ""
    return f"{clause.rstrip(' =')} takes {_TAKES[taken][0]}, and this looks like {_TAKES[kind][1]}{write}."


def looks_below(pattern: str, *, recursive: bool) -> str:
    """Return how to write a glob that matched nothing so that it covers folders below; empty if it does."""
    if "/" in pattern or "**" in pattern or not WILD.search(pattern):
        return ""
    clause = "MATCHING" if recursive else "RECURSIVE MATCHING"
    return (
        f"{literal(visible(pattern))} matches no / in a key: {clause} {literal(f'**/{visible(pattern)}')} looks below."
    )


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARTS = re.compile(r'"(?:[^"]|"")*"|[^".]+')


def table_text(parts: Sequence[str]) -> str:
    """Return a table's name of up to three parts (catalog, schema, name) as one canonical text.

    A single name, or one in the schema `main`, is not quoted unless it has a dot; others are quoted as needed.
    """
    *within, name = parts
    if [each.casefold() for each in within] == ["main"]:
        within = []
    if not within and "." not in name:
        return name
    return ".".join(each if _PLAIN.fullmatch(each) else identifier(each) for each in (*within, name))


def table_parts(text: str) -> list[str]:
    """Return the parts of a text from `table_text`."""
    if "." not in text:
        return [text]
    return [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in _PARTS.findall(text)]


# Tables of what others write


@cache
def book() -> dict[str, dict[str, Any]]:
    """Return the tables as written."""
    text = files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def words_listed(name: str) -> frozenset[str]:
    """Return the words of a list in the tables."""
    return frozenset(str(book()["elsewhere"][name]).split())


@cache
def sections() -> dict[str, dict[str, Any]]:
    """Return the tables of the systems."""
    return {name: section for name, section in book().items() if "whose" in section}
