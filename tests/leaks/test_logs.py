"""No log record has a secret of a connection, whoever set logging up and how; others' records are as they were."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import logging.config
import logging.handlers
import queue
import re
import threading
import time
import weakref
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import pytest
import urllib3
from leak_server import telling
from recording import Reply, recording
from statements import Statements, create

from s3conn_magic import secrets
from s3conn_magic.errors import S3ConnError
from s3conn_magic.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from leak_server import Told

SECRET, TOKEN = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEBYaDH7Glw+qIBJf/tok=="
KEY = base64.b64encode(bytes(range(200, 232))).decode()
PAIR = {"AWS_ACCESS_KEY_ID": "AKIALOGS", "AWS_SECRET_ACCESS_KEY": SECRET}
ROLE = "arn:aws:iam::123456789012:role/logs"


class _Json(logging.Formatter):
    """As formatters of structured logs do: everything that a record has."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({**vars(record), "message": record.getMessage()}, default=repr)


class _Frames(logging.Formatter):
    """As some handlers do of a traceback: with what the frames hold."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        trace = record.exc_info[2] if record.exc_info else None
        while trace is not None:
            text, trace = f"{text}\n{trace.tb_frame.f_locals!r}", trace.tb_next
        return text


def _basic(into: io.StringIO) -> None:
    logging.basicConfig(level=logging.DEBUG, stream=into, force=True)


def _boto(into: io.StringIO) -> None:
    handler = logging.StreamHandler(into)
    root = logging.getLogger("")
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)


def _named(into: io.StringIO) -> None:
    """A handler on each logger that there is, none of which passes records on."""
    for name in ("botocore", "boto3", "urllib3", "s3transfer", "asyncio", "botocore.parsers", "botocore.endpoint"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logging.StreamHandler(into)], False
        logger.setLevel(logging.DEBUG)


def _configured(into: io.StringIO) -> None:
    handlers = {"all": {"class": "logging.StreamHandler", "stream": into, "level": "DEBUG"}}
    settings = {"version": 1, "disable_existing_loggers": False, "handlers": handlers}
    logging.config.dictConfig({**settings, "root": {"handlers": ["all"], "level": "DEBUG"}})


def _formatted(formatter: logging.Formatter) -> Callable[[io.StringIO], None]:
    def set_up(into: io.StringIO) -> None:
        _basic(into)
        logging.getLogger().handlers[0].setFormatter(formatter)

    return set_up


def _queued(into: io.StringIO) -> None:
    _basic(into)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    logging.getLogger().handlers[:] = [logging.handlers.QueueHandler(waiting)]
    logging.handlers.QueueListener(waiting, logging.StreamHandler(into)).start()


def _own_factory(into: io.StringIO) -> None:
    """Somebody's factory, set after ours, that does not ask ours."""
    logging.setLogRecordFactory(logging.LogRecord)
    _basic(into)


