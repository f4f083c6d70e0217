"""Describe a dataset: pattern, partitions, rows, and why its objects belong together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s3conn_magic.datasets.layout import DEEP, WILD, Example, Leaf, Values, wildcard
from s3conn_magic.datasets.sampling import format_of
from s3conn_magic.language.words import counted, listed
from s3conn_magic.objects.formats import by_name
from s3conn_magic.objects.listed import escaped, partitions
from s3conn_magic.preview import rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from s3conn_magic.datasets.sampling import Sample

NAMED = 20
"""Most names of folders that a pattern spells out."""
_ZARR = frozenset({".zgroup", ".zarray", ".zmetadata", "zarr.json"})
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_WITH_ROWS = frozenset(
    {"Parquet", "CSV", "TSV", "JSON", "JSON lines", "ORC", "Avro", "Arrow", "Arrow stream", "CloudTrail log"}
)


@dataclass(slots=True)
class PartitionRange:
    """The values that distinguish the folders of a dataset at one depth.

    Attributes:
        name: name of the Hive partition or date part, or `folder`.
        type: DuckDB type that fits all values.
        least, greatest: smallest and greatest value.
        count: number of values.
        more: whether there are more values than were counted.
    """

    name: str
    type: str
    least: str
    greatest: str
    count: int
    more: bool = False

    def __str__(self) -> str:
        several = f"{self.least} … {self.greatest}" if self.count > 1 else self.least
        return f"{self.name} {self.type}: {several} ({'more than ' if self.more else ''}{self.count:,})"


@dataclass(slots=True)
class Dataset:
    """Objects that belong together: the same layout and format, and one schema or one that changed over time.

    Attributes:
        location: location to copy: a pattern, a folder of a lake table, or one object.
        kind: `files`, `delta`, `iceberg`, `hudi` or `other`.
        format: format of its files.
        compression: codecs around its files; empty if there are none.
        partitions: its partitions, in the order of their folders.
        objects, bytes, small: number of objects, their bytes, and the number below 8 MB.
        rows: number of rows, or None.
        bound: `exact`, `estimated` or `unknown`.
        columns: names and types from the newest look; None if there are none.
        drift: where the columns change, and how; empty if they do not.
        oldest, newest: times of the oldest and newest object, in microseconds since 1970.
        query: a SELECT that runs; empty for `other`.
        reason: why these objects belong together.
        required: columns that have no missing values according to every look.
        named: its location as a query writes it, including the connection if there are several.
    """

    location: str
    kind: str
    format: str
    reason: str
    objects: int = 0
    bytes: int = 0
    small: int = 0
    compression: str = ""
    partitions: tuple[PartitionRange, ...] = ()
    rows: int | None = None
    bound: str = "unknown"
    columns: tuple[tuple[str, str], ...] | None = None
    drift: str = ""
    oldest: int | None = None
    newest: int | None = None
    query: str = ""
    required: frozenset[str] = frozenset()
    named: str = ""


@dataclass(slots=True)
class Part:
    """Leaves that may be one dataset, and what was seen of them.

    Attributes:
        folders: as in a leaf.
        stems, endings: stems and endings of its leaves.
        leaf: the sum of its leaves.
        named: names of the folders at each index where parts were joined.
        told_apart: indexes where the names are spelled out as `{a,b}`, since others are another dataset.
    """

    folders: tuple[str, ...]
    stems: frozenset[str]
    endings: frozenset[str]
    leaf: Leaf
    named: dict[int, frozenset[str]] = field(default_factory=dict)
    told_apart: frozenset[int] = frozenset()

    @property
    def family(self) -> str:
        """The format of its endings, or the ending itself."""
        return family_of(next(iter(self.endings)))

    @property
    def in_order(self) -> list[Example]:
        """Some of its non-empty objects, in key order."""
        return [each for _, each in sorted(self.leaf.places.items()) if each.size]

    def with_partitions(self) -> Part:
        """Replace the values of Hive partitions that have only one by wildcards."""
        for place, name in enumerate(self.folders):
            if "=" in name and WILD not in name and name[:1] != "=":
                self.named[place] = frozenset([name])
                self.leaf.values.setdefault(place, Values()).add([name])
                self.folders = (*self.folders[:place], wildcard(name), *self.folders[place + 1 :])
        return self

    @classmethod
    def joined(cls, parts: Sequence[Part], place: int | None) -> Part:
        """Return several parts as one, with a wildcard at an index of their folders."""
        first = parts[0]
        leaf = Leaf(first.folders, first.leaf.ending, first.leaf.stem)
        for part in parts:
            leaf.merge(part.leaf)
        named = {at: frozenset().union(*(part.named.get(at, ()) for part in parts)) for at in first.named}
        folders = first.folders
        if place is not None:
            # Where the folders of a leaf differ, their names are among its values.
            own = [part.named.get(place, {part.folders[place]} - {WILD}) for part in parts]
            if names := {name for name in frozenset().union(*own) if WILD not in name}:
                named[place] = frozenset(names)
                leaf.values.setdefault(place, Values()).add(names)
            folders = (*folders[:place], wildcard(folders[place]), *folders[place + 1 :])
        stems, endings = (frozenset().union(*(getattr(part, name) for part in parts)) for name in ("stems", "endings"))
        return cls(folders, stems, endings, leaf, named, frozenset().union(*(part.told_apart for part in parts)))


def family_of(ending: str) -> str:
    """Return the format that an ending stands for, compressed or not, or the ending itself."""
    known = format_of(ending)
    if known is not None:
        return known.name
    said = by_name(f"x{ending}")
    return said.ending.lower()


def before_wild(folders: Sequence[str]) -> list[str]:
    """Return the folders before the first with a wildcard."""
    at = next((place for place, name in enumerate(folders) if WILD in name), len(folders))
    return list(folders[:at])


def summed(leaves: Sequence[Leaf]) -> Leaf:
    """Return the sum of several leaves, whatever their folders and names."""
    total = Leaf((), "", "")
    for leaf in leaves:
        if leaf.oldest and leaf.newest:
            total.count(leaf.objects, leaf.bytes, leaf.small, (leaf.oldest, leaf.newest))
    return total


def measure(dataset: Dataset, leaf: Leaf) -> None:
    """Set a dataset's objects, bytes and times from a leaf."""
    dataset.objects, dataset.bytes, dataset.small = leaf.objects, leaf.bytes, leaf.small
    dataset.oldest = leaf.oldest.time if leaf.oldest else None
    dataset.newest = leaf.newest.time if leaf.newest else None


