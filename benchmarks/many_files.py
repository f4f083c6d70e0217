"""Many objects at once, by the files of a connection and by s3fs: medians of one run, turn about.

    python benchmarks/many_files.py [--objects 100] [--latency 0.05] [--repeat 5]

The server is in a process of its own and waits before each answer. s3fs takes part where it is installed, in an
environment of its own. CPU seconds are the client's. One large object: `large_object.py`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from large_object import measured, show

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "support")]

from recording import recording  # noqa: E402
from shelf import Shelf  # noqa: E402
from statements import Statements, create  # noqa: E402

from s3conn_magic.sandbox import Keys  # noqa: E402
from s3conn_magic.secrets import Secret  # noqa: E402

BUCKET = "bucket"


def serve(latency: float, sent) -> None:
    """Answer until the parent ends it."""
    shelf = Shelf({BUCKET: {}})

    def answer(request):
        time.sleep(latency)
        return shelf.answer(replace(request))

    with recording(answer) as server:
        sent.send(server.endpoint)
        with suppress(EOFError):
            sent.recv()


def steps(objects: int) -> dict:
    """What is measured; each gets a filesystem and a folder of its own name."""
    names = [f"{number:03}" for number in range(objects)]

    def of(folder):
        return [f"{BUCKET}/{folder}/{name}" for name in names]

    return {
        "pipe": lambda files, folder, _: files.pipe(dict.fromkeys(of(folder), b"x" * 1000)),
        "cat": lambda files, folder, _: files.cat(of(folder)),
        "cat_ranges": lambda files, folder, _: files.cat_ranges(of(folder), [1] * objects, [9] * objects),
        "sizes": lambda files, folder, _: files.sizes(of(folder)),
        "get": lambda files, folder, local: files.get(of(folder), [f"{local}/{name}" for name in names]),
        "put": lambda files, folder, local: files.put([f"{local}/{name}" for name in names], of(folder)),
        "copy": lambda files, folder, _: files.copy(of(folder), of(f"{folder}-copy")),
        "rm": lambda files, folder, _: files.rm(of(folder)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--repeat", type=int, default=5)
    wanted = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(wanted.latency, theirs), daemon=True)
    server.start()
    endpoint = ours.recv()
    run = Statements()
    run(create("lake", keys=Keys("AKIAONE", Secret("one")), ENDPOINT=endpoint, VALIDATE=False) + "; SET CACHE = 0")
    peers = {"ours": run.connection("lake").fsspec()}
    with suppress(ImportError):
        import s3fs

        peers["s3fs"] = s3fs.S3FileSystem(
            key="AKIAONE",
            secret="one",
            endpoint_url=endpoint,
            use_listings_cache=False,
            client_kwargs={"region_name": "us-east-1"},
        )
    with tempfile.TemporaryDirectory() as local:
        for name, step in steps(wanted.objects).items():
            runs = [
                {who: measured(partial(step, files, who, local)) for who, files in peers.items()}
                for _ in range(wanted.repeat)
            ]
            show(name, {who: [median(run[who][at] for run in runs) for at in (0, 1)] for who in peers})
    server.terminate()


if __name__ == "__main__":
    main()
