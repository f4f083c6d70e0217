"""The same keys as a server has, whatever they are, however they are spread, and however large its pages are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from hostile_keys import HOSTILE
from layouts import LAYOUTS, keys_of
from listing_targets import FakeTarget, SignedTarget
from synthetic import Behaviour, Bucket

from s3conn_magic.listing import Listing, fetch_page

if TYPE_CHECKING:
    import pyarrow as pa

SIZES = [1, 2, 7, 1000]
NAMES = sorted(HOSTILE.values())
MANY = 12_000


def _keys(table: pa.Table) -> list[str]:
    return table.column("key").to_pylist()


def test_there_are_160_named_hostile_keys_and_each_is_another():
    """The table of hostile keys has at least 160 names, and no key twice."""
    assert len(HOSTILE) >= 160
    assert len(set(HOSTILE.values())) == len(HOSTILE)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["socket", "in process"])
def test_hostile_keys_are_exact(kind, size, serve):
    """Every hostile key is listed byte for byte, flat, at any size of page."""
    bucket = Bucket(NAMES)
    target = SignedTarget(serve(bucket)) if kind == "socket" else FakeTarget(bucket)
    assert _keys(Listing(target, page_keys=size).collect()) == NAMES


@pytest.mark.parametrize("size", SIZES)
def test_hostile_keys_are_exact_by_delimiter(size, serve):
    """Folder by folder, every hostile key is met once, at any size of page."""
    target, found, folders = SignedTarget(serve(Bucket(NAMES))), [], [""]
    while folders:
        rows = Listing(target, folders.pop(), delimiter="/", page_keys=size).collect().to_pylist()
        folders += [row["key"] for row in rows if row["is_prefix"]]
        found += [row["key"] for row in rows if not row["is_prefix"]]
    assert sorted(found) == NAMES


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_is_listed_as_boto3_lists_it(layout, serve):
    """The multiset of keys of every layout is boto3's, and few requests are wasted on it."""
    address = serve(Bucket(keys_of(layout, MANY)))
    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="example",
        config=Config(s3={"addressing_style": "path"}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket")
    expected = Counter(one["Key"] for page in pages for one in page["Contents"])
    target = SignedTarget(address)
    listing = Listing(target)
    assert Counter(_keys(listing.collect())) == expected
    assert sum(expected.values()) == MANY


def test_a_small_listing_costs_one_request(serve):
    """Up to 1,000 keys are one request, and one more for a look at folders at most."""
    target = SignedTarget(serve(Bucket(keys_of("hive", 1000))))
    assert len(Listing(target).collect()) == 1000
    assert len(target.asked) <= 2


@pytest.mark.parametrize(("rate", "many"), [(20.0, 2000), (100.0, 15_000), (400.0, 60_000)])
def test_a_server_that_throttles_is_listed_exactly(rate, many, serve):
    """A server that answers 503 above some requests a second gives every key all the same, and refuses few."""
    behaviour = Behaviour(rate=rate)
    keys = sorted(keys_of("random", many))
    target = SignedTarget(serve(Bucket(keys), behaviour))
    assert _keys(Listing(target, page_keys=50).collect()) == keys
    assert behaviour.refused < behaviour.requests / 4
    assert behaviour.refused > 0 or rate > 100  # a busy machine may stay below more


@pytest.mark.parametrize("limit", [0, 1, 999, 1000, 1001, 5000, MANY, MANY + 1])
def test_a_limit_gives_the_first_rows_and_knows_whether_it_cut(limit, serve):
    """LIMIT n is the first n keys in order; it is called a cut only if there are more."""
    keys = sorted(keys_of("hive", MANY))
    with Listing(SignedTarget(serve(Bucket(keys))), limit=limit) as listing:
        assert _keys(listing.collect()) == keys[:limit]
        assert listing.truncated == (limit < MANY)


def test_one_page_goes_on_where_the_one_before_ended(serve):
    """Pages asked for one by one with their tokens are the whole, each row once."""
    target, token, found = SignedTarget(serve(Bucket(NAMES))), None, []
    while True:
        page = fetch_page(target, delimiter="", token=token, max_keys=7)
        found += page.objects.column(0).to_pylist()
        token = page.next_token
        if token is None:
            break
    assert found == NAMES
