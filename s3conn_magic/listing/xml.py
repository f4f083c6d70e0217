"""Parse the body of a list answer into columns: by the offsets of its tags, or by an XML parser if it is unusual."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.listing.table import MEMORY, UndecodableError, checked_utf8, entity_column, entity_text, percent_text
from s3conn_magic.transport import exchange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WANTED = frozenset({"Key", "LastModified", "ETag", "Size", "StorageClass", "VersionId", "IsLatest"})
"""Fields of a row that become columns."""


class UnreadableError(ValueError):
    """The body is not the list of keys that was requested; the message says why, without quoting it."""

    hint = (
        "The server, or what is in front of it, does not answer as S3 does. Run the statement again; where it fails"
        " each time, TEST CONNECTION shows what else does, and DESCRIBE CONNECTION the proxy in use."
    )


@dataclass(frozen=True, slots=True)
class Columns:
    """The rows as texts, in the order of the answer: entities resolved, percent-encoding kept.

    `texts` has one string column per field name of the XML (`Key`, `Size`, …), null where a row lacks the field.
    `markers` is true for delete markers; None in a listing of objects. `begins` has each row's offset in the bytes, if
    they were read as they came.
    """

    texts: Mapping[str, pa.StringArray]
    rows: int
    markers: pa.BooleanArray | None = None
    begins: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class ListDocument:
    """A parsed answer: the fields of its envelope by name, its common prefixes, its rows."""

    columns: Columns
    fields: Mapping[str, str] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()


ROWS = ("Contents", "Version", "DeleteMarker")
ROOTS = ("ListBucketResult", "ListVersionsResult")
_GROUPS = "CommonPrefixes"
_PROLOGUE = 1024


def read_document(body: bytes) -> ListDocument:
    """Parse a whole answer.

    Raises:
        UnreadableError: it is not well-formed XML, or not a list of keys.
    """
    root = parse_document(body)
    named = [(local(element), element) for element in root]
    fields = {name: element.text or "" for name, element in named if name not in (*ROWS, _GROUPS)}
    prefixes = (prefix for name, element in named if name == _GROUPS for prefix in _prefixes(element))
    return ListDocument(
        _document_columns([element for name, element in named if name in ROWS]), fields, tuple(prefixes)
    )


def parse_document(body: bytes) -> ET.Element:
    """Return the root of a list of keys; refuse a document type, whose entities may grow without bound."""
    if not body.strip():
        raise UnreadableError("the answer is empty")
    if re.search(rb"<!DOCTYPE", body[:_PROLOGUE], re.IGNORECASE):
        raise UnreadableError("the answer is not a list of keys")
    root = _root(body)
    if root is None and (plain := _INEXPRESSIBLE.sub(_substitute, body)) != body and not _PRIVATE_IN_USE.search(body):
        root = _root(plain)
        for element in () if root is None else root.iter():
            element.text = element.text and element.text.translate(_RESTORED)
    if root is None:
        raise UnreadableError("the answer is cut short or is not XML")
    if local(root) not in ROOTS:
        raise UnreadableError("the answer is not a list of keys")
    return root


def _root(body: bytes) -> ET.Element | None:
    try:
        return ET.fromstring(body)  # noqa: S314 - no document type, hence no entities to expand
    except (ET.ParseError, ValueError, LookupError):
        return None


# Characters that XML cannot express but servers send, raw or as references. While the document is parsed, each is
# replaced by one of the last private-use characters.
_INEXPRESSIBLE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]|&#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6});")
_INEXPRESSIBLE_CODES = {*range(0x20), 0xFFFE, 0xFFFF} - {9, 10, 13}
_PRIVATE = 0x10F700
_RESTORED = {_PRIVATE + (code & 0xFF): chr(code) for code in _INEXPRESSIBLE_CODES}
_PRIVATE_IN_USE = re.compile(rb"\xf4\x8f[\x9c-\x9f]")


def _substitute(match: re.Match[bytes]) -> bytes:
    text = match[0]
    if text.startswith(b"&#"):
        digits = text[2:-1]
        code = int(digits[1:], 16) if digits[:1] in b"xX" else int(digits)
    else:
        code = ord(text.decode())
    return chr(_PRIVATE + (code & 0xFF)).encode() if code in _INEXPRESSIBLE_CODES else text


def is_foreign(body: bytes) -> bool:
    """Whether a body is no XML at all, such as the page of a login or a console."""
    beginning = body[:_PROLOGUE].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return bool(beginning) and (not beginning.startswith(b"<") or beginning.startswith((b"<!doctype html", b"<html")))


def error_code(body: bytes) -> str | None:
    """Return the code of an `<Error>` document, empty if it has none; None for any other document."""
    if b"<Error" not in body[:_PROLOGUE]:
        return None
    return exchange.error_code(body)


def local(element: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def _prefixes(group: ET.Element) -> Iterator[str]:
    return (child.text or "" for child in group if local(child) == "Prefix")


def _document_columns(rows: list[ET.Element]) -> Columns:
    texts: dict[str, list[str | None]] = {}
    for index, row in enumerate(rows):
        for child in row:
            if local(child) not in WANTED:
                continue
            column = texts.setdefault(local(child), [None] * len(rows))
            if column[index] is not None:
                raise UnreadableError("a row of the answer has a field twice")
            text = child.text or ""
            column[index] = _ETAG.sub("", text) if local(child) == "ETag" else text
    markers = [local(row) == "DeleteMarker" for row in rows]
    return Columns(
        {name: pa.array(values, pa.string()) for name, values in texts.items()},
        len(rows),
        pa.array(markers, pa.bool_()),
    )


Positions = npt.NDArray[np.int64]

_OPEN = ord("<")
_TAG = re.compile(rb"<(/?)([A-Za-z]+)>")
_BETWEEN = re.compile(rb"(</[A-Za-z]+>|<(?:Contents|Version|DeleteMarker|Owner|RestoreStatus)>)\s+(?=<)")
_ROW_TAGS = (b"<Contents>", b"<Version>", b"<DeleteMarker>")
_ROW_END = re.compile(rb"</(?:Contents|Version|DeleteMarker)>")
_QUOTE = b'"'
# The marks around the tag itself: quotes, blanks, and the `W/` of a weak one.
_ETAG = re.compile(r'^\s*(?:W/)?"+|"+\s*$')
_QUOTES = (b"&quot;", _QUOTE)
_MOST_SHAPES = 8
_WIDEST = 64


class _UnexpectedError(ValueError):
    """The rows are not in the form that the fast path reads."""


def read_rows(body: bytes, begin: int, end: int) -> Columns | None:
    """Return the columns of the rows in `body[begin:end]`, or None if their form is unusual."""
    with suppress(_UnexpectedError, IndexError):
        return _read(_Region.of(body, begin, end))
    # For servers that indent their XML: the same rows without the space between tags.
    dense = _BETWEEN.sub(rb"\1", body[begin:end]).rstrip()
    with suppress(_UnexpectedError, IndexError):
        return replace(_read(_Region.of(dense, 0, len(dense))), begins=None)
    return None


@dataclass(frozen=True, slots=True)
class _Region:
    """The bytes of the rows and the offset of each `<` in them; all offsets count from the beginning of the body."""

    body: bytes
    begin: int
    end: int
    opens: Positions
    plain: bool

    @classmethod
    def of(cls, body: bytes, begin: int, end: int) -> _Region:
        data = np.frombuffer(body, np.uint8)[begin:end]
        opens = np.flatnonzero(data == _OPEN)
        opens += begin
        return cls(body, begin, end, opens, body.isascii())

    def cut(self, width: int, at: Positions) -> bytes:
        """Return `width` bytes from each of the offsets, joined."""
        # A view of overlapping items, one at every byte: indexing it copies without a loop.
        pieces: npt.NDArray[np.void] = np.ndarray((len(self.body) - width + 1,), f"V{width}", self.body, 0, (1,))
        return pieces[at].tobytes()

    def has(self, text: bytes, at: Positions) -> bool:
        """Whether the text stands at every one of the offsets."""
        return self.cut(len(text), at) == text * len(at)


@dataclass(frozen=True, slots=True)
class _Shape:
    """The tags of a row.

    Attributes:
        width: number of tags.
        fields: the wanted fields by name, with the index of their opening tags.
        between: tags up to the next text of the row, by the index of the first.
        end: bytes of the row's closing tag.
        marker: whether the row is a delete marker.
    """

    width: int
    fields: dict[str, int]
    between: dict[int, bytes]
    end: int
    marker: bool

    def fits(self, region: _Region, rows: Positions) -> bool:
        """Whether rows, an array of shape (tags, rows), have these tags, and texts only where the shape has them."""
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
    """Return how deep each tag stands below the row's own; raise _UnexpectedError if they do not nest."""
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
    """Return the columns of rows of several shapes: with and without checksums, versions and delete markers."""
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
    """Return the tags that begin rows, as indexes into the region's `opens`."""
    within = region.opens[region.opens + max(map(len, _ROW_TAGS)) <= len(region.body)]
    places = [
        np.flatnonzero(np.frombuffer(region.cut(len(tag), within), f"S{len(tag)}") == tag)
        for tag in _ROW_TAGS
        if tag in region.body
    ]
    return np.sort(np.concatenate(places))


