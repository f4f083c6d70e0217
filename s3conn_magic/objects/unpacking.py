"""Decompress and decode content as a stream of plain bytes, verified as it is read.

unpack      its beginning, up to a bound
unpacked    all of it, in UTF-8
as_gzip     the same as an uncompressed gzip file, for DuckDB's readers
SeekableFile   the base of these streams and of other files to read
"""

from __future__ import annotations

import bz2
import codecs
import io
import lzma
import struct
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import QueryError, S3ConnError, pip_install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_STEP = 256 * 1024
"""Bytes read, or unpacked, at once."""
_SMALL_STEP = 512
# Padding of the last block on tapes and disks, and by `dd`.
_PADDING = b"\x00"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Unpacked bytes; `ended` if these are all, `damaged` if the rest cannot be unpacked."""

    data: bytes
    ended: bool
    damaged: bool = False


def unpack(data: bytes, compression: str, *, limit: int, whole: bool) -> Unpacked:
    """Return at most `limit` unpacked bytes; `whole` if no data follow."""
    out = bytearray()
    damaged = False
    try:
        # An error loses its whole piece, so pieces are small.
        for piece in _plain(io.BytesIO(data), compression, _SMALL_STEP):
            out += piece
            if len(out) > limit:  # one byte more shows that there is more
                return Unpacked(bytes(out[:limit]), ended=False)
    except _DamageError:
        damaged = whole
    return Unpacked(bytes(out), ended=whole and not damaged, damaged=damaged)


class SeekableFile(io.RawIOBase):
    """A file to read, of known size or none (-1); subclasses read from `at` on."""

    mode = "rb"

    def __init__(self, size: int = -1) -> None:
        super().__init__()
        self.size, self.at = size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position; nothing is read.

        Raises:
            io.UnsupportedOperation: it is before the beginning, or from an end that is unknown.
        """
        self.at = self.after(self.at, offset, whence)
        return self.at

    def after(self, at: int, offset: int, whence: int) -> int:
        """Return the position after a seek from `at`; errors as for `seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: at, io.SEEK_END: self.size}.get(whence, -1)
        if base < 0 or base + offset < 0:
            # Of both classes that files raise: zipfile expects an OSError, others a ValueError.
            raise io.UnsupportedOperation(f"a position of {offset} (whence {whence}) is not in a file")
        return base + offset


class Stream(SeekableFile):
    """Pieces of bytes as a file, read from beginning to end; seeking back starts again.

    Args:
        begin: returns the pieces from the first on.
        during: context in which pieces are made.
        closed: called on close.
    """

    def __init__(
        self,
        begin: Callable[[], Iterator[bytes]],
        *,
        during: Callable[[], AbstractContextManager[object]] = nullcontext,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._begin, self._during, self._closed = begin, during, closed
        self._pieces = begin()
        self._piece = memoryview(b"")

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Read up to a position, at most to the end; errors as for `SeekableFile`, also from the end."""
        at = self.after(self.at, offset, whence)
        if at < self.at:
            self._pieces, self._piece, self.at = self._begin(), memoryview(b""), 0
        while self.at < at and self.read(min(at - self.at, _STEP)):
            pass
        return self.at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, all for -1; fewer only at the end.

        Raises:
            QueryError: the object is damaged.
            S3ConnError: it cannot be read.
        """
        return b"".join(self._parts(-1 if size is None else size))

    def _parts(self, wanted: int) -> Iterator[memoryview]:
        while wanted:
            if not self._piece:
                with self._during():
                    piece = next(self._pieces, None)
                if piece is None:
                    break
                self._piece = memoryview(piece)
            part = self._piece if wanted < 0 else self._piece[:wanted]
            self._piece = self._piece[len(part) :]
            self.at += len(part)
            wanted -= 0 if wanted < 0 else len(part)
            yield part

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer; less at the end."""
        view, at = memoryview(buffer).cast("B"), 0
        for part in self._parts(len(view)):
            view[at : at + len(part)] = part
            at += len(part)
        return at

    def readall(self) -> bytes:
        """Return all that is left."""
        return self.read(-1)

    def close(self) -> None:
        """Close the stream."""
        if not self.closed:
            super().close()
            self._closed()


