"""The table of a preview in the panel: more rows, any order, a filter, and what stands in a column."""

from __future__ import annotations

import io
import queue
import re
import threading
import time
from concurrent.futures import Future
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording import passing_to

from s3conn_magic.errors import StatementInterrupted
from s3conn_magic.explorer.details import PreviewTable, RowOrder
from s3conn_magic.objects.description import Description
from s3conn_magic.preview import Preview
from s3conn_magic.runtime.background import LOOP, Work, run_in_background, wait_for
from s3conn_magic.sandbox import EMPTY


def table_of(**columns):
    """A table of a preview that has these columns."""
    frame = pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
    return PreviewTable(Preview("table", Description("s3://b/k", "arn", 1), frame=frame, total_rows=len(frame)))


VALUES = {
    "int64": [2**53 + 1, 2**53, None, -1],
    "uint64": pa.array([2**64 - 1, 0, None, 2**63], pa.uint64()),
    "decimal": [Decimal("9007199254740993.10"), Decimal("9007199254740993.01"), None, Decimal(-1)],
    "float": [1.5, -2.0, None, 0.0],
    "text": ["b", "a", None, "B"],
    "date": [date(2024, 2, 1), date(2023, 1, 1), None, date(1900, 1, 1)],
    "time": [
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2023, 1, 1, tzinfo=UTC),
        None,
        datetime(2025, 1, 1, tzinfo=UTC),
    ],
    "bool": [True, False, None, True],
    "bytes": [b"\xff", b"\x00", None, b"a"],
    "list": [[2], [1], None, []],
    "struct": [{"a": 2}, {"a": 1}, None, {"a": 3}],
}


@pytest.mark.parametrize("kind", VALUES)
def test_rows_are_ordered_by_their_exact_values(kind):
    """Each type by its own order, not by its text or a rounded number; what is missing comes last, both ways."""
    table = table_of(row=range(4), value=VALUES[kind])
    values = pa.array(VALUES[kind]).to_pylist()
    there = [at for at, value in enumerate(values) if value is not None]
    key = (lambda at: str(values[at])) if kind in {"list", "struct"} else (lambda at: values[at])
    for descending in (False, True):
        part = table.part(RowOrder(1, descending), 0, 10)
        wanted = sorted(there, key=key, reverse=descending)
        assert [values[int(row[0])] for row in part["rows"]] == [*(values[at] for at in wanted), None]


@pytest.mark.parametrize("kind", VALUES)
def test_a_column_of_every_type_has_statistics(kind):
    """The least, the greatest, how many differ and how many are missing, by SUMMARIZE's own figures."""
    found = dict(table_of(value=VALUES[kind]).statistics(0)["facts"])
    assert found["Missing"] == "25.0%"
    if kind not in {"list", "struct"}:
        there = [value for value in VALUES[kind] if value is not None]
        assert {"Least", "Greatest", "Different values, about"} <= found.keys()
        if kind == "int64":
            assert (found["Least"], found["Greatest"]) == (str(min(there)), str(max(there)))
        if kind in {"int64", "float", "decimal"}:
            assert {"Mean", "From least to greatest"} <= found.keys()


def test_statistics_of_what_duckdb_has_no_type_for_are_of_its_text():
    """A column that DuckDB does not take is looked at as text, and fails nothing."""
    odd = pa.array([1.5, None, 2.5], pa.float16())
    assert dict(table_of(value=odd).statistics(0)["facts"])["Least"] == "1.5"


def test_a_filter_finds_a_text_in_any_column_whatever_its_case():
    """Rows that hold it in any shown column are left, in the order that was chosen, with their number."""
    table = table_of(n=[10, 20, 30], s=["Straße", "ab", "AB"], t=[None, "x", "10"])
    assert table.part(RowOrder(filter="STRASSE"), 0, 9) == {"from": 0, "count": 1, "rows": [["10", "Straße", None]]}
    assert [row[0] for row in table.part(RowOrder(0, True, "ab"), 0, 9)["rows"]] == ["30", "20"]
    assert table.part(RowOrder(filter="10"), 0, 9)["count"] == 2
    assert table.part(RowOrder(filter="none there"), 0, 9)["rows"] == []


