"""The columns of a listing, and its pages put together into one table.

Keys are compared as UTF-8 bytes, which is S3's order and also that of Python's strings.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

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


def _first_key(page: Page) -> str:
    return str(page.objects.column(0)[0].as_py())


def _in_order(pages: Sequence[Page], versions: bool) -> bool:
    bounds = [(_first_key(page), page.objects.column(0)[-1].as_py()) for page in pages]
    across = all(left[1] < right[0] or (versions and left[1] == right[0]) for left, right in pairwise(bounds))
    return across and all(page.ascending or (versions and _level(page.objects.column(0))) for page in pages)


def _level(keys: pa.StringArray) -> bool:
    """Whether keys never fall; one may stand several times in a row."""
    import pyarrow.compute as pc

    return bool(pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py())


def descents(keys: pa.StringArray) -> list[int]:
    """Return the rows whose key is not below the next one in UTF-8 binary order."""
    import pyarrow.compute as pc

    rises = pc.less(keys[:-1], keys[1:])
    return [] if rises.true_count == len(rises) else np.flatnonzero(~np.asarray(rises)).tolist()


def _with_prefixes(table: pa.Table, prefixes: set[str]) -> pa.Table:
    objects = table.append_column(_IS_PREFIX, pa.array([False]).take(pa.array([0] * len(table), pa.int64())))
    columns = [pa.nulls(len(prefixes), field.type) for field in objects.schema]
    columns[0] = pa.array(sorted(prefixes), pa.string())
    columns[-1] = pa.array([True] * len(prefixes), pa.bool_())
    return pa.concat_tables([objects, pa.Table.from_arrays(columns, schema=objects.schema)]).unify_dictionaries()


def _stable_sort(table: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

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
