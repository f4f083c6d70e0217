"""Translate another system's statement: by its phrase, by its parts, else a note by its first words.

A text without a phrase is taken apart into locations in S3, options, and its beginning; the rows of `[shapes]` in
`phrases.toml` map that to ours.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.errors import StatementSyntaxError
from s3conn_magic.language.option_names import folded, is_telling, name_meant, option_words, without_quotes
from s3conn_magic.language.phrases import JOINED, Answer, Phrase, flags_of, sentence_on, slot_pattern
from s3conn_magic.language.readings import (
    PLACE,
    SETTINGS_FILE,
    Pair,
    in_s3,
    named_place,
    pairs_in,
    path_apart,
    place_of,
    with_places,
    without_options,
)
from s3conn_magic.language.reference import STATEMENTS
from s3conn_magic.language.session_settings import find_setting
from s3conn_magic.language.source import (
    AS_MARKS,
    BLANK,
    COMMENT,
    MOST,
    PROMPT,
    QUOTED,
    Source,
    Span,
    head_of,
    lines_of,
    masked,
    pieces,
    spaced,
)
from s3conn_magic.language.statements import SetSetting
from s3conn_magic.language.translation import Rewriting, phrased
from s3conn_magic.language.words import book, literal, nearest, words_listed
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from s3conn_magic.language.statements import Statement


_READS = re.compile(r"\b(?:read|scan|load|open|from)_?\w*\s*\(", re.IGNORECASE)
_KINDS = re.compile(r"\b(PARQUET|CSV|JSON|ORC|AVRO|TSV)\b", re.IGNORECASE)
_PYTHON = re.compile(
    r"[a-z_][\w.]*\(|import\s+(?!foreign|into|table)\w|from\s+[\w.]+\s+import\b|[a-z_]\w*\s*=\s*[\w([{]|with\s+\w+[.(]|def\s|@\w"
)
# Options that Python has for any server.
_OF_ANY = {"user", "username", "password", "host", "port", "server", "key", "token"}
# A name with a hyphen, a command with flags, and what is assigned or called in a programming language.
_FOREIGN_START = re.compile(r"\w+-|[a-z]+\s(?:.*\s)?--?[A-Za-z]\w+|[a-z_]\w*\s*(?:=\s*[\w([{]|\()")
_MISSPELT_IF = re.compile(r"(?:\w+\s+){2,4}(?!(?:IF|NOT)\b)\w+\s+(?:NOT\s+)?EXISTS\b", re.IGNORECASE)
_ASKS = re.compile(r"(?:SELECT|WITH|FROM)\b(?!.*\bINTO\b)", re.IGNORECASE | re.DOTALL)
_OF_SECRET = re.compile(r"(?:SECRET|CREDENTIALS?|TOKEN|PASSWORD|KEY)\s*\Z", re.IGNORECASE)


class Shape(NamedTuple):
    """A translated text: its own phrase, its slots, and its options."""

    phrase: Phrase
    slots: Mapping[str, str]
    pairs: list[Pair]


class _Row(NamedTuple):
    head: re.Pattern[str]
    needs: str
    ours: str
    difference: str


@cache
def _rows() -> tuple[_Row, ...]:
    shapes = book()["shapes"]
    slot = re.compile("«(\\w+)»")

    def pattern(head: str) -> re.Pattern[str]:
        head = head.replace("«noun»", str(shapes["nouns"]))
        return re.compile(slot.sub(lambda match: slot_pattern(match[1]), head), re.IGNORECASE | re.DOTALL)

    return tuple(_Row(pattern(row[0]), *row[1:]) for row in shapes["rows"])


def shapes_of(text: str) -> Iterator[Shape]:
    """Yield the possible translations of a text, the likelier first."""
    place = place_of(text)
    python = _PYTHON.match(text)
    written = [*_of_python([*pairs_in(text)])] if python else [*pairs_in(text)]
    of_any = _OF_ANY - {"key", "token"} if any("SECRET" in folded(name) for name, _ in written) else _OF_ANY
    kept = [pair for pair in written if pair[1] != f"'{BLANK}'" and not set(option_words(folded(pair[0]))) <= of_any]
    pairs = kept if python else written
    telling = any(is_telling(name) for name, _ in pairs)
    if _is_nearly_ours(text):
        verb = re.match(r"(?:LIST|EXPLORE|ANALYZE|PREVIEW)\b", text, re.IGNORECASE)
        if verb and place and telling:
            yield Shape(_phrase(f"{{connect}}{verb.group().upper()} {{place}}{{using}};"), {"place": place}, pairs)
        return
    if command := _command(text, place):
        yield command
        return
    place = place or named_place(written)
    kinds = _KINDS.findall(PLACE.sub("", text))
    writes = {"writes": kinds[0]} if kinds else {}
    plain = PLACE.sub(
        lambda match: without_quotes(place_of(match.group())) or match.group(), without_options(text, place)
    )
    if place and re.search(book()["shapes"]["lists"], text, re.IGNORECASE) and not re.search(r"\.delete\w*\(", text):
        all_below = re.search(r"\.objects\.|recursive\W{1,3}true|list_objects_v2", text, re.IGNORECASE)
        deep = " RECURSIVE" if all_below else "{recursive}"
        yield Shape(_phrase(f"{{connect}}LIST {{place}}{{using}}{deep}{{matching}}{{limit}};"), {"place": place}, pairs)
    queried = plain if plain != text and _ASKS.match(plain) else ""
    if place and (query := with_places(plain) or queried):
        yield Shape(_phrase("{connect}{asked};"), {"asked": query, "place": place}, pairs)
    for said in () if python else dict.fromkeys((plain, text)):
        yield from _fitting(said, text, place, pairs, writes)
    if place and (called := _called(text, place, pairs)):
        yield called
    if not place and re.search(r"\.buckets\.|list_?buckets", text, re.IGNORECASE):
        yield Shape(_phrase("{connect}SHOW BUCKETS{using};"), {}, pairs)
    if telling and not (re.match(r"\w+\s", text) and sentence_on(text)):
        reads = place and _READS.search(text)
        ours = "{connect}" + book()["shapes"]["reads"] if reads else "CREATE S3 CONNECTION {name}{options};"
        yield Shape(_phrase(ours), {"place": place} if reads else {}, pairs)


_FRAME = re.compile(r"[(\s]*(\w+)\s*\.\s*write\b")
_CALL = re.compile(r"(?:\.|\b)(\w+)\s*(?=\()|\.\s*(read|write)(?:Stream)?\b|(?<=\()['\"](\w+_\w+)['\"]")
_DATA = {"parquet", "csv", "json", "ndjson", "dataset", "feather", "orc", "excel", "delta", "iceberg"}
_OF_DATA = re.compile(r"\.(?:csv|tsv|json|jsonl|ndjson|parquet|orc|avro)(?:\.\w+)?'\Z", re.IGNORECASE)


def _called(text: str, place: str, pairs: list[Pair]) -> Shape | None:
    """Return the translation of a call in a programming language, by the words in the function's name."""
    words = {
        word.lower() for names in _CALL.findall(text) for name in names for word in re.findall(r"[A-Z]?[a-z]+", name)
    }
    rows = (row for row in book()["shapes"]["verbs"] if words & {*row[0].split()})
    row = next((row for row in rows if "{name}" not in row[1]), None)
    if row is None or re.match(r"(?:SELECT|CREATE|CALL|EXEC|BEGIN|INSERT)\b", text):
        return None
    ours = (
        "{connect}" + book()["shapes"]["reads"]
        if "PREVIEW" in row[1] and (_OF_DATA.search(place) or words & _DATA or {"read", "load"} <= words)
        else row[1]
    )
    ours = ours.replace("{recursive}", " RECURSIVE") if words & {"object", "objects", "find", "walk"} else ours
    frame = _FRAME.match(text)
    slots = {"place": place, "words": text} | ({"table": frame[1]} if frame else {})
    return Shape(_phrase(ours, row[2]), slots, pairs)


