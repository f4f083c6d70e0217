"""Decode keys: XML entities and percent-encoding, a column at a time and never by guess.

Whether `+` stands for a space differs between servers: see `plus_convention`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.listing.table import MEMORY

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789", np.uint8)] = np.arange(10)
_HEX[np.frombuffer(b"abcdef", np.uint8)] = np.arange(10, 16)
_HEX[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
_PERCENT, _PLUS, _SPACE = b"%+ "
_PLAIN = re.compile(rb" |%(?![0-9A-Fa-f]{2})")
_ENTITY = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));|&")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class UndecodableError(ValueError):
    """Broken escapes, or bytes that are not UTF-8."""


class AmbiguousError(ValueError):
    """The page does not tell whether its texts are escaped, or what `+` stands for."""


class Escapes(NamedTuple):
    """How a server escapes, as far as known: whether `+` is a space, and whether it escapes without saying so."""

    plus: bool | None = None
    unsaid: bool | None = None


def may_be_escaped(text: bytes) -> bool:
    """Whether lines of text may be percent-encoded, that is, nothing in them rules it out."""
    return (b"%" in text or b"+" in text) and not _PLAIN.search(text)


def plus_convention(text: bytes) -> bool | None:
    """Whether `+` is a space in percent-encoded text, or None where the text does not tell.

    AWS writes a space as `+` and a plus as `%2B`; other servers write a space as `%20`, and some leave a plus alone.
    """
    if b"+" not in text:
        return True
    plus, space = b"%2b" in text or b"%2B" in text, b"%20" in text
    return None if plus == space else plus


def settle_plus(encoded: AbstractSet[str], plain: AbstractSet[str]) -> bool:
    """Return whether `+` is a space, by comparison with the same page asked for without encoding.

    Raises:
        UndecodableError: neither reading fits.
    """
    for text in encoded:
        as_space, as_plus = percent_text(text, plus=True) in plain, percent_text(text, plus=False) in plain
        if "+" in text and as_space != as_plus:
            return as_space
    raise UndecodableError("the server's encoding of spaces and plus signs cannot be told apart")


def percent_text(text: str, *, plus: bool) -> str:
    """Decode a percent-encoded text; a broken escape is an UndecodableError."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise UndecodableError("a percent escape is broken")
    try:
        return unquote_to_bytes(text.replace("+", " ") if plus else text).decode("utf-8")
    except UnicodeDecodeError:
        raise UndecodableError("a key is not valid UTF-8") from None


def percent_column(texts: pa.StringArray, *, plus: bool) -> pa.StringArray:
    """Decode a compact column of percent-encoded texts; `checked_utf8` then checks the bytes."""
    offsets, data = _offsets_and_bytes(texts)
    spaced = plus and _PLUS in data
    if spaced:
        data = np.where(data == _PLUS, np.uint8(_SPACE), data)
    signs = data == _PERCENT
    count = int(np.count_nonzero(signs))
    if not count:
        return _column(data, offsets) if spaced else texts
    if not spaced and (column := _single_escape(texts, data, count)) is not None:
        return column
    escapes = np.flatnonzero(signs)
    codes = _codes(data, escapes, offsets)
    return _column(_unescaped(data, escapes, codes), (offsets - 2 * np.searchsorted(escapes, offsets)).astype(np.int32))


def _offsets_and_bytes(texts: pa.StringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    _, offsets_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data


def _codes(
    data: npt.NDArray[np.uint8], escapes: npt.NDArray[np.int64], offsets: npt.NDArray[np.int32]
) -> npt.NDArray[np.uint8]:
    """Return the byte that each escape stands for."""
    # No text may end within an escape.
    ends = offsets[1:][offsets[1:] > 0]
    if _PERCENT in data[ends - 1] or _PERCENT in data[np.maximum(ends - 2, 0)]:
        raise UndecodableError("a percent escape is broken")
    high, low = _HEX[data[escapes + 1]], _HEX[data[escapes + 2]]
    if ((high | low) > 15).any():  # noqa: PLR2004 - not a hexadecimal digit
        raise UndecodableError("a percent escape is broken")
    return ((high << 4) | low).astype(np.uint8, copy=False)


def _single_escape(texts: pa.StringArray, data: npt.NDArray[np.uint8], count: int) -> pa.StringArray | None:
    """Return the texts where all `count` escapes are the same, as in `year%3D2024`; None otherwise. The fast path."""
    text = data.tobytes()
    first = text.index(b"%")
    escape = re.fullmatch(rb"%([2-7][0-9A-F])", text[first : first + 3])
    if escape is None:
        return None
    replaced = pc.replace_substring(texts, escape[0].decode(), chr(int(escape[1], 16)), memory_pool=MEMORY)
    return replaced if len(_offsets_and_bytes(replaced)[1]) == len(data) - 2 * count else None


def _unescaped(
    data: npt.NDArray[np.uint8], escapes: npt.NDArray[np.int64], codes: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    data = data.copy()
    data[escapes] = codes
    keep = np.ones(len(data), bool)
    keep[escapes + 1] = keep[escapes + 2] = False
    return data[keep]


def _column(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32]) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def entity_column(texts: pa.StringArray) -> pa.StringArray:
    """Resolve XML's five entities and its character references, control characters included, in a column."""
    _, data = _offsets_and_bytes(texts)
    if ord("&") not in data:
        return texts
    return pa.array([entity_text(text) for text in texts.to_pylist()], pa.string())


def entity_text(text: str) -> str:
    """Resolve XML's five entities and its character references in a text."""
    return _ENTITY.sub(_resolve, text)


def _resolve(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name:
        return _NAMED[name]
    code = int(decimal or hexadecimal or "-1", 10 if decimal else 16)
    if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - Unicode's bounds
        raise UndecodableError("an XML entity is broken")
    return chr(code)


def checked_utf8(texts: pa.StringArray) -> pa.StringArray:
    """Return the column unchanged if it is valid UTF-8; raise UndecodableError otherwise."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raise UndecodableError("a key is not valid UTF-8") from None
    return texts


_TOKEN = re.compile(rb"<NextContinuationToken>([^<&]+)</NextContinuationToken>")
_BEGIN, _END, _GROUPS = b"<Contents>", b"</Contents>", b"<CommonPrefixes>"
_KEY, _KEY_END = b"<Key>", b"</Key>"
_REQUIRED = (b"<EncodingType>url</EncodingType>", b"<IsTruncated>true</IsTruncated>")


class LookAhead(NamedTuple):
    """The last key of a page that says more follows, and the token of the next page."""

    last: str
    token: str


def look_ahead(body: bytes) -> LookAhead | None:
    """Return where a page of objects ends, or None where only reading it tells.

    This is a guess: the result is compared with the page once that is read.
    """
    begin, end = body.find(_BEGIN), body.rfind(_END)
    around = body[:begin] + body[end:]
    tokens = _TOKEN.findall(around)
    grouped = _GROUPS in around
    if min(begin, end) < 0 or grouped or len(tokens) != 1 or any(sign not in around for sign in _REQUIRED):
        return None
    key = body[body.rfind(_KEY, begin, end) + len(_KEY) : body.rfind(_KEY_END, begin, end)]
    # It takes more than one key to tell whether `+` is a space.
    if not key or b"<" in key or b"+" in key:
        return None
    try:
        return LookAhead(percent_text(entity_text(key.decode()), plus=False), tokens[0].decode())
    except (UndecodableError, UnicodeDecodeError):
        return None
