"""How much memory stays behind when connections are made and dropped.

    python benchmarks/cycles.py --count 10000
    python benchmarks/cycles.py --count 200 --clients

Each cycle makes a connection of its own name, with VALIDATE = FALSE, and drops it; with --clients it also makes an S3
client, which takes a thousand times the memory while it lives. What the process holds is read after as many cycles as
fill every cache (a quarter of the count, 500 at most), and again at the end, both times after a garbage collection.
Needs /proc, and so Linux.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from pathlib import Path

import s3conn_magic

PAIR = "AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE' AWS_SECRET_ACCESS_KEY = 'secret-{number}'"
MORE = "ENDPOINT = 'http://127.0.0.1:9' PATH_DISPLAY_FILTERS = ('s3://bucket-{number}/a/') COMMENT = 'number {number}'"
CYCLE = f"CREATE S3 CONNECTION c{{number}} {PAIR} {MORE} VALIDATE = FALSE"


def cycle(number: int, *, clients: bool) -> None:
    """Make a connection and drop it."""
    s3conn_magic.execute(CYCLE.format(number=number))
    if clients:
        s3conn_magic.connection(f"c{number}").client("s3")
    s3conn_magic.execute(f"DROP CONNECTION c{number}")


def resident() -> int:
    """Bytes of memory that the process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--clients", action="store_true")
    chosen = options.parse_args()
    warm = min(500, chosen.count // 4)
    for number in range(warm):
        cycle(number, clients=chosen.clients)
    before, start = resident(), time.perf_counter()
    for number in range(warm, warm + chosen.count):
        cycle(number, clients=chosen.clients)
    seconds, grown = time.perf_counter() - start, resident() - before
    print(
        f"{chosen.count:,} cycles in {seconds:.1f} s: memory grew by {grown / 1e6:.2f} MB to {resident() / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