def _fitting(said: str, text: str, place: str, pairs: list[Pair], writes: dict[str, str]) -> Iterator[Shape]:
    telling = any(is_telling(name) for name, _ in pairs)
    for row in _rows():
        # A lookahead searches the options, which are removed otherwise.
        match = row.head.match(text if "(?=.*" in row.head.pattern else said)
        there = place or (path_apart(text) if row.needs == "path" else "")
        needed = {"": True, "place": there, "path": there, "options": telling or there}
        if match and needed[row.needs]:
            slots = {name: given for name, given in match.groupdict().items() if given}
            # What stands in quotes behind the word for a secret is the secret.
            if slots.get("name", "").startswith(("'", '"')) and _OF_SECRET.search(text, 0, match.start("name")):
                del slots["name"]
            yield Shape(_phrase(row.ours, row.difference), slots | writes | ({"place": there} if there else {}), pairs)


def _of_python(pairs: list[Pair]) -> Iterator[Pair]:
    """Yield the options of Python, with the blank for a variable that is a part of a place."""
    bucket = any(folded(name) == "BUCKET" for name, _ in pairs)
    for name, value in pairs:
        of_place = name_meant(name) == "PATH_DISPLAY_FILTERS" or (bucket and folded(name) == "KEY")
        yield name, f"'{BLANK}'" if of_place and isinstance(value, str) and value.isidentifier() else value


