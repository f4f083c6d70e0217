"""The panel, copying, transfers and deletions in a real JupyterLab, over the sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from shown import Shown, clipboard, contrast

pytestmark = pytest.mark.browser

SETUP = "%load_ext s3conn_magic\n%upsql START SANDBOX"
LAKE = "explorer = get_ipython().run_line_magic('upsql', \"EXPLORE 's3://acme-lake/' USING sandbox\")\nexplorer"
EMPTY = "explorer = get_ipython().run_line_magic('upsql', \"EXPLORE 's3://acme-empty/' USING sandbox\")\nexplorer"
HARMLESS = (
    "() => window.__xss === undefined && !document.querySelector('.s3x mjx-container, .s3x .MathJax, .s3x script')"
)


def explore(notebook, source=LAKE):
    shown = Shown(notebook, notebook.run(source).locator(".s3x").last)
    shown.root.locator(".s3x-row:visible").first.wait_for()
    return shown


@pytest.fixture
def tree(notebook):
    return explore(notebook)


def test_enter_shows_a_preview_and_the_panel_follows_the_focus(tree):
    """Enter on an object opens its preview; another row that is clicked takes its place; the close button closes it."""
    tree.row("README.txt").click()
    tree.press("Enter")
    tree.panel.get_by_text("Acme's data lake").wait_for()
    tree.toggle("sales/")
    tree.row("customers.csv").click()
    tree.panel.locator("td").first.wait_for()
    assert tree.panel.get_by_role("heading").inner_text() == "customers.csv"
    assert tree.panel.get_by_text("requests").or_(tree.panel.get_by_text("request")).first.is_visible()
    tree.panel.get_by_role("button", name="Close the panel").click()
    tree.panel.wait_for(state="hidden")


def test_parquet_and_pictures(tree):
    """A Parquet file shows types, rows and their number; a picture is drawn from the bytes that came."""
    tree.find("s3://acme-lake/events/year=2026/month=01/day=01/")
    tree.row("part-00000.parquet").click()
    tree.press(" ")
    tree.panel.get_by_text("Parquet · 200 rows").wait_for()
    tree.panel.get_by_text("timestamp[us, tz=UTC]").wait_for()
    tree.find("s3://acme-lake/reports/")
    tree.row("revenue.png").click()
    picture = tree.panel.get_by_alt_text("Preview of revenue.png")
    picture.wait_for()
    tree.page.wait_for_function("() => document.querySelector('.s3x-picture img')?.naturalWidth > 0")
    assert picture.get_attribute("src").startswith("blob:")


def test_versions_can_be_looked_at(notebook):
    """A version that is chosen shows what it held, and says that it is not the current one."""
    tree = explore(notebook, LAKE.replace("acme-lake/", "acme-archive-eu/contracts/"))
    tree.row("acme-2026.txt").or_(tree.root.locator(".s3x-row[data-opens='']:visible")).first.click()
    tree.press("Enter")
    tree.panel.get_by_role("tab", name="Versions").click()
    versions = tree.panel.locator(".s3x-version")
    versions.first.wait_for()
    assert versions.count() >= 2
    versions.nth(1).click()
    tree.panel.get_by_text("Version of").wait_for()
    tree.panel.get_by_role("tab", name="Preview").click()
    tree.panel.locator("pre").wait_for()
    tree.panel.get_by_role("button", name="Show the current one").click()
    tree.panel.get_by_text("Version of").wait_for(state="hidden")


def test_what_is_copied_is_exact(notebook, tree):
    """URI, ARN, code and link reach the clipboard as they are; the code runs; the link is in no output."""
    tree.row("README.txt").click()
    tree.press("Enter")
    tree.panel.get_by_role("tab", name="Copy", exact=True).click()
    panel, page = tree.panel.get_by_role("tabpanel"), tree.page

    def says(text):
        tree.root.get_by_role("status").filter(has_text=text).wait_for()

    panel.get_by_role("button", name="Copy the s3:// URI").click()
    says("Copied the s3:// URI")
    assert clipboard(page) == "s3://acme-lake/README.txt"
    panel.get_by_role("button", name="Copy the ARN").click()
    says("Copied the ARN")
    assert clipboard(page) == "arn:aws:s3:::acme-lake/README.txt"
    panel.get_by_role("button", name="Copy the code for boto3").click()
    says("Copied the code")
    notebook.run(clipboard(page))
    assert "made up" in notebook.value("data")
    panel.get_by_label("How long the link lasts").select_option("12 hours")
    panel.get_by_role("button", name="Copy a link").click()
    says("It opens the object for anyone who has it until")
    link = clipboard(page)
    assert "X-Amz-Expires=43200" in link
    assert panel.get_by_label("Link", exact=True).input_value() == link
    saved = json.dumps(notebook.save())
    assert "X-Amz-Signature" not in saved
    assert "sandbox/admin/secret" not in saved


def test_the_saved_notebook_holds_no_more_than_the_snapshot(notebook, tree):
    """Previews, tags and keys that were opened after the cell ran are nowhere in the file."""
    tree.toggle("sales/")
    tree.row("customers.csv").dblclick()
    tree.panel.locator("td").first.wait_for()
    saved = notebook.save()
    outputs = json.dumps(saved["cells"][-1]["outputs"])
    assert "README.txt" in outputs
    assert "customers.csv" not in json.dumps(saved)


def test_the_keyboard_alone_is_enough(notebook, tree):
    """From the tree into the panel, through its tabs and back, no mouse, and no shortcut of the notebook is hit."""
    cells = notebook.page.locator(".jp-Cell").count()
    tree.row("drafts/").click()
    tree.press("End")
    tree.focused("README.txt")
    tree.press("Enter")
    tree.panel.get_by_text("Acme's data lake").wait_for()
    on_tab = "() => document.activeElement.getAttribute('role') === 'tab' && document.activeElement.textContent"
    assert tree.page.evaluate(on_tab) == "Preview"
    tree.panel.get_by_role("tab", name="Versions").wait_for()
    tree.press("ArrowRight")
    assert tree.page.evaluate(on_tab) == "Details"
    tree.panel.get_by_text("text/plain").wait_for()
    tree.press("End")
    assert tree.page.evaluate(on_tab) == "Copy"
    tree.press("Tab")
    assert tree.page.evaluate("() => document.activeElement.getAttribute('role')") == "tabpanel"
    tree.press("Tab", "Enter")
    tree.root.get_by_role("status").filter(has_text="Copied the s3:// URI").wait_for()
    assert clipboard(tree.page) == "s3://acme-lake/README.txt"
    tree.press("d", "d", "a", "b", "x", "Escape")
    tree.panel.wait_for(state="hidden")
    assert tree.page.evaluate("() => document.activeElement.getAttribute('role')") == "tree"
    tree.press(" ")
    tree.panel.get_by_text("Acme's data lake").or_(tree.panel.get_by_text("URI")).first.wait_for()
    assert tree.page.evaluate("() => document.activeElement.getAttribute('role')") == "tree"
    tree.press(" ")
    tree.panel.wait_for(state="hidden")
    assert notebook.page.locator(".jp-Cell").count() == cells


def test_files_go_up_come_down_and_go_away(notebook, tmp_path):
    """Two files are uploaded, one asks before it replaces, a download is the same bytes, and both are deleted."""
    tree = explore_empty(notebook)
    small, large = tmp_path / "notes $x$ <b>.txt", tmp_path / "large.bin"
    small.write_text("hello\n")
    large.write_bytes(bytes(range(253)) * 40_000)
    tree.picker.set_input_files([small, large])
    tree.line_saying("Uploaded 10.1 MB").wait_for()
    tree.row(small.name).wait_for()
    tree.row(large.name).wait_for()
    small.write_text("hello again\n")
    tree.picker.set_input_files([small])
    tree.root.get_by_role("button", name="Replace").click()
    tree.line_saying("Uploaded 12 B").wait_for()
    tree.row(small.name).click()
    tree.press("Enter")
    tree.panel.get_by_text("hello again").wait_for()
    for file in (small, large):
        tree.row(file.name).click()
        tree.panel.get_by_role("heading").filter(has_text=file.name).wait_for()
        with tree.page.expect_download() as download:
            tree.panel.get_by_role("button", name="Download").click()
        assert Path(download.value.path()).read_bytes() == file.read_bytes()
    tree.row(small.name).click(modifiers=["Control"])
    tree.root.get_by_role("button", name="Delete what is chosen").click()
    assert tree.root.locator(".s3x-danger").inner_text() == "Delete 2 objects"
    tree.root.locator(".s3x-danger").click()
    tree.line_saying("Deleted 2 objects").wait_for()
    tree.row(small.name).wait_for(state="hidden")
    assert notebook.value("len(explorer.to_frame(recursive=True))") == "0"
    assert tree.page.evaluate(HARMLESS)


def explore_empty(notebook):
    shown = Shown(notebook, notebook.run(EMPTY).locator(".s3x").last)
    shown.line("empty").wait_for()
    return shown


def test_a_read_only_connection_says_why_it_writes_nothing(notebook):
    """Upload and Delete stay in their places, disabled with the reason, which a click says."""
    made = (
        "import s3conn_magic as s\nkeys = s.connection('sandbox').settings\n"
        "one, two, where = keys.access_key_id, keys.secret_access_key.reveal(), keys.endpoint\n"
        "_ = s.execute('CREATE OR REPLACE S3 CONNECTION \"read only\" AWS_ACCESS_KEY_ID = ' + repr(one) + "
        "' AWS_SECRET_ACCESS_KEY = ' + repr(two) + ' ENDPOINT = ' + repr(where) + ' READ_ONLY = TRUE')\n"
        'explorer = s.execute("EXPLORE \'s3://acme-lake/\' USING \\"read only\\"")\nexplorer'
    )
    tree = explore(notebook, made)
    for name in ("Upload files here", "Delete what is chosen"):
        control = tree.root.get_by_role("button", name=name)
        assert control.get_attribute("aria-disabled") == "true"
        assert "READ_ONLY" in control.get_attribute("title")
    tree.root.get_by_role("button", name="Upload files here").click(force=True)
    tree.root.get_by_role("status").filter(has_text="The connection read only is READ_ONLY").wait_for()


def test_a_page_that_is_loaded_again_shows_the_panel(notebook, tree):
    """After a reload the panel is there as it was, picture and all, and goes on working."""
    tree.toggle("reports/")
    tree.row("revenue.png").dblclick()
    tree.panel.get_by_alt_text("Preview of revenue.png").wait_for()
    notebook.save()
    notebook.page.reload()
    again = Shown(notebook, notebook.page.locator(".s3x").last)
    again.panel.get_by_alt_text("Preview of revenue.png").wait_for()
    again.row("README.txt").click()
    again.panel.get_by_text("Acme's data lake").wait_for()


def test_two_explorers_have_panels_of_their_own(notebook, tree):
    """What one explorer shows in its panel is not shown in the other's."""
    other = explore(notebook, LAKE.replace("explorer", "other"))
    other.row("README.txt").dblclick()
    other.panel.get_by_text("Acme's data lake").wait_for()
    assert tree.panel.is_hidden()
    tree.toggle("sales/")
    tree.row("orders.csv").dblclick()
    tree.panel.locator("td").first.wait_for()
    assert other.panel.get_by_role("heading").inner_text() == "README.txt"


