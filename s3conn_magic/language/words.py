"""Words: quoting, lists in prose, the nearest known name, patterns of LIKE, MATCHING and FILE_PATTERN, and meanings.

The last are what a value, or a part of a query, in a wrong statement may have been meant as.
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from s3conn_magic.locations import WILD, Location, location_meant, split_version, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    glob = location.key[len(folder) :] + "**" * location.key.endswith("/")
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
        return _of_whole(clause, taken, pattern)
    meant = pattern_as(taken, pattern, kind)
    deep = "RECURSIVE " if taken == "glob" and "/" in meant else ""
    write = f": write {deep}{clause} {literal(visible(meant))}" if meant else ""
    return f"{clause.rstrip(' =')} takes {_TAKES[taken][0]}, and this looks like {_TAKES[kind][1]}{write}."


def _of_whole(clause: str, taken: Kind, pattern: str) -> str:
    """Return a note on a pattern without a wildcard."""
    if taken == "regular" or re.search(r"[%_]" if taken == "like" else r"[*?\[{]", pattern):
        return ""
    what, form = ("name", "%{}%") if taken == "like" else ("key below the location", "**/*{}*")
    return (
        f"{clause} {literal(visible(pattern))} is one whole {what}: {clause} {literal(visible(form.format(pattern)))}."
    )


_COMPARED = r"\b(\w+)\s*(?:>?=|>|IN\s*\()\s*'((?:[^']|'')*)'"
_RANGES = (
    re.compile(r"\b(?P<name>\w+)\s+BETWEEN\s+(?P<low>'[^']*'|[\d.]+)\s+AND\s+(?P<high>'[^']*'|[\d.]+)", re.IGNORECASE),
    re.compile(
        r"\b(?P<name>\w+)\s*>=?\s*(?P<low>'[^']*'|[\d.]+)\s+AND\s+(?P=name)\s*<=?\s*(?P<high>'[^']*'|[\d.]+)",
        re.IGNORECASE,
    ),
)
_TWO_VALUES = re.compile(r"\b(\w+)\s*=\s*('[^']*'|\d+)\s+AND\s+\1\s*=\s*(?!\2)('[^']*'|\d+)", re.IGNORECASE)


def query_note(sql: str) -> str:
    """Return a note on a query without rows: a comparison that is never true, or a LIKE that no key can match."""
    listing = "objects(" in sql
    compared = (
        note
        for column, value in re.findall(_COMPARED, sql, re.IGNORECASE)
        for note in _compared_notes(column, value, listing=listing)
    )
    notes = (*never_true(sql), *compared, *(_key_notes(sql) if listing else ()), *_like_notes(sql))
    whole = re.search(r"\bSIMILAR\s+TO\s+'([\w ./-]+)'", sql, re.IGNORECASE)
    of_whole = f"SIMILAR TO is of the whole text: write SIMILAR TO {literal(f'.*{whole[1]}.*')}." if whole else ""
    return next(filter(None, notes), of_whole)


def never_true(sql: str) -> Iterator[str]:
    """Yield notes on comparisons that are true for no row."""
    if re.search(r"(?:=|<>|!=)\s*NULL\b", re.sub(r"'(?:[^']|'')*'", "''", sql), re.IGNORECASE):
        yield "Nothing is = NULL: write IS NULL, or IS NOT NULL."
    if re.search(r"\bNOT\s+IN\s*\([^()]*\bNULL\s*[,)]", sql, re.IGNORECASE):
        yield "NOT IN a list with NULL is true for no row: leave NULL out of it."
    for bounds in filter(None, (each.search(sql) for each in _RANGES)):
        if _order(bounds["low"]) > _order(bounds["high"]):
            yield f"Nothing is above {bounds['low']} and below {bounds['high']}: swap them."
    if two := _TWO_VALUES.search(sql):
        yield f"{two[1]} has one value: write {two[1]} IN ({two[2]}, {two[3]})."
    if quoted := re.search(r"\b(?:WHERE|AND|OR)\s+'(\w+)'\s*(?:=|<>|IN\b|LIKE\b)", sql, re.IGNORECASE):
        yield f"{literal(quoted[1])} is text, not the column: write {quoted[1]} without quotes."


_OF_KEYS = re.compile(
    r"\bkey\s+(?P<like>I?LIKE|GLOB)\s+'(?P<pattern>[^']*)'"
    r"|\b(?P<call>starts_with|prefix|ends_with|suffix|contains|regexp_full_match)\s*\(\s*key\s*,\s*'(?P<text>[^']*)'",
    re.IGNORECASE,
)


def _key_notes(sql: str) -> Iterator[str]:
    """Yield notes on texts and patterns that no key has."""
    for call_of in _OF_KEYS.finditer(sql):
        call, text = (call_of["like"] or call_of["call"]).upper(), call_of["pattern"] or call_of["text"] or ""
        if (bare := re.sub(r"\A(?:s3://[^/]*)?/", "", text)) != text:
            yield f"A key begins behind the bucket and its slash: write {call} {literal(visible(bare))}."
        if call == "REGEXP_FULL_MATCH" and re.fullmatch(r"[\w./-]+", text):
            yield f"It is of the whole key: write regexp_full_match(key, {literal(f'.*{text}.*')})."
        if call == "GLOB" and "{" in text:
            yield "GLOB of a query knows no braces: write key GLOB 'a*' OR key GLOB 'b*'."
        if call_of["call"] and call != "REGEXP_FULL_MATCH" and re.search(r"[*%]", text):
            yield f"{call} is of a text, no pattern: write {call} {literal(visible(re.sub('[*%]', '', text)))}."
        if call != "ILIKE" and text != text.lower():
            yield f"{call} tells capitals from small letters; ILIKE does not."


def _like_notes(sql: str) -> Iterator[str]:
    for pattern in re.findall(r"\bI?LIKE\s+'([^']*)'", sql, re.IGNORECASE):
        yield pattern_meant("LIKE", "like", pattern)
        yield f"The blank belongs to the pattern: write {literal(visible(pattern.strip()))}." * (
            pattern != pattern.strip()
        )


def _order(value: str) -> tuple[bool, float, str]:
    return (False, float(value), "") if re.fullmatch(r"\d+(?:\.\d+)?", value) else (True, 0.0, value)


def _compared_notes(column: str, value: str, *, listing: bool) -> Iterator[str]:
    """Yield notes on a column that is compared with a text: a variable, a missing value, a pattern or a list."""
    if variable := re.fullmatch(r"\$\{?([A-Za-z_]\w*)\}?|\{([A-Za-z_]\w*)\}", value):
        yield f"{literal(value)} is text: write ${variable[1] or variable[2]} without quotes for the variable's value."
    if value != value.strip():
        yield f"{literal(value)} has blanks around it: write {literal(value.strip())}."
    if listing and column.lower() == "last_modified" and value[:10] > datetime.now(UTC).isoformat():
        yield f"{literal(value)} is in the future."
    if value.upper() in {"NULL", "NONE", "NAN"}:
        yield f"{literal(value)} is text: write {column} IS NULL for a missing value."
    if re.fullmatch(r"[^*%,]*[*%][^,]*", value):
        meant = value.replace("*", "%")
        yield f"= compares the whole text, wildcards too: write {column} LIKE {literal(visible(meant))}."
    if re.fullmatch(r"[\w -]+(?:,[\w -]+)+", value):
        several = ", ".join(literal(each.strip()) for each in value.split(","))
        yield f"{literal(value)} is one text: write {column} IN ({several})."
    if listing and column.lower() == "bucket" and (name := value.removeprefix("s3://").rstrip("/")) != value:
        yield f"A bucket is its name: write bucket = {literal(visible(name))}."
    if listing and column.lower() == "key" and (key := re.sub(r"\A(?:s3://[^/]*)?/", "", value)) != value:
        yield f"A key begins behind the bucket and its slash: write key = {literal(visible(key))}."


def globs_near(glob: str) -> Iterator[str]:
    """Yield globs that one may have been meant as: without blanks, quotes or `./`, for folders below, in other case."""
    plain = re.sub(r"\A(?:\./|/)+", "", glob.strip().strip("\"'").replace("\\", "/"))
    plain = re.sub(r"\{\w+\.\.\w+\}", "*", plain).removeprefix("!")
    for form in dict.fromkeys((plain, plain.lower(), plain.upper())):
        yield form
        if "/" not in form:
            yield f"**/{form}"
    name, dot, ending = plain.rpartition(".")
    if dot and name and ending.isalnum():
        yield f"**/*.{ending.lower()}"


def looks_below(pattern: str, *, recursive: bool) -> str:
    """Return how to write a glob that matched nothing so that it covers folders below; empty if it does."""
    if not recursive and "**" in pattern:
        return f"Without RECURSIVE one level is listed: RECURSIVE MATCHING {literal(visible(pattern))} looks below."
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


# Meanings of what is wrong in a statement

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AMOUNT = re.compile(r"(\d+)\s*([A-Za-z]+)")
_CHOICES = re.compile(r"\btakes ([^:]+)")
_OF_VALUE = ("a value", "text in single quotes", "an s3:// location", "the path of a file", "the id of a version")
_SECONDS = {"S": 1, "M": 60, "H": 3600, "D": 86400}
_UNITS = {"M": "MINUTES", "H": "HOURS", "D": "DAYS"}
_DATES = {"%Y": "yyyy", "%m": "MM", "%d": "dd", "%H": "HH", "%M": "mm", "%S": "ss", "YYYY": "yyyy", "DD": "dd"}
# Clauses of a query, in their order.
_CLAUSES = ("SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET")
_OF_SQL = (
    *("SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "OFFSET", "VALUES", "DISTINCT", "UNION"),
    *("JOIN", "LEFT JOIN", "INNER", "BETWEEN", "LIKE", "ILIKE", "DESC", "ASC", "CASE", "WHEN", "THEN", "ELSE", "END"),
)
_FUNCTIONS = ("objects", "read_csv", "read_json", "read_parquet", "count", "run_start_time", "run_end_time")
_GROUPS = {"GROUP", "ORDER"}


class Edit(NamedTuple):
    """Words in the place of those from `start` to `end`, and how unlikely that is."""

    cost: float
    start: int
    end: int
    words: Sequence[str]


class Wrong(NamedTuple):
    """Where a word is wrong: what is expected, whether its beginning is right, whether it is a keyword and to blame."""

    expected: str
    within: bool
    is_keyword: bool
    to_blame: bool
    connections: Sequence[str]


def as_other(written: str, following: str, wrong: Wrong) -> Iterator[tuple[list[str], int]]:
    """Yield a word, number or text as what is expected in its place, and how many of the words behind go into it."""
    expected, within, is_keyword, to_blame, connections = wrong
    inner = written[1:-1] if written[:1] == written[-1:] and written[:1] in {"'", '"', "`"} else ""
    plain = inner or written
    if field := re.fullmatch(r"(?:\$\{?|\{+)\s*(\w+)\s*\}*", plain):
        yield [f"${field[1]}"], 0
    whole = _AMOUNT.fullmatch(plain)
    if amount := whole or _AMOUNT.fullmatch(f"{plain} {following}"):
        unit = amount[2][0].upper()
        yield from (([text], int(whole is None)) for text in _amounts(amount, unit))
        if unit in _UNITS and whole:
            yield [amount[1], _UNITS[unit]], 0
    if inner and expected.startswith(("a name", "a table's", "the end", "end of text", "a connection's", "{a", "INTO")):
        yield [inner if _WORD.fullmatch(inner) else identifier(inner)], 0
    elif expected.startswith("a name") and is_keyword and to_blame and not inner:
        yield [identifier(plain)], 0
    elif (
        not is_keyword
        and any(map(str.isalnum, plain))
        and (inner or "'" not in plain)
        and (within or (expected.startswith(_OF_VALUE) and plain[:1] not in "=(,[{$") or written[:1] in {'"', "`"})
    ):
        yield [literal(plain)], 0
    yield from (([text], 0) for text in _numbers(plain, expected))
    units = [*dict.fromkeys(re.findall("MINUTES|HOURS|DAYS", expected))]
    if plain.isdecimal() and len(units) == 1:
        yield [plain, *units], 0
    if "without a name" in expected:
        yield ["TYPE", "=", written], 0
    odd = inner or not _WORD.fullmatch(plain)
    odd = odd and expected.startswith(("end of text", "an s3", "BUCKET takes"))
    a_place = not is_keyword and plain not in connections and not re.fullmatch("[a-z]+/", plain)
    if a_place and ("location" in expected or odd):
        place = "" if plain.startswith("s3://") else location_meant(plain) or _with_scheme(plain)
        yield from [([literal(place)], 0)] if place else []
    yield from (([text], 0) for text in _choices(plain, expected, connections))


def _amounts(amount: re.Match[str], unit: str) -> Iterator[str]:
    if unit in _SECONDS:
        yield str(int(amount[1]) * _SECONDS[unit])
    if unit in "KMGT":
        yield literal(f"{amount[1]} {unit}B")


def _numbers(plain: str, expected: str) -> Iterator[str]:
    """Yield a number as digits: `1_000`, `1e3`, `10 %`; and the least that there may be."""
    if re.fullmatch(r"\d[\d_,]*(?:\.0*)?(?:e\d{1,2})?\s*%?", plain):
        yield f"{float(re.sub('[_,%]', '', plain)):.0f}"
    if least := re.search(r"at least (\d+)", expected):
        yield least[1]


def _with_scheme(plain: str) -> str:
    bare = re.sub(r"\A(?:s3:?)?/+|\A\w+:(?=\w)", "", plain).replace("\\", "/")
    local = re.match(r"/(?:home|tmp|mnt|var|etc|opt|root|usr|dbfs|data|Users|Volumes)/", plain)
    return f"s3://{bare}" if not local and re.fullmatch(r"[a-z0-9][a-z0-9.-]{2,62}/[^'*?]*", bare) else ""


def _choices(plain: str, expected: str, connections: Sequence[str]) -> Iterator[str]:
    """Yield the one of a closed list that a value can be, and a pattern of dates as Java writes it."""
    takes = _CHOICES.search(expected)
    value = plain.upper()
    if expected.startswith("DATE_PATTERN"):
        java = re.sub("|".join(map(re.escape, _DATES)), lambda match: _DATES[match[0]], plain)
        java = java.replace("mm", "MM") if "the month is" in expected else java
        yield from [literal(java)] if java != plain else []
        return
    if "bucket's name" in expected and value.startswith("S3://"):
        yield from [literal(plain[5:].rstrip("/"))] if "/" not in plain[5:].rstrip("/") else []
    if "('connection'" in expected and connections and value.startswith("S3://"):
        yield f"({literal(connections[0])}, {literal(plain)})"
    if (scheme := re.search(r"'(\w+://)host", expected)) and re.fullmatch(r"[\w.-]+:\d+", plain):
        yield literal(f"{scheme[1]}{plain}")
    quoted = re.findall(r"'([\w]+)'", takes[1]) if takes else []
    words = [word for word in re.findall(r"\b[A-Z][A-Z_]+\b", takes[1]) if len(word) > 1] if takes else []
    fits = [choice for choice in quoted or words if _is_short_for(value, choice.upper())]
    if len(fits) == 1:
        yield literal(fits[0]) if quoted else fits[0]


def _is_short_for(value: str, choice: str) -> bool:
    """Return whether a word holds one of a list, or has its first letters, or some of them in order."""
    letters = iter(choice)
    return choice in value or (value[:1] == choice[:1] and len(value) > 1 and all(each in letters for each in value))


def query_edits(texts: Sequence[str], at: int, *, stopped: bool) -> Iterator[Edit]:
    """Yield changes of a query at a word: `stopped` if the parser stops there, and not behind it."""
    text, following = texts[at], texts[at + 1] if at + 1 < len(texts) else ""
    upper = text.upper()
    if upper in _GROUPS and following.upper() != "BY":
        yield Edit(1.0, at, at + 1, [text, "BY"])
    near = nearest(text, _OF_SQL) if _WORD.fullmatch(text) else None
    if near and near != upper and not near.startswith(f"{upper} "):
        yield Edit(1.0, at, at + 1, near.split())
    if following == "(" and (called := nearest(text.lower(), _FUNCTIONS)) and called != text.lower():
        yield Edit(0.9, at, at + 1, [called])
    if upper == "SELECT" and "FROM" in (words := [word.upper() for word in texts[at + 1 : at + 3]]):
        yield from [Edit(1.0, at + 1, at + 1 + words.index("FROM"), ["*"])] if words[0] in {"FROM", "ALL"} else []
    if text == "," and at > 1 and texts[at - 2].upper() == "LIMIT":
        yield Edit(1.0, at - 1, at + 2, [*texts[at + 1 : at + 2], "OFFSET", texts[at - 1]])
    yield from _of_pair(texts, at)
    yield from (Edit(cost, at, at + 1, words) for cost, words in _instead(text))
    if stopped:
        yield from _of_place(texts, at)


def _of_pair(texts: Sequence[str], at: int) -> Iterator[Edit]:
    """Yield changes of a word of a query and the one before or behind it."""
    text, following = texts[at].upper(), texts[at + 1] if at + 1 < len(texts) else ""
    of_from = at > 0 and texts[at - 1].upper() in {"FROM", "JOIN", "INTO"}
    if text == "LIST" and following.startswith("'s3://"):
        yield Edit(0.9, at, at + 2, ["objects", "(", following, ")"])
    if texts[at].lower() in _FUNCTIONS and following.startswith("'"):
        yield Edit(0.9, at, at + 2, [texts[at], "(", following, ")"])
    if text == "COUNT" and following == "*":
        yield Edit(0.9, at, at + 2, [texts[at], "(", following, ")"])
    if text in {"SORT", "ORDERED", "SORTED"} and following.upper() == "BY":
        yield Edit(0.9, at, at + 1, ["ORDER"])
    if text == "VALUES" and following not in {"(", ""}:
        yield Edit(1.0, at + 1, len(texts), ["(", *texts[at + 1 :], ")"])
    if of_from and text in {"$", "TABLE", "VIEW", "FROM", "FILE", "FILES", "OBJECT"}:
        yield Edit(1.0, at, at + 1, [])
    if text == "=" and following[:1] in {">", "<"}:
        yield Edit(0.9, at, at + 2, [f"{following[0]}=", *([following[1:]] if following[1:] else [])])


def _instead(text: str) -> Iterator[tuple[float, list[str]]]:
    """Yield what stands for a mark, a literal or a word of a query."""
    if text.startswith("s3://"):
        yield 0.9, [literal(text)]
    if text.startswith('"'):
        yield 1.2, [literal(text[1:-1])]
    if text == "=":
        yield 1.0, ["=>"]
    if field := re.fullmatch(r"\{+(\w+)\}+", text):
        yield 0.9, [field[1]]
    if text == "&&":
        yield 1.0, ["AND"]
    if text == "," or text.upper() == "WHERE":
        yield 1.3, []


def _of_place(texts: Sequence[str], at: int) -> Iterator[Edit]:
    """Yield what a query lacks before a word, or has in another order."""
    opened = texts[:at].count("(") - texts[:at].count(")")
    if opened > 0:
        yield Edit(1.1, at, at, [")"])
    if opened < 0 or texts[at] == ")":
        yield Edit(1.1, at, at + 1, [])
    if at and texts[at - 1] == "*":
        yield Edit(1.2, at, at, ["FROM"])
    yield from _in_order(texts, at)


def _in_order(texts: Sequence[str], at: int) -> Iterator[Edit]:
    """Yield a query with its clauses in the order of SQL, if the parser stops at one of them."""
    depth, clauses = 0, list[int]()
    for index, text in enumerate(texts):
        depth += (text == "(") - (text == ")")
        if depth == 0 and text.upper() in _CLAUSES:
            clauses.append(index)
    if at not in clauses:
        return
    ends = [*clauses[1:], len(texts)]
    parts = sorted(
        (texts[begin:end] for begin, end in zip(clauses, ends, strict=True)),
        key=lambda part: _CLAUSES.index(part[0].upper()),
    )
    yield Edit(1.1, clauses[0], len(texts), [word for part in parts for word in part])


def joined(texts: Sequence[str], at: int) -> Iterator[Edit]:
    """Yield two literals around a mark that joins them as one."""
    around = [*texts[at - 1 : at], *texts[at + 1 : at + 2]] if at else []
    if texts[at] in {"+", "||"} and len(around) > 1 and all(text.startswith("'") for text in around):
        yield Edit(0.9, at - 1, at + 2, [f"{around[0][:-1]}{around[1][1:]}"])
