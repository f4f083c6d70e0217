"""Statements, commands and settings of systems without phrases: what they say by what they are made of.

A text is taken apart into its places in S3, its options, and what it begins with; the rows of `[shapes]` in
`phrases.toml` say what that is here.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.language.option_names import (
    Written,
    book,
    folded,
    is_telling,
    option_words,
    without_quotes,
    words_listed,
)
from s3conn_magic.language.options import find_option
from s3conn_magic.language.phrases import JOINED, Phrase, flags_of, sentence_on, slot_pattern
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS
from s3conn_magic.language.source import BLANK, KEY_ID, QUOTED
from s3conn_magic.language.words import identifier, literal, nearest
from s3conn_magic.locations import location_meant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Pair = tuple[str, Written]

# A server and what is on it, as restic writes them.
_ON_SERVER = re.compile(
    r"\bs3:(?!//)(?:https?://[\w.-]+|[\w-]+\.[\w.-]+|localhost)(?::\d+)?/(?P<path>[\w.-]+(?:/[^\s'\"]*)?)"
)
_PXF = re.compile(r"pxf://([^?'\"\s]+\?)((?:[^'\"&]*&)*?)PROFILE=s3:[^'\"&]*&?", re.IGNORECASE)
_PLACES_OF_OTHERS = (
    (re.compile(r"=\s*('s3://[^']*'(?:\s*,\s*'s3://[^']*')+)"), r"= (\1)"),
    (re.compile(r"(?<=['\"])/s3/(?=[\w.-]+(?:\.com|:\d+)/)", re.IGNORECASE), "https://"),
    (re.compile(r"\bs3-[a-z]{2}(?:-[a-z]+)+-\d://", re.IGNORECASE), "s3://"),
    (
        re.compile(r"\b(INTO|DATA|FROM)\s+LINK\s+([\w.]+)\s+'([^':]+)'", re.IGNORECASE),
        r"\1 S3 's3://\3?connection_name=\2'",
    ),
    (re.compile(r"@([\w.]+)\('([^']*)'\)"), r"@\1/\2"),
    (re.compile(r"\bAT\s+'([^']*://[^']*?)/?'(.*?)\bFILE\s+'/?([^']+)'", re.IGNORECASE | re.DOTALL), r"AT '\1/\3'\2"),
    (re.compile(r"(?<=s3://)s3[.-](?:[\w-]+\.)?amazonaws\.com(?::\d+)?/", re.IGNORECASE), ""),
    (
        re.compile(r"(?<=s3://)([^\s']+)(?:\s+(?:config|region|section|config_server)=[^\s']+)+(?=')", re.IGNORECASE),
        r"\1",
    ),
    (re.compile(r"s3://anonymous@([^\s'\"]+)", re.IGNORECASE), r"s3://\1?anonymous=true"),
    (re.compile(r"\b((?:DATA|FROM|INTO|OUTFILE|TO)\s+S3\s+')(?=[\w.-]+(?:/[^':]*)?')", re.IGNORECASE), r"\1s3://"),
)
_OF_PXF = re.compile(r"(?<=[?&])SERVER=[^'\"&]*&?|[?&]+(?=['\"])", re.IGNORECASE)
# A variable that is a part of a name, outside of texts.
_PART_NAMED = re.compile(rf"({QUOTED})|(?<=\w)\$?\{{\{{?\s*(\w+)\s*\}}?\}}")
_PLACE = re.compile(
    r"(?<![\w/])(?:[\w+]+\+)?s3[an]?://[^\s'\"`;,()<>\\]*(?:<[\w -]+>[^\s'\"`;,()<>\\]*)*"
    r"|https?://[^\s'\"`;,()<>\\]*(?:<[\w -]+>[^\s'\"`;,()<>\\]*)*",
    re.IGNORECASE,
)
_SEVERAL = (
    r"(?:(?:ACCESS|SECRET|SESSION|ASSUME|ROLE|KEY|BUCKET|DATA|AWS|S3|SECURITY|EXTERNAL|KMS)\s+){1,3}"
    r"(?=ACCESS|SECRET|KEY|ID|ARN|ROLE|TOKEN|NAME|SESSION|SOURCE)\w+"
)
_KEY = rf"{_SEVERAL}|\"[\w.-]{{1,80}}\"|'[\w.-]{{1,80}}'|`[\w.-]{{1,80}}`|[A-Za-z_][\w.-]*"
_LISTED = rf"\(\s*(?:{QUOTED})(?:\s*,\s*(?:{QUOTED}))*\s*\)"
_VALUE = rf"{_LISTED}|{QUOTED}|\$\$.*?\$\$|secret\s+\w+|[^\s,;(){{}}\[\]'\"]+(?![\s\w]*[(\[])"
_ASSIGNED = re.compile(
    rf"(?P<key>{_KEY})\s*(?:=>|:=|==|=|:(?![:/]))\s*(?P<value>{_VALUE})|{QUOTED}", re.DOTALL | re.IGNORECASE
)
_BESIDE = re.compile(rf"(?P<key>\b(?:{_SEVERAL}|[A-Za-z_][\w.]*))\s+(?P<value>{QUOTED})", re.IGNORECASE)
# What a query asks of a column.
_CONDITION = re.compile(rf"\b(?:WHERE|AND|OR|HAVING|ON|WHEN)\s+[\w.\"`]+\s*==?\s*(?:{QUOTED}|[\w.]+)", re.IGNORECASE)
_CALLED = re.compile(rf"\(\s*(?P<key>'[\w.-]+'|\"[\w.-]+\")\s*,\s*(?P<value>{QUOTED}|\w+)\s*\)")
_SET_TO = re.compile(
    rf"\bSET\s+(?:GLOBAL\s+|SESSION\s+|LOCAL\s+)?(?P<key>[\w.]+)\s+TO\s+(?P<value>{QUOTED}|\S+)", re.IGNORECASE
)
# A bucket, a key and a region, one behind the other.
_PARTED = re.compile(
    rf"(?:FIELDS|COLUMNS)\s+(?:TERMINATED|DELIMITED|SEPARATED)\s+BY\s+(?P<value>{QUOTED})", re.IGNORECASE
)
_IN_ORDER = re.compile(r"'(?P<bucket>[\w.-]+)'\s*,\s*'(?P<key>[^']*)'\s*,\s*'(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)'")
_ALONE = re.compile(r'(?<![\w"])[A-Za-z_]\w*(?![\w"])')
_PARTS = ("bucket", "prefix", "path", "key", "dataobject", "file", "location", "from")
# A bucket in the URL of its server.
_WITH_BUCKET = re.compile(r"https?://[^/]+/(?!(?:s3|storage|api|v\d)\b)([\w.-]+)/?(.*)")
_NAMING = re.compile(
    r"\bAT\s+([A-Za-z_]\w*)\s+FILE\b|\bAWS\s+CONNECTION\s+([A-Za-z_]\w*)|\bCREDENTIALS\s+([A-Za-z_]\w*)\s*\(",
    re.IGNORECASE,
)
_ROW = re.compile(rf"(?:{QUOTED})(?:\s*,\s*(?:{QUOTED}))+")
_HOST = re.compile(r"(?:https?://)?(?:[\w-]+(?:\.[\w-]+)+|localhost)(?::\d+)?/?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{2,62}")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_APART = re.compile(
    r"\bFROM\s+\w+(?:\.\w+)*\.`|\bAT\s+\w+\s+FILE\b|DATA[_ ]SOURCE|EXTERNAL\s+LOCATION|INTEGRATION\b|\bSERVER\b",
    re.IGNORECASE,
)
_APART_PATH = re.compile(r"\.`([^`]+)`|'((?:/?[\w<>.*-]+/)*[\w<>*-]+(?:\.\w+|/)|/[\w<>.*/-]+)'")
_TEMPLATE = re.compile(r"(?<=://)([^\s'\"`]*?)(?:\$\{[^{}\s]+\}|\{\{[^{}]*\}\}|\{[A-Za-z_][\w .-]*\})")
_IDENTIFIED = re.compile(r"IDENTIFIED\s+BY\s+(?P<value>'(?:[^']|'')*')", re.IGNORECASE)
_MAPPED = re.compile(r"\b(?:MAP|OBJECT|STRUCT|options|properties)\s*[\[({](.*)", re.IGNORECASE | re.DOTALL)
_ARRAYS = re.compile(r"ARRAY\s*\[(.*?)\]\s*,\s*ARRAY\s*\[(.*?)\]", re.IGNORECASE | re.DOTALL)
_WITHIN = re.compile(r"(?<![\w.-])(?P<key>[A-Za-z_][\w.-]*)=(?P<value>[^;&,'\"\s]+)")
_READS = re.compile(r"\b(?:read|scan|load|open|from)_?\w*\s*\(", re.IGNORECASE)
_FUNCTION = re.compile(r"(?:\b[A-Za-z_][\w.]*|\bSTREAM|\bTABLE)\s*$", re.IGNORECASE)
_OF_LAKE = re.compile(r"\w*(?:delta|iceberg|hudi|lake)", re.IGNORECASE)
# Options behind a place.
_ASKING = re.compile(r"('s3[an]?://[^']*')\s*\((?=[^()]*=>)[^()]*\)", re.IGNORECASE)
# The columns that what is read is said to have.
_EXTENDED = re.compile(r"\s+EXTEND\s*\((?:[^()]|\([^()]*\))*\)", re.IGNORECASE)
_TOP = re.compile(r"\bSELECT\s+TOP\s*\(?(\d+)\)?\s+", re.IGNORECASE)
_AFTER_FROM = re.compile(r"\b(?:FROM|JOIN)\s*$|,\s*$", re.IGNORECASE)
_KINDS = re.compile(r"\b(PARQUET|CSV|JSON|ORC|AVRO|TSV)\b", re.IGNORECASE)
_PYTHON = re.compile(
    r"[a-z_][\w.]*\(|import\s+(?!foreign|into|table)\w|from\s+[\w.]+\s+import\b|[a-z_]\w*\s*=\s*\w|with\s+\w+[.(]|def\s|@\w"
)
# What Python says of any server.
_OF_ANY = {"user", "username", "password", "host", "port", "server", "key", "token"}
# Functions of the engine itself.
_OWN = re.compile(r"(?:read_(?:parquet|n?d?json|csv|text|blob|xlsx)\w*|parquet_\w+|glob)\s*\Z", re.IGNORECASE)
_MISSPELT_IF = re.compile(r"(?:\w+\s+){2,4}(?!(?:IF|NOT)\b)\w+\s+(?:NOT\s+)?EXISTS\b", re.IGNORECASE)
# Brackets of calls around a place, from the inside.
_MOST_CALLS = 4


class Shape(NamedTuple):
    """What a text says here: a phrase of its own, what its slots are, and the options in it."""

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
    """Yield what a text may be, the likelier first."""
    if _is_nearly_ours(text):
        return
    place = _place(text)
    if command := _command(text, place):
        yield command
        return
    python = _PYTHON.match(text)
    pairs = [pair for pair in pairs_in(text) if not python or not set(option_words(folded(pair[0]))) <= _OF_ANY]
    place = place or _named_place(pairs)
    kinds = _KINDS.findall(_PLACE.sub("", text))
    writes = {"writes": kinds[0]} if kinds else {}
    telling = any(is_telling(name) for name, _ in pairs)
    if place and re.search(book()["shapes"]["lists"], text, re.IGNORECASE):
        yield Shape(_phrase("{connect}LIST {place}{using};"), {"place": place}, pairs)
    if place and (query := _with_places(text)):
        yield Shape(_phrase("{connect}{asked};"), {"asked": query, "place": place}, pairs)
    for row in () if python else _rows():
        match = row.head.match(text)
        said = place or (_path_apart(text) if row.needs == "path" else "")
        needed = {"": True, "place": said, "path": said, "options": telling or said}
        if match and needed[row.needs]:
            slots = {name: given for name, given in match.groupdict().items() if given}
            yield Shape(_phrase(row.ours, row.difference), slots | writes | ({"place": said} if said else {}), pairs)
    if telling and not (re.match(r"\w+\s", text) and sentence_on(text)):
        reads = place and _READS.search(text)
        ours = "{connect}" + book()["shapes"]["reads"] if reads else "CREATE S3 CONNECTION {name}{options};"
        yield Shape(_phrase(ours), {"place": place} if reads else {}, pairs)


def _phrase(ours: str, difference: str = "") -> Phrase:
    return Phrase("another system's", "", ours, difference, cli=False)


def _is_nearly_ours(text: str) -> bool:
    """Whether a text begins as a statement of ours does, but for a typo."""
    words = [word.upper() for word in re.findall(r"[A-Za-z_]\w*", text[:200])[:3]]
    if (
        not words
        or _MISSPELT_IF.match(text)
        or words[0] in words_listed("own")
        or words[:3] == ["INSERT", "INTO", "S3"]
    ):
        return True
    known = words[0].lower() in words_listed("spoken") or re.match(r"\w+-", text)
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
    second = next((near for word in words[1:] if "CONNECTOR" not in word and (near := nearest(word, of_ours))), None)
    if words[0] in {"CREATE", "ALTER"}:
        return second is not None and second not in words
    return words[0] in starts and second is not None and second.startswith("CONNECTION")


# Places


def _place(text: str) -> str:
    """Return the first place in S3 of a text, as a literal."""
    for match in _PLACE.finditer(text):
        written = match.group().rstrip(".")
        if "://" in written and not written.lower().startswith("http"):
            return literal("s3://" + written.split("://", 1)[1].partition("?")[0])
        if place := location_meant(re.sub(r"[<>]", "", written)):
            return literal(place)
    if ordered := _IN_ORDER.search(text):
        return literal(f"s3://{ordered['bucket']}/{ordered['key']}")
    served = _ON_SERVER.search(text)
    return literal(f"s3://{served['path']}") if served else ""


def in_s3(text: str) -> str:
    """Return a statement with places in S3 as such that are written as another protocol's."""
    while (less := _TEMPLATE.sub(rf"\1{BLANK}", text)) != text:
        text = less
    text = _PART_NAMED.sub(lambda match: match[1] or match[2], text)
    for pattern, said in _PLACES_OF_OTHERS:
        text = pattern.sub(said, text)
    through_pxf = _PXF.sub(r"s3://\1\2", text)
    return text if through_pxf == text else _OF_PXF.sub("", through_pxf)