def _kinds(region: _Region, starts: Positions, widths: Positions) -> Positions:
    """Return a number for each row, the same for rows of one shape: from the number of tags and their first letters."""
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
        texts["ETag"] = pa.array([text and _ETAG.sub("", text) for text in texts["ETag"].to_pylist()], pa.string())
    return Columns(texts, len(markers), pa.array(markers), begins)


def _unquoted(region: _Region, begins: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """Return the spans without their quotes if every row has these."""
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
    """Return texts that all have the same width, such as times and most etags, without Arrow's `take`."""
    width = int(ends[0] - begins[0])
    if not 0 < width <= _WIDEST or (ends - begins != width).any():
        return None
    offsets = np.arange(0, (len(begins) + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(len(begins), pa.py_buffer(offsets), pa.py_buffer(region.cut(width, begins)))


def _slices(body: bytes, begins: Positions, ends: Positions, missing: npt.NDArray[np.bool_] | None) -> pa.StringArray:
    if missing is not None:
        # A missing text gets the offset where the text before it ended, so that offsets never fall.
        ends = np.maximum(np.maximum.accumulate(ends), 0)
        begins = np.where(missing, ends, begins)
    offsets = np.empty(2 * len(begins), np.int32)
    offsets[0::2], offsets[1::2] = begins, ends
    whole = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(body))
    return pc.take(whole, _even_numbers(len(begins)), memory_pool=MEMORY)


@lru_cache(maxsize=4)
def _even_numbers(count: int) -> pa.Int32Array:
    return pa.array(np.arange(0, 2 * count, 2, dtype=np.int32))


_FIRST_ROW = re.compile(rb"<(?:Contents|Version|DeleteMarker)>")
_OTHER_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*encoding=["'](?!utf-8["'])""", re.IGNORECASE)
_TAIL = 4096
_ROW_ENDS = (b"</Contents>", b"</Version>", b"</DeleteMarker>")


class RowsSpan(NamedTuple):
    """The offsets of the rows in a body."""

    begin: int
    end: int


def parse(body: bytes) -> ListDocument:
    """Parse an answer, by the fast path if possible.

    Raises:
        UnreadableError: it is not well-formed XML, not a list of keys, or its texts cannot be decoded.
    """
    try:
        return _split(body) or read_document(body)
    except (UndecodableError, UnicodeDecodeError) as error:
        raise UnreadableError(
            str(error) if isinstance(error, UndecodableError) else "a key is not valid UTF-8"
        ) from None


def span_of(body: bytes) -> RowsSpan | None:
    """Return the offsets of the rows, or None if there are no rows or only the XML parser can find them."""
    first = _FIRST_ROW.search(body)
    if first is None or _OTHER_ENCODING.match(body):
        return None
    end = _last_row(body, max(first.start(), len(body) - _TAIL)) or _last_row(body, first.start())
    return RowsSpan(first.start(), end) if end else None


def envelope(body: bytes, span: RowsSpan) -> ListDocument:
    """Return the answer without its rows."""
    return read_document(body[: span.begin] + body[span.end :])


def _split(body: bytes) -> ListDocument | None:
    """Return the answer by the fast path, or None if it takes the XML parser."""
    span = span_of(body)
    columns = read_rows(body, *span) if span else None
    if span is None or columns is None:
        return None
    around = envelope(body, span)
    return ListDocument(columns, around.fields, around.prefixes)


def _last_row(body: bytes, start: int) -> int:
    """Return the end of the last row that ends after `start`, or 0."""
    return max((at + len(tag) for tag in _ROW_ENDS if (at := body.rfind(tag, start)) >= 0), default=0)


_TOKEN = re.compile(rb"<NextContinuationToken>([^<&]+)</NextContinuationToken>")
_BEGIN, _END, _GROUPED = b"<Contents>", b"</Contents>", b"<CommonPrefixes>"
_KEY, _KEY_END = b"<Key>", b"</Key>"
_REQUIRED = (b"<EncodingType>url</EncodingType>", b"<IsTruncated>true</IsTruncated>")


class LookAhead(NamedTuple):
    """The last key of a page that says more follows, and the token of the next page."""

    last: str
    token: str


def look_ahead(body: bytes) -> LookAhead | None:
    """Return where a page of objects ends, or None where only reading it tells.

    This is a guess: the result is compared with the page once that is read.
    """
    begin, end = body.find(_BEGIN), body.rfind(_END)
    around = body[:begin] + body[end:]
    tokens = _TOKEN.findall(around)
    grouped = _GROUPED in around
    if min(begin, end) < 0 or grouped or len(tokens) != 1 or any(sign not in around for sign in _REQUIRED):
        return None
    key = body[body.rfind(_KEY, begin, end) + len(_KEY) : body.rfind(_KEY_END, begin, end)]
    # It takes more than one key to tell whether `+` is a space.
    if not key or b"<" in key or b"+" in key:
        return None
    try:
        return LookAhead(percent_text(entity_text(key.decode()), plus=False), tokens[0].decode())
    except (UndecodableError, UnicodeDecodeError):
        return None
