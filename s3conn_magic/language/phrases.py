"""The phrase book: other systems' statements and options with our equivalents, from `phrases.toml`.

It is used after a statement has failed, and for HELP, Tab and docs/mapping.md. Patterns are written like the
reference's syntax: words as they are, `[optional]`, `{one|of|these}`, `<slot>` for a part that is taken over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.language.option_names import BOOLEANS, Written, folded, option_words, without_quotes
from s3conn_magic.language.options import find_option
from s3conn_magic.language.reference import KEYWORDS
from s3conn_magic.language.session_settings import SETTING_NAMES
from s3conn_magic.language.source import BLANK, KEY_ID, QUOTED, Span, harmless, lines_of, pieces
from s3conn_magic.language.words import book, identifier, literal, pattern_as, sections, words_listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from s3conn_magic.language.given import Given
    from s3conn_magic.secrets import Secret

    Options = Mapping[str, Written]
    Slots = Mapping[str, str]


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
            pieces.append(rf"\s*{word}" + ("" if follows in {"<", "{"} else r"\b" if follows == "-" else r"\b(?!-\w)"))
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
_PIPED = re.compile(rf"({QUOTED})|\s+(?:[|>]|#\s).*", re.DOTALL)
# Flags of one dash that are words, as programs in Go and Java have them, and PowerShell.
_TAKES = re.compile(
    r"-(?:i?name"
    r"|\w*(?:include|bucket|prefix|key|profile|region|endpoint|secret|access|token|path|url|uri|role)\w*)",
    re.IGNORECASE,
)
# Two commands of one tool: each line is one.
_TWICE = re.compile(r"\A\W*(\w+)\s.*\n\W*\1\s", re.DOTALL)
_FLAG = re.compile(rf"(?<!\S)(--?[A-Za-z][\w-]*)(?:=(\S+)|\s+=\s+({QUOTED}|\S+))?|(?:{QUOTED})")


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
        if match[1] is None:
            rest.append(text[at : match.end()])
            at = match.end()
            continue
        rest.append(text[at : match.start()])
        name, value, at = match[1], match[2] or match[3], match.end()
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
            command = JOINED.sub(" ", _PIPED.sub(r"\1", text)) if phrase.whose else text
            if phrase.cli and phrase.whose and _TWICE.search(command):
                continue
            flags, plain = flags_of(command, values=values) if phrase.cli else ([], text)
            if (values or (phrase.cli and phrase.whose)) and (match := phrase.match(plain)):
                yield phrase, flags, match


def settings_in(phrase: Phrase, text: str) -> list[tuple[str, str]]:
    """Return all settings of a cell that a phrase matches; together they are one connection."""
    units = [unit for span in pieces(text) for unit in (span, *lines_of(text, span))]
    units_text = [text[slice(*unit)] for unit in units]
    matches = [phrase.match(flags_of(_PIPED.sub(r"\1", each))[1] if phrase.cli else each) for each in units_text]
    groups = [match.groupdict() for match in matches if match]
    return [(_setting_name(phrase, group), group["value"]) for group in groups]


def _setting_name(phrase: Phrase, group: Mapping[str, str]) -> str:
    name = (
        group.get("setting") or group.get("own_setting") or group.get("key") or group.get("item", "").strip("[] ") or ""
    )
    return (
        f"s3_{name}" if "s3_<setting>" in phrase.theirs else f"fs.{name}" if "fs.<setting>" in phrase.theirs else name
    )


# A text that a cell gives a name to, and texts that are made of several.
_CONSTANT = re.compile(
    r"^[ \t]*(?:(?:export|let|var|const|val|final|String)\s+)*(?P<name>[A-Za-z_]\w*)\s*(?::\s*\w+\s*)?=\s*"
    r"[rfub]?(?P<value>'[^'\n]*'|\"[^\"\n]*\"|[\w./:-]+)[ \t;]*(?:#.*)?$",
    re.MULTILINE,
)
_JOINED_TEXTS = re.compile(r"(?P<quote>['\"])\s*\+\s*f?(?P=quote)")
_FILLED = re.compile(
    r"(?P<quote>['\"])(?P<text>[^'\"]*(?:\{\d*\}|%s)[^'\"]*)(?P=quote)\s*(?:\.format\s*|%\s*)\((?P<values>[^()]*)\)"
)


def with_constants(text: str, cell: str) -> str:
    """Return a text of a cell with the texts that the cell gives names to where they stand in places and arguments."""
    constants = {match["name"]: without_quotes(match["value"]) for match in _CONSTANT.finditer(cell)}
    for name, value in re.findall(rf"\bCREATE\s+SECRET\s+(\w+)\s+AS\s+({QUOTED})", cell, re.IGNORECASE):
        text = re.sub(rf"(?<!CREATE )\bSECRET\s+{name}\b", value.replace("\\", r"\\"), text)
    before, text = text, _FILLED.sub(_filled, text)
    for name, value in [*constants.items()] * 2:
        if re.search(r"[\s'\"{}\\]", value) or not value:
            continue
        named = rf"\$?\{{{name}\}}|\${name}\b"
        text = re.sub(rf"(?<=://)([^\s'\"]*?)(?:{named})", rf"\g<1>{value}", text)
        of_place = "://" in value or {"bucket", "prefix", "path"} & set(option_words(folded(name)))
        if of_place and not KEY_ID.fullmatch(value):
            text = re.sub(rf"f?(?P<quote>['\"])(?:{named})(?=[/'\"])", rf"\g<quote>{value}", text)
            text = re.sub(rf"(?<=[(=,+])(\s*){name}(?=\s*[,)+\n])", rf"\g<1>'{value}'", text)
            text = re.sub(rf"(?<=\s){name}(\s*\+)", rf"'{value}'\g<1>", text)
    return text if text == before else _JOINED_TEXTS.sub("", text)


def _filled(match: re.Match[str]) -> str:
    """Return a text with its values, which stand behind it, in their places."""
    values = [value.strip() for value in match["values"].split(",") if value.strip()]
    parts = re.split(r"\{\d*\}|%s", match["text"])
    said = [without_quotes(value) if value[:1] in "'\"" else f"{{{value}}}" for value in values]
    filled = "".join(part + put for part, put in zip(parts, [*said, *[BLANK] * len(parts)], strict=False))
    return f"{match['quote']}{filled.removesuffix(BLANK)}{match['quote']}"


def named_only(options: Mapping[str, Written], theirs: str, said: str) -> str:
    """Return what to do if a connection's credentials are told by a name alone."""
    named = [name for name in options if name in words_listed("connections")]
    named += ["CREDENTIAL"] * ("CREDENTIAL <other>" in theirs)
    kept = re.search(r"\b(?:AWS_ROLE|AWS_PROFILE|AWS_ACCESS_KEY_ID|ANONYMOUS) = ", said)
    connects = re.match(r"CREATE [A-Z ]*S3 CONNECTION(?!.*; CREATE)", said, re.DOTALL)
    asks = named and connects and not kept
    return f"{named[0]} names credentials: add its AWS_ROLE, AWS_PROFILE or key pair as an option." if asks else ""


