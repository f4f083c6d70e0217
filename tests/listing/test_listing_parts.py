"""The parts of the engine by themselves: both readers of a page agree, ranges ask for little more than is needed."""

from __future__ import annotations

import heapq
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pytest
from hostile_keys import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, keys_of
from synthetic import Bucket, encoded, xml_text

from s3conn_magic.listing import first_rows, xml
from s3conn_magic.listing.keyspace import Folders
from s3conn_magic.listing.pages import page_of
from s3conn_magic.listing.planner import RangePlanner
from s3conn_magic.listing.request import KeyRange, PageQuery
from s3conn_magic.listing.table import (
    AmbiguousError,
    Escapes,
    Page,
    UndecodableError,
    checked_utf8,
    last_key,
    percent_column,
    percent_text,
    python_columns,
)
from s3conn_magic.listing.xml import UnreadableError, look_ahead, parse

_TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
_CHECKSUM = "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
_OWNER = "<Owner><ID>someone</ID><DisplayName>Key</DisplayName></Owner>"

if TYPE_CHECKING:
    from s3conn_magic.listing.request import PageRequest


@st.composite
def _documents(draw):
    """Lists of one to six rows, with the variety of fields that servers send."""
    made = []
    for key in draw(st.lists(_TEXTS, min_size=1, max_size=6, unique=True)):
        mark = draw(st.sampled_from(["&quot;", '"', ""]))
        fields = [f"<Key>{xml_text(key)}</Key>", "<LastModified>2024-01-02T03:04:05.678Z</LastModified>"]
        fields += [f"<ETag>{mark}{draw(st.text('0123456789abcdef-', min_size=1, max_size=40))}{mark}</ETag>"]
        fields += [_CHECKSUM] * draw(st.booleans())
        fields += [f"<Size>{draw(st.integers(0, 2**62))}</Size>"]
        fields += [_OWNER] * draw(st.booleans())
        kind = draw(st.sampled_from(["STANDARD", "GLACIER_IR"]))
        fields += [f"<StorageClass>{kind}</StorageClass>"] * draw(st.booleans())
        made.append(f"<Contents>{''.join(fields)}</Contents>")
    space = draw(st.sampled_from(["", "\n", "\n    "]))
    head = f"<ListBucketResult><Name>b</Name><KeyCount>{len(made)}</KeyCount><IsTruncated>false</IsTruncated>"
    return space.join([head, *made, "</ListBucketResult>"]).encode()


def _texts(columns):
    return {name: texts.to_pylist() for name, texts in columns.texts.items()}


@settings(max_examples=300)
@given(_documents())
def test_both_readers_agree(body):
    """What the vectorised reader reads of a page is what the XML parser reads of it."""
    begin, end = body.index(b"<Contents>"), body.rindex(b"</Contents>") + len(b"</Contents>")
    fast, slow = xml.read_rows(body, begin, end), xml.read_document(body).columns
    assert fast is not None
    assert fast.rows == slow.rows
    assert _texts(fast) == _texts(slow)


@settings(max_examples=300)
@given(_documents(), st.data())
def test_a_damaged_page_is_never_read_as_a_shorter_one(body, data):
    """Bytes cut out of a page make it unreadable or unclear, or change a text; no row disappears in silence."""
    plain = Escapes(plus=False, unsaid=False)
    whole = page_of(parse(body), PageQuery(), bucket="b", escapes=plain)
    begin = data.draw(st.integers(body.index(b"<IsTruncated>"), len(body) - 1))
    end = data.draw(st.integers(begin + 1, min(len(body), begin + 60)))
    try:
        page = page_of(parse(body[:begin] + body[end:]), PageQuery(), bucket="b", escapes=plain)
    except (UnreadableError, AmbiguousError):
        return
    assert len(page) == len(whole)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8), st.booleans())
