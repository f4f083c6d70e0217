"""An S3 that keeps objects only as they must be encrypted, and gives them only to whom has the key, as AWS does."""

from __future__ import annotations

import base64
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import md5
from itertools import count
from typing import TYPE_CHECKING

from recording import Recorder, Reply, Request, error, listing, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SSE = "x-amz-server-side-encryption"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_SIGNED = re.compile(r"SignedHeaders=([^,]+)")


def kms_headers(key_id: str) -> dict[str, str]:
    """The headers of a write under a KMS key."""
    return {_SSE: "aws:kms", f"{_SSE}-aws-kms-key-id": key_id}


def customer_headers(key: bytes, *, source: bool = False) -> dict[str, str]:
    """The headers of a read or write under a customer's key, or of a copy from an object under it."""
    start = f"x-amz-{'copy-source-' if source else ''}server-side-encryption-customer-"
    digest = base64.b64encode(md5(key).digest()).decode()
    named = {"algorithm": "AES256", "key": base64.b64encode(key).decode(), "key-md5": digest}
    return {start + name: value for name, value in named.items()}


def echo(request: Request) -> dict[str, str]:
    """What S3 repeats of a request's encryption: everything but the key."""
    kept = {name: value for name, value in request.headers.items() if name.startswith(_SSE)}
    kept.pop(f"{_SSE}-customer-key", None)
    return kept


def answering(ask: Callable[[Request], Reply], how: str) -> Callable[[Request], Reply]:
    """What asks a server, and has its answers to writes tell of the encryption.

    Args:
        ask: asks it.
        how: `honours` tells what was asked, `ignores` tells nothing, `other key` tells of another key, `other kind` of
            another encryption.
    """

    def answer(request: Request) -> Reply:
        reply = ask(request)
        kept = {name: value for name, value in reply.headers.items() if not name.lower().startswith(_SSE)}
        said = echo(request) if request.method in {"PUT", "POST"} else {}
        if said and how == "ignores":
            said = {}
        elif said and how == "other kind":
            said = {_SSE: "AES256"}
        elif said and how == "other key":
            last = list(said)[-1]
            said = {**said, last: customer_headers(bytes(32))[last] if "customer" in last else f"{said[last][:-1]}f"}
        return replace(reply, headers=kept | said)

    return answer


@dataclass
class Vault:
    """What is stored, and what every request must carry.

    Attributes:
        begins: headers of each write that begins an object: a put, a copy, the beginning of an upload.
        parts: headers of each part of an upload.
        reads: headers of each read of an object.
        sources: headers of each copy, about its source.
    """

    begins: Mapping[str, str]
    parts: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    refused: list[Request] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def answer(self, request: Request) -> Reply:
        """Do what is asked if it carries what it must, in headers that are signed."""
        wanted = self._wanted(request)
        signed = _SIGNED.search(request.headers.get("authorization", ""))
        names = signed[1].split(";") if signed else []
        given = {name: value for name, value in request.headers.items() if "server-side-encryption" in name}
        if given != wanted or not wanted.keys() <= set(names):
            self.refused.append(request)
            return error(400, "InvalidRequest")
        return answering(self._done, "honours")(request)

    def _wanted(self, request: Request) -> dict[str, str]:
        if request.method in {"GET", "HEAD"}:
            return dict(self.reads) if request.path.count("/") > 1 else {}
        source = dict(self.sources) if "x-amz-copy-source" in request.headers else {}
        if "partNumber" in request.query:
            return dict(self.parts) | source
        if "uploadId" in request.query:
            return dict(self.reads) if request.method == "POST" else {}
        return dict(self.begins) | source if request.method in {"PUT", "POST"} else {}

    def _done(self, request: Request) -> Reply:
        if request.method == "POST" or "partNumber" in request.query:
            return self._upload(request)
        if request.method == "PUT":
            self.objects[request.path] = self._body(request)
            return Reply(200, {"ETag": '"e"'}, b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
        if request.method == "DELETE":
            self.objects.pop(request.path, None)
            self.uploads.pop(request.query.get("uploadId", ""), None)
            return Reply(204)
        if request.path.count("/") == 1:
            return listing("bucket", *(path.removeprefix("/bucket/") for path in sorted(self.objects)))
        return self._object(request)

    def _body(self, request: Request) -> bytes:
        source = request.headers.get("x-amz-copy-source")
        body = self.objects[f"/{source}"] if source else _plain(request)
        found = _RANGE.fullmatch(request.headers.get("x-amz-copy-source-range", ""))
        return body[int(found[1]) : int(found[2]) + 1] if found else body

    def _upload(self, request: Request) -> Reply:
        upload = request.query.get("uploadId") or f"upload-{next(self._numbers)}"
        parts = self.uploads.setdefault(upload, {})
        if number := request.query.get("partNumber"):
            parts[int(number)] = self._body(request)
            return Reply(200, {"ETag": '"p"'}, b"<CopyPartResult><ETag>p</ETag></CopyPartResult>")
        if "uploads" in request.query:
            body = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            return Reply(200, {}, body.encode())
        self.objects[request.path] = b"".join(parts[one] for one in sorted(parts))
        del self.uploads[upload]
        return Reply(200, {}, b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")

    def _object(self, request: Request) -> Reply:
        body = self.objects.get(request.path)
        if body is None:
            return error(404, "NoSuchKey")
        headers = {"ETag": '"e"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        if request.method == "HEAD":
            return Reply(200, {**headers, "Content-Length": str(len(body))})
        found = _RANGE.fullmatch(request.headers.get("range", ""))
        if not found or not body:
            return Reply(200, headers, body)
        start, last = int(found[1]), min(int(found[2] or len(body)), len(body) - 1)
        return Reply(206, {**headers, "Content-Range": f"bytes {start}-{last}/{len(body)}"}, body[start : last + 1])


def _plain(request: Request) -> bytes:
    """The body, out of the chunks that a checksum behind it makes."""
    if "aws-chunked" not in request.headers.get("content-encoding", ""):
        return request.body
    rest, body = request.body, b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if not (length := int(size, 16)):
            break
        body, rest = body + rest[:length], rest[length + 2 :]
    return body


@contextmanager
def locked(vault: Vault) -> Iterator[Recorder]:
    """A server of the vault for the length of a block."""
    with recording(vault.answer) as recorder:
        yield recorder
