"""LIST FROM INVENTORY: what a report says, as a listing."""

from __future__ import annotations

import base64
import gzip
import io
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pytest
from boto_clients import client
from inventories import BUCKET, CURRENT, FOLDER, FORMATS, START, VERSIONS, Report, row
from pyarrow import orc, parquet
from recording import passing_to, recording
from statements import Statements, create

from s3conn_magic.errors import (
    AccessDeniedError,
    InventoryError,
    ListingInterrupted,
    ObjectNotFoundError,
    QueryError,
    S3ConnError,
)
from s3conn_magic.inventory import Manifest
from s3conn_magic.inventory.reading import report_batches
from s3conn_magic.listing.table import OBJECTS
from s3conn_magic.locations import Location
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

ODD = ["plain.txt", "a b+c%d/é 日本.txt", "zone=1/", 'tab\there\n"quoted", it\'s', " //x//", "%2F", "💧/\x7f", "~!*'()"]
LISTING = ["bucket", "key", "size", "last_modified", "etag", "storage_class", "is_prefix"]
LISTING_OF_VERSIONS = [*LISTING[:-1], "version_id", "is_latest", "is_delete_marker", "is_prefix"]


def listed(run, report, clauses=""):
    return run(f"LIST FROM INVENTORY '{report.location}' {clauses}")


def numbered(count, first=0):
    return [row(f"k{number:06}", number) for number in range(first, first + count)]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_report_is_a_listing(reading_from_each, file_format):
    """Reports of each format give LIST's columns and types, exact keys in order, whatever file a row is in."""
    rows = [row(key, number) for number, key in enumerate(ODD)]
    report = Report([rows[3:], [], rows[:3]], file_format)
    run = reading_from_each(report)
    frame = listed(run, report)
    assert list(frame.columns) == LISTING
    assert same_types(frame, run("LIST 's3://acme-lake/sales/'"))
    expected = sorted(rows, key=lambda one: one["key"].encode())
    assert frame["key"].tolist() == [one["key"] for one in expected]
    assert frame["size"].tolist() == [one["size"] for one in expected]
    assert frame["etag"].tolist() == [one["e_tag"] for one in expected]
    assert frame["storage_class"].tolist() == [one["storage_class"] for one in expected]
    assert frame["last_modified"].tolist() == [pd.Timestamp(one["last_modified_date"]) for one in expected]
    assert set(frame["bucket"]) == {BUCKET}
    assert not frame["is_prefix"].any()
    assert run.notes == [f"Inventory of {BUCKET} as of 2026-01-02 03:04 UTC: later changes are not in it."]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_report_of_all_versions(reading, file_format):
    """It gives the columns of LIST VERSIONS, a key's newest version first, and a marker without size, etag or class."""
    gone = {"size": None, "e_tag": None, "storage_class": None}
    rows = [
        row("b", 1, version_id="b-old", is_latest=False, is_delete_marker=False),
        row("a", 2, version_id=None, is_latest=True, is_delete_marker=False),
        row("b", 9, version_id="b-gone", is_latest=True, is_delete_marker=True, **gone),
        row("b", 5, version_id="b-new", is_latest=False, is_delete_marker=False),
    ]
    report = Report([rows[:2], rows[2:]], file_format, VERSIONS)
    run = reading(report)
    frame = listed(run, report)
    assert list(frame.columns) == LISTING_OF_VERSIONS
    assert same_types(frame, run("LIST 's3://acme-lake/sales/' VERSIONS"))
    assert frame["version_id"].fillna("-").tolist() == ["-", "b-gone", "b-new", "b-old"]
    assert frame["is_latest"].tolist() == [True, True, False, False]
    assert frame["is_delete_marker"].tolist() == [False, True, False, False]
    assert frame.iloc[1][["size", "etag", "storage_class"]].isna().all()


@pytest.mark.parametrize("file_format", FORMATS)
def test_what_a_report_lacks_is_missing(reading, file_format):
    """A report of keys alone gives every column of LIST, the others missing; fields that LIST lacks are passed over."""
    fields = ("bucket", "checksum_algorithm" if file_format != "CSV" else "object_owner", "key")
    report = Report([numbered(3)], file_format, fields)
    frame = listed(reading(report), report)
    assert list(frame.columns) == LISTING
    assert frame["key"].tolist() == ["k000000", "k000001", "k000002"]
    assert frame[["size", "last_modified", "etag", "storage_class"]].isna().all(axis=None)