def without_counterpart(names: Sequence[str], reasons: Mapping[str, str]) -> str:
    """Return the note on options that are left out, with the reason for a single one."""
    left = ", ".join(dict.fromkeys(name for name in names if name != BLANK))
    # A hint's statement ends with its last semicolon.
    reason = f": {reasons[left].partition(';')[0]}" if reasons.get(left) else ""
    return f"{left} {'have' if ',' in left else 'has'} no counterpart{reason}." if left else ""


def unknown(named: str, options: Mapping[str, Written], connections: Sequence[str]) -> str:
    """Return the connection that a statement names, in a place or an option, if there are only others."""
    # What stands behind CREDENTIAL may be a secret.
    names = {name for name in words_listed("connections") if "CREDENTIAL" not in name}
    name = named or without_quotes(next((str(value) for name, value in options.items() if name in names), ""))
    known = {other.casefold() for other in connections}
    return name if known and name.casefold() not in known and harmless(name) else ""


def unknown_note(named: str, instead: str, said: str) -> str:
    """Return the note on a connection that does not exist, in a statement that goes through another one."""
    goes = re.search(r"\A(?!.*S3 CONNECTION).*(?:s3://| S3 )", said)
    return f"There is no connection {named}: {instead} stands for it." if goes else ""


def job_of(place: str) -> str:
    """Return a name for the job that writes to a place."""
    last = re.split(r"[/.]", place.rstrip("/").rpartition("/")[2])[0]
    name = re.sub(r"\W+", "_", last).strip("_")
    return f"write_{name}" if name and harmless(name) else "write_rows"


