"""`s3://` locations, display filters, and the visible form of hostile keys.

Keys are kept exactly as they are: never normalised, percent-decoded or stripped.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

# General purpose buckets, the older rules of us-east-1 (upper case, underscore), directory buckets and aliases.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ACCESS_POINT = re.compile(
    r"(arn:aws[a-z-]*:s3[a-z-]*:[a-z0-9-]*:\d{12}:accesspoint[/:][A-Za-z0-9.-]+)(?:/(.*))?", re.DOTALL
)
_SCHEME = "s3://"
_OTHER_SCHEMES = {
    "abfs",
    "abfss",
    "az",
    "file",
    "ftp",
    "gs",
    "hdfs",
    "http",
    "https",
    "s3",
    "s3a",
    "s3n",
    "wasb",
    "wasbs",
}
_MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in S3: a bucket (or access point ARN) and a key or key prefix, which may be empty."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> Location:
        """Read `s3://bucket`, `s3://bucket/`, `s3://bucket/any/key` or `s3://<access point ARN>/key`.

        Raises:
            ValueError: the text is no such location; the message says why, without repeating the text.
        """
        if not text.startswith(_SCHEME):
            scheme = text.partition("://")[0]
            instead = f", not {scheme}://" if scheme.lower() in _OTHER_SCHEMES and "://" in text else ""
            raise ValueError(f"a location begins with s3://{instead}")
        rest = text[len(_SCHEME) :]
        if arn := _ACCESS_POINT.fullmatch(rest):
            bucket, key = arn[1], arn[2] or ""
        else:
            bucket, _, key = rest.partition("/")
            _check_bucket(bucket)
        if len(key.encode("utf-8", "surrogatepass")) > _MAX_KEY_BYTES:
            raise ValueError(f"a key has at most {_MAX_KEY_BYTES} bytes of UTF-8")
        return cls(bucket, key)

    @property
    def uri(self) -> str:
        """The exact `s3://` form."""
        return f"{_SCHEME}{self.bucket}/{self.key}"

    @property
    def arn(self) -> str:
        """The Amazon resource name of the bucket, or of the key when there is one."""
        if self.bucket.startswith("arn:"):
            return f"{self.bucket}/object/{self.key}" if self.key else self.bucket
        return f"arn:aws:s3:::{self.bucket}/{self.key}" if self.key else f"arn:aws:s3:::{self.bucket}"

    @property
    def name(self) -> str:
        """The last segment of the key with its trailing `/`, or the bucket's name."""
        if not self.key:
            return self.bucket
        head, _, tail = self.key.rpartition("/")
        return tail or head.rpartition("/")[2] + "/"

    def covers(self, other: Location) -> bool:
        """Whether `other` lies in this bucket below this prefix; `s3://trusted` never covers `trusted-evil`."""
        return self.bucket == other.bucket and other.key.startswith(self.key)

    def __str__(self) -> str:
        return self.uri


def _check_bucket(bucket: str) -> None:
    if not bucket:
        raise ValueError("the bucket's name is missing after s3://")
    if "@" in bucket:
        raise ValueError("name the connection with USING, not inside the location")
    if bucket != bucket.strip() or any(character.isspace() for character in bucket):
        raise ValueError("a bucket's name has no white space")
    if any(character in bucket for character in "*?[]{}"):
        raise ValueError("a bucket's name has no wildcard; use LIKE on SHOW BUCKETS, or MATCHING on LIST")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("a bucket's name has 3 to 63 letters, digits, dots and hyphens")


# Characters that change how the text around them is shown, or show as nothing at all.
_INVISIBLE = {0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0}
_PLAIN = re.compile(r"[\x20-\x7e]*")
_CONTROLS = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}


@cache
def _visible(character: str) -> str:
    code = ord(character)
    if code in _CONTROLS:
        return _CONTROLS[code]
    if code in _INVISIBLE or unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return f"\u27e8U+{code:04X}\u27e9"
    return character


def visible(text: str) -> str:
    """Return the text with control, bidi and invisible characters as symbols, for showing and never for requests."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_visible, text))


def visible_lines(text: str) -> str:
    """Return a text of several lines with its control characters visible, but for line ends and tabs."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(visible(part) for part in line.split("\t")) for line in lines)


_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_STEP = 1000
# What would be written as 1000.
_FULL = 999.5


def size_text(size: float) -> str:
    """Return a number of bytes in the largest fitting unit, with three digits: `0 B`, `12.3 kB`, `4.56 GB`."""
    value = float(size)
    for unit in _UNITS:
        if value < _FULL or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{value:.0f} {unit}" if unit == "B" or value >= _FULL else f"{value:.3g} {unit}"
