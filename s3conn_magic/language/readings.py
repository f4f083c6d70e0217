"""What a text of any system has in it: places in S3, and options in every spelling.

Statements, calls, commands, files of settings and texts of connections are read alike; what they do is not asked here.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import unquote

from s3conn_magic.language.given import PYTHON
from s3conn_magic.language.option_names import (
    BOOLEANS,
    Written,
    folded,
    is_telling,
    name_meant,
    option_words,
    without_quotes,
)
from s3conn_magic.language.phrases import with_constants
from s3conn_magic.language.reference import KEYWORDS
from s3conn_magic.language.source import BLANK, KEY_ID, QUOTED
from s3conn_magic.language.words import book, literal, words_listed
from s3conn_magic.locations import WILD, below, location_meant, normal_location

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3conn_magic.language.phrases import Options

Pair = tuple[str, Written]
# A server and what is on it, as restic writes them.
_ON_SERVER = re.compile(
    r"\bs3:(?!//)(?:https?://[\w.-]+|[\w-]+\.[\w.-]+|localhost)(?::\d+)?/(?P<path>[\w.-]+(?:/[^\s'\"]*)?)"
)
_PXF = re.compile(r"pxf://([^?'\"\s]+\?)((?:[^'\"&]*&)*?)PROFILE=s3:[^'\"&]*&?", re.IGNORECASE)


def _named_apart(match: re.Match[str]) -> str:
    """Return a dotted name, with `my_` before each part that is a keyword."""
    return ".".join(name if name.upper() not in KEYWORDS else f"my_{name.lower()}" for name in match.groups() if name)


# Names that stand for others.
_STANDS_FOR = re.compile(r"(?<=[A-Za-z] )<([A-Za-z]\w*)>(?:\.<([A-Za-z]\w*)>)?(?=[\s();,]|$)")


@cache
def _rewrites() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return what is written in another way before a text is read, and how."""
    return tuple((re.compile(row[0], re.IGNORECASE | re.DOTALL), row[1]) for row in book()["rewrites"]["rows"])


