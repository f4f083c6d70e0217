"""DISCOVER and COMPARE by reports of S3 Inventory; the card of DISCOVER; an interrupt while objects are looked into."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from hashlib import md5
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from bucket_shapes import csv
from inventories import BUCKET, Report, row
from shelf import shelved
from statements import Statements, create

from s3conn_magic.errors import ListingInterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recording import Recorder, Reply, Request
    from shelf import Shelf

DAYS = {f"app/dt=2024-01-{day:02}/rows.csv": csv(4, "id", "name") for day in range(1, 6)}


@contextmanager
def _reported(objects: dict[str, bytes]) -> Iterator[tuple[Statements, Recorder, Shelf]]:
    """A bucket, and another one with an inventory of it."""
    rows = [
        row(key, number) | {"size": len(body), "e_tag": md5(body).hexdigest()}
        for number, (key, body) in enumerate(objects.items())
    ]
    with shelved() as (shelf, recorder):
        report = Report([rows[::2], rows[1::2]], "Parquet", kept_in="reports")
        shelf.buckets.update({BUCKET: dict(objects), "reports": report.objects})
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up"}
        run(create("c", ENDPOINT=recorder.endpoint, REGION="us-east-1", VALIDATE=False, **pair))
        yield run, recorder, shelf
        run.session.close()


def _listings(recorder: Recorder, bucket: str) -> int:
    return sum("list-type" in request.query and request.path.strip("/") == bucket for request in recorder.requests)


def test_a_report_tells_the_datasets_without_a_listing_of_the_bucket():
    """The same datasets as by a listing, with the rows of looks into the objects; the note says of when it is."""
    with _reported(DAYS) as (run, recorder, _):
        by_report = run("DISCOVER FROM INVENTORY 's3://reports/daily/'")
        assert "2026-01-02" in run.notes[-1]
        assert not _listings(recorder, BUCKET)
        by_listing = run(f"DISCOVER 's3://{BUCKET}/'")
        assert by_report["dataset"].tolist() == [f"s3://{BUCKET}/app/dt=*/rows.csv"]
        same = ["dataset", "kind", "format", "objects", "bytes", "rows", "rows_bound", "columns", "query"]
        assert by_report[same].equals(by_listing[same])
        assert len(run(by_report["query"][0])) == 4 * len(DAYS)


def test_a_report_is_compared_with_a_listing_from_either_side():
    """What was written since the report was made is only on the other side."""
    with _reported(DAYS) as (run, recorder, shelf):
        shelf.buckets[BUCKET]["app/new.csv"] = b"1"
        del shelf.buckets[BUCKET]["app/dt=2024-01-01/rows.csv"]
        report, bucket = "'s3://reports/daily/' FROM INVENTORY", f"'s3://{BUCKET}/'"
        changes = {"app/new.csv": "only right", "app/dt=2024-01-01/rows.csv": "only left"}
        frame = run(f"COMPARE {report} WITH {bucket}")
        assert dict(zip(frame["key"], frame["change"], strict=True)) == changes
        turned = {"only right": "only left", "only left": "only right"}
        frame = run(f"COMPARE {bucket} WITH {report}")
        assert dict(zip(frame["key"], frame["change"], strict=True)) == {key: turned[it] for key, it in changes.items()}
        recorder.requests.clear()
        assert not len(run(f"COMPARE {report} WITH {report}"))
        assert not _listings(recorder, BUCKET)


def test_the_card_has_each_dataset_to_open_and_keys_are_text():
    """Its location, why it is one, and a query; markup and formulas in a key are shown as they are."""
    hostile = {"<img src=x onerror=alert(1)>/$x$ a.csv": csv(3, "id", "<b>name</b>")}
    with _reported(DAYS | hostile) as (run, _, _shelf):
        cards: list[Any] = []
        run.session._beside = lambda make: cards.append(make())
        frame = run(f"DISCOVER 's3://{BUCKET}/'")
        html = cards[0]._repr_html_()
        assert html.count("<details>") == len(frame) == len(cards[0].datasets)
        assert "<img" not in html
        assert "<b>" not in html
        assert "tex2jax_ignore" in html
        for text in (*frame["dataset"], *frame["reason"]):
            assert unescape(text) in unescape(html)


@pytest.mark.parametrize("stalled", ["the listing", "a look"])
def test_an_interrupt_keeps_what_is_known(stalled: str):
    """The datasets that keys alone tell, labelled as partial; the next statement works."""
    with _reported(DAYS) as (run, recorder, shelf):
        released = threading.Event()

        def answer(request: Request) -> Reply:
            if (request.path.endswith(".csv")) == (stalled == "a look"):
                os.kill(os.getpid(), signal.SIGINT)
                released.wait(30)
            return shelf.answer(request)

        recorder.answer = answer
        try:
            error = run.fails(f"DISCOVER 's3://{BUCKET}/'", ListingInterrupted)
        finally:
            released.set()
            recorder.answer = shelf.answer
        rows = error.rows_so_far
        assert rows.attrs["partial"]
        assert rows["dataset"].tolist() == ([f"s3://{BUCKET}/app/dt=*/rows.csv"] if stalled == "a look" else [])
        assert len(run(f"DISCOVER 's3://{BUCKET}/'")) == 1