def load_of(text: str, table: str) -> str:
    """Return the name that a statement gives to what it loads, or one for the job that loads a table."""
    labelled = re.search(r"\bLABEL\s*=?\s*(?:\w+\.)?(\w+)", text)
    plain = re.sub(r"\W+", "_", table.rpartition(".")[2].strip('"'))
    return labelled[1] if labelled else f"load_{plain}"


def sentence_on(text: str) -> str:
    """Return the note on a statement by its first words alone."""
    upper = [word.upper() for word in re.findall(r"[A-Za-z_]\w*", text)[:2]]
    sentences = book()["none"]
    return str(sentences.get(" ".join(upper)) or sentences.get(upper[0] if upper else "") or "")


# Columns and conditions of queries and calls

_ALONE = re.compile(r'(?<![\w"])[A-Za-z_]\w*(?![\w"])')
# Columns by their numbers, and fields of the one column that a file of JSON is in other systems.
_COLUMNS = (
    (re.compile(r"\bGET_PATH\(\s*PARSE_JSON\(\s*\$1\s*\)\s*,\s*'([\w.]+)'\s*\)", re.IGNORECASE), r"\1"),
    (re.compile(r"\bPARSE_JSON\(\s*\$1\s*\)(?=:)", re.IGNORECASE), "$1"),
    (re.compile(r"(?:\w+\.)?\$1:\"?([\w.]+)\"?"), r"\1"),
    (re.compile(r"(?:\w+\.)?\$(\d+)"), r"#\1"),
    (re.compile(r"(?:\w+\.)?METADATA\$FILENAME", re.IGNORECASE), "filename"),
)


def columns_of(words: str) -> str:
    """Return the columns of a query over files in our words."""
    for pattern, said in _COLUMNS:
        words = pattern.sub(said, words)
    return words


_PICKED = re.compile(
    rf"\b(?:columns|usecols|with_columns)\s*=\s*\[((?:\s*(?:{QUOTED})\s*,?)+)\]|\.select\(\s*\[?((?:\s*(?:{QUOTED})\s*,?)+)\]?\s*\)"
)
_FILTERED = re.compile(rf"\(\s*['\"](\w+)['\"]\s*,\s*['\"](==?|!=|<=?|>=?)['\"]\s*,\s*({QUOTED}|[\d.]+)\s*\)")
_SAID_WHERE = re.compile(r"\.(?:where|filter)\(\s*\"([^\"]+)\"\s*\)")


def picked(text: str) -> str:
    """Return the columns that a call in a programming language reads."""
    match = _PICKED.search(text)
    names = re.findall(QUOTED, match[1] or match[2]) if match else []
    return ", ".join(as_table(identifier(without_quotes(name))) for name in names) or "*"


def where(text: str) -> str:
    """Return the condition of a call in a programming language, as a clause."""
    asked = [
        f"{as_table(name)} {mark.replace('==', '=')} {value if value[0].isdigit() else literal(without_quotes(value))}"
        for name, mark, value in _FILTERED.findall(text)
    ]
    asked += _SAID_WHERE.findall(text)
    return f" WHERE {' AND '.join(asked)}" if asked else ""


def as_table(name: str) -> str:
    """Return the name of a table, its parts in quotes where they are words of ours."""
    return _ALONE.sub(
        lambda match: identifier(match[0]) if match[0].upper() in KEYWORDS or find_option(match[0]) else match[0],
        name.replace("`", '"'),
    )


def _digits_of(number: str) -> str:
    """Return a number as digits: `1_000`, `1,000`, `1K`, `1.0`."""
    return re.sub(r"[_,]|\.0*$", "", number.strip("'")).upper().replace("K", "000").replace("M", "000000")


def limit_of(options: Mapping[str, Written], given: str | None) -> str | None:
    """Return how many rows or objects are asked for, as a clause; None for what is no number."""
    counts = (options.get(name) for name in ("N", "LIMIT", "NROWS", "N_ROWS", "MAX_KEYS", "MAX_ITEMS"))
    number = given or next(filter(None, counts), None)
    if not isinstance(number, str):
        return ""
    digits = _digits_of(number)
    if digits.startswith("-") and digits[1:].isdecimal():
        return " LIMIT ALL"
    return f" LIMIT {digits}" if digits.isdecimal() else None


