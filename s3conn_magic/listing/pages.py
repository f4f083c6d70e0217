"""Turn answers into pages: check each one, parse several at once."""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.listing import xml
from s3conn_magic.listing.request import PageQuery, join_markers, key_token, marker_token
from s3conn_magic.listing.table import (
    MEMORY,
    OBJECTS,
    VERSIONS,
    AmbiguousError,
    Escapes,
    Page,
    UndecodableError,
    checked_utf8,
    descents,
    may_be_escaped,
    percent_column,
    percent_text,
    plus_convention,
)
from s3conn_magic.listing.xml import Columns, ListDocument, RowsSpan, UnreadableError, envelope, parse, span_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TRUTH = {"true": True, "false": False, "1": True, "0": False}
_ALIAS = re.compile(r"arn:|.*(?:-s3alias|--ol-s3)$")


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """The answer of a page without its rows, their number, the query, and how the server escapes."""

    answer: ListDocument
    rows: int
    query: PageQuery
    escapes: Escapes

    @property
    def encoded(self) -> bool:
        """Whether keys and prefixes are percent-encoded."""
        said = self.answer.fields.get("EncodingType", "").lower()
        return said == "url" or bool(not said and self.query.encoded and self.escapes.unsaid)


_UNKNOWN = Escapes()


def page_of(answer: ListDocument, query: PageQuery, *, bucket: str, escapes: Escapes = _UNKNOWN) -> Page:
    """Return the page from an answer to `query`.

    Args:
        answer: the parsed answer.
        query: what was asked.
        bucket: the bucket that the answer must be about.
        escapes: how the server escapes, as far as known.

    Raises:
        UnreadableError: the answer breaks a rule; the message says which.
        AmbiguousError: nothing tells whether the answer is escaped, or what a `+` in it stands for.
    """
    return pages_of(answer.columns, [PageAnswer(answer, answer.columns.rows, query, escapes)], bucket=bucket)[0]


def pages_of(columns: Columns, parts: Sequence[PageAnswer], *, bucket: str) -> list[Page]:
    """Return pages from the rows of all of them, page after page; all must be encoded alike and have like rows.

    Raises:
        UnreadableError: as for `page_of`, for the first page that breaks a rule.
        AmbiguousError: as for `page_of`.
    """
    for part in parts:
        _check_name(part.answer, bucket)
    plus = parts[0].escapes.plus
    try:
        decoded, prefixes = _decoded(columns, parts, plus) if parts[0].encoded else _unmarked(columns, parts)
        prefixes = [_delimited(shared, part.query) for shared, part in zip(prefixes, parts, strict=True)]
        keys = _required(decoded, "Key")
    except UndecodableError as error:
        raise UnreadableError(str(error)) from None
    falls, ends = descents(keys), list(accumulate(part.rows for part in parts))
    checked: list[tuple[str | None, bool]] = []
    for part, end, shared in zip(parts, ends, prefixes, strict=True):
        begin = end - part.rows
        in_order = bisect_left(falls, begin) == bisect_left(falls, end - 1)
        checked.append((_checked(part, keys.slice(begin, part.rows), shared, plus, in_order=in_order), in_order))
    batch = _batch(decoded, parts[0].query)
    return [
        _grouped(Page(batch.slice(end - part.rows, part.rows), shared, token, ascending=in_order), part.query)
        for part, end, shared, (token, in_order) in zip(parts, ends, prefixes, checked, strict=True)
    ]


def _checked(
    part: PageAnswer, keys: pa.StringArray, prefixes: tuple[str, ...], plus: bool | None, *, in_order: bool
) -> str | None:
    """Check one page and return the token of the next one."""
    _check_count(part)
    _check_prefix(part)
    _check_within(keys, prefixes, part.query, in_order=in_order)
    if not in_order and not part.query.versions and pc.count_distinct(keys).as_py() != len(keys):
        raise UnreadableError("a key appears twice in the answer")
    token = _next_token(part, plus=plus is not False)
    if token is _BY_MARKER:
        named = part.answer.fields.get("NextMarker")
        marker = percent_text(named, plus=plus is not False) if named and part.encoded else named
        token = marker_token(marker or _continue_after(keys, prefixes, in_order=in_order))
    elif token is _BY_KEY:
        token = key_token(_continue_after(keys, prefixes, in_order=in_order))
    if token and token == part.query.token:
        raise UnreadableError("the answer names itself as the next page")
    return token


_BY_MARKER, _BY_KEY = "by marker", "by key"
# Greater than anything that may follow a folder's slash.
_HIGHEST = chr(0x10FFFF)


def _continue_after(keys: pa.StringArray, prefixes: tuple[str, ...], *, in_order: bool) -> str:
    """Return the key after which a listing goes on if the answer does not say where."""
    last = max([*keys.to_pylist(), *(f"{prefix}{_HIGHEST}" for prefix in prefixes)], default="")
    if not last or not in_order:
        raise UnreadableError("the answer says that more follows, but not how to ask for it")
    return last


