"""What CREATE and ALTER ask before a connection counts, on the wire, and how they fail."""

from __future__ import annotations

import pytest
from recording import Reply, error, listing, passing_to, recording
from statements import Statements, create

from s3conn_magic.errors import AccessDeniedError, BucketNotFoundError, CredentialsError, EndpointError
from s3conn_magic.sandbox import EMPTY, LAKE, LOGS, Keys
from s3conn_magic.secrets import Secret

KEYS = Keys("AKIAONE", Secret("one-secret"))
DENIED = error(403, "AccessDenied")
NO_STS = error(400, "NotImplemented")
BUCKETS = Reply(
    200,
    {"Content-Type": "application/xml"},
    b"<ListAllMyBucketsResult><Buckets><Bucket><Name>one</Name><BucketRegion>eu-west-1</BucketRegion></Bucket></Buckets>"
    b"<ContinuationToken>next</ContinuationToken></ListAllMyBucketsResult>",
)


@pytest.fixture
def wire(sandbox):
    """The sandbox behind a recorder."""
    with recording(passing_to(sandbox.endpoint)) as recorder:
        yield recorder


@pytest.fixture
def run():
    return Statements()


def gets(wire):
    """Path and query of the S3 requests."""
    return [(one.path, one.query) for one in wire.requests if one.method == "GET"]


def test_without_filters_one_page_of_buckets_is_listed(run, wire, sandbox):
    """CREATE asks STS who it is, and lists the buckets once."""
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint))
    assert [one.form.get("Action") for one in wire.requests if one.method == "POST"] == ["GetCallerIdentity"]
    assert [path for path, _ in gets(wire)] == ["/"]


def test_with_filters_no_bucket_list_is_asked_for(run, wire, sandbox):
    """Each display filter gets one request for one key below its prefix, and nothing asks for the list of buckets.

    Neither does any statement after it.
    """
    filters = [f"s3://{LAKE}/sales/", f"s3://{EMPTY}/"]
    card = run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, PATH_DISPLAY_FILTERS=filters))
    assert dict(card.lines)["reaches"] == ", ".join(filters)
    assert [(path, query["prefix"], query["max-keys"]) for path, query in gets(wire)] == [
        (f"/{LAKE}", "sales/", "1"),
        (f"/{EMPTY}", "", "1"),
    ]
    assert list(run("SHOW BUCKETS")["location"]) == filters
    assert list(run("LIST RECURSIVE")["key"]) == ["sales/customers.csv", "sales/orders.csv"]
    assert list(run("LIST")["key"]) == ["sales/customers.csv", "sales/orders.csv"]
    assert sorted(run("EXPLORE").frame["key"]) == ["", "sales/"]
    assert all(path != "/" for path, _ in gets(wire))


def test_an_explicit_location_may_lie_outside_the_filters(run, wire, sandbox):
    """A display filter limits what is shown, not what may be listed."""
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, PATH_DISPLAY_FILTERS=f"s3://{LAKE}/sales/"))
    assert list(run(f"LIST 's3://{LAKE}/clicks/'")["key"]) == ["clicks/2026-01-01.jsonl", "clicks/2026-01-02.jsonl.gz"]


def test_filters_that_lie_in_each_other_list_a_key_once(run, wire, sandbox):
    """Of two filters of which one holds the other, RECURSIVE lists every key once."""
    filters = [f"s3://{LAKE}/sales/", f"s3://{LAKE}/sal", f"s3://{LAKE}/sales/orders.csv"]
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, PATH_DISPLAY_FILTERS=filters))
    assert list(run("LIST RECURSIVE")["key"]) == ["sales/customers.csv", "sales/orders.csv"]


def test_who_may_not_list_buckets_is_told_of_filters(run, wire, sandbox):
    """Without s3:ListAllMyBuckets the error names the action and the option that needs it not; nothing is created."""
    failed = run.fails(create("lake", keys=sandbox.restricted, ENDPOINT=wire.endpoint), AccessDeniedError)
    assert failed.action == "s3:ListAllMyBuckets"
    assert "PATH_DISPLAY_FILTERS" in failed.hint
    assert run.connections == []


def test_who_may_list_a_prefix_is_never_asked_for_the_root(run, wire, sandbox):
    """An identity that is limited to a prefix makes a connection by a filter, and its bucket's root is not listed."""
    options = {"ENDPOINT": wire.endpoint, "PATH_DISPLAY_FILTERS": sandbox.restricted_location}
    run(create("lake", keys=sandbox.restricted, **options))
    assert len(run("LIST")) == 2
    assert {query["prefix"] for _, query in gets(wire)} == {"sales/"}


def test_a_denied_filter_names_action_and_resource(run, wire, sandbox):
    """A filter that may not be listed is an AccessDeniedError with action and ARN; nothing is created."""
    options = {"ENDPOINT": wire.endpoint, "PATH_DISPLAY_FILTERS": f"s3://{LAKE}/events/"}
    failed = run.fails(create("lake", keys=sandbox.restricted, **options), AccessDeniedError)
    assert (failed.action, failed.resource) == ("s3:ListBucket", f"arn:aws:s3:::{LAKE}/events/")
    assert "VALIDATE = FALSE" in failed.hint
    assert run.connections == []


