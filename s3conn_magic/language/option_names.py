"""Map other systems' option names to ours, by the tables of `phrases.toml`.

A name is in its system's table, or else its words are classified.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from s3conn_magic.language.options import OPTIONS, Option, find_option
from s3conn_magic.language.source import QUOTED
from s3conn_magic.language.words import book, literal, pattern_as, sections, words_listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


Written: TypeAlias = "str | list[str]"
"""A value, or a list of them, as written."""


BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class Synonym(NamedTuple):
    """Another system's option: ours, or none if it is left out; `values` maps differing values."""

    whose: str
    theirs: str
    ours: str
    difference: str
    values: Mapping[str, str]


class _Kind(NamedTuple):
    """A kind of options: sets of words of which a name must have one each, and words that it must not have."""

    having: tuple[frozenset[str], ...]
    lacking: frozenset[str]
    ours: str
    difference: str
    values: Mapping[str, str]


@cache
def synonyms() -> tuple[Synonym, ...]:
    """Return the options of all systems, in the order of the file."""
    return tuple(
        Synonym(section["whose"], row[0], row[1], row[2], _values("".join(row[3:])))
        for section in sections().values()
        for row in section["options"]
    )


def _values(written: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in written.split())
    return {theirs.lower(): ours for theirs, _, ours in pairs}


@cache
def _by_name() -> dict[str, Synonym]:
    return {entry.theirs: entry for entry in reversed(synonyms())}


# An option of one bucket.
_OF_BUCKET = re.compile(r"(?<=FS_S3A_)BUCKET_\w+?_(?=ACCESS|SECRET|SESSION|ENDPOINT|PATH|ASSUMED|AWS|SERVER|ENCRYP)")


def folded(name: str) -> str:
    """Return an option's name normalised as in the tables: `--role-arn`, `fs.s3a.access.key`, `roleArn`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("'\"`-"))
    plain = re.sub(r"[.-]", "_", parted).upper().removeprefix("SPARK_HADOOP_")
    return _OF_BUCKET.sub("", plain)


def _stripped(known: str) -> Iterator[str]:
    """Yield a name, and the rest without a system's prefix."""
    yield known
    prefixes = str(book()["elsewhere"]["prefixes"]).split()
    yield from (known.removeprefix(prefix) for prefix in prefixes if known.startswith(prefix) and known != prefix)


def synonym(name: str, *, kinds: bool = True) -> Synonym | None:
    """Return our equivalent of another system's option; with `kinds` also by words in it, such as TIMEOUT."""
    known, entries = folded(name), _by_name()
    if entry := next((entries[bare] for bare in _stripped(known) if bare in entries), None):
        return entry
    plain = known.replace("_", "")
    entry = next((entry for theirs, entry in entries.items() if theirs.replace("_", "") == plain), None)
    return entry or (_of_a_kind(known) if kinds and not find_option(known) else None)


def option_meant(name: str) -> Option | None:
    """Return our option for a name of any system."""
    known = folded(name)
    ours = find_option(known) or find_option(name)
    if ours is None and (entry := synonym(name, kinds=False)):
        ours = find_option(entry.ours)
    plain = known.replace("_", "")
    bare = (option for option in OPTIONS if option.name.replace("_", "") in {plain, f"AWS{plain}"})
    stripped = (option for each in _stripped(known) if (option := find_option(each)) and option.name != "VALIDATE")
    return ours or next(bare, None) or next(stripped, None)


# Classification by words


@cache
def _kinds() -> tuple[_Kind, ...]:
    return _kinds_in("kinds")


def _kinds_in(section: str) -> tuple[_Kind, ...]:
    kinds = []
    for row in book()[section]["options"]:
        said, *lacking = re.split(r"\s+-", row[0])
        having = tuple(frozenset(words.split()) for words in said.split(","))
        kinds.append(_Kind(having, frozenset(lacking), row[1], row[2], _values("".join(row[3:]))))
    return tuple(kinds)


@cache
def _vocabulary() -> frozenset[str]:
    known = {word for kind in _kinds() for words in kind.having for word in words}
    return words_listed("fillers") | words_listed("about") | known


def _of_a_kind(known: str) -> Synonym | None:
    words = set(option_words(known))
    unknown = bool(words - _vocabulary())
    kind = next((kind for kind in _kinds() if not kind.lacking & words and _is_of(kind, words, unknown=unknown)), None)
    return kind and Synonym("", known, kind.ours, kind.difference, kind.values)


