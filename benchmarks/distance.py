"""Listings by this package near and far: layouts, latencies and numbers of connections, turn about.

    python benchmarks/distance.py --keys 1000000 --repeat 3

Seconds of the clock (median), and requests beyond one for each page. The same server and process as `compare.py`.
"""

from __future__ import annotations

import argparse
import os
import statistics
from contextlib import ExitStack

from compare import _PAGE, once, server
from layouts import LAYOUTS


def main() -> None:
    """Read the options and print a table of Markdown, a line for each layout and latency."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--keys", type=int, default=1_000_000)
    options.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    options.add_argument("--latencies", type=float, nargs="+", default=[0, 30, 150], help="milliseconds a request")
    options.add_argument("--connections", type=int, nargs="+", default=[16, 32, 64, 128])
    options.add_argument("--repeat", type=int, default=3)
    chosen = options.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}\n")
    print("| layout | ms |", " | ".join(f"{each} connections" for each in chosen.connections), "|", flush=True)
    print("|---" * (2 + len(chosen.connections)) + "|")
    for layout in chosen.layouts:
        with ExitStack() as stack:
            endpoints = [stack.enter_context(server(layout, chosen.keys, each)) for each in chosen.latencies]
            runs: dict[tuple[float, int], list[dict[str, float]]] = {}
            for _ in range(chosen.repeat):
                for latency, endpoint in zip(chosen.latencies, endpoints, strict=True):
                    for connections in chosen.connections:
                        os.environ["CONNECTIONS"] = str(connections)
                        figures = once("ours", endpoint, 300)
                        if isinstance(figures, str) or figures["rows"] != chosen.keys:
                            raise SystemExit(f"{layout}: {figures}")
                        runs.setdefault((latency, connections), []).append(figures)
        for latency in chosen.latencies:
            cells = []
            for connections in chosen.connections:
                those = runs[latency, connections]
                extra = statistics.median(each["requests"] for each in those) / (chosen.keys / _PAGE) - 1
                cells.append(f"{statistics.median(each['wall'] for each in those):.2f} s, {extra:+.0%}")
            print(f"| {layout} | {latency:g} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