def _named_place(pairs: list[Pair]) -> str:
    """Return the place that a bucket and a path are, which are given apart."""
    given: dict[str, str] = {}
    for name, value in pairs:
        words, known = option_words(folded(name)), folded(name).lower()
        kind = next((kind for kind in _PARTS if kind in words or (kind in known and kind not in {"key", "from"})), "")
        plain = without_quotes(value if isinstance(value, str) else value[0])
        if "endpoint" in words and (served := _WITH_BUCKET.fullmatch(plain)):
            given.setdefault("bucket", served[1])
            given.setdefault("prefix", served[2])
        if kind and (words[-1] in {kind, "name", "prefix", "path", "url"} or known == kind) and "://" not in plain:
            given.setdefault(kind, plain)
    if "bucket" not in given or not re.fullmatch(r"[\w.<>-]+", given["bucket"]):
        return ""
    below = next((given[kind] for kind in ("prefix", "path", "file", "dataobject", "location") if given.get(kind)), "")
    return literal(f"s3://{given['bucket']}/{below.lstrip('/')}{given.get('from', '')}")


def _path_apart(text: str) -> str:
    """Return the place that is told without its bucket, which something else that is named knows."""
    if not _APART.search(text):
        return ""
    path = next((match[1] or match[2] for match in _APART_PATH.finditer(text)), "")
    return literal(f"s3:/{path}" if path.startswith("/") else f"s3://{BLANK}/{path}") if path else ""