def _phrase(ours: str, difference: str = "") -> Phrase:
    return Phrase("another system's", "", ours, difference, cli=False)


def _is_nearly_ours(text: str) -> bool:
    """Return whether a text begins like a statement of ours, except for a typo."""
    words = [word.upper() for word in re.findall(r"[A-Za-z_]\w*", text[:200])[:3]]
    if (
        not words
        or _MISSPELT_IF.match(text)
        or words[0] in words_listed("own")
        or words[:3] == ["INSERT", "INTO", "S3"]
    ):
        return True
    known = words[0].lower() in words_listed("spoken") or _FOREIGN_START.match(text)
    starts = {statement.name.split()[0] for statement in STATEMENTS}
    near = nearest(words[0], starts)
    if words[0] == "CREATE" and (words[1:2] in (["JOB"], ["SYNC"]) or (words[1:] and nearest(words[1], ["S3"]))):
        return True
    shown = words[0] == "SHOW" and any(statement.name.split()[:2] == words[:2] for statement in STATEMENTS)
    shown = shown and (words[1] != "CREATE" or bool(nearest(words[-1], ["S3", "CONNECTION", "TABLE", "JOB"])))
    if shown or (words[0] in starts and words[1:2] == ["S3"]) or (near and near != words[0] and not known):
        return True
    seconds = {word for statement in STATEMENTS for word in statement.name.split()[1:2]} | {"ICEBERG", "S3"}
    if words[0] in starts and words[1:] and (mistyped := nearest(words[1], seconds)) and mistyped != words[1]:
        return True
    of_ours = ["CONNECTION", "CONNECTIONS", "TABLE", "JOB", "MATERIALIZED", "BUCKETS", "SETTINGS"]
    second = next(
        (near for word in words[1:] if word not in words_listed("not_ours") and (near := nearest(word, of_ours))), None
    )
    if words[0] in {"CREATE", "ALTER"}:
        return second is not None and second not in words
    return words[0] in starts and second is not None and second.startswith("CONNECTION")


# Commands

_LISTED = re.compile(r"[\w.]+=[^,\s]*(?:,[\w.]+=[^,\s]*)+")
_COMMAND = re.compile(
    r"(?:[A-Z_]+=\S+\s+)*(?:sudo\s+)?(?P<tool>[a-z][\w.-]*|[A-Z][a-z]+-[A-Z]\w+)(?P<rest>(?:\s+\S.*)?)\Z", re.DOTALL
)


