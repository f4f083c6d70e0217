"""One interrupt at each point of every statement that waits; `python tests/support/interrupts.py` measures more."""

from __future__ import annotations

import sys

import pytest
from interrupts import POINTS, staged


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A kernel and servers of their own."""
    with staged(tmp_path_factory.mktemp("interrupts")) as ready:
        yield ready


@pytest.mark.skipif(sys.platform != "linux", reason="sockets and processes are looked for in /proc")
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_an_interrupt_leaves_nothing_behind(stage, point):
    """The cell fails, its request's socket is closed, no thread, file, process or object is left; the next one works.

    A connection that the cell was making is not there, and one that it was changing is as it was.
    """
    assert stage.interrupt(point).left == []