def remote_parts(remote: str) -> tuple[str, str]:
    """Return the name of a remote, which may be its settings (`:s3,provider=AWS:bucket`), and the path behind it."""
    named = re.sub(rf"\A:?([\w-]+)(?:,(?:{QUOTED}|[^:'\"])*)?:", r"\1:", remote)
    name, path = re.split("[:/]", named, maxsplit=1)
    return name, path.rpartition(":")[2].strip("/")


def remote_options(remote: str) -> list[tuple[str, str]]:
    """Return the settings in a remote."""
    return re.findall(rf"(\w+)=({QUOTED}|[^,:]+)", remote)


def as_table(name: str) -> str:
    """Return the name of a table, its parts in quotes where they are words of ours."""
    return _ALONE.sub(
        lambda match: identifier(match[0]) if match[0].upper() in KEYWORDS or find_option(match[0]) else match[0],
        name.replace("`", '"'),
    )


def delimiter_in(options: Mapping[str, Written]) -> str:
    """Return what stands between fields, or nothing."""
    return next(
        (without_quotes(str(value)) for name, value in options.items() if name in words_listed("delimiters")), ""
    )


def digits_of(number: str) -> str:
    """Return a number as digits: `1_000`, `1,000`, `1K`, `1.0`."""
    return re.sub(r"[_,]|\.0*$", "", number.strip("'")).upper().replace("K", "000").replace("M", "000000")


