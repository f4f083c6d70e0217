"""Detect the dialect of a text table by its first lines: delimiter, header, and known log formats.

The first matching rule decides whether there is a header:

    1   all names are empty, or one is data (a number, a date, a time, TRUE, NULL, a UUID): no
    2   a column has a name, and below it only numbers, dates or booleans: yes
    3   only the first name is empty, and below it are 0, 1, 2, …, as pandas writes an index: yes
    4   all names exist, differ, look like names, and none is a value below it: yes, by its look alone
    5   otherwise: no

Logs of AWS and in W3C's format become settings of CONTENT_TYPE, with AWS's names; `-` is null in all of them:

| log | detected by | read as |
|---|---|---|
| ALB and classic load balancers | the fields of the first line | CSV with blanks, with names |
| VPC flow | names in the first line, or the fields of version 2 | CSV with blanks |
| CloudFront, IIS and others of W3C | `#Fields:` | CSV with tabs or blanks, with the names of that line |
| S3 server access, NLB (TLS) | the fields of the first line | REGEX, all columns text |
"""

from __future__ import annotations

import csv
import re
from io import StringIO
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

_DELIMITERS = ",;\t|"
_CERTAIN = "\t|;,"
_RECORDS = 20
_LOOKED_AT = 1000
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_FIELD = re.compile(r'( *)("(?:[^"]|"")*")( *)')
MARK_OF_QUOTED = "\x02"
"""A character that is in no text."""
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
# Logs write milliseconds like this.
_MILLISECONDS = re.compile(r"(?<=\d:\d\d),(?=\d{3}(?!\d))")
_NUMBER = re.compile(
    r"[-+]?[$€£]?(?:\d[\d.,_ ']*|\.\d+)(?:[eE][-+]?\d+)?\s?%?|[-+]?(?:inf|infinity|nan)|0[xX][\da-fA-F]+"
)
_TIME = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?[AaPp][Mm])?(?:\s?(?:Z|UTC|[-+]\d\d:?\d\d|[-+]\d\d))?"
_DATE = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,4}[-/ ][A-Za-z]{3}[-/ ]\d{1,4}|[A-Za-z]{3}\.? \d{1,2}, ?\d{4}"
_MOMENT = re.compile(rf"(?:{_DATE})(?:[T :]\s?{_TIME})?|{_TIME}")
_BOOLEAN = re.compile(r"true|false", re.IGNORECASE)
_NULL = re.compile(r"null|none|n/?a|nan|nil|\\N|--?", re.IGNORECASE)
_UUID = re.compile(r"[\da-fA-F]{8}-?(?:[\da-fA-F]{4}-?){3}[\da-fA-F]{12}")
_NAME = re.compile(r"[^\W\d][\w .()/%#:$+-]{0,63}")


class Header(NamedTuple):
    """Whether the first record is a header, and whether more than its look says so."""

    there: bool
    sure: bool


def records(
    text: str,
    delimiter: str,
    *,
    whole: bool,
    escape: str = '"',
    most: int | None = _LOOKED_AT,
    marked: Collection[str] = (),
    blank: bool = False,
) -> list[list[str]]:
    """Return the first records of a text, without the last if it may be truncated.

    Like DuckDB, it ignores spaces around a quoted field.

    Args:
        text: the beginning.
        delimiter: one or more characters.
        whole: whether nothing follows.
        escape: the character before a quote in a quoted field.
        most: number of records; None for all.
        marked: fields that are prefixed with `MARK_OF_QUOTED` if they are quoted.
        blank: whether an empty line is a record of one null, as in a table of one column.
    """
    if escape == '"' and '"' in text:
        text = _without_spaces(text, delimiter, marked)
    if len(delimiter) > 1:
        lines = [line.split(delimiter) for line in text.splitlines()]
    else:
        doubled = escape == '"'
        reader = csv.reader(
            StringIO(text, newline=""), delimiter=delimiter, doublequote=doubled, escapechar=None if doubled else escape
        )
        lines = list(islice(_readable(reader, whole=whole), None if most is None else most + 1))
    cut = not whole and (most is None or len(lines) <= most) and len(lines) > 1
    return [record or [""] for record in (lines[:-1] if cut else lines) if record or blank]


