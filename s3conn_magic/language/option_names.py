"""Names of options as other systems write them → options of ours, by the tables of `phrases.toml`.

A name stands in a table of its system; else the words it is made of tell what it is about.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.language.options import OPTIONS, Option, find_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Synonym(NamedTuple):
    """An option of another system: ours, or none where it is left out; `values` has those that differ."""

    whose: str
    theirs: str
    ours: str
    difference: str
    values: Mapping[str, str]


class _Kind(NamedTuple):
    """Options of a kind: sets of words of which one must be in a name, and words of which none may be."""

    having: tuple[frozenset[str], ...]
    lacking: frozenset[str]
    ours: str
    difference: str
    values: Mapping[str, str]


@cache
def book() -> dict[str, dict[str, Any]]:
    """Return the tables as they are written."""
    text = files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def words_listed(name: str) -> frozenset[str]:
    """Return the words of one list of the tables."""
    return frozenset(str(book()["elsewhere"][name]).split())


@cache
def sections() -> dict[str, dict[str, Any]]:
    """Return the tables of the systems."""
    return {name: section for name, section in book().items() if "whose" in section}


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


def folded(name: str) -> str:
    """Return an option's name as the tables have it: `--role-arn`, `fs.s3a.access.key`, `roleArn`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("'\"`-"))
    plain = re.sub(r"[.-]", "_", parted).upper().removeprefix("SPARK_HADOOP_")
    return re.sub(r"(?<=FS_S3A_)BUCKET_[^_]+_(?=\w)", "", plain)  # an option of one bucket


def _bare(known: str) -> Iterator[str]:
    """Yield a name, and what is left of it without a system's prefix."""
    yield known
    prefixes = str(book()["elsewhere"]["prefixes"]).split()
    yield from (known.removeprefix(prefix) for prefix in prefixes if known.startswith(prefix) and known != prefix)


def synonym(name: str, *, kinds: bool = True) -> Synonym | None:
    """Return what an option of another system is here; `kinds`: also by the words in it, such as TIMEOUT."""
    known, entries = folded(name), _by_name()
    if entry := next((entries[bare] for bare in _bare(known) if bare in entries), None):
        return entry
    plain = known.replace("_", "")
    entry = next((entry for theirs, entry in entries.items() if theirs.replace("_", "") == plain), None)
    return entry or (_of_a_kind(known) if kinds and not find_option(known) else None)


def option_meant(name: str) -> Option | None:
    """Return the option of ours that a name of any system stands for."""
    known = folded(name)
    ours = find_option(known) or find_option(name)
    if ours is None and (entry := synonym(name, kinds=False)):
        ours = find_option(entry.ours)
    plain = known.replace("_", "")
    bare = (option for option in OPTIONS if option.name.replace("_", "") in {plain, f"AWS{plain}"})
    stripped = (option for each in _bare(known) if (option := find_option(each)) and option.name != "VALIDATE")
    return ours or next(bare, None) or next(stripped, None)


# By the words of a name


@cache
def _kinds() -> tuple[_Kind, ...]:
    kinds = []
    for row in book()["kinds"]["options"]:
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
    kind = next((kind for kind in _kinds() if not kind.lacking & words and _has(kind, words, unknown=unknown)), None)
    return kind and Synonym("", known, kind.ours, kind.difference, kind.values)


def _has(kind: _Kind, words: set[str], *, unknown: bool) -> bool:
    """Whether a name is of a kind; for an option of ours a vague word beside an unknown one is not enough."""
    unsure = words_listed("vague") if kind.ours and unknown else frozenset[str]()
    return any(each <= words and not (len(each) == 1 and each <= unsure) for each in kind.having)


def rank_of(known: str) -> int:
    """Return how surely a name is of S3: of two for one option of ours the surer one counts."""
    words = [word for part in known.lower().split("_") if part for word in _parted(part)]
    return 10 * bool(words_listed("about") & set(words)) + min(len(words), 5)


def option_words(known: str) -> Sequence[str]:
    """Return the words of a folded name, without those up to one that says that it is about S3."""
    words = [word for part in known.lower().split("_") if part for word in _parted(part)]
    about = [at for at, word in enumerate(words[:-1]) if word in words_listed("about")]
    return words[about[-1] + 1 :] if about else words


def _parted(word: str) -> list[str]:
    """Return the words of which one is made, as `accesskeyid` is, and plurals as one; itself where it is not."""
    known = _vocabulary()
    if word in known:
        return [word]
    if word[:-1] in known and word.endswith("s"):
        return [word[:-1]]
    for at in range(len(word) - 2, 1, -1):
        if word[:at] in known and (rest := _parted(word[at:])) and all(each in known for each in rest):
            return [word[:at], *rest]
    return [word]


def is_telling(name: str) -> bool:
    """Whether an option tells that a text is about S3."""
    option = option_meant(name)
    entry = None if option else synonym(name)
    return (option.name if option else entry.ours if entry else "") in words_listed("telling")
