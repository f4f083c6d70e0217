"""What an entry of the reference is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["string", "boolean", "integer", "count", "fraction", "amount", "timestamp", "category", "list"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result frame; timestamps are UTC, sizes are bytes, `ms` are milliseconds.

    A count is a whole number and a fraction one from 0 to 1; neither is ever missing.
    An amount is a number with decimals, which may be missing.
    """

    name: str
    type: ColumnType
    help: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A statement as the documentation shows it. `columns` is empty where the result is not a frame."""

    name: str
    syntax: str
    help: str
    example: str
    columns: tuple[Column, ...] = ()