def _command(text: str, place: str) -> Shape | None:
    """Return the translation of a shell command, by its verb."""
    line = JOINED.sub(" ", text).strip()
    match = _COMMAND.fullmatch(line)
    if (
        match is None
        or "\n" in line
        or match["tool"] in words_listed("spoken")
        or re.match(r"\s*(?:[.=(\[]|\w+\s*=)", match["rest"])
    ):
        return None
    flags, plain = flags_of(line)
    does = {word for row in book()["shapes"]["verbs"] for word in row[0].split()}
    verbs = [name.lstrip("-") for name, _ in flags if name.lstrip("-") in does and not name.startswith("--")]
    pairs = [pair for name, value in flags if name.lstrip("-") not in verbs for pair in _flag(name, value)]
    pairs += re.findall(r"(?<!\S)([\w.-]+)=(\S+)", plain)
    if not place and not re.search(r"\$\{?\w+", plain) and not any(is_telling(name) for name, _ in pairs):
        about = re.search(r"\bs3\b", text) and re.match(r"\s+-{0,2}[a-z]", match["rest"])
        return Shape(_phrase("", book()["shapes"]["plain"]), {}, []) if about else None
    place = place or (_variable(plain) if not named_place(pairs) else named_place(pairs))
    words = [*verbs, *(word for word in plain.split()[1:5] if "://" not in word), match["tool"]]
    shapes = book()["shapes"]
    rows = ((word, row) for word in words for row in shapes["verbs"] if word in row[0].split())
    fits = next(rows, None)
    if fits and place:
        if "{name}{options}" in fits[1][1]:
            return Shape(_phrase(*fits[1][1:]), _named(plain), [*pairs, ("path", place)])
        return Shape(_phrase(*fits[1][1:]), {"place": place}, pairs)
    if any(is_telling(name) and name.upper() != "BUCKET" for name, _ in pairs):
        named = any("connection" in name.lower() for name, _ in flags)
        return Shape(_phrase("CREATE S3 CONNECTION {name}{options};"), _named(plain) if named else {}, pairs)
    return Shape(_phrase(shapes["command"], shapes["commanded"]), {"place": place}, pairs) if place else None


def _named(plain: str) -> dict[str, str]:
    """Return the name that a command gives to what it creates: its last word before a location."""
    words = [word for word in plain.split()[2:] if re.fullmatch(r"[A-Za-z_][\w-]*", word)]
    return {"name": words[-1]} if words and words[-1] not in {"add", "set", "create", "new"} else {}


def _flag(name: str, value: str) -> Iterator[Pair]:
    if _LISTED.fullmatch(value):
        yield from ((key, said) for key, _, said in (each.partition("=") for each in value.split(",")))
        return
    key, mark, behind = without_quotes(value).partition("=")
    name = name[2:] if re.match(r"-D\w+\.", name) else name
    yield (key, behind) if mark and re.fullmatch(r"[\w.-]+", key) else (name, value)


def _variable(plain: str) -> str:
    """Return the location in a shell variable, with what follows it."""
    match = re.search(r"(?:\"|')?\$\{?(\w+)\}?(\S*?)(?:\"|')?(?=\s|$)", plain)
    return literal(f"s3://…{match[2] or '/'}") if match else ""


# Answers


_PROGRAMS = {"Python's", "Spark's"}
# Beginnings of statements of several lines, each of which alone is not a statement.
_LONG_STATEMENT = re.compile(
    r"(?:CREATE|ALTER|DROP|COPY|INSERT|SELECT|WITH|LOAD|UNLOAD|CALL|EXEC|BACKUP|ATTACH)\s", re.IGNORECASE
)
# Other services, and words that indicate S3.
_OTHER_SERVICES = re.compile(
    r"azure|abfss?:|wasbs?:|adls|dynamodb|kafka|bigquery|api_gateway|API\s+INTEGRATION|hdfs:|kinesis"
    r"|\b(?!(?:parquet|duckdb|iceberg|delta|csv|regex|delimited)_)\w+_(?:fdw|wrapper)\b",
    re.IGNORECASE,
)
_OF_S3 = re.compile(r"s3|minio|\br2\b|amazonaws", re.IGNORECASE)