def key_texts(answer: ListDocument) -> set[str]:
    """Return all keys and common prefixes of an answer, still escaped."""
    keys = answer.columns.texts.get("Key")
    return {*(keys.to_pylist() if keys is not None else ()), *answer.prefixes}


def _check_name(answer: ListDocument, bucket: str) -> None:
    # An access point answers with the name of its alias or its bucket.
    name = answer.fields.get("Name")
    if name and name != bucket and not _ALIAS.match(bucket):
        raise UnreadableError("the answer lists another bucket")


def _prefixes(parts: Sequence[PageAnswer]) -> list[tuple[str, ...]]:
    return [part.answer.prefixes for part in parts]


def _unmarked(columns: Columns, parts: Sequence[PageAnswer]) -> tuple[Columns, list[tuple[str, ...]]]:
    """Return rows and prefixes not marked as escaped; some servers escape unasked, or without saying so."""
    prefixes = _prefixes(parts)
    first = parts[0]
    unclear = first.escapes.unsaid is None and first.query.encoded and not first.answer.fields.get("EncodingType")
    if unclear and may_be_escaped(_all_texts(columns.texts.get("Key"), prefixes)):
        raise AmbiguousError
    return columns, prefixes


def _delimited(prefixes: tuple[str, ...], query: PageQuery) -> tuple[str, ...]:
    """Return common prefixes, each with its closing delimiter, which some servers omit, and without the query's own."""
    ended = (each if each.endswith(query.delimiter) else each + query.delimiter for each in prefixes)
    return tuple(dict.fromkeys(each for each in ended if each != query.prefix or not query.delimiter))


def _grouped(page: Page, query: PageQuery) -> Page:
    """Return the page with keys grouped by the delimiter, which some servers fail to do."""
    keys, inside = page.objects.column(0), query.prefix.count(query.delimiter) if query.delimiter else 0
    deeper = pc.greater(pc.count_substring(keys, query.delimiter), inside) if query.delimiter and len(keys) else None
    if deeper is None or not pc.any(deeper).as_py():
        return page
    size = len(query.prefix)
    below = (key[: key.index(query.delimiter, size) + len(query.delimiter)] for key in keys.filter(deeper).to_pylist())
    folders = tuple(dict.fromkeys([*page.prefixes, *below]))
    return replace(page, objects=page.objects.filter(pc.invert(deeper)), prefixes=folders)


def _decoded(columns: Columns, parts: Sequence[PageAnswer], plus: bool | None) -> tuple[Columns, list[tuple[str, ...]]]:
    texts = dict(columns.texts)
    keys = texts.get("Key")
    if plus is None:
        plus = plus_convention(_all_texts(keys, _prefixes(parts)))
    if plus is None:
        raise AmbiguousError
    if keys is not None and keys.null_count == 0:
        texts["Key"] = checked_utf8(percent_column(keys, plus=plus))
    prefixes = [tuple(percent_text(prefix, plus=plus) for prefix in shared) for shared in _prefixes(parts)]
    return replace(columns, texts=texts), prefixes


def _all_texts(keys: pa.StringArray | None, prefixes: Iterable[tuple[str, ...]]) -> bytes:
    return b"\n".join([_bytes_of(keys), *(prefix.encode() for shared in prefixes for prefix in shared)])


def _bytes_of(texts: pa.StringArray | None) -> bytes:
    return texts.buffers()[2].to_pybytes() if texts is not None and texts.buffers()[2] is not None else b""


def _required(columns: Columns, name: str) -> pa.StringArray:
    texts = columns.texts.get(name)
    if columns.rows == 0:
        return pa.array([], pa.string())
    if texts is None or texts.null_count or (name == "Key" and pc.min(pc.binary_length(texts)).as_py() == 0):
        raise UnreadableError(f"a row of the answer has no {name}")
    return texts


def _check_count(part: PageAnswer) -> None:
    said = part.answer.fields.get("KeyCount", "").strip()
    count = part.rows + len(part.answer.prefixes)
    # S3 counts folders, but some other servers do not.
    if said and said not in {str(count), str(part.rows)}:
        raise UnreadableError(f"the answer says it has {said[:12]} keys and has {count}")


def _check_prefix(part: PageAnswer) -> None:
    said, asked = part.answer.fields.get("Prefix"), part.query.prefix
    if said and said not in _readings(asked) and asked not in (_decodings(said) if part.query.encoded else ()):
        raise UnreadableError("the answer is for another prefix")


def _readings(prefix: str) -> set[str]:
    # An XML parser turns a carriage return into a line feed if the server did not escape it.
    return {prefix, prefix.replace("\r\n", "\n").replace("\r", "\n")}


