"""Statements of other SQL are answered with what is so here, not as misspelt ones of ours."""

from __future__ import annotations

import re

import pytest
from offline import offline_session

from s3conn_magic.errors import StatementSyntaxError
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.reference import STATEMENTS
from s3conn_magic.language.source import Source
from s3conn_magic.language.suggestions import FOREIGN

STARTS = {one.name.split()[0] for one in STATEMENTS}
WRITTEN = {
    "DELETE FROM t WHERE a = 1": "CREATE OR REPLACE TABLE",
    "update t set a = 1": "CREATE OR REPLACE TABLE",
    "TRUNCATE TABLE t": "DROP TABLE",
    "INSTALL delta": "No extension",
    "LOAD httpfs": "No extension",
    "ATTACH 'x.db' AS x": "No database",
    "PRAGMA threads = 4": "SHOW SETTINGS",
    "GRANT SELECT ON t TO x": "IAM",
    "CALL f(1)": "RUN JOB",
    "BEGIN": "no transactions",
    "START TRANSACTION": "no transactions",
    "CREATE SECRET (TYPE s3)": "CREATE S3 CONNECTION",
    "SHOW DATABASES": "SHOW TABLES",
    "DELETE CONNECTION lake": "DROP?",
}
"""Statements with a piece of what is said of them."""


@pytest.mark.parametrize("written", WRITTEN)
def test_a_statement_of_other_sql_is_answered(written: str):
    """The hint says what is so, in whatever case the statement is written."""
    with pytest.raises(StatementSyntaxError) as failed:
        list(offline_session("lake").run(written))
    assert WRITTEN[written] in failed.value.hint
    assert failed.value.place


@pytest.mark.parametrize("words", FOREIGN)
def test_every_entry_is_reached_and_is_no_guess(words: str):
    """Each entry is what its words are answered with, and none of it is a guess at a misspelt word."""
    with pytest.raises(StatementSyntaxError) as failed:
        parse(Source(f"{words} x"))
    assert failed.value.hint == FOREIGN[words]
    assert "Did you mean" not in FOREIGN[words]
    assert len(words.split()) > 1 or words not in STARTS


@pytest.mark.parametrize("hint", sorted(set(FOREIGN.values())))
def test_what_a_hint_tells_to_write_is_a_statement_of_ours(hint: str):
    """Every statement in a hint begins like one that there is."""
    words = re.findall(r"\b[A-Z][A-Z0-9]+(?: [A-Z][A-Z0-9]+)*", hint)
    known = {word for one in STATEMENTS for word in re.findall(r"[A-Z0-9_]+", one.syntax)}
    names = {"IAM", "CSV", "JSON", "LOCATION", "COMMENT", "LIMIT", "NAME"}
    assert {word for phrase in words for word in phrase.split()} <= known | names | {"AWS", "SELECT", "FROM"}
