"""What Python code holds of a connection: clients, sessions and targets, before and after the connection changes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from recording import listing, passing_to, recording
from statements import Statements, create

from s3conn_magic.errors import ConnectionNotFoundError, ReadOnlyConnectionError
from s3conn_magic.sandbox import EXTERNAL_ID, LAKE, PUBLIC, ROLE_ARN, Keys
from s3conn_magic.secrets import Secret

REPOSITORY = Path(__file__).parents[2]
ONE = Keys("AKIAONE", Secret("one-secret"))


@pytest.fixture
def wire():
    """A server that answers every request with an empty listing."""
    with recording(lambda _: listing(LAKE)) as recorder:
        yield recorder


@pytest.fixture
def run(wire):
    """A session with an unprobed connection `lake`, signed by ONE."""
    statements = Statements()
    statements(create("lake", keys=ONE, ENDPOINT=wire.endpoint, VALIDATE=False))
    return statements


def alter(run, options):
    run(f"ALTER S3 CONNECTION lake {options} VALIDATE = FALSE")


def test_a_client_follows_an_alter(run, wire):
    """A client handed out before an ALTER signs its next request with the altered connection's credentials."""
    s3 = run.connection("lake").client("s3")
    s3.list_objects_v2(Bucket=LAKE)
    alter(run, "SET AWS_ACCESS_KEY_ID = 'AKIATWO' AWS_SECRET_ACCESS_KEY = 'two' AWS_SESSION_TOKEN = 'tt'")
    s3.list_objects_v2(Bucket=LAKE)
    alter(run, "SET AWS_ACCESS_KEY_ID = 'AKIATHREE'")
    s3.list_objects_v2(Bucket=LAKE)
    assert [one.signed_by for one in wire.requests] == ["AKIAONE", "AKIATWO", "AKIATHREE"]
    assert [one.headers.get("x-amz-security-token") for one in wire.requests] == [None, "tt", "tt"]


def test_a_client_follows_a_replacement(run, wire):
    """CREATE OR REPLACE turns the handles given out before, also into anonymous and read-only ones."""
    s3 = run.connection("lake").client("s3")
    text = create("LAKE", ANONYMOUS=True, READ_ONLY=True, ENDPOINT=wire.endpoint, VALIDATE=False)
    run(text.replace("CREATE", "CREATE OR REPLACE"))
    s3.list_objects_v2(Bucket=LAKE)
    assert [one.signed_by for one in wire.requests] == [None]
    with pytest.raises(ReadOnlyConnectionError, match="LAKE"):
        s3.put_object(Bucket=LAKE, Key="k")
    assert len(wire.requests) == 1


def test_a_rename_keeps_the_handles(run):
    """After RENAME the handle and its clients go on, and errors say the new name."""
    handle = run.connection("lake")
    run("ALTER S3 CONNECTION lake RENAME TO pond")
    assert handle.name == "pond"
    assert run.connection("POND") is handle
    handle.client("s3").list_objects_v2(Bucket=LAKE)


@pytest.mark.parametrize("kind", ["key pair", "anonymous"])
def test_after_drop_every_handle_refuses(wire, kind):
    """Clients, sessions and listings of a dropped connection send nothing more, signed or not."""
    options = {"ANONYMOUS": True} if kind == "anonymous" else {"keys": ONE}
    run = Statements()
    run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False, **options))
    handle = run.connection("lake")
    s3, target = handle.client("s3"), handle.target(LAKE)
    query = [("list-type", "2")]
    target.sign(query)
    explorer = run(f"EXPLORE 's3://{LAKE}/'")
    s3.list_objects_v2(Bucket=LAKE)
    before = len(wire.requests)
    run("DROP CONNECTION lake")
    uses = (
        lambda: s3.list_objects_v2(Bucket=LAKE),
        lambda: s3.put_object(Bucket=LAKE, Key="k", Body=b""),
        lambda: s3.generate_presigned_url("get_object", Params={"Bucket": LAKE, "Key": "k"}),
        lambda: s3.generate_presigned_post(LAKE, "k"),
        lambda: target.sign(query),
        handle.client,
        handle.session,
        handle.check_credentials,
    )
    for use in uses:
        with pytest.raises(ConnectionNotFoundError, match="dropped"):
            use()
    assert explorer.location is not None
    assert len(wire.requests) == before


def test_handles_print_no_secret(run):
    """The printed forms of a connection, its clients and its session hold no secret."""
    handle = run.connection("lake")
    shown = repr(handle) + repr(vars(handle)) + repr(handle.client("s3")) + repr(handle.session()) + repr(run.session)
    assert "one-secret" not in shown
    assert repr(handle) == "<S3 connection lake: key pair>"


def test_a_client_belongs_to_who_asked(run):
    """What one does to a client's events reaches no other client, and not the package's own."""
    first, second = run.connection("lake").client("s3"), run.connection("lake").client("s3")

    def spoil(**_):
        raise ValueError("mine")

    first.meta.events.register("before-call.s3", spoil)
    with pytest.raises(ValueError, match="mine"):
        first.list_objects_v2(Bucket=LAKE)
    second.list_objects_v2(Bucket=LAKE)
    run(f"LIST 's3://{LAKE}/'")


