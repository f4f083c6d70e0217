"""What `%load_ext s3conn_magic` adds to the start of IPython: `python benchmarks/load_extension.py [--runs N]`.

Each run is two fresh interpreters, one that imports IPython and makes a shell and one that also loads the extension,
turn about. Time is taken inside the interpreter around the load, so the noise of process starts stays out.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys

_HEAVY = ("pandas", "boto3", "botocore", "pyarrow", "numpy", "anywidget", "pyparsing", "aiohttp", "moto")
_PROGRAM = """
import json, sys, time
start = time.perf_counter()
import IPython
shell = IPython.core.interactiveshell.InteractiveShell.instance()
shell_made = time.perf_counter()
if {load}:
    shell.extension_manager.load_extension("s3conn_magic")
end = time.perf_counter()
heavy = [name for name in {heavy!r} if name in sys.modules]
print(json.dumps([1000 * (shell_made - start), 1000 * (end - shell_made), heavy]))
"""


def _run(*, load: bool) -> tuple[float, float, list[str]]:
    program = _PROGRAM.format(load=load, heavy=_HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="pairs of interpreters, 15 by default")
    runs = parser.parse_args().runs
    plain, loaded = [], []
    for _ in range(runs):
        plain.append(_run(load=False))
        loaded.append(_run(load=True))
    added = [load for _, load, _ in loaded]
    heavy = sorted(set(loaded[0][2]) - set(plain[0][2]))
    print(f"Python {platform.python_version()}, {runs} runs, milliseconds")
    print(f"import IPython and make a shell   median {statistics.median(start for start, _, _ in plain):8.1f}")
    print(f"%load_ext s3conn_magic adds       median {statistics.median(added):8.1f}   worst {max(added):.1f}")
    print(f"heavy modules it imports          {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
