"""A server whose pages go wrong in a chosen way wherever they hold a chosen key."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synthetic import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

_XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]*)</NextContinuationToken>")
_ROW = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
_DRIP_SECONDS = 0.02


@dataclass
class Fault:
    """What goes wrong, at which key, and how often at most."""

    name: str
    key: str = ""
    times: int = 10**9
    hits: int = 0
    tokens: list[bytes] = field(default_factory=list)


class FaultConnection(Connection):
    """Answers as the synthetic server does, but for the pages that the fault is about."""

    fault: Fault

    def _later(self, status: str, body: bytes) -> None:
        fault = self.fault
        wanted = b"<Contents>" in body and fault.key.encode() in body
        # A look for folders that fails is done without, so that a fault which occurs once there has no consequence.
        wanted = wanted and (fault.times > 1 or b"<Delimiter>" not in body)
        if not wanted or fault.hits >= fault.times:
            fault.tokens += _TOKEN.findall(body)
            super()._later(status, body)
            return
        fault.hits += 1
        ANSWERS[fault.name](self, body)

    def reply(self, status: str, body: bytes, *headers: str, length: int | None = None) -> None:
        """Send an answer; `length` is what is said of the body's length."""
        lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body) if length is None else length}", "", ""]
        self._transport.write("\r\n".join(lines).encode() + body)

    def part(self, body: bytes) -> None:
        """Send the head and half of the body."""
        self.reply("200 OK", body[: len(body) // 2], length=len(body))

    def drip(self, body: bytes, at: int = 0) -> None:
        """Send the body a byte at a time, for hours."""
        if at == 0:
            self.reply("200 OK", b"", length=len(body))
        if not self._transport.is_closing() and at < len(body):
            self._transport.write(body[at : at + 1])
            asyncio.get_running_loop().call_later(_DRIP_SECONDS, self.drip, body, at + 1)


def connection_with(fault: Fault) -> type[FaultConnection]:
    """The connections of a server with this fault."""
    return type("Connection", (FaultConnection,), {"fault": fault})


def _error(status: str, code: str, *headers: str) -> Callable[[FaultConnection, bytes], None]:
    return lambda wire, _: wire.reply(status, _XML + f"<Error><Code>{code}</Code></Error>".encode(), *headers)


def _whole(body: bytes) -> Callable[[FaultConnection, bytes], None]:
    return lambda wire, _: wire.reply("200 OK", body)


def _changed(change: Callable[[bytes], bytes]) -> Callable[[FaultConnection, bytes], None]:
    return lambda wire, body: wire.reply("200 OK", change(body))


def _replaced(old: bytes, new: bytes) -> Callable[[FaultConnection, bytes], None]:
    """The first match of an expression replaced; a body without one is cut, so that the fault is never a no-op."""
    return _changed(lambda body: re.sub(old, lambda _: new, body, count=1, flags=re.DOTALL))


def _aborted(wire: FaultConnection, body: bytes) -> None:
    wire.part(body)
    wire._transport.abort()


def _closed(wire: FaultConnection, body: bytes) -> None:
    wire.part(body)
    wire._transport.close()


def _without_token(body: bytes) -> bytes:
    return _TOKEN.sub(b"", body).replace(b"<IsTruncated>false", b"<IsTruncated>true")


def _with_token(body: bytes, token: bytes) -> bytes:
    body = _without_token(body).replace(b"<IsTruncated>false", b"<IsTruncated>true")
    return body.replace(b"<KeyCount>", b"<NextContinuationToken>" + token + b"</NextContinuationToken><KeyCount>")


def _circle(wire: FaultConnection, body: bytes) -> None:
    # A token that was handed out before; the first page has none before it and gives one that begins it again.
    tokens = wire.fault.tokens
    wire.reply("200 OK", _with_token(body, tokens[0] if tokens else b"AA=="))


def _without_last_row(body: bytes) -> bytes:
    last = _ROW.findall(body)[-1]
    return body.replace(last, b"")


def _reversed_rows(body: bytes) -> bytes:
    rows = _ROW.findall(body)
    return body.replace(b"".join(rows), b"".join(reversed(rows)))


def _twice(body: bytes) -> bytes:
    row = _ROW.findall(body)[0]
    count = len(_ROW.findall(body))
    return body.replace(row, row + row).replace(b"<KeyCount>%d<" % count, b"<KeyCount>%d<" % (count + 1))


_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><p>Welcome</p></body></html>"

ANSWERS: dict[str, Callable[[FaultConnection, bytes], None]] = {
    "reset before the answer": lambda wire, _: wire._transport.abort(),
    "reset within the body": _aborted,
    "closed within the body": _closed,
    "stalled": lambda wire, body: wire.part(body),
    "dripping": lambda wire, body: wire.drip(body),
    "not http": lambda wire, _: wire._transport.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "500 InternalError": _error("500 Internal Server Error", "InternalError"),
    "502 of a proxy": lambda wire, _: wire.reply("502 Bad Gateway", _HTML),
    "503 SlowDown": _error("503 Slow Down", "SlowDown"),
    "429": _error("429 Too Many Requests", "TooManyRequests"),
    "400 RequestTimeout": _error("400 Bad Request", "RequestTimeout"),
    "403 AccessDenied": _error("403 Forbidden", "AccessDenied"),
    "400 ExpiredToken": _error("400 Bad Request", "ExpiredToken"),
    "404 NoSuchBucket": _error("404 Not Found", "NoSuchBucket"),
    "301 to a region": _error("301 Moved", "PermanentRedirect", "x-amz-bucket-region: eu-west-1"),
    "301 without a region": _error("301 Moved", "PermanentRedirect"),
    "302 to a page": lambda wire, _: wire.reply("302 Found", b"", "Location: /"),
    "204": lambda wire, _: wire.reply("204 No Content", b""),
    "206 of half": lambda wire, body: wire.reply("206 Partial Content", body[: len(body) // 2]),
    "200 with InternalError": _error("200 OK", "InternalError"),
    "200 with SlowDown": _error("200 OK", "SlowDown"),
    "200 with AccessDenied": _error("200 OK", "AccessDenied"),
    "200 with an error without a code": _whole(_XML + b"<Error/>"),
    "200 and nothing": _whole(b""),
    "200 and white space": _whole(b" \r\n"),
    "200 and HTML": _whole(_HTML),
    "200 and XHTML": _whole(_XML + b'<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>'),
    "200 and JSON": _whole(b'{"Contents": []}'),
    "200 and another list": _whole(_XML + b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"),
    "cut XML": _changed(lambda body: body[: len(body) * 2 // 3]),
    "cut behind a row": _changed(lambda body: body[: body.rindex(b"</Contents>") + len(b"</Contents>")]),
    "a document type": _changed(lambda body: body.replace(b"<ListBucketResult", b"<!DOCTYPE x><ListBucketResult", 1)),
    "entities that grow": _whole(
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><ListBucketResult>&b;</ListBucketResult>'
    ),
    "truncated without a token": _changed(_without_token),
    "truncated not said": _replaced(rb"<IsTruncated>\w+</IsTruncated>", b""),
    "truncated and nonsense": _replaced(rb"<IsTruncated>\w+<", b"<IsTruncated>maybe<"),
    "complete with a token": _changed(
        lambda body: _with_token(body, b"AA==").replace(b"<IsTruncated>true", b"<IsTruncated>false")
    ),
    "tokens in a circle": _circle,
    "a row too few": _changed(_without_last_row),
    "a row twice": _changed(_twice),
    "rows in no order": _changed(_reversed_rows),
    "another count": _replaced(rb"<KeyCount>\d+<", b"<KeyCount>999<"),
    "another bucket": _replaced(rb"<Name>[^<]*<", b"<Name>other<"),
    "another prefix": _replaced(rb"<Prefix>[^<]*<", b"<Prefix>other/<"),
    "a key outside the prefix": _replaced(rb"<Key>[^<]*<", b"<Key>%21elsewhere<"),
    "a row without a key": _replaced(rb"<Key>[^<]*</Key>", b""),
    "a row with two keys": _replaced(rb"</Key>", b"</Key><Key>k/second</Key>"),
    "an empty key": _replaced(rb"<Key>[^<]*<", b"<Key><"),
    "a row without a size": _replaced(rb"<Size>\d+</Size>", b""),
    "a size that is no number": _replaced(rb"<Size>\d+<", b"<Size>12k<"),
    "a negative size": _replaced(rb"<Size>\d+<", b"<Size>-1<"),
    "a time that is none": _replaced(rb"<LastModified>[^<]*<", b"<LastModified>yesterday<"),
    "a broken escape": _replaced(rb"<Key>", b"<Key>%4"),
    "escaped bytes that are no text": _replaced(rb"</Key>", b"%FF</Key>"),
    "bytes that are no text": _replaced(rb"</Key>", b"\xff</Key>"),
    "a broken entity": _replaced(rb"</Key>", b"&bogus;</Key>"),
    "a tag that is not closed": _replaced(rb"</Size>", b""),
}