def test_hostile_keys_and_contents_do_no_harm(notebook):
    """Keys of every hostile kind, and what is in them, are shown as text: no script runs and nothing is typeset."""
    tree = explore(notebook, LAKE.replace("acme-lake", "acme-odd-keys"))
    objects = tree.root.locator(".s3x-row[data-kind=row][data-opens='']:visible")
    objects.first.click()
    tree.press("Enter")
    for at in range(min(objects.count(), 12)):
        objects.nth(at).click()
        tree.panel.locator(".s3x-summary-line, .s3x-problem").first.wait_for()
    assert tree.page.evaluate(HARMLESS)


def test_a_hundred_and_sixty_hostile_keys_are_shown(notebook):
    """Each of them has a row, none of them is markup, and no dialog comes up."""
    source = (
        "from hostile_keys import HOSTILE\nfrom s3conn_magic.locations import Location\n"
        "from s3conn_magic.explorer import Children, TreeEntry\n"
        "from s3conn_magic.explorer.widget import Explorer\n"
        "keys = sorted(HOSTILE.values())\n"
        "page = Children([TreeEntry(Location('odd', key), size=1) for key in keys])\n"
        "explorer = Explorer(lambda *_, **__: page, title='$t$ <b>', location=Location('odd'), first=page)\nexplorer"
    )
    tree = explore(notebook, source)
    count = int(notebook.value("len(keys)"))
    assert count >= 160
    tree.says(f"{count:,} objects")
    tree.root.locator(".s3x-row:visible").first.click()
    for _ in range(0, count, 10):
        tree.press("PageDown")
        tree.root.locator(".s3x-row.s3x-focus:visible").first.wait_for()
    assert tree.page.evaluate(HARMLESS)
    assert tree.root.locator("img, script, a, b").count() == 0


