"""What `%load_ext s3conn_magic` adds to the start of IPython: `python benchmarks/load_extension.py [--runs N]`.

Each run is two fresh interpreters, one that imports IPython and makes a shell and one that also loads the extension,
turn about. Time is taken inside the interpreter around the load, so the noise of process starts stays out. The first
pair is not counted: it writes the bytecode, as an installer does. Beside the time stands that of the processor, which
says more on a machine that is busy.
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

_HEAVY = ("pandas", "boto3", "botocore", "pyarrow", "numpy", "anywidget", "pyparsing", "aiohttp", "moto")
_PROGRAM = """
import json, sys, time
start = time.perf_counter()
import IPython
shell = IPython.core.interactiveshell.InteractiveShell.instance()
shell_made = time.perf_counter()
busy = time.process_time()
if {load}:
    shell.extension_manager.load_extension("s3conn_magic")
end, busy = time.perf_counter(), time.process_time() - busy
heavy = [name for name in {heavy!r} if name in sys.modules]
print(json.dumps([1000 * (shell_made - start), 1000 * (end - shell_made), 1000 * busy, heavy]))
"""


def _run(bytecode: str, *, load: bool) -> tuple[float, float, float, list[str]]:
    program = _PROGRAM.format(load=load, heavy=_HEAVY)
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="pairs of interpreters, 15 by default")
    runs = parser.parse_args().runs
    plain, loaded = [], []
    with tempfile.TemporaryDirectory() as bytecode:
        for _ in range(runs + 1):
            plain.append(_run(bytecode, load=False))
            loaded.append(_run(bytecode, load=True))
    del plain[0], loaded[0]
    added, busy = [run[1] for run in loaded], [run[2] for run in loaded]
    heavy = sorted(set(loaded[0][3]) - set(plain[0][3]))
    print(f"Python {platform.python_version()}, {runs} runs, milliseconds")
    print(f"import IPython and make a shell   median {statistics.median(run[0] for run in plain):8.1f}")
    print(f"%load_ext s3conn_magic adds       median {statistics.median(added):8.1f}   worst {max(added):.1f}")
    print(f"  of the processor's time         median {statistics.median(busy):8.1f}   worst {max(busy):.1f}")
    print(f"heavy modules it imports          {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
