"""One column of a large Parquet file: this package beside pyarrow's own S3 filesystem.

    python benchmarks/parquet_column.py [--gigabytes 1] [--latency 0 30] [--rounds 5] [--folder DIR]

A file of random numbers is made (once, in `--folder`), and one column of it is read in turns by both, several times:
`SELECT column FROM 's3://…'` as a frame, and `pyarrow.parquet.read_table(columns=[column])`. First from a server that
counts what it sends and waits as long before each answer as `--latency` says; then from `rclone serve s3`, which
verifies signatures. Seconds are medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import S3FileSystem

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from servers import _await_endpoint, _end, rclone_binary

import s3conn_magic
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

KEYS = Keys("BENCHMARKKEY", Secret("benchmark/secret"))
BUCKET, KEY = "bench", "column.parquet"
COLUMNS, GROUP = 16, 1_048_576
BOUND = 1.2


def make(folder, gigabytes):
    """The file, unless it is there."""
    path = folder / BUCKET / KEY
    groups = round(gigabytes * 1e9 / (COLUMNS * GROUP * 8))
    wanted = groups * COLUMNS * GROUP * 8
    if path.exists() and 0.9 * wanted < path.stat().st_size < 1.1 * wanted:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(7)
    schema = pa.schema([(f"c{at}", pa.float64()) for at in range(COLUMNS)])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for _ in range(groups):
            writer.write_table(pa.table([noise.random(GROUP) for _ in range(COLUMNS)], schema=schema))
    return path


def ours(session):
    def read():
        (frame,) = session.run(f"SELECT c7 FROM 's3://{BUCKET}/{KEY}'")
        return len(frame), float(frame["c7"].sum())

    return read


def theirs(endpoint):
    files = S3FileSystem(
        access_key=KEYS.access_key_id,
        secret_key=KEYS.secret_access_key.reveal(),
        endpoint_override=endpoint,
        scheme="http",
        region="us-east-1",
    )

    def read():
        table = pq.read_table(f"{BUCKET}/{KEY}", columns=["c7"], filesystem=files)
        frame = table.to_pandas()
        return len(frame), float(frame["c7"].sum())

    return read


def connected(endpoint):
    from s3conn_magic.session import Session
    from s3conn_magic.session.inputs import KernelInputs

    session = Session(KernelInputs(dict), start_server=lambda: None)
    options = f"AWS_ACCESS_KEY_ID = '{KEYS.access_key_id}' AWS_SECRET_ACCESS_KEY = '{KEYS.secret_access_key.reveal()}'"
    list(session.run(f"CREATE S3 CONNECTION bench {options} ENDPOINT = 'http://{endpoint}' VALIDATE = FALSE"))
    return session


@contextmanager
def counting(path, latency):
    command = [sys.executable, str(Path(__file__).with_name("ranges.py")), str(path), str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield f"127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.stdin.close()
            server.wait(10)


@contextmanager
def rclone(path):
    pair = f"{KEYS.access_key_id},{KEYS.secret_access_key.reveal()}"
    # Its etag is the MD5 of the file, which takes longer than some clients wait.
    options = ["--addr", "127.0.0.1:0", "--auth-key", pair, "--config", "", "--etag-hash", ""]
    command = [rclone_binary(), "serve", "s3", *options, path.parents[1]]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield _await_endpoint(child).removeprefix("http://")
    finally:
        _end(child)


def counts(endpoint):
    with urllib.request.urlopen(f"http://{endpoint}/counts", timeout=10) as answer:
        return json.load(answer)


def rounds(endpoint, count, *, counted):
    """Seconds of each round by reader, the first apart, and what one round took from the server."""
    readers = {"s3conn_magic": ours(connected(endpoint)), "pyarrow": theirs(endpoint)}
    seconds, taken, sums = {name: [] for name in readers}, {}, {}
    for _ in range(count + 1):
        for name, read in readers.items():
            began = time.perf_counter()
            sums[name] = read()
            seconds[name].append(time.perf_counter() - began)
            taken[name] = counts(endpoint) if counted else {}
    rows = {rows for rows, _ in sums.values()}
    assert len(rows) == 1, f"they read different numbers of rows: {sums}"
    assert np.isclose(*(one for _, one in sums.values())), f"they read different numbers: {sums}"
    return seconds, taken


def report(title, seconds, taken):
    print(title)
    medians = {name: statistics.median(found[1:]) for name, found in seconds.items()}
    for name, found in seconds.items():
        sent = "".join(f"   {what} {number:>13,}" for what, number in taken[name].items())
        print(f"  {name:<14} first {found[0]:6.3f} s   then {medians[name]:6.3f} s ({min(found[1:]):.3f}){sent}")
    ratios = [("time", medians["s3conn_magic"] / medians["pyarrow"])]
    if taken["pyarrow"]:
        ratios.append(("bytes", taken["s3conn_magic"]["bytes"] / taken["pyarrow"]["bytes"]))
    told = ", ".join(
        f"{what} x {ratio:.3f} ({'within' if ratio <= BOUND else 'BEYOND'} {BOUND})" for what, ratio in ratios
    )
    print(f"  ratio: {told}\n")
    return all(ratio <= BOUND for _, ratio in ratios)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gigabytes", type=float, default=1.0)
    options.add_argument("--latency", type=float, nargs="*", default=[0.0, 30.0], help="milliseconds")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "s3conn-benchmark")
    given = options.parse_args()
    path = make(given.folder, given.gigabytes)
    print(
        f"{path.stat().st_size:,} bytes, {COLUMNS} columns, one of them read; s3conn_magic {s3conn_magic.__version__}\n"
    )
    good = True
    for latency in given.latency:
        with counting(path, latency) as endpoint:
            good &= report(f"a server that counts, {latency:g} ms", *rounds(endpoint, given.rounds, counted=True))
    with rclone(path) as endpoint:
        good &= report("rclone serve s3", *rounds(endpoint, given.rounds, counted=False))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
