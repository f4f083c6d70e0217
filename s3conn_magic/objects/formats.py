"""The table of formats for PREVIEW, SELECT and COPY: endings and first bytes → format, compression, and reader."""

from __future__ import annotations

import codecs
import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.language.words import literal
from s3conn_magic.locations import visible
from s3conn_magic.objects.dialects import (
    certain_delimiter,
    first_ends,
    header_of,
    likely_delimiter,
    log_of,
    records,
    without_lines,
)
from s3conn_magic.objects.scope import AsPlain
from s3conn_magic.objects.unpacking import LAST_LINE, unpack, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from s3conn_magic.language.job_values import Content
    from s3conn_magic.objects.description import Description


class Format(NamedTuple):
    """A format of objects.

    Attributes:
        name: for display.
        endings: of names, in lower case.
        type: name in CONTENT_TYPE, if COPY reads it.
        reader: DuckDB's function, if queries read it.
        delimiter: of fields in a text.
        media: content types; INSERT writes the first.
        magic: offsets and bytes.
        also_text: a text may begin with these bytes, so only a byte that is not text makes it certain.
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
    """Return a format that is recognized, but not read."""
    return Format(name, endings, magic=((at, magic),), also_text=also_text)


_SKIPPABLE = tuple(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))
_PACKED_MAGIC = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy"),
)
_BZ2 = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")  # a block, or the end of an empty stream

PARQUET_MAGIC = b"PAR1"
_PARQUET = Format(
    "Parquet",
    (".parquet", ".parq", ".pq", ".geoparquet"),
    "PARQUET",
    "read_parquet",
    media=("application/vnd.apache.parquet",),
    magic=((0, PARQUET_MAGIC),),
    also_text=True,
)
_CSV = Format("CSV", (".csv",), "CSV", "read_csv", ",", ("text/csv", "application/csv"))
_TSV = Format("TSV", (".tsv", ".tab"), "TSV", "read_csv", "\t", ("text/tab-separated-values",))
_JSON = Format("JSON", (".json",), "JSON", "read_json", media=("application/x-ndjson",))
FORMATS = (
    _PARQUET,
    _CSV,
    _TSV,
    Format("CSV (|)", (".psv",), "CSV", "read_csv", "|"),
    _JSON,
    Format("JSON lines", (".jsonl", ".ndjson"), "JSON", "read_json"),
    Format("ORC", (".orc",), "ORC", magic=((0, b"ORC"),), also_text=True),
    # Recognized by content only.
    Format("Arrow", (".arrow", ".feather"), "ARROW", magic=((0, b"ARROW1\x00\x00"),)),
    Format("Arrow stream", (".arrows",), "ARROW", magic=((0, b"\xff\xff\xff\xff"), (6, b"\x00\x00"))),
    Format("Avro", (".avro",), "AVRO", magic=((0, b"Obj\x01"),)),
    # Its first member is not compressed.
    Format(
        "OpenDocument", (".ods", ".odt", ".odp"), magic=((0, b"PK\x03\x04"), (30, b"mimetypeapplication/vnd.oasis."))
    ),
    _known("ZIP", b"PK\x03\x04", ".zip", ".xlsx"),
    _known("ZIP", b"PK\x05\x06"),
    _known("Microsoft Office 97", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".xls", ".doc", ".ppt"),
    _known("PDF", b"%PDF-", ".pdf"),
    _known("ELF", b"\x7fELF"),
    _known("Windows program", b"MZ", also_text=True),
    _known("SQLite", b"SQLite format 3\x00", ".sqlite"),
    _known("HDF5", b"\x89HDF\r\n\x1a\n", ".h5", ".hdf5"),
    _known("NetCDF", b"CDF", ".nc", also_text=True),
    _known("7z", b"7z\xbc\xaf\x27\x1c", ".7z"),
    _known("RAR", b"Rar!", also_text=True),
    _known("TIFF", b"II*\x00", ".tif", ".tiff"),
    _known("TIFF", b"MM\x00*"),
    _known("BMP", b"BM", ".bmp", also_text=True),
    _known("ICO", b"\x00\x00\x01\x00", ".ico"),
    _known("MP3", b"ID3", also_text=True),
    _known("Ogg", b"OggS"),
    _known("FLAC", b"fLaC"),
    _known("AVIF", b"ftypavif", ".avif", at=4),
    _known("AVIF", b"ftypavis", at=4),
    _known("MP4", b"ftyp", at=4),
    _known("Python pickle", b"\x80\x04\x95", ".pkl", ".pickle"),
    _known("tar", b"ustar", ".tar", at=257),
    _known("PNG", b"\x89PNG\r\n\x1a\n", ".png"),
    _known("JPEG", b"\xff\xd8\xff", ".jpg", ".jpeg"),
    _known("GIF", b"GIF8", ".gif"),
    Format("WebP", (".webp",), magic=((0, b"RIFF"), (8, b"WEBP"))),
)
# Only by CONTENT_TYPE.
_CLOUDTRAIL = Format("CloudTrail", type="CLOUDTRAIL", reader="read_json")
_BY_TYPE = (
    _CLOUDTRAIL,
    Format("lines", type="SPLIT_LINES"),
    Format("lines by a pattern", type="REGEX"),
    Format("lines of fixed width", type="FIXED_WIDTH"),
)
_TEXT, _BINARY = {"CSV", "TSV", "JSON"}, {"PARQUET", "ORC", "AVRO", "ARROW"}
_PROSE = {
    *(".adoc", ".c", ".cfg", ".conf", ".cpp", ".css", ".go", ".h", ".htm", ".html", ".ini", ".java", ".js", ".log"),
    *(".md", ".py", ".r", ".rs", ".rst", ".scala", ".sh", ".sql", ".svg", ".tex", ".toml", ".ts", ".xml"),
    *(".yaml", ".yml"),
}
COMPRESSIONS = {
    "gzip": (".gz", ".gzip"),
    "zstd": (".zst", ".zstd"),
    "bz2": (".bz2",),
    "xz": (".xz",),
    "lz4": (".lz4",),
    "snappy": (".sz", ".snappy"),
}
"""Endings by compression; INSERT writes the first."""
HEAD = 64 * 1024
"""First bytes of an object that determine its format."""
_NO_TEXT = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
_ENDINGS = {ending: format_ for format_ in FORMATS for ending in format_.endings}
_PACKED = {ending: name for name, endings in COMPRESSIONS.items() for ending in endings}
_MARKED = [
    (format_, at, part, [(text, where) for where, text in more])
    for format_ in FORMATS
    for (at, part), *more in [format_.magic or ((0, b""),)]
    if part
]


class FileName(NamedTuple):
    """What a name tells; None for unknown.

    Attributes:
        ending: of the format, as written.
        packed: ending of the compression after it, as written.
        format: by its ending.
        compression: one of `COMPRESSIONS`.
    """

    ending: str
    packed: str
    format: Format | None
    compression: str | None


def by_name(name: str) -> FileName:
    """Return the format and compression by a key, a path or the end of one."""
    base = name.rpartition("/")[2].partition("?versionId=")[0]
    stem, dot, last = base.rpartition(".")
    packed = dot + last if (dot + last).lower() in _PACKED else ""
    if packed:
        _, dot, last = stem.rpartition(".")
    ending = dot + last if dot else ""
    return FileName(ending, packed, _ENDINGS.get(ending.lower()), _PACKED.get(packed.lower()))


def by_content(data: bytes) -> Format | None:
    """Return the format of the first bytes if it is certain, else None, as for all text."""
    begins = data.startswith
    marked = (each for each, at, part, more in _MARKED if begins(part, at) and all(begins(*other) for other in more))
    certain = next(marked, None)
    return None if certain and certain.also_text and not _NO_TEXT.search(data[:512]) else certain


class Detected(NamedTuple):
    """The format of an object, and how to read it.

    Attributes:
        format: `format.type` is the TYPE of CONTENT_TYPE.
        compression: as `compression_of` names it, or None.
        encoding: Python's name of a text's encoding; else empty.
        settings: of CONTENT_TYPE = (…), given or detected; for CSV and TSV always with DELIMITER and HEADER.
        said: how it is read without explicit settings, for a note; else empty.
        names: of the columns of a text table, from its header or generated.
        blank: empty lines before the first record of a text table.
        array: whether it is one JSON array.
        log: name of a known log format.
        trailing: whether the header and the first records end with a delimiter, so that the last column is none.
    """

    format: Format
    compression: str | None
    encoding: str
    settings: Mapping[str, Any]
    said: str = ""
    names: tuple[str, ...] = ()
    blank: int = 0
    array: bool = False
    log: str = ""
    trailing: bool = False

    def as_plain(self) -> AsPlain | None:
        """How to decode its text if DuckDB must not read the stored bytes, else None.

        DuckDB verifies no checksum, and also drops comments in the middle of lines.
        """
        skip, comment = int(self.settings.get("SKIP_LINES", 0)), str(self.settings.get("COMMENT_PREFIX", "")).encode()
        how = AsPlain(self.compression, self.encoding, b"]" if self.array else b"", skip, comment)
        plain = how in (AsPlain(None, "utf-8"), AsPlain(None, ""))
        return None if plain else how._replace(last=LAST_LINE if self.format.reader == "read_csv" else 0)


def compression_of(data: bytes) -> str | None:
    """Return `gzip`, `zstd`, `bz2`, `lz4`, `xz` or `snappy` by the first bytes, or None."""
    notes = data.startswith(_SKIPPABLE)  # skippable frames before those of data
    while data.startswith(_SKIPPABLE):
        data = data[8 + int.from_bytes(data[4:8], "little") :]
    if notes and not data:
        return "zstd"
    if data.startswith(b"BZh") and data[3:4].isdigit() and data[4:10] in _BZ2:
        return "bz2"
    return next((name for magic, name in _PACKED_MAGIC if data.startswith(magic)), None)


def detect(
    name: str, head: bytes, given: Content | None = None, compression: str = "AUTO", *, whole: bool = False
) -> Detected:
    """Detect a format: by the user's settings, then by certain content, then by name.

    Args:
        name: the key.
        head: the first `HEAD` bytes, as stored.
        given: CONTENT_TYPE.
        compression: COMPRESSION; SNAPPY applies within files.
        whole: whether no bytes follow.

    Raises:
        QueryError: it is unknown, or not supported.
    """
    packed_by = compression_of(head)
    packed = packed_by if compression in {"AUTO", "SNAPPY"} else {"NONE": None}.get(compression, compression.lower())
    if head and packed and packed_by != packed:
        hint = "COMPRESSION = AUTO, as without it, goes by the first bytes of each object."
        raise QueryError(f"the object is not packed by {packed}", hint=hint)
    plain, ended = head, whole
    if packed:
        unpacked_head = unpack(head, packed, limit=HEAD, whole=whole)
        if unpacked_head.damaged:
            unpacked(io.BytesIO(head), packed).read()  # which raises the details
        plain, ended = unpacked_head.data, unpacked_head.ended
        if inner := compression_of(plain):
            hint = "Unpack it once: then it can be read."
            raise QueryError(
                f"the object is packed twice: in its {packed} data is what is packed by {inner}", hint=hint
            )
    settings = dict(given.settings) if given else {}
    kind = of_type(given.type) if given and given.type != "AUTO" else None
    if (seen_kind := kind or by_content(plain)) and seen_kind.type in _BINARY:
        if seen_kind.type in {"PARQUET", "ORC"} and packed:
            hint = "Unpack it: what is in it is packed already."
            raise QueryError(f"a file of {seen_kind.name} that is packed by {packed} is not read", hint=hint)
        return Detected(seen_kind, packed, "", settings)
    encoding = str(settings.get("ENCODING") or encoding_of(plain))
    text = _Text(name, _decoded(plain, encoding), ended)
    log = None if kind else log_of(text.text, whole=text.whole)
    if log:
        kind, settings = of_type(log.type), {**settings, **log.settings}
    kind, log_name = kind or _kind(text, plain), log.name if log else ""
    note = f"as {log_name}, by its lines" if log else ""
    if kind.reader != "read_csv":
        array = text.text.lstrip()[:1] == "["
        return Detected(kind, packed, encoding, settings, note, array=array, log=log_name)
    dialect, header = _dialect(text, kind, settings)
    if given is None or given.type == "AUTO":
        kind = _TSV if dialect["DELIMITER"] == "\t" else _CSV if kind == _TSV else kind
    blank, lines = _blank(_counted(text, dialect)), _records(text, dialect)
    trailing = not log and _is_trailing(lines, header=dialect["HEADER"])
    names = _names(text, lines, dialect)
    return Detected(kind, packed, encoding, dialect, note or header, names, blank, log=log_name, trailing=trailing)


def _blank(plain: str) -> int:
    lines = plain.splitlines()
    return next((at for at, line in enumerate(lines) if line), len(lines))


@dataclass(frozen=True, slots=True)
class _Text:
    """The beginning of a text; `whole` if nothing follows."""

    name: str
    text: str
    whole: bool


_MARKS = (
    (codecs.BOM_UTF8 * 2, "utf-8-sig"),  # as text with two marks, the second of which readers take for text
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MOSTLY = 0.4
_SURE_FROM = 8


# Width of a character, and the offset of its lowest byte.
_WIDE = (("utf-32-le", 4, 0), ("utf-32-be", 4, 3), ("utf-16-le", 2, 0), ("utf-16-be", 2, 1))


def encoding_of(data: bytes) -> str:
    """Return UTF-8, a byte order mark's encoding, or UTF-16 or UTF-32 if most high bytes are NUL, as in Latin text."""
    if marked := next((name for mark, name in _MARKS if data.startswith(mark)), None):
        return marked
    data = data[:HEAD]
    if 0 not in data:
        return "utf-8"
    for encoding, width, lowest in _WIDE if len(data) >= _SURE_FROM else ():
        places = [data[at::width] for at in range(width)]
        if 0 not in places.pop(lowest) and all(place.count(0) > _MOSTLY * len(place) for place in places):
            text = _decoded(data, encoding)
            if "\ufffd" not in text and not _NO_TEXT.search(text.encode()):
                return encoding
    return "utf-8"