def store_of(leaf: Leaf) -> tuple[str, tuple[str, ...]]:
    """Return the kind of array store whose metadata a leaf is, and the store's folders; an empty text if none."""
    if f"{leaf.stem}{leaf.ending}" in _ZARR:
        return "Zarr", leaf.folders
    own = leaf.folders[-1] if leaf.folders else ""
    if own == "_versions" and leaf.newest is not None and leaf.newest.key.endswith(".manifest"):
        return "Lance", leaf.folders[:-1]
    return ("TileDB", leaf.folders[:-1]) if own == "__schema" else ("", ())


def is_opaque(part: Part) -> bool:
    """Whether the ending stands for a known format without rows."""
    known = format_of(next(iter(part.endings)))
    return known is not None and not known.type


def is_read(family: str) -> bool:
    """Whether a format has rows."""
    return family in _WITH_ROWS or family.startswith("CSV")


def shown_format(name: str) -> str:
    """Return the name of a format for display; an unknown ending in capitals."""
    return name.lstrip(".").upper() if name.startswith(".") else name or "unknown"


def rows_of(leaf: Leaf, samples: Sequence[Sample]) -> tuple[int | None, str]:
    """Return the number of rows of a leaf's objects, judging by some looks, and `exact` or `estimated`."""
    if not any(sample.columns is not None for sample in samples):
        return None, "unknown"
    if len(samples) == leaf.objects and all(sample.rows is not None for sample in samples):
        return sum(sample.rows or 0 for sample in samples), "exact"
    rates = [(sample.a_byte, sample.example.size) for sample in samples if sample.a_byte is not None]
    size = sum(size for _, size in rates)
    if not size:
        return None, "unknown"
    return rounded(round(leaf.bytes * sum(rate * size for rate, size in rates) / size)), "estimated"


def pattern_of_any(names: Iterable[str]) -> str:
    """Return a pattern that matches each of some names."""
    every = sorted(escaped(name) for name in names)
    return every[0] if len(every) == 1 else "{" + ",".join(every) + "}"


def endings_pattern(part: Part) -> str:
    """Return a pattern for a part's endings."""
    endings = sorted(part.endings)
    return escaped(endings[0]) if len(endings) == 1 else "{" + ",".join(map(escaped, endings)) + "}"


def names_pattern(part: Part) -> str:
    """Return a pattern for a part's file names."""
    ending = endings_pattern(part)
    if len(part.stems) > 1:
        return f"*{ending}"
    (stem,) = part.stems
    return "*".join(escaped(piece) for piece in stem.split(WILD)) + ending


def _hive(name: str, values: Values) -> PartitionRange:
    keys = [f"{text}/x" for text in values.texts]
    column = next(iter(partitions(keys, "").values()), None)
    texts = [value for value in column.values.values() if value is not None] if column else []
    partition = _partition(name, texts or ["NULL"], more=values.more)
    partition.type = column.kind if column else "VARCHAR"
    return partition


def _partition(name: str, texts: Iterable[str], *, more: bool = False) -> PartitionRange:
    every = sorted(set(texts), key=lambda text: (int(text), text) if text.isdecimal() else (0, text))
    kinds = {
        "BIGINT": r"\d{1,18}",
        "DATE": r"\d{4}-\d\d-\d\d",
    }
    kind = next((kind for kind, form in kinds.items() if all(re.fullmatch(form, text) for text in every)), "VARCHAR")
    return PartitionRange(name, kind, every[0], every[-1], len(every), more)


