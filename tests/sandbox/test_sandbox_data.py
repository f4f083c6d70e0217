from __future__ import annotations

import csv
import gzip
import io
import json
import struct
import unicodedata
import zlib

import pyarrow.parquet as pq
import pytest
from boto_clients import client

from s3conn_magic.sandbox import ARCHIVE, EMPTY, LAKE, LOGS, ODD, data


@pytest.fixture(scope="module")
def s3(sandbox):
    return client("s3", sandbox.endpoint, sandbox.admin)


@pytest.fixture(scope="module")
def written():
    return list(data.puts())


def read(s3, key, bucket=LAKE):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def listed(s3, bucket, **options):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **options)
    return [item for page in pages for item in page.get("Contents", [])]


def test_the_buckets_are_the_table_s_in_two_regions(s3):
    """ListBuckets gives every bucket of the table in order of name, and each is where the table says."""
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    regions = {name: s3.head_bucket(Bucket=name)["BucketRegion"] for name in names}
    assert names == sorted(bucket.name for bucket in data.BUCKETS)
    assert regions == {bucket.name: bucket.region for bucket in data.BUCKETS}
    assert len(set(regions.values())) == 2


def test_events_are_hive_partitioned_parquet(s3):
    """Each Parquet file holds the typed events of the day that its folders name."""
    keys = [item["Key"] for item in listed(s3, LAKE, Prefix="events/")]
    table = pq.read_table(io.BytesIO(read(s3, "events/year=2026/month=02/day=03/part-00000.parquet")))
    assert len({key.rpartition("/")[0] for key in keys}) == data.EVENT_DAYS
    assert len(keys) > data.EVENT_DAYS
    assert {str(field.type) for field in table.schema} == {
        "timestamp[us, tz=UTC]",
        "int32",
        "string",
        "decimal128(9, 2)",
    }
    assert {f"{time:%Y-%m-%d}" for time in table["event_time"].to_pylist()} == {"2026-02-03"}
    assert set(table["event_type"].to_pylist()) > {"page_view", "purchase"}


def test_orders_belong_to_customers(s3):
    """Every order's customer is in the customers' file, and both have the columns of a shop."""
    customers = list(csv.DictReader(io.StringIO(read(s3, "sales/customers.csv").decode())))
    orders = list(csv.DictReader(io.StringIO(read(s3, "sales/orders.csv").decode())))
    assert {order["customer_id"] for order in orders} <= {customer["customer_id"] for customer in customers}
    assert len(orders) == 1500
    assert min(float(order["total"]) for order in orders) > 0


@pytest.mark.parametrize(
    ("key", "open_"), [("clicks/2026-01-01.jsonl", bytes), ("clicks/2026-01-02.jsonl.gz", gzip.decompress)]
)
def test_clicks_are_json_lines(s3, key, open_):
    """Every line is one nested JSON record, in the plain file and in the gzip."""
    records = [json.loads(line) for line in open_(read(s3, key)).splitlines()]
    assert len(records) == 300
    assert {type(record["user"]) for record in records} == {int, type(None)}
    assert all(record["at"].startswith(key[7:17]) for record in records)


def test_the_picture_is_a_sound_png(s3):
    """The PNG's chunks have right checksums and its pixels are as many as its header says, in several colours."""
    body, chunks = read(s3, "reports/revenue.png"), {}
    at = 8
    while at < len(body):
        size, kind = struct.unpack(">I4s", body[at : at + 8])
        chunk = body[at + 8 : at + 8 + size]
        assert struct.unpack(">I", body[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + chunk)
        chunks[kind], at = chunk, at + 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    stride = 1 + 3 * width
    pixels = zlib.decompress(chunks[b"IDAT"])
    rows = [pixels[start + 1 : start + stride] for start in range(0, len(pixels), stride)]
    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert len(pixels) == height * stride
    assert len({row[at : at + 3] for row in rows for at in range(0, 3 * width, 3)}) == 4


def test_the_logs_need_three_pages(s3):
    """The flat folder of logs comes in pages of 1,000, 1,000 and 400 keys without one missing or twice."""
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=LOGS, Prefix="web/", Delimiter="/"))
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    assert [page["KeyCount"] for page in pages] == [1000, 1000, 400]
    assert keys == sorted(set(keys))


