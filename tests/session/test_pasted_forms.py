"""Locations as people paste them, and versions of objects, in every statement that takes a location."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from boto_clients import client
from recording import Reply, error, recording
from statements import Statements, create

from s3conn_magic.errors import BindError, JobFailedError, ObjectNotFoundError, QueryError
from s3conn_magic.explorer.connections import ConnectionChildren
from s3conn_magic.explorer.navigator import Navigator
from s3conn_magic.language.redaction import redacted
from s3conn_magic.locations import Location

BUCKET = "pasted-forms"
KEYS = ["t/a.csv", "t/a b+c.csv", "t/st*r?.csv", "t/k?versionId=mine"]


def _parquet(number: int) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"n": [number]}), buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def versions(sandbox):
    """A bucket with versions: the ids of the older ones of `t/a.csv` and `t/p.parquet`."""
    s3 = client("s3", sandbox.endpoint, sandbox.admin)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    older = {"t/a.csv": b"n,s\n1,old\n", "t/p.parquet": _parquet(1)}
    ids = {key: s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"] for key, body in older.items()}
    for number, key in enumerate(KEYS):
        s3.put_object(Bucket=BUCKET, Key=key, Body=f"n,s\n{number + 2},new\n".encode())
    s3.put_object(Bucket=BUCKET, Key="t/p.parquet", Body=_parquet(2))
    yield ids
    found = s3.list_object_versions(Bucket=BUCKET)
    for each in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        s3.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def run(sandbox, versions):
    """A session with a connection to the sandbox."""
    statements = Statements(endpoint=sandbox.endpoint, version=versions["t/a.csv"], parquet=versions["t/p.parquet"])
    statements(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    yield statements
    statements.session.close()


def _written(run: Statements, text: str) -> str:
    for name, value in run.names.items():
        text = text.replace(f"<{name}>", value)
    return text.replace("<bucket>", BUCKET)


@pytest.mark.parametrize(
    "form", ["<endpoint>/<bucket>/t/", "s3a://<bucket>/t/", "S3://<bucket>/t/", "arn:aws:s3:::<bucket>/t/"]
)
def test_list_and_analyze_take_every_form(run, form):
    """The rows are those of the s3:// form."""
    form = _written(run, form)
    assert list(run(f"LIST '{form}'")["key"]) == list(run(f"LIST 's3://{BUCKET}/t/'")["key"])
    assert len(run(f"ANALYZE '{form}' BY EXTENSION")) == len(run(f"ANALYZE 's3://{BUCKET}/t/' BY EXTENSION"))


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("FROM '<endpoint>/<bucket>/t/a%20b+c.csv'", [(3, "new")]),
        ("FROM '<endpoint>/<bucket>/t/st*r%3F.csv'", [(4, "new")]),
        ("FROM 'arn:aws:s3:::<bucket>/t/a.csv'", [(2, "new")]),
        ("FROM 's3a://<bucket>/t/a.csv' AS t WHERE t.s = 'new'", [(2, "new")]),
        ("FROM '<endpoint>/<bucket>/t/p.parquet'", [(2,)]),
        ("FROM '<endpoint>/<bucket>/t/a.csv?versionId=<version>'", [(1, "old")]),
        ("FROM 's3://<bucket>/t/a.csv?versionId=<version>'", [(1, "old")]),
        ("FROM 's3://lake@<bucket>/t/a.csv?versionId=<version>'", [(1, "old")]),
        ("FROM 's3://<bucket>/t/a.csv' AT (VERSION => '<version>')", [(1, "old")]),
        ("FROM 's3://<bucket>/t/p.parquet' AT (VERSION => '<parquet>')", [(1,)]),
        ("FROM read_parquet('s3://<bucket>/t/p.parquet?versionId=<parquet>')", [(1,)]),
        (
            "FROM 's3://<bucket>/t/a.csv' UNION ALL FROM 's3://<bucket>/t/a.csv?versionId=<version>'",
            [(2, "new"), (1, "old")],
        ),
    ],
)
def test_select_reads_every_form_and_versions(run, query, rows):
    """A query may read an object and a version of it side by side."""
    assert list(run(_written(run, query)).itertuples(index=False, name=None)) == rows


