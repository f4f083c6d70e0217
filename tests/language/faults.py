"""Beginners' faults: right statements, and how each is written wrong without leaving out what it says."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from s3conn_magic.language.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Fault = Callable[[list[str]], Iterator[list[str]]]

BASES = (
    "CREATE S3 CONNECTION dev ENDPOINT = $endpoint AWS_ACCESS_KEY_ID = $key_id AWS_SECRET_ACCESS_KEY = $secret",
    "CREATE OR REPLACE S3 CONNECTION lake AWS_ROLE = 'arn:aws:iam::123456789012:role/reader' EXTERNAL_ID = '12345678'",
    "CREATE S3 CONNECTION IF NOT EXISTS dev AWS_PROFILE = 'analytics' READ_ONLY = TRUE REGION = 'eu-west-1'",
    "CREATE S3 CONNECTION dev ANONYMOUS = TRUE PATH_DISPLAY_FILTERS = ('s3://acme-lake/orders/', 's3://acme-out/')",
    "ALTER S3 CONNECTION lake SET COMMENT = 'raw zone' REQUESTER_PAYS = TRUE",
    "ALTER S3 CONNECTION lake UNSET COMMENT, REGION",
    "ALTER S3 CONNECTION lake RENAME TO pond",
    "DROP CONNECTION IF EXISTS sandbox CASCADE",
    "SHOW CONNECTIONS LIKE 'la%'",
    "SHOW CREATE S3 CONNECTION lake",
    "DESCRIBE CONNECTION lake",
    "TEST CONNECTION lake LOCATION 's3://acme-lake/orders/' WITH WRITE",
    "SHOW BUCKETS USING lake LIKE 'acme%'",
    "LIST 's3://acme-lake/orders/' USING lake RECURSIVE MATCHING '**/*.json' LIMIT 20",
    "LIST $place USING lake VERSIONS",
    "ANALYZE 's3://acme-lake/' USING lake BY PREFIX DEPTH 2",
    "PREVIEW 's3://acme-lake/people.csv' USING lake LIMIT 5",
    "EXPLORE 's3://acme-lake/orders/' USING lake",
    "DISCOVER 's3://acme-lake/' USING lake",
    "COMPARE 's3://acme-lake/orders/' USING lake WITH 's3://acme-backup/orders/' USING lake BY SIZE",
    "SELECT name, age FROM 's3://lake@acme-lake/people.csv' WHERE age > 30 ORDER BY age DESC LIMIT 5",
    "SELECT key, size FROM objects('s3://lake@acme-lake/') WHERE key LIKE '%.csv' AND size > 1000",
    "SELECT 'DE' AS country, sum(n) AS total FROM range(3) AS t(n) GROUP BY country HAVING sum(n) > 1",
    "CREATE JOB load_orders CONTENT_TYPE = JSON AS COPY FROM S3 lake LOCATION = 's3://acme-lake/orders/' INTO orders",
    (
        "CREATE JOB j START_FROM = '2024-01-02' RUN_INTERVAL = 5 MINUTES AS COPY FROM S3 lake"
        " LOCATION = 's3://acme-lake/orders/' INTO orders"
    ),
    "CREATE SYNC JOB w AS INSERT INTO S3 lake LOCATION = 's3://acme-out/w/' FILE_FORMAT = (TYPE = CSV) SELECT 1 AS n",
    "CREATE TABLE events (id BIGINT, at TIMESTAMP) COMMENT = 'raw'",
    "SET LIMIT = 500",
    "SET PROGRESS = FALSE",
    "SET DEFAULT_STORAGE = ('lake', 's3://acme-lake/tables/')",
    "SAVE CONNECTIONS TO 'connections.usql'",
    "SUMMARIZE 's3://acme-lake/sales.parquet' SAMPLE 50 PERCENT",
)
VARIABLES = {
    "endpoint": "http://localhost:9000",
    "key_id": "AKIAMOTO",
    "secret": "moto-secret",
    "place": "s3://acme-lake/orders/",
}
_SQL = re.compile(r"SELECT\b", re.IGNORECASE)


def words(statement: str) -> list[str]:
    """The words and marks of a statement; `$name` and a call's bracket stay where they are."""
    return [token.text for token in Source(statement).tokens if token.kind not in {"space", "comment"}]


def text(parts: list[str]) -> str:
    """A statement of words and marks."""
    said = " ".join(parts)
    said = re.sub(r"\$ (?=\w)", "$", said)
    said = re.sub(r"(?<=[(\[{]) | (?=[),;\]}])", "", said)
    return re.sub(r"\b(objects|sum|t|dev|count) \(", r"\1(", said)


