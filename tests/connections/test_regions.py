"""The region of a bucket, found by asking a server that answers as S3 does."""

from __future__ import annotations

import re
import socket
import threading

import pytest
from recording import Reply, error, listing, recording
from statements import Statements, create

from s3conn_magic.connections import probe
from s3conn_magic.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    EndpointError,
    RegionError,
    ThrottledError,
)
from s3conn_magic.locations import Location
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

KEYS = Keys("AKIAONE", Secret("one-secret"))
BUCKET = "far-away"
HERE = {"x-amz-bucket-region": "eu-west-1"}


class Server:
    """Answers HEAD of the bucket with `head` and everything else with `other`."""

    def __init__(self):
        self.head = Reply(200, HERE)
        self.other = listing(BUCKET, "a.txt")

    def __call__(self, request):
        """The answer to one request."""
        return self.head if request.method == "HEAD" else self.other


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def wire(server, in_place_of_aws):
    """The server, in AWS's place."""
    with recording(server) as recorder:
        in_place_of_aws(recorder)
        yield recorder


@pytest.fixture
def run(wire):
    """A session with an unprobed connection without REGION and ENDPOINT."""
    assert wire.endpoint
    statements = Statements()
    statements(create("lake", keys=KEYS, VALIDATE=False))
    return statements


def heads(wire):
    return [one for one in wire.requests if one.method == "HEAD"]


@pytest.mark.parametrize("status", [200, 301, 307, 400, 403])
def test_the_header_names_the_region(run, wire, server, status):
    """One HEAD finds the region, whatever its status, and the listing is signed for it; the next one asks no more."""
    server.head = Reply(status, HERE)
    assert list(run(f"LIST 's3://{BUCKET}/'")["key"]) == ["a.txt"]
    run(f"LIST 's3://{BUCKET}/'")
    assert [one.signed_for for one in wire.requests] == ["us-east-1", "eu-west-1", "eu-west-1"]
    assert len(heads(wire)) == 1


def test_the_first_question_goes_to_the_region_of_the_configuration(run, wire, server, monkeypatch):
    """A bucket of another partition is known only there, so AWS_DEFAULT_REGION is asked before us-east-1."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "cn-north-1")
    server.head = Reply(200)
    run(f"LIST 's3://{BUCKET}/'")
    assert {one.signed_for for one in wire.requests} == {"cn-north-1"}


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_to_nowhere_ends(run, wire, server, status):
    """A redirect that names no region is a RegionError that says what to do, after at most three requests."""
    server.head = Reply(status)
    failed = run.fails(f"LIST 's3://{BUCKET}/'", RegionError)
    assert BUCKET in failed.message
    assert "REGION" in failed.hint
    assert 1 <= len(wire.requests) <= 3


def test_a_missing_bucket(run, wire, server):
    """404 is a BucketNotFoundError after one request; those after it are for the bucket that the hint names."""
    server.head = Reply(404)
    failed = run.fails(f"LIST 's3://{BUCKET}/'", BucketNotFoundError)
    assert BUCKET in failed.message
    assert [request.target for request in wire.requests].count(f"/{BUCKET}") == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(error(403, "AccessDenied"), AccessDeniedError), (error(400, "ExpiredToken"), CredentialsError)],
)
def test_a_refusal_without_a_region_is_left_to_the_listing(run, wire, server, answer, kind):
    """Who may not HEAD a bucket may list a prefix of it; where not, the listing's refusal says why."""
    server.head = Reply(answer.status)
    assert list(run(f"LIST 's3://{BUCKET}/'")["key"]) == ["a.txt"]
    run(create("other", keys=KEYS, VALIDATE=False))
    server.other = answer
    run.fails(f"LIST 's3://{BUCKET}/' USING other", kind)
    assert len(heads(wire)) == 2


@pytest.mark.parametrize(("status", "kind"), [(503, ThrottledError), (500, EndpointError)])
def test_a_server_that_fails_is_no_missing_region(run, server, status, kind, monkeypatch):
    """A server that cannot answer is said as such."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    server.head = Reply(status)
    run.fails(f"LIST 's3://{BUCKET}/'", kind)


@pytest.mark.parametrize(
    "redirect",
    [
        Reply(301, HERE, b"<Error><Code>PermanentRedirect</Code></Error>"),
        Reply(400, {}, b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"),
    ],
)
def test_a_listing_learns_the_region_from_a_redirect(run, wire, server, redirect):
    """A region that turns out wrong is learnt from the listing's answer, once, and remembered."""
    server.head = Reply(200, {"x-amz-bucket-region": "us-west-2"})
    page = server.other
    wire.answer = lambda one: (
        server.head if one.method == "HEAD" else page if one.signed_for == "eu-west-1" else redirect
    )
    assert list(run(f"LIST 's3://{BUCKET}/'")["key"]) == ["a.txt"]
    assert [one.signed_for for one in wire.requests] == ["us-east-1", "us-west-2", "eu-west-1"]
    assert run.connection("lake").regions.of(BUCKET) == "eu-west-1"


