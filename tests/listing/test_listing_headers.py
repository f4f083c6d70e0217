"""The headers and signatures of every page's request: what boto3's client would send, and nothing besides."""

from __future__ import annotations

import base64

import pytest
from certificates import authority
from proxies import proxying, secured
from recording import Reply, error, recording
from signatures import is_signed, verifying
from statements import Statements, create
from wires import OBJECTS, PAIR, both, connect, failure, listed, new_session, pages, verified

from s3conn_magic.errors import CredentialsError
from s3conn_magic.sandbox import LAKE, Keys
from s3conn_magic.secrets import Secret


@pytest.fixture(autouse=True)
def session(monkeypatch):
    """A new session of this process."""
    new_session(monkeypatch)


@pytest.fixture
def server():
    """A server that refuses what is not signed by `PAIR`."""
    with recording(verified) as running:
        yield running


TOKEN = "FwoGZXIvYXdzEXAMPLE//////////token+of/a=session=="
CUSTOMER_KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("options", "header", "value"),
    [
        ({"REQUESTER_PAYS": True}, "x-amz-request-payer", "requester"),
        ({"AWS_SESSION_TOKEN": TOKEN}, "x-amz-security-token", TOKEN),
        ({}, "x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ],
    ids=["payer", "token", "body"],
)
def test_headers_of_every_page(server, options, header, value):
    """The payer and the session token are in every request, signed, and no header differs from boto3's."""
    connection = connect(ENDPOINT=server.endpoint, **options)
    ours, theirs = both(
        server,
        lambda: listed() == OBJECTS or pytest.fail("other keys"),
        lambda: connection.client("s3").list_objects_v2(Bucket="bucket"),
    )
    assert len(ours.requests) >= 3
    assert {one.headers.get(header) for one in ours.requests} == {value}
    assert ours.headers == theirs.headers
    assert ours.constants >= {pair for pair in theirs.constants if pair[0] != "user-agent"}
    assert all(is_signed(one, PAIR) for one in ours.requests)


def test_no_header_that_was_not_asked_for(server):
    """A plain connection neither pays nor names a token."""
    connect(ENDPOINT=server.endpoint)
    assert listed() == OBJECTS
    assert not {"x-amz-request-payer", "x-amz-security-token", "cookie"} & {
        name for one in server.requests for name in one.headers
    }


def test_the_customer_s_key_is_not_sent(server):
    """A listing needs no SSE-C key, so none of its requests holds it."""
    connect(ENDPOINT=server.endpoint, ENCRYPTION_CUSTOMER_MANAGED_KEY=CUSTOMER_KEY)
    assert listed() == OBJECTS
    sent = repr([(one.target, one.headers) for one in server.requests])
    assert "customer" not in sent
    assert CUSTOMER_KEY not in sent


def test_an_anonymous_connection(server, home, monkeypatch):
    """Unsigned requests hold no credentials: not the environment's, and not those of a .netrc file."""
    netrc = home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", PAIR.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PAIR.secret_access_key.reveal())
    server.answer = pages
    connection = connect(keys=None, ANONYMOUS=True, ENDPOINT=server.endpoint)
    ours, theirs = both(
        server,
        lambda: listed() == OBJECTS or pytest.fail("other keys"),
        lambda: connection.client("s3").list_objects_v2(Bucket="bucket"),
    )
    netrc.unlink()
    assert not any("authorization" in one.headers for one in ours.requests)
    assert ours.headers - {"x-amz-content-sha256"} == theirs.headers - {"x-amz-content-sha256"}


def test_a_wrong_secret_is_refused(server):
    """The server of these tests does verify: a wrong secret is refused, and said to be wrong."""
    connect(keys=Keys(PAIR.access_key_id, Secret("wrong")), ENDPOINT=server.endpoint)
    assert type(failure()) is CredentialsError
    assert not any(is_signed(one, PAIR) for one in server.requests)


def test_a_server_that_verifies(rclone_server):
    """rclone, which verifies signatures by itself, is listed as boto3's paginator lists it."""
    connection = connect(keys=rclone_server.keys, ENDPOINT=rclone_server.endpoint)
    found = connection.client("s3").get_paginator("list_objects_v2").paginate(Bucket=LAKE)
    assert listed(f"LIST 's3://{LAKE}/' RECURSIVE") == sorted(one["Key"] for page in found for one in page["Contents"])


def test_credentials_that_change_while_a_listing_runs(server):
    """Pages asked for after the connection was replaced are signed by the new key pair."""
    other = Keys("AKIDOTHER", Secret("other/secret"))

    def replace_and_answer(request):
        server.answer = verifying(pages, other)
        connect(keys=other, ENDPOINT=server.endpoint)
        return verified(request)

    server.answer = replace_and_answer
    connect(ENDPOINT=server.endpoint)
    assert listed() == OBJECTS
    assert [one.signed_by for one in server.requests[:2]] == [PAIR.access_key_id, other.access_key_id]


_SESSION = (
    '<?xml version="1.0"?><CreateSessionResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Credentials>'
    "<AccessKeyId>AKIDSESSION</AccessKeyId><SecretAccessKey>of/a/session</SecretAccessKey>"
    "<SessionToken>token-of-a-session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
    "</Credentials></CreateSessionResult>"
)


def test_a_directory_bucket(tmp_path, server, monkeypatch):
    """A directory bucket's pages are signed by a session with it, which is asked for once."""
    bucket, session = "lake--use1-az4--x-s3", Keys("AKIDSESSION", Secret("of/a/session"))
    tls = authority(tmp_path, "*.s3express-use1-az4.us-east-1.amazonaws.com")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.bundle))
    page = verifying(lambda request: pages(request, bucket), session)
    server.answer = lambda request: Reply(200, {}, _SESSION.encode()) if "session" in request.query else page(request)
    with secured(server.endpoint, tls.server) as address, proxying(f"https://{address}") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        connect(REGION="us-east-1")
        assert listed(f"LIST 's3://{bucket}/' RECURSIVE") == OBJECTS
    assert ["session" in one.query for one in server.requests] == [True, False, False, False]
    assert {one.headers.get("x-amz-s3session-token") for one in server.requests[1:]} == {"token-of-a-session"}


