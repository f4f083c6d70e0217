"""Parse and print `s3://` locations, in every form that people paste, and show hostile keys visibly.

Keys stay exactly as they are: never normalised, percent-decoded or stripped.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

# General purpose buckets, the older rules of us-east-1 (upper case, underscore), directory buckets and aliases.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_POINT = r"arn:aws[a-z-]*:s3[a-z-]*:[a-z0-9-]*:\d{12}:(?:outpost[/:][a-z0-9-]+[/:])?accesspoint[/:][A-Za-z0-9.-]+"
_ACCESS_POINT = re.compile(rf"({_POINT})(?:/(.*))?", re.DOTALL)
_SCHEME = "s3://"
_OTHER_SCHEMES = {
    "abfs",
    "abfss",
    "adl",
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
}
_OTHER_SCHEMES |= {"wasbs"}
_MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in S3: a bucket (or access point ARN) and a key or key prefix, which may be empty."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> Location:
        """Parse `s3://bucket`, `s3://bucket/`, `s3://bucket/any/key` or `s3://<access point ARN>/key`.

        Raises:
            ValueError: it is not such a location; the message says why, without repeating the text.
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
        """The ARN of the key, or of the bucket if the key is empty."""
        if self.bucket.startswith("arn:"):
            return f"{self.bucket}/object/{self.key}" if self.key else self.bucket
        return f"arn:aws:s3:::{self.bucket}/{self.key}" if self.key else f"arn:aws:s3:::{self.bucket}"

    def arn_in(self, region: str | None) -> str:
        """Return the ARN with the partition of a region."""
        return with_partition(self.arn, partition_of(region))

    @property
    def name(self) -> str:
        """The last segment of the key, with its trailing `/`, or the bucket's name."""
        if not self.key:
            return self.bucket
        head, _, tail = self.key.rpartition("/")
        return tail or head.rpartition("/")[2] + "/"

    def covers(self, other: Location) -> bool:
        """Whether `other` lies in this bucket below this prefix; `s3://trusted` does not cover `trusted-evil`."""
        return self.bucket == other.bucket and other.key.startswith(self.key)

    def __str__(self) -> str:
        return self.uri


_PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)


def partition_of(region: str | None) -> str:
    """Return the AWS partition of a region, as in ARNs."""
    return next((partition for begin, partition in _PARTITIONS if (region or "").startswith(begin)), "aws")


def with_partition(arn: str, partition: str) -> str:
    """Return an S3 ARN that names no account with its partition replaced; any other ARN unchanged."""
    return arn.replace("arn:aws:s3:::", f"arn:{partition}:s3:::", 1) if arn.startswith("arn:aws:s3:::") else arn


@lru_cache(maxsize=64)
def _check_bucket(bucket: str) -> None:
    """Raise ValueError for what is no bucket's name; names that are right are remembered, as each object's has one."""
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


AMAZON = "https://s3.amazonaws.com"
"""Amazon S3, for a URL or connection that names no server of its own."""


class Pasted(NamedTuple):
    """A pasted location, and the object's version if the text names one.

    `server` is the URL of the server whose URL was pasted, without a region for Amazon S3; empty if it was not a URL.
    """

    location: Location
    version: str = ""
    server: str = ""

    @property
    def uri(self) -> str:
        """The `s3://` form, with the version after the key."""
        return f"{self.location.uri}?versionId={self.version}" if self.version else self.location.uri