def test_hostile_texts_and_long_rows_are_bounded():
    """A part of the rows is bounded in characters and tells where it ends; control characters are made visible."""
    table = table_of(s=["\x1b[31m" + "x" * 10_000] * 900, t=["\u202e"] * 900)
    part = table.part(RowOrder(), 0, 900)
    assert len(part["rows"]) == 500
    assert all(len(cell) <= 200 for row in part["rows"] for cell in row)
    assert "\x1b" not in part["rows"][0][0]


def put(upstream, key, body):
    upstream.put_object(Bucket=EMPTY, Key=key, Body=body)


@pytest.fixture
def long(upstream):
    """Objects of 20,000 rows, which go again."""
    frame = pd.DataFrame({"n": range(20_000), "s": [f"row {number % 7}" for number in range(20_000)]})
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame), parquet, row_group_size=3_000)
    bodies = {"long.csv": frame.to_csv(index=False).encode(), "long.parquet": parquet.getvalue()}
    bodies["long.jsonl"] = frame.to_json(orient="records", lines=True).encode()
    for key, body in bodies.items():
        put(upstream, key, body)
    yield
    for key in bodies:
        upstream.delete_object(Bucket=EMPTY, Key=key)


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("name", ["long.csv", "long.parquet", "long.jsonl"])
def test_a_preview_goes_on(name, explore):
    """The first hundred rows come by themselves, a thousand and ten thousand when asked for, and each step is said."""
    page = explore(f"s3://{EMPTY}/").show(name)
    table = page.last("preview")["table"]
    assert (table["loaded"], table["more"]) == (100, True)
    assert re.fullmatch(r"The first 100 of (20,000|about 2\d,000) rows", table["said"])
    for wanted, more in ((1_000, True), (10_000, False)):
        page.got.clear()
        page.do("further")
        now = page.part("loaded")
        assert (now["loaded"], now["more"]) == (wanted, more)
    assert now["said"].endswith("rows: a query reads the others")
    page.do("records", id="r", **{"from": 9_990, "to": 10_190}, by=-1, descending=False, filter="")
    part = page.until(lambda one: one["type"] == "records" and one["id"] == "r")
    assert (part["count"], [row[0] for row in part["rows"]]) == (10_000, [str(n) for n in range(9_990, 10_000)])
    page.do("records", id="o", **{"from": 0, "to": 2}, by=0, descending=True, filter="row 3")
    part = page.until(lambda one: one["type"] == "records" and one["id"] == "o")
    assert part["rows"][0] == [str(max(n for n in range(10_000) if n % 7 == 3)), "row 3"]
    page.do("column", id="c", at=0)
    about = page.until(lambda one: one["type"] == "column")
    assert dict(about["facts"])["Greatest"] == "9999"
    assert about["said"] == "Of the first 10,000 rows"
    page.got.clear()
    page.do("begin", page="another")
    assert page.part("preview")["table"]["loaded"] == 10_000


@pytest.mark.usefixtures("long")
def test_a_page_that_asks_for_rows_of_something_else_is_told(explore):
    """Rows of what the panel does not show any more are not sent."""
    page = explore(f"s3://{EMPTY}/").show("long.csv")
    page.do("records", id="r", serial=-1, **{"from": 0, "to": 9}, by=-1, descending=False, filter="")
    page.until(lambda one: "something else" in one.get("said", ["", ""])[1])
    assert not [one for one in page.got if one["type"] == "records"]


# Previews that hang


PARTS = {
    "HeadObject": lambda one: one.method == "HEAD",
    "GetObjectTagging": lambda one: "tagging" in one.query,
    "ListObjectVersions": lambda one: "versions" in one.query,
    "GetObject": lambda one: one.method == "GET" and "range" in one.headers,
}