def _decoded(data: bytes, encoding: str) -> str:
    """Return the text without a byte order mark or a truncated last character."""
    return codecs.getincrementaldecoder(encoding)("replace").decode(data).lstrip("\ufeff")


def _kind(text: _Text, plain: bytes) -> Format:
    """Return the format without explicit settings.

    Raises:
        QueryError: name and content do not determine it, or it is not supported.
    """
    said, seen = by_name(text.name).format, by_content(plain)
    named = said if said and said.type in _TEXT else None
    if seen and (seen.type or not named or _NO_TEXT.search(plain[:512])):
        if seen.type:
            return seen
        raise _not_read(_SHEETS.get(by_name(text.name).ending.lower(), seen.name))
    if (prose := text_format(text.text)) != "text":
        raise _not_read(prose)
    form = _of_text(text, named)
    if form is None:
        hint = "Set CONTENT_TYPE, for example to CSV, JSON, or SPLIT_LINES for lines as they are."
        raise QueryError("neither the name nor the content of the object shows its format", hint=hint)
    return form


_SHEETS = {".xlsx": "XLSX", ".xls": "XLS", ".ods": "ODS"}
_UNPACKED = {"ZIP", "tar", "7z", "RAR"}


def _not_read(name: str) -> QueryError:
    hint = "PREVIEW shows what it is; CONTENT_TYPE = … reads it as something else."
    if name in {*_SHEETS.values(), "OpenDocument", "Microsoft Office 97"}:
        hint = "Save its sheets as CSV or Parquet, which can be read."
    elif name in _UNPACKED:
        hint = "Unpack it: the files in it can be read."
    return QueryError(f"objects of the format {name} are not read", hint=hint)