def test_a_report_of_nothing(reading):
    """Neither a report without data files nor one of empty files is an error: the frame is empty, with its types."""
    for parts in ([], [[]]):
        report = Report(parts)
        frame = listed(reading(report), report)
        assert list(frame.columns) == LISTING
        assert len(frame) == 0
        assert str(frame["last_modified"].dtype) == "datetime64[us, UTC]"


def test_a_csv_of_several_gzip_members_is_read_to_its_end(reading):
    """A data file may be several compressed pieces one after the other."""
    report = Report([numbered(2)])
    key = "daily/data/part-0.csv.gz"
    body = b"".join(gzip.compress(line) for line in gzip.decompress(report.objects[key]).splitlines(keepends=True))
    bend(report, key, body)
    assert listed(reading(report), report)["key"].tolist() == ["k000000", "k000001"]


def bend(report, key, body, *, seal=True):
    """Replace a data file; with `seal`, the manifest agrees with it."""
    replaced = Report(report.parts, report.file_format, report.fields)
    assert key in replaced.objects
    report.objects[key] = body
    if seal:
        from hashlib import md5

        entry = next(one for one in report.manifest["files"] if one["key"] == key)
        entry.update(size=len(body), MD5checksum=md5(body).hexdigest())
        report.sealed()


def same_types(frame, other):
    """Whether columns and types are the same, whatever the categories are."""
    return [(name, str(kind)) for name, kind in frame.dtypes.items()] == [
        (name, str(kind)) for name, kind in other.dtypes.items()
    ]


# Part of it


@pytest.mark.parametrize(("limit", "cut"), [(0, True), (5, True), (25, True), (30, False), (31, False)])
def test_a_limit_takes_rows_in_the_order_of_the_report(reading, limit, cut):
    """LIMIT takes the first rows of the data files in their order, says when it cuts, and only then."""
    report = Report([numbered(10, 20), numbered(10), numbered(10, 10)], "Parquet")
    run = reading(report)
    frame = listed(run, report, f"LIMIT {limit}")
    in_report = [one["key"] for part in report.parts for one in part]
    assert frame["key"].tolist() == sorted(in_report[:limit])
    assert any("there is more than" in note for note in run.notes) == cut
    assert len(frame) == min(limit, 30)


@pytest.mark.parametrize("statement", ["LIST FROM INVENTORY '{}' LIMIT 5", "SELECT * FROM inventory('{}') LIMIT 5"])
def test_a_limit_reads_no_more_files_than_it_needs(sandbox, reading, statement):
    """Files behind the one that fills the limit, and those read ahead, are not asked for."""
    report = Report([numbered(5, 5 * at) for at in range(40)])
    reading(report)
    with recording(passing_to(sandbox.endpoint)) as wire:
        run = Statements()
        run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, VALIDATE=False))
        assert len(run(statement.format(report.location))) == 5
        asked = {path for method, path in wire.seen() if method == "GET" and "/data/" in path}
    assert 1 <= len(asked) <= 3


class _Counting(io.FileIO):
    """A file that knows how often it was read."""

    reads = 0

    def read(self, size: int = -1) -> bytes | None:
        _Counting.reads += 1
        return super().read(size)


@pytest.mark.parametrize("file_format", ["ORC", "Parquet"])
def test_what_a_limit_leaves_of_a_stripe_or_row_group_is_not_read(tmp_path, monkeypatch, file_format):
    """Batches are as small as asked for, whatever the file's own units, and a reader that is left reads no more."""
    path, names, rows = tmp_path / "one", ("bucket", "key", "size"), 300_000
    keys = pa.array(range(rows)).cast(pa.string())
    table = pa.table([pa.repeat(BUCKET, rows), keys, pa.array(range(rows))], list(names))
    if file_format == "ORC":
        orc.write_table(table, path)
        assert orc.ORCFile(path).nstripes == 1
    else:
        parquet.write_table(table, path, row_group_size=rows)
    monkeypatch.setattr(_Counting, "reads", 0)
    monkeypatch.setattr(pa, "OSFile", lambda path: pa.PythonFile(_Counting(path), mode="r"))
    manifest = Manifest(Location("b", "m"), BUCKET, START, file_format, names, ())
    batches = report_batches(path, manifest, OBJECTS, 11)
    assert [len(next(batches)) for _ in range(3)] == [11, 11, 11]
    before = _Counting.reads
    batches.close()
    assert before == _Counting.reads
    if file_format == "ORC":
        assert before
        assert sum(map(len, report_batches(path, manifest, OBJECTS))) == rows
        assert _Counting.reads > before