FAST = "fast--use1-az4--x-s3"
FAST_KEYS = ["logs/b.csv", "load.csv", "logs/a.csv", "other/x.csv", "logs/deep/c.csv"]
_CSV = b"a,b\n1,2\n"


def _fast(request):
    """A directory bucket: sessions, prefixes that end in a slash, tokens, and keys in no order."""
    query = request.query
    if "session" in query:
        return Reply(200, {}, _SESSION.encode())
    if request.headers.get("x-amz-s3session-token") != "token-of-a-session":
        return error(403, "AccessDenied")
    if "list-type" not in query:
        headers = {
            "ETag": '"e"',
            "Content-Length": str(len(_CSV)),
            "Content-Range": f"bytes 0-{len(_CSV) - 1}/{len(_CSV)}",
        }
        return Reply(206 if "range" in request.headers else 200, headers, _CSV)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    if "start-after" in query or (prefix and not prefix.endswith("/")):
        return error(400, "InvalidRequest")
    names = {}
    for key in FAST_KEYS:
        head, slash, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        if key.startswith(prefix):
            names[f"{prefix}{head}/" if slash else key] = bool(slash)
    at = int(query.get("continuation-token") or 0)
    rows = "".join(
        f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
        if folder
        else f'<Contents><Key>{name}</Key><Size>{len(_CSV)}</Size><ETag>"e"</ETag></Contents>'
        for name, folder in [*names.items()][at : at + 2]
    )
    more = f"<NextContinuationToken>{at + 2}</NextContinuationToken>" if at + 2 < len(names) else ""
    said = f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}"
    return Reply(200, {}, f"<ListBucketResult><Name>{FAST}</Name>{said}{rows}</ListBucketResult>".encode())


def test_every_statement_knows_a_directory_bucket(tmp_path, monkeypatch):
    """Where a bucket demands sessions and whole folders, whatever lists and reads is exact, by one session."""
    tls = authority(tmp_path, "*.s3express-use1-az4.us-east-1.amazonaws.com")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.bundle))
    with (
        recording(_fast) as server,
        secured(server.endpoint, tls.server) as address,
        proxying(f"https://{address}") as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        run = Statements()
        run(create("lake", keys=PAIR, REGION="us-east-1", VALIDATE=False))
        assert list(run(f"LIST 's3://{FAST}/' RECURSIVE")["key"]) == sorted(FAST_KEYS)
        assert sorted(run(f"LIST 's3://{FAST}/'")["key"]) == ["load.csv", "logs/", "other/"]
        assert sorted(run(f"LIST 's3://{FAST}/lo' RECURSIVE")["key"]) == sorted(FAST_KEYS)[:4]
        assert sorted(run(f"LIST 's3://{FAST}/lo'")["key"]) == ["load.csv", "logs/"]
        assert len(run(f"LIST 's3://{FAST}/' RECURSIVE MATCHING 'logs/*.csv'")) == 2
        assert len(run(f"LIST 's3://{FAST}/' RECURSIVE LIMIT 3")) == 3
        assert run(f"ANALYZE 's3://{FAST}/' BY PREFIX")["objects"].sum() == len(FAST_KEYS)
        assert list(run(f"SELECT count(*) AS n FROM 's3://{FAST}/logs/*.csv'")["n"]) == [2]
        assert list(run(f"PREVIEW 's3://{FAST}/load.csv'").frame["b"]) == [2]
        run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{FAST}/logs/' INTO t")
        assert list(run("SELECT sum(a) AS s FROM t")["s"]) == [3]
        found = run.connection("lake").fsspec().find(f"{FAST}/logs")
        assert sorted(found) == [f"{FAST}/{key}" for key in sorted(FAST_KEYS) if key.startswith("logs/")]
    assert sum("session" in one.query for one in server.requests) <= 2
