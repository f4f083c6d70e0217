"""Every provider of credentials, and every way in which it breaks: named with its remedy, and never our defect."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import SSOProvider
from botocore.session import Session
from botocore.tokens import SSOTokenProvider
from recording import Reply, error, listing, recording
from statements import Statements, create

from s3conn_magic.connections import credentials, providers
from s3conn_magic.connections.faults import action_of
from s3conn_magic.errors import (
    AccessDeniedError,
    CredentialsError,
    EndpointError,
    InternalError,
    RegionError,
    StatementInterrupted,
)

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
    "a variable of no profile": ("", {"AWS_PROFILE": ""}, "profile of AWS_PROFILE, which is empty", "AWS_PROFILE"),
    "a file that is none": ("[profile p\nx", {}, "configuration file .*aws-config", "brackets"),
    "the other half of a key pair": (
        "",
        {"AWS_SECRET_ACCESS_KEY": "hidden"},
        "the environment: AWS_ACCESS",
        "AWS_ACCESS",
    ),
    "the other half in a file": (
        "[profile p]\naws_secret_access_key = hidden\n",
        {},
        "access_key_id is missing",
        "aws-",
    ),
    "blanks around a key": (
        "",
        {"AWS_ACCESS_KEY_ID": " A", "AWS_SECRET_ACCESS_KEY": "hidden "},
        "AWS_ACCESS_KEY_ID has a line end, a blank",
        "AWS_ACCESS_KEY_ID",
    ),
    "quotation marks around a key": (
        "[profile p]\naws_access_key_id = 'A'\naws_secret_access_key = 'hidden'\n",
        {},
        "aws_access_key_id has quotation marks",
        "aws-config",
    ),
    "an end that is no time": (
        "",
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_CREDENTIAL_EXPIRATION": "soon"},
        "the environment: AWS_CREDENTIAL_EXPIRATION",
        "AWS_ACCESS_KEY_ID",
    ),
    "keys that have expired": (
        "",
        {
            "AWS_ACCESS_KEY_ID": "A",
            "AWS_SECRET_ACCESS_KEY": "hidden",
            "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z",
        },
        "the environment: .* expired",
        "clock",
    ),
    "a role with two sources": (
        f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\ncredential_source = Environment\n",
        {},
        "both source_profile and credential_source",
        "aws-config",
    ),
    "a role whose source has nothing": (
        f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n[profile q]\nregion = us-east-1\n",
        {},
        "the profile q, its source_profile, names no credentials",
        "aws-config",
    ),
    "a role whose source has a half": (
        f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n[profile q]\naws_access_key_id = A\n",
        {},
        "profile q: aws_secret_access_key is missing",
        "aws-config",
    ),
    "a role whose source has no login": (
        f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n{SSO.replace('profile p', 'profile q')}",
        {},
        "SSO session of the profile q",
        "aws sso login --profile q",
    ),
    "a role by an empty environment": (
        f"[profile p]\nrole_arn = {ROLE}\ncredential_source = Environment\n",
        {},
        "credential_source has no credentials",
        "AWS_ACCESS_KEY_ID",
    ),
    "a login without awscrt": (
        "[profile p]\nlogin_session = me\n",
        {},
        "aws login of the profile p: .*awscrt",
        "pip install",
    ),
    "a quotation mark that does not end": (
        "[profile p]\ncredential_process = 'x\n",
        {},
        "profile p: .*quotation",
        "config",
    ),
    "a process that is empty": ("[profile p]\ncredential_process =\n", {}, "credential_process is empty", "aws-config"),
    "SSO without its address": (SSO.replace("sso_start_url = https://x\n", ""), {}, "sso_start_url is missing", "sso_"),
    "SSO without its session's section": (
        SSO.partition("[sso-session")[0],
        {},
        "no section of the sso_session",
        "sso_",
    ),
    "a file of AWS_CREDENTIAL_FILE that is not there": (
        "",
        {"AWS_CREDENTIAL_FILE": "/not/there"},
        "the file of AWS_CREDENTIAL_FILE: there is no file",
        "AWS_CREDENTIAL_FILE",
    ),
    "a file of AWS_CREDENTIAL_FILE without keys": (
        "",
        {"AWS_CREDENTIAL_FILE": __file__},
        "test_broken_machines.py has no AWSAccessKeyId",
        "AWS_CREDENTIAL_FILE",
    ),
    "a boto configuration that is none": ("", {"BOTO_CONFIG": __file__}, "boto configuration: the file", "BOTO_CONFIG"),
    "a section that appears twice": (
        "[profile p]\nregion = x\n[profile p]\n",
        {},
        "config .*line 3.*profile p appears twice",
        "brackets",
    ),
    "a byte order mark": ("\ufeff[profile p]\n", {}, "byte order mark", "brackets"),
    "a metadata service that is no URL": (
        "",
        {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "here"},
        "metadata service: its address",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    ),
    "a container's address that is no URL": (
        "",
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "x"},
        "container's role",
        "https",
    ),
    "a container's token with a line end": (
        "",
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hidden\r\n",
        },
        "the container's role: its address or token",
        "no line end",
    ),
    "a blank within a key": (
        "[profile p]\naws_access_key_id = AKIA # mine\naws_secret_access_key = hidden\n",
        {},
        "aws_access_key_id has a line end, a blank",
        "aws-config",
    ),
    "quotation marks around a token": (
        f"[profile p]\n{PAIR}aws_session_token = 'x'\n",
        {},
        "aws_session_token has quotation marks",
        "aws-config",
    ),
    "a section as in the other file": (
        f"[p]\n{PAIR}[profile pp]\n",
        {"AWS_PROFILE": "p"},
        r"aws-config \(has \[p\], which is \[profile p\] there\)",
        "list-profiles",
    ),
    "a web identity whose role is not named": (
        "",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/not/there"},
        "the web identity of the profile default: its configuration is not complete",
        "AWS_ROLE_ARN",
    ),
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


SETTINGS = {
    "max_attempts of the variable AWS_MAX_ATTEMPTS": ({"AWS_MAX_ATTEMPTS": "many"}, ""),
    "max_attempts of the profile p": ({}, "max_attempts = many"),
    "defaults_mode of the variable AWS_DEFAULTS_MODE": ({"AWS_DEFAULTS_MODE": "x"}, ""),
    "sts_regional_endpoints of the profile p": ({}, "sts_regional_endpoints = x"),
    "account_id_endpoint_mode of the variable AWS_ACCOUNT_ID_ENDPOINT_MODE": (
        {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "x"},
        "",
    ),
    "the profile p has s3": ({}, "s3 = addressing_style=path"),
    "services of profile p has s3": ({}, "services = m\n[services m]\ns3 = endpoint_url = http://127.0.0.1:9"),
    "addressing_style of the profile p": ({}, "s3 =\n  addressing_style = host"),
    "us_east_1_regional_endpoint of the profile p": ({}, "s3 =\n  us_east_1_regional_endpoint = x"),
    "us_east_1_regional_endpoint of the variable AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": (
        {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "x"},
        "",
    ),
    "request_min_compression_size_bytes of the variable AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": (
        {"AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "99999999"},
        "",
    ),
    "request_min_compression_size_bytes of the profile p": ({}, "request_min_compression_size_bytes = small"),
    "request_checksum_calculation of the variable AWS_REQUEST_CHECKSUM_CALCULATION": (
        {"AWS_REQUEST_CHECKSUM_CALCULATION": "always"},
        "",
    ),
    "the CA bundle that the variable AWS_CA_BUNDLE names does not exist: /not/there": (
        {"AWS_CA_BUNDLE": "/not/there"},
        "",
    ),
    "the CA bundle that the profile p names does not exist: /not/there": ({}, "ca_bundle = /not/there"),
    "the proxy that the variable HTTPS_PROXY names is not": ({"HTTPS_PROXY": "http://127.0.0.1:port"}, ""),
    "the proxy that the variable https_proxy names is not": ({"https_proxy": "::::"}, ""),
    "the region of the profile p": ({}, "region = nowhere at all"),
    "the region of the variable AWS_REGION": ({"AWS_REGION": "eu_west_1!"}, ""),
}


@pytest.mark.parametrize("named", SETTINGS)
def test_a_setting_that_botocore_cannot_read(aws_files, monkeypatch, named):
    """A setting with a value that there is not is named by its place, and never called a defect of a library."""
    env, line = SETTINGS[named]
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    aws_files[0].write_text(f"[profile p]\n{PAIR}{line}\n", encoding="utf-8")
    failed = Statements().fails(create("lake", keys=None, AWS_PROFILE="p"), (EndpointError, RegionError))
    assert named in failed.message
    assert failed.hint


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


def printing(tmp_path, code, name="p"):
    """A profile whose credential_process runs a text of Python."""
    script = tmp_path / f"gives-{name}.py"
    script.write_text(code, encoding="utf-8")
    return f"[profile {name}]\ncredential_process = {sys.executable} {script}\n"


def _gives(**values):
    given = {"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "hidden", "SessionToken": "t", **values}
    return f"print({json.dumps({name: value for name, value in given.items() if value is not ...})!r})"


# What the process does, and what is said of it.
PROCESSES = {
    "a date that is none": (_gives(Expiration="tomorrow"), "its time"),
    "a date without a zone": (_gives(Expiration="2100-01-01T00:00:00"), "its time"),
    "a date that is a number": (_gives(Expiration=5), "its time"),
    "a date that has passed": (_gives(Expiration="2020-01-01T00:00:00Z"), "expired"),
    "no secret": (_gives(SecretAccessKey=...), "has no SecretAccessKey"),
    "a secret that is a number": (_gives(SecretAccessKey=5), "SecretAccessKey is not text"),
    "a secret that is null": (_gives(SecretAccessKey=None), "SecretAccessKey is not text"),
    "an empty secret": (_gives(SecretAccessKey=""), "SecretAccessKey is empty"),
    "a line end in the secret": (_gives(SecretAccessKey="hidden\r\n"), "SecretAccessKey has a line end"),
    "quotation marks": (_gives(AccessKeyId='"A"'), "AccessKeyId has quotation marks"),
    "another version": (_gives(Version=2), "Version 1"),
    "nothing": ("", "printed nothing"),
    "a number": ("print(5)", "not a JSON object"),
    "half": ("print('{')", "cut short"),
    "bytes": ("import sys; sys.stdout.buffer.write(b'\\xff')", "UTF-8"),
    "a status": ("import sys; sys.exit('hidden')", "ended with status 1"),
    "a signal": ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
    "no end": ("import time; time.sleep(600)", "not ended within"),
    "half, and no end": ("import time; print('{', flush=True); time.sleep(600)", "not ended within"),
}


@pytest.mark.parametrize("source", [False, True], ids=["its own", "of a source_profile"])
@pytest.mark.parametrize("broken", PROCESSES)
def test_a_process_that_gives_no_key_pair(aws_files, tmp_path, monkeypatch, broken, source):
    """A credential_process ends, and what it does not give is said of it and of its profile, also behind a role."""
    monkeypatch.setattr(providers, "_LONGEST_PROCESS", 0.5)
    code, message = PROCESSES[broken]
    role = f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n" if source else ""
    name = "q" if source else "p"
    aws_files[0].write_text(role + printing(tmp_path, code, name), encoding="utf-8")
    failed = Statements().fails(create("lake", keys=None, AWS_PROFILE="p"), CredentialsError)
    assert f"the credential_process of the profile {name}: " in failed.message
    assert re.search(message, failed.message), failed.message
    assert failed.hint
    assert "hidden" not in failed.block()


def test_the_stop_button_ends_a_process_with_its_statement(aws_files, tmp_path):
    """An interrupt ends the statement that waits for a credential_process, and the process."""
    noted = tmp_path / "pid"
    code = f"import os, time; open({str(noted)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    aws_files[0].write_text(printing(tmp_path, code), encoding="utf-8")

    def press():
        while not (noted.exists() and noted.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    Statements().fails(create("lake", keys=None, AWS_PROFILE="p"), StatementInterrupted)
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)


TOKEN = json.dumps({"accessToken": "hidden", "expiresAt": "2100-01-01T00:00:00Z"})
LOGIN = "aws sso login --profile p"
# What the cache has, what the service answers, and what the message or hint says.
SESSIONS = {
    "no cache": (None, None, LOGIN),
    "a cache that is cut short": (TOKEN[:20], None, LOGIN),
    "a cache of bytes": (b"\xff\xfe", None, LOGIN),
    "a cache that is a list": ("[]", None, LOGIN),
    "a login without an end": ('{"accessToken": "hidden"}', None, LOGIN),
    "a login that has ended": (TOKEN.replace("2100", "2020"), None, LOGIN),
    "a token that is refused": (TOKEN, Reply(401, {"x-amzn-errortype": "UnauthorizedException"}, b"{}"), LOGIN),
    "a role that is not the user's": (
        TOKEN,
        Reply(403, {"x-amzn-errortype": "ForbiddenException"}, b"{}"),
        "ForbiddenException.*sso_role_name",
    ),
    "a service that does not answer": (TOKEN, "silent", "not answer in time.*sso_region"),
    "an empty answer": (TOKEN, Reply(200, {}, b"{}"), LOGIN),
}


@pytest.fixture
def silent():
    """A server that takes connections, and answers none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def patient_with_none(monkeypatch):
    """Services of credentials are waited for a moment, and asked once."""
    monkeypatch.setattr(credentials, "_LONGEST_ANSWER", 0.3)
    monkeypatch.setattr(credentials, "_TRIES", 1)


