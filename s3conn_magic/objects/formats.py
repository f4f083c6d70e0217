"""The beginning of compressed bytes, unpacked up to a bound, however much they would become."""

from __future__ import annotations

import bz2
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from s3conn_magic.language.words import literal
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.objects.description import Description

_COMPRESSION_MAGIC = ((b"\x1f\x8b\x08", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
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
    return next((name for magic, name in _COMPRESSION_MAGIC if data.startswith(magic)), None)


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


# Formats that are named and not opened; the content decides, never the name.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"ORC", "ORC"),
    (0, b"ARROW1", "Arrow"),
    (0, b"Obj\x01", "Avro"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"PK\x05\x06", "ZIP"),
    (0, b"%PDF-", "PDF"),
    (0, b"\x7fELF", "ELF"),
    (0, b"MZ", "Windows program"),
    (0, b"SQLite format 3\x00", "SQLite"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
    (0, b"CDF", "NetCDF"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!", "RAR"),
    (0, b"\x04\x22\x4d\x18", "LZ4"),
    (0, b"\xff\x06\x00\x00sNaPpY", "Snappy"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"ID3", "MP3"),
    (0, b"OggS", "Ogg"),
    (0, b"fLaC", "FLAC"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyp", "MP4"),
    (0, b"\x80\x04\x95", "Python pickle"),
    (257, b"ustar", "tar"),
)
# A text may begin so, too.
_ALSO_TEXT = {"ORC", "Windows program", "BMP", "NetCDF", "MP3", "RAR"}
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}
_MEDIA = {"text/csv": ",", "application/csv": ",", "text/tab-separated-values": "\t"}
_PROSE = {
    *(".adoc", ".c", ".cfg", ".conf", ".cpp", ".css", ".go", ".h", ".htm", ".html", ".ini", ".java", ".js", ".log"),
    *(".md", ".py", ".r", ".rs", ".rst", ".scala", ".sh", ".sql", ".svg", ".tex", ".toml", ".ts", ".xml"),
    *(".yaml", ".yml"),
}
_PACKED = {".gz", ".gzip", ".zst", ".zstd", ".bz2"}
_PARQUET = {".parquet", ".parq", ".pq", ".geoparquet"}


@dataclass(frozen=True, slots=True)
class Promise:
    """What name and content type say of the content.

    Attributes:
        delimiter: of the fields, for a table of text.
        prose: a text that is no table, even where it looks like one.
        parquet: so that its end is read first.
    """

    delimiter: str | None
    prose: bool
    parquet: bool


def promise(key: str, description: Description) -> Promise:
    """What the name and the content type say."""
    suffixes = [one.lower() for one in PurePosixPath(key.rpartition("/")[2]).suffixes]
    suffix = next((one for one in reversed(suffixes) if one not in _PACKED), "")
    media = (description.content_type or "").partition(";")[0].strip().lower()
    delimiter = _DELIMITERS.get(suffix) or _MEDIA.get(media)
    return Promise(delimiter, suffix in _PROSE, suffix in _PARQUET or "parquet" in media)


def format_of(data: bytes) -> str | None:
    """The name of a format that is not text, or None where the first bytes are of none of these."""
    found = next((name for at, magic, name in _MAGIC if data[at : at + len(magic)] == magic), None)
    return None if found in _ALSO_TEXT and b"\x00" not in data[:512] else found


def text_format(text: str) -> str:
    """The name of a text's format by how it begins."""
    head = text.lstrip()[:1000].lower()
    if head.startswith(("<!doctype html", "<html")):
        return "HTML"
    if head.startswith(("<?xml", "<svg")):
        return "SVG" if "<svg" in head else "XML"
    return "text"


def hex_dump(data: bytes) -> str:
    """Lines of 16 bytes: offset, bytes, and the characters of those that are ASCII."""
    return "\n".join(_dumped(data, at) for at in range(0, len(data), 16))


def _dumped(data: bytes, at: int) -> str:
    line = data[at : at + 16]
    shown = "".join(chr(one) if 0x20 <= one < 0x7F else "." for one in line)  # noqa: PLR2004 - printable ASCII
    return f"{at:08x}  {line[:8].hex(' '):<23}  {line[8:].hex(' '):<23}  {shown}"


_READERS = {
    "parquet": "read_parquet",
    "parq": "read_parquet",
    "pq": "read_parquet",
    "csv": "read_csv",
    "tsv": "read_csv",
    "json": "read_json",
    "jsonl": "read_json",
    "ndjson": "read_json",
}
_COMPRESSIONS = {"gz", "zst"}
_SLASHES_OF_SCHEME = 2
_BY_NAME = "FROM 's3://…' alone knows .parquet, .csv, .tsv, .json, .jsonl and .ndjson; of text also .gz and .zst of it."


def ending_of(name: str) -> str:
    """What the name of a file ends in, that of a compression included, such as `.csv.gz`; empty without a dot."""
    base = name.rpartition("/")[2]
    at = base.rfind(".")
    if base[at + 1 :].lower() in _COMPRESSIONS:
        at = max(base.rfind(".", 0, at), 0)
    return base[at:] if at >= 0 else ""


def reader_of(name: str) -> str | None:
    """DuckDB's function for a file of this name, or None."""
    return _READERS.get(ending_of(name)[1:].lower().partition(".")[0])


def how_to_read(path: str) -> str:
    """What to write in place of a path whose name does not tell the format.

    Args:
        path: with `s3://`; a file, a pattern or a folder.
    """
    if ending_of(path).lower() == ".orc":
        return "Queries do not read ORC. A job does: CREATE JOB … AS COPY FROM S3 … INTO a table."
    if reader := reader_of(path):
        return f"Name the function that reads it: FROM {reader}({literal(visible(path))})."
    if path.endswith("/") or path.count("/") == _SLASHES_OF_SCHEME:
        files = f"{path if path.endswith('/') else f'{path}/'}**/*.parquet"
        return f"A pattern reads the files below it, such as FROM {literal(visible(files))}. {_BY_NAME}"
    calls = ", ".join(f"{reader}({literal(visible(path))})" for reader in dict.fromkeys(_READERS.values()))
    return f"Name the function that reads it, one of {calls}. {_BY_NAME}"
