from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from boto_clients import client
from kernels import REPOSITORY, started

from s3conn_magic.errors import EndpointError, S3ConnError
from s3conn_magic.sandbox import Sandbox

START = "from s3conn_magic.sandbox import Sandbox\nsandbox = Sandbox.start()\n"


def wait_until_gone(endpoint):
    """Wait until the server's process has ended; TimeoutError after 20 seconds.

    An idle connection ends when the process does. The port may still be open at that moment, hence several.
    """
    where = urlsplit(endpoint)
    assert where.hostname == "127.0.0.1"
    with contextlib.suppress(ConnectionRefusedError):
        for _ in range(100):
            idle = socket.create_connection((where.hostname, where.port), timeout=20)
            with idle, contextlib.suppress(ConnectionResetError):
                assert idle.recv(1) == b""
        pytest.fail("the port stays open")


def test_stop_leaves_no_process_and_may_be_called_again():
    """After stop the process is gone, the port refuses, and a second stop does nothing."""
    sandbox = Sandbox.start()
    assert sandbox.running
    sandbox.stop()
    assert not sandbox.running
    wait_until_gone(sandbox.endpoint)
    with pytest.raises(ProcessLookupError):
        os.kill(sandbox.pid, 0)
    sandbox.stop()


def test_two_at_once_are_two_servers(sandbox):
    """A second sandbox has its own port and data, and its end leaves the first alone."""
    with Sandbox.start() as other:
        client("s3", other.endpoint, other.admin).create_bucket(Bucket="only-here")
        names = [bucket["Name"] for bucket in client("s3", sandbox.endpoint, sandbox.admin).list_buckets()["Buckets"]]
    assert "only-here" not in names
    assert not other.running
    assert sandbox.running


def run(code, folder):
    """Python with `code` in a process of its own, in `folder`, with a pipe to talk through."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_the_server_ends_with_its_parent(tmp_path, end):
    """Whether the parent is killed or simply exits, the server's process goes too."""
    with run(START + "print(sandbox.endpoint, flush=True)\ninput()", tmp_path) as parent:
        endpoint = parent.stdout.readline().strip()
        client("s3", endpoint, Sandbox.admin).list_buckets()
        parent.kill() if end == "kill" else parent.communicate("\n")
    wait_until_gone(endpoint)


def test_a_file_beside_the_notebook_is_not_imported_by_the_server(tmp_path):
    """A moto.py in the working folder does not stand in for moto."""
    (tmp_path / "moto.py").write_text("raise SystemExit('the wrong moto')")
    with run(START + "print(sandbox.running)", tmp_path) as parent:
        assert parent.stdout.read() == "True\n"


def test_the_user_s_settings_do_not_reach_the_server(monkeypatch):
    """Environment variables that would turn off moto's checks, or move its account, are not passed on."""
    monkeypatch.setenv("INITIAL_NO_AUTH_ACTION_COUNT", "1000")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "999999999999")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for the server")
    with Sandbox.start() as sandbox:
        identity = client("sts", sandbox.endpoint, sandbox.admin).get_caller_identity()
        assert identity["Account"] == "123456789012"
        environment = Path(f"/proc/{sandbox.pid}/environ")
        assert not environment.exists() or b"not for the server" not in environment.read_bytes()


def test_a_server_that_cannot_start_is_one_error_with_its_reason(tmp_path, monkeypatch):
    """A moto that fails on import gives EndpointError with the last line it said, and leaves no process."""
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto" / "__init__.py").write_text("import os; raise ImportError(f'broken moto {os.getpid()}')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EndpointError, match="did not start") as failed:
        Sandbox.start()
    (note,) = failed.value.notes
    assert note.startswith("ImportError: broken moto")
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.rpartition(" ")[2]), 0)


def test_without_moto_the_error_names_the_command(monkeypatch):
    """When the extra is missing, the error says what to install and how."""
    monkeypatch.setitem(sys.modules, "moto", None)
    with pytest.raises(S3ConnError, match="needs moto") as missing:
        Sandbox.start()
    assert "pip install 'moto[s3,server,sts,iam]'" in missing.value.hint


def test_importing_the_sandbox_loads_neither_moto_nor_boto3(tmp_path):
    """Starting a sandbox, too, leaves moto, boto3 and pyarrow out of the caller's process."""
    heavy = "{'moto', 'boto3', 'botocore', 'pyarrow', 'flask', 'werkzeug'}"
    code = START + f"import sys\nprint({heavy} & set(sys.modules))"
    with run(code, tmp_path) as parent:
        assert parent.stdout.read() == "set()\n"


def test_an_interrupt_of_the_kernel_leaves_the_server_running(tmp_path):
    """The stop button ends the cell, not the sandbox; a kernel that is killed takes the sandbox along."""

    def stop_button(message):
        if message["content"].get("text") == "busy":
            kernel.interrupt()

    with started(tmp_path) as kernel:
        endpoint = kernel.run(START + "print(sandbox.endpoint, end='')").stdout
        busy = kernel.run("import time\nprint('busy', end='', flush=True)\ntime.sleep(60)", on_message=stop_button)
        assert busy.error["ename"] == "KeyboardInterrupt"
        assert kernel.run("sandbox.running").result["text/plain"] == "True"
        kernel.kill()
        wait_until_gone(endpoint)