class NotALocationError(ValueError):
    """A text is not a location, or not unambiguously.

    Attributes:
        hint: what to write or do instead; it repeats no more of the text than bucket and key.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


_VERSION = re.compile(r"(.+)\?versionId=([A-Za-z0-9._~-]{1,1024})", re.DOTALL)
_HADOOP_SCHEME = re.compile(r"s3[an]?://", re.IGNORECASE)
_FOREIGN_FORM = re.compile(r"https?://|s3[an]?://|arn:aws[a-z-]*:s3|gs://|abfss?://|wasbs?://", re.IGNORECASE)
_HTTP = re.compile(r"https?://", re.IGNORECASE)
_BUCKET_ARN = re.compile(r"arn:aws[a-z-]*:(?:s3:::|s3express:[a-z0-9-]+:\d{12}:bucket/)([^/]*)(?:/(.*))?", re.DOTALL)
_OBJECT_ARN = re.compile(rf"({_POINT})/object/(.*)", re.DOTALL)
_DOMAIN = r"(?:amazonaws\.com(?:\.cn)?|api\.aws|c2s\.ic\.gov|sc2s\.sgov\.gov)"
_HOST = re.compile(
    r"(?:(?P<bucket>.+)\.)?(?:s3(?:-accelerate|-fips|-external-1)?(?:\.dualstack)?(?:[.-](?P<region>[a-z]{2}[a-z0-9-]+-\d+))?"
    rf"|s3express(?:-fips)?-[a-z0-9-]+(?:\.dualstack)?\.[a-z0-9-]+)\.{_DOMAIN}"
)
_PRIVATE_LINK = re.compile(
    r"(?:(?P<bucket>.+)\.)?bucket\.vpce-[a-z0-9-]+\.s3\.[a-z0-9-]+\.vpce\.amazonaws\.com(?:\.cn)?"
)
_ACCESS_POINT_HOST = re.compile(
    r"([a-z0-9-]+)-(\d{12})\.(s3-accesspoint|s3-object-lambda)(?:-fips)?(?:\.dualstack)?\.([a-z0-9-]+)"
    r"\.amazonaws\.com(?:\.cn)?"
)
_WEBSITE = re.compile(r"(.+)\.s3-website[.-][a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
_CONSOLE = re.compile(r"(?:[a-z0-9.-]+\.)?console\.(?:aws\.amazon\.com|amazonaws\.cn|amazonaws-us-gov\.com)")
_CONSOLE_PATH = re.compile(r"/s3/(?:buckets|object|upload)/([^/]+)(?:/(.*))?", re.DOTALL)
_GOOGLE = re.compile(r"(?:(?P<bucket>.+)\.)?storage(?:\.cloud)?\.(?:googleapis|google)\.com")
_AZURE = re.compile(r".+\.(?:blob|dfs)\.(?:core\.[a-z.]+|storage\.azure\.net)")
# Parameters of an object's URL that do not tell which object it is: signatures, which are dropped, and options of the
# answer.
_IRRELEVANT_PARAMETER = re.compile(
    r"x-amz-.*|x-id|awsaccesskeyid|signature|expires|response-.*|list-type|delimiter|max-keys|encoding-type|key-pair-id",
    re.IGNORECASE,
)
_HALF_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NOT_S3 = {
    "Google": "Google Cloud Storage speaks S3, too: a connection with ENDPOINT = 'https://storage.googleapis.com' and"
    " an HMAC key reads it as s3://bucket/key.",
    "Azure": "Azure Blob Storage does not speak S3: copy what is there to a bucket, or read it by another library.",
}


def looks_pasted(text: str) -> bool:
    """Whether a name may be a location in another form than `s3://`."""
    return _FOREIGN_FORM.match(text) is not None and not text.startswith(_SCHEME)


def split_version(location: Location) -> Pasted | None:
    """Return the object and version that `s3://bucket/key?versionId=…` may mean, or None.

    A key may end like that itself, so request it first.
    """
    match = _VERSION.fullmatch(location.key)
    return Pasted(Location(location.bucket, match[1]), match[2]) if match else None


def pasted(text: str, endpoints: Iterable[str] = ()) -> Pasted:
    """Parse a location in any form that people copy: `s3://`, `s3a://`, an ARN, an https URL or one of the console.

    What follows `s3://` stays as it is; a URL is percent-decoded once, and its `+` stay. The signature of a presigned
    URL is ignored.

    Args:
        text: the pasted text.
        endpoints: URLs of the connections' servers; their own URLs are parsed, too.

    Raises:
        NotALocationError: it is not a location, or it is ambiguous; the message does not repeat the text.
    """
    if arn := _OBJECT_ARN.fullmatch(text):
        return Pasted(Location.parse(f"{_SCHEME}{arn[1]}/{arn[2]}"))
    if text.startswith("arn:"):
        return Pasted(_from_arn(text))
    if _HTTP.match(text):
        return _from_url(text, endpoints)
    scheme = _HADOOP_SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else ""
    if scheme and _BUCKET_ARN.fullmatch(rest):
        return Pasted(_from_arn(rest))
    try:
        return Pasted(Location.parse(_SCHEME + rest if scheme else text))
    except ValueError as error:
        reason = str(error)
    raise NotALocationError(reason, _hint_for_cloud(text))


def as_plain(text: str) -> Location:
    """Parse a location in any form that holds no signature, so that it may be shown again.

    Raises:
        ValueError: it is not a location, or may hold a signature.
    """
    if "?" in text and (_HTTP.match(text) or "signature=" in text.lower()):
        raise NotALocationError("it may hold a signature")
    return pasted(text).location


def _hint_for_cloud(text: str) -> str:
    scheme = text.partition("://")[0].lower()
    if scheme == "gs":
        return _NOT_S3["Google"]
    return _NOT_S3["Azure"] if scheme in {"abfs", "abfss", "adl", "az", "wasb", "wasbs"} else ""


def _from_arn(text: str) -> Location:
    if match := _BUCKET_ARN.fullmatch(text):
        return Location.parse(f"{_SCHEME}{match[1]}/{match[2] or ''}")
    if _ACCESS_POINT.fullmatch(text):
        return Location.parse(_SCHEME + text)
    raise NotALocationError(
        "this ARN does not name a bucket, object or access point",
        "They look like arn:aws:s3:::bucket/key and arn:aws:s3:region:123456789012:accesspoint/name/object/key.",
    )


def _from_url(text: str, endpoints: Iterable[str]) -> Pasted:
    if any(character.isspace() or not character.isprintable() for character in text):
        raise NotALocationError("a URL has no white space: a space is written %20")
    try:
        parts = urlsplit(text)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise NotALocationError("this is not a URL") from None
    if _CONSOLE.fullmatch(host):
        return _from_console(parts)
    on_aws = _place_on_aws(host, parts.path)
    places = [(AMAZON, on_aws)] if on_aws else ((url, _place_on_own(parts, url)) for url in endpoints)
    server, place = next(((url, place) for url, place in places if place), ("", None))
    if place is None:
        raise _unknown_host(host, parts)
    if parts.fragment or "#" in text:
        raise NotALocationError("a # in a URL ends it; in a key it is %23", _write_instead(*place))
    prefix, version = "", ""
    for name, value in _query(parts.query):
        if name == "versionId":
            version = value
        elif name == "prefix" and not place[1]:
            prefix = value
        elif not _IRRELEVANT_PARAMETER.fullmatch(name):
            raise NotALocationError("S3 does not know what follows the ? of this URL", _write_instead(*place))
    location = _location(place[0], place[1] or prefix)
    return Pasted(location, version if location.key else "", server)


def _location(bucket: str, key: str) -> Location:
    return Location.parse(f"{_SCHEME}{bucket}/{key}")


def _write_instead(bucket: str, key: str) -> str:
    quoted = visible(_location(bucket, key).uri).replace("'", "''")
    return f"Write '{quoted}' instead."


def _place_on_aws(host: str, path: str) -> tuple[str, str] | None:
    """Return bucket and key of a URL of Amazon S3, or None for another host."""
    if _WEBSITE.fullmatch(host):
        return None
    if match := _ACCESS_POINT_HOST.fullmatch(host):
        name, account, kind, region = match.groups()
        service = "s3" if kind == "s3-accesspoint" else kind
        return f"arn:{partition_of(region)}:{service}:{region}:{account}:accesspoint/{name}", _decoded(path[1:])
    if match := _PRIVATE_LINK.fullmatch(host) or _HOST.fullmatch(host):
        return _bucket_and_key(match["bucket"], path)
    return None


def _bucket_and_key(bucket: str | None, path: str) -> tuple[str, str]:
    if bucket:
        return bucket, _decoded(path[1:])
    first, _, rest = path[1:].partition("/")
    if first.lower().startswith(("arn%3a", "arn:")):
        location = pasted(_decoded(path[1:])).location
        return location.bucket, location.key
    return _decoded(first), _decoded(rest)


def _place_on_own(parts: SplitResult, endpoint: str) -> tuple[str, str] | None:
    """Return bucket and key of a URL of the server at `endpoint`, or None for another host."""
    server = urlsplit(endpoint)
    if (parts.port or _PORTS.get(parts.scheme)) != (server.port or _PORTS.get(server.scheme)):
        return None
    base = server.path.rstrip("/")
    host, own = parts.hostname or "", server.hostname or ""
    if (host != own and not host.endswith(f".{own}")) or not parts.path.startswith(base):
        return None
    return _bucket_and_key(host[: -len(own) - 1], parts.path[len(base) :])


_PORTS = {"http": 80, "https": 443}


def _from_console(parts: SplitResult) -> Pasted:
    """Parse the URL of a console page that shows a bucket, a folder or an object."""
    parameters = dict(_query(parts.query) + _query(parts.fragment.lstrip("&")))
    match = _CONSOLE_PATH.fullmatch(parts.path)
    bucket = _decoded(match[1]) if match else parameters.get("bucket", "")
    if not bucket:
        raise NotALocationError("this page of the console shows no bucket")
    key = parameters.get("prefix") or (_decoded(match[2] or "") if match else "")
    location = _location(bucket, key)
    return Pasted(location, parameters.get("versionId", "") if location.key else "", AMAZON)


def _query(text: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in text.split("&") if part)
    return [(_decoded(name), _decoded(value)) for name, _, value in pairs]


def _decoded(text: str) -> str:
    """Percent-decode part of a URL, once; `+` stays.

    Raises:
        NotALocationError: the bytes are not UTF-8, or a `%` encodes nothing.
    """
    if _HALF_ENCODED.search(text):
        raise NotALocationError("a % in this URL encodes nothing; in a key it is %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise NotALocationError("the percent-encoding of this URL is not UTF-8") from None


def _unknown_host(host: str, parts: SplitResult) -> NotALocationError:
    if _GOOGLE.fullmatch(host):
        return NotALocationError("this is in Google Cloud Storage, not in S3", _NOT_S3["Google"])
    if _AZURE.fullmatch(host):
        return NotALocationError("this is in Azure Blob Storage, not in S3", _NOT_S3["Azure"])
    if match := _WEBSITE.fullmatch(host):
        hint = _write_instead(match[1], _decoded(parts.path[1:]))
        return NotALocationError("this is a page of a bucket's website, which may show another object", hint)
    if ".mrap.accesspoint." in host:
        hint = "Write 's3://arn:aws:s3::123456789012:accesspoint/alias.mrap/key' instead, with the account's number."
        return NotALocationError("this is a multi-region access point, and the URL does not name its account", hint)
    return NotALocationError(
        "its host is neither Amazon S3's nor the ENDPOINT of a connection",
        "Name the connection with USING, and write 's3://bucket/key' instead; a server's own URLs are read when a"
        " connection has it as ENDPOINT.",
    )


# Characters that show as nothing, or change how the text around them is shown.
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
    """Return the text with control, bidi and invisible characters as symbols, for display only."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_visible, text))


