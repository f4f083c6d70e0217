"""What a CREATE or ALTER says when its probe fails: what it is about, what became of the connection, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from certificates import authority
from recording import Reply, error, recording
from statements import Statements

from s3conn_magic.errors import EndpointError, S3ConnError
from s3conn_magic.sandbox import RESTRICTED

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIR = f"AWS_ACCESS_KEY_ID = '{RESTRICTED.access_key_id}' AWS_SECRET_ACCESS_KEY = $secret"
WRONG_ROLE = "AWS_ROLE = 'arn:aws:iam::123456789012:role/nobody-has-it'"
FAILING = {
    "wrong secret": "AWS_ACCESS_KEY_ID = '{id}' AWS_SECRET_ACCESS_KEY = 'wrongwrongwrong' ENDPOINT = '{endpoint}'",
    "unknown key": "AWS_ACCESS_KEY_ID = 'AKIANOBODY' AWS_SECRET_ACCESS_KEY = 'wrongwrongwrong' ENDPOINT = '{endpoint}'",
    "no permission": f"{PAIR} ENDPOINT = '{{endpoint}}'",
    "role": f"{PAIR} {WRONG_ROLE} ENDPOINT = '{{endpoint}}'",
    "profile": "AWS_PROFILE = 'nobody-has-it' ENDPOINT = '{endpoint}'",
    "anonymous": "ANONYMOUS = TRUE ENDPOINT = '{endpoint}' PATH_DISPLAY_FILTERS = ('s3://acme-lake/hr/')",
    "no bucket": f"{PAIR} ENDPOINT = '{{endpoint}}' PATH_DISPLAY_FILTERS = ('s3://nobody-has-it/')",
    "endpoint": f"{PAIR} ENDPOINT = 'http://127.0.0.1:9'",
}


@pytest.fixture
def run(sandbox) -> Statements:
    """A session with a connection `kept`."""
    run = Statements(secret=RESTRICTED.secret_access_key)
    run(_filled("CREATE S3 CONNECTION kept ", f"{PAIR} ENDPOINT = '{{endpoint}}' VALIDATE = FALSE", sandbox))
    return run


def _filled(statement: str, options: str, sandbox) -> str:
    return statement + options.format(id=RESTRICTED.access_key_id, endpoint=sandbox.endpoint)


@pytest.mark.parametrize("case", FAILING)
def test_a_create_that_fails_says_that_nothing_was_created(case, run, sandbox):
    """The hint begins so and tells of no ALTER, the message names connection, bucket or role, and nothing is there."""
    error = run.fails(_filled("CREATE S3 CONNECTION made ", FAILING[case], sandbox), S3ConnError)
    assert error.hint.startswith("Nothing was created")
    assert "ALTER" not in error.hint
    assert any(one in error.message for one in ("the connection made", "s3://", "arn:aws", "bucket nobody-has-it"))
    assert list(run("SHOW CONNECTIONS").name) == ["kept"]


CHANGES = [("CREATE OR REPLACE S3 CONNECTION kept ", case) for case in FAILING]
CHANGES += [("ALTER S3 CONNECTION kept SET ", case) for case in FAILING if "AWS_ACCESS" in FAILING[case]]


@pytest.mark.parametrize(("statement", "case"), CHANGES)
def test_a_change_that_fails_says_that_the_connection_stays(statement, case, run, sandbox):
    """The hint begins so, and the connection is what it was."""
    before = run.session.connections.get("kept").options
    error = run.fails(_filled(statement, FAILING[case], sandbox), S3ConnError)
    assert error.hint.startswith("The connection kept stays as it was")
    assert run.session.connections.get("kept").options == before


# Which option a failed probe marks

KEYS = "AWS_ACCESS_KEY_ID = 'AKIAONE' AWS_SECRET_ACCESS_KEY = 'made-up-one'"
ROLE = "AWS_ROLE = 'arn:aws:iam::123456789012:role/reader'"
FILTERS = "PATH_DISPLAY_FILTERS = ('s3://acme-one/', 's3://acme-two/')"
ALL = f"COMMENT = 'x' REGION = 'eu-west-1' AWS_SESSION_TOKEN = 'made-up-two' {KEYS} ENDPOINT = 'SERVER'"


def _of_sts(status: int, code: str) -> Reply:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    return Reply(status, {"Content-Type": "text/xml"}, body.encode())


MARKED = {
    "unknown key": (error(403, "InvalidAccessKeyId"), ALL, "AWS_ACCESS_KEY_ID ="),
    "wrong secret": (error(403, "SignatureDoesNotMatch"), ALL, "AWS_SECRET_ACCESS_KEY ="),
    "wrong token": (error(400, "InvalidToken"), ALL, "AWS_SESSION_TOKEN ="),
    "expired": (error(400, "ExpiredToken"), ALL, "AWS_SESSION_TOKEN ="),
    "region": (error(400, "AuthorizationHeaderMalformed"), ALL, "REGION ="),
    "may not list": (error(403, "AccessDenied"), ALL, "AWS_ACCESS_KEY_ID ="),
    "unsigned": (error(403, "AccessDenied"), "COMMENT = 'x' ENDPOINT = 'SERVER' ANONYMOUS = TRUE", "ANONYMOUS ="),
    "wants a signature": (error(401, "Unauthorized"), "ENDPOINT = 'SERVER' ANONYMOUS = TRUE", "ANONYMOUS ="),
    "no server of S3": (Reply(200, {"Content-Type": "text/html"}, b"<html>hello"), ALL, "ENDPOINT ="),
    "no server at all": (None, ALL, "ENDPOINT ="),
    "fails": (error(503, "ServiceUnavailable"), ALL, "ENDPOINT ="),
    "slow": (error(503, "SlowDown"), ALL, "ENDPOINT ="),
    "role": (_of_sts(403, "AccessDenied"), f"{ALL} {ROLE}", "AWS_ROLE ="),
    "role of nobody": (_of_sts(400, "ValidationError"), f"{ALL} {ROLE}", "AWS_ROLE ="),
    "keys for a role": (_of_sts(403, "InvalidClientTokenId"), f"{ALL} {ROLE}", "AWS_ACCESS_KEY_ID ="),
    "profile": (None, "ENDPOINT = 'SERVER' AWS_PROFILE = 'nobody-has-it'", "AWS_PROFILE ="),
    "no bucket": ("acme-two", f"{ALL} {FILTERS}", "'s3://acme-two/'"),
    "no permission": ("acme-one", f"{ALL} {FILTERS}", "'s3://acme-one/'"),
    "one filter": ("acme-one", f"{ALL} PATH_DISPLAY_FILTER = 's3://acme-one/'", "PATH_DISPLAY_FILTER ="),
}
"""What the server answers, or the bucket that it refuses; the options, and what is marked of them."""
CODES = {"no bucket": error(404, "NoSuchBucket"), "no permission": error(403, "AccessDenied")}
LISTED = Reply(200, {}, b"<ListBucketResult><Name>b</Name></ListBucketResult>")


def _marked(failed: S3ConnError, text: str) -> str:
    return text[failed.place.column - 1 :]


@pytest.mark.parametrize("case", MARKED)
@pytest.mark.parametrize("changes", [False, True], ids=["CREATE", "ALTER"])
def test_the_option_that_is_to_blame_is_marked(case, changes):
    """Of all options of the statement it is the one, or the display filter, that the failure is about."""
    answer, options, marked = MARKED[case]

    def answered(request):
        if isinstance(answer, str):
            return (CODES.get(case, error(404, "NoSuchBucket"))) if answer in request.path else LISTED
        return answer or LISTED

    run = Statements()
    with recording(answered) as server:
        endpoint = server.endpoint if answer or "PROFILE" in options else "http://127.0.0.1:9"
        run(f"CREATE S3 CONNECTION kept ENDPOINT = '{endpoint}' VALIDATE = FALSE")
        begin = "ALTER S3 CONNECTION kept SET" if changes else "CREATE S3 CONNECTION made"
        text = f"{begin} {options.replace('SERVER', endpoint)}"
        failed = run.fails(text)
    assert _marked(failed, text).startswith(marked)
    assert "made-up" not in failed.block()


def test_what_was_unset_is_marked():
    """Without the option that was taken away there are no credentials."""
    run = Statements()
    with recording(lambda _: LISTED) as server:
        run(f"CREATE S3 CONNECTION kept ENDPOINT = '{server.endpoint}' {KEYS} VALIDATE = FALSE")
        text = "ALTER S3 CONNECTION kept UNSET AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
        failed = run.fails(text)
    assert _marked(failed, text).startswith("AWS_ACCESS_KEY_ID,")


def test_where_no_option_of_the_statement_is_to_blame_the_statement_is_marked():
    """An ALTER that has nothing to do with what fails is marked at its first word."""
    run = Statements()
    with recording(lambda _: error(503, "ServiceUnavailable")) as server:
        run(f"CREATE S3 CONNECTION kept ENDPOINT = '{server.endpoint}' {KEYS} VALIDATE = FALSE")
        failed = run.fails("ALTER S3 CONNECTION kept SET COMMENT = 'x'")
    assert (failed.place.line, failed.place.column) == (1, 1)


# TLS and plain HTTP in each other's place


@pytest.fixture(scope="module")
def behind_tls(tmp_path_factory) -> Iterator[str]:
    """The URL of a server that speaks TLS."""
    context = authority(tmp_path_factory.mktemp("tls")).server
    with recording(lambda _: LISTED) as server:
        listening = server._server
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        yield server.endpoint.replace("http://", "https://")


SAYS_SO = (
    b"Client sent an HTTP request to an HTTPS server.\n",
    b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
    b"<p>You're speaking plain HTTP to an SSL-enabled server port.</p>",
)


@pytest.mark.parametrize("more", ["", FILTERS, ROLE], ids=["", "filters", "role"])
def test_http_to_a_server_of_https_prints_the_right_endpoint(behind_tls, more):
    """Whatever is asked first, the error is about the protocol, marks ENDPOINT, and its URL is the server's."""
    text = f"CREATE S3 CONNECTION made {KEYS} {more} ENDPOINT = '{behind_tls.replace('https', 'http')}'"
    failed = Statements().fails(text, EndpointError)
    assert "the server expects HTTPS, and the request was plain HTTP" in failed.message
    assert f"ENDPOINT = '{behind_tls}'" in failed.hint
    assert _marked(failed, text).startswith("ENDPOINT =")


