"""Help is made of the tables, and whole."""

from __future__ import annotations

import pytest

from s3conn_magic.language.grammar import parse
from s3conn_magic.language.help import MEANINGS, broken, help_at, overview, topic_text
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS
from s3conn_magic.language.session_settings import SETTINGS
from s3conn_magic.language.source import Source


def test_the_overview_has_a_line_for_each_entry():
    """Every statement, option and setting, with what it does, in lines that a terminal has room for."""
    text = " ".join(overview().split())
    assert all(f"{one.name} {one.help}" in text for table in (STATEMENTS, OPTIONS, SETTINGS) for one in table)
    assert max(map(len, overview().splitlines())) < 120


@pytest.mark.parametrize("word", sorted(KEYWORDS))
def test_every_keyword_has_an_entry(word: str):
    """HELP of a keyword is its statement's entry, or the statements and options that it stands in."""
    assert word in str(topic_text(word.lower()))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: one.name)
def test_a_setting_has_an_entry_whose_example_runs(setting):
    """What it does, what it takes, and a statement of the language."""
    text = str(topic_text(setting.name))
    assert setting.help in text
    assert setting.takes in text
    assert parse(Source(text.splitlines()[0]))


def test_what_is_in_no_table_has_no_entry():
    """Nothing is made up."""
    assert topic_text("SELECTED") is None


@pytest.mark.parametrize("one", STATEMENTS, ids=lambda one: one.name)
def test_every_word_of_a_statement_leads_to_its_entry(one):
    """At each keyword of its example that names it."""
    for word in one.name.split():
        at = one.example.index(word) + 1
        assert help_at(f"SHOW CONNECTIONS; {one.example}", len("SHOW CONNECTIONS; ") + at).startswith(one.syntax) or (
            len(one.name.split()) > 1 and word == one.name.split()[0]
        )


@pytest.mark.parametrize(
    ("marked", "begins"),
    [
        ("CREATE S3 CONNECTION x READ|_ONLY = TRUE", "READ_ONLY = "),
        ("CREATE S3 CONNECTION x read_only = TR|UE COMMENT = 'x'", "READ_ONLY = "),
        ("CREATE S3 CONNECTION x REGION = 'eu|'", "REGION = "),
        ("CREATE S3 CONNECTION x PATH_DISPLAY_FILTER = ('s3://b/', |", "PATH_DISPLAY_FILTERS = "),
        ("CREATE S3 CONNECTION x AWS_ROLE = E|NV 'X'", "AWS_ROLE = "),
        ("ALTER S3 CONNECTION x SET REGION = 'x' RE|NAME TO y", "ALTER S3 CONNECTION "),
        ("CREATE OR REPLACE S3 CONN|ECTION x", "CREATE [OR REPLACE] S3 CONNECTION"),
        ("LIST 's3://b/' REC|URSIVE", "LIST ["),
        ("LIST 's3://b|/'", "LIST ["),
        ("EXPLORE ALL| CONNECTIONS", "EXPLORE ALL CONNECTIONS"),
        ("SET LIM|IT = ALL", "SET LIMIT = "),
        ("SET LIMIT = AL|L", "SET LIMIT = "),
        ("SET|", "SET setting = value"),
        ("LIST; |", "Statements for"),
        ("|", "Statements for"),
    ],
)
def test_the_entry_is_that_of_what_stands_there(marked: str, begins: str):
    """The option whose name or value it is, the setting, or else the statement; at an empty place all of them."""
    assert help_at(marked.replace("|", ""), marked.index("|")).startswith(begins)


def test_every_keyword_says_what_it_does():
    """Of those that are no part of a statement's name; HELP of each has that in its entry."""
    named = {word for statement in STATEMENTS for word in statement.name.split()}
    assert KEYWORDS - named - set(MEANINGS) == set()
    assert [word for word, text in MEANINGS.items() if word not in named and text not in str(topic_text(word))] == []


@pytest.mark.parametrize("width", [40, 80, 120])
def test_help_fits_a_terminal_and_breaks_between_words(width):
    """Lines are no longer than the terminal is wide, texts begin below each other, and no word is lost."""
    text = broken(overview(), width)
    lines = text.splitlines()
    assert [line for line in lines if len(line) > width and len(line.split()) > 2] == []
    assert text.split() == overview().split()
    at = next(number for number, line in enumerate(lines) if line.startswith("  AWS_ROLE  "))
    assert len(lines[at + 1]) - len(lines[at + 1].lstrip()) in {2, min(lines[at].index("Role"), width // 2)}
