"""The group of each object: a label for every row of a page, made without a loop over the rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.sizes import size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from s3conn_magic.language.statements import AnalyzeBy

_SLASH = ord("/")
_DAYS = (1, 7, 30, 90, 365, 3 * 365)
AGES = ("< 1 day", "< 1 week", "< 30 days", "< 90 days", "< 1 year", "< 3 years", "older")
"""Ranges of age, each without those before it; a year has 365 days."""
# Of about 128 kB on, the infrequent access classes bill what is there; about 5 GB one request can write or copy.
_SIZES = (1, 1_000, 128_000, 1_000_000, 100_000_000, 1_000_000_000, 5_000_000_000)
SIZES = ("0", *(f"< {size_text(size)}" for size in _SIZES[1:]), "more")
"""Ranges of size, each without those before it."""

_COMPRESSIONS = "gz|gzip|bz2|xz|zst|zstd|lz4|lzo|lzma|br|snappy|sz|deflate|z|zip|enc|gpg"
_FORMATS = "csv|tsv|txt|json|jsonl|ndjson|geojson|xml|log|tar|cpio|sql|dump|html|yaml|yml|parquet|avro|orc|arrow|cbor"
_FORMATS += "|vcf|fasta|fastq|fa|fq|bed|sam|nii|svg|warc|wet|wat|pb|nt|ttl|nq|rdf|dat|bin|img|iso|pcap|md|cef|pkl"
_CODECS = "snappy|gz|gzip|zstd|zst|lz4|lzo|brotli|br|deflate|bz2|bzip2|xz|zlib|uncompressed"
_COLUMNAR = "parquet|avro|orc|arrow|feather"
# Letters and digits, a letter among them: what follows the last dot of a time or a hash is no extension.
_ONE = "[0-9]{0,3}[a-z][a-z0-9_+-]{0,11}"
_EXTENSION = rf"(?i)[^/.]\.*(?P<found>\.(?:{_FORMATS})\.(?:{_COMPRESSIONS})|\.(?:{_CODECS})\.(?:{_COLUMNAR})|\.{_ONE})$"


@dataclass(frozen=True, slots=True)
class Grouping:
    """How objects fall into groups.

    Attributes:
        labels: the label of every row of a record batch of schema `OBJECTS`.
        order: the labels that there can be, in their natural order; empty where bytes order the groups.
    """

    labels: Callable[[pa.RecordBatch], pa.Array]
    order: tuple[str, ...] = ()


def grouping(by: AnalyzeBy, *, prefix: str = "", depth: int = 1, now: datetime | None = None) -> Grouping:
    """The grouping of `ANALYZE … BY`.

    Args:
        by: what objects are grouped by.
        prefix: with which every key begins.
        depth: number of folders that make a group BY PREFIX.
        now: the moment that AGE is counted from; this one where none is given.
    """
    if by == "PREFIX":
        return by_prefix(prefix, depth)
    if by == "STORAGE_CLASS":
        return Grouping(_storage_classes)
    if by == "EXTENSION":
        return Grouping(_extensions)
    return by_age(now or datetime.now(UTC)) if by == "AGE" else by_size()


def by_prefix(prefix: str, depth: int) -> Grouping:
    """The first folders below the folder that a prefix lies in, each with its `/`; '' for objects directly in it."""
    start = len(prefix[: prefix.rfind("/") + 1].encode())
    return Grouping(lambda objects: _heads(objects.column("key"), start, depth))


def by_age(now: datetime) -> Grouping:
    """Ranges of the time since the last modification; one that is yet to come is no age at all."""
    moment = round(now.timestamp() * 1_000_000)
    edges = np.array([days * 86_400_000_000 for days in _DAYS])

    def labels(objects: pa.RecordBatch) -> pa.Array:
        then = objects.column("last_modified").cast(pa.int64()).to_numpy()
        return _ranges(moment - then, edges, AGES)

    return Grouping(labels, AGES)


def by_size() -> Grouping:
    """Ranges of size."""
    return Grouping(lambda objects: _ranges(objects.column("size").to_numpy(), np.array(_SIZES), SIZES), SIZES)


def _ranges(values: npt.NDArray[np.int64], edges: npt.NDArray[np.int64], names: tuple[str, ...]) -> pa.Array:
    return pa.array(names).take(pa.array(np.searchsorted(edges, values, side="right")))


def _storage_classes(objects: pa.RecordBatch) -> pa.Array:
    return objects.column("storage_class").cast(pa.string()).fill_null("")


def _extensions(objects: pa.RecordBatch) -> pa.Array:
    found = pc.extract_regex(objects.column("key"), _EXTENSION)
    return pc.ascii_lower(pc.struct_field(found, "found")).fill_null("")


def _heads(keys: pa.StringArray, start: int, depth: int) -> pa.Array:
    """What each key has from byte `start` up to and with its `depth`-th slash from there, or its last one."""
    _, offsets, data = keys.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(keys) + 1, 4 * keys.offset)
    # Keys of several pages may share a buffer.
    slashes = np.flatnonzero(np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]] == _SLASH) + bounds[0]
    begins = bounds[:-1].astype(np.int64) + start
    before, behind = np.searchsorted(slashes, begins), np.searchsorted(slashes, bounds[1:])
    folders = np.minimum(behind - before, depth)
    last = np.append(slashes, 0)[before + folders - 1]
    ends = np.where(folders > 0, last + 1, begins)
    return _slices(data, begins, ends)


def _slices(data: pa.Buffer, begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> pa.Array:
    """The texts that are these bytes; none begins before the one ahead of it ends."""
    offsets = np.empty(2 * len(begins), np.int32)
    offsets[0::2], offsets[1::2] = begins, ends
    between = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), data)
    return between.take(pa.array(np.arange(0, 2 * len(begins), 2)))
