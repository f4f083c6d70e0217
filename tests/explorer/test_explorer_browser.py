from __future__ import annotations

import pytest
from made_up_buckets import HOSTILE
from shown import Shown, clipboard, contrast

pytestmark = pytest.mark.browser

SETUP = "from made_up_buckets import MadeUpBuckets\nfrom s3conn_magic.explorer.widget import Explorer"
EXPLORE = "buckets = MadeUpBuckets()\nexplorer = Explorer(buckets, title='lab')\nexplorer"


def explore(notebook, source=EXPLORE):
    root = notebook.run(source).locator(".s3x").last
    shown = Shown(notebook, root)
    root.locator(".s3x-row:visible").first.wait_for()
    return shown


@pytest.fixture
def tree(notebook):
    return explore(notebook)


@pytest.fixture
def lake(tree):
    tree.toggle("lake")
    tree.row("README.md").wait_for()
    return tree


def test_opens_folders_and_shows_where_it_is(lake):
    """Opening a bucket and a folder lists each once, and the breadcrumb follows the focus."""
    lake.toggle("events/")
    lake.toggle("year=2023/")
    lake.says("12 folders")
    assert lake.root.locator(".s3x-crumb").all_text_contents() == ["lab", "lake", "events", "year=2023"]
    row = lake.row("events/")
    assert row.get_attribute("aria-expanded") == "true"
    assert row.get_attribute("aria-level") == "2"
    lake.row("year=2022/").click()
    lake.says("3 folders")
    lake.toggle("events/")
    lake.row("year=2023/").wait_for(state="hidden")


def test_a_cut_is_said_and_more_is_loaded(notebook, lake):
    """A folder of 2,500 keys shows 1,000 and says so; Load more and Load all bring the rest without asking twice."""
    lake.find("s3://lake/logs/")
    lake.row("2024-0000.log.gz").click()
    lake.press("End")
    lake.line("more").get_by_text("1,000 of more than 1,000 shown").wait_for()
    lake.line("more").get_by_role("button", name="Load more").click()
    lake.says("2,000 objects")
    lake.press("End")
    lake.line("more").get_by_text("2,000 of more than 2,000 shown").wait_for()
    lake.press("Shift+Enter")
    lake.says("2,500 objects")
    lake.press("End")
    lake.focused("2024-2499.log.gz")
    assert lake.line("more").count() == 0
    asked = notebook.value("[token for uri, token, _ in buckets.asked if uri == 's3://lake/logs/']")
    assert asked == "[None, '1000', '2000']"


def test_search_asks_the_server_and_jump_goes_to_a_prefix(notebook, lake):
    """The box shows what begins with a text by asking the server, and goes to any s3:// location."""
    lake.toggle("logs/")
    lake.says("1,000 objects")
    lake.find("2024-249")
    lake.says("10 objects")
    lake.row("2024-2499.log.gz").wait_for()
    assert notebook.value("buckets.asked[-1]") == "('s3://lake/logs/', None, '2024-249')"
    lake.root.get_by_label("Show everything again").click()
    lake.says("1,000 objects")
    lake.find("s3://lake/events/year=2024/month=0")
    lake.row("month=09/").wait_for()
    assert lake.row("month=10/").count() == 0
    lake.find("gs://elsewhere/")
    lake.root.get_by_role("status").filter(has_text="A location begins with s3://, not gs://").wait_for()
    lake.find("nothing-like-it")
    lake.line("empty").get_by_text("Nothing here begins with “nothing-like-it”").wait_for()


