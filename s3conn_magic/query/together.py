"""Several ranges of several files at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3conn_magic.query.ranges import RangedObject

_GAP = 8 * 1024


def cat_ranges(
    object_of: Callable[[str], RangedObject],
    paths: Sequence[str],
    starts: Any,
    ends: Any,
    *,
    max_gap: int | None,
    on_error: str,
) -> list[Any]:
    """The bytes of each range; with `on_error` other than `raise`, an error in the place of what it kept from coming.

    Raises:
        S3ConnError: a range could not be read.
        ValueError: there are not as many bounds as paths.
    """
    starts = starts if isinstance(starts, list) else [starts] * len(paths)
    ends = ends if isinstance(ends, list) else [ends] * len(paths)
    wanted = list(zip(paths, starts, ends, strict=True))
    _prefetch(object_of, wanted, _GAP if max_gap is None else max_gap)
    return [_one(object_of, *one, on_error) for one in wanted]


def _prefetch(object_of: Callable[[str], RangedObject], wanted: Sequence[tuple[str, Any, Any]], gap: int) -> None:
    by_path: dict[str, list[tuple[int, int]]] = {}
    for path, start, end in wanted:
        try:
            bounds = _bounds(object_of(path).size, start, end)
        except S3ConnError:  # it comes again where the range is read
            continue
        by_path.setdefault(path, []).append(bounds)
    for path, ranges in by_path.items():
        object_of(path).prefetch(coalesced(ranges, gap))


def _one(object_of: Callable[[str], RangedObject], path: str, start: Any, end: Any, on_error: str) -> Any:
    try:
        found = object_of(path)
        return found.read(*_bounds(found.size, start, end))
    except S3ConnError as error:
        if on_error == "raise":
            raise
        return error


def _bounds(size: int, start: int | None, end: int | None) -> tuple[int, int]:
    """Bounds as Python's slices have them."""
    low, high, _ = slice(start, end).indices(size)
    return low, max(low, high)


def coalesced(ranges: Sequence[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Ranges in order, those together that lie no more than `gap` bytes apart."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1] + gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