def _with_places(text: str) -> str:
    """Return a query that reads each place by itself, where it has it in the call of a function."""
    if not re.match(r"(?:SELECT|WITH|FROM|INSERT|CREATE|DESCRIBE|DESC)\b", text, re.IGNORECASE):
        return ""
    said = text
    for match in [*_PLACE.finditer(text)][::-1]:
        place = _place(match.group())
        around = _call_around(said, match.start()) if place else None
        if around is None:
            continue
        lake = _OF_LAKE.match(said, around[0]) and not place.endswith("/'")
        said = f"{said[: around[0]]}{place[:-1] + '/' * bool(lake)}'{said[around[1] :]}"
    said = _ASKING.sub(r"\1", said)
    if said == text:
        return ""
    top = _TOP.search(said)
    return _EXTENDED.sub("", _TOP.sub("SELECT ", said)) + (f" LIMIT {top[1]}" if top else "")


def _call_around(text: str, start: int) -> tuple[int, int] | None:
    """Return from where to where the calls go that a place stands in, if what is behind FROM begins with them."""
    for _ in range(_MOST_CALLS):
        opened = _opened(text, start)
        if opened < 0:
            return None
        closed = _closed(text, opened)
        called = _FUNCTION.search(text, 0, opened)
        if called and (_OWN.match(called.group().strip()) or re.search("(?i)write|export|unload", called.group())):
            return None
        begins = called.start() if called else opened
        if _AFTER_FROM.search(text, 0, begins):
            return begins, closed
        if called and re.match(r"(?:FROM|JOIN)\b", called.group(), re.IGNORECASE):
            return opened, closed
        start = begins
    return None


