"""THE table of formats, for PREVIEW, SELECT and COPY: endings and first bytes → format, compression, and reader."""

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
from s3conn_magic.objects.dialects import certain_delimiter, header_of, likely_delimiter, log_of, records, without_lines
from s3conn_magic.objects.scope import AsPlain
from s3conn_magic.objects.unpacking import compression_of, unpack, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.language.job_values import Content
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
        also_text: a text may begin with the same bytes, so that only a byte that no text has is certain.
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
    # Of these the content decides, never the name.
    Format("Arrow", (".arrow", ".feather"), "ARROW", magic=((0, b"ARROW1\x00\x00"),)),
    Format("Arrow stream", (".arrows",), "ARROW", magic=((0, b"\xff\xff\xff\xff"), (6, b"\x00\x00"))),
    Format("Avro", (".avro",), "AVRO", magic=((0, b"Obj\x01"),)),
    # Its first member is stored as it is.
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
# What CONTENT_TYPE alone names.
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
"""Endings of what is unpacked; INSERT writes the first of two of them."""
HEAD = 64 * 1024
"""Bytes of an object by which its format is told."""
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
    """What a name says; None where it says nothing.

    Attributes:
        ending: of the format, as written.
        packed: the ending of the compression behind it, as written.
        format: by its ending.
        compression: one of `COMPRESSIONS`.
    """

    ending: str
    packed: str
    format: Format | None
    compression: str | None


def by_name(name: str) -> FileName:
    """What a key, a path or the end of one says of the content."""
    base = name.rpartition("/")[2].partition("?versionId=")[0]
    stem, dot, last = base.rpartition(".")
    packed = dot + last if (dot + last).lower() in _PACKED else ""
    if packed:
        _, dot, last = stem.rpartition(".")
    ending = dot + last if dot else ""
    return FileName(ending, packed, _ENDINGS.get(ending.lower()), _PACKED.get(packed.lower()))


def by_content(data: bytes) -> Format | None:
    """The format that the first bytes are certain of, or None: the case of every text."""
    begins = data.startswith
    marked = (each for each, at, part, more in _MARKED if begins(part, at) and all(begins(*other) for other in more))
    seen = next(marked, None)
    return None if seen and seen.also_text and not _NO_TEXT.search(data[:512]) else seen


class Detected(NamedTuple):
    """What an object is, and how it is read.

    Attributes:
        format: `format.type` is the TYPE of CONTENT_TYPE.
        compression: what its bytes are packed by, as `compression_of` names it; None for nothing.
        encoding: of its text, by Python's name of it; empty where it is none.
        settings: what CONTENT_TYPE = (…) says, or would have said; of CSV and TSV DELIMITER and HEADER always.
        said: how it is read without having been told, for a note; empty where there is nothing to say.
        names: of the columns of a table of text, as its first record has them, or made up.
        blank: empty lines that the first record of such a table stands behind.
        array: whether it is one array of JSON.
        log: what it is called, where it is a log that is known.
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

    def as_plain(self) -> AsPlain | None:
        """How its text is had where the bytes as they are will not do; None where they do.

        DuckDB checks no checksum, and cuts other lines, too, where a comment could begin.
        """
        skip, comment = int(self.settings.get("SKIP_LINES", 0)), str(self.settings.get("COMMENT_PREFIX", "")).encode()
        how = AsPlain(self.compression, self.encoding, b"]" if self.array else b"", skip, comment)
        return None if how in (AsPlain(None, "utf-8"), AsPlain(None, "")) else how


def detect(
    name: str, head: bytes, given: Content | None = None, compression: str = "AUTO", *, whole: bool = False
) -> Detected:
    """What an object is: by what the user says, then by its content where that is certain, then by its name.

    Args:
        name: its key.
        head: its first bytes, `HEAD` of them, still packed.
        given: CONTENT_TYPE.
        compression: COMPRESSION; SNAPPY is for what is packed within files.
        whole: whether no bytes follow.

    Raises:
        QueryError: neither tells it, or it is of a format that is not read.
    """
    seen = compression_of(head)
    packed = seen if compression in {"AUTO", "SNAPPY"} else {"NONE": None}.get(compression, compression.lower())
    if head and packed and seen != packed:
        hint = "COMPRESSION = AUTO, as without it, goes by the first bytes of each object."
        raise QueryError(f"the object is not packed by {packed}", hint=hint)
    plain, ended = head, whole
    if packed:
        unpacked_head = unpack(head, packed, limit=HEAD, whole=whole)
        if unpacked_head.damaged:
            unpacked(io.BytesIO(head), packed).read()  # which says how
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
    said = f"as {log_name}, by its lines" if log else ""
    if kind.reader != "read_csv":
        array = text.text.lstrip()[:1] == "["
        return Detected(kind, packed, encoding, settings, said, array=array, log=log_name)
    dialect, header = _dialect(text, kind, settings)
    if given is None or given.type == "AUTO":
        kind = _TSV if dialect["DELIMITER"] == "\t" else _CSV if kind == _TSV else kind
    blank = _blank(_counted(text, dialect))
    return Detected(kind, packed, encoding, dialect, said or header, _names(text, dialect), blank, log=log_name)


def _blank(plain: str) -> int:
    lines = plain.splitlines()
    return next((at for at, line in enumerate(lines) if line), len(lines))


@dataclass(frozen=True, slots=True)
class _Text:
    """The beginning of a text; `whole` when nothing follows."""

    name: str
    text: str
    whole: bool


_MARKS = (
    (codecs.BOM_UTF8 * 2, "utf-8-sig"),  # as text that was marked twice, whose second mark no reader takes for one
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MOSTLY = 0.4
_SURE_FROM = 8


# How wide a character is, and where its lowest byte stands.
_WIDE = (("utf-32-le", 4, 0), ("utf-32-be", 4, 3), ("utf-16-le", 2, 0), ("utf-16-be", 2, 1))


def encoding_of(data: bytes) -> str:
    """UTF-8, or what a byte order mark says, or UTF-16 and UTF-32 of mostly Latin text, whose high bytes are NUL.

    Args:
        data: the beginning of a text.
    """
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
    """The text without marks of its encoding; a character that is cut at the end is left out."""
    return codecs.getincrementaldecoder(encoding)("replace").decode(data).lstrip("\ufeff")


def _kind(text: _Text, plain: bytes) -> Format:
    """The format of what no one says anything of.

    Raises:
        QueryError: neither name nor content tells it, or it is of a format that is not read.
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


