"""The labextension as it is shipped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from s3conn_magic import __version__

FOLDER = Path(__file__).parents[2] / "labextension"
PREBUILT = FOLDER / "prebuilt"
OWN = __version__.replace("rc", "-rc.")  # as npm writes a candidate of a release
BUILD = "Run `npm ci && npm run build` in labextension/."


def _files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_is_shipped_was_built_from_what_is_there():
    """The sources that the build wrote down are the sources."""
    sources = ["package.json", "package-lock.json", "core/package.json", "webpack.config.cjs"]
    sources += [file.relative_to(FOLDER).as_posix() for file in (FOLDER / "src").iterdir()]
    texts = {name: (FOLDER / name).read_text(encoding="utf-8") for name in sources}
    written = dict(reversed(line.split()) for line in (FOLDER / "prebuilt.sha256").read_text().splitlines())
    assert written == {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}, BUILD


@pytest.mark.skipif(not (FOLDER / "node_modules").is_dir(), reason="needs `npm ci` in labextension/, which CI runs")
def test_building_again_gives_what_is_shipped(tmp_path):
    """The same sources give the same files, byte by byte."""
    copy = tmp_path / "labextension"
    # What webpack calls modules depends on where they are, so a link to them will not do.
    shutil.copytree(FOLDER, copy, symlinks=True, ignore=shutil.ignore_patterns("prebuilt"))
    done = subprocess.run(
        ["npm", "run", "build"], cwd=copy, capture_output=True, text=True, timeout=120, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert _files(copy / "prebuilt") == _files(PREBUILT), BUILD


def test_the_package_is_small_and_of_this_version():
    """Less than 60 kB is shipped, under the version of the Python package."""
    assert sum(map(len, _files(PREBUILT).values())) < 60_000
    assert json.loads((FOLDER / "package.json").read_text())["version"] == OWN


def test_the_lock_names_no_server():
    """Packages are locked by version and hash, and come from wherever npm is told to get them."""
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = [one for name, one in lock["packages"].items() if name]
    assert all(re.match("sha512-", one["integrity"]) and "resolved" not in one for one in packages)


def test_jupyterlab_finds_what_the_wheel_installs(installed):
    """The wheel puts the extension where JupyterLab looks, with the script to load, its words, and who installed it."""
    config = pytest.importorskip("jupyterlab_server.config")
    folder = installed.jupyter / "labextensions"
    found = config.get_federated_extensions([str(folder)])["s3conn-magic"]
    assert (found["version"], found["install"]["packageName"]) == (OWN, "s3conn-magic")
    assert (folder / "s3conn-magic" / found["jupyterlab"]["_build"]["load"]).is_file()
    assert json.loads((folder / "s3conn-magic" / "keywords.json").read_text())["keywords"]