def test_a_listing_that_is_sent_in_circles_ends(run, wire, server):
    """A server that redirects for ever gets three requests at most, and the error is a RegionError."""
    server.other = Reply(301, {"x-amz-bucket-region": "eu-west-2"}, b"<Error><Code>PermanentRedirect</Code></Error>")
    run.fails(f"LIST 's3://{BUCKET}/'", RegionError)
    assert len(wire.requests) == 3


def test_a_redirected_probe_is_followed_once(server, wire):
    """CREATE with a display filter probes where HEAD says the bucket is."""
    run = Statements()
    card = run(create("lake", keys=KEYS, PATH_DISPLAY_FILTER=f"s3://{BUCKET}/in/"))
    assert dict(card.lines)["region"] == "eu-west-1"
    [asked] = [one for one in wire.requests if one.method == "GET"]
    assert (asked.signed_for, asked.query["prefix"]) == ("eu-west-1", "in/")
    assert server.head.headers == HERE


@pytest.mark.parametrize("option", ["REGION", "ENDPOINT"])
def test_a_region_or_endpoint_of_one_s_own_asks_nothing(wire, option):
    """With REGION or ENDPOINT no HEAD is sent, and requests are signed for REGION or us-east-1."""
    run = Statements()
    value = wire.endpoint if option == "ENDPOINT" else "ap-south-1"
    run(create("lake", keys=KEYS, VALIDATE=False, **{option: value}))
    run(f"LIST 's3://{BUCKET}/'")
    assert heads(wire) == []
    assert [one.signed_for for one in wire.requests] == ["us-east-1" if option == "ENDPOINT" else "ap-south-1"]


def test_a_wrong_region_of_one_s_own_is_said(wire, server):
    """Where REGION is wrong, it is not overruled: the error says to leave it out."""
    run = Statements()
    run(create("lake", keys=KEYS, VALIDATE=False, REGION="ap-south-1"))
    server.other = Reply(301, HERE, b"<Error><Code>PermanentRedirect</Code></Error>")
    failed = run.fails(f"LIST 's3://{BUCKET}/'", RegionError)
    assert "Leave REGION out" in failed.hint
    assert len(wire.requests) <= 3


def test_an_access_point_s_region_is_in_its_name(run, wire):
    """The region of an access point is read from its ARN, without a request."""
    arn = "arn:aws:s3:eu-central-1:123456789012:accesspoint/reports"
    assert run.connection("lake").regions.of(Location(arn).bucket) == "eu-central-1"
    assert wire.requests == []


def test_alter_forgets_regions(run, wire):
    """After an ALTER the region is found anew, for it may be another account's bucket."""
    run(f"LIST 's3://{BUCKET}/'")
    run("ALTER S3 CONNECTION lake SET AWS_ACCESS_KEY_ID = 'AKIATWO' VALIDATE = FALSE")
    run(f"LIST 's3://{BUCKET}/'")
    assert len(heads(wire)) == 2


def _garage(request):
    """A server that wants its own region, and says which."""
    if request.signed_for == "garage":
        return listing(BUCKET, "a.txt") if request.query.get("list-type") else BUCKETS
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>garage</Region></Error>"
    return Reply(400, {"Content-Type": "application/xml"}, body)


BUCKETS = Reply(
    200, {}, b"<ListAllMyBucketsResult><Buckets><Bucket><Name>one</Name></Bucket></Buckets></ListAllMyBucketsResult>"
)


@pytest.mark.parametrize("validate", [True, False])
def test_a_server_of_one_s_own_says_its_region(validate):
    """With ENDPOINT, too, what the server says of its region is heard: requests are signed for it from then on."""
    with recording(_garage) as wire:
        run = Statements()
        run(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=validate))
        assert list(run(f"LIST 's3://{BUCKET}/'")["key"]) == ["a.txt"]
        before = len(wire.requests)
        assert list(run("SHOW BUCKETS")["bucket"]) == ["one"]
        run(f"LIST 's3://{BUCKET}/'")
        assert {one.signed_for for one in wire.requests[before:]} == {"garage"}


