"""Formats by the first bytes, and what a name or a content type promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3conn_magic.objects.description import Description

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
