"""Readers of the values of job options: intervals, content types, times, and Java's date patterns."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

from s3conn_magic.language.session_settings import boolean, text, whole_number
from s3conn_magic.language.words import listed, nearest
from s3conn_magic.runtime.patterns import RegularExpression

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Java's letters, the number of their digits in a key, and Python's code.
_FIELDS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "dd": "%d",
    "DDD": "%j",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
}
_PIECE = re.compile(r"'(?P<text>(?:[^']|'')*)'|(?P<letters>([A-Za-z])\3*)|(?P<mark>[^A-Za-z'])")
_STEPS = (
    ("%S", timedelta(seconds=1)),
    ("%M", timedelta(minutes=1)),
    ("%H", timedelta(hours=1)),
    ("%d", timedelta(days=1)),
    ("%j", timedelta(days=1)),
    ("%m", timedelta(days=31)),
)


@dataclass(frozen=True, slots=True)
class DatePattern:
    """A date format within keys; all dates are UTC.

    Attributes:
        written: as in the statement.
        format: for `strftime`.
        parts: fields and literal texts in order, each with whether it is a field.
    """

    written: str
    format: str
    parts: tuple[tuple[str, bool], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a pattern.

        Raises:
            ValueError: it has letters that are not fields.
        """
        pieces = list(_PIECE.finditer(text))
        if "".join(piece.group() for piece in pieces) != text:
            raise ValueError("a quote in it does not end")
        parts = tuple(map(_part, pieces))
        codes = (_FIELDS[part] if is_field else part.replace("%", "%%") for part, is_field in parts)
        return cls(text, "".join(codes), parts)

    def of(self, moment: datetime) -> str:
        """Return the text of a date."""
        return moment.astimezone(UTC).strftime(self.format)

    def date_of(self, key: str) -> datetime | None:
        """Return the date at the beginning of a key, UTC, or None."""
        digits: dict[str, str] = {}
        for part, is_field in self.parts:
            piece, key = key[: len(part)], key[len(part) :]
            if len(piece) < len(part) or (piece != digits.setdefault(part, piece) if is_field else piece != part):
                return None
        return _date(digits)

    @property
    def expression(self) -> str:
        """Return a regular expression for its texts, without unbounded repetition."""
        return "".join(rf"\d{{{len(part)}}}" if is_field else re.escape(part) for part, is_field in self.parts)

    @property
    def step(self) -> timedelta:
        """Upper bound of the time that one date covers."""
        return next((step for code, step in _STEPS if code in self.format), timedelta(days=366))


def _date(fields: dict[str, str]) -> datetime | None:
    """Return the date of the fields, or None if it is invalid."""
    if not all(digits.isascii() and digits.isdecimal() for digits in fields.values()):
        return None
    codes = {name: _FIELDS[name] for name in fields}
    try:
        return datetime.strptime(" ".join(fields.values()), " ".join(codes.values())).replace(tzinfo=UTC)
    except ValueError:
        return None


def _part(piece: re.Match[str]) -> tuple[str, bool]:
    if letters := piece["letters"]:
        if letters not in _FIELDS:
            raise ValueError(f"it is made of {', '.join(_FIELDS)}; other letters go in quotes")
        return letters, True
    return piece.group() if piece["mark"] else piece["text"].replace("''", "'") or "'", False


BUCKET_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_CONTROLS = {r"\t": "\t", r"\n": "\n"}
_MARKS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " ", "colon": ":"}
_UNICODE = re.compile(r"\\u([0-9A-Fa-f]{4})")

Moment = Literal["NOW", "BEGINNING"] | datetime


class BareWord(str):
    """A bare word in the place of a text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Content:
    """How the content of objects is read or written.

    Attributes:
        type: `AUTO`, or the name of a format.
        settings: further settings in the parentheses, by name.
    """

    type: str
    settings: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting, or the default."""
        return self.settings.get(name, default)


def choice(*allowed: str, refused: tuple[str, ...] = ()) -> Callable[[Any], str]:
    """Return a reader of one of some words, quoted or not; the refused ones are Upsolver's and not supported."""

    def read(value: Any) -> str:
        word = text(value).upper()
        if word in refused:
            raise ValueError(f"{word} is not supported here; there are {listed(allowed, 'and')}")
        if word not in allowed:
            near = nearest(word, allowed)
            raise ValueError(f"did you mean {near}?" if near else f"there are {listed(allowed, 'and')}")
        return word

    return read


