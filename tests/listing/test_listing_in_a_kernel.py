"""A long listing in a real kernel: its progress, and what an interrupt leaves."""

from __future__ import annotations

import ast
import sys
import time

import pytest
from layouts import keys_of
from synthetic import Behaviour, Bucket

KEYS = 30_000
SLOW = 0.2


@pytest.fixture
def slow(kernel, serve):
    """A kernel with a connection to a server that takes 0.2 s a page, asked one page at a time."""
    address = serve(Bucket(keys_of("hive", KEYS)), Behaviour(latency=SLOW))
    assert kernel.run("%load_ext s3conn_magic").status == "ok"
    pair = "AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE' AWS_SECRET_ACCESS_KEY = 'example'"
    create = f"CREATE OR REPLACE S3 CONNECTION slow {pair} ENDPOINT = '{address}' VALIDATE = FALSE"
    assert (
        kernel.run(f"%%upsql\n{create}; SET CONNECTIONS = 1; SET PROGRESS = TRUE; USE CONNECTION slow").status == "ok"
    )
    return kernel


def _value(kernel, expression):
    outcome = kernel.run(f"print({expression})")
    assert outcome.status == "ok", outcome.error
    return outcome.stdout.strip()


def _text(message):
    return message["content"]["data"]["text/plain"]


def test_progress_is_one_line_updated_in_place(slow):
    """A listing of more than half a second shows one display, updates it, and leaves a summary of all that came."""
    outcome = slow.run("%upsql LIST 's3://bucket/' RECURSIVE LIMIT 8000")
    assert outcome.status == "ok"
    shown, updates = outcome.contents("display_data"), outcome.contents("update_display_data")
    assert len(shown) == 1
    assert updates
    assert "keys/s" in updates[-1]["data"]["text/plain"]
    assert "%" not in updates[-1]["data"]["text/plain"]


def test_no_progress_when_it_is_off(slow):
    """After SET PROGRESS = FALSE a long listing shows its frame and nothing else."""
    outcome = slow.run("%%upsql\nSET PROGRESS = FALSE;\nLIST 's3://bucket/' RECURSIVE LIMIT 5000")
    assert outcome.status == "ok"
    assert len(outcome.contents("display_data")) == 1
    assert outcome.contents("update_display_data") == []


def test_an_interrupt_keeps_the_rows_and_leaves_nothing_behind(slow):
    """SIGINT ends a listing; its rows are in `_`, labelled, no thread of its own is left, and the next cell works."""
    sent = []

    def stop(message):
        if message["msg_type"] == "update_display_data" and not sent and not _text(message).startswith("0 keys"):
            sent.append(message)
            slow.interrupt()

    outcome = slow.run("%upsql LIST 's3://bucket/' RECURSIVE", on_message=stop)
    assert outcome.status == "error"
    assert outcome.error["ename"] == "ListingInterrupted", outcome.error["traceback"]
    assert any("rows so far are in _" in line for line in outcome.error["traceback"])
    assert 0 < int(_value(slow, "len(_)")) < KEYS
    assert _value(slow, "repr(_).startswith('partial: the listing was interrupted')") == "True"
    names = "{thread.name for thread in __import__('threading').enumerate() if 's3conn' in thread.name}"
    assert _value(slow, names) == "{'s3conn-transport'}"
    assert slow.run("%upsql LIST 's3://bucket/' RECURSIVE LIMIT 10").status == "ok"


_OPEN = """
import os, threading
def still_open():
    files = []
    for number in os.listdir("/proc/self/fd"):
        try:
            files.append(os.readlink("/proc/self/fd/" + number))
        except FileNotFoundError:  # the one that listed the folder
            pass
    wanted = sorted(one for one in files if one.startswith(("socket:", "anon_inode:")))
    return sorted(thread.name for thread in threading.enumerate()), wanted
"""


def _still_open(kernel):
    """Threads and sockets, when they are the same for a while: a DROP has them closed soon, by their loop."""
    before, now = None, ()
    while now != before:
        before, now = now, ast.literal_eval(_value(kernel, "still_open()"))
        time.sleep(0.2)
    return now


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are counted in /proc")
def test_an_interrupt_closes_every_socket_and_thread(kernel, serve):
    """SIGINT ends eight requests that wait for a server that has stalled; a DROP leaves the kernel's own sockets."""
    behaviour = Behaviour(latency=2 * SLOW)
    address = serve(Bucket(keys_of("hive", KEYS)), behaviour)
    pair = "AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE' AWS_SECRET_ACCESS_KEY = 'example'"
    create = f"CREATE S3 CONNECTION slow {pair} ENDPOINT = '{address}' VALIDATE = FALSE; SET CONNECTIONS = 8"
    assert kernel.run(f"%load_ext s3conn_magic\n{_OPEN}").status == "ok"
    drop = "%upsql DROP CONNECTION slow"
    for cell in (f"%%upsql\n{create}", "%upsql LIST 's3://bucket/' RECURSIVE LIMIT 10", drop):
        assert kernel.run(cell).status == "ok"
    before = _still_open(kernel)
    assert kernel.run(f"%%upsql\n{create}").status == "ok"
    sent = []

    def stall_and_stop(message):
        if message["msg_type"] == "update_display_data" and not sent and not _text(message).startswith("0 keys"):
            sent.append(message)
            behaviour.latency = 3600
            kernel.interrupt()

    outcome = kernel.run("%upsql LIST 's3://bucket/' RECURSIVE", on_message=stall_and_stop)
    assert outcome.error["ename"] == "ListingInterrupted", outcome.error["traceback"]
    assert 0 < int(_value(kernel, "len(_)")) < KEYS
    assert _value(kernel, "repr(_).startswith('partial: the listing was interrupted')") == "True"
    assert _value(kernel, "_['key'].is_unique and _['key'].is_monotonic_increasing") == "True"
    assert kernel.run(drop).status == "ok"
    assert _still_open(kernel) == before
    assert kernel.run(f"%%upsql\n{create}").status == "ok"
    behaviour.latency = 0
    assert kernel.run("%upsql again << LIST 's3://bucket/' RECURSIVE").status == "ok"
    assert int(_value(kernel, "len(again)")) == KEYS
    assert kernel.run(drop).status == "ok"
    assert _still_open(kernel) == before
