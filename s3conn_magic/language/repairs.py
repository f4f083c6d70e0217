"""Repair statements that are nearly ours: add, drop, change or move a few words.

The parser says where it stops; what may be wrong there is tried, the likelier first, until the whole parses and binds.
Words that are taken for others are the table `[repairs]` of `phrases.toml`.
"""

from __future__ import annotations

import heapq
import re
from functools import cache
from itertools import count, pairwise
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.language.option_names import option_meant
from s3conn_magic.language.options import OPTION_NAMES, OPTIONS, find_option, opposite
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS, VOCABULARY
from s3conn_magic.language.session_settings import SETTING_NAMES, find_setting
from s3conn_magic.language.source import Source
from s3conn_magic.language.words import (
    Edit,
    Wrong,
    as_other,
    book,
    identifier,
    joined,
    literal,
    nearest,
    query_edits,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Stops = Callable[[str], tuple[int, str] | None]

# Longer statements, and more tries, are not worth the wait.
LONGEST = 1_500
_TRIES = 300
MOST_COST = 4.2
# What is so near is meant, rather than what another system would say with these words.
SURE_COST = 2.2
_MOST_WORDS = 60
_MOST_WAYS = 4
_FAR = 6  # a word that is in the wrong place moves by so many words at most, or to the end
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPECTED_WORD = re.compile(r"`([^`]+)`|\b([A-Z][A-Z0-9_]+(?: [A-Z][A-Z0-9_]+)*)\b")
STARTS = frozenset(statement.name.split()[0] for statement in STATEMENTS)
_OPAQUE = frozenset({"SELECT", "EXPECT", "VALUES", "WHERE"})
_KEPT = frozenset({"INTO", "AS", "WHERE", "LIKE", ";"}) | _OPAQUE | STARTS
_DROPPED, _MOVED, _CHANGED, _ADDED = 3.0, 2.0, 1.0, 1.35
_NOT = {"NO", "NOT", "WITHOUT", "SKIP", "DISABLE"}
_CONNECTS = re.compile(r"CREATE\b.{0,12}\bS3\b", re.IGNORECASE)
ASKED = re.compile(r"\b(?:PROMPT|KEYRING)\b", re.IGNORECASE)


class _Piece(NamedTuple):
    """A word or a mark, and whether a space stands before it."""

    text: str
    apart: bool = True


class _Stop(NamedTuple):
    """Which piece the parser stops at, what it expects there, and whether it took the beginning of the piece."""

    at: int
    expected: str
    within: bool


class _Draft(NamedTuple):
    cost: float
    pieces: tuple[_Piece, ...]
    left_out: tuple[str, ...] = ()


@cache
def table() -> Mapping[str, Sequence[str]]:
    """Return what may stand for a word, by the word; an empty text leaves it out."""
    given: dict[str, list[str]] = {}
    for theirs, ours in book()["repairs"]["words"]:
        for word in theirs.split():
            given.setdefault(word, []).extend(ours.split("|"))
    return given


def repaired(
    written: str, near: Sequence[str], stops: Stops, connections: Sequence[str], most: float
) -> tuple[str, Sequence[str]]:
    """Return the nearest statement that runs, and what it leaves out; empty if there is none.

    Args:
        written: the wrong statement.
        near: statements that are nearer to what is meant.
        stops: returns where a text is wrong, and why; None for one that runs.
        connections: their names.
        most: how many changes there may be, as their cost.
    """
    tries = [_Draft(0.0, tuple(_pieces(written))), *(_Draft(0.45, tuple(_pieces(text))) for text in near)]
    fixed = _nearest(tries, stops, connections, most) if len(tries[0].pieces) <= _MOST_WORDS else None
    return (f"{_text(fixed.pieces)};", fixed.left_out) if fixed and fixed.pieces else ("", ())


def _nearest(firsts: Sequence[_Draft], stops: Stops, connections: Sequence[str], most: float) -> _Draft | None:
    order, tries, seen = count(), 0, {first.pieces for first in firsts}
    queue = sorted((first.cost, next(order), first) for first in firsts)
    while queue and tries < _TRIES:
        draft = heapq.heappop(queue)[2]
        tries += 1
        text = _text(draft.pieces)
        if ASKED.search(text):
            continue
        if (stopped := stops(text)) is None:
            if _is_sound(draft.pieces, firsts[0].pieces):
                return draft
            continue
        if stopped[0] < 0:
            return None
        for following in _edits(draft, *_index(draft.pieces, stopped[0]), stopped[1], connections):
            if following.cost <= most and following.pieces and following.pieces not in seen:
                seen.add(following.pieces)
                heapq.heappush(queue, (following.cost, next(order), following))
    return None


def _is_sound(pieces: Sequence[_Piece], written: Sequence[_Piece]) -> bool:
    """Return False for a statement that only became a query because the text of a query is not parsed."""
    begins = [each[0].text.upper() if each else "" for each in (pieces, written)]
    of_query = begins[0] in {"SELECT", "WITH", "FROM", "INSERT"} and begins[0] != begins[1]
    return not of_query or re.fullmatch(r'SELECT \* FROM [\w."]+', _text(pieces)) is not None


def _pieces(written: str) -> Iterator[_Piece]:
    end = 0
    for token in Source(written).tokens:
        if token.kind not in {"space", "comment"}:
            yield _Piece(token.text, token.span.start > end or not end)
            end = token.span.end


def _text(pieces: Sequence[_Piece]) -> str:
    return "".join(" " * piece.apart + piece.text for piece in pieces).strip()


def _index(pieces: Sequence[_Piece], at: int) -> tuple[int, bool]:
    """Return which piece an offset of their text is in, their number behind the last, and whether it is within it."""
    end = -1 if pieces and pieces[0].apart else 0
    for index, piece in enumerate(pieces):
        begun = end + piece.apart
        end = begun + len(piece.text)
        if end > at:
            return index, at > begun
    return len(pieces), False


def _edits(draft: _Draft, at: int, within: bool, expected: str, connections: Sequence[str]) -> Iterator[_Draft]:
    """Yield what may have been meant by a statement of which the parser takes what is before a piece."""
    of_grammar = expected.startswith("Expected ")
    expected = expected.removeprefix("Expected ")
    if of_grammar:
        yield from _added(draft, at, expected, connections)
        yield from _split(draft, at)
    for index in (at, at - 1, at - 2, at - 3):
        if 0 <= index < len(draft.pieces):
            late = 0.3 * (at - index)
            changed = _changed(draft, index, _Stop(at, expected, within), connections)
            yield from (each._replace(cost=each.cost + late) for each in changed)
    if expected.endswith(" twice"):
        yield from (_with(draft, 1.0 + 0.1 * more, at, at + more, []) for more in (1, 2, 3))
    if expected.startswith("unknown option of a"):
        yield from _of_format(draft, at)
        other = book()["jobs"].get(draft.pieces[at].text.upper(), "")
        names = {other, *({"FILE_FORMAT"} if other == "CONTENT_TYPE" else set())} - {""}
        yield from (_with(draft, 0.9, at, at + 1, [name]) for name in sorted(names))
        yield from _dropped(draft, at, 3)
    if expected.startswith(("unknown setting", "unknown option ")):
        yield from _renamed(draft, at)
    if expected == "`=`" and at > 1:
        yield from _dropped(draft, at - 1)
    flagged = [piece.text.upper() for piece in draft.pieces[max(at - 1, 0) : at + 2]]
    if flagged[:1] != [] and flagged[0] in KEYWORDS and flagged[1:] in (["=", "TRUE"], ["=", "YES"]):
        yield _with(draft, 0.9, at, at + 2, [])
    if at < len(draft.pieces) and of_grammar:
        yield from _moved(draft, at)
        yield from _dropped(draft, at)
        yield from (each._replace(cost=each.cost + 0.3) for each in _moved(draft, at - 1)) if at > 1 else ()


def _with(draft: _Draft, cost: float, start: int, end: int, texts: Sequence[str]) -> _Draft:
    """Return a try with other words in the place of some."""
    before = ["", *texts]
    new = tuple(_Piece(text, _is_apart(before[at], text)) for at, text in enumerate(texts))
    apart = (
        bool(new) and start < end and (draft.pieces[start].apart or (start > 0 and _WORD.match(texts[0]) is not None))
    )
    new = (new[0]._replace(apart=apart), *new[1:]) if new and start < end else new
    rest = draft.pieces[end:]
    if rest and rest[0].text not in {",", "(", ")", ";"} and (texts or draft.pieces[start].apart):
        rest = _apart(rest, 0)
    return draft._replace(cost=draft.cost + cost, pieces=(*draft.pieces[:start], *new, *rest))


def _renamed(draft: _Draft, at: int) -> Iterator[_Draft]:
    """Yield a statement with an option or setting by its own name, and one that says no by its opposite."""
    name = draft.pieces[at].text
    option = option_meant(name)
    near = option.name if option else nearest(name, [*SETTING_NAMES, *OPTION_NAMES])
    if near and not opposite(name):
        yield _with(draft, 0.8, at, at + 1, [near])


def _is_apart(before: str, text: str) -> bool:
    """Return whether a space stands between two words or marks."""
    return text not in {",", ")"} and before != "(" and not (text == "(" and before.islower())


def _added(draft: _Draft, at: int, expected: str, connections: Sequence[str]) -> Iterator[_Draft]:
    """Yield the statement with a word that is expected, or that is often left out."""
    texts = [piece.text for piece in draft.pieces]
    following, before = texts[at : at + 2], texts[at - 1] if at else ""
    ways = [*_EXPECTED_WORD.finditer(expected)]
    for match in ways if len(ways) <= _MOST_WAYS else ():
        word = "ON VIOLATION WARN" if (match[2] or "").startswith("ON") else match[1] or match[2]
        if word not in {"ALL", "JOBS", "TRUE", "FALSE", "(", ")", ","} and word.split()[0] not in STARTS - {"SET"}:
            yield _with(draft, _ADDED + 0.05 * word.count(" "), at, at, word.split())
    if _depth(draft.pieces) > 0:
        yield _with(draft, _ADDED, len(texts), len(texts), [")"])
    if expected == "`=`" and before:
        yield from _as_switch(draft, at - 1)
    if expected == "`=`" or not following:
        return
    if _WORD.fullmatch(following[0]) and following[1:] and following[1] not in {"=", ",", ";"}:
        yield _with(draft, 1.2, at + 1, at + 1, ["="]) if _outside(draft.pieces, at) else draft
    if before.upper() in {"JOBS", "TABLES", "CONNECTIONS", "BUCKETS"} and _WORD.fullmatch(following[0]):
        yield _with(draft, 1.5, at, at + 1, ["LIKE", literal(following[0])])
    yield from (
        _with(draft, cost, at, at, words) for cost, words in _left_out(following[0], expected, texts, connections)
    )


def _as_switch(draft: _Draft, at: int) -> Iterator[_Draft]:
    """Yield an option without a value as one that is TRUE, or a verb with the AS before it."""
    word, following = draft.pieces[at].text, [piece.text for piece in draft.pieces[at + 1 : at + 2]]
    switches = [option.name for option in OPTIONS if option.takes == "TRUE or FALSE"]
    meant = option_meant(word)
    name = meant.name if meant and meant.name in switches else nearest(word, switches)
    if name and draft.cost < 1:
        yield _with(draft, 0.8, at, at + 1, [name, "=", "TRUE"])
    if word.upper() in _NOT and following and (name := nearest(following[0], switches)):
        yield _with(draft, 0.8, at, at + 2, [name, "=", "FALSE"])
    two = [draft.pieces[at - 1].text, word]
    plain = not VOCABULARY & {each.upper() for each in two} and following and not draft.cost
    if plain and at > 1 and draft.pieces[at - 2].text.upper() == "CONNECTION":
        yield _with(draft, 1.4, at - 1, at + 1, [identifier(" ".join(two))])
    if word.upper() in {"COPY", "INSERT", "MERGE"}:
        yield _with(draft, 1.0, at, at, ["AS"])


def _left_out(
    following: str, expected: str, texts: Sequence[str], connections: Sequence[str]
) -> Iterator[tuple[float, list[str]]]:
    """Yield words that are often left out before one, each with its cost."""
    if following.startswith("'s3://"):
        yield from (
            (1.4, word.split())
            for word in ("LOCATION", "LOCATION =", "LIST" if expected == "a statement" else "LOCATION")
        )
        if expected.startswith("S3") and connections:
            yield 1.4, ["S3", connections[0], "LOCATION", "="]
    elif following.startswith("'"):
        yield from (
            (1.4, [word]) for word in (("MATCHING", "LIKE") if re.search(r"[*?%]", following) else ("VERSION",))
        )
    if following == "(" or following.upper() in {"SELECT", "WITH", "FROM"}:
        yield 1.4, ["AS"]
    if following in connections:
        yield 1.1, ["USING"]
    if following.isdecimal():
        yield 1.5, ["LIMIT"]
    if expected == "FROM":
        yield 1.4, ["INTO"]
    if expected.startswith("a name") and texts[0].upper() == "CREATE":
        yield 1.6, [next((f"my_{text.lower()}" for text in texts if text.upper() in {"JOB", "TABLE"}), "my_s3")]


def _outside(parts: Sequence[_Piece], at: int) -> bool:
    """Return whether a place is before what is read as SQL, and in no brackets but those of an option's value."""
    opened: list[str] = []
    for before, part in pairwise((_Piece(""), *parts[:at])):
        if part.text == "(":
            opened.append(before.text)
        elif part.text == ")" and opened:
            opened.pop()
    return not {part.text.upper() for part in parts[:at]} & _OPAQUE and set(opened) <= {"="}


def _split(draft: _Draft, at: int) -> Iterator[_Draft]:
    """Yield as many statements as there are names or values behind a comma."""
    texts = [piece.text for piece in draft.pieces]
    matched = at > 1 and texts[at : at + 1] == [","] and texts[at - 2].upper() == "MATCHING"
    globs = texts[at - 1 : at + 2 : 2] if matched else []
    if len(globs) > 1 and all(glob.startswith("'") for glob in globs):
        yield _with(draft, 1.0, at - 1, at + 2, [literal(f"{{{','.join(glob[1:-1] for glob in globs)}}}")])
    elif at < len(draft.pieces) and draft.pieces[at].text == ",":
        for length in range(min(at - 1, 4), 0, -1):
            head = draft.pieces[:length]
            rest = (*draft.pieces[:at], _Piece(";", apart=False), *_apart(head, 0), *_apart(draft.pieces[at + 1 :], 0))
            yield draft._replace(cost=draft.cost + 1.4, pieces=rest)


def _changed(draft: _Draft, index: int, stop: _Stop, connections: Sequence[str]) -> Iterator[_Draft]:
    """Yield the statement with a word as another one, in other quotes, joined to the next, or left out."""
    everything = [part.text for part in draft.pieces]
    if not _outside(draft.pieces, index + 1) and everything[index] != "(":
        yield from _edited(draft, query_edits(everything, index, stopped=index == stop.at))
    if not _outside(draft.pieces, index):
        return
    yield from _edited(draft, joined(everything, index))
    yield from _as_words(
        draft,
        index,
        in_place=stop.expected.startswith(("a name", "{a"))
        or (stop.at == len(draft.pieces) and stop.expected != "`=`"),
    )
    texts = [part.text for part in draft.pieces[index : index + 2]]
    end = index + 1
    while end < len(draft.pieces) and not draft.pieces[end].apart and draft.pieces[end].text not in {",", ")", ";"}:
        end += 1
    glued = "".join(part.text for part in draft.pieces[index:end])
    if not index or draft.pieces[index - 1].text != "$":
        is_keyword = glued.strip("\"'`").upper() in KEYWORDS
        wrong = Wrong(stop.expected, stop.within, is_keyword, index == stop.at, connections)
        changes = as_other(glued, "".join(texts[1:]) if end == index + 1 else "", wrong)
        yield from (_with(draft, _CHANGED, index, end + more, text) for text, more in changes)
    ends = texts == ["="]
    if not ends and not _WORD.fullmatch(texts[0]) and texts[0][0] not in "'\"$" and not texts[0][0].isalnum():
        yield _with(draft, 1.0, index, index + 1, [])
    if index == 0 and re.fullmatch(r"[\w-]*>+", glued):
        yield _with(draft, 1.0, 0, end, [])
    if texts[0] == "(" and index and draft.pieces[index - 1].text.upper() == "MATCHING":
        yield from _as_braces(draft, index)


def _as_words(draft: _Draft, index: int, *, in_place: bool) -> Iterator[_Draft]:
    """Yield the statement with one or two words as others."""
    texts = [part.text for part in draft.pieces[index : index + 2]]
    for length in (2, 1):
        words = [text.strip("'").upper() for text in texts[:length]]
        for meant in table().get("_".join(words), ()) if len(words) == length else ():
            # Where the text ends or a name is missing, a word before it is not to blame.
            if not meant or not (in_place or (index and meant.split()[0] in STARTS)):
                yield _with(draft, _CHANGED if meant else 1.4, index, index + length, meant.split())
    if colon := re.fullmatch(r"(\w+):", texts[0]):
        yield from (_with(draft, 0.9, index, index + 1, [colon[1], *mark]) for mark in ([], ["="]))
    if draft.cost < SURE_COST and (alike := _alike(texts[0])):
        yield _with(draft, 1.3, index, index + 1, [alike])
    joined = "_".join(texts).upper()
    if len(texts) > 1 and (joined in VOCABULARY or find_setting(joined)):
        yield _with(draft, 1.0, index, index + 2, [joined])
    behind = [part.text.upper() for part in draft.pieces[index + 1 : index + 4]]
    if texts[0].upper() in {"FILE_FORMAT", "CONTENT_TYPE"} and behind[:1] == ["="] and behind[2:] == ["("]:
        yield _with(draft, 0.9, index + 2, index + 4, ["(", "TYPE", "=", draft.pieces[index + 2].text])
    if [text.upper() for text in texts] == ["BUCKET", "="]:
        yield _with(draft, 1.2, index, index + 1, ["LOCATION"])


def _alike(word: str) -> str:
    """Return the keyword that begins as a word does, such as CASCADE for CASCADING; or its plural."""
    upper = word.upper()
    if upper in KEYWORDS or not _WORD.fullmatch(word):
        return f"{upper}S" if f"{upper}S" in KEYWORDS else ""
    alike = (known for known in sorted(KEYWORDS) if upper[: max(6, len(known) - 2)] == known[: max(6, len(known) - 2)])
    return next(alike, "")


def _edited(draft: _Draft, edits: Iterable[Edit]) -> Iterator[_Draft]:
    return (_with(draft, edit.cost, edit.start, edit.end, edit.words) for edit in edits)


def _as_braces(draft: _Draft, index: int) -> Iterator[_Draft]:
    """Yield several patterns in brackets as one."""
    closed = next((at for at in range(index, len(draft.pieces)) if draft.pieces[at].text == ")"), 0)
    inner = [part.text[1:-1] for part in draft.pieces[index + 1 : closed] if part.text.startswith("'")]
    if inner:
        yield _with(draft, 1.0, index, closed + 1, [literal(f"{{{','.join(inner)}}}")])


def _of_format(draft: _Draft, at: int) -> Iterator[_Draft]:
    """Yield a job with an option as one of its format."""
    texts = [part.text for part in draft.pieces]
    if texts[at + 1 : at + 2] != ["="] or not texts[at + 2 :]:
        return
    name = "CONTENT_TYPE" if "COPY" in map(str.upper, texts) else "FILE_FORMAT"
    given = next((index for index, text in enumerate(texts) if text.upper() == name), None)
    kind = texts[given + 2] if given is not None else "CSV"
    meant = {"DELIM": "DELIMITER", "SEP": "DELIMITER", "SEPARATOR": "DELIMITER", "FIELD_DELIMITER": "DELIMITER"}
    option = meant.get(texts[at].upper(), texts[at].upper())
    whole = _with(draft, 1.0, at, at + 3, [name, "=", "(", "TYPE", "=", kind, option, "=", texts[at + 2], ")"])
    if given is not None and given < at:
        whole = whole._replace(pieces=(*whole.pieces[:given], *whole.pieces[given + 3 :]))
    yield whole


def _moved(draft: _Draft, at: int) -> Iterator[_Draft]:
    """Yield the statement with some words from there on in another place, outside of brackets and queries."""
    parts, most = draft.pieces, len(draft.pieces)
    opaque = next((index for index, part in enumerate(parts) if part.text.upper() in _OPAQUE), most)
    first = parts[at].text
    if not (first.upper() in KEYWORDS or first.startswith("'s3://")) or opaque <= at:
        return
    for end in range(at + 1, min(at + 5, most) + 1):
        run, rest = parts[at:end], (*parts[:at], *parts[end:])
        for to in {most - (end - at), *range(max(1, at - _FAR), at)} - {at}:
            if (to <= opaque - len(run) or opaque == most) and _depth(rest[:to]) == 0:
                moved = (*rest[:to], *_apart(run, 0), *_apart(rest[to:], 0))
                yield draft._replace(cost=draft.cost + _MOVED + 0.1 * (end - at), pieces=moved)


def _depth(parts: Sequence[_Piece]) -> int:
    return sum((part.text == "(") - (part.text == ")") for part in parts)


def _apart(moved: Sequence[_Piece], at: int) -> tuple[_Piece, ...]:
    return (*moved[:at], *(piece._replace(apart=True) for piece in moved[at : at + 1]), *moved[at + 1 :])


def _dropped(draft: _Draft, at: int, only: int = 0) -> Iterator[_Draft]:
    """Yield the statement without some words, which are told."""
    kept = _KEPT - ({"AS"} if draft.pieces[0].text.upper() != "CREATE" else set())
    for end in [at + only] if only else range(at + 1, min(at + 4, len(draft.pieces)) + 1):
        left = _text(draft.pieces[at:end])
        first = (draft.cost < 1 or draft.left_out) and not _CONNECTS.match(_text(draft.pieces))
        first = first and not (
            any(map(find_option, left.split())) and draft.pieces[0].text.upper() in {"CREATE", "ALTER"}
        )
        first = first and left.upper() not in _NOT
        if at and first and draft.pieces[at].apart and not {part.text.upper() for part in draft.pieces[at:end]} & kept:
            rest = _apart((*draft.pieces[:at], *draft.pieces[end:]), at)
            cost = draft.cost + _DROPPED + 0.3 * (1 if only else end - at)
            yield draft._replace(cost=cost, pieces=rest, left_out=(*draft.left_out, left))