def unpacked(
    file: Any,
    compression: str | None,
    encoding: str = "",
    *,
    closing: bytes = b"",
    skip: int = 0,
    comment: bytes = b"",
    last: int = 0,
) -> Stream:
    """Return the content of a file, unpacked and decoded lazily.

    Args:
        file: open; seekable if it is read again.
        compression: as `compression_of` names it, or None.
        encoding: of a text, which becomes UTF-8 without a byte order mark; empty for binary content.
        closing: `]` to refuse a JSON array that does not end.
        skip: leading lines to drop.
        comment: prefix of lines to drop, outside quoted fields.
        last: most bytes of the last line; 0 for any.

    Raises:
        QueryError: while reading: the object is damaged, or not in that encoding.
        S3ConnError: while reading: the object cannot be read.
    """

    def begin() -> Iterator[bytes]:
        file.seek(0)
        pieces = _with_damage_named(_plain(file, compression, _STEP))
        if encoding:
            pieces = _decoded(pieces, encoding)
        if skip or comment:
            pieces = _without(pieces, skip, comment)
        pieces = _ending(pieces, last) if last else pieces
        return _closed(pieces) if closing else pieces

    return Stream(begin)


LAST_LINE = 32 * 1024 * 1024
"""Bytes of a buffer, beyond which DuckDB's reader of CSV drops the last line without an error."""
WIDE = 8
"""How many times as many there are for long records."""
_TAIL = 64 * 1024


def _ending(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    before = line = 0
    for piece in pieces:
        end = b"\n" if b"\n" in piece else b"\r"
        at = piece.rfind(end)
        if at >= 0:
            line, before = (before + at if piece.find(end) == at else 0), 0
        before += len(piece) - at - 1
        yield piece
    if max(before, line if before == 0 else 0) > most:
        raise _too_long()


def _too_long() -> QueryError:
    hint = "COPY FROM S3 with CONTENT_TYPE = SPLIT_LINES loads lines as they are."
    return QueryError("the last record is longer than can be read (Maximum line size)", hint=hint)


def ends_late(read: Callable[[int, int], bytes], size: int, most: int = LAST_LINE) -> bool:
    """Return whether the last line of a text is longer than `most` bytes.

    Args:
        read: returns the bytes of a range.
        size: bytes of the text.
        most: bytes.
    """
    at, step = size, _TAIL
    while size - at <= most < size:
        start = max(at - step, 0)
        part = read(start, at)
        part = part.rstrip(b"\r\n") if at == size else part
        if b"\n" in part or b"\r" in part:
            return False
        at, step = start, _STEP
    return most < size


def as_gzip(stream: Stream, **options: Any) -> Stream:
    """Return a stream as a gzip file of stored blocks, which DuckDB reads without overhead."""

    def begin() -> Iterator[bytes]:
        stream.seek(0)
        return _stored(stream)

    return Stream(begin, **options)


_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_BLOCK = 65535


def _stored(stream: Stream) -> Iterator[bytes]:
    yield _GZIP_HEAD
    checksum = size = 0
    while block := stream.read(_BLOCK):
        checksum = zlib.crc32(block, checksum)
        size += len(block)
        yield struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF) + block
    yield struct.pack("<BHHII", 1, 0, 0xFFFF, checksum, size & 0xFFFFFFFF)


_DAMAGED = "the object is damaged: "
_AGAIN = "Upload it again, or read an earlier version of it."


def damaged(part: str, hint: str = _AGAIN) -> QueryError:
    """Return the error for a damaged object."""
    return QueryError(_DAMAGED + part, hint=hint)


