"""Notebooks as the tutorial shows them, compared with those that have just run."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from collections.abc import Iterator

TUTORIAL = Path(__file__).parent.parent / "docs" / "tutorial"


def shown(notebook: nbformat.NotebookNode) -> list[tuple[str, list[str]]]:
    """Each cell's source and its outputs as text, without what differs from run to run: numbers and white space."""
    return [(cell.source, [*map(_text, cell.get("outputs", ()))]) for cell in notebook.cells]


def in_the_tutorial(name: str) -> list[tuple[str, list[str]]]:
    """The same of a notebook as the site has it; `python docs/execute_notebooks.py` makes that."""
    return shown(nbformat.read(TUTORIAL / f"{name}.ipynb", as_version=4))


def _text(output: Any) -> str:
    data = output.get("data", {})
    text = output.get("text") or data.get("text/html") or data.get("text/plain", "")
    plain = html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", "".join(text), flags=re.DOTALL))
    return " ".join(_lasting(plain))


def _lasting(text: str) -> Iterator[str]:
    for word in text.split():
        yield re.sub(r"\d+", "0", word)
