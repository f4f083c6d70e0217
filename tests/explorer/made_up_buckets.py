"""Three made-up buckets behind a plain function, the same every time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from s3conn_magic.errors import AccessDeniedError
from s3conn_magic.explorer import Children, TreeEntry
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = 1_000
BIG_PAGE = 50_000
MILLION = 1_000_000
START = datetime(2024, 5, 1, 6, 30, tzinfo=UTC)
CLASSES = ("STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER")
HOSTILE = (
    "<img src=x onerror=window.__xss=1>",
    "<script>window.__xss=1</script>.txt",
    "$x^2$ and $$y$$",
    "\u202egnp.exe",
    "esc\x1b[31mred",
    "line\nbreak\r\n",
    "tab\there",
    "zero\u200bwidth",
    "a+b %20 100%.csv",
    "\"quotes\" & 'apostrophes'",
    "emoji 🪣 and ünïcode",
    " leading and trailing ",
    "`${window.__xss=1}`",
    "\u2028\u2029",
    "é" * 510 + "end",
)


def _file(key: str, number: int) -> TreeEntry:
    size = (number * 7_919) % 9_973 * 10 ** (number % 4)
    return TreeEntry(
        Location("lake", key),
        size=size,
        last_modified=START + timedelta(minutes=number * 37 % 500_000),
        etag=f'"{number:032x}"',
        storage_class=CLASSES[number % 4 if number % 5 == 0 else 0],
    )


def _folder(bucket: str, key: str) -> TreeEntry:
    return TreeEntry(Location(bucket, key), is_prefix=True)


class MadeUpBuckets:
    """A `ChildrenOf`: `lake`, `media-archive` and `odd-keys`.

    Attributes:
        asked: every call, as the location's URI, the token and the text that keys begin with.
        granted: whether `lake/finance/` may be listed.
        released: set it and `lake/slow/` answers.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str]] = []
        self.granted = False
        self.released = threading.Event()

    def __call__(
        self, location: Location | None, token: str | None, *, starting_with: str = "", cancelled: Callable[[], bool]
    ) -> Children:
        """List one page, and note that it was asked for."""
        self.asked.append((location.uri if location else "", token, starting_with))
        if location == Location("lake", "slow/"):
            self._wait(cancelled)
        if location == Location("lake", "finance/") and not self.granted:
            raise AccessDeniedError(
                "not allowed to list s3://lake/finance/: the action s3:ListBucket is missing",
                action="s3:ListBucket",
                resource="s3://lake/finance/",
                hint="Ask for s3:ListBucket on arn:aws:s3:::lake with the prefix finance/.",
            )
        if location == Location("lake", "broken/"):
            raise ValueError("hunter2")
        return self._page(location, token, starting_with)

    def _wait(self, cancelled: Callable[[], bool]) -> None:
        while not (cancelled() or self.released.wait(0.02)):
            pass

    def _page(self, location: Location | None, token: str | None, starting_with: str) -> Children:
        begin = int(token or 0)
        if location == Location("lake", "million/"):
            end = min(begin + BIG_PAGE, MILLION)
            entries = [
                TreeEntry(Location("lake", f"million/{number:07}.txt"), size=number) for number in range(begin, end)
            ]
            return Children(entries, str(end) if end < MILLION else None)
        head = (location.key if location else "") + starting_with
        found = [
            each
            for each in self._all(location)
            if (each.location.key if location else each.location.bucket).startswith(head)
        ]
        end = begin + PAGE
        return Children(found[begin:end], str(end) if end < len(found) else None)

    def _all(self, location: Location | None) -> Iterator[TreeEntry]:
        if location is None:
            created = [START - timedelta(days=days) for days in (700, 420, 3)]
            names = ("lake", "media-archive", "odd-keys")
            for name, when in zip(names, created, strict=True):
                yield TreeEntry(Location(name), is_prefix=True, last_modified=when)
        elif location == Location("odd-keys"):
            yield from (TreeEntry(Location("odd-keys", key), size=len(key)) for key in HOSTILE)
            yield from (_folder("odd-keys", key) for key in ("/", "a<b>&c/"))
        elif location.bucket == "odd-keys":
            yield from (_folder("odd-keys", location.key + "/"), TreeEntry(Location("odd-keys", location.key), size=0))
        elif location.bucket == "lake":
            yield from self._lake(location.key)

    def _lake(self, key: str) -> Iterator[TreeEntry]:
        if key == "":
            names = ("broken/", "curated/", "empty/", "events/", "finance/", "logs/", "million/", "slow/")
            yield from (_folder("lake", name) for name in names)
            names = ("LICENSE", "README.md", "manifest.json", "orders-2024.parquet", "prices.csv", "schema.avsc")
            yield from (_file(name, number + 11) for number, name in enumerate(names))
        elif key == "logs/":
            yield from (_file(f"logs/2024-{number:04}.log.gz", number) for number in range(2_500))
        elif key == "events/":
            yield from (_folder("lake", f"events/year={year}/") for year in (2022, 2023, 2024))
        elif key.startswith("events/") and key.count("/") < 4:
            part = ("month", "day")[key.count("/") - 2]
            yield from (_folder("lake", f"{key}{part}={number:02}/") for number in range(1, 13))
        elif key.startswith("events/"):
            yield from (_file(f"{key}part-{number:04}.parquet", number + len(key)) for number in range(8))
        elif key == "curated/":
            yield from (_folder("lake", f"curated/{name}/") for name in ("customers", "orders", "products"))
        elif key.startswith("curated/"):
            yield from (_file(f"{key}{number:03}.parquet", number * 3 + len(key)) for number in range(12))
        elif key == "slow/":
            yield _file("slow/at-last.txt", 5)