def _date_part(texts: Iterable[str], parts: Iterator[str]) -> str:
    """Return the name of a date part, judging by its length and by the parts before it."""
    sample = next(iter(texts))
    if re.fullmatch(r"\d{1,4}", sample):
        called = next(parts, "number")
        return called if called != "year" or len(sample) == 4 else "number"  # noqa: PLR2004
    if re.fullmatch(r"\d{4}[-_.]\d\d|\d{6}", sample):
        return "month"
    return (
        "date" if re.search(r"(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d", sample) else "number" if sample.isdecimal() else "id"
    )


def _dates_in_names(part: Part) -> Iterator[PartitionRange]:
    """Yield the partition by the dates in file names, if the names of all files are known."""
    if len(part.leaf.places) != part.leaf.objects or WILD not in "".join(part.stems):
        return
    dates = [
        re.search(r"(?:19|20)\d\d[-_]?(?:0[1-9]|1[0-2])[-_]?(?:0[1-9]|[12]\d|3[01])(?!\d)", key.rpartition("/")[2])
        for key in part.leaf.places
    ]
    if dates and all(dates):
        yield _partition("date", [match[0] for match in dates if match])


def _kind_of_other(leaf: Leaf) -> str:
    """Return a word for objects that are no dataset."""
    if leaf.folders and leaf.folders[-1][:1] in {"_", "."} and "=" not in leaf.folders[-1]:
        return f"in {leaf.folders[-1]}/"
    if not leaf.stem and not leaf.ending:
        return "folder markers"
    if leaf.stem.endswith("_$folder$"):
        return "folder markers"
    if leaf.ending == ".crc":
        return "checksums (.crc)"
    return f"{leaf.stem.replace(WILD, '#')}{leaf.ending}" if leaf.is_private else leaf.ending or "without an ending"


_SINGULAR = {"folder markers": "folder marker", "checksums (.crc)": "checksum (.crc)"}


def reason(part: Part, dataset: Dataset, samples: Sequence[Sample]) -> str:
    """Return why a part's objects are one dataset."""
    if part.leaf.objects == 1:
        why = "one object, whose columns no other object there has"
    else:
        hive = [each.name for each, name in zip(dataset.partitions, _wild(part), strict=False) if "=" in name]
        beside = [each.name for each in dataset.partitions if each.name not in hive]
        where = [f"in Hive partitions by {listed(hive, 'and')}"] if hive else []
        where += [f"by {listed(beside, 'and')}"] if beside else []
        why = f"{counted(part.leaf.objects, 'object')} with one form of name {' and '.join(where) or 'in one folder'}"
    looked = [sample for sample in samples if sample.columns is not None]
    if notes := [sample.note for sample in samples if sample.note]:
        return f"{why}; not looked into: {notes[0]}"
    if len(looked) > 1 and not dataset.drift:
        return f"{why}; {len(looked)} of them, far apart, have the same columns"
    return f"{why}; its columns change" if dataset.drift else why


def _wild(part: Part) -> list[str]:
    return [name for name in part.folders if WILD in name and name != DEEP]


def partitions_of(part: Part) -> Iterator[PartitionRange]:
    """Yield the partitions of a dataset by its folders, and by the dates in its file names."""
    date_parts = iter(_PARTS)
    plain = [at for at in part.named if "=" not in part.folders[at]]
    for at, name in enumerate(part.folders):
        if WILD not in name or name == DEEP or at not in part.leaf.values:
            continue
        values = part.leaf.values[at]
        if "=" in name:
            yield _hive(name.partition("=")[0], values)
            continue
        texts = values.texts
        if at in part.named or not all(re.search("[0-9]", text) for text in texts):
            called = "folder" if len(plain) < 2 else f"folder{plain.index(at) + 1}" if at in plain else "folder"  # noqa: PLR2004
        else:
            called = _date_part(texts, date_parts)
        yield _partition(called, texts, more=values.more)
    yield from _dates_in_names(part)


def other_objects(leaves: Sequence[Leaf]) -> Dataset:
    """Return one row for the objects in no dataset."""
    total = summed(leaves)
    kinds: dict[str, int] = {}
    for leaf in leaves:
        kinds[_kind_of_other(leaf)] = kinds.get(_kind_of_other(leaf), 0) + leaf.objects
    few = sorted(kinds.items(), key=lambda each: -each[1])
    kinds_text = [f"{count:,} {_SINGULAR.get(name, name) if count == 1 else name}" for name, count in few[:6]]
    more = [f"{len(few) - 6:,} more kinds"] if len(few) > 6 else []  # noqa: PLR2004
    dataset = Dataset("other", "other", "", f"no dataset: {listed([*kinds_text, *more], 'and')}")
    measure(dataset, total)
    return dataset
