"""Where requests of a connection's handles go: to its ENDPOINT, whoever makes the client, and whatever surrounds it."""

from __future__ import annotations

import base64
import io
from urllib.parse import urlsplit

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from recording import Reply, recording
from statements import Statements, create

from s3conn_magic.errors import EndpointError
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

KEYS = Keys("AKIAONE", Secret("one-secret"))
ENDPOINT = "http://store.example:9000"
ACCOUNT = "123456789012"
PROXY = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
ELSEWHERE = "http://elsewhere.example"


def _answer(request):
    if request.method == "CONNECT":
        return Reply(403, {}, b"")
    body = _NO_BUCKETS if request.path == "/" and request.method == "GET" else b""
    return Reply(200, {"ETag": '"e"', "Content-Type": "application/xml"}, body)


_NO_BUCKETS = b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"


@pytest.fixture
def wire(monkeypatch, tmp_path):
    """A proxy that every request passes, whatever host it is for; it leads to no other."""
    with recording(_answer) as recorder:
        for name in PROXY:
            monkeypatch.setenv(name, recorder.endpoint)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        (tmp_path / "config").write_text("", encoding="utf-8")
        yield recorder


VARIABLES = {
    "AWS_ENDPOINT_URL": ELSEWHERE,
    "AWS_ENDPOINT_URL_S3": ELSEWHERE,
    "AWS_ENDPOINT_URL_S3_CONTROL": ELSEWHERE,
    "AWS_ENDPOINT_URL_STS": ELSEWHERE,
    "AWS_ENDPOINT_URL_IAM": ELSEWHERE,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy",
    "AWS_STS_REGIONAL_ENDPOINTS": "legacy",
    "AWS_DEFAULT_REGION": "ap-south-1",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_RETRY_MODE": "adaptive",
    "AWS_ACCESS_KEY_ID": "AKIAENV",
    "AWS_SECRET_ACCESS_KEY": "env",
    "AWS_SESSION_TOKEN": "env-token",
}
PROFILE = f"""
[{{name}}]
endpoint_url = {ELSEWHERE}
use_fips_endpoint = true
use_dualstack_endpoint = true
services = all
s3 =
  use_accelerate_endpoint = true
  use_dualstack_endpoint = true
aws_access_key_id = AKIAPROFILE
aws_secret_access_key = profile
[services all]
s3 =
  endpoint_url = {ELSEWHERE}
sts =
  endpoint_url = {ELSEWHERE}
"""


def surrounded(monkeypatch, tmp_path, surroundings):
    """Set what must not count."""
    if surroundings == "variables":
        for name, value in VARIABLES.items():
            monkeypatch.setenv(name, value)
    if surroundings == "default profile":
        (tmp_path / "config").write_text(PROFILE.format(name="default"), encoding="utf-8")


def connect(**options):
    run = Statements()
    given = {"keys": KEYS, "ENDPOINT": ENDPOINT, "REGION": "eu-west-3"} | options
    run(create("lake", VALIDATE=False, **given))
    return run, run.connection("lake")


def _resource(connection, service):
    session = connection.session()
    return session.resource(service).meta.client if service in session.get_available_resources() else None


HANDLES = {
    "client": lambda connection, service: connection.client(service),
    "session": lambda connection, service: connection.session().client(service),
    "resource": _resource,
    "derived session": lambda connection, service: boto3.Session(botocore_session=connection.session()._session).client(
        service
    ),
    "botocore session": lambda connection, service: connection.session()._session.create_client(service, "eu-west-3"),
    "with a config": lambda connection, service: connection.session().client(
        service, config=Config(user_agent_extra="theirs", retries={"max_attempts": 2})
    ),
}
CALLS = {
    "s3": lambda client: client.get_object(Bucket="bucket", Key="key"),
    "s3control": lambda client: client.get_public_access_block(AccountId=ACCOUNT),
    "s3tables": lambda client: client.list_table_buckets(),
    "sts": lambda client: client.get_caller_identity(),
    "iam": lambda client: client.list_users(),
    "kms": lambda client: client.list_keys(),
    "sqs": lambda client: client.send_message(QueueUrl="https://sqs.us-east-1.amazonaws.com/1/q", MessageBody="x"),
    "dynamodb": lambda client: client.list_tables(),
}
CUSTOMER_KEY = base64.b64encode(b"k" * 32).decode()
SETTINGS = {
    "plain": ({}, {"host": "store.example:9000", "path": "/bucket/key"}),
    "path": ({"ADDRESSING_STYLE": "path"}, {"host": "store.example:9000", "path": "/bucket/key"}),
    "virtual": ({"ADDRESSING_STYLE": "virtual"}, {"host": "bucket.store.example:9000", "path": "/key"}),
    "payer": ({"REQUESTER_PAYS": True}, {"x-amz-request-payer": "requester"}),
    "token": ({"AWS_SESSION_TOKEN": "tt"}, {"x-amz-security-token": "tt"}),
    "SSE-C": (
        {"ENCRYPTION_CUSTOMER_MANAGED_KEY": CUSTOMER_KEY},
        {"x-amz-server-side-encryption-customer-key": CUSTOMER_KEY},
    ),
}


