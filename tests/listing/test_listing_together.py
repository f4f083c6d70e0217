"""Pages read together are what they are when read alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hostile_keys import HOSTILE
from layouts import keys_of
from synthetic import Bucket

from s3conn_magic.listing import pages
from s3conn_magic.listing.pages import page_of
from s3conn_magic.listing.request import PageQuery
from s3conn_magic.listing.table import AmbiguousError, Escapes
from s3conn_magic.listing.xml import UnreadableError, parse

if TYPE_CHECKING:
    from s3conn_magic.listing.table import Page

KEYS = sorted({*keys_of("hive", 400), *HOSTILE.values()})


def _asked(bucket: Bucket, queries: list[PageQuery]) -> list[bytes]:
    return [bucket.page(dict(query.parameters())) for query in queries]


async def _read(bodies: list[bytes], queries: list[PageQuery], escapes: Escapes) -> list[object]:
    reader = pages.Reader("bucket")
    waiting = [reader.page(body, query, escapes) for body, query in zip(bodies, queries, strict=True)]
    return await asyncio.gather(*waiting, return_exceptions=True)


def _values(page: Page) -> tuple[object, ...]:
    return page.objects.to_pylist(), page.prefixes, page.next_token, page.ascending


@pytest.mark.parametrize("plus", [None, True])
@pytest.mark.parametrize("page_keys", [1, 7, 40])
def test_together_and_alone(page_keys, plus):
    """Each page of a batch, with hostile keys, folders, and the end among them, equals the page read alone."""
    bucket = Bucket(KEYS)
    starts = KEYS[:: max(1, len(KEYS) // 40)]
    queries = [PageQuery("", "/" * (at % 5 == 4), None, start, page_keys) for at, start in enumerate(starts)]
    bodies = _asked(bucket, queries)
    found = asyncio.run(_read(bodies, queries, Escapes(plus)))
    # A page alone may not tell what its `+` stands for; those beside it may.
    told = [(page, at) for at, page in enumerate(found) if not isinstance(page, AmbiguousError)]
    alone = [page_of(parse(bodies[at]), queries[at], bucket="bucket", escapes=Escapes(plus=True)) for _, at in told]
    assert [_values(page) for page, _ in told] == [_values(page) for page in alone]
    assert len(told) > len(bodies) // 2 if plus is None else len(told) == len(bodies)


@pytest.mark.parametrize("broken", range(4))
def test_a_broken_page_among_others(broken):
    """A page that breaks a rule fails alone; those that arrived with it are pages."""
    bucket = Bucket(KEYS)
    queries = [PageQuery(start_after=KEYS[at * 50], max_keys=20) for at in range(4)]
    bodies = _asked(bucket, queries)
    bodies[broken] = bodies[broken].replace(b"<Size>", b"<Size>-", 1)
    found = asyncio.run(_read(bodies, queries, Escapes(plus=True)))
    assert [isinstance(each, UnreadableError) for each in found] == [at == broken for at in range(4)]


def test_pages_that_arrive_together_are_one_batch(monkeypatch):
    """Eight pages of one listing are read by one look at their rows."""
    bucket, looks = Bucket(keys_of("hive", 800)), []
    read = pages.xml.read_rows
    monkeypatch.setattr(pages.xml, "read_rows", lambda *region: looks.append(1) or read(*region))
    queries = [PageQuery(start_after=bucket.keys[at * 90], max_keys=50) for at in range(8)]
    found = asyncio.run(_read(_asked(bucket, queries), queries, Escapes()))
    assert [len(page) for page in found] == [50] * 8
    assert len(looks) == 1


async def _trickle(bodies: list[bytes], queries: list[PageQuery]) -> list[object]:
    reader, waiting = pages.Reader("bucket"), []
    for body, query in zip(bodies, queries, strict=True):
        waiting.append(asyncio.ensure_future(reader.page(body, query, Escapes())))
        await asyncio.sleep(0)
    return await asyncio.gather(*waiting)


def test_pages_of_a_few_rounds_are_one_batch(monkeypatch):
    """Pages that come one by one in consecutive rounds of the loop are read together, too."""
    bucket, looks = Bucket(keys_of("hive", 800)), []
    read = pages.xml.read_rows
    monkeypatch.setattr(pages.xml, "read_rows", lambda *region: looks.append(1) or read(*region))
    queries = [PageQuery(start_after=bucket.keys[at * 90], max_keys=50) for at in range(5)]
    found = asyncio.run(_trickle(_asked(bucket, queries), queries))
    assert [len(page) for page in found] == [50] * 5
    assert len(looks) == 1
