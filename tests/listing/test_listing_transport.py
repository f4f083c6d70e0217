"""Listings by a connection's certificates, timeouts, addresses and headers, as boto3's client would send them."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from botocore import httpsession
from botocore.exceptions import SSLError
from certificates import authority
from listing_targets import SignedTarget
from proxies import proxying, secured
from recording import recording
from signatures import is_signed
from wires import OBJECTS, PAIR, both, connect, failure, listed, new_session, pages, verified

from s3conn_magic.errors import EndpointError
from s3conn_magic.language.session_settings import Timeouts
from s3conn_magic.listing import Listing
from s3conn_magic.transport import Transport

pytestmark = pytest.mark.usefixtures("impatient")
HOSTS = [
    "*.amazonaws.com",
    "*.s3.amazonaws.com",
    "*.s3-accelerate.amazonaws.com",
    "*.s3-fips.us-east-1.amazonaws.com",
    "*.s3.cn-north-1.amazonaws.com.cn",
    *(f"*.{name}.eu-west-1.amazonaws.com" for name in ("s3", "s3-accesspoint", "s3-object-lambda", "s3.dualstack")),
    "s3.eu-west-1.amazonaws.com",
]


@pytest.fixture(autouse=True)
def session(monkeypatch):
    """A new session of this process."""
    new_session(monkeypatch)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("tls"), *HOSTS)


@pytest.fixture
def server():
    """A server that refuses what is not signed by `PAIR`."""
    with recording(verified) as running:
        yield running


@pytest.fixture
def https(server, tls):
    """Its address by TLS."""
    with secured(server.endpoint, tls.server) as address:
        yield f"https://{address}"


@pytest.fixture
def trusted(https, tls, monkeypatch):
    """The same address, for clients that know the CA."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.bundle))
    return https


# Certificates


@pytest.mark.parametrize("by", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "profile"])
def test_a_ca_bundle(https, tls, monkeypatch, aws_files, by):
    """A CA that the environment or the profile names is trusted, by the listing and by boto3's client."""
    profile = {}
    if by == "profile":
        aws_files[0].write_text(f"[profile corporate]\nca_bundle = {tls.bundle}\n")
        aws_files[1].write_text(
            f"[corporate]\naws_access_key_id = {PAIR.access_key_id}\n"
            f"aws_secret_access_key = {PAIR.secret_access_key.reveal()}\n"
        )
        profile = {"keys": None, "AWS_PROFILE": "corporate", "REGION": "us-east-1"}
    else:
        monkeypatch.setenv(by, str(tls.bundle))
    connection = connect(ENDPOINT=https, **profile)
    assert listed() == OBJECTS
    assert connection.client("s3").list_objects_v2(Bucket="bucket")["KeyCount"] == 1000


def test_the_sdk_s_ca_bundle_comes_first(https, tls, monkeypatch, tmp_path):
    """AWS_CA_BUNDLE counts before REQUESTS_CA_BUNDLE."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority(tmp_path / "other").bundle))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.bundle))
    connect(ENDPOINT=https)
    assert listed() == OBJECTS


@pytest.mark.parametrize("known", [False, True], ids=["no bundle", "another CA"])
def test_an_unknown_ca_is_refused(server, https, monkeypatch, tmp_path, known):
    """A server whose CA is not known is sent nothing, and the error says where the CA's file belongs."""
    if known:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority(tmp_path / "other").bundle))
    connect(ENDPOINT=https)
    error = failure()
    assert type(error) is EndpointError
    assert "certificate" in error.message
    assert "AWS_CA_BUNDLE" in error.hint
    assert server.requests == []


def test_a_certificate_of_another_host_is_refused(server, trusted):
    """A certificate that is trusted and names another host is refused, and called that."""
    connect(ENDPOINT=trusted.replace("127.0.0.1", "localhost"))
    error = failure()
    assert type(error) is EndpointError
    assert "another host" in error.message
    assert server.requests == []


@pytest.mark.parametrize("by", ["botocore", "OpenSSL"])
def test_the_cas_without_a_bundle(https, tls, monkeypatch, by):
    """Without a bundle the CAs are botocore's, for boto3's client and for listings, and not OpenSSL's own."""
    if by == "botocore":
        monkeypatch.setattr(httpsession, "where", lambda: str(tls.bundle))
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(tls.bundle))
    connection = connect(ENDPOINT=https)
    if by == "botocore":
        assert connection.client("s3").list_objects_v2(Bucket="bucket")["KeyCount"] == 1000
        assert listed() == OBJECTS
    else:
        with pytest.raises(SSLError):
            connection.client("s3").list_objects_v2(Bucket="bucket")
        assert "certificate" in failure().message


def test_a_bundle_that_gains_a_ca(https, tls, monkeypatch, tmp_path):
    """A CA that is added to the bundle after a refusal is trusted by the next listing, without a new kernel."""
    bundle = tmp_path / "bundle.pem"
    other = authority(tmp_path / "other").bundle.read_text()
    bundle.write_text(other)
    os.utime(bundle, (1, 1))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    connect(ENDPOINT=https)
    assert "certificate" in failure().message
    bundle.write_text(other + tls.bundle.read_text())
    assert listed() == OBJECTS


