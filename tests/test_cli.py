from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3conn_magic import __version__
from s3conn_magic.cli import DEMO, main
from s3conn_magic.sandbox import RESTRICTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


ROOT = Path(__file__).parent.parent


def _run(arguments: Sequence[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "s3conn_magic", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=environment
    )


def test_the_demo_creates_lists_and_explores() -> None:
    """`demo` runs every statement of the quickstart, ends without an error and says how to go on in JupyterLab."""
    done = _run(["demo"])
    assert (done.returncode, done.stderr) == (0, "")
    for statement in DEMO:
        assert f"upsql> {statement.splitlines()[0]}" in done.stdout
    assert "S3 connection sales created" in done.stdout
    assert re.search(r"acme-lake +sales/orders\.csv +[\d,]+ +20\d\d-", done.stdout)
    assert re.search(r"^.─ events/$", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-2].endswith(" lab")
    assert RESTRICTED.secret_access_key.reveal() not in done.stdout


def test_files_are_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`run` prints the result of each statement of the files; an error is one block with its place, and status 1."""
    one, two = tmp_path / "one.usql", tmp_path / "two.usql"
    one.write_text("SET LIMIT = 7;\nSHOW SETTINGS;", encoding="utf-8")
    two.write_text("HELP LIST;\n\n  LIST LIST", encoding="utf-8")
    assert main(["run", str(one)]) == 0
    assert capsys.readouterr().err == ""
    assert main(["run", str(one), str(two)]) == 1
    said = capsys.readouterr()
    assert re.search(r"LIMIT +7\b", said.out)
    assert said.err.splitlines()[1] == f"  {two}, line 3, column 8"
    assert main(["run", str(tmp_path / "none.usql")]) == 1
    assert "there is no file" in capsys.readouterr().err


def test_the_command_is_there() -> None:
    """A file that is not there ends with status 1 and one block, without a traceback."""
    done = _run(["run", "none.usql"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "S3ConnError: there is no file none.usql"


def test_the_version_is_told() -> None:
    """`--version` prints the package's version."""
    assert _run(["--version"]).stdout == f"s3conn-magic {__version__}\n"


def test_an_unknown_command_is_refused() -> None:
    """A command that does not exist ends with status 2 and names those that do."""
    done = _run(["explore"])
    assert done.returncode == 2
    assert "demo" in done.stderr


def test_lab_without_jupyterlab_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`lab` where JupyterLab is not installed ends with status 1 and says what to install."""
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    assert main(["lab"]) == 1
    assert "pip install jupyterlab matplotlib" in capsys.readouterr().err


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _lab(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`s3conn-magic lab`, and its address; what is left of it is killed."""
    port = _free_port()
    options = ["--no-browser", f"--ServerApp.port={port}", "--IdentityProvider.token=t"]
    server = subprocess.Popen(
        [sys.executable, "-m", "s3conn_magic", "lab", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(30)


def test_lab_serves_the_quickstart() -> None:
    """`lab` starts JupyterLab at the current folder, and it serves the quickstart notebook."""
    with _lab(ROOT) as (server, url):
        assert b"%load_ext s3conn_magic" in _fetched(f"{url}/files/notebooks/quickstart.ipynb?token=t", server)


def _alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _descendants(pid: int) -> set[int]:
    """All processes that a process has begun, and those of theirs."""
    begun = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(entry.read_text(encoding="utf-8").rpartition(")")[2].split()[1]) == pid:
                begun.add(int(entry.parent.name))
    return begun.union(*map(_descendants, begun)) if begun else begun


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda one: one.name)
def test_ending_lab_leaves_nothing_behind(how: signal.Signals) -> None:
    """However the command is ended, JupyterLab, its kernel and the sandbox of that kernel end with it."""
    with _lab(ROOT) as (server, url):
        _fetched(f"{url}/api/status?token=t", server)
        _posted(f"{url}/api/kernels?token=t")
        _until(lambda: len(_descendants(server.pid)) >= 1)
        kernel = min(_descendants(server.pid))
        begun = {server.pid, kernel, *_descendants(server.pid)}
        os.kill(server.pid, how)
        server.wait(30)
        _until(lambda: not any(map(_alive, begun)))


def _posted(url: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, data=b"{}", method="POST"), timeout=30) as answer:
        assert answer.status == 201


def _until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; within a minute."""
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it never held")


SANDBOX = (
    "from s3conn_magic.sandbox import Sandbox; import time; print(Sandbox.start().pid, flush=True); time.sleep(99)"
)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda one: one.name)
def test_the_sandbox_ends_with_what_began_it(how: signal.Signals) -> None:
    """However a kernel, `demo` or `run` is ended, its sandbox's server ends, too."""
    owner = subprocess.Popen([sys.executable, "-c", SANDBOX], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.send_signal(how)
        owner.wait(30)
        _until(lambda: not _alive(pid))
    finally:
        owner.kill()
        owner.wait(30)
        owner.communicate()


def _fetched(url: str, server: subprocess.Popen[bytes]) -> bytes:
    """The page, as soon as the server answers; within a minute."""
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError("the server did not answer")