def test_the_session_s_limit_holds(reading):
    """SET LIMIT counts here as it does for LIST; LIMIT ALL reads everything."""
    report = Report([numbered(12)])
    run = reading(report)
    run("SET LIMIT = 7")
    assert len(listed(run, report)) == 7
    assert len(listed(run, report, "LIMIT ALL")) == 12


@pytest.mark.parametrize("file_format", FORMATS)
def test_matching_is_a_glob_on_the_key(reading, file_format):
    """MATCHING filters the exact keys before the limit counts."""
    keys = ["logs/a b.gz", "logs/2026/c.gz", "data/x.csv", "logs/d.txt", "x.gz"]
    report = Report([[row(key, at)] for at, key in enumerate(keys)], file_format)
    run = reading(report)
    assert listed(run, report, "MATCHING 'logs/*.gz'")["key"].tolist() == ["logs/a b.gz"]
    assert listed(run, report, "MATCHING '**/*.gz' LIMIT 2")["key"].tolist() == ["logs/2026/c.gz", "logs/a b.gz"]


# Whole, or one error


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_data_file_that_was_changed_is_an_error(reading, file_format):
    """A byte that differs, or a size that does, is one error that names the data file; no rows are given."""
    report = Report([numbered(50), numbered(50, 50)], file_format)
    key = next(one for one in report.objects if "part-1" in one)
    body = report.objects[key]
    bend(report, key, bytes([*body[:-9], body[-9] ^ 1, *body[-8:]]), seal=False)
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", InventoryError)
    assert error.message == f"the data file s3://acme-empty/{key} does not have the MD5 that the manifest says"
    bend(report, key, body[:-1], seal=False)
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", InventoryError)
    assert f"s3://acme-empty/{key} has {len(body) - 1:,} bytes, not the {len(body):,} that" in error.message
    assert error.place.line == 1


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_data_file_that_is_something_else_is_an_error(reading, file_format):
    """What agrees with its MD5 and cannot be read, or lacks a field, is one error that quotes nothing of it."""
    report = Report([numbered(2)], file_format)
    key = next(one for one in report.objects if "part-0" in one)
    bend(report, key, b"private,text\n" * 20)
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", InventoryError)
    assert error.message.startswith(f"the data file s3://acme-empty/{key} is not as its manifest says: ")
    assert "private" not in error.block()


@pytest.mark.parametrize("file_format", ["ORC", "Parquet"])
def test_a_data_file_without_a_field_that_the_manifest_names_is_an_error(reading, file_format):
    """The fields of a data file are compared with those that the manifest names."""
    report = Report([numbered(2)], file_format)
    less = Report([numbered(2)], file_format, tuple(one for one in CURRENT if one != "size"))
    key = next(one for one in report.objects if "part-0" in one)
    bend(report, key, less.objects[key])
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", InventoryError)
    assert error.message.endswith("it has no field size, which the manifest names")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'"b","%zz","1"\n', "a percent escape is broken"),
        (b'"b","%ff","1"\n', "a key is not valid UTF-8"),
        (b'"b","","1"\n', "a row has no key"),
        (b'"b","k","many"\n', "it cannot be read as CSV with the fields of the manifest (ArrowInvalid)"),
        (b'"b","k"\n', "it cannot be read as CSV with the fields of the manifest (ArrowInvalid)"),
    ],
)
def test_a_row_that_cannot_be_is_an_error(reading, raw, said):
    """A key that is no key, a size that is none, a field too few: nothing is guessed."""
    report = Report([numbered(1)], fields=("bucket", "key", "size"))
    bend(report, "daily/data/part-0.csv.gz", gzip.compress(raw))
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", InventoryError)
    assert error.message.endswith(f": {said}")


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_report_without_keys_is_an_error(reading, file_format):
    """A schema that lacks Key is refused before any data file is asked for, and says what there is."""
    report = Report([numbered(1)], file_format, ("bucket", "size"))
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", InventoryError)
    assert "has no field Key, so it cannot be listed" in error.message
    assert "ize." in error.notes[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fileSchema": None}, "it has no fileSchema"),
        ({"fileSchema": "Bucket, , Key"}, "a field has no name"),
        ({"fileFormat": "ORC"}, "struct<…> was expected"),
        ({"fileFormat": "Parquet"}, "message … { … } was expected"),
        ({"fileFormat": "XLS"}, "its fileFormat is neither CSV nor ORC nor Parquet"),
        ({"destinationBucket": "arn:aws:iam::1:user/x"}, "its destinationBucket is not the name of a bucket"),
        ({"files": None}, "it has no files"),
        ({"files": [{"key": "x"}]}, "one of its files lacks a key or a size"),
        (
            {"files": [{"key": "x", "size": 3, "MD5checksum": "zz"}]},
            "the MD5checksum of one of its files is not a checksum",
        ),
    ],
)
def test_a_manifest_that_is_none_is_an_error(reading, change, said):
    """What a manifest lacks is said, and what the statement takes."""
    report = Report([numbered(1)])
    report.manifest |= change
    report.sealed()
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", InventoryError)
    assert error.message == f"{report.location} is not the manifest of an inventory: {said}"
    assert error.hint == "Name the manifest.json of an S3 Inventory report, or the folder with its reports."