def _opened(text: str, at: int) -> int:
    depth = 0
    for index in range(at - 1, -1, -1):
        depth += (text[index] in ")]") - (text[index] in "([")
        if depth < 0:
            return index
    return -1


def _closed(text: str, opened: int) -> int:
    depth = 0
    for match in re.compile(rf"{QUOTED}|[()\[\]]").finditer(text, opened):
        depth += (match.group() in "([") - (match.group() in ")]")
        if depth == 0:
            return match.end()
    return len(text)


# Options


def pairs_in(text: str) -> Iterator[Pair]:
    """Yield the options of a text, as statements, calls, files of settings and texts of connections write them."""
    text = _CONDITION.sub(" ", text)
    if arrays := _ARRAYS.search(text):
        names, values = (re.findall(QUOTED, part) for part in arrays.groups())
        yield from zip(map(without_quotes, names), values, strict=False)
        return
    if (mapped := _MAPPED.search(text)) and not re.search(r"=>|=|:\s", _PLACE.sub("", mapped[1])):
        given = re.findall(QUOTED, mapped[1])
        yield from zip(map(without_quotes, given[::2]), given[1::2], strict=False)
    for match in _ASSIGNED.finditer(text):
        if match["key"] and not _is_nobodys(match["key"]):
            plain = re.sub(r"(?i)\Asecret\s+", "$", match["value"])
            yield _named_by(match["key"]), re.findall(QUOTED, plain) if plain.startswith("(") else plain
    yield from (("FIELD_DELIMITER", match["value"]) for match in _PARTED.finditer(text))
    yield from ((match["key"], match["value"]) for match in _SET_TO.finditer(text))
    yield from ((without_quotes(match["key"]), match["value"]) for match in _CALLED.finditer(text))
    yield from _told(text)


