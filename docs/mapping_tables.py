"""The tables of docs/mapping.md between its marks, made of the phrase book: `python docs/mapping_tables.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from s3conn_magic.language.option_names import Synonym, book, synonyms
from s3conn_magic.language.phrases import Phrase, phrases

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path(__file__).parent / "mapping.md"
_BLOCK = re.compile(r"(<!-- phrases: (\w+) -->\n).*?(<!-- /phrases -->)", re.DOTALL)
_SHOWN = {
    "or_replace": "[OR REPLACE]",
    "if_not_exists": "[IF NOT EXISTS]",
    "if_exists": "[IF EXISTS]",
    "place": "'s3://…'",
}
_SLOT = re.compile(r"<(\w+)>")
_FILLED = re.compile(r" ?\{ ?(\w+)\}")
_OURS = {
    "place": "'s3://…'",
    "folder": "'s3://…/'",
    "at_place": "'s3://…'",
    "at_folder": "'s3://…/'",
    "at_object": "'s3://…'",
    "at_path": "'s3://name@…'",
    "bucket_place": "'s3://bucket/…'",
    "name": "name",
    "via": "name",
    "other": "other",
    "table": "table",
    "job": "job",
    "load": "job",
    "query": "query",
    "unquoted": "query",
    "words": "…",
    "word": "name",
    "options": "option = value …",
    "using": "[USING name]",
    "recursive": "[RECURSIVE]",
    "matching": "[MATCHING 'glob']",
    "limit": "[LIMIT n]",
    "like": "[LIKE 'pattern']",
    "text": "'…'",
    "profile": "AWS_PROFILE = '…'",
    "comment": "[COMMENT = '…']",
    "format": "FILE_FORMAT = …",
    "job_options": "[option = value …]",
    "or_replace": "[OR REPLACE]",
    "if_not_exists": "[IF NOT EXISTS]",
    "if_exists": "[IF EXISTS]",
    "where": "condition",
    "column": "column",
    "value": "value",
    "at": "['s3://…']",
    "tail": "…",
    "profiled": "'profile'",
    "tabled": "…",
    "table_of": "CREATE TABLE table [LOCATION 's3://…' | AS query | (columns)]",
    "described": "DESCRIBE CONNECTION name",
    "bucket": "'s3://bucket/…'",
    "at_other": "'s3://…'",
    "path": "'s3://…'",
    "path_folder": "'s3://…/'",
    "unset": "option, …",
    "as_of": "AT (VERSION => n)",
}


def page() -> str:
    """The page with its tables as the phrase book has them now."""
    return _BLOCK.sub(_block, PAGE.read_text(encoding="utf-8"))


def _block(match: re.Match[str]) -> str:
    if match[2] == "kinds":
        rows = (
            (_words(row[0]), f"`{row[1]}`" if row[1] else "\N{EN DASH}", row[2] or "\N{EN DASH}")
            for row in book()["kinds"]["options"]
        )
        return match[1] + _table(("words in the name", "here", "difference"), rows) + match[3]
    whose = book()[match[2]]["whose"]
    statements = (_statement(phrase) for phrase in phrases() if phrase.whose == whose)
    options = [_option(entry) for entry in synonyms() if entry.whose == whose]
    parts = [_table(("statement", "here", "difference"), statements)]
    parts += [_table(("option", "here", "difference"), options)] if options else []
    return match[1] + "\n".join(parts) + match[3]


def _words(pattern: str) -> str:
    """Return the plain words of a pattern."""
    said, *_ = re.split(r"\s+-", pattern)
    return ", ".join(f"`{words.strip()}`" for words in said.split(","))


def _statement(phrase: Phrase) -> tuple[str, str, str]:
    theirs = _SLOT.sub(lambda slot: _SHOWN.get(slot[1], slot[1]), phrase.theirs)
    ours = _FILLED.sub(lambda slot: f" {_OURS[slot[1]]}" if slot[1] in _OURS else "", phrase.ours).rstrip(";")
    return f"`{theirs}`", f"`{ours.strip()}`" if ours else "\N{EN DASH}", phrase.difference or "\N{EN DASH}"


def _option(entry: Synonym) -> tuple[str, str, str]:
    return f"`{entry.theirs}`", f"`{entry.ours}`" if entry.ours else "\N{EN DASH}", entry.difference or "\N{EN DASH}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
