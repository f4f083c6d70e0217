"""One explorer in two tabs of a real JupyterLab, and what stays of questions, over the sandbox."""

from __future__ import annotations

import pytest
from shown import Shown

pytestmark = pytest.mark.browser

SETUP = (
    "%load_ext s3conn_magic\n%upsql START SANDBOX\nimport s3conn_magic\n"
    "s3 = s3conn_magic.connection('sandbox').client('s3')\n"
    "def keys():\n"
    "    return [one['Key'] for one in s3.list_objects_v2(Bucket='acme-empty').get('Contents', [])]\n"
    "def fill(*names):\n"
    "    for key in keys():\n        s3.delete_object(Bucket='acme-empty', Key=key)\n"
    "    for name in names:\n        s3.put_object(Bucket='acme-empty', Key=name, Body=name.encode())\n"
)
EXPLORE = "explorer = get_ipython().run_line_magic('upsql', \"EXPLORE 's3://acme-empty/' USING sandbox\")\nexplorer"
DELETE = "Delete what is chosen"


def explore(notebook, *names):
    """An explorer of these objects."""
    notebook.run(f"fill(*{names!r})")
    shown = Shown(notebook, notebook.run(EXPLORE).locator(".s3x").last)
    shown.root.locator(".s3x-row:visible").first.wait_for()
    return shown


def asked(shown):
    """What the open question names."""
    shown.root.locator(".s3x-danger:enabled").wait_for()
    return shown.root.locator(".s3x-asked li").all_text_contents()


def chosen(shown):
    return shown.root.locator(".s3x-chosen:visible .s3x-text").all_text_contents()


@pytest.fixture
def tabs(lab, notebook):
    """The same explorer in two tabs; its bucket holds `a/1`, `a/2` and `x`."""
    one = explore(notebook, "a/1", "a/2", "x")
    notebook.save()
    again = lab.open_again(notebook)
    other = Shown(again, again.page.locator(".s3x").last)
    other.row("x").wait_for()
    yield one, other
    assert again.errors == []
    again.page.close()


def test_each_tab_deletes_its_own_choice(notebook, tabs):
    """What one tab chooses is not chosen in the other, whose Delete names, asks and deletes its own choice alone."""
    one, other = tabs
    one.toggle("a/")
    other.row("2").wait_for()
    one.row("1").click()
    other.row("x").click()
    one.page.wait_for_timeout(500)
    assert (chosen(one), chosen(other)) == (["1"], ["x"])
    other.root.get_by_role("button", name=DELETE).click()
    assert asked(other) == ["s3://acme-empty/x"]
    assert one.root.locator(".s3x-danger").count() == 0
    one.root.get_by_role("button", name=DELETE).click()
    assert asked(one) == ["s3://acme-empty/a/1"]
    other.root.get_by_role("button", name="Delete 1 object").click()
    other.row("x").wait_for(state="hidden")
    one.row("x").wait_for(state="hidden")
    assert notebook.value("keys()") == "['a/1', 'a/2']"
    one.root.get_by_role("button", name="Cancel").click()
    one.root.locator(".s3x-danger").wait_for(state="hidden")
    assert chosen(one) == ["1"]


def test_a_folder_that_one_tab_closes_takes_the_choice_of_the_other(tabs):
    """What is chosen inside is not chosen any more, and Delete says that there is nothing to delete."""
    one, other = tabs
    one.toggle("a/")
    one.row("1").click()
    one.row("2").click(modifiers=["Control"])
    one.says("2 selected")
    other.row("2").wait_for()
    other.toggle("a/")
    one.row("1").wait_for(state="hidden")
    assert chosen(one) == []
    remove = one.root.get_by_role("button", name=DELETE)
    assert remove.get_attribute("aria-disabled") == "true"
    one.toggle("a/")
    one.row("1").wait_for()
    assert chosen(one) == []


def test_a_question_that_is_cancelled_leaves_nothing(notebook):
    """Cancel, by button or Escape, takes the line away, deletes nothing, and the keyboard stays in the explorer."""
    tree = explore(notebook, "x")
    for answer in ("click", "Escape"):
        tree.row("x").click()
        tree.root.get_by_role("button", name=DELETE).click()
        assert asked(tree) == ["s3://acme-empty/x"]
        if answer == "click":
            tree.root.get_by_role("button", name="Cancel").click()
        else:
            tree.press(answer)
        tree.root.locator(".s3x-line").wait_for(state="detached")
        assert tree.page.evaluate("() => Boolean(document.activeElement.closest('.s3x'))")
    assert notebook.value("keys()") == "['x']"


def test_a_long_question_can_be_read_to_its_end(notebook):
    """Each of hundreds of keys is in the question, the last one can be scrolled to, and the buttons stay in sight."""
    tree = explore(notebook, *(f"many/{number:03}" for number in range(300)))
    tree.row("many/").click()
    tree.root.get_by_role("button", name=DELETE).click()
    names = asked(tree)
    assert names == [f"s3://acme-empty/many/{number:03}" for number in range(300)]
    tree.root.locator(".s3x-asked li").last.scroll_into_view_if_needed()
    assert tree.root.locator(".s3x-asked").bounding_box()["height"] < 200
    assert tree.root.get_by_role("button", name="Delete 300 objects").is_visible()
    tree.root.get_by_role("button", name="Cancel").click()


def test_headings_tell_their_own_column(notebook):
    """Whatever the rows are ordered by, each heading's tooltip names its own column."""
    tree = explore(notebook, "x")
    for pressed in ("Name", "Size", "Modified"):
        tree.root.locator(".s3x-sort", has_text=pressed).click()
        tree.page.wait_for_function(
            "(name) => document.querySelector('.s3x-sort[aria-pressed=true]').textContent.startsWith(name)", arg=pressed
        )
        titles = [node.get_attribute("title") for node in tree.root.locator(".s3x-sort").all()]
        for name, title in zip(("Name", "Size", "Modified"), titles, strict=True):
            assert title.startswith(f"Ordered by {name}," if name == pressed else f"Order by {name}")


def test_a_server_that_is_gone_is_said_and_refresh_is_enough_when_it_is_back(notebook):
    """The rows stay, the line below says that they may be old and why; started again, Refresh shows what there is."""
    tree = explore(notebook, "x")
    notebook.run("%upsql STOP SANDBOX")
    tree.root.get_by_role("button", name="Refresh").click()
    tree.says("not up to date: the last listing failed")
    tree.line("error").get_by_text("there is no connection sandbox", exact=False).wait_for()
    assert tree.row("x").is_visible()
    notebook.run("%upsql START SANDBOX\ns3 = s3conn_magic.connection('sandbox').client('s3')\nfill('y')")
    tree.root.get_by_role("button", name="Refresh").click()
    tree.row("y").wait_for()
    assert tree.line("error").count() == 0
