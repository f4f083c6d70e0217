"""An explorer on a plain page without Jupyter: the page's end in Chromium, the kernel's end in this process."""

from __future__ import annotations

import base64
import json
import queue
import time
from typing import TYPE_CHECKING, Any

from s3conn_magic.explorer.widget import Explorer

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS = "https://explorer.test/"
HTML = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Explorer</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' blob: 'unsafe-inline';
style-src 'self' 'unsafe-inline'; img-src blob: data:">
<body><main></main></body></html>"""
START = """async ([script, style, number]) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
  const module = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const listeners = [];
  const model = {
    on: (_, listener) => listeners.push(listener),
    send: (content, _, buffers) => window[`toKernel${number}`](JSON.stringify(content), (buffers ?? []).map(
      (each) => btoa(String.fromCharCode(...new Uint8Array(each))))),
  };
  window[`fromKernel${number}`] = (messages) => {
    for (const [json, buffers] of messages) {
      const views = buffers.map((each) => new DataView(Uint8Array.from(atob(each), (c) => c.charCodeAt(0)).buffer));
      for (const listener of listeners) listener({ json }, views);
    }
  };
  const widget = module.default();
  widget.initialize({ model });
  const place = document.createElement("div");
  document.querySelector("main").append(place);
  widget.render({ model, el: place });
}"""


class BareExplorer(Explorer):
    """An explorer whose messages wait here until its pages take them, each all of them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.waiting: list[queue.SimpleQueue[tuple[str, list[str]]]] = []
        super().__init__(*args, **options)

    def send(self, content: Any, buffers: Any = None) -> None:
        """Keep a message for every page."""
        for each in self.waiting:
            each.put((content["json"], [base64.b64encode(each).decode() for each in buffers or []]))


class Bare:
    """One explorer on one page of a browser.

    Args:
        context: of Playwright.
        explorer: what is shown.
        beside: another one, on whose page it is shown too.
    """

    def __init__(self, context: Any, explorer: BareExplorer, beside: Bare | None = None) -> None:
        self.explorer, self.page = explorer, beside.page if beside else context.new_page()
        self.number = beside.number + 1 if beside else 0
        self.waiting: queue.SimpleQueue[tuple[str, list[str]]] = queue.SimpleQueue()
        explorer.waiting.append(self.waiting)
        self.errors: list[str] = []
        self.name = ""
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.expose_function(f"toKernel{self.number}", self._receive)
        if beside is None:
            # Only a page of an address of its own, and a safe one, has a clipboard.
            self.page.route(ADDRESS, lambda route: route.fulfill(body=HTML, content_type="text/html"))
            self.page.goto(ADDRESS)
        self.page.evaluate(START, [str(explorer._esm), str(explorer._css), self.number])
        self.root = self.page.locator(".s3x").nth(self.number)
        self.body = self.root.get_by_role("tree")
        self.pump()

    def _receive(self, content: str, buffers: list[str]) -> None:
        message = json.loads(content)
        self.name = message["page"]
        self.explorer._receive(self.explorer, message, [base64.b64decode(each) for each in buffers])

    def hand(self) -> int:
        """Hand the messages that wait to the page, and let it say what it has to; return how many they were."""
        messages = []
        while not self.waiting.empty():
            messages.append(self.waiting.get())
        self.page.evaluate(f"(messages) => window.fromKernel{self.number}(messages)", messages)
        return len(messages)

    def pump(self, seconds: float = 0.15) -> None:
        """Hand messages to the page until none has come for a while."""
        quiet = time.monotonic() + seconds
        while time.monotonic() < quiet:
            if self.hand():
                quiet = time.monotonic() + seconds
            self.page.wait_for_timeout(10)
        assert not self.errors, self.errors

    def until(self, holds: Callable[[], Any], seconds: float = 20) -> Any:
        """Hand messages to the page until something holds, and return that."""
        end = time.monotonic() + seconds
        while not (value := holds()):
            assert time.monotonic() < end, self.root.inner_text()
            self.pump(0.02)
        return value

    def names(self) -> list[str]:
        """What the rows in sight are called, from the top."""
        script = """(root) => [...root.querySelectorAll(".s3x-row:not([hidden])")]
          .sort((one, other) => one.offsetTop - other.offsetTop)
          .map((row) => row.querySelector(".s3x-text").textContent)"""
        return self.root.evaluate(script)

    def row(self, name: str) -> Any:
        """The row of that name."""
        return self.root.locator(".s3x-row:visible").filter(has=self.page.get_by_text(name, exact=True))

    def press(self, *keys: str) -> None:
        """Press keys, and wait for what they do."""
        for key in keys:
            self.page.keyboard.press(key)
        self.pump()

    def panel_tab(self, name: str) -> None:
        """Show a tab of the panel."""
        self.root.get_by_role("tab", name=name).click()
        self.pump()

    def ids(self, selector: str) -> list[str]:
        """The ids of rows, from the top."""
        script = """([root, selector]) => [...root.querySelectorAll(selector)]
          .sort((one, other) => one.offsetTop - other.offsetTop).map((row) => row.id)"""
        return self.root.evaluate(f"(root, selector) => ({script})([root, selector])", selector)

    def uri(self, node: str) -> str:
        """The exact URI of the row whose element has this id."""
        at = int(node.rpartition("-")[2])
        line = next(self.explorer._navigator.tree.lines(at, at + 1))
        return line.folder.rows.location(line.row).uri
