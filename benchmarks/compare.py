"""Lists N keys with this package and with others, side by side in one run.

    python benchmarks/compare.py --keys 100000 --latency 30 --layout hive --repeat 3

Every client runs in a process of its own, against the synthetic server in another. Clients take turns, so that whatever
else the machine does meets them all; figures are medians. A client that would take too long can be timed on fewer keys:
`--scale boto3=100000` lists that many and multiplies wall, CPU and requests, which the table marks with `*`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clients import BUCKET, CLIENTS
from layouts import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_SERVER_SECONDS = 300
_PAGE = 1000
_PYTHONS: dict[str, str] = {}
Figures = dict[str, float]


@contextmanager
def server(layout: str, keys: int, latency: float) -> Iterator[str]:
    """The synthetic server in a process of its own, which ends with this block or this process."""
    command = [sys.executable, str(_HERE / "synthetic.py"), "--layout", layout, "--keys", str(keys)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--latency", str(latency)], **pipes) as child:
        try:
            yield child.stdout.readline().strip()
        finally:
            child.stdin.close()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def requests_of(endpoint: str) -> int:
    """How many requests the server has answered since this was asked last."""
    with urllib.request.urlopen(f"{endpoint}/-/stats", timeout=_SERVER_SECONDS) as answer:
        return int(json.load(answer)["requests"])


def once(client: str, endpoint: str, timeout: float) -> Figures | str:
    """The figures of one run, or why there are none."""
    requests_of(endpoint)
    command = [_PYTHONS.get(client, sys.executable), str(_HERE / "clients.py"), client, endpoint]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    paths = {"PYTHONPATH": os.pathsep.join([str(_HERE.parent), str(_HERE)]), "AWS_EC2_METADATA_DISABLED": "true"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=clean | paths)
    except subprocess.TimeoutExpired:
        return f"more than {timeout:.0f} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1][:100]
    return json.loads(done.stdout.splitlines()[-1]) | {"requests": requests_of(endpoint)}


def median(runs: list[Figures], scale: float) -> Figures:
    """Medians; what grows with the number of keys is multiplied."""
    found = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return found | {name: found[name] * scale for name in ("rows", "wall", "cpu", "requests")}


async def _ceiling(endpoint: str, connections: int, seconds: float) -> float:
    host, port = endpoint.rpartition("/")[2].split(":")
    ask = f"GET /{BUCKET}?list-type=2&prefix=&max-keys={_PAGE}&encoding-type=url HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    end, pages = time.perf_counter() + seconds, 0

    async def drain() -> None:
        nonlocal pages
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
        while time.perf_counter() < end:
            writer.write(ask)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
            pages += 1
        writer.close()

    await asyncio.gather(*(drain() for _ in range(connections)))
    return pages / seconds


def ceiling(layout: str, latency: float) -> float:
    """Pages a second that the server gives to 32 connections that throw them away."""
    with server(layout, 100_000, latency) as endpoint:
        requests_of(endpoint)
        return asyncio.run(_ceiling(endpoint, 32, 2.0))


def table(results: dict[str, Figures | str], keys: int, scales: dict[str, int]) -> list[str]:
    """The figures as a table of Markdown."""
    lines = [
        "| client | wall s | first row s | CPU s | peak MB | requests | extra | frame B/key | ratio to ours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    first = results.get("ours")
    for name, found in results.items():
        if isinstance(found, str):
            lines.append(f"| {name} | {found} | | | | | | | |")
            continue
        mark, listed = ("*", scales[name]) if name in scales else ("", keys)
        ratio = f"{found['wall'] / first['wall']:.1f}x" if isinstance(first, dict) else ""
        extra = found["requests"] / -(-keys // _PAGE) - 1
        lines.append(
            f"| {name}{mark} | {found['wall']:.2f} | {found['first']:.3f} | {found['cpu']:.2f} | "
            f"{found['peak'] / 1e6:.0f} | {found['requests']:.0f} | {extra:+.0%} | {found['frame'] / listed:.0f} | "
            f"{ratio} |"
        )
    return lines


def compare(chosen: argparse.Namespace) -> list[str]:
    """Run all and give the report's lines."""
    scales = {
        name: int(keys) for name, _, keys in (each.partition("=") for each in chosen.scale) if int(keys) < chosen.keys
    }
    results: dict[str, list[Figures] | str] = {name: [] for name in chosen.clients}
    sizes = sorted({chosen.keys, *scales.values()})
    for size in sizes:
        names = [name for name in chosen.clients if scales.get(name, chosen.keys) == size]
        if not names:
            continue
        with server(chosen.layout, size, chosen.latency) as endpoint:
            for name in [name for _ in range(chosen.repeat) for name in names]:
                if isinstance(results[name], str):
                    continue
                found = once(name, endpoint, chosen.timeout)
                if not isinstance(found, str) and found["rows"] != size:
                    found = f"{found['rows']:.0f} of {size} rows"
                results[name] = found if isinstance(found, str) else [*results[name], found]
                print(f"  {name}: {found if isinstance(found, str) else round(found['wall'], 3)}", file=sys.stderr)
    figures = {
        name: runs if isinstance(runs, str) else median(runs, chosen.keys / scales.get(name, chosen.keys))
        for name, runs in results.items()
    }
    pages = ceiling(chosen.layout, 0)
    head = f"{chosen.keys:,} keys, layout {chosen.layout}, {chosen.latency:g} ms a request, median of {chosen.repeat}"
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    foot = [f"\\* timed on {keys:,} keys and multiplied: {name}" for name, keys in scales.items() if name in figures]
    return [
        f"### {head}",
        "",
        f"{machine}; load {os.getloadavg()[0]:.1f}. The server alone gives {pages * _PAGE:,.0f} keys a second.",
        "",
        *table(figures, chosen.keys, scales),
        "",
        *foot,
    ]


def main() -> None:
    """Read the options and print the report."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--keys", type=int, default=100_000)
    options.add_argument("--latency", type=float, default=30.0, help="milliseconds a request")
    options.add_argument("--layout", choices=LAYOUTS, default="hive")
    options.add_argument("--clients", type=lambda text: text.split(","), default=list(CLIENTS))
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--timeout", type=float, default=300.0, help="seconds for one run of one client")
    options.add_argument(
        "--scale", action="append", default=[], metavar="CLIENT=KEYS", help="time a client on fewer keys"
    )
    options.add_argument(
        "--python", action="append", default=[], metavar="CLIENT=PATH", help="run it by another Python"
    )
    chosen = options.parse_args()
    _PYTHONS.update(each.split("=", 1) for each in chosen.python)
    if unknown := set(chosen.clients) - set(CLIENTS):
        options.error(f"no such client: {', '.join(sorted(unknown))}")
    print("\n".join(compare(chosen)))


if __name__ == "__main__":
    main()
