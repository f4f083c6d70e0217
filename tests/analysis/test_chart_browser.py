"""The chart of ANALYZE in a real JupyterLab."""

from __future__ import annotations

import json
import re

import pytest
from hostile_keys import HOSTILE

from s3conn_magic.explorer.messages import FRONT
from s3conn_magic.locations import visible
from s3conn_magic.results.cards import joined_scripts

pytestmark = pytest.mark.browser

SETUP = """
import pandas as pd
from IPython.display import HTML, display
from s3conn_magic.locations import Location
from s3conn_magic.results.charts import AnalysisChart

TIME = pd.Timestamp("2026-01-02 03:04:05", tz="UTC")


def frame(names, sizes, objects):
    rows = {"group": names, "objects": objects, "bytes": sizes}
    share = [size / max(sum(sizes), 1) for size in sizes]
    return pd.DataFrame({**rows, "share": share, "newest": TIME, "oldest": TIME})


def chart(names, sizes, objects=None, by="PREFIX"):
    return AnalysisChart(frame(names, sizes, objects or [1] * len(names)), by=by, location=Location("lake", "x/"))
"""
FOUR = "chart(['a/', '', 'b/', 'empty/'], [6_000_000, 3_000_000, 1_000_000, 0], [1, 20, 300, 4000])"


class Shown:
    """One chart on the page."""

    def __init__(self, cell):
        self.page, self.root = cell.page, cell.locator(".s3t").last
        self.items = self.root.get_by_role("option")
        self.note, self.detail = self.root.locator(".s3t-note"), self.root.locator(".s3t-detail")
        self.items.first.wait_for()

    def turn(self, name):
        """Press one of the switches."""
        self.root.get_by_role("button", name=name).click()

    def names(self):
        """What the items are called, in order."""
        return self.items.locator(".s3t-name").all_text_contents()

    def boxes(self):
        """The rectangles as [left, top, width, height], to a pixel's fraction."""
        return self.items.evaluate_all(
            "(items) => items.map(({ style: s }) => [s.left, s.top, s.width, s.height].map(parseFloat))"
        )

    def focused(self):
        """Which item has the focus."""
        return self.items.evaluate_all("(items) => items.indexOf(document.activeElement)")

    def press(self, *keys):
        """Press these keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)


def drawn(notebook, source):
    return Shown(notebook.run(source))


def test_areas_are_in_proportion_and_fill_the_map(notebook):
    """Each rectangle's area is its part of all bytes, none lies over another, and together they are the map."""
    sizes = [500 - number for number in range(120)]
    chart = drawn(notebook, f"chart([f'{{n}}/' for n in range(120)], {sizes})")
    boxes = chart.boxes()
    stage = chart.root.locator(".s3t-stage").evaluate("(stage) => [stage.clientWidth, stage.clientHeight]")
    whole = stage[0] * stage[1]
    assert sum(width * height for _, _, width, height in boxes) == pytest.approx(whole, rel=1e-3)
    for size, (_, _, width, height) in zip(sizes, boxes, strict=True):
        assert width * height / whole == pytest.approx(size / sum(sizes), rel=1e-3)
        assert max(width, height) / min(width, height) < 4
    assert not any(overlap(one, other) > 0.5 for at, one in enumerate(boxes) for other in boxes[at + 1 :])
    assert all(0 <= x <= x + width <= stage[0] + 0.1 and y + height <= stage[1] + 0.1 for x, y, width, height in boxes)


def overlap(one, other):
    sides = [min(one[at] + one[at + 2], other[at] + other[at + 2]) - max(one[at], other[at]) for at in (0, 1)]
    return max(0, sides[0]) * max(0, sides[1])


