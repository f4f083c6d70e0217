"""Interrupts of a kernel that loads libraries or shows results; `python tests/support/first_interrupts.py` has more."""

from __future__ import annotations

import pytest
from first_interrupts import FIRST, interrupted, moments


@pytest.mark.parametrize(("name", "after", "presses"), moments(5, seed=2))
def test_an_interrupted_first_statement_leaves_all_libraries_whole(sandbox, tmp_path, name, after, presses):
    """The user sees one short block, and the same cell, and every library that it loads, works afterwards."""
    assert interrupted(sandbox, tmp_path, FIRST[name], after, presses).wrong == []


_SLOW = """
import time
from s3conn_magic.results import frames
def slow(frame):
    print("being shown", flush=True)
    time.sleep(30)
frames.S3Frame._layout = slow
"""


def test_an_interrupt_while_a_frame_is_shown_is_one_short_block(kernel):
    """Neither pandas' frames nor the cell are shown, whichever form it was, and the result is in `_` as ever."""
    assert kernel.run("%load_ext s3conn_magic").status == "ok"
    assert kernel.run(_SLOW).status == "ok"

    def on_message(message):
        if "being shown" in message["content"].get("text", ""):
            kernel.interrupt()

    outcome = kernel.run("%upsql SELECT 7 AS x", on_message=on_message)
    assert [one["ename"] for one in outcome.contents("error")] == ["StatementInterrupted"] * 2
    assert "KeyboardInterrupt" not in outcome.everything
    assert "Traceback" not in outcome.everything
    assert kernel.run("assert _['x'].tolist() == [7]").status == "ok"
