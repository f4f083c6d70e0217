"""How long Tab takes in a cell of statements: `python benchmarks/completion.py [--runs N]`.

A real kernel is asked by `complete_request`, as a notebook asks it, and the time is that until its reply is here.
Each row is its own group of cells; its first cell, which may load libraries, is told apart. Exits with 1 where the
95th percentile is above its bound: 50 ms for what needs no S3, 300 ms for what does.
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jupyter_client.manager import KernelManager
from layouts import keys_of
from synthetic import Behaviour, Bucket, serving

from s3conn_magic.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
WITHOUT_S3, WITH_S3 = 50, 300
BUCKET = Bucket([]).name
KEYS = 100_000
LATENCY = 0.03


class Row(NamedTuple):
    """Cells with the cursor at their end, and the bound in milliseconds."""

    title: str
    cells: list[str]
    bound: int


@contextmanager
def kernel(folder: str) -> Iterator[object]:
    manager = KernelManager(kernel_name="python3")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    manager.start_kernel(env={**os.environ, "PYTHONPATH": path, "IPYTHONDIR": folder}, cwd=folder)
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@contextmanager
def silent() -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def refusing() -> Iterator[str]:
    """A port that nobody listens at: bound, so that it stays so."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def run(client, cell: str) -> None:
    reply = client.execute_interactive(cell, timeout=60, output_hook=lambda _: None)
    if reply["content"]["status"] != "ok":
        raise SystemExit(f"the kernel refused a cell: {reply['content']['evalue']}")


def ask(client, cell: str) -> tuple[float, int]:
    """Milliseconds, and how many items came."""
    start = time.perf_counter()
    sent = client.complete(cell, len(cell))
    while (reply := client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != sent:
        pass
    return 1000 * (time.perf_counter() - start), len(reply["content"]["matches"])


def connection(name: str, endpoint: str, key: str = "EXAMPLEKEY", secret: str = "example") -> str:
    options = f"AWS_ACCESS_KEY_ID = '{key}' AWS_SECRET_ACCESS_KEY = '{secret}' ENDPOINT = '{endpoint}'"
    return f"CREATE S3 CONNECTION {name} {options} VALIDATE = FALSE"


def spread(texts: list[str], runs: int) -> list[str]:
    return [f"%%upsql\n{texts[number % len(texts)]}" for number in range(runs)]


def rows(runs: int, names: list[str]) -> list[Row]:
    """The groups; a folder that no cell before has asked about takes a request."""
    everywhere = ["", "CREATE ", "ALTER S3 CONNECTION sandbox ", "LIST 's3://acme-lake/' rec", "SHOW ", "HELP CR"]
    options = ["CREATE S3 CONNECTION x ", "CREATE S3 CONNECTION x READ_ONLY = TRUE aws_", "CREATE S3 CONNECTION x ENV"]
    values = [f"CREATE S3 CONNECTION x {one} = " for one in ("READ_ONLY", "ADDRESSING_STYLE", "AWS_ROLE")]
    named = ["LIST USING ", "DROP CONNECTION ", "LIST $", "CREATE S3 CONNECTION x REGION = ENV '"]
    long = "LIST 's3://acme-lake/' RECURSIVE MATCHING '**/*.parquet' LIMIT 7;\n" * 500
    beginnings = sorted({name[:2] for name in names})
    return [
        Row("keywords", spread(everywhere, runs), WITHOUT_S3),
        Row("options", spread(options, runs), WITHOUT_S3),
        Row("values", spread(values, runs), WITHOUT_S3),
        Row("names", spread(named, runs), WITHOUT_S3),
        Row("keywords after 500 statements", spread([f"{long}SHOW "], runs), WITHOUT_S3),
        Row("sandbox, a request each", [f"%%upsql\nLIST 's3://acme-lake/{one}/" for one in range(runs)], WITH_S3),
        Row("sandbox, kept", spread(["LIST 's3://acme-lake/", "LIST 's3://acme-lake/sa", "LIST '"], runs), WITH_S3),
        Row("30 ms away, a request each", [_below("far", one) for one in beginnings[:runs]], WITH_S3),
        Row("30 ms away, kept", [_below("far", one) for one in beginnings[:runs]], WITH_S3),
        Row("nobody listens", [_below("refused", f"{one}/") for one in range(runs)], WITH_S3),
        Row("accepts and is silent", [_below("silent", f"{one}/") for one in range(runs)], WITH_S3),
        Row("keywords, meanwhile", spread(everywhere, runs), WITHOUT_S3),
    ]


def _below(name: str, beginning: object) -> str:
    """A cell whose connection is named before its location, so that the cursor is at the end."""
    return f"%%upsql\nTEST CONNECTION {name} LOCATION = 's3://{BUCKET}/{beginning}"


def measured(client, row: Row) -> bool:
    """Print a row; whether it is within its bound."""
    first, _ = ask(client, row.cells[0])
    found = [ask(client, cell) for cell in row.cells[1:]]
    times = sorted(time for time, _ in found)
    p95 = statistics.quantiles(times, n=20)[-1]
    items = statistics.median(count for _, count in found)
    figures = f"{statistics.median(times):8.1f} {p95:8.1f} {times[-1]:8.1f} {first:9.1f}"
    print(f"{row.title:32} {figures} {items:7.0f}   {'ok' if p95 <= row.bound else 'above'} ({row.bound})", flush=True)
    return p95 <= row.bound


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100, help="cells of a row, 100 by default")
    runs = parser.parse_args().runs
    names = keys_of("random", KEYS)
    bucket = Bucket(names)
    bucket.prepare()
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox.start())
        far = stack.enter_context(serving(bucket, Behaviour(LATENCY)))
        ends = {"far": far, "refused": stack.enter_context(refusing()), "silent": stack.enter_context(silent())}
        client = stack.enter_context(kernel(stack.enter_context(tempfile.TemporaryDirectory())))
        made = [connection(name, endpoint) for name, endpoint in ends.items()]
        keys = (sandbox.admin.access_key_id, sandbox.admin.secret_access_key.reveal())
        made += [connection("sandbox", sandbox.endpoint, *keys), "USE CONNECTION sandbox"]
        run(client, "%load_ext s3conn_magic")
        run(client, "%%upsql\n" + ";\n".join(made))
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {runs} cells a row; milliseconds")
        print(f"{'':32} {'p50':>8} {'p95':>8} {'most':>8} {'the first':>9} {'items':>7}")
        within = [measured(client, row) for row in rows(runs, names)]
    sys.exit(not all(within))


if __name__ == "__main__":
    main()