@pytest.mark.parametrize("text", [b"", b"[1]", b"\xff\xfe", b"[" * 100_000, b"not json"])
def test_what_is_no_json_object_is_no_manifest(reading, text):
    """Any other text at the location is told from a manifest, whatever it is."""
    report = Report([])
    report.objects = {f"{FOLDER}/manifest.json": text}
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", InventoryError)
    assert "is not the manifest of an inventory: it is not a JSON object" in error.message


def test_the_manifest_is_compared_with_its_checksum(reading):
    """A manifest with another MD5 than its checksum says is an error; without a checksum the note says so."""
    report = Report([numbered(1)])
    checksum = f"{FOLDER}/manifest.checksum"
    report.objects[checksum] = b"0" * 32
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", InventoryError)
    assert "does not have the MD5 that manifest.checksum beside it says" in error.message
    other = Report([numbered(1)])
    del other.objects[checksum]
    run = reading(other)
    client("s3", run.connection("lake").settings.endpoint, admin(run)).delete_object(Bucket="acme-empty", Key=checksum)
    assert len(listed(run, other)) == 1
    assert run.notes[0].endswith("There is no manifest.checksum beside it to compare it with.")


def admin(run):
    settings = run.connection("lake").settings
    return Keys(settings.access_key_id, Secret(settings.secret_access_key.reveal()))


def test_a_file_that_is_gone_is_an_error(reading):
    """A data file that the manifest names and the bucket lacks is said by its name."""
    report = Report([numbered(1)])
    del report.objects["daily/data/part-0.csv.gz"]
    error = reading(report).fails(f"LIST FROM INVENTORY '{report.location}'", ObjectNotFoundError)
    assert "s3://acme-empty/daily/data/part-0.csv.gz" in error.message