def test_preview_reads_a_version_and_a_key_that_looks_like_one(run):
    """A key that ends like a version is the key; else it is the version, which VERSION names by itself."""
    for text in (
        "PREVIEW 's3://<bucket>/t/a.csv?versionId=<version>'",
        "PREVIEW 's3://<bucket>/t/a.csv' VERSION '<version>' LIMIT 5 USING lake",
        "PREVIEW '<endpoint>/<bucket>/t/a.csv?versionId=<version>&X-Amz-Signature=00'",
    ):
        assert run(_written(run, text)).frame["s"].tolist() == ["old"]
    assert run(f"PREVIEW 's3://{BUCKET}/t/k?versionId=mine'").frame["n"].tolist() == [5]


@pytest.mark.parametrize(
    "text", ["PREVIEW 's3://<bucket>/t/a.csv' VERSION 'nope'", "FROM 's3://<bucket>/t/a.csv?versionId=nope'"]
)
def test_a_version_that_is_not_there_is_said_with_those_that_are(run, text):
    """The hint lists the versions, as printed."""
    error = run.fails(_written(run, text), ObjectNotFoundError)
    assert "no version nope" in error.message
    assert len(run(error.hint.partition(";")[0])) == 2


def test_jobs_and_tables_take_every_form(run):
    """COPY, INSERT and CREATE TABLE over files read an ARN and a URL of the connection's own server."""
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 'arn:aws:s3:::{BUCKET}/t/a.csv' INTO loaded")
    run(_written(run, "CREATE TABLE over LOCATION '<endpoint>/<bucket>/t/a%20b+c.csv'"))
    assert list(run("SELECT n FROM loaded UNION ALL SELECT n FROM over")["n"]) == [2, 3]
    run("DROP JOB j")


def test_display_filters_take_every_form(run):
    """A filter is kept in the s3:// form."""
    url = f"https://{BUCKET}.s3.amazonaws.com/t/"
    run(f"CREATE S3 CONNECTION f PATH_DISPLAY_FILTERS = ('{url}', 'arn:aws:s3:::other') VALIDATE = FALSE")
    assert f"('s3://{BUCKET}/t/', 's3://other/')" in str(run("SHOW CREATE S3 CONNECTION f"))


@pytest.mark.parametrize(
    ("text", "kind", "hint"),
    [
        ("LIST '<endpoint>/<bucket>/t/a.csv?versionId=<version>'", BindError, "Write 's3://<bucket>/t/a.csv'"),
        ("FROM read_csv('<endpoint>/<bucket>/t/a.csv')", QueryError, "Write 's3://<bucket>/t/a.csv' instead."),
        ("FROM 'https://storage.googleapis.com/b/k.csv'", QueryError, "HMAC"),
        (
            "LIST 'http://<bucket>.s3-website-us-east-1.amazonaws.com/t/'",
            BindError,
            "Write 's3://<bucket>/t/' instead.",
        ),
        ("PREVIEW 's3://<bucket>/t/a.csv' VERSION ''", BindError, "VERSIONS"),
        ("LIST 's3:/<bucket>/t/'", BindError, "Here: LIST 's3://<bucket>/t/';"),
        ("LIST 's3:<bucket>/t/'", BindError, "Write 's3://<bucket>/t/' instead."),
        ("LIST '//<bucket>/t/'", BindError, "Write 's3://<bucket>/t/' instead."),
        ("LIST '\"s3://<bucket>/t/\"'", BindError, "Write 's3://<bucket>/t/' instead."),
        ("LIST '<s3://<bucket>/t/>'", BindError, "Write 's3://<bucket>/t/' instead."),
    ],
)
def test_what_is_not_read_is_answered_with_the_form_that_is(run, text, kind, hint):
    """The hint holds the location as it may be written there."""
    assert _written(run, hint) in run.fails(_written(run, text), kind).hint


@pytest.mark.parametrize("statement", ["LIST", "ANALYZE", "EXPLORE"])
def test_a_glob_in_a_location_is_never_silently_empty(run, statement):
    """A pattern is answered with MATCHING, which runs as printed; a key that has such characters is found."""
    run(f"{statement} 's3://{BUCKET}/t/*.csv'")
    (note,) = run.notes
    listing = note[note.index("LIST ") :].partition(";")[0]
    assert len(run(listing)) == 3
    run.notes.clear()
    run(f"{statement} 's3://{BUCKET}/t/st*'")
    assert not run.notes


def test_a_glob_in_the_location_of_a_copy_is_answered_with_a_pattern(run):
    """The clauses run as printed."""
    job = "CREATE JOB g AS COPY FROM S3 lake {} INTO globbed"
    error = run.fails(job.format(f"LOCATION = 's3://{BUCKET}/t/a*.csv'"), JobFailedError)
    clauses = error.hint.partition(": ")[2].removesuffix(".")
    run(job.format(clauses))
    assert sorted(run("SELECT n FROM globbed")["n"]) == [2, 3]
    run("DROP JOB g")


