"""The columns of a listing: keys decoded a column at a time, never by guess, and pages put together into one table.

Keys are compared as UTF-8 bytes, which is S3's order and also that of Python's strings. Keys come with XML entities,
percent-encoding or both; whether `+` stands for a space differs between servers: see `plus_convention`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

MEMORY = pa.system_memory_pool()
"""Where columns are allocated: growing Arrow's own pool may take milliseconds, some ten times in a listing."""

_STORAGE_CLASS = pa.dictionary(pa.int32(), pa.string())

OBJECTS = pa.schema(
    [
        ("key", pa.string()),
        ("size", pa.int64()),
        ("last_modified", pa.timestamp("us", tz="UTC")),
        ("etag", pa.string()),
        ("storage_class", _STORAGE_CLASS),
    ]
)
"""Columns of a listing: exact key, size in bytes, UTC time, etag without quotes, storage class."""

VERSIONS = pa.schema(
    [
        *OBJECTS,
        ("version_id", pa.string()),
        ("is_latest", pa.bool_()),
        ("is_delete_marker", pa.bool_()),
    ]
)
"""Columns of a listing of versions; a delete marker has no size, etag or storage class."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IS_PREFIX = pa.field("is_prefix", pa.bool_())


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing.

    Attributes:
        objects: the rows, of schema `OBJECTS` or `VERSIONS`.
        prefixes: the common prefixes, unescaped, if a delimiter was given.
        next_token: continues the listing after this page; None at its end.
        received: bytes of the answer's body.
        requests: requests made for the page, including retries.
        ascending: whether the objects' keys are in UTF-8 binary order without repetition.
    """

    objects: pa.RecordBatch
    prefixes: tuple[str, ...] = ()
    next_token: str | None = None
    received: int = 0
    requests: int = 1
    ascending: bool = True

    def __len__(self) -> int:
        return int(self.objects.num_rows) + len(self.prefixes)


def texts_at(data: pa.Buffer, begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> pa.StringArray:
    """Return the texts at byte ranges that are in order and do not overlap."""
    offsets = np.empty(2 * len(begins), np.int32)
    offsets[0::2], offsets[1::2] = begins, ends
    between = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), data)
    return between.take(pa.array(np.arange(0, 2 * len(begins), 2)))


def assemble(pages: Iterable[Page], *, versions: bool = False, with_prefixes: bool = False) -> pa.Table:
    """Return one table of the rows of all pages, sorted by key; chunks stay as they came if their order allows.

    With `with_prefixes`, common prefixes become rows whose `is_prefix` is true and whose other columns are null.
    """
    pages = list(pages)
    schema = VERSIONS if versions else OBJECTS
    filled = sorted((page for page in pages if page.objects.num_rows), key=_first_key)
    table = pa.Table.from_batches([page.objects for page in filled], schema).unify_dictionaries(MEMORY)
    prefixes = {prefix for page in pages for prefix in page.prefixes}
    if with_prefixes:
        table = _with_prefixes(table, prefixes)
    # Versions of a key come newest first and may span pages, so the sort must be stable; ordered batches need none.
    return table if not prefixes and _in_order(filled, versions) else _stable_sort(table)


def python_columns(rows: pa.Table | pa.RecordBatch) -> dict[str, list[Any]]:
    """Return the columns of a listing as Python's values, like `to_pydict`, which takes 2 µs for each time."""
    columns = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_timestamp(column.type):
            micros = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
            columns[name] = [None if each is None else _EPOCH + timedelta(microseconds=each) for each in micros]
        else:
            columns[name] = column.to_pylist()
    return columns


def _first_key(page: Page) -> str:
    return str(page.objects.column(0)[0].as_py())


def _in_order(pages: Sequence[Page], versions: bool) -> bool:
    bounds = [(_first_key(page), page.objects.column(0)[-1].as_py()) for page in pages]
    across = all(left[1] < right[0] or (versions and left[1] == right[0]) for left, right in pairwise(bounds))
    return across and all(page.ascending or (versions and _level(page.objects.column(0))) for page in pages)


def _level(keys: pa.StringArray) -> bool:
    """Whether keys never fall; one may stand several times in a row."""
    return bool(pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py())


