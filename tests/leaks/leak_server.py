"""An S3 and STS in one that does as it is told, and repeats every secret where it refuses or breaks off."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from leak_patterns import SECRETS
from recording import Recorder, Reply, Request, listing, recording
from vaults import echo

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET, KEY = "leak-bucket", "folder/table.csv"
MANIFEST = "report/manifest.json"
_BODY = b"name,count\n" + b"".join(b"row %d,%d\n" % (one, one) for one in range(50))
_DATA = gzip.compress(f'"{BUCKET}","{KEY}","10"\n'.encode(), mtime=0)
_REPORT = {
    "sourceBucket": BUCKET,
    "destinationBucket": f"arn:aws:s3:::{BUCKET}",
    "version": "2016-11-30",
    "creationTimestamp": "1767312000000",
    "fileFormat": "CSV",
    "fileSchema": "Bucket, Key, Size",
    "files": [{"key": "report/data.csv.gz", "size": len(_DATA), "MD5checksum": hashlib.md5(_DATA).hexdigest()}],
}
_OBJECTS = {MANIFEST: json.dumps(_REPORT).encode(), "report/data.csv.gz": _DATA}
_OBJECTS["report/manifest.checksum"] = hashlib.md5(_OBJECTS[MANIFEST]).hexdigest().encode()
_XML = {"Content-Type": "application/xml"}
_ECHO = escape(" ".join(SECRETS.values()), {"'": "&apos;", '"': "&quot;"})
_REFUSED = f"<Error><Code>AccessDenied</Code><Message>{_ECHO}</Message><Token-0>{_ECHO}</Token-0></Error>".encode()
_STS_REFUSED = (
    "<ErrorResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><Error><Type>Sender</Type>"
    f"<Code>AccessDenied</Code><Message>{_ECHO}</Message></Error><RequestId>{_ECHO}</RequestId></ErrorResponse>"
).encode()
_STS = "<{0}Response xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><{0}Result>{1}</{0}Result></{0}Response>"
_IDENTITY = "<Arn>arn:aws:iam::123456789012:user/leak</Arn><UserId>A</UserId><Account>123456789012</Account>"
_ROLE = escape(SECRETS["assumed role's key"])
_ASSUMED = (
    f"<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>{_ROLE}"
    f"</SecretAccessKey><SessionToken>{_ROLE}</SessionToken>"
    "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
)
_BUCKETS = (
    f"<ListAllMyBucketsResult><Buckets><Bucket><Name>{BUCKET}</Name><CreationDate>2026-01-01T00:00:00.000Z"
    "</CreationDate></Bucket></Buckets><Owner><ID>x</ID></Owner></ListAllMyBucketsResult>"
).encode()
_PATIENCE = 20.0


class Told:
    """`mode` is what the server does with the next requests: ok, refuse, refuse sts, hang or cut."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.arrived, self.go_on = threading.Event(), threading.Event()
        self.server: Recorder

    def answer(self, request: Request) -> Reply:
        """What is said to a request."""
        if self.mode == "hang":
            self.arrived.set()
            self.go_on.wait(_PATIENCE)
            return Reply(503)
        if request.method == "POST" and "Action" in request.form:
            return self._sts(request)
        if self.mode == "refuse":
            return Reply(403, {**_XML, "x-amz-request-id": SECRETS["in a string without end"]}, _REFUSED)
        reply = _s3(request)
        if self.mode == "cut":
            half = reply.body[: len(reply.body) // 2] + _ECHO.encode()
            return Reply(reply.status, {**reply.headers, "Content-Length": "9999", "Connection": "close"}, half)
        return reply

    def _sts(self, request: Request) -> Reply:
        action = request.form["Action"]
        if self.mode in {"refuse", "refuse sts"}:
            return Reply(403, _XML, _STS_REFUSED)
        body = _STS.format(action, _IDENTITY if action == "GetCallerIdentity" else _ASSUMED)
        return Reply(200, _XML, body.encode())


def _s3(request: Request) -> Reply:
    query, key = request.query, request.path.removeprefix(f"/{BUCKET}").strip("/")
    if request.path == "/":
        return Reply(200, _XML, _BUCKETS)
    if "versions" in query:
        return Reply(200, _XML, f"<ListVersionsResult><Name>{BUCKET}</Name></ListVersionsResult>".encode())
    if request.method in {"GET", "HEAD"} and key:
        return _object(request)
    if request.method == "GET":
        return listing(BUCKET, KEY)
    return Reply(200, {**_XML, "ETag": '"0"', **echo(request)})


def _object(request: Request) -> Reply:
    body = _OBJECTS.get(request.path.removeprefix(f"/{BUCKET}").strip("/"), _BODY)
    head = {"ETag": '"d41d8cd98f00b204e9800998ecf8427e"', "Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT"}
    head |= {"Content-Type": "text/csv", "Accept-Ranges": "bytes"}
    wanted = request.headers.get("range", "").removeprefix("bytes=")
    if not wanted:
        return Reply(200, head, body)
    first, last = wanted.split("-")
    start = int(first) if first else max(0, len(body) - int(last))
    end = min(int(last), len(body) - 1) if first and last else len(body) - 1
    return Reply(206, {**head, "Content-Range": f"bytes {start}-{end}/{len(body)}"}, body[start : end + 1])


@contextmanager
def telling() -> Iterator[Told]:
    """A server for the length of a block."""
    told = Told()
    with recording(told.answer) as told.server:
        # Clients that give up are what is tested.
        told.server._server.handle_error = lambda *_: None
        yield told
        told.go_on.set()
