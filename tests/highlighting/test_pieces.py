"""What each piece of a text is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import corpora
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3conn_magic.language.grammar import RESERVED
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS
from s3conn_magic.language.session_settings import SETTINGS
from s3conn_magic.language.source import Source
from s3conn_magic.notebook.lexer import KINDS, pieces, words

ROOT = Path(__file__).parents[2]
CELLS = [case.cell for folder in ("valid", "malformed") for case in corpora.read(folder)]
FRAGMENTS = [
    "'",
    '"',
    "--",
    "/*",
    "*/",
    "\n",
    " ",
    "$",
    "$$",
    "x",
    "S3",
    "SELECT",
    ";",
    "(",
    "é",
    "%%upsql",
    "<<",
    "1.5",
    "//",
]


def _kinds(text: str) -> list[tuple[str, str]]:
    return [(kind, part) for kind, part in pieces(text) if kind != "space"]


def _kind(text: str, part: str) -> str:
    (kind,) = {kind for kind, one in pieces(text) if one == part}
    return kind


@given(st.lists(st.sampled_from(FRAGMENTS)).map("".join) | st.text())
def test_the_pieces_of_any_text_are_the_text(text: str):
    """Nothing is lost, nothing is twice, whatever the text is."""
    assert "".join(part for _, part in pieces(text)) == text
    assert {kind for kind, _ in pieces(text)} <= set(KINDS)


@pytest.mark.parametrize("cell", CELLS)
def test_literals_and_comments_are_where_the_language_has_them(cell: str):
    """Text, quoted names and comments are coloured where the parser sees them."""
    tokens = Source(cell).tokens
    if any(token.kind == "open" for token in tokens):
        return
    kept = {"string", "quoted", "comment"}
    assert [(kind, part) for kind, part in pieces(cell) if kind in kept] == [
        (token.kind, token.text) for token in tokens if token.kind in kept
    ]


@pytest.mark.parametrize(("text", "kind"), [("LIST 's3://x", "string"), ('USE "a\nb', "quoted"), ("/* a *", "comment")])
def test_what_does_not_end_yet_goes_on(text: str, kind: str):
    """A literal or comment that is still being typed is one to the end of the cell."""
    assert _kinds(text)[-1][0] == kind


def test_every_word_of_the_syntax_is_a_keyword():
    """Each statement's example, as the reference has it, is coloured with the words of its name as keywords."""
    for one in STATEMENTS:
        found = [part.upper() for kind, part in pieces(one.example) if kind == "keyword"]
        assert found[:1] == one.name.split()[:1]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_one_in_whatever_case(option):
    """All spellings of an option, and what it is set to, are coloured."""
    for name in (option.name, *option.aliases):
        text = f"CREATE S3 CONNECTION x {name.lower()} = {option.example}"
        assert _kind(text, name.lower()) == "option"
        kinds = {kind for kind, _ in _kinds(text)[5:]}
        assert kinds <= {"operator", "string", "constant", "function", "punctuation"}


def test_settings_are_options():
    """SET colours the setting, which is a keyword where the language has it as one."""
    for setting in SETTINGS:
        kind = "keyword" if setting.name in KEYWORDS else "option"
        assert _kind(f"SET {setting.name} = 1", setting.name) == kind


@pytest.mark.parametrize("name", sorted(KEYWORDS - RESERVED))
def test_a_name_is_no_keyword(name: str):
    """A connection may be called by a free word, and is then coloured as a name."""
    for text in (
        "CREATE S3 CONNECTION IF NOT EXISTS",
        "LIST USING",
        "TEST CONNECTION",
        "ALTER S3 CONNECTION x RENAME TO",
    ):
        assert _kinds(f"{text} {name} X = 'x'")[-4] == ("name", name)


def test_the_first_line_of_a_cell():
    """The magic, the variable of `name <<`, and a statement after it."""
    assert _kinds("%%upsql files << LIST") == [
        ("magic", "%%upsql"),
        ("target", "files"),
        ("operator", "<<"),
        ("keyword", "LIST"),
    ]
    assert _kinds("\n %%upsql LIST")[0] == ("magic", "%%upsql")
    assert all(kind != "magic" for text in ("%%upsqlx", "LIST %%upsql", "%upsql LIST") for kind, _ in pieces(text))


def test_values():
    """Numbers, constants, sources of secrets and Python variables."""
    text = "SET A = 10 B = true C = ENV 'E' D = $name"
    assert [kind for kind, _ in _kinds(text)] == [
        *("keyword", "name", "operator", "number"),
        *("name", "operator", "constant"),
        *("name", "operator", "function", "string"),
        *("name", "operator", "variable", "variable"),
    ]
    assert _kind("LIST $ x", "$") == "operator"


def test_a_query_has_its_own_words():
    """In SELECT, columns that are called like our words are names, and SQL's words are keywords; until `;`."""
    text = "WITH t AS (SELECT size, count(*) AS n FROM 's3://x/*') SELECT comment FROM t WHERE n >= 2; LIST RECURSIVE"
    assert _kind(text, "size") == _kind(text, "comment") == "name"
    assert _kind(text, "count") == "function"
    assert {_kind(text, word) for word in ("WITH", "AS", "SELECT", "FROM", "WHERE", "LIST", "RECURSIVE")} == {"keyword"}


def test_the_words_are_those_of_the_tables():
    """Each word of the language is in the words for JupyterLab once, and nothing else but SQL's."""
    found = words()
    ours = [word for kind in ("keywords", "options", "constants", "functions") for word in found[kind]]
    spellings = {name for option in OPTIONS for name in (option.name, *option.aliases)} | {one.name for one in SETTINGS}
    assert len(ours) == len(set(ours))
    assert set(ours) == KEYWORDS | spellings | {"NULL"}


def test_the_words_for_jupyterlab_are_up_to_date():
    """`python -m s3conn_magic.notebook.lexer > labextension/keywords.json` writes what is there."""
    command = [sys.executable, "-m", "s3conn_magic.notebook.lexer"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, timeout=60, check=True)
    assert json.loads((ROOT / "labextension" / "keywords.json").read_text(encoding="utf-8")) == words()
    assert json.loads(done.stdout) == words()
