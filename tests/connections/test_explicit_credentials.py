"""Explicit settings are all there is: the environment is poisoned, and the metadata services listen in vain."""

from __future__ import annotations

import json
import sys

import boto3
import pytest
from botocore.credentials import create_credential_resolver
from recording import Reply, listing, recording
from statements import Statements, create

from s3conn_magic.errors import CredentialsError
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

PAIR = Keys("AKIAPAIR", Secret("pair-secret"))
ROLE = "arn:aws:iam::123456789012:role/reader"
BUCKET = "lake"
POISON = {
    "AWS_ACCESS_KEY_ID": "AKIAPOISON",
    "AWS_SECRET_ACCESS_KEY": "poison-secret",
    "AWS_SESSION_TOKEN": "poison-token",
    "AWS_SECURITY_TOKEN": "poison-token",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/poison",
    "AWS_ROLE_SESSION_NAME": "poison",
    "AWS_CREDENTIAL_EXPIRATION": "2100-01-01T00:00:00Z",
    "AWS_BEARER_TOKEN_S3": "poison-bearer",
    "AWS_DEFAULTS_MODE": "auto",
    "AWS_EXECUTION_ENV": "",
}
ISSUED = (
    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
    "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>role-token</SessionToken>"
    "<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
)
STATIC = "[profile static]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = profile-secret\n"
PROFILES = (
    STATIC
    + f"[profile role]\nrole_arn = {ROLE}\nsource_profile = static\nregion = us-east-1\n"
    + "[profile bare]\nregion = us-east-1\n"
    + "[profile automatic]\ndefaults_mode = auto\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = s\n"
)
KINDS = {
    "pair": ({"keys": PAIR}, "AKIAPAIR"),
    "pair with token": ({"keys": PAIR, "AWS_SESSION_TOKEN": "t"}, "AKIAPAIR"),
    "pair and role": ({"keys": PAIR, "AWS_ROLE": ROLE}, "ASIAROLE"),
    "profile": ({"AWS_PROFILE": "static"}, "AKIAPROFILE"),
    "profile with a process": ({"AWS_PROFILE": "process"}, "AKIAPROCESS"),
    "profile with a role": ({"AWS_PROFILE": "role"}, "ASIAROLE"),
    "profile and role": ({"AWS_PROFILE": "static", "AWS_ROLE": ROLE}, "ASIAROLE"),
    "profile with automatic defaults": ({"AWS_PROFILE": "automatic"}, "AKIAPROFILE"),
    "anonymous": ({"ANONYMOUS": True}, None),
}


@pytest.fixture
def wire():
    """S3 and STS."""
    with recording(
        lambda one: Reply(200, {}, ISSUED.encode()) if one.method == "POST" else listing(BUCKET)
    ) as recorder:
        yield recorder


@pytest.fixture
def metadata(monkeypatch):
    """The instance's metadata service, the container's credentials and an old file, all of which would give some."""
    keys = {"AccessKeyId": "AKIAMETADATA", "SecretAccessKey": "s", "Token": "t", "Code": "Success"}
    body = json.dumps({**keys, "Expiration": "2100-01-01T00:00:00Z"}).encode()
    with recording(lambda one: Reply(200, {}, b"us-east-1a" if "placement" in one.path else body)) as recorder:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", recorder.endpoint)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{recorder.endpoint}/credentials")
        yield recorder


@pytest.fixture
def poisoned(monkeypatch, tmp_path, wire, aws_files):
    """Keys, tokens, roles and files of somebody else wherever the environment may name them."""
    for name, value in POISON.items():
        monkeypatch.setenv(name, value)
    old, token = tmp_path / "boto.cfg", tmp_path / "token"
    old.write_text("[Credentials]\naws_access_key_id = AKIAOLD\naws_secret_access_key = s\n")
    token.write_text("poison-identity")
    monkeypatch.setenv("BOTO_CONFIG", str(old))
    monkeypatch.setenv("AWS_CREDENTIAL_FILE", str(old))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", wire.endpoint)
    give = tmp_path / "give.py"
    give.write_text(
        f"print({json.dumps(json.dumps({'Version': 1, 'AccessKeyId': 'AKIAPROCESS', 'SecretAccessKey': 's'}))})"
    )
    aws_files[0].write_text(PROFILES + f"[profile process]\ncredential_process = {sys.executable} {give}\n")


def test_the_metadata_service_would_answer(metadata):
    """The services that the next tests find unasked give credentials to whom asks."""
    found = boto3.session.Session().get_credentials()
    assert found.get_frozen_credentials().access_key == "AKIAMETADATA"
    assert metadata.requests


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", KINDS)
def test_explicit_credentials_read_nothing_else(kind, wire, metadata, monkeypatch):
    """Whatever is set explicitly signs every request, of statements and handles; nothing else is asked or sent."""
    options, signer = KINDS[kind]
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.setenv(name, "poison")
    run = Statements()
    run(create("lake", ENDPOINT=wire.endpoint, PATH_DISPLAY_FILTERS=f"s3://{BUCKET}/", **options))
    run(f"LIST 's3://{BUCKET}/'")
    run(f"TEST CONNECTION lake LOCATION 's3://{BUCKET}/'")
    connection = run.connection("lake")
    connection.client("s3").list_objects_v2(Bucket=BUCKET)
    connection.session().client("s3", endpoint_url=wire.endpoint).list_objects_v2(Bucket=BUCKET)
    assert {one.signed_by for one in wire.requests if one.method == "GET"} == {signer}
    assert metadata.requests == []
    sent = repr([(one.target, dict(one.headers), one.body) for one in wire.requests]).lower()
    assert "poison" not in sent
    assert "akiaold" not in sent


@pytest.mark.usefixtures("poisoned")
def test_a_profile_without_credentials_is_an_error(wire, metadata):
    """A profile that names none falls through to nothing of all this."""
    run = Statements()
    run.fails(create("lake", AWS_PROFILE="bare", ENDPOINT=wire.endpoint), CredentialsError)
    assert metadata.requests == wire.requests == []


@pytest.mark.usefixtures("poisoned")
def test_a_profile_may_name_its_container(wire, metadata, aws_files):
    """Where the profile itself says where its credentials come from, that is asked: it is what was set."""
    aws_files[0].write_text(
        f"[profile there]\nrole_arn = {ROLE}\ncredential_source = EcsContainer\nregion = us-east-1\n"
    )
    run = Statements()
    run(create("lake", AWS_PROFILE="there", ENDPOINT=wire.endpoint, VALIDATE=False))
    run(f"LIST 's3://{BUCKET}/'")
    assert [one.path for one in metadata.requests] == ["/credentials"]
    assert [one.signed_by for one in wire.requests] == ["AKIAMETADATA", "ASIAROLE"]


def test_every_way_of_botocore_s_chain_is_known():
    """A way to find credentials that botocore adds is one to decide on: whether a profile may take it."""
    resolver = create_credential_resolver(boto3.session.Session()._session)
    of_a_profile = {
        "assume-role",
        "assume-role-with-web-identity",
        "sso",
        "login",
        "shared-credentials-file",
        "custom-process",
        "config-file",
    }
    others = {"env", "ec2-credentials-file", "boto-config", "container-role", "iam-role"}
    assert {one.METHOD for one in resolver.providers} == of_a_profile | others