_OF_PXF = re.compile(r"(?<=[?&])SERVER=[^'\"&]*&?|[?&]+(?=['\"])", re.IGNORECASE)
# A variable that is a part of a name, outside of texts.
_PART_NAMED = re.compile(rf"({QUOTED})|(?<=\w)\$?\{{\{{?\s*(\w+)\s*\}}?\}}")
PLACE = re.compile(
    r"(?<![\w/])(?:[\w+]+\+)?s3[an]?://[^\s'\"`;,()<>\\]*(?:<[\w -]+>[^\s'\"`;,()<>\\]*)*"
    r"|https?://[^\s'\"`;,()<>\\]*(?:<[\w -]+>[^\s'\"`;,()<>\\]*)*",
    re.IGNORECASE,
)
_SEVERAL = (
    r"(?:(?:ACCESS|SECRET|SESSION|ASSUME|ROLE|KEY|BUCKET|DATA(?=\s+SOURCE)|AWS|S3|SECURITY"
    r"|EXTERNAL|KMS|DEFAULT|REGION)[ \t]+){1,3}"
    r"(?=ACCESS|SECRET|KEY|ID|ARN|ROLE|TOKEN|NAME|SESSION|SOURCE|REGION)\w+"
)
_KEY = rf"{_SEVERAL}|\"[\w.-]{{1,80}}\"|'[\w.-]{{1,80}}'|`[\w.-]{{1,80}}`|[A-Za-z_][\w.-]*"
_LISTED = rf"[(\[]\s*(?:{QUOTED})(?:\s*,\s*(?:{QUOTED}))*\s*[)\]]"
_VALUE = (
    rf"{_LISTED}|{QUOTED}|\$\$.*?\$\$|secret\s+\w+|(?![\w.-]+:\s|-\s)"
    r"[^\s,;(){}\[\]'\"]++(?![ \t\w]*[(\[]|\s*\\?\s*\.\w+\()"
)
_ASSIGNED = re.compile(
    rf"(?P<key>{_KEY})\s*(?:\[[^\]\n]*\])?(?:=>|:=|==|=|:(?![:/=])|\bvalue\b)\s*(?P<value>{_VALUE})|{QUOTED}",
    re.DOTALL | re.IGNORECASE,
)
_BESIDE = re.compile(rf"(?P<key>\b(?:{_SEVERAL}|[A-Za-z_][\w.]*))\s+(?P<value>{QUOTED})", re.IGNORECASE)
# What a query asks of a column.
_ASKS = re.compile(r"\b(?:SELECT|FROM|DELETE|UPDATE)\b", re.IGNORECASE)
_CONDITION = re.compile(rf"\b(?:WHERE|AND|OR|HAVING|ON|WHEN)\s+[\w.\"`]+\s*==?\s*(?:{QUOTED}|[\w.]+)", re.IGNORECASE)
_CALLED = re.compile(rf"\(\s*(?P<key>'[\w.-]+'|\"[\w.-]+\")\s*,\s*(?P<value>{QUOTED}|\w+)\s*\)")
_SET_TO = re.compile(
    rf"\bSET\s+(?:GLOBAL\s+|SESSION\s+|LOCAL\s+)?(?P<key>[\w.]+)\s+TO\s+(?P<value>{QUOTED}|\S+)", re.IGNORECASE
)
# A bucket, a key and a region, one behind the other.
_PARTED = re.compile(
    rf"(?:FIELDS|COLUMNS)\s+(?:TERMINATED|DELIMITED|SEPARATED)\s+BY\s+(?P<value>{QUOTED})", re.IGNORECASE
)
_IN_ORDER = re.compile(
    r"'(?P<bucket>[\w.-]+)'\s*,\s*'(?P<key>(?!\w*region')[^']*)'\s*,\s*'(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)'"
)
# A bucket in the URL of its server.
_WITH_BUCKET = re.compile(r"https?://[^/]+/(?!(?:s3|storage|api|v\d)\b)([\w.-]+)/?(.*)")
_NAMING = re.compile(
    r"\bAT\s+(\w+)\s+FILE\b|\b(?:AWS|WITH)\s+CONNECTION\s*=?\s*[`\"]?(?:[\w-]+\.)*([A-Za-z_][\w-]*)[`\"]?(?!\s*\()"
    r"|(?:\bCREDENTIALS\s+|\bDBMS_CLOUD\.\w+\(\s*')([A-Za-z_]\w*)(?:\s*\(|')",
    re.IGNORECASE,
)
_ROW = re.compile(rf"(?:{QUOTED})(?:\s*,\s*(?:{QUOTED})(?!\s*[:=]))+")
_HOST = re.compile(r"(?:https?://)?(?:[\w-]+(?:\.[\w-]+)+|localhost)(?::\d+)?/?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{2,62}")
_BOTH = re.compile(r"['\"](A[KS]IA[A-Z0-9]{8,}):([^'\":\s]+)['\"]")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_APART = re.compile(
    r"\bFROM\s+\w+(?:\.\w+)*\.`|\bAT\s+\w+\s+FILE\b|DATA[_ ]SOURCE|EXTERNAL\s+LOCATION|INTEGRATION\b|\bSERVER\b",
    re.IGNORECASE,
)
_APART_PATH = re.compile(r"\.`([^`]+)`|'((?:/?[\w<>=.*-]+/)*[\w<>=*-]+(?:\.\w+|/)|/[\w<>=.*/-]+)'")
_TEMPLATE = re.compile(r"(?<=://)([^\s'\"`]*?)(?:\$\{[^{}\s]+\}|\{\{[^{}]*\}\}|\{[A-Za-z_][\w .-]*\})")
_IDENTIFIED = re.compile(r"IDENTIFIED\s+BY\s+(?P<value>'(?:[^']|'')*')", re.IGNORECASE)
_MAPPED = re.compile(r"\b(?:MAP|OBJECT|STRUCT|options|properties)\s*(?=[\[({])", re.IGNORECASE)
_ARRAYS = re.compile(r"ARRAY\s*\[(.*?)\]\s*,\s*ARRAY\s*\[(.*?)\]", re.IGNORECASE | re.DOTALL)
_WITHIN = re.compile(r"(?<![\w.-])(?P<key>[A-Za-z_][\w.-]*)=(?P<value>[^;&,'\"\s)]+)")


def place_of(text: str) -> str:
    """Return the first location in S3 in a text, as a literal."""
    for match in PLACE.finditer(text):
        written = match.group().rstrip(".")
        if "://" in written and not written.lower().startswith("http"):
            return literal("s3://" + written.split("://", 1)[1].partition("?")[0])
        if place := location_meant(re.sub(r"[<>]", "", written)):
            return literal(place)
    if ordered := _IN_ORDER.search(text):
        return literal(f"s3://{ordered['bucket']}/{ordered['key']}")
    served = _ON_SERVER.search(text)
    return literal(f"s3://{served['path']}") if served else ""


