"""What queries have read outlives them exactly, and what they will read is asked for before they do."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statements import Statements, create
from synthetic import Behaviour, ObjectConnection, StoredBucket

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.session_settings import Timeouts
from s3conn_magic.locations import Location
from s3conn_magic.objects.ranged import PinnedObject, RangedObject
from s3conn_magic.objects.scope import BLOCKS, Blocks, ObjectVersion, QueryScope
from s3conn_magic.runtime.background import run_in_background, wait_for
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret
from s3conn_magic.transport import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3conn_magic.runtime.background import LightFuture
    from s3conn_magic.transport.exchange import ObjectRequest

KEYS = Keys("AKIAREADING", Secret("reading-secret"))


@dataclass
class Store:
    """A connection and the server behind it: keys and their bytes, given as S3 gives them, on a condition."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    cache: int = 4000
    requests: int = 0
    name: str = "lake"
    mark: object = field(default_factory=object)
    window: int = 8

    def timeouts(self) -> Timeouts:
        return Timeouts(cache=self.cache)

    def kept_by(self, _forget: Callable[[object], None]) -> object:
        return self.mark

    def exchange(self, _bucket: str) -> Store:
        return self

    def goes_by_client(self, _operation: str) -> bool:
        return False

    def alter(self) -> None:
        BLOCKS.forget(self.mark)
        self.mark = object()

    def pin(self, key: str) -> PinnedObject:
        """The object as a listing has it."""
        body = self.bodies[key]
        return PinnedObject(self, Location("bucket", key), len(body), md5(body).hexdigest())  # type: ignore[arg-type]

    def send(self, requests: Sequence[ObjectRequest], futures: Sequence[LightFuture[Response]]) -> None:
        for request, future in zip(requests, futures, strict=True):
            future.set_result(self._answered(request))

    def _answered(self, request: ObjectRequest) -> Response:
        self.requests += 1
        body = self.bodies[request.key]
        etag = f'"{md5(body).hexdigest()}"'
        if request.headers.get("If-Match", etag) != etag:
            error = b"<Error><Code>PreconditionFailed</Code></Error>"
            return Response(412, {}, error)
        start, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
        headers = {"etag": etag, "content-range": f"bytes {start}-{last}/{len(body)}"}
        return Response(206, headers, body[start : last + 1])

    def internal_client(self, _bucket: str) -> Any:
        import boto3

        return boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


def _interleave(dice: random.Random) -> None:
    """A few objects, written and read in any order, by queries that overlap."""
    store, open_queries = Store(cache=dice.choice([0, 40, 4000])), []
    store.bodies = {key: dice.randbytes(dice.randrange(1, 30)) for key in "abc"}
    for _ in range(8):
        match dice.randrange(6):
            case 0:
                store.bodies[dice.choice("abc")] = dice.randbytes(dice.randrange(1, 30))
            case 1:
                key = dice.choice("abc")
                open_queries.append((store.bodies[key], RangedObject(store.pin(key), QueryScope())))
            case 2 if dice.random() < 0.2:
                store.alter()
            case _ if open_queries:
                body, ranged = dice.choice(open_queries)
                start = dice.randrange(len(body))
                stop = dice.randrange(start, len(body)) + 1
                replaced = store.bodies[ranged.pinned.location.key] != body
                before = store.requests
                if replaced and not ranged.has(start, stop):
                    continue  # an error that is looked at elsewhere
                assert ranged.read(start, stop) == body[start:stop]
                assert not replaced or store.requests == before
    assert BLOCKS.held <= 4000


@given(seed=st.integers(0, 2**32))
@settings(max_examples=100)
def test_a_replaced_object_is_never_served_old(seed):
    """In ten thousand interleavings of reads and writes each query has the bytes of the object as it was listed."""
    BLOCKS.shrink(0)
    dice = random.Random(seed)
    for _ in range(100):
        _interleave(dice)


def test_what_was_replaced_while_it_is_read_is_an_error():
    """Of an object that is another one by now, a query has what was received before, and an error for the rest."""
    store = Store({"a": b"old" * 10})
    ranged = RangedObject(store.pin("a"), QueryScope())
    assert ranged.read(0, 6) == b"oldold"
    store.bodies["a"] = b"new" * 10
    assert ranged.read(0, 6) == b"oldold"
    with pytest.raises(S3ConnError, match="was changed while it was read"):
        ranged.read(6, 12)
    assert RangedObject(store.pin("a"), QueryScope()).read(0, 30) == b"new" * 10


