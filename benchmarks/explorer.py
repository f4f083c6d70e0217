"""Keys shown in a real JupyterLab by the explorer and by other widgets, side by side: `python benchmarks/explorer.py`.

Every measurement has a page and a kernel of its own. Printed are the seconds from the begin of the cell until the rows
are there, the seconds after the first page of the listing had arrived, the longest time in which the page could not
draw, the rows in its DOM, and what came over its web socket. `one label` is what JupyterLab takes for any widget.
Needs the `test` extra, a Chromium and, for its row, `ipytree`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_TESTS = _HERE.parent / "tests"
sys.path[:0] = [str(_TESTS / "support"), str(_TESTS / "explorer")]

from lab import Lab, Notebook  # noqa: E402 - its folder is put on the path just above
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError  # noqa: E402

_PATIENCE_MS = 120_000

_WATCH = """() => {
  const seen = { longest: 0, last: performance.now() };
  window.__seen = seen;
  const frame = (now) => {
    seen.longest = Math.max(seen.longest, now - seen.last);
    seen.last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame((now) => { seen.last = now; requestAnimationFrame(frame); });
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) seen.longest = Math.max(seen.longest, task.duration);
  }).observe({ entryTypes: ["longtask"] });
}"""

_THERE = """([selector, count]) => {
  const rows = [...document.querySelectorAll(selector)].filter((row) => row.getClientRects().length);
  return rows.length >= count ? Date.now() / 1000 : false;
}"""

_COMMON = """
import time
from datetime import UTC, datetime
names = [f"part-{number:07}.parquet" for number in range(COUNT)]
when = "2024-05-01 06:30:00Z"
"""

_LABEL = """
import ipywidgets as w
began = time.time()
w.Label(names[0])
"""

_ROWS = """
import ipywidgets as w
began = time.time()
w.VBox([w.HBox([w.Checkbox(value=False, indent=False), w.Label(name), w.Label("1.2 MB"), w.Label(when)])
        for name in names])
"""

_IPYTREE = """
import ipytree
began = time.time()
tree = ipytree.Tree(stripes=True)
tree.add_node(ipytree.Node("bucket", [ipytree.Node(name) for name in names]))
tree
"""

_EXPLORER = """
from s3conn_magic.locations import Location
from s3conn_magic.explorer import Children, TreeEntry
from s3conn_magic.explorer.widget import Explorer
arrived = []
def children(location, token, *, starting_with="", cancelled):
    begin = int(token or 0)
    end = min(begin + PAGE, COUNT)
    entries = [TreeEntry(Location("lake", names[at]), size=at, last_modified=datetime(2024, 5, 1, tzinfo=UTC))
               for at in range(begin, end)]
    arrived.append(time.time())
    return Children(entries, str(end) if end < COUNT else None)
began = time.time()
explorer = Explorer(children, title="lab", location=Location("lake"))
explorer
"""

_MEMORY = """
import gc, tracemalloc
from s3conn_magic.explorer.tree import Folder
def opened():
    folder = Folder(Location("lake"))
    folder.add(children(Location("lake"), None, cancelled=lambda: False))
    return folder
opened(); gc.collect()
tracemalloc.start()
kept = opened(); gc.collect()
print(tracemalloc.get_traced_memory()[0])
tracemalloc.stop()
"""


@dataclass(frozen=True)
class Stack:
    """One way to show keys: the cell that does it, the rows' selector, and how many of a number of keys are rows."""

    name: str
    cell: str
    rows: str
    shown: int | None = None


STACKS = {
    each.name: each
    for each in (
        Stack("explorer", _EXPLORER, ".s3x-row[data-kind=row]", 10),
        Stack("one label", _LABEL, ".jp-OutputArea .widget-label", 1),
        Stack("ipywidgets", _ROWS, ".jp-OutputArea .widget-hbox"),
        Stack("ipytree", _IPYTREE, ".jstree-anchor, .jstree-node"),
    )
}


def _cell(stack: Stack, count: int) -> str:
    return f"COUNT, PAGE = {count}, {1000 if count <= 100_000 else 50_000}\n" + _COMMON + stack.cell


