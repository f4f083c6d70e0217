"""Groups added up page by page: what is kept grows with the groups, not with the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from s3conn_magic.analysis.grouping import Grouping

GROUPS = pa.schema(
    [
        ("group", pa.large_string()),
        ("objects", pa.int64()),
        ("bytes", pa.int64()),
        ("newest", pa.timestamp("us", tz="UTC")),
        ("oldest", pa.timestamp("us", tz="UTC")),
    ]
)
"""A group's label, its number of objects, the sum of their sizes, and the last and the first of their times."""
_SUMS = [("objects", "sum"), ("bytes", "sum"), ("newest", "max"), ("oldest", "min")]
_MOST_PARTS = 256
_MOST_ROWS = 8192


class Summary:
    """Adds up the groups of record batches of schema `OBJECTS`."""

    def __init__(self, grouping: Grouping) -> None:
        self._grouping = grouping
        # The whole so far and what is to be added to it, in one list: an interrupt finds either both or their sum.
        self._parts = [GROUPS.empty_table()]
        self._waiting = 0
        self._void: pa.Table | None = None

    def add(self, objects: pa.RecordBatch) -> None:
        """Count the rows of a page."""
        if not objects.num_rows:
            return
        part = self._part(objects)
        self._parts.append(part)
        self._waiting += len(part)
        # Parts wait until they are worth a pass over the whole, so that many groups cost no pass for each page.
        if len(self._parts) > _MOST_PARTS or self._waiting > max(_MOST_ROWS, len(self._parts[0])):
            self._whole()

    def merge(self, groups: pa.Table) -> None:
        """Count what another summary of the same grouping has, a table of schema `GROUPS`."""
        self._parts.append(groups)
        self._whole()

    def _part(self, objects: pa.RecordBatch) -> pa.Table:
        size, time = objects.column("size"), objects.column("last_modified")
        labels = self._grouping.labels(objects)
        return _added(pa.table([labels, pa.repeat(1, len(size)), size, time, time], schema=_ROWS))

    def _whole(self) -> pa.Table:
        if len(self._parts) > 1:
            self._parts = [_added(pa.concat_tables(self._parts))]
            self._waiting = 0
        return self._parts[0]

    def begin_again(self) -> None:
        """Forget what was counted, which will come once more."""
        self._void, self._parts = self._whole(), [GROUPS.empty_table()]

    def lacks_rows(self) -> bool:
        """Whether a group had more objects before it all began again than it has now."""
        if self._void is None:
            return False
        negative = self._void.set_column(1, "objects", pc.negate(self._void["objects"]))
        both = _added(pa.concat_tables([self._whole(), negative]))
        return bool(pc.any(pc.less(both["objects"], 0)).as_py())

    def table(self) -> pa.Table:
        """The groups so far, of schema `GROUPS`: in the grouping's order, or those with the most bytes first."""
        whole = self._whole()
        if not self._grouping.order:
            return whole.sort_by([("bytes", "descending"), ("objects", "descending"), ("group", "ascending")])
        places = pc.index_in(whole["group"], pa.array(self._grouping.order, pa.large_string()))
        return whole.take(pc.sort_indices(places))


# Labels of a page are short of 2 GB; those of the whole need not be.
_ROWS = GROUPS.set(0, pa.field("group", pa.string()))


def _added(rows: pa.Table) -> pa.Table:
    """One row a group, of schema `GROUPS`."""
    summed = rows.group_by("group", use_threads=False).aggregate(_SUMS)
    names = {"group": "group", **{f"{name}_{function}": name for name, function in _SUMS}}
    named = summed.rename_columns([names[name] for name in summed.column_names])
    return named.select(GROUPS.names).cast(GROUPS)
