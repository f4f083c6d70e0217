"""The sandbox's made-up data: buckets, tables, a picture."""

from __future__ import annotations

import csv
import gzip
import io
import json
import struct
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from s3conn_magic.sandbox import ARCHIVE, EMPTY, LAKE, LOGS, ODD, PUBLIC, REGION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_PAPER, _AXIS, _BAR, _TOP = (250, 250, 248), (90, 96, 104), (66, 120, 180), (232, 138, 56)
Pixel = tuple[int, int, int]


def bar_chart(values: Sequence[float], width: int = 480, height: int = 270) -> bytes:
    """Return a PNG with one bar for each of `values`, the tallest in another colour; width and height in pixels."""
    slot, top = width // len(values), max(values)
    heights = [round(value / top * (height - 30)) for value in values]
    columns = [_bar_at(x, slot, heights) for x in range(width)]
    rows = (_row([_pixel(height - 10 - y, bar, max(heights)) for bar in columns]) for y in range(height))
    return _png(width, height, b"".join(rows))


def _bar_at(x: int, slot: int, heights: Sequence[int]) -> int:
    """Return the height of the bar at column `x`, or 0 between bars."""
    bar, offset = divmod(x, slot)
    return heights[bar] if bar < len(heights) and slot * 0.15 <= offset < slot * 0.85 else 0


def _pixel(above_axis: int, bar: int, tallest: int) -> Pixel:
    if above_axis == 0:
        return _AXIS
    if 0 < above_axis <= bar:
        return _TOP if bar == tallest else _BAR
    return _PAPER


def _row(pixels: Sequence[Pixel]) -> bytes:
    return b"\x00" + b"".join(map(bytes, pixels))


