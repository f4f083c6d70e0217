"""What runs in the server's process: moto behind the gate, filled, until standard input ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

_CHUNK = 4096
_STDOUT, _STDERR = 1, 2


def main() -> None:
    """Serve on a free port of 127.0.0.1; the first line of standard output is the endpoint, once it answers."""
    # The launcher gives us a session of our own; where there are none (Windows), Ctrl-C would reach us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Begun first: a parent that dies while we start must not leave us behind.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    server = _server()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    # Nobody reads standard output from here on, and a full pipe would stop the server.
    os.dup2(_STDERR, _STDOUT)
    server.serve_forever()


def _exit_with_parent() -> None:
    # Not sys.stdin: its lock may be held when the interpreter goes down.
    while os.read(0, _CHUNK):
        pass
    os._exit(0)


def _server() -> BaseWSGIServer:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    from s3conn_magic.sandbox.fill import fill
    from s3conn_magic.sandbox.gate import Gate

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    fill()
    moto = DomainDispatcherApplication(create_backend_app)
    return make_server("127.0.0.1", 0, Gate(moto), threaded=True, request_handler=MotoRequestHandler)
