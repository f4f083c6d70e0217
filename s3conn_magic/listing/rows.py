"""A page's rows as columns without a loop over them: positions of `<` by numpy, texts as slices of the body.

Rows of one shape (the same tags in the same order) are read together. Every tag of every row is compared with its
shape, and nothing may stand between tags, so what passes is what an XML parser would have read; anything else is left
to `document`, which is ten times slower.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.listing.answer import WANTED, Columns
from s3conn_magic.listing.decode import checked_utf8, entity_column
from s3conn_magic.listing.table import MEMORY

Positions = npt.NDArray[np.int64]

_OPEN = ord("<")
_TAG = re.compile(rb"<(/?)([A-Za-z]+)>")
_BETWEEN = re.compile(rb"(</[A-Za-z]+>|<(?:Contents|Version|DeleteMarker|Owner|RestoreStatus)>)\s+(?=<)")
_ROW_TAGS = (b"<Contents>", b"<Version>", b"<DeleteMarker>")
_ROW_END = re.compile(rb"</(?:Contents|Version|DeleteMarker)>")
_QUOTE = b'"'
_QUOTES = (b"&quot;", _QUOTE)
_MOST_SHAPES = 8
_WIDEST = 64


class _UnexpectedError(ValueError):
    """The rows are not in a form that this module reads."""


def read(body: bytes, begin: int, end: int) -> Columns | None:
    """The columns of the run of rows that is `body[begin:end]`, or None where their form is not the usual one."""
    with suppress(_UnexpectedError, IndexError):
        return _read(_Region.of(body, begin, end))
    # Servers that indent their XML: the same rows without the space between tags.
    dense = _BETWEEN.sub(rb"\1", body[begin:end]).rstrip()
    with suppress(_UnexpectedError, IndexError):
        return replace(_read(_Region.of(dense, 0, len(dense))), begins=None)
    return None


@dataclass(frozen=True, slots=True)
class _Region:
    """The bytes of the rows, and the place of each `<` in them; all places are counted from the begin of the body."""

    body: bytes
    begin: int
    end: int
    opens: Positions
    plain: bool

    @classmethod
    def of(cls, body: bytes, begin: int, end: int) -> _Region:
        """The rows that are `body[begin:end]`."""
        data = np.frombuffer(body, np.uint8)[begin:end]
        opens = np.flatnonzero(data == _OPEN)
        opens += begin
        return cls(body, begin, end, opens, body.isascii())

    def cut(self, width: int, at: Positions) -> bytes:
        """So many bytes from each of the places, one after the other."""
        # A view of overlapping items, one at every byte: indexing it copies without a loop.
        pieces: npt.NDArray[np.void] = np.ndarray((len(self.body) - width + 1,), f"V{width}", self.body, 0, (1,))
        return pieces[at].tobytes()

    def has(self, text: bytes, at: Positions) -> bool:
        """Whether the text stands at every one of the places."""
        return self.cut(len(text), at) == text * len(at)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What stands between the texts of a row.

    Attributes:
        width: number of tags.
        fields: name of each wanted field and the index of its opening tag.
        between: the text from each of these tags to the next text of the row.
        end: bytes of the row's closing tag.
        marker: whether the row is a delete marker.
    """

    width: int
    fields: dict[str, int]
    between: dict[int, bytes]
    end: int
    marker: bool

    def fits(self, region: _Region, rows: Positions) -> bool:
        """Whether the rows, an array of shape (tags, rows), have these tags and texts only where the shape has them."""
        return all(region.has(text, rows[at]) for at, text in self.between.items())


@lru_cache(maxsize=64)
def _shape(tags: tuple[tuple[bytes, bytes, bytes], ...]) -> _Shape:
    leaves = [index for index in range(len(tags) - 1) if not tags[index][1] and tags[index + 1][1]]
    depths = _depths([(bool(close), name) for _, close, name in tags])
    fields = _fields([(tags[index][2].decode(), index) for index in leaves if depths[index] == 1])
    bounds = [0, *(index + 1 for index in leaves), len(tags)]
    between = {begin: b"".join(tag for tag, _, _ in tags[begin:end]) for begin, end in pairwise(bounds)}
    return _Shape(len(tags), fields, between, len(tags[-1][0]), tags[0][0] == _ROW_TAGS[2])


def _fields(named: list[tuple[str, int]]) -> dict[str, int]:
    wanted = [(name, index) for name, index in named if name in WANTED]
    if len(dict(wanted)) != len(wanted):
        raise _UnexpectedError
    return dict(wanted)


def _depths(tags: list[tuple[bool, bytes]]) -> list[int]:
    """How deep each tag stands below the row's own; raises where they do not nest into one row."""
    stack: list[bytes] = []
    depths: list[int] = []
    for close, name in tags:
        if close and (not stack or stack.pop() != name):
            raise _UnexpectedError
        depths.append(len(stack))
        if not close:
            stack.append(name)
    if stack or depths.count(0) != 2:  # noqa: PLR2004 - the row's own opening and closing tag
        raise _UnexpectedError
    return depths


def _read(region: _Region) -> Columns:
    if not len(region.opens) or region.opens[0] != region.begin:
        raise _UnexpectedError
    shape = _shape_at(region, region.begin)
    if len(region.opens) % shape.width == 0:
        rows = np.ascontiguousarray(region.opens.reshape(-1, shape.width).T)
        if _contiguous(region, rows[0], rows[-1] + shape.end) and shape.fits(region, rows):
            spans = {name: (rows[at] + len(name) + 2, rows[at + 1]) for name, at in shape.fields.items()}
            return _columns(region, spans, rows[0], np.full(rows.shape[1], shape.marker))
    return _read_mixed(region)


