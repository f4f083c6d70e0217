"""Group the keys of a listing by templates of their folders and names, and count each group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.lakes import LOG, NOTES, TIMELINE, tables_among
from s3conn_magic.listing.table import texts_at
from s3conn_magic.objects.formats import COMPRESSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from s3conn_magic.lakes import LakeRoot

    _Numbers = npt.NDArray[np.int64]

WILD = "\x00"
"""Stands for any text in a template; XML listings cannot contain it in a key."""
DEEP = WILD + WILD
"""Stands for any number of folders in a template."""
SMALL = 8_000_000
"""Bytes below which a file counts as small."""
_ROWS = 65_536
_MOST_LEAVES = 20_000
_MOST_STEMS = 200
_MOST_VALUES = 10_000
_MOST_PLACES = 2_048
_PLACES_AT_ONCE, _PLACES_OF_ONE = 512, 64
_MOST_SIBLINGS = 512
_MOST_NOTES = 2_000
_FULL_STOP, _SLASH, _ZERO, _NINE = b"./09"
_MARKS = np.isin(np.arange(256), list(b"-_. =+~()"))
"""Whether a byte separates the words of a name."""
_SAMPLE = 512
_YEAR, _MONTH, _DAY = "(?:19|20)[0-9]{2}", "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_TIME = "(?:[T_ -]?[0-2][0-9](?:[:_h-]?[0-5][0-9](?:[:_m-]?[0-5][0-9])?)?Z?)"
_DATE = f"{_YEAR}(?:[-_.]?{_MONTH}(?:[-_.]?{_DAY}{_TIME}?)?)?"
_DAY_WITHIN = f"{_YEAR}[-_.]?{_MONTH}[-_.]?{_DAY}"
# After two consecutive days, the second is not taken for a time.
_DATE_WITHIN = f"(?:{_DAY_WITHIN}[-_]{_DAY_WITHIN}|{_DAY_WITHIN}{_TIME}?)"
_UUID = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_HASH = "[0-9a-f]{16,}|[0-9A-F]{16,}"
_ENDING = r"\.(?i:[a-z][a-z0-9_+]{0,11}|7z)"
# Ids and numbers follow full stops, too: `E2K.2026-01-01-05.d6225675.gz`, `gfs.t06z.f003`.
_NO_ENDING = r"^\.(?:(?:[^0-9]*[0-9]){4}|[0-9a-f]{8,}$|[a-gi-z][0-9]{3}$)"
_COMPRESSED = frozenset(ending for endings in COMPRESSIONS.values() for ending in endings)
_HIVE, _DATED, _NUMBER, _PRIVATE, _WORD = 1, 2, 3, 4, 5
_LITERAL = 0


class Example(NamedTuple):
    """An example object: its key, size in bytes, and time in microseconds since 1970."""

    key: str
    size: int
    time: int


@dataclass(slots=True)
class Values:
    """The values of a wildcard: texts, up to a limit, and whether there were more."""

    texts: set[str] = field(default_factory=set)
    more: bool = False

    def add(self, texts: Iterable[str]) -> None:
        """Add values; beyond the limit keep a sample with the smallest and the greatest."""
        if self.more and (texts := [*texts]):
            texts = (min(texts), max(texts))
        self.texts.update(texts)
        if len(self.texts) > _MOST_VALUES:
            ordered = sorted(self.texts)
            self.texts, self.more = {*ordered[:: len(ordered) // 1_000], ordered[-1]}, True

    def merge(self, other: Values) -> None:
        """Add the values of another."""
        self.add(other.texts)
        self.more = self.more or other.more


@dataclass(slots=True)
class Leaf:
    """Objects whose folders and names have the same template.

    Attributes:
        folders: names of the folders, with `WILD` for any text; `k=WILD` is a Hive partition.
        ending: ending of the names, including that of a compression.
        stem: names without their endings, with `WILD` for digits and ids.
        objects, bytes, small: number of objects, their bytes, and the number below `SMALL`.
        oldest, newest: the oldest and the newest object.
        values: values of each wildcard in `folders`, by its index.
        places: one object of each folder, or several if there is only one folder, unordered.
    """

    folders: tuple[str, ...]
    ending: str
    stem: str
    objects: int = 0
    bytes: int = 0
    small: int = 0
    oldest: Example | None = None
    newest: Example | None = None
    values: dict[int, Values] = field(default_factory=dict)
    places: dict[str, Example] = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        """Whether the objects are metadata, work in progress or folder markers, by their folders or names."""
        own = self.folders[-1:] and is_private_folder(self.folders[-1])
        marker = not self.stem and not self.ending
        return bool(own) or marker or self.stem[:1] in {"_", "."} or f"{self.stem}{self.ending}".endswith("_$folder$")

    def count(self, objects: int, size: int, small: int, ends: tuple[Example, Example]) -> None:
        """Add a number of objects, with the oldest and the newest of them."""
        self.objects += objects
        self.bytes += size
        self.small += small
        if self.oldest is None or ends[0].time < self.oldest.time:
            self.oldest = ends[0]
        if self.newest is None or ends[1].time >= self.newest.time:
            self.newest = ends[1]

    def place(self, examples: Iterable[Example]) -> None:
        """Add examples; past a limit, drop every other one."""
        for example in examples:
            self.places[example.key] = example
        if len(self.places) > 2 * _MOST_PLACES:
            ordered = sorted(self.places)
            self.places = {key: self.places[key] for key in (*ordered[::2], ordered[-1])}

    def merge(self, other: Leaf) -> None:
        """Add the counts of another leaf."""
        if other.oldest and other.newest:
            self.count(other.objects, other.bytes, other.small, (other.oldest, other.newest))
        for place, values in other.values.items():
            self.values.setdefault(place, Values()).merge(values)
        self.place(other.places.values())


def wildcard(name: str) -> str:
    """Return the template of a folder's name: for a Hive partition any value, otherwise any name."""
    return name[: name.find("=") + 1] + WILD