# A key pair before a bucket.
_WITH_PAIR = re.compile(
    r"s3[an]?://(\w+):([^\s@'\":]+)@([a-z0-9][a-z0-9.-]*(?<!\.com)(?:/[^\s'\"?@:]*)?)(?=['\"])", re.IGNORECASE
)
_WITH_PAIR_AND_HOST = re.compile(
    r"s3[an]?://(?P<key>\w+):(?P<secret>[^\s@'\":]+)@(?P<host>(?:s3[\w.-]*\.amazonaws\.com(?::\d+)?|[\w.-]+:\d+))/(?P<path>[^\s'\"?@:]+)",
    re.IGNORECASE,
)
# A server that stands where a bucket would, and a URL of a server's own where a place stands.
_SERVED = re.compile(
    r"\bs3[an]?://(?P<host>(?:[\w.-]+|<[^<>/]+>):(?:\d+|<[^<>/]+>)|\d+(?:\.\d+){3}|localhost)/(?P<path>[^\s'\"`?]+)",
    re.IGNORECASE,
)
_HOSTED = re.compile(
    r"(?P<before>\b(?!\w*(?:endpoint|host|server|url_?base)['\"]?\s*[=:'\"(])\w+['\"]?\s*(?:=>?|:)?\s*\(?\s*['\"])"
    r"(?P<host>https?://[\w.-]+(?::\d+)?)/(?P<path>[\w.-]+/[^\s'\"`?]+)(?=['\"])",
    re.IGNORECASE,
)


def _hosted(match: re.Match[str]) -> str:
    url = f"{match['host']}/{match['path']}"
    if location_meant(url) or match["path"].startswith(("api/", "v1/", "storage/v1")):
        return match.group()
    return f"{match['before']}s3://{match['path']}?s3_endpoint={match['host']}"


def _paired(match: re.Match[str]) -> str:
    host = "" if "amazonaws.com" in match["host"] else f"&s3_endpoint={match['host']}"
    return f"s3://{match['path']}?s3_access_key_id={match['key']}&s3_secret_access_key={match['secret']}{host}"


# A connection as a URI, as Airflow has it, and a file of settings whose values have no quotes.
_CONNECTION_URI = re.compile(
    r"['\"]?\baws://(?:(?P<key>[^:@/\s'\"]*):(?P<secret>[^@\s'\"]*)@)?[^?\s'\"]*\?(?P<asked>[^\s'\"]*)['\"]?"
)
_PROPERTY_LINE = re.compile(
    r"^([ \t]*[\w.-]+[ \t]*=[ \t]*)([^\s'\"(){}\[\]$<>][^\n'\"(){}\[\]$<>]*?)[ \t]*$", re.MULTILINE
)
SETTINGS_FILE = re.compile(rf"(?:[ \t]*(?:[#;][^\n]*|\[[\w .-]+\]|{_PROPERTY_LINE.pattern[1:-1]})?(?:\n|\Z))+")


def _of_uri(match: re.Match[str]) -> str:
    """Return the settings of a connection's URI one by one."""
    given = {"access_key_id": match["key"], "secret_access_key": match["secret"]}
    given |= {name: value for name, _, value in (pair.partition("=") for pair in match["asked"].split("&"))}
    return " ".join(f"{name}={literal(unquote(value))}" for name, value in given.items() if value)


def in_s3(text: str, cell: str = "") -> str:
    """Return a statement of a cell with locations of other protocols rewritten as `s3://`, and settings in quotes."""
    text = with_constants(text, cell or text)
    text = _CONNECTION_URI.sub(_of_uri, text)
    if "\n" in text and SETTINGS_FILE.fullmatch(text):
        text = _PROPERTY_LINE.sub(lambda match: match[1] + literal(match[2]), text)
    text = _WITH_PAIR.sub(r"s3://\3?s3_access_key_id=\1&s3_secret_access_key=\2", text)
    text = _WITH_PAIR_AND_HOST.sub(_paired, text)
    text = _SERVED.sub(lambda match: f"s3://{match['path']}?s3_endpoint={re.sub(r'[<> ]', '', match['host'])}", text)
    if re.search(r"(?<![a-z])s3|minio|secret", text, re.IGNORECASE):
        text = _HOSTED.sub(_hosted, text)
    while (less := _TEMPLATE.sub(rf"\1{BLANK}", text)) != text:
        text = less
    text = _PART_NAMED.sub(lambda match: match[1] or match[2], text)
    text = _STANDS_FOR.sub(_named_apart, text)
    for pattern, said in _rewrites():
        text = pattern.sub(said, text)
    through_pxf = _PXF.sub(r"s3://\1\2", text)
    return text if through_pxf == text else _OF_PXF.sub("", through_pxf)


