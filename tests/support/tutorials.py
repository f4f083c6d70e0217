"""Notebooks as the tutorial shows them, compared with those that have just run."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import nbformat

_PROGRESS = re.compile(r"(about 0% · )?(0 \w+ · )?0 [kMGTP]?B · (0 keys/s · )?(0 requests · )?0s")
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"


def shown(notebook: nbformat.NotebookNode) -> list[tuple[str, list[str]]]:
    """Each cell's source and its outputs as text, but for numbers, units of time and white space.

    The progress of what took more than half a second is left out.
    """
    return [(cell.source, _texts(cell.get("outputs", ()))) for cell in notebook.cells]


def in_the_tutorial(name: str) -> list[tuple[str, list[str]]]:
    """The same of a notebook as the site has it; `python docs/execute_notebooks.py` makes that."""
    return shown(nbformat.read(TUTORIAL / f"{name}.ipynb", as_version=4))


def results(outputs: Any) -> list[Any]:
    """A cell's outputs without the progress of what took more than half a second."""
    return [one for one in outputs if not _PROGRESS.fullmatch(_text(one))]


def _texts(outputs: Any) -> list[str]:
    return [_text(one) for one in results(outputs)]


def _text(output: Any) -> str:
    data = output.get("data", {})
    text = output.get("text") or data.get("text/html") or data.get("text/plain", "")
    plain = html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", "".join(text), flags=re.DOTALL))
    return re.sub(r"\b0 ?[mµ]?s\b", "0s", re.sub(r"\d[\d,.]*", "0", " ".join(plain.split())))