def is_private_folder(name: str) -> bool:
    """Whether a folder's name begins with `_` or `.`, as for work in progress; `_name=value` is data."""
    return name[:1] in {"_", "."} and "=" not in name and name not in {".", ".."}


class Layout:
    """Counts the pages of a listing, in memory that grows with the number of templates.

    Args:
        bucket: name of the bucket.
        prefix: prefix of all keys; its complete folders are not part of the templates.
        depth: folders below it to tell apart; None for all.
    """

    def __init__(self, bucket: str, prefix: str, depth: int | None = None) -> None:
        self.base = prefix[: prefix.rfind("/") + 1]
        self.roots: dict[str, LakeRoot] = {}
        self.notes: dict[str, list[Example]] = {}
        self.bucket, self._depth = bucket, depth
        self._skipped = len(self.base.encode())
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._leaves: dict[tuple[str, str, str], Leaf] = {}
        self._folded: set[str] = set()

    def add(self, objects: pa.RecordBatch) -> None:
        """Count the rows of a page; needs the columns key, size and last_modified."""
        self._waiting.append(objects.select(["key", "size", "last_modified"]))
        self._rows += objects.num_rows
        if self._rows >= _ROWS:
            self._count_waiting()

    def begin_again(self) -> None:
        """Forget the counts, since all pages come again."""
        self._waiting, self._rows, self._leaves = [], 0, {}

    def lacks_rows(self) -> bool:
        """Return False: a second listing is trusted even though the first one had no order."""
        return False

    def table(self) -> pa.Table:
        """Return the number of objects counted, for errors of a scan."""
        return pa.table({"objects": [sum(leaf.objects for leaf in self.leaves())]})

    def leaves(self) -> list[Leaf]:
        """Return the leaves counted so far."""
        self._count_waiting()
        return list(self._leaves.values())

    def _count_waiting(self) -> None:
        waiting, self._waiting, self._rows = self._waiting, [], 0
        waiting = [batch for batch in waiting if batch.num_rows]
        if waiting:
            self._count(_Rows(pa.Table.from_batches(waiting).combine_chunks().to_batches()[0], self._skipped))
            if len(self._leaves) > _MOST_LEAVES:
                self._fold()

    def _count(self, rows: _Rows) -> None:
        folders = _Folders(rows.folders.dictionary, self._depth)
        self._note_tables(rows)
        groups = _Groups.of(rows, folders)
        for at, (template, ending, stem) in enumerate(groups.names):
            key = (self._shortened(template), ending, stem)
            leaf = self._leaves.get(key)
            if leaf is None:
                leaf = self._leaves[key] = Leaf(tuple(key[0].split("/")[:-1]), ending, stem)
            leaf.count(*groups.counts(at), (groups.example(groups.oldest[at]), groups.example(groups.newest[at])))
            codes, examples = groups.places(at)
            self._note_values(leaf, folders, codes)
            leaf.place(examples)

    def _note_values(self, leaf: Leaf, folders: _Folders, codes: _Numbers) -> None:
        for place, name in enumerate(leaf.folders):
            if WILD in name and name != DEEP:
                leaf.values.setdefault(place, Values()).add(folders.texts(codes, place))

    def _note_tables(self, rows: _Rows) -> None:
        """Find the folders of lake tables by their metadata folders, and keep the keys of the metadata."""
        names = rows.folders.dictionary
        own = [pc.ends_with(names, folder) for folder in (LOG, NOTES, TIMELINE)]
        codes = np.flatnonzero(pc.or_(pc.or_(own[0], own[1]), own[2]).to_numpy(zero_copy_only=False))
        for code in codes.tolist():
            folder = self.base + names[code].as_py()
            at = np.flatnonzero(rows.folder_codes == code)
            kept = self.notes.setdefault(folder, [])
            examples = [rows.example(row) for row in at.tolist()]
            for key, root in tables_among(self.bucket, (example.key for example in examples)).items():
                self.roots.setdefault(key, root)
            kept += examples
            if len(kept) > _MOST_NOTES:
                self.notes[folder] = [kept[0], *sorted(kept)[-_MOST_NOTES // 2 :]]

    # Too many folders

    def _shortened(self, template: str) -> str:
        """Return a template with wildcards for folders in a folder that has too many of them."""
        if not self._folded:
            return template
        shortened = ""
        for name in template.split("/")[:-1]:
            shortened += (wildcard(name) if shortened in self._folded and name != DEEP else name) + "/"
        return shortened

    def _fold(self) -> None:
        """Stop telling apart the folders in the folders that hold most of them, until few leaves are left."""
        siblings, most = dict[str, set[str]](), _MOST_SIBLINGS
        for leaf in self._leaves.values():
            for place, name in enumerate(leaf.folders):
                if WILD not in name:
                    siblings.setdefault("".join(f"{each}/" for each in leaf.folders[:place]), set()).add(name)
        while len(self._leaves) > _MOST_LEAVES // 2 and most:
            self._folded |= {folder for folder, names in siblings.items() if len(names) > most}
            before, self._leaves = self._leaves, {}
            for leaf in before.values():
                self._add_leaf(leaf)
            most //= 2

    def _add_leaf(self, leaf: Leaf) -> None:
        template = self._shortened("".join(f"{name}/" for name in leaf.folders))
        folders = tuple(template.split("/")[:-1])
        for place, (now, before) in enumerate(zip(folders, leaf.folders, strict=True)):
            if now != before:
                leaf.values.setdefault(place, Values()).add([before])
        leaf.folders = folders
        key = (template, leaf.ending, leaf.stem)
        if key in self._leaves:
            self._leaves[key].merge(leaf)
        else:
            self._leaves[key] = leaf


class _Rows:
    """Rows of a listing with their keys split, by whole columns."""

    def __init__(self, objects: pa.RecordBatch, skipped: int) -> None:
        self.keys = objects.column("key")
        self.sizes: _Numbers = objects.column("size").fill_null(0).to_numpy(zero_copy_only=False)
        times = objects.column("last_modified").cast(pa.int64()).fill_null(0)
        self.times: _Numbers = times.to_numpy(zero_copy_only=False)
        _, offsets, data = self.keys.buffers()
        bounds = np.frombuffer(offsets, np.int32, len(self.keys) + 1, 4 * self.keys.offset).astype(np.int64)
        content = np.frombuffer(data or b"", np.uint8)
        self._data, self._bytes = data, content
        begins, ends = bounds[:-1] + skipped, bounds[1:]
        names = _last_within(np.flatnonzero(content == _SLASH), begins, ends) + 1
        names = np.where(names > 0, names, begins)
        dots = np.flatnonzero(content == _FULL_STOP)
        self.folders = texts_at(data, begins, names).dictionary_encode()
        self.folder_codes: _Numbers = self.folders.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        endings, self.endings = self._endings(dots, names, ends)
        stems = texts_at(data, names, endings)
        self.stems = _skeletons(stems)

    def _endings(self, dots: _Numbers, names: _Numbers, ends: _Numbers) -> tuple[_Numbers, pa.DictionaryArray]:
        """Return where the endings of names begin, and the endings; those that are not words do not count."""
        last = _last_within(dots, names + 1, ends)
        starts = np.where(last >= 0, last, ends)
        written = texts_at(self._data, starts, ends).dictionary_encode()
        codes = written.indices.to_numpy(zero_copy_only=False)
        words = _are_endings(written.dictionary)
        packed = np.array([ending.lower() in _COMPRESSED for ending in written.dictionary.to_pylist()], bool)
        starts = np.where(words[codes], starts, ends)
        if packed.any():
            inner = _last_within(dots, names + 1, starts)
            inner = np.where(packed[codes] & (inner >= 0), inner, starts)
            before = texts_at(self._data, inner, starts).dictionary_encode()
            known = _are_endings(before.dictionary)[before.indices.to_numpy(zero_copy_only=False)]
            starts = np.where(known, inner, starts)
        last_of = texts_at(self._data, starts, ends).dictionary_encode()
        return starts, last_of

    def example(self, row: int) -> Example:
        return Example(self.keys[row].as_py(), int(self.sizes[row]), int(self.times[row]))


def _are_endings(texts: pa.StringArray) -> npt.NDArray[np.bool_]:
    """Return for each text whether it is the ending of a format."""
    words, ids = (np.array(pc.match_substring_regex(texts, each), bool) for each in (f"^{_ENDING}$", _NO_ENDING))
    fits: npt.NDArray[np.bool_] = words & ~ids
    return fits


def _last_within(places: _Numbers, begins: _Numbers, ends: _Numbers) -> _Numbers:
    """Return the last of some ascending positions within each range; -1 if there is none."""
    if not len(places):
        return np.full(len(begins), -1, np.int64)
    at = np.searchsorted(places, ends) - 1
    last_of = np.where(at >= 0, places[at], -1)
    return np.where(last_of >= begins, last_of, -1)


def _with_texts(encoded: pa.DictionaryArray, texts: pa.StringArray) -> pa.DictionaryArray:
    """Return the same values with other texts, some of which may be equal."""
    again = texts.dictionary_encode()
    return pa.DictionaryArray.from_arrays(again.indices.take(encoded.indices), again.dictionary)


def _skeletons(stems: pa.StringArray) -> pa.DictionaryArray:
    """Return names without what distinguishes the files of a set: digits, dates, ids."""
    sample = stems.take(pa.array(np.linspace(0, len(stems) - 1, min(len(stems), _SAMPLE)).astype(np.int64)))
    if len(stems) <= _SAMPLE * 8:
        stems = pc.replace_substring_regex(stems, rf"{_UUID}|\b(?:[0-9a-f]{{8,}}|[0-9A-F]{{8,}})\b", "0")
    elif len(_without_digits(sample).unique()) > _SAMPLE // 8:
        return _up_to_ids(stems)
    encoded = _without_digits(stems).dictionary_encode()
    texts = encoded.dictionary
    # A word with letters and several numbers is an id, and so are consecutive numbers.
    for pattern in (rf"[A-Za-z]*{WILD}[A-Za-z]+{WILD}[A-Za-z{WILD}]*", rf"{WILD}(?:[-_.: T+]{{1,2}}{WILD})+"):
        texts = pc.replace_substring_regex(texts, pattern, WILD)
    return _with_texts(encoded, texts)


def _up_to_ids(stems: pa.StringArray) -> pa.DictionaryArray:
    """Return names up to the word with the first digit: ids all differ, and what follows tells no more."""
    bounds, content = _content(stems)
    digits = np.flatnonzero((content >= _ZERO) & (content <= _NINE))
    first = np.append(digits, len(content))[np.searchsorted(digits, bounds[:-1])]
    has = first < bounds[1:]
    marks = np.flatnonzero(_MARKS[content])
    words = np.maximum(_last_within(marks, bounds[:-1], np.where(has, first, bounds[:-1])) + 1, bounds[:-1])
    heads = texts_at(pa.py_buffer(content), bounds[:-1], np.where(has, words, bounds[1:])).dictionary_encode()
    codes = heads.indices.to_numpy(zero_copy_only=False) + len(heads.dictionary) * has
    plain = pc.replace_substring_regex(heads.dictionary, "^[a-f]{8}-(?:[a-f]{4}-)*$", "")
    every = pa.concat_arrays([heads.dictionary, pc.binary_join_element_wise(plain, WILD, "")])
    return _with_texts(pa.DictionaryArray.from_arrays(pa.array(codes), every), every)


def _content(texts: pa.StringArray) -> tuple[_Numbers, npt.NDArray[np.uint8]]:
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset).astype(np.int64)
    return bounds, np.frombuffer(data or b"", np.uint8)[: bounds[-1]]


def _without_digits(texts: pa.StringArray) -> pa.StringArray:
    """Return the texts with `WILD` in place of each number."""
    bounds, content = _content(texts)
    content = content.copy()
    digits = (content >= _ZERO) & (content <= _NINE)
    begins = np.zeros(len(content) + 1, bool)
    begins[bounds] = True
    kept = np.ones(len(content), bool)
    kept[1:] = ~(digits[1:] & digits[:-1]) | begins[1:-1]
    content[digits] = 0
    ends = np.concatenate([[0], np.cumsum(kept, dtype=np.int32)])[bounds].astype(np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(content[kept]))


class _Folders:
    """Folders, each once, and their templates."""

    def __init__(self, names: pa.StringArray, depth: int | None) -> None:
        lists = pc.split_pattern(names, "/")
        self._bounds: _Numbers = lists.offsets.to_numpy().astype(np.int64)
        encoded = lists.flatten().dictionary_encode()
        self._segments = encoded.dictionary
        self._codes: _Numbers = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        templates, kinds = _segment_templates(self._segments)
        every, count = pa.concat_arrays([templates, self._segments, pa.array([WILD, DEEP])]), len(self._segments)
        kind = kinds[self._codes]
        is_date = (kind == _DATED).astype(np.int64)
        dates = np.cumsum(is_date) - is_date
        lengths = np.diff(self._bounds)
        firsts = np.repeat(self._bounds[:-1], lengths)
        dated = dates - dates[firsts] > 0
        # A number below a date is part of the date; elsewhere it may be a name.
        literal = np.isin(kind, (_LITERAL, _PRIVATE, _WORD)) | ((kind == _NUMBER) & ~dated)
        codes = self._codes + count * literal
        places, last = np.arange(len(codes)) - firsts, np.repeat(lengths, lengths) - 1
        if depth is not None:
            codes = np.where((places >= depth) & (places < last), 2 * count + 1, codes)
        if len(names) > _MOST_SIBLINGS:
            named = (codes >= count) & (codes < 2 * count) & (kind != _PRIVATE) & (places < last)
            self._fold(codes, named, np.where(kind == _WORD, self._codes, 2 * count))
        made = every.take(pa.array(codes))
        joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(self._bounds, pa.int32()), made), "/")
        if depth is not None:
            joined = pc.replace_substring_regex(joined, f"(?:{DEEP}/)+", f"{DEEP}/")
        self.own = np.add.reduceat(kind == _PRIVATE, self._bounds[:-1]) > 0
        if self.own.any():
            joined = pc.replace_substring_regex(joined, r"^((?:[^/_.][^/]*/|/|_[^/=]*=[^/]*/)*[_.][^/=]*/).*", r"\1")
        self.templates = joined.dictionary_encode()

    def _fold(self, codes: _Numbers, named: npt.NDArray[np.bool_], wildcards: _Numbers) -> None:
        """Replace by wildcards, in place, the names of folders in a folder that has too many."""
        above, lengths = np.zeros(len(self._bounds) - 1, np.int64), np.diff(self._bounds)
        most = 2 * len(self._segments) + 1
        for place in range(int(lengths.max()) - 1):
            at = np.minimum(self._bounds[:-1] + place, len(codes) - 1)
            there = (place < lengths - 1) & named[at]
            pairs = np.unique(above * (most + 1) + np.where(there, codes[at], most))
            folders, counts = np.unique(pairs // (most + 1), return_counts=True)
            full = there & np.isin(above, folders[counts > _MOST_SIBLINGS])
            codes[at[full]] = wildcards[at[full]]
            _, above = np.unique(above * (most + 1) + codes[at], return_inverse=True)

    def texts(self, codes: _Numbers, place: int) -> list[str]:
        """Return the distinct names that some folders have at an index; for Hive partitions the values."""
        at = self._bounds[codes] + place
        segments = np.unique(self._codes[at[at < self._bounds[codes + 1] - 1]])
        return list(self._segments.take(pa.array(segments)).to_pylist())


def _segment_templates(segments: pa.StringArray) -> tuple[pa.StringArray, npt.NDArray[np.int8]]:
    """Return the template of each folder name that may have one, and its kind."""

    def matching(pattern: str) -> npt.NDArray[np.bool_]:
        return np.array(pc.match_substring_regex(segments, pattern), bool)

    kinds = np.zeros(len(segments), np.int8)
    kinds[matching("^[0-9]+$")] = _NUMBER
    kinds[matching(f"^(?:{_UUID}|{_HASH}|[0-9]{{9,}})$")] = _DATED
    kinds[matching(_DATE_WITHIN)] = _DATED
    kinds[matching(f"^{_DATE}$")] = _DATED
    kinds[matching("^[^=]+=")] = _HIVE
    # A word may name a table; the columns tell whether the folders are one dataset.
    kinds[matching(r"^[^=]+=\pL[\pL_. %-]*[0-9]{0,2}$")] = _WORD
    kinds[matching("^[_.][^=]*$") & ~matching(r"^\.{1,2}$")] = _PRIVATE
    hive = pc.replace_substring_regex(segments, "(?s)^([^=]+)=.*$", rf"\1={WILD}")
    dated = pc.replace_substring_regex(segments, f"(?:{_UUID})|(?:{_DATE_WITHIN})", WILD)
    dated = pc.if_else(pa.array(matching(f"^(?:{_UUID}|{_HASH}|[0-9]+|{_DATE})$")), WILD, dated)
    return pc.if_else(pa.array(np.isin(kinds, (_HIVE, _WORD))), hive, dated), kinds


class _Groups(NamedTuple):
    """Rows grouped by template, ending and stem, with the totals and row positions of each group."""

    rows: _Rows
    names: list[tuple[str, str, str]]
    numbers: _Numbers
    oldest: _Numbers
    newest: _Numbers
    pairs: tuple[_Numbers, _Numbers, _Numbers]
    order: _Numbers
    bounds: _Numbers

    @classmethod
    def of(cls, rows: _Rows, folders: _Folders) -> _Groups:
        templates = folders.templates.indices.to_numpy(zero_copy_only=False).astype(np.int64)[rows.folder_codes]
        endings = [*rows.endings.dictionary.to_pylist(), ""]
        stems = [*rows.stems.dictionary.to_pylist(), "", WILD]
        ending: _Numbers = rows.endings.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        stem: _Numbers = rows.stems.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        if np.any(folders.own):
            own = folders.own[rows.folder_codes]
            ending, stem = np.where(own, len(endings) - 1, ending), np.where(own, len(stems) - 2, stem)
        named = templates * len(endings) + ending
        if len(stems) > _MOST_STEMS:
            several, counts = np.unique(_encoded(named * len(stems) + stem)[1] // len(stems), return_counts=True)
            stem = np.where(np.isin(named, several[counts > _MOST_STEMS]), len(stems) - 1, stem)
        which, codes = _encoded(named * len(stems) + stem)
        texts = folders.templates.dictionary
        names = [
            (
                texts[code // len(stems) // len(endings)].as_py(),
                endings[code // len(stems) % len(endings)],
                stems[code % len(stems)],
            )
            for code in codes.tolist()
        ]
        counts = np.bincount(which, minlength=len(codes))
        last = np.cumsum(counts)
        order = np.argsort(which.astype(np.uint16) if len(codes) < _MOST_CODES else which, kind="stable")
        times = rows.times[order]
        numbers = [np.bincount(which, weights=of, minlength=len(codes)) for of in (rows.sizes, rows.sizes < SMALL)]
        return cls(
            rows,
            names,
            np.stack([counts, *numbers]).astype(np.int64),
            order[_first_at(times, np.minimum.reduceat(times, last - counts), counts, last)],
            order[_first_at(times, np.maximum.reduceat(times, last - counts), counts, last)],
            _first_of_each(which, rows.folder_codes, len(rows.folders.dictionary)),
            order,
            np.stack([last - counts, last]),
        )

    def counts(self, at: int) -> tuple[int, int, int]:
        objects, size, small = self.numbers[:, at].tolist()
        return objects, size, small

    def example(self, row: int) -> Example:
        return self.rows.example(int(row))

    def places(self, at: int) -> tuple[_Numbers, Iterator[Example]]:
        """Return the folders of a group, and an example of each; of some if there are very many."""
        groups, folders, first = self.pairs
        begin, end = np.searchsorted(groups, [at, at + 1])
        rows = first[begin:end]
        if len(rows) == 1:
            low, high = self.bounds[:, at].tolist()
            rows = np.unique(np.linspace(low, high - 1, _PLACES_OF_ONE).astype(np.int64))
            rows = np.sort(self.order[rows])
        return folders[begin:end], map(self.example, rows[:: max(1, len(rows) // _PLACES_AT_ONCE)].tolist())


def _first_of_each(which: _Numbers, folders: _Numbers, count: int) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Return group, folder and first row of each existing pair of group and folder, in the order of the groups."""
    seen, pairs = _encoded(which * count + folders)
    first = np.flatnonzero(np.diff(np.maximum.accumulate(seen), prepend=-1))
    order = np.argsort(pairs)
    return pairs[order] // count, pairs[order] % count, first[order]


_MOST_CODES = 65_536


def _encoded(codes: _Numbers) -> tuple[_Numbers, _Numbers]:
    """Return each number's index among the distinct ones, and the distinct ones in order of appearance."""
    encoded = pa.array(codes).dictionary_encode()
    places: _Numbers = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return places, encoded.dictionary.to_numpy(zero_copy_only=False)


def _first_at(times: _Numbers, wanted: _Numbers, counts: _Numbers, last: _Numbers) -> _Numbers:
    """Return the first row of each group with the wanted time, from times in the order of the groups."""
    places = np.flatnonzero(times == np.repeat(wanted, counts))
    return places[np.searchsorted(places, last - counts)]