def _is_of_another_service(text: str) -> bool:
    """Return whether a statement is about a service other than S3."""
    scheme = re.search(r"['\"](?:kafka|azure|abfss?|wasbs?|hdfs|kinesis|pulsar)://", text, re.IGNORECASE)
    return scheme is not None or (_OTHER_SERVICES.search(text) is not None and _OF_S3.search(text) is None)


def answer(
    text: str, at: int, connections: Sequence[str] = (), parses: Callable[[str], bool] = lambda _: True
) -> Answer | None:
    """Return the translation of another system's statement at an offset of a cell, or None.

    Args:
        text: of the cell.
        at: where the parser stopped.
        connections: existing names, the default first.
        parses: returns whether a text parses.
    """
    if JOINED.match(text, at):
        return None
    text = PROMPT.sub(lambda match: " " * len(match.group()), text.translate(AS_MARKS))
    span = next((span for span in pieces(text) if span.end >= at), Span(0, 0))
    lines = islice(lines_of(text, span), _MOST_LINES)
    answers = [made for unit in (span, *lines) if (made := phrased(text, unit, connections))]
    first = next((made for made in answers if made.ours and parses(made.ours)), None)
    said = next((made for made in answers if not made.ours and made.whose not in {"Python's", "a shell's", ""}), None)
    begun = first is not None and first.span != span and _LONG_STATEMENT.match(text, span.start)
    of_python = first is not None and first.whose in _PROGRAMS and not first.ours.startswith("CREATE S3 CONNECTION")
    if (first is None and said is None) or begun or of_python:
        shaped = _by_shape(text, span, connections, parses)
        connects = shaped is not None and re.match(
            r"CREATE S3 CONNECTION \w+ (?!PATH_DISPLAY_FILTERS = [^;]*;$)", shaped.ours
        )
        first = shaped if first is None or (begun and shaped) or (of_python and connects) else first
    whole = span if first is not None and first.whose in _PROGRAMS else None
    if first is not None and (amiss := _lost(first, text, whole)):
        shaped = _by_shape(text, span, connections, parses)
        first = shaped if shaped and shaped.ours and _lost(shaped, text) < amiss else first
    several = "\n" in text.strip() or ";" in text.strip().rstrip(";")
    if several and (together := _in_order(text, connections, parses)):
        cell = together.span
        of_program = first is not None and first.whose in _PROGRAMS
        if first is None or not of_program or _lost(together, text, cell) < _lost(first, text, cell):
            first = together
    if first and "S3 CONNECTION" in first.ours and _is_of_another_service(text[slice(*first.span)]):
        return Answer(first.whose, first.head, first.span, "", "Connections lead to Amazon S3 and compatible servers.")
    first = _with_count(_with_connection(first, text, connections, parses), text, parses)
    first = first or said or next(iter(answers), None) or _by_first_words(text, span)
    if first and not first.ours and (first.whose == "Python's" or "Delete this " in first.note):
        later = (made for unit in pieces(text) if (made := phrased(text, unit, connections)) and made.ours)
        return next(later, first)
    return first


_CREATES = re.compile(r"CREATE (?:OR REPLACE )?S3 CONNECTION (?:IF NOT EXISTS )?(?P<name>\S+)(?P<options>[^;]*);\Z")
_LOOKS = re.compile(r"(?:LIST|PREVIEW|ANALYZE|EXPLORE|SHOW BUCKETS)\b(?!.* USING )")
_MOST_STATEMENTS, _MOST_LINES = 8, 50  # of a cell
_WAYS = {"AWS_ACCESS_KEY_ID", "AWS_ROLE", "AWS_PROFILE", "ANONYMOUS"}


