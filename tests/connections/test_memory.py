"""What stays in memory of connections that were made and dropped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COUNT = 2_000


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_connections_that_come_and_go_leave_no_memory():
    """Thousands of connections that are made and dropped grow a process by no more than 5 MB for 10,000 of them."""
    command = [sys.executable, REPOSITORY / "benchmarks" / "cycles.py", "--count", str(COUNT)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment)
    grown = re.search(r"grew by (-?[0-9.]+) MB", done.stdout)
    assert float(grown[1]) <= 5 * COUNT / 10_000