# A query with places in calls

_FUNCTION = re.compile(r"(?:\b[A-Za-z_][\w.]*|\bSTREAM|\bTABLE)\s*$", re.IGNORECASE)
_OF_LAKE = re.compile(r"\w*(?:delta|iceberg|hudi|lake)", re.IGNORECASE)
# Options after a location.
_ASKING = re.compile(r"('s3[an]?://[^']*')\s*\((?=[^()]*=>)[^()]*\)", re.IGNORECASE)
_OF_FORMAT = re.compile(r"\b(?:parquet|csv|json|text|orc|avro)\s*\.\s*`(s3[^`]*)`", re.IGNORECASE)
# A list of columns to read.
_EXTENDED = re.compile(r"\s+EXTEND\s*\((?:[^()]|\([^()]*\))*\)", re.IGNORECASE)
_TOP = re.compile(r"\bSELECT\s+TOP\s*\(?(\d+)\)?\s+", re.IGNORECASE)
_AFTER_FROM = re.compile(r"\b(?:FROM|JOIN)\s*$|,\s*$", re.IGNORECASE)
# DuckDB's functions.
_OWN = re.compile(r"(?:read_(?:parquet|n?d?json|csv|text|blob|xlsx)\w*|parquet_\w+|glob)\s*\Z", re.IGNORECASE)
# Levels of calls around a location.
_MOST_CALLS = 4


def with_places(written: str) -> str:
    """Return a query with each location in place of the function call around it."""
    if not re.match(r"(?:SELECT|WITH|FROM|INSERT|CREATE|DESCRIBE|DESC)\b", written, re.IGNORECASE):
        return ""
    said = _OF_FORMAT.sub(lambda match: literal(normal_location(match[1]) + below(normal_location(match[1]))), written)
    for match in [*PLACE.finditer(said)][::-1]:
        place = place_of(match.group())
        around = _call_around(said, match.start()) if place else None
        if around is None:
            continue
        lake = _OF_LAKE.match(said, around[0]) and not place.endswith("/'")
        behind = "/" if lake else "**/*" if place.endswith("/'") and not _OF_LAKE.match(said, around[0]) else ""
        said = f"{said[: around[0]]}{place[:-1]}{behind}'{said[around[1] :]}"
    said = _ASKING.sub(r"\1", said)
    if said == written:
        return ""
    top = _TOP.search(said)
    return _EXTENDED.sub("", _TOP.sub("SELECT ", said)) + (f" LIMIT {top[1]}" if top else "")


def _call_around(text: str, start: int) -> tuple[int, int] | None:
    """Return the span of the calls around a location, if FROM is followed by them."""
    for _ in range(_MOST_CALLS):
        opened = _opened(text, start)
        if opened < 0:
            return None
        end = closed(text, opened)
        called = _FUNCTION.search(text, 0, opened)
        if called and (_OWN.match(called.group().strip()) or re.search("(?i)write|export|unload|secret", called[0])):
            return None
        begins = called.start() if called else opened
        if _AFTER_FROM.search(text, 0, begins):
            return begins, end
        if called and re.match(r"(?:FROM|JOIN)\b", called.group(), re.IGNORECASE):
            return opened, end
        start = begins
    return None


def _opened(text: str, at: int) -> int:
    depth = 0
    for index in range(at - 1, -1, -1):
        depth += (text[index] in ")]") - (text[index] in "([")
        if depth < 0:
            return index
    return -1


# What a statement does, to what and where


# Words before brackets or texts of options, and brackets behind a text.
_BLOCK = re.compile(
    r"(?:\b(?:«words»)\b\s*(?:=\s*)?)+(?=[(\[{])|(?:(?<=[^\s(,='\"]['\"`])|(?<=\)))\s*(?=[(\[{])", re.IGNORECASE
)
_OF_OPTIONS = re.compile(r"=>?|['\"\w]\s*:\s|['\"]\s*,\s*['\"]|\w\s+['\"]")
_AS_TEXT = re.compile(rf"{QUOTED}|\b\w+\s*=?\s*(?P<text>{QUOTED})", re.IGNORECASE)
_LOOSE = re.compile(
    rf"(?P<key>{_KEY})\s*(?:(?:=>|:=|==|=|:(?![:/=]))\s*(?P<value>{QUOTED}|\$\$.*?\$\$|[^\s,;()\[\]{{}}'\"]+)|\s(?P<beside>{QUOTED}))"
    r"\s*,?",
    re.IGNORECASE | re.DOTALL,
)
_LEFT = re.compile(
    r"\b(?:WITH|SETTINGS|OPTIONS|CREDENTIALS|CONFIG|AND)\s*(?=$|\)|(?:INTO|FROM|AS|TO|SELECT)\b)", re.IGNORECASE
)
_MARKS_LEFT = ((re.compile(r"\(\s*,\s*"), "("), (re.compile(r",\s*(?=\)|$)"), ""), (re.compile(r"\s+"), " "))