@pytest.mark.parametrize("holds", [None, "", "no certificate"], ids=["missing", "empty", "rubbish"])
def test_a_bundle_that_cannot_be_read(server, https, monkeypatch, tmp_path, holds):
    """A CA bundle that is not there, or is none, is named; the server is sent nothing."""
    bundle = tmp_path / "bundle.pem"
    if holds is not None:
        bundle.write_text(holds)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    connect(ENDPOINT=https)
    error = failure()
    assert type(error) is EndpointError
    assert str(bundle) in error.message
    assert "AWS_CA_BUNDLE" in error.hint
    assert server.requests == []


def test_a_transport_that_does_not_verify(https):
    """Only a target that says so is listed without a look at the certificate."""
    trusting = Transport(verify=False)
    assert len(Listing(SignedTarget(https, transport=trusting), limit=5).collect()) == 5


def test_a_server_without_tls(server, tls, monkeypatch):
    """An https address of a server that speaks plain HTTP is an EndpointError."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.bundle))
    connect(ENDPOINT=server.endpoint.replace("http:", "https:"))
    assert type(failure()) is EndpointError


# Timeouts


@contextmanager
def _unresponsive(*, accepting):
    """A server that accepts connections and says nothing, or that does not even accept them."""
    with socket.create_server(("127.0.0.1", 0), backlog=0 if not accepting else 64) as listening:
        address, waiting = listening.getsockname(), []
        for _ in range(0 if accepting else 4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        yield f"http://127.0.0.1:{address[1]}"
        for one in waiting:
            one.close()


@pytest.mark.parametrize(("accepting", "timeouts"), [(True, Timeouts(7200, 0.2)), (False, Timeouts(0.2, 7200))])
def test_timeouts_are_those_of_the_client(accepting, timeouts):
    """A server that does not answer, or not even accept, is given up after the client's timeout, of hours otherwise."""
    with _unresponsive(accepting=accepting) as address:
        connect(ENDPOINT=address).timeouts = lambda: timeouts
        error = failure()
    assert type(error) is EndpointError
    assert "in time" in error.message


# Addresses

ACCESS_POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/reports"
OBJECT_LAMBDA = "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/redacted"
DUALSTACK, FIPS = {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, {"AWS_USE_FIPS_ENDPOINT": "true"}
ACCELERATE = "[default]\ns3 =\n  use_accelerate_endpoint = true\n"


@dataclass
class Place:
    """A bucket, what is set, and the host that it has then."""

    bucket: str
    host: str
    options: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    config: str = ""


@pytest.mark.parametrize(
    "place",
    [
        Place("bucket", "bucket.s3.eu-west-1.amazonaws.com"),
        Place("bucket", "bucket.s3.amazonaws.com", {"REGION": "us-east-1"}),
        Place("bucket", "bucket.s3.cn-north-1.amazonaws.com.cn", {"REGION": "cn-north-1"}),
        Place("bucket", "s3.eu-west-1.amazonaws.com", {"ADDRESSING_STYLE": "path"}),
        Place("bucket.of.dots", "s3.eu-west-1.amazonaws.com"),
        Place(ACCESS_POINT, "reports-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"),
        Place(ACCESS_POINT, "reports-123456789012.s3-accesspoint.eu-west-1.amazonaws.com", {"REGION": "us-west-2"}),
        Place(OBJECT_LAMBDA, "redacted-123456789012.s3-object-lambda.eu-west-1.amazonaws.com"),
        Place("reports-1234-s3alias", "reports-1234-s3alias.s3.eu-west-1.amazonaws.com"),
        Place("bucket", "bucket.s3.dualstack.eu-west-1.amazonaws.com", environment=DUALSTACK),
        Place("bucket", "bucket.s3-fips.us-east-1.amazonaws.com", {"REGION": "us-east-1"}, FIPS),
        Place("bucket", "bucket.s3-accelerate.amazonaws.com", config=ACCELERATE),
    ],
    ids=lambda place: place.host,
)
def test_addresses(server, trusted, monkeypatch, aws_files, place):
    """AWS's hosts, for every kind of name and setting, are those of boto3's client, and the signatures hold there."""
    aws_files[0].write_text(place.config)
    named = place.bucket if place.bucket.startswith("bucket") else "another"
    server.answer = lambda request: pages(request, named)
    with proxying(trusted) as proxy:
        for name, value in {**place.environment, "HTTPS_PROXY": f"http://{proxy.address}"}.items():
            monkeypatch.setenv(name, value)
        connection = connect(**{"REGION": "eu-west-1", **place.options})
        ours, theirs = both(
            server,
            lambda: listed(f"LIST 's3://{place.bucket}/' RECURSIVE") == OBJECTS or pytest.fail("other keys"),
            lambda: connection.client("s3").list_objects_v2(Bucket=place.bucket),
        )
    assert {target for _, target in proxy.asked} == {f"{place.host}:443"}
    assert {one.headers["host"] for one in ours.requests + theirs.requests} == {place.host}
    assert ours.paths == theirs.paths
    assert ours.headers == theirs.headers
    assert ours.scopes == theirs.scopes
    assert all(is_signed(one, PAIR) for one in ours.requests + theirs.requests)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_of_the_environment(server, monkeypatch, name):
    """An endpoint that the environment names is listed as boto3's client would."""
    monkeypatch.setenv(name, server.endpoint)
    connect(REGION="us-east-1")
    assert listed() == OBJECTS
