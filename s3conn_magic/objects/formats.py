"""THE table of formats, for PREVIEW, SELECT and COPY: endings and first bytes → format, compression, and reader.

The second half unpacks the beginning of compressed bytes up to a bound, however much they would become.
"""

from __future__ import annotations

import bz2
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.language.words import listed, literal
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.objects.description import Description


class Format(NamedTuple):
    """A format of objects.

    Attributes:
        name: as PREVIEW shows it.
        endings: of names, in lower case.
        type: as CONTENT_TYPE names it, where COPY reads it.
        reader: DuckDB's function, where a query reads it.
        delimiter: between the fields of a text.
        media: content types; INSERT writes the first.
        magic: what stands where in the file.
        also_text: a text may begin with the same bytes, so that only a NUL byte behind them is certain.
    """

    name: str
    endings: tuple[str, ...] = ()
    type: str = ""
    reader: str = ""
    delimiter: str | None = None
    media: tuple[str, ...] = ()
    magic: tuple[tuple[int, bytes], ...] = ()
    also_text: bool = False


def _known(name: str, magic: bytes, *endings: str, at: int = 0, also_text: bool = False) -> Format:
    """A format that is named and not opened."""
    return Format(name, endings, magic=((at, magic),), also_text=also_text)


PARQUET_MAGIC = b"PAR1"
_PARQUET = Format(
    "Parquet",
    (".parquet", ".parq", ".pq", ".geoparquet"),
    "PARQUET",
    "read_parquet",
    media=("application/vnd.apache.parquet",),
    magic=((0, PARQUET_MAGIC),),
)
_CSV = Format("CSV", (".csv",), "CSV", "read_csv", ",", ("text/csv", "application/csv"))
_JSON = Format("JSON", (".json",), "JSON", "read_json", media=("application/x-ndjson",))
FORMATS = (
    _PARQUET,
    _CSV,
    Format("TSV", (".tsv", ".tab"), "TSV", "read_csv", "\t", ("text/tab-separated-values",)),
    Format("CSV (|)", (".psv",), "CSV", "read_csv", "|"),
    _JSON,
    Format("JSON lines", (".jsonl", ".ndjson"), "JSON", "read_json"),
    Format("ORC", (".orc",), "ORC", magic=((0, b"ORC"),), also_text=True),
    # Of these the content decides, never the name.
    _known("Arrow", b"ARROW1", ".arrow", ".feather"),
    _known("Avro", b"Obj\x01", ".avro"),
    _known("ZIP", b"PK\x03\x04", ".zip", ".xlsx"),
    _known("ZIP", b"PK\x05\x06"),
    _known("PDF", b"%PDF-", ".pdf"),
    _known("ELF", b"\x7fELF"),
    _known("Windows program", b"MZ", also_text=True),
    _known("SQLite", b"SQLite format 3\x00", ".sqlite"),
    _known("HDF5", b"\x89HDF\r\n\x1a\n", ".h5", ".hdf5"),
    _known("NetCDF", b"CDF", ".nc", also_text=True),
    _known("xz", b"\xfd7zXZ\x00", ".xz"),
    _known("7z", b"7z\xbc\xaf\x27\x1c", ".7z"),
    _known("RAR", b"Rar!", also_text=True),
    _known("LZ4", b"\x04\x22\x4d\x18", ".lz4"),
    _known("Snappy", b"\xff\x06\x00\x00sNaPpY"),
    _known("TIFF", b"II*\x00", ".tif", ".tiff"),
    _known("TIFF", b"MM\x00*"),
    _known("BMP", b"BM", also_text=True),
    _known("ICO", b"\x00\x00\x01\x00"),
    _known("MP3", b"ID3", also_text=True),
    _known("Ogg", b"OggS"),
    _known("FLAC", b"fLaC"),
    _known("AVIF", b"ftypavif", at=4),
    _known("MP4", b"ftyp", at=4),
    _known("Python pickle", b"\x80\x04\x95", ".pkl", ".pickle"),
    _known("tar", b"ustar", ".tar", at=257),
    _known("PNG", b"\x89PNG\r\n\x1a\n", ".png"),
    _known("JPEG", b"\xff\xd8\xff", ".jpg", ".jpeg"),
    _known("GIF", b"GIF8", ".gif"),
    Format("WebP", (".webp",), magic=((0, b"RIFF"), (8, b"WEBP"))),
)
_PROSE = {
    *(".adoc", ".c", ".cfg", ".conf", ".cpp", ".css", ".go", ".h", ".htm", ".html", ".ini", ".java", ".js", ".log"),
    *(".md", ".py", ".r", ".rs", ".rst", ".scala", ".sh", ".sql", ".svg", ".tex", ".toml", ".ts", ".xml"),
    *(".yaml", ".yml"),
}
COMPRESSIONS = {"gzip": (".gz", ".gzip"), "zstd": (".zst", ".zstd"), "bz2": (".bz2",)}
"""Endings of what PREVIEW unpacks; INSERT writes the first."""
READABLE = {None, "gzip", "zstd"}
"""What queries and jobs unpack."""
HEAD = 4096
"""Bytes of an object by which its format is told."""
# What DuckDB reads by the name alone: FROM 's3://…' is left to it.
_SEEN = {".parquet", ".csv", ".tsv", ".json", ".jsonl", ".ndjson"}
_UNPACKED = {"", ".gz", ".zst"}
_ENDINGS = {ending: format_ for format_ in FORMATS for ending in format_.endings}
_PACKED = {ending: name for name, endings in COMPRESSIONS.items() for ending in endings}


