"""Every state of the explorer on a plain page, over the sandbox: keys, focus, a checker of accessibility, widths."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from bare import Bare, BareExplorer
from playwright.sync_api import sync_playwright
from statements import Statements, create
from support.lab import CHROMIUM

from s3conn_magic.explorer.connections import ConnectionChildren, ConnectionObjects
from s3conn_magic.locations import Location
from s3conn_magic.sandbox import EMPTY, LAKE

pytestmark = pytest.mark.browser
FOCUSED = """() => {
  const { activeElement } = document;
  if (!activeElement.closest(".s3x")) return null;
  return activeElement.getAttribute("aria-label") ?? activeElement.textContent;
}"""
TREE = "Buckets, folders and objects"


@pytest.fixture(scope="module")
def connection(sandbox):
    """Of the sandbox's administrator."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, REGION="us-east-1"))
    return run.connection("lake")


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def shown(browser, connection):
    """Shows explorers of locations, all on one page."""
    made, contexts = [], []

    def show(uri, **options):
        if not contexts:
            contexts.append(browser.new_context(viewport={"width": 900, "height": 1000}, **options))
            contexts[0].grant_permissions(["clipboard-read", "clipboard-write"])
        objects = ConnectionObjects(lambda _: connection)
        children = ConnectionChildren(lambda: connection)
        explorer = BareExplorer(children, title="lake", location=Location.parse(uri), objects=objects)
        made.append(Bare(contexts[0], explorer, made[-1] if made else None))
        made[-1].until(lambda: not explorer._navigator.busy)
        made[-1].pump()
        return made[-1]

    yield show
    for one in made:
        one.explorer.close()
    for context in contexts:
        context.close()


def focused(tree):
    """What has the keyboard, if it is in an explorer."""
    return tree.page.evaluate(FOCUSED)


def serious(tree):
    """Rules that are broken seriously anywhere on the page, each with the first element that breaks it."""
    found = Axe().run(tree.page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in {"serious", "critical"}]


def until_says(tree, selector, text):
    """Wait until a part of the explorer says something."""
    tree.until(lambda: text in " ".join(tree.root.locator(f"{selector}:visible").all_inner_texts()))


@pytest.mark.parametrize("scheme", ["light", "forced"])
def test_a_checker_of_accessibility_finds_nothing_in_any_state(shown, upstream, scheme):
    """With two explorers in the page: rows, errors, searches, menus, keys, each tab, treemap, questions, narrow."""
    upstream.put_object(Bucket=EMPTY, Key="one.txt", Body=b"1")
    other = shown(f"s3://{EMPTY}/", **({"forced_colors": "active"} if scheme == "forced" else {}))
    tree = shown(f"s3://{LAKE}/")
    found = {"rows": serious(tree)}

    def look(state):
        tree.page.wait_for_function("() => document.getAnimations().every((one) => one.animationName !== 's3x-slide')")
        found[state] = serious(tree)

    tree.row("README.txt").dblclick()
    until_says(tree, ".s3x-panel", "Acme's data lake")
    for tab in ("Details", "Versions", "Copy", "Preview"):
        tree.panel_tab(tab)
        look(tab)
    tree.page.set_viewport_size({"width": 520, "height": 1000})
    look("narrow")
    tree.page.set_viewport_size({"width": 900, "height": 1000})
    tree.press("Escape")
    tree.row("sales/").click()
    tree.press(" ")
    tree.root.get_by_role("button", name="Analyze").click()
    tree.until(tree.root.locator(".s3t-item").count)
    look("treemap")
    tree.root.locator(".s3t-button", has_text="Bars").click()
    look("bars")
    tree.row("sales/").click(button="right")
    tree.pump()
    look("menu")
    tree.press("Escape", "?")
    look("keys")
    tree.press("Escape", "/")
    tree.page.keyboard.type("read")
    tree.pump(0.3)
    look("filter")
    tree.press("Enter")
    tree.until(lambda: tree.names() == ["README.txt"])
    look("search")
    tree.root.locator(".s3x-find input").fill("none-like-it")
    tree.press("Enter")
    until_says(tree, ".s3x-row", "Nothing below here matches")
    look("nothing")
    other.row("one.txt").click()
    other.press("Delete")
    other.until(other.root.locator(".s3x-danger").count)
    look("question")
    other.press("Escape")
    tree.explorer.go("s3://there-is-no-such-bucket-here/")
    until_says(tree, ".s3x-row", "there-is-no-such-bucket-here")
    look("error")
    assert {state: faults for state, faults in found.items() if faults} == {}