def test_a_folder_is_drawn_as_a_treemap(tree):
    """Analyze draws the folders below; a rectangle that is chosen with the keyboard becomes the root of the tree."""
    tree.root.get_by_role("button", name="Up one folder").click()
    tree.row("acme-lake").click()
    tree.press(" ")
    tree.panel.get_by_role("button", name="Analyze").click()
    tree.panel.locator(".s3t-item").first.wait_for()
    tree.panel.get_by_text("113 objects").first.wait_for()
    assert serious(tree) == []
    tree.panel.locator(".s3t-item[tabindex='0']").focus()
    tree.press("Enter")
    tree.row("year=2026/").wait_for()
    assert tree.root.locator(".s3x-crumb").all_text_contents() == ["sandbox", "acme-lake", "events"]


def test_plain_widgets_where_it_is_so_set(notebook):
    """With EXPLORER_UI = 'basic' the page holds a list and buttons, which open folders and tell of objects."""
    notebook.run("%upsql SET EXPLORER_UI = 'basic'")
    cell = notebook.run(LAKE)
    notebook.run("%upsql SET EXPLORER_UI = 'auto'")
    rows = cell.get_by_role("listbox")
    rows.select_option(label="▸ sales/")
    cell.get_by_role("button", name="Open").click()
    cell.get_by_text("sandbox / acme-lake / sales").wait_for()
    notebook.page.wait_for_function("() => document.querySelector('.widget-select select')?.options.length === 2")
    rows.select_option(index=1)
    cell.get_by_role("button", name="Open").click()
    cell.get_by_text("s3://acme-lake/sales/orders.csv").wait_for()
    assert cell.locator(".s3x").count() == 0