def nothing(why: str) -> Callable[[Any], Any]:
    """Return a reader that refuses every value: the option would change rows in an unsupported way."""

    def read(value: Any) -> Any:
        del value
        raise ValueError(why)

    return read


def anything(value: Any) -> Any:
    """Return any value: the option has no effect."""
    return value


def interval(value: Any) -> timedelta:
    """Return an interval in minutes, hours or days; 0 needs no unit."""
    if isinstance(value, timedelta):
        return value
    if value == 0 and not isinstance(value, bool):
        return timedelta()
    raise ValueError("it looks like 5 MINUTES")


def days(value: Any) -> int:
    """Return an integer of days, at least one."""
    if isinstance(value, timedelta) and value >= timedelta(days=1) and not value % timedelta(days=1):
        return value.days
    raise ValueError("for example 30 DAYS")


def name(value: Any) -> str:
    """Return a name, quoted or not."""
    if isinstance(value, BareWord | str) and str(value):
        return str(value)
    raise ValueError("this is not one")


def names(value: Any) -> tuple[str, ...]:
    """Return one or more names, each quoted or not."""
    items = value if isinstance(value, tuple) else (value,)
    if not items or not all(isinstance(item, str) and item for item in items):
        raise ValueError("it looks like ('a', 'b')")
    return tuple(dict.fromkeys(map(str, items)))


def prefix(value: Any) -> str:
    """Return a prefix of keys."""
    return text(value)


def bucket(value: Any) -> str:
    """Return the name of a bucket."""
    if not BUCKET_FORM.fullmatch(text(value)):
        raise ValueError("a bucket's name has 3 to 63 letters, digits, dots and hyphens")
    return str(value)


def pattern(value: Any) -> str:
    """Return a regular expression of RE2."""
    RegularExpression.parse(text(value))
    return str(value)


def date_pattern(value: Any) -> DatePattern:
    """Return a date pattern of Java."""
    if re.search(r"(?:\A|y\W?)mm", str(value)) and "MM" not in str(value):
        raise ValueError("mm is the minute, and the month is MM")
    return DatePattern.parse(text(value))