def test_keyboard_alone(notebook, tree):
    """Every key of an ARIA tree works, and none of them reaches the notebook's own shortcuts."""
    cells = notebook.page.locator(".jp-Cell").count()
    tree.row("lake").click()
    tree.press("ArrowRight")
    tree.row("README.md").wait_for()
    tree.press("ArrowRight")
    tree.focused("broken/")
    tree.press("End")
    tree.focused("odd-keys")
    tree.press("Home", "ArrowDown", "ArrowDown")
    tree.focused("curated/")
    tree.press("Enter")
    tree.row("products/").wait_for()
    tree.press("ArrowRight", "*")
    tree.page.wait_for_function("() => document.querySelectorAll('.s3x-row[data-opens=open]').length >= 3")
    tree.press("ArrowLeft")
    tree.press("ArrowLeft")
    tree.focused("curated/")
    tree.press("ArrowLeft", "d", "d", "a", "b", "Home", "p", "r", "i")
    tree.focused("prices.csv")
    tree.press("PageUp")
    tree.focused("lake")
    tree.press("ArrowLeft")
    tree.row("README.md").wait_for(state="hidden")
    tree.press("ArrowDown", "Shift+ArrowDown")
    tree.page.wait_for_function("() => document.querySelectorAll('.s3x-chosen:not([hidden])').length === 2")
    assert notebook.page.locator(".jp-Cell").count() == cells
    assert notebook.value("explorer.selection") == "('s3://media-archive/', 's3://odd-keys/')"
    assert notebook.value("explorer.location") == "None"


def test_hostile_keys_are_shown_and_copied_exactly(tree):
    """No key runs a script or is typeset, control characters are visible, and the copy is the key byte for byte."""
    tree.toggle("odd-keys")
    tree.row("esc␛[31mred").wait_for()
    copied = []
    tree.row("odd-keys").click()
    # two folders stand before the objects
    tree.press("ArrowDown", "ArrowDown")
    for _ in HOSTILE:
        tree.press("ArrowDown")
        tree.page.evaluate("() => navigator.clipboard.writeText('nothing yet')")
        tree.press("Control+c")
        tree.page.wait_for_function("() => navigator.clipboard.readText().then((text) => text !== 'nothing yet')")
        copied.append(clipboard(tree.page))
    assert sorted(copied) == sorted(f"s3://odd-keys/{key}" for key in HOSTILE)
    assert tree.page.evaluate("() => window.__xss") is None
    assert tree.page.locator("mjx-container, .MathJax").count() == 0
    assert tree.root.locator("img, script").count() == 0
    tree.row("line␊break␍␊").hover()
    tree.row("line␊break␍␊").get_by_label("Copy the s3:// URI").click()
    tree.page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.includes('break'))")
    assert clipboard(tree.page) == "s3://odd-keys/line\nbreak\r\n"
    assert tree.page.evaluate("() => window.__xss") is None


def test_copies_without_the_clipboard_api(tree):
    """Where the page may not use the clipboard's API, the copy event carries the exact URI."""
    tree.toggle("odd-keys")
    tree.row("line␊break␍␊").click()
    tree.page.evaluate(
        """async () => {
          await navigator.clipboard.writeText("nothing yet");
          window.__write = navigator.clipboard.writeText;
          navigator.clipboard.writeText = () => Promise.reject(new Error("not allowed"));
          document.addEventListener("copy", (event) => { window.__seen = true; }, { once: true });
        }"""
    )
    tree.press("Control+c")
    tree.page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.includes('break'))")
    tree.page.evaluate("() => { navigator.clipboard.writeText = window.__write; }")
    assert clipboard(tree.page) == "s3://odd-keys/line\nbreak\r\n"
    assert tree.page.evaluate("() => window.__seen") is None


def test_a_denied_folder_says_what_is_missing_and_retries(notebook, lake):
    """A denied folder shows the missing action instead, the rest goes on working, and Retry lists it."""
    lake.toggle("finance/")
    error = lake.line("error")
    error.get_by_text("the action s3:ListBucket is missing").wait_for()
    error.get_by_text("Ask for s3:ListBucket on arn:aws:s3:::lake").wait_for()
    lake.toggle("broken/")
    lake.line("error").filter(has_text="failed with ValueError").wait_for()
    assert "hunter2" not in lake.root.inner_text()
    lake.toggle("broken/")
    lake.line("error").filter(has_text="ValueError").wait_for(state="hidden")
    lake.toggle("curated/")
    lake.row("orders/").wait_for()
    notebook.run("buckets.granted = True")
    error.get_by_role("button", name="Retry").click()
    lake.line("empty").get_by_text("This folder is empty").wait_for()
    assert error.count() == 0


