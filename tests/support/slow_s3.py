"""An S3 with STS that stops at a chosen request, for as long as its driver wants, and says that it was reached."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from layouts import keys_of
from recording import Reply, Request, error
from synthetic import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_XML = {"Content-Type": "application/xml"}
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
_PATIENCE = 30.0
_PAGE = 200
_VERSIONS = 3
CSV = b"id,name\n" + b"".join(b"%d,name of %d\n" % (number, number) for number in range(20_000))


def _parquet() -> bytes:
    file = io.BytesIO()
    table = pa.table({"id": range(50_000), "name": [f"name of {number}" for number in range(50_000)]})
    pq.write_table(table, file, row_group_size=10_000, compression="none")
    return file.getvalue()


@dataclass
class Stop:
    """Where the server stops.

    Attributes:
        at: which requests count.
        number: at which of them.
        how: `held` before the answer, `half` of the answer sent, `sent` after the answer, `refused` from there on.
        every: whether all that come later are held, too.
        reached: set when it was.
        go: lets go.
        port: the other end of the socket that was stopped.
    """

    at: Callable[[Request, Reply], bool]
    number: int = 1
    how: Literal["held", "half", "sent", "refused"] = "held"
    every: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request, reply: Reply) -> Reply:
        """The answer, when it may leave."""
        if self.go.is_set() or not self.at(request, reply):
            return reply
        with self._lock:
            self._seen += 1
            here, later = self._seen == self.number, self._seen > self.number
        if not here and not (later and (self.every or self.how == "refused")):
            return reply
        self.port = self.port or request.connection
        if self.how == "half":
            return replace(reply, halfway=self._wait)
        if self.how == "held":
            self._wait()
        self.reached.set()
        return error(503, "SlowDown") if self.how == "refused" else reply

    def _wait(self) -> None:
        self.reached.set()
        self.go.wait(_PATIENCE)


class SlowS3:
    """The bucket `bucket` of 4,000 keys, an object of each kind below `made/`, and what is written.

    `stop`, where it is set, sees each request and its answer.
    """

    def __init__(self) -> None:
        self.bucket = Bucket(keys_of("hive", 4_000))
        self.made = {"/bucket/made/table.csv": CSV, "/bucket/made/table.parquet": _parquet()}
        self.written: dict[str, bytes] = {}
        self.stop: Stop | None = None

    def answer(self, request: Request) -> Reply:
        """One answer, perhaps late."""
        if request.method == "PUT":
            # What arrived is there, whether or not the client waits for the answer.
            self.written[request.path] = request.body
        reply = self._reply(request)
        return self.stop(request, reply) if self.stop else reply

    def _reply(self, request: Request) -> Reply:
        if request.method == "POST":
            return self._identity(request)
        if request.method == "DELETE":
            self.written.pop(request.path, None)
            return Reply(204)
        if request.method == "PUT":
            return Reply(200, {"ETag": '"e"'})
        if request.path == "/":
            return self._buckets(request)
        if request.path.strip("/") == "bucket":
            return self._listing(request)
        return self._object(request)

    def _identity(self, request: Request) -> Reply:
        action = request.form.get("Action", "")
        body = "<Arn>arn:aws:iam::123456789012:user/slow</Arn><UserId>u</UserId><Account>123456789012</Account>"
        if action == "AssumeRole":
            body = (
                "<Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
                "<SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>"
            )
        text = f'<{action}Response xmlns="{_STS}"><{action}Result>{body}</{action}Result></{action}Response>'
        return Reply(200, _XML, text.encode())

    def _buckets(self, request: Request) -> Reply:
        first = "continuation-token" not in request.query
        names = ("bucket", "second") if first else ("third",)
        listed = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in names)
        token = "<ContinuationToken>more</ContinuationToken>" if first else ""
        text = f"<ListAllMyBucketsResult><Buckets>{listed}</Buckets>{token}</ListAllMyBucketsResult>"
        return Reply(200, _XML, text.encode())

    def _listing(self, request: Request) -> Reply:
        if request.method == "HEAD":
            return Reply(200, {"x-amz-bucket-region": "us-east-1"})
        if "versions" in request.query:
            return self._versions(request)
        query = request.query
        most = min(int(query.get("max-keys", _PAGE)), _PAGE)
        return Reply(200, _XML, self.bucket.page({**query, "max-keys": str(most)}))

    def _versions(self, request: Request) -> Reply:
        page = int(request.query.get("key-marker", "k0")[1:])
        rows = "".join(
            f"<Version><Key>k{page}</Key><VersionId>v{number}</VersionId><IsLatest>false</IsLatest>"
            "<LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>e</ETag><Size>3</Size>"
            "<StorageClass>STANDARD</StorageClass></Version>"
            for number in range(20)
        )
        more = page + 1 < _VERSIONS
        markers = (
            f"<NextKeyMarker>k{page + 1}</NextKeyMarker><NextVersionIdMarker>v0</NextVersionIdMarker>" if more else ""
        )
        head = "<Name>bucket</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>"
        text = f"{head}{markers}<IsTruncated>{str(more).lower()}</IsTruncated>{rows}"
        return Reply(200, _XML, f"<ListVersionsResult>{text}</ListVersionsResult>".encode())

    def _object(self, request: Request) -> Reply:
        body = self.made.get(request.path, b"content")
        headers = {"ETag": '"e"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        if request.method == "HEAD":
            return Reply(200, {**headers, "Content-Length": str(len(body))})
        found = _RANGE.fullmatch(request.headers.get("range", ""))
        if not found:
            return Reply(200, headers, body)
        start, last = int(found[1]), min(int(found[2]), len(body) - 1)
        return Reply(206, {**headers, "Content-Range": f"bytes {start}-{last}/{len(body)}"}, body[start : last + 1])
