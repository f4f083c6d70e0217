"""The documents of the language say what the language is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from s3conn_magic.language.grammar import RESERVED, parse
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS
from s3conn_magic.language.source import Source

DOCS = Path(__file__).parents[2] / "docs"
GRAMMAR = (DOCS / "grammar.md").read_text(encoding="utf-8")
PAGE = (DOCS / "language.md").read_text(encoding="utf-8")


def test_the_reference_is_up_to_date():
    """docs/language.md is what the tables say now: `python docs/language_page.py > docs/language.md`."""
    command = [sys.executable, "docs/language_page.py"]
    done = subprocess.run(command, capture_output=True, cwd=DOCS.parent, timeout=60, check=True)
    assert done.stdout.decode().replace("\r\n", "\n") == PAGE


def test_the_reference_has_every_statement_column_and_option():
    """Each has its place, its syntax and its example."""
    for one in STATEMENTS:
        assert all(part in PAGE for part in (f"### {one.name}\n", one.syntax, one.example))
        assert all(f"| `{column.name}` | {column.type} |" in PAGE for column in one.columns)
    for option in OPTIONS:
        assert f"### {option.name}\n" in PAGE
        assert f"{option.name} = {option.example}" in PAGE


def test_prose_holds_no_tag():
    """What Markdown would take for HTML stands in code, or is written as an entity."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", PAGE, flags=re.DOTALL)
    assert "<" not in prose


def test_the_tables_of_the_reference_are_tables():
    """Every row has as many cells as its head, so that it is rendered as one."""
    for table in re.findall(r"(?:^\|.*\|\n)+", PAGE, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_the_bnf_has_the_keywords_of_the_language_and_no_other():
    """Capitals in the BNF are the keywords that the grammar knows."""
    (bnf,) = re.findall(r"```ebnf\n(.*?)```", GRAMMAR, re.DOTALL)
    rules = re.sub(r"\(\*.*?\*\)|'[^'\n]*'|\"[^\"\n]*\"", "", bnf)
    assert set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", rules)) == KEYWORDS


def test_every_rule_of_the_bnf_is_defined_and_used():
    """No rule is named that is not there, and none is there that nothing names."""
    (bnf,) = re.findall(r"```ebnf\n(.*?)```", GRAMMAR, re.DOTALL)
    plain = re.sub(r"\(\*.*?\*\)|'\"'|'\"\"'|\"''\"|\"'\"|any character but|\"[^\"\n]*\"", "", bnf)
    defined = re.findall(r"^(\w+) +=", plain, re.MULTILINE)
    named = re.findall(r"\b[a-z_]+\b", re.sub(r"^\w+ +=", "", plain, flags=re.MULTILINE))
    assert len(defined) == len(set(defined))
    assert set(named) - {"letter", "digit"} == set(defined) - {"cell"}


def test_the_words_that_may_be_names_are_those_of_the_page():
    """Each word that the page calls free is a name without quotes, and every other word of the language is not."""
    free = set(
        re.findall(r"`([A-Z_]+)`", GRAMMAR[GRAMMAR.index("the words `ADD`") : GRAMMAR.index("are names without")])
    )
    assert free == KEYWORDS - RESERVED
    for word in free:
        (statement,) = parse(Source(f"DROP CONNECTION {word}"))
        assert statement.name.text == word


def test_the_tables_of_the_mapping_are_those_of_the_phrase_book():
    """docs/mapping.md holds what the parser knows of other systems: `python docs/mapping_tables.py`."""
    made = "import mapping_tables as m; print(m.page() == m.PAGE.read_text('utf-8'))"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, 'docs'); {made}"]
    done = subprocess.run(command, capture_output=True, cwd=DOCS.parent, timeout=60, check=True, text=True)
    assert done.stdout.strip() == "True", done.stderr
