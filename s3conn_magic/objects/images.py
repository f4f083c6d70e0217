"""Pictures: their format and size by the first bytes, without decoding any."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Size = tuple[int, int]


class Picture(NamedTuple):
    """Format, media type, and pixels where the header says so."""

    format: str
    mime: str
    size: Size | None


def picture_of(data: bytes) -> Picture | None:
    """PNG, JPEG, GIF or WebP by the first bytes of a file, or None."""
    for format_, magic, read in _FORMATS:
        if data.startswith(magic) and (format_ != "WebP" or data[8:12] == b"WEBP"):
            return Picture(format_, f"image/{format_.lower()}", _size(read, data))
    return None


def _size(read: Callable[[bytes], Size | None], data: bytes) -> Size | None:
    try:
        return read(data)
    except (struct.error, IndexError):
        return None


def _png(data: bytes) -> Size | None:
    width, height = struct.unpack_from(">II", data, 16)
    return (width, height) if data[12:16] == b"IHDR" else None


def _gif(data: bytes) -> Size | None:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _jpeg(data: bytes) -> Size | None:
    """The first frame header, behind whatever segments stand before it."""
    at = 2
    while data[at] == 0xFF:  # noqa: PLR2004 - every marker begins so
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in {0xC4, 0xC8, 0xCC}:  # noqa: PLR2004 - start of frame
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 1 if kind == 0xFF else 2 + max(struct.unpack_from(">H", data, at + 2)[0], 2)  # noqa: PLR2004 - fill bytes
    return None


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


_FORMATS: tuple[tuple[str, bytes, Callable[[bytes], Size | None]], ...] = (
    ("PNG", b"\x89PNG\r\n\x1a\n", _png),
    ("JPEG", b"\xff\xd8\xff", _jpeg),
    ("GIF", b"GIF8", _gif),
    ("WebP", b"RIFF", _webp),
)
