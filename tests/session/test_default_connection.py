"""A session without a connection makes one of the default credentials chain when a statement needs it."""

from __future__ import annotations

import pytest
from recording import Reply, listing, recording
from statements import Statements

from s3conn_magic.errors import ConnectionNotFoundError, CredentialsError
from s3conn_magic.language.plans import DEFAULT_S3

BUCKETS = Reply(200, {}, b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>")


@pytest.fixture
def wire(monkeypatch):
    """A server that the environment names, with keys for it."""
    with recording(lambda one: listing("bucket", "a.txt") if "list-type" in one.query else BUCKETS) as recorder:
        monkeypatch.setenv("AWS_ENDPOINT_URL", recorder.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIACHAIN")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
        yield recorder


@pytest.mark.parametrize("statement", ["LIST 's3://bucket/'", "SHOW BUCKETS", "LIST 's3://bucket/'; SHOW BUCKETS"])
def test_the_first_statement_makes_it(wire, statement):
    """It is made once, said once, and signs by the chain."""
    run = Statements()
    run(statement)
    run(statement)
    assert run.connections == [DEFAULT_S3]
    [note] = run.notes
    assert DEFAULT_S3 in note
    assert {one.signed_by for one in wire.requests} == {"AKIACHAIN"}


@pytest.mark.parametrize("setting", ["SET DEFAULT_CONNECTION = FALSE"])
def test_it_is_not_made_where_it_is_not_wanted(wire, setting):
    """With the setting FALSE there is the error that says how to make a connection."""
    run = Statements()
    run(setting)
    failed = run.fails("LIST 's3://bucket/'", ConnectionNotFoundError)
    assert "CREATE S3 CONNECTION" in failed.hint
    assert run.connections == []
    assert wire.requests == []
    run("SET DEFAULT_CONNECTION = ''")
    run("SHOW BUCKETS")
    assert run.connections == [DEFAULT_S3]


@pytest.mark.parametrize(
    "statement",
    [
        f"LIST 's3://bucket/' USING {DEFAULT_S3}",
        f"DESCRIBE CONNECTION {DEFAULT_S3}",
        f"TEST CONNECTION {DEFAULT_S3}",
        f"SHOW CREATE S3 CONNECTION {DEFAULT_S3}",
        f"ALTER S3 CONNECTION {DEFAULT_S3} SET COMMENT = 'x'",
        f"USE CONNECTION {DEFAULT_S3}",
        f"ALTER S3 CONNECTION {DEFAULT_S3} RENAME TO other; ALTER S3 CONNECTION other RENAME TO {DEFAULT_S3}",
        f"SELECT count(*) FROM 's3://{DEFAULT_S3}@bucket/a.csv'",
    ],
)
@pytest.mark.usefixtures("wire")
def test_it_is_made_where_it_is_named(statement):
    """A statement that names it needs no CREATE before, as statements of Upsolver do not."""
    run = Statements()
    run(statement)
    assert run.connections == [DEFAULT_S3]
    assert len([note for note in run.notes if f"{DEFAULT_S3} was created" in note]) == 1


def test_without_credentials_none_is_made():
    """Where the chain has nothing, nothing is made, and the cell does nothing."""
    run = Statements()
    failed = run.fails("SET LIMIT = 7; LIST 's3://bucket/'", ConnectionNotFoundError)
    assert "there is no connection yet" in failed.message
    assert run.session.settings["LIMIT"] != 7


def test_a_broken_chain_is_said(monkeypatch):
    """Where the chain is broken, that is what is said."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIACHAIN")
    run = Statements()
    assert "AWS_SECRET_ACCESS_KEY" in run.fails("LIST 's3://bucket/'", CredentialsError).message
    assert run.connections == []


def test_a_connection_of_one_s_own_comes_first(wire):
    """With a connection of the session, none is made."""
    run = Statements()
    run("CREATE S3 CONNECTION mine VALIDATE = FALSE; LIST 's3://bucket/'")
    assert run.connections == ["mine"]
    assert run.notes == []
    assert wire.requests