def test_all_connections_in_one_tree(notebook):
    """Connections are the roots; opened, each shows its buckets."""
    tree = explore(notebook, "%upsql EXPLORE ALL CONNECTIONS")
    tree.toggle("sandbox")
    tree.row("acme-lake").wait_for()
    tree.toggle("acme-lake")
    tree.row("README.txt").dblclick()
    tree.panel.get_by_text("Acme's data lake").wait_for()
    crumbs = tree.root.locator(".s3x-crumb")
    assert crumbs.all_text_contents() == ["All connections", "sandbox", "acme-lake"]
    crumbs.nth(1).click()
    tree.says("6 buckets")


def test_a_checker_of_accessibility_finds_nothing_serious(tree):
    """Axe finds no serious violation in the tree, in any tab of the panel, or in a question."""
    tree.row("README.txt").dblclick()
    tree.panel.get_by_text("Acme's data lake").wait_for()
    found = serious(tree)
    for tab in ("Details", "Versions", "Copy"):
        tree.panel.get_by_role("tab", name=tab).click()
        found += serious(tree)
    tree.root.get_by_role("button", name="Delete what is chosen").click()
    tree.root.get_by_role("button", name="Delete 1 object").wait_for()
    found += serious(tree)
    tree.root.get_by_role("button", name="Cancel").click()
    tree.root.locator(".s3x-line").wait_for(state="detached")
    assert found == []


