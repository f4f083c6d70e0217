"""A table in S3 of many commits and files: how long a SELECT plans, before and after OPTIMIZE TABLE.

    python benchmarks/tables.py [--commits 1000] [--files 10] [--latency 30] [--repeat 5]

A server of ours, in a process of its own, keeps what is written; each answer is delayed by the latency once the table
is made. The table is made by INSERT INTO, a commit each, in partitions. Each SELECT reads the rows of one file, by one
session that keeps nothing (SET CACHE = 0). Printed are medians of seconds: of the plan alone, and of the whole SELECT.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_HERE = Path(__file__).parent
_PLACE = "STORAGE_CONNECTION = bench STORAGE_LOCATION = 's3://bucket/t/'"


def serve() -> None:
    """Serve until the standard input closes; `GET /-/latency?ms=30` delays what comes after it."""
    sys.path.insert(0, str(_HERE.parent / "tests" / "support"))
    from recording import Reply, Request, recording
    from shelf import Shelf

    server, delay = Shelf({"bucket": {}}), [0.0]

    def answer(request: Request) -> Reply:
        if request.path == "/-/latency":
            delay[0] = float(request.query["ms"]) / 1000
            return Reply()
        time.sleep(delay[0])
        wire.requests.clear()
        return server.answer(request)

    with recording(answer) as wire:
        print(wire.endpoint, flush=True)
        sys.stdin.read()


@contextmanager
def served() -> Iterator[str]:
    """The server's address; it ends with this block."""
    command = [sys.executable, str(_HERE / "tables.py"), "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child.stdout.readline().strip()
        finally:
            child.stdin.close()
            child.wait(10)


def measured(run: Any, chosen: argparse.Namespace) -> tuple[float, float, int]:
    """Seconds of a plan and of a SELECT, and how many files the table has."""
    from s3conn_magic import _current_session
    from s3conn_magic.lakes.snapshots import LakeRows

    engine = _current_session().queries.engine

    def planned() -> int:
        snapshot = engine.tables.managed(engine.tables.get("t")).snapshot()
        LakeRows(snapshot)
        return len(snapshot.files)

    plans, selects, files = [], [], 0
    for _ in range(chosen.repeat):
        began = time.perf_counter()
        files = engine.alone(planned)
        plans.append(time.perf_counter() - began)
        began = time.perf_counter()
        (count,) = run(f"SELECT count(*) AS c FROM t WHERE part = 3 AND n = {chosen.commits // 2}")["c"]
        selects.append(time.perf_counter() - began)
        assert count == 1
    return statistics.median(plans), statistics.median(selects), files


def main() -> None:
    """Print what a plan takes before and after."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--commits", type=int, default=1000)
    options.add_argument("--files", type=int, default=10, help="of each commit")
    options.add_argument("--latency", type=float, default=30, help="milliseconds")
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--serve", action="store_true", help="only serve")
    chosen = options.parse_args()
    if chosen.serve:
        serve()
        return
    with served() as endpoint:
        from s3conn_magic import execute

        execute(
            f"CREATE S3 CONNECTION bench ENDPOINT = '{endpoint}' REGION = 'us-east-1' VALIDATE = FALSE"
            " AWS_ACCESS_KEY_ID = 'a' AWS_SECRET_ACCESS_KEY = 'b' ADDRESSING_STYLE = 'path'; SET CACHE = 0"
        )
        execute(f"CREATE TABLE t (n BIGINT, part INTEGER, name VARCHAR, price DOUBLE) PARTITIONED BY part {_PLACE}")
        began = time.perf_counter()
        for number in range(chosen.commits):
            execute(
                f"INSERT INTO t SELECT {number}, range::INTEGER, 'n' || range, range / 7 FROM range({chosen.files})"
            )
        print(f"{chosen.commits:,} commits in {time.perf_counter() - began:.0f} s")
        urlopen(f"{endpoint}/-/latency?ms={chosen.latency}").read()
        for when in ("before", "after"):
            plan, select, files = measured(execute, chosen)
            print(f"{when} OPTIMIZE: {files:,} files, plan {plan:.2f} s, SELECT {select:.2f} s", flush=True)
            if when == "before":
                began = time.perf_counter()
                print(execute("OPTIMIZE TABLE t"), f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
