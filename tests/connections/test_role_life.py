"""The life of a role's credentials by a clock that the test moves: refreshes, failures, chains, wrong clocks."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256

import pytest
from botocore import credentials
from recording import Reply, error, listing, recording
from statements import Statements, create

from s3conn_magic.errors import AccessDeniedError, CredentialsError
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

KEYS = Keys("AKIAONE", Secret("one-secret"))
ROLE = "arn:aws:iam::123456789012:role/reader"
BUCKET = "lake"
REFUSED = Reply(403, {}, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")
# botocore's windows: from 15 minutes before the end one thread asks, from 10 minutes before it all wait.
QUIET, ADVISORY, MANDATORY = (
    timedelta(minutes=60) - before for before in (timedelta(minutes=one) for one in (15.5, 14.5, 9.5))
)


class Clock:
    """The time that botocore believes."""

    def __init__(self):
        self.ahead = timedelta()

    def __call__(self):
        """Now, moved."""
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock(monkeypatch):
    """A clock for every refresh of credentials that are made from here on."""
    moved = Clock()
    monkeypatch.setattr(credentials, "_local_now", moved)
    for kind in (credentials.RefreshableCredentials, credentials.DeferredRefreshableCredentials):
        monkeypatch.setattr(kind, "__init__", _with_clock(kind.__init__, moved))
    return moved


def _with_clock(real, clock):
    def begin(self, *args, **keys):
        real(self, *args, **keys)
        self._time_fetcher = clock

    return begin


class Sts:
    """Answers AssumeRole by triples that last an hour by the clock, and everything else by an empty listing.

    `hold`, while set, keeps AssumeRole waiting for `release`; `refuse` makes it fail so many times.
    """

    def __init__(self, clock):
        self._clock = clock
        self.asked = []
        self.triples = []
        self.refuse = 0
        self.hold = False
        self.waiting, self.release = threading.Event(), threading.Event()

    def __call__(self, request):
        """One answer."""
        if request.form.get("Action") != "AssumeRole":
            return listing(BUCKET)
        self.asked.append(request)
        if self.hold:
            self.waiting.set()
            assert self.release.wait(30)
        if self.refuse:
            self.refuse -= 1
            return REFUSED
        return self._issue(request.form["RoleArn"])

    def _issue(self, role):
        number = len(self.triples) + 1
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        triple = tuple(f"{name[0]}{number}{sha256(role.encode()).hexdigest()[:6]}" for name in names)
        self.triples.append(triple)
        fields = "".join(f"<{name}>{value}</{name}>" for name, value in zip(names, triple, strict=True))
        end = f"<Expiration>{self._clock() + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}</Expiration>"
        named = f"<AssumedRoleUser><Arn>{role}/s</Arn><AssumedRoleId>r:s</AssumedRoleId></AssumedRoleUser>"
        result = f"<AssumeRoleResult><Credentials>{fields}{end}</Credentials>{named}</AssumeRoleResult>"
        body = f'<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{result}</AssumeRoleResponse>'
        return Reply(200, {"Content-Type": "text/xml"}, body.encode())


@pytest.fixture
def sts(clock):
    """What answers AssumeRole."""
    return Sts(clock)


@pytest.fixture
def wire(sts):
    """A server with STS and one empty bucket."""
    with recording(sts) as recorder:
        yield recorder


@pytest.fixture
def reader(wire):
    """A session with the connection `reader`, which assumes the role by a pair."""
    run = Statements()
    run(create("reader", keys=KEYS, AWS_ROLE=ROLE, ENDPOINT=wire.endpoint, VALIDATE=False))
    return run


def triple(connection):
    """What the connection signs with now."""
    return connection.frozen_credentials()[:3]


def test_before_the_advisory_window_sts_is_not_asked(reader, sts, clock, threads):
    """One AssumeRole serves 16 threads, and serves until 15 minutes before the end."""
    connection = reader.connection("reader")
    assert set(threads(lambda: triple(connection))) == {sts.triples[0]}
    clock.ahead = QUIET
    assert set(threads(lambda: triple(connection))) == {sts.triples[0]}
    reader(f"LIST 's3://{BUCKET}/'")
    assert len(sts.asked) == 1


def test_in_the_advisory_window_one_asks_and_the_others_go_on(reader, sts, clock, threads):
    """While one thread's AssumeRole is under way, 15 others sign with what they have; then all have the new triple."""
    connection = reader.connection("reader")
    old = triple(connection)
    clock.ahead, sts.hold = ADVISORY, True
    gone_on = []

    def use():
        found = triple(connection)
        gone_on.append(found)
        if len(gone_on) == 15:
            sts.release.set()
        return found

    found = threads(use)
    assert sts.waiting.is_set()
    assert gone_on[:15] == [old] * 15
    assert sorted(found) == sorted([old] * 15 + [sts.triples[1]])
    assert set(threads(lambda: triple(connection))) == {sts.triples[1]}
    assert len(sts.asked) == 2