@cache
def _blocks() -> re.Pattern[str]:
    return re.compile(_BLOCK.pattern.replace("«words»", "|".join(sorted(words_listed("blocks")))), re.IGNORECASE)


def without_options(text: str, place: str = "") -> str:
    """Return a statement without its options: what is done, to what, and where.

    A place that options say stands where they stood.
    """
    bucket = without_quotes(place).removeprefix("s3://").partition("/")[0]
    apart = (
        ""
        if not bucket or re.search("s3[an]?://", text, re.IGNORECASE)
        else rf"['\"\s=]{re.escape(bucket)}['\"/\s,]|['\"]{re.escape(bucket)}"
    )
    put = [place] if apart else []

    def left(gone: str) -> str:
        return f" {put.pop()} " if put and re.search(apart, f"{gone} ") else " "

    at = 0
    while match := _blocks().search(text, at):
        end = closed(text, match.end())
        inside = text[match.end() + 1 : end - 1]
        named = match.group().strip() != ""
        telling = any(is_telling(name) for name, _ in pairs_in(inside))
        of_options = _OF_OPTIONS.search(inside) if named else telling
        if of_options and not re.search(r"\bSELECT\b", inside, re.IGNORECASE):
            text, at = f"{text[: match.start()]}{left(inside)}{text[end:]}", match.start()
        else:
            at = max(match.end(), at + 1)
    text = _AS_TEXT.sub(lambda match: left(match[0]) if _is_text_of_options(match["text"] or "") else match[0], text)
    text = _LOOSE.sub(lambda match: left(match[0]) if _is_loose(match) else match[0], text)
    while (less := _LEFT.sub("", text)) != text:
        text = less
    for pattern, said in _MARKS_LEFT:
        text = pattern.sub(said, text)
    return text.strip()


def _is_text_of_options(quoted: str) -> bool:
    inner = without_quotes(quoted)
    return not re.match(r"\w+://", inner) and any(is_telling(name) for name, _ in pairs_in(inner))


def _is_loose(match: re.Match[str]) -> bool:
    """Return whether a name with a value is an option, not a location, a condition or a keyword."""
    before = re.search(r"(?:WHERE|AND|OR|ON|HAVING|AS)\s+\Z", match.string[: match.start()], re.IGNORECASE)
    value = without_quotes(match["value"] or match["beside"] or "")
    name = _named_by(match["key"])
    if before or _is_no_option(match["key"]) or (PLACE.match(value) and not value.lower().startswith("http")):
        return False
    return is_telling(name)


def closed(text: str, opened: int) -> int:
    """Return where the bracket that opens at an index closes."""
    depth = 0
    for match in re.compile(rf"{QUOTED}|[()\[\]{{}}]").finditer(text, opened):
        depth += (match.group() in "([{") - (match.group() in ")]}")
        if depth == 0:
            return match.end()
    return len(text)


def is_torn(text: str | None) -> bool:
    """Return whether a part of a statement closes a bracket that it does not open."""
    depths = accumulate((mark in "([{") - (mark in ")]}") for mark in re.sub(QUOTED, "", text or ""))
    return min(depths, default=0) < 0


def named_place(pairs: list[Pair]) -> str:
    """Return the location that a separate bucket and path make."""
    given: dict[str, str] = {}
    meant = [name_meant(name) for name, _ in pairs if folded(name) != "KEY"]
    alone = "AWS_SECRET_ACCESS_KEY" in meant and "AWS_ACCESS_KEY_ID" not in meant  # a key is that of the pair
    for name, value in pairs:
        if alone and folded(name) == "KEY":
            continue
        words = option_words(folded(name))
        plain = without_quotes(value if isinstance(value, str) else (value or [""])[0])
        if "endpoint" in words and (served := _WITH_BUCKET.fullmatch(plain)):
            given.setdefault("bucket", served[1])
            given.setdefault("path", served[2])
        if (kind := _part_of(words, folded(name).lower())) and "://" not in plain:
            given.setdefault(kind, plain)
    if "bucket" not in given or not re.fullmatch(rf"[\w.<>{BLANK}-]+", given["bucket"]):
        return ""
    return literal(f"s3://{given['bucket']}/{given.get('path', '').lstrip('/')}{given.get('from', '')}")