@pytest.mark.parametrize("more", ["", FILTERS, ROLE], ids=["", "filters", "role"])
def test_https_to_a_server_of_http_prints_the_right_endpoint(more):
    """The same the other way around."""
    with recording(lambda _: LISTED) as server:
        text = f"CREATE S3 CONNECTION made {KEYS} {more} ENDPOINT = '{server.endpoint.replace('http', 'https')}'"
        failed = Statements().fails(text, EndpointError)
        assert f"ENDPOINT = '{server.endpoint}'" in failed.hint
    assert "the server does not speak TLS" in failed.message
    assert _marked(failed, text).startswith("ENDPOINT =")


@pytest.mark.parametrize("body", SAYS_SO)
def test_a_server_that_says_that_it_wants_https_is_believed(body):
    """A listing through a connection that was not probed says so."""
    run = Statements()
    with recording(lambda _: Reply(400, {"Content-Type": "text/plain"}, body)) as server:
        run(f"CREATE S3 CONNECTION made {KEYS} ENDPOINT = '{server.endpoint}' VALIDATE = FALSE")
        failed = run.fails("LIST 's3://acme-one/'")
    assert "expects HTTPS" in failed.message
    assert "Write https:// instead of http://." in failed.hint


FIRST = (
    "SHOW BUCKETS USING made",
    "LIST 's3://acme-one/' USING made",
    "LIST 's3://acme-one/' USING made RECURSIVE",
    "PREVIEW 's3://acme-one/a.csv' USING made",
    "ANALYZE 's3://acme-one/' USING made",
    "DISCOVER 's3://acme-one/' USING made",
    "SELECT * FROM 's3://made@acme-one/a.csv'",
    "DESCRIBE 's3://acme-one/a.csv' USING made",
    "CREATE TABLE t LOCATION 's3://acme-one/' USING made",
    "CREATE JOB j AS COPY FROM S3 made LOCATION = 's3://acme-one/' INTO t",
)


@pytest.mark.parametrize("statement", FIRST)
def test_the_first_statement_of_an_unprobed_connection_prints_the_right_endpoint(behind_tls, statement):
    """Whatever it is, in either direction: the hint alters the connection, and is a statement."""
    for wrong, right in _both_ways(behind_tls):
        run = Statements()
        run(f"CREATE S3 CONNECTION made {KEYS} ENDPOINT = '{wrong}' VALIDATE = FALSE")
        failed = run.fails(statement)
        assert failed.hint == f"Here: ALTER S3 CONNECTION made SET ENDPOINT = '{right}';"
        assert failed.message.startswith("the connection made: the server ")


def _both_ways(behind_tls: str) -> Iterator[tuple[str, str]]:
    yield behind_tls.replace("https", "http"), behind_tls
    with recording(lambda _: LISTED) as server:
        yield server.endpoint.replace("http", "https"), server.endpoint


def test_a_certificate_that_nobody_knows_is_not_taken_for_plain_http(behind_tls):
    """The server speaks TLS, and the error is about its certificate."""
    failed = Statements().fails(f"CREATE S3 CONNECTION made {KEYS} ENDPOINT = '{behind_tls}'", EndpointError)
    assert "certificate" in failed.message
