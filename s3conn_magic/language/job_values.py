"""What a job's options take: intervals, content types, moments, and Java's date patterns."""

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

# Java's letters, as many as digits stand there in a key, and Python's code.
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
    """A date as a part of keys; all dates are UTC.

    Attributes:
        written: as in the statement.
        format: the same for `strftime`.
        parts: fields and the texts between them, in order, each with whether it is a field.
    """

    written: str
    format: str
    parts: tuple[tuple[str, bool], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pattern.

        Raises:
            ValueError: it has letters that are none of the fields.
        """
        pieces = list(_PIECE.finditer(text))
        if "".join(piece.group() for piece in pieces) != text:
            raise ValueError("a quote in it does not end")
        parts = tuple(map(_part, pieces))
        codes = (_FIELDS[part] if is_field else part.replace("%", "%%") for part, is_field in parts)
        return cls(text, "".join(codes), parts)

    def of(self, moment: datetime) -> str:
        """The date of a moment as a part of a key."""
        return moment.astimezone(UTC).strftime(self.format)

    def date_of(self, key: str) -> datetime | None:
        """The date at the beginning of a key, UTC; None where none is there."""
        digits: dict[str, str] = {}
        for part, is_field in self.parts:
            there, key = key[: len(part)], key[len(part) :]
            if len(there) < len(part) or (there != digits.setdefault(part, there) if is_field else there != part):
                return None
        return _date(digits)

    @property
    def expression(self) -> str:
        """A regular expression for what it makes, in which nothing is repeated without a bound."""
        return "".join(rf"\d{{{len(part)}}}" if is_field else re.escape(part) for part, is_field in self.parts)

    @property
    def step(self) -> timedelta:
        """Upper bound of the time that one date of this pattern stands for."""
        return next((step for code, step in _STEPS if code in self.format), timedelta(days=366))


def _date(fields: dict[str, str]) -> datetime | None:
    """The moment that fields say, or None where they are no date."""
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
_UNICODE = re.compile(r"\\u([0-9A-Fa-f]{4})")

Moment = Literal["NOW", "BEGINNING"] | datetime


class BareWord(str):
    """A bare word, where text would stand in quotes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Content:
    """How the content of objects is read, or written.

    Attributes:
        type: `AUTO`, or the name of a format.
        settings: what was given in the parentheses, by name.
    """

    type: str
    settings: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """A setting, or the default."""
        return self.settings.get(name, default)


def choice(*allowed: str, refused: tuple[str, ...] = ()) -> Callable[[Any], str]:
    """One of some words, with or without quotes; the refused ones are Upsolver's and not to be had here."""

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
    """No value: the option would change rows as is not had here."""

    def read(value: Any) -> Any:
        del value
        raise ValueError(why)

    return read


def anything(value: Any) -> Any:
    """Whatever is written: the option has no effect here."""
    return value


def interval(value: Any) -> timedelta:
    """A number of minutes, hours or days; 0 needs no unit."""
    if isinstance(value, timedelta):
        return value
    if value == 0 and not isinstance(value, bool):
        return timedelta()
    raise ValueError("it looks like 5 MINUTES")


def days(value: Any) -> int:
    """Return a whole number of days that is at least one."""
    if isinstance(value, timedelta) and value >= timedelta(days=1) and not value % timedelta(days=1):
        return value.days
    raise ValueError("for example 30 DAYS")


def name(value: Any) -> str:
    """Return a name, with quotes or without."""
    if isinstance(value, BareWord | str) and str(value):
        return str(value)
    raise ValueError("this is not one")


def names(value: Any) -> tuple[str, ...]:
    """One name or more, each with or without quotes."""
    items = value if isinstance(value, tuple) else (value,)
    if not items or not all(isinstance(item, str) and item for item in items):
        raise ValueError("it looks like ('a', 'b')")
    return tuple(dict.fromkeys(map(str, items)))


def prefix(value: Any) -> str:
    """The beginning of keys."""
    return text(value)


def bucket(value: Any) -> str:
    """A bucket's name."""
    if not BUCKET_FORM.fullmatch(text(value)):
        raise ValueError("a bucket's name has 3 to 63 letters, digits, dots and hyphens")
    return str(value)


def pattern(value: Any) -> str:
    """A regular expression, as RE2 has it."""
    RegularExpression.parse(text(value))
    return str(value)


def date_pattern(value: Any) -> DatePattern:
    """A date pattern as Java writes it."""
    return DatePattern.parse(text(value))


def moment_of(text: str) -> datetime | None:
    """Return the time that a text is, UTC where it says no zone; None where it is none."""
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
    """NOW, BEGINNING or a time."""
    return _moment(value, ("NOW", "BEGINNING"))


def end(value: Any) -> Moment:
    """NOW or a time."""
    return _moment(value, ("NOW",))


def transformations(value: Any) -> tuple[tuple[str, str], ...]:
    """Columns and the expressions that make them."""
    if isinstance(value, dict) and value and all(isinstance(expression, str) for expression in value.values()):
        return tuple(value.items())
    raise ValueError("it looks like (total = price * quantity)")


def delimiter(value: Any) -> str:
    r"""One character or a few; `\t` and `\u0001` are written out."""
    characters = _UNICODE.sub(lambda match: chr(int(match[1], 16)), _CONTROLS.get(text(value), str(value)))
    if 1 <= len(characters) <= 4:  # noqa: PLR2004 - what the readers take
        return characters
    raise ValueError("it has one to four characters")


def character(value: Any) -> str:
    """One character."""
    if len(text(value)) == 1:
        return str(value)
    raise ValueError("it is one character")


def header(value: Any) -> bool | tuple[str, ...]:
    """The names of the columns, or whether the first row has them."""
    return value if isinstance(value, bool) else names(value)


def header_line(value: Any) -> tuple[str, ...]:
    """The names of the columns in one text, by commas."""
    return names(tuple(name.strip() for name in text(value).split(",")))


def fields(value: Any) -> tuple[tuple[str, int, int], ...]:
    """Columns of fixed width: name, first and last character, from 0 on."""
    items = value if isinstance(value, tuple) else (value,)
    if not items:
        raise ValueError(_FIELD_FORM)
    return tuple(map(_field, items))


def untyped(value: Any) -> bool:
    """FALSE: the columns of these formats are text."""
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
    """What lines begin with."""
    if beginning := text(value):
        return beginning
    raise ValueError("it is what comments begin with, such as '#'")


def texts(value: Any) -> tuple[str, ...]:
    """One text or more, each of which may be empty."""
    items = value if isinstance(value, tuple) else (value,)
    if not items or not all(isinstance(item, str) for item in items):
        raise ValueError("it looks like ('-', 'NULL')")
    return tuple(dict.fromkeys(map(str, items)))


_NO_ENCODINGS = {"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}


def encoding(value: Any) -> str:
    """The name of an encoding, as Python has it."""
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
    """A form of dates, or of dates and times, by the codes of strftime that DuckDB has."""
    codes = text(value)
    if not re.fullmatch(f"(?:{_CODES.pattern})+", codes, re.DOTALL) or "%" not in codes.replace("%%", ""):
        raise ValueError("it is made of the codes of strftime, as '%d/%m/%Y'")
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
    "SPLIT_LINES": {"PATTERN": text, "ENCODING": encoding},
    "REGEX": {
        "PATTERN": pattern,
        "MULTILINE": boolean,
        "INFER_TYPES": untyped,
        "NULL_VALUES": texts,
        "ENCODING": encoding,
    },
    "FIXED_WIDTH": {"COLUMNS": fields, "INFER_TYPES": untyped, "ENCODING": encoding},
}
"""What may stand beside TYPE in CONTENT_TYPE."""
_SPELLINGS = {"MULTI_LINE": "MULTILINE"}
NEEDED = {"REGEX": "PATTERN", "FIXED_WIDTH": "COLUMNS"}
WRITE_SETTINGS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "PARQUET": {},
    "CSV": {"DELIMITER": delimiter, "HEADER": boolean},
    "TSV": {"HEADER": boolean},
    "JSON": {},
}
"""What may stand beside TYPE in FILE_FORMAT."""


def content_type(value: Any) -> Content:
    """CONTENT_TYPE of a COPY FROM."""
    return _content(value, READ_SETTINGS, ("AVRO_SCHEMA_REGISTRY", "XML"))


def file_format(value: Any) -> Content:
    """FILE_FORMAT of an INSERT INTO."""
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
    """What is not checked when a job is made."""
    return tuple(map(choice("ALL", "EMPTY_PATH", "ALLOW_CARTESIAN_PRODUCT"), names(value)))


def deduplication(value: Any) -> tuple[tuple[str, ...], timedelta]:
    """Columns by which rows are told apart, and how long before a run those are looked for."""
    given = dict(value) if isinstance(value, dict) else {}
    columns, window = given.pop("COLUMNS", None) or given.pop("COLUMN", None), given.pop("WINDOW", None)
    if columns is None or window is None or given:
        raise ValueError("it looks like (COLUMNS = (id) WINDOW = 4 HOURS)")
    return names(columns), interval(window)
