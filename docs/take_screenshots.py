"""Take the documentation's pictures from a real JupyterLab on the sandbox: `python docs/take_screenshots.py`.

Needs the `test` extra and a Chromium; writes `docs/explorer.png`, `docs/explorer-dark.png` and `docs/quickstart.png`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from lab import Lab, Notebook  # noqa: E402 - the folder of `lab` is put on the path just above

_SETUP = ["%load_ext s3conn_magic", "%upsql START SANDBOX", "tree = %upsql EXPLORE\ntree"]
_CREATE = """%%upsql
CREATE OR REPLACE S3 CONNECTION lake
    AWS_ACCESS_KEY_ID = $key_id
    AWS_SECRET_ACCESS_KEY = $secret
    ENDPOINT = $endpoint
    PATH_DISPLAY_FILTERS = ('s3://acme-lake/sales/')
    READ_ONLY = TRUE;
LIST USING lake;"""
_KEYS = """import s3conn_magic
from s3conn_magic.sandbox import RESTRICTED
key_id, secret = RESTRICTED.access_key_id, RESTRICTED.secret_access_key
endpoint = s3conn_magic.connection("sandbox").settings.endpoint"""


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder) / "lab", pythonpath=(DOCS.parent,)) as lab:
        _explorer(lab.open(_SETUP), DOCS / "explorer.png")
        notebook = lab.open([*_SETUP[:2], _KEYS, _CREATE], name="create.ipynb")
        notebook.run_all()
        _cells(notebook, 3, DOCS / "quickstart.png")
        lab.set_theme("JupyterLab Dark")
        _explorer(lab.open(_SETUP, name="dark.ipynb"), DOCS / "explorer-dark.png")


def _explorer(notebook: Notebook, picture: Path) -> None:
    notebook.run_all()
    page = notebook.page
    for name in ("acme-lake", "sales/", "reports/"):
        row = page.get_by_role("treeitem").filter(has_text=name).first
        row.dblclick()
        page.wait_for_timeout(800)
    row = page.get_by_role("treeitem").filter(has_text="orders.csv").first
    row.click()
    page.wait_for_timeout(300)
    _cells(notebook, 2, picture)


def _cells(notebook: Notebook, index: int, picture: Path) -> None:
    cell: Any = notebook.page.locator(".jp-CodeCell").nth(index)
    cell.scroll_into_view_if_needed()
    cell.screenshot(path=str(picture))


if __name__ == "__main__":
    main()