# Many logs begin each line so: `[2026-01-01, 10:00:00 UTC] …`, `[1] …`.
_VALUE_LIST = re.compile(r"\[\s*[\d-]")


def _is_json(text: _Text, named: Format | None) -> bool:
    """Whether a text is JSON: it begins so; to be sure, its first record is whole and others follow, or it is cut."""
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
    """The settings of a table of text, and what was taken for them."""
    plain = _counted(text, given)
    delimiter = str(given.get("DELIMITER") or _delimiter(text, plain, kind))
    settings = {**given, "DELIMITER": delimiter}
    names = settings.get("HEADER_LINE") or settings.get("HEADER")
    if isinstance(names, tuple):
        return {**settings, "HEADER_LINE": names, "HEADER": False}, ""
    if names is not None:
        return settings, ""
    escape = str(given.get("QUOTE_ESCAPE_CHAR", '"'))
    first = header_of(records(plain, delimiter, whole=text.whole, escape=escape), _nulls(given))
    said = "" if first.there and first.sure else _SAID[first.there]
    return {**settings, "HEADER": first.there}, said


def _counted(text: _Text, settings: Mapping[str, Any]) -> str:
    """The text without the lines that are passed over."""
    return without_lines(text.text, int(settings.get("SKIP_LINES", 0)), str(settings.get("COMMENT_PREFIX", "")))


def _names(text: _Text, dialect: Mapping[str, Any]) -> tuple[str, ...]:
    if names := dialect.get("HEADER_LINE"):
        return tuple(names)
    lines = records(
        _counted(text, dialect),
        dialect["DELIMITER"],
        whole=text.whole,
        escape=str(dialect.get("QUOTE_ESCAPE_CHAR", '"')),
    )
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
    """By the content; what the name says, where the first line has it or the content is not certain of another."""
    named = kind.delimiter or ","
    if kind.name == "CSV":
        return likely_delimiter(plain)
    first = plain.lstrip("\r\n").partition("\n")[0]
    return named if named in first else certain_delimiter(plain, whole=text.whole) or named


def of_type(content_type: str) -> Format:
    """The format that CONTENT_TYPE and FILE_FORMAT name."""
    return next(format_ for format_ in (*FORMATS, *_BY_TYPE) if format_.type == content_type)


def ending_of(name: str) -> str:
    """What the name of a file ends in, that of a compression included, such as `.csv.gz`; empty without a dot."""
    said = by_name(name)
    return said.ending + said.packed


def is_told(name: str) -> bool:
    """Whether a name says a format that is read."""
    said = by_name(name).format
    return said is not None and bool(said.type)


def is_parquet(name: str) -> bool:
    """Whether a file of this name is Parquet."""
    said = by_name(name)
    return said.format == _PARQUET and not said.packed


_OF_TABLES = {"PARQUET", "ORC", "AVRO"}


def may_be_of_table(name: str) -> bool:
    """Whether a file of this name, or one that a pattern of this name matches, may hold rows of a lake table."""
    known = by_name(name).format
    return known is None or known.type in _OF_TABLES


def is_seen(name: str) -> bool:
    """Whether DuckDB reads a path of this name by itself, and right."""
    return name.lower().endswith(".parquet")


def promises_parquet(key: str, description: Description) -> bool:
    """Whether name or content type say that an object is Parquet, so that its end is read first."""
    return by_name(key).format == _PARQUET or "parquet" in (description.content_type or "").lower()


def text_format(text: str) -> str:
    """The name of a text's format by how it begins."""
    head = text.lstrip()[:1000].lower()
    if head.startswith(("<!doctype html", "<html")):
        return "HTML"
    if head.startswith(("<?xml", "<svg")):
        return "SVG" if "<svg" in head else "XML"
    return "text"


_SLASHES_OF_SCHEME = 2


def how_to_read(path: str) -> str:
    """What to write in place of a path whose content does not tell what it is, or that is a folder.

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
    """Whether the first bytes say that an object is of a format that is never read as rows."""
    seen = by_content(head)
    return seen is not None and not seen.type


def hex_dump(data: bytes) -> str:
    """Lines of 16 bytes: offset, bytes, and the characters of those that are ASCII."""
    return "\n".join(_dumped(data, at) for at in range(0, len(data), 16))


def _dumped(data: bytes, at: int) -> str:
    line = data[at : at + 16]
    shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)  # noqa: PLR2004 - printable ASCII
    return f"{at:08x}  {line[:8].hex(' '):<23}  {line[8:].hex(' '):<23}  {shown}"
