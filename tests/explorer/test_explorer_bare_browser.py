"""The page's end in a browser without Jupyter: keys, menu, search, drops, two explorers, and walks at random."""

from __future__ import annotations

import pytest
from bare import Bare, BareExplorer
from playwright.sync_api import sync_playwright
from shown import clipboard
from support.lab import CHROMIUM
from test_explorer_pages import LAKE
from test_explorer_places import Parallel, numbers
from walks import Taking, Walk

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def shown(browser):
    """Shows explorers over stores, each on a page of its own."""
    made = []

    def show(store, **options):
        context = browser.new_context(viewport={"width": 900, "height": 800}, **options)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        explorer = BareExplorer(store, title="lake", location=LAKE, objects=store)
        bare = Bare(context, explorer)
        bare.until(lambda: not explorer._navigator.busy)
        bare.pump()
        made.append((context, explorer))
        return bare

    yield show
    for context, explorer in made:
        explorer.close()
        context.close()


def focused(bare):
    """What has the focus on the page: the tree, or an element's label."""
    return bare.page.evaluate("""() => document.activeElement.getAttribute("aria-label")
      ?? document.activeElement.textContent""")


def test_control_a_and_c_choose_and_copy_rows(shown):
    """Ctrl+A chooses the rows of the tree and none of the page, Ctrl+C copies a URI for each that is chosen."""
    tree = shown(Parallel("a", "b", "c"))
    tree.row("a").click()
    tree.press("Control+a")
    assert tree.root.locator(".s3x-chosen").count() == 3
    assert tree.page.evaluate("() => getSelection().toString()") == ""
    tree.press("Control+c")
    assert clipboard(tree.page) == "s3://lake/a\ns3://lake/b\ns3://lake/c"
    assert "3 selected · 3 B" in tree.root.locator(".s3x-summary").inner_text()


def test_the_menu_is_ours_and_acts_on_the_row_under_it(shown):
    """A right click chooses the row, opens a menu with the focus in it, and Escape leads back to the tree."""
    tree = shown(Parallel("a", "b", "c"))
    tree.row("b").click(button="right")
    tree.pump()
    menu = tree.root.get_by_role("menu")
    assert "Delete…" in menu.inner_text()
    assert tree.explorer.selection == ("s3://lake/b",)
    assert focused(tree) == "Preview"
    tree.press("Escape")
    assert (menu.is_visible(), focused(tree)) == (False, "Buckets, folders and objects")
    tree.press("Shift+F10", "End", "Enter")
    question = tree.root.locator(".s3x-line")
    tree.until(lambda: "s3://lake/b" in question.inner_text())
    assert focused(tree) == "Cancel"
    tree.press("Escape")
    assert (question.count(), focused(tree)) == (0, "Buckets, folders and objects")


def test_all_keys_are_told(shown):
    """A question mark shows the keys, and Escape leads back."""
    tree = shown(Parallel("a"))
    tree.body.focus()
    tree.press("?")
    assert "Shift+F10" in tree.root.get_by_role("dialog", name="Keys").inner_text()
    tree.press("Escape")
    assert focused(tree) == "Buckets, folders and objects"


def test_a_search_below_is_made_and_taken_back_by_keys(shown):
    """A slash leads to the box, Enter shows what is found with its place, Escape in the box brings the tree back."""
    tree = shown(Parallel("a/b/one.csv", "two.csv", "z"))
    tree.row("a/").locator(".s3x-twisty").click()
    tree.pump()
    tree.press("Home", "/")
    tree.page.keyboard.type("CSV")
    tree.press("Enter")
    tree.until(lambda: tree.names() == ["b/one.csv"] or tree.names() == ["a/b/one.csv", "two.csv"])
    tree.press("/", "Escape")
    tree.until(lambda: tree.names() == ["a/", "b/", "two.csv", "z"])


def test_the_focus_goes_to_the_next_row_when_one_is_deleted(shown):
    """After a yes the row is gone, the next one has the focus and the tree the keyboard; nothing scrolls away."""
    tree = shown(Parallel(*numbers(60)))
    tree.body.focus()
    tree.press("End", "Shift+Enter")
    tree.until(lambda: "60 objects" in tree.root.locator(".s3x-summary").inner_text())
    tree.press("Home", "PageDown", "PageDown")
    name = tree.root.locator(".s3x-focus .s3x-text").inner_text()
    top = tree.body.evaluate("(body) => body.scrollTop")
    tree.press("Delete")
    tree.until(lambda: focused(tree) == "Cancel")
    tree.press("Shift+Tab", "Enter")
    tree.until(lambda: tree.explorer._navigator.tree.root.rows.find({name}) == {})
    tree.until(lambda: tree.root.locator(".s3x-focus .s3x-text").inner_text() == f"{int(name) + 1:04}")
    assert focused(tree) == "Buckets, folders and objects"
    assert tree.body.evaluate("(body) => body.scrollTop") == top