@pytest.mark.parametrize("broken", SESSIONS)
@pytest.mark.usefixtures("patient_with_none")
def test_an_sso_session_that_gives_no_key_pair(home, aws_files, monkeypatch, silent, broken):
    """An SSO session that has ended says which login begins a new one; what a login does not mend says the rest."""
    cache, reply, said = SESSIONS[broken]
    folder = home / ".aws/sso/cache"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # botocore names a session's file so.
    path = folder / f"{hashlib.sha1(b's', usedforsecurity=False).hexdigest()}.json"
    monkeypatch.setattr(SSOProvider, "_SSO_TOKEN_CACHE_DIR", str(folder))
    monkeypatch.setattr(SSOTokenProvider, "_SSO_TOKEN_CACHE_DIR", str(folder))
    if cache is not None:
        path.write_bytes(cache if isinstance(cache, bytes) else cache.encode())
    aws_files[0].write_text(SSO, encoding="utf-8")
    with recording(lambda _: reply) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", silent if reply == "silent" else wire.endpoint)
        failed = Statements().fails(create("lake", keys=None, AWS_PROFILE="p"), CredentialsError)
    assert "the SSO session of the profile p" in failed.message
    assert re.search(said, f"{failed.message} {failed.hint}"), failed.block()
    assert "hidden" not in failed.block()


