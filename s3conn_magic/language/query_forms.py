"""Put a wrong query into DuckDB's SQL, and quotes and brackets where a statement lacks them.

Functions and clauses of other systems, places through a connection, texts that end too late or not at all.
"""

from __future__ import annotations

import re
from functools import cache, partial
from typing import TYPE_CHECKING

from s3conn_magic.language.forms import LITERAL, outside
from s3conn_magic.language.reference import VOCABULARY
from s3conn_magic.language.words import book

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SPLIT_QUOTES = 12  # texts with more quotes are not searched for the wrong one


_QUERY: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), new)
    for pattern, new in (
        (r"'\s*(?:\+|\|\|)\s*'", ""),
        (r"\bSELECT\s+UNIQUE\b", "SELECT DISTINCT"),
        (r"\bIN\s+('[^']*'(?:\s*,\s*'[^']*')*|\d+(?:\s*,\s*\d+)*)", r"IN (\1)"),
        (r"\bBETWEEN\s+(\S+?)\s*(?:,|TO|\.\.|-)\s*(?=\S)", r"BETWEEN \1 AND "),
        (r"\s*&&\s*", " AND "),
        # A clause's keyword that is missing.
        (r"(\bFROM\s+(?:objects\()?'[^']*'\)?)\s+(?=\w+\s*(?:[<>=]|!=|LIKE\b|IN\b|BETWEEN\b|IS\b))", r"\1 WHERE "),
        (r"(\bWHERE\b.*(?:'[^']*'|\d))\s+(?=\w+\s*(?:[<>=]|!=|LIKE\b))", r"\1 AND "),
        (r"(\bGROUP\s+BY\s+\w+)\s+(?=(?:sum|count|avg|min|max)\()", r"\1 HAVING "),
        (r"(\ASELECT\b(?!.*\bFROM\b).*[\w)*])\s+(?=objects\(|'s3://)", r"\1 FROM "),
        (r"\s(?:FIRST|TOP|HEAD|FETCH|ROWS)\s+(\d+)(?:\s+ROWS(?:\s+ONLY)?)?\s*\Z", r" LIMIT \1"),
        (r"\bLIMIT\s+'(\d+)[^']*'", r"LIMIT \1"),
        (r"(\bFROM\b.*[\w')])(?<!\bLIMIT)(?<!\bOFFSET)\s+(\d+)\s*\Z", r"\1 LIMIT \2"),
        (r"\b(?:SORT|SORTED|ORDERED|ORDERS)\s+BY\b", "ORDER BY"),
        (r"(?<!ORDER)(?<!GROUP)(?<!PARTITION)\s+BY\s+(?=\w+(?:\s+(?:DESC|ASC)|\s+LIMIT|\s*\Z))", " ORDER BY "),
        (r"\b(ORDER|GROUP)\s+(\w+)\s+BY\b", r"\1 BY \2"),
        (r"\b(ORDER|GROUP)\s+(?!BY\b)(?=\w)", r"\1 BY "),
        (r"\A\s*WITH\s+(\w+)\s+AS\s+(?!\()(SELECT\b.*?)\s*,?\s+(?=SELECT\b)", r"WITH \1 AS (\2) "),
        (
            r"\bWHERE\s+((?:sum|count|avg|min|max)\([^()]*\)[^()]*?)\s+(GROUP\s+BY\s[\w, ]+?)(?=\sORDER|\sLIMIT|\s*\Z)",
            r"\2 HAVING \1",
        ),
        (r"(\bobjects\(\s*'s3://[^']*')\s*,\s*(?:USING\s+)?'?(?:RECURSIVE|ALL|TRUE)'?\s*(?:=>?\s*TRUE)?\s*\)", r"\1)"),
        (r"\bobjects\(\s*'(\w+)'\s*,\s*'s3://(?:\w+@)?([^']*)'\s*\)", r"objects('s3://\1@\2')"),
        (r"\bobjects\(\s*'s3://([^'@]*)'\s*,\s*(?:USING\s+)?'?(\w+)'?\s*\)", r"objects('s3://\2@\1')"),
        (
            r"(?<!PREVIEW )(?<!LIST )(?<!DESCRIBE )(?<!SUMMARIZE )(?<!SELECT )'s3://([^'@]*)'(\)?)\s+(?:USING|VIA)\s+(\w+)",
            r"'s3://\3@\1'\2",
        ),
        (
            r"(\bobjects\([^()]*\)(?:\s+AS\s+\w+)?)\s+(?:MATCHING|LIKE)\s+'(?:\*\*/)?([^'*]*)\*(\.\w+)'",
            r"\1 WHERE key LIKE '\2%\3'",
        ),
        (r"\A\s*(DESCRIBE|SUMMARIZE|PREVIEW)\s+SELECT\s+(?:\*\s+FROM\s+)?(?=')", r"\1 "),
        (r"\A\s*(?:PREVIEW|HEAD|PEEK)\s+(?:TABLE\s+)?([a-z_]\w*)(?=\s+LIMIT|\s*\Z)", r"SELECT * FROM \1"),
        (
            r"\A\s*(?:SHOW|PREVIEW|GET)\s+(\d+)\s+(?:ROWS|LINES|RECORDS)\s+(?:FROM|OF|IN)\s+(\S+)\s*\Z",
            r"SELECT * FROM \2 LIMIT \1",
        ),
        (
            r"\A\s*(?:LIST|SHOW)\s+([\w, ]+?)\s+FROM\s+'s3://([^'@]*)'\s+USING\s+(\w+)",
            r"SELECT \1 FROM objects('s3://\3@\2')",
        ),
        (r"\A\s*(?:LIST|SHOW)\s+([\w, ]+?)\s+FROM\s+('s3://[^']*')", r"SELECT \1 FROM objects(\2)"),
        (r"(?<=\d)\s+(?:ROWS?|RECORDS|LINES|BYTES)(?=\s+(?:ORDER|LIMIT|AND|OR|GROUP)\b|\s*\Z)", ""),
    )
)