def _of_text(text: _Text, named: Format | None) -> Format | None:
    if _TRAIL.match(text.text):
        return _CLOUDTRAIL
    if _is_json(text, named):
        return named if named and named.type == "JSON" else _JSON
    begins_as_json = text.text.lstrip()[:1] in _JSON_BEGINS
    if named and (named.type != "JSON" or begins_as_json):
        return named
    if not text.text.strip():
        return named or (None if text.text.strip("\r\n") else _CSV)
    if _NO_TEXT.search(text.text[:HEAD].encode()) or by_name(text.name).ending.lower() in _PROSE - {".log"}:
        return named
    delimiter = certain_delimiter(text.text, whole=text.whole)
    return named if delimiter is None else _TSV if delimiter == "\t" else _CSV


_TRAIL = re.compile(r"""\s*\{\s*"Records"\s*:\s*\[\s*(?:\]\s*\}\s*$|\{\s*"eventVersion"\s*:)""")
_JSON_BEGINS = {*'{["-0123456789tfn', ""}
_OBJECT = re.compile(r"""\s*(?:\{\s*(?:"[^"\n]*"\s*:|\}\s*$)|\[\s*(?:[\[{"\d-]|\]|true|false|null|$))""")


# Many logs begin lines with `[2026-01-01, 10:00:00 UTC] …` or `[1] …`.
_VALUE_LIST = re.compile(r"\[\s*[\d-]")


