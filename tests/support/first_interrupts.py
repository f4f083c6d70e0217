"""Interrupts in the first statement of new kernels, while the libraries that it needs are loaded.

    python tests/support/first_interrupts.py --count 100 --seed 1

starts 100 kernels, interrupts each, once or three times, at some moment of the first seconds of its first cell, runs
the cell again, and prints what was left half loaded, and what the user saw that was no short block.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from kernels import started

from s3conn_magic.sandbox import Sandbox

if TYPE_CHECKING:
    from kernels import Message, Outcome

_ONE = "'s3://acme-lake/events/year=2026/month=01/day=01/part-00000.parquet'"
_FRESH = ("numpy", "pandas", "pyarrow", "duckdb", "boto3", "pyparsing")
"""What the first cell is the first to load."""
_NO_REPLY = 30.0
FIRST = {
    "LIST": "LIST 's3://acme-lake/events/' RECURSIVE LIMIT 100",
    "SELECT": f"SELECT count(*) FROM {_ONE}",
    "EXPLORE": "EXPLORE 's3://acme-lake/'",
    "ANALYZE": "ANALYZE 's3://acme-lake/events/'",
    "PREVIEW": f"PREVIEW {_ONE}",
    "COPY": "CREATE JOB IF NOT EXISTS j AS COPY FROM S3 lake LOCATION = 's3://acme-lake/events/year=2026/month=01/day=01/'"
    " INTO t; RUN JOB j",
}
_ALL_THERE = """
import numpy, pandas, pyarrow, pyarrow.compute, pyarrow.parquet, pyarrow.dataset, duckdb, boto3, fsspec, aiohttp
assert pandas.DataFrame({"a": [1], "b": ["x"]}).convert_dtypes(dtype_backend="pyarrow")._repr_html_()
assert duckdb.sql("SELECT 1").fetchall() == [(1,)]
assert numpy.asarray(pyarrow.array([1, 2])).sum() == 3
"""
_PLAIN = re.compile(r"\x1b\[[0-9;]*m")
_BLOCKS = {"StatementInterrupted", "ListingInterrupted"}


@dataclass
class Seen:
    """What came of one kernel: how the cell ended, and what was not right."""

    ended: str = ""
    wrong: list[str] = field(default_factory=list)


def interrupted(server: Sandbox, folder: Path, statement: str, after: float, presses: int) -> Seen:
    """A new kernel whose first cell is interrupted, and what it is good for afterwards."""
    seen = Seen()
    pair = f"AWS_ACCESS_KEY_ID = '{server.admin.access_key_id}'"
    pair += f" AWS_SECRET_ACCESS_KEY = '{server.admin.secret_access_key.reveal()}'"
    lake = f"CREATE OR REPLACE S3 CONNECTION lake {pair} ENDPOINT = '{server.endpoint}' VALIDATE = FALSE"
    cell = f"%%upsql\n{lake};\n{statement}"
    with started(folder) as kernel:
        loaded = kernel.run(f"%load_ext s3conn_magic\nimport sys\nprint(*(set({_FRESH}) & set(sys.modules)))")
        seen.wrong += [f"loaded before: {loaded.stdout}"] if loaded.stdout.strip() or loaded.status != "ok" else []

        def press() -> None:
            time.sleep(after)
            for _ in range(presses):
                kernel.interrupt()
                time.sleep(0.08)

        begun: list[threading.Thread] = []

        def on_message(message: Message) -> None:
            if message["msg_type"] == "execute_input":
                begun.append(threading.Thread(target=press, daemon=True))
                begun[0].start()

        try:
            seen.ended, wrong = _judged(kernel.run(cell, on_message=on_message, timeout=_NO_REPLY))
        except TimeoutError:
            # The kernel's own loop was hit, before the cell or after it: it says so, and sends no reply to any cell.
            seen.ended, wrong = "no reply", []
        begun[0].join()
        seen.wrong += wrong
        for what, text in {"the same again": cell, "the libraries": _ALL_THERE}.items():
            outcome = kernel.run(text)
            if outcome.status != "ok":
                seen.wrong.append(f"{what}: {_text(outcome)}")
    return seen


def _judged(outcome: Outcome) -> tuple[str, list[str]]:
    error: dict[str, Any] = outcome.error or {}
    text, name = _text(outcome), error.get("ename", outcome.status)
    wrong = [f"written: {outcome.stderr}"] if re.search("Interrupt|Error|ignored", outcome.stderr) else []
    if name == "KeyboardInterrupt" and "s3conn_magic/" not in text:
        return "before or after", wrong  # IPython's own steps
    if name not in {*_BLOCKS, "ok"}:
        wrong.append(f"shown: {text}")
    if name in _BLOCKS and ("Traceback" in text or len(error["traceback"]) > 8):
        wrong.append(f"no short block: {text}")
    return name, wrong


def _text(outcome: Outcome) -> str:
    return _PLAIN.sub("", "\n".join((outcome.error or {}).get("traceback", [])) + outcome.stderr)


def moments(count: int, seed: int) -> list[tuple[str, float, int]]:
    """Statement, seconds after its beginning, and presses of the button: half of them in the first 0.3 s."""
    dice = random.Random(seed)
    names = list(FIRST)
    return [
        (names[at % len(names)], dice.uniform(0.01, 0.3 if at % 2 else 2.5), dice.choice([1, 1, 3]))
        for at in range(count)
    ]


def main() -> None:
    """Interrupt, and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    ended: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder, Sandbox.start() as server:
        os.environ.update(HOME=folder, AWS_EC2_METADATA_DISABLED="true")
        for name, after, presses in moments(given.count, given.seed):
            seen = interrupted(server, Path(folder), FIRST[name], after, presses)
            ended[seen.ended] += 1
            wrong += [f"{name} after {after:.3f} s, pressed {presses}: {one}" for one in seen.wrong]
            print(f"{name:8} {after:6.3f} s  {seen.ended:22} {'; '.join(seen.wrong)[:2000]}", flush=True)
    print(f"{given.count} kernels: {dict(ended)}, {len(wrong)} things were not right")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
