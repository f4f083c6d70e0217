"""The first statement of a new kernel, interrupted; `python tests/first_interrupts.py` tries more of them."""

from __future__ import annotations

import pytest
from first_interrupts import FIRST, interrupted, moments


@pytest.mark.parametrize(("name", "after", "presses"), moments(12, seed=2))
def test_an_interrupted_first_statement_leaves_all_libraries_whole(sandbox, tmp_path, name, after, presses):
    """The user sees one short block, and the same cell, and every library that it loads, works afterwards."""
    assert interrupted(sandbox, tmp_path, FIRST[name], after, presses).wrong == []