SET_UPS = {
    "basicConfig": _basic,
    "set_stream_logger": _boto,
    "handlers by name": _named,
    "dictConfig": _configured,
    "JSON": _formatted(_Json()),
    "frames": _formatted(_Frames()),
    "a queue": _queued,
    "a factory that asks none": _own_factory,
}


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Where records go; afterwards logging is as it was."""
    manager = logging.Logger.manager
    loggers = [logging.getLogger(), *[one for one in manager.loggerDict.values() if isinstance(one, logging.Logger)]]
    before = [(one, one.level, one.handlers[:], one.propagate, one.disabled) for one in loggers]
    factory = logging.getLogRecordFactory()
    yield io.StringIO()
    logging.setLogRecordFactory(factory)
    for one, level, handlers, propagate, disabled in before:
        one.setLevel(level)
        one.handlers[:], one.propagate, one.disabled = handlers, propagate, disabled


@pytest.fixture
def told() -> Iterator[Told]:
    """A server that repeats secrets where it refuses."""
    with telling() as one:
        yield one


def _forms(secret: str) -> set[str]:
    raw = base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]
    return {secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1], raw}


def _requests(told: Told) -> list[str]:
    """Everything that a connection can send; what else became secret by it."""
    run, at = Statements(), {"ENDPOINT": told.server.endpoint, "REGION": "us-east-1", "VALIDATE": False}
    run(create("plain", **PAIR, AWS_SESSION_TOKEN=TOKEN, **at))
    run(create("sse", **PAIR, ENCRYPTION_CUSTOMER_MANAGED_KEY=KEY, **at))
    run(create("role", **PAIR, AWS_ROLE=ROLE, **at))
    for name in ("plain", "sse", "role"):
        client = run.connection(name).client("s3")
        client.put_object(Bucket="leak-bucket", Key="k", Body=b"x")
        client.get_object(Bucket="leak-bucket", Key="k")["Body"].read()
        run(f"LIST 's3://leak-bucket/' USING {name} RECURSIVE")
        run(f"PREVIEW 's3://leak-bucket/folder/table.csv' USING {name}")
    client = run.connection("plain").client("s3")
    link = client.generate_presigned_url("get_object", Params={"Bucket": "leak-bucket", "Key": "k"})
    post = client.generate_presigned_post("leak-bucket", "k")
    urllib3.PoolManager().request("GET", link)
    assumed = run.connection("role").client("sts").assume_role(RoleArn=ROLE, RoleSessionName="logs")["Credentials"]
    told.mode = "refuse"
    run.fails("LIST 's3://leak-bucket/' USING plain", S3ConnError)
    with pytest.raises(client.exceptions.ClientError):
        client.list_buckets()
    signatures = [re.findall("Signature=([^&]+)", link)[0], post["fields"]["x-amz-signature"]]
    return [SECRET, TOKEN, KEY, *signatures, assumed["SecretAccessKey"], assumed["SessionToken"]]


@pytest.mark.parametrize("set_up", SET_UPS.values(), ids=SET_UPS)
def test_no_record_of_our_requests_has_a_secret(set_up, logged, told, capfd, monkeypatch):
    """Keys, tokens, signatures, what STS says and what a refusal repeats are masked, however the records are shown."""
    Statements()(create("first", **PAIR, VALIDATE=False))
    set_up(logged)
    monkeypatch.setattr(HTTPConnection, "debuglevel", 0)
    secret = _requests(told)
    time.sleep(0.2)
    text = logged.getvalue()
    assert "botocore" in text or "Making request" in text
    assert MASK in text
    for one in secret:
        for form in _forms(one):
            assert form not in text, [line[:400] for line in text.splitlines() if form in line][:3]
    shown = capfd.readouterr()
    assert SECRET not in shown.out + shown.err


def test_what_http_client_prints_is_not_printed_of_our_requests(told, capfd, monkeypatch):
    """`debuglevel` prints headers past every logger: for our clients it stays off, for others it is as they set it."""
    monkeypatch.setattr(HTTPConnection, "debuglevel", 1)
    run = Statements()
    run(create("c", **PAIR, AWS_SESSION_TOKEN=TOKEN, ENDPOINT=told.server.endpoint, REGION="us-east-1", VALIDATE=False))
    run.connection("c").client("s3").list_buckets()
    assert "send:" not in capfd.readouterr().out
    _own_client(told).list_buckets()
    assert "send:" in capfd.readouterr().out


def _own_client(told: Told) -> Any:
    keys = {"aws_access_key_id": "AKIAMINE", "aws_secret_access_key": "my-own-secret", "aws_session_token": "my-token"}
    return boto3.client("s3", endpoint_url=told.server.endpoint, region_name="us-east-1", **keys)


def test_records_of_others_are_as_they_were(logged, told):
    """A client of the user's own logs what it always did, arguments and all; our secrets are masked in it."""
    run = Statements()
    run(create("c", **PAIR, ENDPOINT=told.server.endpoint, REGION="us-east-1", VALIDATE=False))
    _basic(logged)
    kept: list[logging.LogRecord] = []
    logging.getLogger().addHandler(_keeping(kept))
    _own_client(told).list_buckets()
    text = logged.getvalue()
    assert "my-token" in text
    assert "ListAllMyBucketsResult" in text
    assert MASK not in text
    logger = logging.getLogger("mine")
    error = ValueError(f"cannot use {SECRET}")
    logger.error("it failed with %s", {"key": SECRET}, exc_info=error)
    logger.info("%s and %d", {"a": [1]}, 2)
    assert SECRET not in logged.getvalue()
    assert kept[-1].args == ({"a": [1]}, 2)
    assert kept[-1].msg == "%s and %d"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging, "raiseExceptions", False)
        logger.info("%d", SECRET)
        logger.info("%s %s", *[SECRET])
    assert SECRET not in repr([vars(one) for one in kept])


