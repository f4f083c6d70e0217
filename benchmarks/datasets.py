"""DISCOVER and COMPARE beside the listings that they take, turn about against the synthetic server.

    python benchmarks/datasets.py --keys 1000000 --layout hive --repeat 3

Each run is a process of its own; looks into objects, which the synthetic server does not have, are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

_HERE = Path(__file__).parent
_WORK = ("list", "discover", "list2", "compare")


def _connected(endpoint: str) -> object:
    from clients import BUCKET, KEY, REGION, SECRET

    import s3conn_magic

    s3conn_magic.execute(
        f"CREATE S3 CONNECTION bench AWS_ACCESS_KEY_ID = '{KEY}' AWS_SECRET_ACCESS_KEY = '{SECRET}' "
        f"ENDPOINT = '{endpoint}' REGION = '{REGION}' ADDRESSING_STYLE = 'path' VALIDATE = FALSE"
    )
    return s3conn_magic.connection("bench").target(BUCKET)


def work(name: str, endpoint: str) -> None:
    """One run, in this process: a line of JSON with seconds, CPU seconds, and peak memory over what imports took."""
    import pyarrow.compute  # noqa: F401

    from s3conn_magic.listing import Listing
    from s3conn_magic.listing.analysis import Scan

    target = _connected(endpoint)
    assert target.transport
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, cpu = time.perf_counter(), time.process_time()
    if name.startswith("list"):
        for _ in range(2 if name == "list2" else 1):
            rows = len(Listing(target).collect())
    elif name == "discover":
        from s3conn_magic.datasets import find
        from s3conn_magic.datasets.layout import Layout
        from s3conn_magic.datasets.sampling import Sampler

        layout = Layout("bucket", "")
        Scan(target, "", layout).total()
        datasets = find(layout, Sampler(None, "bucket"), 0, str).datasets
        rows = sum(dataset.objects for dataset in datasets)
    else:
        from s3conn_magic.datasets.comparing import Side, compared

        differences = compared(Side(lambda: Listing(target), ""), Side(lambda: Listing(target), ""), "ETAG")
        rows = differences.counts["equal"]
    figures = {"wall": time.perf_counter() - begun, "cpu": time.process_time() - cpu, "rows": rows}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**figures, "peak": (peak - base) / 1024}))


def main() -> None:
    """Print a table of medians."""
    from compare import server
    from layouts import LAYOUTS

    options = argparse.ArgumentParser()
    options.add_argument("--keys", type=int, default=1_000_000)
    options.add_argument("--layout", choices=sorted(LAYOUTS), default="hive")
    options.add_argument("--latency", type=float, default=0)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--only", nargs="*", default=_WORK)
    options.add_argument("--run", nargs=2)
    chosen = options.parse_args()
    if chosen.run:
        work(*chosen.run)
        return
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in chosen.only}
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_HERE.parent), str(_HERE)])}
    with server(chosen.layout, chosen.keys, chosen.latency) as endpoint:
        for name in [name for _ in range(chosen.repeat) for name in chosen.only]:
            command = [sys.executable, __file__, "--run", name, endpoint]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=paths)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    print("| work | wall s | CPU s | peak MB | rows |\n|---|---|---|---|---|")
    for name, figures in runs.items():
        wall, cpu, peak, rows = (
            statistics.median(run[of] for run in figures) for of in ("wall", "cpu", "peak", "rows")
        )
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {peak:.0f} | {rows:,.0f} |")


if __name__ == "__main__":
    main()
