"""Ranges of keys listed by workers, until none is left.

The first look is a listing of its own, here: it stops after some requests, and what it left are ranges whose bounds are
where folders begin, or where its keys say that others are. A task takes neighbouring ranges, stops as well, and gives
back what it left. So work is shared out again and again, in ever smaller portions, whatever the guesses were worth.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from s3conn_magic.cluster import work
from s3conn_magic.listing import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.cluster.cluster import Cluster, Slots, Tasks
    from s3conn_magic.cluster.work import Errand, Part
    from s3conn_magic.listing.request import Span

FIRST_PAGES = 64
"""Requests of the first look: what takes fewer is not worth a cluster."""
_PAGE = 1000
_PORTIONS, _FEW_SPANS = 2, 3
_LEAST_PAGES, _MOST_PAGES = 64, 320
_MORE = 1.5
_SURPLUS = 1.2


class UnorderedError(Exception):
    """A worker has found that the server's order cannot be relied on."""


@dataclass(slots=True)
class Sweep:
    """The ranges of one statement.

    Attributes:
        errand: what is done with them.
        waiting: ranges that nobody lists at present, in key order.
        under_way: those of each task.
        before: counts of the first look.
        counted: counts of the tasks, by number.
    """

    errand: Errand
    waiting: list[Span]
    before: Progress
    under_way: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    counted: dict[int, Progress] = field(default_factory=dict)

    def run(
        self,
        cluster: Cluster,
        tasks: Tasks,
        *,
        wanted: Callable[[], float | None],
        every: Callable[[], None] | None = None,
    ) -> Iterator[Part]:
        """Parts as they come.

        Args:
            cluster: whose workers list.
            tasks: of the statement.
            wanted: rows that are wanted beyond those that are there, in key order; None for all.
            every: called several times a second.

        Raises:
            UnorderedError: it has to be listed page by page.
            S3ConnError: a task failed.
        """
        slots, number = cluster.slots(), 0
        while True:
            while len(tasks) < slots.tasks + slots.workers and (group := self._next(slots, wanted())):
                number += 1
                self.under_way[number] = group
                pages = min(_MOST_PAGES, round(sum(one.rows for one in group) / _PAGE * _MORE) + _LEAST_PAGES)
                errand = replace(self.errand, connections=max(1, self.errand.connections // slots.each))
                tasks.submit(number, work.list_spans, errand, group, pages)
            if not self.under_way:
                return
            done, part = tasks.wait(every)
            if part.unordered:
                raise UnorderedError
            del self.under_way[done]
            self.counted[done] = part.progress or Progress()
            self.waiting = sorted([*self.waiting, *part.rest], key=lambda one: one.edge)
            yield part

    def _next(self, slots: Slots, wanted: float | None) -> tuple[Span, ...]:
        """The next ranges of one task: neighbours, a share of what is left."""
        left = self.waiting if wanted is None else self._within(wanted)
        if not left:
            return ()
        portions = _PORTIONS * slots.tasks
        share = max(_LEAST_PAGES * _PAGE, sum(one.rows for one in left) / portions)
        # Of ranges that nobody has begun, the estimate may be far too low: nobody takes most of them.
        most = max(_FEW_SPANS, -(-len(left) // portions))
        rows, count = 0.0, 0
        for one in left[:most]:
            rows, count = rows + one.rows, count + 1
            if rows >= share:
                break
        group, self.waiting = self.waiting[:count], self.waiting[count:]
        return tuple(group)

    def _within(self, wanted: float) -> list[Span]:
        """The waiting ranges that may hold rows that are wanted, by what is estimated of those before them."""
        if not self.waiting:
            return []
        ahead = sum(one.rows for group in self.under_way.values() for one in group if one.edge < self.waiting[0].edge)
        found: list[Span] = []
        for one in self.waiting:
            if ahead > wanted * _SURPLUS and (found or self.under_way):
                break
            found.append(one)
            ahead += one.rows
        return found

    @property
    def edge(self) -> str | None:
        """The least text that may be a key which is still to come; None when all are there."""
        left = [*self.waiting, *(one for group in self.under_way.values() for one in group)]
        return min((one.edge for one in left), default=None)

    def progress(self, elapsed: float) -> Progress:
        """How far it is."""
        all_of = [self.before, *self.counted.values()]
        keys = sum(one.keys for one in all_of)
        left = sum(one.rows for one in [*self.waiting, *(one for group in self.under_way.values() for one in group)])
        return Progress(
            keys,
            sum(one.bytes for one in all_of),
            sum(one.requests for one in all_of),
            elapsed,
            keys / (keys + left) if keys + left else 1.0,
            sum(one.received for one in all_of),
        )