def descents(keys: pa.StringArray) -> list[int]:
    """Return the rows whose key is not below the next one in UTF-8 binary order."""
    rises = pc.less(keys[:-1], keys[1:])
    return [] if rises.true_count == len(rises) else np.flatnonzero(~np.asarray(rises)).tolist()


def _with_prefixes(table: pa.Table, prefixes: set[str]) -> pa.Table:
    objects = table.append_column(_IS_PREFIX, pa.array([False]).take(pa.array([0] * len(table), pa.int64())))
    columns = [pa.nulls(len(prefixes), field.type) for field in objects.schema]
    columns[0] = pa.array(sorted(prefixes), pa.string())
    columns[-1] = pa.array([True] * len(prefixes), pa.bool_())
    return pa.concat_tables([objects, pa.Table.from_arrays(columns, schema=objects.schema)]).unify_dictionaries()


def _stable_sort(table: pa.Table) -> pa.Table:
    return table.take(pc.array_sort_indices(table.column(0).combine_chunks())) if len(table) else table


def first_key(page: Page) -> str | None:
    """Return the smallest key or common prefix of a page in order, or None if it is empty."""
    return min(_ends(page, 0), default=None)


def last_key(page: Page) -> str | None:
    """Return the greatest key or common prefix of a page in order, or None if it is empty."""
    return max(_ends(page, -1), default=None)


def _ends(page: Page, index: int) -> list[str]:
    keys = [page.objects.column(0)[index].as_py()] if page.objects.num_rows else []
    return [*keys, *([page.prefixes[index]] if page.prefixes else [])]


def unrepeated(page: Page, low: str) -> Page:
    """Return the page without a common prefix that also ended the page before, as some servers repeat it."""
    return replace(page, prefixes=page.prefixes[1:]) if page.prefixes[:1] == (low,) else page


def up_to(page: Page, high: str | None) -> Page:
    """Return the rows of a page in order with keys up to and including `high`."""
    last = last_key(page)
    if high is None or last is None or last <= high:
        return page
    count = bisect_right(page.objects.column(0), high, key=_text)
    prefixes = tuple(prefix for prefix in page.prefixes if prefix <= high)
    return replace(page, objects=page.objects.slice(0, count), prefixes=prefixes)


def _text(key: pa.StringScalar) -> str:
    return str(key.as_py())


