"""The wheel of this repository: built, and installed without anything else."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
_PATIENCE = 120
_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")


def build(folder: Path) -> Path:
    """Build the wheel into a folder; gives its path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    _succeed(command, cwd=REPOSITORY)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _succeed(command: list[str], **options: Any) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False, **options)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Installed:
    """What pip makes of the wheel in a folder of its own; the libraries are those of this Python.

    Attributes:
        wheel: the file.
        folder: what is imported.
    """

    wheel: Path
    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Installed:
        """Build the wheel, and install it."""
        wheel = build(folder)
        _succeed([*_PIP, "--no-deps", "--no-index", "--target", str(folder / "installed"), str(wheel)])
        return cls(wheel, folder / "installed")

    @property
    def jupyter(self) -> Path:
        """The folder with what Jupyter looks for."""
        return self.folder / "share" / "jupyter"

    @property
    def command(self) -> Path:
        """`s3conn-magic`."""
        return self.folder / "bin" / "s3conn-magic"

    def run(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run Python with the package, and nothing of the repository, on its path."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "JUPYTER_PATH": str(self.jupyter)}
        options = {"cwd": self.folder.parent, "capture_output": True, "text": True, "timeout": _PATIENCE, **options}
        return subprocess.run([sys.executable, *map(str, arguments)], env=environment, check=False, **options)
