"""The phrase book: statements and options of other systems → ours, by the tables of `phrases.toml`.

It is read where a statement has failed, and by HELP, Tab and docs/mapping.md. A pattern is written as the reference
writes a syntax: words as they are, `[what may be missing]`, `{one|of|these}`, `<slot>` for what is taken over.
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
    """A statement of another system, what says the same here, and the difference; without ours, that is the answer."""

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
    """What is said of a statement of another system.

    Attributes:
        whose: of which system it is.
        head: its first words, as a place.
        span: all of it.
        ours: what says the same here, with what may be a secret masked; empty where there is none.
        note: what else there is to say.
        whole: ours with its secrets, where it says all that was written; else None.
    """

    whose: str
    head: Span
    span: Span
    ours: str
    note: str = ""
    whole: Secret | None = None

    @property
    def hint(self) -> str:
        """What to do, as a line."""
        whose = f"That is {self.whose}. " if self.whose else ""
        return f"{whose}Here: {self.ours} {self.note}".rstrip() if self.ours else self.note


@cache
def _words_of(pattern: str) -> tuple[tuple[str, ...], ...]:
    """Return the words that a text must have for the pattern to fit, one of each group."""
    plain = pattern
    while (less := re.sub(r"\[[^\[\]]*\]", " ", plain)) != plain:
        plain = less
    groups = re.findall(r"\{([^{}]*)\}", plain)
    alone = re.sub(r"\{[^{}]*\}|<\w+>", " ", plain).split()
    return (
        *((word.upper(),) for word in alone),
        *(tuple(re.sub(r"<\w+>", " ", way).split()[0].upper() for way in group.split("|")) for group in groups),
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression over the text of a statement."""
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
    """Return what may stand for a slot, as a regular expression."""
    parts = {"balanced": _BALANCED, "quoted": QUOTED, "own_setting": "|".join(SETTING_NAMES)}
    return parts.get(name) or re.sub("«(\\w+)»", lambda match: slot_pattern(match[1]), book()["slots"][name])


@cache
def phrases() -> tuple[Phrase, ...]:
    """Return the statements of all systems, in the order of the file."""
    return tuple(
        Phrase(section["whose"], row[0], row[1], row[2], cli=bool(section.get("cli")))
        for section in sections().values()
        for row in section["statements"]
    )


# The end of a line as a shell and Python join it to the next; what a shell does with the output of a command.
JOINED = re.compile(r"\\[ \t]*(?:\n|\Z)")
_PIPED = re.compile(r"\s+(?:[|>]|#\s).*", re.DOTALL)
_FLAG = re.compile(r"(?<!\S)(--?[A-Za-z][\w-]*)(?:=(\S+))?")


_BEFORE_COMMAND = re.compile(r"\A(?:[A-Z]\w*=\S+\s+)+(?=[a-z])")


def flags_of(text: str, *, values: bool = True) -> tuple[list[tuple[str, str]], str]:
    """Return the flags of a command with their values, and variables set before it; and the command without them.

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
        takes = takes or bool(value is None and follows and follows[1].isdecimal())
        if follows and takes and not re.match(r"-|s3://", follows[1]):
            value, at = follows[1], follows.end()
        flags.append((name, value or "true"))
    return flags, "".join([*rest, text[at:]]).strip()


# Which phrases, and which settings of a cell, are looked at

_QUERY = re.compile(r"(?:SELECT|WITH|FROM)\b", re.IGNORECASE)
_FOR_QUERIES = re.compile(r"[{\[]*(?:SELECT|FROM|<query>)|with <word>")


def phrases_for(text: str) -> Sequence[Phrase]:
    """Return the phrases that a statement may be; a query is the engine's, so only those that are written for queries.

    Marks such as `>` and `||` are operators there, and what is behind them belongs to the query.
    """
    every = phrases()
    return [phrase for phrase in every if _FOR_QUERIES.match(phrase.theirs)] if _QUERY.match(text) else every


def fitting(text: str) -> Iterator[tuple[Phrase, list[tuple[str, str]], re.Match[str]]]:
    """Yield the phrases that fit a statement, with the flags of a command, the likelier first.

    A flag that is not known may be followed by its value, or by what the command is about: that is looked at last.
    """
    for values in (True, False):
        for phrase in phrases_for(text):
            command = JOINED.sub(" ", _PIPED.sub("", text)) if phrase.whose else text
            flags, plain = flags_of(command, values=values) if phrase.cli else ([], text)
            if (values or (phrase.cli and phrase.whose)) and (match := phrase.match(plain)):
                yield phrase, flags, match


def settings_in(phrase: Phrase, text: str) -> list[tuple[str, str]]:
    """Return all settings of a cell that are written as the phrase says, which together are one connection."""
    units = [unit for span in pieces(text) for unit in (span, *lines_of(text, span))]
    said = [text[slice(*unit)] for unit in units]
    matches = [phrase.match(flags_of(_PIPED.sub("", each))[1] if phrase.cli else each) for each in said]
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
    """Return what is said of a statement by its first words alone."""
    upper = [word.upper() for word in re.findall(r"[A-Za-z_]\w*", text)[:2]]
    says = book()["none"]
    return str(says.get(" ".join(upper)) or says.get(upper[0] if upper else "") or "")
