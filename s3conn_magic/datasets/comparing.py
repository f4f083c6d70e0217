"""COMPARE: merge two listings by key and compare etag, size or time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.language.words import counted, listed
from s3conn_magic.listing.table import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.listing import Listing

EQUAL, LEFT, RIGHT, DIFFERS, UNDECIDED = "equal", "only left", "only right", "differs", "undecided"
_STEP = 50_000
_COLUMNS = ["key", "size", "etag", "last_modified"]
_TIME = pa.timestamp("us", tz="UTC")
CHANGES = pa.schema(
    [
        ("key", pa.large_string()),
        ("change", pa.string()),
        ("left_size", pa.int64()),
        ("right_size", pa.int64()),
        ("left_etag", pa.string()),
        ("right_etag", pa.string()),
        ("left_modified", _TIME),
        ("right_modified", _TIME),
    ]
)
_UNVERSIONED = " The bucket keeps no versions: AS OF leaves out what is newer, and cannot tell what was there before."


class Side(NamedTuple):
    """One side of a comparison: its listing, and the prefix of its keys; `as_of` is a time in a versioned bucket."""

    listing: Callable[[], Listing]
    prefix: str
    as_of: datetime | None = None

    def rows(self, report: Callable[[Any], None] | None = None) -> pa.Table:
        """Return key, size, etag and time of the objects, in key order.

        Raises:
            IncompleteListingError, ListingInterrupted, S3ConnError: as for a listing.
        """
        with self.listing() as listing:
            rows = listing.collect(on_progress=report)
        if self.as_of is None:
            return rows.select(_COLUMNS)
        ids = {*pc.unique(rows["version_id"]).to_pylist()} or {"?"}
        chosen = at_moment(rows, self.as_of).select(_COLUMNS)
        return chosen.replace_schema_metadata({"doubt": _UNVERSIONED}) if ids <= {None, "", "null"} else chosen


def at_moment(versions: pa.Table, moment: datetime) -> pa.Table:
    """Return the objects at a moment: each key's newest version then, unless that is a delete marker."""
    time = pa.scalar(moment.astimezone(UTC), _TIME)
    then = versions.filter(pc.less_equal(versions["last_modified"], time)).combine_chunks()
    if not len(then):
        return then
    # The versions of a key are adjacent, the newest first.
    keys = then["key"]
    first = pa.chunked_array([pa.array([True]), pc.not_equal(keys[1:], keys[:-1]).combine_chunks()])
    newest = then.filter(first)
    return newest.filter(pc.invert(pc.fill_null(newest["is_delete_marker"], False)))


_SOME = 1_000


class Differences(NamedTuple):
    """Rows of schema `CHANGES`, the number of keys of each kind, including equal ones, and what no side can tell."""

    table: pa.Table
    counts: dict[str, int]
    doubt: str = ""

    @property
    def other_level(self) -> str:
        """What the keys of one side have before those of the other, if no key is on both."""
        if any(self.counts[kind] for kind in (EQUAL, DIFFERS, UNDECIDED)):
            return ""
        some = self.table.select(["key", "change"]).slice(0, _SOME).to_pylist()
        left, right = ([str(row["key"]) for row in some if row["change"] == kind] for kind in (LEFT, RIGHT))
        pairs = (
            (key, other) for keys, others in ((left, right), (right, left)) for other in others[:1] for key in keys
        )
        return next((key.removesuffix(other) for key, other in pairs if key.endswith(f"/{other}")), "")

    def note(self, by: str) -> str:
        """Return the note below the rows."""
        kinds = [kind for kind in (LEFT, RIGHT, DIFFERS, UNDECIDED) if self.counts[kind]]
        said = [f"{counted(self.counts[kind], 'key')} {kind}" for kind in kinds]
        first = f"{listed([*said, f'{self.counts[EQUAL]:,} equal'], 'and')}."
        if by == "ETAG" and self.counts[UNDECIDED]:
            first += (
                " Undecided are objects of equal size with etags of multipart uploads: equal bytes have"
                " different etags if the parts were cut differently, so only reading them would tell."
            )
        return first + self.doubt


def compared(left: Side, right: Side, by: str, report: Callable[[Any], None] | None = None) -> Differences:
    """Return the differences between two sides.

    Args:
        left: the side to compare with.
        right: the other side.
        by: ETAG, SIZE, or TIME: whether the left one is newer.
        report: called with the progress of each listing.

    Raises:
        As `Side.rows`.
    """
    return differences_of(left.rows(report), right.rows(report), (left.prefix, right.prefix), by)


