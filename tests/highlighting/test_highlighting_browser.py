"""Colours of cells in a real JupyterLab and a real Notebook 7."""

from __future__ import annotations

import corpora
import pytest
from colours import is_coloured, shown, theme

from s3conn_magic.language.source import Source

pytestmark = pytest.mark.browser

CELL = """%%upsql files <<
-- every file, in whatever storage class
CREATE OR REPLACE S3 CONNECTION IF NOT EXISTS test
    AWS_ROLE = 'it''s' COMMENT = $said, READ_ONLY = true /* over
    lines */ AWS_SECRET_ACCESS_KEY = ENV 'SECRET';
LIST 's3://lake/two
lines' USING "my ""lake" LIMIT 10; SELECT count(*), size FROM t WHERE a >= 1.5;"""
PYTHON = "import os\nfiles = %upsql LIST 's3://lake'\nprint('%%upsql')"
UNENDED = ["%%upsql x\nLIST 's3://lake\nUSING y", '%%upsql\nUSE CONNECTION "a\nSHOW', "%%upsql LIST /* a\nSHOW '"]
UNENDED += ["%%upsql SELECT $a$it's\n\n$$ -- $b$ $A$ $a$ AS x, $1, $y, 'a $$ b', $$ not\nended, $a$ LIMIT 1"]
MIMES = """() => {
  const { content } = jupyterapp.shell.currentWidget;
  return [...content.model.cells].map((cell) => cell.mimeType === "text/x-upsql" ? "ours" : cell.mimeType);
}"""
BECOME = f"(due) => JSON.stringify(({MIMES})()) === JSON.stringify(due)"
PLAIN = "text/x-ipython"
TALL = {"width": 1180, "height": 30_000}


def _mimes(notebook, due):
    notebook.page.wait_for_function(BECOME, arg=due)
    return True


def _cell(notebook, index):
    return notebook.page.locator(".jp-Notebook .jp-Cell").nth(index)


def _execute(notebook, command, **arguments):
    # What a command gives may be a widget, which is better not sent here.
    notebook.page.evaluate(
        "async ([name, options]) => { await jupyterapp.commands.execute(name, options); }", [command, arguments]
    )


@pytest.fixture(scope="module")
def shared(lab):
    notebook = lab.open([])
    yield notebook
    notebook.page.close()


def _fill(notebook, *sources):
    """Put these cells in place of what is there."""
    notebook.page.evaluate(
        """(sources) => {
          const shared = jupyterapp.shell.currentWidget.content.model.sharedModel;
          shared.transact(() => {
            shared.deleteCellRange(0, shared.cells.length);
            shared.insertCells(0, sources.map((source) => ({ cell_type: "code", source })));
          });
        }""",
        list(sources),
    )


@pytest.fixture
def opened(shared):
    _fill(shared, CELL, PYTHON)
    assert _mimes(shared, ["ours", PLAIN])
    return shared


def test_a_cell_is_coloured_in_light_and_in_dark(opened):
    """Each piece has the theme's colour for what it is; a cell of Python beside it is left to Python."""
    cell, python = _cell(opened, 0), _cell(opened, 1)
    assert is_coloured(cell, CELL)
    light = theme(cell)
    assert len(set(light.values())) > 8
    assert ("i", light["keyword"]) in shown(python)
    _execute(opened, "apputils:change-theme", theme="JupyterLab Dark")
    opened.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    assert is_coloured(cell, CELL)
    assert theme(cell)["string"] != light["string"]
    _execute(opened, "apputils:change-theme", theme="JupyterLab Light")


def test_a_cell_is_ours_while_its_first_line_says_so(opened):
    """Typing `%%upsql` colours at once, deleting a character gives Python back, undoing brings ours back."""
    cell = _cell(opened, 1)
    cell.locator(".cm-content").click()
    keyboard = opened.page.keyboard
    keyboard.press("ControlOrMeta+a")
    keyboard.type("%%upsql\nSHOW CONNECTIONS")
    assert _mimes(opened, ["ours", "ours"])
    assert is_coloured(cell, "%%upsql\nSHOW CONNECTIONS")
    keyboard.press("ControlOrMeta+Home")
    keyboard.press("Delete")
    assert _mimes(opened, ["ours", PLAIN])
    keyword = theme(cell)["keyword"]
    opened.page.wait_for_timeout(300)
    assert ("S", keyword) not in shown(cell)
    keyboard.type("%")
    assert _mimes(opened, ["ours", "ours"])
    assert is_coloured(cell, "%%upsql\nSHOW CONNECTIONS")