def sample(page: Page, count: int = 8) -> list[str]:
    """Return a few keys and common prefixes, spread over the page and including its last key."""
    rows = page.objects.num_rows
    places = sorted({(at + 1) * rows // count - 1 for at in range(count)} - {-1}) if rows else []
    return [*(page.objects.column(0)[at].as_py() for at in places), *page.prefixes[:: max(1, len(page.prefixes) // 16)]]


_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789", np.uint8)] = np.arange(10)
_HEX[np.frombuffer(b"abcdef", np.uint8)] = np.arange(10, 16)
_HEX[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
_PERCENT, _PLUS, _SPACE = b"%+ "
_PLAIN = re.compile(rb" |%(?![0-9A-Fa-f]{2})")
_ENTITY = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));|&")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class UndecodableError(ValueError):
    """Broken escapes, or bytes that are not UTF-8."""


class AmbiguousError(ValueError):
    """The page does not tell whether its texts are escaped, or what `+` stands for."""


class Escapes(NamedTuple):
    """How a server escapes, as far as known: whether `+` is a space, and whether it escapes without saying so."""

    plus: bool | None = None
    unsaid: bool | None = None


def may_be_escaped(text: bytes) -> bool:
    """Whether lines of text may be percent-encoded, that is, nothing in them rules it out."""
    return (b"%" in text or b"+" in text) and not _PLAIN.search(text)


def plus_convention(text: bytes) -> bool | None:
    """Whether `+` is a space in percent-encoded text, or None where the text does not tell.

    AWS writes a space as `+` and a plus as `%2B`; other servers write a space as `%20`, and some leave a plus alone.
    """
    if b"+" not in text:
        return True
    plus, space = b"%2b" in text or b"%2B" in text, b"%20" in text
    return None if plus == space else plus


def settle_plus(encoded: AbstractSet[str], plain: AbstractSet[str]) -> bool:
    """Return whether `+` is a space, by comparison with the same page asked for without encoding.

    Raises:
        UndecodableError: neither reading fits.
    """
    for text in encoded:
        as_space, as_plus = percent_text(text, plus=True) in plain, percent_text(text, plus=False) in plain
        if "+" in text and as_space != as_plus:
            return as_space
    raise UndecodableError("the server's encoding of spaces and plus signs cannot be told apart")


def percent_text(text: str, *, plus: bool) -> str:
    """Decode a percent-encoded text; a broken escape is an UndecodableError."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise UndecodableError("a percent escape is broken")
    try:
        return unquote_to_bytes(text.replace("+", " ") if plus else text).decode("utf-8")
    except UnicodeDecodeError:
        raise UndecodableError("a key is not valid UTF-8") from None


def percent_column(texts: pa.StringArray, *, plus: bool) -> pa.StringArray:
    """Decode a compact column of percent-encoded texts; `checked_utf8` then checks the bytes."""
    offsets, data = _offsets_and_bytes(texts)
    spaced = plus and _PLUS in data
    if spaced:
        data = np.where(data == _PLUS, np.uint8(_SPACE), data)
    signs = data == _PERCENT
    count = int(np.count_nonzero(signs))
    if not count:
        return _column(data, offsets) if spaced else texts
    if not spaced and (column := _single_escape(texts, data, count)) is not None:
        return column
    escapes = np.flatnonzero(signs)
    codes = _codes(data, escapes, offsets)
    return _column(_unescaped(data, escapes, codes), (offsets - 2 * np.searchsorted(escapes, offsets)).astype(np.int32))


def _offsets_and_bytes(texts: pa.StringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    _, offsets_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data


def _codes(
    data: npt.NDArray[np.uint8], escapes: npt.NDArray[np.int64], offsets: npt.NDArray[np.int32]
) -> npt.NDArray[np.uint8]:
    """Return the byte that each escape stands for."""
    # No text may end within an escape.
    ends = offsets[1:][offsets[1:] > 0]
    if _PERCENT in data[ends - 1] or _PERCENT in data[np.maximum(ends - 2, 0)]:
        raise UndecodableError("a percent escape is broken")
    high, low = _HEX[data[escapes + 1]], _HEX[data[escapes + 2]]
    if ((high | low) > 15).any():  # noqa: PLR2004 - not a hexadecimal digit
        raise UndecodableError("a percent escape is broken")
    return ((high << 4) | low).astype(np.uint8, copy=False)


def _single_escape(texts: pa.StringArray, data: npt.NDArray[np.uint8], count: int) -> pa.StringArray | None:
    """Return the texts where all `count` escapes are the same, as in `year%3D2024`; None otherwise. The fast path."""
    text = data.tobytes()
    first = text.index(b"%")
    escape = re.fullmatch(rb"%([2-7][0-9A-F])", text[first : first + 3])
    if escape is None:
        return None
    replaced = pc.replace_substring(texts, escape[0].decode(), chr(int(escape[1], 16)), memory_pool=MEMORY)
    return replaced if len(_offsets_and_bytes(replaced)[1]) == len(data) - 2 * count else None


def _unescaped(
    data: npt.NDArray[np.uint8], escapes: npt.NDArray[np.int64], codes: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    data = data.copy()
    data[escapes] = codes
    keep = np.ones(len(data), bool)
    keep[escapes + 1] = keep[escapes + 2] = False
    return data[keep]


def _column(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32]) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def entity_column(texts: pa.StringArray) -> pa.StringArray:
    """Resolve XML's five entities and its character references, control characters included, in a column."""
    _, data = _offsets_and_bytes(texts)
    if ord("&") not in data:
        return texts
    return pa.array([entity_text(text) for text in texts.to_pylist()], pa.string())


def entity_text(text: str) -> str:
    """Resolve XML's five entities and its character references in a text."""
    return _ENTITY.sub(_resolve, text)


def _resolve(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name:
        return _NAMED[name]
    code = int(decimal or hexadecimal or "-1", 10 if decimal else 16)
    if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - Unicode's bounds
        raise UndecodableError("an XML entity is broken")
    return chr(code)


def checked_utf8(texts: pa.StringArray) -> pa.StringArray:
    """Return the column unchanged if it is valid UTF-8; raise UndecodableError otherwise."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raise UndecodableError("a key is not valid UTF-8") from None
    return texts
