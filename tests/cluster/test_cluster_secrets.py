"""What a worker is told of a connection: short-lived credentials where they can be had, and nothing that prints."""

from __future__ import annotations

import gc
import pickle
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import certifi
import pytest
from statements import Statements, create

from s3conn_magic import secrets
from s3conn_magic.cluster.scheduler import _listener
from s3conn_magic.cluster.work import Access, Accesses, Grant
from s3conn_magic.connections.credentials import SessionTriple
from s3conn_magic.errors import ConnectionNotFoundError
from s3conn_magic.locations import Location
from s3conn_magic.sandbox import EXTERNAL_ID, LOGS, ROLE_ARN
from s3conn_magic.secrets import NotGivenError, Secret, unseal

SECRET = "the-secret-of-workers"
# In two pieces, so that the test's own code does not hold what it looks for.
SECRETS = ("kV9tQz2mXw7RbN4", "pL8sYc3dHf6JgT5e")
RARE = SECRETS[0][8:] + SECRETS[1][:7]


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


def _revealed(grant) -> dict[str, str]:
    return {name: one.reveal() for name, one in grant.keys.items() if name != "AWS_ACCESS_KEY_ID"}


def test_what_a_task_carries_tells_nothing_without_its_pad():
    """Neither part holds the secret or, sealed twice, anything that is the same; together they give it."""
    grant = Grant("lake", "bucket", None, {}, {"AWS_SECRET_ACCESS_KEY": Secret(SECRET)})
    access, pad = grant.sealed()
    again, other = grant.sealed()
    for part in (pickle.dumps(access), pad):
        assert not [piece for at in range(len(SECRET) - 7) if (piece := SECRET[at : at + 8].encode()) in part]
    assert access.mark != again.mark
    assert access.sealed != again.sealed
    assert pad != other
    assert unseal(access.sealed, pad) == {"AWS_SECRET_ACCESS_KEY": Secret(SECRET)}
    assert SECRET not in f"{grant!r} {access!r} {grant.keys}"


def _told_of(grant) -> Access:
    """A task's part of a grant, as it arrives, in a process that was given the other part."""
    access, pad = grant.sealed()
    secrets.give([(access.mark, pad)])
    return pickle.loads(pickle.dumps(access))


def _living() -> list[str]:
    """What objects of this process hold of the secret, but for those of the test and the code."""
    gc.unfreeze()  # what was there before the tests is looked at as well
    gc.collect()
    found = {id(one): one for held in gc.get_objects() if held is not SECRETS for one in gc.get_referents(held)}
    gc.freeze()
    texts = [one for one in found.values() if isinstance(one, str | bytes) and len(one) < 1000 and one is not RARE]
    return [one for one in texts if (RARE in one if isinstance(one, str) else RARE.encode() in one)]


def test_a_worker_forgets_when_it_is_told_to(slow):
    """The connection is one while it is known, is dropped at once, and no object holds the key any more."""
    keys = {"AWS_ACCESS_KEY_ID": Secret("AKIAX"), "AWS_SECRET_ACCESS_KEY": Secret("".join(SECRETS))}
    access = _told_of(Grant("w", "bucket", None, {"ENDPOINT": slow.endpoint, "REGION": "us-east-1"}, keys))
    del keys
    with access.connection() as connection, access.connection() as same:
        assert connection is same
        assert connection.settings.read_only
        connection.internal_client("bucket").list_objects_v2(Bucket="bucket", MaxKeys=1)
        assert _living()
        secrets.forget([access.mark])
        with pytest.raises(ConnectionNotFoundError):
            connection.credentials()
    del connection, same
    assert not _living()
    with pytest.raises(NotGivenError), access.connection():
        raise AssertionError


