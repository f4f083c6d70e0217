"""DISCOVER names the datasets that a data engineer would, by a listing and a few looks."""

from __future__ import annotations

import gzip
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from bucket_shapes import BUCKETS, csv, flat, hive, lines, parquet
from recording import error
from shelf import shelved
from statements import Statements, create

from s3conn_magic.datasets.layout import Layout
from s3conn_magic.errors import BindError
from s3conn_magic.language.result_columns import DATASET_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recording import Recorder

PLACE = "s3://lake/"


@contextmanager
def bucket(objects: dict[str, bytes]) -> Iterator[tuple[Statements, Recorder]]:
    """A session with a connection to a bucket of these objects."""
    with shelved("lake") as (shelf, recorder):
        shelf.buckets["lake"] = objects
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up"}
        run(create("c", ENDPOINT=recorder.endpoint, REGION="us-east-1", VALIDATE=False, **pair))
        yield run, recorder
        run.session.close()


def _looks(recorder: Recorder) -> int:
    return sum(request.method == "GET" and len(request.path) > len("/lake/") for request in recorder.requests)


def _discovered(objects: dict[str, bytes], clauses: str = "") -> tuple[Any, int]:
    with bucket(objects) as (run, recorder):
        return run(f"DISCOVER '{PLACE}' {clauses}"), _looks(recorder)


def _row(frame: Any, dataset: str) -> Any:
    return frame[frame["dataset"] == f"{PLACE}{dataset}"].iloc[0]


@pytest.mark.parametrize("name", BUCKETS)
def test_the_datasets_are_those_that_an_engineer_would_name(name: str):
    """Each with all of its objects; the sums are the bucket's, four looks a dataset do, and every query runs."""
    objects, expected = BUCKETS[name]()
    with bucket(objects) as (run, recorder):
        frame = run(f"DISCOVER '{PLACE}'")
        looks = _looks(recorder)
        counts = dict(zip(frame["dataset"].str.removeprefix(PLACE), frame["objects"], strict=True))
        counts.pop("other", None)
        assert counts == expected
        assert frame["objects"].sum() == len(objects)
        assert frame["bytes"].sum() == sum(map(len, objects.values()))
        assert looks <= 4 * len(expected)
        assert frame.loc[frame["format"].isin(["CSV", "Parquet"]), "columns"].notna().all()
        assert list(frame.columns) == [column.name for column in DATASET_COLUMNS]
        for query in frame["query"].dropna():
            if "objects(" not in query:
                assert len(run(query))
        for statement in str(run(f"DISCOVER '{PLACE}' INTO TABLES")).splitlines():
            if statement.startswith("CREATE"):
                run(statement)


def test_a_drift_is_told_with_its_place():
    """What is new and what is of another type, and the partition from which on."""
    frame, looks = _discovered(hive()[0])
    row = _row(frame, "sales/year=*/month=*/*.parquet")
    assert row["drift"] == "year=2024/month=10: +channel, id BIGINT → VARCHAR"
    assert row["partitions"] == ["year BIGINT: 2023 … 2024 (2)", "month VARCHAR: 01 … 12 (12)"]
    assert row["columns"] == ["id VARCHAR", "price DOUBLE", "channel VARCHAR"]
    assert looks == 4


def test_where_the_looks_do_not_reach_the_place_of_a_drift_is_a_range():
    """Nothing is said that was not seen; more looks say it."""
    objects = {f"t/d={day:03}/x.csv": csv(5, "a", *(["bb"] if day >= 77 else ["b"])) for day in range(100)}
    frame, looks = _discovered(objects)
    assert frame["drift"][0] == "between d=074 and d=098: +bb, -b" or frame["drift"][0].startswith(("between", "d=077"))
    assert looks <= 4
    frame, _ = _discovered(objects, "SAMPLE 12")
    assert frame["drift"][0] == "d=077: +bb, -b"


def test_rows_are_exact_estimated_or_unknown_and_exact_on_demand():
    """Where all objects were looked at, by the looks; ROWS = EXACT counts."""
    few = {f"few/{number}.parquet": parquet(10 + number, a=1) for number in range(3)}
    many = {f"many/{number:03}.csv": csv(20, "id", "name") for number in range(50)}
    pictures = {f"pictures/{number}.png": b"\x89PNG\r\n\x1a\n" for number in range(5)}
    frame, _ = _discovered(few | many | pictures)
    bounds = dict(zip(frame["dataset"], zip(frame["rows"], frame["rows_bound"], strict=True), strict=True))
    assert bounds[f"{PLACE}few/*.parquet"] == (33, "exact")
    assert bounds[f"{PLACE}many/*.csv"] == (1000, "estimated")
    assert bounds[f"{PLACE}pictures/*.png"][1] == "unknown"
    frame, _ = _discovered(many, "ROWS = EXACT")
    assert frame[["rows", "rows_bound"]].iloc[0].tolist() == [1000, "exact"]