def test_every_bad_filter_is_reported(run, wire, sandbox):
    """Of several filters that fail each is named with its reason, and those that work are not."""
    filters = [f"s3://{LAKE}/sales/", f"s3://{LOGS}/", "s3://acme-nowhere/x", f"s3://{LAKE}/events/"]
    options = {"ENDPOINT": wire.endpoint, "PATH_DISPLAY_FILTERS": filters}
    failed = run.fails(create("lake", keys=sandbox.restricted, **options))
    assert [note.partition(": ")[0] for note in failed.notes] == [filters[1], filters[2], filters[3]]
    assert filters[0] + ":" not in failed.block()


def test_a_filter_s_bucket_that_is_missing(run, wire, sandbox):
    """A filter of a bucket that is not there is a BucketNotFoundError."""
    options = {"ENDPOINT": wire.endpoint, "PATH_DISPLAY_FILTERS": "s3://acme-nowhere/"}
    failed = run.fails(create("lake", keys=sandbox.admin, **options), BucketNotFoundError)
    assert "acme-nowhere" in failed.message


def test_validate_false_asks_nothing(run, wire):
    """VALIDATE = FALSE creates without a request, says so, and is not kept."""
    card = run(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False))
    assert "not probed" in dict(card.lines)["reaches"]
    assert wire.requests == []
    assert run("SHOW CONNECTIONS")["state"].tolist() == ["not probed"]
    assert "VALIDATE" not in run("DESCRIBE CONNECTION lake")["option"].tolist()
    assert "VALIDATE" not in str(run("SHOW CREATE S3 CONNECTION lake"))


def test_the_identity_is_best_effort(run):
    """A server without STS, or whose STS denies, makes a connection without identity."""
    for sts in (NO_STS, DENIED, error(503, "SlowDown"), Reply(200, {}, b"<html>hello</html>")):
        with recording(lambda one, sts=sts: sts if one.method == "POST" else BUCKETS) as wire:
            card = run(create("lake", keys=KEYS, ENDPOINT=wire.endpoint))
            assert [one.method for one in wire.requests] == ["POST", "GET"]
        assert "identity" not in dict(card.lines)
        assert run.connection("lake").identity is None
        run("DROP CONNECTION lake")


def test_the_first_page_is_all_that_is_read(run, in_place_of_aws):
    """On AWS a page size is asked for, regions are shown, and a further page is said but not fetched."""
    with recording(lambda one: NO_STS if one.method == "POST" else BUCKETS) as wire:
        in_place_of_aws(wire)
        card = run(create("lake", keys=KEYS))
        [(path, query)] = gets(wire)
    assert (path, query["max-buckets"]) == ("/", "1000")
    assert dict(card.lines)["reaches"] == "more than 1 bucket"
    assert dict(card.lines)["region"] == "eu-west-1"


def test_show_buckets_reads_every_page(run, in_place_of_aws):
    """SHOW BUCKETS follows the tokens to the last page."""
    last = Reply(200, {}, BUCKETS.body.replace(b"one", b"two").replace(b"next", b""))
    with recording(lambda one: last if one.query.get("continuation-token") == "next" else BUCKETS) as wire:
        in_place_of_aws(wire)
        run(create("lake", keys=KEYS, VALIDATE=False))
        assert list(run("SHOW BUCKETS")["bucket"]) == ["one", "two"]
        assert sum("/s3express/" not in one.headers.get("authorization", "") for one in wire.requests) == 2


def test_anonymous_on_aws_asks_nothing(run, in_place_of_aws):
    """Nobody may list AWS's buckets unsigned, so a connection without filters is made without a request."""
    with recording(lambda _: DENIED) as wire:
        in_place_of_aws(wire)
        card = run(create("open", ANONYMOUS=True))
        assert wire.requests == []
    assert "public buckets" in dict(card.lines)["reaches"]


def test_nobody_there(run):
    """An endpoint where nothing listens is an EndpointError that names no secret, and creates nothing."""
    with recording(lambda _: DENIED) as gone:
        pass
    failed = run.fails(create("lake", keys=KEYS, ENDPOINT=gone.endpoint), EndpointError)
    assert "one-secret" not in failed.block()
    assert run.connections == []


def test_a_web_page_is_no_s3(run):
    """A server that answers with HTML is an EndpointError that asks whether it is an S3 server."""
    with recording(lambda _: Reply(200, {"Content-Type": "text/html"}, b"<!doctype html><p>Welcome")) as wire:
        failed = run.fails(create("lake", keys=KEYS, ENDPOINT=wire.endpoint), EndpointError)
    assert "S3" in failed.message + failed.hint


