"""How work is shared out, in a time of its own: two workers take little more than half of the time of one process."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import keys_of
from synthetic import Bucket
from virtual_time import Simulation

from s3conn_magic.cluster import sweep
from s3conn_magic.cluster.scheduler import Capacity
from s3conn_magic.cluster.work import RangeResult, RangeTask
from s3conn_magic.listing.request import Progress
from s3conn_magic.listing.table import OBJECTS

_KEYS, _PAGE_KEYS, _FAR = 40_000, 40, 0.15
_SENT = 0.05
"""Seconds from a task's end to the beginning of the next."""


@cache
def _bucket(layout: str) -> Bucket:
    return Bucket(keys_of(layout, _KEYS))


def _listed(layout: str, connections: int, **parts: Any) -> Simulation:
    return Simulation(_bucket(layout), _FAR, _PAGE_KEYS, connections, **parts).run()


class _Workers:
    """Two workers, which list in that time; as a cluster, and as its tasks."""

    def __init__(self, layout: str, now: float) -> None:
        self.layout, self.now, self.keys = layout, now, list[str]()
        self._free, self._tasks = [now, now], list[tuple[float, int, Simulation]]()

    def capacity(self) -> Capacity:
        return Capacity(workers=2, tasks=2, each=1)

    def __len__(self) -> int:
        return len(self._tasks)

    def submit(self, number: int, function: Any, task: RangeTask, ranges: Any, pages: int) -> None:
        del function
        done = _listed(self.layout, task.connections, ranges=ranges, pages=pages)
        begins = max(self.now, self._free.pop(self._free.index(min(self._free))))
        self._free.append(begins + done.seconds + _SENT)
        self._tasks.append((self._free[-1], number, done))

    def wait(self, every: Any) -> tuple[int, RangeResult]:
        del every
        first = min(self._tasks, key=lambda each: each[:2])
        self._tasks.remove(first)
        self.now, number, done = first
        self.keys += done.keys
        return number, RangeResult(None, done.rest, Progress())


@pytest.mark.parametrize("connections", [4, 8, 16])
@pytest.mark.parametrize("layout", ["hive", "random", "skewed"])
def test_two_workers_take_two_thirds_of_the_time(layout: str, connections: int, monkeypatch: pytest.MonkeyPatch):
    """Of a bucket far away, with the same connections each, whether all keys are asked for, or more than there are."""
    monkeypatch.setattr(sweep, "_PAGE", _PAGE_KEYS)
    alone = _listed(layout, connections).seconds
    for wanted in (None, 100.0 * _KEYS):
        first = _listed(layout, connections, pages=sweep.FIRST_PAGES)
        workers = _Workers(layout, first.seconds)
        shared = sweep.Sweep(RangeTask("", connections), list(first.rest), Progress())
        list(shared.run(workers, workers, wanted=lambda wanted=wanted: wanted))  # type: ignore[arg-type] # both stand in
        assert sorted([*first.keys, *workers.keys]) == _bucket(layout).keys
        assert workers.now <= 0.7 * alone


@given(st.lists(st.tuples(st.text(max_size=4), st.integers(0, 4)), unique_by=lambda each: each[0]), st.integers(1, 50))
def test_rows_of_tasks_whose_ranges_lie_between_each_other_are_in_key_order(keys, chunk):
    """Each row once, in the order of the keys' bytes, however they are shared out and cut into chunks."""
    tables = []
    for task in range(5):
        mine = sorted((key for key, whose in keys if whose == task), key=str.encode)
        rows = OBJECTS.empty_table()
        if mine:
            columns = {field.name: pa.nulls(len(mine), field.type) for field in OBJECTS} | {"key": pa.array(mine)}
            rows = pa.Table.from_pydict(columns).select(OBJECTS.names).cast(OBJECTS)
        tables.append(pa.Table.from_batches(rows.to_batches(max_chunksize=chunk), OBJECTS))
    joined = sweep.in_key_order(tables)
    assert joined.schema == OBJECTS
    assert joined["key"].to_pylist() == sorted((key for key, _ in keys), key=str.encode)
