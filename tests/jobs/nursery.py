"""Runs cells in kernels that die: each in a child of its own, which kills itself at a point.

Each line of its input is an order in JSON: the statements to run first, the cell, and the point. That is
`["request", n]`: before the n-th request of botocore's leaves; `["object", n]`: when the n-th rows, of two small
objects or a large one, are in the transaction, not committed; `["until", n]`: when the n-th rows of a job into a table
are noted, not committed; or `["end", 0]`: when the cell is done. It prints how each child ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from itertools import count
from typing import Any

import boto3.session  # noqa: F401 - so that no child has to
import botocore.httpsession
import duckdb  # noqa: F401
import pandas as pd  # noqa: F401
import pyarrow as pa  # noqa: F401
from statements import Statements

from s3conn_magic.jobs import copying
from s3conn_magic.jobs.filling import WatermarkStore
from s3conn_magic.jobs.target_table import Ledger
from s3conn_magic.objects import uploads


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying_at(kind: str, at: int) -> None:
    """Have this process die at the point."""
    numbers = count(1)
    if kind == "request":
        send = botocore.httpsession.URLLib3Session.send

        def sent(self: Any, request: Any) -> Any:
            if next(numbers) == at:
                _die()
            return send(self, request)

        botocore.httpsession.URLLib3Session.send = sent
        uploads.PART = 5 * 1024 * 1024  # as small as S3 takes, for more parts of fewer bytes
    if kind == "object":
        copying._MOST_TOGETHER = 2
        for name in ("note", "note_all"):
            setattr(Ledger, name, _noting(getattr(Ledger, name), numbers, at))
    if kind == "until":
        WatermarkStore.note = _noting(WatermarkStore.note, numbers, at)


def _noting(note: Any, numbers: Any, at: int) -> Any:
    def noted(self: Any, *given: Any) -> None:
        note(self, *given)
        if next(numbers) == at:
            _die()

    return noted


def _child(before: str, cell: str, point: tuple[str, int]) -> None:
    run = Statements()
    run(before)
    _dying_at(*point)
    try:
        run(cell)
    except Exception as error:  # noqa: BLE001 - it is what the parent is told
        sys.stderr.write(f"{error!r}\n")
        sys.stderr.flush()
        os._exit(3)
    _die()


def main() -> None:
    """One child after the other."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _child(order["before"], order["cell"], tuple(order["point"]))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
