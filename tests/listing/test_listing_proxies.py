"""Listings through proxies, as boto3's requests go through them."""

from __future__ import annotations

import re
import socket

import pytest
from certificates import authority
from proxies import proxying, secured
from recording import recording
from wires import HOST, OBJECTS, PAIR, both, connect, failure, listed, new_session, verified

from s3conn_magic.errors import EndpointError

pytestmark = pytest.mark.usefixtures("impatient")
SCHEMES = ["http", "https"]


@pytest.fixture(autouse=True)
def session(monkeypatch):
    """A new session of this process."""
    new_session(monkeypatch)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("tls"), HOST)


@pytest.fixture
def servers(tls, monkeypatch):
    """One server, by plain HTTP and by TLS: what it got, and its address for either."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls.bundle))
    with recording(verified) as server, secured(server.endpoint, tls.server) as address:
        yield server, {"http": server.endpoint, "https": f"https://{address}"}


@pytest.fixture
def nobody():
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def _through(scheme, proxy, monkeypatch, secret="", by="http"):
    """A connection to a host that only the proxy knows."""
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"{by}://{secret}{proxy}")
    return connect(ENDPOINT=f"{scheme}://{HOST}")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_of_the_environment(servers, monkeypatch, scheme):
    """Every request goes through the proxy, in absolute form or by a tunnel, with the headers that boto3 would send."""
    server, addresses = servers
    with proxying(addresses[scheme]) as proxy:
        connection = _through(scheme, proxy.address, monkeypatch)
        ours, theirs = both(
            server,
            lambda: listed() == OBJECTS or pytest.fail("other keys"),
            lambda: connection.client("s3").list_objects_v2(Bucket="bucket"),
        )
    assert len(ours.requests) >= 3
    assert ours.paths == theirs.paths == {"/bucket"}
    assert ours.headers == theirs.headers
    wanted = {"http": ("GET", f"http://{HOST}/bucket"), "https": ("CONNECT", f"{HOST}:443")}[scheme]
    assert {(method, target.partition("?")[0]) for method, target in proxy.asked} == {wanted}


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("value", ["127.0.0.1", "localhost,127.0.0.1", "*"])
def test_hosts_without_a_proxy(servers, nobody, monkeypatch, name, value):
    """A host in NO_PROXY is reached without the proxy."""
    server, _ = servers
    monkeypatch.setenv("HTTP_PROXY", f"http://{nobody}")
    monkeypatch.setenv(name, value)
    connect(ENDPOINT=server.endpoint)
    assert listed() == OBJECTS


@pytest.mark.parametrize(
    ("written", "password"), [("user:secret", "user:secret"), ("us%40er:p%2F%3A%25%2B+d", "us@er:p/:%++d")]
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_with_a_password(servers, monkeypatch, scheme, written, password):
    """User and password reach the proxy as boto3 would send them, and never the server."""
    server, addresses = servers
    with proxying(addresses[scheme], wants=password) as proxy:
        connection = _through(scheme, proxy.address, monkeypatch, f"{written}@")
        assert listed() == OBJECTS
        connection.client("s3").list_objects_v2(Bucket="bucket")
    assert proxy.authorizations == {password}
    assert not any("proxy-authorization" in one.headers for one in server.requests)


# Over plain HTTP a proxy's 403 cannot be told from the server's.
@pytest.mark.parametrize(("scheme", "refuses"), [("http", 407), ("https", 407), ("https", 403), ("https", 502)])
def test_a_proxy_that_refuses(servers, monkeypatch, scheme, refuses):
    """A proxy that wants another password, or refuses a tunnel, is named by its host, and the password is not shown."""
    server, addresses = servers
    with proxying(addresses[scheme], refuses=refuses) as proxy:
        _through(scheme, proxy.address, monkeypatch, "user:hunter2@")
        error = failure()
    assert type(error) is EndpointError
    assert proxy.address in error.message
    assert "HTTPS_PROXY" in error.hint
    assert "hunter2" not in repr(error) + str(error) + repr(vars(error))
    assert server.requests == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_that_is_not_there(servers, nobody, monkeypatch, scheme):
    """A proxy that does not answer is named by its host, without user and password."""
    del servers
    _through(scheme, nobody, monkeypatch, "user:hunter2@")
    error = failure()
    assert type(error) is EndpointError
    assert nobody in error.message
    assert "hunter2" not in repr(error) + str(error) + repr(vars(error))
    assert "user" not in str(error)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_spoken_to_by_tls(servers, tls, monkeypatch, scheme):
    """A proxy with a TLS address is spoken to by TLS, and its certificate is verified by the same CA bundle."""
    _, addresses = servers
    with proxying(addresses[scheme], tls=tls.server, wants="user:secret") as proxy:
        connection = _through(scheme, proxy.address, monkeypatch, "user:secret@", by="https")
        connection.client("s3").list_objects_v2(Bucket="bucket")
        assert listed() == OBJECTS
    assert proxy.authorizations == {"user:secret"}


def test_a_proxy_whose_certificate_is_unknown(servers, tls, monkeypatch):
    """A proxy that presents a certificate of another CA gets nothing, the password least of all."""
    _, addresses = servers
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with proxying(addresses["http"], tls=tls.server) as proxy:
        _through("http", proxy.address, monkeypatch, "user:hunter2@", by="https")
        error = failure()
    assert type(error) is EndpointError
    assert "certificate" in error.message
    assert proxy.asked == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_probe_goes_the_same_way(servers, monkeypatch, scheme):
    """CREATE with its probe and the LIST after it go through the same proxy."""
    server, addresses = servers
    with proxying(addresses[scheme], wants="user:secret") as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:secret@{proxy.address}")
        connect(ENDPOINT=f"{scheme}://{HOST}", VALIDATE=True, PATH_DISPLAY_FILTERS="s3://bucket/")
        probed = len(server.requests)
        assert listed() == OBJECTS
    assert 0 < probed < len(server.requests)
    assert {one.signed_by for one in server.requests} == {PAIR.access_key_id}


@pytest.mark.parametrize(
    "written", ["user:hunt/er2@", "user:hunt#er2@", "user:hunt?er2@", "user:hunt@er2@", "hunt:er2:x@"]
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_password_that_is_not_escaped(servers, nobody, monkeypatch, scheme, written):
    """A password that makes the proxy's URL mean something else is not shown; the proxy or its variable is."""
    del servers
    _through(scheme, nobody, monkeypatch, written)
    error = failure()
    assert type(error) is EndpointError
    assert nobody in error.message or (f"{scheme.upper()}_PROXY" in error.message and "percent-encoded" in error.hint)
    assert not {"hunt", "er2"} & {*re.split(r"\W+", repr(error) + str(error) + repr(vars(error)))}


def test_a_server_behind_a_proxy_that_speaks_no_tls(servers, monkeypatch):
    """What fails behind the proxy is not called the proxy's refusal."""
    _, addresses = servers
    with proxying(addresses["http"]) as proxy:
        _through("https", proxy.address, monkeypatch)
        error = failure()
    assert type(error) is EndpointError
    assert f"through the proxy {proxy.address}" in error.message


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("http://S3.Example.INVALID", HOST),
        ("https://S3.Example.INVALID", HOST),
        (f"http://{HOST}:80", HOST),
        (f"https://{HOST}:443", HOST),
        (f"http://{HOST}:8080", f"{HOST}:8080"),
    ],
)
def test_a_host_however_it_is_written(servers, monkeypatch, written, sent):
    """The host that is sent is the one that is signed, in lower case and without a port that goes without saying."""
    server, addresses = servers
    scheme = written.partition(":")[0]
    with proxying(addresses[scheme]) as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://{proxy.address}")
        connect(ENDPOINT=written)
        assert listed() == OBJECTS
    assert {one.headers["host"] for one in server.requests} == {sent}
