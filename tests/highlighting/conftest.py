from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


class Installed:
    """The wheel of this repository, unpacked."""

    def __init__(self, wheel, folder):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder)
        (self.jupyter,) = folder.glob("*.data/data/share/jupyter")
        self._folder = folder

    def run(self, *arguments, **options):
        """Run Python with the wheel, and nothing of the repository, on its path."""
        environment = {**os.environ, "PYTHONPATH": str(self._folder), "JUPYTER_PATH": str(self.jupyter)}
        command = [sys.executable, *arguments]
        options = {"cwd": self._folder, "capture_output": True, "text": True, "timeout": 120, **options}
        return subprocess.run(command, env=environment, check=False, **options)


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The package as pip would install it: with its entry points and its labextension."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return Installed(wheel, folder / "unpacked")