def test_sixteen_threads_share_a_connection(run, wire, threads):
    """Clients, internal clients and signatures made by 16 threads at once are whole, and shared clients made once."""
    handle = run.connection("lake")
    target = handle.target(LAKE)

    def use():
        handle.client("s3").list_objects_v2(Bucket=LAKE)
        signed = target.sign([("list-type", "2")])
        return handle.internal_client(), signed.headers["Authorization"].partition("/")[0]

    found = threads(use)
    assert len({id(client) for client, _ in found}) == 1
    assert {by for _, by in found} == {"AWS4-HMAC-SHA256 Credential=AKIAONE"}
    assert [one.signed_by for one in wire.requests] == ["AKIAONE"] * 16


def test_alter_while_threads_list(run, wire, threads):
    """Requests signed while the connection is altered are signed by the old pair or by the new, never by a mix."""
    handle = run.connection("lake")
    s3, turn = handle.client("s3"), iter(range(16))

    def use():
        if next(turn) == 8:
            alter(run, "SET AWS_ACCESS_KEY_ID = 'AKIATWO' AWS_SECRET_ACCESS_KEY = 'two' AWS_SESSION_TOKEN = 'tt'")
        for _ in range(3):
            s3.list_objects_v2(Bucket=LAKE)

    threads(use)
    pairs = {(one.signed_by, one.headers.get("x-amz-security-token")) for one in wire.requests}
    assert pairs <= {("AKIAONE", None), ("AKIATWO", "tt")}
    assert len(wire.requests) == 48
    s3.list_objects_v2(Bucket=LAKE)
    assert wire.requests[-1].signed_by == "AKIATWO"


def test_a_dropped_connection_leaves_nothing(run):
    """Once nobody holds a dropped connection, it and its clients go."""
    handle = run.connection("lake")
    handle.internal_client()
    left = [weakref.ref(handle), weakref.ref(handle.internal_client()), weakref.ref(handle._state.clients())]
    run("DROP CONNECTION lake")
    del handle
    gc.collect()
    assert [one() for one in left] == [None, None, None]


_FORK = """
import datetime, os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import s3conn_magic as s
s.execute(os.environ["CREATE"])
handle = s.connection("lake")
kept = handle.client("s3")
target = handle.target("acme-lake")
def use():
    listed = kept.list_objects_v2(Bucket="acme-lake", Prefix="sales/")["KeyCount"]
    return listed, len(s.execute("LIST 's3://acme-lake/sales/'")), len(target.sign([("list-type", "2")]).headers) > 3
role = s.connection("role")
before = role.frozen_credentials()
held, go = threading.Event(), threading.Event()
locks = [one._lock for one in (handle._state, handle.regions, handle._state.clients(), target)]
def hold():
    with locks[0], locks[1], locks[2], locks[3], role.credentials()._refresh_lock:
        held.set()
        go.wait()
print(use(), flush=True)
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    role.credentials()._expiry_time -= datetime.timedelta(hours=1)
    print("child", use(), role.frozen_credentials() == before, flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], flush=True)
go.set()
print("parent", use(), flush=True)
"""


def test_a_forked_child_works_and_leaves_the_parent_alone(sandbox):
    """After os.fork, with every lock held by a thread that is not there, the child lists by its own sockets.

    A role whose credentials that thread was about to renew is renewed by the child.
    """
    used = []
    ask = passing_to(sandbox.endpoint)
    with recording(lambda one: used.append(one) or ask(one)) as wire:
        text = create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint)
        role = {"AWS_ROLE": ROLE_ARN, "EXTERNAL_ID": EXTERNAL_ID, "ENDPOINT": wire.endpoint, "VALIDATE": False}
        text += "; USE CONNECTION lake; " + create("role", keys=sandbox.admin, **role)
        done = subprocess.run(
            [sys.executable, "-c", _FORK],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "CREATE": text},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["(2, 2, True)", "child (2, 2, True) True", "0", "parent (2, 2, True)"]
    # Only LIST asks for folders; the others came from the client that was made before the fork.
    first, child, second = (one.connection for one in used if one.path == f"/{LAKE}" and "delimiter" not in one.query)
    assert first == second != child


def test_clients_share_what_describes_their_service(run):
    """Sessions of one connection after another read S3's description once, and don't grow what they share."""
    loaders = [run.connection("lake").session()._session.get_component("data_loader") for _ in range(3)]
    assert len({id(one) for one in loaders}) == 1
    assert len(loaders[0].search_paths) == len(set(loaders[0].search_paths))


def test_requests_of_the_public_bucket_need_no_signature(sandbox):
    """An anonymous connection's client presigns nothing and reads the public bucket by a plain URL."""
    run = Statements()
    run(create("open", ANONYMOUS=True, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    s3 = run.connection("open").client("s3")
    url = s3.generate_presigned_url("get_object", {"Bucket": PUBLIC, "Key": "README.txt"})
    assert url == f"{sandbox.endpoint}/{PUBLIC}/README.txt"
