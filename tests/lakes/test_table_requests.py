"""What tables in S3 ask of their server: how often, how encrypted, by whose credentials, and what EXPLAIN says."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from recording import Recorder, Reply, Request, recording
from shelf import Shelf
from statements import Statements, create
from vaults import answering, customer_headers, kms_headers

from s3conn_magic.errors import ReadOnlyConnectionError
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEYS = Keys("AKIAONE", Secret("one-secret"))
PLACE = "STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://bucket/t/'"
KEY = bytes(range(32))
KMS = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@contextmanager
def _reached(answer: Callable[[Request], Reply], **options: Any) -> Iterator[tuple[Statements, Recorder]]:
    run = Statements()
    with recording(answer) as wire:
        run(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, REGION="us-east-1", VALIDATE=False, **options))
        run("SET CACHE = 0; SELECT 1")
        yield run, wire
        run.session.close()


def _shelf() -> Shelf:
    return Shelf({"bucket": {}})


def _rows(run: Statements, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in run(f"SET RESULT = 'arrow'; {query}").to_pylist()]


STEPS = [
    ("create", f"CREATE ICEBERG TABLE t (id BIGINT, name VARCHAR) PARTITIONED BY bucket(2, id) {PLACE}", 5),
    ("append", "INSERT INTO t VALUES (1, 'a')", 12),
    ("append", "INSERT INTO t VALUES (1, 'b')", 12),
    ("scan", "SELECT * FROM t WHERE id = 1", 8),
    ("alter", "ALTER TABLE t SET COMMENT = 'x'", 12),
    ("snapshots", "SHOW SNAPSHOTS t", 2),
    ("drop", "DROP TABLE t DELETE_DATA = TRUE", 8),
]


def test_a_table_asks_no_more_than_it_must_and_explain_says_so():
    """Create, append and scan stay within their bounds; a number that EXPLAIN promises is what comes at the least."""
    with _reached(_shelf().answer) as (run, wire):
        for what, statement, most in STEPS:
            promised = run(f"EXPLAIN {statement}")
            wire.requests.clear()
            run(statement)
            kinds = [_kind(one) for one in wire.requests]
            assert len(kinds) <= most, (what, kinds)
            for call, number, bound in zip(promised["call"], promised["requests"], promised["bound"], strict=True):
                sent = kinds.count(call)
                assert bound == "unknown" or (sent == number if bound == "exactly" else sent >= number), (what, call)
            assert set(kinds) <= set(promised["call"]), what


def _kind(request: Request) -> str:
    if request.method == "GET":
        return "S3 GetObject" if request.path.strip("/").count("/") else "S3 ListObjectsV2"
    return {"PUT": "S3 PutObject", "HEAD": "S3 HeadObject", "DELETE": "S3 DeleteObject", "POST": "S3 DeleteObjects"}[
        request.method
    ]


@pytest.mark.parametrize(
    ("option", "writes", "reads"),
    [
        ({"ENCRYPTION_KMS_KEY": KMS}, kms_headers(KMS), {}),
        (
            {"ENCRYPTION_CUSTOMER_MANAGED_KEY": base64.b64encode(KEY).decode()},
            customer_headers(KEY),
            customer_headers(KEY),
        ),
    ],
    ids=["KMS", "SSE-C"],
)
def test_every_file_of_a_table_is_encrypted_as_the_connection_says(
    option: dict[str, str], writes: dict[str, str], reads: dict[str, str]
):
    """Data, manifests, metadata, ledger and pointer are written so, and read with the key where they need it."""
    server = _shelf()
    with _reached(answering(server.answer, "honours"), **option) as (run, wire):
        run.connection("lake").client("s3").put_object(Bucket="bucket", Key="in/a.csv", Body=b"id,name\n7,z\n")
        run(STEPS[0][1])
        run("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        run("CREATE JOB j CONTENT_TYPE = CSV AS COPY FROM S3 lake LOCATION = 's3://bucket/in/' INTO t")
        run("MERGE INTO t USING (SELECT 2 AS id) AS s ON t.id = s.id WHEN MATCHED THEN DELETE")
        run("OPTIMIZE TABLE t")
        assert _rows(run, "SELECT id FROM t ORDER BY id") == [(1,), (7,)]
        put = [one for one in wire.requests if one.method == "PUT"]
        got = [one for one in wire.requests if one.method in {"GET", "HEAD"} and one.path.startswith("/bucket/t/")]
        got = [one for one in got if not one.path.endswith("/t/")]
        kinds = (".parquet", ".avro", ".metadata.json", "version-hint.text")
        assert all(any(one.path.endswith(kind) for one in put) for kind in kinds)
        assert any("/metadata/ledger-" in one.path for one in put)
        assert all(writes.items() <= one.headers.items() for one in put)
        assert all(reads.items() <= one.headers.items() for one in got)


def test_credentials_that_end_in_the_midst_of_a_commit_are_fetched_again():
    """Each request is signed by credentials that are good then: those of a role are renewed while a commit goes on."""
    server, issued = _shelf(), list[str]()

    def answer(request: Request) -> Reply:
        if request.form.get("Action") != "AssumeRole":
            return server.answer(request)
        issued.append(f"ASIA{len(issued):04}")
        end = datetime.now(UTC) + timedelta(minutes=5)  # what ends within ten minutes is fetched anew
        fields = (
            f"<AccessKeyId>{issued[-1]}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
            f"<Expiration>{end:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
        )
        body = f"<AssumeRoleResult><Credentials>{fields}</Credentials></AssumeRoleResult>"
        where = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
        return Reply(
            200, {"Content-Type": "text/xml"}, f"<AssumeRoleResponse {where}>{body}</AssumeRoleResponse>".encode()
        )

    with _reached(answer, AWS_ROLE="arn:aws:iam::123456789012:role/writer") as (run, wire):
        run(STEPS[0][1])
        wire.requests.clear()
        run("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        signed = [str(one.signed_by) for one in wire.requests if one.method == "PUT"]
        assert len(set(signed)) > 1
        assert set(signed) <= set(issued)
        assert _rows(run, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_a_read_only_connection_changes_no_table_and_asks_nothing():
    """Each statement that would change one is refused before any request that writes."""
    server = _shelf()
    with _reached(server.answer) as (run, wire):
        run(STEPS[0][1])
        run("INSERT INTO t VALUES (1, 'a')")
        again = {"ENDPOINT": wire.endpoint, "REGION": "us-east-1", "READ_ONLY": True, "VALIDATE": False}
        run(create("lake", keys=KEYS, **again).replace("CREATE", "CREATE OR REPLACE", 1))
        wire.requests.clear()
        for change in (
            f"CREATE TABLE u (a INT) {PLACE.replace('/t/', '/u/')}",
            "ALTER TABLE t SET COMMENT = 'x'",
            "DROP TABLE t DELETE_DATA = TRUE",
            "OPTIMIZE TABLE t",
            "INSERT INTO t VALUES (2, 'b')",
            "MERGE INTO t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED THEN DELETE",
        ):
            with pytest.raises(ReadOnlyConnectionError):
                run(change)
            assert wire.requests == [], change
        assert _rows(run, "SELECT id FROM t") == [(1,)]


CLAUSES = [
    """(id BIGINT, name VARCHAR, "Select me" DECIMAL(20,3) NOT NULL, "at" TIMESTAMP, tags INT[], s STRUCT("a b" DATE))
        PARTITIONED BY day(at), bucket(4, id), truncate(3, "Select me"), name PRIMARY KEY id
        TABLE_DATA_RETENTION = 30 DAYS COMPRESSION = SNAPPY COMMENT = 'it''s mine'""",
    "(a INTEGER)",
    '() PARTITIONED BY $event_date, month(at) PRIMARY KEY "order"',
    "AS SELECT 1 AS a, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS b",
]


@pytest.mark.parametrize("clauses", CLAUSES)
def test_the_statement_that_is_shown_makes_the_same_table(clauses: str):
    """SHOW CREATE TABLE runs as printed: in another kernel it takes the table up, and when that is gone it makes it."""
    head, query = clauses.split("AS SELECT") if "AS SELECT" in clauses else (clauses, "")
    with _reached(_shelf().answer) as (run, wire):
        run(f"CREATE TABLE x.t {head} {PLACE} {f'AS SELECT {query}' if query else ''}")
        printed = str(run("SHOW CREATE TABLE x.t"))
        other = Statements()
        other(create("lake", keys=KEYS, ENDPOINT=wire.endpoint, REGION="us-east-1", VALIDATE=False))
        assert "was used" in str(other(printed))
        other("DROP TABLE x.t DELETE_DATA = TRUE")
        assert "was used" not in str(other(printed))
        assert str(other("SHOW CREATE TABLE x.t")) == printed
        other.session.close()


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ("\"at\" >= TIMESTAMP '2026-01-02' AND \"at\" < TIMESTAMP '2026-01-03'", 2),
        ("zoned = TIMESTAMPTZ '2026-01-03 12:00:00+00'", 2),
        ("name = 'b'", 3),
        ("name IS NULL", 3),
        ("name = 'b' AND \"at\" < TIMESTAMP '2026-01-02'", 1),
        ("id > 100", 0),
    ],
)
def test_a_query_asks_for_no_file_that_has_none_of_its_rows(where: str, files: int):
    """By times, by texts that the table is parted by, and by numbers: the answer is that of the whole table."""
    with _reached(_shelf().answer) as (run, wire):
        made = """SELECT range AS id, TIMESTAMP '2026-01-01 12:00:00' + INTERVAL (range // 2) DAY AS "at",
            TIMESTAMPTZ '2026-01-01 12:00:00+00' + INTERVAL (range // 2) DAY AS zoned,
            CASE WHEN range % 2 = 0 THEN 'b' END AS name FROM range(6)"""
        run(f'CREATE TABLE t PARTITIONED BY day("at"), name {PLACE} AS {made}')
        expected = _rows(run, f"SELECT id FROM ({made}) WHERE {where} ORDER BY id")
        wire.requests.clear()
        assert _rows(run, f"SELECT id FROM t WHERE {where} ORDER BY id") == expected
        assert len({one.path for one in wire.requests if one.path.endswith(".parquet")}) == files
