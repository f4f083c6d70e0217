"""What is handed on follows its connection, carries what the connection is told, and shows no secret."""

from __future__ import annotations

import base64
import gc
import importlib.util
import os
import pickle
import pprint
import time
import weakref
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import obstore
import pandas as pd
import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from handed import BUCKET
from IPython.lib.pretty import pretty
from obstore.exceptions import BaseError
from recording import Reply, passing_to, recording
from statements import Statements, create

from s3conn_magic.connections.configuration import own_cas
from s3conn_magic.errors import ConnectionNotFoundError, CredentialsError, EndpointError, S3ConnError
from s3conn_magic.handoff.handed_files import HandedFileSystem
from s3conn_magic.handoff.libraries import travelling
from s3conn_magic.sandbox import EXTERNAL_ID, LAKE, PUBLIC, ROLE_ARN, Keys
from s3conn_magic.secrets import Secret, SecretText, StorageOptions

pytestmark = pytest.mark.filterwarnings("ignore:.*considered unstable")
KEY = base64.b64encode(b"k" * 32).decode()
SECRET = "rclone/example/secret"


def _past_the_shortest_wait():
    """Stores ask for credentials at most every tenth of a second."""
    time.sleep(0.15)


# Credentials


def test_what_was_handed_on_follows_an_alter(handed):
    """Filesystems, options and stores sign their next request with the altered connection's credentials.

    Polars asks its provider again within a minute; what it is given then is new.
    """
    connection = handed.connection
    store, files = connection.obstore(BUCKET), connection.fsspec()
    options = connection.storage_options("pandas")
    provide = connection.storage_options("polars").credential_provider
    uses = (
        lambda: obstore.head(store, "table.csv"),
        lambda: files.info(f"{BUCKET}/table.csv"),
        lambda: pd.read_csv(f"s3://{BUCKET}/table.csv", storage_options=options, nrows=1),
    )
    for use in uses:
        use()
    assert {one.signed_by for one in handed.wire.requests} == {"RCLONEEXAMPLEKEY"}
    handed.alter("SET AWS_ACCESS_KEY_ID = 'AKIANEW' AWS_SECRET_ACCESS_KEY = 'new'")
    _past_the_shortest_wait()
    handed.wire.requests.clear()
    for use in uses:
        with pytest.raises((S3ConnError, BaseError)):
            use()
    found, ask_again = provide()
    assert found == {"aws_access_key_id": "AKIANEW", "aws_secret_access_key": "new"}
    assert ask_again <= time.time() + 60
    assert len(handed.wire.requests) >= 3
    assert {one.signed_by for one in handed.wire.requests} == {"AKIANEW"}


def test_what_was_handed_on_ends_with_the_connection(handed):
    """After DROP nothing that was given out sends a request, and nothing more is given out."""
    connection = handed.connection
    store, files, options = connection.obstore(BUCKET), connection.fsspec(), connection.storage_options("pandas")
    provide = connection.storage_options("polars").credential_provider
    obstore.head(store, "table.csv")
    handed.run("DROP CONNECTION lake")
    _past_the_shortest_wait()
    handed.wire.requests.clear()
    with pytest.raises(BaseError, match="dropped"):
        obstore.head(store, "table.csv")
    uses = (
        lambda: files.info(f"{BUCKET}/table.csv"),
        lambda: pd.read_csv(f"s3://{BUCKET}/table.csv", storage_options=options),
        provide,
        connection.fsspec,
        connection.pyarrow_filesystem,
        connection.duckdb_secret,
        lambda: connection.obstore(BUCKET),
        lambda: connection.storage_options("pandas"),
        lambda: connection.storage_options("deltalake"),
    )
    for use in uses:
        with pytest.raises(ConnectionNotFoundError, match="dropped"):
            use()
    assert handed.wire.requests == []


