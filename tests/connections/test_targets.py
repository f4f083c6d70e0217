"""A bucket as the listing engine sees it: signed requests that servers accept, made as botocore would."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import Request as UrlRequest
from urllib.request import urlopen
from xml.etree import ElementTree as ET

import pytest
from botocore.httpsession import get_cert_path
from recording import listing, recording
from statements import Statements, create

from s3conn_magic.sandbox import LAKE, ODD, Keys
from s3conn_magic.sandbox.data import ODD_KEYS
from s3conn_magic.secrets import Secret

KEYS = Keys("AKIAONE", Secret("one-secret"))
QUERY = [("list-type", "2"), ("encoding-type", "url"), ("prefix", "")]
ODD_PREFIXES = [
    "",
    " ",
    "+",
    "a//",
    "/",
    "%2F",
    "100%",
    "?x=1&prefix=",
    "#",
    "&amp;",
    "~-._",
    "'\"",
    "caf\u00e9",
    "\u65e5",
]


def connect(**options):
    """A session with an unprobed connection `lake`."""
    run = Statements()
    run(create("lake", VALIDATE=False, **{"keys": KEYS, **options}))
    return run


def fetch(signed):
    """The answer's body to a signed request, sent by another library than the one that signed."""
    with urlopen(UrlRequest(signed.url, headers=dict(signed.headers)), timeout=30) as answer:
        assert answer.status == 200
        return answer.read()


def keys(body):
    return [one.text for one in ET.fromstring(body).iter("{http://s3.amazonaws.com/doc/2006-03-01/}Key")]


@pytest.mark.parametrize("prefix", ODD_PREFIXES, ids=ascii)
@pytest.mark.parametrize("kind", ["sandbox", "rclone"])
def test_both_servers_accept_the_signature(request, kind, prefix):
    """A listing's request is accepted whatever its prefix holds, by a server that verifies the signature."""
    server = request.getfixturevalue("sandbox" if kind == "sandbox" else "rclone_server")
    pair = server.admin if kind == "sandbox" else server.keys
    run = connect(keys=pair, ENDPOINT=server.endpoint)
    bucket = ODD if kind == "sandbox" else LAKE
    target = run.connection("lake").target(bucket)
    found = keys(fetch(target.sign([("list-type", "2"), ("prefix", prefix)])))
    if kind == "sandbox":
        assert found == sorted((key for key in ODD_KEYS if key.startswith(prefix)), key=str.encode)


def test_the_request_goes_where_botocore_s_would():
    """Host, path and the headers that are signed are those of botocore's own listing request."""
    with recording(lambda _: listing(LAKE)) as wire:
        run = connect(ENDPOINT=wire.endpoint)
        run.connection("lake").client("s3").list_objects_v2(Bucket=LAKE, Prefix="")
        fetch(run.connection("lake").target(LAKE).sign(QUERY))
    theirs, ours = wire.requests
    assert ours.path == theirs.path
    assert ours.query == theirs.query
    assert ours.headers["host"] == theirs.headers["host"]
    names = [one.headers["authorization"].split("SignedHeaders=")[1].split(",")[0] for one in wire.requests]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("style", "url"),
    [
        ("path", "https://s3.example.com/acme-lake"),
        ("virtual", "https://acme-lake.s3.example.com/"),
        ("auto", "https://s3.example.com/acme-lake"),
    ],
)
def test_addressing_styles(style, url):
    """ADDRESSING_STYLE decides whether the bucket's name is in the path or in the host."""
    run = connect(ENDPOINT="https://s3.example.com", ADDRESSING_STYLE=style)
    assert run.connection("lake").target(LAKE).sign(QUERY).url.partition("?")[0] == url


def test_aws_is_addressed_by_region():
    """Without ENDPOINT the host is AWS's for the region, with the bucket's name in it."""
    run = connect(REGION="eu-west-1")
    assert urlsplit(run.connection("lake").target(LAKE).sign(QUERY).url).netloc == f"{LAKE}.s3.eu-west-1.amazonaws.com"
    dotted = run.connection("lake").target("acme.with.dots").sign(QUERY).url
    assert dotted.startswith("https://s3.eu-west-1.amazonaws.com/acme.with.dots?")


def test_an_access_point_is_addressed_by_its_arn():
    """An access point's ARN becomes its host."""
    run = connect(REGION="eu-west-1")
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/reports"
    url = run.connection("lake").target(arn).sign(QUERY).url
    assert urlsplit(url).netloc == "reports-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"


