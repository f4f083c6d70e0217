"""Bytes → text: by byte order mark, as UTF-8, by the pattern of NULs, or by a guess that is said to be one."""

from __future__ import annotations

import codecs
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.objects.formats import by_content

if TYPE_CHECKING:
    from collections.abc import Callable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_ASIAN = ("cp932", "euc_jp", "gb18030", "big5", "euc_kr")
_GUESSED = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "koi8_r", "mac_roman", "cp437", "cp850", *_ASIAN]
_ENOUGH = 8
_SAMPLE = 16 * 1024
_CONTROLS = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_LOST = "\ufffd"
_MOSTLY = 0.4
_SELDOM = 0.05
_SHARE_OF_CONTROLS = 0.1


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, the codec's name, and what is odd about it."""

    text: str
    encoding: str
    notes: tuple[str, ...] = ()


def decode(data: bytes, *, whole: bool) -> Decoded | None:
    """The text that some bytes are, or None where they are none.

    Args:
        data: the beginning of it; when it is not `whole`, a character may be cut at the end and is left out.
        whole: whether nothing follows.
    """
    found = _marked(data, whole) or _wide(data, whole) or _strict(data, "utf-8", whole)
    found = found or _damaged(data) or _guessed(data)
    return found if found and _is_text(found.text) else None


def _strict(data: bytes, encoding: str, whole: bool) -> Decoded | None:
    try:
        return Decoded(codecs.getincrementaldecoder(encoding)().decode(data, whole), encoding)
    except UnicodeDecodeError:
        return None


def _marked(data: bytes, whole: bool) -> Decoded | None:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None:
        return None
    found = _strict(data, encoding, whole)
    if found or encoding == "utf-8-sig":
        return found
    text = codecs.getincrementaldecoder(encoding)("replace").decode(data, True)
    return Decoded(text, encoding, (_lost(text, encoding),))


def _lost(text: str, encoding: str) -> str:
    count = text.count(_LOST)
    return f"{count:,} place{'' if count == 1 else 's'} that {'is' if count == 1 else 'are'} not valid {encoding}"


def _wide(data: bytes, whole: bool) -> Decoded | None:
    """UTF-32 or UTF-16 without a mark: of mostly Latin text, the same bytes of each character are NUL."""
    for encoding in _WIDE:
        width = 4 if "32" in encoding else 2
        lowest = 0 if encoding.endswith("le") else width - 1
        places = [data[at::width][:_SAMPLE] for at in range(width)]
        high = [place.count(0) / max(len(place), 1) for at, place in enumerate(places) if at != lowest]
        low = places[lowest].count(0) / max(len(places[lowest]), 1)
        if min(high) > _MOSTLY and low < _SELDOM and (found := _strict(data, encoding, whole)):
            return found
    return None


def _damaged(data: bytes) -> Decoded | None:
    """UTF-8 with a few bytes that are not: far more characters beyond ASCII are whole than broken."""
    text = data.decode("utf-8", "replace")
    lost = text.count(_LOST)
    beyond = len(text) - lost - len(text.encode("ascii", "ignore"))
    return Decoded(text, "utf-8", (_lost(text, "utf-8"),)) if beyond > 3 * lost else None


def _guessed(data: bytes) -> Decoded | None:
    """One byte a character, or an older Asian encoding."""
    if _share_of_controls(data[:_SAMPLE].decode("latin-1")) > _SELDOM:
        return None
    found = _strict(data, _likely(_around_the_odd(data)), False) or _strict(data, "cp1252", False)
    found = found or Decoded(data.decode("latin-1"), "latin-1")
    return Decoded(found.text, found.encoding, (f"the encoding {found.encoding} is a guess",))


def _likely(sample: bytes) -> str:
    """What a language speaks for; in two bytes a character, that all of many fit is enough."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_GUESSED, preemptive_behaviour=False).best()
    fits = best and best.encoding in _ASIAN and not best.chaos and len(re.findall(rb"[\x80-\xff]", sample)) >= _ENOUGH
    return best.encoding if best and (best.coherence > 0 or fits) else "cp1252"


def _around_the_odd(data: bytes) -> bytes:
    """The part that tells: from a little before the first byte beyond ASCII on."""
    first = re.search(rb"[\x80-\xff]", data)
    return data[max(first.start() - 256, 0) if first else 0 :][:_SAMPLE]


def _is_text(text: str) -> bool:
    return _share_of_controls(text[:_SAMPLE]) <= _SHARE_OF_CONTROLS


def _share_of_controls(text: str) -> float:
    return len(_CONTROLS.findall(text)) / max(len(text), 1)


Size = tuple[int, int]


class Picture(NamedTuple):
    """Format, media type, and pixels where the header says so."""

    format: str
    mime: str
    size: Size | None


def picture_of(data: bytes) -> Picture | None:
    """PNG, JPEG, GIF or WebP by the first bytes of a file, or None."""
    seen = by_content(data)
    if seen is None or seen.name not in _SIZES:
        return None
    return Picture(seen.name, f"image/{seen.name.lower()}", _size(_SIZES[seen.name], data))


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


_SIZES: dict[str, Callable[[bytes], Size | None]] = {"PNG": _png, "JPEG": _jpeg, "GIF": _gif, "WebP": _webp}