def test_percent_encoding_of_columns(texts, plus):
    """A column is decoded as each of its texts would be."""
    write = quote_plus if plus else quote
    column = pa.array([write(text, safe="/") for text in texts], pa.string())
    assert percent_column(column, plus=plus).to_pylist() == texts


@given(st.lists(st.text("%2fF0az+", max_size=6), min_size=1, max_size=6), st.booleans())
def test_broken_escapes_are_never_guessed(texts, plus):
    """Where one of the texts has a broken escape, the column has one."""
    column = pa.array(texts, pa.string())
    try:
        expected = [percent_text(text, plus=plus) for text in texts]
    except UndecodableError:
        with pytest.raises(UndecodableError):
            checked_utf8(percent_column(column, plus=plus))
    else:
        assert percent_column(column, plus=plus).to_pylist() == expected


def test_columns_leave_the_default_pool_alone():
    """What a listing holds is not allocated where Arrow's default pool would take huge pages for it."""
    bucket = Bucket(keys_of("hive", 5000))
    before = pa.default_memory_pool().bytes_allocated()
    pages = [_page(bucket, PageQuery(start_after=key)) for key in bucket.keys[:4000:1000]]
    held = sum(page.objects.nbytes for page in pages)
    assert held > 400_000
    assert pa.default_memory_pool().bytes_allocated() - before < held / 20


def test_hostile_keys_through_the_xml_parser():
    """The slow reader gives the same keys, entities resolved and encoding kept."""
    keys = sorted(key for key in HOSTILE.values() if all(ord(each) > 31 for each in key))
    body = Bucket(keys).page({"max-keys": "1000", "encoding-type": "url"})
    assert xml.read_document(body).columns.texts["Key"].to_pylist() == [encoded(key) for key in keys]


def _page(bucket: Bucket, query: PageQuery) -> Page:
    return page_of(parse(bucket.page(dict(query.parameters()))), query, bucket=bucket.name)


def _rounds(keys: list[str], page_keys: int, connections: int) -> tuple[list[str], int, float]:
    """List keys in a time in which every request takes about one: the keys, the number of requests, the time."""
    ranges, bucket, chance = RangePlanner([PageQuery(max_keys=page_keys)]), Bucket(keys), random.Random(3)
    under_way: list[tuple[float, int, PageRequest]] = []
    found: list[str] = []
    requests, now = 0, 0.0
    ranges.allow(connections, 0.03)
    while True:
        while ranges.asked < connections and (step := ranges.next()) is not None:
            requests += 1
            heapq.heappush(under_way, (now + chance.uniform(0.95, 1.05), requests, step))
        if not under_way:
            return found, requests, now
        now, _, step = heapq.heappop(under_way)
        kept = ranges.arrived(step, _page(bucket, step.query))
        found += kept.objects.column(0).to_pylist() if kept is not None else []