def _shape_at(region: _Region, start: int) -> _Shape:
    end = _ROW_END.search(region.body, start)
    if end is None or not region.body.startswith(_ROW_TAGS, start):
        raise _UnexpectedError
    row = region.body[start : end.end()]
    tags = tuple((match[0], match[1], match[2]) for match in _TAG.finditer(row))
    if len(tags) != row.count(b"<"):
        raise _UnexpectedError
    return _shape(tags)


def _contiguous(region: _Region, begins: Positions, ends: Positions) -> bool:
    ends_meet = begins[0] == region.begin and ends[-1] == region.end
    return bool(ends_meet and np.array_equal(begins[1:], ends[:-1]))


def _read_mixed(region: _Region) -> Columns:
    """Rows of several shapes: objects with and without checksums, versions among delete markers."""
    starts = _row_starts(region)
    widths = np.diff(np.append(starts, len(region.opens)))
    begins, ends = region.opens[starts], np.empty(len(starts), np.int64)
    spans: dict[str, tuple[Positions, Positions]] = {}
    markers = np.zeros(len(starts), bool)
    for group in _groups(_kinds(region, starts, widths)):
        shape = _shape_at(region, int(begins[group[0]]))
        if shape.width != widths[group[0]]:
            raise _UnexpectedError
        rows = region.opens[starts[group] + np.arange(shape.width)[:, None]]
        if not shape.fits(region, rows):
            raise _UnexpectedError
        ends[group], markers[group] = rows[-1] + shape.end, shape.marker
        _add_spans(spans, shape, rows, group, len(starts))
    if not _contiguous(region, begins, ends):
        raise _UnexpectedError
    return _columns(region, spans, begins, markers)


def _row_starts(region: _Region) -> Positions:
    """Indexes, into the places of `<`, of the tags that begin rows."""
    within = region.opens[region.opens + max(map(len, _ROW_TAGS)) <= len(region.body)]
    found = [
        np.flatnonzero(np.frombuffer(region.cut(len(tag), within), f"S{len(tag)}") == tag)
        for tag in _ROW_TAGS
        if tag in region.body
    ]
    return np.sort(np.concatenate(found))


def _kinds(region: _Region, starts: Positions, widths: Positions) -> Positions:
    """A number for each row that is the same for rows of one shape: of how many tags, and with which first letters."""
    letters = np.frombuffer(region.body, np.uint8)[region.opens + 1].astype(np.int64)
    kinds: Positions = widths.astype(np.int64) * (1 << 32) + np.add.reduceat(letters * letters, starts)
    return kinds


def _groups(kinds: Positions) -> list[Positions]:
    shapes = np.unique(kinds)
    if len(shapes) > _MOST_SHAPES:
        raise _UnexpectedError
    return [np.flatnonzero(kinds == shape) for shape in shapes]


def _add_spans(
    spans: dict[str, tuple[Positions, Positions]], shape: _Shape, rows: Positions, group: Positions, count: int
) -> None:
    for name, at in shape.fields.items():
        begins, ends = spans.setdefault(name, (np.full(count, -1), np.full(count, -1)))
        begins[group], ends[group] = rows[at] + len(name) + 2, rows[at + 1]


def _columns(
    region: _Region, spans: dict[str, tuple[Positions, Positions]], begins: Positions, markers: npt.NDArray[np.bool_]
) -> Columns:
    if "ETag" in spans:
        spans["ETag"] = _unquoted(region, *spans["ETag"])
    texts = {name: _texts(region, *span) for name, span in spans.items()}
    if "ETag" in texts and _QUOTE in texts["ETag"].buffers()[2].to_pybytes():
        texts["ETag"] = pc.utf8_trim(texts["ETag"], '"')
    return Columns(texts, len(markers), pa.array(markers), begins)


def _unquoted(region: _Region, begins: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """The spans without the quotes around them where every row has them."""
    for quote in _QUOTES:
        width = len(quote)
        if (ends - begins).min() >= 2 * width and region.has(quote, begins) and region.has(quote, ends - width):
            return begins + width, ends - width
    return begins, ends


def _texts(region: _Region, begins: Positions, ends: Positions) -> pa.Array:
    missing = begins < 0
    lacks = bool(missing.any())
    texts = None if lacks else _same_width(region, begins, ends)
    if texts is None:
        texts = _slices(region.body, begins, ends, missing if lacks else None)
    texts = texts if region.plain else checked_utf8(texts)
    texts = entity_column(texts)
    return pc.if_else(pa.array(missing), pa.scalar(None, pa.string()), texts) if lacks else texts


def _same_width(region: _Region, begins: Positions, ends: Positions) -> pa.StringArray | None:
    """Texts that all have one width, such as times and most etags, without Arrow's `take`."""
    width = int(ends[0] - begins[0])
    if not 0 < width <= _WIDEST or (ends - begins != width).any():
        return None
    offsets = np.arange(0, (len(begins) + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(len(begins), pa.py_buffer(offsets), pa.py_buffer(region.cut(width, begins)))


def _slices(body: bytes, begins: Positions, ends: Positions, missing: npt.NDArray[np.bool_] | None) -> pa.StringArray:
    if missing is not None:
        # An absent text borrows the place where the text before it ended, so that offsets never fall.
        ends = np.maximum(np.maximum.accumulate(ends), 0)
        begins = np.where(missing, ends, begins)
    offsets = np.empty(2 * len(begins), np.int32)
    offsets[0::2], offsets[1::2] = begins, ends
    whole = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(body))
    return pc.take(whole, _evens(len(begins)), memory_pool=MEMORY)


@lru_cache(maxsize=4)
def _evens(count: int) -> pa.Int32Array:
    return pa.array(np.arange(0, 2 * count, 2, dtype=np.int32))
