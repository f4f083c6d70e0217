"""The panel as pages show it: JupyterLab and Notebook 7, light and dark, wide and narrow; boxes are measured."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import nbformat
import pytest
from shown import Shown, contrast

pytestmark = pytest.mark.browser

SETUP = "%load_ext s3conn_magic\n%upsql START SANDBOX"
LAKE = "explorer = get_ipython().run_line_magic('upsql', \"EXPLORE 's3://acme-lake/' USING sandbox\")\nexplorer"
QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"
LABELS = "dt, dd, th > div:first-child, .s3x-label, .s3x-tab, .s3x-sort, .s3x-act, .s3x-library, .s3t-button"
# A rule of each kind that pages have, and stronger than those that they do have.
HOST = """
.jp-OutputArea-output dt { float: left; width: 20%; }
:is(div, body) .jp-OutputArea-output :is(dl, dt, dd, table, th, td, ul, li, p, pre, a, button, input, code) {
  float: left; width: 20px; padding: 30px; font-size: 40px; line-height: 3; text-transform: uppercase;
}
.jp-OutputArea-output { text-align: right; letter-spacing: 5px; white-space: pre; line-height: 4; }
"""
BOXES = """([root, labels]) => {
  const shown = [...root.querySelectorAll(labels)].filter((node) => node.offsetParent && node.textContent);
  return shown.map((node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const rects = [...range.getClientRects()].filter((one) => one.width);
    const tops = rects.map((one) => one.top).sort((one, two) => one - two);
    const lines = tops.filter((top, at) => at === 0 || top - tops[at - 1] > 6).length;
    const { float, fontSize } = getComputedStyle(node);
    const { height, width } = node.getBoundingClientRect();
    return { text: node.textContent, lines, float, size: parseFloat(fontSize), height, width };
  });
}"""


def labels(tree):
    """The boxes of everything that names something else."""
    return tree.root.evaluate(f"(root) => ({BOXES})([root, {json.dumps(LABELS)}])")


def boxes_of_every_tab(tree):
    """The boxes, by tab, of a text, a Parquet file and a folder."""
    found = {}

    def look(tab):
        tree.panel.get_by_role("tab", name=tab).click()
        tree.page.wait_for_timeout(100)
        found[tab] = labels(tree)
        assert tree.root.evaluate("(root) => root.scrollWidth <= root.clientWidth + 1")
        assert tree.panel.evaluate("(panel) => panel.scrollWidth <= panel.clientWidth + 1")

    tree.row("README.txt").dblclick()
    tree.panel.get_by_role("tab", name="Preview").click()  # the panel opens with the tab that was looked at last
    tree.panel.get_by_text("Acme's data lake").wait_for()
    tree.panel.get_by_role("tab", name="Versions").wait_for()
    for tab in ("Details", "Versions", "Copy", "Preview"):
        look(tab)
    tree.find("s3://acme-lake/events/year=2026/month=01/day=01/")
    _show(tree, "part-00000.parquet")
    tree.panel.get_by_text("Parquet · 200 rows").wait_for()
    look("Preview")
    tree.find("s3://acme-lake/")
    _show(tree, "sales/")
    tree.panel.get_by_role("heading").filter(has_text="sales/").wait_for()
    tree.panel.get_by_role("button", name="Analyze").click()
    tree.panel.locator(".s3t-item").first.wait_for()
    look("Contents")
    look("Copy")
    return found


def _show(tree, name):
    """Have a row in the panel, which makes way for the tree on a narrow page, and follows a click on a wide one."""
    tree.row(name).click()
    if not tree.panel.is_visible():
        tree.page.keyboard.press("Space")


def assert_readable(found):
    """One line for each label, as high and wide as its letters are, and nothing that floats."""
    assert {"Details", "Versions", "Copy", "Preview", "Contents"} <= set(found)
    assert {"Size", "Storage class", "ETag"} <= {one["text"] for one in found["Details"]}
    for tab, boxes in found.items():
        for one in boxes:
            assert one["float"] == "none", (tab, one)
            assert one["lines"] == 1, (tab, one)
            assert 9 <= one["size"] <= 16, (tab, one)
            assert one["height"] < 45, (tab, one)
            assert one["width"] >= one["size"] * 0.3 * min(len(one["text"]), 10), (tab, one)


@pytest.mark.parametrize(("place", "theme"), [("doc/tree", "JupyterLab Dark"), ("notebooks", "JupyterLab Light")])
def test_labels_are_readable_in_every_tab(lab, place, theme):
    """In JupyterLab, dark, and Notebook 7, light, wide and narrow, each label of each tab is one line of its own."""
    if place == "notebooks" and importlib.util.find_spec("notebook") is None:
        pytest.skip("the package notebook is not installed")
    lab.set_theme(theme)
    context = lab.new_context(viewport={"width": 1280, "height": 900})
    notebook = lab.open([SETUP, LAKE], name=f"{place[:3]}-{theme[-4:]}.ipynb", context=context, place=place)
    lab.set_theme("JupyterLab Light")
    notebook.run_all()
    tree = Shown(notebook, notebook.page.locator(".s3x").last)
    for width in (1280, 800):
        notebook.page.set_viewport_size({"width": width, "height": 900})
        tree.row("README.txt").wait_for()
        assert_readable(boxes_of_every_tab(tree))
        tree.press("Escape")
        tree.panel.wait_for(state="hidden")
    ground, ink = tree.root.evaluate("(root) => [getComputedStyle(root).backgroundColor, getComputedStyle(root).color]")
    assert contrast(ground, ink) > 7
    context.close()


def _sizes(found):
    return {tab: [(one["text"], one["height"], one["size"]) for one in boxes] for tab, boxes in found.items()}


def test_no_rule_of_the_page_reaches_in(lab):
    """Whatever a page says of lists, tables, buttons and inherited text in its outputs, the explorer is as it was."""
    notebook = lab.open([SETUP, LAKE], name="rules.ipynb")
    notebook.run_all()
    tree = Shown(notebook, notebook.page.locator(".s3x").last)
    tree.row("README.txt").wait_for()
    before = boxes_of_every_tab(tree)
    tree.panel.get_by_role("button", name="Close the panel").click()
    notebook.page.add_style_tag(content=HOST)
    after = boxes_of_every_tab(tree)
    assert_readable(after)
    assert _sizes(after) == _sizes(before)
    notebook.page.close()


def test_no_rule_of_ours_reaches_out(lab):
    """A list, a table and a button of another output look the same before and after an explorer is shown."""
    html = "<dl><dt>t</dt><dd>d</dd></dl><table><tr><th>h</th><td>c</td></tr></table><button>b</button>"
    notebook = lab.open([SETUP, f"from IPython.display import HTML\nHTML({html!r})"], name="out.ipynb")
    notebook.run_all()
    style = """() =>
    [...document.querySelectorAll(".jp-RenderedHTML :is(dl, dt, dd, table, th, td, button)")].map((node) => {
      const { font, color, margin, padding, display, float, border } = getComputedStyle(node);
      return [node.tagName, font, color, margin, padding, display, float, border];
    })"""
    before = notebook.page.evaluate(style)
    notebook.run(LAKE).locator(".s3x-row:visible").first.wait_for()
    assert len(before) > 6
    assert notebook.page.evaluate(style)[: len(before)] == before
    notebook.page.close()


def test_the_explorer_of_the_quickstart_works_after_run_all(lab):
    """After every cell of the quickstart has run, its explorer still opens folders."""
    cells = [cell.source for cell in nbformat.read(QUICKSTART, as_version=4).cells if cell.cell_type == "code"]
    notebook = lab.open(cells, name="quickstart-again.ipynb")
    notebook.run_all()
    tree = Shown(notebook, notebook.page.locator(".s3x").last)
    tree.toggle("acme-lake")
    tree.row("README.txt").wait_for()
    tree.toggle("sales/")
    tree.row("customers.csv").dblclick()
    tree.panel.locator("td").first.wait_for()
    assert tree.line("error").count() == 0
    notebook.page.close()