def test_a_wrong_region_of_the_statement_is_answered_with_the_right_one():
    """Where REGION is wrong for the ENDPOINT, the error names what the server wants."""
    with recording(_garage) as wire:
        run = Statements()
        failed = run.fails(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, REGION="us-east-1"), RegionError)
        assert "REGION = 'garage'" in failed.hint
        run(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, REGION="us-east-1", VALIDATE=False))
        assert "REGION = 'garage'" in run.fails(f"LIST 's3://{BUCKET}/'", RegionError).hint


IN_WORDS = {
    "AWS": ("AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'", "eu-west-1"),
    "MinIO": ("AuthorizationHeaderMalformed", "the region is wrong; expecting 'rack-01'.", "rack-01"),
    "Garage": (
        "AuthorizationHeaderMalformed",
        "unexpected scope: '20260812/us-east-1/s3/aws4_request', expected: '20260812/garage/s3/aws4_request'",
        "garage",
    ),
    "AWS elsewhere": (
        "IllegalLocationConstraintException",
        "The eu-south-1 location constraint is incompatible for the region specific endpoint this request was sent to.",
        "eu-south-1",
    ),
    "Backblaze": ("InvalidRequest", "The region 'us-east-1' is wrong; expecting 'us-west-004'", "us-west-004"),
    "R2": ("InvalidRegionName", "The region name is not valid. Must be one of: wnam, enam, weur, apac, auto", "auto"),
}


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("server", IN_WORDS)
def test_a_region_that_is_named_in_words_is_heard(server, validate):
    """A server that names its region in its message alone is asked again, for listings, objects and clients."""
    code, words, region = IN_WORDS[server]

    def answer(request):
        if request.signed_for != region:
            return Reply(400, {}, f"<Error><Code>{code}</Code><Message>{words}</Message></Error>".encode())
        if request.path.endswith("a.txt"):
            return Reply(200, {"ETag": '"e"', "Content-Length": "3"}, b"abc")
        return listing(BUCKET, "a.txt") if request.query.get("list-type") else BUCKETS

    with recording(answer) as wire:
        run = Statements()
        run(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=validate))
        assert list(run(f"LIST 's3://{BUCKET}/'")["key"]) == ["a.txt"]
        assert run.connection("lake").fsspec().cat_file(f"{BUCKET}/a.txt") == b"abc"
        assert list(run("SHOW BUCKETS")["bucket"]) == ["one"]


# What the connection says beside its server, what the server refuses, and how the hint begins.
WAYS_ON = {
    "REGION is given": ({"REGION": "us-east-2"}, "PermanentRedirect", "", "Leave REGION out to have it found"),
    "no REGION is given": ({}, "PermanentRedirect", "", "Set REGION to the bucket's"),
    "another endpoint": (
        {},
        "PermanentRedirect",
        "s3.eu-2.example.com",
        "The server names another endpoint: ENDPOINT = ",
    ),
    "with the bucket": (
        {},
        "TemporaryRedirect",
        f"{BUCKET}.s3.eu-2.example.com",
        "The server names another endpoint: ",
    ),
    "no host": ({}, "PermanentRedirect", "/../x", "Set REGION to the bucket's"),
    "the bucket in the host": ({}, "SecondLevelDomainForbidden", "", "The server wants the bucket in its host's name"),
    "the same by another": ({}, "PathStyleDomainForbidden", "", "The server wants the bucket in its host's name"),
}


@pytest.mark.parametrize("way", WAYS_ON)
def test_a_hint_says_what_the_statement_lacks(way):
    """The way on is about what the statement says, and what the server does."""
    options, code, endpoint, hint = WAYS_ON[way]
    document = f"<Error><Code>{code}</Code><Endpoint>{endpoint}</Endpoint></Error>".encode()
    with recording(lambda _: Reply(301 if "Redirect" in code else 403, {}, document)) as wire:
        run = Statements()
        server = {"keys": KEYS, "ENDPOINT": wire.endpoint, **options}
        run(create("lake", VALIDATE=False, **server))
        for text in (f"LIST 's3://{BUCKET}/'", create("other", PATH_DISPLAY_FILTER=f"s3://{BUCKET}/a/", **server)):
            said = run.fails(text).hint
            assert hint[1:] in said
            assert ("ENDPOINT = 'https://s3.eu-2.example.com'" in said) == ("another endpoint" in hint)


