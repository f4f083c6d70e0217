"""The phrase book: other systems' statements and options with our equivalents, from `phrases.toml`.

It is used after a statement has failed, and for HELP, Tab and docs/mapping.md. Patterns are written like the
reference's syntax: words as they are, `[optional]`, `{one|of|these}`, `<slot>` for a part that is taken over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.language.option_names import (
    book,
    sections,
    words_listed,
)
from s3conn_magic.language.session_settings import SETTING_NAMES
from s3conn_magic.language.source import QUOTED, Span, lines_of, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from s3conn_magic.secrets import Secret


_BALANCED = rf"(?:[^()'\"]|{QUOTED})"
for _ in range(3):
    _BALANCED = rf"(?:[^()'\"]|{QUOTED}|\({_BALANCED}*\))"
OPTIONAL = ("or_replace", "if_not_exists", "if_exists")
_ELEMENT = re.compile(r"<(\w+)>|([\[\]{}|])|(\w+)|(\s+)|(.)")


class Phrase(NamedTuple):
    """Another system's statement, our equivalent (if any), and the difference."""

    whose: str
    theirs: str
    ours: str
    difference: str
    cli: bool

    def match(self, text: str) -> re.Match[str] | None:
        """Return the match of a whole statement."""
        upper = text.upper()
        if not all(any(word in upper for word in words) for words in _words_of(self.theirs)):
            return None
        return _compiled(self.theirs).fullmatch(text)


@dataclass(slots=True)
class Answer:
    """What is known about another system's statement.

    Attributes:
        whose: the system.
        head: span of its first words.
        span: of the whole statement.
        ours: our equivalent, with possible secrets masked, or empty.
        note: a further note.
        whole: our equivalent with secrets if it is complete, else None.
    """

    whose: str
    head: Span
    span: Span
    ours: str
    note: str = ""
    whole: Secret | None = None

    @property
    def hint(self) -> str:
        """Hint, on one line."""
        whose = f"That is {self.whose}. " if self.whose else ""
        return f"{whose}Here: {self.ours} {self.note}".rstrip() if self.ours else self.note


