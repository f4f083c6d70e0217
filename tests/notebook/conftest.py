from __future__ import annotations

import sys
from pathlib import Path

# The synthetic server is a command of the benchmarks; interrupts are measured against it, too.
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