def _png(width: int, height: int, rows: bytes) -> bytes:
    """Return a PNG file (https://www.w3.org/TR/png/): RGB, 8 bits per channel, not interlaced."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


_FIRST = ("Ada", "Björn", "Chiara", "Dmitri", "Emeka", "Fatima", "Grace", "Hiro", "Inés", "João", "Kim", "Łucja")
_LAST = ("Andersen", "Brown", "Costa", "D'Angelo", "Eze", "Fischer", "García", "Haddad", "Ito", "Jones", "Kowalska")
_COUNTRIES = {"BR": "Brazil", "DE": "Germany", "ES": "Spain", "JP": "Japan", "NG": "Nigeria", "US": "United States"}
_PRODUCTS = {"Desk lamp": 39.9, "Notebook, A5": 4.5, "Office chair": 189.0, 'Monitor 27"': 279.0, "USB-C cable": 9.95}
_EVENTS = ("page_view", "search", "add_to_cart", "checkout", "purchase")
_EVENT_WEIGHTS = (60, 18, 12, 6, 4)
_DEVICES = ("mobile", "desktop", "tablet")
_PATHS = ("/", "/search?q=lamp", "/products/17", "/cart", "/checkout")
_STATUS, _STATUS_WEIGHTS = ("paid", "shipped", "returned", "cancelled"), (50, 40, 6, 4)
_CUSTOMERS = 250


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _moment(random: Random, day: datetime) -> datetime:
    return day + timedelta(seconds=random.randrange(86_400))


def events(random: Random, day: datetime, rows: int) -> bytes:
    """Return one day's events as a Parquet file of `rows` rows in order of time.

    Columns: event_time (timestamp, UTC), user_id (int32), event_type, device, country, amount (decimal(9, 2), USD,
    null unless it is a purchase).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = random.choices(_EVENTS, _EVENT_WEIGHTS, k=rows)
    cents = pa.array([_price(random, kind) for kind in kinds], pa.decimal128(9, 2))
    table = pa.table(
        {
            "event_time": pa.array(sorted(_moment(random, day) for _ in kinds), pa.timestamp("us", "UTC")),
            "user_id": pa.array([random.randint(1, _CUSTOMERS) for _ in kinds], pa.int32()),
            "event_type": pa.array(kinds),
            "device": pa.array(random.choices(_DEVICES, (6, 3, 1), k=rows)),
            "country": pa.array(random.choices(list(_COUNTRIES), k=rows)),
            "amount": cents,
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="snappy")
    return file.getvalue()


def _price(random: Random, kind: str) -> Any:
    from decimal import Decimal

    return Decimal(random.randint(450, 45_000)).scaleb(-2) if kind == "purchase" else None


def customers(random: Random, start: datetime) -> bytes:
    """Return a CSV of customer_id, name, email, country, signed_up; names have accents and apostrophes."""

    def row(number: int) -> tuple[Any, ...]:
        name = f"{random.choice(_FIRST)} {random.choice(_LAST)}"
        signed_up = start - timedelta(days=random.randrange(900))
        return number, name, f"customer{number}@example.com", random.choice(list(_COUNTRIES)), signed_up.date()

    header = ("customer_id", "name", "email", "country", "signed_up")
    return _csv(header, map(row, range(1, _CUSTOMERS + 1)))


def orders(random: Random, start: datetime, rows: int) -> tuple[bytes, list[float]]:
    """Return a CSV of order_id, customer_id, ordered_at, product, quantity, total, status; and the weekly revenue."""
    moments = sorted(_moment(random, start + timedelta(days=random.randrange(90))) for _ in range(rows))
    weeks = [0.0] * 13
    lines = []
    for number, at in enumerate(moments, 10_001):
        product, quantity = random.choice(list(_PRODUCTS)), random.choices((1, 2, 3, 10), (70, 20, 8, 2))[0]
        total = _PRODUCTS[product] * quantity
        weeks[(at - start).days // 7] += total
        status = random.choices(_STATUS, _STATUS_WEIGHTS)[0]
        customer = random.randint(1, _CUSTOMERS)
        lines.append((number, customer, at.isoformat(), product, quantity, f"{total:.2f}", status))
    header = ("order_id", "customer_id", "ordered_at", "product", "quantity", "total", "status")
    return _csv(header, lines), weeks


def clicks(random: Random, day: datetime, rows: int) -> Iterator[dict[str, Any]]:
    """Yield a day's nested records: at, user (null if not signed in), page {path, referrer}, tags (a list)."""
    for _ in range(rows):
        user = random.randint(1, _CUSTOMERS) if random.random() < 0.6 else None  # noqa: PLR2004 - three in five
        page = {"path": random.choice(_PATHS), "referrer": random.choice((None, "https://example.com/"))}
        yield {"at": _moment(random, day).isoformat(), "user": user, "page": page, "tags": random.sample(_DEVICES, 2)}


def countries() -> bytes:
    """Return a CSV of code, name."""
    return _csv(("code", "name"), _COUNTRIES.items())


def yearly_orders(year: int) -> bytes:
    """Return a CSV of month, orders: twelve rows that grow with the year and the season."""
    return _csv(
        ("month", "orders"), [(f"{year}-{month:02}", (year - 2020) * 100 + month * 7) for month in range(1, 13)]
    )


def log(random: Random, at: datetime) -> bytes:
    """Return one to three lines of a web server's access log."""

    def line() -> str:
        address, status = f"192.0.2.{random.randint(1, 254)}", random.choices((200, 304, 404, 500), (85, 8, 6, 1))[0]
        moment = at + timedelta(seconds=random.randrange(60))
        size = random.randint(180, 9000)
        return (
            f'{address} - - [{moment:%d/%b/%Y:%H:%M:%S} +0000] "GET {random.choice(_PATHS)} HTTP/1.1" {status} {size}'
        )

    return "".join(line() + "\n" for _ in range(random.randint(1, 3))).encode()


START = datetime(2026, 1, 1, tzinfo=UTC)
EVENT_DAYS = 90
LOG_FILES = 2400


@dataclass(frozen=True, slots=True)
class SampleBucket:
    """A bucket to create."""

    name: str
    region: str = REGION
    versioned: bool = False


@dataclass(frozen=True, slots=True)
class Put:
    """A write: an object, or its deletion if `body` is None."""

    bucket: str
    key: str
    body: bytes | None
    modified: datetime = START
    content_type: str = "binary/octet-stream"
    storage_class: str = "STANDARD"
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


BUCKETS = (
    SampleBucket(LAKE),
    SampleBucket(LOGS),
    SampleBucket(ARCHIVE, "eu-west-1", versioned=True),
    SampleBucket(ODD),
    SampleBucket(EMPTY, "eu-west-1"),
    SampleBucket(PUBLIC),
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
    "caf\u00e9.txt",  # composed (NFC)
    "cafe\u0301.txt",  # looks the same, decomposed (NFD)
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
    """Yield every write in order; the same bytes on every call, given the same pyarrow version."""
    yield from _lake()
    yield from _logs()
    yield from _archive()
    for key in ODD_KEYS:
        yield Put(ODD, key, b"" if key.endswith("/") else f"This is {key!a}.\n".encode(), START, "text/plain")
    yield Put(PUBLIC, "README.txt", b"Anyone may read this bucket.\n", START, "text/plain")
    yield Put(PUBLIC, "countries.csv", countries(), START, "text/csv")


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
            body = events(random, day, rows=200)
            yield Put(LAKE, f"{folder}/part-{part:05}.parquet", body, day + timedelta(days=1, minutes=7 + part))


def _sales() -> Iterator[Put]:
    random = Random(7)  # noqa: S311 - as above
    order_rows, revenue = orders(random, START, rows=1500)
    at, pii = START + timedelta(days=91, hours=3), {"classification": "personal"}
    yield Put(LAKE, "sales/customers.csv", customers(random, START), at, "text/csv", tags=pii)
    yield Put(LAKE, "sales/orders.csv", order_rows, at, "text/csv", metadata={"source": "shop-db", "rows": "1500"})
    yield Put(LAKE, "reports/revenue.png", bar_chart(revenue), at, "image/png", metadata={"period": "2026-Q1"})


def _clicks() -> Iterator[Put]:
    random = Random(11)  # noqa: S311 - as above
    for number, packed in enumerate((False, True)):
        day = START + timedelta(days=number)
        lines = [json.dumps(click) for click in clicks(random, day, rows=300)]
        body = ("\n".join(lines) + "\n").encode()
        name = f"clicks/{day:%Y-%m-%d}.jsonl"
        at = day + timedelta(days=1)
        if packed:
            # Without a time in the header, equal data give equal bytes.
            yield Put(LAKE, f"{name}.gz", gzip.compress(body, mtime=0), at, "application/gzip")
        else:
            yield Put(LAKE, name, body, at, "application/x-ndjson")


def _cold() -> Iterator[Put]:
    for year, kind in ((2023, "GLACIER"), (2024, "STANDARD_IA"), (2025, "STANDARD")):
        body = yearly_orders(year)
        yield Put(LAKE, f"cold/totals-{year}.csv", body, START.replace(year=year + 1), "text/csv", kind)


def _logs() -> Iterator[Put]:
    random = Random(3)  # noqa: S311 - as above
    for number in range(LOG_FILES):
        at = START + timedelta(minutes=number)
        body = log(random, at)
        yield Put(LOGS, f"web/access-{at:%Y%m%dT%H%M}-{number:04}.log", body, at, "text/plain")


def _archive() -> Iterator[Put]:
    contract, old = "contracts/supplier.txt", "contracts/expired.txt"
    yield Put(ARCHIVE, contract, b"Supplier contract, first draft.\n", START, "text/plain")
    yield Put(ARCHIVE, contract, b"Supplier contract, as signed.\n", START + timedelta(days=20), "text/plain")
    yield Put(ARCHIVE, old, b"Supplier contract of 2019.\n", START, "text/plain", "GLACIER")
    yield Put(ARCHIVE, old, None, START + timedelta(days=30))