def _part_of(words: Sequence[str], known: str) -> str:
    """Return which part of a location a name means: `bucket`, `path`, or `from` for a whole one; empty if none."""
    if "bucket" in known and words[-1] in {"bucket", "name", "url", "bucketname", known}:
        return "bucket"
    if known == "from":
        return known
    ends = words[-1] in words_listed("paths") or (known.endswith(("path", "prefix", "file")) and known != "profile")
    return "path" if ends and not set(words) & words_listed("not_paths") else ""


def glob_apart(location: str) -> tuple[str, str]:
    """Return a location up to its first wildcard, and the glob after it."""
    match = WILD.search(location, len("s3://"))
    cut = location.rindex("/", 0, match.start()) + 1 if match else len(location)
    return location[:cut], location[cut:]


def path_in(options: Options) -> str:
    """Return the location that options say."""
    names = ["PATH", "FILE_PATH", "FILENAME", "URI", "URIS", "URL", "LOCATION", "TABLE_LOCATION", "TABLE"]
    given = [options.get(name) for name in names]
    given += [value for value in options.values() if "s3://" in str(value)]
    first = next((value if isinstance(value, str) else value[0] for value in given if value), f"s3://{BLANK}/")
    if {"FILE_PATH", "FILENAME"} & options.keys() and "://" not in first:
        return f"s3://{BLANK}/{without_quotes(first).lstrip('/')}"
    return first


def place_in_bucket(options: Options, *, cli: bool) -> str:
    """Return the location of a bucket and a key in options; with `cli`, a bare word is the bucket's name."""
    bucket = str(options.get("BUCKET", BLANK))
    bucket = BLANK if without_quotes(bucket).startswith("$") else bucket
    path = f"{without_quotes(bucket)}/{without_quotes(str(options.get('KEY') or options.get('PREFIX') or ''))}"
    return literal(f"s3://{path}" if not PYTHON.fullmatch(bucket) or cli else f"s3://{BLANK}/")


def path_apart(text: str) -> str:
    """Return the path that is given without its bucket, which a named object holds."""
    if not _APART.search(text):
        return ""
    path = next((match[1] or match[2] for match in _APART_PATH.finditer(text)), "")
    return literal(f"s3:/{path}" if path.startswith("/") else f"s3://{BLANK}/{path}") if path else ""


def remote_parts(remote: str) -> tuple[str, str]:
    """Return the name of a remote, or its settings (`:s3,provider=AWS:bucket`), and the path after it."""
    named = re.sub(rf"\A:?([\w-]+)(?:,(?:{QUOTED}|[^:'\"])*)?:", r"\1:", remote)
    name, path = re.split("[:/]", named, maxsplit=1)
    return name, path.rpartition(":")[2].strip("/")


def remote_options(remote: str) -> list[tuple[str, str]]:
    """Return the settings in a remote."""
    return re.findall(rf"(\w+)=({QUOTED}|[^,:]+)", remote)


def pairs_in(text: str) -> Iterator[Pair]:
    """Yield the options in a text: a statement, a call, a settings file or a connection string."""
    text = _CONDITION.sub(" ", text) if _ASKS.search(text) else text
    apart = "bucket" in text.lower() and not re.search(r"s3[an]?://", text, re.IGNORECASE)
    if arrays := _ARRAYS.search(text):
        names, values = (re.findall(QUOTED, part) for part in arrays.groups())
        yield from zip(map(without_quotes, names), values, strict=False)
        return
    for mapped in _MAPPED.finditer(text):
        inside = text[mapped.end() + 1 : closed(text, mapped.end()) - 1]
        if not re.search(r"=>|=|:\s", PLACE.sub("", inside)):
            given = re.findall(QUOTED, inside)
            yield from zip(map(without_quotes, given[::2]), given[1::2], strict=False)
    for match in _ASSIGNED.finditer(text):
        of_bucket = apart and match["key"] and without_quotes(match["key"]).lower() == "location"
        at_server = match["key"] and re.match("['\"]?https?://", match["value"])
        if match["key"] and (of_bucket or at_server or not _is_no_option(match["key"])):
            plain = re.sub(r"(?i)\Asecret\s+", "$", match["value"])
            yield _named_by(match["key"]), re.findall(QUOTED, plain) if plain[0] in "([" else plain
    yield from (("FIELD_DELIMITER", match["value"]) for match in _PARTED.finditer(text))
    yield from ((match["key"], match["value"]) for match in _SET_TO.finditer(text))
    yield from ((without_quotes(match["key"]), match["value"]) for match in _CALLED.finditer(text))
    yield from _loose_pairs(text)


