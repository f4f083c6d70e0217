"""Large objects on their way in: several parts at once, in order at the end, and none left of one that fails."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from recording import error, recording
from shelf import Shelf
from statements import Statements, create

from s3conn_magic.errors import AccessDeniedError
from s3conn_magic.objects import uploads
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret
from s3conn_magic.transport.exchange import LEAST

MIB = 1024 * 1024


@pytest.fixture
def shelf():
    """A server in memory, with one bucket."""
    return Shelf({"bucket": {}})


@pytest.fixture
def files(shelf):
    """Files of a connection to it; a test says what the server answers by `wire.answer`."""
    with recording(shelf.answer) as wire:
        run = Statements()
        run(create("lake", keys=Keys("AKIAONE", Secret("one")), ENDPOINT=wire.endpoint, VALIDATE=False))
        made = run.connection("lake").fsspec()
        made.wire = wire
        yield made


@pytest.mark.parametrize(
    "sizes",
    [
        [0],
        [8 * MIB],
        [8 * MIB, 1],
        [8 * MIB] * 3,
        [25 * MIB + 1],
        [100_000] * 170,
        [10, 8 * MIB, 70_000, 3, 9 * MIB, 0, 5],
        [17 * MIB, 1, 1],
    ],
    ids=str,
)
def test_an_object_is_what_was_written_however_it_was_cut(shelf, files, sizes):
    """Pieces of any size, of bytes or what can be changed afterwards, come together as they were written."""
    body = bytes(range(251)) * (sum(sizes) // 251 + 1)
    at, scratch = 0, bytearray(max(sizes))
    with files.open("bucket/k", "wb") as file:
        for number, size in enumerate(sizes):
            piece = body[at : at + size]
            if number % 2:
                scratch[:size] = piece
                file.write(memoryview(scratch)[:size])
                scratch[:size] = bytes(size)
            else:
                file.write(piece)
            at += size
    assert shelf.buckets["bucket"]["k"] == body[:at]
    assert shelf.uploads == {}


def test_parts_travel_at_once(shelf, files):
    """Three parts are under way together: each is answered when all of them are there."""
    together = threading.Barrier(3, timeout=30)

    def answer(request):
        if "partNumber" in request.query:
            together.wait()
        return shelf.answer(request)

    files.wire.answer = answer
    files.pipe("bucket/k", b"x" * (24 * MIB))
    assert len(shelf.buckets["bucket"]["k"]) == 24 * MIB


NAMES = [f"bucket/many/{number}" for number in range(LEAST)]


@pytest.mark.parametrize(
    "call",
    [
        lambda files, _: files.cat(NAMES),
        lambda files, _: files.cat_ranges(NAMES, [0] * LEAST, [1] * LEAST),
        lambda files, _: files.sizes(NAMES),
        lambda files, local: files.get(NAMES, [str(local / name[-1]) for name in NAMES]),
        lambda files, local: files.put([str(local / "x")] * LEAST, NAMES),
        lambda files, _: files.pipe(dict.fromkeys(NAMES, b"y")),
        lambda files, _: files.copy(NAMES, [f"{name}-copy" for name in NAMES]),
        lambda files, _: files.get_mapper("bucket/many").getitems([name[-1] for name in NAMES]),
    ],
    ids=["cat", "cat_ranges", "sizes", "get", "put", "pipe", "copy", "mapper"],
)
def test_many_files_travel_at_once(shelf, files, tmp_path, call):
    """As many requests are under way together as wherever the server is: none is answered before all are there."""
    shelf.buckets["bucket"] = {f"many/{number}": b"x" for number in range(LEAST)}
    (tmp_path / "x").write_bytes(b"x")
    together = threading.Barrier(LEAST, timeout=30)

    def answer(request):
        together.wait()
        return shelf.answer(request)

    files.wire.answer = answer
    call(files, tmp_path)


def test_no_more_is_under_way_than_there_is_room_for():
    """A part waits for those before it; one that is larger than the room goes alone."""
    room, sent, go = uploads._UnderWay(10), [], threading.Semaphore(0)

    def send(body):
        sent.append(len(body))
        go.acquire()

    first = room.send(send, b"x" * 6)
    waiting = threading.Thread(target=lambda: room.send(send, b"x" * 60), daemon=True)
    waiting.start()
    assert sent == [6]
    go.release(2)
    first.result(30)
    waiting.join(30)
    assert sent == [6, 60]


def test_a_part_that_arrives_after_the_end_is_dropped(shelf, files):
    """One part is refused while another is under way: the error is the refusal's, and the late part stays nowhere."""
    aborted, late = threading.Event(), threading.Event()

    def answer(request):
        if request.query.get("partNumber") == "2":
            return error(403, "AccessDenied")
        if request.query.get("partNumber") == "1":
            aborted.wait(30)
            reply = shelf.answer(request)
            late.set()
            return reply
        reply = shelf.answer(request)
        if request.method == "DELETE":
            aborted.set()
        return reply

    files.wire.answer = answer
    with pytest.raises(AccessDeniedError):
        files.pipe("bucket/k", b"x" * (20 * MIB))
    assert late.wait(30)
    for _ in range(300):
        if not shelf.uploads:
            break
        time.sleep(0.1)
    assert (shelf.uploads, shelf.buckets["bucket"]) == ({}, {})


def test_a_file_that_is_open_when_the_process_ends_is_an_error(shelf, files):
    """Nobody knows whether what wraps it holds more: nothing is made, no part stays, and it is said."""
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from statements import Statements, create\nfrom s3conn_magic.sandbox import Keys\n"
        "from s3conn_magic.secrets import Secret\nrun = Statements()\n"
        "run(create('lake', keys=Keys('AKIAONE', Secret('one')), ENDPOINT=sys.argv[1], VALIDATE=False))\n"
        "files = run.connection('lake').fsspec()\n"
        "large, text = files.open('bucket/large', 'wb'), files.open('bucket/text', 'w')\n"
        "large.write(b'x' * 9_000_000), text.write('x' * 9_000)\n"
    )
    command = [sys.executable, "-c", program, files.wire.endpoint, *filter(None, sys.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in ("large", "text"):
        assert f"s3://bucket/{name} was not closed before the process ended: nothing was written" in done.stderr
    assert (shelf.uploads, shelf.buckets["bucket"]) == ({}, {})