DROP = """(target, [type, name]) => {
  const data = new DataTransfer();
  data.items.add(new File(["x"], name));
  const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.mark.parametrize("locked", ["", "The connection is READ_ONLY"])
def test_a_drop_anywhere_in_the_view_is_taken_or_refused(shown, locked):
    """No file opens in place of the page; where it may not be taken, the reason is said."""
    store = Parallel("a")
    store.refuses_writes = lambda _: locked
    tree = shown(store)
    for target in (tree.body, tree.root.locator(".s3x-bar")):
        assert target.evaluate(DROP, ["dragover", "x.txt"])
        assert target.evaluate(DROP, ["drop", "x.txt"])
    tree.pump()
    said = tree.root.locator(".s3x-live").inner_text()
    assert (locked in said) if locked else said.startswith("Drop to upload into lake")


def test_what_there_is_is_heard(shown):
    """A region that is announced says how much a folder holds when it has been listed."""
    tree = shown(Parallel("a/1", "a/2", "b"))
    tree.row("a/").locator(".s3x-twisty").click()
    tree.until(lambda: tree.root.locator(".s3x-heard").text_content() == "2 objects, 6 B")


def test_two_explorers_of_one_page_share_no_id(shown):
    """Each id stands once, and each tree's active row is one of its own."""
    one, other = shown(Parallel("a", "b")), shown(Parallel("a", "b"))
    ids = [
        bare.root.evaluate("(root) => [...root.querySelectorAll('[id]')].map((node) => node.id)")
        for bare in (one, other)
    ]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])


def test_chosen_rows_and_the_focus_are_seen_in_forced_colours(shown):
    """With colours that the user has set, a chosen row has the system's own ground, and the focused one an outline."""
    tree = shown(Parallel("a", "b"), forced_colors="active")
    tree.row("a").click()
    tree.pump()
    ground = "(row) => getComputedStyle(row).backgroundColor"
    assert tree.row("a").evaluate(ground) != tree.row("b").evaluate(ground)
    assert tree.row("a").evaluate("(row) => getComputedStyle(row).outlineStyle") == "solid"


def test_right_to_left_is_mirrored(shown):
    """On a page written from right to left, names begin at the right and sizes stand at the left of them."""
    tree = shown(Parallel("a", "b"))
    tree.page.evaluate("() => document.documentElement.dir = 'rtl'")
    name, size = (tree.row("a").locator(part).bounding_box() for part in (".s3x-text", ".s3x-bytes"))
    assert name["x"] > size["x"]


@pytest.mark.parametrize("seed", range(2))
def test_what_is_asked_is_what_is_highlighted(browser, seed):
    """Whatever two tabs and others do, a question names what stands highlighted, and a yes does just that."""
    walk = Walk(browser, seed)
    walk.go(40)
    walk.close()
    assert walk.done["yes"]
    assert walk.done["no"]


@pytest.mark.parametrize("answer", ["Replace all", "Skip all"])
def test_many_files_are_one_line_and_one_question(shown, answer):
    """It counts them and names each that is already there; the answer is for those, the others are uploaded at once."""
    store = Taking("1.txt", "2.txt", "z")
    tree = shown(store)
    files = [{"name": f"{number}.txt", "mimeType": "text/plain", "buffer": b"x"} for number in range(1, 7)]
    tree.root.locator("input[type=file]").set_input_files(files)
    batch = tree.root.locator(".s3x-batch")
    tree.until(lambda: batch.count() and "4 done, 2 already there" in batch.inner_text())
    assert tree.root.locator(".s3x-line:visible").count() == 1
    asked = batch.locator(".s3x-asked li").all_text_contents()
    assert [line.split()[0] for line in asked] == ["s3://lake/1.txt", "s3://lake/2.txt"]
    batch.get_by_role("button", name=answer).click()
    tree.until(lambda: not batch.count() or "already there" not in batch.inner_text())
    tree.until(lambda: len(tree.names()) == 7)
    assert store.objects["1.txt"].startswith("uploaded") == (answer == "Replace all")
    assert store.objects["z"] == "z-1"