def same(one: str, other: str) -> bool:
    """Whether two statements have the same words, in whatever order."""
    return _folded(one) == _folded(other)


def _folded(statement: str) -> Counter[str]:
    said = re.sub(
        r"^(CREATE(?: OR REPLACE)?|ALTER|USE|DROP|SHOW CREATE|TEST) S3 CONNECTION", r"\1 CONNECTION", statement
    )
    parts = [part.upper().strip('"') for part in words(said) if part not in {";", ","}]
    return Counter(part.replace("PATH_DISPLAY_FILTERS", "PATH_DISPLAY_FILTER") for part in parts)


def _each(wanted: Callable[[str], bool], change: Callable[[str], list[str]]) -> Fault:
    def fault(parts: list[str]) -> Iterator[list[str]]:
        for at, part in enumerate(parts):
            if wanted(part):
                yield [*parts[:at], *change(part), *parts[at + 1 :]]

    return fault


def _is_text(part: str) -> bool:
    return part.startswith("'")


def _is_place(part: str) -> bool:
    return part.startswith("'s3://") and "@" not in part


def _is_keyword(part: str) -> bool:
    return re.fullmatch(r"[A-Z][A-Z0-9_]+", part) is not None


def _is_name(part: str) -> bool:
    return part in {"lake", "dev", "sandbox", "orders", "load_orders", "pond"}


def _is_number(part: str) -> bool:
    return part.isdecimal()


def _is_switch(part: str) -> bool:
    return part in {"TRUE", "FALSE"}


def _all(mark: str, new: str) -> Fault:
    def fault(parts: list[str]) -> Iterator[list[str]]:
        if mark in parts:
            yield [part if part != mark else new for part in parts if part != mark or new]

    return fault


def _swapped(parts: list[str]) -> Iterator[list[str]]:
    for at in range(len(parts) - 1):
        if _is_keyword(parts[at]) and re.match(r"\w", parts[at + 1]):
            yield [*parts[:at], parts[at + 1], parts[at], *parts[at + 2 :]]


def _glued(parts: list[str]) -> Iterator[list[str]]:
    for at, (one, other) in enumerate(pairwise(parts)):
        if _is_keyword(one) and _is_keyword(other):
            yield [*parts[:at], one + other, *parts[at + 2 :]]
            yield [*parts[:at], f"{one}_{other}", *parts[at + 2 :]]


def _clauses(parts: list[str]) -> list[tuple[int, int]]:
    """Where the clauses of a keyword and a value begin and end."""
    found = []
    for at, (one, other) in enumerate(pairwise(parts)):
        if at > 1 and _is_keyword(one) and one in {"USING", "LIMIT", "MATCHING", "BY", "DEPTH", "LIKE"}:
            found.append((at, at + 2))
        if at > 1 and one in {"RECURSIVE", "VERSIONS", "CASCADE"}:
            found.append((at, at + 1))
        if at > 2 and _is_keyword(one) and other == "=" and parts[at + 2 : at + 3] not in (["$"], ["("]):
            found.append((at, at + 3))
    return [] if _SQL.search(" ".join(parts)) else found


def _moved_to_front(parts: list[str]) -> Iterator[list[str]]:
    for begin, end in _clauses(parts):
        yield [parts[0], *parts[begin:end], *parts[1:begin], *parts[end:]]


def _moved_to_end(parts: list[str]) -> Iterator[list[str]]:
    for begin, end in _clauses(parts):
        yield [*parts[:begin], *parts[end:], *parts[begin:end]]


def _comma_before(parts: list[str]) -> Iterator[list[str]]:
    for begin, _ in _clauses(parts):
        yield [*parts[:begin], ",", *parts[begin:]]


def _and_before(parts: list[str]) -> Iterator[list[str]]:
    for begin, _ in _clauses(parts):
        yield [*parts[:begin], "AND", *parts[begin:]]


def _equals_in_clause(parts: list[str]) -> Iterator[list[str]]:
    for begin, end in _clauses(parts):
        if end == begin + 2:
            yield [*parts[: begin + 1], "=", *parts[begin + 1 :]]


def _bracketed_value(parts: list[str]) -> Iterator[list[str]]:
    for begin, end in _clauses(parts):
        if end > begin + 1:
            yield [*parts[: end - 1], "(", parts[end - 1], ")", *parts[end:]]


def _without_keyword(parts: list[str]) -> Iterator[list[str]]:
    for begin, end in _clauses(parts):
        if end == begin + 2 and parts[begin] not in {"BY", "DEPTH"}:
            yield [*parts[:begin], *parts[begin + 1 :]]