def depth_of(options: Mapping[str, Written], undone: list[str]) -> str:
    """Return how many levels of folders are asked for, as a clause, and take it from what has no counterpart."""
    name = "DEPTH" if "DEPTH" in options else "MAX_DEPTH"
    levels = without_quotes(str(options.get(name, "")))
    undone[:] = [each for each in undone if each != name or not levels.isdecimal()]
    return f" DEPTH {levels}" if levels.isdecimal() else ""


_GLOBS = ("MATCHING", "GLOB", "NAME", "INAME", "INCLUDE")


def matching(options: Mapping[str, Written], glob: str, text: str) -> str:
    """Return the glob behind a location, or in a text or an option, as a clause."""
    if glob or text:
        return f" MATCHING {literal(glob or without_quotes(text).replace('%', '*'))}"
    asked = next((options[name] for name in _GLOBS if name in options), 0)
    if isinstance(asked, str) and asked != "true":
        deep = "**/" * ("/" not in asked and not {"MATCHING", "GLOB"} & options.keys())
        return f" MATCHING {literal(deep + without_quotes(asked))}"
    kept = glob_of(options.get("PATTERN"))
    return f" MATCHING {literal(kept)}" if kept else ""


def glob_of(pattern: Written | None) -> str:
    """Return a regular expression of keys as a glob, or nothing."""
    return pattern_as("glob", without_quotes(pattern), "regular") if isinstance(pattern, str) else ""


# Time travel in Delta, Trino and Athena.
_AS_OF = re.compile(
    r"\b(?:FOR\s+)?(?:SYSTEM_)?(VERSION|TIMESTAMP|TIME)\s+AS\s+OF\s+((?:TIMESTAMP\s+)?'[^']*'|\d+)", re.IGNORECASE
)
_OF_TIME = {"TIME": "TIMESTAMP"}


def in_time(text: str) -> str:
    """Return a statement with an earlier state of a table in our words."""
    return _AS_OF.sub(lambda match: f"AT ({_OF_TIME.get(match[1].upper(), match[1])} => {match[2]})", text)


def as_read(place: str, options: Options) -> str:
    """Return a place of a query, as a call if the delimiter of its files is given."""
    mark, kind = _delimiter_in(options), _kind_of(options, {"place": place})
    said = kind in {"CSV", "TSV"} and mark not in {"", ","}
    return f"read_csv({place}, delim = {literal(mark)})" if said else place


# Conditions on objects: `--larger 64MB`, `--min-age 30d`, and JMESPath's

_BYTES = re.compile(r"([\d.]+)\s*([kmgt]?)(i?b?)", re.IGNORECASE)
_AGE = re.compile(r"(\d+)\s*([smhdwy])", re.IGNORECASE)
_AGES = {"s": "SECOND", "m": "MINUTE", "h": "HOUR", "d": "DAY", "w": "WEEK", "y": "YEAR"}
_SIZED = {"LARGER": ">", "MIN_SIZE": ">=", "SMALLER": "<", "MAX_SIZE": "<="}
_AGED = {"OLDER_THAN": "<", "MIN_AGE": "<", "NEWER_THAN": ">", "MAX_AGE": ">"}
_JMES = re.compile(
    r"\b(?P<field>Size|LastModified|StorageClass)\s*(?P<mark>[<>]=?|==|!=)\s*[`'\"]*(?P<value>[\w:.-]+)"
    r"|\b(?P<call>contains|starts_with|ends_with)\(\s*Key\s*,\s*[`'\"]+(?P<text>[^`'\"]+)"
)
_FIELDS = {"Size": "size", "LastModified": "last_modified", "StorageClass": "storage_class"}


def _bytes_in(text: str) -> int | None:
    sized = _BYTES.fullmatch(text)
    base = 1000 if sized and sized[3].lower() == "b" else 1024
    return int(float(sized[1]) * base ** " kmgt".index(sized[2].lower() or " ")) if sized else None