def _query(text: str) -> str:
    """Return a query with everything as DuckDB has it."""
    for pattern, new in _QUERY:
        text = pattern.sub(new, text)
    return text


@cache
def _functions() -> re.Pattern[str]:
    return re.compile(
        rf"(?<![\w.$])({'|'.join(sorted(book()['functions'], key=len, reverse=True))})\s*\(", re.IGNORECASE
    )


def _of_functions(text: str) -> str:
    """Return a query with the functions of other systems as DuckDB calls them."""
    said = outside(text, _functions(), lambda match: f"{book()['functions'][match[1].lower()]}(")
    return re.sub(r"\b(strftime|strptime)\(([^()]*?),\s*'([^']*)'\)", _dated, said)


_DATES = {"YYYY": "%Y", "yyyy": "%Y", "MM": "%m", "DD": "%d", "dd": "%d", "HH24": "%H", "HH": "%H", "MI": "%M"}
_DATES |= {"mm": "%M", "SS": "%S", "ss": "%S"}


def _dated(match: re.Match[str]) -> str:
    form = re.sub("YYYY|yyyy|HH24|HH|MM|MI|mm|DD|dd|SS|ss", lambda part: _DATES[part.group()], match[3])
    return f"{match[1]}({match[2]}, '{form if '%' not in match[3] else match[3]}')"


# Where a quote may be missing.
_GAP = re.compile(r"(?<=\S)(?=\s|[,);]|\Z)|(?<=[\s(=,])(?=[^\s'(=,])")

_OPENS = re.compile(r"[\s(=,]'\w")


