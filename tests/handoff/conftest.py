from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from boto_clients import client
from handed import BUCKET, FRAME, Handed
from recording import Recorder, Reply, Request, passing_to, recording
from statements import Statements, create

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def served(rclone_server) -> Iterator[tuple[Recorder, Path]]:
    """A server before rclone that keeps the requests; a bucket with a table as Parquet and as CSV."""
    s3 = client("s3", rclone_server.endpoint, rclone_server.keys)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="table.parquet", Body=FRAME.to_parquet())
    s3.put_object(Bucket=BUCKET, Key="table.csv", Body=FRAME.to_csv(index=False).encode())
    ask = passing_to(rclone_server.endpoint)

    def answer(request: Request) -> Reply:
        reply = ask(request)
        # rclone gives ranges under the status 200, which some libraries take for the whole.
        ranged = "Content-Range" in reply.headers and reply.status == 200
        return replace(reply, status=206) if ranged else reply

    with recording(answer) as wire:
        yield wire, rclone_server.root / BUCKET
    # Other tests count the buckets of the server.
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for one in page.get("Contents", ()):
            s3.delete_object(Bucket=BUCKET, Key=one["Key"])
    s3.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def handed(served, rclone_server) -> Handed:
    """The bucket and a connection of the test's own."""
    wire, folder = served
    run = Statements()
    run(create("lake", keys=rclone_server.keys, ENDPOINT=wire.endpoint, VALIDATE=False))
    wire.requests.clear()
    return Handed(run, wire, folder, rclone_server)
