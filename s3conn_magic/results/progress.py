"""How far a statement is: one line in a notebook, and in a terminal."""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Any, Self, TextIO

from s3conn_magic.locations import size_text

if TYPE_CHECKING:
    from types import TracebackType

    from s3conn_magic.listing import Progress

_BAR_CELLS = 20
_TRACK = "display:inline-block;vertical-align:middle;width:140px;height:6px;border-radius:3px;margin-right:8px;"
_GREY, _BLUE = "background:var(--jp-layout-color3,#ddd)", "background:var(--jp-brand-color1,#1976d2)"


def progress_text(progress: Progress, *, done: bool = False) -> str:
    """Return one line: keys, bytes, keys a second, requests, seconds; and the part done where it can be estimated.

    What a job does is counted in objects, what a query reads in bytes alone.
    """
    rate = progress.keys / progress.elapsed if progress.elapsed else 0.0
    parts = {
        f"about {progress.fraction or 0:.0%}": not done and progress.fraction is not None,
        f"{progress.keys:,} {progress.unit}": progress.unit,
        size_text(progress.bytes): True,
        f"{rate:,.0f} keys/s": progress.unit == "keys",
        f"{progress.requests:,} requests": progress.requests or progress.unit == "keys",
        f"{progress.elapsed:.1f} s": True,
    }
    return " · ".join(text for text, shown in parts.items() if shown)


def progress_bar(progress: Progress) -> str:
    """Return a bar of text, or nothing where the whole cannot be estimated."""
    if progress.fraction is None:
        return ""
    filled = round(progress.fraction * _BAR_CELLS)
    return "█" * filled + "░" * (_BAR_CELLS - filled) + " "


def progress_html(progress: Progress, *, done: bool = False) -> str:
    """Return the line with a bar before it, in the notebook's colours."""
    bar = "" if done or progress.fraction is None else _html_bar(progress.fraction)
    text = html.escape(progress_text(progress, done=done))
    return (
        '<div style="font-size:12px;font-variant-numeric:tabular-nums;color:var(--jp-ui-font-color2,#666)">'
        f"{bar}{text}</div>"
    )


def _html_bar(fraction: float) -> str:
    filled = f'<span style="display:block;height:6px;border-radius:3px;width:{fraction:.0%};{_BLUE}"></span>'
    return f'<span role="progressbar" aria-valuenow="{fraction:.0%}" style="{_TRACK}{_GREY}">{filled}</span>'


_SILENT_SECONDS = 0.5
_BETWEEN_SECONDS = 0.1


class ProgressLine:
    """Shows what it is called with, at most ten times a second; on leaving, the last line stays as the summary."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._shown_at: float | None = None

    def __call__(self, progress: Progress) -> None:
        """Show a snapshot, unless the listing is young or was shown just now."""
        self._last = progress
        due = _SILENT_SECONDS if self._shown_at is None else self._shown_at + _BETWEEN_SECONDS
        if progress.elapsed >= due:
            self._shown_at = progress.elapsed
            self._show(progress, done=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown_at is not None and self._last is not None:
            self._show(self._last, done=True)

    def _show(self, progress: Progress, *, done: bool) -> None:
        raise NotImplementedError


class NotebookProgress(ProgressLine):
    """A display that is updated in place."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def _show(self, progress: Progress, *, done: bool) -> None:
        from IPython.display import display

        bundle = {"text/plain": progress_text(progress, done=done), "text/html": progress_html(progress, done=done)}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


class TerminalProgress(ProgressLine):
    """A line of a terminal that is written over; silent where the stream is no terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._width = 0

    def _show(self, progress: Progress, *, done: bool) -> None:
        if not self._stream.isatty():
            return
        text = progress_text(progress, done=done) if done else progress_bar(progress) + progress_text(progress)
        self._stream.write("\r" + text.ljust(self._width) + ("\n" if done else ""))
        self._stream.flush()
        self._width = len(text)
