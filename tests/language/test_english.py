"""The English of what people read: messages, hints, notes and HELP say it as a colleague would."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import s3conn_magic
from s3conn_magic.language.words import book

PACKAGE = Path(s3conn_magic.__file__).parent
BAD = {
    r"(?<!there )\b(?:is|are) none\b(?! of)": "is not a …: a thing is not `none`",
    r", say[.,;]": "for example",
    r"\bas a rule\b": "usually",
    r"\bspeaks no\b": "does not speak, does not use",
    r", for (?:there|others|the|it|nothing) (?:is|are|can|could|keeps)\b": "because",
    r"\bis no name of\b": "is not the name of",
    r"\bstands? twice\b": "appears twice",
    r"\b(?:it|this) is to be\b": "must be",
    r"\bthat there are\.": "that exist",
    r"\bjob all the same\b": "anyway",
    r"\bdoes not let itself\b": "does not",
    r"\b(?:is|are) not there\b": "does not exist, is missing",
    r"\bso that \w+ cannot\b": "so … cannot",
    r"\ba (?=[aeiou][a-z])(?!u(?:ni|s|rl|tf|tc)|eu|one\b)": "an",
    r"\ban (?=[bcdfgjkpqtvwyz][aeiou][a-z])": "a",
    r"\bcan not\b": "cannot",
    r"\b(\w{2,}) \1\b(?<!that that)": "a word twice",
    r"\bno\b[^.;:,]{0,30}\bno\b(?! longer)": "one negation is enough",
    r"\bnot\b[^.;:,]{0,30}\bnothing\b": "one negation is enough",
    r"\b(?:allows|suggests|permits|enables) to\b": "allows … to, suggests …ing",
    r"\bdepends? of\b|\bresponsible of\b": "depends on, responsible for",
    r"\binformations\b|\bdatas\b|\bfeedbacks\b": "information, data",
    r"\bin the same time\b|\bin the other hand\b": "at the same time, on the other hand",
    r"\bhas to has\b|\bmore better\b|\bcould of\b": "a slip",
    r"\bwho's (?:key|role|bucket)\b": "whose",
    r"\bit's (?:key|role|bucket|name|place)\b": "its",
    r"\bactual (?:version|state|value) of\b": "current",
    r"\banew\b": "again, re-creates, rebuilds",
    r"\bafresh\b": "again, each time",
    r"\bstands?\b(?! for)": "is, goes, belongs",
    r"\b(?:is|are|was|were) told\b": "is known, is shown, runs when a statement says so",
    r"\bof (?:its|your|their|his) own\b": "its own …",
    r"(?<![Tt]here )\b(?:is|are) no (?!longer\b|such\b|more\b|other\b)": "is not a …",
    r"\bin its place\b": "instead",
    r"\bbut for\b": "except for",
    r"\b(?:goes|go) with\b": "is used with, cannot be combined with",
    r"\bmakes (?:one|another|others)\b": "creates one",
    r"\b(?:lies|lie) in\b": "is in, are in",
    r"\ball the same\b": "anyway",
    r"\bcould be had\b": "could be obtained",
    r"\bwhat there (?:is|was)\b|\bthose there (?:are|were)\b": "what exists, the existing ones",
    r"\bby now\b": "in the meantime",
    r"\btaken for\b": "counts as",
    r"\ba part of the URL\b": "part of",
    r"\b[Hh]ave what\b": "a plain imperative",
}
"""Patterns that no message has, each with what is written."""
FEWEST = 3
"""Words of a text that is a message, and no name or piece of SQL."""


def _texts() -> list[tuple[str, str]]:
    """Every text of the package that may be shown, with its module; of f-strings the parts as one."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = _text(node)
            if (
                id(node) not in said
                and len(text.split()) >= FEWEST
                and not re.match(r"\s*(?:SELECT|WITH|FROM)\b", text)
            ):
                found.append((str(file.relative_to(PACKAGE)), text))
    says = book()
    for name, section in says.items():
        rows = [*section.get("statements", ()), *section.get("options", ())] if "whose" in section else []
        found += [(name, row[2]) for row in rows]
    return [*found, *(("none", text) for text in says["none"].values())]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


TEXTS = _texts()


@pytest.mark.parametrize("pattern", BAD)
def test_no_message_has_what_nobody_says(pattern: str):
    """What is found is listed with its module; the table says what is written in its place."""
    assert [(file, text) for file, text in TEXTS if re.search(pattern, text)] == [], BAD[pattern]


def test_all_that_is_shown_is_looked_at():
    """Messages of every folder, and those of the phrase book."""
    assert len(TEXTS) > 1500
    assert {file.partition("/")[0] for file, _ in TEXTS} >= {
        "connections",
        "language",
        "query",
        "jobs",
        "none",
        "DuckDB",
    }