def _without_spaces(text: str, delimiter: str, marked: Collection[str]) -> str:
    around = {"", "\r", "\n", delimiter}

    def field(match: re.Match[str]) -> str:
        before, quoted, after = match.groups()
        start, end = match.span()
        if text[start - 1 : start] not in around or text[end : end + 1] not in around:
            return match[0]
        if quoted[1:-1] in marked and not before + after:
            return f'"{MARK_OF_QUOTED}{quoted[1:]}'
        return match[0] if quoted == '""' or delimiter == " " else quoted

    return _FIELD.sub(field, text)


def _readable(reader: Any, *, whole: bool) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error:
        if not whole:
            yield []  # for the one that is not readable, which may be longer than the text


def first_ends(text: str, delimiter: str, escape: str = '"') -> bool:
    """Return whether the quotes of the first record end, and none goes on behind its end.

    Args:
        text: the beginning.
        delimiter: one or more characters.
        escape: the character before a quote in a quoted field.
    """
    if len(delimiter) > 1:
        text, delimiter = text.replace(delimiter, MARK_OF_QUOTED), MARK_OF_QUOTED
    doubled = escape == '"'
    for part in (text.lstrip("\r\n").partition("\n")[0], text):
        fields = _without_spaces(part, delimiter, ()) if doubled else part
        escapes = None if doubled else escape
        lines = StringIO(fields, newline="")
        try:
            next(csv.reader(lines, delimiter=delimiter, doublequote=doubled, escapechar=escapes, strict=True), None)
        except csv.Error:
            continue
        return True
    return False


def certain_delimiter(text: str, *, whole: bool) -> str | None:
    """Return the delimiter that occurs equally often in all records, at least two; otherwise None.

    Args:
        text: the beginning.
        whole: whether nothing follows.
    """
    masked = _MILLISECONDS.sub(".", text)
    for delimiter in _CERTAIN:
        if delimiter not in masked:
            continue
        lines = records(masked, delimiter, whole=whole)
        widths = {len(record) for record in lines}
        if len(lines) > 1 and len(widths) == 1 and widths != {1} and not _is_prose(lines):
            return delimiter
    return None


def _is_prose(lines: Sequence[Sequence[str]]) -> bool:
    """Return whether the fields are parts of sentences: a space before each, and no number."""
    spaced = all(field.startswith(" ") for record in lines for field in record[1:])
    return spaced and not any(_is_typed(field.strip()) for record in lines for field in record)


def likely_delimiter(text: str) -> str:
    """Return the delimiter that most of the first records have as often as the first.

    With uneven records, DuckDB would choose one column, or skip leading records.
    """
    lines = [line for line in _QUOTED.sub('""', text).splitlines() if line][:_RECORDS]
    counts = {each: [line.count(each) for line in lines] for each in _DELIMITERS}
    scores = {each: _evenness(counts[each]) for each in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda each: scores[each])
    if scores[best][1] and best == "," and not any("," in _DECIMAL_COMMA.sub("", line) for line in lines):
        # 1,5;2,5
        best = max(";\t|,", key=lambda each: scores[each][0])
    return best


def _evenness(counts: Sequence[int]) -> tuple[float, int]:
    if not counts or not counts[0]:
        return 0.0, 0
    return counts.count(counts[0]) / len(counts), counts[0]


def header_of(lines: Sequence[Sequence[str]], nulls: Collection[str] = ()) -> Header:
    """Return whether the first of some records is a header.

    Args:
        lines: the first records.
        nulls: texts that mean null.
    """
    if not lines:
        return Header(there=True, sure=True)
    width = len(lines[0])
    if width > 1 and not any(line[width - 1] for line in lines if len(line) >= width):  # a delimiter ends each line
        lines = [line[: width - 1] for line in lines]
    names = [cell.strip() for cell in lines[0]]
    if not any(names) or any(_is_value(name, nulls) for name in names if name):
        return Header(there=False, sure=True)
    below = [_there(column, nulls) for column in zip_longest(*lines[1:], fillvalue="")]
    if any(name and values and all(map(_is_typed, values)) for name, values in zip(names, below, strict=False)):
        return Header(there=True, sure=True)
    if _is_indexed(names, below):
        return Header(there=True, sure=True)
    folded = [name.casefold() for name in names]
    named = all(map(_NAME.fullmatch, names)) and len(set(folded)) == len(folded)
    again = any(name in map(str.casefold, values) for name, values in zip(folded, below, strict=False))
    return Header(named and not again, sure=False)


