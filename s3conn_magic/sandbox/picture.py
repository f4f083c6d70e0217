"""A bar chart as a PNG, drawn with nothing but zlib."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAPER, _AXIS, _BAR, _TOP = (250, 250, 248), (90, 96, 104), (66, 120, 180), (232, 138, 56)
Pixel = tuple[int, int, int]


def bar_chart(values: Sequence[float], width: int = 480, height: int = 270) -> bytes:
    """A PNG of `width` x `height` pixels with one bar for each of `values`, the tallest in another colour."""
    slot, top = width // len(values), max(values)
    heights = [round(value / top * (height - 30)) for value in values]
    columns = [_bar_at(x, slot, heights) for x in range(width)]
    rows = (_row([_pixel(height - 10 - y, bar, max(heights)) for bar in columns]) for y in range(height))
    return _png(width, height, b"".join(rows))


def _bar_at(x: int, slot: int, heights: Sequence[int]) -> int:
    """Height of the bar at column `x`, 0 between two bars."""
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
    """The file format: https://www.w3.org/TR/png/, 8 bits a channel, RGB, no interlace."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