def _in_order(text: str, connections: Sequence[str], parses: Callable[[str], bool]) -> Answer | None:
    """Return the translation of a cell of several foreign statements: the first ones connect, and others use that.

    Settings that complete each other are one connection, that of the last name.
    """
    units, connects, others, name = [*_units(text)], list[Answer](), list[Answer](), ""
    for unit in units if len(units) <= _MOST_LINES else ():
        if _SECRET_APART.match(text, *unit):
            continue
        made = _of_unit(text, unit, connects, [name, *connections] if name else connections, parses)
        if made is None or (others and "CONNECTION" in made.ours):
            return None
        creates = _CREATES.match(made.ours)
        alone = creates and creates["name"].startswith("my_s3") and not _REACHES.search(creates["options"])
        if creates and (connects or not alone):
            again = alone or (connects and connects[-1].ours.endswith(f"{creates['options']};"))
            name = name if name and (again or creates["name"].startswith("my_s3")) else creates["name"]
            connects += [] if again else [made]
            connects[-1] = replace(connects[-1], span=Span(connects[-1].span.start, unit.end))
        elif made.ours and not alone:
            others.append(made)
    alike = (
        len({made.whose for made in others}) == 1
        and others[0].whose not in _PROGRAMS
        and len(others) <= _MOST_STATEMENTS
    )
    if not connects and not (len(others) > 1 and alike):
        return None
    if len(connects) + len(others) == 1 and not _SECRET_APART.match(text, units[0].start):
        return None
    connects = _as_one(text, connects, name) if connects else []
    said = [*(made.ours for made in connects), *(_through(made.ours, name) if name else made.ours for made in others)]
    note = " ".join(dict.fromkeys(made.note for made in (*connects, *others) if made.note))
    first, ours = [*connects, *others][0], " ".join(said)
    return Answer(first.whose, first.head, Span(units[0].start, units[-1].end), ours, note) if parses(ours) else None


def _of_unit(
    text: str, unit: Span, connects: Sequence[Answer], known: Sequence[str], parses: Callable[[str], bool]
) -> Answer | None:
    """Return the translation of one of several statements; one that is ours as it is."""
    written = text[slice(*unit)]
    if connects and re.match(r"(?:SELECT|WITH|FROM|LIST|PREVIEW|EXPLORE|ANALYZE)\b", written) and parses(written):
        return Answer("", unit, unit, masked(f"{written};"))
    made = phrased(text, unit, known)
    if made is None or (made.whose in _PROGRAMS and _lost(made, text)):
        made = _by_shape(text, unit, known, parses) or made
    if made is None and connects and any(is_telling(key) for key, _ in pairs_in(written)):
        return replace(connects[-1], span=unit)
    return made if made and (made.ours or made.whose in _PROGRAMS) else None


def _as_one(text: str, connects: list[Answer], name: str) -> list[Answer]:
    """Return one connection for settings that complete each other, else all of them."""
    given = [{name for name, _ in _OPTION.findall(made.ours)} for made in connects]
    ways = {way for way in _WAYS for options in given if way in options}
    if len(connects) == 1 or set.intersection(*given) or (len(ways) > 1 and given[0] & given[-1]):
        return connects
    plain = in_s3(_GO_LINE.sub(" ", text[connects[0].span.start : connects[-1].span.end]), text)
    pairs = [pair for pair in pairs_in(plain) if pair[1] != f"'{BLANK}'"]
    slots = {"name": name}
    shape = Rewriting(_phrase("CREATE S3 CONNECTION {name}{options};"), slots, pairs, (), text=plain)
    whole = shape.answer(connects[0].head, connects[0].span, lines=True)
    if whole is None or not whole.ours:
        return connects
    options = {name: value for made in connects for name, value in _OPTION.findall(made.ours)}
    more = "".join(f" {name} = {value}" for name, value in options.items() if f" {name} = " not in whole.ours)
    return [replace(whole, ours=f"{whole.ours[:-1]}{more};")]


def _through(ours: str, connection: str) -> str:
    """Return a statement that looks at a place with the connection that it looks through."""
    if re.search(rf"(?<!\w){re.escape(connection)}(?!\w)", ours):
        return ours
    if _LOOKS.match(ours):
        return f"{ours.rstrip('; ')} USING {connection};"
    return ours.replace("'s3://", f"'s3://{connection}@") if ours.startswith("SELECT") else ours


