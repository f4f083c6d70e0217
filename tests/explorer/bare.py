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
START = """async ([script, style, bytes]) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
  const module = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const listeners = [];
  const model = {
    on: (_, listener) => listeners.push(listener),
    send: (content, _, buffers) => window.toKernel(JSON.stringify(content), (buffers ?? []).map(
      (each) => btoa(String.fromCharCode(...new Uint8Array(each))))),
  };
  window.fromKernel = (messages) => {
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
    """An explorer whose messages wait here until a page takes them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.waiting: queue.SimpleQueue[tuple[str, list[str]]] = queue.SimpleQueue()
        super().__init__(*args, **options)

    def send(self, content: Any, buffers: Any = None) -> None:
        """Keep a message for the page."""
        self.waiting.put((content["json"], [base64.b64encode(each).decode() for each in buffers or []]))


class Bare:
    """One explorer on one page of a browser.

    Args:
        context: of Playwright.
        explorer: what is shown.
    """

    def __init__(self, context: Any, explorer: BareExplorer) -> None:
        self.explorer, self.page = explorer, context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.expose_function("toKernel", self._receive)
        # Only a page of an address of its own, and a safe one, has a clipboard.
        self.page.route(ADDRESS, lambda route: route.fulfill(body=HTML, content_type="text/html"))
        self.page.goto(ADDRESS)
        self.page.evaluate(START, [str(explorer._esm), str(explorer._css), 0])
        self.root = self.page.locator(".s3x")
        self.body = self.root.get_by_role("tree")
        self.pump()

    def _receive(self, content: str, buffers: list[str]) -> None:
        self.explorer._receive(self.explorer, json.loads(content), [base64.b64decode(each) for each in buffers])

    def pump(self, seconds: float = 0.15) -> None:
        """Hand messages to the page until none has come for a while."""
        quiet = time.monotonic() + seconds
        while time.monotonic() < quiet:
            messages = []
            while not self.explorer.waiting.empty():
                messages.append(self.explorer.waiting.get())
            if messages:
                self.page.evaluate("(messages) => window.fromKernel(messages)", messages)
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

    @property
    def page_name(self) -> str:
        """What the page names itself in its messages."""
        return next(reversed(self.explorer._navigator.cursors))

    def uri(self, node: str) -> str:
        """The exact URI of the row whose element has this id."""
        at = int(node.rpartition("-")[2])
        line = next(self.explorer._navigator.tree.lines(at, at + 1))
        return line.folder.rows.location(line.row).uri