def _body(bucket: Bucket, query: PageQuery) -> bytes:
    return bucket.page(dict(query.parameters()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_next_page_is_asked_for_before_a_page_is_read(layout):
    """Where a page ends is seen in its bytes, and is where it ends once it is read; the last page has no next."""
    bucket = Bucket(keys_of(layout, 95))
    query, pages = PageQuery(max_keys=10), 0
    while query is not None:
        seen, page = look_ahead(_body(bucket, query)), _page(bucket, query)
        assert seen == (None if page.next_token is None else (last_key(page), page.next_token))
        query = None if page.next_token is None else PageQuery(token=page.next_token, max_keys=10)
        pages += 1
    assert pages == 10


@pytest.mark.parametrize("key", ["a+b", "a%zz", "a%FF", "a&bogus;"])
def test_an_end_that_takes_a_closer_look_is_not_foreseen(key):
    """Where the last key may be read in two ways, or in none, the page is read first."""
    body = _body(Bucket(["k/0", "k/1"]), PageQuery(max_keys=1))
    assert look_ahead(body) is not None
    assert look_ahead(body.replace(b"<Key>k/0<", f"<Key>{key}<".encode())) is None


@pytest.mark.parametrize("taken", [1, 5])
def test_a_page_that_ends_elsewhere_than_was_foreseen(taken):
    """Where another try gives another page than was seen of the first, the page behind it is asked for anew."""
    keys = [f"k/{number:03d}" for number in range(60)]
    bucket = Bucket(keys)
    ranges = RangePlanner([PageQuery(max_keys=10)])
    first = ranges.next()
    seen = look_ahead(_body(bucket, PageQuery(max_keys=taken)))
    assert ranges.foresee(first, seen)
    follower = ranges.next()
    assert follower.query.token == seen.token
    assert not ranges.foresee(follower, look_ahead(_body(bucket, follower.query)))  # one page ahead at most
    found = ranges.arrived(first, _page(bucket, first.query)).objects.column(0).to_pylist()
    assert ranges.arrived(follower, _page(bucket, follower.query)) is None
    under_way: list[PageRequest] = []
    while under_way or ranges.asked == 0:
        while (step := ranges.next()) is not None:
            under_way.append(step)
        if not under_way:
            break
        kept = ranges.arrived(step := under_way.pop(0), _page(bucket, step.query))
        found += kept.objects.column(0).to_pylist() if kept is not None else []
    assert sorted(found) == keys


@pytest.mark.parametrize(
    ("first", "last", "after"),
    [
        ("a/file-0001", "a/file-0999", "a/file."),
        ("a/log9.txt", "a/log97.txt", "a/loh"),
        ("a/0001.jpg", "a/0099.jpg", "a/:"),
        ("a/0001-ab.jpg", "a/0099-ba.jpg", None),
        ("a/x", "a/y", None),
        ("a/\ud7ff1", "a/\ud7ff2", None),
        ("a/\x1f1", "a/\x1f2", None),
        ("a/b/file-1", "a/file-2", None),
        ("a/1/file-1", "a/2/file-1", None),
        ("file-1", "file-2", None),
    ],
)
def test_a_look_behind_numbered_files(first, last, after):
    """Where files of one folder that differ in a number fill a page, a look goes behind all such files, and once."""
    folders = Folders(1000)
    for _ in range(2):
        folders.run(PageQuery("a/", max_keys=9, token="token"), first, last)
    looks = list(iter(folders.next, None))
    assert looks == ([] if after is None else [PageQuery("a/", "/", None, after)])


def test_a_chain_of_folders_behind_files_is_followed():
    """A folder that such a look finds is looked into behind files of the same names."""
    folders = Folders(1000)
    folders.run(PageQuery(), "a/file-1", "a/file-2")
    found = _page(Bucket(["a/x/1", "a/y/1"]), PageQuery("a/", "/"))
    assert sorted({*folders.cuts(folders.next(), found)}) == ["a/", "a/x/", "a/y/"]
    assert folders.next() == PageQuery("a/x/", "/", None, "a/x/file.")


# How many times faster than one page after the other. In a chain, each folder takes a look behind the files above it.
FASTER = {"deep": 10} | dict.fromkeys(["hive", "random", "sequential", "skewed", "words"], 15)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_ranges_cost(layout):
    """A thousand pages by 32 connections: every key once, at most a quarter more requests, many times faster."""
    keys = keys_of(layout, 20000)
    found, requests, time = _rounds(keys, 20, 32)
    assert sorted(found) == keys
    assert requests <= 1.25 * 1000
    assert time <= 1000 / FASTER[layout]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_short_listings_cost_few_requests(layout):
    """A listing of three pages asks for no more than a dozen or so."""
    found, requests, _ = _rounds(keys_of(layout, 60), 20, 32)
    assert len(found) == 60
    assert requests <= 20


@pytest.mark.parametrize("layout", ["hive", "deep"])
def test_what_is_left_is_estimated(layout):
    """After 64 pages, the ranges of folders that nobody has begun are not taken for nearly empty."""
    keys = keys_of(layout, 20000)
    ranges, bucket = RangePlanner([PageQuery(max_keys=20)]), Bucket(keys)
    under_way: list[PageRequest] = []
    for _ in range(64):
        while len(under_way) < 4 and (step := ranges.next()) is not None:
            under_way.append(step)
        ranges.arrived(step := under_way.pop(0), _page(bucket, step.query))
    for step in under_way:
        ranges.arrived(step, _page(bucket, step.query))
    left = len(keys) - sum(item.keys for item in ranges.ranges)
    estimated = sum(span.rows for span in ranges.rest())
    assert left / 2.5 < estimated < left * 2.5


@pytest.mark.parametrize("layout", ["hive", "words"])
def test_ranges_of_another_listing_keep_their_estimates(layout):
    """Of ranges that were given and not begun, the estimate is the one that was given."""
    cuts = keys_of(layout, 10)
    given = tuple(KeyRange("", low, high, 1000.0 + at) for at, (low, high) in enumerate(pairwise(cuts)))
    ranges = RangePlanner([PageQuery(start_after=span.low) for span in given], ranges=given)
    assert ranges.rest() == list(given)


def test_the_end_before_keys_that_are_known():
    """A page that says the keys end, below a key that has been seen, is an error."""
    bucket = Bucket(keys_of("random", 2000))
    ranges = RangePlanner([PageQuery(max_keys=100)])
    first = ranges.next()
    ranges.arrived(first, _page(bucket, first.query))
    below, *guesses = iter(ranges.next, None)
    assert sum(len(ranges.arrived(step, _page(bucket, step.query))) for step in guesses) > 0
    early = Page(_page(bucket, below.query).objects.slice(0, 10), next_token=None)
    with pytest.raises(UnreadableError, match="no more keys, but there are"):
        ranges.arrived(below, early)


def test_the_first_page_tells_nothing_of_what_is_left():
    """How many keys are left is unknown until where the first ones stand has been looked at, and none at the end."""
    bucket = Bucket([f"{number:04}" for number in range(150)])
    ranges = RangePlanner([PageQuery(max_keys=100)])
    first = ranges.next()
    ranges.arrived(first, _page(bucket, first.query))
    assert ranges.keys_left is None
    for step in iter(ranges.next, None):
        ranges.arrived(step, _page(bucket, step.query))
    assert ranges.keys_left == 0


def test_the_first_rows_of_a_page_with_folders():
    """Objects and folders are cut together, in key order."""
    page = Page(pa.RecordBatch.from_pydict({"key": ["b", "d"]}), prefixes=("a/", "c/"))
    cuts = [first_rows(page, count) for count in range(5)]
    assert [cut.objects.column(0).to_pylist() for cut in cuts] == [[], [], ["b"], ["b"], ["b", "d"]]
    assert [cut.prefixes for cut in cuts] == [(), ("a/",), ("a/",), ("a/", "c/"), ("a/", "c/")]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@given(
    st.lists(st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), max_size=5)  # noqa: DTZ001 - UTC below
)
def test_times_of_a_listing_become_pythons_to_the_microsecond(unit: str, moments: list[datetime | None]):
    """Times of every year and unit are those that Arrow gives, in UTC; what is missing stays missing."""
    step = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1), "us": timedelta(microseconds=1)}[unit]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    exact = [None if each is None else each.replace(tzinfo=UTC) for each in moments]
    whole = [None if each is None else epoch + (each - epoch) // step * step for each in exact]
    rows = pa.table({"key": ["k"] * len(whole), "last_modified": pa.array(whole, pa.timestamp(unit, "UTC"))})
    columns = python_columns(rows)
    assert columns == {"key": ["k"] * len(whole), "last_modified": whole}
    assert all(each is None or each.tzinfo is UTC for each in columns["last_modified"])