def _decodings(text: str) -> Iterable[str]:
    for plus in (True, False):
        try:
            yield percent_text(text, plus=plus)
        except UndecodableError:
            return


def _check_within(keys: pa.StringArray, prefixes: tuple[str, ...], query: PageQuery, *, in_order: bool) -> None:
    # If the first and last of sorted keys begin with the prefix, so do all between them.
    ends = [keys[0].as_py(), keys[-1].as_py()] if in_order and len(keys) else keys.to_pylist()
    inside = all(key.startswith(query.prefix) for key in ends)
    if not inside or not all(prefix.startswith(query.prefix) for prefix in prefixes):
        raise UnreadableError("the answer has keys outside the prefix that was asked for")
    if prefixes and not query.delimiter:
        raise UnreadableError("the answer groups keys, and no delimiter was given")


def _next_token(part: PageAnswer, *, plus: bool) -> str | None:
    fields, query = part.answer.fields, part.query
    said = fields.get("IsTruncated", "").strip().lower()
    token = _version_token(part, plus=plus) if query.versions else fields.get("NextContinuationToken")
    if not said and not query.versions:
        # Without IsTruncated only an empty page shows the end.
        truncated: bool | None = part.rows + len(part.answer.prefixes) > 0
    else:
        truncated = _TRUTH.get(said)
    if truncated is None:
        raise UnreadableError("the answer does not say whether it is complete")
    if truncated and not token:
        if query.versions:
            raise UnreadableError("the answer says that more follows, but not how to ask for it")
        return _BY_MARKER if "KeyCount" not in fields and "Marker" in fields else _BY_KEY
    if not truncated and token:
        raise UnreadableError("the answer says both that it is complete and that more follows")
    return token or None


def _version_token(part: PageAnswer, *, plus: bool) -> str | None:
    key, version = (part.answer.fields.get(name) for name in ("NextKeyMarker", "NextVersionIdMarker"))
    if not key:
        return None
    return join_markers(percent_text(key, plus=plus) if part.encoded else key, version)


def _batch(columns: Columns, query: PageQuery) -> pa.RecordBatch:
    schema = VERSIONS if query.versions else OBJECTS
    try:
        arrays = [_cast(_ARRAYS[field.name](columns), field.type) for field in schema]  # type: ignore[no-untyped-call]
    except pa.ArrowInvalid:
        raise UnreadableError("a size or time of the answer cannot be read") from None
    if arrays[1].null_count != len(arrays[1]) and pc.min(arrays[1]).as_py() < 0:
        raise UnreadableError("a size of the answer is negative")
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return array if array.type == kind else array.cast(kind, memory_pool=MEMORY)


def _optional(columns: Columns, name: str) -> pa.StringArray:
    texts = columns.texts.get(name)
    return texts if texts is not None else pa.nulls(columns.rows, pa.string())


def _sizes(columns: Columns) -> pa.Array:
    sizes, kind = _optional(columns, "Size"), OBJECTS.field("size").type
    if sizes.null_count and not pc.all(pc.or_(sizes.is_valid(), columns.markers)).as_py():
        raise UnreadableError("a row of the answer has no Size")
    try:
        return _cast(sizes, kind)
    except pa.ArrowInvalid:
        return pa.array([_size(text) for text in sizes.to_pylist()], kind)


_SIZE = re.compile(r"\+?(\d{1,18})(?:\.0*)?", re.ASCII)


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UnreadableError("a size of the answer cannot be read")
    return int(match[1])


def _times(columns: Columns) -> pa.Array:
    """Return the times in UTC, to the microsecond, in whatever form they were sent; null where there is none."""
    texts, kind = _optional(columns, "LastModified"), OBJECTS.field("last_modified").type
    try:
        return _cast(texts, kind)
    except pa.ArrowInvalid:
        return pa.array([_moment(text) for text in texts.to_pylist()], kind)


_TIME = re.compile(
    r"(\d{4}-?\d\d-?\d\d)(?:[T ](\d\d:?\d\d:?\d\d)(?:[.,](\d{0,6})\d*)?)?\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
)
_EPOCH = re.compile(r"(\d{9,10}|\d{12,13})(?:\.\d*)?", re.ASCII)
_DIGITS = 10
_NEVER = re.compile(r"0000-00-00.*")


