"""Right statements with a beginner's fault: the hint, followed to the letter, gives back what was meant."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from faults import BASES, FAULTS, VARIABLES, same, text, words
from following import followed
from offline import Inputs, offline_session

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.source import Source


class _Answer(NamedTuple):
    kind: str
    right: str
    cell: str
    hint: str
    meant: str | None


@pytest.fixture(scope="module")
def answers() -> list[_Answer]:
    """What every fault in every statement is answered with, but for what is accepted as it is."""
    session = offline_session("lake", "logs", inputs=Inputs(VARIABLES))
    list(session.run("CREATE S3 CONNECTION sandbox VALIDATE = FALSE; CREATE TABLE orders (id INT)"))
    given: dict[str, _Answer] = {}
    for right in BASES:
        for kind, fault in FAULTS.items():
            for cell in map(text, fault(words(right))):
                if cell in given or same(cell, right):
                    continue
                try:
                    session.steps(cell)
                except S3ConnError as error:
                    given[cell] = _Answer(kind, right, cell, error.hint, followed(cell, error))
    return [*given.values()]


def test_a_hint_gives_back_what_was_meant(answers: list[_Answer]):
    """Of all faults at least 97 in 100, and of each kind more than half, in whatever order its words stand."""
    wrong = [each for each in answers if not each.meant or not same(each.meant.rstrip(";"), each.right)]
    assert len(wrong) < 0.03 * len(answers), [each[2:4] for each in wrong]
    kinds = [each.kind for each in answers]
    often = {kind for kind in kinds if sum(each.kind == kind for each in wrong) > kinds.count(kind) / 2}
    assert not often


def test_a_hint_leaves_no_value_out_in_silence(answers: list[_Answer]):
    """Each text, number and variable of the statement is in the one that the hint has, or in what it says beside it."""
    lost = [each[2:4] for each in answers if each.hint.startswith(("Here: ", "`")) and _values(each) - _said(each.hint)]
    assert len(lost) < 0.005 * len(answers), lost


def _values(answer: _Answer) -> set[str]:
    tokens = [token for token in Source(answer.right).tokens if token.kind not in {"space", "comment"}]
    values = {token.text for token in tokens if token.text.startswith("'") or token.text.isdecimal()}
    written = _said(answer.cell)
    return {bare for value in values if (bare := _bare(value)) in written}


def _said(said: str) -> set[str]:
    bare = _bare(said)
    return {each for right in BASES for token in Source(right).tokens if (each := _bare(token.text)) and each in bare}


def _bare(said: str) -> str:
    return re.sub(r"[^a-z0-9%]", "", said.lower())