def test_a_store_of_a_connection_that_became_read_only_writes_nothing(handed):
    """CREATE OR REPLACE … READ_ONLY reaches the stores that were given out before."""
    store = handed.connection.obstore(BUCKET)
    text = create("lake", keys=handed.server.keys, ENDPOINT=handed.wire.endpoint, VALIDATE=False, READ_ONLY=True)
    handed.run(text.replace("CREATE", "CREATE OR REPLACE", 1))
    with pytest.raises(BaseError, match="READ_ONLY"):
        obstore.put(store, "refused.txt", b"x")
    assert handed.wire.requests == []


def test_a_role_s_credentials_are_temporary(sandbox):
    """Options and providers of a role carry its token and say when it ends; stores and polars read with it."""
    with recording(passing_to(sandbox.endpoint)) as wire:
        run = Statements()
        told = {"AWS_ROLE": ROLE_ARN, "EXTERNAL_ID": EXTERNAL_ID, "ENDPOINT": wire.endpoint}
        run(create("role", keys=sandbox.admin, VALIDATE=False, **told))
        connection = run.connection("role")
        options = connection.storage_options("polars")
        found, ask_again = options.credential_provider()
        store = connection.obstore(LAKE)
        assert obstore.get(store, "sales/customers.csv").bytes()
        path = f"s3://{LAKE}/sales/customers.csv"
        assert pl.read_csv(path, storage_options=options).height > 0
        used = [one for one in wire.requests if one.path.startswith(f"/{LAKE}/")]
        delta = connection.storage_options("deltalake")
        assert "SESSION_TOKEN" in connection.duckdb_secret()
    now = datetime.now(UTC)
    assert options.expires_at > now
    assert now.timestamp() < ask_again <= options.expires_at.timestamp()
    assert found["aws_session_token"] == str(options["aws_session_token"]) == str(delta["AWS_SESSION_TOKEN"])
    assert delta.expires_at == options.expires_at
    assert used
    assert {one.headers["x-amz-security-token"] for one in used} == {found["aws_session_token"]}


OF_THE_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "env", "AWS_SESSION_TOKEN": "env-token"}


def in_environment(monkeypatch):
    for name, value in OF_THE_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def test_a_token_of_the_environment_is_never_sent_with_a_pair(handed, monkeypatch):
    """Libraries that would add it are given nothing, and the error says which variable; the others do not send it."""
    in_environment(monkeypatch)
    for library in ("polars", "deltalake"):
        with pytest.raises(CredentialsError, match=f"{library} would use the AWS_SESSION_TOKEN of the environment"):
            handed.connection.storage_options(library)
    obstore.head(handed.connection.obstore(BUCKET), "table.csv")
    handed.connection.fsspec().info(f"{BUCKET}/table.csv")
    assert {one.signed_by for one in handed.wire.requests} == {"RCLONEEXAMPLEKEY"}
    assert not [one for one in handed.wire.requests if "x-amz-security-token" in one.headers]


def test_anonymous_connections_hand_on_unsigned_access(sandbox, monkeypatch):
    """Stores, options and filesystems of an ANONYMOUS connection sign nothing, whatever the environment holds."""
    in_environment(monkeypatch)
    with recording(passing_to(sandbox.endpoint)) as wire:
        run = Statements()
        run(create("open", ANONYMOUS=True, ENDPOINT=wire.endpoint, VALIDATE=False))
        connection, path = run.connection("open"), f"s3://{PUBLIC}/README.txt"
        options = connection.storage_options("polars")
        assert options.credential_provider is None
        assert obstore.get(connection.obstore(PUBLIC), "README.txt").bytes()
        assert pl.read_csv(path, storage_options=options, has_header=False, separator="\x01").height > 0
        assert connection.fsspec().cat(path)
        assert {one.signed_by for one in wire.requests} == {None}
    assert "KEY_ID" not in connection.duckdb_secret()


# What the connection is told


