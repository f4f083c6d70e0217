"""What the README and the page of usual tasks print is what their cells show."""

from __future__ import annotations

from pathlib import Path

import pytest
from kernels import started
from pages import fits, run, shown

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/usual-tasks.md"])
def test_cells_of_a_page_run_and_show_what_it_says(page: str, tmp_path: Path):
    """From top to bottom in one kernel; `python tests/support/pages.py PAGE` writes what they show into the page."""
    with started(tmp_path) as kernel:
        for cell, outcome in run(kernel, (ROOT / page).read_text(encoding="utf-8")):
            assert fits(cell, outcome), f"{cell.text}\n{shown(outcome)}"
            if cell.shows is not None:
                assert shown(outcome) == cell.shows.rstrip("\n"), cell.text
