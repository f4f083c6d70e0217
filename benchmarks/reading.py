"""Many small objects read by one query, or loaded by one job: ours beside DuckDB's httpfs, polars, pyarrow and boto3.

    python benchmarks/reading.py [--objects 2000] [--latency 0 30] [--repeat 3] [--formats parquet json]
    python benchmarks/reading.py --clients ours duckdb boto3 "ours, COPY"

A server of ours holds 2,000 objects of Parquet (12 kB each) and 2,000 of JSON (2 kB each), in a process of its own;
each answer is delayed by the latency. Every client runs in a process of its own, takes turns with the others, and reads
twice: the first time, and again while nothing has changed. `ours, LIST` only lists the objects, as each query of ours
does first. Printed are medians of seconds by the clock, CPU seconds of the first run, and ratios to the run of ours
that stands above.

DuckDB with httpfs is `duckdb-cli` with the extension that `duckdb-extension-httpfs` packs; without them it is left out.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_SECONDS = 300
_ENDINGS = {"parquet": "parquet", "json": "json"}
_COMMON = """
import io, sys, time
endpoint, kind, ending = sys.argv[1:]
PATTERN = f"s3://bucket/{kind}/*.{ending}"
def timed(work):
    for _ in range(2):
        began, computed = time.perf_counter(), time.process_time()
        answer = work()
        print("timed", time.perf_counter() - began, time.process_time() - computed, *answer)
"""
_BOTO3 = """
import boto3, pyarrow as pa, pyarrow.compute as pc, pyarrow.json, pyarrow.parquet
from botocore.config import Config
from concurrent.futures import ThreadPoolExecutor
client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="a",
    aws_secret_access_key="b", config=Config(max_pool_connections=32))
def one(key):
    body = io.BytesIO(client.get_object(Bucket="bucket", Key=key)["Body"].read())
    return pyarrow.parquet.read_table(body) if kind == "parquet" else pyarrow.json.read_json(body)
def work():
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=f"{kind}/")
    keys = [row["Key"] for page in pages for row in page["Contents"]]
    with ThreadPoolExecutor(32) as pool:
        table = pa.concat_tables(pool.map(one, keys))
    return len(table), pc.sum(table["n"]).as_py()
timed(work)
"""
_PYARROW = """
import pyarrow.compute as pc, pyarrow.dataset as ds
from pyarrow.fs import FileSelector, S3FileSystem
scheme, _, host = endpoint.partition("://")
store = S3FileSystem(access_key="a", secret_key="b", endpoint_override=host, scheme=scheme, region="us-east-1")
def work():
    table = ds.dataset(f"bucket/{kind}", filesystem=store, format=kind).to_table(columns=["n"])
    return len(table), pc.sum(table["n"]).as_py()
timed(work)
"""
_POLARS = """
import polars as pl
options = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "aws_endpoint_url": endpoint,
    "aws_region": "us-east-1", "aws_allow_http": "true"}
def work():
    scan = pl.scan_parquet if kind == "parquet" else pl.scan_ndjson
    frame = scan(PATTERN, storage_options=options).select(pl.len().alias("c"), pl.col("n").sum()).collect()
    return frame.row(0)
timed(work)
"""
_OURS = """
import s3conn_magic
s3conn_magic.execute(f"CREATE S3 CONNECTION bench ENDPOINT = '{endpoint}' REGION = 'us-east-1' VALIDATE = FALSE"
    " AWS_ACCESS_KEY_ID = 'a' AWS_SECRET_ACCESS_KEY = 'b' ADDRESSING_STYLE = 'path'")
s3conn_magic.execute("USE CONNECTION bench")
s3conn_magic.execute("SELECT 1 AS a")
"""
_SELECT = """
def work():
    frame = s3conn_magic.execute(f"SELECT count(*) AS c, sum(n) AS n FROM '{PATTERN}'")
    return int(frame["c"][0]), int(frame["n"][0])
timed(work)
"""
_LIST = """
def work():
    return (len(s3conn_magic.execute(f"LIST 's3://bucket/{kind}/' RECURSIVE LIMIT ALL")),)
timed(work)
"""
_COPY = """
tables = iter(["t1", "t2"])
def work():
    table = next(tables)
    s3conn_magic.execute(f"CREATE JOB {table} AS COPY FROM S3 bench LOCATION = 's3://bucket/{kind}/' INTO {table}")
    frame = s3conn_magic.execute(f"SELECT count(*) AS c, sum(n) AS n FROM {table}")
    return int(frame["c"][0]), int(frame["n"][0])
timed(work)
"""
CLIENTS = {
    "ours": _OURS + _SELECT,
    "ours, LIST": _OURS + _LIST,
    "boto3": _BOTO3,
    "pyarrow": _PYARROW,
    "polars": _POLARS,
    "ours, COPY": _OURS + _COPY,
}
DUCKDB = {
    "duckdb": "SELECT count(*), sum(n) FROM '{}';",
    "duckdb, CREATE TABLE": "CREATE OR REPLACE TABLE t AS FROM '{}';",
}
ORDER = ("ours", "ours, LIST", "duckdb", "polars", "pyarrow", "boto3", "ours, COPY", "duckdb, CREATE TABLE")
_TIMED = re.compile(r"real ([0-9.]+) user ([0-9.]+) sys ([0-9.]+)")


def bodies(count: int) -> dict[str, bytes]:
    """Objects of both formats by key, each with a column `n` of whole numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = {}
    for number in range(count):
        rows = range(number * 500, number * 500 + 500)
        table = pa.table(
            {"n": rows, "text": [f"text {row * 7919 % 997}" for row in rows], "x": [row / 7 for row in rows]}
        )
        sink = io.BytesIO()
        pq.write_table(table, sink)
        made[f"parquet/part-{number:05}.parquet"] = sink.getvalue()
        lines = [
            json.dumps({"n": row, "name": f"name {row % 97}", "price": row / 4, "tags": "abc"}) for row in rows[:28]
        ]
        made[f"json/part-{number:05}.json"] = "\n".join(lines).encode() + b"\n"
    return made


