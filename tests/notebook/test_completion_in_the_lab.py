"""Tab and Shift-Tab in a real JupyterLab."""

from __future__ import annotations

import contextlib

import pytest
from statements import create

pytestmark = pytest.mark.browser

TRIES = 10
_EDIT = """([source]) => {
  const content = jupyterapp.shell.currentWidget.content;
  content.activeCell.model.sharedModel.setSource(source);
  content.mode = "edit";
  const { editor } = content.activeCell;
  editor.setCursorPosition(editor.getPositionAt(source.length));
  editor.focus();
}"""


@pytest.fixture(scope="module")
def notebook(lab, sandbox):
    """A notebook with the extension and the connection `lake`, and an empty cell below."""
    made = create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint)
    opened = lab.open(["%load_ext s3conn_magic", f"%%upsql\n{made}"])
    opened.run_all()
    opened.run("")
    return opened


def typed(notebook, source, key):
    """Put a text into the last cell, with the cursor at its end, and press a key."""
    notebook.page.keyboard.press("Escape")
    notebook.page.evaluate(_EDIT, [source])
    notebook.page.keyboard.press(key)


def offered(notebook, source):
    """What Tab drops down behind a text; pressed again where the front end or a bucket was too slow for it."""
    items = notebook.page.locator(".jp-Completer-match")
    from playwright.sync_api import TimeoutError as TooLate

    for _ in range(TRIES):
        typed(notebook, source, "Tab")
        with contextlib.suppress(TooLate):
            items.first.wait_for(timeout=3000)
            return items.all_text_contents()
    return []


def chosen(notebook):
    """The text of the last cell after Enter."""
    notebook.page.keyboard.press("Enter")
    notebook.page.wait_for_function("() => !document.querySelector('.jp-Completer-item')?.checkVisibility()")
    return notebook.page.evaluate(
        "() => jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.getSource()"
    )


def test_tab_offers_options(notebook):
    """In the list that drops down, and Enter puts the chosen one in place of what was begun."""
    begun = "%%upsql\nCREATE S3 CONNECTION x READ_ONLY = TRUE aws_s"
    assert offered(notebook, begun) == ["aws_secret_access_key", "aws_session_token"]
    assert chosen(notebook) == f"{begun}ecret_access_key"


def test_tab_offers_keys(notebook):
    """What is in the bucket, by its last segment."""
    begun = "%%upsql\nLIST 's3://acme-lake/sal"
    assert offered(notebook, begun) == ["sales/"]
    assert chosen(notebook) == f"{begun}es/"


def test_shift_tab_explains(notebook):
    """The tooltip is the entry of the option that the cursor stands at."""
    typed(notebook, "%%upsql\nCREATE S3 CONNECTION x READ_ONLY", "Shift+Tab")
    tooltip = notebook.page.locator(".jp-Tooltip")
    tooltip.wait_for()
    assert "cannot be altered" in tooltip.inner_text()
