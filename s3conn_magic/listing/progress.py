"""How far a listing is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

if TYPE_CHECKING:
    from s3conn_magic.listing.table import Page


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a listing, of a job or of a query.

    Attributes:
        keys: rows that have arrived, common prefixes included; objects that a job has done with.
        bytes: sum of the sizes of these objects.
        requests: requests that have been answered, tries included.
        elapsed: seconds since the listing began.
        fraction: estimated part of the whole, 0 to 1, or None where there is nothing to go by.
        received: bytes of the answers' bodies.
        unit: what `keys` counts; empty where nothing is counted but bytes.
    """

    keys: int = 0
    bytes: int = 0
    requests: int = 0
    elapsed: float = 0.0
    fraction: float | None = None
    received: int = 0
    unit: str = "keys"


class Tally:
    """Counts what arrives. Written by the engine's thread, read by any."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._ended: float | None = None
        self.pages = self.keys = self.bytes = self.requests = self.received = 0
        self.fraction: float | None = None

    def count(self, page: Page) -> None:
        """Count an answer."""
        self.pages += 1
        self.requests += page.requests
        self.received += page.received

    def add(self, page: Page) -> None:
        """Count the rows of a page that are part of the listing."""
        self.keys += len(page)
        self.bytes += pc.sum(page.objects.column(1)).as_py() or 0

    def estimate(self, left: float | None) -> None:
        """Note how many rows are still expected."""
        self.fraction = None if left is None else self.keys / (self.keys + left) if self.keys + left else 1.0

    def clear(self) -> None:
        """Forget the rows: the listing begins again."""
        self.keys = self.bytes = 0
        self.fraction = None

    def end(self) -> None:
        """Stop the clock."""
        self._ended = self._ended or time.monotonic()

    def snapshot(self) -> Progress:
        """The counts of this moment."""
        elapsed = (self._ended or time.monotonic()) - self._began
        return Progress(self.keys, self.bytes, self.requests, elapsed, self.fraction, self.received)