def test_the_kernel_stays_usable_and_a_listing_can_be_stopped(notebook, lake):
    """While a folder lists, a cell runs at once; Cancel ends the listing, and List begins it again."""
    lake.toggle("slow/")
    lake.line("loading").wait_for()
    assert notebook.value("6 * 7") == "42"
    assert lake.line("loading").count() == 1
    lake.line("loading").get_by_role("button", name="Cancel").click()
    lake.line("stopped").get_by_role("button", name="List").click()
    lake.line("loading").wait_for()
    notebook.run("buckets.released.set()")
    lake.row("at-last.txt").wait_for()


def test_pages_arrive_while_a_cell_runs(notebook, lake):
    """A listing that ends while another cell still runs reaches the page at once."""
    lake.toggle("slow/")
    lake.line("loading").wait_for()
    busy = "import threading\ndone = threading.Event()\nbuckets.released.set()\nprint('begun', done.wait(60))"
    cell = notebook.run(busy, wait=False)
    lake.row("at-last.txt").wait_for()
    assert cell.locator(".jp-InputPrompt").inner_text() == "[*]:"
    notebook.page.evaluate("() => jupyterapp.commands.execute('notebook:interrupt-kernel')")
    notebook.wait_idle()


def scrolled(lake, part, text):
    """Scroll to a part of the way down until a row with the text is there: a row that takes the focus scrolls, too."""
    lake.page.wait_for_function(
        """([body, part, text]) => {
          body.scrollTop = (body.scrollHeight - body.clientHeight) * part;
          return [...body.querySelectorAll(".s3x-text")].some((one) => one.textContent.includes(text));
        }""",
        arg=[lake.body.element_handle(), part, text],
        polling=1000,
    )


def test_a_million_rows_in_one_folder(lake):
    """A million rows are loaded, scrolled to the end and ordered, with at most 100 rows in the page."""
    lake.find("s3://lake/million/")
    lake.row("0000000.txt").click()
    lake.press("End")
    lake.line("more").get_by_role("button", name="Load all").click()
    lake.says("1,000,000 objects")
    lake.press("End")
    lake.focused("0999999.txt")
    lake.press("Home")
    lake.focused("0000000.txt")
    scrolled(lake, 1, "0999999")
    scrolled(lake, 0.5, "0500")
    lake.root.get_by_role("button", name="Size").click()
    lake.press("Home")
    assert lake.root.locator(".s3x-row").count() <= 100


def test_orders_what_is_loaded_and_says_so(lake):
    """Ordering by size puts the largest loaded object first, after the folders, and says when more is not loaded."""
    lake.find("s3://lake/logs/")
    lake.row("2024-0000.log.gz").click()
    lake.root.get_by_role("button", name="Size").click()
    lake.says("more not loaded, ordered by size among those loaded")
    lake.body.focus()
    lake.press("Home")
    sizes = lake.root.locator(".s3x-row:visible .s3x-meter span").evaluate_all(
        "(bars) => bars.slice(0, 10).map((bar) => parseFloat(bar.style.width))"
    )
    assert max(sizes) == 100
    lake.root.get_by_role("button", name="Name").click()
    lake.row("2024-0000.log.gz").wait_for()


def test_opening_at_the_bottom_shows_what_is_inside(lake):
    """A folder that is opened at the lower edge is moved up until its first rows are in sight."""
    lake.row("lake").click()
    lake.press("End", "Enter")
    lake.row("a<b>&c/").wait_for()
    lake.root.page.wait_for_function(
        """([row, body]) => row.getBoundingClientRect().bottom <= body.getBoundingClientRect().bottom""",
        arg=[lake.row("a<b>&c/").element_handle(), lake.body.element_handle()],
    )