def test_encryption_and_payer_are_carried_over():
    """The customer's key and the requester's consent travel with every request of a store, reads and writes."""
    with recording(
        lambda _: Reply(200, {"ETag": '"e"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, b"x")
    ) as wire:
        run, keys = Statements(), Keys("AKIAONE", Secret("one"))
        told = {"ENCRYPTION_CUSTOMER_MANAGED_KEY": KEY, "REQUESTER_PAYS": True, "REGION": "eu-west-1"}
        run(create("sealed", keys=keys, ENDPOINT=wire.endpoint, VALIDATE=False, **told))
        run(create("kms", keys=keys, ENDPOINT=wire.endpoint, VALIDATE=False, ENCRYPTION_KMS_KEY="alias/k"))
        store = run.connection("sealed").obstore("bucket")
        obstore.put(store, "k", b"x")
        obstore.get(store, "k").bytes()
        obstore.put(run.connection("kms").obstore("bucket"), "k", b"x")
        sealed = [one for one in wire.requests if one.path == "/bucket/k"]
    put, get, kms = sealed
    for one in (put, get):
        assert one.headers["x-amz-server-side-encryption-customer-key"] == KEY
        assert one.headers["x-amz-request-payer"] == "requester"
        assert one.signed_for == "eu-west-1"
    assert kms.headers["x-amz-server-side-encryption"] == "aws:kms"
    assert kms.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/k"
    with pytest.raises(S3ConnError, match="customer's key"):
        run.connection("sealed").duckdb_secret()


STYLE = "aws_virtual_hosted_style_request"
SAID = [
    ({}, {STYLE: "true", "aws_region": "eu-west-1"}),
    ({"ADDRESSING_STYLE": "path"}, {STYLE: "false"}),
    ({"ENDPOINT": "https://s3.example"}, {"aws_endpoint_url": "https://s3.example", STYLE: "false"}),
    (
        {"ENDPOINT": "http://s3.example:9000", "ADDRESSING_STYLE": "virtual"},
        {"aws_endpoint_url": "http://bucket.s3.example:9000", "aws_allow_http": "true", STYLE: "true"},
    ),
    ({"REQUESTER_PAYS": True}, {"aws_request_payer": "true"}),
    ({"ENCRYPTION_KMS_KEY": "alias/k"}, {"aws_server_side_encryption": "aws:kms", "aws_sse_kms_key_id": "alias/k"}),
]


@pytest.mark.parametrize(("told", "expected"), SAID)
def test_options_say_what_the_connection_is_told(told, expected):
    """Region, endpoint, addressing style, payer and encryption are in the options of polars and deltalake alike."""
    run = Statements()
    told = {"REGION": "eu-west-1"} | told
    run(create("lake", keys=Keys("AKIAONE", Secret("one")), VALIDATE=False, **told))
    bucket = "bucket" if "virtual" in told.values() else None
    connection = run.connection("lake")
    polars, delta = (connection.storage_options(library, bucket) for library in ("polars", "deltalake"))
    assert expected.items() <= polars.items()
    assert {name.upper(): one for name, one in polars.items()} == delta


def test_virtual_addresses_of_an_endpoint_are_those_of_one_bucket():
    """Where the bucket is part of the host, options without a bucket are refused, and the error says what to give."""
    run = Statements()
    told = {"ENDPOINT": "https://s3.example", "ADDRESSING_STYLE": "virtual", "REGION": "x"}
    run(create("lake", keys=Keys("AKIAONE", Secret("one")), VALIDATE=False, **told))
    with pytest.raises(S3ConnError, match="those of one bucket") as failed:
        run.connection("lake").storage_options("polars")
    assert "bucket=" in failed.value.hint
    assert "URL_STYLE 'vhost'" in run.connection("lake").duckdb_secret()


# What is shown, and what is not there


def test_nothing_that_is_ours_shows_a_secret(handed):
    """Printed forms of options, their copies, unions and values, of filesystems, stores and secrets are masked."""
    connection = handed.connection
    given = [
        connection.storage_options("polars"),
        connection.storage_options("deltalake"),
        connection.duckdb_secret(),
        connection.fsspec(),
        connection.pyarrow_filesystem(),
        connection.obstore(BUCKET),
        connection.storage_options("pandas"),
    ]
    given += [given[0].copy(), dict(given[0]), given[0] | {"a": 1}, list(given[0].values())]
    shown = [show(one) for one in given for show in (repr, pretty, pprint.pformat)]
    assert not [one for one in shown if SECRET in one]
    assert "<REDACTED>" in shown[0]
    assert given[0]["aws_secret_access_key"] == SECRET


def test_options_and_secrets_pickle_as_what_they_are():
    """What goes to another process keeps its values and its mask, and leaves the provider behind."""
    options = StorageOptions({"a": SecretText("hidden")}, credential_provider=print)
    found = pickle.loads(pickle.dumps(options))
    assert found == {"a": "hidden"}
    assert "hidden" not in repr(found)
    assert found.credential_provider is None


def test_options_that_name_a_connection_hold_nothing_of_it(handed):
    """Options of pandas are a handle; in another process, or when the connection is gone, it opens nothing."""
    options = handed.connection.storage_options("dask")
    assert options.keys() == {"protocol", "connection"}
    assert pickle.loads(pickle.dumps(HandedFileSystem(options["connection"]))).info(f"{BUCKET}/table.csv")["size"]
    with pytest.raises(ConnectionNotFoundError, match="no longer exists, or to another process"):
        HandedFileSystem("of another process").ls(BUCKET)


def test_a_filesystem_reaches_its_own_connection_alone(handed):
    """`s3://name@bucket` is read for the connection's own name, in any case, and refused for another."""
    handed.read_only()
    files = handed.connection.fsspec()
    assert files.info(f"s3://LAKE@{BUCKET}/table.csv")["size"]
    with pytest.raises(ConnectionNotFoundError, match="reaches the connection lake alone"):
        files.info(f"s3://careful@{BUCKET}/table.csv")


def test_options_keep_no_dropped_connection(handed):
    """Once a connection is dropped, the options that name it do not keep it."""
    options = handed.connection.storage_options("pandas")
    pd.read_csv(f"s3://{BUCKET}/table.csv", storage_options=options, nrows=1)
    left = weakref.ref(handed.connection)
    handed.run("DROP CONNECTION lake")
    gc.collect()
    assert left() is None


def test_a_library_that_has_no_options_is_named_with_those_that_have(handed):
    """An unknown library is an error that lists the known ones."""
    with pytest.raises(S3ConnError, match="no storage options for this library") as failed:
        handed.connection.storage_options("spark")
    assert failed.value.hint == "There are some for pandas, polars, fsspec, deltalake, dask and pyiceberg."


def test_obstore_where_it_is_not_installed(handed, monkeypatch):
    """Without obstore there is one error, which says how to get it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("s3conn_magic.handoff.libraries.find_spec", lambda _: None)
    with pytest.raises(S3ConnError, match="obstore is not installed") as failed:
        handed.connection.obstore(BUCKET)
    assert "pip install obstore" in failed.value.hint


def test_an_access_point_is_no_bucket_of_obstore(handed):
    """An access point's ARN is refused with what to use instead."""
    with pytest.raises(S3ConnError, match="not an access point's ARN"):
        handed.connection.obstore("arn:aws:s3:us-east-1:123456789012:accesspoint/one")


def test_stores_of_a_former_endpoint_get_no_key(handed):
    """After an ALTER of ENDPOINT, stores and providers that were given out are refused the new key, with the reason."""
    store, provide = handed.connection.obstore(BUCKET), handed.connection.storage_options("polars").credential_provider
    handed.alter("SET ENDPOINT = 'http://127.0.0.1:9' AWS_ACCESS_KEY_ID = 'AKIANEW' AWS_SECRET_ACCESS_KEY = 'new'")
    with pytest.raises(EndpointError, match="lake was altered: this was made for another ENDPOINT"):
        provide()
    _past_the_shortest_wait()
    with pytest.raises(BaseError, match="was altered"):
        obstore.head(store, "table.csv")
    assert handed.wire.requests == []


@pytest.mark.parametrize(
    "change",
    [
        "SET ENCRYPTION_KMS_KEY = 'alias/k'",
        f"SET ENCRYPTION_CUSTOMER_MANAGED_KEY = '{KEY}'",
        "SET REQUESTER_PAYS = TRUE",
    ],
)
def test_stores_write_nothing_as_the_connection_was_told_before(handed, change):
    """What a store was told once it cannot follow: after an ALTER of it, it is given no credentials any more."""
    store, provide = handed.connection.obstore(BUCKET), handed.connection.storage_options("polars").credential_provider
    handed.alter(change)
    with pytest.raises(EndpointError, match=f"another {change.split()[1]}"):
        provide()
    _past_the_shortest_wait()
    with pytest.raises(BaseError, match="was altered"):
        obstore.put(store, "refused.txt", b"x")
    assert handed.wire.requests == []


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({}, "AWS_SERVER_SIDE_ENCRYPTION"),
        ({"REQUESTER_PAYS": True}, "AWS_SERVER_SIDE_ENCRYPTION"),
        ({"ENCRYPTION_KMS_KEY": "alias/k"}, "AWS_SSE_BUCKET_KEY_ENABLED"),
    ],
)
def test_the_environment_encrypts_nothing(monkeypatch, told, name):
    """Where a library would take an encryption from there it is given nothing, and the hint of the error works."""
    run = Statements()
    run(create("lake", keys=Keys("AKIAONE", Secret("one")), ENDPOINT="http://127.0.0.1:9", VALIDATE=False, **told))
    lake = run.connection("lake")
    given = [partial(lake.storage_options, library) for library in ("polars", "deltalake")] + [
        partial(lake.obstore, "b")
    ]
    monkeypatch.setenv(name, "true")
    for give in given:
        with pytest.raises(CredentialsError, match=f"would use the {name} of the environment") as failed:
            give()
        assert f"os.environ.pop('{name}')" in failed.value.hint
    monkeypatch.delenv(name)
    assert all(give() for give in given)


