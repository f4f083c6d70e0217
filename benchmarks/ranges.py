"""An S3 server of one file for benchmarks: HEAD, GET with ranges, a delay, and a count of what it sent.

It verifies no signatures and knows nothing but the file. `python benchmarks/ranges.py FILE MILLISECONDS` prints its
port; `GET /counts` tells requests and bytes since the last time it was asked.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Counts:
    """What was sent."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = self.bytes = 0

    def add(self, size):
        with self.lock:
            self.requests += 1
            self.bytes += size

    def take(self):
        with self.lock:
            taken, self.requests, self.bytes = {"requests": self.requests, "bytes": self.bytes}, 0, 0
        return taken


def answering(path, delay, counts):
    """A class that answers with the file at `path`, `delay` seconds after a request."""
    size = path.stat().st_size

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            time.sleep(delay)
            counts.add(0)
            self._head(200, size)

        def do_GET(self):
            if self.path == "/counts":
                body = json.dumps(counts.take()).encode()
                self._head(200, len(body))
                self.wfile.write(body)
                return
            time.sleep(delay)
            start, stop = self._range()
            counts.add(stop - start)
            self._head(206, stop - start, f"bytes {start}-{stop - 1}/{size}")
            self.wfile.flush()
            with path.open("rb") as file:
                while start < stop:
                    start += os.sendfile(self.connection.fileno(), file.fileno(), start, stop - start)

        def _range(self):
            first, last = _RANGE.fullmatch(self.headers["Range"]).groups() if "Range" in self.headers else ("0", "")
            if not first:
                return max(0, size - int(last)), size
            return int(first), min(int(last) + 1, size) if last else size

        def _head(self, status, length, content_range=None):
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", '"0123456789abcdef0123456789abcdef"')
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.send_header("Accept-Ranges", "bytes")
            if content_range:
                self.send_header("Content-Range", content_range)
            self.end_headers()

    return Answering


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main():
    path, delay = Path(sys.argv[1]), float(sys.argv[2]) / 1000
    server = Server(("127.0.0.1", 0), answering(path, delay, Counts()))
    print(server.server_port, flush=True)
    # The one who started it holds its standard input.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