def _loose_pairs(text: str) -> Iterator[Pair]:
    """Yield the options without `=` or `:`, and those within a quoted text."""
    if match := _IN_ORDER.search(text):
        yield "REGION", literal(match["region"])
    for match in _BOTH.finditer(text):
        yield from (("ACCESS_KEY_ID", literal(match[1])), ("SECRET_ACCESS_KEY", literal(match[2])))
    yield from _unnamed_pairs(text)
    yield from _in_calls(text)
    yield from (("CONNECTION_NAME", next(filter(None, match.groups()))) for match in _NAMING.finditer(text))
    for match in _BESIDE.finditer(text):
        of_bucket = (
            "://" not in match["value"] and "bucket" in text.lower() and _part_of([name := match["key"].lower()], name)
        )
        if of_bucket or (match["key"].upper() not in words_listed("unnamed") and is_telling(match["key"])):
            yield _named_by(match["key"]), match["value"]
    yield from (("SECRET_KEY", match["value"]) for match in _IDENTIFIED.finditer(text) if "=" not in match["value"])
    for quoted in re.findall(rf"{QUOTED}|\S+=\S+", text):
        if re.match(r"['\"]\s*\{", quoted):
            yield from pairs_in(without_quotes(quoted))
            continue
        inner = quoted.partition("?")[2] if "://" in quoted else quoted
        yield from ((name, literal(value)) for name, value in _WITHIN.findall(inner) if is_telling(name))


def _unnamed_pairs(text: str) -> Iterator[Pair]:
    """Yield key and secret from a row of unnamed texts, with the server before and the bucket after them."""
    for row in _ROW.finditer(text):
        texts = [without_quotes(quoted) for quoted in re.findall(QUOTED, row.group())]
        at = next((at for at, text in enumerate(texts[:-1]) if KEY_ID.fullmatch(text)), None)
        if at is None:
            continue
        yield from (("ACCESS_KEY_ID", literal(texts[at])), ("SECRET_ACCESS_KEY", literal(texts[at + 1])))
        if at and _HOST.fullmatch(texts[at - 1]) and not is_telling(texts[at - 1]):
            yield "ENDPOINT", literal(texts[at - 1])
        if texts[at + 2 :] and _BUCKET.fullmatch(texts[at + 2]) and not _REGION.fullmatch(texts[at + 2]):
            yield "BUCKET", literal(texts[at + 2])


# A key pair in a call, and what one alone is by the name of its call: `credentials(a, b)`, `.region(Region.of("x"))`.
_WORD = rf"{QUOTED}|ENV\s*\[[^\]]*\]|[\w.:]*(?:getenv|environ\.get)\s*\([^)]*\)|process\.env\.\w+"
_PAIR_CALLED = re.compile(
    rf"\w*(?:credential|static|authoriz)[\w.:]*\s*\(\s*(?P<key>{_WORD})\s*,\s*(?P<secret>{_WORD})\s*[,)]", re.IGNORECASE
)
_ONE_CALLED = re.compile(
    rf"(?P<outer>\w+)\s*\(\s*(?:(?P<inner>[A-Za-z][\w.:]*)\s*\(\s*)?(?P<value>{QUOTED})\s*\)", re.IGNORECASE
)
_PROPERTY = re.compile(r"<name>\s*([\w.-]+)\s*</name>\s*<value>\s*([^<]*?)\s*</value>", re.IGNORECASE)
_BUCKET_CALLED = re.compile(
    r"\b\w*(?:s3|bucket)\w*\s*\(\s*('[a-z0-9][a-z0-9.-]{2,62}'|\"[a-z0-9][a-z0-9.-]{2,62}\")\s*,?\s*(?:\w+\s*=|\))",
    re.IGNORECASE,
)
_OBJECT_CALLED = re.compile(
    r"(?:\.(?:ls|glob|find|walk|du|open|cat\w*|info|exists|head|isdir|isfile|read_\w+|rm|list_objects|fget_object|get_object|dataset)"
    r"|\bFileSelector)\("
    r"\s*['\"](?P<bucket>[a-z0-9][a-z0-9.-]{2,62})(?P<path>/[^'\"]*)?['\"]"
)
_MOVED = re.compile(
    rf"(?:download_file(?:obj)?\(\s*|upload_file(?:obj)?\(\s*[^,()]+,\s*)(?P<bucket>{QUOTED}|\w+)\s*,\s*f?(?P<path>{QUOTED}|\w+)"
)
_COUNTED = re.compile(r"\.(?:limit|head|show|take|fetch)\(\s*(\d+)\s*[,)]")
_DELIMITED = re.compile(r"\bDELIMITERS?\s+(?:AS\s+)?(\$\$.\$\$|''.'')", re.IGNORECASE)
_MAKING = {"of", "create", "new", "parse", "valueof", "from", "get"}


