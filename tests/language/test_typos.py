"""What the error of a mistyped word says: the word that was meant."""

from __future__ import annotations

import os
import re
import string
import sys
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from fuzz import SESSION

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.options import OPTION_NAMES, OPTIONS, find_option
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS, VOCABULARY
from s3conn_magic.language.session_settings import SETTINGS
from s3conn_magic.language.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

# Every statement with every word that it can have.
WHOLE = (
    "CREATE OR REPLACE S3 CONNECTION x READ_ONLY = TRUE",
    "CREATE S3 CONNECTION IF NOT EXISTS x READ_ONLY = FALSE",
    "CREATE S3 CONNECTION x AWS_PROFILE = ENV 'HOME'",
    "CREATE S3 CONNECTION x AWS_PROFILE = PROMPT 'which?'",
    "CREATE S3 CONNECTION x AWS_PROFILE = KEYRING 'service' 'user'",
    "ALTER S3 CONNECTION IF EXISTS lake SET COMMENT = 'text'",
    "ALTER S3 CONNECTION lake UNSET COMMENT",
    "ALTER S3 CONNECTION lake RENAME TO pond",
    "DROP S3 CONNECTION IF EXISTS lake CASCADE",
    "DROP CONNECTION lake CASCADE",
    "SHOW CONNECTIONS LIKE 'l%'",
    "DESCRIBE CONNECTION lake",
    "SHOW CREATE S3 CONNECTION lake",
    "TEST CONNECTION lake LOCATION 's3://bucket/' WITH WRITE",
    "USE CONNECTION lake",
    "SHOW BUCKETS USING lake LIKE 'b%'",
    "LIST 's3://bucket/' USING lake RECURSIVE VERSIONS MATCHING '*' LIMIT ALL",
    "LIST FROM INVENTORY 's3://bucket/manifest.json' USING lake MATCHING '*' LIMIT ALL",
    "EXPLORE 's3://bucket/' USING lake ASIDE",
    "EXPLORE ALL CONNECTIONS",
    "ANALYZE 's3://bucket/' USING lake BY PREFIX DEPTH 2",
    "ANALYZE 's3://bucket/' USING lake BY STORAGE_CLASS",
    "ANALYZE 's3://bucket/' USING lake BY EXTENSION",
    "ANALYZE 's3://bucket/' USING lake BY AGE",
    "ANALYZE 's3://bucket/' USING lake BY SIZE",
    "DISCOVER 's3://bucket/' USING lake DEPTH 2 SAMPLE 8 ROWS = EXACT INTO TABLES",
    "COMPARE 's3://bucket/' WITH 's3://other/' AS OF '2026-01-01' BY SIZE",
    "COMPARE 's3://bucket/' WITH 's3://other/' BY ETAG",
    "COMPARE 's3://bucket/' WITH 's3://other/' BY TIME",
    "ANALYZE 's3://bucket/' USING lake BY DUPLICATES",
    "ANALYZE 's3://bucket/' USING lake BY VERSIONS",
    "ANALYZE 's3://bucket/' USING lake BY UPLOADS",
    "SUMMARIZE 's3://bucket/' USING lake SAMPLE 5 PERCENT",
    "DESCRIBE 's3://bucket/' USING lake",
    "PREVIEW 's3://bucket/key' USING lake LIMIT 5",
    "PREVIEW 's3://bucket/key' VERSION 'x'",
    "CREATE SYNC JOB IF NOT EXISTS j AS COPY FROM S3 lake LOCATION = 's3://bucket/' INTO t",
    "CREATE JOB j AS INSERT INTO S3 lake LOCATION = 's3://bucket/' SELECT 1",
    "CREATE JOB j AS INSERT INTO t MAP_COLUMNS_BY_NAME EXCEPT a SELECT 1",
    "CREATE JOB j AS MERGE INTO t m",
    "CREATE MATERIALIZED VIEW v AS SELECT 1",
    "ALTER JOB j ADD EXPECTATION e EXPECT a ON VIOLATION WARN",
    "ALTER JOB j DROP EXPECTATION e",
    "DROP MATERIALIZED VIEW IF EXISTS v",
    "RUN JOB j",
    "RUN JOBS",
    "ALTER JOB j SET COMMENT = 'x'",
    "PAUSE JOB j",
    "RESUME JOB j",
    "SHOW CREATE JOB j",
    "SHOW CREATE TABLE x",
    "SHOW JOBS LIKE 'j%'",
    "SHOW JOB j ERRORS",
    "DROP JOB IF EXISTS j",
    "SET PROGRESS = FALSE",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN LIST 's3://bucket/' USING lake",
    "SAVE CONNECTIONS TO 'x.usql'",
    "SAVE OR REPLACE CONNECTIONS TO 'x.usql'",
    "CREATE OR REPLACE TABLE x AS SELECT 1",
    "CREATE TABLE IF NOT EXISTS x LOCATION 's3://bucket/' USING lake",
    "CREATE ICEBERG TABLE x PARTITIONED BY a PRIMARY KEY a STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://b/t/'",
    "DROP TABLE IF EXISTS x DELETE_DATA = TRUE",
    "ALTER TABLE x SET COMMENT = 'x'",
    "INSERT INTO x MAP_COLUMNS_BY_NAME SELECT 1",
    "MERGE INTO x m",
    "OPTIMIZE TABLE x",
    "SHOW SNAPSHOTS x",
    "SHOW TABLES LIKE 'x%'",
    "SHOW SETTINGS",
    "START SANDBOX",
    "STOP SANDBOX",
    "HELP",
)
# Every eleventh typo; all of them: S3CONN_TYPO_STRIDE=1 python -m pytest tests/language/test_typos.py
STRIDE = int(os.environ.get("S3CONN_TYPO_STRIDE", "11"))
LONG = 4
NAMES = ("lake", "logs")
LETTERS = string.ascii_uppercase + "_"


