"""What a worker is told of a connection: short-lived credentials where they can be had, and nothing that prints."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest
from statements import Statements, create

from s3conn_magic.cluster.access import Accesses
from s3conn_magic.cluster.sealed import Sealed
from s3conn_magic.connections.credentials import SessionTriple
from s3conn_magic.locations import Location
from s3conn_magic.sandbox.identities import EXTERNAL_ID, LOGS, ROLE_ARN
from s3conn_magic.secrets import Secret

SECRET = "the-secret-of-workers"


@dataclass
class Told:
    """What is told of a connection, and the notes that it took."""

    accesses: Accesses
    notes: list[str]

    def of(self, run: Statements, name: str, bucket: str = LOGS):
        return self.accesses.of(run.connection(name), Location(bucket))


@pytest.fixture
def told():
    notes: list[str] = []
    return Told(Accesses(notes.append, "by a test"), notes)


def _revealed(access) -> dict[str, str]:
    return {name: one.open().reveal() for name, one in access.options.items() if isinstance(one, Sealed)}


def test_a_sealed_secret_travels_and_is_never_printed():
    """Pickled it comes out whole; printed in any way it is masked."""
    sealed = Sealed(Secret(SECRET))
    assert pickle.loads(pickle.dumps(sealed)).open() == Secret(SECRET)
    assert SECRET not in f"{sealed} {sealed!r} {[sealed]} {sealed:}"


def test_of_a_role_only_its_session_is_sent(sandbox, told):
    """The triple that STS gave is sent; the pair that assumed the role is not in what is pickled."""
    run = Statements()
    role = {"AWS_ROLE": ROLE_ARN, "EXTERNAL_ID": EXTERNAL_ID}
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, **role, VALIDATE=False))
    access = told.of(run, "lake")
    assert set(_revealed(access)) == {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert access.options["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert sandbox.admin.secret_access_key.reveal().encode() not in pickle.dumps(access)
    assert "AWS_ROLE" not in access.options
    assert told.notes == []


def test_a_session_token_goes_with_its_pair(told):
    """A connection with AWS_SESSION_TOKEN is short-lived already: it is sent as it is, without a note."""
    run = Statements()
    keys = {"AWS_ACCESS_KEY_ID": "ASIAX", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "a-token"}
    run(create("lake", **keys, ENDPOINT="http://127.0.0.1:9", VALIDATE=False))
    assert _revealed(told.of(run, "lake")) == {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "a-token"}
    assert told.notes == []


def test_a_pair_is_sent_itself_where_no_session_token_is_taken_and_this_is_said_once(slow, told):
    """The note names the connection and how it travels; the worker's connection is READ_ONLY and prints nothing."""
    run = Statements()
    run(slow.connect)
    access = told.of(run, "slow", "bucket")
    assert told.of(run, "slow", "bucket") == access
    assert _revealed(access) == {"AWS_SECRET_ACCESS_KEY": SECRET}
    (note,) = told.notes
    assert "key pair itself is sent" in note
    assert "by a test" in note
    assert SECRET not in f"{access!r} {access.options} {note}"
    assert access.connection().settings.read_only


def test_the_session_of_a_pair_is_sent_where_the_server_takes_it(slow, told, monkeypatch):
    """What STS gives for the pair is tried by one request and sent; the pair stays here, and nothing is to be noted."""
    given = SessionTriple("ASIASESSION", "the-secret-of-a-session", "its-token", 3600)
    monkeypatch.setattr("s3conn_magic.cluster.access.session_triple", lambda *_: given)
    run = Statements()
    run(slow.connect)
    access = told.of(run, "slow", "bucket")
    assert access.options["AWS_ACCESS_KEY_ID"] == "ASIASESSION"
    assert _revealed(access) == {"AWS_SECRET_ACCESS_KEY": given.secret_key, "AWS_SESSION_TOKEN": given.token}
    assert SECRET.encode() not in pickle.dumps(access)
    assert told.notes == []


def test_an_endpoint_of_the_environment_is_told(told, monkeypatch):
    """Workers go where this process goes, though their environment does not say so."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    run = Statements()
    run(create("lake", ANONYMOUS=True, REGION="eu-west-1", VALIDATE=False))
    options = told.of(run, "lake").options
    assert (options["ENDPOINT"], options["REGION"]) == ("http://127.0.0.1:9", "eu-west-1")


def test_another_key_is_another_access(slow, told):
    """After an ALTER workers make other clients, and those of before are not used again."""
    run = Statements()
    run(slow.connect)
    before = told.of(run, "slow", "bucket")
    run(slow.connect.replace("CREATE", "CREATE OR REPLACE").replace(SECRET, "another"))
    after = told.of(run, "slow", "bucket")
    assert before != after
    assert after.connection().settings.secret_access_key == Secret("another")


def test_anonymous_sends_no_secret(told):
    """There is none."""
    run = Statements()
    run(create("open", ANONYMOUS=True, ENDPOINT="http://127.0.0.1:9", VALIDATE=False))
    assert _revealed(told.of(run, "open")) == {}


def test_no_log_of_the_cluster_has_the_secret(workers, slow):
    """After a listing and a failing one, neither the workers' logs, the scheduler's nor its tasks name it."""
    run = workers.session(slow.connect)
    run("LIST 's3://bucket/' RECURSIVE LIMIT ALL")
    client = run.session.scale.cluster()._client
    logs = f"{client.get_worker_logs()} {client.get_scheduler_logs()} {client.run_on_scheduler(_seen)} {client!r}"
    assert SECRET not in logs
    run.session.close()


def _seen(dask_scheduler) -> str:
    """What the scheduler can print of its tasks."""
    return repr([(key, task, task.run_spec) for key, task in dask_scheduler.tasks.items()])
