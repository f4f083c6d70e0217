"""Where credentials come from, watched on the wire in front of the sandbox."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
from boto_clients import client
from recording import Reply, passing_to, recording
from statements import Statements, create

from s3conn_magic.errors import AccessDeniedError, CredentialsError
from s3conn_magic.sandbox import EXTERNAL_ID, LAKE, LOGS, PUBLIC, ROLE_ARN, Keys
from s3conn_magic.secrets import Secret

ROLE = {"AWS_ROLE": ROLE_ARN, "EXTERNAL_ID": EXTERNAL_ID}
LAKE_ONLY = {"PATH_DISPLAY_FILTERS": f"s3://{LAKE}/"}
REFUSED = Reply(403, body=b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")
ASSUMED = "arn:aws:sts::123456789012:assumed-role/lake-reader/"


@pytest.fixture
def wire(sandbox):
    """The sandbox behind a recorder."""
    with recording(passing_to(sandbox.endpoint)) as recorder:
        yield recorder


@pytest.fixture
def run():
    return Statements()


@pytest.fixture
def environment_keys(monkeypatch, sandbox):
    """The admin's keys in the environment, where the default chain finds them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", sandbox.admin.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", sandbox.admin.secret_access_key.reveal())


def write_profiles(aws_files, text):
    aws_files[0].write_text(text)


def static(name, keys):
    secret = keys.secret_access_key.reveal()
    return f"[profile {name}]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {secret}\n"


def process(name, program):
    return f"[profile {name}]\ncredential_process = {sys.executable} {program}\n"


def issued(sandbox, **arguments):
    """Credentials of the role, by AssumeRole."""
    sts = client("sts", sandbox.endpoint, sandbox.admin)
    asked = {"RoleArn": ROLE_ARN, "RoleSessionName": "test", "ExternalId": EXTERNAL_ID, **arguments}
    return sts.assume_role(**asked)["Credentials"]


def signers(wire):
    """Access key ids that signed what came, without STS."""
    return {one.signed_by for one in wire.requests if one.method != "POST"}


def assumptions(wire):
    """The AssumeRole requests that came."""
    return [one for one in wire.requests if one.form.get("Action") == "AssumeRole"]


# The default chain


@pytest.mark.usefixtures("environment_keys")
def test_the_chain_finds_keys_in_the_environment(run, wire, sandbox):
    """Without a credential option the default chain signs."""
    card = run(create("lake", ENDPOINT=wire.endpoint))
    assert dict(card.lines)["credentials"] == "default chain"
    assert signers(wire) == {sandbox.admin.access_key_id}


def test_an_empty_chain_is_said(run, wire):
    """No credentials anywhere end in CredentialsError, which says how to give some, and no request."""
    error = run.fails(create("lake", ENDPOINT=wire.endpoint), CredentialsError)
    assert error.message == "the connection lake: no credentials were found"
    assert "AWS_PROFILE" in error.hint
    assert "ANONYMOUS" in error.hint
    assert wire.requests == []


def test_an_unprobed_connection_says_it_when_used(run, wire):
    """With VALIDATE = FALSE the lack of credentials is the error of the first statement that needs them."""
    run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False))
    for statement in ("SHOW BUCKETS", f"LIST 's3://{LAKE}/'", f"EXPLORE 's3://{LAKE}/'"):
        run.fails(statement, CredentialsError)
    assert wire.requests == []


# Key pairs


def test_a_session_token_travels_with_its_pair(run, wire, sandbox):
    """A temporary pair signs with its token in a header."""
    found = issued(sandbox)
    keys = Keys(found["AccessKeyId"], Secret(found["SecretAccessKey"]))
    options = {"AWS_SESSION_TOKEN": found["SessionToken"], "ENDPOINT": wire.endpoint, **LAKE_ONLY}
    card = run(create("lake", keys=keys, **options))
    assert dict(card.lines)["credentials"] == "key pair with session token"
    assert dict(card.lines)["identity"].startswith(ASSUMED)
    assert len(run(f"LIST 's3://{LAKE}/sales/'")) == 2
    assert {one.headers.get("x-amz-security-token") for one in wire.requests} == {found["SessionToken"]}


