"""Every provider of credentials, and every way in which it breaks: named with its remedy, and never our defect."""

from __future__ import annotations

import json
import re
import sys

import pytest
from botocore.session import Session
from recording import Reply, recording
from statements import Statements, create

from s3conn_magic.connections.faults import action_of
from s3conn_magic.errors import CredentialsError, EndpointError, InternalError

PAIR = "aws_access_key_id = A\naws_secret_access_key = hidden\n"
ROLE = "arn:aws:iam::123456789012:role/r"
SCRIPT = "import sys; sys.stdout.write({!r}); sys.exit({})"
WEB = f"[profile p]\nrole_arn = {ROLE}\nweb_identity_token_file = "
SSO = """[profile p]
sso_session = s
sso_account_id = 123456789012
sso_role_name = r
[sso-session s]
sso_region = us-east-1
sso_start_url = https://x
"""


def process(output, code=0):
    """A profile whose credential_process writes something."""
    return f'[profile p]\ncredential_process = {sys.executable} -c "{SCRIPT.format(output, code)}"\n'.replace("\\n", "")


# Config file, environment, what the message names, what the hint names.
BROKEN = {
    "half a key pair in a file": (
        "[profile p]\naws_access_key_id = A\n",
        {},
        "aws_secret_access_key",
        "aws_access_key_id",
    ),
    "half a key pair in the environment": ("", {"AWS_ACCESS_KEY_ID": "A"}, "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS"),
    "a line end in a key": (
        "",
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "hidden\n"},
        "the environment: .* line end",
        "AWS_SECRET_ACCESS_KEY",
    ),
    "a process that is not there": (
        "[profile p]\ncredential_process = /not/there\n",
        {},
        "profile p: .*/not/there",
        "",
    ),
    "a process that fails": (process("hidden", 3), {}, "credential_process of the profile p", "credential_process"),
    "a process without JSON": (process("hidden"), {}, "credential_process of the profile p: .*cut short", ""),
    "a process with half a JSON": (process("{'Version': 1,"), {}, "credential_process of the profile p", ""),
    "a process of another version": (process("[]"), {}, "credential_process of the profile p", ""),
    "a web identity without its file": (
        f"{WEB}/not/there\n",
        {},
        "web identity of the profile p: .*/not/there",
        "file",
    ),
    "a role of a profile that is not there": (
        f"[profile p]\nrole_arn = {ROLE}\nsource_profile = gone\n",
        {},
        "the role of the profile p: .*",
        "source_profile",
    ),
    "a role that leads back": (
        f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n[profile q]\nrole_arn = {ROLE}\nsource_profile = p\n",
        {},
        "leads back to itself",
        "key pair",
    ),
    "a credential_source that is none": (
        f"[profile p]\nrole_arn = {ROLE}\ncredential_source = Nowhere\n",
        {},
        "the role of the profile p",
        "credential_source",
    ),
    "SSO without a login": (SSO, {}, "SSO session of the profile p", "aws sso login --profile p"),
    "SSO without its section": ("[profile p]\nsso_session = s\n", {}, "the profile p names no", "sso_session"),
    "a container without its token file": (
        "",
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/no"},
        "container's role: .*/no",
        "AWS_CONTAINER",
    ),
    "a container of another host": (
        "",
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://elsewhere.example/x"},
        "container's role",
        "AWS_CONTAINER",
    ),
    "a timeout that is no number": ("", {"AWS_METADATA_SERVICE_TIMEOUT": "abc"}, "metadata service", "TIMEOUT"),
    "a profile that is not there": ("", {"AWS_PROFILE": "gone"}, "profile gone is not", "list-profiles"),
    "a file that is none": ("[profile p\nx", {}, "configuration file .*aws-config", "brackets"),
    "a section of services that is not there": (
        f"[profile p]\nservices = gone\n{PAIR}",
        {},
        "services",
        "rite the section",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_machine_is_named_with_its_remedy(aws_files, monkeypatch, broken):
    """What is wrong is said by provider, profile, file or variable, without a secret, and nothing is created."""
    config, env, message, hint = BROKEN[broken]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    aws_files[0].write_text(config, encoding="utf-8")
    run = Statements()
    options = {"AWS_PROFILE": "p"} if "[profile p" in config else {}
    failed = run.fails(create("lake", keys=None, **options), CredentialsError)
    assert failed.hint
    assert re.search(message, failed.message), failed.message
    assert hint in failed.hint
    assert "hidden" not in failed.block()
    assert run.connections == []


ANSWERS = {
    "half a JSON": b'{"AccessKeyId": "A"',
    "no secret": b'{"AccessKeyId": "A"}',
    "no object": b"[]",
    "HTML": b"<p>",
}


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
def test_a_container_s_answer_that_is_none(monkeypatch, body):
    """What answers for a container and gives no key pair is named, whatever it gives."""
    with recording(lambda _: Reply(200, {}, body)) as wire:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{wire.endpoint}/keys")
        failed = Statements().fails(create("lake", keys=None), CredentialsError)
    assert "the container's role" in failed.message
    assert not isinstance(failed, InternalError)


NO_ENDPOINT = {"AWS_ENDPOINT_URL": "minio:9000", "AWS_ENDPOINT_URL_S3": "http://me:hidden@minio"}


@pytest.mark.parametrize("name", NO_ENDPOINT)
def test_an_endpoint_of_the_environment_that_is_none(monkeypatch, name):
    """A variable that names no server is named, what it holds is not, and the card can be shown."""
    monkeypatch.setenv(name, NO_ENDPOINT[name])
    run = Statements()
    failed = run.fails(create("lake", AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="b"), EndpointError)
    assert f"variable {name}" in failed.message
    assert "hidden" not in failed.block()
    run(create("later", AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="b", VALIDATE=False))
    assert list(run("SHOW CONNECTIONS")["name"]) == ["later"]


def test_a_process_with_a_bad_date(aws_files, tmp_path):
    """A credential_process whose Expiration is no date is the process's fault."""
    script = tmp_path / "gives.py"
    given = {
        "Version": 1,
        "AccessKeyId": "A",
        "SecretAccessKey": "hidden",
        "Expiration": "tomorrow",
        "SessionToken": "t",
    }
    script.write_text(f"print({json.dumps(given)!r})", encoding="utf-8")
    aws_files[0].write_text(f"[profile p]\ncredential_process = {sys.executable} {script}\n", encoding="utf-8")
    failed = Statements().fails(create("lake", keys=None, AWS_PROFILE="p"), CredentialsError)
    assert "the credential_process of the profile p" in failed.message
    assert "hidden" not in failed.block()


@pytest.mark.parametrize("service", ["s3", "sts"])
def test_no_action_is_made_up(service):
    """Actions that errors name are of the service that has them; no name of a mere operation is one."""
    operations = Session().get_service_model(service).operation_names
    actions = {action_of(name) for name in operations}
    assert {action.split(":")[0] for action in actions} <= {service, "s3express", "s3-object-lambda"}
    assert not actions & {f"s3:{name}" for name in ("DeleteObjects", "ListObjectsV2", "HeadObject", "UploadPart")}


PAGES = {
    "a proxy's": Reply(
        403, {"Content-Type": "text/html", "Server": "squid"}, b"<html><title>Access blocked</title></html>"
    ),
    "plain text": Reply(403, {"Content-Type": "text/plain"}, b"Forbidden by policy 7"),
    "a server that begins": Reply(404, {"Content-Type": "text/html"}, b"<!DOCTYPE html><h1>Not ready</h1>"),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_refusal_that_s3_does_not_give(page):
    """A page in place of S3's document is said as such, with its status, and asks for no permission."""
    with recording(lambda _: PAGES[page]) as wire:
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
        run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False, **pair))
        failed = run.fails("LIST 's3://bucket/'", EndpointError)
    assert "not from S3" in failed.message
    assert f"status {PAGES[page].status}" in failed.message
    if b"<title>" in PAGES[page].body:
        assert "Access blocked" in failed.message
        assert "squid" in failed.message
    assert "ENDPOINT" in failed.hint