def test_who_may_not_read_is_told(sandbox, reading):
    """An identity that may not read the report is told the action that it lacks."""
    report = Report([numbered(1)])
    reading(report)
    run = Statements()
    run(create("open", ANONYMOUS=True, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    error = run.fails(f"LIST FROM INVENTORY '{report.location}'", AccessDeniedError)
    assert error.action == "s3:GetObject"


# How it is read


def test_large_data_files_come_by_several_requests(sandbox, reading, monkeypatch):
    """A data file is asked for in parts, on the condition that it stays the one that it was; the rows are all there."""
    report = Report([numbered(2000), numbered(2000, 2000)], "Parquet")
    monkeypatch.setattr("s3conn_magic.inventory.PART", 16 * 1024)
    reading(report)
    with recording(passing_to(sandbox.endpoint)) as wire:
        run = Statements()
        run(create("lake", keys=sandbox.admin, ENDPOINT=wire.endpoint, VALIDATE=False))
        frame = listed(run, report)
        parts = [one for one in wire.requests if one.method == "GET" and "/data/" in one.path]
        methods = {one.method for one in wire.requests}
    assert frame["key"].tolist() == [f"k{number:06}" for number in range(4000)]
    assert len(parts) == sum(-(-one["size"] // (16 * 1024)) for one in report.manifest["files"]) > 4
    assert all(one.headers["if-match"] for one in parts)
    assert methods == {"GET", "HEAD"}


def test_a_read_only_connection_that_encrypts_reads_reports(sandbox, reading):
    """Reports are read through READ_ONLY connections, and by a customer's key where there is one."""
    key = base64.b64encode(b"k" * 32).decode()
    report = Report([numbered(3)])
    run = reading(report, READ_ONLY=True)
    assert len(listed(run, report)) == 3
    with recording(passing_to(sandbox.endpoint)) as wire:
        run = Statements()
        run(create("sealed", keys=sandbox.admin, ENDPOINT=wire.endpoint, VALIDATE=False,
                   ENCRYPTION_CUSTOMER_MANAGED_KEY=key, REQUESTER_PAYS=True))  # fmt: skip
        assert len(listed(run, report)) == 3
        sent = wire.requests[0].headers
    assert sent["x-amz-server-side-encryption-customer-key"] == key
    assert sent["x-amz-request-payer"] == "requester"


def test_an_interrupt_keeps_the_rows_so_far(reading, monkeypatch):
    """The rows of the files that were read are kept, labelled as partial, and nothing is left under way or on disk."""
    from s3conn_magic.inventory import reading as inventory_reading

    report = Report([numbered(5), numbered(5, 5), numbered(5, 10)], "Parquet")
    run, waited, files = reading(report), inventory_reading.wait_for, iter(range(3))

    def interrupted(future, *, every):
        if next(files) == 2:
            raise KeyboardInterrupt
        return waited(future, every=every)

    monkeypatch.setattr(inventory_reading, "wait_for", interrupted)
    error = run.fails(f"LIST FROM INVENTORY '{report.location}'", ListingInterrupted)
    assert error.rows_so_far["key"].tolist() == [f"k{number:06}" for number in range(10)]
    assert error.rows_so_far.attrs["partial"] == "the inventory was interrupted after 10 rows"


def test_progress_is_reported(reading):
    """Rows, bytes and the part of the files that has come are told while it runs."""
    from s3conn_magic.inventory import read_manifest
    from s3conn_magic.inventory.reading import Inventory
    from s3conn_magic.locations import Location

    report, told = Report([numbered(5), numbered(5, 5)]), []
    connection = reading(report).connection("lake")
    manifest = read_manifest(connection, Location.parse(report.location))
    assert manifest.made_at == START
    assert manifest.checked
    table = Inventory(connection, manifest).collect(on_progress=told.append)
    assert len(table) == 10
    assert told[-1].keys == 10
    assert told[-1].bytes == sum(range(10)) * 1000
    assert told[-1].fraction == 1
    assert told[-1].requests == 4
    assert table["last_modified"][-1].as_py() == START + timedelta(seconds=9)


# In queries and analyses


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_report_is_a_table_of_queries(reading, file_format):
    """FROM inventory('…') has LIST's rows and the report's other fields, each time that the query asks for them."""
    rows = [row(key, number, encryption_status="SSE-KMS") for number, key in enumerate(ODD)]
    report = Report([rows[3:], rows[:3]], file_format, (*CURRENT, "encryption_status"))
    run = reading(report)
    frame = run(f"SELECT * FROM inventory('{report.location}') ORDER BY key")
    expected = listed(run, report)
    assert list(frame.columns) == [*LISTING[:-1], "is_multipart_uploaded", "encryption_status"]
    for name in LISTING[:-1]:
        assert frame[name].astype(object).tolist() == expected[name].astype(object).tolist()
    assert set(frame["encryption_status"]) == {"SSE-KMS"}
    assert not frame["is_multipart_uploaded"].any()
    twice = f"SELECT count(*) FROM inventory('{report.location}') a JOIN inventory('{report.location}') b USING (key)"
    assert run(twice).iloc[0, 0] == len(ODD)
    assert run(f"SELECT sum(size) FROM inventory('{report.location}') WHERE size > 3000").iloc[0, 0] == 22_000
    assert run.notes[-1].startswith(f"Inventory of {BUCKET} as of 2026-01-02 03:04 UTC")
    assert len(run(f"FROM inventory('{report.location}') LIMIT 2")) == 2


@pytest.mark.parametrize(
    "written", ["'s3://a' || '/b'", "", "'s3://acme-empty/x.json', 's3://acme-empty/y.json'", "key"]
)
def test_a_report_of_a_query_is_written_out(sandbox, written):
    """What cannot be told before the query runs is refused, and the place is shown."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    run("SET LOCAL_FILES = TRUE")
    error = run.fails(f"SELECT count(*) FROM inventory({written})", QueryError)
    assert error.message == "inventory() takes the path of a manifest.json, written out or as $name"
    assert (error.place.line, error.place.column) == (1, 22)


def test_a_query_s_report_may_be_a_variable_and_name_its_connection(reading):
    """$name and s3://connection@… work as for any path of a query."""
    report = Report([numbered(3)], "ORC")
    run = reading(report)
    run(create("other", keys=admin(run), ENDPOINT="http://127.0.0.1:9", VALIDATE=False))
    run.names["where"] = report.location.replace("s3://", "s3://lake@")
    assert run("SELECT max(key) FROM inventory($where)").iloc[0, 0] == "k000002"


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_analysis_by_a_report(reading, file_format):
    """ANALYZE … FROM INVENTORY adds up what the report says, of the whole bucket or below a location."""
    rows = [row(f"{folder}/{at}", at) for at, folder in enumerate("aab")]
    report = Report([rows[1:], rows[:1]], file_format)
    run = reading(report)
    whole = run(f"ANALYZE FROM INVENTORY '{report.location}'")
    assert whole[["group", "objects", "bytes"]].to_numpy().tolist() == [["b/", 1, 2000], ["a/", 2, 1000]]
    assert list(whole.columns) == ["group", "objects", "bytes", "share", "newest", "oldest", "usd_month"]
    part = run(f"ANALYZE 's3://{BUCKET}/a/' FROM INVENTORY '{report.location}' USING lake BY STORAGE_CLASS")
    assert part[["group", "objects", "bytes"]].to_numpy().tolist() == [["STANDARD", 2, 1000]]
    error = run.fails(f"ANALYZE 's3://elsewhere/' FROM INVENTORY '{report.location}'", InventoryError)
    assert error.message == f"the report is about the bucket {BUCKET}, and not about elsewhere"


def test_an_analysis_counts_what_is_current(reading):
    """Of a report of all versions neither old ones nor delete markers count, and this is said."""
    rows = [
        row("a/x", 1, version_id="1", is_latest=True, is_delete_marker=False),
        row("a/x", 5, version_id="0", is_latest=False, is_delete_marker=False),
        row("b/y", 0, version_id="1", is_latest=True, is_delete_marker=True, size=None),
    ]
    report = Report([rows], "Parquet", VERSIONS)
    run = reading(report)
    assert run(f"ANALYZE FROM INVENTORY '{report.location}'")[["group", "objects", "bytes"]].to_numpy().tolist() == [
        ["a/", 1, 1000]
    ]
    assert run.notes[-1].endswith("Of its versions, the current ones count.")


@pytest.mark.parametrize(
    ("by", "lacks"), [("PREFIX", "size"), ("STORAGE_CLASS", "storage_class"), ("AGE", "last_modified")]
)
def test_an_analysis_of_what_a_report_lacks_is_refused(reading, by, lacks):
    """What would be added up or grouped by is not taken for nothing."""
    theirs = {"last_modified": "last_modified_date"}.get(lacks, lacks)
    report = Report([numbered(1)], "CSV", tuple(name for name in CURRENT if name != theirs))
    error = reading(report).fails(f"ANALYZE FROM INVENTORY '{report.location}' BY {by}", InventoryError)
    assert f"has no field for {lacks}, which is needed here" in error.message


# Where it is


def test_a_folder_stands_for_its_newest_report(reading):
    """The folder of an inventory, and one above it, give the newest report, which is named."""
    report = Report([numbered(2)])
    older = Report([numbered(1)])
    older.objects = {
        key.replace("2026-01-03T", "2025-12-31T"): body for key, body in older.objects.items() if FOLDER in key
    }
    reading(older)
    run = reading(report)
    for folder in ("s3://acme-empty/daily/", "s3://acme-empty/daily", "s3://acme-empty/", f"s3://acme-empty/{FOLDER}/"):
        assert len(run(f"LIST FROM INVENTORY '{folder}'")) == 2
        assert run.notes[-1].endswith(f"is {report.location}.")
    error = run.fails("LIST FROM INVENTORY 's3://acme-lake/sales/'", InventoryError)
    assert error.message == "there is no report of S3 Inventory within 4 folders below s3://acme-lake/sales/"
    run.fails("LIST FROM INVENTORY 's3://acme-empty/daily/nothing.json'", ObjectNotFoundError)


def test_a_folder_of_several_inventories_is_not_guessed(reading):
    """Each of them is named, so that one can be chosen."""
    report = Report([numbered(2)])
    manifests = {key: body for key, body in report.objects.items() if FOLDER in key}
    report.objects = {f"both/{key}": body for key, body in manifests.items()}
    report.objects |= {f"both/{key.replace('daily', 'weekly')}": body for key, body in manifests.items()}
    error = reading(report).fails("LIST FROM INVENTORY 's3://acme-empty/both/'", InventoryError)
    assert error.message == "there are reports of 2 inventories below s3://acme-empty/both/"
    assert error.hint == "Name the folder of one: s3://acme-empty/both/daily/ or s3://acme-empty/both/weekly/."


@pytest.mark.parametrize(
    "moved",
    [
        lambda key: f"copies/of/{key}",
        lambda key: key.replace("daily/", "copies/"),
        lambda key: key.replace("daily/data/", f"{FOLDER}/data/"),
        lambda key: key.replace("daily/data/", f"{FOLDER}/"),
    ],
    ids=["below", "beside", "data within", "within"],
)
def test_a_report_that_was_copied_is_read_beside_its_manifest(reading, moved):
    """Data files that are no longer where the manifest says are found near it, and this is said."""
    report = Report([numbered(2), numbered(2, 2)], "Parquet", kept_in="acme-gone")
    report.objects = {moved(key): body for key, body in report.objects.items()}
    report.kept_in = "acme-empty"
    run = reading(report)
    where = moved(f"{FOLDER}/manifest.json")
    assert len(run(f"LIST FROM INVENTORY 's3://acme-empty/{where}'")) == 4
    assert "The report was copied: its data files are read from s3://acme-empty/" in run.notes[-1]


def test_a_copy_of_another_size_is_an_error_that_says_so(reading):
    """Its sizes are the error, not that the place which the manifest names is gone."""
    report = Report([numbered(2)], kept_in="acme-gone")
    report.objects = {f"copies/{key}": body + b"!" * ("/data/" in key) for key, body in report.objects.items()}
    report.kept_in = "acme-empty"
    error = reading(report).fails(f"LIST FROM INVENTORY 's3://acme-empty/copies/{FOLDER}/'", InventoryError)
    assert "acme-empty/copies/daily/data/part-0.csv.gz has" in error.message


def test_the_newest_report_is_the_newest_that_has_its_manifest(reading):
    """What S3 is writing, or somebody is copying, has none yet, and the one before is taken and named."""
    report, folder = Report([numbered(3)]), "daily/2026-01-{}T01-00Z/manifest.checksum"
    report.objects |= {folder.format(day): b"not yet" for day in ("02", "04", "05")}
    run = reading(report)
    assert len(run("LIST FROM INVENTORY 's3://acme-empty/daily/'")) == 3
    assert f"below s3://acme-empty/daily/ is s3://acme-empty/{FOLDER}/manifest.json." in run.notes[-1]


def test_a_pattern_filters_batches_of_any_size(reading, monkeypatch):
    """A batch that takes the regular expressions of a pattern more than one call is filtered as a small one."""
    monkeypatch.setattr("s3conn_magic.runtime.patterns._WORK_PER_CALL", 1000)
    report = Report([numbered(300)], "Parquet")
    assert len(listed(reading(report), report, "MATCHING '*7'")) == 30


def test_files_that_are_nowhere_are_those_that_the_manifest_names(reading):
    """The error is that of the place that the manifest says, and says where else was looked."""
    report = Report([numbered(2)], kept_in="acme-gone")
    report.objects = {key: body for key, body in report.objects.items() if "/data/" not in key}
    report.kept_in = "acme-empty"
    error = reading(report).fails(f"LIST FROM INVENTORY 's3://acme-empty/{FOLDER}/manifest.json'", S3ConnError)
    assert "acme-gone" in error.message
    assert "The data files are not beside the manifest either." in error.notes
