"""What old versions, unfinished uploads and copies cost a month."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws
from statements import Statements
from test_discover import bucket

from s3conn_magic.errors import BindError
from s3conn_magic.listing.analysis import GB, STORAGE_USD

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD = STORAGE_USD["STANDARD"] / GB


@pytest.fixture
def versioned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Statements]:
    """A bucket with versions, and an upload in parts that was never finished."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="lake")
        s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"22", b"333"):
            s3.put_object(Bucket="lake", Key="k", Body=body)
        s3.put_object(Bucket="lake", Key="gone", Body=b"4444")
        s3.delete_object(Bucket="lake", Key="gone")
        upload = s3.create_multipart_upload(Bucket="lake", Key="big")["UploadId"]
        s3.upload_part(Bucket="lake", Key="big", UploadId=upload, PartNumber=1, Body=b"x" * 1000)
        run = Statements()
        run("CREATE S3 CONNECTION c REGION = 'us-east-1' VALIDATE = FALSE")
        yield run
        run.session.close()


def test_every_group_of_an_analysis_has_its_dollars_a_month():
    """By the list price of each storage class."""
    with bucket({"a/1": b"x" * 500, "b/2": b"x" * 1500}) as (run, _):
        frame = run("ANALYZE 's3://lake/'")
        assert frame["usd_month"].tolist() == pytest.approx([1500 * STANDARD, 500 * STANDARD])


def test_copies_are_the_objects_beside_the_first_of_equal_bytes():
    """Their number, bytes and dollars; what is alone is none, and so is what is empty."""
    objects = {"a": b"same", "b/c": b"same", "d": b"same", "alone": b"other", "x": b"", "y": b""}
    with bucket(objects) as (run, _):
        frame = run("ANALYZE 's3://lake/' BY DUPLICATES")
        assert frame[["group", "objects", "bytes"]].to_numpy().tolist() == [["a", 2, 8]]
        assert frame["usd_month"][0] == pytest.approx(8 * STANDARD)


def test_versions_are_current_old_or_marks_of_deletion(versioned: Statements):
    """Each with its bytes."""
    frame = versioned("ANALYZE 's3://lake/' BY VERSIONS").set_index("group")
    assert frame["objects"].to_dict() == {"current versions": 1, "old versions": 3, "delete markers": 1}
    assert frame["bytes"].to_dict() == {"current versions": 3, "old versions": 7, "delete markers": 0}
    assert frame.loc["delete markers", "usd_month"] == 0


def test_unfinished_uploads_hold_their_parts(versioned: Statements):
    """By key, with the bytes of their parts."""
    frame = versioned("ANALYZE 's3://lake/' BY UPLOADS")
    assert frame[["group", "objects", "bytes"]].to_numpy().tolist() == [["big", 1, 1000]]
    assert not len(versioned("ANALYZE 's3://lake/other/' BY UPLOADS"))


def test_a_listing_of_versions_is_a_table(versioned: Statements):
    """With the columns of LIST VERSIONS."""
    query = "SELECT count(*), count(size) FROM objects('s3://lake', versions => true)"
    assert versioned(query).to_numpy().tolist() == [[5, 4]]


def test_a_report_has_no_uploads():
    """Nor etags of all, nor what is not in it."""
    with bucket({}) as (run, _):
        run.fails("ANALYZE FROM INVENTORY 's3://lake/r/' BY UPLOADS", BindError)