def quoted(text: str) -> Iterator[str]:
    """Yield a statement with a literal that ends before the next clause; with a quote more or less if they are odd."""
    selects = re.match(r"\s*(?:SELECT|WITH|FROM|INSERT)\b", text, re.IGNORECASE)
    if "\\'" in text:
        yield text.replace("\\'", "''")
    quotes = [match.start() for match in re.finditer("'", text)]
    if len(quotes) % 2 and len(quotes) < _SPLIT_QUOTES:
        # In a query, a text without its first quote would be a column.
        ways = [f"{text[:at]}{text[at + 1 :]}" for at in quotes if not (selects and _OPENS.match(text, max(at - 1, 0)))]
        ways += [f"{text[: gap.start()]}'{text[gap.start() :]}" for gap in _GAP.finditer(text)]
        doubled = [f"{text[: at + 1]}'{text[at + 1 :]}" for at in quotes if re.match(r"\w'\w", text[max(at - 1, 0) :])]
        yield from [*doubled[:2], *sorted(dict.fromkeys(ways), key=_oddity)[:8]]
    for match in LITERAL.finditer(text):
        inner = re.match(r"'([^'\s]+)\s+([A-Z][A-Z_]+\b[^']*)'\Z", match.group())
        if inner and inner[2].split()[0] in VOCABULARY | {"WHERE", "ORDER", "GROUP"}:
            yield f"{text[: match.start()]}'{inner[1]}' {inner[2]}{text[match.end() :]}"


def _oddity(text: str) -> float:
    """Return how unlikely the literals of a text are: those with clauses, commas or no end are."""
    odd = 0.0
    for match in LITERAL.finditer(text):
        inner = match.group()[1:-1]
        odd += (
            3 * bool(re.search(r"\s[A-Z_]{2,}\b|^[\s,)=]|[\s,(=]$|''", inner))
            + 2 * inner.count(",")
            + bool("=" in inner)
        )
        odd += 0.5 * (not inner) + 0.3 * len(inner.split())
        odd += 2 * bool(re.match(r"\w", text[match.end() : match.end() + 1]))
        odd += 2 * bool(re.search(r"\w\Z", text[: match.start()]))
    rest = LITERAL.sub("''", text)
    return odd + 5 * rest.count("s3:") + 5 * rest.replace("''", "").count("'") + bool(re.search(r"[*%]\.|/[*\w]", rest))


_MOST_BRACKETS = 6
_BREAK = re.compile(r"(?<=[\w')])(?=\s|[)>=<,]|\Z)|(?<=\s)(?=[\w'])")


def bracketed(text: str) -> Iterator[str]:
    """Yield a statement with the bracket that it lacks wherever that may stand, the nearest place first."""
    plain = LITERAL.sub(lambda match: "'" * len(match.group()), text)
    more, opened = plain.count("(") - plain.count(")"), [match.start() for match in re.finditer(r"\(", plain)]
    if more == 1 and len(opened) < _MOST_BRACKETS:
        gaps = [match.start() for match in _BREAK.finditer(plain) if plain[match.start() - 1] != " "]
        yield from (f"{text[:gap]}){text[gap:]}" for at in opened[::-1] for gap in gaps if gap > at)
    if more == -1:
        yield from [re.sub(r"\)\s*\Z", "", text)] * text.rstrip().endswith(")")
        calls = re.compile(r"\b(?=(?:sum|count|avg|min|max|objects|range|\w)\s*(\w|'))(\w+)\s+(?=[\w'*$][^()]*\))")
        yield from (f"{text[: match.end(2)]}({text[match.end() :]}" for match in calls.finditer(plain))
        yield from (f"{text[: match.end()]}({text[match.end() :]}" for match in re.finditer(r"=\s*|,\s*", plain))


_QUERIES = re.compile(r"\s*(?:SELECT|WITH|FROM|LIST|SHOW|DESCRIBE|SUMMARIZE|PREVIEW|INSERT|EXPLAIN)\b", re.IGNORECASE)


def forms_of_query(text: str) -> list[Callable[[str], str]]:
    """Return the functions that rewrite a query; none for another statement."""
    parts = [partial(pattern.sub, new) for pattern, new in _QUERY]
    return [_of_functions, *parts, _query] if _QUERIES.match(text) else []
