"""ANALYZE of servers whose objects are known, against the same groups by plain loops."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta

import pytest
from hostile_keys import HOSTILE
from layouts import LAYOUTS, keys_of
from listing_targets import FakeTarget, SignedTarget
from plain_groups import Item, groups, groups_of
from statements import Statements, create
from synthetic import Behaviour, Bucket

from s3conn_magic.locations import Location
from s3conn_magic.results.listings import Analysis, analysis_frame
from s3conn_magic.sandbox import LAKE, LOGS, ODD
from s3conn_magic.sandbox.data import puts

MANY = 6_000
START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=1, minutes=40)
CLASSES = ("STANDARD",) * 17 + ("STANDARD_IA", "GLACIER", "INTELLIGENT_TIERING")
WAYS = [("PREFIX", 1), ("PREFIX", 2), ("PREFIX", 5), ("STORAGE_CLASS", 1), ("EXTENSION", 1), ("AGE", 1), ("SIZE", 1)]
ways = pytest.mark.parametrize(("by", "depth"), WAYS)


def items_of(keys):
    """The objects that the synthetic server makes of keys."""
    return [
        Item(key, number * 7919 % 10000000, START + timedelta(seconds=number % 31536000), CLASSES[number % 20])
        for number, key in enumerate(keys)
    ]


def analyzed(target, location, by, depth, connections=8):
    analysis = Analysis(Location("bucket", location), by, depth)
    return analysis_frame(target, analysis, connections=connections, now=LATER)


def check(frame, expected):
    """The groups are these, in their order, and their shares are of all bytes."""
    found = groups_of(frame)
    assert found == expected
    whole = sum(one.size for one in expected.values())
    assert list(frame["share"]) == pytest.approx([one.size / (whole or 1) for one in found.values()])


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_by_everything(layout, serve):
    """Each group of each layout has exactly its objects and bytes, over many connections."""
    keys = keys_of(layout, MANY)
    target = SignedTarget(serve(Bucket(keys)))
    for by, depth in WAYS:
        frame = analyzed(target, "", by, depth)
        check(frame, groups(items_of(keys), by, "", depth, LATER))
        if by not in {"AGE", "SIZE"}:
            assert frame["bytes"].is_monotonic_decreasing


@ways
def test_hostile_keys(by, depth, serve):
    """No hostile key is lost or in a wrong group, and labels are exact."""
    keys = sorted(HOSTILE.values())
    frame = analyzed(SignedTarget(serve(Bucket(keys))), "", by, depth)
    check(frame, groups(items_of(keys), by, "", depth, LATER))


@pytest.mark.parametrize(
    "location", ["lake/", "lake/ev", "lake/events/year=2023/", "lake/events/year=2023/month=0", "l", "x"]
)
def test_a_location_within_the_bucket(location):
    """Folders are those below the folder that a location lies in, as LIST shows them; other keys do not count."""
    keys = keys_of("hive", 3000)
    for depth in (1, 2):
        frame = analyzed(FakeTarget(Bucket(keys)), location, "PREFIX", depth)
        check(frame, groups(items_of(keys), "PREFIX", location, depth))


class _IgnoresStartAfter(Bucket):
    def page(self, query):
        return super().page({name: value for name, value in query.items() if name != "start-after"})


@ways
def test_a_server_whose_order_cannot_be_relied_on(by, depth, serve):
    """A server that ignores `start-after` is counted anew by its own tokens, each key once."""
    keys = keys_of("hive", MANY)
    frame = analyzed(SignedTarget(serve(_IgnoresStartAfter(keys))), "", by, depth)
    check(frame, groups(items_of(keys), by, "", depth, LATER))


def test_a_server_that_throttles(serve):
    """Refused requests are asked again, and nothing counts twice."""
    keys, behaviour = keys_of("random", MANY), Behaviour(rate=100.0)
    check(analyzed(SignedTarget(serve(Bucket(keys), behaviour)), "", "SIZE", 1, 32), groups(items_of(keys), "SIZE"))


@pytest.fixture
def run(sandbox):
    """A session with the connection `lake` to the sandbox."""
    statements = Statements()
    statements(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    return statements


@functools.cache
def stored(bucket):
    """The sandbox's objects of a bucket."""
    found = [one for one in puts() if one.bucket == bucket]
    return [Item(one.key, len(one.body), one.modified, one.storage_class) for one in found]


@ways
@pytest.mark.parametrize("bucket", [LAKE, LOGS, ODD])
def test_the_statement_on_the_sandbox(bucket, by, depth, run):
    """ANALYZE of each bucket gives the groups of what is stored, ages by the clock of this moment."""
    clause = f"BY {by} DEPTH {depth}" if by == "PREFIX" else f"BY {by}"
    now = datetime.now(UTC)
    check(run(f"ANALYZE 's3://{bucket}/' {clause}"), groups(stored(bucket), by, "", depth, now))


def test_the_frame_is_typed(run):
    """The columns, their order and their types are the same with rows and without."""
    types = {
        "group": "string",
        "objects": "int64",
        "bytes": "int64",
        "share": "float64",
        "newest": "datetime64[us, UTC]",
        "oldest": "datetime64[us, UTC]",
        "usd_month": "Float64",
    }
    for below in ("", "nothing-is-here/"):
        frame = run(f"ANALYZE 's3://{LAKE}/{below}'")
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == types
        assert list(frame.columns) == list(types)
        assert frame.empty == bool(below)


def test_shares_add_up_to_one_or_are_none(run):
    """Shares sum up to 1; where there is no byte they are 0."""
    assert run(f"ANALYZE 's3://{LAKE}/'")["share"].sum() == pytest.approx(1)
    assert list(run(f"ANALYZE 's3://{LAKE}/drafts/'")["share"]) == [0.0]


def test_the_limit_of_the_session_does_not_apply(run):
    """After SET LIMIT everything is counted all the same, and no note is shown."""
    assert run(f"SET LIMIT = 3; ANALYZE 's3://{LOGS}/'")["objects"].sum() == 2400
    assert run.notes == []
