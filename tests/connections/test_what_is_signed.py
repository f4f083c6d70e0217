"""A READ_ONLY connection signs and sends what reads, whatever hooks, raw calls and arguments a client is given."""

from __future__ import annotations

import copy
import functools
import io

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.signers import RequestSigner, S3PostPresigner, generate_presigned_post
from recording import Reply, recording
from statements import Statements, create

from s3conn_magic.errors import ReadOnlyConnectionError
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

KEYS = Keys("AKIAONE", Secret("one-secret"))
WHERE = {"Bucket": "bucket", "Key": "key"}
ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def wire():
    """A server that accepts everything."""
    with recording(lambda _: Reply(200, {"ETag": '"e"'}, b"")) as recorder:
        yield recorder


def connect(wire, **options):
    run = Statements()
    given = {"keys": KEYS, "ENDPOINT": wire.endpoint, "READ_ONLY": True, "REGION": "eu-west-3"} | options
    run(create("vault", VALIDATE=False, **given))
    return run.connection("vault")


@pytest.fixture
def locked(wire):
    """A read-only connection, and the server that must see nothing that writes."""
    wire.requests.clear()
    return connect(wire)


def refused(wire, attempt):
    """Whether an attempt is refused for READ_ONLY, and nothing is sent."""
    with pytest.raises(ReadOnlyConnectionError, match="vault is READ_ONLY"):
        attempt()
    assert wire.requests == []


# Hooks


def changing(method, target=None):
    """A hook that changes the method, and where it is given the URL, of whatever an event is about."""

    def change(request=None, params=None, **_):
        if request is not None:
            request.method = method
            request.url = target or request.url
        elif params is not None and "method" in params:
            params["method"] = method

    return change