def test_a_worker_forgets_a_client_that_fell_silent(slow, monkeypatch):
    """After the lease the pad is gone; what runs goes on, and its connection is dropped with it."""
    monkeypatch.setattr(secrets, "LEASE", 0.2)
    keys = {"AWS_ACCESS_KEY_ID": Secret("AKIAX"), "AWS_SECRET_ACCESS_KEY": Secret(SECRET)}
    access = _told_of(Grant("w", "bucket", None, {"ENDPOINT": slow.endpoint}, keys))
    with access.connection() as connection:
        until = time.monotonic() + 30
        while access.mark in secrets._given and time.monotonic() < until:
            time.sleep(0.01)
        assert connection.credentials() is not None
    with pytest.raises(ConnectionNotFoundError):
        connection.credentials()
    with pytest.raises(NotGivenError), access.connection():
        raise AssertionError


def test_of_a_role_only_its_session_is_sent(sandbox, told):
    """The triple that STS gave is sent; the pair that assumed the role is not in what is pickled."""
    run = Statements()
    role = {"AWS_ROLE": ROLE_ARN, "EXTERNAL_ID": EXTERNAL_ID}
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, **role, VALIDATE=False))
    grant = told.of(run, "lake")
    assert set(_revealed(grant)) == {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert grant.keys["AWS_ACCESS_KEY_ID"].reveal().startswith("ASIA")
    assert sandbox.admin.secret_access_key not in grant.keys.values()
    assert "AWS_ROLE" not in grant.options
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


def test_the_session_of_a_pair_is_sent_where_the_server_takes_it(slow, told, monkeypatch):
    """What STS gives for the pair is tried by one request and sent; the pair stays here, and nothing is to be noted."""
    given = SessionTriple("ASIASESSION", "the-secret-of-a-session", "its-token", 3600)
    monkeypatch.setattr("s3conn_magic.cluster.work.session_triple", lambda *_: given)
    run = Statements()
    run(slow.connect)
    access = told.of(run, "slow", "bucket")
    assert access.keys["AWS_ACCESS_KEY_ID"] == Secret("ASIASESSION")
    assert _revealed(access) == {"AWS_SECRET_ACCESS_KEY": given.secret_key, "AWS_SESSION_TOKEN": given.token}
    assert Secret(SECRET) not in access.keys.values()
    assert told.notes == []


def test_an_endpoint_of_the_environment_is_told(told, monkeypatch):
    """Workers go where this process goes, though their environment does not say so."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    run = Statements()
    run(create("lake", ANONYMOUS=True, REGION="eu-west-1", VALIDATE=False))
    options = told.of(run, "lake").options
    assert (options["ENDPOINT"], options["REGION"]) == ("http://127.0.0.1:9", "eu-west-1")


def test_the_session_s_connections_and_timeouts_count_on_workers(told):
    """Each worker has as many requests under way as the session allows, and waits as long; it keeps nothing."""
    run = Statements()
    keys = {"AWS_ACCESS_KEY_ID": "ASIAX", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "a-token"}
    run(create("lake", **keys, REGION="eu-west-1", VALIDATE=False))
    run("SET CONNECTIONS = 5; SET CONNECT_TIMEOUT = 3; SET READ_TIMEOUT = 7; SET CACHE = '1 MB'")
    with _told_of(told.of(run, "lake")).connection() as connection:
        assert connection.timeouts() == (3, 7, 5, 0)
        transport = connection.target(LOGS).transport
    assert (transport.connect_timeout, transport.read_timeout) == (3.0, 7.0)


def test_another_key_is_another_access(slow, told):
    """After an ALTER workers are told anew, and what they were told before is not used again."""
    run = Statements()
    run(slow.connect)
    before = told.of(run, "slow", "bucket")
    run(slow.connect.replace("CREATE", "CREATE OR REPLACE").replace(SECRET, "another"))
    after = told.of(run, "slow", "bucket")
    assert before != after
    assert after.keys["AWS_SECRET_ACCESS_KEY"] == Secret("another")
    assert told.of(run, "slow", "bucket") == after


def test_anonymous_sends_no_secret(told):
    """There is none."""
    run = Statements()
    run(create("open", ANONYMOUS=True, ENDPOINT="http://127.0.0.1:9", VALIDATE=False))
    assert _revealed(told.of(run, "open")) == {}


def test_a_worker_goes_where_the_statement_says_whatever_its_own_environment_does(told, monkeypatch, tmp_path):
    """FIPS, tries, checksums and CAs travel; variables and files of the worker's machine change nothing of them."""
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(Path(certifi.where()).read_bytes())
    here = {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_MAX_ATTEMPTS": "7", "AWS_CA_BUNDLE": str(authorities)}
    here |= {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "HTTPS_PROXY": "http://user:pw@proxy:3128"}
    keys = {"AWS_ACCESS_KEY_ID": "ASIAX", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "a-token"}
    with monkeypatch.context() as environment:
        for name, value in here.items():
            environment.setenv(name, value)
        run = Statements()
        run(create("lake", **keys, REGION="eu-west-1", VALIDATE=False))
        access = _told_of(told.of(run, "lake"))
        told.of(run, "lake")
    assert not told.notes
    assert b"proxy:3128" not in pickle.dumps(access)
    authorities.unlink()
    (broken := tmp_path / "config").write_text("[[[", encoding="utf-8")
    there = {"AWS_CONFIG_FILE": str(broken), "AWS_PROFILE": "nobody", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}
    there |= {"HTTPS_PROXY": "http://another:3128", "NO_PROXY": "*"}
    for name, value in {**there, "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_MAX_ATTEMPTS": "2"}.items():
        monkeypatch.setenv(name, value)
    with access.connection() as connection:
        client = connection.internal_client(LOGS)
        assert client.meta.endpoint_url == "https://s3-fips.eu-west-1.amazonaws.com"
        assert client.meta.config.request_checksum_calculation == "when_required"
        assert client.meta.config.retries["total_max_attempts"] == 7
        assert connection.target(LOGS).transport.proxy == "http://user:pw@proxy:3128"
        assert "pw" not in repr(connection.configuration)
        assert Path(connection.target(LOGS).transport.verify).read_bytes() == Path(certifi.where()).read_bytes()
    secrets.forget([access.mark])


@pytest.mark.parametrize(
    ("proxy", "here", "sent"),
    [
        ("http://proxy.example:3128", False, True),
        ("proxy.example:3128", False, True),
        ("http://127.0.0.1:3128", True, True),
        ("http://127.0.0.1:3128", False, False),
        ("http://user:pw@localhost:3128", False, False),
        ("http://[::1]:3128", False, False),
        ("", False, False),
    ],
)
def test_a_proxy_that_is_on_this_machine_alone_is_not_sent_to_others(monkeypatch, proxy, here, sent):
    """There its address would be another machine's: workers go by their own environment, which is said once."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    run, notes = Statements(), list[str]()
    keys = {"AWS_ACCESS_KEY_ID": "ASIAX", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "a-token"}
    run(create("lake", **keys, REGION="eu-west-1", VALIDATE=False))
    accesses = Accesses(notes.append, "by a test", here=here)
    grants = [accesses.of(run.connection("lake"), Location(LOGS)) for _ in range(2)]
    assert grants[0] == grants[1]
    assert ("proxy" in grants[0].keys) is sent
    assert [note.partition(" is on")[0] for note in notes] == (
        ["The proxy " + proxy.rpartition("/")[2].rpartition("@")[2]] if proxy and not sent else []
    )
    assert "pw" not in str(notes)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "a web server answers there"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "it speaks TLS"),
        (b"", ""),
        (None, "nothing listens there"),
    ],
    ids=["dashboard", "TLS", "silent", "closed"],
)
def test_what_is_no_scheduler_is_said_as_what_it_is(answer, said):
    """A web server, one of TLS, one that says nothing and a closed port are told from one another."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        if answer is None:
            server.close()
        else:
            threading.Thread(target=_answers, args=(server, answer), daemon=True).start()
        assert _listener(address).startswith(said)


def _answers(server, answer) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(100)
        connection.sendall(answer)