def _is_json(text: _Text, named: Format | None) -> bool:
    """Return whether a text is JSON: its first record is complete and more follow, or it is truncated."""
    sure = named is not None and named.type != "JSON"
    if not _OBJECT.match(text.text):
        return False
    begin = text.text.lstrip()
    if not sure and (named or not _VALUE_LIST.match(begin)):
        return True
    try:
        _, end = json.JSONDecoder().raw_decode(begin)
    except json.JSONDecodeError as error:
        return not text.whole and ("\n" not in begin or error.pos >= len(begin))
    except RecursionError:
        return not text.whole and "\n" not in begin
    return begin[end:].lstrip()[:1] in {"", "{", "["}


def _dialect(text: _Text, kind: Format, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the settings of a text table, and a note on what was detected."""
    plain = _counted(text, given)
    delimiter = str(given.get("DELIMITER") or _delimiter(text, plain, kind))
    settings = {**given, "DELIMITER": delimiter}
    names = settings.get("HEADER_LINE") or settings.get("HEADER")
    if isinstance(names, tuple):
        return {**settings, "HEADER_LINE": names, "HEADER": False}, ""
    if names is not None:
        return settings, ""
    first = header_of(_records(text, settings), _nulls(given))
    note = "" if first.there and first.sure else _SAID[first.there]
    return {**settings, "HEADER": first.there}, note


def _counted(text: _Text, settings: Mapping[str, Any]) -> str:
    """Return the text without skipped lines."""
    return without_lines(text.text, int(settings.get("SKIP_LINES", 0)), str(settings.get("COMMENT_PREFIX", "")))


def _records(text: _Text, dialect: Mapping[str, Any]) -> list[list[str]]:
    escape = str(dialect.get("QUOTE_ESCAPE_CHAR", '"'))
    return records(_counted(text, dialect), dialect["DELIMITER"], whole=text.whole, escape=escape)


def _is_trailing(lines: Sequence[Sequence[str]], *, header: bool) -> bool:
    """Return whether the header, or without one every first record, has nothing after its last delimiter."""
    return bool(lines) and all(len(line) > 1 and not line[-1] for line in (lines[:1] if header else lines))


def _names(text: _Text, lines: Sequence[Sequence[str]], dialect: Mapping[str, Any]) -> tuple[str, ...]:
    if names := dialect.get("HEADER_LINE"):
        return tuple(names)
    escape = str(dialect.get("QUOTE_ESCAPE_CHAR", '"'))
    if dialect["HEADER"] and not first_ends(_counted(text, dialect), dialect["DELIMITER"], escape):
        # DuckDB leaves out all up to a quote that ends it, which may be every record.
        hint = "CONTENT_TYPE = SPLIT_LINES of COPY FROM S3 loads lines as they are."
        raise QueryError("a quote in the header does not end, or goes on behind its end", hint=hint)
    first = lines[0] if lines else []
    digits = len(str(len(first) - 1))
    return tuple(first) if dialect["HEADER"] else tuple(f"column{at:0{digits}}" for at in range(len(first)))


_SAID = {
    True: "with a header, judging by its content; HEADER = FALSE makes the first line data",
    False: "without a header: names are column0, …; HEADER = TRUE takes them from the first line",
}


def _nulls(given: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(given.get("NULL_VALUES", ())) + ((given["NULL_VALUE"],) if "NULL_VALUE" in given else ())


def _delimiter(text: _Text, plain: str, kind: Format) -> str:
    """Return the delimiter by content; the name's if the first line has it, unless the content is certain."""
    named = kind.delimiter or ","
    if kind.name == "CSV":
        return likely_delimiter(plain)
    first = plain.lstrip("\r\n").partition("\n")[0]
    return named if named in first else certain_delimiter(plain, whole=text.whole) or named


def of_type(content_type: str) -> Format:
    """Return the format of a CONTENT_TYPE or FILE_FORMAT."""
    return next(format_ for format_ in (*FORMATS, *_BY_TYPE) if format_.type == content_type)


def ending_of(name: str) -> str:
    """Return the ending of a file name with that of a compression, such as `.csv.gz`; empty without a dot."""
    named = by_name(name)
    return named.ending + named.packed


def is_told(name: str) -> bool:
    """Return whether a name determines a readable format."""
    named = by_name(name).format
    return named is not None and bool(named.type)


def is_parquet(name: str) -> bool:
    """Return whether a name is of a Parquet file."""
    named = by_name(name)
    return named.format == _PARQUET and not named.packed


_OF_TABLES = {"PARQUET", "ORC", "AVRO"}


def may_be_of_table(name: str) -> bool:
    """Return whether a file of this name, or one that matches it as a pattern, may have rows of a lake table."""
    known = by_name(name).format
    return known is None or known.type in _OF_TABLES


def is_seen(name: str) -> bool:
    """Return whether DuckDB itself reads a path of this name correctly."""
    return name.lower().endswith(".parquet")


def promises_parquet(key: str, description: Description) -> bool:
    """Return whether name or content type indicate Parquet, so that the end is read first."""
    return by_name(key).format == _PARQUET or "parquet" in (description.content_type or "").lower()


def text_format(text: str) -> str:
    """Return the name of a text's format by its beginning."""
    head = text.lstrip()[:1000].lower()
    if head.startswith(("<!doctype html", "<html")):
        return "HTML"
    if head.startswith(("<?xml", "<svg")):
        return "SVG" if "<svg" in head else "XML"
    return "text"


_SLASHES_OF_SCHEME = 2


def how_to_read(path: str) -> str:
    """Return how to query a folder, or a path of unknown format.

    Args:
        path: with `s3://`; a file, a pattern or a folder.
    """
    if path.endswith("/") or path.count("/") == _SLASHES_OF_SCHEME:
        files = f"{path if path.endswith('/') else f'{path}/'}**/*"
        return f"A pattern reads the files below it, such as FROM {literal(visible(files))}."
    readers = dict.fromkeys(format_.reader for format_ in FORMATS if format_.reader)
    calls = ", ".join(f"{reader}({literal(visible(path))})" for reader in (*readers, "read_text"))
    return f"Name the function that reads it, one of {calls}; PREVIEW shows what it is."


def is_no_table(head: bytes) -> bool:
    """Return whether the first bytes are of a format that never has rows."""
    content = by_content(head)
    return content is not None and not content.type


def hex_dump(data: bytes) -> str:
    """Return lines of 16 bytes: offset, hex, and ASCII characters."""
    return "\n".join(_dumped(data, at) for at in range(0, len(data), 16))


def _dumped(data: bytes, at: int) -> str:
    line = data[at : at + 16]
    shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)  # noqa: PLR2004 - printable ASCII
    return f"{at:08x}  {line[:8].hex(' '):<23}  {line[8:].hex(' '):<23}  {shown}"