def serious(tree):
    """Rules that are broken seriously, each with the first element that breaks it."""
    results = Axe().run(tree.page, context=".s3x").response["violations"]
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in results if one["impact"] in {"serious", "critical"}]


def test_the_panel_reads_well_in_dark_and_narrow(lab):
    """In the dark theme and 320 px wide the panel lies over the tree, nothing overflows, and text stands out."""
    lab.set_theme("JupyterLab Dark")
    context = lab.new_context(viewport={"width": 424, "height": 1100})
    notebook = lab.open([SETUP, LAKE], name="narrow.ipynb", context=context)
    lab.set_theme("JupyterLab Light")
    notebook.run_all()
    tree = Shown(notebook, notebook.page.locator(".s3x"))
    tree.toggle("sales/")
    tree.row("customers.csv").dblclick()
    tree.panel.locator("td").first.wait_for()
    assert 300 <= tree.root.bounding_box()["width"] <= 340
    assert tree.panel.bounding_box()["y"] <= tree.body.bounding_box()["y"]
    assert tree.root.evaluate("(root) => root.scrollWidth <= root.clientWidth + 1")
    colours = "(node) => [getComputedStyle(node.closest('.s3x')).backgroundColor, getComputedStyle(node).color]"
    for node in (tree.panel.locator("td").first, tree.panel.get_by_role("tab", name="Details")):
        assert contrast(*node.evaluate(colours)) > 4.5
    for tab in ("Details", "Copy"):
        tree.panel.get_by_role("tab", name=tab).click()
        assert tree.panel.evaluate("(panel) => panel.scrollWidth <= panel.clientWidth + 1")
    assert serious(tree) == []
    assert notebook.errors == []
    context.close()


def test_a_restarted_kernel_leaves_the_rows_and_the_snapshot(lab):
    """With a new kernel the rows stay on the page, a click says what to do, and the file holds the snapshot."""
    notebook = lab.open([SETUP, LAKE], name="restart.ipynb")
    notebook.run_all()
    tree = Shown(notebook, notebook.page.locator(".s3x"))
    tree.row("README.txt").wait_for()
    notebook.page.evaluate(
        "() => jupyterapp.shell.currentWidget.context.sessionContext.restartKernel().then(() => null)"
    )
    tree.row("README.txt").click()
    tree.root.get_by_role("status").filter(has_text="run its cell again").wait_for()
    data = notebook.save()["cells"][-1]["outputs"][1]["data"]
    assert "README.txt" in "".join(data["text/html"])
    assert "README.txt" in "".join(data["text/plain"])
    assert notebook.errors == []
    notebook.page.close()


def test_a_notebook_that_is_opened_again_shows_what_there_was(lab):
    """With the kernel gone, explorer, plain explorer and chart show their snapshots; while it ran, themselves alone."""
    cells = [SETUP, LAKE, "%upsql SET EXPLORER_UI = 'basic'", LAKE, "%upsql ANALYZE 's3://acme-lake/'"]
    notebook = lab.open(cells, name="again.ipynb")
    notebook.run_all()
    notebook.page.locator(".s3t-item").first.wait_for()
    notebook.page.locator(".s3x-row").filter(has_text="README.txt").wait_for()
    snapshots = notebook.page.locator(".s3x-snapshot")
    assert snapshots.count() == 3
    assert [each.is_visible() for each in snapshots.all()] == [False] * 3
    heights = notebook.page.locator(".jp-OutputArea-child:has(.s3x-snapshot)").evaluate_all(
        "(all) => all.map((each) => each.getBoundingClientRect().height)"
    )
    assert heights == [0, 0, 0]
    notebook.save()
    notebook.page.evaluate("() => jupyterapp.shell.currentWidget.context.sessionContext.shutdown().then(() => null)")
    again = lab.open_again(notebook)
    notebook.page.close()
    again.page.get_by_text("model not found").first.wait_for()
    seen = again.page.locator(".s3x-snapshot:visible")
    assert seen.count() == 3
    assert [each.get_by_text("README.txt").count() > 0 for each in seen.all()] == [True, True, False]
    assert seen.last.get_by_text("events/").count() == 1
    again.page.close()