def test_the_keyboard_alone_goes_everywhere_and_is_never_lost(shown, upstream):
    """After each key the focus is where it is said to be: from the tree to every part and back, and nowhere else."""
    upstream.put_object(Bucket=EMPTY, Key="a/one.txt", Body=b"1")
    upstream.put_object(Bucket=EMPTY, Key="two.txt", Body=b"2")
    tree = shown(f"s3://{EMPTY}/")
    tree.body.focus()

    def press(key, expected):
        tree.press(key)
        tree.until(lambda: focused(tree) == expected, 5)

    for key in ("ArrowDown", "End", "Home", "ArrowRight", "ArrowLeft", "Control+a", "Control+c", "*", "t"):
        press(key, TREE)
    tree.pump(0.8)  # a letter that was typed just now would make the slash one of the name
    press("/", tree.root.locator(".s3x-find input").get_attribute("aria-label"))
    tree.page.keyboard.type("two")
    press("Enter", TREE)
    press("/", tree.root.locator(".s3x-find input").get_attribute("aria-label"))
    press("Escape", tree.root.locator(".s3x-find input").get_attribute("aria-label"))
    tree.body.focus()
    press("?", "Close")
    press("Escape", TREE)
    press("End", TREE)
    press("Shift+F10", "Preview")
    press("ArrowDown", "Copy a query")
    press("Escape", TREE)
    press("Enter", "Preview")
    press("ArrowRight", "Details")
    press("End", "Copy")
    press("Escape", TREE)
    press(" ", TREE)
    press(" ", TREE)
    press("Delete", "Cancel")
    press("Escape", TREE)
    press("Delete", "Cancel")
    press("Shift+Tab", "Delete 1 object")
    press("Enter", TREE)
    tree.until(lambda: "two.txt" not in tree.names())
    press("Backspace", TREE)
    for name in ("Up one folder", "Refresh", "Keys"):
        tree.root.get_by_role("button", name=name).focus()
        tree.press("Enter")
        assert focused(tree) is not None


BUTTONS = """([root, name]) => {
  const label = (each) => each.getAttribute("aria-label") || each.textContent;
  const all = [...root.querySelectorAll("button:not([tabindex='-1'], .s3x-danger)")]
    .filter((each) => each.checkVisibility() && !each.disabled && !each.closest("[inert]"));
  all.find((each) => label(each) === name)?.focus();
  return all.map(label);
}"""


def buttons(tree, name=""):
    """What the buttons are called that can be reached; the one of that name gets the focus."""
    return tree.root.evaluate(f"(root, name) => ({BUTTONS})([root, name])", name)


@pytest.mark.parametrize("state", ["README.txt", "sales/", "search"])
def test_no_button_loses_the_keyboard(shown, state, tmp_path, monkeypatch):
    """Each button of each tab, pressed by a key, leaves the focus in the explorer, also where it goes by that."""
    monkeypatch.chdir(tmp_path)  # one of them saves beside the notebook
    tree = shown(f"s3://{LAKE}/")
    pressed, lost = set(), []

    def begin():
        tree.press("Escape")
        for bucket in (EMPTY, LAKE):  # so that nothing is open in the tree
            tree.explorer.go(f"s3://{bucket}/")
            tree.pump()
        tree.until(lambda: "README.txt" in tree.names())
        if state == "search":
            tree.root.locator(".s3x-find input").fill("*.csv")
            tree.press("Enter")
            tree.until(lambda: "sales/orders.csv" in tree.names())
        elif not tree.root.locator(".s3x-panel").is_visible():
            tree.row(state).click()
            tree.press(" ")
            tree.pump(0.3)

    def left():
        return [name for name in buttons(tree) if name not in pressed]

    begin()
    while names := left():
        pressed.add(names[0])
        buttons(tree, names[0])
        tree.press("Enter")
        if focused(tree) is None:
            lost.append(names[0])
        if not left():
            begin()
    assert len(pressed) > 12
    assert lost == []


@pytest.mark.parametrize("width", [520, 800])
def test_in_a_narrow_page_the_panel_lies_over_the_tree_with_a_way_back(shown, width):
    """It covers the rows, takes the keyboard, and Escape, its button and a search give the tree back."""
    tree = shown(f"s3://{LAKE}/")
    tree.page.set_viewport_size({"width": width, "height": 900})
    row = tree.row("README.txt")
    row.click()
    tree.press(" ")
    until_says(tree, ".s3x-panel", "Acme's data lake")
    panel, body = tree.root.locator(".s3x-panel"), tree.body
    assert focused(tree) == "Preview"
    ours, theirs = panel.bounding_box(), body.bounding_box()
    assert ours["y"] <= theirs["y"]
    assert (ours["width"], ours["y"] + ours["height"]) == (theirs["width"], theirs["y"] + theirs["height"])
    assert tree.root.evaluate("(root) => root.scrollWidth <= root.clientWidth + 1")
    tree.press("Escape")
    assert (panel.is_visible(), focused(tree)) == (False, TREE)
    assert tree.root.locator(".s3x-focus .s3x-text").inner_text() == "README.txt"
    row.dblclick()
    tree.until(panel.is_visible)
    tree.root.get_by_role("button", name="Back to the tree").click()
    tree.until(lambda: not panel.is_visible())
    assert focused(tree) == TREE
    row.dblclick()
    tree.until(panel.is_visible)
    tree.root.locator(".s3x-find input").fill("sales/orders*")
    tree.press("Enter")
    tree.until(lambda: tree.names() == ["sales/orders.csv"])
    assert (panel.is_visible(), focused(tree)) == (False, TREE)


def test_beside_the_tree_where_there_is_room(shown):
    """From 820 px on rows and panel stand side by side, and the keyboard stays in the tree."""
    tree = shown(f"s3://{LAKE}/")
    for width in (1280, 2560):
        tree.page.set_viewport_size({"width": width, "height": 900})
        tree.row("README.txt").click()
        tree.press(" ")
        until_says(tree, ".s3x-panel", "Acme's data lake")
        assert focused(tree) == TREE
        panel, body = tree.root.locator(".s3x-panel").bounding_box(), tree.body.bounding_box()
        assert panel["x"] >= body["x"] + body["width"]
        assert body["width"] > 380
        tree.press(" ")