NO_S3 = {
    "HTML": Reply(200, {"Content-Type": "text/html"}, b"<html><head><title>Console</title></head></html>"),
    "a page of XHTML": Reply(200, {"Content-Type": "text/html"}, b"<?xml version='1.0'?><html><body/></html>"),
    "JSON": Reply(200, {"Content-Type": "application/json"}, b'{"detail": "not found"}'),
    "JSON that refuses": Reply(404, {"Content-Type": "application/json"}, b'{"detail": "not found"}'),
    "nothing": Reply(200),
    "no content": Reply(204),
    "a login": Reply(302, {"Location": "https://login.example/?next=/"}),
    "plain text": Reply(200, {"Content-Type": "text/plain"}, b"ok"),
}


@pytest.mark.parametrize("filters", [{}, {"PATH_DISPLAY_FILTER": "s3://acme-lake/in/"}], ids=["buckets", "a filter"])
@pytest.mark.parametrize("answer", NO_S3)
def test_what_is_no_s3_makes_no_connection(run, monkeypatch, answer, filters):
    """Whatever answers in place of S3, at whatever status, CREATE fails, and so does LIST, and both say what to do."""
    monkeypatch.setattr("s3conn_magic.listing.fetch.backoff", lambda *_: 0)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    with recording(lambda _: NO_S3[answer]) as wire:
        failed = run.fails(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, **filters), EndpointError)
        assert failed.hint
        assert run.connections == []
        run(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False))
        assert run.fails("LIST 's3://acme-lake/'").hint


# ALTER


@pytest.fixture
def lake(run, wire, sandbox):
    """A session with a probed connection `lake`, which is the default, and another one."""
    run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, COMMENT="as it was"))
    run(create("other", keys=sandbox.admin, ENDPOINT=wire.endpoint))
    run("USE CONNECTION lake")
    return run


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("SET COMMENT = 'new' AWS_SECRET_ACCESS_KEY = 'wrong'", CredentialsError),
        ("SET COMMENT = 'new' PATH_DISPLAY_FILTERS = ('s3://acme-lake/', 's3://acme-nowhere/')", BucketNotFoundError),
        ("SET AWS_ROLE = 'arn:aws:iam::123456789012:role/lake-reader' COMMENT = 'new'", AccessDeniedError),
        ("SET ENDPOINT = 'http://127.0.0.1:9' COMMENT = 'new'", EndpointError),
        ("UNSET AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, COMMENT", CredentialsError),
    ],
)
def test_a_failed_alter_changes_nothing(lake, change, kind):
    """When the altered connection's probe fails, options, findings, default and handles stay as they were."""
    handle = lake.connection("lake")
    before = str(lake("SHOW CREATE S3 CONNECTION lake")), handle.findings, handle.state_token
    frame = lake("SHOW CONNECTIONS")
    lake.fails(f"ALTER S3 CONNECTION lake {change}", kind)
    assert (str(lake("SHOW CREATE S3 CONNECTION lake")), handle.findings, handle.state_token) == before
    assert lake("SHOW CONNECTIONS").equals(frame)
    assert lake.session.connections.default == "lake"
    assert len(lake(f"LIST 's3://{LAKE}/sales/'")) == 2


def test_alter_probes_the_whole_connection(lake, wire):
    """ALTER asks what CREATE would, and its findings replace the old ones."""
    wire.requests.clear()
    card = lake(f"ALTER S3 CONNECTION lake SET PATH_DISPLAY_FILTERS = ('s3://{LAKE}/sales/')")
    assert dict(card.lines)["reaches"] == f"s3://{LAKE}/sales/"
    assert dict(card.lines)["comment"] == "as it was"
    assert [path for path, _ in gets(wire)] == [f"/{LAKE}"]
    assert lake.connection("lake").findings.filters == (f"s3://{LAKE}/sales/",)
    lake("ALTER S3 CONNECTION lake UNSET PATH_DISPLAY_FILTERS, COMMENT")
    assert lake.connection("lake").findings.buckets == 6
    assert lake("SHOW CONNECTIONS LIKE 'lake'")["comment"].isna().all()


def test_a_failed_replacement_keeps_the_old_one(lake, wire):
    """CREATE OR REPLACE whose probe fails leaves the connection of that name as it was."""
    text = create("lake", keys=KEYS, ENDPOINT=wire.endpoint).replace("CREATE", "CREATE OR REPLACE")
    lake.fails(text, CredentialsError)
    assert lake("SHOW CONNECTIONS LIKE 'lake'")["comment"].tolist() == ["as it was"]
    assert len(lake(f"LIST 's3://{LAKE}/sales/'")) == 2


def test_an_alter_that_fails_while_binding_sends_nothing(lake, wire):
    """ALTER of what cannot be altered is refused without a request."""
    wire.requests.clear()
    lake.fails("ALTER S3 CONNECTION lake SET READ_ONLY = TRUE")
    assert wire.requests == []


def test_the_empty_listing_of_a_filter_is_no_failure(run):
    """A filter below which there is nothing yet makes a connection."""
    with recording(lambda one: NO_STS if one.method == "POST" else listing(LAKE)) as wire:
        run(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, PATH_DISPLAY_FILTERS=f"s3://{LAKE}/soon/"))
    assert run.connections == ["lake"]
