"""An embedded S3 on 127.0.0.1, filled with realistic data, for first use, the notebooks and the tests.

Importing this package imports neither moto nor boto3; they load in the server's own process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import site
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, ClassVar, Self

from s3conn_magic.errors import EndpointError, S3ConnError, pip_install
from s3conn_magic.sandbox.identities import ADMIN, EXTERNAL_ID, REGION, RESTRICTED, RESTRICTED_LOCATION, ROLE_ARN, Keys

__all__ = ["EXTERNAL_ID", "RESTRICTED", "ROLE_ARN", "Keys", "Sandbox"]

_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_AGAIN = "Run it again; `python -m s3conn_magic.sandbox` in a terminal shows why where it fails once more."
_NEEDS = ("moto", "flask", "werkzeug")
_FOREIGN = ("AWS_", "BOTO_", "MOTO_", "INITIAL_NO_AUTH_ACTION_COUNT", "S3_IGNORE_")


@dataclass(frozen=True, eq=False)
class Sandbox:
    """A running S3 on 127.0.0.1, in a process of its own that ends when this one does.

    The process holds the read end of a pipe whose only write end is here; when this process ends in any way, the pipe
    closes and the server exits. It is stopped by `stop()`, at the end of a `with` block, and when Python exits.

    What it enforces: signatures of every request, the users' and the role's policies, the prefix of `restricted`, the
    role's external id (a wrong one and a missing one are refused). Unsigned requests may read one public bucket.
    What it does not: session policies, the expiry of assumed credentials, the region a request is signed for, bucket
    policies. Presigned URLs count as unsigned.

    Attributes:
        endpoint: URL, `http://127.0.0.1:<port>`; serves S3 and STS.
        region: region of most buckets.
        admin: keys that may do everything.
        restricted: keys that may list and read `restricted_location`, assume the role, and nothing else.
        role_arn: a role that may read the whole bucket of `restricted_location`.
        external_id: what assuming the role asks for.
        restricted_location: `s3://bucket/prefix/`.
    """

    endpoint: str
    region: ClassVar[str] = REGION
    admin: ClassVar[Keys] = ADMIN
    restricted: ClassVar[Keys] = RESTRICTED
    role_arn: ClassVar[str] = ROLE_ARN
    external_id: ClassVar[str] = EXTERNAL_ID
    restricted_location: ClassVar[str] = RESTRICTED_LOCATION.uri
    _child: subprocess.Popen[bytes] = field(repr=False)
    _owner: int = field(default_factory=os.getpid, repr=False)

    @classmethod
    def start(cls) -> Self:
        """Start a server on a free port, filled with its data, and wait until it answers; takes a few seconds.

        Raises:
            S3ConnError: the `sandbox` extra is not installed.
            EndpointError: the server did not start.
        """
        _require_extra()
        with tempfile.TemporaryFile() as log:
            child = _spawn(log)
            try:
                sandbox = cls(_await_endpoint(child, log), child)
            except BaseException:
                _end(child, patience=0)
                raise
        atexit.register(sandbox.stop)
        return sandbox

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._child.poll() is None

    def stop(self) -> None:
        """End the server and wait until it has gone. Does nothing when it has gone already."""
        atexit.unregister(self.stop)
        # After a fork the copy of this object must leave the server to its owner.
        if os.getpid() == self._owner:
            _end(self._child, patience=_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _require_extra() -> None:
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise S3ConnError(
            f"the sandbox needs {' and '.join(missing)}, which is not installed",
            hint=f"Install what it needs: {pip_install('sandbox')}",
        )


def _spawn(log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Return the process, begun in a thread, since an interrupt in the midst of it would leave it to nobody."""
    begun: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()
    threading.Thread(target=lambda: begun.put(_begin(log)), daemon=True).start()
    try:
        child = begun.get()
    except BaseException:
        child = begun.get()
        if not isinstance(child, OSError):
            _end(child, patience=0)
        raise
    if isinstance(child, OSError):
        raise EndpointError(f"the sandbox's server did not start ({type(child).__name__})", hint=_AGAIN)
    return child


def _begin(log: IO[bytes]) -> subprocess.Popen[bytes] | OSError:
    try:
        return _process(log)
    except OSError as error:
        return error


def _process(log: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P: a moto.py or random.py beside the notebook must not be what the server imports.
    command = [sys.executable, "-P", "-m", "s3conn_magic.sandbox"]
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=log,
        env=_environment(),
        # In a session of its own, the interrupt of a kernel's process group does not reach the server.
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """This process's environment without settings or secrets that a server of its own has no business with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    root = str(Path(__file__).parents[2])
    # An installed package is found anyway; naming site-packages would put it before the standard library.
    if root not in (*site.getsitepackages(), site.getusersitepackages()):
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (kept.get("PYTHONPATH"), root)))
    return kept


def _await_endpoint(child: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    said: SimpleQueue[bytes] = SimpleQueue()
    assert child.stdout is not None  # noqa: S101 - asked for above
    read = child.stdout.readline
    threading.Thread(target=lambda: said.put(read()), daemon=True).start()
    with contextlib.suppress(Empty):
        if endpoint := said.get(timeout=_START_SECONDS).decode().strip():
            return endpoint
    raise EndpointError("the sandbox's server did not start", hint=_AGAIN, notes=_last_words(log))


def _last_words(log: IO[bytes]) -> tuple[str, ...]:
    log.seek(0)
    return tuple(log.read().decode(errors="replace").strip().splitlines()[-1:])


def _end(child: subprocess.Popen[bytes], patience: float) -> None:
    assert child.stdin is not None  # noqa: S101 - asked for above
    with contextlib.suppress(OSError):
        child.stdin.close()
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