def moment_of(text: str) -> datetime | None:
    """Return the time in a text, UTC without a zone, or None."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(value: Any, words: tuple[str, ...]) -> Moment:
    word = text(value).upper()
    if word in words:
        return word  # type: ignore[return-value] # it is one of the two
    form = f"it is {' or '.join(words)}, or looks like '2026-11-25' or '2026-11-25T13:45:00Z'; without a zone it is UTC"
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(form) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def start(value: Any) -> Moment:
    """Return NOW, BEGINNING or a time."""
    return _moment(value, ("NOW", "BEGINNING"))


def end(value: Any) -> Moment:
    """Return NOW or a time."""
    return _moment(value, ("NOW",))


_AGO = re.compile(
    r"(?:the\s+)?(?:(?:last|past|previous)\s+)?(\d+)?\s*(day|week|month|hour)s?(?:\s+ago)?", re.IGNORECASE
)
_DAYS = {"today": 0, "yesterday": 1, "tomorrow": -1, "week": 7, "month": 30}
_EVERY = {"hourly": "1 HOURS", "daily": "1 DAYS", "nightly": "1 DAYS", "weekly": "7 DAYS", "minutely": "1 MINUTES"}
_CRON = re.compile(r"(\*|\d+|\*/\d+)\s+(\*|\d+|\*/\d+)\s+\S+\s+\S+\s+\S+")


def value_meant(name: str, value: Any, now: datetime) -> str:
    """Return how a time or an interval that is said in words, or as cron has it, is written; else an empty text."""
    said = str(value).strip().lower().lstrip("@")
    if name in {"START_FROM", "END_AT"}:
        ago = _AGO.fullmatch(said)
        days = _DAYS.get(said, _DAYS.get(ago[2].lower(), 1) * int(ago[1] or 1) if ago and ago[2] != "hour" else None)
        return f"'{now - timedelta(days=days):%Y-%m-%d}'" if days is not None else ""
    if name != "RUN_INTERVAL":
        return ""
    if cron := _CRON.fullmatch(said):
        minute, hour = cron.groups()
        often, step = (minute, "MINUTES") if minute.startswith("*") else (hour, "HOURS")
        return f"{often[2:] or 1} {step}" if often.startswith("*") else "1 DAYS"
    return _EVERY.get(said, "")


def transformations(value: Any) -> tuple[tuple[str, str], ...]:
    """Return columns and their expressions."""
    if isinstance(value, dict) and value and all(isinstance(expression, str) for expression in value.values()):
        return tuple(value.items())
    raise ValueError("it looks like (total = price * quantity)")


def delimiter(value: Any) -> str:
    r"""Return a delimiter of one or a few characters; `\t` and `\u0001` are escapes, and `tab` and others are names."""
    named = _MARKS.get(text(value).lower(), _CONTROLS.get(value, value))
    characters = _UNICODE.sub(lambda match: chr(int(match[1], 16)), named)
    if 1 <= len(characters) <= 4:  # noqa: PLR2004 - what the readers take
        return characters
    raise ValueError("it has one to four characters")


def character(value: Any) -> str:
    """Return one character."""
    if len(text(value)) == 1:
        return str(value)
    raise ValueError("it is one character")


def header(value: Any) -> bool | tuple[str, ...]:
    """Return the column names, or whether the first row has them."""
    return value if isinstance(value, bool) else names(value)


def header_line(value: Any) -> tuple[str, ...]:
    """Return the column names in one text, comma-separated."""
    return names(tuple(name.strip() for name in text(value).split(",")))


def fields(value: Any) -> tuple[tuple[str, int, int], ...]:
    """Return columns of fixed width: name, first and last character, from 0."""
    items = value if isinstance(value, tuple) else (value,)
    if not items:
        raise ValueError(_FIELD_FORM)
    return tuple(map(_field, items))


def untyped(value: Any) -> bool:
    """Return FALSE: the columns of these formats are text."""
    if boolean(value):
        raise ValueError("columns of this format are text; COLUMN_TRANSFORMATIONS can cast them")
    return False


_FIELD_FORM = "it looks like ((COLUMN_NAME = 'a', START_INDEX = 0, END_INDEX = 9), …)"


def _field(value: Any) -> tuple[str, int, int]:
    if not isinstance(value, dict) or set(value) != {"COLUMN_NAME", "START_INDEX", "END_INDEX"}:
        raise ValueError(_FIELD_FORM)
    name, first, last = value["COLUMN_NAME"], value["START_INDEX"], value["END_INDEX"]
    if not isinstance(name, str) or not isinstance(first, int) or not isinstance(last, int) or not 0 <= first <= last:
        raise ValueError(_FIELD_FORM)
    return str(name), first, last


count = whole_number(0, refused="it is a number of lines")


def prefix_of_lines(value: Any) -> str:
    """Return a prefix of lines."""
    if beginning := text(value):
        return beginning
    raise ValueError("it is what comments begin with, such as '#'")


def separator(value: Any) -> str:
    """Return the text between two lines."""
    if between := text(value):
        return between
    raise ValueError("it is what lines end with; leave it out for line breaks")


def texts(value: Any) -> tuple[str, ...]:
    """Return one or more texts, which may be empty."""
    items = value if isinstance(value, tuple) else (value,)
    if not items or not all(isinstance(item, str) for item in items):
        raise ValueError("it looks like ('-', 'NULL')")
    return tuple(dict.fromkeys(map(str, items)))


_NO_ENCODINGS = {"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}


def encoding(value: Any) -> str:
    """Return the name of an encoding, as in Python."""
    example = "it is one such as 'utf-8', 'utf-16', 'cp1252' or 'latin-1'"
    try:
        codec = codecs.lookup(text(value))
    except (LookupError, ValueError):
        raise ValueError(example) from None
    if codec.name in _NO_ENCODINGS or not getattr(codec, "_is_text_encoding", True):
        raise ValueError(example)
    return codec.name


_CODES = re.compile(r"[^%]|%(?:-[dmyHIMSj]|[aAwudbBmyYHIpMSgfnzZjUWVGcxX%])")


def moment_format(value: Any) -> str:
    """Return a format of dates or timestamps, in DuckDB's codes of strftime."""
    codes = text(value)
    if not re.fullmatch(f"(?:{_CODES.pattern})+", codes, re.DOTALL) or "%" not in codes.replace("%%", ""):
        raise ValueError("it is made of the codes of strftime, as '%d/%m/%Y'")
    if "%Y" in codes and "%M" in codes and not re.search("%-?[HI]", codes):
        raise ValueError("%M is the minute, and the month is %m")
    return codes