def _moment(text: str | None) -> datetime | None:
    plain = (text or "").strip()
    if not plain or _NEVER.fullmatch(plain):
        return None
    match, seconds = _TIME.fullmatch(plain), _EPOCH.fullmatch(plain)
    try:
        if seconds is not None:
            moment = datetime.fromtimestamp(int(seconds[1]) / (1000 if len(seconds[1]) > _DIGITS else 1), UTC)
        elif match is None:
            moment = parsedate_to_datetime(plain)
        else:
            day, clock, fraction, zone = match.groups()
            zone = zone if zone and zone[0] in "+-" else "+00:00"
            moment = datetime.fromisoformat(f"{day} {clock or '00:00:00'}{zone}")
            moment += timedelta(microseconds=int((fraction or "0").ljust(6, "0")))
    except ValueError:
        raise UnreadableError("a time of the answer cannot be read") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _etags(columns: Columns) -> pa.StringArray:
    return _optional(columns, "ETag")


def _storage_classes(columns: Columns) -> pa.Array:
    return pc.dictionary_encode(_optional(columns, "StorageClass"), memory_pool=MEMORY)


def _flags(columns: Columns) -> pa.Array:
    if columns.rows and columns.texts.get("IsLatest") is None:
        raise UnreadableError("the answer lists objects, and no versions: LIST without VERSIONS shows the same")
    return pc.equal(_required(columns, "IsLatest"), "true")


_ARRAYS = {
    "key": lambda columns: columns.texts.get("Key", pa.array([], pa.string())),
    "size": _sizes,
    "last_modified": _times,
    "etag": _etags,
    "storage_class": _storage_classes,
    "version_id": lambda columns: _optional(columns, "VersionId"),
    "is_latest": _flags,
    "is_delete_marker": lambda columns: columns.markers,
}


_MOST_BODIES = 8
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
    escapes: Escapes
    page: asyncio.Future[Page]


class Reader:
    """Parses bodies into pages.

    Args:
        bucket: the bucket that they must be about.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._waiting: list[_Body] = []

    async def page(self, body: bytes, query: PageQuery, escapes: Escapes) -> Page:
        """Return the page from a body.

        Raises:
            UnreadableError: it is not a page; the message says why.
            AmbiguousError: nothing tells whether it is escaped, or what a `+` in it stands for.
        """
        loop = asyncio.get_running_loop()
        waiting = _Body(body, query, escapes, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            loop.call_soon(self._gather, _ROUNDS)
        return await waiting.page

    def _gather(self, rounds: int) -> None:
        """Parse once enough bodies are here, or the loop has had a few rounds to bring more."""
        if rounds and len(self._waiting) < _MOST_BODIES:
            asyncio.get_running_loop().call_soon(self._gather, rounds - 1)
        else:
            self._read()

    def _read(self) -> None:
        bodies, self._waiting = self._waiting[:_MOST_BODIES], self._waiting[_MOST_BODIES:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._read)
        pages = self._parse_together(bodies) if len(bodies) > 1 else None
        for index, each in enumerate(bodies):
            if each.page.done():
                continue
            if pages is not None:
                each.page.set_result(pages[index])
            else:
                self._parse_alone(each)

    def _parse_together(self, bodies: list[_Body]) -> list[Page] | None:
        """Return all pages, or None where the bodies differ in kind or one may be no page."""
        try:
            return _pages(bodies, self._bucket)
        except (UnreadableError, UndecodableError, AmbiguousError, UnicodeDecodeError):
            return None

    def _parse_alone(self, each: _Body) -> None:
        try:
            each.page.set_result(page_of(parse(each.body), each.query, bucket=self._bucket, escapes=each.escapes))
        except Exception as error:  # noqa: BLE001 - raised to whoever waits for the page
            each.page.set_exception(error)


@cache
def warm_up() -> None:
    """Parse a page, once in a process: the first calls of Arrow's functions take tens of milliseconds."""
    page_of(parse(_SAMPLE), PageQuery(), bucket="b")


def _pages(bodies: list[_Body], bucket: str) -> list[Page] | None:
    spans = [span for each in bodies if (span := span_of(each.body))]
    if len(spans) < len(bodies) or len({(each.query.versions, each.escapes) for each in bodies}) > 1:
        return None
    around = [envelope(each.body, span) for each, span in zip(bodies, spans, strict=True)]
    columns = xml.read_rows(text := b"".join(_rows_of(bodies, spans)), 0, len(text))
    if columns is None or columns.begins is None:
        return None
    bounds = np.cumsum([0, *(span.end - span.begin for span in spans)])
    places = np.searchsorted(columns.begins, bounds)
    if not np.array_equal(columns.begins[places[:-1]], bounds[:-1]):
        return None
    counts = [int(end - begin) for begin, end in pairwise(places)]
    parts = [
        PageAnswer(answer, rows, each.query, each.escapes)
        for answer, rows, each in zip(around, counts, bodies, strict=True)
    ]
    if len({part.encoded for part in parts}) > 1:
        return None
    return pages_of(columns, parts, bucket=bucket)


def _rows_of(bodies: list[_Body], spans: list[RowsSpan]) -> list[memoryview]:
    return [memoryview(each.body)[span.begin : span.end] for each, span in zip(bodies, spans, strict=True)]