def measure(lab: Lab, stack: Stack, count: int) -> dict[str, Any]:
    """Show so many keys on a new page; a stack that shows nothing in two minutes says so."""
    notebook = lab.open([], name=f"{stack.name}-{count}.ipynb")
    received = [0]
    notebook.page.on("websocket", lambda socket: socket.on("framereceived", lambda data: _add(received, data)))
    notebook.page.reload()
    notebook.page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    notebook.page.wait_for_timeout(1500)  # the page has settled
    received[0] = 0
    notebook.page.evaluate(_WATCH)
    notebook.run(_cell(stack, count), wait=False)
    try:
        wanted = min(count, stack.shown or count)
        there = notebook.page.wait_for_function(_THERE, arg=[stack.rows, wanted], timeout=_PATIENCE_MS).json_value()
    except PlaywrightTimeoutError:
        notebook.page.close()
        return {"failed": f"no rows in {_PATIENCE_MS // 1000} s"}
    notebook.page.wait_for_timeout(500)
    found = {"dom": notebook.page.locator(stack.rows).count(), "kB": received[0] / 1000}
    found |= {"block": notebook.page.evaluate("() => window.__seen.longest")}
    notebook.wait_idle()
    found["seconds"] = there - float(notebook.value("repr(began)"))
    if stack.name == "explorer":
        found |= _of_the_explorer(notebook, there, count)
    notebook.page.close()
    return found


def _add(received: list[int], data: str | bytes) -> None:
    received[0] += len(data)


def _of_the_explorer(notebook: Notebook, there: float, count: int) -> dict[str, Any]:
    """After the first page; and with everything loaded, the way to the end."""
    found: dict[str, Any] = {"after page": there - float(notebook.value("repr(arrived[0])"))}
    if count <= 1000:
        cell = notebook.run(_MEMORY)
        found["page MB"] = int(cell.locator(".jp-OutputArea-output pre").first.text_content() or 0) / 1e6
        return found
    page = notebook.page
    page.evaluate("() => { window.__seen.longest = 0; }")
    page.locator(".s3x-row[data-kind=row]").first.click()
    page.keyboard.press("End")
    page.locator(".s3x-row[data-kind=more]").get_by_role("button", name="Load all").click()
    page.locator(".s3x-summary").filter(has_text=f"{count:,} objects").wait_for(timeout=_PATIENCE_MS)
    page.keyboard.press("End")
    last = f"part-{count - 1:07}.parquet"
    page.locator(".s3x-row.s3x-focus").filter(has_text=last).wait_for()
    page.locator(".s3x [role=tree]").evaluate("(body) => { body.scrollTop = body.scrollHeight / 2; }")
    page.wait_for_timeout(300)
    page.locator(".s3x [role=tree]").evaluate("(body) => { body.scrollTop = body.scrollHeight; }")
    page.locator(".s3x-row").filter(has_text=last).wait_for()
    found["block"] = max(found.get("block", 0), page.evaluate("() => window.__seen.longest"))
    found["dom"] = page.locator(".s3x-row").count()
    found["end"] = "reached"
    return found


def _line(name: str, count: int, runs: list[dict[str, Any]]) -> str:
    good = [run for run in runs if "failed" not in run]
    if not good:
        return f"| {name} | {count:,} | {runs[0]['failed']} | | | | | | |"
    middle = {key: statistics.median(run[key] for run in good) for key in good[0] if key != "end"}
    blank = f" ({len(runs) - len(good)} of {len(runs)} showed nothing)" if len(good) < len(runs) else ""
    after = f"{middle['after page']:.2f}" if "after page" in middle else ""
    memory = f"{middle['page MB']:.2f}" if "page MB" in middle else ""
    there = f"{middle['seconds']:.2f}{blank}"
    rest = f"{middle['block']:.0f} | {middle['dom']:.0f} | {middle['kB']:.0f} | {memory} | {good[0].get('end', '')}"
    return f"| {name} | {count:,} | {there} | {after} | {rest} |"


def main() -> None:
    """Read the options, measure, and print a table of Markdown."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--keys", type=lambda text: [int(each) for each in text.split(",")], default=[300, 1000])
    options.add_argument("--most", type=int, default=1_000_000, help="keys for the explorer alone, after the others")
    options.add_argument("--stacks", type=lambda text: text.split(","), default=list(STACKS))
    options.add_argument("--repeat", type=int, default=3)
    chosen = options.parse_args()
    jobs = [(name, count) for count in chosen.keys for name in chosen.stacks]
    jobs += [("explorer", chosen.most)] if chosen.most and "explorer" in chosen.stacks else []
    if "ipytree" in chosen.stacks and find_spec("ipytree") is None:
        options.error("ipytree is not installed; choose others with --stacks")
    lines = []
    for name, count in jobs:
        runs = []
        for _ in range(chosen.repeat):
            with tempfile.TemporaryDirectory() as folder, Lab(Path(folder) / "lab") as lab:
                runs.append(measure(lab, STACKS[name], count))
            print(f"  {name} {count}: {json.dumps(runs[-1])}", file=sys.stderr)
        lines.append(_line(name, count, runs))
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores; ")
    print(f"median of {chosen.repeat}\n")
    print("| stack | keys | rows there s | after the page s | longest block ms | DOM rows | kB | kernel MB | end |")
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
