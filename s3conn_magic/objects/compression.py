"""The beginning of compressed bytes, unpacked up to a bound, however much they would become."""

from __future__ import annotations

import bz2
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAGIC = ((b"\x1f\x8b\x08", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
_BZ2 = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")  # a block, or the end of an empty stream
_STEP = 512


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out: `ended` when that is all of it, `damaged` when the rest cannot be unpacked."""

    data: bytes
    ended: bool
    damaged: bool = False


def compression_of(data: bytes) -> str | None:
    """`gzip`, `zstd` or `bz2` by the first bytes, or None."""
    if data.startswith(b"BZh") and data[3:4].isdigit() and data[4:10] in _BZ2:
        return "bz2"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def unpack(data: bytes, compression: str, *, limit: int, whole: bool) -> Unpacked:
    """At most `limit` bytes of what `data` unpacks to; `whole` says that no data follow it."""
    out = bytearray()
    damaged = False
    try:
        for piece in _PIECES[compression](data, limit):
            out += piece
            if len(out) >= limit:
                return Unpacked(bytes(out[:limit]), ended=False)
    except (OSError, ValueError, EOFError, zlib.error):
        damaged = whole
    return Unpacked(bytes(out), ended=whole and not damaged, damaged=damaged)


def _members(data: bytes, limit: int, make: Callable[[], Any], magic: bytes) -> Iterator[bytes]:
    """Streams one behind the other, as `cat a.gz b.gz` makes them; padding and rubbish behind them are ignored."""
    while data:
        stream = make()
        # One byte more than is wanted tells that there is more.
        yield stream.decompress(data, limit + 1)
        if not stream.eof:
            raise EOFError
        data = stream.unused_data
        if not data.startswith(magic):
            return


def _gzip(data: bytes, limit: int) -> Iterator[bytes]:
    return _members(data, limit, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), b"\x1f\x8b\x08")


def _bz2(data: bytes, limit: int) -> Iterator[bytes]:
    return _members(data, limit, bz2.BZ2Decompressor, b"BZh")


def _zstd(data: bytes, limit: int) -> Iterator[bytes]:
    import pyarrow as pa

    del limit  # it comes piece by piece, and the caller stops
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        # An error takes the whole of its piece with it, so pieces are small.
        while piece := stream.read(_STEP):
            yield piece


_PIECES: dict[str, Callable[[bytes, int], Iterator[bytes]]] = {"gzip": _gzip, "bz2": _bz2, "zstd": _zstd}
