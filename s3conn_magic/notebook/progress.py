"""The progress of a listing while it runs: one line that is updated in place, after the first half second."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self, TextIO

from s3conn_magic.views.progress import progress_bar, progress_html, progress_text

if TYPE_CHECKING:
    from types import TracebackType

    from s3conn_magic.listing import Progress

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
