"""COPY FROM S3 beside DuckDB's own reader on a local file.

    python benchmarks/copying.py [--records 4000000] [--rounds 3] [--formats csv csv.gz json] [--folder DIR] [--apart]

A file of made-up records is written (once, in `--folder`). In turns, DuckDB makes a table of it by `read_csv` or
`read_json` from the disk, and a job loads it from `rclone serve s3` on 127.0.0.1, each in a process of its own, so that
its memory is its own. The server is asked for the file's checksum before, which it takes once. Printed are the least
seconds of the rounds, by the clock and of CPU, without the server's, their ratios, and the peak of memory: over
DuckDB's, and over the size of the table, which has one column more than DuckDB's, as DuckDB says it. With `--apart` the
server has a core of its own, and DuckDB and the job have the others: on a small machine a server takes from the job
what a local file doesn't take from DuckDB.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from servers import RcloneServer

BUCKET = "bench"
FLAT = """SELECT i AS id, 'name_' || (i % 1000) AS name, round(random() * 1000, 2) AS price,
    DATE '2020-01-01' + (i % 1000)::INTEGER AS day, TIMESTAMP '2020-01-01' + INTERVAL (i) SECOND AS moment,
    i % 7 = 0 AS flag FROM range({}) t(i)"""
WRITERS = {
    "csv": "(FORMAT csv, HEADER)",
    "csv.gz": "(FORMAT csv, HEADER, COMPRESSION gzip)",
    "json": "(FORMAT json)",
    "json.gz": "(FORMAT json, COMPRESSION gzip)",
}
LOCAL = """
import sys, time, duckdb
database = duckdb.connect()
began, computed = time.perf_counter(), time.process_time()
database.execute(f"CREATE TABLE t AS FROM '{sys.argv[1]}'")
print(time.perf_counter() - began, time.process_time() - computed)
print(database.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchone()[0])
"""
OURS = """
import sys, time
import s3conn_magic
endpoint, key, secret, location = sys.argv[1:]
s3conn_magic.execute(f"CREATE S3 CONNECTION bench ENDPOINT = '{endpoint}' REGION = 'us-east-1' VALIDATE = FALSE"
    f" AWS_ACCESS_KEY_ID = '{key}' AWS_SECRET_ACCESS_KEY = '{secret}'")
s3conn_magic.execute(f"LIST '{location}' USING bench")
s3conn_magic.execute("SELECT 1 AS a")
began, computed = time.perf_counter(), time.process_time()
said = s3conn_magic.execute(f"CREATE JOB j AS COPY FROM S3 bench LOCATION = '{location}' INTO t")
seconds = time.perf_counter() - began, time.process_time() - computed
assert "Loaded 1 object" in str(said), said
print(*seconds)
print(s3conn_magic.execute("SELECT sum(memory_usage_bytes) AS size FROM duckdb_memory()")["size"][0])
"""
PEAK = "\nimport resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"


def made(folder: Path, kind: str, records: int) -> Path:
    """The file of a format, unless it is there."""
    path = folder / f"{records} {kind.replace('.', ' ')}" / f"rows.{kind}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        duckdb.execute(f"COPY ({FLAT.format(records)}) TO '{path}' {WRITERS[kind]}")
    return path


def run(code: str, *arguments: str) -> list[float]:
    """Of a process: seconds by the clock and of CPU, megabytes of its table, and megabytes at most."""
    done = subprocess.run([sys.executable, "-c", code + PEAK, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds, computed, table, peak = map(float, done.stdout.split()[-4:])
    return [seconds, computed, table / 1e6, peak * 1024 / 1e6]


def compared(kind: str, path: Path, theirs: list[list[float]], ours: list[list[float]]) -> dict[str, object]:
    """The line of a format: the least of all rounds."""
    local, job = ([min(each) for each in zip(*rounds, strict=True)] for rounds in (theirs, ours))
    return {
        "format": kind,
        "megabytes": round(path.stat().st_size / 1e6),
        "duckdb, local": round(local[0], 2),
        "job, from S3": round(job[0], 2),
        "ratio": round(job[0] / local[0], 2),
        "CPU": [round(local[1], 2), round(job[1], 2)],
        "ratio of CPU": round(job[1] / local[1], 2),
        "peak, MB": [round(local[3]), round(job[3])],
        "table, MB": [round(local[2]), round(job[2])],
        "peak over the table, MB": round(job[3] - job[2]),
    }


def main() -> None:
    """Print a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", nargs="+", default=["csv", "csv.gz", "json"], choices=[*WRITERS])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "s3conn-copying")
    parser.add_argument("--apart", action="store_true", help="the server has a core of its own")
    options = parser.parse_args()
    paths = {kind: made(options.folder, kind, options.records) for kind in options.formats}
    root = Path(tempfile.mkdtemp(dir=options.folder))
    server = RcloneServer.start(root)
    if options.apart:
        first, *others = sorted(os.sched_getaffinity(0))
        for thread in Path(f"/proc/{server.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {first})
        os.sched_setaffinity(0, others)
    (root / BUCKET).mkdir()
    for path in paths.values():
        (root / BUCKET / path.parent.name).mkdir()
        os.link(path, root / BUCKET / path.parent.name / path.name)
    reached = (server.endpoint, server.keys.access_key_id, server.keys.secret_access_key.reveal())
    try:
        for kind, path in paths.items():
            theirs = [run(LOCAL, str(path)) for _ in range(options.rounds)]
            ours = [run(OURS, *reached, f"s3://{BUCKET}/{path.parent.name}/") for _ in range(options.rounds)]
            print(json.dumps(compared(kind, path, theirs, ours)), flush=True)
    finally:
        server.stop()
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
