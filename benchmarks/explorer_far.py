"""The explorer on a folder of a million keys far away: `python benchmarks/explorer_far.py --repeat 3`.

*Load all* against the LIST of the same folder, turn about, each in a process of its own: seconds from the wish to the
last row, without a page. A search by contains: round trips until the page is told of the first hits. And on a page in
Chromium, with all rows loaded, gone through, ordered and filtered: the longest task, and what the page's script holds.
The server is that of `compare.py`. Needs the `test` extra and a Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_TESTS = _HERE.parent / "tests"
sys.path[:0] = [str(_HERE.parent), str(_TESTS / "support"), str(_TESTS / "explorer")]

from clients import BUCKET, KEY, REGION, SECRET  # noqa: E402 - its folder is put on the path just above
from compare import server  # noqa: E402

_LONG_TASKS = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
  }).observe({ entryTypes: ["longtask"] });
}"""


def _connected(endpoint: str) -> Any:
    import s3conn_magic

    s3conn_magic.execute(
        f"CREATE S3 CONNECTION far AWS_ACCESS_KEY_ID = '{KEY}' AWS_SECRET_ACCESS_KEY = '{SECRET}' "
        f"ENDPOINT = '{endpoint}' REGION = '{REGION}' ADDRESSING_STYLE = 'path' VALIDATE = FALSE"
    )
    return s3conn_magic


def listed(endpoint: str) -> dict[str, float]:
    """LIST, as a cell does it."""
    magic = _connected(endpoint)
    magic.execute(f"LIST 's3://{BUCKET}/' USING far LIMIT 1")
    began = time.perf_counter()
    rows = len(magic.execute(f"LIST 's3://{BUCKET}/' USING far LIMIT ALL"))
    return {"rows": rows, "seconds": time.perf_counter() - began}


def _explorer(endpoint: str) -> Any:
    from bare import BareExplorer

    from s3conn_magic.explorer.connections import ConnectionChildren, ConnectionObjects
    from s3conn_magic.locations import Location

    connection = _connected(endpoint).connection("far")
    place, children = Location(BUCKET), ConnectionChildren(lambda: connection)
    objects = ConnectionObjects(lambda _: connection)
    return BareExplorer(children, title="far", location=place, objects=objects)


def _receive(explorer: Any, type: str, **fields: Any) -> None:  # noqa: A002 - the message's own name
    explorer._receive(explorer, {"type": type, "page": "p", **fields}, [])


def _until(explorer: Any, holds: Any) -> None:
    while not holds(explorer._navigator.tree.root):
        time.sleep(0.005)


def loaded(endpoint: str) -> dict[str, float]:
    """Load all, as a page asks for it."""
    explorer = _explorer(endpoint)
    _receive(explorer, "begin", seq=1)
    _until(explorer, lambda root: root.listed and not root.busy)
    began = time.perf_counter()
    _receive(explorer, "more", seq=2, number=explorer._navigator.tree.root.number, every=True)
    _until(explorer, lambda root: root.token is None and not root.busy)
    return {"rows": len(explorer._navigator.tree.root.rows), "seconds": time.perf_counter() - began}


def found(endpoint: str, text: str = "77") -> dict[str, float]:
    """A search below the folder, until the first hits are sent."""
    explorer = _explorer(endpoint)
    _receive(explorer, "begin", seq=1)
    _until(explorer, lambda root: root.listed and not root.busy)
    began = time.perf_counter()
    _receive(explorer, "search", seq=2, text=text)
    _until(explorer, lambda root: root.matching and len(root.rows))
    figures = {"first": time.perf_counter() - began}
    _receive(explorer, "stop", seq=3)
    return figures


def shown(endpoint: str) -> dict[str, float]:
    """On a page: load all, go to the end and through the middle, order, filter."""
    from bare import Bare
    from lab import CHROMIUM
    from playwright.sync_api import sync_playwright

    explorer = _explorer(endpoint)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--enable-precise-memory-info"]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        tree = Bare(browser.new_context(viewport={"width": 1100, "height": 900}), explorer)
        tree.until(lambda: not explorer._navigator.busy)
        tree.pump()  # what is listed is on the page as well
        tree.page.evaluate(_LONG_TASKS)
        tree.body.focus()
        tree.press("End")
        tree.press("Shift+Enter")
        root = explorer._navigator.tree.root
        tree.until(lambda: root.token is None and not root.busy, 300)
        tree.press("End", "Home")
        for part in (0.5, 1, 0.3):
            tree.body.evaluate("(body, part) => { body.scrollTop = body.scrollHeight * part; }", part)
            tree.pump()
        tree.root.locator(".s3x-size.s3x-sort").click()
        tree.pump(1)
        tree.root.locator(".s3x-find input").fill("99")
        tree.pump(1)
        longest = tree.page.evaluate("() => window.longest")
        session = tree.page.context.new_cdp_session(tree.page)
        session.send("HeapProfiler.collectGarbage")
        session.send("Performance.enable")
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        browser.close()
    return {"rows": len(root.rows), "longest": longest, "heap": metrics["JSHeapUsedSize"] / 1e6}


PARTS = {part.__name__: part for part in (listed, loaded, found, shown)}


def _once(part: str, endpoint: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--part", part, "--endpoint", endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    with suppress(IndexError, ValueError):
        return json.loads(done.stdout.splitlines()[-1])
    raise SystemExit(f"{part} failed: {done.stderr[-2000:]}")


def main() -> None:
    """Read the options, measure, and print a table of Markdown."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--keys", type=int, default=1_000_000)
    options.add_argument("--latency", type=float, default=150, help="milliseconds")
    options.add_argument("--layout", default="sequential", choices=["sequential", "random"])
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options.add_argument("--endpoint", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.part:
        print(json.dumps(PARTS[chosen.part](chosen.endpoint)))
        return
    runs: dict[str, list[dict[str, float]]] = {part: [] for part in PARTS}
    with server(chosen.layout, chosen.keys, chosen.latency) as endpoint:
        for _ in range(chosen.repeat):
            for part, figures in runs.items():
                figures.append(_once(part, endpoint))
                print(f"  {part}: {figures[-1]}", file=sys.stderr, flush=True)
    middle = {
        (part, name): statistics.median(each[name] for each in figures)
        for part, figures in runs.items()
        for name in figures[0]
    }
    far = chosen.latency / 1000
    print(f"{chosen.keys:,} keys, {chosen.layout}, {chosen.latency:g} ms, load {os.getloadavg()[0]:.1f}\n")
    print("| LIST s | Load all s | ratio | first hits, round trips | longest task ms | page MB |\n" + "|---" * 6 + "|")
    ratio = middle["loaded", "seconds"] / middle["listed", "seconds"]
    trips = middle["found", "first"] / far if far else 0
    print(
        f"| {middle['listed', 'seconds']:.1f} | {middle['loaded', 'seconds']:.1f} | {ratio:.2f} | {trips:.1f} "
        f"| {middle['shown', 'longest']:.0f} | {middle['shown', 'heap']:.0f} |"
    )


if __name__ == "__main__":
    main()
