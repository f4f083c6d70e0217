"""A small S3 in memory, as much of it as other libraries ask for, before which a recorder stands."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from recording import Recorder, Reply, Request, error, recording
from vaults import _plain, echo

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_MOMENT = "Thu, 01 Jan 2026 00:00:00 GMT"
_NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_KEY = "x-amz-server-side-encryption-customer-key-md5"


def _etag(body: bytes) -> str:
    return f'"{md5(body).hexdigest()}"'


def _xml(text: str) -> Reply:
    return Reply(200, {"Content-Type": "application/xml"}, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode())


@dataclass
class Shelf:
    """Buckets of objects; an object under a customer's key is given to whom sends its MD5, and nobody else."""

    buckets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    sealed: dict[tuple[str, str], str] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def answer(self, request: Request) -> Reply:
        """Do what is asked."""
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if not bucket:
            names = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in sorted(self.buckets))
            return _xml(f"<ListAllMyBucketsResult {_NS}><Buckets>{names}</Buckets></ListAllMyBucketsResult>")
        if bucket not in self.buckets and (key or request.method != "PUT"):
            return error(404, "NoSuchBucket")
        return self._of_object(request, bucket, key) if key else self._of_bucket(request, bucket)

    def _of_bucket(self, request: Request, bucket: str) -> Reply:
        if request.method == "PUT":
            self.buckets.setdefault(bucket, {})
        elif request.method == "DELETE":
            if self.buckets[bucket]:
                return error(409, "BucketNotEmpty")
            del self.buckets[bucket]
        elif request.method == "POST":
            wanted = [each.text or "" for each in ET.fromstring(_plain(request)).iter() if each.tag.endswith("Key")]
            for key in wanted:
                self.buckets[bucket].pop(key, None)
            gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in wanted)
            return _xml(f"<DeleteResult {_NS}>{gone}</DeleteResult>")
        elif request.method == "GET":
            return self._list(request, bucket)
        return Reply(200)

    def _list(self, request: Request, bucket: str) -> Reply:
        query, items = request.query, ""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = unquote(query.get("continuation-token", "")) or query.get("start-after", "")
        spelled = quote if query.get("encoding-type") == "url" else escape
        most, last, seen, cut = int(query.get("max-keys", 1000)), "", set(), False
        for key in sorted(key for key in self.buckets[bucket] if key.startswith(prefix) and key > after):
            folder, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            name = f"{prefix}{folder}{delimiter}" if found else key
            if name in seen or (found and name <= after):
                continue
            if len(seen) == most:
                cut = True
                break
            seen.add(name)
            last = f"{name}\U0010ffff" if found else name
            body = self.buckets[bucket][key]
            items += (
                f"<CommonPrefixes><Prefix>{spelled(name)}</Prefix></CommonPrefixes>"
                if found
                else f"<Contents><Key>{spelled(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>{escape(_etag(body))}</ETag><Size>{len(body)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        token = f"<NextContinuationToken>{quote(last)}</NextContinuationToken>" if cut else ""
        encoding = "<EncodingType>url</EncodingType>" if spelled is quote else ""
        return _xml(
            f"<ListBucketResult {_NS}><Name>{bucket}</Name><Prefix>{spelled(prefix)}</Prefix>"
            f"<KeyCount>{len(seen)}</KeyCount><MaxKeys>{most}</MaxKeys>{encoding}"
            f"<IsTruncated>{str(cut).lower()}</IsTruncated>{token}{items}</ListBucketResult>"
        )

    def _of_object(self, request: Request, bucket: str, key: str) -> Reply:
        objects = self.buckets[bucket]
        if request.method == "POST" or "partNumber" in request.query:
            return self._upload(request, bucket, key)
        if request.method == "DELETE":
            if upload := request.query.get("uploadId"):
                self.uploads.pop(upload, None)
            else:
                objects.pop(key, None)
            return Reply(204)
        if request.method in {"GET", "HEAD"}:
            return self._read(request, bucket, key)
        if refused := self._unmet(request, objects.get(key)):
            return refused
        source = request.headers.get("x-amz-copy-source")
        if source:
            of, _, name = unquote(source).removeprefix("/").partition("/")
            if name not in self.buckets[of]:
                return error(404, "NoSuchKey")
        self._keep(request, bucket, key, self.buckets[of][name] if source else _plain(request))
        said = {**echo(request), "ETag": _etag(objects[key])}
        copied = f"<CopyObjectResult><ETag>{escape(said['ETag'])}</ETag></CopyObjectResult>"
        return Reply(200, {**said, "Content-Type": "application/xml"}, copied.encode() if source else b"")

    def _keep(self, request: Request, bucket: str, key: str, body: bytes) -> None:
        self.buckets[bucket][key] = body
        self.sealed.pop((bucket, key), None)
        if _KEY in request.headers:
            self.sealed[bucket, key] = request.headers[_KEY]

    @staticmethod
    def _unmet(request: Request, body: bytes | None) -> Reply | None:
        if request.headers.get("if-none-match") == "*" and body is not None:
            return error(412, "PreconditionFailed")
        wanted = request.headers.get("if-match")
        return error(412, "PreconditionFailed") if wanted and (body is None or wanted != _etag(body)) else None

    def _upload(self, request: Request, bucket: str, key: str) -> Reply:
        upload = request.query.get("uploadId") or f"upload-{next(self._numbers)}"
        parts = self.uploads.setdefault(upload, {})
        if number := request.query.get("partNumber"):
            parts[int(number)] = _plain(request)
            return Reply(200, {**echo(request), "ETag": _etag(parts[int(number)])})
        if "uploads" in request.query:
            if _KEY in request.headers:
                self.sealed[bucket, f"{key}?{upload}"] = request.headers[_KEY]
            body = f"<InitiateMultipartUploadResult {_NS}><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            return Reply(200, {**echo(request), "Content-Type": "application/xml"}, body.encode())
        if refused := self._unmet(request, self.buckets[bucket].get(key)):
            return refused
        self._keep(request, bucket, key, b"".join(parts[each] for each in sorted(parts)))
        if seal := self.sealed.pop((bucket, f"{key}?{upload}"), None):
            self.sealed[bucket, key] = seal
        del self.uploads[upload]
        etag = escape(_etag(self.buckets[bucket][key]))
        return _xml(f"<CompleteMultipartUploadResult {_NS}><ETag>{etag}</ETag></CompleteMultipartUploadResult>")

    def _read(self, request: Request, bucket: str, key: str) -> Reply:
        body = self.buckets[bucket].get(key)
        if body is None:
            return error(404, "NoSuchKey")
        other_key = self.sealed.get((bucket, key)) != request.headers.get(_KEY)
        if refused := error(400, "InvalidRequest") if other_key else self._unmet(request, body):
            return refused
        headers = {"ETag": _etag(body), "Last-Modified": _MOMENT, "Accept-Ranges": "bytes", **echo(request)}
        if request.method == "HEAD":
            return Reply(200, {**headers, "Content-Length": str(len(body))})
        match = _RANGE.fullmatch(request.headers.get("range", ""))
        if not match:
            return Reply(200, headers, body)
        start = int(match[1]) if match[1] else max(0, len(body) - int(match[2]))
        stop = min(int(match[2]) + 1 if match[1] and match[2] else len(body), len(body))
        if start >= len(body):
            return error(416, "InvalidRange")
        return Reply(206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"}, body[start:stop])


@contextmanager
def shelved(*buckets: str) -> Iterator[tuple[Shelf, Recorder]]:
    """A shelf with empty buckets, and the recorder before it, for the length of a block."""
    shelf = Shelf({name: {} for name in buckets})
    with recording(shelf.answer) as recorder:
        yield shelf, recorder
