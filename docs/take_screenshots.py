"""Take the documentation's pictures from a real JupyterLab on the sandbox: `python docs/take_screenshots.py`.

Needs the `test` extra and a Chromium; writes `explorer*.png`, `treemap*.png`, `analyze.png`, `quickstart.png` and
`highlighting.png` beside itself; with `--explorer` those of the explorer alone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests" / "support"))

from lab import Lab, Notebook  # noqa: E402 - the folder of `lab` is put on the path just above

_SETUP = ["%load_ext s3conn_magic", "%upsql START SANDBOX", "tree = %upsql EXPLORE\ntree"]
_ANALYZE = "%upsql ANALYZE 's3://acme-lake/' BY PREFIX DEPTH 2"
_CREATE = """%%upsql
CREATE OR REPLACE S3 CONNECTION lake
    AWS_ACCESS_KEY_ID = $key_id
    AWS_SECRET_ACCESS_KEY = $secret
    ENDPOINT = $endpoint
    PATH_DISPLAY_FILTERS = ('s3://acme-lake/sales/')
    READ_ONLY = TRUE;
LIST USING lake;"""
_COLOURS = """%%upsql events <<
-- one day of events, and who may look at them
CREATE OR REPLACE S3 CONNECTION lake
    AWS_ROLE = 'arn:aws:iam::123456789012:role/reader'
    EXTERNAL_ID = ENV 'READER_ID'
    PATH_DISPLAY_FILTERS = ('s3://acme-lake/events/', $folder)
    READ_ONLY = TRUE;  /* nothing is ever written */
LIST 's3://acme-lake/events/' USING lake RECURSIVE MATCHING '**/*.parquet' LIMIT 1000;"""
_KEYS = """import s3conn_magic
from s3conn_magic.sandbox import RESTRICTED
key_id, secret = RESTRICTED.access_key_id, RESTRICTED.secret_access_key
endpoint = s3conn_magic.connection("sandbox").settings.endpoint"""


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder) / "lab", pythonpath=(DOCS.parent,)) as lab:
        for theme, ending in (("JupyterLab Light", ""), ("JupyterLab Dark", "-dark")):
            lab.set_theme(theme)
            _explorer(lab, ending)
        lab.set_theme("JupyterLab Light")
        if "--explorer" in sys.argv:
            return
        notebook = lab.open([*_SETUP[:2], _KEYS, _CREATE], name="create.ipynb")
        notebook.run_all()
        _cells(notebook, 3, DOCS / "quickstart.png")
        notebook = lab.open([*_SETUP[:2], _ANALYZE], name="analyze.ipynb")
        notebook.run_all()
        notebook.page.locator(".s3t-item").first.wait_for()
        _cells(notebook, 2, DOCS / "analyze.png")
        notebook = lab.open([_COLOURS], name="colours.ipynb")
        notebook.page.locator(".cm-line span").filter(has_text="MATCHING").wait_for()
        _cells(notebook, 0, DOCS / "highlighting.png")


def _explorer(lab: Lab, ending: str) -> None:
    """Take the tree with a preview, the menu, a treemap, and both in a narrow page."""
    notebook = lab.open(_SETUP, name=f"explorer{ending}.ipynb")
    notebook.run_all()
    page = notebook.page
    for name in ("acme-lake", "sales/", "reports/"):
        row = page.get_by_role("treeitem").filter(has_text=name).first
        row.dblclick()
        page.wait_for_timeout(800)
    row = page.get_by_role("treeitem").filter(has_text="orders.csv").first
    row.click()
    page.keyboard.press("Space")
    page.locator(".s3x-panel table").first.wait_for()
    page.wait_for_timeout(500)
    _cells(notebook, 2, DOCS / f"explorer{ending}.png")
    row.click(button="right")
    page.wait_for_timeout(300)
    _cells(notebook, 2, DOCS / f"explorer-menu{ending}.png")
    page.keyboard.press("Escape")
    page.get_by_role("treeitem").filter(has_text="acme-lake").first.click()
    page.locator(".s3x-panel").get_by_role("button", name="Analyze").click()
    page.locator(".s3t-item").first.wait_for()
    page.wait_for_timeout(500)
    _cells(notebook, 2, DOCS / f"treemap{ending}.png")
    row.click()
    page.locator(".s3x-panel table").first.wait_for()
    page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_timeout(800)
    _cells(notebook, 2, DOCS / f"explorer-narrow{ending}.png")
    page.close()


def _cells(notebook: Notebook, index: int, picture: Path) -> None:
    cell: Any = notebook.page.locator(".jp-CodeCell").nth(index)
    cell.scroll_into_view_if_needed()
    cell.screenshot(path=str(picture))


if __name__ == "__main__":
    main()
