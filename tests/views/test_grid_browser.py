"""SET GRID = TRUE in a real JupyterLab."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SETUP = "%load_ext s3conn_magic\n%upsql START SANDBOX; SET GRID = TRUE"


def test_a_grid_orders_and_searches_and_hostile_keys_are_text(lab):
    """It is drawn without a request to elsewhere, no key is markup or typeset, and reopened there is the frame."""
    notebook = lab.open([SETUP, "%upsql LIST 's3://acme-odd-keys/' RECURSIVE"], name="grid.ipynb")
    page, elsewhere = notebook.page, []
    page.on("request", lambda one: elsewhere.append(one.url) if one.url.startswith("http") else None)
    notebook.run_all()
    grid = page.locator(".dt-container")
    grid.locator("tbody tr").first.wait_for()
    assert "<b>bold</b>.txt" in grid.inner_text()
    grid.get_by_role("searchbox").fill("price")
    page.wait_for_function("() => document.querySelectorAll('.dt-container tbody tr').length < 4")
    assert "$price$.txt" in grid.inner_text()
    assert grid.locator("b, img, script, mjx-container, .MathJax").count() == 0
    assert [url for url in elsewhere if not url.startswith(lab.url)] == []
    assert (notebook.errors, notebook.dialogs) == ([], [])
    assert not page.locator(".s3x-snapshot").is_visible()
    notebook.save()
    page.evaluate("() => jupyterapp.shell.currentWidget.context.sessionContext.shutdown().then(() => null)")
    again = lab.open_again(notebook)
    page.close()
    again.page.locator(".s3x-snapshot").get_by_text("$price$.txt").wait_for()
    again.page.close()
