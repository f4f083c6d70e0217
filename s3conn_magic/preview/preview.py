"""Recognise the beginning of an object: a table, a text in its encoding, an image, or bytes."""

from __future__ import annotations

import codecs
import re
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from s3conn_magic.errors import QueryError, S3ConnError
from s3conn_magic.locations import size_text
from s3conn_magic.objects.apart import KINDS, ContainerError, Contents, read_container, record_batches
from s3conn_magic.objects.containers import READERS, is_arrow_stream
from s3conn_magic.objects.description import head
from s3conn_magic.objects.files import BLOCK, BoundReachedError, RangeReader
from s3conn_magic.objects.formats import (
    PARQUET_MAGIC,
    by_content,
    compression_of,
    encoding_of,
    hex_dump,
    promises_parquet,
    text_format,
)
from s3conn_magic.objects.unpacking import unpack
from s3conn_magic.preview import COLUMNS_AT_MOST, Preview, frame, replacements, schema_of, with_valid_texts
from s3conn_magic.preview.text_tables import TextTable, laid_out, read_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.description import Description
    from s3conn_magic.objects.formats import Format

__all__ = ["Preview", "preview"]

_ASIAN = ("cp932", "euc_jp", "gb18030", "big5", "euc_kr")
_GUESSED = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "koi8_r", "mac_roman", "cp437", "cp850", *_ASIAN]
_ENOUGH = 8
_SAMPLE = 16 * 1024
_CONTROLS = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_REPLACEMENT = "\ufffd"
_SELDOM = 0.05
_SHARE_OF_CONTROLS = 0.1


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded text, the codec's name, and notes on what is odd."""

    text: str
    encoding: str
    notes: tuple[str, ...] = ()


def decode(data: bytes, *, whole: bool) -> Decoded | None:
    """Decode text, or return None if the bytes are not text.

    Args:
        data: the beginning of an object; if it is not `whole`, an incomplete character at the end is dropped.
        whole: whether the object ends here.
    """
    encoding = encoding_of(data)
    decoded = _decode(data, encoding, whole)
    if decoded is None:
        decoded = _mostly_utf8(data) or _guess(data) if encoding == "utf-8" else _lossy(data, encoding)
    return decoded if decoded and _is_text(decoded.text) else None


def _decode(data: bytes, encoding: str, whole: bool) -> Decoded | None:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, whole)
    except UnicodeDecodeError:
        return None
    return Decoded(text.removeprefix("\ufeff"), encoding)


def _lossy(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, "replace").removeprefix("\ufeff")
    return Decoded(text, encoding, (_invalid_note(text, encoding),))


def _invalid_note(text: str, encoding: str) -> str:
    count = text.count(_REPLACEMENT)
    return f"{count:,} place{'' if count == 1 else 's'} that {'is' if count == 1 else 'are'} not valid {encoding}"


def _mostly_utf8(data: bytes) -> Decoded | None:
    """Decode UTF-8 with a few invalid bytes, or return None unless non-ASCII characters far outnumber them."""
    decoded = _lossy(data, "utf-8")
    lost = decoded.text.count(_REPLACEMENT)
    beyond = len(decoded.text) - lost - len(decoded.text.encode("ascii", "ignore"))
    return decoded if beyond > 3 * lost else None


def _guess(data: bytes) -> Decoded | None:
    """Decode text in a guessed single-byte or older Asian encoding."""
    if _share_of_controls(data[:_SAMPLE].decode("latin-1")) > _SELDOM:
        return None
    decoded = _decode(data, _likely_encoding(_sample_of_non_ascii(data)), False) or _decode(data, "cp1252", False)
    decoded = decoded or Decoded(data.decode("latin-1"), "latin-1")
    return Decoded(decoded.text, decoded.encoding, (f"the encoding {decoded.encoding} is a guess",))


