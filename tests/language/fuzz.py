"""Changed cells by the million: `python tests/language/fuzz.py --statements 1000000 --seed 1 --jobs 2`.

Each is parsed and bound as a session would, without a request, and must end in plans or in an error of the language
with a place, in time. Number n of a seed is always the same text: what is printed for a failure runs it alone.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from mutations import CELLS, LARGEST, mutated
from offline import Inputs, offline_session

from s3conn_magic.errors import (
    BindError,
    ConnectionExistsError,
    ConnectionInUseError,
    ConnectionNotFoundError,
    JobExistsError,
    JobNotFoundError,
    QueryError,
    S3ConnError,
    StatementSyntaxError,
)

BOUND = 0.5
"""Seconds that a text of 64 KiB may take."""
_MARGIN = 10
_GIVEN_UP = 30
_HUGE = 1 / 1_000
_CHUNK, _SAID = 5_000, 50_000
OUTCOMES = (StatementSyntaxError, BindError, ConnectionNotFoundError, ConnectionExistsError, ConnectionInUseError)
OUTCOMES += (QueryError, JobNotFoundError, JobExistsError)
"""What a cell may end in besides plans: the syntax, the options, a connection's name or a query is wrong."""


class _Answers(Inputs):
    """Prompts and keyrings that always answer."""

    def prompt(self, text: str) -> str:
        return f"answer to {len(text)} characters"

    def keyring(self, service: str, user: str) -> str:
        return f"{len(service)}:{len(user)}"


SESSION = offline_session("lake", "logs", inputs=_Answers())

SESSION.steps("SELECT 1")  # DuckDB is loaded once


def outcome(text: str) -> str:
    """The name of what a text ends in.

    Raises:
        AssertionError: it ends in another error, or in one whose place is not in the text.
        Exception: whatever else it ends in.
    """
    try:
        SESSION.steps(text)
    except S3ConnError as error:
        found = error
    else:
        return "plans"
    assert type(found) in OUTCOMES, f"{type(found).__name__} is no outcome"
    assert found.block(), "the error says nothing"
    assert found.place is not None, "the error has no place"
    line = text.split("\n")[found.place.line - 1]
    assert 1 <= found.place.column <= len(line) + 1, "the place is outside the text"
    return type(found).__name__


@dataclass
class Tally:
    """What a range of numbers ended in."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, int, int] = (0.0, 0, 0)
    over: int = 0

    def add(self, other: Tally) -> None:
        """Take in another range."""
        self.outcomes += other.outcomes
        self.failures += other.failures
        self.slowest = max(self.slowest, other.slowest)
        self.over += other.over


def attempt(seed: int, numbers: range) -> Tally:
    """Try the texts of these numbers."""
    tally = Tally()
    signal.signal(signal.SIGALRM, _give_up)
    for number in numbers:
        text = mutated(Random(f"{seed}:{number}"), huge=_HUGE)
        signal.alarm(_GIVEN_UP)
        begun = time.thread_time()
        try:
            tally.outcomes[outcome(text)] += 1
        except Exception as error:  # noqa: BLE001 - any is a failure
            tally.failures.append(f"{type(error).__name__} at --seed {seed} --start {number} --statements 1: {error}")
        took = time.thread_time() - begun
        signal.alarm(0)
        tally.slowest = max(tally.slowest, (took, len(text), number))
        tally.over += took > BOUND * max(1, len(text) / LARGEST)
        if took > _MARGIN * BOUND:
            tally.failures.append(f"{took:.2f} s at --seed {seed} --start {number} --statements 1")
    return tally


def _give_up(*_: object) -> None:
    raise TimeoutError(f"no end within {_GIVEN_UP} s")


def main() -> int:
    """Run as told, print the counts; the exit code says whether all ended well."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--statements", type=int, default=100_000, help="how many texts")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--start", type=int, default=0, help="number of the first text")
    arguments.add_argument("--jobs", type=int, default=1, help="processes")
    told = arguments.parse_args()
    end = told.start + told.statements
    ranges = [range(at, min(at + _CHUNK, end)) for at in range(told.start, end, _CHUNK)]
    begun, total = time.perf_counter(), Tally()
    with ProcessPoolExecutor(told.jobs) as workers:
        for numbers, tally in zip(ranges, workers.map(attempt, [told.seed] * len(ranges), ranges), strict=True):
            total.add(tally)
            if numbers.stop % _SAID == 0:
                print(f"up to {numbers.stop:,}: {len(total.failures)} failures", file=sys.stderr, flush=True)
    _report(total, told, time.perf_counter() - begun)
    return 1 if total.failures else 0


def _report(total: Tally, told: argparse.Namespace, seconds: float) -> None:
    worst, size, number = total.slowest
    print(f"{told.statements:,} texts made of {len(CELLS)} valid cells, seed {told.seed}, in {seconds:,.0f} s")
    for name, count in total.outcomes.most_common():
        print(f"{count:>12,}  {name}")
    print(f"slowest: {worst * 1000:.1f} ms of CPU for {size:,} characters (--start {number})")
    print(f"over {BOUND * 1000:.0f} ms per 64 KiB: {total.over:,}")
    print(f"failures: {len(total.failures)}", *total.failures[:20], sep="\n  ")


if __name__ == "__main__":
    sys.exit(main())
