"""An embedded S3 on 127.0.0.1 with realistic data, for first steps, notebooks and tests.

Importing this package imports neither moto nor boto3; the server's own process loads them.
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
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, ClassVar, Self

from s3conn_magic.errors import EndpointError, S3ConnError, pip_install
from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret

ACCOUNT = "123456789012"
REGION = "us-east-1"

LAKE = "acme-lake"
LOGS = "acme-logs"
ARCHIVE = "acme-archive-eu"
ODD = "acme-odd-keys"
EMPTY = "acme-empty"
PUBLIC = "acme-public"

EXTERNAL_ID = "acme-external-id"
ROLE = "lake-reader"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
RESTRICTED_LOCATION = Location(LAKE, "sales/")

Policy = Mapping[str, Any]
"""An IAM policy document."""


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key pair."""

    access_key_id: str
    secret_access_key: Secret


ADMIN = Keys("AKIASANDBOXADMINEXAM", Secret("sandbox/admin/secret/EXAMPLE/0000000000"))
RESTRICTED = Keys("AKIASANDBOXSALESEXAM", Secret("sandbox/sales/secret/EXAMPLE/0000000000"))
ANONYMOUS = Keys("AKIASANDBOXNOBODYEXA", Secret("sandbox/nobody/secret/EXAMPLE/000000000"))


def _policy(*statements: Policy) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(actions: list[str], resources: list[str]) -> Policy:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _read_bucket(bucket: str) -> Policy:
    """Return the policy to read a whole bucket."""
    arn = Location(bucket).arn
    on_bucket = ["s3:ListBucket", "s3:HeadBucket", "s3:ListBucketVersions", "s3:GetBucketLocation"]
    on_objects = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging"]
    return _policy(_allow(on_bucket, [arn]), _allow(on_objects, [f"{arn}/*"]))


_ASSUME = _allow(["sts:AssumeRole"], [ROLE_ARN])

# `s3:HeadBucket` is not an action of AWS: moto asks for it where AWS asks for s3:ListBucket. AWS refuses HeadBucket to
# a user who may list only one prefix, too, so it is missing here.
_RESTRICTED = _policy(
    _allow(["s3:ListBucket"], [Location(LAKE).arn]),  # the gate adds the condition on s3:prefix, which moto ignores
    _allow(["s3:GetObject", "s3:GetObjectTagging"], [f"{RESTRICTED_LOCATION.arn}*"]),
    _ASSUME,
)


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user with its key pair and inline policy."""

    name: str
    keys: Keys
    policy: Policy

    @property
    def arn(self) -> str:
        """The user's ARN."""
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"


USERS = (
    User("admin", ADMIN, _policy(_allow(["*"], ["*"]))),
    User("sales", RESTRICTED, _RESTRICTED),
    User("anonymous", ANONYMOUS, _read_bucket(PUBLIC)),
)

ROLE_POLICY = _read_bucket(LAKE)
TRUST_POLICY = _policy(
    {
        "Effect": "Allow",
        "Principal": {"AWS": [user.arn for user in USERS if user.name != "anonymous"]},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
    }
)


_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_AGAIN = "Run it again; `python -m s3conn_magic.sandbox` in a terminal shows why where it fails once more."
_NEEDS = ("moto", "flask", "werkzeug")
_FOREIGN = ("AWS_", "BOTO_", "MOTO_", "INITIAL_NO_AUTH_ACTION_COUNT", "S3_IGNORE_")


@dataclass(frozen=True, eq=False)
class Sandbox:
    """A running S3 on 127.0.0.1, in a separate process that ends with this one.

    The server holds the read end of a pipe whose only write end is here; however this process ends, the pipe closes and
    the server exits. It is stopped by `stop()`, at the end of a `with` block, and when Python exits.

    It enforces the signature of every request, the policies of the users and the role, the prefix of `restricted`, and
    the role's external ID. Unsigned requests may read one public bucket. It does not enforce session policies, the
    expiry of assumed credentials, the signed region, or bucket policies.

    Attributes:
        endpoint: URL for S3 and STS, `http://127.0.0.1:<port>`.
        region: region of most buckets.
        admin: keys that may do everything.
        restricted: keys that may only list and read `restricted_location`, and assume the role.
        role_arn: a role that may read the whole bucket of `restricted_location`.
        external_id: required to assume the role.
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
        """Start a server with its data on a free port and wait until it answers; takes a few seconds.

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
        """Process ID of the server."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._child.poll() is None

    def stop(self) -> None:
        """Stop the server and wait until it has exited; do nothing if it already has."""
        atexit.unregister(self.stop)
        # After a fork, only the owner may stop the server.
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
    """Start the process in a thread, so that an interrupt cannot orphan it."""
    started: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()
    threading.Thread(target=lambda: started.put(_try_to_start(log)), daemon=True).start()
    try:
        child = started.get()
    except BaseException:
        child = started.get()
        if not isinstance(child, OSError):
            _end(child, patience=0)
        raise
    if isinstance(child, OSError):
        raise EndpointError(f"the sandbox's server did not start ({type(child).__name__})", hint=_AGAIN)
    return child


def _try_to_start(log: IO[bytes]) -> subprocess.Popen[bytes] | OSError:
    try:
        return _start_process(log)
    except OSError as error:
        return error


def _start_process(log: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P: a moto.py or random.py next to the notebook must not be imported by the server.
    command = [sys.executable, "-P", "-m", "s3conn_magic.sandbox"]
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=log,
        env=_environment(),
        # In its own session it does not get the interrupts sent to the kernel's process group.
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """Return this process's environment without settings and secrets that are not for the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    root = str(Path(__file__).parents[2])
    # An installed package is found anyway; adding site-packages would put it before the standard library.
    if root not in (*site.getsitepackages(), site.getusersitepackages()):
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (kept.get("PYTHONPATH"), root)))
    return kept


def _await_endpoint(child: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    lines: SimpleQueue[bytes] = SimpleQueue()
    assert child.stdout is not None  # noqa: S101 - asked for above
    read = child.stdout.readline
    threading.Thread(target=lambda: lines.put(read()), daemon=True).start()
    with contextlib.suppress(Empty):
        if endpoint := lines.get(timeout=_START_SECONDS).decode().strip():
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