def test_a_pair_never_reads_the_environment(run, wire, sandbox, monkeypatch):
    """A pair is only itself: a missing AWS_PROFILE, other keys and a token in the environment change nothing."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "missing")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "foreign-token")
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint))
    assert len(run(f"LIST 's3://{LAKE}/sales/'")) == 2
    run.connection("lake").client("s3").list_objects_v2(Bucket=LAKE, MaxKeys=1)
    assert {one.signed_by for one in wire.requests} == {sandbox.admin.access_key_id}
    assert all("x-amz-security-token" not in one.headers for one in wire.requests)


# Profiles


@pytest.mark.usefixtures("environment_keys")
def test_a_profile_with_keys(run, wire, sandbox, aws_files):
    """AWS_PROFILE signs with the profile's keys, whatever the environment holds."""
    write_profiles(aws_files, static("sales", sandbox.restricted))
    card = run(create("lake", AWS_PROFILE="sales", ENDPOINT=wire.endpoint, PATH_DISPLAY_FILTER=f"s3://{LAKE}/sales/"))
    assert dict(card.lines)["credentials"] == "profile sales"
    assert signers(wire) == {sandbox.restricted.access_key_id}


def test_a_profile_with_a_process(run, wire, sandbox, aws_files, tmp_path):
    """A credential_process is run for its keys."""
    answer = {"Version": 1, "AccessKeyId": sandbox.admin.access_key_id}
    answer["SecretAccessKey"] = sandbox.admin.secret_access_key.reveal()
    (tmp_path / "give.py").write_text(f"print({json.dumps(json.dumps(answer))})")
    write_profiles(aws_files, process("given", tmp_path / "give.py"))
    run(create("lake", AWS_PROFILE="given", ENDPOINT=wire.endpoint))
    assert signers(wire) == {sandbox.admin.access_key_id}


def test_a_process_that_gives_expired_keys(run, wire, aws_files, tmp_path):
    """Keys that have expired already are named as such."""
    answer = {"Version": 1, "AccessKeyId": "AKIAOLD", "SecretAccessKey": "old-secret", "SessionToken": "t"}
    answer["Expiration"] = "2020-01-01T00:00:00Z"
    (tmp_path / "give.py").write_text(f"print({json.dumps(json.dumps(answer))})")
    write_profiles(aws_files, process("given", tmp_path / "give.py"))
    error = run.fails(create("lake", AWS_PROFILE="given", ENDPOINT=wire.endpoint), CredentialsError)
    assert "expired" in error.message


def test_a_process_that_fails_shows_nothing_of_it(run, wire, aws_files, tmp_path):
    """What a failing credential_process prints is not repeated."""
    (tmp_path / "give.py").write_text("import sys; sys.exit('hidden-in-stderr')")
    write_profiles(aws_files, process("given", tmp_path / "give.py"))
    error = run.fails(create("lake", AWS_PROFILE="given", ENDPOINT=wire.endpoint), CredentialsError)
    assert "hidden" not in error.block()


def test_a_profile_that_assumes_a_role(run, wire, sandbox, aws_files, monkeypatch):
    """A profile with role_arn and source_profile assumes the role with the source's keys."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", wire.endpoint)
    role = f"[profile reader]\nrole_arn = {ROLE_ARN}\nsource_profile = sales\nexternal_id = {EXTERNAL_ID}\n"
    write_profiles(aws_files, static("sales", sandbox.restricted) + role + "region = us-east-1\n")
    card = run(create("lake", AWS_PROFILE="reader", ENDPOINT=wire.endpoint, **LAKE_ONLY))
    assert dict(card.lines)["identity"].startswith(ASSUMED)
    assert [one.signed_by for one in assumptions(wire)] == [sandbox.restricted.access_key_id]


@pytest.fixture
def container(sandbox, tmp_path, monkeypatch):
    """The admin's keys where containers and old configuration files have them; recorded when they are asked for."""
    secret = sandbox.admin.secret_access_key.reveal()
    keys = {"AccessKeyId": sandbox.admin.access_key_id, "SecretAccessKey": secret, "Token": "t"}
    keys["Expiration"] = "2100-01-01T00:00:00Z"
    old = tmp_path / "boto.cfg"
    old.write_text(f"[Credentials]\naws_access_key_id = {keys['AccessKeyId']}\naws_secret_access_key = {secret}\n")
    monkeypatch.setenv("BOTO_CONFIG", str(old))
    with recording(lambda _: Reply(200, {}, json.dumps(keys).encode())) as recorder:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{recorder.endpoint}/credentials")
        yield recorder