_REACHES = re.compile(r"\b(?!PATH_DISPLAY_FILTERS|COMMENT)[A-Z_]+ = ")
_OPTION = re.compile(rf"\b([A-Z_]+) = (\([^()]*\)|{QUOTED}|[^\s;]+(?: '[^']*')*)")
_SECRET_APART = re.compile(r"CREATE\s+SECRET\s+\w+\s+AS\s+'", re.IGNORECASE)
_GO_LINE = re.compile(r"^[ \t]*(?:GO|/)[ \t]*$", re.IGNORECASE | re.MULTILINE)


def _units(text: str) -> Iterator[Span]:
    """Yield the statements of a cell: those that a semicolon or GO ends, and the lines of commands and of Python."""
    # A line with GO alone ends a statement, to the same length.
    text = _GO_LINE.sub(lambda match: f"{' ' * (len(match.group()) - 1)};", text)
    for piece in pieces(text):
        if piece.start == piece.end or SETTINGS_FILE.fullmatch(text, *piece):
            yield from [piece] * (piece.start < piece.end)
        elif _LONG_STATEMENT.match(text, piece.start):
            yield piece
        else:
            yield from _commands(text, piece)


def _commands(text: str, piece: Span) -> Iterator[Span]:
    """Yield the lines of a text, with those that go on together."""
    begun, end = piece.start, piece.start
    for line in lines_of(text, piece) if "\n" in text[slice(*piece)] else [piece]:
        before = text[begun:end]
        goes_on = before.count("(") > before.count(")") or before.rstrip().endswith("\\")
        if before and not goes_on and not text.startswith((".", ")"), line.start):
            yield Span(begun, end)
            begun = line.start
        end = line.end
    yield Span(begun, end)


def _with_connection(
    made: Answer | None, text: str, connections: Sequence[str], parses: Callable[[str], bool]
) -> Answer | None:
    """Return a translation with the connection that the statement names by USING at its end."""
    written = made and re.search(r"\bUSING\s*\(?(\w+)\)?\s*\Z", text[slice(*made.span)], re.IGNORECASE)
    if (
        not made
        or not written
        or written[1] not in connections
        or re.search(rf"(?:USING |//){written[1]}\b", made.ours)
    ):
        return made
    ours = f"{made.ours.rstrip('; ')} USING {written[1]};"
    return replace(made, ours=ours) if made.ours and parses(ours) else made


# How systems say how many rows they want.
_COUNT = re.compile(
    r"(?:\b(?:SELECT|LIST)\s+TOP\s*\(?\s*|\|\s*head\s+(?:-n\s*|--lines[= ])?-?|\b(?:LIMIT|FETCH\s+(?:FIRST|NEXT))\s+"
    r"|--?(?:max-items|max-keys|max-results|limit|head)[= ]|\b(?:n_?rows|max_?(?:keys|items|results)|limit)\s*[=:]\s*"
    r"|\.(?:head|limit|take|show|fetch)\(\s*(?:n\s*=\s*)?)['\"]?(?P<count>\d+)\b(?![-.,/:\w]*[A-Za-z%]|\s*PERCENT)",
    re.IGNORECASE,
)
_OF_ROWS = re.compile(r"(?:LIST|PREVIEW|SELECT)\b(?!.*\bLIMIT\b)(?:[^;']|'[^']*')*;\Z", re.DOTALL)


def _with_count(made: Answer | None, text: str, parses: Callable[[str], bool]) -> Answer | None:
    """Return a translation with the number of rows that the statement asks for, if it has none."""
    if not made or not (last := _OF_ROWS.search(made.ours)):
        return made
    asked = _COUNT.search(text, made.span.start, made.span.end)
    ours = f"{made.ours.rstrip('; ')} LIMIT {asked['count']};" if asked and " count(" not in last.group() else ""
    return replace(made, ours=ours) if ours and parses(ours) else made


# Options without which the wrong server, or none, is reached.
_NEEDED = {"AWS_ACCESS_KEY_ID", "AWS_ROLE", "AWS_PROFILE", "AWS_SESSION_TOKEN", "ENDPOINT", "ANONYMOUS"}


