"""An S3 server of one object, made of bytes, that counts what it sends and can be told to misbehave."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import md5
from typing import TYPE_CHECKING

from recording import Recorder, Reply, Request, error, recording
from statements import Statements, create

from s3conn_magic.locations import Location
from s3conn_magic.preview.preview import preview
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.preview import Preview

KEYS = Keys("AKIAOBJECT", Secret("object-secret"))
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class Served:
    """What the server gives: the same body for every key.

    `bend` may change an answer; `sent` counts the bytes of bodies that left.
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    bend: Callable[[Request, Reply], Reply] = lambda _, reply: reply
    sent: int = 0

    def answer(self, request: Request) -> Reply:
        """HeadObject, GetObject with a range and a condition; nothing else."""
        if request.query.keys() - {"versionId"}:
            return error(501, "NotImplemented")
        reply = self.bend(request, self._object(request))
        self.sent += len(reply.body) if request.method == "GET" else 0
        return reply

    def _object(self, request: Request) -> Reply:
        headers = {"ETag": f'"{md5(self.body).hexdigest()}"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        headers |= self.headers
        if request.method == "HEAD":
            return Reply(200, {**headers, "Content-Length": str(len(self.body))})
        if request.headers.get("if-match", headers["ETag"]) != headers["ETag"]:
            return error(412, "PreconditionFailed")
        found = _RANGE.fullmatch(request.headers.get("range", ""))
        if not found:
            return Reply(200, headers, self.body)
        start, last = int(found[1]), min(int(found[2]), len(self.body) - 1)
        part = self.body[start : last + 1]
        return Reply(206, {**headers, "Content-Range": f"bytes {start}-{last}/{len(self.body)}"}, part)


@dataclass(frozen=True)
class Place:
    """A connection to the server, and what came there."""

    connection: Connection
    served: Served
    recorder: Recorder

    def preview(self, key: str = "data", rows: int = 100, **more: object) -> Preview:
        """The preview of the object under a name."""
        return preview(self.connection, Location("bucket", key), rows=rows, **more)

    @property
    def ranges(self) -> list[str]:
        """The ranges that were asked for."""
        return [one.headers["range"] for one in self.recorder.requests if one.method == "GET"]


@contextmanager
def serving(served: Served | bytes, **headers: str) -> Iterator[Place]:
    """A server of one object for the length of a block; underscores in header names stand for hyphens."""
    served = served if isinstance(served, Served) else Served(served)
    served = replace(served, headers={**served.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})
    with recording(served.answer) as recorder:
        run = Statements()
        run(create("place", keys=KEYS, ENDPOINT=recorder.endpoint, VALIDATE=False))
        yield Place(run.connection("place"), served, recorder)


def previewed(body: bytes, key: str = "data", rows: int = 100, **headers: str) -> Preview:
    """The preview of some bytes under a name."""
    with serving(body, **headers) as place:
        found = place.preview(key, rows)
    assert found.bytes_read == place.served.sent
    assert found.requests == len(place.recorder.requests)
    return found
