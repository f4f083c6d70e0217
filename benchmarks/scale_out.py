"""Listing, or loading by COPY, by one process, and by the workers of a cluster with the same connections each.

    python benchmarks/scale_out.py --keys 1000000 --latency 30 --connections 4 8 32 --workers 2
    python benchmarks/scale_out.py --copy json --keys 10000 --latency 30 --connections 8 32

The server, the scheduler and each worker are processes of their own. Each figure is the best of `--runs`; CPU seconds
are those of that run, of every process that took part, so that it can be seen whether the machine or the latency is the
limit.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests" / "support")]

from statements import Statements, create  # noqa: E402

LIST = "LIST 's3://bucket/' RECURSIVE LIMIT ALL"
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def server(keys, layout, latency, copied):
    command = [sys.executable, str(HERE / "synthetic.py"), "--keys", str(keys), "--layout", layout]
    if copied:
        command = [sys.executable, str(HERE / "reading.py"), "--serve", "--objects", str(keys)]
    command += ["--latency", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        yield running.stdout.readline().strip(), running.pid
        running.stdin.close()


def cpu(pids):
    """CPU seconds that processes have used so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / _TICKS


def copied(run, kind, number):
    """Load all objects of a kind into a table of their own, and return how many rows it has."""
    copy = f"COPY FROM S3 bench LOCATION = 's3://bucket/{kind}/' INTO t{number}"
    run(f"CREATE JOB j{number} AS {copy}")
    return int(run(f"SELECT count(*) AS n FROM t{number}")["n"][0])


def measured(others, runs, work):
    """Wall time, CPU of this process and of groups of others, and rows, of the fastest run."""
    found = []
    for _ in range(runs):
        groups = ([os.getpid()], *others)
        before = [cpu(one) for one in groups]
        began = time.perf_counter()
        rows = work()
        wall = time.perf_counter() - began
        found.append((wall, *(cpu(one) - was for one, was in zip(groups, before, strict=True)), rows))
    return min(found)


def line(what, connections, figures):
    wall, *spent, rows = figures
    busy = sum(spent) / wall / os.cpu_count()
    cells = f"{what:<14} {connections:>11} {rows:>10,} {wall:>7.2f} {''.join(f'{each:>10.2f}' for each in spent)}"
    print(f"{cells} {busy:>8.0%}", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--keys", type=int, default=1_000_000)
    options.add_argument("--layout", default="hive")
    options.add_argument("--copy", choices=["json", "parquet"], help="load so many objects in place of listing keys")
    options.add_argument("--latency", type=float, default=30.0, help="milliseconds")
    options.add_argument("--connections", type=int, nargs="+", default=[4, 8, 32])
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    from distributed import SubprocessCluster
    from psutil import Process

    load = os.getloadavg()[0]
    what = f"objects of {chosen.copy} loaded" if chosen.copy else f"keys, {chosen.layout}"
    print(f"{chosen.keys:,} {what}, {chosen.latency:g} ms; {os.cpu_count()} cores, load {load:.1f}")
    print("who            connections       rows  wall s  CPU: here   workers scheduler    server  of cores")
    with (
        server(chosen.keys, chosen.layout, chosen.latency, chosen.copy) as (endpoint, serving),
        SubprocessCluster(
            n_workers=chosen.workers, host="127.0.0.1", dashboard_address=":0", worker_kwargs={"nthreads": 1}
        ) as cluster,
    ):
        keys = {"AWS_ACCESS_KEY_ID": "AKIABENCH", "AWS_SECRET_ACCESS_KEY": "bench"}
        run = Statements()
        run(create("bench", **keys, ENDPOINT=endpoint, REGION="us-east-1", VALIDATE=False))
        run(f"SET PROGRESS = FALSE; SET SCHEDULER = '{cluster.scheduler_address}'")
        cluster.wait_for_workers(chosen.workers)
        nannies = [one.process.pid for one in cluster.workers.values()]
        workers = [child.pid for nanny in nannies for child in Process(nanny).children(recursive=True)]
        others = workers, [cluster.scheduler.process.pid], [serving]
        number = count()

        def work():
            return copied(run, chosen.copy, next(number)) if chosen.copy else len(run(LIST))

        for connections in chosen.connections:
            run(f"SET CONNECTIONS = {connections}; SET ENGINE = 'local'")
            line("one process", connections, measured(others, chosen.runs, work))
            run("SET ENGINE = 'dask'")
            line(f"{chosen.workers} workers", connections, measured(others, chosen.runs, work))
        run.session.close()


if __name__ == "__main__":
    main()