def test_bytes_or_objects_as_map_or_bars(notebook):
    """The switches choose what is measured and how it is drawn; what has no measure is in the bars only."""
    chart = drawn(notebook, FOUR)
    assert chart.names() == ["a/", "(directly here)", "b/"]
    assert chart.items.locator(".s3t-value").all_text_contents() == ["6 MB", "3 MB", "1 MB"]
    assert chart.note.text_content() == "4 groups · 4,321 objects · 10 MB · 1 without bytes not drawn"
    chart.turn("Objects")
    assert chart.names() == ["empty/", "b/", "(directly here)", "a/"]
    assert chart.note.text_content() == "4 groups · 4,321 objects · 10 MB"
    chart.turn("Bars")
    assert chart.items.locator(".s3t-value").all_text_contents() == ["4,000", "300", "20", "1"]
    widths = chart.root.locator(".s3t-fill").evaluate_all("(bars) => bars.map((bar) => parseFloat(bar.style.width))")
    assert widths == pytest.approx([100, 7.5, 0.5, 0.025])
    chart.turn("Bytes")
    assert chart.names() == ["a/", "(directly here)", "b/", "empty/"]
    pressed = chart.root.locator("button[aria-pressed=true]").all_text_contents()
    assert pressed == ["Bars", "Bytes"]


def test_ages_are_bars_in_their_order(notebook):
    """Ranges of age are drawn as bars to begin with, the youngest first, whatever their bytes."""
    chart = drawn(notebook, "chart(['< 1 day', '< 1 week', 'older'], [1, 900, 30], by='AGE')")
    assert chart.root.get_attribute("data-kind") == "bars"
    assert chart.names() == ["< 1 day", "< 1 week", "older"]
    chart.turn("Treemap")
    assert chart.names() == ["< 1 week", "older", "< 1 day"]


def test_beyond_200_there_is_one_for_all_others(notebook):
    """Of 1,000 groups 200 are drawn, by bytes and by objects, and one more stands for exactly the rest."""
    source = "chart([f'{n}/' for n in range(1000)], list(range(2000, 1000, -1)), [n + 1 for n in range(1000)])"
    chart = drawn(notebook, source)
    for kind in ("Treemap", "Bars"):
        chart.turn(kind)
        chart.turn("Bytes")
        assert chart.names() == [f"{n}/" for n in range(200)] + ["800 more"]
        assert f"{sum(range(1001, 1801)):,} bytes" in chart.items.last.get_attribute("aria-label")
        chart.turn("Objects")
        assert chart.names() == [f"{n}/" for n in range(999, 799, -1)] + ["800 more"]
        assert f"{sum(range(1, 801)):,} objects" in chart.items.last.get_attribute("aria-label")
    assert "the 200 largest are drawn apart" in chart.note.text_content()


def test_nothing_at_all(notebook):
    """An empty prefix says so, and groups without a byte say that there is nothing to draw by bytes."""
    cell = notebook.run("chart([], [])")
    cell.get_by_text("There is no object here").wait_for()
    cell = notebook.run("chart(['a/'], [0])")
    cell.get_by_text("1 group · 1 object · 0 B · nothing to draw by bytes").wait_for()
    cell.get_by_role("button", name="Objects").click()
    assert Shown(cell).names() == ["a/"]


def test_the_keyboard_alone(notebook):
    """One stop of Tab, Home and End go to both ends, bars are a list, and no key reaches the notebook."""
    cells = notebook.page.locator(".jp-Cell").count() + 1
    chart = drawn(notebook, FOUR)
    chart.root.get_by_role("button", name="Objects").focus()
    chart.press("Tab")
    assert chart.focused() == 0
    chart.press("End")
    assert chart.focused() == 2
    chart.press("Home", "d", "d", "a", "b", "x", "Enter", " ")
    assert chart.focused() == 0
    chart.turn("Bars")
    chart.items.first.focus()
    chart.press("ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp")
    assert chart.focused() == 2
    assert chart.items.nth(2).get_attribute("aria-selected") == "true"
    assert chart.root.locator("[tabindex='0']").count() == 1
    assert notebook.page.locator(".jp-Cell").count() == cells


SIDES = {"ArrowLeft": (0, -1), "ArrowRight": (0, 1), "ArrowUp": (1, -1), "ArrowDown": (1, 1)}