def _is_of(kind: _Kind, words: set[str], *, unknown: bool) -> bool:
    """Return whether a name is of a kind; for our options, a vague word beside an unknown one does not suffice."""
    unsure = words_listed("vague") if kind.ours and unknown else frozenset[str]()
    return any(each <= words and not (len(each) == 1 and each <= unsure) for each in kind.having)


SURE = 10  # the rank from which a name alone indicates S3


def rank_of(known: str) -> int:
    """Return how strongly a name indicates S3; of two names for one option, the higher counts."""
    words = [word for part in known.lower().split("_") if part for word in _parted(part)]
    return SURE * bool(words_listed("about") & set(words)) + min(len(words), 5)


def option_words(known: str) -> Sequence[str]:
    """Return the words of a normalised name after the one that indicates S3."""
    words = [word for part in known.lower().split("_") if part for word in _parted(part)]
    about = [at for at, word in enumerate(words[:-1]) if word in words_listed("about")]
    return words[about[-1] + 1 :] if about else words


def _parted(word: str) -> list[str]:
    """Return the words in a compound such as `accesskeyid`, plurals as singular; otherwise the word itself."""
    known = _vocabulary()
    if word in known:
        return [word]
    if word[:-1] in known and word.endswith("s"):
        return [word[:-1]]
    for at in range(len(word) - 2, 1, -1):
        if word[:at] in known and (rest := _parted(word[at:])) and all(each in known for each in rest):
            return [word[:at], *rest]
    return [word]


def name_meant(name: str) -> str:
    """Return the name of the option of ours that a name stands for, by its table or by the words in it; or nothing."""
    option = option_meant(name) or synonym(name)
    return "" if option is None else option.name if isinstance(option, Option) else option.ours


def is_telling(name: str) -> bool:
    """Return whether an option indicates that a text is about S3."""
    return name_meant(name) in words_listed("telling")


# Options of jobs and tables


@cache
def _job_kinds() -> tuple[_Kind, ...]:
    return _kinds_in("job_kinds")


_TIMES = re.compile(r"(\d+)\s*_?(day|hour|minute|second|d|h|m|s)?s?", re.IGNORECASE)
_LONG_TIMES = {"d": "DAYS", "h": "HOURS", "m": "MINUTES", "s": "SECONDS"}


def job_option_meant(name: str, value: str) -> list[str]:
    """Return the options of jobs and tables, as `NAME = value`, that another system's option may be here."""
    words = set(option_words(folded(name)))
    kind = next((kind for kind in _job_kinds() if any(each <= words for each in kind.having)), None)
    if kind is None:
        return []
    bare = without_quotes(value)
    if kind.values:
        meant = kind.values.get(bare.lower(), "")
    elif kind.ours == "FILE_PATTERN":
        regular = re.search(r"\.[*+]|\\|\[\.\]|[|^$]", bare) is not None
        meant = literal(bare if regular else pattern_as("regular", bare, "glob"))
    elif kind.ours in {"TABLE_DATA_RETENTION", "RUN_INTERVAL"}:
        unit = next((word for word in words if word.rstrip("s") in {"day", "hour", "minute", "second"}), "")
        given = _TIMES.fullmatch(bare)
        unit = (given[2] or unit)[:1].lower() if given else ""
        meant = f"{given[1]} {_LONG_TIMES[unit]}" if given and unit else ""
    else:
        meant = bare.upper() if bare.isidentifier() and kind.ours not in {"COMMENT", "FILE_SUFFIX"} else value
    return [f"{ours} = {meant}" for ours in kind.ours.split("|")] if meant else []


# Options and values as written