def test_a_page_that_is_loaded_again_shows_the_same(notebook, lake):
    """After the page is loaded again, the explorer shows the open folders without asking for them again."""
    lake.toggle("curated/")
    lake.row("orders/").wait_for()
    notebook.save()
    asked = notebook.value("len(buckets.asked)")
    notebook.save()
    notebook.page.reload()
    again = Shown(notebook, notebook.page.locator(".s3x").last)
    again.row("orders/").wait_for()
    again.toggle("events/")
    again.row("year=2024/").wait_for()
    assert notebook.value("len(buckets.asked)") == str(int(asked) + 1)


def test_two_explorers_in_one_notebook(notebook, tree):
    """Two explorers in one notebook keep to themselves."""
    other = explore(notebook, "second = Explorer(MadeUpBuckets(), title='second')\nsecond")
    other.toggle("odd-keys")
    other.row("esc␛[31mred").wait_for()
    assert tree.row("esc␛[31mred").count() == 0
    tree.toggle("lake")
    tree.row("README.md").wait_for()
    assert other.row("README.md").count() == 0


def test_refresh_keeps_open_folders_and_the_focus(notebook, lake):
    """Refresh lists the open folders afresh and leaves focus and choice where they were."""
    lake.toggle("curated/")
    lake.row("orders/").click()
    before = int(notebook.value("len(buckets.asked)"))
    lake.root.get_by_role("button", name="Refresh").click()
    lake.page.wait_for_function("() => !document.querySelector('.s3x-busy')")
    lake.focused("orders/")
    asked = notebook.value(f"sorted(uri for uri, _, _ in buckets.asked[{before}:])")
    assert asked == "['', 's3://lake/', 's3://lake/curated/']"
    assert notebook.value("explorer.selection") == "('s3://lake/curated/orders/',)"


def test_the_saved_notebook_holds_the_snapshot_and_no_rows_in_state(notebook):
    """The saved notebook holds a text and an HTML snapshot, and keys nowhere else."""
    explore(notebook, "first = buckets(None, None, cancelled=lambda: False)\nExplorer(buckets, title='t', first=first)")
    saved = notebook.save()
    data = saved["cells"][-1]["outputs"][1]["data"]
    assert "media-archive" in "".join(data["text/plain"])
    assert "media-archive" in "".join(data["text/html"])
    assert "media-archive" not in str(saved["metadata"])


def test_the_snapshot_is_harmless_in_a_page(notebook):
    """The HTML snapshot of hostile keys runs nothing and is not typeset."""
    source = (
        "from s3conn_magic.locations import Location\nfrom IPython.display import HTML, display\n"
        "at = Location('odd-keys')\nfirst = buckets(at, None, cancelled=lambda: False)\n"
        "bundle = Explorer(buckets, title='$t$', location=at, first=first)._repr_mimebundle_()[0]\n"
        "HTML(bundle['text/html'])"
    )
    cell = notebook.run(source)
    cell.get_by_text("$x^2$ and $$y$$").wait_for()
    assert notebook.page.evaluate("() => window.__xss") is None
    assert cell.locator("mjx-container, img, script").count() == 0


def test_reads_well_in_dark_and_narrow(lab):
    """In the dark theme and 320 px wide, text stands out from its ground and nothing is wider than the widget."""
    lab.set_theme("JupyterLab Dark")
    context = lab.new_context(viewport={"width": 424, "height": 860})
    notebook = lab.open([SETUP + "\n" + EXPLORE], name="narrow.ipynb", context=context)
    lab.set_theme("JupyterLab Light")
    notebook.run_all()
    tree = Shown(notebook, notebook.page.locator(".s3x"))
    tree.toggle("lake")
    tree.toggle("finance/")
    tree.line("error").wait_for()
    width = tree.root.bounding_box()["width"]
    assert 300 <= width <= 340
    assert tree.root.evaluate("(root) => root.scrollWidth <= root.clientWidth + 1")
    assert tree.body.evaluate("(body) => body.scrollWidth <= body.clientWidth + 1")
    ground, ink = tree.root.evaluate("(root) => [getComputedStyle(root).backgroundColor, getComputedStyle(root).color]")
    assert contrast(ground, ink) > 7
    name = tree.row("README.md").locator(".s3x-text")
    assert name.evaluate("(text) => text.scrollWidth <= text.clientWidth")
    context.close()