class FileName(NamedTuple):
    """What a name says; None where it says nothing.

    Attributes:
        ending: of the format, as written.
        packed: the ending of the compression behind it, as written.
        format: by its ending.
        compression: gzip, zstd or bz2.
    """

    ending: str
    packed: str
    format: Format | None
    compression: str | None


def by_name(name: str) -> FileName:
    """What a key, a path or the end of one says of the content."""
    base = name.rpartition("/")[2]
    stem, dot, last = base.rpartition(".")
    packed = dot + last if (dot + last).lower() in _PACKED else ""
    if packed:
        _, dot, last = stem.rpartition(".")
    ending = dot + last if dot else ""
    return FileName(ending, packed, _ENDINGS.get(ending.lower()), _PACKED.get(packed.lower()))


def by_content(data: bytes) -> Format | None:
    """The format that the first bytes are certain of, or None: the case of every text."""
    seen = next((format_ for format_ in FORMATS if format_.magic and _begins(data, format_.magic)), None)
    return None if seen and seen.also_text and b"\x00" not in data[:512] else seen


def _begins(data: bytes, magic: tuple[tuple[int, bytes], ...]) -> bool:
    return all(data[at : at + len(part)] == part for at, part in magic)


def of_rows(name: str, head: bytes) -> Format | None:
    """The format of an object with rows, as COPY and SELECT read it; None where neither name nor content tells it.

    Args:
        name: its key.
        head: its first bytes, unpacked.
    """
    said, seen = by_name(name).format, by_content(head)
    if seen and seen.type:
        return seen
    if said and said.type in {"CSV", "TSV", "JSON"}:
        return said
    if seen is None and head.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in {b"{", b"["}:
        return _JSON
    return seen or (None if b"\x00" in head or said else _CSV)


def of_type(content_type: str) -> Format:
    """The format that CONTENT_TYPE and FILE_FORMAT name."""
    return next(format_ for format_ in FORMATS if format_.type == content_type)


def ending_of(name: str) -> str:
    """What the name of a file ends in, that of a compression included, such as `.csv.gz`; empty without a dot."""
    said = by_name(name)
    return said.ending + said.packed


def reader_of(name: str) -> str | None:
    """DuckDB's function for a file of this name, or None."""
    said = by_name(name)
    return (said.format and said.format.reader) or None if said.compression in READABLE else None


def is_seen(name: str) -> bool:
    """Whether DuckDB reads a path of this name by itself."""
    said = by_name(name)
    return said.ending.lower() in _SEEN and said.packed.lower() in _UNPACKED


