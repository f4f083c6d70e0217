"""How far a listing is, as text and as HTML."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from s3conn_magic.sizes import size_text

if TYPE_CHECKING:
    from s3conn_magic.listing import Progress

_BAR_CELLS = 20
_TRACK = "display:inline-block;vertical-align:middle;width:140px;height:6px;border-radius:3px;margin-right:8px;"
_GREY, _BLUE = "background:var(--jp-layout-color3,#ddd)", "background:var(--jp-brand-color1,#1976d2)"


def progress_text(progress: Progress, *, done: bool = False) -> str:
    """One line: keys, their bytes, keys a second, requests, seconds; and the part done where it can be estimated.

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
    """A bar of text, or nothing where the whole cannot be estimated."""
    if progress.fraction is None:
        return ""
    filled = round(progress.fraction * _BAR_CELLS)
    return "█" * filled + "░" * (_BAR_CELLS - filled) + " "


def progress_html(progress: Progress, *, done: bool = False) -> str:
    """The line with a bar before it, in the notebook's colours."""
    bar = "" if done or progress.fraction is None else _html_bar(progress.fraction)
    text = html.escape(progress_text(progress, done=done))
    return (
        '<div style="font-size:12px;font-variant-numeric:tabular-nums;color:var(--jp-ui-font-color2,#666)">'
        f"{bar}{text}</div>"
    )


def _html_bar(fraction: float) -> str:
    filled = f'<span style="display:block;height:6px;border-radius:3px;width:{fraction:.0%};{_BLUE}"></span>'
    return f'<span role="progressbar" aria-valuenow="{fraction:.0%}" style="{_TRACK}{_GREY}">{filled}</span>'