@pytest.mark.parametrize("name", ["AWS_PROXY_URL", "AWS_ALLOW_INVALID_CERTIFICATES"])
def test_the_environment_leads_no_request_through_another_s_hands(handed, monkeypatch, name):
    """Deltalake would go by that proxy, and trust any certificate, so it is given nothing; the others do not."""
    monkeypatch.setenv(name, {"AWS_PROXY_URL": "http://127.0.0.1:9"}.get(name, "true"))
    with pytest.raises(CredentialsError, match=f"deltalake would use the {name}"):
        handed.connection.storage_options("deltalake")
    pl.scan_parquet(
        f"s3://{BUCKET}/table.parquet", storage_options=handed.connection.storage_options("polars")
    ).collect()
    obstore.head(handed.connection.obstore(BUCKET), "table.csv")
    assert {one.signed_by for one in handed.wire.requests} == {"RCLONEEXAMPLEKEY"}


def test_the_environment_takes_no_check_away(monkeypatch):
    """Bodies stay signed, and what is to replace nothing replaces nothing, whatever the environment says."""
    monkeypatch.setenv("AWS_UNSIGNED_PAYLOAD", "true")
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    with recording(lambda _: Reply(200, {"ETag": '"e"'})) as wire:
        run = Statements()
        run(create("lake", keys=Keys("AKIAONE", Secret("one")), ENDPOINT=wire.endpoint, VALIDATE=False))
        obstore.put(run.connection("lake").obstore(BUCKET), "new", b"x", mode="create")
        (request,) = wire.requests
    assert request.headers["if-none-match"] == "*"
    assert request.headers["x-amz-content-sha256"] == sha256(b"x").hexdigest()


