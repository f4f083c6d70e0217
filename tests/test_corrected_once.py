"""The notebook of first tries, run on a real kernel: the usual starts, each corrected by what its error printed."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tutorials import in_the_tutorial, shown

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "first_tries.ipynb"
_HERE = re.compile(r"Here: (.*?;)(?=\s|$)", re.DOTALL)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after its last cell; a cell that is not marked to fail must not."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("first-tries")
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def _printed(cell):
    texts = (
        output.get("text") or output.get("data", {}).get("text/plain", "") or "\n".join(output.get("traceback", ()))
        for output in cell.outputs
    )
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", " ".join(texts)).split())


def test_each_start_is_one_correction_away_from_a_connection(executed):
    """Behind each wrong cell stands what its error printed, to the letter, and that makes a connection."""
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    wrong = [index for index, cell in enumerate(code) if "raises-exception" in cell.metadata.get("tags", ())]
    assert len(wrong) >= 10
    for index in wrong:
        hint = _HERE.search(_printed(code[index]))
        assert hint, code[index].source
        assert code[index + 1].source == f"%%upsql\n{hint[1]}"
        assert "created" in _printed(code[index + 1]), code[index + 1].source


def test_the_tutorial_shows_the_first_tries(executed):
    """docs/tutorial has the same cells and outputs: `python docs/execute_notebooks.py`."""
    assert shown(executed) == in_the_tutorial(NOTEBOOK.stem)
