"""One large object there and back, by the files of a connection, s3fs and obstore: medians of one run, turn about.

    python benchmarks/large_object.py [--megabytes 100] [--latency 0.05] [--repeat 5]

The server is in a process of its own, drops what it is sent, and gives zeros straight out of the kernel, so that the
clients are what is measured; it waits before each answer. CPU seconds are the client's. s3fs, which holds botocore
back, needs an environment of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "support")]

_RANGE = re.compile(r"range: bytes=(\d+)-(\d*)", re.IGNORECASE)
_LENGTH = re.compile(r"content-length: (\d+)", re.IGNORECASE)
_BEGUN = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
_DONE = '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'
_NOTHING = (
    "<ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
)


def serve(size: int, latency: float) -> None:
    """Print the port, and answer until the standard input ends."""
    zeros = os.memfd_create("zeros")
    os.ftruncate(zeros, size)
    server = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(server.getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        client = server.accept()[0]
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=answer_all, args=(client, zeros, size, latency), daemon=True).start()


def answer_all(client: socket.socket, zeros: int, size: int, latency: float) -> None:
    """The requests of one socket, one after the other."""
    sink, came = bytearray(1 << 20), b""
    with suppress(OSError), client:
        while True:
            while b"\r\n\r\n" not in came:
                if not (more := client.recv(65536)):
                    return
                came += more
            head, _, came = came.partition(b"\r\n\r\n")
            text = head.decode("latin-1")
            if "100-continue" in text:
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = _LENGTH.search(text)
            left, came = (int(length[1]) if length else 0) - len(came), b""
            while left > 0 and (taken := client.recv_into(sink, min(left, len(sink)))):
                left -= taken
            time.sleep(latency)
            answer(client, text, zeros, size)


def answer(client: socket.socket, request: str, zeros: int, size: int) -> None:
    """As S3 would."""
    method, target, _ = request.split(" ", 2)
    document = _NOTHING if "list-type" in target else ("uploadId" in target and _DONE) or _BEGUN
    if method == "POST" or "list-type" in target:
        client.sendall(_head(200, len(document)) + document.encode())
        return
    wanted = _RANGE.search(request)
    start, stop = (int(wanted[1]), min(int(wanted[2] or size) + 1, size)) if wanted else (0, size)
    if method != "GET":
        client.sendall(_head(200, size if method == "HEAD" else 0))
        return
    said = f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n" if wanted else ""
    client.sendall(_head(206 if wanted else 200, stop - start, said))
    while start < stop:
        start += os.sendfile(client.fileno(), zeros, start, stop - start)


def _head(status: int, length: int, more: str = "") -> bytes:
    moment = "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT"
    return f'HTTP/1.1 {status} OK\r\nContent-Length: {length}\r\nETag: "e"\r\n{moment}\r\n{more}\r\n'.encode()


def clients(endpoint: str, local: Path) -> dict:
    """What each does: put, get, and the bytes in memory."""
    from statements import Statements, create

    from s3conn_magic.sandbox import Keys
    from s3conn_magic.secrets import Secret

    run = Statements()
    run(create("lake", keys=Keys("AKIAONE", Secret("one")), ENDPOINT=endpoint, VALIDATE=False) + "; SET CACHE = 0")
    connection = run.connection("lake")
    made = {"ours": of_files(connection.fsspec(), local)}
    with suppress(ImportError):
        import s3fs

        there = {"endpoint_url": endpoint, "client_kwargs": {"region_name": "us-east-1"}}
        made["s3fs"] = of_files(s3fs.S3FileSystem(key="AKIAONE", secret="one", **there), local)
    with suppress(ImportError):
        import obstore

        store = connection.obstore("bucket")
        made["obstore"] = {
            "put": lambda: obstore.put(store, "large", local / "large"),
            "get": lambda: (local / "back").write_bytes(obstore.get(store, "large").bytes()),
            "cat": lambda: bytes(obstore.get(store, "large").bytes()),
        }
    return made


def of_files(files: object, local: Path) -> dict:
    """The same by a filesystem of fsspec."""
    return {
        "put": lambda: files.put_file(str(local / "large"), "bucket/large"),
        "get": lambda: files.get_file("bucket/large", str(local / "back")),
        "cat": lambda: files.cat_file("bucket/large"),
    }


def measured(step) -> tuple[float, float]:
    """Seconds, and of these machines' time."""
    worked, begun = time.process_time(), time.perf_counter()
    step()
    return time.perf_counter() - begun, time.process_time() - worked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--serve", action="store_true")
    wanted = parser.parse_args()
    if wanted.serve:
        serve(wanted.megabytes << 20, wanted.latency)
    command = [sys.executable, *sys.argv, "--serve"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with server, tempfile.TemporaryDirectory() as folder:
        local = Path(folder)
        (local / "large").write_bytes(os.urandom(wanted.megabytes << 20))
        peers = clients(f"http://127.0.0.1:{server.stdout.readline().strip()}", local)
        for name in ("put", "get", "cat"):
            runs = [{who: measured(steps[name]) for who, steps in peers.items()} for _ in range(wanted.repeat + 1)]
            # The first of all opens sockets.
            show(name, {who: [median(run[who][at] for run in runs[1:]) for at in (0, 1)] for who in peers})
        server.stdin.close()


def show(name: str, seconds: dict[str, list[float]]) -> None:
    """One line of figures."""
    ours = seconds["ours"]
    texts = [
        f"{who} {wall:.3f} s ({ours[0] / wall:.2f}), CPU {cpu:.3f} ({ours[1] / cpu:.2f})"
        for who, (wall, cpu) in seconds.items()
    ]
    print(f"{name:10}", "   ".join(texts))


if __name__ == "__main__":
    main()
