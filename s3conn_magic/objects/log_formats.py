"""Logs of AWS and of W3C's form, told by their lines, and said as settings of CONTENT_TYPE: names are those of AWS.

| log | told by | read as |
|---|---|---|
| ALB and classic load balancers | the fields of the first line | CSV by blanks, with names |
| VPC flow | names in the first line, or the fields of version 2 | CSV by blanks |
| CloudFront, IIS and others of W3C | `#Fields:` | CSV by tabs or blanks, with the names of that line |
| S3 server access, NLB (TLS) | the fields of the first line | REGEX, all columns text |

A `-` stands for no value in all of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.objects.dialects import records

if TYPE_CHECKING:
    from collections.abc import Mapping


class Log(NamedTuple):
    """A log: the TYPE of CONTENT_TYPE, its settings, and what it is called."""

    type: str
    settings: Mapping[str, Any]
    name: str


_NOTHING = ("-",)
_LOAD_BALANCER = (
    "elb client:port {target}:port request_processing_time {target}_processing_time response_processing_time"
    " elb_status_code {target}_status_code received_bytes sent_bytes request user_agent ssl_cipher ssl_protocol"
)
_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?"
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
        re.compile(rf'(?:https?|h2|grpcs?|wss?) {_MOMENT}Z \S+ \S+ \S+{_SECONDS} \S+ \S+ -?\d+ -?\d+ "'),
        _ALB,
    ),
    (
        "classic load balancer access log",
        re.compile(rf'{_MOMENT}Z \S+ \S+:\d+ \S+{_SECONDS} \S+ \S+ \d+ \d+ "'),
        f"time {_LOAD_BALANCER.format(target='backend')}",
    ),
    (
        "VPC flow log",
        re.compile(r"2 (?:\d{12}|unknown) eni-[0-9a-f]+ \S+ \S+ \S+ \S+ \S+ \S+ \S+ \d+ \d+ \S+ [A-Z]+$", re.MULTILINE),
        _FLOW,
    ),
)
_NLB_LINE = re.compile(rf"tls \d\.\d {_MOMENT} net/\S+ \S+ \S+:\d+ \S+:\d+ ")
_NLB_FIELDS = (
    "type version time elb listener client_port destination_port connection_time tls_handshake_time received_bytes"
    " sent_bytes incoming_tls_alert chosen_cert_arn chosen_cert_serial tls_cipher tls_protocol_version tls_named_group"
    " domain_name"
)
_NLB_LATER = "alpn_fe_protocol alpn_be_protocol alpn_client_preference_list tls_connection_creation_time"
_NLB = "^" + " ".join(f"(?<{name}>[^ ]+)" for name in _NLB_FIELDS.split())
_NLB += "".join(f"(?: (?<{name}>[^ ]+)" for name in _NLB_LATER.split()) + ")?" * 4 + "(?: .*)?$"
_FLOW_FIELD = re.compile(r"[a-z][a-z\d]*(?:-[a-z\d]+)*")
_FLOW_FIELDS = {"version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "log-status"}
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
    """The log that a text is, or None.

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
    found = next(((name, names) for name, line, names in _BY_BLANKS if line.match(text)), None)
    if found is not None:
        return _named(found[0], found[1].split(), records(text, " ", whole=whole))
    return _flow(text, whole=whole)


def _by_blanks(name: str, **settings: Any) -> Log:
    return Log("CSV", {"DELIMITER": " ", "HEADER": False, "NULL_VALUES": _NOTHING, **settings}, name)


def _named(name: str, names: list[str], found: list[list[str]]) -> Log:
    """A log whose later versions have fields behind those of the earlier ones."""
    width = max(map(len, found), default=len(names))
    every = (*names[:width], *(f"column{at}" for at in range(len(names), width)))
    return _by_blanks(name, HEADER_LINE=every)


def _flow(text: str, *, whole: bool) -> Log | None:
    """A VPC flow log by the names in its first line, which stand in the order that its owner has chosen."""
    first = text.partition("\n")[0].rstrip("\r").split(" ")
    if len(_FLOW_FIELDS.intersection(first)) <= _FEW or not all(map(_FLOW_FIELD.fullmatch, first)):
        return None
    if any(len(record) != len(first) for record in records(text, " ", whole=whole)):
        return None
    return _by_blanks("VPC flow log", HEADER=True)


def _w3c(text: str) -> Log | None:
    """A log whose comments name its fields: of CloudFront, whose fields are separated by tabs, of IIS and others."""
    fields = _FIELDS.search(text)
    lines = text.splitlines()
    data = next((line for line in lines if not line.startswith("#")), "")
    if fields is None or not all(map(re.compile(r"[A-Za-z]\S*").fullmatch, fields[1].split())):
        return None
    names = tuple(fields[1].split())
    delimiter = "\t" if "\t" in data else " "
    name = "CloudFront log" if any(one.startswith("x-edge-") for one in names) else "W3C log"
    return _by_blanks(name, DELIMITER=delimiter, HEADER_LINE=names, COMMENT_PREFIX="#")
