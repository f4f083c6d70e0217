"""The notebook from raw logs to a table in S3, run on a real kernel."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tutorials import in_the_tutorial, shown

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "lakehouse.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """The notebook after its last cell."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("lakehouse")
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def _printed(notebook: nbformat.NotebookNode, beginning: str) -> str:
    (cell,) = [each for each in notebook.cells if each.cell_type == "code" and beginning in each.source]
    return "".join(str(one.get("text") or one.data.get("text/plain", "")) for one in cell.outputs)


def test_a_merge_is_there_and_the_state_before_it_is_read(executed: nbformat.NotebookNode):
    """Loaded are 103 lines in two commits; 46 are forgotten and 16 paths renamed, and before that none was."""
    assert "(103 rows" in _printed(executed, "CREATE JOB load_lines")
    assert _printed(executed, "\nINSERT INTO visits").split().count("rows") == 2
    states = [line.split()[1:] for line in _printed(executed, "AT (VERSION").splitlines()]
    assert ["now", "57", "16"] in states
    assert ["before", "103", "0"] in states


def test_another_engine_has_the_rows_of_the_chart(executed: nbformat.NotebookNode):
    """PyIceberg reads the state after the merge by the connection; the chart is a picture."""
    assert _printed(executed, "StaticTable").strip() == "57"
    (drawn,) = [cell for cell in executed.cells if cell.source.startswith("%matplotlib")]
    assert any("image/png" in one.get("data", {}) for one in drawn.outputs)


def test_the_tutorial_shows_the_lakehouse(executed: nbformat.NotebookNode):
    """docs/tutorial has the same cells and outputs: `python docs/execute_notebooks.py`."""
    assert shown(executed) == in_the_tutorial(NOTEBOOK.stem)