LED_ASTRAY = {
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT": "http://127.0.0.1:9",
    "AWS_SKIP_SIGNATURE": "true",
    "AWS_REQUEST_PAYER": "true",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    "AWS_S3_EXPRESS": "true",
    "AWS_REGION": "eu-north-1",
}


@pytest.mark.parametrize("name", LED_ASTRAY)
def test_the_environment_leads_no_store_elsewhere(handed, monkeypatch, name):
    """A variable that these libraries read changes neither where they go nor how they sign; AWS_REGION is for all."""
    monkeypatch.setenv(name, LED_ASTRAY[name])
    options, delta = handed.connection.storage_options("polars"), handed.connection.storage_options("deltalake")
    pl.scan_parquet(f"s3://{BUCKET}/table.parquet", storage_options=options).select(pl.len()).collect()
    with pytest.raises(TableNotFoundError):
        DeltaTable(f"s3://{BUCKET}/not-there-{name.lower()}", storage_options=delta)
    obstore.head(handed.connection.obstore(BUCKET), "table.csv")
    assert handed.wire.requests
    region = LED_ASTRAY[name] if name == "AWS_REGION" else "us-east-1"
    assert {(one.signed_by, one.signed_for) for one in handed.wire.requests} == {("RCLONEEXAMPLEKEY", region)}
    assert not [one for one in handed.wire.requests if "x-amz-request-payer" in one.headers]