def beside():
    """Names of the threads that work for a page."""
    ours = ("s3conn-work", "s3conn-query", "s3conn-listing", "s3conn-reader")
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith(ours))


def becomes(holds):
    """Whether something holds within a while."""
    end = time.monotonic() + 15
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


@pytest.fixture
def hang(recorder, sandbox):
    """Has requests of one kind never answered; gives how many there were."""
    released, asked, ask = threading.Event(), [], passing_to(sandbox.endpoint)

    def made(part):
        def answer(one):
            if part(one):
                asked.append(one)
                released.wait(60)
            return ask(one)

        recorder.answer = answer
        return asked

    yield made
    released.set()


@pytest.mark.parametrize(
    ("part", "count"), [("HeadObject", 5), ("GetObjectTagging", 5), ("ListObjectVersions", 5), ("GetObject", 25)]
)
def test_previews_that_hang_leave_no_thread(part, count, explore, upstream, hang):
    """Whichever request is never answered, previews that were left leave no thread, and the next one comes."""
    names = [f"hanging/{number:02}.csv" for number in range(count + 1)]
    for name in names:
        put(upstream, name, b"a,b\n1,2\n")
    page, before = explore(f"s3://{EMPTY}/hanging/"), beside()
    stuck = hang(lambda one: PARTS[part](one) and names[-1] not in unquote(one.target))
    for at, name in enumerate(names[:-1]):
        page.do("show", place=page.place(name.removeprefix("hanging/")))
        assert becomes(lambda at=at: len(stuck) > at)
    page.show(f"{count:02}.csv")
    assert page.last("preview")["table"]["rows"] == [["1", "2"]]
    page.do("hide")
    assert becomes(lambda: beside() == before), beside()
    for name in names:
        upstream.delete_object(Bucket=EMPTY, Key=name)


@pytest.mark.usefixtures("long")
def test_a_preview_that_is_cancelled_says_so_and_can_be_asked_again(explore, hang):
    """Stop ends the requests at once and leaves a word in the place of what did not come; Retry asks again."""
    page, before = explore(f"s3://{EMPTY}/"), beside()
    stuck = hang(lambda one: "range" in one.headers and not page.got_up)
    page.got_up = False
    page.do("show", place=page.place("long.csv"))
    assert becomes(lambda: stuck)
    page.do("halt", id="")
    assert page.part("preview")["error"]["message"] == "Stopped"
    assert becomes(lambda: beside() == before), beside()
    page.got_up = True
    page.got.clear()
    page.do("retry")
    assert page.part("preview")["table"]["loaded"] == 100


@pytest.mark.usefixtures("long")
def test_a_download_that_hangs_is_stopped(explore, hang):
    """Stop takes the line away and ends the request."""
    page = explore(f"s3://{EMPTY}/").show("long.csv")
    before = beside()
    stuck = hang(lambda one: one.method == "GET" and "range" in one.headers)
    page.do("download", id="d")
    assert becomes(lambda: stuck)
    page.do("halt", id="d")
    page.gone("d")
    assert becomes(lambda: beside() == before), beside()


def test_what_is_stopped_ends_its_own_waits_and_no_others():
    """A wait within it ends, also in a thread that it began; what the common loop does for others goes on."""
    never, ended, seen = Future(), queue.SimpleQueue(), queue.SimpleQueue()

    def inner():
        try:
            wait_for(never)
        except StatementInterrupted:
            ended.put("inner")
            raise

    def outer(_):
        LOOP.call(lambda: seen.put(_waits_on()))
        wait_for(run_in_background(inner, name="s3conn-work-inner"))

    work = Work(outer)
    work.cancel()
    work.start(lambda _: None, lambda error: ended.put(type(error).__name__))
    assert seen.get(timeout=10) is True
    assert {ended.get(timeout=10), ended.get(timeout=10)} == {"inner", "StatementInterrupted"}


def _waits_on():
    """Whether a wait here would go on."""
    try:
        wait_for(Future(), within=0.0)
    except TimeoutError:
        return True
    except StatementInterrupted:
        return False
