"""The chart of ANALYZE: a treemap or bars. Its data is sent as a message and never kept as widget state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget

from s3conn_magic.language.words import counted
from s3conn_magic.locations import size_text, visible
from s3conn_magic.results.cards import SNAPSHOT_STYLE, joined_scripts, joined_styles, show_with_snapshot, snapshot_table
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    import pandas as pd

    from s3conn_magic.language.reference import AnalyzeBy
    from s3conn_magic.locations import Location
    from s3conn_magic.results.frames import S3Frame

_HERE = Path(__file__).parent
_FRONT = _HERE.parent / "explorer" / "front"
DRAWN = 200
"""Most groups drawn separately; this many of the largest by bytes and by objects are sent."""
_LABEL_AT_MOST = 300
_ORDERED = frozenset({"AGE", "SIZE"})
_NAMES = {
    "PREFIX": ("folder", "(directly here)"),
    "STORAGE_CLASS": ("storage class", "(no storage class)"),
    "EXTENSION": ("extension", "(no extension)"),
    "AGE": ("age", ""),
    "SIZE": ("size", ""),
    "DUPLICATES": ("first of the copies", ""),
    "VERSIONS": ("versions", ""),
    "UPLOADS": ("unfinished upload", ""),
}
_ROWS, _CELLS = 100, 24


def shown_group(name: str, by: AnalyzeBy) -> str:
    """Return a group's label in its visible form."""
    text = visible(name) if name else _NAMES[by][1]
    return text if len(text) <= _LABEL_AT_MOST else f"{text[: _LABEL_AT_MOST - 1]}…"


def chart_data(frame: pd.DataFrame, *, by: AnalyzeBy, title: str) -> dict[str, Any]:
    """Return a frame of ANALYZE in the form that `Treemap.show` in treemap.js takes.

    Args:
        frame: with the columns of ANALYZE.
        by: the grouping.
        title: what is analyzed, in its visible form.

    Returns:
        The largest `groups`, and the `total` of all; times are ISO 8601 text.
    """
    sent = frame.loc[frame["bytes"].nlargest(DRAWN).index.union(frame["objects"].nlargest(DRAWN).index)]
    drawn = sent.drop(columns=["share", "usd_month"], errors="ignore")
    groups = [_group(*row, by=by) for row in drawn.itertuples(index=False, name=None)]
    total = {"groups": len(frame), "objects": int(frame["objects"].sum()), "bytes": int(frame["bytes"].sum())}
    ordered = by in _ORDERED
    kind = "bars" if ordered else "treemap"
    return {"title": title, "label": _NAMES[by][0], "kind": kind, "ordered": ordered, "groups": groups, "total": total}


def _group(name: str, objects: int, size: int, newest: Any, oldest: Any, *, by: AnalyzeBy) -> dict[str, Any]:
    counts = {"name": name, "objects": objects, "bytes": size, "newest": _time(newest), "oldest": _time(oldest)}
    label = shown_group(name, by)
    return counts if label == name else {**counts, "shown": label}


def _time(moment: pd.Timestamp) -> str:
    return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


class AnalysisChart(anywidget.AnyWidget):
    """The chart of a frame of ANALYZE.

    Args:
        frame: with the columns of ANALYZE.
        by: the grouping.
        location: what was analyzed.
    """

    _esm = joined_scripts(_HERE / "chart.js")
    _css = joined_styles([_FRONT / "colours.css", _FRONT / "treemap.css", SNAPSHOT_STYLE])

    def __init__(self, frame: pd.DataFrame, *, by: AnalyzeBy, location: Location) -> None:
        super().__init__()
        self._frame = frame
        self._by = by
        self._title = visible(location.uri)
        self.on_msg(self._receive)

    def _receive(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content["type"] == "begin":
            data = chart_data(self._frame, by=self._by, title=self._title)
            # ASCII only: a lone surrogate would break the channel.
            self.send({"json": json.dumps(data, separators=(",", ":"))})

    @interruptible
    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        data["text/html"], data["text/plain"] = self._html(), self._text()
        return data, metadata

    def _ipython_display_(self) -> None:
        show_with_snapshot(self._repr_mimebundle_, self._head())

    def _head(self) -> str:
        objects, size = int(self._frame["objects"].sum()), int(self._frame["bytes"].sum())
        return f"{self._title} by {_NAMES[self._by][0]} · {counted(objects, 'object')} · {size_text(size)}"

    def _lines(self) -> list[tuple[str, str, str, str]]:
        """Return label, bar, size and number of objects for each of the first groups."""
        first = self._frame.head(_ROWS)
        most = max(first["bytes"].max(), 1) if len(first) else 1
        rows = zip(first["group"], first["bytes"], first["objects"], strict=True)
        return [(shown_group(name, self._by), _bar(size / most), size_text(size), f"{n:,}") for name, size, n in rows]

    def _rest(self) -> str:
        rest = len(self._frame) - _ROWS
        return f"{rest:,} more are not in this snapshot" if rest > 0 else ""

    def _text(self) -> str:
        lines = self._lines()
        width = max((len(name) for name, *_ in lines), default=0)
        drawn = [f"{name:<{min(width, 60)}}  {bar:<{_CELLS}}  {size:>8}  {n:>9}" for name, bar, size, n in lines]
        return "\n".join(filter(None, [self._head(), *drawn, self._rest()]))

    def _html(self) -> str:
        heads = (_NAMES[self._by][0], "bytes", "size", "objects")
        return snapshot_table(self._head(), heads, self._lines(), self._rest(), numbers={2, 3})


def _bar(part: float) -> str:
    """Return a text bar, empty only for zero."""
    cells = round(part * _CELLS * 2)
    return "█" * (cells // 2) + "▌" * (cells % 2) or ("▏" if part else "")


def analysis_chart(frame: S3Frame, by: AnalyzeBy, location: Location) -> AnalysisChart:
    """Return the chart of a frame of ANALYZE."""
    return AnalysisChart(frame, by=by, location=location)