@cache
def _words_of(pattern: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of which a text must have one of each group to match the pattern."""
    plain = pattern
    while (less := re.sub(r"\[[^\[\]]*\]", " ", plain)) != plain:
        plain = less
    groups = re.findall(r"\{([^{}]*)\}", plain)
    alone = re.sub(r"\{[^{}]*\}|<\w+>", " ", plain).split()
    return (
        *((word.upper(),) for word in alone),
        *(tuple(re.sub(r"<\w+>", " ", option).split()[0].upper() for option in group.split("|")) for group in groups),
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces, names = [], dict[str, int]()
    for match in _ELEMENT.finditer(pattern):
        slot, bracket, word, space, other = match.groups()
        if slot:
            names[slot] = names.get(slot, 0) + 1
            group = slot if names[slot] == 1 else f"{slot}_{names[slot]}"
            pieces.append(rf"\s*(?P<{group}>{slot_pattern(slot)}){'?' if slot in OPTIONAL else ''}")
        elif bracket:
            pieces.append({"[": "(?:", "]": ")?", "{": r"\s*(?:", "}": ")", "|": "|"}[bracket])
        elif word:
            follows = pattern[match.end() : match.end() + 1]
            pieces.append(rf"\s*{word}" + ("" if follows in {"<", "{"} else r"\b"))
        elif other and not space:
            pieces.append(rf"\s*{re.escape(other)}")
    return re.compile("".join(pieces) + r"\s*", re.IGNORECASE | re.DOTALL | re.ASCII)


@cache
def slot_pattern(name: str) -> str:
    """Return the regular expression of a slot."""
    parts = {"balanced": _BALANCED, "quoted": QUOTED, "own_setting": "|".join(SETTING_NAMES)}
    return parts.get(name) or re.sub("«(\\w+)»", lambda match: slot_pattern(match[1]), book()["slots"][name])


@cache
def phrases() -> tuple[Phrase, ...]:
    """Return the phrases of all systems, in the order of the file."""
    return tuple(
        Phrase(section["whose"], row[0], row[1], row[2], cli=bool(section.get("cli")))
        for section in sections().values()
        for row in section["statements"]
    )


# Line continuation of shells and Python; redirected output of a command.
JOINED = re.compile(r"\\[ \t]*(?:\n|\Z)")
_PIPED = re.compile(r"\s+(?:[|>]|#\s).*", re.DOTALL)
# Flags of one dash that are words, as programs in Go and Java have them, and PowerShell.
_TAKES = re.compile(
    r"-(?:\w*(?:bucket|prefix|key|profile|region|endpoint|secret|access|token|path|url|uri|role)\w*)", re.IGNORECASE
)
_FLAG = re.compile(r"(?<!\S)(--?[A-Za-z][\w-]*)(?:=(\S+))?")


_BEFORE_COMMAND = re.compile(r"\A(?:[A-Z]\w*=\S+\s+)+(?=[a-z])")


def flags_of(text: str, *, values: bool = True) -> tuple[list[tuple[str, str]], str]:
    """Return the flags of a command and variables set before it, with values, and the command without them.

    With `values` False, only those after `=` are values.
    """
    flags, rest, at = list[tuple[str, str]](), [], 0
    if match := _BEFORE_COMMAND.match(text):
        flags = [(name, value) for name, _, value in (pair.partition("=") for pair in match.group().split())]
        at = match.end()
    while match := _FLAG.search(text, at):
        rest.append(text[at : match.start()])
        name, value, at = match[1], match[2], match.end()
        follows = re.compile(rf"\s+({QUOTED}|[^\s;]+)").match(text, at)
        takes = values and value is None and name.startswith("--") and name[2:] not in words_listed("flags")
        takes = takes or bool(value is None and follows and (follows[1].isdecimal() or _TAKES.fullmatch(name)))
        if follows and takes and not re.match(r"-|s3://", follows[1]):
            value, at = follows[1], follows.end()
        flags.append((name, value or "true"))
    return flags, "".join([*rest, text[at:]]).strip()


# Candidate phrases, and settings of a cell

_QUERY = re.compile(r"(?:SELECT|WITH|FROM)\b", re.IGNORECASE)
_FOR_QUERIES = re.compile(r"[{\[]*(?:SELECT|FROM|<query>)|with <word>")


def phrases_for(text: str) -> Sequence[Phrase]:
    """Return the phrases that a statement may match; for a query only those for queries.

    In a query, `>` and `||` are operators, and what follows them belongs to it.
    """
    known = phrases()
    return [phrase for phrase in known if _FOR_QUERIES.match(phrase.theirs)] if _QUERY.match(text) else known


def fitting(text: str) -> Iterator[tuple[Phrase, list[tuple[str, str]], re.Match[str]]]:
    """Yield the phrases that match a statement, with the flags of a command, the likelier first.

    An unknown flag may be followed by its value or by an argument: the latter is tried last.
    """
    for values in (True, False):
        for phrase in phrases_for(text):
            command = JOINED.sub(" ", _PIPED.sub("", text)) if phrase.whose else text
            flags, plain = flags_of(command, values=values) if phrase.cli else ([], text)
            if (values or (phrase.cli and phrase.whose)) and (match := phrase.match(plain)):
                yield phrase, flags, match


def settings_in(phrase: Phrase, text: str) -> list[tuple[str, str]]:
    """Return all settings of a cell that a phrase matches; together they are one connection."""
    units = [unit for span in pieces(text) for unit in (span, *lines_of(text, span))]
    units_text = [text[slice(*unit)] for unit in units]
    matches = [phrase.match(flags_of(_PIPED.sub("", each))[1] if phrase.cli else each) for each in units_text]
    groups = [match.groupdict() for match in matches if match]
    return [(_setting_name(phrase, group), group["value"]) for group in groups]


def _setting_name(phrase: Phrase, group: Mapping[str, str]) -> str:
    name = (
        group.get("setting") or group.get("own_setting") or group.get("key") or group.get("item", "").strip("[] ") or ""
    )
    return (
        f"s3_{name}" if "s3_<setting>" in phrase.theirs else f"fs.{name}" if "fs.<setting>" in phrase.theirs else name
    )


def sentence_on(text: str) -> str:
    """Return the note on a statement by its first words alone."""
    upper = [word.upper() for word in re.findall(r"[A-Za-z_]\w*", text)[:2]]
    sentences = book()["none"]
    return str(sentences.get(" ".join(upper)) or sentences.get(upper[0] if upper else "") or "")
