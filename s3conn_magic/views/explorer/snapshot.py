"""The tree without a browser's end: plain text, HTML, and a frame of what is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from s3conn_magic.locations import visible
from s3conn_magic.sizes import size_text
from s3conn_magic.views.explorer.columns import NO_SIZE, NO_TIME
from s3conn_magic.views.explorer.wire import shown_name, tail_text

if TYPE_CHECKING:
    import pandas as pd

    from s3conn_magic.views.explorer.tree import Line, Tree

LINES_AT_MOST = 100
_HEADINGS = ("Name", "Size", "Modified (UTC)", "Storage class")
# Both the older and the newer name by which MathJax leaves an element alone: a key may read `$x$`.
_NOT_TYPESET = "tex2jax_ignore mathjax_ignore"


def _cells(line: Line) -> tuple[str, str, str, str]:
    """Name, size, date and storage class as shown; a line at a folder's end has only a text."""
    if line.row < 0:
        text, hint = tail_text(line)
        return (f"{text} {hint}".strip(), "", "", "")
    rows, row = line.folder.rows, line.row
    size, time = rows.sizes[row], rows.times[row]
    when = "" if time == NO_TIME else f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%d %H:%M}"
    weight = "" if size == NO_SIZE else size_text(size)
    return (shown_name(line.folder, row), weight, when, visible(rows.classes[row] or ""))


def _lines(tree: Tree) -> tuple[list[Line], str]:
    """The first lines, and what is said about the rest."""
    lines = [line for line in islice(tree.lines(0, LINES_AT_MOST), LINES_AT_MOST) if line.kind != "pad"]
    rest = len(tree) - LINES_AT_MOST
    return lines, f"{rest:,} more lines are not in this snapshot" if rest > 0 else ""


def heading(title: str, tree: Tree) -> str:
    """The title and where the tree begins."""
    where = f" · {tree.root.location.uri}" if tree.root.location else ""
    return visible(f"{title}{where}{tree.root.starting_with}")


def text_tree(title: str, tree: Tree) -> str:
    """The lines as a tree of text."""
    lines, rest = _lines(tree)
    drawn = [f"{'│  ' * line.folder.depth}├─ {'  '.join(filter(None, _cells(line)))}" for line in lines]
    return "\n".join([heading(title, tree), *(drawn or ["├─ (not listed yet)"]), *([f"└─ {rest}"] if rest else [])])


def html_table(title: str, tree: Tree) -> str:
    """The lines as a table in `<details>`: no script, no style, every text escaped."""
    lines, rest = _lines(tree)
    head = "".join(f"<th>{name}</th>" for name in _HEADINGS)
    body = "".join(_html_row(line) for line in lines)
    foot = f"<p>{rest}</p>" if rest else ""
    return (
        f'<details open class="{_NOT_TYPESET}"><summary><b>{escape(heading(title, tree))}</b></summary>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}</details>"
    )


def _html_row(line: Line) -> str:
    indent = "&emsp;" * line.folder.depth
    name, *others = (escape(cell) for cell in _cells(line))
    if line.row < 0:
        return f'<tr><td colspan="4">{indent}<i>{name}</i></td></tr>'
    return f"<tr><td>{indent}{name}</td>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"


def frame(tree: Tree) -> pd.DataFrame:
    """Every loaded row of every open folder, in the order in which they are shown.

    Returns:
        bucket, key (exact), size (bytes, Int64), last_modified (UTC), etag, storage_class, is_prefix.
    """
    import pandas as pd

    runs = [folder.rows.columns(rows) for folder, rows in tree.runs()]
    sizes = np.concatenate([run.sizes for run in runs])
    times = np.concatenate([run.times for run in runs])
    moments = np.where(times == NO_TIME, np.iinfo(np.int64).min, times).astype("datetime64[ms]")
    return pd.DataFrame(
        {
            "bucket": pd.Series(list(chain.from_iterable(run.buckets for run in runs)), dtype="str"),
            "key": pd.Series(list(chain.from_iterable(run.keys for run in runs)), dtype="str"),
            "size": pd.Series(pd.arrays.IntegerArray(sizes, sizes == NO_SIZE)),
            "last_modified": pd.Series(moments).dt.as_unit("us").dt.tz_localize("UTC"),
            "etag": pd.Series(list(chain.from_iterable(run.etags for run in runs)), dtype="str"),
            "storage_class": pd.Series(list(chain.from_iterable(run.classes for run in runs)), dtype="str"),
            "is_prefix": pd.Series(np.concatenate([run.prefixes for run in runs])),
        }
    )