_TOKEN = re.compile(
    r"ENV\.\w+|ENV\b\s*\(?\s*['\"]?\w+['\"]?\s*\)?|PROMPT(?:\s+'[^']*')?|KEYRING\s+'[^']*'\s*,?\s*'[^']*'"
    r"|\{\{\s*env_var\s*\([^)]*\)\s*\}\}|\{\{?\s*[A-Za-z_]\w*\s*\}?\}|[$#]\{\w+\}|%\(\w+\)s|(?<=[\s=]):[A-Za-z_]\w*|:=|[A-Za-z_-]+(?=:\s)"
    rf"|[A-Za-z_]\w*(?:\[['\"]\w+['\"]\])+|f?{QUOTED}|\$\$.*?\$\$|(?:os\.environ|ENV)\s*\[[^\]]*\]|(?:os\.)?(?:getenv|environ\.get|env_var)\s*\([^)]*\)"
    r"|=>|==|[=:(),\[\]{}]|[^\s=:(),\[\]{}'\"]+(?:://[^\s,()'\"]*|:\d+[^\s,()'\"]*)?",
    re.DOTALL | re.IGNORECASE,
)
_AS_MARK = re.compile(r"\b([A-Z]{4,})\s+AS\s+(?=['\d])", re.IGNORECASE)
_ASSIGNS = {"=", "=>", "==", ":", ":="}
_MARKS = _ASSIGNS | set("(),[]{}")


# Several options in one text, as in Redshift's CREDENTIALS and in URLs.
_IN_TEXT = re.compile(r"(aws_\w+)=([^;&'\"]+)|\"(\w+)\"\s*:\s*\"([^\"]*)\"", re.IGNORECASE)


def _is_between(token: str, following: str) -> bool:
    """Return whether a token is not an option by itself: a mark, a conjunction, a redundant switch, or several."""
    alone = token.isdecimal() or token.upper() in words_listed("switches") or token in _MARKS
    between = token.upper() in words_listed("between") or bool([*within(token)])
    return alone or (following not in _ASSIGNS and between)


def within(token: str) -> Iterator[tuple[str, str]]:
    """Yield the options in one text."""
    if token[0] in "'\"":
        yield from ((name or key, literal(value or inner)) for name, value, key, inner in _IN_TEXT.findall(token))


def given_in(text: str) -> Iterator[tuple[str, Written]]:
    """Yield the options in a text with their values as written: `A = 'x'`, `A 'x'`, `A => 'x'`, `"a": "x"`, nested.

    Other parts have an empty name.
    """
    tokens, at = _TOKEN.findall(_AS_MARK.sub(r"\1 = ", text)), 0
    if rest := _TOKEN.sub("", text).strip():
        yield "", rest
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        if _is_between(token, following):
            yield from within(token)
            at += 1
            continue
        if more := _words_more(tokens[at : at + 3]):
            token, at = "_".join(tokens[at : at + 1 + more]), at + more
            following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if following in {"", ",", ")"} and (switch := option_meant(token)) and switch.takes == "TRUE or FALSE":
            yield token, "TRUE"
            at += 1
            continue
        value_at = at + 2 if following in _ASSIGNS else at + 1
        if following not in _ASSIGNS and (following in _MARKS - {"("} or not following or token[0] in "'\""):
            if token.upper() not in words_listed("between"):
                yield "", token
            at += 1
            continue
        value, end = _value_at(tokens, value_at)
        if value is not None:
            yield token, value
        elif value_at >= len(tokens) or tokens[value_at] not in {"(", "[", "{"}:
            yield "", token
        at = end


def _words_more(tokens: Sequence[str]) -> int:
    """Return how many tokens behind the first belong to the name of an option of several words."""
    for more in range(len(tokens) - 1, 0, -1):
        together = "_".join(tokens[: more + 1])
        plain = all(map(str.isalpha, tokens[1 : more + 1])) and not find_option(tokens[0])
        if find_option(together) or (plain and synonym(together, kinds=False)):
            return more
    return 0


def _value_at(tokens: Sequence[str], at: int) -> tuple[Written | None, int]:
    """Return the value at an index, and the index after it; None for nested options."""
    if at >= len(tokens):
        return None, at
    if tokens[at] not in {"(", "[", "{"}:
        return (None if tokens[at] in _MARKS else tokens[at]), at + 1
    inside: list[str] = []
    for index in range(at + 1, len(tokens)):
        if tokens[index] in {")", "]", "}"}:
            return (inside, index + 1) if inside else (None, at + 1)
        if tokens[index] in _ASSIGNS or tokens[index] in _MARKS - {","} or tokens[index][0] not in "'\"`" + ",":
            return None, at + 1
        inside += [] if tokens[index] == "," else [tokens[index]]
    return inside or None, len(tokens)


def without_quotes(written: str) -> str:
    """Return a value without its quotes."""
    if written[:2] == "$$":
        return written[2:-2]
    quote = written[:1]
    if quote in {"'", '"', "`"} and written.endswith(quote) and len(written) > 1:
        return written[1:-1].replace(quote * 2, quote)
    return written
