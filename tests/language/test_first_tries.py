"""First tries of people who know another language: what is said, where, and that it works when it is followed."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from corpora import leaked
from first_tries import came_of, mocked, read

from s3conn_magic.language.option_names import option_meant, synonyms
from s3conn_magic.language.options import OPTION_NAMES, find_option
from s3conn_magic.language.phrases import phrases
from s3conn_magic.language.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CASES = read()
# Every seventh is run; all of them: S3CONN_TRIES_STRIDE=1 python -m pytest tests/language/test_first_tries.py
STRIDE = int(os.environ.get("S3CONN_TRIES_STRIDE", "7"))
RUN = CASES[::STRIDE]
FOREIGN = {"abroad", "databricks", "duckdb", "engines", "python", "shapes", "shell", "snowflake"}


@pytest.fixture(scope="module", autouse=True)
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """S3 within the process, and the folder with its profiles."""
    folder = tmp_path_factory.mktemp("first tries")
    with mocked(folder):
        yield folder


@pytest.fixture(autouse=True)
def profiles(aws_files: object, s3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profiles of the mock, and not those of the test."""
    del aws_files
    monkeypatch.setenv("AWS_CONFIG_FILE", str(s3 / "config"))


@pytest.mark.parametrize("case", RUN, ids=lambda case: case.id)
def test_a_first_try_is_answered_as_written_down(case):
    """First line, place and hint are those that were read and accepted; the hint, followed, does what it should."""
    answered, then = came_of(case)
    assert answered == case.answered.strip("\n").replace("<SECRET>", "")
    assert then == case.then
    assert not leaked(answered)


def test_hints_succeed_when_they_are_followed():
    """None of the corpus fails, and there is little that a person must decide: at least 300 cells are kept here."""
    then = Counter(case.then for case in CASES)
    assert len(CASES) >= 300
    assert set(then) == {"runs", "decides", "accepted"}
    assert then["decides"] <= 0.15 * len(CASES)


def test_statements_of_others_are_answered_with_ours():
    """At least nine of ten: the statement is written down, and no sentence stands for it."""
    asked = [case for case in CASES if case.group in FOREIGN and case.then != "accepted"]
    assert sum("Here: " in case.answered for case in asked) >= 0.9 * len(asked)


@pytest.mark.parametrize("entry", synonyms(), ids=lambda entry: f"{entry.whose} {entry.theirs}")
def test_an_option_of_others_is_one_of_ours_or_is_told_of(entry):
    """Each is found by its name in small letters, too, and says what is so where there is none of ours."""
    if entry.ours:
        assert find_option(entry.ours), entry
        meant = option_meant(entry.theirs.lower())
        assert meant
        assert meant.name in OPTION_NAMES
    else:
        assert entry.difference


def test_no_phrase_is_written_twice():
    """Each pattern stands once, so that the first that fits is the one that was meant."""
    patterns = Counter(phrase.theirs for phrase in phrases())
    assert {pattern: count for pattern, count in patterns.items() if count > 1} == {}


@pytest.mark.parametrize("case", [case for case in CASES if leaked(case.cell)], ids=lambda case: case.id)
def test_nothing_keeps_a_secret_that_stands_in_a_first_try(case):
    """What the history keeps of such a cell, and what is written down of its answer, hold no piece of the secret."""
    assert not leaked(redacted(case.cell))
    assert not leaked(case.answered)