def _refusal(code, status=400):
    return Reply(status, {}, f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode())


# What STS answers to a token and to a key pair, and what is said: of the token, and of the role.
OF_STS = {
    "expired": (
        _refusal("ExpiredTokenException"),
        "the token of .*token, which has .* has expired",
        "credentials have expired",
    ),
    "not accepted": (_refusal("InvalidIdentityToken"), "does not accept the token of .*line end", "refused"),
    "not valid": (_refusal("ValidationError"), "ARN, a name or a duration", "ARN, a name or a duration"),
    "not allowed": (_refusal("AccessDenied", 403), "sts:AssumeRoleWithWebIdentity", "sts:AssumeRole is"),
    "not in this region": (_refusal("RegionDisabledException", 403), "not active", "not active"),
    "a wrong key": (_refusal("SignatureDoesNotMatch", 403), "signature", "profile q"),
    "another server": (Reply(200, {"Content-Type": "text/html"}, b"<html>"), "another service", "another service"),
    "an empty answer": (Reply(200, {}, b"<A/>"), "gave no Assume", "gave no Assume"),
    "no answer": ("silent", "not answer in time", "not answer in time"),
}


@pytest.mark.parametrize("web", [True, False], ids=["web identity", "role"])
@pytest.mark.parametrize("broken", OF_STS)
@pytest.mark.usefixtures("patient_with_none")
def test_a_role_that_is_not_assumed(aws_files, monkeypatch, silent, broken, web):
    """What STS says of a role or of a web identity is said of it, with the file of its token and what to do."""
    token = aws_files[0].with_name("token")
    token.write_text("hidden\r\n")
    reply, *said = OF_STS[broken]
    by_pair = f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n[profile q]\n{PAIR}"
    aws_files[0].write_text(f"{WEB}{token}\n" if web else by_pair, encoding="utf-8")
    with recording(lambda _: reply) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", silent if reply == "silent" else wire.endpoint)
        failed = Statements().fails(create("lake", keys=None, AWS_PROFILE="p"), (CredentialsError, AccessDeniedError))
    assert ("the web identity" if web else "the role") + " of the profile p" in failed.message
    assert re.search(said[0] if web else said[1], f"{failed.message} {failed.hint}"), failed.block()
    assert "ENDPOINT" not in failed.hint
    assert "hidden" not in failed.block()


