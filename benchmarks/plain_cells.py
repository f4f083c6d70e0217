"""What the extension costs plain Python cells: `python benchmarks/plain_cells.py [--cells N] [--rounds N]`.

Each round runs the same cells in two fresh interpreters, one with IPython alone and one that has loaded the extension,
turn about. Time is taken inside around each cell, with its history kept as a notebook keeps it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

# A short cell, a long one, words that ours begin with, fields, and another magic.
_CELLS = [
    "x = 1",
    "total = sum(i * i for i in range(100))\nnames = [f'{total:>{10}}' for _ in range(3)]",
    "host = 'db'\ntext = f'connection to {host}'",
    "s3 = 'a client'\nwords = ['create', 'alter', 'connection', 'secret', f'{s3!r}']",
    "%%capture\nprint('connection')",
    "\n".join(f"def f{i}(a, b='x', *, c=\"y\"):\n    '''It adds.'''\n    return [a, {{b: c}}]" for i in range(40)),
]
_PROGRAM = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
if {load}:
    shell.extension_manager.load_extension("s3conn_magic")
cells = {cells!r}
for cell in cells:
    shell.run_cell(cell, store_history=True)
taken = []
for at in range({count}):
    cell = cells[at % len(cells)]
    start = time.perf_counter()
    shell.run_cell(cell, store_history=True)
    taken.append(1000 * (time.perf_counter() - start))
print(json.dumps(sum(taken) / len(taken)))
"""


def _run(count: int, *, load: bool) -> float:
    """Mean milliseconds a cell."""
    program = _PROGRAM.format(load=load, cells=_CELLS, count=count)
    with tempfile.TemporaryDirectory() as folder:
        surroundings = {**os.environ, "IPYTHONDIR": folder}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=surroundings
        )
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000, help="cells in a round, 1,000 by default")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of interpreters, 5 by default")
    given = parser.parse_args()
    plain, loaded = [], []
    for _ in range(given.rounds):
        plain.append(_run(given.cells, load=False))
        loaded.append(_run(given.cells, load=True))
    without, with_it = statistics.median(plain), statistics.median(loaded)
    print(f"Python {platform.python_version()}, {given.cells:,} plain cells, median of {given.rounds} rounds")
    print("milliseconds a cell")
    print(f"IPython alone          {without:8.3f}")
    print(f"with the extension     {with_it:8.3f}   {with_it - without:+.3f}, {with_it / without:.2f} times")


if __name__ == "__main__":
    main()
