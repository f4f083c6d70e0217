"""Two questions to a bucket, asked by boto3, by DuckDB alone and by ours: lines to write, seconds, requests.

    python benchmarks/first_questions.py [--keys 100000] [--files 2000] [--latency 30] [--repeat 3] [--code]

Which of 100,000 objects are the three largest, and how many rows of 2,000 Parquet files are greater than a number?
Servers of ours hold them, in processes of their own, and delay each answer by the latency. Timed is the code that
`--code` prints, in a fresh process each, without the start of Python and the imports; lines are those of it. DuckDB is
`duckdb-cli` with the extension that `duckdb-extension-httpfs` packs: its `glob` has no sizes, so it is asked the second
question only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import compare
import reading

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_HERE = Path(__file__).parent
_SECONDS = 300
CODE = {
    "largest": {
        "boto3": """
client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret)
rows = []
for page in client.get_paginator("list_objects_v2").paginate(Bucket="bucket"):
    rows += [(row["Key"], row["Size"]) for row in page.get("Contents", [])]
answer = pd.DataFrame(rows, columns=["key", "size"]).nlargest(3, "size")
""",
        "ours": """
%%upsql
CREATE S3 CONNECTION lake ENDPOINT = $endpoint AWS_ACCESS_KEY_ID = $key AWS_SECRET_ACCESS_KEY = $secret
    VALIDATE = FALSE;
SELECT key, size FROM objects('s3://bucket/') ORDER BY size DESC LIMIT 3;
""",
    },
    "rows": {
        "boto3": """
client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret,
                      config=Config(max_pool_connections=32))
def count(key):
    body = io.BytesIO(client.get_object(Bucket="bucket", Key=key)["Body"].read())
    return pc.sum(pc.greater(pq.read_table(body, columns=["n"])["n"], 1000)).as_py()
pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix="parquet/")
keys = [row["Key"] for page in pages for row in page["Contents"]]
with ThreadPoolExecutor(32) as pool:
    answer = sum(pool.map(count, keys))
""",
        "duckdb": """
CREATE SECRET (TYPE s3, ENDPOINT '{host}', KEY_ID '{key}', SECRET '{secret}', URL_STYLE 'path', USE_SSL false);
SELECT count(*) FROM 's3://bucket/parquet/*.parquet' WHERE n > 1000;
""",
        "ours": """
%%upsql
CREATE S3 CONNECTION lake ENDPOINT = $endpoint AWS_ACCESS_KEY_ID = $key AWS_SECRET_ACCESS_KEY = $secret
    VALIDATE = FALSE;
SELECT count(*) FROM 's3://bucket/parquet/*.parquet' WHERE n > 1000;
""",
    },
}
_RUN = """
import io, os, sys, time
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
import boto3, pandas as pd, pyarrow.compute as pc, pyarrow.dataset, pyarrow.parquet as pq
from botocore.config import Config
from concurrent.futures import ThreadPoolExecutor
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(user_ns=globals())
shell.run_line_magic("load_ext", "s3conn_magic")
shell.run_cell("%upsql SELECT 1 AS a")
endpoint, key, secret, code = sys.argv[1:]
began = time.perf_counter()
done = shell.run_cell(code)
done.raise_error()
print("timed", time.perf_counter() - began)
"""


class Figures(NamedTuple):
    """Seconds by the clock, and requests that the server has counted."""

    seconds: float
    requests: int


def lines_of(code: str) -> int:
    """Lines that somebody writes."""
    return sum(bool(line.strip()) for line in code.splitlines())


def once(client: str, question: str, endpoint: str) -> Figures | None:
    """Ask one question once; None where the client cannot be run here."""
    key, secret, code = "AKIDEXAMPLE", "made-up-secret", CODE[question][client].strip()
    compare.requests_of(endpoint)
    if client == "duckdb":
        runs = reading.by_duckdb(code.splitlines()[-1], endpoint, "parquet", 1)
        if not runs:
            return None
        return Figures(runs[0][0], compare.requests_of(endpoint))
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, endpoint, key, secret, code],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        env=environment | {"PYTHONPATH": str(_HERE.parent), "AWS_EC2_METADATA_DISABLED": "true"},
    )
    if done.returncode:
        raise SystemExit(f"{client}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    (seconds,) = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("timed ")]
    return Figures(float(seconds), compare.requests_of(endpoint))


def table(question: str, server: AbstractContextManager[str], repeat: int) -> list[str]:
    """The figures of one question as a table of Markdown."""
    lines = ["| client | lines | seconds | requests |", "|---|---|---|---|"]
    with server as endpoint:
        runs = {client: [once(client, question, endpoint) for _ in range(repeat)] for client in CODE[question]}
    for client, several in runs.items():
        figures = [each for each in several if each is not None]
        if figures:
            seconds = statistics.median(each.seconds for each in figures)
            lines.append(f"| {client} | {lines_of(CODE[question][client])} | {seconds:.2f} | {figures[0].requests:,} |")
    return lines


def main() -> None:
    """Print a table for each question."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--keys", type=int, default=100_000)
    options.add_argument("--files", type=int, default=2000)
    options.add_argument("--latency", type=float, default=30.0, help="milliseconds")
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--code", action="store_true", help="print the code only")
    chosen = options.parse_args()
    if chosen.code:
        print("\n".join(f"# {client}\n{code}" for each in CODE.values() for client, code in each.items()))
        return
    print(f"The three largest of {chosen.keys:,} objects, {chosen.latency:g} ms; load {os.getloadavg()[0]:.1f}\n")
    server = compare.server("hive", chosen.keys, chosen.latency)
    print("\n".join(table("largest", server, chosen.repeat)), flush=True)
    print(f"\nRows of {chosen.files:,} Parquet files, {chosen.latency:g} ms; load {os.getloadavg()[0]:.1f}\n")
    print("\n".join(table("rows", reading.server(chosen.files, chosen.latency), chosen.repeat)), flush=True)


if __name__ == "__main__":
    main()
