"""A real JupyterLab in headless Chromium: `with Lab(folder) as lab: notebook = lab.open(cells)`."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

CHROMIUM = Path(os.environ.get("S3CONN_CHROMIUM", "/usr/bin/chromium"))
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)
_STARTS_WITHIN = 240
_ANSWERS_WITHIN_MS = 120_000
_TESTS = Path(__file__).parents[1]
_IMPORTED = (_TESTS.parent, _TESTS / "explorer", _TESTS / "listing")
LABEXTENSION = _TESTS.parent / "labextension"
_APPEND = """([source]) => {
  const content = jupyterapp.shell.currentWidget.content;
  const shared = content.model.sharedModel;
  const cell = { cell_type: "code", source, metadata: { trusted: true } };
  shared.insertCell(shared.cells.length, cell);
  content.activeCellIndex = shared.cells.length - 1;
  content.deselectAll();
}"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def install_labextension(data: Path) -> None:
    """Put this repository's labextension, whichever is installed, into a Jupyter data folder, as the wheel does."""
    place = data / "labextensions" / "s3conn-magic"
    shutil.copytree(LABEXTENSION / "prebuilt", place)
    for name in ("install.json", "keywords.json"):
        shutil.copy(LABEXTENSION / name, place)


class Notebook:
    """A notebook that is open in the browser; `page` is Playwright's.

    Attributes:
        dialogs: what the browser's own dialogs said, which are dismissed.
        errors: what scripts of the page failed with.
    """

    def __init__(self, page: Any, path: Path) -> None:
        self.page = page
        self.path = path
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        page.on("dialog", self._answer)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _answer(self, dialog: Any) -> None:
        if dialog.type == "beforeunload":  # JupyterLab's question whether to leave what is not saved
            dialog.accept()
            return
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def run_all(self) -> None:
        """Run every cell and wait until each has finished."""
        self.page.evaluate("() => void jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait_idle()

    def run(self, source: str, *, wait: bool = True) -> Any:
        """Append a cell, run it, and return the locator of its cell."""
        self.page.evaluate(_APPEND, [source])
        self.page.evaluate("() => void jupyterapp.commands.execute('notebook:run-cell')")
        cell = self.page.locator(".jp-CodeCell").nth(self.page.locator(".jp-CodeCell").count() - 1)
        if wait:
            self.wait_idle()
        return cell

    def value(self, expression: str) -> str:
        """Run an expression in a cell and return what it printed."""
        cell = self.run(f"print({expression})")
        return str(cell.locator(".jp-OutputArea-output pre").first.text_content()).strip("\n")

    def wait_idle(self) -> None:
        """Wait until every cell with a source has been run and the kernel is idle."""
        self.page.wait_for_function(
            """() => {
              const { content, context } = jupyterapp.shell.currentWidget;
              const cells = [...content.model.cells].filter((cell) => cell.type === "code" && cell.sharedModel.source);
              return context.sessionContext.session?.kernel?.status === "idle"
                && cells.every((cell) => cell.executionState !== "running" && cell.executionCount !== null);
            }"""
        )

    def clear(self) -> None:
        """Delete every cell; the kernel keeps its state."""
        self.page.evaluate(
            """() => {
              const shared = jupyterapp.shell.currentWidget.content.model.sharedModel;
              shared.deleteCellRange(0, shared.cells.length);
            }"""
        )

    def save(self) -> dict[str, Any]:
        """Save the notebook and read the file."""
        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
        saved: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return saved


class Lab:
    """JupyterLab on a free port of 127.0.0.1 with a home of its own, and a browser.

    Args:
        folder: where notebooks, settings and logs are kept; the server's root.
        pythonpath: folders that the kernels can import from; this repository, and what its tests make up.
    """

    def __init__(self, folder: Path, pythonpath: tuple[Path, ...] = _IMPORTED) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._token = secrets.token_hex(16)
        self._pythonpath = pythonpath
        self._work = folder / "work"

    def __enter__(self) -> Self:
        from playwright.sync_api import sync_playwright

        self._work.mkdir(parents=True)
        install_labextension(self.folder / "data")
        self.set_theme("JupyterLab Light")
        self._server = self._start()
        try:
            self._wait_for_server()
            self._playwright = sync_playwright().start()
            self._browser = self._playwright.chromium.launch(executable_path=str(CHROMIUM), args=_FLAGS.split())
        except BaseException:
            self._stop()
            raise
        self.context = self.new_context()
        return self

    def __exit__(self, *_error: object) -> None:
        self._browser.close()
        self._playwright.stop()
        self._stop()

    def new_context(self, **options: Any) -> Any:
        """A browser context that may use the clipboard."""
        options = {"viewport": {"width": 1180, "height": 900}, **options}
        context = self._browser.new_context(permissions=["clipboard-read", "clipboard-write"], **options)
        context.set_default_timeout(_ANSWERS_WITHIN_MS)
        return context

    def set_theme(self, theme: str) -> None:
        """Choose the theme for pages that open from now on, such as `JupyterLab Dark`."""
        self._settings("apputils-extension/themes", {"theme": theme})
        self._settings("apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False})

    def _settings(self, plugin: str, settings: dict[str, Any]) -> None:
        path = self.folder / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), encoding="utf-8")

    def open(
        self, cells: list[str] | Path, *, name: str = "notebook.ipynb", context: Any = None, place: str = "doc/tree"
    ) -> Notebook:
        """Open a notebook made of these cells, or an existing one, and wait until its kernel is ready.

        Where the package `notebook` is installed, `place="notebooks"` opens it in Notebook 7.
        """
        path = self._work / (cells.name if isinstance(cells, Path) else name)
        path.write_text(self._text(cells), encoding="utf-8")
        page = (context or self.context).new_page()
        notebook = Notebook(page, path)
        page.goto(f"{self.url}/{place}/{path.name}?token={self._token}")
        page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'"
        )
        return notebook

    def open_again(self, notebook: Notebook) -> Notebook:
        """Open a notebook that is open, and saved, in another tab: both have one kernel."""
        again = Notebook(notebook.page.context.new_page(), notebook.path)
        again.page.goto(notebook.page.url)
        again.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel"
        )
        return again

    def _text(self, cells: list[str] | Path) -> str:
        if isinstance(cells, Path):
            return cells.read_text(encoding="utf-8")
        import nbformat  # slow to load, and few tests open a notebook

        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        return nbformat.writes(notebook)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
        paths = [str(path) for path in self._pythonpath] + [kept.get("PYTHONPATH", "")]
        homes = {
            "HOME": "home",
            "IPYTHONDIR": "ipython",
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }
        own = {name: str(self.folder / folder) for name, folder in homes.items()}
        return {
            **kept,
            **own,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }

    def _start(self) -> subprocess.Popen[bytes]:
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self.url.rpartition(":")[2],
            "ServerApp.port_retries": "0",
            "ServerApp.open_browser": "False",
            "ServerApp.allow_root": "True",
            "ServerApp.root_dir": str(self._work),
            "IdentityProvider.token": self._token,
            "LabApp.expose_app_in_browser": "True",
            "JupyterNotebookApp.expose_app_in_browser": "True",
            "LabApp.news_url": "",
        }
        command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
        with (self.folder / "server.log").open("wb") as log:
            return subprocess.Popen(command, env=self._environment(), cwd=self._work, stdout=log, stderr=log)

    def _wait_for_server(self) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < deadline and self._server.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/api?token={self._token}", timeout=5).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"JupyterLab did not start: {(self.folder / 'server.log').read_text()[-2000:]}")

    def _stop(self) -> None:
        """Ask the server to end, which ends its kernels; and end it when it does not."""
        self._server.terminate()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait(10)
