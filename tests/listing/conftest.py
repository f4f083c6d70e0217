from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# The synthetic server is a command of the benchmarks and serves the tests as well.
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from synthetic import serving

from s3conn_magic.listing import pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Serve a bucket until the test ends; gives the server's address."""

    def start(*arguments: object, **options: object) -> str:
        server = serving(*arguments, **options)
        address = server.__enter__()
        request.addfinalizer(lambda: server.__exit__(None, None, None))
        return address

    return start


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tries follow each other at once."""
    monkeypatch.setattr(pace, "_BASE", 0.0005)
    return None