@pytest.mark.parametrize(("cache", "requests"), [(0, 2), (100, 1)])
def test_the_second_query_asks_for_nothing_that_is_kept(cache, requests):
    """Bytes outlive a query where CACHE has room for them, and are asked for again where it has none."""
    BLOCKS.shrink(0)
    store = Store({"a": b"x" * 50}, cache=cache)
    for _ in range(2):
        assert RangedObject(store.pin("a"), QueryScope()).read(0, 50) == b"x" * 50
    assert store.requests == requests


@pytest.fixture
def lake(serve):
    """Statements, a bucket of 40 objects of JSON in two folders that they read, and what they ask of it."""
    bodies = {f"{day}/{number:03}.json": b'{"n": %d}\n' % number for number in range(20) for day in ("d", "e")}
    bucket, asked = StoredBucket(bodies=bodies), []

    class Noted(ObjectConnection):
        def given(self, method, key, headers):
            asked.append((method, key))
            super().given(method, key, headers)

    run = Statements()
    run(create("lake", keys=KEYS, ENDPOINT=serve(bucket, Behaviour(), Noted), REGION="us-east-1", VALIDATE=False))
    yield run, bucket, asked
    run("DROP CONNECTION lake")


QUERY = "SELECT count(*) AS c, sum(n) AS s FROM 's3://lake@bucket/e/*.json'"


def test_each_object_of_a_pattern_is_asked_for_once_and_whole(lake):
    """A query over many small objects sends one GET for each, and no HEAD; the same query again sends none."""
    run, bucket, asked = lake
    for expected in (20, 0):
        asked.clear()
        assert run(QUERY).to_numpy().tolist() == [[20, 190]]
        assert sorted(asked) == sorted(("GET", key) for key in bucket.keys if key.startswith("e/"))[:expected]


def test_a_query_sees_what_was_replaced_before_it(lake):
    """An object that was replaced between two queries is read again, and the others are not asked for."""
    run, bucket, asked = lake
    run(QUERY)
    bucket.put("e/007.json", b'{"n": 1007}\n')
    asked.clear()
    assert run(QUERY).to_numpy().tolist() == [[20, 1190]]
    assert asked == [("GET", "e/007.json")]


@pytest.mark.parametrize(
    "change",
    [
        "SET CACHE = 0",
        "ALTER S3 CONNECTION lake SET AWS_ACCESS_KEY_ID = 'AKIAOTHER' SET AWS_SECRET_ACCESS_KEY = 'x' VALIDATE = FALSE",
    ],
)
def test_what_was_kept_is_let_go(lake, change):
    """SET CACHE = 0 and other credentials let go of what queries have read."""
    run, _, asked = lake
    run(QUERY)
    held = BLOCKS.held
    run(change)
    assert BLOCKS.held < held
    asked.clear()
    run(QUERY)
    assert len(asked) == 20


def test_a_folder_that_a_filter_takes_away_is_not_asked_for(lake):
    """Of objects in folders whose names the query compares, the first tells the columns, and the rest is left alone."""
    run, bucket, asked = lake
    sink = io.BytesIO()
    pq.write_table(pa.table({"n": [1]}), sink)
    for number in range(40):
        bucket.put(f"p/d={number // 20}/{number:03}.parquet", sink.getvalue())
    frame = run("SELECT count(*) AS c FROM read_parquet('s3://lake@bucket/p/*/*.parquet') WHERE d = 1")
    assert frame["c"].tolist() == [20]
    assert sorted(asked) == [("GET", key) for key in bucket.keys if key.startswith(("p/d=0/000", "p/d=1"))]


@pytest.mark.parametrize("let_go", ["shrink", "keep_files", "put"])
def test_files_are_removed_while_others_may_look_at_what_is_kept(let_go):
    """Removing thousands of files takes a while, and nobody waits for it but who has them removed."""
    blocks, version = Blocks(), ObjectVersion(object(), Location("b", "k"), "e", None, 1, None)
    seen: list[bool] = []

    class Files:
        size = 10

        def close(self) -> None:
            looking = run_in_background(lambda: blocks.knows(version.owner, version.location), name="s3conn-test")
            seen.append(wait_for(looking, within=30))

    blocks.keep_files((("a", version),), Files(), 100)
    calls = {
        "shrink": lambda: blocks.shrink(0),
        "keep_files": lambda: blocks.keep_files((("b", version),), Files(), 15),
        "put": lambda: blocks.put(version, 0, b"12345", 5),
    }
    calls[let_go]()
    assert seen == [let_go == "put"]
    assert blocks.held == {"shrink": 0, "keep_files": 10, "put": 5}[let_go]
