"""The table of a preview: sort and filter its rows, and describe a column."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.datasets.summaries import column_summary
from s3conn_magic.language.words import counted
from s3conn_magic.locations import visible
from s3conn_magic.preview import rounded
from s3conn_magic.preview.preview import ROWS_AT_MOST

if TYPE_CHECKING:
    import pandas as pd

    from s3conn_magic.preview import Preview

COLUMNS_AT_MOST = 50
CELL_AT_MOST = 200
ROWS_AT_FIRST = 100
_ROWS_IN_PART = 500
_PART_AT_MOST = 150_000
"""Characters of rows in one message, unless a single row is longer."""
_STEP = 10
_LABELS = {
    "min": "Least",
    "max": "Greatest",
    "approx_unique": "Different values, about",
    "avg": "Mean",
    "std": "Standard deviation",
    "q25": "A quarter is below, about",
    "q50": "Half is below, about",
    "q75": "Three quarters are below, about",
    "null_share": "Missing",
    "frequent": "Most frequent, about",
    "histogram": "From least to greatest",
}
_Rows = npt.NDArray[np.int64]


class RowOrder(NamedTuple):
    """Order and filter: a column index (-1 for the original order), and a text that rows must contain."""

    by: int = -1
    descending: bool = False
    filter: str = ""


@dataclass(slots=True)
class PreviewTable:
    """The loaded rows of a preview.

    Attributes:
        preview: of a table.
        asked: the number of rows requested for it.
    """

    preview: Preview
    asked: int = ROWS_AT_FIRST
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _texts: list[str] | None = None
    _last: tuple[RowOrder, _Rows] | None = None

    @property
    def frame(self) -> pd.DataFrame:
        """The rows, with Arrow types."""
        assert self.preview.frame is not None  # noqa: S101 - it is of a table
        return self.preview.frame

    @property
    def further(self) -> int:
        """The number of rows to request next; 0 if there are no more, or no more can be loaded."""
        total, next_count = self.preview.total_rows, min(self.asked * _STEP, ROWS_AT_MOST)
        ended = not self.preview.truncated or (total is not None and len(self.frame) >= total)
        return 0 if ended or next_count <= self.asked else next_count

    def loaded(self) -> dict[str, Any]:
        """Return the number of loaded rows, and whether more can be loaded."""
        return {"loaded": len(self.frame), "said": self._said(), "more": bool(self.further)}

    def _said(self) -> str:
        preview, here = self.preview, len(self.frame)
        if preview.total_rows is None and not preview.truncated:
            return f"All {counted(here, 'row')}"
        if preview.total_rows is not None and here >= preview.total_rows:
            return f"All {counted(here, 'row')}"
        estimate = preview.about_rows or 0
        about = f"about {rounded(estimate):,}" if estimate > here else ""
        of = f"{preview.total_rows:,}" if preview.total_rows is not None else about
        text = f"The first {here:,} of {of} rows" if of else f"The first {counted(here, 'row')}, there are more"
        return text if self.further else f"{text}: a query reads the others"

    def values(self) -> dict[str, Any]:
        """Return the columns and first rows, and a note on columns left out."""
        columns = self.frame.columns[:COLUMNS_AT_MOST]
        more = len(self.frame.columns) - len(columns)
        return {
            "columns": [visible(str(name))[:CELL_AT_MOST] for name in columns],
            "numeric": [kind.kind in "iuf" for kind in self.frame.dtypes[:COLUMNS_AT_MOST]],
            "rows": self.part(RowOrder(), 0, ROWS_AT_FIRST)["rows"],
            "left": f"{more:,} more columns are not shown" if more else "",
            **self.loaded(),
        }

    def part(self, order: RowOrder, start: int, stop: int) -> dict[str, Any]:
        """Return as many of these rows as fit into a message, and the total in this order."""
        rows = self._rows(order)
        start = max(start, 0)
        chosen = rows[start : min(stop, start + _ROWS_IN_PART)]
        lines: list[list[str | None]] = []
        room = _PART_AT_MOST
        for values in self.frame.iloc[chosen, :COLUMNS_AT_MOST].itertuples(index=False, name=None):
            line = [cell(value) for value in values]
            room -= sum(len(each or "") + 4 for each in line)
            if room < 0 and lines:
                break
            lines.append(line)
        return {"from": start, "count": len(rows), "rows": lines}

    def _rows(self, order: RowOrder) -> _Rows:
        with self._lock:
            if self._last is None or self._last[0] != order:
                rows = self._sorted(order.by, descending=order.descending)
                self._last = order, rows[self._contains(order.filter.casefold())[rows]] if order.filter else rows
            return self._last[1]

    def _sorted(self, by: int, *, descending: bool) -> _Rows:
        """Return the rows sorted by a column (stable), those without a value last."""
        if not 0 <= by < min(self.frame.shape[1], COLUMNS_AT_MOST):
            return np.arange(len(self.frame))
        keys = [("column", "descending" if descending else "ascending")]
        try:
            order = pc.sort_indices(pa.table({"column": _arrow(self.frame, by)}), sort_keys=keys)
        except (pa.ArrowException, NotImplementedError):  # structs are sorted as texts
            texts = pa.array([cell(value) for value in self.frame.iloc[:, by]], pa.string())
            order = pc.sort_indices(pa.table({"column": texts}), sort_keys=keys)
        return np.asarray(order, dtype=np.int64)

    def _contains(self, text: str) -> npt.NDArray[np.bool_]:
        if self._texts is None:
            rows = self.frame.iloc[:, :COLUMNS_AT_MOST].itertuples(index=False, name=None)
            self._texts = ["\n".join(visible(str(value)) for value in values).casefold() for values in rows]
        return np.array([text in each for each in self._texts], dtype=np.bool_)

    def statistics(self, at: int) -> dict[str, Any]:
        """Return statistics of a column over the loaded rows."""
        if not 0 <= at < self.frame.shape[1]:
            return {"facts": [], "said": ""}
        summary = column_summary(_arrow(self.frame, at))
        summary["approx_unique"] = min(summary["approx_unique"], len(self.frame))
        facts = [(label, _fact(name, summary[name])) for name, label in _LABELS.items()]
        return {
            "facts": [[label, text] for label, text in facts if text],
            "said": f"Of {'all' if self._said().startswith('All') else 'the first'} {counted(len(self.frame), 'row')}",
        }


def _arrow(frame: pd.DataFrame, at: int) -> pa.ChunkedArray:
    values = frame.iloc[:, at].array
    array = values.__arrow_array__() if hasattr(values, "__arrow_array__") else pa.array(values)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _fact(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "null_share":
        return f"{value:.1%}" if value else "none"
    if name == "frequent":
        return ", ".join(_cut(visible(str(each)), 40) for each in value if each is not None)
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else _cut(visible(str(value)), CELL_AT_MOST)


def cell(value: Any) -> str | None:
    """Return a value as text, or None if it is missing."""
    if value is None or (isinstance(value, float) and value != value) or str(value) in {"<NA>", "NaT"}:  # noqa: PLR0124 - NaN is not itself
        return None
    return _cut(visible(str(value)), CELL_AT_MOST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