def test_cells_that_come_later_and_kernels_that_restart(opened):
    """New, pasted and changed cells are looked at, and a restart of the kernel changes nothing."""
    opened.page.evaluate(
        """() => jupyterapp.shell.currentWidget.content.model.sharedModel.insertCells(1, [
          { cell_type: "code", source: "\\n  %%upsql\\nHELP" },
          { cell_type: "code", source: "%%upsqlx\\nHELP" },
          { cell_type: "markdown", source: "%%upsql\\nHELP" },
        ])"""
    )
    due = ["ours", "ours", PLAIN, "text/x-ipythongfm", PLAIN]
    assert _mimes(opened, due)
    assert is_coloured(_cell(opened, 1), "%%upsql\nHELP")
    opened.page.evaluate("async () => { await jupyterapp.shell.currentWidget.sessionContext.restartKernel(); }")
    assert _mimes(opened, due)
    assert is_coloured(_cell(opened, 0), CELL)
    opened.page.evaluate("() => { jupyterapp.shell.currentWidget.content.activeCellIndex = 3; }")
    _execute(opened, "notebook:change-cell-to-code")
    assert _mimes(opened, ["ours", "ours", PLAIN, "ours", PLAIN])


def test_colours_leave_no_trace_in_the_file(opened):
    """A saved notebook holds nothing of them."""
    cells = opened.save()["cells"]
    assert [cell["source"] for cell in cells] == [CELL.splitlines(keepends=True), PYTHON.splitlines(keepends=True)]
    assert all("upsql" not in str(cell["metadata"]) for cell in cells)


def _is_plain(text):
    """Whether the editor shows the text as it is, and whether it ends where it seems to."""
    ends = all(token.kind != "open" for token in Source(text).tokens)
    return ends and text.isascii() and all(one.isprintable() or one == "\n" for one in text) and len(text) < 500


def test_jupyterlab_reads_every_cell_of_the_corpus_as_pygments_does(opened):
    """The two readers of the language agree on every statement of the tests, and on literals that do not end."""
    cases = [case.cell for folder in ("valid", "malformed") for case in corpora.read(folder)]
    plain = [*filter(_is_plain, cases)]
    assert len(plain) > 400
    usual = opened.page.viewport_size
    opened.page.set_viewport_size(TALL)
    # In two halves: the editor draws no more lines than the page is high.
    for half in (plain[::2], plain[1::2]):
        text = "%%upsql\n" + "\n;\n".join(half)
        _fill(opened, *UNENDED, text)
        for index, source in enumerate([*UNENDED, text]):
            assert is_coloured(_cell(opened, index), source)
    opened.page.set_viewport_size(usual)


def test_files_and_consoles_are_coloured(opened):
    """A `.usql` file is of our language, and so is what is typed at a console's prompt after `%%upsql`."""
    (opened.path.parent / "setup.usql").write_text("SHOW CONNECTIONS;", encoding="utf-8")
    notebook, kernel = opened.page.evaluate(
        "() => [jupyterapp.shell.currentWidget.id, jupyterapp.shell.currentWidget.sessionContext.session.kernel.id]"
    )
    _execute(opened, "docmanager:open", path="setup.usql")
    assert is_coloured(opened.page.locator(".jp-FileEditor"), "SHOW CONNECTIONS;")
    _execute(opened, "console:create", kernelPreference={"id": kernel}, activate=True)
    prompt = opened.page.locator(".jp-CodeConsole-promptCell")
    prompt.locator(".cm-content").click()
    opened.page.keyboard.type("%%upsql\nSHOW CONNECTIONS")
    assert is_coloured(prompt, "%%upsql\nSHOW CONNECTIONS")
    opened.page.evaluate("(id) => jupyterapp.shell.activateById(id)", notebook)


def test_notebook_7_colours_cells_and_shows_the_explorer(lab):
    """Notebook 7 loads the same extension, runs the statements, and opens the tree."""
    explore = "%%upsql\nEXPLORE 's3://acme-lake/'"
    pytest.importorskip("notebook")
    notebook = lab.open(
        ["%load_ext s3conn_magic", "%upsql START SANDBOX", explore], name="seven.ipynb", place="notebooks"
    )
    assert notebook.page.evaluate("() => jupyterapp.name") == "Jupyter Notebook"
    assert _mimes(notebook, [PLAIN, PLAIN, "ours"])
    assert is_coloured(_cell(notebook, 2), explore)
    notebook.run_all()
    page = notebook.page
    page.get_by_role("treeitem").filter(has_text="sales/").first.dblclick()
    page.get_by_role("treeitem").filter(has_text="orders.csv").first.wait_for()