def test_an_endpoint_of_aws_is_what_to_leave_out():
    """Where ENDPOINT is AWS's own of another region, that is what to take out."""
    run = Statements()
    run(create("lake", keys=KEYS, ENDPOINT="https://s3.us-east-1.amazonaws.com", VALIDATE=False))
    failure = RegionError(
        "is in another region", hint="Leave REGION out to have it found, or set REGION = 'eu-west-1'."
    )
    assert "Leave ENDPOINT" in run.connection("lake").configuration.with_hint(failure, BUCKET).hint


def test_a_virtual_host_that_nobody_knows_is_said(monkeypatch):
    """Where a bucket's own host cannot be reached, the hint names the style that made it."""
    monkeypatch.setattr("s3conn_magic.listing.fetch.backoff", lambda *_: 0)
    run = Statements()
    options = {"ENDPOINT": "http://s3.invalid", "ADDRESSING_STYLE": "virtual"}
    run(create("lake", keys=KEYS, VALIDATE=False, **options))
    assert "ADDRESSING_STYLE = 'path'" in run.fails(f"LIST 's3://{BUCKET}/'", EndpointError).hint


@pytest.mark.parametrize("base", ["/storage/v1/s3", "/s3"])
def test_a_server_below_a_path(base):
    """An ENDPOINT with a path is where every request goes, of listings, clients and what is handed on."""
    with recording(lambda _: listing(BUCKET, "a.txt")) as wire:
        run = Statements()
        run(create("lake", keys=KEYS, ENDPOINT=f"{wire.endpoint}{base}/", VALIDATE=False))
        assert list(run(f"LIST 's3://{BUCKET}/'")["key"]) == ["a.txt"]
        connection = run.connection("lake")
        connection.client().list_objects_v2(Bucket=BUCKET)
        assert {one.path.rstrip("/") for one in wire.requests} == {f"{base}/{BUCKET}"}
        options = connection.storage_options("polars", BUCKET)
        assert options["aws_endpoint_url"] == f"{wire.endpoint}{base}"
        assert f"'{wire.endpoint.removeprefix('http://')}{base}'" in connection.duckdb_secret(BUCKET)


EXPRESS = "fast--use1-az4--x-s3"


def _both(request):
    """AWS with a general purpose bucket and two pages of directory buckets."""
    if "/s3express/" in request.headers.get("authorization", ""):
        page = request.query.get("continuation-token", "")
        name, more = (("slow" + EXPRESS, ""), (EXPRESS, "<ContinuationToken>two</ContinuationToken>"))[not page]
        return Reply(200, {}, f"<R><Buckets><Bucket><Name>{name}</Name></Bucket></Buckets>{more}</R>".encode())
    return BUCKETS


@pytest.mark.parametrize("refused", [False, True])
def test_directory_buckets_are_among_the_buckets_of_aws(in_place_of_aws, refused):
    """SHOW BUCKETS, LIST and the explorer show what ListDirectoryBuckets names; where it is refused, the others."""
    answer = _both if not refused else lambda one: error(403, "AccessDenied") if _both(one) != BUCKETS else BUCKETS
    with recording(answer) as wire:
        in_place_of_aws(wire)
        run = Statements()
        run(create("lake", keys=KEYS, VALIDATE=False))
        names = ["one"] if refused else ["one", EXPRESS, f"slow{EXPRESS}"]
        assert list(run("SHOW BUCKETS")["bucket"]) == names
        assert sorted(run("LIST")["bucket"]) == sorted(names)
        assert "ListDirectoryBuckets" in str(run("EXPLAIN SHOW BUCKETS").values)
        run("EXPLORE")


def test_a_network_without_directory_buckets_is_not_waited_for(in_place_of_aws, monkeypatch):
    """Where nothing answers for directory buckets, SHOW BUCKETS shows the others after a moment."""
    monkeypatch.setattr(probe, "_DIRECTORY_SECONDS", 0.1)
    gate = threading.Event()

    def answer(request):
        if _both(request) != BUCKETS:
            gate.wait(20)
        return BUCKETS

    with recording(answer) as wire:
        in_place_of_aws(wire)
        run = Statements()
        run(create("lake", keys=KEYS, VALIDATE=False))
        assert list(run("SHOW BUCKETS")["bucket"]) == ["one"]
        gate.set()


PARTITIONS = {
    "cn-north-1": "aws-cn",
    "us-gov-west-1": "aws-us-gov",
    "us-iso-east-1": "aws-iso",
    "us-isob-east-1": "aws-iso-b",
    "eusc-de-east-1": "aws-eusc",
    "eu-west-1": "aws",
}
DENIED = [
    f"LIST 's3://{BUCKET}/'",
    f"PREVIEW 's3://{BUCKET}/a.csv'",
    f"SELECT * FROM 's3://{BUCKET}/a.csv'",
    f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{BUCKET}/a.csv' INTO t",
]