@pytest.mark.usefixtures("environment_keys")
def test_a_profile_without_credentials_never_falls_through(run, wire, aws_files, container):
    """A profile that holds none is an error, though environment, container and old files have some; none is asked."""
    write_profiles(aws_files, "[profile bare]\nregion = us-east-1\n")
    run.fails(create("lake", AWS_PROFILE="bare", ENDPOINT=wire.endpoint), CredentialsError)
    assert container.requests == wire.requests == []


@pytest.mark.usefixtures("environment_keys")
def test_an_unknown_profile(run, wire):
    """A profile that is nowhere is an error when it is probed, and when an unprobed connection is used."""
    error = run.fails(create("lake", AWS_PROFILE="nowhere", ENDPOINT=wire.endpoint), CredentialsError)
    assert "profile" in error.message
    run(create("lake", AWS_PROFILE="nowhere", ENDPOINT=wire.endpoint, VALIDATE=False))
    for statement in ("SHOW BUCKETS", f"LIST 's3://{LAKE}/'", f"EXPLORE 's3://{LAKE}/'", "TEST CONNECTION lake"):
        if statement.startswith("TEST"):
            assert "profile" in run(statement)["detail"][0]
        else:
            run.fails(statement, CredentialsError)
    connection = run.connection("lake")
    for use in (lambda: connection.client("s3"), connection.session, connection.check_credentials):
        with pytest.raises(CredentialsError):
            use()
    assert wire.requests == []


# Anonymous


@pytest.mark.usefixtures("environment_keys")
def test_anonymous_requests_are_unsigned(run, wire):
    """ANONYMOUS sends no signature, though the environment has keys: to probe, list, explore, and as a client."""
    options = {"ANONYMOUS": True, "ENDPOINT": wire.endpoint, "PATH_DISPLAY_FILTERS": f"s3://{PUBLIC}/"}
    card = run(create("open", **options))
    assert dict(card.lines)["credentials"] == "anonymous"
    assert list(run(f"LIST 's3://{PUBLIC}/'")["key"]) == ["README.txt", "countries.csv"]
    run(f"EXPLORE 's3://{PUBLIC}/'")
    body = run.connection("open").client("s3").get_object(Bucket=PUBLIC, Key="README.txt")["Body"].read()
    assert body == b"Anyone may read this bucket.\n"
    assert wire.requests
    assert all("authorization" not in one.headers for one in wire.requests)
    assert all(one.method != "POST" for one in wire.requests)


def test_anonymous_is_refused_where_it_may_not_read(run, wire):
    """A private bucket is denied to nobody's requests, by the action that is missing."""
    options = {"ANONYMOUS": True, "ENDPOINT": wire.endpoint, "PATH_DISPLAY_FILTERS": f"s3://{LAKE}/"}
    error = run.fails(create("open", **options), AccessDeniedError)
    assert (error.action, error.resource) == ("s3:ListBucket", f"arn:aws:s3:::{LAKE}")


# Roles


def test_a_role_assumed_by_a_pair(run, wire, sandbox):
    """The pair signs AssumeRole, and what it returns signs everything else; the external id goes along."""
    card = run(create("lake", keys=sandbox.restricted, ENDPOINT=wire.endpoint, **ROLE, **LAKE_ONLY))
    assert dict(card.lines)["identity"].startswith(ASSUMED)
    assert dict(card.lines)["role"] == ROLE_ARN
    [asked] = assumptions(wire)
    assert asked.signed_by == sandbox.restricted.access_key_id
    assert (asked.form["RoleArn"], asked.form["ExternalId"]) == (ROLE_ARN, EXTERNAL_ID)
    assert asked.form["DurationSeconds"] == "3600"
    assert sandbox.restricted.access_key_id not in signers(wire)


@pytest.mark.usefixtures("environment_keys")
def test_a_role_assumed_by_a_profile(run, wire, sandbox, aws_files):
    """With AWS_PROFILE the profile's keys assume the role."""
    write_profiles(aws_files, static("sales", sandbox.restricted))
    run(create("lake", AWS_PROFILE="sales", ENDPOINT=wire.endpoint, **ROLE, **LAKE_ONLY))
    assert [one.signed_by for one in assumptions(wire)] == [sandbox.restricted.access_key_id]


