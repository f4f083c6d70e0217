"""DISCOVER: find the datasets in a bucket by one listing and a few looks into its objects."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.datasets.layout import DEEP, WILD, Leaf
from s3conn_magic.datasets.portrait import (
    NAMED,
    Dataset,
    Part,
    before_wild,
    endings_pattern,
    family_of,
    is_opaque,
    is_read,
    measure,
    names_pattern,
    other_objects,
    partitions_of,
    pattern_of_any,
    reason,
    rows_of,
    shown_format,
    store_of,
    summed,
)
from s3conn_magic.datasets.sampling import Sampler, are_related, differences, equal, lake_columns, spread
from s3conn_magic.lakes import OWN_FOLDER
from s3conn_magic.language.words import literal
from s3conn_magic.objects.formats import by_name
from s3conn_magic.objects.listed import escaped
from s3conn_magic.runtime.patterns import Glob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3conn_magic.datasets.layout import Example, Layout
    from s3conn_magic.datasets.sampling import Sample
    from s3conn_magic.lakes import LakeRoot

LOOKS = 4
"""Looks into the objects of a dataset, unless SAMPLE sets another number."""
_LEAST_OBJECTS, _ENOUGH_JOINED = 3, 3
_FEW_STORES, _NAMED = 8, re.compile(r"\.[a-z]+$")
_MOST_TABLES = 200
_Form = tuple[int, str, frozenset[str]]


class Finder:
    """Finds datasets in a counted listing.

    Args:
        layout: the counted listing.
        sampler: looks into objects.
        looks: looks for each dataset.
        named: returns the location of a key or pattern as a query writes it.
    """

    def __init__(
        self,
        layout: Layout,
        sampler: Sampler,
        looks: int,
        named: Callable[[str], str],
    ) -> None:
        self._layout, self._sampler, self._looks = layout, sampler, looks
        self._named = named
        self._rejected: set[tuple[tuple[str, ...], frozenset[str]]] = set()
        self._alike: set[tuple[_Form, int, str]] = set()
        self._without_rows: set[_Form] = set()

    def datasets(self) -> list[Dataset]:
        """Return the datasets, most bytes first, and one for the objects in none of them."""
        leaves = [leaf for leaf in self._layout.leaves() if leaf.objects]
        tables, leaves = self._lakes(leaves)
        stores, leaves = self._stores(leaves)
        private = [leaf for leaf in leaves if leaf.is_private]
        parts = [
            Part(leaf.folders, frozenset([leaf.stem]), frozenset([leaf.ending]), leaf)
            for leaf in leaves
            if not leaf.is_private
        ]
        parts = self._join_parts(parts)
        ours = [part for part in parts if self._is_dataset(part)]
        self._look_at_ends(ours)
        drifts = self._drifts(ours)
        made = [*tables, *stores, *(self._dataset(part, drift, ours) for part, drift in zip(ours, drifts, strict=True))]
        made.sort(key=lambda each: -each.bytes)
        kept = {id(part) for part in ours}
        rest = [*private, *(part.leaf for part in parts if id(part) not in kept)]
        return [*made, other_objects(rest)] if rest else made

    # Lake tables

    def _lakes(self, leaves: list[Leaf]) -> tuple[list[Dataset], list[Leaf]]:
        """Return the lake tables, and the leaves outside; of nested tables the outer one counts."""
        base = self._layout.base
        roots: list[tuple[str, LakeRoot]] = []
        for key, root in sorted(self._layout.roots.items()):
            if not any(key.startswith(outer) for outer, _ in roots):
                roots.append((key, root))
        if not roots:
            return [], leaves
        made, rest = [], leaves
        for key, root in roots:
            own = [leaf for leaf in rest if _is_within(leaf, key.removeprefix(base))]
            rest = [leaf for leaf in rest if not _is_within(leaf, key.removeprefix(base))]
            made.append(self._lake(root, own))
        return made, rest

    def _lake(self, root: LakeRoot, leaves: Sequence[Leaf]) -> Dataset:
        folder = root.location.key
        own = OWN_FOLDER[root.format]
        notes = [each for key, some in self._layout.notes.items() if key.startswith(f"{folder}{own}") for each in some]
        sample = lake_columns(self._sampler.content, root.format, notes) if self._looks else None
        total = summed(leaves)
        files = [leaf for leaf in leaves if not leaf.is_private and f"{own}" not in "/".join((*leaf.folders, ""))]
        most = max(files, key=lambda leaf: leaf.bytes, default=None)
        named = self._named(folder)
        dataset = Dataset(
            f"s3://{root.location.bucket}/{folder}",
            root.format.lower(),
            family_of(most.ending) if most else "",
            f"the {root.format} table whose notes are in {own}",
            query=_rows_of(literal(named)),
            named=named,
        )
        measure(dataset, total)
        if sample is not None:
            dataset.columns, dataset.rows = sample.columns, sample.rows
            dataset.bound = "exact" if sample.rows is not None else "unknown"
        return dataset

    def _stores(self, leaves: list[Leaf]) -> tuple[list[Dataset], list[Leaf]]:
        """Return stores of arrays and the like, and the leaves outside; of nested stores the outer one counts.

        Many stores in one folder are one dataset.
        """
        roots: dict[tuple[str, ...], str] = {}
        marked = [(root, format_) for leaf in leaves for format_, root in [store_of(leaf)] if format_]
        for root, format_ in sorted(marked, key=lambda each: len(each[0])):
            if not any(root[:depth] in roots for depth in range(len(root) + 1)):
                roots[root] = format_
        if not roots:
            return [], leaves
        beside = Counter((root[:-1], format_) for root, format_ in roots.items() if root)
        places: dict[tuple[str, ...], tuple[str, list[Leaf]]] = {}
        rest: list[Leaf] = []
        for leaf in leaves:
            own = next((leaf.folders[:at] for at in range(len(leaf.folders) + 1) if leaf.folders[:at] in roots), None)
            if own is None:
                rest.append(leaf)
                continue
            many = beside[own[:-1], roots[own]] > _FEW_STORES
            place = (*own[:-1], WILD + "".join(_NAMED.findall(own[-1]))) if many else own
            places.setdefault(place, (roots[own], []))[1].append(leaf)
        return [self._store(place, format_, own) for place, (format_, own) in places.items()], rest

    def _store(self, folders: tuple[str, ...], format_: str, leaves: Sequence[Leaf]) -> Dataset:
        part = Part(folders, frozenset(), frozenset(), summed(leaves))
        place = self._written(part, frozenset())
        stores = f"{format_} stores in folders beside each other" if WILD in "/".join(folders) else f"a {format_} store"
        dataset = Dataset(f"s3://{self._layout_bucket}/{place}", "files", format_, f"{stores}, as its metadata says")
        measure(dataset, part.leaf)
        dataset.query = self._query(part, dataset, is_table=False)
        return dataset

    # Joining parts

    def _join_parts(self, parts: list[Part]) -> list[Part]:
        deepest = max((len(part.folders) for part in parts), default=0)
        self._look_across(parts)
        for place in range(deepest):
            parts = self._join_folders(parts, place, lambda part: (part.family, part.stems))
        parts = self._join_names(parts)
        for place in range(deepest):
            parts = self._join_folders(parts, place, lambda part: (part.family,))
        return [part.with_partitions() for part in parts]

    def _look_across(self, parts: list[Part]) -> None:
        """Note, by a few looks, which parts have the same columns throughout a tree of folders.

        That is all objects of one form of name, or those in which one folder has the same name, as tables have. In a
        full grid of folders the first and the last differ in every place.
        """
        groups: dict[_Form, list[Part]] = {}
        for part in parts:
            groups.setdefault(_form_of(part), []).append(part)
        for form, group in groups.items():
            if len(group) <= LOOKS or is_opaque(group[0]):
                continue
            if self._is_alike(self._samples_of(group), group):
                self._alike.add((form, -1, ""))
                continue
            places = [
                (len(names), place) for place, names in _names_by_place(group).items() if 1 < len(names) <= _MOST_TABLES
            ]
            for _, place in sorted(places):
                tables: dict[str, list[Part]] = {}
                for part in group:
                    tables.setdefault(part.folders[place], []).append(part)
                if all(self._is_alike(self._samples_of(table, again=True), table) for table in tables.values()):
                    self._alike |= {(form, place, name) for name in tables}
                    break

    def _is_alike(self, seen: Sequence[tuple[Part, Sample]], group: Sequence[Part]) -> bool:
        enough = len(seen) >= min(len(group), LOOKS)
        return enough and all(_one(seen[0][1], sample, group) for _, sample in seen[1:])

    def _is_known_alike(self, group: Sequence[Part], place: int) -> bool:
        """Whether parts that differ in one folder are known to be one dataset, from looks into others like them."""
        first, forms = group[0], {_form_of(part) for part in group}
        fixed = [(-1, ""), *((at, name) for at, name in enumerate(first.folders) if at != place)]
        return len(forms) == 1 and any((_form_of(first), *each) in self._alike for each in fixed)

    def _samples_of(self, group: Sequence[Part], *, again: bool = False) -> list[tuple[Part, Sample]]:
        """Look into some parts of a group, far apart; with `again`, parts already looked into come first."""
        ordered = sorted(group, key=lambda part: min(part.leaf.places, default=""))
        most = max(LOOKS, self._looks)
        known = [part for part in ordered if self._looked_into(part)] if again else []
        chosen = spread(known, most)
        chosen += spread([part for part in ordered if part not in known], most - len(chosen))
        samples = self._seen([self._looked_into(part) or _representative(part) for part in chosen])
        return [(part, sample) for part, sample in zip(chosen, samples, strict=True) if sample is not None]

    def _looked_into(self, part: Part) -> Example | None:
        """Return the last of a part's objects that was looked into."""
        return next((each for each in reversed(part.in_order) if self._sampler.known(each)), None)

    def _join_folders(self, parts: list[Part], place: int, alike: Callable[[Part], tuple[object, ...]]) -> list[Part]:
        """Join parts that differ only in one folder."""
        groups: dict[object, list[Part]] = {}
        for part in parts:
            key = _place_key(part, place)
            where = (part.folders, id(part)) if key is None else (part.folders[:place], key, part.folders[place + 1 :])
            groups.setdefault((where, *alike(part)), []).append(part)
        made, presumed = list[Part](), dict[object, int]()
        for group in groups.values():
            siblings = (group[0].folders[:place], frozenset(part.folders[place] for part in group if len(group) > 1))
            if len(siblings[1]) < len(group) or len(group) < 2 or self._is_rejected(siblings):  # noqa: PLR2004
                made += group
                continue
            same = (siblings, group[0].family)
            if presumed.get(same, 0) > _ENOUGH_JOINED:
                joined = [Part.joined(group, place)]
            else:
                joined = self._if_alike(group, place)
                presumed[same] = presumed.get(same, 0) + (len(joined) == 1)
            if len(joined) == len(group):
                self._rejected.add(siblings)
            made += joined
        return made

    def _is_rejected(self, siblings: tuple[tuple[str, ...], frozenset[str]]) -> bool:
        return any(folder == siblings[0] and names >= siblings[1] for folder, names in self._rejected)

    def _join_names(self, parts: list[Part]) -> list[Part]:
        """Join parts in the same folders whose file names differ."""
        groups: dict[tuple[tuple[str, ...], str], list[Part]] = {}
        for part in parts:
            groups.setdefault((part.folders, part.family), []).append(part)
        made = list[Part]()
        for group in groups.values():
            same = dict[frozenset[str], list[Part]]()
            for part in group:
                same.setdefault(part.stems, []).append(part)
            # The same name with several endings, compressed or not.
            packed = [each for some in same.values() for each in (self._if_alike(some, None) if some[1:] else some)]
            made += self._if_alike(packed, None) if len(packed) > 1 else packed
        return made

    def _if_alike(self, group: list[Part], place: int | None) -> list[Part]:
        """Return the parts of a group that are one dataset as one part, and the others unchanged."""
        if all(is_opaque(part) for part in group) or (place is not None and self._is_known_alike(group, place)):
            return [Part.joined(group, place)]
        hive = place is not None and "=" in group[0].folders[place]
        ordered = place is not None and len({re.sub(r"\d+", "#", part.folders[place]) for part in group}) == 1
        ordered = ordered or (place is None and WILD in "".join(group[0].folders) and not _beside(group))
        seen = self._samples_of(group)
        if not seen:
            return [Part.joined(group, place)] if place is None or ordered or hive else group
        alike = partial(_one, group=group, place=place, ordered=ordered)
        first = max(seen, key=lambda each: len(each[1].columns or ()))[1] if hive else seen[0][1]
        if all(_has_only_columns(sample, first) if hive else alike(first, sample) for _, sample in seen):
            return [Part.joined(group, place)] if len(seen) >= min(len(group), LOOKS) else group
        return _clustered(seen, place) if len(group) == len(seen) else group

    def _seen(self, examples: Sequence[Example | None]) -> list[Sample | None]:
        wanted = [each for each in examples if each is not None] if self._looks else []
        samples = dict(zip([each.key for each in wanted], self._sampler.look(wanted), strict=True))
        return [samples.get(each.key) if each else None for each in examples]

    def _is_dataset(self, part: Part) -> bool:
        """Whether a part is a dataset: a table, or enough objects of another kind."""
        if is_read(part.family) or part.leaf.objects >= _LEAST_OBJECTS:
            return True
        if is_opaque(part) or _form_of(part) in self._without_rows:
            return False
        sample = next(iter(self._seen([_representative(part)])), None)
        if sample is not None and sample.columns is not None:
            return True
        self._without_rows.add(_form_of(part))
        return False

    # Changes of columns

    def _look_at_ends(self, parts: Sequence[Part]) -> None:
        """Look at the first and the last object of each part, and between them as long as looks are left."""
        if not self._looks:
            return
        several = [part for part in parts if not is_opaque(part)]
        # One look each, even if other objects have used up the looks.
        self._seen([_representative(part) for part in several if self._looked_into(part) is None])
        for count in range(1, self._looks + 1):
            wanted = [each for part in several for each in spread(part.in_order, min(count, 2))]
            wanted = [each for each in wanted if self._sampler.known(each) is None]
            if count <= 2 and len(wanted) <= self._left(parts):  # noqa: PLR2004 - both ends
                self._seen(wanted)

    def _left(self, parts: Sequence[Part]) -> int:
        return self._looks * (len(parts) + len(self._layout.roots)) - self._sampler.requests

    def _drifts(self, parts: Sequence[Part]) -> list[str]:
        drifts = []
        for part in parts:
            examples = part.in_order
            ends = [self._sampler.known(each) for each in (examples[:1] + examples[-1:])] if examples else []
            before, after = ends if len(ends) == 2 else (None, None)  # noqa: PLR2004
            drift = ""
            if before and after and before.columns and after.columns and differences(before, after):
                drift = self._drift(part, parts, examples)
            drifts.append(drift)
        for part, drift in zip(parts, drifts, strict=True):
            if not drift and not is_opaque(part) and len(part.in_order) > 2 and self._left(parts) > 0:  # noqa: PLR2004
                between = spread(part.in_order, min(self._looks, self._left(parts) + 2))[1:-1]
                self._seen([each for each in between if self._sampler.known(each) is None])
        return [drift or self._changes_between(part) for part, drift in zip(parts, drifts, strict=True)]

    def _changes_between(self, part: Part) -> str:
        """Return the differences within a dataset whose first and last object have the same columns."""
        known = [(each, sample) for each in part.in_order if (sample := self._sampler.known(each)) and sample.columns]
        for (_, before), (here, after) in pairwise(known):
            if changes := differences(before, after):
                return f"{self._partition_of(part, here)}: {', '.join(changes)}"
        return ""

    def _drift(self, part: Part, parts: Sequence[Part], examples: Sequence[Example]) -> str:
        """Return where the columns of the last object begin, by bisection from the greatest jump in size."""
        low, high = 0, len(examples) - 1
        first = self._sampler.known(examples[low])
        tries = _jumps(examples)
        while high - low > 1 and self._left(parts) > 0:
            at = next((each for each in tries if low < each < high), (low + high) // 2)
            tries = [each for each in tries if each != at]
            (sample,) = self._seen([examples[at]])
            if sample is None or sample.columns is None or first is None:
                break
            low, high = (low, at) if differences(first, sample) else (at, high)
        after = self._sampler.known(examples[high])
        assert first is not None  # noqa: S101 - both ends were looked at
        assert after is not None  # noqa: S101 - as above
        where = self._partition_of(part, examples[high])
        if high - low > 1:
            where = f"between {self._partition_of(part, examples[low])} and {where}"
        return f"{where}: {', '.join(differences(first, after))}"

    def _partition_of(self, part: Part, example: Example) -> str:
        """Return the partition of an object, or its name."""
        names = example.key.removeprefix(self._layout.base).split("/")
        folders = [names[at] for at, name in enumerate(part.folders) if WILD in name and name != DEEP]
        return "/".join(folders) or names[-1]

    # Describing datasets

    def _dataset(self, part: Part, drift: str, parts: Sequence[Part]) -> Dataset:
        stands = _representative(part)
        seen = {each.key: self._sampler.known(each) for each in [*part.in_order, *([stands] if stands else [])]}
        samples = [sample for sample in seen.values() if sample is not None]
        newest = next((sample for sample in reversed(samples) if sample.columns is not None), None)
        bucket = self._layout_bucket
        place = self._pattern(part, parts)
        format_ = newest.format if newest else next((each.format for each in samples if each.format), part.family)
        dataset = Dataset(
            f"s3://{bucket}/{place}", "files", shown_format(format_), "", named=self._named(place), drift=drift
        )
        measure(dataset, part.leaf)
        packed = {by_name(f"x{ending}").compression for ending in part.endings} | {each.compression for each in samples}
        dataset.compression = ", ".join(sorted(each for each in packed if each))
        dataset.partitions = tuple(partitions_of(part))
        dataset.columns = newest.columns if newest else None
        looked = [sample.required for sample in samples if sample.columns is not None]
        dataset.required = frozenset.intersection(*looked) if looked else frozenset()
        dataset.rows, dataset.bound = rows_of(part.leaf, samples)
        dataset.query = self._query(part, dataset, newest is not None)
        dataset.reason = reason(part, dataset, samples)
        return dataset

    @property
    def _layout_bucket(self) -> str:
        return self._layout.bucket

    def _query(self, part: Part, dataset: Dataset, is_table: bool) -> str:
        path = literal(dataset.named)
        if not is_table:
            folder = self._layout.base + "".join(f"{name}/" for name in before_wild(part.folders))
            return f"SELECT key, size, last_modified FROM objects({literal(self._named(folder))}) LIMIT 100"  # noqa: S608 - quoted
        if dataset.format == "Parquet" and dataset.drift:
            if "→" in dataset.drift:
                path = literal(self._named(self._newest_folder(part)))
                return _rows_of(path)
            return _rows_of(f"read_parquet({path}, union_by_name = true)")
        if "→" in dataset.drift or (dataset.drift and dataset.format != "JSON lines"):
            return _rows_of(literal(self._named(self._newest_folder(part))))
        return _rows_of(path)

    def _newest_folder(self, part: Part) -> str:
        last = part.in_order[-1].key
        folder = last[: last.rfind("/") + 1]
        several = sum(each.key.startswith(folder) for each in part.in_order) == 1 and WILD in "".join(part.folders)
        return escaped(folder) + names_pattern(part) if several else escaped(last)

    def _pattern(self, part: Part, parts: Sequence[Part]) -> str:
        """Return a pattern of the part's objects, with names in braces where a wildcard would match other parts."""
        if part.leaf.objects == 1 and part.leaf.newest:
            return escaped(part.leaf.newest.key)
        others = [each.key for other in parts if other is not part for each in [*other.leaf.places.values()][:NAMED]]
        few = frozenset(at for at, names in part.named.items() if len(names) <= NAMED) | part.told_apart
        ending = endings_pattern(part)
        plain = len(part.stems) == 1 and re.match(rf"part\b|[^A-Za-z]*{WILD}[^A-Za-z]*$", next(iter(part.stems)))
        names = [names_pattern(part)] if not plain else [f"*{ending}", names_pattern(part)]
        alone = {at for at, names in part.named.items() if len(names) == 1}
        singly = sorted(few - alone - part.told_apart, key=lambda at: len(part.named[at]))
        in_full = [part.told_apart, part.told_apart | alone, *(part.told_apart | {at} for at in singly), few]
        tries = [self._written(part, places) + name for places in in_full for name in names]
        return next((each for each in tries if not (others and any(Glob.compile(each).wants(others)))), tries[-1])

    def _written(self, part: Part, in_full: frozenset[int]) -> str:
        pattern = escaped(self._layout.base)
        for at, name in enumerate(part.folders):
            if at in in_full and at in part.named:
                pattern += pattern_of_any(part.named[at]) + "/"
            elif name == DEEP:
                pattern += "**/"
            else:
                pattern += "*".join(escaped(piece) for piece in name.split(WILD)) + "/"
        return pattern


def _rows_of(source: str) -> str:
    return f"SELECT * FROM {source} LIMIT 100"  # noqa: S608 - a quoted path


def _is_within(leaf: Leaf, folder: str) -> bool:
    """Whether a leaf's template is in a folder."""
    names = folder.split("/")[:-1]
    return len(leaf.folders) >= len(names) and all(
        own == name or (WILD in own and re.fullmatch(".*".join(map(re.escape, own.split(WILD))), name, re.DOTALL))
        for own, name in zip(leaf.folders, names, strict=False)
    )


def _representative(part: Part) -> Example | None:
    """Return the object that represents a part: the last one that is not empty."""
    examples = part.in_order
    newest = part.leaf.newest
    return examples[-1] if examples else newest if newest and newest.size else None


def _names_by_place(group: Sequence[Part]) -> dict[int, set[str]]:
    """Return the names of the folders at each depth where none of them is a wildcard."""
    places = enumerate(zip(*(part.folders for part in group), strict=True))
    return {place: {*names} for place, names in places if not any(WILD in name for name in names)}


def _form_of(part: Part) -> _Form:
    """Return what parts have in common in a tree: depth and file names."""
    return len(part.folders), part.family, part.stems


def _place_key(part: Part, place: int) -> str | None:
    """Return what folders share that may be one dataset: nothing for plain names, a Hive key, or all but the numbers.

    None if there is no such folder, or for a wildcard without a number that stands for unknown names.
    """
    if place >= len(part.folders):
        return None
    name = part.folders[place]
    name = name.replace(WILD, "") if place in part.named else name
    if WILD not in name:
        return name.partition("=")[0] if "=" in name else ""
    return re.sub(r"\d+", "#", name) if re.search(r"\d", name) else None


def _beside(group: Sequence[Part]) -> bool:
    """Whether a part shares half of its folders with others: kinds of files do, but versions follow each other."""
    folders = [{key.rpartition("/")[0] for key in part.leaf.places} for part in group]
    held = Counter(folder for own in folders for folder in own)
    return any(2 * sum(held[folder] > 1 for folder in own) >= len(own) for own in folders if own)


def _has_only_columns(sample: Sample, widest: Sample) -> bool:
    """Whether a sample has only columns of the widest one."""
    if sample.columns is None or widest.columns is None:
        return sample.columns is widest.columns and sample.format == widest.format
    return not any(said.startswith("+") or "→" in said for said in differences(widest, sample))


def _one(
    first: Sample, other: Sample, group: Sequence[Part], place: int | None = None, *, ordered: bool = False
) -> bool:
    """Whether two samples of a group belong to one dataset."""
    if first.columns is None and other.columns is None:
        same_names = len({part.stems for part in group}) == 1 or place is None
        return first.format == other.format and not first.note and (same_names or first.format != "text")
    return are_related(first, other) if ordered else equal(first, other)


def _clustered(seen: Sequence[tuple[Part, Sample]], place: int | None) -> list[Part]:
    """Join the parts with equal columns, keeping their names."""
    clusters: list[list[tuple[Part, Sample]]] = []
    for part, sample in seen:
        own = next((each for each in clusters if sample.columns is not None and equal(each[0][1], sample)), None)
        if own is None:
            clusters.append([(part, sample)])
        else:
            own.append((part, sample))
    clustered = []
    for cluster in clusters:
        joined = cluster[0][0] if len(cluster) == 1 else Part.joined([part for part, _ in cluster], place)
        if len(cluster) > 1 and place is not None:
            joined.told_apart |= {place}
        clustered.append(joined)
    return clustered


def _jumps(examples: Sequence[Example]) -> list[int]:
    """Return the indexes at which to look for a change first: on both sides of the greatest jump in size."""
    sizes = [each.size for each in examples]
    jumps = [abs(after - before) / max(before, after, 1) for before, after in pairwise(sizes)]
    at = max(range(len(jumps)), key=jumps.__getitem__) + 1
    return [at, at - 1]


class Discovery(NamedTuple):
    """The datasets, and the cost of finding them: requests and bytes."""

    datasets: list[Dataset]
    looks: int
    bytes: int


def find(layout: Layout, sampler: Sampler, looks: int, named: Callable[[str], str]) -> Discovery:
    """Return the datasets in a counted listing; arguments as for `Finder`."""
    datasets = Finder(layout, sampler, looks, named).datasets()
    return Discovery(datasets, sampler.requests, sampler.bytes)