def _likely_encoding(sample: bytes) -> str:
    """Return the encoding that fits a language, or a double-byte one in which many bytes are valid."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_GUESSED, preemptive_behaviour=False).best()
    fits = best and best.encoding in _ASIAN and not best.chaos and len(re.findall(rb"[\x80-\xff]", sample)) >= _ENOUGH
    return best.encoding if best and (best.coherence > 0 or fits) else "cp1252"


def _sample_of_non_ascii(data: bytes) -> bytes:
    """Return a sample that starts shortly before the first non-ASCII byte."""
    first = re.search(rb"[\x80-\xff]", data)
    return data[max(first.start() - 256, 0) if first else 0 :][:_SAMPLE]


def _is_text(text: str) -> bool:
    return _share_of_controls(text[:_SAMPLE]) <= _SHARE_OF_CONTROLS


def _share_of_controls(text: str) -> float:
    return len(_CONTROLS.findall(text)) / max(len(text), 1)


Size = tuple[int, int]


class Picture(NamedTuple):
    """Format, media type, and pixels if the header says so."""

    format: str
    mime: str
    size: Size | None


def picture_of(data: bytes) -> Picture | None:
    """Return the image that a file's first bytes announce, if browsers can show it."""
    known = by_content(data)
    if known is None or known.name not in _SIZES:
        return None
    size = _size(_SIZES[known.name], data)
    if size is None and known.name in _CONFIRMED_BY_SIZE:
        return None
    return Picture(known.name, _MEDIA.get(known.name, f"image/{known.name.lower()}"), size)


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
    """Return the size in the first frame header, after any other segments."""
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


def _bmp(data: bytes) -> Size | None:
    older = struct.unpack_from("<I", data, 14)[0] == 12  # noqa: PLR2004 - bytes of the oldest header
    width, height = struct.unpack_from("<HH" if older else "<ii", data, 18)
    return (width, abs(height)) if width > 0 and height else None


def _ico(data: bytes) -> Size | None:
    """Return the size of the largest image; 0 means 256."""
    (count,) = struct.unpack_from("<H", data, 4)
    entries = [struct.unpack_from("<BBBBHHII", data, 6 + 16 * at) for at in range(count)]
    if not entries or any(entry[3] or entry[7] < 6 + 16 * count for entry in entries):
        return None
    return max((entry[0] or 256, entry[1] or 256) for entry in entries)


def _avif(data: bytes) -> Size | None:
    at = data.find(b"ispe", 0, _SAMPLE)
    return struct.unpack_from(">II", data, at + 8) if at > 0 else None


_SIZES: dict[str, Callable[[bytes], Size | None]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "GIF": _gif,
    "WebP": _webp,
    "BMP": _bmp,
    "ICO": _ico,
    "AVIF": _avif,
}
_CONFIRMED_BY_SIZE = {"BMP", "ICO"}
"""Formats with so short a signature that only a plausible header confirms them."""
_MEDIA = {"ICO": "image/x-icon"}