def test_making_and_signing_send_nothing():
    """With a region that is known, signing needs no request."""
    with recording(lambda _: listing(LAKE)) as wire:
        target = connect(ENDPOINT=wire.endpoint).connection("lake").target(LAKE)
        target.sign(QUERY)
        assert target.send(QUERY) is None
        assert wire.requests == []


def test_an_alter_reaches_the_next_signature():
    """Credentials, endpoint, addressing and payer of an ALTER are in the next request of a target made before."""
    with recording(lambda _: listing(LAKE)) as old, recording(lambda _: listing(LAKE)) as new:
        run = connect(ENDPOINT=old.endpoint)
        target = run.connection("lake").target(LAKE)
        fetch(target.sign(QUERY))
        changes = (
            f"AWS_ACCESS_KEY_ID = 'AKIATWO' ENDPOINT = '{new.endpoint}' REQUESTER_PAYS = TRUE REGION = 'eu-west-1'"
        )
        run(f"ALTER S3 CONNECTION lake SET {changes} VALIDATE = FALSE")
        fetch(target.sign(QUERY))
        run(
            create("lake", ANONYMOUS=True, ENDPOINT=new.endpoint, VALIDATE=False).replace("CREATE", "CREATE OR REPLACE")
        )
        fetch(target.sign(QUERY))
    assert [one.signed_by for one in old.requests] == ["AKIAONE"]
    assert [one.signed_by for one in new.requests] == ["AKIATWO", None]
    assert [one.signed_for for one in new.requests] == ["eu-west-1", None]
    assert [one.headers.get("x-amz-request-payer") for one in new.requests] == ["requester", None]


def test_directory_buckets_have_no_order():
    """The engine learns from a directory bucket's name that its keys come in no order."""
    run = connect(REGION="us-east-1")
    assert not run.connection("lake").target("express--use1-az4--x-s3").ordered
    assert run.connection("lake").target(LAKE).ordered


# Transport


def test_a_proxy_of_the_environment_is_used(monkeypatch):
    """With HTTP_PROXY probes and listings go through the proxy; a host in NO_PROXY is reached without it."""
    with recording(lambda _: listing(LAKE, "a.txt")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        run = connect(ENDPOINT="http://s3.example.invalid")
        assert list(run(f"LIST 's3://{LAKE}/'")["key"]) == ["a.txt"]
        run.connection("lake").client("s3").list_objects_v2(Bucket=LAKE)
        assert [one.target.partition("?")[0] for one in proxy.requests] == [f"http://s3.example.invalid/{LAKE}"] * 2
        assert run.connection("lake").target(LAKE).transport.proxy == proxy.endpoint
        monkeypatch.setenv("NO_PROXY", "example.invalid")
        assert run.connection("lake").target(LAKE).transport.proxy is None


@pytest.mark.parametrize(
    ("name", "value", "proxy"),
    [
        ("HTTPS_PROXY", "http://proxy.example:8080", "http://proxy.example:8080"),
        ("https_proxy", "proxy.example:8080", "http://proxy.example:8080"),
        ("HTTP_PROXY", "http://proxy.example:8080", None),
        ("ALL_PROXY", "socks5://proxy.example:1080", None),
    ],
)
def test_proxies_are_what_botocore_makes_of_them(monkeypatch, name, value, proxy):
    """The proxy is the one of the URL's scheme, as botocore's own requests have it."""
    monkeypatch.setenv(name, value)
    assert connect(REGION="eu-west-1").connection("lake").target(LAKE).transport.proxy == proxy


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_ca_bundle_of_the_environment_is_used(monkeypatch, tmp_path, name):
    """The CA bundle of the environment verifies the listing's certificates too."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    monkeypatch.setenv(name, str(bundle))
    assert connect(REGION="eu-west-1").connection("lake").target(LAKE).transport.verify == str(bundle)


def test_a_ca_bundle_of_the_profile_is_used(aws_files, tmp_path):
    """So does the one of the AWS configuration file."""
    bundle = tmp_path / "corporate.pem"
    bundle.touch()
    aws_files[0].write_text(f"[profile corporate]\nca_bundle = {bundle}\n")
    run = connect(keys=None, AWS_PROFILE="corporate", REGION="eu-west-1")
    client = run.connection("lake").internal_client()
    assert client._endpoint.http_session._verify == str(bundle)


def test_certificates_are_verified_by_default(monkeypatch):
    """Without settings certificates are verified, and waiting ends."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    transport = connect(REGION="eu-west-1").connection("lake").target(LAKE).transport
    assert transport.verify == get_cert_path(True)
    assert (transport.connect_timeout, transport.read_timeout) == (10.0, 60.0)