def call(path: str, format_: Format, compression: str | None, *options: str) -> str:
    """DuckDB's function that reads a path, with what it does not see by itself.

    Args:
        path: with `s3://`; a file or a pattern.
        format_: one that has a reader.
        compression: gzip or zstd; None to leave it to DuckDB, which goes by `.gz` and `.zst`.
        options: more arguments.
    """
    given = list(options)
    if format_.delimiter and format_.delimiter != ",":
        given.append(f"delim = {literal(format_.delimiter)}")
    if compression and format_.reader != "read_parquet":
        given.append(f"compression = {literal(compression)}")
    return f"{format_.reader}({', '.join([literal(path), *given])})"


def call_by_name(path: str, name: str, *options: str) -> str | None:
    """The same for files whose name is one that tells the format, or ends as they do; None where it does not."""
    said = by_name(name)
    if said.format is None or not reader_of(name):
        return None
    return call(path, said.format, None if said.packed.lower() in _UNPACKED else said.compression, *options)


def call_by_content(path: str, head: bytes) -> str | None:
    """The same for one object whose first bytes these are."""
    packed = compression_of(head)
    if packed not in READABLE:
        return None
    format_ = of_rows("", unpack(head, packed, limit=HEAD, whole=False).data if packed else head)
    return call(path, format_, packed or "none") if format_ and format_.reader else None


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
    said = by_name(key)
    media = (description.content_type or "").partition(";")[0].strip().lower()
    by_media = next((format_.delimiter for format_ in FORMATS if media in format_.media), None)
    delimiter = said.format.delimiter if said.format else None
    return Promise(delimiter or by_media, said.ending.lower() in _PROSE, said.format == _PARQUET or "parquet" in media)


def text_format(text: str) -> str:
    """The name of a text's format by how it begins."""
    head = text.lstrip()[:1000].lower()
    if head.startswith(("<!doctype html", "<html")):
        return "HTML"
    if head.startswith(("<?xml", "<svg")):
        return "SVG" if "<svg" in head else "XML"
    return "text"


_SLASHES_OF_SCHEME = 2
_READ = listed([ending for format_ in FORMATS if format_.reader for ending in format_.endings], "and")
_BY_NAME = (
    f"FROM 's3://…' alone knows {_READ};"
    f" of text also {listed([*COMPRESSIONS['gzip'], *COMPRESSIONS['zstd']], 'and')} of it."
)


def how_to_read(path: str) -> str:
    """What to write in place of a path whose name does not tell the format, or one that queries do not read.

    Args:
        path: with `s3://`; a file, a pattern or a folder.
    """
    said = by_name(path)
    if said.format and said.format.type == "ORC":
        return "Queries do not read ORC. A job does: CREATE JOB … AS COPY FROM S3 … INTO a table."
    if said.compression not in READABLE:
        return f"Objects compressed by {said.compression} are not read; gzip and zstd are."
    if said.format and not said.format.reader:
        return f"Queries do not read {said.format.name}. What Python reads of it is queried by its DataFrame's name."
    if path.endswith("/") or path.count("/") == _SLASHES_OF_SCHEME:
        files = f"{path if path.endswith('/') else f'{path}/'}**/*.parquet"
        return f"A pattern reads the files below it, such as FROM {literal(visible(files))}. {_BY_NAME}"
    readers = dict.fromkeys(format_.reader for format_ in FORMATS if format_.reader)
    calls = ", ".join(f"{reader}({literal(visible(path))})" for reader in readers)
    return f"Name the function that reads it, one of {calls}. {_BY_NAME}"


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


def hex_dump(data: bytes) -> str:
    """Lines of 16 bytes: offset, bytes, and the characters of those that are ASCII."""
    return "\n".join(_dumped(data, at) for at in range(0, len(data), 16))


def _dumped(data: bytes, at: int) -> str:
    line = data[at : at + 16]
    shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)  # noqa: PLR2004 - printable ASCII
    return f"{at:08x}  {line[:8].hex(' '):<23}  {line[8:].hex(' '):<23}  {shown}"
