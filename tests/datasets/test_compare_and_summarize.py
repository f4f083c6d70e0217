"""COMPARE, DESCRIBE and SUMMARIZE of objects, tables and queries."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bucket_shapes import csv, hive, parquet
from lakes import moto_lake  # noqa: F401 - the fixture
from shelf import shelved
from statements import Statements, create
from test_discover import bucket

from s3conn_magic.datasets.comparing import at_moment, differences_of
from s3conn_magic.errors import BindError, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakes import Lake
    from recording import Recorder


def test_compare_tells_keys_of_one_side_and_those_that_differ():
    """By etag and size, or by size alone; equal ones are counted only."""
    objects = {"a/same": b"1", "a/gone": b"1", "a/other": b"22", "a/bytes": b"ab"}
    objects |= {"b/same": b"1", "b/new": b"1", "b/other": b"333", "b/bytes": b"cd"}
    with bucket(objects) as (run, _):
        frame = run("COMPARE 's3://lake/a/' WITH 's3://lake/b/'")
        changes = {"bytes": "differs", "gone": "only left", "new": "only right", "other": "differs"}
        assert dict(zip(frame["key"], frame["change"], strict=True)) == changes
        assert "1 equal" in run.notes[-1]
        by_size = run("COMPARE 's3://lake/a/' WITH 's3://lake/b/' BY SIZE")
        assert by_size["key"].tolist() == ["gone", "new", "other"]
        assert not len(run("COMPARE 's3://lake/a/' WITH 's3://lake/a/' BY TIME"))


def test_compare_reaches_through_two_connections():
    """Each side by its own."""
    with shelved("lake") as (left, one_side), shelved("pond") as (right, other_side):
        left.buckets["lake"], right.buckets["pond"] = {"k": b"1"}, {"x/k": b"1", "x/l": b"2"}
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up"}
        for name, recorder in (("near", one_side), ("far", other_side)):
            run(create(name, ENDPOINT=recorder.endpoint, REGION="us-east-1", VALIDATE=False, **pair))
        frame = run("COMPARE 's3://lake/' USING near WITH 's3://pond/x/' USING far")
        assert frame[["key", "change"]].to_numpy().tolist() == [["l", "only right"]]


def _table(*rows: tuple[str, int, str, int]) -> pa.Table:
    keys, sizes, etags, times = zip(*rows, strict=True) if rows else ((), (), (), ())
    types = [pa.string(), pa.int64(), pa.string(), pa.timestamp("us", tz="UTC")]
    columns = [pa.array(column, kind) for column, kind in zip((keys, sizes, etags, times), types, strict=True)]
    return pa.table(columns, names=["key", "size", "etag", "last_modified"])


@pytest.mark.parametrize(
    ("left", "right", "change"),
    [
        ((5, "a" * 32), (5, "a" * 32), "equal"),
        ((5, "a" * 32), (5, "b" * 32), "differs"),
        ((5, "a" * 32), (6, "a" * 32), "differs"),
        ((5, "aa-2"), (5, "aa-2"), "equal"),
        ((5, "aa-2"), (5, "b" * 32), "undecided"),
        ((5, "aa-2"), (5, "bb-3"), "undecided"),
        ((5, "aa-2"), (6, "bb-3"), "differs"),
        ((5, ""), (5, ""), "undecided"),
    ],
)
def test_etags_of_uploads_in_parts_decide_nothing_where_they_differ(
    left: tuple[int, str], right: tuple[int, str], change: str
):
    """Equal bytes have other etags where the parts were cut elsewhere; that is said."""
    answer = differences_of(_table(("p/k", *left, 1)), _table(("k", *right, 1)), ("p/", ""), "ETAG")
    assert answer.counts[change] == 1
    assert ("only reading them would tell" in answer.note("ETAG")) == (change == "undecided")


def test_a_bucket_as_of_a_moment_has_the_versions_of_then():
    """The newest that there was; a key that was deleted then is none."""
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in (3, 1, 2, 1, 5)]
    versions = pa.table(
        {
            "key": ["a", "a", "b", "b", "c"],
            "size": [2, 1, None, 1, 1],
            "etag": ["x", "y", None, "z", "w"],
            "last_modified": pa.array(times, pa.timestamp("us", tz="UTC")),
            "is_delete_marker": [False, False, True, False, False],
        }
    )
    then = at_moment(versions, datetime(2026, 1, 2, 12, tzinfo=UTC))
    assert then["key"].to_pylist() == ["a"]
    assert then["size"].to_pylist() == [1]
    assert at_moment(versions, datetime(2026, 1, 1, 12, tzinfo=UTC))["key"].to_pylist() == ["a", "b"]
    assert len(at_moment(versions, datetime(2025, 1, 1, tzinfo=UTC))) == 0


def test_as_of_takes_a_time():
    """The error points at it."""
    with bucket({}) as (run, _):
        error = run.fails("COMPARE 's3://lake/' AS OF 'tomorrow' WITH 's3://lake/'", BindError)
        assert "AS OF takes a time" in error.block()


@pytest.mark.parametrize("versioned", [True, False])
def test_as_of_says_where_nothing_can_be_told(moto_lake: Lake, versioned: bool):  # noqa: F811 - the fixture
    """A bucket without versions has lost what was there; one with versions has not."""
    if versioned:
        status = {"Status": "Enabled"}
        moto_lake.client.put_bucket_versioning(Bucket=moto_lake.bucket, VersioningConfiguration=status)
    made = moto_lake.client.put_object(Bucket=moto_lake.bucket, Key="a", Body=b"1")
    run = moto_lake.session()
    where = f"'s3://{moto_lake.bucket}/'"
    frame = run(f"COMPARE {where} AS OF '2020-01-01' WITH {where}")
    assert set(frame["change"]) == {"only right"}
    assert any("keeps no versions" in note for note in run.notes) == (not versioned)
    moto_lake.client.delete_object(Bucket=moto_lake.bucket, Key="a", VersionId=made.get("VersionId", "null"))


NUMBERS = {"n": [1, 2, 3, 4, None], "x": [1.5, 2.5, 3.5, 4.5, 5.5], "t": ["a", "b", "b", "b", None]}


@pytest.fixture(scope="module")
def lake() -> Iterator[tuple[Statements, Recorder]]:
    out = io.BytesIO()
    pq.write_table(pa.table({**NUMBERS, "long": ["z" * 300] * 5}), out)
    objects = {"numbers.parquet": out.getvalue(), "f/1.csv": csv(5, "id", "name"), "f/2.csv": csv(5, "id", "name")}
    objects |= {
        "two/1.csv": csv(5, "id", "name"),
        "two/1.parquet": parquet(3, k=1),
        "pictures/a.png": b"\x89PNG\r\n\x1a\n",
    }
    with bucket(objects | hive()[0]) as (run, recorder):
        run("CREATE TABLE kept AS SELECT 1 AS a, 'x' AS b")
        yield run, recorder


@pytest.mark.parametrize(
    ("subject", "columns"),
    [
        ("'s3://lake/numbers.parquet'", ["n", "x", "t", "long"]),
        ("'s3://lake/f/'", ["id", "name"]),
        ("'s3://lake/f/*.csv'", ["id", "name"]),
        ("kept", ["a", "b"]),
        ("SELECT 1 AS one, [1, 2] AS several", ["one", "several"]),
        ("FROM 's3://lake/f/1.csv' WHERE id > 100", ["id", "name"]),
    ],
)
@pytest.mark.parametrize("verb", ["DESCRIBE", "SUMMARIZE"])
def test_locations_tables_and_queries_are_described_and_summarized(
    lake: tuple[Statements, Recorder], verb: str, subject: str, columns: list[str]
):
    """A row for each column, in their order."""
    assert lake[0](f"{verb} {subject}")["column"].tolist() == columns


def test_a_description_says_from_which_partition_on_a_column_appears(lake: tuple[Statements, Recorder]):
    """Types and a value are those of the newest; what folders write is a partition."""
    frame = lake[0]("DESCRIBE 's3://lake/sales/'").set_index("column")
    assert frame.loc["channel", "appears"] == "from year=2024/month=10 on"
    assert frame.loc["price", "appears"] == "in all that were looked at"
    assert frame.loc["price", "type"] == "DOUBLE"
    assert frame.loc["price", "sample"] == "2.5"


def test_a_folder_of_several_datasets_or_none_is_refused(lake: tuple[Statements, Recorder]):
    """The error names one of them, or the way to look."""
    assert "holds 2 datasets" in lake[0].fails("DESCRIBE 's3://lake/two/'", QueryError).block()
    assert "DISCOVER" in lake[0].fails("SUMMARIZE 's3://lake/pictures/'", QueryError).block()


def test_a_summary_has_the_figures_of_each_column(lake: tuple[Statements, Recorder]):
    """Least and greatest, mean, missing ones, the most frequent, and bars of numbers."""
    frame = lake[0]("SUMMARIZE 's3://lake/numbers.parquet'").set_index("column")
    assert frame.loc["n", ["min", "max", "avg", "count", "null_share"]].tolist() == ["1", "4", 2.5, 5, 0.2]
    assert frame.loc["n", "approx_unique"] == 4
    assert frame.loc["t", "frequent"][0] == "b"
    assert frame.loc["t", ["min", "max"]].tolist() == ["a", "b"]
    assert len(frame.loc["x", "histogram"]) == 8


def test_statistics_of_parquet_answer_without_a_row(lake: tuple[Statements, Recorder]):
    """Count, ends and missing ones where they are exact; those of floating point, which leave NaN out, are not."""
    run, _ = lake
    frame = run("SUMMARIZE 's3://lake/numbers.parquet' SAMPLE 0 PERCENT").set_index("column")
    assert frame.loc["n", ["min", "max", "count", "null_share"]].tolist() == ["1", "4", 5, 0.2]
    assert frame.loc["t", "null_share"] == 0.2
    assert frame["avg"].isna().all()
    assert frame.loc["x", ["min", "max"]].isna().all()


def test_a_part_of_the_rows_is_told_as_one(lake: tuple[Statements, Recorder]):
    """What statistics say stays exact."""
    run, _ = lake
    frame = run("SUMMARIZE 's3://lake/numbers.parquet' SAMPLE 50 PERCENT").set_index("column")
    assert frame.loc["n", ["min", "max", "count"]].tolist() == ["1", "4", 5]
    assert "about 50 percent of the rows" in run.notes[-1]
    assert "0 to 100" in run.fails("SUMMARIZE kept SAMPLE 101 PERCENT", BindError).block()