def test_odd_keys_are_listed_exactly(s3):
    """The bucket of odd keys lists exactly the keys of the table, in the order of their bytes."""
    keys = [item["Key"] for item in listed(s3, ODD)]
    assert keys == sorted(data.ODD_KEYS, key=str.encode)


@pytest.mark.parametrize("key", data.ODD_KEYS, ids=ascii)
def test_an_odd_key_can_be_read(s3, written, key):
    """An odd key gives its own content, not that of a key that looks like it."""
    expected = next(put.body for put in written if (put.bucket, put.key) == (ODD, key))
    assert read(s3, key, ODD) == expected


def test_odd_keys_hold_unicode_twins_and_the_longest_key():
    """Among the odd keys are two that are equal after normalisation, and one of 1,024 bytes."""
    composed = [unicodedata.normalize("NFC", key) for key in data.ODD_KEYS]
    assert len(set(composed)) == len(set(data.ODD_KEYS)) - 1
    assert max(len(key.encode()) for key in data.ODD_KEYS) == 1024


def test_the_storage_classes_show_in_the_listing(s3):
    """The cold folder holds one object each of GLACIER, STANDARD_IA and STANDARD, oldest first."""
    items = listed(s3, LAKE, Prefix="cold/")
    assert [item["StorageClass"] for item in items] == ["GLACIER", "STANDARD_IA", "STANDARD"]
    assert [item["LastModified"].year for item in items] == [2024, 2025, 2026]


def test_tags_metadata_and_content_type_are_kept(s3):
    """An object's tags, metadata and content type are what the table says."""
    head = s3.head_object(Bucket=LAKE, Key="sales/orders.csv")
    tags = s3.get_object_tagging(Bucket=LAKE, Key="sales/customers.csv")["TagSet"]
    assert head["Metadata"] == {"source": "shop-db", "rows": "1500"}
    assert head["ContentType"] == "text/csv"
    assert tags == [{"Key": "classification", "Value": "personal"}]


def test_the_archive_is_versioned(s3):
    """The contract has two versions that differ, and the expired one only a delete marker as its latest."""
    answer = s3.list_object_versions(Bucket=ARCHIVE)
    signed = [version for version in answer["Versions"] if version["Key"] == "contracts/supplier.txt"]
    bodies = [
        s3.get_object(Bucket=ARCHIVE, Key=version["Key"], VersionId=version["VersionId"])["Body"].read()
        for version in signed
    ]
    assert [version["IsLatest"] for version in signed] == [True, False]
    assert b"as signed" in bodies[0]
    assert b"first draft" in bodies[1]
    assert [(mark["Key"], mark["IsLatest"]) for mark in answer["DeleteMarkers"]] == [("contracts/expired.txt", True)]
    assert [item["Key"] for item in listed(s3, ARCHIVE)] == ["contracts/supplier.txt"]


def test_there_is_an_empty_folder_and_an_empty_bucket(s3):
    """`drafts/` is a marker of no bytes that shows as a common prefix, and one bucket holds nothing."""
    top = s3.list_objects_v2(Bucket=LAKE, Delimiter="/")
    assert {"Prefix": "drafts/"} in top["CommonPrefixes"]
    assert [(item["Key"], item["Size"]) for item in listed(s3, LAKE, Prefix="drafts/")] == [("drafts/", 0)]
    assert listed(s3, EMPTY) == []


def test_every_write_is_there_with_its_time(s3, written):
    """The lake lists every key of the table with its size and time of change."""
    expected = {put.key: (len(put.body), put.modified) for put in written if put.bucket == LAKE}
    assert {item["Key"]: (item["Size"], item["LastModified"]) for item in listed(s3, LAKE)} == expected


def test_the_data_is_the_same_at_every_start(written):
    """Two runs of the generator give the same bytes."""
    assert list(data.puts()) == written