def _lost(made: Answer, text: str, span: Span | None = None) -> int:
    """Return how many options and locations a translation loses, or leaves in a query where they have no effect."""
    written = in_s3(text[slice(*(span or made.span))], text)
    pairs = [*pairs_in(written)]
    names = {name for name, _ in pairs}
    place = place_of(written) or named_place(pairs)
    bucket = place.partition("://")[2].partition("/")[0].strip("'")
    folder = re.split(r"[*?{\[]", place[6:-1])[0].rpartition("/")[0] or bucket
    blank = re.search(rf"s3://(?:\w+@)?{BLANK}", made.ours) is not None
    placeless = bucket not in {"", BLANK} and (blank + (bucket not in made.ours) + (folder not in made.ours))
    needed = {name: ours for name in names - {"TYPE", "type"} if (ours := name_meant(name)) in _NEEDED}
    behind = re.sub(
        r"CREATE (?:OR REPLACE )?S3 CONNECTION [^;]*;|ALTER S3 CONNECTION .*", "", made.ours, flags=re.DOTALL
    )
    kept = [
        name for name in needed if re.search(rf"(?<!\w){re.escape(name)}['\"]?\s*(?:=>?|[:',])", behind, re.IGNORECASE)
    ]
    return len({ours for ours in needed.values() if ours not in made.ours}) + len(kept) + placeless


def _by_shape(text: str, span: Span, connections: Sequence[str], parses: Callable[[str], bool]) -> Answer | None:
    """Return the translation of a statement without a phrase, by its parts."""
    written = text[slice(*span)]
    if not written or len(written) > MOST:
        return None
    plain = COMMENT.sub(lambda match: match[1] or " ", written).strip().rstrip(";").rstrip()
    for shape in shapes_of(in_s3(plain, text)):
        taken = Rewriting(shape.phrase, shape.slots, shape.pairs, connections, text=plain)
        made = taken.answer(head_of(text, span), span, lines="\n" in written)
        if made and (not made.ours or (parses(made.ours) and spaced(made.ours) != spaced(written))):
            return made
    return None


def _by_first_words(text: str, span: Span) -> Answer | None:
    said = sentence_on(text[span.start : span.start + 80])
    return Answer("", head_of(text, span), span, "", said) if said else None


def accepted(
    source: Source, note: Callable[[str], None], parse: Callable[[Source], list[Statement]]
) -> tuple[list[Statement], Source]:
    """Return the statements of a text, foreign ones translated, and the translated text."""
    try:
        parsed = parse(source)
    except StatementSyntaxError:
        pass
    else:
        if _sets_ours(parsed):
            return parsed, source
    if (said := _translated(source, parse)) is not None:
        source = replace(source, text=said.reveal())
        note("Statements of other systems are run as ours: EXPLAIN shows what each becomes.")
    return parse(source), source


def _sets_ours(parsed: Iterable[Statement]) -> bool:
    """Return whether the settings are ours; `SET s3_region = …` is another system's statement."""
    return all(find_setting(node.name.text) for node in parsed if isinstance(node, SetSetting))


def _translated(source: Source, parse: Callable[[Source], list[Statement]]) -> Secret | None:
    """Return a cell with each foreign statement translated, with secrets; None if one cannot be."""

    def is_ours(statement: str) -> bool:
        try:
            return _sets_ours(parse(Source(statement)))
        except StatementSyntaxError:
            return False

    text = source.text
    said, at, settings = [], 0, False
    for span in pieces(text):
        made = None if is_ours(text[slice(*span)]) else phrased(text, span, source.connections())
        # A misspelt statement of ours gets a hint, and never runs as it may have been meant.
        if made is None or not made.whose:
            continue
        if made.whole is None and made.ours:
            return None
        repeated = settings and bool(re.match(r"(?i)SET\s", text[slice(*span)]))
        settings = settings or bool(re.match(r"(?i)SET\s", text[slice(*span)]))
        said += [text[at : span.start], "" if repeated or made.whole is None else made.whole.reveal().rstrip("; ")]
        at = span.end
    return Secret("".join([*said, text[at:]])) if said else None