def _keeping(kept: list[logging.LogRecord]) -> logging.Handler:
    handler = logging.Handler()
    handler.emit = kept.append  # type: ignore[method-assign]
    return handler


def test_a_secret_is_masked_as_long_as_its_connection_lives_and_kept_by_nothing_after(logged):
    """DROP ends it, and so does the end of the last reference; a short secret is no reason to mask ordinary words."""
    _basic(logged)
    run = Statements()
    run(create("a", **PAIR, VALIDATE=False))
    run(create("b", AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="test", VALIDATE=False))
    logging.getLogger("mine").warning("%s, a test", SECRET)
    assert logged.getvalue().endswith(f"\nWARNING:mine:{MASK}, a test\n")
    state = weakref.ref(run.connection("a")._state)
    run("DROP CONNECTION a")
    assert not any(held._holder() is state() for held in secrets._holders.values() if state() is not None)
    run.session.close()
    del run
    gc.collect()
    assert state() is None


def test_nothing_is_done_where_nobody_listens(told, monkeypatch):
    """Without DEBUG no record is made, so none is looked at."""
    looked: list[Any] = []
    monkeypatch.setattr(secrets, "_mask", lambda record, **_: looked.append(record))
    run = Statements()
    run(create("c", **PAIR, ENDPOINT=told.server.endpoint, REGION="us-east-1", VALIDATE=False))
    run.connection("c").client("s3").list_buckets()
    assert [one for one in looked if one.levelno < logging.getLogger().level] == []


@contextmanager
def _container() -> Iterator[str]:
    """What gives credentials to containers, and begins with an answer that is broken off."""
    answers = iter([b'{"AccessKeyId": "ASIAC", "SecretAccessKey": "the-containers-secret", "Token": "the-conta'])
    body = json.dumps(
        {
            "AccessKeyId": "ASIAC",
            "SecretAccessKey": "the-containers-secret",
            "Token": "the-containers-token",
            "Expiration": "2099-01-01T00:00:00Z",
        }
    ).encode()
    with recording(lambda _: Reply(200, {"Content-Type": "application/json"}, next(answers, body))) as server:
        yield server.endpoint


def _profile(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = folder / "config"
    config.write_text(f"[profile p]\nregion = us-east-1\n{text}\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))


def test_what_a_profile_obtains_is_not_logged(logged, told, tmp_path, monkeypatch):
    """A container's credentials, its token, a web identity's token, and what a program printed."""
    _basic(logged)
    identity, authorization = tmp_path / "identity", "the-authorization-of-containers"
    identity.write_text("the-web-identity-token-of-this-test")
    told_out = json.dumps({"Version": 1, "AccessKeyId": "ASIAP", "SecretAccessKey": "the-secret-of-a-program"})
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho '{told_out}'\n")
    program.chmod(0o700)
    with _container() as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", authorization)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", told.server.endpoint)
        source = f"role_arn = {ROLE}\ncredential_source = EcsContainer"
        web = f"role_arn = {ROLE}\nweb_identity_token_file = {identity}"
        for text in (source, web, f"credential_process = {program}"):
            _profile(tmp_path, text, monkeypatch)
            run = Statements()
            run(create("p", AWS_PROFILE="p", ENDPOINT=told.server.endpoint, VALIDATE=False))
            run.connection("p").client("s3").list_buckets()
            logging.getLogger("mine").info("%r", run.connection("p").frozen_credentials()[1])
    text = logged.getvalue()
    assert "AssumeRoleWithWebIdentity" in text
    for one in ("the-containers-", "the-conta", authorization, identity.read_text(), "the-secret-of-a-program"):
        assert one not in text, [line[:300] for line in text.splitlines() if one in line]


def test_masking_is_linear():
    """A message of megabytes that is made to be hard takes as long as its length says."""
    for piece in ("token='", "://", "x-amz-a-", "signature=", "password:", "\\'", "authorization = b'\\"):
        text = piece * (2_000_000 // len(piece))
        done = threading.Event()
        thread = threading.Thread(target=lambda text=text, done=done: (_masked(text), done.set()), daemon=True)
        thread.start()
        assert done.wait(60), piece


def _masked(text: str) -> str:
    return secrets._without(text, ["AKIALOGS"], [SECRET], ours=True)