def _conditions(options: Options) -> Iterator[tuple[str, str]]:
    """Yield the options that are conditions on objects, each with that in SQL."""
    for name, value in options.items():
        text = without_quotes(str(value))
        if name in _SIZED and (size := _bytes_in(text)) is not None:
            yield name, f"size {_SIZED[name]} {size}"
        if name in _AGED and (age := _AGE.match(text)):
            yield name, f"last_modified {_AGED[name]} now() - INTERVAL {age[1]} {_AGES[age[2].lower()]}"
        for asked in _JMES.finditer(text) if name == "QUERY" else ():
            if asked["call"]:
                yield name, f"{asked['call']}(key, {literal(asked['text'])})"
            else:
                value_of = asked["value"] if asked["field"] == "Size" else literal(asked["value"])
                yield name, f"{_FIELDS[asked['field']]} {asked['mark'].replace('==', '=')} {value_of}"


_LISTING = re.compile(
    r"LIST (?P<place>'[^']*')(?: USING (?P<name>\S+?))?(?: RECURSIVE)?(?: MATCHING '(?P<glob>[^']*)')?"
    r"(?: USING (?P<other>\S+?))?(?P<limit> LIMIT \w+)?;\Z"
)


def asked_of(said: str, given: Given) -> str:
    """Return a listing as a query if options say conditions on its objects, and take these from what is left out."""
    listing, asked = _LISTING.search(said), [*_conditions(given.others)]
    if listing is None or not asked:
        return said
    given.undone = [name for name in given.undone if name not in {name for name, _ in asked}]
    name, glob = listing["name"] or listing["other"], listing["glob"]
    place = listing["place"].replace("s3://", f"s3://{name}@" if name else "s3://", 1)
    like = [f"key LIKE {literal('%' + glob.rpartition('*')[2])}"] if glob else []
    where = " AND ".join([*like, *(condition for _, condition in asked)])
    # It is displayed, and never run by itself.
    query = f"SELECT * FROM objects({place}) WHERE {where}"  # noqa: S608
    return f"{said[: listing.start()]}{query}{listing['limit'] or ''};"


# Files: their format, compression, names and number; what of it has no counterpart is named

_WRITTEN = {"PARQUET", "CSV", "TSV", "JSON"}
FORMATS = {"PARQUET", "CSV", "TSV", "JSON", "ORC", "AVRO"}


_WRITES = re.compile(r"(?<=format\([\"'])\w+|(?<=[._])(?:parquet|csv|json|orc|avro)(?=\s*\()", re.IGNORECASE)


def _kind_of(options: Options, slots: Slots) -> str:
    """Return the format of files: by an option, by the ending of the location, else by a word of the statement."""
    named = (options.get(name) for name in ("TYPE", "FORMAT", "FILEFORMAT", "FILE_FORMAT", "AS"))
    parts = [part for each in named for part in re.split(r"[\W_]+", str(each).upper())]
    word = next((part for part in parts if part in FORMATS), "")
    place = without_quotes(slots.get("place", "")).partition("?s3_")[0]
    named_as = re.sub(r"\.(?:gz|zst|bz2)\Z", "", place, flags=re.IGNORECASE)
    ending = named_as.rpartition(".")[2].upper()
    said = f"{slots.get('using')} {slots.get('writes')}".replace("nd", "")
    rest = {token.upper() for token in re.findall(r"\w+", slots.get("options", ""))} & FORMATS
    rest |= {token.upper() for token in re.findall(r"[a-zA-Z]+", said)} & FORMATS
    rest |= {without_quotes(slots.get(slot, "")).upper() for slot in ("word", "method")} & FORMATS
    rest |= {kind.upper() for kind in _WRITES.findall(slots.get("words", ""))} & FORMATS
    kind = word or (ending if ending in FORMATS else next(iter(sorted(rest)), ""))
    return "TSV" if kind in {"", "CSV"} and _delimiter_in(options) == "\\t" else kind


def _settings_of(options: Options, kind: str, *, reads: bool = False) -> str:
    """Return the options of a text format, as CONTENT_TYPE and FILE_FORMAT write them."""
    mark = _delimiter_in(options)
    said = f" DELIMITER = {literal(mark)}" if kind == "CSV" and len(mark) == 1 and (reads or mark != ",") else ""
    headers = [(name, str(options[name]).strip("'\"").lower()) for name in words_listed("headers") & options.keys()]
    headless = any((value in {"false", "no", "off", "0"}) != name.startswith("WITHOUT") for name, value in headers)
    return said + " HEADER = FALSE" * (kind in {"CSV", "TSV"} and headless)