EVENTS = ["before-call", "request-created", "before-sign", "before-send"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH", "put", "PROPFIND"])
@pytest.mark.parametrize("how", ["register", "register_first", "register_last"])
@pytest.mark.parametrize("event", EVENTS + [f"{event}.s3.GetObject" for event in EVENTS])
def test_no_hook_makes_a_write_of_a_read(locked, wire, event, how, method):
    """A hook of a client that changes the method, registered wherever it likes, gets nothing signed and sent."""
    client = locked.client("s3")
    getattr(client.meta.events, how)(event, changing(method))
    refused(wire, lambda: client.get_object(**WHERE))


@pytest.mark.parametrize("how", ["register", "register_first", "register_last"])
def test_no_hook_makes_a_link_to_write_of_one_to_read(locked, wire, how):
    """A hook that changes the method of what is presigned gets no link."""
    client = locked.client("s3")
    getattr(client.meta.events, how)("before-sign", changing("PUT"))
    refused(wire, lambda: client.generate_presigned_url("get_object", Params=WHERE))


def test_hooks_of_the_session_change_nothing_either(locked, wire):
    """A hook registered with the session, before its clients are made, gets nothing signed."""
    session = locked.session()
    session.events.register_last("before-sign", changing("DELETE"))
    refused(wire, lambda: session.client("s3").get_object(**WHERE))
    refused(wire, lambda: session.resource("s3").Object("bucket", "key").get())


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override"])
@pytest.mark.parametrize("event", ["before-sign", "before-send"])
def test_the_method_is_not_taken_from_a_header(locked, wire, event, header):
    """A header by which servers and proxies let a GET stand for another method is refused."""
    client = locked.client("s3")
    client.meta.events.register_last(event, lambda request, **_: request.headers.__setitem__(header, "DELETE"))
    refused(wire, lambda: client.get_object(**WHERE))


@pytest.mark.parametrize("query", ["uploads", "delete", "restore", "select", "select&select-type=2&uploads", ""])
def test_of_posts_select_alone_reads(locked, wire, query):
    """A hook's POST passes for SelectObjectContent only if it is exactly that."""
    client = locked.client("s3")
    client.meta.events.register_last("before-sign", changing("POST", f"{wire.endpoint}/bucket/key?{query}"))
    refused(wire, lambda: client.get_object(**WHERE))


def test_a_session_with_a_directory_bucket_cannot_be_widened(locked, wire):
    """A hook that takes out the mode of a session for a directory bucket gets none."""
    client = locked.client("s3")

    def widen(request, **_):
        del request.headers["x-amz-create-session-mode"]

    client.meta.events.register_last("before-sign", widen)
    refused(wire, lambda: client.create_session(Bucket="bucket"))


# Arguments


@pytest.mark.parametrize("options", [{}, {"keys": None, "ANONYMOUS": True}], ids=["signed", "anonymous"])
@pytest.mark.parametrize("method", ["PUT", "put", "Delete", "POST", "PATCH", "OPTIONS", "", "GET\r\nPUT"])
def test_a_link_is_judged_by_its_method(wire, options, method):
    """`generate_presigned_url("get_object", HttpMethod=…)` signs GET and HEAD alone, however the method is written."""
    wire.requests.clear()
    client = connect(wire, **options).client("s3")
    if method:
        refused(wire, lambda: client.generate_presigned_url("get_object", Params=WHERE, HttpMethod=method))
    for reading in ("GET", "HEAD"):
        assert "/bucket/key" in client.generate_presigned_url("get_object", Params=WHERE, HttpMethod=reading)


def test_an_older_signature_is_judged_so_too(locked, wire):
    """Version 2 of the signature, asked for by the caller, signs no write either."""
    client = locked.session().client("s3", config=Config(signature_version="s3"))
    refused(wire, lambda: client.generate_presigned_url("get_object", Params=WHERE, HttpMethod="PUT"))
    refused(wire, lambda: client.put_object(**WHERE))


def test_the_caller_s_own_keys_write_nothing(locked, wire):
    """A client of the session with keys of the caller's, or unsigned, is refused all the same."""
    session = locked.session()
    refused(wire, lambda: session.client("s3", aws_access_key_id="a", aws_secret_access_key="b").put_object(**WHERE))
    refused(wire, lambda: session.client("s3", config=Config(signature_version=UNSIGNED)).delete_object(**WHERE))


def test_links_that_read_are_given(locked):
    """Parameters of an answer, versions and parts are no writes: their links are signed."""
    client = locked.client("s3")
    given = {"ResponseContentType": "text/csv", "VersionId": "v", "PartNumber": 1}
    for operation, more in (("get_object", given), ("head_object", {}), ("get_object_tagging", {})):
        assert "X-Amz-Signature" in client.generate_presigned_url(operation, Params=WHERE | more)
    assert "X-Amz-Signature" in client.generate_presigned_url("list_objects_v2", Params={"Bucket": "bucket"})


# Raw calls


def _written(wire):
    return AWSRequest("PUT", f"{wire.endpoint}/bucket/key", data=b"x")


def _raw(client, wire):
    model = client.meta.service_model.operation_model("GetObject")
    context = {"client_config": client.meta.config, "client_region": "eu-west-3", "has_streaming_input": False}
    request = {"method": "PUT", "url": f"{wire.endpoint}/bucket/key", "url_path": "/bucket/key", "headers": {}}
    return model, request | {"query_string": {}, "body": b"x", "context": context}


def _make_request(client, wire):
    model, request = _raw(client, wire)
    return client._make_request(model, request, request["context"])


def _without_events(client, wire):
    client.meta.events.emit = lambda *_, **__: []
    return client._endpoint.make_request(*_raw(client, wire))


def _another_signer(client, wire):
    credentials, service = client._request_signer._credentials, client.meta.service_model.service_id
    RequestSigner(service, "eu-west-3", "s3", "s3v4", credentials, client.meta.events).sign("GetObject", _written(wire))


def _post(client, wire):
    _, request = _raw(client, wire)
    return S3PostPresigner(client._request_signer).generate_presigned_post({**request, "method": "POST"}, {}, [])


RAW = {
    "_make_api_call": lambda client, _: functools.partial(client._make_api_call, "PutObject")(WHERE),
    "_make_request": _make_request,
    "_endpoint.make_request": lambda client, wire: client._endpoint.make_request(*_raw(client, wire)),
    "emit replaced": _without_events,
    "_request_signer.sign": lambda client, wire: client._request_signer.sign("GetObject", _written(wire)),
    "a copied signer": lambda client, wire: copy.copy(client._request_signer).sign("GetObject", _written(wire)),
    "a signer of the caller's": _another_signer,
    "get_auth": lambda client, wire: client._request_signer.get_auth(
        "s3", "eu-west-3", signature_version="s3v4"
    ).add_auth(_written(wire)),
    "presigned by the signer": lambda client, wire: client._request_signer.generate_presigned_url(
        _raw(client, wire)[1], "GetObject"
    ),
    "a POST by the presigner": _post,
    "a POST by botocore's function": lambda client, _: generate_presigned_post(client, "bucket", "key"),
}


@pytest.mark.parametrize("name", RAW)
def test_raw_calls_write_nothing(locked, wire, name):
    """What botocore's clients have inside, called past every event, is guarded too."""
    refused(wire, lambda: RAW[name](locked.client("s3"), wire))


def test_a_session_gives_out_no_credentials(locked, wire):
    """What signs by itself gets no secret of a read-only session; the access key id is none."""
    credentials = locked.session().get_credentials()
    refused(wire, lambda: S3SigV4Auth(credentials, "s3", "eu-west-3").add_auth(_written(wire)))
    refused(wire, credentials.get_frozen_credentials)
    refused(wire, lambda: credentials.secret_key)
    assert "one-secret" not in repr(vars(credentials))


def test_no_client_goes_by_the_c_runtime(wire):
    """Boto3 finds no credentials for its C runtime, which knows neither ENDPOINT nor READ_ONLY, in any client."""
    for read_only in (True, False):
        connection = connect(wire, READ_ONLY=read_only)
        for client in (connection.client("s3"), connection.session().resource("s3").meta.client):
            assert client._get_credentials() is None


def test_threads_write_nothing(locked, wire, threads):
    """Sixteen threads with a client and hostile hooks of their own are all refused."""

    def use():
        client = locked.session().client("s3")
        client.meta.events.register_last("before-sign", changing("PUT"))
        for attempt in (lambda: client.get_object(**WHERE), lambda: client.upload_fileobj(io.BytesIO(b"x"), "b", "k")):
            with pytest.raises(ReadOnlyConnectionError):
                attempt()

    threads(use)
    assert wire.requests == []


# Other services


def _action(name):
    def change(request, **_):
        request.data["Action"] = name

    return change


def _target(name):
    def change(request, **_):
        request.headers.replace_header("X-Amz-Target", name)

    return change


def _hooked(client, hook):
    client.meta.events.register_last("before-sign", hook)
    return client


OTHERS = {
    "sts": lambda one: one("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/abc", RoleSessionName="abc"),
    "sts tokens": lambda one: one("sts").get_session_token(),
    "sts by a hook": lambda one: _hooked(one("sts"), _action("AssumeRole")).get_caller_identity(),
    "iam": lambda one: one("iam").create_user(UserName="abc"),
    "iam by a hook": lambda one: _hooked(one("iam"), _action("DeleteUser")).list_users(),
    "kms": lambda one: one("kms").schedule_key_deletion(KeyId="abc"),
    "sqs": lambda one: one("sqs").send_message(QueueUrl="https://sqs.example/q", MessageBody="x"),
    "sqs by a hook": lambda one: _hooked(one("sqs"), _target("AmazonSQS.PurgeQueue")).list_queues(),
    "dynamodb": lambda one: one("dynamodb").put_item(TableName="abc", Item={}),
    "s3control": lambda one: one("s3control").delete_access_point(AccountId=ACCOUNT, Name="abc"),
    "s3control keys": lambda one: one("s3control").get_data_access(
        AccountId=ACCOUNT, Target="s3://b/*", Permission="READWRITE"
    ),
    "s3control by a hook": lambda one: _hooked(one("s3control"), changing("DELETE")).get_access_point(
        AccountId=ACCOUNT, Name="abc"
    ),
    "s3tables": lambda one: one("s3tables").create_table_bucket(name="abc"),
    "s3tables by a hook": lambda one: _hooked(one("s3tables"), changing("DELETE")).list_table_buckets(),
    "s3vectors by a hook": lambda one: _hooked(
        one("s3vectors"), lambda request, **_: setattr(request, "url", request.url.replace("List", "Delete"))
    ).list_vectors(vectorBucketName="abc", indexName="abc"),
    "athena": lambda one: one("athena").start_query_execution(QueryString="DROP TABLE t"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_services_write_nothing(locked, wire, name):
    """Writes of other services, and what hands out credentials there, are refused; by hooks, too."""
    refused(wire, lambda: OTHERS[name](locked.client))
    refused(wire, lambda: OTHERS[name](locked.session().client))


READS = {
    "sts": lambda one: one("sts").get_caller_identity(),
    "iam": lambda one: one("iam").list_users(),
    "kms": lambda one: one("kms").describe_key(KeyId="abc"),
    "sqs": lambda one: one("sqs").list_queues(),
    "dynamodb": lambda one: one("dynamodb").list_tables(),
    "s3control": lambda one: one("s3control").get_public_access_block(AccountId=ACCOUNT),
    "s3tables": lambda one: one("s3tables").list_table_buckets(),
    "s3vectors": lambda one: one("s3vectors").list_vector_buckets(),
}


@pytest.mark.parametrize("name", READS)
def test_other_services_read(locked, wire, name):
    """Reads of other services are sent, to the connection's own server."""
    try:
        READS[name](boto3.Session(botocore_session=locked.session()._session).client)
    except ReadOnlyConnectionError:
        pytest.fail("it was refused")
    except Exception:  # noqa: BLE001 - an empty answer is none of that service's
        pass
    assert {request.signed_by for request in wire.requests} == {"AKIAONE"}
