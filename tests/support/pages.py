"""Pages whose cells are run in a real kernel, and what they show compared with what the page says.

    python tests/support/pages.py README.md docs/how-to/usual-tasks.md

runs their cells and writes what they show into the pages. A fence of `python` or `upsql` is a cell, one of `text`
behind it is what it shows, and one of `python notebook` is not run.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from kernels import Kernel, Outcome, started

_FENCE = re.compile(r"^```(upsql|python)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+")


class Cell(NamedTuple):
    """A cell of a page, what the page says that it shows (None for nothing), and where both stand."""

    text: str
    shows: str | None
    span: tuple[int, int]


def cells(page: str) -> list[Cell]:
    """The cells of a page, from top to bottom."""
    found = []
    for fence in _FENCE.finditer(page):
        text = fence[2].rstrip("\n")
        if fence[1] == "upsql" and not text.startswith("%"):
            text = f"%%upsql\n{text}"
        found.append(Cell(text, fence[3], fence.span()))
    return found


def shown(outcome: Outcome) -> str:
    """What a cell shows in a terminal: what it prints, displays, and gives; without what is other at each run."""
    every = [*outcome.displays, *([outcome.result] if outcome.result else [])]
    bundles = [bundle for bundle in every if "application/vnd.jupyter.widget-view+json" not in bundle]
    plain = [outcome.stdout, *(str(bundle.get("text/plain", "")) for bundle in bundles)]
    if outcome.error:
        plain.append(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(outcome.error["traceback"])))
    text = "\n".join(each.rstrip("\n") for each in plain if each.strip())
    return "\n".join(line.rstrip() for line in _PORT.sub("34575", text).splitlines())


def run(kernel: Kernel, page: str) -> list[tuple[Cell, Outcome]]:
    """Run the cells of a page one after the other, without lines that say how far they are."""
    kernel.run("%load_ext s3conn_magic\n%upsql SET PROGRESS = FALSE")
    return [(cell, kernel.run(cell.text, timeout=180)) for cell in cells(page)]


def fits(cell: Cell, outcome: Outcome) -> bool:
    """Whether a cell ended as the page has it: by an error only where it shows one."""
    return outcome.status == ("error" if re.match(r"\w+Error: ", cell.shows or "") else "ok")


def written(page: str, kernel: Kernel) -> str:
    """The page with what its cells show where it says what they do."""
    for cell, outcome in reversed(run(kernel, page)):
        if not fits(cell, outcome):
            sys.stderr.write(f"{cell.text}\n{shown(outcome)}\n")
        if cell.shows is not None:
            begin, end = cell.span
            head = page[begin:end].partition("\n```text\n")[0]
            page = f"{page[:begin]}{head}\n```text\n{shown(outcome)}\n```\n{page[end:]}"
    return page


def main() -> None:
    """Write the pages that are named anew."""
    for name in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as kernel:
            name.write_text(written(name.read_text(encoding="utf-8"), kernel), encoding="utf-8")


if __name__ == "__main__":
    main()