def test_in_the_mandatory_window_everyone_waits_for_one_call(reader, sts, clock, threads):
    """Ten minutes before the end nobody signs with the old triple any more, and one AssumeRole serves all."""
    connection = reader.connection("reader")
    triple(connection)
    clock.ahead, sts.hold = MANDATORY, True
    gone_on = []

    def use():
        found = triple(connection)
        gone_on.append(found)
        return found

    def let_go():
        assert sts.waiting.wait(30)
        before = list(gone_on)
        sts.release.set()
        return before

    watcher = []
    beside = threading.Thread(target=lambda: watcher.append(let_go()))
    beside.start()
    assert set(threads(use)) == {sts.triples[1]}
    beside.join(30)
    assert watcher == [[]]
    assert len(sts.asked) == 2


def test_no_triple_is_torn_while_it_is_renewed(reader, sts, clock, wire, threads):
    """16 threads that sign through many refreshes sign each request with parts of one triple."""
    connection = reader.connection("reader")
    client, target = connection.client("s3"), connection.target(BUCKET)
    turns = iter(range(16))

    def use():
        ahead = next(turns) % 4 == 0
        found = set()
        for _ in range(12):
            clock.ahead += MANDATORY if ahead else timedelta()
            found.add(triple(connection))
            client.list_objects_v2(Bucket=BUCKET)
            headers = target.sign([("list-type", "2")]).headers
            key = headers["Authorization"].partition("Credential=")[2].partition("/")[0]
            found.add((key, None, headers["X-Amz-Security-Token"]))
        return found

    seen = set.union(*threads(use))
    whole, parts = {one for one in seen if one[1]}, {(one[0], one[2]) for one in seen}
    sent = {(one.signed_by, one.headers.get("x-amz-security-token")) for one in wire.requests if one.method == "GET"}
    assert len(sts.triples) > 10
    assert whole <= set(sts.triples)
    assert parts | sent <= {(one[0], one[2]) for one in sts.triples}


def test_a_failed_renewal_that_can_wait_is_not_an_error(reader, sts, clock):
    """In the advisory window the old triple goes on after a refusal, and the next use asks again."""
    connection = reader.connection("reader")
    old = triple(connection)
    clock.ahead, sts.refuse = ADVISORY, 1
    assert triple(connection) == old
    assert triple(connection) == sts.triples[1] != old
    assert len(sts.asked) == 3


def test_a_failed_renewal_that_cannot_wait_is_the_statement_s_error(reader, sts, clock):
    """In the mandatory window a refusal names the action and the role; the next statement asks again and works."""
    reader(f"LIST 's3://{BUCKET}/'")
    clock.ahead, sts.refuse = MANDATORY, 1
    failed = reader.fails(f"LIST 's3://{BUCKET}/'", AccessDeniedError)
    assert (failed.action, failed.resource) == ("sts:AssumeRole", ROLE)
    assert len(reader(f"LIST 's3://{BUCKET}/'")) == 0
    assert len(sts.triples) == 2


def test_every_renewal_sends_the_external_id(wire, sts, clock):
    """EXTERNAL_ID goes with the first AssumeRole and with those that renew; ALTER … UNSET ends that."""
    run = Statements()
    run(create("reader", keys=KEYS, AWS_ROLE=ROLE, EXTERNAL_ID="ours", ENDPOINT=wire.endpoint, VALIDATE=False))
    triple(run.connection("reader"))
    clock.ahead = MANDATORY
    triple(run.connection("reader"))
    run("ALTER S3 CONNECTION reader UNSET EXTERNAL_ID")
    triple(run.connection("reader"))
    assert [one.form.get("ExternalId") for one in sts.asked] == ["ours", "ours", None]
    assert {one.form["DurationSeconds"] for one in sts.asked} == {"3600"}


def test_assuming_a_role_keeps_no_socket(reader, wire, sts, clock):
    """Each AssumeRole comes by a socket of its own, which is closed before the answer is used."""
    connection = reader.connection("reader")
    for _ in range(3):
        triple(connection)
        clock.ahead += MANDATORY
    assert len({one.connection for one in sts.asked}) == 3
    assert wire.still_open() == 0


# Chains