def test_the_history_keeps_no_signature():
    """A pre-signed URL is masked, a plain one is not."""
    assert "0f0f" not in redacted("LIST 'https://bucket.s3.amazonaws.com/k?X-Amz-Signature=0f0f'")
    assert "0f0f" not in redacted(
        "SELECT * FROM 'https://bucket.s3.amazonaws.com/k?X-Amz-Signature=0f0f0f0f0f0f0f0f0f'"
    )
    assert "bucket.s3" in redacted("LIST 'https://bucket.s3.amazonaws.com/k'")


AWS_URL = "https://reports.s3.eu-west-1.amazonaws.com/t/a.csv"
OTHERS = (
    f"LIST '{AWS_URL}' USING lake",
    f"PREVIEW '{AWS_URL}' USING lake",
    f"EXPLORE '{AWS_URL}' USING lake",
    f"ANALYZE '{AWS_URL}' USING lake",
    f"FROM '{AWS_URL}'",
    f"SELECT * FROM '{AWS_URL}' AS t",
    f"EXPLAIN LIST '{AWS_URL}' USING lake",
    f"TEST CONNECTION lake LOCATION '{AWS_URL}'",
    f"CREATE JOB j AS COPY FROM S3 lake LOCATION = '{AWS_URL}' INTO loaded",
    f"CREATE TABLE over LOCATION '{AWS_URL}' USING lake",
    "LIST 'https://eu-west-1.console.aws.amazon.com/s3/buckets/reports?prefix=t/' USING lake",
)


@pytest.mark.parametrize("text", OTHERS)
def test_a_url_of_aws_is_not_read_on_another_server(run, text):
    """A URL of AWS through a connection to another server is refused, with what would be read there instead."""
    error = run.fails(text)
    assert "Amazon S3, and the connection lake goes to http://127.0.0.1" in error.message
    assert "'s3://reports/t/" in error.hint


def test_a_url_of_another_connection_s_server_names_it(run):
    """A URL of one server is not read through a connection to another; through its own it is."""
    run("CREATE S3 CONNECTION amazon ANONYMOUS = TRUE VALIDATE = FALSE")
    url = _written(run, "<endpoint>/<bucket>/t/")
    assert "goes to Amazon S3" in run.fails(f"LIST '{url}' USING amazon", BindError).message
    assert len(run(f"LIST '{url}' USING lake")) == len(KEYS) + 1
    made = "CREATE S3 CONNECTION near ENDPOINT = 'http://127.0.0.1:9' ANONYMOUS = TRUE VALIDATE = FALSE"
    assert "goes to http://127.0.0.1:9" in run.fails(f"{made}; LIST '{AWS_URL}' USING near", BindError).message


def test_the_explorer_takes_urls_of_its_own_server_alone(run):
    """A URL that is typed into the explorer is one of its connection's server, or it is said what is wrong."""
    children = ConnectionChildren(lambda: run.connection("lake"))
    navigator = Navigator(children, lambda: None, None, None)
    navigator.go(AWS_URL)
    assert "Amazon S3" in navigator.said[1]
    assert navigator.tree.root.location is None
    navigator.go(_written(run, "<endpoint>/<bucket>/t/"))
    assert navigator.tree.root.location == Location(BUCKET, "t/")


def test_the_current_version_is_not_asked_for_by_its_id():
    """PREVIEW takes no right to versions where none is named: what it reads is told by the etag."""

    def answer(request):
        version = "v2" if "v2" in request.target else "v1"
        headers = {"ETag": '"e"', "x-amz-version-id": version, "Content-Length": "8", "Content-Range": "bytes 0-7/8"}
        if "versionId=" in request.target and "v2" not in request.target:
            return error(403, "AccessDenied")
        if "tagging" in request.query or "versions" in request.query:
            return error(501, "NotImplemented")
        return Reply(206 if "range" in request.headers else 200, headers, b"a,b\n1,2\n")

    with recording(answer) as wire:
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
        run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False, **pair))
        shown = run("PREVIEW 's3://bucket/a.csv'")
        assert shown.frame["b"].tolist() == [2]
        assert shown.description.version_id == "v1"
        assert not [one for one in wire.requests if "versionId" in one.target]
        run("PREVIEW 's3://bucket/a.csv' VERSION 'v2'")
        assert [one for one in wire.requests if one.method == "GET" and "versionId=v" in one.target]