def differences_of(left: pa.Table, right: pa.Table, prefixes: tuple[str, str], by: str) -> Differences:
    """Return the differences of rows in key order; keys are compared without their prefixes."""
    parts, counts = list[pa.Table](), dict.fromkeys((EQUAL, LEFT, RIGHT, DIFFERS, UNDECIDED), 0)
    for first, second in _aligned(left, right, prefixes):
        part, equal = _differing(first, second, by)
        counts[EQUAL] += equal
        parts.append(part)
        for entry in part["change"].value_counts().to_pylist():
            counts[entry["values"]] += entry["counts"]
    doubts = {notes[b"doubt"].decode() for rows in (left, right) if (notes := rows.schema.metadata)}
    return Differences(pa.concat_tables([CHANGES.empty_table(), *parts]), counts, "".join(doubts))


def _aligned(left: pa.Table, right: pa.Table, prefixes: tuple[str, str]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield slices of both sides with the same range of keys, and with keys relative to their prefixes."""
    at = [0, 0]
    while at[0] < len(left) or at[1] < len(right):
        stop = min(at[0] + _STEP, len(left))
        until = left["key"][stop - 1].as_py()[len(prefixes[0]) :] if at[0] < stop < len(left) else None
        end = len(right) if until is None else _first_after(right, at[1], prefixes[1], until)
        while end - at[1] > 4 * _STEP:  # far more on the right: take a step of it, with what fits on the left
            few = at[1] + _STEP
            last = right["key"][few - 1].as_py()[len(prefixes[1]) :]
            cut = _first_after(left, at[0], prefixes[0], last)
            yield _slice(left, at[0], cut, prefixes[0]), _slice(right, at[1], few, prefixes[1])
            at = [cut, few]
        yield _slice(left, at[0], stop, prefixes[0]), _slice(right, at[1], end, prefixes[1])
        at = [stop, end]


def _first_after(table: pa.Table, start: int, prefix: str, key: str) -> int:
    """Return the first row from `start` on whose key, without the prefix, is greater."""
    low, high, keys = start, len(table), table["key"]
    while low < high:
        middle = (low + high) // 2
        if keys[middle].as_py()[len(prefix) :] > key:
            high = middle
        else:
            low = middle + 1
    return low


def _slice(table: pa.Table, start: int, stop: int, prefix: str) -> pa.Table:
    rows = table.slice(start, max(stop - start, 0)).combine_chunks()
    keys = rows["key"].cast(pa.large_string())
    if prefix and len(rows):
        keys = pc.utf8_slice_codeunits(keys, len(prefix))
    return rows.set_column(0, "key", keys)


def _differing(left: pa.Table, right: pa.Table, by: str) -> tuple[pa.Table, int]:
    """Return the rows that differ, in key order, and the number of those that do not."""
    right_keys = right["key"].combine_chunks()
    places = pc.index_in(left["key"], value_set=right_keys)
    both = left.filter(pc.is_valid(places))
    other = right.take(places.drop_null())
    change = _changes(both, other, by)
    different = pc.not_equal(change, EQUAL)
    gone = left.filter(pc.is_null(places))
    new = right.filter(pc.invert(pc.is_in(right["key"], value_set=left["key"].combine_chunks())))
    table = pa.concat_tables(
        [
            _rows_of_change(both.filter(different), other.filter(different), change.filter(different)),
            _rows_of_change(gone, None, pa.repeat(LEFT, len(gone))),
            _rows_of_change(None, new, pa.repeat(RIGHT, len(new))),
        ]
    )
    return table.sort_by("key"), len(both) - (pc.sum(different).as_py() or 0)


def _changes(left: pa.Table, right: pa.Table, by: str) -> pa.ChunkedArray:
    same_size = pc.equal(left["size"], right["size"])
    if by == "SIZE":
        return pc.if_else(same_size, EQUAL, DIFFERS)
    if by == "TIME":
        newer = pc.greater(left["last_modified"], right["last_modified"])
        return pc.if_else(pc.and_(same_size, pc.invert(newer)), EQUAL, DIFFERS)
    etags = [pc.fill_null(side["etag"], "") for side in (left, right)]
    same = pc.and_(pc.equal(*etags), pc.not_equal(etags[0], ""))
    in_parts = pc.or_(*(pc.or_(pc.match_substring(etag, "-"), pc.equal(etag, "")) for etag in etags))
    unlike = pc.if_else(pc.and_(same_size, in_parts), UNDECIDED, DIFFERS)
    return pc.if_else(pc.and_(same, same_size), EQUAL, unlike)


def _rows_of_change(left: pa.Table | None, right: pa.Table | None, change: Any) -> pa.Table:
    there = left if left is not None else right
    assert there is not None  # noqa: S101 - one of the two is
    columns: list[Any] = [there["key"], change]
    for name in ("size", "etag", "last_modified"):
        columns += [
            pa.nulls(len(there), OBJECTS.field(name).type) if side is None else side[name] for side in (left, right)
        ]
    return pa.Table.from_arrays(columns, names=CHANGES.names).cast(CHANGES)
