"""Rows of the made-up web shop, as the bytes of files. Nothing here is about real people."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random

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
    """One Parquet file of `rows` events of one day, in order of time.

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
    """CSV: customer_id, name, email, country, signed_up; names with accents and apostrophes."""

    def row(number: int) -> tuple[Any, ...]:
        name = f"{random.choice(_FIRST)} {random.choice(_LAST)}"
        signed_up = start - timedelta(days=random.randrange(900))
        return number, name, f"customer{number}@example.com", random.choice(list(_COUNTRIES)), signed_up.date()

    header = ("customer_id", "name", "email", "country", "signed_up")
    return _csv(header, map(row, range(1, _CUSTOMERS + 1)))


def orders(random: Random, start: datetime, rows: int) -> tuple[bytes, list[float]]:
    """CSV: order_id, customer_id, ordered_at, product, quantity, total, status; and the revenue of each of 13 weeks."""
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
    """Nested records of one day: at, user (null when nobody is signed in), page {path, referrer}, tags (a list)."""
    for _ in range(rows):
        user = random.randint(1, _CUSTOMERS) if random.random() < 0.6 else None  # noqa: PLR2004 - three in five
        page = {"path": random.choice(_PATHS), "referrer": random.choice((None, "https://example.com/"))}
        yield {"at": _moment(random, day).isoformat(), "user": user, "page": page, "tags": random.sample(_DEVICES, 2)}


def countries() -> bytes:
    """CSV: code, name."""
    return _csv(("code", "name"), _COUNTRIES.items())


def yearly(year: int) -> bytes:
    """CSV: month, orders; twelve rows that grow with the year and the season."""
    return _csv(
        ("month", "orders"), [(f"{year}-{month:02}", (year - 2020) * 100 + month * 7) for month in range(1, 13)]
    )


def log(random: Random, at: datetime) -> bytes:
    """One to three lines of a web server's access log."""

    def line() -> str:
        address, status = f"192.0.2.{random.randint(1, 254)}", random.choices((200, 304, 404, 500), (85, 8, 6, 1))[0]
        moment = at + timedelta(seconds=random.randrange(60))
        size = random.randint(180, 9000)
        return (
            f'{address} - - [{moment:%d/%b/%Y:%H:%M:%S} +0000] "GET {random.choice(_PATHS)} HTTP/1.1" {status} {size}'
        )

    return "".join(line() + "\n" for _ in range(random.randint(1, 3))).encode()