def test_a_preview_goes_on_while_it_is_scrolled(tree):
    """Rows come as they are scrolled to, in an order and by a filter that are asked for; a column tells its figures."""
    tree.find("s3://acme-lake/sales/")
    tree.row("orders.csv").click()
    tree.press(" ")
    table, foot = tree.panel.locator(".s3x-table"), tree.panel.locator(".s3x-records-foot")
    table.locator("td").first.wait_for()
    foot.get_by_text("The first 100 of").wait_for()
    first = table.locator("tbody tr").first.inner_text()
    while "The first 100 of" in foot.inner_text():
        table.evaluate("(table) => (table.scrollTop = table.scrollHeight)")
        tree.page.wait_for_timeout(100)
    assert table.locator("tbody tr").count() < 120
    tree.page.wait_for_function(
        "() => [...document.querySelectorAll('.s3x-table td')].every((cell) => cell.textContent !== '…')"
    )
    name = table.locator(".s3x-order").first
    name.click()
    table.locator("th[aria-sort=ascending]").wait_for()
    name.click()
    table.locator("th[aria-sort=descending]").wait_for()
    tree.page.wait_for_function(
        "(before) => document.querySelector('.s3x-table tbody tr').innerText !== before", arg=first
    )
    table.locator(".s3x-tool").first.click()
    tree.panel.locator(".s3x-column").get_by_text("Different values").wait_for()
    tree.panel.get_by_label("Filter the loaded rows").fill("no row has this")
    tree.panel.get_by_text("0 of 1,000 loaded rows").wait_for()
    tree.press("Escape")
    tree.panel.get_by_text("0 of 1,000 loaded rows").wait_for(state="detached")
    assert tree.panel.is_visible()


def test_deleted_objects_are_struck_through_and_come_back(notebook):
    """The button with the clock shows them; the menu brings one back after a question, and the row is as others are."""
    setup = "import boto3\nhandle = __import__('s3conn_magic').connection('sandbox').client('s3')\n"
    key = "Bucket='acme-archive-eu', Key='contracts/struck.txt'"
    notebook.run(f"{setup}handle.put_object({key}, Body=b'x'); handle.delete_object({key}); None")
    tree = explore(notebook, LAKE.replace("acme-lake/", "acme-archive-eu/contracts/"))
    assert tree.row("struck.txt").count() == 0
    tree.root.get_by_role("button", name="Show deleted objects").click()
    row = tree.row("struck.txt")
    row.wait_for()
    line = "(row) => getComputedStyle(row.querySelector('.s3x-text')).textDecorationLine"
    assert row.evaluate(line) == "line-through"
    row.click(button="right")
    tree.root.get_by_role("menuitem", name="Bring it back…").click()
    tree.root.get_by_role("button", name="Bring back").click()
    tree.line_saying("Brought back").wait_for()
    tree.row("struck.txt").and_(tree.root.locator(".s3x-row:not(.s3x-deleted)")).wait_for()
    assert tree.row("struck.txt").evaluate(line) == "none"
    listed = f"handle.list_object_versions({key.replace('Key', 'Prefix')})"
    notebook.run(f"for one in {listed}['Versions']: handle.delete_object({key}, VersionId=one['VersionId'])")


def test_aside_shows_it_beside_the_notebook(notebook):
    """With ASIDE the explorer is in a panel of JupyterLab's own, and the cell says so; there it works as in a cell."""
    pytest.importorskip("sidecar", reason="the extra `aside` is not installed")
    output = notebook.run(LAKE.replace(" USING sandbox", " USING sandbox ASIDE"))
    output.get_by_text("It is shown beside the notebook.").wait_for(state="attached")  # the page shows one at a time

    beside = Shown(notebook, notebook.page.locator(".s3x:visible").last)
    beside.root.locator(".s3x-row:visible").first.wait_for()
    assert beside.root.evaluate("(root) => !root.closest('.jp-NotebookPanel')")
    beside.row("README.txt").dblclick()
    beside.panel.get_by_text("Acme's data lake").wait_for()
