"""What ANALYZE must give, by loops over plain values."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

COMPOUND = {".jsonl.gz", ".csv.gz", ".tar.gz", ".snappy.parquet", ".json.zst", ".gz.parquet", ".txt.bz2"}
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LETTERS = set("abcdefghijklmnopqrstuvwxyz")
DIGITS = set("0123456789")
_LOWER = {code: code + 32 for code in range(65, 91)}


@dataclass(frozen=True)
class Item:
    """An object."""

    key: str
    size: int
    time: datetime
    storage: str = "STANDARD"


@dataclass(frozen=True)
class Group:
    """A row of the frame, but for its share."""

    name: str
    objects: int
    size: int
    newest: datetime
    oldest: datetime


def folder(key, location, depth):
    """The first folders of a key below the folder of a location."""
    base = location[: location.rfind("/") + 1]
    folders = key.removeprefix(base).split("/")[:-1]
    return "".join(f"{name}/" for name in folders[:depth])


def extension(key):
    """The extension of a key's last segment."""
    name = key.rpartition("/")[2].translate(_LOWER)
    parts = name.lstrip(".").split(".")
    if len(parts) > 2 and f".{parts[-2]}.{parts[-1]}" in COMPOUND:
        return f".{parts[-2]}.{parts[-1]}"
    return f".{parts[-1]}" if len(parts) > 1 and _is_extension(parts[-1]) else ""


def _is_extension(text):
    digits = len(text) - len(text.lstrip("0123456789"))
    rest = text[digits:]
    known = LETTERS | DIGITS | set("_+-")
    return digits <= 3 and 1 <= len(rest) <= 12 and rest[0] in LETTERS and set(rest) <= known


def age(time, now=NOW):
    """The range of age."""
    limits = [("< 1 day", 1), ("< 1 week", 7), ("< 30 days", 30), ("< 90 days", 90), ("< 1 year", 365)]
    for name, days in [*limits, ("< 3 years", 3 * 365)]:
        if now - time < timedelta(days=days):
            return name
    return "older"


def size_range(size):
    """The range of size."""
    limits = {"< 1 kB": 10**3, "< 128 kB": 128 * 10**3, "< 1 MB": 10**6, "< 100 MB": 100 * 10**6, "< 1 GB": 10**9}
    if size == 0:
        return "0"
    return next((name for name, limit in {**limits, "< 5 GB": 5 * 10**9}.items() if size < limit), "more")


def label(item, by, location="", depth=1, now=NOW):
    """The group that an object is in."""
    if by == "PREFIX":
        return folder(item.key, location, depth)
    if by == "STORAGE_CLASS":
        return item.storage
    if by == "EXTENSION":
        return extension(item.key)
    return age(item.time, now) if by == "AGE" else size_range(item.size)


def groups(items, by, location="", depth=1, now=NOW):
    """The groups of all items below a location, by name."""
    found = defaultdict(list)
    for item in items:
        if item.key.startswith(location):
            found[label(item, by, location, depth, now)].append(item)
    return {
        name: Group(
            name,
            len(some),
            sum(item.size for item in some),
            max(item.time for item in some),
            min(item.time for item in some),
        )
        for name, some in found.items()
    }


def groups_of(frame):
    """The groups of a frame of ANALYZE, by name; no name appears twice."""
    assert frame["group"].is_unique
    rows = zip(frame["group"], frame["objects"], frame["bytes"], frame["newest"], frame["oldest"], strict=True)
    return {
        name: Group(name, n, size, newest.to_pydatetime(), oldest.to_pydatetime())
        for name, n, size, newest, oldest in rows
    }
