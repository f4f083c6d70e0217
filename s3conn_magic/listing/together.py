"""Pages that arrive together are read together: half the work of reading is the same for one page and for eight."""

from __future__ import annotations

import asyncio
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from s3conn_magic.listing import rows
from s3conn_magic.listing.answer import UnreadableError
from s3conn_magic.listing.decode import AmbiguousPlusError, UndecodableError
from s3conn_magic.listing.integrity import Part, page_of, pages_of
from s3conn_magic.listing.parse import Span, envelope, parse, span_of
from s3conn_magic.listing.query import PageQuery

if TYPE_CHECKING:
    from s3conn_magic.listing.table import Page

_MOST = 8
# A body arrives in two or three rounds of the loop.
_ROUNDS = 6


_SAMPLE = (
    b"<ListBucketResult><Name>b</Name><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
    b"<Contents><Key>a%3D</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag>"
    b"<Size>1</Size><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>"
)


class _Body(NamedTuple):
    body: bytes
    query: PageQuery
    plus: bool | None
    page: asyncio.Future[Page]


class Reader:
    """Reads bodies into pages.

    Args:
        bucket: whose keys they must be.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._waiting: list[_Body] = []

    async def page(self, body: bytes, query: PageQuery, *, plus: bool | None) -> Page:
        """The page that a body is.

        Raises:
            UnreadableError: it is no page; the message says why.
            AmbiguousPlusError: it holds a `+` and nothing tells what it stands for.
        """
        loop = asyncio.get_running_loop()
        waiting = _Body(body, query, plus, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            loop.call_soon(self._gather, _ROUNDS)
        return await waiting.page

    def _gather(self, rounds: int) -> None:
        """Read when enough pages are here, or the loop has had some rounds to bring more."""
        if rounds and len(self._waiting) < _MOST:
            asyncio.get_running_loop().call_soon(self._gather, rounds - 1)
        else:
            self._read()

    def _read(self) -> None:
        bodies, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._read)
        pages = self._together(bodies) if len(bodies) > 1 else None
        for index, each in enumerate(bodies):
            if each.page.done():
                continue
            if pages is not None:
                each.page.set_result(pages[index])
            else:
                self._alone(each)

    def _together(self, bodies: list[_Body]) -> list[Page] | None:
        """All the pages, or None where they are not alike or one of them may be no page."""
        try:
            return _pages(bodies, self._bucket)
        except (UnreadableError, UndecodableError, AmbiguousPlusError, UnicodeDecodeError):
            return None

    def _alone(self, each: _Body) -> None:
        try:
            each.page.set_result(page_of(parse(each.body), each.query, bucket=self._bucket, plus=each.plus))
        except Exception as error:  # noqa: BLE001 - raised to whoever waits for the page
            each.page.set_exception(error)


@cache
def warm_up() -> None:
    """Read a page, once in a process: Arrow's functions take tens of milliseconds when they are first called."""
    page_of(parse(_SAMPLE), PageQuery(), bucket="b")


def _pages(bodies: list[_Body], bucket: str) -> list[Page] | None:
    spans = [span for each in bodies if (span := span_of(each.body))]
    if len(spans) < len(bodies) or len({(each.query.versions, each.plus) for each in bodies}) > 1:
        return None
    around = [envelope(each.body, span) for each, span in zip(bodies, spans, strict=True)]
    columns = rows.read(text := b"".join(_rows_of(bodies, spans)), 0, len(text))
    if columns is None or columns.begins is None:
        return None
    bounds = np.cumsum([0, *(span.end - span.begin for span in spans)])
    places = np.searchsorted(columns.begins, bounds)
    if not np.array_equal(columns.begins[places[:-1]], bounds[:-1]):
        return None
    counts = [int(end - begin) for begin, end in pairwise(places)]
    parts = [Part(*each) for each in zip(around, counts, (each.query for each in bodies), strict=True)]
    if len({part.encoded for part in parts}) > 1:
        return None
    return pages_of(columns, parts, bucket=bucket, plus=bodies[0].plus)


def _rows_of(bodies: list[_Body], spans: list[Span]) -> list[memoryview]:
    return [memoryview(each.body)[span.begin : span.end] for each, span in zip(bodies, spans, strict=True)]
