from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# The synthetic server is a command of the benchmarks; hostile keys and faulty servers are those of the listing's tests.
sys.path[:0] = [str(TESTS), str(TESTS / "listing"), str(TESTS.parent / "benchmarks")]

from lab import CHROMIUM, Lab  # noqa: E402 - the folder of `lab` is put on the path just above
from synthetic import serving  # noqa: E402


@pytest.fixture
def serve(request):
    """Serve a bucket until the test ends; gives the server's address."""

    def start(*arguments, **options):
        server = serving(*arguments, **options)
        address = server.__enter__()
        request.addfinalizer(lambda: server.__exit__(None, None, None))
        return address

    return start


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if importlib.util.find_spec("playwright") is None or importlib.util.find_spec("jupyterlab") is None:
        pytest.skip("playwright or jupyterlab is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; name one with S3CONN_CHROMIUM")
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder / "server", pythonpath=(TESTS.parent,)) as started:
        yield started