_TEXT_SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "INFER_TYPES": boolean,
    "SKIP_LINES": count,
    "COMMENT_PREFIX": prefix_of_lines,
    "NULL_VALUES": texts,
    "ENCODING": encoding,
    "DATE_FORMAT": moment_format,
    "TIMESTAMP_FORMAT": moment_format,
    "HEADER": header,
    "HEADER_LINE": header_line,
    "QUOTE_ESCAPE_CHAR": character,
    "NULL_VALUE": text,
    "MAX_COLUMNS": whole_number(1),
    "ALLOW_DUPLICATE_HEADERS": boolean,
}
READ_SETTINGS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "AUTO": {"ENCODING": encoding},
    "CSV": {**_TEXT_SETTINGS, "DELIMITER": delimiter},
    "TSV": _TEXT_SETTINGS,
    "JSON": {"SPLIT_ROOT_ARRAY": boolean, "ENCODING": encoding},
    "CLOUDTRAIL": {"ENCODING": encoding},
    "PARQUET": {},
    "ORC": {},
    "AVRO": {},
    "ARROW": {},
    "SPLIT_LINES": {"PATTERN": separator, "ENCODING": encoding},
    "REGEX": {
        "PATTERN": pattern,
        "MULTILINE": boolean,
        "INFER_TYPES": untyped,
        "NULL_VALUES": texts,
        "ENCODING": encoding,
    },
    "FIXED_WIDTH": {"COLUMNS": fields, "INFER_TYPES": untyped, "ENCODING": encoding},
}
"""Settings beside TYPE in CONTENT_TYPE."""
_SPELLINGS = {"MULTI_LINE": "MULTILINE"}
NEEDED = {"REGEX": "PATTERN", "FIXED_WIDTH": "COLUMNS"}
WRITE_SETTINGS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "PARQUET": {},
    "CSV": {"DELIMITER": delimiter, "HEADER": boolean},
    "TSV": {"HEADER": boolean},
    "JSON": {},
}
"""Settings beside TYPE in FILE_FORMAT."""


def content_type(value: Any) -> Content:
    """Return CONTENT_TYPE of a COPY FROM."""
    return _content(value, READ_SETTINGS, ("AVRO_SCHEMA_REGISTRY", "XML"))


def file_format(value: Any) -> Content:
    """Return FILE_FORMAT of an INSERT INTO."""
    return _content(value, WRITE_SETTINGS, ("AVRO",))


def _content(value: Any, types: Mapping[str, Mapping[str, Any]], refused: tuple[str, ...]) -> Content:
    given = dict(value) if isinstance(value, dict) else {"TYPE": value}
    if "TYPE" not in given:
        raise ValueError("TYPE is missing, as in (TYPE = CSV DELIMITER = ';')")
    kind = choice(*types, refused=refused)(given.pop("TYPE"))
    settings = {}
    for written, setting in given.items():
        name = _SPELLINGS.get(written, written)
        if name in settings:
            raise ValueError(f"{written} appears twice")
        settings[name] = _setting(kind, types[kind], name, setting)
    if (needed := NEEDED.get(kind)) and needed not in settings:
        raise ValueError(f"TYPE = {kind} needs {needed}")
    if "HEADER" in settings and "HEADER_LINE" in settings:
        raise ValueError("HEADER cannot be combined with HEADER_LINE")
    return Content(kind, settings)


def _setting(kind: str, readers: Mapping[str, Callable[[Any], Any]], name: str, value: Any) -> Any:
    if name not in readers:
        known = listed(readers, "and") if readers else "nothing"
        raise ValueError(f"TYPE = {kind} also takes {known}")
    try:
        return readers[name](value)
    except ValueError as error:
        reason = str(error)
    raise ValueError(f"{name}: {reason}")


def validations(value: Any) -> tuple[str, ...]:
    """Return the checks to skip when a job is created."""
    return tuple(map(choice("ALL", "EMPTY_PATH", "ALLOW_CARTESIAN_PRODUCT"), names(value)))


def deduplication(value: Any) -> tuple[tuple[str, ...], timedelta]:
    """Return the columns of duplicates, and how long before a run to look for them."""
    given = dict(value) if isinstance(value, dict) else {}
    columns, window = given.pop("COLUMNS", None) or given.pop("COLUMN", None), given.pop("WINDOW", None)
    if columns is None or window is None or given:
        raise ValueError("it looks like (COLUMNS = (id) WINDOW = 4 HOURS)")
    return names(columns), interval(window)