def _is_indexed(names: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    return (
        not names[0]
        and all(names[1:])
        and bool(below and below[0])
        and all(value == str(at) for at, value in enumerate(below[0]))
    )


def _there(column: Sequence[str], nulls: Collection[str]) -> list[str]:
    return [cell.strip() for cell in column if cell.strip() and cell not in nulls and not _NULL.fullmatch(cell.strip())]


def _is_typed(cell: str) -> bool:
    return any(pattern.fullmatch(cell) for pattern in (_NUMBER, _MOMENT, _BOOLEAN))


def _is_value(cell: str, nulls: Collection[str]) -> bool:
    return cell in nulls or _is_typed(cell) or bool(_NULL.fullmatch(cell) or _UUID.fullmatch(cell))


def unique_names(names: Iterable[str]) -> list[str]:
    """Return names of columns that differ without case: empty and repeated ones get a number."""
    made: list[str] = []
    taken: set[str] = set()
    for at, name in enumerate(names):
        wanted = name or f"column{at}"
        number, unique = 0, wanted
        while unique.casefold() in taken:
            number += 1
            unique = f"{wanted}_{number}"
        taken.add(unique.casefold())
        made.append(unique)
    return made


def without_lines(text: str, skipped: int, comment: str) -> str:
    """Return a text without leading lines and comments."""
    lines = text.splitlines(keepends=True)[skipped:]
    return "".join(line for line in lines if not line.startswith(comment)) if comment else "".join(lines)


class Log(NamedTuple):
    """A log: TYPE and settings of CONTENT_TYPE, and its name."""

    type: str
    settings: Mapping[str, Any]
    name: str


_NOTHING = ("-",)
_LOAD_BALANCER = (
    "elb client:port {target}:port request_processing_time {target}_processing_time response_processing_time"
    " elb_status_code {target}_status_code received_bytes sent_bytes request user_agent ssl_cipher ssl_protocol"
)
_REQUEST = "request"
_STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?"
_SECONDS = r"(?: -?\d+(?:\.\d+)?){3}"
_ALB = (
    f"type time {_LOAD_BALANCER.format(target='target')} target_group_arn trace_id domain_name chosen_cert_arn"
    " matched_rule_priority request_creation_time actions_executed redirect_url error_reason target:port_list"
    " target_status_code_list classification classification_reason conn_trace_id transformed_host transformed_uri"
    " request_transform_status"
)
_FLOW = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
_BY_BLANKS = (
    (
        "ALB access log",
        re.compile(rf'(?:https?|h2|grpcs?|wss?) {_STAMP}Z \S+ \S+ \S+{_SECONDS} \S+ \S+ -?\d+ -?\d+ "'),
        _ALB,
    ),
    (
        "classic load balancer access log",
        re.compile(rf'{_STAMP}Z \S+ \S+:\d+ \S+{_SECONDS} \S+ \S+ \d+ \d+ "'),
        f"time {_LOAD_BALANCER.format(target='backend')}",
    ),
    (
        "VPC flow log",
        re.compile(r"2 (?:\d{12}|unknown) eni-[0-9a-f]+ \S+ \S+ \S+ \S+ \S+ \S+ \S+ \d+ \d+ \S+ [A-Z]+$", re.MULTILINE),
        _FLOW,
    ),
)
_NLB_LINE = re.compile(rf"tls \d\.\d {_STAMP} net/\S+ \S+ \S+:\d+ \S+:\d+ ")
_NLB_FIELDS = (
    "type version time elb listener client_port destination_port connection_time tls_handshake_time received_bytes"
    " sent_bytes incoming_tls_alert chosen_cert_arn chosen_cert_serial tls_cipher tls_protocol_version tls_named_group"
    " domain_name"
)
_NLB_LATER = "alpn_fe_protocol alpn_be_protocol alpn_client_preference_list tls_connection_creation_time"
_NLB = "^" + " ".join(f"(?<{name}>[^ ]+)" for name in _NLB_FIELDS.split())
_NLB += "".join(f"(?: (?<{name}>[^ ]+)" for name in _NLB_LATER.split()) + ")?" * 4 + "(?: .*)?$"
_FLOW_FIELD = re.compile(r"[a-z][a-z\d]*(?:-[a-z\d]+)*")
_FLOW_FIELDS = {
    *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "action", "log-status"),
    *("vpc-id", "subnet-id", "instance-id", "tcp-flags", "pkt-srcaddr", "pkt-dstaddr", "az-id", "flow-direction"),
    *("pkt-src-aws-service", "pkt-dst-aws-service", "traffic-path", "sublocation-type", "sublocation-id"),
}
_FLOW_MORE = {"protocol", "packets", "bytes", "start", "end", "type", "region", "reject-reason", "encryption-status"}
_FEW = 2
_S3 = (
    r"^(?<bucket_owner>\S+) (?<bucket>\S+) \[(?<time>[^\]]*)\] (?<remote_ip>\S+) (?<requester>\S+) (?<request_id>\S+)"
    r' (?<operation>\S+) (?<key>\S+) (?:"(?<request_uri>.*?)"|-) (?<http_status>\d{3}|-) (?<error_code>\S+)'
    r" (?<bytes_sent>\d+|-) (?<object_size>\d+|-) (?<total_time>\d+|-) (?<turn_around_time>\d+|-)"
    r' (?:"(?<referer>.*?)"|-) (?:"(?<user_agent>.*)"|-) (?<version_id>\S+)'
    r"(?: (?<host_id>\S+) (?<signature_version>\S+) (?<cipher_suite>\S+) (?<authentication_type>\S+)"
    r" (?<host_header>\S+)(?: (?<tls_version>\S+)(?: (?<access_point_arn>\S+)(?: (?<acl_required>\S+)"
    r"(?: (?<source_region>\S+))?)?)?)?)?(?: .*)?$"
)
_S3_LINE = re.compile(r"[0-9a-f]{64} \S+ \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4}\] \S+ \S+ \S+ \w+\.\S+ ")
_FIELDS = re.compile(r"^#Fields:[ \t]*(.*?)[ \t]*$", re.MULTILINE)


