"""What the sandbox holds: six buckets of a made-up web shop, the same at every start.

* acme-lake (us-east-1): events/ (Hive-partitioned Parquet), sales/ (CSV), clicks/ (JSON lines, one gzip),
  reports/ (PNG), cold/ (other storage classes), drafts/ (an empty folder's marker), README.txt with a tag
* acme-logs (us-east-1): web/, 2,400 small logs in one folder
* acme-archive-eu (eu-west-1): versioned; two versions of one contract, another one deleted
* acme-odd-keys (us-east-1): keys that break careless code
* acme-empty (eu-west-1): nothing
* acme-public (us-east-1): readable without credentials
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from s3conn_magic.sandbox import tables
from s3conn_magic.sandbox.identities import ARCHIVE, EMPTY, LAKE, LOGS, ODD, PUBLIC, REGION
from s3conn_magic.sandbox.picture import bar_chart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START = datetime(2026, 1, 1, tzinfo=UTC)
EVENT_DAYS = 90
LOG_FILES = 2400


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket to make."""

    name: str
    region: str = REGION
    versioned: bool = False


@dataclass(frozen=True, slots=True)
class Put:
    """One write: an object or, when `body` is None, the deletion of one."""

    bucket: str
    key: str
    body: bytes | None
    modified: datetime = START
    content_type: str = "binary/octet-stream"
    storage_class: str = "STANDARD"
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


BUCKETS = (
    Bucket(LAKE),
    Bucket(LOGS),
    Bucket(ARCHIVE, "eu-west-1", versioned=True),
    Bucket(ODD),
    Bucket(EMPTY, "eu-west-1"),
    Bucket(PUBLIC),
)

ODD_KEYS = (
    "/leading slash.txt",
    "a//b.txt",
    "a/b",
    "a/b/",
    " space at both ends ",
    "+plus and space.txt",
    "100%.csv",
    "%2F.txt",
    "<b>bold</b>.txt",
    "&amp;.txt",
    "$price$.txt",
    "what?#why.txt",
    'it\'s "quoted".txt',
    "back\\slash.txt",
    "[x] {y} *.txt",
    "s3:~weird@name=1,2;3.txt",
    "caf\u00e9.txt",  # composed, NFC
    "cafe\u0301.txt",  # the same to the eye, NFD
    "\u65e5\u672c\u8a9e/\u30c7\u30fc\u30bf.csv",
    "\U0001f433/\U0001f389",
    "invoice\u202efdp.exe",  # shown right to left from the override on
    "zero\u200bwidth.txt",
    "long/" + "x" * 1019,
)

README = """\
Acme's data lake (made up)

events/    one Parquet file or two a day, Hive-partitioned by year, month and day
sales/     customers.csv, orders.csv
clicks/    JSON lines, one plain and one gzip
reports/   revenue.png
cold/      what is rarely read, in cheaper storage classes
drafts/    an empty folder
"""


def puts() -> Iterator[Put]:
    """Every write, in order. The same bytes at every call, with one version of pyarrow."""
    yield from _lake()
    yield from _logs()
    yield from _archive()
    for key in ODD_KEYS:
        yield Put(ODD, key, b"" if key.endswith("/") else f"This is {key!a}.\n".encode(), START, "text/plain")
    yield Put(PUBLIC, "README.txt", b"Anyone may read this bucket.\n", START, "text/plain")
    yield Put(PUBLIC, "countries.csv", tables.countries(), START, "text/csv")


def _lake() -> Iterator[Put]:
    yield Put(LAKE, "README.txt", README.encode(), START, "text/plain", tags={"owner": "data-team"})
    yield Put(LAKE, "drafts/", b"", START, "application/x-directory")
    yield from _events()
    yield from _sales()
    yield from _clicks()
    yield from _cold()


def _events() -> Iterator[Put]:
    random = Random(2026)  # noqa: S311 - the same data at every start is the point
    for number in range(EVENT_DAYS):
        day = START + timedelta(days=number)
        folder = f"events/year={day:%Y}/month={day:%m}/day={day:%d}"
        for part in range(2 if day.weekday() == 0 else 1):
            body = tables.events(random, day, rows=200)
            yield Put(LAKE, f"{folder}/part-{part:05}.parquet", body, day + timedelta(days=1, minutes=7 + part))


def _sales() -> Iterator[Put]:
    random = Random(7)  # noqa: S311 - as above
    order_rows, revenue = tables.orders(random, START, rows=1500)
    at, pii = START + timedelta(days=91, hours=3), {"classification": "personal"}
    yield Put(LAKE, "sales/customers.csv", tables.customers(random, START), at, "text/csv", tags=pii)
    yield Put(LAKE, "sales/orders.csv", order_rows, at, "text/csv", metadata={"source": "shop-db", "rows": "1500"})
    yield Put(LAKE, "reports/revenue.png", bar_chart(revenue), at, "image/png", metadata={"period": "2026-Q1"})


def _clicks() -> Iterator[Put]:
    random = Random(11)  # noqa: S311 - as above
    for number, packed in enumerate((False, True)):
        day = START + timedelta(days=number)
        lines = [json.dumps(click) for click in tables.clicks(random, day, rows=300)]
        body = ("\n".join(lines) + "\n").encode()
        name = f"clicks/{day:%Y-%m-%d}.jsonl"
        at = day + timedelta(days=1)
        if packed:
            # Without a time in the header, equal data gives equal bytes.
            yield Put(LAKE, f"{name}.gz", gzip.compress(body, mtime=0), at, "application/gzip")
        else:
            yield Put(LAKE, name, body, at, "application/x-ndjson")


def _cold() -> Iterator[Put]:
    for year, kind in ((2023, "GLACIER"), (2024, "STANDARD_IA"), (2025, "STANDARD")):
        body = tables.yearly(year)
        yield Put(LAKE, f"cold/totals-{year}.csv", body, START.replace(year=year + 1), "text/csv", kind)


def _logs() -> Iterator[Put]:
    random = Random(3)  # noqa: S311 - as above
    for number in range(LOG_FILES):
        at = START + timedelta(minutes=number)
        body = tables.log(random, at)
        yield Put(LOGS, f"web/access-{at:%Y%m%dT%H%M}-{number:04}.log", body, at, "text/plain")


def _archive() -> Iterator[Put]:
    contract, old = "contracts/supplier.txt", "contracts/expired.txt"
    yield Put(ARCHIVE, contract, b"Supplier contract, first draft.\n", START, "text/plain")
    yield Put(ARCHIVE, contract, b"Supplier contract, as signed.\n", START + timedelta(days=20), "text/plain")
    yield Put(ARCHIVE, old, b"Supplier contract of 2019.\n", START, "text/plain", "GLACIER")
    yield Put(ARCHIVE, old, None, START + timedelta(days=30))