def visible_lines(text: str) -> str:
    """Return a text of several lines with its control characters visible, except line ends and tabs."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(visible(part) for part in line.split("\t")) for line in lines)


_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_STEP = 1000
# from here on a number would be rounded to 1000
_ROUNDS_UP = 999.5


def size_text(size: float) -> str:
    """Return a number of bytes in the largest fitting unit, with three digits: `0 B`, `12.3 kB`, `4.56 GB`."""
    value = float(size)
    for unit in _UNITS:
        if value < _ROUNDS_UP or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{value:.0f} {unit}" if unit == "B" or value >= _ROUNDS_UP else f"{value:.3g} {unit}"


# Locations as other systems write them

_SCHEMES = re.compile(r"^(?:s3[an]|s3compat|gs)://", re.IGNORECASE)


def normal_location(text: str) -> str:
    """Return a location in our form: `s3://` for other schemes, and for a bare bucket name."""
    location = _SCHEMES.sub("s3://", text.strip())
    location = location if "://" in location else f"s3://{location.lstrip('/')}"
    return location + "/" if re.fullmatch(r"s3://[^/]+", location) else location


# Quoted as in mails and shells; with slashes lost.
_BRACKETED, _MALFORMED = re.compile(r"^\s*[\"'<`](.*)[\"'>`]\s*$"), re.compile(r"s3:/?(?!/)|//(?!/)", re.IGNORECASE)


def location_meant(text: str) -> str:
    """Return the `s3://` location that a text means (other scheme, URL, or no scheme), or an empty text."""
    text = _BRACKETED.sub(r"\1", text)
    if malformed := _MALFORMED.match(text):
        text = f"s3://{text[malformed.end() :]}"
    if "://" in text and not re.match(r"\s|s3compat://", text, re.IGNORECASE) and not _FOREIGN_FORM.match(text):
        return ""
    candidate = "" if text.startswith("/") else text if _FOREIGN_FORM.match(text) else normal_location(text)
    try:
        return pasted(candidate).location.uri if "://" in text else Location.parse(candidate).uri
    except ValueError:
        return ""


WILD = re.compile(r"[*?\[{]")
"""Wildcards in patterns."""


def folder_of(location: str) -> str:
    """Return the folder of a location: itself with a `/`, unless it ends like an object or a prefix."""
    above, _, last = location.rpartition("/")
    return f"{above}/" if not last or "." in last or last[-1] in "_-" else f"{location}/"


def through(uri: str, connection: str) -> str:
    """Return an `s3://` location as a query writes it that reads through a connection of this name."""
    return uri.replace("s3://", f"s3://{connection}@", 1)


def below(location: str) -> str:
    """Return the glob that makes a query's path match all of a folder, which other systems mean by its bare name."""
    last = location.rpartition("/")[2]
    return "**/*" if not last else "" if "." in last or WILD.search(location, len("s3://")) else "/**/*"
