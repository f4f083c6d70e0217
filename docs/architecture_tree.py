"""Write the tree of docs/architecture.md anew: each package in its layer's order, each module with its first line.

python docs/architecture_tree.py
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1] / "s3conn_magic"
PAGE = Path(__file__).parent / "architecture.md"
PACKAGES = [
    "runtime",
    "transport",
    "language",
    "connections",
    "listing",
    "lakes",
    "objects",
    "inventory",
    "preview",
    "query",
    "datasets",
    "jobs",
    "handoff",
    "cluster",
    "results",
    "explorer",
    "session",
    "notebook",
    "sandbox",
]
_TREE = re.compile(r"(?<=<!-- tree -->\n).*?(?=<!-- /tree -->)", re.DOTALL)


def tree() -> str:
    """The modules at the top, and then those of each package, with the first line of their docstrings."""
    lines = ["", *_lines("at the top", ROOT, "The public API, the commands, and modules that all others use.")]
    for package in PACKAGES:
        lines += _lines(f"`{package}/`", ROOT / package, _first_line(ROOT / package / "__init__.py"))
    return "\n".join(lines) + "\n"


def _lines(title: str, folder: Path, said: str) -> list[str]:
    modules = [file for file in sorted(folder.glob("*.py")) if file.stem != "__init__" or folder == ROOT]
    lines = [f"### {title}", "", said, ""]
    if modules:
        lines += ["| module | |", "|---|---|"]
        lines += [f"| `{file.stem}` | {_first_line(file)} |" for file in modules] + [""]
    return lines


def _first_line(file: Path) -> str:
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0].replace("|", "\\|")


def page() -> str:
    """The page as it is to be."""
    return _TREE.sub(lambda _: tree(), PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