TEXT_AT_MOST = 1024 * 1024
_FEW_ROWS, _OF_MANY_ROWS = 1_000, 8
_ENTITIES = re.compile(r"<!(?:ENTITY|DOCTYPE[^>]*\[)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The first bytes of an object, unpacked; `whole` if it ends there.

    `share` is their share of the object, or None if unknown.
    """

    data: bytes
    whole: bool
    compression: str | None
    damaged: bool
    share: float | None


def _beginning(reader: RangeReader, count: int, most: int) -> _Beginning:
    raw = reader.part(0, count)
    compression, whole = compression_of(raw), len(raw) == reader.size
    if compression is None:
        return _Beginning(raw, whole, None, False, len(raw) / reader.size)
    plain = unpack(raw, compression, limit=most, whole=whole)
    share = len(raw) / reader.size if len(plain.data) < most else None
    return _Beginning(plain.data, plain.ended, compression, plain.damaged, share)


@dataclass(frozen=True, slots=True)
class Read:
    """A text and its table, if it has one; `enough` if nothing more need be read."""

    decoded: Decoded
    start: _Beginning
    enough: bool
    table: TextTable | None

    def onto(self, seen: Preview) -> Preview:
        """Return the preview with what was read."""
        records, decoded, whole = self.table, self.decoded, self.start.whole
        notes = (*seen.notes, *decoded.notes, *(records.notes if records else ()))
        base = replace(seen, encoding=decoded.encoding, notes=notes)
        if records is None or records.table is None:
            form = records.format if records else text_format(decoded.text)
            layout = laid_out(decoded.text[:LAYOUT_AT_MOST]) if records else None
            cut = not whole or bool(layout and len(decoded.text) > LAYOUT_AT_MOST)
            seen = replace(base, kind="text", format=form, text=decoded.text, layout=layout, truncated=cut)
            # An SVG with its own entities may grow without end when drawn.
            is_drawn = form == "SVG" and whole and not _ENTITIES.search(decoded.text)
            return replace(seen, image=decoded.text.encode(), mime="image/svg+xml") if is_drawn else seen
        total = records.count if whole and not records.broken else None
        complete = len(records.table) == total
        share = None if complete or records.broken else self.start.share
        return replace(
            base,
            kind="table",
            format=records.format,
            frame=frame(records.table),
            schema=schema_of(records.table.schema),
            truncated=not complete,
            total_rows=total,
            about_rows=round(records.count / share) if share else None,
        )


def read_text(key: str, start: _Beginning, *, rows: int) -> Read | None:
    """Read the beginning of a text, or return None if it is not text.

    Args:
        key: of the object.
        start: its beginning.
        rows: wanted rows of a table or lines of a text.
    """
    decoded = decode(start.data, whole=start.whole)
    if decoded is None or not start.data:
        return None
    records = read_table(key, decoded.text, whole=start.whole, rows=rows)
    available = decoded.text.count("\n") if records is None else records.count
    return Read(decoded, start, start.whole or available >= rows, records)


CONTAINER_AT_MOST = 64_000_000


def read_rows(reader: RangeReader, seen: Preview, name: str, rows: int) -> Preview:
    """Return the preview with the first rows, if the format is read in a separate process.

    Args:
        reader: the object.
        seen: the preview to fall back to, with a hex dump.
        name: of the format.
        rows: maximum.
    """
    if name not in READERS:
        return seen
    reader.limit = reader.received + CONTAINER_AT_MOST
    try:
        contents = read_container(reader, name, size=reader.size, rows=rows)
    except BoundReachedError:
        note = f"its rows are not shown: the first ones take more than {size_text(CONTAINER_AT_MOST)}"
        return replace(seen, notes=(*seen.notes, note))
    except ContainerError as error:
        return replace(seen, notes=(*seen.notes, f"its rows are not shown: {error}"))
    return _with_rows(seen, contents)


def read_packed_rows(reader: RangeReader, seen: Preview, known: Format, rows: int) -> Preview:
    """Return the preview with the first rows of a compressed file, read as SELECT and COPY read it.

    Args:
        reader: the object.
        seen: the preview to fall back to, with its compression.
        known: the format inside.
        rows: maximum.
    """
    if known.type not in KINDS - {"ORC"}:
        return seen
    reader.limit = reader.received + CONTAINER_AT_MOST
    reader.seek(0)
    collected: list[pa.RecordBatch] = []
    notes, whole = tuple[str, ...](), False
    try:
        batches = record_batches(known.type, reader, seen.compression)
        for batch in batches:
            collected.append(batch)
            if sum(map(len, collected)) > rows:
                break
        else:
            whole = True
    except BoundReachedError:
        notes = (f"what follows is not shown: it takes more than {size_text(CONTAINER_AT_MOST)}",)
    except QueryError as error:
        notes = (f"its rows are not shown: {error.message}",)
    if not collected and not whole:
        return replace(seen, notes=(*seen.notes, *notes))
    table = pa.Table.from_batches(collected, batches.schema)
    count = len(table) if whole else None
    return _with_rows(seen, Contents(known.name, table.slice(0, rows), table.schema, count, notes=notes))


def _with_rows(seen: Preview, contents: Contents) -> Preview:
    shown = contents.table.num_columns
    few, total = contents.table.select(range(min(shown, COLUMNS_AT_MOST))), len(contents.schema)
    table, replaced = with_valid_texts(few)
    note = (f"the first {few.num_columns:,} of {total:,} columns are shown",) if few.num_columns < total else ()
    whole = contents.total is not None and len(table) >= contents.total and not note
    return replace(
        seen,
        kind="table",
        format=contents.format,
        frame=frame(table),
        schema=schema_of(contents.schema),
        total_rows=contents.total,
        about_rows=contents.about if contents.total is None else None,
        truncated=not whole,
        hex_dump=None,
        notes=(*seen.notes, *contents.notes, *note, *replacements(replaced)),
    )


IMAGE_AT_MOST = 8 * 1024 * 1024
PIXELS_AT_MOST = 64 * 1024 * 1024
ROWS_AT_MOST = 10_000
LAYOUT_AT_MOST = 128 * 1024
_HEX_BYTES = 512
_PARQUET_TAIL = 64 * 1024


def preview(
    connection: Connection,
    location: Location,
    *,
    rows: int = 100,
    version_id: str | None = None,
    description: Description | None = None,
) -> Preview:
    """Return the beginning of an object as a table, text, image or bytes.

    Args:
        connection: used to read it.
        location: bucket and exact key.
        rows: maximum rows of a table, up to 10,000.
        version_id: the version to read; by default the current one.
        description: of this object and version, if known; saves the HEAD request.

    Raises:
        S3ConnError: there is no such object, it may not be read, it changed meanwhile, or the server cannot be reached.
    """
    described = description or head(connection, location, version_id=version_id)
    requests = 0 if description else 1
    if described.archived:
        return _archived(described, requests)
    if described.size == 0:
        return Preview("empty", described, format="empty", requests=requests)
    # Reading the current version by its id would need another permission.
    read = described if version_id else replace(described, version_id=None)
    reader = RangeReader(connection, location, read, limit=IMAGE_AT_MOST + 2 * TEXT_AT_MOST)
    blank = Preview("binary", described, notes=_row_limit_note(rows))
    try:
        result = _read(reader, blank, location.key, min(rows, ROWS_AT_MOST))
    except S3ConnError:
        raise
    except Exception as error:  # noqa: BLE001 - libraries raise anything over damaged bytes
        if reader.failure or _is_ours(error):
            raise (reader.failure or error) from None
        known_by = _bytes(blank, reader.part(0, min(BLOCK, _HEX_BYTES)), reader.size)
        result = replace(known_by, notes=(*blank.notes, "it is damaged, or written in a way that cannot be read here"))
    finally:
        reader.end()
    return replace(result, bytes_read=reader.received, requests=reader.requests + requests)


def _is_ours(error: Exception) -> bool:
    """Whether an error is a fault of this package, not a library's reaction to damaged bytes."""
    trace, where = error.__traceback__, ""
    while trace is not None:
        where = trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next
    foreign = (BoundReachedError, pa.ArrowException, MemoryError, RecursionError, UnicodeError, zlib.error)
    return where.startswith("s3conn_magic.") and not isinstance(error, foreign)


def _archived(known: Description, requests: int) -> Preview:
    where = known.archive_status or known.storage_class
    state = f"its restore is {known.restore}" if known.restore else "it must be restored before it can be read"
    return Preview("archived", known, format="archived", requests=requests, notes=(f"it is in {where}: {state}",))


def _row_limit_note(rows: int) -> tuple[str, ...]:
    return (f"a preview has at most {ROWS_AT_MOST:,} rows",) if rows > ROWS_AT_MOST else ()


def _read(reader: RangeReader, blank: Preview, key: str, rows: int) -> Preview:
    from s3conn_magic.preview.parquet import ENCRYPTED_MAGIC, FOOTER_AT_MOST, read_parquet

    reader.limit = max(reader.limit, FOOTER_AT_MOST + TEXT_AT_MOST)
    promised = promises_parquet(key, blank.description)
    if promised:
        reader.prefetch([(max(reader.size - _PARQUET_TAIL, 0), reader.size)])
        if parquet := read_parquet(reader, blank, rows):
            return parquet
    first = reader.part(0, BLOCK)
    begins_so = first.startswith((PARQUET_MAGIC, ENCRYPTED_MAGIC))
    if begins_so and not promised and (parquet := read_parquet(reader, blank, rows)):
        return parquet
    return _image(reader, blank, first) or _recognised(reader, blank, first, rows) or _text(reader, blank, key, rows)


def _image(reader: RangeReader, blank: Preview, first: bytes) -> Preview | None:
    picture = picture_of(first)
    if picture and picture.size is None and len(first) < reader.size:
        # A camera's metadata may come before the size.
        picture = picture_of(reader.part(0, TEXT_AT_MOST))
    if picture is None:
        return None
    width, height = picture.size or (None, None)
    result = replace(blank, kind="image", format=picture.format, mime=picture.mime, width=width, height=height)
    if reader.size > IMAGE_AT_MOST or (width or 0) * (height or 0) > PIXELS_AT_MOST:
        return replace(result, truncated=True, notes=(*result.notes, "the picture is too large to be shown"))
    return replace(result, image=reader.part(0, reader.size))


def _recognised(reader: RangeReader, blank: Preview, first: bytes, rows: int) -> Preview | None:
    """Return the rows of a recognised format, or its bytes if it has none."""
    known = by_content(first)
    name = "Arrow stream" if is_arrow_stream(first) else known.name if known else None
    if name is None or name == "Parquet":  # Parquet is recognised by its end
        return None
    return read_rows(reader, replace(_bytes(blank, first, reader.size), format=name), name, rows)


def _bytes(blank: Preview, data: bytes, size: int) -> Preview:
    return replace(blank, hex_dump=hex_dump(data[:_HEX_BYTES]), truncated=size > _HEX_BYTES)


def _not_text(seen: Preview, start: _Beginning, name: str, raw: bytes) -> Preview:
    """Return a preview of the unpacked bytes, or of the object's own if nothing can be unpacked."""
    if start.whole and not start.data:
        return replace(seen, kind="empty", format="empty")
    if not start.data:
        return replace(_bytes(seen, raw, seen.description.size), format=start.compression or name)
    inner = compression_of(start.data) if start.compression else None
    notes = (*seen.notes, f"it is packed twice: what is in it is packed by {inner}") if inner else seen.notes
    inner_bytes = _bytes(seen, start.data, len(start.data) + (not start.whole))
    return replace(inner_bytes, format=inner or name, notes=notes)


def _text(reader: RangeReader, blank: Preview, key: str, rows: int) -> Preview:
    """Read as much as the rows need: one block, then 1 MiB, then the maximum."""
    most = TEXT_AT_MOST * (1 if rows <= _FEW_ROWS else _OF_MANY_ROWS)
    for count in (BLOCK, TEXT_AT_MOST, most):
        start = _beginning(reader, count, max(count, TEXT_AT_MOST))
        notes = (f"the {start.compression} data are damaged or cut",) if start.damaged else ()
        seen = replace(blank, compression=start.compression, notes=(*blank.notes, *notes))
        last = count >= min(reader.size, most) or len(start.data) >= most
        inner = by_content(start.data) if start.compression else None
        read = None if inner else read_text(key, start, rows=rows)
        if read and (last or read.enough):
            return read.onto(seen)
        if read is None and (last or start.data):
            bytes_ = _not_text(seen, start, inner.name if inner else "binary", reader.part(0, BLOCK))
            return read_packed_rows(reader, bytes_, inner, rows) if inner and start.compression else bytes_
    raise AssertionError  # the last round always returns