def _told(text: str) -> Iterator[Pair]:
    """Yield the options that stand without a mark, or within a text."""
    if match := _IN_ORDER.search(text):
        yield "REGION", literal(match["region"])
    yield from _in_a_row(text)
    yield from (("CREDENTIAL", match[1] or match[2] or match[3]) for match in _NAMING.finditer(text))
    for match in _BESIDE.finditer(text):
        if match["key"].upper() not in words_listed("unnamed") and is_telling(match["key"]):
            yield _named_by(match["key"]), match["value"]
    yield from (("SECRET_KEY", match["value"]) for match in _IDENTIFIED.finditer(text) if "=" not in match["value"])
    for quoted in re.findall(rf"{QUOTED}|\S+=\S+", text):
        if re.match(r"['\"]\s*\{", quoted):
            yield from pairs_in(without_quotes(quoted))
            continue
        inner = quoted.partition("?")[2] if "://" in quoted else quoted
        yield from ((name, literal(value)) for name, value in _WITHIN.findall(inner) if is_telling(name))


def _in_a_row(text: str) -> Iterator[Pair]:
    """Yield a key, its secret, and the server before and the bucket behind them, of texts without names."""
    for row in _ROW.finditer(text):
        texts = [without_quotes(quoted) for quoted in re.findall(QUOTED, row.group())]
        at = next((at for at, text in enumerate(texts[:-1]) if KEY_ID.fullmatch(text)), None)
        if at is None:
            continue
        yield from (("ACCESS_KEY_ID", literal(texts[at])), ("SECRET_ACCESS_KEY", literal(texts[at + 1])))
        if at and _HOST.fullmatch(texts[at - 1]):
            yield "ENDPOINT", literal(texts[at - 1])
        if texts[at + 2 :] and _BUCKET.fullmatch(texts[at + 2]) and not _REGION.fullmatch(texts[at + 2]):
            yield "BUCKET", literal(texts[at + 2])


def _named_by(key: str) -> str:
    """Return the name of an option, of one or several words."""
    return re.sub(r"\s+", "_", without_quotes(key))


def _is_nobodys(key: str) -> bool:
    """Whether what stands before a mark is no option: a scheme, or a part of a statement."""
    plain = without_quotes(key)
    return (
        plain.upper() in words_listed("unnamed") - {"BUCKET"}
        or re.fullmatch(r"s3[an]?|https?|pxf|jdbc|[a-z]", plain) is not None
    )


# Commands

_COMMAND = re.compile(r"(?:[A-Z_]+=\S+\s+)*(?:sudo\s+)?(?P<tool>[a-z][\w.-]*)(?P<rest>(?:\s+\S.*)?)\Z", re.DOTALL)


def _command(text: str, place: str) -> Shape | None:
    """Return what the command of a shell is, by its verb."""
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
    place = place or (_variable(plain) if not _named_place(pairs) else _named_place(pairs))
    words = [*verbs, *(word for word in plain.split()[1:5] if "://" not in word), match["tool"]]
    shapes = book()["shapes"]
    rows = ((word, row) for word in words for row in shapes["verbs"] if word in row[0].split())
    fits = next(rows, None)
    if fits and place:
        if "{name}{options}" in fits[1][1]:
            return Shape(_phrase(*fits[1][1:]), _named(plain), [*pairs, ("path", place)])
        return Shape(_phrase(*fits[1][1:]), {"place": place}, pairs)
    if any(is_telling(name) and name.upper() != "BUCKET" for name, _ in pairs):
        return Shape(_phrase("CREATE S3 CONNECTION {name}{options};"), {}, pairs)
    return Shape(_phrase(shapes["command"], shapes["commanded"]), {"place": place}, pairs) if place else None


def _named(plain: str) -> dict[str, str]:
    """Return what a command calls what it makes: its last word before a place."""
    words = [word for word in plain.split()[2:] if re.fullmatch(r"[A-Za-z_][\w-]*", word)]
    return {"name": words[-1]} if words and words[-1] not in {"add", "set", "create", "new"} else {}


def _flag(name: str, value: str) -> Iterator[Pair]:
    key, mark, behind = without_quotes(value).partition("=")
    yield (key, behind) if mark and re.fullmatch(r"[\w.-]+", key) else (name, value)


def _variable(plain: str) -> str:
    """Return the place that a variable of a shell is, with what stands behind it."""
    match = re.search(r"(?:\"|')?\$\{?(\w+)\}?(\S*?)(?:\"|')?(?=\s|$)", plain)
    return literal(f"s3://…{match[2] or '/'}") if match else ""