def test_a_role_assumed_by_a_profile_that_assumes_roles(wire, sts, aws_files, monkeypatch):
    """The profile's roles are assumed one by the other, and the last of them assumes AWS_ROLE."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", wire.endpoint)
    roles = [f"arn:aws:iam::123456789012:role/{name}" for name in ("first", "second")]
    aws_files[0].write_text(
        "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = base-secret\n"
        f"[profile first]\nrole_arn = {roles[0]}\nsource_profile = base\nregion = us-east-1\n"
        f"[profile second]\nrole_arn = {roles[1]}\nsource_profile = first\nexternal_id = theirs\n"
        "region = us-east-1\n"
    )
    run = Statements()
    options = {"AWS_ROLE": ROLE, "EXTERNAL_ID": "ours", "ENDPOINT": wire.endpoint, "VALIDATE": False}
    run(create("reader", AWS_PROFILE="second", **options))
    run(f"LIST 's3://{BUCKET}/'")
    assert [one.form["RoleArn"] for one in sts.asked] == [*roles, ROLE]
    assert [one.form.get("ExternalId") for one in sts.asked] == [None, "theirs", "ours"]
    assert [one.signed_by for one in sts.asked] == ["AKIABASE", sts.triples[0][0], sts.triples[1][0]]
    assert [one.headers.get("x-amz-security-token") for one in sts.asked] == [
        None,
        sts.triples[0][2],
        sts.triples[1][2],
    ]
    assert wire.requests[-1].signed_by == sts.triples[2][0]


def test_a_role_assumed_by_what_a_role_gave_out(wire, sts):
    """A temporary pair with its token assumes the next role, for the hour that AWS allows in a chain."""
    run = Statements()
    options = {"AWS_SESSION_TOKEN": "first-token", "AWS_ROLE": ROLE, "ENDPOINT": wire.endpoint, "VALIDATE": False}
    run(create("reader", keys=KEYS, **options))
    run(f"LIST 's3://{BUCKET}/'")
    [asked] = sts.asked
    assert (asked.signed_by, asked.headers["x-amz-security-token"]) == (KEYS.access_key_id, "first-token")
    assert asked.form["DurationSeconds"] == "3600"
    assert wire.requests[-1].headers["x-amz-security-token"] == sts.triples[0][2]


def test_a_profile_s_role_that_is_refused_is_not_said_of_the_bucket(wire, sts, aws_files, monkeypatch):
    """A role in a profile that may not be assumed names the action and the role, and no bucket that it is not about."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", wire.endpoint)
    aws_files[0].write_text(
        "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = base-secret\n"
        f"[profile first]\nrole_arn = {ROLE}\nsource_profile = base\nregion = us-east-1\n"
    )
    run = Statements()
    run(create("reader", AWS_PROFILE="first", ENDPOINT=wire.endpoint, VALIDATE=False))
    sts.refuse = 1
    failed = run.fails(f"LIST 's3://{BUCKET}/'", AccessDeniedError)
    assert (failed.action, failed.resource) == ("sts:AssumeRole", ROLE)
    assert BUCKET not in failed.message
    assert "trust policy" in failed.hint


def test_a_chain_is_renewed_from_its_beginning(wire, sts, clock, aws_files, monkeypatch):
    """When the roles of a chain run out together, each is assumed again, by the new triple of the one before."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", wire.endpoint)
    aws_files[0].write_text(
        "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = base-secret\n"
        "[profile first]\nrole_arn = arn:aws:iam::123456789012:role/first\nsource_profile = base\n"
        "region = us-east-1\n"
    )
    run = Statements()
    run(create("reader", AWS_PROFILE="first", AWS_ROLE=ROLE, ENDPOINT=wire.endpoint, VALIDATE=False))
    triple(run.connection("reader"))
    clock.ahead = MANDATORY
    assert triple(run.connection("reader")) == sts.triples[3]
    assert [one.signed_by for one in sts.asked] == ["AKIABASE", sts.triples[0][0], "AKIABASE", sts.triples[2][0]]


# Wrong clocks


@pytest.mark.parametrize(("hours", "said"), [(2, "behind"), (-2, "ahead of")])
@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "RequestTimeTooSkewed", "ExpiredToken"])
def test_a_clock_that_differs_from_the_server_s_is_named(wire, hours, said, code):
    """What a server refuses for its time names how far the clocks are apart, in a probe and in a listing."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    wire.answer = lambda _: error(403, code, Date=date)
    run = Statements()
    failed = run.fails(create("lake", keys=KEYS, ENDPOINT=wire.endpoint), CredentialsError)
    assert f"the clock of this machine is 2 h 0 min {said} the server's ({code})" in failed.message
    run(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, VALIDATE=False))
    assert said in run.fails(f"LIST 's3://{BUCKET}/'", CredentialsError).message


@pytest.mark.parametrize("date", ["", "now", "no date"])
def test_a_clock_that_is_right_is_not_blamed(wire, date):
    """Where the clocks agree, or the server does not say its time, a wrong signature is the secret's fault."""
    date = format_datetime(datetime.now(UTC), usegmt=True) if date == "now" else date
    wire.answer = lambda _: error(403, "SignatureDoesNotMatch", Date=date)
    failed = Statements().fails(create("lake", keys=KEYS, ENDPOINT=wire.endpoint), CredentialsError)
    assert "secret access key is wrong" in failed.message