MACHINES = {
    "no role": (Reply(404), "status 404"),
    "a page": (Reply(200, {}, b"<html>"), "not a key pair"),
    "a role that cannot be assumed": (
        Reply(200, {}, b'{"Code": "AssumeRoleUnauthorizedAccess", "Message": "hidden"}'),
        "says AssumeRoleUnauthorizedAccess",
    ),
    "half a key pair": (Reply(200, {}, b'{"Code": "Success", "AccessKeyId": "A"}'), "gave no SecretAccessKey"),
    "no answer": ("silent", "does not answer"),
}


@pytest.mark.parametrize("broken", MACHINES)
def test_a_machine_s_role_that_gives_no_key_pair(monkeypatch, silent, broken):
    """What the metadata service answers in place of a key pair is said, which botocore passes by."""
    reply, message = MACHINES[broken]
    with recording(lambda _: reply) as wire:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "1")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", silent if reply == "silent" else wire.endpoint)
        failed = Statements().fails(create("lake", keys=None), CredentialsError)
    assert re.search(f"the machine's role: .*{message}", failed.message)
    assert "hidden" not in failed.block()


MFA = f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
ASSUMED = """<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIAROLE</AccessKeyId><SecretAccessKey>s
</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{}</Expiration></Credentials></AssumeRoleResult>
</AssumeRoleResponse>"""