def test_a_packed_head_is_unpacked_as_far_as_it_goes():
    """Columns and an estimate of rows of an object of which only a part was read."""
    body = gzip.compress("".join(f"{row},{row * 7919 % 65_537}\n" for row in range(60_000)).encode(), 1)
    assert len(body) > 200_000
    frame, looks = _discovered({"big.csv.gz": gzip.compress(b"id,value\n") + body})
    assert frame["columns"][0] == ["id BIGINT", "value BIGINT"]
    assert frame["compression"][0] == "gzip"
    assert frame["rows"][0] == pytest.approx(60_000, rel=0.2)
    assert looks == 1


def test_without_looks_keys_alone_decide():
    """SAMPLE 0 sends no GET."""
    frame, looks = _discovered(hive()[0], "SAMPLE 0")
    assert looks == 0
    assert frame[["dataset", "objects", "rows_bound"]].iloc[0].tolist() == [
        f"{PLACE}sales/year=*/month=*/*.parquet",
        24,
        "unknown",
    ]


def test_depth_is_how_many_folders_are_told_apart():
    """Below it all is one."""
    objects = {f"a/{name}/{number}/x.jsonl": lines(3, k=1) for name in ("p", "q") for number in range(3)}
    frame, _ = _discovered(objects, "DEPTH 1")
    assert frame["dataset"].tolist() == [f"{PLACE}a/**/x.jsonl"]
    assert frame["objects"].sum() == len(objects)


@pytest.mark.parametrize("objects", [{}, {"a/": b"", "b/c/": b""}])
def test_a_bucket_without_rows_has_no_dataset(objects: dict[str, bytes]):
    """An empty one has no row, one of folder markers the row of the rest."""
    frame, looks = _discovered(objects)
    assert frame["dataset"].tolist() == ["other"] * bool(objects)
    assert frame["objects"].sum() == len(objects)
    assert looks == 0


def test_objects_that_may_not_be_read_are_found_all_the_same():
    """A refusal to read is said in the reason, and nothing fails."""
    with shelved("lake") as (shelf, recorder):
        shelf.buckets["lake"] = {f"d/{number}.csv": csv(3, "a") for number in range(5)}
        shelf._of_object = lambda *_: error(403, "AccessDenied")  # type: ignore[method-assign]
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up"}
        run(create("c", ENDPOINT=recorder.endpoint, REGION="us-east-1", VALIDATE=False, **pair))
        frame = run(f"DISCOVER '{PLACE}'")
        assert frame["objects"].sum() == 5
        assert "not looked into" in frame["reason"][0]


def test_explain_prices_it_without_a_request():
    """The listing, and the looks, of which there are so many for each dataset."""
    with bucket({}) as (run, recorder):
        before = len(recorder.requests)
        frame = run(f"EXPLAIN DISCOVER '{PLACE}' SAMPLE 7")
        assert len(recorder.requests) == before
    assert frame["call"].tolist() == ["S3 ListObjectsV2", "S3 GetObject"]
    assert "at most 7" in frame["detail"].iloc[-1]


def test_depth_and_sample_have_a_least_value():
    """The error points at the number."""
    with bucket({}) as (run, _):
        assert "DEPTH takes" in run.fails(f"DISCOVER '{PLACE}' DEPTH 0", BindError).block()


def test_two_hundred_thousand_ids_are_one_group_of_keys():
    """Memory grows with what keys have in common, whatever their number."""
    layout = Layout("lake", "")
    keys = sorted(flat(20_000)[0])
    for at in range(0, len(keys), 1_000):
        part = keys[at : at + 1_000]
        times = pa.array([at] * len(part), pa.timestamp("us", tz="UTC"))
        columns = [pa.array(part), pa.array([1] * len(part), pa.int64()), times]
        layout.add(pa.record_batch(columns, names=["key", "size", "last_modified"]))
    leaves = layout.leaves()
    assert sum(leaf.objects for leaf in leaves) == len(keys)
    assert len(leaves) <= 3
    assert max(len(leaf.places) for leaf in leaves) < 5_000


def test_a_folder_of_very_many_folders_is_one_wildcard():
    """Names that are no number and no date are told apart up to a bound only."""
    layout = Layout("lake", "")
    names = [f"users/{chr(97 + at % 26)}{chr(97 + at // 26 % 26)}{chr(97 + at // 676)}x/p.json" for at in range(9_000)]
    times = pa.array([0] * len(names), pa.timestamp("us", tz="UTC"))
    columns = [pa.array(sorted(names)), pa.array([1] * len(names), pa.int64()), times]
    layout.add(pa.record_batch(columns, names=["key", "size", "last_modified"]))
    assert [leaf.objects for leaf in layout.leaves()] == [9_000]


def test_times_and_small_files_are_those_of_the_objects():
    """The oldest and the newest, and the part that is below 8 MB."""
    frame, _ = _discovered({f"d/{number}.csv": csv(3, "a") for number in range(3)})
    assert frame["oldest"][0] == frame["newest"][0] == pd.Timestamp("2026-01-01", tz="UTC")
    assert frame["small_files"][0] == 1.0