@pytest.mark.parametrize("key", SIDES)
def test_an_arrow_goes_to_what_lies_there(key, notebook):
    """From each rectangle an arrow goes to one that begins where this one ends, or stays where there is none."""
    chart = drawn(notebook, "chart([f'{n}/' for n in range(12)], [4 ** (6 - n / 2) for n in range(12)])")
    boxes, (axis, sign) = chart.boxes(), SIDES[key]

    def gap(one, other):
        near, far = (one, other) if sign > 0 else (other, one)
        return far[axis] - near[axis] - near[axis + 2]

    for start, box in enumerate(boxes):
        chart.items.nth(start).focus()
        chart.press(key)
        ahead = [at for at, other in enumerate(boxes) if at != start and gap(box, other) > -1]
        touching = [at for at in ahead if gap(box, boxes[at]) < 1 and beside(box, boxes[at], 1 - axis)]
        assert chart.focused() in (touching if ahead else [start])


def beside(one, other, axis):
    return min(one[axis] + one[axis + 2], other[axis] + other[axis + 2]) - max(one[axis], other[axis]) > 0


def test_labels_have_the_exact_values(notebook):
    """What has the focus or the pointer is told in full, to the byte, on the page, as title and to a reader."""
    chart = drawn(notebook, "chart(['a/', 'b/'], [9_007_199_254_740_991, 1_234_567], [1, 20])")
    facts = "20 objects · 1,234,567 bytes (1.23 MB) · < 0.001 % of bytes"
    times = "newest 2026-01-02 03:04:05Z · oldest 2026-01-02 03:04:05Z"
    item = chart.items.nth(1)
    assert item.get_attribute("aria-label") == f"b/: {facts} · {times}"
    assert item.get_attribute("title") == f"b/\n{facts} · {times}"
    assert "9,007,199,254,740,991 bytes (9.01 PB)" in chart.items.first.get_attribute("title")
    item.focus()
    assert chart.detail.text_content() == f"b/{facts} · {times}"
    chart.items.first.hover()
    assert chart.detail.text_content().startswith("a/1 object · 9,007")
    chart.page.mouse.move(2, 2)
    chart.detail.get_by_text("b/").wait_for()
    assert chart.root.get_by_role("listbox").get_attribute("aria-label") == "s3://lake/x/ by folder"


def test_hostile_names(notebook):
    """No name runs a script or is typeset, controls are visible symbols, and so it is in the snapshot."""
    names = sorted({f"{key}/" for key in HOSTILE.values()})[-200:]
    source = f"shown = chart({names!r}, {list(range(2000, 2000 - len(names), -1))})\nshown"
    chart = drawn(notebook, source)
    chart.turn("Bars")
    expected = [text if len(text := visible(name)) <= 300 else text[:299] + "…" for name in names]
    assert chart.names() == expected
    cell = notebook.run("HTML(shown._repr_mimebundle_()[0]['text/html'])")
    cell.locator("td").first.wait_for()
    assert cell.locator("tbody td:first-child").all_text_contents() == expected[:100]
    assert notebook.page.locator(".jp-OutputArea-output").locator("mjx-container, .MathJax, img, script").count() == 0
    plain = notebook.value("[c for c in shown._repr_mimebundle_()[0]['text/plain'] if c < ' ' and c != chr(10)]")
    assert plain == "[]"


def test_no_name_is_in_the_state_and_the_saved_notebook_is_true(notebook):
    """The saved notebook holds a table and text; the widget's state has no group in it."""
    drawn(notebook, "chart(['secret-plans/', 'b/'], [3, 2])")
    saved = notebook.save()
    data = saved["cells"][-1]["outputs"][1]["data"]
    assert ">secret-plans/</td>" in "".join(data["text/html"])
    assert "secret-plans/" in "".join(data["text/plain"])
    assert "secret-plans" not in json.dumps(saved["metadata"])


def test_a_page_that_is_loaded_again_draws_the_same(notebook):
    """After the page is loaded again the chart asks for its data and is drawn."""
    names = drawn(notebook, FOUR).names()
    notebook.save()
    notebook.page.reload()
    assert Shown(notebook.page.locator(".jp-CodeCell").last).names() == names


