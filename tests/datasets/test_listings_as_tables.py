"""FROM objects('s3://…') is a listing in a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from test_discover import bucket

from s3conn_magic.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from statements import Statements

OBJECTS = {f"d/{number:04}.csv": b"x" * number for number in range(2_500)} | {"other": b"abc", "it's/k": b"1"}


@pytest.fixture(scope="module")
def run() -> Iterator[Statements]:
    with bucket(OBJECTS) as (statements, _):
        yield statements


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT count(*), sum(size) FROM objects('s3://lake')", [(2_502, 2_499 * 1_250 + 4)]),
        ("SELECT bucket, key, size FROM objects('s3://lake/o')", [("lake", "other", 3)]),
        ("SELECT key FROM objects('s3://lake/it''s/')", [("it's/k",)]),
        ("SELECT key FROM objects('s3://lake/') WHERE key LIKE '%2.csv' AND size > 2490", [("d/2492.csv",)]),
        (
            "SELECT a.key FROM objects('s3://lake/d/24') a JOIN objects('s3://lake/d/2499') b USING (etag)",
            [("d/2499.csv",)],
        ),
        ("SELECT count(*) FROM (SELECT key FROM objects('s3://lake') EXCEPT SELECT key FROM objects($place))", [(2,)]),
        ("SELECT key FROM objects('s3://lake/', versions => false) ORDER BY size DESC LIMIT 1", [("d/2499.csv",)]),
        ("SELECT count(*) FROM objects('s3://lake/nothing')", [(0,)]),
        ("SELECT sum(size) FROM objects('s3://c@lake/d/000')", [(45,)]),
    ],
)
def test_a_listing_is_a_table_in_any_query(run: Statements, query: str, rows: list[tuple[object, ...]]):
    """Filtered, ordered, grouped, joined, and taken from one another."""
    run.names["place"] = "s3://lake/d/"
    assert [tuple(row) for row in run(query).itertuples(index=False)] == rows


def test_the_columns_are_those_of_list(run: Statements):
    """But for folders, which a recursive listing does not have."""
    listed = run("LIST 's3://lake/d/' RECURSIVE")
    frame = run("FROM objects('s3://lake/d/')")
    assert list(frame.columns) == [name for name in listed.columns if name != "is_prefix"]
    assert sorted(frame["key"]) == listed["key"].tolist()


def test_what_is_no_location_is_an_error_at_its_place(run: Statements):
    """A path that is put together, more than one, or a flag that is none."""
    for call in (
        "objects()",
        "objects('a', 'b')",
        "objects('s3://lake', versions => 3)",
    ):
        assert "objects() takes" in run.fails(f"SELECT * FROM {call}", QueryError).block()
