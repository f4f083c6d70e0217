"""Run the notebooks, and keep them with their outputs for the tutorial: `python docs/execute_notebooks.py`.

Needs the `test` extra. The notebooks themselves stay without outputs; tests compare the two.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).parent
NOTEBOOKS = DOCS.parent / "notebooks"
# Progress is shown of what takes more than half a second, on one machine and not on another.
_QUIETLY = ["--UpsqlMagic.progress=False"]
_KEPT = ("text/plain", "text/html", "image/png")


def main() -> None:
    """Run them all."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(notebook, extra_arguments=_QUIETLY, resources={"metadata": {"path": folder}}).execute()
        nbformat.write(_lasting(notebook), DOCS / "tutorial" / path.name)


def _lasting(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """What is still true when the kernel is gone: no state of widgets, nothing of the machine."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            if "data" in output:
                output.data = {kind: output.data[kind] for kind in _KEPT if kind in output.data}
    return notebook


if __name__ == "__main__":
    main()