def is_damage(error: S3ConnError) -> bool:
    """Return whether an error is from `damaged`."""
    return error.message.startswith(_DAMAGED)


class _DamageError(Exception):
    """What is wrong with packed data; never leaves this module."""


def _with_damage_named(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except _DamageError as error:
        raise damaged(str(error)) from None


# Codecs: a file and a step size → pieces


def _plain(file: Any, compression: str | None, step: int) -> Iterator[bytes]:
    if compression is None:
        while piece := file.read(_STEP):
            yield piece
        return
    size = 0
    try:
        for piece in _CODECS[compression](file, step):
            size += len(piece)
            yield piece
    except S3ConnError:
        raise
    except EOFError:
        raise _DamageError(_message(compression, "truncated", size)) from None
    except (zlib.error, lzma.LZMAError, OSError, ValueError) as error:
        raise _DamageError(_message(compression, str(error), size)) from None


def _message(compression: str, reason: str, size: int) -> str:
    reason = reason.lower()
    if "truncated" in reason:
        return f"its {compression} data are cut off after {size:,} unpacked bytes"
    if "data check" in reason or "checksum" in reason or "crc" in reason:
        return f"the checksum (CRC) of its {compression} data does not match"
    if "length check" in reason:
        return f"its {compression} data have another length than they say"
    return f"its {compression} data cannot be unpacked after {size:,} unpacked bytes"


class _Gzip:
    """zlib's decompressor with the interface of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._member.unconsumed_tail

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail + data, most)


def _members(make: Callable[[], Any], file: Any, step: int) -> Iterator[bytes]:
    """Decompress concatenated streams, as of `cat a.gz b.gz`; zeros between and after them are padding."""
    data = file.read(_STEP)
    while data:
        member = make()
        while not member.eof:
            if member.needs_input and not data:
                data = file.read(_STEP)
            ended = member.needs_input and not data
            given, data = (data, b"") if member.needs_input else (b"", data)
            piece = member.decompress(given, step)
            if ended and not piece and not member.eof:
                raise EOFError
            yield piece
        data = member.unused_data + data
        while not data.strip(_PADDING) and (more := file.read(_STEP)):
            data = more
        data = data.lstrip(_PADDING)


def _arrow(codec: str, file: Any, step: int) -> Iterator[bytes]:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.PythonFile(_Unclosed(file), mode="r"), codec) as stream:
        while piece := stream.read(step):
            yield piece


class _Unclosed(io.RawIOBase):
    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        data: bytes = self._file.read(size)
        return data


_SNAPPY_HEAD = b"\xff\x06\x00\x00sNaPpY"
_SNAPPY_DATA = {0x00, 0x01}
_SNAPPY_RESERVED = range(0x02, 0x80)


def _snappy(file: Any, step: int) -> Iterator[bytes]:
    """Decompress Snappy frames: chunks of up to 64 KiB, each with its checksum."""
    try:
        from cramjam import DecompressionError, snappy
    except ImportError:
        hint = f"Install it: {pip_install('avro')}"
        raise QueryError("objects that are packed in frames of Snappy need the library cramjam", hint=hint) from None
    del step
    while head := file.read(4):
        size = int.from_bytes(head[1:4], "little")
        body = file.read(size)
        if len(body) < size or len(head) < len(b"\0sss"):
            raise EOFError
        if head[0] in _SNAPPY_RESERVED:
            raise ValueError("a chunk of an unknown kind")
        if head[0] in _SNAPPY_DATA:
            try:
                yield bytes(snappy.decompress(_SNAPPY_HEAD + head + body))
            except DecompressionError as error:
                raise ValueError(str(error)) from None


_CODECS: dict[str, Callable[[Any, int], Iterator[bytes]]] = {
    "gzip": partial(_members, _Gzip),
    "bz2": partial(_members, bz2.BZ2Decompressor),
    "xz": partial(_members, lzma.LZMADecompressor),
    "zstd": partial(_arrow, "zstd"),
    "lz4": partial(_arrow, "lz4"),
    "snappy": _snappy,
}


# Text


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield UTF-8 without a byte order mark."""
    decoder = codecs.getincrementaldecoder(encoding)()
    plain = codecs.lookup(encoding).name == "utf-8"
    at, first = 0, True
    for piece in _with_end(pieces):
        held = len(decoder.getstate()[0])
        try:
            text = decoder.decode(piece, not piece)
        except UnicodeDecodeError as error:
            raise _not_text(encoding, at - held + error.start) from None
        at += len(piece)
        if first and text:
            text, first = text.lstrip("\ufeff"), False
            yield text.encode()
        elif plain and not held and not decoder.getstate()[0]:
            yield piece
        else:
            yield text.encode()


def _with_end(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces, then an empty one."""
    yield from filter(None, pieces)
    yield b""


def _not_text(encoding: str, at: int) -> QueryError:
    name = encoding.upper() if encoding.startswith("utf") else encoding
    hint = "COPY FROM S3 takes another one, such as CONTENT_TYPE = (TYPE = CSV ENCODING = 'cp1252')."
    return damaged(f"byte {at:,} is not {name}", hint)


def _without(pieces: Iterator[bytes], skip: int, comment: bytes) -> Iterator[bytes]:
    """Yield the pieces without some leading lines and without comments."""
    left, quoted, fields = b"", False, b""
    for piece in _with_end(pieces):
        data = left + piece
        cut = data.rfind(b"\n") + 1 if piece else len(data)
        whole, left = data[:cut], data[cut:]
        while skip and whole:
            whole, skip = whole.partition(b"\n")[2], skip - 1
        if comment and (whole.startswith(comment) or b"\n" + comment in whole):
            kept = []
            for line in _lines(whole):
                if quoted or not line.startswith(comment):
                    kept.append(line)
                    quoted ^= line.count(b'"') % 2 == 1
                elif line.startswith(_FIELDS):
                    fields = fields or line.strip()
                    _check_fields(fields, line.strip())
            whole = b"".join(kept)
        else:
            quoted ^= whole.count(b'"') % 2 == 1
        yield whole


_FIELDS = b"#Fields:"


def _check_fields(first: bytes, line: bytes) -> None:
    """Refuse a W3C log whose fields change, after its server was reconfigured."""
    if line.split() != first.split():
        raise QueryError(
            "the #Fields line of the log changes along the way, so its records have different columns",
            hint="COPY FROM S3 with CONTENT_TYPE = SPLIT_LINES loads its lines as they are.",
        )


def _lines(data: bytes) -> list[bytes]:
    """Split into lines with their ends; a carriage return alone ends none."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + [data.rpartition(b"\n")[2]]


def _closed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces of JSON, and check that an array is closed."""
    depth, inside, kept = 0, False, b""
    is_array: bool | None = None
    for piece in pieces:
        if is_array is None and piece.strip():
            is_array = piece.lstrip().startswith(b"[")
        if is_array:
            depth, inside, kept = _depth(kept + piece, depth, inside=inside)
        yield piece
    if depth > 0 or inside:
        raise damaged("its array of JSON does not end: the last part of it is missing")


_NEITHER = bytes(set(range(256)) - set(b'"[]'))


def _depth(data: bytes, depth: int, *, inside: bool) -> tuple[int, bool, bytes]:
    """Return the depth of open arrays after some JSON, whether it ends in a string, and trailing backslashes."""
    kept = data[len(data.rstrip(b"\\")) :]
    plain = data[: len(data) - len(kept)].replace(b"\\\\", b"").replace(b'\\"', b"")
    # Quotes without a bracket between them cancel out.
    parts = plain.translate(None, _NEITHER).replace(b'""', b"").split(b'"')
    outside = b"".join(parts[int(inside) :: 2])
    depth += outside.count(b"[") - outside.count(b"]")
    return depth, inside != (len(parts) % 2 == 0), kept
