"""The columns that a manifest names, in the three spellings of its three formats."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLUMNS: Final = {
    "key": "key",
    "size": "size",
    "lastmodifieddate": "last_modified",
    "etag": "etag",
    "storageclass": "storage_class",
    "versionid": "version_id",
    "islatest": "is_latest",
    "isdeletemarker": "is_delete_marker",
}
"""The fields of an inventory that a listing has too, without case and underscores, and the listing's names of them."""

_OF_VERSIONS = {"version_id", "is_latest", "is_delete_marker"}
_STRUCT = re.compile(r"\s*struct\s*<(.*)>\s*", re.DOTALL | re.IGNORECASE)
_MESSAGE = re.compile(r"\s*message\s+[\w.]+\s*\{(.*)\}\s*", re.DOTALL)
_OPENING, _CLOSING = "<({", ">)}"


def field_names(text: str, file_format: str) -> tuple[str, ...]:
    """The names of a manifest's `fileSchema`, in order, nested ones left out.

    Args:
        text: names with commas between them for CSV, `struct<name:type,…>` for ORC, `message … { … }` for Parquet.
        file_format: CSV, ORC or Parquet.

    Raises:
        ValueError: it is none of these; the message says which was expected.
    """
    if file_format == "CSV":
        names = [one.strip() for one in text.split(",")]
    elif file_format == "ORC":
        names = [one.partition(":")[0].strip().strip("`") for one in _cut(_inside(_STRUCT, text, "struct<…>"), ",")]
    else:
        names = [_parquet_name(one) for one in _cut(_inside(_MESSAGE, text, "message … { … }"), ";}") if one.strip()]
    if not all(names):
        raise ValueError("a field has no name")
    return tuple(names)


def listing_names(names: Sequence[str]) -> dict[str, str]:
    """The fields that a listing has too: the listing's name of each, and the inventory's."""
    folded = {COLUMNS.get(one.replace("_", "").lower()): one for one in names}
    return {ours: theirs for ours, theirs in folded.items() if ours is not None}


def has_versions(names: Sequence[str]) -> bool:
    """Whether the inventory is of all versions."""
    return not _OF_VERSIONS.isdisjoint(listing_names(names))


def _inside(pattern: re.Pattern[str], text: str, expected: str) -> str:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(f"{expected} was expected")
    return found[1]


def _cut(text: str, ends: str) -> Iterator[str]:
    """The parts of a text that end at a character outside of all brackets; a bracket that closes may be such an end."""
    depth, begin = 0, 0
    for at, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0 and character in ends:
            yield text[begin:at]
            begin = at + 1
    if text[begin:].strip():
        yield text[begin:]


def _parquet_name(declared: str) -> str:
    """`required binary key (UTF8)`, or `optional group tags (LIST) { …`, to the name."""
    words = declared.partition("{")[0].partition("(")[0].partition("=")[0].split()
    return words[-1] if len(words) > 2 else ""  # noqa: PLR2004 - repetition, type, name
