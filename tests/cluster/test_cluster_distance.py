"""How work is shared out, in a time of its own: two workers take little more than half of the time of one process."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import keys_of
from synthetic import Bucket
from virtual_time import Simulation

from s3conn_magic.cluster import sweep
from s3conn_magic.cluster.scheduler import Capacity
from s3conn_magic.cluster.work import Portions, RangeResult, RangeTask
from s3conn_magic.listing.request import Progress
from s3conn_magic.listing.table import OBJECTS, Page

if TYPE_CHECKING:
    from collections.abc import Callable

_KEYS, _PAGE_KEYS, _FAR = 40_000, 40, 0.15
_SENT, _TOLD, _COMPARED = 0.05, 0.02, 0.25
"""Seconds from a task's end to the beginning of the next, until a worker is told to stop, and between two looks."""


@cache
def _bucket(layout: str) -> Bucket:
    return Bucket(keys_of(layout, _KEYS))


def _listed(layout: str, connections: int, **parts: Any) -> Simulation:
    return Simulation(_bucket(layout), _FAR, _PAGE_KEYS, connections, **parts).run()


class _Workers:
    """Two workers, which list in that time; as a cluster, and as its tasks."""

    def __init__(self, layout: str, now: float) -> None:
        self.layout, self.now, self.keys = layout, now, list[str]()
        self._tasks: dict[int, tuple[float, Simulation]] = {}

    def capacity(self) -> Capacity:
        return Capacity(workers=2, tasks=2, each=1)

    def __len__(self) -> int:
        return len(self._tasks)

    def submit(self, number: int, function: Any, task: RangeTask, ranges: Any, pages: int) -> None:
        assert len(self._tasks) < self.capacity().tasks
        del function
        known = {"ranges": ranges, "pages": pages, "learned": task.learned}
        self._tasks[number] = self.now + _SENT, _listed(self.layout, task.connections, **known)

    def stop_longest(self, least: float) -> None:
        stops = {number: self._listed_until(begin, done, least) for number, (begin, done) in self._tasks.items()}
        longest = max(stops, key=lambda number: stops[number].left)
        self._tasks[longest] = self._tasks[longest][0], stops[longest]

    def next_portions(self, received: dict[int, tuple[str, int]]) -> dict[int, tuple[str, int, pa.Table]]:
        del received
        return {}

    def _listed_until(self, begin: float, done: Simulation, least: float) -> Simulation:
        """Return the same listing, told now to stop if it has more than `least` rows left."""
        known = {"ranges": done.ranges, "pages": done.pages, "learned": done.learned}
        return _listed(self.layout, done.connections, **known, stop_at=self.now - begin + _TOLD, least=least)

    def wait(self, every: Callable[[], None]) -> tuple[int, RangeResult]:
        while self.now + _COMPARED < self._next()[0]:
            every()
            self.now += min(_COMPARED, self._next()[0] - self.now)
        self.now, number = self._next()
        _, done = self._tasks.pop(number)
        self.keys += done.keys
        return number, RangeResult(None, done.rest, Progress())

    def _next(self) -> tuple[float, int]:
        return min((begin + done.seconds, number) for number, (begin, done) in self._tasks.items())


@pytest.mark.parametrize(
    ("layout", "connections"), [*product(("hive", "random", "skewed"), (4, 8, 16)), ("hive", 32), ("random", 32)]
)
def test_two_workers_take_two_thirds_of_the_time(layout: str, connections: int, monkeypatch: pytest.MonkeyPatch):
    """Of a bucket far away, with the same connections each, whether all keys are asked for, or more than there are."""
    monkeypatch.setattr(sweep, "_PAGE", _PAGE_KEYS)
    monkeypatch.setattr(sweep, "_LOOK", 0.0)  # the stand-in looks in its own time
    alone = _listed(layout, connections).seconds
    for wanted in (None, 100.0 * _KEYS):
        first = _listed(layout, connections, pages=sweep.FIRST_PAGES)
        workers = _Workers(layout, first.seconds)
        shared = sweep.Sweep(RangeTask("", connections, first.engine.learned), list(first.rest), Progress())
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


class _Run:
    """One run of a task, as the listing of which the rows are portioned, and as the tasks of a statement."""

    def __init__(self) -> None:
        self.portions, self.keys, self.pages = Portions(self), list[str](), list[Page]()  # type: ignore[arg-type]
        self.under_way = 1

    def list_page(self) -> None:
        keys = [f"{len(self.keys) + more:04d}" for more in range(3)]
        columns = {field.name: pa.nulls(3, field.type) for field in OBJECTS} | {"key": pa.array(keys)}
        rows = pa.Table.from_pydict(columns).select(OBJECTS.names).cast(OBJECTS)
        self.keys += keys
        self.pages += [Page(batch) for batch in rows.to_batches()]

    def take(self) -> list[Page]:
        taken, self.pages = self.pages, []
        return taken

    def next_portions(self, received: dict[int, tuple[str, int]]) -> dict[int, tuple[str, int, pa.Table]]:
        return {1: self.portions.after(*received.get(1, ("", 0)))}

    def capacity(self) -> Capacity:
        return Capacity(workers=1, tasks=1, each=1)

    def __len__(self) -> int:
        return self.under_way

    def wait(self, _: Callable[[], None]) -> tuple[int, RangeResult]:
        mark, count, table = self.portions.after()
        return 1, RangeResult(table, mark=mark, portions=count)


@given(st.lists(st.sampled_from(["page", "ask", "answer is lost", "worker is lost"]), max_size=30))
def test_portions_and_the_rest_have_each_row_once(steps):
    """Whatever answers are lost, and though another worker begins anew after some rows were fetched."""
    shared = sweep.Sweep(RangeTask("", 4), [], Progress(), under_way={1: ()})
    run = _Run()
    for step in [*steps, "page"]:
        if step == "page":
            run.list_page()
        elif step == "worker is lost":
            run = _Run()
        elif step == "answer is lost":
            run.next_portions(shared.received)
        else:
            shared.receive(run)  # type: ignore[arg-type] # it stands in for the tasks
    parts = shared.run(run, run, wanted=lambda: None)  # type: ignore[arg-type] # as above
    assert [key for part in parts for key in part.table["key"].to_pylist()] == run.keys