def _in_calls(text: str) -> Iterator[Pair]:
    """Yield the options that functions are named after."""
    yield from ((match[1], literal(match[2])) for match in _PROPERTY.finditer(text))
    yield from _by_position(text)
    if re.search(r"[,(]\s*NO_?SIGN(?:_?REQUEST)?\s*[,)]", text, re.IGNORECASE):
        yield "ANONYMOUS", "TRUE"
    if match := _BUCKET_CALLED.search(text):
        yield "BUCKET", match[1]
    elif (match := _OBJECT_CALLED.search(text)) and re.search(r"(?i)s3|fsspec|boto|minio", text):
        yield from (("BUCKET", literal(match["bucket"])), ("PATH", literal(match["path"] or "")))
    for match in _PAIR_CALLED.finditer(text):
        yield from (("ACCESS_KEY_ID", match["key"]), ("SECRET_ACCESS_KEY", match["secret"]))
    for match in _ONE_CALLED.finditer(text):
        named = [match["outer"], *re.split(r"[.:]+", match["inner"] or "")]
        name = next((each for each in named if each and each.lower() not in _MAKING and is_telling(_setter(each))), "")
        if any(re.match(r"(?:from_?)?profile", each, re.IGNORECASE) for each in named):
            yield "PROFILE", match["value"]
        elif name and "://" not in match["value"].partition("http")[0]:
            yield _setter(name), match["value"]


def _by_position(text: str) -> Iterator[Pair]:
    """Yield the options that are positional arguments of calls and commands."""
    yield from (("LIMIT", match[1]) for match in _COUNTED.finditer(text))
    yield from (("DELIMITER", literal(match[1].strip("$'"))) for match in _DELIMITED.finditer(text))
    if match := re.search(rf"\b(?:Minio|Endpoint)\s*\(\s*({QUOTED})", text):
        yield "ENDPOINT", match[1]
    if match := re.search(r"\|\s*e?grep\s+(?:-\w+\s+)*['\"]?\\?([\w./*-]+)(\$?)", text):
        yield "MATCHING", literal(f"**/*{match[1]}" + "*" * (match[1][0] != "." and not match[2]))
    if match := _MOVED.search(text):
        yield from (("BUCKET", match["bucket"]), ("PATH", match["path"]))


def _setter(name: str) -> str:
    """Return the option that a method sets: `withRegion`, `set_region`, `endpointOverride`."""
    return re.sub(r"\A(?:with|set|use)_?(?=[A-Z]|[a-z]+_?[a-z]*\Z)|(?:Override|Provider)\Z", "", name)


def _named_by(key: str) -> str:
    """Return the name of an option of one or more words."""
    return re.sub(r"\s+", "_", without_quotes(key))


def _is_no_option(key: str) -> bool:
    """Return whether the word before `=` or `:` is no option: a scheme, or a part of a statement."""
    plain = without_quotes(key)
    return (
        plain.upper() in words_listed("unnamed") - {"BUCKET", "FORMAT", "TYPE"}
        or re.fullmatch(r"s3[an]?|https?|pxf|jdbc|[a-z]", plain) is not None
    )


def together(text: str) -> tuple[str, str]:
    """Return the folder of several objects in a text, and a pattern of their names; empty if there is none."""
    places = [*dict.fromkeys(filter(None, (without_quotes(place_of(match.group())) for match in PLACE.finditer(text))))]
    folders = {place.rpartition("/")[0] for place in places}
    if len(places) < 2 or len(folders) != 1 or any(place.endswith("/") for place in places):  # noqa: PLR2004
        return "", ""
    names = [place.rpartition("/")[2] for place in places]
    return literal(f"{folders.pop()}/"), literal(f"({'|'.join(map(re.escape, names))})")


def setting_value(value: str) -> str:
    """Return the value of a setting, as SET takes it."""
    if value.lower() in {"on", "off", "yes", "no"}:
        return str(BOOLEANS[value.lower()]).upper()
    plain = value.isdecimal() or value.upper() in {"TRUE", "FALSE", "ALL"} or value.startswith("'")
    return value if plain else literal(without_quotes(value))