@pytest.mark.parametrize("named", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "profile"])
def test_cas_of_one_s_own_are_handed_on_or_refused(tmp_path, aws_files, monkeypatch, named):
    """Libraries that take no CAs with their options are refused until they are told as the hint says."""
    bundle = tmp_path / "company.pem"
    bundle.write_bytes(Path(own_cas()).read_bytes())
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    if named == "profile":
        aws_files[0].write_text(f"[default]\nca_bundle = {bundle}\n")
    else:
        monkeypatch.setenv(named, str(bundle))
    run, keys = Statements(), Keys("AKIAONE", Secret("one-secret"))
    run(create("lake", keys=keys, ENDPOINT="https://s3.example.com", VALIDATE=False))
    run(create("plain", keys=keys, ENDPOINT="http://127.0.0.1:9", VALIDATE=False))
    connection = run.connection("lake")
    for library in ("polars", "deltalake"):
        with pytest.raises(EndpointError, match="company") as refused:
            connection.storage_options(library, BUCKET)
        assert run.connection("plain").storage_options(library, BUCKET)
    assert b"CERTIFICATE" in connection.obstore(BUCKET).client_options["root_certificate"]
    assert connection.session().client("s3")._endpoint.http_session._verify == str(bundle)
    exec(refused.value.hint.partition(": ")[2].partition(". ")[0], {"os": os})
    try:
        assert connection.storage_options("polars", BUCKET)
    finally:
        os.environ.pop("SSL_CERT_FILE")


@pytest.mark.parametrize("variable", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_unusual_endpoints_of_aws_travel_or_are_refused(monkeypatch, variable):
    """A connection at FIPS or dual-stack endpoints is that in another process, or stays here."""
    monkeypatch.setenv(variable, "true")
    monkeypatch.setenv("KEY_OF_THE_TEST", "one-secret")
    run = Statements()
    given = "AWS_ACCESS_KEY_ID = 'AKIAONE' AWS_SECRET_ACCESS_KEY = ENV 'KEY_OF_THE_TEST' VALIDATE = FALSE"
    run(f"CREATE S3 CONNECTION fixed {given} REGION = 'us-gov-west-1'; CREATE S3 CONNECTION found {given}")
    _, statement, _ = travelling(run.connection("fixed"))
    host = "s3-fips." if "FIPS" in variable else "s3.dualstack."
    assert f"ENDPOINT = 'https://{host}us-gov-west-1.amazonaws.com'" in statement
    _, refusal, _ = travelling(run.connection("found"))
    assert isinstance(refusal, S3ConnError)
    run(refusal.hint.partition("; names one")[0] + " VALIDATE = FALSE")
    assert isinstance(travelling(run.connection("found"))[1], str)