def _compression_of(options: Options, kind: str, slots: Slots) -> str:
    """Return the compression of the output, or the blank if there is no counterpart."""
    switched = re.search(r"\b(GZIP|ZSTD|BZIP2|LZOP)\b(?!')", slots.get("options", ""), re.IGNORECASE)
    ending = without_quotes(slots.get("place", "")).rpartition(".")[2].lower()
    by_name = {"gz": "GZIP", "zst": "ZSTD"}.get(ending, "") if kind != "PARQUET" else ""
    named = (str(value) for name, value in options.items() if {"compression", "codec"} & set(option_words(name)))
    word = without_quotes(next(named, switched[1] if switched else by_name)).upper()
    if word in {"", "AUTO", "NONE", "UNCOMPRESSED"} or (word == "SNAPPY" and kind == "PARQUET"):
        return ""
    return word if word in {"GZIP", "ZSTD"} else BLANK


def _file_pattern(glob: str, pattern: Written | None, *, regular: bool) -> str:
    """Return the FILE_PATTERN of a job: the glob of the location, else the pattern."""
    if glob and (kept := pattern_as("regular", glob, "glob")):
        return f" FILE_PATTERN = {literal(kept)}"
    if not isinstance(pattern, str):
        return ""
    plain = without_quotes(pattern)
    regular = regular or re.search(r"\.[*+]|\\|\[\.\]|[|^$]", plain) is not None
    kept = plain if regular else pattern_as("regular", plain, "glob")
    return f" FILE_PATTERN = {literal(kept)}" if kept else ""


def _delimiter_in(options: Options) -> str:
    """Return the delimiter of fields, or an empty text."""
    return next(
        (without_quotes(str(value)) for name, value in options.items() if name in words_listed("delimiters")), ""
    )


def written_as(options: Options, slots: Slots, *, is_parted: bool) -> tuple[str, list[str]]:
    """Return format and compression of the output of a job, and the options without a counterpart."""
    lake = re.search(r"\b(?:delta|iceberg|hudi)\b", slots.get("words", ""), re.IGNORECASE)
    kind = _kind_of(options, slots) or ("PARQUET" if lake else "CSV")
    settings = _settings_of(options, kind)
    packed = _compression_of(options, kind, slots)
    undone = [lake.group().upper()] if lake else []
    undone += [kind] * (kind not in _WRITTEN) + ["PARTITION BY"] * is_parted + ["COMPRESSION"] * (packed == BLANK)
    undone += ["DELIMITER"] * (len(_delimiter_in(options)) > 1 and kind != "TSV")
    format_ = f"(TYPE = {kind}{settings})" if settings else kind if kind in _WRITTEN else "PARQUET"
    return f" FILE_FORMAT = {format_}" + f" COMPRESSION = {packed}" * (packed not in {"", BLANK}), undone


def read_as(options: Options, slots: Slots, glob: str, *, regular: bool) -> tuple[str, list[str]]:
    """Return the options of a job that loads files, and those without a counterpart.

    Args:
        options: of the statement.
        slots: its parts.
        glob: behind its location.
        regular: whether its patterns are regular expressions.
    """
    kind = _kind_of(options, slots)
    manifest = re.search(r"\bMANIFEST\b(?!\s*=?\s*(?:FALSE|OFF))", slots.get("options", ""), re.IGNORECASE)
    undone = ["MANIFEST"] * bool(manifest) + ["DELIMITER"] * (len(_delimiter_in(options)) > 1 and kind != "TSV")
    undone += [name for name in sorted(words_listed("quotes") & options.keys()) if str(options[name])[1:-1] != '"']
    settings = _settings_of(options, kind or "CSV", reads=True)
    content = (
        f" CONTENT_TYPE = (TYPE = {kind or 'CSV'}{settings})" if settings else f" CONTENT_TYPE = {kind}" * bool(kind)
    )
    patterns = (options[name] for name in sorted(words_listed("patterns")) if name in options)
    content += _file_pattern(glob, next(patterns, None), regular=regular)
    if without_quotes(str(options.get("INCLUDE_EXISTING_FILES", ""))).lower() == "false":
        content += " START_FROM = NOW"
    if isinstance(purge := options.get("PURGE"), str):
        content += f" DELETE_FILES_AFTER_LOAD = {str(BOOLEANS.get(without_quotes(purge).lower(), False)).upper()}"
    return content, undone
