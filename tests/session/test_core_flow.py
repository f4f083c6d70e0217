"""A person's first cells, on two servers that have nothing in common: moto's and rclone's, which checks signatures."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from statements import Statements, create

from s3conn_magic.errors import BindError, BucketNotFoundError, ConnectionNotFoundError, CredentialsError
from s3conn_magic.locations import Location
from s3conn_magic.sandbox import LAKE, LOGS, Keys
from s3conn_magic.sandbox.data import BUCKETS, puts
from s3conn_magic.secrets import Secret

ADMIN_ARN = "arn:aws:iam::123456789012:user/admin"


@dataclass(frozen=True)
class Server:
    """What a test needs to know of one of the two."""

    endpoint: str
    keys: Keys
    buckets: tuple[str, ...]
    markers: bool
    identity: str | None

    def lake(self, below: str = "") -> list[str]:
        """Keys of the lake below a prefix, in order."""
        keys = (one.key for one in puts() if one.bucket == LAKE and one.key.startswith(below))
        return sorted(key for key in keys if self.markers or not key.endswith("/"))


@pytest.fixture(params=["sandbox", "rclone"])
def server(request):
    """Each of the two servers."""
    if request.param == "sandbox":
        found = request.getfixturevalue("sandbox")
        return Server(found.endpoint, found.admin, tuple(sorted(one.name for one in BUCKETS)), True, ADMIN_ARN)
    found = request.getfixturevalue("rclone_server")
    return Server(found.endpoint, found.keys, ("acme-empty", LAKE, LOGS), False, None)


@pytest.fixture
def run(server):
    """A session with the connection `lake` to the server."""
    statements = Statements()
    statements(create("lake", keys=server.keys, ENDPOINT=server.endpoint))
    return statements


def test_create_says_what_it_found(server):
    """A key pair makes a connection whose card names kind, identity where there is STS, buckets and no secret."""
    card = Statements()(create("lake", keys=server.keys, ENDPOINT=server.endpoint))
    lines = dict(card.lines)
    assert card.title == "S3 connection lake created"
    assert lines["credentials"] == "key pair"
    assert lines.get("identity") == server.identity
    assert lines["reaches"] == f"{len(server.buckets)} buckets"
    assert lines["endpoint"] == server.endpoint
    assert server.keys.secret_access_key.reveal() not in repr(card) + card._repr_html_() + repr(vars(Statements))


def test_show_buckets_has_every_bucket(server, run):
    """SHOW BUCKETS gives one row a bucket, and LIKE fewer."""
    frame = run("SHOW BUCKETS")
    assert tuple(sorted(frame["bucket"])) == server.buckets
    assert sorted(frame["location"]) == [f"s3://{name}/" for name in server.buckets]
    assert list(run("SHOW BUCKETS LIKE 'acme-l%'")["bucket"]) == [LAKE, LOGS]
    assert run("SHOW BUCKETS LIKE 'nothing'").empty


def test_list_shows_one_level(server, run):
    """LIST of a location gives its objects, and its folders as rows of their own."""
    frame = run(f"LIST 's3://{LAKE}/'")
    keys = server.lake()
    folders = sorted({key.partition("/")[0] + "/" for key in keys if "/" in key})
    assert list(frame.loc[frame["is_prefix"], "key"]) == folders
    assert list(frame.loc[~frame["is_prefix"], "key"]) == [key for key in keys if "/" not in key]
    assert set(frame["bucket"]) == {LAKE}
    assert frame.loc[frame["is_prefix"], "size"].isna().all()


def test_list_recursive_has_every_key(server, run):
    """RECURSIVE gives every object below the location with its size, in key order, and nothing beside it."""
    frame = run(f"LIST 's3://{LAKE}/events/' RECURSIVE")
    sizes = {one.key: len(one.body or b"") for one in puts() if one.bucket == LAKE}
    assert list(frame["key"]) == server.lake("events/")
    assert list(frame["size"]) == [sizes[key] for key in frame["key"]]
    assert not frame["is_prefix"].any()
    assert frame["last_modified"].dt.tz is not None


def test_list_takes_a_prefix_as_it_is(server, run):
    """A location without a trailing slash is every key that begins so."""
    assert list(run(f"LIST 's3://{LAKE}/sales/o' RECURSIVE")["key"]) == server.lake("sales/o") == ["sales/orders.csv"]


def test_list_pages_through_more_than_a_thousand_keys(run):
    """2,400 keys in one folder arrive, each once."""
    frame = run(f"LIST 's3://{LOGS}/web/'")
    assert sorted(frame["key"]) == sorted(one.key for one in puts() if one.bucket == LOGS)


def test_limit_cuts_and_says_so(run):
    """LIMIT gives that many rows and a note; a listing that fits, and LIMIT ALL, give none."""
    assert len(run(f"LIST 's3://{LOGS}/web/' LIMIT 1500")) == 1500
    [note] = run.notes
    assert "1,500" in note
    assert "LIMIT ALL" in note
    assert len(run(f"LIST 's3://{LOGS}/web/' LIMIT 2400")) == 2400
    assert len(run(f"LIST 's3://{LOGS}/web/' LIMIT ALL")) == 2400
    assert run(f"LIST 's3://{LOGS}/web/' LIMIT 0").empty
    assert len(run.notes) == 2  # LIMIT 0 cuts too


def test_matching_is_a_glob_below_the_location(server, run):
    """MATCHING keeps the keys whose part below the location fits."""
    frame = run(f"LIST 's3://{LAKE}/' RECURSIVE MATCHING 'events/**/day=0[12]/*.parquet'")
    wanted = [key for key in server.lake("events/") if "/day=01/" in key or "/day=02/" in key]
    assert list(frame["key"]) == wanted
    assert run(f"LIST 's3://{LAKE}/' RECURSIVE MATCHING '*.nothing'").empty


def test_nothing_there_is_an_empty_frame(run):
    """An empty bucket and a prefix without keys give the columns and no row."""
    full = run(f"LIST 's3://{LAKE}/'")
    for location in ("s3://acme-empty/", f"s3://{LAKE}/no/such/prefix/"):
        frame = run(f"LIST '{location}' RECURSIVE")
        assert frame.empty
        assert dict(frame.dtypes) == {**dict(full.dtypes), "storage_class": frame.dtypes["storage_class"]}


def test_list_without_a_location_gives_the_buckets(server, run):
    """LIST alone shows the buckets as folders."""
    frame = run("LIST")
    assert tuple(sorted(frame["bucket"])) == server.buckets
    assert frame["is_prefix"].all()
    assert (frame["key"] == "").all()


def test_explore_has_its_first_page(server, run):
    """EXPLORE lists its first page before it is shown: buckets, or the children of a location."""
    roots, below = run("EXPLORE"), run(f"EXPLORE 's3://{LAKE}/sales/'")
    assert tuple(sorted(roots.frame["bucket"])) == server.buckets
    assert list(below.frame["key"]) == ["sales/customers.csv", "sales/orders.csv"]
    assert below.location == Location(LAKE, "sales/")


def test_a_bucket_that_is_not_there(run):
    """A missing bucket is named, by LIST and by EXPLORE, and the place is that of its location."""
    for statement in ("LIST", "EXPLORE"):
        error = run.fails(f"SHOW CONNECTIONS;\n  {statement} 's3://acme-nowhere/'", BucketNotFoundError)
        assert "acme-nowhere" in error.message
        assert (error.place.line, error.place.column) == (2, 4 + len(statement))
        assert error.notes == ("Statement 2 of 2 failed; the one before it is done.",)


@pytest.mark.parametrize("wrong", ["secret", "key id"])
def test_wrong_keys_make_no_connection(server, wrong):
    """A wrong secret and a wrong key id are a CredentialsError that shows neither, and leave no connection."""
    right = server.keys
    key_id = right.access_key_id if wrong == "secret" else "AKIAWRONGWRONGWRONG0"
    keys = Keys(key_id, Secret("wrong/Secret+Value/0000000000000000000000"))
    run = Statements()
    error = run.fails(create("lake", keys=keys, ENDPOINT=server.endpoint), CredentialsError)
    assert run.connections == []
    assert "wrong/Secret" not in error.block()
    assert "AKIAWRONG" not in error.block()
    assert "Traceback" not in "\n".join(error._render_traceback_())


def test_keys_that_turn_wrong_are_said_at_the_next_statement(server, run):
    """An ALTER with wrong keys, unprobed, makes LIST and SHOW BUCKETS fail with CredentialsError."""
    run("ALTER S3 CONNECTION lake SET AWS_SECRET_ACCESS_KEY = 'not-it' VALIDATE = FALSE")
    for statement in ("SHOW BUCKETS", f"LIST 's3://{LAKE}/'", f"EXPLORE 's3://{LAKE}/'"):
        run.fails(statement, CredentialsError)
    secret = server.keys.secret_access_key.reveal()
    run(f"ALTER S3 CONNECTION lake SET AWS_SECRET_ACCESS_KEY = '{secret}'")
    assert len(run(f"LIST 's3://{LAKE}/sales/'")) == 2


def test_alter_rename_and_drop(server, run):
    """ALTER changes what it names, RENAME keeps the rest, and after DROP the name is unknown."""
    assert run("ALTER S3 CONNECTION LAKE SET COMMENT = 'it''s ours'").title == "S3 connection lake altered"
    assert run("SHOW CONNECTIONS")["comment"].tolist() == ["it's ours"]
    run("ALTER S3 CONNECTION lake RENAME TO Ocean")
    assert run.connections == ["Ocean"]
    assert tuple(sorted(run("SHOW BUCKETS USING ocean")["bucket"])) == server.buckets
    assert run("SHOW CONNECTIONS")["comment"].tolist() == ["it's ours"]
    assert str(run("DROP CONNECTION ocean")) == "The connection Ocean was dropped."
    assert run("SHOW CONNECTIONS").empty
    run.fails("LIST 's3://lake/' USING ocean", ConnectionNotFoundError)
    assert str(run("DROP CONNECTION IF EXISTS ocean")).startswith("Operation resulted in no change")


def test_a_cell_with_an_error_changes_nothing(server, run):
    """What is wrong with the last statement is found before the first one runs."""
    before = run("SHOW CONNECTIONS")
    cell = f"DROP CONNECTION lake;\n{create('other', keys=server.keys, ENDPOINT=server.endpoint)};\n"
    error = run.fails(cell + "ALTER S3 CONNECTION other SET READ_ONLY = TRUE", BindError)
    assert error.place.line == 3
    assert run("SHOW CONNECTIONS").equals(before)