@pytest.mark.usefixtures("environment_keys")
def test_a_role_assumed_by_the_chain(run, wire, sandbox):
    """With neither, the default chain's keys assume the role."""
    card = run(create("lake", ENDPOINT=wire.endpoint, **ROLE, **LAKE_ONLY))
    assert dict(card.lines)["credentials"] == "role, assumed by default chain"
    assert [one.signed_by for one in assumptions(wire)] == [sandbox.admin.access_key_id]


def test_a_role_without_an_external_id_sends_none(run, wire, sandbox):
    """EXTERNAL_ID is sent when it is given and only then; the sandbox's role refuses to be assumed without it."""
    error = run.fails(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, AWS_ROLE=ROLE_ARN), AccessDeniedError)
    assert (error.action, error.resource) == ("sts:AssumeRole", ROLE_ARN)
    assert ["ExternalId" in one.form for one in assumptions(wire)] == [False]
    assert run.connections == []


def test_a_role_s_own_rights_count(run, wire, sandbox):
    """What the role may not list is denied, though the pair that assumes it may."""
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, **ROLE, **LAKE_ONLY))
    error = run.fails(f"LIST 's3://{LOGS}/'", AccessDeniedError)
    assert (error.action, error.resource) == ("s3:ListBucket", f"arn:aws:s3:::{LOGS}")


class Issuer:
    """The sandbox behind a recorder that keeps what AssumeRole gave out."""

    def __init__(self, endpoint):
        self._ask = passing_to(endpoint)
        self.triples = []

    def __call__(self, request):
        """Pass it on, and keep the triple."""
        reply = self._ask(request)
        if request.form.get("Action") == "AssumeRole":
            names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
            text = reply.body.decode()
            self.triples.append(tuple(text.partition(f"<{one}>")[2].partition("<")[0] for one in names))
        return reply


def test_role_credentials_refresh_once_for_sixteen_threads(run, sandbox, threads, set_clock):
    """At first use, and again when they are about to expire, one AssumeRole serves 16 threads with whole triples."""
    issuer = Issuer(sandbox.endpoint)
    with recording(issuer) as wire:
        run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, VALIDATE=False, **ROLE))
        connection = run.connection("lake")
        first = set(threads(connection.frozen_credentials))
        assert [one[:3] for one in first] == issuer.triples
        # Botocore's mandatory refresh begins ten minutes before the end.
        set_clock(timedelta(minutes=59), connection)
        connection.credentials()._refresh_using = _with_longer_life(connection.credentials()._refresh_using)
        second = set(threads(connection.frozen_credentials))
        assert len(issuer.triples) == 2
        assert [one[:3] for one in second] == issuer.triples[1:]
        assert first != second
        run.connection("lake").client("s3").list_objects_v2(Bucket=LAKE, MaxKeys=1)
        assert wire.requests[-1].signed_by == issuer.triples[1][0]


@pytest.fixture
def set_clock(monkeypatch):
    """Lets botocore believe, for a connection's credentials, that it is later."""

    def set_to(ahead, connection):
        def later():
            return datetime.now(UTC) + ahead

        monkeypatch.setattr("botocore.credentials._local_now", later)
        monkeypatch.setattr(connection.credentials(), "_time_fetcher", later)

    return set_to


def _with_longer_life(fetch):
    """The sandbox's clock does not move with the test's, so what it gives out ends an hour later here."""

    def fetched():
        found = fetch()
        end = datetime.fromisoformat(found["expiry_time"]) + timedelta(hours=1)
        return {**found, "expiry_time": end.isoformat()}

    return fetched


def test_a_clock_that_is_wrong_is_named(run, wire, sandbox, set_clock):
    """Role credentials that seem to have expired when they come point at the clock."""
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, VALIDATE=False, **ROLE))
    set_clock(timedelta(hours=2), run.connection("lake"))
    error = run.fails(f"LIST 's3://{LAKE}/'", CredentialsError)
    assert "clock" in error.hint


def test_a_failed_refresh_is_tried_again(run, sandbox):
    """A role that cannot be assumed at first is assumed at the next use."""
    refusals, ask = [REFUSED], passing_to(sandbox.endpoint)
    with recording(lambda one: refusals.pop() if refusals and one.method == "POST" else ask(one)) as wire:
        run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, VALIDATE=False, **ROLE))
        run.fails(f"LIST 's3://{LAKE}/sales/'", AccessDeniedError)
        assert len(run(f"LIST 's3://{LAKE}/sales/'")) == 2
