"""Record the README's tour, `docs/tour.gif`, in a real JupyterLab on the sandbox: `python docs/take_tour.py`.

Needs the `test` extra and a Chromium. Cells are typed and run; a frame is taken at each step, and shown for as long as
it takes to read it.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests" / "support"))

from lab import Lab, Notebook  # noqa: E402 - the folder of `lab` is put on the path just above

_SIZE = {"width": 1000, "height": 640}
_COLOURS = 96
_STEP, _PAUSE, _READ = 90, 700, 3500
"""Milliseconds of a frame while one types, after a step, and while there is something to read."""
_CONNECT = """%%upsql
CREATE S3 CONNECTION lake
    AWS_ACCESS_KEY_ID = $key_id
    AWS_SECRET_ACCESS_KEY = $secret
    ENDPOINT = $endpoint
    READ_ONLY = TRUE"""
_DISCOVER = """%%upsql found <<
DISCOVER 's3://acme-lake/'"""
_FOUND = """found[["dataset", "format", "objects", "rows"]]"""
_ASK = """%%upsql
SELECT month, count(*) AS events, count(DISTINCT user_id) AS users
FROM 's3://acme-lake/events/**/*.parquet'
GROUP BY month ORDER BY month"""
_EXPLORE = "%upsql EXPLORE 's3://acme-lake/'"
_SETUP = """%load_ext s3conn_magic
%upsql START SANDBOX
%upsql SET PROGRESS = FALSE
import s3conn_magic
from s3conn_magic.sandbox import ADMIN
key_id, secret = ADMIN.access_key_id, ADMIN.secret_access_key
endpoint = s3conn_magic.connection("sandbox").settings.endpoint
s3conn_magic.execute("DROP CONNECTION sandbox")
%config InlineBackend.close_figures = True
import pandas as pd; pd.set_option("display.max_colwidth", 60)"""


class Tour:
    """Frames of a notebook's page, each with how long it is shown."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.frames: list[tuple[Image.Image, int]] = []

    def take(self, milliseconds: int) -> None:
        """Take a frame."""
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self.frames.append((picture, milliseconds))

    def cell(self, source: str, wait_for: Any = None) -> None:
        """Type a cell, run it, and show what comes."""
        first, _, rest = source.partition("\n")
        for at in range(0, len(first), 4):
            self.page.keyboard.type(first[at : at + 4])
            self.take(_STEP)
        for line in rest.split("\n") if rest else []:
            # The editor indents by itself: what is written has its own blanks.
            self.page.keyboard.press("Enter")
            self.page.keyboard.press("Home")
            self.page.keyboard.insert_text(line)
            self.page.keyboard.press("Shift+End")
            self.page.keyboard.press("Delete")
            self.take(2 * _STEP)
        self.take(_PAUSE)
        self.page.keyboard.press("Shift+Enter")
        self.notebook.wait_idle()
        if wait_for is not None:
            wait_for(self.page)
        self.page.wait_for_timeout(600)
        self.page.evaluate(
            "() => { const box = document.querySelector('.jp-WindowedPanel-outer, .jp-Notebook');"
            " box.scrollTop = box.scrollHeight; }"
        )
        self.page.wait_for_timeout(400)
        self.take(_READ)

    def explore(self) -> None:
        """Open a folder, and a file of it."""
        for name in ("sales/",):
            self.page.get_by_role("treeitem").filter(has_text=name).first.dblclick()
            self.page.wait_for_timeout(900)
            self.take(_PAUSE)
        self.page.get_by_role("treeitem").filter(has_text="orders.csv").first.click()
        self.take(_PAUSE)
        self.page.keyboard.press("Space")
        self.page.locator(".s3x-panel table").first.wait_for()
        self.page.wait_for_timeout(600)
        self.take(_READ)

    def save(self, path: Path) -> None:
        """Write an animated picture: frames that are equal are one, and all have one palette."""
        kept: list[tuple[Image.Image, int]] = []
        for picture, milliseconds in self.frames:
            if kept and kept[-1][0].tobytes() == picture.tobytes():
                kept[-1] = (picture, kept[-1][1] + milliseconds)
            else:
                kept.append((picture, milliseconds))
        palette = kept[-1][0].quantize(_COLOURS)
        pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture, _ in kept]
        pictures[0].save(
            path,
            save_all=True,
            append_images=pictures[1:],
            duration=[milliseconds for _, milliseconds in kept],
            loop=0,
            optimize=True,
        )


def main() -> None:
    """Record it."""
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder) / "lab", pythonpath=(DOCS.parent,)) as lab:
        notebook = lab.open([_SETUP], context=lab.new_context(viewport=_SIZE), name="tour.ipynb")
        notebook.run_all()
        notebook.page.evaluate(
            "() => { const shared = jupyterapp.shell.currentWidget.content.model.sharedModel;"
            " shared.deleteCellRange(0, shared.cells.length);"
            " shared.insertCell(0, { cell_type: 'code', source: '', metadata: { trusted: true } }); }"
        )
        tour = Tour(notebook)
        notebook.page.keyboard.press("Escape")
        notebook.page.locator(".jp-CodeCell").first.click()
        tour.cell(_CONNECT)
        tour.cell(_DISCOVER)
        tour.cell(_FOUND)
        tour.cell(_ASK)
        tour.cell(_EXPLORE, lambda page: page.get_by_role("treeitem").first.wait_for())
        tour.explore()
        tour.save(DOCS / "tour.gif")


if __name__ == "__main__":
    main()