def _late_quote(parts: list[str]) -> Iterator[list[str]]:
    for begin, end in _clauses(parts):
        if _is_text(parts[begin - 1]) and end == begin + 2 and not _is_text(parts[end - 1]):
            inner = " ".join([parts[begin - 1][:-1], *parts[begin:end]])
            yield [*parts[: begin - 1], f"{inner}'", *parts[end:]]


def _bracketed_options(parts: list[str]) -> Iterator[list[str]]:
    if "=" in parts and parts[0] in {"CREATE", "ALTER"} and "CONNECTION" in parts:
        at = parts.index("=") - 1
        yield [*parts[:at], "(", *parts[at:], ")"]
        yield [*parts[:at], "WITH", "(", *parts[at:], ")"]
        yield [*parts[:at], "WITH", *parts[at:]]


def _called(parts: list[str]) -> Iterator[list[str]]:
    if parts[0] in {"LIST", "PREVIEW", "EXPLORE", "DISCOVER", "ANALYZE"} and parts[1] != "$":
        yield [parts[0], "(", parts[1], ")", *parts[2:]]


def _inserted(*noise: str) -> Fault:
    def fault(parts: list[str]) -> Iterator[list[str]]:
        for at, part in enumerate(parts):
            if at and (_is_place(part) or _is_name(part)) and parts[at - 1] not in {"=", "(", ","}:
                yield from ([*parts[:at], *word.split(), *parts[at:]] for word in noise)

    return fault


def _appended(*noise: str) -> Fault:
    def fault(parts: list[str]) -> Iterator[list[str]]:
        yield from ([*parts, word] for word in noise)

    return fault


def _preceded(*noise: str) -> Fault:
    def fault(parts: list[str]) -> Iterator[list[str]]:
        yield from ([word, *parts] for word in noise)

    return fault


def _variables(form: str) -> Fault:
    def fault(parts: list[str]) -> Iterator[list[str]]:
        at, said = 0, []
        while at < len(parts):
            said.append(form.format(parts[at + 1]) if parts[at] == "$" else parts[at])
            at += 1 + (parts[at] == "$")
        if "$" in parts:
            yield said

    return fault


def _duplicated(parts: list[str]) -> Iterator[list[str]]:
    for at, part in enumerate(parts):
        if _is_keyword(part):
            yield [*parts[:at], part, *parts[at:]]


def _dropped(parts: list[str]) -> Iterator[list[str]]:
    kept = {"REPLACE", "NOT", "WRITE", "RECURSIVE", "VERSIONS", "CASCADE", "DESC", "SYNC", "S3", "IF", "TRUE", "FALSE"}
    for at, part in enumerate(parts):
        if _is_keyword(part) and at and part not in kept and parts[at + 1 : at + 2] != ["="] and at + 1 < len(parts):
            yield [*parts[:at], *parts[at + 1 :]]


def _plural(part: str) -> list[str]:
    return [part[:-1] if part.endswith("S") else f"{part}S"]


def _in_words(part: str) -> list[str]:
    return {"5": ["five"], "20": ["twenty"], "2": ["two"], "50": ["fifty"]}.get(part, [f"{part}_0"[:-2]])


