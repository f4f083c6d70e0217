from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from lab import CHROMIUM, Lab  # noqa: E402 - the folder of `lab` is put on the path just above


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if importlib.util.find_spec("playwright") is None or importlib.util.find_spec("jupyterlab") is None:
        pytest.skip("playwright or jupyterlab is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; name one with S3CONN_CHROMIUM")
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder / "server", pythonpath=(TESTS.parent, Path(__file__).parent, TESTS / "listing")) as started:
        yield started