def test_rectangles_follow_the_width(notebook):
    """When the page becomes narrower, the map is laid out anew within it."""
    chart = drawn(notebook, FOUR)
    before = chart.root.bounding_box()["width"]
    size = notebook.page.viewport_size
    notebook.page.set_viewport_size({"width": 700, "height": size["height"]})
    notebook.page.wait_for_function(
        """([root, before]) => {
          const stage = root.querySelector(".s3t-stage");
          const ends = [...stage.children].map(({ style }) => parseFloat(style.left) + parseFloat(style.width));
          return stage.clientWidth < before - 100 && Math.abs(Math.max(...ends) - stage.clientWidth) < 1;
        }""",
        arg=[chart.root.element_handle(), before],
    )
    notebook.page.set_viewport_size(size)


CHOICE = """async ([source]) => {
  const host = document.createElement("div");
  document.body.append(host);
  const { Treemap } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  window.__chosen = [];
  const map = new Treemap(host, { choose: ({ name }) => window.__chosen.push(name), opens: ({ name }) => name !== "" });
  const group = (name, bytes) => ({ name, bytes, objects: 1, newest: "", oldest: "" });
  map.show({ title: "t", groups: [group("a\\u0000/", 5), group("", 4)], total: { groups: 2, objects: 2, bytes: 9 } });
  map.root.querySelectorAll(".s3t-item").forEach((item) => item.click());
  const first = map.root.querySelector(".s3t-item");
  first.focus();
  first.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  const opens = map.root.querySelectorAll(".s3t-opens").length;
  map.close();
  host.remove();
  return [window.__chosen, opens, document.querySelectorAll("body > .s3t").length];
}"""


def test_a_chosen_rectangle_is_told_by_its_exact_name(notebook):
    """With a callback, a click and Enter choose what may be opened, by its exact name, and nothing else."""
    source = joined_scripts(FRONT / "treemap.js")
    assert notebook.page.evaluate(CHOICE, [source]) == [["a\0/", "a\0/"], 1, 0]


def test_reads_well_in_dark_and_narrow(lab):
    """In the dark theme and 320 px wide, text stands out from its ground and nothing is wider than the chart."""
    lab.set_theme("JupyterLab Dark")
    context = lab.new_context(viewport={"width": 424, "height": 860})
    notebook = lab.open([SETUP], name="narrow.ipynb", context=context)
    lab.set_theme("JupyterLab Light")
    notebook.run_all()
    chart = drawn(notebook, FOUR)
    assert 300 <= chart.root.bounding_box()["width"] <= 340
    for kind in ("Treemap", "Bars"):
        chart.turn(kind)
        chart.items.first.focus()
        assert chart.root.evaluate("(root) => root.scrollWidth <= root.clientWidth + 1")
        assert chart.detail.evaluate("(detail) => detail.scrollWidth <= detail.clientWidth + 1")
    chart.turn("Treemap")
    ground = chart.root.evaluate("(root) => getComputedStyle(root).backgroundColor")
    inks = chart.items.evaluate_all("(items) => items.map((item) => getComputedStyle(item).color)")
    grounds = chart.items.evaluate_all("(items) => items.map((item) => getComputedStyle(item).backgroundColor)")
    assert luminance(ground) < 0.1
    assert all(contrast(one, ink) > 4.5 for one, ink in zip(grounds, inks, strict=True))
    context.close()


def test_reads_well_in_light(notebook):
    """In the light theme every rectangle's text stands out from its ground."""
    chart = drawn(notebook, FOUR)
    inks = chart.items.evaluate_all("(items) => items.map((item) => getComputedStyle(item).color)")
    grounds = chart.items.evaluate_all("(items) => items.map((item) => getComputedStyle(item).backgroundColor)")
    assert len(set(grounds)) == 3
    assert all(contrast(one, ink) > 4.5 for one, ink in zip(grounds, inks, strict=True))


def contrast(one, other):
    """The contrast ratio of two opaque colours, after WCAG."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    """The relative luminance of `rgb(…)` with parts to 255, or `color(srgb …)` with parts to 1."""
    most = 1 if colour.startswith("color(") else 255
    red, green, blue = (float(part) / most for part in re.findall(r"[\d.]+", colour.replace("srgb", ""))[:3])
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue))
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