class Guarded:
    """STS that wants a code, and S3 beside it."""

    def __init__(self):
        self.codes = []
        self.ends = datetime.now(UTC) + timedelta(minutes=5)

    def __call__(self, request):
        if request.method != "POST":
            return listing("bucket", "a.txt")
        if request.form["Action"] != "AssumeRole":
            return error(403, "AccessDenied")
        self.codes.append(request.form.get("TokenCode"))
        return Reply(200, {}, ASSUMED.format(self.ends.isoformat()).replace("s\n", "s").encode())


@pytest.mark.parametrize("option", [True, False], ids=["AWS_PROFILE", "the default chain"])
@pytest.mark.parametrize("validate", [True, False])
def test_a_code_is_asked_for_by_prompt(aws_files, monkeypatch, option, validate):
    """A role that wants an MFA code has it asked for where somebody can be asked: once, and again when it ends."""
    aws_files[0].write_text(f"{MFA}[profile q]\n{PAIR}", encoding="utf-8")
    asked, answers = [], ["111111", "222222"]
    monkeypatch.setattr("getpass.getpass", lambda text: asked.append(text) or answers.pop(0))
    with recording(guarded := Guarded()) as wire:
        if not option:
            monkeypatch.setenv("AWS_PROFILE", "p")
        run = Statements()
        options = {"AWS_PROFILE": "p"} if option else {}
        filters = {"PATH_DISPLAY_FILTER": "s3://bucket/"}
        run(create("lake", keys=None, ENDPOINT=wire.endpoint, VALIDATE=validate, **options, **filters))
        assert list(run("LIST 's3://bucket/'")["key"]) == ["a.txt"]
        assert guarded.codes == ["111111"]
        assert asked == ["MFA code of arn:aws:iam::123456789012:mfa/me (profile p): "]
        run.connection("lake").credentials()._expiry_time = datetime.now(UTC)
        run("LIST 's3://bucket/'")
        assert guarded.codes == ["111111", "222222"]


def test_where_nobody_can_be_asked_for_a_code_it_is_said(aws_files, monkeypatch):
    """Where nobody can be asked for an MFA code, as by a handle of Python, the error says what works without one."""
    aws_files[0].write_text(f"{MFA}[profile q]\n{PAIR}", encoding="utf-8")

    def nobody(_):
        raise EOFError

    monkeypatch.setattr("getpass.getpass", nobody)
    with recording(Guarded()) as wire:
        run = Statements()
        run(create("lake", keys=None, ENDPOINT=wire.endpoint, VALIDATE=False, AWS_PROFILE="p"))
        failed = run.fails("LIST 's3://bucket/'", CredentialsError)
        monkeypatch.setattr("getpass.getpass", lambda _: pytest.fail("asked outside of a statement"))
        with pytest.raises(CredentialsError, match="MFA code"):
            run.connection("lake").check_credentials()
    assert "its role needs an MFA code" in failed.message
    device = "--profile q --serial-number arn:aws:iam::123456789012:mfa/me"
    assert f"aws sts get-session-token {device} --token-code 123456" in failed.hint


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
    "a gateway's": Reply(520, {"Content-Type": "text/html"}, b"<title>520: unknown error</title>"),
    "a login of the network": Reply(511, {}, b""),
    "a console's redirect": Reply(307, {"Content-Type": "text/html", "Location": "http://127.0.0.1:1/browser"}, b""),
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
    if page == "a proxy's":
        assert "Access blocked" in failed.message
        assert "squid" in failed.message
    assert "ENDPOINT" in failed.hint
