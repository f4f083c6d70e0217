"""Connections in other processes, those of dask and joblib, too: no secret travels with them."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import dask.bag as db
import joblib
import keyring
import pytest
from statements import Statements

from s3conn_magic.sandbox import EXTERNAL_ID, LAKE, ROLE_ARN

FILE = f"{LAKE}/sales/customers.csv"
RING = """
from keyring.backend import KeyringBackend

class Ring(KeyringBackend):
    priority = 1

    def get_password(self, service, user):
        import os
        return os.environ["SECRET_OF_LAKE"] if (service, user) == ("lakes", "mine") else None

    def set_password(self, service, user, password):
        raise NotImplementedError
"""


@pytest.fixture
def run(sandbox, monkeypatch, aws_files, tmp_path):
    """A session in an environment with everything that connections name, and an endpoint that is none of theirs."""
    keys = sandbox.admin
    secret = keys.secret_access_key.reveal()
    aws_files[1].write_text(f"[mine]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {secret}\n")
    (tmp_path / "ring_of_test.py").write_text(RING)
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *filter(None, sys.path)]))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "ring_of_test.Ring")
    monkeypatch.setenv("SECRET_OF_LAKE", secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    before = keyring.get_keyring()
    keyring.set_keyring(importlib.import_module("ring_of_test").Ring())
    yield Statements()
    keyring.set_keyring(before)
    del sys.modules["ring_of_test"]


def _connection(run, sandbox, kind):
    pair = f"AWS_ACCESS_KEY_ID = '{sandbox.admin.access_key_id}' AWS_SECRET_ACCESS_KEY ="
    told = {
        "env": f"{pair} ENV 'SECRET_OF_LAKE'",
        "keyring": f"{pair} KEYRING 'lakes' 'mine'",
        "profile": "AWS_PROFILE = 'mine'",
        "role": f"{pair} ENV 'SECRET_OF_LAKE' AWS_ROLE = '{ROLE_ARN}' EXTERNAL_ID = '{EXTERNAL_ID}'",
    }[kind]
    run(f"CREATE S3 CONNECTION {kind} {told} ENDPOINT = '{sandbox.endpoint}' VALIDATE = FALSE")
    return run.connection(kind)


def test_a_connection_arrives_by_what_its_statement_names(run, sandbox):
    """By ENV, KEYRING, a profile and a role it reads in a new process; the secret is in nothing that was sent."""
    kinds = [_connection(run, sandbox, kind) for kind in ("env", "keyring", "profile", "role")]
    sent = pickle.dumps(kinds)
    assert sandbox.admin.secret_access_key.reveal().encode() not in sent
    code = (
        "import pickle, sys\n"
        f"for each in pickle.load(sys.stdin.buffer): print(each.name, each.fsspec().size('{FILE}') > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=False)
    assert done.stdout.decode().split() == [text for each in kinds for text in (each.name, "True")], done.stderr


def test_workers_of_dask_and_joblib_read_by_a_connection(run, sandbox):
    """A bag by dask's processes and a job by joblib's read through the filesystem that they were given."""
    connection = _connection(run, sandbox, "env")
    files = connection.fsspec()
    body = files.cat(FILE)
    options = connection.storage_options("dask")
    lines = db.read_text(f"s3://{FILE}", storage_options=options).compute(scheduler="processes", num_workers=1)
    assert "".join(lines).encode() == body
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(files.cat)(FILE) for _ in range(2)) == [body] * 2