def call(client, service):
    """Call it; an empty answer may be none of that service's."""
    try:
        CALLS[service](client)
    except EndpointError:
        raise
    except Exception:  # noqa: BLE001 - what matters is the request
        return


@pytest.mark.parametrize("surroundings", ["none", "variables", "default profile"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_handle_goes_where_the_connection_does(wire, monkeypatch, tmp_path, setting, surroundings):
    """Clients of every service, however they are made, ask the ENDPOINT, signed by and for what the statement says."""
    surrounded(monkeypatch, tmp_path, surroundings)
    options, expected = SETTINGS[setting]
    _, connection = connect(**options)
    # What a setting of S3 means to other services is a token, or nothing.
    services = CALLS if setting in {"plain", "token"} else ["s3"]
    for handle, make in HANDLES.items():
        for service in services:
            client = make(connection, service)
            if client is None:
                continue
            wire.requests.clear()
            call(client, service)
            assert wire.requests, (handle, service)
            for request in wire.requests:
                seen = {"path": urlsplit(request.target).path, **request.headers}
                assert (request.signed_by, request.signed_for) == ("AKIAONE", "eu-west-3"), (handle, service)
                assert service == "s3" or seen["host"] == "store.example:9000", (handle, service)
                assert seen.get("x-amz-security-token") == options.get("AWS_SESSION_TOKEN"), (handle, service)
                assert service != "s3" or expected.items() <= seen.items(), (handle, service)


@pytest.mark.parametrize("surroundings", ["none", "variables", "default profile"])
def test_handles_have_the_settings_of_our_own_requests(wire, monkeypatch, tmp_path, surroundings):
    """Timeouts, tries, pool, style, checksums and region of a handle are those that the package itself works with."""
    del wire
    surrounded(monkeypatch, tmp_path, surroundings)
    run, connection = connect()
    run("SET CONNECT_TIMEOUT = 7; SET READ_TIMEOUT = 77;")
    names = "connect_timeout read_timeout max_pool_connections region_name request_checksum_calculation"
    names += " response_checksum_validation retries s3 signature_version use_fips_endpoint use_dualstack_endpoint"

    def told(client):
        return {name: getattr(client.meta.config, name) for name in names.split()} | {"url": client.meta.endpoint_url}

    ours = told(connection.internal_client())
    assert (ours["connect_timeout"], ours["read_timeout"]) == (7, 77)
    for name in ("client", "session", "resource", "derived session", "botocore session"):
        assert told(HANDLES[name](connection, "s3")) == ours, name


@pytest.mark.parametrize("made", ["profile", "role of a profile"])
def test_a_profile_leads_nowhere_else(wire, tmp_path, made):
    """A profile's own endpoints and its role's STS give way to the ENDPOINT of the statement."""
    role = f"[profile role]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/r\nsource_profile = theirs\n"
    (tmp_path / "config").write_text(PROFILE.format(name="profile theirs") + role, encoding="utf-8")
    _, connection = connect(keys=None, AWS_PROFILE="theirs" if made == "profile" else "role")
    for service in CALLS:
        call(connection.session().client(service), service)
    assert {request.headers["host"] for request in wire.requests} == {"store.example:9000"}
    assert {(request.signed_by, request.signed_for) for request in wire.requests} == {("AKIAPROFILE", "eu-west-3")}


def test_without_an_endpoint_handles_go_to_aws_as_ever(wire):
    """A connection to AWS has each service where AWS has it, in the connection's region."""
    del wire
    _, connection = connect(ENDPOINT="https://bucket.vpce-1a2b-3c4d.s3.eu-west-3.vpce.amazonaws.com")
    urls = {service: connection.session().client(service).meta.endpoint_url for service in ("s3", "sts", "kms")}
    assert urls == {
        "s3": "https://bucket.vpce-1a2b-3c4d.s3.eu-west-3.vpce.amazonaws.com",
        "sts": "https://sts.eu-west-3.amazonaws.com",
        "kms": "https://kms.eu-west-3.amazonaws.com",
    }


# Away from the ENDPOINT


def _hooked(event):
    def attempt(connection):
        client = connection.client("s3")

        def lead(request, **_):
            request.url = "https://bucket.s3.amazonaws.com/key"

        client.meta.events.register_last(event, lead)
        client.get_object(Bucket="bucket", Key="key")

    return attempt


def _link(connection):
    client = connection.client("s3")

    def lead(request, **_):
        request.url = "https://bucket.s3.amazonaws.com/key"

    client.meta.events.register_last("before-sign", lead)
    client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})


def _everywhere(connection):
    client = connection.session().client("s3", config=Config(signature_version="s3v4"))
    client.get_object(Bucket=f"arn:aws:s3::{ACCOUNT}:accesspoint:mfzwi23gnjvgw.mrap", Key="key")