@pytest.mark.parametrize("by", ["REGION", "variable", "answer"])
@pytest.mark.parametrize("region", PARTITIONS)
def test_arns_are_of_the_partition_of_their_region(in_place_of_aws, monkeypatch, region, by):
    """Each ARN that is named, in errors, hints and EXPLAIN, is of the partition that the bucket's region is in."""
    refused = error(403, "AccessDenied", **({"x_amz_bucket_region": region} if by == "answer" else {}))
    with recording(lambda _: refused) as wire:
        in_place_of_aws(wire)
        if by == "variable":
            monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        run = Statements()
        run(create("lake", keys=KEYS, VALIDATE=False, **({"REGION": region} if by == "REGION" else {})))
        for text in DENIED:
            failed = run.fails(text)
            arns = set(re.findall(r"arn:([a-z-]+):s3:::", failed.block() + getattr(failed, "resource", "")))
            assert arns == {PARTITIONS[region]}, (text, failed.block())
            if by != "answer":
                assert f"arn:{PARTITIONS[region]}:s3:::" in str(run(f"EXPLAIN {text}").values)
        assert run.connection("lake").arn(Location(BUCKET)) == f"arn:{PARTITIONS[region]}:s3:::{BUCKET}"


def test_auto_is_a_region(monkeypatch):
    """`auto`, the region of Cloudflare R2, is signed for as it stands, by option or variable, and handed on."""
    with recording(lambda one: listing(BUCKET, "a.txt") if one.query.get("list-type") else BUCKETS) as wire:
        for option in ({"REGION": "auto"}, {}):
            if not option:
                monkeypatch.setenv("AWS_REGION", "auto")
            run = Statements()
            run(create("r2", keys=KEYS, ENDPOINT=wire.endpoint, **option))
            assert list(run(f"LIST 's3://{BUCKET}/'")["key"]) == ["a.txt"]
            connection = run.connection("r2")
            assert connection.storage_options("polars", BUCKET)["aws_region"] == "auto"
            assert "REGION 'auto'" in connection.duckdb_secret(BUCKET)
        assert {one.signed_for for one in wire.requests if one.method == "GET"} == {"auto"}


def test_a_region_that_a_server_does_not_know_is_named():
    """Where a server lists its regions in a refusal, as R2 does, the hint is the one to write."""
    words = "The region name is not valid. Must be one of: wnam, enam, weur, eeur, apac, auto"
    body = f"<Error><Code>InvalidRegionName</Code><Message>{words}</Message></Error>".encode()
    with recording(lambda one: Reply(400, {}, body) if one.signed_for != "auto" else listing(BUCKET, "a")) as wire:
        run = Statements()
        run(create("r2", keys=KEYS, ENDPOINT=wire.endpoint, REGION="us-east1", VALIDATE=False))
        failed = run.fails(f"LIST 's3://{BUCKET}/'", RegionError)
        assert "REGION = 'auto'" in failed.hint
        run("ALTER S3 CONNECTION r2 SET REGION = 'auto' VALIDATE = FALSE")
        assert len(run(f"LIST 's3://{BUCKET}/'")) == 1


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("where", ["path", "host"])
def test_an_endpoint_with_the_bucket_in_it_is_said(monkeypatch, where, validate):
    """An endpoint as consoles show it, with the bucket at its end or in its host, is said with the right one."""
    named = socket.getaddrinfo
    here = {f"{BUCKET}.localhost": "127.0.0.1"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: named(here.get(host, host), *rest, **more))
    with recording(lambda _: error(404, "NoSuchKey")) as wire:
        port = wire.endpoint.rpartition(":")[2]
        url = f"{wire.endpoint}/storage/v1/s3/{BUCKET}" if where == "path" else f"http://{BUCKET}.localhost:{port}"
        run, filters = Statements(), {"PATH_DISPLAY_FILTER": f"s3://{BUCKET}/"}
        statement = create("lake", keys=KEYS, ENDPOINT=url, VALIDATE=validate, **filters)
        failed = run.fails(statement if validate else f"{statement}; LIST 's3://{BUCKET}/'")
    right = f"{wire.endpoint}/storage/v1/s3" if where == "path" else f"http://localhost:{port}"
    assert f"ENDPOINT = '{right}'" in failed.hint