def log_of(text: str, *, whole: bool) -> Log | None:
    """Return the log format of a text, or None.

    Args:
        text: the beginning.
        whole: whether nothing follows.
    """
    if text.startswith("#"):
        return _w3c(text)
    if _S3_LINE.match(text):
        return Log("REGEX", {"PATTERN": _S3, "NULL_VALUES": _NOTHING}, "S3 server access log")
    if _NLB_LINE.match(text):
        return Log("REGEX", {"PATTERN": _NLB, "NULL_VALUES": _NOTHING}, "NLB access log")
    kind = next(((name, names) for name, line, names in _BY_BLANKS if line.match(text)), None)
    if kind is not None:
        return _named(kind[0], kind[1].split(), records(text, " ", whole=whole), whole=whole)
    return _flow(text, whole=whole)


def _by_blanks(name: str, **settings: Any) -> Log:
    return Log("CSV", {"DELIMITER": " ", "HEADER": False, "NULL_VALUES": _NOTHING, **settings}, name)


def _named(name: str, names: list[str], lines: list[list[str]], *, whole: bool) -> Log:
    """Return a log whose later versions append fields, so that its lines may differ in length; ALWAYS ends none."""
    width = max([0 if whole else len(names), *map(len, lines)])
    all_names = (*names[:width], *(f"column{at}" for at in range(len(names), width)))
    return _by_blanks(name, HEADER_LINE=all_names, **({"ALWAYS": _REQUEST} if _REQUEST in names else {}))


def _flow(text: str, *, whole: bool) -> Log | None:
    """Return a VPC flow log by the names in its first line, whose order its owner has chosen."""
    first = text.partition("\n")[0].rstrip("\r").split(" ")
    few = len(_FLOW_FIELDS.intersection(first)) <= _FEW
    known = (
        len(first) >= _FEW and {*first} <= _FLOW_FIELDS | _FLOW_MORE if few else all(map(_FLOW_FIELD.fullmatch, first))
    )
    if not known:
        return None
    for record in records(text, " ", whole=whole)[1:]:
        figures = any(field == "-" or field[:1].isdigit() for field in record)
        if len(record) != len(first) or (few and not figures):
            return None
    return _by_blanks("VPC flow log", HEADER=True)


def _w3c(text: str) -> Log | None:
    """Return a log whose comments name its fields: of CloudFront (tab-separated), IIS and others."""
    fields = _FIELDS.search(text)
    lines = text.splitlines()
    data = next((line for line in lines if not line.startswith("#")), "")
    if fields is None or not all(map(re.compile(r"[A-Za-z]\S*").fullmatch, fields[1].split())):
        return None
    names = tuple(fields[1].split())
    delimiter = "\t" if "\t" in data else " "
    name = "CloudFront log" if any(field.startswith("x-edge-") for field in names) else "W3C log"
    return _by_blanks(name, DELIMITER=delimiter, HEADER_LINE=names, COMMENT_PREFIX="#")