AWAY = {
    "a hook that leads elsewhere": _hooked("before-sign"),
    "a late hook that leads elsewhere": _hooked("before-send"),
    "a link that leads elsewhere": _link,
    "a multi-region access point": _everywhere,
}


@pytest.mark.parametrize("name", AWAY)
def test_what_would_leave_the_endpoint_is_refused(wire, name):
    """A request that would be signed or sent for a host outside the ENDPOINT is refused; the hint names the way."""
    _, connection = connect()
    with pytest.raises(EndpointError, match=r"lake has its own ENDPOINT.*amazonaws\.com") as failed:
        AWAY[name](connection)
    assert "endpoint_url=" in failed.value.hint
    assert wire.requests == []


def test_a_caller_s_own_endpoint_counts(wire):
    """Credentials go where the caller says: `endpoint_url`, `region_name` and each setting of `config` come first."""
    _, connection = connect(REQUESTER_PAYS=True)
    config = Config(s3={"addressing_style": "virtual"})
    client = connection.session().client("s3", "eu-north-1", endpoint_url="http://other.example", config=config)
    client.get_object(Bucket="bucket", Key="key")
    [request] = wire.requests
    assert request.headers["host"] == "bucket.other.example"
    assert request.signed_for == "eu-north-1"
    assert request.headers["x-amz-request-payer"] == "requester"
    assert client.meta.config.request_checksum_calculation == "when_required"


def test_transfers_by_the_c_runtime_stay_here(wire):
    """An upload for which the C runtime is asked goes to the ENDPOINT."""
    _, connection = connect()
    config = TransferConfig(preferred_transfer_client="crt")
    connection.session().resource("s3").Bucket("bucket").upload_fileobj(io.BytesIO(b"x"), "key", Config=config)
    assert {request.headers["host"] for request in wire.requests} == {"store.example:9000"}


# After an ALTER

OTHER = "http://other.example:9000"
ALTERS = {
    "ENDPOINT": f"SET ENDPOINT = '{OTHER}' AWS_ACCESS_KEY_ID = 'AKIATWO' AWS_SECRET_ACCESS_KEY = 'two'",
    "REGION": "SET REGION = 'eu-central-1'",
    "ADDRESSING_STYLE": "SET ADDRESSING_STYLE = 'virtual'",
}


@pytest.mark.parametrize("option", ALTERS)
def test_an_old_handle_sends_nothing_to_an_old_place(wire, option):
    """After an ALTER of where requests go, clients, links, sessions and their credentials refuse, and say why."""
    run, connection = connect()
    session = connection.session()
    s3, queues, resource = session.client("s3"), session.client("sqs"), session.resource("s3")
    explicit, credentials = session.client("s3", endpoint_url=ENDPOINT), session.get_credentials()
    where = {"Bucket": "bucket", "Key": "key"}
    run(f"ALTER S3 CONNECTION lake {ALTERS[option]} VALIDATE = FALSE")
    uses = {
        "client": lambda: s3.get_object(**where),
        "explicit": lambda: explicit.get_object(**where),
        "queues": queues.list_queues,
        "resource": lambda: resource.Object("bucket", "key").get(),
        "link": lambda: s3.generate_presigned_url("get_object", Params=where),
        "post": lambda: s3.generate_presigned_post("bucket", "key"),
        "upload": lambda: s3.upload_fileobj(io.BytesIO(b"x"), "bucket", "key"),
        "session": lambda: session.client("s3"),
        "credentials": credentials.get_frozen_credentials,
    }
    for use in uses.values():
        with pytest.raises(EndpointError, match=f"lake was altered: this was made for another {option}"):
            use()
    assert wire.requests == []
    connection.client("s3").get_object(**where)
    assert len(wire.requests) == 1


def test_an_alter_between_signature_and_sending_sends_nothing(wire):
    """A request that was being made while the ENDPOINT was altered does not leave, whichever key signed it."""
    run, connection = connect()
    client = connection.client("s3")

    def alter(**_):
        run(f"ALTER S3 CONNECTION lake {ALTERS['ENDPOINT']} VALIDATE = FALSE")

    client.meta.events.register_last("before-send", alter)
    with pytest.raises(EndpointError, match="was altered"):
        client.get_object(Bucket="bucket", Key="key")
    assert wire.requests == []


def test_what_does_not_say_where_is_followed(wire):
    """A key, a comment or an encryption that is altered counts for old clients at their next request."""
    run, connection = connect()
    client = connection.session().client("s3")
    run("ALTER S3 CONNECTION lake SET AWS_ACCESS_KEY_ID = 'AKIATWO' AWS_SECRET_ACCESS_KEY = 'two' COMMENT = 'x'")
    client.get_object(Bucket="bucket", Key="key")
    assert wire.requests[-1].signed_by == "AKIATWO"