FAULTS: dict[str, Fault] = {
    "a keyword is left out": _dropped,
    "a keyword is written twice": _duplicated,
    "two words are swapped": _swapped,
    "keywords are glued": _glued,
    "plural or singular": _each(lambda p: _is_keyword(p) and p not in {"TRUE", "FALSE", "IS", "AS"}, _plural),
    "an underscore is a space": _each(lambda p: _is_keyword(p) and "_" in p, lambda p: p.split("_")),
    "an underscore is a hyphen": _each(lambda p: _is_keyword(p) and "_" in p, lambda p: [p.replace("_", "-")]),
    "an underscore is missing": _each(lambda p: _is_keyword(p) and "_" in p, lambda p: [p.replace("_", "")]),
    "CamelCase": _each(lambda p: _is_keyword(p) and "_" in p, lambda p: ["".join(map(str.title, p.split("_")))]),
    "a text without quotes": _each(_is_text, lambda p: [p[1:-1]]),
    "a text in double quotes": _each(_is_text, lambda p: [f'"{p[1:-1]}"']),
    "a text in backticks": _each(_is_text, lambda p: [f"`{p[1:-1]}`"]),
    "a text without its last quote": _each(_is_text, lambda p: [p[:-1]]),
    "a text without its first quote": _each(_is_text, lambda p: [p[1:]]),
    "a quote too many": _each(_is_text, lambda p: [f"{p}'"]),
    "a text in square brackets": _each(_is_text, lambda p: ["[", p, "]"]),
    "a quote that ends too late": _late_quote,
    "a name in single quotes": _each(_is_name, lambda p: [f"'{p}'"]),
    "a name in backticks": _each(_is_name, lambda p: [f"`{p}`"]),
    "a name in square brackets": _each(_is_name, lambda p: ["[", p, "]"]),
    "a name as a variable": _each(lambda p: p == "lake", lambda p: ["$", p]),
    "a closing bracket is missing": _each(lambda p: p == ")", lambda _: []),
    "an opening bracket is missing": _each(lambda p: p == "(", lambda _: []),
    "square brackets": lambda parts: iter(
        [[{"(": "[", ")": "]"}.get(p, p) for p in parts]] if "(" in parts and "SELECT" not in parts else []
    ),
    "a list without brackets": lambda parts: iter(
        [[p for p in parts if p not in "()"]] if "(" in parts and "SELECT" not in parts and "TABLE" not in parts else []
    ),
    "commas are missing": _all(",", ""),
    "semicolons for commas": _all(",", ";"),
    "AND for commas": _all(",", "AND"),
    "two commas": _all(",", ", ,"),
    "no equals": _all("=", ""),
    "colon for equals": _all("=", ":"),
    "arrow for equals": _all("=", "=>"),
    "walrus for equals": _all("=", ":="),
    "TO for equals": _all("=", "TO"),
    "IS for equals": _all("=", "IS"),
    "equals twice": _all("=", "= ="),
    "equals in a clause": _equals_in_clause,
    "a value in brackets": _bracketed_value,
    "a clause without its keyword": _without_keyword,
    "a clause at the front": _moved_to_front,
    "a clause at the end": _moved_to_end,
    "a comma before a clause": _comma_before,
    "AND before a clause": _and_before,
    "options in brackets": _bracketed_options,
    "like a call": _called,
    "words of filling": _inserted("FROM", "IN", "THE", "OF", "FOR", "NAMED", "BUCKET", "CONNECTION"),
    "words at the end": _appended(".", ",", ")", "PLEASE", "GO", "\\"),
    "words at the beginning": _preceded("%%upsql", "%upsql", "upsql", "sql>", "PLEASE", ">>>", "EXEC", "DO"),
    "a number in quotes": _each(_is_number, lambda p: [f"'{p}'"]),
    "a number with a unit": _each(_is_number, lambda p: [p, "ROWS"]),
    "a number in words": _each(lambda p: p in {"5", "20", "2", "50"}, _in_words),
    "a number with a point": _each(_is_number, lambda p: [f"{p}.0"]),
    "a switch in quotes": _each(_is_switch, lambda p: [f"'{p.lower()}'"]),
    "a switch as yes": _each(_is_switch, lambda p: ["yes" if p == "TRUE" else "no"]),
    "a switch as on": _each(_is_switch, lambda p: ["ON" if p == "TRUE" else "OFF"]),
    "a switch as a number": _each(_is_switch, lambda p: ["1" if p == "TRUE" else "0"]),
    "a variable with a colon": _variables(":{}"),
    "a variable in braces": _variables("{{{}}}"),
    "a variable in double braces": _variables("{{{{{}}}}}"),
    "a variable in quotes": _variables("'${}'"),
    "a variable in double quotes": _variables('"${}"'),
    "a variable as in a shell": _variables("${{{}}}"),
    "a variable without its mark": _variables("{}"),
    "a variable with a space": _variables("$ {}"),
    "a variable of a driver": _variables("%({})s"),
    "a variable with a method": _variables("${}.strip()"),
    "s3a://": _each(_is_place, lambda p: [p.replace("s3://", "s3a://")]),
    "S3://": _each(_is_place, lambda p: [p.replace("s3://", "S3://")]),
    "s3:/": _each(_is_place, lambda p: [p.replace("s3://", "s3:/")]),
    "s3:///": _each(_is_place, lambda p: [p.replace("s3://", "s3:///")]),
    "s3//": _each(_is_place, lambda p: [p.replace("s3://", "s3//")]),
    "a place with backslashes": _each(_is_place, lambda p: [p.replace("/", "\\")]),
    "a place without s3://": _each(_is_place, lambda p: [p.replace("s3://", "")]),
    "a place without s3:// and quotes": _each(_is_place, lambda p: [p[6:-1]]),
    "a place as a URL": _each(_is_place, lambda p: [p.replace("s3://", "https://s3.amazonaws.com/")]),
    "a place as an ARN": _each(_is_place, lambda p: [p.replace("s3://", "arn:aws:s3:::")]),
    "a place with a space": _each(_is_place, lambda p: [p.replace("s3://", "s3:// ")]),
}
"""Each kind of fault, by its name: what it yields are statements that say the same, wrongly."""
