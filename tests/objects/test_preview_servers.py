"""PREVIEW on two servers that have nothing in common, through every layer; bytes are counted on the wire."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from boto_clients import client
from recording import passing_to, recording
from statements import Statements, create

from s3conn_magic.errors import AccessDeniedError, BindError, BucketNotFoundError, ConnectionNotFoundError, S3ConnError
from s3conn_magic.sandbox import ARCHIVE, EMPTY, LAKE, ODD, PUBLIC
from s3conn_magic.sandbox.data import ODD_KEYS, puts

MIB = 1024 * 1024
EVENTS = f"s3://{LAKE}/events/year=2026/month=01/day=01/part-00000.parquet"


@dataclass
class Wire:
    """A session whose connection `lake` goes through a server that counts."""

    run: Statements
    received: list[int] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)

    def __call__(self, uri, limit=""):
        return self.run(f"PREVIEW '{uri}' {limit}")


@pytest.fixture(params=["sandbox", "rclone"])
def wire(request):
    """Each of the two servers."""
    sandbox = request.param == "sandbox"
    server = request.getfixturevalue("sandbox" if sandbox else "rclone_server")
    ask = passing_to(server.endpoint)

    def counted(asked):
        reply = ask(asked)
        found.received.append(len(reply.body) if asked.method == "GET" else 0)
        found.methods.append(asked.method)
        return reply

    with recording(counted) as recorder:
        found = Wire(Statements())
        keys = server.admin if sandbox else server.keys
        found.run(create("lake", keys=keys, ENDPOINT=recorder.endpoint, VALIDATE=False))
        yield found


def body_of(key, bucket=LAKE):
    return next(one.body for one in puts() if (one.bucket, one.key) == (bucket, key))


@pytest.mark.parametrize(
    ("key", "format_", "shape"),
    [
        (EVENTS.removeprefix(f"s3://{LAKE}/"), "Parquet", (20, 6)),
        ("sales/orders.csv", "CSV", (20, 7)),
        ("sales/customers.csv", "CSV", (20, 5)),
        ("clicks/2026-01-01.jsonl", "JSON lines", (20, 4)),
        ("clicks/2026-01-02.jsonl.gz", "JSON lines", (20, 4)),
        ("README.txt", "text", None),
        ("reports/revenue.png", "PNG", None),
    ],
)
def test_what_the_lake_holds_is_shown(wire, key, format_, shape):
    """Tables with so many rows, texts and pictures; one HEAD and one GET for each."""
    result = wire(f"s3://{LAKE}/{key}", "LIMIT 20")
    found = result.preview
    assert found.format == format_
    assert (None if result.frame is None else result.frame.shape) == shape
    assert found.image in (None, body_of(key))
    assert result.text is None or result.text.encode() == body_of(key)
    assert wire.methods[:2] == ["HEAD", "GET"]
    # A file of Parquet may be of a lake table: each folder around it is listed.
    assert len(wire.methods) - 2 == (1 + key.count("/") if format_ == "Parquet" else 0)
    assert found.bytes_read == sum(wire.received[:2])
    assert found.requests == 2


@contextmanager
def put(server, key, body):
    """An object in the empty bucket for the length of a block; its URI."""
    s3 = client("s3", server.endpoint, server.keys)
    s3.put_object(Bucket=EMPTY, Key=key, Body=body)
    yield f"s3://{EMPTY}/{key}"
    s3.delete_object(Bucket=EMPTY, Key=key)


@pytest.mark.parametrize("wire", ["rclone"], indirect=True)
def test_a_large_csv_is_read_by_its_first_block(rclone_server, wire):
    """Of 32 MiB, 64 kB for a hundred rows, 1 MiB more for ten thousand."""
    line = b"%09d,some text that is the same in every line,1.25\n"
    body = b"id,text,value\n" + b"".join(line % number for number in range(40_000))
    with put(rclone_server, "large.csv", body.ljust(32 * MIB, b"\0")) as uri:
        few, many = wire(uri), wire(uri, "LIMIT 10000")
    assert (few.frame.shape, many.frame.shape) == ((100, 3), (10_000, 3))
    assert few.preview.description.size == 32 * MIB
    assert wire.received == [0, 64 * 1024, 0, MIB - 64 * 1024]  # what is kept is not read again


@pytest.mark.parametrize("wire", ["rclone"], indirect=True)
def test_a_large_parquet_file_is_read_by_its_footer_and_first_pages(rclone_server, wire):
    """Of one row group of 32 MB, less than 3 MB come, and the rows are the first ones."""
    count = 2_000_000
    numbers = pa.array(range(0, count * 3, 3), pa.int64())
    table, body = pa.table({"n": numbers, "m": numbers}), BytesIO()
    pq.write_table(table, body, row_group_size=count, compression="none", use_dictionary=False)
    assert len(body.getvalue()) > 30 * MIB
    with put(rclone_server, "large.parquet", body.getvalue()) as uri:
        result = wire(uri)
    assert result.frame["m"].tolist() == [*range(0, 300, 3)]
    assert (result.preview.total_rows, result.preview.row_groups) == (count, 1)
    assert sum(wire.received) < 3 * MIB


@pytest.fixture(scope="module")
def run(sandbox):
    """A session with the sandbox's connection."""
    statements = Statements()
    statements(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    return statements


@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_every_key_can_be_previewed(run, key):
    """A key that breaks careless code is read as exactly that key."""
    run.names["place"] = f"s3://{ODD}/{key}"
    result = run("PREVIEW $place")
    assert result.preview.description.uri == f"s3://{ODD}/{key}"
    assert result.preview.kind == ("empty" if key.endswith("/") else "table" if key.endswith(".csv") else "text")
    assert repr(result)
    assert result._repr_html_()


def test_what_is_archived_says_so(run):
    """GLACIER, with neither rows nor an error."""
    result = run(f"PREVIEW 's3://{LAKE}/cold/totals-2023.csv'")
    assert (result.preview.kind, result.frame, result.text) == ("archived", None, None)
    assert "GLACIER: it must be restored" in repr(result)


def test_the_description_is_asked_for_when_it_is_wanted(run):
    """Tags and versions are not a matter of every preview."""
    result = run(f"PREVIEW 's3://{ARCHIVE}/contracts/supplier.txt'")
    assert result.preview.description.versions == ()
    assert [one.size for one in result.description.versions] == [30, 32]
    assert result.description.tags == {}


def test_without_a_limit_there_are_a_hundred_rows(run):
    """And every row where there are fewer."""
    assert len(run(f"PREVIEW '{EVENTS}'").frame) == 100
    assert len(run(f"PREVIEW 's3://{PUBLIC}/countries.csv'").frame) == 6
    assert len(run(f"PREVIEW '{EVENTS}' LIMIT 0").frame) == 0


@pytest.mark.parametrize(
    ("statement", "kind", "says"),
    [
        (f"PREVIEW 's3://{LAKE}/events/'", S3ConnError, f"LIST 's3://{LAKE}/events/'"),
        (f"PREVIEW 's3://{LAKE}/events'", S3ConnError, f"LIST 's3://{LAKE}/events/'"),
        (f"PREVIEW 's3://{LAKE}/no/such'", S3ConnError, f"LIST 's3://{LAKE}/no/'"),
        (f"PREVIEW 's3://{LAKE}/'", BindError, "LIST"),
        ("PREVIEW 's3://acme-nowhere/key'", BucketNotFoundError, "acme-nowhere"),
        (f"PREVIEW 's3://{LAKE}/README.txt' USING other", ConnectionNotFoundError, "other"),
    ],
)
def test_what_cannot_be_previewed_is_one_error_with_a_place(run, statement, kind, says):
    """It names the statement to go on with."""
    failure = run.fails(statement, kind)
    assert says in failure.block()
    assert failure.place.line == 1


def test_a_key_that_may_not_be_read_is_denied(sandbox):
    """The error names the action and the object."""
    run = Statements()
    run(create("lake", keys=sandbox.restricted, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    failure = run.fails(f"PREVIEW 's3://{LAKE}/README.txt'", AccessDeniedError)
    assert (failure.action, failure.resource) == ("s3:GetObject", f"arn:aws:s3:::{LAKE}/README.txt")


def test_a_read_only_connection_previews(sandbox):
    """Nothing in it writes."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, READ_ONLY=True, VALIDATE=False))
    assert run(f"PREVIEW 's3://{LAKE}/README.txt'").description.tags == {"owner": "data-team"}


def test_an_anonymous_connection_previews_what_is_public(sandbox):
    """Tags that it may not read are a note."""
    run = Statements()
    run(create("public", ANONYMOUS=True, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    result = run(f"PREVIEW 's3://{PUBLIC}/README.txt'")
    assert result.text == "Anyone may read this bucket.\n"
    assert result.description.size == 29