def _typos(word: str) -> list[str]:
    """Everything that one insertion, deletion, change or swap makes of a word, but other words of ours."""
    found = set()
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        letters = LETTERS.lower() if word.islower() else LETTERS
        found |= {head + letter + rest for letter in letters for rest in (tail, tail[1:])}
        found |= {head + tail[1:], head + tail[1:2] + tail[:1] + tail[2:]}
    return sorted(found - {word, ""} - VOCABULARY)


def _twice(word: str, count: int) -> list[str]:
    """Some of what two edits make of a word, the same ones each time, of words long enough to be told from others."""
    random = Random(word)
    once = _typos(word)
    return [random.choice(_typos(random.choice(once))) for _ in range(count)] if len(word) > LONG else []


def _words() -> Iterator[tuple[str, str, str]]:
    """Every word of every statement, and every option: the word, and the text before it and after it."""
    for text in WHOLE:
        tokens = Source(text).tokens
        for token in map(tokens.__getitem__, range(len(tokens))):
            if token.text in VOCABULARY:
                yield token.text, text[: token.span.start], text[token.span.end :]
    for name in OPTION_NAMES:
        option = find_option(name)
        assert option
        yield name, "CREATE S3 CONNECTION x ", f" = {option.example}"
    for setting in SETTINGS:
        yield setting.name, "SET ", " = 1"
    yield from _names_and_values()


def _names_and_values() -> Iterator[tuple[str, str, str]]:
    """Names of connections, and the values of closed lists."""
    for name in NAMES:
        for before, after in (("DROP CONNECTION ", ""), ("LIST 's3://bucket/' USING ", ""), ("TEST CONNECTION ", "")):
            yield name, before, after
    taking = [("CREATE S3 CONNECTION x ", option) for option in OPTIONS] + [("SET ", setting) for setting in SETTINGS]
    for begins, takes in taking:
        for value in re.findall(r"'([A-Za-z]{3,})'", takes.takes):
            yield value, f"{begins}{takes.name} = '", "'"


def _is_told(word: str, before: str, typo: str, after: str) -> bool:
    try:
        SESSION.steps(before + typo + after)
    except S3ConnError as error:
        # A letter may be one edit from one thing and from many.
        meant = {word, f"'{word}'", word.removesuffix("S")}
        whole = error.hint.startswith(f"Here: {before}{word}{after};")
        return whole or any(error.hint.startswith(f"Did you mean {said}?") for said in meant)
    return False


@pytest.fixture(scope="module")
def rates() -> dict[str, float]:
    """The part of its typos that each word is named for."""
    told, tried = Counter[str](), Counter[str]()
    for word, before, after in _words():
        for typo in _typos(word)[len(before) % STRIDE :: STRIDE]:
            tried[word] += 1
            told[word] += _is_told(word, before, typo, after)
    return {word: told[word] / tried[word] for word in tried}


def test_the_typos_are_of_every_word():
    """All keywords of all statements, options, settings, names of connections and values of closed lists."""
    assert {word for word, _, _ in _words()} >= KEYWORDS - {"WRITE", "FROM", "UNNEST"} | {
        *OPTION_NAMES,
        *NAMES,
        *(setting.name for setting in SETTINGS),
    }
    assert all(any(one.name in text for text in WHOLE) for one in STATEMENTS)


def test_the_error_of_a_typo_names_the_word_that_was_meant(rates: dict[str, float]):
    """Of all typos by one edit, in place, at least 99 of 100 are told the word."""
    assert sum(rates.values()) >= 0.99 * len(rates)


def test_every_word_is_found_from_most_of_its_typos(rates: dict[str, float]):
    """No word is lost: each is named for at least nine of ten typos."""
    assert {word: rate for word, rate in rates.items() if rate < 0.9} == {}


def test_two_edits_are_still_told_the_word():
    """Of typos by two edits, in place, of words that are longer than four letters, most are told the word."""
    words = [*_words()][:: max(1, STRIDE // 4)]
    tried = [(word, before, typo, after) for word, before, after in words for typo in _twice(word, 3)]
    assert sum(_is_told(*each) for each in tried) >= 0.9 * len(tried)


def main() -> None:
    """Print the rates: `S3CONN_TYPO_STRIDE=1 python tests/language/test_typos.py`."""
    for edits in (1, 2):
        told, tried = 0, 0
        for word, before, after in _words():
            for typo in _typos(word)[::STRIDE] if edits == 1 else _twice(word, max(3, 60 // STRIDE)):
                tried += 1
                told += _is_told(word, before, typo, after)
        sys.stdout.write(f"{edits} edits: {told:,} of {tried:,} are told the word, {told / tried:.1%}\n")


if __name__ == "__main__":
    main()