def serve(count: int, latency: float) -> None:
    """Serve until the standard input closes."""
    from synthetic import Behaviour, ObjectConnection, StoredBucket, serving

    bucket = StoredBucket(bodies=bodies(count))
    bucket.prepare()
    with serving(bucket, Behaviour(latency / 1000), ObjectConnection) as address:
        print(address, flush=True)
        sys.stdin.read()


@contextmanager
def server(count: int, latency: float) -> Iterator[str]:
    """The server in a process of its own, which ends with this block."""
    command = [sys.executable, str(_HERE / "reading.py"), "--serve", "--objects", str(count), "--latency", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child.stdout.readline().strip()
        finally:
            child.stdin.close()
            child.wait(10)


def _installed(package: str, stem: str) -> Path | None:
    try:
        (path,) = [each.locate() for each in files(package) if each.stem == stem and each.parts[0] != ".."]
    except (PackageNotFoundError, ValueError):
        return None
    return Path(path)


def by_duckdb(query: str, endpoint: str, kind: str, times: int = 2) -> list[list[float]]:
    """Seconds by the clock and of CPU of so many runs, or none where the program is not there."""
    program, extension = _installed("duckdb-cli", "duckdb"), _installed("duckdb-extension-httpfs", "httpfs")
    if program is None or extension is None:
        return []
    pattern = f"s3://bucket/{kind}/*.{_ENDINGS[kind]}"
    secret = f"KEY_ID 'a', SECRET 'b', REGION 'us-east-1', ENDPOINT '{endpoint.partition('://')[2]}'"
    text = f"""LOAD '{extension}';
        CREATE SECRET (TYPE s3, {secret}, URL_STYLE 'path', USE_SSL false);
        .timer on"""
    lines = "\n".join(line.strip() for line in [*text.splitlines(), *[query.format(pattern)] * times])
    done = subprocess.run([program, "-csv"], input=lines, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    taken = [[float(each) for each in match.groups()] for match in _TIMED.finditer(done.stdout)]
    return [[real, user + system] for real, user, system in taken[-times:]]


def once(client: str, endpoint: str, kind: str, count: int) -> list[list[float]]:
    """The same of any client; what it has read is compared with what there is."""
    if client in DUCKDB:
        return by_duckdb(DUCKDB[client], endpoint, kind)
    clean = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-c", _COMMON + CLIENTS[client], endpoint, kind, _ENDINGS[kind]]
    environment = clean | {"PYTHONPATH": str(_HERE.parent), "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{client}: {done.stderr[-2000:]}")
    per = 500 if kind == "parquet" else 28
    total = sum(sum(range(number * 500, number * 500 + per)) for number in range(count))
    expected = [count] if client == "ours, LIST" else [count * per, total]
    runs = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("timed ")]
    assert all([int(float(each)) for each in answer] == expected for _, _, *answer in runs), (client, runs)
    return [[float(seconds), float(computed)] for seconds, computed, *_ in runs]


def table(kind: str, latency: float, chosen: argparse.Namespace) -> list[str]:
    """The figures of one format at one latency as a table of Markdown."""
    results: dict[str, list[list[list[float]]]] = {name: [] for name in chosen.clients}
    with server(chosen.objects, latency) as endpoint:
        for _ in range(chosen.repeat):
            for name, runs in results.items():
                if times := once(name, endpoint, kind, chosen.objects):
                    runs.append(times)
    lines = [f"\n{chosen.objects:,} objects of {kind}, {latency:.0f} ms\n"]
    lines += ["| client | first s | again s | CPU s | first / ours | again / ours |", "|---|---|---|---|---|---|"]
    ours: list[float] = []
    for name, runs in results.items():
        if not runs:
            lines.append(f"| {name} | not installed | | | | |")
            continue
        first, again = (statistics.median(run[at][0] for run in runs) for at in (0, 1))
        computed = statistics.median(run[0][1] for run in runs)
        ours = [first, again] if name in ("ours", "ours, COPY") else ours or [first, again]
        ratios = f"{first / ours[0]:.2f} | {again / ours[1]:.2f}"
        lines.append(f"| {name} | {first:.2f} | {again:.2f} | {computed:.2f} | {ratios} |")
    return lines


def main() -> None:
    """Print a table for each format and latency."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--objects", type=int, default=2000)
    options.add_argument("--latency", type=float, nargs="*", default=[0, 30], help="milliseconds")
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--formats", nargs="*", choices=_ENDINGS, default=[*_ENDINGS])
    options.add_argument("--clients", nargs="*", choices=ORDER, default=ORDER)
    options.add_argument("--serve", action="store_true", help="only serve the objects")
    chosen = options.parse_args()
    if chosen.serve:
        serve(chosen.objects, chosen.latency[0])
        return
    for kind in chosen.formats:
        for latency in chosen.latency:
            print("\n".join(table(kind, latency, chosen)), flush=True)


if __name__ == "__main__":
    main()
